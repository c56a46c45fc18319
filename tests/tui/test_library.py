"""The library pane: what is there and in what state, what is ticked, and what goes on with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from localrag.events import Failure, IngestReport
from localrag.tui.screens.chat import ChatScreen
from localrag.tui.talk import Scope
from localrag.tui.widgets.library import LibraryPane
from localrag.tui.widgets.library_tree import LibraryTree
from localrag.tui.widgets.question import QuestionInput
from localrag.tui.widgets.source import SourceText
from localrag.types import Filter, Remark, SkippedPage
from localrag.worker.engine import Shelved
from tui.fakes import PAGES, FakeLibrary, FakeWorld, Gate, shelved_document
from tui.screen_text import SIZES, ask, lines, see, shown, until

NARROW, WIDE = SIZES
SCANNED = (SkippedPage(3, "a picture without text"),)


def library(name: str = "contracts") -> FakeLibrary:
    return FakeLibrary(
        name,
        shelved=(
            Shelved(shelved_document("contracts/msa.pdf", pages=60), 12_400, 0),
            Shelved(shelved_document("leases/hall[1].pdf"), 900, 950),
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
    await until(pilot, lambda: pilot.app.model.state == "ready" and bool(pilot.app.screen.query(LibraryPane)))
    await pilot.press("f6")
    await see(pilot, "1 not read")
    await pilot.press("home")
    tree = pilot.app.screen.query_one(LibraryTree)
    await until(pilot, lambda: tree.at is not None)
    return tree


def leaves(tree: LibraryTree) -> list[str]:
    """The documents and failed files in sight."""
    branches = [line.path[-1].data for line in tree._tree_lines]
    return [branch.label for branch in branches if branch is not None and not branch.branches]


async def find(pilot, words: str) -> None:
    await pilot.press("slash", *("space" if sign == " " else sign for sign in words), "enter")


@pytest.mark.parametrize("size", SIZES)
async def test_documents_stand_in_their_folders_with_their_state_in_words(size):
    app = world().app()
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        await see(pilot, "4 documents, 1 not read")
        assert any("leases" in line and "1 failed of 2" in line for line in lines(app))
        await pilot.press("down", "right")
        await see(pilot, "locked.pdf")
        line = {
            name: next(line for line in lines(app) if name in line) for name in ("hall[1]", "yard", "locked", "notes")
        }
        assert "● warm" in line["hall[1]"] and "! read" in line["yard"] and "× failed" in line["locked"]
        assert "! read" in line["notes"]
        await pilot.press("down", "down", "down")
        await see(pilot, "1 page without text: p. 3: a picture without text")
        await pilot.press("up")
        await see(pilot, "Not read: is encrypted")


@pytest.mark.parametrize("size", SIZES)
async def test_ticked_documents_narrow_the_next_question_and_that_is_said_by_it(size):
    here = world()
    app = here.app()
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        await pilot.press("down", "space")
        await see(pilot, "Only 2 of 4 documents: hall[1].pdf, yard.pdf")
        assert any("[x] leases" in line for line in lines(app))
        await pilot.press("right", "down", "space")
        await see(pilot, "Only 1 of 4 documents: yard.pdf")
        assert any("[-] leases" in line for line in lines(app))
        await pilot.press("escape")
        await ask(pilot, "When does it end?")
        await until(pilot, lambda: len(here.assistant.asked) == 1)
        assert here.assistant.asked[0]["documents"].these == (("contracts", "leases/yard.pdf"),)
        await see(pilot, "Only 1 of 4 documents: yard.pdf")
        app.screen.query_one(LibraryPane).show()
        await pilot.press("c", "escape")
        await until(pilot, lambda: "Only 1" not in shown(app))
        await ask(pilot, "And the others?")
        await until(pilot, lambda: len(here.assistant.asked) == 2)
        assert not here.assistant.asked[1]["documents"]


async def test_documents_are_found_by_name_and_by_state_and_ticks_stay():
    app = world().app()
    async with app.run_test(size=NARROW) as pilot:
        tree = await opened(pilot)
        await find(pilot, "yard")
        await see(pilot, "1 found of 4 documents")
        assert "yard.pdf" in shown(app) and "notes.txt" not in shown(app)
        await pilot.press("down", "space")
        assert tree.ticked == {("contracts", "leases/yard.pdf")}
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


@pytest.mark.parametrize("size", SIZES)
async def test_enter_shows_the_text_of_a_document_beside_the_conversation_or_over_it(size, monkeypatch):
    monkeypatch.setitem(PAGES, ("contracts/msa.pdf", 1), "Article 1. The parties.")
    here = FakeWorld(libraries={"contracts": FakeLibrary("contracts", shelved=library().shelved)})
    app = here.app()
    async with app.run_test(size=size) as pilot:
        await see(pilot, "ready")
        await pilot.press("f6")
        await see(pilot, "4 documents")
        await pilot.press("home", "right", "down", "enter")
        await until(pilot, lambda: isinstance(app.focused, SourceText))
        await see(pilot, "Article 1")
        assert " of 0" not in shown(app)
        assert app.screen.query_one(LibraryPane).display == (size == WIDE)


async def test_escape_leaves_the_pane_and_in_a_narrow_terminal_uncovers_the_conversation():
    app = world().app()
    async with app.run_test(size=NARROW) as pilot:
        await opened(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.focused, QuestionInput))
        assert not app.screen.query_one(LibraryPane).display


# --- what goes on -------------------------------------------------------------------------------------------


async def test_folders_are_read_in_the_background_while_questions_are_answered():
    here = world()
    gate = here.fresh.gate = Gate()
    report = IngestReport(
        "contracts", "/docs", ("a.md",), unchanged=4, failed=(Failure("b.pdf", "is damaged"),),
        skipped_pages=(("c.pdf", SkippedPage(2, "a picture")),),
    )  # fmt: skip
    here.fresh.report = report
    app = here.app()
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("i")
        await see(pilot, "reading: b.md")
        await pilot.press("escape")
        await ask(pilot, "How long?")
        await see(pilot, "Thirty days")
        gate.opened.set()
        await see(pilot, "/docs: 1 read, 4 unchanged, 1 not read.")
        assert "! Not read: b.pdf: is damaged" in shown(app) and "No text on p. 2 of c.pdf: a picture" in shown(app)
        app.screen.query_one(LibraryPane).show()
        await pilot.press("x")
        await until(pilot, lambda: "is damaged" not in shown(app))


async def test_a_question_comes_before_keeping_ready_which_then_goes_on(monkeypatch):
    monkeypatch.setattr("localrag.tui.widgets.asking.TYPING", 0.0)
    here = world()
    gate = here.libraries["contracts"].keeping = Gate()
    app = here.app()
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("down", "w")
        await until(pilot, gate.reached.is_set)
        await see(pilot, "Keeping ready")
        await pilot.press("escape")
        await ask(pilot, "How long?")
        await see(pilot, "Thirty days")
        assert here.libraries["contracts"].kept == []
        gate.opened.set()
        await see(pilot, "2 documents kept ready")
        assert here.libraries["contracts"].kept == ["leases/hall[1].pdf", "leases/yard.pdf"]


async def test_stopping_ends_keeping_ready_at_once():
    here = world()
    gate = here.libraries["contracts"].keeping = Gate()
    app = here.app()
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("down", "w")
        await until(pilot, gate.reached.is_set)
        await pilot.press("x")
        await see(pilot, "0 documents kept ready")
        assert here.libraries["contracts"].kept == []


async def test_deleting_asks_first_and_says_what_it_does():
    here = world()
    app = here.app()
    async with app.run_test(size=NARROW) as pilot:
        await opened(pilot)
        await pilot.press("end", "d")
        await see(pilot, "The files stay where they are")
        await pilot.press("n")
        assert here.libraries["contracts"].shelved == library().shelved
        await pilot.press("d")
        await see(pilot, "(y/n)")
        await pilot.press("y")
        await see(pilot, "What was read of 1 document is deleted.")
        await see(pilot, "3 documents, 1 not read")


async def test_another_folder_is_added_after_a_question(tmp_path: Path):
    here = world()
    app = here.app()
    async with app.run_test(size=NARROW) as pilot:
        await opened(pilot)
        await pilot.press("a")
        app.screen.query_one("#library-folder").value = str(tmp_path)
        await pilot.press("enter")
        await see(pilot, "into the library contracts?")
        await pilot.press("y")
        await see(pilot, f"{tmp_path.name}: 3 read.")


async def test_what_another_process_brought_in_is_there_after_a_look():
    here = world()
    app = here.app()
    async with app.run_test(size=NARROW) as pilot:
        await opened(pilot)
        here.libraries["contracts"].shelved += (Shelved(shelved_document("new.pdf"), 10, 0),)
        await pilot.press("r")
        await see(pilot, "5 documents, 1 not read")
        assert "new.pdf" in shown(app)


async def test_several_libraries_and_several_folders_are_branches_of_their_own():
    other = FakeLibrary("mails", roots=("/a", "/b"), shelved=(
        Shelved(shelved_document("x.eml", root="/a"), 10, 0),
        Shelved(shelved_document("x.eml/deed.pdf", root="/a"), 10, 0),
        Shelved(shelved_document("y.eml", root="/b"), 10, 0),
    ))  # fmt: skip
    here = FakeWorld(libraries={"contracts": library(), "mails": other})
    app = here.app(libraries=["contracts", "mails"])
    async with app.run_test(size=NARROW) as pilot:
        await opened(pilot)
        await pilot.press("down", "right", "down", "right", "down", "right")
        await see(pilot, "deed.pdf")
        assert "/a" in shown(app) and "/b" in shown(app)
        await pilot.press("space")
        await see(pilot, "Only 2 of 7 documents: x.eml, deed.pdf")


async def test_a_conversation_that_begins_narrowed_says_so_and_has_its_documents_ticked():
    only = Filter(these=(("contracts", "notes.txt"), ("contracts", "gone.pdf")))
    app = world().app(only=only)
    async with app.run_test(size=WIDE) as pilot:
        await see(pilot, "Only 2 of 4 documents: notes.txt, gone.pdf")
        tree = await opened(pilot)
        await until(pilot, lambda: any("unticked: gone.pdf" in note.message for note in app._notifications))
        await see(pilot, "Only 1 of 4 documents: notes.txt")
        assert tree.ticked == {("contracts", "notes.txt")}


async def test_a_document_that_is_mentioned_comes_before_those_ticked():
    here = world()
    app = here.app()
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("end", "space", "escape")
        await see(pilot, "Only 1 of 4 documents: notes.txt")
        await ask(pilot, "What does @leases/yard.pdf say?")
        await until(pilot, lambda: len(here.assistant.asked) == 1)
        assert here.assistant.asked[0]["documents"] == Filter(("leases/yard.pdf",))
        await ask(pilot, "And the notes?")
        await until(pilot, lambda: len(here.assistant.asked) == 2)
        assert here.assistant.asked[1]["documents"] == Filter(these=(("contracts", "notes.txt"),))


async def test_what_goes_on_goes_on_in_another_conversation():
    here = world()
    gate = here.fresh.gate = Gate()
    app = here.app()
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("i")
        await see(pilot, "reading: b.md")
        app.switch_screen(ChatScreen(app.core, Scope(("contracts",)), lambda: 0.0))
        await until(pilot, lambda: bool(app.screen.query(LibraryPane)) and "reading" not in shown(app))
        app.screen.query_one(LibraryPane).show()
        await see(pilot, "reading: b.md")
        gate.opened.set()
        await see(pilot, ": 3 read.")


async def test_leaving_the_app_stops_what_goes_on():
    here = world()
    here.fresh.gate = Gate()
    app = here.app()
    async with app.run_test(size=WIDE) as pilot:
        await opened(pilot)
        await pilot.press("i")
        await see(pilot, "reading: b.md")
    assert app.shut_down(5)
