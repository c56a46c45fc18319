"""The library pane: what is there and in what state, what is ticked, and what goes on with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_core import PAGES, FakeLibrary, FakeWorld, Gate, shelved_document
from textual.widgets import Input
from waiting import PATIENCE

from localrag.events import Failure, IngestReport
from localrag.tui.chat_state import Scope
from localrag.tui.widgets.library import LibraryPane, describe
from localrag.tui.widgets.library_tree import LibraryTree
from localrag.tui.widgets.source import SourceText
from localrag.types import Filter, Remark, SkippedPage
from localrag.worker.branches import build, state
from localrag.worker.engine import Shelf, Shelved
from tui.screen_text import SIZES, ask, idle, lines, open_chat, see, shown, until

NARROW, WIDE = SIZES
SCANNED = (SkippedPage(3, "a picture without text"),)


def library(name: str = "contracts") -> FakeLibrary:
    return FakeLibrary(
        name,
        shelved=(
            Shelved(shelved_document("contracts/msa.pdf", pages=60), 12_400, 0),
            Shelved(shelved_document("leases/hall[1].pdf"), 900, 950, 1.0),
            Shelved(shelved_document("leases/yard.pdf", skipped=SCANNED), 800, 0),
            Shelved(
                shelved_document("notes.txt", paged=False, remarks=(Remark(None, "invisible text left out"),)), 40, 0
            ),
        ),
        failed=(Failure("leases/locked.pdf", "is encrypted", "leases/locked.pdf", "/docs"),),
    )


def world() -> FakeWorld:
    return FakeWorld(libraries={"contracts": library()})


async def opened(pilot) -> LibraryTree:
    await open_chat(pilot)
    await pilot.press("f6")
    await see(pilot, "1 not read")
    await pilot.press("home")
    tree = pilot.app.screen.query_one(LibraryTree)
    await until(pilot, lambda: tree.at is not None)
    return tree


def leaves(tree: LibraryTree) -> list[str]:
    """The documents and failed files in view."""
    branches = [line.path[-1].data for line in tree._tree_lines]
    return [branch.label for branch in branches if branch is not None and not branch.branches]


async def find(pilot, words: str) -> None:
    await pilot.press("slash", *("space" if sign == " " else sign for sign in words), "enter")


@pytest.mark.parametrize("size", SIZES)
async def test_documents_show_their_state_and_ticked_ones_narrow_questions(size):
    here = world()
    app = here.app()
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        await see(pilot, "4 documents, 1 not read")
        assert any("leases" in line and "1 failed of 2" in line for line in lines(app))
        await pilot.press("down", "space", "right")
        await see(pilot, "locked.pdf")
        line = {
            name: next(line for line in lines(app) if name in line) for name in ("hall[1]", "yard", "locked", "notes")
        }
        assert "● warm" in line["hall[1]"] and "! read" in line["yard"] and "× failed" in line["locked"]
        await see(pilot, "Only 2 of 4 documents: hall[1].pdf, yard.pdf")
        await pilot.press("down", "space", "down", "down")
        await see(pilot, "1 page without text: p. 3: a picture without text")
        assert any("[-] leases" in line for line in lines(app))
        await pilot.press("up")
        await see(pilot, "Not read: is encrypted")
        await pilot.press("escape")
        assert app.screen.query_one(LibraryPane).display == (size == WIDE)
        await ask(pilot, "When does it end?")
        await idle(pilot)
        await ask(pilot, "What does @notes.txt say?")
        await idle(pilot)
        await pilot.press("f6", "c", "escape")
        await until(pilot, lambda: "Only 1" not in shown(app))
        await ask(pilot, "And the others?")
        await idle(pilot)
    filters = [asked["documents"] for asked in here.assistant.asked]
    ticked, named = (Filter(these=(("contracts", path),)) for path in ("leases/yard.pdf", "notes.txt"))
    assert filters == [ticked, named, Filter()]


async def test_documents_are_found_by_name_and_state_and_ticks_stay():
    here = world()
    app = here.app()
    async with app.run_test(size=NARROW) as pilot:
        tree = await opened(pilot)
        await find(pilot, "yard")
        await see(pilot, "1 found of 4 documents")
        await pilot.press("down", "space")
        for words, found in (
            ("failed", "locked.pdf"),
            ("warm", "hall[1].pdf"),
            ("long", "msa.pdf"),
            ("skipped", "yard.pdf"),
        ):
            await find(pilot, words)
            await until(pilot, lambda name=found: leaves(tree) == [name])
        await pilot.press("slash", "escape")
        await see(pilot, "notes.txt")
        assert tree.ticked == {("contracts", "leases/yard.pdf")}
        here.libraries["contracts"].shelved += (Shelved(shelved_document("new.pdf"), 10, 0),)
        await pilot.press("r")
        await see(pilot, "5 documents, 1 not read")
        await see(pilot, "new.pdf")


@pytest.mark.parametrize("size", SIZES)
async def test_enter_shows_the_text_of_a_document(size, monkeypatch):
    monkeypatch.setitem(PAGES, ("contracts/msa.pdf", 1), "Article 1. The parties.")
    app = world().app()
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        await pilot.press("right", "down", "enter")
        await until(pilot, lambda: isinstance(app.focused, SourceText))
        await see(pilot, "Article 1")
        assert app.screen.query_one(LibraryPane).display == (size == WIDE)


async def test_several_libraries_and_folders_are_branches_of_their_own():
    other = FakeLibrary(
        "mails",
        roots=("/a", "/b"),
        shelved=(
            Shelved(shelved_document("x.eml", root="/a"), 10, 0),
            Shelved(shelved_document("x.eml/deed.pdf", root="/a"), 10, 0),
            Shelved(shelved_document("y.eml", root="/b"), 10, 0),
        ),
    )
    here = FakeWorld(libraries={"contracts": library(), "mails": other})
    app = here.app(libraries=["contracts", "mails"])
    async with app.run_test(size=NARROW) as pilot:
        await opened(pilot)
        await pilot.press("down", "right", "down", "right", "down", "right")
        await see(pilot, "deed.pdf")
        await until(pilot, lambda: "/a" in shown(app) and "/b" in shown(app))
        await pilot.press("space")
        await see(pilot, "Only 2 of 7 documents: x.eml, deed.pdf")


async def test_ticks_come_back_and_documents_that_are_gone_are_reported():
    only = Filter(these=(("contracts", "notes.txt"), ("contracts", "gone.pdf")))
    app = world().app(only=only)
    async with app.run_test(size=WIDE, notifications=True) as pilot:
        tree = await opened(pilot)
        await see(pilot, "unticked: gone.pdf")
        await see(pilot, "Only 1 of 4 documents: notes.txt")
        assert tree.ticked == {("contracts", "notes.txt")}


# --- in the background --------------------------------------------------------------------------------------


async def test_folders_are_read_in_the_background_also_in_another_conversation():
    here = world()
    gate = here.fresh.gate = Gate()
    here.fresh.report = IngestReport(
        "contracts",
        "/docs",
        ("a.md",),
        unchanged=4,
        failed=(Failure("b.pdf", "is damaged"),),
        skipped_pages=(("c.pdf", SkippedPage(2, "a picture")),),
    )
    app = here.app()
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("i")
        await see(pilot, "reading: b.md")
        await pilot.press("escape")
        await ask(pilot, "How long?")
        await see(pilot, "Thirty days")
        app.open_chat(Scope(("contracts",)))
        await until(pilot, lambda: "reading" not in shown(app))
        await open_chat(pilot)
        await pilot.press("f6")
        await see(pilot, "reading: b.md")
        gate.opened.set()
        await see(pilot, "/docs: Read 1 document into")
        await see(pilot, "! Not read: b.pdf: is damaged")
        await see(pilot, "No text on p. 2 of c.pdf: a picture")
        await pilot.press("x")
        await until(pilot, lambda: "is damaged" not in shown(app))
        gate.opened.clear()
        await pilot.press("i")
        await see(pilot, "reading: b.md")
    assert app.shut_down(PATIENCE)


async def test_warming_gives_way_to_questions_and_can_be_stopped(monkeypatch):
    monkeypatch.setattr("localrag.tui.widgets.asking.HOLD", 0.0)
    here = world()
    gate = here.libraries["contracts"].keeping = Gate()
    app = here.app()
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("down", "w")
        await until(pilot, gate.reached.is_set)
        await see(pilot, "Warming")
        await pilot.press("escape")
        await ask(pilot, "How long?")
        await see(pilot, "Thirty days")
        assert here.libraries["contracts"].kept == []
        gate.opened.set()
        await see(pilot, "2 documents warm")
        assert here.libraries["contracts"].kept == ["leases/hall[1].pdf", "leases/yard.pdf"]
        gate.opened.clear(), gate.reached.clear()
        await pilot.press("f6", "w")
        await until(pilot, gate.reached.is_set)
        await pilot.press("x")
        await see(pilot, "0 documents warm")


async def test_forgetting_and_adding_a_folder_ask_first(tmp_path: Path):
    here = world()
    app = here.app()
    async with app.run_test(size=NARROW) as pilot:
        await opened(pilot)
        await pilot.press("end", "d")
        await see(pilot, "Delete the text of notes.txt?")
        await pilot.press("n", "d")
        await see(pilot, "Delete the text of notes.txt?")
        assert here.libraries["contracts"].shelved == library().shelved
        await pilot.press("y")
        await see(pilot, "Deleted the text of 1 document.")
        await see(pilot, "3 documents, 1 not read")
        await pilot.press("a")
        await see(pilot, "Add a folder to contracts")
        app.screen.query_one(Input).value = str(tmp_path)
        await pilot.press("enter")
        await see(pilot, "into contracts?")
        await pilot.press("y")
        await see(pilot, f"{tmp_path.name}: Read 3 documents into")


@pytest.mark.parametrize(
    ("share", "shown"), [(0.0, ("○", "read")), (0.34, ("○", "34%")), (0.96, ("●", "warm")), (1.1, ("●", "warm"))]
)
def test_a_document_shows_how_much_of_it_is_warm(share: float, shown: tuple[str, str]):
    shelved = Shelved(shelved_document("a.pdf"), 100, 0, share)
    branch = build([Shelf("papers", ("/docs",), (shelved,), (), "", 8000)])[0]
    assert state(branch) == shown and ("warm" in branch.states) == (shown[1] == "warm")
    assert ("of its passages" in describe(branch).plain) == (share > 0)
