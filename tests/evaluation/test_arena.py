from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from localrag.errors import NotFoundError, UsageError
from localrag.evaluation import arena
from localrag.evaluation.arena import Side
from localrag.evaluation.judge import Given

RIGHT, WRONG = "It is EUR 2,450.", "It is EUR 90."


def side(name: str, *answers: str, start: int = 0) -> Side:
    return Side(
        name,
        {str(n): Given(str(n), f"What is rent {n}?", "EUR 2,450", answer) for n, answer in enumerate(answers, start)},
    )


def test_the_better_side_wins_in_either_order() -> None:
    bouts = arena.matches([side("good", *[RIGHT] * 12), side("bad", *[WRONG] * 12)], 0)
    assert {bout.swapped for bout in bouts} == {True, False}
    report = arena.summarize([(bout, "first" if bout.first.answer == RIGHT else "second") for bout in bouts])
    share = {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 12}
    assert report["pairs"] == [{"first": "good", "second": "bad", "wins": 12, "ties": 0, "losses": 0, "share": share}]
    assert report["votes"] == report["questions"] == 12


def test_a_tie_is_half_a_win() -> None:
    bouts = arena.matches([side("a", RIGHT, RIGHT), side("b", RIGHT, RIGHT)], 0)
    [pair] = arena.summarize([(bout, "tie") for bout in bouts])["pairs"]
    assert pair["ties"] == 2 and pair["share"]["mean"] == 0.5
    assert arena.summarize([]) == {"questions": 0, "votes": 0, "pairs": []}


def test_three_sides_meet_on_the_questions_they_share() -> None:
    sides = [side("a", RIGHT, RIGHT), side("b", WRONG, WRONG), side("c", WRONG, start=1)]
    bouts = arena.matches(sides, 0)
    assert sorted(bout.sides for bout in bouts) == [("a", "b"), ("a", "b"), ("a", "c"), ("b", "c")]
    assert len({bout.question for bout in arena.matches(sides, 0, limit=1)}) == 1
    two = {bout.question: bout.swapped for bout in arena.matches(sides[:2], 0)}
    assert {bout.question: bout.swapped for bout in bouts if bout.sides == ("a", "b")} == two


def test_sides_that_cannot_meet_are_refused() -> None:
    with pytest.raises(UsageError):
        arena.matches([side("a", RIGHT), side("b", WRONG, start=5)], 0)
    with pytest.raises(UsageError):
        arena.matches([side("a", RIGHT)], 0)
    assert [one.sides for one in arena.matches([side("a", RIGHT), side("a", RIGHT)], 0)] == [("a", "a (2)")]


# --- files of answers ---------------------------------------------------------------------------------------


def written(path: Path, *runs: tuple[dict[str, Any], list[str]]) -> Path:
    with path.open("w", encoding="utf-8") as stream:
        for number, (settings, answers) in enumerate(runs):
            stream.write(json.dumps({"run": f"r{number}", "settings": {"measure": "answers", **settings}}) + "\n")
            for i, answer in enumerate(answers):
                row = {"id": str(i), "question": "Rent?", "known": "EUR 2,450", "answer": answer, "found": True}
                stream.write(json.dumps({"run": f"r{number}", **row}) + "\n")
    return path


def test_each_run_of_a_file_is_a_side_named_by_what_differs(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.jsonl", ({"mode": "auto", "model": "x"}, [RIGHT]), ({"mode": "read", "model": "x"}, [WRONG])
    )
    assert [(one.name, one.run) for one in arena.read(path)] == [("a: mode=auto", "r0"), ("a: mode=read", "r1")]
    assert [one.name for one in arena.read(written(tmp_path / "b.jsonl", ({}, [RIGHT])))] == ["b"]


def test_failed_questions_other_measures_and_cut_lines_are_skipped(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", ({}, [RIGHT, WRONG]))
    with path.open("a", encoding="utf-8") as stream:
        stream.write('{"run": "r0", "id": "1", "question": "Rent?", "known": "", "error": "too long"}\n')
        stream.write('{"run": "v", "settings": {"measure": "arena"}}\n{"run": "v", "id": "x", "verdict": "tie"}\n')
        stream.write('{"run": "r0", "i')
    [found] = arena.read(path)
    assert set(found.answers) == {"0"}


def test_a_file_without_answers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        arena.read(tmp_path / "none.jsonl")
    (tmp_path / "other.jsonl").write_text('{"question": "?"}\n')
    with pytest.raises(UsageError):
        arena.read(tmp_path / "other.jsonl")
