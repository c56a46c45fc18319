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
from localrag.tui.widgets.source import SourcePane, SourceText
from localrag.tui.widgets.turn import CitationLine
from localrag.types import Conflict, Cost, Figure, Filter, NotRead, Plan, Seconds, Side, Usage, Working
from tui.screen_text import SIZES, WIDE, answer, ask, chatting, idle, press, see, shown, unsee, until

COSTS = (
    Cost("retrieve", 1100, 4.0),
    Cost("read", 5160, 19.0),
    Cost("survey", 12_000, 130.0),
    Cost("exact", 0, 0.0, "code can only count, find and calculate"),
)
PRICED = Plan("retrieve", "a look-up", {"documents": 3}, COSTS)
NOTHING = answered("The documents do not say.", found=False, citations=(), plan=PRICED)
SIZE = (120, 60)


def field(app):
    return app.screen.query_one(QuestionInput)


def saying(*scripts):
    return FakeWorld(FakeAssistant(*scripts))


async def test_progress_is_shown_and_the_checked_answer_replaces_the_stream():
    first, second = Gate(), Gate()
    begun = [Planned(PLAN), Planned(PLAN, "How much notice ends the lease?"), PromptRead(0, 1204), first]
    written = [PromptRead(602, 1204), Delta("Perhaps"), second, Delta(" forty"), answered("Thirty [1].")]
    world = saying([*begun, *written])
    async with chatting(world, SIZE) as pilot:
        await ask(pilot, sees=("0 of 1,204 tokens", "Looked for: How much notice ends the lease?"))
        world.now = 6.0
        first.opened.set()
        await see(pilot, "Perhaps", "Writing · 1 token")
        second.opened.set()
        await see(pilot, "Thirty [1].")
        await see(pilot, "3.2 s · first word after 1.9 s · 1,204 tokens read (900 reused), 64 written · fake-1b")
        assert "Perhaps" not in shown(pilot.app)


async def test_what_comes_nearest_is_shown_as_no_answer_with_its_source():
    near, gate = (citation(marker=0), citation(TERM, 2, 0)), Gate()
    final = answered("Nothing.", found=False, citations=(), nearest=near, withheld="a number has a mark")
    async with chatting(saying([Planned(PLAN), Writing(3), gate, final]), SIZE) as pilot:
        await ask(pilot, sees="Writing · 3 tokens, shown once they are checked")
        gate.opened.set()
        await see(pilot, "Withheld in strict mode: a number has a mark.")
        screen = shown(pilot.app)
        assert screen.index(marks.NEAREST) < screen.index(f"msa.pdf, p. 12: “{NOTICE[:20]}") and "[0]" not in screen
        await press(pilot, "tab", sees="Earlier clause, of no interest here.")


async def test_everything_that_limits_an_answer_is_shown():
    later = Side("30 days", "contracts/amendment.pdf", "p. 1", "2025-09-08", 2)
    earlier = Side("45 days", "contracts/msa.pdf", "p. 12", "2025-02-03", 1)
    final = answered(
        "Something [1].",
        found=False,
        citations_dropped=2,
        unsupported=("Renewal is yearly.",),
        not_read=(NotRead("contracts", "big.pdf", "it does not fit", 7),),
        workings=(Working("5,363 / 32,765", "16.37 %", 16.37, (Figure("5,363", "p. 60", 1),)),),
        conflicts=(Conflict("Invoices are paid within", (later, earlier)),),
        looked_at="8 passages of 2 documents.",
        context={"rules": 80, "documents": 900, "history": 0, "free": 3000},
    )
    script = [Planned(PLAN), Notice("two documents left out"), Delta("Forty."), Replaced("wrong"), final]
    world = saying(script, [answered("Twice.", tokens=Usage(), seconds=Seconds(), model=None)])
    async with chatting(world, (140, 70)) as pilot:
        await ask(pilot, sees=("Not read: big.pdf, p. 7: it does not fit", "! two documents left out"))
        await see(pilot, "! 2 quotes left out", "⚠ No source for: “Renewal is yearly.”")
        await see(pilot, "5,363 / 32,765 = 16.37 %, from p. 60", "! The documents differ, the later first.")
        await see(pilot, "8 passages of 2 documents. Context: 980 of 3,980 tokens")
        screen = shown(pilot.app)
        assert screen.index("Something") < screen.index("5,363 / 32,765") < screen.index("[1] contracts/msa.pdf")
        await ask(pilot, "How often?", sees="0.0 s · no model used")


async def test_many_unread_parts_and_the_reasoning_are_folded():
    unread, gate = tuple(NotRead("contracts", f"scan{n}.pdf", "no text", 1) for n in range(20)), Gate()
    final = answered("Thirty.", reasoning="Hm, thirty.", not_read=unread)
    async with chatting(saying([Planned(PLAN), Reasoning("Hm, thirty"), gate, final]), SIZE) as pilot:
        await press(pilot, "f5", sees="Nothing is folded.")
        await ask(pilot, sees="Reasoning … 2 words")
        gate.opened.set()
        await see(pilot, "! 20 parts of the documents not read")
        assert "scan3.pdf" not in shown(pilot.app) and "Hm, thirty" not in shown(pilot.app)
        await press(pilot, "f5", sees=("scan19.pdf", "Hm, thirty."))
        await pilot.press("f5")
        await unsee(pilot, "scan19.pdf")
        await unsee(pilot, "Hm, thirty.")


async def test_errors_are_shown_with_a_hint_and_the_next_question_is_answered():
    broken = [Planned(PRICED), Delta("so far"), ZeroDivisionError("oops")]
    async with chatting(saying([ModelError("too long", "Ask less at once.")], broken, SCRIPT), SIZE) as pilot:
        await ask(pilot, sees=("Error: too long", "What to do: Ask less at once."))
        await ask(pilot, "second")
        await see(pilot, "internal error: ZeroDivisionError: oops", "F9 answers again by reading whole", "so far")
        await ask(pilot, "third", sees="Thirty days [1], within")


async def test_a_broken_library_a_full_disk_and_a_model_that_fails_are_shown():
    world = FakeWorld(FakeAssistant(missing=ModelError("it needs 9 GB", "Choose a smaller one.")))
    world.store.full = StorageError("the disk is full", "Make room.")
    world.libraries["contracts"].broken = StorageError("the library is unreadable", "Read the folder again.")
    async with world.app().run_test(size=SIZE) as pilot:
        await see(pilot, "Error: it needs 9 GB", "Error: the library is unreadable")
        await ask(pilot, sees=("Error: the disk is full", "Thirty days [1], within", "no model"))


@pytest.mark.parametrize("key", ["escape", "ctrl+c"])
async def test_stopping_keeps_what_was_written_and_the_question_typed_meanwhile(key):
    world = saying([Planned(PLAN), Delta("half"), Gate()], SCRIPT)
    async with chatting(world, SIZE) as pilot:
        await ask(pilot, "first", sees="half")
        await ask(pilot, "second", sees="Next: second")
        await press(pilot, key, sees=("! This answer is not complete", "half"))
        assert field(pilot.app).value == "second" and len(world.assistant.asked) == 1
        await press(pilot, "enter", sees="Thirty days [1], within")


async def test_questions_asked_during_an_answer_wait_are_shown_and_asked_in_turn():
    gate = Gate()
    world = saying([Planned(PLAN), gate, answered("One.")], [answered("Two.")], [answered("Three.")])
    async with chatting(world, SIZE) as pilot:
        await ask(pilot, "first")
        await until(pilot, gate.reached.is_set)
        await ask(pilot, "second", sees=("Next: second · Esc stops", "It is asked after this answer."))
        await ask(pilot, "/read third", sees="Next: second and 1 more · Esc stops")
        await ask(pilot, "what says @nosuch.pdf", sees="Next: second and 1 more")
        assert field(pilot.app).value == "what says @nosuch.pdf"  # a mistake is said at once
        gate.opened.set()
        await see(pilot, "One.", "Two.", "Three.")
        await unsee(pilot, "Next:")
    asked = [(one["question"], one["mode"], len(one["history"])) for one in world.assistant.asked]
    assert asked == [("first", "auto", 0), ("second", "auto", 1), ("third", "read", 2)]


LONG = "\n\n".join(f"Paragraph {number}." for number in range(60))


@pytest.mark.parametrize("size", SIZES)
async def test_a_long_answer_stays_at_its_beginning_until_one_scrolls(size):
    gate = Gate()
    world = saying([Planned(PLAN), Delta(LONG[:500]), gate, answered(LONG)], SCRIPT)
    async with chatting(world, size) as pilot:
        await ask(pilot, "A long one?")
        await until(pilot, gate.reached.is_set)
        gate.opened.set()
        await until(pilot, lambda: bool(pilot.app.screen.query(CitationLine)))
        await until(pilot, lambda: pilot.app.screen.query_one(SourcePane).display == (size == WIDE))
        await idle(pilot)
        await see(pilot, "❯ A long one?", "Paragraph 1.")
        await press(pilot, *["pagedown"] * 12, sees="1,204 tokens read")
        await ask(pilot, "A short one?", sees=("❯ A short one?", "Thirty days [1], within"))


@pytest.mark.parametrize("size", SIZES)
async def test_the_frame_says_where_tab_goes(size):
    async with chatting(FakeWorld(), size) as pilot:
        screen = pilot.app.screen
        await see(pilot, "Enter asks · F1 help")
        await press(pilot, "f6", sees="Tab library")
        await press(pilot, "tab", then=lambda: field(pilot.app).has_focus)
        await press(pilot, "tab", then=lambda: screen._library.has_focus_within)
        await press(pilot, "escape", "f6", "f6")
        await ask(pilot, sees="Tab citations")
        await press(pilot, "tab", then=lambda: isinstance(pilot.app.focused, CitationLine))
        await press(pilot, "ctrl+l", sees="Enter asks · F1 help")


async def test_a_question_typed_on_a_citation_or_in_the_source_is_kept():
    world = FakeWorld()
    async with chatting(world, WIDE) as pilot:
        await ask(pilot, sees="Thirty days [1], within")
        await press(pilot, "tab", then=lambda: isinstance(pilot.app.focused, CitationLine))
        await pilot.press(*"Who pays")
        assert field(pilot.app).value == "Who pays" and pilot.app.clipboard == ""
        await press(pilot, "tab", "enter", then=lambda: isinstance(pilot.app.focused, SourceText))
        pilot.app.focused.post_message(events.Paste(" what,\x1b"))
        await until(pilot, lambda: field(pilot.app).value == "Who pays what,\\u001b")
        await press(pilot, "tab", "enter", then=lambda: isinstance(pilot.app.focused, SourceText))
        await press(pilot, "alt+w", then=lambda: pilot.app.clipboard == NOTICE)
        await press(pilot, "?", "enter", then=lambda: len(world.assistant.asked) == 2)
    assert world.assistant.asked[1]["question"] == "Who pays what,\\u001b?"


class DeafGate(Gate):
    def wait(self, stop):
        return super().wait(lambda: False)


async def test_a_stop_is_shown_at_once_even_if_the_engine_is_slow():
    deaf, held = DeafGate(), DeafGate()
    world = saying([Planned(PLAN), deaf, Delta("too late"), held, answered("late", citations=())], SCRIPT)
    async with chatting(world, SIZE) as pilot:
        await ask(pilot, "first")
        await until(pilot, deaf.reached.is_set)
        await press(pilot, "escape", sees="Stopped.")
        await ask(pilot, "second", sees="Waiting for the previous answer")
        deaf.opened.set()
        await until(pilot, held.reached.is_set)
        await pilot.pause()
        assert "too late" not in shown(pilot.app) and len(world.assistant.asked) == 1
        held.opened.set()
        await see(pilot, "Thirty days [1], within")


async def test_a_question_before_the_model_is_loaded_waits_and_can_be_taken_back():
    loading = Gate()
    world = FakeWorld(FakeAssistant(SCRIPT, loading=loading))
    async with world.app().run_test(size=SIZE) as pilot:
        await see(pilot, "loading model …")
        await ask(pilot, "first", sees="The model is loading")
        await press(pilot, "escape", sees="Stopped.")
        await ask(pilot, "second")
        assert world.assistant.asked == []
        loading.opened.set()
        await see(pilot, "Thirty days [1], within", "fake-1b ready")
    assert [asked["question"] for asked in world.assistant.asked] == ["second"]


async def test_quitting_stops_the_answer_and_ends_the_threads():
    gate = Gate()
    async with chatting(saying([Planned(PLAN), gate])) as pilot:
        await ask(pilot)
        await until(pilot, gate.reached.is_set)
        app = pilot.app
        app.app_suspend_signal.publish(app)
        app.app_resume_signal.publish(app)
        await pilot.pause()
        assert app.core.engine.paused == [True, False]
        await pilot.press("ctrl+q")
    assert app.shut_down(PATIENCE)


async def test_ctrl_c_twice_quits_when_nothing_runs():
    async with chatting(FakeWorld()) as pilot:
        await press(pilot, "ctrl+c", sees="Press Ctrl-C again to quit.")
        assert not pilot.app._exit
        await pilot.press("ctrl+c")
        assert pilot.app._exit


async def test_each_further_plan_is_offered_with_its_price_until_none_is_left():
    no = {"found": False, "citations": ()}
    read, survey = ([answered("No.", plan=replace(PRICED, kind=kind), **no)] for kind in ("read", "survey"))
    world = saying([Planned(PRICED), NOTHING], read, survey, SCRIPT)
    async with chatting(world, SIZE) as pilot:
        await press(pilot, "f9", sees="There is no question yet.")
        await ask(pilot, "How long?", sees="F9 answers again by reading whole (about 5,160 tokens, about 19 s).")
        for _ in range(2):
            await pilot.press("f9")
            await pilot.pause()
            await idle(pilot)
        await see(pilot, "↻ Again, by reading whole")
        assert shown(pilot.app).count("❯ How long?") == 1
        await press(pilot, "f9", sees="There is no other plan")
    assert [asked["mode"] for asked in world.assistant.asked] == ["auto", "read", "survey"]
    assert world.assistant.asked[2]["history"] == []


async def test_several_lines_are_typed_pasted_and_asked_whole():
    world = FakeWorld()
    async with chatting(world, SIZE) as pilot:
        await ask(pilot, "   ")
        one = field(pilot.app)
        one.value = ""
        height = one.size.height
        await pilot.press("a", "ctrl+j", "b", "shift+enter", "c", "alt+enter", "d")
        await until(pilot, lambda: one.size.height == height + 3)
        one.post_message(events.Paste("\r\none\x1b[31m" + " clause" * 300))
        await until(pilot, lambda: one.value.endswith("clause"))
        await press(pilot, "enter", sees="characters)")
        await idle(pilot)
    (asked,) = world.assistant.asked
    assert asked["question"].startswith("a\nb\nc\nd\none\\u001b[31m clause clause") and len(asked["question"]) > 2000


def test_alt_enter_and_alt_digits_of_an_old_terminal_are_told_apart():
    from textual._xterm_parser import XTermParser

    for sent, key in (("\x1b\r", "ctrl+j"), ("\x1b2", "alt+2")):
        parser = XTermParser()
        assert [event.key for event in (*parser.feed(sent), *parser.feed(""))] == [key]


async def test_up_and_down_recall_questions_also_of_earlier_conversations():
    world = FakeWorld()
    for at, (library, question) in enumerate([("contracts", "oldest"), ("letters", "other"), ("contracts", "older")]):
        world.store.kept[str(at)] = Session(str(at), "t", (library,), "2026", (SavedTurn(question, "2026"),))
    async with chatting(world, SIZE) as pilot:
        await until(pilot, lambda: bool(field(pilot.app)._earlier))
        await answer(pilot, "new")
        field(pilot.app).value = "two\nlines"
        seen = []
        for key in ("up", "up", "up", "up", "up", "down", "down", "down"):
            await pilot.press(key)
            seen.append(field(pilot.app).value)
    assert seen == ["two\nlines", "new", "older", "oldest", "oldest", "older", "new", "two\nlines"]


async def test_the_model_reads_ahead_while_a_person_types_and_gives_way():
    world = FakeWorld()
    gate = world.assistant.reading_ahead = Gate()
    async with chatting(world, SIZE) as pilot:
        await press(pilot, *"How long is the", then=gate.reached.is_set)
        await press(pilot, *" term?", "enter", sees="Thirty days [1], within")
        gate.opened.set()
        await press(pilot, *"And", then=lambda: any(not one["draft"] for one in world.assistant.ahead))
    first, *_, last = world.assistant.ahead
    assert (first["draft"], first["finished"]) == ("How long is the", False)
    assert (last["draft"], last["likely"][0]) == ("", ("contracts", "contracts/msa.pdf"))


async def test_after_an_answer_the_next_passages_are_read_once_while_nobody_types(monkeypatch):
    monkeypatch.setattr(asking, "HOLD", 0.2)
    world = saying([*SCRIPT[:-1], answered(plan=PRICED)])
    gate = world.assistant.reading_ahead = Gate()

    def finished(question):
        return [one.get("finished") for one in world.assistant.ahead if one["draft"] == question]

    async with chatting(world, SIZE) as pilot:
        await ask(pilot)
        await until(pilot, gate.reached.is_set)
        (first,) = world.assistant.ahead
        await press(pilot, "A", then=lambda: "finished" in first)
        gate.opened.set()
        await until(pilot, lambda: finished("How long?") == [False, True])
        await idle(pilot)
        assert finished("How long?") == [False, True] and first["mode"] == "retrieve" and first["history"] == ()


async def test_commands_are_completed_and_esc_hides_the_list():
    world = FakeWorld()
    async with chatting(world, SIZE) as pilot:
        await press(pilot, "/", sees="/survey [QUESTION]")
        await pilot.press(*"re", "escape")
        await unsee(pilot, "/retrieve")
        assert field(pilot.app).value == "/re"
        await pilot.press("backspace", "e", "down", "tab")
        assert field(pilot.app).value == "/retrieve " and pilot.app.focused is field(pilot.app)
        await ask(pilot, "/raed it", sees="There is no command /raed.")
        assert field(pilot.app).value == "/raed it" and world.assistant.asked == []


async def test_modes_and_mentions_hold_as_said():
    world = FakeWorld()
    async with chatting(world, SIZE) as pilot:
        await answer(pilot, "/read how long?")
        await pilot.press(*"what says @1", "enter")
        assert field(pilot.app).value == "what says @1.pdf "
        await pilot.press("enter")
        await idle(pilot)
        await press(pilot, *"/survey", "escape", "enter", then=lambda: str(field(pilot.app).border_title) == "/survey")
        await answer(pilot, "and then?")
        await ask(pilot, "what says @nosuch.pdf")
        await until(pilot, lambda: any("no document here" in one.message for one in pilot.app._notifications))
        assert field(pilot.app).value == "what says @nosuch.pdf"
    assert [(one["question"], one["mode"], one["documents"].these) for one in world.assistant.asked] == [
        ("how long?", "read", ()),
        ("what says 1.pdf", "auto", (("contracts", "1.pdf"),)),
        ("and then?", "survey", ()),
    ]


async def test_another_model_and_another_library_are_used():
    world = FakeWorld()
    world.libraries["letters"] = FakeLibrary("letters", held=3)
    async with chatting(world, SIZE, libraries=["contracts"]) as pilot:
        await press(pilot, *"/model 7b", "enter", then=lambda: world.assistant.loads == 2)
        assert pilot.app.core.engine.configured == {"generator": "fake-7b"}
        await ask(pilot, "/library nope", sees="There is no library 'nope'. Libraries: contracts, letters.")
        await press(pilot, *"/library let", "enter", sees=("Ask about letters", "3 documents"))


async def test_a_library_that_another_process_made_meanwhile_is_offered_and_used():
    world = FakeWorld()
    async with chatting(world, SIZE) as pilot:
        world.libraries["late"] = FakeLibrary("late", held=3)
        await press(pilot, *"/library la", then=lambda: pilot.app.screen._asking.popup.display)
        await press(pilot, "enter", sees=("Ask about late", "3 documents"))


async def test_the_palette_and_the_help_list_keys_and_commands():
    async with chatting(FakeWorld(), (100, 90)) as pilot:
        await press(pilot, "ctrl+p", sees=("Show or hide the source", "/survey [QUESTION]"))
        assert "screenshot" not in shown(pilot.app).lower()
        await press(pilot, *"another model", sees="Answer with another model")
        await press(pilot, "down", "enter", then=lambda: not isinstance(pilot.app.screen, CommandPalette))
        await until(pilot, lambda: field(pilot.app).value == "/model ")
        await press(pilot, "f1", sees=("On this screen", "Ctrl+Q", "PgUp", "Alt+Y", "/survey [QUESTION]"))
        await press(pilot, "pagedown", "pagedown", sees="Ask this document only")
        await press(pilot, "f1", then=lambda: pilot.app.screen.query(QuestionInput))


async def test_a_new_conversation_is_empty_and_stops_the_answer_of_the_old_one():
    world = saying(SCRIPT, [Planned(PLAN), Delta("half"), Gate()], SCRIPT)
    async with chatting(world, SIZE) as pilot:
        await answer(pilot, "first")
        await ask(pilot, "second", sees="half")
        await press(pilot, "ctrl+l", sees="Ask about contracts")
        await idle(pilot)
        assert "half" not in shown(pilot.app)
        await answer(pilot, "third")
    assert [len(asked["history"]) for asked in world.assistant.asked] == [0, 1, 0]
    assert [[answer.question for answer in one] for one in world.store.sessions] == [["first", "second"], ["third"]]


async def test_the_scope_of_the_command_line_and_instructions_are_shown_and_used():
    world, only = FakeWorld(), Filter(("leases/*",), since="2024")
    world.libraries["contracts"].instructions = "Answer in German."
    world.libraries["contracts"].encrypted = True
    async with chatting(world, (160, 40), libraries=["contracts"], only=only, mode="read") as pilot:
        await see(pilot, "Instructions for answers: Answer in German.")
        await see(pilot, "only documents matching 'leases/*', dated 2024 or later")
        assert "not encrypted" not in shown(pilot.app) and "plan: read" in shown(pilot.app)
        await answer(pilot, "How long?")
    asked = world.assistant.asked[0]
    assert (asked["libraries"], asked["documents"], asked["mode"]) == (("contracts",), only, "read")
