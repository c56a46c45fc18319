"""Speeds as curves, kept level with what answers show; the effective length; a damaged file is no obstacle."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from localrag.answer.answering import answerability
from localrag.llm import calibration
from localrag.llm.calibration import Calibration

# Attention: reading n tokens takes 0.01·n + 0.000002·n² seconds.
_SPEED, _SLOWING = 100.0, 2e-4


def _seconds(after: int, tokens: int) -> float:
    return 0.01 * tokens + 0.000002 * ((after + tokens) ** 2 - after**2)


def test_speeds_are_smoothed_model_by_model(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    first = calibration.record(file, "a", read=(1000, 10.0), written=(100, 10.0))
    assert first.seconds_to_read(1000) == pytest.approx(10, rel=0.01)
    assert first.seconds_to_write(100, after=1000) == pytest.approx(10, rel=0.01)
    second = calibration.record(file, "a", read=(1000, 5.0), written=(100, 5.0))
    assert 5 < second.seconds_to_read(1000) < 10  # type: ignore[operator]
    assert 5 < second.seconds_to_write(100, after=1000) < 10  # type: ignore[operator]
    calibration.record(file, "b", read=(500, 1.0), written=(0, 0.0))
    assert calibration.load(file, "a") == second
    assert calibration.load(file, "b").seconds_to_read(500) == pytest.approx(1, rel=0.01)
    assert calibration.load(file, "b").seconds_to_write(1) is None
    assert calibration.load(file, "c").seconds_to_read(1000) is None


def test_tiny_samples_and_no_time_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    seen = calibration.record(file, "a", read=(20, 1.0), written=(3, 1.0))
    assert (seen.read_speed, seen.write_speed) == (None, None)
    assert calibration.record(file, "a", read=(500, 0.0), written=(50, 0.0)).read_speed is None


def test_a_curve_is_found_again_in_batches_of_it_and_in_noise() -> None:
    batches = [(after, 256) for after in range(0, 8192, 256)]
    exact = calibration.fit(calibration.reading_sample(*batch, _seconds(*batch)) for batch in batches)
    assert exact == (pytest.approx(_SPEED), pytest.approx(_SLOWING, rel=0.01))
    rng = random.Random(1)
    noisy = calibration.fit(
        calibration.reading_sample(*batch, _seconds(*batch) * rng.uniform(0.8, 1.2)) for batch in batches
    )
    assert noisy is not None
    known = Calibration(noisy[0], read_slowing=noisy[1])
    for tokens in (1000, 4000, 8000):
        assert known.seconds_to_read(tokens) == pytest.approx(_seconds(0, tokens), rel=0.1)
    assert known.seconds_to_read(500, after=6000) == pytest.approx(_seconds(6000, 500), rel=0.1)


def test_reading_in_two_goes_takes_as_long_as_in_one() -> None:
    known = Calibration(_SPEED, read_slowing=_SLOWING)
    whole = known.seconds_to_read(8000)
    assert whole == pytest.approx(known.seconds_to_read(3000) + known.seconds_to_read(5000, after=3000))  # type: ignore[operator]
    assert whole > 8 * known.seconds_to_read(1000)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([], None),
        ([(0, 256, 0.0)], None),
        ([(0, 256, 2.56)], (100.0, 0.0)),  # one point: a line
        ([(0, 256, 3.0), (4096, 256, 2.0)], (pytest.approx(102.4, rel=0.01), 0.0)),  # faster later: noise
    ],
)
def test_too_little_and_nonsense_give_a_plain_speed_or_none(
    samples: list[tuple[int, int, float]], expected: object
) -> None:
    assert calibration.fit(calibration.reading_sample(*sample) for sample in samples) == expected


def test_what_an_answer_shows_moves_the_speed_and_keeps_the_curve(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    calibration.save(file, "a", Calibration(_SPEED, 25.0, 4000, read_slowing=_SLOWING, calibrated=True))
    same = calibration.record(file, "a", read=(6000, _seconds(2000, 6000)), written=(0, 0.0), after=2000)
    assert same.read_speed == pytest.approx(_SPEED, rel=0.001)
    for _ in range(20):  # another program takes half of the processor
        slow = calibration.record(file, "a", read=(6000, 2 * _seconds(0, 6000)), written=(0, 0.0))
    assert slow.seconds_to_read(1000) == pytest.approx(2 * _seconds(0, 1000), rel=0.01)
    assert (slow.read_slowing, slow.effective_tokens, slow.calibrated) == (_SLOWING, 4000, True)


def test_a_measured_length_counts_until_the_weights_are_others(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    default = calibration.load(file, "a")
    assert not default.calibrated
    calibration.save(file, "a", Calibration(50.0, 10.0, 2000, calibrated=True, weights="abc", build="1.2"))
    for weights in (None, "abc"):
        known = calibration.load(file, "a", weights)
        assert (known.effective_tokens, known.calibrated, known.build) == (2000, True, "1.2")
    stale = calibration.load(file, "a", "def")
    assert (stale.effective_tokens, stale.calibrated) == (default.effective_tokens, False)
    assert stale.read_speed == 50


def test_saving_speeds_alone_keeps_what_else_is_known(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    calibration.save(file, "a", Calibration(50.0, 10.0, 2000, calibrated=True))
    calibration.save(file, "a", Calibration(60.0, 12.0))
    known = calibration.load(file, "a")
    assert (known.read_speed, known.effective_tokens, known.calibrated) == (60, 2000, True)


def test_a_threshold_from_real_questions_comes_before_a_calibration(tmp_path: Path) -> None:
    file, model = tmp_path / "calibration.json", "qwen2.5-coder-1.5b-instruct"
    calibration.save(file, model, Calibration(50.0, 10.0, 2000, answer_from=0.1, calibrated=True))
    assert calibration.load(file, model).answer_from == 0.7
    assert calibration.load(file, f"{model}+adapter").answer_from == 0.7


@pytest.mark.parametrize("model", ["mystery", "qwen2.5-coder-1.5b-instruct+legal"])
def test_another_model_has_the_threshold_measured_for_its_weights(tmp_path: Path, model: str) -> None:
    file = tmp_path / "calibration.json"
    default = calibration.load(file, model)
    calibration.save(file, model, replace(default, answer_from=0.33, weights="abc"))
    assert calibration.load(file, model, "abc").answer_from == 0.33
    assert calibration.load(file, model, "def").answer_from == default.answer_from


def test_a_default_threshold_is_not_frozen_by_measuring_something_else(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    calibration.save(file, "a", replace(calibration.load(file, "a"), effective_tokens=2000, calibrated=True))
    assert "answer_from" not in json.loads(file.read_text())["a"]


def test_what_was_measured_of_other_weights_goes_when_these_are_measured(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    default = calibration.load(file, "a")
    calibration.save(file, "a", Calibration(50.0, 10.0, 2000, calibrated=True, weights="abc"))
    calibration.save(file, "a", replace(default, answer_from=0.3, weights="def"))
    known = calibration.load(file, "a", "def")
    assert (known.effective_tokens, known.calibrated, known.answer_from) == (default.effective_tokens, False, 0.3)


def test_speeds_alone_of_other_weights_leave_what_was_measured_before(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    calibration.save(file, "a", Calibration(50.0, 10.0, 2000, answer_from=0.3, calibrated=True, weights="abc"))
    calibration.save(file, "a", replace(calibration.load(file, "a", "def"), read_speed=60.0))
    known = calibration.load(file, "a", "abc")
    assert (known.read_speed, known.effective_tokens, known.answer_from) == (60, 2000, 0.3)


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("smollm2-135m-instruct", 1000), ("qwen2.5-coder-0.5b-instruct", 1000), ("qwen2.5-coder-1.5b-instruct", 6000),
        ("qwen2.5-coder-1.5b-instruct+legal", 6000), ("qwen3-8b", 6000), ("qwen3-30b-a3b", 6000), ("mystery", 6000),
    ],
)  # fmt: skip
def test_a_small_model_is_trusted_with_less_until_it_is_measured(tmp_path: Path, model: str, tokens: int) -> None:
    known = calibration.load(tmp_path / "none.json", model)
    assert (known.effective_tokens, known.calibrated) == (tokens, False)


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    file.write_text(json.dumps({"a": {"read_speed": 87.5, "write_speed": 21}}))
    known = calibration.load(file, "a")
    assert (known.read_speed, known.write_speed, known.calibrated) == (87.5, 21, False)
    assert known.seconds_to_read(1000) is not None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b'{"a": 5}',
        b'{"a": {"unknown": 1}}',
        b'{"a": {"read_speed": "x"}}',
        b'{"a": {"effective_tokens": "many", "calibrated": 1, "weights": 5}}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_file_is_taken_for_none_and_replaced(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "calibration.json"
    file.write_bytes(content)
    assert calibration.load(file, "a") == calibration.load(tmp_path / "none.json", "a")
    calibration.record(file, "a", read=(1000, 10.0), written=(0, 0.0))
    assert calibration.load(file, "a").seconds_to_read(1000) == pytest.approx(10, rel=0.01)


def test_a_full_disk_does_not_cost_the_answer(tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("")
    seen = calibration.record(tmp_path / "in the way" / "calibration.json", "a", read=(1000, 10.0), written=(0, 0.0))
    assert seen.seconds_to_read(1000) == pytest.approx(10, rel=0.01)


def test_a_model_that_says_yes_less_readily_answers_where_the_text_fits(tmp_path: Path) -> None:
    # Shares of "yes" and scores of passages that do and do not hold the answer, as the 0.5B model gave them.
    small = calibration.load(tmp_path / "calibration.json", "qwen2.5-coder-0.5b-instruct").answer_from
    assert all(answerability(holds, small, score) >= 0.5 for holds, score in ((0.38, 0.63), (0.44, 0.57)))
    assert all(answerability(holds, small, score) < 0.5 for holds, score in ((0.48, 0.30), (0.36, 0.25)))
