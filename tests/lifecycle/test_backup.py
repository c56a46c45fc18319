import json
from contextlib import closing

import pytest
from encrypted import encrypt_folder
from papers import contents, sound, with_words

from localrag import policy
from localrag.errors import (
    Cancelled,
    IntegrityError,
    KeyRequired,
    KeyringDamaged,
    LibraryError,
    LibraryLocked,
    PolicyRefused,
    UsageError,
)
from localrag.lifecycle import backup, restore
from localrag.llm import Prefix
from localrag.llm.prompt_cache import DiskPromptCache
from localrag.security import audit, storage
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Recipients
from localrag.sessions import store_of
from localrag.store.library import Library, open_library
from localrag.store.names import DATABASE
from localrag.store.writer import Editor
from localrag.types import Answer, Citation, Plan

CANARY = "zanzibarquill"
DOCUMENTS = {
    "lease.pdf": ["The lease of Orlo House ends on 31 May 2031.", f"The {CANARY} rent is 4,100 a month."],
    "notes.txt": "Elephants are grey, and never forget a rent.",
}
HELD = keyrings.parse_key_file(keyrings.new_key_file())
FOR_US = Recipients((("office", HELD.public),))


def ours(place, keyring):
    return keyrings.from_json(keyring).unlock(HELD)


def nobody(place, keyring):
    raise KeyRequired("no key")


@pytest.fixture
def library(shelf, settings):
    made = shelf("contracts", DOCUMENTS)
    made.instruct("Answer in German.")
    made.close()
    store = store_of(settings)
    cited = Citation("contracts", "lease.pdf", 2, None, "p. 2", "rent is 4,100", 4, 17, 1)
    session = store.ask(store.new(("contracts",)), "How much?")
    store.append(session, Answer("How much?", "4,100 [1].", True, Plan("retrieve", "short"), citations=(cited,)))
    file = settings.library_audit_file("contracts")
    number = audit.record(file, "ask", "contracts", question="How much?", answer="4,100")
    audit.keep_words(file, number, "How much?", "4,100")
    cache = DiskPromptCache(made.folder, "scripted", ["hash of lease.pdf"], 1 << 20)
    cache.put(Prefix((1,), (1,), 1), memoryview(b"state"))
    return made.folder


@pytest.fixture
def file(tmp_path):
    return tmp_path / "contracts.backup"


def body_of(file, *lines):
    parts = [one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in lines]
    file.write_bytes(backup.MAGIC + bytes(4) + b"".join(parts))


ABOUT = {"localrag-backup": 1, "library": "contracts", "made": "", "schema": 3, "encrypted": False}


def test_a_library_comes_back_as_it_was(library, settings, file):
    with closing(Library.open(library, "contracts")) as before:
        held = contents(before), before.identity, before.instructions, repr(before.overview())
    conversations = store_of(settings).all()
    made = backup.write(settings, "contracts", file, FOR_US)
    assert made == backup.check(file, ours) and made.files == 5
    assert CANARY.encode() not in file.read_bytes() and file.stat().st_mode & 0o777 == 0o600
    other = keyrings.RecoveryKey(b"o" * 32)
    with pytest.raises(KeyRequired):
        restore.restore(settings, file, "again", unlock=lambda place, ring: keyrings.from_json(ring).unlock(other))
    storage.remove(library)
    done = restore.restore(settings, file, unlock=ours)
    assert (done.library, done.documents, done.conversations, done.left_out) == ("contracts", 2, 1, ())
    assert done.instructions == "Answer in German."
    with closing(Library.open(library, "contracts")) as after:
        assert (contents(after), after.identity, after.instructions, repr(after.overview())) == held
        sound(after)
        assert len(with_words(after, "rent")) == 2
    assert store_of(settings).all() == conversations
    record = settings.library_audit_file("contracts")
    assert audit.verify(record) == [] and [entry.event for entry in audit.entries(record)] == ["ask", "export"]
    assert audit.words_of(record, next(audit.entries(record))) == audit.Words("How much?", "4,100")
    assert [entry.event for entry in audit.entries(settings.audit_file)] == ["restore"]
    assert not (library / "cache").exists() and not list(settings.indexes_dir.glob(".*.restoring"))


def test_an_encrypted_library_goes_and_comes_under_its_own_key(library, settings, file):
    encrypt_folder(library, HELD)
    with pytest.raises(UsageError):
        backup.write(settings, "contracts", file, clear=True)
    backup.write(settings, "contracts", file)
    keyring = (library / keyrings.FILE).read_bytes()
    storage.remove(library)
    unlocked.forget()
    with pytest.raises(KeyRequired):
        restore.restore(settings, file, unlock=nobody)
    done = restore.restore(settings, file, unlock=ours)
    assert done.encrypted and (library / keyrings.FILE).read_bytes() == keyring
    everything = b"".join(path.read_bytes() for path in settings.indexes_dir.rglob("*") if path.is_file())
    assert CANARY.encode() not in everything and CANARY.encode() not in file.read_bytes()
    with closing(Library.open(library, "contracts")) as after:
        assert len(with_words(after, CANARY)) == 1
    assert audit.verify(settings.library_audit_file("contracts")) == []


def test_a_backup_is_of_one_moment_while_somebody_writes(library, settings, file, put, monkeypatch):
    monkeypatch.setattr(backup, "_PAGES_PER_STEP", 5)
    steps = 0

    def meanwhile():
        nonlocal steps
        steps += 1
        if steps < 4:
            with closing(Editor.open(library, "contracts")) as editor:
                put(editor, f"new {steps}.txt", f"Flamingos are pink, {steps} times.")
        return False

    backup.write(settings, "contracts", file, FOR_US, stop=meanwhile)
    assert steps > 3
    assert restore.restore(settings, file, "again", unlock=ours).documents == 2
    with closing(Library.open(library, "contracts")) as after:
        assert len(after.documents()) == 5


def test_every_change_of_a_backup_is_found_and_makes_nothing(library, settings, file):
    backup.write(settings, "contracts", file, FOR_US)
    whole = file.read_bytes()
    for at in range(0, len(whole), len(whole) // 60):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises((IntegrityError, UsageError, KeyringDamaged, KeyRequired)):
            restore.restore(settings, file, "again", unlock=ours)
    for cut in (0, 10, 500, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:cut])
        with pytest.raises((IntegrityError, UsageError, KeyringDamaged)):
            backup.check(file, ours)
    assert [path.name for path in settings.indexes_dir.iterdir()] == ["contracts"]
    backup.write(settings, "contracts", file, clear=True, replace=True)
    whole = file.read_bytes()
    for damaged in (whole[:-5], whole[:5000] + b"x" + whole[5001:], whole + b"x"):
        file.write_bytes(damaged)
        with pytest.raises(IntegrityError):
            backup.check(file, nobody)


PATHS = [
    "../evil",
    "/etc/evil",
    "sessions/../../evil",
    "library.db-wal",
    "vectors.index",
    "vault.json",
    "audit.key\n",
    "",
]


def test_a_backup_that_lies_of_itself_is_refused_and_writes_nothing(settings, file):
    for lines in (
        *([ABOUT, {"path": path, "size": 1}, b"x", {"end": 1, "sha256": ""}] for path in (*PATHS, 5)),
        [b"[" * 4000 + b"\n"],
        [{**ABOUT, "library": "../x"}],
        [ABOUT, {"path": "library.db", "size": 1 << 60}, b"x"],
        [ABOUT, {"path": "library.db", "size": -1}],
        [ABOUT, {"end": 0, "sha256": ""}],
        [ABOUT, {"path": "audit.key", "size": 0}, {"path": "audit.key", "size": 0}],
    ):
        body_of(file, *lines)
        with pytest.raises((IntegrityError, LibraryError, UsageError)):
            restore.restore(settings, file, unlock=nobody, trust=True)
        assert not list(settings.indexes_dir.glob("*")) and not (settings.indexes_dir.parent / "evil").exists()


def test_nothing_is_overwritten_without_being_asked_for(library, settings, file):
    backup.write(settings, "contracts", file, FOR_US)
    before = file.read_bytes()
    for again in (
        lambda: backup.write(settings, "contracts", file, FOR_US),
        lambda: restore.restore(settings, file, unlock=ours),
    ):
        with pytest.raises(UsageError):
            again()
    assert file.read_bytes() == before
    with closing(Editor.open(library, "contracts")) as editor:
        editor.remove(editor.documents())
    assert restore.restore(settings, file, replace=True, unlock=ours).documents == 2
    restored = [entry for entry in audit.entries(settings.audit_file) if entry.event == "restore"]
    assert restored[-1].details["record"]["number"] == 2


def test_what_stops_it_or_forbids_it_leaves_nothing(library, settings, file):
    policy.SYSTEM.parent.mkdir()
    policy.SYSTEM.write_text("allow_exports = false\n")
    with pytest.raises(PolicyRefused):
        backup.write(settings, "contracts", file, FOR_US)
    policy.SYSTEM.unlink()
    with pytest.raises(Cancelled):
        backup.write(settings, "contracts", file, FOR_US, stop=lambda: True)
    assert not list(file.parent.glob("*.backup*")) and not list(library.glob("*.partial*"))
    backup.write(settings, "contracts", file, FOR_US)
    for after in (1, 4):
        polls = iter([False] * after)
        with pytest.raises(Cancelled):
            restore.restore(settings, file, "again", unlock=ours, stop=lambda polls=polls: next(polls, True))
    assert [path.name for path in settings.indexes_dir.iterdir()] == ["contracts"]


def test_a_library_that_a_killed_restore_had_put_aside_is_there_again(library, settings, file):
    backup.write(settings, "contracts", file, FOR_US)
    storage.move(library, settings.indexes_dir / ".contracts.restoring" / "old")
    storage.write_bytes(settings.indexes_dir / ".other.restoring" / "other" / "library.db", b"half")
    with storage.lock(settings.audit_file.with_name("restoring.lock"), "a library"), pytest.raises(LibraryLocked):
        restore.restore(settings, file, unlock=ours)
    with pytest.raises(UsageError):
        restore.restore(settings, file, unlock=ours)
    assert (library / DATABASE).is_file() and [path.name for path in settings.indexes_dir.iterdir()] == ["contracts"]


def test_under_another_name_conversations_speak_of_that_library(library, settings, file):
    backup.write(settings, "contracts", file, FOR_US)
    done = restore.restore(settings, file, "beside", unlock=ours)
    assert done.conversations == 0 and len(done.left_out) == 1
    storage.remove(library)
    assert restore.restore(settings, file, "instead", unlock=ours).conversations == 1
    (session,) = store_of(settings).all()
    assert session.libraries == ("instead",)
    assert session.turns[0].answer.citations[0].library == "instead"


@pytest.mark.parametrize("as_folder", [False, True])
@pytest.mark.proves("foreign-libraries")
def test_what_nobody_vouches_for_is_restored_only_when_told(library, settings, file, tmp_path, as_folder):
    source = library.rename(tmp_path / "stick") if as_folder else file
    if as_folder:
        source.chmod(0o777)
        (source / "vectors.index").write_bytes(b"what FAISS must not see")
        (source / "more.txt").symlink_to(tmp_path)
        (source / "sessions" / "20200101T000000000000-abcdef.json").symlink_to(source / DATABASE)
    else:
        backup.write(settings, "contracts", file, clear=True)
        storage.remove(settings.audit_file)  # it was made elsewhere
    assert not restore.inspect(settings, source, "theirs", nobody).trusted
    with pytest.raises(UsageError) as refused:
        restore.restore(settings, source, "theirs", unlock=nobody)
    assert "--yes" in refused.value.hint and not (settings.indexes_dir / "theirs").exists()
    done = restore.restore(settings, source, "theirs", trust=True, unlock=nobody)
    assert (done.documents, done.instructions) == (2, "Answer in German.")
    assert (done.conversations, len(done.left_out)) == ((1, 0) if as_folder else (0, 1))
    with closing(open_library(settings, "theirs")) as restored:
        sound(restored)
    assert not (settings.indexes_dir / "theirs" / "more.txt").exists()


def test_a_backup_made_here_is_trusted_until_it_is_changed_or_exchanged(library, settings, file, monkeypatch):
    backup.write(settings, "contracts", file, clear=True)
    found = restore.inspect(settings, file, "again", nobody)
    assert found.trusted
    (settings.indexes_dir / "contracts" / "audit.jsonl").unlink()
    backup.write(settings, "contracts", file, clear=True, replace=True)
    with monkeypatch.context() as patch, pytest.raises(IntegrityError):
        patch.setattr(restore, "inspect", lambda *_: found)
        restore.restore(settings, file, "again", unlock=nobody)
    assert not (settings.indexes_dir / "again").exists()
    storage.remove(settings.audit_file)  # it was made elsewhere
    assert not restore.inspect(settings, file, "again", nobody).trusted


def test_an_encrypted_folder_is_trusted_by_its_key_alone(library, settings, tmp_path):
    encrypt_folder(library, HELD)
    stick = library.rename(tmp_path / "stick")
    unlocked.forget()
    with pytest.raises(KeyRequired):
        restore.restore(settings, stick, "again", trust=True, unlock=nobody)
    done = restore.restore(settings, stick, "again", unlock=ours)
    assert done.encrypted and done.documents == 2
    everything = b"".join(path.read_bytes() for path in settings.indexes_dir.rglob("*") if path.is_file())
    assert CANARY.encode() not in everything


def test_a_folder_that_is_no_library_or_of_another_schema_is_refused(library, settings, tmp_path):
    with pytest.raises(UsageError):
        restore.restore(settings, tmp_path, "again", trust=True, unlock=nobody)
    with closing(Editor.open(library, "contracts")) as editor, editor.transaction():
        editor._db.execute("UPDATE meta SET value = '2' WHERE key = 'schema'")
    with pytest.raises(LibraryError):
        restore.restore(settings, library, "again", trust=True, unlock=nobody)
    assert [path.name for path in settings.indexes_dir.iterdir()] == ["contracts"]
