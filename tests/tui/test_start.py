"""Before the conversation: choose a library, read a folder, install a model."""

from __future__ import annotations

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
from tui.screen_text import ask, see, shown, until

LEASES = Path("/somewhere/leases")


def opened(app, *libraries):
    return lambda: isinstance(app.screen, ChatScreen) and app.screen.scope.libraries == libraries


# --- a folder -----------------------------------------------------------------------------------------------


async def test_a_folder_is_read_after_a_yes_and_the_conversation_opens():
    world = FakeWorld(readable=12)
    app = world.app(folder=LEASES)
    gc.disable()  # as the command does
    try:
        async with app.run_test() as pilot:
            await see(pilot, "Read 12 files into a library named leases?")
            await see(pilot, "34.0 MB. 100 pages take")
            await until(pilot, gc.isenabled)
            assert "leases" not in world.libraries
            await pilot.press("y")
            await until(pilot, opened(app, "leases"))
            await see(pilot, "leases 3 documents")
    finally:
        gc.enable()


async def test_settings_of_the_folder_that_are_ignored_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "localrag.toml").write_text('viewer = "sh"')
    app = FakeWorld().app(folder=LEASES)
    async with app.run_test(notifications=True) as pilot:
        await until(pilot, lambda: any(": viewer" in note.message for note in app._notifications))


async def test_a_no_leaves_the_folder_alone_and_a_known_folder_opens_at_once():
    world = FakeWorld()
    app = world.app(folder=LEASES)
    async with app.run_test() as pilot:
        await see(pilot, "y yes")
        await pilot.press("n")
        await until(pilot, lambda: app._exit)
    assert list(world.libraries) == ["contracts"]
    app = FakeWorld(roots={LEASES: "contracts"}).app(folder=LEASES)
    async with app.run_test() as pilot:
        await until(pilot, opened(app, "contracts"))


async def test_reading_can_be_stopped_and_keeps_what_was_read():
    app = FakeWorld(fresh=FakeLibrary("leases", gate=Gate())).app(folder=LEASES)
    async with app.run_test() as pilot:
        await see(pilot, "y yes")
        await pilot.press("y")
        await see(pilot, "33% · 1 of 3 files")
        await see(pilot, "reading: b.md")
        await pilot.press("escape")
        await see(pilot, "Stopped. 1 document in the library leases.")
        await pilot.press("enter")
        await until(pilot, opened(app, "leases"))
    app = FakeWorld(fresh=FakeLibrary("leases", gate=Gate(), held_by="Waiting for process 7.")).app(folder=LEASES)
    async with app.run_test() as pilot:
        await see(pilot, "y yes")
        await pilot.press("y")
        await see(pilot, "Waiting for process 7.")
        await pilot.press("ctrl+c")
        await see(pilot, "Stopped. Nothing was read.")


class Full(FakeLibrary):
    def ingest(self, path, **_):
        raise StorageError("the disk is full", "Make room.")


UNREAD = IngestReport(
    "leases",
    "/",
    read=("a.md",),
    failed=(Failure("b.pdf", "it needs a password"),),
    skipped_pages=(("c.pdf", SkippedPage(4, "no text on it")),),
)


@pytest.mark.parametrize(
    ("fresh", "words"),
    [
        (
            FakeLibrary("leases", report=UNREAD),
            ["! Not read: b.pdf: it needs a password", "! No text on p. 4 of c.pdf"],
        ),
        (Full("leases"), ["Error: the disk is full", "What to do: Make room."]),
    ],
)
async def test_what_was_not_read_is_shown(fresh, words):
    app = FakeWorld(fresh=fresh).app(folder=LEASES)
    async with app.run_test() as pilot:
        await see(pilot, "y yes")
        await pilot.press("y")
        for line in words:
            await see(pilot, line)


# --- a library ----------------------------------------------------------------------------------------------


async def test_several_libraries_are_offered_and_the_only_one_opens():
    app = FakeWorld(libraries={"a": FakeLibrary("a", held=1), "[b]": FakeLibrary("[b]", held=1200)}).app()
    async with app.run_test() as pilot:
        await see(pilot, "[b]")
        await pilot.press("down", "enter")
        await until(pilot, opened(app, "[b]"))
    app = FakeWorld().app()
    async with app.run_test() as pilot:
        await until(pilot, opened(app, "contracts"))


async def test_without_a_library_a_folder_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "my leases").mkdir()
    monkeypatch.chdir(tmp_path)
    app = FakeWorld(libraries={}, readable=0).app()
    async with app.run_test() as pilot:
        await see(pilot, "There is no library yet.")
        await pilot.press(*"nowhere", "enter")
        await see(pilot, "! 'nowhere' is not a folder")
        app.screen.query_one(Input).value = ""
        await pilot.press("m")
        await until(pilot, lambda: app.screen.query_one(Input)._suggestion == f"my leases{os.sep}")
        await pilot.press("tab", "enter")
        await see(pilot, "There is no file in this folder that localrag can read.")
        app.core.engine.world.readable = 3
        await pilot.press("escape")
        await see(pilot, "There is no library yet.")
        app.screen.query_one(Input).value = "my leases"
        await pilot.press("enter")
        await see(pilot, "into a library named my leases?")
        await pilot.press("y")
        await until(pilot, opened(app, "my leases"))


async def test_folders_are_suggested_as_they_are_typed(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("docs", ".secret"):
        (tmp_path / name).mkdir()
    suggest = FolderSuggester().get_suggestion
    assert await suggest("~/d") == await suggest("~/") == "~/docs/"
    assert await suggest("~/.s") == "~/.secret/"
    assert await suggest("") is None and await suggest(f"{tmp_path}/none/x") is None


# --- a model ------------------------------------------------------------------------------------------------


async def test_without_a_model_the_command_is_shown_and_the_model_awaited():
    assistant = FakeAssistant(SCRIPT, missing=ModelMissing("no generator is installed", "localrag models install"))
    app = FakeWorld(assistant).app(without_model=True)
    async with app.run_test() as pilot:
        await see(pilot, "localrag models install")
        assistant.missing = None
        await pilot.press("r")
        await see(pilot, "fake-1b ready")
        await ask(pilot)
        await see(pilot, "Thirty days [1], within")
        assert "no model" not in shown(app)


async def test_the_app_opens_without_a_model():
    assistant = FakeAssistant(SCRIPT, missing=ModelMissing("no generator is installed", "localrag models install"))
    app = FakeWorld(assistant).app(without_model=True)
    async with app.run_test() as pilot:
        await see(pilot, "localrag models install")
        await pilot.press("escape")
        await until(pilot, opened(app, "contracts"))
        await see(pilot, "no model")
