"""Two versions compared by the engine: documents of a library, and files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import PATIENCE

from localrag import protocol
from localrag.diff import changes
from localrag.diff.changes import Comparison
from localrag.errors import Cancelled, NotFoundError, ReadError, UsageError
from localrag.redline.three_way import ThreeWay
from localrag.settings import Settings
from localrag.worker.engine import Engine

OLD = "1. Payment. The Client shall pay $5,000 within thirty (30) days of the receipt of each invoice.\n"


@pytest.fixture
def engine(settings: Settings, models: Any) -> Iterator[Engine]:
    engine = Engine(settings)
    yield engine
    engine.close()


@pytest.fixture
def drafts(shelf: Callable[..., Any], tmp_path: Path) -> Path:
    text = OLD * 12
    shelf("first", {"other.txt": "Nothing of the kind."})
    shelf("msa", {"v1.txt": text, "v2.txt": text.replace("5,000", "6,000", 1)})
    file = tmp_path / "mine.txt"
    file.write_text(text.replace("thirty (30)", "sixty (60)", 1))
    return file


def test_documents_and_files_are_compared_and_recorded(engine: Engine, drafts: Path, settings: Settings) -> None:
    plain = engine.compare(("v1.txt", "v2.txt"), libraries=("first", "msa"))
    found = protocol.from_plain(plain, Comparison)
    assert [one.kinds for one in found.changes] == [("amount",)]
    assert (found.old.name, found.new.name, found.old.library) == ("v1.txt", "v2.txt", "msa")
    assert '"compare"' in settings.library_audit_file("msa").read_text()
    found = protocol.from_plain(engine.compare(("v1.txt", str(drafts)), libraries=("msa",)), Comparison)
    assert [one.kinds for one in found.changes] == [("duration",)]
    three = protocol.from_plain(engine.compare(("v1.txt", "v2.txt", str(drafts)), libraries=("msa",)), ThreeWay)
    assert [(one.state, [side for side, _ in one.changes]) for one in three.entries] == [("both", ["theirs", "ours"])]
    assert '"theirs":"v2.txt"' in settings.library_audit_file("msa").read_text()


def test_what_is_not_there_or_the_same_is_refused(engine: Engine, drafts: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nowhere\.txt"):
        engine.compare(("v1.txt", "nowhere.txt"), libraries=("first", "msa"))
    with pytest.raises(UsageError, match="itself"):
        engine.compare(("v1.txt", "v1.txt"), libraries=("msa",))
    with pytest.raises(UsageError, match="itself"):
        engine.compare((str(drafts), f"{drafts.parent}/../{drafts.parent.name}/mine.txt"), libraries=("msa",))
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ReadError, match="empty"):
        engine.compare(("v1.txt", str(tmp_path / "empty.txt")), libraries=("msa",))


def test_a_stop_ends_a_long_comparison_at_once(engine: Engine, drafts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, end = threading.Event(), threading.Event()

    def endless(old: Any, new: Any) -> Any:
        begun.set()
        end.wait(PATIENCE)

    monkeypatch.setattr(changes, "compare", endless)
    with pytest.raises(Cancelled):
        engine.compare(("v1.txt", "v2.txt"), libraries=("msa",), stop=begun.is_set)
    end.set()


def test_the_versions_of_a_document_are_listed(engine: Engine, drafts: Path) -> None:
    assert [path for path, _ in engine.drafts("v1.txt", libraries=("first", "msa"))] == ["v1.txt", "v2.txt"]
    assert engine.drafts("nowhere", libraries=("first", "msa")) == ()
