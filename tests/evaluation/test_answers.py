from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from localrag import api
from localrag.answer.assistant import Assistant
from localrag.errors import ModelError, ModelMissing
from localrag.evaluation import answers, totals
from localrag.evaluation.datasets import Question, load, match
from localrag.evaluation.runs import Run
from localrag.settings import Settings
from localrag.types import Answer, Citation, Plan

KNOWN = Question("1", "Rent?", "EUR 2,450", "a.txt", "The monthly rent is EUR 2,450", 3)
QUOTE = Citation("lib", "a.txt", 3, None, "p. 3", "monthly rent is EUR 2,450", 0, 25, 1)
RIGHT = Answer("Rent?", "EUR 2,450 [1].", True, Plan("retrieve", ""), (QUOTE,))


def test_a_right_answer_with_its_place_has_every_figure() -> None:
    figures = answers.score(KNOWN, ["a.txt"], RIGHT, ())
    assert figures.pop("evidence") == figures.pop("evidence_given") == pytest.approx(6 / 7, abs=1e-3)
    assert set(figures) == {
        "exact", "f1", "numeric", "unit", "cited", "cited_document", "cited_page", "quotes_touching", "worth", "right",
    }  # fmt: skip
    assert set(figures.values()) == {1.0}


def test_a_quote_from_another_document_is_a_citation_and_no_more() -> None:
    figures = answers.score(KNOWN, ["b.txt"], RIGHT, ())
    assert (figures["cited"], figures["cited_document"], figures["cited_page"], figures["evidence"]) == (1, 0, 0, 0)


def test_declining_an_answerable_question_scores_nothing() -> None:
    declined = replace(RIGHT, answer="EUR 2,450", found=False, citations=())
    assert set(answers.score(KNOWN, ["a.txt"], declined, ()).values()) == {0.0}


def test_an_unanswerable_question_has_no_figures_of_its_answer() -> None:
    unanswerable = replace(KNOWN, answerable=False)
    assert answers.score(unanswerable, [], RIGHT, ()) == {"worth": 0.0, "right": 0.0}
    assert answers.score(unanswerable, [], replace(RIGHT, found=False), ()) == {"worth": 1.0, "right": 1.0}


def test_declining_is_the_choice_not_mentioned() -> None:
    labelled = replace(KNOWN, answer="Not mentioned", label="NotMentioned")
    choices = ("No", "Not mentioned", "Yes")
    assert answers.score(labelled, [], replace(RIGHT, found=False), choices)["choice"] == 1.0
    assert answers.score(labelled, [], replace(RIGHT, answer="Yes [1]."), choices)["choice"] == 0.0
    assert answers.score(replace(labelled, answer="Yes"), [], replace(RIGHT, answer="Yes."), choices)["choice"] == 1.0


def run(settings: Settings, dataset: Path, results: Run, assistant: Any = None, **more: Any) -> list[Any]:
    library = api.open_library("office", settings=settings)
    questions = load(dataset)
    matched = match(questions, library.documents())
    asker = assistant or Assistant(settings)
    given = {"mode": "retrieve", "within_document": False, **more}
    return [row for _, row in answers.run(questions, matched, library, asker, results, **given)]


def test_answers_are_scored_and_their_quotes_checked(settings: Settings, dataset: Path) -> None:
    rows = run(settings, dataset, Run(None, {}))
    report = totals.summarize(rows)
    assert report["questions"] == 4 and report["failed"] == 0
    assert report["abstention"] == {
        "answered_present": 3, "declined_present": 0, "answered_absent": 0, "declined_absent": 1,
    }  # fmt: skip
    assert report["figures"]["numeric"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 1}
    assert report["figures"]["cited_page"]["mean"] == 1.0
    assert report["quotes"]["verbatim"] == report["quotes"]["shown"] >= 2
    assert rows[2]["figures"]["f1"] < 0.5


def test_a_quote_that_does_not_stand_there_is_not_verbatim(settings: Settings) -> None:
    library = api.open_library("office", settings=settings)
    text = library.page_text("minutes.txt", 3)
    right = Citation("office", "minutes.txt", 3, None, "p. 3", text[16:25], 16, 25, 1)
    assert answers.verbatim(library, right)
    for wrong in (replace(right, start=17), replace(right, page=2), replace(right, page=9), replace(right, quote="")):
        assert not answers.verbatim(library, wrong)
    assert not answers.verbatim(library, replace(right, document="gone.txt"))


def test_what_was_answered_is_not_asked_again(settings: Settings, dataset: Path, tmp_path: Path) -> None:
    first = run(settings, dataset, Run(tmp_path / "out", {}))

    class Nobody:
        def ask(self, question: str, **rest: Any) -> Iterator[Any]:
            raise AssertionError(question)

    assert run(settings, dataset, Run(tmp_path / "out", {}), Nobody()) == first


def test_an_answer_cut_short_by_the_person_is_not_kept(settings: Settings, dataset: Path, tmp_path: Path) -> None:
    polls = iter([False] * 3)
    rows = run(settings, dataset, Run(tmp_path / "out", {}), stop=lambda: next(polls, True))
    assert rows == [] and not (tmp_path / "out").exists()


def test_what_was_answered_is_scored_anew(settings: Settings, dataset: Path, tmp_path: Path) -> None:
    rows = run(settings, dataset, Run(tmp_path / "out", {}))
    wrong = (tmp_path / "out").read_text(encoding="utf-8").replace('"numeric": 1.0', '"numeric": 0.0')
    (tmp_path / "out").write_text(wrong, encoding="utf-8")
    assert run(settings, dataset, Run(tmp_path / "out", {})) == rows


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def ask(self, question: str, **rest: Any) -> Iterator[Any]:
        raise self.error
        yield


def test_a_question_too_long_for_the_model_is_counted_and_the_rest_go_on(settings: Settings, dataset: Path) -> None:
    rows = run(settings, dataset, Run(None, {}), Failing(ModelError("too long")))
    report = totals.summarize(rows)
    assert (report["questions"], report["failed"]) == (0, 4)


def test_a_missing_model_ends_the_run(settings: Settings, dataset: Path) -> None:
    with pytest.raises(ModelMissing):
        run(settings, dataset, Run(None, {}), Failing(ModelMissing("none")))
