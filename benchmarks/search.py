"""How long a search takes in a large library, part by part, and whether its index finds what exact search finds.

    python benchmarks/search.py [-n PASSAGES] [--questions N] [--keep FOLDER] [--store URL]

Makes a library of n passages with a seed (`--keep` leaves it in a folder, and measures the one that is there). Words
follow Zipf's law, some of them common to a document; vectors lie in clusters: what all have in common, what a topic,
what a document has, and the passage's own, with less and less in each further direction, as embedders' vectors have.
They are a model: docs/decisions/0015-vector-index.md has recall on real ones. A question has eight words, six of them
from one passage, and a vector with a cosine of about 0.6 to that passage's.

Times are the clock's and, since other work disturbs those, the processor's. Memory is that of a process of its own,
which opens the library and searches. With `--store`, the same rows are then copied into a PostgreSQL store, a fresh one
of this role since they keep their ids (`localrag store init`), and measured there too.
"""

from __future__ import annotations

import argparse
import os
import resource
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from localrag import embeddings
from localrag.embeddings import EmbedderIdentity
from localrag.errors import LocalragError
from localrag.question.lookup import read
from localrag.search import retrieval
from localrag.settings import load_settings
from localrag.store import names, postgres, text_analysis
from localrag.store.library import Library
from localrag.store.postgres import PostgresIndex
from localrag.store.vector_index import FaissIndex, Kind, best
from localrag.store.writer import Editor

DIMENSION = 384
PASSAGES, WORDS = 50, 110  # passages a document, words a passage
BLOCK = 4096  # as in fulltext
VOCABULARY = 200_000
IDENTITY = EmbedderIdentity("made for the benchmark", "0" * 64, "float32", "none", DIMENSION)
SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]


class Given:
    """An embedder whose questions' vectors are known beforehand."""

    identity = IDENTITY

    def __init__(self, vectors: dict[str, Any]) -> None:
        self.vectors = vectors

    def embed_question(self, text: str) -> Any:
        return self.vectors[text]

    def nearness(self, cosines: Any) -> Any:
        return cosines


def word(number: int) -> str:
    parts: list[str] = []
    while number or len(parts) < 2:
        number, last = divmod(number, len(SYLLABLES))
        parts.append(SYLLABLES[last])
    return "".join(parts) + "x"  # no ending that a stemmer takes away, so each word is a term of its own


class Maker:
    """Documents by number: the same number gives the same document."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.words = [word(n) for n in range(VOCABULARY)]
        chances = 1 / (np.arange(VOCABULARY) + 2.7)
        self.chances = np.cumsum(chances / chances.sum())
        self.spread = (1 / np.sqrt(np.arange(1, DIMENSION + 1))).astype(np.float32)
        self.turn = np.linalg.qr(rng.standard_normal((DIMENSION, DIMENSION)))[0].astype(np.float32)
        self.common, *self.topics = self.noise(rng, 301)

    def noise(self, rng: np.random.Generator, rows: int) -> Any:
        drawn = rng.standard_normal((rows, DIMENSION)).astype(np.float32) * self.spread
        return unit(drawn @ self.turn)

    def document(self, number: int) -> tuple[Any, Any]:
        """The numbers of its passages' words, and its vectors."""
        rng = np.random.default_rng((2, number))
        own = np.searchsorted(self.chances, rng.random(200))
        drawn = np.searchsorted(self.chances, rng.random((PASSAGES, WORDS)))
        local = rng.random(drawn.shape) < 0.3
        drawn[local] = rng.choice(own, int(local.sum()))
        topic = self.topics[number % len(self.topics)]
        vectors = 0.35 * self.common + 0.55 * topic + 0.5 * self.noise(rng, 1) + 0.65 * self.noise(rng, PASSAGES)
        return drawn, unit(vectors)

    def text(self, row: Any) -> str:
        return " ".join(self.words[n] for n in row.tolist()) + "."

    def questions(self, documents: int, count: int) -> dict[str, Any]:
        rng = np.random.default_rng(3)
        made = {}
        for _ in range(count):
            drawn, vectors = self.document(int(rng.integers(documents)))
            at, other = rng.choice(PASSAGES, 2, replace=False)
            asked = np.concatenate([rng.choice(drawn[at], 6), rng.choice(drawn[other], 2)])
            made[self.text(asked)] = unit(0.6 * vectors[at] + 0.8 * self.noise(rng, 1)[0])
        return made


def unit(rows: Any) -> Any:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


class Tables:
    """Writes the tables as the editor would, a block of passages at a time; through it, a million take an hour."""

    def __init__(self, editor: Editor, maker: Maker, passages: int) -> None:
        self.db, self.maker, self.passages = editor._db, maker, passages
        self.used = np.zeros(VOCABULARY, bool)
        self.held = np.zeros(VOCABULARY, np.int64)
        self.named: list[Any] = []

    def write(self) -> None:
        self.db.execute("BEGIN")
        self.db.execute("PRAGMA defer_foreign_keys = ON")  # terms come last, when it is known which were used
        self.db.execute("INSERT INTO roots VALUES (1, '/made')")
        for first in range(0, self.passages + 1, BLOCK):
            self.block(max(1, first), min(first + BLOCK, self.passages + 1))
        keys = np.concatenate(self.named)
        self.postings(1, keys, np.ones(len(keys), np.int64))
        for n in np.flatnonzero(self.used).tolist():
            (token,) = text_analysis.tokens(self.maker.words[n], text_analysis.FALLBACK)
            self.db.execute("INSERT INTO terms VALUES (?, ?)", (n + 1, token.term))
            self.db.execute("INSERT INTO words VALUES (?, ?, ?, ?)", (n + 1, token.word, n + 1, int(self.held[n])))
        self.db.execute("UPDATE meta SET value = 1 WHERE key = 'generation'")
        self.db.execute("COMMIT")

    def block(self, first: int, after: int) -> None:
        """The passages of these ids, which lie in one block of postings, and the documents that begin there."""
        numbers = range((first - 1) // PASSAGES, (after - 2) // PASSAGES + 1)
        parts: list[Any] = []
        for number in numbers:
            drawn, vectors = self.maker.document(number)
            parts.append(drawn)
            id_ = number * PASSAGES + 1
            if id_ >= first:
                self.document(number, drawn)
            low, high = max(first, id_) - id_, min(after, id_ + PASSAGES) - id_
            self.stored(number, id_, drawn, vectors, low, high)
        rows = np.concatenate(parts)
        start = numbers[0] * PASSAGES + 1
        rows, ids = rows[first - start : after - start], np.arange(first, after)
        keys, times = np.unique((rows.astype(np.int64) << 32 | ids[:, None]).ravel(), return_counts=True)
        np.add.at(self.held, keys >> 32, 1)
        self.postings(0, keys, times)
        lengths = np.zeros(BLOCK, "<u2")
        lengths[ids % BLOCK] = WORDS
        self.db.execute("INSERT INTO lengths VALUES (?, ?)", (first // BLOCK, lengths.tobytes()))

    def document(self, number: int, drawn: Any) -> None:
        at, path = number + 1, f"part{number % 100}/document{number}.txt"
        digest = sha256(path.encode()).hexdigest()
        called = np.unique(drawn[:2])  # editing takes the first 1,500 characters, about so many words
        self.named.append(called.astype(np.int64) << 32 | at)
        self.held[called] += 1
        self.db.execute("INSERT INTO files VALUES (?, 1, ?, 1, 1, ?, 'made')", (at, path, digest))
        naming = (called + 1).astype("<u4").tobytes()
        row = (at, at, "", "", digest, 1, 1, PASSAGES * 600, "", "", "[]", "[]", b"", text_analysis.FALLBACK, naming)
        self.db.execute(f"INSERT INTO documents VALUES ({', '.join('?' * len(row))})", row)

    def stored(self, number: int, id_: int, drawn: Any, vectors: Any, low: int, high: int) -> None:
        self.used[drawn[low:high]] = True
        for n in range(low, high):
            text = self.maker.text(drawn[n])
            page = (number + 1, n, n + 1, None, "page", text, "[[],[],[]]")
            self.db.execute("INSERT INTO pages VALUES (?, ?, ?, ?, ?, ?, ?)", page)
            words = (drawn[n] + 1).astype("<u4").tobytes()
            passage = (id_ + n, (id_ + n).to_bytes(32, "big"), vectors[n].astype("<f4").tobytes(), words)
            self.db.execute("INSERT INTO passages VALUES (?, ?, ?, ?)", passage)
            chunk = (id_ + n, id_ + n, number + 1, n, 0, len(text), "[]", None, None, "")
            self.db.execute(f"INSERT INTO chunks VALUES ({', '.join('?' * len(chunk))})", chunk)

    def postings(self, space: int, keys: Any, times: Any) -> None:
        """Postings of (word << 32 | id)."""
        order = np.argsort(keys, kind="stable")
        keys, times = keys[order], times[order]
        words, ids = keys >> 32, keys & 0xFFFFFFFF
        group = words << 32 | ids // BLOCK
        starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]]).tolist()
        inside, counts = (ids % BLOCK).astype("<u2"), np.minimum(times, 255).astype(np.uint8)
        for low, high in zip(starts, [*starts[1:], len(keys)], strict=True):
            data = inside[low:high].tobytes() + counts[low:high].tobytes()
            row = (int(words[low]) + 1, space, int(ids[low]) // BLOCK, high - low, data)
            self.db.execute("INSERT INTO postings VALUES (?, ?, ?, ?, ?)", row)


def make(folder: Path, passages: int) -> None:
    began = time.perf_counter()
    editor = Editor.create(folder, "bench", IDENTITY)
    Tables(editor, Maker(), passages - passages % PASSAGES).write()
    stored, processor = time.perf_counter(), time.process_time()
    editor.save_index()
    took = f"{time.perf_counter() - stored:.1f} s (processor {time.process_time() - processor:.1f} s)"
    editor.close()
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"made {passages:,} passages in {stored - began:.0f} s, their index in {took}")
    print(f"{size / passages:,.0f} bytes a passage on the disk", flush=True)


# --- into a store -------------------------------------------------------------------------------------------

COPIED = ("roots", "files", "documents", "pages", "passages", "chunks", "terms", "words", "postings", "lengths")
PACK: dict[str, Callable[[Any], bytes]] = {
    "bigint": lambda value: struct.pack("!iq", 8, value),
    "library": lambda value: struct.pack("!iq", 8, value),
    "integer": lambda value: struct.pack("!ii", 4, value),
    "text": lambda value: blob(value.encode()),
    "bytea": lambda value: blob(value),
    "halfvec": lambda value: blob(struct.pack("!HH", len(value) // 4, 0) + halves(value)),
}


def blob(value: bytes) -> bytes:
    return struct.pack("!i", len(value)) + value


def halves(value: bytes) -> bytes:
    return np.frombuffer(value, "<f4").astype(">f2").tobytes()


def packed(rows: Iterator[Any], kinds: Sequence[str]) -> Iterator[bytes]:
    """Rows in the binary form of COPY."""
    yield b"PGCOPY\n\xff\r\n\x00" + bytes(8)
    for row in rows:
        values = (struct.pack("!i", -1) if v is None else PACK[kind](v) for v, kind in zip(row, kinds, strict=True))
        yield struct.pack("!h", len(kinds)) + b"".join(values)
    yield struct.pack("!h", -1)


def copy(folder: Path, url: str) -> None:
    """Copy the library of a folder into a store, and name it in the folder `bench` beside it."""
    source, target = sqlite3.connect(folder / names.DATABASE), folder.parent / "in the store" / "bench"
    editor = Editor.create_in(postgres.Store.parse(url), target, "bench", IDENTITY)
    native: Any = editor._db._native
    began = time.perf_counter()
    with editor.transaction():
        for table in COPIED:
            described = native.run(
                "SELECT CAST(attname AS text), format_type(atttypid, NULL) FROM pg_attribute WHERE attnum > 0 "
                f"AND attrelid = 'localrag.{table}'::regclass AND attname <> 'library_id' ORDER BY attnum"
            )
            columns, kinds = ", ".join(f'"{name}"' for name, _ in described), [kind for _, kind in described]
            # By a table of the session: with row-level security, nothing is copied straight into the store's.
            native.run(f"CREATE TEMP TABLE copied ON COMMIT DROP AS SELECT {columns} FROM {table} WHERE false")
            rows = packed(source.execute(f"SELECT {columns} FROM {table}"), kinds)
            native.run("COPY copied FROM STDIN (FORMAT binary)", stream=rows)
            native.run(f"INSERT INTO {table} ({columns}) SELECT * FROM copied")
            native.run("DROP TABLE copied")
    stored = time.perf_counter()
    postgres.index_vectors(editor._db)
    print(f"copied in {stored - began:.0f} s, their index in {time.perf_counter() - stored:.0f} s")
    tables = "FROM pg_class WHERE relnamespace = 'localrag'::regnamespace AND relkind = 'r'"
    ((size,),) = native.run(f"SELECT CAST(sum(pg_total_relation_size(oid)) AS bigint) {tables}")
    print(f"{size / editor.counts()['chunks']:,.0f} bytes a passage on the server's disk", flush=True)
    editor.close()


# --- measuring ----------------------------------------------------------------------------------------------


class Timed:
    """Seconds of the clock and of the processor."""

    def __init__(self) -> None:
        self.clock: list[float] = []
        self.processor: list[float] = []

    @contextmanager
    def one(self) -> Iterator[None]:
        clock, processor = time.perf_counter(), time.process_time()
        yield
        self.clock.append(time.perf_counter() - clock)
        self.processor.append(time.process_time() - processor)

    def __str__(self) -> str:
        clock, processor = (
            [1000 * f(times) for f in (statistics.median, p95)] for times in (self.clock, self.processor)
        )
        return "clock p50 {:7.1f} p95 {:7.1f} ms, processor p50 {:6.1f} p95 {:6.1f} ms".format(*clock, *processor)


def p95(times: Sequence[float]) -> float:
    return sorted(times)[min(len(times) - 1, int(0.95 * len(times)))]


def each(
    name: str, questions: dict[str, Any], run: Callable[[str, Any], object], against: Timed | None = None
) -> Timed:
    timed = Timed()
    for text, vector in questions.items():
        with timed.one():
            run(text, vector)
    ratio = ""
    if against is not None:
        ratio = f"; {statistics.median(timed.processor) / statistics.median(against.processor):.2f} of the whole"
    print(f"{name:34} {timed}{ratio}", flush=True)
    return timed


def measure(folder: Path, count: int) -> None:
    library = Library.open(folder, "bench")
    documents, total = library.counts()["documents"], library.counts()["chunks"]
    questions = Maker().questions(documents, count)
    before = most_memory()
    loading_ = Timed()
    with loading_.one():
        index = library.index()
    ids = library.passage_ids(None)
    print(f"index: {len(ids):,} vectors")
    print(f"load: clock {loading_.clock[0]:.2f} s, processor {loading_.processor[0]:.2f} s")
    given: Any = {"bench": Given(questions)}
    retrieval.search([library], given, next(iter(questions)), k=10)  # what is read once
    backend = Backend(library)
    before_asking = backend.processor()
    whole = each("whole search", questions, lambda text, _: retrieval.search([library], given, text, k=10))
    if isinstance(library._db, postgres.Connection):
        took = backend.processor() - before_asking
        print(f"  of the server's processor: {1000 * took / len(questions):.1f} ms a search")
    each("  vectors", questions, lambda _, vector: index.search(vector, retrieval.CANDIDATES), whole)
    each("  full text", questions, lambda text, _: lexical(library, text), whole)
    half, few = ids[::2], ids[:: max(1, total // 500)]
    each("  vectors, filter of one half", questions, lambda _, v: index.search(v, retrieval.CANDIDATES, half), whole)
    each("  vectors, filter of 500", questions, lambda _, v: index.search(v, retrieval.CANDIDATES, few), whole)
    print(f"memory: {most_memory():,.0f} MB at most, {before:,.0f} MB before the index was read")
    with_embedder(questions)
    exactly(library, index, ids, questions)
    if isinstance(index, FaissIndex):
        beside_numpy(library, ids[:100_000], questions)


class Backend:
    """The processor seconds of the server's process that answers a library, if it is on this machine."""

    def __init__(self, library: Library) -> None:
        self.stat: Path | None = None
        if isinstance(library._db, postgres.Connection):
            ((number,),) = library._db.execute("SELECT pg_backend_pid()").fetchall()
            self.stat = Path(f"/proc/{number}/stat")

    def processor(self) -> float:
        if self.stat is None or not self.stat.exists():
            return 0.0
        user, system = self.stat.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def most_memory() -> float:
    """In MB. On Linux `getrusage` gives a child the peak of its parent, so the kernel is asked by another way."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def lexical(library: Library, text: str) -> None:
    library.text.scores(read(text, library.overview().languages).groups, library.generation)


def with_embedder(questions: dict[str, Any]) -> None:
    try:
        embedder = embeddings.load_embedder(load_settings())
    except LocalragError as error:
        print(f"no embedder is installed, so a question's embedding is not measured: {error.hint}")
        return
    embedder.embed_question("warm")
    each("embedding the question, beside it", questions, lambda text, _: embedder.embed_question(text))


def exactly(library: Library, index: FaissIndex | PostgresIndex, ids: Any, questions: dict[str, Any]) -> None:
    """Recall against numpy over the vectors in the database."""
    k = retrieval.CANDIDATES
    seen: list[list[Any]] = [[] for _ in questions]
    for first in range(0, len(ids), 20_000):
        part, rows = library._index.vectors(ids[first : first + 20_000])
        for piecewise, vector in zip(seen, questions.values(), strict=True):
            piecewise.append(best(part, rows, vector, k))
    shares = []
    for piecewise, vector in zip(seen, questions.values(), strict=True):
        candidates, scores = (np.concatenate(columns) for columns in zip(*piecewise, strict=True))
        wanted = candidates[np.lexsort((candidates, -scores))[:k]]
        shares.append(len(np.intersect1d(wanted, index.search(vector, k)[0])) / len(wanted))
    print(f"recall@{k} against exact search: mean {statistics.mean(shares):.4f}, least {min(shares):.2f}")


def beside_numpy(library: Library, ids: Any, questions: dict[str, Any]) -> None:
    """FAISS's speed beside numpy's."""
    k = retrieval.CANDIDATES
    part, rows = library._index.vectors(ids)
    numpy = each(f"numpy over {len(part):,} vectors", questions, lambda _, vector: best(part, rows, vector, k))
    kinds: tuple[Kind, ...] = ("flat", "sq8")
    for kind in kinds:
        native = FaissIndex(DIMENSION, kind, library._index.vectors)
        native.add(part, rows)
        timed = each(f"FAISS, {kind}, over the same", questions, partial(searched, native, k))
        print(f"  {statistics.median(timed.processor) / statistics.median(numpy.processor):.2f} of numpy's time")


def searched(index: FaissIndex, k: int, _: str, vector: Any) -> object:
    return index.search(vector, k)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-n", type=int, default=10_000, help="passages (10,000)")
    parser.add_argument("--questions", type=int, default=50, help="questions (50)")
    parser.add_argument("--keep", type=Path, help="a folder for the library, which is measured if it is there")
    parser.add_argument("--store", help="a fresh PostgreSQL store, into which the library is copied and measured too")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.questions)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)) / "bench"
        if not (folder / names.INDEX).is_file():
            make(folder, options.n)
        folders = [folder]
        if options.store:
            folders.append(folder.parent / "in the store" / "bench")
            if not folders[1].exists():
                copy(folder, options.store)
        for place in folders:
            print(f"\n{'PostgreSQL' if (place / names.STORE).exists() else 'SQLite and FAISS'}", flush=True)
            command = [sys.executable, __file__, "--measure", str(place), "--questions", str(options.questions)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
