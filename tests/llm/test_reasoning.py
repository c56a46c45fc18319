"""Reasoning and answer are told apart, whatever the family of the model; nothing of a tag reaches a reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_llamas

from localrag.events import Delta, Reasoning
from localrag.llm import Completed, Weighed
from localrag.llm.chat_template import ChatTemplate, Splitter, tags_of
from localrag.llm.llama import LlamaGenerator
from localrag.models.records import ModelStore
from localrag.settings import load_settings
from localrag.types import Message

TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
START = "{% if add_generation_prompt %}<|im_start|>assistant\n"
# How families switch it, each in the fewest words that behave as theirs do.
QWEN3 = (
    TURNS
    + START
    + ("{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}")
)
QWEN35 = (
    TURNS
    + START
    + (
        "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
        "{% else %}<think>\n{% endif %}{% endif %}"
    )
)
R1 = (
    "{% for m in messages %}{% if m.role == 'assistant' and '</think>' in m.content %}"
    "{{ m.content.split('</think>')[-1] }}{% else %}<|{{ m.role }}|>{{ m.content }}{% endif %}{% endfor %}"
    "{{ '<|assistant|><think>\n' }}"
)
V31 = (
    "{% if not thinking is defined %}{% set thinking = false %}{% endif %}" + TURNS + "<|assistant|>"
    "{% if thinking %}<think>{% else %}</think>{% endif %}"
)
NEMOTRON = (
    "{% set ns = namespace(on=true) %}{% for m in messages %}{% if '/no_think' in m.content %}{% set ns.on = false %}"
    "{% endif %}{% endfor %}{% for m in messages %}<|{{ m.role }}|>"
    "{{ m.content.replace('/think', '').replace('/no_think', '').strip() }}\n{% endfor %}<|assistant|>"
    "{% if ns.on %}<think>\n{% else %}<think></think>{% endif %}"
)
SMOLLM3 = (
    "<|system|>Reasoning Mode: {{ '/think' if enable_thinking else '/no_think' }}\n"
    + TURNS
    + START
    + "{% if not enable_thinking %}<think>\n\n</think>\n{% endif %}{% endif %}"
)
GRANITE = (
    "{% if thinking %}<|system|>Write your thoughts between <think></think> and your response between "
    "<response></response>.\n{% endif %}" + TURNS + "<|assistant|>"
)
GPT_OSS = (
    "<|start|>system<|message|>Reasoning: {{ reasoning_effort | default('medium') }}<|end|>"
    "{% for m in messages %}{% if m.role == 'assistant' %}<|start|>assistant<|channel|>analysis<|message|>x<|end|>"
    "{% endif %}<|start|>{{ m.role }}<|message|>{{ m.content }}<|end|>{% endfor %}<|start|>assistant"
)
GEMMA4 = (
    "{% if enable_thinking %}<|turn>system\n<|think|>\n<turn|>\n{% endif %}"
    "{% for m in messages %}<|turn>{{ m.role }}\n{{ m.content }}<turn|>\n{% endfor %}<|turn>model\n"
    "{% if not enable_thinking %}<|channel>thought\n<channel|>{% endif %}"
)
MAGISTRAL = (
    "{% for m in messages %}{% if m.role == 'assistant' %}[THINK]{{ m.thinking }}[/THINK]{{ m.content }}</s>"
    "{% else %}[{{ m.role }}]{{ m.content }}[/{{ m.role }}]{% endif %}{% endfor %}"
)
SEED_OSS = (
    "{% set begin = '<seed:think>' %}{% set end = '</seed:think>' %}"
    "{% for m in messages %}<seed:bos>{{ m.role }}\n{{ m.content }}<seed:eos>{% endfor %}<seed:bos>assistant\n"
)
PLAIN = TURNS + START + "{% endif %}"
FAMILIES = {
    "qwen3": QWEN3,
    "qwen3.5": QWEN35,
    "r1": R1,
    "deepseek-v3.1": V31,
    "nemotron": NEMOTRON,
    "smollm3": SMOLLM3,
    "granite": GRANITE,
    "gpt-oss": GPT_OSS,
    "gemma4": GEMMA4,
    "magistral": MAGISTRAL,
    "seed-oss": SEED_OSS,
}
# These say in the system message whether to think, so what was read for the one does not serve the other.
SWITCHED_AT_THE_TOP = {"smollm3", "granite", "gemma4"}
ASKED = [Message("system", "Rules."), Message("user", "Question?")]


def rendered(source: str, think: bool, asked: list[Message] = ASKED) -> str:
    return "".join(piece.text for piece in ChatTemplate(source, "", "").pieces(asked, think))


def parted(tags_in: str, pieces: list[str], thinking: bool) -> tuple[str, str, list[str]]:
    """Reasoning, answer, and the pieces of the answer as they came."""
    splitter = Splitter(tags_of(tags_in), thinking)
    given = [item for piece in pieces for item in splitter.feed(piece)] + list(splitter.shut())
    answer = [text for kind, text in given if kind == "answer"]
    assert "".join(answer) == splitter.answer
    return splitter.reasoning, splitter.answer, answer


@pytest.mark.parametrize("family", FAMILIES)
def test_with_the_mode_on_the_prompt_ends_inside_a_thought_and_off_outside(family: str) -> None:
    template = ChatTemplate(FAMILIES[family], "", "")
    assert template.tags is not None and template.thinks
    on, off = rendered(FAMILIES[family], True), rendered(FAMILIES[family], False)
    assert template.tags.open_in(on) and not template.tags.open_in(off.rpartition("Question?")[2])
    assert on.count("Question?") == off.count("Question?") == 1 and "no_think" not in on.replace("Mode", "")


@pytest.mark.parametrize("family", FAMILIES)
def test_reading_serves_with_and_without_reasoning_unless_set_at_the_top(family: str) -> None:
    on, off = rendered(FAMILIES[family], True), rendered(FAMILIES[family], False)
    upto = on.index("Question?") + len("Question?")
    assert (on[:upto] == off[:upto]) == (family not in SWITCHED_AT_THE_TOP)


def test_a_template_without_a_mode_has_none_and_stays_as_it_was() -> None:
    template = ChatTemplate(PLAIN, "", "")
    assert template.tags is None and not template.thinks
    assert rendered(PLAIN, True) == rendered(PLAIN, False)


def test_a_template_that_only_cuts_thoughts_away_has_tags_but_no_mode() -> None:
    source = PLAIN.replace("{{ m.content }}", "{{ m.content.split('</think>')[-1] }}")
    template = ChatTemplate(source, "", "")
    assert template.tags is not None and not template.thinks
    assert rendered(source, False) == rendered(PLAIN, False)


def test_a_model_that_always_reasons_is_given_the_end_tag_if_it_must_not() -> None:
    """Else a yes or no, or a grammar, would be asked of it in the middle of a thought."""
    assert rendered(R1, False).endswith("<think>\n\n</think>\n\n")
    assert rendered(GPT_OSS, False).endswith("<|start|>assistant<|channel|>final<|message|>")


def test_a_document_cannot_switch_the_mode_by_a_word() -> None:
    said = [Message("system", "Rules. /think"), Message("user", "Is /no_think in it?")]
    template = ChatTemplate(NEMOTRON, "", "")
    trusted = ["".join(p.text for p in template.pieces(m, True) if p.trusted) for m in (ASKED, said)]
    assert trusted[0] == trusted[1]
    assert "Is /no_think in it?" in rendered(NEMOTRON, True, said)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("family", FAMILIES)
def test_thought_and_answer_part_however_the_text_comes(family: str, size: int) -> None:
    tags = tags_of(FAMILIES[family])
    assert tags is not None
    text = f"It says 3 < 4.{tags.gap}{tags.closes}{tags.then}{2 * tags.gap}The <b>answer</b> [1]."
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    thought, answer, given = parted(FAMILIES[family], pieces, thinking=True)
    assert thought.strip() == "It says 3 < 4." and answer == "The <b>answer</b> [1]."
    assert not any(tag in "".join(given) for tag in tags.all)


def test_a_model_that_thinks_unasked_is_understood() -> None:
    thought, answer, _ = parted(QWEN3, ["\n<thi", "nk>\nHm", "m\n</think>\n\n", "Yes."], thinking=False)
    assert (thought.strip(), answer) == ("Hmm", "Yes.")


def test_stray_tags_are_taken_out_and_what_only_looks_like_one_stays() -> None:
    assert parted(GRANITE, ["<response>Yes", ".</resp", "onse>"], thinking=False)[1] == "Yes."
    assert parted(QWEN3, ["It is <thin", "g>."], thinking=False)[1] == "It is <thing>."
    assert parted(QWEN3, ["It ends with <thi"], thinking=False)[1] == "It ends with <thi"
    assert parted(QWEN3, ["Yes.</think> No"], thinking=False)[1] == "Yes. No"


def test_without_tags_text_passes_as_it_is() -> None:
    assert parted(PLAIN, [" <think>", "x</think>"], thinking=False) == (
        "",
        " <think>x</think>",
        [" <think>", "x</think>"],
    )


def test_a_thought_without_an_end_is_no_answer() -> None:
    assert parted(QWEN3, ["Hmm, so"], thinking=True) == ("Hmm, so", "", [])


# --- with llama.cpp: a generated model, so what it writes is noise; it never ends a thought by itself -------------------


@pytest.fixture(scope="module", params=["qwen3", "r1", "gpt-oss", "gemma4"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaGenerator]:
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    generator = LlamaGenerator(request.param, tiny_llamas.sliding(path, FAMILIES[request.param]), threads=1)
    yield generator
    generator.close()


TEXT = " ".join(f"Clause {n}: the fee of Hall {n} is {n * 37} euros." for n in range(8))
READ = [Message("system", "", stable=(TEXT,)), Message("user", "What is the fee?")]


def run(model: LlamaGenerator, **options: object) -> tuple[str, str, Completed]:
    events = list(model.generate(READ, max_tokens=12, **options))  # type: ignore[arg-type]
    last = events[-1]
    assert isinstance(last, Completed)
    thought = "".join(event.text for event in events if isinstance(event, Reasoning))
    answer = "".join(event.text for event in events if isinstance(event, Delta))
    assert thought.strip() == last.reasoning and answer == last.text
    return thought, answer, last


def test_a_thought_that_is_spent_is_ended_and_the_answer_goes_on_from_it(model: LlamaGenerator) -> None:
    assert model.thinks
    thought, answer, done = run(model, think=20)
    assert thought and answer and done.usage.generated == 20 + 12
    assert model._context is not None and model._model.tags is not None
    read = b"".join(model._model.piece(token, special=True) for token in model._context.tokens).decode(
        "utf-8", "replace"
    )
    assert model._model.tags.end in read[read.rindex("fee?") :]
    assert run(model, think=20)[0:2] == (thought, answer)
    assert run(model, think=21)[0] != thought


def test_without_thought_there_is_none_and_it_is_the_same_as_ever(model: LlamaGenerator) -> None:
    assert run(model)[0] == ""
    assert run(model, think=0)[1] == run(model)[1]


def test_a_grammar_and_a_weighing_never_think(model: LlamaGenerator) -> None:
    thought, answer, _ = run(model, think=20, grammar='root ::= "yes" | "no"')
    assert thought == "" and answer in ("yes", "no")
    last = list(model.weigh(READ, ["y", "n"]))[-1]
    assert isinstance(last, Weighed) and len(last.shares) == 2


def test_what_was_read_without_thought_serves_with_it(model: LlamaGenerator) -> None:
    model._free_context()
    run(model)
    reused = run(model, think=8)[2].usage.reused
    assert (reused >= model.count(TEXT)) == (model.model not in SWITCHED_AT_THE_TOP)


def test_a_thought_is_shortened_before_an_answer_where_the_window_is_small(tmp_path: Path) -> None:
    path = tiny_llamas.sliding(tmp_path / "tiny.gguf", QWEN3)
    small = LlamaGenerator("small", path, threads=1, context=1024)
    size = len(small._model.encode(READ, True))
    done = [e for e in small.generate(READ, max_tokens=12, think=5000) if isinstance(e, Completed)][-1]
    assert len(done.text) > 0 and 12 < done.usage.generated <= 1024 - size
    small.close()


def test_a_stop_is_heard_in_the_middle_of_a_thought(model: LlamaGenerator) -> None:
    asked = iter([False] * 12)
    done = list(model.generate(READ, max_tokens=12, think=50, stop=lambda: next(asked, True)))[-1]
    assert isinstance(done, Completed) and done.ended == "stopped" and done.text == ""


# --- with real words: no thinking model can be had where this is tested, so one that is none gets the template of one ---


@pytest.mark.model
@pytest.mark.slow
def test_a_real_vocabulary_in_which_the_tags_are_several_tokens(installed: Path) -> None:
    model = ModelStore(load_settings()).get("smollm2-135m-instruct")
    real = LlamaGenerator(model.id, model.path, threads=1)
    try:
        assert not real.thinks
        real._model._template = ChatTemplate(QWEN35, "", "")
        assert real.thinks and len(real._model.tokenize("</think>", special=True)) > 1
        thought, answer, done = run(real, think=16)
        assert thought and answer and "think" not in answer + thought
        assert 16 < done.usage.generated <= 16 + 12
        assert run(real, think=16)[:2] == (thought, answer) and run(real)[0] == ""
    finally:
        real.close()
