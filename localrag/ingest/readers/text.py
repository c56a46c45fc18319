"""Plain text, source code and logs, reStructuredText and Org: form feeds make pages, headings are recognised.

Encodings: UTF-8, UTF-16 with a byte order mark (or so regular that it needs none), Windows-1252, and the other 8-bit
and East Asian encodings where they can be told apart with confidence; a remark says when that was a guess. Files that
are not text are refused, and so are those whose encoding cannot be told. Code has no headings; lines are kept as they
are, but for words that were broken with a hyphen at the end of a line.
"""

from __future__ import annotations

import codecs
import re
import unicodedata

from localrag.errors import ReadError
from localrag.ingest.readers.base import blank
from localrag.ingest.readers.blocks import tag_text
from localrag.ingest.readers.cleaning import clean
from localrag.ingest.readers.headings import find_headings
from localrag.ingest.readers.source import Options, Source
from localrag.types import Heading, Page, Reading, Remark, SkippedPage

_NO_TITLE = re.compile(r"[.,;:]$|: |/s/|^(?:exhibit|schedule|annex|appendix|page)\s+[\w.-]+$", re.I)
_PROSE = frozenset((".txt", ".text", ""))


def read(source: Source, options: Options) -> Reading:
    raw, guessed = decode_guessing(source.read())
    remarks = (*guess_remark(guessed), *tag_text(raw))
    if source.suffix in (".rst", ".org"):
        text = clean(raw)
        headings = _underlined(text) if source.suffix == ".rst" else _starred(text)
        title = _org_title(text) if source.suffix == ".org" else ""
        return Reading((Page(text, headings=headings),), title or (headings[0].title if headings else ""), (), remarks)
    if source.suffix not in _PROSE:
        return Reading((Page(clean(raw)),), remarks=remarks)
    if "\f" not in raw.strip("\f"):
        text = _unbroken(clean(raw))
        return Reading((Page(text, headings=find_headings(text)),), _title(text), (), remarks)
    pages: list[Page] = []
    skipped: list[SkippedPage] = []
    # A form feed at the very end closes the last page; it does not open another.
    for number, part in enumerate(raw.removesuffix("\f").split("\f"), 1):
        text = _unbroken(clean(part))
        if text.strip():
            pages.append(Page(text, number, headings=find_headings(text)))
        else:
            page, skip = blank(number, "no text")
            pages.append(page)
            skipped.append(skip)
    title = _title(next((page.text for page in pages if page.text), ""))
    return Reading(tuple(pages), title, tuple(skipped), remarks)


def _title(text: str) -> str:
    """The first line, where it stands alone and is short enough to be a title."""
    lines = text.lstrip().split("\n", 2)
    first = lines[0].strip()
    alone = len(lines) == 1 or not lines[1].strip()
    return first if alone and len(first) <= 100 and not _NO_TITLE.search(first) else ""


_BROKEN = re.compile(r"([^\W\d_]{2,})-\n[ \t]*([^\W\d_]+)(?!-)")


def _unbroken(text: str) -> str:
    """Words that were broken at the end of a line, where the same text has them whole and never with a hyphen."""
    if "-\n" not in text:
        return text
    words = set(re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", text.lower()))

    def joined(match: re.Match[str]) -> str:
        first, second = match[1].lower(), match[2].lower()
        sure = match[2].islower() and first + second in words and f"{first}-{second}" not in words
        return f"{match[1]}{match[2]}\n" if sure else match[0]

    return _BROKEN.sub(joined, text)


# --- headings that are marked -----------------------------------------------------------------------------------

_RULE = re.compile(r"([!-/:-@\[-`{-~])\1+\s*$")
_ROLE = re.compile(  # the words inside marks; of a link, without its target
    r"``(.+?)``|(?::[\w:.-]+:)?`([^`<]+?)(?:\s*<[^`]*>)?`_{0,2}|\*{1,2}(\S[^*]*)\*{1,2}|\|([^|]+)\|"
)


def _underlined(text: str) -> tuple[Heading, ...]:
    """The sections of reStructuredText; a level is known by its mark, in the order in which the marks come."""
    lines = text.split("\n")
    found: list[Heading] = []
    levels: list[tuple[str, bool]] = []
    start = before = 0  # of this line, and of the line before it
    for index, line in enumerate(lines):
        words = lines[index - 1] if index else ""
        mark = _RULE.match(line)
        above = _RULE.match(lines[index - 2]) if index > 1 else None
        over = above is not None and mark is not None and above[1] == mark[1]
        alone = over or (index > 0 and not words[:1].isspace() and (index < 2 or not lines[index - 2].strip()))
        if mark and alone and words.strip() and not _RULE.match(words) and _width(line) >= _width(words):
            kind = (mark[1], over)
            if kind not in levels:
                levels.append(kind)
            title = _ROLE.sub(lambda role: role[1] or role[2] or role[3] or role[4] or "", words[:500]).strip()
            found.append(Heading(before, levels.index(kind) + 1, title[:200]))
        before, start = start, start + len(line) + 1
    return tuple(found)


def _width(line: str) -> int:
    line = line.rstrip()
    return len(line) + sum(unicodedata.east_asian_width(character) in "WF" for character in line)


_STARS = re.compile(r"^(\*+)[ \t]+(\S.*)$", re.M)
_ORG_MARKS = re.compile(r"^(?:(?:TODO|DONE|NEXT|WAITING)[ \t]+)?(?:\[#[A-Z]\][ \t]*)?|[ \t]+:[\w@#%:]+:[ \t]*$")
_ORG_LINK = re.compile(r"\[\[[^\]]*\](?:\[([^\]]*)\])?\]")


def _starred(text: str) -> tuple[Heading, ...]:
    """The headings of Org, without their states, priorities and tags; in its code blocks stars are escaped."""
    return tuple(
        Heading(match.start(), len(match[1]), title[:200])
        for match in _STARS.finditer(text)
        if (title := _ORG_LINK.sub(lambda link: link[1] or "", _ORG_MARKS.sub("", match[2][:300])).strip())
    )


def _org_title(text: str) -> str:
    match = re.search(r"^#\+title:[ \t]*(.+)$", text, re.M | re.I)
    return match[1].strip() if match else ""


# --- encodings --------------------------------------------------------------------------------------------------


def decode(data: bytes) -> str:
    """The text of a file's bytes.

    Raises:
        ReadError: the bytes are not text.
    """
    return decode_guessing(data)[0]


def guess_remark(encoding: str) -> tuple[Remark, ...]:
    if not encoding:
        return ()
    return (Remark(None, f"The encoding was guessed ({encoding}). If words look wrong, save the file as UTF-8."),)


def decode_as(data: bytes, name: str) -> str | None:
    """The text in an encoding that a page or a mail names, as browsers take the name; None where it is not that."""
    name = _ALIASES.get(name.strip().lower(), name.strip().lower())
    try:
        return None if not name or name in _NOT_TRUSTED else data.decode(name)
    except (LookupError, UnicodeError, ValueError):
        return None


# Names that are used for more than they say; and those that say nothing, or that could hide text.
_ALIASES = dict.fromkeys(("iso-8859-1", "latin1", "us-ascii", "ascii"), "cp1252") | {
    "gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "x-sjis": "cp932", "shift-jis": "cp932",
    "euc-kr": "cp949", "ks_c_5601-1987": "cp949", "iso-8859-9": "cp1254", "iso-8859-11": "cp874", "tis-620": "cp874",
    "big5": "big5hkscs", "x-mac-roman": "mac_roman", "macintosh": "mac_roman", "iso-8859-8-i": "iso-8859-8",
}  # fmt: skip
_NOT_TRUSTED = frozenset(
    "utf-7 utf-16 utf-16le utf-16be utf-32 idna punycode unicode_escape raw_unicode_escape".split()
)
_CHARSET = re.compile(rb"""<(?:meta\b[^>]*?\bcharset|\?xml\b[^>]*?\bencoding)\s*=\s*["']?\s*([\w.:-]+)""", re.I)


def decode_html(data: bytes, declared: str = "") -> tuple[str, str]:
    """A page's text, and its encoding where that had to be guessed; `declared` is what came with it from outside.

    A page that is sound UTF-8 with letters beyond ASCII is UTF-8, whatever it says of itself.
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
    """The text of a file's bytes, and the name of its encoding where that had to be guessed.

    Raises:
        ReadError: the bytes are not text, or in an encoding that cannot be told.
    """
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return data.decode("utf-32", "replace"), ""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace"), ""
    if b"\0" in data:
        return _wide(data), ""
    if _controls(data) > max(1, len(data) * 0.02):
        raise _not_text()
    if b"\x1b$" in data and (text := decode_as(data, "iso2022_jp")) is not None:
        return text, ""
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        return _narrow(data)


def _wide(data: bytes) -> str:
    """UTF-16 without its mark: nearly every second byte of Western text is zero, and always on one side."""
    sample = data[:4096]
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    half = len(sample) // 2
    for encoding, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if half and zeros > half * 0.7 and others < half * 0.02:
            return data.decode(encoding, "replace")
    raise _not_text()


def _narrow(data: bytes) -> tuple[str, str]:
    """Damaged UTF-8, or an older encoding: whichever explains more of the bytes above 127."""
    text = data.decode("utf-8", "replace")
    broken = text.count("\ufffd")
    good = sum(ord(character) > 127 for character in text) - broken
    if good > 4 * broken:
        return text, ""
    sample = _telling(data)
    scores = {encoding: _score(sample.decode(encoding, "replace")) for encoding in _LATIN}
    best = max(scores, key=lambda encoding: scores[encoding])  # the first, where several are as good
    western = scores["cp1252"]
    rare = len(sample) > 200 and sum(byte > 127 for byte in sample) < len(sample) * 0.015
    if (best == "cp1252" and western >= 0.97) or (rare and western >= 0.5):
        return _western(data), ""  # names in an English text may be of any language
    if scores[best] >= 0.97:
        return data.decode(best, "replace"), best
    if (encoding := _other_script(sample)) and (found := data.decode(encoding, "replace")).count("\ufffd") < 3:
        return found, encoding
    if sum(byte > 127 for byte in data) > len(data) * 0.6 or western < 0.5:
        raise ReadError("is in an encoding that is not recognised", "Save it as UTF-8.")
    return _western(data), "Windows-1252"


def _western(data: bytes) -> str:
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:  # five bytes have no meaning in it
        return data.decode("latin-1")


def _telling(data: bytes, most: int = 60_000) -> bytes:
    """A piece of the data in which there is something to tell an encoding by, in whole lines where it can be."""
    if len(data) <= most:
        return data
    first = next((index for index, byte in enumerate(data) if byte > 127), 0)
    start = data.rfind(b"\n", max(0, first - 500), first) + 1 or first
    piece = data[start : start + most]
    end = piece.rfind(b"\n")
    return piece[:end] if end > most // 2 else piece


# Encodings of the Latin alphabet, the likelier first, and the letters beyond ASCII of the languages written in them.
_LATIN = ("cp1252", "cp1250", "iso8859-2", "cp1254", "cp1257", "cp850", "cp852", "mac_roman", "iso8859-15")
_ALPHABETS = tuple(
    frozenset(letters)
    for letters in (
        "äöüß", "àâæçèéêëîïôœùûüÿ", "áéíñóúüçï", "áâãàçéêíóôõúü", "àèéìíîòóùú", "àçèéíïòóúü", "æøåéäöèü", "åäöéüà",
        "äöåšžõü", "áéíóúýöæðþ", "áíóúýæøðå", "ëïéèêöüáóúíôû", "áéíóú", "âêîôûáéïöŵŷ", "çë", "âêáéíóôúãõàèìòùü",
        "ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţșț", "čšžćđ", "çğıöşüâîûİ",
        "ąčęėįšųūž", "āčēģīķļņšūž", "áčđŋšŧžåäöæø", "àâäèéêìòöùü",
    )
)  # fmt: skip


def _score(text: str) -> float:
    """How much of what is beyond ASCII is letters of one language in their places, from 0 to 1."""
    letters: dict[str, int] = {}
    strange = 0
    for match in re.finditer("[^\0-\x7f]", text):
        character, at = match[0], match.start()
        before, after = text[at - 1 : at], text[at + 1 : at + 2]
        if character.isalpha() and character not in "ªºµ":
            if character.isupper() and before.islower():
                strange += 1
            letters[character.lower()[0]] = letters.get(character.lower()[0], 0) + 1
        elif character in "\ufffd" or "\x80" <= character < "\xa0" or unicodedata.category(character) == "So":
            strange += character not in "©®°™"
        elif before.isalpha() and after.isalpha():
            strange += character not in "’·‘–—\xad…‐•\xa0µ"
    known = max(sum(letters.get(letter, 0) for letter in alphabet) for alphabet in _ALPHABETS)
    total = sum(letters.values()) + strange
    return known / total if total else 1.0


_SCRIPTS = (
    "cp1251 koi8_r koi8_u cp866 iso8859_5 cp1253 iso8859_7 cp1255 cp1256 iso8859_6 cp874 cp932 euc_jp gb18030 big5 "
    "cp949"
).split()
_MIXED = re.compile(r"[A-Za-z](?=[^\W\d_A-Za-z])|[^\W\d_A-Za-z](?=[A-Za-z])")


def _other_script(sample: bytes) -> str:
    """The encoding of another alphabet or of East Asian writing, where one is likely; else nothing."""
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=_SCRIPTS).best()
    if best is None or best.chaos > 0.1:
        return ""
    text = str(best)
    letters = sum(character.isalpha() and character > "\x7f" for character in text)
    # Latin words in which some letters were taken for another script are mixed in nearly every place.
    if letters < 8 or len(_MIXED.findall(text)) > letters * 0.1:
        return ""
    return best.encoding


def _controls(data: bytes) -> int:
    return len(data) - len(
        data.translate(None, bytes([*range(0x09), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20), 0x7F]))
    )


def _not_text() -> ReadError:
    return ReadError("is not text, whatever its name says", "Give the file the suffix of its real type.")
