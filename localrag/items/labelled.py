"""Take values from where a document names them: "Label: value", tables, “‘Start Date’ means 1 March 2025”.

A label fits an item if it has the words of one of its names, and beside "total" no other; that of a field, which is
asked by its name alone, may have one more ("Due date" for "due"). Only a field takes a yes or no from a label, since
"Assignment: no" may answer the opposite of a question. A defined term is one of its names in quotes or capitals. Where
several fit, the closest name decides, then the value that most tables and pages give; of figures first the table or
page that has most of those asked for. Where that leaves two values, code takes none. Limit: a label in other words than
the item's ("Supplier" for "vendor") is not known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from localrag.grounding import cells, context
from localrag.grounding.cells import Cell, Line
from localrag.grounding.citations import cite_span
from localrag.items import values
from localrag.items.filling import Row
from localrag.items.item import Item, Stated
from localrag.items.values import MEASURED, Type, Value, of_figure, read
from localrag.quantities import SCALES, Quantity, find_dates, lazy_re, load_words, phrases
from localrag.store.text_analysis import FALLBACK, sentences, tokens
from localrag.types import Document, Page, Passage

# A label, and a value behind it or on the next line.
_LABELLED = lazy_re(
    r"(?:^|(?<=  )|(?<=\t))[ #>*-]{0,9}(?P<label>[^\W\d_][^:\n|]{0,50}?)[ *]{0,4}:(?!//)[ *\t]{0,9}"
    r"(?=\n?[ *\t]{0,9}(?P<value>[^\s*](?:[^\n \t]|[ \t](?![ \t])){0,250}))",
    re.M,
)
_ASIDE = re.compile(r"\([^()]{0,80}\)")
_SUM = frozenset({"total"})
_LITTLE = frozenset(load_words("localrag.items", "words.toml")["values"]["little"].split())
_TOTAL, SIGNING = phrases("localrag.items", "labelled", "total", "signing")
(_DATED,) = phrases("localrag.diff", "related_documents", "dated")
# Between a term and its value, and between a value and its term; how far these may reach.
_MEANS = re.compile(r"[”\"'’]?\W{0,4}(?:(?:shall\s+)?(?:means?|is|be|of|as\s+of)\b)?\W{0,3}(?:the\s+)?", re.I)
_CALLED = re.compile(
    r"\W{0,3}(?:\(\W?|\b(?:hereinafter|called|known\s+as|referred\s+to\s+as)\s+){1,2}(?:the\s+)?[“\"'‘]?$", re.I
)
# Before the date of the document itself; before that of another that it names ("your letter dated").
_OWN = re.compile(r"\b(?:this|dies\w{0,3}|présent\w{0,2}|ce(?:tte)?)\b|^\W*(?:\w+\W+){0,2}(?:as\s+of\s+)?$", re.I)
_OTHER = re.compile(r"\b(?:the|an?|your|our|my|its|their|that|any)\s+(?:[\w-]+\s+){1,3}(?:dated|vom|du)\s*$", re.I)
_FIGURE = re.compile(r"\W{0,3}(?:[A-Z]{3}\b)?\W{0,3}\d")
_NEAR, _OPENING = 60, 4000  # characters
# A label that fits exactly, one that says that it is the total, one with another word, and the day of a signature.
_EXACT, _IN_TOTAL, _WIDER, _SIGNED = 3, 2, 1, 0
_QUANTITIES: tuple[Type, ...] = ("duration", "money", "percent")
_FIGURES, _MAX_YES = frozenset({"money", "percent", "number"}), 2


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A value that a name gives an item; `group` is the table or the page that it is in."""

    item: Item
    rank: int
    group: tuple[int, int]
    stated: Stated

    @property
    def says(self) -> tuple[str, str]:
        return self.stated.value.form, self.stated.value.unit


def pieces(library: str, document: Document, numbered: Sequence[tuple[int, Page]]) -> list[Passage]:
    """Return pages, each with its number, as passages that begin at their headings."""
    pages = dict(numbered)
    whole = context.page_passages(library, document, numbered)
    return [piece for page in whole for piece in context.headed(page, pages[page.position].headings)]


def stated(items: Sequence[Item], passages: Sequence[Passage]) -> dict[Item, Stated]:
    """Return the value of each item that a label or a defined term states beyond doubt."""
    groups: dict[tuple[Item, tuple[int, int]], list[_Candidate]] = {}
    for one in (*_of_lines(items, passages), *_of_figures(items, passages), *_of_terms(items, passages)):
        groups.setdefault((one.item, one.group), []).append(one)
    # A table that gives an item two values does not count.
    found = [best for own in groups.values() if (best := _only(own, lambda one: one.rank))]
    sizes = Counter(one.group for one in found)
    agreeing = Counter((one.item, one.says) for one in found)

    def order(one: _Candidate) -> tuple[int, int, int]:
        size = sizes[one.group] if one.item.type in _FIGURES else 0
        return size, one.rank, agreeing[one.item, one.says]

    best_of = {item: _only([one for one in found if one.item == item], order) for item in items}
    return {item: best.stated for item, best in best_of.items() if best is not None}


def _only(found: Sequence[_Candidate], order: Callable[[_Candidate], Any]) -> _Candidate | None:
    """Return the first of the best candidates; None where these have several values."""
    highest = max(map(order, found), default=None)
    best = [one for one in found if order(one) == highest]
    return best[0] if len({one.says for one in best}) == 1 else None


def by_table(items: Sequence[Item], passages: Sequence[Passage]) -> list[Row]:
    """Return the lines of the tables whose columns have most of the fields, without totals."""
    figures = {(cell.passage, cell.start): cell for cell in cells.find(passages)}
    found: list[tuple[int, Row]] = []
    columns: dict[int, Item] = {}
    width = 0
    for at, passage in enumerate(passages):
        for number, (_, lines) in enumerate(cells.tables(passage)):
            head = next((n for n, line in enumerate(lines[:3]) if _columns(items, line)), None)
            if head is not None:
                columns, width = _columns(items, lines[head]), len(lines[head].cells)
            elif number or not columns or len(lines[0].cells) != width:  # else it goes on from the page before
                columns = {}
                continue
            for line in lines[0 if head is None else head + 1 :]:
                if line.start >= 0 and (row := _row(columns, line, passage, at, figures)):
                    found.append((len(columns), row))
    most = max((count for count, _ in found), default=0)
    return [row for count, row in found if count == most]


def _columns(items: Sequence[Item], line: Line) -> dict[int, Item]:
    """Return the fields by column, if a line heads at least two columns and half of the fields; else nothing."""
    columns: dict[int, Item] = {}
    for item in items:
        ranks = {n: _fit(item, text) for n, (_, _, text) in enumerate(line.cells) if n not in columns}
        best = max(ranks.values(), default=0)
        if best and list(ranks.values()).count(best) == 1:
            columns[max(ranks, key=lambda n: ranks[n])] = item
    return columns if len(columns) >= min(2, len(items)) and 2 * len(columns) >= len(items) else {}


def _row(
    columns: Mapping[int, Item], line: Line, passage: Passage, at: int, figures: Mapping[tuple[int, int], Cell]
) -> dict[str, Stated]:
    """Return what a line has of the fields; nothing for a total, or a line that has only one of several."""
    if _TOTAL.match(next((text for _, _, text in line.cells if text), "")):
        return {}
    row: dict[str, Stated] = {}
    filled = 0
    for column, item in columns.items():
        start, _, text = line.cells[column] if column < len(line.cells) else (0, 0, "")
        filled += bool(text)
        cell = figures.get((at, start))
        value = item.read(text)
        if cell is not None and (value is None or value.type != "text"):  # scaled as its table says
            value = _figure(item, cell) or value
        if value is not None:
            row[item.id] = Stated(value, cite_span(passage, line.start, line.end))
    return row if row and 2 * filled >= len(columns) else {}


# --- labels of single values --------------------------------------------------------------------------------


def _of_lines(items: Sequence[Item], passages: Sequence[Passage]) -> Iterator[_Candidate]:
    before = 0
    for at, passage in enumerate(passages):
        for group, label, text, start, end in _pairs(passage):
            for item in items:
                rank = _fit(item, label)
                value = item.read(text) if rank else None
                # "Insurance: No party shall..." is no "no".
                if value is None or (item.type == "yes/no" and not (item.field and len(text.split()) <= _MAX_YES)):
                    continue
                signed = before + start > _OPENING and item.type == "date" and any(map(SIGNING.match, item.names))
                stated = Stated(value, cite_span(passage, start, end))
                yield _Candidate(item, _SIGNED if signed else rank, (at, group), stated)
        before += len(passage.text)


def _pairs(passage: Passage) -> Iterator[tuple[int, str, str, int, int]]:
    """Yield each label of words with its value and the span of both, after a negative number for its table or text."""
    for found in _LABELLED.finditer(passage.text):
        yield -1, found["label"], found["value"].rstrip(" *"), found.start("label"), found.end("value")
    for number, (_, lines) in enumerate(cells.tables(passage)):
        for line in lines:
            filled = [text for _, _, text in line.cells if text]
            if len(filled) == 2 and line.start >= 0 and cells.read(filled[1]) is None:
                yield -2 - number, filled[0].rstrip(":"), filled[1], line.start, line.end


def _of_figures(items: Sequence[Item], passages: Sequence[Passage]) -> Iterator[_Candidate]:
    """Yield the figures whose row, with column and section, names a field; of several years those of the latest."""
    items = [item for item in items if item.type in _FIGURES | {"text"}]
    by_row: dict[tuple[int, int, int], list[Cell]] = {}
    for cell in cells.find(passages) if items else ():
        by_row.setdefault((cell.passage, cell.table, cell.at[0]), []).append(cell)
    for (at, table, _), row in by_row.items():
        for item in items:
            fitting = [(rank, cell) for cell in row if (rank := _fit_cell(item, cell)) and _figure(item, cell)]
            latest = max((max(cell.years, default=0) for _, cell in fitting), default=0)
            for rank, cell in fitting:
                if max(cell.years, default=0) == latest and (value := _figure(item, cell)):
                    stated = Stated(value, cite_span(passages[at], cell.line, cell.stop))
                    yield _Candidate(item, rank, (at, table), stated)


def _of_terms(items: Sequence[Item], passages: Sequence[Passage]) -> Iterator[_Candidate]:
    """Yield the values of terms that a text defines, and the date in its opening for an item that asks for that."""
    terms = {item: _term(item.names) for item in items if item.type in (*MEASURED, "text")}
    signed = [item for item in terms if _asks_for_signing(item)]
    read = 0
    for at, passage in enumerate(passages):
        own = [(item, term) for item, term in terms.items() if term.search(passage.text)]
        for start, end in sentences(passage.text) if own or signed else ():
            text, read = passage.text[start:end], read + end - start
            found = [
                (item, _EXACT, _defined(item.type, text, *one.span())) for item, t in own for one in t.finditer(text)
            ]
            signed = signed if read <= _OPENING else []
            days = (
                one
                for one in find_dates(text)
                if _OWN.search(text[: one.start])
                and not _OTHER.search(text[: one.start])
                and _DATED.search(re.sub(r"\s+", " ", text[max(0, one.start - 30) : one.start]))
            )
            if signed and (day := next((one for one in days if one.certain), None)):
                found += [(item, _WIDER, item.read(day.text)) for item in signed]
                signed = []
            for item, rank, value in found:
                if value is not None:
                    yield _Candidate(item, rank, (at, -1), Stated(value, cite_span(passage, start, end)))


def _asks_for_signing(item: Item) -> bool:
    names = [name for name in item.names if item.type == "date" or "date" in name.lower()]
    return item.type in ("date", "text") and any(map(SIGNING.match, names))


@lru_cache(1000)
def _term(names: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern of names as terms: in quotes, or of several words in capitals."""
    found = []
    for words in (name.split() for name in names):
        any_case = r"\s+".join(f"(?i:{re.escape(word)})" for word in words)
        capital = r"\s+".join(
            f"(?:{re.escape(word[:1].upper() + word[1:])}|{re.escape(word.upper())})" for word in words
        )
        # "Effective Date of Termination" is another term.
        alone = [rf"\b{capital}\b(?!\s+of\s+[A-Z])"] if len(words) > 1 else []
        found += [rf"(?<=[“\"'‘]){any_case}(?=[”\"'’])", *alone]
    return re.compile("|".join(found))


def _defined(type: Type, text: str, start: int, end: int) -> Value | None:
    """Return the value of a term at this place: “Start Date” means 1 March 2025, 60 days (the “Notice Period”)."""
    means, called = _MEANS.match(text, end), _CALLED.search(text[:start])
    first, last = means.end() if means else end, called.start() if called else -1
    for day in find_dates(text) if type in ("date", "text") else ():
        if first == day.start or day.end == last:
            return read(type, day.text)
    after, before = text[first : first + _NEAR], text[max(0, last - _NEAR) : max(0, last)]
    for near, step in ((after if _FIGURE.match(values.in_digits(after)) else "", 1), (before, -1)):
        words = re.split(r"[\s;]+", near.strip(" .,;"))[::step]
        for kind in (type,) if type != "text" else _QUANTITIES:
            whole = read(kind, near) if values.distinct(kind, near) == 1 else None
            for n in range(1, len(words) + 1) if whole else ():
                least = " ".join(words[:n][::step]).strip(" .,;")
                if (one := read(kind, least)) and whole and (one.form, one.unit) == (whole.form, whole.unit):
                    return one if type == kind else read("text", least)
    return None


def _fit_cell(item: Item, cell: Cell) -> int:
    """Return how well a cell fits a field: its row has words of it, its column and section have the others."""
    column = _terms(cell.column) | frozenset(map(str, cell.years))
    row = _terms(cell.row)
    for own in _names(item):
        years = {word for word in own if re.fullmatch(r"(?:19|20)\d\d", word)}
        extra = row - own
        if not row & own or not years <= column or (cell.derived and not own & _terms(cell.column)):
            continue
        # "Cost of revenue" is no revenue, "Total revenue" is.
        if extra <= _SUM and own - row <= (column if extra else column | _terms(cell.section)):
            return _rank(cell.row, extra)
    return 0


def _rank(label: str, extra: frozenset[str]) -> int:
    """Return the rank of a label that fits but for some words; a total alone may be that of any table."""
    if not extra:
        return _WIDER if _TOTAL.match(label) else _EXACT
    return _IN_TOTAL if extra <= _SUM else _WIDER


def _figure(item: Item, cell: Cell) -> Value | None:
    """Return the value of a cell, scaled as its table says; None for an amount in percent, or a share that is not."""
    if (item.type != "money" and item.type != "percent" and item.type != "number") or (cell.unit == "%") != (
        item.type == "percent"
    ):
        return read("text", cell.text) if item.type == "text" else None
    return of_figure(item.type, cell.text, Quantity(cell.value.scaleb(SCALES.get(cell.scale, 0)), cell.unit))


def _fit(item: Item, label: str) -> int:
    words = _terms(label)
    extra = min((words - own for own in _names(item) if own <= words), key=len, default=None)
    fits = extra is not None and (extra <= _SUM or (item.field and len(extra) == 1))
    return _rank(label, extra) if extra is not None and fits else 0


def _names(item: Item) -> list[frozenset[str]]:
    return [own for name in item.names if (own := _terms(name))]


@lru_cache(10_000)
def _terms(label: str) -> frozenset[str]:
    return frozenset(one.term for one in tokens(_ASIDE.sub(" ", label), FALLBACK) if one.word not in _LITTLE)
