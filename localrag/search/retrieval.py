"""Find passages: full text and vectors, joined, over one or several libraries. No model that answers is loaded here.

Every candidate of either ranker gets both scores, each on a scale of its own that is the same for every question: the
cosine, and BM25 over what a passage could reach that holds every word of the question. They are added (a convex
combination: Bruch, Gai and Ingber 2022, "An Analysis of Fusion Functions for Hybrid Retrieval"). A question whose words
stand in a passage is so led by the words, one in other words by the vectors. `ranking` adds what is known of the
documents and puts the hits in order (docs/decisions/0020-ranking.md). Filters apply before the search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from localrag.ingest.readers.cleaning import clean
from localrag.search import document_matching, filters, ranking, spelling, table_rows
from localrag.search import query as queries
from localrag.search.document_matching import Mentions
from localrag.search.ranking import Hit, Place
from localrag.store.full_text import Scores
from localrag.store.library import Library
from localrag.store.text_analysis import FALLBACK
from localrag.types import Filter, Fusion, Pages, Passage

if TYPE_CHECKING:
    from localrag.embeddings import Embedder
    from localrag.search.query import Query
    from localrag.store.full_text import Ids
    from localrag.store.vector_index import Vectors

CANDIDATES = 100
_RRF_K = 60  # Cormack, Clarke and Buettcher 2009
# Documents whose beginnings are looked at for a question about a document as a whole.
_MOST_OPENINGS = 32
# Documents that a question names and that are then searched by themselves as well.
_MOST_MEANT = 64


@dataclass(frozen=True, slots=True)
class Method:
    """How the two rankers are joined. The others than "convex" are there to be compared with it, and are left bare."""

    fusion: Fusion = "convex"
    dense_weight: float = 0.5

    @property
    def bare(self) -> bool:
        return self.fusion != "convex"


@dataclass(frozen=True, slots=True)
class _Scope:
    """What of one library is searched; None stands for all."""

    library: Library
    documents: Sequence[int] | None
    pages: Pages | None

    def passages(self) -> Ids | None:
        return None if self.documents is None else self.library.passage_ids(self.documents, self.pages)


def search(
    libraries: Sequence[Library],
    embedders: Mapping[str, Embedder],
    question: str,
    *,
    k: int = 10,
    documents: Filter | Sequence[str] | None = None,
    document_ids: Sequence[int] | None = None,
    method: Method = Method(),
    join: bool = True,
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
        method: how the rankers are joined.
        join: neighbours among the hits become one passage; else each is as it was indexed.

    Raises:
        NotFoundError: the filter lets no document of any of the libraries through.
    """
    # Half characters and NUL, which a command line or a program may hand over, upset tokenizers and SQLite.
    question = clean(question)
    with ExitStack() as stack:
        for library in libraries:
            # What is found and what is then read of it belong to one state, also while an ingest is writing.
            stack.enter_context(library.snapshot())
        only = filters.of(documents)
        narrowed = filters.scopes(libraries, only) if document_ids is None else [(libraries[0], list(document_ids))]
        hits: list[Hit] = []
        for library, allowed in narrowed:
            scope = _Scope(library, allowed, only.pages)
            query = queries.understand(question, library.overview().languages)
            hits += _hits(scope, embedders[library.name], query, method)
        return ranking.passages(hits, k, join=join, fair=not method.bare)


def spelled(libraries: Sequence[Library], question: str) -> str:
    """The question with words put right that no library holds, against those that they do hold."""
    return spelling.corrected(clean(question), [(library.text, library.overview().languages) for library in libraries])


# --- candidates and their scores ----------------------------------------------------------------------------


def _hits(scope: _Scope, embedder: Embedder, query: Query, method: Method) -> list[Hit]:
    library, allowed = scope.library, scope.passages()
    if allowed is not None and not len(allowed):
        return []
    said = Mentions() if method.bare else document_matching.find(library, scope.documents, query)
    vector, scores = _read_twice(scope, embedder, query, said.content)
    nearest, worded = _candidates(scope, vector, scores, allowed, CANDIDATES)
    others: set[int] = set()
    if 0 < len(said.meant) <= _MOST_MEANT:
        inside = library.passage_ids(sorted(said.meant), scope.pages)
        others.update(*_candidates(scope, vector, scores, inside, CANDIDATES // 2))
    opening = set() if method.bare else set(_openings(scope, query, said))
    phrased = set() if method.bare else {i for phrase in query.phrases for i in library.text.holding(phrase)}
    if allowed is not None:
        phrased &= set(allowed.tolist())
    quoted = sorted(phrased, key=lambda i: (-scores.of[i], i))[:CANDIDATES]
    found = sorted({*nearest, *worded, *others, *opening, *quoted})
    dense = library.cosines(found, vector)
    lexical = {i: float(scores.of[i]) for i in found}
    joined = _joined(dense, lexical, nearest, worded, method)
    standing: dict[int, list[Place]] = {}
    for row in library.standing(found, scope.documents, scope.pages):
        one_of = len(said.meant) > 1 and row.document_id in said.meant
        place = Place(row, said.share(row.document_id), row.document_id in said.newest, one_of)
        standing.setdefault(row.passage_id, []).append(place)
    rows = {} if method.bare else _row_fits(library, sorted(standing), said.content or query)
    return [
        Hit(
            library, i, joined[i], dense[i], lexical[i], tuple(sorted(standing[i], key=lambda place: -place.named)),
            opens=i in opening, phrased=i in phrased, row=rows.get(i, 0.0),
        )
        for i in found
        if i in standing
    ]  # fmt: skip


def _read_twice(scope: _Scope, embedder: Embedder, query: Query, content: Query | None) -> tuple[Vectors, Scores]:
    """The question's vector and the scores of its words; where it names documents, half of each without the names."""
    text, generation = scope.library.text, scope.library.generation
    vector, scores = embedder.embed_question(query.text), text.scores(query.groups, generation).scaled()
    if content is None:
        return vector, scores
    both = vector + embedder.embed_question(content.text)
    half = Scores((scores.of + text.scores(content.groups, generation).scaled().of) / np.float32(2), 1.0)
    return both / np.float32(np.linalg.norm(both) or 1.0), half


def _candidates(
    scope: _Scope, vector: Vectors, scores: Scores, allowed: Ids | None, most: int
) -> tuple[list[int], list[int]]:
    """The passages nearest to the question, and those that hold most of its words, best first."""
    ids, _ = scope.library.index().search(vector, most, allowed)
    return ids.tolist(), _best(scores, allowed, most)


def _row_fits(library: Library, ids: Sequence[int], query: Query) -> dict[int, float]:
    """How well the label of a table row in each passage fits the question."""
    spoken = (library.overview().languages or (FALLBACK,))[0]
    return {i: table_rows.best(text, query.groups, spoken) for i, text in library.table_texts(ids)}


def _best(scores: Scores, allowed: Ids | None, most: int) -> list[int]:
    """The passages that hold most of the question's words, best first."""
    ids = np.flatnonzero(scores.of) if allowed is None else allowed[allowed < len(scores.of)]
    of = scores.of[ids]
    if len(ids) > most:
        kept = np.argpartition(-of, most - 1)[:most]
        ids, of = ids[kept], of[kept]
    order = np.lexsort((ids, -of))
    return [int(i) for i in ids[order] if scores.of[i] > 0]


def _joined(
    dense: Mapping[int, float], lexical: Mapping[int, float], nearest: Sequence[int], worded: Sequence[int],
    method: Method,
) -> dict[int, float]:  # fmt: skip
    """One score for each candidate; of two rankers that agree, 1 is the most."""
    if method.fusion == "rrf":
        ranks = [{i: n for n, i in enumerate(ids, 1)} for ids in (nearest, worded)]
        most = 2 / (_RRF_K + 1)
        return {i: sum(1 / (_RRF_K + rank[i]) for rank in ranks if i in rank) / most for i in dense}
    weight = {"dense": 1.0, "lexical": 0.0}.get(method.fusion, method.dense_weight)
    return {i: weight * dense[i] + (1 - weight) * lexical[i] for i in dense}


# --- what the question says of documents --------------------------------------------------------------------


def _openings(scope: _Scope, query: Query, said: Mentions) -> list[int]:
    """The first passages of the documents that a question about a document as a whole may mean."""
    if not query.about_whole:
        return []
    there = list(scope.library.overview().dates) if scope.documents is None else scope.documents
    documents = said.best(_MOST_OPENINGS) or (there if len(there) <= _MOST_OPENINGS else [])
    return scope.library.openings(documents)


# --- for the model ------------------------------------------------------------------------------------------


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
        if join and last is not None and ranking.neighbours(last, passage, 2):
            one = ranking.one(last, passage, stores[last.library])
            merged[-1] = replace(one, score=max(last.score, passage.score))
        else:
            merged.append(passage)
    return merged
