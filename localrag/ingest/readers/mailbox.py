"""Read mailboxes (MBOX): each mail is a member; the file itself has no text.

A mail begins at a line "From sender date" after an empty line; a sentence that begins with "From" does so only if it
holds a time of day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.parser import BytesHeaderParser
from typing import BinaryIO

from localrag.errors import ReadError
from localrag.ingest.readers.mail import subject_name
from localrag.ingest.readers.source import RIGHT_SUFFIX, Budget, Member, Options, Source, looks_like
from localrag.ingest.readers.text import header_text

_BEGINS = re.compile(rb"From (?:.*\d{1,2}:\d\d|\S+ *\r?\n$|- *\r?\n$)")
_ESCAPED = re.compile(rb">+From ")
_MAX_LINE = 1 << 20  # longer lines, which only broken files have, come in pieces
_HEAD = 1 << 16


def members(source: Source, options: Options, budget: Budget) -> Iterator[Member]:
    # The mails together are as large as the file, so the budget need not count them.
    with source.open() as stream:
        for number, data in enumerate(_mails(stream, source), 1):
            subject = str(BytesHeaderParser().parsebytes(data[:_HEAD]).get("Subject", ""))
            name = f"{number:04} {subject_name(header_text(subject))}"
            yield Member(name, Source(name, data=data))


def _mails(stream: BinaryIO, source: Source) -> Iterator[bytes]:
    first = stream.readline(_MAX_LINE)
    while first and not first.strip(b"\xef\xbb\xbf \t\r\n"):
        first = stream.readline(_MAX_LINE)
    if not first.removeprefix(b"\xef\xbb\xbf").startswith(b"From "):
        kind = looks_like(source) or "something else"
        raise ReadError(f"is not a mailbox but {kind}", RIGHT_SUFFIX)
    lines: list[bytes] = []
    after_blank = False
    while line := stream.readline(_MAX_LINE):
        if after_blank and _BEGINS.match(line):
            yield b"".join(lines)
            lines, after_blank = [], False
            continue
        after_blank = not line.strip()
        lines.append(line[1:] if _ESCAPED.match(line) else line)
    yield b"".join(lines)
