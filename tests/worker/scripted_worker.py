"""A worker whose engine plays a part for each question, and a command that asks it as `localrag ask` does."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from localrag import protocol
from localrag.errors import NotFoundError
from localrag.events import Asking, Delta, Event, IngestReport
from localrag.security import offline, sandbox
from localrag.settings import Settings, load_settings
from localrag.types import Document, Filter, Mode, Page, Turn
from localrag.worker import resident
from localrag.worker.__main__ import main
from localrag.worker.engine import Contents, Engine, Folder, Opened


class ScriptedEngine(Engine):
    def __init__(self, settings: Settings, *, settable: Sequence[str] = ()) -> None:
        self._settings = settings

    def load(self) -> str:
        return "scripted"

    def ask(
        self,
        question: str,
        *,
        libraries: Sequence[str],
        mode: Mode = "auto",
        history: Sequence[Turn] = (),
        stop: Callable[[], bool] = lambda: False,
        **how: Any,
    ) -> Iterator[Event]:
        part, _, rest = question.partition(" ")
        if part == "pid":
            yield Delta(str(os.getpid()))
        elif part == "core":
            import resource

            yield Delta(str(resource.getrlimit(resource.RLIMIT_CORE)[0]))
        elif part == "read":
            try:
                yield Delta(Path(rest).read_text())
            except OSError as error:
                yield Delta(type(error).__name__)
        elif part == "bind":
            try:
                socket.socket(socket.AF_UNIX).bind(rest)
            except OSError as error:
                yield Delta(type(error).__name__)
        elif part == "fail":
            raise ZeroDivisionError
        elif part == "say":
            yield from map(Delta, (*libraries, mode, str(history)))
        elif part == "passages":
            yield Delta(str(self._settings.passages))
        elif part == "forever":
            yield Delta("begun")
            while not stop():
                time.sleep(0.001)
            yield Delta("stopped")
        elif part == "count":
            yield Delta(str(os.getpid()))
            for number in range(1, 10**9):
                yield Delta(str(number))
                time.sleep(0.001)
        elif part == "deaf":  # native code that holds the interpreter
            yield Delta(str(os.getpid()))
            ctypes.PyDLL(None).sleep(600)
        elif part == "many":
            while True:
                yield Delta("x" * 100)
        elif part == "assert":
            os.write(2, b"GGML_ASSERT(everything) failed\n")
            os._exit(3)
        elif part == "raw":
            raw(rest.encode())
        elif part == "long":
            raw(b"x" * int(rest))

    def look_at(self, folder: Path) -> Folder:
        return Folder(str(folder), True, 3)

    def page(self, library: str, document: str, number: int | None = None, *, exact: bool = False) -> Opened:
        if document == "never":
            time.sleep(600)
        if number == 7:
            raise NotFoundError("there is no page 7", "Look.")
        return Opened(Document(1, "/root", document, "", "", 1, 1, 1, True), Page(f"page {number}", number), 3, "")

    def compare(self, named: Any, *, libraries: Any, stop: Any = None) -> dict[str, Any]:
        return {"pid": os.getpid()}

    def ingest(self, library: str, folder: Path, *, stop: Any = None) -> Iterator[Any]:
        (Path(self._settings.library_dir(library)) / "read.txt").write_text((folder / "a.txt").read_text())
        yield IngestReport(str(os.getpid()), str(folder))

    def contents(self, library: str) -> Contents:
        raise ZeroDivisionError

    def configure(self, **options: Any) -> None:
        self._settings = self._settings.with_options(**options)

    def close(self) -> None:
        pass


replies: Any = None


def raw(data: bytes) -> None:
    """Write past the wire, as a subverted worker might."""
    replies.write(data)
    replies.flush()
    time.sleep(600)


def ask(library: str, question: str) -> None:
    """Print a line for each event; "here" where it would answer by itself, which it then does with that text."""
    resident.Asker = ScriptedEngine  # type: ignore[assignment,misc]
    offline.confine_python()
    resident.connect()
    offline.confine()
    settings = load_settings()
    only = Filter()
    connection = resident.connection_for(settings, [library], only, [])
    sandbox.restrict(settings, [library], reads=[])

    def here() -> Asking:
        return Asking(lambda stop: iter([Delta("here")]))

    asking = here()
    if connection is not None:
        asking = resident.Asking(connection, here, settings, question=question, libraries=[library], documents=only)
    signal.signal(signal.SIGINT, lambda *_: asking.stop())
    for event in asking:
        print(event.text if isinstance(event, Delta) else type(event).__name__, flush=True)
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1:]:
        ask(*sys.argv[1:])
    kept = protocol.own_pipes

    def own_pipes() -> Any:
        global replies
        pipes = kept()
        replies = pipes[1]
        return pipes

    protocol.own_pipes = own_pipes
    main(ScriptedEngine)
