"""A mail, whatever file it came in, and what becomes of it: one Page of headers and body.

Plain text is preferred; HTML is turned into text where there is nothing else, or where the plain part only says that
there is HTML. What was quoted or forwarded inside the body stays.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace

from localrag.errors import ReadError
from localrag.ingest.readers import text as plain_text
from localrag.ingest.readers.cleaning import clean
from localrag.types import Heading, Page, Reading, Remark

_STUB = 300  # characters; a plain part shorter than this may only point at the HTML
_GAP = re.compile(r"\n(?:[ \t]*\n){3,}")
_TINY = 10_000  # bytes; pictures below are logos, lines and faces

# What mailers call an encoding that Python knows by another name, or that a superset reads better.
_CODECS = {
    "ansi": "cp1252",
    "ascii": "utf-8",
    "euc-kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso-8859-1": "cp1252",
    "iso-8859-8-i": "iso-8859-8",
    "ks_c_5601-1987": "cp949",
    "latin1": "cp1252",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "unicode-1-1-utf-7": "utf-7",
    "us-ascii": "utf-8",
    "utf8mb4": "utf-8",
    "x-gbk": "gb18030",
    "x-mac-roman": "mac-roman",
    "x-sjis": "cp932",
}


@dataclass(frozen=True, slots=True)
class Letter:
    """Headers as a person reads them; `bodies` are pairs of plain text and HTML that say the same."""

    sender: str = ""  # "Jane Doe <jane@example.org>"
    author: str = ""  # "Jane Doe", or the address
    to: str = ""
    cc: str = ""
    bcc: str = ""
    sent: str = ""  # as written
    date: str = ""  # ISO 8601
    subject: str = ""
    bodies: tuple[tuple[str, str], ...] = ()
    lost: int = 0  # characters that could not be decoded


def reading(letter: Letter) -> Reading:
    block = (
        ("From", letter.sender), ("To", letter.to), ("Cc", letter.cc), ("Bcc", letter.bcc),
        ("Date", letter.sent), ("Subject", letter.subject),
    )  # fmt: skip
    lines = (f"{name}: {' '.join(value.split())}" for name, value in block if value.strip())
    pieces = [clean("\n".join(lines))]
    headings: list[Heading] = []
    remarks: list[Remark] = []
    for plain, html in letter.bodies:
        body, inside, said = _body(plain, html)
        start = len("\n\n".join(filter(None, pieces))) + 2 if any(pieces) else 0
        headings += (replace(item, start=item.start + start) for item in inside)
        remarks += said
        pieces.append(body)
    if letter.lost:
        count = f"{letter.lost} characters" if letter.lost > 1 else "One character"
        remarks.append(Remark(None, f"{count} could not be decoded and stand as \ufffd."))
    day = letter.date[:10]
    label = f"{day} from {letter.author}" if day and letter.author else day or letter.author
    page = Page("\n\n".join(filter(None, pieces)), None, label or None, tuple(headings), unit="mail")
    return Reading((page,), letter.subject, remarks=tuple(remarks), author=letter.author, date=letter.date)


def _body(plain: str, html: str) -> tuple[str, tuple[Heading, ...], tuple[Remark, ...]]:
    text = _GAP.sub("\n\n", clean(plain)).strip("\n").rstrip()
    if html and len(text) < _STUB:
        from localrag.ingest.readers import web

        seen, headings, remarks = web.text_of(html)
        if seen.strip() and (not text.strip() or len(seen) > 4 * len(text)):
            return seen, headings, remarks
    return text, (), ()


def is_decoration(name: str, content_type: str, size: int, *, shown: bool) -> bool:
    """Whether an attachment is a picture in the body (`shown`), a logo, or a signature that only a program reads."""
    if content_type.startswith("image/"):
        return shown or size < _TINY
    kind = content_type.removeprefix("application/").removeprefix("x-")
    return kind in ("pkcs7-signature", "pgp-signature", "pgp-keys", "applefile") or name.lower().endswith(".p7s")


def decode(data: bytes, charset: str) -> tuple[str, int]:
    """Text in the encoding that its mail names, else in the one that it seems to have; and how much could not be."""
    name = charset.strip(" \"'").lower()
    codec = _codec(_CODECS.get(name, name))
    if codec is not None and not (codec == "utf-8" and b"\x1b$" in data):
        try:
            return data.decode(codec), 0
        except UnicodeError:
            text = data.decode(codec, "replace")
            if codec != "utf-8" and text.count("\ufffd") <= 1 + len(text) // 50:
                return text, text.count("\ufffd")
    try:
        if b"\x1b$" in data:
            return data.decode("iso2022_jp_ext"), 0
        text = plain_text.decode(data)
    except (ReadError, UnicodeError):
        text = data.decode(codec or "utf-8", "replace")
    return text, text.count("\ufffd")


def _codec(name: str) -> str | None:
    """A codec for text that Python has; it has others, which turn bytes into bytes."""
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return None
    return info.name if getattr(info, "_is_text_encoding", True) and info.name != "undefined" else None
