"""An answer of which no word stands in the text is none; one that is borne in part is shown with its marks."""

import pytest
from asking import LEASE, ask

from localrag.answer import checking
from localrag.answer.assistant import Assistant
from localrag.grounding import annotations, prompts
from localrag.types import Passage

MADE_UP = "Elephants cost EUR 9,741 apiece."


@pytest.fixture
def assistant(shelf, models, settings):
    shelf("papers", {"lease.txt": LEASE})
    return Assistant(settings)


@pytest.mark.parametrize("mode", ["retrieve", "read"])
def test_an_unsupported_answer_with_a_made_up_figure_is_withheld(assistant, models, mode):
    models.generator.script = [("", MADE_UP)]
    answer = ask(assistant, "When does the lease of Hall 3 end?", "papers", mode=mode)[1]
    assert not answer.found and answer.answer == prompts.NOT_FOUND and answer.citations == ()
    lines = "\n".join(annotations.warnings(answer.unsupported, answer.flags))
    assert MADE_UP in lines and "EUR 9,741" in lines


def test_what_is_borne_in_part_is_shown(assistant, models):
    models.generator.script = [("", f"The lease of Hall 3 ends on 31 May 2030. {MADE_UP}")]
    answer = ask(assistant, "When does the lease of Hall 3 end?", "papers")[1]
    assert answer.found and MADE_UP in answer.answer and answer.unsupported == (MADE_UP,)


def test_words_without_any_source_are_withheld_too(assistant, models):
    models.generator.script = [("", "Elephants graze beside rivers.")]
    answer = ask(assistant, "When does the lease of Hall 3 end?", "papers")[1]
    assert not answer.found and answer.unsupported == ("Elephants graze beside rivers.",)
    assert answer.certainty == "absent" and answer.nearest


@pytest.mark.parametrize(
    ("answer", "text", "flagged"),
    [
        ("The lease ends on 31 May and is not renewed.", "租约于2030年5月31日终止，不再续签。" * 3, True),
        ("租约于5月31日终止。", "The lease of the hall ends on 31 May and is not renewed.", True),
        ("2030年終了", "契約は2030年5月31日に終了する。", False),
        ("31", "租约于2030年5月31日终止", False),
    ],
)
def test_an_answer_in_another_script_than_its_text_is_flagged(answer, text, flagged):
    passage = Passage("l", "d.txt", None, None, (), text, 0, len(text), 1.0)
    assert (checking.language_flag(answer, [passage]) is not None) == flagged
