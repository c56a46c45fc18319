"""Answering once more by another plan, and what stands below the answers of a long conversation."""

from __future__ import annotations

from localrag.errors import ModelError
from localrag.events import Delta, Planned
from localrag.tui.widgets.asking import Asking
from localrag.types import Cost, NotRead, Plan
from tui.fakes import SCRIPT, FakeAssistant, FakeWorld, Gate, answered
from tui.screen_text import ask, see, shown, until

COSTS = (
    Cost("retrieve", 1100, 4.0), Cost("read", 5160, 19.0), Cost("survey", 12_000, 130.0),
    Cost("exact", 0, 0.0, "code can only count, find and calculate"),
)  # fmt: skip
PLAN = Plan("retrieve", "a look-up", {"documents": 3}, COSTS)
NOTHING = answered("The documents do not say.", found=False, citations=(), plan=PLAN)
SIZE = (120, 60)


def unread(*numbers: int) -> tuple[NotRead, ...]:
    return tuple(NotRead("contracts", f"scan{number}.pdf", "no text on the page", 1) for number in numbers)


async def settled(pilot, assistant: FakeAssistant, asked: int) -> None:
    await until(pilot, lambda: len(assistant.asked) == asked and pilot.app.screen.query_one(Asking).idle)


async def test_an_answer_that_is_none_says_what_the_next_plan_costs_and_one_key_takes_it():
    assistant = FakeAssistant([Planned(PLAN), NOTHING], SCRIPT)
    app = FakeWorld(assistant).app()
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "How long?")
        await see(pilot, "F9 answers again by reading whole (about 5,160 tokens, about 19 s).")
        await pilot.press("f9")
        await settled(pilot, assistant, 2)
        await see(pilot, "↻ Again, by reading whole")
        screen = shown(app)
        assert screen.count("❯ How long?") == 1
        assert "The documents do not say." in screen and "Thirty days [1], within" in screen
    assert [(asked["question"], asked["mode"]) for asked in assistant.asked] == [
        ("How long?", "auto"), ("How long?", "read"),
    ]  # fmt: skip


async def test_that_nothing_was_found_is_said_of_the_passages_that_were_read_and_not_of_more():
    words = "! Only passages of the documents were read: what these do not say may stand elsewhere."
    whole = answered("The documents do not say.", found=False, citations=(), plan=Plan("read", "short"))
    app = FakeWorld(FakeAssistant([NOTHING], [whole], SCRIPT)).app()
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "first")
        await see(pilot, words)
        await ask(pilot, "second")
        await ask(pilot, "third")
        await see(pilot, "Thirty days [1], within")
        assert shown(app).count(words) == 1


async def test_every_plan_is_tried_once_and_then_it_is_said_that_none_is_left():
    read = answered("No.", found=False, citations=(), plan=Plan("read", "you asked", PLAN.signals, COSTS))
    survey = answered("No.", found=False, citations=(), plan=Plan("survey", "you asked", PLAN.signals, COSTS))
    assistant = FakeAssistant([NOTHING], [read], [survey])
    app = FakeWorld(assistant).app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await ask(pilot)
        for asked in (1, 2):
            await settled(pilot, assistant, asked)
            await pilot.press("f9")
        await settled(pilot, assistant, 3)
        await pilot.press("f9")
        await see(pilot, "There is no other way to look this up.")
    assert [asked["mode"] for asked in assistant.asked] == ["auto", "read", "survey"]


async def test_an_answer_by_another_plan_takes_the_place_of_the_first_in_what_follows():
    assistant = FakeAssistant([answered("Forty.", plan=PLAN)], [answered("Thirty.", plan=PLAN)], SCRIPT)
    world = FakeWorld(assistant)
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "How long?")
        await settled(pilot, assistant, 1)
        await pilot.press("f9")
        await settled(pilot, assistant, 2)
        await ask(pilot, "And then?")
        await settled(pilot, assistant, 3)
    assert assistant.asked[1]["history"] == []
    assert [turn.answer for turn in assistant.asked[2]["history"]] == ["Thirty."]


async def test_an_error_after_the_plan_offers_another_plan():
    assistant = FakeAssistant([Planned(PLAN), Delta("so far"), ModelError("it does not fit", "Ask less.")], SCRIPT)
    app = FakeWorld(assistant).app()
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot)
        await see(pilot, "Error: it does not fit")
        await see(pilot, "F9 answers again by reading whole")
        await pilot.press("f9")
        await settled(pilot, assistant, 2)


async def test_the_plan_may_be_named_and_each_says_what_it_takes():
    assistant = FakeAssistant([answered("Forty.", plan=PLAN)], SCRIPT)
    app = FakeWorld(assistant).app()
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot)
        await settled(pilot, assistant, 1)
        await pilot.press(*"/again ")
        await see(pilot, "asking each document (about 12,000 tokens, about 2 min)")
        assert "not here: code can only count, find and calculate" in shown(app)
        await pilot.press(*"sur", "enter")
        await settled(pilot, assistant, 2)
    assert assistant.asked[1]["mode"] == "survey"


async def test_without_a_question_or_while_an_answer_comes_the_key_says_so():
    app = FakeWorld(FakeAssistant([Planned(PLAN), Gate()])).app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await see(pilot, "2 documents")
        await pilot.press("f9")
        await see(pilot, "There is no question yet.")
        await ask(pilot)
        await until(pilot, lambda: app.screen.answering)
        await pilot.press("f9")
        await see(pilot, "The answer is still coming.")


async def test_what_was_not_read_is_said_once_and_then_counted():
    left = unread(1, 2)
    script = [answered("Thirty.", citations=(), not_read=left)]
    app = FakeWorld(FakeAssistant(script)).app()
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "first")
        await see(pilot, "! Not read: scan2.pdf, p. 1: no text on the page")
        await ask(pilot, "second")
        await see(pilot, "! As before, 2 parts of the documents not read (Ctrl+N shows all)")
        assert shown(app).count("scan1.pdf") == 1
        await pilot.press("ctrl+n")
        await until(pilot, lambda: shown(app).count("scan1.pdf") == 2)
        await pilot.press("ctrl+n")
        await until(pilot, lambda: shown(app).count("scan1.pdf") == 1)


async def test_of_many_lines_the_first_are_shown_and_the_rest_is_counted():
    app = FakeWorld(FakeAssistant([answered("Thirty.", citations=(), not_read=unread(*range(20)))])).app()
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot)
        await see(pilot, "! 16 more lines like these (Ctrl+N shows all)")
        assert "scan3.pdf" in shown(app) and "scan4.pdf" not in shown(app)


async def test_a_new_conversation_says_again_what_was_not_read():
    app = FakeWorld(FakeAssistant([answered("Thirty.", citations=(), not_read=unread(1))])).app()
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot)
        await see(pilot, "scan1.pdf")
        await pilot.press("ctrl+l")
        await see(pilot, "Ask about contracts")
        await ask(pilot)
        await see(pilot, "! Not read: scan1.pdf")


async def test_while_the_answer_is_written_its_tokens_and_their_pace_are_shown():
    first, second = Gate(), Gate()
    world = FakeWorld(FakeAssistant([Planned(PLAN), Delta("Thirty"), first, Delta(" days"), Delta("."), second]))
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot)
        await see(pilot, "Writing · 1 token")
        world.now = 2.0
        first.opened.set()
        await see(pilot, "Writing · 3 tokens · 1.0 a second")


async def test_a_long_pasted_question_is_asked_whole_and_shown_by_its_beginning():
    assistant = FakeAssistant(SCRIPT)
    app = FakeWorld(assistant).app()
    text = "clause " * 500
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, text)
        await see(pilot, "… (3,499 characters)")
        await until(pilot, lambda: len(assistant.asked) == 1)
    assert assistant.asked[0]["question"] == text.strip()
