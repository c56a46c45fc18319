"""From a question to its plan: gathers the signals, cheapest first, and lets `routing` choose.

What code answers needs no search; a text as short as its passages needs none either; all else is searched first, since
the scores tell which document is meant. The model is asked only where the words of a question leave open whether it is
put to every document, and then for one word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from localrag.answer import context, followups, intent, prompts, routing
from localrag.answer.exact import parsing
from localrag.answer.exact import search as exact_search
from localrag.answer.intent import Intent
from localrag.answer.question import Question
from localrag.errors import EmbedderMismatch, ModelError, NotFoundError
from localrag.llm.generation import Generator, Weighed
from localrag.search import document_targets, filters
from localrag.search.document_targets import Pointed
from localrag.store.library import Library
from localrag.types import Document, Mode, Passage

# Characters of a token of English text, for sizes before anything is tokenized.
CHARACTERS_PER_TOKEN = 4
# From which likelihood of "many" on every document is asked: in doubt passages, which are sooner there.
_MANY = 0.6
# Passages looked up, so that the best can be told from the background.
BACKGROUND = 40


@dataclass(frozen=True, slots=True)
class Means:
    """What planning needs of the assistant.

    Args:
        search: the so many best passages for the question.
        model: the model that answers, loaded on the first call.
        warm: tokens that the model has kept of these documents, read one after the other; 0 for none.
        seconds: of reading so many tokens behind so many that are kept, or None.
        retrieve_tokens, read_tokens: see `routing.Signals`.
    """

    search: Callable[[Question, int], list[Passage]]
    model: Callable[[], Generator]
    warm: Callable[[Sequence[tuple[Library, Document]]], int]
    seconds: routing.Seconds
    retrieve_tokens: int
    read_tokens: int


def plan(asked: Question, mode: Mode, means: Means) -> None:
    """Give a question its plan, and with it the documents to read and the passages found on the way.

    Raises:
        UsageError: `mode` asks for an exact answer to a question that code cannot answer.
    """
    sizes = [tokens(asked, document) for _, document in asked.documents]
    signals = routing.Signals(
        documents=len(asked.documents), tokens=sum(sizes),
        retrieve_tokens=means.retrieve_tokens, read_tokens=means.read_tokens,
    )  # fmt: skip
    task = parsing.parse(asked.text, date.today())
    if task is not None and mode != "exact":
        task = task if exact_search.applicable(task, asked.documents) else None
    verb = None if task is None else task.verb
    if mode == "exact" or (task is not None and mode == "auto"):
        signals = replace(signals, exact=verb)
    else:
        meant = _intent(asked, mode, means)
        pointed = _pointed(asked, mode, meant, signals, means)
        # One order whatever the question's is, so that what has been read of them serves again.
        asked.reading = sorted(pointed.documents, key=lambda pair: (pair[0].name, pair[1].path))
        nearest = (
            document_targets.of_passage(asked.hits[0], asked.documents) if asked.hits and not asked.reading else ()
        )
        signals = replace(
            signals, kind=meant.kind, words=meant.words, exact=verb,
            pointed=tuple(document.path for _, document in asked.reading), pointed_by=pointed.by,
            pointed_tokens=sum(tokens(asked, document) for _, document in pointed.documents),
            warm_tokens=means.warm(asked.reading) if asked.reading and asked.only.pages is None else 0,
            nearest="".join(document.path for _, document in nearest),
            nearest_tokens=sum(tokens(asked, document) for _, document in nearest),
        )  # fmt: skip
        score, margin, fit = _fit(asked.hits)
        signals = replace(signals, score=score, margin=margin, fit=fit)
    chosen = routing.choose(asked.text, mode, signals, means.seconds)
    asked.plan = filters.named_in(chosen, asked.only)


def tokens(asked: Question, document: Document) -> int:
    """About how many tokens of a document are looked at."""
    return context.characters(document, asked.only) // CHARACTERS_PER_TOKEN


def fitted(asked: Question) -> None:
    """Let the plan say how well what was found for this question fits it."""
    fits = zip(("score", "margin", "fit"), _fit(asked.hits), strict=True)
    asked.plan = replace(asked.plan, signals={**asked.plan.signals, **dict(fits)})


def _fit(hits: Sequence[Passage]) -> tuple[float | None, float | None, float | None]:
    """Score of the best passage, how far it stands out, how well one fits; see `routing.Signals`."""
    return round(hits[0].score, 4) if hits else None, document_targets.margin(hits), document_targets.fit(hits)


# --- what is asked ------------------------------------------------------------------------------------------


def _intent(asked: Question, mode: Mode, means: Means) -> Intent:
    """The kind of the question; a follow-up that only names something else is of the kind of the one before."""
    meant = intent.of(asked.text)
    if meant.kind == "look-up" and followups.repeats(asked.text, asked.history):
        before = intent.of(asked.history[-1].question)
        meant = meant if before.kind == "each" else before
    if meant.sure or mode != "auto" or len(asked.documents) < 2:
        return meant
    return _weighed(asked, meant, means.model())


def _weighed(asked: Question, meant: Intent, model: Generator) -> Intent:
    """Have the model say in one word whether the question is put to every document."""
    shares: tuple[float, ...] = ()
    for event in model.weigh(prompts.kind_prompt(asked.text), prompts.KIND_OPTIONS, stop=asked.stop):
        if isinstance(event, Weighed):
            shares, asked.spent = event.shares, asked.spent + event.usage
    if shares and shares[0] >= _MANY:
        return Intent("each", asked.text.rstrip("?"), sure=False)
    return meant


# --- which documents it points to ---------------------------------------------------------------------------


def _pointed(asked: Question, mode: Mode, meant: Intent, signals: routing.Signals, means: Means) -> Pointed:
    """The documents to read, if it comes to reading; `asked.hits` is filled where they had to be searched."""
    only = Pointed(tuple(asked.documents), "only")
    few = len(asked.documents) <= document_targets.MOST or signals.tokens <= signals.read_tokens
    short = few and signals.tokens <= signals.retrieve_tokens
    if meant.kind == "each" or (meant.kind in ("look-up", "existence") and short):
        return only if few else Pointed()
    named = document_targets.by_name(asked.text, asked.documents)
    if not named.documents and asked.looked_for != asked.text:
        named = document_targets.by_name(asked.looked_for, asked.documents)
    if meant.kind in ("summary", "compare", "whole"):
        if named.documents or few:
            return named if named.documents else only
        if meant.kind == "summary":
            return Pointed()
    asked.hits = _searched(asked, mode, means)
    if len(asked.documents) == 1:
        return only
    best = document_targets.of_passage(asked.hits[0], asked.documents) if asked.hits else ()
    if meant.kind in ("look-up", "existence") and named.documents and best != named.documents:
        # Words of a question often stand in a document's name by chance; what is found there must agree.
        named = Pointed()
    if named.documents or not best:
        return named
    return Pointed(best, "scores") if mode == "read" else document_targets.by_scores(asked.hits, asked.documents)


def _searched(asked: Question, mode: Mode, means: Means) -> list[Passage]:
    try:
        return means.search(asked, BACKGROUND)
    except NotFoundError:
        return []
    except (ModelError, EmbedderMismatch):
        # What is to be read whole needs no search; that it says how faint the question's traces are is an extra.
        if mode != "read":
            raise
        return []
