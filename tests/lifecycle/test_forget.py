"""A document that is forgotten is gone from conversations, kept words and every file; a library's conversations are its own."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from encrypted import encrypt_folder

from localrag import api
from localrag.answer.assistant import Assistant
from localrag.errors import KeyRequired
from localrag.events import Answered
from localrag.security import audit
from localrag.security.encryption import unlocked
from localrag.sessions import Session, SessionStore, store_of
from localrag.sessions.session_store import GONE
from localrag.settings import Settings
from localrag.store.names import Tombstones
from localrag.store.writer import Editor
from localrag.types import Answer

CANARY = "zanzibarquill"


@pytest.fixture(autouse=True)
def locked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unlocked, "no_dumps", lambda: None)


@pytest.fixture
def papers(folder: Callable[..., Path], models: Any, settings: Settings) -> Path:
    root = folder({"a.txt": f"The {CANARY} lease ends in May.", "b.txt": "The kennel is open from 9 to 5."})
    api.open_library("papers", settings=settings, create=True).ingest(root)
    models.generator.script = [
        ("lease end", f"The {CANARY} lease ends in May."),
        ("kennel open", "The kennel is open from 9 to 5."),
    ]
    return root


@pytest.fixture
def store(settings: Settings) -> SessionStore:
    return store_of(settings)


def ask(settings: Settings, question: str, library: str = "papers") -> Answer:
    own = Assistant(settings.with_options(audit_words="full"))
    try:
        (answer,) = [event.answer for event in own.ask(question, libraries=[library]) if isinstance(event, Answered)]
    finally:
        own.close()
    return answer


def talk(store: SessionStore, settings: Settings, *questions: str) -> Session:
    session = store.new(("papers",))
    for question in questions:
        session = store.append(session, ask(settings, question))
    return session


def holding(home: Path) -> list[str]:
    return sorted(path.name for path in home.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes())


LEASE, KENNEL = "When does the lease end?", "When is the kennel open?"


def test_answers_from_a_forgotten_document_and_later_ones_are_removed(
    papers: Path, settings: Settings, store: SessionStore
) -> None:
    mixed, other = talk(store, settings, KENNEL, LEASE, KENNEL), talk(store, settings, KENNEL)
    assert any(citation.document == "a.txt" for citation in mixed.turns[1].answer.citations)  # type: ignore[union-attr]
    api.open_library("papers", settings=settings).forget(["a.txt"])
    turns = store.load(mixed.id).turns
    assert [turn.question for turn in turns] == [KENNEL, LEASE, KENNEL]
    assert turns[1].answer is not None and turns[1].answer.answer == GONE and not turns[1].answer.passages
    assert turns[2].answer is not None and turns[2].answer.answer == GONE
    # Of a small library every answer was shown all documents.
    assert store.load(other.id).turns[0].answer is not None


def test_conversations_can_be_deleted_whole_or_left_alone(
    papers: Path, settings: Settings, store: SessionStore
) -> None:
    session = talk(store, settings, LEASE)
    api.open_library("papers", settings=settings).forget(["a.txt"], conversations="keep")
    assert CANARY in str(store.load(session.id).turns[0].answer)
    api.open_library("papers", settings=settings).ingest(papers, include_forgotten=True)
    api.open_library("papers", settings=settings).forget(["a.txt"], conversations="remove")
    assert store.list() == []


def test_no_byte_of_a_forgotten_document_is_left_below_the_home_folder(
    papers: Path, settings: Settings, store: SessionStore, home: Path
) -> None:
    session = talk(store, settings, LEASE)
    store.keep_partial(session.id, LEASE, f"The {CANARY}")
    assert len(holding(home)) >= 3
    api.open_library("papers", settings=settings).forget(["a.txt"])
    assert holding(home) == []
    record = settings.library_audit_file("papers")
    assert audit.verify(record) == []
    assert all(audit.words_of(record, entry) is None for entry in audit.entries(record))


def test_a_library_takes_its_conversations_with_it(
    papers: Path, settings: Settings, store: SessionStore, home: Path
) -> None:
    session = talk(store, settings, LEASE)
    assert (home / "indexes" / "papers" / "sessions" / f"{session.id}.json").is_file()
    assert [one.id for one in store.list()] == [session.id] and store.find("last") == session.id
    api.open_library("papers", settings=settings).forget()
    assert store.list() == [] and holding(home) == []


def test_encrypted_conversations_are_listed_without_asking_for_a_key(
    papers: Path, settings: Settings, store: SessionStore, home: Path
) -> None:
    session = talk(store, settings, LEASE)
    folder = settings.library_dir("papers")
    encrypt_folder(folder)
    session = store.append(session, ask(settings, LEASE))
    store.keep_draft(session.id, f"more of {CANARY}?")
    assert holding(home) == []
    assert len(store.load(session.id).turns) == 2
    unlocked.forget()
    source = Mock(side_effect=unlocked.locked_error(folder))
    unlocked.set_key_source(source)
    try:
        (listed,) = store.list()
        assert "its key is not here" in listed.problem and store.all() == ()
        assert not any(call.args[2] for call in source.call_args_list), "nobody is asked"
        with pytest.raises(KeyRequired):
            store.load(session.id)
    finally:
        unlocked.set_key_source(None)


def test_a_conversation_that_goes_on_with_an_encrypted_library_moves_to_it(
    papers: Path, settings: Settings, store: SessionStore, home: Path, shelf: Callable[..., Editor]
) -> None:
    session = talk(store, settings, KENNEL)
    secret = shelf("secret", {"s.txt": f"The {CANARY} clause."})
    secret.close()
    encrypt_folder(secret.folder)
    grown = store.ask(replace(session, libraries=("papers", "secret")), f"What of {CANARY}?")
    assert not (home / "indexes" / "papers" / "sessions" / f"{session.id}.json").exists()
    assert (home / "indexes" / "secret" / "sessions" / f"{session.id}.json").exists()
    assert [path for path in holding(home) if path.endswith(".json")] == []
    assert store.load(grown.id).turns[-1].question == f"What of {CANARY}?"


@pytest.fixture
def letters(folder: Callable[..., Path], models: object, settings: Settings) -> Path:
    root = folder({"a.txt": "The lease of Anna.", "b.txt": "The lease of Bert.", "sub/c.txt": "Other words."})
    api.open_library("papers", settings=settings, create=True).ingest(root)
    return root


def test_neither_another_name_nor_changed_words_nor_an_archive_bring_it_back(letters: Path, settings: Settings) -> None:
    assert api.open_library("papers", settings=settings).forget(["a.txt"]) == ["a.txt"]
    report = api.open_library("papers", settings=settings).ingest(letters)
    assert (report.forgotten, report.read, report.unchanged) == (1, (), 2)
    with zipfile.ZipFile(letters / "all.zip", "w") as archive:
        for name in ("a.txt", "b.txt"):
            archive.write(letters / name, name)
    (letters / "renamed.txt").write_bytes((letters / "a.txt").read_bytes())
    (letters / "a.txt").write_text("The lease of Anna, second version.")
    (letters / "new.txt").write_text("New words.")
    report = api.open_library("papers", settings=settings).ingest(letters)
    assert report.forgotten == 3 and sorted(report.read) == ["all.zip/b.txt", "new.txt"]
    again = api.open_library("papers", settings=settings).ingest(letters)
    assert again.read == () and again.removed == ()


def test_include_forgotten_lets_it_back_in_for_good(letters: Path, settings: Settings) -> None:
    api.open_library("papers", settings=settings).forget(["a.txt", "b.txt"])
    report = api.open_library("papers", settings=settings).ingest(letters, include_forgotten=True)
    assert report.read == ("a.txt", "b.txt") and report.forgotten == 0
    assert api.open_library("papers", settings=settings).ingest(letters).unchanged == 3


def test_tombstones_reveal_nothing_and_differ_between_libraries(letters: Path, settings: Settings) -> None:
    library = api.open_library("papers", settings=settings)
    (document,) = library.documents(["a.txt"])
    one, other = (Tombstones.new().add([document]) for _ in range(2))
    assert one.cover(document.root, "a.txt") and one.cover("/elsewhere", "x", document.sha256)
    assert not one.cover("/elsewhere", "a.txt") and not one.cover(document.root, "b.txt", "0" * 64)
    assert len(one.marks) == 2 and not one.marks & other.marks
    kept = one.to_json()
    assert "a.txt" not in kept and document.sha256 not in kept
    assert Tombstones.from_json(kept) == one
    assert not Tombstones(b"key").cover("", "")
