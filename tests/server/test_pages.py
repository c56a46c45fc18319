import re
from unittest.mock import Mock

import fake_core as fakes
import pytest
from fake_core import NOTICE, FakeLibrary
from starlette.testclient import TestClient
from waiting import wait_for

from localrag.errors import ModelMissing, NotFoundError, StorageError
from localrag.security import audit
from localrag.server import showing
from localrag.server.app import create_app
from localrag.server.guard import Access
from localrag.server.jobs import Jobs
from localrag.sessions import SessionStore
from localrag.types import Cost, Plan
from server import fake_server
from server.fake_server import EVIL_NAME, TOKEN

HOST = "127.0.0.1:9999"


class Browser(TestClient):
    def __init__(self, folder, *more):
        self.world = fake_server.world()
        self.world.libraries |= {name: FakeLibrary(name) for name in more}
        served, self.store = fake_server.served(folder, self.world)
        made = create_app(served, Access(frozenset({HOST}), TOKEN), self.store)
        self.log = served.settings.library_audit_file("contracts")
        headers = {"Accept": "text/html", "Authorization": f"Bearer {TOKEN}"}
        super().__init__(fake_server.in_one_loop(made), base_url=f"http://{HOST}", headers=headers)

    @property
    def assistant(self):
        return self.world.assistant

    def ask(self, question, **form):
        return self.post("/ask", data={"question": question, "library": "contracts", **form})


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path) as client:
        yield client


def test_a_question_is_answered_by_the_page_that_follows_and_the_next_knows_it(browser):
    page = browser.ask("How much notice?")
    assert page.status_code == 200 and re.fullmatch(r"/c/[^/]+", page.url.path) and page.url.fragment == "t1"
    assert 'Thirty days <a class="marker"' in page.text and f"“{NOTICE}”".replace("'", "&#39;") in page.text
    assert "<script" not in page.text.replace('<script src="/static/app.js" defer></script>', "")
    (saved,) = browser.store.all()
    assert saved.turns[0].answer is not None and saved.settings["generator"] == "fake-1b"
    session = page.url.path.rpartition("/")[2]
    browser.ask("And the term?", session=session, mode="read", tick=showing.name_of("contracts", "contracts/msa.pdf"))
    asked = browser.assistant.asked[-1]
    assert [turn.question for turn in asked["history"]] == ["How much notice?"]
    assert asked["mode"] == "read" and asked["documents"].these == (("contracts", "contracts/msa.pdf"),)
    page = browser.get(f"/c/{session}").text
    assert re.search(r'value="contracts/contracts/msa.pdf"[^>]* checked', page) and 'value="read" selected' in page


def test_a_document_named_in_the_question_is_asked_alone(browser):
    browser.ask("What does @contracts/lease.pdf say?")
    asked = browser.assistant.asked[-1]
    lease = ("contracts", "contracts/lease.pdf")
    assert asked["question"] == "What does contracts/lease.pdf say?" and asked["documents"].these == (lease,)
    session = browser.ask("And @contracts/contracts/lease.pdf?").url.path.rpartition("/")[2]
    assert browser.assistant.asked[-1]["documents"].these == (lease,)
    browser.ask("And all?", session=session)
    assert not browser.assistant.asked[-1]["documents"]  # it held for one question


def test_a_wrong_question_is_refused_and_nothing_is_kept(browser):
    for form, status in (
        ({"question": " "}, 400),
        ({"question": "x", "mode": "nonsense"}, 400),
        ({"question": "x", "library": "other"}, 404),
        ({"question": "x", "tick": "other/a.pdf"}, 404),
        ({"question": "x", "session": "../../etc/passwd"}, 404),
        ({"question": "x" * 4001}, 400),
        ({"question": "[oops", "mode": "extract"}, 400),
        ({"question": "x", "library": []}, 400),
        ({"question": "What does @nosuch.pdf say?"}, 400),
    ):
        assert browser.post("/ask", data={"library": "contracts", **form}).status_code == status, form
    assert browser.store.all() == () and not browser.assistant.asked


def test_conversations_of_other_libraries_are_not_shown(browser):
    for libraries in (("secret",), ("contracts", "secret"), ()):
        browser.store.ask(browser.store.new(libraries), "What is secret?")
    listed = browser.get("/conversations")
    assert "secret" not in listed.text and "What is" not in browser.get("/conversations?find=secret").text
    for one in browser.store.all():
        assert browser.get(f"/c/{one.id}").status_code == browser.get(f"/c/{one.id}/export").status_code == 404


def test_a_conversation_of_the_terminal_is_found_resumed_renamed_and_copied(browser):
    began = browser.store.ask(browser.store.new(("contracts",)), "How much <b>notice</b>?")
    browser.store.append(began, fakes.answered(question="How much <b>notice</b>?").answer)
    assert f'href="/c/{began.id}#t1"' in browser.get("/conversations?find=thirty").text
    page = browser.post("/conversations", data={"session": began.id, "title": "Notice <i>periods</i>"})
    assert "Notice &lt;i&gt;periods&lt;/i&gt;" in page.text
    page = browser.post("/conversations", data={"session": began.id, "branch": "1"})
    assert "Branched from" in page.text and len(browser.store.all()) == 2
    browser.ask("And then?", session=began.id)
    assert [turn.question for turn in browser.assistant.asked[-1]["history"]] == ["How much <b>notice</b>?"]
    began = browser.store.ask(browser.store.new(("contracts",)), "Why?")
    browser.store.keep_partial(began.id, "Why?", "Because <b>")
    page = browser.get(f"/c/{began.id}").text
    assert "Because &lt;b&gt;" in page and "nothing of it was checked" in page


def test_a_conversation_is_exported_as_a_file(browser):
    session = browser.ask("evil question").url.path
    for form in ("md", "html", "docx", "json", "pdf"):
        answer = browser.get(f"{session}/export?form={form}")
        assert answer.status_code == 200 and answer.headers["content-disposition"].endswith(f".{form}")
        assert answer.headers["content-type"] == "application/octet-stream"
        assert b"Bold" in answer.content or form in ("docx", "pdf")
    assert browser.get(f"{session}/export?form=exe").status_code == 400


def test_a_citation_leads_to_its_page_with_the_quote_marked_and_boxed(browser):
    session = browser.ask("How much notice?").url.path
    page = browser.get(f"{session}?source=1.c0").text
    marked = re.search(r'<mark class="quote" id="quote">(.*?)</mark>', page)
    assert marked[1] == NOTICE.replace("'", "&#39;")
    image = re.search(r'<img src="(/image[^"]+)"', page)
    drawn = browser.get(image[1].replace("&amp;", "&"))
    assert drawn.headers["content-type"] == "image/png" and drawn.content.startswith(b"\x89PNG")
    document, number, spans = browser.world.pictured[-1]
    start = fakes.PAGE_12.index(NOTICE)
    assert (document, number, spans[0]) == ("contracts/msa.pdf", 12, (start, start + len(NOTICE)))
    told = browser.get(image[1].replace("&amp;", "&").replace("/image", "/boxes")).json()
    assert told["boxes"] and len(browser.world.pictured) == 1  # drawn once
    assert drawn.headers["cache-control"] == "no-store"


def test_one_panel_comes_for_the_script_and_says_what_has_changed(browser, monkeypatch):
    session = browser.ask("How much notice?").url.path
    part = browser.get(f"{session}?source=1.c1&part=source&width=700").text
    assert part.startswith('<div class="panel"') and "width=700" in part and 'data-turn="1"' in part
    assert "page=3" in part and "page=1" in part
    browser.world.file_state = "changed"
    monkeypatch.setitem(fakes.PAGES, ("contracts/msa.pdf", 12), "Another text.")
    page = browser.get(f"{session}?source=1.c0").text
    assert "The file has changed since it was read" in page and "no longer on this page" in page


NOWHERE = ["source=9.c0", "source=1.c9", "source=x", "read=secret/a.pdf", "read=contracts/none.pdf"]


def test_a_source_that_is_not_there_is_an_error_in_its_panel(browser):
    session = browser.ask("How much notice?").url.path
    for query in (*NOWHERE, "source=1.c0&page=x"):
        page = browser.get(f"{session}?{query}")
        assert page.status_code == 200 and 'role="alert"' in page.text and "Thirty days" in page.text
    assert browser.get("/image?read=secret/a.pdf&page=1").status_code == 404
    assert "problem" in browser.get("/boxes?read=contracts/msa.pdf&page=no").json()
    assert not browser.world.pictured


def test_long_texts_come_in_parts(browser, monkeypatch):
    monkeypatch.setitem(fakes.PAGES, ("contracts/msa.pdf", 1), "a" * 90_000 + "END")
    page = browser.get("/?read=contracts/contracts/msa.pdf&page=1").text
    assert re.search(r'href="[^"]+at=40000', page) and "END" not in page
    page = browser.get("/?read=contracts/contracts/msa.pdf&page=1&at=80000").text
    assert "aEND" in page and "at=40000" in page


def test_an_error_has_the_layout_and_names_no_command(browser, monkeypatch):
    for path, words in (("/c/none", "id of a conversation."), ("/nowhere", "There is no such page")):
        page = browser.get(path)
        assert page.status_code == 404 and words in page.text and '<a class="name" href="/">' in page.text
        assert "`" not in page.text and harmless(page.text)
    hint = "List them with: localrag status contracts"
    error = NotFoundError("there is no document 'x'", hint)
    monkeypatch.setattr(browser.world.libraries["contracts"], "page_text", Mock(side_effect=error))
    page = browser.get("/?read=contracts/x.pdf&page=1").text
    assert "There is no document" in page and "localrag status" not in page
    assert showing.hint_of(ModelMissing("no model", "Run: localrag models install x")).startswith("In a terminal: ")
    assert showing.without_commands("and 3 more: see `localrag status a`") == "and 3 more"
    assert showing.sentence("lease.pdf is damaged") == "lease.pdf is damaged."


def test_one_of_several_libraries_is_asked(tmp_path):
    with Browser(tmp_path, "leases") as browser:
        page = browser.get("/").text
        assert page.count('name="library"') == 2
        browser.ask("How much notice?")
        assert browser.assistant.asked[-1]["libraries"] == ("contracts",)
        browser.post("/ask", data={"question": "And both?", "library": ["contracts", "leases"]})
        assert browser.assistant.asked[-1]["libraries"] == ("contracts", "leases")
        assert "And both?" in browser.get("/conversations").text


def test_a_library_that_was_forgotten_is_said_and_not_offered(tmp_path, monkeypatch):
    with Browser(tmp_path, "leases") as browser:
        contents = fakes.FakeEngine.contents

        def gone(self, library):
            if library == "leases":
                raise NotFoundError("there is no library 'leases'", "Make one: localrag ingest FOLDER")
            return contents(self, library)

        monkeypatch.setattr(fakes.FakeEngine, "contents", gone)
        page = browser.get("/").text
        assert "The library leases is not there any more." in page and "Ask about contracts." in page
        assert re.findall(r'name="library" value="([^"]*)"', page) == ["contracts"] and "localrag ingest" not in page
        monkeypatch.setattr(audit, "record", Mock(side_effect=StorageError("cannot write", "Free space.")))
        answer = browser.ask("How much?", library="leases")
        assert answer.status_code == 404 and "leases" in answer.text and "not there any more" in answer.text


ALLOWED = re.compile(r'<script src="/static/app\.js" defer></script>')


def harmless(page):
    rest = ALLOWED.sub("", page)
    tags = re.findall(r"<[a-zA-Z/][^>]*>", rest)
    bad = re.compile(r"<script|\son[a-z]+=|javascript:|http://example", re.I)
    return not any(
        bad.search(re.sub(r'"[^"]*"', lambda one: "" if "://" not in one[0] else one[0], tag)) for tag in tags
    )


def test_an_answer_that_ends_while_its_page_is_made_is_on_it(browser, monkeypatch):
    load, add, jobs = browser.store.load, Jobs.add, []

    def read_late(session_id):
        before = load(session_id)
        wait_for(lambda: not jobs or jobs[0].ended)
        return before

    monkeypatch.setattr(Jobs, "add", lambda here, job: (jobs.append(job), add(here, job)))
    monkeypatch.setattr(browser.store, "load", read_late)
    assert 'Thirty days <a class="marker"' in browser.ask("How much notice?").text


def test_names_of_any_bytes_texts_and_answers_stay_text(browser, monkeypatch):
    name = "contracts/caf\udce9 100%25 &amp;.md"
    monkeypatch.setitem(fakes.PAGES, (name, 0), "Its text.")
    assert "Its text." in browser.get(f"/?read={showing.name_of('contracts', name)}").text
    browser.ask("What?", tick=showing.name_of("contracts", name))
    assert browser.assistant.asked[-1]["documents"].these == (("contracts", name),)
    page = browser.ask("evil <script>alert(1)</script> question")
    assert harmless(page.text) and "\u202e" not in page.text and "&lt;script&gt;" in page.text
    assert "[99]" in page.text and "<h4>" in page.text and "<strong>Bold</strong>" in page.text
    source = browser.get(f"{page.url.path}?source=1.c0").text
    assert harmless(source) and "\u202e" not in source and '<mark class="quote" id="quote">&lt;script&gt;' in source
    assert harmless(browser.get("/conversations").text) and harmless(browser.get("/conversations?find=script").text)
    assert harmless(browser.get(f"/?read={showing.name_of('contracts', EVIL_NAME)}").text)


def test_a_survey_is_a_table_whose_quotes_lead_to_their_pages(browser):
    page = browser.ask("survey of notice periods")
    rows = re.findall(r"<tr>(.*?)</tr>", page.text.partition("<tbody>")[2], re.S)
    assert len(rows) == 4 and "nothing found" in rows[3]
    link = re.search(r'data-source href="([^"#]+)#source">thirty', rows[0])
    assert 'id="quote"' in browser.get(link[1]).text


def test_another_plan_is_offered_and_does_not_count_the_first_answer(browser, monkeypatch):
    plan = Plan("retrieve", "short", costs=(Cost("retrieve", 10), Cost("read", 900, 5.0)))
    script = (fakes.Planned(plan), fakes.answered("The documents do not say.", plan=plan, found=False, citations=()))
    monkeypatch.setitem(fake_server.SCRIPTS, "unknown", script)
    page = browser.ask("unknown thing")
    assert "Answer again by reading whole (about 900 tokens, about 5 s)" in page.text
    session = page.url.path.rpartition("/")[2]
    browser.ask("unknown thing", session=session, mode="read", again="yes")
    assert browser.assistant.asked[-1]["mode"] == "read" and browser.assistant.asked[-1]["history"] == []


def test_a_review_is_a_grid_and_its_findings_are_decided_on(browser):
    page = browser.post("/review", data={"playbook": "nda", "library": "contracts"})
    path = page.url.path
    page = wait_for(lambda: "old.pdf" in (page := browser.get(path)).text and page)
    assert harmless(page.text) and "Not read: contracts/old.pdf" in page.text
    assert page.text.count("not as expected</b>") == 2 and "≠ deviates" in page.text and "accepted" in page.text
    finding = browser.get(f"{path}?source=0")
    assert "30 days is more than 2 weeks" in finding.text and '<mark class="quote"' in finding.text
    decided = browser.post(path, data={"finding": "0", "verdict": "rejected", "comment": "<b>no</b>"})
    assert "rejected" in decided.text and "&lt;b&gt;no" in decided.text and harmless(decided.text)
    assert browser.world.decided[-1][3:] == ("rejected", "<b>no</b>")
    assert browser.get(f"{path}?source=99").status_code == 200
    listed = browser.get("/review").text
    assert f'href="{path}"' in listed and "done · contracts" in listed
    assert "Library: contracts." in decided.text and "Review again" in decided.text and "medium" in finding.text
    form = {"playbook": "nda", "library": "contracts"}
    again = browser.post("/review", data={**form, "tick": "contracts/contracts/msa.pdf"})
    assert "Document: contracts/msa.pdf." in again.text and again.url.path != path
    assert browser.post("/review", data={"playbook": "/etc/passwd", "library": "contracts"}).status_code == 404
    assert browser.post(path, data={"finding": "0", "verdict": "maybe"}).status_code == 400


def test_a_running_answer_is_stopped_or_ends_with_its_page_and_what_there_is_is_kept(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(fake_server.ByFirstWord, "go", tmp_path / "never")
    headers, asked = {"Accept": "application/json"}, {"question": "slow one", "library": "contracts"}
    told = browser.post("/ask", data=asked, headers=headers).json()
    job = re.search(r'data-job="([^"]+)"', told["html"])
    assert "<noscript>" in told["html"]
    assert browser.post("/ask", data={**asked, "session": told["url"][3:]}).status_code == 400
    wait_for(lambda: browser.assistant.said)
    page = browser.post(f"/jobs/{job[1]}/stop").text
    assert "word0" in page and "not complete" in page and "word59" not in page
    assert browser.get("/jobs/none/events").status_code == 404
    monkeypatch.setattr("localrag.server.jobs.GRACE", 0.3)
    browser.post("/ask", data=asked, headers=headers)  # and its page has gone
    assert wait_for(lambda: browser.store.all()[0].turns[0].answer).stopped


def test_a_disk_that_is_full_is_told_and_nothing_is_asked(browser, monkeypatch):
    monkeypatch.setattr(SessionStore, "ask", Mock(side_effect=StorageError("the disk is full", "Free some space.")))
    assert browser.ask("How much?").status_code == 507 and not browser.assistant.asked


def test_the_library_shows_states_and_the_settings_of_a_conversation_hold(browser):
    page = browser.get("/").text
    assert harmless(page) and "is damaged" in page and "● warm" in page and "Instructions for answers" in page
    began = browser.store.new(("contracts",), settings={"strict": True, "generator": "other", "top": 1})
    browser.ask("How much?", session=browser.store.ask(began, "Before?").id)
    assert browser.assistant.options == {"strict": True}
