"""Search for questions with known evidence, and keep what tells of each sentence of what was found (0077).

    python benchmarks/pruning/collect.py OUT.pickle NAME=LIBRARY=FILE.jsonl[=MOST[=within]] ...

A library is one of localrag's own home. A line of FILE has `question`, `doc` or `docs` (the ends of paths), and
`evidence`: quotes, or {"quote": ...}, or one text with [...] between them; where there is none, the sentences of `doc`
that hold `answer` are alternatives. `within` looks only in the document. Questions that were collected before are
skipped, so a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import math
import pickle
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from localrag.embeddings.sentence_encoder import Text
from localrag.grounding import prompts
from localrag.grounding.citations import terms
from localrag.search import retrieval
from localrag.search.retrieval import Searcher
from localrag.settings import load_settings
from localrag.store.library import Library
from localrag.store.text_analysis import sentences

PASSAGES = 15
_WORD = re.compile(r"\w+")
_RUN = 8  # consecutive words of a quote that are found again where the whole is not, as across pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("sets", nargs="+")
    chosen = parser.parse_args()
    settings = load_settings()
    searcher = Searcher(settings)
    count = token_counter(settings)
    found: list[dict[str, Any]] = pickle.loads(chosen.out.read_bytes()) if chosen.out.exists() else []
    known = {(one["set"], one["id"]) for one in found}
    for given in chosen.sets:
        name, library, file, most, *within = (
            [*given.split("="), "1000000"] if given.count("=") < 3 else given.split("=")
        )
        lines = [json.loads(line) for line in Path(file).read_text(encoding="utf-8").splitlines() if line.strip()]
        random.Random(5).shuffle(lines)
        for line in lines[: int(most)]:
            if (name, line["id"]) not in known:
                found += filter(None, [collected(name, line, searcher.library(library), searcher, count, bool(within))])
                if len(found) % 25 == 0:
                    print(name, len(found), flush=True)
                    chosen.out.write_bytes(pickle.dumps(found))
    chosen.out.write_bytes(pickle.dumps(found))


def token_counter(settings: Any) -> Callable[[str], int]:
    """Return what counts the tokens of the model that answers, whose weights are not loaded."""
    from llama_cpp import Llama

    path = next((settings.models_dir / settings.generator).glob("*.gguf"))
    model = Llama(str(path), vocab_only=True, verbose=False)
    return lambda text: len(model.tokenize(text.encode(), add_bos=False))


def collected(
    name: str, line: dict[str, Any], library: Library, searcher: Searcher, count: Callable[[str], int], within: bool
) -> dict[str, Any] | None:
    """Return a question with its passages, their sentences and the spans of its evidence; None without evidence."""
    docs = line.get("docs") or [line["doc"]]
    paths = [one.path for one in library.documents() if any(_same(one.path, doc) for doc in docs)]
    gold = evidence(line, library, paths)
    if not gold:
        return None
    question = retrieval.spelled([library], line["question"])
    hits = searcher.find([library], question, PASSAGES, paths if within else None)
    spans = [sentences(hit.text) for hit in hits]
    nearness = searcher.sentences.nearness([question], [Text.of(*one) for one in zip(hits, spans, strict=True)])
    texts = [hit.text[start:end] for hit, own in zip(hits, spans, strict=True) for start, end in own]
    embedder = searcher.embedder(library)
    cosines = iter(np.asarray(embedder.embed_documents(texts)) @ np.asarray(embedder.embed_question(question)))
    shares = iter(word_shares(question, texts))
    return {
        "set": name,
        "id": line["id"],
        "question": question,
        "kind": line.get("kind", ""),
        "answer": line.get("answer", ""),
        "gold": gold,
        "any": not line.get("evidence"),
        "passages": [
            {
                "text": Text.of(hit, own),
                "place": (hit.document_id, hit.position, hit.start),
                "path": hit.document,
                "score": hit.score,
                "header": hit.header,
                "heading": count(prompts.heading(hit)) + 4 + (count(hit.header) + 1 if hit.header else 0),
                "whole": count(prompts.heading(hit)) + count(prompts.shown(hit)) + 4,
                "tokens": [count(hit.text[start:end]) + 1 for start, end in own],
                "encoder": row,
                "cosine": [float(next(cosines)) for _ in own],
                "words": [next(shares) for _ in own],
            }
            for hit, own, row in zip(hits, spans, nearness, strict=True)
        ],
    }


def _same(path: str, doc: str) -> bool:
    return path == doc or path.endswith(f"/{doc}") or doc.endswith(f"/{path}")


def word_shares(question: str, texts: Sequence[str]) -> list[float]:
    """Return the share of a question's words in each text, by their rarity among the texts."""
    held = [terms(text, "english") for text in texts]
    counts = Counter(term for own in held for term in own)
    asked = {term: math.log(1 + len(texts) / counts[term]) for term in terms(question, "english") if counts[term]}
    return [sum(asked[term] for term in own & asked.keys()) / (sum(asked.values()) or 1) for own in held]


def evidence(line: dict[str, Any], library: Library, paths: Sequence[str]) -> list[tuple[int, int, int, int]]:
    """Return the spans of a question's evidence: document, position of the page, start, end."""
    given = line.get("evidence") or []
    quotes = given.split("[...]") if isinstance(given, str) else given
    quotes = [one["quote"] if isinstance(one, dict) else one for one in quotes]
    found = set()
    for document in library.documents():
        if document.path not in paths:
            continue
        for position, page in enumerate(library.pages(document.id)):
            words = [(match[0].lower(), *match.span()) for match in _WORD.finditer(page.text)]
            for quote in quotes:
                found.update((document.id, position, *span) for span in located(quote, words))
            if not quotes and (answer := line.get("answer", "")):
                found.update(
                    (document.id, position, *match.span()) for match in re.finditer(re.escape(answer), page.text)
                )
    return sorted(found)


def located(quote: str, words: Sequence[tuple[str, int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the span of a quote in the words of a page, else those of its runs of eight words; only the first."""
    wanted = [match[0].lower() for match in _WORD.finditer(quote)]
    there = [word for word, _, _ in words]
    if wanted and (at := _index(there, wanted)) is not None:
        yield words[at][1], words[at + len(wanted) - 1][2]
        return
    for first in range(0, len(wanted) - _RUN + 1, _RUN):
        if (at := _index(there, wanted[first : first + _RUN])) is not None:
            yield words[at][1], words[at + _RUN - 1][2]


def _index(words: Sequence[str], wanted: Sequence[str]) -> int | None:
    size = len(wanted)
    return next(
        (n for n in range(len(words) - size + 1) if words[n] == wanted[0] and words[n : n + size] == wanted), None
    )


if __name__ == "__main__":
    main()
