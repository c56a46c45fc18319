"""What the rows of a library are made into: documents, pages, chunks with where they stand.

Rows are what was written, but for damage to the disk: a value of another type is refused here, where it is met, and not
later where something is reckoned with it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from localrag.security.storage import sqlite3
from localrag.types import Anchor, Document, Heading, Page, Remark, SkippedPage, Unit, Word


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk with where it stands; `page` and `label` are None in a document without pages.

    `header` is the table header that belongs to its first rows but stands before them.
    """

    id: int
    passage_id: int
    document_id: int
    document: str
    title: str
    position: int
    page: int | None
    label: str | None
    unit: Unit
    start: int
    end: int
    heading: tuple[str, ...]
    header: str
    spot: str
    text: str


@dataclass(frozen=True, slots=True)
class Overview:
    """Of all documents: their languages, the commonest first, and by id the date ("" if unknown) and the length."""

    languages: tuple[str, ...]
    dates: Mapping[int, str]
    characters: Mapping[int, int]


class Standing(NamedTuple):
    """Where a passage stands; `number` is that of the page, None in a document without pages."""

    passage_id: int
    document_id: int
    position: int
    start: int
    end: int
    number: int | None


_NUMBERS = ("id", "size", "characters", "pages")
_TEXTS = ("root", "path", "file", "title", "sha256", "author", "date", "language")


def document_of(row: sqlite3.Row) -> Document:
    """Raises ValueError, TypeError or KeyError, as all here, where a row is not what was written."""
    values = dict(row)
    _are(int, values, _NUMBERS)
    _are(str, values, _TEXTS)
    values["skipped"] = tuple(SkippedPage(*item) for item in json.loads(values["skipped"]))
    values["remarks"] = tuple(Remark(*item) for item in json.loads(values["remarks"]))
    return Document(**{**values, "paged": bool(values["paged"])})


def chunk_of(row: sqlite3.Row) -> StoredChunk:
    values = dict(row)
    _are(int, values, ("start", "end"))
    _are(str, values, ("document", "title", "header", "spot", "text"))
    return StoredChunk(**{**values, "heading": tuple(json.loads(values["heading"]))})


def page_of(row: sqlite3.Row) -> Page:
    headings, anchors, words = json.loads(row["layout"])
    _are(str, dict(row), ("text", "unit"))
    return Page(
        row["text"], row["number"], row["label"], tuple(Heading(*item) for item in headings), row["unit"],
        tuple(Anchor(*item) for item in anchors), tuple(Word(*item) for item in words),
    )  # fmt: skip


def overview_of(rows: Sequence[sqlite3.Row]) -> Overview:
    for row in rows:
        _are(int, dict(row), ("id", "characters"))
        _are(str, dict(row), ("language", "date"))
    return Overview(
        tuple(name for name, _ in Counter(row["language"] for row in rows).most_common()),
        {row["id"]: row["date"] for row in rows},
        {row["id"]: row["characters"] for row in rows},
    )


def _are(kind: type, values: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in names:
        if type(values[name]) is not kind:
            raise TypeError(f"{name} is {values[name]!r:.40}")
