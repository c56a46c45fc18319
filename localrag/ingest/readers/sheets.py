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
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import groupby, islice, pairwise
from typing import Any
from xml.etree.ElementTree import Element

from localrag.errors import ReadError
from localrag.ingest.readers.blocks import comment_text, markdown_cell, markdown_rows
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
from localrag.ingest.readers.source import RIGHT_SUFFIX, Options, Source, another_kind
from localrag.ingest.readers.text import decode_guessing, decode_named, guess_remark
from localrag.store import data_sheets
from localrag.store.locations import cell_name
from localrag.text import clean, clean_title
from localrag.types import Anchor, Heading, Page, Reading, Remark, SkippedPage

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
        if columns := data_sheets.described(
            page, len(book.sheets_metadata) + 1 + sum(one.unit == "columns" for one in pages)
        ):
            pages.append(columns)
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
    columns = data_sheets.described(page, 2)
    return Reading((page, columns) if columns else (page,), remarks=remarks)


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


# --- layout ---------------------------------------------------------------------------------------------------

# Two corners, 0-based: ((top, left), (bottom, right)).
Merge = tuple[tuple[int, int], tuple[int, int]]
# The row and column (0-based) of the cell that a text box or comment belongs to, and its text.
Note = tuple[int, int, str]

_GAP = 10  # empty columns between tables; inside a table they are one or two
_MAX_MERGED = 1_000  # columns that a merged cell may reach beyond the last of its row
_MAX_NAME = 60  # characters of a column's name
_MAX_TITLES = 3  # lines above a table; more are a list
_VALUE = re.compile(
    r"[-+(]?\W?\d[\d.,'’ ]*(?:[eE][-+]?\d+)?\W{0,2}"
    r"|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}.*|-?\d+:\d\d(?::\d\d)?|TRUE|FALSE|#\S+[!?A]"
)
_YEAR = re.compile(r"(?:19|20)\d\d")
_NO_TITLE = re.compile(r"\n|:$")


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of a row from the first filled one to the last, cleaned; `number` and `left` (column) are 0-based."""

    number: int
    left: int
    cells: list[str]

    @property
    def filled(self) -> int:
        return len(self.cells) - self.cells.count("")

    @property
    def right(self) -> int:
        return self.left + len(self.cells)

    def at(self, column: int) -> str:
        return self.cells[column - self.left] if self.left <= column < self.right else ""


def row_of(number: int, left: int, cells: list[str]) -> Row | None:
    """Return a row without the empty cells at its ends; None if all are empty."""
    filled = [index for index, text in enumerate(cells) if text]
    return Row(number, left + filled[0], cells[filled[0] : filled[-1] + 1]) if filled else None


def lay_out(
    rows: Iterable[Row],
    number: int,
    label: str | None,
    merged: Sequence[Merge] = (),
    notes: Sequence[Note] = (),
    limit: int = 100_000_000,
) -> Page:
    """Return the page of a sheet from its rows that are not empty; `limit` is the most characters it may have.

    Merged cells show how far a header reaches; notes come after the cells.
    """
    sheet = _Sheet(merged, limit)
    # Empty rows, which have no number here, separate blocks.
    for _, block in groupby(enumerate(rows), key=lambda item: item[1].number - item[0]):
        regions = _regions([row for _, row in block])
        for region in regions:
            sheet.add(region, alone=len(regions) == 1)
    sheet.close()
    for row, column, text in notes:
        sheet.put("\n\n", markdown_cell(text) if text.startswith("|") else text, row, column)
    return Page("".join(sheet.pieces), number, label, tuple(sheet.headings), "sheet", tuple(sheet.anchors))


def _regions(block: list[Row]) -> list[list[Row]]:
    """Separate tables that are side by side, far apart; a stray cell far right must not widen every row."""
    low, high = min(row.left for row in block), max(row.right for row in block)
    if high - low <= _GAP:
        return [block]
    used = sorted({low, high - 1}.union(*({i for i, text in enumerate(row.cells, row.left) if text} for row in block)))
    cuts = [column for before, column in pairwise(used) if column - before > _GAP]
    regions = []
    for left, right in pairwise([low, *cuts, high]):
        parts = ((row, max(row.left, left)) for row in block)
        cut = (
            row_of(row.number, start, row.cells[start - row.left : max(right - row.left, 0)]) for row, start in parts
        )
        regions.append(list(filter(None, cut)))
    return regions


class _Sheet:
    """The text of one sheet with its anchors and headings, built block by block."""

    def __init__(self, merged: Sequence[Merge], limit: int) -> None:
        self.pieces: list[str] = []
        self.anchors: list[Anchor] = []
        self.headings: list[Heading] = []
        self._wide: defaultdict[int, list[Merge]] = defaultdict(list)
        for merge in merged:
            if merge[1][1] > merge[0][1]:
                self._wide[merge[0][0]].append(merge)
        self._limit = limit
        self._size = 0
        self._table: list[Row] = []
        self._depth = 0  # header rows of the open table
        self._tables = 0
        self._titles: list[tuple[int, str]] = []  # offset and text of the lines since the last table

    def add(self, rows: list[Row], alone: bool) -> None:
        if alone and self._continues_table(rows):
            self._table.extend(rows)
            return
        self.close()
        lines = next((index for index, row in enumerate(rows) if row.filled > 1), len(rows))
        if 0 < lines < len(rows) and _is_group(rows[lines - 1 :], self._wide[rows[lines - 1].number]):
            lines -= 1
        if lines < len(rows) and any(len(text) > _MAX_NAME for text in rows[lines].cells):
            lines += _is_group(rows[lines:], self._wide[rows[lines].number])  # titles of tables side by side below
        if lines and self._tables:  # lines between two tables are notes to the first
            self._titles = []
        for row in rows[:lines]:
            self._lines(row, first=row is rows[0])
        if lines < len(rows):
            self._open(rows[lines:])

    def _continues_table(self, rows: list[Row]) -> bool:
        """Return whether a block continues the open table: its first row has values in the same columns."""
        table = self._table
        first = next((row for row in rows if row.filled > 1), None)
        if first is None or not table or not _names(table[self._depth - 1].cells):
            return False
        left, right = min(row.left for row in table[:50]), max(row.right for row in table[:50])
        values = {column for column, text in enumerate(first.cells, first.left) if _is_value(text)}
        if not values or all(_YEAR.fullmatch(first.at(column)) for column in values):
            return False
        if any(row.left < left or row.right > right for row in rows):
            return False
        known = table[self._depth : self._depth + 20]
        if known:
            return all(any(_is_value(row.at(column)) for row in known) for column in values)
        # A header alone: two words side by side may also be the line of a form.
        header = table[self._depth - 1]
        return header.filled > 2 or (header.filled == 2 and len(values) == first.filled)

    def _lines(self, row: Row, first: bool) -> None:
        """Write single cells, a line for each; they keep their own line ends."""
        for column, text in enumerate(row.cells, row.left):
            if text:
                text = markdown_cell(text) if text.startswith("|") else text
                self.put("\n\n" if first else "\n", text, row.number, column)
                self._titles.append((self._size - len(text), text))
                first = False

    def _open(self, rows: list[Row]) -> None:
        if len(self._titles) <= _MAX_TITLES:
            titles = [(start, text) for start, text in self._titles if len(text) <= 100 and not _NO_TITLE.search(text)]
            self.headings += [Heading(start, level, text) for level, (start, text) in enumerate(titles, 1)]
        self._titles = []
        self._tables += 1
        self._table = rows
        self._depth = 1
        while self._depth < 3 and _is_group(rows[self._depth - 1 :], self._wide[rows[self._depth - 1].number]):
            self._depth += 1

    def close(self) -> None:
        """Write the open table, if there is one."""
        rows, self._table = self._table, []
        if not rows:
            return
        left, right = min(row.left for row in rows), max(row.right for row in rows)
        self._check(3 * (right - left) * len(rows))  # before memory is spent on the lines
        heads, body = rows[: self._depth], rows[self._depth :]
        levels = [
            _spread(row, self._wide[row.number], rows[number : number + 19]) for number, row in enumerate(heads, 1)
        ]
        columns = ([level.at(column) for level in levels] for column in range(left, right))
        header = [" / ".join(dict.fromkeys(filter(None, names))) for names in columns]
        lines = markdown_rows([header, *([""] * (row.left - left) + row.cells for row in body)])
        self.put("\n\n", f"{lines[0]}\n{lines[1]}", rows[0].number, left)
        for row, line in zip(body, lines[2:], strict=True):
            self.put("\n", line, row.number, left)

    def put(self, gap: str, text: str, row: int, column: int) -> None:
        gap = gap if self.pieces else ""
        self._check(len(text))
        self.anchors.append(Anchor(self._size + len(gap), cell_name(row, column)))
        self.pieces.append(gap + text)
        self._size += len(gap) + len(text)

    def _check(self, size: int) -> None:
        if self._size + size > self._limit:
            raise ReadError(f"has more than {self._limit:,} characters", "Split it into smaller files.")


def _names(cells: Sequence[str]) -> bool:
    """Return whether all cells can be names of columns: words, or years."""
    return not any(_is_value(text) and not _YEAR.fullmatch(text) for text in cells)


def _is_value(text: str) -> bool:
    return _VALUE.fullmatch(text) is not None


def _spread(row: Row, merges: list[Merge], below: list[Row]) -> Row:
    """Repeat a group's words above its columns; without merged cells it reaches to the next, above names of columns."""
    cells = {column: text for column, text in enumerate(row.cells, row.left) if text}
    spread = dict(cells)
    for (_, first), (_, last) in merges if _names(row.cells) else ():
        for column in range(first, min(last, row.right + _MAX_MERGED) + 1) if first in cells else ():
            if any(other.at(column) for other in below):
                spread[column] = cells[first]
    if below and not merges and _is_group([row, *below], []):
        text = ""
        for column in range(row.left, below[0].right):
            text = cells.get(column, text) if below[0].at(column) else ""
            if text:
                spread[column] = text
    return Row(row.number, row.left, [spread.get(column, "") for column in range(row.left, max(spread) + 1)])


def _is_group(rows: list[Row], merges: list[Merge]) -> bool:
    """Return whether the first row only groups the columns that the second one names.

    It does if there are words under the merged cells, and no other column is named twice or values follow in the third
    row. Without merged cells the first row must have at most half as many words.
    """
    if len(rows) < 2 or rows[1].number != rows[0].number + 1:
        return False
    top, below = rows[0], rows[1]
    merges = [merge for merge in merges if top.at(merge[0][1])]
    if not merges:
        named = [column for column, text in enumerate(top.cells, top.left) if text]
        return (
            len(named) > 1
            and 2 * len(named) <= below.filled
            and len(rows) > 2
            and _names(top.cells)
            and _names(below.cells)
            and all(below.at(column) for column in named)
            and not _names(rows[2].cells)
        )
    under = [column for (_, first), (_, last) in merges for column in range(first, min(last, below.right) + 1)]
    names = [text for column in under if (text := below.at(column))]
    if len(names) < 2 or not _names(names):
        return False
    if top.filled == 1 and merges[0][0][1] <= below.left:
        return False  # a title over the whole table
    if len(rows) > 2 and any(_is_value(rows[2].at(column)) for column in under):
        return True
    merged = set(under)
    return not any(top.at(c) and below.at(c) for c in range(top.left, top.right) if c not in merged)
