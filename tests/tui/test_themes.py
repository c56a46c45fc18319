from functools import cache

import pytest
from fake_core import SCRIPT, FakeAssistant, FakeLibrary, FakeWorld
from textual.color import Color
from textual.screen import ModalScreen

from localrag.security import offline
from localrag.security.offline import remote
from localrag.security.offline.remote import Address
from localrag.tui.preferences import Look, look_of, themes
from localrag.tui.widgets.status import Status, fit, network_state, parts_of
from tui.screen_text import WIDE, ask, chatting, press, see, segments, until

LEAST = {"dark": 4.5, "light": 4.5, "contrast": 7.0}
TRUE = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}


def ratio(one, other):
    """WCAG 2: contrast of two colours, from 1 to 21."""

    def luminance(colour):
        parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour.normalized]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@cache
def ratio_of(style):
    if style is None:
        return 1.0
    return ratio(*(Color.from_rich_color(colour) for colour in (style.color, style.bgcolor)))


def faint(app, least):
    """Words on the screen whose colour is too near to their ground; what lies dimmed behind a dialog is out of use."""
    found = set()
    dialog = app.screen.children[0].region if isinstance(app.screen, ModalScreen) else app.screen.region
    for row, line in enumerate(segments(app)):
        column = 0
        for segment in line:
            begins, column = column, column + segment.cell_length
            words = dialog.contains(begins, row) and any(letter.isalnum() for letter in segment.text)
            if words and (got := ratio_of(segment.style)) < least:
                found.add((round(got, 2), segment.text.strip()))
    return found


@pytest.mark.parametrize("theme", LEAST)
async def test_every_word_has_enough_contrast(theme):
    async with chatting(FakeWorld(FakeAssistant(SCRIPT)), WIDE, look=Look()) as pilot:
        app = pilot.app
        app.theme = f"localrag-{theme}"
        await ask(pilot, sees="1,204 tokens read")
        await pilot.press("tab")
        app.notify("A notice.", severity="error")
        for key, words in (
            ("f2", "A notice."),
            ("f1", "On this screen"),
            ("f6", "Space tick"),
            ("f7", "Enter opens"),
            ("ctrl+p", "Search for commands"),
            ("slash", "/survey [QUESTION]"),
            ("f8", "source_view"),
            (None, "auto dark light contrast"),
        ):
            await (pilot.press(key) if key else pilot.press(*"theme", "enter"))
            await see(pilot, words)
            await until(pilot, lambda: not faint(app, LEAST[theme]))
            if key not in ("f2", "f8", None):
                await pilot.press("escape")


@pytest.mark.parametrize("name", LEAST)
def test_marks_and_frames_stand_out_too(name):
    """3 to 1 is what WCAG 2 asks of frames and marks; what is written in these colours has to have more."""
    (theme,) = [theme for theme in themes() if theme.name == f"localrag-{name}"]
    colours = theme.to_color_system().generate()
    ground = Color.parse(colours["background"])
    for part in ("error", "warning", "success", "accent", "primary", "secondary"):
        assert ratio(Color.parse(colours[part]), ground) >= LEAST[name], part
    assert ratio(Color.parse(colours["border-blurred"]), ground) >= 3


async def test_16_colours_use_nothing_but_the_terminals_own():
    async with chatting(FakeWorld(), WIDE, look=Look(few_colors=True)) as pilot:
        await ask(pilot, sees="1,204 tokens read")
        await press(pilot, "tab", "f8", sees="source_view")
        styles = {segment.style for line in segments(pilot.app) for segment in line if segment.style}
        colours = {colour.type.name for style in styles for colour in (style.color, style.bgcolor) if colour}
        assert colours <= {"DEFAULT", "STANDARD"} and not [style for style in styles if style.dim]


async def test_no_color_draws_no_colour_and_the_cursor_can_still_be_seen(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app = FakeWorld(libraries={"a": FakeLibrary("a"), "b": FakeLibrary("b")}).app(look=Look(no_color=True))
    async with app.run_test() as pilot:
        await see(pilot, "Which library?")
        styles = [(segment.text, segment.style) for line in segments(app) for segment in line if segment.style]
        colours = {colour.type.name for _, style in styles for colour in (style.color, style.bgcolor) if colour}
        assert colours <= {"DEFAULT"}
        assert any(style.underline and style.bold and text.strip() == "a" for text, style in styles)


@pytest.mark.parametrize(
    ("environ", "wanted", "theme"),
    [
        (TRUE | {"NO_COLOR": ""}, "auto", "localrag-dark"),
        (TRUE | {"COLORFGBG": "0;15"}, "auto", "localrag-light"),
        (TRUE | {"COLORFGBG": "15;default;0"}, "auto", "localrag-dark"),
        ({"TERM": "screen"}, "light", "localrag-light-16"),
        ({"TERM": "tmux-256color"}, "contrast", "localrag-contrast"),
        (TRUE | {"NO_COLOR": "1"}, "auto", "localrag-dark-16"),
    ],
)
def test_theme_fits_the_terminal_and_the_setting(environ, wanted, theme):
    assert look_of(environ).theme(wanted) == theme


@pytest.mark.parametrize(
    ("environ", "wanted", "moves"),
    [({}, "auto", True), ({"SSH_TTY": "x"}, "auto", False), ({"SSH_TTY": "x"}, "on", True), ({}, "off", False)],
)
def test_nothing_moves_over_ssh_unless_wanted(environ, wanted, moves):
    assert look_of(environ).animated(wanted) is moves


FULL = Status(
    "qwen2.5-coder-1.5b-instruct ready",
    True,
    ("contracts", "policies"),
    documents=1200,
    warm=0.03,
    max_tokens=8000,
    filter="matching leases/*",
    mode="survey",
    title="How long is the notice of the lease?",
    context={"rules": 80, "documents": 2400, "history": 300, "question": 20, "free": 1200},
)
OFFLINE = ("offline, held by the kernel", "offline")


def test_the_status_line_fits_and_drops_what_matters_least():
    for width in range(20, 400, 20):
        line = fit(parts_of(FULL, OFFLINE), width)
        assert len(line) <= width and line.startswith("offline")
        assert width < 40 or "contracts, policies" in line
        assert width < 80 or all(words in line for words in ("not encrypted", "plan: survey"))
        assert width < 240 or all(words in line for words in (FULL.model, "70% full", "3% warm"))


def test_the_status_line_names_what_may_be_reached(monkeypatch):
    monkeypatch.setattr(offline, "hook_installed", lambda: True)
    assert network_state()[0].startswith("offline") and network_state()[1] == "offline"
    monkeypatch.setattr(remote, "reachable", lambda: (Address(host="db.firm", port=5432), Address(path="/run/x\x1b")))
    long, short = network_state()
    assert long.startswith("reaches only db.firm:5432, /run/x") and "\x1b" not in long and short == "reaches 2 servers"


def test_a_model_that_is_not_ready_comes_before_what_can_wait():
    status = Status("loading model …", False, ("contracts of the whole house",), 1200, 0.03, 8000)
    assert "loading model …" in fit(parts_of(status, ("network not blocked",) * 2), 62)
