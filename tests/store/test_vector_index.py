"""The vector index of a library: chosen by the number of vectors, level with the database, nothing left of the gone."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import HashingEmbedder
from papers import all_vectors

from localrag.store import vector_index, vectors
from localrag.store.library import Library
from localrag.store.schema import INDEX
from localrag.store.vectors import ExactIndex, FaissIndex
from localrag.store.writer import Editor

Put = Callable[..., None]
IDENTITY = HashingEmbedder().identity


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Editor]:
    """A library whose index is exact up to five vectors."""
    monkeypatch.setattr(vectors, "FLAT_ROWS", 5)
    monkeypatch.setattr(vector_index, "_ROWS_AT_ONCE", 3)
    made = Editor.create(tmp_path / "home" / "indexes" / "papers", "papers", IDENTITY)
    yield made
    made.close()


def fill(library: Editor, put: Put, first: int, last: int) -> None:
    for number in range(first, last):
        put(library, f"{number}.txt", f"Document {number} tells of topic{number} and of subject{number % 3}.")


def same_as_exact(library: Library, question: str = "subject1 topic4") -> None:
    ids, stored = all_vectors(library)
    exact = ExactIndex(IDENTITY.dimension)
    exact.add(np.array(ids), np.array([np.frombuffer(vector, "<f4") for vector in stored]))
    asked = HashingEmbedder().embed_question(question)
    expected, scores = exact.search(asked, 3)
    found, cosines = library.index().search(asked, 3)
    assert found.tolist() == expected.tolist()
    np.testing.assert_allclose(cosines, scores, atol=1e-6)


def test_the_kind_follows_the_number_of_vectors_both_ways(library: Editor, put: Put) -> None:
    fill(library, put, 0, 5)
    library.save_index()
    assert library.index().kind == "flat"
    fill(library, put, 5, 40)
    library.save_index()
    assert library.index().kind == "sq8"
    same_as_exact(library)
    reader = Library.open(library.folder, "papers")
    assert reader.index().kind == "sq8"
    same_as_exact(reader)
    library.remove([document for document in library.documents() if document.path not in ("3.txt", "4.txt")])
    assert library.index().kind == reader.index().kind == "flat"
    same_as_exact(reader)
    reader.close()


def test_an_index_of_rounded_vectors_is_brought_level_and_not_remade(
    library: Editor, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(library, put, 0, 20)
    library.save_index()
    reader = Library.open(library.folder, "papers")
    monkeypatch.setattr(vector_index.Nearest, "_made", lambda *_: pytest.fail("it was made again"))
    assert len(reader.index()) == 20
    fill(library, put, 20, 30)
    library.remove([library.document("4.txt"), library.document("25.txt")])
    for each in (reader, library):
        assert each.index().ids().tolist() == all_vectors(library)[0] and len(each.index()) == 28
        same_as_exact(each)
    reader.close()


def test_the_same_state_has_the_same_index_whether_grown_or_remade(library: Editor, put: Put) -> None:
    def written(index: FaissIndex) -> bytes:
        stream = io.BytesIO()
        index.recall = None  # measured when it was made
        index.write(stream, "", 0)
        return stream.getvalue()

    fill(library, put, 0, 12)
    library.save_index()
    fill(library, put, 12, 25)
    library.remove([library.document("7.txt")])
    grown = written(library.index())
    (library.folder / INDEX).unlink()
    reader = Library.open(library.folder, "papers")
    assert written(reader.index()) == grown
    reader.close()


def test_a_removed_vector_is_not_left_rounded_either(
    library: Editor, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(library, put, 0, 20)
    library.save_index()
    ids, stored = all_vectors(library)
    alone = FaissIndex(IDENTITY.dimension, "sq8")
    alone.add(np.array(ids[:1]), np.frombuffer(stored[8], "<f4")[None, :])
    stream = io.BytesIO()
    alone.write(stream, "", 0)
    code = stream.getvalue()[-IDENTITY.dimension :]
    assert code in (library.folder / INDEX).read_bytes()
    library.remove([library.document("8.txt")])
    library.save_index()
    assert code not in (library.folder / INDEX).read_bytes()
    fill(library, put, 30, 31)
    added: list[int] = []
    add = FaissIndex.add

    def watched(self: FaissIndex, ids: vectors.Ids, rows: vectors.Vectors) -> None:
        added.extend(ids.tolist())
        add(self, ids, rows)

    monkeypatch.setattr(FaissIndex, "add", watched)
    library.compact()
    assert added == all_vectors(library)[0]  # from the database alone
    assert code not in (library.folder / INDEX).read_bytes() and len(library.index()) == 20


def test_recall_is_measured_when_it_is_made_and_kept_in_the_file(library: Editor, put: Put) -> None:
    assert library.index_facts() is None
    fill(library, put, 0, 4)
    library.save_index()
    told = library.index_facts()
    assert told is not None and (told.kind, told.rows, told.recall) == ("flat", 4, None)
    fill(library, put, 4, 40)
    library.save_index()
    told = library.index_facts()
    assert told is not None and told.recall is not None
    assert (told.kind, told.rows, told.recall.share) == ("sq8", 40, 1.0) and told.recall.questions == 32
    assert told.bytes == (library.folder / INDEX).stat().st_size
    fill(library, put, 40, 42)
    library.save_index()
    again = library.index_facts()
    assert again is not None and (again.rows, again.recall) == (42, told.recall)


def test_recall_says_what_a_lame_index_misses(library: Editor, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_index, "_AT", 4)
    scan = FaissIndex._scan

    def lame(self: FaissIndex, question: vectors.Vectors, k: int, places: vectors.Ids | None) -> object:
        return tuple(part[:2] for part in scan(self, question, k, places))

    monkeypatch.setattr(FaissIndex, "_scan", lame)
    fill(library, put, 0, 40)
    recall = library.index().recall
    assert recall is not None and 0.25 < recall.share <= 0.5


def test_a_filter_is_applied_before_the_search_of_rounded_vectors(library: Editor, put: Put) -> None:
    fill(library, put, 0, 40)
    index = library.index()
    question = HashingEmbedder().embed_question("topic4")
    for allowed in (np.array([9]), np.array([2, 9, 31]), np.arange(1, 41, 2), np.arange(20, 60)):
        found = index.search(question, 10, allowed)[0]
        there = set(allowed.tolist()) & set(range(1, 41))
        assert set(found.tolist()) <= there and len(found) == min(10, len(there))


def test_an_index_is_read_in_pieces_and_vectors_from_the_database_too(
    library: Editor, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(library, put, 0, 20)
    monkeypatch.setattr(vectors, "_PIECE", 1000)
    most = 0
    select = library._nearest._select

    def watched(sql: str, values: object = ()) -> object:
        nonlocal most
        rows = select(sql, values)
        if "vector" in sql and "> ?" in sql:
            most = max(most, len(rows))
        return rows

    library._nearest._select = watched  # type: ignore[assignment]
    library.save_index()
    assert most == 3
    same_as_exact(reader := Library.open(library.folder, "papers"))
    reader.close()


# --- a file that is missing, damaged, stale or another's ------------------------------------------------------


def drop(index: Path) -> None:
    index.unlink()


def garble(index: Path) -> None:
    index.write_bytes(b"not an index at all")


def truncate(index: Path) -> None:
    index.write_bytes(index.read_bytes()[:-40])


def empty(index: Path) -> None:
    index.write_bytes(b"")


@pytest.mark.parametrize("harm", [drop, garble, truncate, empty])
def test_a_missing_or_damaged_index_is_remade_from_the_database(
    library: Editor, put: Put, harm: Callable[[Path], None]
) -> None:
    for number in range(5):
        put(library, f"{number}.txt", f"Document {number} about topic{number}.")
    library.save_index()
    question = HashingEmbedder().embed_question("topic3")
    expected = library.index().search(question, 3)
    harm(library.folder / INDEX)
    with_reader = Library.open(library.folder, "papers")
    found = with_reader.index().search(question, 3)
    with_reader.close()
    assert found[0].tolist() == expected[0].tolist() and found[1].tolist() == expected[1].tolist()


def test_a_stale_index_is_not_used(library: Editor, put: Put) -> None:
    put(library, "a.txt", "First.")
    library.save_index()
    old = (library.folder / INDEX).read_bytes()
    put(library, "b.txt", "Second.")
    library.save_index()
    (library.folder / INDEX).write_bytes(old)  # as after a crash between the commit and the index
    assert len(Library.open(library.folder, "papers").index()) == 2


def test_a_sound_index_is_read_and_not_remade(library: Editor, put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    put(library, "a.txt", "First.")
    library.save_index()
    monkeypatch.setattr(FaissIndex, "add", lambda *_: pytest.fail("it was built again"))
    assert len(Library.open(library.folder, "papers").index()) == 1


def test_an_empty_library_has_an_empty_index(library: Editor) -> None:
    assert len(library.index()) == 0
    library.save_index()
    assert len(Library.open(library.folder, "papers").index()) == 0


def test_an_index_of_another_library_is_not_used(library: Editor, put: Put, tmp_path: Path) -> None:
    put(library, "a.txt", "First.")
    library.save_index()
    other = Editor.create(tmp_path / "other", "other", IDENTITY)
    put(other, "a.txt", "Something else.")
    (other.folder / INDEX).write_bytes((library.folder / INDEX).read_bytes())
    question = HashingEmbedder().embed_question("Something else.")
    assert Library.open(other.folder, "other").index().search(question, 1)[1][0] == pytest.approx(1)
    other.close()


def test_an_open_index_takes_in_what_another_process_committed(library: Editor, put: Put) -> None:
    put(library, "a.txt", "First.")
    reader = Library.open(library.folder, "papers")
    assert len(reader.index()) == 1
    put(library, "b.txt", "Second.")
    put(library, "a.txt", "Third.")
    assert reader.index().ids().tolist() == [2, 3]
    reader.close()
