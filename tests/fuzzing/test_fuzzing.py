"""Files of localrag's own that were changed at random are taken or refused: no crash, no hang, no other error.

A share of what `python -m fuzzing.run --cases 10000` does; a finding names the case that brings it back."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from fuzzing.run import follow

pytestmark = pytest.mark.slow  # processes, kernel or kills: left out of `make test-fast`


@pytest.fixture(autouse=True)
def in_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(here), str(here.parent))))


@pytest.mark.skipif(sys.platform == "win32", reason="child processes are watched as Unix has them")
def test_changed_files_are_accepted_or_refused() -> None:
    found = follow(None, 0, 96)
    assert found.findings == []
    assert found.outcomes.total() == 96
    for target in ("damaged", "session", "settings", "keyring"):
        assert found.outcomes[f"{target} refused"], f"nothing of {target} was ever refused"
        assert found.outcomes[f"{target} taken"], f"nothing of {target} was ever taken"
