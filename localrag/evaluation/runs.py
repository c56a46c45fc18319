"""Results as JSON lines, one per question, so that an interrupted run continues.

A file may hold several runs: a line with the settings begins each, and every result names its run, a digest of the
settings. Runs with other settings are left alone, and a line cut off by a crash is skipped. The code is not part of
the settings: use a new file after changing it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localrag.errors import NotFoundError, UsageError
from localrag.evaluation.datasets import Question
from localrag.security import storage

Row = Mapping[str, Any]
_HINT = "Such a file is written by: localrag eval answers DATASET --out FILE.jsonl"


class Run:
    """The results of one evaluation, in a file or in memory; `settings` is everything that decides them."""

    def __init__(self, path: Path | None, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)
        self.id = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:12]
        self._path = path
        self._rows: dict[tuple[str, str], Row] = {}
        self._begun = False
        if path is not None and path.exists() and (data := _read(path)):
            for run in past(path):
                if run.id == self.id:
                    self._begun = True
                    self._rows = {(str(row["id"]), str(row.get("digest"))): row for row in run.rows}
            if not data.endswith(b"\n"):
                storage.append_line(path, "")  # finish a line cut off by a crash, so that it spoils no other

    def results(
        self, questions: Iterable[Question], work: Callable[[Question], Row | None], stop: Callable[[], bool]
    ) -> Iterator[Row]:
        """Yield the result of each question, made by `work` unless it is kept; ends at `stop`, or at None."""
        for question in questions:
            row = self.done(question)
            if row is None:
                made = None if stop() else work(question)
                if made is None:
                    return
                row = self.add(question, made)
            yield row

    def done(self, question: Question) -> Row | None:
        """Return the result of a question if there is one."""
        return self._rows.get((question.id, question.digest))

    def add(self, question: Question, result: Mapping[str, Any]) -> Row:
        """Keep a result; it is on the disk when this returns."""
        row = {"run": self.id, "id": question.id, "digest": question.digest, **result}
        if self._path is not None:
            begin = [] if self._begun else [{"run": self.id, "settings": self.settings}]
            self._begun = True
            for line in (*begin, row):
                storage.append_line(self._path, json.dumps(line, ensure_ascii=False))
        self._rows[question.id, question.digest] = row
        return row


@dataclass(frozen=True, slots=True)
class Past:
    """A run in a file: its settings, and its results in the order of the file; the last of a question counts."""

    id: str
    settings: Mapping[str, Any]
    rows: list[Row]


def past(path: Path) -> list[Past]:
    """Read the runs that a file holds."""
    found: dict[str, Past] = {}
    for row in filter(None, map(_parsed, _read(path).split(b"\n"))):
        run = str(row["run"])
        if isinstance(row.get("settings"), dict):
            found.setdefault(run, Past(run, row["settings"], []))
        elif run in found and "id" in row:
            found[run].rows.append(row)
    if not found:
        raise UsageError(f"{str(path)!r} holds no results of an evaluation", _HINT)
    return list(found.values())


def by_category(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the results of each category that has a name."""
    names = sorted({row["category"] for row in rows} - {""})
    return {name: [row for row in rows if row["category"] == name] for name in names}


def _read(path: Path) -> bytes:
    try:
        return storage.read_bytes(path)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {str(path)!r}", _HINT) from None
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}", _HINT) from None


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) and "run" in row else None
