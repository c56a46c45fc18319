from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedGenerator

from localrag.errors import NotFoundError, UsageError
from localrag.evaluation import agreement, arena
from localrag.evaluation.agreement import Given
from localrag.evaluation.arena import Side
from localrag.evaluation.judge import ByCode, ByModel, Preferred
from localrag.evaluation.runs import Run

RIGHT, WRONG = "It is EUR 2,450.", "It is EUR 90."


def side(name: str, *answers: str, start: int = 0) -> Side:
    return Side(name, {
        str(n): Given(str(n), f"What is rent {n}?", "EUR 2,450", answer) for n, answer in enumerate(answers, start)
    })  # fmt: skip


class Watching:
    """A judge that keeps what it was shown."""

    name = identity = "watching"

    def __init__(self, verdict: str = "first") -> None:
        self.verdict = verdict
        self.seen: list[tuple[str, str]] = []

    def grade(self, given: Given, stop: Any) -> None:
        raise NotImplementedError

    def prefer(self, first: Given, second: Given, stop: Any) -> Preferred | None:
        self.seen.append((first.answer, second.answer))
        return Preferred(self.verdict)


def fight(sides: list[Side], judge: Any, results: Run | None = None, **more: Any) -> list[Any]:
    return list(arena.run(arena.matches(sides, 0), judge, results or Run(None, {}), **more))


def test_the_better_side_wins_whichever_was_shown_first() -> None:
    sides = [side("good", *[RIGHT] * 12), side("bad", *[WRONG] * 12)]
    judged = fight(sides, ByCode())
    assert {bout.swapped for bout, _ in judged} == {True, False}
    report = arena.summarize(judged, sides, None)
    assert report["pairs"] == [{"first": "good", "second": "bad", "wins": 12, "ties": 0, "losses": 0}]
    assert report["plain"]["strengths"][0]["side"] == "good" and report["votes"] == report["questions"] == 12


def test_each_side_stands_first_about_half_the_time_and_the_same_for_a_seed() -> None:
    sides = [side("a", *[RIGHT] * 60), side("b", *[WRONG] * 60)]
    one = arena.matches(sides, 0)
    assert 15 < sum(bout.swapped for bout in one) < 45
    assert one == arena.matches(sides, 0) != arena.matches(sides, 1)
    judged = fight(sides, Watching())
    assert arena.summarize(judged, sides, None)["plain"]["strengths"][0]["low"] < 0, "always the first is no side"


def test_a_judge_sees_two_answers_and_no_name() -> None:
    model = ScriptedGenerator()
    fight([side("secret-a", RIGHT), side("secret-b", WRONG)], ByModel(model))
    assert model.prompts and not any("secret" in message.whole for prompt in model.prompts for message in prompt)


def test_the_same_words_are_a_tie_and_nobody_is_asked() -> None:
    judge = Watching()
    sides = [side("a", RIGHT, f"{RIGHT} [1]"), side("b", f"{RIGHT} [2]", RIGHT)]
    report = arena.summarize(fight(sides, judge), sides, None)
    assert judge.seen == [] and report["pairs"][0]["ties"] == 2 and report["same"] == 2


def test_votes_are_kept_and_not_asked_again_and_a_changed_answer_is(tmp_path: Path) -> None:
    path, judge = tmp_path / "arena.jsonl", Watching()
    sides = [side("a", RIGHT, RIGHT), side("b", WRONG, WRONG)]
    first = fight(sides, judge, Run(path, {"judge": "x"}))
    again = fight(sides, judge, Run(path, {"judge": "x"}))
    assert len(judge.seen) == 2 and [row["verdict"] for _, row in again] == [row["verdict"] for _, row in first]
    fight([side("a", RIGHT, RIGHT), side("b", WRONG, "It is EUR 91.")], judge, Run(path, {"judge": "x"}))
    assert len(judge.seen) == 3
    assert sum("verdict" in json.loads(line) for line in path.read_text().splitlines()) == 3


def test_a_stop_keeps_the_votes_that_were_cast(tmp_path: Path) -> None:
    path, judge = tmp_path / "arena.jsonl", Watching()
    sides = [side("a", *[RIGHT] * 5), side("b", *[WRONG] * 5)]
    judged = fight(sides, judge, Run(path, {}), stop=lambda: len(judge.seen) >= 2)
    assert len(judged) == 2
    assert len(fight(sides, judge, Run(path, {}))) == 5 and len(judge.seen) == 5


def test_a_pair_passed_over_is_neither_a_vote_nor_asked_again(tmp_path: Path) -> None:
    path, judge = tmp_path / "arena.jsonl", Watching("passed over")
    sides = [side("a", RIGHT), side("b", WRONG)]
    assert fight(sides, judge, Run(path, {})) == [] == fight(sides, judge, Run(path, {})) and len(judge.seen) == 1


def test_three_sides_meet_in_all_pairs_on_the_questions_that_both_have() -> None:
    sides = [side("a", RIGHT, RIGHT), side("b", WRONG, WRONG), side("c", WRONG, start=1)]
    bouts = arena.matches(sides, 0)
    assert sorted(bout.sides for bout in bouts) == [("a", "b"), ("a", "b"), ("a", "c"), ("b", "c")]
    assert len({bout.question for bout in arena.matches(sides, 0, limit=1)}) == 1


def test_a_third_side_changes_no_order_that_was_there() -> None:
    two = [side("a", *[RIGHT] * 9), side("b", *[WRONG] * 9)]
    three = [*two, side("c", *[WRONG] * 9)]
    before = {bout.id: bout.swapped for bout in arena.matches(two, 0)}
    after = {bout.id: bout.swapped for bout in arena.matches(three, 0)}
    assert all(after[name] == swapped for name, swapped in before.items())


def test_what_has_no_question_in_common_is_told() -> None:
    with pytest.raises(UsageError, match="no two"):
        arena.matches([side("a", RIGHT), side("b", WRONG, start=5)], 0)
    with pytest.raises(UsageError, match="1 side"):
        arena.told_apart([side("a", RIGHT)])
    assert [one.name for one in arena.told_apart([side("a", RIGHT), side("a", RIGHT)])] == ["a", "a (2)"]


def test_a_judge_below_the_least_kappa_decides_nothing() -> None:
    sides = [side("a", RIGHT), side("b", WRONG)]
    poor = agreement.agreement(
        [("first", "second"), ("second", "first"), ("tie", "tie")], 0, {"first": 1, "tie": 0.5, "second": 0}
    )
    assert arena.summarize(fight(sides, ByCode()), sides, poor)["decides"] is False
    assert arena.summarize(fight(sides, ByCode()), sides, None)["decides"] is True


def test_the_share_of_turned_verdicts_is_of_those_that_were_asked() -> None:
    sides = [side("a", RIGHT, RIGHT), side("b", WRONG, RIGHT)]
    report = arena.summarize(fight(sides, ByModel(ScriptedGenerator())), sides, None)
    assert report["turned"] == 1 and report["turned_share"] == 1.0 and report["pairs"][0]["ties"] == 2


# --- files of answers ---------------------------------------------------------------------------------------


def written(path: Path, *runs: tuple[dict[str, Any], list[str]]) -> Path:
    with path.open("w", encoding="utf-8") as stream:
        for number, (settings, answers) in enumerate(runs):
            stream.write(json.dumps({"run": f"r{number}", "settings": {"measure": "answers", **settings}}) + "\n")
            for i, answer in enumerate(answers):
                row = {
                    "run": f"r{number}",
                    "id": str(i),
                    "question": "Rent?",
                    "known": "EUR 2,450",
                    "answer": answer,
                    "found": True,
                }
                stream.write(json.dumps(row) + "\n")
    return path


def test_every_run_of_a_file_is_a_side_named_by_what_tells_it_apart(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.jsonl", ({"mode": "auto", "model": "x"}, [RIGHT]), ({"mode": "read", "model": "x"}, [WRONG])
    )
    assert [(one.name, one.run) for one in arena.read(path)] == [("a: mode=auto", "r0"), ("a: mode=read", "r1")]
    assert [one.name for one in arena.read(written(tmp_path / "b.jsonl", ({}, [RIGHT])))] == ["b"]


def test_failed_questions_other_measures_and_cut_lines_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", ({}, [RIGHT, WRONG]))
    with path.open("a", encoding="utf-8") as stream:
        stream.write('{"run": "r0", "id": "1", "question": "Rent?", "known": "", "error": "too long"}\n')
        stream.write(
            '{"run": "v", "settings": {"measure": "arena"}}\n{"run": "v", "id": "x", "verdict": "tie"}\n{"run": "r0", "i'
        )
    [found] = arena.read(path)
    assert set(found.answers) == {"0"}


def test_a_file_without_answers_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        arena.read(tmp_path / "none.jsonl")
    (tmp_path / "other.jsonl").write_text('{"question": "?"}\n')
    with pytest.raises(UsageError, match="holds no") as error:
        arena.read(tmp_path / "other.jsonl")
    assert "eval answers" in (error.value.hint or "")
