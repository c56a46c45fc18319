"""Mailboxes (MBOX): each mail is a member; the file itself has no text.

The file is read as a stream and one mail at a time is held, so that its size does not matter. A mail begins at a line
"From sender date" after an empty line, which is how all writers of such files part them; a sentence of a mail that
begins with "From" and was not escaped is not taken for one, unless it holds a time of day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.parser import BytesHeaderParser
from typing import BinaryIO

from localrag.errors import ReadError
from localrag.ingest.readers.mail import subject_name, words
from localrag.ingest.readers.source import Budget, Member, Options, Source, looks_like

_BEGINS = re.compile(rb"From (?:.*\d{1,2}:\d\d|\S+ *\r?\n$|- *\r?\n$)")
_ESCAPED = re.compile(rb">+From ")
_LINE = 1 << 20  # longer lines, which only broken files have, come in pieces
_HEAD = 1 << 16
_LARGEST = 500_000_000  # bytes of one mail


def members(source: Source, options: Options, budget: Budget) -> Iterator[Member]:
    # Nothing is packed in a mailbox: all mails together are as large as it is, and are not counted.
    with source.open() as stream:
        for number, data in enumerate(_mails(stream, source), 1):
            name = f"{number:04} {subject_name(_subject(data))}"
            if len(data) > _LARGEST:
                yield Member(name, refused=ReadError("is larger than a mail can be", "Open the mailbox to see it."))
            else:
                yield Member(name, Source(name, data=data))


def _mails(stream: BinaryIO, source: Source) -> Iterator[bytes]:
    first = stream.readline(_LINE)
    while first and not first.strip(b"\xef\xbb\xbf \t\r\n"):
        first = stream.readline(_LINE)
    if not first.removeprefix(b"\xef\xbb\xbf").startswith(b"From "):
        kind = looks_like(source) or "something else"
        raise ReadError(f"is not a mailbox but {kind}", "Give the file the suffix of its real type.")
    lines: list[bytes] = []
    size, blank = 0, False
    while line := stream.readline(_LINE):
        if blank and _BEGINS.match(line):
            yield b"".join(lines)
            lines, size, blank = [], 0, False
            continue
        blank = not line.strip()
        size += len(line)
        if size <= _LARGEST + _LINE:
            lines.append(line[1:] if _ESCAPED.match(line) else line)
    yield b"".join(lines)


def _subject(data: bytes) -> str:
    return words(str(BytesHeaderParser().parsebytes(data[:_HEAD]).get("Subject", "")))
