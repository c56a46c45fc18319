"""An answer that repeats itself ends, and nothing else does."""

import pytest
from fakes import ScriptedGenerator

from localrag.grounding.repetition import until_repeated, written
from localrag.llm import Completed
from localrag.types import Message

SAID = "The tenant pays the rent each month."


@pytest.mark.parametrize(
    ("text", "once"),
    [
        (f"First. {SAID} {SAID} {SAID} The", f"First. {SAID}"),
        (f"{SAID}\n\n{SAID}\n\n{SAID}\n", SAID),
        (f"1. {SAID}\n2. {SAID}\n3. {SAID}\n", f"1. {SAID}"),
        (f"- {SAID}\n- {SAID}\n- {SAID}\n", f"- {SAID}"),
        (f"{SAID} {SAID} {SAID}", ""),  # the last may go on
        (f"{SAID} {SAID} Or not. {SAID} ", ""),
        ("Rent: 0.00\n" * 9, ""),
        ("0.00 0.00 0.00 0.00 0.00\n" * 9, ""),
        ("| the tenant pays the rent | 0.00 |\n" * 9, ""),
        ("```\nprint the rent each month\nprint the rent each month\nprint the rent each month\n", ""),
        ("12 months after the start.\n13 months after the start.\n14 months after the start.\n", ""),
        ("Plan A pays up to 10.\nPlan B pays up to 10.\nPlan C pays up to 10.\n", ""),
    ],
)
def test_three_equal_sentences_are_cut_to_one(text, once):
    assert until_repeated(text) == once


@pytest.mark.parametrize(("times", "tokens"), [(2, 15), (3, 22), (30, 24)])
def test_the_model_is_stopped_and_it_is_said(times, tokens):
    model = ScriptedGenerator(otherwise=f"Yes. {' '.join([SAID] * times)}")
    *_, done = written(model, [Message("user", "What?")], stop=lambda: False, max_tokens=400)
    assert isinstance(done, Completed)
    expected = (f"Yes. {SAID}", "repeated") if times > 2 else (f"Yes. {SAID} {SAID}", "end")
    assert (done.text, done.ended) == expected and done.usage.generated <= tokens
