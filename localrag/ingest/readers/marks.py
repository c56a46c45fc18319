"""What calamine does not tell of a workbook: errors, percentages, formulas that were never calculated, text boxes.

Found by passing once over the sheets' XML (here) or records (`biff`), before calamine sees them. The same pass tells
how far a sheet reaches: calamine lays out every cell up to the last one in memory, and one stray cell can be far away.
Cells without an address of their own (a few programs leave it out) are not marked.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO
from xml.etree.ElementTree import Element

from localrag.ingest.readers.cleaning import clean
from localrag.ingest.readers.grids import Box

_S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_XDR = "{http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_STEP = 1 << 22
_MOST = 1 << 26  # a longer row than any

_PREFIX = re.compile(rb"<(\w+:)?(?:worksheet|chartsheet|dialogsheet)\b")
# As calamine reads them, which takes more for an address than a spreadsheet has room for.
_ADDRESS = re.compile(rb" r=\"([A-Za-z]{1,9})([0-9]{1,18})\"")
_COLUMN = re.compile(rb" r=\"([A-Za-z]{1,9})[0-9]")
_ROW = re.compile(rb" r=\"[A-Za-z]{1,9}([0-9]{1,18})\"")
_QUOTED = re.compile(rb"='([^'\"<>]*)'")
_ERROR_VALUE = re.compile(rb"<(?:\w+:)?v[^>]*>([^<]*)<")
_NO_FORMAT = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]')


@dataclass(frozen=True, slots=True)
class Marks:
    """What is known of one sheet's cells.

    Args:
        cells: by row and column (0-based), an error ("#DIV/0!") or how a number is shown: "%", or as many zeros as it
            has digits.
        uncalculated: formulas without a value.
        rows: of these so many (up to the last cell).
        columns: likewise.
        kind: "worksheet", or what else the sheet is.
        boxes: the text boxes that lie over it.
    """

    cells: Mapping[int, Mapping[int, str]]
    uncalculated: int = 0
    rows: int = 0
    columns: int = 0
    kind: str = "worksheet"
    boxes: tuple[Box, ...] = ()


NOTHING = Marks({})


def shown_as(code: str) -> str:
    """How a number format shows numbers, where that changes what they say: "%", leading zeros, or nothing."""
    plain = _NO_FORMAT.sub("", code).split(";")[0].strip()
    if "%" in plain:
        return "%"
    return plain if len(plain) > 1 and set(plain) == {"0"} else ""


BUILTIN = {9: "%", 10: "%"}


def styles(root: Element | None) -> dict[str, str]:
    """The cell styles of an XLSX workbook whose numbers are shown in a way that matters, by their index."""
    if root is None:
        return {}
    formats: dict[str, str] = {str(number): shown for number, shown in BUILTIN.items()}
    for element in root.iter(f"{_S}numFmt"):
        formats[element.get("numFmtId", "")] = shown_as(element.get("formatCode", ""))
    cells = root.find(f"{_S}cellXfs")
    found = enumerate(cells if cells is not None else ())
    return {str(index): shown for index, style in found if (shown := formats.get(style.get("numFmtId", ""), ""))}


def text_boxes(drawing: Element | None) -> tuple[Box, ...]:
    """The text boxes and captioned shapes of an XLSX sheet's drawing."""
    found: list[Box] = []
    for hung in drawing if drawing is not None else ():
        at = {name: hung.findtext(f"{_XDR}from/{_XDR}{name}") or "0" for name in ("row", "col")}
        row, column = (int(text) if text.isdigit() and len(text) < 8 else 0 for text in (at["row"], at["col"]))
        for body in hung.iter(f"{_XDR}txBody"):
            paragraphs = ["".join(piece.text or "" for piece in one.iter(f"{_A}t")) for one in body.iter(f"{_A}p")]
            if text := clean("\n".join(paragraphs)).strip():
                found.append((row, column, text))
    return tuple(found)


def scan(stream: IO[bytes], shown: Mapping[str, str], kind: str = "worksheet", boxes: tuple[Box, ...] = ()) -> Marks:
    """One sheet's XML."""
    find: _Patterns | None = None
    cells: dict[int, dict[int, str]] = {}
    letters: set[bytes] = set()
    last = uncalculated = 0
    for piece in _pieces(stream):
        find = find or _Patterns.of(piece, shown)
        letters.update(_COLUMN.findall(piece))
        last = max(last, max(map(int, set(_ROW.findall(piece))), default=0))
        for column, row, style in find.styled.findall(piece) if find.styled else ():
            _mark(cells, column, row, shown[style.decode()])
        for attributes, inside in find.error.findall(piece) if b't="e"' in piece else ():
            if at := _ADDRESS.search(attributes):
                value = _ERROR_VALUE.search(inside)
                _mark(cells, at[1], at[2], value[1].decode("utf-8", "replace").strip() if value else "#ERROR!")
        if b"f>" in piece or b"/>" in piece:
            # A text may be empty (=""); a formula of another type would have a value if it was ever calculated.
            uncalculated += sum(b't="str"' not in attributes for attributes in find.formula.findall(piece))
    return Marks(cells, uncalculated, last, max(map(_column, letters), default=-1) + 1, kind, boxes)


@dataclass(frozen=True, slots=True)
class _Patterns:
    """How cells of interest look in one sheet: some programs write a prefix before every name."""

    styled: re.Pattern[bytes] | None
    error: re.Pattern[bytes]
    formula: re.Pattern[bytes]

    @classmethod
    def of(cls, start: bytes, shown: Mapping[str, str]) -> _Patterns:
        match = _PREFIX.search(start)
        p = re.escape(match[1] or b"") if match else b""
        styles = b"|".join(re.escape(index.encode()) for index in shown)
        styled = rb"<%sc r=\"([A-Za-z]{1,9})([0-9]{1,18})\"(?: t=\"\w+\")? s=\"(%s)\"" % (p, styles)
        error = rb"<%sc( [^>]*t=\"e\"[^>/]*)>(.*?)</%sc>" % (p, p)
        formula = (
            rb"<%(p)sc( [^>/]*)>\s*<%(p)sf(?: [^>]*)?(?:/>|(?<!/)>[^<]*</%(p)sf>)\s*"
            rb"(?:<%(p)sv>\s*</%(p)sv>|<%(p)sv\s*/>)?\s*</%(p)sc>" % {b"p": p}
        )
        return cls(re.compile(styled) if shown else None, re.compile(error, re.S), re.compile(formula))


def _pieces(stream: IO[bytes]) -> Iterator[bytes]:
    """The XML in pieces that end with a row."""
    kept = b""
    while data := stream.read(_STEP):
        data = kept + data
        end = data.rfind(b"row>") + 4
        if end < 4 and len(data) < _MOST:
            kept = data
            continue
        end = end if end >= 4 else len(data)
        kept = data[end:]
        yield _plain(data[:end])
    yield _plain(kept)


def _plain(xml: bytes) -> bytes:
    """Attributes in double quotes, parted by one space, as nearly every program writes them."""
    if b"='" in xml:
        xml = _QUOTED.sub(rb'="\1"', xml)
    return xml.replace(b"\n", b" ").replace(b"\t", b" ") if b"c\n" in xml or b"c\t" in xml else xml


def _mark(cells: dict[int, dict[int, str]], column: bytes, row: bytes, mark: str) -> None:
    cells.setdefault(int(row) - 1, {})[_column(column)] = mark


def _column(letters: bytes) -> int:
    column = 0
    for letter in letters.upper():
        column = column * 26 + letter - 64
    return column - 1


# --- a sheet with cells far away ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Closed:
    """A workbook in which the rows and columns of one sheet were moved together, and where they were before."""

    data: bytes
    rows: list[int]
    columns: list[int]


def closed_up(archive: zipfile.ZipFile, part: str) -> Closed:
    """The workbook with one sheet whose empty rows and columns are left out."""
    data = _plain(archive.read(part))
    found = _ADDRESS.findall(data)
    rows = sorted({int(row) for _, row in found})
    columns = sorted({_column(letters) for letters, _ in found})
    row_at = {b"%d" % row: b"%d" % index for index, row in enumerate(rows, 1)}
    column_at = {column: _letters(index) for index, column in enumerate(columns)}

    def moved(match: re.Match[bytes]) -> bytes:
        return b' r="%s%s"' % (column_at[_column(match[1])], row_at[b"%d" % int(match[2])])

    data = _ADDRESS.sub(moved, data)
    # A row's own number would hold against its cells' where these have none; such rows hold nothing that was found.
    data = re.sub(rb"(<(?:\w+:)?row\b[^>]*?) r=\"[0-9]+\"", rb"\1", data)
    return Closed(_with(archive, part, data), [row - 1 for row in rows], columns)


def _letters(column: int) -> bytes:
    letters = b""
    column += 1
    while column:
        column, letter = divmod(column - 1, 26)
        letters = bytes([65 + letter]) + letters
    return letters


def _with(archive: zipfile.ZipFile, part: str, data: bytes) -> bytes:
    """The package with one part replaced, and without its pictures."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for info in archive.infolist():
            if info.filename == part:
                target.writestr(info.filename, data)
            elif "media/" not in info.filename and not info.is_dir():
                target.writestr(info.filename, archive.read(info))
    return packed.getvalue()
