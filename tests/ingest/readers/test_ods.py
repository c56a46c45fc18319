import pytest
from containers import zipped

from localrag.ingest.readers import sheets
from localrag.ingest.readers.source import Options, Source

NS = "urn:oasis:names:tc:opendocument:xmlns:"
TYPE = "application/vnd.oasis.opendocument.spreadsheet"
HEAD = "<office:document-content " + " ".join(
    f'xmlns:{n}="{NS}{n}:1.0"' for n in ("office", "text", "table", "style", "draw")
)


def cell(text="", kind="string", value="", more=""):
    name = {"date": "date-value", "time": "time-value", "boolean": "boolean-value"}.get(kind, "value")
    typed = f' office:value-type="{kind}"' + (f' office:{name}="{value}"' if value else "")
    return f"<table:table-cell{typed} {more}><text:p>{text}</text:p></table:table-cell>"


def row(*cells, more=""):
    return f"<table:table-row {more}>{''.join(cells)}</table:table-row>"


def table(*rows, name="One", more=""):
    return f'<table:table table:name="{name}" {more}>{"".join(rows)}</table:table>'


def read(*tables, styles="", files=None):
    content = f"{HEAD}><office:automatic-styles>{styles}</office:automatic-styles><office:body><office:spreadsheet>"
    content += f"{''.join(tables)}</office:spreadsheet></office:body></office:document-content>"
    manifest = (
        f'<m:manifest xmlns:m="{NS}manifest:1.0"><m:file-entry m:full-path="/" m:media-type="{TYPE}"/></m:manifest>'
    )
    parts = {"mimetype": TYPE, "META-INF/manifest.xml": manifest, "content.xml": content, **(files or {})}
    return sheets.read(Source("a.ods", data=zipped(parts)), Options())


@pytest.mark.parametrize(
    ("one", "shown"),
    [
        (cell("12,35 €", "currency", "12.345"), "12.345"),
        (cell("x", "date", "2024-03-02T14:30:00"), "2024-03-02 14:30"),
        (cell("WAHR", "boolean", "true"), "TRUE"),
        (cell("words"), "words"),
    ],
)
def test_values_are_stored_ones_not_rounded_text(one, shown):
    assert read(table(row(one))).pages[0].text == shown


def test_repeated_cells_and_rows_keep_their_places():
    empty = '<table:table-cell table:number-columns-repeated="2"/>'
    rows = [row(empty, cell("x", more='table:number-columns-repeated="2"')), row(more='table:number-rows-repeated="3"')]
    page = read(table(*rows, row(cell("a"), cell("b"), more='table:number-rows-repeated="2"'))).pages[0]
    assert [anchor.name for anchor in page.anchors] == ["C1", "A5", "A6"]


def test_flat_files_are_read():
    content = f"{HEAD}><office:body><office:spreadsheet>{table(row(cell('a')))}</office:spreadsheet></office:body>"
    data = f"{content}</office:document-content>".replace("document-content", "document").encode()
    assert sheets.read(Source("a.fods", data=data), Options()).pages[0].text == "a"
