"""Write the rows of an answer as a file that other programs open: CSV, Excel, SQLite, Parquet, JSON or Markdown.

A cell that a spreadsheet would take for a formula stays text (OWASP, "CSV Injection"): in CSV by a ' before the sign,
within a cell too, since some programs split it at semicolons. In Excel, numbers, shares, amounts and dates that fill a
whole cell are written as such where they are beyond doubt: "0042", a date with two readings, and what has more digits
than Excel keeps stay text.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrag import policy
from localrag.errors import UsageError
from localrag.quantities import find_dates
from localrag.security import audit, storage
from localrag.security.encryption.keyring import Recipients, decrypted_name
from localrag.types import Answer, source

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

Rows = Sequence[Mapping[str, Any]]
SUFFIXES = (".csv", ".xlsx", ".db", ".parquet", ".json", ".md")
# Offsets of quotes are for programs: JSON has them, a sheet has the place in words.
_FOR_PROGRAMS = ("page", "start", "end")
_FORMULA = re.compile(r"^\s*[=+\-@＝＋－＠\t\r\n]")
_NUMBER = re.compile(r"^[+-]?\d[\d.,]*$")  # may begin with a sign
# The same within a cell, for programs that split CSV at semicolons or tabs and take its quotes for letters.
_INNER_FORMULA = re.compile(
    r"([;\t\r\n])(?=[ \xa0\"]{0,99}[=+\-@＝＋－＠])(?! {0,99}[+-]\d[\d.,]* {0,99}(?:[;\t\r\n]|$))"
)

_DIGITS = r"(?P<sign>[+\-−]?)(?P<whole>0|[1-9]\d{0,14}|[1-9]\d{0,2}(?:,\d{3}){1,4})(?P<part>\.\d{1,9})?"
_ALONE = re.compile(_DIGITS)
_PERCENT = re.compile(rf"{_DIGITS}\s*%")
_CURRENCY = r"(?P<unit>US\$|[$€£¥]|[A-Z]{3})"
_AMOUNTS = (re.compile(rf"{_CURRENCY}\s*{_DIGITS}"), re.compile(rf"{_DIGITS}\s*{_CURRENCY}"))
# Limits of Excel: the first year, the characters of a cell; and widths that still show the next column.
_MIN_YEAR, _MAX_CELL, _MAX_WIDTH, _MIN_WIDTH = 1900, 32_767, 60, 8


def check(path: Path, what: str = "a table", suffixes: Sequence[str] = SUFFIXES) -> None:
    """Refuse a file that this cannot be written to, before a long survey or review is made for it."""
    policy.check_export(what)
    _check_suffix(decrypted_name(path), what, suffixes)
    storage.check_target(path)
    if decrypted_name(path).suffix.lower() == ".parquet":
        _check_parquet()


def _check_suffix(path: Path, what: str = "a table", suffixes: Sequence[str] = SUFFIXES) -> None:
    if path.suffix.lower() not in suffixes:
        hint = f"Give it one of these endings: {', '.join(suffixes)}."
        raise UsageError(f"{what} cannot be written as {path.name!r}", hint)


def save(
    rows: Rows,
    path: Path,
    question: str,
    record_of: Callable[[str], Path | None],
    recipients: Recipients | None = None,
    report: bytes | None = None,
) -> Path:
    """Write the rows, or a `report` of them, to a file, and record the export in the audit record of each library.

    The name of the file that is returned shows whether it is encrypted for recipients.
    """
    if report is None:
        check(path)
    data = written(rows, decrypted_name(path), question) if report is None else report
    encrypted = {}
    if recipients is not None:
        path, data = recipients.path(path), recipients.encrypt(data)
        encrypted = {"encrypted_for": list(recipients.names)}
    # Recorded first: what cannot be recorded is not written.
    for library in sorted({str(row.get("library")) for row in rows}):
        if (record := record_of(library)) is not None:
            place = str(path.absolute())
            audit.record(record, "export", library, question=question, rows=len(rows), written=place, **encrypted)
    storage.write_bytes(path, data)
    return path


def written(rows: Rows, path: Path, title: str = "") -> bytes:
    """Return the rows in the format of the path's suffix; columns in the order of the first row, then any others.

    An Excel file has the title among its properties.
    """
    _check_suffix(path)
    suffix = path.suffix.lower()
    if suffix == ".json":
        text = json.dumps([dict(row) for row in rows], ensure_ascii=False, indent=2, default=str) + "\n"
        return text.encode("utf-8", "replace")
    if suffix == ".db":
        return _database(rows)
    if suffix == ".xlsx":
        return workbook({"answers": rows}, title)
    rows = [_for_people(row) for row in rows]
    if suffix == ".parquet":
        return _parquet(rows)
    names = columns(rows)
    lines = [names, *([cell(row.get(name)) for name in names] for row in rows)]
    if suffix == ".csv":
        stream = io.StringIO(newline="")
        csv.writer(stream).writerows([[_inert(text) for text in line] for line in lines])
        # Without a byte order mark Excel reads CSV in the old code page of its machine.
        return stream.getvalue().encode("utf-8-sig", "replace")
    # Text that Markdown shows as it is, on one line.
    shown = [[re.sub(r"([\\|<>`*_\[\]])", r"\\\1", " ".join(text.split())) for text in line] for line in lines]
    shown.insert(1, ["---"] * len(names))
    return "".join(f"| {' | '.join(line)} |\n" for line in shown if names).encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Formula:
    """A cell that a spreadsheet calculates: its formula, its value now, and how that is shown."""

    text: str
    value: float
    shown: str

    def __str__(self) -> str:
        return self.shown


def workings(answer: Answer) -> list[dict[str, Any]]:
    """Return the figures that an answer was calculated from, a row each with its quote, and the result below them.

    In Excel the result is a formula over the cells of the figures.
    """
    cited = {one.marker: one for one in answer.citations}
    rows: list[dict[str, Any]] = []
    for one in answer.workings:
        if not one.figures or any(figure.marker not in cited for figure in one.figures):
            continue  # its figures were withheld
        first = len(rows) + 2  # below the head of the sheet
        for figure in one.figures:
            at = cited[figure.marker]
            value = figure.text if figure.value is None else figure.value
            about = {"library": at.library, "figure": figure.name or figure.text, "value": value}
            rows.append(about | {"document": at.document, "place": at.place, "quote": at.quote})
        cells = [f"C{first + n}" for n in range(len(one.figures))]
        made = Formula(f"={one.formula.format(*cells)}", one.value, one.result) if one.formula else one.result
        rows.append({"library": cited[one.figures[0].marker].library, "figure": "result", "value": made})
    return rows


def columns(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def cell(value: Any) -> str:
    """Return a value as people read it: yes and no, nothing for None."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _for_people(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of a sheet, with document and place in one cell, as one would cite them."""
    # The row of an extraction has fields of any name.
    kept = {name: value for name, value in row.items() if "sources" in row or name not in _FOR_PROGRAMS}
    for name, at in kept.pop("sources", {}).items():  # the fields of an extraction, each with its quote
        kept |= {f"{name} quote": at["quote"], f"{name} place": at["place"]}
    if "place" in row and "quote" in row:
        kept["source"] = source(str(row.get("document", "")), str(row["place"])) if row["quote"] else ""
    return kept


def _database(rows: Rows) -> bytes:
    """Return an SQLite file: a table "rows", and where each field has its quote a table "sources" with these."""
    import sqlite3

    sources = [
        {"row": number, "field": name, **at}
        for number, row in enumerate(rows, 1)
        for name, at in row.get("sources", {}).items()
    ]
    plain = [{name: value for name, value in row.items() if name != "sources"} for row in rows]
    with closing(sqlite3.connect(":memory:")) as database:
        for table, lines in {"rows": plain, "sources": sources}.items():
            if names := columns(lines):
                heads = [_identifier(name) for name in names]
                types = [_sql_type([line.get(name) for line in lines]) for name in names]
                typed = ", ".join(f"{head} {kind}" for head, kind in zip(heads, types, strict=True))
                database.execute(f'CREATE TABLE "{table}" ({typed})')
                values = [[_sql_value(line.get(name)) for name in names] for line in lines]
                database.executemany(f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(names))})', values)
        database.commit()
        return database.serialize()


def _identifier(name: str) -> str:
    return '"' + _legible(name).replace('"', '""') + '"'


def _sql_type(values: Sequence[Any]) -> str:
    kinds = {type(value) for value in values} - {type(None)}
    if kinds and kinds <= {bool, int}:
        return "INTEGER"
    return "REAL" if kinds and kinds <= {bool, int, float} else "TEXT"


def _sql_value(value: Any) -> str | int | float | None:
    return value if value is None or isinstance(value, int | float) else _legible(cell(value))


def _check_parquet() -> None:
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        raise UsageError(
            "Parquet files need pyarrow, which is not installed", "Install it: pip install 'localrag[parquet]'"
        )


def _parquet(rows: Rows) -> bytes:
    """Return a Parquet file; columns of numbers and of yes and no keep their type, others are text."""
    _check_parquet()
    from pyarrow import Table, parquet

    made: dict[str, list[Any]] = {}
    forms: dict[str, Callable[[Any], Any]] = {"REAL": float, "TEXT": lambda value: _legible(cell(value))}
    for name in columns(rows):
        values = [row.get(name) for row in rows]
        form = forms.get(_sql_type(values), lambda value: value)
        made[name] = [None if value is None else form(value) for value in values]
    stream = io.BytesIO()
    parquet.write_table(Table.from_pydict(made), stream)
    return stream.getvalue()


def _inert(text: str) -> str:
    text = _INNER_FORMULA.sub(r"\1'", text)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.match(text) else text


def workbook(sheets: Mapping[str, Rows], title: str = "") -> bytes:
    """Return an Excel file with these sheets, by name; the title is among its properties."""
    from xlsxwriter.workbook import Workbook

    stream = io.BytesIO()
    # In memory, because its temporary files would hold words of documents.
    with Workbook(stream, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        # No author, and a fixed time: rows alone decide the bytes.
        book.set_properties({"title": _legible(title)[:255], "created": datetime(2000, 1, 1)})

        @cache
        def form(number: str, head: bool = False, formula: bool = False) -> Format:
            looks: dict[str, Any] = {"valign": "top", "text_wrap": not number}
            looks |= {"num_format": number} if number else {}
            looks |= {"bold": True, "bottom": 1} if head else {}
            return book.add_format(looks | ({"quote_prefix": True} if formula else {}))

        for name, rows in sheets.items():
            _fill(book.add_worksheet(name), [_for_people(row) for row in rows], form)
    return stream.getvalue()


def _fill(sheet: Worksheet, rows: Rows, form: Callable[..., Format]) -> None:
    names = columns(rows)
    for at, name in enumerate(names):
        sheet.write_string(0, at, _legible(name), form("", head=True))
        longest = max((len(cell(row.get(name))) for row in rows), default=0)
        sheet.set_column(at, at, min(_MAX_WIDTH, max(_MIN_WIDTH, len(name) + 4, longest + 1)))
    for line, row in enumerate(rows, 1):
        for at, name in enumerate(names):
            value = row.get(name)
            number, shape = valued(value)
            if isinstance(value, Formula):
                share = "0.00%" if value.shown.endswith("%") else "#,##0.00"
                sheet.write_formula(line, at, value.text, form(share), value.value)
            elif isinstance(number, date):
                sheet.write_datetime(line, at, datetime(number.year, number.month, number.day), form(shape))
            elif number is not None:
                sheet.write_number(line, at, number, form(shape))
            elif text := _legible(cell(row.get(name))):
                sheet.write_string(line, at, text, form("", formula=bool(_FORMULA.match(text))))
    sheet.freeze_panes(1, 0)
    if names:
        sheet.autofilter(0, 0, len(rows), len(names) - 1)


def _legible(text: str) -> str:
    """Return text that an Excel file can hold."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _MAX_CELL else text[: _MAX_CELL - 1] + "…"


def valued(value: Any) -> tuple[float | date | None, str]:
    """Return the number or date of a cell, if it is one, and its Excel format."""
    if isinstance(value, bool) or value is None:
        return None, ""
    if isinstance(value, int | float):
        return value, "General"
    text = str(value).strip()
    if found := _ALONE.fullmatch(text):
        return _value(found), _format(found, "#,##0" if "," in found["whole"] else "0")
    if found := _PERCENT.fullmatch(text):
        return _value(found) / 100, _format(found, "0") + "%"
    for pattern in _AMOUNTS:
        if found := pattern.fullmatch(text):
            shape, unit = _format(found, "#,##0"), found["unit"]
            return _value(found), f'"{unit} "{shape}' if found.start("unit") == 0 else f'{shape}" {unit}"'
    written_out = next(find_dates(text), None)
    if written_out and (written_out.start, written_out.end) == (0, len(text)):
        day = written_out.certain
        return (day, "yyyy-mm-dd") if day and day.year > _MIN_YEAR else (None, "")
    return None, ""


def _value(found: re.Match[str]) -> float:
    number = float(found["whole"].replace(",", "") + (found["part"] or ""))
    return -number if found["sign"] in ("-", "−") else number


def _format(found: re.Match[str], whole: str) -> str:
    """Return an Excel format with as many decimals as were written."""
    return whole + ("." + "0" * (len(found["part"]) - 1) if found["part"] else "")
