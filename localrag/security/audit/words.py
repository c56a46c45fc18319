"""The words of questions and answers, kept apart from the record, where a policy wants them kept at all.

The record holds their HMAC; here lie the words, one file for each line of the record, so that they can be erased for
one person without breaking the chain. `kept` gives them back only where they are the ones that the record knows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from localrag.errors import SealBroken
from localrag.security import storage
from localrag.security.audit import chain
from localrag.security.audit.chain import Entry

FOLDER = "audit-words"


@dataclass(frozen=True, slots=True)
class Words:
    """What was asked and answered. `true` says that they are what the record holds the marks of."""

    question: str
    answer: str
    true: bool = True


def keep(file: Path, number: int, question: str, answer: str) -> None:
    """Keep the words of line `number` of the record `file`.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    storage.write_json(_path(file, number), {"question": question, "answer": answer})


def kept(file: Path, entry: Entry) -> Words | None:
    """The words of a line, or None where none are kept, or they were erased."""
    try:
        found = json.loads(storage.read_bytes(_path(file, entry.number)))
        question, answer = str(found["question"]), str(found["answer"])
    except (OSError, ValueError, KeyError, TypeError, SealBroken):
        return None
    true = all(
        entry.details.get(f"{name}_hmac") == chain.marked(file, text)
        for name, text in (("question", question), ("answer", answer))
    )
    return Words(question, answer, true)


def erase(file: Path, number: int) -> bool:
    """Erase the words of a line; False where there are none."""
    path = _path(file, number)
    there = path.is_file()
    storage.remove(path)
    return there


def expire(file: Path, before: datetime) -> int:
    """Erase the words that the record `file` kept before a moment; returns of how many lines. It needs no key."""
    gone = [
        path for path in (file.parent / FOLDER).glob("*.json")
        if datetime.fromtimestamp(path.stat().st_mtime, UTC) < before
    ]  # fmt: skip
    for path in gone:
        storage.remove(path)
    return len(gone)


def _path(file: Path, number: int) -> Path:
    return file.parent / FOLDER / f"{number}.json"
