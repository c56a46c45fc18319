from __future__ import annotations

import itertools
import random
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import HashingEmbedder

from localrag.ingest import chunking
from localrag.search import ranking
from localrag.search.ranking import Hit, Place, in_turn, passages
from localrag.store.library import PassageSpan
from localrag.store.writer import passage_digest
from localrag.types import Anchor, Page, Part, Reading

LIBRARY: Any = SimpleNamespace(name="papers")


def hit(passage, found, document=1, position=0, *, named=0.0, newest=False, number=1, library=LIBRARY, **more):
    row = PassageSpan(passage, document, position, 0, 10, number)
    return Hit(library, passage, found, found, (Place(row, named, newest, one_of=named > 0),), **more)


def order(hits, most=99):
    return [hit.passage for hit, _ in in_turn(hits, most)]


def test_what_is_known_of_a_document_lifts_its_hits():
    plain = hit(1, 0.4)
    for better in (
        hit(2, 0.4, 2, named=0.5),
        hit(2, 0.4, 2, newest=True),
        hit(2, 0.4, 2, opens=True),
        hit(2, 0.4, 2, row=0.8),
        hit(2, 0.41, 2),
    ):
        assert order([plain, better]) == order([better, plain]) == [2, 1]


def test_equal_hits_come_in_the_order_of_their_ids():
    other: Any = SimpleNamespace(name="a library before")
    hits = [hit(n, 0.5, n) for n in range(1, 9)] + [hit(3, 0.5, 3, library=other)]
    for seed in range(5):
        mixed = random.Random(seed).sample(hits, len(hits))
        assert [(h.library.name, h.passage) for h, _ in in_turn(mixed, 99)] == sorted(
            (h.library.name, h.passage) for h in hits
        )


def test_every_hit_is_taken_once_and_worth_falls():
    dice = random.Random(3)
    for _ in range(30):
        hits = [hit(n, dice.random(), dice.randrange(4), dice.randrange(3), named=dice.random()) for n in range(30)]
        taken = in_turn(hits, 99)
        assert sorted(h.passage for h, _ in taken) == list(range(30))
        assert all(a >= b for (_, a), (_, b) in itertools.pairwise(taken))
        assert all(worth <= h.score + 1e-9 for h, worth in taken)
    assert in_turn([], 5) == [] and in_turn(hits, 0) == []


def test_a_document_that_is_not_named_may_have_all_places():
    hits = [hit(n, 0.62 - n / 1000, 1, n) for n in range(40)] + [hit(100, 0.5, 2)]
    assert 100 not in order(hits, 15)


TEXT = "\n\n".join(
    f"Paragraph {n} speaks of thing{n} at some length, as a clause of a contract does, and of nothing else. " * 5
    for n in range(40)
)


@pytest.fixture
def long(shelf):
    library = shelf("long", {})
    anchors = tuple(Anchor(at, f"A{n + 1}") for n in range(40) if (at := TEXT.find(f"Paragraph {n} ")) >= 0)
    pages = (Page(TEXT, 1, "Sheet1", (), "sheet", anchors), Page(TEXT[:900], 2, "Sheet2", (), "sheet", anchors[:1]))
    chunks = chunking.split(pages, count=HashingEmbedder().count, limit=254)
    vectors = HashingEmbedder().embed_documents([chunk.text for chunk in chunks])
    keys = [passage_digest("", chunk) for chunk in chunks]
    library.begin("/root", "long.xlsx")
    library.put(
        "/root", "long.xlsx", Part("", "hash", 1, Reading(pages)), chunks, dict(zip(keys, vectors, strict=True))
    )
    return library


def hits_of(library, scores):
    chunks = library.chunks_of(library.documents()[0].id)
    made = []
    for n, score in scores.items():
        places = [row for row in library.spans_of_passages([chunks[n].passage_id]) if row.start == chunks[n].start]
        made.append(Hit(library, chunks[n].passage_id, score, score, tuple(map(Place, places[:1]))))
    return made


def test_neighbours_become_one_passage_of_the_page(long):
    first, second = long.chunks_of(1)[:2]
    (found,) = passages(hits_of(long, {1: 0.9, 0: 0.5}), 5)
    assert (found.start, found.end, found.score) == (first.start, second.end, 0.9)
    assert found.text == TEXT[found.start : found.end]
    assert found.spot == f"{first.spot.split(':')[0]}:{second.spot.split(':')[-1]}" != second.spot
    apart = passages(hits_of(long, {1: 0.9, 0: 0.5}), 5, join=False)
    assert [(p.start, p.spot) for p in apart] == [(second.start, second.spot), (first.start, first.spot)]


@pytest.mark.parametrize("most", [2400, 5000])
def test_neighbours_are_joined_in_any_order_up_to_a_length(long, monkeypatch, most):
    assert ranking._MAX_JOINED == 2400
    monkeypatch.setattr(ranking, "_MAX_JOINED", most)
    count = len([chunk for chunk in long.chunks_of(1) if chunk.position == 0])
    assert count > 12
    for seed in range(40):
        dice = random.Random(seed)
        chosen = dice.sample(range(count), dice.randrange(1, count + 1))
        hits = hits_of(long, {n: dice.random() for n in chosen})
        found = passages(hits, 40)
        for passage in found:
            assert passage.text == TEXT[passage.start : passage.end]
            assert passage.end - passage.start <= most
        for one, other in itertools.combinations(found, 2):
            if ranking.neighbours(one, other, 80):
                assert max(one.end, other.end) - min(one.start, other.start) > most
        for h in hits:
            place = h.places[0].row
            assert any(passage.start <= place.start and place.end <= passage.end for passage in found)


def test_what_joins_leaves_its_place_to_another(long, monkeypatch):
    monkeypatch.setattr(ranking, "_MAX_JOINED", 5000)
    found = passages(hits_of(long, {0: 0.9, 2: 0.8, 1: 0.7, 8: 0.1}), 2)
    assert len(found) == 2 and found[0].score == 0.9
    assert found[1].start == long.chunks_of(1)[8].start


def test_neighbours_on_two_pages_stay_two(long):
    chunks = long.chunks_of(1)
    last = max(n for n, chunk in enumerate(chunks) if chunk.position == 0)
    hits = hits_of(long, {last: 0.9, last + 1: 0.8})
    assert {passage.page for passage in passages(hits, 5)} == {1, 2}
