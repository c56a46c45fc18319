"""A conversation as Markdown and as HTML."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from localrag.sessions.export.contents import Contents, markdown_parser

if TYPE_CHECKING:
    from jinja2 import Environment

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

    return Environment(
        loader=PackageLoader("localrag", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
