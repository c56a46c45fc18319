"""A quote from a text without pages is cited under the heading over it, not under that of the passage it was found in."""

import json
from contextlib import closing

import pytest
from asking import ask

from localrag import api
from localrag.answer.reviewer import Reviewer
from localrag.events import ReviewEnded
from localrag.items import deadlines
from localrag.items.playbook import Playbook, PlaybookItem

# Sections so short that one passage holds them all.
TEXT = """# Agreement

## 5. Disclosure

5.1 If a court requires disclosure, the recipient shall give notice within five days.

## 6. Return

6.1 On request the recipient shall return or destroy all documents and send a certificate signed by a director.

6.2 The recipient may keep one copy with its legal adviser for proof.
"""
QUOTE = "If a court requires disclosure, the recipient shall give notice within five days."
PLACE = "Agreement › 5. Disclosure"


@pytest.fixture
def library(settings, assistant, folder):
    with closing(api.open_library("law", settings=settings, create=True)) as made:
        made.ingest(folder({"nda.md": TEXT}))
    library = assistant.library("law")
    assert any("5.1" in one.text and "6.1" in one.text for one in library.chunks_of(library.documents()[0].id))
    return library


def test_an_answer(library, assistant, models):
    models.generator.otherwise = f"The recipient gives notice. “{QUOTE}” [1]"
    _, answer = ask(assistant, "What does the recipient do if a court requires disclosure?", "law")
    assert [one.place for one in answer.citations if QUOTE in one.quote] == [PLACE]


def test_a_review_by_code_and_by_the_model(library, assistant, models):
    models.generator.weights = [("", "yes")]
    models.generator.script = [("", json.dumps({"found": True, "answer": "five days", "quote": QUOTE}))]
    items = (
        PlaybookItem("court", "May a court require disclosure?", "yes/no", like=(QUOTE,), headings=("Disclosure",)),
        PlaybookItem("who", "Who gives notice of disclosure to whom?", "party"),
    )
    *_, ended = Reviewer(assistant).review(Playbook("Test", items), libraries=["law"])
    assert isinstance(ended, ReviewEnded)
    assert {(bool(one.model), one.citation and one.citation.place) for one in ended.findings} == {
        (False, PLACE),
        (True, PLACE),
    }


def test_a_survey(library, assistant, models):
    models.generator.weights = [("", "yes")]
    models.generator.script = [("", json.dumps({"found": True, "answer": "notice", "quote": QUOTE}))]
    question = "Which documents say that a court may require disclosure?"
    _, answer = ask(assistant, question, "law", mode="survey")
    assert [row["place"] for row in answer.table] == [PLACE]


def test_a_deadline(library):
    (document,) = library.documents()
    assert [one.citation.place for one in deadlines.find("law", document, library.pages(document.id))] == [PLACE]
