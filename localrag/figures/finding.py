"""Find the figure that a name calls among those of a document: which row by its labels, which column by its period.

A name is compared with the labels of each row: by the words that they share, weighted by rarity, and by meaning. The
weights were trained on questions about tables of other reports (benchmarks/figures/train.py). A name of a line in
lines.toml is looked for under each of its names. Words of a question that are labels of the document ("Services") must
be among those of the row, its section or its column.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, cached_property, lru_cache
from math import exp, log
from typing import TYPE_CHECKING

from localrag.embeddings.sentence_encoder import SentenceEncoder
from localrag.figures import formulas, table
from localrag.figures.formulas import Line, flat
from localrag.figures.periods import Period
from localrag.figures.table import Entry
from localrag.quantities import MONTHS, YEAR
from localrag.store import text_analysis

if TYPE_CHECKING:
    from localrag.embeddings import Vectors

# Words that tell rows apart, or say that something else is measured.
DISTINGUISHING = frozenset("other before after without adjusted organic comparable underlying core".split())
_EMPTY = (text_analysis.COMMON["english"] - DISTINGUISHING) | frozenset(
    "amount amounts value values number figure figures year years fiscal ended period company respective overall "
    "billion million thousand much many total sum net".split()
)
_IRREGULAR = {"paid": "pay", "sold": "sell", "held": "hold", "bought": "buy", "spent": "spend", "lost": "lose"}
# Of the log odds that a label is the one called: of `Finder.features`. Trained by benchmarks/figures/train.py.
_WEIGHTS, _BIAS = (2.9, 3.58, 2.22, 0.88, 2.24), -8.91
_EXACT, _TITLED, _HARDLY = 0.99, 0.85, 0.3
_YEAR = 12  # months
_PLAIN = frozenset("cost charg expens balanc amount".split())  # stems that a label may lack: "Advertising"
_TELLING = 3  # digits of a figure that two tables do not have by chance
SURE = 0.8  # the probability from which a figure is the one meant
_ROUNDED = Decimal("0.006")  # relative difference of one figure in thousands and in millions
_FALLS = re.compile(r"purchase|payment|repayment|paid|acquisition|addition|expenditure|repurchase|expense|cost", re.I)
_BENEFIT = re.compile(r"(?:income tax )?benefit\b", re.I)
_NAME = re.compile(r"(?<=[\w,’'] )[A-Z][\w&-]*")
_INCOME = re.compile(r"\(income\)", re.I)
_CHANGES = re.compile(r"\bchanges? in\b", re.I)  # above rows called like what the balance sheet has
_RATES = re.compile(r"\b(?:rate|margin|ratio|yield)s?\b", re.I)
_ENDS = {
    "balance": re.compile(r"\btotal (?:current )?(?:assets|liabilities)\b", re.I),
    "income": re.compile(r"\b(?:net|operating|gross) (?:income|earnings|loss|profit|margin|\(loss\))", re.I),
    "cash": re.compile(r"\b(?:operating|investing|financing) activities\b", re.I),
}
_NETTED = re.compile(r"\b(?:net of|less|excluding)\b", re.I)
_ASIDE = re.compile(r"\([^()]{0,200}\)|,? (?:less|net of|including) .{0,120}$|[®™*†‡:]", re.I)


@dataclass(frozen=True, slots=True)
class Match:
    """The entry that a name calls, and how likely it is the one."""

    entry: Entry
    probability: float
    outflow: bool = False

    @property
    def value(self) -> Decimal:
        """The figure as a formula takes it: money that goes out is positive, a "(benefit)" in its row negative."""
        value, row = self.entry.value, self.entry.row
        if self.outflow and _BENEFIT.match(row):
            return -value
        if value < 0 and _INCOME.search(self.entry.cell.section) and "income" in row.lower():
            return -value  # income among expenses
        falls = (self.outflow or _FALLS.search(row)) and "(" not in row
        return abs(value) if falls and value < 0 else value


@lru_cache(50_000)
def terms(text: str) -> frozenset[str]:
    """Return the terms of a text that tell labels apart: without years, months, small numbers and empty words."""
    return frozenset(
        _IRREGULAR.get(token.term, token.term)
        for token in text_analysis.tokens(YEAR.sub(" ", text.replace("/", " ").replace("&", " ")), "english")
        if token.word not in _EMPTY and token.word not in MONTHS and not token.word.isdigit()
    )


@lru_cache(50_000)
def stems(text: str) -> str:
    """Return the stems of a text's words: "Purchases of property" and "purchase of property" are alike."""
    return " ".join(token.term for token in text_analysis.tokens(flat(text), "english"))


@cache
def frame_terms() -> frozenset[str]:
    """Return the terms of what questions for figures say besides names."""
    return terms(formulas.question_words("plain", "frame"))


@cache
def _lines() -> Mapping[str, Line]:
    """Return the lines of statements by the stems of each of their names, the longest first."""
    known = formulas.lines()
    return {stems(name): known[name] for name in sorted(known, key=len, reverse=True)}


@dataclass(frozen=True, slots=True)
class _Label:
    """What a row and column are called: their words and terms, and those of the section above."""

    row: str
    column: str
    section: str
    statement: str
    title: str


class Finder:
    """Finds figures among the entries of one document."""

    def __init__(self, entries: Sequence[Entry], encoder: SentenceEncoder) -> None:
        self.encoder = encoder
        self.entries: dict[_Label, list[Entry]] = defaultdict(list)
        for one in _stated(entries):
            label = _Label(one.row, one.column, one.cell.section, one.statement, one.title)
            self.entries[label].append(one)

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """The terms of all labels of rows, columns and sections."""
        return frozenset().union(*(terms(f"{one.row} {one.column} {one.section}") for one in self.entries))

    @cached_property
    def _labels(self) -> frozenset[frozenset[str]]:
        """The terms of each label of a row, a column or a section."""
        every = (part for one in self.entries for part in (one.row, one.column, one.section))
        return frozenset(terms(_ASIDE.sub(" ", part)) for part in every) - {frozenset()}

    def said(self, text: str) -> frozenset[str]:
        """Return the terms of the labels that a question says whole, and of its names: "Services", "iPhone"."""
        asked = terms(text)
        names = terms(" ".join(_NAME.findall(text))) & self.vocabulary
        return names.union(*(label for label in self._labels if label <= asked))

    @cached_property
    def _weights(self) -> tuple[Mapping[str, float], float]:
        held = Counter(term for one in self.entries for term in terms(f"{one.row} {one.section}"))
        weights = {term: log(1 + len(self.entries) / count) for term, count in held.items()}
        return weights, 0.8 * max(weights.values(), default=1.0)

    def _weigh(self, found: Iterable[str]) -> float:
        weights, unknown = self._weights
        return sum(weights.get(term, unknown) for term in found)

    def find(
        self, name: str, period: Period, also: frozenset[str] = frozenset(), usual: int = 12, exact: bool = False
    ) -> Match | None:
        """Return the figure of a period that a name calls; None where none is near or two differ.

        `also` are terms that its labels must have besides. A figure of a day may stand beside those of a period in a
        formula, unless `exact`; where only a day is named, the period has the `usual` months.
        """
        line, more = self._line(name) if stems(name) not in self._rows else (None, frozenset())
        also |= more
        if not terms(name) - DISTINGUISHING:
            return None  # "Other" is of what stands above it
        if line and exact and line.statement == "balance" and period.months:
            return None  # what stands at the end of a period is no figure of the period
        where = line.statement if line and not also and line.statement in self._statements else ""
        ranked = list(self._ranked(name, line, period, also, usual, exact, where))
        if where and not ranked:
            # What stands elsewhere may be a part's or another company's, so that it has to have the very name.
            outside = self._ranked(name, line, period, also, usual, exact, "")
            ranked = [
                one
                for one in outside
                if one[0] >= _EXACT
                and not one[1].statement
                and _is_whole(one[1], where)
                and self._shared(one[1], where)
            ]
            if len({one.value for _, one in ranked}) > 1:
                return None
        found = _clear(ranked, name, bool(line and line.outflow), period)
        part = found and not line and not found.entry.statement and self._is_part(name, found.entry)
        return None if part else found

    def _is_part(self, name: str, entry: Entry) -> bool:
        """Return whether another row has all words of a name and more, so that a row of a note may be but a part."""
        own = terms(entry.row)
        return own <= terms(name) and any(own < terms(_ASIDE.sub(" ", one.row)) for one in self.entries)

    def _shared(self, one: Entry, statement: str) -> bool:
        """Return whether the table of a figure outside a statement has a figure of that statement.

        A note may have those of another company, in which this one holds shares.
        """
        stated = self._stated[statement]
        return any(
            other.value in stated and len(other.cell.value.as_tuple().digits) >= _TELLING
            for other in self._tables[one.position, one.title]
        )

    @cached_property
    def _stated(self) -> Mapping[str, set[Decimal]]:
        """The values of the figures of each kind of statement."""
        found: dict[str, set[Decimal]] = defaultdict(set)
        for one in (one for own in self.entries.values() for one in own):
            found[one.statement].add(one.value)
        return found

    @cached_property
    def _tables(self) -> Mapping[tuple[int, str], list[Entry]]:
        """The figures of each table, by its page and title."""
        found: dict[tuple[int, str], list[Entry]] = defaultdict(list)
        for one in (one for own in self.entries.values() for one in own):
            found[one.position, one.title].append(one)
        return found

    def _ranked(
        self, name: str, line: Line | None, period: Period, also: frozenset[str], usual: int, exact: bool, where: str
    ) -> Iterator[tuple[float, Entry]]:
        """Yield the figures of a period that a name may call, of a statement or (for "") of all tables."""
        names = (*line.names, *line.labels) if line else (name,)
        measures = {table.measure(line.names[0] if line else name)}
        if _RATES.search(name) and not line:
            measures = {"percent", "money"}
        cash = line is not None and line.statement == "cash"
        for label, own in self.entries.items():
            if (where and label.statement != where) or (_CHANGES.search(label.section) and not cash):
                continue
            fitting = [one for one in own if one.period and _covers(period, one.period, usual, exact)]
            fitting = [one for one in fitting if one.measure in measures]
            probability = self._fits(label, names, name, also) if fitting else 0.0
            if probability < SURE / 2:
                continue
            unsure = exact and period.months is not None and not label.statement
            for one in fitting:
                timeless = unsure and one.period is not None and one.period.months is None
                yield probability * (0.85 if timeless else 1.0), one

    def has(self, name: str) -> bool:
        """Return whether a row has the very words of a name."""
        return any(terms(_ASIDE.sub(" ", one.row)) == terms(name) for one in self.entries)

    def label(self, text: str) -> str:
        """Return the longest label of a row that a text says whole, in small letters without signs; "" without one."""
        words = f" {flat(text)} "
        return max((one for one in self._labelled if f" {one} " in words), key=len, default="")

    def labelled(self, label: str, period: Period, usual: int) -> Match | None:
        """Return the amount of a period in the rows of statements with a label; None where none has, or two differ.

        What the balance sheet has, too, is a change elsewhere: it has an amount of a day alone.
        """
        rows = [one for one in self._labelled.get(label, ()) if terms(one.column) <= terms(label)]
        rows = [one for one in rows if self._is_stated(one) and not _CHANGES.search(one.cell.section)]
        if held := [one for one in rows if one.statement == "balance"]:
            rows = [] if period.months else held
        fitting = [one for one in rows if one.period and _covers(period, one.period, usual, exact=True)]
        return _clear([(_EXACT, one) for one in fitting], label, False, period)

    def _is_stated(self, one: Entry) -> bool:
        """Return whether an entry is an amount of money in a statement."""
        return one.statement in _ENDS and one.measure == "money"

    @cached_property
    def _labelled(self) -> Mapping[str, list[Entry]]:
        """The figures of the rows by their labels, with and without what is said aside, as `label` returns them."""
        found: dict[str, list[Entry]] = defaultdict(list)
        for label, own in self.entries.items():
            for form in {flat(label.row), flat(_ASIDE.sub("", label.row))} if terms(label.row) else ():
                found[form] += own
        return found

    @cached_property
    def _rows(self) -> frozenset[str]:
        """The stems of the rows that no line of the statements has a name for: "Sales and marketing"."""
        found = {re.sub(r"^(?:total|net) ", "", stems(_ASIDE.sub(" ", one.row))) for one in self.entries}
        return frozenset(found - set(_lines()))

    @cached_property
    def _statements(self) -> frozenset[str]:
        """The kinds of statements that the document has."""
        return frozenset(one.statement for one in self.entries)

    @cached_property
    def scaled(self) -> bool:
        """Whether the statements are in thousands or more, so that an amount without a scale is in doubt."""
        return any(one.cell.scale for own in self.entries.values() for one in own if one.statement)

    def names_line(self, name: str) -> bool:
        """Return whether a name is, or has, a line of the statements."""
        return self._line(name)[0] is not None

    def _line(self, name: str) -> tuple[Line | None, frozenset[str]]:
        """Return the line of statements that a name is or has, and the terms besides that labels have."""
        known, words = _lines(), stems(name)
        for own in (words, re.sub(r"^(?:total|net) ", "", words)):
            if own in known:
                return known[own], frozenset()
        inside = next((own for own in known if f" {own} " in f" {words} "), "")
        if not inside:
            return None, frozenset()
        stemmed = frozenset(f" {words} ".replace(f" {inside} ", " ").split())
        split = terms(name) - set(words.split()) - terms(" ".join(known[inside].names))  # "iPad" is "pad", too
        return known[inside], ((terms(name) & stemmed) | split) - frame_terms()

    def _fits(self, label: _Label, names: Sequence[str], name: str, also: frozenset[str]) -> float:
        """Return how likely it is that a label is called by one of some names."""
        row, column, section = terms(label.row), terms(label.column), terms(label.section)
        own = row | column | section
        if names == (name,) and not terms(name) <= own | terms(label.title):
            return 0.0
        if also and (not also & own or not also <= own | terms(label.title)):
            return 0.0
        core = label.row
        if also and row - frame_terms() <= also:  # "Services", under "Net sales:", or in a table of net sales
            core = label.section or label.column
            if not core and any(terms(one) <= terms(label.title) for one in (name, *names)):
                return _TITLED
        elif also and also <= row and stems(label.section) in map(stems, names):  # "Advertising services"
            return _TITLED
        elif not label.row:
            core = label.section
        extra = column - also - terms(name)
        core = " ".join(word for word in core.split() if not also or not terms(word) or not terms(word) <= also)
        best = max(self._similar(one, core, label, also) for one in names)
        return best * (0.5 if extra else 1.0)

    def _similar(self, name: str, core: str, label: _Label, also: frozenset[str]) -> float:
        """Return how likely it is that a name calls what the words of a label say without those asked for besides."""
        if stems(name) in (stems(core), stems(_ASIDE.sub(" ", core))):
            return _EXACT
        netted = (_NETTED.search(one) is not None for one in (name, core))
        if len(terms(name)) > 1 and terms(name) == terms(core) and len(set(netted)) == 1:
            return _TITLED
        around = terms(label.section) | terms(label.column)
        wanted, own = terms(name) - also, terms(core) - also
        features = self.features(wanted, own, around, name, core)
        if features is None or own < wanted - around - _PLAIN:  # "General and administrative" is a part of SG&A
            return 0.0
        return 1 / (1 + exp(-_BIAS - sum(weight * one for weight, one in zip(_WEIGHTS, features, strict=True))))

    def features(
        self, wanted: frozenset[str], own: frozenset[str], around: frozenset[str], name: str, core: str
    ) -> list[float] | None:
        """Return what is known of a name and a label, in the order of the weights; None where they hardly fit.

        The share of the name's words in the label or around it, and of the label's words in the name, both weighted by
        rarity; whether the name has the whole label; whether both are totals, or neither; their cosine by meaning.
        """
        if not wanted or not own:
            return None
        covered = self._weigh(wanted & (own | around)) / self._weigh(wanted)
        precise = self._weigh(own & wanted) / self._weigh(own)
        if covered < _HARDLY and precise < _HARDLY:
            return None
        within = f" {flat(core)} " in f" {flat(name)} "
        totals = ("total" in core.lower()) == ("total" in name.lower())
        near = float(_vector(self.encoder, name) @ _vector(self.encoder, core))
        return [covered, precise, float(within), float(totals), near]


def _stated(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Yield entries; of a table that lacks the lines that each such statement has as those of a note.

    Notes have lines of segments, of other companies, and of parts ("Supplemental balance sheet information").
    """
    rows: dict[tuple[int, str], list[str]] = defaultdict(list)
    for one in entries:
        rows[one.position, one.title].append(one.row)
    whole = {(*table, kind) for table, own in rows.items() for kind, end in _ENDS.items() if any(map(end.search, own))}
    for one in entries:
        lacks = one.statement in _ENDS and (one.position, one.title, one.statement) not in whole
        yield replace(one, statement="") if lacks else one


def _is_whole(one: Entry, statement: str) -> bool:
    """Return whether a figure outside a statement is of the whole company by the section that it stands in."""
    section = one.cell.section
    return not section or not one.row or table.statement_of(section) == statement or terms(section) <= terms(one.row)


def _clear(ranked: Sequence[tuple[float, Entry]], name: str, outflow: bool, period: Period) -> Match | None:
    """Return the best entry, if no other that is as near has another figure, nor a length where none is asked."""

    def rank(one: tuple[float, Entry]) -> tuple[float, bool, bool]:
        own = stems(_ASIDE.sub(" ", one[1].row))
        return -round(one[0], 1), own != stems(name), not own.startswith("total")

    # Of the same figure in several tables, the statement's own comes first, then the first page.
    ranked = sorted(ranked, key=lambda one: (rank(one), not one[1].statement, one[1].position))
    if not ranked or ranked[0][0] < SURE:
        return None
    probability, best = ranked[0]
    for other in ranked[1:]:
        if rank(other) != rank(ranked[0]):
            break
        lengths = {one.period.months for one in (other[1], best) if one.period}
        if period.months is None and len(lengths) > 1 and not lengths & {0, None}:
            return None
        if not _same(other[1].value, best.value) and bool(other[1].statement) == bool(best.statement):
            return None
    return Match(best, probability, outflow)


def _same(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) <= _ROUNDED * max(abs(one), abs(other))


def _covers(period: Period, column: Period, usual: int, exact: bool) -> bool:
    """Return whether a column is of a period; one of a quarterly report that tells too little of itself is of none."""
    if usual != _YEAR and ((period.month and not column.month) or (period.months and column.months is None)):
        return False
    if exact or column.months is None:
        return period.covers(column)
    if column.months == 0:
        return period._replace(months=0).covers(column)
    return (period if period.months else period._replace(months=usual)).covers(column)


@lru_cache(20_000)
def _vector(encoder: SentenceEncoder, text: str) -> Vectors:
    return encoder.question(text)
