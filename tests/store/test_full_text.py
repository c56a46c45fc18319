from __future__ import annotations

import random
from dataclasses import dataclass, field
from math import log

import numpy as np
import pytest
from hostile import texts
from stores import sqlite_only

from localrag.errors import LibraryError
from localrag.security.storage import sqlite3
from localrag.store import full_text
from localrag.store.full_text import PASSAGES, FullText, Indexer
from localrag.store.text_analysis import Token, tokens, written
from localrag.store.writer import TABLES


@dataclass
class Held:
    db: sqlite3.Connection
    indexer: Indexer
    text: FullText
    words: dict[int, list[Token]] = field(default_factory=dict)
    kept: dict[int, bytes] = field(default_factory=dict)
    generation: int = 0

    def add(self, id_, text):
        made = tokens(text, "english") if isinstance(text, str) else text
        self.words[id_] = made
        (self.kept[id_],) = self.indexer.words([made])
        self.indexer.add(PASSAGES, id_, self.kept[id_])
        self.db.execute("INSERT INTO passages VALUES (?, ?, x'', ?)", (id_, str(id_), self.kept[id_]))

    def remove(self, id_):
        self.indexer.remove(PASSAGES, id_, self.kept.pop(id_))
        self.db.execute("DELETE FROM passages WHERE id = ?", (id_,))
        del self.words[id_]

    def commit(self):
        self.indexer.flush()
        self.generation += 1

    def scores(self, *groups):
        return self.text.scores(groups, self.generation)

    def rows(self, table):
        return int(self.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


@pytest.fixture
def held():
    db = sqlite3.connect(":memory:")
    db.row_factory = sqlite3.Row
    db.executescript(TABLES)
    yield Held(db, Indexer(db), FullText(lambda sql, values=(): db.execute(sql, values).fetchall()))
    db.close()


def bm25(words, groups):
    """As the books define it, a passage and a word at a time, as a share of what every word together could reach."""
    mean = sum(max(len(own), 1) for own in words.values()) / len(words)
    scores = dict.fromkeys(words, 0.0)
    most = 0.0
    for group in groups:
        best = 0.0
        for term in group:
            holders = [i for i, own in words.items() if any(token.term == term for token in own)]
            idf = log(1 + (len(words) - len(holders) + 0.5) / (len(holders) + 0.5))
            best = max(best, idf * (full_text.K1 + 1)) if holders else best
            for i in holders:
                times = min(sum(token.term == term for token in words[i]), 255)
                norm = full_text.K1 * (1 - full_text.B + full_text.B * max(len(words[i]), 1) / mean)
                scores[i] += idf * times * (full_text.K1 + 1) / (times + norm)
        most += best or log(1 + (len(words) + 0.5) / 0.5) * (full_text.K1 + 1) * min(1, len(words) / 100)
    return {i: score / (most or 1.0) for i, score in scores.items()}


def test_scores_are_bm25_while_passages_come_and_go(held):
    dice = random.Random(11)
    alphabet = [f"word{n}" for n in range(30)]
    next_id = 1
    for _ in range(40):
        for _ in range(dice.randrange(1, 6)):
            held.add(next_id, " ".join(dice.choices(alphabet, weights=range(1, 31), k=dice.randrange(0, 40))))
            next_id += dice.choice([1, 1, 1, 3000])
        for id_ in dice.sample(sorted(held.words), k=min(len(held.words) - 1, dice.randrange(0, 4))):
            held.remove(id_)
        held.commit()
        groups = [(word,) for word in dice.sample(alphabet, 3)] + [("word1", "word2"), ("nowhere",)]
        found, expected = held.scores(*groups), bm25(held.words, groups)
        assert {int(i) for i in np.flatnonzero(found)} == {i for i, score in expected.items() if score}
        for i, score in expected.items():
            assert float(found[i]) == pytest.approx(score, rel=1e-4)


def test_a_term_in_more_passages_than_a_block_holds_is_found_in_all(held):
    ids = [*range(1, 5000), 9000, 1_000_000]
    for id_ in ids:
        held.add(id_, [Token("common", "common")])
    held.commit()
    assert held.rows("postings") == 4
    assert np.flatnonzero(held.scores(("common",))).tolist() == ids
    for id_ in ids[::2]:
        held.remove(id_)
    held.commit()
    assert np.flatnonzero(held.scores(("common",))).tolist() == ids[1::2]
    assert held.text.words_starting("comm") == [("common", len(ids) // 2)]


def test_a_phrase_is_found_just_where_its_words_stand_in_a_row(held):
    dice = random.Random(13)
    for id_ in range(1, 120):
        held.add(id_, " ".join(dice.choices(["force", "Majeure", "lease", "leases", "合同", "of"], k=12)))
    held.commit()
    for length in (1, 2, 3, 4):
        for _ in range(10):
            phrase = written(" ".join(dice.choices(["force", "majeure", "lease", "Leases", "合同", "of"], k=length)))
            expected = [
                i
                for i, own in held.words.items()
                if any([t.word for t in own[n : n + length]] == phrase for n in range(len(own)))
            ]
            assert held.text.with_phrase(phrase) == expected
    assert held.text.with_phrase(["force", "nowhere"]) == []


def test_nothing_is_left_of_the_last_passage_and_pending_changes_stay_few(held, monkeypatch):
    for seed, text in enumerate(texts(4, 60), 1):
        held.add(seed, text)
    held.commit()
    for id_ in list(held.words):
        held.remove(id_)
    held.commit()
    assert [held.rows(table) for table in ("terms", "words", "postings", "lengths")] == [0, 0, 0, 0]
    monkeypatch.setattr(full_text, "_MAX_PENDING", 5)
    for id_ in range(1, 30):
        held.add(id_, f"lease {id_}")
        assert len(held.indexer._added[PASSAGES]) < 5
    for id_ in range(1, 20):
        held.remove(id_)
        assert len(held.indexer._removed[PASSAGES]) < 5
    held.commit()
    assert np.flatnonzero(held.scores(("leas",))).tolist() == list(range(20, 30))


def test_what_was_rolled_back_is_known_no_more(held):
    held.add(1, "lease")
    held.commit()
    held.db.commit()
    held.add(2, "lease canary")
    held.indexer.flush()
    held.db.rollback()
    held.indexer.reset()
    del held.words[2], held.kept[2]
    held.add(3, "canary")
    held.commit()
    assert held.text.words_starting("c") == [("canary", 1)] and held.text.words_starting("l") == [("lease", 1)]
    assert np.flatnonzero(held.scores(("canari",), ("leas",))).tolist() == [1, 3]


@sqlite_only
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE lengths SET data = x'0011'",
        "UPDATE lengths SET block = 1000000000000",
        "UPDATE lengths SET block = -1",
        "UPDATE postings SET data = x'00'",
        "UPDATE postings SET n = 4000",
        "UPDATE postings SET n = 1.5, data = x'000000000000000000'",
        "UPDATE postings SET data = 7",
        "UPDATE postings SET block = 7",
        "UPDATE passages SET vector = x'00000000' WHERE id = 1",
    ],
)
def test_damage_to_what_is_looked_up_is_said_and_not_reckoned_with(library, put, statement):
    put(library, "a.txt", "Flamingos are pink.")
    put(library, "b.txt", "Elephants are grey.")
    library._db.execute(statement)
    with pytest.raises(LibraryError):
        library.text.scores([["pink"], ["flamingo"]], library.generation)
        library.index()
