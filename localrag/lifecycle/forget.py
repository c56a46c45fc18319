"""Documents deleted for good, wherever localrag keeps anything of them.

From text, full text and vectors (one transaction, then the database is compacted, so that no freed page is left), kept
model states, conversations, and the words of questions where a record keeps them. A tombstone keeps them from coming
back. The record says that they were deleted, not what they said.

Limits: what an SSD, a copying file system or a backup keeps is beyond localrag. Conversations of encrypted libraries
whose key is not here are left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from localrag.ingest import sync
from localrag.llm import prompt_cache
from localrag.security import audit, sandbox
from localrag.security import storage as vault
from localrag.sessions import store_of
from localrag.settings import Settings
from localrag.store.writer import Editor
from localrag.types import Document

Conversations = Literal["redact", "remove", "keep"]


def forget(
    settings: Settings, name: str, documents: Sequence[Document], *, whole: bool, conversations: Conversations
) -> None:
    """Delete these documents of a library, or the `whole` library.

    Conversations may lie with other libraries: a process that sees one alone (`limits`) leaves them to its parent.

    Raises:
        LibraryError, StorageError: see there.
    """
    folder, record = settings.library_dir(name), settings.library_audit_file(name)
    with sync.writing(folder, name):
        if not whole:
            _take_out(name, folder, documents)
    if conversations != "keep" and not sandbox.is_restricted():
        places = [(name, document.path) for document in documents]
        store_of(settings).forget(places, remove=conversations == "remove")
    if whole:
        ended = asdict(audit.anchor(record)) if record.is_file() else None
        vault.remove(folder)
        audit.record(settings.audit_file, "forget", name, documents=len(documents), record=ended)
    else:
        hashes = [document.sha256 for document in documents]
        _erase_words(record, hashes)
        audit.forget_in_lists(record, hashes)
        audit.record(record, "forget", name, documents=len(documents), sha256=hashes)


def _take_out(name: str, folder: Path, documents: Sequence[Document]) -> None:
    storage = Editor.open(folder, name)
    try:
        # As they are now: an ingest may have read them anew while this waited for its turn.
        wanted = {(document.root, document.path) for document in documents}
        found = [document for document in storage.documents() if (document.root, document.path) in wanted]
        storage.bury(storage.tombstones.add([*documents, *found]))
        storage.remove(found)
        storage.compact()
        prompt_cache.drop_missing(folder, {document.sha256 for document in storage.documents()})
    finally:
        storage.close()


def _erase_words(record: Path, hashes: Collection[str]) -> None:
    """Erase the words of questions that were answered from documents of these contents."""
    for entry in audit.entries(record) if record.is_file() else ():
        shown = entry.details.get("shown", ())
        if any(str(place).rpartition("#")[0] in hashes for place in shown):
            audit.erase(record, entry.number)
