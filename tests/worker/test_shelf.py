"""What the engine says of a library's documents, and what it does with some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localrag import api
from localrag.answer import warming
from localrag.errors import Cancelled, NotFoundError
from localrag.events import IngestProgress, IngestReport
from localrag.security import storage
from localrag.settings import Settings
from localrag.store.names import LOCK
from localrag.store.writer import Editor
from localrag.worker.engine import Engine

LEASE, HANDBOOK = "The lease of Hall 3 ends on 31 May 2030.", "The kennel is open from 9 to 5."
LONG = "\n\n".join(f"Paragraph {n} of the agreement. " * 20 for n in range(60))


@pytest.fixture
def engine(settings: Settings, models: Any) -> Iterator[Engine]:
    engine = Engine(settings)
    yield engine
    engine.close()


@pytest.fixture
def papers(shelf: Callable[..., Editor]) -> Editor:
    return shelf("papers", {"a[1].txt": HANDBOOK, "a1.txt": LEASE, "b.txt": "Nothing of note is said here."})


def warm_of(engine: Engine) -> dict[str, bool]:
    return {one.document.path: one.warm > 0 for one in engine.shelf("papers").documents}


def test_only_the_named_documents_are_cached(engine: Engine, papers: Editor) -> None:
    told = list(engine.warm("papers", ("a[1].txt", "b.txt")))
    assert [(one.piece.name, one.number, one.total) for one in told if one.state == "kept"] == [
        ("a[1].txt", 1, 2),
        ("b.txt", 2, 2),
    ]
    assert [one.share for one in told if one.state == "kept"] == [1.0, 1.0]
    assert warm_of(engine) == {"a[1].txt": True, "a1.txt": False, "b.txt": True}


def test_cached_documents_are_not_read_again(engine: Engine, papers: Editor, models: Any) -> None:
    list(engine.warm("papers"))
    models.generator.prompts.clear()
    told = list(engine.warm("papers"))
    assert [one.state for one in told] == ["kept"] * 3 and all(one.piece.kept for one in told)
    assert models.generator.prompts == []


def test_a_document_is_looked_at_only_when_its_turn_comes(
    engine: Engine, papers: Editor, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []
    pieces = warming.pieces

    def watched(library: Any, documents: Any, *rest: Any) -> Any:
        looked.extend(one.path for one in documents)
        return pieces(library, documents, *rest)

    monkeypatch.setattr(warming, "pieces", watched)
    for told in engine.warm("papers"):
        if told.state == "kept":
            break
    assert looked == ["a1.txt"]


def test_a_long_document_that_is_kept_by_its_sections_is_warm(
    shelf: Callable[..., Editor], settings: Settings, models: Any
) -> None:
    shelf("papers", {"long.txt": LONG})
    engine = Engine(settings.with_options(read_tokens=1000))
    told = list(engine.warm("papers"))
    shares = [one.share for one in told]
    assert shares == sorted(shares) and shares[-1] == 1.0 and sum(share == 1.0 for share in shares) == 1
    (one,) = engine.shelf("papers").documents
    assert one.warm > 1000
    engine.close()


def test_forgetting_takes_just_the_named_documents(engine: Engine, papers: Editor) -> None:
    list(engine.warm("papers"))
    assert engine.forget("papers", ("a[1].txt",)) == ("a[1].txt",)
    assert warm_of(engine) == {"a1.txt": True, "b.txt": True}
    assert engine.forget("papers", ()) == ()
    assert len(engine.shelf("papers").documents) == 2


def test_failures_say_below_which_root_they_lie(engine: Engine, papers: Editor) -> None:
    (root,) = papers.roots()
    papers.note_failure(root, "locked.pdf", "is encrypted")
    (failure,) = engine.shelf("papers").failed
    assert (failure.document, failure.root) == ("locked.pdf", root)


def test_an_ingest_that_waits_can_be_stopped(engine: Engine, papers: Editor, folder: Callable[..., Path]) -> None:
    root = folder({"new.txt": "Something new."})
    stopped: list[bool] = []
    with storage.lock(papers.folder / LOCK, "the library 'papers'"):
        told = engine.ingest("papers", root, stop=lambda: bool(stopped))
        first = next(told)
        assert isinstance(first, IngestProgress) and first.stage == "wait" and "papers" in first.document
        stopped.append(True)
        with pytest.raises(Cancelled):
            next(told)
    assert isinstance(list(engine.ingest("papers", root))[-1], IngestReport)


def test_the_shelf_says_how_much_of_a_document_is_warm(
    engine: Engine, shelf: Callable[..., Editor], settings: Settings, models: Any
) -> None:
    models.generator.apart = True
    library = shelf("papers", {"long.txt": LONG, "a.txt": LEASE})
    share = lambda: {one.document.path: one.share for one in engine.shelf("papers").documents}  # noqa: E731
    assert share() == {"long.txt": 0.0, "a.txt": 0.0}
    read = lambda: sum(len(message.blocks) for asked in models.generator.prompts for message in asked)  # noqa: E731
    list(engine.warm("papers", ("long.txt",), stop=lambda: read() >= 4))
    (long,) = [one for one in library.documents() if one.path == "long.txt"]
    chunks = library.chunk_counts()[long.id]
    assert share() == {"long.txt": pytest.approx(3 / chunks), "a.txt": 0.0} and chunks > 4
    passages = api.open_library("papers", settings=settings).status()["cached"]
    assert passages["passages"] == 3 and passages["bytes"] > 0
    list(engine.warm("papers"))
    assert share() == {"long.txt": 1.0, "a.txt": 1.0}


def test_an_exact_path_is_no_glob_and_its_first_page_is_shown(
    engine: Engine, shelf: Callable[..., Editor], put: Callable[..., None]
) -> None:
    made = shelf("papers", {"in/a.pdf": [LEASE, HANDBOOK], "b.txt": HANDBOOK, "[b].txt": LEASE, "c.txt": "of one"})
    put(made, "c.txt", "of another", root="/elsewhere")
    assert engine.page("papers", "in/a.pdf", exact=True).page.text == LEASE
    assert engine.page("papers", "in/a.pdf", 2, exact=True).page.text == HANDBOOK
    assert engine.page("papers", "[b].txt", exact=True).page.text == LEASE
    for name in ("*", "a.pdf", "./b.txt", "c.txt", "nothing"):
        with pytest.raises(NotFoundError) as caught:
            engine.page("papers", name, exact=True)
        assert "/elsewhere" not in caught.value.message + caught.value.hint
