"""Clean text for storage: no control characters, ligatures or halves of characters; and titles fit to be shown.

A reader calls `clean` on its raw text before it makes offsets, because cleaning changes lengths.
"""

from __future__ import annotations

import re

from localrag.quantities import lazy_re

# NUL ends SQLite's substr, other control characters upset terminals, and odd spaces and ligatures keep words from being
# found.
_TRANSLATION: dict[int, str | None] = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])
_TRANSLATION |= {ord(mark): "\n" for mark in "\v\f\x1c\x1d\x1e\x85\u2028\u2029"}
_TRANSLATION |= {ord(mark): mark for mark in "\t\n"}
_TRANSLATION |= {
    ord(mark): " " for mark in "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f"
}
_TRANSLATION |= {ord(mark): None for mark in "\u00ad\u2060\ufeff\ufffe\uffff"}
_TRANSLATION |= dict(zip(range(0xFB00, 0xFB07), ("ff", "fi", "fl", "ffi", "ffl", "st", "st"), strict=True))
# Tags: invisible letters in which a text can carry another; they also make the flags of England and Scotland.
_TRANSLATION |= dict.fromkeys([0xE0001, *range(0xE0020, 0xE0080)])
_ODD = lazy_re("[" + "".join(f"\\U{code:08x}" for code in _TRANSLATION if code not in (9, 10)) + "\ud800-\udfff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Return the text as it is stored. Cleaning twice changes nothing."""
    if _ODD.search(text) is None:
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _SURROGATE.sub("\ufffd", text.translate(_TRANSLATION))


def one_line(text: str) -> str:
    """Return the beginning of a text on one line, clean."""
    return " ".join(clean(text).split())[:200]


_PRODUCER = re.compile(r"^(?:microsoft (?:word|powerpoint|excel)|powerpoint presentation)\s*(?:-\s*)?", re.I)
_FILE_END = re.compile(r"\.(?:docx?|dotx?|pdf|pptx?|xlsx?|rtf|odt|txt|indd|qxd|wpd|tex|dvi|html?)$", re.I)
_JUNK = re.compile(r"^(?:untitled.*|title|document\d*|doc\d*|slide ?\d+|presentation\d*|unknown|none|null|n/a)$", re.I)


def clean_title(title: str) -> str:
    """Return a title on one line; "" if it says nothing about the document."""
    title = " ".join(clean(title).split()).strip(" \"'-_")
    # A program wrote a title that names a file; the file's real name is better.
    if _PRODUCER.match(title) or _FILE_END.search(title) or _JUNK.match(title):
        return ""
    if sum(character.isalpha() for character in title) < 3 and not any(ord(c) > 0x2E7F for c in title):
        return ""
    return title if len(title) <= 200 else title[:200].rsplit(" ", 1)[0]
