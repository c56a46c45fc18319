import contextlib
import dataclasses
import sys
from itertools import pairwise

import fake_core as fakes
import pytest
from fake_core import NOTICE, PAGE_12, TERM, WHITE, FakeAssistant, FakeWorld, answered, citation
from textual import events
from textual.widgets import Static

from localrag.answer.checks import cited_page
from localrag.answer.checks.cited_page import WINDOW, Found
from localrag.errors import ReadError, StorageError
from localrag.server import showing
from localrag.settings import Settings, load_settings
from localrag.tui import viewing
from localrag.tui.preferences import Preferences
from localrag.tui.viewing import Command, NoViewer
from localrag.tui.widgets import source
from localrag.tui.widgets.asking import QuestionInput
from localrag.tui.widgets.source import NO_EXTRA, NO_PIXELS, OTHER, QUOTE, Pictures, SourcePane, SourceText
from localrag.tui.widgets.turn import CitationLine
from localrag.types import Page
from tui.screen_text import NARROW, SIZES, WIDE, ask, chatting, idle, lines, marked, press, see, shown, until

AT = PAGE_12.index(NOTICE), PAGE_12.index(NOTICE) + len(NOTICE)


def one(cited, **world):
    return FakeWorld(FakeAssistant([answered("A.", citations=(cited,))]), **world)


def whole(name, monkeypatch):
    monkeypatch.setitem(fakes.PAGES, (name, 0), NOTICE)
    return one(dataclasses.replace(citation(), document=name, page=None, place="", start=0, end=len(NOTICE)))


async def cite(pilot):
    await ask(pilot)
    await until(pilot, lambda: bool(pilot.app.screen.query(CitationLine)))
    await pilot.pause()


async def read(pilot):
    await cite(pilot)
    pane = pilot.app.screen.query_one(SourcePane)
    if not pane.display:
        await pilot.press("f4")
    await until(pilot, lambda: pane.opened is not None)
    pane.focus_text()
    await until(pilot, lambda: isinstance(pilot.app.focused, SourceText))


def styled(content, style=QUOTE):
    return [content.plain[span.start : span.end] for span in content.spans if span.style == style]


def test_the_quoted_words_are_marked_beside_those_of_other_citations():
    text = "one THE QUOTE \u202eend\x1b"
    cited = dataclasses.replace(citation(), page=1, quote="THE QUOTE", start=4, end=13)
    found = cited_page.locate(cited, Page(text, 1))
    drawn = source.draw(text, *cited_page.window(text, found), found, [Found(0, 13), Found(15, 18)])
    assert styled(drawn.content) == ["THE QUOTE"] and len(drawn.content.plain) == len(text) and drawn.at == 4
    assert styled(drawn.content, OTHER) == ["one THE QUOTE", "end"]


def test_the_cells_that_an_answer_takes_from_a_row_are_marked_in_it():
    text = "Sales | 600 | 500"
    cited = dataclasses.replace(citation(), page=1, quote=text, start=0, end=len(text), figures=((14, 17),))
    found = cited_page.locate(cited, Page(text, 1))
    drawn = source.draw(text, 0, len(text), found)
    assert styled(drawn.content, source.ROW) == [text] and styled(drawn.content, source.FIGURE) == ["500"]
    parts = showing.parts_of(text, 0, len(text), found, ())
    assert [words for words, kind in parts if kind == "figure"] == ["500"]


def test_a_very_long_page_is_drawn_in_parts_that_cover_it():
    text = "a" * 50_000 + "\nTHE QUOTE\n" + "b" * 50_000
    found = Found(50_001, 50_010)
    drawn = source.draw(text, *cited_page.window(text, found), found)
    assert styled(drawn.content) == ["THE QUOTE"] and len(drawn.content) < 3 * WINDOW
    assert drawn.content.plain[drawn.at :].startswith("THE QUOTE")
    seen = [(drawn.start, drawn.end)]
    for step in (1, -1):
        here = drawn
        while (part := cited_page.neighbour(text, here.start, here.end, step)) is not None:
            here = source.draw(text, *part, found)
            seen.append((here.start, here.end))
    seen.sort()
    assert seen[0][0] == 0 and seen[-1][1] == len(text)
    assert all(before[1] == after[0] for before, after in pairwise(seen))


@pytest.mark.parametrize("size", SIZES)
async def test_each_citation_shows_its_page_with_the_quote_in_view(size):
    async with chatting(FakeWorld(), size) as pilot:
        app = pilot.app
        await press(pilot, "f4", sees="There is no citation yet.")
        app.clear_notifications()  # it lies over the source
        await cite(pilot)
        pane = app.screen.query_one(SourcePane)
        await until(pilot, lambda: pane.display == (size == WIDE))  # beside the answer if there is room
        await press(pilot, *["f2"] * (size == NARROW), then=lambda: marked(app) == NOTICE)
        await see(pilot, "contracts/msa.pdf, p. 12 library contracts · citation 1 of 2", "41. Termination.")
        await press(pilot, "f4", then=lambda: marked(app) == TERM)
        await press(pilot, "f3", then=lambda: marked(app) == NOTICE)
        await pilot.resize_terminal(*(WIDE if size == NARROW else NARROW))
        await until(pilot, lambda: marked(app) == NOTICE and "▸ [1]" in shown(app))
        await press(pilot, "f2", then=lambda: not pane.display)
        await pilot.click(list(app.screen.query(CitationLine))[1])
        await until(pilot, lambda: marked(app) == TERM)


@pytest.mark.parametrize("size", SIZES)
async def test_a_long_quote_is_shown_to_its_last_line(monkeypatch, size):
    quote = "The words of this clause go on. " * (9 if size == NARROW else 60) + "And here it ends."
    monkeypatch.setitem(fakes.PAGES, ("contracts/msa.pdf", 12), "Before it.\n" * 60 + quote + "\nAfter it." * 60)
    async with chatting(one(citation(quote)), size) as pilot:
        await cite(pilot)
        await press(pilot, *["f4"] * (size == NARROW), then=lambda: marked(pilot.app).endswith("And here it ends."))
        assert marked(pilot.app) == quote


async def test_tables_are_shown_in_columns_that_fit_and_the_quoted_cell_is_marked(monkeypatch):
    cell = "Harbour Street, after the longer opening hours, and on Saturdays all day"
    table = f"| Source | Budget (EUR) | Basis |\n|---|---:|---|\n| Pharmacy sales | 1,120,000 | {cell} |"
    monkeypatch.setitem(fakes.PAGES, ("contracts/msa.pdf", 12), f"Income\n{table}\nend")
    async with chatting(one(citation(cell)), NARROW) as pilot:
        await cite(pilot)
        await press(pilot, "f4", then=lambda: marked(pilot.app) == cell)
        await see(pilot, "Pharmacy sales 1,120,000 Harbour Street")
        assert not any("|" in line for line in lines(pilot.app))
        await pilot.resize_terminal(*WIDE)  # half of it is the source's, and the table is laid out anew
        await until(pilot, lambda: marked(pilot.app) == cell and not any("|" in line for line in lines(pilot.app)))


@pytest.mark.parametrize("size", SIZES)
async def test_keys_jump_to_a_citation_or_a_question_and_move_the_border(size):
    async with chatting(FakeWorld(), size) as pilot:
        screen = pilot.app.screen
        await press(pilot, "alt+2", sees="The newest answer has no citation 2.")
        pilot.app.clear_notifications()  # it lies over the source
        await cite(pilot)
        pilot.app.post_message(events.Key("alt+2", "2"))  # as a terminal sends it
        await until(pilot, lambda: marked(pilot.app) == TERM)
        assert pilot.app.screen.query_one(QuestionInput).value == "" and isinstance(pilot.app.focused, QuestionInput)
        edge = "width" if size == WIDE else "height"
        room = getattr(screen._source.size, edge)
        await press(pilot, "alt+left", "alt+left", then=lambda: getattr(screen._source.size, edge) > room)
        for panel in (screen._source, screen._conversation):
            await until(pilot, lambda panel=panel: screen._panels.region.contains_region(panel.region))
        await press(pilot, *["alt+right"] * 9, then=lambda: getattr(screen._source.size, edge) < room)
        assert getattr(screen._source.size, edge) > 1


async def test_keys_jump_from_question_to_question():
    async with chatting(FakeWorld(), NARROW) as pilot:
        questions = ("First?", "Second?", "Third?", "Fourth?")
        for question in questions:
            await ask(pilot, question, sees=f"❯ {question}")
            await idle(pilot)
        top = lambda: next(line for line in lines(pilot.app) if line.strip())  # noqa: E731
        await press(pilot, *["ctrl+up"] * 4, then=lambda: "❯ First?" in top())
        await press(pilot, "ctrl+down", then=lambda: "❯ Second?" in top())
        await press(pilot, *["ctrl+down"] * 3, sees="❯ Fourth?")


async def test_keys_move_between_question_citations_and_source():
    async with chatting(FakeWorld(), NARROW) as pilot:
        app = pilot.app
        await cite(pilot)
        await press(pilot, "tab", then=lambda: marked(app) == NOTICE)
        await press(pilot, "down", sees="▸ [2]")
        await press(pilot, "alt+w", then=lambda: app.clipboard == TERM)
        await press(pilot, "down", then=lambda: isinstance(app.focused, QuestionInput))
        await press(pilot, "tab", "up", "enter", then=lambda: isinstance(app.focused, SourceText))
        await press(pilot, "alt+n", then=lambda: marked(app) == TERM)
        assert isinstance(app.focused, SourceText)
        await press(pilot, "escape", then=lambda: not app.screen.query_one(SourcePane).display)
        assert isinstance(app.focused, QuestionInput)


async def test_pages_are_turned_and_the_quote_copied():
    async with chatting(FakeWorld(), NARROW) as pilot:
        app = pilot.app
        await read(pilot)
        await press(pilot, "right_square_bracket", sees=("The page after.", "13 of 60 · Enter returns to the quote"))
        await press(pilot, "left_square_bracket", "left_square_bracket", sees="The page before.")
        await press(pilot, "enter", then=lambda: marked(app) == NOTICE)
        await press(pilot, "end", "pagedown", sees="The page after.")
        await press(pilot, "pageup", sees="59. Later clause.")
        reference = "— contracts/msa.pdf, p. 12, library contracts"
        for key, copied in (("y", f"“{NOTICE}” {reference}"), ("m", f"> {NOTICE}\n>\n> {reference}\n"), ("w", NOTICE)):
            await press(pilot, f"alt+{key}", then=lambda words=copied: app.clipboard == words)


@pytest.mark.parametrize(
    ("change", "state", "words"),
    [
        ({"page": 1}, "changed", ("the quote is no longer on this page", "! The file has changed")),
        ({"start": 3, "end": 9}, "missing", ("the quote has moved on this page", "! The file is no longer there")),
    ],
)
async def test_a_changed_document_and_a_missing_quote_are_reported(monkeypatch, change, state, words):
    monkeypatch.setitem(fakes.PAGES, ("contracts/msa.pdf", 1), "Something else.")
    async with chatting(one(dataclasses.replace(citation(), **change), file_state=state), WIDE) as pilot:
        await read(pilot)
        await see(pilot, *words)
        await pilot.press("left_square_bracket")
        await see(pilot, "The page before." if state == "missing" else "This is the first page.")


@pytest.fixture
def viewer(monkeypatch):
    asked = []

    def command(file, page, **how):
        asked.append((str(file), page))
        return Command(("viewer", str(file)), page != 12)

    monkeypatch.setattr(viewing, "command", command)
    monkeypatch.setattr(viewing, "start", lambda command: None)
    return asked


async def test_the_file_is_opened_at_its_page_once_that_is_recorded(viewer, monkeypatch):
    world = FakeWorld()
    async with chatting(world, WIDE) as pilot:
        await cite(pilot)
        await press(pilot, "ctrl+o", sees="Opened msa.pdf. Go to page 12: this viewer cannot be sent there.")
        assert world.noted == [("contracts", "contracts/msa.pdf", 12)]
        world.noted = [StorageError("the disk is full", "Make room.")]
        await press(pilot, "ctrl+o", sees="the disk is full")
        world.noted = []

        def command(file, page, **how):
            raise NoViewer("there is no screen", "The file is /docs/x")

        monkeypatch.setattr(viewing, "command", command)
        await press(pilot, "ctrl+o", sees="there is no screen. The file is /docs/x")
    assert viewer == [("/docs/contracts/msa.pdf", 12)]


async def test_of_a_transcript_the_recording_is_opened_and_its_time_named(viewer):
    world = one(dataclasses.replace(citation(), place="00:14:32"), recording="/docs/talk.mp3")
    async with chatting(world, WIDE) as pilot:
        await read(pilot)
        await press(pilot, "ctrl+o", sees="Opened talk.mp3.")
        await see(pilot, "Listen from 00:14:32.")
    assert viewer == [("/docs/talk.mp3", 12)]


async def test_a_missing_file_and_one_that_loads_more_are_not_opened_at_once(viewer, monkeypatch):
    world = whole("a.html", monkeypatch)
    async with chatting(world, WIDE) as pilot:
        await cite(pilot)
        await press(pilot, "ctrl+o", sees="may load pictures from the network")
        assert viewer == []
        await press(pilot, "ctrl+o", sees="Opened a.html.")
        world.file_state = "missing"
        await press(pilot, "f4", "ctrl+o", sees="was read. /docs/a.html")
    assert viewer == [("/docs/a.html", None)]


@pytest.fixture
def pictures(monkeypatch):
    monkeypatch.setattr(Pictures, "why_not", lambda self, app: "")
    monkeypatch.setattr(Pictures, "cell_width", lambda self: 10)
    monkeypatch.setattr(Pictures, "widget", lambda self, image: Static(f"PICTURE {image.width}x{image.height}"))


async def test_a_page_is_shown_as_a_picture_and_the_choice_is_saved(pictures):
    world = FakeWorld()
    async with chatting(world, WIDE) as pilot:
        await read(pilot)
        await press(pilot, "alt+i", sees="PICTURE 1x2")
        assert world.pictured == [("contracts/msa.pdf", 12, (AT,))]
        assert load_settings().source_view == "picture" and marked(pilot.app) == ""
        await press(pilot, "right_square_bracket", then=lambda: len(world.pictured) == 2)
        assert world.pictured[1] == ("contracts/msa.pdf", 13, ((0, 0),))  # no quote to box
        await press(pilot, "enter", then=lambda: len(world.pictured) == 3)
        await press(pilot, *["alt+i"] * 3, then=lambda: marked(pilot.app) == NOTICE)
        assert "PICTURE" not in shown(pilot.app)


async def test_what_cannot_be_drawn_stays_text_and_says_why(pictures):
    world = FakeWorld(picture=dataclasses.replace(WHITE, boxes=()))
    async with chatting(world, WIDE, preferences=Preferences(Settings(source_view="picture"))) as pilot:
        await cite(pilot)
        await see(pilot, "! The quote was not found", "PICTURE")
        world.picture = ReadError("msa.pdf has changed", "Ingest again.")
        await press(pilot, "f4", sees="! No picture of this page: msa.pdf has changed.")
        assert "PICTURE" not in shown(pilot.app)


@pytest.mark.parametrize(("name", "words"), [("a.md", "Only PDFs and pictures"), ("", NO_EXTRA)])
async def test_documents_and_terminals_without_pictures_say_so(monkeypatch, name, words):
    monkeypatch.setattr(source, "find_spec", lambda name: None)
    world = whole(name, monkeypatch) if name else FakeWorld()
    async with chatting(world, WIDE) as pilot:
        await read(pilot)
        await press(pilot, "alt+i", sees=words)
        assert world.pictured == [] and load_settings().source_view == "text"


class Stepped:
    def suspend(self):
        return contextlib.nullcontext()


def test_the_widget_holds_the_pixels_and_there_is_none_without_a_terminal():
    pytest.importorskip("textual_image")
    assert not sys.__stdout__.isatty() and Pictures().why_not(Stepped()) == NO_PIXELS
    widget = Pictures().widget(WHITE)
    assert widget.image.size == (1, 2) and widget.image.getpixel((0, 1)) == (255, 255, 255)
    with pytest.raises(ValueError, match="a picture of"):
        Pictures().widget(dataclasses.replace(WHITE, width=100_000_000))
