"""What an export holds, in the same words and order for every format.

Each answer comes with its marks and what they mean, calculations, conflicts, quotes with their places, and what was not
read; the cited documents follow at the end. Control characters, direction overrides and lone surrogates are replaced by
�. Answers are Markdown in which no link, image or HTML is live.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localrag.grounding.annotations import NEAREST, limits, mark, unread, warnings
from localrag.search import filters
from localrag.security.terminal import UNSAFE
from localrag.sessions.session_store import SavedTurn, Session
from localrag.types import Answer, Citation, source

if TYPE_CHECKING:
    from markdown_it import MarkdownIt


@dataclass(frozen=True, slots=True)
class Quote:
    """A quote of an answer: its number and place, or that it only comes nearest, and its words as in the document."""

    where: str
    quote: str


@dataclass(frozen=True, slots=True)
class ExportedTurn:
    """A question and its answer; `answer` is the model's Markdown, with marks."""

    question: str
    answer: str
    notes: tuple[str, ...] = ()
    quotes: tuple[Quote, ...] = ()
    limits: tuple[str, ...] = ()
    how: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A cited document and the places in it, in the order of the answers."""

    document: str
    library: str
    places: tuple[str, ...]

    def __str__(self) -> str:
        places = f": {'; '.join(self.places)}" if self.places else ""
        return f"{self.document}{places} (library {self.library})"


@dataclass(frozen=True, slots=True)
class Contents:
    """A conversation; `about` lists its libraries, filter and models."""

    title: str
    about: tuple[str, ...]
    turns: tuple[ExportedTurn, ...]
    sources: tuple[Source, ...]


def contents(session: Session) -> Contents:
    answers = [turn.answer for turn in session.turns if turn.answer]
    return Contents(
        line(session.title) or "Conversation",
        tuple(map(line, _about(session, answers))),
        tuple(map(_turn, session.turns)),
        tuple(sources(one for answer in answers for one in answer.citations)),
    )


def sources(citations: Iterable[Citation]) -> list[Source]:
    """Every cited document, by library and name."""
    places: dict[tuple[str, str], dict[str, None]] = {}
    for one in citations:
        places.setdefault((one.library, one.document), {})[line(one.place)] = None
    return [
        Source(line(document), line(library), tuple(filter(None, found)))
        for (library, document), found in sorted(places.items())
    ]


def _about(session: Session, answers: list[Answer]) -> Iterable[str]:
    models = list(dict.fromkeys(answer.model for answer in answers if answer.model))
    yield f"Begun {session.created}. Libraries: {', '.join(session.libraries) or 'none'}."
    if session.only:
        yield f"Asked only of documents {filters.described(session.only)}."
    if models:
        yield f"Answered by {', '.join(models)} with localrag, which checked every quote against the documents."
    if session.origin:
        yield f"Branched from “{session.origin.title}” after turn {session.origin.turns}."


def _turn(saved: SavedTurn) -> ExportedTurn:
    answer = saved.answer
    if answer is None:
        return ExportedTurn(
            line(saved.question), clean(saved.partial), ("This question has no answer.",), how=line(saved.time)
        )
    notes = [
        *warnings(answer.unsupported, answer.flags, answer.confidence if answer.found else None),
        *(working.shown for working in answer.workings),
        *(conflict.shown for conflict in answer.conflicts),
    ]
    how = [f"{answer.plan.kind}: {answer.plan.reason}".rstrip("."), answer.looked_at.rstrip(".")]
    how += [f"answered by {answer.model}" if answer.model else "answered by code"]
    how += [f"read by {answer.read_by}" if answer.read_by else "", saved.time]
    return ExportedTurn(
        line(saved.question),
        clean(mark(answer.answer.strip(), answer.unsupported, answer.flags)),
        tuple(map(line, notes)),
        tuple(
            Quote(line(f"{head} {source(one.document, one.place)} (library {one.library})"), clean(one.quote))
            for head, one in (
                *((f"[{one.marker}]", one) for one in answer.citations),
                *((NEAREST, one) for one in answer.nearest),
            )
        ),
        tuple(map(line, [*limits(answer), *unread(answer)])),
        line(" · ".join(filter(None, how))),
    )


def clean(text: str) -> str:
    """The text without unsafe characters; line breaks stay."""
    return UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n"))


def line(text: str) -> str:
    """The text on one line."""
    return " ".join(clean(text).split())


def markdown_parser() -> MarkdownIt:
    """A parser to which links, images and HTML are plain text."""
    from markdown_it import MarkdownIt

    inert = ["link", "image", "autolink", "html_inline", "html_block", "reference"]
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable(inert)
