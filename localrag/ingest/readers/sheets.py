"""Read workbooks (XLSX, XLSM, XLTX, XLTM, XLSB, XLS, ODS, OTS, FODS) and delimited text (CSV, TSV) by sheets.

calamine gives the values as last calculated; for XLSX the XML adds errors, percentages, leading zeros, text boxes and
comments. Hidden sheets, rows and columns are read; charts, headers and footers are not. No macro runs.
"""

from __future__ import annotations

import csv
import datetime
import decimal
import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from xml.etree.ElementTree import Element

from localrag.errors import ReadError
from localrag.ingest.readers.blocks import comment_text
from localrag.ingest.readers.package import (
    DAMAGED,
    RELATION,
    Package,
    check_size,
    damaged,
    decrypted,
    embedded_files,
    shortened,
    whole,
)
from localrag.ingest.readers.sheet_layout import Merge, Note, Row, lay_out, row_of
from localrag.ingest.readers.source import RIGHT_SUFFIX, Options, Source, another_kind
from localrag.ingest.readers.text import decode_guessing, decode_named, guess_remark
from localrag.text import clean, clean_title
from localrag.types import Page, Reading, Remark, SkippedPage

members = embedded_files

_S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_XDR = "{http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_OLE = b"\xd0\xcf\x11\xe0"
_ODS = "application/vnd.oasis.opendocument.spreadsheet"
_MANIFEST = "<m:manifest xmlns:m='urn:oasis:names:tc:opendocument:xmlns:manifest:1.0'/>"
_MAX_CELLS = 40_000_000  # of a sheet's rectangle: calamine takes 24 bytes for each


@dataclass(frozen=True, slots=True)
class _Extra:
    """What the XML of an XLSX sheet says beyond the values."""

    # By row and column (0-based): an error ("#DIV/0!"), "%" for a percentage, or as many zeros as a number has digits.
    shown: Mapping[int, Mapping[int, str]] = field(default_factory=dict)
    rows: int = 0  # how far the sheet reaches
    columns: int = 0
    uncalculated: int = 0  # formulas without a value
    notes: tuple[Note, ...] = ()  # text boxes and comments


@dataclass(frozen=True, slots=True)
class _About:
    """The properties of a workbook, and what is known of each sheet."""

    sheets: Sequence[_Extra] = ()
    title: str = ""
    author: str = ""
    date: str = ""


def read(source: Source, options: Options) -> Reading:
    if source.suffix in (".csv", ".tsv"):
        return _read_delimited(source, options)
    source = _zipped(source) if source.suffix == ".fods" else decrypted(source, options.passwords) or source
    with source.open() as stream:
        head = stream.read(4)
    if head == _OLE:
        return _read(source, _about_xls(source), options)
    if head != b"PK\x03\x04":
        raise _damaged(source, ValueError("it does not begin like one"))
    try:
        with source.open() as stream, zipfile.ZipFile(stream) as archive:
            check_size(archive, options)
            names = archive.namelist()
            if "content.xml" in names:
                from localrag.ingest.readers.opendocument import part, properties, refuse_encrypted

                refuse_encrypted(archive)
                about = _About((), *properties(part(archive, "meta.xml")))
            else:
                about = _About() if "xl/workbook.bin" in names else _about_xlsx(archive, options)
        return _read(source, about, options)
    except DAMAGED as error:
        raise _damaged(source, error) from error


def _zipped(source: Source) -> Source:
    """Return a flat OpenDocument spreadsheet in the package that calamine expects."""
    data, content = io.BytesIO(), source.read()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("mimetype", _ODS)
        archive.writestr("META-INF/manifest.xml", _MANIFEST)
        archive.writestr("content.xml", content)
        archive.writestr("meta.xml", content)
    return Source(source.name, data=data.getvalue())


def _damaged(source: Source, error: BaseException) -> ReadError:
    return damaged(source, error, "a workbook", "an old Office")


# --- properties -------------------------------------------------------------------------------------------------


def _about_xls(source: Source) -> _About:
    import olefile

    try:
        with source.open() as stream, olefile.OleFileIO(stream) as container:
            is_workbook = container.exists("Workbook") or container.exists("Book")
            about = container.get_metadata()
    except Exception as error:  # olefile raises many kinds of errors on damaged containers
        raise _damaged(source, error) from error
    if not is_workbook:
        raise ReadError("is an old Office file, but not a workbook", RIGHT_SUFFIX)
    title, author = (
        decode_named(value or b"", f"cp{about.codepage}")[0] if not isinstance(value, str) else value
        for value in (about.title, about.author)
    )
    saved = about.last_saved_time or about.create_time
    date = f"{saved.isoformat(timespec='seconds')}+00:00" if saved and saved.year > 1980 else ""
    return _About((), clean_title(title), author, date)


def _about_xlsx(archive: zipfile.ZipFile, options: Options) -> _About:
    package = Package(archive, options)
    if package.main.tag != f"{_S}workbook":
        raise ReadError("is an Office file, but not a workbook", RIGHT_SUFFIX)
    relations = package.relations(package.main_name)
    names = {name.lower(): name for name in archive.namelist()}
    styles = _styles(package.related("styles"))
    sheets = []
    for sheet in package.main.iter(f"{_S}sheet"):
        extra = _Extra()
        if relation := relations.get(sheet.get(f"{RELATION}id", "")):
            with suppress(*DAMAGED):  # calamine will report it
                part = names[relation.target.lower()]
                notes = (*_text_boxes(package.related("drawing", part)), *_comments(package.related("comments", part)))
                extra = _scan(archive.read(part), styles, notes)
        sheets.append(extra)
    return _About(sheets, *package.properties())


def _styles(root: Element | None) -> dict[bytes, str]:
    """Return the cell styles that change what a number says, by index: "%", or as many zeros as digits."""
    if root is None:
        return {}
    formats = {"9": "%", "10": "%"}
    for element in root.iter(f"{_S}numFmt"):
        code = re.sub(r'"[^"]*"|\\.|_.|\*.|\[[^\]]{0,200}\]', "", element.get("formatCode", "")).split(";")[0].strip()
        zeros = code if len(code) > 1 and set(code) == {"0"} else ""
        formats[element.get("numFmtId", "")] = "%" if "%" in code else zeros
    cells = enumerate(root.find(f"{_S}cellXfs") or ())
    return {b"%d" % index: shown for index, style in cells if (shown := formats.get(style.get("numFmtId", ""), ""))}


def _text_boxes(drawing: Element | None) -> Iterator[Note]:
    for anchor in drawing if drawing is not None else ():
        row, column = (whole(anchor.findtext(f"{_XDR}from/{_XDR}{name}")) for name in ("row", "col"))
        for body in anchor.iter(f"{_XDR}txBody"):
            lines = ("".join(run.text or "" for run in line.iter(f"{_A}t")) for line in body.iter(f"{_A}p"))
            if text := clean("\n".join(lines)).strip():
                yield row, column, text


_THREAD = re.compile(r"^\[Threaded comment\].*?Comment:\s*", re.S)  # in the copy for older versions


def _comments(root: Element | None) -> Iterator[Note]:
    found = root.iter(f"{_S}author") if root is not None else ()
    authors = {str(number): element.text or "" for number, element in enumerate(found)}
    for comment in root.iter(f"{_S}comment") if root is not None else ():
        address = re.fullmatch(r"([A-Z]{1,3})(\d{1,7})", comment.get("ref", ""))
        text = clean("".join(run.text or "" for run in comment.iter(f"{_S}t"))).strip()
        author = authors.get(comment.get("authorId", ""), "")
        text = _THREAD.sub("", text.removeprefix(f"{author}:")).strip()
        if address and text:
            shown_author = "" if author.startswith("tc=") else author
            yield int(address[2]) - 1, _column(address[1].encode()), comment_text(text, shown_author)


# --- the XML of a sheet -----------------------------------------------------------------------------------------

_ADDRESS = re.compile(rb"\br=[\"']([A-Z]{1,3})([0-9]{1,7})[\"']")
_STYLE = re.compile(rb"\bs=[\"'](\d+)[\"']")
_NS = rb"(?:\w{1,20}:)?"
_STYLED = rb"<NSc\s([^<>]{0,500}\bs=[\"'](?:%s)[\"'][^<>]{0,500})>".replace(b"NS", _NS)
_ERROR = re.compile(
    rb"<NSc\s([^<>]{0,500}\bt=[\"']e[\"'][^<>/]{0,500})>(?:(?!</?NSc[\s/>]).)*?<NSv>([^<]*)<".replace(b"NS", _NS), re.S
)
_UNCALCULATED = re.compile(
    (
        rb"<NSc(\s[^<>/]{0,500})>\s{0,99}<NSf(?:\s[^<>]{0,500})?(?:/>|(?<!/)>[^<]*</NSf>)\s*+"
        rb"(?:<NSv>\s{0,99}</NSv>|<NSv\s{0,9}/>)?\s*+</NSc>"
    ).replace(b"NS", _NS)
)


def _scan(xml: bytes, styles: Mapping[bytes, str], notes: tuple[Note, ...]) -> _Extra:
    """Scan with patterns, which takes a tenth of the time of a parser."""
    shown: dict[int, dict[int, str]] = {}
    places = _ADDRESS.findall(xml)
    for attributes in re.findall(_STYLED % b"|".join(styles), xml) if styles else ():
        style, address = _STYLE.search(attributes), _ADDRESS.search(attributes)
        if style and address:
            shown.setdefault(int(address[2]) - 1, {})[_column(address[1])] = styles[style[1]]
    has_errors = b't="e"' in xml or b"t='e'" in xml
    for attributes, value in _ERROR.findall(xml) if has_errors else ():
        if address := _ADDRESS.search(attributes):
            shown.setdefault(int(address[2]) - 1, {})[_column(address[1])] = value.decode("utf-8", "replace").strip()
    # Calculated text may be empty (=""); a formula of another type has a value once it was calculated.
    uncalculated = sum(b'"str"' not in attributes for attributes in _UNCALCULATED.findall(xml))
    rows = max((int(row) for _, row in places), default=0)
    columns = max(map(_column, {letters for letters, _ in places}), default=-1) + 1
    return _Extra(shown, rows, columns, uncalculated, notes)


def _column(letters: bytes) -> int:
    column = 0
    for letter in letters:
        column = column * 26 + letter - 64
    return column - 1


# --- sheets -----------------------------------------------------------------------------------------------------


def _read(source: Source, about: _About, options: Options) -> Reading:
    import python_calamine

    try:
        with _calamine(), source.open() as stream:
            book: Any = python_calamine.CalamineWorkbook.from_filelike(stream)
    except _CannotReadError as error:
        raise _damaged(source, error) from error
    pages: list[Page] = []
    skipped: list[SkippedPage] = []
    remarks: list[Remark] = []
    left, failure, uncalculated = options.characters, "", 0
    for index, sheet in enumerate(book.sheets_metadata):
        extra = about.sheets[index] if index < len(about.sheets) else _Extra()
        number = index + 1
        try:
            with _calamine():
                if extra.rows * extra.columns > _MAX_CELLS:
                    raise ValueError(f"it reaches to row {extra.rows:,} and column {extra.columns:,}")
                cells = book.get_sheet_by_index(index)
                merged: list[Merge] = list(cells.merged_cell_ranges or ())
                page = lay_out(_rows(cells, extra), number, sheet.name, merged, extra.notes, left)
        except _CannotReadError as error:
            failure = f"cannot be read ({shortened(error)})"
            pages.append(Page("", number, sheet.name, unit="sheet"))
            skipped.append(SkippedPage(number, failure))
            continue
        left -= len(page.text)
        pages.append(page)
        uncalculated += extra.uncalculated
        kind = str(sheet.typ).rpartition(".")[2].lower()
        if not page.text and kind != "worksheet":  # an empty worksheet loses nothing
            skipped.append(SkippedPage(number, f"a {kind.removesuffix('sheet')} sheet, without cells"))
        if str(sheet.visible).rpartition(".")[2] != "Visible":
            remarks.append(Remark(number, f"The sheet {clean(sheet.name)!r} is hidden in the workbook."))
        if extra.uncalculated:
            words = "formula was" if extra.uncalculated == 1 else "formulas were"
            remarks.append(Remark(number, f"{extra.uncalculated:,} {words} never calculated: no value."))
    if not any(page.text for page in pages):
        if failure:
            raise ReadError(f"has no sheet that can be read: the last one {failure}", "Save it again as XLSX.")
        if uncalculated:
            raise ReadError(
                "holds only formulas that were never calculated", "Open it in a spreadsheet program and save it."
            )
    return Reading(tuple(pages), about.title, tuple(skipped), tuple(remarks), about.author, about.date)


def _rows(sheet: Any, extra: _Extra) -> Iterator[Row]:
    if sheet.start is None:
        return
    left, right = sheet.start[1], sheet.end[1]
    for number, values in enumerate(sheet.iter_rows()):
        if values.count("") == len(values) and number not in extra.shown:
            continue
        cells = [shown(value) if value != "" else "" for value in values]
        for column, form in extra.shown.get(number, {}).items():
            if left <= column <= right:
                cells[column - left] = shown(values[column - left], form)
        if row := row_of(number, left, cells):
            yield row


class _CannotReadError(Exception):
    """calamine could not read it."""


@contextmanager
def _calamine() -> Iterator[None]:
    """Turn what calamine raises into `_CannotReadError`; also a panic, which is no ordinary exception."""
    try:
        yield
    except (ReadError, MemoryError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise _CannotReadError(str(error)) from error


# --- values -----------------------------------------------------------------------------------------------------


def shown(value: Any, form: str = "") -> str:
    """Return a cell's value as a person sees it, dates in ISO 8601; `form` as in `_Extra.shown`."""
    if isinstance(value, str):
        return form if form.startswith("#") else clean(value).strip()
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        if form == "%":
            return f"{_number(value * 100)}%"
        text = _number(value)
        return text.zfill(len(form)) if form and text.isdigit() else text
    if isinstance(value, datetime.time):
        return shown(datetime.datetime.combine(datetime.date(2000, 1, 1), value))[11:]
    if isinstance(value, datetime.datetime):
        up = value.microsecond >= 500_000 and value.year < datetime.MAXYEAR
        return str(value.replace(microsecond=0) + datetime.timedelta(seconds=up)).removesuffix(":00")
    if isinstance(value, datetime.timedelta):
        sign, seconds = ("-" if value.total_seconds() < 0 else ""), round(abs(value.total_seconds()))
        return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return value.isoformat() if isinstance(value, datetime.date) else clean(str(value)).strip()


def _number(value: float) -> str:
    """Return a number with up to 15 digits, like a spreadsheet; whole numbers without a point."""
    if isinstance(value, int) and abs(value) < 10**15:
        return str(value)
    text = f"{value:.15g}"
    if "e" in text and 1e-6 <= abs(value) < 1e21:
        return format(decimal.Decimal(text), "f")
    return "0" if text == "-0" else text


# --- delimited text ---------------------------------------------------------------------------------------------

_SAMPLE = 200  # records
_MAX_REPAIRS = 20  # each may cost a pass over the rest


def _read_delimited(source: Source, options: Options) -> Reading:
    if other := another_kind(source, "delimited text", "a PDF with"):
        raise other
    text, encoding = decode_guessing(source.read())
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    delimiter = _find_delimiter(lines, "\t" if source.suffix == ".tsv" else ",")
    unclosed: list[int] = []
    records = enumerate(_records(lines, delimiter, unclosed))
    found = (row_of(number, 0, [clean(field).strip() for field in record]) for number, record in records)
    page = lay_out(filter(None, found), 1, None, limit=options.characters)
    remarks = guess_remark(encoding)
    if unclosed:
        numbers = ", ".join(map(str, unclosed[:5])) + (", ..." if len(unclosed) > 5 else "")
        remarks = (*remarks, Remark(1, f"A quotation mark is opened and never closed in line {numbers}."))
    return Reading((page,), remarks=remarks)


def _find_delimiter(lines: Sequence[str], usual: str) -> str:
    """Return the delimiter that gives most records the same number of fields."""
    best, best_score = "\x1f", (0.0, 0)  # in no text: one column
    for delimiter in dict.fromkeys((usual, *",;\t|")):
        records = [len(record) for record in islice(_parse(lines[: _SAMPLE * 5], delimiter), _SAMPLE) if any(record)]
        counts = Counter(fields for fields in records if fields > 1)
        if not counts or 2 * sum(counts.values()) < len(records):
            continue  # a comma inside prose splits a few lines
        fields, same = max(counts.items(), key=lambda item: (item[1], item[0]))
        if (score := (round(same / len(records), 1), fields)) > best_score:
            best, best_score = delimiter, score
    return best


def _parse(lines: Sequence[str], delimiter: str, **how: Any) -> Any:
    csv.field_size_limit(1 << 30)
    # Spaces after a delimiter may come before a quotation mark; between tabs they are the whole cell.
    return csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, skipinitialspace=delimiter != "\t", **how)


def _records(lines: list[str], delimiter: str, unclosed: list[int]) -> Iterator[list[str]]:
    """Yield the records; add the numbers of lines with an unclosed quotation mark to `unclosed`."""
    begin = 0
    while begin < len(lines):
        start = begin
        reader = _parse(lines[start:], delimiter, strict=len(unclosed) < _MAX_REPAIRS)
        try:
            for record in reader:
                yield record
                begin = start + reader.line_num
        except csv.Error:  # text after a closing quotation mark, or no such mark until the end
            is_unclosed = start + reader.line_num - begin > 1
            if is_unclosed:
                unclosed.append(begin + 1)
            yield next(_parse([lines[begin]], delimiter, quoting=csv.QUOTE_NONE if is_unclosed else csv.QUOTE_MINIMAL))
            begin += 1
