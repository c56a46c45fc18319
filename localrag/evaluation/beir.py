"""Retrieval sets in the form of BEIR (Thakur et al. 2021): a folder with corpus, queries and judgements.

    corpus.jsonl     {"_id": "4983", "title": "...", "text": "..."}
    queries.jsonl    {"_id": "13", "text": "..."}
    qrels.tsv        query-id, corpus-id, score, with a line of heads; else qrels/test.tsv (or dev, or train)

Its documents are written out, a Markdown file each, so that the ordinary ingest reads them as it reads everything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from localrag.errors import Cancelled, NotFoundError, UsageError
from localrag.evaluation.datasets import Question
from localrag.security import storage

_FORM = "A BEIR folder holds corpus.jsonl, queries.jsonl and qrels.tsv (or qrels/test.tsv); see docs/evaluation.md."
_QRELS = ("qrels.tsv", "qrels/test.tsv", "qrels/dev.tsv", "qrels/train.tsv")
_LONGEST_NAME = 120


def is_beir(path: Path) -> bool:
    return path.is_dir()


def load(folder: Path) -> list[Question]:
    """The queries that have judgements, as questions whose documents carry grades.

    Raises:
        NotFoundError: a file of the set is missing.
        UsageError: a line is not of this form; its number is said.
    """
    grades = _grades(folder)
    questions = []
    for number, row in _rows(folder / "queries.jsonl"):
        name, text = _text(row, "_id", number), _text(row, "text", number)
        judged = grades.pop(name, None)
        if judged and any(grade > 0 for _, grade in judged):
            useful = tuple(doc for doc, grade in judged if grade > 0)
            questions.append(Question(name, text, "", useful[0], docs=useful, grades=tuple(judged)))
    if not questions:
        raise UsageError(f"no query in {str(folder)!r} has a judged document", _FORM)
    return questions


def _grades(folder: Path) -> dict[str, list[tuple[str, int]]]:
    path = next((folder / name for name in _QRELS if (folder / name).is_file()), None)
    if path is None:
        raise NotFoundError(f"there are no judgements in {str(folder)!r}", _FORM)
    found: dict[str, dict[str, int]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        parts = line.split("\t") if "\t" in line else line.split()
        if not line.strip() or (number == 1 and not parts[-1].strip().lstrip("-").isdigit()):
            continue
        try:
            # A line of TREC has a column more, which says nothing.
            query, document, grade = parts[0], parts[-2], int(parts[-1])
        except (ValueError, IndexError):
            raise UsageError(f"line {number} of {str(path)!r} is not query, document and grade", _FORM) from None
        found.setdefault(query, {})[file_name(document)] = grade
    return {query: list(judged.items()) for query, judged in found.items()}


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        stream = path.open(encoding="utf-8")
    except FileNotFoundError:
        raise NotFoundError(f"there is no {path.name!r} in {str(path.parent)!r}", _FORM) from None
    with stream:
        for number, line in enumerate(stream, 1):
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise UsageError(f"line {number} of {str(path)!r} is not JSON: {error}", _FORM) from None
                if not isinstance(row, dict):
                    raise UsageError(f"line {number} of {str(path)!r} is not a JSON object", _FORM)
                yield number, row


def _text(row: dict[str, Any], name: str, number: int, *, empty: bool = False) -> str:
    value = row.get(name)
    if value is None and empty:
        return ""
    if not isinstance(value, str) or not (value.strip() or empty):
        raise UsageError(f"line {number}: {name} is {value!r}, not text", _FORM)
    return value


def file_name(document: str) -> str:
    """The file that a document is written to; its id stays legible in it."""
    name = quote(document, safe="()+=@~")
    # Ids that differ in case only would be one file on many systems, a long one none at all.
    if len(name) > _LONGEST_NAME or name != name.lower() or name.startswith("."):
        name = f"{name[:_LONGEST_NAME].lstrip('.')}-{hashlib.sha256(document.encode()).hexdigest()[:8]}"
    return f"{name}.md"


def write_corpus(
    folder: Path, target: Path, *, progress: Callable[[int], None] = lambda done: None,
    stop: Callable[[], bool] = lambda: False,
) -> int:  # fmt: skip
    """Write each document of a corpus to a file of its own; returns how many there are.

    Files that are there with the same text are left as they are, those of documents that are gone are deleted.

    Raises:
        Cancelled: `stop` said so; what is written stays.
    """
    storage.make_dir(target)
    left = {path.name for path in target.iterdir()}
    count = 0
    for number, row in _rows(folder / "corpus.jsonl"):
        if stop():
            raise Cancelled("stopped while the corpus was written", "The same command goes on where it stopped.")
        name = file_name(_text(row, "_id", number))
        title, text = _text(row, "title", number, empty=True), _text(row, "text", number, empty=True)
        data = _document(title, text).encode("utf-8", "replace")
        path = target / name
        if name not in left or path.read_bytes() != data:
            storage.write_bytes(path, data)
        left.discard(name)
        count += 1
        progress(count)
    for name in left:
        storage.remove(target / name)
    return count


def _document(title: str, text: str) -> str:
    heading = " ".join(title.split())
    return f"# {heading}\n\n{text}\n" if heading else f"{text}\n"
