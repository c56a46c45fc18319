"""Office files behind a password (DOCX, XLSX, PPTX and kin in an OLE container; XLS, DOC, PPT), opened in memory.

The passwords that the user named are tried, and before them the one that Excel itself tries without asking ("Velvet-
Sweatshop": such files are meant to be read by everyone and only protected from changes). Nothing decrypted touches the disk.
What is not done: rights management (IRM), OpenDocument and ZIP encryption, passwords that only forbid changes (these
files are not encrypted, so they are simply read).
"""

from __future__ import annotations

import io
from collections.abc import Sequence

from localrag.errors import ReadError
from localrag.readers.source import Source

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_EXCELS_OWN = "VelvetSweatshop"


def decrypted(source: Source, passwords: Sequence[str] = ()) -> Source | None:
    """The readable document inside an encrypted one; None where it is not encrypted.

    Raises:
        ReadError: it is encrypted, and no password opens it.
    """
    with source.open() as stream:
        if stream.read(8) != _OLE:
            return None
        stream.seek(0)
        office = _encrypted(stream)
        if office is None:
            return None
        for password in dict.fromkeys((_EXCELS_OWN, *passwords)):
            if (data := _open(office, password)) is not None:
                return Source(source.name, data=data)
    if passwords:
        raise ReadError(
            "is encrypted, and none of the passwords opens it",
            "Put its password into LOCALRAG_READ_PASSWORDS or the password file, or save a copy without one.",
        )
    raise ReadError("is encrypted", "Give its password, or save a copy without one.")
