from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import ScriptedGenerator

from localrag.errors import NotFoundError, UsageError
from localrag.evaluation import arena
from localrag.evaluation.arena import Side
from localrag.evaluation.judge import ByCode, ByModel, Given
from localrag.evaluation.runs import Run

RIGHT, WRONG = "It is EUR 2,450.", "It is EUR 90."
TRUE = {"a": 1.0, "b": 0.0, "c": -1.0}


def side(name: str, *answers: str, start: int = 0) -> Side:
    return Side(name, {
        str(n): Given(str(n), f"What is rent {n}?", "EUR 2,450", answer) for n, answer in enumerate(answers, start)
    })  # fmt: skip


def fight(sides: list[Side], judge: Any, results: Run | None = None) -> list[Any]:
    return list(arena.by_grades(arena.matches(sides, 0), judge, results or Run(None, {})))


def test_the_better_side_wins_in_either_order() -> None:
    sides = [side("good", *[RIGHT] * 12), side("bad", *[WRONG] * 12)]
    judged = fight(sides, ByCode())
    assert {bout.swapped for bout, _ in judged} == {True, False}
    report = arena.summarize(judged, sides)
    assert report["pairs"] == [{"first": "good", "second": "bad", "wins": 12, "ties": 0, "losses": 0}]
    assert report["strengths"][0]["side"] == "good" and report["votes"] == report["questions"] == 12


def test_each_side_is_first_about_half_the_time() -> None:
    sides = [side("a", *[RIGHT] * 60), side("b", *[WRONG] * 60)]
    bouts = arena.matches(sides, 0)
    assert 15 < sum(bout.swapped for bout in bouts) < 45
    assert bouts == arena.matches(sides, 0) != arena.matches(sides, 1)
    always_first = arena.summarize([(bout, "first") for bout in bouts], sides)
    assert always_first["strengths"][0]["low"] < 0


def test_a_judge_sees_no_name_and_grades_each_answer_once() -> None:
    model, results = ScriptedGenerator(), Run(None, {})
    sides = [side("secret-a", RIGHT), side("secret-b", WRONG), side("secret-c", "EUR 91.")]
    fight(sides, ByModel(model), results)
    assert len(model.prompts) == 3 + 3  # three answers, and three cases without content
    assert not any("secret" in message.whole for prompt in model.prompts for message in prompt)


def test_equal_answers_tie_without_a_judge() -> None:
    model = ScriptedGenerator()
    sides = [side("a", RIGHT, f"{RIGHT} [1]"), side("b", f"{RIGHT} [2]", RIGHT)]
    report = arena.summarize(fight(sides, ByModel(model)), sides)
    assert model.prompts == [] and report["pairs"][0]["ties"] == 2


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
        arena.with_distinct_names([side("a", RIGHT)])
    assert [one.name for one in arena.with_distinct_names([side("a", RIGHT), side("a", RIGHT)])] == ["a", "a (2)"]


# --- strengths ----------------------------------------------------------------------------------------------


def drawn(questions: int) -> list[tuple[str, str, str, float]]:
    """Votes as sides with these strengths would win them."""
    chance = np.random.default_rng(1)
    return [
        (str(number), one, two, float(chance.random() < 1 / (1 + np.exp(TRUE[two] - TRUE[one]))))
        for number in range(questions)
        for one, two in (("a", "b"), ("b", "c"), ("c", "a"))
    ]


def test_known_strengths_are_recovered_within_their_intervals() -> None:
    found = arena.strengths(drawn(800))
    assert [one["side"] for one in found] == ["a", "b", "c"]
    for one in found:
        assert one["strength"] == pytest.approx(TRUE[one["side"]], abs=0.15)
        assert one["low"] < TRUE[one["side"]] < one["high"]
    assert sum(one["strength"] for one in found) == pytest.approx(0, abs=1e-3)


def test_two_sides_have_the_odds_of_their_wins_and_one_tie() -> None:
    first, second = arena.strengths([(str(n), "x", "y", 1.0 if n < 30 else 0.0) for n in range(40)])
    assert first["strength"] - second["strength"] == pytest.approx(np.log(30.5 / 10.5), abs=1e-3)
    assert first["beats"] == pytest.approx(30.5 / 41, abs=1e-3)


def test_ties_count_half_and_a_clean_sweep_stays_finite() -> None:
    assert arena.strengths([(str(n), "x", "y", 0.5) for n in range(40)])[0]["strength"] == pytest.approx(0, abs=1e-6)
    swept = arena.strengths([(str(n), "x", "y", 1.0) for n in range(20)])
    assert swept[0]["side"] == "x" and 1 < swept[0]["strength"] < 5 and np.isfinite(swept[0]["high"])
    assert arena.strengths([]) == []


def test_intervals_resample_questions_not_votes() -> None:
    votes = [(str(n), "x", "y", float(n < 6)) for n in range(10)]
    once, often = arena.strengths(votes)[0], arena.strengths([vote for vote in votes for _ in range(10)])[0]
    assert often["high"] - often["low"] > 0.9 * (once["high"] - once["low"])


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
