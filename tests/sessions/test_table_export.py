import csv
import io
import json
import re
import zipfile
from datetime import date
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from localrag.errors import UsageError
from localrag.sessions import table_export
from localrag.sessions.table_export import valued, widths, written

ROWS = [
    {"document": "a.txt", "found": True, "answer": "90 days, at least", "likelihood": 0.93},
    {"document": "b|c.txt", "found": False, "answer": "", "likelihood": None, "rent": "“5”\nper year"},
]


def read(rows):
    return list(csv.reader(io.StringIO(written(rows, Path("t.csv")).decode("utf-8-sig"))))


def test_csv_has_every_cell_and_opens_as_utf_8():
    assert written(ROWS, Path("t.csv")).startswith(b"\xef\xbb\xbf")
    assert read(ROWS) == [
        ["document", "found", "answer", "likelihood", "rent"],
        ["a.txt", "yes", "90 days, at least", "0.93", ""],
        ["b|c.txt", "no", "", "", "“5”\nper year"],
    ]


@pytest.mark.parametrize("text", ["=1+1", "-2+3", "@SUM(A1)", " =1", "\t1"])
def test_what_a_spreadsheet_would_run_is_text(text):
    assert read([{"a": text}])[1] == [f"'{text}"]
    assert read([{text: "x"}])[0] == [f"'{text}"]


@pytest.mark.parametrize(
    "text", ["-5", "+3.5", "-1,200", "a=b", "2024-01-01", "", "due; -5; +3.5", "x\n-1,200", "rent = 5; a=b"]
)
def test_numbers_and_plain_text_stay_as_they_are(text):
    assert read([{"a": text, "b": "x"}])[1] == [text, "x"]


def test_json_keeps_kinds_and_no_rows_are_a_table_too():
    assert json.loads(written(ROWS, Path("T.JSON"))) == ROWS
    assert json.loads(written([], Path("t.json"))) == [] and written([], Path("t.md")) == b"" and sheet([]) == []
    assert json.loads(written([FOUND], Path("t.json"))) == [FOUND]
    assert read([FOUND])[0][-1] == "source" and "start" not in read([FOUND])[0], "offsets are in JSON alone"


def test_markdown_escapes_what_it_would_read():
    lines = written(ROWS, Path("t.md")).decode().splitlines()
    assert lines[1] == "| --- | --- | --- | --- | --- |"
    assert lines[3] == "| b\\|c.txt | no |  |  | “5” per year |"
    row = {"document": "a.txt", "answer": "see https://a.example, www.b.example or c@d.example"}
    assert "link_open" not in str(MarkdownIt("gfm-like").parse(written([row], Path("t.md")).decode()))


def test_another_suffix_is_refused_with_those_that_can_be():
    with pytest.raises(UsageError) as raised:
        written(ROWS, Path("t.docx"))
    assert ".csv, .xlsx, .db, .parquet, .json, .md" in raised.value.hint


FOUND = {"library": "c", "document": "msa.pdf", "found": True, "answer": "EUR 48,000.50", "signed": "3 March 2024"}
FOUND |= {"place": "p. 12", "quote": "The rent", "page": 12, "start": 3, "end": 11}


def sheet(rows):
    from python_calamine import CalamineWorkbook

    book = CalamineWorkbook.from_filelike(io.BytesIO(written(rows, Path("t.xlsx"), "How much?")))
    return book.get_sheet_by_index(0).to_python(skip_empty_area=False)


def inside(rows, name):
    with zipfile.ZipFile(io.BytesIO(written(rows, Path("t.xlsx"), "How much?"))) as parts:
        return parts.read(name).decode()


def test_an_excel_file_has_typed_numbers_and_dates_below_a_head_that_stays():
    head, row = sheet([FOUND])
    assert head == ["Document", "Answer", "Signed", "Page", "Quote"]
    assert row == ["msa.pdf", 48000.5, date(2024, 3, 3), 12, "The rent"]
    parts = inside([FOUND, FOUND], "xl/worksheets/sheet1.xml")
    assert '<pane ySplit="1"' in parts and 'state="frozen"' in parts and '<autoFilter ref="A1:E3"/>' in parts
    assert "<dc:title>How much?</dc:title>" in inside([FOUND], "docProps/core.xml")


@pytest.mark.parametrize(
    "text", ["＝1+1", "－1-1", "a;=1+1", "a\n=1+1", "a\t@SUM(A1)", 'a;"=1+1', ";-5+cmd", "a;b;+cmd|' /C calc'!A0"]
)
def test_no_cell_of_a_csv_file_is_a_formula_whatever_its_separator(text):
    """Spreadsheets of many countries split CSV at semicolons, and then take the quotes for letters."""
    lines = written([{"a": text}], Path("t.csv")).decode("utf-8-sig")
    cells = [cell.strip().strip('"').strip() for cell in re.split(r"[,;\t\r\n]", lines)]
    assert [cell for cell in cells if cell[:1] in set("=+-@＝＋－＠") - {""} and cell] == []


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", '=HYPERLINK("http://x")'])
def test_no_cell_of_an_excel_file_is_a_formula_or_a_link(text):
    rows = [{"a": text, text: "x"}]
    assert sheet(rows)[1][0] == text
    parts = inside(rows, "xl/worksheets/sheet1.xml")
    assert "<f>" not in parts and "hyperlink" not in parts
    assert 'quotePrefix="1"' in inside(rows, "xl/styles.xml")


@pytest.mark.parametrize(
    ("cell", "worth", "form"),
    [
        *((text, None, "") for text in ("0042", "1234567890123456", "3/4/2024", "1,20", "about 5", "5 days", "")),
        *((other, None, "") for other in ("31 June 2024", None, True, "1888-01-01")),
        (12, 12, "General"),
        ("1,200", 1200, "#,##0"),
        ("−3.50", -3.5, "0.00"),
        ("16.4 %", 0.164, "0.0%"),
        ("$1,200", 1200, '"$ "#,##0'),
        ("48,000.50 EUR", 48000.5, '#,##0.00" EUR"'),
        ("2024-03-03", date(2024, 3, 3), "yyyy-mm-dd"),
    ],
)
def test_what_fills_a_cell_without_doubt_is_a_value(cell, worth, form):
    number, shown = valued(cell)
    assert (pytest.approx(worth) if isinstance(worth, float) else worth) == number
    assert shown == form


def test_what_excel_cannot_hold_is_cut_and_replaced_not_refused():
    (_, row) = sheet([{"a": "x" * 40_000, "b": "\ud800\x00\x1b[31m"}])
    assert len(str(row[0])) == 32_767 and str(row[0]).endswith("…") and "[31m" in str(row[1])


def test_a_sheet_prints_across_as_wide_as_a_page_with_its_head_on_each():
    parts = inside([FOUND], "xl/worksheets/sheet1.xml")
    (setup,) = re.findall(r"<pageSetup ([^>]+)/>", parts)
    assert set(setup.split()) == {'paperSize="9"', 'orientation="landscape"', 'fitToHeight="0"'}
    assert "fitToPage" in parts
    assert "How much?&amp;R&amp;8Page &amp;P of &amp;N" in parts and "printOptions gridLines" in parts
    assert "_xlnm.Print_Titles" in inside([FOUND], "xl/workbook.xml") and "$1:$1" in inside([FOUND], "xl/workbook.xml")


def test_a_page_is_a_number_that_links_to_its_original(tmp_path):
    evil = {**FOUND, "document": "javascript:a\u202e #.pdf", "place": "p. 2 (printed ii)"}
    here = {"msa.pdf": tmp_path / "contracts" / "msa.pdf", evil["document"]: tmp_path / evil["document"]}
    rows = [FOUND, evil, {**FOUND, "place": "2. Term"}, {**FOUND, "document": "elsewhere.pdf"}]
    table_export.save(
        rows, tmp_path / "t.xlsx", "How much?", lambda _: None, originals=lambda name: here if name == "c" else {}
    )
    with zipfile.ZipFile(tmp_path / "t.xlsx") as parts:
        targets = re.findall(r'Target="([^"]+)"', parts.read("xl/worksheets/_rels/sheet1.xml.rels").decode())
        cells = parts.read("xl/worksheets/sheet1.xml").decode()
    assert targets == ["contracts\\msa.pdf", "javascript%3Aa%E2%80%AE%20%23.pdf", "contracts\\msa.pdf"]
    assert re.findall(r'hyperlink ref="(\w+)" r:id="rId\d"( location="[^"]+")?', cells) == [
        *(("D2", ' location="page=12"'), ("D3", ' location="page=2"'), ("E4", ""))
    ]
    assert [row[3:5] for row in sheet(rows)[1:]] == [[12, ""], [2, "printed ii"], ["", "2. Term"], [12, ""]]


def test_likelihoods_are_shares_and_what_only_programs_read_is_left_out():
    rows = [
        {**FOUND, "read": "whole", "likelihood": 0.615, "why_not": ""},
        {
            "library": "c",
            "document": "a.pdf",
            "found": False,
            "answer": "",
            "place": "",
            "quote": "",
            "likelihood": 0.47,
        }
        | {"why_not": "only 47% likely that it says so", "page": None, "start": None, "end": None, "read": "whole"},
    ]
    assert sheet(rows)[0] == ["Document", "Answer", "Signed", "Page", "Quote", "Likely there"]
    assert [(row[1], row[5]) for row in sheet(rows)[1:]] == [(48000.5, 0.615), ("nothing found", 0.47)]
    assert 'formatCode="0%"' in inside(rows, "xl/styles.xml") or 'numFmtId="9"' in inside(rows, "xl/styles.xml")
    rows[0]["answer"] = "yes"
    text = written(rows, Path("t.md")).decode()
    assert "| yes (62 %) |" in text and "| nothing found (47 %) |" in text and "Likely" not in text


def test_no_word_of_a_column_breaks_and_the_room_goes_where_texts_are_long():
    shown = [["Importance", "high"], ["Quote", "word " * 40], ["To propose", ""], ["Page", "7"]]
    narrow, quote, empty, page = widths(shown, 70)
    assert narrow >= len("Importance") and quote > 30 and empty >= len("propose") and page < 10
    assert sum(widths(shown, 70)) <= 70 and widths([], 70) == [] and max(widths([["x" * 500]], 200)) == 60


def test_text_cannot_turn_its_direction_in_a_sheet_or_in_markdown():
    rows = [{"a": "safe\u202egpj.exe", "b\u202e": "x"}]
    assert "\u202e" not in str(sheet(rows)) and "\u202e" not in written(rows, Path("t.md")).decode()


def test_fields_of_an_extraction_keep_their_names_and_have_their_pages(tmp_path):
    at = {"quote": "Total:\n5", "place": "p. 3", "page": 3, "start": 0, "end": 8}
    rows = [{"library": "c", "document": "a.pdf", "item": "7", "found": "x", "sources": {"item": at}}]
    rows.append({"library": "c", "document": "b.pdf", "item": None, "found": "y", "sources": {"found": at}})
    head, first, second = sheet(rows)
    assert head == ["document", "item", "found", "item page", "item quote", "found page", "found quote"]
    assert first == ["a.pdf", 7, "x", 3, "Total: 5", "", ""] and second == ["b.pdf", "", "y", "", "", 3, "Total: 5"]
