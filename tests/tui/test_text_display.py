import dataclasses

import fake_core as fakes
from fake_core import FakeAssistant, FakeLibrary, FakeWorld, answered, citation
from rich.cells import cell_len
from textual.content import Content
from textual.widgets import Static

from localrag.events import Planned
from localrag.tui.text import clean_in_place, clean_line, shorten, shorten_all, shorten_source
from localrag.types import Plan
from tui.screen_text import ask, chatting, lines, see, segments, shown, until

HOSTILE = (
    "[bold red]loud[/] [@click=app.quit]press[/] \x1b]8;;http://evil.example\x1b\\link\x1b]8;;\x1b\\ "
    "\x1b[2J\x9b31m\x07\u202eesrever"
)
HARMLESS = (
    r"[bold red]loud[/] [@click=app.quit]press[/] \u001b]8;;http://evil.example\u001b\link\u001b]8;;\u001b\ "
    r"\u001b[2J\u009b31m\u0007\u202eesrever"
)
LONG = "contracts/2024/final/master-services-agreement-with-annexes-and-schedules-signed-v12-final.pdf"


def test_clean_in_place_keeps_offsets():
    text = HOSTILE + "\ttab\r\nline\ud800"
    kept = clean_in_place(text)
    assert len(kept) == len(text) and kept.index("loud") == text.index("loud")
    assert not set("\x1b\x9b\x07\u202e\t\r\ud800") & set(kept)
    assert clean_line(" a\n\n b\x1b[1m ") == r"a b\u001b[1m"


def effects(app):
    styles = [segment.style for line in segments(app) for segment in line if segment.style]
    return [str(style) for style in styles if style.link or "@click" in style.meta]


async def test_hostile_text_is_drawn_as_it_is_also_where_a_widget_forgot_to_clean_it(monkeypatch):
    monkeypatch.setitem(fakes.PAGES, ("contracts/msa.pdf", 12), HOSTILE)
    cited = dataclasses.replace(citation(page=2, quote=fakes.TERM), page=12, quote=HOSTILE, start=0, end=len(HOSTILE))
    plan = Plan("retrieve", HOSTILE)
    links = "[site](http://evil.example/a), <a href='http://evil.example'>here</a>, ![p](http://e.x/a.png)."
    final = answered(f"{HOSTILE} See {links}", plan=plan, citations=(cited,), unsupported=(HOSTILE,), model=HOSTILE)
    world = FakeWorld(FakeAssistant([Planned(plan), final]))
    world.libraries["[red]c"] = FakeLibrary("c")
    async with chatting(world, (200, 60), libraries=["[red]c"]) as pilot:
        app = pilot.app
        await ask(pilot, HOSTILE, sees=("citation 1 of 1", f"retrieve · {HARMLESS}"))
        await until(pilot, lambda: shown(app).count(HARMLESS) >= 5)
        await see(pilot, "[red]c", "[site](http://evil.example/a)", "![p](http")
        assert effects(app) == []
        await app.mount(Static(Content("forgot \x1b]0;owned\x07 \x9b2J \u202edone"), id="forgetful"))
        await see(pilot, "forgot \N{REPLACEMENT CHARACTER}]0;owned")
        assert not set("\x1b\x9b\x07\u202e") & set("".join(lines(app)))


def test_a_source_keeps_the_end_of_its_name_and_its_place():
    for room in (40, 60, 80):
        text = shorten_source(LONG, "p. 21 (printed 18)", room)
        assert cell_len(text) <= room and "…" in text
        assert text.endswith("al.pdf, p. 21 (printed 18)")
        assert shorten_source("a.pdf", "p. 3", room) == "a.pdf, p. 3"
    text = shorten_source("prices.xlsx", f"sheet {'Q' * 100}, B4:D9", 60)
    assert cell_len(text) <= 60 and text.startswith("prices.xlsx, sheet Q") and text.endswith("B4:D9")


def test_wide_letters_count_for_two_cells():
    for room in range(2, 30):
        assert cell_len(shorten("契約書/業務委託基本契約書と附属覚書.pdf", room)) <= room


def test_similar_names_still_differ_when_cut():
    names = [f"Northwind_{part}_Contract_Details.pdf" for part in ("2021", "2022", "Annex", "2022_b")]
    for room in (16, 20, 28, 60):
        short = shorten_all(names, room)
        assert len(set(short.values())) == len(names)
        assert all(cell_len(cut) <= room for cut in short.values())
        assert all(cut.endswith(".pdf") or room < 20 for cut in short.values())
