"""A calibration from its first question to its figures, with a model whose reach is known; stopped and gone on with."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedGenerator
from forgetful import Forgetful, shown

from localrag.evaluation import calibration_run
from localrag.evaluation.calibration_run import Scope
from localrag.evaluation.datasets import Question
from localrag.evaluation.needles import Filler
from localrag.evaluation.runs import Run
from localrag.llm import Weighed, calibration
from localrag.types import Message, Usage

SCOPE = Scope((1000, 2000, 4000))


@pytest.fixture(scope="module")
def filler() -> Filler:
    sentences = tuple(f"On day {n} the {n % 89}th barge passed the lock at noon. " for n in range(800))
    return Filler(sentences, 8000, "a test", "digest")


class LastStops(ScriptedGenerator):
    """Is stopped after so many weighings."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def weigh(self, *args: Any, **options: Any) -> Iterator[Any]:
        if len(self.prompts) < self.times:
            yield from super().weigh(*args, **options)


def _never() -> bool:
    return False


def _stop_after(times: int) -> Callable[[], bool]:
    left = iter([False] * times)
    return lambda: next(left, True)


def test_the_effective_length_is_how_far_the_model_reaches(filler: Filler) -> None:
    for reach, tokens, at_least in ((100_000, 4000, True), (2400, 2000, False), (1300, 1000, False)):
        results = Run(None, {})
        list(calibration_run.find_needles(Forgetful(reach=reach), filler, SCOPE, results, _never))
        found = calibration_run.effective_of(results, SCOPE)
        assert found is not None and (found.tokens, found.at_least, found.enough) == (tokens, at_least, True)


def test_what_is_missed_is_missed_at_the_depth_beyond_reach(filler: Filler) -> None:
    results = Run(None, {})
    list(calibration_run.find_needles(Forgetful(reach=2400), filler, SCOPE, results, _never))
    by_depth = [calibration_run.tally(results.rows, 4000, depth=depth) for depth in range(5)]
    assert [one.right for one in by_depth[:2]] == [4, 4] and [one.right for one in by_depth[-2:]] == [0, 0]
    assert all(one.asked == 4 for one in by_depth)


def test_all_lengths_are_beginnings_of_one_text_so_that_it_is_read_once(filler: Filler) -> None:
    model = Forgetful()
    list(calibration_run.find_needles(model, filler, SCOPE, Run(None, {}), _never))
    texts = sorted({shown(prompt[0]).strip() for prompt in model.prompts}, key=len)
    assert len(texts) == 3 and texts[1].startswith(texts[0]) and texts[2].startswith(texts[1])


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, filler: Filler) -> None:
    path = tmp_path / "kept.jsonl"
    first = Forgetful()
    steps = list(calibration_run.find_needles(first, filler, SCOPE, Run(path, {"a": 1}), _stop_after(30)))
    assert len(steps) == 30
    with path.open("ab") as stream:
        stream.write(b'{"run": "torn')  # what a crash leaves
    again = Forgetful()
    rest = list(calibration_run.find_needles(again, filler, SCOPE, Run(path, {"a": 1}), _never))
    assert len(again.prompts) == 72 - 30 and rest[-1].done == rest[-1].total == 72
    assert len(Run(path, {"a": 1}).rows) == 72
    assert not Run(path, {"a": 2}).rows


def test_another_model_text_or_scope_starts_over(tmp_path: Path, filler: Filler) -> None:
    path = tmp_path / "kept.jsonl"
    *_, one = calibration_run.results_of(path, "weights", "1.0", filler, SCOPE)
    for given in (
        ("others", "1.0", filler, SCOPE),
        ("weights", "1.0", Filler(filler.sentences, 1, "", "other"), SCOPE),
        ("weights", "1.0", filler, Scope((1000,))),
    ):
        assert calibration_run.results_of(path, *given)[-1].id != one.id


def test_no_text_and_no_answer_is_kept(tmp_path: Path, filler: Filler) -> None:
    path = tmp_path / "kept.jsonl"
    model = Forgetful()
    list(calibration_run.find_needles(model, filler, Scope((1000,)), Run(path, {}), _never))
    kept = path.read_text()
    assert "barge" not in kept and not re.search(r"archive|warehouse|vault|fund|plant", kept)


def test_a_length_that_cannot_be_read_in_the_time_left_is_not_begun(filler: Filler) -> None:
    results = Run(None, {})
    seen = {"length": 1, "depth": 0, "way": "words", "verdict": "right", "write": [0, 0, 0.0]}
    results.add(Question("before", "", "", ""), {"read": [[0, 100_000, 1000.0]], **seen})  # 100 tokens a second
    list(calibration_run.find_needles(Forgetful(), filler, SCOPE, results, _never, lambda: 25.0))
    assert {row["length"] for row in results.rows} == {1, 1000, 2000}


def test_the_threshold_is_asked_once_and_an_interruption_keeps_it(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    model = ScriptedGenerator()
    done = list(calibration_run.ask_threshold(model, Run(path, {}), _never))
    assert done[-1].done == done[-1].total == len(Run(path, {}).rows) == len(model.prompts)
    list(calibration_run.ask_threshold(model, Run(path, {}), _never))
    assert len(model.prompts) == done[-1].total


def test_the_threshold_is_between_the_texts_with_and_without_the_answer() -> None:
    sure = {task.id: 0.9 if task.holds else 0.5 for task in calibration_run.tasks()}
    assert len(sure) == 18
    # Halfway in log odds between 0.9 and 0.5 is 0.75; 0.7 below that is 0.6.
    assert calibration_run.answer_threshold(sure) == 0.6
    assert calibration_run.answer_threshold({id: 1 - share for id, share in sure.items()}) == pytest.approx(
        0.14, abs=0.01
    )
    assert calibration_run.answer_threshold(dict(list(sure.items())[1:])) is None
    assert calibration_run.answer_threshold({**sure, "0/held/0": 1.0}) == pytest.approx(0.6, abs=0.05)


def test_a_threshold_is_saved_only_once_all_is_asked() -> None:
    asked, none, known = Run(None, {}), Run(None, {}), calibration.Calibration(answer_from=0.4)
    list(calibration_run.ask_threshold(LastStops(17), asked, _never))
    assert calibration_run.measured(asked, none, none, SCOPE, known, "abc", "1.0") == known
    list(calibration_run.ask_threshold(ScriptedGenerator(), asked, _never))
    found = calibration_run.measured(asked, none, none, SCOPE, known, "abc", "1.0")
    assert found.answer_from != known.answer_from
    assert (found.weights, found.build, found.calibrated) == ("abc", "1.0", False)


class Joining(ScriptedGenerator):
    """Tells texts with the answer from others; with passages that were read apart only as well as given."""

    def __init__(self, apart: float) -> None:
        super().__init__()
        self.holds = {task.question: task.holds for task in calibration_run.tasks()}
        self.apart = apart

    def weigh(self, messages: Sequence[Message], options: Sequence[str], **rest: Any) -> Iterator[Any]:
        holds = next(holds for question, holds in self.holds.items() if question in messages[-1].whole)
        odds = (2.0 if holds else -2.0) * (self.apart if any(one.blocks for one in messages) else 1.0)
        yes = 1 / (1 + math.exp(-odds))
        yield Weighed((yes, 1 - yes), Usage())


@pytest.mark.parametrize(("kept", "apart"), [(1.0, True), (0.9, True), (0.5, False), (-1.0, False)])
def test_passages_are_read_apart_only_where_nothing_is_lost(kept: float, apart: bool) -> None:
    none, passages = Run(None, {}), Run(None, {})
    *_, last = calibration_run.ask_passages(Joining(kept), passages, _never)
    assert last.done == last.total == len(passages.rows) == 36
    found = calibration_run.measured(none, passages, none, SCOPE, calibration.Calibration(), "abc", "1.0")
    assert found.apart == apart and found.weights == "abc"


def test_half_measured_passages_decide_nothing() -> None:
    none, passages = Run(None, {}), Run(None, {})
    for _ in zip(range(35), calibration_run.ask_passages(Joining(0.5), passages, _never), strict=False):
        pass
    found = calibration_run.measured(none, passages, none, SCOPE, calibration.Calibration(), "abc", "1.0")
    assert found == calibration.Calibration()


def test_speeds_come_from_the_readings_and_the_rest_is_kept_as_known() -> None:
    results = Run(None, {})
    for after in range(0, 4096, 256):
        took = 0.01 * 256 + 0.000002 * ((after + 256) ** 2 - after**2)
        results.add(Question(str(after), "", "", ""), {
            "length": 4000, "depth": 0, "way": "words", "verdict": "right", "read": [[after, 256, took]],
            "write": [after, 10, 10 * (0.04 + 0.00001 * after)],
        })  # fmt: skip
    found = calibration_run.measured(
        Run(None, {}), Run(None, {}), results, Scope((4000,)), calibration.Calibration(answer_from=0.7), "abc", "1.0"
    )
    assert found.seconds_to_read(8000) == pytest.approx(0.01 * 8000 + 0.000002 * 8000**2, rel=0.02)
    assert found.seconds_to_write(10, after=4000) == pytest.approx(0.8, rel=0.02)
    assert (found.effective_tokens, found.calibrated, found.weights, found.answer_from) == (4000, True, "abc", 0.7)
    little = calibration_run.measured(
        Run(None, {}), Run(None, {}), Run(None, {}), Scope((4000,)), calibration.Calibration(50.0), "abc", "1.0"
    )
    assert little == calibration.Calibration(50.0)
