"""Find and read the two documents: from a library, or from the disk by the readers of an ingest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from localrag.answer.verify.related_documents import Related, order
from localrag.errors import NotFoundError, ReadError
from localrag.ingest.readers.isolate import ReaderPool
from localrag.ingest.readers.source import Options
from localrag.redline.changes import Version
from localrag.security import audit
from localrag.settings import Settings
from localrag.store.library import Library, open_library
from localrag.types import Document, Part, Reading, Refused


def from_library(library: Library, document: Document) -> Version:
    """Return a document of a library as it was read."""
    notes = tuple(f"p. {page.number}: {page.reason}" for page in document.skipped)
    return Version(document.path, tuple(library.pages(document.id)), document.sha256, library.name, notes)


def from_files(
    paths: Sequence[Path], settings: Settings, passwords: Sequence[str] = (), stop: Callable[[], bool] = lambda: False
) -> dict[Path, Version]:
    """Read files, each in a process of its own. Raises ReadError for one that cannot be read, Cancelled by `stop`."""
    options = Options(
        tuple(passwords),
        settings.ocr,
        settings.ocr_languages,
        settings.archive_depth,
        settings.read_unpacked_mb * 1_000_000,
    )
    found: dict[Path, Version] = {}
    pool = ReaderPool(
        workers=len(paths), options=options, seconds=settings.read_seconds, memory=settings.read_memory_mb * 1_000_000,
        stop=stop,
    )  # fmt: skip
    with pool:
        for path, item in pool.read_all(paths):
            if isinstance(item, Refused) and not item.name:
                what, _, hint = item.reason.partition(". ")
                raise ReadError(f"{path} {what}", hint)
            if isinstance(item, Part) and not item.name:
                found[path] = Version(str(path), item.reading.pages, item.sha256, notes=_notes(item.reading))
    for path in paths:
        if path not in found:
            hint = "Unpack it, or ingest it and name a document inside it with --library."
            raise ReadError(f"{path} holds other files and no text of its own", hint)
    return found


def _notes(reading: Reading) -> tuple[str, ...]:
    return tuple(f"p. {page.number}: {page.reason}" for page in reading.skipped)


def drafts(settings: Settings, name: str, given: str) -> list[tuple[Document, str]]:
    """Return the versions of a document in a library with their days, the latest last.

    Near duplicates and documents that are named as versions of each other belong together. `given` is a path, or a part
    of one. Raises NotFoundError where nothing has that name.
    """
    with closing(open_library(settings, name)) as library, library.snapshot():
        documents = library.documents()
        named = [one for one in documents if given.casefold() in one.path.casefold()]
        named = [one for one in documents if given in (one.path, one.path.rsplit("/", 1)[-1])] or named
        if not named:
            raise NotFoundError(
                f"no document in {name!r} has {given!r} in its name", f"localrag status {name} lists them."
            )
        related = Related(library, documents)
        near = library.near_pairs([one.id for one in documents])
        ids, waiting = set[int](), [one.id for one in named[:1]]
        known = {one.id: one for one in documents}
        while waiting:
            one = waiting.pop()
            if one not in ids:
                ids.add(one)
                waiting += [i for pair in near if one in pair for i in pair if i != one]
                waiting += [other.id for other in related.versions(known[one])]
        return sorted(
            ((known[i], related.dated(known[i]).date) for i in ids),
            key=lambda item: (item[1] or "", order(item[0]), item[0].path),
        )


def record(settings: Settings, old: Version, new: Version, changes: int) -> None:
    """Record a comparison in the logs of the libraries it read, or else in the general one."""
    details = {"old": old.name, "old_sha256": old.sha256, "new": new.name, "new_sha256": new.sha256, "changes": changes}
    for name in sorted({one.library for one in (old, new) if one.library}):
        audit.record(settings.library_audit_file(name), "compare", name, **details)
    if not (old.library or new.library):
        audit.record(settings.audit_file, "compare", None, **details)
