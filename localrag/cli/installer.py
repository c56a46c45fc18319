"""Has models installed for the terminal app, which itself may reach no network.

The app's process is shut off by the kernel, and so is all that it starts. So a second process is forked before that,
and waits. It takes one kind of order through a pipe, the ids of models, and runs `localrag models install ID`, whose
weights have to have the hash that the catalog knows. It never sees a document or a question, ends with the app, and is
only there while no model that answers is installed. Where processes cannot be forked (Windows), the kernel shuts
nothing off, and the command is started when it is wanted.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from localrag.errors import LocalragError, UsageError

if TYPE_CHECKING:
    from localrag.tui.install import Told

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,80}")
_STOP = "stop"
# Left to a stopped install to take away what it had fetched, in seconds.
PATIENCE = 10.0


class Broker:
    """The app's end of the pipes to the process that may install.

    Args:
        orders: where orders are written to.
        answers: where what is told is read from.
    """

    wanted = True

    def __init__(self, orders: int, answers: int) -> None:
        self._orders = orders
        self._answers = os.fdopen(answers, encoding="utf-8", errors="replace")

    def install(self, ids: Sequence[str], stop: Callable[[], bool]) -> Iterator[Told]:
        os.write(self._orders, (" ".join(checked(ids)) + "\n").encode())
        return told_by(self._answers.fileno(), stop, lambda: os.write(self._orders, f"{_STOP}\n".encode()))

    def take_in(self, path: Path, stop: Callable[[], bool]) -> Iterator[Told]:
        return _run(["models", "import", str(path)], stop)


class Starter:
    """The same where nothing has to be forked beforehand."""

    def __init__(self) -> None:
        self.wanted = wanted()

    def install(self, ids: Sequence[str], stop: Callable[[], bool]) -> Iterator[Told]:
        from localrag.tui.install import Ended

        for id in checked(ids):
            for told in _run(_words(id), stop):
                if not isinstance(told, Ended):
                    yield told
                elif told.code:
                    yield told
                    return
        yield Ended(0)

    def take_in(self, path: Path, stop: Callable[[], bool]) -> Iterator[Told]:
        return _run(["models", "import", str(path)], stop)


def checked(ids: Sequence[str]) -> Sequence[str]:
    """The ids, if they can be ids of models and nothing else."""
    for id in ids:
        if not _ID.fullmatch(id):
            raise UsageError(f"{id!r} is not the id of a model", "`localrag models list --all` shows them.")
    return ids


_prepared: Broker | None = None


def prepare_once(arguments: Sequence[str]) -> None:
    """Get ready to install for the terminal app, or a talk in lines, if these arguments of the command line open it."""
    global _prepared
    face = sys.stderr if "--plain" in arguments else sys.stdout  # answers in lines may go to a file
    if sys.stdin.isatty() and face.isatty() and not {"--help", "-h", "--version"} & set(arguments):
        _prepared = prepare()


def ready() -> Broker | Starter | None:
    """What may install for this process; None where nothing was got ready and the kernel shuts the network off."""
    return Starter() if not hasattr(os, "fork") else _prepared


def prepare() -> Broker | None:
    """Fork the process that may install; to be called before this one is confined. None where it is not needed."""
    if not hasattr(os, "fork") or not wanted():
        return None
    orders_in, orders_out = os.pipe()
    answers_in, answers_out = os.pipe()
    if os.fork():
        os.close(orders_in)
        os.close(answers_out)
        return Broker(orders_out, answers_in)
    try:
        os.close(orders_out)
        os.close(answers_in)
        os.setsid()  # Ctrl-C and Ctrl-Z in the terminal are meant for the app
        _serve(orders_in, answers_out)
    finally:
        os._exit(0)


def wanted() -> bool:
    """Whether no model that answers is installed, so that one may be asked for.

    The records are read as they stand: importing the room of models takes longer than the app has to show itself.
    """
    from localrag.settings import load_settings

    try:
        records = list(load_settings().models_dir.glob("*/model.json"))
        return not any(json.loads(record.read_bytes()).get("kind") == "generator" for record in records)
    except (LocalragError, OSError, ValueError, AttributeError):
        return False


def _serve(orders: int, answers: int) -> None:
    """Wait for orders until the app is gone."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    while line := _line(orders):
        words = line.split()
        if not words or words == [_STOP]:
            continue  # it was over before the stop came
        code = 2
        for id in words:
            code = _install(id, orders, answers) if _ID.fullmatch(id) else 2
            if code:
                break
        os.write(answers, (json.dumps({"ended": code}) + "\n").encode())


def _install(id: str, orders: int, answers: int) -> int:
    """Run one install; whatever comes through the pipe meanwhile, and its end, stops it."""
    process = subprocess.Popen(
        _command(_words(id)), stdin=subprocess.DEVNULL, stdout=answers, stderr=answers, start_new_session=True
    )
    while process.poll() is None:
        readable, _, _ = select.select([orders], [], [], 0.1)
        if readable:
            line = _line(orders)
            _stop(process)
            if not line:
                os._exit(0)  # the app is gone
            return 130
    return process.returncode


def _stop(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _line(descriptor: int) -> str:
    """A line from a pipe; empty where its other end is closed."""
    found = b""
    while not found.endswith(b"\n"):
        if not (one := os.read(descriptor, 1)):
            return ""
        found += one
    return found.decode("utf-8", "replace")


def _run(words: list[str], stop: Callable[[], bool]) -> Iterator[Told]:
    """Run a command of localrag's own, confined as this process is."""
    from localrag.tui.install import Ended

    process = subprocess.Popen(
        _command(words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=os.name == "posix",
    )  # fmt: skip
    assert process.stdout is not None
    try:
        for told in told_by(process.stdout.fileno(), stop, process.terminate):
            if not isinstance(told, Ended):
                yield told
        yield Ended(130 if stop() else process.wait())
    finally:
        if process.poll() is None:
            process.kill()
        process.stdout.close()


def told_by(descriptor: int, stop: Callable[[], bool], end: Callable[[], object]) -> Iterator[Told]:
    """What comes through a pipe, line by line; once `stop` is true, `end` is called, and the rest still told."""
    from localrag.tui.install import Ended, Fetched, Said

    ended, buffer = False, b""
    while True:
        if stop() and not ended:
            ended = True
            with suppress(OSError):
                end()
        if os.name == "posix":
            readable, _, _ = select.select([descriptor], [], [], 0.1)
            if not readable:
                continue
        if not (piece := os.read(descriptor, 65536)):
            yield Ended(1)  # whoever wrote there is gone
            return
        *lines, buffer = (buffer + piece).split(b"\n")
        for line in lines:
            told = _parsed(line.decode("utf-8", "replace"))
            if isinstance(told, Fetched | Ended) or (isinstance(told, Said) and told.text):
                yield told
            if isinstance(told, Ended):
                return


def _parsed(line: str) -> Told:
    from localrag.tui.install import Ended, Fetched, Said

    try:
        value = json.loads(line)
    except ValueError:
        return Said(line.strip())
    if not isinstance(value, dict):
        return Said(line.strip())
    if "ended" in value:
        return Ended(int(value["ended"]))
    if "done" in value:
        return Fetched(str(value["what"]), int(value["done"]), int(value["total"]))
    return Said(str(value.get("message") or ""))


def _words(id: str) -> list[str]:
    return ["models", "install", id, "--json"]


def _command(words: list[str]) -> list[str]:
    # -P: modules of the current folder are not localrag's.
    return [sys.executable, "-P", "-m", "localrag", *words]
