"""The first page of a library: what it shows, where its links lead, and how a person decides of a fact."""

import re
from urllib.parse import quote

import pytest
from fake_core import NOTICE, FakeLibrary, shelved_document
from starlette.testclient import TestClient

from localrag.security import audit
from localrag.server import showing
from localrag.server.app import create_app
from localrag.server.guard import Access
from localrag.server.served import Served
from localrag.worker.engine import Engine, Entry
from server import fake_server
from server.fake_server import EVIL_FACT, EVIL_NAME, FACTS, TOKEN
from server.test_pages import HOST, Browser, harmless

HERE, MSA = "/overview/contracts", "contracts/msa.pdf"
PARTY, TERM, END, FEE = FACTS
LEASE = [
    "LEASE AGREEMENT\n\nThis Lease Agreement is made on 3 May 2024 between Acme Ltd (the “Landlord”) and Bolt GmbH "
    "(the “Tenant”).\n\nThis Agreement is governed by the laws of England.\n"
]


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path) as client:
        yield client


def decide(browser, fact, document=MSA, **form):
    return browser.post(HERE, data={"document": showing.name_of("x", document)[2:], "fact": fact, **form})


def row_of(page, words):
    """The row of a document and that of its facts."""
    rows = re.findall(r"<tr.*?</tr>", page.partition("<tbody>")[2], re.S)
    at = next(at for at, row in enumerate(rows) if words in row)
    return rows[at], "".join(row for row in rows[at + 1 : at + 2] if 'class="facts"' in row)


def test_documents_have_cells_and_facts_and_the_unclear_is_marked_with_its_reason(browser):
    page = browser.get(HERE).text
    row, facts = row_of(page, MSA)
    cells = re.findall(r"<td([^>]*)>(.*?)</td>", row, re.S)
    assert [text for _, text in cells] == [
        "contract",
        "Acme",
        "2031-03-14",
    ]  # columns that no document fills are left out
    assert f'href="{HERE}?read=contracts/{MSA}&amp;page=1#source"' in row and "4 facts, 1 unclear" in facts
    assert all(f'value="{one.id}"' in facts for one in FACTS) and NOTICE.replace("'", "&#39;") in facts
    evil, _ = row_of(page, "amends")
    assert re.search(r'is-unsure" title="unclear">&lt;script&gt;alert\(1\)&lt;/script&gt;\?<', evil)
    assert "term</b>: 3 years" in facts and "? unclear: two fit" in facts
    assert "is damaged" in page and "Of 1 of them no facts" in page and "contract (4)" in page
    ahead = re.search(r'<time[^>]*>2031-03-14</time> <b>ends</b> <a href="([^"]+)"', page)
    assert " open>" in row_of(browser.get(ahead[1]).text, MSA)[1] and " open>" not in facts
    assert f'href="{HERE}?source={FEE.id}/{MSA}#source">EUR 100</a>' in page and "<b>Acme</b>" in page


def test_names_and_quotes_of_any_kind_stay_text(browser):
    page = browser.get(f"{HERE}?document={quote(EVIL_NAME)}&rejected=<script>")
    assert page.status_code == 200 and harmless(page.text) and "\u202e" not in page.text
    source = browser.get(f"{HERE}?source={EVIL_FACT.id}/{quote(EVIL_NAME)}").text
    assert harmless(source) and '<mark class="quote" id="quote">&lt;script&gt;' in source
    for kept in (page.text, decide(browser, EVIL_FACT.id, EVIL_NAME, state="confirmed", value="<b>x").text):
        assert f'value="{showing.name_of("x", EVIL_NAME)[2:]}"' in kept  # the form names it by its bytes
    assert harmless(kept) and "&lt;b&gt;x" in kept


def test_a_fact_leads_to_its_quote_on_the_picture_of_its_page(browser):
    page = browser.get(f"{HERE}?source={END.id}/{MSA}").text
    assert re.search(r'<mark class="quote" id="quote">(.*?)</mark>', page)[1] == NOTICE.replace("'", "&#39;")
    assert "page=13#source" in page and " open>" in row_of(page, MSA)[1]
    part = browser.get(f"{HERE}?source={END.id}/{MSA}&part=source&width=700").text
    assert part.startswith('<div class="panel"') and "/image?" in part
    for wrong in (f"{END.id}/contracts/lease.pdf", "none", f"000000/{MSA}"):
        page = browser.get(f"{HERE}?source={wrong}")
        assert page.status_code == 200 and "no such fact" in page.text


def test_a_fact_is_confirmed_corrected_rejected_and_taken_back(browser):
    page = decide(browser, TERM.id, state="confirmed")
    assert page.url.path == HERE and page.url.fragment == "open" and page.history[0].status_code == 303
    assert (
        "✓ confirmed" in page.text
        and "4 facts</summary>" not in page.text
        and "unclear" not in row_of(page.text, MSA)[1]
    )
    page = decide(browser, FEE.id, state="confirmed", value=" 200 EUR ")
    assert "fee</b>: 200 EUR" in page.text and "it was read as 100 EUR" in page.text
    page = decide(browser, PARTY.id, state="rejected")
    row, facts = row_of(page.text, MSA)
    assert "Acme" not in row and "no longer shown" in facts and f'value="{PARTY.id}"' in facts
    page = decide(browser, PARTY.id, state="sure")
    assert "Acme" in row_of(page.text, MSA)[0] and "no longer shown" not in page.text
    log = audit.entries(browser.log)
    assert [one.details["call"] for one in log if one.event == "call"].count("fact") == 4


def test_a_wrong_decision_is_refused(browser):
    for form, status in (
        ({"state": "maybe"}, 400),
        ({"state": ""}, 400),
        ({"state": "confirmed", "value": "x" * 501}, 400),
        ({"state": "confirmed", "more": "x"}, 400),
        ({"state": "confirmed", "document": "contracts/none.pdf"}, 404),
        ({"state": "confirmed", "fact": "000000"}, 404),
    ):
        answer = browser.post(HERE, data={"document": MSA, "fact": TERM.id, **form})
        assert answer.status_code == status and "localrag overview" not in answer.text, form
    assert "✓ confirmed" not in browser.get(HERE).text


def test_libraries_that_are_not_served_are_not_shown_and_not_changed(browser):
    browser.world.libraries["secret"] = FakeLibrary("secret")
    for name in ("secret", "none"):
        for path in (f"/overview/{name}", f"/api/overview/{name}"):
            assert browser.get(path).status_code == 404
        form = {"document": MSA, "fact": TERM.id, "state": "rejected"}
        assert browser.post(f"/overview/{name}", data=form).status_code == 404
        assert browser.post(f"/api/facts/{name}", json=form).status_code == 404


def test_a_decision_needs_the_token_or_a_cookie_and_a_form_of_these_pages(browser):
    form, cookie = {"document": MSA, "fact": TERM.id, "state": "rejected"}, Access({HOST}, TOKEN).cookie()
    del browser.headers["Authorization"]
    own = {"Cookie": f"localrag-9999={cookie}"}
    for headers, status in (
        ({}, 401),
        (own, 401),
        ({**own, "Origin": "http://evil.example"}, 403),
        ({**own, "Origin": f"http://{HOST}", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Authorization": "Bearer wrong"}, 401),
    ):
        for path in (HERE, "/api/facts/contracts"):
            assert browser.post(path, data=form, headers=headers).status_code == status, headers
    assert "term</b>" in browser.get(HERE, headers=own).text
    here = {**own, "Origin": f"http://{HOST}"}
    assert browser.post(HERE, data=form, headers=here, follow_redirects=False).status_code == 303
    assert "term</b>" not in browser.get(HERE, headers=own).text


def test_a_suggested_question_is_asked_and_the_home_page_has_them(browser):
    home = browser.get("/").text
    part = re.search(r'data-part="([^"]+)"', home)[1]
    assert f'href="{HERE}">First page of contracts</a>' in home
    for page in (browser.get(part).text, browser.get(HERE).text):
        form = dict(re.findall(r'name="(library|question)" value="([^"]*)"', page))
        assert form["library"] == "contracts" and "ends" in page and harmless(page)
    browser.post("/ask", data={**form, "question": "How much notice?"})
    assert browser.assistant.asked[-1]["libraries"] == ("contracts",)


def test_many_documents_come_in_parts_and_a_named_one_with_its_part(browser):
    names = [f"contracts/{at:03}.pdf" for at in range(250)]
    browser.world.libraries["contracts"].shelved = tuple(Entry(shelved_document(one), 1, 0) for one in names)
    for query, first in (
        ("", "000"),
        ("?from=100", "100"),
        ("?from=9999", "200"),
        ("?document=contracts/150.pdf", "100"),
    ):
        page = browser.get(f"{HERE}{query}").text
        assert re.findall(r"read=contracts/contracts/(\d+)", page.partition("<tbody>")[2])[0] == first, query
    assert f"{HERE}?from=0" in page and f"{HERE}?from=200" in page and "101 to 200 of 250" in page
    assert browser.get(f"{HERE}?from=x").status_code == 400


def test_programs_get_the_same_and_decide(browser):
    held = browser.get("/api/overview/contracts").json()
    (own,) = [one for one in held["documents"] if one["document"] == MSA]
    assert own["cells"]["end"] == "2031-03-14" and [one["id"] for one in own["facts"]] == [one.id for one in FACTS]
    given = {"document": MSA, "fact": FEE.id, "state": "confirmed", "value": "200 EUR"}
    said = browser.post("/api/facts/contracts", json=given).json()
    assert (said["id"], said["value"], said["was"], said["by"]) == (FEE.id, "200 EUR", "100 EUR", "anna")
    for wrong in ({}, {**given, "state": "no"}, {**given, "other": 1}):
        assert browser.post("/api/facts/contracts", json=wrong).status_code == 400


def test_a_decision_in_a_library_is_kept_with_who_and_when(settings, models, shelf):
    shelf("leases", {"in/lease.pdf": LEASE})
    engine = Engine(settings)
    app = create_app(Served(settings, engine, ("leases",)), Access(frozenset({HOST}), TOKEN))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with TestClient(fake_server.in_one_loop(app), base_url=f"http://{HOST}", headers=headers) as one:
        (own,) = one.get("/api/overview/leases").json()["documents"]
        law = next(fact for fact in own["facts"] if fact["role"] == "law")
        form = {"document": "in/lease.pdf", "fact": law["id"], "state": "confirmed", "value": "Wales"}
        page = one.post("/overview/leases", data=form).text
        assert re.search(rf"✓ confirmed; it was read as [^(]+\({re.escape(audit.user())}, \d{{4}}-\d\d-\d\d\)", page)
        assert "law</b>: Wales" in page
        again = one.post("/overview/leases", data=form | {"state": "sure"}).text
        assert "✓ confirmed" not in again and "Wales" not in again
        bad = {"document": "in/lease.pdf", "fact": "signed", "state": "confirmed", "value": "never"}
        assert one.post("/overview/leases", data=bad).status_code == 400
    kept = [entry for entry in audit.entries(settings.library_audit_file("leases")) if entry.event == "fact"]
    assert [entry.details["state"] for entry in kept] == ["confirmed", "sure"] and kept[0].details["fact"] == law["id"]
    engine.close()
