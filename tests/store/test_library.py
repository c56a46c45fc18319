import os
import random
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import HashingEmbedder
from papers import IDENTITY, all_vectors, indexed, sound, with_words
from stores import sqlite_only

from localrag import policy
from localrag.errors import EmbedderMismatch, LibraryError, NotFoundError, StorageError, UsageError
from localrag.ingest import chunking
from localrag.security.storage import sqlite3
from localrag.store.library import Library
from localrag.store.names import DATABASE
from localrag.store.writer import BINS, Editor, minhash, passage_digest, similarities
from localrag.types import Anchor, Chunk, Heading, Page, Part, Reading, Remark, SkippedPage, Word

CANARY = "qqcanaryxx"  # its own stem, so that the full-text index holds it letter by letter


def contents(library):
    return {doc.path: [page.text for page in library.pages(doc.id)] for doc in library.documents()}


def everything_on_disk(folder):
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_a_document_comes_back_as_it_was_read(library, put):
    put(library, "lease.pdf", ["First page.", "Second page."], title="The lease")
    (document,) = library.documents()
    assert (document.root, document.path, document.title) == ("/root", "lease.pdf", "The lease")
    assert (document.pages, document.paged, document.characters) == (2, True, 23)
    assert library.pages(document.id) == [Page("First page.", 1), Page("Second page.", 2)]
    assert library.page_text(document.id, 1) == "Second page."
    assert library.page_text(document.id, 7) == ""
    assert library.counts() == {"documents": 1, "pages": 2, "chunks": 2, "characters": 23}
    marks = (Heading(0, 1, "Prices"),), "sheet", (Anchor(7, "A2"),), (Word(0, 6, 0.1, 0.2, 0.5, 0.25),)
    page = Page("Prices\n| A | B |", 1, "Sheet1", *marks)
    remarks = (Remark(None, "hidden"), Remark(1, "odd"))
    reading = Reading((page,), "Title", (SkippedPage(2, "blank"),), remarks, "Ann", "2024-03-02")
    library.begin("/r", "a.xlsx")
    library.put("/r", "a.xlsx", Part("b/c.xlsx", "hash", 3, reading), [], {})
    document = library.document("a.xlsx/b/c.xlsx")
    assert (document.path, document.file, document.size) == ("a.xlsx/b/c.xlsx", "a.xlsx", 3)
    assert (document.author, document.date, document.remarks) == ("Ann", "2024-03-02", reading.remarks)
    assert document.skipped == reading.skipped and library.pages(document.id) == [page]


@pytest.mark.parametrize("statement", ["INTO documents", "INTO pages", "INTO chunks", "INTO postings", "INTO meta"])
def test_an_error_in_the_middle_of_storing_leaves_the_old_version(library, put, statement):
    put(library, "a.txt", "The old version stands.")
    before = contents(library), library.generation, with_words(library, "old")
    real = library._db

    class Failing:
        def __getattr__(self, name):
            if name not in ("execute", "executemany"):
                return getattr(real, name)

            def run(sql, *rest):
                if statement in sql:
                    raise ZeroDivisionError
                return getattr(real, name)(sql, *rest)

            return run

    library._db = library._indexer._db = Failing()
    with pytest.raises(ZeroDivisionError):
        put(library, "a.txt", "The new version is longer than the old version was.")
    library._db = library._indexer._db = real
    assert (contents(library), library.generation, with_words(library, "old")) == before
    assert with_words(library, "new") == []
    put(library, "a.txt", "The new version.")
    assert contents(library) == {"a.txt": ["The new version."]}


def test_a_chunk_without_its_vector_is_refused_and_nothing_is_stored(library):
    part = Part("", "hash", 3, Reading((Page("abc"),)))
    with pytest.raises(KeyError), library.transaction():
        library.begin("/r", "a")
        library.put("/r", "a", part, [Chunk(0, 0, 3, "abc")], {})
    assert contents(library) == {} and library.files("/r") == {}


def test_documents_that_say_the_same_share_their_passages(library, put):
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


def test_drafts_of_a_document_are_linked_and_others_are_not(library, put):
    words = [f"word{n * n % 997}" for n in range(400)]
    put(library, "draft.txt", " ".join(words))
    put(library, "final.txt", " ".join([*words[:200], "but", "not", "here", *words[200:]]))
    put(library, "other.txt", " ".join(f"else{n}" for n in range(400)))
    put(library, "copy.txt", " ".join(words), sha256="hash of draft.txt")
    pairs = {(one, other) for one, other, _ in library.near_duplicates()}
    assert pairs == {("final.txt", "draft.txt"), ("copy.txt", "final.txt")}
    library.remove([library.document("final.txt")])
    assert library.near_duplicates() == []


def test_equal_names_in_two_roots_and_two_folders_are_different_documents(library, put):
    put(library, "a/lease.txt", "One.", root="/first")
    put(library, "b/lease.txt", "Two.", root="/first")
    put(library, "a/lease.txt", "Three.", root="/second root")
    put(library, "a/lease.txt", "Three, changed.", root="/second root")
    assert {(d.root, d.path): library.page_text(d.id, 0) for d in library.documents()} == {
        ("/first", "a/lease.txt"): "One.",
        ("/first", "b/lease.txt"): "Two.",
        ("/second root", "a/lease.txt"): "Three, changed.",
    }
    assert [doc.path for doc in library.documents(root="/second root")] == ["a/lease.txt"]
    with pytest.raises(NotFoundError):
        library.document("a/lease.txt")
    assert library.document("b/lease.txt").path == "b/lease.txt"
    with pytest.raises(UsageError):
        library.move_root("/first", "/second root")
    assert library.roots() == ["/first", "/second root"]


@pytest.mark.parametrize("changed", [0, 60, 300])
def test_the_similarity_of_two_texts_is_estimated(changed):
    runs = lambda text: {tuple(text[first : first + 4]) for first in range(len(text) - 3)}  # noqa: E731
    misses, chance = [], random.Random(5)
    for _ in range(20):
        one, more = ([f"word{chance.randrange(5_000)}" for _ in range(1_000)] for _ in range(2))
        other = [*more[:changed], *one[changed:]]
        true = len(runs(one) & runs(other)) / len(runs(one) | runs(other))
        rows = np.frombuffer(minhash(" ".join(one)), "<u4").reshape(1, -1)
        misses.append(float(similarities(rows, minhash(" \n ".join(other).upper()))[0]) - true)
    # The standard error is at most 0.045 for one pair, and 0.01 for the mean of twenty.
    assert abs(float(np.mean(misses))) < 0.035 * bool(changed) + 1e-9 and float(np.max(np.abs(misses))) < 0.18
    assert minhash("A short note. " * 3) == b"" and len(minhash(" ".join(one[:100]))) == 4 * BINS


def canary_anywhere(library):
    found = []
    for (name,) in library._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        rows = library._db.execute(f'SELECT * FROM "{name}"').fetchall()
        if any(CANARY in (v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v)) for r in rows for v in r):
            found.append(name)
    return found


@sqlite_only
@pytest.mark.parametrize("compact", [True, False])
def test_removing_leaves_nothing_in_any_table_index_or_byte(library, put, compact):
    for number in range(30):
        put(library, f"keep{number}.txt", f"Kept words of document {number}. " * 20)
    put(library, f"{CANARY}.txt", [f"The secret is {CANARY}. " * 50, CANARY], title=CANARY)
    vector = all_vectors(library)[1][-1]
    library.save_index()
    assert canary_anywhere(library) and CANARY.encode() in everything_on_disk(library.folder)
    assert vector in everything_on_disk(library.folder)
    removed = library.document(f"{CANARY}.txt")
    library.remove([removed])
    library.compact() if compact else library.save_index()
    assert canary_anywhere(library) == []
    assert library.chunks_of(removed.id) == [] and library.pages(removed.id) == []
    left = everything_on_disk(library.folder)
    assert CANARY.encode() not in left.lower() and vector not in left
    assert with_words(library, CANARY) == []
    assert len(library.index()) == library.counts()["chunks"]
    assert library.counts()["documents"] == 30


def test_a_library_that_is_not_there_or_no_database_is_refused(tmp_path):
    with pytest.raises(NotFoundError) as raised:
        Library.open(tmp_path / "none", "none")
    assert "'none'" in raised.value.message and "localrag ingest" in raised.value.hint
    assert not (tmp_path / "none").exists()
    for content in (b"not a database, but long enough to be looked at " * 50, b"", b"SQLite format 3\x00 and rubbish"):
        (tmp_path / DATABASE).write_bytes(content)
        with pytest.raises(LibraryError) as raised:
            Library.open(tmp_path, "papers")
        assert raised.value.hint, content[:20]


@sqlite_only
def test_a_library_of_another_schema_is_read_again_beside_its_conversations(library, put):
    put(library, "a.txt", "First.")
    library._db.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    library.close()
    folder = library.folder
    (folder / "sessions").mkdir()
    (folder / "sessions/kept.json").write_text("{}")
    with pytest.raises(LibraryError) as raised:
        Library.open(folder, "papers")
    assert "99" in raised.value.message and "localrag ingest /root --name papers" in raised.value.hint
    assert f"delete library.db* and vectors.index in {str(folder)!r}" in raised.value.hint
    for file in (*folder.glob("library.db*"), *folder.glob("vectors.index")):
        file.unlink()
    Editor.create(folder, "papers", IDENTITY).close()
    Library.open(folder, "papers").close()
    assert (folder / "sessions/kept.json").is_file()


@sqlite_only
def test_a_database_damaged_in_the_middle_is_a_library_error(library, put):
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


def test_another_embedder_is_refused(library):
    library.require(IDENTITY)
    for change in ({"model": "other"}, {"sha256": "1" * 64}, {"dimension": 8}):
        with pytest.raises(EmbedderMismatch) as raised:
            library.require(replace(IDENTITY, **change))
        assert "--re-embed" in raised.value.hint


@sqlite_only
def test_a_reader_cannot_write_and_leaves_the_file_as_it_is(library, put):
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
def test_a_library_in_a_read_only_folder_is_not_reported_as_damaged(library, put, monkeypatch):
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


@sqlite_only
def test_text_that_is_no_text_and_a_table_that_lost_a_column_are_damage(library, put):
    put(library, "a.txt", "Some words.")
    library._db.execute("PRAGMA foreign_keys = OFF")
    for statement, look in (
        ("UPDATE pages SET text = CAST(x'ff' AS TEXT)", lambda: library.pages(1)),
        ("UPDATE pages SET text = '', layout = '[7]'", lambda: library.pages(1)),
        ("INSERT INTO near VALUES (1, 7, 0.9)", library.near_duplicates),
        ("UPDATE chunks SET heading = '7'", lambda: library.chunks_of(1)),
        ("ALTER TABLE documents RENAME COLUMN characters TO letters", library.documents),
    ):
        library._db.execute(statement)
        with pytest.raises(LibraryError):
            look()


def test_the_digest_changes_only_with_what_answers_depend_on(library, put):
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


def called(library, term):
    ids = set(library.text.documents_named([[term]])[0].tolist())
    return [document.path for document in library.documents() if document.id in ids]


def test_a_moved_file_is_called_by_its_new_name_only(library, put):
    put(library, "zeppelin.txt", "Words of it.")
    library.move("/root", "zeppelin.txt", "montgolfier/v1.2 draft.txt", 1, 1)
    assert called(library, "zeppelin") == called(library, "txt") == []
    for term in ("montgolfi", "2", "draft"):
        assert called(library, term) == ["montgolfier/v1.2 draft.txt"]
    sound(library)


def test_a_copy_is_called_by_its_own_name_and_goes_without_the_other(library, put):
    put(library, "zeppelin.txt", "Words of it.")
    (source,) = [file.id for file in library.files("/root").values()]
    library.copy("/root", "montgolfier.txt", 1, 1, source)
    assert called(library, "word") == ["montgolfier.txt", "zeppelin.txt"]
    assert called(library, "montgolfi") == ["montgolfier.txt"]
    sound(library)
    library.remove_files("/root", ["zeppelin.txt"])
    assert called(library, "zeppelin") == [] and len(with_words(library, "words")) == 1
    sound(library)


def test_other_chunks_leave_the_full_text_whole(library, put):
    for n in range(5):
        put(library, f"{n}.txt", f"Sentence {n} of the lease. " * 200)
    library.stage_present("other chunks")
    embedder, chunked = HashingEmbedder(), []
    for document in library.documents():
        pages = library.pages(document.id)
        chunks = chunking.split(pages, count=embedder.count, limit=128, target=90)
        vectors = embedder.embed_documents([chunk.text for chunk in chunks])
        library.stage("other chunks", dict(zip([passage_digest("", chunk) for chunk in chunks], vectors, strict=True)))
        chunked.append((document, pages, chunks))
    before = library.counts()["chunks"]
    library.replace_chunks(library.identity, chunked)
    assert library.counts()["chunks"] > before and with_words(library, "sentence 3 of")
    assert called(library, "3") == ["3.txt"]
    sound(library)
