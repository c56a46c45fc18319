"""Ask one document the question of a survey.

The verdict is weighed before anything is written, and only where it is enough does the model write an answer and a
quote, in a fixed JSON shape. The quote is looked up in the document (docs/decisions/0023-survey.md). A prompt ends in
the question as its tail, so that the verdict and the answer share what was read.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import fmean, pstdev
from typing import Any, Literal

from localrag.events import Delta
from localrag.grounding import prompts
from localrag.grounding.citations import cite, cite_span, nearest, terms
from localrag.grounding.locate import Folded, fold, locate, within
from localrag.items.leaf_question import LeafQuestion
from localrag.items.values import Field, Type, Value, grammar, read, states
from localrag.llm import Completed, Generator, PromptCache, Weighed
from localrag.quantities import QUANTITY, lazy_re, phrases
from localrag.store.sentences import sentences
from localrag.types import Citation, Document, Message, Passage, Usage

Read = Literal["whole", "passages"]
Stop = Callable[[], bool]
# So few documents are no background to compare with.
_NO_BACKGROUND = 3
_ANSWER_TOKENS, _FIELD_TOKENS, _MAX_FIELD_TOKENS, _LINES_TOKENS = 120, 40, 400, 800
_MAX_LINES = 50

# Types of values that the model judges; the words that show them are asked for beside.
JUDGED: tuple[Type, ...] = ("yes/no", "choice")
_FIGURES: tuple[Type, ...] = ("money", "percent", "number")
_SHOWN = " words"
_SHOWING = 2  # content words that show something

_WORDS = prompts.WORDS["survey"]
(_NEGATED,) = phrases("localrag.items", "review", "negated")
_PASSED, _LIMITED, _FORBIDS = phrases("localrag.items", "leaf", "passed", "limited", "forbids")
_ASKS = re.compile(r"(?:who|whom|whose|what|which|when|where|why|how)\b", re.I)  # for which "true" is no answer
_MAX_PASSED = 5  # words between a negation and what it denies
_STRING = r"""
string ::= "\"" char{0,300} "\""
char   ::= [^"\\\x00-\x1F] | "\\" ["\\/nt]
"""
# The shape of an answer (GBNF).
LEAF_GRAMMAR = rf"""
root   ::= "{{\"found\": " ("true" | "false") ", \"answer\": " string ", \"quote\": " string "}}"{_STRING}"""
# Where the verdict is sure, the model only writes the quote; else it may take a yes back.
_YES = '{"found": true, "answer": "yes", "quote": "'
QUOTE_GRAMMAR = rf"""
root   ::= char{{1,300}} "\"}}"{_STRING}"""
# An answer whose quote is still being written, up to the last whole word.
_QUOTING = lazy_re(r'\{"found": true, "answer": "(?:[^"\\]|\\.)*", "quote": "((?:[^"\\]|\\.)*)\s\S*$')
# The model writes so many words of a quote; code takes the rest of the sentence, up to so many characters.
_QUOTE_WORDS, _QUOTE_CHARACTERS = 6, 300


# Log odds that need no second passage and no word but the quote, and what it costs where a required name shares no
# sentence with another search word, as in "a Delaware corporation" for the law of Delaware
# (docs/decisions/0023-survey.md).
_CERTAIN, _LOOSE = 2.0, 2.0


@dataclass(frozen=True, slots=True)
class Material:
    """What the model reads of one document."""

    passages: tuple[Passage, ...]  # the best first, each judged by itself; the pages, where it is read whole
    read: Read = "passages"
    text: str = ""  # the document as `read` lays it out, where it is in the prompt cache
    standing: float = 0.0  # how its best passage compares with those of the other documents
    loose: bool = False  # a required name shares no sentence with another search word
    cache: PromptCache | None = None


@dataclass(frozen=True, slots=True)
class Stated:
    """A value, and the line or sentence that states it."""

    value: Value
    citation: Citation
    by_model: bool = False


@dataclass(frozen=True, slots=True)
class Leaf:
    """What one document answers."""

    library: str
    document: Document
    found: bool
    answer: str = ""
    citation: Citation | None = None
    dropped: bool = False  # the model gave a quote that is not in the document
    usage: Usage = field(default_factory=Usage)
    read: Read = "passages"
    likelihood: float | None = None  # that the document says yes; None where the model was not asked
    fields: Mapping[str, str] = field(default_factory=dict)  # the columns of a table
    rows: tuple[Mapping[str, Stated], ...] = ()  # typed fields by name: one row, or one for each line
    unstated: tuple[str, ...] = ()  # fields that the model filled with words that are not in the text
    cut: bool = False  # lines are missing, because the token limit ended them
    withheld: bool = False  # by strict mode, because it is not supported throughout
    unsure: bool = False  # the model answered, and no words of the document support it

    def to_row(self) -> dict[str, Any]:
        at = self.citation
        return {
            "library": self.library,
            "document": self.document.path,
            "found": self.found,
            "answer": self.answer,
            **self.fields,
            "place": at.place if at else "",
            "quote": at.quote if at else "",
            "read": self.read,
            "likelihood": None if self.likelihood is None else round(self.likelihood, 3),
            "why_not": self.why_not,
            **{name: getattr(at, name, None) for name in ("page", "start", "end")},
        }

    @property
    def why_not(self) -> str:
        """Why there is no answer, or no quote with it; empty where there are both."""
        if self.found:
            return "" if self.citation else "the words that support it were not found"
        if self.unsure:
            return "unsure: the words that support it were not found"
        if self.withheld:
            return "withheld in strict mode, because no text supports it throughout"
        if self.dropped:
            return "the answer is not in it"
        if self.usage.generated:
            return "asked, and nothing found"
        return "not in it" if self.likelihood is None else f"too unlikely ({self.likelihood:.0%})"


def standings(scores: Sequence[float]) -> list[float]:
    """Return how far each document's best score lies above the others, in standard deviations from -2 to 2.

    A score says little by itself and much against those of the other documents; the fewer these are, the less.
    """
    if len(scores) <= _NO_BACKGROUND or (spread := pstdev(scores)) < 1e-6:
        return [0.0] * len(scores)
    middle, trust = fmean(scores), 1 - _NO_BACKGROUND / len(scores)
    return [trust * min(2.0, max(-2.0, (score - middle) / spread)) for score in scores]


def passage_prompt(noun: str, passages: Sequence[Passage]) -> list[Message]:
    """Return a prompt with passages of one document, to be asked with a tail."""
    blocks = tuple((f"\n\n{prompts.shown(passage)}",) for passage in passages)
    first = f"Passage{'s' if len(blocks) > 1 else ''} of the {noun}:"
    return [Message("system", _WORDS["rules"]), Message("user", "", stable=(first,), blocks=blocks)]


def with_tail(messages: Sequence[Message], tail: str) -> list[Message]:
    """Return the same prompt with a question at its end."""
    return [*messages[:-1], replace(messages[-1], tail=tail)]


def says_so(question: LeafQuestion, this: str) -> str:
    """Return the tail that asks for yes or no: whether the text says so, or holds the answer at all."""
    form: str = _WORDS["says_so" if question.kind == "existence" else "holds"]
    return form.format(question=question.text, this=this)


def write_tail(question: LeafQuestion, this: str) -> str:
    """Return the tail that asks for the answer in the shape of LEAF_GRAMMAR, for fields, or for the fields of lines."""
    form: str = _WORDS[question.kind if question.kind in ("fields", "lines") else "write"]
    columns = [_described(field) for field in question.fields] or question.columns
    return form.format(question=question.text, this=this, columns=", ".join(columns))


def _described(field: Field) -> str:
    """Return a field with its choices and what it means; a small model writes the name of a type as its value."""
    kinds = ["yes or no"] if field.type == "yes/no" else [" | ".join(field.choices)]
    about = "; ".join(filter(None, (*kinds, field.title, field.description)))
    return f"{field.label} ({about})" if about else field.label


def fields_grammar(question: LeafQuestion) -> str:
    """Return the GBNF grammar of a row: an object with just these keys, in this order; for lines a list of rows.

    Yes, no and a choice come with the words that show it, other values are such words.
    """
    pairs: list[str] = []
    for one in question.asked:
        name = key(one.label)
        pairs.append(f'"\\"{name}\\": " {grammar(one.type, one.choices)}')
        pairs += [f'"\\"{name}{_SHOWN}\\": " string'] if one.type in JUDGED else []
    row = '"{" ' + ' ", " '.join(pairs) + ' "}"'
    if question.kind == "lines":
        return f'root   ::= "[" (row (", " row){{0,{_MAX_LINES - 1}}})? "]"\nrow    ::= {row}{_STRING}'
    return f"root   ::= {row}{_STRING}"


def key(column: str) -> str:
    """Return a column's name as a JSON key: letters, digits and single spaces."""
    return " ".join(re.sub(r"[^\w-]+", " ", column).split()).lower()


def ask(
    question: LeafQuestion,
    library: str,
    document: Document,
    material: Material,
    model: Generator,
    *,
    answer_from: float = 0.5,
    write: bool = True,
    stop: Stop = lambda: False,
) -> Leaf | None:
    """Put the question to one document; return None where it was stopped.

    `answer_from` is the minimum likelihood that the text holds the answer to a question for a value. Unless the model
    is to `write` an answer, the leaf has only the quote, picked by code.
    """
    nothing = Leaf(library, document, False, read=material.read)
    if not any(passage.text.strip() for passage in material.passages):
        return nothing
    call = _Call(model, material.cache, stop)
    judged = _judged(question, material, call)
    if judged is None:
        return None
    passages, messages, odds = judged
    likelihood = None if odds is None else 1 / (1 + math.exp(-odds))
    nothing = replace(nothing, likelihood=likelihood, usage=call.usage)
    if likelihood is not None and likelihood < (0.5 if question.kind == "existence" else answer_from):
        return nothing
    if not write:
        return replace(nothing, found=True, citation=next(iter(nearest(question.topic, passages)), None))
    messages = with_tail(messages, write_tail(question, _this(material)))
    if question.kind in ("fields", "lines"):
        limit = min(_MAX_FIELD_TOKENS, _FIELD_TOKENS * len(question.asked) + 20)
        limit = _LINES_TOKENS if question.kind == "lines" else limit
        written = call.write(messages, fields_grammar(question), limit)
    else:
        sure = question.kind == "existence" and odds is not None and odds >= _CERTAIN
        begin, grammar = (_YES, QUOTE_GRAMMAR) if sure else ("", LEAF_GRAMMAR)
        texts = {passage.text: fold(passage.text) for passage in passages}
        written = call.write(messages, grammar, _ANSWER_TOKENS, begin, partial(_ended, texts=texts))
    return None if written is None else _checked(question, replace(nothing, usage=call.usage), passages, written)


@dataclass(slots=True)
class _Call:
    """The model, and what it has cost so far."""

    model: Generator
    cache: PromptCache | None
    stop: Stop
    usage: Usage = field(default_factory=Usage)

    def yes(self, messages: Sequence[Message]) -> float | None:
        """Return the log odds of yes against no; None where it was stopped."""
        *_, weighed = self.model.weigh(messages, prompts.CHECK_OPTIONS, stop=self.stop, cache=self.cache)
        assert isinstance(weighed, Weighed)
        self.usage += weighed.usage
        if not weighed.shares:
            return None
        share = min(max(weighed.shares[0], 1e-6), 1 - 1e-6)
        return math.log(share / (1 - share))

    def write(
        self,
        messages: Sequence[Message],
        grammar: str,
        limit: int,
        begin: str = "",
        ended: Callable[[str], str] = lambda text: "",
    ) -> str | None:
        """Return what the model writes after `begin`, or what `ended` makes of a part; None where it was stopped."""
        text, full = begin, ""

        def halt() -> bool:
            return bool(full) or self.stop()

        asked = [*messages, *([Message("assistant", begin)] if begin else [])]
        for event in self.model.generate(asked, max_tokens=limit, grammar=grammar, stop=halt, cache=self.cache):
            if isinstance(event, Delta):
                text += event.text
                full = full or ended(text)
        assert isinstance(event, Completed)
        self.usage += event.usage
        return full or (None if event.ended == "stopped" else begin + event.text)


def _judged(
    question: LeafQuestion, material: Material, call: _Call
) -> tuple[Sequence[Passage], list[Message], float | None] | None:
    """Return the best passages, their prompt, and the odds that they answer; None where it was stopped."""
    if material.text:
        messages = prompts.documents_prompt(question.text, [(material.passages[0].document, material.text)])
    else:
        messages = passage_prompt(question.noun, material.passages)
    if question.kind in ("fields", "lines"):
        return material.passages, messages, None
    tail = says_so(question, _this(material))
    known = material.standing - _LOOSE * material.loose  # by code
    if question.kind != "existence" or material.read == "whole":
        odds = call.yes(with_tail(messages, tail))
        if odds is None:
            return None
        return material.passages, messages, odds + (known if question.kind == "existence" else 0.0)
    best: tuple[Sequence[Passage], list[Message], float] | None = None
    for passage in material.passages:
        messages = passage_prompt(question.noun, [passage])
        odds = call.yes(with_tail(messages, tail))
        if odds is None:
            return None
        if best is None or odds + known > best[2]:
            best = [passage], messages, odds + known
        if odds + known >= _CERTAIN:
            break
    return best


def _this(material: Material) -> str:
    if material.read == "whole":
        return "this document"
    return "this passage" if len(material.passages) == 1 else "the text"


def _ended(text: str, texts: Mapping[str, Folded]) -> str:
    """Return the whole JSON of an answer once its end is known, else "": not found, or a quote that occurs once."""
    if text.startswith('{"found": false'):
        return '{"found": false, "answer": "", "quote": ""}'
    found = _QUOTING.match(text)
    words = re.sub(r"\\(.)", lambda escape: " " if escape[1] in "nt" else escape[1], found[1]) if found else ""
    if found is None or len(words.split()) < _QUOTE_WORDS:
        return ""
    if sum(folded.text.count(fold(words).text) for folded in texts.values()) != 1:
        return ""
    for whole, folded in texts.items():
        if place := within(words, folded):
            start, end = place
            end = next((last for first, last in sentences(whole) if first <= start and end < last), end)
            quote = whole[start:end]
            if len(quote) > _QUOTE_CHARACTERS:
                quote = quote[:_QUOTE_CHARACTERS].rpartition(" ")[0]
            return f"{text[: found.start(1) - 1]}{json.dumps(quote)}}}"
    return ""


def _checked(question: LeafQuestion, nothing: Leaf, passages: Sequence[Passage], text: str) -> Leaf:
    """Check what was written: an answer without the shape is none, a quote must be in the document."""
    try:
        if question.kind in ("fields", "lines"):
            return _checked_rows(question, nothing, passages, text)
        reply = json.loads(text)
        found, answer, quote = bool(reply["found"]), str(reply["answer"]).strip(), str(reply["quote"]).strip()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        # Cut off by the token limit: what there is of it is no answer.
        return nothing
    first = re.split(r"[.,;:]", answer)[0].strip()
    judged = read("yes/no", first) if question.kind == "existence" and " " not in first else None
    if not found or (judged is not None and judged.form == "false"):
        return nothing
    citation = located(quote, passages)
    dropped = bool(quote) and citation is None
    if question.required and not _beside(question.required, citation, passages):
        citation = next((at for name in question.required if (at := located(name, passages, sentence=True))), None)
    citation = citation or supported(answer, question.text, passages)
    bare = bool(_ASKS.match(question.text)) and " " not in first and read("yes/no", first) is not None
    if question.kind != "existence" and (citation is None or bare):
        return replace(nothing, unsure=True)  # a yes was weighed before; a value has only its words
    if question.kind == "existence" and (not answer or (judged is not None and first == answer.rstrip("."))):
        answer = "yes"  # the model may have another word for it
    return replace(nothing, found=True, answer=answer, citation=citation, dropped=dropped)


def _checked_rows(question: LeafQuestion, nothing: Leaf, passages: Sequence[Passage], text: str) -> Leaf:
    """Check rows: a value stays only where its words are in the text and hold a value of its type.

    Of a column without a type it also stays where a sentence supports it.
    """
    rows: list[dict[str, Stated]] = []
    unstated: dict[str, None] = {}
    fields, loose = question.asked, not question.fields
    roles = terms(" ".join(one.label for one in fields))  # "Tenant" is no name of a landlord
    at = text.find("{")
    while at >= 0:
        try:
            reply, end = json.JSONDecoder().raw_decode(text, at)
        except ValueError:
            break  # cut off by the token limit; the rows before stay
        row: dict[str, Stated] = {}
        for one in fields:
            said = str(reply.get(key(one.label), "")).strip()
            words = "" if one.type == "party" and terms(said) <= roles else said
            shown = str(reply.get(key(one.label) + _SHOWN, said))
            if words and (stated := stated_by(one, words, shown, passages, loose)):
                row[one.name] = stated
            elif said:
                unstated[one.name] = None
        taken = _of_others(row, fields)
        unstated |= dict.fromkeys(taken)
        row = {name: stated for name, stated in row.items() if name not in taken}
        rows += [row] if row else []
        at = text.find("{", end)
    citation = next((stated.citation for row in rows for stated in row.values()), None)
    columns = {key(name): rows[0][name].value.form if rows and name in rows[0] else "" for name in question.columns}
    answer = "; ".join(f"{name}: {value}" for name, value in columns.items() if value)
    return replace(
        nothing,
        found=bool(rows),
        answer=answer if loose else "",
        citation=citation,
        dropped=bool(unstated),
        fields=columns if loose else {},
        rows=tuple(rows),
        unstated=tuple(unstated),
        cut=not text.endswith(("}", "]")),
    )


def _of_others(row: Mapping[str, Stated], fields: Sequence[Field]) -> list[str]:
    """Return the fields that have the figure of another one, whose words are beside it, while theirs are not."""
    named = {
        one.name: bool(_sought(one) & terms(row[one.name].citation.quote))
        for one in fields
        if one.name in row and one.type in _FIGURES
    }
    owned = {row[name].value.measured for name, so in named.items() if so} - {None}
    return [name for name, so in named.items() if not so and row[name].value.measured in owned]


def _sought(one: Field) -> frozenset[str]:
    return frozenset(terms(f"{one.label} {one.title} {one.description}"))


def stated_by(one: Field, said: str, words: str, passages: Sequence[Passage], loose: bool) -> Stated | None:
    """Return a value at the sentence that has its words and most words of the field; None where no text has them.

    A text may write the value otherwise than the model: "nine months" for "9 months".
    """
    sought = _sought(one)
    judged = one.type in JUDGED
    if judged and len(terms(words)) < _SHOWING:
        return None
    best: tuple[int, str, Citation] | None = None
    for passage in passages:
        for start, end in sentences(passage.text):
            text = passage.text[start:end]
            place = locate(words.strip(" ."), text)
            if place is not None and one.type in _FIGURES:  # with its sign, scale and unit
                spans = (found.span() for found in QUANTITY.finditer(text))
                place = next((span for span in spans if span[0] <= place[0] and place[1] <= span[1]), place)
            if place is None and not judged and states(one.type, said, text):
                place = 0, len(text)
            fit = len(sought & terms(text)) if place else 0
            if place and (best is None or fit > best[0]):
                best = fit, text[slice(*place)], cite_span(passage, start, end)
    # Across two sentences, or in other words.
    if best is None and (at := located(words, passages) or (supported(said, one.label, passages) if loose else None)):
        best = 0, at.quote, at
    found = best is not None and locate(words.strip(" ."), best[1]) is not None
    value = one.read(best[1] if found and not judged else said) if best else None
    if best is None or value is None or (one.type == "yes/no" and _contradicts(value, one.label, best[2].quote)):
        return None
    return Stated(replace(value, words=best[1]), best[2], True)


def denied(question: str, quote: str) -> bool:
    """Return whether a sentence plainly negates what a question asks: "It shall not automatically renew"."""
    asked = terms(question)
    if any(one.search(question) for one in (_NEGATED, _FORBIDS)):
        return False
    for start, end in sentences(quote):
        sentence = quote[start:end]
        for found in () if _LIMITED.search(sentence) else _NEGATED.finditer(sentence):
            for word in re.findall(r"[^\W_]+", sentence[found.end() :])[:_MAX_PASSED]:
                if (own := terms(word)) & asked:
                    return True
                if own and not _PASSED.fullmatch(word):
                    break
    return False


def _contradicts(value: Value, label: str, quote: str) -> bool:
    """Return whether a sentence denies a yes to a field, or plainly says what is to be no."""
    if value.form == "true":
        return denied(label, quote)
    return terms(label) <= terms(quote) and not any(one.search(quote) for one in (_NEGATED, _LIMITED, _FORBIDS))


def located(words: str, passages: Sequence[Passage], *, sentence: bool = False) -> Citation | None:
    """Return words at their place in one of the passages; with `sentence` their whole sentence."""
    for passage in passages:
        place = locate(words.strip(" ."), passage.text)
        if place is not None:
            start, end = place
            if sentence:
                within = (span for span in sentences(passage.text) if span[0] <= start < span[1])
                first, last = next(within, (start, end))
                start, end = first, max(last, end)
            return cite_span(passage, start, end)
    return None


def supported(answer: str, question: str, passages: Sequence[Passage]) -> Citation | None:
    """Return the sentence that supports an answer, picked by code where the model quoted none that is there."""
    citations = cite(answer or question, question, passages).citations
    return replace(citations[0], marker=0) if citations else None


def together(names: Sequence[str], sought: str, text: str) -> bool:
    """Return whether each name shares a sentence with another search word; True where there is no other."""
    others = terms(sought) - terms(" ".join(names))
    spans = [text[start:end] for start, end in sentences(text)]
    return not others or all(any(locate(name, span) and others & terms(span) for span in spans) for name in names)


def _beside(names: Sequence[str], citation: Citation | None, passages: Sequence[Passage]) -> bool:
    """Return whether all the names are in the quote, or in the sentences around it."""
    if citation is None:
        return False
    for passage in passages:
        same = (passage.library, passage.document, passage.page) == (citation.library, citation.document, citation.page)
        if same and passage.start <= citation.start < passage.end:
            spans = sentences(passage.text)
            at = [
                n
                for n, (first, last) in enumerate(spans)
                if first < citation.end - passage.start and last > citation.start - passage.start
            ]
            if not at:
                return False
            near = passage.text[spans[max(0, at[0] - 1)][0] : spans[min(len(spans) - 1, at[-1] + 1)][1]]
            return all(locate(name, near) for name in names)
    return False
