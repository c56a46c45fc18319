import io
import json
import threading

import numpy as np
import pytest
from fakes import HashingEmbedder
from papers import all_vectors
from waiting import PATIENCE

from localrag.errors import LibraryError
from localrag.store import vector_index
from localrag.store.library import Library
from localrag.store.names import INDEX
from localrag.store.vector_index import FaissIndex, best
from localrag.store.writer import Editor

DIMENSION = 24


class ExactIndex:
    def __init__(self, dimension):
        self._ids = np.empty(0, np.int64)
        self._rows = np.empty((0, dimension), np.float32)

    def __len__(self):
        return len(self._ids)

    def add(self, ids, vectors):
        self._ids = np.concatenate([self._ids, ids.astype(np.int64)])
        self._rows = np.concatenate([self._rows, vectors.astype(np.float32)])

    def remove(self, ids):
        keep = ~np.isin(self._ids, ids)
        self._ids, self._rows = self._ids[keep], self._rows[keep]

    def search(self, question, k, allowed=None):
        ids, rows = self._ids, self._rows
        if allowed is not None:
            keep = np.isin(ids, allowed)
            ids, rows = ids[keep], rows[keep]
        return best(ids, rows, question, k)


def unit(rng, rows):
    vectors = rng.standard_normal((rows, DIMENSION)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


kinds = pytest.mark.parametrize("kind", ["flat", "sq8"])


def pair(ids, rows, kind="flat"):
    """The oracle, and FAISS over the same rows; the oracle's rows are what FAISS scores its candidates by."""
    exact = ExactIndex(DIMENSION)

    def originals(wanted):
        there = np.isin(exact._ids, wanted)
        return exact._ids[there], exact._rows[there]

    native = FaissIndex(DIMENSION, kind, originals)
    exact.add(ids, rows)
    native.add(ids, rows)
    return exact, native


def written(index):
    stream = io.BytesIO()
    index.write(stream, "mine", 7)
    return stream.getvalue()


def read(data, library="mine", dimension=DIMENSION):
    return FaissIndex.read(io.BytesIO(data), library, dimension)


def agree(exact, native, question, k, allowed=None):
    ids, scores = exact.search(question, k, allowed)
    found, cosines = native.search(question, k, allowed)
    assert found.tolist() == ids.tolist()
    np.testing.assert_allclose(cosines, scores, atol=1e-5)
    assert found.dtype == np.int64 and len(native) == len(exact)
    with native.searching(question, k, allowed) as nearest:
        pass
    assert nearest()[0].tolist() == found.tolist()
    return found


@kinds
@pytest.mark.parametrize("seed", range(4))
def test_faiss_finds_what_exact_search_finds(seed, kind):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 400))
    ids = np.sort(rng.choice(10_000, size, replace=False)).astype(np.int64)
    exact, native = pair(ids, unit(rng, size), kind)
    for question in unit(rng, 10):
        k = int(rng.integers(1, size + 10))
        assert len(agree(exact, native, question, k)) == min(k, size)
        allowed = rng.choice(ids, int(rng.integers(1, size + 1)), replace=False)
        found = agree(exact, native, question, k, allowed)
        assert set(found.tolist()) <= set(allowed.tolist()) and len(found) == min(k, len(allowed))
    gone = np.sort(rng.choice(ids, size // 2, replace=False))
    exact.remove(gone)
    native.remove(gone)
    found = agree(exact, native, unit(rng, 1)[0], size)
    assert not set(found.tolist()) & set(gone.tolist()) and len(found) == size - size // 2
    exact.add(gone[:3] + 20_000, more := unit(rng, len(gone[:3])))
    native.add(gone[:3] + 20_000, more)
    agree(exact, native, unit(rng, 1)[0], 5)


def test_a_scan_runs_while_the_caller_goes_on(monkeypatch):
    rng = np.random.default_rng(3)
    native = pair(np.arange(1, 301), unit(rng, 300), "sq8")[1]
    question, gone_on, scan = unit(rng, 1)[0], threading.Event(), native._scan

    def waiting(*given):
        assert gone_on.wait(PATIENCE)
        return scan(*given)

    monkeypatch.setattr(native, "_scan", waiting)
    with native.searching(question, 5) as nearest:
        gone_on.set()
    assert nearest()[0].tolist() == native.search(question, 5)[0].tolist()


def test_ids_that_do_not_rise_are_refused():
    rng = np.random.default_rng(9)
    native = pair(np.array([5, 9]), unit(rng, 2))[1]
    for ids in ([9], [3], [12, 11], [11, 11]):
        with pytest.raises(ValueError):
            native.add(np.array(ids), unit(rng, len(ids)))
    assert native.ids.tolist() == [5, 9]


@kinds
def test_bytes_and_back(kind):
    rng = np.random.default_rng(4)
    exact, native = pair(np.arange(100, 150), unit(rng, 50), kind)
    data = written(native)
    generation, again = read(data)
    assert generation == 7 and again.ids.tolist() == list(range(100, 150)) and again.dimension == DIMENSION
    assert again.kind == kind
    again._originals = native._originals
    for question in unit(rng, 5):
        agree(exact, again, question, 9)
    assert written(again) == data
    again.remove(np.array([100]))
    assert len(again) == 49


@kinds
def test_what_does_not_belong_or_is_damaged_is_refused(kind):
    rng = np.random.default_rng(4)
    data = written(pair(np.arange(50), unit(rng, 50), kind)[1])
    head = data.index(b"\n", data.index(b"\n") + 1) + 1
    start = data.index(b"{")
    header = json.loads(data[start:head])

    def saying(**other):
        return data[:start] + json.dumps({**header, **other}).encode() + b"\n" + data[head:]

    assert read(saying())[0] == 7
    flipped = bytearray(data)
    flipped[-3] ^= 1
    bad = [b"", b"not an index", data + b"x", data[head:], data[:head] + b"\x00" * 500, bytes(flipped)]
    bad += [data[:end] for end in (10, 30, head, head + 1, head + 40, len(data) // 2, -1)]
    bad += [data[:start] + b"[]\n", data[:start] + b"[" * 60_000 + b"\n", data.replace(b'"library"', b'"librarx"')]
    bad += [saying(rows=rows) for rows in (49, 51, -1, 2**62, "50")] + [saying(library=name) for name in ("hers", None)]
    bad += [saying(kind=other) for other in ("ivf", "sq8" if kind == "flat" else "flat")]
    bad += [saying(generation=None), saying(dimension=DIMENSION + 1), saying(crc32=1)]
    for content in bad:
        with pytest.raises(LibraryError):
            read(content)
    for library, dimension in (("hers", DIMENSION), ("mine", DIMENSION + 1)):
        with pytest.raises(LibraryError):
            read(data, library, dimension)


IDENTITY = HashingEmbedder().identity


@pytest.fixture
def library(tmp_path, monkeypatch):
    monkeypatch.setattr(vector_index, "FLAT_ROWS", 5)
    monkeypatch.setattr(vector_index, "_ROWS_PER_READ", 3)
    made = Editor.create(tmp_path / "home" / "indexes" / "papers", "papers", IDENTITY)
    yield made
    made.close()


def fill(library, put, first, last):
    for number in range(first, last):
        put(library, f"{number}.txt", f"Document {number} tells of topic{number} and of subject{number % 3}.")


def same_as_exact(library, question="subject1 topic4"):
    ids, stored = all_vectors(library)
    exact = ExactIndex(IDENTITY.dimension)
    exact.add(np.array(ids), np.array([np.frombuffer(vector, "<f4") for vector in stored]))
    asked = HashingEmbedder().embed_question(question)
    expected, scores = exact.search(asked, 3)
    found, cosines = library.index().search(asked, 3)
    assert found.tolist() == expected.tolist()
    np.testing.assert_allclose(cosines, scores, atol=1e-6)


def test_the_kind_follows_the_number_of_vectors_both_ways(library, put):
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


def test_a_removed_vector_is_not_left_rounded_either(library, put, monkeypatch):
    fill(library, put, 0, 20)
    library.save_index()
    ids, stored = all_vectors(library)
    alone = FaissIndex(IDENTITY.dimension, "sq8")
    alone.add(np.array(ids[:1]), np.frombuffer(stored[8], "<f4")[None, :])
    code = written(alone)[-IDENTITY.dimension :]
    assert code in (library.folder / INDEX).read_bytes()
    library.remove([library.document("8.txt")])
    library.save_index()
    assert code not in (library.folder / INDEX).read_bytes()
    fill(library, put, 30, 31)
    added = []
    add = FaissIndex.add

    def watched(self, ids, rows):
        added.extend(ids.tolist())
        add(self, ids, rows)

    monkeypatch.setattr(FaissIndex, "add", watched)
    library.compact()
    assert added == all_vectors(library)[0]  # from the database alone
    assert code not in (library.folder / INDEX).read_bytes() and len(library.index()) == 20


@pytest.mark.parametrize(
    "harm",
    [
        lambda index: index.unlink(),
        lambda index: index.write_bytes(b"not an index at all"),
        lambda index: index.write_bytes(index.read_bytes()[:-40]),
        lambda index: index.write_bytes(b""),
    ],
)
def test_a_missing_or_damaged_index_is_remade_from_the_database(library, put, harm):
    fill(library, put, 0, 5)
    library.save_index()
    question = HashingEmbedder().embed_question("topic3")
    expected = library.index().search(question, 3)
    harm(library.folder / INDEX)
    reader = Library.open(library.folder, "papers")
    np.testing.assert_array_equal(reader.index().search(question, 3), expected)
    reader.close()


def test_an_index_that_is_stale_or_newer_than_the_snapshot_is_not_used(library, put):
    put(library, "a.txt", "First.")
    library.save_index()
    old = (library.folder / INDEX).read_bytes()
    put(library, "b.txt", "Second.")
    library.save_index()
    (library.folder / INDEX).write_bytes(old)  # as after a crash between the commit and the index
    assert len(Library.open(library.folder, "papers").index()) == 2
    library.save_index()
    reader = Library.open(library.folder, "papers")
    with reader.snapshot():
        assert len(reader.documents()) == 2
        library.remove(library.documents(["b.txt"]))
        put(library, "c.txt", "Third.")  # as many passages as before, of which the reader knows one
        library._index.save(*library._state())  # `save_index` would wait for the reader to checkpoint
        ids = reader.index().ids
        assert set(reader.cosines(ids.tolist(), HashingEmbedder().embed_question("Second."))) == set(ids.tolist())
    reader.close()
