"""Conversations: kept turn by turn, listed whatever state they are in, exported with citations."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from localrag.errors import NotFoundError, ReadError
from localrag.findings import Flag
from localrag.sessions import Session, SessionStore, export_markdown
from localrag.types import Answer, Citation, NotRead, Plan, Turn


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "sessions")


def answer(question: str = "When does the lease end?", quote: str = "ends on 31 May 2030") -> Answer:
    return Answer(
        question=question,
        answer="It ends on 31 May 2030 [1].",
        found=True,
        plan=Plan("retrieve", "a short question over many pages", {"score": 0.7}),
        citations=(Citation("contracts", "lease/main.pdf", 12, "xii", "p. 12 (xii)", quote, 40, 60, 1),),
        citations_dropped=1,
        not_read=(NotRead("contracts", "scan.pdf", "no text on page 3", 3),),
    )


def test_a_turn_is_on_the_disk_once_added_and_comes_back_equal(store: SessionStore) -> None:
    saved = store.append(store.new(("contracts", "minutes")), answer())
    assert store.load(saved.id) == saved
    assert saved.libraries == ("contracts", "minutes")
    assert saved.history == (
        Turn("When does the lease end?", "It ends on 31 May 2030 [1].", ("lease/main.pdf, p. 12 (xii)",)),
    )
    assert saved.turns[0].answer == answer().to_dict()


def test_an_unused_conversation_leaves_no_file(store: SessionStore) -> None:
    store.new(("contracts",))
    assert store.list() == [] and not store.folder.exists()


def test_the_first_question_is_the_title_unless_one_was_given(store: SessionStore) -> None:
    long = store.append(store.new(()), answer("What does the policy say about " + "remote work " * 20))
    assert long.title.startswith("What does the policy say") and long.title.endswith("…") and len(long.title) <= 60
    assert store.append(long, answer("And then?")).title == long.title
    assert store.append(store.new((), "Lease"), answer()).title == "Lease"


def test_the_list_is_newest_first_and_ids_sort_by_time(store: SessionStore) -> None:
    made = [store.append(store.new(("x",), f"number {number}"), answer()) for number in range(5)]
    assert [one.id for one in made] == sorted(one.id for one in made)
    assert [one.title for one in store.list()] == [f"number {number}" for number in reversed(range(5))]
    assert store.list()[0].turns == 1 and store.list()[0].libraries == ("x",)


DAMAGED = {
    "empty": b"",
    "cut short": b'{"schema": 1, "id": "',
    "not text": b"\xff\xfe\x00",
    "another kind": b"[]",
    "another schema": b'{"schema":99,"id":"I","title":"","libraries":[],"created":"","turns":[]}',
    "nested too deep": b"[" * 100_000,
    "turns are no list": b'{"schema":1,"id":"I","title":"","libraries":[],"created":"","turns":{"a":1}}',
    "a number for a title": b'{"schema":1,"id":"I","title":3,"libraries":[],"created":"","turns":[]}',
    "an answer without a plan": b'{"schema":1,"id":"I","title":"","libraries":[],"created":"","turns":'
    b'[{"question":"q","time":"","answer":{"answer":"a","citations":[],"not_read":[]}}]}',
    "a citation without a quote": b'{"schema":1,"id":"I","title":"","libraries":[],"created":"","turns":'
    b'[{"question":"q","time":"","answer":{"answer":"a","citations":[{}],"not_read":[],'
    b'"plan":{"kind":"","reason":""}}}]}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_listed_with_its_problem_and_stops_no_other(store: SessionStore, content: bytes) -> None:
    good = store.append(store.new(()), answer())
    name = "20200101T000000000000-abcdef"
    (store.folder / f"{name}.json").write_bytes(content.replace(b'"I"', f'"{name}"'.encode()))
    first, second = store.list()
    assert first.id == good.id and not first.problem
    assert second.id == name and "cannot be read" in second.problem
    with pytest.raises(ReadError) as caught:
        store.load(name)
    assert str(store.folder) in caught.value.hint
    store.delete(name)
    assert [one.id for one in store.list()] == [good.id]


def test_a_file_under_another_name_is_listed_with_its_problem(store: SessionStore) -> None:
    good = store.append(store.new(()), answer())
    store._path(good.id).rename(store.folder / "copy of it.json")
    store.append(good_copy := store.new(()), answer())
    (store.folder / f"{good_copy.id}.json").rename(store.folder / "20200101T000000000000-abcdef.json")
    assert all(one.problem for one in store.list()) and len(store.list()) == 2


@pytest.mark.parametrize("name", ["../secret", "", "a/b", "20200101T000000000000-abcdef/../x", "."])
def test_an_id_never_leads_out_of_the_folder(store: SessionStore, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.json").write_text("{}")
    for call in (store.load, store.delete):
        with pytest.raises(NotFoundError, match="is not the id"):
            call(name)
    assert (tmp_path / "secret.json").exists()


def test_a_deleted_conversation_is_gone_and_does_not_come_back(store: SessionStore) -> None:
    saved = store.append(store.new(()), answer())
    store.delete(saved.id)
    assert store.list() == []
    for call in (lambda: store.load(saved.id), lambda: store.delete(saved.id)):
        with pytest.raises(NotFoundError):
            call()
    with pytest.raises(NotFoundError):
        store.append(saved, answer())
    assert list(store.folder.glob("*.json")) == []


def test_a_renamed_conversation_keeps_its_turns(store: SessionStore) -> None:
    saved = store.append(store.new(()), answer())
    store.rename(saved.id, "  The\nlease ")
    assert store.load(saved.id).title == "The lease"
    assert store.load(saved.id).turns == saved.turns


def test_two_writers_of_one_conversation_keep_every_turn(store: SessionStore) -> None:
    saved = store.append(store.new(()), answer("first"))

    def write(name: str) -> None:
        for number in range(10):
            store.append(saved, answer(f"{name}{number}"))

    threads = [threading.Thread(target=write, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked = [turn.question for turn in store.load(saved.id).history]
    assert sorted(asked) == sorted(["first"] + [f"{name}{number}" for name in "ab" for number in range(10)])


def test_names_that_are_not_utf8_are_kept(store: SessionStore) -> None:
    name = os.fsdecode(b"caf\xe9")
    saved = store.append(store.new((name,)), answer())
    assert store.load(saved.id).libraries == (name,)


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX")
def test_conversations_are_their_owners_only(store: SessionStore) -> None:
    saved = store.append(store.new(()), answer())
    assert store._path(saved.id).stat().st_mode & 0o777 == 0o600
    assert store.folder.stat().st_mode & 0o777 == 0o700


# --- export -------------------------------------------------------------------------------------------------


def exported(store: SessionStore, *answers: Answer) -> str:
    session: Session = store.new(("contracts",), "Lease")
    for one in answers:
        session = store.append(session, one)
    return export_markdown(store.load(session.id))


def test_the_export_holds_question_answer_place_quote_and_what_was_left_out(store: SessionStore) -> None:
    text = exported(store, answer())
    assert text.startswith("# Lease\n")
    for words in (
        "## When does the lease end?",
        r"It ends on 31 May 2030 \[1\].",
        r"\[1\] lease/main.pdf, p. 12 (xii) (library contracts)",
        "```text\nends on 31 May 2030\n```",
        "1 quote(s) were left out",
        "Not read: scan.pdf: no text on page 3",
        "retrieve: a short question over many pages",
    ):
        assert words in text


def test_a_quote_is_exported_character_for_character(store: SessionStore) -> None:
    quote = "a `code`\n````\n<b>[x](y)</b>  *z*\n````"
    assert f"`````text\n{quote}\n`````" in exported(store, answer(quote=quote))


def test_nothing_in_an_export_loads_or_links(store: SessionStore) -> None:
    evil = "![x](https://example.invalid/?leak) [y](https://example.invalid) <img src=x> [z]: https://example.invalid"
    made = Answer(evil, evil, True, Plan("retrieve", evil), not_read=(NotRead("l", evil, evil),))
    text = exported(store, made)
    assert "![" not in text.replace(r"!\[", "") and "](" not in text.replace(r"\](", "")
    assert "<img" not in text.replace(r"\<img", "")


def test_an_export_of_an_empty_conversation_is_its_title() -> None:
    text = export_markdown(Session("i", "", (), "2026-01-01"))
    assert text == "# Conversation\n\nBegun 2026-01-01. Libraries: none.\n"


def test_a_saved_file_is_readable_json_with_its_schema(store: SessionStore) -> None:
    saved = store.append(store.new(()), answer("Prüfung?"))
    raw = store._path(saved.id).read_text(encoding="utf-8")
    assert json.loads(raw)["schema"] == 1 and "Prüfung" in raw


def test_an_export_carries_the_marks_of_what_was_not_borne(store: SessionStore) -> None:
    flags = (Flag("amount", "EUR 58,000", "not in what is cited"),)
    given = replace(answer(), answer="The rent is EUR 58,000 [1]. It rains.", unsupported=("It rains.",), flags=flags)
    saved = store.load(store.append(store.new(("papers",)), given).id)
    exported = export_markdown(saved)
    assert "EUR 58,000⚠" in exported and "It rains. ⚠" in exported
    assert "⚠ EUR 58,000: not in what is cited." in exported and "⚠ No source for: “It rains.”" in exported
