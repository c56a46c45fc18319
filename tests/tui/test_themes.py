"""The themes: enough contrast everywhere, no colour where none is wanted, nothing that moves over SSH."""

from __future__ import annotations

import pytest
from textual.color import Color
from textual.screen import ModalScreen

from localrag.errors import ModelMissing
from localrag.tui.preferences import Preferences
from localrag.tui.themes import CONTRAST, DARK, LIGHT, Look, look_of
from tui.fakes import SCRIPT, FakeAssistant, FakeLibrary, FakeWorld
from tui.screen_text import ask, see, segments

LEAST = {"dark": 4.5, "light": 4.5, "contrast": 7.0}
TRUE = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}


def ratio(one: Color, other: Color) -> float:
    """WCAG 2: contrast of two colours, from 1 to 21."""

    def luminance(colour: Color) -> float:
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_ratio_is_that_of_the_standard():
    assert ratio(Color.parse("#000"), Color.parse("#fff")) == pytest.approx(21)
    assert ratio(Color.parse("#777"), Color.parse("#fff")) == pytest.approx(4.48, abs=0.01)


def faint(app, least: float) -> set[tuple[float, str]]:
    """Words on the screen whose colour is too near to their ground; what lies dimmed behind a dialog is out of use."""
    found = set()
    dialog = app.screen.children[0].region if isinstance(app.screen, ModalScreen) else app.screen.region
    for row, line in enumerate(segments(app)):
        column = 0
        for segment in line:
            begins, column = column, column + segment.cell_length
            style = segment.style
            if not dialog.contains(begins, row):
                continue
            if style is None or not any(letter.isalnum() for letter in segment.text):
                continue
            front, back = (Color.from_rich_color(colour) for colour in (style.color, style.bgcolor))
            if style.reverse:
                front, back = back, front
            if (got := ratio(front, back)) < least:
                found.add((round(got, 2), segment.text.strip()))
    return found


@pytest.mark.parametrize("theme", LEAST)
async def test_every_word_of_a_conversation_and_its_screens_stands_out(theme):
    world = FakeWorld(FakeAssistant(SCRIPT))
    app = world.app(preferences=Preferences(Preferences().settings.with_options(theme=theme)))
    least = LEAST[theme]
    async with app.run_test(size=(160, 48)) as pilot:
        await see(pilot, "Ask about")
        assert not faint(app, least)
        await ask(pilot)
        await see(pilot, "1,204 tokens read")
        await pilot.pause()
        assert not faint(app, least)
        await pilot.press("tab")
        await pilot.pause()
        assert not faint(app, least)
        app.notify("A notice.", severity="error")
        await pilot.pause()
        assert not faint(app, least)
        for key in ("f1", "f8", "f6", "f7", "ctrl+p", "f9", "slash"):
            await pilot.press(key)
            await pilot.pause(0.3)
            assert not faint(app, least), key
            await pilot.press("escape")
            await pilot.pause()
        await pilot.press("f8", *"theme", "enter")
        await pilot.pause()
        assert not faint(app, least)


@pytest.mark.parametrize("theme", LEAST)
async def test_every_word_of_the_first_screens_stands_out(theme):
    least = LEAST[theme]
    preferences = Preferences(Preferences().settings.with_options(theme=theme))
    missing = FakeAssistant(missing=ModelMissing("no generator is installed", "Type: localrag models install"))
    worlds = [
        (FakeWorld(missing), "A model is needed"),
        (FakeWorld(libraries={}), "There is no library yet"),
        (FakeWorld(libraries={"a": FakeLibrary("a"), "b": FakeLibrary("b")}), "b (2 documents)"),
    ]
    for world, words in worlds:
        app = world.app(preferences=preferences)
        async with app.run_test(size=(80, 24)) as pilot:
            await see(pilot, words)
            await pilot.pause()
            assert not faint(app, least)


@pytest.mark.parametrize(("theme", "name"), [(DARK, "dark"), (LIGHT, "light"), (CONTRAST, "contrast")])
def test_marks_and_frames_stand_out_too(theme, name):
    """3 to 1 is what WCAG 2 asks of frames and marks; what is written in these colours has to have more."""
    colours = theme.to_color_system().generate()
    ground = Color.parse(colours["background"])
    for part in ("text", "text-muted", "error", "warning", "success", "accent", "primary", "secondary"):
        front = Color.parse(colours[part]) if not colours[part].startswith("auto") else ground.get_contrast_text()
        assert ratio(front, ground) >= LEAST[name], part
    assert ratio(Color.parse(colours["border-blurred"]), ground) >= 3


async def test_16_colours_use_nothing_but_the_terminals_own():
    app = FakeWorld().app(look=Look(few=True))
    async with app.run_test(size=(160, 48)) as pilot:
        await see(pilot, "Ask about")
        await ask(pilot)
        await see(pilot, "1,204 tokens read")
        await pilot.press("tab", "f8")
        await pilot.pause()
        styles = {segment.style for line in segments(app) for segment in line if segment.style}
        colours = {colour.type.name for style in styles for colour in (style.color, style.bgcolor) if colour}
        assert colours <= {"DEFAULT", "STANDARD"}
        assert not [segment.text for line in segments(app) for segment in line if segment.style and segment.style.dim]


async def test_no_color_draws_no_colour_and_the_cursor_can_still_be_seen(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app = FakeWorld(libraries={"a": FakeLibrary("a"), "b": FakeLibrary("b")}).app(look=Look(no_color=True))
    async with app.run_test() as pilot:
        await see(pilot, "b (2 documents)")
        styles = [(segment.text, segment.style) for line in segments(app) for segment in line if segment.style]
        colours = {colour.type.name for _, style in styles for colour in (style.color, style.bgcolor) if colour}
        assert colours <= {"DEFAULT"}
        assert any(style.underline and style.bold and "a  (2 documents)" in text for text, style in styles)


@pytest.mark.parametrize(
    ("environ", "wanted", "theme"),
    [
        (TRUE, "auto", "localrag-dark"),
        (TRUE | {"COLORFGBG": "0;15"}, "auto", "localrag-light"),
        (TRUE | {"COLORFGBG": "15;default;0"}, "auto", "localrag-dark"),
        (TRUE | {"COLORFGBG": "0;15"}, "dark", "localrag-dark"),
        ({"TERM": "xterm"}, "auto", "localrag-dark-16"),
        ({"TERM": "screen"}, "light", "localrag-light-16"),
        ({"TERM": "xterm-16color"}, "contrast", "localrag-contrast-16"),
        ({"TERM": "tmux-256color"}, "contrast", "localrag-contrast"),
        (TRUE | {"NO_COLOR": "1"}, "auto", "localrag-dark-16"),
        (TRUE | {"NO_COLOR": ""}, "auto", "localrag-dark"),
    ],
)
def test_theme_fits_the_terminal_and_the_setting(environ, wanted, theme):
    assert look_of(environ).theme(wanted) == theme


@pytest.mark.parametrize(
    ("environ", "wanted", "moves"),
    [
        ({}, "auto", True),
        ({"SSH_TTY": "/dev/pts/1"}, "auto", False),
        ({"SSH_TTY": "x"}, "on", True),
        ({}, "off", False),
    ],
)
def test_nothing_moves_over_ssh_unless_wanted(environ, wanted, moves):
    assert look_of(environ).moves(wanted) is moves


async def test_movement_is_off_where_it_shall_be():
    app = FakeWorld().app(look=Look(remote=True))
    assert app.animation_level == "none"
    assert FakeWorld().app().animation_level == "full"
