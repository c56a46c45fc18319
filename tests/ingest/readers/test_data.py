import pytest

from localrag.errors import ReadError
from localrag.ingest.readers import data
from localrag.ingest.readers.source import Options, Source


def read(content, name="a.json"):
    return data.read(Source(name, data=content.encode() if isinstance(content, str) else content), Options())


def text(content, name="a.json"):
    (page,) = read(content, name).pages
    return page.text


def headings(content, name="a.json"):
    (page,) = read(content, name).pages
    return [(item.level, item.title, page.text[item.start :].split("\n")[0]) for item in page.headings]


def test_json_is_lines_in_its_own_order_with_numbers_as_written():
    assert text(
        '{"b": 1.10, "a": 12345678901234567890.50, "n": null, "t": true, "e": "", "l": [], "o": {}, "x": 1e5}'
    ) == ('b: 1.10\na: 12345678901234567890.50\nn: null\nt: true\ne: ""\nl: []\no: {}\nx: 1e5')


def test_a_list_of_flat_records_is_a_table():
    content = '{"prices": [{"item": "Pen", "eur": 1.50}, {"item": "A|B", "eur": 20}]}'
    assert text(content) == "prices:\n\n| item | eur |\n| --- | --- |\n| Pen | 1.50 |\n| A\\|B | 20 |"
    assert headings(content) == [(1, "prices", "prices:")]


def test_records_that_are_not_flat_are_headings_with_their_names():
    content = '{"orders": [{"name": "Mill", "to": {"city": "Ulm"}}, {"tags": ["a", "b"], "lines": [[1, 2], {"x": 1}]}]}'
    assert text(content) == (
        "orders:\n\n  - name: Mill\n    to:\n      city: Ulm\n\n  - tags: a, b\n    lines:\n      - 1, 2\n      - x: 1"
    )
    assert [title for _, title, _ in headings(content)] == ["orders", "record 1 (Mill)", "record 2"]


def test_keys_behind_a_group_and_lines_of_a_text_stay_what_they_are():
    content = '{"id": 1, "seller": {"name": "Jo", "at": {"city": "Ulm"}, "tel": 5}, "total": 9}'
    lines = [(level, line) for level, _, line in headings(content)]
    assert lines == [(1, "seller:"), (2, "at:"), (2, "tel: 5"), (1, "total: 9")]
    content = '{"note": "one\\n two\\r\\n\\nthree", "b": "\\u0000\\ud800x"}'
    assert text(content) == "note:\n  one\n   two\n\n  three\nb: \ufffdx"


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.json"])
def test_json_lines_are_a_table_or_records(name):
    assert text('{"a": 1, "b": 2}\n\n{"a": 3, "b": 4}\n', name) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |"
    assert text('{"a": {"b": 1}}\n{"a": 2}', name) == "- a:\n    b: 1\n\n- a: 2"


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        ('{"a": 1,\n  "b": }', "a.json", "line 2, column 8: Expecting value"),
        ('{"a": 1}\n{"a": 2}\nnonsense', "a.jsonl", "line 3, column 1: Expecting value"),
        ("<!DOCTYPE html><p>Sign in</p>", "a.json", "is not JSON but an HTML page"),
        ("[" * 300 + "]" * 300, "a.json", "nested too deep"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "a.json", "nested too deep"),
    ],
    ids=range(5),
)
def test_invalid_json_is_refused_with_its_place(content, name, reason):
    with pytest.raises(ReadError, match=reason):
        read(content, name)


def test_xml_is_read_by_the_names_of_its_elements():
    content = """<?xml version="1.0"?><Invoice xmlns="urn:x" xmlns:xsi="i" xsi:schemaLocation="y">
    <InvoiceNumber>123</InvoiceNumber><due_date>2024-03-02</due_date><total currency="EUR">5.00</total><empty/>
    <note>Paid <b>late</b>, twice</note></Invoice>"""
    assert text(content, "a.xml") == (
        "Invoice:\n  Invoice Number: 123\n  due date: 2024-03-02\n  total: 5.00 (currency: EUR)\n  note: Paid late, twice"
    )
    content = "<rss><item><title>News</title><description><![CDATA[<p>Rent &amp; <b>costs</b></p>]]></description></item></rss>"
    assert text(content, "a.xml") == "rss:\n\n  item:\n    title: News\n    description: Rent & costs"
    content = '<?xml version="1.0" encoding="Shift_JIS"?><x><y>契約書</y></x>'
    assert text(content.encode("shift_jis"), "a.xml") == "x:\n  y: 契約書"
    assert text("<x><y>Größe über Maß</y></x>".encode("cp1252"), "a.xml") == "x:\n  y: Größe über Maß"


ARTICLE = """<?xml version="1.0"?><!DOCTYPE article PUBLIC "-//NLM//DTD JATS//EN" "x.dtd">
<article><front><journal-meta><issn>1</issn></journal-meta><article-meta><title-group><article-title>Of <i>mills</i></article-title></title-group>
<contrib-group><contrib contrib-type="author"><name><surname>Li</surname><given-names>Jo</given-names></name></contrib></contrib-group>
<pub-date><day>2</day><month>3</month><year>2024</year></pub-date></article-meta></front>
<body><sec><title>Methods</title><p>We <italic>ran</italic> it at 10<sup>6</sup>.</p><sec><title>Data</title><list><list-item><p>a</p></list-item></list>
<table-wrap><caption><title>Rents</title></caption><table><tr><th>Year</th><th>EUR</th></tr><tr><td>2024</td><td>5 &lt; 6</td></tr></table></table-wrap>
</sec></sec></body><back><ref-list><title>References</title><ref><mixed-citation><name>Li J</name>, <article-title>Wheels</article-title>. 2020</mixed-citation></ref></ref-list></back></article>"""


def test_an_article_is_read_as_prose_with_its_titles_as_headings():
    reading = read(ARTICLE, "a.xml")
    assert reading.pages[0].text == (
        "Of mills\n\nLi Jo\n\nMethods\n\nWe ran it at 10^6.\n\nData\n\n- a\n\nRents\n\n| Year | EUR |\n| --- | --- |\n"
        "| 2024 | 5 < 6 |\n\nReferences\n\nLi J, Wheels. 2020"
    )
    titles = [(level, title) for level, title, _ in headings(ARTICLE, "a.xml")]
    assert titles == [(1, "Of mills"), (2, "Methods"), (3, "Data"), (2, "References")]
    assert reading.title == "Of mills"


PICTURE = '<!ENTITY US20010031492A1-D00001.TIF SYSTEM "D00001.TIF" NDATA TIF>'


def test_names_of_html_and_of_pictures_are_known():
    assert text("<x><y>5&nbsp;&euro; &amp; more</y></x>", "a.xml") == "x:\n  y: 5 € & more"
    assert text("<x>&secret;</x>", "a.xml") == "x: &secret;"
    declared = f"{PICTURE}<!ENTITY b PUBLIC '-//x//y' 'b.tif' NDATA TIF >"
    assert text(f"<!DOCTYPE x [{declared}]><x><y>A claim.</y></x>", "a.xml") == "x:\n  y: A claim."
    with pytest.raises(ReadError, match="not valid XML"):  # no text can refer to one
        read(f"<!DOCTYPE x [{PICTURE}]><x>&US20010031492A1-D00001.TIF;</x>", "a.xml")


@pytest.mark.parametrize(
    "other",
    [
        '<!ENTITY a "aa"><!ENTITY b "&a;&a;">',
        '<!ENTITY a SYSTEM "/etc/passwd">',
        "<!ENTITY a \"<!ENTITY b SYSTEM 'c' NDATA d>\">",
        '<!ENT<!ENTITY a SYSTEM "c" NDATA d>ITY b "bb">',
    ],
)
def test_other_entities_are_refused_alone_and_beside_names_of_pictures(other):
    for declared in (other, PICTURE + other, other + PICTURE):
        with pytest.raises(ReadError, match="declares XML entities"):
            read(f"<!DOCTYPE x [{declared}]><x>&a;</x>", "a.xml")
    with pytest.raises(ReadError, match="declares XML entities"):
        read(f"<!DOCTYPE x [{PICTURE}]><x/>".encode("utf-16"), "a.xml")


@pytest.mark.parametrize("tag", ["a", "p", "section"])
def test_deeply_nested_xml_is_read(tag):
    assert "the end" in text(f"<{tag}>" * 20_000 + "the end" + f"</{tag}>" * 20_000, "a.xml")
