"""Documents with figures: what they are called, their own period, and where their figures are found."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import PurePosixPath

from localrag.embeddings.sentence_encoder import SentenceEncoder
from localrag.figures import periods, table
from localrag.figures.finding import Finder
from localrag.figures.formulas import flat
from localrag.figures.periods import Period
from localrag.grounding.stages import Pair
from localrag.quantities import MONTHS, lazy_re
from localrag.store.library import Library
from localrag.store.text_analysis import FALLBACK
from localrag.types import Document, Fact

_KEPT = 24  # reports whose figures are kept in memory
_FORMS = frozenset("inc corp corporation company co ltd limited plc group holdings com".split())
_GENERIC = _FORMS | frozenset("the and of form annual report quarterly financial statements filing".split())
_MAX_SHARE = 0.7  # a word in the names of more documents tells none from another
_POSSESSIVE = re.compile(r"[’']s?\b")
_WORD = re.compile(r"[\w&.]+(?:[’']s\b)?")
_PART = re.compile(r"\b[A-Z]{2,20}\b|(?<=[\w,’'] )[A-Z][a-z]{2,30}\b")
_DATED = lazy_re(rf"(?:[QH]\d|FY|YOY|{'|'.join(MONTHS)})", re.I)
_YEAR, _QUARTERLY = 12, "Form 10-Q"


@dataclass(frozen=True)
class Report:
    """A document with figures, the period that it is about, and its fiscal quarter (0, 0 in an annual report)."""

    pair: Pair
    finder: Finder
    period: Period | None
    quarter: tuple[int, int]
    names: frozenset[str]

    @property
    def usual(self) -> int:
        """The months of its own period."""
        return (self.period.months if self.period else None) or _YEAR

    def dated(self, asked: Period) -> Period | None:
        """Return a period asked about with the month that its quarter has here; None where it has none."""
        number, year = self.quarter
        if not asked.quarter:
            return asked
        if self.period is None or number != asked.quarter:
            return None
        return Period(self.period.year + asked.year - year, self.period.month, asked.months)

    def fiscal(self, at: Period) -> str:
        """Return the number of a fiscal quarter that is none of the calendar: "fiscal Q2 2024"; else nothing."""
        number, year = self.quarter
        if self.period is None or not number or at.months != 3 or at.month != self.period.month:
            return ""
        year += at.year - self.period.year
        return "" if (at.month, at.year) == (3 * number, year) else f"fiscal Q{number} {year}"


@dataclass(frozen=True)
class _Named:
    """What a document is called, and what its facts say of its form and period."""

    names: frozenset[str]
    form: str
    period: str


class Reports:
    """Finds the documents that a question for a figure names, and keeps the figures of the last ones."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder
        self._named: dict[str, tuple[object, dict[int, _Named]]] = {}
        self._kept: OrderedDict[tuple[object, ...], Report | None] = OrderedDict()

    def called(self, text: str, documents: Sequence[Pair]) -> list[Report]:
        """Return the reports of the company that a question names; empty where it names several.

        It may name it by a part that only its figures have ("AWS"). Where all documents are of one company, it is that.
        """
        known = [(pair, one) for pair in documents if (one := self._names_in(pair[0]).get(pair[1].id)) is not None]
        words = set(flat(_POSSESSIVE.sub(" ", text)).split())
        held = Counter(word for _, one in known for word in one.names)
        rare = {word for word in words if 0 < held[word] <= _MAX_SHARE * len(known)}
        chosen = [(pair, one) for pair, one in known if one.names & rare]
        chosen = chosen or (known if _one_company(known) else _with_parts(text, known))
        if not _one_company(chosen):
            return []
        return [report for pair, one in chosen[:_KEPT] if (report := self._report(pair, one)) is not None]

    def companies(self, text: str, documents: Sequence[Pair]) -> list[slice]:
        """Return where a question first names each of several companies, in order."""
        known = [(pair, one) for pair in documents if (one := self._names_in(pair[0]).get(pair[1].id)) is not None]
        held = Counter(word for _, one in known for word in one.names)
        found: list[tuple[slice, set[int]]] = []
        for match in _WORD.finditer(text):
            word = flat(_POSSESSIVE.sub(" ", match[0]))
            last, owners = found[-1] if found else (slice(0, 0), set())
            own = {at for at, (_, one) in enumerate(known) if word in one.names}
            if text[last.stop : match.start()] == " " and (own & owners or word in _FORMS):
                found[-1] = slice(last.start, match.end()), owners  # "Lifeway Foods, Inc"
            elif 0 < held[word] <= _MAX_SHARE * len(known) and not any(own & others for _, others in found):
                found.append((slice(match.start(), match.end()), own))
        return [at for at, _ in found]

    def _names_in(self, library: Library) -> dict[int, _Named]:
        """Return what documents of a library are called, read once for each of its generations."""
        key = library.uid, library.generation
        kept = self._named.get(library.name)
        if kept is None or kept[0] != key:
            facts = library.facts()
            found = {one.id: _named(one, facts.get(one.id, ())) for one in library.documents() if _is_english(one)}
            kept = self._named[library.name] = key, found
        return kept[1]

    def _report(self, pair: Pair, one: _Named) -> Report | None:
        library, document = pair
        key = (library.name, library.uid, document.id, library.generation)
        if key not in self._kept:
            self._kept[key] = _read(pair, one, self._encoder)
        self._kept.move_to_end(key)
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        kept = self._kept[key]
        return None if kept is None else replace(kept, pair=pair)  # the library may have been opened again


def _is_english(document: Document) -> bool:
    return document.language in (FALLBACK, "")


def _named(document: Document, read: Sequence[Fact]) -> _Named:
    facts = {one.role: one.value for one in read if one.clear}
    stem = re.sub(r"[_\-.]", " ", PurePosixPath(document.path).stem)
    words = (word for word in flat(f"{stem} {facts.get('company', '')}").split() if word not in _GENERIC)
    names = frozenset(word for word in words if len(word) > 1 and not any(map(str.isdigit, word)))
    return _Named(names, facts.get("form", ""), facts.get("period", ""))


def _with_parts(text: str, known: Sequence[tuple[Pair, _Named]]) -> list[tuple[Pair, _Named]]:
    """Return the documents in whose figures each name of a question is a label."""
    names = [word for word in _PART.findall(text) if not _DATED.fullmatch(word)] or text.split()[:1]
    libraries = {library.name: library for (library, _), _ in known}
    holds = {name: [library.with_figures(word) for word in names] for name, library in libraries.items()}
    return [(pair, one) for pair, one in known if all(pair[1].id in ids for ids in holds[pair[0].name])]


def _one_company(known: Sequence[tuple[Pair, _Named]]) -> bool:
    """Return whether documents are of one company: there is one, or each shares a name with the first."""
    return len(known) == 1 or (bool(known) and all(one.names & known[0][1].names for _, one in known))


def _read(pair: Pair, one: _Named, encoder: SentenceEncoder) -> Report | None:
    library, document = pair
    own = about(one.form, one.period)
    entries = list(table.stored(library.figures(document.id))) or table.read(library.pages(document.id), own)
    quarter = 0, 0
    if own is not None and one.form.startswith(_QUARTERLY):
        balances = [entry.period for entry in entries if entry.statement == "balance" and entry.period]
        quarter = periods.fiscal_quarter(own, balances, (page.text for page in library.pages(document.id)))
    return Report(pair, Finder(entries, encoder), own, quarter, one.names) if entries else None


def about(form: str, period: str) -> Period | None:
    """Return the period that a filing is about, by the facts of its form and of the last day of its period."""
    if len(period) != len("2026-12-31"):
        return None
    day = date.fromisoformat(period)
    return Period(*periods.ended(day.year, day.month, day.day), 3 if form.startswith(_QUARTERLY) else _YEAR)
