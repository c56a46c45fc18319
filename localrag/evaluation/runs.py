"""Results as JSON lines, one a question, so that an interrupted run goes on where it stopped.

A file may hold several runs: the line that begins one gives its settings, and each result names its run, which is a
digest of them. Results of other settings are left alone. A line cut off by a crash is passed over. The code itself is
not part of the settings: after changing it, take a new file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localrag.errors import NotFoundError, UsageError
from localrag.evaluation.datasets import Question
from localrag.security import storage

Row = Mapping[str, Any]


class Run:
    """The results of one evaluation with one set of settings.

    Args:
        path: the file to keep them in; None keeps them in memory only.
        settings: all that decides the results, as plain values.
    """

    def __init__(self, path: Path | None, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)
        self.id = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode()).hexdigest()[:12]
        self._path = path
        self._rows: dict[tuple[str, str], Row] = {}
        self._begun = False
        if path is not None:
            self._read(path)

    def _read(self, path: Path) -> None:
        try:
            data = storage.read_bytes(path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise UsageError(f"cannot read {str(path)!r}: {error.strerror}", "Give another file to --out.") from None
        lines = data.split(b"\n")
        if lines[-1]:
            self._close_line(path, lines)
        for number, line in enumerate(lines, 1):
            row = _parsed(line)
            if row is None and line.strip() and number == 1:
                raise UsageError(f"{str(path)!r} holds no results of an evaluation", "Give another file to --out.")
            if row is None or row["run"] != self.id:
                continue
            self._begun = self._begun or "settings" in row
            if "id" in row and "digest" in row:
                self._rows[str(row["id"]), str(row["digest"])] = row

    @staticmethod
    def _close_line(path: Path, lines: list[bytes]) -> None:
        """End the line that a crash cut off, but touch no file that is not ours."""
        if _parsed(lines[0]) is not None:
            storage.append_line(path, "")

    def done(self, question: Question) -> Row | None:
        """The result of a question, if it is there."""
        return self._rows.get((question.id, question.digest))

    def add(self, question: Question, result: Mapping[str, Any]) -> Row:
        """Keep a result; it is on the disk when this returns."""
        row = {"run": self.id, "id": question.id, "digest": question.digest, **result}
        if self._path is not None:
            if not self._begun:
                self._append({"run": self.id, "settings": self.settings})
                self._begun = True
            self._append(row)
        self._rows[question.id, question.digest] = row
        return row

    def _append(self, row: Mapping[str, Any]) -> None:
        assert self._path is not None
        storage.append_line(self._path, json.dumps(row, ensure_ascii=False))


@dataclass(frozen=True, slots=True)
class Past:
    """A run as a file has it: its settings, and the last result of each question, in the order in which they came."""

    id: str
    settings: Mapping[str, Any]
    rows: tuple[Row, ...]


def past(path: Path) -> list[Past]:
    """The runs that a file holds, in the order in which they began.

    Raises:
        NotFoundError: there is no such file.
        UsageError: it cannot be read, or holds no results.
    """
    hint = "Name a file that an evaluation wrote: localrag eval answers DATASET --out FILE.jsonl"
    try:
        lines = storage.read_bytes(path).split(b"\n")
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {str(path)!r}", hint) from None
    except OSError as error:
        raise UsageError(f"cannot read {str(path)!r}: {error.strerror}", hint) from None
    settings: dict[str, Mapping[str, Any]] = {}
    rows: dict[str, dict[str, Row]] = {}
    for row in filter(None, map(_parsed, lines)):
        run = str(row["run"])
        if isinstance(row.get("settings"), dict):
            settings[run] = row["settings"]
        elif "id" in row:
            rows.setdefault(run, {})[str(row["id"])] = row
    found = [Past(run, settings[run], tuple(rows.get(run, {}).values())) for run in settings]
    if not found:
        raise UsageError(f"{str(path)!r} holds no results of an evaluation", hint)
    return found


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and "run" in row else None
