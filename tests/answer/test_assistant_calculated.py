"""Calculated answers through the assistant: in both plans, with verbatim quotes, and the model where code has none."""

import pytest
from asking import FILLER

from localrag.answer.assistant import Assistant
from localrag.events import Answered, Delta

TABLE = """Results

| £000 | 2021 | 2020 |
| Yarn | 1,240 | 1,000 |
| Total revenue | 1,550 | 1,250 |

Kestrel is the largest brand.
"""


@pytest.fixture
def mill(shelf):
    return shelf("mill", {"accounts.md": TABLE, "filler.txt": FILLER})


def ask(assistant, question, **options):
    events = list(assistant.ask(question, libraries=["mill"], **options))
    assert isinstance(events[-1], Answered)
    return any(isinstance(event, Delta) for event in events), events[-1].answer


@pytest.mark.parametrize("mode", ["retrieve", "read"])
def test_a_calculation_is_answered_by_code_with_verbatim_quotes(assistant, models, mill, mode):
    written, answer = ask(
        assistant,
        "What was the percentage change in total revenue from 2020 to 2021?",
        mode=mode,
        documents=["accounts.md"],
    )
    assert not written and answer.found and answer.plan.kind == mode and answer.model is None
    assert [working.expression for working in answer.workings] == ["(1,550 − 1,250) / 1,250"]
    assert "24 %" in answer.answer
    text = mill.page_text(mill.document("accounts.md").id, 0)
    for citation in answer.citations:
        assert text[citation.start : citation.end] == citation.quote == "| Total revenue | 1,550 | 1,250 |"


def test_what_code_cannot_calculate_is_written_by_the_model(assistant, models, mill):
    models.generator.script = [("largest brand", "Kestrel is the largest brand.")]
    written, answer = ask(assistant, "What is the largest brand?")
    assert written and not answer.workings and answer.model is not None


def test_a_short_answer_is_the_result_alone(settings, models, mill):
    made = Assistant(settings.with_options(answer_form="short"))
    _, answer = ask(made, "What was the change in yarn from 2020 to 2021?")
    made.close()
    assert answer.answer == "£240 thousand [1]."
