"""Prove that a document is gone: search every byte below the data folder for its words and content hash.

The words are passages that no other document of the library holds. Encrypted files are also searched as they decrypt;
an encrypted database may have no free pages. Limits: a paraphrase or a vector cannot be recognised; backups and SSDs
are not searched; the audit record keeps the content hash of what was deleted.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localrag.errors import LibraryError, ReadError, UsageError
from localrag.ingest.readers.isolate import ReaderPool
from localrag.ingest.readers.source import Options
from localrag.ingest.scan import content_hash
from localrag.proofs import FORMATS
from localrag.security import storage
from localrag.security.encryption import unlocked
from localrag.security.storage import sqlite3
from localrag.settings import Settings
from localrag.store.library import Library
from localrag.types import Part

_MIN_PASSAGE = 24  # characters: long enough not to occur by chance
_MAX_PASSAGE = 160
_MAX_PASSAGES = 400
_BLOCK = 1 << 22
# In clear in an encrypted folder; the side files of a database are opened with it.
_NEVER_ENCRYPTED = ("vault.json", ".lock", ".holder", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Searched:
    """A file, its bytes, and how it was searched: "as bytes", "opened" with its key, or "locked" (not at all)."""

    file: str
    bytes: int
    how: str


@dataclass(frozen=True, slots=True)
class Trace:
    """What is left of the document in a file: the words found, or the reason to suspect them."""

    file: str
    found: str


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The result: how many passages were searched for, where, and what was found."""

    library: str
    passages: int
    searched: tuple[Searched, ...]
    traces: tuple[Trace, ...]
    documents: tuple[str, ...]  # of the library, that still hold the file
    library_clean: bool  # nothing is left in its folder, and all of it was searched

    @property
    def proven(self) -> bool:
        return not self.traces and not any(one.how == "locked" for one in self.searched)

    def to_dict(self) -> dict[str, Any]:
        made = datetime.now(UTC).isoformat(timespec="seconds")
        return {"format": FORMATS[1], "proof": "forgotten", "made": made, "proven": self.proven, **asdict(self)}


def prove_forgotten(settings: Settings, name: str, *, file: Path | None = None, word: str = "") -> Forgotten:
    """Search everything for a document that was forgotten: for passages of the original `file`, or for words of it.

    Raises ReadError if the original cannot be read; UsageError if other documents of the library hold all passages.
    """
    hashes: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    passages: tuple[str, ...] = (word,)
    if file is not None:
        texts, hashes = _read(file, settings)
        passages, documents = _own_passages(texts, hashes, settings, name)
    if not any(passages):
        what = "other documents of the library hold every passage of it"
        raise UsageError(what, "Give words that only it has: --word.")
    everywhere, in_records = _pattern((*passages, *hashes)), _pattern(passages)
    searched, traces = [], []
    folders = {settings.general_dir.parent, settings.indexes_dir}
    files = {path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file()}
    # All files of localrag but models, which hold nothing of documents and are large.
    for path in sorted(path for path in files if not path.is_relative_to(settings.models_dir)):
        one, found = _search(path, in_records if path.name == settings.audit_file.name else everywhere)
        searched.append(one)
        traces += found
    unclean = [trace.file for trace in traces] + [one.file for one in searched if one.how == "locked"]
    clean = not any(Path(path).is_relative_to(settings.library_dir(name)) for path in unclean)
    return Forgotten(name, len(passages), tuple(searched), tuple(traces), documents, clean)


def _read(file: Path, settings: Settings) -> tuple[list[str], tuple[str, ...]]:
    """The texts of a file and of the files in it, and their content hashes."""
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
        raise ReadError(f"{file.name!r} has no text", "Give words of it instead: --word.")
    return texts, tuple(dict.fromkeys(hashes))


def _own_passages(
    texts: Sequence[str], hashes: Sequence[str], settings: Settings, name: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A sample of the lines that no other document of the library holds; the documents that are the file itself."""
    stripped = (line.strip() for text in texts for line in text.splitlines())
    lines = list(dict.fromkeys(line[:_MAX_PASSAGE] for line in stripped if len(line) >= _MIN_PASSAGE))
    with closing(Library.open(settings.library_dir(name), name)) as library:
        there = library.documents()
        for document in (one for one in there if one.sha256 not in hashes):
            for page in library.pages(document.id, every_row=True):
                lines = [line for line in lines if line not in page.text]
    same = tuple(one.path for one in there if one.sha256 in hashes)
    return tuple(random.Random(0).sample(lines, min(_MAX_PASSAGES, len(lines)))), same


def _pattern(passages: Sequence[str]) -> re.Pattern[bytes]:
    """Passages as they may be in a file: plain, in JSON, and in UTF-16."""
    needles = {passage.encode("utf-16-le", "surrogatepass") for passage in passages}
    for passage in passages:
        forms = (passage, *(json.dumps(passage, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)))
        needles |= {form.encode("utf-8", "surrogatepass") for form in forms}
    return re.compile(b"|".join(re.escape(needle) for needle in sorted(needles, key=len, reverse=True)))


def _search(path: Path, pattern: re.Pattern[bytes]) -> tuple[Searched, list[Trace]]:
    name, size = str(path), path.stat().st_size
    # First as it is on the disk, encrypted or not: nothing may be in clear where it should not.
    with path.open("rb") as stream:
        traces = [Trace(name, found) for found in _in_stream(stream.read, pattern)]
    if unlocked.encrypted_folder(path) is None or path.name.endswith(_NEVER_ENCRYPTED):
        return Searched(name, size, "as bytes"), traces
    try:
        return Searched(name, size, "opened"), traces + list(_in_encrypted(path, name, pattern))
    except (LibraryError, sqlite3.DatabaseError):
        return Searched(name, size, "locked"), traces


def _in_encrypted(path: Path, name: str, pattern: re.Pattern[bytes]) -> Iterator[Trace]:
    if storage.is_database(path):
        yield from _in_database(path, name, pattern)
    elif path.suffix == storage.LINES_SUFFIX:
        for line in path.read_bytes().splitlines():
            yield from (Trace(name, found) for found in _hits(storage.decrypt_line(path, line), pattern))
    else:
        with storage.open_stream(path) as stream:
            yield from (Trace(name, found) for found in _in_stream(stream.read, pattern))


def _in_stream(read: Callable[[int], bytes], pattern: re.Pattern[bytes]) -> list[str]:
    found: list[str] = []
    left = b""
    while block := read(_BLOCK):
        found += _hits(left + block, pattern)
        left = block[-1000:]  # for passages across two blocks
    return list(dict.fromkeys(found))


def _hits(data: bytes, pattern: re.Pattern[bytes]) -> list[str]:
    return list(dict.fromkeys(hit.group().decode("utf-8", "replace")[:80] for hit in pattern.finditer(data)))


def _in_database(path: Path, name: str, pattern: re.Pattern[bytes]) -> list[Trace]:
    """Every value of an encrypted database. Its free pages and log cannot be searched, so there may be none."""
    found: list[str] = []
    with closing(storage.connect(path)) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
                    found += _hits(data, pattern) if isinstance(data, bytes) else []
        free = int(database.execute("PRAGMA freelist_count").fetchone()[0])
    log = path.with_name(path.name + "-wal")
    left = log.stat().st_size if log.exists() else 0
    traces = [Trace(name, words) for words in dict.fromkeys(found)]
    traces += [Trace(name, f"{free} free pages, which may hold it")] if free else []
    return traces + ([Trace(str(log), f"{left:,} bytes of log, which may hold it")] if left else [])
