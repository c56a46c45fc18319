"""Workbooks are put together here from their parts, so that each says exactly what the test is about."""

from xml.sax.saxutils import escape

import pytest
from containers import compound, zipped

from localrag.errors import ReadError
from localrag.ingest.readers import sheets
from localrag.ingest.readers.source import Options, Source
from localrag.store.locations import cell_name

S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
P = "http://schemas.openxmlformats.org/package/2006"
FORMATS = ["General", "0.0%", "yyyy-mm-dd", "yyyy-mm-dd hh:mm", "[h]:mm", "00000", "hh:mm:ss", '0.00" %"']
STYLES = (
    f'<styleSheet xmlns="{S}"><numFmts>'
    + "".join(
        f'<numFmt numFmtId="{164 + n}" formatCode="{escape(f, {chr(34): "&quot;"})}"/>' for n, f in enumerate(FORMATS)
    )
    + "</numFmts><cellXfs>"
    + "".join(f'<xf numFmtId="{164 + n}"/>' for n in range(len(FORMATS)))
    + "</cellXfs></styleSheet>"
)


def cell(place, value):
    """A cell's XML: text, number, boolean, XML as it is ("<..."), or (number, format)."""
    value, style = value if isinstance(value, tuple) else (value, "General")
    head = f'<c r="{place}" s="{FORMATS.index(style)}"'
    if isinstance(value, bool):
        return f'{head} t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f"{head}><v>{value!r}</v></c>"
    if value.startswith("#"):
        return f'{head} t="e"><f>A1/0</f><v>{value}</v></c>'
    if value.startswith("<"):
        return f"{head}>{value}</c>"
    return f'{head} t="inlineStr"><is><t>{escape(value)}</t></is></c>'


def sheet(rows, merged=(), first=1, more=""):
    body = "".join(
        f'<row r="{number}">'
        + "".join(cell(cell_name(number - 1, column), value) for column, value in enumerate(row) if value is not None)
        + "</row>"
        for number, row in enumerate(rows, first)
    )
    joined = "".join(f'<mergeCell ref="{ref}"/>' for ref in merged)
    joined = f"<mergeCells>{joined}</mergeCells>" if joined else ""
    return f'<worksheet xmlns="{S}" xmlns:r="{R}"><sheetData>{body}</sheetData>{joined}{more}</worksheet>'


def xlsx(*parts, names=(), hidden=(), charts=(), more=(), name="a.xlsx"):
    names = [*names, *[f"Sheet{n}" for n in range(len(names) + 1, len(parts) + 1)]]
    listed = "".join(
        f'<sheet name="{one}" sheetId="{n}" r:id="rId{n}"{" state=" + chr(34) + "hidden" + chr(34) if n in hidden else ""}/>'
        for n, one in enumerate(names, 1)
    )
    kinds = ["chartsheet" if n in charts else "worksheet" for n in range(1, len(parts) + 1)]
    places = [f"{kind}s/sheet{n}.xml" for n, kind in enumerate(kinds, 1)]
    related = "".join(
        f'<Relationship Id="rId{n}" Type="{R}/{kind}" Target="{place}"/>'
        for n, (kind, place) in enumerate(zip(kinds, places, strict=True), 1)
    )
    files = {
        "[Content_Types].xml": f'<Types xmlns="{P}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{P}/relationships"><Relationship Id="r1" Type="{R}/officeDocument"'
        ' Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{S}" xmlns:r="{R}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{P}/relationships">{related}<Relationship Id="rIdS"'
        f' Type="{R}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": STYLES,
        **{f"xl/{place}": part for place, part in zip(places, parts, strict=True)},
        **dict(more),
    }
    return Source(name, data=zipped(files))


def read(source, **options):
    return sheets.read(source, Options(**options))


def lines(page):
    """(cell, line) for each line; a line without an anchor has no cell."""
    names = {anchor.start: anchor.name for anchor in page.anchors}
    at, found = 0, []
    for line in page.text.split("\n"):
        found.append((names.pop(at, ""), line))
        at += len(line) + 1
    assert not names, "every anchor begins a line"
    return [pair for pair in found if pair[1]]


def text(*rows, **details):
    return read(xlsx(sheet(rows, **details))).pages[0].text


def test_each_sheet_is_a_page_and_hidden_and_chart_sheets_are_reported():
    parts = sheet([["a"]]), sheet([]), sheet([["c"]]), f'<chartsheet xmlns="{S}"/>'
    reading = read(xlsx(*parts, names=["Prices", "Nothing", "Notes"], hidden=[3], charts=[4]))
    pages = [(page.unit, page.number, page.label, page.text) for page in reading.pages]
    assert pages[:2] == [("sheet", 1, "Prices", "a"), ("sheet", 2, "Nothing", "")]
    assert pages[2:] == [("sheet", 3, "Notes", "c"), ("sheet", 4, "Sheet4", "")]
    assert [remark.number for remark in reading.remarks] == [3]
    assert [(skipped.number, "chart" in skipped.reason) for skipped in reading.skipped] == [(4, True)]


def test_rows_are_markdown_and_every_row_knows_its_first_cell():
    page = read(xlsx(sheet([[None, "Item", "Price"], [None, "Bolt | nut", 12.5], [None, None, 3]], first=4))).pages[0]
    rows = [("B4", "| Item | Price |"), ("", "| --- | --- |"), ("B5", "| Bolt \\| nut | 12.5 |"), ("B6", "|  | 3 |")]
    assert lines(page) == rows


def test_titles_above_a_table_are_lines_and_headings():
    page = read(xlsx(sheet([["Prices of timber"], ["net, in euros"], ["Item", "Price"], ["Bolt", 1]]))).pages[0]
    assert lines(page)[:3] == [("A1", "Prices of timber"), ("A2", "net, in euros"), ("A3", "| Item | Price |")]
    assert [(h.level, h.title) for h in page.headings] == [(1, "Prices of timber"), (2, "net, in euros")]
    assert all(page.text.startswith(h.title, h.start) for h in page.headings)


def test_title_author_and_date_come_from_the_properties():
    core = (
        '<p:coreProperties xmlns:p="x" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:t="http://purl.org/dc/terms/">'
        "<dc:title>Prices of Timber</dc:title><dc:creator>Jo</dc:creator><t:modified>2024-03-02T10:00:00Z</t:modified>"
        "</p:coreProperties>"
    )
    rels = (
        f'<Relationships xmlns="{P}/relationships"><Relationship Id="a" Type="{R}/officeDocument" Target="xl/workbook.xml"/>'
        f'<Relationship Id="b" Type="{P}/relationships/metadata/core-properties" Target="docProps/core.xml"/></Relationships>'
    )
    reading = read(xlsx(sheet([["a"]]), more={"docProps/core.xml": core, "_rels/.rels": rels}))
    assert (reading.title, reading.author, reading.date) == ("Prices of Timber", "Jo", "2024-03-02T10:00:00+00:00")


def test_empty_rows_and_columns_part_tables_with_headers_of_their_own():
    shown = text(["Item", "Price"], ["Bolt", 1], [], ["Town", "Country"], ["Bern", "CH"])
    assert shown == "| Item | Price |\n| --- | --- |\n| Bolt | 1 |\n\n| Town | Country |\n| --- | --- |\n| Bern | CH |"
    page = read(xlsx(sheet([["Item", "Price"], ["Bolt", 1], [], ["Hardware"], ["Nut", 2], [], ["Total", 3]]))).pages[0]
    assert lines(page)[3:] == [("A4", "| Hardware |  |"), ("A5", "| Nut | 2 |"), ("A7", "| Total | 3 |")]
    page = read(xlsx(sheet([["a", "b", *[None] * 20, "x", "y"], [1, 2, *[None] * 20, 3, 4]]))).pages[0]
    left, right = [("A1", "| a | b |"), ("A2", "| 1 | 2 |")], [("W1", "| x | y |"), ("W2", "| 3 | 4 |")]
    assert [line for line in lines(page) if line[0]] == left + right


def test_merged_cells_and_group_rows_name_each_of_their_columns():
    assert text(["Name", None, "Age"], ["Jo", "Doe", 5], merged=["A1:B1"]).startswith("| Name | Name | Age |")
    rows = [["Region", 2023, None, 2024], [None, "Q1", "Q2", "Q1"], ["North", 1, 2, 3]]
    header, _, body = lines(read(xlsx(sheet(rows, merged=["A1:A2", "B1:C1"]))).pages[0])
    assert header == ("A1", "| Region | 2023 / Q1 | 2023 / Q2 | 2024 / Q1 |") and body == (
        "A3",
        "| North | 1 | 2 | 3 |",
    )
    rows = [[None, "2023", None], ["Region", "Q1", "Q2"], ["North", 1, 2]]
    assert text(*rows, merged=["B1:C1"]).startswith("| Region | 2023 / Q1 | 2023 / Q2 |")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (-0.0, "0"),
        (1 / 3, "0.333333333333333"),
        (123456789012345678, "123456789012346000"),
        (0.00001, "0.00001"),
        (True, "TRUE"),
        ((0.07, "0.0%"), "7%"),
        ((5, '0.00" %"'), "5"),
        ((1234, "00000"), "01234"),
        ((45353.604166666664, "yyyy-mm-dd hh:mm"), "2024-03-02 14:30"),
        ((45353.0, "yyyy-mm-dd hh:mm"), "2024-03-02"),
        ((1.25, "[h]:mm"), "30:00:00"),
        ((0.5, "hh:mm:ss"), "12:00"),
        ("#DIV/0!", "#DIV/0!"),
        ("  a\u00a0b  ", "a b"),
    ],
)
def test_values_are_as_a_person_sees_them(value, shown):
    assert text([value]) == shown


def test_formulas_that_were_never_calculated_are_reported():
    reading = read(xlsx(sheet([["Sum", "<f>1+1</f>", "<f>A1</f><v></v>", "<f/><v/>", "<f>1</f><v>1</v>"]])))
    assert [r.text for r in reading.remarks] == ["3 formulas were never calculated: no value."]
    with pytest.raises(ReadError, match="only formulas"):
        read(xlsx(sheet([["<f>1+1</f>"]])))
    empty = '<row r="2"><c r="A2" t="str"><f>""</f><v></v></c></row></sheetData>'
    assert read(xlsx(sheet([["a"]]).replace("</sheetData>", empty))).remarks == ()


def test_other_ways_to_write_the_same_xml_are_understood():
    part = (
        f"<x:worksheet xmlns:x='{S}'><x:sheetData><x:row r='1'><x:c r='A1' s='1'><x:v>0.5</x:v></x:c>"
        "<x:c r='B1'\n t='e'><x:v>#N/A</x:v></x:c></x:row></x:sheetData></x:worksheet>"
    )
    assert read(xlsx(part)).pages[0].text.startswith("| 50% | #N/A |")


def test_text_boxes_come_behind_the_cells_with_the_cell_they_hang_on():
    drawing = (
        '<d:wsDr xmlns:d="http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing" '
        'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><d:twoCellAnchor><d:from><d:col>2</d:col>'
        "<d:row>4</d:row></d:from><d:sp><d:txBody><a:p><a:r><a:t>Agreed</a:t></a:r><a:r><a:t> by phone</a:t></a:r></a:p>"
        "</d:txBody></d:sp></d:twoCellAnchor></d:wsDr>"
    )
    rels = f'<Relationships xmlns="{P}/relationships"><Relationship Id="rId1" Type="{R}/drawing" Target="../drawings/d.xml"/></Relationships>'
    more = {"xl/drawings/d.xml": drawing, "xl/worksheets/_rels/sheet1.xml.rels": rels}
    page = read(xlsx(sheet([["a"]]), more=more)).pages[0]
    assert lines(page) == [("A1", "a"), ("C5", "Agreed by phone")]


def test_a_damaged_sheet_or_one_that_reaches_too_far_costs_only_itself():
    stray = '<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>far</t></is></c></row></sheetData>'
    far = sheet([["a"]]).replace("</sheetData>", stray)
    reading = read(xlsx(sheet([["a"]]), "<worksheet><sheetData><row", far, sheet([["c"]])))
    assert [page.text for page in reading.pages] == ["a", "", "", "c"]
    assert [(skipped.number, skipped.reason.startswith("cannot be read")) for skipped in reading.skipped] == [
        (2, True),
        (3, True),
    ]


def test_comments_are_read_with_their_author():
    comments = (
        f'<comments xmlns="{S}"><authors><author>Jo Doe</author></authors><commentList><comment ref="B2" authorId="0">'
        "<text><r><t>Jo Doe:</t></r><r><t>\nToo dear</t></r></text></comment></commentList></comments>"
    )
    rels = (
        f'<Relationships xmlns="{P}/relationships"><Relationship Id="r1" Type="{R}/comments" Target="../c.xml"/>'
        "</Relationships>"
    )
    more = {"xl/c.xml": comments, "xl/worksheets/_rels/sheet1.xml.rels": rels}
    page = read(xlsx(sheet([["a", "b"], [1, 2]]), more=more)).pages[0]
    assert lines(page)[-1] == ("B2", "[Comment by Jo Doe: Too dear]")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.xls", b"<html><table><tr><td>1</td></tr></table></html>", "is not a workbook but an HTML page"),
        ("a.xls", b"PK\x03\x04 and then nothing", "is damaged, or not a workbook"),
        ("a.xls", compound("WordDocument", b"x" * 5000), "an old Office file, but not a workbook"),
        ("a.xls", bytes.fromhex("d0cf11e0a1b11ae1") + b"\1" * 2000, "is damaged, or not a workbook"),
        ("a.csv", b"PK\x03\x04\x14\0", "a ZIP archive"),
    ],
)
def test_other_files_are_refused_by_name(name, data, message):
    with pytest.raises(ReadError, match=message):
        read(Source(name, data=data))


def test_a_panic_of_the_library_is_a_refusal(monkeypatch):
    class Workbook:
        @staticmethod
        def from_filelike(stream):
            raise type("PanicException", (BaseException,), {})("index out of bounds")

    monkeypatch.setattr("python_calamine.CalamineWorkbook", Workbook)
    with pytest.raises(ReadError, match="index out of bounds"):
        read(xlsx(sheet([["a"]])))


def read_text(text, name="a.csv", **options):
    return read(Source(name, data=text.encode()), **options)


def page_of(text, name="a.csv"):
    return read_text(text, name).pages[0]


def test_a_file_is_one_sheet_with_the_cells_names():
    one = page_of('Item,Price\nBolt,"first\nsecond ""line"""\nNut,2\n')
    assert (one.unit, one.number, one.label) == ("sheet", 1, None)
    assert one.text == '| Item | Price |\n| --- | --- |\n| Bolt | first second "line" |\n| Nut | 2 |'
    assert [anchor.name for anchor in one.anchors] == ["A1", "A2", "A3"]
    assert page_of("a\tb, c\n\t2, 3\n", "a.tsv").text == "| a | b, c |\n| --- | --- |\n|  | 2, 3 |"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_among_others_in_the_cells(delimiter):
    other, town = ";" if delimiter == "," else ",", f"Bern{delimiter} old town"
    rows = ("Name", "Town", "Amount"), ("Doe", f'"{town}"', f"1{other}5"), ("Roe", "B", f"2{other}5")
    shown = town.replace("|", "\\|").replace("\t", " ").replace("  ", " ")
    text = page_of("\r\n".join(map(delimiter.join, rows))).text
    assert text.split("\n")[2] == f"| Doe | {shown} | 1{other}5 |"


def test_a_quotation_mark_that_is_never_closed_does_not_swallow_the_rest():
    reading = read_text('Item,Size\nBolt,"5\nNut,6\nScrew,"7, long"\nPin,8\n')
    rows = ['| Bolt | "5 |', "| Nut | 6 |", "| Screw | 7, long |", "| Pin | 8 |"]
    assert reading.pages[0].text.split("\n")[2:] == rows
    assert [r.text for r in reading.remarks] == ["A quotation mark is opened and never closed in line 2."]


def test_more_text_than_may_be_read_is_refused():
    with pytest.raises(ReadError, match="more than 1,000 characters"):
        read_text("a,b\n" + "word,5\n" * 1000, characters=1000)


NS = "urn:oasis:names:tc:opendocument:xmlns:"
TYPE = "application/vnd.oasis.opendocument.spreadsheet"
HEAD = "<office:document-content " + " ".join(
    f'xmlns:{n}="{NS}{n}:1.0"' for n in ("office", "text", "table", "style", "draw")
)


def ods_cell(text="", kind="string", value="", more=""):
    name = {"date": "date-value", "time": "time-value", "boolean": "boolean-value"}.get(kind, "value")
    typed = f' office:value-type="{kind}"' + (f' office:{name}="{value}"' if value else "")
    return f"<table:table-cell{typed} {more}><text:p>{text}</text:p></table:table-cell>"


def ods_row(*cells, more=""):
    return f"<table:table-row {more}>{''.join(cells)}</table:table-row>"


def table(*rows, name="One", more=""):
    return f'<table:table table:name="{name}" {more}>{"".join(rows)}</table:table>'


def read_ods(*tables):
    content = f"{HEAD}><office:body><office:spreadsheet>{''.join(tables)}</office:spreadsheet></office:body>"
    content += "</office:document-content>"
    manifest = (
        f'<m:manifest xmlns:m="{NS}manifest:1.0"><m:file-entry m:full-path="/" m:media-type="{TYPE}"/></m:manifest>'
    )
    parts = {"mimetype": TYPE, "META-INF/manifest.xml": manifest, "content.xml": content}
    return read(Source("a.ods", data=zipped(parts)))


def test_values_are_stored_ones_not_rounded_text_also_in_flat_files():
    typed = (("12,35 €", "currency", "12.345"), ("x", "date", "2024-03-02T14:30:00"), ("WAHR", "boolean", "true"))
    shown = "| 12.345 | 2024-03-02 14:30 | TRUE |"
    assert read_ods(table(ods_row(*(ods_cell(*one) for one in typed)))).pages[0].text.startswith(shown)
    content = (
        f"{HEAD}><office:body><office:spreadsheet>{table(ods_row(ods_cell('a')))}</office:spreadsheet></office:body>"
    )
    data = f"{content}</office:document-content>".replace("document-content", "document").encode()
    assert read(Source("a.fods", data=data)).pages[0].text == "a"


def test_repeated_cells_and_rows_keep_their_places():
    empty = '<table:table-cell table:number-columns-repeated="2"/>'
    rows = [
        ods_row(empty, ods_cell("x", more='table:number-columns-repeated="2"')),
        ods_row(more='table:number-rows-repeated="3"'),
    ]
    page = read_ods(table(*rows, ods_row(ods_cell("a"), ods_cell("b"), more='table:number-rows-repeated="2"'))).pages[0]
    assert [anchor.name for anchor in page.anchors] == ["C1", "A5", "A6"]
