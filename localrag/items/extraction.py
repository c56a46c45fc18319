"""Fill a table from documents by a schema: a row for each document, section or line, each value with its quote.

Code takes what the text labels (`labelled.py`); only for the rest the model is asked. A
value whose words are not in the text, or are none of its type, is left empty, and said; in strict mode also yes, no and
a choice that only the model read from words. What the model answers is kept within seconds (`store/reviews.py`), under
everything that decides it, so that a later table with the same question to an unchanged document needs no model.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Literal

from localrag import protocol
from localrag.errors import Cancelled
from localrag.events import Event, Surveyed
from localrag.grounding import context
from localrag.grounding.stages import Findings, Pair, Query
from localrag.items import filling, labelled
from localrag.items.engine import Engine
from localrag.items.filling import Row, Shape
from localrag.items.item import Item, Stated
from localrag.items.schema import Schema
from localrag.items.values import Field, Value
from localrag.quantities import plural
from localrag.store.reviews import Reviews, key_of
from localrag.types import NotRead, Passage, Plan, Usage

Each = Literal["document", "section", "row"]
_VERSION = "3"  # of how the model is asked: another one asks everything again
_NUMBERS = ("money", "percent", "number")
_KEEP_SECONDS = 5.0  # between two writes of what was answered: each one writes the whole file of a document
_MAX_DIGITS = 15  # of a number that a program keeps exactly


@dataclass(slots=True)
class Work:
    """What an extraction takes, and what it finds."""

    schema: Schema
    each: Each
    query: Query
    engine: Engine
    asks: tuple[str, int]  # the model, and the tokens of text that it is given
    model: str | None = None  # that was asked, now or before
    kept: Mapping[str, Any] = field(default_factory=dict)  # answers about the document at hand, by key
    answered: dict[str, Given] = field(default_factory=dict)  # that are not kept yet
    written: float = 0.0  # when answers were kept last (`time.monotonic`)
    usage: Usage = field(default_factory=Usage)
    remarks: list[NotRead] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    filled: list[Stated] = field(default_factory=list)  # each once, whatever the lines that share it


@dataclass(frozen=True, slots=True)
class Given:
    """What a model gave for fields of a document or section, and what there is to say of it."""

    model: str
    rows: tuple[Row, ...] = ()
    remarks: tuple[NotRead, ...] = ()


def answer(work: Work) -> Generator[Event, None, Findings]:
    """Fill the table document by document; what was done before a stop is kept."""
    query, done = work.query, 0
    with suppress(Cancelled):
        for library, document in query.documents:
            work.kept = Reviews(library).of(document).filled
            try:
                parts = [(part, _rows((library, document), part, work)) for part in _parts((library, document), work)]
            finally:
                _keep((library, document), work)
            done += 1
            made = [_row((library, document), row, part, work) for part, rows in parts for row in rows]
            work.rows += made
            work.filled += {id(one): one for _, rows in parts for row in rows for one in row.values()}.values()
            for row in made or [{"library": library.name, "document": document.path}]:
                yield Surveyed(done, len(query.documents), row)
    left = [NotRead(library.name, document.path, "not read, it was stopped") for library, document in query.documents]
    by_model = sum(stated.by_model for stated in work.filled)
    lines, values = plural(len(work.rows), "row"), plural(len(work.filled), "value")
    return Findings(
        f"{lines}, {values} from {plural(done, 'document')}, {by_model} of them by the model.",
        bool(work.filled),
        Plan("survey", "Each document is read for the fields of a schema."),
        citations=tuple(replace(stated.citation, marker=n) for n, stated in enumerate(work.filled, 1)),
        table=tuple(work.rows),
        tokens=work.usage,
        model=work.model,
        stopped=done < len(left),
        not_read=(*work.remarks, *left[done:]),
    )


def _parts(pair: Pair, work: Work) -> Iterator[list[Passage]]:
    """Yield what makes a row: the whole document, or each of its sections."""
    library, document = pair
    numbered = context.pages_of(library, document, work.query.only)
    pages = dict(numbered)
    pieces = [
        piece
        for page in context.page_passages(library.name, document, numbered)
        for piece in context.headed(page, pages[page.position].headings)
    ]
    if work.each != "section":
        yield pieces
        return
    number = 0

    def section(piece: Passage) -> int:
        nonlocal number
        number += bool(piece.heading)
        return number

    yield from (list(own) for _, own in groupby(pieces, section))


def _rows(pair: Pair, passages: Sequence[Passage], work: Work) -> list[Row]:
    """Return the rows that a document or section makes; raise Cancelled where it was stopped."""
    if work.query.stop():
        raise Cancelled("stopped")
    schema, (library, document) = work.schema, pair
    stated = dict(labelled.by_label(schema.fields, passages))
    lines = labelled.by_table(schema.lines, passages) if schema.lines else []
    missing = tuple(one for one in schema.fields if one.name not in stated)
    # Whether a document says so is judged by the engine, as in a review; the other fields are read at once.
    judged = tuple(one for one in missing if one.type == "yes/no" and work.each == "document")
    for one in judged:
        stated |= _judged(one, pair, passages, work)
    for row in _asked("fields", tuple(one for one in missing if one not in judged), pair, passages, work):
        stated |= row
    if empty := [one.label for one in schema.lines if lines and not any(one.name in line for line in lines)]:
        words = f"{', '.join(empty)}: no column with such values is called so, and the model was not asked"
        work.remarks.append(NotRead(library.name, document.path, words))
    lines = lines or _asked("lines", schema.lines, pair, passages, work)
    if lines:
        return [{**stated, **line} for line in lines]
    return [stated] if stated or work.each == "document" else []


def _judged(one: Field, pair: Pair, passages: Sequence[Passage], work: Work) -> Row:
    """Return whether a document says yes to a field, or no, with the sentence that says so; nothing where neither."""

    def given() -> Given:
        found = work.engine.find(_question(one), pair, only=work.query.only, stop=work.query.stop)
        if found is None:
            raise Cancelled("stopped")
        work.usage += found.usage
        if found.state != "found" or found.citation is None:
            return Given(found.model, remarks=found.injections)
        value = Value("yes/no", " ".join(found.citation.quote.split()), "true" if found.positive else "false")
        stated = Stated(value, found.citation, bool(found.model))
        return Given(found.model, ({one.name: stated},), found.injections)

    rows = _answered(("yes/no", one), pair, passages, work, given)
    return rows[0] if rows else {}


def _question(one: Field) -> Item:
    """Return a field of yes or no as the item that asks for it."""
    words = next((words for words in (one.description, one.title) if words.rstrip().endswith("?")), "")
    about = one.description or one.title or one.label
    return Item(one.name, words or f"Does the document say that this is so: {about}?", one.label)


def _asked(shape: Shape, fields: tuple[Field, ...], pair: Pair, passages: Sequence[Passage], work: Work) -> list[Row]:
    """Return the rows that a model gives for fields, now or in an earlier run."""
    if not fields:
        return []
    what = work.schema.name if shape == "lines" else ", ".join(one.label for one in fields)
    return _answered((shape, fields), pair, passages, work, lambda: _given(shape, what, fields, pair, passages, work))


def _answered(
    asked: object, pair: Pair, passages: Sequence[Passage], work: Work, given: Callable[[], Given]
) -> list[Row]:
    """Return what is kept of a question about a document or section, or what is `given` now."""
    library, document = pair
    if work.query.stop():
        raise Cancelled("stopped")
    if not passages:
        return []
    first, last = passages[0], passages[-1]
    part = (work.each, first.position, first.start, last.position, last.end)
    key = key_of(_VERSION, asked, part, work.asks, library.identity.sha256)
    if key in work.kept:
        one: Given = protocol.from_plain(work.kept[key], Given)
    else:
        one = work.answered[key] = given()
        if time.monotonic() - work.written >= _KEEP_SECONDS:
            _keep(pair, work)
    work.model = one.model or work.model
    # The document may have been renamed, or restored into another library, since it was read.
    work.remarks += [replace(remark, library=library.name, document=document.path) for remark in one.remarks]

    def placed(stated: Stated) -> Stated:
        return replace(stated, citation=replace(stated.citation, library=library.name, document=document.path))

    # In strict mode what only the model judged is left out.
    judged = filling.JUDGED if work.query.strict else ()
    return [
        {name: placed(found) for name, found in row.items() if not (found.by_model and found.value.type in judged)}
        for row in one.rows
    ]


def _keep(pair: Pair, work: Work) -> None:
    """Keep what was answered about a document since the last time."""
    if work.answered:
        Reviews(pair[0]).fill(pair[1], work.answered)
        work.answered, work.written = {}, time.monotonic()


def _given(
    shape: Shape, what: str, fields: tuple[Field, ...], pair: Pair, passages: Sequence[Passage], work: Work
) -> Given:
    """Have the model fill fields."""
    library, document = pair
    own = passages if work.each == "section" else None
    filled = work.engine.fill(shape, what, fields, pair, only=work.query.only, stop=work.query.stop, given=own)
    if filled is None:
        raise Cancelled("stopped")
    work.usage += filled.usage
    labels, strange = ", ".join(one.label for one in fields), ", ".join(filled.unstated)
    remarks = {
        f"{strange}: the model gave words that are not in the text, or another field's": strange,
        "the model could not write it all, so lines or values are missing": filled.cut,
        f"only passages of it were read for {labels}": not filled.whole,
    }
    notes = [NotRead(library.name, document.path, words) for words, so in remarks.items() if so]
    return Given(filled.model, filled.rows, (*filled.injections, *notes))


def _row(pair: Pair, stated: Row, passages: Sequence[Passage], work: Work) -> dict[str, Any]:
    """Return a row: the values for machines, each currency in a column of its own, and the sources by field."""
    row: dict[str, Any] = {"library": pair[0].name, "document": pair[1].path}
    if work.each == "section":
        row["section"] = next((" › ".join(one.heading) or one.place for one in passages), "")
    for one in work.schema.all:
        found = stated.get(one.name)
        row[one.name] = _cell(found)
        if one.type == "money":
            row[f"{one.name} currency"] = found.value.unit or None if found else None
    return row | {"sources": {name: _source(found) for name, found in stated.items()}}


def _cell(found: Stated | None) -> str | int | float | bool | None:
    if found is None:
        return None
    type, form = found.value.type, found.value.form
    if type == "yes/no":
        return form == "true"
    if type in _NUMBERS and sum(sign.isdigit() for sign in form) <= _MAX_DIGITS:
        return float(form) if "." in form else int(form)
    return form


def _source(found: Stated) -> Mapping[str, Any]:
    at, value = found.citation, found.value
    return {
        "type": value.type,
        "form": value.form,
        "unit": value.unit,
        "words": value.words,
        "quote": at.quote,
        "by": "model" if found.by_model else "code",
        **{name: getattr(at, name) for name in ("place", "page", "start", "end")},
    }
