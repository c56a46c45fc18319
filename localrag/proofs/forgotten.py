"""Is a document gone? All that localrag keeps is searched for what it said, also where nothing points to it any more.

What is looked for are passages of the document that no document left in the library holds too, and its content hash.
They are looked for in every byte of every file below the data folder: databases with their free pages and logs,
vectors, kept states, conversations, records. An encrypted file is searched as it is opened; of an encrypted database
all values are searched, and its free pages are counted, since none may be left.

Limits: a text that was changed into something else (a model's own words, a vector) cannot be recognised; that goes with
its rows, which are searched for. What an SSD or a backup keeps is not looked at. The audit record keeps the content
hash of what was deleted, to prove that it was; there it is not counted.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localrag.errors import LibraryError, ReadError, UsageError
from localrag.ingest.readers.isolate import ReaderPool
from localrag.ingest.readers.source import Options
from localrag.ingest.scan import content_hash
from localrag.proofs.report import FORMATS
from localrag.security import storage
from localrag.security.encryption import unlocked
from localrag.security.storage import sqlite3
from localrag.settings import Settings
from localrag.store.library import Library
from localrag.types import Part

_PASSAGE = 24  # characters: long enough not to be met by chance
_MOST = 400
_BLOCK = 1 << 22
# The keyring and locks are in clear, and what a database keeps beside itself is opened with it.
_NEVER_SEALED = ("vault.json", ".lock", ".holder", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Searched:
    """One file: how many bytes were searched, and how (as bytes, or opened with its key); "locked" ones were not."""

    file: str
    bytes: int
    how: str


@dataclass(frozen=True, slots=True)
class Trace:
    """Something of the document that is still there: in which file, and the words or the reason."""

    file: str
    found: str


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was searched for (a count of passages), where, and what was found; `proven` where that is nothing."""

    library: str
    passages: int
    searched: tuple[Searched, ...]
    traces: tuple[Trace, ...]

    @property
    def proven(self) -> bool:
        return not self.traces and not any(one.how == "locked" for one in self.searched)

    def to_dict(self) -> dict[str, Any]:
        made = datetime.now(UTC).isoformat(timespec="seconds")
        return {"format": FORMATS[1], "proof": "forgotten", "made": made, "proven": self.proven, **asdict(self)}


def prove_forgotten(
    settings: Settings, name: str, *, file: Path | None = None, word: str = "",
    said: Callable[[str], None] = lambda _: None,
) -> Forgotten:  # fmt: skip
    """Search everything for what a document said.

    Args:
        name: the library that it was forgotten from.
        file: the original, or else
        word: words of it.

    Raises:
        ReadError: the original cannot be read.
        UsageError: nothing of it can be told from what other documents of the library say.
    """
    hashes: tuple[str, ...] = ()
    passages: tuple[str, ...] = (word,)
    if file is not None:
        said(f"reading {file.name}")
        texts, hashes = _read(file, settings)
        passages = _own(texts, hashes, settings, name)
    if not any(passages):
        raise UsageError(
            "every passage of it stands in other documents of the library too", "Give words that only it has: --word."
        )
    everywhere, in_records = _pattern((*passages, *hashes)), _pattern(passages)
    searched, traces = [], []
    for path in _files(settings):
        said(str(path))
        one, found = _search(path, in_records if path.name == settings.audit_file.name else everywhere)
        searched.append(one)
        traces += found
    return Forgotten(name, len(passages), tuple(searched), tuple(traces))


def _files(settings: Settings) -> list[Path]:
    """All that localrag keeps but models, which hold nothing of documents, and are large."""
    folders = {settings.general_dir.parent, settings.indexes_dir}
    files = {path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file()}
    return sorted(path for path in files if not path.is_relative_to(settings.models_dir))


# --- what is looked for -------------------------------------------------------------------------------------


def _read(file: Path, settings: Settings) -> tuple[list[str], tuple[str, ...]]:
    """The texts of a file and of what lies in it, and their content hashes."""
    if not file.is_file():
        raise ReadError(f"there is no file {str(file)!r}", "Give the original, or words of it with --word.")
    texts, hashes = [], [content_hash(file, lambda: None)]
    options = Options(languages=settings.ocr_languages, depth=settings.archive_depth)
    with ReaderPool(workers=1, seconds=settings.read_seconds, options=options) as pool:
        for _, item in pool.read_all([file]):
            if isinstance(item, Part):
                texts += [page.text for page in item.reading.pages]
                hashes.append(item.sha256)
    if not any(text.strip() for text in texts):
        raise ReadError(f"{file.name!r} gives no text", "Give words of it instead: --word.")
    return texts, tuple(dict.fromkeys(hashes))


def _own(texts: Sequence[str], hashes: Sequence[str], settings: Settings, name: str) -> tuple[str, ...]:
    """Passages that no other document of the library holds: lines, or stretches of them, spread over it."""
    lines = list(dict.fromkeys(line for text in texts for line in _stretches(text)))
    library = Library.open(settings.library_dir(name), name)
    try:
        for document in (one for one in library.documents() if one.sha256 not in hashes):
            for page in library.pages(document.id):
                lines = [line for line in lines if line not in page.text]
    finally:
        library.close()
    return tuple(random.Random(0).sample(lines, min(_MOST, len(lines))))


def _stretches(text: str) -> Iterator[str]:
    for line in text.splitlines():
        line = line.strip()
        if len(line) >= _PASSAGE:
            yield line[:160]


def _pattern(passages: Sequence[str]) -> re.Pattern[bytes]:
    needles = dict.fromkeys(form for passage in passages for form in _forms(passage))
    return re.compile(b"|".join(re.escape(needle) for needle in sorted(needles, key=len, reverse=True)))


def _forms(passage: str) -> Iterator[bytes]:
    """A passage as it may lie in a file: plain, in JSON, and in UTF-16."""
    yield passage.encode("utf-8", "surrogatepass")
    for ascii_only in (True, False):
        yield json.dumps(passage, ensure_ascii=ascii_only)[1:-1].encode("utf-8", "surrogatepass")
    yield passage.encode("utf-16-le", "surrogatepass")


# --- where it is looked for ---------------------------------------------------------------------------------


def _search(path: Path, pattern: re.Pattern[bytes]) -> tuple[Searched, list[Trace]]:
    name, size = str(path), path.stat().st_size
    # As it lies there, encrypted or not: nothing may stand in clear where it should not.
    with path.open("rb") as stream:
        traces = [Trace(name, found) for found in _in_bytes(stream.read, pattern)]
    if unlocked.encrypted_folder(path) is None or path.name.endswith(_NEVER_SEALED):
        return Searched(name, size, "as bytes"), traces
    try:
        return Searched(name, size, "opened"), traces + list(_opened(path, name, pattern))
    except (LibraryError, sqlite3.DatabaseError):
        return Searched(name, size, "locked"), traces


def _opened(path: Path, name: str, pattern: re.Pattern[bytes]) -> Iterator[Trace]:
    """What an encrypted file holds of it."""
    if storage.is_database(path):
        yield from (Trace(name, found) for found in _in_values(path, pattern))
        yield from _free_pages(path, name)
    elif path.suffix == storage.LINES_SUFFIX:
        for line in path.read_bytes().splitlines():
            yield from (Trace(name, found) for found in _hits(storage.decrypt_line(path, line), pattern))
    else:
        with storage.open_stream(path) as stream:
            yield from (Trace(name, found) for found in _in_bytes(stream.read, pattern))


def _in_bytes(read: Callable[[int], bytes], pattern: re.Pattern[bytes]) -> list[str]:
    found: list[str] = []
    left = b""
    while block := read(_BLOCK):
        found += _hits(left + block, pattern)
        left = block[-1000:]  # what lies across two blocks
    return list(dict.fromkeys(found))


def _hits(data: bytes, pattern: re.Pattern[bytes]) -> list[str]:
    return list(dict.fromkeys(hit.group().decode("utf-8", "replace")[:80] for hit in pattern.finditer(data)))


def _in_values(path: Path, pattern: re.Pattern[bytes]) -> list[str]:
    """Every value of every table of an encrypted database."""
    found: list[str] = []
    database = storage.connect(path)
    try:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    if isinstance(value, str):
                        found += _hits(value.encode("utf-8", "surrogatepass"), pattern)
                    elif isinstance(value, bytes):
                        found += _hits(value, pattern)
    finally:
        database.close()
    return list(dict.fromkeys(found))


def _free_pages(path: Path, name: str) -> list[Trace]:
    """Free pages of an encrypted database cannot be searched, so none may be left."""
    database = storage.connect(path)
    try:
        free = int(database.execute("PRAGMA freelist_count").fetchone()[0])
    finally:
        database.close()
    log = path.with_name(path.name + "-wal")
    left = log.stat().st_size if log.exists() else 0
    traces = [Trace(name, f"{free} free pages, which may hold it")] if free else []
    return traces + ([Trace(log.name, f"{left:,} bytes of log, which may hold it")] if left else [])
