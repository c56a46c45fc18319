import pytest
from containers import zipped

from localrag.errors import ReadError
from localrag.ingest.readers import opendocument
from localrag.ingest.readers.source import Options, Source

NAMES = {name: name for name in ("office", "text", "table", "style", "chart", "meta")}
SPACES = 'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:dc="http://purl.org/dc/elements/1.1/" ' + " ".join(
    f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for short, name in {**NAMES, "draw": "drawing", "show": "presentation"}.items()
)


def document(body, kind="text", styles="", parts=None):
    files = {
        "content.xml": f"<office:document-content {SPACES}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>",
        "META-INF/manifest.xml": "<manifest/>",
        **(parts or {}),
    }
    return opendocument.read(Source("a.odt", data=zipped(files)), Options(unpacked=1_000_000))


def text_of(body, styles="", parts=None):
    (page,) = document(body, styles=styles, parts=parts).pages
    return page.text


def p(text, style=""):
    return f'<text:p text:style-name="{style}">{text}</text:p>'


def style(name, properties, parent=""):
    return f'<style:style style:name="{name}" style:parent-style-name="{parent}">{properties}</style:style>'


def numbers(kind, name, *levels):
    rows = "".join(
        f'<text:list-level-style-number text:level="{n}" style:num-format="{form}" style:num-suffix="{end}" '
        f'text:display-levels="{shown}"/>'
        if form
        else f'<text:list-level-style-bullet text:level="{n}"/>'
        for n, (form, end, shown) in enumerate(levels, 1)
    )
    return f'<text:{kind} style:name="{name}">{rows}</text:{kind}>'


def test_headings_and_paragraphs_keep_their_spaces_and_places():
    reading = document(
        '<text:h text:outline-level="1">The  Lease</text:h>'
        + p(
            'Due<text:s text:c="2"/>monthly,\n  <text:span>or <text:a>yearly</text:a></text:span>.<text:line-break/>Next'
        )
    )
    (page,) = reading.pages
    assert page.text == "The Lease\n\nDue  monthly, or yearly.\nNext" and page.number is None
    assert [(item.start, item.level, item.title) for item in page.headings] == [(0, 1, "The Lease")]
    assert reading.title == "The Lease"


def test_lists_and_headings_keep_the_numbers_that_are_printed():
    styles = numbers("list-style", "L", ("1", ".", 1), ("a", ")", 2), ("", "", 1))
    styles += numbers("outline-style", "O", ("I", ".", 1), ("1", "", 2))
    inner = "<text:list><text:list-item><text:p>deep</text:p></text:list-item><text:list-item><text:p>x</text:p></text:list-item></text:list>"
    items = f'<text:list-item><text:p>one</text:p>{inner}</text:list-item><text:list-item text:start-value="7"><text:p>two</text:p></text:list-item>'
    more = '<text:list text:style-name="L" text:continue-numbering="true"><text:list-item><text:p>three</text:p></text:list-item></text:list>'
    headings = '<text:h text:outline-level="1">A</text:h><text:h text:outline-level="2">B</text:h>'
    text = text_of(f'{headings}<text:list text:style-name="L">{items}</text:list>{p("between")}{more}', styles)
    assert text == "I. A\n\nI.1 B\n\n1. one\n1.a) deep\n1.b) x\n7. two\n\nbetween\n\n8. three"


def test_tables_are_markdown_rows_in_which_covered_cells_are_empty():
    item, fee, mill = (f"<table:table-cell>{p(text)}</table:table-cell>" for text in ("Item", "Fee|x", "Mill"))
    table = (
        f"<table:table><table:table-header-rows><table:table-row>{item}{fee}</table:table-row></table:table-header-rows>"
        f"<table:table-row>{mill}<table:covered-table-cell/></table:table-row></table:table>"
    )
    assert text_of(table).split("\n") == ["| Item | Fee\\|x |", "| --- | --- |", "| Mill |  |"]


def test_notes_and_comments_follow_and_deletions_are_reported():
    note = "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Net of tax.</text:p></text:note-body></text:note>"
    comment = "<office:annotation><dc:creator>Jo</dc:creator><dc:date>2024-03-02T10:00:00</dc:date><text:p>Why?</text:p></office:annotation>"
    deleted = (
        "<text:tracked-changes><text:changed-region><text:deletion><office:change-info><dc:creator>Al</dc:creator>"
        f"</office:change-info>{p('gone')}</text:deletion></text:changed-region></text:tracked-changes>"
    )
    reading = document(f"{deleted}{p(f'The fee{note}{comment} is due.')}{p('After.')}")
    text = "The fee [1] is due.\n\n[1] Net of tax.\n\n[Comment by Jo, 2024-03-02: Why?]\n\nAfter."
    assert reading.pages[0].text == text
    assert len(reading.remarks) == 1 and "Al" in reading.remarks[0].text and "gone" in reading.remarks[0].text


def test_hidden_text_is_kept_out_and_reported():
    styles = style("H", '<style:text-properties text:display="none"/>')
    body = p('Seen<text:span text:style-name="T"> ghost</text:span>.') + p("all hidden", "H")
    body += f'<text:section text:display="none">{p("secret")}</text:section>'
    reading = document(body, styles=styles + style("T", "", "H"))
    assert reading.pages[0].text == "Seen."
    assert ["ghostall hidden" in item.text or "secret" in item.text for item in reading.remarks] == [True, True]


def test_text_boxes_and_charts_follow_their_paragraph():
    box = f"<draw:frame><draw:text-box>{p('In the box.')}</draw:text-box></draw:frame>"
    graph = '<draw:frame><draw:object xlink:href="./Object 1"/></draw:frame>'
    cells = ["<table:table-cell>%s</table:table-cell>" % p(text) for text in ("", "2024", "Rent", "7")]  # noqa: UP031
    rows = f"<table:table-header-rows><table:table-row>{cells[0]}{cells[1]}</table:table-row></table:table-header-rows>"
    rows += f"<table:table-rows><table:table-row>{cells[2]}{cells[3]}</table:table-row></table:table-rows>"
    chart = (
        f"<office:document-content {SPACES}><office:body><office:chart><chart:chart><chart:title>{p('Costs')}</chart:title>"
        f"<table:table>{rows}</table:table></chart:chart></office:chart></office:body></office:document-content>"
    )
    assert text_of(p(f"Before.{box}{graph}"), parts={"Object 1/content.xml": chart}) == (
        "Before.\n\nIn the box.\n\nCosts\n|  | 2024 |\n| --- | --- |\n| Rent | 7 |"
    )


def frame(text, kind=""):
    return f'<draw:frame show:class="{kind}"><draw:text-box>{text}</draw:text-box></draw:frame>'


def test_slides_are_pages_with_title_shapes_and_notes():
    notes = (
        f"<show:notes><draw:page-thumbnail/>{frame(p('Say this.'), 'notes')}{frame(p('5'), 'page-number')}</show:notes>"
    )
    one = frame(p("first")) + f"<draw:g>{frame(p('second'))}</draw:g>"
    one += frame(p("Plan"), "title") + frame(p("never"), "footer") + notes
    two = frame('<draw:image xlink:href="x.png"/>')
    styles = style("S", '<style:drawing-page-properties show:visibility="hidden"/>')
    reading = document(
        f'<draw:page>{one}</draw:page><draw:page>{two}</draw:page><draw:page draw:style-name="S">{frame(p("x"))}</draw:page>',
        "presentation",
        styles,
    )
    assert [(page.unit, page.number) for page in reading.pages] == [("slide", 1), ("slide", 2), ("slide", 3)]
    assert [page.text for page in reading.pages] == ["Plan\n\nfirst\n\nsecond\n\nNotes:\nSay this.", "", "x"]
    assert [(item.number, item.reason) for item in reading.skipped] == [(2, "no text; a picture")]
    assert [(item.number, item.text) for item in reading.remarks] == [(3, "is hidden")]
    assert reading.title == "Plan" and reading.pages[0].headings[0].title == "Plan"


def test_title_author_and_date_come_from_the_properties_also_of_flat_files():
    meta = (
        f"<office:document-meta {SPACES}><office:meta><dc:title>The Plan</dc:title><meta:initial-creator>Jane Doe"
        "</meta:initial-creator><dc:creator>John</dc:creator><dc:date>2024-03-02T10:11:12.5</dc:date></office:meta></office:document-meta>"
    )
    reading = document(p("Text"), parts={"meta.xml": meta})
    assert (reading.title, reading.author, reading.date) == ("The Plan", "Jane Doe", "2024-03-02T10:11:12")
    assert document(p("Text"), parts={"meta.xml": "<broken"}).pages[0].text == "Text"
    body = f"<office:body><office:text>{p('Text')}</office:text></office:body>"
    meta = "<office:meta><dc:title>The Plan</dc:title></office:meta>"
    flat = f"<office:document {SPACES}>{meta}{body}</office:document>"
    reading = opendocument.read(Source("a.fodt", data=flat.encode()), Options())
    assert (reading.title, reading.pages[0].text) == ("The Plan", "Text")


LOCKED = {"META-INF/manifest.xml": "<m><manifest:encryption-data/></m>", "content.xml": "\x8f\x01"}
ENTITY = {"content.xml": '<!DOCTYPE x [<!ENTITY a "aa">]><x>&a;</x>'}


@pytest.mark.parametrize(
    ("body", "kind", "parts", "reason"),
    [
        (p("x"), "text", LOCKED, "is encrypted"),
        (p("x"), "text", {"encrypted-package": "x"}, "is encrypted"),
        ("", "spreadsheet", {}, "no text or presentation"),
        ("", "text", {"content.xml": "<cut"}, "is damaged, or not an OpenDocument"),
        ("", "text", ENTITY, "entities"),
        (p("x" * 2_000_000), "text", {}, "unpacks to more than 1,000,000 bytes"),
    ],
    ids=range(6),
)
def test_encrypted_damaged_and_other_files_are_refused_by_name(body, kind, parts, reason):
    with pytest.raises(ReadError, match=reason):
        document(body, kind, parts=parts)
    with pytest.raises(ReadError, match="but a PDF"):
        opendocument.read(Source("a.odt", data=b"%PDF-1.7"), Options())


def test_deeply_nested_content_ends():
    deep = "<text:section>" * 3000 + p("deep") + "</text:section>" * 3000
    spans = "<text:span>" * 3000 + "deep" + "</text:span>" * 3000
    lists = "<text:list><text:list-item>" * 3000 + p("deep") + "</text:list-item></text:list>" * 3000
    row = "<table:table><table:table-row><table:table-cell>"
    tables = row * 1000 + p("deep") + "</table:table-cell></table:table-row></table:table>" * 1000
    assert text_of(deep + p(f"Text{spans}") + lists + tables) == "Text"
