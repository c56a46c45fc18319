"""What is asked of one document (`Item`), and what the document says to it (`Finding`).

`ask`, `survey`, `review` and `extract` put items to documents through one engine (`engine.py`), so that the same item
gets the same finding of the same document, whoever asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from localrag.items import values
from localrag.items.values import Type, Value
from localrag.question.each import topic_of
from localrag.types import Citation, NotRead, Usage

if TYPE_CHECKING:
    from localrag.grounding.stages import Pair

State = Literal["found", "absent", "unsure"]
Way = Literal["yes", "no", ""]


# A name of one of several words of a question: "rent" of "rent of this lease". A word with a digit, and none that has a
# fraction, may be a code where a name says that it is a number.
_OF_THIS = re.compile(r"\s(?:of|in|for|under|by|from)\s+this(?:\s+[\w’'-]+){1,3}$", re.I)
_CODE, _NUMBERED = re.compile(r"(?=\S*\d)(?!0(?:[.,]|$))\S{1,40}"), re.compile(r"\bnumber\b", re.I)


@dataclass(frozen=True, slots=True)
class Item:
    """A question to one document: whether it says something (type "yes/no"), or what value it states.

    Attributes:
        id: its name in a playbook, schema or table.
        type: of the value; "text" where it may be any words.
        like: how such a clause is worded.
        headings: those that such a clause has, and other names of the value; `title` where there are none.
        clause: the kind of clause of the classifier (docs/clauses.md), if it is one.
        about: what the value means, where a schema says so.
        field: it is asked by its name alone, as in a schema.
    """

    id: str
    question: str
    title: str = ""
    type: Type = "yes/no"
    like: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    clause: str = ""
    choices: tuple[str, ...] = ()
    about: str = ""
    field: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What a text may call the value: its title and headings, and what the question asks for."""
        asked = _OF_THIS.sub("", topic_of(self.question)).rstrip()
        return tuple(dict.fromkeys(filter(None, (self.title, *self.headings, asked))))

    def read(self, words: str) -> Value | None:
        """Return the value of these words; that of an item called a number may be a code: "INV-77", "0042"."""
        value = values.read(self.type, words, self.choices)
        code = self.type == "number" and _NUMBERED.search(" ".join(self.names)) and _CODE.fullmatch(words.strip())
        return values.read("text", words) if code and (value is None or words.strip().startswith("0")) else value


@dataclass(frozen=True, slots=True)
class Stated:
    """A value, and the line or sentence that states it."""

    value: Value
    citation: Citation
    by_model: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What one document says to an item.

    Attributes:
        state: "unsure" where neither code nor the model is sure, or the quote does not bear out what the model says.
        way: of a found item of type "yes/no", whether the document says so or says the opposite.
        answer: the words that answer, as they stand in the text; of yes or no empty.
        value: the answer as a value of the item's type, where it is one.
        confidence: the likelihood that the document has the clause or states the value; None where there is no text,
            or a required name is missing.
        read: what was read for it, as a sentence.
        whole: all of the document was read.
        model: the model that was asked; empty where code decided.
        dropped: the model gave a quote that is not in the document.
        withheld: by strict mode, because it is not supported throughout.
        doubt: why it is unsure, where there is a reason.
        injections: what was kept from the model.
    """

    state: State
    way: Way = ""
    answer: str = ""
    value: Value | None = None
    citation: Citation | None = None
    confidence: float | None = None
    read: str = ""
    whole: bool = False
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    dropped: bool = False
    withheld: bool = False
    doubt: str = ""
    injections: tuple[NotRead, ...] = ()

    @property
    def positive(self) -> bool:
        """Whether the document says so, or states the value."""
        return self.state == "found" and self.way != "no"

    @property
    def why_not(self) -> str:
        """Why there is no answer, or no quote with it; empty where there are both."""
        if self.state == "found":
            return "" if self.citation else "the words that support it were not found"
        if self.withheld:
            return "withheld in strict mode, because no text supports it throughout"
        if self.state == "unsure":
            return f"unsure: {self.doubt or 'the words that support it were not found'}"
        if self.usage.generated:
            return "asked, and nothing found"
        return "not in it" if self.confidence is None else f"only {self.confidence:.0%} likely that it says so"

    def to_row(self, pair: Pair, columns: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the row of a survey; `columns` are the fields of a table."""
        (library, document), at = pair, self.citation
        return {
            "library": library.name,
            "document": document.path,
            "found": self.positive,
            "answer": self.answer or (self.way if self.state == "found" else ""),
            **(columns or {}),
            "place": at.place if at else "",
            "quote": at.quote if at else "",
            "read": "whole" if self.whole else "passages",
            "likelihood": None if self.confidence is None else round(self.confidence, 3),
            "why_not": self.why_not,
            **{name: getattr(at, name, None) for name in ("page", "start", "end")},
        }
