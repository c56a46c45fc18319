from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from localrag.errors import StorageError
from localrag.security import storage
from localrag.security.storage import sqlite3

POSIX = pytest.mark.skipif(os.name != "posix", reason="rights and umask are POSIX")


@pytest.fixture
def umask():
    before = os.umask(0)
    os.umask(before)
    yield os.umask
    os.umask(before)


def rights(path):
    return path.stat().st_mode & 0o777


def test_a_lock_survives_the_loss_of_its_holder_file(tmp_path, monkeypatch):
    replace = Path.replace

    def swept(self, target):
        storage.sweep(self.parent)  # by another process that writes to the same folder
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", swept)
    with storage.lock(tmp_path / "audit.lock", "the record"):
        assert not (tmp_path / "audit.holder").exists()


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path):
    file = tmp_path / "file"
    storage.write_bytes(file, b"old")
    with pytest.raises(RuntimeError), storage.create(file) as stream:
        stream.write(b"new")
        raise RuntimeError
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]
    with storage.create(tmp_path / "new") as stream:
        stream.write(b"all")
        assert not (tmp_path / "new").exists()
    assert (tmp_path / "new").read_bytes() == b"all"


def write_all(folder):
    storage.write_bytes(folder / "a" / "b" / "bytes", b"x")
    storage.write_json(folder / "a" / "json", {})
    storage.append_line(folder / "c" / "lines", "x")
    storage.connect(folder / "d" / "base.sqlite", write=True).close()
    with storage.lock(folder / "e" / "lock", "it"):
        pass


@POSIX
def test_files_and_folders_are_private_whatever_the_umask(tmp_path, umask):
    umask(0)
    write_all(tmp_path / "new")
    found = list((tmp_path / "new").rglob("*"))
    assert len(found) >= 9
    wrong = [path for path in found if rights(path) != (0o700 if path.is_dir() else 0o600)]
    # The lock's file holds nothing, so that a narrower right does no harm to it.
    assert [path.name for path in wrong if path.name != "lock" or rights(path) & 0o177] == []
    assert rights(tmp_path / "new") == 0o700


def test_json_holds_names_that_are_not_utf8(tmp_path):
    row = {"name": os.fsdecode(b"caf\xe9.pdf"), "word": "Prüfung"}
    storage.write_json(tmp_path / "j", row)
    storage.append_line(tmp_path / "lines", json.dumps(row, ensure_ascii=False))
    assert json.loads(storage.read_bytes(tmp_path / "j")) == json.loads((tmp_path / "lines").read_bytes()) == row
    assert "Prüfung".encode() in (tmp_path / "lines").read_bytes()


def test_remove_takes_files_folders_links_and_nothing(tmp_path):
    kept = tmp_path / "kept"
    storage.write_bytes(kept / "file", b"")
    (tmp_path / "link").symlink_to(kept)
    storage.write_bytes(tmp_path / "folder" / "deep" / "file", b"")
    for name in ("link", "folder", "absent"):
        storage.remove(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"] and (kept / "file").exists()


def test_sweep_takes_only_what_an_interrupted_write_left(tmp_path):
    storage.write_bytes(tmp_path / "whole", b"")
    with pytest.raises(SystemExit), storage.create(tmp_path / "broken"):
        [leftover] = tmp_path.glob("broken*")
        (tmp_path / f"{leftover.name}").replace(tmp_path / "broken.00000000.partial")
        raise SystemExit
    storage.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_a_reader_sees_the_last_commit_while_a_writer_works(tmp_path):
    writer = storage.connect(tmp_path / "base.sqlite", write=True)
    writer.execute("CREATE TABLE t (x)")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO t VALUES (1)")
    reader = storage.connect(tmp_path / "base.sqlite")
    assert reader.execute("SELECT count(*) FROM t").fetchone()[0] == 0
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM t").fetchall()
    writer.execute("COMMIT")  # without write-ahead logging it would wait for the reader
    reader.execute("COMMIT")
    assert reader.execute("SELECT count(*) FROM t").fetchone()[0] == 1
    reader.close()
    writer.close()


# --- the lock -----------------------------------------------------------------------------------------------

HOLD = """
import sys, time
from pathlib import Path
from localrag.security import storage
with storage.lock(Path(sys.argv[1]), "the library"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_lock_is_free_once_its_holder_is_killed(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with storage.lock(tmp_path / "lock", "it", wait=False):
        assert (tmp_path / "lock.holder").read_text() == str(os.getpid())
    assert not (tmp_path / "lock.holder").exists()


def test_a_waiting_writer_reports_it_once_and_continues(tmp_path, holder):
    waits: list[str] = []

    def on_wait(text):
        waits.append(text)
        holder.kill()

    with storage.lock(tmp_path / "lock", "it", on_wait=on_wait):
        assert waits == [f"it is being written by process {holder.pid}; waiting for it to finish"]


# --- the disk -----------------------------------------------------------------------------------------------


FILL = """
from pathlib import Path
from localrag.security import storage
from localrag.errors import StorageError
folder, old = Path("{folder}"), Path("{folder}/old")
storage.write_bytes(old, b"old")
for write in (
    lambda: storage.write_bytes(old, b"x" * 2_000_000),
    lambda: storage.append_line(folder / "lines", "x" * 2_000_000),
    lambda: storage.connect(folder / "b", write=True).execute("CREATE TABLE t AS SELECT randomblob(2000000)"),
):
    try:
        with storage.storage_errors(folder):
            write()
    except StorageError as error:
        print(error, bool(error.hint), flush=True)
    assert old.read_bytes() == b"old"
    with storage.lock(folder / "lock", "it"):  # deleting must still be possible, and takes the lock first
        for path in {{*folder.iterdir()}} - {{old}}:
            storage.remove(path)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a file system of its own needs Linux namespaces")
def test_a_full_file_system_is_a_storage_error(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    (tmp_path / "fill.py").write_text(FILL.format(folder=small))
    script = f'mount -t tmpfs -o size=1m none "{small}" && exec "{sys.executable}" "{tmp_path}/fill.py"'
    command = ["unshare", "-rm", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is full True") == 3, done.stdout + done.stderr


def test_a_disk_that_cannot_be_written_or_a_folder_that_is_a_file_is_a_storage_error(tmp_path):
    for code in (errno.EACCES, errno.EDQUOT):
        with pytest.raises(StorageError, match="x"), storage.storage_errors(tmp_path / "x"):
            raise OSError(code, "no")
    (tmp_path / "home").write_text("a file")
    for path in (tmp_path / "home", tmp_path / "home" / "below"):
        with pytest.raises(StorageError, match="cannot write"):
            storage.make_dir(path)


def test_other_errors_pass_as_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), storage.storage_errors(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "gone")
    with pytest.raises(sqlite3.DatabaseError):
        (tmp_path / "base").write_text("not a database, but long enough to be read as one" * 50)
        storage.connect(tmp_path / "base", write=True)
