import pytest
from containers import zipped

from localrag.errors import ReadError
from localrag.ingest.readers import web
from localrag.ingest.readers.source import Options, OverBudget, Source
from localrag.types import SkippedPage

CONTAINER = """<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""
OPF = """<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" xmlns:opf="http://www.idpf.org/2007/opf" version="3.0">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The  Mill</dc:title><dc:creator>Jo Li</dc:creator>
<dc:creator>Al Ba</dc:creator><dc:date opf:event="modification">2024</dc:date><dc:date>1904-05-06T00:00:00Z</dc:date></metadata>
<manifest><item id="cover" href="cover.xhtml" media-type="application/xhtml+xml"/><item id="pic" href="a.png" media-type="image/png"/>
<item id="one" href="Text/one%20a.xhtml" media-type="application/xhtml+xml"/>
<item id="two" href="Text/two.xhtml" media-type="application/xhtml+xml"/>
<item id="gone" href="gone.xhtml" media-type="application/xhtml+xml"/>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
</manifest>
<spine><itemref idref="cover"/><itemref idref="nav"/><itemref idref="two"/><itemref idref="one"/><itemref idref="two"/>
<itemref idref="pic"/>{more}</spine></package>"""
NAV = '<html xmlns="http://www.w3.org/1999/xhtml"><body><nav><a href="Text/one%20a.xhtml">One</a></nav></body></html>'
FILES = {
    "META-INF/container.xml": CONTAINER,
    "OEBPS/book.opf": OPF,
    "OEBPS/nav.xhtml": NAV,
    "OEBPS/cover.xhtml": '<?xml version="1.0"?><html><head><title/></head><body><img src="a.png"/></body></html>',
    "OEBPS/Text/one a.xhtml": '<?xml version="1.0"?><html><body><a id="x"/><h1>Chapter 1</h1><p>Call me Jo.</p></body></html>',
    "OEBPS/Text/two.xhtml": "<html><body><h2>Foreword</h2><p>Read&nbsp;this.<span hidden='hidden'>Not this one</span></p></body></html>",
}
ENCRYPTED = """<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" xmlns:enc="http://www.w3.org/2001/04/xmlenc#">
<enc:EncryptedData><enc:EncryptionMethod Algorithm="{}"/></enc:EncryptedData></encryption>"""


def read(options=Options(), more="", **changed):  # noqa: B008
    files = {name: text.replace("{more}", more) for name, text in {**FILES, **changed}.items() if text is not None}
    return web.read(Source("a.epub", data=zipped(files)), options)


def test_chapters_come_in_the_order_of_reading_each_once_with_its_title():
    reading = read()
    assert [(page.number, page.label, page.unit, page.text) for page in reading.pages] == [
        (1, "Foreword", "chapter", "Foreword\n\nRead this."),
        (2, "Chapter 1", "chapter", "Chapter 1\n\nCall me Jo."),
    ]
    assert [item.title for item in reading.pages[1].headings] == ["Chapter 1"]


def test_title_author_and_date_come_from_the_package():
    reading = read()
    assert (reading.title, reading.author, reading.date) == ("The Mill", "Jo Li; Al Ba", "1904-05-06")


def test_invisible_text_is_reported_with_its_chapter():
    assert [(item.number, "Not this one" in item.text) for item in read().remarks] == [(1, True)]


def test_a_missing_chapter_keeps_its_place():
    reading = read(more='<itemref idref="gone"/>')
    assert [page.number for page in reading.pages] == [1, 2, 3] and reading.pages[2].text == ""
    assert reading.skipped == (SkippedPage(3, "this chapter is damaged or missing ('OEBPS/gone.xhtml is missing')"),)


def test_a_protected_book_is_refused_and_one_with_obfuscated_fonts_read():
    with pytest.raises(ReadError, match="is protected by DRM"):
        read(**{"META-INF/encryption.xml": ENCRYPTED.format("http://www.w3.org/2001/04/xmlenc#aes128-cbc")})
    assert read(**{"META-INF/encryption.xml": ENCRYPTED.format("http://www.idpf.org/2008/embedding")}).pages


def test_a_bomb_is_stopped_while_it_unpacks():
    with pytest.raises(OverBudget, match="unpacks to more than"):
        read(Options(unpacked=1_000_000), **{"OEBPS/Text/two.xhtml": "<p>" + "a" * 5_000_000})


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"META-INF/container.xml": None}, "damaged"),
        ({"OEBPS/book.opf": "<package"}, "damaged"),
        ({"META-INF/container.xml": "<container/>"}, "not an EPUB book"),
        ({"OEBPS/book.opf": "<!DOCTYPE x [<!ENTITY a 'b'>]><package/>"}, "declares XML entities"),
    ],
)
def test_a_damaged_book_is_refused(changed, reason):
    with pytest.raises(ReadError, match=reason):
        read(**changed)
