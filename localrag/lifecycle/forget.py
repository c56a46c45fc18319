"""Delete documents for good.

A tombstone comes first: from then on no answer or prompt cache entry made from the document is kept, and no ingest
reads it. Conversations, kept words and prompt cache follow; then text, full text and vectors, whose pages a compaction
frees. After an interruption the document is still listed: the same command finishes. Limits: SSDs, copying file
systems and backups may keep it, exports are the user's, and conversations whose key is not here are left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Literal

from localrag.llm import prompt_cache
from localrag.security import audit, sandbox, storage
from localrag.security.encryption import unlocked
from localrag.sessions import store_of
from localrag.settings import Settings
from localrag.store import names, reviews
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
    with names.writing(folder, name), closing(Editor.open(folder, name)) as library:
        if whole:
            library.check_own()
        library.hold()
        # An ingest may have read them again while this waited for the lock.
        wanted = {(document.root, document.path) for document in documents}
        found = [document for document in library.documents() if whole or (document.root, document.path) in wanted]
        gone = [*documents, *found]
        library.save_tombstones(library.tombstones.add(gone))
        if conversations != "keep" and not sandbox.is_restricted():
            store_of(settings).forget([(name, one.path) for one in gone], remove=conversations == "remove")
        if not whole:
            hashes = list(dict.fromkeys(document.sha256 for document in gone))
            audit.forget(record, hashes)
            prompt_cache.drop_missing(folder, library.content_hashes() - {*hashes})
            paths = {document.path for document in gone}
            reviews.drop(folder, lambda kept: kept.sha256 in hashes or kept.path in paths)
            library.remove(found)
            library.compact()
            audit.record(record, "forget", name, documents=len(documents), sha256=hashes)
        else:
            library.drop()
    if whole:
        ended = audit.end_of(record)
        storage.remove(folder)
        unlocked.forget(folder)
        storage.remove(settings.read_marks(name))
        audit.record(settings.audit_file, "forget", name, documents=len(documents), record=ended)
