from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedGenerator

from localrag import api
from localrag.answer.assistant import Assistant
from localrag.errors import ModelError, ModelMissing, NotFoundError, UsageError
from localrag.evaluation import misses, surveys
from localrag.evaluation.datasets import Matched, Question
from localrag.evaluation.runs import Run
from localrag.settings import Settings

ASK = "Which documents have a rent clause?"
QUOTE = "The monthly rent is EUR 2,450"


def label(document: str, *, yes: bool, answer: str = "", category: str = "Rent") -> Question:
    return Question(f"{document} {category} {answer}", "?", answer, document, answerable=yes, category=category)


def matched(*questions: Question) -> Matched:
    return Matched(questions, (), {document: document for one in questions for document in one.documents})


def found(document: str, yes: bool, **more: Any) -> dict[str, Any]:
    blank = {"answer": "", "place": "", "quote": "", "likelihood": 0.4, "read": "passages"}
    return {"document": document, "found": yes, **blank, **more}


def kept(*rows: dict[str, Any]) -> dict[str, Any]:
    cost = {"seconds": 6.0, "tokens_read": 900, "tokens_written": 30}
    return {"question": ASK, "rows": list(rows), "quotes": 3, "verbatim": 3, "dropped": 1, **cost}


SURVEY = surveys.Survey(ASK, "Rent")
ROWS = kept(found("a", True), found("b", True, place="p. 2", quote="no rent"), found("c", False), found("d", False))
KNOWN = {"a": True, "b": False, "c": True, "d": False}


def test_each_document_is_counted_once_beside_its_label() -> None:
    score = surveys.score(SURVEY, ROWS, KNOWN)
    names = ("documents", "right_yes", "wrong_yes", "missed", "right_no", "without_label")
    assert [score[name] for name in names] == [4, 1, 1, 1, 1, 0]
    assert [score[name]["mean"] for name in ("precision", "recall", "f1")] == [0.5, 0.5, 0.5]
    assert score["f1"]["low"] == 0.0 and score["f1"]["high"] == 1.0
    assert score["f1_always_yes"] == pytest.approx(2 / 3, abs=1e-4)
    assert score["a_document"] == {"seconds": 1.5, "tokens_read": 225.0, "tokens_written": 7.5}
    assert [(row["document"], row["label"]) for row in score["wrong"]] == [("b", False), ("c", True)]


def test_intervals_are_the_same_for_the_same_seed_and_a_point_where_nothing_is_wrong() -> None:
    assert surveys.score(SURVEY, ROWS, KNOWN, 3) == surveys.score(SURVEY, ROWS, KNOWN, 3)
    right = surveys.score(SURVEY, ROWS, {**KNOWN, "b": True, "c": False})
    assert right["f1"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 4} and right["wrong"] == []


def test_where_nothing_was_found_there_is_no_precision_and_a_recall_of_nought() -> None:
    score = surveys.score(SURVEY, kept(found("a", False), found("b", False)), KNOWN)
    assert score["precision"] is None and score["recall"]["mean"] == score["f1"]["mean"] == 0.0
    nowhere = surveys.score(SURVEY, kept(found("b", False)), KNOWN)
    assert nowhere["recall"] is nowhere["f1"] is nowhere["f1_always_yes"] is None


def test_a_document_without_a_label_is_no_wrong_one() -> None:
    score = surveys.score(SURVEY, kept(found("a", True), found("other", True)), KNOWN)
    assert (score["documents"], score["without_label"], score["wrong_yes"]) == (1, 1, 0)


def test_a_document_asked_by_its_parts_says_yes_where_one_of_them_does() -> None:
    score = surveys.score(SURVEY, kept(found("a", False, part="1"), found("a", True, part="2")), KNOWN)
    assert (score["documents"], score["right_yes"], score["missed"]) == (1, 1, 0)


def test_labels_are_of_one_category_and_narrowed_by_what_they_hold() -> None:
    lines = matched(
        label("a", yes=True, answer="State of Delaware", category="Law"), label("b", yes=False, category="Law"),
        label("c", yes=True, answer="Kansas", category="Law"), label("d", yes=True, answer="Delaware"),
    )  # fmt: skip
    law = surveys.survey(ASK, "law", "", lines.questions)
    assert surveys.labels(law, lines) == {"a": True, "b": False, "c": True}
    delaware = surveys.survey(ASK, "Law", "delaware", lines.questions)
    assert surveys.labels(delaware, lines) == {"a": True, "b": False, "c": False}


def test_the_evidence_may_hold_it_and_one_label_that_says_yes_is_enough() -> None:
    renews = replace(label("a", yes=True, answer="1 year"), evidence="It shall\nrenew for successive terms.")
    lines = matched(label("a", yes=False, answer="x"), renews)
    assert surveys.labels(surveys.survey(ASK, "Rent", "shall.renew", lines.questions), lines) == {"a": True}


def test_an_unknown_category_names_those_there_are() -> None:
    with pytest.raises(NotFoundError, match="'Pets'") as error:
        surveys.survey(ASK, "Pets", "", [label("a", yes=True), label("a", yes=True, category="Law")])
    assert "Law, Rent" in str(error.value.hint)
    with pytest.raises(UsageError, match="no regular expression"):
        surveys.survey(ASK, "Rent", "(", [label("a", yes=True)])


def test_the_page_of_misses_tells_what_was_quoted() -> None:
    page = misses.survey_page([surveys.score(SURVEY, ROWS, KNOWN), {"question": "Why?", "error": "too long"}])
    assert "2 of 4 documents wrong" in page and "## b\n\n- wrong yes, likelihood 0.40\n- p. 2: no rent" in page
    assert "## c\n\n- missed" in page and "# Why?\n\ntoo long" in page


# --- asked of a library -------------------------------------------------------------------------------------


@pytest.fixture(name="model")
def make_model() -> ScriptedGenerator:
    reply = json.dumps({"found": True, "answer": "yes", "quote": QUOTE})
    return ScriptedGenerator([("", reply)], weights=[("monthly rent", "yes"), ("", "no")])


def run(settings: Settings, results: Run, assistant: Any = None, **more: Any) -> list[Any]:
    library = api.open_library("office", settings=settings)
    asker = assistant or Assistant(settings)
    return [row for _, row in surveys.run([SURVEY], library, asker, results, **more)]


def test_a_survey_is_asked_once_of_every_document_and_its_quotes_are_looked_up(settings: Settings) -> None:
    done: list[tuple[int, int, str]] = []
    [row] = run(settings, Run(None, {}), progress=lambda *told: done.append(told))
    assert {one["document"]: one["found"] for one in row["rows"]} == {
        "contracts/lease.txt": True, "minutes.txt": False, "policy.txt": False,
    }  # fmt: skip
    assert (row["quotes"], row["verbatim"], row["dropped"]) == (1, 1, 0) and row["tokens_read"] > 0
    assert done == [(number, 3, ASK) for number in (1, 2, 3)]


def test_a_survey_that_is_kept_is_not_asked_again(settings: Settings, tmp_path: Path, model: Any) -> None:
    out = tmp_path / "out.jsonl"
    first = run(settings, Run(out, {}))
    model.prompts.clear()
    assert run(settings, Run(out, {})) == first and model.prompts == []
    assert run(settings, Run(out, {"seed": 1})) and model.prompts, "other settings, another survey"


def test_a_survey_that_was_stopped_is_not_kept(settings: Settings, tmp_path: Path, model: Any) -> None:
    model.weights = []  # yes to all, so that each is written about, and may be stopped there
    out, told = tmp_path / "out.jsonl", []
    assert run(settings, Run(out, {}), progress=lambda *now: told.append(now), stop=lambda: bool(told)) == []
    assert len(told) == 1 and not out.exists()


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def ask(self, question: str, **options: Any) -> Any:
        raise self.error


def test_what_the_model_cannot_take_is_kept_with_its_error(settings: Settings) -> None:
    [row] = run(settings, Run(None, {}), Failing(ModelError("too long")))
    assert surveys.score(SURVEY, row, KNOWN)["error"] == "too long"
    with pytest.raises(ModelMissing):
        run(settings, Run(None, {}), Failing(ModelMissing("no model")))
