import pytest
from fake_core import PAGES, FakeLibrary, Gate, shelved_document
from waiting import PATIENCE

from localrag.events import Failure, IngestReport
from localrag.tui.chat_state import Scope
from localrag.tui.widgets.library import LibraryPane, LibraryTree, describe
from localrag.tui.widgets.source import SourceText
from localrag.types import Filter, SkippedPage
from localrag.worker.branches import build, state
from localrag.worker.engine import Contents, Entry
from tui.scenes import shelved
from tui.screen_text import (
    NARROW,
    SIZES,
    WIDE,
    answer,
    ask,
    chatting,
    fill,
    lines,
    open_chat,
    press,
    see,
    shown,
    unsee,
    until,
)


async def opened(pilot):
    await press(pilot, "f6", sees="1 not read")
    await pilot.press("home")
    tree = pilot.app.screen.query_one(LibraryTree)
    await until(pilot, lambda: tree.at is not None)
    return tree


def documents(tree):
    branches = [line.path[-1].data for line in tree._tree_lines]
    return [branch.label for branch in branches if branch is not None and not branch.branches]


async def find(pilot, words):
    await pilot.press("slash", *("space" if sign == " " else sign for sign in words), "enter")


@pytest.mark.parametrize("size", SIZES)
async def test_documents_show_their_state_and_ticked_ones_narrow_questions(size, monkeypatch):
    monkeypatch.setitem(PAGES, ("contracts/msa.pdf", 1), "Article 1. The parties.")
    here = shelved()
    async with chatting(here, size) as pilot:
        app = pilot.app
        await opened(pilot)
        await see(pilot, "4 documents, 1 not read")
        assert any("leases" in line and "1 failed of 2" in line for line in lines(app))
        await press(pilot, "down", "space", "right", sees="locked.pdf")
        line = {name: next(line for line in lines(app) if name in line) for name in ("hall[1]", "yard", "locked")}
        assert "● warm" in line["hall[1]"] and "! read" in line["yard"] and "× failed" in line["locked"]
        await see(pilot, "Only 2 of 4 documents: hall[1].pdf, yard.pdf")
        await press(pilot, "down", "space", "down", "down", sees="1 page without text: p. 3: a picture without text")
        assert any("[-] leases" in line for line in lines(app))
        await press(pilot, "up", sees="Not read: is encrypted")
        await pilot.press("escape")
        assert app.screen.query_one(LibraryPane).display == (size == WIDE)
        await answer(pilot, "When does it end?")
        await answer(pilot, "What does @notes.txt say?")
        await pilot.press("f6", "c", "escape")
        await unsee(pilot, "Only 1")
        await answer(pilot, "And the others?")
        await press(pilot, "f6", "home", "right", "down", "enter", then=lambda: isinstance(app.focused, SourceText))
        await see(pilot, "Article 1")
        assert app.screen.query_one(LibraryPane).display == (size == WIDE)
    filters = [asked["documents"] for asked in here.assistant.asked]
    ticked, named = (Filter(these=(("contracts", path),)) for path in ("leases/yard.pdf", "notes.txt"))
    assert filters == [ticked, named, Filter()]


async def test_documents_are_found_by_name_and_state_and_ticks_stay():
    here = shelved()
    async with chatting(here, NARROW) as pilot:
        tree = await opened(pilot)
        await find(pilot, "yard")
        await see(pilot, "1 found of 4 documents")
        await pilot.press("down", "space")
        for words, found in (("failed", "locked"), ("warm", "hall[1]"), ("long", "msa"), ("skipped", "yard")):
            await find(pilot, words)
            await until(pilot, lambda name=found: documents(tree) == [f"{name}.pdf"])
        await press(pilot, "slash", "escape", sees="notes.txt")
        assert tree.ticked == {("contracts", "leases/yard.pdf")}
        here.libraries["contracts"].shelved += (Entry(shelved_document("new.pdf"), 10, 0),)
        await press(pilot, "r", sees=("5 documents, 1 not read", "new.pdf"))


async def test_several_libraries_and_folders_are_branches_of_their_own():
    found = [("x.eml", "/a"), ("x.eml/deed.pdf", "/a"), ("y.eml", "/b")]
    mails = tuple(Entry(shelved_document(path, root=root), 10, 0) for path, root in found)
    here = shelved()
    here.libraries["mails"] = FakeLibrary("mails", roots=("/a", "/b"), shelved=mails)
    async with chatting(here, NARROW, libraries=["contracts", "mails"]) as pilot:
        await opened(pilot)
        await press(pilot, "down", "right", "down", "right", "down", "right", sees=("deed.pdf", "/a", "/b"))
        await press(pilot, "space", sees="Only 2 of 7 documents: x.eml, deed.pdf")


async def test_ticks_come_back_and_documents_that_are_gone_are_reported():
    only = Filter(these=(("contracts", "notes.txt"), ("contracts", "gone.pdf")))
    async with chatting(shelved(), WIDE, only=only) as pilot:
        tree = await opened(pilot)
        await see(pilot, "unticked: gone.pdf", "Only 1 of 4 documents: notes.txt")
        assert tree.ticked == {("contracts", "notes.txt")}


async def test_folders_are_read_in_the_background_also_in_another_conversation():
    here = shelved()
    gate = here.fresh.gate = Gate()
    failed, skipped = (Failure("b.pdf", "is damaged"),), (("c.pdf", SkippedPage(2, "a picture")),)
    here.fresh.report = IngestReport("contracts", "/docs", ("a.md",), 4, failed=failed, skipped_pages=skipped)
    async with chatting(here, WIDE) as pilot:
        app = pilot.app
        await opened(pilot)
        await press(pilot, "i", sees="reading: b.md")
        await pilot.press("escape")
        await ask(pilot, "How long?", sees="Thirty days")
        app.open_chat(Scope(("contracts",)))
        await unsee(pilot, "reading")
        await open_chat(pilot)
        await press(pilot, "f6", sees="reading: b.md")
        gate.opened.set()
        await see(pilot, "/docs: Read 1 document into", "! Not read: b.pdf: is damaged")
        await see(pilot, "No text on p. 2 of c.pdf: a picture")
        await pilot.press("x")
        await unsee(pilot, "is damaged")
        gate.opened.clear()
        await press(pilot, "i", sees="reading: b.md")
    assert app.shut_down(PATIENCE)


async def test_warming_gives_way_to_questions_and_can_be_stopped(monkeypatch):
    monkeypatch.setattr("localrag.tui.widgets.asking.HOLD", 0.0)
    here = shelved()
    held = here.libraries["contracts"]
    gate = held.keeping = Gate()
    async with chatting(here, WIDE) as pilot:
        await opened(pilot)
        await press(pilot, "down", "w", then=gate.reached.is_set)
        await see(pilot, "Warming")
        await pilot.press("escape")
        await ask(pilot, "How long?", sees="Thirty days")
        assert held.kept == []
        gate.opened.set()
        await see(pilot, "2 documents warm")
        assert held.kept == ["leases/hall[1].pdf", "leases/yard.pdf"]
        gate.opened.clear()
        gate.reached.clear()
        await press(pilot, "f6", "w", then=gate.reached.is_set)
        await press(pilot, "x", sees="0 documents warm")


async def test_forgetting_and_adding_a_folder_ask_first(tmp_path):
    here = shelved()
    before = here.libraries["contracts"].shelved
    async with chatting(here, NARROW) as pilot:
        await opened(pilot)
        await press(pilot, "end", "d", sees="Delete the text of notes.txt?")
        await press(pilot, "n", "d", sees="Delete the text of notes.txt?")
        assert here.libraries["contracts"].shelved == before
        await press(pilot, "y", sees=("Deleted the text of 1 document.", "3 documents, 1 not read"))
        await press(pilot, "a", sees="Add a folder to contracts")
        await fill(pilot, str(tmp_path), sees="into contracts?")
        await press(pilot, "y", sees=f"{tmp_path.name}: Read 3 documents into")
        assert "error" not in shown(pilot.app).lower()


@pytest.mark.parametrize(
    ("share", "shown"), [(0.0, ("○", "read")), (0.34, ("○", "34%")), (0.96, ("●", "warm")), (1.1, ("●", "warm"))]
)
def test_a_document_shows_how_much_of_it_is_warm(share, shown):
    one = Entry(shelved_document("a.pdf"), 100, 0, share)
    branch = build([Contents("papers", ("/docs",), (one,), (), "", 8000)])[0]
    assert state(branch) == shown and ("warm" in branch.states) == (shown[1] == "warm")
    assert ("of its passages" in describe(branch).plain) == (share > 0)
