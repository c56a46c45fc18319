"""Lanes: jobs in order, errors handed on, and an end that does not hang."""

from __future__ import annotations

import subprocess
import sys
import threading

from localrag.errors import NotFoundError
from localrag.tui.jobs import Lane


def test_jobs_run_in_order_in_one_thread_that_survives_errors():
    lane, seen, errors = Lane("test"), [], []

    def broken():
        raise KeyError("x")

    def missing():
        raise NotFoundError("gone")

    for job in (lambda: seen.append(threading.get_ident()), broken, missing):
        lane.submit(job, errors.append)
    lane.submit(lambda: seen.append(threading.get_ident()), errors.append)
    assert lane.close(5)
    assert len(seen) == 2 and seen[0] == seen[1] != threading.get_ident()
    assert [error.message for error in errors] == ["internal error: KeyError: 'x'", "gone"]


def test_closing_a_busy_lane_says_so_instead_of_hanging():
    lane, go = Lane("test"), threading.Event()
    lane.submit(lambda: go.wait(5), lambda error: None)
    assert lane.close(0.01) is False
    go.set()


def test_the_app_imports_nothing_heavy():
    code = (
        "import sys, localrag.tui.app; "
        "print([name for name in ('llama_cpp', 'torch', 'faiss', 'numpy', 'sqlite3') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_runs_behind_gives_way_to_each_job_and_goes_on_until_it_is_done():
    lane, seen = Lane("test"), []
    going, finished = threading.Event(), threading.Event()

    def behind(wanted):
        seen.append("behind")
        if len(seen) == 1:
            going.set()
            while not wanted():
                pass
            return False
        finished.set()
        return True

    lane.behind(behind, lambda error: None)
    assert going.wait(5)
    lane.submit(lambda: seen.append("job"), lambda error: None)
    assert finished.wait(5)
    lane.submit(lambda: seen.append("last"), lambda error: None)
    assert lane.close(5)
    assert seen == ["behind", "job", "behind", "last"]


def test_what_fails_behind_is_not_tried_again():
    lane, errors = Lane("test"), []

    def behind(wanted):
        raise NotFoundError("gone")

    lane.behind(behind, errors.append)
    lane.submit(lambda: None, errors.append)
    assert lane.close(5)
    assert [error.message for error in errors] in ([], ["gone"])


def test_a_held_lane_runs_jobs_and_nothing_behind_them():
    lane, seen, done = Lane("test"), [], threading.Event()
    lane.hold(60)
    lane.behind(lambda wanted: bool(seen.append("behind")) or True, lambda error: None)
    lane.submit(done.set, lambda error: None)
    assert done.wait(5)
    assert lane.close(5) and seen == []
