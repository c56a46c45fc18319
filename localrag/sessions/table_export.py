"""Write the rows of an answer as a file that other programs open: CSV, Excel, SQLite, Parquet, JSON or Markdown.

A cell that a spreadsheet would take for a formula stays text (OWASP, "CSV Injection"): in CSV by a ' before the sign,
within a cell too, since some programs split it at semicolons. In Excel, numbers, shares, amounts and dates that fill a
whole cell are written as such where they are beyond doubt: "0042", a date with two readings, and what has more digits
than Excel keeps stay text. Excel and Markdown are for readers: a page has its own column, which links to the original,
and columns for programs are left out; the other formats have all columns.
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
from localrag.answer import survey_table
from localrag.errors import UsageError
from localrag.quantities import find_dates
from localrag.security import audit, storage
from localrag.security.encryption.keyring import Recipients, decrypted_name
from localrag.security.terminal import UNSAFE
from localrag.sessions.links import Link, Originals, links, no_link, unlinked
from localrag.types import Answer, source

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

Rows = Sequence[Mapping[str, Any]]
SUFFIXES = (".csv", ".xlsx", ".db", ".parquet", ".json", ".md")
# Offsets of quotes are for programs: JSON has them, a sheet has the place in words.
_FOR_PROGRAMS = ("page", "start", "end")
# Of findings: what readers find in other columns, what is left out where no row has it, and other heads.
_HIDDEN = frozenset("start end found read as_expected item computed".split())
_OPTIONAL = frozenset(
    "page place why_not document_title title who problem before remark note fallback likelihood counted_from "
    "counted_from_place amended_by amended_by_place amended_by_quote".split()
)
_HEADS = {"likelihood": "likely there", "confidence": "likely there", "problem": "differs", "fallback": "to propose"}
_HEADS |= {"document_title": "title", "remark": "about the document"}
_PAGE = re.compile(r"p\. (\d{1,9})(?: \((.*)\))?")
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
# Limits of Excel: the first year, the characters of a cell, the links of a sheet.
_MIN_YEAR, _MAX_CELL, _MAX_LINKS = 1900, 32_767, 65_000
# Characters: the widest and the narrowest column, the longest word that stays whole, and a sheet that prints legibly.
_MAX_WIDTH, _MIN_WIDTH, _MAX_WORD, _SHEET = 60, 6, 24, 190
_A4, _MARGIN = 9, 0.5  # inches


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
    originals: Originals | None = None,
) -> Path:
    """Write the rows, or a `report` of them, to a file, and record the export in the audit record of each library.

    Pages link to the `originals`. The name of the file that is returned shows whether it is encrypted for recipients.
    """
    if report is None:
        check(path)
        report = written(rows, decrypted_name(path), question, links(path, originals))
    data = report
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


def written(rows: Rows, path: Path, title: str = "", link: Link = no_link) -> bytes:
    """Return the rows in the format of the path's suffix; columns in the order of the first row, then any others.

    An Excel file has the title in its footer and among its properties.
    """
    _check_suffix(path)
    suffix = path.suffix.lower()
    if suffix == ".json":
        text = json.dumps([dict(row) for row in rows], ensure_ascii=False, indent=2, default=str) + "\n"
        return text.encode("utf-8", "replace")
    if suffix == ".db":
        return _database(rows)
    if suffix == ".xlsx":
        return workbook({"answers": rows}, title, link)
    rows = for_readers(rows, link) if suffix == ".md" else [_with_source(row) for row in rows]
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
    escaped = re.compile(r"([\\|<>`*_\[\]])")
    shown = [[unlinked(escaped.sub(r"\\\1", " ".join(_safe(text).split()))) for text in line] for line in lines]
    shown.insert(1, ["---"] * len(names))
    return "".join(f"| {' | '.join(line)} |\n" for line in shown if names).encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Formula:
    """A cell that a spreadsheet calculates over those above it.

    `text` has the numbers of the cells in braces, of which the first is in line `first`; `shown` is its value in words.
    """

    text: str
    first: int
    value: float
    shown: str

    def __str__(self) -> str:
        return self.shown


@dataclass(frozen=True, slots=True)
class Linked:
    """A cell that opens an original."""

    value: int | str
    address: str

    def __str__(self) -> str:
        return str(self.value)


class Share(float):
    """A cell with a likelihood."""

    def __str__(self) -> str:
        return f"{self:.0%}"


def workings(answer: Answer) -> list[dict[str, Any]]:
    """Return the figures that an answer was calculated from, a row each with its quote, and the result below them.

    In Excel the result is a formula over the cells of the figures.
    """
    cited = {one.marker: one for one in answer.citations}
    rows: list[dict[str, Any]] = []
    for one in answer.workings:
        if not one.figures or any(figure.marker not in cited for figure in one.figures):
            continue  # its figures were withheld
        first = len(rows) + 1  # below the head of the sheet
        for figure in one.figures:
            at = cited[figure.marker]
            value = figure.text if figure.value is None else figure.value
            about = {"library": at.library, "figure": figure.name or figure.text, "value": value}
            rows.append(about | {"document": at.document, "place": at.place, "quote": at.quote})
        made = Formula(one.formula, first, one.value, one.result) if one.formula else one.result
        rows.append({"library": cited[one.figures[0].marker].library, "figure": "result", "value": made})
    return rows


def columns(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def cell(value: Any) -> str:
    """Return a value as people read it: yes and no, nothing for None."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _with_source(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with document and place in one cell, as one would cite them."""
    # The row of an extraction has fields of any name.
    kept = {name: value for name, value in row.items() if "sources" in row or name not in _FOR_PROGRAMS}
    for name, at in kept.pop("sources", {}).items():  # the fields of an extraction, each with its quote
        kept |= {f"{name} quote": at["quote"], f"{name} place": at["place"]}
    if "place" in row and "quote" in row:
        kept["source"] = source(str(row.get("document", "")), str(row["place"])) if row["quote"] else ""
    return kept


def for_readers(rows: Rows, link: Link, *, shares: bool = True) -> list[dict[str, Any]]:
    """Return the rows under heads for readers; without `shares`, likelihoods are in a column of their own."""
    hidden = {"library"} if len({row.get("library") for row in rows}) <= 1 else set()
    if any("sources" in row for row in rows):
        fields = [name for name in columns(rows) if any(name in row.get("sources", {}) for row in rows)]
        made = [_extracted(row, fields, link) for row in rows]
        return [{name: value for name, value in row.items() if name not in hidden} for row in made]
    made = [_read(row, link, shares) if {"place", "quote"} <= row.keys() else dict(row) for row in rows]
    used = {name for row in made for name, value in row.items() if name not in _OPTIONAL or value not in ("", None)}
    return [{_head(name): value for name, value in row.items() if name in used - hidden} for row in made]


def _head(name: str) -> str:
    head = _HEADS.get(name, name.replace("_", " "))
    return head[:1].upper() + head[1:]


def _read(row: Mapping[str, Any], link: Link, shares: bool) -> dict[str, Any]:
    """Return a row with its page in a column of its own, and likelihoods as shares or in the answer."""
    made: dict[str, Any] = {}
    likely = row.get("likelihood", row.get("confidence"))
    for name in [name for name in row if name not in _HIDDEN and name not in ("page", "document_title")]:
        value = row[name]
        if name == "place":
            made |= _placed(row, str(value), link)
        elif name in ("likelihood", "confidence") and likely is not None:
            made |= {} if shares and "answer" in row else {name: Share(likely)}
        elif name == "answer":
            made[name] = survey_table.answered(row, shares)
        elif name == "why_not" and likely is not None and not value.startswith("unsure"):
            made[name] = ""  # the likelihood says so
        else:
            made[name] = " ".join(str(value).split()) if name == "quote" else value
        if name == "document":
            made["document_title"] = row.get("document_title", "")
    return made


def _placed(row: Mapping[str, Any], place: str, link: Link) -> dict[str, Any]:
    """Return the page of a place, and what the place says beside it; the first of them that is there is linked."""
    found = _PAGE.fullmatch(place)
    page, rest = (int(found[1]), found[2] or "") if found else (None, place)
    address = link(str(row.get("library")), str(row.get("document")), page) if place else ""
    if not address:
        return {"page": page, "place": rest}
    return {"page": page and Linked(page, address), "place": rest if page else Linked(rest, address)}


def _extracted(row: Mapping[str, Any], fields: Sequence[str], link: Link) -> dict[str, Any]:
    """Return the row of an extraction: its columns, then the page and the quote of each field."""
    made = {name: value for name, value in row.items() if name != "sources"}
    for name in fields:
        at = row.get("sources", {}).get(name, {"place": "", "quote": ""})
        placed = _placed(row, at["place"], link)
        made |= {f"{name} page": placed["page"] or placed["place"], f"{name} quote": " ".join(at["quote"].split())}
    return made


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


def workbook(sheets: Mapping[str, Rows], title: str = "", link: Link = no_link) -> bytes:
    """Return an Excel file with these sheets, by name; the title is in the footer and among its properties."""
    from xlsxwriter.workbook import Workbook

    stream = io.BytesIO()
    # In memory, because its temporary files would hold words of documents.
    with Workbook(stream, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        # No author, and a fixed time: rows alone decide the bytes.
        book.set_properties({"title": _legible(_safe(title))[:255], "created": datetime(2000, 1, 1)})

        @cache
        def form(number: str, head: bool = False, formula: bool = False, linked: bool = False) -> Format:
            looks: dict[str, Any] = {"valign": "top", "text_wrap": not number}
            looks |= {"num_format": number, "align": "right", "indent": 1} if number else {}
            looks |= {"bold": True, "bottom": 1, "bg_color": "#E8ECF1"} if head else {}
            looks |= {"font_color": "#0563C1", "underline": 1} if linked else {}
            return book.add_format(looks | ({"quote_prefix": True} if formula else {}))

        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            _fill(sheet, for_readers(rows, link, shares=False), form)
            _set_print(sheet, title)
    return stream.getvalue()


def _fill(sheet: Worksheet, rows: Rows, form: Callable[..., Format]) -> None:
    names = columns(rows)
    shown = [[name, *(cell(row.get(name)) for row in rows)] for name in names]
    for at, (name, width) in enumerate(zip(names, widths(shown, _SHEET), strict=True)):
        sheet.write_string(0, at, _legible(_safe(name)), form("", head=True))
        sheet.set_column(at, at, width)
    for line, row in enumerate(rows, 1):
        for at, name in enumerate(names):
            _write(sheet, line, at, row.get(name), form)
    sheet.freeze_panes(1, 0)
    if names:
        sheet.autofilter(0, 0, len(rows), len(names) - 1)


def _write(sheet: Worksheet, line: int, at: int, value: Any, form: Callable[..., Format]) -> None:
    from xlsxwriter.utility import xl_rowcol_to_cell

    if linked := isinstance(value, Linked):
        if line <= _MAX_LINKS:
            sheet.write_url(line, at, f"external:{value.address}", string="original")  # which its value replaces
        value = value.value
    number, shape = valued(value)
    if isinstance(value, Formula):
        share = "0.00%" if value.shown.endswith("%") else "#,##0.00"
        cells = [xl_rowcol_to_cell(above, at) for above in range(value.first, line)]
        sheet.write_formula(line, at, f"={value.text.format(*cells)}", form(share), value.value)
    elif isinstance(number, date):
        day = datetime(number.year, number.month, number.day)
        sheet.write_datetime(line, at, day, form(shape, linked=linked))
    elif number is not None:
        sheet.write_number(line, at, number, form(shape, linked=linked))
    elif text := _legible(_safe(cell(value))):
        sheet.write_string(line, at, text, form("", formula=bool(_FORMULA.match(text)), linked=linked))


def _set_print(sheet: Worksheet, title: str) -> None:
    """Print a sheet across, as wide as a page, with its head, the title and page numbers on each."""
    sheet.set_landscape()
    sheet.set_paper(_A4)
    sheet.set_margins(_MARGIN, _MARGIN, _MARGIN, 2 * _MARGIN)
    sheet.fit_to_pages(1, 0)
    sheet.hide_gridlines(0)  # prints them, too
    sheet.repeat_rows(0)
    named = " ".join(_safe(title).split())[:100].replace("&", "&&")
    sheet.set_footer(f"&L&8{' ' if named[:1].isdigit() else ''}{named}&R&8Page &P of &N")


def widths(shown: Sequence[Sequence[str]], room: int) -> list[int]:
    """Return the widths of columns in characters, by their texts: no word breaks, and long texts share the room."""
    words = [max((len(word) for text in column for word in text.split()), default=0) for column in shown]
    least = [max(_MIN_WIDTH, min(_MAX_WORD, word) + 2) for word in words]
    wide = [max((len(part) for text in column for part in text.splitlines()), default=0) + 2 for column in shown]
    most = [max(low, min(_MAX_WIDTH, wish)) for low, wish in zip(least, wide, strict=True)]
    # What most rows fill gets more of the room.
    filled = [sum(map(bool, column)) / max(1, len(column)) for column in shown]
    wishes = [(high - low) * (0.2 + share) for low, high, share in zip(least, most, filled, strict=True)]
    part = max(0, room - sum(least)) / (sum(wishes) or 1)
    return [min(high, low + int(wish * part)) for low, high, wish in zip(least, most, wishes, strict=True)]


def _safe(text: str) -> str:
    """Return text without control characters and those that turn its direction."""
    return UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def _legible(text: str) -> str:
    """Return text that an Excel file can hold."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _MAX_CELL else text[: _MAX_CELL - 1] + "…"


def valued(value: Any) -> tuple[float | date | None, str]:
    """Return the number or date of a cell, if it is one, and its Excel format."""
    if isinstance(value, bool) or value is None:
        return None, ""
    if isinstance(value, int | float):
        return value, "0%" if isinstance(value, Share) else "General"
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
