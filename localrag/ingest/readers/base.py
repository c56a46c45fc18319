"""Which suffix is read by which module, and what every file goes through on its way in.

`read_parts` is the way in: it looks at the file first (missing, empty, a device, no right to read), hands it to its
reader, sees to it that there is text, a title, and nothing that a database or a screen would choke on, and then reads
what is inside it (attachments, members of archives) in the same way. What it does not do: guess a format from content.
A file is what its suffix says, or refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Protocol, cast

from localrag.errors import ReadError
from localrag.ingest.readers.cleaning import clean, clean_title
from localrag.ingest.readers.source import Budget, Member, Options, OverBudget, Source
from localrag.types import Page, Part, Reading, Refused, SkippedPage


class Reader(Protocol):
    """A module that reads a family of formats; it finds a readable, non-empty source.

    One whose files hold other files has `members` as well, and one whose files hold nothing else (archives) has only
    that.
    """

    def read(self, source: Source, options: Options) -> Reading:
        """The text of one document.

        Raises:
            ReadError: there is none to be had, and why.
        """
        ...

    def members(self, source: Source, options: Options, budget: Budget) -> Iterator[Member]:
        """What is inside, one by one; a member that cannot be had is one Member with its reason."""
        ...


# Another number here means that files read under an older one are read again.
VERSION = 4

# Modules by name, so that a worker loads only the libraries of the formats it meets.
_MODULES = {
    "archives": ".zip .tar .tgz .gz .tbz .tbz2 .txz .bz2 .xz",
    "data": ".json .jsonl .ndjson .xml",
    "ebooks": ".epub",
    "images": ".png .jpg .jpeg .jp2 .j2k .tif .tiff .webp .gif .bmp .heic .heif",
    "legacy": ".doc .dot .ppt .pps .pot .rtf",
    "mail": ".eml",
    "mailbox": ".mbox",
    "word": ".docm .docx .dotm .dotx",
    "opendocument": ".fodp .fodt .odp .odt .ott .otp",
    "outlook": ".msg",
    "pdf": ".pdf",
    "sheets": ".csv .fods .ods .ots .xls .xlsb .xlsm .xlsx .xltx .xltm .tsv",
    "slides": ".potm .potx .pptm .pptx .ppsx .ppsm",
    "text": ".text .txt .log .md .markdown .rst .org .yaml .yml "
    ".py .js .ts .java .c .h .cpp .hpp .cs .go .rs .rb .php .sh .bat .ps1 .sql .r .tex .toml .ini .cfg .conf",
    "times": ".ics .srt .vtt",
    "web": ".htm .html .mht .mhtml .xhtml",
}
SUFFIXES: Mapping[str, str] = MappingProxyType(
    {
        suffix: f"localrag.ingest.readers.{module}"
        for module, suffixes in _MODULES.items()
        for suffix in suffixes.split()
    }
)


def reads(path: Path) -> bool:
    """Whether there is a reader for files named like this one."""
    return path.suffix.lower() in SUFFIXES


def helpers() -> dict[str, str | None]:
    """The programs that readers use where they are installed, and where they are."""
    from localrag.ingest.readers import conversion

    return {"LibreOffice": conversion.program(), "Tesseract": shutil.which("tesseract")}


def read_file(path: Path, options: Options | None = None) -> Reading:
    """Read one file in this process, without what is inside it.

    Raises:
        ReadError: the file cannot be read, and why.
    """
    _look_at(path)
    return _read(Source.of(path), options or Options())


def read_parts(path: Path, options: Options | None = None) -> Iterator[Part | Refused]:
    """Read one file and what is inside it, in this process, document by document."""
    options = options or Options()
    try:
        _look_at(path)
    except ReadError as error:
        yield _refused("", error)
        return
    budget = Budget(options)
    try:
        yield from _parts(Source.of(path), "", options, budget, options.depth)
    except OverBudget as error:
        yield _refused("", error)


def source_of(path: Path, name: str, options: Options) -> Source:
    """A document by the name that its `Part` has: the file itself, or what is inside it.

    Raises:
        ReadError: it is not there, or cannot be had.
    """
    _look_at(path)
    return _inside(Source.of(path), name, options, Budget(options)) if name else Source.of(path)


def _inside(source: Source, name: str, options: Options, budget: Budget) -> Source:
    reader = _reader_of(source)
    if hasattr(reader, "members"):
        for member in reader.members(source, options, budget):
            if member.source is None or not (name == member.name or name.startswith(f"{member.name}/")):
                continue
            if name == member.name:
                return member.source
            with contextlib.suppress(ReadError):  # another member may begin with the same words
                return _inside(member.source, name[len(member.name) + 1 :], options, budget)
    raise ReadError(f"has no {name!r} inside any more", "It has changed since it was read. Ingest again.")


def _parts(source: Source, name: str, options: Options, budget: Budget, depth: int) -> Iterator[Part | Refused]:
    try:
        reader = _reader_of(source)
    except ReadError as error:
        yield _refused(name, error)
        return
    said: Part | Refused | None = None
    if hasattr(reader, "read"):
        try:
            said = _part(source, name, options)
        except (OverBudget, MemoryError):
            raise
        except Exception as error:
            said = _refusal(name, error)
        yield said
    if not hasattr(reader, "members"):
        return
    try:
        for member in reader.members(source, options, budget):
            path = f"{name}/{member.name}" if name else member.name
            for said in _member(member, path, options, budget, depth):
                yield said
    except (OverBudget, MemoryError):
        raise
    except Exception as error:
        if (refused := _refusal(name, error)) != said:
            yield refused
    else:
        if said is None:
            yield Refused(name, "holds no files. If it should, copy it again from where it came from.")


def _part(source: Source, name: str, options: Options) -> Part:
    reading = _read(source, options)
    if (characters := sum(len(page.text) for page in reading.pages)) > options.characters:
        raise ReadError(f"has {characters:,} characters, more than may be read", "Split it into smaller files.")
    return Part(name, sha256_of(source), source.size, reading)


def _member(member: Member, name: str, options: Options, budget: Budget, depth: int) -> Iterator[Part | Refused]:
    if member.refused is None and not reads(Path(member.name)):
        yield _refused(name, _not_read(member.name))
        return
    budget.take_member()
    if member.refused is not None:
        yield _refused(name, member.refused)
    elif depth <= 0:
        yield Refused(name, "lies too deep inside other files. Unpack the outer file and ingest the folder.")
    elif member.source is not None and member.source.size:
        yield from _parts(member.source, name, options, budget, depth - 1)
    else:
        yield _refused(name, _empty())


def _reader_of(source: Source) -> Reader:
    module = SUFFIXES.get(source.suffix)
    if module is None:
        raise _not_read(source.name)
    return cast(Reader, importlib.import_module(module))


def _read(source: Source, options: Options) -> Reading:
    reader = _reader_of(source)
    if not hasattr(reader, "read"):
        raise ReadError("is an archive: it has no text of its own", "What is inside it is read.")
    try:
        reading = reader.read(source, options)
    except OSError as error:
        raise _unreadable(error) from error
    if not any(page.text.strip() for page in reading.pages):
        raise ReadError("has no text", "Open it to see whether it holds only pictures or blank pages.")
    return replace(
        reading,
        pages=tuple(_checked(page) for page in reading.pages),
        title=clean_title(reading.title) or clean_title(source.stem) or source.stem,
    )


def sha256_of(source: Source) -> str:
    """The hash by which a document is known again."""
    digest = hashlib.sha256()
    with source.open() as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _refusal(name: str, error: Exception) -> Refused:
    """What became of a file or member that failed; a fault in one attachment costs neither its mail nor the others."""
    if isinstance(error, ReadError):
        return _refused(name, error)
    if isinstance(error, OSError):
        return _refused(name, _unreadable(error))
    if not name:
        raise error
    what = clean(" ".join(f"{type(error).__name__}: {error}".split())[:200])
    reason = f"is damaged, or of a kind that is not understood ({what})"
    return _refused(name, ReadError(reason, "Open it in its own program and save it anew."))


def _refused(name: str, error: ReadError) -> Refused:
    return Refused(name, f"{error.message}. {error.hint}".strip(". ") + ".")


def _empty() -> ReadError:
    return ReadError("is empty (0 bytes)", "If it should not be, copy it again from where it came from.")


def _not_read(name: str) -> ReadError:
    return ReadError(
        f"is of a type that is not read: {PurePosixPath(name).suffix.lower()!r}",
        "See `localrag ingest --help` for the types.",
    )


def _look_at(path: Path) -> None:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ReadError("is not a regular file", "Folders, devices and pipes are not read.")
        if status.st_size == 0:
            raise _empty()
        with path.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        raise _unreadable(error) from error


def _unreadable(error: OSError) -> ReadError:
    if isinstance(error, FileNotFoundError):
        return ReadError("is not there any more", "It was moved or deleted meanwhile. Ingest again.")
    if isinstance(error, PermissionError):
        return ReadError("may not be read: permission denied", "Change its rights, or run as its owner.")
    return ReadError(f"cannot be read: {error.strerror or error}", "Check the disk or the network share it is on.")


def _checked(page: Page) -> Page:
    if clean(page.text) != page.text:
        raise AssertionError("a reader made offsets into text that is not clean")
    size = len(page.text)
    return replace(
        page,
        label=" ".join(clean(page.label or "").split())[:200] or None,
        headings=tuple(sorted((item for item in page.headings if 0 <= item.start < size), key=lambda item: item.start)),
        anchors=tuple(item for item in page.anchors if 0 <= item.start <= size),
        words=tuple(item for item in page.words if 0 <= item.start <= item.end <= size),
    )


def blank(number: int, reason: str) -> tuple[Page, SkippedPage]:
    """A page without text: it keeps its place, so that the numbers of those behind it hold."""
    return Page("", number), SkippedPage(number, reason)
