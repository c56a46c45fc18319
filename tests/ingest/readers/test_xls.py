"""Old workbooks (XLS), built record by record."""

import struct

from containers import compound

from localrag.ingest.readers import sheets
from localrag.ingest.readers.source import Options, Source


def record(kind, *parts):
    data = b"".join(parts)
    return struct.pack("<HH", kind, len(data)) + data


def begin(kind):
    return record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0, 0, 0, 0))


END = record(0x000A)


def number(row, column, value):
    return record(0x0203, struct.pack("<HHHd", row, column, 0, value))


def label(row, column, text):
    return record(0x0204, struct.pack("<HHHHB", row, column, 0, len(text), 0), text.encode("latin-1"))


def workbook(*parts, hidden=(), kinds=None):
    def bound(at, n):
        name = b"Sheet" + bytes([48 + n])
        return record(0x0085, struct.pack("<IBBBB", at, n in hidden, (kinds or {}).get(n, 0), 6, 0), name)

    numbers = range(1, len(parts) + 1)
    at = len(begin(5)) + sum(len(bound(0, n)) for n in numbers) + len(END)
    head = [begin(5)]
    for n, part in zip(numbers, parts, strict=True):
        head.append(bound(at, n))
        at += len(part)
    return b"".join([*head, END, *parts])


def sheet(*records):
    return b"".join([begin(0x10), *records, END])


def read(*parts, **details):
    return sheets.read(Source("a.xls", data=compound("Workbook", workbook(*parts, **details))), Options())


def test_sheets_of_old_workbooks_are_pages():
    first = sheet(label(0, 0, "Item"), label(0, 1, "Price"), label(1, 0, "Bolt"), number(1, 1, 12.0))
    reading = read(first, sheet(), hidden=[2])
    assert reading.pages[0].text == "| Item | Price |\n| --- | --- |\n| Bolt | 12 |"
    assert [(p.number, p.label) for p in reading.pages] == [(1, "Sheet1"), (2, "Sheet2")]
    assert reading.skipped == () and [remark.number for remark in reading.remarks] == [2]


def test_a_chart_sheet_is_reported():
    reading = read(sheet(number(0, 0, 1.0)), b"".join([begin(0x20), END]), kinds={2: 2})
    assert [(skipped.number, "chart" in skipped.reason) for skipped in reading.skipped] == [(2, True)]
