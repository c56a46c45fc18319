"""A whole run of an encrypted library leaves no word of its documents and questions in clear, wherever it writes.

Ingest, questions, the terminal app, an export, and crashes in the middle of an answer. Home, temporary and current
folder belong to the run, and every byte below them is searched for words that occur nowhere else; so are the arguments
and environment of all processes, and what is new in the folders that all programs share.
"""

from __future__ import annotations

import base64
import contextlib
import os
import resource
import signal
import subprocess
import sys
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from canary import Canaries, Watched
from click.testing import CliRunner
from terminal import Terminal, require_tmux
from waiting import PATIENCE, wait_for

from localrag.cli.app import localrag

WRITTEN, ASKED, TYPED = "zanzibarquill", "harpentwinery", "mossgrovelamp"  # by a document, in a question, and not yet
CANARIES = Canaries((WRITTEN, ASKED, TYPED))
LEASE = f"The {WRITTEN} lease of Harbour House ends on 14 March 2031. The tenant pays 900 euros a month.\n\n"
QUESTION = f"When does the {WRITTEN} lease end, says {ASKED}?"
SHARED = tuple(map(Path, ("/tmp", "/var/tmp", "/dev/shm")))


@dataclass
class Run:
    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        for name in ("home", "tmp", "here", "papers"):
            (self.folder / name).mkdir()
        away = ("LOCALRAG_", "XDG_", "TMP", "TEMP", "HF_", "PYTEST")
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith(away)}
        self.environ |= {"HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "tmp")}
        self.environ |= {"PYTHONPATH": str(Path(__file__).parents[2]), "LOCALRAG_MIN_CONFIDENCE": "0"}
        self.environ |= {"LOCALRAG_GENERATOR": "smollm2-135m-instruct", "LOCALRAG_THREADS": "1"}
        self.environ |= {"LOCALRAG_ANSWER_TOKENS": "40"}
        (self.folder / "papers/lease.txt").write_text(LEASE * 12)
        with zipfile.ZipFile(self.folder / "papers/more.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("annex.csv", f"name,rent\n{WRITTEN},900\n")

    @property
    def data(self):
        return self.folder / "home/.local/share/localrag"

    @property
    def here(self):
        return self.folder / "here"

    def command(self, *words):
        return [sys.executable, "-m", "localrag", *words]

    def begin(self, *words, typed=""):
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command, folder = self.command(*words), {"env": self.environ, "cwd": self.here}
        process = subprocess.Popen(command, text=True, preexec_fn=dumps_allowed, **pipes, **folder)  # type: ignore[call-overload]
        process.stdin.write(typed)
        process.stdin.close()
        process.stdin = None
        return process

    def fine(self, *words, typed=""):
        process = self.begin(*words, typed=typed)
        out, error = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, error
        return out

    @contextlib.contextmanager
    def asked(self):
        """Waits, after its block, until the question that is asked in it is being answered."""

        def marks():
            return set((self.data / "asking").glob("0-*"))

        before = marks()
        yield
        wait_for(lambda: marks() - before, "the mark of a question")

    def searched(self):
        return CANARIES.below(*(self.folder / name for name in ("home", "tmp", "here")))


def dumps_allowed():
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)


def processes(parent, words):
    parents: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
    family = {parent}
    while more := {pid for pid, above in parents.items() if above in family} - family:
        family |= more
    wanted = words.replace(" ", "\0").encode()
    found = []
    for pid in family:
        with contextlib.suppress(OSError):
            found += [pid] * (wanted in Path(f"/proc/{pid}/cmdline").read_bytes())
    return sorted(found)


@pytest.fixture
def run(tmp_path, installed):
    (tmp_path / "run").mkdir()
    made = Run(tmp_path / "run")
    made.data.mkdir(parents=True)
    (made.data / "models").symlink_to(installed, target_is_directory=True)
    return made


def a_key(run):
    run.fine("vault", "key-file", "--out", str(run.folder / "key"))
    run.environ["LOCALRAG_KEY_FILE"] = str(run.folder / "key")


def shared():
    """What lies in the folders that all programs share, without what other tests put there."""
    found = (path for folder in SHARED if folder.is_dir() for path in folder.iterdir())
    return {path for path in found if not path.name.startswith(("lr", "pytest-"))}


def shot_down_in_an_answer(run, number):
    with run.asked():
        process = run.begin("ask", "-", "-l", "matter", typed=QUESTION)
    process.send_signal(number)
    assert process.wait(PATIENCE) == -number
    process.communicate()


def a_conversation_with_crashes(run):
    sessions = run.data / "indexes/matter/sessions"
    with Terminal(run.folder, 100, 40) as terminal:
        environ = [f"{name}={value}" for name, value in run.environ.items()]
        shell = ["sh", "-c", 'ulimit -c $(ulimit -Hc); cd "$0" && exec "$@"', str(run.here)]
        terminal.run(["env", "-i", *environ, "TERM=tmux-256color", *shell, *run.command("chat", "matter")], {})
        terminal.see("2 documents")  # the worker is there; a question waits for the model
        with run.asked():
            terminal.type(QUESTION)
            terminal.press("Enter")
        (worker,) = processes(terminal.process, "localrag.worker")
        os.kill(worker, signal.SIGKILL)
        terminal.see(f"signal {int(signal.SIGKILL)}")
        terminal.type(f"And what of {TYPED}")
        wait_for(lambda: any(sessions.glob("*.draft")), "a draft")
        for app in processes(terminal.process, "localrag chat"):
            os.kill(app, signal.SIGABRT)
        terminal.ended()


@pytest.mark.model
@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc")
@pytest.mark.slow
@pytest.mark.proves("encrypted-whole")
def test_a_whole_run_of_an_encrypted_library_leaves_no_word_in_clear(run):
    require_tmux()
    before = shared()
    a_key(run)
    with Watched(CANARIES) as watched:
        run.fine("ingest", str(run.folder / "papers"), "--name", "matter", "--encrypt")
        assert WRITTEN in run.fine("search", "-", "-l", "matter", typed=QUESTION)
        run.fine("ask", "-", "-l", "matter", typed=QUESTION)
        shot_down_in_an_answer(run, signal.SIGSEGV)
        a_conversation_with_crashes(run)
        run.fine("sessions", "export", "last", "--encrypt-for", str(run.folder / "key"))
    assert len(list(run.here.glob("*.md.age"))) == 1
    assert run.searched() == []
    assert watched.found == set() and any("localrag ask" in typed for typed in watched.looked_at)
    new = shared() - before
    assert CANARIES.below(*new) == [] and not any(CANARIES.in_bytes(os.fsencode(path.name)) for path in new)


def test_the_search_finds_the_words_of_a_library_in_clear(folder, home, models, monkeypatch):
    monkeypatch.setenv("LOCALRAG_AUDIT_WORDS", "full")
    for words in (["ingest", str(folder({"lease.txt": LEASE})), "--name", "matter"], ["ask", QUESTION]):
        assert CliRunner().invoke(localrag, words).exit_code == 0
    found = {Path(one).name for one in CANARIES.below(home)}
    assert "library.db" in found and any(name.endswith(".json") for name in found)


# --- the search itself --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"x" * 1000 + WRITTEN.upper().encode() + b"y",
        b"\0" + WRITTEN.encode("utf-16-be"),
        WRITTEN.encode().hex().encode(),
        *(base64.b64encode(b"12345"[:shift] + WRITTEN.encode() + b"123") for shift in range(3)),
        b"before" + zlib.compress(b"12" * 500 + WRITTEN.encode()) + b"behind",
    ],
)
def test_a_word_is_found_in_every_form(data):
    assert CANARIES.in_bytes(data)
    assert not Canaries(["nothingofthis"]).in_bytes(data)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc")
def test_arguments_environment_and_core_dumps_are_seen(tmp_path):
    code = "import os; input(); os.abort()"
    command = [sys.executable, "-c", code, WRITTEN]
    environ, quiet = {**os.environ, "WORD": ASKED}, subprocess.DEVNULL
    how = {"env": environ, "cwd": tmp_path, "stdin": subprocess.PIPE, "stderr": quiet, "preexec_fn": dumps_allowed}
    with Watched(CANARIES) as watched:
        process = subprocess.Popen(command, **how)  # type: ignore[call-overload]
        wait_for(lambda: len({one.split(":")[0] for one in watched.found}) == 2)
        process.communicate(b"\n", timeout=PATIENCE)
    assert {one.split(":")[0] for one in watched.found} == {"cmdline", "environ"}
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern == "core" and resource.getrlimit(resource.RLIMIT_CORE)[1]:
        assert CANARIES.below(tmp_path), "a dump lies in the current folder, and holds the words"
