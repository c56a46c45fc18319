"""Conversations: what is seen of them, and that one is resumed as it was left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from textual import events
from textual.widgets import Input, OptionList

from localrag.sessions import SessionStore
from localrag.tui.resuming import ready
from localrag.tui.widgets.question import QuestionInput
from localrag.types import Answer, Filter
from tui.fakes import FakeAssistant, FakeLibrary, FakeWorld, Gate, answered
from tui.screen_text import SIZES, ask, lines, marked, see, shown, until


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "sessions", tmp_path / "audit.jsonl")


def said(question: str, text: str = "Thirty days [1], within a term of three years [2].") -> Answer:
    return replace(answered(text).answer, question=question)


def world_with(store: SessionStore, *assistant: FakeAssistant) -> FakeWorld:
    world = FakeWorld(*assistant)
    world.store = store
    return world


def kept(store: SessionStore, *questions: str, title: str = "", **how) -> str:
    session = store.new(how.pop("libraries", ("contracts",)), title, **how)
    for question in questions:
        session = store.append(session, said(question))
    return session.id


async def open_list(pilot) -> None:
    await until(pilot, lambda: bool(pilot.app.screen.query(QuestionInput)))
    await pilot.press("f7")
    await see(pilot, "Conversations")


# --- the list -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
async def test_the_list_shows_title_time_and_turns_and_what_it_was_asked_of(store, size):
    kept(store, "How long is the notice?", "And the term?")
    kept(store, "Rent?", title="The rent of the [red]annex[/red]\x1b[31m")
    app = world_with(store).app()
    async with app.run_test(size=size) as pilot:
        await open_list(pilot)
        await see(pilot, "1 turn The rent of the [red]annex[/red]")
        screen = shown(app)
        assert "2 turns How long is the notice?" in screen and "\x1b" not in "".join(lines(app))
        assert "Asked of contracts; begun 20" in screen
        assert "r renames" in screen


async def test_without_conversations_the_list_says_so(store):
    app = world_with(store).app()
    async with app.run_test() as pilot:
        await open_list(pilot)
        await see(pilot, "There is no conversation yet")
        await pilot.press("enter", "r", "b", "e", "d", "escape")
        await see(pilot, "Ask about contracts")


async def test_until_they_are_read_it_is_not_said_that_there_are_none(store):
    kept(store, "How long?")
    gate = Gate()
    app = world_with(store).app()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: bool(pilot.app.screen.query(QuestionInput)))
        app.lanes["pages"].submit(lambda: gate.wait(lambda: False) and None, lambda error: None)
        await pilot.press("f7")
        await see(pilot, "Reading …")
        await pilot.resize_terminal(100, 30)
        await pilot.pause(0.1)
        assert "There is no conversation yet" not in shown(app) and "Reading …" in shown(app)
        gate.opened.set()
        await see(pilot, "1 turn How long?")


async def test_a_damaged_one_is_shown_and_can_only_be_deleted(store):
    kept(store, "How long?")
    (store.folder / "20200101T000000000000-abcdef.json").write_text("{")
    app = world_with(store).app()
    async with app.run_test() as pilot:
        await open_list(pilot)
        await see(pilot, "! 20200101T000000000000-abcdef: cannot be read")
        await pilot.press("down", "enter")
        await see(pilot, "It can only be deleted.")
        await pilot.press("d", "y")
        await see(pilot, "Deleted: 20200101")
    assert [one.problem for one in store.list()] == [""]


async def test_typing_searches_all_that_was_said_and_enter_goes_to_the_turn(store):
    kept(
        store,
        *(f"Question {number}?" for number in range(12)),
        "Is there a xylophone?",
        *(f"Late {number}?" for number in range(12)),
    )
    kept(store, "Something else?")
    app = world_with(store).app()
    async with app.run_test(size=(100, 30)) as pilot:
        await open_list(pilot)
        await see(pilot, "Something else?")
        await pilot.press("slash", *"xylo")
        await see(pilot, "13. question: Is there a xylophone?")
        assert "Something else?" not in shown(app)
        await pilot.press("enter", "down", "enter")
        await see(pilot, "❯ Is there a xylophone? Plan: retrieve")


async def test_a_search_without_hits_says_so_and_escape_clears_it(store):
    kept(store, "How long?")
    app = world_with(store).app()
    async with app.run_test() as pilot:
        await open_list(pilot)
        await see(pilot, "How long?")
        await pilot.press("slash", *"zebra")
        await see(pilot, "Nowhere. Each word must stand")
        await pilot.press("escape")
        await see(pilot, "How long?")


async def test_one_is_renamed(store):
    name = kept(store, "How long?")
    app = world_with(store).app()
    async with app.run_test() as pilot:
        await open_list(pilot)
        await see(pilot, "How long?")
        await pilot.press("r")
        await see(pilot, "Another title")
        app.screen.query_one(Input).value = "Notice"
        await pilot.press("enter")
        await see(pilot, "Renamed: Notice")
        await see(pilot, "1 turn Notice")
    assert store.load(name).title == "Notice"


async def test_one_is_deleted_for_good_after_a_yes(store, tmp_path):
    kept(store, "How long?")
    app = world_with(store).app()
    async with app.run_test() as pilot:
        await open_list(pilot)
        await see(pilot, "How long?")
        await pilot.press("d")
        await see(pilot, "Delete “How long?” for good?")
        await pilot.press("n")
        assert len(store.list()) == 1
        await pilot.press("d")
        await see(pilot, "for good?")
        await pilot.press("y")
        await see(pilot, "Deleted: How long?")
        await see(pilot, "There is no conversation yet")
    assert store.list() == [] and "forget" in (tmp_path / "audit.jsonl").read_text()


async def test_deleting_the_conversation_one_is_in_begins_a_new_one(store):
    app = world_with(store).app()
    async with app.run_test() as pilot:
        await ask(pilot, "first")
        await until(pilot, lambda: bool(store.list()) and bool(store.all()[0].history))
        await open_list(pilot)
        await see(pilot, "You are in it.")
        await pilot.press("d")
        await see(pilot, "for good?")
        await pilot.press("y")
        await see(pilot, "Deleted: first")
        await pilot.press("escape")
        await see(pilot, "Ask about contracts")
        await ask(pilot, "second")
        await until(pilot, lambda: bool(store.list()) and bool(store.all()[0].history))
    assert [one.title for one in store.list()] == ["second"]


# --- resuming -----------------------------------------------------------------------------------------------


async def test_one_is_resumed_with_its_turns_citations_history_and_scope(store):
    only = Filter(("leases/*",), since="2024")
    kept(store, "How long is the notice?", "And the term?", only=only, mode="read", libraries=("contracts", "policies"))
    world = world_with(store)
    world.libraries["policies"] = FakeLibrary("policies")
    app = world.app(libraries=["contracts"])
    async with app.run_test(size=(160, 48)) as pilot:
        await open_list(pilot)
        await see(pilot, "How long is the notice?")
        await pilot.press("enter")
        await see(pilot, "❯ And the term?")
        assert shown(app).count("Thirty days [1], within") == 2
        assert "3.2 s · first word after 1.9 s" in shown(app)
        await see(pilot, "narrowed")
        await pilot.press("f3")
        await until(pilot, lambda: "The term is three years" in marked(app))
        await ask(pilot, "And then?")
        await until(pilot, lambda: bool(world.assistant.asked))
        await until(pilot, lambda: len(store.all()[0].history) == 3)
    asked = world.assistant.asked[0]
    assert [turn.question for turn in asked["history"]] == ["How long is the notice?", "And the term?"]
    assert (asked["libraries"], asked["documents"], asked["mode"]) == (("contracts", "policies"), only, "read")
    assert len(store.list()) == 1


async def test_settings_that_shape_answers_are_set_back_and_others_are_not(store):
    kept(
        store,
        "How long?",
        settings={"passages": 3, "seed": 11, "threads": 9, "theme": "x", "no such": 1, "generator": "fake-1b"},
    )
    world = world_with(store)
    app = world.app()
    async with app.run_test() as pilot:
        await see(pilot, "ready")
        await open_list(pilot)
        await see(pilot, "How long?")
        await pilot.press("enter")
        await see(pilot, "Thirty days [1]")
        await until(pilot, lambda: app.preferences.settings.seed == 11)
    assert (app.preferences.settings.passages, app.preferences.settings.threads) == (3, 0)


async def test_a_setting_that_can_no_longer_be_is_said_and_the_rest_works(store):
    kept(store, "How long?", settings={"passages": 10**9, "votes": "many", "seed": 11})
    app = world_with(store).app()
    async with app.run_test(size=(120, 60)) as pilot:
        await open_list(pilot)
        await see(pilot, "How long?")
        await pilot.press("enter")
        await see(pilot, "! passages was 1000000000 in this conversation")
        await see(pilot, "! votes was many in this conversation")
        assert app.preferences.settings.seed == 11


async def test_documents_that_were_ticked_are_ticked_again_and_said(store):
    kept(store, "How long?", only=Filter(these=(("contracts", "1.pdf"),)))
    world = world_with(store)
    app = world.app()
    async with app.run_test(size=(120, 40)) as pilot:
        await open_list(pilot)
        await see(pilot, "How long?")
        await pilot.press("enter")
        await see(pilot, ": 1.pdf")
        await ask(pilot, "And now?")
        await until(pilot, lambda: bool(world.assistant.asked))
    assert world.assistant.asked[0]["documents"].these == (("contracts", "1.pdf"),)


async def test_a_model_that_is_gone_is_said_and_the_one_there_is_answers(store):
    kept(store, "How long?", settings={"generator": "gone-1b", "seed": 11})
    app = world_with(store).app()
    async with app.run_test(size=(100, 40)) as pilot:
        await open_list(pilot)
        await see(pilot, "How long?")
        await pilot.press("enter")
        await see(pilot, "! The model gone-1b is no longer installed")
        assert (app.preferences.settings.generator, app.preferences.settings.seed) == (None, 11)


async def test_the_app_opens_with_a_conversation_and_its_title_stands_in_the_bottom_line(store):
    name = kept(store, "How long?", title="Notice periods", settings={"generator": "fake-7b"})
    world = world_with(store)
    app = world.app(resumed=ready(world.core(), store.load(name)))
    async with app.run_test(size=(200, 40)) as pilot:
        await see(pilot, "Thirty days [1]")
        await see(pilot, "“Notice periods”")
        assert app.preferences.settings.generator == "fake-7b"
        await pilot.press("ctrl+l")
        await see(pilot, "Ask about contracts")
        assert "Notice periods" not in shown(app)


async def test_a_missing_library_is_said_and_the_others_are_asked(store):
    kept(store, "How long?", libraries=("gone", "contracts"))
    world = world_with(store)
    app = world.app()
    async with app.run_test(size=(100, 40)) as pilot:
        await open_list(pilot)
        await see(pilot, "How long?")
        await pilot.press("enter")
        await see(pilot, "! The library gone is no longer here")
        await ask(pilot, "And now?")
        await until(pilot, lambda: bool(world.assistant.asked))
    assert world.assistant.asked[0]["libraries"] == ("contracts",)


async def test_a_question_without_an_answer_is_shown_with_what_was_said_of_it(store):
    session = store.ask(store.new(("contracts",)), "How long is it?")
    store.keep_partial(session.id, "How long is it?", "Thirty d")
    store.keep_draft(session.id, "And what of")
    app = world_with(store).app()
    async with app.run_test(size=(100, 40)) as pilot:
        await open_list(pilot)
        await see(pilot, "1 turn How long is it?")
        await pilot.press("enter")
        await see(pilot, "Thirty d")
        await see(pilot, "! localrag ended before its answer was whole")
        assert app.screen.query_one(QuestionInput).value == "And what of"


async def test_a_branch_from_the_list_ends_with_the_turn_that_was_found(store):
    kept(store, "first thing?", "second thing?", "third thing?", title="Old")
    app = world_with(store).app()
    async with app.run_test(size=(100, 40)) as pilot:
        await open_list(pilot)
        await see(pilot, "Old")
        await pilot.press("slash", *"second", "enter", "down", "b")
        await see(pilot, "! Branched from “Old” after turn 2.")
        assert "third thing?" not in shown(app)
    assert sorted(one.turns for one in store.list()) == [2, 3]


async def test_b_on_a_citation_branches_from_its_answer(store):
    app = world_with(store).app()
    async with app.run_test(size=(100, 40)) as pilot:
        for number, question in enumerate(["first", "second"], 1):
            await ask(pilot, question)
            await until(pilot, lambda: bool(store.all()) and len(store.all()[0].history) == number)  # noqa: B023
        await pilot.press("tab", "up", "up", "b")
        await see(pilot, "! Branched from “first” after turn 1.")
        assert "❯ second" not in shown(app)
    assert sorted(one.turns for one in store.list()) == [1, 2]


async def test_a_draft_is_kept_while_it_is_typed(store):
    app = world_with(store).app()
    async with app.run_test() as pilot:
        await ask(pilot, "first")
        await until(pilot, lambda: bool(store.all()) and bool(store.all()[0].history))
        await pilot.press(*"And t")
        await until(pilot, lambda: store.load(store.list()[0].id).draft == "And t")


async def test_a_question_is_on_the_disk_before_its_answer_comes(store):
    from localrag.events import Delta, Planned
    from tui.fakes import PLAN, Gate

    gate = Gate()
    app = world_with(store, FakeAssistant([Planned(PLAN), Delta("Thir"), gate, answered()])).app()
    async with app.run_test() as pilot:
        await ask(pilot, "How long?")
        await until(pilot, gate.reached.is_set)
        assert [(turn.question, turn.answer) for turn in store.all()[0].turns] == [("How long?", None)]
        gate.opened.set()
        await until(pilot, lambda: bool(store.all()[0].history))
    assert len(store.all()[0].turns) == 1


# --- exporting ----------------------------------------------------------------------------------------------


async def open_export(pilot):
    await open_list(pilot)
    await see(pilot, "How long?")
    await pilot.press("e")
    await see(pilot, "Export “How long?”")


async def test_the_conversation_is_exported_in_the_format_chosen_and_replaces_nothing_unasked(
    store, tmp_path, monkeypatch
):
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    app = world_with(store).app()
    async with app.run_test(size=(100, 40), notifications=True) as pilot:
        await ask(pilot, "How long?")
        await until(pilot, lambda: bool(store.all()) and bool(store.all()[0].history))
        await pilot.press("ctrl+e")
        await see(pilot, "Export “How long?”")
        await pilot.press("down")
        await until(pilot, lambda: app.screen.query_one(Input).value.endswith(".html"))
        path = Path(app.screen.query_one(Input).value)
        await pilot.press("enter")
        await see(pilot, "Wrote ")
        assert path.parent == tmp_path and "How long?" in path.read_text()
        path.write_text("mine")
        await pilot.press("ctrl+e", "down")
        await until(pilot, lambda: app.screen.query_one(Input).value.endswith(".html"))
        await pilot.press("enter")
        await see(pilot, "Enter again replaces it.")
        assert path.read_text() == "mine"
        await pilot.press("enter")
        await until(pilot, lambda: path.read_text() != "mine")


async def test_a_path_that_is_half_typed_when_the_list_of_formats_wakes_up_stays(store, tmp_path):
    kept(store, "How long?")
    app = world_with(store).app()
    async with app.run_test(size=(100, 40)) as pilot:
        await open_export(pilot)
        formats, path = app.screen.query_one(OptionList), app.screen.query_one(Input)
        path.value = str(tmp_path / "ta")
        formats.post_message(OptionList.OptionHighlighted(formats, formats.get_option_at_index(0), 0))
        await pilot.pause()
        assert path.value == str(tmp_path / "ta")


async def test_an_export_that_cannot_be_written_says_why_and_asks_again(store, tmp_path):
    kept(store, "How long?")
    app = world_with(store).app()
    async with app.run_test(size=(100, 40)) as pilot:
        await open_export(pilot)
        for typed, told in (
            (tmp_path / "no" / "x.md", "there is no folder"),
            (tmp_path / "x.pdf", "one of these endings"),
        ):
            app.screen.query_one(Input).value = str(typed)
            await pilot.press("enter")
            await see(pilot, told)


async def test_with_nothing_said_there_is_nothing_to_export(store):
    app = world_with(store).app()
    async with app.run_test(notifications=True) as pilot:
        await see(pilot, "Ask about contracts")
        await pilot.press("ctrl+e")
        await see(pilot, "There is nothing to export yet.")


async def test_letters_typed_at_once_behind_the_slash_reach_the_search_and_rename_nothing(store):
    kept(store, "Is there a red kettle?")
    kept(store, "Something else?")
    app = world_with(store).app()
    async with app.run_test() as pilot:
        await open_list(pilot)
        await see(pilot, "Something else?")
        for key, character in (("slash", "/"), ("r", "r"), ("e", "e"), ("d", "d")):
            app.post_message(events.Key(key, character))  # without waiting for one to be done before the next
        await until(pilot, lambda: app.screen.query_one(Input).value == "red")
        await see(pilot, "1. question: Is there a red kettle?")


async def test_a_long_title_stays_on_its_line(store):
    kept(store, "What does it say about " + "remote work and " * 3 + "the rest?")
    kept(store, "Short?")
    app = world_with(store).app()
    async with app.run_test(size=(50, 24)) as pilot:
        await open_list(pilot)
        await see(pilot, "Short?")
        rows = [line for line in lines(app) if "1 turn" in line]
        assert len(rows) == 2 and "What doe" in rows[1] and "…" in rows[1]
        assert sum("remote" in line for line in lines(app)) <= 1
