"""Bytes that were changed at random are taken or refused: no crash, no hang, no error but the documented ones.

A share of what `guided.py --cases 1000` does; a finding names the case that brings it back.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CASES = 8


@pytest.mark.slow
def test_changed_bytes_are_accepted_or_refused():
    command = [sys.executable, Path(__file__).with_name("guided.py"), "--cases", str(CASES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) > 10 and all(counts == [CASES, 0] for counts in found.values())
