"""Read plain text, Markdown, reStructuredText, Org, source code and logs; decode bytes of any encoding.

Text is stored as written. Form feeds make pages; a short text is one page. Headings are recognised, except in Org,
YAML and code. A remark says when the encoding was a guess; bytes in no encoding that is recognised are refused.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import unicodedata
from collections import Counter
from contextlib import suppress
from email.utils import parsedate_to_datetime
from itertools import pairwise

from localrag.errors import ReadError
from localrag.ingest.readers import numbered_lines
from localrag.ingest.readers.blocks import tag_text
from localrag.ingest.readers.headings import document_headings
from localrag.ingest.readers.source import RIGHT_SUFFIX, TABLES, Options, Source
from localrag.text import clean
from localrag.types import Heading, Page, Reading, Remark, SkippedPage

_NO_TITLE = re.compile(r"[.,;:]$|: |/s/|^(?:exhibit|schedule|annex|appendix|page)\s+[\w.-]+$", re.I)
_MARKED = (".md", ".markdown", ".rst")
_PROSE = (".txt", ".text", "")
_PAGE = 5000  # characters of a full printed page


def read(source: Source, options: Options) -> Reading:
    raw, encoding = decode_guessing(source.read())
    remarks = (*guess_remark(encoding), *tag_text(raw))
    if source.suffix in _MARKED:
        text = clean(raw)
        headings = markdown_headings(text)
        title = next((item.title for item in headings if item.level == 1), "")
        return Reading((Page(text, headings=headings),), title, (), remarks)
    if source.suffix not in _PROSE:
        return Reading((Page(clean(raw)),), remarks=remarks)
    # A form feed at the very end closes the last page. Without any, a text that fits a page is one.
    texts = [clean(part) for part in raw.removesuffix("\f").split("\f")] if "\f" in raw.strip("\f") else [clean(raw)]
    is_paged = "\f" in raw or len(raw) <= _PAGE
    lines = numbered_lines.numbered(texts) or [(text, ()) for text in texts]
    found = document_headings([(text, {}) for text, _ in lines])
    pages = [
        Page(
            text if text.strip() or len(texts) == 1 else "", number if is_paged else None, headings=own, anchors=places
        )
        for number, ((text, places), own) in enumerate(zip(lines, found, strict=True), 1)
    ]
    skipped = [SkippedPage(page.number, "no text") for page in pages if page.number and not page.text]
    # The first line is a title if it is short and an empty line follows.
    first, *below = (part.strip() for part in next((page.text for page in pages if page.text), "").lstrip().split("\n"))
    is_title = not (below and below[0]) and len(first) <= 100 and not _NO_TITLE.search(first) and not pages[0].anchors
    return Reading(tuple(pages), first if is_title else "", tuple(skipped), remarks)


# --- headings that are marked -----------------------------------------------------------------------------------

_FRONT_MATTER = re.compile(r"---\n(?:.*\n)*?---(?=\n|$)")


def markdown_headings(text: str) -> tuple[Heading, ...]:
    """Return the headings of Markdown or reStructuredText, where they are underlined alike."""
    from markdown_it import MarkdownIt

    matter = _FRONT_MATTER.match(text)  # its rules would read as headings
    skip = matter[0].count("\n") + 1 if matter else 0
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    tokens = MarkdownIt("commonmark").parse(text[starts[skip] :] if skip else text)
    found: list[Heading] = []
    for opened, inline in pairwise(tokens):
        if opened.type == "heading_open" and opened.map and opened.level == 0:
            words = "".join(child.content or " " for child in inline.children or () if child.nesting == 0)
            if title := " ".join(words[:500].split()).strip(" =-"):
                found.append(Heading(starts[opened.map[0] + skip], int(opened.tag[1]), title[:200]))
    return tuple(found)


# --- encodings --------------------------------------------------------------------------------------------------


def guess_remark(encoding: str) -> tuple[Remark, ...]:
    if not encoding:
        return ()
    return (Remark(None, f"The encoding was guessed ({encoding}). If words look wrong, save the file as UTF-8."),)


def decode_as(data: bytes, name: str) -> str | None:
    """Return the text in an encoding that a page names, as browsers read the name; None if it is not that."""
    name = _ALIASES.get(name.strip().lower(), name.strip().lower())
    try:
        return None if not name or name in _ENCODINGS["not_trusted"] else data.decode(name)
    except (LookupError, UnicodeError, ValueError):
        return None


def decode_named(data: bytes, charset: str) -> tuple[str, int]:
    """Return text in the encoding that its mail names, else in the likeliest, and how many characters are lost."""
    name = charset.strip(" \"'").lower()
    is_japanese = b"\x1b$" in data
    try:
        codec = codecs.lookup(_MAIL_ALIASES.get(name, _ALIASES.get(name, name))).name
        text = data.decode(codec, "replace")
    except (LookupError, ValueError):
        codec, text = "utf-8", data.decode("utf-8", "replace")
    lost = text.count("\ufffd")
    if not (codec == "utf-8" and (lost or is_japanese)) and lost <= 1 + len(text) // 50:
        return text, lost
    with suppress(ReadError, UnicodeError):
        text = data.decode("iso2022_jp_ext") if is_japanese else decode_guessing(data)[0]
    return text, text.count("\ufffd")


_ENCODINGS = TABLES["encodings"]
_ALIASES = _ENCODINGS["names"]
_CONTROLS = bytes([*range(0x09), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20), 0x7F])
_MAIL_ALIASES = {"unicode-1-1-utf-7": "utf-7", "us-ascii": "utf-8", "ascii": "utf-8"}
_CHARSET = re.compile(
    rb"""<(?:meta\b[^<>]{0,500}?\bcharset|\?xml\b[^<>]{0,500}?\bencoding)\s{0,99}=\s*+["']?\s*+([\w.:-]+)""", re.I
)


def decode_html(data: bytes, declared: str = "") -> tuple[str, str]:
    """Return a page's text, and its encoding if that was guessed; `declared` comes from outside the page.

    Valid UTF-8 with letters beyond ASCII is UTF-8, whatever the page says.
    """
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:4096]:
        return decode_guessing(data)
    if not data.isascii() and (text := decode_as(data, "utf-8")) is not None:
        return text, ""
    head = re.sub(rb"<!--.*?(?:-->|$)", b"", data[:4096], flags=re.S)
    named = [match[1].decode("ascii", "replace") for match in _CHARSET.finditer(head)]
    for name in (declared, *named):
        if (text := decode_as(data, name)) is not None:
            return text, ""
    return decode_guessing(data)


def decode_guessing(data: bytes) -> tuple[str, str]:
    """Return the text of a file's bytes, and the name of its encoding if that was guessed."""
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return data.decode("utf-32", "replace"), ""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace"), ""
    if b"\0" in data:
        # UTF-16 without a byte order mark: in Western text nearly every second byte is zero, on one side.
        even, odd = data[0:4096:2].count(0), data[1:4096:2].count(0)
        half = min(len(data), 4096) // 2
        for encoding, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
            if half and zeros > half * 0.7 and others < half * 0.02:
                return data.decode(encoding, "replace"), ""
    if b"\0" in data or len(data) - len(data.translate(None, _CONTROLS)) > max(1, len(data) * 0.02):
        raise ReadError("is not text, whatever its name says", RIGHT_SUFFIX)
    if b"\x1b$" in data and (text := decode_as(data, "iso2022_jp")) is not None:
        return text, ""
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return _narrow(data)


def _narrow(data: bytes) -> tuple[str, str]:
    """Decode damaged UTF-8 or an older encoding, whichever explains more of the bytes above 127."""
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    good = sum(ord(character) > 127 for character in text) - broken
    if good > 4 * broken:
        return text, ""
    sample = _sample(data)
    scores = {encoding: _score(sample.decode(encoding, "replace")) for encoding in _ENCODINGS["latin"]}
    best = max(scores, key=scores.__getitem__)  # the first of equals
    western = scores["cp1252"]
    rare = len(sample) > 200 and sum(byte > 127 for byte in sample) < len(sample) * 0.015
    certain = (best == "cp1252" and western >= 0.97) or (rare and western >= 0.5)  # a name may be of any language
    if not certain:
        if scores[best] >= 0.97:
            return data.decode(best, "replace"), best
        if (encoding := _other_script(sample)) and (found := data.decode(encoding, "replace")).count("\ufffd") < 3:
            return found, encoding
        if sum(byte > 127 for byte in data) > len(data) * 0.6 or western < 0.5:
            raise ReadError("is in an encoding that is not recognised", "Save it as UTF-8.")
    text = decode_as(data, "cp1252") or data.decode("latin-1")  # the first leaves five bytes undefined
    return text, "" if certain else "Windows-1252"


def _sample(data: bytes, most: int = 60_000) -> bytes:
    """Return whole lines that show the encoding of data that is longer than `most`."""
    if len(data) <= most:
        return data
    first = next(index for index, byte in enumerate(data) if byte > 127)
    start = data.rfind(b"\n", max(0, first - 500), first) + 1 or first
    end = data.rfind(b"\n", start + most // 2, start + most)
    return data[start : end if end > 0 else start + most]


def _score(text: str) -> float:
    """Return the share of characters beyond ASCII that are letters of one language in plausible places."""
    letters: Counter[str] = Counter()
    strange = 0
    for match in re.finditer("[^\0-\x7f]", text):
        character, at = match[0], match.start()
        before, after = text[at - 1 : at], text[at + 1 : at + 2]
        if character.isalpha() and character not in "ªºµ":
            strange += character.isupper() and before.islower()
            letters[character.lower()[0]] += 1
        elif character in "\ufffd" or "\x80" <= character < "\xa0" or unicodedata.category(character) == "So":
            strange += character not in "©®°™"
        elif before.isalpha() and after.isalpha():
            strange += character not in "’·‘–—\xad…‐•\xa0µ"
    known = max(sum(letters[letter] for letter in alphabet) for alphabet in _ENCODINGS["alphabets"])
    total = letters.total() + strange
    return known / total if total else 1.0


_MIXED = re.compile(r"[A-Za-z](?=[^\W\d_A-Za-z])|[^\W\d_A-Za-z](?=[A-Za-z])")


def _other_script(sample: bytes) -> str:
    """Return the encoding of another alphabet or of East Asian writing if one is likely, else ""."""
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=_ENCODINGS["other"]).best()
    if best is None or best.chaos > 0.1:
        return ""
    text = str(best)
    letters = sum(character.isalpha() and character > "\x7f" for character in text)
    # Latin words with some letters taken for another script mix scripts nearly everywhere.
    if letters < 8 or len(_MIXED.findall(text)) > letters * 0.1:
        return ""
    return best.encoding


# --- headers of mails -------------------------------------------------------------------------------------------

_WORD = re.compile(r"=\?([\w.:+-]+)(?:\*[\w-]+)?\?([bqBQ])\?([^?]*)\?=")


def header_text(raw: str) -> str:
    """Return a header on one line with its encoded words decoded, also when they cut a character in two."""
    text = re.sub(r"(\?=)\s+(?==\?)", r"\1", " ".join(raw.split()))
    pieces: list[str] = []
    data, charset, end = b"", "", 0
    for match in _WORD.finditer(text):
        if match.start() > end or match[1].lower() != charset:
            pieces.append(decode_named(data, charset)[0])
            data = b""
        pieces.append(text[end : match.start()])
        charset, end = match[1].lower(), match.end()
        data += unpack_word(match[2].lower(), match[3])
    pieces += (decode_named(data, charset)[0], text[end:])
    return " ".join("".join(pieces).split())


def unpack_word(form: str, text: str) -> bytes:
    """Decode quoted-printable ("q") or Base64 ("b"); damaged text stays as it is."""
    try:
        if form == "q":
            return binascii.a2b_qp(text.encode("utf-8", "replace"), header=True)
        return base64.b64decode(text.encode("ascii", "ignore") + b"==")
    except (ValueError, binascii.Error):
        return text.encode("utf-8", "replace")


def iso_date(sent: str) -> str:
    try:
        return parsedate_to_datetime(sent).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
