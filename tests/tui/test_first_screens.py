"""Before the conversation: a folder is read after a yes, a library is chosen, what is missing is said."""

from __future__ import annotations

from pathlib import Path

from localrag.errors import ModelMissing, StorageError, UsageError
from localrag.reports import Failure, IngestReport
from localrag.tui.screens.chat import ChatScreen
from localrag.types import SkippedPage
from tui.fakes import SCRIPT, FakeAssistant, FakeLibrary, FakeWorld, Gate
from tui.screen_text import ask, see, shown, until

LEASES = Path("/somewhere/leases")


def opened(app, *libraries):
    return lambda: isinstance(app.screen, ChatScreen) and app.screen.scope.libraries == libraries


# --- a folder -----------------------------------------------------------------------------------------------


async def test_folder_is_read_after_a_yes_and_the_conversation_opens():
    world = FakeWorld(readable=12)
    app = world.app(folder=LEASES)
    async with app.run_test() as pilot:
        await see(pilot, "Read 12 files into a library named leases? (y/n)")
        assert "leases" not in world.libraries
        await pilot.press("y")
        await until(pilot, opened(app, "leases"))
        await see(pilot, "leases 3 documents")


async def test_folder_is_left_alone_after_a_no():
    world = FakeWorld()
    app = world.app(folder=LEASES)
    async with app.run_test() as pilot:
        await see(pilot, "(y/n)")
        await pilot.press("n")
        await until(pilot, lambda: app._exit)
    assert list(world.libraries) == ["contracts"]


async def test_folder_that_is_a_library_opens_without_a_question():
    app = FakeWorld(roots={LEASES: "contracts"}).app(folder=LEASES)
    async with app.run_test() as pilot:
        await until(pilot, opened(app, "contracts"))


async def test_reading_shows_how_far_it_is_and_escape_stops_it_keeping_what_was_read():
    gate = Gate()
    app = FakeWorld(fresh=FakeLibrary("leases", gate=gate)).app(folder=LEASES)
    async with app.run_test() as pilot:
        await see(pilot, "(y/n)")
        await pilot.press("y")
        await see(pilot, "33% · 1 of 3 files")
        await see(pilot, "reading: b.md")
        await pilot.press("escape")
        await see(pilot, "Stopped. 1 document in the library leases.")
        await pilot.press("enter")
        await until(pilot, opened(app, "leases"))


async def test_what_was_not_read_is_said_before_the_conversation_opens():
    report = IngestReport(
        "leases",
        "/",
        read=("a.md",),
        failed=(Failure("b.pdf", "it needs a password"),),
        skipped_pages=(("c.pdf", SkippedPage(4, "no text on it")),),
    )
    app = FakeWorld(fresh=FakeLibrary("leases", report=report)).app(folder=LEASES)
    async with app.run_test() as pilot:
        await see(pilot, "(y/n)")
        await pilot.press("y")
        await see(pilot, "! Not read: b.pdf: it needs a password")
        await see(pilot, "! No text on p. 4 of c.pdf: no text on it")
        await pilot.press("enter")
        await until(pilot, opened(app, "leases"))


async def test_folder_without_readable_files_is_told():
    app = FakeWorld(readable=0).app(folder=LEASES)
    async with app.run_test() as pilot:
        await see(pilot, "There is no file in this folder that localrag can read.")


async def test_error_while_reading_is_shown_with_its_hint():
    class Full(FakeLibrary):
        def ingest(self, path, **_):
            raise StorageError("the disk is full", "Make room.")

    app = FakeWorld(fresh=Full("leases")).app(folder=LEASES)
    async with app.run_test() as pilot:
        await see(pilot, "(y/n)")
        await pilot.press("y")
        await see(pilot, "Error: the disk is full What to do: Make room.")


async def test_folder_whose_name_is_taken_is_told():
    world = FakeWorld()
    app = world.app(folder=LEASES)

    def taken(folder):
        raise UsageError("there is a library named 'leases' of another folder", "Give --name.")

    app.core.engine.look_at = taken
    async with app.run_test() as pilot:
        await see(pilot, "Error: there is a library named 'leases' of another folder")


# --- a library ----------------------------------------------------------------------------------------------


async def test_only_library_opens_by_itself():
    app = FakeWorld().app()
    async with app.run_test() as pilot:
        await until(pilot, opened(app, "contracts"))


async def test_several_libraries_are_offered_with_their_document_counts():
    libraries = {"a": FakeLibrary("a", held=1), "[b]": FakeLibrary("[b]", held=1200)}
    app = FakeWorld(libraries=libraries).app()
    async with app.run_test() as pilot:
        await see(pilot, "a (1 document)")
        await see(pilot, "[b] (1,200 documents)")
        await pilot.press("down", "enter")
        await until(pilot, opened(app, "[b]"))


async def test_library_that_cannot_be_opened_is_marked_in_the_list():
    libraries = {"a": FakeLibrary("a"), "b": FakeLibrary("b", broken=StorageError("unreadable"))}
    app = FakeWorld(libraries=libraries).app()
    async with app.run_test() as pilot:
        await see(pilot, "b (cannot be opened: unreadable)")


async def test_without_a_library_a_folder_is_asked_for_and_read(tmp_path):
    folder = tmp_path / "my leases"
    folder.mkdir()
    app = FakeWorld(libraries={}).app()
    async with app.run_test() as pilot:
        await see(pilot, "There is no library yet.")
        app.screen.query_one("#folder").value = str(tmp_path / "missing")
        await pilot.press("enter")
        await see(pilot, "is not there; check the spelling")
        app.screen.query_one("#folder").value = str(folder)
        await pilot.press("enter")
        await see(pilot, "into a library named my leases?")
        await pilot.press("n")
        await see(pilot, "There is no library yet.")
        app.screen.query_one("#folder").value = str(folder)
        await pilot.press("enter")
        await see(pilot, "(y/n)")
        await pilot.press("y")
        await until(pilot, opened(app, "my leases"))


# --- no model -----------------------------------------------------------------------------------------------


async def test_missing_model_shows_the_command_and_sizes_and_looks_again():
    assistant = FakeAssistant(
        SCRIPT, missing=ModelMissing("no generator is installed", "Type: localrag models install")
    )
    app = FakeWorld(assistant).app()
    async with app.run_test() as pilot:
        await see(pilot, "A model is needed to answer")
        await see(pilot, "localrag models install big-7b (4.7 GB)")
        await see(pilot, "localrag models install small-1b (640 MB)")
        await pilot.press("r")
        await until(pilot, lambda: assistant.loads == 2)
        await see(pilot, "A model is needed to answer")
        assistant.missing = None
        await pilot.press("r")
        await see(pilot, "fake-1b ready")
        await ask(pilot)
        await see(pilot, "Thirty days [1], within")


async def test_missing_model_can_be_put_aside():
    app = FakeWorld(FakeAssistant(missing=ModelMissing("no generator is installed", "Type: x"))).app()
    async with app.run_test() as pilot:
        await see(pilot, "A model is needed to answer")
        await pilot.press("escape")
        await until(pilot, opened(app, "contracts"))
        assert "no model" in shown(app)
