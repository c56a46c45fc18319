"""Synchronise a library with a folder: scan, compare, read, chunk, embed, commit, report.

Files are compared by size and time, then by content hash, and only what changed is read. A moved file is recognised by
its content and keeps its documents; a copy of a known file is not read again. Files are committed whole, some at a
time, so that an ingest can be stopped or killed at any moment and the next run resumes. A changed file that cannot be
read keeps the text of its earlier version.
"""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, fields
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from localrag.errors import Cancelled, UsageError
from localrag.events import Failure, IngestProgress, IngestReport
from localrag.ingest import chunking
from localrag.ingest.readers import base, programs
from localrag.ingest.readers.isolate import ReaderPool
from localrag.ingest.readers.source import LINKED, Options, reads
from localrag.ingest.scan import Found, content_hash, is_still, root_of, stored_name, unlistable, walk
from localrag.ingest.source_files import SOUNDS, TRANSCRIPTS
from localrag.security import storage
from localrag.store import data_sheets
from localrag.store.writer import CHUNKING_VERSION, Editor, minhash, passage_digest
from localrag.types import Chunk, Document, Page, Part, Refused, Remark, SkippedPage, StoredFile

if TYPE_CHECKING:
    from localrag.embeddings import Embedder, EmbedderIdentity
    from localrag.store.vector_index import Vectors

# If more than this share of a root's files, and at least this number, is gone, a network share may not be mounted.
_MAX_GONE, _MIN_GONE = 0.2, 3
_BATCH = 256  # moves and copies in one transaction
# A full batch, in chunks to embed and entries; a file that alone fills more than _MAX_BATCHES is committed in parts.
_CHUNKS = 256
_ENTRIES = 1024
_MAX_BATCHES = 4

ReadFacts = Callable[[Editor, Callable[[], bool], Callable[[int, int, str], None]], object]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of reading one file."""

    workers: int = 2
    seconds: float = 120
    memory: int = 1_500_000_000


def ingest(
    library: Editor,
    path: Path,
    *,
    embedder: Callable[[], Embedder],
    options: Options | None = None,
    limits: Limits | None = None,
    prune: bool = False,
    follow_links: bool = False,
    leave_out: Collection[Path] = (),
    progress: Callable[[IngestProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    give_way: Callable[[], None] = lambda: None,
    cluster: Callable[[Job], Work] | None = None,
    read_facts: ReadFacts | None = None,
) -> IngestReport:
    """Read what is new or changed below `path` (a folder, or one file), and remove what is gone.

    The caller holds the library's write lock (`names.writing`).

    Args:
        embedder: called when there is something to embed, since loading one takes seconds.
        follow_links: read files that are links.
        leave_out: resolved paths of files to treat as if they did not exist.
        give_way: called between batches; returns when nothing more urgent needs the processor.
        cluster: makes what reads and embeds on other machines; without it, this process does.
        read_facts: called at the end with what says whether to stop and what takes its progress.

    Raises:
        UsageError: the folder has no files, while the library has documents of it (an unmounted share?).
    """
    storage.sweep(library.folder)
    root, only = root_of(path)
    report, stopped = progress or (lambda progress: None), stop or (lambda: False)
    how = options or Options(), limits or Limits()
    run = _Run(library, root, follow_links, embedder, *how, report, stopped, give_way, cluster)
    began = time.monotonic()
    complete = True
    try:
        run.progress(IngestProgress(0, 0, "", "scan"))
        files = run.joined(list(run.scan(only, leave_out)))
        if run.known and not files and only is None and not prune:
            raise UsageError(
                f"{run.root!r} has no documents, but the library {library.name!r} has {len(run.known)} files of it; "
                "nothing was removed",
                "Is a network drive not mounted? To remove them, repeat with --prune.",
            )
        changed = run.recognise_moved(run.compare(files), files, only)
        run.remove_missing(files, only, prune)
        run.read(changed)
        run.read_facts(read_facts)
    except (Cancelled, KeyboardInterrupt):
        complete = False
    run.progress(IngestProgress(run.done, run.total, "", "index"))
    library.save_index()
    return run.tally.report(library, run.root, time.monotonic() - began, complete)


@dataclass(slots=True)
class Tally:
    """What a report is made of, under its names, while it is gathered; `near` has the id of the other document."""

    read: list[str] = field(default_factory=list)
    unchanged: int = 0
    removed: list[str] = field(default_factory=list)
    moved: list[tuple[str, str]] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    failed: dict[str, Failure] = field(default_factory=dict)
    skipped_pages: list[tuple[str, SkippedPage]] = field(default_factory=list)
    remarks: list[tuple[str, Remark]] = field(default_factory=list)
    near: list[tuple[str, int]] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)
    recognised: int = 0
    forgotten: int = 0
    chunks: int = 0
    embedded: int = 0

    def report(self, library: Editor, root: str, seconds: float, complete: bool) -> IngestReport:
        paths = {doc.id: doc.path for doc in library.documents()} if self.near else {}
        found: dict[str, Any] = {each.name: getattr(self, each.name) for each in fields(self)}
        found |= {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
        found |= {
            "read": tuple(sorted(self.read)),
            "failed": tuple(sorted(self.failed.values(), key=lambda failure: failure.document)),
            "near": tuple((name, paths[other]) for name, other in self.near if other in paths),
            "ignored": dict(self.ignored.most_common()),
        }
        return IngestReport(library.name, root, **found, seconds=seconds, complete=complete)


@dataclass
class _Run:
    """One ingest under way."""

    library: Editor
    location: Path
    links: bool  # whether they are followed
    load_embedder: Callable[[], Embedder]
    options: Options
    limits: Limits
    progress: Callable[[IngestProgress], None]
    stop: Callable[[], bool]
    give_way: Callable[[], None]
    cluster: Callable[[Job], Work] | None

    def __post_init__(self) -> None:
        self.root = str(self.location)
        self.tally = Tally()
        self.known = self.library.files(self.root)
        self.before = len(self.known)
        self.failures: dict[str, list[Failure]] = {}
        for failure in self.library.failures(self.root):
            self.failures.setdefault(failure.file, []).append(failure)
        self.forgotten = self.library.tombstones
        self.unlisted: dict[str, str] = {}
        self.recordings: dict[str, str] = {}  # by the path of the transcript that is read instead
        self.begun: dict[str, int] = {}  # the last document before each file was begun
        self.refused: dict[str, list[Refused]] = {}
        self.done = self.total = 0
        self.stamp = _stamp(self.options)
        self.failed_stamp = _stamp(self.options, self.limits)

    @cached_property
    def embedder(self) -> Embedder:
        loaded = self.load_embedder()
        self.library.require(loaded.identity)
        return loaded

    @cached_property
    def has_text(self) -> set[str]:
        """Files that have documents."""
        return {document.file for document in self.library.documents(root=self.root)}

    # --- comparing ------------------------------------------------------------------------------------------

    def scan(self, only: str | None, leave_out: Collection[Path] = ()) -> Iterator[Found]:
        """The files to read below the root; others are counted by suffix."""
        seen: set[str] = set()
        for file in walk(self.location, self._unlisted):
            self._check()
            if (only is not None and file.path != only) or file.location in leave_out:
                continue
            if file.path in seen:  # an escaped name that is not UTF-8 equals another name
                path = f"{file.path} (another file)"
                self.tally.failed[path] = Failure(
                    path, "has the same name as another file. Rename one of the two.", path
                )
            elif reads(file.location) and not self.links and file.location.is_symlink():
                self.unlisted[file.path] = f"{'. '.join(LINKED)} What was read of it before is kept."
            elif reads(file.location):
                seen.add(file.path)
                if self.forgotten.cover(self.root, file.path):
                    self.tally.forgotten += 1
                else:
                    yield file
            elif file.regular:
                self.tally.ignored[file.location.suffix.lower() or "(no suffix)"] += 1

    def joined(self, files: Sequence[Found]) -> list[Found]:
        """Return the files to read: of a recording with a transcript beside it, only the transcript."""
        texts = {_stem(file.path): file.path for file in files if Path(file.path).suffix.lower() in TRANSCRIPTS}
        left = []
        for file in files:
            is_recording = Path(file.path).suffix.lower() in SOUNDS
            text = (texts.get(_stem(file.path)) or texts.get(file.path)) if is_recording else None
            if text is None:
                left.append(file)
            else:
                self.recordings[text] = file.path
        return left

    def _unlisted(self, error: OSError) -> None:
        """Keep what was read of a folder that cannot be listed, or a file that cannot be examined."""
        path = Path(str(error.filename))
        if path == self.location:
            raise unlistable(path, error)
        self.unlisted[stored_name(path, self.location)] = (
            f"cannot be examined: {error.strerror}. What was read of it before is kept."
        )

    def compare(self, files: Sequence[Found]) -> list[tuple[Found, str]]:
        """The files with new content, or that other readers or options would read differently."""
        changed, touched = [], []
        self.total = len(files)
        for file in files:
            self._check()
            known = self.known.get(file.path)
            same = known is not None and self._read_alike(known, file.path)
            if known and same and (known.size, known.mtime_ns) == (file.size, file.mtime_ns):
                self._unchanged(file)
                continue
            if not file.regular:
                self._cannot_open(file, "is not a regular file; pipes and devices are not read.")
                continue
            self.progress(IngestProgress(self.done, self.total, file.path, "scan"))
            try:
                digest = content_hash(file.location, self._check, self.links)
            except FileNotFoundError:
                continue  # deleted since the folder was listed; the next run removes it
            except OSError as error:
                self._cannot_open(file, f"cannot be opened: {error.strerror}. Check its rights.")
                continue
            if self.forgotten.cover(self.root, file.path, digest):
                self.tally.forgotten += 1
                self._finished(file)
                continue
            if known and same and known.sha256 == digest:
                touched.append((file, known))
                self._unchanged(file)
                continue
            changed.append((file, digest))
        if touched:
            with self.library.transaction():
                for file, known in touched:
                    self.library.finish(self.root, file.path, file.size, file.mtime_ns, known.sha256, known.stamp)
        return changed

    def _read_alike(self, known: StoredFile, path: str) -> bool:
        """Whether a file was read by the current readers and options."""
        failures = self.failures.get(path)
        if not failures or known.stamp == self.stamp:
            return bool(known.sha256) and known.stamp == self.stamp
        locked = self.options.passwords and any("encrypted" in failure.reason for failure in failures)
        return bool(known.sha256) and known.stamp == self.failed_stamp and not locked

    def recognise_moved(
        self, changed: Sequence[tuple[Found, str]], files: Sequence[Found], only: str | None
    ) -> list[tuple[Found, str]]:
        """Move or copy what the library has already; returns the files left to read."""
        gone = set(self._gone(files, only))
        left = []
        for first in range(0, len(changed), _BATCH):
            self._check()
            with self.library.transaction():
                for file, digest in changed[first : first + _BATCH]:
                    same = [] if file.path in self.known else self.library.same_content(digest, self.stamp)
                    old = next((old.path for old, root in same if root == self.root and old.path in gone), None)
                    if old is not None:
                        self.library.move(self.root, old, file.path, file.size, file.mtime_ns)
                        del self.known[old]
                        self.tally.moved.append((old, file.path))
                        self._finished(file)
                        gone.remove(old)
                    elif same:
                        self._copy(file, same[0][0])
                    else:
                        left.append((file, digest))
        return left

    def _gone(self, files: Sequence[Found], only: str | None) -> list[str]:
        """Files that were read before and are gone now, without those that could not be examined."""
        there = {file.path for file in files}
        return sorted(
            path
            for path in self.known
            if path not in there
            and (only is None or path == only)
            and not any(path == place or path.startswith(f"{place}/") for place in self.unlisted)
        )

    def remove_missing(self, files: Sequence[Found], only: str | None, prune: bool) -> None:
        there = {file.path for file in files}
        gone = self._gone(files, only)
        if len(gone) >= _MIN_GONE and len(gone) > _MAX_GONE * self.before and not prune and only is None:
            self.tally.kept = gone
            gone = []
        if gone:
            paths = set(gone)
            documents = [doc.path for doc in self.library.documents(root=self.root) if doc.file in paths]
            self.library.remove_files(self.root, gone)
            self.tally.removed = sorted({*documents, *gone})
        for path, reason in self.unlisted.items():
            self._note(path, reason, path)
        if only is None and (over := self.failures.keys() - there - self.unlisted.keys() - set(self.tally.kept)):
            self.library.drop_failures(self.root, over)

    # --- reading --------------------------------------------------------------------------------------------

    def read(self, changed: Sequence[tuple[Found, str]]) -> None:
        first: dict[str, tuple[Found, str]] = {}
        twins = []
        for file, digest in changed:
            # Of files with the same content one is read, and the others are copied.
            if first.setdefault(digest, (file, digest))[0] is not file:
                twins.append((file, digest))
        self._read(list(first.values()))
        left = []
        for file, digest in twins:
            self._check()
            if same := self.library.same_content(digest, self.stamp):
                self._copy(file, same[0][0])
            else:
                left.append((file, digest))
        self._read(left)

    def read_facts(self, read: ReadFacts | None) -> None:
        def report(done: int, total: int, path: str) -> None:
            self.progress(IngestProgress(done, total, path, "facts"))

        if read is not None:
            read(self.library, self.stop, report)
            self._check()

    def _read(self, changed: Sequence[tuple[Found, str]]) -> None:
        if not changed:
            return
        by_path = {file.location: (file, digest) for file, digest in changed}
        waiting: deque[Embedding] = deque()
        with self._work() as work:
            for batch in work.batches(by_path):
                self._check()
                # While this batch is embedded, the next is chunked, and those before are committed.
                texts = self._new_texts(batch, {key for _, keys, _ in waiting for key in keys})
                vectors = work.embed(list(texts.values()), self._reporter(batch, by_path, len(texts)))
                if len(waiting) == work.ahead:
                    self._store(work, *waiting.popleft(), by_path)
                waiting.append((batch, tuple(texts), vectors))
                self.give_way()
            while waiting:
                self._store(work, *waiting.popleft(), by_path)

    def _work(self) -> Work:
        if self.cluster is not None:
            job = Job(self.location, self.links, self.library.identity, self.options, self.limits, self.stop)
            return self.cluster(job)
        return _Here(self.embedder, self.links, self.options, self.limits, self.stop)

    def _new_texts(self, batch: Batch, coming: Collection[bytes]) -> dict[bytes, str]:
        """The texts of a batch by digest, without those that the library has, or that are coming."""
        items = (item for _, item in batch if isinstance(item, Prepared))
        texts = {key: text for item in items for key, text in item.texts.items() if key not in coming}
        known = self.library.known_digests(list(texts))
        return {key: text for key, text in texts.items() if key not in known}

    def _store(
        self,
        work: Work,
        batch: Batch,
        keys: Sequence[bytes],
        embedded: Future[Iterable[Vectors]],
        by_path: dict[Path, tuple[Found, str]],
    ) -> None:
        """Commit a batch once its vectors are ready: those of the passages that had none."""
        vectors = dict(zip(keys, embedded.result(), strict=True))
        if texts := self._new_texts(batch, vectors):
            # Passages that an older version of a document had may have been deleted with it since the batch was begun.
            again = work.embed(list(texts.values()), self._reporter(batch, by_path, len(texts)))
            vectors |= zip(texts, again.result(), strict=True)
        with self.library.transaction():
            for location, item in batch:
                file, digest = by_path[location]
                if isinstance(item, Prepared):
                    self._begin(file)
                    self._put(file, item, vectors)
                elif isinstance(item, Refused):
                    self.refused.setdefault(file.path, []).append(item)
                else:
                    self._end(file, digest)
        for location, item in batch:
            if item is None:
                self._finished(by_path[location][0])
        self.tally.embedded += len(vectors)

    def _reporter(self, batch: Batch, by_path: dict[Path, tuple[Found, str]], total: int) -> Callable[[int], None]:
        name = by_path[batch[-1][0]][0].path

        def report(done: int) -> None:
            self.progress(IngestProgress(self.done, self.total, f"{name} ({done} of {total} passages)", "embed"))
            self.give_way()

        return report

    def _put(self, file: Found, item: Prepared, vectors: dict[bytes, Vectors]) -> None:
        name, reading = _path(file, item.part.name), item.part.reading
        if self.forgotten.cover(self.root, name, item.part.sha256):
            self.tally.forgotten += 1  # part of a mail or an archive that was not forgotten
            return
        near = self.library.put(self.root, file.path, item.part, item.chunks, vectors, item.signature)
        self.tally.read.append(name)
        self.tally.skipped_pages += [(name, page) for page in reading.skipped]
        self.tally.remarks += [(name, remark) for remark in reading.remarks]
        if recording := self.recordings.get(file.path):
            self.tally.remarks.append((name, Remark(None, f"It is read as the text of {recording}.")))
        self.tally.near += [(name, other) for other in near[:1]]
        self.tally.recognised += sum(bool(page.words) for page in reading.pages)
        self.tally.chunks += len(item.chunks)

    def _begin(self, file: Found) -> None:
        if file.path not in self.begun:
            self.begun[file.path] = self.library.begin(self.root, file.path, keep=True)

    def _end(self, file: Found, digest: str) -> None:
        """Finish a file: report what was refused, and mark it as read."""
        refused = self.refused.pop(file.path, [])
        if any(item.name for item in refused):
            self._begin(file)  # its members are known, so those of the earlier version are deleted
        failed = [item for item in refused if not item.name or reads(Path(item.name))]
        for item in refused:
            if item not in failed:
                self.tally.ignored[PurePosixPath(item.name).suffix.lower() or "(no suffix)"] += 1
        for item in failed:
            self._failed(file, _path(file, item.name), item.reason)
        if not is_still(file):
            digest = ""  # it changed meanwhile, so the next run reads it again
        stamp = self.failed_stamp if failed else self.stamp
        facts = file.size, file.mtime_ns, digest, stamp
        self.library.finish(self.root, file.path, *facts, before=self.begun.get(file.path, 0))

    def _failed(self, file: Found, path: str, reason: str) -> None:
        if file.path not in self.begun and file.path in self.has_text:
            reason += " The text of its earlier version is kept."
        self._note(path, reason, file.path)

    def _note(self, path: str, reason: str, file: str) -> None:
        failure = self.tally.failed[path] = Failure(path, reason, file)
        # A known failure does not change the library.
        if file in self.begun or failure not in self.failures.get(file, ()):
            self.library.note_failure(self.root, path, reason, file)

    def _cannot_open(self, file: Found, reason: str) -> None:
        self._failed(file, file.path, reason)
        self._finished(file)

    def _copy(self, file: Found, source: StoredFile) -> None:
        self.library.copy(self.root, file.path, file.size, file.mtime_ns, source.id)
        self.tally.copies.append(file.path)
        self._finished(file)

    def _unchanged(self, file: Found) -> None:
        failures = {failure.document: failure for failure in self.failures.get(file.path, ())}
        if failures and self.known[file.path].stamp == self.stamp:
            # It was read without errors, and only could not be examined or opened since.
            self.library.drop_failures(self.root, [file.path])
            failures = {}
        self.tally.failed.update(failures)
        self.tally.unchanged += file.path not in failures
        self.done += 1

    def _finished(self, file: Found) -> None:
        self.done += 1
        self.progress(IngestProgress(self.done, self.total, file.path, "store"))

    def _check(self) -> None:
        if self.stop():
            raise Cancelled("stopped")


# --- reading, chunking and embedding -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document ready to be embedded: its chunks, and the texts to embed by digest."""

    part: Part
    chunks: tuple[Chunk, ...]
    texts: dict[bytes, str]
    signature: bytes


Entry = tuple[Path, "Prepared | Refused | None"]
Batch = list[Entry]
Embedding = tuple[Batch, tuple[bytes, ...], "Future[Iterable[Vectors]]"]


@dataclass(frozen=True, slots=True)
class Job:
    """What reading and embedding the files of a root depends on."""

    root: Path
    links: bool  # whether they are followed
    identity: EmbedderIdentity
    options: Options
    limits: Limits
    stop: Callable[[], bool]


class Work(AbstractContextManager["Work"], Protocol):
    """Reads, chunks and embeds files while the caller stores them."""

    @property
    def ahead(self) -> int:
        """How many batches may wait for their vectors while another is read."""

    def batches(self, paths: Iterable[Path]) -> Iterator[Batch]:
        """Yield every document in the files, or why it was refused; a file ends with None. Raises Cancelled."""

    def embed(self, texts: Sequence[str], report: Callable[[int], None]) -> Future[Iterable[Vectors]]:
        """Begin to make the vectors of texts; `report` receives the number done. The result raises Cancelled."""


class _Here:
    """Work in this process and the reader processes that it starts."""

    ahead = 1

    def __init__(
        self, embedder: Embedder, links: bool, options: Options, limits: Limits, stop: Callable[[], bool]
    ) -> None:
        self._embedder, self._links, self._stop = embedder, links, stop
        self._pool = ReaderPool(
            workers=limits.workers, seconds=limits.seconds, options=options, memory=limits.memory, stop=stop
        )
        self._open = ExitStack()

    def __enter__(self) -> _Here:
        # The pool ends before the thread that reads from it, which would wait for a file that hangs.
        self._chunker = self._open.enter_context(ThreadPoolExecutor(1, "chunker"))
        self._readers = self._open.enter_context(self._pool)
        self._ahead = self._open.enter_context(ThreadPoolExecutor(1, "ahead"))
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def batches(self, paths: Iterable[Path]) -> Iterator[Batch]:
        batches = batched(prepared(self._readers.read_all(paths, self._links), self._embedder))
        coming = self._chunker.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = self._chunker.submit(next, batches, None)
            yield batch

    def embed(self, texts: Sequence[str], report: Callable[[int], None]) -> Future[Iterable[Vectors]]:
        def make() -> Iterable[Vectors]:
            return self._embedder.embed_documents(texts, progress=report, stop=self._stop) if texts else ()

        return self._ahead.submit(make)


def prepared(results: Iterable[tuple[Path, Part | Refused | None]], embedder: Embedder) -> Iterator[Entry]:
    """Chunk what was read."""
    for path, result in results:
        yield path, _chunked(result, embedder) if isinstance(result, Part) else result


def batched(entries: Iterable[Entry]) -> Iterator[Batch]:
    """Gather entries in batches, files whole unless one alone fills several batches."""
    batch: Batch = []
    for entry in entries:
        batch.append(entry)
        if _is_full(batch, 1):
            ended = {path for path, item in batch if item is None}
            whole = [entry for entry in batch if entry[0] in ended]
            rest = [entry for entry in batch if entry[0] not in ended]
            if _is_full(rest, _MAX_BATCHES):
                whole, rest = batch, []
            if whole:
                yield whole
            batch = rest
    if batch:
        yield batch


def _chunked(part: Part, embedder: Embedder) -> Prepared:
    reading = part.reading
    chunks = _split(data_sheets.prose(reading.pages), reading.title, embedder)
    return Prepared(
        part,
        tuple(chunks),
        {passage_digest(reading.title, chunk): chunking.embedded_text(reading.title, chunk) for chunk in chunks},
        minhash("\n".join(page.text for page in reading.pages)),
    )


def _split(pages: Sequence[Page], title: str, embedder: Embedder) -> list[Chunk]:
    return chunking.split(pages, count=embedder.count, title=title, limit=embedder.max_tokens)


def _is_full(batch: Batch, times: int) -> bool:
    chunks = sum(len(item.chunks) for _, item in batch if isinstance(item, Prepared))
    return chunks >= times * _CHUNKS or len(batch) >= times * _ENTRIES


def _stem(path: str) -> str:
    return str(PurePosixPath(path).with_suffix(""))


def _path(file: Found, member: str) -> str:
    return f"{file.path}/{member}" if member else file.path


def _stamp(options: Options, limits: Limits | None = None) -> str:
    """What reading depends on besides the file; for failed files, also what could make another attempt succeed."""
    facts: list[object] = [base.VERSION, options.ocr, *options.languages]
    if limits is not None:
        facts += [limits.seconds, limits.memory, options.depth, options.members, options.unpacked]
        facts += [name for name, program in programs.installed().items() if program]
        facts += [*programs.missing_parts(), *(["libpff"] * (find_spec("pypff") is not None))]
        facts += [options.speech] * bool(options.speech)
    return json.dumps(facts, separators=(",", ":"))


# --- new vectors or chunks from the stored text, without the documents' files --------------------------------------
# Vectors are staged as they come, so that a stopped or killed run resumes where it was. Searches use the old ones until
# one transaction replaces them.

_STAGED = 128
_RESUME = "Run the same command again to resume."


def renew(
    library: Editor,
    embedder: Embedder,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
    give_way: Callable[[], None] = lambda: None,
) -> int:
    """Chunk all stored text again and embed what has no vector; returns the number of passages. Raises Cancelled."""
    purpose = json.dumps([embedder.identity.to_dict(), CHUNKING_VERSION])
    if library.identity == embedder.identity:
        library.stage_present(purpose)
    staged = library.staged(purpose)
    total, done = library.counts()["characters"], 0
    waiting: dict[bytes, str] = {}
    passages: set[bytes] = set()

    def flush() -> None:
        try:
            vectors = embedder.embed_documents(list(waiting.values()), stop=stop)
        except Cancelled as error:
            raise Cancelled("stopped while embedding; the old vectors stay in use", _RESUME) from error
        library.stage(purpose, dict(zip(waiting, vectors, strict=True)))
        staged.update(waiting)
        waiting.clear()
        give_way()

    for document, _, chunks in _chunked_again(library, embedder):
        if stop():
            raise Cancelled("stopped; the old vectors stay in use", _RESUME)
        for chunk in chunks:
            key = passage_digest(document.title, chunk)
            passages.add(key)
            if key not in staged:
                waiting[key] = chunking.embedded_text(document.title, chunk)
        done += document.characters
        if len(waiting) >= _STAGED:
            flush()
            progress(done, total)
    if waiting:
        flush()
    progress(total, total)
    library.replace_chunks(embedder.identity, _chunked_again(library, embedder))
    library.save_index()
    return len(passages)


def _chunked_again(library: Editor, embedder: Embedder) -> Iterator[tuple[Document, list[Page], list[Chunk]]]:
    for document in library.documents():
        pages = library.pages(document.id)
        yield document, pages, _split(pages, document.title, embedder)
