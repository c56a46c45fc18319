"""Answers that stand on one place of the text: a quoted sentence, a list, the sides of a comparison."""

import pytest
from asking import ask

from localrag.answer import evidence
from localrag.grounding import prompts
from localrag.types import Usage

SUBLET = "The Tenant may not sublet Hall 3 to any other company."
NOTICE = "The Tenant gives notice of three months before Hall 3 is left."
DUTIES = "The Tenant shall:\n- heat the hall\n- sweep the yard in winter\n"
RIGHTS = "The Landlord may:\n- visit the hall\n- read the meters at night\n"


@pytest.fixture
def lease(shelf):
    return shelf("lease", {"lease.txt": f"{SUBLET} {NOTICE}"})


def reply(quote, way):
    return [("sublet", f"The text says: “{quote}” That is it. So: {way}.")]


@pytest.mark.parametrize(
    ("way", "says", "certainty", "answer"),
    [
        ("no", "no", "sure", f"No: “{SUBLET}” [1]"),
        ("yes", "yes", "sure", f"Yes: “{SUBLET}” [1]"),
        ("no", "yes", "unclear", ""),
    ],
)
def test_yes_or_no_is_sure_where_the_quoted_sentence_says_so(assistant, models, lease, way, says, certainty, answer):
    models.generator.script = reply(SUBLET, way)
    models.generator.weights = [("says so, else no", says)]
    _, made = ask(assistant, "May the tenant sublet Hall 3?", "lease")
    assert made.certainty == certainty and made.answer.startswith(answer or prompts.UNCLEAR)
    assert made.citations[0].quote == SUBLET


def test_a_few_words_of_a_sentence_quote_it_as_a_whole(assistant, models, lease):
    models.generator.script = reply("The Tenant may not sublet Hall 3", "no")
    models.generator.weights = [("says so, else no", "no")]
    _, made = ask(assistant, "May the tenant sublet Hall 3?", "lease")
    assert made.answer == f"No: “{SUBLET}” [1]"


def test_a_quote_in_other_words_gives_way_to_the_sentence_that_has_most_of_them(assistant, models, lease):
    models.generator.script = reply("the Tenant must not sublet", "no")
    models.generator.weights = [("says so, else no", "no")]
    _, made = ask(assistant, "May the tenant sublet Hall 3?", "lease")
    assert made.answer == f"No: “{SUBLET}” [1]"


def test_nothing_said_shows_what_is_near_and_claims_nothing(assistant, models, lease):
    models.generator.script = reply(NOTICE, "not said")
    _, made = ask(assistant, "May the tenant sublet Hall 3?", "lease")
    assert made.certainty == "unclear" and SUBLET in [one.quote for one in made.citations]


def test_an_answer_that_is_no_yes_and_no_no_is_written_from_the_passages(assistant, models, lease):
    models.generator.script = [("The text says|May the tenant", SUBLET)]
    _, made = ask(assistant, "May the tenant sublet Hall 3?", "lease")
    assert made.citations[0].quote == SUBLET
    assert made.tokens.generated > len(SUBLET.split())  # with what the first attempt wrote


def test_a_quote_that_is_stopped_is_no_answer(assistant, models, lease, monkeypatch):
    models.generator.script = reply(SUBLET, "no")
    stops = iter([False, True])
    monkeypatch.setattr(evidence, "_place", lambda *given: pytest.fail("it goes on"))
    monkeypatch.setattr(evidence.Reading, "write", lambda *given: (_ for _ in ()).throw(evidence.Cancelled("stopped")))
    _, made = ask(assistant, "May the tenant sublet Hall 3?", "lease")
    assert next(stops) is False and made.stopped and made.answer == prompts.STOPPED and not made.citations


def test_of_several_lists_the_one_that_holds_the_answer_is_given_whole(assistant, models, shelf):
    shelf("lease", {"lease.txt": DUTIES, "rights.txt": RIGHTS})
    models.generator.weights = [("(?s)Landlord.*hold|Landlord.*state the answer", "yes"), ("state the answer", "no")]
    _, made = ask(assistant, "List the rights of the landlord.", "lease")
    assert made.certainty == "sure" and made.tokens != Usage()
    assert made.answer == "The text lists 2 items [1]:\n- visit the hall\n- read the meters at night"


def test_a_comparison_shows_both_documents_and_is_not_written(assistant, models, shelf):
    shelf(
        "lease",
        {"mill.txt": f"{NOTICE}", "forge.txt": "The Tenant gives notice of two months before the forge is left."},
    )
    _, made = ask(assistant, "Which notice is longer, that of the tenant of the mill or that of the forge?", "lease")
    assert made.certainty == "unclear" and {one.document for one in made.citations} == {"mill.txt", "forge.txt"}
    assert not models.generator.written
