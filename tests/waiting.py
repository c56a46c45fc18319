"""What tests wait for, and for how long, on a machine that may be slow and busy."""

import time
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 120.0  # seconds; only a test that fails waits so long


def wait_for(condition, what="it"):
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"{what} never came"
        time.sleep(0.02)
    return found


def ended(pid):
    """Whether a process has ended, though nobody may have reaped it. Looks into /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


@contextmanager
def cheap(seconds):
    """Fail where the block takes more of the processor, however long it waits for it."""
    began = time.process_time()
    yield
    assert time.process_time() - began < seconds
