import asyncio
from dataclasses import replace

import pytest
from fake_core import PLAN, FakeAssistant, FakeLibrary, FakeWorld, Gate, answered
from textual.widgets import Input
from waiting import PATIENCE

from localrag.events import Delta, Planned
from localrag.sessions import SessionStore
from localrag.tui.chat_state import load_resumed
from localrag.tui.widgets.asking import QuestionInput
from localrag.tui.widgets.turn import AnswerText
from localrag.types import Filter
from tui.screen_text import SIZES, WIDE, answer, ask, chatting, fill, idle, lines, marked, press, see, shown, until


@pytest.fixture
def store(tmp_path):
    return SessionStore(tmp_path / "sessions", tmp_path / "audit.jsonl")


def world_with(store, *assistant):
    world = FakeWorld(*assistant)
    world.store = store
    return world


def kept(store, *questions, title="", **how):
    final = answered("Thirty days [1], within a term of three years [2].").answer
    session = store.new(how.pop("libraries", ("contracts",)), title, **how)
    for question in questions:
        session = store.append(session, replace(final, question=question))
    return session.id


async def open_list(pilot):
    await until(pilot, lambda: bool(pilot.app.screen.query(QuestionInput)))
    await press(pilot, "f7", sees="Conversations")


async def resumed(pilot):
    await open_list(pilot)
    await see(pilot, "turn")
    await pilot.press("enter")


@pytest.mark.parametrize("size", SIZES)
async def test_conversations_are_listed_searched_and_opened_at_the_turn_found(store, size):
    questions = [f"Question {number}?" for number in range(4)]
    kept(store, *questions, "Is there a xylophone?", *questions)
    kept(store, "Rent?", title="The rent of the [red]annex[/red]\x1b[31m")
    async with chatting(world_with(store), size) as pilot:
        await open_list(pilot)
        await see(pilot, "1 turn The rent of the [red]annex[/red]")
        assert "9 turns Question 0?" in shown(pilot.app) and "\x1b" not in "".join(lines(pilot.app))
        await see(pilot, "Library: contracts. Begun 20")
        await press(pilot, "slash", *"zebra", sees="Nothing found.")
        await press(pilot, "escape", "slash", *"xylo", sees="5. question: Is there a xylophone?")
        await until(pilot, lambda: "annex" not in shown(pilot.app))
        await press(pilot, "enter", "down", "enter", sees="❯ Is there a xylophone? Plan: retrieve")
        await until(pilot, lambda: len(pilot.app.screen.query("TurnView")) == 9)
        await see(pilot, "❯ Is there a xylophone? Plan: retrieve")


async def test_one_is_renamed_exported_and_deleted_after_a_yes(store, tmp_path):
    name = kept(store, "How long?")
    (store.folder / "20200101T000000000000-abcdef.json").write_text("{")
    async with chatting(world_with(store)) as pilot:
        await open_list(pilot)
        await see(pilot, "! 20200101T000000000000-abcdef: cannot be read")
        await press(pilot, "down", "enter", sees="It can only be deleted.")
        await press(pilot, "d", "y", sees="Deleted: 20200101")
        await press(pilot, "r", sees="New title")
        await fill(pilot, "Notice", sees="Renamed: Notice")
        assert store.load(name).title == "Notice"
        await press(pilot, "e", sees="Export “Notice”")
        await pilot.press("down")
        assert pilot.app.screen.query_one(Input).value.endswith(".html")
        await fill(pilot, str(tmp_path / "x.md"), sees="Wrote")
        assert "How long?" in (tmp_path / "x.md").read_text()
        await press(pilot, "d", sees="Delete “Notice”?")
        await press(pilot, "n", "d", "y", sees="There is no conversation yet")
    assert store.list() == [] and "forget" in (tmp_path / "audit.jsonl").read_text()


async def test_deleting_the_current_conversation_begins_a_new_one(store):
    async with chatting(world_with(store)) as pilot:
        await answer(pilot, "first")
        await open_list(pilot)
        await see(pilot, "This is the current conversation.")
        await press(pilot, "d", "y", sees="Deleted: first")
        await press(pilot, "escape", sees="Ask about contracts")
        await pilot.press("ctrl+e")
        await answer(pilot, "second")
    assert [one.title for one in store.list()] == ["second"]


async def test_one_is_resumed_with_its_turns_history_scope_and_ticks(store):
    only = Filter(("leases/*",), since="2024", these=(("contracts", "1.pdf"),))
    kept(store, "How long is the notice?", "And the term?", only=only, mode="read", libraries=("contracts", "policies"))
    world = world_with(store)
    world.libraries["policies"] = FakeLibrary("policies")
    async with chatting(world, WIDE, libraries=["contracts"]) as pilot:
        await resumed(pilot)
        await see(pilot, "❯ And the term?")
        await until(pilot, lambda: shown(pilot.app).count("Thirty days [1], within") == 2)
        await see(pilot, "Only 1 of 4 documents: 1.pdf")
        await press(pilot, "f3", then=lambda: "The term is three years" in marked(pilot.app))
        await answer(pilot, "And then?")
    asked = world.assistant.asked[0]
    assert [turn.question for turn in asked["history"]] == ["How long is the notice?", "And the term?"]
    assert (asked["libraries"], asked["documents"], asked["mode"]) == (("contracts", "policies"), only, "read")
    assert len(store.list()) == 1 and len(store.all()[0].history) == 3


@pytest.mark.parametrize("size", SIZES)
async def test_a_long_conversation_opens_at_its_end_and_stays_there(store, size):
    kept(store, *(f"Question {number}?" for number in range(12)))
    async with chatting(world_with(store), size) as pilot:
        await resumed(pilot)
        await until(pilot, lambda: len(pilot.app.screen.query("TurnView")) == 12)
        await pilot.pause()
        screen = shown(pilot.app)
        assert "❯ Question 11?" in screen and screen.rindex("1,204 tokens read") > screen.index("❯ Question 11?")


async def test_settings_are_restored_and_what_is_missing_is_reported(store):
    settings = {"passages": 3, "seed": 11, "answer_tokens": "many", "threads": 9, "no such": 1, "generator": "gone-1b"}
    name = kept(store, "How long?", title="Notice periods", settings=settings, libraries=("gone", "contracts"))
    world = world_with(store)
    async with chatting(world, (200, 40), resumed=load_resumed(world.core(), name)) as pilot:
        await see(pilot, "! The library gone no longer exists", "! The model gone-1b is no longer installed")
        await see(pilot, "! answer_tokens was many in this conversation", "“Notice periods”")
        held = pilot.app.preferences.settings
        assert (held.passages, held.seed, held.threads, held.generator) == (3, 11, 0, None)
        await answer(pilot, "And now?")
    assert world.assistant.asked[0]["libraries"] == ("contracts",)


async def test_an_unfinished_answer_and_a_draft_are_there_again(store):
    session = store.ask(store.new(("contracts",)), "How long is it?")
    store.keep_partial(session.id, "How long is it?", "Thirty d")
    store.keep_draft(session.id, "And what of")
    async with chatting(world_with(store)) as pilot:
        await resumed(pilot)
        await see(pilot, "Thirty d", "! localrag ended during this answer")
        assert pilot.app.screen.query_one(QuestionInput).value == "And what of"


async def test_a_branch_ends_with_the_turn_found(store):
    kept(store, "first thing?", "second thing?", "third thing?", title="Old")
    async with chatting(world_with(store)) as pilot:
        await open_list(pilot)
        await see(pilot, "Old")
        await press(pilot, "slash", *"second", sees="2. question: second thing?")
        await press(pilot, "enter", "down", "b", sees="! Branched from “Old” after turn 2.")
        await until(pilot, lambda: len(pilot.app.screen.query("TurnView")) == 2)
        assert "third thing?" not in shown(pilot.app)
    assert sorted(one.turns for one in store.list()) == [2, 3]


async def test_questions_and_drafts_are_saved_before_the_answer_comes(store):
    gate = Gate()
    async with chatting(world_with(store, FakeAssistant([Planned(PLAN), Delta("Thir"), gate, answered()]))) as pilot:
        await ask(pilot, "How long?")
        await until(pilot, gate.reached.is_set)
        assert [(turn.question, turn.answer) for turn in store.all()[0].turns] == [("How long?", None)]
        await press(pilot, *"And t", then=lambda: store.load(store.list()[0].id).draft == "And t")
        gate.opened.set()
        await idle(pilot)
    assert len(store.all()[0].turns) == 1 and store.all()[0].history


async def test_closing_the_app_while_a_conversation_is_drawn_is_no_error(store, monkeypatch):
    """It once put the next part into a screen that was gone."""
    world = world_with(store)
    app = world.app(resumed=load_resumed(world.core(), kept(store, "How long is the notice?")))
    closed = asyncio.Event()

    async def meanwhile(self, text=None):
        await app.action_quit()
        closed.set()

    monkeypatch.setattr(AnswerText, "finish", meanwhile)
    async with app.run_test():
        await asyncio.wait_for(closed.wait(), PATIENCE)
    assert app.return_code == 0
