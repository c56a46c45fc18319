"""Fill several fields from one document at once: those of a row, or of each of its lines.

The model writes an object with just these keys (GBNF). A value stays only where its words are in the text and hold a
value of its type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from localrag.grounding.citations import cite_span, terms
from localrag.grounding.locate import locate
from localrag.items.item import Item, Stated
from localrag.items.reading import STRING, Reading, located
from localrag.items.values import Type, grammar, states
from localrag.quantities import QUANTITY
from localrag.store.text_analysis import sentences
from localrag.types import Citation, NotRead, Passage, Usage

Row = Mapping[str, Stated]  # by the name of the field
Shape = Literal["fields", "lines"]
# Types of values that the model judges; the words that show them are asked for beside.
JUDGED: tuple[Type, ...] = ("yes/no", "choice")
FIGURES: tuple[Type, ...] = ("money", "percent", "number")
_SHOWN, _SHOWING = " words", 2  # content words that show something
_FIELD_TOKENS, _MAX_FIELD_TOKENS, _LINES_TOKENS, _MAX_LINES = 40, 400, 800, 50


@dataclass(frozen=True, slots=True)
class Filled:
    """What a model gave for fields of a document.

    Attributes:
        unstated: fields that it filled with words that are not in the text.
        cut: lines are missing, because the token limit ended them.
        whole: all of the document was read, not only the passages that fit best.
        injections: what was kept from the model.
    """

    rows: tuple[Row, ...] = ()
    unstated: tuple[str, ...] = ()
    cut: bool = False
    whole: bool = False
    model: str = ""
    usage: Usage = field(default_factory=Usage)
    injections: tuple[NotRead, ...] = ()


def fill(shape: Shape, what: str, fields: Sequence[Item], read: Reading, given: Sequence[Passage]) -> Filled:
    """Have the model fill fields from passages; `what` names the lines."""
    limit = _LINES_TOKENS if shape == "lines" else min(_MAX_FIELD_TOKENS, _FIELD_TOKENS * len(fields) + 20)
    columns = ", ".join(map(_described, fields))
    text = read.write(read.prompt(given, shape, what, columns=columns), fields_grammar(shape, fields), limit)
    return checked(fields, given, text)


def _described(one: Item) -> str:
    """Return a field with its choices and what it means; a small model writes the name of a type as its value."""
    kinds = ["yes or no"] if one.type == "yes/no" else [" | ".join(one.choices)]
    about = "; ".join(filter(None, (*kinds, *one.headings[1:], one.about)))
    return f"{one.title} ({about})" if about else one.title


def fields_grammar(shape: Shape, fields: Iterable[Item]) -> str:
    """Return the GBNF grammar of a row: an object with just these keys, in this order; for lines a list of rows.

    Yes, no and a choice come with the words that show it, other values are such words.
    """
    pairs: list[str] = []
    for one in fields:
        pairs.append(f'"\\"{key(one.title)}\\": " {grammar(one.type, one.choices)}')
        pairs += [f'"\\"{key(one.title)}{_SHOWN}\\": " string'] if one.type in JUDGED else []
    row = '"{" ' + ' ", " '.join(pairs) + ' "}"'
    if shape == "lines":
        return f'root   ::= "[" (row (", " row){{0,{_MAX_LINES - 1}}})? "]"\nrow    ::= {row}{STRING}'
    return f"root   ::= {row}{STRING}"


def key(column: str) -> str:
    """Return a column's name as a JSON key: letters, digits and single spaces."""
    return " ".join(re.sub(r"[^\w-]+", " ", column).split()).lower()


def checked(fields: Sequence[Item], passages: Sequence[Passage], text: str) -> Filled:
    """Return the rows of a model's JSON, with what the text states of them."""
    rows: list[Row] = []
    unstated: dict[str, None] = {}
    roles = terms(" ".join(one.title for one in fields))  # "Tenant" is no name of a landlord
    at = text.find("{")
    while at >= 0:
        try:
            reply, end = json.JSONDecoder().raw_decode(text, at)
        except (ValueError, RecursionError):
            break  # cut off by the token limit; the rows before stay
        row: dict[str, Stated] = {}
        for one in fields:
            given = str(reply.get(key(one.title), "")).strip()
            words = "" if one.type == "party" and terms(given) <= roles else given
            shown = str(reply.get(key(one.title) + _SHOWN, given))
            if words and (stated := stated_by(one, words, shown, passages)):
                row[one.id] = stated
            elif given:
                unstated[one.id] = None
        taken = _of_others(row, fields)
        unstated |= dict.fromkeys(taken)
        row = {name: stated for name, stated in row.items() if name not in taken}
        rows += [row] if row else []
        at = text.find("{", end)
    return Filled(tuple(rows), tuple(unstated), not text.endswith(("}", "]")))


def _of_others(row: Row, fields: Sequence[Item]) -> list[str]:
    """Return the fields that have the figure of another one, whose words are beside it, while theirs are not."""
    named = {
        one.id: bool(sought(one) & terms(row[one.id].citation.quote))
        for one in fields
        if one.id in row and one.type in FIGURES
    }
    owned = {row[name].value.measured for name, so in named.items() if so} - {None}
    return [name for name, so in named.items() if not so and row[name].value.measured in owned]


def sought(one: Item) -> frozenset[str]:
    """Return the words by which a text may name a value."""
    return frozenset(terms(" ".join((*one.names, one.about))))


def stated_by(one: Item, given: str, words: str, passages: Sequence[Passage]) -> Stated | None:
    """Return a value at the sentence that has its words and most words of the field; None where no text has them.

    A text may write the value otherwise than the model: "nine months" for "9 months".
    """
    wanted, judged = sought(one), one.type in JUDGED
    if judged and len(terms(words)) < _SHOWING:
        return None
    best: tuple[int, str, Citation] | None = None
    for passage in passages:
        for start, end in sentences(passage.text):
            text = passage.text[start:end]
            place = locate(words.strip(" ."), text)
            if place is not None and one.type in FIGURES:  # with its sign, scale and unit
                spans = (found.span() for found in QUANTITY.finditer(text))
                place = next((span for span in spans if span[0] <= place[0] and place[1] <= span[1]), place)
            if place is None and not judged and states(one.type, given, text):
                place = 0, len(text)
            fit = len(wanted & terms(text)) if place else 0
            if place and (best is None or fit > best[0]):
                best = fit, text[slice(*place)], cite_span(passage, start, end)
    # Across two sentences.
    if best is None and (at := located(words, passages)):
        best = 0, at.quote, at
    found = best is not None and locate(words.strip(" ."), best[1]) is not None
    value = one.read(best[1] if found and not judged else given) if best else None
    return Stated(replace(value, words=best[1]), best[2], True) if best and value else None
