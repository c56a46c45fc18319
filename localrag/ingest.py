"""Bring a library level with a folder: scan, compare, read, chunk, embed, commit, report.

A file is compared by size and modification time, then by content hash; only what changed is read. Each document is
one transaction: stopping or killing an ingest at any moment leaves every finished document, and the next run goes on.
A file that changed but cannot be read keeps the text of its earlier version, and the report says so.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from localrag import chunking, vault
from localrag.errors import Cancelled, NotFoundError, ReadError, UsageError
from localrag.library import Library
from localrag.readers.base import reads
from localrag.readers.isolate import ReaderPool
from localrag.schema import LOCK
from localrag.types import Chunk, Document, Failure, IngestProgress, IngestReport, Reading, SkippedPage

if TYPE_CHECKING:
    from localrag.embedding import Embedder

# Chunks gathered before the embedder is called: enough for full batches out of many small files.
_GATHER = 256
_SKIPPED_FOLDERS = {"node_modules", "__pycache__", "__MACOSX", "$RECYCLE.BIN", "System Volume Information"}


@dataclass(frozen=True, slots=True)
class _File:
    """A file found by the scan; `path` is below the root with forward slashes."""

    location: Path
    path: str
    size: int
    mtime_ns: int


@dataclass(slots=True)
class _Tally:
    """What the report is made of, gathered along the way."""

    read: list[str] = field(default_factory=list)
    unchanged: int = 0
    removed: list[str] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    skipped: list[tuple[str, SkippedPage]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    chunks: int = 0


def ingest(
    library: Library,
    path: Path,
    *,
    embedder: Callable[[], Embedder],
    workers: int = 2,
    read_seconds: float = 120,
    prune: bool = False,
    progress: Callable[[IngestProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> IngestReport:
    """Read what is new or changed below `path` (a folder, or one file), drop what is gone; returns the report.

    The caller holds the library's write lock (`writing`). `embedder` is called when there is something to embed:
    loading one takes seconds, and finding that nothing changed should not.

    Raises:
        NotFoundError: `path` is not there.
        ReadError: the folder cannot be listed.
        UsageError: the folder holds no file, while the library has documents of it (an unmounted share?).
        EmbedderMismatch: the library's vectors were made by another embedder.
        StorageError: the disk is full or read-only.
    """
    vault.sweep(library.folder)
    root, only = _root_of(path)
    run = _Run(library, root, embedder, progress or (lambda _: None), stop or (lambda: False))
    began = time.monotonic()
    complete = True
    try:
        run.progress(IngestProgress(0, 0, "", "scan"))
        files = list(run.scan(only))
        run.remove_missing(files, only, prune)
        changed = run.compare(files)
        if changed:
            with ReaderPool(workers=workers, seconds=read_seconds, stop=run.stop) as pool:
                run.read(changed, pool)
    except (Cancelled, KeyboardInterrupt):
        complete = False
    run.progress(IngestProgress(run.done, run.total, "", "index"))
    library.save_index()
    tally = run.tally
    return IngestReport(
        library.name, str(root), tuple(sorted(tally.read)), tally.unchanged, tuple(tally.removed),
        tuple(sorted(tally.failed, key=lambda failure: failure.document)), tuple(tally.skipped),
        dict(tally.ignored.most_common()), tally.chunks, time.monotonic() - began, complete,
    )  # fmt: skip


def re_embed(
    library: Library, embedder: Embedder, *, progress: Callable[[int, int], None], stop: Callable[[], bool]
) -> int:
    """Make all vectors anew from the stored text; returns how many. The old ones serve until all are done."""
    ids, texts = [], []
    for document in library.documents():
        for stored in library.chunks_of(document.id):
            ids.append(stored.id)
            chunk = Chunk(stored.position, stored.start, stored.end, stored.text, stored.heading)
            texts.append(chunking.embedded_text(stored.title, chunk))
    vectors = embedder.embed_documents(texts, progress=lambda done: progress(done, len(texts)), stop=stop)
    library.replace_vectors(embedder.identity, np.array(ids, np.int64), vectors)
    library.save_index()
    return len(ids)


def readable_files(path: Path) -> int:
    """How many files below a folder localrag would read."""
    root, only = _root_of(path)
    return sum(1 for file in _walk(root) if (only is None or file.path == only) and reads(file.location))


def readable_root(path: Path) -> Path:
    """The folder that a path is read from.

    Raises:
        NotFoundError, UsageError: there is none, or it is no file or folder.
    """
    return _root_of(path)[0]


def _root_of(path: Path) -> tuple[Path, str | None]:
    """The root for a path, and the one file meant if the path is a file."""
    try:
        found = path.resolve(strict=True)
    except (OSError, RuntimeError):
        raise NotFoundError(f"there is no file or folder {str(path)!r}", "Check the spelling and the mount.") from None
    if found.is_dir():
        return found, None
    if not found.is_file():
        raise UsageError(
            f"{str(path)!r} is neither a file nor a folder", "Name a folder of documents, or one document."
        )
    return found.parent, found.name


class _Run:
    """One ingest under way."""

    def __init__(
        self,
        library: Library,
        root: Path,
        load_embedder: Callable[[], Embedder],
        progress: Callable[[IngestProgress], None],
        stop: Callable[[], bool],
    ) -> None:
        self.library = library
        self.root = root
        self.progress = progress
        self.stop = stop
        self.tally = _Tally()
        self.known = {doc.path: doc for doc in library.documents(root=str(root))}
        self.failures = {failure.document for failure in library.failures(str(root))}
        self.unlisted: dict[str, str] = {}
        self.done = self.total = 0
        self._load_embedder = load_embedder
        self._gathered: list[tuple[_File, str, Reading, list[Chunk]]] = []

    @cached_property
    def embedder(self) -> Embedder:
        loaded = self._load_embedder()
        self.library.require(loaded.identity)
        return loaded

    def scan(self, only: str | None) -> Iterator[_File]:
        """Files to read below the root; the others are counted by suffix."""
        for file in _walk(self.root, self._unlisted):
            self._check()
            if only is not None and file.path != only:
                continue
            if reads(file.location):
                yield file
            else:
                self.tally.ignored[file.location.suffix.lower() or "(no suffix)"] += 1

    def _unlisted(self, error: OSError) -> None:
        """A folder that cannot be listed is not an empty one: what was read of it stays."""
        path = Path(str(error.filename))
        if path == self.root:
            raise ReadError(f"{str(path)!r} cannot be listed: {error.strerror}", "Check its rights and the mount.")
        self.unlisted[_stored_name(path, self.root)] = (
            f"The folder cannot be listed: {error.strerror}. What was read of it before is kept."
        )

    def remove_missing(self, files: Sequence[_File], only: str | None, prune: bool) -> None:
        there = {file.path for file in files}
        gone = [
            doc
            for doc in self.known.values()
            if doc.path not in there
            and (only is None or doc.path == only)
            and not any(doc.path.startswith(f"{path}/") for path in self.unlisted)
        ]
        if gone and not files and only is None and not prune:
            raise UsageError(
                f"{str(self.root)!r} holds no documents, but the library {self.library.name!r} has {len(gone)} of it; "
                "nothing was removed",
                "Is a network drive not mounted? If they are meant to go, repeat with --prune.",
            )
        self.library.remove(gone)
        self.tally.removed = sorted(doc.path for doc in gone)
        if only is None:
            for path in self.failures - there:
                self.library.drop_failure(str(self.root), path)
        for path, reason in self.unlisted.items():
            self.library.note_failure(str(self.root), path, reason)
            self.tally.failed.append(Failure(path, reason))

    def compare(self, files: Sequence[_File]) -> list[tuple[_File, str]]:
        """The files whose content is new, each with its hash."""
        changed = []
        self.total = len(files)
        for file in files:
            self._check()
            known = self.known.get(file.path)
            # A file that failed last time is tried again: a password or a right may have come since.
            if known and (known.size, known.mtime_ns) == (file.size, file.mtime_ns) and file.path not in self.failures:
                self._unchanged()
                continue
            try:
                digest = _sha256(file.location)
            except OSError as error:
                self._failed(file, ReadError(f"cannot be opened: {error.strerror}"), known)
                continue
            if known and known.sha256 == digest:
                self.library.touch(known, file.size, file.mtime_ns)
                if file.path in self.failures:
                    self.library.drop_failure(str(self.root), file.path)
                self._unchanged()
                continue
            changed.append((file, digest))
        return changed

    def read(self, changed: Sequence[tuple[_File, str]], pool: ReaderPool) -> None:
        by_path = {file.location: (file, digest) for file, digest in changed}
        waiting = 0
        for location, result in pool.read_all(by_path):
            self._check()
            file, digest = by_path[location]
            if isinstance(result, ReadError):
                self._failed(file, result, self.known.get(file.path))
                continue
            self.progress(IngestProgress(self.done, self.total, file.path, "read"))
            chunks = chunking.split(
                result.pages, count=self.embedder.count, title=result.title, limit=self.embedder.max_tokens
            )
            self._gathered.append((file, digest, result, chunks))
            waiting += len(chunks)
            if waiting >= _GATHER:
                self._flush()
                waiting = 0
        self._flush()

    def _flush(self) -> None:
        """Embed what was gathered and commit it, document by document."""
        if not self._gathered:
            return
        texts = [
            chunking.embedded_text(reading.title, chunk) for _, _, reading, chunks in self._gathered for chunk in chunks
        ]
        names = [file.path for file, *_ in self._gathered]
        report = self.progress
        vectors = self.embedder.embed_documents(
            texts,
            progress=lambda done: report(
                IngestProgress(self.done, self.total, f"{names[-1]} ({done} of {len(texts)} passages)", "embed")
            ),
            stop=self.stop,
        )
        first = 0
        for file, digest, reading, chunks in self._gathered:
            rows = vectors[first : first + len(chunks)]
            first += len(chunks)
            self.library.store(str(self.root), file.path, digest, file.size, file.mtime_ns, reading, chunks, rows)
            self.tally.read.append(file.path)
            self.tally.skipped += [(file.path, page) for page in reading.skipped]
            self.tally.chunks += len(chunks)
            self.done += 1
            self.progress(IngestProgress(self.done, self.total, file.path, "store"))
        self._gathered = []

    def _failed(self, file: _File, error: ReadError, known: Document | None) -> None:
        reason = f"{error.message}. {error.hint}".strip(". ") + "."
        if known is not None:
            reason += " The text of its earlier version is kept."
        self.library.note_failure(str(self.root), file.path, reason)
        self.tally.failed.append(Failure(file.path, reason))
        self.done += 1
        self.progress(IngestProgress(self.done, self.total, file.path, "read"))

    def _unchanged(self) -> None:
        self.tally.unchanged += 1
        self.done += 1

    def _check(self) -> None:
        if self.stop():
            raise Cancelled("stopped")


def writing(
    folder: Path, name: str, *, wait: bool = True, on_wait: Callable[[str], None] | None = None
) -> AbstractContextManager[None]:
    """Hold the right to write to a library; see `vault.lock`."""
    return vault.lock(folder / LOCK, f"the library {name!r}", wait=wait, on_wait=on_wait)


def _walk(root: Path, unlisted: Callable[[OSError], None] | None = None) -> Iterator[_File]:
    """Regular files below a root, in a stable order; hidden and temporary ones and linked folders are passed over."""
    for folder, folders, names in os.walk(root, onerror=unlisted, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SKIPPED_FOLDERS)
        for name in sorted(names):
            if name.startswith((".", "~$")) or name.endswith("~"):
                continue
            location = Path(folder) / name
            try:
                facts = location.stat()
            except OSError:
                continue  # it went away, or is a link to nowhere
            if stat.S_ISREG(facts.st_mode):
                yield _File(location, _stored_name(location, root), facts.st_size, facts.st_mtime_ns)


def _stored_name(location: Path, root: Path) -> str:
    """The path below the root; a name that is not UTF-8 cannot be stored as it is."""
    return os.fsencode(location.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
