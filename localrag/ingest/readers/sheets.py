"""Workbooks (XLSX, XLSM, XLTX, XLTM, XLSB, XLS; ODS and OTS by `ods`): a page for each sheet, cell names for each row.

Values come from calamine, as they were when the workbook was last calculated; what it leaves out (errors, percentages,
leading zeros, formulas without a value) comes from `marks`. Hidden sheets, rows and columns are read. Left out:
comments, charts, text boxes (but in XLSX), other number formats, headers and footers. No macro and no formula is run,
no link followed.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from localrag.errors import ReadError
from localrag.ingest.readers import biff, marks
from localrag.ingest.readers.cleaning import clean
from localrag.ingest.readers.compound import compound
from localrag.ingest.readers.decrypt import decrypted
from localrag.ingest.readers.grids import Merge, Row, row_of
from localrag.ingest.readers.marks import NOTHING, Closed, Marks, closed_up
from localrag.ingest.readers.package import DAMAGED, RELATION, Package
from localrag.ingest.readers.properties import STREAM, Summary, summary
from localrag.ingest.readers.source import Budget, Options, OverBudget, Source, another_kind
from localrag.ingest.readers.values import shown
from localrag.ingest.readers.workbook import Workbook
from localrag.types import Reading

_S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_OLE = b"\xd0\xcf\x11\xe0"
_ANCIENT = (b"\x09\x00\x04\x00", b"\x09\x02\x06\x00", b"\x09\x04\x06\x00")  # Excel 2, 3, 4
_DENSEST = 40_000_000  # cells that calamine may lay out, 24 bytes each
_DAMAGED = (*DAMAGED, LookupError)  # an encoding that does not exist
_BROKEN = "Open it in its own program and save it anew."


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a workbook beside its values; `parts` are the sheets' names in the package (XLSX only)."""

    marks: Sequence[Marks] = ()
    parts: Sequence[str] = ()
    title: str = ""
    author: str = ""
    date: str = ""


def read(source: Source, options: Options) -> Reading:
    source = decrypted(source, options.passwords) or source
    with source.open() as stream:
        head = stream.read(4)
    if head == _OLE:
        return _read(*_xls(source), options)
    if head == b"PK\x03\x04":
        try:
            with source.open() as stream, zipfile.ZipFile(stream) as archive:
                return _zipped(source, archive, options)
        except _DAMAGED as error:
            raise _refusal(source, error) from error
        except OverBudget as error:  # of this file alone, not of what it may lie in
            raise ReadError(error.message, error.hint) from error
    if head in _ANCIENT:
        raise ReadError("is a workbook of Excel 4 or older", "Open it in a spreadsheet program and save it as XLSX.")
    raise _refusal(source, ValueError("it does not begin like one"))


def _zipped(source: Source, archive: zipfile.ZipFile, options: Options) -> Reading:
    names = set(archive.namelist())
    budget = Budget(options)
    budget.take(sum(info.file_size for info in archive.infolist()))  # a bomb's own word, before anything is unpacked
    if "content.xml" in names:
        from localrag.ingest.readers import ods

        return ods.read(archive, options)
    if "xl/workbook.bin" in names:
        return _read(source, _Known(biff.scan_xlsb(archive)), options)
    return _read(source, _xlsx(archive, options), options, archive)


def _refusal(source: Source, error: BaseException) -> ReadError:
    if other := another_kind(source, "a workbook", "a ZIP", "an old Office"):
        return other
    reason = clean(" ".join(str(error).split())[:100])
    return ReadError(f"is damaged, or not a workbook ({reason})", _BROKEN)


# --- what is known beside the values --------------------------------------------------------------------------


def _xlsx(archive: zipfile.ZipFile, options: Options) -> _Known:
    package = Package(archive, options)
    if package.main.tag != f"{_S}workbook":
        raise ReadError("is an Office file, but not a workbook", "Give the file the suffix of its real type.")
    related = package.relations(package.main_name)
    names = {name.lower(): name for name in archive.namelist()}
    shown = marks.styles(package.related("styles"))
    parts: list[str] = []
    found: list[Marks] = []
    for sheet in package.main.iter(f"{_S}sheet"):
        relation = related.get(sheet.get(f"{RELATION}id", ""))
        part = names.get(relation.target.lower(), "") if relation else ""
        parts.append(part)
        if relation is None or not part:
            found.append(NOTHING)
            continue
        drawing = package.target("drawing", part)
        boxes = marks.text_boxes(package.part(drawing)) if drawing else ()
        try:
            with archive.open(part) as stream:
                found.append(marks.scan(stream, shown, relation.kind, boxes))
        except _DAMAGED:  # of this sheet alone; calamine will say so
            found.append(NOTHING)
    return _Known(found, parts, package.title(), package.author(), package.date())


def _xls(source: Source) -> tuple[Source, _Known]:
    """An old workbook in a sound container, and what is known of it."""
    import olefile

    try:
        with source.open() as stream, olefile.OleFileIO(stream) as container:
            name = next((name for name in ("Workbook", "Book") if container.exists(name)), "")
            data = bytearray(container.openstream(name).read() if name else b"")
            about = Summary()
            if container.exists(STREAM):
                about = summary(container.openstream(STREAM).read())
    except Exception as error:  # olefile raises what it likes
        raise _refusal(source, error) from error
    if not name:
        raise ReadError("is an old Office file, but not a workbook", "Give the file the suffix of its real type.")
    known = _Known(biff.scan_xls(data), (), about.title, about.author, about.date)
    try:
        return Source(source.name, data=compound(name, bytes(data))), known
    except ValueError as error:
        raise _refusal(source, error) from error


# --- values ---------------------------------------------------------------------------------------------------


def _read(source: Source, known: _Known, options: Options, archive: zipfile.ZipFile | None = None) -> Reading:
    try:
        with _sound(), source.open() as stream:
            book = _open(stream)
    except _Unsound as error:
        raise _refusal(source, error) from error
    workbook = Workbook(options)
    for index, about in enumerate(book.sheets_metadata):
        mark = known.marks[index] if index < len(known.marks) else NOTHING
        hidden = str(about.visible).rpartition(".")[2] != "Visible"
        try:
            with _sound():
                sheet = _Sheet(book, index, mark, known, archive)
                workbook.add(about.name, sheet.rows(), sheet.merged, hidden, mark)
        except _Unsound as error:
            workbook.fail(about.name, str(error))
    return workbook.reading(known.title, known.author, known.date)


class _Sheet:
    """One sheet's rows, with what calamine leaves out put back in."""

    def __init__(self, book: Any, index: int, mark: Marks, known: _Known, archive: zipfile.ZipFile | None) -> None:
        self._mark = mark
        self._closed: Closed | None = None
        if mark.rows * mark.columns > _DENSEST:
            part = known.parts[index] if index < len(known.parts) else ""
            self._closed = closed_up(archive, part) if archive is not None and part else None
            if self._closed is None or len(self._closed.rows) * len(self._closed.columns) > _DENSEST:
                raise self._too_wide()
            book = _open(io.BytesIO(self._closed.data))
        self._sheet = book.get_sheet_by_index(index)
        self.merged: list[Merge] = list(self._sheet.merged_cell_ranges or ())

    def rows(self) -> Iterator[Row]:
        if self._sheet.start is None:
            return
        columns = range(self._sheet.start[1], self._sheet.end[1] + 1)
        if self._closed is not None:
            yield from self._apart(self._closed)
            return
        left = columns.start
        for number, values in enumerate(self._sheet.iter_rows()):
            if values.count("") == len(values) and number not in self._mark.cells:
                continue  # most rows, where a cell stands far away
            cells = [shown(value) if value != "" else "" for value in values]
            for column, mark in self._mark.cells.get(number, {}).items():
                if column in columns:
                    cells[column - left] = shown(values[column - left], mark)
            if row := row_of(number, left, cells):
                yield row

    def _apart(self, closed: Closed) -> Iterator[Row]:
        """The rows of a sheet that was closed up, where they really stand."""
        columns = closed.columns[self._sheet.start[1] :]
        room = _DENSEST
        for number, values in zip(closed.rows, self._sheet.iter_rows(), strict=False):
            marked = self._mark.cells.get(number, {})
            texts = {
                column: text
                for column, value in zip(columns, values, strict=False)
                if (text := shown(value, marked.get(column, "")))
            }
            if texts:
                left, right = min(texts), max(texts) + 1
                room -= right - left
                if room < 0:
                    raise self._too_wide()
                yield Row(number, left, [texts.get(column, "") for column in range(left, right)])

    def _too_wide(self) -> _Unsound:
        return _Unsound(f"it reaches to row {self._mark.rows:,} and column {self._mark.columns:,}")


# --- calamine -------------------------------------------------------------------------------------------------


class _Unsound(Exception):
    """calamine could not read it, and why."""


@contextmanager
def _sound() -> Iterator[None]:
    """What calamine raises becomes `_Unsound`; so does a panic, which is no ordinary exception."""
    from python_calamine import CalamineError

    try:
        yield
    except (CalamineError, ArithmeticError, *_DAMAGED) as error:
        raise _Unsound(str(error)) from error
    except OSError as error:
        if error.errno is not None:  # the disk's; without a number it is calamine's
            raise
        raise _Unsound(str(error)) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise _Unsound(f"the reader gave up: {error}") from error


def _open(stream: BinaryIO) -> Any:
    import python_calamine

    return python_calamine.CalamineWorkbook.from_filelike(stream)
