"""What an export tells of a conversation, in the words and the order that every format has (pure).

Each answer comes with its marks, what the marks mean, calculations, conflicts, verbatim quotes with their places, and
what was not read; at the end stands every document that was cited, with its pages. Characters that no text file should
carry (control characters, direction overrides, halves of characters) are replaced by �.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from localrag.answer.verify import annotations as marking
from localrag.search import filters
from localrag.sessions.values import SavedTurn, Session
from localrag.types import Answer

_UNSAFE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


@dataclass(frozen=True, slots=True)
class Quoted:
    """A quote of an answer: its number there, where it stands, and the words as the document has them."""

    marker: int
    where: str
    quote: str


@dataclass(frozen=True, slots=True)
class Told:
    """A question and all that is told of its answer; `answer` is Markdown as the model wrote it, with marks."""

    question: str
    answer: str
    notes: tuple[str, ...] = ()
    quotes: tuple[Quoted, ...] = ()
    limits: tuple[str, ...] = ()
    how: str = ""


@dataclass(frozen=True, slots=True)
class Cited:
    """A document that was cited, and the places in it, in the order of the answers."""

    document: str
    library: str
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """A conversation as it is told: `about` are lines on what it was asked of and how."""

    title: str
    about: tuple[str, ...]
    turns: tuple[Told, ...]
    sources: tuple[Cited, ...]


def contents(session: Session) -> Contents:
    answers = [turn.answer for turn in session.turns if turn.answer]
    return Contents(
        line(session.title) or "Conversation",
        tuple(map(line, _about(session, answers))),
        tuple(map(_told, session.turns)),
        tuple(sources(answers)),
    )


def sources(answers: Iterable[Answer]) -> list[Cited]:
    """Every document cited, by library and name."""
    places: dict[tuple[str, str], dict[str, None]] = {}
    for answer in answers:
        for one in answer.citations:
            places.setdefault((one.library, one.document), {})[line(one.place)] = None
    return [
        Cited(line(document), line(library), tuple(filter(None, found)))
        for (library, document), found in sorted(places.items())
    ]


def _about(session: Session, answers: list[Answer]) -> Iterable[str]:
    models = list(dict.fromkeys(answer.model for answer in answers if answer.model))
    yield f"Begun {session.created}. Libraries: {', '.join(session.libraries) or 'none'}."
    if session.only:
        yield f"Asked only of documents that {filters.described(session.only)}."
    if models:
        yield f"Answered by {', '.join(models)} with localrag, which checked every quote against the documents."
    if session.origin:
        yield f"Branched from “{session.origin.title}” after turn {session.origin.turns}."


def _told(saved: SavedTurn) -> Told:
    answer = saved.answer
    if answer is None:
        return Told(line(saved.question), clean(saved.said), ("This question has no answer.",), how=line(saved.time))
    notes = [
        *marking.told(answer.unsupported, answer.flags, answer.confidence if answer.found else None),
        *(working.shown for working in answer.workings),
        *(conflict.shown for conflict in answer.conflicts),
    ]
    if answer.split and len(answer.split.votes) > 1:
        notes.append(answer.split.shown)
    return Told(
        line(saved.question),
        clean(marking.marked(answer.answer.strip(), answer.unsupported, answer.flags)),
        tuple(map(line, notes)),
        tuple(
            Quoted(one.marker, line(_where(one.document, one.place, one.library)), clean(one.quote))
            for one in answer.citations
        ),
        tuple(map(line, _limits(answer))),
        line(_how(saved, answer)),
    )


def _where(document: str, place: str, library: str) -> str:
    return f"{document}{f', {place}' if place else ''} (library {library})"


def _limits(answer: Answer) -> Iterable[str]:
    """What a reader must know to trust the answer no further than it goes."""
    if answer.stopped:
        yield "This answer is not complete: it was stopped or reached its longest length."
    if not answer.found and not answer.stopped and "do not say" not in answer.answer:
        yield "The documents do not say."
    if answer.citations_dropped:
        yield f"{answer.citations_dropped} quote(s) were left out: their words are not in the documents."
    for left in answer.not_read:
        page = f", p. {left.page}" if left.page is not None else ""
        yield f"Not read: {left.document}{page}: {left.reason}" if left.document else f"Not read: {left.reason}"


def _how(saved: SavedTurn, answer: Answer) -> str:
    parts = [f"{answer.plan.kind}: {answer.plan.reason}".rstrip("."), answer.looked_at.rstrip(".")]
    parts += [f"answered by {answer.model}" if answer.model else "answered by code", saved.time]
    return " · ".join(filter(None, parts))


def clean(text: str) -> str:
    """The text without characters that are not text; line breaks and everything else stay."""
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n"))


def line(text: str) -> str:
    """The text on one line."""
    return " ".join(clean(text).split())
