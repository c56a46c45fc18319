import itertools
import os
from pathlib import Path

import pytest
from command_line import printed
from encrypted import encrypt_folder

from localrag.errors import Cancelled, IntegrityError, KeyRequired, LibraryError, LibraryLocked, UsageError
from localrag.lifecycle import encrypt
from localrag.llm import Prefix
from localrag.llm.prompt_cache import DiskPromptCache
from localrag.security import audit, storage
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Key, Passphrase
from localrag.store.library import Library
from localrag.store.writer import Editor

pytestmark = pytest.mark.slow

CANARY = "zanzibarquill"
WORDS = Passphrase("correct horse battery")
DOCUMENTS = {f"{n}.txt": f"The {CANARY} clause number {n} ends in {1990 + n}. " * 30 for n in range(5)}
PREFIX = Prefix((1, 2, 3), (3,), 1)


def asking(folder, keyring, person):
    return keyring.unlock(WORDS)


def in_steps(folder, stop):
    list(encrypt.encrypt(folder, lambda keyring, key: keyring.with_credential(key, "office", WORDS), stop))


def rotate(folder, stop=lambda: False):
    list(encrypt.rotate(folder, WORDS, stop))


@pytest.fixture
def plain(shelf):
    library = shelf("contracts", DOCUMENTS)
    folder = library.folder
    library.close()
    DiskPromptCache(folder, "model", ["h1"], 1 << 20).put(PREFIX, memoryview(CANARY.encode() * 1000))
    storage.write_bytes(folder / "sessions" / "one.json", CANARY.encode())
    return folder


def in_clear(folder):
    return [path.name for path in folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]


def works(folder):
    library = Library.open(folder, "contracts")
    try:
        assert [document.path for document in library.documents()] == sorted(DOCUMENTS)
        page = library.pages(library.document("3.txt").id)[0]
        assert page.text == DOCUMENTS["3.txt"]
    finally:
        library.close()
    assert DiskPromptCache(folder, "model", ["h1"], 1 << 20).get(PREFIX) == CANARY.encode() * 1000
    assert storage.read_bytes(folder / "sessions" / "one.json") == CANARY.encode()


@pytest.mark.proves("encrypted-whole")
def test_without_the_key_nothing_can_be_read(plain):
    encrypt_folder(plain, WORDS)
    unlocked.forget()
    for attempt in (
        lambda: Library.open(plain, "contracts"),
        lambda: storage.read_bytes(plain / "sessions" / "one.json"),
        lambda: storage.write_bytes(plain / "sessions" / "two.json", b"x"),
    ):
        with pytest.raises(KeyRequired) as raised:
            attempt()
        assert "--key-file" in raised.value.hint
    for wrong in (
        lambda: unlocked.add_key(plain, Key.new()),
        lambda: encrypt.keyring_of(plain).unlock(Passphrase("wrong words here")),
    ):
        with pytest.raises(KeyRequired):
            wrong()
    unlocked.set_key_source(asking)
    works(plain)


def test_later_writes_are_encrypted(plain, put):
    encrypt_folder(plain, WORDS)
    library = Editor.open(plain, "contracts")
    put(library, "new.txt", f"A new {CANARY} paragraph. " * 200)
    # Also what is in the write-ahead log and not yet in the database.
    assert (plain / "library.db-wal").stat().st_size > 0
    assert in_clear(plain) == []
    library.save_index()
    library.close()
    storage.append_line(plain / "log.jsonl", CANARY)
    assert in_clear(plain) == []


def test_the_audit_record_stays_whole_through_encryption_and_rotation(plain):
    file = plain / "audit.jsonl"
    audit.record(file, "ask", "contracts", question="Who?", note=CANARY)
    with file.open("ab") as stream:
        stream.write(b'{"cut sho')  # a crash
    audit.record(file, "show", "contracts", note=CANARY)
    assert audit.verify(file) == []
    encrypt_folder(plain, WORDS)
    assert audit.verify(file) == [] and in_clear(plain) == []
    audit.record(file, "show", "contracts", note=CANARY)
    rotate(plain)
    audit.record(file, "show", "contracts")
    assert audit.verify(file) == [] and in_clear(plain) == []
    assert [entry.event for entry in audit.entries(file)] == ["ask", "show", "vault", "show", "vault", "show"]
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:3], *lines[4:]]))
    assert [problem.line for problem in audit.verify(file)] == [4]
    unlocked.forget()
    with pytest.raises(KeyRequired):
        audit.verify(file)


def test_a_stopped_encryption_is_readable_at_every_step_and_resumes(plain):
    assert len(in_clear(plain)) >= 3
    for steps in itertools.count():
        polls = iter([False] * steps)
        try:
            in_steps(plain, lambda polls=polls: next(polls, True))
            break
        except Cancelled:
            unlocked.forget()
            unlocked.set_key_source(asking)
            works(plain)
            assert encrypt.in_progress(plain)
    assert steps > 3 and in_clear(plain) == [] and not encrypt.in_progress(plain)
    works(plain)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
@pytest.mark.parametrize("at", [0, 2, 5])
def test_a_killed_encryption_resumes(plain, at):
    script = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from encrypted import encrypt_folder
from localrag.security.encryption import keyring
keyring._ARGON2 = {{"memory_kib": 64, "passes": 1, "lanes": 1}}
count = 0
replace = Path.replace
def killing(self, target):
    global count
    count += 1
    if count > {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)
Path.replace = killing
encrypt_folder(Path({str(plain)!r}), keyring.Passphrase({WORDS.text!r}))
"""
    printed(script, ends=-9)
    unlocked.set_key_source(asking)
    works(plain)
    encrypt_folder(plain, WORDS)
    assert in_clear(plain) == []
    assert not list(plain.rglob("*.partial"))
    works(plain)


def test_a_rotation_keeps_the_data_and_locks_out_removed_holders(plain, capfd):
    anna, bert = keyrings.parse_key_file(keyrings.new_key_file()), Passphrase("another passphrase")
    encrypt_folder(plain, WORDS)
    encrypt.change_holders(plain, lambda keyring, key: keyring.with_credential(key, "anna", anna))
    encrypt.change_holders(plain, lambda keyring, key: keyring.with_credential(key, "bert", bert))
    old = unlocked.keys()[plain]
    encrypt.change_holders(plain, lambda keyring, key: keyring.without("bert"))
    assert encrypt.holders_to_add_again(encrypt.keyring_of(plain), WORDS) == ()
    rotate(plain)
    assert capfd.readouterr() == ("", "")
    works(plain)
    unlocked.forget()
    keyring = encrypt.keyring_of(plain)
    assert {holder.name for holder in keyring.holders} == {"me", "anna"}
    with pytest.raises(KeyRequired):
        keyring.unlock(bert)
    with pytest.raises(KeyRequired):
        unlocked.add_key(plain, old)
    unlocked.add_key(plain, keyring.unlock(anna))
    works(plain)


def test_a_stopped_rotation_is_readable_and_resumes(plain):
    encrypt_folder(plain, WORDS)
    calls = iter([False, False, True])
    with pytest.raises(Cancelled):
        rotate(plain, lambda: next(calls))
    unlocked.forget()
    unlocked.set_key_source(asking)
    works(plain)
    rotate(plain)
    assert not encrypt.in_progress(plain)
    works(plain)


def test_a_plain_file_or_database_in_an_encrypted_folder_is_refused(plain):
    copy = (plain / "library.db").read_bytes()
    encrypt_folder(plain, WORDS)
    (plain / "sessions" / "planted.json").write_bytes(b"{}")
    with pytest.raises(IntegrityError):
        storage.read_bytes(plain / "sessions" / "planted.json")
    # A state that somebody put there is deleted and the document read again.
    (state,) = (plain / "cache").glob("*.state")
    state.write_bytes(b"localrag-state-2\n{}\n")
    assert DiskPromptCache(plain, "model", ["h1"], 1 << 20).get(PREFIX) is None
    assert not state.exists()
    (plain / "library.db").write_bytes(copy)
    with pytest.raises(LibraryError):
        Library.open(plain, "contracts")


def test_encrypting_twice_and_without_a_holder_are_refused(plain):
    with pytest.raises(UsageError):
        list(encrypt.encrypt(plain, lambda keyring, key: keyring, lambda: False))
    assert not encrypt.is_encrypted(plain)
    encrypt_folder(plain, WORDS)
    with pytest.raises(UsageError, match="already"):
        encrypt_folder(plain, WORDS)


def test_a_reader_at_work_is_not_cut_off(plain, monkeypatch):
    monkeypatch.setattr(storage, "_PATIENCE", 0.3)
    library = Library.open(plain, "contracts")
    with library.snapshot():
        library.documents()
        writer = Editor.open(plain, "contracts")
        with writer.transaction():
            pass
        writer.close()
        with pytest.raises(LibraryLocked):
            encrypt_folder(plain, WORDS)
        assert len(library.documents()) == len(DOCUMENTS)
    library.close()
    encrypt_folder(plain, WORDS)
    works(plain)


def test_deleting_an_encrypted_library_needs_no_key(plain):
    encrypt_folder(plain, WORDS)
    unlocked.forget()
    with storage.lock(plain / "library.lock", "the library"):
        pass
    storage.remove(plain)
    assert not plain.exists()
