"""OpenDocument spreadsheets (ODS, OTS): each sheet is a page, read row by row, so that repeated cells cost nothing.

Numbers, dates and times are taken from the stored values, not from the rounded text; percentages, errors and booleans
are told by the cell's type. Left out: comments, pictures and charts, tracked changes. Encrypted ones are refused.
"""

from __future__ import annotations

import datetime
import re
import zipfile
from collections.abc import Iterator
from typing import IO
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from localrag.errors import ReadError
from localrag.ingest.readers.cleaning import clean, clean_title
from localrag.ingest.readers.grids import Merge, Row
from localrag.ingest.readers.marks import Marks
from localrag.ingest.readers.package import DAMAGED, iso_date
from localrag.ingest.readers.safe_xml import parse
from localrag.ingest.readers.source import Options
from localrag.ingest.readers.values import clock, duration, shown
from localrag.ingest.readers.workbook import Workbook
from localrag.types import Reading

_NS = "urn:oasis:names:tc:opendocument:xmlns:"
_OFFICE, _TEXT, _TABLE, _STYLE, _META = (
    f"{{{_NS}{name}:1.0}}" for name in ("office", "text", "table", "style", "meta")
)
_DC = "{http://purl.org/dc/elements/1.1/}"
_ERROR_TYPE = "{urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0}value-type"
_CELLS = (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell")
_ERROR = re.compile(r"#[A-Z/0!?]+|Err:\d+")
_DURATION = re.compile(r"(-?)PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:[.,]\d+)?)S)?")
_WIDEST = 16_384
_DENSEST = 40_000_000  # cells of one sheet, counted from its rows' first to their last


def read(archive: zipfile.ZipFile, options: Options) -> Reading:
    """The sheets of an open archive; one of `package.DAMAGED` is raised where it is no sound spreadsheet."""
    names = set(archive.namelist())
    manifest = archive.read("META-INF/manifest.xml") if "META-INF/manifest.xml" in names else b""
    if b"encryption-data" in manifest:
        raise ReadError("is encrypted", "Save a copy without a password.")
    workbook = Workbook(options)
    with archive.open("content.xml") as stream:
        for sheet in _sheets(stream):
            workbook.add(sheet.name, sheet.rows, sheet.merged, sheet.hidden, Marks({}, sheet.uncalculated))
    title, author, date = _about(archive) if "meta.xml" in names else ("", "", "")
    return workbook.reading(title, author, date)


def _about(archive: zipfile.ZipFile) -> tuple[str, str, str]:
    try:
        root = parse(archive.read("meta.xml"))
    except (ReadError, *DAMAGED):
        return "", "", ""
    told = {element.tag: " ".join(clean(element.text or "").split())[:200] for element in root.iter()}
    author = told.get(f"{_META}initial-creator") or told.get(f"{_DC}creator", "")
    date = told.get(f"{_DC}date") or told.get(f"{_META}creation-date", "")
    return clean_title(told.get(f"{_DC}title", "")), author, iso_date(date)


class _Guarded:
    """A stream of XML in which no entities are declared."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._end = b""

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        if b"<!ENTITY" in self._end + data:
            raise ReadError("declares XML entities, which can hide a bomb", "Do not trust this file.")
        self._end = data[-8:]
        return data


def _sheets(stream: IO[bytes]) -> Iterator[_Sheet]:
    hidden: set[str] = set()
    path: list[Element] = []
    sheet: _Sheet | None = None
    body = False
    for event, element in ElementTree.iterparse(_Guarded(stream), ("start", "end")):
        if event == "start":
            body = body or element.tag == f"{_OFFICE}spreadsheet"
            if element.tag == f"{_TABLE}table" and path[-1].tag == f"{_OFFICE}spreadsheet":
                sheet = _Sheet(element, hidden)
            path.append(element)
            continue
        path.pop()
        if element.tag == f"{_STYLE}style":
            properties = element.find(f"{_STYLE}table-properties")
            if properties is not None and properties.get(f"{_TABLE}display") == "false":
                hidden.add(element.get(f"{_STYLE}name", ""))
        elif sheet is not None and element is sheet.element:
            yield sheet
            sheet = None
            path[-1].remove(element)
        elif sheet is not None and element.tag == f"{_TABLE}table-row" and _nesting(path) == 1:
            sheet.add(element)
            path[-1].remove(element)
    if not body:
        raise ReadError("is an OpenDocument file, but no spreadsheet", "Give the file the suffix of its real type.")


def _nesting(path: list[Element]) -> int:
    """How many tables an element stands in; pictures and comments on a sheet can hold tables too."""
    return sum(element.tag == f"{_TABLE}table" or element.tag not in _ROW_PARENTS for element in path[3:])


_ROW_PARENTS = {f"{_TABLE}{name}" for name in ("table-row-group", "table-rows", "table-header-rows")}


class _Sheet:
    """One sheet while its rows come by."""

    def __init__(self, element: Element, hidden: set[str]) -> None:
        self.element = element
        self.name = element.get(f"{_TABLE}name", "")
        self.hidden = (
            element.get(f"{_TABLE}style-name", "") in hidden or element.get(f"{_TABLE}display", "true") == "false"
        )
        self.rows: list[Row] = []
        self.merged: list[Merge] = []
        self.uncalculated = 0
        self._number = 0
        self._room = _DENSEST

    def add(self, row: Element) -> None:
        repeated = _count(row, "number-rows-repeated")
        texts: dict[int, str] = {}
        column = 0
        for cell in row:
            if cell.tag not in _CELLS:
                continue
            times = _count(cell, "number-columns-repeated")
            text = _value(cell)
            if text and column < _WIDEST:
                texts.update(dict.fromkeys(range(column, min(column + times, _WIDEST)), text))
                if (span := _count(cell, "number-columns-spanned")) > 1:
                    self.merged.append(((self._number, column), (self._number, column + span - 1)))
            elif not text and cell.get(f"{_TABLE}formula") and not cell.get(f"{_OFFICE}value-type"):
                self.uncalculated += 1
            column += times
        if texts:
            left, right = min(texts), max(texts) + 1
            self._room -= (right - left) * repeated
            if self._room < 0:
                raise ReadError(f"has a sheet with more than {_DENSEST:,} cells", "Split it into smaller files.")
            cells = [texts.get(column, "") for column in range(left, right)]
            self.rows.extend(Row(self._number + index, left, cells) for index in range(repeated))
        self._number += repeated


def _count(element: Element, name: str) -> int:
    text = element.get(f"{_TABLE}{name}", "1")
    return max(int(text), 1) if text.isdigit() and len(text) < 9 else 1


def _value(cell: Element) -> str:
    text = clean("\n".join(_words(paragraph) for paragraph in cell.findall(f"{_TEXT}p"))).strip()
    kind = cell.get(f"{_OFFICE}value-type", "")
    if kind in ("", "string") or cell.get(_ERROR_TYPE) == "error" or _ERROR.fullmatch(text):
        return text or clean(cell.get(f"{_OFFICE}string-value", "")).strip()
    try:
        return _typed(cell, kind, text) or text
    except ValueError:
        return text


def _typed(cell: Element, kind: str, text: str) -> str:
    if kind == "boolean":
        return shown(cell.get(f"{_OFFICE}boolean-value") == "true")
    if kind == "date":
        moment = datetime.datetime.fromisoformat(cell.get(f"{_OFFICE}date-value", ""))
        return shown(moment if moment.time() != datetime.time() else moment.date())
    if kind == "time":
        match = _DURATION.fullmatch(cell.get(f"{_OFFICE}time-value", ""))
        if match is None:
            return text
        hours, minutes, seconds = int(match[2] or 0), int(match[3] or 0), float((match[4] or "0").replace(",", "."))
        whole = hours * 3600 + minutes * 60 + seconds
        return clock(whole) if whole < 86_400 and not match[1] else duration(-whole if match[1] else whole)
    value = float(cell.get(f"{_OFFICE}value", ""))
    if text.startswith("0") and text.isdigit() and int(text) == value:
        return text  # a number that is shown with leading zeros
    return shown(value, "%" if kind == "percentage" else "")


def _words(element: Element) -> str:
    pieces = [element.text or ""]
    for child in element:
        if child.tag == f"{_TEXT}s":
            pieces.append(" ")
        elif child.tag in (f"{_TEXT}tab", f"{_TEXT}line-break"):
            pieces.append("\t" if child.tag.endswith("tab") else "\n")
        elif child.tag in (f"{_TEXT}span", f"{_TEXT}a"):
            pieces.append(_words(child))
        elif child.tag.startswith(_TEXT) and not child.tag.endswith("}note"):
            pieces.append("".join(child.itertext()))  # fields: a date, the sheet's name
        pieces.append(child.tail or "")
    return "".join(pieces)
