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

from localrag.readers.cleaning import clean
from localrag.readers.grids import Box

_S = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_XDR = "{http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_STEP = 1 << 22
_MOST = 1 << 26  # a longer row than any

_P = rb"(?:\w+:)?"  # some programs write a prefix to every name
_ADDRESS = re.compile(rb"\sr=[\"']([A-Z]{1,3})([0-9]{1,7})[\"']")
_ERROR = re.compile(rb"<" + _P + rb"c\s([^>]*\bt=[\"']e[\"'][^>/]*)>(.*?)</" + _P + rb"c>", re.S)
_ERROR_VALUE = re.compile(rb"<" + _P + rb"v[^>]*>([^<]*)<")
_FORMULA = re.compile(
    rb"<%(p)sc\s([^>/]*)>\s*<%(p)sf(?:\s[^>]*)?(?:/>|(?<!/)>[^<]*</%(p)sf>)\s*"
    rb"(?:<%(p)sv>\s*</%(p)sv>|<%(p)sv\s*/>)?\s*</%(p)sc>" % {b"p": _P}
)
_TEXT = re.compile(rb"\bt=[\"']str[\"']")  # a formula may say nothing: ="")
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
    cells: dict[int, dict[int, str]] = {}
    letters: set[bytes] = set()
    last = uncalculated = 0
    numbers = b"|".join(re.escape(index.encode()) for index in shown)
    styled = re.compile(rb"<" + _P + rb"c\s([^>]*\bs=[\"'](" + numbers + rb")[\"'][^>]*)>") if shown else None
    for piece in _pieces(stream):
        addresses = _ADDRESS.findall(piece)
        letters.update(column for column, _ in addresses)
        last = max(last, max(map(int, {row for _, row in addresses}), default=0))
        for match in styled.finditer(piece) if styled else ():
            _mark(cells, match[1], shown[match[2].decode()])
        for match in _ERROR.finditer(piece):
            value = _ERROR_VALUE.search(match[2])
            _mark(cells, match[1], value[1].decode("utf-8", "replace").strip() if value else "#ERROR!")
        uncalculated += sum(_TEXT.search(match[1]) is None for match in _FORMULA.finditer(piece))
    return Marks(cells, uncalculated, last, max(map(_column, letters), default=-1) + 1, kind, boxes)


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
        yield data[:end]
    yield kept


def _mark(cells: dict[int, dict[int, str]], attributes: bytes, mark: str) -> None:
    if match := _ADDRESS.search(b" " + attributes):
        cells.setdefault(int(match[2]) - 1, {})[_column(match[1])] = mark


def _column(letters: bytes) -> int:
    column = 0
    for letter in letters:
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
    data = archive.read(part)
    found = _ADDRESS.findall(data)
    rows = sorted({int(row) for _, row in found})
    columns = sorted({_column(letters) for letters, _ in found})
    row_at = {b"%d" % row: b"%d" % index for index, row in enumerate(rows, 1)}
    column_at = {column: _letters(index) for index, column in enumerate(columns)}

    def moved(match: re.Match[bytes]) -> bytes:
        return b' r="%s%s"' % (column_at[_column(match[1])], row_at[b"%d" % int(match[2])])

    data = _ADDRESS.sub(moved, data)
    # A row's own number would hold against its cells' where these have none; such rows hold nothing that was found.
    data = re.sub(rb"(<" + _P + rb"row\b[^>]*?)\sr=[\"'][0-9]+[\"']", rb"\1", data)
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
