"""The question, read once: every field that answering needs of its wording.

    Question("Which leases end in 2030?").kind        "each"
    Question("Which leases end in 2030?").each.text   "Does this lease end in 2030?"

A field that costs something is read at its first use, and then kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from localrag.quantities import phrases
from localrag.question import calculation, exact, followups, kinds, naming
from localrag.question.calculation import Request
from localrag.question.each import DocumentQuestion, document_question
from localrag.question.exact import Task
from localrag.question.kinds import Kind, Value
from localrag.question.naming import Pointed
from localrag.store.library import Library
from localrag.types import Document, Turn

# The probability from which every document may be meant, so that the model is asked, and from which all surely are.
_PERHAPS_EACH, _SURELY_EACH = 0.2, 0.8
# Kinds of questions that one place answers.
ONE_PLACE: tuple[Kind, ...] = ("look-up", "existence", "calculation", "list")
_ASKS = r"(?:what|which|who|whom|whose|when|where|why|how)\b"
_JOINED = re.compile(rf"(?:[,;]\s*)?\band\s+(?:also\s+)?(?={_ASKS})|\?\s+(?:and\s+)?(?={_ASKS})", re.I)
# In "what was bought and how much" the second is no question of its own.
_MIN_PART = 4
# Each part costs a prompt of its own; more parts are better served by one look at what fits best.
_MAX_PARTS = 4
_BOTH, _CLAUSE, _EACH, _EXPLAIN, _FIRST, _MORE, _SUMMARY, _WHETHER = phrases(
    "localrag.question",
    "question",
    "both",
    "clause",
    "each",
    "explain",
    "first",
    "more",
    "summary",
    "whether",
)


@dataclass(frozen=True)
class Question:
    """A question as it was typed, the turns before it (oldest first), and the documents it is asked of.

    `search_text` is what passages are looked up by: completed from the turns before, spelled as the documents do.
    """

    text: str
    history: Sequence[Turn] = ()
    documents: Sequence[tuple[Library, Document]] = field(default=(), repr=False)
    search_text: str = ""

    @cached_property
    def kind(self) -> Kind:
        """Its kind; a follow-up that only names something else is of the kind of the question before it."""
        asks_summary = self.each.kind == "summary"
        if _EACH.search(self.text) or (asks_summary and self.each.each):
            return "each"
        if asks_summary or _SUMMARY.search(self.text):  # forms that the training sets hardly have
            return "summary"
        shares = self._shares[0]
        kind = max((kind for kind in shares if kind != "each" or shares[kind] >= _SURELY_EACH), key=shares.__getitem__)
        if kind in ONE_PLACE and followups.repeats(self.text, self.history):
            before = Question(self.history[-1].question).kind
            return kind if before == "each" else before
        return kind

    @cached_property
    def sure(self) -> bool:
        """Whether the kind is plain; if not, it may ask each document."""
        return not _PERHAPS_EACH <= self._shares[0]["each"] < _SURELY_EACH

    @cached_property
    def value(self) -> Value:
        """The kind of value that it asks for."""
        if _EXPLAIN.match(self.text):  # hardly any question of the training sets is a request
            return "explanation"
        # A follow-up is looked up with the words of the question before it, which may want another.
        values = self._shares[1] if self.history or not self.search_text else kinds.tell(self.search_text)[1]
        return max(values, key=values.__getitem__)

    @property
    def about_whole(self) -> bool:
        """Whether it needs the whole text."""
        return self.kind not in ONE_PLACE and self.kind != "each"

    @property
    def needs_reasoning(self) -> bool:
        """Whether an answer has to be worked out, so that a model that can reason first should."""
        return self.kind == "calculation" or self.calculation is not None

    @cached_property
    def leans(self) -> bool:
        """Whether it can only be understood with the questions before it."""
        return followups.leans(self.text, self.history)

    @property
    def complete(self) -> str:
        """The question, behind those before it where it leans on them."""
        return followups.joined(self.text, self.history) if self.leans else self.text

    @cached_property
    def named(self) -> Pointed:
        """The documents that it calls by words of their names."""
        found = naming.by_name(self.text, self.documents)
        if found.documents or self.search_text in ("", self.text):
            return found
        return naming.by_name(self.search_text, self.documents)

    @cached_property
    def calculation(self) -> Request | None:
        """The calculation that it asks for, with the names of its figures."""
        return calculation.parse(self.text)

    @cached_property
    def each(self) -> DocumentQuestion:
        """What each document is asked, where each is asked."""
        return document_question(self.search_text or self.text)

    @property
    def asks_whether(self) -> bool:
        """Whether yes or no answers it: it begins with a verb, and asks for nothing else and for no choice."""
        plain = " ".join(self.text.split())
        return bool(_WHETHER.match(plain)) and not _MORE.search(plain)

    @cached_property
    def alone(self) -> str:
        """A comparison without a last part for the figure of each side; any other question as it is."""
        text = self.complete
        last = max(_JOINED.finditer(text), key=lambda match: match.end(), default=None)
        if last is None or self.kind != "compare" or not _BOTH.search(text[last.end() :]):
            return text
        return f"{text[: last.start()]}?"

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The questions that it consists of, in order; empty where it is one."""
        text = self.text if self.leans else self.alone
        found = [part.strip(" ,;?") for part in _JOINED.split(" ".join(text.split()))]
        whole = any(len(part.split()) < _MIN_PART or _CLAUSE.match(part) for part in found)
        if not 2 <= len(found) <= _MAX_PARTS or whole or not _FIRST.match(found[0]):
            return ()
        return tuple(f"{part[:1].upper()}{part[1:]}?" for part in found)

    def task(self, documents: Sequence[str] = ()) -> Task | None:
        """Return what code can count, find or list for it; globs of documents that narrow it may stand beside it."""
        return exact.parse(self.text, documents)

    def looked_up(self, text: str) -> Question:
        """Return the question with the text that passages are looked up by."""
        return replace(self, search_text=text)

    @cached_property
    def _shares(self) -> tuple[dict[Kind, float], dict[Value, float]]:
        return kinds.tell(self.text)
