"""Commands behind a slash, documents behind an @, and the palette: by the keys that a person presses."""

from __future__ import annotations

from textual.command import CommandPalette

from localrag.sessions import SavedTurn, Session
from localrag.tui import commands
from localrag.tui.widgets.asking import Asking
from localrag.tui.widgets.question import QuestionInput
from tui.fakes import FakeAssistant, FakeLibrary, FakeWorld, Gate
from tui.screen_text import ask, see, shown, until


def field(app) -> QuestionInput:
    return app.screen.query_one(QuestionInput)


async def ready(pilot) -> None:
    await see(pilot, "2 documents")
    await until(pilot, lambda: bool(pilot.app.screen.known.documents))


async def test_commands_are_offered_as_they_are_typed_and_tab_takes_one():
    app = FakeWorld().app()
    async with app.run_test(size=(100, 40)) as pilot:
        await ready(pilot)
        await pilot.press("/")
        await see(pilot, "/survey [QUESTION]")
        await pilot.press(*"re")
        await until(pilot, lambda: "/survey" not in shown(app))
        await pilot.press("down", "tab")
        assert field(app).value == "/retrieve "
        assert app.focused is field(app)
        await until(pilot, lambda: "/read" not in shown(app))


async def test_escape_puts_the_offers_aside_and_leaves_what_was_typed():
    app = FakeWorld().app()
    async with app.run_test(size=(100, 40)) as pilot:
        await ready(pilot)
        await pilot.press(*"/re")
        await see(pilot, "/read [QUESTION]")
        await pilot.press("escape")
        await until(pilot, lambda: "/read [QUESTION]" not in shown(app))
        await pilot.press("a")
        await pilot.pause(0.05)
        assert "/read [QUESTION]" not in shown(app)
        assert field(app).value == "/rea"


async def test_a_mode_before_a_question_holds_for_that_question_alone():
    world = FakeWorld()
    app = world.app()
    async with app.run_test(size=(100, 40)) as pilot:
        await ready(pilot)
        await pilot.press(*"/read how long?", "enter")
        await until(pilot, lambda: len(world.assistant.asked) == 1)
        await ask(pilot, "and then?")
        await until(pilot, lambda: len(world.assistant.asked) == 2)
    assert [(asked["question"], asked["mode"]) for asked in world.assistant.asked] == [
        ("how long?", "read"), ("and then?", "auto"),
    ]  # fmt: skip


async def test_a_mode_alone_holds_from_then_on_and_is_shown():
    world = FakeWorld()
    app = world.app()
    async with app.run_test(size=(100, 40)) as pilot:
        await ready(pilot)
        await pilot.press(*"/survey", "escape", "enter")
        await until(pilot, lambda: str(field(app).border_title) == "/survey")
        await ask(pilot, "and then?")
        await until(pilot, lambda: len(world.assistant.asked) == 1)
    assert world.assistant.asked[0]["mode"] == "survey"


async def test_a_document_behind_an_at_is_all_that_the_question_is_asked_of():
    world = FakeWorld()
    app = world.app()
    async with app.run_test(size=(100, 40)) as pilot:
        await ready(pilot)
        await pilot.press(*"what says @1", "enter")
        assert field(app).value == "what says @1.pdf "
        await pilot.press("enter")
        await until(pilot, lambda: len(world.assistant.asked) == 1)
        await ask(pilot, "and all?")
        await until(pilot, lambda: len(world.assistant.asked) == 2)
    first, second = world.assistant.asked
    assert (first["question"], first["documents"].documents) == ("what says 1.pdf", ("1.pdf",))
    assert second["documents"].documents == ()


async def test_an_unknown_command_is_not_asked_and_not_lost():
    world = FakeWorld()
    app = world.app()
    async with app.run_test(notifications=True, size=(100, 40)) as pilot:
        await ready(pilot)
        await pilot.press(*"/raed it", "enter")
        await see(pilot, "There is no command /raed.")
        assert field(app).value == "/raed it"
        assert world.assistant.asked == []


async def test_another_model_is_told_to_the_engine_and_loaded():
    world = FakeWorld()
    app = world.app()
    async with app.run_test(size=(100, 40)) as pilot:
        await ready(pilot)
        await until(pilot, lambda: world.assistant.loads == 1)
        await pilot.press(*"/model 7b", "enter")
        await until(pilot, lambda: world.assistant.loads == 2)
        assert app.core.engine.configured == {"generator": "fake-7b"}
        assert field(app).value == ""


async def test_another_library_gets_a_conversation_of_its_own():
    world = FakeWorld()
    world.libraries["letters"] = FakeLibrary("letters", held=3)
    app = world.app(libraries=["contracts"])
    async with app.run_test(size=(100, 40)) as pilot:
        await ready(pilot)
        await pilot.press(*"/library let", "enter")
        await see(pilot, "Ask about letters")
        await see(pilot, "3 documents")


async def test_a_library_that_is_not_there_is_said_with_those_that_are():
    app = FakeWorld().app()
    async with app.run_test(notifications=True, size=(100, 40)) as pilot:
        await ready(pilot)
        await pilot.press(*"/library nope", "enter")
        await see(pilot, "There is no library 'nope'. Libraries: contracts.")


async def test_questions_of_earlier_conversations_come_back_after_a_restart():
    world = FakeWorld()
    for at, (library, questions) in enumerate([("contracts", "ab"), ("letters", ["other"]), ("contracts", ["newest"])]):
        turns = tuple(SavedTurn(question, "2026") for question in questions)
        world.store.kept[str(at)] = Session(str(at), "t", (library,), "2026", turns)
    app = world.app()
    async with app.run_test(size=(100, 40)) as pilot:
        await ready(pilot)
        seen = []
        for _ in range(4):
            await pilot.press("up")
            seen.append(field(app).value)
    assert seen == ["newest", "b", "a", "a"]


async def test_the_palette_lists_keys_commands_and_libraries_and_runs_what_is_chosen():
    world = FakeWorld()
    world.libraries["letters"] = FakeLibrary("letters")
    app = world.app(libraries=["contracts"])
    async with app.run_test(size=(100, 60)) as pilot:
        await ready(pilot)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await see(pilot, "Show or hide the source")
        assert "F9, /again" in shown(app)
        assert "screenshot" not in shown(app).lower()
        await pilot.press(*"letters")
        await see(pilot, "Ask the library letters")
        await pilot.press("down", "enter")
        await see(pilot, "Ask about letters")


async def test_a_command_that_takes_something_is_typed_in_by_the_palette():
    app = FakeWorld().app()
    async with app.run_test(size=(100, 60)) as pilot:
        await ready(pilot)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*"another model")
        await see(pilot, "Answer with another model")
        await pilot.press("down", "enter")
        await until(pilot, lambda: not isinstance(app.screen, CommandPalette) and field(app).value == "/model ")


async def test_the_help_lists_the_commands():
    app = FakeWorld().app()
    async with app.run_test(size=(100, 100)) as pilot:
        await ready(pilot)
        await pilot.press("f1")
        await until(pilot, lambda: "/survey [QUESTION]" in str(app.screen.text()))


async def test_asking_of_a_mentioned_document_waits_like_any_other_question():
    gate = Gate()
    world = FakeWorld(FakeAssistant([gate]))
    app = world.app()
    async with app.run_test(size=(100, 40)) as pilot:
        await ready(pilot)
        await ask(pilot, "first")
        await until(pilot, gate.reached.is_set)
        await ask(pilot, "of @0.pdf?")
        await see(pilot, "Waiting: of @0.pdf?")
        assert not app.screen.query_one(Asking).idle


async def test_every_command_can_be_carried_out():
    app = FakeWorld().app()
    async with app.run_test() as pilot:
        await ready(pilot)
        assert commands.there(app.screen) == list(commands.COMMANDS)


async def test_an_earlier_conversation_is_gone_on_with_from_the_palette():
    world = FakeWorld()
    world.store.kept["1"] = Session("1", "About the rent", ("contracts",), "2026", (SavedTurn("How much?", "2026"),))
    app = world.app()
    async with app.run_test(size=(100, 60)) as pilot:
        await ready(pilot)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*"about the rent")
        await see(pilot, "Go on with: About the rent 2026, contracts")
        await pilot.press("down", "enter")
        await see(pilot, "❯ How much?")
