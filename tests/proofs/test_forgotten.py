import hashlib
import json
from contextlib import closing
from pathlib import Path

import pytest
from command_line import refused, run, run_json
from encrypted import encrypt_folder

from localrag import api
from localrag.errors import UsageError
from localrag.llm import Prefix
from localrag.llm.prompt_cache import DiskPromptCache
from localrag.proofs.forgotten import prove_forgotten
from localrag.security import storage
from localrag.security.encryption import unlocked
from localrag.store.library import Library
from localrag.store.writer import Editor

LEASE = 'The Zanzibar lease of Harbour House ("Früh") ends in May 2031.\nShared with every other letter of ours.\n'


@pytest.fixture
def original(folder, models, settings):
    root = folder(
        {"lease.txt": LEASE, "other.txt": "Shared with every other letter of ours.\n" + "Other words here. " * 200}
    )
    api.open_library("papers", settings=settings, create=True).ingest(root)
    return root / "lease.txt"


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.proves("gone-is-gone")
def test_a_document_is_found_until_it_is_forgotten(original, settings, encrypted):
    if encrypted:
        encrypt_folder(settings.library_dir("papers"))
    before = prove_forgotten(settings, "papers", file=original)
    assert not before.proven and any("library.db" in trace.file for trace in before.traces)
    assert before.documents == ("lease.txt",) and not before.library_clean
    api.open_library("papers", settings=settings).forget(["lease.txt"])
    after = prove_forgotten(settings, "papers", file=original)
    assert after.proven, after.traces
    assert after.documents == () and after.library_clean
    # What other documents say too is not looked for.
    assert after.passages == 1 and len(after.searched) > 3
    assert prove_forgotten(settings, "papers", word="Harbour House").proven
    assert not prove_forgotten(settings, "papers", word="every other letter").proven


@pytest.mark.parametrize("encrypted", [False, True])
def test_remains_of_a_deletion_without_compaction_are_found(original, settings, monkeypatch, encrypted):
    if encrypted:
        encrypt_folder(settings.library_dir("papers"))
    monkeypatch.setattr(Editor, "compact", lambda self: self._db.execute("PRAGMA secure_delete = OFF"))
    monkeypatch.setattr(Editor, "save_index", lambda self: None)
    connected = storage._connected

    def careless(*arguments):
        connection = connected(*arguments)
        connection.execute("PRAGMA secure_delete = OFF")
        return connection

    monkeypatch.setattr(storage, "_connected", careless)
    held = api.open_library("papers", settings=settings)
    with held._storage().snapshot():  # somebody reads, so that the log is kept
        held.documents()
        api.open_library("papers", settings=settings).forget(["lease.txt"])
        found = prove_forgotten(settings, "papers", file=original)
    held.close()
    assert not found.proven


@pytest.mark.parametrize("where", ["sessions/x.json", "indexes/papers/cache/x.state", "stray.bin"])
def test_traces_outside_the_database_are_found(original, settings, home, where):
    api.open_library("papers", settings=settings).forget(["lease.txt"])
    line = LEASE.splitlines()[0]
    for data in (line.encode(), json.dumps(line).encode(), line.encode("utf-16-le")):
        storage.write_bytes(home / where, b"x" * 5_000_000 + data + b"y" * 10)
        found = prove_forgotten(settings, "papers", file=original)
        assert [Path(trace.file).name for trace in found.traces] == [Path(where).name]


def test_a_locked_file_is_not_reported_as_clean(original, settings, shelf):
    other = shelf("other", {"a.txt": "Words."})
    other.close()
    encrypt_folder(other.folder)
    unlocked.forget()
    api.open_library("papers", settings=settings).forget(["lease.txt"])
    found = prove_forgotten(settings, "papers", file=original)
    assert not found.proven and not found.traces and found.library_clean
    assert {Path(one.file).parent.name for one in found.searched if one.how == "locked"} == {"other", "keys"}


def test_the_command_lists_traces_and_signs_its_report(original, settings, tmp_path):
    report = tmp_path / "gone.json"
    same = original.with_name("same.txt")
    same.write_text("Shared with every other letter of ours.\n")
    refused(UsageError, "prove", "forgotten", "papers", same)
    refused(UsageError, "prove", "forgotten", "papers")
    result = run("prove", "forgotten", "papers", original)
    assert result.exit_code == 1 and "LEFT" in result.stdout and "NOT PROVEN" in result.stderr
    first, *left = result.stdout.splitlines()
    assert "forget papers -d lease.txt" in first
    assert len([line for line in left if "library.db:" in line]) == 1
    api.open_library("papers", settings=settings).forget(["lease.txt"])
    assert run_json("prove", "forgotten", "papers", original, "--out", report)["proven"] is True
    assert run_json("prove", "offline", "--verify", report)["good"] is True


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_passage_that_the_model_keeps_is_a_trace_until_it_is_forgotten(original, settings, encrypted):
    if encrypted:
        encrypt_folder(settings.library_dir("papers"))
    folder = settings.library_dir("papers")
    with closing(Library.open(folder, "papers")) as library:
        hashes = library.hashes({"lease.txt", "other.txt"})
    for n, sha256 in enumerate(hashes.values()):
        DiskPromptCache(folder, "model", [sha256], 1 << 20).put(Prefix((1, n), (1, 2), 1, 1), memoryview(b"state" * 99))
    left = {path.name for path in folder.rglob("*.state")}
    marks = [hashlib.blake2b(sha256.encode(), digest_size=16).hexdigest()[:12] for sha256 in hashes.values()]
    assert not any(mark in name for name in left for mark in marks), "a name tells what the library holds"
    assert any(".state" in trace.file for trace in prove_forgotten(settings, "papers", file=original).traces)
    api.open_library("papers", settings=settings).forget(["lease.txt"])
    assert prove_forgotten(settings, "papers", file=original).proven
    (other,) = folder.rglob("*.state")
    assert other.name in left
    assert encrypted != (b"statestate" in other.read_bytes())
    own_keys = list((folder / unlocked.KEYS_FOLDER).glob("*"))
    assert len(own_keys) == (1 + len(list(folder.rglob("*.index"))) if encrypted else 0)
