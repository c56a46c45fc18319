"""Name the members of a file: relative paths with forward slashes, safe to show and store, each only once.

Strangers choose these names. Nothing is written to the disk under them, but people see them and quotes cite them.
"""

from __future__ import annotations

import mimetypes
import re
from contextlib import suppress
from pathlib import Path, PurePosixPath

from localrag.ingest.readers.base import SUFFIXES, reads
from localrag.ingest.readers.source import TABLES
from localrag.text import clean

_MAX_LENGTH = 150
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2066-\u2069]")  # could show "txt.exe" as "exe.txt"
_MIME = mimetypes.MimeTypes()  # the table of Python, not of this machine


def safe(name: str) -> str:
    """Return one step of a path, made safe; "" if nothing is left."""
    name = "".join(" " if mark in "\n\t" else mark for mark in _INVISIBLE.sub("", clean(name)))
    name = " ".join(re.sub(r"[/\\:]", "_", name.replace(": ", " ")).split())
    if name.strip(". ") == "":
        return ""
    if len(name) <= _MAX_LENGTH:
        return name
    suffix = PurePosixPath(name).suffix[:20]
    return name[: _MAX_LENGTH - len(suffix)].rstrip() + suffix


def attached(filename: str, content_type: str) -> str:
    """Return the name of an attachment, with a suffix from the content type if its own is not read."""
    name = safe(filename) or "attachment"
    if reads(Path(name)):
        return name
    suffix = TABLES["suffixes"].get(content_type) or _MIME.guess_extension(content_type) or ""
    if suffix in SUFFIXES or (suffix and not PurePosixPath(name).suffix and content_type != "application/octet-stream"):
        return name + suffix
    return name


def content_type(name: str) -> str:
    """Return the content type that a name suggests."""
    return _MIME.guess_type(name)[0] or ""


class Names:
    """Makes names unique: the second "a.pdf" is "a (2).pdf"."""

    def __init__(self) -> None:
        self._given: dict[str, int] = {}  # and the last number that was added to each

    def unique(self, name: str) -> str:
        path, given = PurePosixPath(name), name
        while given in self._given:
            self._given[name] += 1
            given = str(path.with_name(f"{path.stem} ({self._given[name]}){path.suffix}"))
        self._given[given] = 1
        return given


_WIDE = re.compile("[\u3000-\u30ff\u4e00-\u9fff\uff01-\uff5e]{2,}")
_RUSSIAN = re.compile("[А-ЯЁ]?[а-яё]+|[А-ЯЁ]+")


def old_name(data: bytes) -> str:
    """Decode a name of unknown encoding: UTF-8, or the code page that makes whole words of it."""
    with suppress(UnicodeDecodeError):
        return data.decode("utf-8")
    russian = data.decode("cp866")
    others = [word for word in re.findall(r"[^\W\d_]+|[^\0-\x7f]", russian) if not word.isascii()]
    if all(map(_RUSSIAN.fullmatch, others)) and any(len(word) > 2 for word in others):
        return russian
    for encoding in ("cp932", "gb18030"):
        wide = data.decode(encoding, "replace")
        if all(map(_WIDE.fullmatch, re.findall(r"[^\0-\x7f]+", wide))):
            return wide
    return data.decode("cp437")
