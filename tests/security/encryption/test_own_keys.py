"""Files that can be rebuilt have a key each: once it is destroyed, no copy of the file can be read."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from localrag import api
from localrag.errors import IntegrityError
from localrag.lifecycle import encrypt
from localrag.llm import Prefix
from localrag.llm.prompt_cache import DiskPromptCache
from localrag.security import storage
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Key, Keyring
from localrag.settings import Settings
from localrag.store.writer import Editor

STATE = b"zanzibarquill" * 1000
SECRET = keyrings.RecoveryKey.new()
PREFIX = Prefix((1, 2, 3), (3,), 1)


def handing_out(keyring: Keyring, key: Key) -> Keyring:
    return keyring.with_credential(key, "me", SECRET)


def run(steps: object) -> None:
    for _ in steps:  # type: ignore[attr-defined]
        pass


@pytest.fixture
def folder(shelf: Callable[..., Editor]) -> Path:
    """An encrypted library with vectors and a kept state of its only document."""
    library = shelf("contracts", {"a.txt": "The zanzibarquill lease ends in May.", "b.txt": "Other words."})
    folder = library.folder
    library.close()
    run(encrypt.encrypt(folder, handing_out, lambda: False))
    kept(folder).put(PREFIX, memoryview(STATE))
    return folder


def kept(folder: Path) -> DiskPromptCache:
    return DiskPromptCache(folder, "model", ["hash of a.txt"], 1 << 20)


def the_state(folder: Path) -> Path:
    (path,) = (folder / "cache").glob("*.state")
    return path


def keys(folder: Path) -> list[Path]:
    return list((folder / unlocked.KEYS_FOLDER).glob("*.key"))


def derived(folder: Path) -> list[Path]:
    return [the_state(folder), folder / "vectors.index"]


def test_each_rebuildable_file_has_its_own_key(folder: Path) -> None:
    assert kept(folder).get(PREFIX) == STATE
    files = {unlocked.key_file_of(path) for path in derived(folder)}
    assert len(files) == 2 and files == set(keys(folder))
    # What cannot be made again does not depend on a second file.
    assert unlocked.key_file_of(folder / "library.db") is None
    storage.write_bytes(folder / "sessions/a.json", b"{}")
    assert unlocked.key_file_of(folder / "sessions/a.json") is None


def test_copies_of_forgotten_files_do_not_open_with_the_library_key(
    folder: Path, settings: Settings, tmp_path: Path
) -> None:
    copies = {path: path.read_bytes() for path in derived(folder)}
    shutil.copytree(folder / unlocked.KEYS_FOLDER, tmp_path / "keys")
    api.open_library("contracts", settings=settings).forget(["a.txt"])
    for path, data in copies.items():
        path.write_bytes(data)  # from a backup, or from what a disk kept
        with pytest.raises(IntegrityError):
            storage.read_bytes(path)
    # What is not held, and said in docs/security.md: a copy of the keys opens what it is a copy of.
    shutil.copytree(tmp_path / "keys", folder / unlocked.KEYS_FOLDER, dirs_exist_ok=True)
    assert all(storage.read_bytes(path) for path in copies)


def test_a_replaced_files_key_is_destroyed(folder: Path) -> None:
    index, before = folder / "vectors.index", set(keys(folder))
    old = index.read_bytes()
    storage.write_bytes(index, b"new")
    assert storage.read_bytes(index) == b"new" and len(keys(folder)) == 2 and set(keys(folder)) != before
    index.write_bytes(old)
    with pytest.raises(IntegrityError):
        storage.read_bytes(index)


def test_a_write_that_fails_leaves_the_old_file_its_key_and_no_other(folder: Path) -> None:
    index, before = folder / "vectors.index", set(keys(folder))
    content = storage.read_bytes(index)
    with pytest.raises(RuntimeError), storage.create(index) as stream:
        stream.write(b"half")
        raise RuntimeError
    assert set(keys(folder)) == before and storage.read_bytes(index) == content


def test_remains_of_a_killed_write_are_swept_with_their_key(folder: Path) -> None:
    state = the_state(folder)
    state.rename(state.with_name(state.name + ".12345678.partial"))
    assert len(keys(folder)) == 2
    storage.sweep(folder / "cache")
    assert [unlocked.key_file_of(folder / "vectors.index")] == keys(folder)


def test_a_rotation_replaces_the_keys_of_single_files(folder: Path) -> None:
    old = {path.name for path in keys(folder)}
    stray = Key.new()
    storage.write_bytes(
        folder / unlocked.KEYS_FOLDER / f"{stray.id.hex()}.key", stray.secret
    )  # of a write that was killed
    run(encrypt.rotate(folder, SECRET, lambda: False))
    assert kept(folder).get(PREFIX) == STATE
    assert len(keys(folder)) == 2 and not old & {path.name for path in keys(folder)}


def test_without_its_key_a_state_is_deleted_and_the_library_works(folder: Path, settings: Settings) -> None:
    shutil.rmtree(folder / unlocked.KEYS_FOLDER)  # as where a backup leaves them out
    assert kept(folder).get(PREFIX) is None and not list((folder / "cache").glob("*.state"))
    library = api.open_library("contracts", settings=settings)
    assert len(library.documents()) == 2
    library.close()


@pytest.mark.skipif(sys.platform != "linux", reason="which file is synchronised is looked up in /proc")
def test_keys_of_a_deleted_library_are_destroyed_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overwritten: list[str] = []
    fsync = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda n: (overwritten.append(str(Path(f"/proc/self/fd/{n}").readlink())), fsync(n))[1]
    )
    rmtree = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", lambda path, *how, **more: (overwritten.append("gone"), rmtree(path))[1])
    storage.remove(folder)
    assert [Path(name).name for name in overwritten][-2:] == ["vault.json", "gone"] and len(overwritten) == 4
