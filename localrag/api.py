"""The public functions and classes, which the command line uses too.

    library = localrag.open_library("contracts")
    library.ingest(Path("./contracts"))
    passages = library.search("notice period", k=5)

Nothing here confines the process: call `localrag.offline.confine()` first.
"""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrag import embeddings, policy
from localrag.errors import Cancelled, NotFoundError, ReadError, UsageError
from localrag.events import Asking, Event, Failure, IngestProgress, IngestReport
from localrag.grounding import prompts
from localrag.grounding.workspace import Workspace
from localrag.lifecycle import audit_events, retention
from localrag.llm import priority, prompt_cache
from localrag.search import filters
from localrag.security import audit, sandbox, storage
from localrag.security.encryption import unlocked
from localrag.security.terminal import counted
from localrag.settings import Settings, load_settings
from localrag.store import names, reviews
from localrag.store.library import Library as Storage
from localrag.store.names import Tombstones, check_name, check_trusted, exists, store_of_library
from localrag.types import Document, Fact, FactState, Ocr, Page, Pages, Passage, StoredFile

if TYPE_CHECKING:
    from localrag.answer.overview import Overview
    from localrag.embeddings import Embedder
    from localrag.ingest.readers.source import Options
    from localrag.ingest.sync import Job, Work
    from localrag.items.extraction import Each
    from localrag.lifecycle.forget import Conversations
    from localrag.models import InstalledModel
    from localrag.store.writer import Editor

TEMPORARY = "document"  # the name of a library that `temporary_library` makes
_MAX_NAME = 200  # bytes, since what is written first has a longer name


def open_library(name: str, *, settings: Settings | None = None, create: bool = False) -> Library:
    """Open a library by name, or by the path of a read-only one, with the settings of files and variables by default.

    Args:
        create: the library need not exist; the first `ingest` creates it.

    Raises:
        NotFoundError: it does not exist.
        LibraryError: others may have made or changed it, or it is damaged or of another version.
    """
    settings = settings or load_settings()
    retention.apply(settings)
    library = Library(check_name(name := names.resolve(settings, name)), settings)
    if not create:
        library._storage()  # raises if it does not exist
    elif (settings.indexes_dir / name).exists():
        check_trusted(settings, name)
    else:
        sandbox.mark_as_own(settings, name)
    return library


def library_names(settings: Settings | None = None) -> list[str]:
    """Names of all libraries, sorted."""
    return names.library_names((settings or load_settings()).indexes_dir)


def extract(
    schema: str, *, libraries: Sequence[str], each: Each = "document", settings: Settings | None = None, **filter: Any
) -> Asking:
    """Fill a table from documents; iterate over the events, then take the rows from `.answer.table`.

    Args:
        schema: a JSON Schema, or the short form "vendor, invoice_date date, total money, paid yes/no".
        each: what makes a row: a document, a section of it, or a line of a table or list in it.
        filter: narrows the documents as in `ask`.

    Raises UsageError for a schema that is not supported.
    """
    from localrag.answer.reviewer import Reviewer
    from localrag.items import schema as schemas

    wanted, only = schemas.parse(schema), filters.checked(**filter)
    settings = settings or load_settings()
    retention.apply(settings)

    def begin(stop: Callable[[], bool]) -> Iterator[Event]:
        with closing(Workspace(settings)) as workspace:
            yield from Reviewer(workspace).extract(wanted, libraries=libraries, documents=only, each=each, stop=stop)

    return Asking(begin)


@contextmanager
def temporary_library(
    file: Path, settings: Settings, stop: Callable[[], bool], passwords: Sequence[str] = ()
) -> Iterator[Settings]:
    """Read a file or folder into a library that is deleted at the end; yields the settings that find it.

    Raises ReadError where the file cannot be read, or nothing of the folder; Cancelled by `stop`.
    """
    from localrag.ingest.readers import programs

    # Under this name, the next call removes what a process that was killed has left.
    programs.sweep()
    folder = Path(tempfile.gettempdir(), f"localrag-{os.getpid()}-{uuid.uuid4().hex}")

    class _Temporary(Settings):
        __slots__ = ()

        @property
        def indexes_dir(self) -> Path:
            return folder / "indexes"

    values = {one.name: getattr(settings, one.name) for one in fields(Settings)}
    own = _Temporary(**values | {"store": None})
    try:
        documents = file if file.is_dir() else _alone(file, folder / "documents")
        with closing(Library(TEMPORARY, own)) as library:
            report = library.ingest(documents, stop=stop, passwords=passwords)
        if stop():
            raise Cancelled("stopped")
        for failure in () if report.read and file.is_dir() else report.failed:
            what, _, hint = failure.reason.partition(". ")
            raise ReadError(f"{file} {what}", hint)
        yield own
    finally:
        storage.remove(folder)
        storage.remove(own.read_marks(TEMPORARY))


def _alone(file: Path, folder: Path) -> Path:
    """Copy a file into a folder of its own, since the one that it is in may hold thousands of others.

    Its name stays, which may be its title, unless an ingest would ignore it.
    """
    from localrag.ingest.scan import is_leftover
    from localrag.redline.tracked import contents

    data, kept = contents(file), not is_leftover(file.name) and len(os.fsencode(file.name)) <= _MAX_NAME
    name = file.name if kept else f"{TEMPORARY}{file.suffix.lower()}"
    storage.write_bytes(storage.make_dir(folder) / name, data, plain=True)
    return folder


class Library:
    """A library: search it, ingest folders into it, look at its documents, change and delete it."""

    def __init__(self, name: str, settings: Settings) -> None:
        audit.record_refusals(settings.audit_file)
        self.name = name
        self._settings = settings
        self._workspace: Workspace | None = None
        self._embedder: Embedder | None = None

    @property
    def folder(self) -> Path:
        """Where the library is on the disk."""
        return self._settings.library_dir(self.name)

    def _storage(self) -> Storage:
        self._workspace = self._workspace or Workspace(self._settings)
        return self._workspace.library(self.name)

    def close(self) -> None:
        """Let go of models and files; a later call opens them again."""
        if self._workspace is not None:
            self._workspace.close()
            self._workspace = None

    def search(
        self,
        question: str,
        k: int = 10,
        documents: Sequence[str] | None = None,
        *,
        folder: str | None = None,
        types: Sequence[str] | None = None,
        since: str | None = None,
        until: str | None = None,
        sender: str | None = None,
        pages: Pages | None = None,
    ) -> list[Passage]:
        """The k best passages, best first; filters as of `ask`."""
        only = filters.checked(documents, folder, types, since, until, sender, pages)
        self._storage()
        assert self._workspace is not None
        return self._workspace.search(question, libraries=[self.name], k=k, documents=only)

    def documents(self, globs: Sequence[str] | None = None) -> list[Document]:
        """The documents, or those whose path matches one of the globs."""
        return self._storage().documents(globs)

    def titles(self, paths: Collection[str]) -> dict[str, str]:
        """What people would call these documents, by path; only where that is shorter than the path."""
        return self._storage().titles(paths)

    def roots(self) -> list[str]:
        """The folders that were read into the library."""
        return self._storage().roots()

    def chunk_counts(self) -> dict[int, int]:
        """How many passages each document has, by its id."""
        return self._storage().chunk_counts()

    def failures(self) -> list[Failure]:
        """What could not be read in the last ingest of each folder, and why."""
        return self._storage().failures()

    def page(self, document: str, page: int | None = None, *, opened: bool = False) -> tuple[Document, Page]:
        """A document and one of its pages (or its whole text), recorded as shown, or its file as `opened`."""
        found, stored = self._find_page(document, page)
        record = self._settings.library_audit_file(self.name)
        audit_events.shown(record, self.name, found, stored.number, opened=opened)
        return found, stored

    def _find_page(self, document: str, page: int | None) -> tuple[Document, Page]:
        storage = self._storage()
        found = storage.document(document)
        # Page n is nearly always the n-th, so that a long document need not be read whole.
        if page is not None and (likely := storage.page(found.id, page - 1)) and likely.number == page:
            return found, likely
        pages = storage.pages(found.id, every_row=True)
        if page is None and len(pages) == 1:
            return found, pages[0]
        if page is not None and (numbered := [each for each in pages if each.number == page]):
            return found, numbered[0]
        if not found.paged:
            raise NotFoundError(f"{found.path!r} has no pages", "Leave out the page's number to see its whole text.")
        wanted = "no page was given" if page is None else f"there is no page {page}"
        raise NotFoundError(f"{wanted} in {found.path!r}", f"It has {counted(len(pages), 'page')}: give a number.")

    def stored_file(self, document: Document) -> StoredFile | None:
        """The file that a document was read from, as it was at the time."""
        return self._storage().files(document.root).get(document.file or document.path)

    def page_text(self, document: str, page: int | None = None) -> str:
        """The stored text to which a citation's offsets refer."""
        return self.page(document, page)[1].text

    def status(self) -> dict[str, Any]:
        """Counts, roots, embedder, failures, skipped pages and sizes, ready for JSON."""
        storage = self._storage()
        documents = storage.documents()
        return {
            "name": self.name,
            "folder": str(self._settings.indexes_dir / self.name),
            "encrypted": unlocked.encrypted_folder(self.folder) is not None,
            "store": store_of_library(self.folder),
            "read_only": str(kept) if (kept := names.files_of_library(self.folder)) != self.folder else None,
            "roots": storage.roots(),
            **storage.counts(),
            "bytes": sum(path.stat().st_size for path in kept.rglob("*") if path.is_file()),
            "cached": {
                **dict(zip(("passages", "bytes"), prompt_cache.usage(self.folder), strict=True)),
                "limit": prompt_cache.bound(self.folder / prompt_cache.FOLDER, self._settings.cache_bytes),
            },
            "embedder": storage.identity.to_dict(),
            "languages": storage.languages(),
            "advice": self._advice(storage),
            "instructions": storage.instructions,
            "generation": storage.generation,
            "failed": [{"document": item.document, "reason": item.reason} for item in storage.failures()],
            "skipped_pages": sum(len(document.skipped) for document in documents),
            "remarks": [
                {"document": document.path, "page": remark.number, "text": remark.text}
                for document in documents
                for remark in document.remarks
            ],
            "near_duplicates": [
                {"document": one, "of": other, "similarity": alike} for one, other, alike in storage.near_duplicates()
            ],
            "list": [
                {
                    "document": document.path,
                    "pages": document.pages if document.paged else None,
                    **{name: getattr(document, name) for name in ("root", "title", "characters", "author", "date")},
                    "skipped_pages": [page.number for page in document.skipped],
                }
                for document in documents
            ],
        }

    def facts(self, document: str) -> tuple[Fact, ...]:
        """The facts of a document: parties, days, periods, law; those that a person rejected last."""
        storage = self._storage()
        found = storage.document(document)
        details = {"document": found.path, "sha256": found.sha256}
        audit.record(self._settings.library_audit_file(self.name), "overview", self.name, **details)
        rejected = [one for one in storage.decisions(found) if one.state == "rejected"]
        return (*storage.facts([found.id]).get(found.id, ()), *rejected)

    def read_facts(
        self,
        *,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[int, int, str], None] = lambda done, total, path: None,
    ) -> int:
        """Read the facts of documents that have none, such as those of an older version; returns how many there were.

        Raises LibraryLocked while another process writes, StorageError where this one may not.
        """
        from localrag.items import facts
        from localrag.store.writer import Editor

        if (self.folder / names.LINK).exists() or not self._storage().without_facts(facts.VERSION):
            return 0
        with names.writing(self.folder, self.name, wait=False), closing(Editor.open(self.folder, self.name)) as storage:
            storage.hold(wait=False)
            return facts.refresh(storage, stop, progress)

    def overview(self) -> Overview:
        """The first page: documents with their facts, what ends next, who is named, and what can be asked."""
        from datetime import date

        from localrag.answer import overview
        from localrag.items.facts import VERSION

        storage = self._storage()
        audit.record(self._settings.library_audit_file(self.name), "overview", self.name)
        return overview.make([storage], VERSION, date.today())

    def decide(self, document: str, fact: str, state: FactState, value: str = "") -> Fact:
        """Confirm, correct or reject a fact, and record who did; "sure" and "unclear" take back what was decided.

        Args:
            fact: its id, its role, or "role=value"; a role that the document has no fact of, to add one.
            value: the right value, if it is another one.

        Raises LibraryLocked while another process writes, NotFoundError, and UsageError for a value that is none of its
        role.
        """
        from localrag.items import facts
        from localrag.store.writer import Editor

        with names.writing(self.folder, self.name, wait=False), closing(Editor.open(self.folder, self.name)) as storage:
            storage.hold(wait=False)
            found = storage.document(document)
            before, read = storage.decisions(found), storage.facts([found.id]).get(found.id, ())
            rejected = [one for one in before if one.state == "rejected"]
            known = [*read, *rejected]
            exists = "=" in fact or any(fact in (one.id, one.role) for one in known)
            if state == "confirmed" and value and not exists:
                one = facts.added(fact, value, storage.pages(found.id))
            else:
                one = facts.named(known, fact)
            one = facts.decided(one, state, value, audit.user(), reviews.now())
            others = [each for each in before if each.id != one.id]
            kept = state in ("confirmed", "rejected")
            storage.decide(found, [*others, one] if kept else others)
            own = storage.facts([found.id]).get(found.id, ())
            one = one if kept else next((each for each in own if each.id == one.id), one)
        record = self._settings.library_audit_file(self.name)
        details = {"document": found.path, "sha256": found.sha256, "role": one.role, "state": state}
        audit.record(record, "fact", self.name, **details, fact=one.id, corrected=bool(one.was))
        return one

    def digest(self) -> str:
        """A digest that changes if any document or the instructions change."""
        return self._storage().digest()

    def ingest(
        self,
        path: Path | str,
        *,
        prune: bool = False,
        follow_links: bool = False,
        include_forgotten: bool = False,
        leave_out: Collection[Path] = (),
        moved_from: str | None = None,
        passwords: Sequence[str] = (),
        ocr: Ocr | None = None,
        ocr_languages: Sequence[str] | None = None,
        wait: bool = True,
        on_wait: Callable[[str], None] | None = None,
        progress: Callable[[IngestProgress], None] | None = None,
        stop: Callable[[], bool] | None = None,
        cluster: str | None = None,
    ) -> IngestReport:
        """Read what is new or changed in a folder (or one file), and remove what is gone.

        Args:
            path: the folder; a library may have several.
            prune: remove what is gone even if that is everything, or more than a fifth of the files.
            follow_links: read files that are links, wherever they lead; else these are reported.
            include_forgotten: read forgotten documents again, now and later.
            leave_out: resolved paths of files that are not documents.
            moved_from: the folder's former path; what was read of it stays.
            passwords: tried in turn on encrypted files.
            ocr, ocr_languages: see `Settings`; kept for later runs on this library.
            wait: wait for another process that writes to the library, instead of failing.
            on_wait: called once when waiting begins.
            progress: called at every step.
            stop: polled; True ends it with a report of what was done, and the next run resumes.
            cluster: the address of a Ray cluster that reads and embeds, or "auto" for one on this machine.

        Raises:
            NotFoundError: the path does not exist.
            ClusterError: the cluster cannot be reached, or has no machine left that works.
            LibraryLocked: another process is writing, and `wait` is False.
            EmbedderMismatch, ModelError, StorageError, PolicyRefused: from loading the embedder and writing.
        """
        from localrag.ingest import scan, sync
        from localrag.items import facts
        from localrag.store.writer import CHUNKING_VERSION

        path, work = Path(path), self._cluster(cluster)
        if ocr_languages is not None:
            policy.check_setting("ocr_languages", tuple(ocr_languages))
        root, _ = scan.root_of(path)
        if not exists(self.folder) and not scan.readable(path)[0]:
            raise UsageError(
                f"there is nothing to read in {str(path)!r}", "`localrag ingest --help` lists the readable types."
            )
        with names.writing(self.folder, self.name, wait=wait, on_wait=on_wait):
            editor, embedder = self._for_writing()
            with closing(editor) as storage:
                alone = moved_from is not None or storage.chunking != str(CHUNKING_VERSION)
                storage.hold(None if alone else str(root), wait=wait, on_wait=on_wait)
                before = storage.content_hashes()
                if moved_from is not None:
                    storage.move_root(moved_from, str(root))
                storage.save_ocr_choice(ocr, ocr_languages)
                if include_forgotten and storage.tombstones:
                    storage.save_tombstones(Tombstones.new())
                if storage.chunking != str(CHUNKING_VERSION):
                    sync.renew(storage, embedder(), stop=stop or (lambda: False))
                own = self._settings
                memory = own.read_memory_mb * 1_000_000
                if (transcriber := self._transcriber()) is not None:
                    memory += 2 * transcriber.bytes  # as it is loaded, and in use
                limits = sync.Limits(own.workers, own.read_seconds, memory)
                report = sync.ingest(
                    storage,
                    path,
                    embedder=embedder,
                    options=self._options(storage, passwords),
                    limits=limits,
                    prune=prune,
                    follow_links=follow_links,
                    leave_out=leave_out,
                    progress=progress,
                    stop=stop,
                    give_way=self._give_way(stop),
                    cluster=work,
                    read_facts=facts.refresh,
                )
                if report.complete and not before and not alone:
                    self._fit_languages(storage, stop)
                report = replace(report, languages=storage.languages(), advice=self._advice(storage))
                after, stones = storage.content_hashes(), storage.tombstones
                self._drop_stale(after, {document.path for document in storage.documents()})
            sandbox.mark_as_own(self._settings, self.name, report.root)
            record = self._settings.library_audit_file(self.name)
            audit_events.ingested(record, report, before, after)
            # An interrupted `forget` left it; and a `forget` waits for these lists.
            if forgotten := [one for one in before - after if stones.cover("", "", one)]:
                audit.forget(record, forgotten)
        return report

    def _fit_languages(self, storage: Editor, stop: Callable[[], bool] | None) -> None:
        """Make the vectors of a new library again where another embedder that is here knows its languages."""
        from localrag.embeddings import languages as spoken
        from localrag.ingest import sync

        settings, model = self._settings, storage.identity.model
        if spoken.is_chosen(settings) or not spoken.unknown_to(model, storage.languages()):
            return
        if better := spoken.installed(settings):
            with suppress(Cancelled):  # the vectors that it has are good enough
                self._embedder = embeddings.load_embedder(settings.with_options(embedder=better))
                sync.renew(storage, self._embedder, stop=stop or (lambda: False), give_way=self._give_way(stop))

    def _advice(self, storage: Storage) -> str:
        from localrag.embeddings import languages as spoken

        root = next(iter(storage.roots()), "FOLDER")
        return spoken.advice(self.name, root, storage.identity.model, storage.languages(), self._settings)

    def _drop_stale(self, hashes: set[str], paths: set[str]) -> None:
        """Delete what was kept of documents that are gone, given the content hashes and paths of those that are not."""
        prompt_cache.drop_missing(self.folder, hashes)
        # What a review found in a changed document before stays until its new version was reviewed.
        reviews.drop(
            self.folder, lambda kept: kept.sha256 not in hashes and (kept.path not in paths or not kept.looked)
        )

    def re_embed(
        self,
        *,
        progress: Callable[[int, int], None] = lambda done, total: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> int:
        """Make new vectors of the stored text with the default embedder; returns the number of passages.

        If `stop` returns True, it raises Cancelled, and the old vectors stay.
        """
        from localrag.ingest import sync
        from localrag.store.writer import Editor

        with names.writing(self.folder, self.name):
            embedder = embeddings.load_embedder(self._settings)
            with closing(Editor.open(self.folder, self.name)) as storage:
                storage.hold()
                return sync.renew(storage, embedder, progress=progress, stop=stop, give_way=self._give_way(stop))

    @property
    def instructions(self) -> str:
        """How to word answers from this library."""
        return self._storage().instructions

    def instruct(self, text: str) -> str:
        """Set how to word answers from this library, or reset it with an empty text; returns the stored text."""
        from localrag.store.writer import Editor

        kept = prompts.checked_instructions(text) if text else ""
        with names.writing(self.folder, self.name), closing(Editor.open(self.folder, self.name)) as storage:
            storage.instruct(kept)
        return kept

    def forget(self, globs: Sequence[str] | None = None, *, conversations: Conversations = "redact") -> list[str]:
        """Delete documents for good, or the whole library without globs; returns their paths.

        Args:
            globs: over document paths.
            conversations: with answers made from these documents: remove the answers (redact), delete the whole
                conversations (remove), or leave them (keep). A whole library's own conversations are always deleted.
        """
        from localrag.lifecycle import forget

        documents = self.documents(globs)
        self.close()
        forget.forget(self._settings, self.name, documents, whole=not globs, conversations=conversations)
        return [document.path for document in documents]

    def _for_writing(self) -> tuple[Editor, Callable[[], Embedder]]:
        """The library opened for writing, created if missing, and a function that loads its embedder."""
        from localrag.store import postgres
        from localrag.store.writer import Editor

        if exists(self.folder):
            storage = Editor.open(self.folder, self.name)
        else:
            self._embedder = embeddings.load_embedder(self._settings)
            identity, url = self._embedder.identity, self._settings.store
            if url is None:
                storage = Editor.create(self.folder, self.name, identity)
            else:
                storage = Editor.create_in(postgres.Store.parse(url), self.folder, self.name, identity)

        def load() -> Embedder:
            # Until the library is held, another machine may make its vectors with another embedder.
            identity = storage.identity
            if self._embedder is None or self._embedder.identity != identity:
                self._embedder = embeddings.load_embedder(self._settings, identity)
            return self._embedder

        return storage, load

    def _options(self, storage: Editor, passwords: Sequence[str]) -> Options:
        from localrag.ingest.readers.source import Options

        settings = self._settings
        ocr, kept = storage.ocr_choice
        languages = policy.effective("ocr_languages", kept or settings.ocr_languages)
        return Options(
            passwords=tuple(passwords),
            ocr=ocr or settings.ocr,
            languages=languages,
            speech=str(transcriber.path) if (transcriber := self._transcriber()) is not None else "",
            depth=settings.archive_depth,
            unpacked=settings.read_unpacked_mb * 1_000_000,
        )

    def _transcriber(self) -> InstalledModel | None:
        """Return the verified model for recordings; None if none is installed."""
        from localrag.models import ModelStore

        models = ModelStore(self._settings)
        preferred = models.preferred("transcriber")
        return models.get(preferred.id) if preferred is not None else None

    def _cluster(self, address: str | None) -> Callable[[Job], Work] | None:
        if address is None:
            return None
        from localrag.ingest.cluster import AUTO, Cluster, check_installed

        if address != AUTO:
            policy.check_cluster(address)
        check_installed()
        return partial(Cluster, address)

    def _give_way(self, stop: Callable[[], bool] | None) -> Callable[[], None]:
        def wait() -> None:
            priority.give_way(self._settings.questions_dir, stop or (lambda: False))

        return wait
