"""Installs models for the terminal app, which itself may not reach the network.

The kernel confines the app's process and all that it starts. So, if no model is installed, another process is forked
before that. It takes only ids of models through a pipe and runs `localrag models install ID`, whose files must have
the hashes in the catalog. It never sees a document or a question, and ends with the app. Where processes cannot be
forked (Windows), the app says what to type instead.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from localrag.errors import Cancelled, LocalragError, UsageError

if TYPE_CHECKING:
    from localrag.tui.lanes import InstallProgress, Stop

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,80}")
PATIENCE = 10.0  # seconds for a stopped installation to remove what it downloaded
LAST_LINES = 3  # of a failed installation that are shown
prepared: ForkedInstaller | None = None  # what can install a model for this process


class ForkedInstaller:
    """The app's end of the pipes to the process that installs."""

    def __init__(self, orders: Connection, replies: Connection) -> None:
        self._orders, self._replies = orders, replies

    def install(self, ids: Sequence[str], stop: Stop) -> Iterator[InstallProgress]:
        for id in ids:
            if not _ID.fullmatch(id) or id == "stop":
                raise UsageError(f"{id!r} is not the id of a model", "`localrag models list --all` shows them.")
        self._orders.send_bytes(" ".join(ids).encode())
        yield from _progress(self._lines(stop), stop)

    def _lines(self, stop: Stop) -> Iterator[bytes]:
        stopping = False
        while True:
            if stop() and not stopping:
                stopping = True
                self._orders.send_bytes(b"stop")
            if self._replies.poll(0.1):
                try:
                    yield self._replies.recv_bytes()
                except EOFError:
                    return


def prepare(arguments: Sequence[str]) -> None:
    """Fork the process that installs, if these arguments open the app and no model is installed.

    Call it before this process is confined.
    """
    global prepared
    if not (hasattr(os, "fork") and sys.stdin.isatty() and sys.stdout.isatty() and is_wanted()):
        return
    if not {"--plain", "--help", "-h", "--version"} & set(arguments):
        prepared = fork()


def fork() -> ForkedInstaller | None:
    from localrag.security.offline.viewer_process import fork as fork_helper

    pipes = fork_helper(_serve)
    return ForkedInstaller(*pipes) if pipes is not None else None


def is_wanted() -> bool:
    """Return whether no model that answers is installed; importing `localrag.models` would delay the first frame."""
    from localrag.settings import load_settings

    try:
        records = list(load_settings().models_dir.glob("*/model.json"))
        return not any(json.loads(record.read_bytes()).get("kind") == "generator" for record in records)
    except (LocalragError, OSError, ValueError, AttributeError):
        return False


def _serve(orders: Connection, replies: Connection) -> None:
    """Install what is ordered until the app is gone."""
    with suppress(EOFError, OSError):
        while True:
            ids = orders.recv_bytes(10_000).decode().split()
            if ids == ["stop"]:  # it came after the installation had ended
                continue
            codes = (_install(id, orders, replies) if _ID.fullmatch(id) else 2 for id in ids)
            replies.send_bytes(json.dumps({"ended": next(filter(None, codes), 0)}).encode())


def _install(id: str, orders: Connection, replies: Connection) -> int:
    """Run one installation and pass its lines on; whatever comes from the app meanwhile stops it."""
    process = subprocess.Popen(
        _command(id), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    assert process.stdout is not None
    buffer = b""
    try:
        while orders not in wait([orders, process.stdout.fileno()]):
            piece = os.read(process.stdout.fileno(), 65536)
            *lines, buffer = (buffer + piece).split(b"\n")
            for line in lines or ([buffer] if not piece and buffer else []):
                replies.send_bytes(line)
            if not piece:
                return process.wait()
        orders.recv_bytes(10_000)
        return 130
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _command(id: str) -> list[str]:
    # -P: modules in the current folder are not localrag's.
    return [sys.executable, "-P", "-m", "localrag", "models", "install", id, "--json"]


def _progress(lines: Iterable[bytes], stop: Stop) -> Iterator[InstallProgress]:
    """Parse the lines of an installation until it ends; raise an error if it fails or was stopped."""
    from localrag.tui.lanes import InstallProgress

    last: list[str] = []
    code = 1
    for line in lines:
        text = line.decode("utf-8", "replace").strip()
        value: Any = None
        with suppress(ValueError):
            value = json.loads(text)
        if not isinstance(value, dict):
            value = {"message": text}
        if "ended" in value:
            if stop():
                raise Cancelled("stopped")
            code = value["ended"]
            break
        if "done" in value:
            yield InstallProgress(str(value["what"]), int(value["done"]), int(value["total"]))
        elif message := str(value.get("message") or ""):
            last = [*last, message][-LAST_LINES:]
            yield InstallProgress(message)
    if code:
        words = ": " + " ".join(last) if last else ""
        raise LocalragError(f"installing failed (exit code {code}){words}", "In a terminal: localrag models install")
