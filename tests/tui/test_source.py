"""Sources: moving onto a citation shows its page with the quoted words marked and in view."""

from __future__ import annotations

import dataclasses

import pytest

from localrag.tui.widgets.citation import CitationLine
from localrag.tui.widgets.page_text import WINDOW
from localrag.tui.widgets.question import QuestionInput
from localrag.tui.widgets.source import SourcePane, SourceText
from tui import fakes
from tui.fakes import NOTICE, PLAN, SCRIPT, TERM, FakeAssistant, FakeWorld, answered, citation
from tui.screen_text import SIZES, ask, marked, see, shown, until

NARROW, WIDE = SIZES


async def answer(pilot):
    await ask(pilot)
    await until(pilot, lambda: len(pilot.app.screen.query(CitationLine)) == 2)
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
async def test_next_citation_shows_the_page_with_the_quote_marked_and_in_view(size):
    app = FakeWorld().app()
    async with app.run_test(size=size) as pilot:
        await answer(pilot)
        await pilot.press("f4") if size == NARROW else None
        await until(pilot, lambda: marked(app) == NOTICE)
        assert "contracts/msa.pdf, p. 12 library contracts · citation 1 of 2" in shown(app)
        assert "41. Termination." in shown(app)
        await pilot.press("f4")
        await until(pilot, lambda: marked(app) == TERM)
        await pilot.press("f3")
        await until(pilot, lambda: marked(app) == NOTICE)
        assert isinstance(app.focused, QuestionInput)


async def test_arrows_move_over_the_citations_and_back_to_the_question():
    app = FakeWorld().app()
    async with app.run_test(size=NARROW) as pilot:
        await answer(pilot)
        await pilot.press("tab")
        await until(pilot, lambda: marked(app) == NOTICE)
        await see(pilot, "▸ [1]")
        await pilot.press("down")
        await until(pilot, lambda: marked(app) == TERM)
        await see(pilot, "▸ [2]")
        assert "▸ [1]" not in shown(app)
        await pilot.press("up")
        await until(pilot, lambda: marked(app) == NOTICE)
        await pilot.press("down", "down")
        await until(pilot, lambda: isinstance(app.focused, QuestionInput))


async def test_enter_on_a_citation_goes_to_the_text_and_tab_back_to_the_question():
    app = FakeWorld().app()
    async with app.run_test(size=NARROW) as pilot:
        await answer(pilot)
        await pilot.press("tab")
        await until(pilot, lambda: marked(app) == NOTICE)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.focused, SourceText))
        await pilot.press("n")
        await until(pilot, lambda: marked(app) == TERM)
        assert isinstance(app.focused, SourceText)
        await pilot.press("tab")
        await until(pilot, lambda: isinstance(app.focused, QuestionInput))


async def test_click_on_a_citation_shows_its_source():
    app = FakeWorld().app()
    async with app.run_test(size=NARROW) as pilot:
        await answer(pilot)
        await pilot.click(list(app.screen.query(CitationLine))[1])
        await until(pilot, lambda: marked(app) == TERM)


async def test_narrow_source_is_hidden_until_wanted_and_escape_closes_it():
    app = FakeWorld().app()
    async with app.run_test(size=NARROW) as pilot:
        await answer(pilot)
        pane = app.screen.query_one(SourcePane)
        assert not pane.display
        await pilot.press("f2")
        await until(pilot, lambda: marked(app) == NOTICE)
        await pilot.press("escape")
        await until(pilot, lambda: not pane.display)
        await pilot.press("f2")
        await until(pilot, lambda: marked(app) == NOTICE)
        await pilot.press("f2")
        await until(pilot, lambda: not pane.display)


async def test_wide_source_opens_beside_the_answer_by_itself():
    app = FakeWorld().app()
    async with app.run_test(size=WIDE) as pilot:
        await answer(pilot)
        await until(pilot, lambda: marked(app) == NOTICE)
        conversation, pane = app.screen.query_one("#conversation"), app.screen.query_one(SourcePane)
        assert pane.region.x >= conversation.region.right


async def test_resizing_keeps_the_chosen_citation_and_the_quote_in_view():
    app = FakeWorld(FakeAssistant([answered("Line.\n\n" * 30)])).app()
    async with app.run_test(size=WIDE) as pilot:
        await answer(pilot)
        await pilot.press("f4")
        await until(pilot, lambda: marked(app) == TERM)
        await pilot.press("f3")
        await until(pilot, lambda: marked(app) == NOTICE)
        await pilot.resize_terminal(*NARROW)
        await until(pilot, lambda: marked(app) == NOTICE and "▸ [1]" in shown(app))


async def test_newest_answers_first_citation_is_the_first_to_be_shown():
    app = FakeWorld(FakeAssistant(SCRIPT, [answered("New.", citations=(citation(TERM, 2, 1),))])).app()
    async with app.run_test(size=NARROW) as pilot:
        await answer(pilot)
        await ask(pilot, "second")
        await until(pilot, lambda: len(app.screen.query(CitationLine)) == 3)
        await pilot.press("f4")
        await until(pilot, lambda: marked(app) == TERM)
        await see(pilot, "citation 3 of 3")


async def test_without_a_citation_the_keys_say_so():
    app = FakeWorld().app()
    async with app.run_test(notifications=True) as pilot:
        await see(pilot, "Ask about contracts")
        await pilot.press("f4")
        await see(pilot, "There is no citation yet.")


async def show_one(pilot, cited):
    await ask(pilot)
    await until(pilot, lambda: len(pilot.app.screen.query(CitationLine)) == 1)
    await pilot.press("f4")


def world_of(cited) -> FakeWorld:
    return FakeWorld(FakeAssistant([answered("A.", citations=(cited,), plan=PLAN)]))


async def test_page_that_is_gone_is_told_with_its_hint():
    app = world_of(dataclasses.replace(citation(), page=99)).app()
    async with app.run_test() as pilot:
        await show_one(pilot, None)
        await see(pilot, "Error: there is no page 99")
        await see(pilot, "What to do: Read it again.")


async def test_quote_that_no_longer_stands_there_is_not_marked_and_said():
    app = world_of(dataclasses.replace(citation(), quote="Sixty days' notice.")).app()
    async with app.run_test() as pilot:
        await show_one(pilot, None)
        await see(pilot, "The document has changed since: the quoted words are no longer on this page.")
        assert marked(app) == ""


async def test_quote_that_has_moved_is_marked_where_it_stands_and_said():
    app = world_of(dataclasses.replace(citation(), start=3, end=9)).app()
    async with app.run_test() as pilot:
        await show_one(pilot, None)
        await until(pilot, lambda: marked(app) == NOTICE)
        await see(pilot, "the quoted words have moved on this page")


async def test_long_text_without_pages_is_cut_around_the_quote(monkeypatch):
    text = "x" * (WINDOW + 500) + "\n" + "THE QUOTE" + "\n" + "y" * (WINDOW + 700)
    monkeypatch.setitem(fakes.PAGES, ("contracts/msa.pdf", 0), text)
    start = text.index("THE QUOTE")
    cited = dataclasses.replace(citation(), page=None, place="", quote="THE QUOTE", start=start, end=start + 9)
    app = world_of(cited).app()
    async with app.run_test() as pilot:
        await show_one(pilot, None)
        await until(pilot, lambda: marked(app) == "THE QUOTE")
        whole = app.screen.query_one(SourcePane)._part.content.plain
        assert "… 501 characters before this are not shown;" in whole
        assert "… 701 more characters are not shown;" in whole


async def test_control_characters_and_markup_before_the_quote_do_not_move_the_mark(monkeypatch):
    text = "[red]one\x1b[31m\r\n\x07\x0b two\t[/] \u202e THE QUOTE after"
    monkeypatch.setitem(fakes.PAGES, ("contracts/msa.pdf", 3), text)
    start = text.index("THE QUOTE")
    cited = dataclasses.replace(citation(), page=3, quote="THE QUOTE", start=start, end=start + 9)
    app = world_of(cited).app()
    async with app.run_test() as pilot:
        await show_one(pilot, None)
        await until(pilot, lambda: marked(app) == "THE QUOTE")
        assert "[red]one" in shown(app)
        assert not set("\x1b\x07\u202e") & set(shown(app))
