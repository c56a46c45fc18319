from __future__ import annotations

import os
import signal
import threading
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import Mock

import pytest
from command_line import printed
from encrypted import encrypt_folder
from fakes import ScriptedGenerator
from waiting import PATIENCE

from localrag import api
from localrag.answer.assistant import Assistant
from localrag.errors import KeyRequired, NotFoundError, StorageError
from localrag.events import Answered
from localrag.llm import Prefix, prompt_cache
from localrag.proofs.forgotten import prove_forgotten
from localrag.security import audit, storage
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.sessions import store_of
from localrag.sessions.session_store import GONE
from localrag.store.names import Tombstones
from localrag.tui.chat_state import ChatState, PendingQuestion, Scope, answer
from localrag.tui.threads import Core
from localrag.types import Answer, Plan

pytestmark = pytest.mark.slow

CANARY = "zanzibarquill"
LEASE, KENNEL = "When does the lease end?", "When is the kennel open?"
GIVEN = [("lease end", f"The {CANARY} lease ends in May."), ("kennel open", "The kennel is open from 9 to 5.")]


@dataclass
class Interrupted(ScriptedGenerator):
    meanwhile: Callable[[], object] = lambda: None
    prompts_kept: list[Any] = field(default_factory=list)

    def generate(self, messages, **how):
        for number, event in enumerate(super().generate(messages, **how)):
            if number == 1:
                meanwhile, self.meanwhile = self.meanwhile, lambda: None  # once, though quotes are read again
                meanwhile()
                if how.get("cache") is not None:
                    how["cache"].put(Prefix((1, 2), (2,), 1), memoryview(b"state" * 1000))
            yield event


@pytest.fixture
def original(folder, models, settings):
    root = folder({"a.txt": f"The {CANARY} lease ends in May.\n", "b.txt": "The kennel is open from 9 to 5.\n"})
    api.open_library("papers", settings=settings, create=True).ingest(root)
    models.generator = Interrupted(GIVEN)
    return root / "a.txt"


@pytest.fixture
def store(settings):
    return store_of(settings)


def forget(settings, *documents, **how):
    return api.open_library("papers", settings=settings).forget(list(documents) or None, **how)


def ask(settings, question, model, meanwhile=lambda: None, **how):
    model.generator.meanwhile = meanwhile
    assistant = Assistant(settings.with_options(audit_words="full"), model.generator)
    answered = assistant.ask(question, libraries=["papers"], **{"mode": "read", **how})
    (found,) = [event.answer for event in answered if isinstance(event, Answered)]
    model.generator.meanwhile = lambda: None
    return found


def talk(store, settings, models, *questions):
    session = store.new(("papers",))
    for question in questions:
        session = store.append(session, ask(settings, question, models, mode="auto"))
    return session


def shown(session):
    return [turn.answer.answer for turn in session.turns if turn.answer]


def holding(home):
    return sorted(path.name for path in home.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes())


def test_answers_from_a_forgotten_document_and_later_ones_are_removed_unless_kept(original, models, settings, store):
    mixed, other = (talk(store, settings, models, *asked) for asked in ((KENNEL, LEASE, KENNEL), (KENNEL,)))
    assert any(citation.document == "a.txt" for citation in mixed.turns[1].answer.citations)
    forget(settings, "a.txt")
    turns = store.load(mixed.id).turns
    assert [turn.question for turn in turns] == [KENNEL, LEASE, KENNEL]
    assert shown(store.load(mixed.id))[1:] == [GONE, GONE] and not turns[1].answer.passages
    # Of a small library every answer was shown all documents.
    assert store.load(other.id).turns[0].answer
    library = api.open_library("papers", settings=settings)
    for conversations, left in (("keep", True), ("remove", False)):
        library.ingest(original.parent, include_forgotten=True)
        session = talk(store, settings, models, LEASE)
        forget(settings, "a.txt", conversations=conversations)
        assert (session.id in {one.id for one in store.list()}) is left
        assert not left or CANARY in str(store.load(session.id).turns[0].answer)


@pytest.mark.parametrize("encrypted", [False, True])
def test_nothing_of_a_document_forgotten_meanwhile_is_kept(original, models, settings, store, home, encrypted):
    if encrypted:
        encrypt_folder(settings.library_dir("papers"))
    asked = store.ask(store.new(("papers",)), LEASE)

    def meanwhile():
        store.keep_partial(asked.id, LEASE, f"The {CANARY}")
        forget(settings, "a.txt")
        store.keep_partial(asked.id, LEASE, f"The {CANARY} lease")

    found = ask(settings, LEASE, models, meanwhile)
    assert CANARY in found.answer
    assert prove_forgotten(settings, "papers", file=original).proven, "while the answer is still on its way"
    saved = store.append(asked, found)
    assert shown(store.load(saved.id)) == shown(saved) == [GONE]
    assert prove_forgotten(settings, "papers", file=original).proven and holding(home) == []
    assert audit.verify(settings.library_audit_file("papers")) == []


def test_answers_from_other_documents_are_kept_and_those_asked_with_a_removed_one_not(
    original, models, settings, store
):
    first = store.append(store.ask(store.new(("papers",)), LEASE), ask(settings, LEASE, models))
    then, asked = store.ask(first, "And then?"), store.ask(store.new(("papers",)), KENNEL)
    found = ask(settings, KENNEL, models, lambda: forget(settings, "a.txt"), documents=["b.txt"])
    (kept,) = shown(store.append(asked, found))
    assert "9 to 5" in kept and list((settings.library_dir("papers") / "cache").glob("*.state"))
    saved = store.append(then, Answer("And then?", f"As said, the {CANARY} lease ends.", True, Plan("read", "")))
    assert shown(saved) == [GONE, GONE]


@pytest.mark.parametrize(("shown", "found", "left"), [([], True, False), ([], False, True), (["other#1"], True, True)])
def test_kept_words_of_an_answer_without_citations_go_too(original, models, settings, shown, found, left):
    record = settings.library_audit_file("papers")
    number = audit.record(record, "ask", "papers", question=LEASE, answer=CANARY, shown=shown, found=found)
    audit.keep_words(record, number, LEASE, CANARY)
    forget(settings, "a.txt")
    (entry,) = [entry for entry in audit.entries(record) if entry.number == number]
    assert (audit.words_of(record, entry) is not None) == left


def test_no_prompt_cache_entry_is_written_once_its_document_goes(original, models, settings):
    folder = settings.library_dir("papers")
    (document,) = api.open_library("papers", settings=settings).documents(["a.txt"])
    looks = []

    def held():
        looks.append(True)
        if len(looks) == 2:  # the file is there, and empty
            (partial,) = (folder / "cache").glob("*.partial")
            assert partial.stat().st_size == 0
            forget(settings, "a.txt")
        return True  # what an earlier look may have seen

    cache = prompt_cache.DiskPromptCache(folder, "scripted", [document.sha256], 1 << 20, held=held)
    cache.put(Prefix((1, 2), (2,), 1), memoryview(b"state"))
    assert len(looks) == 2 and not {file.name for file in (folder / "cache").iterdir()} - {"names.key"}


KILLED = """
import importlib, os, signal, sys
from localrag import api
from localrag.settings import load_settings
module, kind, name = sys.argv[1:]
owner = importlib.import_module(module)
setattr(getattr(owner, kind) if kind else owner, name, lambda *arguments, **more: os.kill(os.getpid(), signal.SIGKILL))
api.open_library("papers", settings=load_settings()).forget(["a.txt"])
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
@pytest.mark.parametrize(
    ("step", "next_run"),
    [
        ("localrag.sessions.session_store SessionStore forget", "forget"),
        ("localrag.security.audit  forget", "ingest"),
        ("localrag.llm.prompt_cache  drop_missing", "forget"),
        ("localrag.store.writer Editor remove", "ingest"),
    ],
)
@pytest.mark.proves("gone-is-gone")
def test_the_next_run_finishes_a_killed_forget(original, models, settings, store, step, next_run):
    session = store.append(store.ask(store.new(("papers",)), KENNEL), ask(settings, KENNEL, models))
    printed(KILLED, *step.split(" "), ends=-signal.SIGKILL)
    assert not prove_forgotten(settings, "papers", file=original).proven
    if next_run == "forget":
        forget(settings, "a.txt")
    else:
        api.open_library("papers", settings=settings).ingest(original.parent)
    found = prove_forgotten(settings, "papers", file=original)
    assert found.proven, found.traces
    assert len(store.load(session.id).turns) == 1


def test_an_ingest_that_ends_during_a_forget_leaves_no_digest(original, models, settings, monkeypatch):
    other = original.with_name("late.txt")
    other.write_text(f"The late {CANARY} letter.\n")
    recorded = api.audit_events.ingested
    waiting = []

    def late(*arguments):
        waiting.append(threading.Thread(target=forget, args=(settings, "late.txt")))
        waiting[0].start()
        waiting[0].join(0.5)
        recorded(*arguments)

    monkeypatch.setattr(api.audit_events, "ingested", late)
    api.open_library("papers", settings=settings).ingest(original.parent)
    waiting[0].join(PATIENCE)
    assert prove_forgotten(settings, "papers", file=other).proven


@pytest.mark.parametrize("encrypted", [False, True])
def test_nothing_of_a_library_forgotten_meanwhile_is_kept(original, models, settings, store, home, encrypted):
    if encrypted:
        encrypt_folder(settings.library_dir("papers"))
    new, asked = store.new(("papers",)), store.ask(store.new(("papers",)), LEASE)
    keys = dict(unlocked._held)

    def gone():
        forget(settings)
        unlocked._held.update(keys)  # the process that answers is another, and holds the key still

    try:
        found = ask(settings, LEASE, models, gone)
    except KeyRequired:
        found = Answer(LEASE, f"The {CANARY} lease ends in May.", True, None)
        assert encrypted
    for session in (asked, new):
        with suppress(NotFoundError, KeyRequired):
            store.append(session, found)
    store.keep_partial(asked.id, LEASE, f"The {CANARY}")
    store.keep_draft(asked.id, f"What of {CANARY}?")
    assert holding(home) == [] and asked.id not in {one.id for one in store.list()}
    assert not settings.library_dir("papers").exists()


@pytest.mark.parametrize("gone", ["keyring", "library"])
def test_what_was_encrypted_is_never_written_in_clear(original, models, settings, store, home, gone):
    encrypt_folder(settings.library_dir("papers"))
    folder, store = settings.library_dir("papers"), store_of(settings)
    found, session = ask(settings, LEASE, models), store.new(("papers",))
    if gone == "keyring":
        (folder / keyrings.FILE).unlink()
    else:
        storage.remove(folder)
    with pytest.raises(KeyRequired):
        store.append(session, found)
    for write in (
        lambda: storage.write_bytes(folder / "sessions" / "x.json", CANARY.encode()),
        lambda: storage.append_line(folder / "audit.jsonl", CANARY),
        lambda: storage.connect(folder / "new.db", write=True),
    ):
        with pytest.raises(KeyRequired):
            write()
    assert holding(home) == [] and folder.exists() == (gone == "keyring")
    unlocked.forget()  # another process, which never had the key
    with suppress(storage.sqlite3.DatabaseError):
        store.append(session, found)
    assert holding(home) == []


def test_a_file_begun_in_clear_is_not_finished_in_an_encrypted_folder(settings, shelf, home):
    shelf("papers", {"a.txt": "words"}).close()
    folder = settings.library_dir("papers")
    with pytest.raises((StorageError, FileNotFoundError)), storage.create(folder / "x.bin") as stream:
        encrypt_folder(folder)
        stream.write(CANARY.encode())
    # A file that began before the keyring was there, and was made after unfinished ones were deleted.
    fresh, keys_for = folder / "y.bin", unlocked.keys_for
    try:
        unlocked.keys_for = lambda path: None if path == fresh else keys_for(path)
        with pytest.raises(StorageError), storage.create(fresh) as stream:
            stream.write(CANARY.encode())
    finally:
        unlocked.keys_for = keys_for
    assert holding(home) == []


def test_encrypted_conversations_are_listed_without_asking_for_a_key(original, models, settings, store, home):
    session = talk(store, settings, models, LEASE)
    folder = settings.library_dir("papers")
    encrypt_folder(folder)
    session = store.append(session, ask(settings, LEASE, models))
    store.keep_draft(session.id, f"more of {CANARY}?")
    assert holding(home) == []
    assert len(store.load(session.id).turns) == 2
    unlocked.forget()
    source = Mock(side_effect=unlocked.locked_error(folder))
    unlocked.set_key_source(source)
    (listed,) = store.list()
    assert "its key is not here" in listed.problem and store.all() == ()
    assert not any(call.args[2] for call in source.call_args_list), "nobody is asked"
    with pytest.raises(KeyRequired):
        store.load(session.id)


def test_a_conversation_that_goes_on_with_an_encrypted_library_moves_to_it(
    original, models, settings, store, home, shelf
):
    session = talk(store, settings, models, KENNEL)
    secret = shelf("secret", {"s.txt": f"The {CANARY} clause."})
    secret.close()
    encrypt_folder(secret.folder)
    grown = store.ask(replace(session, libraries=("papers", "secret")), f"What of {CANARY}?")
    assert not (home / "indexes" / "papers" / "sessions" / f"{session.id}.json").exists()
    assert (home / "indexes" / "secret" / "sessions" / f"{session.id}.json").exists()
    assert [path for path in holding(home) if path.endswith(".json")] == []
    assert store.load(grown.id).turns[-1].question == f"What of {CANARY}?"


@pytest.fixture
def letters(folder, models, settings):
    root = folder({"a.txt": "The lease of Anna.", "b.txt": "The lease of Bert.", "sub/c.txt": "Other words."})
    api.open_library("papers", settings=settings, create=True).ingest(root)
    return root


def test_neither_another_name_nor_changed_words_nor_an_archive_bring_it_back(letters, settings):
    assert forget(settings, "a.txt") == ["a.txt"]
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
    report = api.open_library("papers", settings=settings).ingest(letters, include_forgotten=True)
    assert report.forgotten == 0 and "a.txt" in report.read, "it is let back in for good"
    assert api.open_library("papers", settings=settings).ingest(letters).read == ()


def test_tombstones_reveal_nothing_and_differ_between_libraries(letters, settings):
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


@pytest.mark.parametrize("conversations", ["redact", "remove"])
def test_the_app_asks_without_answers_removed_meanwhile(original, models, settings, store, conversations):
    first, asked = ask(settings, LEASE, models), []
    engine, screen = Mock(), Mock()

    def answers(question, **how):
        asked.append(how["history"])
        return iter([Answered(replace(first, question=question))])

    engine.ask = answers
    state, scope, core = ChatState(), Scope(("papers",)), Core(engine, store)
    answer(core, PendingQuestion(LEASE, state, scope, scope), screen)
    assert CANARY in str(state.history)
    forget(settings, "a.txt", conversations=conversations)
    answer(core, PendingQuestion(KENNEL, state, scope, scope), screen)
    assert len(asked) == 2 and CANARY not in str(asked[-1])
    if conversations == "remove":
        (kept,) = store.all()
        assert asked[-1] == () and [turn.question for turn in kept.turns] == [KENNEL]


def test_nobody_waits_for_a_passphrase_with_the_lock_of_conversations(original, models, settings, store):
    encrypt_folder(settings.library_dir("papers"))
    asked = store.ask(store.new(("papers",)), LEASE)
    unlocked.forget()
    at_lock = []

    def typed(folder, keyring, ask):
        other = storage.lock(store.folder / "sessions.lock", "the conversations", wait=False)
        with other:
            at_lock.append(ask)
        raise unlocked.locked_error(folder)

    unlocked.set_key_source(typed)
    for act in (
        lambda: store.ask(asked, KENNEL),
        lambda: store.retitle(asked.id, "x"),
        lambda: store.branch(asked.id),
        lambda: store.append(asked, Answer(LEASE, "x", True, None)),
    ):
        with pytest.raises(KeyRequired):
            act()
    assert at_lock == [True] * 4


def test_the_app_never_asks_for_a_passphrase(original, models, settings, store, monkeypatch):
    from localrag.cli import chat, keys
    from localrag.tui.app import LocalragApp
    from localrag.types import EVERYTHING

    refused = []

    def run(app):
        encrypt_folder(settings.library_dir("papers"))
        unlocked.forget()
        for thread in app.threads.values():  # threads of their own
            thread.submit(lambda: app.core.store.ask(app.core.store.new(("papers",)), LEASE), refused.append)
            assert thread.close(10)

    monkeypatch.setattr("getpass.getpass", lambda prompt: pytest.fail("the screen is not a prompt"))
    monkeypatch.setattr(keys, "_can_ask", lambda: True)
    monkeypatch.setattr(LocalragApp, "run", run)
    unlocked.set_key_source(keys.library_key)
    chat._run_app(settings, ["papers"], None, EVERYTHING, "auto", [], None)
    assert [type(error) for error in refused] == [KeyRequired] * len(refused) and len(refused) == 4
