"""Find passages by full text and vectors, over one or several libraries. No model that answers is loaded here.

Every candidate of either ranker gets both scores: the cosine, and BM25 over what a passage with every word of the
question could reach. Their mean is the score (a convex combination: Bruch, Gai and Ingber 2022); `ranking` adds what is
known of the documents (docs/decisions/0020-ranking.md).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from localrag import embeddings, policy
from localrag.embeddings.sentence_encoder import SentenceEncoder, Text
from localrag.errors import ModelError
from localrag.models import catalog
from localrag.models.records import ModelStore, sha256_of
from localrag.question import lookup as lookups
from localrag.question import naming
from localrag.question.naming import Mentions
from localrag.search import filters, ranking
from localrag.search.ranking import Hit, Place
from localrag.settings import Settings
from localrag.store.full_text import FullText
from localrag.store.library import Library, open_library
from localrag.store.text_analysis import COMMON, FALLBACK, folded, sentences, stem
from localrag.text import clean
from localrag.types import Filter, Pages, Passage

if TYPE_CHECKING:
    from localrag.embeddings import Embedder, EmbedderIdentity
    from localrag.question.lookup import Lookup
    from localrag.store.full_text import Ids, Row
    from localrag.store.vector_index import Vectors

CANDIDATES = 100
# Documents whose beginnings are candidates for a question about a document as a whole.
_MAX_OPENINGS = 32
# Documents that a question names and that are then also searched by themselves.
_MAX_MEANT = 64
# One in so many scores tells which of them may be the best.
_SAMPLED = 16
# Passages whose sentences are compared with the question, and how much the nearest one counts.
_WEIGHED, _SENTENCE = 15, 0.3


class Searcher:
    """Holds the embedders, the reranker and the open libraries that searches need. Use it from one thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._embedders: dict[EmbedderIdentity, Embedder] = {}
        self._reranker: Reranker | None = None
        self.sentences = SentenceEncoder()
        self._libraries: dict[str, Library] = {}

    def library(self, name: str) -> Library:
        """Return an open library, for reading."""
        if name not in self._libraries:
            self._libraries[name] = open_library(self._settings, name)
        return self._libraries[name]

    def find(
        self,
        libraries: Sequence[Library],
        question: str,
        k: int,
        documents: Filter | Sequence[str] | None,
        *,
        document_ids: Sequence[int] | None = None,
        join: bool = False,
    ) -> list[Passage]:
        """Return the k best passages, in the order of the reranker where the settings name one."""
        wanted = k
        if self._settings.reranker is not None:
            self._reranker = self._reranker or load_reranker(self._settings)
            wanted = max(k, RERANKED)
        with ExitStack() as stack:
            # One generation of each library, while its embedder loads, which takes seconds.
            for library in libraries:
                stack.enter_context(library.snapshot())
            embedders = {library.name: self.embedder(library) for library in libraries}
            hits = search(
                libraries,
                embedders,
                question,
                k=wanted,
                documents=documents,
                document_ids=document_ids,
                join=join,
                encoder=self.sentences,
            )
        return hits if self._reranker is None else rerank(question, hits, self._reranker)[:k]

    def nearness(
        self, documents: Mapping[Library, Sequence[int]], question: str, texts: Sequence[Text], stop: Callable[[], bool]
    ) -> list[list[float]]:
        """Return how near each sentence of texts comes to a question, also read without the names of these documents.

        In English by the encoder of sentences, else by the embedder that the libraries share; empty where they share
        none, since the text of a library goes to no other embedder than its own.
        """
        readings: dict[str, None] = {}
        for library, ids in documents.items():
            with library.snapshot():
                lookup = lookups.read(clean(question), library.overview().languages)
                readings |= dict.fromkeys(_readings(lookup, naming.find(library, ids, lookup).content))
        if all(map(_in_english, documents)):
            return self.sentences.nearness(list(readings), texts, stop)
        if len({library.identity for library in documents}) > 1:
            return []
        embedder = self.embedder(next(iter(documents)))
        vector = _question_vector(embedder, list(readings))
        parts = [text.text[start:end] for text in texts for start, end in text.spans]
        near = iter(embedder.nearness(embedder.embed_documents(parts, stop=stop) @ vector).tolist())
        return [list(islice(near, len(text.spans))) for text in texts]

    def embedder(self, library: Library) -> Embedder:
        """Return the embedder that made the vectors of a library, loaded at its first use."""
        identity = library.identity
        if identity not in self._embedders:
            self._embedders[identity] = embeddings.load_embedder(self._settings, identity)
        return self._embedders[identity]

    def close(self) -> None:
        for library in self._libraries.values():
            library.close()
        self._libraries = {}

    def configure(self, settings: Settings) -> None:
        """Search with other settings from now on."""
        self._settings, self._reranker = settings, None


def search(
    libraries: Sequence[Library],
    embedders: Mapping[str, Embedder],
    question: str,
    *,
    k: int = 10,
    documents: Filter | Sequence[str] | None = None,
    document_ids: Sequence[int] | None = None,
    join: bool = True,
    encoder: SentenceEncoder | None = None,
) -> list[Passage]:
    """Return the k best passages, best first.

    `embedders` has, for each library's name, the embedder that made its vectors. `document_ids` are documents of the
    one library given, instead of those that the filter lets through; its pages still apply. With `join`, adjacent hits
    become one passage; else each is as it was indexed. With an `encoder`, the nearest sentence of the first passages
    counts, too, where the libraries are in English.
    """
    # Lone surrogates and NUL, which a command line or a program may pass, upset tokenizers and SQLite.
    question = clean(question)
    with ExitStack() as stack:
        for library in libraries:
            # What is found and what is then read of it belong to one state, also while an ingest is writing.
            stack.enter_context(library.snapshot())
        only = filters.of(documents)
        narrowed = filters.scopes(libraries, only) if document_ids is None else [(libraries[0], list(document_ids))]
        asked: dict[str, list[Hit]] = {}  # by the figure that is looked up, "" for the question
        readings: dict[str, dict[str, None]] = {}
        for library, allowed in narrowed:
            scope = _Scope(library, allowed, only.pages)
            lookup = lookups.read(question, library.overview().languages)
            mentions = naming.find(library, allowed, lookup)
            asked.setdefault("", []).extend(_hits(scope, embedders[library.name], lookup, mentions))
            readings.setdefault("", {}).update(dict.fromkeys(_readings(lookup, mentions.content)))
            for figure in lookup.figures:
                part = lookups.read(figure, library.overview().languages)
                part, about = replace(part, parts=lookup.parts, numbers=lookup.numbers), replace(mentions, content=None)
                asked.setdefault(figure, []).extend(_hits(scope, embedders[library.name], part, about))
                readings[figure] = {part.text: None}
        if encoder is None or not all(map(_in_english, libraries)):
            return ranking.interleaved([ranking.passages(own, k, join=join) for own in asked.values()], k)
        found = {name: ranking.passages(own, max(k, _WEIGHED), join=join) for name, own in asked.items()}
        ranked = [_by_sentences(list(readings[name]), own, encoder)[:k] for name, own in found.items()]
        return ranking.interleaved(ranked, k)


def spelled(libraries: Sequence[Library], question: str) -> str:
    """Return the question with words that no library holds corrected against those that they do hold."""
    return corrected(clean(question), [(library.text, library.overview().languages) for library in libraries])


@dataclass(frozen=True, slots=True)
class _Scope:
    """What of one library is searched; None is all."""

    library: Library
    documents: Sequence[int] | None
    pages: Pages | None


def _hits(scope: _Scope, embedder: Embedder, lookup: Lookup, mentions: Mentions) -> list[Hit]:
    library = scope.library
    allowed = None if scope.documents is None else library.passage_ids(scope.documents, scope.pages)
    if allowed is not None and not len(allowed):
        return []
    vector = _question_vector(embedder, _readings(lookup, mentions.content))
    with library.index().searching(vector, CANDIDATES, allowed) as nearest:
        scores = _word_scores(library, lookup, mentions.content)
        worded = _worded(scores, allowed, CANDIDATES)
    near, _ = nearest()
    others: set[int] = set()
    if 0 < len(mentions.meant) <= _MAX_MEANT:
        inside = library.passage_ids(sorted(mentions.meant), scope.pages)
        near_inside, _ = library.index().search(vector, CANDIDATES // 2, inside)
        others.update(near_inside.tolist(), _worded(scores, inside, CANDIDATES // 2))
    opening = set(_openings(scope, lookup, mentions))
    phrased = {i for phrase in lookup.phrases for i in library.text.with_phrase(phrase)}
    if allowed is not None:
        phrased &= set(allowed.tolist())
    quoted = sorted(phrased, key=lambda i: (-scores[i], i))[:CANDIDATES]
    found = sorted({*near.tolist(), *worded, *others, *opening, *quoted})
    cosines = library.cosines(found, vector)
    dense = dict(zip(cosines, embedder.nearness(np.array([*cosines.values()], np.float32)).tolist(), strict=True))
    places: dict[int, list[Place]] = {}
    for row in library.spans_of_passages(found, scope.documents, scope.pages):
        one_of = len(mentions.meant) > 1 and row.document_id in mentions.meant
        place = Place(row, mentions.share(row.document_id), row.document_id in mentions.newest, one_of)
        places.setdefault(row.passage_id, []).append(place)
    language = (library.overview().languages or (FALLBACK,))[0]
    groups = (mentions.content or lookup).groups
    titles = ranking.Titles(lookup, language)
    hits: list[Hit] = []
    for i, (chunk, *_) in library.chunks_of_passages(sorted(places), scope.documents).items():
        best = tuple(sorted(places[i], key=lambda place: -place.named))
        hits.append(
            Hit(
                library,
                i,
                dense[i],
                float(scores[i]),
                best,
                i in opening,
                i in phrased,
                row=ranking.row_fit(chunk.text, groups, language),
                title=titles.fit(chunk),
                defines=bool(lookup.defined) and ranking.defines(chunk.text, lookup.defined),
            )
        )
    return hits


def _word_scores(library: Library, lookup: Lookup, content: Lookup | None) -> Row:
    """Return the scores of the question's words; where it names documents, half of them without the names."""
    text, generation = library.text, library.generation
    scores = text.scores(lookup.groups, generation)
    return scores if content is None else (scores + text.scores(content.groups, generation)) / np.float32(2)


def _readings(lookup: Lookup, content: Lookup | None) -> list[str]:
    """Return a question as it stands, and without the names of the documents that it means."""
    return [lookup.text] if content is None else [lookup.text, content.text]


def _question_vector(embedder: Embedder, readings: Sequence[str]) -> Vectors:
    """Return the vector of a question, between those of its readings."""
    first, *others = map(embedder.embed_question, readings)
    whole: Vectors = sum(others, first)
    return whole / np.float32(np.linalg.norm(whole) or 1.0) if others else first


def _by_sentences(readings: Sequence[str], passages: Sequence[Passage], encoder: SentenceEncoder) -> list[Passage]:
    """Return passages by their score and the cosine of their nearest sentence; only the first ones change places."""
    first = passages[:_WEIGHED]
    rows = encoder.nearness(readings, [Text.of(one, sentences(one.text)) for one in first])
    weighed = [
        replace(
            one,
            score=(1 - _SENTENCE) * one.score + _SENTENCE * max(row, default=0.0),
            signals={**one.signals, "sentence": round(max(row, default=0.0), 6)},
        )
        for one, row in zip(first, rows, strict=True)
    ]
    weighed.sort(key=lambda one: -one.score)
    least = weighed[-1].score if weighed else 1.0
    return [*weighed, *(replace(one, score=min(one.score, least)) for one in passages[_WEIGHED:])]


def _in_english(library: Library) -> bool:
    return (library.overview().languages or (FALLBACK,))[0] == FALLBACK


def _worded(scores: Row, allowed: Ids | None, limit: int) -> list[int]:
    """Return the passages that hold most of the question's words, best first."""
    ids = _leading(scores, limit) if allowed is None else allowed[allowed < len(scores)]
    of = scores[ids]
    if len(ids) > limit:
        kept = np.argpartition(-of, limit - 1)[:limit]
        ids, of = ids[kept], of[kept]
    order = np.lexsort((ids, -of))
    return [int(i) for i in ids[order] if scores[i] > 0]


def _leading(scores: Row, limit: int) -> Ids:
    """Return passages with a score, among them those of the `limit` best: a sample tells what such a score is."""
    sample = scores[::_SAMPLED]
    at = len(sample) - 1 - 2 * limit // _SAMPLED
    least = np.partition(sample, at)[at] if at >= 0 else 0
    ids = np.flatnonzero(scores >= least) if least > 0 else np.empty(0, np.int64)
    return ids if len(ids) >= limit else np.flatnonzero(scores)


def _openings(scope: _Scope, lookup: Lookup, mentions: Mentions) -> list[int]:
    """Return the first passages of the documents that a question about a document as a whole may mean."""
    if not lookup.about_whole:
        return []
    there = list(scope.library.overview().dates) if scope.documents is None else scope.documents
    documents = mentions.best(_MAX_OPENINGS) or (there if len(there) <= _MAX_OPENINGS else [])
    return scope.library.first_passages(documents)


def in_reading_order(passages: Sequence[Passage]) -> list[Passage]:
    """Return passages in document order, the best document first.

    The order of the document reads better than rank order (Yu et al. 2024, OP-RAG).
    """
    best: dict[tuple[str, int], float] = {}
    for passage in passages:
        key = (passage.library, passage.document_id)
        best[key] = max(best.get(key, passage.score), passage.score)
    return sorted(
        passages, key=lambda p: (-best[p.library, p.document_id], p.library, p.document_id, p.position, p.start)
    )


def merged(ordered: Sequence[Passage], libraries: Sequence[Library]) -> list[Passage]:
    """Return passages in reading order with overlapping or touching ones as one."""
    stores = {library.name: library for library in libraries}
    found: list[Passage] = []
    for passage in ordered:
        last = found[-1] if found else None
        if last is not None and ranking.neighbours(last, passage, 2):
            one = ranking.joined(last, passage, stores[last.library])
            found[-1] = replace(one, score=max(last.score, passage.score))
        else:
            found.append(passage)
    return found


# --- typing errors ------------------------------------------------------------------------------------------

Vocabulary = tuple[FullText, Sequence[str]]

_WORD = re.compile(r'"[^"]*"|“[^“”]*”|«[^«»]*»|„[^„“”]*[“”]|\b[^\W\d_]{5,}\b')
_LONG = 8
# For pasted text: each error is compared with every word of its first letter.
_MAX_ERRORS = 16
_COMMON = frozenset(folded(word) for words in COMMON.values() for word in words)


def corrected(question: str, vocabularies: Sequence[Vocabulary]) -> str:
    """Return the question with its typing errors corrected by the full text of each library, in its languages.

    A word is a typing error where no library has it or its stem, and has one that differs by a letter, or by two in a
    long word. Numbers, identifiers, short and common words, and words in quotes stay, and so does the first letter.
    """
    seen: dict[str, str | None] = {}
    errors = 0

    def corrected_word(match: re.Match[str]) -> str:
        nonlocal errors
        word = match[0]
        plain = folded(word)
        if not word[0].isalpha() or not plain.isalpha() or plain in _COMMON:
            return word
        if plain not in seen:
            error = errors < _MAX_ERRORS and not any(
                text.has_word(plain, {stem(word.lower(), language) for language in (*languages, "")})
                for text, languages in vocabularies
            )  # a hyphen or an apostrophe may have cut off a stem
            errors += error
            seen[plain] = _nearest(plain, vocabularies) if error else None
        found = seen[plain]
        if found is None:
            return word
        return found.capitalize() if word[0].isupper() else found

    return _WORD.sub(corrected_word, question)


def _nearest(plain: str, vocabularies: Sequence[Vocabulary]) -> str | None:
    from rapidfuzz.distance import OSA

    most = 1 if len(plain) < _LONG else 2
    best: tuple[int, int, str] | None = None
    for text, _ in vocabularies:
        for other, held in text.words_starting(plain[0]):
            if abs(len(other) - len(plain)) <= most and other.isalpha():
                apart = OSA.distance(plain, other, score_cutoff=most)
                if apart <= most and (best is None or (apart, -held, other) < best):
                    best = apart, -held, other
    return best[2] if best else None


# --- order the best passages with a cross-encoder, which reads question and passage together ---------------------
# Optional: the setting `reranker` names an installed one, or a folder as sentence-transformers saves it. Only files of
# that folder are read, no code of it runs, and only safetensors weights load. Limits: the model cuts passages longer
# than its own limit.

# Passages that are scored; each costs about as much as embedding it.
RERANKED = 30
_BATCH = 8


class Reranker:
    """A cross-encoder with one output, run by sentence-transformers on the CPU."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
            hint = "The setting reranker names a folder with config.json, *.safetensors and the tokenizer's files."
            raise ModelError(f"there is no cross-encoder in {str(folder)!r}", hint)
        torch = embeddings.quiet_torch()
        from sentence_transformers import CrossEncoder

        try:
            # Raw outputs: a sigmoid rounds the best of them to the same number.
            self._model = CrossEncoder(
                str(folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                activation_fn=torch.nn.Identity(),
                model_kwargs={"dtype": torch.float32, "use_safetensors": True},
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            hint = "Choose another folder, or remove the setting reranker."
            raise ModelError(f"cannot load the cross-encoder from {str(folder)!r}: {error}", hint) from error
        if self._model.num_labels != 1:
            hint = "It is a classifier. Choose a cross-encoder trained to rank passages."
            raise ModelError(f"the model in {str(folder)!r} has {self._model.num_labels} outputs instead of one", hint)

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """Return how well each text answers the question; higher is better, without a scale."""
        # In its own thread, since torch may change CPU flags that the model that answers relies on (llama.py).
        with ThreadPoolExecutor(1, "rerank") as pool:
            pairs = [(question, text) for text in texts]
            scored = pool.submit(self._model.predict, pairs, batch_size=_BATCH, show_progress_bar=False).result()
        return [float(score) for score in scored]


def rerank(question: str, passages: Sequence[Passage], reranker: Reranker) -> list[Passage]:
    """Return the passages in the order of the cross-encoder; those behind the first `RERANKED` stay behind.

    The new score is the model's, mapped to 0 to 1; the signals keep both raw scores.
    """
    # Under its headings, since a row or a sentence alone often does not say what it is about.
    parts = [(" › ".join(one.heading), one.header, one.text) for one in passages[:RERANKED]]
    scored = reranker.scores(question, ["\n".join(filter(None, texts)) for texts in parts])
    # Ties keep the order of the search.
    order = sorted(range(len(scored)), key=lambda i: (-scored[i], i))
    best = [
        replace(
            passages[i],
            score=1 / (1 + math.exp(-max(-60.0, min(60.0, scored[i])))),
            signals={**passages[i].signals, "search": round(passages[i].score, 6), "rerank": round(scored[i], 6)},
        )
        for i in order
    ]
    lowest = best[-1].score if best else 1.0
    return [*best, *(replace(passage, score=min(passage.score, lowest)) for passage in passages[RERANKED:])]


def load_reranker(settings: Settings) -> Reranker | None:
    """Load the cross-encoder named by the setting `reranker`, or return None where it is not set."""
    if settings.reranker is None:
        return None
    if catalog.find(settings.reranker.name) is not None and not settings.reranker.exists():
        return Reranker(ModelStore(settings).get(settings.reranker.name).path)
    if not policy.allows_model(None):
        policy.check_model(str(settings.reranker), *map(sha256_of, sorted(settings.reranker.rglob("*.safetensors"))))
    return Reranker(settings.reranker)
