"""What the record of a library says of pages shown, files opened, and ingests.

Recorded first: what cannot be recorded is not shown.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from localrag.events import IngestReport
from localrag.security import audit
from localrag.security.audit import lists
from localrag.types import Document


def shown(file: Path, library: str, document: Document, page: int | None, *, opened: bool = False) -> None:
    """A page of a document was shown or, `opened`, its file was, in the person's own viewer.

    Args:
        file: the record of the library.

    Raises:
        StorageError: it cannot be recorded.
    """
    details = {"document": document.path, "sha256": document.sha256, "page": page or 0}
    audit.record(file, "show", library, **details, **({"opened": True} if opened else {}))


def ingested(file: Path, report: IngestReport, before: Collection[str], after: Collection[str]) -> None:
    """A folder was read into a library, which held contents of these hashes before and holds those after.

    Raises:
        StorageError: it cannot be recorded.
    """
    came, went = set(after) - set(before), set(before) - set(after)
    number = audit.record(
        file, "ingest", report.library,
        root=report.root, read=len(report.read), removed=len(report.removed), failed=len(report.failed),
        holds=len(set(after)), holds_digest=lists.digest(set(after)),
        came=len(came), came_digest=lists.digest_of_list(came), went=len(went), went_digest=lists.digest_of_list(went),
    )  # fmt: skip
    if came or went:
        lists.keep(file, number, came, went)
