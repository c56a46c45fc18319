"""Find passages: full text and vectors, joined, over one or several libraries.

Both rankers give their best chunks; scores are scaled to 0..1 within each list and joined convexly (Bruch, Gai and
Ingber 2022, "An Analysis of Fusion Functions for Hybrid Retrieval"): on MED, Cranfield and CISI this was as good as
or better than reciprocal rank fusion. Filters apply before the search. No model that answers is loaded here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from localrag import filters, places
from localrag.library import Library, StoredChunk
from localrag.readers.cleaning import clean
from localrag.types import Filter, Pages, Passage, Turn

if TYPE_CHECKING:
    from localrag.embedding import Embedder

DENSE_WEIGHT = 0.6
CANDIDATES = 100
_MOST_TERMS = 32
# The share of their words that passages of two drafts have in common where one stands for both.
_ALIKE = 0.9

# Words that carry no content in a question; left out of the full-text query, where each costs a scan.
STOP_WORDS = frozenset(
    """a about above after again against all also am an and any are as at be because been before being below between
    both but by can could did do does doing down during each few for from further had has have having he her here hers
    him his how i if in into is it its itself just me more most my no nor not now of off on once only or other our out
    over own please same she should so some such tell than that the their them then there these they this those through
    to too under until up very was we were what when where which while who whom why will with would you your""".split()
)


@dataclass(frozen=True, slots=True)
class _Hit:
    library: Library
    passage: int
    allowed: tuple[int, ...] | None
    pages: Pages | None
    dense: float | None
    lexical: float | None
    score: float = 0.0


def search(
    libraries: Sequence[Library],
    embedders: Mapping[str, Embedder],
    question: str,
    *,
    k: int = 10,
    documents: Filter | Sequence[str] | None = None,
    document_ids: Sequence[int] | None = None,
) -> list[Passage]:
    """The k best passages, best first.

    Args:
        libraries: where to look.
        embedders: for each library's name, the embedder that made its vectors.
        question: the words to look for.
        k: most passages.
        documents: globs over document paths, or a filter; None looks in all.
        document_ids: documents of the one library given, instead of those that the filter lets through; its pages
            still hold.

    Raises:
        NotFoundError: the filter lets no document of any of the libraries through.
    """
    # Half characters and NUL, which a command line or a program may hand over, upset tokenizers and SQLite.
    question = clean(question)
    with ExitStack() as stack:
        for library in libraries:
            # What is found and what is then read of it belong to one state, also while an ingest is writing.
            stack.enter_context(library.snapshot())
        hits: list[_Hit] = []
        only = filters.of(documents)
        scopes = filters.scopes(libraries, only) if document_ids is None else [(libraries[0], list(document_ids))]
        for library, allowed in scopes:
            hits += _candidates(library, embedders[library.name], question, allowed, only.pages)
        return _folded(_fuse(hits), k)


def _candidates(
    library: Library, embedder: Embedder, question: str, allowed: list[int] | None, pages: Pages | None
) -> list[_Hit]:
    passage_ids = None if allowed is None else library.passage_ids(allowed, pages)
    ids, cosines = library.index().search(embedder.embed_question(question), CANDIDATES, passage_ids)
    dense = {int(i): float(score) for i, score in zip(ids, cosines, strict=True)}
    query = text_query(question)
    lexical = dict(library.search_text(query, CANDIDATES, allowed, pages)) if query else {}
    scope = None if allowed is None else tuple(allowed)
    return [_Hit(library, i, scope, pages, dense.get(i), lexical.get(i)) for i in sorted(dense.keys() | lexical.keys())]


def _fuse(hits: Sequence[_Hit]) -> list[_Hit]:
    dense = _scale([hit.dense for hit in hits])
    lexical = _scale([hit.lexical for hit in hits])
    scored = [
        replace(hit, score=DENSE_WEIGHT * d + (1 - DENSE_WEIGHT) * t)
        for hit, d, t in zip(hits, dense, lexical, strict=True)
    ]
    return sorted(scored, key=lambda hit: (-hit.score, hit.library.name, hit.passage))


def _scale(scores: Sequence[float | None]) -> list[float]:
    """Min-max to 0..1; what a ranker did not return gets 0."""
    there = [score for score in scores if score is not None]
    if not there:
        return [0.0] * len(scores)
    low, high = min(there), max(there)
    span = high - low
    return [0.0 if score is None else (score - low) / span if span else 1.0 for score in scores]


def _folded(hits: Sequence[_Hit], k: int) -> list[Passage]:
    """The k best passages; those that say the same in copies and drafts stand behind the best of them."""
    found: list[Passage] = []
    for first in range(0, len(hits), 2 * k):
        for hit, rows in _with_places(hits[first : first + 2 * k]):
            passage = _passage(hit, rows)
            twin = next((i for i, better in enumerate(found) if _same_in_drafts(hit.library, better, passage)), None)
            if twin is None:
                found.append(passage)
            else:
                also = dict.fromkeys([*found[twin].also, _named(passage), *passage.also])
                found[twin] = replace(found[twin], also=tuple(also))
        if len(found) >= k:
            break
    return found[:k]


def _with_places(hits: Sequence[_Hit]) -> Iterator[tuple[_Hit, list[StoredChunk]]]:
    standing: dict[tuple[str, int], list[StoredChunk]] = {}
    for hit in hits:
        if (hit.library.name, hit.passage) not in standing:
            own = [other.passage for other in hits if other.library is hit.library]
            found = hit.library.places(own, hit.allowed, hit.pages)
            standing.update({(hit.library.name, passage): found.get(passage, []) for passage in own})
        if rows := standing[hit.library.name, hit.passage]:
            yield hit, rows


_NUMBER = re.compile(r"\d+")


def _same_in_drafts(library: Library, better: Passage, passage: Passage) -> bool:
    """Whether two passages of near-duplicate documents say the same: nearly all words, and every number."""
    if better.library != passage.library or better.document_id == passage.document_id:
        return False
    if _NUMBER.findall(better.text) != _NUMBER.findall(passage.text):
        return False
    one, other = set(_WORD.findall(better.text.lower())), set(_WORD.findall(passage.text.lower()))
    if len(one & other) < _ALIKE * len(one | other):
        return False
    return bool(library.near([better.document_id, passage.document_id]))


def _signals(hit: _Hit) -> dict[str, float]:
    given = {"dense": hit.dense, "lexical": hit.lexical}
    return {name: round(value, 6) for name, value in given.items() if value is not None}


def _passage(hit: _Hit, rows: Sequence[StoredChunk]) -> Passage:
    best, *others = (_at(hit, row) for row in rows)
    return replace(best, also=tuple(map(_named, others)))


def _named(passage: Passage) -> str:
    return ", ".join(part for part in (passage.document, passage.place) if part)


def _at(hit: _Hit, row: StoredChunk) -> Passage:
    return Passage(
        library=hit.library.name, document=row.document, page=row.page, label=row.label, heading=row.heading,
        text=row.text, start=row.start, end=row.end, score=hit.score, document_id=row.document_id,
        position=row.position, signals=_signals(hit), unit=row.unit, spot=row.spot, header=row.header,
    )  # fmt: skip


def text_query(question: str) -> str:
    """An FTS5 query of the question's content words, any of which may match; empty where there are none.

    Words in double quotes are looked for as a phrase. Everything is quoted, so no word acts as an operator.
    """
    phrases = [phrase for phrase in re.findall(r'"([^"]+)"', question) if _WORD.search(phrase)]
    words = [word for word in _WORD.findall(question) if word.lower() not in STOP_WORDS]
    terms = list(dict.fromkeys([*phrases, *(words or _WORD.findall(question))]))[:_MOST_TERMS]
    return " OR ".join('"' + term.replace('"', " ") + '"' for term in terms)


_WORD = re.compile(r"\w+(?:[.,'’-]\w+)*")


def in_reading_order(passages: Sequence[Passage], libraries: Sequence[Library], *, join: bool = True) -> list[Passage]:
    """Passages back in document order, the best document first; overlapping or touching ones become one.

    Keeping the order of the document reads better than rank order (Yu et al. 2024, OP-RAG).
    """
    stores = {library.name: library for library in libraries}
    best: dict[tuple[str, int], float] = {}
    for passage in passages:
        key = (passage.library, passage.document_id)
        best[key] = max(best.get(key, passage.score), passage.score)
    ordered = sorted(
        passages,
        key=lambda p: (-best[p.library, p.document_id], p.library, p.document_id, p.position, p.start),
    )
    merged: list[Passage] = []
    for passage in ordered:
        last = merged[-1] if merged else None
        if join and last is not None and _touch(last, passage):
            end = max(last.end, passage.end)
            page = stores[last.library].page(last.document_id, last.position)
            text = page.text[last.start : end] if page else last.text
            spot = places.spot(page.text, page.anchors, last.start, end) if page else last.spot
            merged[-1] = replace(last, end=end, text=text, spot=spot, score=max(last.score, passage.score))
        else:
            merged.append(passage)
    return merged


def _touch(first: Passage, second: Passage) -> bool:
    """True where two passages of one page overlap or are parted by white space only (at most two characters)."""
    same = (first.library, first.document_id, first.position) == (
        second.library,
        second.document_id,
        second.position,
    )
    return same and second.start <= first.end + 2


_LEANS_ON_HISTORY = re.compile(
    r"\b(?:it|its|that|this|those|these|they|them|their|he|she|his|her|one|ones|there)\b", re.I
)


def standing_alone(question: str, history: Sequence[Turn]) -> str:
    """The words to look for: a short follow-up is looked for together with the question it follows."""
    words = [word for word in re.findall(r"\w+", question) if word.lower() not in STOP_WORDS]
    if history and (len(words) < 3 or _LEANS_ON_HISTORY.search(question)):
        return f"{history[-1].question} {question}"
    return question
