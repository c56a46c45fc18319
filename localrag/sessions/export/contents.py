"""What an export holds, in the same words and order for every format, and the formats Markdown and HTML.

Each answer comes with its marks and what they mean, calculations, conflicts, quotes with their places, and what was not
read; the cited documents follow at the end. Control characters, direction overrides and lone surrogates are replaced by
�. Answers are Markdown in which no link, image or HTML is live.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from localrag.grounding.annotations import NEAREST, limits, mark, unread, warnings
from localrag.search import filters
from localrag.security.terminal import UNSAFE
from localrag.sessions.links import unlinked
from localrag.sessions.session_store import SavedTurn, Session
from localrag.types import Answer, Checked, Citation, source

if TYPE_CHECKING:
    from jinja2 import Environment
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
    certainty: str = ""  # see `Answer`
    wide: bool = False  # whether its table needs the width of a page on its side


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


def by_document(findings: Iterable[Checked]) -> dict[tuple[str, str], list[Checked]]:
    """Return the findings of a review by library and document."""
    found: dict[tuple[str, str], list[Checked]] = {}
    for one in findings:
        found.setdefault((one.library, one.document), []).append(one)
    return found


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
        *warnings(answer.unsupported, answer.flags),
        *(working.shown for working in answer.workings),
        *(conflict.shown for conflict in answer.conflicts),
    ]
    how = [f"{answer.plan.kind}: {answer.plan.reason}".rstrip("."), answer.looked_at.rstrip(".")]
    how += [f"certainty: {answer.certainty}" if answer.certainty != "sure" else ""]
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
        answer.certainty,
    )


def clean(text: str) -> str:
    """The text without unsafe characters; line breaks stay."""
    return UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n"))


def line(text: str) -> str:
    return " ".join(clean(text).split())


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of plain texts."""
    shown = ([re.sub(r"([\\|`*_])", r"\\\1", line(cell)) for cell in row] for row in rows)
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *shown))


def markdown_parser() -> MarkdownIt:
    """A parser to which links, images and HTML are plain text."""
    from markdown_it import MarkdownIt

    inert = ["link", "image", "autolink", "html_inline", "html_block", "reference"]
    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable(inert)


# --- Markdown ------------------------------------------------------------------------------------------------


def markdown(exported: Contents) -> str:
    """The conversation as Markdown in which no link, image, HTML or heading of an answer or document is live.

    Nor is a bare address, of which viewers make links.
    """
    parts = [f"# {_inert(exported.title)}", *map(_inert, exported.about)]
    for turn in exported.turns:
        parts.append(f"## {_inert(turn.question)}")
        if turn.answer.strip():
            parts.append(_inert_block(turn.answer.strip()))
        parts += map(_inert, turn.notes)
        if turn.quotes:
            parts.append("**Quotes**")
        for one in turn.quotes:
            # A code block needs no escapes.
            fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", one.quote)), default=0))
            parts += [_inert(one.where), f"{fence}text\n{one.quote}\n{fence}"]
        parts += map(_inert, turn.limits)
        parts.append(f"*{_inert(turn.how).replace('*', chr(92) + '*')}*")
    if exported.sources:
        listed = [f"{number}. {_inert(str(one))}" for number, one in enumerate(exported.sources, 1)]
        parts += ["## Sources", "\n".join(listed)]
    return "\n\n".join(parts) + "\n"


def _inert(text: str) -> str:
    # An image's address could carry words of the answer to a server. Backslashes before a bracket are doubled, since
    # otherwise one of them would take the escape for itself.
    return unlinked(re.sub(r"(?<!\\)(\\*)([<\[\]])", r"\1\1\\\2", text))


def _inert_block(text: str) -> str:
    """An answer's Markdown without headings, which could pass for a question."""
    text = re.sub(r"(?m)^((?:[ \t>*+-]|\d+[.)])*)(#{1,6}(?=\s|$))", r"\1\\\2", text)
    text = re.sub(r"(?m)^([ \t>]*)(=+|-+)(?=[ \t]*$)", r"\1\\\2", text)
    return _inert(text) + _closing(text)


def _closing(text: str) -> str:
    """The end of a code block that an answer left open."""
    fence = ""
    for found in re.finditer(r"(?m)^ {0,3}(`{3,}|~{3,})([^\n]*)$", text):
        run = found[1]
        if not fence:
            fence = run if run[0] == "~" or "`" not in found[2] else ""
        elif run[0] == fence[0] and len(run) >= len(fence) and not found[2].strip():
            fence = ""
    return f"\n{fence}" if fence else ""


# --- HTML ----------------------------------------------------------------------------------------------------


def html(exported: Contents) -> str:
    """The conversation as one HTML file; see `page`."""
    from markupsafe import Markup

    return page(
        "sessions/export/conversation.html",
        "sessions/export/style.css",
        exported.title,
        exported=exported,
        answer_html=lambda text: Markup(markdown_parser().render(text)),
    )


def page(template: str, style: str, title: str, **values: Any) -> str:
    """One HTML file without scripts, addresses or outside resources, from a template and a style sheet of localrag.

    A policy in the file (CSP) makes the browser refuse any style but this one. Texts are escaped.
    """
    from markupsafe import Markup

    css = resources.files("localrag").joinpath(style).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
    made = _templates().get_template(template)
    return made.render(title=title, style=Markup(css), style_hash=digest, **values)


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader
    from markupsafe import Markup

    return Environment(
        loader=PackageLoader("localrag", "."),
        autoescape=True,
        finalize=lambda value: value if isinstance(value, Markup) else clean(str(value)),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
