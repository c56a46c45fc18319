"""Choose how a question is answered: gather signals, cheapest first, and apply rules to them.

The rules take the cheapest way that can answer: code, each document by itself, the whole text if the model can use it,
else passages. The model is asked for one word, only where the wording leaves open whether every document is asked
(docs/decisions/0026-routes.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from localrag.errors import EmbedderMismatch, ModelError, NotFoundError, UsageError
from localrag.grounding import context, prompts
from localrag.grounding.stages import Pair, Query, Route
from localrag.llm import Generator, Weighed
from localrag.question import naming
from localrag.question.kinds import Kind
from localrag.question.naming import Pointed
from localrag.question.question import ONE_PLACE
from localrag.search import filters
from localrag.types import Cost, Document, Mode, Passage, Plan, PlanKind, Seconds, Usage

# Kinds of questions that need the whole text.
_WHOLE: tuple[Kind, ...] = ("summary", "whole")
# Characters per token of English text, for sizes before anything is tokenized.
CHARACTERS_PER_TOKEN = 4
# Passages looked up, so that the best stand out from the background.
BACKGROUND = 40
# The likelihood of "many" from which every document is asked; in doubt passages, which are faster.
_MANY = 0.6
# Tokens of rules, question and answer without any text; of a question behind a cached text; of one survey document.
_FRAME, _TAIL, _ONE_DOCUMENT = 160, 60, 450

# Seconds to read so many tokens behind so many that are cached; None where unknown.
SecondsToRead = Callable[[int, int], float | None]


@dataclass(frozen=True, slots=True)
class Resources:
    """What planning needs of the assistant: search, the model (loaded on the first call), and what it has cached."""

    search: Callable[[Query, int], Sequence[Passage]]
    clause: Callable[[Query, Sequence[Pair]], float | None]  # log odds, see `Signals`
    model: Callable[[], Generator]
    cached: Callable[[Sequence[Pair]], int]  # tokens of exactly these documents in the prompt cache, or 0
    seconds: SecondsToRead
    retrieve_tokens: int
    read_tokens: int


@dataclass(frozen=True, slots=True)
class Signals:
    """What the rules know of a question. Tokens are estimates until the model counts them."""

    documents: int
    tokens: int
    retrieve_tokens: int  # that a look-up by passages puts before the model
    read_tokens: int  # the setting's, or fewer for a small model
    kind: Kind = "look-up"
    exact: str | None = None  # the verb of what code can do exactly ("count")
    pointed: tuple[str, ...] = ()  # the documents that the question points to
    pointed_by: Literal["", "only", "name", "scores"] = ""
    pointed_tokens: int = 0
    warm_tokens: int = 0  # of these documents in the prompt cache; 0 unless all of them are
    nearest: str = ""  # where it points to none, the document of the best passage
    nearest_tokens: int = 0
    score: float | None = None  # of the best passage
    fit: float | None = None  # how well a passage fits by words and meaning, whatever its document's name
    clause: float | None = None  # of a question for a kind of clause, the log odds that the document has it

    @property
    def fits(self) -> bool:
        return bool(self.pointed) and self.pointed_tokens <= self.read_tokens


def route(query: Query, resources: Resources) -> Route:
    """Return the plan for a query, with the documents to read and the passages found on the way.

    Raises:
        UsageError: the mode is "exact" and code cannot answer the question.
    """
    from localrag.answer import exact_search

    task = query.question.task(query.only.documents)
    exact = task is not None and (query.mode == "exact" or exact_search.applicable(task, query.documents))
    signals = Signals(
        documents=len(query.documents),
        tokens=sum(tokens(query, document) for _, document in query.documents),
        retrieve_tokens=resources.retrieve_tokens,
        read_tokens=resources.read_tokens,
        exact=task.verb if task is not None and exact else None,
    )
    if query.mode == "exact" or (signals.exact is not None and query.mode == "auto"):
        plan = choose(query.mode, signals, resources.seconds)
        return Route(filters.named_in(plan, query.only), seconds=Seconds(route=query.elapsed()))
    kind, usage = _kind(query, resources)
    began = time.monotonic()
    pointed, hits = _pointed(query, kind, signals, resources)
    searching = time.monotonic() - began if hits else 0.0
    one = len(pointed.documents) == 1 and pointed.by in ("only", "name")
    about_clause = one and kind in ("look-up", "existence")
    # One order whatever the question's is, so that their prompt cache serves again.
    reading = tuple(sorted(pointed.documents, key=lambda pair: (pair[0].name, pair[1].path)))
    nearest = naming.of_passage(hits[0], query.documents) if hits and not reading else ()
    signals = replace(
        signals,
        kind=kind,
        pointed=tuple(document.path for _, document in reading),
        pointed_by=pointed.by,
        pointed_tokens=sum(tokens(query, document) for _, document in reading),
        warm_tokens=resources.cached(reading) if reading and query.only.pages is None else 0,
        nearest="".join(document.path for _, document in nearest),
        nearest_tokens=sum(tokens(query, document) for _, document in nearest),
        clause=resources.clause(query, reading) if about_clause else None,
        **fit_signals(hits),
    )
    plan = filters.named_in(choose(query.mode, signals, resources.seconds), query.only)
    return Route(plan, reading, tuple(hits), usage, Seconds(query.elapsed() - searching, searching))


def tokens(query: Query, document: Document) -> int:
    """Estimate the tokens of a document that are looked at."""
    return context.characters(document, query.only) // CHARACTERS_PER_TOKEN


def fit_signals(hits: Sequence[Passage]) -> dict[str, Any]:
    """Return the score and fit of the passages found; see `Signals`."""
    scores = [hit.score for hit in hits]
    fits = [(hit.signals["dense"] + hit.signals["lexical"]) / 2 for hit in hits if "dense" in hit.signals]
    return {"score": round(scores[0], 4) if scores else None, "fit": round(max(fits), 4) if fits else None}


def _kind(query: Query, resources: Resources) -> tuple[Kind, Usage]:
    """Return the kind of the question; the model tells it where every document may be meant."""
    kind = query.question.kind
    if query.question.sure or query.mode != "auto" or len(query.documents) < 2:
        return kind, Usage()
    weighed = Weighed((), Usage())
    for event in resources.model().weigh(prompts.kind_prompt(query.text), prompts.KIND_OPTIONS, stop=query.stop):
        if isinstance(event, Weighed):
            weighed = event
    return "each" if weighed.shares and weighed.shares[0] >= _MANY else kind, weighed.usage


def _pointed(query: Query, kind: Kind, signals: Signals, resources: Resources) -> tuple[Pointed, Sequence[Passage]]:
    """Return the documents to read, if it comes to reading, and the passages where they had to be searched."""
    only = Pointed(tuple(query.documents), "only")
    few = len(query.documents) <= naming.MAX_READ or signals.tokens <= signals.read_tokens
    # In little text the best passage fits badly even where it has the answer, so its score is no sign.
    short = few and signals.tokens <= signals.retrieve_tokens
    if kind == "each" or (kind in ONE_PLACE and short):
        return (only if few else Pointed()), ()
    named = query.question.named
    if kind in _WHOLE:
        if kind == "summary" and len(named.documents) > 1:
            named = _found_too(named, query, resources)
        if named.documents or few:
            return (named if named.documents else only), ()
        if kind == "summary":
            return Pointed(), ()
    hits: Sequence[Passage] = ()
    try:
        hits = resources.search(query, BACKGROUND)
    except NotFoundError:
        pass
    except (ModelError, EmbedderMismatch):
        if query.mode != "read":  # which needs no search
            raise
    if len(query.documents) == 1:
        return only, hits
    best = naming.of_passage(hits[0], query.documents) if hits else ()
    if kind in ONE_PLACE and named.documents and best != named.documents:
        # Words of a question often stand in a document's name by chance; what is found there must agree.
        named = Pointed()
    if named.documents or not best:
        return named, hits
    by_scores = naming.by_scores(hits, query.documents)
    return (Pointed(best, "scores") if query.mode == "read" else by_scores), hits


def _found_too(named: Pointed, query: Query, resources: Resources) -> Pointed:
    """Return those of several named documents that the best passages are from; all where none is.

    A word of the question that names no document may stand in a name by chance.
    """
    try:
        hits = resources.search(query, naming.OF_BEST)
    except (NotFoundError, ModelError, EmbedderMismatch):  # what is read whole needs no search
        return named
    found = {(hit.library, hit.document_id) for hit in hits}
    own = tuple(pair for pair in named.documents if (pair[0].name, pair[1].id) in found)
    return replace(named, documents=own) if own else named


def choose(mode: Mode, signals: Signals, seconds: SecondsToRead = lambda tokens, behind: None) -> Plan:
    """Return the plan that the signals call for, or the one that `mode` forces.

    Raises:
        UsageError: the mode is "exact" and code cannot answer the question.
    """
    if mode == "exact" and signals.exact is None:
        raise UsageError(
            "this question cannot be answered exactly by code",
            'Leave out the mode, or ask what code can count, find or list: How many times does "notice" '
            'occur? Which documents mention "force majeure"? List the documents by date.',
        )
    if mode == "auto" or mode == "extract":  # which is not planned
        kind, reason = _chosen(signals)
    else:
        kind, reason = mode, f"You asked for {mode!r}."
    facts = {name: value for name, value in asdict(signals).items() if value not in (None, (), "")}
    facts["pointed"] = list(signals.pointed)
    everything = costs(signals, seconds)
    own = [cost for cost in everything if cost.kind == kind]
    return Plan(kind, reason, facts, (*own, *(cost for cost in everything if cost.kind != kind)))


def costs(signals: Signals, seconds: SecondsToRead) -> tuple[Cost, ...]:
    """Return what each plan would take, and why it cannot be taken where that is so."""
    passages = min(signals.retrieve_tokens, signals.tokens) + _FRAME
    one = min(_ONE_DOCUMENT, max(1, signals.tokens // max(1, signals.documents))) + _FRAME
    each, count = seconds(one, 0), signals.documents
    if signals.kind == "summary" and len(signals.pointed) == 1:
        each, count, one = seconds(signals.pointed_tokens, 0), 1, signals.pointed_tokens
    return (
        Cost("retrieve", passages, seconds(passages, 0)),
        _read_cost(signals, seconds),
        Cost("survey", one * count, None if each is None else each * count),
        Cost("exact", 0, 0.0, "" if signals.exact else "code can only count, find and list"),
    )


def _read_cost(signals: Signals, seconds: SecondsToRead) -> Cost:
    if not signals.pointed and signals.nearest and signals.nearest_tokens <= signals.read_tokens:
        size = signals.nearest_tokens + _FRAME
        return Cost("read", size, seconds(size, 0))
    if not signals.pointed:
        return Cost("read", signals.tokens, None, "the question points to no document that could be read whole")
    if not signals.fits:
        most = f"{signals.pointed_tokens:,} tokens are more than the {signals.read_tokens:,} that the model can use"
        return Cost("read", signals.pointed_tokens, seconds(signals.pointed_tokens, 0), most)
    size, behind = (_TAIL, signals.warm_tokens) if signals.warm_tokens else (signals.pointed_tokens + _FRAME, 0)
    return Cost("read", size, seconds(size, behind))


def _chosen(signals: Signals) -> tuple[PlanKind, str]:
    if signals.exact is not None:
        return "exact", f"Code can {signals.exact} this exactly; a model would guess."
    if signals.kind == "each" and signals.documents > 1:
        return "survey", f"It asks about each document, so each of the {signals.documents} is asked by itself."
    if signals.kind in _WHOLE:
        limit = f"{signals.read_tokens:,}"
        if signals.kind == "summary" and len(signals.pointed) == 1:
            return "survey", f"It needs the whole text, so {_named(signals)} is summarised part by part."
        if signals.fits:
            return "read", f"It needs the whole text, and {_named(signals)} can be read whole."
        if signals.kind == "summary" and signals.pointed:
            return "survey", (
                f"It needs the whole text. {_capital(_named(signals))} is more than the model can use at once "
                f"({limit}), so it is summarised part by part, and then the summaries are joined."
            )
        if signals.kind == "summary":
            return "survey", (
                f"It asks about all {signals.documents} documents, so each is summarised, then all together."
            )
        why = f"it names none of the {signals.documents} documents"
        if signals.pointed:
            why = f"{_named(signals)} is more than the model can use ({limit})"
        return "retrieve", f"It would need the whole text, but {why}, so passages are looked up."
    if signals.kind == "compare":
        return "retrieve", "It compares, so passages that fit each side are looked up."
    if signals.pointed_by == "only" and signals.fits and signals.tokens <= signals.retrieve_tokens:
        return "read", f"{_capital(_named(signals))} is read as quickly as passages of it, and nothing is missed."
    if signals.warm_tokens and signals.fits:
        return "read", f"{_capital(_named(signals))} has been read before, so there is no need to look for passages."
    return "retrieve", (
        f"A look-up in about {signals.tokens:,} tokens of text: the passages that fit the question best are enough."
    )


def _named(signals: Signals) -> str:
    """Name what is read, in a sentence: "“lease.pdf” (about 2,000 tokens)"."""
    size = f"(about {signals.pointed_tokens:,} tokens)"
    if len(signals.pointed) == 1:
        return f"“{signals.pointed[0]}” {size}"
    return f"the text of {len(signals.pointed)} documents {size}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
