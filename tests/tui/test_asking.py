"""The question field: typing, waiting behind an answer, and what is read ahead meanwhile."""

from __future__ import annotations

from textual import events

from localrag.events import Delta, Planned
from localrag.tui.widgets.asking import Asking
from localrag.tui.widgets.question import QuestionInput
from tui.fakes import PLAN, SCRIPT, FakeAssistant, FakeWorld, Gate
from tui.screen_text import ask, see, shown, until


async def test_question_during_an_answer_waits_in_sight_and_is_asked_after_it():
    gate = Gate()
    assistant = FakeAssistant([Planned(PLAN), Delta("half"), gate], SCRIPT)
    app = FakeWorld(assistant).app()
    async with app.run_test(size=(80, 40)) as pilot:
        await ask(pilot, "first")
        await see(pilot, "half")
        await ask(pilot, "second")
        await see(pilot, "Waiting: second")
        await ask(pilot, "third")
        await see(pilot, "Waiting: third")
        assert len(assistant.asked) == 1
        gate.opened.set()
        await until(pilot, lambda: len(assistant.asked) == 3)
        assert [asked["question"] for asked in assistant.asked] == ["first", "second", "third"]
        await until(pilot, lambda: "Waiting:" not in shown(app))


async def test_escape_takes_the_waiting_question_back_before_it_stops_the_answer():
    assistant = FakeAssistant([Planned(PLAN), Delta("half"), Gate()])
    app = FakeWorld(assistant).app()
    async with app.run_test(size=(80, 40)) as pilot:
        await ask(pilot, "first")
        await see(pilot, "half")
        await ask(pilot, "second")
        await see(pilot, "Waiting: second")
        await pilot.press("escape")
        assert app.screen.query_one(QuestionInput).value == "second"
        assert app.screen.answering
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.query_one(Asking).idle)
        assert app.screen.query_one(QuestionInput).value == "second"
        assert len(assistant.asked) == 1


async def test_stopping_everything_asks_no_waiting_question_and_loses_none():
    assistant = FakeAssistant([Planned(PLAN), Delta("half"), Gate()])
    app = FakeWorld(assistant).app()
    async with app.run_test(size=(80, 40)) as pilot:
        await ask(pilot, "first")
        await see(pilot, "half")
        for question in ("second", "third"):
            await ask(pilot, question)
            await see(pilot, f"Waiting: {question}")
        await pilot.press("ctrl+c")
        await until(pilot, lambda: app.screen.query_one(Asking).idle)
        assert app.screen.query_one(QuestionInput).value == "second\nthird"
        assert len(assistant.asked) == 1


async def test_new_line_keys_write_a_line_and_enter_asks_them_all():
    world = FakeWorld()
    app = world.app()
    async with app.run_test(size=(80, 40)) as pilot:
        await see(pilot, "Ask about contracts")
        height = app.screen.query_one(QuestionInput).size.height
        await pilot.press("a", "ctrl+j", "b", "shift+enter", "c", "alt+enter", "d")
        await until(pilot, lambda: app.screen.query_one(QuestionInput).size.height == height + 3)
        await pilot.press("enter")
        await until(pilot, lambda: len(world.assistant.asked) == 1)
    assert world.assistant.asked[0]["question"] == "a\nb\nc\nd"


async def test_alt_enter_of_an_old_terminal_is_not_taken_for_enter():
    from textual._xterm_parser import XTermParser

    parser = XTermParser()
    keys = [event.key for event in (*parser.feed("\x1b\r"), *parser.feed(""))]
    assert keys == ["ctrl+j"]


async def test_up_moves_within_a_question_of_several_lines_before_it_goes_to_the_one_before():
    app = FakeWorld().app()
    async with app.run_test(size=(80, 40)) as pilot:
        await ask(pilot, "first")
        await until(pilot, lambda: not app.screen.answering)
        field = app.screen.query_one(QuestionInput)
        field.value = "two\nlines"
        await pilot.press("up")
        assert field.value == "two\nlines"
        await pilot.press("up")
        assert field.value == "first"
        await pilot.press("down")
        assert field.value == "two\nlines"


async def test_escape_leaves_the_draft():
    app = FakeWorld().app()
    async with app.run_test() as pilot:
        await see(pilot, "Ask about contracts")
        await pilot.press(*"draft", "escape", "escape")
        assert app.screen.query_one(QuestionInput).value == "draft"


async def test_up_and_down_bring_back_earlier_questions_and_the_draft():
    app = FakeWorld().app()
    async with app.run_test() as pilot:
        for question in ("first", "second"):
            await ask(pilot, question)
            await until(pilot, lambda: not app.screen.answering)
        line = app.screen.query_one(QuestionInput)
        line.value = "draft"
        seen = []
        for key in ("up", "up", "up", "down", "down"):
            await pilot.press(key)
            seen.append(line.value)
    assert seen == ["second", "first", "first", "second", "draft"]


async def test_pasted_lines_stay_lines_without_control_characters():
    app = FakeWorld().app()
    async with app.run_test() as pilot:
        await see(pilot, "Ask about contracts")
        line = app.screen.query_one(QuestionInput)
        line.post_message(events.Paste("one\r\ntwo\x1b[31m\n\nthree"))
        await until(pilot, lambda: line.value == "one\ntwo\n\nthree")


async def test_empty_question_is_not_asked():
    world = FakeWorld()
    app = world.app()
    async with app.run_test() as pilot:
        await ask(pilot, "   ")
        await pilot.pause(0.05)
    assert world.assistant.asked == []


async def test_the_likely_document_is_read_while_a_person_types_and_gives_way_to_the_question():
    world = FakeWorld()
    gate = world.assistant.reading_ahead = Gate()
    app = world.app()
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "ready")
        await pilot.press(*"How")
        await until(pilot, gate.reached.is_set)
        await pilot.press(*" long?", "enter")
        await see(pilot, "Thirty days [1], within")
        assert [what["finished"] for what in world.assistant.ahead] == [False]
        assert len(world.assistant.asked) == 1
        gate.opened.set()
        await pilot.press(*"And")
        await until(pilot, lambda: len(world.assistant.ahead) == 2)
        assert world.assistant.ahead[1]["likely"][0] == ("contracts", "contracts/msa.pdf")


async def test_an_unfinished_question_is_looked_up_in_a_pause_and_given_up_at_the_next_key():
    world = FakeWorld()
    gate = world.assistant.reading_ahead = Gate()
    app = world.app()
    async with app.run_test(size=(120, 40)) as pilot:
        await see(pilot, "ready")
        await until(pilot, lambda: bool(app.screen.known.documents))
        app.screen.query_one(QuestionInput).value = "/read how long is @0.pdf"
        await until(pilot, lambda: len(world.assistant.ahead) == 1)
        first = world.assistant.ahead[0]
        assert (first["draft"], first["mode"], first["documents"].documents) == (
            "how long is 0.pdf", "read", ("0.pdf",)
        )  # fmt: skip
        await pilot.press("x")
        await until(pilot, lambda: first.get("finished") is False)
        gate.opened.set()
        await until(pilot, lambda: len(world.assistant.ahead) == 2)
    assert world.assistant.asked == []


async def test_a_pasted_text_is_kept_whole_and_said_where_the_model_could_not_take_it_in():
    world = FakeWorld()
    app = world.app()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(app.screen.query(QuestionInput)) and bool(app.screen.known.documents))
        field = app.screen.query_one(QuestionInput)
        text = "A clause of some length.\n" * 2000
        field.post_message(events.Paste(text))
        await until(pilot, lambda: field.value == text)
        await see(pilot, "about 12,500 tokens: the model can use 10,000 at once")
        assert field.size.height == 8
        field.value = "short"
        await see(pilot, "Enter asks")


async def test_one_key_takes_a_long_paste_back_whole():
    app = FakeWorld().app()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(pilot.app.screen.query(QuestionInput)))
        field = app.screen.query_one(QuestionInput)
        field.value = "kept\n" + "A long pasted clause. " * 60
        await pilot.press("ctrl+u")
        assert field.value == "kept\n"
        await pilot.press("ctrl+u", "ctrl+u")
        assert field.value == ""


async def test_what_a_pasted_text_was_looked_up_by_is_shown_by_its_beginning():
    pasted = "A long pasted clause. " * 60
    app = FakeWorld(FakeAssistant([Planned(PLAN, pasted.replace("pasted", "posted")), Gate()])).app()
    async with app.run_test(size=(100, 40)) as pilot:
        await ask(pilot, pasted)
        await see(pilot, "Looked for: A long posted clause.")
        await see(pilot, f"… ({len(pasted.strip()):,} characters)")
        assert shown(app).count("posted") < 20
