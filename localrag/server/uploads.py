"""Files that a browser adds to the folder of a library, where `localrag serve --upload` allows it.

A name is taken only if it is that of a document and of nothing in the folder: no upload leads elsewhere, replaces a
file, or is source code, data (JSON, XML) or an Office file with macros.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncIterable
from pathlib import Path

from localrag.answer.progress import Step
from localrag.errors import UsageError
from localrag.events import IngestReport
from localrag.ingest import scan
from localrag.ingest.readers.source import SUFFIXES
from localrag.security import storage
from localrag.security.terminal import one_line
from localrag.server.jobs import Job
from localrag.server.served import Served

_MAX_NAME = 200  # bytes
# Source code and settings are read as text, too, but other programs may run them.
_TEXT = frozenset(".txt .text .md .markdown .rst .org .log".split())
_NOT_TAKEN = frozenset(".json .jsonl .xml .docm .dotm .xlsm .xltm .pptm .potm .ppsm".split())
_DOCUMENTS = (_TEXT | {suffix for suffix, module in SUFFIXES.items() if not module.endswith(".text")}) - _NOT_TAKEN
_ELSEWHERE = re.compile(r"""[\\/:*?"<>|]|^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)""", re.I)


def checked(name: str) -> str:
    """Return the name of a file to be. Raises UsageError for one that is not plainly that of a document."""
    name = unicodedata.normalize("NFC", name)
    plain = name == name.strip(" .") and one_line(name) == name and not _ELSEWHERE.search(name)
    if not plain or scan.is_leftover(name) or len(name.encode("utf-8", "replace")) > _MAX_NAME:
        raise UsageError(f"a file cannot be added under the name {name!r:.80}", "Rename it: a plain name, no folders.")
    if Path(name).suffix.lower() not in _DOCUMENTS:
        raise UsageError(f"{name!r:.80} is no kind of document that can be added", "Convert it to PDF, Word or text.")
    return name


async def save(folder: Path, name: str, pieces: AsyncIterable[bytes]) -> Path:
    """Write a new file into a folder, and return its path; nothing is left of it where that fails."""
    path = folder / checked(name)
    try:
        with storage.create_new(path) as stream:
            async for piece in pieces:
                stream.write(piece)
    except FileExistsError:
        raise UsageError(f"there is a file {path.name!r:.80} already", "Rename yours. No file is replaced.") from None
    except OSError as error:
        hint = "Check the rights of the folder."
        raise UsageError(f"cannot write {path.name!r:.80}: {error.strerror}", hint) from None
    return path


class Adding(Job):
    """A file that is read into its library; `outcome` says at the end how that went."""

    def __init__(self, served: Served, library: str, path: Path) -> None:
        super().__init__((library,))
        self.path, self.outcome = path, f"{path.name} was saved, and not read: it was stopped."
        self._served = served

    async def work(self) -> None:
        async for event in self._served.stream("ingest", *self.libraries, self.path, stopped=self.stopped):
            if isinstance(event, IngestReport):
                self.outcome = f"{self.path.name} {_outcome(event)}"
            elif not self.stopped.is_set():
                self.step = Step(event.document if event.stage == "wait" else f"Reading {self.path.name} …")
            self.changed()


def _outcome(report: IngestReport) -> str:
    """Return how the reading of one file went."""
    if report.failed:
        return f"is in the folder, and could not be read: {report.failed[0].reason.rstrip('.')}."
    if report.copies:
        return "is in the folder; the library has its text already."
    if report.forgotten:
        return "is in the folder, and not read: it was forgotten."
    return "can be asked." if report.read else "is in the folder, and not read: a rule for this folder leaves it out."
