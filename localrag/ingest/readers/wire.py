"""What travels between a reader process and its parent: length-prefixed JSON, no pickle.

A document crosses as a run of small records ("part", "page", "text", "word", ... "end"), many to a message, so that no
message is large however large the document is. The parent trusts nothing that it receives: the size of a message, the
kinds, types and ranges of its records, and how much one file may give are all checked, and a process that sends
anything else is `Malformed`. A subverted process can send wrong text, not code, and not more than about 1 GB at once.
"""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import IO, Any, TypeVar, cast, get_args

from localrag.ingest.readers.cleaning import clean
from localrag.ingest.readers.source import MOST_PIXELS, MOST_WIDE, Options, Pictured, Wanted
from localrag.types import Anchor, Heading, Page, Part, Reading, Refused, Remark, SkippedPage, Unit, Word

# Parsed JSON takes up to 25 times its size (empty lists), so this also bounds what a hostile message costs.
_MESSAGE = 16 << 20
_PIECE = 1 << 20
# Pages, headings, anchors and words of one document; each takes the parent about 200 bytes.
RECORDS = 4_000_000
_LENGTH = struct.Struct(">I")
_SHA256 = re.compile("[0-9a-f]{64}")
_UNITS = frozenset(get_args(Unit))

Record = list[Any]
_Counted = TypeVar("_Counted", Part, Refused, Pictured)


class Malformed(ValueError):
    """The other side sent what it never should."""


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more comes of this file; a process that is `leaving` takes no other."""

    leaving: bool


def send(stream: IO[bytes], message: Any) -> None:
    # File names may hold halves of characters (undecodable bytes); they must come back as they went.
    data = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    if len(data) > _MESSAGE:
        raise ValueError(f"a message of {len(data):,} bytes")
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """The next message, or None where the other side is gone.

    Raises:
        Malformed: what came is no message.
    """
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    if size > _MESSAGE:
        raise Malformed(f"a message of {size:,} bytes")
    data = stream.read(size)
    if len(data) < size:
        return None
    try:
        return json.loads(data.decode("utf-8", "surrogatepass"), parse_int=_whole, parse_constant=_whole)
    except (ValueError, RecursionError) as error:
        raise Malformed(str(error)) from error


def _whole(digits: str) -> int:
    if len(digits) > 18 or digits.endswith(("NaN", "Infinity")):  # SQLite holds 64 bits
        raise Malformed(digits[:30])
    return int(digits)


def setup_of(seconds: float, memory: int, options: Options) -> dict[str, Any]:
    return {"seconds": seconds, "memory": memory, "options": asdict(options)}


def options_of(setup: dict[str, Any]) -> Options:
    given = setup["options"].items()
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given}
    return Options(**values)


def wanted_of(asked: dict[str, Any]) -> Wanted:
    values: dict[str, Any] = {
        name: tuple(map(tuple, value)) if isinstance(value, list) else value for name, value in asked.items()
    }
    return Wanted(**values)


def cut_short(reason: str, after: str | None) -> str:
    """The reason, and what it cost; `after` is the name of what came last, None where nothing had come."""
    if after is None:
        return reason
    where = f'What is in it after "{after}"' if after else "What else is in it"
    return f"{reason} {where} was not read."


# --- out -----------------------------------------------------------------------------------------------------


def messages(item: Part | Refused | Pictured | Done) -> Iterator[list[Record]]:
    batch: list[Record] = []
    size = 0
    for record in _records(item):
        batch.append(record)
        size += 32 + sum(len(value) for value in record if isinstance(value, str))
        if size >= _PIECE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _records(item: Part | Refused | Pictured | Done) -> Iterator[Record]:
    if isinstance(item, Done):
        yield ["done", item.leaving]
    elif isinstance(item, Pictured):
        yield ["picture", item.width, item.height, [list(box) for box in item.boxes]]
        data = base64.b64encode(zlib.compress(item.rgb, 6)).decode("ascii")
        yield from (["pixels", data[start : start + _PIECE]] for start in range(0, len(data), _PIECE))
        yield ["drawn"]
    elif isinstance(item, Refused):
        yield ["refused", item.name, item.reason]
    else:
        reading = item.reading
        yield ["part", item.name, item.sha256, item.size, reading.title, reading.author, reading.date]
        for page in reading.pages:
            yield from _page(page)
        yield from (["skipped", skipped.number, skipped.reason] for skipped in reading.skipped)
        yield from (["remark", remark.number, remark.text] for remark in reading.remarks)
        yield ["end"]


def _page(page: Page) -> Iterator[Record]:
    yield ["page", page.number, page.label, page.unit]
    for start in range(0, len(page.text), _PIECE):
        yield ["text", page.text[start : start + _PIECE]]
    yield from (["heading", item.start, item.level, item.title] for item in page.headings)
    yield from (["anchor", item.start, item.name] for item in page.anchors)
    for item in page.words:
        yield ["word", item.start, item.end, item.left, item.top, item.right, item.bottom]


def count(part: Part) -> int:
    """How many records lie between a part's first and last one."""
    reading = part.reading
    return (
        len(reading.skipped)
        + len(reading.remarks)
        + sum(
            1 + -(-len(page.text) // _PIECE) + len(page.headings) + len(page.anchors) + len(page.words)
            for page in reading.pages
        )
    )


# --- in ------------------------------------------------------------------------------------------------------


class Decoder:
    """Puts together what one file gives, and holds the process to the limits that it was given."""

    def __init__(self, options: Options) -> None:
        self._characters = options.characters
        # Each member may be read and, for what is inside it, refused; the rest is the file's own.
        self._items = 2 * options.members + 10
        self._draft: _Draft | None = None
        self._canvas: _Canvas | None = None

    def take(self, message: Any) -> Iterator[Part | Refused | Pictured | Done]:
        """What is complete with this message.

        Raises:
            Malformed: it is not what `messages` makes.
        """
        if not isinstance(message, list):
            raise Malformed("no records")
        for record in message:
            match record:
                case ["done", bool(leaving)]:
                    yield Done(leaving)
                case ["refused", str(name), str(reason)]:
                    self._draft = None  # what was under way when it went wrong
                    yield self._counted(Refused(clean(name), clean(reason)))
                case ["part", str(name), str(digest), int(size), str(title), str(author), str(date)]:
                    if not _SHA256.fullmatch(digest) or size < 0:
                        raise Malformed("part")
                    self._draft = _Draft((clean(name), digest, size), (clean(title), clean(author), clean(date)))
                case ["end"] if self._draft is not None:
                    part, self._draft = self._draft.part(), None
                    yield self._counted(part)
                case ["picture", int(width), int(height), list(boxes)]:
                    self._canvas = _Canvas(width, height, boxes)
                case ["pixels", str(data)] if self._canvas is not None:
                    self._canvas.take(data)
                case ["drawn"] if self._canvas is not None:
                    pictured, self._canvas = self._canvas.pictured(), None
                    yield self._counted(pictured)
                case _ if self._draft is not None:
                    self._characters -= self._draft.take(record)
                    if self._characters < 0:
                        raise Malformed("more text than was asked for")
                case _:
                    raise Malformed("a record in the wrong place")

    def _counted(self, item: _Counted) -> _Counted:
        self._items -= 1
        if self._items < 0:
            raise Malformed("more documents than were asked for")
        return item


class _Canvas:
    """A picture that is still coming in; what is unpacked is never more than its size says."""

    def __init__(self, width: int, height: int, boxes: list[Any]) -> None:
        if not (0 < width <= MOST_WIDE and height > 0 and width * height <= 2 * MOST_PIXELS):
            raise Malformed("a picture of that size")
        if len(boxes) > 1000 or not all(
            isinstance(box, list) and len(box) == 4 and all(map(_fraction, box)) for box in boxes
        ):
            raise Malformed("boxes that are none")
        self._size = width, height
        self._boxes = tuple((float(box[0]), float(box[1]), float(box[2]), float(box[3])) for box in boxes)
        self._unpacking = zlib.decompressobj()
        self._rgb = bytearray()

    def take(self, data: str) -> None:
        left = 3 * self._size[0] * self._size[1] - len(self._rgb)
        try:
            self._rgb += self._unpacking.decompress(base64.b64decode(data, validate=True), left + 1)
        except (ValueError, zlib.error) as error:
            raise Malformed("pixels") from error
        if len(self._rgb) > 3 * self._size[0] * self._size[1]:
            raise Malformed("more pixels than there may be")

    def pictured(self) -> Pictured:
        if len(self._rgb) != 3 * self._size[0] * self._size[1]:
            raise Malformed("fewer pixels than there are")
        return Pictured(*self._size, bytes(self._rgb), self._boxes)


class _Draft:
    """A part that is still coming in."""

    def __init__(self, file: tuple[str, str, int], about: tuple[str, str, str]) -> None:
        self._file, self._about = file, about
        self._pages: list[Page] = []
        self._skipped: list[SkippedPage] = []
        self._remarks: list[Remark] = []
        self._records = 0
        self._page: tuple[int | None, str | None, Unit] | None = None
        self._begin()

    def _begin(self) -> None:
        self._texts: list[str] = []
        self._headings: list[Heading] = []
        self._anchors: list[Anchor] = []
        self._words: list[Word] = []

    def take(self, record: Any) -> int:
        """Add a record; returns how many characters of text it brought."""
        self._records += 1
        if self._records > RECORDS:
            raise Malformed("more records than a document may have")
        match record:
            case ["word", int(start), int(end), *box] if len(box) == 4 and all(map(_fraction, box)):
                self._words.append(Word(start, end, *box))
            case ["text", str(text)]:
                self._texts.append(text)
                return len(text)
            case ["anchor", int(start), str(name)]:
                self._anchors.append(Anchor(start, clean(name)))
            case ["heading", int(start), int(level), str(title)]:
                self._headings.append(Heading(start, level, clean(title)))
            case ["page", int() | None as number, str() | None as label, str(unit)] if unit in _UNITS:
                self._finish_page()
                self._page = (number, None if label is None else clean(label), cast(Unit, unit))
            case ["skipped", int(number), str(reason)]:
                self._skipped.append(SkippedPage(number, clean(reason)))
            case ["remark", int() | None as number, str(text)]:
                self._remarks.append(Remark(number, clean(text)))
            case _:
                raise Malformed("an unknown record")
        return 0

    def part(self) -> Part:
        self._finish_page()
        title, author, date = self._about
        pages, skipped, remarks = tuple(self._pages), tuple(self._skipped), tuple(self._remarks)
        return Part(*self._file, Reading(pages, title, skipped, remarks, author, date))

    def _finish_page(self) -> None:
        if self._page is None:
            if self._texts or self._headings or self._anchors or self._words:
                raise Malformed("text before its page")
            return
        number, label, unit = self._page
        text = "".join(self._texts)
        size = len(text)
        if clean(text) != text:
            raise Malformed("text with control characters")
        places = [item.start for item in self._headings] + [item.start for item in self._anchors]
        if not all(0 <= start <= size for start in places):
            raise Malformed("a place outside of its page")
        if not all(0 <= word.start <= word.end <= size for word in self._words):
            raise Malformed("a word outside of its page")
        headings, anchors, words = tuple(self._headings), tuple(self._anchors), tuple(self._words)
        self._pages.append(Page(text, number, label, headings, unit, anchors, words))
        self._begin()


def _fraction(value: Any) -> bool:
    # A little beyond the page's edge happens; what is far out, or no number, is not a place on it.
    return isinstance(value, (int, float)) and -1 <= value <= 2
