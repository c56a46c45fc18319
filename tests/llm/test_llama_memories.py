"""Models with a sliding window or recurrent layers: what was read is reused only where that is right.

They are generated with random weights, so what they write is noise; but the noise must be the same. A real
sliding-window model can be named by LOCALRAG_TEST_SWA_MODEL (a .gguf file). Not tested: recurrent and hybrid models with
real weights, and more than one GPU.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tiny_llamas

from localrag.events import PromptRead
from localrag.llm import Completed, Weighed
from localrag.llm.llama import LlamaGenerator
from localrag.llm.llama_model import LlamaContext, LlamaModel, Running
from localrag.llm.prompt_cache import DiskPromptCache
from localrag.types import Message

pytestmark = pytest.mark.slow  # processes, kernel or kills: left out of `make test-fast`

REAL = os.environ.get("LOCALRAG_TEST_SWA_MODEL")  # read before the tests get an environment of their own
TEXT = " ".join(f"Clause {n}: the fee of Hall {n} is {n * 37} euros." for n in range(18))
KINDS: dict[str, Callable[[Path], Path]] = {"sliding": tiny_llamas.sliding, "recurrent": tiny_llamas.recurrent}


def messages(question: str = "What is the fee?", *texts: str) -> list[Message]:
    return [Message("system", "", stable=texts or (TEXT,)), Message("user", question)]


@pytest.fixture(scope="module", params=[*KINDS, pytest.param("real", marks=pytest.mark.skipif(not REAL, reason="no real model named"))])  # fmt: skip
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaGenerator]:
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    file = Path(REAL or "") if request.param == "real" else KINDS[request.param](path)
    generator = LlamaGenerator(request.param, file, threads=1)
    yield generator
    generator.close()


SHAPES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "llama": (tiny_llamas.full, ""),
    "smollm3": (lambda path: tiny_llamas.full(path, "smollm3"), "no simple RoPE"),
    "qwen2vl": (lambda path: tiny_llamas.full(path, "qwen2vl"), "no simple RoPE"),
    "gemma3": (tiny_llamas.sliding, "sliding window"), "mamba": (tiny_llamas.recurrent, "recurrent layers"),
    "lfm2": (tiny_llamas.convolved, "recurrent layers"), "qwen35": (tiny_llamas.delta, "recurrent layers"),
}  # fmt: skip


@pytest.mark.parametrize("family", SHAPES)
def test_what_can_be_moved_is_recognised_and_said(tmp_path: Path, family: str) -> None:
    make, why = SHAPES[family]
    generator = LlamaGenerator(family, make(tmp_path / "tiny.gguf"), threads=1)
    assert generator._model.in_place == why and generator._model.movable == (why == "")
    assert any("read together" in line and why in line for line in generator.in_force()) == (why != "")
    generator.close()


def _moved(model: LlamaModel, distance: int) -> np.ndarray:
    """The scores after three tokens, of which the first two were moved on after they were read."""
    c, running = model.c, Running(1)
    with ThreadPoolExecutor(1) as thread:
        context = LlamaContext(model, 512, running, thread)
        context.decode([70, 80], None)
        c.llama_memory_seq_add(c.llama_get_memory(context._handle), 0, 0, -1, distance)
        context.decode([90], None)  # at the position after the last
        scores = np.array(context.logits()[: tiny_llamas.WORDS])
        context.close()
    return scores


@pytest.mark.parametrize("family", ["llama", "smollm3"])
def test_moving_keys_is_right_only_where_each_layer_turns_them(tmp_path: Path, family: str) -> None:
    model = LlamaModel(family, SHAPES[family][0](tmp_path / "tiny.gguf"))
    differ = np.abs(_moved(model, 100) - _moved(model, 0)).max() / np.abs(_moved(model, 0)).max()
    assert (differ < 0.01) == model.movable, differ
    model.close()


def weigh(model: LlamaGenerator, asked: Sequence[Message], cache: DiskPromptCache | None = None) -> Weighed:
    last = list(model.weigh(asked, ["a", "b", "c"], cache=cache))[-1]
    assert isinstance(last, Weighed) and len(last.shares) == 3
    return last


def write(model: LlamaGenerator, asked: Sequence[Message], cache: DiskPromptCache | None = None) -> Completed:
    last = list(model.generate(asked, max_tokens=12, cache=cache))[-1]
    assert isinstance(last, Completed)
    return last


def test_they_are_recognised(model: LlamaGenerator) -> None:
    told = " ".join(model.in_force())
    assert ("recurrent" in told) == (model.model == "recurrent")
    assert ("sliding window" in told) == (model.model != "recurrent")


def test_cold_from_memory_and_from_disk_they_write_the_same(model: LlamaGenerator, tmp_path: Path) -> None:
    asked, other = messages(), messages("Which hall is dear?")
    cold = {}
    for question in (asked, other):
        model._free_context()
        cold[question[-1].text] = write(model, question).text, weigh(model, question).shares
    assert len({*cold.values()}) == 2  # the noise depends on the question
    cache = DiskPromptCache(tmp_path, model.model, ["hash"], 1 << 30)
    model._free_context()
    write(model, asked, cache)
    for question in (other, asked, other):
        assert write(model, question, cache).text == cold[question[-1].text][0]
        assert weigh(model, question, cache).shares == cold[question[-1].text][1]
        model._free_context()
        kept = write(model, question, cache)
        assert kept.text == cold[question[-1].text][0] and kept.usage.reused >= len(TEXT.split())


def test_without_a_cache_only_a_recurrent_model_reads_all_again(model: LlamaGenerator) -> None:
    asked, other = messages(), messages("Which hall is dear?")
    model._free_context()
    cold = write(model, other).text
    model._free_context()
    write(model, asked)
    again = write(model, other)
    assert again.text == cold
    assert (again.usage.reused == 0) == (model.model == "recurrent")


def test_after_a_stop_and_in_a_larger_window_they_write_the_same(model: LlamaGenerator) -> None:
    asked = messages("What is the fee?", TEXT * 2)
    model._free_context()
    cold = write(model, asked).text
    model._free_context()
    seen: list[int] = []
    for event in model.generate(asked, max_tokens=2, stop=lambda: len(seen) > 2):
        if isinstance(event, PromptRead):
            seen.append(event.done)
    assert write(model, asked).text == cold
    model._open(6000)
    assert write(model, asked).text == cold
    model._free_context()
    write(model, messages("Other?", "Something else. " * 30))
    assert write(model, asked).text == cold


def test_one_document_serves_with_another_behind_it(model: LlamaGenerator, tmp_path: Path) -> None:
    cache = DiskPromptCache(tmp_path, model.model, ["a", "b"], 1 << 30)
    both = messages("And now?", TEXT, "The gate is opened by Ms Orlo. " * 9)
    model._free_context()
    cold = write(model, both).text
    model._free_context()
    write(model, messages(), cache)
    model._free_context()
    kept = write(model, both, cache)
    assert kept.text == cold and kept.usage.reused > 0
    assert len(list(tmp_path.rglob("*.state"))) == 2
    model._free_context()
    assert write(model, both, cache).usage.reused > kept.usage.reused


def test_an_answer_does_not_depend_on_what_was_asked_before(model: LlamaGenerator) -> None:
    def asked(question: str) -> list[Message]:
        return [Message("system", "Be short."), Message("user", question)]

    model._free_context()
    cold = write(model, asked("Say hello.")).text
    for before in (messages(), asked("Say hell"), asked("Say hello. And then goodbye.")):
        model._free_context()
        for _ in range(2):  # the second time with what was written behind it
            write(model, before)
            assert write(model, asked("Say hello.")).text == cold, before


def test_a_document_read_ahead_is_cached_and_serves_a_question(model: LlamaGenerator, tmp_path: Path) -> None:
    model._free_context()
    cold = write(model, messages())
    cache = DiskPromptCache(tmp_path, model.model, ["hash"], 1 << 30)
    model._free_context()
    (prefix,) = model.prefixes(messages())
    read: list[int] = []
    for event in model.read(messages(), stop=lambda: len(read) > 2, cache=cache):
        read.append(event.done)
    assert 0 < read[-1] < len(prefix.tokens) and not cache.has(prefix)
    seen = list(model.read(messages(), cache=cache))  # continues there
    assert seen[0].done == read[-1] and seen[-1].done == seen[-1].total == len(prefix.tokens) and cache.has(prefix)
    assert next(iter(model.read(messages(), cache=cache))).done == len(prefix.tokens)
    model._free_context()
    warm = write(model, messages(), cache)
    assert warm.text == cold.text and warm.usage.reused == len(prefix.tokens)


@pytest.mark.parametrize(("fit", "taken"), [(4, 4), (3, 3), (1, 1), (0, 0)])
def test_as_many_layers_go_to_a_graphics_card_as_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: int, taken: int
) -> None:
    """No card is here: one is pretended that refuses more layers than fit. How a real one refuses is not shown."""
    import llama_cpp

    path = tiny_llamas.sliding(tmp_path / "tiny.gguf")
    load, asked = llama_cpp.llama_model_load_from_file, []

    def refuses(name: bytes, params: llama_cpp.llama_model_params) -> object:
        layers = params.n_gpu_layers
        if not params.vocab_only:
            asked.append(layers)
            if (4 if layers < 0 else layers) > fit:
                return None
        return load(name, params)

    monkeypatch.setattr(llama_cpp, "llama_model_n_layer", lambda model: 4)
    monkeypatch.setattr(llama_cpp, "llama_supports_gpu_offload", lambda: True)
    monkeypatch.setattr(llama_cpp, "llama_model_load_from_file", refuses)
    model = LlamaModel("tiny", path)
    assert model.gpu_layers == taken and asked == [-1, 3, 2, 1, 0][: len(asked)]
    model.close()


def test_another_try_at_a_prompt_writes_what_it_would_have_alone(model: LlamaGenerator) -> None:
    def tried(seed: int) -> Completed:
        last = list(model.generate(messages(), max_tokens=8, temperature=0.7, seed=seed))[-1]
        assert isinstance(last, Completed)
        return last

    alone = {}
    for seed in (1, 2, 3):
        model._free_context()
        alone[seed] = tried(seed)
    model._free_context()
    again = {seed: tried(seed) for seed in (1, 2, 3)}
    assert {seed: done.text for seed, done in again.items()} == {seed: done.text for seed, done in alone.items()}
    assert len({done.text for done in alone.values()}) == 3
    reused = [done.usage.reused for done in again.values()]
    assert reused[0] == 0 and all(reused[1:]) == (model.model != "recurrent")
