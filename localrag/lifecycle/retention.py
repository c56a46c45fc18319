"""Conversations and kept words of questions that go by themselves after a number of days (`retention_days`).

A conversation goes that many days after its last question, with the answers, tables of surveys and drafts in it; words
that the audit record keeps go that many days after they were written, and leave their marks. It is looked for once a
day, when a command opens a library or lists conversations; nothing runs in the background. That something went is
recorded, not what. Conversations of encrypted libraries go without their key: then by when their file was last written.

Limits: a conversation that goes on keeps its old turns. Exports are the person's. What SSDs and backups keep is beyond
localrag.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from localrag.security import audit, sandbox, storage
from localrag.settings import Settings
from localrag.store.names import library_names


def keep_to(settings: Settings, now: datetime | None = None) -> int:
    """Delete what has to go, unless that was done today; returns how many conversations and questions' words went.

    Args:
        now: with a time zone; else the clock's.

    Raises:
        StorageError: something cannot be deleted, or that it was cannot be recorded.
    """
    days = settings.retention_days
    if not days or sandbox.is_restricted():  # who may see one library alone does nothing about all
        return 0
    now = now or datetime.now(UTC)
    done = {"day": now.date().isoformat(), "retention_days": days}
    if _last(settings.retention_file) == done:
        return 0
    from localrag.sessions import store_of

    before = now - timedelta(days=days)
    conversations = store_of(settings).expire(before)
    erased = sum(
        audit.expire_words(settings.library_audit_file(name), before) for name in library_names(settings.indexes_dir)
    )  # fmt: skip
    if conversations or erased:
        audit.record(
            settings.audit_file, "forget", None,
            reason="retention", retention_days=days, conversations=conversations, words=erased,
        )  # fmt: skip
    storage.write_json(settings.retention_file, done)
    return conversations + erased


def due(settings: Settings, now: datetime | None = None) -> int:
    """How many conversations would go now."""
    from localrag.sessions import store_of

    if not settings.retention_days:
        return 0
    return len(store_of(settings).older((now or datetime.now(UTC)) - timedelta(days=settings.retention_days)))


def goes_after(changed: str, settings: Settings) -> datetime | None:
    """The moment after which a conversation goes that was last asked in at this time; None where it stays."""
    with suppress(ValueError, OverflowError):
        if settings.retention_days:
            return datetime.fromisoformat(changed) + timedelta(days=settings.retention_days)
    return None


def _last(file: Path) -> object:
    """When it was last done, and with which number of days."""
    with suppress(OSError, ValueError):
        return json.loads(file.read_bytes())
    return None
