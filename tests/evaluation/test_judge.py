from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedGenerator

from localrag.evaluation import judge
from localrag.evaluation.agreement import Given
from localrag.evaluation.judge import ByCode, ByModel
from localrag.evaluation.runs import Run
from localrag.llm.generation import Weighed
from localrag.types import Message, Usage

RENT = Given("1", "What is the rent?", "EUR 2,450", "It is EUR 2,450 [1].")
WRONG = Given("2", "What is the rent?", "EUR 2,450", "EUR 90")


def never() -> bool:
    return False


class Leaning(ScriptedGenerator):
    """A model that gives its options the shares that `lean` says of the last message."""

    lean: Callable[[str], Sequence[float]]

    def weigh(self, messages: Sequence[Message], options: Sequence[str], **more: Any) -> Iterator[Any]:
        self.prompts.append(tuple(messages))
        stop = more.get("stop")
        yield Weighed(() if stop is not None and stop() else tuple(self.lean(messages[-1].whole)), Usage())


def leaning(lean: Callable[[str], Sequence[float]]) -> Leaning:
    model = Leaning()
    model.lean = lean
    return model


def test_a_model_weighs_a_grade_and_the_score_is_its_expected_worth() -> None:
    model = leaning(lambda last: (0.5, 0.25, 0.25) if "N/A" not in last else (1 / 3, 1 / 3, 1 / 3))
    graded = ByModel(model).grade(RENT, never)
    assert graded is not None and graded.grade == "right" and graded.worth == pytest.approx(0.625)


def test_what_a_model_likes_to_say_of_nothing_does_not_count() -> None:
    model = leaning(lambda last: (0.9, 0.05, 0.05) if "N/A" in last else (0.8, 0.05, 0.15))
    graded = ByModel(model).grade(WRONG, never)
    assert graded is not None and graded.grade == "wrong" and sum(graded.shares) == pytest.approx(1)


def test_nothing_is_one_case_of_each_grade() -> None:
    """Of the same nothing twice "right" would be no leaning."""
    model = ScriptedGenerator()
    ByModel(model).grade(RENT, never)
    asked = [messages[-1].whole.split("\n", 1)[1] for messages in model.prompts]
    assert asked[:3] == [
        "Known answer: A\nAnswer to check: A", "Known answer: A, B\nAnswer to check: A",
        "Known answer: A\nAnswer to check: B",
    ]  # fmt: skip


def test_the_judge_is_told_neither_who_answered_nor_markers() -> None:
    model = ScriptedGenerator()
    ByModel(model).grade(Given("setting-x", "Rent?", "EUR 1", "EUR 1 [1][2].", "The evidence."), never)
    told = model.prompts[-1][-1].whole
    assert told == "Question: Rent?\nKnown answer: EUR 1\nAnswer to check: EUR 1."


def test_code_tells_what_declines_and_what_is_made_up_so_no_model_is_asked() -> None:
    model = ScriptedGenerator()
    who = ByModel(model)
    declined = who.grade(Given("1", "Rent?", "EUR 1", "The documents do not say."), never)
    made_up = who.grade(Given("2", "Rent?", "", "EUR 9", answerable=False), never)
    assert declined is not None and (declined.grade, declined.worth) == ("declined", 0.0)
    assert made_up is not None and (made_up.grade, made_up.worth) == ("wrong", 0.0)
    assert model.prompts == []


def test_a_pair_is_asked_in_both_orders_and_the_better_wins_whichever_stands_first() -> None:
    right = lambda last: "Answer 1: It is EUR 2,450" in last  # noqa: E731
    who = ByModel(leaning(lambda last: (0.5, 0.5) if "N/A" in last else (0.9, 0.1) if right(last) else (0.2, 0.8)))
    one, two = who.prefer(RENT, WRONG, never), who.prefer(WRONG, RENT, never)
    assert one is not None and two is not None
    assert (one.side, one.turned, two.side, two.turned) == ("first", False, "second", False)


def test_a_verdict_that_turns_with_the_order_is_a_tie() -> None:
    # Of nothing it says 1 and 2 alike, so this is no leaning that calibration takes away.
    who = ByModel(leaning(lambda last: (0.5, 0.5) if "N/A" in last else (0.7, 0.3)))
    preferred = who.prefer(RENT, WRONG, never)
    assert preferred is not None and preferred.side == "tie" and preferred.turned


def test_leaning_to_the_first_place_is_calibrated_away() -> None:
    right = lambda last: "Answer 1: It is EUR 2,450" in last  # noqa: E731
    who = ByModel(leaning(lambda last: (0.8, 0.2) if "N/A" in last else (0.95, 0.05) if right(last) else (0.7, 0.3)))
    preferred = who.prefer(RENT, WRONG, never)
    assert preferred is not None and preferred.side == "first" and not preferred.turned


def test_the_same_words_are_a_tie_without_asking() -> None:
    model = ScriptedGenerator()
    preferred = ByModel(model).prefer(RENT, Given("1", RENT.question, RENT.known, "It is EUR 2,450."), never)
    assert preferred is not None and preferred.side == "tie" and model.prompts == []


def test_code_prefers_the_better_grade_and_a_wrong_answer_is_worse_than_none() -> None:
    none = Given("1", "What is the rent?", "EUR 2,450", "The documents do not say.")
    verdicts = [ByCode().prefer(*pair, never) for pair in ((RENT, WRONG), (WRONG, none), (none, RENT), (RENT, RENT))]
    assert [verdict.side for verdict in verdicts if verdict] == ["first", "second", "second", "tie"]


def test_what_was_graded_is_not_graded_again_and_another_answer_is(tmp_path: Path) -> None:
    model = ScriptedGenerator()
    who, path = ByModel(model), tmp_path / "grades.jsonl"
    assert len(list(judge.run([RENT, WRONG], who, Run(path, {"judge": 1})))) == 2
    model.prompts.clear()
    again = list(judge.run([RENT, WRONG], who, Run(path, {"judge": 1})))
    assert [row["grade"] for _, row in again] == ["right", "right"] and model.prompts == []
    changed = Given("2", WRONG.question, WRONG.known, "EUR 91")
    list(judge.run([RENT, changed], who, Run(path, {"judge": 1})))
    assert len(model.prompts) == 1


def test_what_a_stop_cut_short_is_not_kept(tmp_path: Path) -> None:
    asked = []

    def stop() -> bool:
        asked.append(True)
        return len(asked) > 4

    who = ByModel(leaning(lambda last: (1.0, 0.0, 0.0)))
    results = Run(tmp_path / "grades.jsonl", {})
    first = list(judge.run([RENT, WRONG], who, results, stop=stop))
    assert len(first) < 2
    rest = list(judge.run([RENT, WRONG], who, Run(tmp_path / "grades.jsonl", {})))
    assert len(rest) == 2


def test_a_judge_of_other_words_is_another_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    before = ByModel(ScriptedGenerator()).identity
    monkeypatch.setattr(judge, "_RULES", "Be kind.")
    assert ByModel(ScriptedGenerator()).identity != before


def test_a_judge_that_says_the_same_of_everything_agrees_with_nobody() -> None:
    found = list(judge.on_sample(ByModel(ScriptedGenerator()), Run(None, {})))
    agreed = judge.of_grades(found)
    assert agreed is not None and not agreed.decides
    assert agreed.table["right", "right"] > 0 and agreed.table["wrong", "right"] > 20


def test_pairs_of_the_sample_are_one_question_each_and_the_same_for_a_seed() -> None:
    pairs = judge.sample_pairs()
    assert pairs == judge.sample_pairs() and len(pairs) == judge.SAMPLE_PAIRS
    assert all(one.question == two.question and one.id != two.id for one, two, _ in pairs)
    assert {label for _, _, label in pairs} == {"first", "second", "tie"}
    verdicts = list(judge.pairs_on_sample(ByCode(), Run(None, {})))
    agreed = judge.of_verdicts(verdicts)
    assert agreed is not None and agreed.n == judge.SAMPLE_PAIRS


def test_a_run_is_summed_up_by_score_and_grades() -> None:
    rows = [(RENT, {"grade": "right", "worth": 1.0}), (WRONG, {"grade": "wrong", "worth": 0.0})]
    found = judge.summarize(rows)
    assert found["score"]["mean"] == 0.5 and found["grades"] == {"right": 1, "partly": 0, "wrong": 1, "declined": 0}
    assert judge.summarize([])["score"] is None
