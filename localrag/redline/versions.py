"""Find and read what is compared: from a library, or from the disk by the readers of an ingest."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from localrag.diff.amendments import Related, order
from localrag.diff.changes import Comparison, Version
from localrag.errors import NotFoundError, ReadError, UsageError
from localrag.ingest.readers.isolate import ReaderPool
from localrag.ingest.readers.source import Options
from localrag.redline.three_way import ThreeWay
from localrag.security import audit
from localrag.settings import Settings
from localrag.store.library import Library, open_library
from localrag.types import Document, Part, Refused, SkippedPage


def from_library(library: Library, document: Document) -> Version:
    """Return a document of a library as it was read."""
    pages = tuple(library.pages(document.id, every_row=True))
    return Version(document.path, pages, document.sha256, library.name, _notes(document.skipped))


def of_library(settings: Settings, name: str, path: str) -> Version:
    """Read a document of a library; raises NotFoundError if it is not there, even if the disk has such a file."""
    with closing(open_library(settings, name)) as library, library.snapshot():
        return from_library(library, library.document(os.fsencode(path).decode("utf-8", "backslashreplace")))


def from_files(
    paths: Sequence[Path], settings: Settings, passwords: Sequence[str] = (), stop: Callable[[], bool] = lambda: False
) -> dict[Path, Version]:
    """Read files, each in a process of its own. Raises ReadError for one that cannot be read, Cancelled by `stop`."""
    unpacked, memory = settings.read_unpacked_mb * 1_000_000, settings.read_memory_mb * 1_000_000
    how = settings.ocr, settings.ocr_languages, settings.archive_depth
    options = Options(tuple(passwords), *how, unpacked=unpacked)
    found: dict[Path, Version] = {}
    pool = ReaderPool(workers=len(paths), seconds=settings.read_seconds, options=options, memory=memory, stop=stop)
    with pool:
        for path, item in pool.read_all(paths):
            if isinstance(item, Refused) and not item.name:
                what, _, hint = item.reason.partition(". ")
                raise ReadError(f"{path} {what}", hint)
            if isinstance(item, Part) and not item.name:
                found[path] = Version(str(path), item.reading.pages, item.sha256, notes=_notes(item.reading.skipped))
    for path in set(paths) - found.keys():
        hint = "Unpack it, or ingest it and name a document inside it with --library."
        raise ReadError(f"{path} holds other files and no text of its own", hint)
    return found


def read(
    named: Sequence[str],
    libraries: Sequence[str],
    settings: Settings,
    passwords: Sequence[str] = (),
    stop: Callable[[], bool] = lambda: False,
) -> list[Version]:
    """Read documents, each from the first library that has it, else from the disk.

    Raises UsageError where one is named twice, NotFoundError for one that is nowhere, and what `from_files` raises.
    """
    found: dict[str, Version] = {}
    missing = {given: NotFoundError(f"there is no file {given!r}") for given in named}
    for name in libraries:
        with closing(open_library(settings, name)) as library, library.snapshot():
            for given in missing.keys() - found.keys():
                try:
                    document = library.document(os.fsencode(given).decode("utf-8", "backslashreplace"))
                    found[given] = from_library(library, document)
                except NotFoundError as error:
                    missing[given] = error
    paths = {given: Path(given).expanduser() for given in named if given not in found}
    for given, path in paths.items():
        if not path.is_file():
            raise missing[given]
    different = {(one.library, one.name) for one in found.values()} | {path.resolve() for path in paths.values()}
    if len(different) < len(named):
        raise UsageError("a document is compared with itself", "Name different versions.")
    if paths:
        files = from_files(list(paths.values()), settings, passwords, stop)
        found |= {given: files[path] for given, path in paths.items()}
    return [found[given] for given in named]


def _notes(skipped: Sequence[SkippedPage]) -> tuple[str, ...]:
    return tuple(f"p. {page.number}: {page.reason}" for page in skipped)


def drafts(settings: Settings, name: str, given: str) -> list[tuple[Document, str]]:
    """Return the versions of a document in a library with their days, the latest last.

    Near duplicates and documents that are named as its versions are such. `given` is a path, or a part of one. Raises
    NotFoundError where there are not two.
    """
    with closing(open_library(settings, name)) as library, library.snapshot():
        documents = library.documents()
        named = [one for one in documents if given.casefold() in one.path.casefold()]
        named = [one for one in documents if given in (one.path, one.path.rsplit("/", 1)[-1])] or named
        if not named:
            raise NotFoundError(f"no document in {name!r} is named {given!r}", f"localrag status {name} lists them.")
        related = Related(library, documents)
        pairs = library.near_pairs([one.id for one in documents])
        near = {one.id for one in related.versions(named[0])} | {
            i for pair in pairs if named[0].id in pair for i in pair
        }
        found = [(one, related.dated(one).date) for one in documents if one.id in near or one == named[0]]
        if len(found) < 2:
            hint = "Name another document: localrag compare OLD NEW"
            raise NotFoundError(f"there is one version of {found[0][0].path!r}", hint)
        return sorted(found, key=lambda item: (item[1], order(item[0]), item[0].path))


def record(settings: Settings, compared: Comparison | ThreeWay) -> None:
    """Record a comparison in the logs of the libraries it read, or else in the general one."""
    details: dict[str, Any] = {"changes": len(compared.entries)}
    for side, one in compared.sides.items():
        details |= {side: one.name, f"{side}_sha256": one.sha256}
    for name in sorted({one.library for one in compared.sides.values()} - {""}) or [""]:
        record = settings.library_audit_file(name) if name else settings.audit_file
        audit.record(record, "compare", name or None, **details)


def record_proofread(settings: Settings, version: Version, findings: int) -> None:
    """Record a proofreading in the log of the library that was read, or else in the general one."""
    log = settings.library_audit_file(version.library) if version.library else settings.audit_file
    details = {"document": version.name, "sha256": version.sha256, "findings": findings}
    audit.record(log, "proofread", version.library or None, **details)
