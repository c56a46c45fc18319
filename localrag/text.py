"""The text of documents, below all rooms: cleaned for storage, its numbered parts, and the lines that run on its pages.

A reader calls `clean` on its raw text before it makes offsets, because cleaning changes lengths.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from localrag.quantities import lazy_re

# --- cleaning -----------------------------------------------------------------------------------------------

# NUL ends SQLite's substr, other control characters upset terminals, and odd spaces and ligatures keep words from being
# found.
_TRANSLATION: dict[int, str | None] = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])
_TRANSLATION |= {ord(mark): "\n" for mark in "\v\f\x1c\x1d\x1e\x85\u2028\u2029"}
_TRANSLATION |= {ord(mark): mark for mark in "\t\n"}
_TRANSLATION |= {
    ord(mark): " " for mark in "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f"
}
_TRANSLATION |= {ord(mark): None for mark in "\u00ad\u2060\ufeff\ufffe\uffff"}
_TRANSLATION |= dict(zip(range(0xFB00, 0xFB07), ("ff", "fi", "fl", "ffi", "ffl", "st", "st"), strict=True))
# Tags: invisible letters in which a text can carry another; they also make the flags of England and Scotland.
_TRANSLATION |= dict.fromkeys([0xE0001, *range(0xE0020, 0xE0080)])
_ODD = lazy_re("[" + "".join(f"\\U{code:08x}" for code in _TRANSLATION if code not in (9, 10)) + "\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Return the text as it is stored. Cleaning twice changes nothing."""
    if _ODD.search(text) is None:
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATE.sub("\ufffd", text.translate(_TRANSLATION))


def one_line(text: str) -> str:
    """Return the beginning of a text on one line, clean."""
    return " ".join(clean(text).split())[:200]


_PRODUCER = re.compile(r"^(?:microsoft (?:word|powerpoint|excel)|powerpoint presentation)\s*(?:-\s*)?", re.I)
_FILE_END = re.compile(r"\.(?:docx?|dotx?|pdf|pptx?|xlsx?|rtf|odt|txt|indd|qxd|wpd|tex|dvi|html?)$", re.I)
_JUNK = re.compile(r"^(?:untitled.*|title|document\d*|doc\d*|slide ?\d+|presentation\d*|unknown|none|null|n/a)$", re.I)


def clean_title(title: str) -> str:
    """Return a title on one line; "" if it says nothing about the document."""
    title = " ".join(clean(title).split()).strip(" \"'-_")
    # A program wrote a title that names a file; the file's real name is better.
    if _PRODUCER.match(title) or _FILE_END.search(title) or _JUNK.match(title):
        return ""
    if sum(character.isalpha() for character in title) < 3 and not any(ord(c) > 0x2E7F for c in title):
        return ""
    return title if len(title) <= 200 else title[:200].rsplit(" ", 1)[0]


# --- numbered parts -----------------------------------------------------------------------------------------

# The words that open a numbered part, with the level of its heading.
PART_LEVELS = dict.fromkeys("part article chapter exhibit schedule annex appendix attachment".split(), 1)
PART_LEVELS |= {"section": 2, "item": 2, "note": 3}
_STRUCTURE = re.compile(
    rf"(?:\b(?P<kind>{'|'.join(PART_LEVELS)}|sec(?=\.)|clause)s?\b\.?|(?P<sign>§))\s*(?:no\.?\s*)?"
    r"(?P<number>\d+(?:\.\d+)*[a-z]?(?![\w-]*[a-z]{2})|[ivx]+\b|(?:[b-z]|(?-i:A))(?:-\d+)?\b)",
    re.I,
)
_BARE = re.compile(r"(?P<number>\d{1,3}(?:\.\d{1,3})*)[.)]?\s+(?=[^\W\d_])")
_ROMAN = {"i": 1, "v": 5, "x": 10}


def structure_numbers(text: str) -> tuple[tuple[str, str], ...]:
    """Return the numbered parts that a text names, in order: "Schedule II of Item 7A" gives schedule 2 and item 7a.

    Numbers are lower case, and Roman ones Arabic. "§ 3.2", "clause 3.2" and "3.2 Fees" are sections.
    """
    bare = _BARE.match(text)
    found = [("section", bare["number"])] if bare else []
    found += [((match["kind"] or "section").lower(), match["number"].lower()) for match in _STRUCTURE.finditer(text)]
    return tuple(("section" if kind in ("sec", "clause") else kind, _arabic(number)) for kind, number in found)


def structure_number(heading: str) -> tuple[str, str] | None:
    """Return the kind and number with which a heading begins: ("item", "7"), ("schedule", "2"), ("note", "14")."""
    return structure_numbers(heading)[0] if _BARE.match(heading) or _STRUCTURE.match(heading) else None


def _arabic(number: str) -> str:
    values = [_ROMAN.get(letter, 0) for letter in number]
    sums = (-value if value < max(values[place:]) else value for place, value in enumerate(values))
    return str(sum(sums)) if all(values) else number


# --- running headers and footers ----------------------------------------------------------------------------

_EDGE = 4  # lines at the top and bottom of a page that may be running
_MIN_PAGES = 3
_MIN_SHARE = 0.12
_NUMBER = re.compile(r"\d+|\b[ivxlc]+\b")
_MAX_NUMBERS = 3


def drop_running_lines(texts: Sequence[str]) -> list[str]:
    """Return the texts of all pages with each running header and footer kept once.

    A line is running if it recurs on enough pages, word for word or with numbers that count the pages. A page never
    loses all its text.
    """
    pages = [text.split("\n") for text in texts]
    running, kept = _running(pages), set[Key]()
    return ["\n".join(_without(lines, running, kept)) for lines in pages] if running else list(texts)


def running_lines(texts: Sequence[str]) -> list[set[int]]:
    """Return the numbers of the lines of each page that are running headers and footers."""
    pages = [text.split("\n") for text in texts]
    running = _running(pages)
    return [
        {place for top in (True, False) for place in _edge(lines, top) if _key(lines[place], top) in running}
        for lines in pages
    ]


def without_lines(text: str, lines: set[int]) -> str:
    """Return a text in which these lines are blank, so that all offsets stay."""
    return "\n".join(" " * len(line) if number in lines else line for number, line in enumerate(text.split("\n")))


Key = tuple[bool, str]  # whether it is at the top, and the line with its numbers replaced


def _running(pages: Sequence[Sequence[str]]) -> set[Key]:
    places: dict[Key, list[tuple[int, str]]] = {}
    for index, lines in enumerate(pages):
        for top in (True, False):
            for key, line in {_key(lines[place], top): lines[place] for place in _edge(lines, top)}.items():
                places.setdefault(key, []).append((index, line))
    least = max(_MIN_PAGES, _MIN_SHARE * sum(any(line.strip() for line in lines) for lines in pages))
    return {
        key for key, found in places.items() if len(found) >= least and not key[1].startswith("|") and _counts(found)
    }


def _edge(lines: Sequence[str], top: bool) -> Iterator[int]:
    """Return the indices of the outermost lines that are not blank, from the edge inward."""
    places = range(len(lines)) if top else range(len(lines) - 1, -1, -1)
    return islice((place for place in places if lines[place].strip()), _EDGE)


def _key(line: str, top: bool) -> Key:
    return top, _NUMBER.sub("#", " ".join(line.split()))


def _counts(found: Sequence[tuple[int, str]]) -> bool:
    """Whether lines that differ in numbers only are the same line, or count the pages."""
    first = found[0][1].strip()
    same = sum(line.strip() == first for _, line in found)
    if same == len(found):
        return any(character.isalpha() for character in first) and len(first) > 2
    numbers = [[int(n) for n in re.findall(r"\d+", line) if len(n) < 6] for _, line in found]
    count = min(map(len, numbers))
    if count == 0 or count > _MAX_NUMBERS:
        return same > 0.8 * len(found)
    for place in range(count):
        steps = [row[place] - index for (index, _), row in zip(found, numbers, strict=True)]
        if steps.count(max(set(steps), key=steps.count)) > 0.7 * len(steps):
            return True
    return False


def _without(lines: list[str], running: set[Key], kept: set[Key]) -> list[str]:
    drop: set[int] = set()
    for top in (True, False):
        for place in _edge(lines, top):
            key = _key(lines[place], top)
            if key not in running:
                break
            if key in kept:
                drop.add(place)
            kept.add(key)
    left = [line for place, line in enumerate(lines) if place not in drop]
    return "\n".join(left).strip("\n").split("\n") if any(line.strip() for line in left) else lines
