"""Answer a question, from top to bottom. It yields events and prints nothing.

    prepare -> complete a follow-up -> plan -> exact | survey | read | retrieve -> check -> record

The values handed on are in `grounding/stages.py`; `exact_search`, `survey`, `judging` and `answering` give the answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from localrag.answer import answering, decomposition, followups, planning
from localrag.answer.planning import BACKGROUND
from localrag.errors import Cancelled, EmbedderMismatch, ModelError, StorageError, UsageError
from localrag.events import (
    Answered,
    Delta,
    Event,
    Found,
    Notice,
    Planned,
    Reasoning,
    Surveyed,
    Warmed,
    Writing,
)
from localrag.figures.reports import Reports
from localrag.grounding import context, prompt_injection, prompts, pruning
from localrag.grounding.context import Unit
from localrag.grounding.stages import Findings, Pair, Prompt, Query, Route, answer_of
from localrag.grounding.workspace import Workspace, elsewhere
from localrag.items.clause_questions import ClauseQuestions
from localrag.llm import Generator as Model
from localrag.llm import priority, prompt_cache
from localrag.question.followups import points_back
from localrag.question.question import Question
from localrag.search import filters, retrieval
from localrag.security.terminal import size
from localrag.settings import Settings
from localrag.types import (
    Answer,
    Filter,
    Mode,
    Passage,
    Turn,
    Usage,
)

if TYPE_CHECKING:
    from localrag.answer.from_sheets import Sheets
    from localrag.items.reading import Reading

# Passages read for a question and ahead of the next: with so many, three quarters of those of the next are there
# (docs/decisions/0049-passage-cache.md).
_AHEAD = 20
_FORMULA_TOKENS = 60
_MAX_HIGHLIGHTS = 3  # sentences shown once more before a question for a short answer
_TOPIC = 3  # passages whose documents a conversation is about
_ON_TOPIC = 0.5  # the share of the best score from which these documents fit a question (docs/decisions/0018)
_PART_READ = "It is too long to be read at once, so the part of it that fits the question best is read."


# How a question is answered: events, and at the end what was found.
Way = Generator[Event, None, Findings]


class Assistant(Workspace):
    """Answers questions, and keeps the model, the embedders and open libraries loaded. Use it from one thread.

    `generator` is the model that answers, instead of the one in the settings.
    """

    def __init__(self, settings: Settings, generator: Model | None = None) -> None:
        super().__init__(settings, generator)
        self._clause_questions = ClauseQuestions(self.searcher)
        self._reports = Reports(self.searcher.sentences)
        self._sheets: Sheets | None = None

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
            mode: forces a plan, or "auto".
            history: earlier turns, oldest first.
            reproducible: plan without regard to the prompt cache and the speed of this machine, so that the same
                question, model, build, settings and seed give the same answer.
            stop: polled throughout; True ends the answer early.

        Raises:
            UsageError: an empty question, no library, or a mode that cannot be.
            NotFoundError: a library or document that is not there.
            ModelError: no model, or the question does not fit its window.
        """
        with priority.asking(self.settings.questions_dir):
            asked = self.prepare(question, libraries, filters.of(documents), mode, history, stop)
            query = self._completed(asked)
            known = self._from_sheets(query) or self._from_facts(query) or self._from_figures(query)
            route = Route(known.plan) if known else self._plan(query, reproducible)
            yield Planned(route.plan, query.search_text if query.search_text != query.text else "")
            if asked.question.leans and not query.question.leans:
                yield Notice("The documents asked about before hardly speak of this, so it is looked up by itself.")
            ways = {"exact": self._exact, "survey": self._survey, "read": self._read, "retrieve": self._retrieve}
            way = self._judge if _asks_whether(query, route) else ways[route.plan.kind]
            if query.question.kind == "compare" and route.plan.kind == "retrieve" and not query.question.parts:
                way = self._compare
            way = way if known is None else partial(self._known, known)
            folders = [library.folder for library in query.libraries]
            fresh = [folder for folder in folders if not (folder / prompt_cache.FOLDER).is_dir()]
            found, first_token = yield from _timed(way(query, route), query)
            answer = self._answer(query, route, found, first_token)
            try:  # its words were shown while they were written, so a failure does not withhold it
                self.record(
                    query.libraries,
                    "ask",
                    query.text,
                    answer.answer,
                    (*answer.citations, *answer.nearest),
                    query.documents,
                    plan=answer.plan.kind,
                    found=answer.found,
                    model=answer.model or "",
                    settings=self.settings.digest,
                    **elsewhere(answer.read_by),
                )
            except StorageError as error:
                yield Notice(f"The audit record lacks this question: {error.message}. {error.hint}")
            yield from map(Notice, self._cache_begun(fresh))
            yield Answered(answer)

    def _cache_begun(self, fresh: Sequence[Path]) -> Iterator[str]:
        """Say what the prompt cache takes, once for each library: after the question that began it."""
        for folder in fresh:
            if taken := prompt_cache.usage(folder)[1]:
                limit = prompt_cache.bound(folder / prompt_cache.FOLDER, self.settings.cache_bytes)
                yield (
                    f"What the model read of {folder.name} is kept in its prompt cache, so that later answers start "
                    f"sooner. It takes {size(taken)} now, {size(limit)} at most (the setting cache_bytes)."
                )

    def _completed(self, query: Query) -> Query:
        """Return a query with its question completed from the conversation, where it leans on that.

        A short one may lean or not: "Who is the landlord?" It stands alone where the documents that the conversation
        was about fit it far worse than others.
        """
        question = query.question
        if question.leans and not points_back(question.text):
            before = Question(question.history[-1].question, question.history[:-1]).complete
            about = {(hit.library, hit.document): None for hit in self.passages(_looked_up(query, before), _TOPIC)}
            alone = _looked_up(query, query.text)
            best = self.passages(alone, 1)
            own = self.passages(replace(alone, only=Filter(pages=query.only.pages, these=tuple(about))), 1)
            if best and (not own or own[0].score < _ON_TOPIC * best[0].score):
                query = replace(query, question=replace(question, history=()))
        return _looked_up(query, query.question.complete)

    def _plan(self, query: Query, reproducible: bool) -> Route:
        known = self.known_speeds()
        resources = planning.Resources(
            search=self.passages,
            clause=self._clause,
            model=self.model,
            cached=(lambda documents: 0) if reproducible else self.cached_tokens,
            seconds=(lambda tokens, behind: None) if reproducible else known.seconds_to_read,
            retrieve_tokens=self.settings.prompt_tokens,
            read_tokens=self.read_limit(),
        )
        return planning.route(query, resources)

    def _from_sheets(self, query: Query) -> Findings | None:
        """Return what the rows of one sheet of data answer."""
        if self._sheets is None:
            if not any(library.sheets() for library in query.libraries):
                return None
            from localrag.answer.from_sheets import Sheets

            self._sheets = Sheets()
        return self._sheets.answer(query)

    def _from_facts(self, query: Query) -> Findings | None:
        """Return what the facts of documents answer, which needs neither a search nor a model."""
        from localrag.answer import from_facts

        return from_facts.answer(query, self.searcher.sentences)

    def _from_figures(self, query: Query) -> Findings | None:
        """Return what the figures of one company's documents answer; the model reads free wording, if need be."""
        from localrag.answer import comparison, from_figures, ranked_figures
        from localrag.items.reading import Reading

        read: Reading | None = None

        def write(question: str, shape: str) -> str:
            nonlocal read
            read = Reading(self.model(), self.examples_cache(query.libraries), query.stop)
            return _formula(read, question, shape)

        try:
            found = ranked_figures.answer(query, self._reports) or comparison.of_companies(query, self._reports)
            if found is None and not ranked_figures.asks(query.question.complete):
                found = from_figures.answer(query, self._reports, write, short=self.settings.answer_form == "short")
        except (Cancelled, ModelError):  # the way that the question is answered in instead says so
            return None
        if found is None or read is None:
            return found
        return replace(found, tokens=read.usage, model=read.model.model)

    def _known(self, found: Findings, query: Query, route: Route) -> Way:
        """Answer by facts or figures, with what later documents say otherwise."""
        from localrag.answer import checking

        yield from ()
        return checking.check(found, query, (), checking.EVERY)

    def _judge(self, query: Query, route: Route) -> Way:
        """Answer a yes-or-no question about one document by the judgement that surveys and reviews make, too."""
        from localrag.answer import checking, judging
        from localrag.items.engine import Engine

        budget = answering.budget(self.model(), self.settings, query, self.settings.prompt_tokens)
        engine = Engine(self, self._clause_questions, budget)
        yield from ()
        found = judging.answer(query, route.reading[0], route.plan, engine)
        return checking.check(found, query, (), checking.EVERY)

    def _exact(self, query: Query, route: Route) -> Way:
        """Count, find or list by code, without a model."""
        from localrag.answer import exact_search

        task = query.question.task(query.only.documents)
        if task is None:
            raise UsageError("this question cannot be answered exactly by code", "Ask it in another mode.")
        done = exact_search.run(task, query.documents, query.only, query.stop)
        yield from ()
        return Findings(
            done.text, done.found, route.plan, citations=done.citations, table=done.rows, stopped=done.stopped
        )

    def _survey(self, query: Query, route: Route) -> Way:
        """Ask each document by itself, or summarise from the bottom up."""
        from localrag.answer import survey
        from localrag.items.engine import Engine

        usage = Usage()
        if query.question.leans:
            # The documents of a survey are asked without the conversation, so the question should be complete. Where
            # the model cannot make it so, each is asked what was typed: joined to those before, it asks several things.
            text, usage = followups.rewritten(query.text, query.history, self.model(), stop=query.stop)
            query = _looked_up(query, text or query.text)
        if route.plan.signals.get("kind") == "summary" and route.reading:
            # One of many documents that is too long to be read at once: its parts are summarised, not all the others.
            query = replace(query, documents=route.reading)
        budget = answering.budget(self.model(), self.settings, query, self.settings.prompt_tokens)
        found = yield from survey.answer(query, route.plan, Engine(self, self._clause_questions, budget))
        return replace(found, tokens=found.tokens + usage)

    def _compare(self, query: Query, route: Route) -> Way:
        """Show what comes nearest to each side of a comparison, unless code computes what is asked."""
        from localrag.answer import comparison, from_figures
        from localrag.answer.table_qa import calculation
        from localrag.items.reading import Reading

        hits = route.hits or tuple(self.passages(query, BACKGROUND))
        plan = replace(route.plan, kind="retrieve", reason="Code computes what is compared.")
        computed = replace(route, plan=plan, hits=hits)
        prompt = self._passage_prompt(query, computed)
        if prompt is not None and calculation.answer(query, computed, prompt) is not None:
            yield Planned(plan)
            return (yield from self._from_passages(query, computed))
        read = Reading(self.model(), self.examples_cache(query.libraries), query.stop)
        try:
            figure = partial(from_figures.solve, reports=self._reports, write=partial(_formula, read))
            return comparison.answer(query, route.plan, hits, read, self.passages, figure)
        except Cancelled:
            return Findings(prompts.STOPPED, False, route.plan, tokens=read.usage, stopped=True)

    def _read(self, query: Query, route: Route) -> Way:
        """Answer from whole documents, or from the best part of one; from passages where they do not fit."""
        model, plan = self.model(), route.plan
        limit = answering.budget(model, self.settings, query, model.window)
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
        return (yield from answering.answer(query, replace(route, plan=plan), prompt, model, self.settings))

    def _retrieve(self, query: Query, route: Route) -> Way:
        """Answer from passages; a question that asks several things part by part."""
        parts = query.question.parts
        if parts:
            return (yield from decomposition.answer(query, route, parts, self._retrieve_part))
        return (yield from self._from_passages(query, route))

    def _retrieve_part(self, query: Query, route: Route) -> Way:
        """Answer one part of a question that asks several things."""
        query = _looked_up(query, query.search_text)
        began = time.monotonic()
        hits = self.passages(query, BACKGROUND)
        searching = time.monotonic() - began
        clause = self._clause(query, query.documents)
        plan = route.plan.with_signals(**planning.fit_signals(hits), clause=clause)
        found = yield from self._from_passages(query, Route(plan, hits=tuple(hits)))
        return replace(found, searching=searching)

    def _from_passages(self, query: Query, route: Route) -> Way:
        model = self.model()
        route = replace(route, hits=route.hits or tuple(self.passages(query, BACKGROUND)))
        prompt = self._passage_prompt(query, route)
        if prompt is None:
            return Findings(prompts.NOT_FOUND, False, route.plan, model=model.model)
        yield Found(tuple(prompt.passages))
        return (yield from answering.answer(query, route, prompt, model, self.settings))

    def _answer(self, query: Query, route: Route, found: Findings, first_token: float | None) -> Answer:
        """Make the answer of findings: as strict mode lets them pass, with their cost and what was not read."""
        if query.strict:
            from localrag.answer import checking

            strict = checking.strictly(found)
            newly = strict.withheld != found.withheld
            found = checking.with_nearest(strict, query, strict.passages) if newly else strict
        read_by = self.read_by(query.libraries) if route.plan.kind != "exact" else ""
        return answer_of(found, query, route, first_token=first_token, read_by=read_by)

    def _passage_prompt(self, query: Query, route: Route) -> Prompt | None:
        """Return the prompt with the best passages; None where there is none."""
        from localrag.grounding import citations

        hits = route.hits[: self.settings.passages]
        if not hits:
            return None
        model = self.model()
        budget = answering.budget(model, self.settings, query, self.settings.prompt_tokens)
        fitted = prompts.fit(hits, query.history, budget, model.count)
        # A 1.5B model explains better what it has read in one go (docs/decisions/0049-passage-cache.md).
        short = self.settings.answer_form == "short"
        together = not short and answering.explains(query)
        if together or not self._reads_apart(model, hits[0]):
            fitted = pruning.pruned(query, hits, fitted, budget, model.count)
        ordered = retrieval.in_reading_order(fitted.taken)
        passages = retrieval.merged(ordered, query.libraries)
        used = answering.window_use(model, fitted.tokens, fitted.history, query)
        highlights: list[Passage] = []
        if short:
            clean = [replace(passage, text=prompt_injection.removed(passage.text)) for passage in passages]
            found = citations.relevant_sentences(query.search_text, clean, _MAX_HIGHLIGHTS)
            tokens = fitted.tokens + model.count(prompts.again(found))
            more = answering.window_use(model, tokens, fitted.history, query)
            if more["free"] >= min(self.settings.answer_tokens, model.window // 4):
                highlights, used = found, more
        return Prompt(
            prompts.passages_prompt(
                query.text,
                retrieval.in_reading_order(fitted.shown),
                fitted.history,
                together=together,
                pruned=fitted.pruned,
                highlights=highlights,
            ),
            passages,
            None if together else self.passage_cache([run[0] for run in prompts.runs(ordered)], query.documents),
            context=used,
            looked_at=context.share_read(fitted.shown if fitted.pruned else passages, query.documents, query.only)
            + context.history_read(fitted.shortened, fitted.left_out),
            examples=self.examples_cache(query.libraries),
        )

    def _reads_apart(self, model: Model, passage: Passage) -> bool:
        """Return whether the model keeps passages for other questions, or a server may."""
        messages = prompts.passages_prompt("", [passage])
        return bool(self.settings.generator_server) or any(key.start for key in model.prefixes(messages))

    def _document_prompt(self, query: Query, units: Sequence[Unit], tokens: int, limit: int) -> Prompt:
        model = self.model()
        fitted = prompts.fit([], query.history, max(0, limit - tokens), model.count)
        part = units[-1].name if units[-1].section else context.pages_named(query.only)
        return Prompt(
            prompts.documents_prompt(query.text, [(unit.name, unit.text) for unit in units], fitted.history),
            [passage for unit in units for passage in unit.passages],
            self.cache([unit.pair for unit in units], part),
            context=answering.window_use(model, tokens, fitted.history, query),
            looked_at=context.whole_read(units, query.documents, query.only)
            + context.history_read(fitted.shortened, fitted.left_out),
            examples=self.examples_cache(query.libraries),
        )

    def _best_part(self, query: Query, route: Route, whole: Unit) -> list[Unit]:
        """Return the section that holds the best passage of a document, or the two that it reaches into."""
        from localrag.grounding import context

        library, document = whole.pair
        hits = route.hits or self.passages(query, BACKGROUND)
        own = [hit for hit in hits if (hit.library, hit.document_id) == (library.name, document.id)]
        room = context.room(self.model(), self.settings)
        # Each is half of what the model can use.
        parts = context.units_of(whole.pair, query.only, self.model(), room)
        return [part for part in parts if own and part.holds(own[0])][:2] or parts[:1]

    def _clause(self, query: Query, documents: Sequence[Pair]) -> float | None:
        """Return the log odds that the document has the clause asked for; None for several, or another question."""
        if len(documents) != 1:
            return None
        try:
            return self._clause_questions.odds(query.search_text, documents[0])
        except (ModelError, EmbedderMismatch):
            return None  # a document that is read whole needs no embedder; a search has told that it is missing

    def warm(
        self, library: str, documents: Sequence[str] = (), *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Warmed]:
        """Read these documents (by exact paths; without any, all) ahead of time; see `warming.one_by_one`."""
        from localrag.answer import warming

        opened, wanted = self.library(library), frozenset(documents)
        chosen = [document for document in opened.documents() if not wanted or document.path in wanted]
        yield from warming.one_by_one(opened, chosen, self.model(), self.settings, stop)

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

        if self.settings.generator_server:
            return  # nothing is sent before the person asks
        typing = priority.Rank.TYPING
        if draft.strip():
            with priority.asking(self.settings.questions_dir, typing):
                urgent = priority.watch(self.settings.questions_dir, typing)
                halt = lambda: stop() or urgent()  # noqa: E731
                query = self.prepare(draft, libraries, filters.of(documents), mode, history, halt)
                more = self._read_for_draft(query)
            yield from self._read_more(query, more, stop)
            return
        only = filters.of(documents)
        pairs = filters.chosen([self.library(name) for name in libraries], only).documents
        by_name = {(library.name, document.path): (library, document) for library, document in pairs}
        named = [by_name[name] for name in likely if name in by_name]
        for library, document in (pairs if len(pairs) == 1 else named)[:1]:
            tokens = document.characters // planning.CHARACTERS_PER_TOKEN
            limit = self.read_limit()
            if only.pages is None and self.settings.prompt_tokens < tokens <= limit:
                found = warming.pieces(library, [document], self.model(), self.settings, stop)
                found = [piece for piece in found if not piece.apart]
                yield from warming.warm(library, found, self.model(), self.settings, stop=stop, rank=typing)

    def _read_for_draft(self, query: Query) -> list[Passage]:
        """Have the model read what a draft would be answered from; return its hits if they are read by themselves."""
        query = self._completed(query)
        route = self._plan(query, reproducible=False)
        if query.stop() or query.question.kind == "compare":  # which is shown, not read
            return []
        model = self.model()
        if route.plan.kind == "retrieve":
            hits = route.hits or tuple(self.passages(query, BACKGROUND))
            prompt = self._passage_prompt(query, replace(route, hits=hits))
            if prompt is not None and any(key.start for key in model.prefixes(prompt.messages)):
                list(model.read(prompt.messages, stop=query.stop, cache=prompt.cache))
                return list(hits)
            if prompt is not None:
                # In the batches of the question itself: a longer one then shares them and need not read them again.
                list(model.weigh(prompts.check_prompt(prompt.messages), prompts.CHECK_OPTIONS, stop=query.stop))
        elif route.plan.kind == "read":
            units = _units(query, route)
            if _tokens(units, model) <= answering.budget(model, self.settings, query, model.window):
                messages = prompts.documents_prompt("", [(unit.name, unit.text) for unit in units])
                part = context.pages_named(query.only)
                list(model.read(messages, stop=query.stop, cache=self.cache([unit.pair for unit in units], part)))
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
        with priority.asking(self.settings.questions_dir, rank):
            for passage in list(places.values())[:_AHEAD]:
                if stop():
                    return
                pair = pairs[passage.library, passage.document_id]
                yield from warming.warm_passages(*pair, [passage], self.model(), self.settings, stop, rank)


def _asks_whether(query: Query, route: Route) -> bool:
    """Return whether a question asks for yes or no about a kind of clause of one document, and stands alone."""
    return (
        query.mode == "auto"
        and route.plan.kind in ("retrieve", "read")
        and query.question.asks_whether
        and route.plan.signals.get("clause") is not None
        and len(route.reading) == 1
        and not query.question.leans
        and not query.question.parts
        and not query.instructions
    )


def _formula(read: Reading, question: str, shape: str) -> str:
    """Return the formula that the model writes for a question, in the shape of a grammar."""
    return read.write(prompts.formula_prompt(question), shape, _FORMULA_TOKENS)


def _looked_up(query: Query, text: str) -> Query:
    """Return the query with what passages are looked up by, spelled as its libraries do."""
    return replace(query, question=query.question.looked_up(retrieval.spelled(query.libraries, text)))


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
