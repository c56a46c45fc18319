"""The file that a document was read from: whether it is still the one that was read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from localrag.types import StoredFile

FileState = Literal["same", "changed", "missing"]


def state(file: Path, stored: StoredFile | None) -> FileState:
    """Whether a file on the disk is the one that was read.

    The same size and time are taken for the same file, as an ingest does; where only the time differs, its bytes are
    hashed. A file that cannot be looked at counts as missing.
    """
    try:
        status = file.stat()
        if stored is None or status.st_size != stored.size:
            return "changed"
        if status.st_mtime_ns == stored.mtime_ns:
            return "same"
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return "missing"
    return "same" if digest == stored.sha256 else "changed"
