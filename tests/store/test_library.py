"""One library on the disk: whole documents or none, nothing left of what was removed, an index that can be remade."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import HashingEmbedder
from papers import all_vectors, indexed, sound, with_words
from stores import sqlite_only

from localrag import policy
from localrag.errors import EmbedderMismatch, LibraryError, NotFoundError, StorageError, UsageError
from localrag.security.storage import sqlite3
from localrag.store.library import Library
from localrag.store.names import DATABASE, check_name, matches
from localrag.store.writer import Editor
from localrag.types import Anchor, Chunk, Heading, Page, Part, Reading, Remark, SkippedPage, Word

Put = Callable[..., None]
IDENTITY = HashingEmbedder().identity
CANARY = "qqcanaryxx"  # its own stem, so that the full-text index holds it letter by letter


def contents(library: Library) -> dict[str, list[str]]:
    """Each document's path and the texts of its pages."""
    return {doc.path: [page.text for page in library.pages(doc.id)] for doc in library.documents()}


def everything_on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


# --- storing ------------------------------------------------------------------------------------------------


def test_a_document_comes_back_as_it_was_read(library: Editor, put: Put) -> None:
    put(library, "lease.pdf", ["First page.", "Second page."], title="The lease")
    (document,) = library.documents()
    assert (document.root, document.path, document.title) == ("/root", "lease.pdf", "The lease")
    assert (document.pages, document.paged, document.characters) == (2, True, 23)
    assert library.pages(document.id) == [Page("First page.", 1), Page("Second page.", 2)]
    assert library.page_text(document.id, 1) == "Second page."
    assert library.page_text(document.id, 7) == ""
    assert library.counts() == {"documents": 1, "pages": 2, "chunks": 2, "characters": 23}


class Broken(Exception):
    pass


@pytest.mark.parametrize("statement", ["INTO documents", "INTO pages", "INTO chunks", "INTO postings", "INTO meta"])
def test_an_error_in_the_middle_of_storing_leaves_the_old_version(library: Editor, put: Put, statement: str) -> None:
    put(library, "a.txt", "The old version stands.")
    before = contents(library), library.generation, with_words(library, "old")
    real = library._db

    class Failing:
        def __getattr__(self, name: str) -> object:
            if name not in ("execute", "executemany"):
                return getattr(real, name)

            def run(sql: str, *rest: object) -> object:
                if statement in sql:
                    raise Broken
                return getattr(real, name)(sql, *rest)

            return run

    library._db = library._indexer._db = Failing()  # type: ignore[assignment]
    with pytest.raises(Broken):
        put(library, "a.txt", "The new version is longer than the old version was.")
    library._db = library._indexer._db = real
    assert (contents(library), library.generation, with_words(library, "old")) == before
    assert with_words(library, "new") == []
    put(library, "a.txt", "The new version.")
    assert contents(library) == {"a.txt": ["The new version."]}


def test_a_chunk_without_its_vector_is_refused_and_nothing_is_stored(library: Editor) -> None:
    part = Part("", "hash", 3, Reading((Page("abc"),)))
    with pytest.raises(KeyError), library.transaction():
        library.begin("/r", "a")
        library.put("/r", "a", part, [Chunk(0, 0, 3, "abc")], {})
    assert contents(library) == {} and library.files("/r") == {}


def test_what_is_known_of_a_page_comes_back_with_it(library: Editor) -> None:
    page = Page(
        "Prices\n| A | B |",
        1,
        "Sheet1",
        (Heading(0, 1, "Prices"),),
        "sheet",
        (Anchor(7, "A2"),),
        (Word(0, 6, 0.1, 0.2, 0.5, 0.25),),
    )
    reading = Reading(
        (page,), "Title", (SkippedPage(2, "blank"),), (Remark(None, "hidden"), Remark(1, "odd")), "Ann", "2024-03-02"
    )
    library.begin("/r", "a.xlsx")
    library.put("/r", "a.xlsx", Part("b/c.xlsx", "hash", 3, reading), [], {})
    (document,) = library.documents()
    assert (document.path, document.file, document.size) == ("a.xlsx/b/c.xlsx", "a.xlsx", 3)
    assert (document.author, document.date, document.remarks) == ("Ann", "2024-03-02", reading.remarks)
    assert document.skipped == reading.skipped and library.pages(document.id) == [page]


def test_documents_that_say_the_same_share_their_passages(library: Editor, put: Put) -> None:
    put(library, "a.txt", "One clause that stands in both.", title="Terms")
    put(library, "b.txt", "One clause that stands in both.", title="Terms")
    put(library, "c.txt", "One clause that stands in both.", title="Other")
    assert library.counts()["chunks"] == 3 and len(indexed(library)) == 2
    both = library.chunks_of_passages([1])[1]
    assert [chunk.document for chunk in both] == ["a.txt", "b.txt"]
    library.remove([library.document("a.txt")])
    assert [chunk.document for chunk in library.chunks_of_passages([1])[1]] == ["b.txt"]
    library.remove([library.document("b.txt")])
    assert library.chunks_of_passages([1]) == {} and len(indexed(library)) == 1
    sound(library)


def test_drafts_of_a_document_are_linked_and_others_are_not(library: Editor, put: Put) -> None:
    words = [f"word{n * n % 997}" for n in range(400)]
    put(library, "draft.txt", " ".join(words))
    put(library, "final.txt", " ".join([*words[:200], "but", "not", "here", *words[200:]]))
    put(library, "other.txt", " ".join(f"else{n}" for n in range(400)))
    put(library, "copy.txt", " ".join(words), sha256="hash of draft.txt")
    pairs = {(one, other) for one, other, _ in library.near_duplicates()}
    assert pairs == {("final.txt", "draft.txt"), ("copy.txt", "final.txt")}
    library.remove([library.document("final.txt")])
    assert library.near_duplicates() == []


def test_equal_names_in_two_roots_and_two_folders_are_different_documents(library: Editor, put: Put) -> None:
    put(library, "a/lease.txt", "One.", root="/first")
    put(library, "b/lease.txt", "Two.", root="/first")
    put(library, "a/lease.txt", "Three.", root="/second root")
    assert [(d.root, d.path) for d in library.documents()] == [
        ("/first", "a/lease.txt"),
        ("/second root", "a/lease.txt"),
        ("/first", "b/lease.txt"),
    ]
    assert [doc.path for doc in library.documents(root="/second root")] == ["a/lease.txt"]
    put(library, "a/lease.txt", "Three, changed.", root="/second root")
    texts = {(d.root, d.path): library.page_text(d.id, 0) for d in library.documents()}
    assert texts[("/first", "a/lease.txt")] == "One."
    assert texts[("/second root", "a/lease.txt")] == "Three, changed."
    with pytest.raises(NotFoundError):
        library.document("a/lease.txt")
    assert library.document("b/lease.txt").path == "b/lease.txt"


# --- removing -----------------------------------------------------------------------------------------------


def canary_anywhere(library: Library) -> list[str]:
    """The tables in which the canary stands, looked for by SQL: every column of every table, shadow tables too."""
    names = [row[0] for row in library._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = []
    for name in names:
        try:
            rows = library._db.execute(f'SELECT * FROM "{name}"').fetchall()
        except sqlite3.OperationalError:
            continue
        if any(CANARY in (v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v)) for r in rows for v in r):
            found.append(name)
    return found


@sqlite_only
@pytest.mark.parametrize("compact", [True, False])
def test_removing_leaves_nothing_in_any_table_index_or_byte(
    tmp_path: Path, library: Editor, put: Put, compact: bool
) -> None:
    for number in range(30):
        put(library, f"keep{number}.txt", f"Kept words of document {number}. " * 20)
    put(library, f"{CANARY}.txt", [f"The secret is {CANARY}. " * 50, CANARY], title=CANARY)
    vector = all_vectors(library)[1][-1]
    library.save_index()
    assert canary_anywhere(library) and CANARY.encode() in everything_on_disk(library.folder)
    assert vector in everything_on_disk(library.folder)
    removed = library.document(f"{CANARY}.txt")
    library.remove([removed])
    if compact:
        library.compact()
    else:
        library.save_index()
    assert canary_anywhere(library) == []
    assert library.chunks_of(removed.id) == [] and library.pages(removed.id) == []
    left = everything_on_disk(library.folder)
    assert CANARY.encode() not in left.lower() and vector not in left
    assert with_words(library, CANARY) == []
    assert len(library.index()) == library.counts()["chunks"]
    assert library.counts()["documents"] == 30


# --- vectors and states ---------------------------------------------------------------------------------------


# --- opening ------------------------------------------------------------------------------------------------


def test_a_library_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as raised:
        Library.open(tmp_path / "none", "none")
    assert "'none'" in raised.value.message and "localrag ingest" in raised.value.hint
    assert not (tmp_path / "none").exists()


@sqlite_only
def test_a_library_of_another_schema_is_read_again_beside_its_conversations(library: Editor, put: Put) -> None:
    put(library, "a.txt", "First.")
    library._db.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    library.close()
    folder = library.folder
    (folder / "sessions").mkdir()
    (folder / "sessions/kept.json").write_text("{}")
    with pytest.raises(LibraryError) as raised:
        Library.open(folder, "papers")
    assert (
        "99" in raised.value.message
        and "localrag ingest " in raised.value.hint
        and "--name papers" in raised.value.hint
    )
    assert f"delete library.db* and vectors.index in {str(folder)!r}" in raised.value.hint
    for file in (*folder.glob("library.db*"), *folder.glob("vectors.index")):
        file.unlink()
    Editor.create(folder, "papers", IDENTITY).close()
    Library.open(folder, "papers").close()
    assert (folder / "sessions/kept.json").is_file()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    for content in (b"not a database, but long enough to be looked at " * 50, b"", b"SQLite format 3\x00 and rubbish"):
        (tmp_path / DATABASE).write_bytes(content)
        with pytest.raises(LibraryError) as raised:
            Library.open(tmp_path, "papers")
        assert raised.value.hint, content[:20]


@sqlite_only
def test_a_database_damaged_in_the_middle_is_a_library_error(library: Editor, put: Put) -> None:
    for number in range(40):
        put(library, f"{number}.txt", f"Words of document {number}. " * 60)
    library.save_index()
    library.close()
    file = library.folder / DATABASE
    data = bytearray(file.read_bytes())
    data[8192:] = b"\xa5" * (len(data) - 8192)
    file.write_bytes(bytes(data))
    with pytest.raises(LibraryError) as raised:
        damaged = Library.open(library.folder, "papers")
        for document in damaged.documents():
            damaged.chunks_of(document.id)
            damaged.pages(document.id)
        with_words(damaged, "words")
        damaged.index()
    assert raised.value.hint


def test_another_embedder_is_refused(library: Library) -> None:
    library.require(IDENTITY)
    for other in (
        replace(IDENTITY, model="other"),
        replace(IDENTITY, sha256="1" * 64),
        replace(IDENTITY, precision="bfloat16"),
        replace(IDENTITY, engine="onnx"),
        replace(IDENTITY, dimension=8),
    ):
        with pytest.raises(EmbedderMismatch) as raised:
            library.require(other)
        assert "--re-embed" in raised.value.hint


@sqlite_only
def test_a_reader_cannot_write_and_leaves_the_file_as_it_is(library: Editor, put: Put) -> None:
    put(library, "a.txt", "Words.")
    library.save_index()
    before = (library.folder / DATABASE).read_bytes()
    reader = Library.open(library.folder, "papers")
    with_words(reader, "words")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader._db.execute("DELETE FROM documents")
    reader.close()
    assert (library.folder / DATABASE).read_bytes() == before


@sqlite_only
@pytest.mark.skipif(sys.platform == "win32", reason="folders have no mode there")
def test_a_library_in_a_read_only_folder_is_not_reported_as_damaged(
    library: Editor, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(library, "a.txt", "Words.")
    library.close()
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        monkeypatch.setattr(policy, "SYSTEM", Path(place) / "policy.toml")  # where the other user may look for one
        folder = shutil.copytree(library.folder, Path(place) / "papers")
        (folder / DATABASE).chmod(0o644)
        folder.chmod(0o555)
        try:
            if os.geteuid() == 0:
                os.seteuid(65534)  # root may write everywhere
            with pytest.raises(StorageError) as raised:
                Library.open(folder, "papers")
        finally:
            os.seteuid(os.getuid())
            folder.chmod(0o755)
    assert "delete" not in raised.value.hint and "writable" in raised.value.hint


# --- roots, failures, names, globs ---------------------------------------------------------------------------


def test_a_root_is_not_moved_onto_another(library: Editor, put: Put) -> None:
    put(library, "a.txt", "Words.", root="/old")
    put(library, "a.txt", "Others.", root="/new")
    with pytest.raises(UsageError):
        library.move_root("/old", "/new")
    assert library.roots() == ["/new", "/old"]


@pytest.mark.parametrize("name", ["contracts", "matters 2026", "Akte_Müller (neu)", "a.b-c", "中文"])
def test_a_folder_name_is_a_library_name(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "a\\b", "../x", "a\n", "a:b", "x" * 101, "end.", "end "]
)
def test_a_name_that_could_leave_its_folder_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


@pytest.mark.parametrize(
    ("path", "glob", "fits"),
    [
        ("a/lease.pdf", "lease.pdf", True),
        ("a/lease.pdf", "*.pdf", True),
        ("a/lease.pdf", "a/*", True),
        ("a/lease.pdf", "./a/lease.pdf", True),
        ("a/lease.pdf", "b/*", False),
        ("a/lease.pdf", "Lease.pdf", False),
    ],
)
def test_globs(path: str, glob: str, fits: bool) -> None:
    assert matches(path, glob) is fits


@sqlite_only
def test_text_that_is_no_text_and_a_table_that_lost_a_column_are_damage(library: Editor, put: Put) -> None:
    put(library, "a.txt", "Some words.")
    library._db.execute("UPDATE pages SET text = CAST(x'ff' AS TEXT)")
    with pytest.raises(LibraryError):
        library.pages(1)
    library._db.execute("UPDATE pages SET text = '', layout = '[7]'")
    with pytest.raises(LibraryError):
        library.pages(1)
    library._db.execute("PRAGMA foreign_keys = OFF")
    library._db.execute("INSERT INTO near VALUES (1, 7, 0.9)")
    with pytest.raises(LibraryError):
        library.near_duplicates()
    library._db.execute("UPDATE chunks SET heading = '7'")
    with pytest.raises(LibraryError):
        library.chunks_of(1)
    library._db.execute("ALTER TABLE documents RENAME COLUMN characters TO letters")
    with pytest.raises(LibraryError):
        library.documents()


def test_the_digest_changes_only_with_what_answers_depend_on(library: Editor, put: Put) -> None:
    put(library, "lease.txt", "The rent is 900.", title="The lease")
    put(library, "note.txt", "")
    seen = [library.digest()]

    before = library.generation
    put(library, "lease.txt", "The rent is 900.", title="The lease")
    assert library.generation > before and library.digest() == seen[0]

    for change in (
        lambda: put(library, "lease.txt", "The rent is 950.", title="The lease"),
        lambda: put(library, "lease.txt", "The rent is 950.", title="Lease of a boathouse"),
        lambda: put(library, "lease.txt", "The rent is 950.", title="Lease of a boathouse", date="2026-01-31"),
        lambda: put(library, "empty.txt", ""),
        lambda: library.instruct("Cite clause numbers."),
    ):
        change()
        seen.append(library.digest())
    assert len(set(seen)) == len(seen)
