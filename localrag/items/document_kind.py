"""Tell what kind of document it is, and give it a short title that people would use, by code.

The kind is that of the noun that begins or ends the heading ("Minutes of ...", "... Supply Agreement"), or the form of
the text: a mail, a sheet, a filing. Limits: English headings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from localrag.quantities import lazy_re, load_words
from localrag.types import Document, Fact, Page

_KIND_OF = {
    word: kind for kind, words in load_words("localrag.items", "words.toml")["kinds"].items() for word in words.split()
}
_BY_UNIT = {"mail": "mail", "sheet": "spreadsheet", "slide": "presentation", "chapter": "book"}
_BY_SUFFIX = {
    ".csv": "spreadsheet",
    ".py": "source code",
    ".ics": "calendar",
    ".vtt": "transcript",
    ".srt": "transcript",
}
KINDS = tuple(sorted({*_KIND_OF.values(), *_BY_UNIT.values(), *_BY_SUFFIX.values(), "document", "filing", "paper"}))
_OPENING, _MAX_WORDS, _MAX_NAME, _MAX_TITLE, _LINES = 4000, 14, 9, 90, 60
_MIN_WORD, _SMALL = 5, frozenset({"OF", "AND", "FOR", "THE"})  # a shorter word in capitals may be an acronym
_VOWEL = re.compile("[AEIOUY]")  # a word without one is an acronym
_COVER, _COVERS = 6, 20  # pages
_LINE = re.compile(r"[^\n]+")
_FORM = lazy_re(
    r"^[^\w\n]*FORM\s+(?P<form>(?:10-K|10-Q|8-K|20-F|6-K|S-1|S-4|DEF\s14A|40-F|11-K)(?:/A)?)[^\w\n]*$", re.I | re.M
)
_COMMISSION = lazy_re(r"SECURITIES\s+AND\s+EXCHANGE\s+COMMISSION", re.I)
_FILED = lazy_re(
    r"\b(?:commission\s{1,9}file|exact\s{1,9}name\s{1,9}of|report\s{1,9}pursuant\s{1,9}to\s{1,9}section"
    r"|registration\s{1,9}statement\s{1,9}under)\b",
    re.I,
)
_PAPER = lazy_re(r"^[^\w\n]*(?:abstract|summary)\b", re.I | re.M)
# A sentence that begins with the name of the document: "THIS CONSULTING AGREEMENT is made".
_THIS = lazy_re(
    r"\b(?:THIS|This)\s+(?P<name>(?:[A-Z][\w’'/&,-]*\s+|of\s+|and\s+|for\s+){1,9}?(?:AGREEMENT|Agreement|CONTRACT|Contract|LEASE|Lease|AMENDMENT|Amendment|DEED|Deed))\b|\b(?P<capitals>(?:[A-Z][A-Z’'/&,-]*\s+){1,9}(?:AGREEMENT|CONTRACT|LEASE|AMENDMENT))\b"
)
_LEGAL = lazy_re(
    r",?\s{0,9}\b(?:inc|incorporated|corp|corporation|company|co|llc|l\.l\.c|ltd|limited|l\.?p|llp|gmbh|ag|plc|n\.a|s\.a"
    r"|b\.v|n\.v|pty|pte|sarl)\b\.?|^the\s{1,9}",
    re.I,
)
_FILLER = lazy_re(
    r"^(?:exhibit|ex|schedule|annex|appendix)[\s.-]+(?:\d[\w().-]{0,12}(?![\w().-])|(?-i:[A-Z]{1,2})\b(?:[.-]\d{1,3})?)\s*(?!\s*(?:to|of)\b)"
    r"|^(?:form|copy|draft|execution copy|confidential)\s+(?:of\s+)?(?=\w)",
    re.I,
)
# A line of contents, one with its page, one that begins with a date or a number.
_NO_HEADING = lazy_re(r"\.{4}|…|\bpage\s{1,9}\d|^\W*\d{1,2}\s{1,9}[A-Z][a-z]+\s{1,9}\d{4}\b", re.I)
# What a text calls itself in its first sentences that has no heading: "this Privacy Policy".
_CALLED = lazy_re(
    r"\bthis\s{1,9}(?P<name>(?:[A-Z][a-z]+\s{1,9}){0,3}(?:Policy|Handbook|Manual|Procedure|Protocol|Guideline)s?)\b"
)
_SENTENCES = 600  # characters


def kind(document: Document, pages: Sequence[Page]) -> tuple[str, str, str]:
    """Return the kind of a document, its heading, and the words by which they are known: "" where nothing tells."""
    unit = pages[0].unit if pages else "page"
    suffix = PurePosixPath(document.path).suffix.lower()
    if told := _BY_UNIT.get(unit) or _BY_SUFFIX.get(suffix):
        return told, "", ""
    text = "\n".join(page.text for page in pages[:_COVER])
    if (page := cover(pages)) and (form := _FORM.search(page.text)):
        return "filing", f"Form {form['form'].upper()}", form[0]
    for line, name in _headings(document, text[:_OPENING]):
        if told := _noun(name):
            return told, name, line
    if _PAPER.search(text) and re.search(r"^[^\w\n]*(?:references|bibliography)\b", pages[-1].text, re.I | re.M):
        return "paper", "", ""
    return "document", "", ""


def cover(pages: Sequence[Page]) -> Page | None:
    """Return the page of a filing that names its form, the Commission and a file number: a report may stand before."""
    for page in pages[:_COVERS]:
        if _COMMISSION.search(page.text) and _FORM.search(page.text) and _FILED.search(page.text):
            return page
    return None


def _headings(document: Document, text: str) -> list[tuple[str, str]]:
    """Return what may be the heading: lines of the text and, as names alone, the title and the name of the file."""
    lines = [line[0] for line in list(_LINE.finditer(text))[:_LINES]]
    found = [(line, _clean(line)) for line in lines if _is_title(line)]
    found += [(this[0], _clean(this["name"] or this["capitals"])) for this in [_THIS.search(text)] if this]
    stem = re.sub(r"[_]+|(?<=[a-z])-(?=[a-z])", " ", PurePosixPath(document.path).stem)
    found += [(one[0], _clean(one["name"])) for one in [_CALLED.search(text[:_SENTENCES])] if one]
    titled = [("", _clean(document.title))] if document.title else []
    return (
        (titled if document.title != PurePosixPath(document.path).stem else []) + found + titled + [("", _clean(stem))]
    )


def _is_title(line: str) -> bool:
    words = line.strip(" #*|.:").split()
    letters = [word for word in words if word[:1].isalpha()]
    capitals = sum(word[0].isupper() for word in letters)
    return (
        len(letters) > 0
        and len(words) <= _MAX_WORDS
        and capitals >= 0.6 * len(letters)
        and not line.rstrip().endswith((",", ";", ":"))
        and not _NO_HEADING.search(line)
    )


def _clean(line: str) -> str:
    line = " ".join(re.sub(r"[#*|_]+", " ", line).split()).strip(' .:–—-“”"')
    while (shorter := _FILLER.sub("", line, count=1)) != line and shorter:
        line = shorter
    return line


def _noun(name: str) -> str:
    words = [word.casefold() for word in re.findall(r"[^\W\d_]+", name)]
    if not 0 < len(words) <= _MAX_WORDS:
        return ""
    parts = [
        re.findall(r"[^\W\d_]+", part.casefold())
        for part in re.split(r"\b(?:of|for|to|between|by|with|on|dated|no)\b|[,(:–—-]\s", name, flags=re.I)
    ]
    heads = [*[part[-1] for part in parts if part][:1], words[0], words[-1]]
    return next((_KIND_OF[word] for word in heads if word in _KIND_OF), "")


def title(document: Document, kind: str, heading: str, facts: Sequence[Fact]) -> str:
    """Return a short title: "Supply agreement, Larkspur and Quillfeather, 2019"; else the name of the file."""
    stem = PurePosixPath(document.path).stem
    if kind == "mail":
        return _short(document.title or stem)
    by_role: dict[str, list[Fact]] = {}
    for one in facts:
        by_role.setdefault(one.role, []).append(one)
    if kind == "filing" and "company" in by_role:
        period = by_role["period"][0].value if "period" in by_role else ""
        return _short(", ".join(filter(None, (short_name(by_role["company"][0].value), heading, period))))
    own = document.title if document.title != stem and len(document.title) <= _MAX_TITLE else ""
    if kind == "amendment" and len(heading.split()) > _MAX_NAME:
        heading = re.split(r"\s{1,9}to\s{1,9}", heading, maxsplit=1, flags=re.I)[0]
    name = _sentence_case(heading) or own or re.sub(r"_+", " ", stem)
    if kind not in ("contract", "amendment"):
        return _short(own or name)
    parties = [short_name(one.value) for one in by_role.get("party", ()) if one.clear]
    parties = [one for one in parties if one and one.casefold() not in name.casefold()]
    days = by_role.get("signed") or by_role.get("effective") or by_role.get("start") or []
    year = next((one.value[:4] for one in days if one.clear), "")
    several = " and ".join(parties) if len(parties) < 3 else f"{parties[0]} and {len(parties) - 1} others"
    full = ", ".join(filter(None, (name, several, "" if year in name else year)))
    if len(full) > _MAX_TITLE and len(parties) > 1:
        full = ", ".join(filter(None, (name, f"{parties[0]} and others", "" if year in name else year)))
    return _short(full)


def short_name(party: str) -> str:
    """Return a party as people call it: "Equidata" of "EQUIDATA, INC."."""
    name = party
    while (shorter := _LEGAL.sub("", name).strip(" ,.&")) != name and len(shorter) > 2:
        name = shorter
    if not name.isupper() or (len(name.split()) == 1 and len(name) < _MIN_WORD):
        return name
    return " ".join(
        word.casefold()
        if word in _SMALL
        else word
        if "." in word[:-1] or not _VOWEL.search(word)
        else word.capitalize()
        for word in name.split()
    )


def _sentence_case(name: str) -> str:
    """Return a heading in small letters, if it is in capitals."""
    words = name.split()
    if not name.isupper():
        return name
    return " ".join(
        word.capitalize() if not at else word.casefold() if len(word) > 1 else word for at, word in enumerate(words)
    )


def _short(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= _MAX_TITLE else f"{name[:_MAX_TITLE].rsplit(' ', 1)[0]}…"
