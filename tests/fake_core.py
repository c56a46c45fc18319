"""Scripted stand-ins for the core: an assistant that says what it was told to, libraries of a few pages."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from waiting import PATIENCE

from localrag import protocol
from localrag.errors import Cancelled, LocalragError, NotFoundError
from localrag.events import (
    Answered,
    Delta,
    Event,
    Failure,
    Found,
    IngestProgress,
    IngestReport,
    Piece,
    Planned,
    PromptRead,
    Reviewed,
    ReviewEnded,
    Warmed,
)
from localrag.ingest.source_files import FileState, PagePicture
from localrag.sessions import Listed, SavedTurn, Session, SessionStore
from localrag.tui.app import LocalragApp
from localrag.tui.threads import Core
from localrag.types import (
    EVERYTHING,
    Answer,
    Citation,
    Decision,
    Document,
    Filter,
    Page,
    Passage,
    Plan,
    Seconds,
    Usage,
    Verdict,
)
from localrag.worker.engine import Contents, Entry, Folder, Opened

NOTICE = "Either party may end this agreement with thirty (30) days' written notice."
TERM = "The term is three years from the effective date."
PAGE_12 = (
    "".join(f"{number}. Earlier clause, of no interest here.\n" for number in range(1, 41))
    + f"41. Termination. {NOTICE} Notice is given by letter.\n"
    + "".join(f"{number}. Later clause.\n" for number in range(42, 60))
)
PAGE_2 = f"Article 2\n{TERM}\n"
PAGES = {
    ("contracts/msa.pdf", 12): PAGE_12,
    ("contracts/msa.pdf", 2): PAGE_2,
    ("contracts/msa.pdf", 11): "The page before.\n",
    ("contracts/msa.pdf", 13): "The page after.\n",
}
# Two white pixels; the quote stands in the second of them.
WHITE = PagePicture(1, 2, b"\xff" * 6, ((0.1, 0.5, 0.9, 0.6),))
PLAN = Plan("retrieve", "a short question over 2 documents")


def citation(quote=NOTICE, page=12, marker=1, library="contracts"):
    text = PAGES[("contracts/msa.pdf", page)]
    start = text.index(quote)
    return Citation(library, "contracts/msa.pdf", page, None, f"p. {page}", quote, start, start + len(quote), marker)


CITATIONS = (citation(), citation(TERM, 2, 2))


def answered(text="Thirty days [1], within a term of three years [2].", **more):
    took = {"tokens": Usage(1204, 900, 64), "seconds": Seconds(0.1, 0.2, 1.9, 3.2), "model": "fake-1b"}
    given = {"question": "", "found": True, "plan": PLAN, "citations": CITATIONS, **took, **more}
    return Answered(Answer(answer=text, **given))


def passage(text):
    return Passage("contracts", "contracts/msa.pdf", 12, None, (), text, 0, len(text), 1.0)


SCRIPT: tuple[Event, ...] = (
    Planned(PLAN),
    Found((passage("one"), passage("two"))),
    PromptRead(0, 1204),
    PromptRead(602, 1204),
    PromptRead(1204, 1204),
    Delta("Thirty days"),
    Delta(" [1]."),
    answered(),
)


class Gate:
    def __init__(self):
        self.opened = threading.Event()
        self.reached = threading.Event()

    def wait(self, stop):
        self.reached.set()
        until = time.monotonic() + PATIENCE
        while not self.opened.is_set() and time.monotonic() < until:
            if stop():
                return False
            self.opened.wait(0.005)
        return True


class FakeAssistant:
    """Plays one script for each question, the last one again and again; keeps what it was asked."""

    def __init__(self, *scripts, loading=None, missing=None):
        self.scripts = list(scripts or [SCRIPT])
        self.loading = loading
        self.missing = missing
        self.asked = []
        self.options = None
        self.ahead = []
        self.reading_ahead = None
        self.loads = 0

    def load(self):
        self.loads += 1
        if self.loading is not None:
            self.loading.wait(lambda: False)
        if self.missing is not None:
            raise self.missing
        return "fake-1b"

    def ask(self, question, *, stop=lambda: False, **how):
        self.options = how.pop("options", None)
        asked = {"documents": EVERYTHING, "mode": "auto", **how, "history": list(how.get("history", ()))}
        self.asked.append({"question": question, **asked})
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        said = ""
        for step in script:
            if isinstance(step, Gate):
                if not step.wait(stop):
                    yield answered(said, question=question, stopped=True, found=False, citations=())
                    return
            elif isinstance(step, Exception):
                raise step
            elif isinstance(step, Answered):
                yield Answered(replace(step.answer, question=question))
            else:
                said += step.text if isinstance(step, Delta) else ""
                yield step

    def read_ahead(self, *, stop, **what):
        self.ahead.append(what)
        if self.reading_ahead is not None:
            what["finished"] = self.reading_ahead.wait(stop)
        yield from ()

    def close(self):
        pass


class FakeEngine:
    def __init__(self, world):
        self.world = world
        self.configured = {}
        self.paused = []
        self.used = []

    def use(self, libraries):
        self.used.append(tuple(libraries))

    def load(self):
        return self.world.assistant.load()

    def ask(self, question, **how):
        return self.world.assistant.ask(question, **how)

    def search(self, question, **how):
        self.world.searched.append((question, how))
        return self.world.passages

    def read_ahead(self, **how):
        return self.world.assistant.read_ahead(**how)

    def review(self, playbook, *, libraries, documents, stop):
        self.world.reviewed.append((playbook, libraries, documents))
        for step in self.world.review:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, Gate):
                if not step.wait(stop):
                    yield ReviewEnded((), (), True)
                    return
            else:
                yield step

    def decide(self, playbook, *, item, library, document, verdict, comment):
        if isinstance(self.world.deciding, LocalragError):
            raise self.world.deciding
        self.world.decided.append((library, document, item, verdict, comment))
        return Decision(verdict, comment, "anna", "2026-03-01T09:00:00+00:00")

    def compare(self, named, *, libraries, stop):
        from localrag.diff.changes import Version, compare
        from localrag.redline.three_way import compare_three

        self.world.compared.append(tuple(named))
        if self.world.comparing is not None and not self.world.comparing.wait(stop):
            raise Cancelled("stopped")
        for name in named:
            if name not in self.world.drafts:
                raise NotFoundError(f"no document matches {name!r}", "Check the spelling.")
        read = [Version(name, tuple(self.world.drafts[name]), library=libraries[0]) for name in named]
        return protocol.to_plain((compare_three if len(read) == 3 else compare)(*read))

    def drafts(self, document, *, libraries):
        return tuple((name, "2024-03-01") for name in self.world.drafts if document in name)

    def ingest(self, library, folder, *, stop):
        self.world.libraries[library] = self.world.fresh
        return self.world.fresh.ingest(folder, stop=stop)

    def warm(self, library, documents=(), *, stop=lambda: False):
        return self.world.libraries[library].keep(documents, stop)

    def forget(self, library, documents):
        held = self.world.libraries[library]
        held.shelved = tuple(one for one in held.entries() if one.document.path not in documents)
        return tuple(documents)

    def libraries(self):
        return tuple(self.world.libraries)

    def look_at(self, folder):
        known = self.world.roots.get(folder)
        return Folder(known or folder.name, known is not None, self.world.readable, 34_000_000)

    def contents(self, library):
        held = self.world.libraries[library]
        return Contents(
            library, held.roots, held.entries(), held.failed, held.instructions, 10_000, encrypted=held.encrypted
        )

    def embed(self, texts, *, library):
        return [[float(len(text))] for text in texts]

    def page(self, library, document, number=None, *, exact=False):
        text = self.world.libraries[library].page_text(document, number)
        return Opened(
            shelved_document(document),
            Page(text, number),
            60,
            f"/docs/{document}",
            self.world.file_state,
            self.world.recording,
        )

    def note_opened(self, library, document, number=None):
        if self.world.noted and isinstance(error := self.world.noted[-1], LocalragError):
            raise error
        self.world.noted.append((library, document, number))

    def page_image(self, library, document, number, width, spans=()):
        self.world.pictured.append((document, number, spans))
        if isinstance(self.world.picture, LocalragError):
            raise self.world.picture
        return self.world.picture

    def models(self):
        return ("fake-1b", "fake-7b")

    def configure(self, **options):
        self.configured |= options

    def pause(self, paused):
        self.paused.append(paused)

    def close(self):
        pass


def shelved_document(path, **more):
    return replace(Document(1, "/docs", path, "", "", 1, 60, 1, True, path), **more)


@dataclass
class FakeLibrary:
    """A library whose ingest reports each file and can be held up by a gate after the first."""

    name: str
    held: int = 2
    files: tuple[str, ...] = ("a.md", "b.md", "c.md")
    gate: Gate | None = None
    report: IngestReport | None = None
    broken: LocalragError | None = None
    encrypted: bool = False
    instructions: str = ""
    roots: tuple[str, ...] = ("/docs",)
    shelved: tuple[Entry, ...] | None = None
    failed: tuple[Failure, ...] = ()
    keeping: Gate | None = None
    held_by: str = ""
    kept: list[str] = field(default_factory=list)

    def entries(self):
        if self.shelved is not None:
            return self.shelved
        return tuple(Entry(document, 100, 0) for document in self.documents())

    def keep(self, paths, stop):
        """Each document in two steps; the gate stands between those of the first."""
        for number, path in enumerate(paths, 1):
            piece = Piece(shelved_document(path), path, False, 100, False)
            yield Warmed(piece, number, len(paths), 40, "reading", 0.4)
            if self.keeping is not None and not self.keeping.wait(stop):
                return
            self.kept.append(path)
            self.shelved = tuple(
                replace(one, warm=one.tokens, share=1.0) if one.document.path == path else one for one in self.entries()
            )
            yield Warmed(piece, number, len(paths), 100, "kept", 1.0)

    def documents(self):
        if self.broken:
            raise self.broken
        return [shelved_document(f"{number}.pdf") for number in range(self.held)]

    def page_text(self, document, page):
        try:
            return PAGES[(document, page or 0)]
        except KeyError:
            raise NotFoundError(f"there is no page {page} of {document!r}", "Read it again.") from None

    def close(self):
        pass

    def ingest(self, path, *, stop):
        read = []
        if self.held_by:
            yield IngestProgress(0, 0, self.held_by, "wait")
            if self.gate and not self.gate.wait(stop):
                raise Cancelled("stopped")
        for done, name in enumerate(self.files):
            yield IngestProgress(done, len(self.files), name, "read")
            if done == 1 and self.gate and not self.gate.wait(stop):
                break
            read.append(name)
        if self.report is None:
            self.held = len(read)
        yield self.report or IngestReport(self.name, str(path), tuple(read), complete=len(read) == len(self.files))


@dataclass
class FakeStore:
    """Keeps conversations in memory; `full` makes saving fail, `record` is where exports are noted."""

    kept: dict[str, Session] = field(default_factory=dict)
    full: LocalragError | None = None
    record: Path | None = None
    begun: int = 0

    def list(self):
        return [Listed(one.id, one.title, one.libraries, one.created, len(one.turns)) for one in self.all()]

    def all(self):
        return tuple(reversed(self.kept.values()))

    def record_of(self, *libraries):
        return self.record

    def load(self, session_id):
        return self.kept[session_id]

    @property
    def sessions(self):
        return [[turn.answer for turn in one.turns if turn.answer] for one in self.kept.values()]

    def new(self, libraries, title=""):
        """A conversation of a certain day, whatever the day is; the one begun later has the later id."""
        self.begun += 1
        created = f"2024-03-01T09:00:{self.begun:02}+00:00"
        return Session(f"20240301T0900{self.begun:02}000000-000000", title, libraries, created)

    def ask(self, session, question):
        return self._keep(session, SavedTurn(question, "", None))

    def append(self, session, answer):
        answered = tuple(turn for turn in session.turns if turn.answer)
        return self._keep(replace(session, turns=answered), SavedTurn(answer.question, "", answer))

    def _keep(self, session, turn):
        if self.full:
            raise self.full
        self.kept[session.id] = replace(session, turns=(*session.turns, turn))
        return self.kept[session.id]

    def keep_partial(self, session_id, question, said):
        pass

    def keep_draft(self, session_id, draft):
        pass


@dataclass
class FakeWorld:
    """Everything behind the app; change a part, then take `app()`."""

    assistant: FakeAssistant = field(default_factory=FakeAssistant)
    store: FakeStore | SessionStore = field(default_factory=FakeStore)
    libraries: dict[str, FakeLibrary] = field(default_factory=lambda: {"contracts": FakeLibrary("contracts")})
    fresh: FakeLibrary = field(default_factory=lambda: FakeLibrary("new"))
    roots: dict[Path, str] = field(default_factory=dict)
    readable: int = 3
    now: float = 0.0
    file_state: FileState = "same"
    recording: str = ""
    picture: PagePicture | LocalragError = WHITE
    pictured: list[tuple[str, int | None, tuple[tuple[int, int], ...]]] = field(default_factory=list)
    review: Sequence[Reviewed | ReviewEnded | Gate | Exception] = ()
    reviewed: list[tuple[str, Sequence[str], Filter]] = field(default_factory=list)
    decided: list[tuple[str, str, str, Verdict, str]] = field(default_factory=list)
    deciding: LocalragError | None = None
    drafts: dict[str, tuple[Page, ...]] = field(default_factory=dict)
    compared: list[tuple[str, ...]] = field(default_factory=list)
    comparing: Gate | None = None
    noted: list[tuple[str, str, int | None] | LocalragError] = field(default_factory=list)
    searched: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    passages: tuple[Passage, ...] = ()

    def core(self):
        parts = {"engine": FakeEngine(self), "store": self.store}
        return Core(**parts)

    def app(self, **options):
        """The app over this world; its clock stands still at `now`, and notices stay however busy the machine is."""
        app = LocalragApp(self.core(), clock=lambda: self.now, **options)
        app.NOTIFICATION_TIMEOUT = 3600
        notify, stays = app.notify, {"severity": "error", "timeout": 3600}
        app.notify = lambda message, **how: notify(message, **(how | stays if "error" in how.values() else how))
        return app
