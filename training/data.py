"""Make training data for the reranker: what the search finds for questions with known places of their answers.

    python training/data.py SOURCE WORK [SET ...]

SOURCE has a folder for each set, with `docs.jsonl.gz` (id, title, text) and `qa.jsonl.gz` (id, question, doc, evidence
as offsets into the text, answerable). The documents become a library for each set, read and cut as `localrag ingest`
does, and WORK/groups/SET.jsonl gets a line for each question: the passages that the search finds, as they are embedded,
with the search's score and whether they hold the answer (1), a part of it (null) or nothing (0).
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from localrag import embeddings
from localrag.api import open_library
from localrag.ingest.chunking import embedded_text
from localrag.search import retrieval
from localrag.settings import Settings, load_settings
from localrag.store.library import Library
from localrag.types import Chunk, Passage

# Questions and documents of each set at most, and where they are asked: in their document, everywhere, or both.
SETS: dict[str, tuple[int, int, str]] = {
    "cuad": (2600, 130, "document"), "contractnli": (700, 89, "document"), "maud": (90, 5, "document"),
    "privacyqa": (192, 7, "document"), "acord": (600, 900, "everywhere"), "tatqa": (1500, 817, "both"),
    "finqa": (842, 498, "both"), "medquad": (1500, 1459, "everywhere"), "liveqa_med": (90, 385, "everywhere"),
    "covidqa": (899, 64, "both"), "pubmedqa": (350, 400, "everywhere"), "qmsum": (250, 30, "document"),
    "evidence_inference": (350, 70, "both"), "qasper_evidence": (1000, 466, "both"), "mtrag": (235, 161, "everywhere"),
    "gov_faq": (1800, 737, "both"), "it_docs": (904, 221, "both"),
}  # fmt: skip
# Questions that share a wording, at most, since some sets ask the same few hundred.
_SAME_WORDING = 20
_CANDIDATES = 30
_TABLE_ROW = re.compile(r"^(?!\|)(.*\S)? \| .*$", re.MULTILINE)


def load(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the lines of a set's file."""
    with gzip.open(folder / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def chosen(folder: Path, rng: random.Random) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """Return the documents and questions of a set that are used, by seed."""
    count, limit, _ = SETS[folder.name]
    docs = {doc["id"]: doc for doc in load(folder, "docs.jsonl.gz")}
    kept = set(rng.sample(sorted(docs), min(limit, len(docs))))
    docs = {id: doc for id, doc in docs.items() if id in kept}
    questions = [row for row in load(folder, "qa.jsonl.gz") if row["doc"] in docs and row.get("lang", "en") == "en"]
    rng.shuffle(questions)
    seen: dict[tuple[str, bool], int] = defaultdict(int)
    graded = any("grade" in row for row in questions)
    result = []
    for row in questions:
        wording = (row["question"], row["answerable"])
        seen[wording] += 1
        if graded or seen[wording] <= (_SAME_WORDING if row["answerable"] else 4):
            result.append(row)
    return docs, result if graded else result[:count]


def text_of(doc: dict[str, Any]) -> str:
    """Return a document as a text file: title, and table rows as Markdown."""
    text = _TABLE_ROW.sub(lambda row: f"| {row[0].strip()} |", doc["text"])
    title = doc["title"].strip()
    generic = title.startswith(("Financial report", "Contract clause", "PubMed"))
    return text if generic or text.startswith(title) or len(title) > 90 else f"{title}\n\n{text}"


def name_of(doc: dict[str, Any]) -> str:
    slug = re.sub(r"[^\w.-]+", "_", doc["title"])[:60].strip("_.")
    return f"{slug}_{hashlib.sha256(doc['id'].encode()).hexdigest()[:8]}.txt"


def places(doc: dict[str, Any], row: dict[str, Any], stored: str) -> list[tuple[int, int]]:
    """Return the evidence as spans of the stored text, comparing letters and digits only; [] if one is not there."""
    starts = [i for i, c in enumerate(stored) if c.isalnum()]
    squeezed = "".join(stored[i] for i in starts)
    found = []
    for begin, end in row["evidence"]:
        words = "".join(c for c in doc["text"][begin:end] if c.isalnum())
        before = sum(c.isalnum() for c in doc["text"][:begin])
        at = [m.start() for m in re.finditer(re.escape(words), squeezed)] if words else []
        if not at:
            return []
        best = min(at, key=lambda i: abs(i - before))
        found.append((starts[best], starts[best + len(words) - 1] + 1))
    return found


def label(passage: Passage, evidence: Sequence[tuple[int, int]]) -> int | None:
    """Return 1 if most of a piece of the evidence is here, or the passage is mostly evidence; 0 if none; else None."""
    shares = [(max(0, min(end, passage.end) - max(start, passage.start)), end - start) for start, end in evidence]
    if any(common >= 0.7 * size for common, size in shares):
        return 1
    common = sum(common for common, _ in shares)
    if common >= 0.6 * (passage.end - passage.start):
        return 1
    return None if common else 0


def pair_text(title: str, passage: Passage) -> str:
    """Return a passage as it is embedded."""
    chunk = Chunk(passage.position, passage.start, passage.end, passage.text, passage.heading, None, passage.header)
    return embedded_text(title, chunk)


class Miner:
    """Searches the library of one set."""

    def __init__(self, settings: Settings, folder: Path, work: Path) -> None:
        self.name, self._work = folder.name, work
        self._rng = random.Random(folder.name)
        self.docs, self.questions = chosen(folder, self._rng)
        target = work / "docs" / self.name
        target.mkdir(parents=True, exist_ok=True)
        for doc in self.docs.values():
            (target / name_of(doc)).write_text(text_of(doc), encoding="utf-8")
        with closing(open_library(f"train-{self.name}", settings=settings, create=True)) as library:
            library.ingest(target)
        self.library: Library = retrieval.Searcher(settings).library(f"train-{self.name}")
        self._embedder = embeddings.load_embedder(settings, self.library.identity)
        self._stored = {document.path: document for document in self.library.documents()}
        self._titles = {document.id: document.title for document in self._stored.values()}

    def groups(self) -> Iterator[dict[str, Any]]:
        """Yield what is found for each question."""
        if any("grade" in row for row in self.questions):
            yield from self._graded()
            return
        where = SETS[self.name][2]
        for row in self.questions:
            document = self._stored.get(name_of(self.docs[row["doc"]]))
            if document is None:
                continue
            evidence = places(self.docs[row["doc"]], row, self.library.page_text(document.id, 0))
            if row["answerable"] and not evidence:
                continue
            inside = where == "document" or not row["answerable"] or (where == "both" and self._rng.random() < 0.5)
            found = self._search(row["question"], [document.id] if inside else None)
            marks = [label(one, evidence) if one.document_id == document.id else 0 for one in found]
            yield self._group(row, found, marks)

    def _graded(self) -> Iterator[dict[str, Any]]:
        """Documents that people graded for a question: 3 and more is right."""
        asked = defaultdict(list)
        for row in self.questions:
            asked[row["question"]].append(row)
        for rows in asked.values():
            grades = {name_of(self.docs[row["doc"]]): row["grade"] for row in rows}
            found = self._search(rows[0]["question"], None)
            marks = [int(grades.get(one.document, 0) >= 3) for one in found]
            yield self._group(rows[0], found, marks)

    def _search(self, question: str, documents: list[int] | None) -> list[Passage]:
        return retrieval.search(
            [self.library], {self.library.name: self._embedder}, question, k=_CANDIDATES, document_ids=documents,
            join=False,
        )  # fmt: skip

    def _group(self, row: dict[str, Any], found: Sequence[Passage], marks: Sequence[int | None]) -> dict[str, Any]:
        return {
            "set": self.name, "id": row["id"], "doc": row["doc"],
            "answerable": row["answerable"], "question": row["question"],
            "texts": [pair_text(self._titles[one.document_id], one) for one in found],
            "scores": [round(one.score, 4) for one in found], "labels": list(marks),
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("sets", nargs="*", default=list(SETS))
    given = parser.parse_args()
    settings = replace(load_settings(), reranker=None)
    (given.work / "groups").mkdir(parents=True, exist_ok=True)
    for name in given.sets:
        target = given.work / "groups" / f"{name}.jsonl"
        if target.exists():
            continue
        groups = list(Miner(settings, given.source / name, given.work).groups())
        target.write_text("".join(json.dumps(group, ensure_ascii=False) + "\n" for group in groups), encoding="utf-8")
        right = sum(1 in group["labels"] for group in groups)
        first = sum(group["labels"][:1] == [1] for group in groups)
        print(f"{name}: {len(groups)} questions, the answer found for {right}, first for {first}", flush=True)


if __name__ == "__main__":
    main()
