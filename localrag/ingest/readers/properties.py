"""The properties of old Office documents (the stream "\\x05SummaryInformation"): title, author, when last saved.

Bounded by the stream's own size, whatever numbers stand in it; what is damaged is left out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from localrag.ingest.readers.cleaning import clean

STREAM = "\x05SummaryInformation"
_CODE_PAGE, _TITLE, _AUTHOR, _CREATED, _SAVED = 1, 2, 4, 12, 13
_ENCODINGS = {65001: "utf-8", 10000: "mac_roman", 1200: "utf-16-le"}


@dataclass(frozen=True, slots=True)
class Summary:
    """What a document says of itself; `date` is ISO 8601. Empty where it says nothing."""

    title: str = ""
    author: str = ""
    date: str = ""


def summary(data: bytes) -> Summary:
    found: dict[int, int] = {}
    try:
        (section,) = struct.unpack_from("<L", data, 44)
        (count,) = struct.unpack_from("<L", data, section + 4)
        for index in range(min(count, 100)):
            identity, offset = struct.unpack_from("<LL", data, section + 8 + 8 * index)
            found.setdefault(identity, section + offset)
    except struct.error:
        pass
    page = _number(data, found.get(_CODE_PAGE, len(data)))
    encoding = _ENCODINGS.get(page, f"cp{page}")
    title, author = (_text(data, found.get(key, len(data)), encoding) for key in (_TITLE, _AUTHOR))
    return Summary(title, author, _date(data, found.get(_SAVED)) or _date(data, found.get(_CREATED)))


def _number(data: bytes, at: int) -> int:
    try:
        return int(struct.unpack_from("<H", data, at + 4)[0])
    except struct.error:
        return 1252


def _text(data: bytes, at: int, encoding: str) -> str:
    try:
        kind, size = struct.unpack_from("<LL", data, at)
    except struct.error:
        return ""
    if kind not in (0x1E, 0x1F):
        return ""
    raw = data[at + 8 : at + 8 + size * (2 if kind == 0x1F else 1)]
    try:
        text = raw.decode("utf-16-le" if kind == 0x1F else encoding, "replace")
    except LookupError:
        text = raw.decode("cp1252", "replace")
    return " ".join(clean(text.partition("\0")[0]).split())[:200]


def _date(data: bytes, at: int | None) -> str:
    try:
        kind, ticks = struct.unpack_from("<LQ", data, len(data) if at is None else at)
        moment = datetime(1601, 1, 1, tzinfo=UTC) + timedelta(seconds=ticks // 10_000_000)
    except (struct.error, OverflowError):
        return ""
    return moment.isoformat(timespec="seconds") if kind == 0x40 and 1980 < moment.year < 2200 else ""
