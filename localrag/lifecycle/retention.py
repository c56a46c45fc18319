"""Delete conversations and recorded questions that are older than `retention_days`.

Limits: a conversation that continues keeps its old turns. Exports are the user's; SSDs and backups may keep what was
deleted. Conversations of encrypted libraries whose key is not here are deleted by the time of their file.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from localrag.security import audit, sandbox, storage
from localrag.settings import Settings
from localrag.store.names import library_names


def apply(settings: Settings, now: datetime | None = None) -> int:
    """Delete conversations and recorded questions older than `retention_days`, once a day; returns how many.

    A conversation's age counts from its last question. Called when a command opens a library or lists conversations;
    nothing runs in the background.
    """
    days = settings.retention_days
    if not days or sandbox.is_restricted():
        return 0
    now = now or datetime.now(UTC)
    last_run = settings.general_dir / "retention.json"
    done = {"day": now.date().isoformat(), "retention_days": days}
    with suppress(OSError, ValueError, RecursionError):
        if json.loads(last_run.read_bytes()) == done:
            return 0
    from localrag.sessions import store_of

    before = now - timedelta(days=days)
    conversations = store_of(settings).expire(before)
    libraries = library_names(settings.indexes_dir)
    erased = sum(audit.expire_words(settings.library_audit_file(name), before) for name in libraries)
    if conversations or erased:
        counts = {"retention_days": days, "conversations": conversations, "words": erased}
        audit.record(settings.audit_file, "forget", None, reason="retention", **counts)
    storage.write_json(last_run, done)
    return conversations + erased


def expired(settings: Settings) -> int:
    """How many conversations retention would delete now."""
    if not settings.retention_days:
        return 0
    from localrag.sessions import store_of

    return len(store_of(settings).older(datetime.now(UTC) - timedelta(days=settings.retention_days)))


def expiry(changed: str, settings: Settings) -> datetime | None:
    """When retention deletes a conversation with this last change; None if never."""
    with suppress(ValueError, OverflowError):
        if settings.retention_days:
            return datetime.fromisoformat(changed) + timedelta(days=settings.retention_days)
    return None
