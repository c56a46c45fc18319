from __future__ import annotations

import io
import os
import shutil
import sys
from pathlib import Path

import pytest
from encrypted import SECRET, encrypt_folder

from localrag import api
from localrag.errors import IntegrityError
from localrag.lifecycle import encrypt
from localrag.llm import Prefix
from localrag.llm.prompt_cache import DiskPromptCache
from localrag.security import storage
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Key
from localrag.security.encryption.unlocked import PIECE, EncryptedReader, EncryptedWriter

KEY = Key(bytes(range(32)))
HEAD = len(unlocked.MAGIC) + 32


def sealed(content, by=700_001):
    out = io.BytesIO()
    writer = EncryptedWriter(out, KEY, "a.state")
    for start in range(0, len(content), by):
        writer.write(content[start : start + by])
    writer.finish()
    return out.getvalue()


def reader(data, key=KEY, name="a.state"):
    stream = io.BytesIO(data)
    assert unlocked.key_id(stream) == KEY.id
    return io.BufferedReader(EncryptedReader(stream, key, name), PIECE)


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE])
def test_content_comes_back_and_its_size_is_known(size):
    content = bytes(i % 251 for i in range(size))
    data = sealed(content)
    assert reader(data).read() == content and unlocked.content_size(len(data)) == size


def test_encrypted_files_read_like_any_file_and_show_nothing():
    content = b'{"head": 1}\n' + b"the Quillfen merger " * (PIECE // 6)
    one, other = sealed(content), sealed(content)
    assert b"Quillfen" not in one and one[HEAD:] != other[HEAD:]
    opened = reader(one)
    assert opened.readline() == b'{"head": 1}\n' and opened.tell() == 12
    target, done = bytearray(len(content) - 12), 0
    while size := opened.readinto(memoryview(target)[done:]):
        done += size
    assert bytes(target) == content[12:]


def test_changed_cut_lengthened_reordered_or_renamed_files_are_refused():
    data, piece = sealed(bytes(2 * PIECE + 9)), PIECE + 16
    cuts = [data[:end] for end in (HEAD, HEAD + piece, HEAD + 2 * piece, -1)]
    places = (len(unlocked.MAGIC) + 16, len(unlocked.MAGIC) + 40, len(data) // 2, len(data) - 1)
    changed = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in places]
    first, second, rest = data[HEAD : HEAD + piece], data[HEAD + piece : HEAD + 2 * piece], data[HEAD + 2 * piece :]
    unfinished = io.BytesIO()
    EncryptedWriter(unfinished, KEY, "a.state").write(bytes(PIECE))
    for harmed in (
        *cuts,
        *changed,
        data + b"\0",
        data + data[-25:],
        data[:HEAD] + second + first + rest,
        unfinished.getvalue(),
    ):
        with pytest.raises(IntegrityError):
            reader(harmed).read()
    for opened in (reader(data, name="b.state"), reader(data, key=Key.new())):
        with pytest.raises(IntegrityError):
            opened.read()


def test_plain_and_short_files_are_not_taken_for_encrypted():
    for data in (b"", b"localrag-state-2\n{}", b"SQLite format 3\0" + bytes(100), unlocked.MAGIC):
        assert unlocked.key_id(io.BytesIO(data)) is None


def test_encrypted_lines_belong_to_their_file():
    line = unlocked.encrypt_line(KEY, "audit.jsonl", b'{"event": "ask"}')
    assert b"\n" not in line and b"ask" not in line
    assert unlocked.decrypt_line(KEY, "audit.jsonl", line) == b'{"event": "ask"}'
    wrong = [("audit.jsonl", one) for one in (line[:-4], b"", b"not base64!", line[:20] + b"AAAA" + line[24:])]
    for name, one in (*wrong, ("other.jsonl", line)):
        with pytest.raises(IntegrityError):
            unlocked.decrypt_line(KEY, name, one)


# --- files with a key each ----------------------------------------------------------------------------------

STATE = b"zanzibarquill" * 1000
PREFIX = Prefix((1, 2, 3), (3,), 1)


@pytest.fixture
def folder(shelf):
    library = shelf("contracts", {"a.txt": "The zanzibarquill lease ends in May.", "b.txt": "Other words."})
    library.close()
    encrypt_folder(library.folder)
    kept(library.folder).put(PREFIX, memoryview(STATE))
    return library.folder


def kept(folder):
    return DiskPromptCache(folder, "model", ["hash of a.txt"], 1 << 20)


def keys(folder):
    return set((folder / unlocked.KEYS_FOLDER).glob("*.key"))


def derived(folder):
    return [*(folder / "cache").glob("*.state"), folder / "vectors.index"]


def test_each_rebuildable_file_has_its_own_key(folder):
    assert kept(folder).get(PREFIX) == STATE
    files = {unlocked.key_file_of(path) for path in derived(folder)}
    assert len(files) == 2 and files == keys(folder)
    # What cannot be made again does not depend on a second file.
    storage.write_bytes(folder / "sessions/a.json", b"{}")
    assert unlocked.key_file_of(folder / "library.db") is unlocked.key_file_of(folder / "sessions/a.json") is None


def test_copies_of_forgotten_files_do_not_open_with_the_library_key(folder, settings, tmp_path):
    copies = {path: path.read_bytes() for path in derived(folder)}
    shutil.copytree(folder / unlocked.KEYS_FOLDER, tmp_path / "keys")
    api.open_library("contracts", settings=settings).forget(["a.txt"])
    for path, data in copies.items():
        path.write_bytes(data)  # from a backup, or from what a disk kept
        with pytest.raises(IntegrityError):
            storage.read_bytes(path)
    # What docs/security.md says is not held: a copy of the keys opens what it is a copy of.
    shutil.copytree(tmp_path / "keys", folder / unlocked.KEYS_FOLDER, dirs_exist_ok=True)
    assert all(storage.read_bytes(path) for path in copies)


def test_a_replaced_files_key_is_destroyed_and_that_of_a_failed_write(folder):
    index, before = folder / "vectors.index", keys(folder)
    old, content = index.read_bytes(), storage.read_bytes(index)
    with pytest.raises(RuntimeError), storage.create(index) as stream:
        stream.write(b"half")
        raise RuntimeError
    assert keys(folder) == before and storage.read_bytes(index) == content
    storage.write_bytes(index, b"new")
    assert storage.read_bytes(index) == b"new" and len(keys(folder)) == 2 and keys(folder) != before
    index.write_bytes(old)
    with pytest.raises(IntegrityError):
        storage.read_bytes(index)


def test_remains_of_a_killed_write_are_swept_with_their_key(folder):
    state = derived(folder)[0]
    state.rename(state.with_name(state.name + ".12345678.partial"))
    assert len(keys(folder)) == 2
    storage.sweep(folder / "cache")
    assert {unlocked.key_file_of(folder / "vectors.index")} == keys(folder)


def test_a_rotation_replaces_the_keys_of_single_files(folder):
    old, stray = keys(folder), Key.new()  # the second of a write that was killed
    storage.write_bytes(folder / unlocked.KEYS_FOLDER / f"{stray.id.hex()}.key", stray.secret)
    list(encrypt.rotate(folder, SECRET, lambda: False))
    assert kept(folder).get(PREFIX) == STATE
    assert len(keys(folder)) == 2 and not old & keys(folder)


def test_without_its_key_a_state_is_deleted_and_the_library_works(folder, settings):
    shutil.rmtree(folder / unlocked.KEYS_FOLDER)  # as where a backup leaves them out
    assert kept(folder).get(PREFIX) is None and not list((folder / "cache").glob("*.state"))
    library = api.open_library("contracts", settings=settings)
    assert len(library.documents()) == 2
    library.close()


@pytest.mark.skipif(sys.platform != "linux", reason="which file is synchronised is looked up in /proc")
def test_keys_of_a_deleted_library_are_destroyed_first(folder, monkeypatch):
    done: list[str] = []
    fsync, rmtree = os.fsync, shutil.rmtree

    def overwritten(n):
        done.append(Path(f"/proc/self/fd/{n}").readlink().name)
        fsync(n)

    def removed(path, **how):
        done.append("gone")
        rmtree(path)

    monkeypatch.setattr(os, "fsync", overwritten)
    monkeypatch.setattr(shutil, "rmtree", removed)
    storage.remove(folder)
    assert done[-2:] == ["vault.json", "gone"] and len(done) == 4
