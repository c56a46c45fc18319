"""Answer a question, from top to bottom. It yields events and prints nothing.

    prepare -> complete a follow-up -> plan -> exact | survey | read | retrieve -> check -> record

The values handed on are in `stages.py`; how each plan answers is in `exact/`, `survey/` and `answering.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from localrag.answer import answering, comparison, decomposition, followups, planning
from localrag.answer.planning import BACKGROUND
from localrag.errors import EmbedderMismatch, ModelError, StorageError, UsageError
from localrag.events import (
    Answered,
    Delta,
    Event,
    Found,
    Notice,
    Planned,
    Reasoning,
    Reviewed,
    ReviewEnded,
    Surveyed,
    Warmed,
    Writing,
)
from localrag.grounding import context, prompt_injection, prompts
from localrag.grounding.context import Unit
from localrag.grounding.stages import Findings, Pair, Prompt, Query, Route
from localrag.items.clause_questions import ClauseQuestions
from localrag.llm import Generator as Model
from localrag.llm import PromptCache, calibration, loading, priority, prompt_cache
from localrag.llm.prompt_cache import DiskPromptCache, PassageCache
from localrag.models import endpoint
from localrag.search import filters, retrieval
from localrag.search.retrieval import Searcher
from localrag.security import audit
from localrag.security.audit import AuditEvent
from localrag.settings import Settings
from localrag.store import names
from localrag.store.library import Library
from localrag.types import (
    MODES,
    Answer,
    Citation,
    Decision,
    Filter,
    Finding,
    Mode,
    NotRead,
    Passage,
    Seconds,
    Turn,
    Usage,
    Verdict,
)

if TYPE_CHECKING:
    from localrag.items.deadlines import Deadline
    from localrag.items.engine import Tools
    from localrag.items.extraction import Each
    from localrag.items.playbook import Playbook
    from localrag.items.schema import Schema

# Passages read for a question and ahead of the next: with so many, three quarters of those of the next are there
# (docs/decisions/0049-passage-cache.md).
_AHEAD = 20
_MAX_HIGHLIGHTS = 3  # sentences shown once more before a question for a short answer
_PART_READ = "It is too long to be read at once, so the part of it that fits the question best is read."


# How a question is answered: events, and at the end what was found.
Way = Generator[Event, None, Findings]


class Assistant:
    """Answers questions, and keeps the model, the embedders and open libraries loaded. Use it from one thread.

    `generator` is the model that answers, instead of the one in the settings.
    """

    def __init__(self, settings: Settings, generator: Model | None = None) -> None:
        audit.record_refusals(settings.audit_file)
        self._settings = settings
        self._generator = generator
        self._searcher = Searcher(settings)
        self._clause_questions = ClauseQuestions(self._searcher)

    def ask(
        self,
        question: str,
        *,
        libraries: Sequence[str],
        documents: Filter | Sequence[str] | None = None,
        mode: Mode = "auto",
        history: Sequence[Turn] = (),
        reproducible: bool = False,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Event]:
        """Answer a question; the last event is `Answered`.

        Args:
            documents: globs over document paths within the libraries, or a filter; None looks in all.
            mode: forces a plan, or "auto"; with "extract", the question is a schema (see `extract`).
            history: earlier turns, oldest first.
            reproducible: plan without regard to the prompt cache and the speed of this machine, so that the same
                question, model, build, settings and seed give the same answer.
            stop: polled throughout; True ends the answer early.

        Raises:
            UsageError: an empty question, no library, or a mode that cannot be.
            NotFoundError: a library or document that is not there.
            ModelError: no model, or the question does not fit its window.
        """
        if mode == "extract":
            from localrag.items import schema

            yield from self.extract(schema.parse(question), libraries=libraries, documents=documents, stop=stop)
            return
        with priority.asking(self._settings.questions_dir):
            query = self._prepare(question, libraries, filters.of(documents), mode, history, stop)
            query = self._complete_followup(query)
            route = self._plan(query, reproducible)
            yield Planned(route.plan, query.search_text if query.search_text != query.text else "")
            ways = {"exact": self._exact, "survey": self._survey, "read": self._read, "retrieve": self._retrieve}
            found, first_token = yield from _timed(ways[route.plan.kind](query, route), query)
            answer = self._answer(query, route, found, first_token)
            try:  # its words were shown while they were written, so a failure does not withhold it
                self._record(
                    query.libraries,
                    "ask",
                    query.text,
                    answer.answer,
                    (*answer.citations, *answer.nearest),
                    query.documents,
                    plan=answer.plan.kind,
                    found=answer.found,
                    model=answer.model or "",
                    settings=self._settings.digest,
                    **_elsewhere(answer.read_by),
                )
            except StorageError as error:
                yield Notice(f"The audit record lacks this question: {error.message}. {error.hint}")
            yield Answered(answer)

    def _prepare(
        self,
        question: str,
        libraries: Sequence[str],
        only: Filter,
        mode: Mode,
        history: Sequence[Turn],
        stop: Callable[[], bool],
    ) -> Query:
        """Check what was asked, open the libraries, and choose the documents that the filter lets through."""
        if not question.strip():
            raise UsageError("the question is empty", 'Put it in quotes: localrag ask "When does the lease end?"')
        if not libraries:
            raise UsageError("no library was named", "Name one with --library; `localrag libraries` lists them.")
        if mode not in MODES:
            raise UsageError(f"unknown mode {mode!r}", f"Modes: {', '.join(MODES)}.")
        opened = [self.library(name) for name in libraries]
        chosen = filters.chosen(opened, only)
        return Query(
            question.strip(),
            opened,
            only,
            chosen.documents,
            history,
            mode,
            instructions=prompts.instructions_of(opened),
            not_read=(*chosen.left_out, *context.not_read(chosen.documents, opened, only)),
            stop=stop,
            strict=self._settings.strict,
        )

    def _complete_followup(self, query: Query) -> Query:
        """Set what is looked up: the question, joined to those before it where it leans on them, spelled right."""
        text = query.text
        if followups.leans(text, query.history):
            text = followups.joined(text, query.history)
        return replace(query, search_text=retrieval.spelled(query.libraries, text))

    def _plan(self, query: Query, reproducible: bool) -> Route:
        known = self._calibration()
        resources = planning.Resources(
            search=self._search,
            clause=self._clause,
            model=self._model,
            cached=(lambda documents: 0) if reproducible else self._cached_tokens,
            seconds=(lambda tokens, behind: None) if reproducible else known.seconds_to_read,
            retrieve_tokens=self._settings.prompt_tokens,
            read_tokens=self._read_limit(),
        )
        return planning.route(query, resources)

    def _exact(self, query: Query, route: Route) -> Way:
        """Count, find or list by code, without a model."""
        from localrag.answer.exact import parsing, search

        task = parsing.parse(query.text, query.only.documents)
        if task is None:
            raise UsageError("this question cannot be answered exactly by code", "Ask it in another mode.")
        done = search.run(task, query.documents, query.only, query.stop)
        yield from ()
        return Findings(
            done.text, done.found, route.plan, citations=done.citations, table=done.rows, stopped=done.stopped
        )

    def _survey(self, query: Query, route: Route) -> Way:
        """Ask each document by itself, or each side of a comparison, or summarise from the bottom up."""
        from localrag.answer import survey

        if route.sides:
            return (yield from self._compare(query, route))
        usage = Usage()
        if followups.leans(query.text, query.history):
            # The documents of a survey are asked without the conversation, so the question must be complete.
            text, usage = followups.rewritten(query.text, query.history, self._model(), stop=query.stop)
            query = replace(query, search_text=retrieval.spelled(query.libraries, text) if text else query.search_text)
        if route.plan.signals.get("kind") == "summary" and route.reading:
            # One of many documents that is too long to be read at once: its parts are summarised, not all the others.
            query = replace(query, documents=route.reading)
        budget = answering.budget(self._model(), self._settings, query, self._settings.prompt_tokens)
        found = yield from survey.answer(query, route.plan, self._tools(budget))
        return replace(found, tokens=found.tokens + usage)

    def _tools(self, budget: int) -> Tools:
        from localrag.items.engine import Tools

        model = self._model()
        known = calibration.load(self._settings.calibration_file, model.model)
        return Tools(
            model,
            self._searcher,
            self._clause_questions.odds,
            self._cache,
            self._cached_tokens,
            self._settings,
            budget,
            known.answer_from,
        )

    def _compare(self, query: Query, route: Route) -> Way:
        """Ask each side of a comparison by itself, unless code computes what is asked."""
        from localrag.answer.table_qa import calculation

        hits = route.hits or tuple(self._search(query, BACKGROUND))
        plan = replace(route.plan, kind="retrieve", reason="Code computes what is compared.")
        computed = replace(route, plan=plan, hits=hits)
        prompt = self._passage_prompt(query, computed)
        if prompt is not None and calculation.answer(query, computed, prompt) is not None:
            yield Planned(plan)
            return (yield from self._from_passages(query, computed))
        return (yield from comparison.answer(query, route, self._retrieve_part))

    def _read(self, query: Query, route: Route) -> Way:
        """Answer from whole documents, or from the best part of one; from passages where they do not fit."""
        model, plan = self._model(), route.plan
        limit = answering.budget(model, self._settings, query, model.window)
        units = _units(query, route)
        tokens = _tokens(units, model)
        if tokens > limit and len(units) == 1:
            units = self._best_part(query, route, units[0])
            tokens = _tokens(units, model)
            plan = replace(plan, reason=f"{plan.reason} {_PART_READ}")
            yield Planned(plan)
        if not units:
            return Findings(prompts.NOT_FOUND, False, plan, model=model.model)
        if tokens > limit:
            yield Notice(
                f"The documents have {tokens:,} tokens and {limit:,} fit the window: looking up passages instead."
            )
            plan = replace(plan, kind="retrieve", reason=f"{plan.reason} It did not fit the window.")
            yield Planned(plan)
            return (yield from self._retrieve(query, replace(route, plan=plan)))
        prompt = self._document_prompt(query, units, tokens, limit)
        return (yield from answering.answer(query, replace(route, plan=plan), prompt, model, self._settings))

    def _retrieve(self, query: Query, route: Route) -> Way:
        """Answer from passages; a question that asks several things part by part."""
        parts = decomposition.parts(query.text)
        if parts:
            return (yield from decomposition.answer(query, route, parts, self._retrieve_part))
        return (yield from self._from_passages(query, route))

    def _retrieve_part(self, query: Query, route: Route) -> Way:
        """Answer one part of a question that asks several things."""
        query = replace(query, search_text=retrieval.spelled(query.libraries, query.search_text))
        began = time.monotonic()
        hits = self._search(query, BACKGROUND)
        searching = time.monotonic() - began
        clause = self._clause(query, query.documents)
        plan = route.plan.with_signals(**planning.fit_signals(hits), clause=clause)
        found = yield from self._from_passages(query, Route(plan, hits=tuple(hits)))
        return replace(found, searching=searching)

    def _from_passages(self, query: Query, route: Route) -> Way:
        model = self._model()
        prompt = self._passage_prompt(query, route)
        if prompt is None:
            return Findings(prompts.NOT_FOUND, False, route.plan, model=model.model)
        yield Found(tuple(prompt.passages))
        return (yield from answering.answer(query, route, prompt, model, self._settings))

    def _answer(self, query: Query, route: Route, found: Findings, first_token: float | None) -> Answer:
        """Make the answer of findings: as strict mode lets them pass, with their cost and what was not read."""
        if query.strict:
            from localrag.answer import checking

            strict = checking.strictly(found)
            newly = strict.withheld != found.withheld
            found = checking.with_nearest(strict, query, strict.passages) if newly else strict
        values = {name: getattr(found, name) for name in Findings.__slots__ if name != "searching"}
        values |= {
            "tokens": found.tokens + route.usage,
            "looked_for": found.looked_for or query.search_text,
            "not_read": tuple(dict.fromkeys((*found.not_read, *query.not_read))),
        }
        return Answer(
            query.text,
            **values,
            seconds=Seconds(
                route.seconds.route, route.seconds.retrieve + found.searching, first_token, query.elapsed()
            ),
            embedder=", ".join(sorted({library.identity.model for library in query.libraries})),
            read_by=self._read_by(query.libraries) if route.plan.kind != "exact" else "",
        )

    def _read_by(self, libraries: Sequence[Library]) -> str:
        """Return the other machines that read the question or text of these libraries."""
        settings = self._settings
        served = self._generator is not None and settings.generator_server
        embedded = any(library.identity.engine == "server" for library in libraries) and settings.embedder_server
        return ", ".join(
            dict.fromkeys(
                str(endpoint.parsed(url, setting))
                for url, setting in ((served, "generator_server"), (embedded, "embedder_server"))
                if url
            )
        )

    def _record(
        self,
        libraries: Sequence[Library],
        event: AuditEvent,
        question: str,
        answer: str,
        seen: Sequence[Citation | Passage],
        among: Sequence[Pair] = (),
        **details: Any,
    ) -> None:
        """Record a question in each log; with words if they are kept and no document `among` those was forgotten."""
        from localrag.security.encryption import unlocked

        # What is answered from an encrypted library, too, is not kept in clear beside another.
        encrypted = [library for library in libraries if unlocked.encrypted_folder(library.folder)]
        for library in libraries:
            if not names.holds(library.folder):
                continue  # it was forgotten meanwhile, with its record
            file = self._settings.library_audit_file(library.name)
            pages = {(one.document, one.page or 0) for one in seen if one.library == library.name}
            hashes = library.hashes({document for document, _ in pages})  # names of documents may change
            shown = [f"{hashes.get(document, 'forgotten')}#{page}" for document, page in sorted(pages)]
            number = audit.record(file, event, library.name, question=question, answer=answer, shown=shown, **details)
            if self._settings.audit_words == "full" and (not encrypted or library in encrypted):
                with audit.locked(file):
                    if names.holds(library.folder, [document.path for held, document in among if held is library]):
                        audit.keep_words(file, number, question, answer)

    def _passage_prompt(self, query: Query, route: Route) -> Prompt | None:
        """Return the prompt with the best passages; None where there is none."""
        from localrag.grounding import citations

        hits = (route.hits or self._search(query, BACKGROUND))[: self._settings.passages]
        if not hits:
            return None
        model = self._model()
        budget = answering.budget(model, self._settings, query, self._settings.prompt_tokens)
        fitted = prompts.fit(hits, query.history, budget, model.count)
        ordered = retrieval.in_reading_order(fitted.taken)
        passages = retrieval.merged(ordered, query.libraries)
        # A 1.5B model explains better what it has read in one go (docs/decisions/0049-passage-cache.md).
        short = self._settings.answer_form == "short"
        together = not short and answering.explains(query)
        used = answering.window_use(model, fitted.tokens, fitted.history, query)
        highlights: list[Passage] = []
        if short:
            clean = [replace(passage, text=prompt_injection.removed(passage.text)) for passage in passages]
            found = citations.relevant_sentences(query.search_text, clean, _MAX_HIGHLIGHTS)
            tokens = fitted.tokens + model.count(prompts.again(found))
            more = answering.window_use(model, tokens, fitted.history, query)
            if more["free"] >= min(self._settings.answer_tokens, model.window // 4):
                highlights, used = found, more
        return Prompt(
            prompts.passages_prompt(query.text, ordered, fitted.history, together=together, highlights=highlights),
            passages,
            None if together else self._passage_cache([run[0] for run in prompts.runs(ordered)], query.documents),
            context=used,
            looked_at=context.share_read(passages, query.documents, query.only)
            + context.history_read(fitted.shortened, fitted.left_out),
        )

    def _document_prompt(self, query: Query, units: Sequence[Unit], tokens: int, limit: int) -> Prompt:
        model = self._model()
        fitted = prompts.fit([], query.history, max(0, limit - tokens), model.count)
        part = units[-1].name if units[-1].section else context.pages_named(query.only)
        return Prompt(
            prompts.documents_prompt(query.text, [(unit.name, unit.text) for unit in units], fitted.history),
            [passage for unit in units for passage in unit.passages],
            self._cache([unit.pair for unit in units], part),
            context=answering.window_use(model, tokens, fitted.history, query),
            looked_at=context.whole_read(units, query.documents, query.only)
            + context.history_read(fitted.shortened, fitted.left_out),
        )

    def _best_part(self, query: Query, route: Route, whole: Unit) -> list[Unit]:
        """Return the section that holds the best passage of a document, or the two that it reaches into."""
        from localrag.grounding import sections

        library, document = whole.pair
        hits = route.hits or self._search(query, BACKGROUND)
        own = [hit for hit in hits if (hit.library, hit.document_id) == (library.name, document.id)]
        room = sections.room(self._model(), self._settings)
        # Each is half of what the model can use.
        parts = sections.units_of(whole.pair, query.only, self._model(), room)
        return [part for part in parts if own and part.holds(own[0])][:2] or parts[:1]

    def load(self) -> str:
        """Load the model that answers ahead of time (seconds); return its id."""
        return self._model().model

    def _model(self) -> Model:
        if self._generator is None:
            self._generator = loading.load_generator(self._settings)
        return self._generator

    def _calibration(self) -> calibration.Calibration:
        """Return what is known of the model that answers, without loading it."""
        return calibration.load(self._settings.calibration_file, loading.generator_name(self._settings))

    def _read_limit(self) -> int:
        return calibration.read_limit(self._settings, loading.generator_name(self._settings))

    def embed(self, texts: Sequence[str], *, library: str, question: bool = False) -> tuple[tuple[float, ...], ...]:
        """Return a vector of each text by the embedder of a library; `question`: as it makes those of questions."""
        embedder = self._searcher.embedder(self.library(library))
        vectors = [embedder.embed_question(text) for text in texts] if question else embedder.embed_documents(texts)
        return tuple(tuple(map(float, vector)) for vector in vectors)

    def library(self, name: str) -> Library:
        """Return an open library, for reading."""
        return self._searcher.library(name)

    def close(self) -> None:
        """Free memory and files."""
        if self._generator is not None:
            self._generator.close()
        self._generator = None
        self._searcher.close()

    def configure(self, settings: Settings) -> None:
        """Take other settings from the next question on; the model stays loaded where they do not change it."""
        before, self._settings = self._settings, settings
        if not loading.same_model(before, settings):
            self.close()
        self._searcher.configure(settings)

    def _cache(self, documents: Sequence[Pair], part: str = "") -> PromptCache | None:
        """Return the prompt cache of these documents, or of a part of them."""
        if len({library.name for library, _ in documents}) > 1:
            # It would lie in one of the libraries, and outlive what is deleted from another.
            return None
        if self._settings.generator_server:
            return None
        hashes = [document.sha256 for _, document in documents]
        identity, folder = loading.generator_identity(self._settings), documents[0][0].folder
        held = partial(names.holds, folder, [document.path for _, document in documents])
        return DiskPromptCache(folder, identity, hashes, self._settings.cache_bytes, part=part, held=held)

    def _passage_cache(self, passages: Sequence[Passage], among: Sequence[Pair]) -> PromptCache | None:
        """Return the prompt cache of these passages, each in its library."""
        if self._settings.generator_server:
            return None
        pairs = {(library.name, document.id): (library, document) for library, document in among}
        identity, limit = loading.generator_identity(self._settings), self._settings.cache_bytes
        caches = []
        for passage in passages:
            library, document = pairs[passage.library, passage.document_id]
            held = partial(names.holds, library.folder, [document.path])
            caches.append(DiskPromptCache(library.folder, identity, [document.sha256], limit, held=held))
        return PassageCache(caches)

    def _cached_tokens(self, documents: Sequence[Pair]) -> int:
        """Return the tokens in the prompt cache of exactly these documents, or 0."""
        if len({library.name for library, _ in documents}) > 1:
            return 0
        try:
            identity = loading.generator_identity(self._settings)
        except ModelError:
            return 0  # reported once a model is needed
        cached = prompt_cache.warm(documents[0][0].folder, identity)
        return cached.get(tuple(document.sha256 for _, document in documents), 0)

    def _search(self, query: Query, k: int) -> list[Passage]:
        known = {(library.name, document.id) for library, document in query.documents}  # an ingest may add others
        hits = self._searcher.find(query.libraries, query.search_text, k, query.only)
        return [hit for hit in hits if (hit.library, hit.document_id) in known]

    def _clause(self, query: Query, documents: Sequence[Pair]) -> float | None:
        """Return the log odds that the document has the clause asked for; None for several, or another question."""
        if len(documents) != 1:
            return None
        try:
            return self._clause_questions.odds(query.search_text, documents[0])
        except (ModelError, EmbedderMismatch):
            return None  # a document that is read whole needs no embedder; a search has told that it is missing

    def search(
        self,
        question: str,
        *,
        libraries: Sequence[str],
        k: int = 10,
        documents: Filter | Sequence[str] | None = None,
        join: bool = True,
    ) -> list[Passage]:
        """Return the k best passages, best first, adjacent ones joined, once recorded; no generator is loaded."""
        with priority.asking(self._settings.questions_dir):
            opened = [self.library(name) for name in libraries]
            found = self._searcher.find(opened, retrieval.spelled(opened, question), k, documents, join=join)
        self._record(opened, "search", question, "", found, **_elsewhere(self._read_by(opened)))
        return found

    def review(
        self,
        playbook: Playbook,
        *,
        libraries: Sequence[str],
        documents: Filter | Sequence[str] | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Reviewed | ReviewEnded]:
        """Check documents against a playbook; the last event is `ReviewEnded`. What was found before is kept.

        Raises NotFoundError for a library or document that is not there, ModelError without a model.
        """
        from localrag.items import review

        opened = [self.library(name) for name in libraries]
        chosen = filters.chosen(opened, filters.of(documents))
        name = loading.generator_name(self._settings)
        tools = partial(self._tools, self._settings.prompt_tokens)
        work = review.Work(playbook, self._searcher, tools, name, stop)
        findings: list[Finding] = []
        with priority.asking(self._settings.questions_dir):
            for event in review.run(chosen.documents, work):
                findings.append(event.finding)
                yield event
        cited = [one.citation for one in findings if one.new and one.citation is not None]
        self._record(
            opened,
            "review",
            playbook.title,
            "",
            cited,
            chosen.documents,
            model=name,
            stopped=work.stopped,
            items=len(playbook.items),
            documents=len(chosen.documents),
            **review.counts(findings),
            **_elsewhere(self._read_by(opened)),
        )
        left = (*chosen.left_out, *context.not_read(chosen.documents, opened, filters.of(documents)), *work.injections)
        yield ReviewEnded(tuple(review.ordered(findings)), tuple(dict.fromkeys(left)), work.stopped)

    def dates(
        self,
        *,
        libraries: Sequence[str],
        documents: Filter | Sequence[str] | None = None,
        since: str = "",
        until: str = "",
        stop: Callable[[], bool] = lambda: False,
    ) -> tuple[list[Deadline], tuple[NotRead, ...]]:
        """Return the deadlines in documents by date (those without one last, or left out of a period), once recorded.

        Also returns what was not read; `stop` is polled at every document.
        """
        from localrag.answer.checks import conflicts
        from localrag.answer.checks.related_documents import Related
        from localrag.items import deadlines
        from localrag.store.reviews import Reviews

        opened = [self.library(name) for name in libraries]
        chosen = filters.chosen(opened, filters.of(documents))
        found: list[Deadline] = []
        read = list(takewhile(lambda pair: not stop(), chosen.documents))
        related = {library.name: Related(library, library.documents()) for library in opened}
        for library, document in read:
            pages, reviewed = library.pages(document.id), Reviews(library).of(document).dated
            own = deadlines.find(library.name, document.path, pages, reviewed)
            with library.snapshot():
                amended = conflicts.amended(library, document, related[library.name]) if own else ()
                found += deadlines.with_amendments(own, amended)
        period = bool(since or until)
        found = [one for one in found if not period or (one.date and filters.within(since, one.date, until))]
        self._record(opened, "dates", "", "", [one.citation for one in found], documents=len(read), dates=len(found))
        return sorted(found, key=lambda one: one.date or "~"), context.not_read(read, opened, filters.of(documents))

    def decide(
        self,
        playbook: Playbook,
        item: str,
        library: str,
        document: str,
        verdict: Verdict | None = None,
        comment: str | None = None,
    ) -> Decision:
        """Keep what the reviewer decided of an item of a playbook in a document, and record it.

        What is not given stays as it was decided before. Raises UsageError for a document that was not reviewed.
        """
        from localrag.store import reviews

        opened = self.library(library)
        found = opened.document(document)
        kept = reviews.Reviews(opened)
        if not kept.of(found).looked or playbook.title not in kept.runs():
            problem = f"{found.path!r} was not reviewed with the playbook {playbook.title!r}"
            raise UsageError(problem, "Review it first: localrag review PLAYBOOK --document PATH")
        before = kept.of(found).decisions.get(playbook.title, {}).get(playbook.item(item).id, Decision("open"))
        verdict = verdict or before.verdict
        comment = before.comment if comment is None else comment
        decision = Decision(verdict, comment, audit.user(), reviews.now())
        kept.decide(found, playbook.title, playbook.item(item).id, decision)
        place = Citation(library, found.path, None, None, "", "", 0, 0, 0)
        self._record(
            [opened], "review", playbook.title, comment, [place], [(opened, found)], item=item, verdict=verdict
        )
        return decision

    def extract(
        self,
        schema: Schema,
        *,
        libraries: Sequence[str],
        documents: Filter | Sequence[str] | None = None,
        each: Each = "document",
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Event]:
        """Fill a table from documents by a schema; the last event is `Answered`, with its rows.

        Raises NotFoundError for a library or document that is not there, ModelError where the model is needed and none
        is installed.
        """
        from localrag.items import extraction

        schema = schema.by_line() if each == "row" else schema
        with priority.asking(self._settings.questions_dir):
            query = self._prepare(str(schema), libraries, filters.of(documents), "survey", (), stop)
            tools = partial(self._tools, self._settings.prompt_tokens)
            asks = loading.generator_name(self._settings), self._settings.prompt_tokens
            found = yield from extraction.answer(extraction.Work(schema, each, query, tools, asks))
            answer = self._answer(query, Route(found.plan), found, None)
            self._record(
                query.libraries,
                "ask",
                query.text,
                answer.answer,
                answer.citations,
                query.documents,
                plan="extract",
                found=answer.found,
                model=answer.model or "",
                settings=self._settings.digest,
                **_elsewhere(answer.read_by),
            )
        yield Answered(answer)

    def spelled(self, question: str, libraries: Sequence[str]) -> str:
        """Return the question as `search` looks for it, with words corrected that none of the libraries holds."""
        return retrieval.spelled([self.library(name) for name in libraries], question)

    def left_out(self, libraries: Sequence[str], only: Filter) -> tuple[NotRead, ...]:
        """Count the documents that a filter leaves out only because their date, or their pages, are not known."""
        return filters.chosen([self.library(name) for name in libraries], only).left_out

    def warm(
        self, library: str, documents: Sequence[str] = (), *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Warmed]:
        """Read these documents (by exact paths; without any, all) ahead of time; see `warming.one_by_one`."""
        from localrag.answer import warming

        opened, wanted = self.library(library), frozenset(documents)
        chosen = [document for document in opened.documents() if not wanted or document.path in wanted]
        yield from warming.one_by_one(opened, chosen, self._model(), self._settings, stop)

    def read_ahead(
        self,
        *,
        libraries: Sequence[str],
        documents: Filter | Sequence[str] | None = None,
        likely: Sequence[tuple[str, str]] = (),
        draft: str = "",
        mode: Mode = "auto",
        history: Sequence[Turn] = (),
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Warmed]:
        """Read what the next question is likely to be answered from, while the person types it.

        A `draft` of a question selects what it would be answered from unchanged: passages, or a document; after its
        passages come those beside the best of them and the next in rank. Else it is the only document, or the first of
        `likely` (library and path, as the last answer cites them) that passes the filter. Documents that could not be
        read whole later, or are as short as their passages, are skipped. Nothing of a draft is recorded.
        """
        from localrag.answer import warming

        if self._settings.generator_server:
            return  # nothing is sent before the person asks
        typing = priority.Rank.TYPING
        if draft.strip():
            with priority.asking(self._settings.questions_dir, typing):
                urgent = priority.watch(self._settings.questions_dir, typing)
                halt = lambda: stop() or urgent()  # noqa: E731
                query = self._prepare(draft, libraries, filters.of(documents), mode, history, halt)
                more = self._read_for_draft(query)
            yield from self._read_more(query, more, stop)
            return
        only = filters.of(documents)
        pairs = filters.chosen([self.library(name) for name in libraries], only).documents
        by_name = {(library.name, document.path): (library, document) for library, document in pairs}
        named = [by_name[name] for name in likely if name in by_name]
        for library, document in (pairs if len(pairs) == 1 else named)[:1]:
            tokens = document.characters // planning.CHARACTERS_PER_TOKEN
            limit = self._read_limit()
            if only.pages is None and self._settings.prompt_tokens < tokens <= limit:
                found = warming.pieces(library, [document], self._model(), self._settings, stop)
                found = [piece for piece in found if not piece.apart]
                yield from warming.warm(library, found, self._model(), self._settings, stop=stop, rank=typing)

    def _read_for_draft(self, query: Query) -> list[Passage]:
        """Have the model read what a draft would be answered from; return its hits if they are read by themselves."""
        query = self._complete_followup(query)
        route = self._plan(query, reproducible=False)
        model = self._model()
        if query.stop():
            return []
        if route.plan.kind == "retrieve":
            hits = route.hits or tuple(self._search(query, BACKGROUND))
            prompt = self._passage_prompt(query, replace(route, hits=hits))
            if prompt is not None and any(key.start for key in model.prefixes(prompt.messages)):
                list(model.read(prompt.messages, stop=query.stop, cache=prompt.cache))
                return list(hits)
            if prompt is not None:
                # In the batches of the question itself: a longer one then shares them and need not read them again.
                list(model.weigh(prompts.check_prompt(prompt.messages), prompts.CHECK_OPTIONS, stop=query.stop))
        elif route.plan.kind == "read":
            units = _units(query, route)
            if _tokens(units, model) <= answering.budget(model, self._settings, query, model.window):
                messages = prompts.documents_prompt("", [(unit.name, unit.text) for unit in units])
                part = context.pages_named(query.only)
                list(model.read(messages, stop=query.stop, cache=self._cache([unit.pair for unit in units], part)))
        return []

    def _read_more(self, query: Query, hits: Sequence[Passage], stop: Callable[[], bool]) -> Iterator[Warmed]:
        """Read the passages beside the two best hits, then the hits in order, at most `_AHEAD`."""
        from localrag.answer import warming

        pairs = {(library.name, document.id): (library, document) for library, document in query.documents}
        found: list[Passage] = []
        for hit in hits[:2]:
            own = warming.passages_of(*pairs[hit.library, hit.document_id])
            at = next((n for n, one in enumerate(own) if (one.position, one.start) == (hit.position, hit.start)), 0)
            found += own[max(0, at - 1) : at + 2]
        places = {(one.library, one.document_id, one.position, one.start): one for one in (*found, *hits)}
        rank = priority.Rank.WARMING
        with priority.asking(self._settings.questions_dir, rank):
            for passage in list(places.values())[:_AHEAD]:
                if stop():
                    return
                pair = pairs[passage.library, passage.document_id]
                yield from warming.warm_passages(*pair, [passage], self._model(), self._settings, stop, rank)


def _elsewhere(read_by: str) -> dict[str, Any]:
    """Return what the audit record says of machines that read text; nothing where it stayed on this one."""
    return {"read_by": read_by} if read_by else {}


def _units(query: Query, route: Route) -> list[Unit]:
    return [unit for pair in route.reading or query.documents for unit in context.whole(pair, query.only)]


def _tokens(units: Sequence[Unit], model: Model) -> int:
    return sum(model.count(prompts.document_block(unit.name, unit.text)) for unit in units)


def _timed(way: Way, query: Query) -> Generator[Event, None, tuple[Findings, float | None]]:
    """Pass events on; return the findings, and the seconds to the first words.

    Strict mode shows no words before they are checked, only how many were written.
    """
    first_token: float | None = None
    written = 0
    while True:
        try:
            event = next(way)
        except StopIteration as end:
            return end.value, first_token
        if query.strict and isinstance(event, Delta | Reasoning):
            written += 1
            event = Writing(written)
        if first_token is None and isinstance(event, Delta | Surveyed):
            first_token = query.elapsed()
        yield event
