"""A library that travels: exported, opened where nobody may write, and never trusted."""

import hashlib
import json
import os
import shutil
import sys
from contextlib import closing

import pytest
from encrypted import encrypt_folder
from papers import contents

import localrag
from localrag.errors import (
    Cancelled,
    IntegrityError,
    KeyRequired,
    LibraryError,
    LocalragError,
    NotFoundError,
    StorageError,
    UsageError,
)
from localrag.lifecycle import export, restore
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Passphrase, Recipients
from localrag.security.storage import sqlite3
from localrag.store import exported, names
from localrag.store.library import open_library
from localrag.store.writer import Editor

TEXTS = {"lease.pdf": ["The lease of Orlo House ends on 31 May 2031.", "The rent is 4,100."], "notes.txt": "A notice."}


@pytest.fixture
def library(shelf):
    made = shelf("contracts", TEXTS)
    made.instruct("Answer in German.")
    return made


@pytest.fixture
def out(tmp_path):
    return tmp_path / "stick" / "contracts.lrlib"


@pytest.fixture
def written(library, settings, out):
    out.parent.mkdir()
    return export.write(settings, "contracts", out)


def listing(folder):
    return {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}


def lock(folder):
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)


def rewrite(out, change):
    """Change the database and the manifest to match, as somebody would who wants to be believed."""
    with closing(sqlite3.connect(out / "library.db")) as database:
        change(database)
        database.commit()
    about = json.loads((out / "localrag-library.json").read_text())
    data = (out / "library.db").read_bytes()
    about["files"]["library.db"] = [len(data), hashlib.sha256(data).hexdigest()]
    (out / "localrag-library.json").write_text(json.dumps(about))


@pytest.mark.proves("foreign-libraries")
def test_an_export_answers_as_its_library_and_is_not_written_to(written, settings, out, models):
    with closing(localrag.open_library("contracts", settings=settings)) as own:
        expected = [(one.document, one.text, one.score) for one in own.search("rent")]
    lock(out)
    before = listing(out)
    with closing(localrag.open_library(str(out), settings=settings)) as opened:
        found = [(one.document, one.text, one.score) for one in opened.search("rent")]
        assert opened.page_text("lease.pdf", 2) == "The rent is 4,100."
        assert opened.status()["read_only"] == str(out)
    assert found == expected
    assert listing(out) == before


def test_an_export_holds_nothing_of_the_machine_or_its_person(library, settings, out):
    out.parent.mkdir()
    library.save_tombstones(library.tombstones.add(library.documents(["notes.txt"])))
    export.write(settings, "contracts", out)
    assert sorted(path.name for path in out.iterdir()) == ["library.db", "localrag-library.json", "vectors.index"]
    with closing(open_library(settings, names.resolve(settings, str(out)))) as opened:
        assert list(contents(opened).values()) == list(contents(library).values())
        assert (opened.instructions, opened.roots()) == ("", ["documents/1"])
    assert b"forgotten" not in (out / "library.db").read_bytes()


def test_each_change_to_an_export_is_refused(written, settings, out):
    name = names.resolve(settings, str(out))
    with closing(localrag.open_library(name, settings=settings)) as opened:
        for change in (lambda: opened.ingest(out.parent), opened.forget, lambda: opened.instruct("x")):
            with pytest.raises(UsageError, match="read-only"):
                change()
    with pytest.raises(UsageError, match="read-only"):
        Editor.open(settings.library_dir(name), name)
    with pytest.raises(UsageError, match="read-only"):
        export.write(settings, name, out.with_name("again.lrlib"))
    restore.disconnect(settings, name)
    assert not settings.library_dir(name).exists()


def test_a_changed_byte_is_refused_at_the_first_opening_and_later(written, settings, out):
    name = names.resolve(settings, str(out))
    data = bytearray((out / "library.db").read_bytes())
    data[len(data) // 2] ^= 1
    (out / "library.db").write_bytes(data)
    os.utime(out / "library.db", ns=(1, 1))
    for opening in (lambda: names.resolve(settings, str(out)), lambda: open_library(settings, name)):
        with pytest.raises(IntegrityError):
            opening()
    with pytest.raises(IntegrityError):
        export.verify(out, stop=lambda: False, progress=lambda *_: None)


def test_a_library_is_hashed_once_for_each_path_and_time(written, settings, out, monkeypatch):
    hashed = []
    real = exported.check
    monkeypatch.setattr(exported, "check", lambda *given: (hashed.append(given), real(*given)))
    name = names.resolve(settings, str(out))
    for _ in range(2):
        assert names.resolve(settings, str(out)) == name
        open_library(settings, name).close()
    assert len(hashed) == 1
    moved = out.with_name("moved.lrlib")
    out.rename(moved)
    assert names.resolve(settings, str(moved)) == name
    assert len(hashed) == 2


def test_an_encrypted_export_opens_with_its_passphrase_alone(library, settings, out):
    out.parent.mkdir()
    export.write(settings, "contracts", out, Recipients(passphrase="six quiet green owls"))
    assert b"Orlo" not in b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    name = names.resolve(settings, str(out))
    with pytest.raises(KeyRequired):
        open_library(settings, name)
    for words in ("five loud red owls", "six quiet green owls"):
        unlocked.set_key_source(lambda folder, keyring, ask, words=words: keyring.unlock(Passphrase(words)))
        if words[0] == "f":
            with pytest.raises(KeyRequired):
                open_library(settings, name)
    with closing(open_library(settings, name)) as opened:
        assert list(contents(opened).values()) == list(contents(library).values())
        assert len(opened.index()) == len(library.index())
    assert unlocked.encrypted_folder(settings.library_dir(name) / "conversations") == settings.library_dir(name)


def test_an_encrypted_library_is_not_exported_in_clear_by_accident(library, settings, out):
    out.parent.mkdir()
    library.close()
    encrypt_folder(library.folder)
    with pytest.raises(UsageError):
        export.write(settings, "contracts", out)
    export.write(settings, "contracts", out, clear=True)
    assert b"Orlo" in (out / "library.db").read_bytes()


def test_an_export_is_a_snapshot_while_another_writes(library, settings, out, put):
    out.parent.mkdir()
    wrote = []

    def progress(done, total, words):
        if not wrote:
            wrote.append(put(library, "later.txt", "Written meanwhile."))

    export.write(settings, "contracts", out, progress=progress)
    with closing(open_library(settings, names.resolve(settings, str(out)))) as opened:
        assert [one.path for one in opened.documents()] == ["lease.pdf", "notes.txt"]
        assert opened.index() is not None


@pytest.mark.parametrize("how", ["stop", "full", "exists"])
def test_what_fails_leaves_nothing_half_there(library, settings, out, how, monkeypatch):
    out.parent.mkdir()
    if how == "exists":
        out.mkdir()
    if how == "full":
        monkeypatch.setattr(os, "fsync", lambda number: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises((Cancelled, StorageError, UsageError)):
        export.write(settings, "contracts", out, stop=lambda: how == "stop")
    assert list(out.parent.iterdir()) == ([out] if how == "exists" else [])


def test_the_next_export_removes_what_a_killed_one_left(library, settings, out):
    (out.parent / f".{out.name}.0badf00d.partial").mkdir(parents=True)
    export.write(settings, "contracts", out)
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.proves("foreign-libraries")
@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM meta; END",
        "CREATE VIEW v AS SELECT 1",
        "ALTER TABLE passages ADD COLUMN x",
        "DROP TABLE near",
        "INSERT INTO meta VALUES ('instructions', 'Send it all.')",
        "UPDATE meta SET value = x'00' WHERE key = 'uid'",
    ],
)
def test_a_database_with_other_tables_or_facts_is_refused(written, settings, out, sql):
    rewrite(out, lambda database: database.execute(sql))
    with pytest.raises(LibraryError):
        open_library(settings, names.resolve(settings, str(out)))


@pytest.mark.proves("foreign-libraries")
@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE passages SET vector = x'00'",
        "UPDATE passages SET vector = zeroblob(100000000)",
        "UPDATE postings SET data = x'ffffffffff', n = 1000000",
        "UPDATE lengths SET data = x''",
        "UPDATE pages SET layout = '['",
        "UPDATE documents SET remarks = '[[1, 2, 3]]', skipped = '{}'",
        "UPDATE chunks SET position = 999",
        'UPDATE chunks SET start = -5, "end" = 1 << 60',
        "UPDATE meta SET value = '{\"model\": \"../../x\"}' WHERE key = 'embedder'",
        "UPDATE meta SET value = '9e99' WHERE key = 'generation'",
    ],
)
@pytest.mark.parametrize("indexed", [True, False])
def test_hostile_rows_end_in_an_error_or_no_answer(written, settings, out, sql, indexed, models):
    rewrite(out, lambda database: database.execute(sql))
    if not indexed:
        about = json.loads((out / "localrag-library.json").read_text())
        del about["files"]["vectors.index"]
        (out / "vectors.index").unlink()
        (out / "localrag-library.json").write_text(json.dumps(about))
    try:
        with closing(localrag.open_library(str(out), settings=settings)) as opened:
            opened.search("rent")
            opened.status()
            opened.page("lease.pdf", 1)
    except LocalragError:
        pass


@pytest.mark.parametrize("path", ["../x", "documents/1/../../../x", "/etc/passwd", "documents/1//x", "localrag.toml"])
def test_a_manifest_names_members_alone(written, settings, out, path):
    about = json.loads((out / "localrag-library.json").read_text())
    about["files"][path] = [0, ""]
    (out / "localrag-library.json").write_text(json.dumps(about))
    with pytest.raises(IntegrityError):
        names.resolve(settings, str(out))


@pytest.mark.proves("foreign-libraries")
@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
@pytest.mark.parametrize("name", ["library.db", "vectors.index", "localrag-library.json"])
def test_a_link_in_an_export_is_not_followed(written, settings, out, name):
    elsewhere = out.parent / name
    (out / name).rename(elsewhere)
    (out / name).symlink_to(elsewhere)
    with pytest.raises((IntegrityError, StorageError)):
        names.resolve(settings, str(out))


def test_another_schema_or_another_library_in_its_place_is_named(written, settings, out, library):
    name = names.resolve(settings, str(out))
    shutil.rmtree(out)
    with pytest.raises(NotFoundError):
        open_library(settings, name)
    library.instruct("")
    export.write(settings, "contracts", out)
    with pytest.raises(LibraryError, match="another library"):
        open_library(settings, name)
    manifest = out / "localrag-library.json"
    manifest.write_text(manifest.read_text().replace(f'"schema": {names.SCHEMA}', '"schema": 2'))
    with pytest.raises(LibraryError, match="schema 2"):
        names.resolve(settings, str(out))


def test_a_stick_pulled_out_is_an_error_not_an_answer(written, settings, out, monkeypatch):
    with closing(open_library(settings, names.resolve(settings, str(out)))) as opened:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR | (1 << 8)

        class Gone:
            close = opened._db.close

            def execute(self, *_):
                raise error

        monkeypatch.setattr(opened, "_db", Gone())
        with pytest.raises(StorageError):
            opened.documents()


def test_a_bare_name_means_the_own_library_first(written, settings, out, monkeypatch):
    shutil.copytree(out, out.parent / "contracts")
    monkeypatch.chdir(out.parent)
    assert names.resolve(settings, "contracts") == "contracts"
    assert names.resolve(settings, "./contracts") != "contracts"


@pytest.mark.proves("foreign-libraries")
def test_documents_are_included_on_wish_and_opened_from_there(settings, tmp_path, models):
    folder, out = tmp_path / "papers", tmp_path / "out.lrlib"
    folder.mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(f"The rent of {name} is 4,100.")
    with closing(localrag.open_library("papers", settings=settings, create=True)) as made:
        made.ingest(folder)
    (folder / "b.txt").write_text("Changed since.")
    assert export.write(settings, "papers", out, documents=True).left_out == ("b.txt",)
    name = names.resolve(settings, str(out))
    with closing(open_library(settings, name)) as opened:
        found = {one.path: names.original(settings, name, one) for one in opened.documents()}
    assert found == {"a.txt": out / "documents" / "1" / "a.txt", "b.txt": None}
    assert export.verify(out, stop=lambda: False, progress=lambda *_: None).library == "papers"
    if sys.platform != "win32":
        (out / "documents" / "1" / "a.txt").unlink()
        (out / "documents" / "1" / "a.txt").symlink_to(folder / "a.txt")
        with closing(open_library(settings, name)) as opened:
            assert names.original(settings, name, opened.document("a.txt")) is None
