"""XLS and XLSB, put together record by record: what calamine leaves out comes from the records."""

import io
import struct
import zipfile

import olefile
import pytest

from localrag.errors import ReadError
from localrag.ingest.readers import biff, properties, sheets
from localrag.ingest.readers.compound import compound
from localrag.ingest.readers.source import Options, Source

R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def record(kind, *parts):
    data = b"".join(parts)
    return struct.pack("<HH", kind, len(data)) + data


def begin(kind):
    return record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0, 0, 0, 0))


END = record(0x000A)


def number(row, column, value, style=0):
    return record(0x0203, struct.pack("<HHHd", row, column, style, value))


def label(row, column, text):
    return record(0x0204, struct.pack("<HHHHB", row, column, 0, len(text), 0), text.encode("latin-1"))


def error(row, column, code):
    return record(0x0205, struct.pack("<HHHBB", row, column, 0, code, 1))


def formula_error(row, column, code):
    return record(
        0x0006, struct.pack("<HHHBBBBHHHI", row, column, 0, 2, 0, code, 0, 0, 0xFFFF, 0, 0), struct.pack("<H", 0)
    )


def workbook(*parts, hidden=(), kinds=None):
    """A workbook stream; styles 0, 1 and 2 are general, percent and five digits."""
    code = "00000"
    head = [begin(5), record(0x041E, struct.pack("<HHB", 170, len(code), 0), code.encode())]
    head += [record(0x00E0, struct.pack("<HH16x", 0, form)) for form in (0, 10, 170)]
    bound = [
        record(0x0085, struct.pack("<IBBBB", 0, 0, 0, 6, 0), b"Sheet" + bytes([48 + n]))
        for n in range(1, len(parts) + 1)
    ]
    at = sum(map(len, [*head, *bound, END]))
    bound = []
    for n, part in enumerate(parts, 1):
        kind = (kinds or {}).get(n, 0)
        name = b"Sheet" + bytes([48 + n])
        bound.append(record(0x0085, struct.pack("<IBBBB", at, n in hidden, kind, 6, 0), name))
        at += len(part)
    return b"".join([*head, *bound, END, *parts])


def sheet(*records):
    return b"".join([begin(0x10), *records, END])


def read(*parts, **details):
    return sheets.read(Source("a.xls", data=compound("Workbook", workbook(*parts, **details))), Options())


def test_sheets_of_old_workbooks_are_pages():
    reading = read(
        sheet(label(0, 0, "Item"), label(0, 1, "Price"), label(1, 0, "Bolt"), number(1, 1, 12.0)), sheet(), hidden=[2]
    )
    assert reading.pages[0].text == "| Item | Price |\n| --- | --- |\n| Bolt | 12 |"
    assert [(p.number, p.label) for p in reading.pages] == [(1, "Sheet1"), (2, "Sheet2")]
    assert reading.skipped == () and "hidden" in reading.remarks[0].text


def test_percentages_leading_zeros_and_errors_are_shown():
    rows = [number(0, 0, 0.5, 1), number(0, 1, 42, 2), error(0, 2, 7), formula_error(0, 3, 42)]
    rows.append(
        record(0x00BD, struct.pack("<HHHIHIH", 0, 4, 1, (25 << 2) | 3, 0, (7 << 2) | 2, 5))
    )  # 0.25 as percent, 7
    rows.append(record(0x027E, struct.pack("<HHHI", 0, 6, 1, (1 << 2) | 2)))
    assert read(sheet(*rows)).pages[0].text.startswith("| 50% | 00042 | #DIV/0! | #N/A | 25% | 7 | 100% |")


def test_charts_inside_a_sheet_do_not_hide_what_comes_behind():
    chart = begin(0x20) + number(0, 0, 9.0, 1) + END
    (marks,) = biff.scan_xls(bytearray(workbook(sheet(number(0, 0, 1.0), chart, error(1, 0, 7)))))
    assert marks.cells == {1: {0: "#DIV/0!"}} and marks.rows == 2


def test_a_chart_sheet_is_said_to_be_one():
    reading = read(sheet(number(0, 0, 1.0)), b"".join([begin(0x20), END]), kinds={2: 2})
    assert reading.skipped[0].reason == "a chart sheet, without cells"


def test_damaged_records_keep_what_was_found_before():
    (marks,) = biff.scan_xls(bytearray(workbook(begin(0x10) + error(0, 0, 7) + record(0x0203, b"\0"))))
    assert marks.cells == {0: {0: "#DIV/0!"}}
    assert biff.scan_xls(bytearray(b"\x09\x08\xff\xff")) == []


def test_dimensions_that_cannot_be_cost_no_memory():
    """calamine 0.37 reserves memory for as many cells, and ends the process where there is not enough."""
    false = record(0x0200, struct.pack("<IIHHH", 0, 0xFFFFFFF0, 0, 256, 0))
    assert read(sheet(false, number(0, 0, 1.0))).pages[0].text == "1"


def test_a_damaged_container_is_not_followed_in_circles():
    """calamine 0.37 itself takes memory without end here."""
    data = bytearray(compound("Workbook", workbook(sheet(number(0, 0, 1.0)))))
    fat = 4096
    data[fat + 4 : fat + 8] = struct.pack("<I", 1)  # the directory goes on with itself
    assert sheets.read(Source("a.xls", data=bytes(data)), Options()).pages[0].text == "1"


def test_old_workbooks_of_any_size_fit_into_the_new_container():
    for size in (1, 4096, 5_000_000):
        data = bytes(n % 251 for n in range(1000)) * (size // 1000 + 1)
        with olefile.OleFileIO(io.BytesIO(compound("Workbook", data))) as container:
            assert container.openstream("Workbook").read()[: len(data)] == data and not container.parsing_issues


def test_title_author_and_date_come_from_the_summary():
    values = {
        1: struct.pack("<IHH", 2, 1251, 0),
        2: struct.pack("<II", 0x1E, 6) + "Цены ".encode("cp1251") + b"\0\0\0",
        4: struct.pack("<II", 0x1F, 3) + "Jo\0".encode("utf-16-le") + b"\0\0",
        13: struct.pack("<IQ", 0x40, 133_538_544_000_000_000),
    }
    at, pairs, body = 8 + 8 * len(values), b"", b""
    for key, value in values.items():
        pairs += struct.pack("<II", key, at + len(body))
        body += value
    data = bytes(44) + struct.pack("<I", 48) + struct.pack("<II", 0, len(values)) + pairs + body
    assert properties.summary(data) == properties.Summary("Цены", "Jo", "2024-03-02T12:00:00+00:00")
    for length in range(len(data)):
        properties.summary(data[:length])  # whatever is missing
    assert properties.summary(data[:52] + b"\xff" * 4 + data[56:]).title == "Цены"


# --- XLSB -------------------------------------------------------------------------------------------------------


def binary(kind, *parts):
    data = b"".join(parts)
    head = bytes([kind]) if kind < 128 else bytes([kind & 0x7F | 0x80, kind >> 7])
    return head + bytes([len(data)]) + data


def wide(text):
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def xlsb(*rows):
    """One sheet; each row is a list of (kind, style, value)."""
    cells = b"".join(
        binary(0, struct.pack("<I13x", number))
        + b"".join(
            binary(kind, struct.pack("<II", column, style), value) for column, (kind, style, value) in enumerate(row)
        )
        for number, row in enumerate(rows)
    )
    dimension = binary(148, struct.pack("<IIII", 0, len(rows) - 1, 0, max(map(len, rows)) - 1))
    files = {
        "[Content_Types].xml": "<Types/>",
        "xl/workbook.bin": binary(131) + binary(153, bytes(8) + wide("")) + binary(143) + binary(156, bytes(4), struct.pack("<I", 1), wide("rId1"), wide("Rates")) + binary(144) + binary(132),
        "xl/_rels/workbook.bin.rels": f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="rId1" Type="{R}/worksheet" Target="worksheets/sheet1.bin"/></Relationships>',
        "xl/styles.bin": binary(278) + binary(617, struct.pack("<I", 2)) + binary(47, struct.pack("<HH12x", 0, 0)) + binary(47, struct.pack("<HH12x", 0, 10)) + binary(618) + binary(279),
        "xl/worksheets/sheet1.bin": binary(129) + dimension + binary(145) + cells + binary(146) + binary(130),
    }  # fmt: skip
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return Source("a.xlsb", data=stream.getvalue())


def test_binary_workbooks_are_read_with_percentages_and_errors():
    real = struct.pack("<d", 0.25)
    rows = [
        [(6, 0, wide("Rate")), (6, 0, wide("Change"))],
        [(5, 1, real), (3, 0, b"\x07")],
        [(5, 0, real), (5, 0, real)],
    ]
    (page,) = sheets.read(xlsb(*rows), Options()).pages
    assert page.label == "Rates"
    assert page.text == "| Rate | Change |\n| --- | --- |\n| 25% | #DIV/0! |\n| 0.25 | 0.25 |"


def test_a_binary_sheet_that_reaches_too_far_is_skipped_and_said():
    source = xlsb([(5, 0, struct.pack("<d", 1.0))])
    with zipfile.ZipFile(io.BytesIO(source.data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    far = binary(0, struct.pack("<I13x", 1_048_575)) + binary(5, struct.pack("<II", 16_383, 0), struct.pack("<d", 1.0))
    files["xl/worksheets/sheet1.bin"] = files["xl/worksheets/sheet1.bin"].replace(binary(146), far + binary(146))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    with pytest.raises(ReadError, match="reaches to row 1,048,576 and column 16,384"):
        sheets.read(Source("a.xlsb", data=stream.getvalue()), Options())
