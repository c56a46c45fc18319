"""The attachments inside a winmail.dat (TNEF), which Outlook sends to strangers instead of ordinary attachments.

Read are files and their names. The formatted body in it is not: such a mail has a plain one beside it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from localrag.errors import ReadError
from localrag.ingest.readers import letter
from localrag.ingest.readers.naming import attached

_SIGNATURE = 0x223E9F78
_BEGINS, _TITLE, _DATA, _CODEPAGE = 0x9002, 0x8010, 0x800F, 0x9007
_HINT = "Save its attachments with Outlook."


def files(data: bytes) -> Iterator[tuple[str, bytes | ReadError]]:
    if len(data) < 6 or struct.unpack_from("<I", data)[0] != _SIGNATURE:
        yield "winmail.dat", ReadError("is damaged, or not a winmail.dat package", _HINT)
        return
    at, title, content, codepage = 6, b"", None, "cp1252"
    while at + 9 <= len(data):
        _, name, _, size = struct.unpack_from("<BHHI", data, at)
        value = data[at + 9 : at + 9 + size]
        at += 9 + size + 2
        if at > len(data):
            yield "winmail.dat", ReadError("is cut off: a part of it is missing", _HINT)
            break
        if name == _CODEPAGE and size >= 4:
            codepage = f"cp{struct.unpack_from('<I', value)[0]}"
        elif name == _BEGINS and content is not None:
            yield _name(title, codepage), content
            title, content = b"", None
        elif name == _TITLE:
            title = value.rstrip(b"\0")
        elif name == _DATA:
            content = value
    if content is not None:
        yield _name(title, codepage), content


def _name(title: bytes, codepage: str) -> str:
    return attached(letter.decode(title, codepage)[0], "application/octet-stream")
