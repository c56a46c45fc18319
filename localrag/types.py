"""The frozen values that the rooms hand on.

Offsets are half-open code-point offsets into the stored text of one page, or of the whole document where it has no
pages. `to_dict` returns the JSON that the command line prints.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Literal

PlanKind = Literal["retrieve", "read", "survey", "exact"]
Mode = Literal["auto", "retrieve", "read", "survey", "exact", "extract"]
Unit = Literal["page", "slide", "sheet", "columns", "chapter", "mail"]
Ocr = Literal["auto", "off", "force"]
# The first and the last page of a range; None is the end.
Pages = tuple[int, int | None]
MODES: tuple[Mode, ...] = ("auto", "retrieve", "read", "survey", "exact")


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


class _Value:
    """Gives a dataclass its JSON: all fields under their names."""

    __slots__: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {name: _plain(getattr(self, name)) for name in self.__slots__}


# --- what checking an answer finds --------------------------------------------------------------------------

Certainty = Literal["sure", "unclear", "absent"]
FlagKind = Literal["number", "amount", "date", "name", "link", "command", "language", "aside", "entity"]


@dataclass(frozen=True, slots=True)
class Flag(_Value):
    """Something in an answer that the cited text does not support, and why it matters."""

    kind: FlagKind
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class Figure(_Value):
    """A figure as the text writes it; `marker` is the number of its citation, `value` what is calculated with."""

    text: str
    place: str
    marker: int
    name: str = ""
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Working(_Value):
    """A calculation by code: the expression over quoted figures, its result as shown, and the figures.

    `formula` has the numbers of figures, from 0, in braces: "{0} / {1}"; empty where only the expression is known.
    """

    expression: str
    result: str
    value: float
    figures: tuple[Figure, ...] = ()
    formula: str = ""

    @property
    def shown(self) -> str:
        """The calculation in words: "5,363 / 32,765 = 16.4 %, from p. 60"."""
        places = list(dict.fromkeys(figure.place for figure in self.figures if figure.place))
        return f"{self.expression} = {self.result}" + (f", from {', '.join(places)}" if places else "")

    def to_dict(self) -> dict[str, Any]:
        return _Value.to_dict(self) | {"shown": self.shown}


@dataclass(frozen=True, slots=True)
class Side(_Value):
    """What one document says in a conflict; `date` (ISO 8601) may be "", `marker` is the number of its citation."""

    says: str
    document: str
    place: str
    date: str
    marker: int


@dataclass(frozen=True, slots=True)
class Conflict(_Value):
    """Documents that contradict each other, the later first; `ordered` is False if that is not known."""

    about: str
    sides: tuple[Side, ...]
    ordered: bool = True

    @property
    def shown(self) -> str:
        """The conflict in words: "The documents differ, the later first. Pay within: “30 days” (2025-09-08) [2]"."""
        sides = []
        for side in self.sides:
            where = ", ".join(part for part in (side.date, side.document, side.place) if part)
            sides.append(f"“{side.says}” ({where}) [{side.marker}]")
        order = ", the later first" if self.ordered else ""
        return f"The documents differ{order}. {self.about}: {'; '.join(sides)}"


# --- what reading makes -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading inside one page: its offset, its level (1 is the highest) and its words."""

    start: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place inside a page that a person would look up, by name; it reaches to the next one.

    On a sheet, the first cell of a table row ("A5"; the row's cells follow in order, separated by " | "); in a
    transcript or a calendar the time ("00:01:23"); where lines are numbered, the printed page and the line ("23:4").
    """

    start: int
    name: str


@dataclass(frozen=True, slots=True)
class Word:
    """The box of a recognised word: fractions of the page's width and height, from the top left."""

    start: int
    end: int
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Page:
    """One page of text.

    Attributes:
        number: 1-based; None in a document without pages, which has one Page.
        label: the printed name, if any: "iv", a sheet's name, a chapter's title, a mail's date and sender.
        words: boxes of text that was recognised in a picture (OCR).
    """

    text: str
    number: int | None = None
    label: str | None = None
    headings: tuple[Heading, ...] = ()
    unit: Unit = "page"
    anchors: tuple[Anchor, ...] = ()
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class SkippedPage:
    """A page without text, and why."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Remark:
    """Something to know about a document, such as invisible text that was left out."""

    number: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader found in one document.

    `author` is who wrote or sent it, `date` when (ISO 8601, as exact as the file has it); both may be empty.
    """

    pages: tuple[Page, ...]
    title: str = ""
    skipped: tuple[SkippedPage, ...] = ()
    remarks: tuple[Remark, ...] = ()
    author: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One document of a file: the file itself (`name` is empty), or what is inside it, by its path there."""

    name: str
    sha256: str
    size: int
    reading: Reading


@dataclass(frozen=True, slots=True)
class Refused:
    """A file, or something inside it, that was not read, and why, with a hint."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span of one page that is embedded and searched; `position` is the page's 0-based place.

    `header` is the span of the table header of the chunk's first rows, where it is before the chunk.
    """

    position: int
    start: int
    end: int
    text: str
    heading: tuple[str, ...] = ()
    header: tuple[int, int] | None = None
    header_text: str = ""


# --- what the library holds ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Document:
    """A document in a library; `path` is below its root, with forward slashes.

    `file` is the path of the file that it was read from: its own, or the mail or archive that holds it. `author` and
    `date` (ISO 8601) come from the file and may be empty; `language` ("english") from its words.
    """

    id: int
    root: str
    path: str
    title: str
    sha256: str
    size: int
    pages: int
    characters: int
    paged: bool
    file: str = ""
    author: str = ""
    date: str = ""
    skipped: tuple[SkippedPage, ...] = ()
    remarks: tuple[Remark, ...] = ()
    language: str = ""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file on the disk when it was last read; `sha256` is empty where that was not finished.

    `stamp` identifies the readers and options; with another stamp the file is read again.
    """

    id: int
    path: str
    size: int
    mtime_ns: int
    sha256: str
    stamp: str


@dataclass(frozen=True, slots=True)
class Passage(_Value):
    """A span of a document found for a question.

    Attributes:
        score: higher is better; comparable within one search.
        spot: the place inside the page (cells, a time).
        header: the table header of the first rows, where it is before the span.
        also: other places that say the same, in copies, drafts or this document.
    """

    library: str
    document: str
    page: int | None
    label: str | None
    heading: tuple[str, ...]
    text: str
    start: int
    end: int
    score: float
    document_id: int = 0
    position: int = 0
    signals: Mapping[str, float] = field(default_factory=dict)
    unit: Unit = "page"
    spot: str = ""
    header: str = ""
    also: tuple[str, ...] = ()

    def holds(self, at: Citation) -> bool:
        """Return whether a citation begins in it."""
        same = (self.library, self.document, self.page) == (at.library, at.document, at.page)
        return same and self.start <= at.start < self.end

    @property
    def place(self) -> str:
        return place(self.page, self.label, self.heading, self.unit, self.spot)

    def to_dict(self) -> dict[str, Any]:
        values = _Value.to_dict(self) | {"place": self.place, "score": round(self.score, 6)}
        return {name: value for name, value in values.items() if name not in ("document_id", "position", "signals")}


def place(page: int | None, label: str | None, heading: tuple[str, ...], unit: Unit = "page", spot: str = "") -> str:
    """Return a place as a person would look it up.

    "p. 12", "p. 4 (printed iv)", "p. 25, 23:4-11" (printed page and lines), "slide 3", "sheet Prices, B4:D9", "ch. 2
    (Loomings)", "mail of 2024-03-02 from Jane Doe", "00:01:23", or the heading path.
    """
    named = label if label and label != str(page) else None
    if unit == "mail":
        return f"mail of {label}" if label else "mail"
    if page is None:
        return spot or " › ".join(heading)
    if unit == "sheet":
        where = f"sheet {named or page}"
        return f"{where}, {spot}" if spot else where
    if unit == "columns":
        return f"columns of sheet {named or page}"
    if unit == "page":  # a bare number in brackets would leave open which of the two it is
        if spot:
            return f"p. {page}, {spot}"
        return f"p. {page} (printed {named})" if named else f"p. {page}"
    short = {"slide": "slide", "chapter": "ch."}[unit]
    return f"{short} {page} ({named})" if named else f"{short} {page}"


def source(document: str, place: str) -> str:
    """Return a document and a place in it: "lease.pdf, p. 3"."""
    return ", ".join(part for part in (document, place) if part)


# --- prompts ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """One message to the model: `stable` parts, then `blocks`, `text` and `tail`.

    The stable parts stay the same from question to question, and the prompt cache ends at each of them. A block is a
    passage, in one part or several that follow each other in a document: read behind the stable parts alone, it serves
    any prompt that begins like this one. The tail asks something else about the same text, so that everything before it
    serves both.
    """

    role: Literal["system", "user", "assistant"]
    text: str
    stable: tuple[str, ...] = ()
    tail: str = ""
    blocks: tuple[tuple[str, ...], ...] = ()

    @property
    def whole(self) -> str:
        """The message as the model reads it."""
        return "".join((*self.stable, *chain.from_iterable(self.blocks), self.text, self.tail))


# --- questions and answers ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filter:
    """The documents that a question is narrowed to (`filters.py`); empty fields narrow nothing.

    Attributes:
        documents, types: globs and types, one of which must match.
        folder: a path in the library or on the disk.
        since, until: the first and last year, month or day.
        sender: a part of an author's or sender's name.
        these: single documents by library and exact path, as chosen from a list.
    """

    documents: tuple[str, ...] = ()
    folder: str = ""
    types: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    sender: str = ""
    pages: Pages | None = None
    these: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return self != EVERYTHING


EVERYTHING = Filter()


@dataclass(frozen=True, slots=True)
class Cost(_Value):
    """What a plan would take: tokens to read, and seconds (None where the speed of this machine is unknown).

    `why_not` says why it cannot be taken; it is empty where it can.
    """

    kind: PlanKind
    tokens: int
    seconds: float | None = None
    why_not: str = ""

    def to_dict(self) -> dict[str, Any]:
        return _Value.to_dict(self) | {"seconds": _rounded(self.seconds, 1)}


@dataclass(frozen=True, slots=True)
class Plan(_Value):
    """How a question is answered, the reason in words, and the signals that decided it.

    `costs` is what each plan would have taken, this one first.
    """

    kind: PlanKind
    reason: str
    signals: Mapping[str, Any] = field(default_factory=dict)
    costs: tuple[Cost, ...] = ()

    def with_signals(self, **signals: Any) -> Plan:
        return replace(self, signals={**self.signals, **signals})

    def another(self, tried: Collection[PlanKind]) -> Cost | None:
        """Return the way to try next where an answer was not enough; None where none is left.

        A survey of one document says nothing new of it, unless it is a summary.
        """
        left = {cost.kind: cost for cost in self.costs if not cost.why_not and cost.kind not in tried}
        if self.signals.get("documents", 0) == 1 and self.signals.get("kind") != "summary":
            left.pop("survey", None)
        order: tuple[PlanKind, ...] = ("exact", "read", "retrieve", "survey")
        return next((left[kind] for kind in order if kind in left), None)


@dataclass(frozen=True, slots=True)
class Citation(_Value):
    """Words of a document at their place, made only from text that was found there.

    `title` is what people would call the document, where that is shorter than its path; `figures` are the offsets of
    the cells that an answer takes from a row.
    """

    library: str
    document: str
    page: int | None
    label: str | None
    place: str
    quote: str
    start: int
    end: int
    marker: int
    verified: Literal[True] = True
    unit: Unit = "page"
    title: str = ""
    figures: tuple[tuple[int, int], ...] = ()

    @property
    def name(self) -> str:
        """What the document is called: its title, else its path."""
        return self.title or self.document


@dataclass(frozen=True, slots=True)
class NotRead(_Value):
    """Something that an answer did not look at, and why."""

    library: str
    document: str
    reason: str
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Usage(_Value):
    """Tokens of the prompt, how many of them the model had read before, and tokens generated."""

    prompt: int = 0
    reused: int = 0
    generated: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.prompt + other.prompt, self.reused + other.reused, self.generated + other.generated)


@dataclass(frozen=True, slots=True)
class Seconds(_Value):
    """Wall-clock seconds of each stage; `first_token` counts from the start of the question."""

    route: float = 0.0
    retrieve: float = 0.0
    first_token: float | None = None
    total: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return {name: _rounded(getattr(self, name), 3) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Answer(_Value):
    """The answer to one question.

    Attributes:
        found: False where the documents do not say.
        citations_dropped: quotes of the model that are not in the text.
        unsupported: sentences that no text supports.
        table: rows of a survey or an exact search.
        stopped: a person stopped it, or the token limit cut it short.
        looked_for: what passages were looked up by: the question, or what was made of a follow-up.
        looked_at: how much of the documents was in the prompt, as a sentence.
        context: tokens of the prompt: "rules", "documents", "history", "question", and "free" up to the window.
        flags: words that the cited text does not support.
        workings: calculations by code.
        confidence: the likelihood, as measured, that the text holds the answer.
        reasoning: what a reasoning model wrote before the answer.
        nearest: where the documents do not say, what comes closest in them; no answer, so its markers are 0.
        withheld: why strict mode withheld the answer; empty where it did not.
        certainty: "unclear" where it, or a part, only shows text or was not judged; "absent" where nothing was found.
        read_by: the machines of the house whose model read text for it; empty where it stayed on this one.
    """

    question: str
    answer: str
    found: bool
    plan: Plan
    citations: tuple[Citation, ...] = ()
    citations_dropped: int = 0
    unsupported: tuple[str, ...] = ()
    not_read: tuple[NotRead, ...] = ()
    passages: tuple[Passage, ...] = ()
    table: tuple[Mapping[str, Any], ...] = ()
    tokens: Usage = Usage()
    seconds: Seconds = Seconds()
    model: str | None = None
    embedder: str | None = None
    stopped: bool = False
    looked_for: str = ""
    looked_at: str = ""
    context: Mapping[str, int] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    workings: tuple[Working, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    confidence: float | None = None
    reasoning: str = ""
    nearest: tuple[Citation, ...] = ()
    withheld: str = ""
    read_by: str = ""
    certainty: Certainty = "sure"

    def to_dict(self) -> dict[str, Any]:
        return _Value.to_dict(self) | {"confidence": _rounded(self.confidence, 3)}

    @property
    def claims(self) -> bool:
        """Whether it answers the question, and does not only show text."""
        return self.found and self.certainty != "unclear"

    @property
    def sources(self) -> tuple[str, ...]:
        """The places of the citations: "lease.pdf, p. 3"."""
        return tuple(dict.fromkeys(source(item.document, item.place) for item in self.citations))


# --- facts --------------------------------------------------------------------------------------------------

_UNITS = {"Y": "year", "M": "month", "W": "week", "D": "day"}
FactState = Literal["sure", "unclear", "confirmed", "rejected"]


@dataclass(frozen=True, slots=True)
class Fact(_Value):
    """A fact of one document: what the text says in one role.

    Attributes:
        role: "party", "signed", "end", "law" ...; `items/facts.py` lists them.
        value: for machines: an ISO 8601 date or duration, an amount with its currency, a name.
        words: as the text writes it.
        quote: the sentence that states it, at its half-open span on the page; empty for what the file itself says.
        state: "confirmed" and "rejected" are a person's word.
        terms: what the document calls a party.
        why: why it is unclear.
        was: the value that code read, where a person corrected it.
        by, at: who confirmed, corrected or rejected it, and when (ISO 8601, UTC).
    """

    role: str
    value: str
    words: str
    quote: str = ""
    place: str = ""
    page: int | None = None
    start: int = 0
    end: int = 0
    state: FactState = "sure"
    terms: tuple[str, ...] = ()
    why: str = ""
    was: str = ""
    by: str = ""
    at: str = ""

    @property
    def clear(self) -> bool:
        """Whether it may be stated: code is sure of it, or a person confirmed it."""
        return self.state in ("sure", "confirmed")

    @property
    def id(self) -> str:
        """A short name within its document, which stays when it is confirmed or corrected."""
        named = "\n".join((self.role, self.was or self.value, " ".join(self.quote.split())))
        return hashlib.blake2b(named.encode("utf-8", "surrogatepass"), digest_size=3).hexdigest()

    @property
    def span(self) -> tuple[int, str] | None:
        """The number and unit of a span of time, 3 and "year" of "P3Y"; None for another value."""
        found = re.fullmatch(r"P(\d+)([YMWD])", self.value)
        return (int(found[1]), _UNITS[found[2]]) if found else None

    @property
    def shown(self) -> str:
        """Its value as people read it: "3 years" of "P3Y"."""
        return f"{self.span[0]} {self.span[1]}{'' if self.span[0] == 1 else 's'}" if self.span else self.value

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "shown": self.shown, **_Value.to_dict(self)}


# --- reviews ------------------------------------------------------------------------------------------------

ReviewState = Literal["found", "absent", "deviates", "unsure"]
Verdict = Literal["accepted", "rejected", "open"]


@dataclass(frozen=True, slots=True)
class Looked(_Value):
    """What looking for one item of a playbook in one document gave, whatever position it is compared with.

    Attributes:
        found: None where it is unsure.
        answer: in the words of the text, or of the model; empty where nothing was found.
        confidence: the likelihood, as measured, that the document has the clause; None without a text.
        read: what was read for it, in words.
        model: the model that was asked; empty where code decided.
        at: when (ISO 8601, UTC).
        item, type, playbook: the item's id, its type and the title of its playbook, where it is a date or duration.
        doubt: why it is unsure, where the model contradicts the quote.
    """

    found: bool | None
    answer: str
    citation: Citation | None
    confidence: float | None
    read: str
    model: str
    at: str
    item: str = ""
    type: Literal["", "date", "duration"] = ""
    playbook: str = ""
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Decision(_Value):
    """What the reviewer says of a finding, who that is, and when (ISO 8601, UTC)."""

    verdict: Verdict
    comment: str = ""
    by: str = ""
    at: str = ""


_COLUMNS = (
    *("library", "document", "item", "clause", "importance", "state", "value", "as_expected", "problem", "place"),
    *("quote", "confidence", "read", "before", "decision", "comment", "note", "fallback", "remark"),
    *("page", "start", "end"),
)


@dataclass(frozen=True, slots=True)
class Checked(_Value):
    """One item of a playbook in one document, compared with the position.

    Attributes:
        value: read by code: ISO dates, amounts with currency; else the words of the answer.
        as_expected: None without a position, or where it is unsure.
        problem: how it deviates, in words.
        new: it was looked for since the review before.
        before: the state and value in the version of the document that was reviewed before.
        remark: what is to be said of the whole document, such as that it is of another kind.
        document_title: what people would call the document, where that is shorter than its path.
    """

    library: str
    document: str
    item: str
    title: str
    question: str
    importance: str
    state: ReviewState
    value: str
    as_expected: bool | None
    problem: str
    citation: Citation | None
    confidence: float | None
    read: str
    model: str
    note: str = ""
    fallback: str = ""
    decision: Decision | None = None
    new: bool = True
    before: str = ""
    remark: str = ""
    document_title: str = ""

    @property
    def document_name(self) -> str:
        """What its document is called: a title, else the path."""
        return self.document_title or self.document

    def to_row(self) -> dict[str, Any]:
        """The finding as the row of a table."""
        at, decision = self.citation, self.decision
        other = {
            "clause": self.title,
            "place": at.place if at else "",
            "quote": at.quote if at else "",
            "confidence": _rounded(self.confidence, 3),
            "decision": decision.verdict if decision else "",
            "comment": decision.comment if decision else "",
            **{name: getattr(at, name, None) for name in ("page", "start", "end")},
        }
        return {name: other[name] if name in other else getattr(self, name) for name in _COLUMNS}


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier question of a conversation, its answer, and the places of its citations."""

    question: str
    answer: str
    sources: tuple[str, ...] = ()
