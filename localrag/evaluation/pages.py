"""A page of headings, tables, plots and answers, as Markdown or as one HTML file that refers to nothing outside itself.

Words of documents, questions and models stand in it as they are and do nothing: they are escaped, so that no link,
picture or markup of theirs is one here. Markdown has tables in the place of plots.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Words:
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawing (SVG made by plots.py), and its figures as a table."""

    svg: str
    figures: Table


@dataclass(frozen=True, slots=True)
class Case:
    """One answer to be read: its title, and pairs of what something is and its words."""

    title: str
    parts: Sequence[tuple[str, str]]


Block = Heading | Words | Table | Plot | Case

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|!~&])")
_SCHEME = re.compile(r"(?i)\b(https?|ftp|www)(?=[:.])")
_STYLE = (
    "body{font:15px/1.5 sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}"
    "table{border-collapse:collapse;margin:.8rem 0;font-size:13px;display:block;overflow-x:auto}"
    "th,td{border-bottom:1px solid #ddd;padding:.2rem .7rem .2rem 0;text-align:left;vertical-align:top}"
    "dl{margin:.4rem 0 1.2rem;padding-left:.8rem;border-left:3px solid #ccc}dt{font-size:12px;color:#666}"
    "dd{margin:0 0 .3rem;white-space:pre-wrap;overflow-wrap:anywhere}summary{cursor:pointer;color:#666}"
)


def markdown(blocks: Sequence[Block]) -> str:
    """The page as Markdown."""
    return "\n".join(line for block in blocks for line in (*_markdown(block), "")).rstrip() + "\n"


def _markdown(block: Block) -> Iterator[str]:
    match block:
        case Heading(text, level):
            yield f"{'#' * level} {_plain(text)}"
        case Words(text):
            yield _plain(text)
        case Table(heads, rows):
            yield f"| {' | '.join(map(_plain, heads))} |"
            yield "|" + "---|" * len(heads)
            for row in rows:
                yield f"| {' | '.join(map(_plain, row))} |"
        case Plot(_, figures):
            yield from _markdown(figures)
        case Case(title, parts):
            yield f"**{_plain(title)}**"
            yield ""
            for name, words in parts:
                yield f"- {_plain(name)}: {_plain(words)}"


def _plain(text: str) -> str:
    """On one line, without meaning to Markdown; addresses are parted, since viewers make links of bare ones too."""
    return _SCHEME.sub("\\1\u200b", _MARKUP.sub(r"\\\1", " ".join(text.split())))


def html(title: str, blocks: Sequence[Block]) -> str:
    """The page as HTML: no script, nothing that is loaded, and a policy that says so to the browser."""
    body = "\n".join(_html(block) for block in blocks)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{escape(text)}</h{level}>"
        case Words(text):
            return f"<p>{escape(text)}</p>"
        case Table(heads, rows):
            head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
            lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
            return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
        case Plot(svg, figures):
            return f"<figure>{svg}</figure><details><summary>figures</summary>{_html(figures)}</details>"
        case Case(title, parts):
            inside = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in parts)
            return f"<h4>{escape(title)}</h4><dl>{inside}</dl>"
