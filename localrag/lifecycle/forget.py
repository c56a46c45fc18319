"""Delete documents for good.

A document leaves text, full text and vectors in one transaction; compacting frees its pages; prompt cache,
conversations and kept words follow, and a tombstone keeps it from being ingested again. Limits: SSDs, copying file
systems and backups may keep it, exports are the user's, and conversations whose key is not here are left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from localrag.ingest import sync
from localrag.llm import prompt_cache
from localrag.security import audit, sandbox, storage
from localrag.sessions import store_of
from localrag.settings import Settings
from localrag.store.writer import Editor
from localrag.types import Document

Conversations = Literal["redact", "remove", "keep"]


def forget(
    settings: Settings, name: str, documents: Sequence[Document], *, whole: bool, conversations: Conversations
) -> None:
    """Delete documents of a library, or the `whole` library.

    A process that may see one library alone leaves the conversations to its parent.
    """
    folder, record = settings.library_dir(name), settings.library_audit_file(name)
    with sync.writing(folder, name):
        if not whole:
            _delete_documents(name, folder, documents)
    if conversations != "keep" and not sandbox.is_restricted():
        places = [(name, document.path) for document in documents]
        store_of(settings).forget(places, remove=conversations == "remove")
    if whole:
        ended = asdict(audit.anchor(record)) if record.is_file() else None
        storage.remove(folder)
        audit.record(settings.audit_file, "forget", name, documents=len(documents), record=ended)
    else:
        hashes = [document.sha256 for document in documents]
        for entry in audit.entries(record) if record.is_file() else ():
            shown = entry.details.get("shown", ())
            if any(str(place).rpartition("#")[0] in hashes for place in shown):
                audit.erase(record, entry.number)  # the words of a question that they answered
        audit.forget_in_lists(record, hashes)
        audit.record(record, "forget", name, documents=len(documents), sha256=hashes)


def _delete_documents(name: str, folder: Path, documents: Sequence[Document]) -> None:
    with closing(Editor.open(folder, name)) as library:
        # An ingest may have read them again while this waited for the lock.
        wanted = {(document.root, document.path) for document in documents}
        found = [document for document in library.documents() if (document.root, document.path) in wanted]
        library.save_tombstones(library.tombstones.add([*documents, *found]))
        library.remove(found)
        library.compact()
        prompt_cache.drop_missing(folder, {document.sha256 for document in library.documents()})
