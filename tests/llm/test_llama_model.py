"""Models with a sliding window or recurrent layers: what was read is reused only where that is right.

They are generated with random weights, so what they write is noise; but the noise must be the same. A real
sliding-window model can be named by LOCALRAG_TEST_SWA_MODEL (a .gguf file). Not tested: recurrent and hybrid models with
real weights, and more than one GPU.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tiny_llamas

from localrag.errors import ModelError
from localrag.events import PromptRead
from localrag.llm import Weighed, llama_model
from localrag.llm.llama import LlamaGenerator
from localrag.llm.llama_model import LlamaContext, LlamaModel
from localrag.llm.prompt_cache import DiskPromptCache
from localrag.models import catalog
from localrag.types import Message

pytestmark = pytest.mark.slow

REAL = os.environ.get("LOCALRAG_TEST_SWA_MODEL")  # read before the tests get an environment of their own
CLAUSES = 75 if REAL else 18  # of real words, to be longer than a real window
TEXT = " ".join(f"Clause {n}: the fee of Hall {n} is {n * 37} euros." for n in range(CLAUSES))
KINDS = ("sliding", "recurrent", "convolved", "delta", "scanned", "full")


def messages(question="What is the fee?", *texts):
    return [Message("system", "", stable=texts or (TEXT,)), Message("user", question)]


@pytest.fixture(
    scope="module",
    params=[*KINDS, pytest.param("real", marks=pytest.mark.skipif(not REAL, reason="no real model named"))],
)
def model(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    file = Path(REAL or "") if request.param == "real" else getattr(tiny_llamas, request.param)(path)
    generator = LlamaGenerator(request.param, file, threads=1)
    yield generator
    generator.close()


YARN = {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 64}
SHAPES = {
    "llama": (tiny_llamas.full, ""),
    "wide heads, as in Qwen 3": (lambda path: tiny_llamas.full(path, head=64), ""),
    "yarn": (lambda path: tiny_llamas.full(path, **YARN), "no simple RoPE"),
    "smollm3": (lambda path: tiny_llamas.full(path, "smollm3"), "no simple RoPE"),
    "qwen2vl": (lambda path: tiny_llamas.full(path, "qwen2vl"), "no simple RoPE"),
    "gemma3": (tiny_llamas.sliding, "sliding window"),
    "mamba": (tiny_llamas.recurrent, "recurrent layers"),
    "lfm2": (tiny_llamas.convolved, "recurrent layers"),
    "qwen35": (tiny_llamas.delta, "recurrent layers"),
    "granitehybrid": (tiny_llamas.scanned, "recurrent layers"),
}


@pytest.mark.parametrize("family", SHAPES)
def test_what_can_be_moved_and_the_size_of_a_state_are_known_before_it_is_read(tmp_path, family):
    make, why = SHAPES[family]
    generator = LlamaGenerator(family, make(tmp_path / "tiny.gguf"), threads=1)
    assert generator._model.why_not_movable == why and generator._model.movable == (why == "")
    assert any("read together" in line and why in line for line in generator.in_force()) == (why != "")
    list(generator.read(messages()))
    taken, tokens = len(generator._context.state()), len(generator._context.tokens)
    told = generator.state_bytes(tokens)
    assert taken * 0.95 < told < taken * 1.05 or (family == "gemma3" and told > taken)  # a window is kept of the rest
    generator.close()


def test_recurrent_layers_and_their_checkpoints_count_as_memory(tmp_path, monkeypatch):
    path = tiny_llamas.recurrent(tmp_path / "tiny.gguf")
    monkeypatch.setattr(catalog, "available_memory", lambda: 200_000)
    with pytest.raises(ModelError):  # no token takes any, but the layers take 59 KB, once and for each batch
        LlamaGenerator("mamba", path, threads=1, context=1024)
    monkeypatch.setattr(catalog, "available_memory", lambda: 400_000)
    LlamaGenerator("mamba", path, threads=1, context=1024).close()


def _moved(model, distance):
    c = model.c
    with ThreadPoolExecutor(1) as thread:
        context = LlamaContext(model, 512, 1, thread)
        context.decode([70, 80], None)
        c.llama_memory_seq_add(c.llama_get_memory(context._handle), 0, 0, -1, distance)
        context.decode([90], None)  # at the position after the last
        scores = np.array(context.logits()[: tiny_llamas.WORDS])
        context.close()
    return scores


@pytest.mark.parametrize("family", ["llama", "smollm3", "yarn"])
def test_moving_keys_is_right_only_where_each_layer_turns_them(tmp_path, family):
    model = LlamaModel(family, SHAPES[family][0](tmp_path / "tiny.gguf"))
    differ = np.abs(_moved(model, 100) - _moved(model, 0)).max() / np.abs(_moved(model, 0)).max()
    assert (differ < 0.01) == model.movable, differ
    model.close()


def weigh(model, asked, cache=None):
    *_, last = model.weigh(asked, ["a", "b", "c"], cache=cache)
    assert isinstance(last, Weighed) and len(last.shares) == 3
    return last


def write(model, asked, cache=None):
    *_, last = model.generate(asked, max_tokens=12, cache=cache)
    return last


def test_after_a_stop_and_in_a_larger_window_they_write_the_same(model):
    asked = messages("What is the fee?", TEXT * 2)
    model._free_context()
    cold = write(model, asked).text
    model._free_context()
    seen = []
    for event in model.generate(asked, max_tokens=2, stop=lambda: len(seen) > 2):
        if isinstance(event, PromptRead):
            seen.append(event.done)
    assert write(model, asked).text == cold
    model._open(6000)
    assert write(model, asked).text == cold
    model._free_context()
    write(model, messages("Other?", "Something else. " * 30))
    assert write(model, asked).text == cold


def test_one_document_serves_with_another_behind_it(model, tmp_path):
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


def test_a_document_read_ahead_is_cached_and_serves_a_question(model, tmp_path):
    model._free_context()
    cold = write(model, messages())
    cache = DiskPromptCache(tmp_path, model.model, ["hash"], 1 << 30)
    model._free_context()
    (prefix,) = model.prefixes(messages())
    read = []
    for event in model.read(messages(), stop=lambda: len(read) > 2, cache=cache):
        read.append(event.done)
    assert 0 < read[-1] < len(prefix.tokens) and not cache.has(prefix)
    seen = list(model.read(messages(), cache=cache))  # continues there
    assert seen[0].done == read[-1] and seen[-1].done == seen[-1].total == len(prefix.tokens) and cache.has(prefix)
    assert next(iter(model.read(messages(), cache=cache))).done == len(prefix.tokens)
    model._free_context()
    warm = write(model, messages(), cache)
    assert warm.text == cold.text and warm.usage.reused == len(prefix.tokens)


@pytest.mark.parametrize("fit", [4, 3, 1, 0])
def test_as_many_layers_go_to_a_graphics_card_as_fit(tmp_path, monkeypatch, fit):
    """No card is here: one is pretended that refuses more layers than fit. How a real one refuses is not shown."""
    import llama_cpp

    path = tiny_llamas.sliding(tmp_path / "tiny.gguf")
    load, asked = llama_cpp.llama_model_load_from_file, []

    def refuses(name, params):
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
    assert model.gpu_layers == fit and asked == [-1, 3, 2, 1, 0][: len(asked)]
    model.close()


def test_another_try_at_a_prompt_writes_what_it_would_have_alone(model):
    def tried(seed):
        *_, last = model.generate(messages(), max_tokens=8, temperature=0.7, seed=seed)
        return last

    alone = []
    for seed in (1, 2, 3):
        model._free_context()
        alone.append(tried(seed).text)
    model._free_context()
    again = [tried(seed) for seed in (1, 2, 3)]
    assert [done.text for done in again] == alone and len(set(alone)) == 3
    assert again[0].usage.reused == 0 and all(done.usage.reused for done in again[1:])


def passages(question, tail="", rules="Answer from the passages below, and name them. " * 3):
    return [Message("system", rules), Message("user", f"Passages:\n\n{TEXT}\n\nQuestion: {question}", tail=tail)]


def talk(question, tail="", turns=0):
    said = [Message("user", "And the gate, which is shut at night?"), Message("assistant", "It is opened at six. " * 5)]
    return [messages()[0], *said * turns, Message("user", question, tail=tail)]


ASKED = {
    "a document's check": talk("What is the fee?", " Does it say so?"),
    "its answer": talk("What is the fee?"),
    "another question": talk("Which hall is dear?"),
    "a follow-up's check": talk("Why?", " Does it say so?", turns=1),
    "its answer too": talk("Why?", turns=1),
    "a later follow-up": talk("And then?", turns=2),
    "passages' check": passages("What is", " Do they say so?"),
    "their answer": passages("What is", " In one word."),
    "a draft that grew": passages("What is the fee of Hall 7?"),
    "other rules": passages("What is", rules="Answer. " * 30),
    "the document again": talk("What is the fee?"),
}


class Counted(DiskPromptCache):
    loads = 0

    def get(self, prefix, stop=None):
        state = super().get(prefix, stop)
        self.loads += state is not None
        return state


def reuse(model, folder):
    """Ask all of ASKED, each as it is answered cold; return the tokens reused by each and the states loaded."""
    cache = Counted(folder, model.model, ["hash"], 1 << 30)
    cold = {}
    for name, asked in ASKED.items():
        model._free_context()
        cold[name] = weigh(model, asked).shares, write(model, asked).text
    list(model.read(messages(), cache=cache))
    model._free_context()
    reused = {}
    for name, asked in ASKED.items():
        weighed = weigh(model, asked, cache)
        done = write(model, asked, cache)
        assert (weighed.shares, done.text) == cold[name], name
        assert done.usage.reused > 0.8 * done.usage.prompt, name
        reused[name] = weighed.usage.reused
    return reused, cache.loads


@pytest.fixture(scope="module")
def of_full(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    plain = LlamaGenerator("full", tiny_llamas.full(folder / "full.gguf"), threads=1)
    found = reuse(plain, folder)
    plain.close()
    return found


def test_as_much_is_reused_as_with_full_attention(model, of_full, tmp_path):
    found = reuse(model, tmp_path)
    assert found == of_full or model.model == "real"
    assert found[1] == 2  # states loaded: at the first question, and when its memory held passages


def test_with_room_for_no_more_a_document_and_the_last_cut_are_kept(model, monkeypatch, tmp_path):
    monkeypatch.setattr(llama_model, "MAX_CHECKPOINTS", 0)
    (prefix,) = model.prefixes(messages())
    model._free_context()
    for turns in range(3):
        weigh(model, talk("Why?", " Does it say so?", turns))
        assert write(model, talk("Why?", turns=turns)).usage.reused >= len(prefix.tokens)
        assert len(model._context.checkpoints) <= 2
    weigh(model, passages("What is", " Do they say so?"))
    done = write(model, passages("What is"))
    assert done.usage.reused > 0.9 * done.usage.prompt


@pytest.mark.parametrize("share", [0.4, 0.8])
def test_what_was_read_before_a_stop_in_a_batch_is_not_read_again(model, share):
    polls = 0

    def counted():
        nonlocal polls
        polls += 1
        return polls >= last

    last, asked = 1 << 30, messages("What is the fee?", TEXT, TEXT)
    model._free_context()
    cold = [event.done for event in model.read(asked, stop=counted)]
    polls, last = 0, int(polls * share)
    model._free_context()
    stopped = [event.done for event in model.read(asked, stop=counted)]
    assert 0 < stopped[-1] < cold[-1]
    again = [event.done for event in model.read(asked)]
    assert again[0] == stopped[-1] and again[-1] == cold[-1]
    warm = weigh(model, asked)
    model._free_context()
    assert weigh(model, asked).shares == warm.shares and warm.usage.reused == cold[-1]
