"""FAISS against the oracle: the same neighbours as exact numpy, whatever was added, removed and allowed."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from localrag.errors import LibraryError
from localrag.store import vectors
from localrag.store.vectors import ExactIndex, FaissIndex, Kind, Recall, facts, kind_for

if TYPE_CHECKING:
    from localrag.store.vectors import Ids, Vectors

DIMENSION = 24


def unit(rng: np.random.Generator, rows: int) -> Vectors:
    vectors = rng.standard_normal((rows, DIMENSION)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)  # type: ignore[no-any-return]


KINDS: tuple[Kind, ...] = ("flat", "sq8")


def pair(ids: Ids, rows: Vectors, kind: Kind = "flat") -> tuple[ExactIndex, FaissIndex]:
    """The oracle, and FAISS over the same rows; the oracle's rows are what FAISS scores its candidates by."""
    exact = ExactIndex(DIMENSION)

    def originals(wanted: Ids) -> tuple[Ids, Vectors]:
        there = np.isin(exact._ids, wanted)
        return exact._ids[there], exact._rows[there]

    native = FaissIndex(DIMENSION, kind, originals)
    exact.add(ids, rows)
    native.add(ids, rows)
    return exact, native


def written(index: FaissIndex, library: str = "mine", generation: int = 7) -> bytes:
    stream = io.BytesIO()
    index.write(stream, library, generation)
    return stream.getvalue()


def read(data: bytes, library: str = "mine", dimension: int = DIMENSION) -> tuple[int, FaissIndex]:
    return FaissIndex.read(io.BytesIO(data), library, dimension)


def agree(exact: ExactIndex, native: FaissIndex, question: Vectors, k: int, allowed: Ids | None = None) -> Ids:
    ids, scores = exact.search(question, k, allowed)
    found, cosines = native.search(question, k, allowed)
    assert found.tolist() == ids.tolist()
    np.testing.assert_allclose(cosines, scores, atol=1e-5)
    assert found.dtype == np.int64 and len(native) == len(exact)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_faiss_finds_what_exact_search_finds(seed: int, kind: Kind) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 400))
    ids = np.sort(rng.choice(10_000, size, replace=False)).astype(np.int64)
    exact, native = pair(ids, unit(rng, size), kind)
    for _ in range(10):
        question = unit(rng, 1)[0]
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


@pytest.mark.parametrize("kind", KINDS)
def test_a_filter_with_unknown_ids_gives_those_that_are_there(kind: Kind) -> None:
    rng = np.random.default_rng(1)
    exact, native = pair(np.arange(1, 11), unit(rng, 10), kind)
    assert len(agree(exact, native, unit(rng, 1)[0], 5, np.array([3, 77, 4, 1 << 40]))) == 2
    assert len(agree(exact, native, unit(rng, 1)[0], 5, np.array([4, 3, 4, 0, -1, 3]))) == 2
    assert len(agree(exact, native, unit(rng, 1)[0], 5, np.array([], np.int64))) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_in_gives_nothing_out(kind: Kind) -> None:
    rng = np.random.default_rng(1)
    exact, native = pair(np.empty(0, np.int64), np.empty((0, DIMENSION), np.float32), kind)
    assert len(agree(exact, native, unit(rng, 1)[0], 5)) == 0
    native.remove(np.array([1, 2]))
    exact.remove(np.array([1, 2]))
    assert len(native) == len(exact) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_equal_vectors_come_in_order_of_their_ids(kind: Kind) -> None:
    rng = np.random.default_rng(1)
    same = np.repeat(unit(rng, 1), 20, axis=0)
    exact, native = pair(np.arange(20), same, kind)
    assert agree(exact, native, same[0], 20).tolist() == list(range(20))
    assert agree(exact, native, same[0], 5).tolist() == list(range(5))
    assert agree(exact, native, same[0], 3, np.arange(19, 6, -1)).tolist() == [7, 8, 9]


def test_equal_rows_get_equal_scores_whatever_their_number() -> None:
    rng = np.random.default_rng(1)
    rows = unit(rng, 2)
    for n in range(1, 40):
        ids, found = vectors.best(np.arange(n), np.repeat(rows[:1], n, axis=0), rows[1], n)
        assert ids.tolist() == list(range(n)) and len(set(found.tolist())) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_rows_make_the_same_file_however_they_came_in(kind: Kind) -> None:
    rng = np.random.default_rng(5)
    rows, ids = unit(rng, 90), np.arange(1, 91)
    at_once = pair(ids[30:], rows[30:], kind)[1]
    piecemeal = FaissIndex(DIMENSION, kind)
    for first in range(0, 90, 7):
        piecemeal.add(ids[first : first + 7], rows[first : first + 7])
        piecemeal.remove(ids[max(0, first - 7) : first][ids[max(0, first - 7) : first] <= 30])
    piecemeal.remove(ids[:30])
    assert written(piecemeal) == written(at_once)


@pytest.mark.parametrize("kind", KINDS)
def test_a_removed_vector_is_in_no_byte_of_the_file(kind: Kind) -> None:
    rng = np.random.default_rng(6)
    rows, ids = unit(rng, 40), np.arange(1, 41)
    alone = FaissIndex(DIMENSION, kind)
    alone.add(ids[:1], rows[7:8])
    code = written(alone)[-DIMENSION * (4 if kind == "flat" else 1) :]
    index = pair(ids, rows, kind)[1]
    assert code in written(index)
    index.remove(ids[7:8])
    assert code not in written(index) and len(index) == 39


def test_rounded_vectors_alone_give_nearly_the_cosine() -> None:
    rng = np.random.default_rng(7)
    exact, _ = pair(np.arange(60), rows := unit(rng, 60))
    rounded = FaissIndex(DIMENSION, "sq8")
    rounded.add(np.arange(60), rows)
    np.testing.assert_allclose(rounded.search(rows[3], 5)[1], exact.search(rows[3], 5)[1], atol=0.02)


def test_what_is_gone_from_the_database_is_not_found() -> None:
    rng = np.random.default_rng(8)
    exact, native = pair(np.arange(60), rows := unit(rng, 60), "sq8")
    exact.remove(np.array([3]))
    assert 3 not in native.search(rows[3], 10)[0]


def test_ids_that_do_not_rise_are_refused() -> None:
    rng = np.random.default_rng(9)
    native = pair(np.array([5, 9]), unit(rng, 2))[1]
    for ids in ([9], [3], [12, 11], [11, 11]):
        with pytest.raises(ValueError, match="rise"):
            native.add(np.array(ids), unit(rng, len(ids)))
    assert native.ids().tolist() == [5, 9]


def test_the_number_of_rows_alone_chooses_the_kind() -> None:
    assert kind_for(0) == kind_for(vectors.FLAT_ROWS) == "flat"
    assert kind_for(vectors.FLAT_ROWS + 1) == kind_for(10**7) == "sq8"


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_and_back(kind: Kind) -> None:
    rng = np.random.default_rng(4)
    exact, native = pair(np.arange(100, 150), unit(rng, 50), kind)
    native.recall = Recall(0.999, 100, 32)
    data = written(native)
    generation, again = read(data)
    assert generation == 7 and again.ids().tolist() == list(range(100, 150)) and again.dimension == DIMENSION
    assert (again.kind, again.recall) == (kind, native.recall)
    again._originals = native._originals
    for _ in range(5):
        agree(exact, again, unit(rng, 1)[0], 9)
    assert written(again) == data
    again.remove(np.array([100]))
    assert len(again) == 49


@pytest.mark.parametrize("kind", KINDS)
def test_the_head_of_a_file_tells_what_it_is(kind: Kind) -> None:
    native = pair(np.arange(50), unit(np.random.default_rng(4), 50), kind)[1]
    native.recall = Recall(0.9987, 100, 32)
    data = written(native)
    told = facts(io.BytesIO(data), len(data), "mine")
    assert told is not None and (told.kind, told.rows, told.recall) == (kind, 50, native.recall)
    assert "50 vectors" in str(told) and ("99.87%" in str(told)) is (kind == "sq8")
    for other in (b"", data[:40], data[5:], b"x" * 500):
        assert facts(io.BytesIO(other), 0, "mine") is None
    assert facts(io.BytesIO(data), 0, "hers") is None


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_belong_or_is_damaged_is_refused(kind: Kind) -> None:
    rng = np.random.default_rng(4)
    data = written(pair(np.arange(50), unit(rng, 50), kind)[1])
    head = data.index(b"\n", data.index(b"\n") + 1) + 1
    start = data.index(b"{")
    header = json.loads(data[start:head])

    def saying(**other: object) -> bytes:
        return data[:start] + json.dumps({**header, **other}).encode() + b"\n" + data[head:]

    assert read(saying())[0] == 7
    flipped = bytearray(data)
    flipped[-3] ^= 1
    bad = [
        b"", b"\n", b"not an index", data[:10], data[:30], data[:head], data[: head + 1], data[: head + 40],
        data[: len(data) // 2], data[:-1], data + b"x", data[head:], data[:head] + b"\x00" * 500, bytes(flipped),
        data.replace(b'"mine"', b'"hers"'), data.replace(b'{"library"', b'["library"'), data[:start] + b"[]\n",
        saying(rows=49), saying(rows=51), saying(rows=-1), saying(rows=2**62), saying(rows="50"), saying(kind="ivf"),
        saying(kind="sq8" if kind == "flat" else "flat"), saying(generation=None), saying(recall={"share": 1}),
        data.replace(b'"library"', b'"librarx"'), data[:start] + b"[" * 60_000 + b"\n", saying(library=None),
        saying(recall=[1]), saying(dimension=DIMENSION + 1), saying(crc32=1),
    ]  # fmt: skip
    for content in bad:
        with pytest.raises(LibraryError):
            read(content)
    for library, dimension in (("hers", DIMENSION), ("mine", DIMENSION + 1)):
        with pytest.raises(LibraryError):
            read(data, library, dimension)
