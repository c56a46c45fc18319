"""FAISS against the oracle: the same neighbours as exact numpy, whatever was added, removed and allowed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from localrag.errors import LibraryError
from localrag.vectors import ExactIndex, FaissIndex

if TYPE_CHECKING:
    from localrag.vectors import Ids, Vectors

DIMENSION = 24


def unit(rng: np.random.Generator, rows: int) -> Vectors:
    vectors = rng.standard_normal((rows, DIMENSION)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)  # type: ignore[no-any-return]


def pair(ids: Ids, vectors: Vectors) -> tuple[ExactIndex, FaissIndex]:
    exact, native = ExactIndex(DIMENSION), FaissIndex(DIMENSION)
    exact.add(ids, vectors)
    native.add(ids, vectors)
    return exact, native


def agree(exact: ExactIndex, native: FaissIndex, question: Vectors, k: int, allowed: Ids | None = None) -> Ids:
    ids, scores = exact.search(question, k, allowed)
    found, cosines = native.search(question, k, allowed)
    assert found.tolist() == ids.tolist()
    np.testing.assert_allclose(cosines, scores, atol=1e-5)
    assert found.dtype == np.int64 and len(native) == len(exact)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_faiss_finds_what_exact_search_finds(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 400))
    ids = np.sort(rng.choice(10_000, size, replace=False)).astype(np.int64)
    exact, native = pair(ids, unit(rng, size))
    for _ in range(10):
        question = unit(rng, 1)[0]
        k = int(rng.integers(1, size + 10))
        assert len(agree(exact, native, question, k)) == min(k, size)
        allowed = rng.choice(ids, int(rng.integers(1, size + 1)), replace=False)
        found = agree(exact, native, question, k, allowed)
        assert set(found.tolist()) <= set(allowed.tolist()) and len(found) == min(k, len(allowed))
    gone = rng.choice(ids, size // 2, replace=False)
    exact.remove(gone)
    native.remove(gone)
    found = agree(exact, native, unit(rng, 1)[0], size)
    assert not set(found.tolist()) & set(gone.tolist()) and len(found) == size - size // 2
    exact.add(gone[:3] + 20_000, more := unit(rng, len(gone[:3])))
    native.add(gone[:3] + 20_000, more)
    agree(exact, native, unit(rng, 1)[0], 5)


def test_a_filter_with_unknown_ids_gives_those_that_are_there() -> None:
    rng = np.random.default_rng(1)
    exact, native = pair(np.arange(1, 11), unit(rng, 10))
    assert len(agree(exact, native, unit(rng, 1)[0], 5, np.array([3, 77, 4, 1 << 40]))) == 2
    assert len(agree(exact, native, unit(rng, 1)[0], 5, np.array([], np.int64))) == 0


def test_nothing_in_gives_nothing_out() -> None:
    rng = np.random.default_rng(1)
    exact, native = pair(np.empty(0, np.int64), np.empty((0, DIMENSION), np.float32))
    assert len(agree(exact, native, unit(rng, 1)[0], 5)) == 0
    native.remove(np.array([1, 2]))
    exact.remove(np.array([1, 2]))
    assert len(native) == len(exact) == 0


def test_equal_vectors_come_in_order_of_their_ids() -> None:
    rng = np.random.default_rng(1)
    same = np.repeat(unit(rng, 1), 20, axis=0)
    exact, native = pair(np.arange(20), same)
    assert agree(exact, native, same[0], 20).tolist() == list(range(20))


def test_bytes_and_back() -> None:
    rng = np.random.default_rng(4)
    exact, native = pair(np.arange(100, 150), unit(rng, 50))
    generation, again = FaissIndex.from_bytes(native.to_bytes("mine", 7), "mine", DIMENSION)
    assert generation == 7 and again.ids().tolist() == list(range(100, 150)) and again.dimension == DIMENSION
    for _ in range(5):
        agree(exact, again, unit(rng, 1)[0], 9)
    again.remove(np.array([100]))
    assert len(again) == 49 and native.to_bytes("mine", 7) == native.to_bytes("mine", 7)


def test_what_does_not_belong_or_is_damaged_is_refused() -> None:
    rng = np.random.default_rng(4)
    data = pair(np.arange(50), unit(rng, 50))[1].to_bytes("mine", 7)
    head = data.index(b"\n", data.index(b"\n") + 1) + 1
    wrong_rows = (
        data[: data.index(b"{")]
        + json.dumps({"library": "mine", "generation": 7, "rows": 49}).encode()
        + b"\n"
        + data[head:]
    )
    bad = [
        b"", b"\n", b"not an index", data[:10], data[:30], data[:head], data[: head + 1], data[: head + 40],
        data[: len(data) // 2], data[:-1], data[head:], data[:head] + b"\x00" * 500, wrong_rows,
        data.replace(b'"mine"', b'"hers"'), data.replace(b'{"library"', b'["library"'),
    ]  # fmt: skip
    for content in bad:
        with pytest.raises(LibraryError):
            FaissIndex.from_bytes(content, "mine", DIMENSION)
    for library, dimension in (("hers", DIMENSION), ("mine", DIMENSION + 1)):
        with pytest.raises(LibraryError):
            FaissIndex.from_bytes(data, library, dimension)
