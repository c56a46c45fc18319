"""Answer a question: the only composition of the rooms. It yields typed events and prints nothing.

    question -> plan -> retrieve | read | survey | exact -> prompt -> generate -> cite -> Answer

An Assistant keeps what is dear to load: the model, the embedders, open libraries. It is used from one thread at a time.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

from localrag import (
    audit,
    calibration,
    exact,
    filters,
    followups,
    loading,
    material,
    precedence,
    prompt,
    reranking,
    retrieval,
    routing,
    survey,
)  # fmt: skip
from localrag.citations import Cited, cite
from localrag.embedding import Embedder, EmbedderIdentity
from localrag.errors import ModelError, StorageError, UsageError
from localrag.generation import Completed, StateStore, Weighed
from localrag.generation import Generator as Model
from localrag.library import Library
from localrag.prefix_cache import PrefixCache
from localrag.question import Question
from localrag.reranking import Reranker
from localrag.settings import Settings
from localrag.types import (
    MODES,
    Answer,
    Answered,
    Delta,
    Document,
    Event,
    Filter,
    Found,
    Message,
    Mode,
    Notice,
    NotRead,
    Passage,
    Planned,
    Surveyed,
    Turn,
    Usage,
)  # fmt: skip

# Characters of a token of English text, for sizes before anything is tokenized.
_CHARACTERS_PER_TOKEN = 4


class Assistant:
    """Answers questions with the models and libraries that the settings name.

    Args:
        settings: where things lie and how the model runs.
        generator: the model that answers, where it is not to be loaded as the settings say.
    """

    def __init__(self, settings: Settings, generator: Model | None = None) -> None:
        self._settings = settings
        self._generator = generator
        self._embedders: dict[EmbedderIdentity, Embedder] = {}
        self._reranker: Reranker | None = None
        self._libraries: dict[str, Library] = {}

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
        if name not in self._libraries:
            self._libraries[name] = Library.open(self._settings.library_dir(name), name)
        return self._libraries[name]

    def embedder(self, identity: EmbedderIdentity) -> Embedder:
        if identity not in self._embedders:
            self._embedders[identity] = loading.load_embedder(self._settings, identity)
        return self._embedders[identity]

    def search(
        self, question: str, *, libraries: Sequence[str], k: int = 10, documents: Filter | Sequence[str] | None = None
    ) -> list[Passage]:
        """The k best passages, best first; no model that answers is loaded.

        Raises:
            NotFoundError: a library is not there, or the globs or the filter let nothing through.
        """
        with precedence.asking(self._settings.asking_dir):
            opened = [self.library(name) for name in libraries]
            return self._found(opened, retrieval.spelled(opened, question), k, documents, join=True)

    def spelled(self, question: str, libraries: Sequence[str]) -> str:
        """The question as `search` looks for it: with words put right that none of the libraries holds."""
        return retrieval.spelled([self.library(name) for name in libraries], question)

    def _found(
        self, libraries: Sequence[Library], question: str, k: int, documents: Filter | Sequence[str] | None, *,
        document_ids: Sequence[int] | None = None, join: bool = False,
    ) -> list[Passage]:  # fmt: skip
        """The k best passages, in the order of the reranker where the settings name one."""
        method = retrieval.Method(self._settings.fusion, self._settings.dense_weight)
        if self._reranker is None:
            self._reranker = loading.load_reranker(self._settings)
        wanted = k if self._reranker is None else max(k, reranking.CANDIDATES)
        with self._held(libraries) as embedders:
            hits = retrieval.search(
                libraries, embedders, question, k=wanted, documents=documents, document_ids=document_ids,
                method=method, join=join,
            )  # fmt: skip
        return hits if self._reranker is None else reranking.rerank(question, hits, self._reranker)[:k]

    @contextmanager
    def _held(self, libraries: Sequence[Library]) -> Iterator[dict[str, Embedder]]:
        """One generation of each library, and who made its vectors; loading takes seconds, in which they may change."""
        with ExitStack() as stack:
            for library in libraries:
                stack.enter_context(library.snapshot())
            yield {library.name: self.embedder(library.identity) for library in libraries}

    def left_out(self, libraries: Sequence[str], only: Filter) -> tuple[NotRead, ...]:
        """How many documents a filter leaves out only because their date, or their pages, are not known."""
        return filters.chosen([self.library(name) for name in libraries], only).left_out

    def close(self) -> None:
        """Give memory and files back."""
        if self._generator is not None:
            self._generator.close()
        for library in self._libraries.values():
            library.close()
        self._generator, self._libraries = None, {}

    # --- asking ---------------------------------------------------------------------------------------------

    def ask(
        self,
        question: str,
        *,
        libraries: Sequence[str],
        documents: Filter | Sequence[str] | None = None,
        mode: Mode = "auto",
        history: Sequence[Turn] = (),
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Event]:
        """Answer a question; the last event is `Answered`.

        Args:
            question: in plain words.
            libraries: names of libraries to look in.
            documents: globs over document paths within them, or a filter; None looks in all.
            mode: forces a plan, or "auto".
            history: earlier turns, oldest first.
            stop: polled throughout; True ends the answer with what there is of it.

        Raises:
            UsageError: an empty question, no library, or a mode that cannot be.
            NotFoundError: a library or document that is not there.
            ModelError: no model, or the question does not fit its window.
        """
        with precedence.asking(self._settings.asking_dir):
            asked = self._prepare(question, libraries, filters.of(documents), mode, history, stop)
            yield Planned(asked.plan)
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
        asked = Question(question.strip(), opened, only, chosen.documents, history, stop)
        asked.not_read = [*chosen.left_out, *material.not_read(asked.documents, opened, only)]
        task = exact.parse(asked.text)
        asked.plan = filters.named_in(routing.choose(asked.text, mode, self._signals(asked, task)), only)
        asked.route_seconds = asked.elapsed()
        return asked

    def _signals(self, asked: Question, task: exact.ExactTask | None) -> routing.Signals:
        tokens = (
            sum(material.characters(document, asked.only) for _, document in asked.documents) // _CHARACTERS_PER_TOKEN
        )
        known = calibration.load(self._settings.calibration_file, self._model_name())
        return routing.Signals(
            documents=len(asked.documents),
            tokens=tokens,
            retrieve_tokens=self._settings.prompt_tokens,
            read_tokens=min(self._settings.read_tokens, known.effective_tokens),
            exact=task.kind if task else None,
            seconds_to_read=known.seconds_to_read(tokens),
        )

    def _model_name(self) -> str:
        return self._generator.model if self._generator is not None else (self._settings.generator or "")

    # --- retrieve -------------------------------------------------------------------------------------------

    def _retrieve(self, asked: Question) -> Iterator[Event]:
        yield from self._settle(asked)
        began = time.monotonic()
        hits = self._search(asked)
        asked.retrieve_seconds = time.monotonic() - began
        if not hits:
            yield Answered(self._nothing(asked))
            return
        model = self._model()
        budget = self._budget(model, asked, self._settings.prompt_tokens)
        fitted = prompt.fit(hits, asked.history, budget, model.count)
        passages = retrieval.in_reading_order(fitted.taken, asked.libraries)
        yield Found(tuple(passages))
        messages = prompt.passages_prompt(asked.text, passages, fitted.history)
        yield from self._generate(asked, messages, passages, None)

    def _settle(self, asked: Question) -> Iterator[Event]:
        """Find the words to look up: the question, or, where it leans on the conversation, what it means by itself."""
        asked.looked_for = asked.text
        if followups.leans(asked.text, asked.history):
            # A document of a survey is asked without the conversation, so there the question itself must be whole.
            if self._settings.followups == "rewrite" or asked.plan.kind == "survey":
                text, spent = followups.rewritten(asked.text, asked.history, self._model(), stop=asked.stop)
                asked.looked_for, asked.spent = text or asked.looked_for, spent
            if asked.looked_for == asked.text:
                asked.looked_for = followups.joined(asked.text, asked.history)
        asked.looked_for = retrieval.spelled(asked.libraries, asked.looked_for)
        if asked.looked_for != asked.text:
            yield Planned(asked.plan, asked.looked_for)

    def _search(self, asked: Question) -> list[Passage]:
        return self._found(asked.libraries, asked.looked_for, self._settings.passages, asked.only)

    def _budget(self, model: Model, asked: Question, wanted: int) -> int:
        """Tokens for passages and history: what is wanted, or what the window leaves.

        Raises:
            ModelError: the question alone is longer than the window.
        """
        fixed = (
            model.overhead(1 + 2 * len(asked.history))
            + model.count(prompt.PASSAGE_RULES)
            + model.count(asked.text)
            + min(self._settings.answer_tokens, model.window // 4)
        )
        left = model.window - fixed
        if left < 64:
            raise ModelError(
                f"the question has {model.count(asked.text):,} tokens, the window of {model.model!r} {model.window:,}",
                "Ask a shorter question, set context_tokens higher, or choose a model with a larger window.",
            )
        return min(wanted, left)

    # --- read -----------------------------------------------------------------------------------------------

    def _read(self, asked: Question) -> Iterator[Event]:
        model = self._model()
        began = time.monotonic()
        texts, passages, tokens = [], [], 0
        for library, document in asked.documents:
            pages = material.pages_of(library, document, asked.only)
            texts.append((document.path, material.whole_text([page for _, page in pages])))
            passages += material.page_passages(library.name, document, pages)
            tokens += model.count(texts[-1][1])
        asked.retrieve_seconds = time.monotonic() - began
        if not any(text.strip() for _, text in texts):
            yield Answered(self._nothing(asked))
            return
        most = self._budget(model, asked, model.window)
        if tokens > most:
            yield Notice(
                f"The documents have {tokens:,} tokens and {most:,} fit the window: looking up passages instead."
            )
            asked.plan = replace(asked.plan, kind="retrieve", reason=f"{asked.plan.reason} It did not fit the window.")
            yield Planned(asked.plan)
            yield from self._retrieve(asked)
            return
        fitted = prompt.fit([], asked.history, max(0, most - tokens), model.count)
        messages = prompt.documents_prompt(asked.text, texts, fitted.history)
        yield from self._generate(asked, messages, passages, self._states(asked))

    def _states(self, asked: Question) -> StateStore | None:
        if len(asked.libraries) > 1:
            # A state of several libraries would lie in one of them, and outlive what is deleted from another.
            return None
        hashes = [document.sha256 for _, document in asked.documents]
        folder = asked.documents[0][0].folder
        return PrefixCache(folder, loading.generator_identity(self._settings), hashes, self._settings.cache_bytes)

    # --- survey ---------------------------------------------------------------------------------------------

    def _survey(self, asked: Question) -> Iterator[Event]:
        yield from self._settle(asked)
        model = self._model()
        budget = min(self._budget(model, asked, self._settings.prompt_tokens), self._settings.prompt_tokens // 2)

        def find(library: str, document: Document) -> list[Passage]:
            own = [item for item in asked.libraries if item.name == library]
            hits = self._found(own, asked.looked_for, self._settings.passages, asked.only, document_ids=[document.id])
            return retrieval.in_reading_order(prompt.fit(hits, (), budget, model.count).taken, own)

        pairs = [(library.name, document) for library, document in asked.documents]
        found: list[survey.Leaf] = []
        for leaf in survey.leaves(asked.looked_for, pairs, model, find, stop=asked.stop):
            asked.first_token = asked.first_token or asked.elapsed()
            found.append(leaf)
            yield Surveyed(len(found), len(pairs), leaf.to_row())
        text, citations = survey.join(found, len(pairs))
        yield Answered(
            self._answer(
                asked, text, any(leaf.found for leaf in found),
                citations=citations,
                citations_dropped=sum(leaf.dropped for leaf in found),
                table=tuple(leaf.to_row() for leaf in found),
                tokens=sum((leaf.usage for leaf in found), Usage()),
                stopped=len(found) < len(pairs),
            )
        )  # fmt: skip

    # --- exact ----------------------------------------------------------------------------------------------

    def _exact(self, asked: Question) -> Iterator[Event]:
        task = exact.parse(asked.text)
        if task is None:
            raise UsageError("this question cannot be answered exactly by code", "Ask it in another mode.")
        if task.kind == "calculate":
            value = exact.written(exact.calculate(task.term))
            yield Answered(self._answer(asked, f"{task.term} = {value}", True))
        elif task.kind == "letters":
            times = exact.count_letter(task.term, task.letter)
            text = f"The letter “{task.letter}” stands {times} times in “{task.term}”."
            yield Answered(self._answer(asked, text, True))
        else:
            tally = material.tally(asked.documents, task.term, asked.only)
            found = tally.total > 0
            yield Answered(self._answer(asked, tally.text, found, citations=tally.citations, table=tally.rows))

    # --- from prompt to answer ------------------------------------------------------------------------------

    def _generate(
        self,
        asked: Question,
        messages: Sequence[Message],
        passages: Sequence[Passage],
        states: StateStore | None,
    ) -> Iterator[Event]:
        weighed = yield from self._weigh(asked, messages, states)
        if weighed is not None and not self._enough(asked, weighed):
            said = prompt.NOT_FOUND if weighed.shares else ""
            done = Completed(said, weighed.usage, "end" if weighed.shares else "stopped")
            yield Answered(self._cited(asked, done, passages))
            return
        model, settings = self._model(), self._settings
        done = Completed("", Usage(), "stopped")
        for event in model.generate(
            messages, max_tokens=settings.answer_tokens, temperature=settings.temperature, seed=settings.seed,
            stop=asked.stop, states=states,
        ):  # fmt: skip
            if isinstance(event, Completed):
                done = event
                continue
            if isinstance(event, Delta) and asked.first_token is None:
                asked.first_token = asked.elapsed()
            yield event
        if weighed is not None:
            # What the check read was not there before this question, so it does not count as kept.
            done = replace(done, usage=replace(done.usage, reused=weighed.usage.reused))
        self._learn(weighed, done)
        yield Answered(self._cited(asked, done, passages))

    def _weigh(
        self, asked: Question, messages: Sequence[Message], states: StateStore | None
    ) -> Generator[Event, None, Weighed | None]:
        """Ask the model whether the text holds the answer; None where the question is not of that kind."""
        if asked.plan.kind == "read" and routing.needs_whole(asked.text):
            return None
        weighed: Weighed | None = None
        for event in self._model().weigh(
            prompt.check_prompt(messages), prompt.CHECK_OPTIONS, stop=asked.stop, states=states
        ):
            if isinstance(event, Weighed):
                weighed = event
            else:
                yield event
        return weighed

    def _enough(self, asked: Question, weighed: Weighed) -> bool:
        """Whether the model is sure enough that the text holds the answer; noted among the plan's signals."""
        if not weighed.shares:
            return False
        share = weighed.shares[0]
        least = calibration.load(self._settings.calibration_file, self._model().model).answer_from
        signals = {**asked.plan.signals, "holds_answer": round(share, 3), "answer_from": least}
        asked.plan = replace(asked.plan, signals=signals)
        return share >= least

    def _learn(self, weighed: Weighed | None, done: Completed) -> None:
        """Keep the speeds that were seen."""
        read = (done.usage.prompt - done.usage.reused, done.prompt_seconds)
        if weighed is not None:
            read = (weighed.usage.prompt - weighed.usage.reused, weighed.prompt_seconds)
        written = (done.usage.generated, done.answer_seconds)
        calibration.record(self._settings.calibration_file, self._model().model, read=read, written=written)

    def _cited(self, asked: Question, done: Completed, passages: Sequence[Passage]) -> Answer:
        cited = cite(done.text, asked.text, passages)
        found = bool(re.search(r"\w", cited.text)) and not prompt.says_nothing(cited.text)
        if not found:
            # Stopped before a word was written is not the same as not being in the documents.
            stopped = done.ended == "stopped"
            cited = Cited(prompt.STOPPED if stopped else prompt.NOT_FOUND, (), 0, ())
        whole = asked.plan.kind == "read"
        return self._answer(
            asked, cited.text, found,
            citations=material.placed(cited.citations, passages, asked.libraries),
            citations_dropped=cited.dropped, unsupported=cited.unsupported,
            passages=tuple(material.cited_only(passages, cited.citations) if whole else passages),
            tokens=done.usage, stopped=done.ended != "end",
        )  # fmt: skip

    def _nothing(self, asked: Question) -> Answer:
        return self._answer(asked, prompt.NOT_FOUND, False)

    def _answer(self, asked: Question, text: str, found: bool, **rest: Any) -> Answer:
        used_model = asked.plan.kind != "exact" and self._generator is not None
        return asked.answer(text, found, model=self._model().model if used_model else None, **rest)

    def _record(self, asked: Question, answer: Answer) -> Iterator[Event]:
        """Note the answer; its words were shown while they were written, so it is given without a record too."""
        shown = sorted({(citation.document, citation.page or 0) for citation in answer.citations})
        try:
            for library in asked.libraries:
                audit.record(
                    self._settings.audit_file, "ask", library.name,
                    question=asked.text, plan=answer.plan.kind, found=answer.found, model=answer.model or "",
                    shown=[f"{document}#{page}" for document, page in shown],
                )  # fmt: skip
        except StorageError as error:
            yield Notice(f"The audit record lacks this question: {error.message}. {error.hint}")
