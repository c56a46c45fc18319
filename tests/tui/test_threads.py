import subprocess
import sys
import threading

import pytest
from waiting import PATIENCE

from localrag.errors import NotFoundError
from localrag.tui.threads import JobThread


@pytest.fixture
def thread():
    return JobThread("test")


def test_jobs_run_in_order_in_one_thread_that_survives_errors(thread):
    seen, errors = [], []

    def broken():
        raise KeyError("x")

    def missing():
        raise NotFoundError("gone")

    for job in (lambda: seen.append(threading.get_ident()), broken, missing):
        thread.submit(job, errors.append)
    thread.submit(lambda: seen.append(threading.get_ident()))
    assert thread.close(PATIENCE)
    assert len(seen) == 2 and seen[0] == seen[1] != threading.get_ident()
    assert [type(error).__name__ for error in errors] == ["LocalragError", "NotFoundError"]


def test_closing_a_busy_thread_returns(thread):
    go = threading.Event()
    thread.submit(lambda: go.wait(PATIENCE))
    assert thread.close(0.01) is False
    go.set()


def test_the_app_imports_nothing_heavy():
    heavy = ("llama_cpp", "torch", "faiss", "numpy", "sqlite3", "markdown_it")
    code = f"import sys, localrag.tui.app; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_work_behind_gives_way_to_each_job_until_it_is_done(thread):
    seen, going, finished = [], threading.Event(), threading.Event()

    def behind(wanted):
        seen.append("behind")
        if len(seen) == 1:
            going.set()
            while not wanted():
                pass
            return False
        finished.set()
        return True

    thread.behind(behind, lambda error: None)
    assert going.wait(PATIENCE)
    thread.submit(lambda: seen.append("job"))
    assert finished.wait(PATIENCE)
    thread.submit(lambda: seen.append("last"))
    assert thread.close(PATIENCE)
    assert seen == ["behind", "job", "behind", "last"]


def test_a_held_thread_runs_jobs_and_nothing_behind_them(thread):
    seen, done = [], threading.Event()
    thread.hold(60)
    thread.behind(lambda wanted: bool(seen.append("behind")) or True, lambda error: None)
    thread.submit(done.set)
    assert done.wait(PATIENCE)
    assert thread.close(PATIENCE) and seen == []
