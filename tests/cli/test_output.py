"""Sizes, times and tables as the commands print them."""

from __future__ import annotations

import signal

import pytest

from localrag.cli import output


def test_sizes_have_a_unit_and_three_digits() -> None:
    shown = [output.size(count) for count in (0, 999, 1_000, 90_868_376, 1_117_320_768, 2 * 10**12)]
    assert shown == ["0 bytes", "999 bytes", "1.0 KB", "90.9 MB", "1.1 GB", "2.0 TB"]
    assert [output.duration(seconds) for seconds in (0.2, 89, 300, 9_000)] == ["1 s", "89 s", "5 min", "2.5 h"]


def test_the_time_left_follows_the_speed_so_far() -> None:
    now = [0.0]
    pace = output.Pace(clock=lambda: now[0])
    assert pace.left(0, 10) == "" and not pace.due()
    now[0] = 60.0
    assert pace.left(2, 10) == ", about 4 min left" and pace.due() and not pace.due()
    assert pace.left(10, 10) == ""


def test_a_piped_table_is_aligned_plain_text(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("NAME", "SIZE"), [("a", "10 KB"), ("long name", "1\x1b[2J")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].index("SIZE") == lines[1].index("10 KB") == lines[2].index("1")
    assert "\x1b" not in "".join(lines)


def test_the_first_ctrl_c_sets_a_flag_and_the_second_is_raised() -> None:
    before, told = signal.getsignal(signal.SIGINT), []
    with output.interruptible(then=lambda: told.append(True)) as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.asked and told == [True]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
