import json
import os
import random
import signal
import threading
from dataclasses import replace

import pytest
from command_line import printed
from conversations import WHOLE, answer
from fuzzing.mutating import of_json

from localrag.errors import NotFoundError, ReadError, UsageError
from localrag.sessions import Origin, SavedTurn, Session, SessionStore
from localrag.sessions.export import FORMS, file_name, written
from localrag.sessions.session_store import Searched, from_json, to_json
from localrag.types import Filter, Turn

pytestmark = pytest.mark.slow


@pytest.fixture
def store(tmp_path):
    return SessionStore(tmp_path / "sessions")


def test_a_turn_is_on_the_disk_once_added_and_comes_back_equal(store):
    name = os.fsdecode(b"caf\xe9")  # not UTF-8
    begun = store.new(("contracts", name))
    store.keep_draft(begun.id, "hello")
    assert store.list() == [] and not store.folder.exists(), "an unused one leaves no file"
    saved = store.append(begun, answer())
    assert store.load(saved.id) == saved
    assert saved.libraries == ("contracts", name)
    assert saved.history == (
        Turn("When does the lease end?", "It ends on 31 May 2030 [1].", ("lease.pdf, p. 12 (printed xii)",)),
    )
    assert saved.turns[0].answer == answer()


def test_the_list_is_newest_first_and_ids_sort_by_time(store):
    made = [store.append(store.new(("x",), f"number {number}"), answer()) for number in range(5)]
    assert [one.id for one in made] == sorted(one.id for one in made)
    assert [one.title for one in store.list()] == [f"number {number}" for number in reversed(range(5))]
    assert store.list()[0].turns == 1 and store.list()[0].libraries == ("x",)
    raw = json.loads(store._path(made[0].id).read_text())
    raw["turns"][0]["time"] = "2999-01-01T00:00:00+00:00"
    store._path(made[0].id).write_text(json.dumps(raw))
    assert store.find("last") == made[0].id, "the last that something was asked in"
    long = store.append(store.new(()), answer("What does the policy say about " + "remote work " * 20))
    assert long.title.startswith("What does the policy say") and long.title.endswith("…") and len(long.title) <= 60
    assert store.append(long, answer("And then?")).title == long.title, "the first question is the title"


DAMAGED = {
    "empty": b"",
    "cut short": b'{"schema": 1, "id": "',
    "another kind": b"[]",
    "another schema": b'{"schema":99,"id":"I","title":"","libraries":[],"created":"","turns":[]}',
    "nested too deep": b"[" * 100_000,
    "another id": b'{"schema":1,"id":"other","title":"","libraries":[],"created":"","turns":[]}',
    "an answer without a plan": b'{"schema":1,"id":"I","title":"","libraries":[],"created":"","turns":'
    b'[{"question":"q","time":"","answer":{"answer":"a","citations":[],"not_read":[]}}]}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_listed_with_its_problem_and_stops_no_other(store, content):
    good = store.append(store.new(()), answer())
    name = "20200101T000000000000-abcdef"
    (store.folder / f"{name}.json").write_bytes(content.replace(b'"I"', f'"{name}"'.encode()))
    first, second = store.list()
    assert first.id == good.id and not first.problem
    assert second.id == name and second.problem
    with pytest.raises(ReadError) as caught:
        store.load(name)
    assert str(store.folder) in caught.value.hint
    store.delete(name)
    assert [one.id for one in store.list()] == [good.id]


def test_an_id_never_leads_out_of_the_folder(store, tmp_path):
    (tmp_path / "secret.json").write_text("{}")
    for name in ("../secret", "", "a/b", "20200101T000000000000-abcdef/../x", "."):
        for call in (store.load, store.delete):
            with pytest.raises(NotFoundError):
                call(name)
    assert (tmp_path / "secret.json").exists()


def test_a_deleted_conversation_is_gone_and_does_not_come_back(store):
    saved = store.append(store.new(()), answer())
    store.delete(saved.id)
    assert store.list() == []
    for call in (lambda: store.load(saved.id), lambda: store.delete(saved.id), lambda: store.append(saved, answer())):
        with pytest.raises(NotFoundError):
            call()
    assert list(store.folder.glob("*.json")) == []


def test_two_writers_of_one_conversation_keep_every_turn(store):
    saved = store.append(store.new(()), answer("first"))

    def write(name):
        for number in range(10):
            store.append(saved, answer(f"{name}{number}"))

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked = [turn.question for turn in store.load(saved.id).history]
    assert sorted(asked) == sorted(["first"] + [f"{name}{number}" for name in "ab" for number in range(10)])


def test_what_questions_were_asked_of_and_how_comes_back(store):
    only = Filter(("leases/*",), since="2024", pages=(3, None))
    settings = {"generator": "x-1b", "passages": 3, "seed": 7}
    saved = store.append(store.new(("a", "b"), only=only, mode="read", settings=settings), answer())
    again = store.load(saved.id)
    assert (again.libraries, again.only, again.mode, again.settings) == (("a", "b"), only, "read", settings)
    store.append(replace(again, libraries=("c",), mode="survey"), answer("And of c?"))
    assert (store.load(saved.id).libraries, store.load(saved.id).mode) == (("c",), "survey")


def test_a_question_is_saved_before_its_answer(store):
    asked = store.ask(store.new(("contracts",)), "When?")
    left = store.load(asked.id)
    assert [(turn.question, turn.answer) for turn in left.turns] == [("When?", None)]
    assert left.history == () and left.title == "When?"
    again = store.ask(left, "When?")  # as after a crash
    store.append(store.ask(again, "And then?"), answer("And then?"))
    turns = [(turn.question, bool(turn.answer)) for turn in store.load(asked.id).turns]
    assert turns == [("When?", False), ("And then?", True)], "an unanswered one stays where it was asked"
    store.append(again, answer("When?"))
    assert all(turn.answer for turn in store.load(asked.id).turns)


def test_a_partial_answer_and_a_draft_are_resumed_and_deleted(store):
    asked = store.ask(store.new(()), "When?")
    store.keep_partial(asked.id, "When?", "It ends on")
    store.keep_draft(asked.id, "And the ren")
    left = store.load(asked.id)
    assert (left.turns[0].partial, left.draft) == ("It ends on", "And the ren")
    store.append(asked, answer("When?"))
    store.keep_draft(asked.id, " ")
    assert (store.load(asked.id).turns[0].partial, store.load(asked.id).draft) == ("", "")
    store.keep_draft(asked.id, "secret")
    store.delete(asked.id)
    assert [path.suffix for path in store.folder.iterdir()] == [".lock"]


ASK_AND_DIE = """
import os, signal, sys
from pathlib import Path
from localrag.sessions import SessionStore
store = SessionStore(Path(sys.argv[1]))
asked = store.ask(store.new(("contracts",)), "When does it end?")
store.keep_partial(asked.id, "When does it end?", "It ends")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_killed_process_leaves_the_question_and_the_partial_answer(store):
    printed(ASK_AND_DIE, store.folder, ends=-signal.SIGKILL)
    (left,) = (store.load(one.id) for one in store.list())
    (turn,) = left.turns
    assert (turn.question, turn.answer, turn.partial) == ("When does it end?", None, "It ends")


def test_a_branch_has_the_turns_up_to_one_and_says_where_it_came_from(store):
    old = store.new(("contracts",), only=Filter(types=("pdf",)), mode="read", settings={"seed": 3})
    for name in ("first", "second", "third"):
        old = store.append(old, answer(name))
    made = store.branch(old.id, 2)
    again = store.load(made.id)
    assert [turn.question for turn in again.turns] == ["first", "second"] and again.id != old.id
    assert again.origin == Origin(old.id, "first", 2) and again.title == "first (branch)"
    assert (again.libraries, again.only, again.mode, again.settings) == (old.libraries, old.only, "read", {"seed": 3})
    assert len(store.branch(old.id).turns) == 3 and len(store.load(old.id).turns) == 3
    for number in (0, 4):
        with pytest.raises(UsageError):
            store.branch(old.id, number)


def test_a_conversation_is_found_by_id_title_beginning_and_last(store):
    lease = store.append(store.new((), "Lease"), answer())
    leave = store.append(store.new((), "Leave of absence"), answer())
    assert store.find(lease.id) == store.find("lease") == lease.id
    assert store.find("leav") == store.find(leave.id[:-1]) == leave.id
    assert store.find("last") == leave.id
    with pytest.raises(UsageError):
        store.find("lea")
    for nothing in ("", "rent"):
        with pytest.raises(NotFoundError):
            store.find(nothing)


def test_words_are_found_in_titles_questions_answers_and_quotes(store):
    store.append(store.new((), "Café rules"), answer("How much NOTICE is needed?", quote="thirty days"))
    store.append(store.new((), "Rent"), answer("What is the rent?", quote="EUR 58,000 a year"))
    searched = Searched(store.all())

    def places(words):
        return [(hit.session.title, hit.turn, hit.where) for hit in searched.find(words)]

    assert places("cafe") == [("Café rules", 0, "title")]
    assert places("notice") == [("Café rules", 1, "question")]
    assert places("may 2030 58,000") == [("Rent", 1, "answer")]
    assert places("58,0") == [("Rent", 1, "quote")]
    assert places("notice 58,000") == []
    assert places("") == [("Rent", 0, "title"), ("Café rules", 0, "title")]
    store.append(store.new((), "t"), answer("word " * 60 + "needle in the middle " + "word " * 60))
    (hit,) = Searched(store.all()).find("needle")
    assert "needle in the middle" in hit.snippet and hit.snippet[0] == hit.snippet[-1] == "…" and len(hit.snippet) < 160


def test_tampered_files_raise_read_errors_only(store):
    dice, read = random.Random(7), 0
    saved = store.ask(store.append(store.new(("contracts",)), WHOLE), "And then?")
    whole = json.loads(store._path(saved.id).read_text())
    for _ in range(400):
        store._path(saved.id).write_bytes(json.dumps(of_json(whole, dice)).encode())
        (one,) = store.list()
        Searched(store.all()).find("the")
        try:
            session = store.load(saved.id)
        except ReadError:
            assert one.problem
            continue
        read += not one.problem
        assert all(written(session, form, lambda binder: binder.title.encode()) for form in FORMS) and file_name(
            session, "md"
        )
    assert 20 < read < 390


SESSION = Session(
    "20260101T000000000000-abcdef",
    "Lease",
    ("contracts",),
    "2026-01-01T00:00:00+00:00",
    (SavedTurn("When does the lease end?", "2026-01-01T00:00:00+00:00", WHOLE), SavedTurn("And then?", "")),
    Filter(("a*",), pages=(3, None), these=(("one", "a.pdf"),)),
    "read",
    {"seed": 4, "temperature": 0.5, "think": "on"},
    Origin("20250101T000000000000-abcdef", "Older", 1),
)


def as_bytes(value):
    return json.dumps(value).encode()


def with_answer(**change):
    value = to_json(SESSION)
    value["turns"][0]["answer"] = json.loads(json.dumps(value["turns"][0]["answer"])) | change
    return as_bytes(value)


def test_missing_fields_take_their_defaults_and_unknown_ones_are_ignored():
    assert from_json(as_bytes(to_json(SESSION))) == SESSION
    value = json.loads(with_answer(future=1, split={"tries": 2, "votes": [{"answer": "x", "count": 2}]}))
    for name in ("flags", "workings", "conflicts", "confidence", "reasoning", "context", "looked_at", "certainty"):
        del value["turns"][0]["answer"][name]
    for name in ("only", "mode", "settings", "origin"):
        del value[name]
    old = replace(WHOLE, flags=(), workings=(), conflicts=(), confidence=None, reasoning="", context={}, looked_at="")
    found = from_json(as_bytes(value))
    assert found.turns[0].answer == old and (found.only, found.mode, found.origin) == (Filter(), "auto", None)


def test_an_answer_without_a_certainty_is_absent_where_nothing_was_found():
    value = json.loads(with_answer(found=False))
    del value["turns"][0]["answer"]["certainty"]
    assert from_json(as_bytes(value)).turns[0].answer.certainty == "absent"


def test_what_is_no_answer_is_refused():
    for change in (
        {"answer": None},
        {"citations": {}},
        {"citations": [{}]},
        {"plan": {"kind": "guess", "reason": ""}},
        {"tokens": {"prompt": 2**70}},
        {"seconds": {"total": float("nan")}},
        {"table": [3]},
        {"context": {"rules": "many"}},
    ):
        with pytest.raises(ValueError):
            from_json(with_answer(**change))
            pytest.fail(f"{change} was taken")
