"""Which module reads which suffix, and the checks that every file passes.

`read_parts` checks the file (missing, empty, a device, no permission), calls its reader, checks the result (text,
title, offsets), and then reads what is inside it (attachments, members of archives) in the same way. A file has the
type that its suffix says, or is refused; the type is not guessed from content.

The module of a format has `read(source, options)`, which returns a `Reading`, and `members(source, options, budget)`,
which yields each `Member`, or one of them. Both raise ReadError.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import cast

from localrag.errors import ReadError
from localrag.ingest.readers.source import (
    SUFFIXES,
    Budget,
    Member,
    Options,
    OverBudget,
    Source,
    open_file,
    reads,
    unreadable,
)
from localrag.text import clean, clean_title, one_line
from localrag.types import Page, Part, Reading, Refused

# Files that were read under a lower number are read again.
VERSION = 6


def read_parts(document: Path | Source, options: Options | None = None) -> Iterator[Part | Refused]:
    """Read one file and what is inside it, in this process."""
    options = options or Options()
    try:
        source = _source(document)
        yield from _parts(source, "", options, Budget(options, source.size), options.depth)
    except (ReadError, OSError) as error:
        yield _refusal("", error)


def source_of(document: Path | Source, name: str, options: Options) -> Source:
    """Return a document by the name of its `Part`: the file itself, or something inside it; else raise ReadError."""
    source = _source(document)
    return _inside(source, name, options, Budget(options, source.size)) if name else source


def _source(document: Path | Source) -> Source:
    if isinstance(document, Path):
        os.close(open_file(document))  # raises where it cannot be read
        return Source.of(document)
    return document


def _inside(source: Source, name: str, options: Options, budget: Budget) -> Source:
    reader = _reader_of(source)
    member: Member
    for member in reader.members(source, options, budget) if hasattr(reader, "members") else ():
        if member.source is not None and name == member.name:
            return member.source
        if member.source is not None and name.startswith(f"{member.name}/"):
            with contextlib.suppress(ReadError):  # another member's name may begin the same
                return _inside(member.source, name[len(member.name) + 1 :], options, budget)
    raise ReadError(f"no longer has {name!r} inside", "It has changed since it was read. Ingest again.")


def _parts(source: Source, name: str, options: Options, budget: Budget, depth: int) -> Iterator[Part | Refused]:
    if name in budget.names:
        yield Refused(name, "is inside twice; the first one is read. Unpack it to see both.")
        return
    budget.names.add(name)
    reader = _reader_of(source)
    own: Part | Refused | None = None
    if hasattr(reader, "read"):
        try:
            own = Part(name, sha256_of(source), source.size, _read(reader, source, options))
        except (OverBudget, MemoryError):
            raise
        except Exception as error:
            own = _refusal(name, error)
        yield own
    if not hasattr(reader, "members"):
        return
    found = False
    try:
        for member in reader.members(source, options, budget):
            found = True
            path = f"{name}/{member.name}" if name else member.name
            yield from _member(member, path, options, budget, depth)
    except (OverBudget, MemoryError):
        raise
    except Exception as error:
        if (refused := _refusal(name, error)) != own:
            yield refused
    else:
        if own is None and not found:
            yield Refused(name, "holds no files. If it should, copy it again from its source.")


def _member(member: Member, name: str, options: Options, budget: Budget, depth: int) -> Iterator[Part | Refused]:
    if member.refused is None and not reads(Path(member.name)):
        yield _refused(name, _not_read(member.name))
        return
    budget.take_member()
    if member.refused is not None:
        yield _refused(name, member.refused)
    elif depth <= 0:
        yield Refused(name, "is too deep inside other files. Unpack the outer file and ingest the folder.")
    elif member.source is not None and member.source.size:
        yield from _parts(member.source, name, options, budget, depth - 1)
    else:
        empty = ReadError("is empty (0 bytes)", "If it should not be, copy it again from its source.")
        yield _refused(name, empty)


def _reader_of(source: Source) -> ModuleType:
    if (module := SUFFIXES.get(source.suffix)) is None:
        raise _not_read(source.name)
    return importlib.import_module(module)


def _not_read(name: str) -> ReadError:
    what = f"has a type that is not read: {PurePosixPath(name).suffix.lower()!r}"
    return ReadError(what, "See `localrag ingest --help` for the types.")


def _read(reader: ModuleType, source: Source, options: Options) -> Reading:
    reading: Reading = reader.read(source, options)
    if not any(page.text.strip() for page in reading.pages):
        raise ReadError("has no text", "Open it to see whether it has only pictures or blank pages.")
    if (characters := sum(len(page.text) for page in reading.pages)) > options.characters:
        raise ReadError(f"has {characters:,} characters, more than may be read", "Split it into smaller files.")
    return replace(
        reading,
        pages=tuple(_checked(page) for page in reading.pages),
        title=clean_title(reading.title) or clean_title(source.stem) or source.stem,
        author=one_line(reading.author),
    )


def sha256_of(source: Source) -> str:
    """Return the hash that identifies a document."""
    with source.open() as stream:
        return hashlib.file_digest(cast(io.BufferedReader, stream), "sha256").hexdigest()


def _refusal(name: str, error: Exception) -> Refused:
    """Return why a file or member failed; a bad attachment costs neither its mail nor the others."""
    if isinstance(error, OSError):
        error = unreadable(error)
    if isinstance(error, ReadError):
        return _refused(name, error)
    if not name:
        raise error
    what = clean(" ".join(f"{type(error).__name__}: {error}".split())[:200])
    reason = f"is damaged, or of a kind that is not understood ({what})"
    return _refused(name, ReadError(reason, "Open it in its own program and save it again."))


def _refused(name: str, error: ReadError) -> Refused:
    return Refused(name, f"{error.message}. {error.hint}".strip(". ") + ".")


def _checked(page: Page) -> Page:
    if clean(page.text) != page.text:
        raise AssertionError("a reader made offsets in text that is not clean")
    size = len(page.text)
    return replace(
        page,
        label=one_line(page.label or "") or None,
        headings=tuple(sorted((item for item in page.headings if 0 <= item.start < size), key=lambda item: item.start)),
        anchors=tuple(item for item in page.anchors if 0 <= item.start <= size),
        words=tuple(item for item in page.words if 0 <= item.start <= item.end <= size),
    )
