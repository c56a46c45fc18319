"""Events of answering, of ingest and of reading ahead: frozen values that the command line and the app show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from localrag.errors import UsageError
from localrag.types import Answer, Checked, Document, NotRead, Passage, Plan, Remark, SkippedPage


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan, again where it changed; `looked_for` is what is looked up, if not the question itself."""

    plan: Plan
    looked_for: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The passages in the prompt (retrieve), in document order."""

    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to know while waiting."""

    text: str


@dataclass(frozen=True, slots=True)
class PromptRead:
    """Progress of the model in reading the prompt, in tokens."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Surveyed:
    """Progress of a survey: documents asked so far, and the latest row."""

    done: int
    total: int
    row: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reviewed:
    """Progress of a review: findings so far and in all, the same of documents, and the latest finding."""

    done: int
    total: int
    document: int
    documents: int
    finding: Checked


@dataclass(frozen=True, slots=True)
class ReviewEnded:
    """The end of a review: its findings, what matters most first in each document, and what was not read.

    `stopped`: items or documents are left, which the next review with the playbook goes on with.
    """

    findings: tuple[Checked, ...]
    not_read: tuple[NotRead, ...]
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Delta:
    """The next piece of the answer; the final Answer replaces what was streamed."""

    text: str


@dataclass(frozen=True, slots=True)
class Writing:
    """Pieces of the answer written so far, in strict mode, which shows none before they are checked."""

    pieces: int


@dataclass(frozen=True, slots=True)
class Reasoning:
    """The next piece of a model's reasoning, which is no part of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Replaced:
    """Another answer follows, and why; what was streamed so far no longer counts."""

    why: str


@dataclass(frozen=True, slots=True)
class Answered:
    """The whole answer; the last event of a question."""

    answer: Answer


Event = Planned | Found | Notice | PromptRead | Surveyed | Delta | Writing | Reasoning | Replaced | Answered


class Asking:
    """An answer under way: an iterator over its events. `begin` takes what says whether to stop."""

    def __init__(self, begin: Callable[[Callable[[], bool]], Iterator[Event]]) -> None:
        self._stopped = False
        self._events = begin(lambda: self._stopped)
        self._answer: Answer | None = None

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        event = next(self._events)
        if isinstance(event, Answered):
            self._answer = event.answer
        return event

    def stop(self) -> None:
        """End the answer; the part that exists still comes as `Answered`."""
        self._stopped = True

    @property
    def answer(self) -> Answer:
        """The whole answer, after any remaining events."""
        for _ in self:
            pass
        if self._answer is None:
            raise UsageError("there is no answer", "An earlier error ended the question.")
        return self._answer


# --- ingest and reading ahead -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Failure:
    """What could not be read, and why; `file` is the file on the disk that holds it, below its `root`."""

    document: str
    reason: str
    file: str = ""
    root: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What one ingest did.

    Attributes:
        read: documents that were read, with attachments and members of archives.
        unchanged, ignored: counts of files; ignored ones by suffix, of types that localrag does not read.
        moved: old and new paths of files that were recognised by their content.
        copies: files whose content the library has already.
        kept: missing files that stay in the library, because too many are missing at once.
        near: documents with one that says nearly the same.
        recognised: pages whose text was recognised in a picture.
        forgotten: files and documents that were skipped because they were forgotten.
        languages: how many documents the library has in each language, the most first.
        advice: a sentence about the embedder where it does not know these languages.
    """

    library: str
    root: str
    read: tuple[str, ...] = ()
    unchanged: int = 0
    removed: tuple[str, ...] = ()
    moved: tuple[tuple[str, str], ...] = ()
    copies: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()
    skipped_pages: tuple[tuple[str, SkippedPage], ...] = ()
    remarks: tuple[tuple[str, Remark], ...] = ()
    near: tuple[tuple[str, str], ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)
    languages: Mapping[str, int] = field(default_factory=dict)
    advice: str = ""
    recognised: int = 0
    forgotten: int = 0
    chunks: int = 0
    embedded: int = 0
    seconds: float = 0.0
    complete: bool = True

    def to_dict(self) -> dict[str, Any]:
        counts = ("library", "root", "unchanged", "forgotten", "chunks", "embedded", "complete")
        return {
            **{name: getattr(self, name) for name in counts},
            **{name: list(getattr(self, name)) for name in ("read", "removed", "copies", "kept")},
            "moved": [{"from": old, "to": new} for old, new in self.moved],
            "failed": [{"document": item.document, "reason": item.reason} for item in self.failed],
            "skipped_pages": [
                {"document": document, "page": page.number, "reason": page.reason}
                for document, page in self.skipped_pages
            ],
            "remarks": [
                {"document": document, "page": remark.number, "text": remark.text} for document, remark in self.remarks
            ],
            "near_duplicates": [{"document": document, "of": other} for document, other in self.near],
            "ignored": dict(self.ignored),
            "languages": dict(self.languages),
            "advice": self.advice,
            "recognised_pages": self.recognised,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class IngestProgress:
    """Progress of an ingest: files done of all, and the stage of the current file.

    In "wait", another process writes to the library; `document` is a sentence that says so.
    """

    done: int
    total: int
    document: str
    stage: Literal["wait", "scan", "read", "embed", "store", "facts", "index"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A document, or a section of a long one, to be read; `kept`: it is in the prompt cache already.

    `why_not` says why it cannot be read; it is empty where it can. `apart`: it is the document's passages, each read by
    itself; `tokens` are then those that are left to read.
    """

    document: Document
    name: str
    section: bool
    tokens: int
    kept: bool
    why_not: str = ""
    apart: bool = False


@dataclass(frozen=True, slots=True)
class Warmed:
    """Progress of reading ahead: piece `number` of `total`, of which `done` tokens are read.

    "waiting" means that more urgent work runs. Where documents are read one by one, `number` and `total` count
    documents, and `share` is how much of this one is done, from 0 to 1.
    """

    piece: Piece
    number: int
    total: int
    done: int
    state: Literal["reading", "waiting", "kept", "no room", "not read"]
    share: float = 0.0
