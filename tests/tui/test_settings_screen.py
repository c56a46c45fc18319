import pytest
from fake_core import FakeWorld
from tiny_models import transformer

from localrag import policy
from localrag.models.manage import ModelManager
from localrag.security import audit
from localrag.settings import load_settings
from localrag.tui.preferences import Preferences
from localrag.tui.screens.chat import ChatScreen
from localrag.tui.screens.settings import EditScreen, SettingsScreen
from tui.screen_text import SIZES, chatting, lines, on, press, see, shown, until

SIZE = (100, 30)


@pytest.fixture
def own(monkeypatch, here):
    monkeypatch.setattr("platformdirs.user_config_dir", lambda *_, **__: str(here / "config"))
    (here / "config").mkdir()
    return here / "config" / "localrag.toml"


def preferred(environ=None, **options):
    environ = {} if environ is None else environ
    return Preferences(load_settings(environ).with_options(**options), options=list(options), environ=environ)


async def search(pilot, words):
    if not isinstance(pilot.app.screen, SettingsScreen):
        await pilot.press("f8")
        await on(pilot, SettingsScreen)
        await pilot.press(*words)
    else:
        await pilot.press("escape", *words)
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
async def test_settings_are_listed_with_value_origin_and_explanation(own, size):
    own.write_text("answer_tokens = 300\n")
    async with chatting(FakeWorld(), size, preferences=preferred(workers=3)) as pilot:
        await search(pilot, "")
        await see(pilot, "theme")
        await press(pilot, *"answer_tokens", sees="Set by your settings file.")
        (line,) = [line for line in lines(pilot.app) if "  answer_tokens " in line]
        assert "300" in line and "your settings file" in line
        await search(pilot, "workers")
        await see(pilot, "Set by an option on the command line.")
        await pilot.press("f8")
        await on(pilot, ChatScreen)


async def test_what_is_used_is_shown_where_nothing_is_set(own, settings, tmp_path):
    ModelManager(settings).import_path(transformer(tmp_path / "emb"))
    async with chatting(FakeWorld(), (120, 60), preferences=Preferences(settings, environ={})) as pilot:
        await search(pilot, "")
        await see(pilot, "generator fake-1b", "embedder emb", "viewer the system's own", "reranker none")
        assert "not set" not in shown(pilot.app)


async def test_a_value_is_checked_as_typed_used_now_saved_or_reset(own):
    own.write_text("# mine\nworkers = 3\n")
    async with chatting(FakeWorld(), SIZE, preferences=preferred()) as pilot:
        app, configured = pilot.app, pilot.app.core.engine.configured
        await search(pilot, "workers")
        await press(pilot, "enter", "end", "0", "0", "enter", sees="between 1 and 64")
        await pilot.press("ctrl+s")
        assert isinstance(app.screen, EditScreen) and configured == {}
        await pilot.press("backspace", "backspace", "backspace", "4", "enter")
        await until(pilot, lambda: configured == {"workers": "4"})
        assert own.read_text() == "# mine\nworkers = 3\n" and app.preferences.settings.workers == 4
        await press(pilot, "enter", "end", "backspace", "5", "ctrl+s", then=lambda: configured == {"workers": "5"})
        assert own.read_text() == "# mine\nworkers = 5\n"
        await press(pilot, "enter", "ctrl+r", then=lambda: configured == {"workers": "2"})
        assert own.read_text() == "# mine\n"
        await search(pilot, "home")
        await press(pilot, "enter", *"elsewhere", "enter", sees="takes effect with the next start")
        await press(pilot, "ctrl+s", sees="Saved home.")
    assert app.preferences.settings.home is None and "elsewhere" in own.read_text()


async def test_choices_are_listed_and_the_theme_and_the_model_change_at_once(own):
    world = FakeWorld()
    async with chatting(world, SIZE, preferences=preferred()) as pilot:
        await search(pilot, "theme")
        await press(pilot, "enter", sees="auto dark light contrast")
        await press(pilot, "down", "down", "down", "enter", then=lambda: pilot.app.theme == "localrag-contrast")
        assert pilot.app.core.engine.configured == {}
        await search(pilot, "generator")
        await until(pilot, lambda: bool(pilot.app.screen._models))
        await press(pilot, "enter", sees="not set fake-1b fake-7b")
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: pilot.app.core.engine.configured == {"generator": "fake-7b"})
        await until(pilot, lambda: world.assistant.loads == 2)


async def test_a_theme_is_shown_before_it_is_chosen_and_gone_after_esc(own):
    async with chatting(FakeWorld(), SIZE, preferences=preferred()) as pilot:
        before = pilot.app.theme
        await search(pilot, "theme")
        await press(pilot, "enter", "down", "down", then=lambda: pilot.app.theme == "localrag-light")
        await press(pilot, "escape", then=lambda: pilot.app.theme == before)
        await press(pilot, "enter", "down", "down", "enter", then=lambda: not isinstance(pilot.app.screen, EditScreen))
        await until(pilot, lambda: pilot.app.theme == "localrag-light")


async def test_what_variables_and_policy_set_cannot_be_changed(own, settings):
    policy.SYSTEM.parent.mkdir()
    policy.SYSTEM.write_text('audit_words = "full"\nretention_days = 30')
    audit.record_refusals(settings.audit_file)
    async with chatting(FakeWorld(), (200, 40), preferences=preferred({"LOCALRAG_WORKERS": "4"})) as pilot:
        for name, words in (("workers", "LOCALRAG_WORKERS"), ("audit_words", "the policy")):
            await search(pilot, name)
            await see(pilot, f"It is set by {words}")
            await press(pilot, "enter", "ctrl+s", sees="cannot be changed here")
            await pilot.press("escape")
        await search(pilot, "retention")
        await press(pilot, "enter", "end", "backspace", "backspace", "9", "9", "enter", sees="! retention_days = 99")
        assert isinstance(pilot.app.screen, EditScreen)
        assert not settings.audit_file.exists()  # typing is no attempt
    policy.on_refusal(None)
    assert pilot.app.preferences.settings.workers == 4 and not own.exists()


def test_origins_and_files_that_override_are_reported(own, here):
    preferences = preferred(passages=3)
    passages, generator = preferences.knob("passages"), preferences.knob("generator")
    preferences.change(passages, "conversation", "2")
    assert preferences.origin(passages) == "this conversation"
    preferences.change(generator, "file", "some-model")
    assert preferences.settings.generator == "some-model"
    preferences.change(generator, "file", "")
    assert preferences.settings.generator is None and own.read_text() == ""
    (here / "localrag.toml").write_text("seed = 2\n")
    assert "overrides" in preferences.change(preferences.knob("seed"), "file", "5")
