"""Markdown, stored as it is written: offsets point into the source, so a quote may hold its marks.

Headings are the `#` and the underlined kind outside fenced code. The title is the first heading of level 1. HTML
headings and front matter are left as text.
"""

from __future__ import annotations

import re

from localrag.ingest.readers.blocks import tag_text
from localrag.ingest.readers.cleaning import clean
from localrag.ingest.readers.source import Options, Source
from localrag.ingest.readers.text import decode
from localrag.types import Heading, Page, Reading

_HASHES = re.compile(r" {0,3}(#{1,6})(?:[ \t](.*))?$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
# What cannot be the words of an underlined heading: list items, quotes, tables, indented code.
_NOT_WORDS = re.compile(r"\s{4,}|\s*(?:[-*+>|]|\d+[.)]\s)")
_MARKS = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|(?<!\w)[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}(?!\w)|<[^>]+>")


def read(source: Source, options: Options) -> Reading:
    raw = decode(source.read())
    text = clean(raw)
    headings = find_headings(text)
    title = next((item.title for item in headings if item.level == 1), "")
    return Reading((Page(text, headings=headings),), title, (), tag_text(raw))


def find_headings(text: str) -> tuple[Heading, ...]:
    found: list[Heading] = []
    fence, previous, previous_start, start = "", "", 0, _after_front_matter(text)
    for line in text[start:].split("\n"):
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
            previous = ""
        elif mark and "`" not in mark[2]:
            fence, previous = mark[1], ""
        elif hashes := _HASHES.match(line):
            if title := _words(_unclosed(hashes[2] or "")):
                found.append(Heading(start, len(hashes[1]), title))
            previous = ""
        elif (under := _UNDERLINE.match(line)) and previous.strip() and not _NOT_WORDS.match(previous):
            found.append(Heading(previous_start, 1 if under[1][0] == "=" else 2, _words(previous)))
            previous = ""
        else:
            # Only a line that opens a paragraph can be underlined into a heading here; longer ones are rare.
            previous, previous_start = ("" if previous.strip() and line.strip() else line), start
        start += len(line) + 1
    return tuple(found)


def _after_front_matter(text: str) -> int:
    """YAML between `---` lines at the top would read as underlined headings."""
    if not text.startswith("---\n"):
        return 0
    end = text.find("\n---", 4)
    return 0 if end < 0 else end + 4


def _unclosed(line: str) -> str:
    """A heading without the hashes that may close it: `## Rent ##`."""
    line = line.strip()
    bare = line.rstrip("#")
    return bare if not bare or bare[-1] in " \t" else line


def _words(line: str) -> str:
    """A heading without its links and emphasis."""
    return _MARKS.sub(lambda match: match[1] or "", line[:500]).strip()[:200]
