"""Find the documents that belong together: versions of one document, and amendments with what they amend.

Versions have paths and titles that differ only in "v2", "draft", "old" or a date. An amendment says so at its beginning
and names what it amends by two at least of title, date, reference and parties. Limits: English and German.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from localrag.quantities import find_dates, load_words, phrases
from localrag.store.library import Library
from localrag.store.text_analysis import FALLBACK, LANGUAGES, tokens
from localrag.types import Document

_OPENING = 2500  # characters
_MAX_DOCUMENTS = 64
_MAX_TITLE_WORDS = 12
_MIN_POINTS = 2
_AMENDING, _PERIODIC, _DATED, _KIND = phrases(
    "localrag.diff", "related_documents", "amending", "periodic", "dated", "kind"
)
_WORDS = load_words("localrag.diff", "words.toml")["related_documents"]
_VERSIONS, _AT_THE_END, _EARLY = (frozenset(_WORDS[name].split()) for name in ("versions", "at_the_end", "early"))
_NOTHING = frozenset("of the and".split())
_NAME_PART = re.compile(r"[^\W\d_]+|\d+(?:[.\-_]\d+)*")
_YEAR = re.compile(r"(?:19|20)\d\d(?:[.\-_]\d{1,2}){0,2}|\d{1,2}[.\-_]\d{1,2}[.\-_](?:\d\d){1,2}|(?:19|20)\d{6}")
_SUFFIX = re.compile(r"\.\w{1,8}$")
_REFERENCE = re.compile(r"\b(?=[\w/-]{0,60}\d)(?=[\w/-]{0,60}[A-Z])[A-Z0-9]{1,60}(?:[-/][A-Z0-9]{1,60}){1,20}\b")
_PARTY = re.compile(r"\b(?:[A-Z][\w&'’-]{1,60} ){1,5}(?:[A-Z][\w&'’.-]{1,60})")


@dataclass(frozen=True, slots=True)
class Dated:
    """A document with its opening and its day (ISO 8601, or "" if unknown)."""

    document: Document
    opening: str
    date: str

    @property
    def amends(self) -> bool:
        """Whether it says at its beginning that it amends another document."""
        return bool(_AMENDING.search(f"{self.document.title}\n{self.opening[:1500]}"))


class Related:
    """Finds related documents among some of a library, in a snapshot that the caller holds; openings are read once."""

    def __init__(self, library: Library, among: Sequence[Document]) -> None:
        self._library = library
        self._among = among
        self._all = library.documents()
        self._dated: dict[int, Dated] = {}

    def dated(self, document: Document) -> Dated:
        """Return a document with its day: from its opening, else its name, else its file."""
        if document.id not in self._dated:
            opening = self._library.page_text(document.id, 0)[:_OPENING]
            self._dated[document.id] = Dated(document, opening, _day(document, opening) or document.date[:10])
        return self._dated[document.id]

    def versions(self, document: Document) -> list[Document]:
        """Return the other versions of a document."""
        pairs = self._library.near_pairs([other.id for other in self._among])
        linked = {i for pair in pairs if document.id in pair for i in pair}
        telling = max(_name(document.path)[0], key=len, default="")
        # A quick look first, since a library may hold thousands.
        likely = (
            other for other in self._among if telling in other.path.casefold() and other.sha256 != document.sha256
        )
        found = [one for one in likely if one.id != document.id and _same_thing(document, one, one.id in linked)]
        return found[:_MAX_DOCUMENTS]

    def amending(self, document: Document) -> list[Dated]:
        """Return the amendments of a document."""
        text, allowed = self._library.text, {other.id: other for other in self._among if other.id != document.id}
        terms = {token.term for name in LANGUAGES for token in tokens(_WORDS["amending"], name)}
        ids = set(text.documents_named([terms])[0].tolist()) & set(allowed)
        here = self.dated(document)
        telling = {token.term for token in tokens(" ".join(_names(here)), document.language or FALLBACK)}
        named = text.documents_named([[term] for term in telling])
        fits = Counter(i for own in named for i in ids.intersection(own.tolist()))
        candidates = [self.dated(allowed[i]) for i in sorted(ids, key=lambda i: (-fits[i], i))[:_MAX_DOCUMENTS]]
        naming = (one for one in candidates if one.amends and _named(one, here) >= _MIN_POINTS)
        return [one for one in naming if self._base(one) == document]

    def amended(self, document: Document) -> Document | None:
        """Return the document that a document amends, if that is clear."""
        one = self.dated(document)
        base = self._base(one) if one.amends else None
        return base if base in self._among else None

    def _base(self, amendment: Dated) -> Document | None:
        """Return the document that an amendment names by more points than any other."""
        words = {part.casefold() for part in _NAME_PART.findall(amendment.opening)}
        shares: list[tuple[float, int, Document]] = []
        for other in self._all:
            if other.id != amendment.document.id:
                own = set(_NAME_PART.findall(f"{other.title} {_SUFFIX.sub('', other.path)}".casefold()))
                own -= _VERSIONS | _NOTHING
                shares.append((-len(own & words) / max(1, len(own)), other.id, other))
        # Those whose names its opening covers best.
        likely = [other for _, _, other in sorted(shares, key=lambda item: item[:2])[:_MAX_DOCUMENTS]]
        points = [(_named(amendment, self.dated(other)), other) for other in likely]
        most = max((count for count, _ in points), default=0)
        best = [other for count, other in points if count == most]
        return best[0] if most >= _MIN_POINTS and len(best) == 1 else None


def _day(document: Document, opening: str) -> str:
    dates = [
        written.readings[0][1].isoformat()
        for written in find_dates(opening)
        if _DATED.search(opening[max(0, written.start - 30) : written.start])
    ]
    if dates:
        # An amendment also names the earlier day of what it amends.
        return max(dates) if _AMENDING.search(f"{document.title} {opening[:600]}") else dates[0]
    named = next(find_dates(re.sub(r"[_/]", " ", document.path)), None)
    return named.readings[0][1].isoformat() if named else ""


def _same_thing(one: Document, other: Document, alike: bool) -> bool:
    (ours, my_marks), (theirs, their_marks) = _name(one.path), _name(other.path)
    if not ours or ours != theirs or (my_marks == their_marks and not alike):
        return False
    titles = [" ".join(item.title.casefold().split()) for item in (one, other)]
    if titles[0] != titles[1] and _name(one.title)[0] != _name(other.title)[0]:
        return False
    return not any(_PERIODIC.search(re.sub(r"[_/.]", " ", f"{item.path} {item.title}")) for item in (one, other))


def order(document: Document) -> int:
    """Return a number by which versions without dates are ordered, from their names."""
    marks = _name(document.path)[1]
    numbers = [int(mark) for mark in marks if mark.isdigit() and len(mark) < 4]
    return max(numbers, default=1) * 2 - bool(marks & _EARLY)


def _name(path: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the words of a name that say what it is about, and those that tell versions apart.

    A number belongs to the first ("Unit 4" is not "Unit 5"), unless it follows "v" or "rev", or is a year or a date.
    """
    core, marks = set[str](), set[str]()
    for part in _SUFFIX.sub("", path).casefold().split("/"):
        words = [word for word in _NAME_PART.findall(part) if word not in _NOTHING]
        at_the_end = True
        for before, word in reversed(list(zip(["", *words], words, strict=False))):
            mark = word in _VERSIONS or (word[0].isdigit() and before in _VERSIONS) or bool(_YEAR.fullmatch(word))
            mark = mark or (at_the_end and word in _AT_THE_END)
            at_the_end = at_the_end and mark
            (marks if mark else core).add(word)
    return frozenset(core), frozenset(marks)


def _named(amendment: Dated, there: Dated) -> int:
    """Return how many of title, day, reference and parties an amendment names; 0 without title and day."""
    text, names = amendment.opening, _names(there)
    flat = " ".join(_NAME_PART.findall(text)).casefold()
    phrases = [_NAME_PART.findall(name.casefold()) for name in names if _AMENDING.search(name) is None]
    title = any(re.search(rf"\b{re.escape(' '.join(one))}\b", flat) for one in phrases if len(one) >= 2)
    kinds = {kind for name in names for kind in _KIND.findall(name)}
    if not title and not any(re.search(rf"\b{re.escape(kind)}\b", text, re.I) for kind in kinds):
        return 0
    days, own = (
        {day.isoformat() for written in find_dates(one.opening) for day in written.days} for one in (amendment, there)
    )
    days.discard(amendment.date)
    day = there.date in days
    if not (title or day) or (days and own and not days & own):
        return 0  # the same title or parties, but another day
    references = set(_REFERENCE.findall(text)) & set(_REFERENCE.findall(there.opening))
    titles = " ".join((amendment.document.title, *names)).casefold()
    parties = _parties(text, titles) & _parties(there.opening, titles)
    return title + day + bool(references) + bool(parties)


def _names(there: Dated) -> list[str]:
    """Return the names of a document: its title, its file, its first line."""
    stem = re.sub(r"[_\-.]+", " ", _SUFFIX.sub("", there.document.path.rsplit("/", 1)[-1]))
    first = there.opening.strip().split("\n", 1)[0].lstrip("# ")
    return [there.document.title, stem, first if len(first.split()) <= _MAX_TITLE_WORDS else ""]


def _parties(text: str, titles: str) -> set[str]:
    """Return names of several words that are not part of a title."""
    flat = re.sub(r"\s+", " ", text)
    found = {" ".join(name.split()).removeprefix("The ").strip(".") for name in _PARTY.findall(flat)}
    return {name for name in found if name.casefold() not in titles and _KIND.search(name) is None}
