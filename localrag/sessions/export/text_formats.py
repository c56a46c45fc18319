"""A conversation as Markdown and as HTML."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from html import escape
from importlib import resources

from localrag.sessions.export.contents import Contents, ExportedTurn, markdown_parser

# --- Markdown ------------------------------------------------------------------------------------------------


def markdown(exported: Contents) -> str:
    """The conversation as Markdown in which no link, image, HTML or heading of an answer or document is live.

    Viewers may turn a bare address into a link; localrag breaks addresses that no source has before they get here.
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
    return re.sub(r"(?<!\\)(\\*)([<\[\]])", r"\1\1\\\2", text)


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
    sources = "".join(f"<li>{escape(str(one))}</li>" for one in exported.sources)
    style = resources.files("localrag.sessions.export").joinpath("style.css").read_text(encoding="utf-8")
    return page(exported.title, style, [
        *(f'<p class="about">{escape(text)}</p>' for text in exported.about),
        *(part for number, turn in enumerate(exported.turns, 1) for part in _html_turn(number, turn)),
        *([f'<section class="sources"><h2>Sources</h2><ol>{sources}</ol></section>'] if sources else []),
    ])  # fmt: skip


def page(title: str, style: str, body: Iterable[str]) -> str:
    """One HTML file without scripts, addresses or outside resources; `body` is HTML in which texts are escaped.

    A policy in the file (CSP) makes the browser refuse any style but this one.
    """
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return "\n".join([
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="referrer" content="no-referrer">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>{style}</style>",
        "</head>",
        "<body>",
        f"<h1>{escape(title)}</h1>",
        *body,
        "</body>",
        "</html>",
        "",
    ])  # fmt: skip


def _html_turn(number: int, turn: ExportedTurn) -> Iterator[str]:
    yield f'<section aria-labelledby="q{number}">'
    yield f'<h2 id="q{number}">{escape(turn.question)}</h2>'
    yield f'<div class="answer">{markdown_parser().render(turn.answer)}</div>'
    yield from _list("notes", turn.notes)
    if turn.quotes:
        yield '<div class="quotes">'
        for one in turn.quotes:
            caption = f"<figcaption>{escape(one.where)}</figcaption>"
            yield f"<figure>{caption}<blockquote>{escape(one.quote)}</blockquote></figure>"
        yield "</div>"
    yield from _list("notes", turn.limits)
    yield f'<p class="how">{escape(turn.how)}</p>'
    yield "</section>"


def _list(kind: str, texts: Iterable[str]) -> Iterator[str]:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    if items:
        yield f'<ul class="{kind}">{items}</ul>'
