"""Asking in the app: streaming, stopping, waiting, another plan, commands, and what is shown with an answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_core import NOTICE, PLAN, SCRIPT, TERM, FakeAssistant, FakeLibrary, FakeWorld, Gate, answered, citation
from textual import events
from textual.command import CommandPalette
from waiting import PATIENCE

from localrag.errors import ModelError, StorageError
from localrag.events import Delta, Notice, Planned, PromptRead, Reasoning, Replaced, Writing
from localrag.grounding import annotations as marks
from localrag.sessions import SavedTurn, Session
from localrag.tui.widgets import asking
from localrag.tui.widgets.asking import QuestionInput
from localrag.types import Conflict, Cost, Figure, Filter, NotRead, Plan, Seconds, Side, Usage, Working
from tui.screen_text import ask, idle, open_chat, see, shown, until

COSTS = (
    Cost("retrieve", 1100, 4.0),
    Cost("read", 5160, 19.0),
    Cost("survey", 12_000, 130.0),
    Cost("exact", 0, 0.0, "code can only count, find and calculate"),
)
PRICED = Plan("retrieve", "a look-up", {"documents": 3}, COSTS)
NOTHING = answered("The documents do not say.", found=False, citations=(), plan=PRICED)
SIZE = (120, 60)


def field(app) -> QuestionInput:
    return app.screen.query_one(QuestionInput)


# --- the answer ---------------------------------------------------------------------------------------------


async def test_progress_is_shown_and_the_checked_answer_replaces_the_stream():
    first, second = Gate(), Gate()
    script = [
        Planned(PLAN),
        Planned(PLAN, "How much notice ends the lease?"),
        PromptRead(0, 1204),
        first,
        PromptRead(602, 1204),
        Delta("Perhaps"),
        second,
        Delta(" forty"),
        answered("Thirty [1]."),
    ]
    world = FakeWorld(FakeAssistant(script))
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot)
        await see(pilot, "0 of 1,204 tokens")
        await see(pilot, "Looked for: How much notice ends the lease?")
        world.now = 6.0
        first.opened.set()
        await see(pilot, "Perhaps")
        await see(pilot, "Writing · 1 token")
        second.opened.set()
        await see(pilot, "Thirty [1].")
        await see(pilot, "3.2 s · first word after 1.9 s · 1,204 tokens read (900 reused), 64 written · fake-1b")
        assert "Perhaps" not in shown(app)


async def test_what_comes_nearest_is_shown_as_no_answer_with_its_source():
    near = (citation(marker=0), citation(TERM, 2, 0))
    final = answered("Nothing.", found=False, citations=(), nearest=near, withheld="a number has a mark")
    gate = Gate()
    app = FakeWorld(FakeAssistant([Planned(PLAN), Writing(3), gate, final])).app()
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot)
        await see(pilot, "Writing · 3 tokens, shown once they are checked")
        gate.opened.set()
        await see(pilot, "Withheld in strict mode: a number has a mark.")
        screen = shown(app)
        assert screen.index(marks.NEAREST) < screen.index(f"msa.pdf, p. 12: “{NOTICE[:20]}") and "[0]" not in screen
        await pilot.press("tab")
        await see(pilot, "Earlier clause, of no interest here.")


async def test_everything_that_limits_an_answer_is_shown():
    later = Side("30 days", "contracts/amendment.pdf", "p. 1", "2025-09-08", 2)
    earlier = Side("45 days", "contracts/msa.pdf", "p. 12", "2025-02-03", 1)
    worked = Working("5,363 / 32,765", "16.37 %", 16.37, (Figure("5,363", "p. 60", 1),))
    final = answered(
        "Something [1].",
        found=False,
        citations_dropped=2,
        unsupported=("Renewal is yearly.",),
        not_read=(NotRead("contracts", "big.pdf", "it does not fit", 7),),
        workings=(worked,),
        conflicts=(Conflict("Invoices are paid within", (later, earlier)),),
        looked_at="8 passages of 2 documents.",
        context={"rules": 80, "documents": 900, "history": 0, "free": 3000},
    )
    script = [Planned(PLAN), Notice("two documents left out"), Delta("Forty."), Replaced("wrong")]
    app = FakeWorld(
        FakeAssistant([*script, final], [answered("Twice.", tokens=Usage(), seconds=Seconds(), model=None)])
    ).app()
    async with app.run_test(size=(140, 70)) as pilot:
        await ask(pilot)
        await see(pilot, "Not read: big.pdf, p. 7: it does not fit")
        screen = shown(app)
        for words in (
            "! two documents left out",
            "! The documents do not say.",
            "! Only passages were read.",
            "! 2 quotes left out",
            "⚠ No source for: “Renewal is yearly.”",
            "5,363 / 32,765 = 16.37 %, from p. 60",
            "! The documents differ, the later first.",
            "8 passages of 2 documents. Context: 980 of 3,980 tokens",
        ):
            assert words in screen
        assert screen.index("Something") < screen.index("5,363 / 32,765") < screen.index("[1] contracts/msa.pdf")
        await ask(pilot, "How often?")
        await see(pilot, "0.0 s · no model used")


async def test_many_unread_parts_and_the_reasoning_are_folded():
    unread = tuple(NotRead("contracts", f"scan{number}.pdf", "no text", 1) for number in range(20))
    gate = Gate()
    script = [
        Planned(PLAN),
        Reasoning("Hm, thirty"),
        gate,
        answered("Thirty.", reasoning="Hm, thirty.", not_read=unread),
    ]
    app = FakeWorld(FakeAssistant(script)).app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await open_chat(pilot)
        await pilot.press("f5")
        await see(pilot, "Nothing is folded.")
        await ask(pilot)
        await see(pilot, "Reasoning … 2 words")
        gate.opened.set()
        await see(pilot, "! 20 parts of the documents not read")
        assert "scan3.pdf" not in shown(app) and "Hm, thirty" not in shown(app)
        await pilot.press("f5")
        await see(pilot, "scan19.pdf")
        await see(pilot, "Hm, thirty.")
        await pilot.press("f5")
        await until(pilot, lambda: "scan19.pdf" not in shown(app) and "Hm, thirty." not in shown(app))


async def test_errors_are_shown_with_a_hint_and_the_next_question_is_answered():
    script = [Planned(PRICED), Delta("so far"), ZeroDivisionError("oops")]
    app = FakeWorld(FakeAssistant([ModelError("too long", "Ask less at once.")], script, SCRIPT)).app()
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot)
        await see(pilot, "Error: too long")
        await see(pilot, "What to do: Ask less at once.")
        await ask(pilot, "second")
        await see(pilot, "internal error: ZeroDivisionError: oops")
        await see(pilot, "F9 answers again by reading whole")
        await see(pilot, "so far")
        await ask(pilot, "third")
        await see(pilot, "Thirty days [1], within")


async def test_a_broken_library_a_full_disk_and_a_model_that_fails_are_shown():
    world = FakeWorld(FakeAssistant(missing=ModelError("it needs 9 GB", "Choose a smaller one.")))
    world.store.full = StorageError("the disk is full", "Make room.")
    world.libraries["contracts"].broken = StorageError("the library is unreadable", "Read the folder again.")
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "Error: it needs 9 GB")
        await see(pilot, "Error: the library is unreadable")
        await ask(pilot)
        await see(pilot, "Error: the disk is full")
        await see(pilot, "Thirty days [1], within")
        await see(pilot, "no model")


# --- stopping and waiting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["escape", "ctrl+c"])
async def test_stopping_keeps_what_was_written_and_the_question_typed_meanwhile(key):
    assistant = FakeAssistant([Planned(PLAN), Delta("half"), Gate()], SCRIPT)
    app = FakeWorld(assistant).app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await ask(pilot, "first")
        await see(pilot, "half")
        await ask(pilot, "second")
        await see(pilot, "The answer is still coming.")
        await pilot.press(key)
        await see(pilot, "! This answer is not complete")
        await see(pilot, "half")
        assert field(app).value == "second" and len(assistant.asked) == 1
        await pilot.press("enter")
        await see(pilot, "Thirty days [1], within")


class DeafGate(Gate):
    """An engine that does not notice that it was stopped."""

    def wait(self, stop):
        return super().wait(lambda: False)


async def test_a_stop_is_shown_at_once_even_if_the_engine_is_slow():
    deaf, held = DeafGate(), DeafGate()
    late = [deaf, Delta("too late"), held, answered("late", citations=())]
    assistant = FakeAssistant([Planned(PLAN), *late], SCRIPT)
    app = FakeWorld(assistant).app()
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "first")
        await until(pilot, deaf.reached.is_set)
        await pilot.press("escape")
        await see(pilot, "Stopped.")
        await ask(pilot, "second")
        await see(pilot, "Waiting for the previous answer")
        deaf.opened.set()
        await until(pilot, held.reached.is_set)
        await pilot.pause(0.1)
        assert "too late" not in shown(app) and len(assistant.asked) == 1
        held.opened.set()
        await see(pilot, "Thirty days [1], within")


async def test_a_question_before_the_model_is_loaded_waits_and_can_be_taken_back():
    loading = Gate()
    assistant = FakeAssistant(SCRIPT, loading=loading)
    app = FakeWorld(assistant).app()
    async with app.run_test(size=SIZE) as pilot:
        await see(pilot, "loading model …")
        await ask(pilot, "first")
        await see(pilot, "The model is loading")
        await pilot.press("escape")
        await see(pilot, "Stopped.")
        await ask(pilot, "second")
        assert assistant.asked == []
        loading.opened.set()
        await see(pilot, "Thirty days [1], within")
        await see(pilot, "fake-1b ready")
    assert [asked["question"] for asked in assistant.asked] == ["second"]


async def test_quitting_stops_the_answer_and_ends_the_threads():
    gate = Gate()
    app = FakeWorld(FakeAssistant([Planned(PLAN), gate])).app()
    async with app.run_test() as pilot:
        await ask(pilot)
        await until(pilot, gate.reached.is_set)
        app.app_suspend_signal.publish(app)
        app.app_resume_signal.publish(app)
        await pilot.pause()
        assert app.core.engine.paused == [True, False]
        await pilot.press("ctrl+q")
    assert app.shut_down(PATIENCE)


async def test_ctrl_c_twice_quits_when_nothing_runs():
    app = FakeWorld().app()
    async with app.run_test(notifications=True) as pilot:
        await open_chat(pilot)
        await pilot.press("ctrl+c")
        await see(pilot, "Press Ctrl-C again to quit.")
        assert app._exit is False
        await pilot.press("ctrl+c")
        assert app._exit is True


# --- another plan -------------------------------------------------------------------------------------------


async def test_each_further_plan_is_offered_with_its_price_until_none_is_left():
    read = answered("No.", found=False, citations=(), plan=Plan("read", "you asked", PRICED.signals, COSTS))
    survey = answered("No.", found=False, citations=(), plan=Plan("survey", "you asked", PRICED.signals, COSTS))
    assistant = FakeAssistant([Planned(PRICED), NOTHING], [read], [survey], SCRIPT)
    app = FakeWorld(assistant).app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await open_chat(pilot)
        await pilot.press("f9")
        await see(pilot, "There is no question yet.")
        await ask(pilot, "How long?")
        await see(pilot, "F9 answers again by reading whole (about 5,160 tokens, about 19 s).")
        for _ in range(2):
            await pilot.press("f9")
            await pilot.pause()
            await idle(pilot)
        await see(pilot, "↻ Again, by reading whole")
        assert shown(app).count("❯ How long?") == 1
        await pilot.press("f9")
        await see(pilot, "There is no other plan")
    assert [asked["mode"] for asked in assistant.asked] == ["auto", "read", "survey"]
    assert assistant.asked[2]["history"] == []


# --- typing -------------------------------------------------------------------------------------------------


async def test_several_lines_are_typed_pasted_and_asked_whole():
    world = FakeWorld()
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await open_chat(pilot)
        await ask(pilot, "   ")
        field(app).value = ""
        height = field(app).size.height
        await pilot.press("a", "ctrl+j", "b", "shift+enter", "c", "alt+enter", "d")
        await until(pilot, lambda: field(app).size.height == height + 3)
        field(app).post_message(events.Paste("\r\none\x1b[31m" + " clause" * 300))
        await until(pilot, lambda: field(app).value.endswith("clause"))
        await pilot.press("enter")
        await see(pilot, "characters)")
        await idle(pilot)
    (asked,) = world.assistant.asked
    assert asked["question"].startswith("a\nb\nc\nd\none\\u001b[31m clause clause") and len(asked["question"]) > 2000


def test_alt_enter_of_an_old_terminal_is_a_new_line():
    from textual._xterm_parser import XTermParser

    parser = XTermParser()
    assert [event.key for event in (*parser.feed("\x1b\r"), *parser.feed(""))] == ["ctrl+j"]


async def test_up_and_down_recall_questions_also_of_earlier_conversations():
    world = FakeWorld()
    for at, (library, question) in enumerate([("contracts", "oldest"), ("letters", "other"), ("contracts", "older")]):
        turn = SavedTurn(question, "2026")
        world.store.kept[str(at)] = Session(str(at), "t", (library,), "2026", (turn,))
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await open_chat(pilot)
        await until(pilot, lambda: bool(field(app)._earlier))
        await ask(pilot, "new")
        await idle(pilot)
        field(app).value = "two\nlines"
        seen = []
        for key in ("up", "up", "up", "up", "up", "down", "down", "down"):
            await pilot.press(key)
            seen.append(field(app).value)
    assert seen == ["two\nlines", "new", "older", "oldest", "oldest", "older", "new", "two\nlines"]


async def test_the_model_reads_ahead_while_a_person_types_and_gives_way():
    world = FakeWorld()
    gate = world.assistant.reading_ahead = Gate()
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await open_chat(pilot)
        await pilot.press(*"How long is the")
        await until(pilot, gate.reached.is_set)
        await pilot.press(*" term?", "enter")
        await see(pilot, "Thirty days [1], within")
        gate.opened.set()
        await pilot.press(*"And")
        await until(pilot, lambda: any(not one["draft"] for one in world.assistant.ahead))
    first, *_, last = world.assistant.ahead
    assert (first["draft"], first["finished"]) == ("How long is the", False)
    assert (last["draft"], last["likely"][0]) == ("", ("contracts", "contracts/msa.pdf"))


async def test_after_an_answer_the_next_passages_are_read_once_while_nobody_types(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(asking, "HOLD", 0.2)
    world = FakeWorld(FakeAssistant([*SCRIPT[:-1], answered(plan=PRICED)]))
    gate = world.assistant.reading_ahead = Gate()
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot)
        await until(pilot, gate.reached.is_set)
        (first,) = world.assistant.ahead
        await pilot.press("A")
        await until(pilot, lambda: "finished" in first)
        gate.opened.set()
        question = world.assistant.asked[0]["question"]
        finished = lambda: [one.get("finished") for one in world.assistant.ahead if one["draft"] == question]  # noqa: E731
        await until(pilot, lambda: finished() == [False, True])
        await idle(pilot)
        assert finished() == [False, True] and first["mode"] == "retrieve" and first["history"] == ()


# --- commands -----------------------------------------------------------------------------------------------


async def test_commands_are_completed_and_esc_hides_the_list():
    world = FakeWorld()
    app = world.app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await open_chat(pilot)
        await pilot.press("/")
        await see(pilot, "/survey [QUESTION]")
        await pilot.press(*"re", "escape")
        await until(pilot, lambda: "/retrieve" not in shown(app))
        assert field(app).value == "/re"
        await pilot.press("backspace", "e", "down", "tab")
        assert field(app).value == "/retrieve " and app.focused is field(app)
        field(app).value = ""
        await pilot.press(*"/raed it", "enter")
        await see(pilot, "There is no command /raed.")
        assert field(app).value == "/raed it" and world.assistant.asked == []


async def test_modes_and_mentions_hold_as_said():
    world = FakeWorld()
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await open_chat(pilot)
        await pilot.press(*"/read how long?", "enter")
        await idle(pilot)
        await pilot.press(*"what says @1", "enter")
        assert field(app).value == "what says @1.pdf "
        await pilot.press("enter")
        await idle(pilot)
        await pilot.press(*"/survey", "escape", "enter")
        await until(pilot, lambda: str(field(app).border_title) == "/survey")
        await ask(pilot, "and then?")
        await idle(pilot)
        await ask(pilot, "what says @nosuch.pdf")
        await until(pilot, lambda: any("no document here" in one.message for one in app._notifications))
        assert field(app).value == "what says @nosuch.pdf"
    assert [(one["question"], one["mode"], one["documents"].these) for one in world.assistant.asked] == [
        ("how long?", "read", ()),
        ("what says 1.pdf", "auto", (("contracts", "1.pdf"),)),
        ("and then?", "survey", ()),
    ]


async def test_another_model_and_another_library_are_used():
    world = FakeWorld()
    world.libraries["letters"] = FakeLibrary("letters", held=3)
    app = world.app(libraries=["contracts"])
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await open_chat(pilot)
        await pilot.press(*"/model 7b", "enter")
        await until(pilot, lambda: world.assistant.loads == 2)
        assert app.core.engine.configured == {"generator": "fake-7b"}
        await pilot.press(*"/library nope", "enter")
        await see(pilot, "There is no library 'nope'. Libraries: contracts, letters.")
        await pilot.press(*"/library let", "enter")
        await see(pilot, "Ask about letters")
        await see(pilot, "3 documents")


async def test_the_palette_lists_keys_and_commands_and_runs_them():
    app = FakeWorld().app()
    async with app.run_test(size=(100, 90)) as pilot:
        await open_chat(pilot)
        await pilot.press("ctrl+p")
        await see(pilot, "Show or hide the source")
        await see(pilot, "/survey [QUESTION]")
        assert "screenshot" not in shown(app).lower()
        await pilot.press(*"another model")
        await see(pilot, "Answer with another model")
        await pilot.press("down", "enter")
        await until(pilot, lambda: not isinstance(app.screen, CommandPalette) and field(app).value == "/model ")


async def test_the_help_lists_keys_and_commands():
    app = FakeWorld().app()
    async with app.run_test(size=(80, 24)) as pilot:
        await open_chat(pilot)
        await pilot.press("f1")
        await see(pilot, "On this screen")
        text = app.screen.text().plain
        for words in ("Ctrl+Q", "PgUp", "Shift+Y", "  [  ", "/survey [QUESTION]", "Ask this document only"):
            assert words in text
        for _ in range(8):
            await pilot.press("pagedown")
        await see(pilot, "Ask this document only")
        await pilot.press("f1")
        await until(pilot, lambda: app.screen.query(QuestionInput))


# --- the conversation ---------------------------------------------------------------------------------------


async def test_a_new_conversation_is_empty_and_stops_the_answer_of_the_old_one():
    world = FakeWorld(FakeAssistant(SCRIPT, [Planned(PLAN), Delta("half"), Gate()], SCRIPT))
    app = world.app()
    async with app.run_test(size=SIZE) as pilot:
        await ask(pilot, "first")
        await idle(pilot)
        await ask(pilot, "second")
        await see(pilot, "half")
        await pilot.press("ctrl+l")
        await see(pilot, "Ask about contracts")
        await idle(pilot)
        assert "half" not in shown(app)
        await ask(pilot, "third")
        await idle(pilot)
    assert [len(asked["history"]) for asked in world.assistant.asked] == [0, 1, 0]
    assert [[answer.question for answer in one] for one in world.store.sessions] == [["first", "second"], ["third"]]


async def test_the_scope_of_the_command_line_and_instructions_are_shown_and_used():
    world, only = FakeWorld(), Filter(("leases/*",), since="2024")
    world.libraries["contracts"].instructions = "Answer in German."
    shelf = FakeWorld.core(world).engine.shelf("contracts")
    app = world.app(libraries=["contracts"], only=only, mode="read")
    app.core.engine.shelf = lambda name: replace(shelf, encrypted=True)
    async with app.run_test(size=(160, 40)) as pilot:
        await see(pilot, "Instructions for answers: Answer in German.")
        await see(pilot, "only documents matching 'leases/*', dated 2024 or later")
        assert "not encrypted" not in shown(app) and "plan: read" in shown(app)
        await ask(pilot)
        await idle(pilot)
    asked = world.assistant.asked[0]
    assert (asked["libraries"], asked["documents"], asked["mode"]) == (("contracts",), only, "read")
