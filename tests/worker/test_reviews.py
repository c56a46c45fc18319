"""A review by the engine, and marks that are kept while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localrag.errors import UsageError
from localrag.events import Reviewed, ReviewEnded
from localrag.settings import Settings
from localrag.worker.local import LocalEngine

PLAYBOOK = "title: Laws\nitems:\n- {id: law, question: Which law, like: [governed by the laws of]}\n"
TEXT = "Governing Law. This Agreement is governed by the laws of Kansas."


@pytest.fixture
def engine(settings: Settings, models: Any) -> Iterator[LocalEngine]:
    engine = LocalEngine(settings)
    yield engine
    engine.close()


def test_findings_come_one_by_one_and_marks_are_kept_meanwhile(
    engine: LocalEngine, shelf: Callable[..., Any], settings: Settings
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


def test_a_playbook_that_is_none_is_refused(engine: LocalEngine, shelf: Callable[..., Any]) -> None:
    shelf("laws", {"a.txt": TEXT})
    with pytest.raises(UsageError):
        list(engine.review("title: none", libraries=("laws",)))
