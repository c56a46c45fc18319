"""What a reader process and its parent say to each other, on `localrag.protocol`.

A document is sent as Begin, one or more Pieces for each page, and End, so no message is large. The parent checks the
types, the ranges, the order and the total size of everything it receives, and treats anything else as `Malformed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec

from localrag.ingest.readers.cleaning import clean
from localrag.ingest.readers.source import MAX_PIXELS, MAX_WIDTH, Options, PagePicture, PageRequest
from localrag.protocol import Malformed
from localrag.types import Anchor, Heading, Page, Part, Reading, Refused, Remark, SkippedPage, Word

MAX_RECORDS = 4_000_000  # pages, headings, anchors and words of one document; each takes the parent about 200 bytes
_PIECE_TEXT = 500_000  # characters
_PIECE_RECORDS = 10_000
_MAX_BOXES = 1000


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    pass


class Setup(_Message):
    """The first message to a reader process: its limits."""

    seconds: float
    memory: int
    options: Options


class Job(_Message):
    """Read a file, or draw a page of it."""

    path: Path
    draw: PageRequest | None = None


class Beat(_Message, tag="beat"):
    """A page of a scan is done, and the next will take as long again."""


class Done(_Message, tag="done"):
    """The file is done; a process that is `leaving` takes no other."""

    leaving: bool


class Refusal(_Message, tag="refused"):
    name: str
    reason: str


class Begin(_Message, tag="part"):
    name: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, msgspec.Meta(ge=0)]
    title: str
    author: str
    date: str


class Piece(_Message, tag="page"):
    """A page, or where it `continues` more of the page before."""

    page: Page
    continues: bool


class End(_Message, tag="end"):
    skipped: tuple[SkippedPage, ...]
    remarks: tuple[Remark, ...]


class Picture(_Message, tag="picture"):
    picture: PagePicture


Reply = Beat | Done | Refusal | Begin | Piece | End | Picture


def cut_short(reason: str, after: str | None) -> str:
    """Add what a failure cost to its reason; `after` is the name of the last part that came, None if none came."""
    if after is None:
        return reason
    where = f'What is in it after "{after}"' if after else "What else is in it"
    return f"{reason} {where} was not read."


def count(part: Part) -> int:
    """Return how many records a part has."""
    pages = part.reading.pages
    records = sum(1 + len(page.headings) + len(page.anchors) + len(page.words) for page in pages)
    return records + len(part.reading.skipped) + len(part.reading.remarks)


# --- sending -------------------------------------------------------------------------------------------------


def messages(item: Part | Refused | PagePicture) -> Iterator[Reply]:
    if isinstance(item, PagePicture):
        yield Picture(item)
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
            page, text=page.text[of_text], headings=page.headings[some], anchors=page.anchors[some],
            words=page.words[some],
        )  # fmt: skip
        yield Piece(piece, index > 0)


# --- receiving -----------------------------------------------------------------------------------------------


class Decoder:
    """Assembles the parts of one file, and holds the process to its limits."""

    def __init__(self, options: Options) -> None:
        self._characters = options.characters
        # Each member may be read and, for what is inside it, refused; the rest is the file's own.
        self._items = 2 * options.members + 10
        self._draft: _Draft | None = None

    def take(self, message: Reply) -> Part | Refused | PagePicture | Done | None:
        """Return what this message completes.

        Raises:
            Malformed: `messages` would not have made it.
        """
        item: Part | Refused | PagePicture | None = None
        match message:
            case Beat():
                return None
            case Done():
                return message
            case Refusal(name=name, reason=reason):
                self._draft = None  # it failed in the middle of a document
                item = Refused(clean(name), clean(reason))
            case Picture(picture=picture):
                item = _checked_picture(picture)
            case Begin():
                self._draft = _Draft(message)
            case Piece(page=page, continues=continues) if self._draft is not None:
                self._characters -= len(page.text)
                if self._characters < 0:
                    raise Malformed("more text than requested")
                self._draft.add(page, continues)
            case End(skipped=skipped, remarks=remarks) if self._draft is not None:
                item, self._draft = self._draft.part(skipped, remarks), None
            case _:
                raise Malformed("a message in the wrong place")
        if item is not None:
            self._items -= 1
            if self._items < 0:
                raise Malformed("more documents than requested")
        return item


class _Draft:
    """A part that is still arriving."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._pages: list[Page] = []
        self._pieces: list[Page] = []
        self._records = 0

    def add(self, page: Page, continues: bool) -> None:
        self._records += 1 + len(page.headings) + len(page.anchors) + len(page.words)
        if self._records > MAX_RECORDS:
            raise Malformed("more records than a document may have")
        if continues and not self._pieces:
            raise Malformed("a page that continues nothing")
        if not continues:
            self._finish_page()
        self._pieces.append(page)

    def part(self, skipped: tuple[SkippedPage, ...], remarks: tuple[Remark, ...]) -> Part:
        self._finish_page()
        if self._records + len(skipped) + len(remarks) > MAX_RECORDS:
            raise Malformed("more records than a document may have")
        begin = self._begin
        reading = Reading(
            tuple(self._pages),
            clean(begin.title),
            tuple(SkippedPage(item.number, clean(item.reason)) for item in skipped),
            tuple(Remark(item.number, clean(item.text)) for item in remarks),
            clean(begin.author),
            clean(begin.date),
        )
        return Part(clean(begin.name), begin.sha256, begin.size, reading)

    def _finish_page(self) -> None:
        if not self._pieces:
            return
        first, pieces = self._pieces[0], self._pieces
        text = "".join(piece.text for piece in pieces)
        page = Page(
            text,
            first.number,
            None if first.label is None else clean(first.label),
            tuple(Heading(item.start, item.level, clean(item.title)) for piece in pieces for item in piece.headings),
            first.unit,
            tuple(Anchor(item.start, clean(item.name)) for piece in pieces for item in piece.anchors),
            tuple(word for piece in pieces for word in piece.words),
        )
        if clean(text) != text:
            raise Malformed("text with control characters")
        starts = [heading.start for heading in page.headings] + [anchor.start for anchor in page.anchors]
        if not all(0 <= start <= len(text) for start in starts):
            raise Malformed("a location outside of its page")
        if not all(0 <= word.start <= word.end <= len(text) and _near_page(word) for word in page.words):
            raise Malformed("a word outside of its page")
        self._pages.append(page)
        self._pieces = []


def _near_page(word: Word) -> bool:
    # A word may reach a little beyond the edge.
    return all(-1 <= value <= 2 for value in (word.left, word.top, word.right, word.bottom))


def _checked_picture(picture: PagePicture) -> PagePicture:
    width, height = picture.width, picture.height
    if not (0 < width <= MAX_WIDTH and height > 0 and width * height <= 2 * MAX_PIXELS):
        raise Malformed("a picture of an impossible size")
    if len(picture.rgb) != 3 * width * height:
        raise Malformed("a picture with too many or too few pixels")
    if len(picture.boxes) > _MAX_BOXES or not all(-1 <= value <= 2 for box in picture.boxes for value in box):
        raise Malformed("boxes outside of the picture")
    return picture
