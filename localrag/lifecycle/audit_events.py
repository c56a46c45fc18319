"""Audit entries for pages shown, files opened, ingests, and models chosen; a page is shown only once it is recorded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from localrag import settings
from localrag.errors import SettingsError
from localrag.events import IngestReport
from localrag.security import audit, storage
from localrag.types import Document


def shown(file: Path, library: str, document: Document, page: int | None, *, opened: bool = False) -> None:
    """Record that a page was shown, or that the document's file was `opened` in the user's viewer."""
    details = {"document": document.path, "sha256": document.sha256, "page": page or 0}
    audit.record(file, "show", library, **details, **({"opened": True} if opened else {}))


def ingested(file: Path, report: IngestReport, before: Collection[str], after: Collection[str]) -> None:
    """Record an ingest with the content hashes that the library held before and after it."""
    came, went = set(after) - set(before), set(before) - set(after)
    number = audit.record(
        file,
        "ingest",
        report.library,
        root=report.root,
        read=len(report.read),
        removed=len(report.removed),
        failed=len(report.failed),
        holds=len(set(after)),
        holds_digest=audit.digest(set(after)),
        came=len(came),
        came_digest=audit.list_digest(came),
        went=len(went),
        went_digest=audit.list_digest(went),
    )
    if came or went:
        audit.keep_lists(file, number, came, went)


def save_setting(name: str, value: Any, environ: Mapping[str, str] | None = None) -> Path:
    """Write a setting to the user's file, and record it if it chooses a model. Raises as `settings.save`."""
    path = settings.save(name, value, storage.write_bytes, environ)
    _record_choice(name, settings.as_text(settings.check(name, value, "the command")), environ)
    return path


def unset_setting(name: str, environ: Mapping[str, str] | None = None) -> bool:
    """Remove a setting from the user's file, and record it if it chose a model. Raises as `settings.unset`."""
    removed = settings.unset(name, storage.write_bytes, environ)
    if removed:
        _record_choice(name, "", environ)
    return removed


def _record_choice(name: str, value: str, environ: Mapping[str, str] | None) -> None:
    if name in settings.MODELS:
        with suppress(SettingsError):  # another line of the file is wrong: nothing runs until it is corrected
            file = settings.load_settings(environ).audit_file
            audit.record(file, "model", None, deed="set", setting=name, model=value)
