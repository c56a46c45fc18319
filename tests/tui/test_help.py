"""The help is made from the bindings."""

from __future__ import annotations

import pytest
from textual.binding import Binding

from localrag.tui.app import LocalragApp
from localrag.tui.screens.chat import ChatScreen
from localrag.tui.screens.dialogs import ChooseScreen
from localrag.tui.screens.edit import EditScreen
from localrag.tui.screens.help import HelpScreen, own_bindings
from localrag.tui.screens.ingest import IngestScreen
from localrag.tui.screens.model import NoModelScreen
from localrag.tui.screens.settings import SettingsScreen
from localrag.tui.screens.welcome import WelcomeScreen
from tui.fakes import FakeWorld
from tui.screen_text import see, shown, until

OWNERS = [LocalragApp, ChatScreen, *(owner for _, owner in ChatScreen.HELP_GROUPS)]


async def test_help_lists_every_binding_with_its_keys():
    app = FakeWorld().app()
    async with app.run_test() as pilot:
        await see(pilot, "Ask about")
        await pilot.press("f1")
        await see(pilot, "Keys")
        text = app.screen.text().plain
        for owner in OWNERS:
            for binding in own_bindings(owner):
                assert binding.description in text
        assert "Ctrl+Q" in text and "Esc" in text and "PgUp" in text
        # A capital letter is another key than the small one, and a bracket has no name that people use.
        assert "Shift+Y" in text and "  [  " in text and "Square" not in text
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, HelpScreen))


async def test_second_f1_closes_the_help():
    app = FakeWorld().app()
    async with app.run_test() as pilot:
        await see(pilot, "Ask about")
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        await pilot.press("f1")
        await until(pilot, lambda: not isinstance(app.screen, HelpScreen))


@pytest.mark.parametrize(
    "owner", [*OWNERS, ChooseScreen, NoModelScreen, WelcomeScreen, IngestScreen, SettingsScreen, EditScreen]
)
def test_every_binding_says_what_it_does(owner):
    for binding in owner.__dict__["BINDINGS"]:
        assert isinstance(binding, Binding) and binding.description


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_help_scrolls_to_its_end_and_is_searched_by_typing(size):
    app = FakeWorld().app()
    async with app.run_test(size=size) as pilot:
        await see(pilot, "Ask about")
        await pilot.press("f1")
        await see(pilot, "On this screen")
        for _ in range(8):
            await pilot.press("pagedown")
        await see(pilot, "Ask of this document only")
        await pilot.press(*"quit")
        await see(pilot, "Ctrl+Q")
        await until(pilot, lambda: "On this screen" not in shown(app))
        assert "Ask of this document only" not in shown(app)
        await pilot.press(*"xx")
        await see(pilot, "Nothing here has these words.")
        await pilot.press("escape")
        await see(pilot, "On this screen")
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, HelpScreen))
