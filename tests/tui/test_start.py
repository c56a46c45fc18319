import gc
import os
from pathlib import Path

import pytest
from fake_core import SCRIPT, FakeAssistant, FakeLibrary, FakeWorld, Gate
from textual.widgets import Input

from localrag.errors import ModelMissing, StorageError
from localrag.events import Failure, IngestReport
from localrag.tui.screens.chat import ChatScreen
from localrag.tui.screens.dialogs import FolderSuggester
from localrag.types import SkippedPage
from tui.screen_text import ask, fill, press, see, shown, until

LEASES = Path("/somewhere/leases")


async def opened(pilot, library):
    await until(
        pilot, lambda: isinstance(pilot.app.screen, ChatScreen) and pilot.app.screen.scope.libraries == (library,)
    )


async def test_a_folder_is_read_after_a_yes_and_ignored_settings_are_named(here):
    (here / "localrag.toml").write_text('viewer = "sh"')
    world = FakeWorld(readable=12)
    app = world.app(folder=LEASES)
    gc.disable()  # as the command does
    try:
        async with app.run_test() as pilot:
            await see(pilot, "Read 12 files into a library named leases?", "34.0 MB. 100 pages take")
            await until(pilot, gc.isenabled)
            await until(pilot, lambda: any(": viewer" in note.message for note in app._notifications))
            assert "leases" not in world.libraries
            await pilot.press("y")
            await opened(pilot, "leases")
            await see(pilot, "leases 3 documents")
    finally:
        gc.enable()


async def test_a_no_leaves_the_folder_alone_and_a_known_folder_opens_at_once():
    world = FakeWorld()
    async with world.app(folder=LEASES).run_test() as pilot:
        await see(pilot, "y yes")
        await press(pilot, "n", then=lambda: pilot.app._exit)
    assert list(world.libraries) == ["contracts"]
    async with FakeWorld(roots={LEASES: "contracts"}).app(folder=LEASES).run_test() as pilot:
        await opened(pilot, "contracts")


@pytest.mark.parametrize(
    ("held_by", "key", "words"),
    [
        ("", "escape", "Stopped. 1 document in the library leases."),
        ("Waiting for process 7.", "ctrl+c", "Stopped. Nothing was read."),
    ],
)
async def test_reading_can_be_stopped_and_keeps_what_was_read(held_by, key, words):
    fresh = FakeLibrary("leases", gate=Gate(), held_by=held_by)
    async with FakeWorld(fresh=fresh).app(folder=LEASES).run_test() as pilot:
        await see(pilot, "y yes")
        await pilot.press("y")
        await see(pilot, *([held_by] if held_by else ["33% · 1 of 3 files", "reading: b.md"]))
        await press(pilot, key, sees=words)
        if not held_by:
            await pilot.press("enter")
            await opened(pilot, "leases")


FAILED, SKIPPED = (Failure("b.pdf", "it needs a password"),), (("c.pdf", SkippedPage(4, "no text on it")),)
UNREAD = IngestReport("leases", "/", read=("a.md",), failed=FAILED, skipped_pages=SKIPPED)


@pytest.mark.parametrize(
    ("full", "words"),
    [
        (False, ["! Not read: b.pdf: it needs a password", "! No text on p. 4 of c.pdf"]),
        (True, ["Error: the disk is full", "What to do: Make room."]),
    ],
)
async def test_what_was_not_read_is_shown(monkeypatch, full, words):
    def ingest(self, path, **_):
        raise StorageError("the disk is full", "Make room.")

    if full:
        monkeypatch.setattr(FakeLibrary, "ingest", ingest)
    async with FakeWorld(fresh=FakeLibrary("leases", report=UNREAD)).app(folder=LEASES).run_test() as pilot:
        await see(pilot, "y yes")
        await press(pilot, "y", sees=words)


async def test_several_libraries_are_offered():
    app = FakeWorld(libraries={"a": FakeLibrary("a", held=1), "[b]": FakeLibrary("[b]", held=1200)}).app()
    async with app.run_test() as pilot:
        await see(pilot, "[b]")
        await pilot.press("down", "enter")
        await opened(pilot, "[b]")


async def test_without_a_library_a_folder_is_asked_for(here):
    (here / "my leases").mkdir()
    world = FakeWorld(libraries={}, readable=0)
    async with world.app().run_test() as pilot:
        await see(pilot, "There is no library yet.")
        await fill(pilot, "nowhere", sees="! 'nowhere' is not a folder")
        pilot.app.screen.query_one(Input).value = ""
        await press(pilot, "m", then=lambda: pilot.app.screen.query_one(Input)._suggestion == f"my leases{os.sep}")
        await press(pilot, "tab", "enter", sees="There is no file in this folder that localrag can read.")
        world.readable = 3
        await press(pilot, "escape", sees="There is no library yet.")
        await fill(pilot, "my leases", sees="into a library named my leases?")
        await pilot.press("y")
        await opened(pilot, "my leases")


async def test_folders_are_suggested_as_they_are_typed(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("docs", ".secret"):
        (tmp_path / name).mkdir()
    suggest = FolderSuggester().get_suggestion
    assert await suggest("~/d") == await suggest("~/") == "~/docs/"
    assert await suggest("~/.s") == "~/.secret/"
    assert await suggest("") is None and await suggest(f"{tmp_path}/none/x") is None


@pytest.mark.parametrize("key", ["r", "escape"])
async def test_without_a_model_the_command_is_shown_and_the_model_awaited_or_not(key):
    assistant = FakeAssistant(SCRIPT, missing=ModelMissing("no generator is installed", "localrag models install"))
    async with FakeWorld(assistant).app(without_model=True).run_test() as pilot:
        await see(pilot, "localrag models install")
        assistant.missing = None if key == "r" else assistant.missing
        await pilot.press(key)
        await opened(pilot, "contracts")
        await see(pilot, "fake-1b ready" if key == "r" else "no model")
        if key == "r":
            await ask(pilot, sees="Thirty days [1], within")
            assert "no model" not in shown(pilot.app)
