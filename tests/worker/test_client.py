"""The worker process: it answers as the engine in this process does, can be stopped, and its death is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import PATIENCE, ended, wait_for

from localrag import protocol
from localrag.errors import LocalragError, NotFoundError, SettingsError, UsageError
from localrag.events import Delta
from localrag.worker import client as process
from localrag.worker.engine import Folder

pytestmark = pytest.mark.slow

HERE = Path(__file__).parents[1]


def ask(engine: Any, question: str, **how: Any) -> Iterator[Any]:
    return engine.ask(question, libraries=("papers",), **how)


def pid(engine: Any) -> int:
    return int(next(ask(engine, "pid")).text)


def gone(pid: int) -> bool:
    return bool(wait_for(lambda: ended(pid), f"the end of {pid}"))


@pytest.mark.smoke
def test_events_and_arguments_cross_as_they_are(engine: Any) -> None:
    assert [event.text for event in ask(engine, "say", mode="read")] == ["papers", "read", "()"]
    assert engine.look_at(Path("a\udcff b")) == Folder("a\udcff b", True, 3)
    assert engine.load() == "scripted"


def test_errors_cross_with_their_kind_message_and_hint(engine: Any) -> None:
    with pytest.raises(NotFoundError, match="there is no page 7") as raised:
        engine.page("papers", "a.txt", 7)
    assert raised.value.hint == "Look."
    with pytest.raises(LocalragError, match="internal error: ZeroDivisionError"):
        engine.shelf("papers")
    assert engine.load() == "scripted"


def test_a_wrong_argument_is_refused_before_it_is_sent(engine: Any) -> None:
    with pytest.raises(TypeError):
        engine.page("papers", "a.txt", "7")
    with pytest.raises(AttributeError):
        engine.nonsense()


def test_a_request_that_is_too_long_leaves_the_worker_free(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine.load() == "scripted"
    monkeypatch.setattr(protocol, "MAX_LINE", 1000)
    with pytest.raises(UsageError, match="cannot be sent"):
        list(ask(engine, "x" * 1000))
    assert not engine._front.busy
    assert engine.load() == "scripted"


@pytest.mark.parametrize("number", [10**20, -(1 << 63) - 1])
def test_a_number_that_no_message_holds_costs_no_other_answer(engine: Any, number: int) -> None:
    first = pid(engine)
    with pytest.raises(UsageError, match="cannot be sent"):
        engine.page("papers", "a.pdf", number)
    assert pid(engine) == first


def test_a_rest_ends_a_worker_that_does_nothing_and_the_next_call_starts_another(engine: Any) -> None:
    asking = ask(engine, "forever")
    next(asking)
    first = pid_of(engine)
    engine.rest()
    time.sleep(0.5)
    assert not ended(first), "an answer is in progress"
    asking.close()
    engine.rest()
    assert gone(first) and pid(engine) != first


@pytest.mark.smoke
def test_stop_is_heard_in_the_middle_of_an_answer(engine: Any) -> None:
    stop = threading.Event()
    told = []
    for event in ask(engine, "forever", stop=stop.is_set):
        told.append(event.text)
        stop.set()
    assert told[-1] == "stopped"
    assert engine.load() == "scripted"


def test_a_closed_answer_frees_the_model(engine: Any) -> None:
    answer = ask(engine, "forever")
    next(answer)
    answer.close()
    assert next(ask(engine, "say")).text == "papers"


def test_pages_are_fetched_while_an_answer_is_written(engine: Any) -> None:
    stop = threading.Event()
    answer = ask(engine, "forever", stop=stop.is_set)
    next(answer)
    assert engine.page("papers", "a.txt", 1).page.text == "page 1"
    stop.set()
    assert list(answer)[-1] == Delta("stopped")


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_after_a_crash_the_next_call_starts_another_worker(engine: Any, number: int) -> None:
    before = pid(engine)
    answer = ask(engine, "forever")
    next(answer)
    waiting: list[LocalragError] = []

    def wait() -> None:
        try:
            engine.page("papers", "never", 1)
        except LocalragError as error:
            waiting.append(error)

    beside = threading.Thread(target=wait)
    beside.start()
    wait_for(lambda: len(engine._front._replies) == 2)
    os.kill(before, number)
    with pytest.raises(LocalragError, match=f"signal {number:d}, {signal.Signals(number).name}\\)$") as raised:
        list(answer)
    assert "starts another" in raised.value.hint
    beside.join(PATIENCE)
    assert len(waiting) == 1
    assert pid(engine) != before


def test_the_last_line_of_a_crash_is_reported(engine: Any) -> None:
    with pytest.raises(LocalragError, match=r"exit code 3.*GGML_ASSERT"):
        list(ask(engine, "assert"))


@pytest.mark.skipif(os.name != "posix", reason="limits")
def test_a_crash_leaves_no_image_of_the_memory_on_the_disk(engine: Any) -> None:
    assert next(ask(engine, "core")).text == "0"


def test_a_worker_that_cannot_start_is_reported(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "WORKER", "worker.there_is_none")
    with pytest.raises(LocalragError, match="there_is_none"):
        engine.load()


@pytest.mark.parametrize(
    "line",
    [
        b"rubbish\n",
        b"[1]\n",
        b'{"type":"item","number":2,"value":["Nonsense",{}]}\n',
        b'{"type":"what","number":2}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_a_worker_that_sends_nonsense_is_ended(engine: Any, line: bytes) -> None:
    before = pid(engine)
    with pytest.raises(LocalragError, match="malformed"):
        list(ask(engine, f"raw {line.decode()}"))
    assert gone(before)
    assert engine.load() == "scripted"


def test_a_line_without_end_does_not_fill_the_memory(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localrag.protocol.MAX_LINE", 10_000)
    with pytest.raises(LocalragError, match="too long"):
        list(ask(engine, "long 20000"))


def test_unread_replies_do_not_fill_the_memory(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_MAX_WAITING", 1000)
    answer = ask(engine, "many")
    next(answer)
    front = engine._front
    assert gone(pid_of(engine)) and front._gone.wait(PATIENCE)  # told to all, and to whoever waits for its end
    with pytest.raises(LocalragError, match="more replies"):
        list(answer)


def pid_of(engine: Any) -> int:
    return int(engine._front._popen.pid)


def test_settings_are_checked_here_and_kept_for_the_next_worker(engine: Any) -> None:
    engine.configure(passages=5)
    before = pid(engine)
    assert [event.text for event in ask(engine, "passages")] == ["5"]
    engine.configure(passages=6)
    assert [event.text for event in ask(engine, "passages")] == ["6"]
    os.kill(before, signal.SIGTERM)
    wait_for(lambda: not engine._front.alive)
    assert [event.text for event in ask(engine, "passages")] == ["6"]
    with pytest.raises(SettingsError):
        engine.configure(passages=0)


def test_close_ends_what_is_under_way_and_the_worker(engine: Any) -> None:
    before = pid(engine)
    answer = ask(engine, "deaf")
    next(answer)
    engine.close()
    assert gone(before)
    with pytest.raises(LocalragError):
        list(answer)
    with pytest.raises(LocalragError, match="closed"):
        engine.load()


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_paused_worker_continues(engine: Any) -> None:
    answer = ask(engine, "count")
    worker = int(next(answer).text)
    engine.pause(True)
    state = Path(f"/proc/{worker}/stat")
    if state.exists():
        wait_for(lambda: state.read_text().split(") ")[1][0] == "T")
    engine.pause(False)
    assert next(answer).text == "1"


PARENT = """
import sys
from pathlib import Path
from localrag.worker import client as process
from localrag.worker.client import RemoteEngine
from localrag.settings import Settings
process.WORKER = "worker.scripted_worker"
engine = RemoteEngine(Settings(home=Path(sys.argv[1])))
for event in engine.ask(sys.argv[2], libraries=("papers",)):
    print(event.text, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(
    "question", ["count", pytest.param("deaf", marks=pytest.mark.skipif(sys.platform != "linux", reason="of Linux"))]
)
def test_the_worker_leaves_when_its_parent_is_killed(tmp_path: Path, question: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), question],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent}"},
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(worker)
