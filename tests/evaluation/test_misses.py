from __future__ import annotations

from pathlib import Path

from localrag import api
from localrag.evaluation import misses, retrieval
from localrag.evaluation.datasets import load, match
from localrag.evaluation.runs import Run
from localrag.settings import Settings


def test_a_question_is_missed_at_the_finest_level_that_is_known_of_it() -> None:
    rows = [
        {"ranks": {"document": 1, "page": 6}}, {"ranks": {"document": 1, "page": 5}},
        {"ranks": {"document": 1, "page": 1, "evidence": None}}, {"ranks": {"document": None}},
    ]  # fmt: skip
    assert [(rows.index(row), level) for row, level in misses.missed(rows)] == [
        (0, "page"), (2, "evidence"), (3, "document"),
    ]  # fmt: skip


def test_the_page_tells_what_was_wanted_and_what_was_found(settings: Settings, dataset: Path) -> None:
    library = api.open_library("office", settings=settings)
    questions = [question for question in load(dataset) if question.id == "treasurer"]
    matched = match(questions, library.documents())
    rows = [
        {**row, "ranks": {"document": 1, "page": None}}
        for _, row in retrieval.run(questions, matched, library, Run(None, {}), k=5, within_document=False)
    ]
    text = misses.page(rows, library)
    assert text.startswith("# 1 of 1 questions missed") and "- page: not found, name" in text
    assert "- wanted: minutes.txt, p. 3" in text and "- evidence (100 % covered): The board chose" in text
    assert "- found 1: minutes.txt, p. 3: The board chose Ada Quill as its treasurer." in text


def test_a_document_that_is_gone_is_said(settings: Settings) -> None:
    library = api.open_library("office", settings=settings)
    row = {
        "id": "1", "question": "Why?", "category": "", "page": None, "documents": ["gone.txt"], "coverage": None,
        "ranks": {"document": None}, "passages": [{"document": "gone.txt", "page": 2, "start": 0, "end": 3}],
    }  # fmt: skip
    assert "- found 1: gone.txt, p. 2: (not there any more)" in misses.page([row], library)
