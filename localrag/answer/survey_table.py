"""The rows of a survey, or of a count, as a table to be read: columns, order, filter, sources (pure).

Rows come one by one while documents are asked; the answer settles them in the end. A column is sorted by the values of
its cells (`values.py`) where most of them have one kind, else as text in which digits count as numbers. Empty cells
come last, whichever way it is sorted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from localrag.types import Answer, Citation

if TYPE_CHECKING:
    from localrag.items.values import Measured

# Columns of words without values, and those that are not for reading.
_WORDS = frozenset({"library", "document", "title", "type", "place", "places", "quote", "why_not"})
_HIDDEN = frozenset({"found", "read", "likelihood", "page", "start", "end"})
_SURVEY_COLUMNS = frozenset({"library", "document", "answer", "place", "quote", "why_not"})
_LAST = ("quote", "place", "why_not")
_TITLES = {"place": "page", "why_not": "why not"}
SHARES = "In brackets: how likely the document says so."
# Longer answers are summaries, which fit no cell of a table.
MAX_CELL = 200
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?=T)")
_PIECES = re.compile(r"\d+|\D+")

Sources = Mapping[tuple[str, str, str], Citation]


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table: as it came, its cells as text, and the citation of its quote.

    The fields of an extraction have a citation each, in `sources` by name.
    """

    row: Mapping[str, Any]
    cells: Mapping[str, str]
    source: Citation | None
    sources: Mapping[str, Citation] = field(default_factory=dict)


class Results:
    """The rows so far, in the order in which they came, or in the answer's own once it is there."""

    def __init__(self, question: str) -> None:
        self.question = question
        self.lines: tuple[Line, ...] | list[Line] = []
        self.complete = False

    def add(self, row: Mapping[str, Any]) -> None:
        assert isinstance(self.lines, list)
        self.lines.append(_line(row, {}))

    def settle(self, answer: Answer, *, unread: bool = True) -> None:
        """Take the rows of the answer, and if `unread` those of documents that were not asked."""
        sources = {(one.document, one.place, one.quote): one for one in answer.citations}
        for one in answer.citations:
            sources.setdefault((one.library, one.document, ""), one)
        lines = [_line(row, sources) for row in answer.table]
        rowed = {(line.row.get("library"), line.row.get("document")) for line in lines}
        for left in answer.not_read if unread and lines else ():
            if left.document and left.page is None and (left.library, left.document) not in rowed:
                row = {"library": left.library, "document": left.document, "found": False, "why_not": left.reason}
                lines.append(_line(row, {}))
        self.lines = tuple(lines)
        self.complete = True

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to show, by name: the document, the answer, then quote, place and why not."""
        names = dict.fromkeys(name for line in self.lines for name in line.cells)
        if len({line.row.get("library") for line in self.lines}) <= 1:
            names.pop("library", None)
        if "answer" in names and set(names) - _SURVEY_COLUMNS and not any(line.sources for line in self.lines):
            del names["answer"]  # it only repeats the fields
        last = [name for name in _LAST if name in names]
        return (*(name for name in names if name not in _LAST), *last)


def has_table(answer: Answer) -> bool:
    """Return whether a table shows the answer better than lines: a survey's rows, unless they are summaries."""
    return (
        answer.plan.kind == "survey"
        and any(answer.table)
        and all(len(str(row.get("answer", ""))) <= MAX_CELL for row in answer.table)
    )


def without_rows(text: str) -> str:
    """Return the answer without the lines that the table shows."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("- "))


def title(column: str) -> str:
    return _TITLES.get(column, column.replace("_", " "))


def matching(lines: Sequence[Line], words: str) -> list[Line]:
    """Return the lines that hold each of the words, in any cell."""
    sought = words.casefold().split()
    return [
        line for line in lines if all(any(word in cell.casefold() for cell in line.cells.values()) for word in sought)
    ]


def ordered(lines: Sequence[Line], column: str, *, descending: bool = False) -> list[Line]:
    """Return the lines by a column: those whose values compare, then the others as text, empty ones last."""
    filled = [line for line in lines if _has_cell(line, column)]
    values = {id(line): value for line in filled if column not in _WORDS and (value := _value(line.cells[column]))}
    # The kind of value of most cells.
    kind, count = next(iter(Counter(value.kind for value in values.values()).most_common(1)), (None, 0))
    if count * 2 <= len(filled):
        kind = None
    comparable = [line for line in filled if id(line) in values and values[id(line)].kind == kind]
    compared = {id(line) for line in comparable}
    others = [line for line in filled if id(line) not in compared]

    def natural(line: Line) -> list[tuple[int, int, str]]:
        pieces = _PIECES.findall(line.cells[column].casefold())
        return [(0, int(piece[:18]), "") if piece[0] in "0123456789" else (1, 0, piece) for piece in pieces]

    return [
        *sorted(comparable, key=lambda line: values[id(line)].value, reverse=descending),
        *sorted(others, key=natural, reverse=descending),
        *(line for line in lines if not _has_cell(line, column)),
    ]


def _has_cell(line: Line, column: str) -> bool:
    return bool(line.cells.get(column)) and not (column == "answer" and line.row.get("found") is False)


@lru_cache(20_000)
def _value(cell: str) -> Measured | None:
    from localrag.items.values import measure  # takes a while, and no first screen needs it

    found = _ISO.match(cell)
    return measure(found[0] if found else cell)


def _line(row: Mapping[str, Any], sources: Sources) -> Line:
    if "sources" in row:  # of an extraction, whose fields have any name
        own = {name: at for name, one in row["sources"].items() if (at := _source({**row, **one}, sources))}
        cells = {name: _text(value) for name, value in row.items() if name not in ("sources", "document_title")}
        cells["document"] = row.get("document_title") or cells["document"]
        return Line(row, cells, next(iter(own.values()), None), own)
    cells = {name: _text(value) for name, value in row.items() if name not in _HIDDEN}
    if name := cells.pop("document_title", ""):
        cells["document"] = name
    if "likelihood" in row or row.get("found") is False:
        cells["answer"] = answered(row)
    return Line(row, cells, _source(row, sources))


def answered(row: Mapping[str, Any], shares: bool = True) -> str:
    """Return the answer of a row in words; with `shares`, how likely its document says so: "yes (61 %)"."""
    answer, likely = _text(row.get("answer")), row.get("likelihood")
    if row.get("found") is False and not answer:
        answer = "unclear" if str(row.get("why_not", "")).startswith("unsure") else "nothing found"
    # A value, and a "no" that the text says, are in the quote.
    if shares and isinstance(likely, float) and answer in ("yes", "unclear", "nothing found"):
        return f"{answer} ({100 * likely:.0f} %)"
    return answer


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else " ".join(str(value).split())


def _source(row: Mapping[str, Any], sources: Sources) -> Citation | None:
    """Return the citation of a row's quote; without a quote the first citation of its document."""
    library, document = str(row.get("library")), str(row.get("document"))
    quote, place = str(row.get("quote") or ""), str(row.get("place") or "")
    if found := sources.get((document, place, quote)):
        return found
    start, end, page = row.get("start"), row.get("end"), row.get("page")
    if quote and isinstance(start, int) and isinstance(end, int):
        return Citation(library, document, page if isinstance(page, int) else None, None, place, quote, start, end, 0)
    return None if quote else sources.get((library, document, ""))
