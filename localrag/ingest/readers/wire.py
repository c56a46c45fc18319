"""What a reader process and its parent say to each other, on `localrag.protocol`.

A document is sent as Begin, one or more Pieces for each page, and End, so no message is large. The parent checks the
types, the ranges, the order and the total size of everything it receives, and treats anything else as `Malformed`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec

from localrag.ingest.readers.source import MAX_PIXELS, MAX_WIDTH, Options
from localrag.ingest.source_files import PageCopy, PagePicture, PageRequest
from localrag.protocol import Malformed, Message
from localrag.text import clean
from localrag.types import Page, Part, Reading, Refused, Remark, SkippedPage

MAX_RECORDS = 4_000_000  # pages, headings, anchors and words of one document; each takes the parent about 200 bytes
_PIECE_TEXT = 500_000  # characters
_PIECE_RECORDS = 10_000
_MAX_BOXES = 1000
_MAX_DEPTH = 40  # of lists and dictionaries in each other
_NAME = re.compile("/[^\ud800-\udfff]*")
_STRING = re.compile(r"\((?:[0-9a-f]{2})*")
_MAX_POINTS = 20_000  # of a page


class Setup(Message):
    """The first message to a reader process: its limits."""

    seconds: float
    memory: int
    options: Options


class Job(Message):
    """Read a file, or draw a page of it. On POSIX the open file follows on a socket; the path is only its name."""

    path: Path
    draw: PageRequest | None = None


class Beat(Message, tag="beat"):
    """A page of a scan is done, and the next will take as long again."""


class Done(Message, tag="done"):
    """The file is done; a process that is `leaving` takes no other."""

    leaving: bool


class Refusal(Message, tag="refused"):
    name: str
    reason: str


class Begin(Message, tag="part"):
    name: str
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    size: Annotated[int, msgspec.Meta(ge=0)]
    title: str
    author: str
    date: str


class Piece(Message, tag="page"):
    """A page, or where it `continues` more of the page before."""

    page: Page
    continues: bool


class End(Message, tag="end"):
    skipped: tuple[SkippedPage, ...]
    remarks: tuple[Remark, ...]


class Picture(Message, tag="picture"):
    picture: PagePicture


class Copied(Message, tag="copied"):
    copy: PageCopy


Reply = Beat | Done | Refusal | Begin | Piece | End | Picture | Copied


def cut_short(reason: str, after: str | None) -> str:
    """Add what a failure cost to its reason; `after` is the name of the last part that came, None if none came."""
    if after is None:
        return reason
    where = f'What is in it after "{after}"' if after else "What else is in it"
    return f"{reason} {where} was not read."


def count(part: Part) -> int:
    """Return how many records a part has."""
    return sum(map(_records, part.reading.pages)) + len(part.reading.skipped) + len(part.reading.remarks)


def _records(page: Page) -> int:
    return 1 + len(page.headings) + len(page.anchors) + len(page.words)


def messages(item: Part | Refused | PagePicture | PageCopy) -> Iterator[Reply]:
    if isinstance(item, PagePicture):
        yield Picture(item)
    elif isinstance(item, PageCopy):
        yield Copied(item)
    elif isinstance(item, Refused):
        yield Refusal(item.name, item.reason)
    else:
        reading = item.reading
        yield Begin(item.name, item.sha256, item.size, reading.title, reading.author, reading.date)
        for page in reading.pages:
            yield from _pieces(page)
        yield End(reading.skipped, reading.remarks)


def _pieces(page: Page) -> Iterator[Piece]:
    records = max(len(page.headings), len(page.anchors), len(page.words))
    number = max(1, -(-len(page.text) // _PIECE_TEXT), -(-records // _PIECE_RECORDS))
    for index in range(number):
        of_text = slice(index * _PIECE_TEXT, (index + 1) * _PIECE_TEXT)
        some = slice(index * _PIECE_RECORDS, (index + 1) * _PIECE_RECORDS)
        piece = replace(
            page,
            text=page.text[of_text],
            headings=page.headings[some],
            anchors=page.anchors[some],
            words=page.words[some],
        )
        yield Piece(piece, index > 0)


class Decoder:
    """Assembles the parts of one file, and holds the process to its limits."""

    def __init__(self, options: Options, size: int = 0) -> None:
        members, self._characters = options.within(size)
        # Each member may be read and, for what is inside it, refused; the rest is the file's own.
        self._items = 2 * members + 10
        self._begin: Begin | None = None  # of the part that is arriving
        self._pages: list[Page] = []
        self._pieces: list[Page] = []
        self._count = 0
        self._names: set[str] = set()

    def take(self, message: Reply) -> Part | Refused | PagePicture | PageCopy | Done | None:
        """Return what this message completes; raise Malformed if `messages` would not have made it."""
        item: Part | Refused | PagePicture | PageCopy | None = None
        match message:
            case Done():
                return message
            case Beat():
                return None
            case Refusal(name=name, reason=reason):
                self._begin = None  # it failed in the middle of a document
                item = Refused(clean(name), clean(reason))
            case Picture(picture=picture):
                _check_picture(picture)
                item = picture
            case Copied(copy=copy):
                _check_copy(copy)
                item = copy
            case Begin():
                self._begin, self._pages, self._pieces, self._count = message, [], [], 0
            case Piece() if self._begin is not None:
                self._add(message)
            case End() if self._begin is not None:
                item, self._begin = self._part(self._begin, message), None
                if item.name in self._names:
                    raise Malformed("two documents with one name")
                self._names.add(item.name)
            case _:
                raise Malformed("a message in the wrong place")
        if item is not None:
            self._items -= 1
            if self._items < 0:
                raise Malformed("more documents than requested")
        return item

    def _add(self, piece: Piece) -> None:
        self._characters -= len(piece.page.text)
        if self._characters < 0:
            raise Malformed("more text than requested")
        self._count_records(_records(piece.page))
        if piece.continues and not self._pieces:
            raise Malformed("a page that continues nothing")
        if not piece.continues:
            self._finish_page()
        self._pieces.append(piece.page)

    def _count_records(self, more: int) -> None:
        self._count += more
        if self._count > MAX_RECORDS:
            raise Malformed("more records than a document may have")

    def _part(self, begin: Begin, end: End) -> Part:
        self._finish_page()
        self._count_records(len(end.skipped) + len(end.remarks))
        reading = Reading(
            tuple(self._pages),
            clean(begin.title),
            tuple(SkippedPage(item.number, clean(item.reason)) for item in end.skipped),
            tuple(Remark(item.number, clean(item.text)) for item in end.remarks),
            clean(begin.author),
            clean(begin.date),
        )
        return Part(clean(begin.name), begin.sha256, begin.size, reading)

    def _finish_page(self) -> None:
        if not self._pieces:
            return
        first, pieces = self._pieces[0], self._pieces
        text = "".join(piece.text for piece in pieces)
        page = replace(
            first,
            text=text,
            label=None if first.label is None else clean(first.label),
            headings=tuple(replace(item, title=clean(item.title)) for piece in pieces for item in piece.headings),
            anchors=tuple(replace(item, name=clean(item.name)) for piece in pieces for item in piece.anchors),
            words=tuple(word for piece in pieces for word in piece.words),
        )
        if clean(text) != text:
            raise Malformed("text with control characters")
        starts = [heading.start for heading in page.headings] + [anchor.start for anchor in page.anchors]
        if not all(0 <= start <= len(text) for start in starts):
            raise Malformed("a location outside of its page")
        for word in page.words:
            if not (0 <= word.start <= word.end <= len(text) and _near(word.left, word.top, word.right, word.bottom)):
                raise Malformed("a word outside of its page")
        self._pages.append(page)
        self._pieces = []


def _near(*edges: float) -> bool:
    return all(-1 <= edge <= 2 for edge in edges)  # a word may reach a little beyond the edge of its page


def _check_picture(picture: PagePicture) -> None:
    width, height = picture.width, picture.height
    if not (0 < width <= MAX_WIDTH and height > 0 and width * height <= 2 * MAX_PIXELS):
        raise Malformed("a picture of an impossible size")
    if len(picture.rgb) != 3 * width * height:
        raise Malformed("a picture with too many or too few pixels")
    if len(picture.boxes) > _MAX_BOXES or not all(_near(*box) for box in picture.boxes):
        raise Malformed("boxes outside of the picture")


def _check_copy(copy: PageCopy) -> None:
    """Check what the parent relies on; whoever uses the objects takes only what draws (`drawn`)."""
    if not (1 <= copy.width <= _MAX_POINTS and 1 <= copy.height <= _MAX_POINTS and copy.objects):
        raise Malformed("a page of an impossible size")
    if not all(_near(*box) for boxes in copy.boxes for box in boxes) or sum(map(len, copy.boxes)) > _MAX_BOXES:
        raise Malformed("boxes outside of the page")
    for value, _ in copy.objects:
        _check_value(value, len(copy.objects))
    if not isinstance(copy.objects[0][0], dict) or not all(0 < number < len(copy.objects) for number in copy.hidden):
        raise Malformed("a page without what draws it")


def _check_value(value: Any, count: int, depth: int = 0) -> None:
    """Check a value of a `PdfObject`: texts are names, strings, or references to one of `count` objects."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, str):
        refers = re.fullmatch(r"#[0-9]{1,6}", value) and int(value[1:]) < count
        if not (refers or _NAME.fullmatch(value) or _STRING.fullmatch(value)):
            raise Malformed("a text that is no name, string or reference")
    elif isinstance(value, dict) and not all(_NAME.fullmatch(key) for key in value):
        raise Malformed("a key that is no name")
    if depth > _MAX_DEPTH:
        raise Malformed("values that are too deep")
    for one in inner:
        _check_value(one, count, depth + 1)
