"""The records of XLS and XLSB workbooks, as far as `marks` needs them: errors, percentages, leading zeros, extents.

Damaged records end the pass; what was found until then is kept. Values are calamine's business.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Iterator
from typing import IO

from localrag.ingest.readers.marks import BUILTIN, Marks, shown_as

_ERRORS = {
    0: "#NULL!",
    7: "#DIV/0!",
    15: "#VALUE!",
    23: "#REF!",
    29: "#NAME?",
    36: "#NUM!",
    42: "#N/A",
    43: "#GETTING_DATA",
}
_DAMAGED = (struct.error, IndexError, ValueError, KeyError, OSError)


class _Found:
    """The marks of one sheet while they are collected."""

    def __init__(self) -> None:
        self.cells: dict[int, dict[int, str]] = {}
        self.rows = self.columns = 0

    def cell(self, row: int, column: int, mark: str = "") -> None:
        self.rows, self.columns = max(self.rows, row + 1), max(self.columns, column + 1)
        if mark:
            self.cells.setdefault(row, {})[column] = mark

    def marks(self) -> Marks:
        return Marks(self.cells, 0, self.rows, self.columns)


# --- XLS ------------------------------------------------------------------------------------------------------

_LOWEST, _RIGHTMOST = 65_536, 256
_OLD_KINDS = {1: "macro sheet", 2: "chart", 6: "macro module"}


def scan_xls(workbook: bytearray) -> list[Marks]:
    """The sheets of a workbook stream, in their order.

    Dimensions that cannot be are taken out of the stream: calamine reserves memory by them.
    """
    shown: list[str] = []
    formats = dict(BUILTIN)
    sheets: list[tuple[int, str]] = []
    wide = True
    try:
        for kind, _, data in _records(workbook, 0):
            if kind == 0x0809:
                wide = data[:2] == b"\0\6"
            elif kind == 0x0085:
                sheets.append((struct.unpack_from("<I", data)[0], _OLD_KINDS.get(data[5], "worksheet")))
            elif kind == 0x041E:
                formats[struct.unpack_from("<H", data)[0]] = shown_as(_format(data[2:], wide))
            elif kind == 0x00E0:
                shown.append(formats.get(struct.unpack_from("<H", data, 2)[0], ""))
    except _DAMAGED:
        pass
    return [_scan_sheet(workbook, start, shown, kind) for start, kind in sheets]


def _records(data: bytearray, position: int) -> Iterator[tuple[int, int, bytearray]]:
    """The records of a substream (kind, place, data) up to its end, without the substreams (charts) inside it."""
    depth = 0
    while position + 4 <= len(data):
        kind, size = struct.unpack_from("<HH", data, position)
        position += 4
        depth += kind == 0x0809
        if depth == 1:
            yield kind, position, data[position : position + size]
        depth -= kind == 0x000A
        if depth <= 0:
            return
        position += size


def _format(data: bytearray, wide: bool) -> str:
    if not wide:
        return data[1:].decode("cp1252", "replace")
    return data[3:].decode("utf-16-le" if data[2] & 1 else "latin-1", "replace")


def _scan_sheet(workbook: bytearray, start: int, shown: list[str], kind: str) -> Marks:
    found = _Found()
    try:
        for record, place, data in _records(workbook, start):
            if record in (0x0203, 0x027E):  # NUMBER, RK
                row, column, style = struct.unpack_from("<HHH", data)
                found.cell(row, column, shown[style])
            elif record == 0x00BD:  # MULRK
                row, first = struct.unpack_from("<HH", data)
                for column in range((len(data) - 6) // 6):
                    found.cell(row, first + column, shown[struct.unpack_from("<H", data, 4 + 6 * column)[0]])
            elif record == 0x0006:  # FORMULA
                row, column, style = struct.unpack_from("<HHH", data)
                special = data[12:14] == b"\xff\xff"
                found.cell(row, column, _ERRORS.get(data[8], "#ERROR!") if special and data[6] == 2 else shown[style])
            elif record == 0x0205 and data[7]:  # BOOLERR
                row, column = struct.unpack_from("<HH", data)
                found.cell(row, column, _ERRORS.get(data[6], "#ERROR!"))
            elif record in (0x00FD, 0x0204, 0x00D6):  # texts
                row, column = struct.unpack_from("<HH", data)
                found.cell(row, column)
            elif record == 0x0200:  # DIMENSIONS
                top, bottom, left, right = struct.unpack_from("<HHHH" if len(data) == 10 else "<IIHH", data)
                if top > bottom or left > right or bottom > _LOWEST or right > _RIGHTMOST:
                    workbook[place : place + len(data)] = bytes(len(data))
    except _DAMAGED:
        pass
    marks = found.marks()
    return Marks(marks.cells, 0, marks.rows, marks.columns, kind)


# --- XLSB -----------------------------------------------------------------------------------------------------


def scan_xlsb(archive: zipfile.ZipFile) -> list[Marks]:
    """The sheets of a workbook, in their order.

    Raises:
        ValueError: it is too damaged to tell how far its sheets reach; so calamine must not see it.
    """
    try:
        shown = _styles(archive)
        return [_scan_part(archive, part, shown) for part in _parts(archive)]
    except _DAMAGED as error:
        raise ValueError(f"damaged records: {error}") from error


def _parts(archive: zipfile.ZipFile) -> list[str]:
    from localrag.ingest.readers.safe_xml import parse

    targets = {
        element.get("Id", ""): element.get("Target", "")
        for element in parse(archive.read("xl/_rels/workbook.bin.rels"))
    }
    parts: list[str] = []
    with archive.open("xl/workbook.bin") as stream:
        for kind, data in _binary(stream):
            if kind == 156:  # BrtBundleSh
                (length,) = struct.unpack_from("<I", data, 8)
                target = targets[data[12 : 12 + 2 * length].decode("utf-16-le")]
                parts.append(target.lstrip("/") if target.startswith("/") else f"xl/{target}")
    return parts


def _styles(archive: zipfile.ZipFile) -> list[str]:
    formats = dict(BUILTIN)
    shown: list[str] = []
    inside = False
    if "xl/styles.bin" not in archive.namelist():
        return shown
    with archive.open("xl/styles.bin") as stream:
        for kind, data in _binary(stream):
            if kind == 44:  # BrtFmt
                number, length = struct.unpack_from("<HI", data)
                formats[number] = shown_as(data[6 : 6 + 2 * length].decode("utf-16-le", "replace"))
            elif kind in (617, 618):  # the cells' styles begin and end
                inside = kind == 617
            elif kind == 47 and inside:  # BrtXF
                shown.append(formats.get(struct.unpack_from("<H", data, 2)[0], ""))
    return shown


def _scan_part(archive: zipfile.ZipFile, part: str, shown: list[str]) -> Marks:
    found = _Found()
    row = 0
    with archive.open(part) as stream:
        for kind, data in _binary(stream):
            if kind == 0:  # BrtRowHdr
                (row,) = struct.unpack_from("<I", data)
            elif 1 < kind <= 11:
                column, style = struct.unpack_from("<II", data)
                style &= 0xFFFFFF
                error = kind in (3, 11)
                number = kind in (2, 5, 9) and style < len(shown)
                found.cell(row, column, _ERRORS.get(data[8], "#ERROR!") if error else shown[style] if number else "")
    return found.marks()


def _binary(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """The records of a part: numbers of 7 bits a byte, then the data."""
    data = stream.read()
    position = 0
    while position < len(data):
        kind, position = _number(data, position, 2)
        size, position = _number(data, position, 4)
        yield kind, data[position : position + size]
        position += size


def _number(data: bytes, position: int, most: int) -> tuple[int, int]:
    value = 0
    for index in range(most):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            break
    return value, position
