"""The page as a picture: asked for by a key, kept in mind, and never instead of what must be said."""

from __future__ import annotations

import contextlib
import dataclasses
import sys

import pytest
from textual.widgets import Static

from localrag.errors import ReadError
from localrag.settings import Settings, load_settings
from localrag.tui import pictures
from localrag.tui.pictures import NO_EXTRA, NO_PIXELS, Pictures
from localrag.tui.preferences import Preferences
from localrag.tui.widgets.citation import CitationLine
from localrag.tui.widgets.source import SourcePane
from tui import fakes
from tui.fakes import NOTICE, PAGE_12, WHITE, FakeAssistant, FakeWorld, answered, citation
from tui.screen_text import ask, marked, see, shown, until


@pytest.fixture(autouse=True)
def terminal_with_pictures(monkeypatch):
    """A terminal that shows pictures: a line of text stands for each."""
    monkeypatch.setattr(pictures, "_ask", lambda app: "")
    monkeypatch.setattr(Pictures, "cell", lambda self: 10)
    monkeypatch.setattr(Pictures, "widget", lambda self, image: Static(f"PICTURE {image.width}x{image.height}"))


async def read(pilot):
    app = pilot.app
    await ask(pilot)
    await until(pilot, lambda: bool(app.screen.query(CitationLine)))
    await pilot.press("f4")
    await until(pilot, lambda: app.screen.query_one(SourcePane).opened is not None)
    app.screen.query_one(SourcePane).focus_text()


async def test_i_shows_the_page_as_a_picture_and_the_text_again():
    world = FakeWorld()
    app = world.app()
    async with app.run_test() as pilot:
        await read(pilot)
        await pilot.press("i")
        await see(pilot, "PICTURE 1x2")
        start = PAGE_12.index(NOTICE)
        assert world.pictured == [("contracts/msa.pdf", 12, ((start, start + len(NOTICE)),))]
        assert NOTICE.split(",")[0] not in shown(app).split("library contracts")[1]
        await pilot.press("i")
        await until(pilot, lambda: marked(app) == NOTICE)
        assert "PICTURE" not in shown(app)


async def test_choice_is_kept_in_the_settings_and_holds_at_the_next_start():
    app = FakeWorld().app()
    async with app.run_test() as pilot:
        await read(pilot)
        await pilot.press("i")
        await see(pilot, "PICTURE")
    assert load_settings().source_view == "picture"
    again = FakeWorld().app(preferences=Preferences(Settings(source_view="picture")))
    async with again.run_test() as pilot:
        await read(pilot)
        await see(pilot, "PICTURE")


async def test_next_citation_and_next_page_are_pictures_too():
    world = FakeWorld()
    app = world.app(preferences=Preferences(Settings(source_view="picture")))
    async with app.run_test() as pilot:
        await read(pilot)
        await see(pilot, "PICTURE")
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: len(world.pictured) == 2)
        # Nothing of the quote is on the page after, so nothing is boxed as one.
        assert world.pictured[1] == ("contracts/msa.pdf", 13, ((0, 0),))
        await pilot.press("n")
        await until(pilot, lambda: len(world.pictured) == 3)
        assert world.pictured[2][1] == 2


async def test_changing_ones_mind_quickly_leaves_one_picture():
    app = FakeWorld().app()
    async with app.run_test() as pilot:
        await read(pilot)
        await pilot.press("i", "i", "i")
        await see(pilot, "PICTURE")
        await pilot.pause(0.2)
        assert shown(app).count("PICTURE") == 1 and "being drawn" not in shown(app)


async def test_what_cannot_be_drawn_stays_text_and_says_why():
    world = FakeWorld(picture=ReadError("msa.pdf is not the file any more that was read", "Ingest again."))
    app = world.app(preferences=Preferences(Settings(source_view="picture")))
    async with app.run_test() as pilot:
        await read(pilot)
        await see(pilot, "! No picture of this page: msa.pdf is not the file any more that was read.")
        assert marked(app) == NOTICE


async def test_quote_that_is_not_found_in_the_picture_is_said():
    world = FakeWorld(picture=dataclasses.replace(WHITE, boxes=()))
    app = world.app(preferences=Preferences(Settings(source_view="picture")))
    async with app.run_test() as pilot:
        await read(pilot)
        await see(pilot, "! The quoted words could not be found in the picture")
        await see(pilot, "PICTURE")


async def test_documents_without_a_look_of_their_own_say_so(monkeypatch):
    monkeypatch.setitem(fakes.PAGES, ("a.md", 0), NOTICE)
    cited = dataclasses.replace(citation(), document="a.md", page=None, place="", start=0, end=len(NOTICE))
    world = FakeWorld(FakeAssistant([answered("A.", citations=(cited,))]))
    app = world.app()
    async with app.run_test(notifications=True) as pilot:
        await read(pilot)
        await pilot.press("i")
        await see(pilot, "Only PDFs and pictures are shown as they look")
        assert world.pictured == [] and load_settings().source_view == "text"


async def test_terminal_that_shows_no_pictures_says_why(monkeypatch):
    monkeypatch.setattr(pictures, "_ask", lambda app: NO_PIXELS)
    world = FakeWorld()
    app = world.app()
    async with app.run_test(notifications=True) as pilot:
        await read(pilot)
        await pilot.press("i")
        await see(pilot, "This terminal shows no pictures")
        assert world.pictured == [] and marked(app) == NOTICE


class Stepped:
    """An app that can step aside."""

    def suspend(self):
        return contextlib.nullcontext()


def test_without_the_extra_how_to_get_it_is_said(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    assert Pictures().why_not(Stepped()) == NO_EXTRA


def test_without_a_terminal_there_are_no_pictures(monkeypatch):
    pytest.importorskip("textual_image")
    monkeypatch.undo()
    assert not sys.__stdout__.isatty()
    assert Pictures().why_not(Stepped()) == NO_PIXELS


def test_widget_holds_the_pixels_that_came(monkeypatch):
    pytest.importorskip("textual_image")
    monkeypatch.undo()
    shown = Pictures().widget(WHITE)
    assert shown.image.size == (1, 2) and shown.image.getpixel((0, 1)) == (255, 255, 255)
    with pytest.raises(ValueError, match="a picture of"):
        Pictures().widget(dataclasses.replace(WHITE, width=100_000_000))
