"""The source pane's keys: pages around the quote, other quotes, copying, opening the file."""

from __future__ import annotations

import dataclasses

import pytest

from localrag.errors import StorageError
from localrag.tui import viewing
from localrag.tui.viewing import Command, NoViewer
from localrag.tui.widgets.citation import CitationLine
from localrag.tui.widgets.conversation import Conversation
from localrag.tui.widgets.panels import Panels
from localrag.tui.widgets.source import SourcePane, SourceText
from tui import fakes
from tui.fakes import NOTICE, TERM, FakeAssistant, FakeWorld, answered, citation
from tui.screen_text import ask, lines, marked, see, segments, shown, until


async def read(pilot, marker=1):
    """Ask, and go into the source of the first citation."""
    app = pilot.app
    await ask(pilot)
    await until(pilot, lambda: bool(app.screen.query(CitationLine)))
    await pilot.press("f4")
    await until(pilot, lambda: bool(marked(app)))
    app.screen.query_one(SourcePane).focus_text()
    await until(pilot, lambda: isinstance(app.focused, SourceText))


def underlined(app) -> str:
    # The chosen citation is underlined as well while it has the keyboard, so only the source is looked at.
    pane = app.screen.query_one("#source-text").region
    rows = segments(app)[pane.y : pane.bottom]
    found = [one.text for row in rows for one in row if one.style and one.style.underline and not one.style.reverse]
    return " ".join(" ".join(found).split())


async def test_brackets_turn_pages_and_enter_returns_to_the_quote():
    app = FakeWorld().app()
    async with app.run_test() as pilot:
        await read(pilot)
        await pilot.press("right_square_bracket")
        await see(pilot, "The page after.")
        await see(pilot, "13 of 60 · Enter goes back to the quote")
        assert marked(app) == ""
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: marked(app) == NOTICE)
        await pilot.press("left_square_bracket")
        await see(pilot, "The page before.")
        await pilot.press("enter")
        await until(pilot, lambda: marked(app) == NOTICE)


async def test_paging_past_the_end_turns_the_page_and_back_shows_its_end():
    app = FakeWorld().app()
    async with app.run_test() as pilot:
        await read(pilot)
        for _ in range(12):
            if "The page after." in shown(app):
                break
            await pilot.press("pagedown")
            await pilot.pause(0.05)
        await see(pilot, "The page after.")
        await pilot.press("pageup")
        await see(pilot, "59. Later clause.")


async def test_first_and_last_page_are_said(monkeypatch):
    monkeypatch.setitem(fakes.PAGES, ("contracts/msa.pdf", 1), f"{NOTICE}")
    cited = dataclasses.replace(citation(), page=1, place="p. 1", start=0, end=len(NOTICE))
    app = FakeWorld(FakeAssistant([answered("A.", citations=(cited,))])).app()
    async with app.run_test(notifications=True) as pilot:
        await read(pilot)
        await pilot.press("left_square_bracket")
        await see(pilot, "This is the first page.")


async def test_other_quotes_of_the_answer_on_the_page_are_underlined():
    other = citation("Later clause.", 12, 2)
    app = FakeWorld(FakeAssistant([answered("A.", citations=(citation(), other))])).app()
    async with app.run_test() as pilot:
        await read(pilot)
        assert marked(app) == NOTICE
        assert underlined(app) == "Later clause."


@pytest.mark.parametrize(
    ("key", "copied"),
    [
        ("y", f"“{NOTICE}” — contracts/msa.pdf, p. 12, library contracts"),
        ("w", NOTICE),
        ("Y", f"> {NOTICE}\n>\n> — contracts/msa.pdf, p. 12, library contracts\n"),
    ],
)
async def test_quote_is_copied_with_its_reference(key, copied):
    app = FakeWorld().app()
    async with app.run_test(notifications=True) as pilot:
        await read(pilot)
        await pilot.press(key)
        await see(pilot, "Copied: the quote")
        assert app.clipboard == copied


async def test_quote_is_copied_from_the_line_of_its_citation_too():
    app = FakeWorld().app()
    async with app.run_test() as pilot:
        await ask(pilot)
        await until(pilot, lambda: len(app.screen.query(CitationLine)) == 2)
        await pilot.press("tab", "down", "w")
        await until(pilot, lambda: app.clipboard == TERM)


class Viewer:
    """Stands for the viewer: what was to be opened, at which page."""

    def __init__(self, monkeypatch, at_page=True, error=None):
        self.asked = []

        def command(file, page, **how):
            if error:
                raise error
            self.asked.append((str(file), page))
            return Command(("viewer", str(file)), at_page)

        monkeypatch.setattr(viewing, "command", command)
        monkeypatch.setattr(viewing, "start", lambda command: None)


async def test_o_opens_the_file_at_the_page_shown(monkeypatch):
    viewer = Viewer(monkeypatch)
    world = FakeWorld()
    app = world.app()
    async with app.run_test(notifications=True) as pilot:
        await read(pilot)
        await pilot.press("o")
        await see(pilot, "Opened msa.pdf.")
        assert world.noted == [("contracts", "contracts/msa.pdf", 12)]
        await pilot.press("right_square_bracket")
        await see(pilot, "The page after.")
        await pilot.press("o")
        await until(pilot, lambda: len(viewer.asked) == 2)
        assert viewer.asked == [("/docs/contracts/msa.pdf", 12), ("/docs/contracts/msa.pdf", 13)]


async def test_ctrl_o_opens_the_newest_answers_source_from_the_question(monkeypatch):
    viewer = Viewer(monkeypatch, at_page=False)
    app = FakeWorld().app()
    async with app.run_test(notifications=True) as pilot:
        await ask(pilot)
        await until(pilot, lambda: len(app.screen.query(CitationLine)) == 2)
        await pilot.press("ctrl+o")
        await see(pilot, "Go to page 12: this viewer is not told of it.")
        assert viewer.asked == [("/docs/contracts/msa.pdf", 12)]


async def test_why_a_file_is_not_opened_is_said_with_where_it_lies(monkeypatch):
    Viewer(monkeypatch, error=NoViewer("there is no graphical screen here", "The file is /docs/contracts/msa.pdf"))
    app = FakeWorld().app()
    async with app.run_test(notifications=True) as pilot:
        await read(pilot)
        await pilot.press("o")
        await see(pilot, "there is no graphical screen here")
        await see(pilot, "/docs/contracts/msa.pdf")


async def test_file_whose_opening_cannot_be_recorded_is_not_opened(monkeypatch):
    viewer = Viewer(monkeypatch)
    app = FakeWorld(noted=[StorageError("the disk is full", "Free some space.")]).app()
    async with app.run_test(notifications=True) as pilot:
        await read(pilot)
        await pilot.press("o")
        await see(pilot, "the disk is full. Free some space.")
        assert viewer.asked == []


async def test_file_that_is_gone_is_said_and_not_opened(monkeypatch):
    viewer = Viewer(monkeypatch)
    app = FakeWorld(file_state="missing").app()
    async with app.run_test(notifications=True) as pilot:
        await read(pilot)
        await see(pilot, "! The file is no longer where it was.")
        assert marked(app) == NOTICE
        await pilot.press("o")
        await see(pilot, "no longer where it was: /docs/contracts/msa.pdf")
        assert viewer.asked == []


async def test_file_that_has_changed_is_opened_and_the_change_is_said(monkeypatch):
    viewer = Viewer(monkeypatch)
    app = FakeWorld(file_state="changed").app()
    async with app.run_test(notifications=True) as pilot:
        await read(pilot)
        await see(pilot, "! The file has changed since it was read.")
        await pilot.press("o")
        await see(pilot, "so the words may stand elsewhere")
        assert viewer.asked


async def test_what_a_browser_would_show_is_opened_at_the_second_press_only(monkeypatch):
    viewer = Viewer(monkeypatch)
    monkeypatch.setitem(fakes.PAGES, ("a.html", 0), NOTICE)
    cited = dataclasses.replace(citation(), document="a.html", page=None, place="", start=0, end=len(NOTICE))
    app = FakeWorld(FakeAssistant([answered("A.", citations=(cited,))])).app()
    async with app.run_test(notifications=True) as pilot:
        await read(pilot)
        await pilot.press("o")
        await see(pilot, "may load pictures")
        assert viewer.asked == []
        await pilot.press("o")
        await until(pilot, lambda: viewer.asked == [("/docs/a.html", None)])


async def test_click_on_a_number_in_the_answer_shows_its_source():
    app = FakeWorld().app()
    async with app.run_test(size=(160, 48)) as pilot:
        await ask(pilot)
        await until(pilot, lambda: marked(app) == NOTICE)
        rows = lines(app)
        y = next(at for at, row in enumerate(rows) if "within a term of three years" in row)
        await pilot.click(offset=(rows[y].index("[2]") + 1, y))
        await until(pilot, lambda: marked(app) == TERM)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_conversation_stays_where_it_is_read_when_the_source_opens_and_closes(size):
    words = "\n\n".join(f"Paragraph {number} " + "and so it goes on for a while " * 8 for number in range(40))
    app = FakeWorld(FakeAssistant([answered(words)])).app()
    async with app.run_test(size=size) as pilot:
        await ask(pilot)
        await until(pilot, lambda: len(app.screen.query(CitationLine)) == 2)
        pane = app.screen.query_one(SourcePane)
        if pane.display:
            await pilot.press("f2")
            await until(pilot, lambda: not pane.display)
        conversation = app.screen.query_one(Conversation)
        await pilot.press("pageup")
        conversation.scroll_to(y=conversation.max_scroll_y // 2, animate=False)
        await pilot.pause(0.1)

        def top() -> str:
            region = conversation.region
            rows = [row[region.x : region.right] for row in lines(app)[region.y : region.bottom]]
            return next(word for row in rows for word in row.split() if word.isdigit())

        before = int(top())
        assert 2 < before < 38
        app.screen.query_one(Panels)._show_source(True)
        await until(pilot, lambda: pane.region.height > 0)
        await pilot.pause(0.2)
        assert abs(int(top()) - before) <= 1
        app.screen.query_one(Panels)._show_source(False)
        await until(pilot, lambda: not pane.display)
        await pilot.pause(0.2)
        assert abs(int(top()) - before) <= 1


async def test_keys_of_the_source_are_listed_only_while_they_work():
    app = FakeWorld().app()
    async with app.run_test() as pilot:
        await ask(pilot)
        await until(pilot, lambda: len(app.screen.query(CitationLine)) == 2)
        await pilot.press("f4")
        await until(pilot, lambda: marked(app) == NOTICE)
        assert "y copy" not in shown(app)
        await pilot.press("tab")
        await see(pilot, "y copy")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.focused, SourceText))
        await pilot.pause()
        assert "y copy" in shown(app)
