"""One question put to each of many documents: what one of them answers, and how answers are joined. No model counts.

A leaf's verdict is weighed before anything is written: the model's likelihood of “yes” on a few short passages, each
judged by itself, together with how the document's passages stand among those of all documents asked. Only where that is
enough does the model write: an answer and a quote, in a fixed JSON shape. The quote is looked up in the document, and
what is shown are the document's own words (docs/decisions/0023-survey.md). Every document considered has a row, with
"nothing found" where so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, pstdev
from typing import Any, Literal

from localrag.answer.survey import prompts
from localrag.answer.survey.leaf import LeafQuestion
from localrag.answer.verify.citations import cite
from localrag.answer.verify.locate import locate
from localrag.llm.generation import Completed, Generator, StateStore, Weighed
from localrag.store.sentences import sentences
from localrag.store.text_analysis import COMMON, FALLBACK, tokens
from localrag.types import Citation, Document, Message, Passage, Usage

Read = Literal["whole", "passages"]
Stop = Callable[[], bool]
_NO_BACKGROUND = 3
_LEAF_TOKENS, _FIELD_TOKENS, _MOST_FIELD_TOKENS = 120, 40, 400


@dataclass(frozen=True, slots=True)
class Verdict:
    """From which odds on a document says yes: log odds of the model's best passage, and of where it stands.

    `standing` weighs how far the document's best passage is above those of the others, in standard deviations.
    `certain`: odds that need no second passage. `loose`: what it costs where a required name stands in no sentence
    together with another of the words sought, as in “a Delaware corporation” for the law of Delaware.
    """

    least: float
    standing: float
    certain: float
    loose: float = 2.0

    def moved(self, odds: float, material: Material) -> float:
        """The model's log odds with what code knows of the document."""
        return odds + self.standing * material.standing - self.least - self.loose * material.loose


# Fitted on clauses other than those reported (docs/decisions/0023-survey.md).
VERDICT = Verdict(least=0.0, standing=1.0, certain=2.0)


@dataclass(frozen=True, slots=True)
class Material:
    """What of one document is put before the model.

    `passages` are the best first, each judged by itself; where the document is read `whole` they are its pages. `text`
    is the document as `read` lays it out, where its state is kept. `standing`: how its best passage compares with those
    of the other documents; `loose`: see Verdict. `states` is where states are kept, for a document that has one.
    """

    passages: tuple[Passage, ...]
    read: Read = "passages"
    text: str = ""
    standing: float = 0.0
    loose: bool = False
    states: StateStore | None = None


@dataclass(frozen=True, slots=True)
class Leaf:
    """What one document said.

    `dropped` is True where the model gave a quote that is not in the document; `likelihood` is how sure it is that the
    document says yes, None where it was not asked; `fields` are the columns of a table. `part` names the chapter or
    page, where these are asked instead of documents.
    """

    library: str
    document: Document
    found: bool
    answer: str = ""
    citation: Citation | None = None
    dropped: bool = False
    usage: Usage = field(default_factory=Usage)
    read: Read = "passages"
    likelihood: float | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    part: str = ""

    @property
    def name(self) -> str:
        return ", ".join(name for name in (self.document.path, self.part) if name)

    def to_row(self) -> dict[str, Any]:
        return {
            "library": self.library,
            "document": self.document.path,
            **({"part": self.part} if self.part else {}),
            "found": self.found,
            "answer": self.answer,
            **self.fields,
            "place": self.citation.place if self.citation else "",
            "quote": self.citation.quote if self.citation else "",
            "read": self.read,
            "likelihood": None if self.likelihood is None else round(self.likelihood, 3),
            "why_not": self.why_not,
            "page": self.citation.page if self.citation else None,
            "start": self.citation.start if self.citation else None,
            "end": self.citation.end if self.citation else None,
        }

    @property
    def why_not(self) -> str:
        """Why there is no answer, or no quote with it; empty where there are both."""
        if self.found:
            return "" if self.citation else "the words that it rests on were not found"
        if self.dropped:
            return "what was answered does not stand in it"
        if self.usage.generated:
            return "asked, and nothing found"
        return "not in it" if self.likelihood is None else f"too unlikely ({self.likelihood:.0%})"


def standings(scores: Sequence[float]) -> list[float]:
    """How far each document's best score lies above those of the others, in standard deviations, from -2 to 2.

    A score says little by itself and much against the background of the same question put to the other documents. The
    fewer these are the less they say; of three or less there is no background.
    """
    if len(scores) <= _NO_BACKGROUND or (spread := pstdev(scores)) < 1e-6:
        return [0.0] * len(scores)
    middle, trust = fmean(scores), 1 - _NO_BACKGROUND / len(scores)
    return [trust * min(2.0, max(-2.0, (score - middle) / spread)) for score in scores]


# --- one leaf -----------------------------------------------------------------------------------------------


def ask(
    leaf: LeafQuestion, library: str, document: Document, material: Material, model: Generator, *,
    answer_from: float = 0.5, verdict: Verdict = VERDICT, stop: Stop = lambda: False,
) -> Leaf | None:  # fmt: skip
    """Put the leaf question to one document; None where it was stopped.

    Args:
        answer_from: the least likelihood that the text holds the answer to a question for a value.
        verdict: from where on a question of yes and no is answered yes.
    """
    nothing = Leaf(library, document, False, read=material.read)
    if not any(passage.text.strip() for passage in material.passages):
        return nothing
    call = _Call(model, material.states, stop)
    judged = _judged(leaf, material, verdict, call)
    if judged is None:
        return None
    passages, messages, odds = judged
    likelihood = None if odds is None else 1 / (1 + math.exp(-odds))
    nothing = replace(nothing, likelihood=likelihood, usage=call.usage)
    if likelihood is not None and likelihood < (0.5 if leaf.kind == "existence" else answer_from):
        return nothing
    written = _written(leaf, messages, material, call)
    if written is None:
        return None
    return _leaf(leaf, replace(nothing, usage=call.usage), passages, written)


@dataclass(slots=True)
class _Call:
    """The model, and what it has cost so far."""

    model: Generator
    states: StateStore | None
    stop: Stop
    usage: Usage = field(default_factory=Usage)

    def yes(self, messages: Sequence[Message]) -> float | None:
        """The log odds of yes against no; None where it was stopped."""
        weighed = Weighed((), Usage())
        for event in self.model.weigh(messages, prompts.YES_NO, stop=self.stop, states=self.states):
            if isinstance(event, Weighed):
                weighed = event
        self.usage += weighed.usage
        if not weighed.shares:
            return None
        share = min(max(weighed.shares[0], 1e-6), 1 - 1e-6)
        return math.log(share / (1 - share))

    def write(self, messages: Sequence[Message], grammar: str, most: int) -> str | None:
        done = Completed("", Usage(), "stopped")
        for event in self.model.generate(
            messages, max_tokens=most, grammar=grammar, stop=self.stop, states=self.states
        ):
            if isinstance(event, Completed):
                done = event
        self.usage += done.usage
        return None if done.ended == "stopped" else done.text


def _judged(
    leaf: LeafQuestion, material: Material, verdict: Verdict, call: _Call
) -> tuple[Sequence[Passage], list[Message], float | None] | None:
    """The passages that answer best, their prompt, and the odds that they do; None where it was stopped."""
    if material.text:
        messages = prompts.document_prompt(leaf.text, material.passages[0].document, material.text)
    else:
        messages = prompts.passage_prompt(leaf.noun, material.passages)
    if leaf.kind == "fields":
        return material.passages, messages, None
    this = _this(material)
    if leaf.kind != "existence" or material.read == "whole":
        odds = call.yes(prompts.asking(messages, prompts.says_so(leaf, this)))
        if odds is not None and leaf.kind == "existence":
            odds = verdict.moved(odds, material)
        return None if odds is None else (material.passages, messages, odds)
    best: tuple[Sequence[Passage], list[Message], float] | None = None
    for passage in material.passages:
        messages = prompts.passage_prompt(leaf.noun, [passage])
        odds = call.yes(prompts.asking(messages, prompts.says_so(leaf, this)))
        if odds is None:
            return None
        odds = verdict.moved(odds, material)
        if best is None or odds > best[2]:
            best = [passage], messages, odds
        if odds >= verdict.certain:
            break
    return best


def _this(material: Material) -> str:
    return (
        "this document" if material.read == "whole" else "this passage" if len(material.passages) == 1 else "the text"
    )


def _written(leaf: LeafQuestion, messages: list[Message], material: Material, call: _Call) -> str | None:
    told = prompts.asking(messages, prompts.write(leaf, _this(material)))
    if leaf.kind != "fields":
        return call.write(told, prompts.LEAF_GRAMMAR, _LEAF_TOKENS)
    most = min(_MOST_FIELD_TOKENS, _FIELD_TOKENS * len(leaf.columns) + 20)
    return call.write(told, prompts.fields_grammar(leaf.columns), most)


def _leaf(leaf: LeafQuestion, nothing: Leaf, passages: Sequence[Passage], text: str) -> Leaf:
    """What was written, checked: an answer without the shape is none, a quote must stand in the document."""
    try:
        reply = json.loads(text)
        if leaf.kind == "fields":
            return _row_of_fields(leaf, nothing, passages, reply)
        found, answer, quote = bool(reply["found"]), str(reply["answer"]).strip(), str(reply["quote"]).strip()
    except (ValueError, KeyError, TypeError, AttributeError):
        # Cut off by the token limit: what there is of it is no answer.
        return nothing
    if not found or (leaf.kind == "existence" and answer.strip(" .").lower() == "no"):
        return nothing
    citation = located(quote, passages)
    dropped = bool(quote) and citation is None
    if leaf.required and not _beside(leaf.required, citation, passages):
        citation = next((at for name in leaf.required if (at := located(name, passages, sentence=True))), None)
    citation = citation or supported(answer, leaf.text, passages)
    if leaf.kind == "existence":
        answer = answer or "yes"
    return replace(nothing, found=True, answer=answer, citation=citation, dropped=dropped)


def _row_of_fields(leaf: LeafQuestion, nothing: Leaf, passages: Sequence[Passage], reply: Mapping[str, Any]) -> Leaf:
    """A row of a table: a value stays only where its words stand in the text."""
    values: dict[str, str] = {}
    places: list[Citation] = []
    dropped = False
    for column in leaf.columns:
        value = str(reply.get(prompts.key(column), "")).strip()
        at = (located(value, passages, sentence=True) or supported(value, column, passages)) if value else None
        dropped = dropped or bool(value and at is None)
        values[prompts.key(column)] = value if at is not None else ""
        places += [at] if at is not None else []
    answer = "; ".join(f"{name}: {value}" for name, value in values.items() if value)
    citation = places[0] if places else None
    return replace(nothing, found=bool(answer), answer=answer, citation=citation, dropped=dropped, fields=values)


# --- the document's own words -------------------------------------------------------------------------------


def located(words: str, passages: Sequence[Passage], *, sentence: bool = False) -> Citation | None:
    """Words at their place in one of the passages; with `sentence` the whole sentence that they stand in."""
    for passage in passages:
        place = locate(words.strip(" ."), passage.text)
        if place is not None:
            start, end = place
            if sentence:
                start, end = _sentence(passage.text, start, end)
            return _citation(passage, start, end)
    return None


def supported(answer: str, question: str, passages: Sequence[Passage]) -> Citation | None:
    """The sentence that an answer rests on, picked by code where the model quoted none, or not what stands there."""
    citations = cite(answer or question, question, passages).citations
    return replace(citations[0], marker=0) if citations else None


def together(names: Sequence[str], sought: str, text: str) -> bool:
    """Whether each name stands in a sentence with another of the words sought; True where there are no others."""
    others = _stems(sought) - _stems(" ".join(names))
    spans = [text[start:end] for start, end in sentences(text)]
    return not others or all(any(locate(name, span) and others & _stems(span) for span in spans) for name in names)


def _stems(text: str) -> set[str]:
    common = COMMON[FALLBACK]
    return {token.term for token in tokens(text, FALLBACK) if token.word not in common}


def _sentence(text: str, start: int, end: int) -> tuple[int, int]:
    for first, last in sentences(text):
        if first <= start < last:
            return first, max(last, end)
    return start, end


def _beside(names: Sequence[str], citation: Citation | None, passages: Sequence[Passage]) -> bool:
    """Whether all the names stand in the quote, or in the sentences around it."""
    if citation is None:
        return False
    for passage in passages:
        same = (passage.library, passage.document, passage.page) == (citation.library, citation.document, citation.page)
        if same and passage.start <= citation.start < passage.end:
            spans = sentences(passage.text)
            at = [n for n, (first, last) in enumerate(spans) if first < citation.end - passage.start
                  and last > citation.start - passage.start]  # fmt: skip
            if not at:
                return False
            near = passage.text[spans[max(0, at[0] - 1)][0] : spans[min(len(spans) - 1, at[-1] + 1)][1]]
            return all(locate(name, near) for name in names)
    return False


def _citation(passage: Passage, start: int, end: int) -> Citation:
    return Citation(
        passage.library, passage.document, passage.page, passage.label, passage.place, passage.text[start:end],
        passage.start + start, passage.start + end, 0, unit=passage.unit,
    )  # fmt: skip
