"""The worker with real models: it reads a folder by readers of its own, answers, and can be stopped in the prompt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localrag.events import Answered, IngestReport, PromptRead
from localrag.settings import load_settings
from localrag.worker.client import RemoteEngine

pytestmark = pytest.mark.model
LEASE = "The lease of Hall 3 ends on 31 May 2030. Rent is due on the first day of each quarter.\n\n" * 60


@pytest.fixture
def engine() -> Iterator[Any]:
    remote = RemoteEngine(load_settings().with_options(generator="smollm2-135m-instruct", threads=1))
    yield remote
    remote.close()


def test_a_folder_is_read_asked_about_and_the_answer_stopped(engine: Any, tmp_path: Path) -> None:
    folder = tmp_path / "leases"
    folder.mkdir()
    (folder / "lease.txt").write_text(LEASE)
    report = list(engine.ingest("leases", folder))[-1]
    assert isinstance(report, IngestReport) and report.read == ("lease.txt",)
    assert engine.libraries() == ("leases",)
    assert engine.page("leases", "lease.txt").page.text.startswith("The lease of Hall 3")
    read: list[int] = []
    for event in engine.ask("When does it end?", libraries=("leases",), mode="read", stop=lambda: len(read) > 1):
        if isinstance(event, PromptRead):
            read.append(event.done)
    assert isinstance(event, Answered) and event.answer.stopped
    assert read[-1] < 1000, "the prompt was read to its end"
