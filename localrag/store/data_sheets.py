"""The rows of a sheet as a table: which sheets are data, the types of their columns, and a database in memory.

A page of rows is followed by a page that describes its columns (unit "columns"), which a reader adds. The rows stay in
the text of their page, so that encryption, deletion and backup hold for them as for any text; the database is made
from it when it is asked, and is never written to disk.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from math import isclose
from typing import Any

from localrag.quantities import CURRENCIES, parse_date, plural
from localrag.security.storage import sqlite3
from localrag.types import Page

# Fewer rows fit a few passages. Up to so many characters (a thousand passages) they are searched as passages, too.
MIN_ROWS, MAX_SEARCHED = 200, 200_000
MAX_COLUMNS = 1_000
_TYPED = 0.95  # of the filled cells of a column with a type
_PROSE, _MAX_PROSE = 80, 0.5  # characters of a cell of prose; the share of such columns in a sheet of data
_MAX_AROUND = 4_000  # characters outside the table
_COMMON, _SAMPLES, _SHORT = 8, 3, 40  # values and rows shown of a column; the longest value shown
_SECONDS = 10

_DIGITS = r"(?:\d{1,3}(?:[,.'’ \u00a0\u202f]\d{3}){1,8}|\d{1,18})(?:[.,]\d{1,15})?"
_UNIT = "|".join(sorted(map(re.escape, CURRENCIES), key=len, reverse=True))
_NUMBER = re.compile(
    rf"(?P<open>\()?(?P<sign>[-+−])?\s?(?P<before>{_UNIT})?\s?(?P<sign2>[-−])?(?P<digits>{_DIGITS})"
    rf"\s?(?P<after>%|{_UNIT})?(?P<close>\))?",
    re.I,
)
_PLAIN = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?")
_ISO = re.compile(r"(?:1[89]|20|21)\d\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])(?:[ T]\d\d:\d\d.{0,20})?")
_ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION}


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, its kind, and what of it is no value of that kind.

    `why` says why numbers or dates are not read as such; `unit` is "%" or a currency; `places` are its decimals.
    """

    name: str
    kind: str  # "number", "date" or "text"
    filled: int
    unread: int = 0
    unit: str = ""
    places: int = 0
    why: str = ""


@dataclass(frozen=True)
class Table:
    """The rows of a page: spans of lines, columns, and the cells as values (None where a cell is none of its kind).

    Rows that total others are left out; `totals` says how many.
    """

    page: Page
    columns: tuple[Column, ...]
    starts: tuple[int, ...]  # offsets of the rows in the page
    texts: Sequence[Sequence[str]] = field(repr=False)
    values: Sequence[Sequence[Any]] = field(repr=False)  # by column
    around: str = ""
    totals: int = 0


def names_in(description: str) -> list[str]:
    """Return the names of the columns that a page describes."""
    return re.findall(r"^- (.{1,300}?): (?:number|date|text), ", description, re.M)


def table_of(page: Page) -> Table | None:
    """Return a page as a table where it is one: a header, and many rows whose columns have types; else None."""
    text = page.text
    at = text.find("\n| --- |")
    first = text.rfind("\n", 0, max(at, 0)) + 1
    if at < 0 or not text.startswith("| ", first):
        return None
    begin = text.find("\n", at + 1) + 1
    end = text.find("\n\n", begin) if begin else -1
    end = len(text) if end < 0 else end
    head = _cells(text[first:at])
    around = f"{text[:first].strip()}\n{text[end:].strip()}".strip()
    if not begin or len(around) > _MAX_AROUND or not 1 < len(head) <= MAX_COLUMNS or not _is_header(head):
        return None
    lines = text[begin:end].split("\n")
    if len(lines) < MIN_ROWS or not all(line.startswith("|") for line in lines):
        return None
    texts = [_cells(line) for line in lines]
    if any(len(row) != len(head) for row in texts):
        return None
    starts, offset = [], begin
    for line in lines:
        starts.append(offset)
        offset += len(line) + 1
    names = _names(head)
    read = [_typed(name, cells) for name, cells in zip(names, zip(*texts, strict=True), strict=True)]
    if totals := _totals(read, texts):
        starts = [start for at, start in enumerate(starts) if at not in totals]
        texts = [row for at, row in enumerate(texts) if at not in totals]
        read = [_typed(name, cells) for name, cells in zip(names, zip(*texts, strict=True), strict=True)]
    sizes = [sum(map(len, cells)) for cells in zip(*texts, strict=True)]
    long = sum(size for size, (one, _) in zip(sizes, read, strict=True) if size > _PROSE * max(1, one.filled))
    if all(one.kind == "text" for one, _ in read) or long > _MAX_PROSE * sum(sizes):
        return None
    columns, values = zip(*read, strict=True)
    return Table(page, columns, tuple(starts), texts, values, around, len(totals))


def prose(pages: Sequence[Page]) -> list[Page]:
    """Return pages without the text of rows that are too many for passages; what follows describes them."""
    found = list(pages)
    for number, page in enumerate(found[1:]):
        if page.unit == "columns" and len(found[number].text) > MAX_SEARCHED:
            found[number] = replace(found[number], text="", headings=(), anchors=())
    return found


def described(page: Page, number: int) -> Page | None:
    """Return a page that describes the columns of a page of rows, under a number of its own; None for other pages."""
    table = table_of(page)
    if table is None:
        return None
    lines = [f"{table.around}\n"] * bool(table.around)
    lines += [f"{plural(len(table.starts), 'row')} with {plural(len(table.columns), 'column')}:"]
    lines += [_described(*one) for one in zip(table.columns, table.values, strict=True)]
    lines += ["First rows:", *(", ".join(filter(None, row)) for row in table.texts[:_SAMPLES])]
    return Page("\n".join(lines), number, page.label or str(page.number), unit="columns")


def _described(column: Column, values: Sequence[Any]) -> str:
    there = [value for value in values if value is not None]
    more = [f"{column.unread:,} are no {column.kind}s"] * bool(column.unread) + [column.why] * bool(column.why)
    if column.kind == "text":
        often = Counter(value for value in there if len(value) <= _SHORT).most_common(_COMMON)
        if often and often[0][1] > 1:
            more.append("most often " + ", ".join(f"{value} ({count:,})" for value, count in often if count > 1))
        kind = f"text, {plural(len(set(there)), 'value')}"
    else:
        kind = f"{column.kind}, {shown(column, min(there))} to {shown(column, max(there))}"
    return f"- {column.name}: {kind}, {column.filled:,} filled{''.join(f'; {one}' for one in more)}"


def shown(column: Column, value: Any) -> str:
    """Return a value of a column as a person reads it."""
    if not isinstance(value, int | float) or column.kind != "number":
        return "" if value is None else str(value)
    text = f"{value:,.{column.places}f}"
    return f"{text}{' ' if column.unit else ''}{column.unit}"


def _totals(read: Sequence[tuple[Column, Sequence[Any]]], texts: Sequence[Sequence[str]]) -> set[int]:
    """Return the rows whose numbers are sums of those above, or since the last such row.

    They lack what other rows have, or are the last.
    """
    usual = [at for at, (one, _) in enumerate(read) if one.filled > _TYPED * len(texts)]
    numbers = [values for one, values in read if one.kind == "number"]
    found = set[int]()
    whole, part = [0.0] * len(numbers), [0.0] * len(numbers)
    rows, few = 0, 3  # of so few rows the sum may be chance
    for at, row in enumerate(texts):
        own = [values[at] for values in numbers]
        thin = any(not row[one] for one in usual) or at == len(texts) - 1
        if thin and any(own) and ((at > few and _equal(own, whole)) or (rows > few and _equal(own, part))):
            found.add(at)
            part, rows = [0.0] * len(numbers), 0
            continue
        whole, part = _added(whole, own), _added(part, own)
        rows += 1
    return found


def _equal(values: Sequence[float | None], sums: Sequence[float]) -> bool:
    pairs = zip(values, sums, strict=True)
    return all(one is None or isclose(one, other, rel_tol=1e-6, abs_tol=0.005) for one, other in pairs)


def _added(sums: Sequence[float], values: Sequence[float | None]) -> list[float]:
    return [one + (other or 0.0) for one, other in zip(sums, values, strict=True)]


# --- cells ------------------------------------------------------------------------------------------------------


def _cells(line: str) -> list[str]:
    cells = line[2:-2].split(" | ")
    return [cell.replace("\\|", "|") for cell in cells] if "\\|" in line else cells


def _names(head: Sequence[str]) -> list[str]:
    """Return names that differ from each other: "Amount", "Amount (2)"."""
    found: list[str] = []
    taken: Counter[str] = Counter()
    for name in (one.strip() or f"column {at}" for at, one in enumerate(head, 1)):
        taken[name.casefold()] += 1
        again = taken[name.casefold()]
        found.append(name if again == 1 else f"{name} ({again})")
    return found


def _is_header(head: Sequence[str]) -> bool:
    """Return whether these are names of columns: most are there, and none is a number or a day."""
    names = [text for text in head if text.strip()]
    return 2 * len(names) > len(head) and not any(_NUMBER.fullmatch(one) or _ISO.fullmatch(one) for one in names)


def _typed(name: str, cells: Sequence[str]) -> tuple[Column, list[Any]]:
    """Return a column and its values: numbers as floats, dates in ISO 8601, text; None for what is none of these."""
    filled = len(cells) - cells.count("")
    text = (Column(name, "text", filled), [cell or None for cell in cells])
    if not filled:
        return text
    for read in (_numbers, _dates):
        column, values = read(name, filled, cells)
        if column.why or filled - values_missing(values, cells) >= _TYPED * filled:
            return (replace(text[0], why=column.why), text[1]) if column.why else (column, values)
    return text


def values_missing(values: Sequence[Any], cells: Sequence[str]) -> int:
    """Return how many filled cells have no value."""
    return sum(value is None and cell != "" for value, cell in zip(values, cells, strict=True))


def _numbers(name: str, filled: int, cells: Sequence[str]) -> tuple[Column, list[Any]]:
    known: dict[str, re.Match[str] | None] = {}
    for cell in cells:
        if cell not in known and not _PLAIN.fullmatch(cell):
            known[cell] = _NUMBER.fullmatch(cell)
    odd = {cell: match for cell, match in known.items() if match}
    missing = sum(cell in known and known[cell] is None for cell in cells if cell)
    none = Column(name, "number", filled, missing)
    if filled - missing < _TYPED * filled:
        return none, [None] * len(cells)
    if any(re.match(r"0\d", match["digits"]) for match in odd.values()):
        return none, [None] * len(cells)  # numbers of things
    units = {CURRENCIES.get((m["before"] or m["after"] or "").lower(), m["after"] or "") for m in odd.values()} - {""}
    if len(units) > 1:
        return replace(none, why=f"it mixes {' and '.join(sorted(units))}"), []
    marks, doubtful = _decimal_marks([match["digits"] for match in odd.values()], [c for c in cells if c not in known])
    if len(marks) > 1 or (doubtful and not marks):
        return replace(none, why="its marks for decimals and thousands are unclear"), []
    comma = "," in marks
    read = {cell: _number(match, comma) for cell, match in odd.items()}
    values: list[Any] = [
        read[cell] if cell in read else float(cell) if cell and cell not in known else None for cell in cells
    ]
    places = max((len(cell.partition(".")[2]) for cell in set(cells) if cell not in known), default=0)
    decimal = "," if comma else "."
    for match in odd.values():
        tail = match["digits"].rpartition(decimal)[2] if decimal in match["digits"] else ""
        places = max(places, len(tail))
    return replace(none, unit=next(iter(units), ""), places=min(places, 6)), values


def _decimal_marks(odd: Sequence[str], plain: Sequence[str]) -> tuple[set[str], bool]:
    """Return which marks are surely those of decimals, and whether some may be of decimals or thousands."""
    marks, thousands, doubtful = set[str](), set[str](), set[str]()
    for digits in (*odd, *{cell.lstrip("-") for cell in plain if "." in cell}):
        signs = [sign for sign in digits if sign in ".,"]
        if not signs:
            continue
        last = signs[-1]
        if len(set(signs)) == 2:
            marks.add(last)
        elif len(signs) > 1:
            thousands.add(last)
        elif len(digits.rpartition(last)[2]) != 3 or digits.startswith(("0.", "0,")) or re.match(r"\d{4}", digits):
            marks.add(last)
        else:
            doubtful.add(last)
    marks |= {"." if one == "," else "," for one in thousands}
    if doubtful == {","} and not marks:
        return {"."}, False
    return marks, bool(doubtful)


def _number(match: re.Match[str], comma: bool) -> float:
    digits = match["digits"].replace("." if comma else ",", "").replace(",", ".")
    value = float(re.sub(r"[^\d.]", "", digits))
    negative = match["sign"] in ("-", "−") or match["sign2"] or (match["open"] and match["close"])
    return -value if negative else value


def _dates(name: str, filled: int, cells: Sequence[str]) -> tuple[Column, list[Any]]:
    known: dict[str, Any] = {}
    for cell in cells:
        if cell and cell not in known:
            known[cell] = cell if _ISO.fullmatch(cell) else parse_date(cell)
        if len(known) == MIN_ROWS and sum(map(bool, known.values())) < _TYPED * MIN_ROWS:
            return Column(name, "date", filled, filled), [None] * len(cells)
    mentions = {cell: one for cell, one in known.items() if one and not isinstance(one, str)}
    missing = sum(known.get(cell) is None for cell in cells if cell)
    column = Column(name, "date", filled, missing)
    if filled - missing < _TYPED * filled:
        return column, [None] * len(cells)
    slashed = [dict(one.readings) for one in mentions.values() if "/" in one.text]
    orders = {next(iter(one)) for one in slashed if len(one) == 1 and "" not in one}
    doubtful = any(len(one) > 1 for one in slashed)
    if len(orders) > 1 or (doubtful and not orders):
        return replace(column, why="the order of day and month is unclear"), []
    order = next(iter(orders), "")
    for cell, one in mentions.items():
        days = dict(one.readings)
        known[cell] = (days.get(order) or one.readings[0][1]).isoformat()
    return column, [known.get(cell) for cell in cells]


# --- the database -----------------------------------------------------------------------------------------------


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def database(table: Table) -> sqlite3.Connection:
    """Return a database in memory with the rows of a table as "rows", which can only be read."""
    made = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    made.execute("PRAGMA temp_store = MEMORY")
    types = {"number": "REAL", "date": "TEXT", "text": "TEXT"}
    columns = ", ".join(f"{quoted(one.name)} {types[one.kind]}" for one in table.columns)
    made.execute(f"CREATE TABLE rows ({columns})")
    places = ", ".join("?" * len(table.columns))
    made.execute("BEGIN")
    made.executemany(f"INSERT INTO rows VALUES ({places})", zip(*table.values, strict=True))
    made.execute("COMMIT")
    made.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY)
    return made


def select(
    made: sqlite3.Connection, sql: str, values: Sequence[Any], stop: Callable[[], bool] = lambda: False
) -> list[tuple[Any, ...]]:
    """Return what a statement selects; raises sqlite3.OperationalError where it takes too long or is stopped."""
    until = time.monotonic() + _SECONDS
    made.set_progress_handler(lambda: int(time.monotonic() > until or stop()), 100_000)
    with closing(made.execute(sql, values)) as found:
        return [tuple(row) for row in found]
