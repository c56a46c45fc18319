"""What the model is asked about passages of one document, and how its words are looked up in them.

A verdict is weighed by log odds, before anything is written; only where it is enough does the model write an answer and
a quote, in a fixed JSON shape (docs/decisions/0023-survey.md). A prompt ends in the question as its tail, so that all
that is asked of the same passages shares what was read.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from localrag.errors import Cancelled
from localrag.events import Delta
from localrag.grounding import prompts
from localrag.grounding.citations import cite, cite_span, terms
from localrag.grounding.locate import Folded, fold, locate, within
from localrag.llm import Completed, Generator, PromptCache, Weighed
from localrag.quantities import lazy_re
from localrag.store.text_analysis import sentences
from localrag.types import Citation, Message, Passage, Usage

Stop = Callable[[], bool]
_ANSWER_TOKENS, _VALUE_TOKENS = 120, 24
WORDS = prompts.WORDS["survey"]
STRING = r"""
string ::= "\"" char{0,300} "\""
char   ::= [^"\\\x00-\x1F] | "\\" ["\\/nt]
"""
# The shape of an answer (GBNF), and of a quote alone, behind a yes that was weighed.
ANSWER_GRAMMAR = rf"""
root   ::= "{{\"found\": " ("true" | "false") ", \"answer\": " string ", \"quote\": " string "}}"{STRING}"""
_YES = '{"found": true, "answer": "yes", "quote": "'
_QUOTE_GRAMMAR = rf"""
root   ::= char{{1,300}} "\"}}"{STRING}"""
# An answer whose quote is still being written, up to the last whole word.
_QUOTING = lazy_re(r'\{"found": true, "answer": "(?:[^"\\]|\\.)*", "quote": "((?:[^"\\]|\\.)*)\s\S*$')
# The model writes so many words of a quote; code takes the rest of the sentence, up to so many characters.
_QUOTE_WORDS, _QUOTE_CHARACTERS = 6, 300
_LEAST = 1e-6  # share, so that log odds stay finite


@dataclass(slots=True)
class Reading:
    """Asks a model about passages of one document, and adds up what it costs; raises Cancelled where it is stopped."""

    model: Generator
    cache: PromptCache | None
    stop: Stop
    whole: bool = False  # the passages are all of the document
    usage: Usage = field(default_factory=Usage)
    measured: bool = True  # False where the model gives no likelihoods, so that log odds only tell its word

    def says_so(self, passages: Sequence[Passage], question: str) -> float:
        """Return the log odds that the passages say yes to a question."""
        return self._odds(passages, "says_so", question)

    def holds(self, passages: Sequence[Passage], question: str) -> float:
        """Return the log odds that the passages hold the answer to a question."""
        return self._odds(passages, "holds", question)

    def way(self, passages: Sequence[Passage], question: str) -> float:
        """Return the log odds of yes against no by two letters, asked in both orders and added up.

        The orders cancel what a model has for a letter or a place (docs/decisions/0023-survey.md).
        """
        yes_first = self._letter(passages, question, "yes", "no")
        return yes_first - self._letter(passages, question, "no", "yes")

    def quote(self, passages: Sequence[Passage], question: str) -> str:
        """Return the words that the model quotes for a yes."""
        return self._answered(passages, question, _YES, _QUOTE_GRAMMAR)[1]

    def value(self, passages: Sequence[Passage], question: str) -> str:
        """Return the answer alone, in a few words, without a quote."""
        return self.write(self.prompt(passages, "value", question), None, _VALUE_TOKENS)

    def answer(self, passages: Sequence[Passage], question: str) -> tuple[str, str]:
        """Return the answer that the model writes, and the words that it quotes for it; empty where it finds none."""
        return self._answered(passages, question, "", ANSWER_GRAMMAR)

    def write(
        self,
        messages: Sequence[Message],
        grammar: str | None,
        limit: int,
        begin: str = "",
        ended: Callable[[str], str] = lambda text: "",
    ) -> str:
        """Return what the model writes after `begin`, or what `ended` makes of a part of it."""
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
        if not full and event.ended == "stopped":
            raise Cancelled("stopped")
        return full or begin + event.text

    def prompt(self, passages: Sequence[Passage], form: str, question: str = "", **more: str) -> list[Message]:
        """Return the prompt that asks something of passages."""
        this = "this document" if self.whole else "this passage" if len(passages) == 1 else "the text"
        tail = str(WORDS[form]).format(question=question, this=this, **more)
        *others, last = passage_prompt(passages)
        return [*others, replace(last, tail=tail)]

    def _odds(self, passages: Sequence[Passage], form: str, question: str) -> float:
        return self._weighed(self.prompt(passages, form, question), prompts.CHECK_OPTIONS)

    def _letter(self, passages: Sequence[Passage], question: str, first: str, second: str) -> float:
        return self._weighed(self.prompt(passages, "which", question, first=first, second=second), ("A", "B"))

    def _weighed(self, messages: Sequence[Message], options: Sequence[str]) -> float:
        *_, weighed = self.model.weigh(messages, options, stop=self.stop, cache=self.cache)
        assert isinstance(weighed, Weighed)
        self.usage += weighed.usage
        self.measured &= weighed.measured
        if not weighed.shares:
            raise Cancelled("stopped")
        first, second = (max(share, _LEAST) for share in weighed.shares)
        return math.log(first / second)

    def _answered(self, passages: Sequence[Passage], question: str, begin: str, grammar: str) -> tuple[str, str]:
        texts = {passage.text: fold(passage.text) for passage in passages}
        messages = self.prompt(passages, "write", question)
        text = self.write(messages, grammar, _ANSWER_TOKENS, begin, partial(_ended, texts=texts))
        try:
            reply = json.loads(text)
            found, answer, quote = bool(reply["found"]), str(reply["answer"]), str(reply["quote"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return "", ""  # cut off by the token limit: what there is of it is no answer
        return (answer.strip(), quote.strip()) if found else ("", "")


def passage_prompt(passages: Sequence[Passage]) -> list[Message]:
    """Return a prompt with passages of one document, to be asked with a tail."""
    blocks = tuple((f"\n\n{prompts.shown(passage)}",) for passage in passages)
    first = f"Passage{'s' if len(blocks) > 1 else ''} of the document:"
    return [Message("system", WORDS["rules"]), Message("user", "", stable=(first,), blocks=blocks)]


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


# --- words at their place -----------------------------------------------------------------------------------


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


def beside(names: Sequence[str], citation: Citation, passages: Sequence[Passage]) -> bool:
    """Return whether all the names are in a quote, or in the sentences around it."""
    for passage in passages:
        if passage.page == citation.page and passage.start <= citation.start < passage.end:
            first, last = citation.start - passage.start, citation.end - passage.start
            spans = sentences(passage.text)
            at = [n for n, (start, end) in enumerate(spans) if start < last and end > first]
            if at:
                near = passage.text[spans[max(0, at[0] - 1)][0] : spans[min(len(spans) - 1, at[-1] + 1)][1]]
                return all(locate(name, near) for name in names)
    return False
