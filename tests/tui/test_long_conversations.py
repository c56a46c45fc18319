"""A long conversation opens at once: its newest answers are drawn, the others when they are come to."""

from __future__ import annotations

from dataclasses import replace

from localrag.sessions import SavedTurn
from localrag.tui.resuming import ready
from localrag.tui.widgets.citation import CitationLine
from localrag.tui.widgets.conversation import Conversation
from localrag.tui.widgets.turn import TurnView
from localrag.types import Answer, NotRead
from tui import surveys
from tui.fakes import FakeWorld, answered
from tui.screen_text import lines, marked, see, shown, until

LONG = 60
SIZE = (100, 30)


def turn(number: int, answer: Answer | None = None) -> SavedTurn:
    question = f"Question {number}?"
    return SavedTurn(question, "", replace(answer or answered(f"Answer {number} [1] [2].").answer, question=question))


def long_app(*turns: SavedTurn, at: int = 0, length: int = LONG):
    """The app over a conversation that begins with these turns and goes on with others."""
    world = FakeWorld()
    session = world.store.new(("contracts",))
    rest = (turn(number) for number in range(len(turns) + 1, length + 1))
    world.store.kept[session.id] = replace(session, title="long", turns=(*turns, *rest))
    return world.app(resumed=ready(world.core(), world.store.load(session.id), at))


def drawn(app) -> int:
    return len(app.screen.query(TurnView))


async def settled(pilot) -> None:
    await until(pilot, lambda: not pilot.app.screen.query_one(Conversation)._drawing)


def row_of(app, words: str) -> int:
    return next(at for at, line in enumerate(lines(app)) if words in line)


async def test_of_a_long_conversation_the_newest_answers_are_drawn_and_no_others():
    app = long_app()
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "Answer 60 [1] [2].")
        await settled(pilot)
        assert drawn(app) < 12
        assert app.screen.query_one(Conversation).scroll_y == app.screen.query_one(Conversation).max_scroll_y


async def test_scrolling_up_draws_what_was_said_before_and_nothing_jumps():
    app = long_app()
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "Answer 60 [1] [2].")
        await settled(pilot)
        for _ in range(3):
            await pilot.press("pageup")
            await until(pilot, lambda: "Answer" in shown(app))
            first = next(line for line in lines(app) if "❯ Question" in line)
            row = row_of(app, first)
            await settled(pilot)
            assert row_of(app, first) == row
        assert "Answer 60 [1]" not in shown(app)
        assert 8 < drawn(app) < 30


async def test_at_the_top_stands_the_first_answer():
    app = long_app()
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "Answer 60 [1] [2].")
        await settled(pilot)
        app.screen.query_one(Conversation).scroll_home(animate=False)
        await see(pilot, "Answer 1 [1] [2].")
        await settled(pilot)
        assert app.screen.query_one(Conversation).scroll_y == 0
        assert drawn(app) < 30


async def test_a_turn_that_is_gone_to_is_drawn_and_stays_in_sight():
    for at in (30, 58):
        app = long_app(at=at)
        async with app.run_test(size=SIZE) as pilot:
            await see(pilot, f"Answer {at} [1] [2].")
            await settled(pilot)
            assert f"❯ Question {at}? Plan: retrieve" in shown(app)
            assert drawn(app) < 30


async def test_citations_are_counted_over_answers_that_are_not_drawn_too():
    app = long_app()
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "Answer 60 [1] [2].")
        await settled(pilot)
        await pilot.press("f4")
        await see(pilot, "citation 119 of 120")


async def test_going_back_from_citation_to_citation_reaches_answers_that_were_not_drawn():
    app = long_app(length=4)
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "Answer 4 [1] [2].")
        await settled(pilot)
        for back in range(8):
            await pilot.press("f3")
            await until(pilot, lambda: f"citation {8 - back} of 8" in shown(app))  # noqa: B023
            await settled(pilot)
        assert marked(app)


async def test_a_branch_ends_with_the_answer_that_the_keyboard_is_in_though_others_are_not_drawn():
    app = long_app()
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "Answer 60 [1] [2].")
        await settled(pilot)
        lines_ = list(app.screen.query(CitationLine))
        assert app.screen.query_one(Conversation).answered(lines_[-3]) == 59


async def test_the_table_of_an_answer_that_is_not_drawn_is_shown():
    survey = next(event.answer for event in surveys.SCRIPT if hasattr(event, "answer"))
    app = long_app(turn(1, survey))
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "Answer 60 [1] [2].")
        await pilot.press("ctrl+t")
        await see(pilot, "4 rows")


async def test_what_was_not_read_is_counted_as_said_before_though_that_answer_is_not_drawn():
    unread = answered("Thirty.", not_read=(NotRead("contracts", "scan.pdf", "no text on the page", 1),)).answer
    app = long_app(*(turn(number, unread) for number in range(1, LONG + 1)))
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "As before, 1 part of the documents not read")
        assert "scan.pdf" not in shown(app)
        await settled(pilot)
        app.screen.query_one(Conversation).scroll_home(animate=False)
        await see(pilot, "! Not read: scan.pdf, p. 1: no text on the page")
