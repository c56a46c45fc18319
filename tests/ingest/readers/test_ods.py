import io
import zipfile

import pytest

from localrag.errors import ReadError
from localrag.ingest.readers import sheets
from localrag.ingest.readers.source import Options, Source

NS = "urn:oasis:names:tc:opendocument:xmlns:"
HEAD = "<office:document-content " + " ".join(
    f'xmlns:{n}="{NS}{n}:1.0"' for n in ("office", "text", "table", "style", "draw")
)
HEAD += ' xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0">'


def cell(text="", kind="", value="", more=""):
    name = {"date": "date-value", "time": "time-value", "boolean": "boolean-value"}.get(kind, "value")
    typed = f' office:value-type="{kind}"' + (f' office:{name}="{value}"' if value else "") if kind else ""
    return f"<table:table-cell{typed} {more}>" + (f"<text:p>{text}</text:p>" if text else "") + "</table:table-cell>"


def row(*cells, more=""):
    return f"<table:table-row {more}>{''.join(cells)}</table:table-row>"


def table(*rows, name="One", more=""):
    return f'<table:table table:name="{name}" {more}>{"".join(rows)}</table:table>'


def ods(*tables, styles="", files=None, body="spreadsheet"):
    content = f"{HEAD}<office:automatic-styles>{styles}</office:automatic-styles><office:body><office:{body}>"
    content += f"{''.join(tables)}</office:{body}></office:body></office:document-content>"
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in {"content.xml": content, **(files or {})}.items():
            archive.writestr(path, text)
    return Source("a.ods", data=stream.getvalue())


def read(*tables, **details):
    return sheets.read(ods(*tables, **details), Options())


def text(*rows):
    return read(table(*rows)).pages[0].text


@pytest.mark.parametrize(
    ("one", "shown"),
    [
        (cell("12,35 €", "currency", "12.345"), "12.345"),
        (cell("13%", "percentage", "0.125"), "12.5%"),
        (cell("02/03/24", "date", "2024-03-02"), "2024-03-02"),
        (cell("x", "date", "2024-03-02T14:30:00"), "2024-03-02 14:30"),
        (cell("x", "date", "2024-03-02T14:29:59.999"), "2024-03-02 14:30"),
        (cell("x", "time", "PT14H30M05S"), "14:30:05"),
        (cell("x", "time", "PT30H00M00S"), "30:00:00"),
        (cell("WAHR", "boolean", "true"), "TRUE"),
        (cell("#DIV/0!", "string", "", 'calcext:value-type="error"'), "#DIV/0!"),
        (cell("Err:502", "float", "0"), "Err:502"),
        (cell("00123", "float", "123"), "00123"),
        (cell("3", "float", "3.0000000000000004"), "3"),
        (cell("odd", "date", "soon"), "odd"),
        (cell('a<text:s/>b<text:tab/>c <text:span>d<text:a>e</text:a></text:span> <text:date>now</text:date>', "string"), "a b\tc de now"),
        (cell("a<office:annotation><text:p>no</text:p></office:annotation>", "string"), "a"),
    ],
)  # fmt: skip
def test_values_are_as_a_person_sees_them(one, shown):
    assert text(row(one)) == shown


def test_sheets_are_pages_and_hidden_ones_are_reported():
    style = (
        '<style:style style:name="h" style:family="table"><style:table-properties table:display="false"/></style:style>'
    )
    reading = read(
        table(row(cell("a"))),
        table(name="Two"),
        table(row(cell("c")), name="Three", more='table:style-name="h"'),
        styles=style,
    )
    assert [(p.number, p.label, p.text) for p in reading.pages] == [(1, "One", "a"), (2, "Two", ""), (3, "Three", "c")]
    assert reading.skipped == ()
    assert [r.text for r in reading.remarks] == ["The sheet 'Three' is hidden in the workbook."]


def test_repeated_cells_and_rows_stand_where_they_are():
    empty = '<table:table-cell table:number-columns-repeated="2"/>'
    rows = [row(empty, cell("x", more='table:number-columns-repeated="2"')), row(more='table:number-rows-repeated="3"')]
    page = read(table(*rows, row(cell("a"), cell("b"), more='table:number-rows-repeated="2"'))).pages[0]
    assert page.text == "| x | x |\n| --- | --- |\n\n| a | b |\n| --- | --- |\n| a | b |"
    assert [anchor.name for anchor in page.anchors] == ["C1", "A5", "A6"]


def test_rows_in_groups_and_headers_are_rows():
    rows = f"<table:table-header-rows>{row(cell('Item'), cell('Price'))}</table:table-header-rows>"
    rows += f"<table:table-row-group>{row(cell('Bolt'), cell('1', 'float', '1'))}</table:table-row-group>"
    assert text(rows) == "| Item | Price |\n| --- | --- |\n| Bolt | 1 |"


def test_tables_in_pictures_and_tracked_changes_are_no_rows():
    shape = f"<table:shapes><draw:frame>{table(row(cell('no')))}</draw:frame></table:shapes>"
    changes = f"<table:tracked-changes><table:deletion>{cell('gone')}</table:deletion></table:tracked-changes>"
    assert read(changes, table(shape, row(cell("a")))).pages[0].text == "a"


def test_merged_headers_name_each_column():
    top = row(cell("2023", more='table:number-columns-spanned="2"'), "<table:covered-table-cell/>")
    assert text(top, row(cell("Q1"), cell("Q2")), row(cell("1", "float", "1"), cell("2", "float", "2"))).startswith(
        "2023\n\n| Q1 | Q2 |"
    )
    wide = row(cell(""), cell("2023", more='table:number-columns-spanned="2"'), "<table:covered-table-cell/>")
    values = row(cell("N"), cell("1", "float", "1"), cell("2", "float", "2"))
    assert text(wide, row(cell("R"), cell("Q1"), cell("Q2")), values).startswith("| R | 2023 / Q1 | 2023 / Q2 |")


def test_formulas_without_a_value_are_reported():
    reading = read(table(row(cell("a"), cell(more='table:formula="of:=1+1"'))))
    assert "1 formula was never calculated" in reading.remarks[0].text


def test_title_author_and_date_are_in_the_meta_data():
    meta = f'<m xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:meta="{NS}meta:1.0"><dc:title>Prices of Timber</dc:title>'
    meta += "<meta:initial-creator>Jo</meta:initial-creator><dc:date>2024-03-02T10:00:00.5</dc:date></m>"
    reading = read(table(row(cell("a"))), files={"meta.xml": meta})
    assert (reading.title, reading.author, reading.date) == ("Prices of Timber", "Jo", "2024-03-02T10:00:00")


def test_a_million_repeated_rows_of_sixteen_thousand_cells_are_refused():
    bomb = row(cell("x", more='table:number-columns-repeated="16384"'), more='table:number-rows-repeated="1048576"')
    with pytest.raises(ReadError, match="more than 40,000,000 cells"):
        read(table(bomb))


def test_encrypted_entities_and_other_documents_are_refused():
    with pytest.raises(ReadError, match="is encrypted"):
        read(files={"META-INF/manifest.xml": "<m><encryption-data/></m>"})
    with pytest.raises(ReadError, match="entities"):
        read(files={"content.xml": '<!DOCTYPE a [<!ENTITY b "c">]><a/>'})
    with pytest.raises(ReadError, match="but no spreadsheet"):
        read(body="text")
    with pytest.raises(ReadError, match="is damaged"):
        read(files={"content.xml": "<a><b></a>"})
