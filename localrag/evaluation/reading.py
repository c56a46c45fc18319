"""Answers read by a person who does not know what gave them.

Answers of several settings to the same questions are mixed by a seed, and shown without quotes or markers, which would
give a setting away; the same words given by two settings are shown once. A label is kept as soon as it is given:

    {"id": question, "setting": run, "label": "right" | "partly" | "wrong", "answer": a digest of what was read}

It holds for just that answer: a run made anew is read anew.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from localrag.errors import UsageError
from localrag.evaluation import metrics
from localrag.evaluation.agreement import Agreement, agreement
from localrag.evaluation.metrics import MARKER
from localrag.evaluation.runs import Past, Row
from localrag.security import storage

Label = Literal["right", "partly", "wrong"]
LABELS: tuple[Label, ...] = ("right", "partly", "wrong")
_SCALE = {"right": 1.0, "wrong": 0.0}
DECLINED = "(declined: it says that the documents do not say)"


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer to be read, and which settings gave it (run, digest of the answer)."""

    id: str
    question: str
    known: str
    evidence: str
    answer: str
    given: tuple[tuple[str, str], ...]


class Labels:
    """The labels in a file, by question, setting and answer."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[tuple[str, str, str], Label] = {}
        try:
            lines = storage.read_bytes(path).split(b"\n")
        except FileNotFoundError:
            return
        except OSError as error:
            raise UsageError(f"cannot read {str(path)!r}: {error.strerror}", "Give another file of labels.") from None
        for number, line in enumerate(lines, 1):
            row = _parsed(line)
            if row is None and line.strip() and number == 1:
                raise UsageError(f"{str(path)!r} holds no labels", "Give another file of labels.")
            if row is not None:
                self._found[str(row["id"]), str(row["setting"]), str(row.get("answer", ""))] = row["label"]
        if lines[-1]:
            storage.append_line(path, "")  # a crash cut the last line off

    def of(self, row: Row) -> Label | None:
        """The label of a result; one without a digest holds for whatever was answered."""
        key = str(row["id"]), str(row["run"])
        return self._found.get((*key, digest(row)), self._found.get((*key, "")))

    def add(self, reading: Reading, label: Label) -> None:
        """Keep a label for every setting that gave this answer; it is on the disk when this returns."""
        for setting, answer in reading.given:
            row = {"id": reading.id, "setting": setting, "label": label, "answer": answer}
            storage.append_line(self._path, json.dumps(row, ensure_ascii=False))
            self._found[reading.id, setting, answer] = label


def _parsed(line: bytes) -> Mapping[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and {"id", "setting"} <= row.keys() and row.get("label") in LABELS else None


def digest(row: Row) -> str:
    """Changes when the words of an answer do."""
    return hashlib.sha256(f"{row['found']} {row['answer']}".encode("utf-8", "surrogatepass")).hexdigest()[:12]


def readings(runs: Sequence[Past], labels: Labels, *, limit: int | None = None, seed: int = 0) -> list[Reading]:
    """What is still to be read, in an order that tells nothing.

    Args:
        runs: of any number of settings; results of one question are told together where they say the same.
        labels: what has been read.
        limit: only the answers to so many questions, drawn by the seed among those that every run has.
        seed: of the order and of the draw.
    """
    chance = random.Random(seed)
    wanted = _questions(runs, limit, chance)
    found = [reading for id in wanted for reading in _of_question(id, runs, labels)]
    chance.shuffle(found)
    return found


def _questions(runs: Sequence[Past], limit: int | None, chance: random.Random) -> list[str]:
    own = [[str(row["id"]) for row in run.rows if "error" not in row] for run in runs]
    shared = [id for id in own[0] if all(id in others for others in map(set, own[1:]))] if own else []
    everything = shared if limit is not None else list(dict.fromkeys(id for ids in own for id in ids))
    return everything if limit is None or limit >= len(everything) else chance.sample(everything, limit)


def _of_question(id: str, runs: Sequence[Past], labels: Labels) -> Iterator[Reading]:
    alike: dict[str, list[Row]] = {}
    for run in runs:
        for row in run.rows:
            if str(row["id"]) == id and "error" not in row and labels.of(row) is None:
                alike.setdefault(metrics.normalized(shown(row)), []).append(row)
    for rows in alike.values():
        first = rows[0]
        given = tuple((str(row["run"]), digest(row)) for row in rows)
        yield Reading(id, first["question"], first["known"], first.get("evidence", ""), shown(first), given)


def shown(row: Row) -> str:
    """An answer as it is read: every way of declining in the same words."""
    return MARKER.sub("", row["answer"]).strip() if row["found"] else DECLINED


def tally(rows: Iterable[Row], labels: Labels) -> dict[str, int]:
    """How many answers of a run have which label; those that were not read are counted too."""
    counts = dict.fromkeys((*LABELS, "unread"), 0)
    for row in rows:
        if "error" not in row:
            counts[labels.of(row) or "unread"] += 1
    return counts


def code_agrees(rows: Iterable[Row], labels: Labels) -> Agreement | None:
    """How far code and reader agree on what is right and what is not; None where nothing was read."""
    pairs = [
        ("right" if label == "right" else "wrong", "right" if row["figures"]["right"] >= 0.5 else "wrong")
        for row in rows
        if "error" not in row and (label := labels.of(row)) is not None
    ]
    return agreement(pairs, scale=_SCALE)
