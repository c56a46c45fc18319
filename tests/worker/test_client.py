import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from waiting import PATIENCE, ended, wait_for

from localrag import protocol
from localrag.errors import LocalragError, NotFoundError, SettingsError, UsageError
from localrag.events import Answered, IngestReport, PromptRead
from localrag.lifecycle.encrypt import encrypt
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Key, RecoveryKey
from localrag.security.offline import kernel
from localrag.settings import load_settings
from localrag.store import names
from localrag.worker import client as process
from localrag.worker.engine import Folder

pytestmark = pytest.mark.slow

HERE = Path(__file__).parents[1]


def ask(engine, question, **how):
    return engine.ask(question, libraries=("papers",), **how)


def pid(engine, *libraries):
    return int(next(engine.ask("pid", libraries=libraries or ("papers",))).text)


def gone(pid):
    return bool(wait_for(lambda: ended(pid), f"the end of {pid}"))


@pytest.mark.smoke
def test_events_and_arguments_cross_as_they_are(engine):
    assert [event.text for event in ask(engine, "say", mode="read")] == ["papers", "read", "()"]
    assert next(ask(engine, "core")).text == "0"  # a crash leaves no image of the memory on the disk
    assert engine.look_at(Path("a\udcff b")) == Folder("a\udcff b", True, 3)
    assert engine.load() == "scripted"


def test_errors_cross_with_their_kind_message_and_hint(engine):
    with pytest.raises(NotFoundError, match="there is no page 7") as raised:
        engine.page("papers", "a.txt", 7)
    assert raised.value.hint == "Look."
    with pytest.raises(LocalragError, match="internal error: ZeroDivisionError"):
        engine.contents("papers")
    with pytest.raises(TypeError):  # before it is sent
        engine.page("papers", "a.txt", "7")
    with pytest.raises(AttributeError):
        engine.nonsense()
    assert engine.load() == "scripted"


def test_a_request_that_cannot_be_sent_leaves_the_worker_free(engine, monkeypatch):
    first = pid(engine)
    for number in (10**20, -(1 << 63) - 1):
        with pytest.raises(UsageError, match="cannot be sent"):
            engine.page("papers", "a.pdf", number)
    monkeypatch.setattr(protocol, "MAX_LINE", 1000)
    with pytest.raises(UsageError, match="cannot be sent"):
        list(ask(engine, "x" * 1000))
    assert not engine._front.busy
    assert pid(engine) == first


def test_a_rest_ends_a_worker_that_does_nothing_and_the_next_call_starts_another(engine):
    asking = ask(engine, "forever")
    next(asking)
    first = engine._front._popen.pid
    engine.rest()
    time.sleep(0.5)
    assert not ended(first), "an answer is in progress"
    asking.close()
    engine.rest()
    assert gone(first) and pid(engine) != first


@pytest.mark.smoke
def test_stop_is_heard_in_the_middle_of_an_answer(engine):
    stop = threading.Event()
    told = []
    for event in ask(engine, "forever", stop=stop.is_set):
        told.append(event.text)
        stop.set()
    assert told[-1] == "stopped"
    assert engine.load() == "scripted"


def test_pages_are_fetched_while_an_answer_is_written(engine):
    answer = ask(engine, "forever")
    next(answer)
    assert engine.page("papers", "a.txt", 1).page.text == "page 1"
    answer.close()
    assert next(ask(engine, "say")).text == "papers"


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_after_a_crash_the_next_call_starts_another_worker(engine, number):
    before = pid(engine)
    answer = ask(engine, "forever")
    next(answer)
    waiting = []

    def wait():
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


def test_the_last_line_of_a_crash_and_what_cannot_start_are_reported(engine, monkeypatch):
    with pytest.raises(LocalragError, match=r"exit code 3.*GGML_ASSERT"):
        list(ask(engine, "assert"))
    monkeypatch.setattr(process, "WORKER", "worker.there_is_none")
    with pytest.raises(LocalragError, match="there_is_none"):
        engine.load()


@pytest.mark.parametrize(
    "line",
    [
        b"[1]\n",
        b'{"type":"item","number":2,"value":["Nonsense",{}]}\n',
        b'{"type":"what","number":2}\n',
        b"[" * 100_000 + b"\n",
    ],
)
def test_a_worker_that_sends_nonsense_is_ended(engine, line):
    before = pid(engine)
    with pytest.raises(LocalragError, match="malformed"):
        list(ask(engine, f"raw {line.decode()}"))
    assert gone(before)
    assert engine.load() == "scripted"


def test_neither_an_endless_line_nor_unread_replies_fill_the_memory(engine, monkeypatch):
    monkeypatch.setattr("localrag.protocol.MAX_LINE", 10_000)
    with pytest.raises(LocalragError, match="too long"):
        list(ask(engine, "long 20000"))
    monkeypatch.setattr(process, "_MAX_WAITING", 1000)
    answer = ask(engine, "many")
    next(answer)
    front = engine._front
    assert gone(front._popen.pid) and front._gone.wait(PATIENCE)  # told to all, and to whoever waits for its end
    with pytest.raises(LocalragError, match="more replies"):
        list(answer)


def test_settings_are_checked_here_and_kept_for_the_next_worker(engine):
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


def test_close_ends_what_is_under_way_and_the_worker(engine):
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
def test_a_paused_worker_continues(engine):
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
def test_the_worker_leaves_when_its_parent_is_killed(tmp_path, question):
    environ = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent}"}
    command = [sys.executable, "-c", PARENT, str(tmp_path), question]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, env=environ)
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(worker)


def test_another_library_is_asked_in_another_process_and_calls_in_progress_survive(engine):
    engine.use(("ours",))
    engine.load()
    first = pid(engine, "ours")
    assert engine.page("theirs", "a.txt").page.text == "page None"  # which leaves the model where it is
    assert pid(engine, "ours") == first and len(engine._all()) == 1
    second = pid(engine, "theirs")
    assert second != first and gone(first)
    # Who asks both together is not served by one of them, and the other way round.
    both = pid(engine, "ours", "theirs")
    assert both != second and pid(engine, "theirs", "ours") == both
    assert pid(engine, "ours") != both and gone(both)
    engine.use(("ours",))
    going = engine.ask("count", libraries=("ours",))
    first = int(next(going).text)
    assert pid(engine, "theirs") != first
    assert [next(going).text for _ in range(3)] == ["1", "2", "3"]
    going.close()
    assert gone(first)


def test_an_engine_for_some_libraries_has_one_worker_and_refuses_others(settings, engine):
    fixed = process.remote_engine(settings, ("ours", "theirs"))
    with closing(fixed):
        first = pid(fixed, "ours")
        assert pid(fixed, "theirs") == first == pid(fixed, "ours", "theirs")
        with pytest.raises(NotFoundError):
            pid(fixed, "others")
        with pytest.raises(NotFoundError):
            fixed.page("others", "a.txt")


def test_a_file_made_after_the_worker_confined_itself_is_compared_by_another(engine, tmp_path, monkeypatch):
    engine.use(("ours",))
    first = pid(engine, "ours")
    file = tmp_path / "later.txt"
    file.touch()
    assert engine.compare(("a.txt", str(file)), libraries=("ours",)) == {"pid": first}
    monkeypatch.setattr(process.Process, "can_read", lambda self, path: path != file)
    assert engine.compare(("a.txt", "b.txt"), libraries=("ours",)) == {"pid": first}
    second = engine.compare(("a.txt", str(file)), libraries=("ours",))["pid"]
    assert second != first and gone(second)
    assert pid(engine, "ours") == first


def test_a_worker_is_given_the_keys_of_its_own_libraries_alone(shelf, settings, monkeypatch):
    held = {settings.library_dir(name): Key.new() for name in ("ours", "theirs")}
    monkeypatch.setattr(unlocked, "keys", lambda: held)
    monkeypatch.setattr(process.Process, "_run", lambda self: None)
    made = process.Process(settings, ("ours",))
    assert made._setup.keys == ((str(settings.library_dir("ours")), held[settings.library_dir("ours")].secret),)


def test_a_worker_opens_what_its_parent_has_the_key_of(shelf, settings, monkeypatch):
    monkeypatch.setattr(unlocked, "no_dumps", lambda: None)
    folder = shelf("contracts", {"a.txt": "The lease ends in May."}).folder
    list(encrypt(folder, lambda ring, key: ring.with_credential(key, "me", RecoveryKey.new()), lambda: False))
    with closing(process.remote_engine(settings)) as engine:
        assert engine.page("contracts", "a.txt").page.text == "The lease ends in May."
    unlocked.forget()


CHILD = """
import sys
from pathlib import Path
from localrag.security import offline
from localrag.worker import client as process
from localrag.worker.client import RemoteEngine
from localrag.settings import Settings
process.WORKER = "worker.scripted_worker"
folder = Path(sys.argv[1])
settings = Settings(home=folder / "home")
for name in ("ours", "theirs"):
    settings.library_dir(name).mkdir(parents=True)
    (settings.library_dir(name) / "library.db").write_text("words of " + name)
(folder / "papers").mkdir()
(folder / "papers/a.txt").write_text("text")
offline.confine()
engine = RemoteEngine(settings)

def read(*libraries):
    for name in ("ours", "theirs"):
        yield next(engine.ask("read " + str(settings.library_dir(name) / "library.db"), libraries=libraries)).text

print(*read("ours"), *read("theirs"), *read("ours", "theirs"), sep=" | ")
(first,) = engine.ingest("new", folder / "papers")
print((settings.library_dir("new") / "read.txt").read_text())
engine.use(("new",))
engine.load()
(folder / "later").mkdir()
(folder / "later/a.txt").write_text("later")
(second,) = engine.ingest("new", folder / "later")
(third,) = engine.ingest("new", folder / "later")
print((settings.library_dir("new") / "read.txt").read_text(), first.library != second.library == third.library)
engine.close()
"""


@pytest.mark.skipif(not kernel.abi(), reason="this kernel has no Landlock, or was started without it")
def test_the_kernel_holds_a_worker_to_its_libraries(tmp_path, home):
    environ = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent}"}
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    refused = "PermissionError"
    assert done.stdout.splitlines() == [
        f"words of ours | {refused} | {refused} | words of theirs | words of ours | words of theirs",
        "text",
        "later True",
    ]


def test_the_screen_finds_the_library_of_a_folder(engine, tmp_path, monkeypatch):
    def library_of(path, settings):
        assert not unlocked._may_prompt.get()
        return "theirs" if path == tmp_path else None

    monkeypatch.setattr(names, "library_of", library_of)
    assert engine.look_at(tmp_path).library == "theirs"
    assert engine.look_at(Path("elsewhere")).files == 3


LEASE = "The lease of Hall 3 ends on 31 May 2030. Rent is due on the first day of each quarter.\n\n" * 60


@pytest.mark.model
def test_a_folder_is_read_asked_about_and_the_answer_stopped(folder):
    engine = process.remote_engine(load_settings().with_options(generator="smollm2-135m-instruct", threads=1))
    root = folder({"lease.txt": LEASE}, "leases")
    report = list(engine.ingest("leases", root))[-1]
    assert isinstance(report, IngestReport) and report.read == ("lease.txt",)
    assert engine.libraries() == ("leases",)
    assert engine.page("leases", "lease.txt").page.text.startswith("The lease of Hall 3")
    read = []
    for event in engine.ask("When does it end?", libraries=("leases",), mode="read", stop=lambda: len(read) > 1):
        if isinstance(event, PromptRead):
            read.append(event.done)
    assert isinstance(event, Answered) and event.answer.stopped
    assert read[-1] < 1000, "the prompt was read to its end"
    engine.close()
