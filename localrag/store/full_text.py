"""The full text of a library: an inverted index in its database, scored by numpy.

It stores for each term the passages that contain it and how often, and the documents named by it (in their path, title
or first lines). BM25 (Robertson and Zaragoza 2009) is computed for every passage, not for the best few, so that it can
be fused with the vectors' scores without missing values (docs/decisions/0019-full-text.md). K1 and B were measured.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from math import log
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from localrag.errors import LibraryError
from localrag.security.storage import sqlite3
from localrag.store.text_analysis import Token

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from localrag.store.names import Database

    Ids = NDArray[np.int64]
    Row = NDArray[np.float32]

K1, B = 0.6, 0.4
# Ids in one block of postings: a change rewrites whole blocks, a question reads them.
_BLOCK = 4096
_MAX_BLOCKS = 1 << 19
_MAX_COUNT = 255
# Passages that are scanned for a phrase; one in more of them ("of the") selects nothing.
_MAX_SCANNED = 20_000
# Terms with words that contain a part; more of them select little and take long to read.
_MAX_TERMS = 2000
# If more than this share of the passages contain a part, reading all pages is as fast.
_MAX_SHARE = 0.25
# Passages after which pending postings are written, to bound the memory of a long transaction.
_MAX_PENDING = 4096
# From so many passages on it counts in full that none of them holds a word.
_ENOUGH = 100

Space = Literal[0, 1]
PASSAGES: Space = 0
DOCUMENTS: Space = 1


class FullText:
    """Reads the full text; `select` runs SQL and returns rows."""

    def __init__(self, select: Callable[..., list[sqlite3.Row]]) -> None:
        self._select = select
        self._norms: tuple[int, Row, int] | None = None

    def scores(self, groups: Sequence[Sequence[str]], generation: int) -> Row:
        """BM25 of every passage by id (`bm25`); what depends on the generation alone is read once.

        In a library of few passages a word that is not there counts less: people's words are often not the text's.
        """
        norms, count = self._lengths(generation)
        known = self._ids({term for group in groups for term in group})
        held = self._postings(known.values(), PASSAGES)
        none = np.empty(0, np.int64), np.empty(0, np.float32)
        return bm25(groups, {term: held.get(known[term], none) for term in known}, norms, count, count / _ENOUGH)

    def passages(self, generation: int) -> int:
        """The number of passages."""
        return self._lengths(generation)[1]

    def documents_named(self, groups: Collection[Collection[str]]) -> list[Ids]:
        """For each group, the ids of documents with one of its terms in their path, title or first lines."""
        return self.with_terms(groups, DOCUMENTS)

    def with_terms(self, groups: Collection[Collection[str]], space: Space = PASSAGES) -> list[Ids]:
        """For each group, the ids of passages (or documents, see `documents_named`) with one of its terms."""
        known = self._ids({term for group in groups for term in group})
        held = self._postings(known.values(), space)
        return [_union(held, [known[term] for term in group if term in known]) for group in groups]

    def most_held(self, groups: Collection[Collection[str]]) -> list[int]:
        """For each group, in how many passages its commonest term is."""
        known = self._ids({term for group in groups for term in group})
        sql = """SELECT term_id, sum(n) FROM postings WHERE space = ? AND term_id IN
            (SELECT value FROM json_each(?)) GROUP BY term_id"""
        held = dict(map(tuple, self._select(sql, (PASSAGES, json.dumps(list(known.values()))))))
        return [max((held.get(known.get(term, 0), 0) for term in group), default=0) for group in groups]

    def with_phrase(self, words: Sequence[str]) -> list[int]:
        """The passages with these words (folded) in sequence."""
        sql = "SELECT id, word, term_id FROM words WHERE word IN (SELECT CAST(value AS TEXT) FROM json_each(?))"
        rows = self._select(sql, (json.dumps(list(words)),))
        ids: dict[str, set[int]] = {word: set() for word in words}
        terms: dict[str, set[int]] = {word: set() for word in words}
        for row in rows:
            ids[row["word"]].add(row["id"])
            terms[row["word"]].add(row["term_id"])
        held = self._postings(set().union(*terms.values()), PASSAGES)
        both: Ids | None = None
        for word in dict.fromkeys(words):
            there = _union(held, terms[word])
            both = there if both is None else np.intersect1d(both, there, assume_unique=True)
        if both is None or not len(both):
            return []
        both = both[:_MAX_SCANNED]
        wanted = [np.array(sorted(ids[word]), np.int64) for word in words]
        sql = "SELECT id, words FROM passages WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id"
        found = []
        for id_, stored in self._select(sql, (json.dumps(both.tolist()),)):
            inside = _array(stored, "<u4")
            fits = np.ones(max(0, len(inside) - len(wanted) + 1), bool)
            for i, each in enumerate(wanted):
                fits &= np.isin(inside[i : i + len(fits)], each)
            if fits.any():
                found.append(id_)
        return found

    def with_part(self, part: str) -> Ids | None:
        """The passages with a word that contains `part` (folded); None if there are too many to be useful."""
        sql = "SELECT DISTINCT term_id FROM words WHERE instr(word, ?) > 0 LIMIT ?"
        terms = [row[0] for row in self._select(sql, (part, _MAX_TERMS + 1))]
        if len(terms) > _MAX_TERMS:
            return None
        ids = _union(self._postings(terms, PASSAGES), terms)
        last = self._select("SELECT coalesce(max(id), 0) FROM passages")[0][0]
        return None if len(ids) > _MAX_SHARE * last else ids

    def has_word(self, word: str, terms: Iterable[str]) -> bool:
        """Whether a word, or one of its terms, is in any passage or document name."""
        return bool(self._select("SELECT 1 FROM words WHERE word = ? LIMIT 1", (word,)) or self._ids(terms))

    def words_starting(self, start: str) -> list[tuple[str, int]]:
        """The words with this beginning, and how many passages and documents contain each."""
        sql = "SELECT word, sum(held) FROM words WHERE word >= ? AND word < ? GROUP BY word"
        return [(row[0], row[1]) for row in self._select(sql, (start, start[:-1] + chr(ord(start[-1]) + 1)))]

    def _ids(self, terms: Iterable[str]) -> dict[str, int]:
        sql = "SELECT term, id FROM terms WHERE term IN (SELECT CAST(value AS TEXT) FROM json_each(?))"
        return {row[0]: row[1] for row in self._select(sql, (json.dumps(sorted(terms)),))}

    def _postings(self, terms: Collection[int], space: Space) -> dict[int, tuple[Ids, Row]]:
        """For each of these terms that is there, the ids that contain it, ascending within a block, and how often."""
        if not terms:
            return {}
        sql = """SELECT term_id, block, n, data FROM postings WHERE space = ? AND term_id IN
            (SELECT value FROM json_each(?)) ORDER BY term_id, block"""
        blocks: dict[int, list[tuple[int, int, bytes]]] = {}
        for term, block, n, data in self._select(sql, (space, json.dumps(list(terms)))):
            if type(block) is not int or not 0 <= block < _MAX_BLOCKS or type(n) is not int:
                raise damaged()
            _array(data, "u1", 3 * n)
            blocks.setdefault(term, []).append((block, n, data))
        return {term: _joined(own) for term, own in blocks.items()}

    def _lengths(self, generation: int) -> tuple[Row, int]:
        """The length part of BM25's denominator by passage id, and the number of passages."""
        if self._norms is None or self._norms[0] != generation:
            rows = self._select("SELECT block, data FROM lengths ORDER BY block")
            if any(not 0 <= block < _MAX_BLOCKS for block, _ in rows):
                raise damaged()
            words = np.zeros((rows[-1][0] + 1) * _BLOCK if rows else 0, np.float32)
            for block, data in rows:
                words[block * _BLOCK : (block + 1) * _BLOCK] = _array(data, "<u2", 2 * _BLOCK)
            count = int(np.count_nonzero(words))
            self._norms = generation, length_norms(words), count
        return self._norms[1], self._norms[2]


def bm25(
    groups: Sequence[Sequence[str]],
    postings: Mapping[str, tuple[Ids, Row]],
    norms: Row,
    count: int,
    unknown: float = 1.0,
) -> Row:
    """BM25 of every passage, as a share of what a passage with every term could reach.

    `groups` are the alternative terms of each word of the question (stems in several languages), `postings` the
    passages of the terms that are known; a word of which none is counts as the rarest of `count` passages, or a part.
    """
    of = np.zeros(len(norms), np.float32)
    most = 0.0
    for group in groups:
        best = 0.0
        known = [postings[term] for term in group if term in postings]
        for ids, times in known:
            if not len(ids):
                continue
            if ids.min() < 0 or ids.max() >= len(norms):
                raise damaged()
            weight = _weight(count, len(ids))
            best = max(best, weight)
            of[ids] += np.float32(weight) * times / (times + norms[ids])
        if best or not known:
            most += best or _weight(count, 0) * min(1.0, unknown)
    return of / np.float32(most or 1.0)


def length_norms(words: Row) -> Row:
    """Return the length part of BM25's denominator by passage, given the words of each; 0 of those that are none."""
    mean = float(words.sum()) / max(1, int(np.count_nonzero(words))) or 1.0
    return (K1 * (1 - B + B * words / np.float32(mean))).astype(np.float32)


def _union(held: Mapping[int, tuple[Ids, Row]], terms: Iterable[int]) -> Ids:
    """The ids that contain one of these terms, ascending."""
    parts = [held[term][0] for term in terms if term in held]
    if len(parts) == 1:
        return parts[0]
    return np.unique(np.concatenate(parts)) if parts else np.empty(0, np.int64)


def _weight(passages: int, holding: int) -> float:
    """Return the most that a term adds to a score (Robertson and Sparck Jones, never negative, as in Lucene)."""
    return log(1 + (passages - holding + 0.5) / (holding + 0.5)) * (K1 + 1)


def damaged() -> LibraryError:
    return LibraryError(
        "the full text of a library is damaged",
        "Restore the library from a backup, or delete it (localrag forget NAME) and ingest again.",
    )


def _array(data: bytes, form: str, size: int | None = None) -> NDArray[Any]:
    """The numbers in a column, which holds a value of any type in a library from elsewhere."""
    try:
        if size is not None and len(data) != size:
            raise ValueError
        return np.frombuffer(data, form)
    except (TypeError, ValueError):
        raise damaged() from None


def _joined(blocks: Sequence[tuple[int, int, bytes]]) -> tuple[Ids, Row]:
    """The ids that the blocks of a term hold, and how often each contains it; of each the number, size and data."""
    ids = np.frombuffer(b"".join([data[: 2 * n] for _, n, data in blocks]), "<u2").astype(np.int64)
    ids += np.repeat(*np.array([(block * _BLOCK, n) for block, n, _ in blocks]).T)
    return ids, np.frombuffer(b"".join([data[2 * n :] for _, n, data in blocks]), "u1").astype(np.float32)


def _decoded(n: int, data: bytes) -> tuple[Ids, NDArray[np.uint8]]:
    """The ids inside a block, and how often each contains the term."""
    packed = _array(data, "u1", 3 * n)
    return packed[: 2 * n].view("<u2").astype(np.int64), packed[2 * n :]


def _changed(n: int, data: bytes, gone: Sequence[int], new: Mapping[int, int]) -> tuple[int, bytes]:
    """The postings of a term in a block without some ids and with new ones, as `postings` stores them."""
    _array(data, "u1", 3 * n)
    if gone or (n and int.from_bytes(data[2 * n - 2 : 2 * n], "little") >= min(new)):
        ids, times = _decoded(n, data)
        kept = ~np.isin(ids, [*gone, *new])
        held = dict(zip(ids[kept].tolist(), times[kept].tolist(), strict=True)) | dict(new)
        n, data = 0, b""
    else:
        held = dict(new)  # ids only grow, so new ones nearly always follow the old ones
    more = sorted(held)
    both = data[: 2 * n], struct.pack(f"<{len(more)}H", *more), data[2 * n :], bytes(held[id_] for id_ in more)
    return n + len(more), b"".join(both)


class Indexer:
    """Changes the full text inside the caller's transaction; `flush` before it commits, `reset` if it fails."""

    def __init__(self, connection: Database) -> None:
        self._db = connection
        self.reset()

    def reset(self) -> None:
        """Drop pending changes and everything known of the database."""
        self._words: dict[Token, int] = {}
        self._terms: dict[int, int] = {}
        self._held: Counter[int] = Counter()
        self._added: dict[Space, dict[int, Counter[int]]] = {PASSAGES: {}, DOCUMENTS: {}}
        self._removed: dict[Space, dict[int, set[int]]] = {PASSAGES: {}, DOCUMENTS: {}}
        self._lengths: dict[int, int] = {}

    def words(self, texts: Collection[Sequence[Token]]) -> list[bytes]:
        """The word ids of texts, which `add` and `remove` need; each has to be added. Words that are new are added."""
        self._learn_tokens({token for text in texts for token in text})
        ids = [[self._words[token] for token in text] for text in texts]
        for each in ids:
            self._held.update(set(each))  # counted now, so that no `flush` deletes a word before `add`
        return [np.array(each, "<u4").tobytes() for each in ids]

    def add(self, space: Space, id_: int, stored: bytes) -> None:
        """Index a passage or the name of a document, given its word ids, which `words` has just returned."""
        ids = _array(stored, "<u4").tolist()
        self._learn(set(ids))
        self._added[space][id_] = Counter(self._terms[i] for i in ids)
        if space == PASSAGES:
            self._lengths[id_] = min(max(len(ids), 1), 2**16 - 1)
        if len(self._added[PASSAGES]) >= _MAX_PENDING:
            self.flush()

    def remove(self, space: Space, id_: int, stored: bytes) -> None:
        """Undo `add`, given the word ids it returned."""
        if id_ in self._added[space]:
            self.flush()
        words = set(_array(stored, "<u4").tolist())
        self._held.subtract(words)
        self._learn(words)
        self._removed[space][id_] = {self._terms[word] for word in words}
        if space == PASSAGES:
            self._lengths[id_] = 0
        if len(self._removed[PASSAGES]) >= _MAX_PENDING:
            self.flush()

    def clear_passages(self) -> None:
        """Remove all passages; the names of documents stay."""
        self.flush()
        self._db.execute("DELETE FROM postings WHERE space = ?", (PASSAGES,))
        self._db.execute("DELETE FROM lengths")
        for (stored,) in self._db.execute("SELECT words FROM passages"):
            self._held.subtract(set(_array(stored, "<u4").tolist()))
        self._learn(self._held)
        self.flush()

    def flush(self) -> None:
        """Write pending changes."""
        self._write(PASSAGES)
        self._write(DOCUMENTS)
        self._write_lengths()
        if self._held:
            changes: dict[int, list[int]] = {}
            for word, n in self._held.items():
                if n:
                    changes.setdefault(n, []).append(word)
            for n, those in changes.items():
                sql = "UPDATE words SET held = held + ? WHERE id IN (SELECT value FROM json_each(?))"
                self._db.execute(sql, (n, json.dumps(those)))
            self._held.clear()
            if words := [word for n, those in changes.items() if n < 0 for word in those]:
                # Nothing may contain them any more, and their terms may be left without a word.
                terms = sorted({self._terms[word] for word in words})
                chosen = "DELETE FROM {} WHERE id IN (SELECT value FROM json_each(?)) AND "
                self._db.execute(chosen.format("words") + "held <= 0", (json.dumps(words),))
                without = "NOT EXISTS (SELECT 1 FROM words w WHERE w.term_id = terms.id)"
                self._db.execute(chosen.format("terms") + without, (json.dumps(terms),))
                self._words, self._terms = {}, {}

    # --- words ----------------------------------------------------------------------------------------------

    def _learn_tokens(self, tokens: Collection[Token]) -> None:
        """Learn the ids of the words of these tokens, which are added where they are new."""
        self._look_up({token for token in tokens if token not in self._words})
        if fresh := sorted({token for token in tokens if token not in self._words}):
            terms = sorted({token.term for token in fresh})
            self._db.executemany(
                "INSERT INTO terms (term) VALUES (?) ON CONFLICT DO NOTHING", [(term,) for term in terms]
            )
            sql = "SELECT term, id FROM terms WHERE term IN (SELECT CAST(value AS TEXT) FROM json_each(?))"
            of = dict(map(tuple, self._db.execute(sql, (json.dumps(terms),))))
            self._db.executemany(
                "INSERT INTO words (word, term_id, held) VALUES (?, ?, 0)", [(word, of[term]) for word, term in fresh]
            )
            self._look_up(set(fresh))

    def _look_up(self, tokens: Collection[Token]) -> None:
        if not tokens:
            return
        sql = """SELECT w.word, t.term, w.id, w.term_id FROM words w JOIN terms t ON t.id = w.term_id
            WHERE w.word IN (SELECT CAST(value AS TEXT) FROM json_each(?))"""
        for word, term, id_, term_id in self._db.execute(sql, (json.dumps(sorted({one.word for one in tokens})),)):
            if not 0 <= id_ < 1 << 32 or type(term_id) is not int:
                raise damaged()
            self._words[Token(word, term)] = id_
            self._terms[id_] = term_id

    def _learn(self, words: Iterable[int]) -> None:
        fresh = [word for word in words if word not in self._terms]
        if fresh:
            # Read at once, since flush writes to the table.
            sql = "SELECT id, term_id FROM words WHERE id IN (SELECT value FROM json_each(?))"
            known = self._db.execute(sql, (json.dumps(fresh),)).fetchall()
            if len(known) != len(fresh) or any(type(term) is not int for _, term in known):
                raise damaged()
            self._terms.update(known)

    # --- blocks ---------------------------------------------------------------------------------------------

    def _write(self, space: Space) -> None:
        gone: dict[int, dict[int, list[int]]] = {}  # by block and term
        for id_, terms in self._removed[space].items():
            for term in terms:
                gone.setdefault(id_ // _BLOCK, {}).setdefault(term, []).append(id_ % _BLOCK)
        new: dict[int, dict[int, dict[int, int]]] = {}
        for id_, counts in self._added[space].items():
            for term, n in counts.items():
                new.setdefault(id_ // _BLOCK, {}).setdefault(term, {})[id_ % _BLOCK] = min(n, _MAX_COUNT)
        for block in sorted(gone.keys() | new.keys()):
            self._rewrite(space, block, gone.get(block, {}), new.get(block, {}))
        self._added[space], self._removed[space] = {}, {}

    def _rewrite(
        self, space: Space, block: int, gone: Mapping[int, Sequence[int]], new: Mapping[int, Mapping[int, int]]
    ) -> None:
        """Change the postings of a block; both by term."""
        terms = sorted(gone.keys() | new.keys())
        sql = """SELECT term_id, n, data FROM postings WHERE space = ? AND block = ?
            AND term_id IN (SELECT value FROM json_each(?))"""
        stored = {row[0]: (row[1], row[2]) for row in self._db.execute(sql, (space, block, json.dumps(terms)))}
        changed, empty = [], []
        for term in terms:
            n, data = _changed(*stored.get(term, (0, b"")), gone.get(term, ()), new.get(term, {}))
            if n:
                changed.append((term, space, block, n, data))
            else:
                empty.append((term, space, block))
        self._db.executemany("DELETE FROM postings WHERE term_id = ? AND space = ? AND block = ?", empty)
        self._db.executemany(
            "INSERT INTO postings (term_id, space, block, n, data) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (term_id, space, block) DO UPDATE SET n = excluded.n, data = excluded.data",
            changed,
        )

    def _write_lengths(self) -> None:
        blocks: dict[int, dict[int, int]] = {}
        for id_, words in self._lengths.items():
            blocks.setdefault(id_ // _BLOCK, {})[id_ % _BLOCK] = words
        for block, words_of in blocks.items():
            row = self._db.execute("SELECT data FROM lengths WHERE block = ?", (block,)).fetchone()
            held = _array(row[0], "<u2", 2 * _BLOCK).copy() if row else np.zeros(_BLOCK, "<u2")
            held[list(words_of)] = list(words_of.values())
            self._db.execute("DELETE FROM lengths WHERE block = ?", (block,))
            if held.any():
                self._db.execute("INSERT INTO lengths (block, data) VALUES (?, ?)", (block, held.tobytes()))
        self._lengths = {}
