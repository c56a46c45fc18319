"""A conversation as one HTML file that needs nothing else: no script, no address, no font or picture from elsewhere.

Everything said is escaped, and a policy in the file (CSP) has the browser refuse whatever is not its own style.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape

from localrag.sessions.export import inert
from localrag.sessions.export.contents import Cited, Contents, Told

STYLE = """
:root { color-scheme: light dark; }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.55 Georgia, serif; }
h1, h2, .about, .notes, .how, .quotes figcaption, .sources { font-family: system-ui, sans-serif; }
h1 { font-size: 1.6rem; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; border-top: 1px solid; padding-top: 1rem; }
.about, .how { font-size: .85rem; opacity: .8; }
.answer h1, .answer h2, .answer h3, .answer h4, .answer h5, .answer h6 { font: bold 1rem/1.55 Georgia, serif; border: 0; margin: 1rem 0; padding: 0; }
.answer table { border-collapse: collapse; }
.answer th, .answer td { border: 1px solid; padding: .2rem .5rem; text-align: left; }
.answer pre { white-space: pre-wrap; }
.notes { font-weight: bold; font-size: .9rem; padding-left: 1.2rem; }
.quotes figure { margin: .8rem 0; }
.quotes figcaption { font-size: .85rem; font-weight: bold; }
.quotes blockquote { margin: .2rem 0 0 0; padding: .2rem 0 .2rem .8rem; border-left: 3px solid; white-space: pre-wrap; overflow-wrap: anywhere; }
@media print {
  body { max-width: none; margin: 0; font-size: 10.5pt; }
  h2, figure, tr { break-inside: avoid; }
  h2, figcaption { break-after: avoid; }
}
"""  # noqa: E501


def html(told: Contents) -> str:
    """The conversation: each answer with its quotes, their places and what limits it; all sources at the end."""
    # The hash names this one style; an injected one would not have it.
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return "\n".join([
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="referrer" content="no-referrer">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(told.title)}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        f"<h1>{escape(told.title)}</h1>",
        *(f'<p class="about">{escape(text)}</p>' for text in told.about),
        *(part for number, turn in enumerate(told.turns, 1) for part in _turn(number, turn)),
        *_sources(told.sources),
        "</body>",
        "</html>",
        "",
    ])  # fmt: skip


def _turn(number: int, turn: Told) -> Iterator[str]:
    yield f'<section aria-labelledby="q{number}">'
    yield f'<h2 id="q{number}">{escape(turn.question)}</h2>'
    yield f'<div class="answer">{inert.parser().render(turn.answer)}</div>'
    yield from _list("notes", turn.notes)
    if turn.quotes:
        yield '<div class="quotes">'
        for one in turn.quotes:
            caption = f"<figcaption>[{one.marker}] {escape(one.where)}</figcaption>"
            yield f"<figure>{caption}<blockquote>{escape(one.quote)}</blockquote></figure>"
        yield "</div>"
    yield from _list("notes", turn.limits)
    yield f'<p class="how">{escape(turn.how)}</p>'
    yield "</section>"


def _list(kind: str, texts: Iterable[str]) -> Iterator[str]:
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    if items:
        yield f'<ul class="{kind}">{items}</ul>'


def _sources(sources: Iterable[Cited]) -> Iterator[str]:
    items = "".join(
        f"<li>{escape(one.document)}{escape(': ' + '; '.join(one.places)) if one.places else ''}"
        f" (library {escape(one.library)})</li>"
        for one in sources
    )
    if items:
        yield f'<section class="sources"><h2>Sources</h2><ol>{items}</ol></section>'
