"""Answer a question: the only composition of the rooms. It yields typed events and prints nothing.

    question -> plan -> retrieve | read | survey | exact -> prompt -> generate -> cite -> Answer

An Assistant keeps what is dear to load: the model, the embedders, open libraries. It is used from one thread at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from localrag.answer import (
    answering,
    context,
    decomposition,
    followups,
    instructions,
    planning,
    prompts,
    routing,
    warming,
)
from localrag.answer.context import Unit
from localrag.answer.exact import parsing
from localrag.answer.exact import search as exact_search
from localrag.answer.question import Prompted, Question
from localrag.answer.survey import summarising, surveying
from localrag.answer.survey.tools import Tools
from localrag.errors import ModelError, StorageError, UsageError
from localrag.events import Answered, Event, Found, Notice, Planned, Warmed
from localrag.llm import calibration, loading, priority, prompt_cache
from localrag.llm.generation import Generator as Model
from localrag.llm.generation import StateStore
from localrag.llm.prompt_cache import PrefixCache
from localrag.search import document_targets, filters, retrieval
from localrag.search.searcher import Searcher
from localrag.security import audit
from localrag.security.encryption import unlocked
from localrag.settings import Settings
from localrag.store.library import Library
from localrag.types import MODES, Answer, Document, Filter, Mode, NotRead, Passage, Turn

PART_READ = "It is too long to be read at once, so the part of it that fits the question best is read."


class Assistant:
    """Answers questions with the models and libraries that the settings name.

    Args:
        settings: where things lie and how the model runs.
        generator: the model that answers, where it is not to be loaded as the settings say.
    """

    def __init__(self, settings: Settings, generator: Model | None = None) -> None:
        audit.record_refusals(settings.audit_file)
        self._settings = settings
        self._generator = generator
        self._searcher = Searcher(settings)

    # --- what is kept ---------------------------------------------------------------------------------------

    def load(self) -> str:
        """Load the model that answers ahead of time (seconds); returns its id.

        Raises:
            ModelError: none is installed, it is damaged, or it does not fit.
        """
        return self._model().model

    def _model(self) -> Model:
        if self._generator is None:
            self._generator = loading.load_generator(self._settings)
        return self._generator

    def library(self, name: str) -> Library:
        """An open library, for reading."""
        return self._searcher.library(name)

    def search(
        self, question: str, *, libraries: Sequence[str], k: int = 10, documents: Filter | Sequence[str] | None = None,
        join: bool = True,
    ) -> list[Passage]:  # fmt: skip
        """The k best passages, best first, those beside each other joined; no model that answers is loaded.

        Raises:
            NotFoundError: a library is not there, or the globs or the filter let nothing through.
        """
        with priority.asking(self._settings.questions_dir):
            opened = [self.library(name) for name in libraries]
            return self._searcher.find(opened, retrieval.spelled(opened, question), k, documents, join=join)

    def spelled(self, question: str, libraries: Sequence[str]) -> str:
        """The question as `search` looks for it: with words put right that none of the libraries holds."""
        return retrieval.spelled([self.library(name) for name in libraries], question)

    def left_out(self, libraries: Sequence[str], only: Filter) -> tuple[NotRead, ...]:
        """How many documents a filter leaves out only because their date, or their pages, are not known."""
        return filters.chosen([self.library(name) for name in libraries], only).left_out

    def close(self) -> None:
        """Give memory and files back."""
        if self._generator is not None:
            self._generator.close()
        self._generator = None
        self._searcher.close()

    def configure(self, settings: Settings) -> None:
        """Take other settings from the next question on; the model stays in memory where they leave it as it is."""
        before, self._settings = self._settings, settings
        if not loading.same_model(before, settings):
            self.close()
        self._searcher.configure(settings)

    # --- asking ---------------------------------------------------------------------------------------------

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
            question: in plain words.
            libraries: names of libraries to look in.
            documents: globs over document paths within them, or a filter; None looks in all.
            mode: forces a plan, or "auto".
            history: earlier turns, oldest first.
            reproducible: choose the plan without a look at what the model has read before and how fast it is here, so
                that the same question, model, build, settings and seed give the same answer.
            stop: polled throughout; True ends the answer with what there is of it.

        Raises:
            UsageError: an empty question, no library, or a mode that cannot be.
            NotFoundError: a library or document that is not there.
            ModelError: no model, or the question does not fit its window.
        """
        with priority.asking(self._settings.questions_dir):
            asked = self._prepare(question, libraries, filters.of(documents), mode, history, stop)
            yield from self._plan(asked, mode, reproducible)
            ways = {"retrieve": self._retrieve, "read": self._read, "survey": self._survey, "exact": self._exact}
            for event in ways[asked.plan.kind](asked):
                if isinstance(event, Answered):
                    yield from self._record(asked, event.answer)
                yield event

    def _prepare(
        self, question: str, libraries: Sequence[str], only: Filter, mode: Mode, history: Sequence[Turn],
        stop: Callable[[], bool],
    ) -> Question:  # fmt: skip
        if not question.strip():
            raise UsageError("the question is empty", 'Put it in quotes: localrag ask "When does the lease end?"')
        if not libraries:
            raise UsageError("no library was named", "Name one with --library; `localrag libraries` lists them.")
        if mode not in MODES:
            raise UsageError(f"unknown mode {mode!r}", f"Modes: {', '.join(MODES)}.")
        opened = [self.library(name) for name in libraries]
        chosen = filters.chosen(opened, only)
        asked = Question(question.strip(), opened, only, chosen.documents, history, stop, mode)
        asked.instructions = instructions.of(opened)
        asked.not_read = [*chosen.left_out, *context.not_read(asked.documents, opened, only)]
        return asked

    def _plan(self, asked: Question, mode: Mode, reproducible: bool) -> Iterator[Event]:
        """Settle what is looked for, then how."""
        self._settle(asked)
        known = self._known()
        means = planning.Means(
            search=self._search, model=self._model,
            warm=(lambda documents: 0) if reproducible else self._warm,
            seconds=(lambda tokens, behind: None) if reproducible else known.seconds_to_read,
            retrieve_tokens=self._settings.prompt_tokens,
            read_tokens=min(self._settings.read_tokens, known.effective_tokens),
        )  # fmt: skip
        planning.plan(asked, mode, means)
        asked.route_seconds = asked.elapsed() - asked.retrieve_seconds
        yield Planned(asked.plan, asked.looked_for if asked.looked_for != asked.text else "")

    def _settle(self, asked: Question) -> None:
        """Find the words to look up: the question, where it leans on the conversation together with those before."""
        asked.looked_for = asked.text
        if followups.leans(asked.text, asked.history):
            if self._settings.followups == "rewrite":
                self._rewrite(asked)
            if asked.looked_for == asked.text:
                asked.looked_for = followups.joined(asked.text, asked.history)
        asked.looked_for = retrieval.spelled(asked.libraries, asked.looked_for)

    def _rewrite(self, asked: Question) -> None:
        """Have the model say what a follow-up asks; kept only where code finds nothing lost or made up."""
        text, spent = followups.rewritten(asked.text, asked.history, self._model(), stop=asked.stop)
        asked.spent += spent
        if text:
            asked.looked_for = retrieval.spelled(asked.libraries, text)

    def _known(self) -> calibration.Calibration:
        """What is known of the model that answers; it need not be loaded for that."""
        return calibration.load(self._settings.calibration_file, loading.generator_name(self._settings))

    def _search(self, asked: Question, k: int) -> list[Passage]:
        began = time.monotonic()
        try:
            return self._searcher.find(asked.libraries, asked.looked_for, k, asked.only)
        finally:
            asked.retrieve_seconds += time.monotonic() - began

    # --- retrieve -------------------------------------------------------------------------------------------

    def _retrieve(self, asked: Question) -> Iterator[Event]:
        parts = decomposition.parts(asked.text)
        for event in decomposition.answer(asked, parts, self._part) if parts else self._from_passages(asked):
            if isinstance(event, Answered) and self._escalates(asked, event.answer):
                asked.spent += event.answer.tokens
                yield Planned(asked.plan)
                yield from self._read(asked)
                return
            yield event

    def _part(self, asked: Question) -> Iterator[Event]:
        """Answer one of the questions of a question that asks several."""
        asked.looked_for = retrieval.spelled(asked.libraries, asked.looked_for)
        asked.hits = self._search(asked, planning.BACKGROUND)
        planning.fitted(asked)
        yield from self._from_passages(asked)

    def _from_passages(self, asked: Question) -> Iterator[Event]:
        model = self._model()
        prompted = self._passages(asked, model)
        if prompted is None:
            yield Answered(self._nothing(asked))
            return
        yield Found(tuple(prompted.passages))
        yield from answering.answer(asked, prompted, model, self._settings)

    def _passages(self, asked: Question, model: Model) -> Prompted | None:
        """The prompt with the passages for a question; None where there is none."""
        hits = (asked.hits or self._search(asked, planning.BACKGROUND))[: self._settings.passages]
        if not hits:
            return None
        budget = answering.budget(model, self._settings, asked, self._settings.prompt_tokens)
        fitted = prompts.fit(hits, asked.history, budget, model.count)
        passages = retrieval.in_reading_order(fitted.taken, asked.libraries)
        asked.looked_at = context.share_read(passages, asked.documents, asked.only)
        asked.looked_at += context.remembered(fitted.shortened, fitted.forgotten)
        messages = prompts.passages_prompt(asked.text, passages, fitted.history)
        return Prompted(messages, passages, context=answering.context(model, fitted.tokens, fitted.history, asked))

    def _escalates(self, asked: Question, answer: Answer) -> bool:
        """Whether the best document is now read whole, because its passages fit the question and did not answer it."""
        if asked.mode != "auto" or answer.found or answer.stopped or not asked.hits:
            return False
        reading = asked.reading or list(document_targets.of_passage(asked.hits[0], asked.documents))
        tokens = sum(planning.tokens(asked, document) for _, document in reading)
        plan = routing.escalated(asked.plan, tuple(document.path for _, document in reading), tokens)
        if plan is not None:
            asked.reading, asked.plan = reading, plan
        return plan is not None

    # --- read -----------------------------------------------------------------------------------------------

    def _read(self, asked: Question) -> Iterator[Event]:
        model = self._model()
        most = answering.budget(model, self._settings, asked, model.window)
        units = [unit for pair in asked.reading or asked.documents for unit in context.whole(pair, asked.only)]
        tokens = _tokens(units, model)
        if tokens > most and len(units) == 1:
            units = self._best_part(asked, units[0])
            tokens = _tokens(units, model)
            asked.plan = replace(asked.plan, reason=f"{asked.plan.reason} {PART_READ}")
            yield Planned(asked.plan)
        if not units:
            yield Answered(self._nothing(asked))
            return
        if tokens > most:
            yield Notice(
                f"The documents have {tokens:,} tokens and {most:,} fit the window: looking up passages instead."
            )
            asked.plan = replace(asked.plan, kind="retrieve", reason=f"{asked.plan.reason} It did not fit the window.")
            yield Planned(asked.plan)
            yield from self._retrieve(asked)
            return
        fitted = prompts.fit([], asked.history, max(0, most - tokens), model.count)
        asked.looked_at = context.whole_read(units, asked.documents, asked.only)
        asked.looked_at += context.remembered(fitted.shortened, fitted.forgotten)
        messages = prompts.documents_prompt(asked.text, [(unit.name, unit.text) for unit in units], fitted.history)
        used = answering.context(model, tokens, fitted.history, asked)
        passages = [passage for unit in units for passage in unit.passages]
        part = units[-1].name if units[-1].section else context.pages_named(asked.only)
        prompted = Prompted(messages, passages, self._states([unit.pair for unit in units], part), used)
        yield from answering.answer(asked, prompted, model, self._settings)

    def _best_part(self, asked: Question, whole: Unit) -> list[Unit]:
        """The section of a document that holds the passage that fits best, or the two that it reaches into."""
        library, document = whole.pair
        hits = asked.hits or self._search(asked, planning.BACKGROUND)
        own = [hit for hit in hits if (hit.library, hit.document_id) == (library.name, document.id)]
        room = summarising.room_for(self._model(), self._settings, self._known())
        # Each is half of what the model can use.
        parts = summarising.units_of(whole.pair, asked, self._model(), room)
        return [part for part in parts if own and part.holds(own[0])][:2] or parts[:1]

    def _states(self, documents: Sequence[tuple[Library, Document]], part: str = "") -> StateStore | None:
        """Where the states of these documents are kept, or of a part of them."""
        if len({library.name for library, _ in documents}) > 1:
            # A state of several libraries would lie in one of them, and outlive what is deleted from another.
            return None
        hashes = [document.sha256 for _, document in documents]
        identity = loading.generator_identity(self._settings)
        return PrefixCache(documents[0][0].folder, identity, hashes, self._settings.cache_bytes, part=part)

    def _warm(self, documents: Sequence[tuple[Library, Document]]) -> int:
        """Tokens that the model has kept of just these documents; 0 where it has not read them all."""
        if len({library.name for library, _ in documents}) > 1:
            return 0
        try:
            identity = loading.generator_identity(self._settings)
        except ModelError:
            return 0  # there is none, which is said once one is needed
        kept = prompt_cache.warm(documents[0][0].folder, identity)
        return kept.get(tuple(document.sha256 for _, document in documents), 0)

    # --- ahead of the question ------------------------------------------------------------------------------

    def read_ahead(
        self, *, libraries: Sequence[str], documents: Filter | Sequence[str] | None = None,
        likely: Sequence[tuple[str, str]] = (), draft: str = "", mode: Mode = "auto", history: Sequence[Turn] = (),
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Warmed]:  # fmt: skip
        """Read what the next question is likely to be answered from, while the person types it.

        With a `draft` of a question, that is what the draft would be answered from as it stands: its passages, or the
        document it points to. Else it is the only document there is, or the first of `likely` (library and path, as the
        last answer cites them) that the filter lets through. Nothing is read that could not be read whole later, or
        is as short as its passages. Nothing of a draft is recorded.
        """
        if draft.strip():
            with priority.asking(self._settings.questions_dir, priority.Rank.TYPING):
                urgent = priority.watch(self._settings.questions_dir, priority.Rank.TYPING)
                halt = lambda: stop() or urgent()  # noqa: E731
                self._read_for(self._prepare(draft, libraries, filters.of(documents), mode, history, halt), mode)
            return
        only = filters.of(documents)
        pairs = filters.chosen([self.library(name) for name in libraries], only).documents
        by_name = {(library.name, document.path): (library, document) for library, document in pairs}
        named = [by_name[name] for name in likely if name in by_name]
        for library, document in (pairs if len(pairs) == 1 else named)[:1]:
            tokens = document.characters // planning.CHARACTERS_PER_TOKEN
            most = min(self._settings.read_tokens, self._known().effective_tokens)
            if only.pages is None and self._settings.prompt_tokens < tokens <= most:
                found = warming.pieces(library, [document], self._model(), self._settings, stop)
                yield from warming.warm(
                    library, found, self._model(), self._settings, stop=stop, rank=priority.Rank.TYPING
                )

    def _read_for(self, asked: Question, mode: Mode) -> None:
        """Have the model read what a draft would be answered from, into its memory or the kept states."""
        for _ in self._plan(asked, mode, reproducible=False):
            pass
        model = self._model()
        if asked.stop():
            return
        if asked.plan.kind == "retrieve" and (prompted := self._passages(asked, model)) is not None:
            # In the batches of the question itself: the batches that a longer question shares are not read again.
            list(model.weigh(prompts.check_prompt(prompted.messages), prompts.CHECK_OPTIONS, stop=asked.stop))
        elif asked.plan.kind == "read":
            units = [unit for pair in asked.reading or asked.documents for unit in context.whole(pair, asked.only)]
            if _tokens(units, model) <= answering.budget(model, self._settings, asked, model.window):
                messages = prompts.documents_prompt("", [(unit.name, unit.text) for unit in units])
                part = context.pages_named(asked.only)
                list(model.read(messages, stop=asked.stop, states=self._states([unit.pair for unit in units], part)))

    def warm(
        self, library: str, documents: Sequence[str] = (), *, stop: Callable[[], bool] = lambda: False
    ) -> Iterator[Warmed]:
        """Read these documents (by exact paths; without any, all) ahead of time; see `warming.one_by_one`.

        Raises:
            NotFoundError: there is no such library.
            ModelError: no model.
        """
        opened, wanted = self.library(library), frozenset(documents)
        chosen = [document for document in opened.documents() if not wanted or document.path in wanted]
        yield from warming.one_by_one(opened, chosen, self._model(), self._settings, stop)

    # --- survey ---------------------------------------------------------------------------------------------

    def _survey(self, asked: Question) -> Iterator[Event]:
        if followups.leans(asked.text, asked.history):
            # A document of a survey is asked without the conversation, so there the question itself must be whole.
            self._rewrite(asked)
        if asked.plan.signals.get("kind") == "summary" and asked.reading:
            # One of many documents that is too long to be read at once: its parts are summarised, not all the others.
            asked.documents = asked.reading
        budget = answering.budget(self._model(), self._settings, asked, self._settings.prompt_tokens)
        tools = Tools(self._model(), self._searcher.find, self._states, self._warm, self._settings, budget)
        yield from surveying.survey_all(asked, tools)

    # --- exact ----------------------------------------------------------------------------------------------

    def _exact(self, asked: Question) -> Iterator[Event]:
        task = parsing.parse(asked.text, date.today())
        if task is None:
            raise UsageError("this question cannot be answered exactly by code", "Ask it in another mode.")
        done = exact_search.run(task, asked.documents, asked.only, asked.stop)
        yield Answered(
            self._answer(asked, done.text, done.found, citations=done.citations, table=done.rows, stopped=done.stopped)
        )

    # --- the answer -----------------------------------------------------------------------------------------

    def _nothing(self, asked: Question) -> Answer:
        return self._answer(asked, prompts.NOT_FOUND, False)

    def _answer(self, asked: Question, text: str, found: bool, **rest: Any) -> Answer:
        used_model = asked.plan.kind != "exact" and self._generator is not None
        return asked.answer(text, found, model=self._model().model if used_model else None, **rest)

    def _record(self, asked: Question, answer: Answer) -> Iterator[Event]:
        """Note the answer; its words were shown while they were written, so it is given without a record too."""
        try:
            # What is answered from an encrypted library, too, is not kept in clear beside another.
            sealed = [library for library in asked.libraries if unlocked.encrypted_folder(library.folder)]
            for library in asked.libraries:
                file = self._settings.library_audit_file(library.name)
                number = audit.record(
                    file, "ask", library.name,
                    question=asked.text, answer=answer.answer, plan=answer.plan.kind, found=answer.found,
                    model=answer.model or "", settings=self._settings.digest, shown=_shown(asked, library, answer),
                )  # fmt: skip
                if self._settings.audit_words == "full" and (not sealed or library in sealed):
                    audit.keep_words(file, number, asked.text, answer.answer)
        except StorageError as error:
            yield Notice(f"The audit record lacks this question: {error.message}. {error.hint}")


def _shown(asked: Question, library: Library, answer: Answer) -> list[str]:
    """The pages of a library that an answer cites: content hash and page, since names of documents may change."""
    hashes = {document.path: document.sha256 for held, document in asked.documents if held.name == library.name}
    cited = {(item.document, item.page or 0) for item in answer.citations if item.library == library.name}
    return [f"{hashes.get(document, document)}#{page}" for document, page in sorted(cited)]


def _tokens(units: Sequence[Unit], model: Model) -> int:
    return sum(model.count(prompts.document_block(unit.name, unit.text)) for unit in units)
