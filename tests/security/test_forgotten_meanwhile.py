"""What is forgotten, or encrypted, while an answer runs is not written afterwards, by whatever process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedGenerator
from waiting import PATIENCE

from localrag import api
from localrag.answer.assistant import Assistant
from localrag.errors import KeyRequired, NotFoundError, StorageError
from localrag.events import Answered
from localrag.lifecycle import encrypt
from localrag.llm import Prefix
from localrag.proofs.forgotten import prove_forgotten
from localrag.security import audit, storage
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.sessions import store_of
from localrag.sessions.session_store import GONE
from localrag.settings import Settings
from localrag.tui.chat_state import ChatState, PendingQuestion, Scope, answer
from localrag.tui.threads import Core
from localrag.types import Answer

pytestmark = pytest.mark.slow

CANARY = "zanzibarquill"
LEASE, KENNEL = "When does the lease end?", "When is the kennel open?"
SECRET = keyrings.RecoveryKey.new()


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(unlocked, "no_dumps", lambda: None)
    unlocked.forget()
    yield
    unlocked.forget()
    unlocked.set_key_source(None)


@dataclass
class Interrupted(ScriptedGenerator):
    """Something happens while it writes its answer; afterwards it caches what it has read."""

    meanwhile: Callable[[], object] = lambda: None
    prompts_kept: list[Any] = field(default_factory=list)

    def generate(self, messages: Any, **how: Any) -> Iterator[Any]:
        for number, event in enumerate(super().generate(messages, **how)):
            if number == 1:
                self.meanwhile()
                if how.get("cache") is not None:
                    how["cache"].put(Prefix((1, 2), (2,), 1), memoryview(b"state" * 1000))
            yield event


@pytest.fixture
def original(folder: Callable[..., Path], models: Any, settings: Settings) -> Path:
    root = folder({"a.txt": f"The {CANARY} lease ends in May.\n", "b.txt": "The kennel is open from 9 to 5.\n"})
    api.open_library("papers", settings=settings, create=True).ingest(root)
    models.generator = Interrupted(
        [("lease end", f"The {CANARY} lease ends in May."), ("kennel open", "The kennel is open from 9 to 5.")]
    )
    return root / "a.txt"


def make_encrypted(settings: Settings, library: str = "papers") -> None:
    folder = settings.library_dir(library)
    for _ in encrypt.encrypt(folder, lambda keyring, key: keyring.with_credential(key, "me", SECRET), lambda: False):
        pass


def forget(settings: Settings, *documents: str) -> None:
    api.open_library("papers", settings=settings).forget(list(documents) or None)


def ask(settings: Settings, question: str, model: Any, meanwhile: Callable[[], object] = lambda: None) -> Answer:
    model.generator.meanwhile = meanwhile
    assistant = Assistant(settings.with_options(audit_words="full"), model.generator)
    answered = assistant.ask(question, libraries=["papers"], mode="read")
    (found,) = [event.answer for event in answered if isinstance(event, Answered)]
    model.generator.meanwhile = lambda: None
    return found


def holding(home: Path) -> list[str]:
    return sorted(path.name for path in home.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes())


# --- a document ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encrypted", [False, True])
def test_nothing_of_a_document_forgotten_meanwhile_is_kept(
    original: Path, models: Any, settings: Settings, home: Path, encrypted: bool
) -> None:
    if encrypted:
        make_encrypted(settings)
    store = store_of(settings)
    asked = store.ask(store.new(("papers",)), LEASE)

    def meanwhile() -> None:
        store.keep_partial(asked.id, LEASE, f"The {CANARY}")
        forget(settings, "a.txt")
        store.keep_partial(asked.id, LEASE, f"The {CANARY} lease")

    found = ask(settings, LEASE, models, meanwhile)
    assert CANARY in found.answer
    assert prove_forgotten(settings, "papers", file=original).proven, "while the answer is still on its way"
    saved = store.append(asked, found)
    assert [turn.answer.answer for turn in store.load(saved.id).turns if turn.answer] == [GONE]
    assert saved.turns[-1].answer and saved.turns[-1].answer.answer == GONE
    assert prove_forgotten(settings, "papers", file=original).proven and holding(home) == []
    assert audit.verify(settings.library_audit_file("papers")) == []


def test_answers_from_other_documents_are_kept(original: Path, models: Any, settings: Settings) -> None:
    store = store_of(settings)
    asked = store.ask(store.new(("papers",)), KENNEL)
    models.generator.meanwhile = lambda: forget(settings, "a.txt")
    assistant = Assistant(settings, models.generator)
    events = assistant.ask(KENNEL, libraries=["papers"], documents=["b.txt"], mode="read")
    (found,) = [event.answer for event in events if isinstance(event, Answered)]
    kept = store.append(asked, found).turns[-1].answer
    assert kept is not None and "9 to 5" in kept.answer
    assert list((settings.library_dir("papers") / "cache").glob("*.state"))


def test_an_answer_asked_with_a_removed_one_is_removed_too(original: Path, models: Any, settings: Settings) -> None:
    store = store_of(settings)
    first = store.append(store.ask(store.new(("papers",)), LEASE), ask(settings, LEASE, models))
    asked = store.ask(first, "And then?")
    forget(settings, "a.txt")
    saved = store.append(
        asked, Answer("And then?", f"As said, the {CANARY} lease ends.", True, first.turns[0].answer.plan)
    )  # type: ignore[union-attr]
    assert [turn.answer.answer for turn in saved.turns if turn.answer] == [GONE, GONE]


@pytest.mark.parametrize(("shown", "found", "left"), [([], True, False), ([], False, True), (["other#1"], True, True)])
def test_kept_words_of_an_answer_without_citations_go_too(
    original: Path, models: Any, settings: Settings, shown: list[str], found: bool, left: bool
) -> None:
    record = settings.library_audit_file("papers")
    number = audit.record(record, "ask", "papers", question=LEASE, answer=CANARY, shown=shown, found=found)
    audit.keep_words(record, number, LEASE, CANARY)
    forget(settings, "a.txt")
    (entry,) = [entry for entry in audit.entries(record) if entry.number == number]
    assert (audit.words_of(record, entry) is not None) == left


def test_no_prompt_cache_entry_is_written_once_its_document_goes(
    original: Path, models: Any, settings: Settings
) -> None:
    from localrag.llm import prompt_cache

    folder = settings.library_dir("papers")
    (document,) = api.open_library("papers", settings=settings).documents(["a.txt"])
    looks: list[bool] = []

    def held() -> bool:
        looks.append(True)
        if len(looks) == 2:  # the file is there, and empty
            (partial,) = (folder / "cache").glob("*.partial")
            assert partial.stat().st_size == 0
            forget(settings, "a.txt")
            return True  # what an earlier look may have seen
        return True

    cache = prompt_cache.DiskPromptCache(folder, "scripted", [document.sha256], 1 << 20, held=held)
    cache.put(Prefix((1, 2), (2,), 1), memoryview(b"state"))
    assert len(looks) == 2 and not {file.name for file in (folder / "cache").iterdir()} - {"names.key"}


KILLED = """
import os, signal, sys
from localrag import api
from localrag.lifecycle import forget
from localrag.settings import load_settings
def die(*arguments, **more):
    os.kill(os.getpid(), signal.SIGKILL)
place, name = sys.argv[1].rsplit(".", 1)
import importlib
owner = importlib.import_module(place) if ":" not in place else None
if owner is None:
    module, kind = place.split(":")
    owner = getattr(importlib.import_module(module), kind)
setattr(owner, name, die)
api.open_library("papers", settings=load_settings()).forget(["a.txt"])
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
@pytest.mark.parametrize(
    "step",
    [
        "localrag.sessions.session_store:SessionStore.forget",
        "localrag.security.audit.forget",
        "localrag.llm.prompt_cache.drop_missing",
        "localrag.store.writer:Editor.remove",
    ],
)
@pytest.mark.parametrize("next_run", ["forget", "ingest"])
def test_the_next_run_finishes_a_killed_forget(
    original: Path, models: Any, settings: Settings, home: Path, step: str, next_run: str
) -> None:
    store = store_of(settings)
    session = store.append(store.ask(store.new(("papers",)), KENNEL), ask(settings, KENNEL, models))
    died = subprocess.run([sys.executable, "-c", KILLED, step], timeout=PATIENCE, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert not prove_forgotten(settings, "papers", file=original).proven
    if next_run == "forget":
        forget(settings, "a.txt")
    else:
        api.open_library("papers", settings=settings).ingest(original.parent)
    found = prove_forgotten(settings, "papers", file=original)
    assert found.proven, found.traces
    assert len(store.load(session.id).turns) == 1


def test_an_ingest_that_ends_during_a_forget_leaves_no_digest(
    original: Path, models: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = original.with_name("late.txt")
    other.write_text(f"The late {CANARY} letter.\n")
    recorded = api.audit_events.ingested
    waiting: list[threading.Thread] = []

    def late(*arguments: Any) -> None:
        waiting.append(threading.Thread(target=forget, args=(settings, "late.txt")))
        waiting[0].start()
        waiting[0].join(0.5)
        recorded(*arguments)

    monkeypatch.setattr(api.audit_events, "ingested", late)
    api.open_library("papers", settings=settings).ingest(original.parent)
    waiting[0].join(PATIENCE)
    assert prove_forgotten(settings, "papers", file=other).proven


# --- a library ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encrypted", [False, True])
def test_nothing_of_a_library_forgotten_meanwhile_is_kept(
    original: Path, models: Any, settings: Settings, home: Path, encrypted: bool
) -> None:
    if encrypted:
        make_encrypted(settings)
    store = store_of(settings)
    new, asked = store.new(("papers",)), store.ask(store.new(("papers",)), LEASE)
    keys = dict(unlocked._held)

    def gone() -> None:
        forget(settings)
        unlocked._held.update(keys)  # the process that answers is another, and holds the key still

    try:
        found = ask(settings, LEASE, models, gone)
    except KeyRequired:
        found = Answer(LEASE, f"The {CANARY} lease ends in May.", True, None)  # type: ignore[arg-type]
        assert encrypted
    for session in (asked, new):
        try:
            store.append(session, found)
        except (NotFoundError, KeyRequired):
            continue
    store.keep_partial(asked.id, LEASE, f"The {CANARY}")
    store.keep_draft(asked.id, f"What of {CANARY}?")
    assert holding(home) == []
    assert not settings.library_dir("papers").exists()


@pytest.mark.parametrize("gone", ["keyring", "library"])
def test_what_was_encrypted_is_never_written_in_clear(
    original: Path, models: Any, settings: Settings, home: Path, gone: str
) -> None:
    make_encrypted(settings)
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


def test_a_file_begun_in_clear_is_not_finished_in_an_encrypted_folder(
    settings: Settings, shelf: Any, home: Path
) -> None:
    shelf("papers", {"a.txt": "words"}).close()
    folder = settings.library_dir("papers")
    with pytest.raises((StorageError, FileNotFoundError)), storage.create(folder / "x.bin") as stream:
        make_encrypted(settings)
        stream.write(CANARY.encode())
    # A file that began before the keyring was there, and was made after unfinished ones were deleted.
    fresh, keys_for = folder / "y.bin", unlocked.keys_for
    try:
        unlocked.keys_for = lambda path: None if path == fresh else keys_for(path)  # type: ignore[assignment]
        with pytest.raises(StorageError), storage.create(fresh) as stream:
            stream.write(CANARY.encode())
    finally:
        unlocked.keys_for = keys_for
    assert holding(home) == []


# --- the app ------------------------------------------------------------------------------------------------


class Silent:
    """A screen that takes messages."""

    def post_message(self, message: object) -> bool:
        return True


def test_the_app_asks_without_answers_removed_meanwhile(original: Path, models: Any, settings: Settings) -> None:
    store = store_of(settings)
    first = ask(settings, LEASE, models)
    asked: list[Any] = []

    class Engine:
        def ask(self, question: str, **how: Any) -> Iterator[Answered]:
            asked.append(how["history"])
            return iter([Answered(first)])

    state, scope = ChatState(), Scope(("papers",))
    core = Core(Engine(), store)  # type: ignore[arg-type]
    answer(core, PendingQuestion(LEASE, state, scope, scope), Silent())  # type: ignore[arg-type]
    assert CANARY in str(state.history)
    forget(settings, "a.txt")
    answer(core, PendingQuestion(KENNEL, state, scope, scope), Silent())  # type: ignore[arg-type]
    assert len(asked) == 2 and CANARY not in str(asked[-1])


def test_nothing_of_a_deleted_conversation_is_asked_with(original: Path, models: Any, settings: Settings) -> None:
    store, asked = store_of(settings), []
    first = ask(settings, LEASE, models)

    class Engine:
        def ask(self, question: str, **how: Any) -> Iterator[Answered]:
            asked.append(how["history"])
            return iter([Answered(replace(first, question=question))])

    state, scope = ChatState(), Scope(("papers",))
    core = Core(Engine(), store)  # type: ignore[arg-type]
    answer(core, PendingQuestion(LEASE, state, scope, scope), Silent())  # type: ignore[arg-type]
    api.open_library("papers", settings=settings).forget(["a.txt"], conversations="remove")
    assert store.list() == []
    answer(core, PendingQuestion(KENNEL, state, scope, scope), Silent())  # type: ignore[arg-type]
    assert asked == [(), ()]
    (kept,) = store.all()
    assert [turn.question for turn in kept.turns] == [KENNEL]


def test_nobody_waits_for_a_passphrase_with_the_lock_of_conversations(
    original: Path, models: Any, settings: Settings
) -> None:
    make_encrypted(settings)
    store = store_of(settings)
    asked = store.ask(store.new(("papers",)), LEASE)
    unlocked.forget()
    at_lock: list[bool] = []

    def typed(folder: Path, keyring: Any, ask: bool) -> Any:
        other = storage.lock(store.folder / "sessions.lock", "the conversations", wait=False)
        with other:
            at_lock.append(ask)
        raise unlocked.locked_error(folder)

    unlocked.set_key_source(typed)
    for act in (
        lambda: store.ask(asked, KENNEL),
        lambda: store.retitle(asked.id, "x"),
        lambda: store.branch(asked.id),
        lambda: store.append(asked, Answer(LEASE, "x", True, None)),  # type: ignore[arg-type]
    ):
        with pytest.raises(KeyRequired):
            act()
    assert at_lock == [True] * 4


def test_the_app_never_asks_for_a_passphrase(
    original: Path, models: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from localrag.cli import chat, keys
    from localrag.tui.app import LocalragApp
    from localrag.types import EVERYTHING

    refused: list[KeyRequired] = []

    def run(app: LocalragApp) -> None:
        make_encrypted(settings)
        unlocked.forget()
        for thread in app.threads.values():  # threads of their own
            thread.submit(lambda: app.core.store.ask(app.core.store.new(("papers",)), LEASE), refused.append)  # type: ignore[arg-type]
            assert thread.close(10)

    monkeypatch.setattr("getpass.getpass", lambda prompt: pytest.fail("the screen is not a prompt"))
    monkeypatch.setattr(keys, "_can_ask", lambda: True)
    monkeypatch.setattr(LocalragApp, "run", run)
    unlocked.set_key_source(keys.library_key)
    chat._run_app(settings, ["papers"], None, EVERYTHING, "auto", [], None)
    assert [type(error) for error in refused] == [KeyRequired] * len(refused) and len(refused) == 4
