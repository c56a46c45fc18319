"""Plain text, source code and logs, reStructuredText and Org: form feeds make pages, headings are recognised.

Encodings: UTF-8, UTF-16 with a byte order mark (or so regular that it needs none), Windows-1252, and the other 8-bit
and East Asian encodings where they can be told apart with confidence; a remark says when that was a guess. Files that
are not text are refused, and so are those whose encoding cannot be told. Code has no headings; lines are kept as they
are, but for words that were broken with a hyphen at the end of a line.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

from localrag.errors import ReadError
from localrag.readers.base import blank
from localrag.readers.cleaning import clean
from localrag.readers.headings import find_headings
from localrag.readers.source import Options, Source
from localrag.types import Heading, Page, Reading, Remark, SkippedPage

_NO_TITLE = re.compile(r"[.,;:]$|: |/s/|^(?:exhibit|schedule|annex|appendix|page)\s+[\w.-]+$", re.I)
_PROSE = frozenset((".txt", ".text", ""))


def read(source: Source, options: Options) -> Reading:
    raw, guessed = decode_guessing(source.read())
    remarks = guess_remark(guessed)
    if source.suffix in (".rst", ".org"):
        text = clean(raw)
        headings = _underlined(text) if source.suffix == ".rst" else _starred(text)
        title = _org_title(text) if source.suffix == ".org" else ""
        return Reading((Page(text, headings=headings),), title or (headings[0].title if headings else ""), (), remarks)
    if source.suffix not in _PROSE:
        return Reading((Page(clean(raw)),), remarks=remarks)
    if "\f" not in raw.strip("\f"):
        text = clean(raw)
        return Reading((Page(text, headings=find_headings(text)),), _title(text), (), remarks)
    pages: list[Page] = []
    skipped: list[SkippedPage] = []
    # A form feed at the very end closes the last page; it does not open another.
    for number, part in enumerate(raw.removesuffix("\f").split("\f"), 1):
        text = clean(part)
        if text.strip():
            pages.append(Page(text, number, headings=find_headings(text)))
        else:
            page, skip = blank(number, "no text")
            pages.append(page)
            skipped.append(skip)
    title = _title(next((page.text for page in pages if page.text), ""))
    return Reading(tuple(pages), title, tuple(skipped), remarks)


def _title(text: str) -> str:
    """The first line, where it stands alone and is short enough to be a title."""
    lines = text.lstrip().split("\n", 2)
    first = lines[0].strip()
    alone = len(lines) == 1 or not lines[1].strip()
    return first if alone and len(first) <= 100 and not _NO_TITLE.search(first) else ""


# --- headings that are marked -----------------------------------------------------------------------------------

_RULE = re.compile(r"([!-/:-@\[-`{-~])\1+\s*$")
_ROLE = re.compile(r":[\w:.-]+:`([^`<]*?)(?:\s*<[^`]*>)?`|`([^`<]+?)(?:\s*<[^`]*>)?`_{0,2}|\*{1,2}(\S[^*]*)\*{1,2}|\|([^|]+)\|")


def _underlined(text: str) -> tuple[Heading, ...]:
    """The sections of reStructuredText; a level is known by its mark, in the order in which the marks come."""
    lines = text.split("\n")
    found: list[Heading] = []
    levels: list[tuple[str, bool]] = []
    start = before = 0  # of this line, and of the line before it
    for index, line in enumerate(lines):
        words = lines[index - 1] if index else ""
        mark = _RULE.match(line)
        above = _RULE.match(lines[index - 2]) if index > 1 else None
        over = above is not None and mark is not None and above[1] == mark[1]
        alone = over or (index > 0 and not words[:1].isspace() and (index < 2 or not lines[index - 2].strip()))
        if mark and alone and words.strip() and not _RULE.match(words) and _width(line) >= _width(words):
            kind = (mark[1], over)
            if kind not in levels:
                levels.append(kind)
            title = _ROLE.sub(lambda role: role[1] or role[2] or role[3] or role[4] or "", words).strip()
            found.append(Heading(before, levels.index(kind) + 1, title[:200]))
        before, start = start, start + len(line) + 1
    return tuple(found)


def _width(line: str) -> int:
    line = line.rstrip()
    return len(line) + sum(unicodedata.east_asian_width(character) in "WF" for character in line)


_STARS = re.compile(
    r"^(\*+)[ \t]+(?:(?:TODO|DONE|NEXT|WAITING)[ \t]+)?(?:\[#[A-Z]\][ \t]*)?(.*?)(?:[ \t]+:[\w@#%:]+:)?[ \t]*$", re.M
)
_ORG_BLOCK = re.compile(r"^[ \t]*#\+begin_(\w+).*?^[ \t]*#\+end_\1", re.M | re.S | re.I)
_ORG_LINK = re.compile(r"\[\[[^\]]*\](?:\[([^\]]*)\])?\]")


def _starred(text: str) -> tuple[Heading, ...]:
    blocks = [match.span() for match in _ORG_BLOCK.finditer(text)] if "#+" in text else []
    return tuple(
        Heading(match.start(), len(match[1]), title[:200])
        for match in _STARS.finditer(text)
        if (title := _ORG_LINK.sub(lambda link: link[1] or "", match[2]).strip())
        and not any(start < match.start() < end for start, end in blocks)
    )


def _org_title(text: str) -> str:
    match = re.search(r"^#\+title:[ \t]*(.+)$", text, re.M | re.I)
    return match[1].strip() if match else ""


# --- encodings --------------------------------------------------------------------------------------------------


def decode(data: bytes) -> str:
    """The text of a file's bytes.

    Raises:
        ReadError: the bytes are not text.
    """
    return decode_guessing(data)[0]


def guess_remark(encoding: str) -> tuple[Remark, ...]:
    if not encoding:
        return ()
    return (Remark(None, f"The encoding was guessed ({encoding}). If words look wrong, save the file as UTF-8."),)


