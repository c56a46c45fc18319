"""Speeds seen on this machine, smoothed; a damaged file is no obstacle."""

from __future__ import annotations

from pathlib import Path

import pytest

from localrag import calibration


def test_speeds_are_smoothed_model_by_model(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    first = calibration.record(file, "a", read=(1000, 10.0), written=(100, 10.0))
    assert (first.read_speed, first.write_speed) == (100, 10)
    second = calibration.record(file, "a", read=(2000, 10.0), written=(100, 5.0))
    assert 100 < second.read_speed < 200 and 10 < second.write_speed < 20  # type: ignore[operator]
    calibration.record(file, "b", read=(500, 1.0), written=(0, 0.0))
    assert calibration.load(file, "a") == second
    assert calibration.load(file, "b").read_speed == 500 and calibration.load(file, "b").write_speed is None
    assert calibration.load(file, "c").read_speed is None
    assert second.seconds_to_read(1000) == pytest.approx(1000 / second.read_speed)  # type: ignore[operator]
    assert calibration.load(file, "c").seconds_to_read(1000) is None


def test_tiny_samples_and_no_time_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    seen = calibration.record(file, "a", read=(20, 1.0), written=(3, 1.0))
    assert (seen.read_speed, seen.write_speed) == (None, None)
    assert calibration.record(file, "a", read=(500, 0.0), written=(50, 0.0)).read_speed is None


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
        b"\xff\xfe",
    ],
)
def test_a_damaged_file_is_taken_for_none_and_replaced(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "calibration.json"
    file.write_bytes(content)
    assert calibration.load(file, "a").read_speed is None
    calibration.record(file, "a", read=(1000, 10.0), written=(0, 0.0))
    assert calibration.load(file, "a").read_speed == 100


def test_a_full_disk_does_not_cost_the_answer(tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("")
    seen = calibration.record(tmp_path / "in the way" / "calibration.json", "a", read=(1000, 10.0), written=(0, 0.0))
    assert seen.read_speed == 100
