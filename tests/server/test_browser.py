"""The pages in Chromium: ask, stream, stop, follow a citation, resume, hostile names, keys, contrast, widths.

Nothing may leave this machine, and nothing may be logged as an error, whatever a test does.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_core import NOTICE
from playwright.sync_api import expect, sync_playwright
from waiting import PATIENCE

from localrag.tui import viewing

CHROMIUM = shutil.which("chromium")
if CHROMIUM is None and not os.environ.get("CI"):
    pytest.skip("Chromium is not installed: apt-get install chromium", allow_module_level=True)
pytestmark = pytest.mark.slow
expect.set_options(timeout=PATIENCE * 1000)

ROOT = Path(__file__).parents[2]
QUIET = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync --no-first-run"
WIDE, MIDDLE, PHONE = (1600, 900), (800, 900), (360, 740)
FIRST = "/overview/contracts"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def address(folder):
    """A server over fakes, as a process of its own; its address has a code."""
    with serving(folder) as (started, _):
        yield started


@pytest.fixture
def go(folder):
    made = folder / "go"
    yield made.touch
    made.unlink(missing_ok=True)


@contextmanager
def serving(home, *uploads):
    environment = {**os.environ, "LOCALRAG_HOME": str(home), "PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "server.fake_server", str(home), *uploads]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=home) as process:
        try:
            yield process.stdout.readline().strip(), process
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=QUIET.split())
        yield browser
        browser.close()


class Visit:
    def __init__(self, chromium, address, size=WIDE, **how):
        self.base = address.partition("/?")[0]
        width, height = size
        self.context = chromium.new_context(viewport={"width": width, "height": height}, **how)
        self.context.set_default_timeout(PATIENCE * 1000)
        self.wrong = []
        self.context.on("request", self._check)
        self.page = self.context.new_page()
        self.page.on("console", lambda one: self.wrong.append(one.text) if one.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda one: (self.wrong.append("a dialog"), one.dismiss()))
        self.page.goto(address)
        self.page.wait_for_url(f"{self.base}/")

    def _check(self, request):
        if not request.url.startswith(f"{self.base}/"):
            self.wrong.append(f"asked {request.url}")

    def press(self, key, shows, where="#source h2"):
        self.page.keyboard.press(key)
        expect(self.page.locator(where)).to_contain_text(shows)

    def click(self, what, shows, where="#source h2"):
        self.page.click(what)
        expect(self.page.locator(where)).to_contain_text(shows)

    def begin(self, question, shows="", where="body"):
        self.page.fill("#question", question)
        self.press("Enter", shows, where)

    def ask(self, question):
        expect(self.page.locator("body.scripted")).to_be_attached()
        before = self.page.locator(".cost").count()
        self.begin(question)
        expect(self.page.locator(".cost")).to_have_count(before + 1)

    def to(self, path):
        self.page.goto(f"{self.base}{path}")


@contextmanager
def opened(chromium, address, *how, **more):
    made = Visit(chromium, address, *how, **more)
    yield made
    made.context.close()
    assert made.wrong == []


@pytest.fixture
def visit(chromium, address, request):
    with opened(chromium, address, **getattr(request, "param", {})) as made:
        yield made


def test_a_file_of_this_machine_leads_to_the_page(chromium, address, tmp_path, monkeypatch):
    """A strict cookie that a file leads to is not sent after a redirect."""
    page = chromium.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(viewing, "LOAD_SECONDS", 0)
    monkeypatch.setattr(viewing, "start", lambda opening: page.goto(f"file://{opening.arguments[1]}"))
    viewing.show_address(address)
    expect(page).to_have_title("New conversation – localrag")
    page.close()


def test_an_answer_streams_and_the_whole_replaces_the_draft(visit, go):
    page = visit.page
    page.fill("#question", "slow question")
    visit.click("button.primary", "word2", "[data-draft]")
    first = page.locator("[data-draft]").text_content() or ""
    expect(page.locator("[data-draft]")).to_contain_text("word9")
    assert "word59" not in first  # it came bit by bit
    expect(page.locator("[data-step]")).to_contain_text("Writing")
    expect(page.locator("#say")).to_have_text("Writing")  # each phase is said once, not each word
    go()
    expect(page.locator(".answer")).to_contain_text("word59")
    expect(page.locator("#say")).to_contain_text("Answer: word0")
    expect(page.locator("[data-draft]")).to_have_count(0)
    expect(page).to_have_url(re.compile(r"/c/\d{8}T"))
    visit.ask("replaced thing")
    page.click("#export summary")
    with page.expect_download() as download:
        page.click("#export a >> nth=0")
    assert "slow question" in Path(download.value.path()).read_text(encoding="utf-8")
    assert "the first try" not in (page.text_content("#turns") or "")


def test_escape_stops_an_answer(visit):
    page = visit.page
    visit.begin("slow question", "word3", "[data-draft]")
    page.keyboard.press("Escape")
    expect(page.locator("#turns .remark").first).to_contain_text("not complete")
    assert "word3" in (page.text_content(".answer") or "") and "word59" not in (page.text_content(".answer") or "")


def test_an_error_is_told_and_the_question_can_be_asked_again(visit):
    page = visit.page
    for _ in range(2):
        visit.begin("fail now")
        expect(page.locator("body.busy")).to_have_count(0)
        expect(page.locator("#turns .error")).to_contain_text("he model <script>alert(1)</script> is gone")
        expect(page.locator("article")).to_have_count(1)
    visit.ask("How much notice?")
    page.reload()
    expect(page.locator("article >> nth=0")).to_contain_text("was not answered")


def test_a_page_loaded_again_in_the_middle_goes_on(visit, go):
    page = visit.page
    visit.begin("slow question", "word3", "[data-draft]")
    page.reload()
    expect(page.locator("[data-draft]")).to_contain_text("word0 word1")  # from the beginning
    go()
    expect(page.locator(".answer")).to_contain_text("word59")
    page.reload()
    expect(page.locator(".answer")).to_contain_text("word59")
    expect(page.locator("article")).to_have_count(1)


def test_a_citation_leads_to_the_page_with_the_quote_boxed(visit):
    page = visit.page
    visit.ask("How much notice?")
    expect(page.locator("#source h2")).to_have_text("msa.pdf, p. 12")  # the first, as there is room
    picture = page.locator("#source img[data-revealed]")
    expect(picture).to_be_visible()
    view, panel = picture.bounding_box(), page.locator("#source").bounding_box()
    assert view is not None and panel is not None
    assert panel["y"] < view["y"] + 0.8 * view["height"] < panel["y"] + panel["height"]  # the quote is in sight
    expect(page.locator("mark.quote")).to_have_text(NOTICE)
    visit.click(".citation >> nth=1", "msa.pdf, p. 2")
    expect(page.locator(".citation >> nth=1")).to_have_attribute("aria-current", "true")
    visit.click(".marker >> nth=0", "msa.pdf, p. 12")
    visit.click('[data-turn="1"]', "msa.pdf, p. 13")
    visit.click("text=Back to the quote", "msa.pdf, p. 12")
    page.reload()
    expect(page.locator("#source h2")).to_have_text("msa.pdf, p. 12")
    page.click("[data-close]")
    expect(page.locator("#source")).to_be_hidden()
    assert "source" not in page.url


def test_a_page_is_zoomed_and_the_next_hit_shown_from_the_source(visit):
    page = visit.page
    visit.ask("How much notice?")
    picture = page.locator("#source img[data-revealed]")
    expect(picture).to_be_visible()
    small = picture.bounding_box()
    page.focus('[data-zoom="1"]')
    page.keyboard.press("Enter")
    expect(page.locator("#source .zoom-150 img[data-revealed]")).to_be_visible()
    large = picture.bounding_box()
    assert small is not None and large is not None and abs(large["width"] / small["width"] - 1.5) < 0.1
    figure = page.locator(".picture").bounding_box()
    quote = large["y"] + 0.82 * large["height"]
    assert figure is not None and figure["y"] < quote < figure["y"] + figure["height"]  # it is in sight
    expect(page.locator('[data-zoom="1"]')).to_be_focused()  # to press it once more
    page.keyboard.press("-")
    expect(page.locator("#source .zoom-100 img")).to_be_visible()
    visit.click('[data-hit="1"]', "msa.pdf, p. 2")
    expect(page.locator(".citation >> nth=1")).to_have_attribute("aria-current", "true")
    expect(page.locator('[data-hit="1"]')).to_have_count(0)
    visit.click('[data-hit="-1"]', "msa.pdf, p. 12")


def test_the_answer_and_its_hits_come_before_how_it_was_found(visit):
    page = visit.page
    visit.ask("survey of notice periods")
    order = page.evaluate("""[...document.querySelectorAll('.turn > .answer, .turn > .wide, .turn > .citations, .turn > .how')]
      .map((e) => e.className.split(' ')[0])""")
    assert order[0] == "answer" and order[1] == "wide" and order[-1] == "how"
    expect(page.locator(".plan")).to_be_hidden()
    page.click(".how summary")
    expect(page.locator(".plan")).to_be_visible()


DROP = """async ([where, name, words]) => {
  const data = new DataTransfer();
  data.items.add(new File([words], name));
  for (const kind of ['dragover', 'drop'])
    document.querySelector(where).dispatchEvent(new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true}));
}"""


def test_files_are_dropped_or_chosen_and_can_then_be_asked(chromium, tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    with serving(tmp_path, str(docs)) as (address, _), opened(chromium, address) as visit:
        page = visit.page
        chooser = page.query_selector("[data-add] input")
        page.evaluate("document.querySelector('#library [data-leaf]').id = 'old'")
        page.evaluate(DROP, ["#turns", "permit.txt", "EUR 77"])
        expect(page.locator("[data-added]")).to_contain_text("permit.txt")
        expect(page.locator("#old")).to_have_count(0)  # the list of documents is new
        assert (docs / "permit.txt").read_text() == "EUR 77"
        file = {"name": "permit.txt", "mimeType": "text/plain", "buffer": b"other"}
        chooser.set_input_files([file, {**file, "name": "second.txt"}])  # as if it had been open all along
        expect(page.locator("[data-added]")).to_contain_text("There is a file 'permit.txt' already")
        expect(page.locator("[data-added]")).to_contain_text("second.txt can be asked.")
        assert (docs / "permit.txt").read_text() == "EUR 77" and (docs / "second.txt").read_text() == "other"
        visit.wrong = [one for one in visit.wrong if "400" not in one]  # the browser reports what was refused


def test_a_file_dropped_where_none_may_be_added_is_not_sent(visit):
    sent = []
    visit.page.on("request", lambda one: sent.append(one.url) if "/upload/" in one.url else None)
    visit.page.evaluate(DROP, ["#turns", "permit.txt", "EUR 77"])
    expect(visit.page.locator("[data-add]")).to_have_count(0)
    assert sent == []


def test_a_review_begins_on_its_own_page(visit):
    page = visit.page
    visit.click("text=Review >> nth=0", "Review", "h1")
    page.check("[value=nda]")
    page.click("button.primary")
    expect(page.locator("#grid tr")).to_have_count(2)
    expect(page.get_by_text("Review again")).to_be_visible()
    visit.to("/review")
    expect(page.locator(".list")).to_contain_text("done")
    visit.click("text=Overview", "First page of contracts", "h1")


def test_the_source_of_the_last_click_stays_though_an_earlier_one_comes_later(visit):
    page, late = visit.page, []
    visit.ask("How much notice?")
    expect(page.locator("#source h2")).to_contain_text("p. 12")
    page.route("**/*part=source*", lambda route: late.append(route) if not late else route.continue_())
    page.click(".citation >> nth=0")
    visit.click(".citation >> nth=1", "p. 2")
    with page.expect_response("**/*part=source*"):
        late[0].continue_()
    page.reload()  # what the page does with it is done, its address included
    expect(page.locator("#source h2")).to_contain_text("p. 2")


def test_everything_goes_by_keyboard(visit):
    page = visit.page
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.ask("How much notice?")
    expect(page.locator("#source h2")).to_contain_text("p. 12")
    page.focus("#turns")
    visit.press("n", "p. 2")
    visit.press("p", "p. 12")
    visit.press("]", "p. 13")
    visit.press("[", "p. 12")
    page.keyboard.press("i")
    expect(page.locator("mark.quote")).to_be_visible()
    visit.press("y", "Copied", "#say")
    assert NOTICE in page.evaluate("navigator.clipboard.readText()")
    page.keyboard.press("Escape")
    expect(page.locator("#source")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.locator("#question")).to_be_focused()
    page.keyboard.type("n/p")  # letters are letters here
    page.keyboard.press("Shift+Enter")
    assert page.input_value("#question") == "n/p\n"


def test_every_control_is_reached_by_tab_and_shows_it(visit):
    page = visit.page
    assert page.title() == "New conversation – localrag"
    expect(page.locator("#question")).to_be_focused()
    page.focus(".skip")
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")  # so that the focus comes from the keyboard
    seen = []
    for _ in range(40):
        here = page.evaluate(
            "(e => [e.tagName, e.id || e.name || e.textContent.trim(), getComputedStyle(e).outlineStyle])(document.activeElement)"
        )
        if here[0] == "BODY":
            break
        seen.append(here)
        page.keyboard.press("Tab")
    names = [name for _, name, _ in seen]
    assert names[0] == "Skip to the content" and {"question", "mode", "find", "playbook", "tick"} <= set(names)
    assert all(outline != "none" for _, _, outline in seen)
    page.fill("#question", "A draft")
    page.focus(".skip")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#main$"))
    assert page.input_value("#question") == "A draft"  # nothing was loaded again


def test_the_way_back_leads_from_a_source_to_its_conversation(visit):
    page = visit.page
    visit.ask("survey of notice periods")
    page.click("[data-close]")
    visit.click("tbody a >> nth=0", "p. 12")
    page.go_back()
    expect(page.locator("#source")).to_be_hidden()
    expect(page.locator("article")).to_have_count(1)


def test_documents_are_ticked_and_found(visit):
    page = visit.page
    page.fill("#find", "zebra")
    expect(page.get_by_text("No document matches.", exact=True).first).to_be_visible()
    page.fill("#find", "lease")
    expect(page.locator("#no-hit")).to_be_hidden()
    expect(page.locator("[data-leaf]:visible")).to_have_count(1)
    page.check("[name=tick]:visible")
    page.fill("#find", "")
    expect(page.locator("#ticks")).to_have_text("only 1 of 4 is asked")
    visit.ask("How much notice?")
    page.reload()
    expect(page.locator("[name=tick]:checked")).to_have_count(1)  # it is kept with the conversation
    page.fill("#question", "And the term?")
    page.focus("[name=tick]:checked")
    page.keyboard.press("Enter")  # on a tick it asks, too
    expect(page.locator(".cost")).to_have_count(2)
    page.click("text=Untick")
    expect(page.locator("[name=tick]:checked")).to_have_count(0)
    page.check("[data-all]")
    expect(page.locator("[name=tick]:checked")).to_have_count(4)


def test_a_review_fills_its_grid_and_is_decided_on(visit):
    page = visit.page
    page.select_option("#playbook", "nda")
    page.click("text=Review >> nth=-1")
    expect(page.locator("#grid tr")).to_have_count(2)
    expect(page.locator("#grid")).to_contain_text("≠ deviates not as expected")
    expect(page.get_by_text("Review again")).to_be_visible()
    assert max(page.evaluate("[...document.querySelectorAll('#grid td')].map(each => each.offsetHeight)")) < 150
    visit.click("#grid a >> nth=0", "30 days is more than 2 weeks", "#source")
    page.fill("#comment", "Ask Bob")
    with page.expect_navigation():
        page.press("#comment", "Enter")  # keeps it, and decides nothing
    expect(page.locator("#comment")).to_have_value("Ask Bob")
    expect(page.locator("#grid tr >> nth=0")).not_to_contain_text("accepted")
    page.fill("#comment", "Ask Anna")
    visit.click("text=Reject", "rejected", "#grid")
    expect(page.locator("#source")).to_contain_text("Ask Anna")
    expect(page.locator("#source img")).to_be_visible()


def test_the_first_page_leads_to_quotes_takes_decisions_and_asks(visit):
    page = visit.page
    visit.click("#greeting >> text=First page of contracts", "First page of contracts", "h1")
    page.click("tr:has-text('msa.pdf') + tr summary >> nth=0")
    visit.click(".facts .citation:visible >> nth=2", "p. 12")
    expect(page.locator("#source img[data-revealed]")).to_be_visible()
    page.click("[data-close]")
    assert page.url.endswith(FIRST)
    with page.expect_navigation():
        page.click(".facts form:visible >> nth=1 >> text=Confirm")
    expect(page.locator(".facts li:visible >> nth=1")).to_contain_text("✓ confirmed")
    page.click(".facts form:visible >> nth=1 >> text=Correct")  # without a value the browser asks for one
    assert page.evaluate("document.activeElement.name") == "value"
    with page.expect_navigation():
        page.click(".facts form:visible >> nth=1 >> text=Take it back")
    expect(page.locator("article")).to_have_count(0)
    page.click(".question-link")
    expect(page).to_have_url(re.compile(r"/c/\d{8}T"))
    expect(page.locator(".cost")).to_have_count(1)
    visit.to("/")
    page.click("#greeting .question-link")
    expect(page.locator(".cost")).to_have_count(1)


@pytest.mark.parametrize("visit", [{"size": size} for size in (WIDE, MIDDLE, PHONE)], indirect=True)
def test_the_first_page_fits_each_width(visit):
    page = visit.page
    visit.to(f"{FIRST}?document=contracts/msa.pdf")
    assert page.evaluate(TOO_WIDE) == []
    box, most = page.locator(".facts li:visible >> nth=2").bounding_box(), (page.viewport_size or {})["width"]
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= most


TOO_WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('body *')]
  .filter((e) => e.getBoundingClientRect().right > innerWidth).map((e) => e.outerHTML.slice(0, 150))"""
CONTRAST = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [.2126, .7152, .0722][at], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] === 1) return c; }
    return matchMedia('(prefers-color-scheme: dark)').matches ? [0, 0, 0] : [255, 255, 255];
  };
  const low = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility({ visibilityProperty: true }) || e.closest('.hidden, .skip')) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) low.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)} ${e.textContent.slice(0, 30)}`);
  }
  return low;
}"""
NAMELESS = """() => [...document.querySelectorAll('input:not([type=hidden]), select, textarea, button, a, summary, img')]
  .filter((e) => !(e.labels?.length || e.ariaLabel || e.textContent.trim() || e.alt || e.title)).map((e) => e.outerHTML)"""


@pytest.mark.parametrize("visit", [{"color_scheme": scheme} for scheme in ("light", "dark")], indirect=True)
def test_text_can_be_read_and_controls_have_names(visit):
    page = visit.page
    for question in ("evil question", "survey of notice periods", "unknown thing", "How much notice?"):
        visit.ask(question)
    expect(page.locator("#source h2")).to_contain_text("p. 12")
    page.keyboard.press("Tab")
    for path in ("", "/conversations", "/review", f"{FIRST}?document=contracts/msa.pdf", "/"):
        if path:
            visit.to(path)
        assert page.evaluate(CONTRAST) == [] and page.evaluate(NAMELESS) == []
        assert page.locator("main").count() == 1 and page.locator("h1").count() == 1
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map(each => each.id)")
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("visit", [{"size": size} for size in (WIDE, MIDDLE, PHONE)], indirect=True)
def test_it_fits_each_width(visit):
    page = visit.page
    size = (page.viewport_size or {})["width"], (page.viewport_size or {})["height"]
    for question in ("evil question", "survey of notice periods", "How much notice?"):
        visit.ask(question)
        if size == WIDE:  # nothing slides the whole page
            page.evaluate("document.querySelector('#turns').scrollTop = 0")
            assert page.evaluate("document.scrollingElement.scrollHeight === innerHeight && !scrollY")
    if size != WIDE:
        visit.click(".citation >> nth=-2", "p. 12")
    box = page.locator("#source").bounding_box()
    assert box is not None and box["x"] + box["width"] <= size[0] and box["width"] >= min(size[0], 352)
    assert page.evaluate(TOO_WIDE) == []
    expect(page.locator("#source img[data-revealed]")).to_be_in_viewport()
    if size == PHONE:
        page.click("[data-close]")
        expect(page.locator(".citation >> nth=-2")).to_be_focused()
        page.click("[data-toggle=library]")
        expect(page.locator("#library")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("#library")).to_be_hidden()
        page.click("[data-toggle=library] >> nth=0")
        page.click("#library .close")
        expect(page.locator("#library")).to_be_hidden()
        visit.to("/conversations")
        links = page.evaluate("[...document.querySelectorAll('.list .row > a')].map(each => each.offsetWidth)")
        assert min(links) > 200


def test_a_server_that_ends_in_an_answer_is_told(chromium, tmp_path):
    with serving(tmp_path) as (address, process), opened(chromium, address) as visit:
        page, gone = visit.page, re.compile("does not answer")
        visit.begin("slow question", "word2", "[data-draft]")
        process.kill()
        expect(page.locator("article [data-step]")).to_contain_text("does not answer. It may have been ended")
        expect(page.locator("#say")).to_contain_text(gone)
        expect(page.locator(".stop")).to_be_hidden()
        visit.click("#library .doc a >> nth=0", gone, "#source .error")
        page.click("[data-close]")
        expect(page.locator("#source")).to_be_hidden()
        visit.wrong.clear()  # the browser reports each request that failed


def test_a_question_to_a_server_that_has_ended_is_kept(chromium, tmp_path):
    with serving(tmp_path) as (address, process), opened(chromium, address) as visit:
        page, gone = visit.page, re.compile("does not answer")
        process.kill()
        process.wait()
        visit.begin("How much notice?", gone, "main .error")
        assert page.input_value("#question") == "How much notice?"
        visit.wrong.clear()  # the browser reports each request that failed


def test_an_answer_is_followed_again_from_its_beginning(visit, go):
    page, dropped = visit.page, []

    def drop(route):  # the first stream breaks after some words
        news = {"step": "Writing", "share": None, "text": "lost words", "reasoning": "", "notes": []}
        body = f"retry: 100\n\nevent: news\ndata: {json.dumps(news)}\n\n"
        dropped.append(route.request.url)
        route.fulfill(body=body, content_type="text/event-stream") if len(dropped) == 1 else route.continue_()

    page.route("**/events", drop)
    visit.begin("slow question", "word9", "[data-draft]")
    assert len(dropped) == 2 and "lost words" not in (page.text_content("[data-draft]") or "")
    go()
    expect(page.locator(".cost")).to_have_count(1)
