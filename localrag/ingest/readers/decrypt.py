"""Office files behind a password (DOCX, XLSX, PPTX and kin in an OLE container; XLS, DOC, PPT), opened in memory.

The passwords that the user named are tried, and before them the one that Excel itself tries without asking: such
workbooks are meant to be read by everyone. Nothing decrypted touches the disk. What is not done: rights management
(IRM), Office 95 and older, OpenDocument. A password that only forbids changes encrypts nothing, and nothing is asked.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, BinaryIO

from localrag.errors import ReadError
from localrag.ingest.readers.source import Source

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_EXCELS_OWN = "VelvetSweatshop"
_LEGACY = ("doc97", "ppt97", "xls97")


def decrypted(source: Source, passwords: Sequence[str] = ()) -> Source | None:
    """The readable document inside an encrypted one; None where it is not encrypted.

    Raises:
        ReadError: it is encrypted, and no password opens it.
    """
    with source.open() as stream:
        if stream.read(8) != _OLE or (office := _encrypted(stream)) is None:
            return None
        for password in dict.fromkeys((_EXCELS_OWN, *passwords)):
            if (data := _opened(office, password)) is not None:
                return Source(source.name, data=data)
    tried = "and none of the passwords given opens it" if passwords else "and no password was given"
    raise ReadError(f"is encrypted, {tried}", "Save a copy without a password, or give its password.")


def _encrypted(stream: BinaryIO) -> Any | None:
    """What can decrypt the file; None where it is not encrypted, or too damaged to tell (its reader will say so)."""
    import msoffcrypto
    from msoffcrypto.exceptions import DecryptionError, FileFormatError

    stream.seek(0)
    try:
        office = msoffcrypto.OfficeFile(stream)
        return office if office.is_encrypted() else None
    except FileFormatError:  # neither of the kinds it knows
        return None
    except DecryptionError as error:
        raise _unsupported(error) from error
    except Exception:  # it parses strangers' bytes with struct, assert and olefile, which raise what they like
        return None


def _opened(office: Any, password: str) -> bytes | None:
    """The decrypted file; None where the password is another."""
    from msoffcrypto.exceptions import DecryptionError, InvalidKeyError

    _keep_off_the_disk()
    try:
        if office.format == "ooxml":
            office.load_key(password=password, verify_password=True)
        else:
            office.load_key(password=password)
        plain = io.BytesIO()
        office.decrypt(plain)
    except InvalidKeyError:
        return None
    except DecryptionError as error:
        raise _unsupported(error) from error
    except Exception as error:
        raise ReadError("is encrypted, and damaged", "Open it in its own program and save it anew.") from error
    return plain.getvalue()


def _keep_off_the_disk() -> None:
    """The library unpacks old formats through a temporary file; here that is memory."""
    for name in _LEGACY:
        module = importlib.import_module(f"msoffcrypto.format.{name}")
        module.tempfile = SimpleNamespace(TemporaryFile=io.BytesIO)  # type: ignore[attr-defined]


def _unsupported(error: Exception) -> ReadError:
    return ReadError(f"is encrypted in a way that is not known ({error})", "Save a copy without a password.")
