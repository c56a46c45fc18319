"""Put together the first page of libraries from facts that were read before: nothing is read for it.

Days come from facts that are clear: those that a text states, and the end of a term that begins on such a day, which is
counted. What is unclear stands in the table of documents, marked, and nowhere else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from localrag.diff.amendments import Related
from localrag.events import Failure
from localrag.items.document_kind import short_name
from localrag.quantities import shift_date
from localrag.store.library import Library
from localrag.types import Citation, Document, Fact

# Roles whose values are days, with what happens on them.
DAYS: Mapping[str, str] = {
    "signed": "signed",
    "effective": "takes effect",
    "start": "begins",
    "end": "ends",
    "in force": "in force",
    "date": "sent",
    "updated": "updated",
}
_PAST = ("signed", "sent", "updated")
CONTRACTS = ("contract", "amendment")
# Roles of mails, filings, policies, reports and studies.
OF_OTHERS = ("sender", "date", "company", "period", "version", "updated", "in force", "owner")
AMOUNTS = ("fee", "cap", "deposit", "minimum")
# The columns of the table of documents, and the roles that stand in each.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "parties": ("party", "company", "sender", "owner"),
    "dated": ("signed", "date", "updated", "period"),
    "in force": ("effective", "start", "in force"),
    "end": ("end", "term"),
    "notice": ("non-renewal notice", "termination notice"),
    "law": ("law",),
    "other": ("recipient", "form", "version", "number"),
}
_SHOWN_WHOLE = ("parties", "other")  # columns with all values of their roles; the others have the first clear one
# What a span of time is counted from, and the days of a document itself.
_FROM = re.compile(r"\W{0,3}(?:from|after|following|commencing|beginning|starting)\b ?(?P<day>[^,.;()]{3,60})", re.I)
_SPAN_WORDS = re.compile(r"^.*?\b(?:years?|months?|weeks?|days?)\b(?:\(s\))?", re.I)
_OWN_DAY = re.compile(
    r"\b(?:effective|commencement|start) date|\bhereof|\bdate (?:of this|above|first)|\b(?:such|that) date|\b\d{4}\b",
    re.I,
)
_ANNIVERSARY = re.compile(r"\b(?:until|ending|end|expir\w+|terminat\w+)\b[^.;]{0,80}\banniversary\b", re.I)
_AHEAD, _MAX_QUESTIONS, _OPENING = 10, 5, 4000
_QUESTIONS: Mapping[str, str] = {
    "end": "When does “{title}” end?",
    "term": "What is the term of “{title}”?",
    "non-renewal notice": "How long before its end must notice be given so that “{title}” does not renew?",
    "law": "Which law governs “{title}”?",
    "party": "Who are the parties to “{title}”?",
    "payment": "Within how many days must invoices be paid under “{title}”?",
    "signed": "When was “{title}” signed?",
    "sender": "Who sent “{title}”?",
    "date": "When was “{title}” sent?",
    "period": "Which period does “{title}” cover?",
    "version": "Which version of “{title}” is this?",
    "updated": "When was “{title}” last updated?",
    "in force": "Since when is “{title}” in force?",
    "owner": "Who is the owner of “{title}”?",
}


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """A document with its facts.

    `base` is the path of the document that it amends, restates or stands under, if that is clear; `relation` says which
    of these it is, in a verb.
    """

    library: str
    path: str
    title: str
    kind: str
    language: str
    pages: int | None
    facts: tuple[Fact, ...]
    base: str = ""
    relation: str = ""

    def of(self, *roles: str) -> list[Fact]:
        """Return its facts in these roles, the clear ones first."""
        return sorted((one for one in self.facts if one.role in roles), key=lambda one: not one.clear)

    def cell(self, column: str) -> str:
        """Return what stands in a column of the table: values in words, the unclear ones with a question mark."""
        roles = COLUMNS[column]
        shown = [one for role in roles for one in self.of(role)]
        if column not in _SHOWN_WHOLE:
            shown = [one for one in shown if one.clear][:1] or shown[:1]
        return "; ".join(dict.fromkeys(f"{shown_value(one)}{'' if one.clear else '?'}" for one in shown))


@dataclass(frozen=True, slots=True)
class Event:
    """What happens on a day (ISO 8601), by a fact of a document; `counted` says from what, if it was counted."""

    day: str
    what: str
    library: str
    document: str
    title: str
    fact: Fact
    counted: str = ""

    def to_row(self) -> dict[str, Any]:
        one = self.fact
        return {
            "date": self.day,
            "what": self.what,
            "title": self.title,
            "library": self.library,
            "document": self.document,
            "counted": self.counted,
            "quote": one.quote,
            "place": one.place,
        }


@dataclass(frozen=True, slots=True)
class Overview:
    """The first page of libraries.

    Attributes:
        failed: what could not be read.
        unread: how many documents have no facts yet, since nothing was read of them since an update.
        timeline: events by day.
        questions: some that the facts answer.
    """

    libraries: tuple[str, ...]
    documents: tuple[DocumentFacts, ...]
    failed: tuple[Failure, ...]
    unread: int
    timeline: tuple[Event, ...]
    questions: tuple[str, ...]
    today: str
    kinds: Mapping[str, int] = field(default_factory=dict)
    languages: Mapping[str, int] = field(default_factory=dict)
    years: Mapping[str, int] = field(default_factory=dict)

    @property
    def ahead(self) -> list[Event]:
        """What comes next, the nearest first."""
        return [one for one in self.timeline if one.day >= self.today and one.what not in _PAST][:_AHEAD]

    @property
    def amounts(self) -> list[tuple[DocumentFacts, Fact]]:
        return [(own, one) for own in self.documents for one in own.of(*AMOUNTS) if one.clear]

    @property
    def people(self) -> dict[str, list[DocumentFacts]]:
        """Those who are named as a party, sender or signatory, each with their documents, the most named first."""
        found: dict[str, dict[str, DocumentFacts]] = {}
        for own in self.documents:
            for one in own.of("party", "company", "sender", "signatory"):
                if one.clear:
                    found.setdefault(short_name(one.value), {})[own.path] = own
        return {
            name: list(own.values()) for name, own in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
        }

    def to_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {
            "libraries": list(self.libraries),
            "today": self.today,
            "kinds": dict(self.kinds),
            "languages": dict(self.languages),
            "years": dict(self.years),
            "failed": [{"document": one.document, "reason": one.reason} for one in self.failed],
            "without_facts": self.unread,
            "documents": [
                {
                    "library": own.library,
                    "document": own.path,
                    "title": own.title,
                    "kind": own.kind,
                    "language": own.language,
                    "pages": own.pages,
                    "relation": own.relation,
                    "base": own.base,
                    "cells": {column: own.cell(column) for column in COLUMNS},
                    "facts": [one.to_dict() for one in own.facts],
                }
                for own in self.documents
            ],
            "timeline": [one.to_row() for one in self.timeline],
            "ahead": [one.to_row() for one in self.ahead],
            "amounts": [{"title": own.title, "document": own.path, **one.to_dict()} for own, one in self.amounts],
            "people": {name: [own.path for own in documents] for name, documents in self.people.items()},
            "questions": list(self.questions),
        }


def make(libraries: Sequence[Library], version: str, today: date) -> Overview:
    """Return the first page of libraries, from the facts that they hold."""
    documents: list[DocumentFacts] = []
    failed: list[Failure] = []
    unread = 0
    for library in libraries:
        with library.snapshot():
            facts = library.facts()
            failed += library.failures()
            unread += len(library.without_facts(version))
            listed = library.documents()
            related = Related(library, listed)
            own = [document_facts(library, one, facts.get(one.id, ()), related) for one in listed]
            times = Counter(one.title for one in own)
            documents += [one if times[one.title] == 1 else replace(one, title=_distinct(one)) for one in own]
    timeline = sorted((event for own in documents for event in events(own)), key=lambda one: (one.day, one.title))
    years = Counter(day[:4] for own in documents if (day := _dated(own)))
    return Overview(
        tuple(library.name for library in libraries),
        tuple(documents),
        tuple(failed),
        unread,
        tuple(timeline),
        tuple(_questions(documents, timeline, today.isoformat())),
        today.isoformat(),
        dict(Counter(own.kind for own in documents).most_common()),
        dict(Counter(own.language for own in documents if own.language).most_common()),
        dict(sorted(years.items())),
    )


def shown_value(one: Fact) -> str:
    """Return the value of a fact as people read it, a party as people call it."""
    return short_name(one.value) if one.role == "party" else one.shown


def document_facts(
    library: Library, document: Document, facts: Sequence[Fact], related: Related | None = None
) -> DocumentFacts:
    """Return a document with its facts, and with what it amends or stands under where `related` finds that."""
    by_role = {one.role: one.value for one in reversed(facts)}
    kind = by_role.get("kind", "document")
    relation = "amends" if kind == "amendment" else by_role.get("relation", "")
    base = related.base(document) if related and relation else None
    if base is not None and not _names_parties(library, document, base):
        base = None
    pages = document.pages if document.paged else None
    title = by_role.get("title", document.title or document.path)
    name, path, language = library.name, document.path, document.language
    return DocumentFacts(name, path, title, kind, language, pages, tuple(facts), base.path if base else "", relation)


def _names_parties(library: Library, document: Document, base: Document) -> bool:
    """Return whether the opening of a document names the parties of another: two of them, or the one that is known."""
    parties = [one for one in library.facts([base.id]).get(base.id, ()) if one.role == "party"]
    opening = " ".join(library.page_text(document.id, 0)[:_OPENING].casefold().split())
    named = sum(short_name(one.value).casefold() in opening for one in parties)
    return named >= min(2, len(parties))


def _distinct(own: DocumentFacts) -> str:
    """Return a title that several documents have, with the name of the file."""
    return f"{own.title} ({own.path.rsplit('/', 1)[-1]})"


def _dated(own: DocumentFacts) -> str:
    days = [
        one.value
        for one in own.of("signed", "date", "updated", "period", "in force", "effective", "start")
        if one.clear
    ]
    return next((day for day in days if re.match(r"\d{4}-", day)), "")


def events(own: DocumentFacts) -> Iterator[Event]:
    """Yield what happens on which days by the clear facts of a document."""
    for role, what in DAYS.items():
        for one in own.of(role)[:1]:
            if one.clear and is_day(one.value):
                yield Event(one.value, what, own.library, own.path, own.title, one)
    last = end_of(own)
    if last is None:
        return
    ends, counted = last
    if counted:
        yield Event(ends.value, DAYS["end"], own.library, own.path, own.title, ends, counted)
    notice = next((one for one in own.of("non-renewal notice") if one.clear), None)
    if notice is not None and (day := _shifted(ends.value, notice, -1)) is not None:
        counted = f"{shown_value(notice)} before {ends.value}" + (f", which is {counted}" if counted else "")
        yield Event(day.isoformat(), "last day to give notice", own.library, own.path, own.title, notice, counted)


def end_of(own: DocumentFacts) -> tuple[Fact, str] | None:
    """Return the fact that says when a document ends, and from what that was counted, if it was; None where unknown."""
    clear = {role: next((one for one in own.of(role) if one.clear), None) for role in ("end", "term", "start")}
    ends, term, start = clear["end"], clear["term"], clear["start"]
    if ends is not None and is_day(ends.value):
        return ends, ""
    if (
        term is None
        or start is None
        or _begins_elsewhere(term, start)
        or (day := _shifted(start.value, term, 1)) is None
    ):
        return None
    # "Until the third anniversary" is that day; a term of three years ends the day before, as it begins on its first.
    last = day if _ANNIVERSARY.search(" ".join(term.quote.split())) else day - timedelta(days=1)
    return replace(term, role="end", value=last.isoformat()), f"{shown_value(term)} from {start.value}"


def _begins_elsewhere(term: Fact, start: Fact) -> bool:
    """Return whether a term is counted from another day than its start: "five years from the first order"."""
    words, quote = " ".join(term.words.split()), " ".join(term.quote.split())
    after = _FROM.match(_SPAN_WORDS.sub("", f"{words}{quote.partition(words)[2]}", count=1))
    if after is None or _OWN_DAY.search(after["day"]):
        return False
    return " ".join(start.words.split()).casefold() not in after["day"].casefold()


def is_day(value: str) -> bool:
    """Return whether a value is a whole day of ISO 8601: not "2027-05"."""
    return re.fullmatch(r"\d{4}-\d\d-\d\d", value) is not None


def _shifted(day: str, one: Fact, way: int) -> date | None:
    """Return the day that a span of time leads to, later (1) or earlier (-1); None outside the calendar."""
    try:
        return shift_date(date.fromisoformat(day), way * one.span[0], one.span[1]) if one.span else None
    except (OverflowError, ValueError):
        return None


def _questions(documents: Sequence[DocumentFacts], events: Sequence[Event], today: str) -> Iterator[str]:
    """Yield questions that clear facts answer: one of each role, of other documents where there are some."""
    ahead = [event.document for event in events if event.day >= today]
    order = sorted(documents, key=lambda own: (own.path not in ahead, " " not in own.title, -len(own.facts)))
    asked: set[str] = set()
    count = 0
    for role, words in _QUESTIONS.items():
        kinds = [own for own in order if own.kind in CONTRACTS or role in OF_OTHERS]
        fitting = [own for own in kinds if any(one.clear and one.quote for one in own.of(role))]
        chosen = next((own for own in fitting if own.path not in asked), fitting[0] if fitting else None)
        if chosen is not None and count < _MAX_QUESTIONS:
            asked.add(chosen.path)
            count += 1
            yield words.format(title=chosen.title)


def cited(own: DocumentFacts, one: Fact, marker: int = 1) -> Citation:
    return Citation(own.library, own.path, one.page, None, one.place, one.quote, one.start, one.end, marker)
