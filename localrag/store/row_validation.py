"""The rows of a library's database, each value checked for its type, its bounds and what it refers to (pure).

For a database that others may have written. Declared types bind nobody in SQLite, so each value is looked at before
anything is made of it: numbers lie in their range, spans inside their page, JSON holds what its readers expect, vectors
are finite and of one dimension. How long values are, is asked before they are read. What can be made from the rest
(terms, words, postings, lengths, what is staged) is not read at all.

Limits: whether what it says is true cannot be told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np

from localrag.embeddings import EmbedderIdentity
from localrag.security.encryption.database import sqlite3
from localrag.sessions.restoring import restored
from localrag.store import minhash, text_analysis, tombstones
from localrag.store.schema import SCHEMA
from localrag.types import Ocr, Unit

# Ids are never given twice, so they may be far beyond the number of rows; arrays are as long as the highest is.
_HIGHEST_ID = 50_000_000
_LARGEST = 2**53
_NAME, _LONG, _LONGEST = 1 << 16, 1 << 24, 1 << 28
_MOST_DIMENSIONS = 65_536
_LONGEST_VECTOR = 1.1  # they are of unit length, but for rounding
_META = {"schema", "uid", "generation", "embedder", "staging", "chunking", "reading", "instructions", "forgotten"}
_UNITS: tuple[str, ...] = get_args(Unit)
_OCR: tuple[Any, ...] = (None, *get_args(Ocr))


class Unfit(ValueError):
    """What is wrong, and where."""


@dataclass
class Seen:
    """What the rows so far hold that later ones refer to: ids, and the characters of each page of a document."""

    dimension: int
    roots: set[int] = field(default_factory=set)
    files: set[int] = field(default_factory=set)
    pages: dict[int, list[int]] = field(default_factory=dict)
    passages: set[int] = field(default_factory=set)
    standing: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Rows:
    """A table: its columns, how long a value may be in bytes, and what checks a row and gives it back."""

    table: str
    columns: tuple[str, ...]
    longest: int
    checked: Callable[[Any, Seen], tuple[Any, ...]]

    def read(self, source: sqlite3.Connection, seen: Seen) -> Iterator[tuple[Any, ...]]:
        """Its rows.

        Raises:
            Unfit: one is not what localrag writes.
        """
        try:
            yield from self._read(source, seen)
        except sqlite3.Error as error:
            raise Unfit(f"{self.table}: {error}") from None

    def _read(self, source: sqlite3.Connection, seen: Seen) -> Iterator[tuple[Any, ...]]:
        names = [f'"{name}"' for name in self.columns]
        lengths = ", ".join(f"max(octet_length({name}))" for name in names)
        found = source.execute(f"SELECT {lengths} FROM {self.table}").fetchone()
        for name, length in zip(self.columns, found, strict=True):
            if length is not None and length > self.longest:
                raise Unfit(f"{self.table}.{name} has a value of {length:,} bytes")
        for number, row in enumerate(source.execute(f"SELECT {', '.join(names)} FROM {self.table} ORDER BY 1, 2"), 1):
            try:
                yield self.checked(row, seen)
            except (ValueError, TypeError, AttributeError, RecursionError) as error:
                raise Unfit(f"row {number} of {self.table}: {error}") from None


def meta_of(source: sqlite3.Connection, *, instructions: bool) -> dict[str, str]:
    """What a database says of itself, as far as a new one is to say it, too.

    Raises:
        Unfit: it is not what localrag writes.
    """
    rows = source.execute("SELECT key, value FROM meta LIMIT 100").fetchall()
    try:
        said = {_text(row[0]): _text(row[1], _LONG) for row in rows}
        if said.keys() - _META or said["schema"] != str(SCHEMA):
            raise Unfit(f"it is of schema {said['schema']!r:.40}, and this localrag reads {SCHEMA}")
        embedder = restored(EmbedderIdentity, json.loads(said["embedder"]))
        kept = {
            "uid": _form(said["uid"], r"[0-9a-f]{32}"), "generation": _form(said["generation"], r"\d{1,15}"),
            "embedder": json.dumps(embedder.to_dict()), "chunking": _form(said["chunking"], r"[\w.-]{1,40}"),
        }  # fmt: skip
        _whole(embedder.dimension, 1, _MOST_DIMENSIONS)
        if "reading" in said:
            ocr, languages = json.loads(said["reading"])
            _one_of(ocr, _OCR)
            kept["reading"] = json.dumps([ocr, [_form(_text(name), r"[\w-]{1,40}") for name in languages]])
        if "forgotten" in said:
            stones = tombstones.from_json(said["forgotten"])
            for mark in stones.marks:
                _form(mark, r"[0-9a-f]{32}")
            kept["forgotten"] = tombstones.to_json(stones)
        if instructions and "instructions" in said:
            kept["instructions"] = _text(said["instructions"], _NAME)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Unfit(f"what it says of itself: {error}") from None
    return kept


def all_stand(seen: Seen) -> None:
    """Raises Unfit where a passage stands nowhere."""
    if seen.passages != seen.standing:
        raise Unfit("it holds passages that stand in no document")


# --- tables -------------------------------------------------------------------------------------------------


def _root(row: Any, seen: Seen) -> tuple[Any, ...]:
    seen.roots.add(_whole(row[0], 1, _HIGHEST_ID))
    return row[0], _text(row[1])


def _file(row: Any, seen: Seen) -> tuple[Any, ...]:
    id_, root, path, size, mtime, sha256, stamp = row
    seen.files.add(_whole(id_, 1, _HIGHEST_ID))
    _there(root, seen.roots)
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError("a path that leads out of its folder")
    _whole(mtime, -(2**62), 2**62)
    return id_, root, _text(path), _whole(size, 0), mtime, _text(sha256), _text(stamp)


def _document(row: Any, seen: Seen) -> tuple[Any, ...]:
    (id_, file, member, title, sha256, size, paged, characters, author, date, skipped, remarks, sketch,
     language) = row  # fmt: skip
    seen.pages[_whole(id_, 1, _HIGHEST_ID)] = []
    _there(file, seen.files)
    _parsed(_Skipped, skipped)
    _parsed(_Remarks, remarks)
    if type(sketch) is not bytes or len(sketch) not in (0, 4 * minhash.BINS):
        raise ValueError("a sketch of another form")
    return (
        id_, file, _text(member), _text(title, _LONG), _text(sha256), _whole(size, 0), _whole(paged, 0, 1),
        _whole(characters, 0), _text(author, _LONG), _text(date, 64), skipped, remarks, sketch,
        _one_of(language, text_analysis.LANGUAGES),
    )  # fmt: skip


def _page(row: Any, seen: Seen) -> tuple[Any, ...]:
    document, position, number, label, unit, text, layout = row
    before = seen.pages[_there(document, seen.pages)]
    if _whole(position, 0) != len(before):
        raise ValueError(f"page {position} where page {len(before)} is due")
    length = len(_text(text, _LONGEST))
    before.append(length)
    found = _parsed(_Layout, layout, ("headings", "anchors", "words"))
    for start in (*(one[0] for one in found.headings), *(one[0] for one in found.anchors)):
        _whole(start, 0, length)
    for word in found.words:
        _span(word[0], word[1], length)
    number = None if number is None else _whole(number, 1, _LARGEST)
    return (
        document, position, number, None if label is None else _text(label, _LONG), _one_of(unit, _UNITS), text, layout
    )  # fmt: skip


def _passage(row: Any, seen: Seen) -> tuple[Any, ...]:
    id_, digest, vector = row
    seen.passages.add(_whole(id_, 1, _HIGHEST_ID))
    if type(digest) is not bytes or not 1 <= len(digest) <= 64:
        raise ValueError("a digest of another form")
    if type(vector) is not bytes or len(vector) != 4 * seen.dimension:
        raise ValueError(f"its vector is not of {seen.dimension} numbers")
    numbers = np.frombuffer(vector, "<f4").astype(np.float64)
    if not np.dot(numbers, numbers) <= _LONGEST_VECTOR:  # not a number is not less, either
        raise ValueError("its vector is not of unit length")
    return id_, digest, vector


def _chunk(row: Any, seen: Seen) -> tuple[Any, ...]:
    id_, passage, document, position, start, end, heading, header_start, header_end, spot = row
    _whole(id_, 1, _HIGHEST_ID)
    seen.standing.add(_there(passage, seen.passages))
    pages = seen.pages[_there(document, seen.pages)]
    length = pages[_whole(position, 0, len(pages) - 1)]
    _span(start, end, length)
    if (header_start, header_end) != (None, None):
        _span(header_start, header_end, length)
    _parsed(_Headings, heading)
    return id_, passage, document, position, start, end, heading, header_start, header_end, _text(spot)


def _near(row: Any, seen: Seen) -> tuple[Any, ...]:
    similarity = row[2]
    if type(similarity) is not float or not 0 <= similarity <= 1:
        raise ValueError("a similarity that is none")
    return _there(row[0], seen.pages), _there(row[1], seen.pages), similarity


def _failure(row: Any, seen: Seen) -> tuple[Any, ...]:
    return _there(row[0], seen.roots), _text(row[1]), _text(row[2]), _text(row[3], _LONG)


# Each refers to those before it only.
ROWS = (
    Rows("roots", ("id", "path"), _LONG, _root),
    Rows("files", ("id", "root_id", "path", "size", "mtime_ns", "sha256", "stamp"), _LONG, _file),
    Rows(
        "documents",
        ("id", "file_id", "member", "title", "sha256", "size", "paged", "characters", "author", "date", "skipped",
         "remarks", "sketch", "language"), _LONG, _document,
    ),
    Rows("pages", ("document_id", "position", "number", "label", "unit", "text", "layout"), _LONGEST, _page),
    Rows("passages", ("id", "digest", "vector"), _LONG, _passage),
    Rows(
        "chunks",
        ("id", "passage_id", "document_id", "position", "start", "end", "heading", "header_start", "header_end",
         "spot"), _LONG, _chunk,
    ),
    Rows("near", ("document_id", "other_id", "similarity"), _LONG, _near),
    Rows("failures", ("root_id", "path", "file", "reason"), _LONG, _failure),
)  # fmt: skip


# --- values -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Skipped:
    items: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class _Remarks:
    items: tuple[tuple[int | None, str], ...]


@dataclass(frozen=True)
class _Headings:
    items: tuple[str, ...]


@dataclass(frozen=True)
class _Layout:
    headings: tuple[tuple[int, int, str], ...]
    anchors: tuple[tuple[int, str], ...]
    words: tuple[tuple[int, int, float, float, float, float], ...]


def _parsed(kind: Any, value: Any, names: tuple[str, ...] = ()) -> Any:
    """What a JSON text holds, as `kind` declares it; `names` are those of the parts of a list."""
    found = json.loads(_text(value, _LONGEST))
    return restored(kind, dict(zip(names, found, strict=True)) if names else {"items": found})


def _whole(value: Any, least: int, most: int = _LARGEST) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{value!r:.40} is not a whole number from {least} to {most}")
    return value


def _text(value: Any, longest: int = _NAME) -> str:
    if type(value) is not str or len(value) > longest:
        raise ValueError(f"a text of at most {longest:,} characters is due, not {value!r:.40}")
    return value


def _form(value: str, pattern: str) -> str:
    if re.fullmatch(pattern, value, re.ASCII) is None:
        raise ValueError(f"{value!r:.40} is of another form")
    return value


def _one_of(value: Any, choices: tuple[Any, ...]) -> Any:
    if not any(type(value) is type(one) and value == one for one in choices):
        raise ValueError(f"{value!r:.40} is none of {len(choices)} choices")
    return value


def _there(value: Any, known: Any) -> int:
    if type(value) is not int or value not in known:
        raise ValueError(f"{value!r:.40} is not there")
    return value


def _span(start: Any, end: Any, length: int) -> None:
    _whole(start, 0, length)
    _whole(end, start, length)
