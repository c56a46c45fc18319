from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedGenerator
from office import write

from localrag import api
from localrag.errors import UsageError
from localrag.evaluation import drafting
from localrag.evaluation.datasets import load
from localrag.evaluation.drafting import check
from localrag.settings import Settings
from localrag.store.library import Library

TEXT = (
    "The lease of the harbour office began in March.\nThe monthly rent is EUR 2,450 and is due\non the first day of "
    "the month. Either party may end the lease with ninety days' written notice to the other."
)
GOOD = "What is the monthly rent of the harbour office?"


def reply(question: str = GOOD, answer: str = "EUR 2,450") -> str:
    return json.dumps({"answer": answer, "question": question})


def test_a_draft_quotes_its_answer_and_sentence_from_the_passage() -> None:
    assert check(reply(answer="eur 2,450 and is due on the first day."), TEXT, []) == (
        GOOD, "EUR 2,450 and is due\non the first day",
        "The monthly rent is EUR 2,450 and is due\non the first day of the month.",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ('{"answer": "EUR 2,450", "quest', "the reply was cut off"),
        ("[]", "the reply was cut off"),
        (reply(answer="EUR 2,500"), "the answer is not in the passage"),
        (reply(answer="450"), "the answer is not in the passage"),
        (reply(answer="  ."), "the answer is not in the passage"),
        (reply(answer=TEXT[:118]), "the answer is too long"),
        (reply("The monthly rent of the office."), "it is not a question"),
        (reply("Rent?"), "it is not a question"),
        (reply("What rent does this passage name for the office?"), "the question points at the passage"),
        (reply("What is the rent according to the document?"), "the question points at the passage"),
        (reply("The lease of the harbour office began in?"), "the question is the passage"),
        (reply("Is EUR 2,450 the monthly rent of the office?"), "the question gives the answer away"),
        (reply("How many whales swim near Iceland?"), "the question is about something else"),
        (reply("What is the harbour office's monthly rent?"), "there is already such a question"),
    ],
)  # fmt: skip
def test_a_draft_that_fails_a_check_is_dropped_for_its_reason(given: str, why: str) -> None:
    assert check(given, TEXT, [GOOD]) == why


def test_answers_in_chinese_are_checked_too() -> None:
    text = "租约于三月开始。每月租金为二千四百五十欧元，每月第一天到期。任何一方可提前九十天终止租约。"
    found = check(json.dumps({"answer": "二千四百五十欧元", "question": "每月租金是多少钱？"}), text, [])
    assert found[:2] == ("每月租金是多少钱？", "二千四百五十欧元")


@pytest.fixture(name="library")
def make_library(settings: Settings, tmp_path: Path) -> Iterator[Library]:
    folder = tmp_path / "leases"
    folder.mkdir()
    for name in ("Amber", "Birch", "Cedar", "Delta"):
        clauses = [
            f"The monthly rent of the {name} office on floor {floor} is EUR {floor},450 and is due on the first day of "
            f"the month, paid by the tenant of {name} without any deduction to the account that the landlord names."
            for floor in range(1, 4)
        ]
        (folder / f"{name}.txt").write_text("\f".join(clauses), encoding="utf-8")
    api.open_library("leases", settings=settings, create=True).ingest(folder)
    storage = Library.open(settings.library_dir("leases"), "leases")
    yield storage
    storage.close()


class Drafter(ScriptedGenerator):
    """Asks for the rent that the passage names."""

    def generate(self, messages: Any, **more: Any) -> Any:
        import re

        found = re.search(r"rent of the (\w+) office on floor (\d)", messages[-1].text)
        assert found is not None and more["grammar"] == drafting.DRAFT_GRAMMAR
        self.script = [("", reply(f"What rent is paid for {found[1]} on floor {found[2]}?", f"EUR {found[2]},450"))]
        return super().generate(messages, **more)


def made(library: Library, path: Path, wanted: int, model: ScriptedGenerator | None = None, **more: Any) -> Any:
    return list(drafting.make(library, model or Drafter(), path, wanted=wanted, **more))[-1]


def test_drafts_are_spread_over_the_documents_and_are_a_dataset(library: Library, tmp_path: Path) -> None:
    tally = made(library, tmp_path / "q.jsonl", 4)
    questions = load(tmp_path / "q.jsonl")
    assert tally.kept == 4 and {question.doc for question in questions} == {
        "Amber.txt", "Birch.txt", "Cedar.txt", "Delta.txt",
    }  # fmt: skip
    assert all(question.draft and question.page and question.answer in question.evidence for question in questions)


def test_the_same_seed_drafts_the_same_and_globs_narrow(library: Library, tmp_path: Path) -> None:
    for name, more in (("a", {}), ("b", {}), ("c", {"seed": 1}), ("d", {"documents": ["Am*"]})):
        made(library, tmp_path / name, 3, **more)
    texts = {name: (tmp_path / name).read_text() for name in "abcd"}
    assert texts["a"] == texts["b"] != texts["c"]
    assert {question.doc for question in load(tmp_path / "d")} == {"Amber.txt"}


def test_drafting_goes_on_where_it_stopped_and_ends_when_the_file_is_full(library: Library, tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.jsonl", tmp_path / "q.jsonl"
    made(library, whole, 6)
    polls = iter([False] * 50)
    made(library, path, 6, stop=lambda: next(polls, True))
    assert 0 < len(load(path)) < 6
    made(library, path, 6)
    assert path.read_text() == whole.read_text()
    again = Drafter()
    assert made(library, path, 6, again).kept == 0 and again.prompts == []


def test_a_line_that_a_person_deleted_is_not_drafted_again(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    made(library, path, 4)
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text("".join(rest))
    made(library, path, 4)
    assert len(load(path)) == 4 and json.loads(first)["id"] not in {question.id for question in load(path)}


def test_the_users_own_questions_are_counted_and_not_drafted_again(library: Library, tmp_path: Path) -> None:
    row = {"id": "mine", "question": "What rent is paid for Amber on floor 1?", "answer": "EUR 1,450"}
    path = write(tmp_path / "q.jsonl", [{**row, "doc": "Amber.txt", "evidence": "", "page": 1}])
    tally = made(library, path, 99)
    assert (tally.existing, tally.kept) == (1, 11)
    assert tally.dropped == {"there is already such a question": 1}


def test_a_line_cut_off_by_a_crash_is_taken_away(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    made(library, path, 2)
    whole = path.read_text()
    path.write_text(whole + '{"id": "draft-1", "ques')
    made(library, path, 2)
    assert path.read_text() == whole
    path.write_text(whole.rstrip("\n"))
    made(library, path, 3)
    assert len(load(path)) == 3


def test_a_file_of_something_else_is_left_alone(library: Library, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("Remember the milk")
    with pytest.raises(UsageError, match="line 1"):
        made(library, tmp_path / "notes.txt", 2)
    assert (tmp_path / "notes.txt").read_text() == "Remember the milk"


def test_pages_without_sentences_are_not_asked_about(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t/figures.txt").write_text("\n".join(f"{i} {i * 7} {i * 9} {i * 11}" for i in range(40)))
    api.open_library("t", settings=settings, create=True).ingest(tmp_path / "t")
    storage = Library.open(settings.library_dir("t"), "t")
    assert list(drafting.passages(storage, None, 0)) == []
    storage.close()
