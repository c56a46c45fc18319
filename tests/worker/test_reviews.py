"""A review by the engine, and marks that are kept while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from localrag import api
from localrag.errors import UsageError
from localrag.events import Reviewed, ReviewEnded
from localrag.lifecycle.encrypt import encrypt
from localrag.security.encryption import keyring, unlocked
from localrag.settings import Settings
from localrag.store.reviews import FOLDER
from localrag.worker.engine import Engine

PLAYBOOK = "title: Laws\nitems:\n- {id: law, question: Which law, like: [governed by the laws of]}\n"
TEXT = "Governing Law. This Agreement is governed by the laws of Kansas."


@pytest.fixture
def engine(settings: Settings, models: Any) -> Iterator[Engine]:
    engine = Engine(settings)
    yield engine
    engine.close()


def test_findings_come_one_by_one_and_marks_are_kept_meanwhile(
    engine: Engine, shelf: Callable[..., Any], settings: Settings
) -> None:
    shelf("laws", {"a.txt": TEXT, "b.txt": TEXT.replace("Kansas", "Iowa")})
    events = engine.review(PLAYBOOK, libraries=("laws",))
    first = next(events)
    assert isinstance(first, Reviewed) and first.finding.item == "law"
    given = {"item": "law", "library": "laws", "document": first.finding.document}
    said = engine.decide(PLAYBOOK, **given, verdict="rejected", comment="never")
    assert (said.verdict, said.comment) == ("rejected", "never") and said.by
    *_, end = events
    assert end == ReviewEnded((), ())
    again = [event.finding for event in engine.review(PLAYBOOK, libraries=("laws",)) if isinstance(event, Reviewed)]
    assert {one.document: one.decision for one in again}[first.finding.document] == said
    assert len(again) == 2
    assert "rejected" in settings.library_audit_file("laws").read_text()


def test_marks_and_comments_are_kept_in_an_encrypted_library(
    engine: Engine, folder: Callable[..., Path], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unlocked, "no_dumps", lambda: None)
    with closing(api.open_library("laws", settings=settings, create=True)) as library:
        library.ingest(folder({"a.txt": TEXT}))
    secret, place = keyring.RecoveryKey.new(), settings.library_dir("laws")
    list(encrypt(place, lambda ring, key: ring.with_credential(key, "me", secret), lambda: False))
    given = {"item": "law", "library": "laws", "document": "a.txt"}
    with pytest.raises(UsageError, match="not reviewed"):
        engine.decide(PLAYBOOK, **given, verdict="accepted", comment="")
    first, _ = engine.review(PLAYBOOK, libraries=("laws",))
    said = engine.decide(PLAYBOOK, **given, verdict="open", comment="ask Anna")
    again, end = engine.review(PLAYBOOK, libraries=("laws",))
    assert isinstance(first, Reviewed) and isinstance(again, Reviewed) and isinstance(end, ReviewEnded)
    assert again.finding.decision == said and not again.finding.new and again.finding.citation == first.finding.citation
    kept = [path.read_bytes() for path in (place / FOLDER).iterdir()]
    assert len(kept) == 3 and not any(word in data for data in kept for word in (b"Anna", b"Kansas", b"Laws"))


def test_a_playbook_that_is_none_is_refused(engine: Engine, shelf: Callable[..., Any]) -> None:
    shelf("laws", {"a.txt": TEXT})
    with pytest.raises(UsageError):
        list(engine.review("title: none", libraries=("laws",)))
