"""Read what an amendment changes in another document, and find it there.

A change counts only if the clause, and in it the words or the row, are found in what it amends. Limits: English and
German.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from localrag.grounding.citations import terms
from localrag.grounding.context import Span
from localrag.grounding.locate import locate
from localrag.quantities import find_dates, lazy_re, load_words, phrases
from localrag.store.library import Library
from localrag.store.text_analysis import FALLBACK, LANGUAGES, sentences, tokens
from localrag.types import Document

_ROW, _FOLLOWS = phrases("localrag.diff", "amendments", "row", "follows")
_ID = r"[A-Z]?\d{1,3}(?:\.\d{1,3})*(?:\s?\([a-z0-9]{1,4}\))*"
_REFERENCE = lazy_re(
    rf"(?:\b(?:clause|section|paragraph|article|ziffer|abschnitt|klausel|artikel|absatz)|§)\s*(?P<id>{_ID})", re.I
)
_CHANGED = lazy_re(
    r"\b(?:is|are|shall be|be|wird|werden)\s+(?:and\s+(?:hereby\s+)?(?:is|are)\s+)?(?:hereby\s+)?(?:further\s+)?"
    r"(?:deleted|replaced|amended|substituted|superseded|restated|changed|modified|revised|increased|reduced|extended)\b"
    r"|\b(?:wird|werden)\b.{0,200}?\b(?:ersetzt|geändert|gestrichen|aufgehoben|neu gefasst)\b",
    re.I | re.S,
)
_QUOTED = r"[\"“„«‟”]\s{{0,9}}{}\s{{0,9}}[\"“”»]"
_X, _Y = _QUOTED.format(r"(?P<old>[^\"“”„«»]{1,160}?)"), _QUOTED.format(r"(?P<new>[^\"“”„«»]{1,160}?)")
_WORDS = (
    lazy_re(rf"substitut\w{{1,20}}\s{{1,9}}{_Y}\s{{1,9}}(?:for|in place of)\s{{1,9}}{_X}", re.I | re.S),
    lazy_re(rf"{_X}[^\"“”„«»]{{0,60}}?(?:replac|substitut|chang|insert|durch)[^\"“”„«»]{{0,60}}?{_Y}", re.I | re.S),
    lazy_re(rf"(?:replac|substitut|chang|delet)[^\"“”„«»]{{0,80}}?{_X}[^\"“”„«»]{{0,60}}?{_Y}", re.I | re.S),
)
_DELETED = re.compile(r"\b(?:deleted|gestrichen|aufgehoben)\b(?!\W+(?:and|und)\b)", re.I)
_LINE = r"^[ \t]*(?:(?:clause|section|article|paragraph|§)\s*)?{}[.)]?(?=\s)"
_ANY_LINE = lazy_re(_LINE.format(rf"(?P<id>{_ID})"), re.I | re.M)
_MAX_CLAUSE = 6000
_MIN_SHARED = 3
_MAX_ROWS = 5


@dataclass(frozen=True, slots=True)
class Change:
    """A change that an amendment makes to a clause.

    `replacement` is the new text, or the sentence of the change. `old` and `new` are the words exchanged, empty if a
    whole clause is; `row` names a row of a table; `deleted` says that nothing replaces the clause.
    """

    clause: str
    replacement: Span
    old: str = ""
    new: str = ""
    row: str = ""
    deleted: bool = False


def changes(pages: Sequence[str]) -> list[Change]:
    """Return the changes that an amendment of these pages makes, in order."""
    return [change for position, text in enumerate(pages) for change in _of_page(position, text)]


def _of_page(position: int, text: str) -> Iterator[Change]:
    spans = sentences(text)
    for n, (start, end) in enumerate(spans):
        # A quote may contain a full stop.
        last = next((k for k, (_, stop) in enumerate(spans[n : n + 3], n) if _balanced(text[start:stop])), n)
        end = spans[last][1]
        sentence = text[start:end]
        named, verb = _REFERENCE.search(sentence), _CHANGED.search(sentence)
        if named is None or verb is None or verb.end() < named.start():
            continue
        clause, replacement = re.sub(r"\s", "", named["id"]), Span(position, start, end)
        if words := next((found for pattern in _WORDS if (found := pattern.search(sentence))), None):
            yield Change(clause, replacement, old=words["old"].strip(), new=words["new"].strip())
            continue
        follows, row = bool(_FOLLOWS.search(sentence)), _ROW.search(sentence)
        name = row["row"].strip(' "“”') if row else ""
        below = spans[last + 1 : last + 2 + _MAX_ROWS]
        if follows and below and not re.search(r"[\"“„][^\"“„]{20,}", sentence):
            # The new text is below: of a table the named row, not the header.
            rows = (span for span in below if name and locate(name, text[slice(*span)]) is not None)
            replacement = Span(position, *next(rows, below[0]))
        if row:
            yield Change(clause, replacement, row=name)
        elif follows:
            yield Change(clause, replacement)
        elif _DELETED.search(sentence):
            yield Change(clause, replacement, deleted=True)


def _balanced(text: str) -> bool:
    opened, closed = len(re.findall(r"[“„«]", text)), len(re.findall(r"[”»]", text))
    return opened <= closed + text.count("„") and text.count('"') % 2 == 0


def find_changed(change: Change, replacement: str, pages: Sequence[str]) -> Span | None:
    """Return the sentence or clause of an amended document that a change replaces, or None if it is not found.

    `replacement` are the words at `change.replacement`.
    """
    best: tuple[int, Span] | None = None
    for position, text in enumerate(pages):
        for start, end in _clauses(change.clause, text):
            if change.deleted:
                last = start + len(text[start:end].rstrip())
                if best is None or last - start > best[0]:  # in a table of contents it is shorter
                    best = last - start, Span(position, start, last)
                continue
            for first, last in sentences(text[start:end]):
                sentence = text[start + first : start + last]
                if change.old or change.row:
                    fits = int(locate(change.old or change.row, sentence) is not None) * 100
                    if change.old and change.new and locate(change.new, sentence) is not None:
                        fits = 0  # it is there already
                else:
                    shared = len(terms(sentence) & terms(replacement))
                    fits = shared if shared >= _MIN_SHARED and sentence.split() != replacement.split() else 0
                if fits and (best is None or fits > best[0]):
                    best = fits, Span(position, start + first, start + last)
    return best[1] if best else None


def _clauses(clause: str, text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of a clause: from its number to the next number that is not part of it."""
    wanted = _LINE.format(r"\s?".join(map(re.escape, re.findall(r"\(\w+\)|[^()]+", clause))))
    parts = (f"{clause.casefold()}.", f"{clause.casefold()}(")  # 9.3 and 9(a) are parts of 9
    for match in re.finditer(wanted, text, re.I | re.M):
        end = min(len(text), match.start() + _MAX_CLAUSE)
        for line in _ANY_LINE.finditer(text, match.end(), end):
            number, shown = re.sub(r"\s", "", line["id"]), line[0].strip()
            # Any number may follow a line break: this one must be written like that of a clause.
            numbers = "." in number or shown.endswith((".", ")")) or shown[0] in "§csapCSAP"
            if clause[0].isalpha():
                numbers = number[0].isalpha()
            if numbers and not number.casefold().startswith(parts):
                end = line.start()
                break
        yield match.start(), end


# --- find the documents that belong together: versions of one document, and amendments with what they amend ------
# Versions have paths and titles that differ only in "v2", "draft", "old" or a date. An amendment says so at its
# beginning and names what it amends by two at least of title, date, reference and parties. Limits: English and German.

_OPENING = 2500  # characters
_MAX_DOCUMENTS = 64
_MAX_TITLE_WORDS = 12
_MIN_POINTS = 2
_AMENDING, _PERIODIC, _DATED, _KIND = phrases(
    "localrag.diff", "related_documents", "amending", "periodic", "dated", "kind"
)
_SET_WORDS = load_words("localrag.diff", "words.toml")["related_documents"]
_VERSIONS, _AT_THE_END, _EARLY = (frozenset(_SET_WORDS[name].split()) for name in ("versions", "at_the_end", "early"))
# "the Services Agreement dated": the day of another document, where "this" is not before it.
_OF_ANOTHER = re.compile(
    r"\b(?:the|that|a|an|our|your)\s(?:(?!\bthis\b)[^.;]){0,80}?\b(?:agreement|contract|lease|licen[cs]e|deed)\W{0,3}"
    r"(?:\w+\W+){0,2}?(?:dated|made|signed|entered into)\W+(?:(?:as|of|on)\W+){0,2}$",
    re.I,
)
_NOTHING = frozenset("of the and".split())
_NAME_PART = re.compile(r"[^\W\d_]+|\d+(?:[.\-_]\d+)*")
_YEAR = re.compile(r"(?:19|20)\d\d(?:[.\-_]\d{1,2}){0,2}|\d{1,2}[.\-_]\d{1,2}[.\-_](?:\d\d){1,2}|(?:19|20)\d{6}")
_SUFFIX = re.compile(r"\.\w{1,8}$")
_CODE = re.compile(r"\b(?=[\w/-]{0,60}\d)(?=[\w/-]{0,60}[A-Z])[A-Z0-9]{1,60}(?:[-/][A-Z0-9]{1,60}){1,20}\b")
_PARTY = re.compile(r"\b(?:[A-Z][\w&'’-]{1,60} ){1,5}(?:[A-Z][\w&'’.-]{1,60})")


@dataclass(frozen=True)
class Dated:
    """A document with its opening and its day (ISO 8601, or "" if unknown)."""

    document: Document
    opening: str
    date: str

    @property
    def amends(self) -> bool:
        """Whether it says at its beginning that it amends another document."""
        return bool(_AMENDING.search(f"{self.document.title}\n{self.opening[:1500]}"))

    @cached_property
    def days(self) -> frozenset[str]:
        """The days that it names at its beginning."""
        return frozenset(day.isoformat() for written in find_dates(self.opening) for day in written.days)

    @cached_property
    def words(self) -> list[str]:
        """The words of its opening, in lower case."""
        return [word.casefold() for word in _NAME_PART.findall(self.opening)]

    @cached_property
    def references(self) -> frozenset[str]:
        """The codes that it names at its beginning, such as "MSA-2023/14"."""
        return frozenset(_CODE.findall(self.opening))


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

    @cached_property
    def _words(self) -> dict[int, set[str]]:
        """The words of each document's title and path."""
        names = {other.id: f"{other.title} {_SUFFIX.sub('', other.path)}".casefold() for other in self._all}
        return {id: set(_NAME_PART.findall(name)) - _VERSIONS - _NOTHING for id, name in names.items()}

    def versions(self, document: Document) -> list[Document]:
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
        text, allowed = self._library.text, {other.id: other for other in self._among if other.id != document.id}
        terms = {token.term for name in LANGUAGES for token in tokens(_SET_WORDS["amending"], name)}
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

    def base(self, document: Document) -> Document | None:
        """Return the document that another names as what it amends or stands under, if that is clear."""
        base = self._base(self.dated(document))
        return base if base in self._among else None

    def _base(self, amendment: Dated) -> Document | None:
        """Return the document that an amendment names by more points than any other."""
        words = set(amendment.words)
        shares: list[tuple[float, int, Document]] = []
        for other in self._all:
            if other.id != amendment.document.id:
                own = self._words[other.id]
                shares.append((-len(own & words) / max(1, len(own)), other.id, other))
        # Those whose names its opening covers best.
        likely = [other for _, _, other in sorted(shares, key=lambda item: item[:2])[:_MAX_DOCUMENTS]]
        points = [(_named(amendment, self.dated(other)), other) for other in likely]
        most = max((count for count, _ in points), default=0)
        best = [other for count, other in points if count == most]
        return best[0] if most >= _MIN_POINTS and len(best) == 1 else None


def _day(document: Document, opening: str) -> str:
    dated = [
        (written.readings[0][1].isoformat(), opening[max(0, written.start - 120) : written.start])
        for written in find_dates(opening)
        if _DATED.search(opening[max(0, written.start - 30) : written.start])
    ]
    dates = [day for day, before in dated if not _OF_ANOTHER.search(before)]
    if dated and not dates:
        return ""  # only that of the document which it names
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
    flat = f" {' '.join(amendment.words)} "
    phrases = [_NAME_PART.findall(name.casefold()) for name in names if _AMENDING.search(name) is None]
    title = any(f" {' '.join(one)} " in flat for one in phrases if len(one) >= 2)
    kinds = {kind for name in names for kind in _KIND.findall(name)}
    if not title and not any(re.search(rf"\b{re.escape(kind)}\b", text, re.I) for kind in kinds):
        return 0
    days = amendment.days - {amendment.date}
    day = there.date in days
    if not (title or day) or (days and there.days and not days & there.days):
        return 0  # the same title or parties, but another day
    titles = " ".join((amendment.document.title, *names)).casefold()
    parties = _parties(text, titles) & _parties(there.opening, titles)
    return title + day + bool(amendment.references & there.references) + bool(parties)


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
