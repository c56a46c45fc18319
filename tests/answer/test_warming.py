"""Documents read ahead are those that a question finds read; what is more urgent comes first."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing, contextmanager
from typing import Any

import pytest
import tiny_llamas
from click.testing import CliRunner
from fakes import ScriptedGenerator

from localrag.answer import warming
from localrag.answer.assistant import Assistant
from localrag.cli.app import localrag
from localrag.events import Answered, PromptRead, Warmed
from localrag.grounding import prompts
from localrag.llm import priority, prompt_cache
from localrag.llm.llama import LlamaGenerator
from localrag.llm.priority import Rank
from localrag.llm.prompt_cache import DiskPromptCache
from localrag.security import storage

LEASE, HANDBOOK = "The lease of Hall 3 ends on 31 May 2030.", "The kennel is open from 9 to 5."


@pytest.fixture
def papers(shelf):
    return shelf("papers", {"handbook.txt": HANDBOOK, "lease.txt": LEASE})


def warm(library, model, settings, **options):
    found = warming.pieces(library, library.documents(), model, settings)
    return list(warming.warm(library, found, model, settings, **options))


def test_each_document_is_read_as_a_question_on_it_is(papers, models, settings):
    done = warm(papers, models.generator, settings)
    assert [event.piece.name for event in done if event.state == "kept"] == ["handbook.txt", "lease.txt"]
    read_ahead = models.generator.prompts[-1]
    assistant = Assistant(settings)
    list(assistant.ask("When does the lease end?", libraries=["papers"], documents=["lease.txt"], mode="read"))
    assistant.close()
    assert models.generator.prompts[-1][0] == read_ahead[0]
    hashes = {(document.sha256,) for document in papers.documents()}
    assert set(prompt_cache.warm(papers.folder, "scripted")) == hashes


def test_what_is_kept_is_passed_over(papers, models, settings):
    warm(papers, models.generator, settings)
    models.generator.prompts.clear()
    found = warming.pieces(papers, papers.documents(), models.generator, settings)
    assert all(piece.kept for piece in found) and warm(papers, models.generator, settings) == []
    assert models.generator.prompts == []
    estimate = warming.estimate(papers, found, models.generator, settings)
    assert (estimate.pieces, estimate.kept, estimate.tokens, estimate.bytes) == (0, 2, 0, 0)


def test_a_long_document_is_read_by_its_sections(shelf, models, settings):
    long = shelf("long", {"long.txt": "\n\n".join(f"Paragraph {n} of the agreement. " * 20 for n in range(60))})
    settings = settings.with_options(read_tokens=1000)
    done = warm(long, models.generator, settings)
    kept = [event.piece for event in done if event.state == "kept"]
    assert len(kept) > 5 and all(piece.section and piece.tokens < 1000 for piece in kept)
    assert prompt_cache.warm(long.folder, "scripted") == {}  # none of them is the document


def test_no_kept_state_goes_for_one_that_nobody_asked_for(papers, models, settings):
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

    def read(self, messages, *, stop=None, cache=None):
        total = len(self.prefixes(messages)[-1].tokens)
        for step in range(self.read_so_far, 10):
            self.during(step)
            if stop is not None and stop():
                return
            self.read_so_far = step + 1
            yield PromptRead(total * self.read_so_far // 10, total)
        self.read_so_far = 0
        yield from super().read(messages, stop=stop, cache=cache)


def test_it_waits_for_a_question_and_goes_on_where_it_was(shelf, settings, models):
    library = shelf("one", {"lease.txt": LEASE})
    model = Slow()
    question: list[Any] = []

    def during(step):
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
def no_waiting(question):
    """The question ends when it is waited for."""
    patch = pytest.MonkeyPatch()

    def ended(folder, stop, rank):
        question[0].__exit__(None, None, None)
        assert not priority.wanted(folder, rank)
        return 0.1

    patch.setattr(priority, "give_way", ended)
    patch.setattr(priority, "_POLL_SECONDS", 0.0)
    try:
        yield
    finally:
        patch.undo()


def test_an_ingest_waits_for_it(papers, models, settings):
    found = warming.pieces(papers, papers.documents(), models.generator, settings)
    under_way = warming.warm(papers, found, models.generator, settings)
    next(under_way)
    assert priority.wanted(settings.questions_dir, Rank.INGEST)
    assert not priority.wanted(settings.questions_dir, Rank.TYPING)
    under_way.close()  # type: ignore[attr-defined]
    assert not priority.wanted(settings.questions_dir, Rank.INGEST)


def test_stopped_it_keeps_what_is_whole_and_goes_on_from_there(papers, models, settings):
    seen: list[Warmed] = []
    found = warming.pieces(papers, papers.documents(), models.generator, settings)
    for event in warming.warm(
        papers, found, models.generator, settings, stop=lambda: any(one.state == "kept" for one in seen)
    ):
        seen.append(event)
    assert [event.piece.name for event in seen if event.state == "kept"] == ["handbook.txt"]
    rest = warm(papers, models.generator, settings)
    assert [event.piece.name for event in rest if event.state == "kept"] == ["lease.txt"]


# --- passages, by a model that reads each by itself ------------------------------------------------------------

CLAUSES = "\n\n".join(f"Clause {n}. " + f"The fee of hall {n} is due in month {n}. " * 12 for n in range(12))


@pytest.fixture
def clauses(shelf, models):
    models.generator.apart = True
    return shelf("clauses", {"clauses.txt": CLAUSES, "lease.txt": LEASE})


def read_now(model):
    """The passages that were read by themselves."""
    return [block[0] for asked in model.prompts for message in asked for block in message.blocks]


def cached(library, model, asked):
    """Which passages of a prompt are in the cache of one of the documents."""
    caches = [DiskPromptCache(library.folder, "scripted", [one.sha256], 1 << 30) for one in library.documents()]
    return [any(cache.has(key) for cache in caches) for key in model.prefixes(asked)]


def test_a_look_up_finds_what_was_warmed_but_passages_that_follow_another(clauses, models, settings):
    done = warm(clauses, models.generator, settings)
    kept = [event.piece.name for event in done if event.state == "kept"]
    assert kept == ["clauses.txt, passages", "lease.txt, passages", "clauses.txt", "lease.txt"]
    with closing(Assistant(settings)) as assistant:
        *_, last = assistant.ask("When is the fee of hall 3 due?", libraries=["clauses"], mode="retrieve")
    asked = models.generator.written[-1]
    follows = [n > 0 for block in asked[1].blocks for n in range(len(block))]
    assert cached(clauses, models.generator, asked) == [not one for one in follows]
    assert isinstance(last, Answered) and len(asked[1].blocks) == len(last.answer.passages) > 0
    with clauses.snapshot():
        whole = {one.sha256: one.characters for one in clauses.documents()}
        assert prompt_cache.passages(clauses.folder, "scripted", whole).keys() == whole.keys()


def test_after_warming_a_model_reads_nothing_but_the_question(clauses, settings, tmp_path):
    def ask():
        model = LlamaGenerator("tiny", tiny_llamas.full(tmp_path / "tiny.gguf"), threads=1)
        with closing(Assistant(settings, model)) as assistant:
            *_, last = assistant.ask("When is the fee of hall 3 due?", libraries=["clauses"], mode="retrieve")
        assert isinstance(last, Answered)
        return last.answer

    with closing(LlamaGenerator("tiny", tiny_llamas.full(tmp_path / "tiny.gguf"), threads=1)) as model:
        warm(clauses, model, settings)
        assert all(piece.kept for piece in warming.pieces(clauses, clauses.documents(), model, settings))
    first = ask()
    storage.remove(clauses.folder / "cache")
    cold = ask()
    assert first.answer == cold.answer and first.confidence == cold.confidence
    # What is not reused: the question, what is asked of it, and the first tokens of each passage in its place.
    assert first.tokens.prompt - first.tokens.reused < 0.3 * cold.tokens.prompt


def test_a_stopped_warming_reads_only_the_passages_that_are_left(clauses, models, settings):
    model = models.generator
    every = [
        prompts.passages_prompt("", [one])[1].blocks[0][0] for one in warming.passages_of(clauses, document(clauses))
    ]
    warm(clauses, model, settings, stop=lambda: len(read_now(model)) >= 3)
    assert read_now(model) == every[:3]  # the third was begun
    (rest, *_) = warming.pieces(clauses, clauses.documents(), model, settings)
    assert rest.apart and not rest.kept
    model.prompts.clear()
    warm(clauses, model, settings)
    assert read_now(model)[: len(every) - 2] == every[2:]
    assert warming.pieces(clauses, clauses.documents(), model, settings)[0].kept


def document(library):
    return next(one for one in library.documents() if one.path == "clauses.txt")


def test_passages_take_half_the_bytes_and_drop_nothing(clauses, models, settings):
    found = warming.pieces(clauses, clauses.documents(), models.generator, settings)
    whole, apart = ([one for one in found if one.apart is kind] for kind in (False, True))
    sizes = [warming.estimate(clauses, some, models.generator, settings).bytes for some in (whole, apart)]
    assert 0 < sizes[1] < 0.8 * sizes[0]
    tiny = settings.with_options(cache_bytes=1)
    assert {event.state for event in warm(clauses, models.generator, tiny)} == {"no room"}


def test_the_only_document_is_read_whole_and_one_that_is_too_long_by_passages(shelf, models, settings):
    models.generator.apart = True
    only = shelf("only", {"clauses.txt": CLAUSES})
    assert [one.apart for one in warming.pieces(only, only.documents(), models.generator, settings)] == [False]
    short = settings.with_options(read_tokens=400)
    assert warming.pieces(only, only.documents(), models.generator, short)[0].apart


def test_a_draft_reads_passages_that_a_changed_question_shares(clauses, models, settings):
    model = models.generator
    with closing(Assistant(settings)) as assistant:
        seen = list(assistant.read_ahead(libraries=["clauses"], draft="When is the fee of hall 3", mode="retrieve"))
        assert not settings.audit_file.exists() and not any(asked[-1].tail for asked in model.prompts)
        assert {event.piece.apart for event in seen} == {True} and seen[-1].state == "kept"
        own, ahead = model.prompts[0][1].blocks, read_now(model)
        assert len(own) < len(set(ahead)) <= 20 + len(own)
        again = list(assistant.read_ahead(libraries=["clauses"], draft="When is the fee of hall 3", mode="retrieve"))
        assert again == [], "what is cached is not read again"
        list(assistant.ask("What is the fee of hall 3 or 4?", libraries=["clauses"], mode="retrieve"))
    assert sum(cached(clauses, model, model.prompts[-1])) >= len(own) - 1


def test_it_gives_way_at_once_and_reads_on_later(clauses, models, settings):
    model, draft = models.generator, "When is the fee of hall 3"
    stops = lambda: len(model.prompts) >= 2  # noqa: E731
    with closing(Assistant(settings)) as assistant:
        list(assistant.read_ahead(libraries=["clauses"], draft=draft, mode="retrieve", stop=stops))
        assert len(model.prompts) == 2
        states = [one.state for one in assistant.read_ahead(libraries=["clauses"], draft=draft, mode="retrieve")]
    assert "kept" in states and not priority.wanted(settings.questions_dir, Rank.INGEST)


# --- the command --------------------------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(localrag, list(arguments), catch_exceptions=False)


def test_warm_prints_its_estimate_and_result(papers, models):
    told = run("warm", "papers", "--estimate")
    assert "2 documents: 0 cached, 2 to read" in told.stderr and not list(papers.folder.rglob("*.state"))
    done = json.loads(run("warm", "papers", "--document", "lease*", "--json").stdout)
    assert done["kept"] == ["lease.txt"] and done["estimate"]["pieces"] == 1 and done["no_room"] == []
    again = run("warm", "papers")
    assert "1 cached, 1 to read" in again.stderr and "Cached 1 of 1" in again.stderr


def test_a_malformed_time_is_refused(papers, models):
    for text in ("8", "h", "0m", "soon"):
        assert run("warm", "papers", "--for", text).exit_code == 2
    assert run("warm", "papers", "--for", "8h").exit_code == 0


def test_a_time_that_is_over_at_once_leaves_the_plan_whole(papers, models, settings):
    cut = warming.warm_library("papers", (), settings, seconds=0)
    whole = warming.warm_library("papers", (), settings, only_estimate=True)
    assert cut["kept"] == [] and cut["left"] == whole["estimate"]["pieces"] > 0, "the plan is not cut short"


def test_an_ingest_can_warm(folder, models, settings):
    root = folder({"lease.txt": LEASE})
    done = json.loads(run("ingest", str(root), "--name", "new", "--warm", "--json").stdout)
    assert done["read"] == ["lease.txt"] and done["warm"]["kept"] == ["lease.txt"]
    assert list(settings.library_dir("new").rglob("*.state"))
