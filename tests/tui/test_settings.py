"""The settings screen: found, explained, checked as typed, changed for now or for good."""

from __future__ import annotations

import pytest

from localrag import policy
from localrag.security import audit
from localrag.settings import Settings, load_settings
from localrag.tui.preferences import Preferences
from localrag.tui.screens.chat import ChatScreen
from localrag.tui.screens.edit import EditScreen
from localrag.tui.screens.settings import SettingsScreen
from tui.fakes import FakeWorld
from tui.screen_text import lines, see, shown, until

KNOBS = {knob.name: knob for knob in Preferences().knobs}


@pytest.fixture
def own(monkeypatch, tmp_path):
    """A user's settings file of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(tmp_path / "config"))
    return tmp_path / "config" / "localrag.toml"


def preferred(environ=None, **options):
    environ = {} if environ is None else environ
    return Preferences(load_settings(environ).with_options(**options), options=list(options), environ=environ)


async def opened(pilot, search=""):
    await see(pilot, "Ask about")
    await pilot.press("f8")
    await until(pilot, lambda: isinstance(pilot.app.screen, SettingsScreen))
    await pilot.press(*search.replace(" ", "§"))
    await pilot.pause()


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_settings_are_listed_in_groups_with_value_origin_and_explanation(own, size):
    own.parent.mkdir()
    own.write_text("answer_tokens = 300\n")
    app = FakeWorld().app(preferences=preferred(votes=3))
    async with app.run_test(size=size) as pilot:
        await opened(pilot)
        assert "The terminal app" in shown(app) and "Models" in shown(app)
        await pilot.press(*"tokens")
        await see(pilot, "Maximum tokens of an answer. May be a whole number from 8 to 100,000. Default: 400.")
        assert "Set by your settings file." in shown(app)
        assert any("answer_tokens" in line and "300" in line and "your file" in line for line in lines(app))
        assert "The terminal app" not in shown(app)
        await pilot.press("escape", *"votes")
        await see(pilot, "Set by an option on the command line.")


async def test_change_for_this_conversation_reaches_the_engine_and_no_file(own):
    app = FakeWorld().app(preferences=preferred())
    async with app.run_test() as pilot:
        await opened(pilot, "answer_tokens")
        await pilot.press("enter")
        await see(pilot, "Ctrl+S: for good")
        await pilot.press("end", "backspace", "9", "enter")
        await see(pilot, "answer_tokens is 409 in this conversation.")
        await until(pilot, lambda: app.core.engine.configured == {"answer_tokens": "409"})
        assert app.preferences.settings.answer_tokens == 409
    assert not own.exists()


async def test_change_for_good_is_written_to_the_users_file(own):
    own.parent.mkdir()
    own.write_text("# mine\nvotes = 3\n")
    app = FakeWorld().app(preferences=preferred())
    async with app.run_test() as pilot:
        await opened(pilot, "votes")
        await pilot.press("enter", "end", "backspace", "5", "ctrl+s")
        await see(pilot, "votes is 5, and saved in")
        await until(pilot, lambda: app.core.engine.configured == {"votes": "5"})
    assert own.read_text() == "# mine\nvotes = 5\n"


async def test_value_is_checked_as_it_is_typed_and_a_wrong_one_is_not_taken(own):
    app = FakeWorld().app(preferences=preferred())
    async with app.run_test() as pilot:
        await opened(pilot, "votes")
        await pilot.press("enter", "end", "0", "0")
        await see(pilot, "must be between 1 and 25. It may be a whole number from 1 to 25.")
        await pilot.press("enter")
        await pilot.press("ctrl+s")
        assert isinstance(app.screen, EditScreen)
        await pilot.press("backspace")
        await see(pilot, "It can be taken.")
        await pilot.press("x")
        await see(pilot, "is not a whole number")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
    assert app.core.engine.configured == {} and not own.exists()


async def test_default_is_taken_back_out_of_the_file(own):
    own.parent.mkdir()
    own.write_text("votes = 3\n")
    app = FakeWorld().app(preferences=preferred())
    async with app.run_test() as pilot:
        await opened(pilot, "votes")
        await pilot.press("enter", "ctrl+r")
        await see(pilot, "votes is the default again, and no longer in")
        await until(pilot, lambda: app.core.engine.configured == {"votes": "1"})
    assert own.read_text() == ""


async def test_setting_of_a_variable_says_so_and_stays(own):
    app = FakeWorld().app(preferences=preferred({"LOCALRAG_VOTES": "4"}))
    async with app.run_test() as pilot:
        await opened(pilot, "votes")
        await see(pilot, "Set by LOCALRAG_VOTES. It cannot be changed here")
        await pilot.press("enter")
        await see(pilot, "! It is set by LOCALRAG_VOTES. It cannot be changed here. Unset that variable")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
        assert app.preferences.settings.votes == 4 and not own.exists()


async def test_what_the_policy_fixes_says_so_and_stays(own):
    policy.SYSTEM.parent.mkdir()
    policy.SYSTEM.write_text('audit_words = "full"')
    app = FakeWorld().app(preferences=preferred())
    async with app.run_test(size=(200, 40)) as pilot:
        await opened(pilot, "audit")
        await see(pilot, "fixed by policy")
        await see(pilot, "It cannot be changed here. Ask whoever looks after this machine.")
        await pilot.press("enter")
        await see(pilot, "! It is set by the policy")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen))
        assert app.preferences.settings.audit_words == "full" and not own.exists()


async def test_what_the_policy_bounds_is_checked_as_it_is_typed_and_typing_is_no_attempt(own, settings):
    policy.SYSTEM.parent.mkdir()
    policy.SYSTEM.write_text("retention_days = 30")
    audit.record_refusals(settings.audit_file)
    app = FakeWorld().app(preferences=preferred())
    async with app.run_test(size=(200, 40)) as pilot:
        await opened(pilot, "retention")
        await pilot.press("enter", "end", "backspace", "backspace", "9", "9")
        await see(pilot, "! retention_days = 99 keeps longer than 30 days: refused by the policy")
        await pilot.press("enter")
        assert isinstance(app.screen, EditScreen) and not settings.audit_file.exists()
        await pilot.press("backspace", "enter")
        await see(pilot, "retention_days is 9 in this conversation.")
    policy.on_refusal(None)


async def test_choice_is_made_from_a_list_and_the_theme_changes_at_once(own):
    app = FakeWorld().app(preferences=preferred())
    async with app.run_test() as pilot:
        await opened(pilot, "theme")
        assert app.theme == "localrag-dark"
        await pilot.press("enter")
        await see(pilot, "auto (now, default)")
        await pilot.press("down", "down", "down", "enter")
        await see(pilot, "theme is contrast in this conversation.")
        assert app.theme == "localrag-contrast"
    assert app.core.engine.configured == {}


async def test_model_is_chosen_among_those_that_are_installed(own):
    app = FakeWorld().app(preferences=preferred())
    async with app.run_test() as pilot:
        await opened(pilot, "generator")
        await until(pilot, lambda: bool(app.screen._models))
        await pilot.press("enter")
        await see(pilot, "not set (now, default) fake-1b fake-7b")
        await pilot.press("down", "down", "enter")
        await see(pilot, "generator is fake-7b in this conversation.")
        await until(pilot, lambda: app.core.engine.configured == {"generator": "fake-7b"})
        await pilot.press("enter", "up", "up", "enter")
        await see(pilot, "generator is not set in this conversation.")
        await until(pilot, lambda: app.core.engine.configured == {"generator": ""})


async def test_setting_of_the_model_loads_it_again(own):
    world = FakeWorld()
    app = world.app(preferences=preferred())
    async with app.run_test() as pilot:
        await see(pilot, "fake-1b ready")
        await opened(pilot, "threads")
        await pilot.press("enter", "end", "backspace", "2", "enter")
        await until(pilot, lambda: world.assistant.loads == 2)
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(app.screen, ChatScreen))


async def test_place_of_files_is_only_saved_and_holds_from_the_next_start(own):
    app = FakeWorld().app(preferences=preferred())
    async with app.run_test() as pilot:
        await opened(pilot, "home")
        await pilot.press("enter", *"elsewhere", "enter")
        await see(pilot, "! It holds from the next start on")
        await pilot.press("ctrl+s")
        await see(pilot, "and holds from the next start on.")
    assert app.preferences.settings.home is None and "elsewhere" in own.read_text()


async def test_f8_closes_what_it_opened(own):
    app = FakeWorld().app(preferences=preferred())
    async with app.run_test() as pilot:
        await opened(pilot)
        await pilot.press("f8")
        await until(pilot, lambda: isinstance(app.screen, ChatScreen))


# --- without a screen ---------------------------------------------------------------------------------------


def test_saving_beside_a_file_that_wins_says_so(own, tmp_path):
    (tmp_path / "localrag.toml").write_text("votes = 2\n")
    said = preferred().change(KNOBS["votes"], "save", "5")
    assert "wins at the next start" in said


def test_saving_nothing_takes_an_optional_setting_out(own):
    preferences = preferred()
    preferences.change(KNOBS["generator"], "save", "some-model")
    assert preferences.settings.generator == "some-model"
    preferences.change(KNOBS["generator"], "save", "")
    assert preferences.settings.generator is None and own.read_text() == ""


def test_option_of_the_command_line_is_told_as_such_until_it_is_changed(own):
    preferences = preferred(votes=3)
    assert preferences.origins()["votes"] == "an option on the command line"
    preferences.change(KNOBS["votes"], "here", "2")
    assert preferences.origins()["votes"] == "this conversation"
    assert Preferences().settings == Settings()
