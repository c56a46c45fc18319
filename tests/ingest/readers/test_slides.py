import pytest
from containers import zipped

from localrag.errors import ReadError
from localrag.ingest.readers import slides
from localrag.ingest.readers.source import Options, Source

OPEN = "http://schemas.openxmlformats.org"
SPACES = (
    f'xmlns:a="{OPEN}/drawingml/2006/main" xmlns:p="{OPEN}/presentationml/2006/main" '
    f'xmlns:r="{OPEN}/officeDocument/2006/relationships" xmlns:c="{OPEN}/drawingml/2006/chart" '
    f'xmlns:d="{OPEN}/drawingml/2006/diagram" xmlns:m="{OPEN}/officeDocument/2006/math" '
    f'xmlns:mc="{OPEN}/markup-compatibility/2006" xmlns:a14="http://schemas.microsoft.com/office/drawing/2010/main"'
)


def relations(*items):
    rows = "".join(
        f'<Relationship Id="r{n}" Type="{OPEN}/officeDocument/2006/relationships/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(items, 1)
    )
    return f'<Relationships xmlns="{OPEN}/package/2006/relationships">{rows}</Relationships>'


def shape(text, place=None, kind="", hidden="", properties=""):
    """One text shape; lines are paragraphs. `place` is (top, left) in centimetres."""
    off = f'<a:xfrm><a:off x="{place[1] * 360000}" y="{place[0] * 360000}"/></a:xfrm>' if place else ""
    paragraphs = "".join(f"<a:p>{properties}<a:r><a:t>{line}</a:t></a:r></a:p>" for line in text.split("\n"))
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="1" name="x" {hidden}/><p:nvPr>{kind and f"<p:ph {kind}/>"}</p:nvPr></p:nvSpPr>'
        f"<p:spPr>{off}</p:spPr><p:txBody>{paragraphs}</p:txBody></p:sp>"
    )


def frame(inside):
    return f"<p:graphicFrame><a:graphic><a:graphicData>{inside}</a:graphicData></a:graphic></p:graphicFrame>"


def part(name, body, attributes=""):
    return f"<p:{name} {SPACES} {attributes}><p:cSld><p:spTree>{body}</p:spTree></p:cSld></p:{name}>"


def deck(*bodies, parts=None, relations_of=None, attributes=None, options=None, drop=()):
    """A presentation of these slides, read; `relations_of` and `attributes` are by the slide's number."""
    ids = "".join(f'<p:sldId id="{255 + n}" r:id="r{n}"/>' for n in range(1, len(bodies) + 1))
    files = {
        "_rels/.rels": relations(("officeDocument", "ppt/presentation.xml"), ("core-properties", "docProps/core.xml")),
        # The file names run against the order of the show, as they do once slides were moved.
        "ppt/presentation.xml": f"<p:presentation {SPACES}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(*(("slide", f"slides/s{9 - n}.xml") for n in range(len(bodies)))),
        **(parts or {}),
    }
    for n, body in enumerate(bodies):
        files[f"ppt/slides/s{9 - n}.xml"] = part("sld", body, (attributes or {}).get(n + 1, ""))
        files[f"ppt/slides/_rels/s{9 - n}.xml.rels"] = relations(*(relations_of or {}).get(n + 1, ()))
    data = zipped({name: text for name, text in files.items() if name not in drop})
    return slides.read(Source("a.pptx", data=data), options or Options())


def only(*args, **options):
    (page,) = deck(*args, **options).pages
    return page.text


def test_slides_come_in_the_order_of_the_show_title_first():
    reading = deck(
        shape("Body", (3, 1)) + shape("Plan", (9, 1), 'type="title"'), shape("Costs", kind='type="ctrTitle"')
    )
    pages = [(page.unit, page.number, page.text) for page in reading.pages]
    assert pages == [("slide", 1, "Plan\n\nBody"), ("slide", 2, "Costs")]
    assert [(item.start, item.level, item.title) for item in reading.pages[0].headings] == [(0, 1, "Plan")]
    assert reading.title == "Plan"


def test_shapes_are_read_by_rows_and_groups_stay_together():
    group = '<p:grpSp><p:grpSpPr><a:xfrm><a:off x="0" y="3600000"/></a:xfrm></p:grpSpPr>%s</p:grpSp>'
    inside = group % (shape("group, low", (90, 1)) + shape("group, high", (1, 1)))
    right = shape("right", (2, 9)).replace(f'y="{2 * 360000}"', f'y="{2 * 360000 - 90000}"')  # drawn by hand
    text = only(shape("last", (12, 1)) + inside + right + shape("left", (2, 1)))
    assert text == "left\n\nright\n\ngroup, high\n\ngroup, low\n\nlast"


def test_footers_dates_and_slide_numbers_are_left_out():
    field = '<a:p><a:fld type="slidenum"><a:t>7</a:t></a:fld></a:p>'
    frames = "".join(shape(f"never {kind}", kind=f'type="{kind}"') for kind in ("dt", "ftr", "sldNum"))
    assert only(frames + shape("Text").replace("</p:txBody>", f"{field}</p:txBody>")) == "Text"


def test_tables_are_markdown_rows():
    row = "<a:tr>%s</a:tr>"
    cells = [
        row % "".join(f"<a:tc><a:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></a:txBody></a:tc>" for text in pair)
        for pair in (("Item", "Fee"), ("Mill", "1|2"))
    ]
    assert only(frame(f"<a:tbl>{''.join(cells)}</a:tbl>")) == "| Item | Fee |\n| --- | --- |\n| Mill | 1\\|2 |"


def points(*values, form=""):
    held = "".join(f'<c:pt idx="{n}"><c:v>{value}</c:v></c:pt>' for n, value in enumerate(values))
    return f"<c:cache><c:formatCode>{form}</c:formatCode>{held}</c:cache>"


@pytest.mark.parametrize(
    ("categories", "form", "rows"),
    [
        (points("North", "South"), "General", ["| North | 0.1 |", "| South | 12 |"]),
        (points("45292", "45323", form="mmm\\ yyyy"), "0.0%", ["| 2024-01-01 | 10% |", "| 2024-02-01 | 1200% |"]),
        (
            "<c:r><c:lvl><c:pt idx='0'><c:v>Q1</c:v></c:pt><c:pt idx='1'><c:v>Q2</c:v></c:pt></c:lvl>"
            "<c:lvl><c:pt idx='0'><c:v>2024</c:v></c:pt></c:lvl></c:r>",
            "0",
            ["| 2024 Q1 | 0.1 |", "| 2024 Q2 | 12 |"],
        ),
    ],
)
def test_charts_are_tables_of_the_numbers_they_show(categories, form, rows):
    xml = (
        f"<c:chartSpace {SPACES}><c:chart><c:title><a:p><a:r><a:t>Rent</a:t></a:r></a:p></c:title><c:plotArea><c:barChart>"
        f"<c:ser><c:tx><c:v>2024</c:v></c:tx><c:cat>{categories}</c:cat>"
        f"<c:val>{points('0.10000000000000001', '12', form=form)}</c:val></c:ser></c:barChart>"
        "<c:valAx><c:title><a:p><a:r><a:t>thousand euros</a:t></a:r></a:p></c:title></c:valAx></c:plotArea></c:chart></c:chartSpace>"
    )
    text = only(
        frame('<c:chart r:id="r1"/>'), relations_of={1: [("chart", "../charts/c.xml")]}, parts={"ppt/charts/c.xml": xml}
    )
    assert text.split("\n") == ["Rent (thousand euros)", "|  | 2024 |", "| --- | --- |", *rows]


def test_smart_art_is_a_list_and_formulas_are_typed_out():
    nodes = "".join(f"<d:pt><d:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></d:t></d:pt>" for text in ("Head", "First"))
    xml = f'<d:dataModel {SPACES}><d:ptLst><d:pt type="doc"/>{nodes}</d:ptLst></d:dataModel>'
    text = only(
        frame('<d:relIds r:dm="r1"/>'), relations_of={1: [("diagramData", "../d.xml")]}, parts={"ppt/d.xml": xml}
    )
    assert text == "- Head\n- First"
    e = "<m:e><m:r><m:t>x</m:t></m:r></m:e>"
    math = f"<m:f><m:num><m:sSup>{e}<m:sup><m:r><m:t>2</m:t></m:r></m:sup></m:sSup></m:num><m:den><m:rad>{e}</m:rad></m:den></m:f>"
    inside = f"<mc:AlternateContent><mc:Choice><a14:m><m:oMath>{math}</m:oMath></a14:m></mc:Choice></mc:AlternateContent></a:p>"
    assert only(shape("y =").replace("</a:p>", inside)) == "y =(x^2)/(√x)"


def test_notes_and_comments_follow_the_slide():
    notes = part("notes", shape("Say this.", kind='type="body"') + shape("3", kind='type="sldNum"'))
    text = only(shape("Plan"), relations_of={1: [("notesSlide", "../n.xml")]}, parts={"ppt/n.xml": notes})
    assert text == "Plan\n\nNotes:\nSay this."
    authors = f'<p:cmAuthorLst {SPACES}><p:cmAuthor id="3" name="Jo Doe"/></p:cmAuthorLst>'
    comment = '<p:cm authorId="3" dt="2024-03-02T10:00:00.000"><p:text>Too dear?</p:text></p:cm>'
    text = only(
        shape("Plan"),
        relations_of={1: [("comments", "../c.xml")]},
        parts={
            "ppt/c.xml": f"<p:cmLst {SPACES}>{comment}</p:cmLst>",
            "ppt/authors.xml": authors,
            "ppt/_rels/presentation.xml.rels": relations(("slide", "slides/s9.xml"), ("commentAuthors", "authors.xml")),
        },
    )
    assert text == "Plan\n\n[Comment by Jo Doe, 2024-03-02: Too dear?]"


def test_hidden_slides_and_shapes_and_slides_without_text_are_reported():
    reading = deck(shape("A"), shape("B") + shape("secret", hidden='hidden="1"'), attributes={1: 'show="0"'})
    assert [page.text for page in reading.pages] == ["A", "B"]
    assert [item.number for item in reading.remarks] == [1, 2]
    reading = deck("<p:pic/>", "", shape("Text"), shape("gone"), drop=("ppt/slides/s6.xml",))
    assert [page.text for page in reading.pages] == ["", "", "Text", ""]
    skipped = [(item.number, item.reason) for item in reading.skipped]
    assert skipped == [(1, "no text; a picture"), (2, "no text"), (4, "is missing or damaged")]


def test_other_files_are_refused_by_name():
    for data, reason in ((b"%PDF-1.7", "not a PowerPoint presentation but a PDF"), (b"PK\x03\x04 cut", "is damaged")):
        with pytest.raises(ReadError, match=reason) as caught:
            slides.read(Source("a.pptx", data=data), Options())
        assert caught.value.hint
    with pytest.raises(ReadError, match="has no slides"):
        deck()
    with pytest.raises(ReadError, match="not a presentation"):
        deck(parts={"ppt/presentation.xml": f"<p:sld {SPACES}/>"})


def test_groups_in_groups_end():
    deep = "<p:grpSp>" * 2000 + shape("deep") + "</p:grpSp>" * 2000
    assert only(deep + shape("Text")) == "Text"
