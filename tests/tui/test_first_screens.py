"""Before the conversation: a folder is read after a yes, a library is chosen, what is missing is said."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from localrag.errors import ModelMissing, StorageError, UsageError
from localrag.events import Failure, IngestReport
from localrag.tui.install import Ended, Fetched, Said
from localrag.tui.screens.chat import ChatScreen
from localrag.tui.screens.welcome import folders_for
from localrag.types import SkippedPage
from tui.fakes import SCRIPT, FakeAssistant, FakeLibrary, FakeWorld, Gate
from tui.screen_text import ask, lines, see, shown, until

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


async def test_garbage_is_collected_again_from_the_first_frame_on():
    gc.disable()  # as the command does
    try:
        async with FakeWorld(roots={LEASES: "contracts"}).app(folder=LEASES).run_test() as pilot:
            await until(pilot, gc.isenabled)
    finally:
        gc.enable()


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


async def test_reading_that_waits_for_another_process_says_so_and_can_be_stopped():
    app = FakeWorld(fresh=FakeLibrary("leases", gate=Gate(), held_by="Waiting for process 7.")).app(folder=LEASES)
    async with app.run_test() as pilot:
        await see(pilot, "(y/n)")
        await pilot.press("y")
        await see(pilot, "Waiting for process 7.")
        await pilot.press("escape")
        await see(pilot, "Stopped. Nothing was read.")


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


async def test_how_long_reading_takes_is_said_as_it_was_here_the_last_time(tmp_path):
    app = FakeWorld(pace=240.0).app(folder=tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await see(pilot, "At the pace of the folder read last on this machine, that takes about 4 min")


# --- no model -----------------------------------------------------------------------------------------------


def without_a_model(*told, **options):
    """An app without a model, and an installer that plays what it is given."""
    missing = ModelMissing("no generator is installed", "Type: localrag models install")
    world = options.pop("world", None) or FakeWorld()
    world.assistant = FakeAssistant(SCRIPT, missing=missing)
    installer = FakeInstaller(*told, world=world)
    return world.app(installer=installer, **options), world.assistant, installer


class FakeInstaller:
    """Tells its script; a Gate in it waits until it is opened or stopped. At `Ended(0)` the model is there."""

    def __init__(self, *told, world):
        self.told, self.world, self.asked = told, world, []
        self.wanted = True

    def install(self, ids, stop):
        self.asked.append(tuple(ids))
        for told in self.told:
            if isinstance(told, Gate):
                if not told.wait(stop):
                    yield Ended(130)
                    return
                continue
            if told == Ended(0):
                self.world.assistant.missing = None
            yield told

    def take_in(self, path, stop):
        return self.install([str(path)], stop)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_missing_model_leads_to_those_that_fit_with_size_licence_use_and_times(size):
    app, _, _ = without_a_model()
    async with app.run_test(size=size) as pilot:
        await see(pilot, "Small 1B, licence MIT. Small and quick.")
        assert any("small-1b" in line and "← suggested" in line for line in lines(app))
        await pilot.press("up")
        await see(pilot, "Big 7B, licence Apache-2.0")
        assert any("big-7b" in line and "4.7 GB" in line and "Apache-2.0" in line for line in lines(app))
        await see(pilot, "Big 7B, licence Apache-2.0. For 16 GB machines.")
        await see(pilot, "from Hugging Face takes about 6 min at 100 Mbit/s. An answer begins after about 51 s here")
        await pilot.press("down")
        await see(pilot, "Small 1B, licence MIT. Small and quick.")
        assert "Ctrl+Q quits" in shown(app)


async def test_model_is_fetched_after_a_yes_only_and_then_loaded():
    gate = Gate()
    app, assistant, installer = without_a_model(
        Said("trying"), Fetched("small-1b", 320 * 10**6, 640 * 10**6), gate, Ended(0)
    )
    async with app.run_test() as pilot:
        await see(pilot, "Small 1B, licence MIT")
        await pilot.press("enter")
        await see(pilot, "Fetch small-1b (640 MB)")
        await see(pilot, "the only one that may use the network")
        await pilot.press("n")
        await see(pilot, "Enter installs, after a yes")
        assert installer.asked == []
        await pilot.press("enter")
        await see(pilot, "(y/n)")
        await pilot.press("y")
        await see(pilot, "50% · 320 of 640 MB")
        gate.opened.set()
        await see(pilot, "fake-1b ready")
    assert installer.asked == [("all-minilm-l6-v2", "small-1b")]
    assert assistant.loads == 1


async def test_model_comes_before_the_folder_and_never_over_one_who_types():
    app, _, installer = without_a_model(Ended(0), world=FakeWorld(libraries={}))
    async with app.run_test() as pilot:
        await see(pilot, "Small 1B, licence MIT")
        await pilot.press("escape")
        await see(pilot, "There is no library yet.")
    app, _, installer = without_a_model(world=FakeWorld(libraries={}))
    installer.wanted = False
    async with app.run_test() as pilot:
        await see(pilot, "There is no library yet.")
        # It is not even tried to be loaded before it is known for which library.
        await pilot.press("r", "i", "y")
        assert app.screen.query_one("#folder").value == "riy"


@pytest.mark.parametrize("key", ["escape", "ctrl+c"])
async def test_installation_is_stopped_by_a_key(key):
    app, _, _ = without_a_model(Fetched("big-7b", 1, 10), Gate())
    async with app.run_test() as pilot:
        await see(pilot, "Small 1B, licence MIT")
        await pilot.press("enter")
        await see(pilot, "(y/n)")
        await pilot.press("y")
        await see(pilot, "Esc stops")
        await pilot.press(key)
        await see(pilot, "Stopped. Nothing half installed is left.")
        await pilot.press("enter")
        await see(pilot, "Enter installs, after a yes")


async def test_failed_installation_tells_its_last_words():
    app, _, _ = without_a_model(Said("error: no source gives it"), Said("hint: Check the network."), Ended(4))
    async with app.run_test() as pilot:
        await see(pilot, "Small 1B, licence MIT")
        await pilot.press("enter")
        await see(pilot, "(y/n)")
        await pilot.press("y")
        await see(pilot, "It did not work.")
        await see(pilot, "error: no source gives it hint: Check the network.")


async def test_a_step_that_says_nothing_for_long_shows_its_seconds():
    app, _, _ = without_a_model(Said("making its fast form"), Gate())
    async with app.run_test() as pilot:
        await see(pilot, "Small 1B, licence MIT")
        await pilot.press("enter")
        await see(pilot, "(y/n)")
        await pilot.press("y")
        await see(pilot, "making its fast form")
        app.screen._clock = lambda: 41.0
        await see(pilot, "making its fast form (41 s)")


async def test_model_is_taken_in_from_a_file(tmp_path):
    app, _, installer = without_a_model(Ended(0))
    (tmp_path / "m.gguf").touch()
    async with app.run_test() as pilot:
        await see(pilot, "Small 1B, licence MIT")
        await pilot.press("i")
        await see(pilot, "no network is used")
        app.screen.query_one("#model-file").value = str(tmp_path / "x.gguf")
        await pilot.press("enter")
        await see(pilot, "is not there; check the spelling")
        app.screen.query_one("#model-file").value = str(tmp_path / "m.gguf")
        await pilot.press("enter")
        await see(pilot, "fake-1b ready")
    assert installer.asked == [(str(tmp_path / "m.gguf"),)]


async def test_without_an_installer_the_command_is_shown_and_the_model_looked_for_again():
    missing = ModelMissing("no generator is installed", "Type: localrag models install")
    assistant = FakeAssistant(SCRIPT, missing=missing)
    app = FakeWorld(assistant).app()
    async with app.run_test() as pilot:
        await see(pilot, "Small 1B, licence MIT")
        await pilot.press("enter")
        await see(pilot, "localrag models install small-1b")
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
        await see(pilot, "Small 1B, licence MIT")
        await pilot.press("escape")
        await until(pilot, opened(app, "contracts"))
        assert "no model" in shown(app)


# --- paths --------------------------------------------------------------------------------------------------


async def test_path_of_a_folder_completes_itself(tmp_path, monkeypatch):
    for name in ("contracts/leases", "contracts/loans", "contracts/.hidden", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "contracts" / "letter.pdf").touch()
    monkeypatch.chdir(tmp_path)
    app = FakeWorld(libraries={}).app()
    async with app.run_test() as pilot:
        await see(pilot, "There is no library yet.")
        await pilot.press("c", "tab")
        field = app.screen.query_one("#folder")
        assert field.value == "contracts/"
        await see(pilot, "Folders: leases, loans")
        await pilot.press("tab")
        assert field.value == "contracts/l"
        await pilot.press("o", "tab", "enter")
        await see(pilot, "into a library named loans? (y/n)")
        await see(pilot, "34 MB in all. As measured, 100 pages take")


def test_folders_are_named_as_they_were_begun(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "docs").mkdir()
    (tmp_path / ".secret").mkdir()
    assert list(folders_for("~/d")) == ["~/docs/"]
    assert list(folders_for("~/")) == ["~/docs/"]
    assert list(folders_for("~/.s")) == ["~/.secret/"]
    assert list(folders_for(f"{tmp_path}/none/x")) == []
