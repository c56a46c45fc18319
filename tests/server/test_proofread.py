"""The findings in a document: what the page shows, and where its links lead."""

import re
from io import BytesIO
from urllib.parse import quote

import pytest
from reportlab.pdfgen.canvas import Canvas
from starlette.testclient import TestClient

from localrag.security import audit
from localrag.server import showing
from localrag.server.app import create_app
from localrag.server.guard import Access
from localrag.server.served import Served
from localrag.worker.engine import Engine
from server import fake_server
from server.fake_server import TOKEN
from server.test_pages import HOST, harmless

NAME = "in/draft <b> & [1].txt"
DRAFT = (
    "1. The “Tenant” shall pay <script>alert(1)</script>\u202e within thirty (45) days. The Tenant may leave.\n\n"
    "2. See Section 9.\n\nSigned: _____\n"
)
GERMAN = "Der Mieter zahlt die Miete an den Vermieter, und die Kaution ist in der Höhe von drei Mieten zu leisten. " * 5


def pdf(*pages):
    made = BytesIO()
    canvas = Canvas(made)
    for text in pages:
        canvas.drawString(72, 700, text)
        canvas.showPage()
    canvas.save()
    return made.getvalue()


@pytest.fixture
def papers(folder):
    lease = pdf("A lease of the mill between its owner and a miller.", "It ends on June 31, 2030.")
    return folder({NAME: DRAFT, "mietvertrag.txt": GERMAN, "lease.pdf": lease})


@pytest.fixture
def browser(settings, models, papers, folder):
    engine = Engine(settings)
    list(engine.ingest("papers", papers))
    list(engine.ingest("secret", folder({"code.txt": "The code is 4711."}, "secret")))
    app = create_app(Served(settings, engine, ("papers",)), Access(frozenset({HOST}), TOKEN))
    headers = {"Accept": "text/html", "Authorization": f"Bearer {TOKEN}"}
    with TestClient(fake_server.in_one_loop(app), base_url=f"http://{HOST}", headers=headers) as client:
        yield client
    engine.close()


def links(page):
    return [one.replace("&amp;", "&") for one in re.findall(r'class="citation" data-source href="([^"]+)"', page)]


def test_the_page_of_a_source_leads_to_the_findings_and_each_to_its_words(browser, settings):
    source = browser.get(f"/?read={showing.name_of('papers', NAME)}").text
    page = browser.get(re.search(r'href="(/proofread/[^"]+)">Proofread', source)[1]).text
    assert harmless(page) and "\u202e" not in page and "2 findings" in page
    assert "The words say 30 and the figures 45." in page and "There is no clause 9." in page
    words = [re.search(r'<mark class="quote" id="quote">(.*?)</mark>', browser.get(one).text)[1] for one in links(page)]
    assert words == ["9", "thirty (45)"]
    part = browser.get(links(page)[1].replace("#", "&part=source#")).text
    assert part.startswith('<div class="panel"') and harmless(part) and "Copy quote" in part
    found = [one for one in audit.entries(settings.library_audit_file("papers")) if one.event == "proofread"]
    assert [one.details["findings"] for one in found] == [2, 2, 2]


def test_a_finding_of_a_pdf_is_boxed_in_the_picture_of_its_page(browser):
    page = browser.get(showing.proofread_of("papers", "lease.pdf")).text
    at = next(one for one in links(page) if "page=2&mark=11-" in one)
    source = browser.get(at).text
    assert '<mark class="quote" id="quote">June 31, 2030</mark>' in source
    picture = re.search(r'src="/image\?([^"]+)"', source)[1].replace("&amp;", "&")
    assert browser.get(f"/boxes?{picture}").json()["boxes"]


def test_the_file_may_be_gone_and_the_page_says_so(browser, papers):
    (papers / "lease.pdf").unlink()
    page = browser.get(showing.proofread_of("papers", "lease.pdf")).text
    assert "June 31, 2030" in page and "The file is no longer there" in browser.get(links(page)[0]).text


def test_what_cannot_be_proofread_is_refused(browser, papers):
    page = browser.get(showing.proofread_of("papers", "mietvertrag.txt"))
    assert page.status_code == 400 and "is in German" in page.text
    outside = papers.parent / "outside.txt"
    outside.write_text(DRAFT)
    for name in ("papers/none.txt", "secret/code.txt", f"papers/{outside}", "none", "papers/"):
        page = browser.get(f"/proofread/{quote(quote(name))}")
        assert page.status_code == 404 and "4711" not in page.text and "thirty" not in page.text, name
    del browser.headers["Authorization"]
    assert browser.get(showing.proofread_of("papers", NAME)).status_code == 401


def test_a_wrong_mark_shows_the_page_without_a_quote(browser):
    base = showing.proofread_of("papers", "lease.pdf")
    for mark, status in (("999-1200", "page"), ("8-3", "page"), ("", "page"), ("x-9", "is no number")):
        page = browser.get(f"{base}?read=papers/lease.pdf&page=2&mark={mark}")
        assert page.status_code == 200 and status in page.text and 'id="quote"' not in page.text, mark
