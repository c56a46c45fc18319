"""A calibration from its first question to its figures, with a model whose reach is known; stopped and gone on with."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import ScriptedGenerator
from forgetful import Forgetful, shown

from localrag.evaluation.calibrate import calibrating, outcome
from localrag.evaluation.calibrate.calibrating import Kept, Scope, Way
from localrag.evaluation.calibrate.filler import Filler
from localrag.llm import calibration

SCOPE = Scope((1000, 2000, 4000))


@pytest.fixture(scope="module")
def filler() -> Filler:
    sentences = tuple(f"On day {n} the {n % 89}th barge passed the lock at noon. " for n in range(800))
    return Filler(sentences, 8000, "a test", "digest")


def _never() -> bool:
    return False


def _stop_after(times: int) -> Callable[[], bool]:
    left = iter([False] * times)
    return lambda: next(left, True)


def test_the_effective_length_is_how_far_the_model_reaches(filler: Filler) -> None:
    for reach, tokens, at_least in ((100_000, 4000, True), (2400, 2000, False), (1300, 1000, False)):
        results = Kept(None, {})
        list(calibrating.find_needles(Forgetful(reach=reach), filler, SCOPE, results, _never))
        found = outcome.figure(results, SCOPE)
        assert found is not None and (found.tokens, found.at_least, found.enough) == (tokens, at_least, True)


def test_what_is_missed_is_missed_at_the_depth_beyond_reach(filler: Filler) -> None:
    results = Kept(None, {})
    list(calibrating.find_needles(Forgetful(reach=2400), filler, SCOPE, results, _never))
    by_depth = [outcome.tally(results, 4000, depth=depth) for depth in range(5)]
    assert [one.right for one in by_depth[:2]] == [4, 4] and [one.right for one in by_depth[-2:]] == [0, 0]
    assert all(one.asked == 4 for one in by_depth)


def test_all_lengths_are_beginnings_of_one_text_so_that_it_is_read_once(filler: Filler) -> None:
    model = Forgetful()
    list(calibrating.find_needles(model, filler, SCOPE, Kept(None, {}), _never))
    texts = sorted({shown(prompt[0]).strip() for prompt in model.prompts}, key=len)
    assert len(texts) == 3 and texts[1].startswith(texts[0]) and texts[2].startswith(texts[1])


def test_more_rounds_ask_other_facts_in_another_order_of_text(filler: Filler) -> None:
    results, model = Kept(None, {}), Forgetful()
    steps = list(calibrating.find_needles(model, filler, Scope((1000,), rounds=3), results, _never))
    assert (len(results.rows), steps[-1].done, steps[-1].total) == (72, 72, 72)
    assert len({shown(prompt[0]) for prompt in model.prompts}) == 3


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, filler: Filler) -> None:
    path = tmp_path / "kept.jsonl"
    first = Forgetful()
    steps = list(calibrating.find_needles(first, filler, SCOPE, Kept(path, {"a": 1}), _stop_after(30)))
    assert len(steps) == 30
    with path.open("ab") as stream:
        stream.write(b'{"run": "torn')  # what a crash leaves
    again = Forgetful()
    rest = list(calibrating.find_needles(again, filler, SCOPE, Kept(path, {"a": 1}), _never))
    assert len(again.prompts) == 72 - 30 and rest[-1].done == rest[-1].total == 72
    assert len(Kept(path, {"a": 1}).rows) == 72
    assert not Kept(path, {"a": 2}).rows


def test_another_model_text_or_shape_begins_anew_and_more_rounds_do_not(tmp_path: Path, filler: Filler) -> None:
    path = tmp_path / "kept.jsonl"
    one = calibrating.kept(path, "weights", "1.0", filler, SCOPE)
    more = calibrating.kept(path, "weights", "1.0", filler, Scope(SCOPE.lengths, rounds=3))
    assert one["needles"].run == more["needles"].run
    for other in (
        calibrating.kept(path, "others", "1.0", filler, SCOPE),
        calibrating.kept(path, "weights", "1.0", Filler(filler.sentences, 1, "", "other"), SCOPE),
        calibrating.kept(path, "weights", "1.0", filler, Scope((1000,))),
    ):
        assert other["needles"].run != one["needles"].run


def test_no_text_and_no_answer_is_kept(tmp_path: Path, filler: Filler) -> None:
    path = tmp_path / "kept.jsonl"
    model = Forgetful()
    list(calibrating.find_needles(model, filler, Scope((1000,)), Kept(path, {}), _never))
    kept = path.read_text()
    assert "barge" not in kept and not re.search(r"archive|warehouse|vault|fund|plant", kept)


def test_a_length_that_cannot_be_read_in_the_time_left_is_not_begun(filler: Filler) -> None:
    results = Kept(None, {})
    seen = {"length": 1, "depth": 0, "way": "words", "said": "right", "write": [0, 0, 0.0]}
    results.add("before", read=[[0, 100_000, 1000.0]], **seen)  # 100 tokens a second
    list(calibrating.find_needles(Forgetful(), filler, SCOPE, results, _never, lambda: 25.0))
    assert {row["length"] for row in results.rows.values()} == {1, 1000, 2000}


def test_skills_are_asked_once_and_stopping_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    model = ScriptedGenerator((("roof", "B"),))
    done = list(calibrating.skills(model, Kept(path, {}), _never))
    assert done[-1].done == done[-1].total == len(Kept(path, {}).rows)
    asked = len(model.prompts)
    list(calibrating.skills(model, Kept(path, {}), _never))
    assert len(model.prompts) == asked


def test_ways_of_running_are_compared_and_only_a_clear_gain_is_advised(filler: Filler) -> None:
    results, made = Kept(None, {}), []

    def make(way: Way) -> Forgetful:
        made.append(way)
        return Forgetful()

    list(calibrating.compare_ways(make, filler, results, _never))
    list(calibrating.compare_ways(make, filler, results, _never))
    assert made == list(calibrating.WAYS)
    for read, advised in ((120.0, True), (105.0, False), (50.0, False)):
        results.add(calibrating.WAYS[1].name, read=read, write=10.0)
        assert (outcome.advice(results, calibrating.WAYS[0]) is not None) is advised


def _parts(needles: Kept) -> dict[str, Kept]:
    return {"skills": Kept(None, {}), "needles": needles, "speed": Kept(None, {})}


def test_the_threshold_of_answering_comes_from_the_small_tasks_once_all_were_asked() -> None:
    parts, known = _parts(Kept(None, {})), calibration.Calibration(answer_from=0.4)
    list(calibrating.skills(ScriptedGenerator(), parts["skills"], _stop_after(20)))
    assert outcome.measured(parts, SCOPE, known, "abc", "1.0") == known
    list(calibrating.skills(ScriptedGenerator(), parts["skills"], _never))
    found = outcome.measured(parts, SCOPE, known, "abc", "1.0")
    assert found.answer_from != known.answer_from
    assert (found.weights, found.build, found.calibrated) == ("abc", "1.0", False)


def test_speeds_come_from_the_readings_and_the_rest_is_kept_as_known() -> None:
    results = Kept(None, {})
    for after in range(0, 4096, 256):
        took = 0.01 * 256 + 0.000002 * ((after + 256) ** 2 - after**2)
        results.add(
            str(after), length=4000, depth=0, way="words", said="right", read=[[after, 256, took]],
            write=[after, 10, 10 * (0.04 + 0.00001 * after)],
        )  # fmt: skip
    found = outcome.measured(_parts(results), Scope((4000,)), calibration.Calibration(answer_from=0.7), "abc", "1.0")
    assert found.seconds_to_read(8000) == pytest.approx(0.01 * 8000 + 0.000002 * 8000**2, rel=0.02)
    assert found.seconds_to_write(10, after=4000) == pytest.approx(0.8, rel=0.02)
    assert (found.effective_tokens, found.calibrated, found.weights, found.answer_from) == (4000, True, "abc", 0.7)
    little = outcome.measured(_parts(Kept(None, {})), Scope((4000,)), calibration.Calibration(50.0), "abc", "1.0")
    assert little == calibration.Calibration(50.0)
