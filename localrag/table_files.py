"""The rows of an answer as a file that other programs open: CSV, JSON or Markdown (pure; `vault` writes it).

A cell that a spreadsheet would take for a formula (it begins with =, +, -, @, a tab or a line end) gets an apostrophe
before it in CSV: the text of a document must not run in someone's spreadsheet (OWASP, "CSV Injection").
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from localrag.errors import UsageError

Rows = Sequence[Mapping[str, Any]]
SUFFIXES = (".csv", ".json", ".md")
# A number may begin with a sign.
_FORMULA = re.compile(r"^\s*[=+\-@\t\r\n]")
_NUMBER = re.compile(r"^[+-]?\d[\d.,]*$")


def check(path: Path) -> None:
    """Refuse a file that no table can be written to, before a long survey is made for it.

    Raises:
        UsageError: its suffix is none of those known.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"no table can be written as {path.name!r}", f"Give it one of these endings: {', '.join(SUFFIXES)}."
        )


def written(rows: Rows, path: Path) -> bytes:
    """The rows in the format that the path's suffix names; columns in the order of the first row, then any others.

    Raises:
        UsageError: its suffix is none of those known.
    """
    check(path)
    suffix = path.suffix.lower()
    if suffix == ".json":
        text = json.dumps([dict(row) for row in rows], ensure_ascii=False, indent=2) + "\n"
    else:
        text = _csv(rows) if suffix == ".csv" else _markdown(rows)
    # Excel takes CSV without this mark for the old code page of its machine.
    return text.encode("utf-8-sig" if suffix == ".csv" else "utf-8", "replace")


def columns(rows: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def cell(value: Any) -> str:
    """A value as people read it: yes and no, nothing for None."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _csv(rows: Rows) -> str:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    names = columns(rows)
    writer.writerow([_inert(name) for name in names])
    writer.writerows([[_inert(cell(row.get(name))) for name in names] for row in rows])
    return stream.getvalue()


def _inert(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.match(text) else text


def _markdown(rows: Rows) -> str:
    names = columns(rows)
    lines = [names, ["---"] * len(names), *([cell(row.get(name)) for name in names] for row in rows)]
    return "".join(f"| {' | '.join(_plain(text) for text in line)} |\n" for line in lines) if names else ""


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\|<>`*_\[\]])", r"\\\1", " ".join(text.split()))
