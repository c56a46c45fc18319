"""Documents read ahead are those that a question finds read; what is more urgent comes first."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fakes import ScriptedGenerator

from localrag.answer import warming
from localrag.answer.assistant import Assistant
from localrag.cli.app import localrag
from localrag.events import PromptRead, Warmed
from localrag.llm import PromptCache, priority, prompt_cache
from localrag.llm.priority import Rank
from localrag.settings import Settings
from localrag.store.writer import Editor
from localrag.types import Message

Shelf = Callable[..., Editor]
LEASE, HANDBOOK = "The lease of Hall 3 ends on 31 May 2030.", "The kennel is open from 9 to 5."


@pytest.fixture
def papers(shelf: Shelf) -> Editor:
    return shelf("papers", {"handbook.txt": HANDBOOK, "lease.txt": LEASE})


def warm(library: Editor, model: ScriptedGenerator, settings: Settings, **options: Any) -> list[Warmed]:
    found = warming.pieces(library, library.documents(), model, settings)
    return list(warming.warm(library, found, model, settings, **options))


def test_each_document_is_read_as_a_question_on_it_is(papers: Editor, models: Any, settings: Settings) -> None:
    done = warm(papers, models.generator, settings)
    assert [event.piece.name for event in done if event.state == "kept"] == ["handbook.txt", "lease.txt"]
    read_ahead = models.generator.prompts[-1]
    assistant = Assistant(settings)
    list(assistant.ask("When does the lease end?", libraries=["papers"], documents=["lease.txt"], mode="read"))
    assistant.close()
    assert models.generator.prompts[-1][0] == read_ahead[0]
    hashes = {(document.sha256,) for document in papers.documents()}
    assert set(prompt_cache.warm(papers.folder, "scripted")) == hashes


def test_what_is_kept_is_passed_over(papers: Editor, models: Any, settings: Settings) -> None:
    warm(papers, models.generator, settings)
    models.generator.prompts.clear()
    found = warming.pieces(papers, papers.documents(), models.generator, settings)
    assert all(piece.kept for piece in found) and warm(papers, models.generator, settings) == []
    assert models.generator.prompts == []
    estimate = warming.estimate(papers, found, models.generator, settings)
    assert (estimate.pieces, estimate.kept, estimate.tokens, estimate.bytes) == (0, 2, 0, 0)


def test_a_long_document_is_read_by_its_sections(shelf: Shelf, models: Any, settings: Settings) -> None:
    long = shelf("long", {"long.txt": "\n\n".join(f"Paragraph {n} of the agreement. " * 20 for n in range(60))})
    settings = settings.with_options(read_tokens=1000)
    done = warm(long, models.generator, settings)
    kept = [event.piece for event in done if event.state == "kept"]
    assert len(kept) > 5 and all(piece.section and piece.tokens < 1000 for piece in kept)
    assert prompt_cache.warm(long.folder, "scripted") == {}  # none of them is the document


def test_no_kept_state_goes_for_one_that_nobody_asked_for(papers: Editor, models: Any, settings: Settings) -> None:
    papers_only = [document for document in papers.documents() if document.path == "lease.txt"]
    found = warming.pieces(papers, papers_only, models.generator, settings)
    list(warming.warm(papers, found, models.generator, settings))
    (kept,) = papers.folder.rglob("*.state")
    full = settings.with_options(cache_bytes=kept.stat().st_size)
    assert [event.state for event in warm(papers, models.generator, full)] == ["no room"]
    assert list(papers.folder.rglob("*.state")) == [kept]


class Slow(ScriptedGenerator):
    """Reads in ten steps, and goes on where it was stopped; `during` is called at each."""

    read_so_far = 0
    during: Callable[[int], None] = staticmethod(lambda step: None)

    def read(
        self, messages: Sequence[Message], *, stop: Callable[[], bool] | None = None, cache: PromptCache | None = None
    ) -> Iterator[PromptRead]:
        total = len(self.prefixes(messages)[-1].tokens)
        for step in range(self.read_so_far, 10):
            self.during(step)
            if stop is not None and stop():
                return
            self.read_so_far = step + 1
            yield PromptRead(total * self.read_so_far // 10, total)
        self.read_so_far = 0
        yield from super().read(messages, stop=stop, cache=cache)


def test_it_waits_for_a_question_and_goes_on_where_it_was(shelf: Shelf, settings: Settings, models: Any) -> None:
    library = shelf("one", {"lease.txt": LEASE})
    model = Slow()
    question: list[Any] = []

    def during(step: int) -> None:
        if step == 4 and not question:
            question.append(priority.asking(settings.questions_dir))
            question[0].__enter__()

    model.during = during
    states: list[str] = []
    with no_waiting(question):
        found = warming.pieces(library, library.documents(), model, settings)
        for event in warming.warm(library, found, model, settings):
            states.append(event.state)
    assert "waiting" in states and states[-1] == "kept" and states[: states.index("waiting")].count("reading") == 4


@contextmanager
def no_waiting(question: list[Any]) -> Iterator[None]:
    """The question ends when it is waited for."""
    patch = pytest.MonkeyPatch()

    def ended(folder: Path, stop: Callable[[], bool], rank: Rank) -> float:
        question[0].__exit__(None, None, None)
        assert not priority.wanted(folder, rank)
        return 0.1

    patch.setattr(priority, "give_way", ended)
    patch.setattr(priority, "_POLL_SECONDS", 0.0)
    try:
        yield
    finally:
        patch.undo()


def test_an_ingest_waits_for_it(papers: Editor, models: Any, settings: Settings) -> None:
    found = warming.pieces(papers, papers.documents(), models.generator, settings)
    under_way = warming.warm(papers, found, models.generator, settings)
    next(under_way)
    assert priority.wanted(settings.questions_dir, Rank.INGEST)
    assert not priority.wanted(settings.questions_dir, Rank.TYPING)
    under_way.close()  # type: ignore[attr-defined]
    assert not priority.wanted(settings.questions_dir, Rank.INGEST)


def test_stopped_it_keeps_what_is_whole_and_goes_on_from_there(papers: Editor, models: Any, settings: Settings) -> None:
    seen: list[Warmed] = []
    found = warming.pieces(papers, papers.documents(), models.generator, settings)
    for event in warming.warm(
        papers, found, models.generator, settings, stop=lambda: any(one.state == "kept" for one in seen)
    ):
        seen.append(event)
    assert [event.piece.name for event in seen if event.state == "kept"] == ["handbook.txt"]
    rest = warm(papers, models.generator, settings)
    assert [event.piece.name for event in rest if event.state == "kept"] == ["lease.txt"]


# --- the command --------------------------------------------------------------------------------------------


def run(*arguments: str) -> Any:
    return CliRunner().invoke(localrag, list(arguments), catch_exceptions=False)


def test_warm_prints_its_estimate_and_result(papers: Editor, models: Any) -> None:
    told = run("warm", "papers", "--estimate")
    assert "2 documents: 0 cached, 2 to read" in told.stderr and not list(papers.folder.rglob("*.state"))
    done = json.loads(run("warm", "papers", "--document", "lease*", "--json").stdout)
    assert done["kept"] == ["lease.txt"] and done["estimate"]["pieces"] == 1 and done["no_room"] == []
    again = run("warm", "papers")
    assert "1 cached, 1 to read" in again.stderr and "Cached 1 of 1" in again.stderr


def test_a_malformed_time_is_refused(papers: Editor, models: Any) -> None:
    for text in ("8", "h", "0m", "soon"):
        assert run("warm", "papers", "--for", text).exit_code == 2
    assert run("warm", "papers", "--for", "8h").exit_code == 0


def test_an_ingest_can_warm(folder: Callable[..., Path], models: Any, settings: Settings) -> None:
    root = folder({"lease.txt": LEASE})
    done = json.loads(run("ingest", str(root), "--name", "new", "--warm", "--json").stdout)
    assert done["read"] == ["lease.txt"] and done["warm"]["kept"] == ["lease.txt"]
    assert list(settings.library_dir("new").rglob("*.state"))
