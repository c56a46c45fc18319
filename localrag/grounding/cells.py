"""Find the figures in the tables of passages, with the labels of their rows and columns.

A table is a run of lines that begin with "|". Its header is what is above the first row of figures, or between two
groups of them; a row whose only cell is its label names a section. Limit: a table without marks is not seen.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property

from localrag.quantities import CURRENCIES, CURRENCY_CODE, CURRENCY_SIGN, SCALES, lazy_re, parse_number, years
from localrag.types import Passage

_MONEY = CURRENCY_SIGN
_MINUS = r"\-−–‐‑"
FIGURE = lazy_re(
    rf"""^(?P<sign>[{_MINUS}]\s?)? (?P<money>{_MONEY})? \s*+ (?P<open>[({_MINUS}]\s?)? (?P<money2>{_MONEY})? \s*+
    (?P<digits>\d[\d,.'’\u00a0\u202f]*\d|\d|\.\d+) \s*+ (?P<percent>%|per\ ?cent|pts?\b)? \s*+
    (?P<scale>(?:million|billion|thousand|bn|mn|m|k)\b)? \s*+ (?P<after>{_MONEY}|EUR|USD|GBP|CHF)?
    \s*+ (?P<close>\))? \s*+ (?P<percent2>%)? (?:\s?(?:\(\w{{1,2}}\)|[*†‡]+))?$""",
    re.X | re.I,
)
_NIL = re.compile(rf"^(?:{_MONEY})?\s*[-−–—]\s*(?:[-−–—]\s*)?%?$")
# "2019", "2019 (1)", and "2019 $" beside "2019 %".
_YEAR_ALONE = re.compile(rf"^(?:19|20)\d\d(?:\s?(?:\(\w{{1,2}}\)|[*†‡]+|{_MONEY}|%))?$")
# A column calculated from others.
_DERIVED = re.compile(
    r"%|\b(?:change|variance|increase|decrease|difference|growth|vs|versus|veränderung|abweichung|variation|variación)\b",
    re.I,
)
# The label of a row of figures without one: accounts put the sum of the rows above there.
UNNAMED = "total"
_MAX_CAPTION = 200
_LONG_LABEL = 50  # longer: a column of running text beside a table on its page
_SCALED = tuple(
    (name, lazy_re(pattern, re.I))
    for name, pattern in (
        (
            "thousand",
            rf"\b(?:thousands|{CURRENCY_CODE} thousand|in thousand|tausend|TEUR|milliers|miles)\b"
            rf"|{_MONEY}?\s?[’'‘`]000s?\b|{_MONEY}000|[$€£]k\b",
        ),
        ("million", rf"\b(?:millions?|mio\.?|millionen|millones)\b|{_MONEY}\s?(?:m|mn|mm)\b|\b(?:EUR|USD|GBP) ?m\b"),
        ("billion", rf"\b(?:billions?|mrd\.?|milliarden|milliards)\b|{_MONEY}\s?bn\b"),
    )
)
_UNIT_ALONE = re.compile(rf"^(?:{_MONEY}|EUR|USD|GBP|CHF)?\s?(?:m|mn|mm|bn|k|[’'‘`]?000s?|%)?$", re.I)
_CURRENCY = re.compile(rf"{_MONEY}|\b{CURRENCY_CODE}\b")
_EXCEPT = re.compile(r"\bexcept\b", re.I)
# Counted one by one, even in a table of thousands.
_SINGLE = re.compile(r"\bper (?:\w+ )?(?:share|unit|day|employee|ton)\b|\bje aktie\b|\bpar action\b", re.I)
_DECIMAL_COMMA = re.compile(r"\d\.\d{3},\d|(?<![\d.])\d{1,3},\d{1,2}(?![\d,])")
_DECIMAL_POINT = re.compile(r"\d,\d{3}(?:\.\d|\b)|(?<![\d,])\d{1,3}\.\d{1,2}(?![\d.])")


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure of a table. `start` and `end` are its offsets in the passage, `line` and `stop` those of its row.

    `unit` is "%", a currency or empty, `scale` "thousand", "million", "billion" or empty. `years` are those of its
    column if `across`, else of its row; `derived` marks a column that compares others; `caption` is the line above,
    `corner` what the header has above the labels of rows.
    """

    passage: int
    table: int
    at: tuple[int, int]
    start: int
    end: int
    line: int
    stop: int
    text: str
    value: Decimal
    unit: str
    scale: str
    row: str
    column: str
    section: str
    years: frozenset[int]
    across: bool
    derived: bool
    caption: str = ""
    corner: str = ""

    @property
    def name(self) -> str:
        """The name of the cell: "Total assets, 2019"."""
        return ", ".join(dict.fromkeys(part for part in (plain(self.row), plain(self.column)) if part))


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a table and its cells, with offsets; a header from before the passage has negative ones."""

    start: int
    end: int
    cells: tuple[tuple[int, int, str], ...]


def plain(label: str) -> str:
    """Return a label without footnote marks."""
    return " ".join(re.sub(r"(?:\s?\(\w{1,2}\)|[*†‡]){1,20}$", "", label).split())


def find(passages: Sequence[Passage]) -> list[Cell]:
    """Return the figures in the tables of all passages, in order."""
    cells: list[Cell] = []
    numbers = itertools.count()
    for at, passage in enumerate(passages):
        commas = len(_DECIMAL_COMMA.findall(passage.text)) > len(_DECIMAL_POINT.findall(passage.text))
        around = _scale(passage.text) if len(passage.text) < 12_000 else ""
        for caption, lines in tables(passage):
            cells += _Table(at, next(numbers), lines, commas, around, caption[-_MAX_CAPTION:]).cells()
    return cells


def _scale(text: str) -> str:
    """Return the scale of amounts that a text names in brackets, if it names only one."""
    asides = [part for part in re.findall(r"\(([^()]{3,60})\)", text) if re.match(r"(?:\S+ ){0,4}in |[$€£]", part)]
    found = {name for part in asides for name, pattern in _SCALED if pattern.search(part)}
    return found.pop() if len(found) == 1 else ""


def tables(passage: Passage) -> Iterator[tuple[str, list[Line]]]:
    """Yield each table, without rules between its lines, with the line above it."""
    lines: list[Line] = []
    before = [read_line(-1, text) for text in passage.header.split("\n") if text.startswith("|")]
    start, caption, last = 0, "", ""
    for text in passage.text.split("\n"):
        if text.startswith("|"):
            caption = last if not lines else caption
            if not re.fullmatch(r"[|\s:-]*", text):
                lines.append(read_line(start, text))
        elif text.strip() and lines:
            yield caption, [*before, *lines]
            before, lines = [], []
        last = (text if not text.startswith("|") else "") if text.strip() else last
        start += len(text) + 1
    if lines:
        yield caption, [*before, *lines]


def read_line(start: int, text: str) -> Line:
    """Return the cells of a line of a table that begins at an offset."""
    cells: list[tuple[int, int, str]] = []
    at = 1
    body = text.rstrip()
    body = body[:-1] if body.endswith("|") and len(body) > 1 else body
    for part in body[1:].split("|"):
        words = part.strip()
        first = at + part.find(words) if words else at
        cells.append((start + first, start + first + len(words), words))
        at += len(part) + 1
    return Line(start, start + len(text.rstrip()), tuple(cells))


@dataclass(frozen=True)
class _Table:
    """A table while its cells are read; `around` is the scale that the text around it names."""

    passage: int
    number: int
    lines: Sequence[Line]
    decimal_comma: bool
    around: str
    caption: str

    @cached_property
    def width(self) -> int:
        return max(len(line.cells) for line in self.lines)

    def cells(self) -> Iterator[Cell]:
        header: list[Line] = []
        section, fresh = "", True
        columns: list[str] = []
        for row, line in enumerate(self.lines):
            words = [cell[2] for cell in line.cells]
            if self._heads(row, words):
                if not fresh:
                    header, fresh = [], True
                header.append(line)
                if len(header) > 1 and words[0] and all(_UNIT_ALONE.match(word) for word in words[1:] if word):
                    section = words[0]
            elif not any(words[1:]):
                if fresh and not columns:
                    header.append(line)
                section = words[0] or section
            else:
                if fresh:
                    columns, fresh = self._columns(header), False
                yield from self._of(row, line, columns, header, section)

    def _heads(self, row: int, words: Sequence[str]) -> bool:
        """Whether a line heads columns: after its label it has words or years, and not just one number."""
        rest = [word for word in words[1:] if word]
        if any(not _YEAR_ALONE.match(word) and (FIGURE.match(word) or _NIL.match(word)) for word in rest):
            return False
        if any(not _words_only(word) or not words[0] or _YEAR_ALONE.match(word) for word in rest):
            return True
        below = self.lines[row + 1 : row + 4] if rest else ()
        return any(FIGURE.match(cell[2]) for line in below for cell in line.cells[1:])

    def _columns(self, header: Sequence[Line]) -> list[str]:
        """Return the label of each column: its words in every header line, from the top."""
        labels: list[list[str]] = [[] for _ in range(self.width)]
        for line in header:
            words = [cell[2] for cell in line.cells[1:]] + [""] * (self.width - len(line.cells))
            label = next(filter(None, words), "")
            for at, word in enumerate(words, 1):
                label = word or label  # words stand over all the columns that they span
                if label and label not in labels[at]:
                    labels[at].append(label)
        return [" ".join(parts) for parts in labels]

    def _of(self, row: int, line: Line, columns: Sequence[str], header: Sequence[Line], section: str) -> Iterator[Cell]:
        label = _label(line, self.decimal_comma)
        head = " ".join(cell[2] for one in header for cell in one.cells)
        above = _unit_of(self.caption) if not _unit_of(head)[0] else ("", "")
        scale, money = _unit_of(head, above[0] or self.around)
        money = money or above[1]
        corner = " ".join(one.cells[0][2] for one in header)
        caption = years(section) or years(corner)
        if any(years(column) for column in columns if not _DERIVED.search(column)):
            caption = frozenset()
        for at, (start, end, text) in enumerate(line.cells):
            if (at == 0 and self.width > 1) or start < 0 or _YEAR_ALONE.match(text):
                continue
            if (value := read(text, self.decimal_comma)) is None:
                continue
            amount, unit = value
            column = columns[at] if at < len(columns) else ""
            derived = bool(_DERIVED.search(column)) and len(years(column)) != 1
            own = frozenset() if derived else years(column)
            own_scale, own_money = _unit_of(column)
            unit = unit or ("%" if re.search(r"%|\bpercent", column) and derived else own_money or money)
            single = unit == "%" or _SINGLE.search(f"{label} {column}")
            yield Cell(
                self.passage,
                self.number,
                (row, at),
                start,
                end,
                line.start,
                line.end,
                text,
                amount,
                unit,
                "" if single else own_scale or scale,
                label,
                column,
                section,
                own or years(label) or caption,
                bool(own),
                derived,
                self.caption,
                corner,
            )


def _label(line: Line, decimal_comma: bool) -> str:
    """Return a row's words before its first figure; of two cells of words the second, if the first is long."""
    words: list[str] = []
    for at, (_, _, text) in enumerate(line.cells):
        if at and (_YEAR_ALONE.match(text) or read(text, decimal_comma) is not None):
            break
        words += [text] if text and (not at or _words_only(text)) else []
    if len(words) > 1 and len(words[0]) > _LONG_LABEL:
        words = words[1:]
    return " ".join(words) or UNNAMED


def _words_only(word: str) -> bool:
    return not any(c.isdigit() for c in word)


def _unit_of(head: str, around: str = "") -> tuple[str, str]:
    """Return the scale and currency in the words of a header; no scale if they name two."""
    found = [name for name, pattern in _SCALED if pattern.search(head)]
    if len(found) > 1:  # "in millions, except shares in thousands"
        found = [name for name, pattern in _SCALED if pattern.search(_EXCEPT.split(head)[0])]
    scale = found[0] if len(found) == 1 else "" if found else around
    money = {CURRENCIES.get(m[0].lower(), m[0]) for m in _CURRENCY.finditer(head)}
    return scale, money.pop() if len(money) == 1 else ""


def read(text: str, decimal_comma: bool = False) -> tuple[Decimal, str] | None:
    """Return the value and unit of a cell, or None; a dash is 0, a number in brackets negative."""
    if _NIL.match(text):
        return Decimal(0), ""
    match = FIGURE.match(text)
    if match is None:
        return None
    money = match["money"] or match["money2"] or match["after"] or ""
    try:
        value = parse_number(match["digits"], money=bool(money), decimal_comma=decimal_comma)
    except InvalidOperation:
        return None
    shown = (match["open"] or "").strip()
    if match["sign"] or (shown == "(" and match["close"]) or (shown and shown != "("):
        value = -value
    percent = match["percent"] or match["percent2"]
    if match["scale"]:
        value = value.scaleb(SCALES[match["scale"].lower()])
    return value, "%" if percent else CURRENCIES.get(money.lower(), money.upper())
