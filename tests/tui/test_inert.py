"""Text from documents and models is data: no markup, link or escape sequence of it has any effect."""

from __future__ import annotations

import dataclasses

import pytest

from localrag.events import Planned
from localrag.tui.inert import clean, clean_in_place, clean_line
from localrag.types import Plan
from tui import fakes
from tui.fakes import FakeAssistant, FakeLibrary, FakeWorld, answered, citation
from tui.screen_text import ask, lines, see, segments, shown

HOSTILE = (
    "[bold red]loud[/] [@click=app.quit]press[/] \x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\ "
    "\x1b[2J\x9b31m\x07\u202eesrever"
)
HARMLESS = "[bold red]loud[/] [@click=app.quit]press[/] link esrever"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://a\x1b\\text", "text"),
        ("\x1b]0;never ended, so nothing may vanish", "]0;never ended, so nothing may vanish"),
        ("\x9b31mred", "red"),
        ("a\x00b\x07c\x7f\ud800", "abc"),
        ("a\tb\r\nc", "a b\nc"),
        ("\u202eabc\u2066", "abc"),
        ("naïve “quotes” 条 é", "naïve “quotes” 条 é"),
    ],
)
def test_clean_takes_out_what_a_terminal_would_obey(text, left):
    assert clean(text) == left


def test_clean_in_place_keeps_every_offset_and_nothing_unsafe():
    text = HOSTILE + "\ttab\r\nline\ud800"
    kept = clean_in_place(text)
    assert len(kept) == len(text)
    assert not set("\x1b\x9b\x07\u202e\t\r\ud800") & set(kept)
    assert kept.index("loud") == text.index("loud")


def test_clean_line_is_one_line():
    assert clean_line(" a\n\n b\x1b[1m ") == "a b"


def effects(app) -> list[str]:
    """Actions and links that the screen would react to, other than the app's own."""
    styles = [segment.style for line in segments(app) for segment in line if segment.style]
    return [str(style) for style in styles if style.link or "@click" in style.meta]


async def test_hostile_text_is_drawn_as_it_stands_wherever_it_comes_from(monkeypatch):
    monkeypatch.setitem(fakes.PAGES, ("contracts/msa.pdf", 12), HOSTILE)
    cited = dataclasses.replace(citation(page=2, quote=fakes.TERM), page=12, quote=HOSTILE, start=0, end=len(HOSTILE))
    plan = Plan("retrieve", HOSTILE)
    final = answered(HOSTILE, plan=plan, citations=(cited,), unsupported=(HOSTILE,), model=HOSTILE)
    world = FakeWorld(FakeAssistant([Planned(plan), final]))
    world.libraries["[red]c"] = FakeLibrary("c")
    app = world.app(libraries=["[red]c"])
    async with app.run_test(size=(200, 60)) as pilot:
        await ask(pilot, HOSTILE)
        await see(pilot, "citation 1 of 1")
        await see(pilot, f"retrieve · {HARMLESS}")
        assert shown(app).count(HARMLESS) >= 5
        assert "[red]c" in shown(app)
        assert effects(app) == []
        assert not set("\x1b\x9b\x07\u202e") & set("".join(lines(app)))


@pytest.mark.parametrize(
    "answer",
    [
        "See [the site](http://evil.example/a).",
        "See ![picture](http://evil.example/a.png).",
        "See <http://evil.example/a>.",
        "See http://evil.example/a.",
        "See <a href='http://evil.example/a'>here</a>.",
        "<div onclick='x'>block</div>",
        "[ref]: http://evil.example/a",
    ],
)
async def test_answer_holds_no_link_and_hides_no_address(answer):
    app = FakeWorld(FakeAssistant([answered(answer, citations=())])).app()
    async with app.run_test() as pilot:
        await ask(pilot)
        await see(pilot, answer)
        assert effects(app) == []
