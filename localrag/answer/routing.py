"""Which way to look a question up, and why (pure).

Rules over signals, the cheapest way that can answer first: what code answers exactly goes to code; a question put to
every document goes to each; a text that is asked about as a whole is read whole, if it fits what the model can use;
what is as short as its passages, or has been read before, is read whole as well, since then nothing can be missed; any
other look-up gets passages. Every plan names its reason in plain words, the signals it was drawn from, and what each
way would have taken here. The figures behind the rules: docs/decisions/0026-routes.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, replace
from typing import Literal

from localrag.answer.intent import Kind
from localrag.errors import UsageError
from localrag.types import Cost, Mode, Plan, PlanKind

Seconds = Callable[[int, int], float | None]  # of reading tokens, behind so many that are kept

# From which fit of the best passage on an answer is expected (docs/decisions/0026-routes.md).
ESCALATE_FROM = 0.6

# In which order ways are tried where an answer was not enough.
_AGAIN: tuple[PlanKind, ...] = ("exact", "read", "retrieve", "survey")

# Rules, question and answer, without any text.
_FRAME = 160
# What a question adds behind a text that has been read before.
_TAIL = 60
# Most tokens of one document of a survey: two or three passages, or a short text whole.
_LEAF = 450


@dataclass(frozen=True, slots=True)
class Signals:
    """What routing knows of a question. Tokens are estimates until the model counts them.

    `retrieve_tokens` is what a look-up by passages would put before the model, `read_tokens` the most that `read` may:
    the lesser of the setting and the model's effective length. `kind` and `words` are the question's intent.
    `pointed` names the documents that the question points to, `pointed_by` how that is known: by being the only ones,
    by name, or by the scores of what was found; `pointed_tokens` is their size; `warm_tokens` is 0 where the model
    has not read all of them before. Where it points to none, `nearest` is the document of the best passage, with
    `nearest_tokens`: what `read` would take if it were asked for. `score` is that of the best passage, `margin` how far
    it stands out from the rest, and `fit` how well one fits by words and meaning alone, whatever its document's name.
    """

    documents: int
    tokens: int
    retrieve_tokens: int
    read_tokens: int
    kind: Kind = "look-up"
    words: str = ""
    exact: str | None = None
    pointed: tuple[str, ...] = ()
    pointed_by: Literal["", "only", "name", "scores"] = ""
    pointed_tokens: int = 0
    warm_tokens: int = 0
    nearest: str = ""
    nearest_tokens: int = 0
    score: float | None = None
    margin: float | None = None
    fit: float | None = None

    @property
    def fits(self) -> bool:
        return bool(self.pointed) and self.pointed_tokens <= self.read_tokens

    @property
    def warm(self) -> bool:
        return bool(self.pointed) and self.warm_tokens > 0


def _unknown(tokens: int, behind: int) -> float | None:
    return None


def choose(question: str, mode: Mode, signals: Signals, seconds: Seconds = _unknown) -> Plan:
    """The plan for a question.

    Args:
        question: as it was typed.
        mode: forces a plan, or "auto".
        signals: what is known of it.
        seconds: of reading so many tokens behind so many that are kept; None where the speed is not known.

    Raises:
        UsageError: `mode` asks for an exact answer to a question that code cannot answer.
    """
    if mode == "exact" and signals.exact is None:
        raise UsageError(
            "this question cannot be answered exactly by code",
            'Leave out the mode, or ask what code can count, find, list or calculate: How many times does "notice" '
            'occur? Which documents mention "force majeure"? List the documents by date. What is 15 % of 2,400 euros?',
        )
    kind, reason = (mode, f"You asked for {mode!r}.") if mode != "auto" else _chosen(signals)
    facts = {name: value for name, value in asdict(signals).items() if value not in (None, (), "")}
    facts["pointed"] = list(signals.pointed)
    everything = costs(signals, seconds)
    own = [cost for cost in everything if cost.kind == kind]
    return Plan(kind, reason, facts, (*own, *(cost for cost in everything if cost.kind != kind)))


def costs(signals: Signals, seconds: Seconds = _unknown) -> tuple[Cost, ...]:
    """What each plan would take, and why it cannot be taken where that is so."""
    passages = min(signals.retrieve_tokens, signals.tokens) + _FRAME
    leaves = min(_LEAF, max(1, signals.tokens // max(1, signals.documents))) + _FRAME
    read, behind = (_TAIL, signals.warm_tokens) if signals.warm else (signals.pointed_tokens + _FRAME, 0)
    found: list[Cost] = [Cost("retrieve", passages, seconds(passages, 0))]
    if not signals.pointed and signals.nearest and signals.nearest_tokens <= signals.read_tokens:
        found.append(Cost("read", signals.nearest_tokens + _FRAME, seconds(signals.nearest_tokens + _FRAME, 0)))
    elif not signals.pointed:
        found.append(Cost("read", signals.tokens, None, "the question points to no document that could be read whole"))
    elif not signals.fits:
        most = f"{signals.pointed_tokens:,} tokens are more than the {signals.read_tokens:,} that the model can use"
        found.append(Cost("read", signals.pointed_tokens, seconds(signals.pointed_tokens, 0), most))
    else:
        found.append(Cost("read", read, seconds(read, behind)))
    each = seconds(leaves, 0)
    found.append(Cost("survey", leaves * signals.documents, None if each is None else each * signals.documents))
    if signals.exact is None:
        found.append(Cost("exact", 0, 0.0, "code can only count, find and calculate"))
    else:
        found.append(Cost("exact", 0, 0.0))
    return tuple(found)


def escalated(plan: Plan, documents: tuple[str, ...], tokens: int) -> Plan | None:
    """The plan to go on with where passages did not answer: read their document, or None where that does not pay.

    It pays where the passages fit the question so well that they were likely to answer it, and more of the document
    is left to read. Of one that is too long, a part is read.

    Args:
        plan: the one that failed.
        documents: those that the best passages are of.
        tokens: their size.
    """
    fit, most = plan.signals.get("fit", 0.0), int(plan.signals["read_tokens"])
    if not documents or tokens <= plan.signals["retrieve_tokens"] or fit < ESCALATE_FROM:
        return None
    if tokens > most and len(documents) > 1:
        return None
    named = f"“{documents[0]}” is" if len(documents) == 1 else f"{len(documents)} documents are"
    reason = f"{plan.reason} They fit the question well and yet did not answer it, so {named} read."
    return replace(plan, kind="read", reason=reason, signals={**plan.signals, "escalated_from": plan.kind})


def another(plan: Plan, tried: Collection[PlanKind]) -> Cost | None:
    """The way to try next where the answer by a plan was not enough, or None where none is left.

    What code can do exactly comes first, then the whole text, then passages, then each document by itself, which takes
    longest and says nothing new of one document.

    Args:
        plan: the last one.
        tried: the ways that were taken.
    """
    alone = plan.signals.get("documents", 0) == 1 and plan.signals.get("kind") != "summary"
    open_ways = {cost.kind: cost for cost in plan.costs if not cost.why_not and cost.kind not in tried}
    if alone:
        open_ways.pop("survey", None)
    return next((open_ways[kind] for kind in _AGAIN if kind in open_ways), None)


def _chosen(signals: Signals) -> tuple[PlanKind, str]:
    if signals.exact is not None:
        return "exact", f"Code can {signals.exact} this exactly; a model would guess."
    if signals.kind == "each" and signals.documents > 1:
        return "survey", (
            f"“{signals.words}” asks about each document, so each of the {signals.documents} is asked by itself."
        )
    if signals.kind == "summary":
        return _summary(signals)
    if signals.kind in ("compare", "whole"):
        return _whole(signals)
    return _look_up(signals)


def _summary(signals: Signals) -> tuple[PlanKind, str]:
    if signals.fits:
        return "read", f"“{signals.words}” needs the whole text, and {_pointed(signals)} can be read whole."
    if signals.pointed:
        return "survey", (
            f"“{signals.words}” needs the whole text. {_capital(_pointed(signals))} is more than the model can use at "
            f"once ({signals.read_tokens:,}), so it is read part by part and the summaries of the parts are joined."
        )
    return "survey", (
        f"“{signals.words}” is asked of all {signals.documents} documents, so each is summarised and then all together."
    )


def _whole(signals: Signals) -> tuple[PlanKind, str]:
    if signals.fits:
        return "read", f"“{signals.words}” needs the whole text, and {_pointed(signals)} can be read whole."
    if signals.pointed:
        size = f"{_pointed(signals)} is more than the model can use ({signals.read_tokens:,})"
        return "retrieve", f"“{signals.words}” would need the whole text, but {size}, so passages are looked up."
    return "retrieve", (
        f"“{signals.words}” would need the whole text, but it does not say of which of the {signals.documents} "
        "documents, so passages are looked up in all."
    )


def _look_up(signals: Signals) -> tuple[PlanKind, str]:
    if signals.pointed_by == "only" and signals.fits and signals.tokens <= signals.retrieve_tokens:
        return (
            "read",
            f"{_capital(_pointed(signals))} is read as quickly as passages of it, and nothing is missed.",
        )
    if signals.warm and signals.fits:
        return "read", f"{_capital(_pointed(signals))} has been read before, so there is no need to look for passages."
    return "retrieve", (
        f"A look-up in about {signals.tokens:,} tokens of text: the passages that fit the question best are enough."
    )


def _pointed(signals: Signals) -> str:
    """What is read, in a sentence: "“lease.pdf” (about 2,000 tokens)"."""
    size = f"(about {signals.pointed_tokens:,} tokens)"
    if len(signals.pointed) == 1:
        return f"“{signals.pointed[0]}” {size}"
    return f"the text of {len(signals.pointed)} documents {size}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
