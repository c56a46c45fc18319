"""Files of localrag's own that were changed at random are taken or refused: no crash, no hang, no other error.

A share of what `python -m fuzzing.run --cases 10000` does; a finding names the case that brings it back."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from fuzzing.run import Found, follow, turn


@pytest.fixture(autouse=True)
def in_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(here), str(here.parent))))


@pytest.mark.skipif(sys.platform == "win32", reason="child processes are watched as Unix has them")
def test_two_hundred_changed_files_are_taken_or_refused() -> None:
    found = follow(None, 0, 200)
    assert found.findings == []
    assert found.outcomes.total() == 200
    for target in ("database", "damaged", "session", "settings", "ring"):
        assert found.outcomes[f"{target} refused"], f"nothing of {target} was ever refused"
        assert found.outcomes[f"{target} taken"], f"nothing of {target} was ever taken"


@pytest.mark.skipif(sys.platform == "win32", reason="child processes are watched as Unix has them")
def test_a_crash_a_hang_and_an_exception_are_told_with_their_case(monkeypatch: pytest.MonkeyPatch) -> None:
    import fuzzing.run as run

    code = """
import json, os, sys, time
first = int(sys.argv[sys.argv.index("--first") + 1])
for number in range(first, 4):
    print(json.dumps(["begin", "ring", number]), flush=True)
    if number == 1:
        os.kill(os.getpid(), 11)
    if number == 2:
        time.sleep(60)
    print(json.dumps(["end", "ring", number, "raised ValueError" if number == 3 else "taken"]), flush=True)
"""
    script = Path(os.environ["LOCALRAG_HOME"]).parent / "child.py"
    script.write_text(code)
    real = run.subprocess.Popen
    monkeypatch.setattr(
        run.subprocess, "Popen", lambda command, **more: real([command[0], str(script), *command[3:]], **more)
    )
    monkeypatch.setattr(run, "SECONDS", 2.0)
    found: Found = follow("ring", 0, 4)
    assert found.findings == [
        "ring 1: the process ended with -11", "ring 2: took more than 2 s", "ring 3: raised ValueError",
    ]  # fmt: skip
    assert turn(0) == "database"
