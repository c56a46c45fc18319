"""Asking: events become what is seen; stopping, waiting and failing leave the app usable."""

from __future__ import annotations

from dataclasses import replace

import pytest

from localrag.errors import ModelError, StorageError
from localrag.events import Delta, Notice, Planned, PromptRead, Reasoning, Replaced, Surveyed, VoteProgress
from localrag.tui.widgets.asking import Asking
from localrag.types import Conflict, Figure, Filter, NotRead, Seconds, Side, Split, Usage, Working
from tui.fakes import PLAN, SCRIPT, FakeAssistant, FakeWorld, Gate, answered
from tui.screen_text import SIZES, ask, see, shown, until


@pytest.mark.parametrize("size", SIZES)
async def test_answer_comes_with_plan_reason_citations_and_cost(size):
    app = FakeWorld().app()
    async with app.run_test(size=size) as pilot:
        await ask(pilot, "How long is the notice?")
        await see(pilot, "3.2 s · first word after 1.9 s · 1,204 tokens read (900 reused), 64 written · fake-1b")
        screen = shown(app)
        assert "❯ How long is the notice?" in screen
        assert "Plan: retrieve · a short question over 2 documents" in screen
        assert "Thirty days [1], within a term of three years [2]." in screen
        assert "[1] contracts/msa.pdf, p. 12: “Either party may end" in screen


async def test_reading_shows_a_bar_with_the_seconds_left():
    gate = Gate()
    script = [Planned(PLAN), PromptRead(0, 1000), gate, PromptRead(500, 1000), Gate()]
    world = FakeWorld(FakeAssistant(script))
    app = world.app()
    async with app.run_test() as pilot:
        await ask(pilot)
        await see(pilot, "0 of 1,000 tokens")
        assert "left" not in shown(app)
        world.now = 6.0
        gate.opened.set()
        await see(pilot, "Reading ██████████░░░░░░░░░░ 50% · 500 of 1,000 tokens · about 6 s left")


async def test_survey_shows_how_many_documents_were_asked():
    app = FakeWorld(FakeAssistant([Planned(PLAN), Surveyed(3, 12, {"document": "lease.pdf"}), Gate()])).app()
    async with app.run_test() as pilot:
        await ask(pilot)
        await see(pilot, "3 of 12 documents lease.pdf")


async def test_words_are_seen_before_the_answer_is_whole_and_replaced_by_it():
    gate = Gate()
    app = FakeWorld(FakeAssistant([Planned(PLAN), Delta("Perhaps "), Delta("forty"), gate, answered("Thirty.")])).app()
    async with app.run_test() as pilot:
        await ask(pilot)
        await see(pilot, "Perhaps forty")
        gate.opened.set()
        await see(pilot, "Thirty.")
        assert "Perhaps" not in shown(app)


async def test_what_a_follow_up_was_looked_for_by_is_shown_before_the_answer_and_after_it():
    whole = "How much notice ends\x1b[31m the lease?"
    gate = Gate()
    app = FakeWorld(FakeAssistant([Planned(PLAN), Planned(PLAN, whole), gate, answered(looked_for=whole)])).app()
    async with app.run_test(size=(120, 40)) as pilot:
        await ask(pilot)
        await see(pilot, "Looked for: How much notice ends the lease?")
        gate.opened.set()
        await see(pilot, "Thirty days [1], within")
        assert shown(app).count("Looked for: How much notice ends the lease?") == 1


async def test_a_question_that_was_looked_for_as_it_stands_is_not_repeated():
    app = FakeWorld(FakeAssistant([Planned(PLAN), answered(looked_for="How much notice?")])).app()
    async with app.run_test(size=(120, 40)) as pilot:
        await ask(pilot, "How much notice?")
        await see(pilot, "Thirty days [1], within")
        assert "Looked for" not in shown(app)


async def test_what_limits_an_answer_is_said():
    final = answered(
        "Something.",
        found=False,
        citations=(),
        citations_dropped=2,
        unsupported=("Renewal is yearly.",),
        not_read=(NotRead("contracts", "big.pdf", "it does not fit", 7),),
    )
    app = FakeWorld(FakeAssistant([Planned(PLAN), Notice("two documents left out"), final])).app()
    async with app.run_test(size=(100, 40)) as pilot:
        await ask(pilot)
        await see(pilot, "! two documents left out")
        await see(pilot, "! The documents do not say.")
        await see(pilot, "! 2 quotes left out: the words were not found in the documents.")
        await see(pilot, "⚠ No source for: “Renewal is yearly.”")
        await see(pilot, "! Not read: big.pdf, p. 7: it does not fit")


async def test_a_calculation_is_shown_with_its_working_between_answer_and_citations():
    worked = Working("5,363 / 32,765", "16.37 %", 16.37, (Figure("5,363", "p. 60", 1), Figure("32,765", "p. 60", 1)))
    app = FakeWorld(FakeAssistant([answered("The share is 16.37 % [1].", workings=(worked,))])).app()
    async with app.run_test(size=(100, 40)) as pilot:
        await ask(pilot)
        await see(pilot, "5,363 / 32,765 = 16.37 %, from p. 60")
        screen = shown(app)
        assert screen.index("The share is") < screen.index("5,363 / 32,765") < screen.index("[1] contracts/msa.pdf")


async def test_answer_counted_by_code_says_that_no_model_was_asked():
    app = FakeWorld(FakeAssistant([answered("Twice.", tokens=Usage(), seconds=Seconds(), model=None)])).app()
    async with app.run_test() as pilot:
        await ask(pilot)
        await see(pilot, "0.0 s · no model was asked")


# --- stopping -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["escape", "ctrl+c"])
async def test_stopping_keeps_what_was_said_and_the_next_question_is_answered(key):
    app = FakeWorld(FakeAssistant([Planned(PLAN), Delta("As far as I got"), Gate()], SCRIPT)).app()
    async with app.run_test(size=(80, 40)) as pilot:
        await ask(pilot, "first")
        await see(pilot, "As far as I got")
        await pilot.press(key)
        await see(pilot, "! This answer is not complete")
        assert "As far as I got" in shown(app)
        assert "The documents do not say" not in shown(app)
        await ask(pilot, "second")
        await see(pilot, "Thirty days [1], within")


class DeafGate(Gate):
    """A core that does not notice that it was stopped."""

    def wait(self, stop):
        return super().wait(lambda: False)


async def test_stop_is_shown_at_once_even_if_the_core_is_deaf_and_the_next_question_waits_for_it():
    deaf, held = DeafGate(), DeafGate()
    late = [deaf, Delta("too late"), held, answered("late", citations=())]
    assistant = FakeAssistant([Planned(PLAN), *late], SCRIPT)
    app = FakeWorld(assistant).app()
    async with app.run_test(size=(80, 40)) as pilot:
        await ask(pilot, "first")
        await until(pilot, deaf.reached.is_set)
        await pilot.press("escape")
        await see(pilot, "Stopped.")
        await ask(pilot, "second")
        await see(pilot, "Waiting for the answer before this one to stop")
        deaf.opened.set()
        await until(pilot, held.reached.is_set)
        await pilot.pause(0.1)
        assert "too late" not in shown(app)
        assert len(assistant.asked) == 1
        held.opened.set()
        await see(pilot, "Thirty days [1], within")


async def test_ctrl_c_twice_quits_when_nothing_runs():
    app = FakeWorld().app()
    async with app.run_test(notifications=True) as pilot:
        await see(pilot, "Ask about contracts")
        await pilot.press("ctrl+c")
        await see(pilot, "Press Ctrl-C again to quit.")
        assert app._exit is False
        await pilot.press("ctrl+c")
        assert app._exit is True


async def test_quitting_stops_the_answer():
    gate = Gate()
    assistant = FakeAssistant([Planned(PLAN), gate])
    app = FakeWorld(assistant).app()
    async with app.run_test() as pilot:
        await ask(pilot)
        await until(pilot, gate.reached.is_set)
        await pilot.press("ctrl+q")
    assert app.shut_down(5)


# --- the model ----------------------------------------------------------------------------------------------


async def test_question_before_the_model_is_ready_waits_visibly():
    loading = Gate()
    assistant = FakeAssistant(SCRIPT, loading=loading)
    app = FakeWorld(assistant).app()
    async with app.run_test(size=(80, 40)) as pilot:
        await see(pilot, "model loading …")
        await ask(pilot)
        await see(pilot, "The model is still loading; the question is asked as soon as it is there.")
        assert assistant.asked == []
        loading.opened.set()
        await see(pilot, "Thirty days [1], within")
        await see(pilot, "fake-1b ready")


async def test_question_taken_back_before_the_model_is_ready_is_never_asked():
    loading = Gate()
    assistant = FakeAssistant(SCRIPT, loading=loading)
    app = FakeWorld(assistant).app()
    async with app.run_test() as pilot:
        await ask(pilot)
        await see(pilot, "still loading")
        await pilot.press("escape")
        await see(pilot, "Stopped.")
        loading.opened.set()
        await see(pilot, "fake-1b ready")
        await pilot.pause(0.05)
        assert assistant.asked == []


async def test_model_that_fails_to_load_is_told_with_its_hint_in_the_conversation():
    app = FakeWorld(FakeAssistant(missing=ModelError("it needs 9 GB", "Choose a smaller one."))).app()
    async with app.run_test() as pilot:
        await see(pilot, "Error: it needs 9 GB")
        await see(pilot, "What to do: Choose a smaller one.")
        await see(pilot, "no model")


# --- errors -------------------------------------------------------------------------------------------------


async def test_error_of_the_core_is_shown_with_its_hint_and_the_app_goes_on():
    app = FakeWorld(FakeAssistant([ModelError("the question is too long", "Ask less at once.")], SCRIPT)).app()
    async with app.run_test(size=(80, 40)) as pilot:
        await ask(pilot)
        await see(pilot, "Error: the question is too long")
        await see(pilot, "What to do: Ask less at once.")
        await ask(pilot, "again")
        await see(pilot, "Thirty days [1], within")


async def test_unforeseen_exception_is_called_internal_by_its_type_and_the_app_goes_on():
    app = FakeWorld(FakeAssistant([Planned(PLAN), Delta("so far"), ZeroDivisionError("oops")], SCRIPT)).app()
    async with app.run_test(size=(80, 40)) as pilot:
        await ask(pilot)
        await see(pilot, "internal error: ZeroDivisionError: oops")
        assert "so far" in shown(app)
        await ask(pilot, "again")
        await see(pilot, "Thirty days [1], within")


async def test_library_that_cannot_be_opened_is_told():
    world = FakeWorld()
    world.libraries["contracts"].broken = StorageError("the library is unreadable", "Read the folder again.")
    app = world.app()
    async with app.run_test() as pilot:
        await see(pilot, "Error: the library is unreadable")
        await see(pilot, "What to do: Read the folder again.")


# --- conversations ------------------------------------------------------------------------------------------


async def test_history_goes_with_the_next_question_and_every_turn_is_saved():
    world = FakeWorld()
    app = world.app()
    async with app.run_test() as pilot:
        for number, question in enumerate(["first", "second"], 1):
            await ask(pilot, question)
            await until(pilot, lambda: bool(world.store.sessions) and len(world.store.sessions[0]) == number)  # noqa: B023
    assert world.assistant.asked[0]["history"] == []
    assert [turn.question for turn in world.assistant.asked[1]["history"]] == ["first"]
    assert [answer.question for answer in world.store.sessions[0]] == ["first", "second"]


async def test_new_conversation_is_empty_and_forgets_the_old_one():
    world = FakeWorld()
    app = world.app()
    async with app.run_test() as pilot:
        await ask(pilot, "first")
        await until(pilot, lambda: bool(world.store.sessions) and bool(world.store.sessions[0]))
        await pilot.press("ctrl+l")
        await see(pilot, "Ask about contracts")
        assert "first" not in shown(app)
        await ask(pilot, "second")
        await until(pilot, lambda: len(world.store.sessions) == 2 and bool(world.store.sessions[1]))
    assert world.assistant.asked[1]["history"] == []


async def test_new_conversation_during_an_answer_stops_it_and_stays_empty():
    app = FakeWorld(FakeAssistant([Planned(PLAN), Delta("half"), Gate()])).app()
    async with app.run_test() as pilot:
        await ask(pilot, "first")
        await see(pilot, "half")
        await pilot.press("ctrl+l")
        await see(pilot, "Ask about contracts")
        await until(pilot, lambda: app.screen.query_one(Asking).idle)
        assert "half" not in shown(app)


async def test_disk_that_is_full_costs_the_saving_and_not_the_answer():
    world = FakeWorld()
    world.store.full = StorageError("the disk is full", "Make room.")
    app = world.app()
    async with app.run_test(size=(80, 40)) as pilot:
        await ask(pilot)
        await see(pilot, "Error: the disk is full")
        assert "Thirty days [1], within" in shown(app)


async def test_scope_of_the_command_line_reaches_the_core():
    world, only = FakeWorld(), Filter(("leases/*",), since="2024")
    app = world.app(libraries=["contracts"], only=only, mode="read")
    async with app.run_test(size=(160, 40)) as pilot:
        await see(pilot, "only documents that match 'leases/*', are dated 2024 or later")
        await ask(pilot)
        await until(pilot, lambda: bool(world.assistant.asked))
    asked = world.assistant.asked[0]
    assert (asked["libraries"], asked["documents"], asked["mode"]) == (("contracts",), only, "read")


# --- what is shown beside the answer -----------------------------------------------------------------------


async def test_what_was_looked_at_and_what_fills_the_window_is_shown():
    context = {"rules": 80, "documents": 900, "history": 0, "question": 20, "free": 3000}
    script = [Planned(PLAN), answered("Thirty.", looked_at="8 passages of 2 documents.", context=context)]
    app = FakeWorld(FakeAssistant(script)).app()
    async with app.run_test(size=(120, 40)) as pilot:
        await ask(pilot)
        await see(
            pilot, "8 passages of 2 documents. Context: 1,000 of 4,000 tokens (rules 80, documents 900, question 20)."
        )


async def test_the_instructions_of_a_library_are_shown_before_the_first_question():
    world = FakeWorld()
    world.libraries["contracts"].instructions = "Answer in German."
    app = world.app()
    async with app.run_test() as pilot:
        await see(pilot, "Answers are worded as you said: Answer in German.")


async def test_a_thought_is_hidden_until_it_is_asked_for():
    gate = Gate()
    script = [
        Planned(PLAN),
        Reasoning("Hm, thirty"),
        Reasoning(" days."),
        gate,
        answered("Thirty.", reasoning="Hm, thirty days."),
    ]
    app = FakeWorld(FakeAssistant(script)).app()
    async with app.run_test() as pilot:
        await ask(pilot)
        await see(pilot, "Thinking … 3 words")
        assert "Hm, thirty" not in shown(app)
        await pilot.press("f5")
        await see(pilot, "Reasoning: Hm, thirty days.")
        gate.opened.set()
        await see(pilot, "Thirty.")
        assert "Reasoning: Hm, thirty days." in shown(app)
        await pilot.press("f5")
        await until(pilot, lambda: "Hm, thirty" not in shown(app))


async def test_without_a_thought_the_key_says_so():
    app = FakeWorld().app()
    async with app.run_test(notifications=True) as pilot:
        await see(pilot, "2 documents")
        await pilot.press("f5")
        await see(pilot, "Nothing was thought.")


async def test_what_is_written_again_does_not_stand_behind_what_was_written_first():
    gate = Gate()
    script = [
        Planned(PLAN),
        Delta("Forty."),
        Replaced("The number 40 is not in the passages."),
        Delta("Thirty"),
        gate,
        answered(),
    ]
    app = FakeWorld(FakeAssistant(script)).app()
    async with app.run_test() as pilot:
        await ask(pilot)
        await see(pilot, "Thirty")
        assert "Forty" not in shown(app)
        gate.opened.set()
        await see(pilot, "3.2 s")


async def test_a_vote_shows_how_far_it_is_and_how_it_was_divided():
    gate = Gate()
    split = Split((("Thirty.", 3), ("Forty.", 1)))
    app = FakeWorld(
        FakeAssistant([Planned(PLAN), Delta("Thirty."), VoteProgress(1, 5), gate, answered(split=split)])
    ).app()
    async with app.run_test(size=(110, 30)) as pilot:
        await ask(pilot)
        await see(pilot, "1 of 5 tries")
        gate.opened.set()
        await see(pilot, "3 of 4 tries agree; 1 said: Forty.")


async def test_where_documents_differ_stands_right_below_the_answer():
    later = Side("30 days", "contracts/amendment.pdf", "p. 1", "2025-09-08", 2)
    earlier = Side("45 days", "contracts/msa.pdf", "p. 12", "2025-02-03", 1)
    done = answered("Within 45 days [1].")
    done = replace(
        done, answer=replace(done.answer, conflicts=(Conflict("Invoices are paid within", (later, earlier)),))
    )
    app = FakeWorld(FakeAssistant([Planned(PLAN), done])).app()
    async with app.run_test(size=(160, 48)) as pilot:
        await ask(pilot)
        await see(pilot, "! The documents differ, the later first. Invoices are paid within: “30 days”")
