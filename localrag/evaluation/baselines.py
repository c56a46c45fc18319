"""Baselines to compare with: one plain prompt over five passages, and the question alone.

Plain is what anybody would write first: the five passages that the same search finds, one instruction, and whatever
the model replies. ClosedBook shows no document at all: what it gets right, it remembers or guesses. Neither reports
whether it declined; `declines` reads that from the reply, in English and, less reliably, in German, French, Spanish and
Chinese.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localrag.answer import prompts
from localrag.evaluation import metrics
from localrag.events import Answered, Delta, Event, Found
from localrag.llm import Completed, Generator
from localrag.settings import Settings
from localrag.types import Answer, Message, Mode, Passage, Plan, Seconds, Usage

if TYPE_CHECKING:
    from localrag.answer.assistant import Assistant

PASSAGES = 5

PLAIN_RULES = (
    "Answer the question from the passages, briefly. If they do not contain the answer, say that it is not found."
)
CLOSED_RULES = "Answer the question, briefly. If you do not know the answer, say that you do not know."
_CHOICES = "Reply with one of: {choices}."


@dataclass(slots=True)
class Plain:
    """Answers as an `Assistant` does, but puts the five best passages and the question into one prompt.

    Args:
        searcher: finds the passages; neighbours are not joined.
        load: loads the model at the first question.
        choices: the possible replies to questions with a label.
        labelled: the questions with a label.
    """

    searcher: Assistant
    load: Callable[[], Generator]
    settings: Settings
    choices: Sequence[str] = ()
    labelled: Collection[str] = ()
    _model: Generator | None = field(default=None, init=False)

    def ask(
        self, question: str, *, libraries: Sequence[str], documents: Sequence[str] | None, mode: Mode,
        stop: Callable[[], bool],
    ) -> Iterator[Event]:  # fmt: skip
        began = time.monotonic()
        passages = self._passages(question, libraries, documents)
        retrieve = time.monotonic() - began
        yield Found(tuple(passages))
        if self._model is None:
            self._model = self.load()
            # Loading the model is not part of a question's time.
            began = time.monotonic() - retrieve
        choices = self.choices if question in self.labelled else ()
        done, first = Completed("", Usage(), "stopped"), None
        for event in self._model.generate(
            self._messages(question, passages, choices), max_tokens=self.settings.answer_tokens,
            temperature=self.settings.temperature, seed=self.settings.seed, stop=stop,
        ):  # fmt: skip
            if isinstance(event, Completed):
                done = event
                continue
            if isinstance(event, Delta) and first is None:
                first = time.monotonic() - began
            yield event
        text = done.text.strip()
        yield Answered(Answer(
            question, text, not declines(text, choices), Plan("retrieve", self._reason), passages=tuple(passages),
            tokens=done.usage, seconds=Seconds(0.0, retrieve, first, time.monotonic() - began),
            model=self._model.model, stopped=done.ended != "end",
        ))  # fmt: skip

    def close(self) -> None:
        if self._model is not None:
            self._model.close()
            self._model = None

    _reason = "One plain prompt over the best passages, for comparison."

    def _passages(self, question: str, libraries: Sequence[str], documents: Sequence[str] | None) -> Sequence[Passage]:
        return self.searcher.search(question, libraries=libraries, k=PASSAGES, documents=documents, join=False)

    def _messages(self, question: str, passages: Sequence[Passage], choices: Sequence[str]) -> list[Message]:
        text = "\n\n".join(f"[{number}] {passage.text}" for number, passage in enumerate(passages, 1))
        return [
            Message("system", PLAIN_RULES),
            Message("user", f"Passages:\n\n{text}\n\nQuestion: {question}{_choice_rule(choices)}"),
        ]


@dataclass(slots=True)
class ClosedBook(Plain):
    """Asks the model without any document."""

    _reason = "No document was shown, for comparison."

    def _passages(self, question: str, libraries: Sequence[str], documents: Sequence[str] | None) -> Sequence[Passage]:
        return ()

    def _messages(self, question: str, passages: Sequence[Passage], choices: Sequence[str]) -> list[Message]:
        return [Message("system", CLOSED_RULES), Message("user", f"Question: {question}{_choice_rule(choices)}")]


def _choice_rule(choices: Sequence[str]) -> str:
    return "\n\n" + _CHOICES.format(choices="; ".join(choices)) if choices else ""


# --- whether a reply declines -------------------------------------------------------------------------------

_WHAT = (
    r"(?:passages?|texts?|documents?|contracts?|agreements?|contexts?|excerpts?|content|sources?|policy|"
    r"policies|report|article|clauses?|provisions?|answer|question|it)"
)
_SEEN = (
    r"(?:found|present|mentioned|specified|stated|provided|available|included|contained|given|disclosed|addressed|"
    r"described|discussed|defined|listed|indicated|known|clear|answered|determined|in)"
)
_SOFTLY = r"(?:(?:explicitly|directly|specifically|clearly|expressly|further|currently) )?"
_DECLINES = (
    rf"^(?:it |this |that |the answer |the information )?(?:is |was |are )?not {_SOFTLY}{_SEEN}\b",
    r"^(?:n/?a|none|unknown|no answer|no information|no mention|not applicable|unanswerable)(?:\W*$|[.,;:])",
    # Not any information: "confidential information does not include ..." is an answer.
    r"^(?:the )?(?:provided |given |available )?information(?: \w+){0,4} (?:do(?:es)?|did) ?n[o'’]t ",
    rf"\b{_WHAT}(?: \w+){{0,4}} (?:do(?:es)?|did) ?n[o'’]t {_SOFTLY}"
    r"(?:say|mention|contain|provide|specify|state|include|answer|give|address|define|describe|discuss|list|indicate|"
    r"disclose|have (?:any|enough|the) |refer)",
    rf"\b(?:is|are|was|were)(?: not|n['’]t) {_SOFTLY}(?:found|present|mentioned|specified|stated|provided|available|"
    r"included|contained|given|disclosed|addressed|described|discussed|defined|listed|indicated|clear)"
    rf"(?:\W*$| (?:in|within|by|from|on|anywhere|here)\b)",
    r"\b(?:there is|there are|there was|there were|contains?|provides?|has|have) no (?:\w+ ){0,2}"
    r"(?:information|mention|reference|answer|details?|clause|provision|indication|statement|data|evidence)\b",
    r"\bno (?:relevant |specific |explicit |such )?(?:information|mention|reference|clause|provision|answer)\b"
    r".{0,60}\b(?:is|are|was|were|found|provided|given|present|in)\b",
    r"\b(?:cannot|can['’]?t|can not|could not|couldn['’]t|unable to|not able to|not possible to) (?:be )?"
    r"(?:find|found|answer|answered|determine|determined|provide|tell|locate|identify)",
    r"\bdo(?: not|n['’]t) (?:know|have (?:any |enough |the |access))",
    r"^(?:i['’]m|i am) sorry\b",
    r"^there (?:is|are|was|were) no .{1,60}\bin (?:the|these|those|this|any)\b.{0,30}\b(?:document|passage|text)s?\b",
    r"\b(?:passages?|texts?|documents?|excerpts?|report)(?: \w+){0,3} (?:gives?|states?|names?|mentions?|lists?) no\b",
    r"^no (?:\w+ ){1,3}(?:is|are|was|were) (?:mentioned|given|stated|specified|named|listed|found|provided)\b",
    r"\b(?:documents?|textes?|passages?|extraits?) ne (?:le |la |l['’]|les )?"
    r"(?:di(?:t|sent)|mentionne|précise|indique|contien)\w*",
    r"\b(?:nicht|kein\w*) .{0,40}\b(?:gefunden|erwähnt|angegeben|enthalten|genannt|bekannt|Angaben?|Informationen)\b",
    r"\bnicht (?:gefunden|erwähnt|angegeben|enthalten|genannt|bekannt)|\benth(?:ält|alten) (?:keine?|nicht)\b",
    r"\bno (?:se )?(?:ha |han )?(?:encontrad|encuentr|mencion|especific|conten|contien|proporcion|indic)\w*",
    r"(?:没有|未|沒有|并未|无法)(?:\w{0,6})(?:提到|提及|找到|说明|包含|提供|回答|确定|信息)|^(?:未知|不知道)",
)  # fmt: skip
_DECLINE = re.compile("|".join(_DECLINES), re.I)
_FIRST = re.compile(r".{1,240}?(?:[.!?](?=\s|$)|[。！？\n]|$)", re.S)


def declines(reply: str, choices: Sequence[str] = ()) -> bool:
    """Return whether a reply is empty or says in its first sentence that the answer is not there.

    For a question with choices, the choice decides: "Not mentioned" declines.
    """
    reply = reply.strip()
    if not re.search(r"\w", reply):
        return True
    if choices and (choice := metrics.chosen(reply, choices)) is not None:
        return choice.lower().startswith("not ")
    if prompts.says_nothing(reply):
        return True
    first = _FIRST.match(reply)
    return first is not None and _DECLINE.search(first.group().strip(" \t\n\"'“”*")) is not None
