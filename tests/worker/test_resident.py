import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from waiting import PATIENCE, ended, wait_for

from localrag import events, policy, protocol
from localrag.cli.app import localrag
from localrag.errors import KeyRequired, UsageError
from localrag.events import Answered, Delta
from localrag.security.encryption import keyring, unlocked
from localrag.security.offline import kernel
from localrag.settings import Settings, load_settings
from localrag.store.names import DATABASE
from localrag.types import Answer, Filter, Plan
from localrag.worker import calls, resident
from worker.scripted_worker import ScriptedEngine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
HERE = Path(__file__).parents[1]
LEASE = "The lease of Hall 3 ends on 31 May 2030. The yearly rent is EUR 48,000."


@pytest.fixture
def kept(monkeypatch, short):
    monkeypatch.setenv("LOCALRAG_KEEP_MODEL_MINUTES", "1")
    monkeypatch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{HERE.parent}")
    settings = load_settings()
    for name in ("ours", "theirs"):
        settings.library_dir(name).mkdir(parents=True)
        (settings.library_dir(name) / DATABASE).write_text("a database")
    yield settings
    processes = [int(path.stem.partition("-")[2]) for path in settings.running_dir.glob("*.socket")]
    for process in processes:
        if not ended(process):
            os.kill(process, signal.SIGKILL)


def begun(question, library="ours"):
    command = [sys.executable, "-P", "-m", "worker.scripted_worker", library, question]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def ask(question, library="ours"):
    return begun(question, library).communicate(timeout=PATIENCE)[0].splitlines()


def first(process):
    return process.stdout.readline().strip()


def test_the_next_question_is_answered_by_the_same_process_one_for_each_library(kept):
    (pid,) = ask("pid")
    assert ask("pid") == [pid] and ask("say")[0] == "ours"
    (line,) = resident.running(kept)
    assert f"process {pid}, for ours, " in line
    assert kept.running_dir.stat().st_mode & 0o777 == 0o700
    (other,) = ask("pid", "theirs")
    assert other != pid and wait_for(lambda: ended(int(pid)))
    assert ask("pid", "theirs") == [other]
    assert len(list(kept.running_dir.iterdir())) == 2


@pytest.mark.parametrize(
    ("change", "here"),
    [
        (lambda kept: (kept.library_dir("ours") / DATABASE).write_text("something was forgotten"), False),
        (lambda kept: kept.library_dir("ours").chmod(0o777), True),
        (lambda kept: kept.running_dir.chmod(0o755), True),
    ],
    ids=["changed", "writable for others", "readable for others"],
)
def test_a_worker_ends_when_its_library_or_folder_changes(kept, change, here):
    (pid,) = ask("pid")
    change(kept)
    assert wait_for(lambda: ended(int(pid)))
    (other,) = ask("pid")
    assert (other == "here") is here and other != pid


def test_a_worker_whose_socket_is_deleted_ends_after_its_answer(kept):
    asking = begun("forever")
    assert first(asking) == "begun"
    result = CliRunner().invoke(localrag, ["models", "unload"])
    assert "process" in result.stderr and not resident.running(kept)
    asking.send_signal(signal.SIGINT)
    assert asking.communicate(timeout=PATIENCE)[0].strip() == "stopped"
    assert "None" in CliRunner().invoke(localrag, ["models", "unload"]).stderr


def test_what_a_killed_worker_left_is_deleted_and_its_question_answered(kept):
    (pid,) = ask("pid")
    os.kill(int(pid), signal.SIGKILL)
    assert wait_for(lambda: not resident.running(kept))
    (other,) = ask("pid")
    assert other != pid and len(list(kept.running_dir.iterdir())) == 2
    asking = begun("count")
    os.kill(int(first(asking)), signal.SIGKILL)
    out, _ = asking.communicate(timeout=PATIENCE)
    assert out.splitlines()[-2:] == ["Replaced", "here"] and asking.returncode == 0
    assert ask("fail") == ["here"]  # an error that nobody expected


def test_an_answer_that_is_stopped_or_whose_command_is_killed_frees_the_model(kept):
    (pid,) = ask("pid")
    for number, rest in ((signal.SIGINT, "stopped"), (signal.SIGKILL, "")):
        asking = begun("forever")
        assert first(asking) == "begun"
        asking.send_signal(number)
        assert asking.communicate(timeout=PATIENCE)[0].strip() == rest
        assert ask("pid") == [pid]


def test_two_first_questions_are_both_answered_and_others_wait_for_their_turn(kept):
    both = [begun("pid"), begun("pid")]
    answers = {process.communicate(timeout=PATIENCE)[0].strip() for process in both}
    assert all(answer.isdecimal() for answer in answers)
    assert wait_for(lambda: len(answers) - sum(ended(int(pid)) for pid in answers) <= 1)
    asking = begun("forever")
    first(asking)
    second = begun("say")
    time.sleep(1)
    assert second.poll() is None
    asking.send_signal(signal.SIGINT)
    asking.communicate(timeout=PATIENCE)
    assert second.communicate(timeout=PATIENCE)[0].splitlines()[0] == "ours"


@pytest.mark.parametrize("how", ["file", "shared", "long", "setting", "policy"])
def test_without_a_socket_or_a_yes_the_command_answers(kept, how, tmp_path, monkeypatch):
    if how == "file":
        kept.running_dir.write_text("")
    elif how == "shared":
        kept.running_dir.mkdir()
        kept.running_dir.chmod(0o755)
    elif how == "long":
        long = tmp_path / ("x" * 100)
        (long / "indexes" / "ours").mkdir(parents=True)
        (long / "indexes" / "ours" / DATABASE).write_text("a database")
        monkeypatch.setenv("LOCALRAG_HOME", str(long))
    elif how == "setting":
        monkeypatch.setenv("LOCALRAG_KEEP_MODEL_MINUTES", "0")
    else:
        (tmp_path / "policy.toml").write_text("keep_model_minutes = 0\n")
        monkeypatch.setenv(policy.VARIABLE, str(tmp_path / "policy.toml"))
    assert ask("pid") == ["here"]
    assert not kept.running_dir.is_dir() or list(kept.running_dir.iterdir()) == []


@pytest.mark.skipif(not kernel.abi(), reason="Landlock")
def test_it_reads_its_own_library_alone_and_no_confined_process_reaches_it(kept):
    (pid,) = ask("pid")
    assert ask(f"read {kept.library_dir('ours') / DATABASE}") == ["a database"]
    assert ask(f"read {kept.library_dir('theirs') / DATABASE}") == ["PermissionError"]
    assert ask(f"bind {kept.running_dir}/other.socket") == ["PermissionError"]
    assert ask("core") == ["0"] and ask("pid") == [pid]
    (path,) = kept.running_dir.glob("*.socket")
    code = "import socket, sys; from localrag.security import offline; offline.confine()\n"
    code += "socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert "PermissionError" in done.stderr


def asked(kept, *replies, question="x"):
    """Ask a worker that sends these and then nothing: the events, and whether it saw the command leave before that
    answered by itself."""
    ours, theirs = socket.socketpair()
    ours.settimeout(0.3)
    theirs.settimeout(0.3)
    left = []

    def here():
        with suppress(TimeoutError):
            while theirs.recv(1 << 16):
                pass
            left.append(True)
        return events.Asking(lambda stop: iter([Delta("here")]))

    for reply in replies:
        theirs.sendall(protocol.encode(reply))
    found = resident.Asking(ours, here, kept, question=question, libraries=["ours"])
    names = [event.text if isinstance(event, Delta) else type(event).__name__ for event in found]
    theirs.close()
    return names, bool(left)


def test_the_command_answers_what_no_worker_recorded(kept):
    assert asked(kept) == (["here"], True)  # the question is withdrawn from the worker
    assert asked(kept, question="x" * protocol.MAX_LINE)[0] == ["here"]
    answer = Answered(Answer("x", "y", True, Plan("retrieve", "")))
    assert asked(kept, calls.Item(1, protocol.to_plain(answer, events.Event)))[0] == ["Answered"]


def test_settings_of_a_question_need_no_other_worker_but_changes_of_all_else_do(kept, short):
    def fit(**options):
        return resident._fit(kept.with_options(**options), ["ours"])

    assert fit(answer_tokens=9) == fit(generator="x") == fit(strict="true") == fit()
    assert fit(passages=3) != fit() != fit(threads=1)
    for name in ("indexes/ours/vault.json", f"indexes/ours/{DATABASE}-wal", "models/choice.json"):
        before = fit()
        (short / name).parent.mkdir(exist_ok=True)
        (short / name).write_text("new")
        assert fit() != before, name


def test_a_key_that_must_be_typed_is_not_kept(kept, monkeypatch):
    (kept.library_dir("ours") / keyring.FILE).write_bytes(b"{}")
    asked = []

    def keys_for(path):
        asked.append(unlocked._may_prompt.get())
        raise KeyRequired("its key is not here")

    monkeypatch.setattr(unlocked, "keys_for", keys_for)
    monkeypatch.setattr(resident, "_connections", {})
    assert resident.connection_for(kept, ["ours"], Filter(), []) is None and asked == [False]


@pytest.fixture
def house(short, monkeypatch):
    monkeypatch.setattr(resident, "_LOOK_SECONDS", 0.02)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(short / "s"))
    listener.listen()
    ours, theirs = socket.socketpair()
    outdated = threading.Event()
    args = (ScriptedEngine(Settings(home=short)), theirs, listener, 0.3, outdated.is_set)
    thread = threading.Thread(target=resident.stay, args=args)
    thread.start()

    def connect():
        made = socket.socket(socket.AF_UNIX)
        made.connect(str(short / "s"))
        return made

    yield ours, connect, thread, outdated
    ours.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def said(connection, request):
    replies, found = connection.makefile("rb"), []
    with suppress(ConnectionError):
        connection.sendall(protocol.encode(request))
        while (reply := protocol.receive(replies, calls.Reply)) is not None:
            found.append(reply)
            if not isinstance(reply, calls.Item):
                break
    return found


def question(words):
    return calls.Begin(1, "ask", {"question": words, "libraries": ["ours"]})


def test_it_ends_when_nobody_asks(house):
    ours, _, thread, _ = house
    assert said(ours, question("pid"))[0].value == ["Delta", {"text": str(os.getpid())}]
    time.sleep(0.5)
    assert thread.is_alive()  # somebody is there
    ours.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_the_time_that_the_machine_sleeps_counts(house, monkeypatch):
    ours, _, thread, _ = house
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    ours.close()
    thread.join(PATIENCE)
    monkeypatch.undo()
    assert not thread.is_alive()


@pytest.mark.proves("resident")
def test_a_client_can_only_ask_and_other_users_and_late_ones_not_even_that(house, monkeypatch):
    _, connect, thread, _ = house
    for request in (calls.Begin(1, "configure", {}), calls.Begin(1, "forget", {}), calls.Close()):
        assert said(connect(), request) == []
    assert thread.is_alive() and isinstance(said(connect(), question("pid"))[-1], calls.Done)
    _, connect, _, outdated = house
    monkeypatch.setattr(protocol, "user_of", lambda connection: os.getuid() + 1)
    assert said(connect(), question("pid")) == []
    monkeypatch.undo()
    outdated.set()
    assert said(connect(), question("pid")) == []


@pytest.mark.model
@pytest.mark.slow
def test_a_second_ask_gives_the_same_answer_from_the_same_process(short, monkeypatch, tmp_path):
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "lease.txt").write_text(LEASE)
    monkeypatch.setenv("LOCALRAG_GENERATOR", "smollm2-135m-instruct")

    def here(*words):
        done = CliRunner().invoke(localrag, words)
        assert done.exit_code == 0, done.output
        return done

    def ask():
        question = ("When does the lease of Hall 3 end?", "--mode", "retrieve", "--reproducible", "--json")
        command = [sys.executable, "-m", "localrag", "ask", *question]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    here("ingest", str(tmp_path / "papers"))
    alone = ask()
    monkeypatch.setenv("LOCALRAG_KEEP_MODEL_MINUTES", "1")
    answers, sockets = [], set()
    try:
        for _ in range(2):
            answers.append(ask())
            sockets |= {path.name for path in (short / "running").glob("*.socket")}
        assert len(sockets) == 1
        log = here("audit", "show", "papers", "--event", "ask", "--json")
        assert len(json.loads(log.stdout)["entries"]) == 3
    finally:
        assert "process" in here("models", "unload").stderr
    for answer in (alone, *answers):
        del answer["seconds"], answer["tokens"]
    assert answers == [alone, alone]
    (name,) = sockets
    assert wait_for(lambda: ended(int(name.removesuffix(".socket").partition("-")[2])))


@pytest.mark.proves("resident")
def test_a_question_brings_its_own_settings_only_and_leaves_none_behind(short):
    """As the worker that stays is made, so that any program of the same user may be its client."""
    used = []

    class Assistant:
        def configure(self, settings):
            used.append(settings)

        def ask(self, question, **how):
            return iter(())

    kept = Settings(home=short)
    engine = calls.Asker(kept, Assistant(), resident._OF_A_QUESTION)
    for name, value in (("home", "/tmp/elsewhere"), ("threads", 1024), ("key_file", "/tmp/k"), ("sources", "hub")):
        with pytest.raises(UsageError):
            engine.ask("x", libraries=["ours"], options={"strict": True, name: value})
    assert used == []
    list(engine.ask("x", libraries=["ours"], options={"strict": True, "answer_tokens": 9}))
    list(engine.ask("x", libraries=["ours"]))
    assert [one.strict for one in used] == [True, False] and used[1] == kept


def test_the_worker_that_stays_is_made_so(monkeypatch, kept):
    made = []
    monkeypatch.setattr(os, "fork", lambda: 0)
    monkeypatch.setattr(os, "_exit", lambda code: made.append(code))
    for name in ("broker.detach", "_listen", "sandbox.restrict", "keyring.no_dumps"):
        monkeypatch.setattr(f"localrag.worker.resident.{name}", lambda *given, **how: None)
    monkeypatch.setattr(resident, "stay", lambda engine, *rest: made.append(engine._settable))
    resident._start(kept, ["ours"], [], "key", ())
    assert made == [resident._OF_A_QUESTION, 0]
