"""How well questions find their paragraph by language: by vectors, by words, and as the product does.

    python benchmarks/languages.py XQUAD [--embedder ID ...] [--pairs en:en de:de en:de ...] [--questions N] [--heads]

XQUAD is a folder with qa.jsonl (question, answer, doc, lang, id) and docs/LANGUAGE/*.txt, the same texts in each
language. Each paragraph is a document; right is one of the question's text that holds the answer. A pair is the
language of the questions and that of the documents. Prints the share of questions with a right paragraph among the
first 1, 5 and 10, and how well the cosine of question and paragraph tells answerable pairs from questions with a
paragraph of another article (AUC).

With --heads, how the parts that were made for English do: the odds of the engine of items (AUC), the sentence nearest
to the question (share that holds the answer) by the embedder and by the encoder of sentences, the AUC of the encoder's
nearest sentence, and the share of questions, all for a fact, that the classifier of questions takes for one.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from localrag import api, embeddings
from localrag.embeddings.sentence_encoder import Text
from localrag.items.evidence import Clauses
from localrag.items.item import Item
from localrag.question import lookup as lookups
from localrag.question.kinds import tell as kinds_of
from localrag.search import retrieval
from localrag.settings import Settings, load_settings
from localrag.store.text_analysis import sentences

DEPTHS = (1, 5, 10)
COLUMNS = ["vectors @1 @5 @10", "words @1 @5 @10", "both @1 @5 @10", "AUC"]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("folder", type=Path, nargs="?")
    arguments.add_argument("--embedder", nargs="+", default=["all-minilm-l6-v2", "multilingual-e5-small"])
    arguments.add_argument("--pairs", nargs="+", default=["en:en", "de:de", "es:es", "zh:zh", "en:de", "en:zh"])
    arguments.add_argument("--questions", type=int, default=0, help="a sample with a seed; 0 is all")
    arguments.add_argument("--heads", action="store_true")
    given = arguments.parse_args()
    if given.folder is None:
        print("Name the folder of XQuAD: nothing in examples/ has one text in several languages.")
        return
    rows = [json.loads(line) for line in (given.folder / "qa.jsonl").read_text("utf-8").splitlines()]
    asked = {(row["lang"], row["id"].partition("-")[2]): row for row in rows}
    ids = sorted({id for _, id in asked})
    if given.questions:
        ids = random.Random(0).sample(ids, given.questions)
    columns = ["items: AUC", "sentence: embedder", "encoder", "encoder: AUC", "questions"] if given.heads else COLUMNS
    print(f"| {' | '.join(['embedder', 'questions', 'text', *columns])} |\n{'|---' * (3 + len(columns))}|")
    for embedder in given.embedder:
        with tempfile.TemporaryDirectory() as temporary:
            settings = load_settings().with_options(embedder=embedder)
            for language in dict.fromkeys(pair.partition(":")[2] for pair in given.pairs):
                library = ingested(given.folder / "docs" / language, Path(temporary, language), settings)
                for pair in given.pairs:
                    own, _, other = pair.partition(":")
                    if other == language:
                        names = [text.stem for text in sorted((given.folder / "docs" / language).iterdir())]
                        figures = (heads if given.heads else measured)(
                            library, settings, names, [(asked[own, id], asked[other, id]) for id in ids]
                        )
                        print(f"| {embedder} | {own} | {other} | {figures} |", flush=True)
                library.forget()


def ingested(texts: Path, folder: Path, settings: Settings) -> api.Library:
    """Read the paragraphs of texts, as documents, into a library of their own."""
    folder.mkdir()
    for place, text in enumerate(sorted(texts.iterdir())):  # by number, since names of files are searched too
        for number, paragraph in enumerate(text.read_text("utf-8").split("\n\n")):
            (folder / f"{place:03}-{number}.txt").write_text(paragraph, "utf-8")
    library = api.Library(f"languages-benchmark-{folder.name}", settings)
    library.ingest(folder)
    return library


def heads(
    library: api.Library, settings: Settings, names: list[str], pairs: list[tuple[dict[str, Any], dict[str, Any]]]
) -> str:
    """Return the row of a table: how the parts made for English do."""
    searcher = retrieval.Searcher(settings)
    storage = searcher.library(library.name)
    embedder, engine = searcher.embedder(storage), Clauses(storage, searcher)
    documents = {document.path: document for document in storage.documents()}
    texts = {path: library.page_text(path) for path in documents}
    odds: tuple[list[float], list[float]] = ([], [])
    nearest: tuple[list[float], list[float]] = ([], [])
    first: tuple[list[bool], list[bool]] = ([], [])
    kinds = 0
    chance = random.Random(0)
    for asked, held in pairs:
        question, stem = asked["question"], Path(held["doc"]).stem
        own = f"{names.index(stem):03}-"
        right = next(path for path, text in sorted(texts.items()) if path.startswith(own) and held["answer"] in text)
        article = stem.rpartition("_")[0]
        other = chance.choice(sorted(path for path in texts if not names[int(path[:3])].startswith(article)))
        for n, path in enumerate((right, other)):
            odds[n].append(engine.evidence(Item("asked", question), (storage, documents[path]), 1).odds)
            text = Text("", texts[path], tuple(sentences(texts[path])))
            (near,) = searcher.sentences.nearness([question], [text])
            nearest[n].append(max(near))
            if n == 0:
                parts = [text.text[start:end] for start, end in text.spans]
                cosines = embedder.embed_documents(parts) @ embedder.embed_question(question)
                for hits, scores in zip(first, (cosines, near), strict=True):
                    hits.append(held["answer"] in parts[int(np.argmax(scores))])
        shares, _ = kinds_of(question)
        kinds += max(shares, key=lambda kind: shares[kind]) == "look-up"
    right_ones = [f"{np.mean(hits):.3f}" for hits in first]
    searcher.close()
    return " | ".join([f"{auc(*odds):.3f}", *right_ones, f"{auc(*nearest):.3f}", f"{kinds / len(pairs):.3f}"])


def measured(
    library: api.Library, settings: Settings, names: list[str], pairs: list[tuple[dict[str, Any], dict[str, Any]]]
) -> str:
    """Return the row of a table: the hits of each way, and the AUC."""
    storage = library._storage()
    embedder = embeddings.load_embedder(settings, storage.identity)
    texts = {document.path: library.page_text(document.path) for document in library.documents()}
    paths = {document.id: document.path for document in library.documents()}
    of: dict[int, str] = {chunk.passage_id: paths[id] for id in paths for chunk in storage.chunks_of(id)}
    hits: dict[str, list[int]] = {"vectors": [], "words": [], "both": []}
    yes: list[float] = []
    no: list[float] = []
    chance = random.Random(0)
    for asked, held in pairs:
        stem = Path(held["doc"]).stem
        own = f"{names.index(stem):03}-"
        right = {path for path, text in texts.items() if path.startswith(own) and held["answer"] in text}
        question = asked["question"]
        vector = embedder.embed_question(question)
        cosines = storage.cosines(list(of), vector)
        found = lookups.read(question, storage.overview().languages)
        scores = storage.text.scores(found.groups, storage.generation)
        for way, score in (("vectors", cosines), ("words", dict(enumerate(scores.tolist())))):
            best = sorted((i for i in of if score[i] > 0), key=lambda i: -score[i])
            hits[way].append(rank(list(dict.fromkeys(of[i] for i in best)), right))
        hits["both"].append(rank([one.document for one in library.search(question, k=10)], right))
        by_path: dict[str, float] = {}
        for i, cosine in cosines.items():
            by_path[of[i]] = max(by_path.get(of[i], -1.0), float(cosine))
        article = stem.rpartition("_")[0]
        others = sorted(path for path in texts if not names[int(path[:3])].startswith(article))
        yes.append(max(by_path[path] for path in right))
        no.append(by_path[chance.choice(others)])
    shares = [" ".join(f"{np.mean([r <= k for r in ranks]):.3f}" for k in DEPTHS) for ranks in hits.values()]
    return f"{' | '.join(shares)} | {auc(yes, no):.3f}"


def rank(found: list[str], right: set[str]) -> int:
    return next((i for i, path in enumerate(found, 1) if path in right), 1_000_000)


def auc(yes: list[float], no: list[float]) -> float:
    above = np.array(yes)[:, None] - np.array(no)[None, :]
    return float((above > 0).mean() + (above == 0).mean() / 2)


if __name__ == "__main__":
    main()
