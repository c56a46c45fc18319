import signal

import pytest
from click.testing import CliRunner
from fake_core import NOTICE, PLAN, SCRIPT, FakeAssistant, FakeEngine, FakeLibrary, FakeWorld

from localrag.cli import chat
from localrag.errors import NotFoundError, StorageError, UsageError
from localrag.events import Planned
from localrag.sessions import SessionStore
from localrag.store import names
from localrag.tui.threads import Core


@pytest.fixture
def talk(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCALRAG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(names, "library_of", lambda path, folder: None)

    def run(typed, *words, world=None):
        world = world or FakeWorld()
        monkeypatch.setattr(names, "library_names", lambda folder: list(world.libraries))
        store = SessionStore(tmp_path / "sessions")
        monkeypatch.setattr(chat, "real_core", lambda settings: Core(FakeEngine(world), store))
        result = CliRunner().invoke(chat.chat_command, ["--plain", *words], input=typed)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        result.saved = store.list()
        return result

    return run


def test_piped_questions_are_answered_line_by_line_with_numbered_sources(talk):
    world = FakeWorld()
    done = talk("How long?\n\nAnd the term?\n", "contracts", world=world)
    assert [asked["question"] for asked in world.assistant.asked] == ["How long?", "And the term?"]
    assert done.stdout.count("Thirty days [1], within a term of three years [2].") == 2
    assert f"[1] contracts/msa.pdf, p. 12: “{NOTICE}”" in done.stdout
    assert "> How long?" in done.stdout and "Question: " not in done.stdout
    assert done.exit_code == 0
    done = talk("How long?\n:source 1\n")
    for words in (f"Quote: {NOTICE}", "41. Termination.", "After: Notice is given by letter."):
        assert words in done.stdout


def test_questions_in_a_row_are_one_conversation_until_a_new_one_begins(talk):
    world = FakeWorld()
    done = talk("How long?\nAnd the term?\n:new\nWho?\n", world=world)
    asked = [[turn.question for turn in one["history"]] for one in world.assistant.asked]
    assert asked == [[], ["How long?"], []]
    assert {(found.title, found.turns) for found in done.saved} == {("How long?", 2), ("Who?", 1)}


def test_progress_is_printed_once_in_words_and_nothing_is_drawn(talk):
    done = talk("How long?\n", world=FakeWorld(FakeAssistant([Planned(PLAN), Planned(PLAN), *SCRIPT])))
    assert "fake-1b is ready. Library contracts: 2 documents." in done.stderr
    assert done.stderr.count("retrieve: a short question over 2 documents") == 2  # the second is below the answer
    assert "\x1b" not in done.output and "\r" not in done.output


WRONG = [":source 1\n", "How long?\n:source 9\n", ":sorce\n", ":mode quick\n", ":export x.md\n"]


@pytest.mark.parametrize("typed", WRONG)
def test_a_wrong_command_is_an_error_and_the_chat_continues(talk, typed):
    done = talk(f"{typed}Still there?\n")
    assert "hint: " in done.stderr and "> Still there?" in done.stdout
    assert done.exit_code != 0


def test_after_an_error_the_chat_continues_and_ends_with_its_code(talk):
    done = talk("One?\nTwo?\n", world=FakeWorld(FakeAssistant([StorageError("no room", "Make room.")], SCRIPT)))
    assert "hint: Make room." in done.stderr and "Thirty days [1], within" in done.stdout
    assert done.exit_code == StorageError.exit_code


def test_commands_change_the_mode_export_and_leave(talk, tmp_path):
    world = FakeWorld()
    done = talk("One?\n:mode survey\nTwo?\n:export out.md\n:export out.md\n:help\n:quit\nThree?\n", world=world)
    assert [asked["mode"] for asked in world.assistant.asked] == ["auto", "survey"]
    assert NOTICE in (tmp_path / "out.md").read_text() and "out.md" in done.stderr.split("error: ")[1]
    assert chat.HELP in done.stdout


def test_ctrl_c_stops_the_answer_and_keeps_what_was_written(talk):
    class Interrupted(FakeAssistant):
        def ask(self, question, *, stop, **how):
            yield Planned(PLAN)
            signal.raise_signal(signal.SIGINT)
            assert stop()
            yield from super().ask(question, stop=stop, **how)

    before = signal.getsignal(signal.SIGINT)
    done = talk("How long?\n", world=FakeWorld(Interrupted()))
    assert "Thirty days [1], within" in done.stdout
    assert signal.getsignal(signal.SIGINT) is before


def test_without_one_clear_library_it_says_what_to_type(talk, tmp_path):
    (tmp_path / "leases").mkdir()
    several = {"a": FakeLibrary("a"), "b": FakeLibrary("b")}
    for words, libraries, kind, hint in (
        ((), {}, NotFoundError, "localrag ingest"),
        ((), several, UsageError, "localrag chat --plain NAME"),
        (("./leases",), several, NotFoundError, "localrag ingest"),
    ):
        with pytest.raises(kind) as caught:
            talk("How long?\n", *words, world=FakeWorld(libraries=libraries))
        assert hint in caught.value.hint
