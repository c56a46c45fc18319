"""Fill a table from documents by a schema: a row for each document, section or line, each value with its quote.

The fields of a document are items of the engine, as those of a review are; those of a section, and lines that no table
has, are read at once, after what the text labels. A value that the text does not bear out is left empty, and said; in
strict mode also yes, no and a choice that only the model read from words. What is found is kept within seconds
(`store/reviews.py`), under everything that decides it, so that a later table with the same question to an unchanged
document needs no model.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Literal

from localrag import protocol
from localrag.errors import Cancelled
from localrag.events import Event, Surveyed
from localrag.grounding import context, stages
from localrag.grounding.stages import Findings, Pair, Query
from localrag.items import filling, labelled
from localrag.items.engine import Engine
from localrag.items.filling import Row, Shape
from localrag.items.item import Item, Stated
from localrag.items.schema import Schema
from localrag.items.values import Value
from localrag.quantities import plural
from localrag.store.reviews import Reviews, key_of
from localrag.types import NotRead, Passage, Plan, Usage

Each = Literal["document", "section", "row"]
_VERSION = "4"  # of how the model is asked: another one asks everything again
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
    titles: Mapping[tuple[str, str], str] = field(default_factory=dict)  # of documents, by library and path
    model: str | None = None  # that was asked, now or before
    kept: dict[str, Any] = field(default_factory=dict)  # answers about the document at hand, by key
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
    part: bool = False  # only passages were read for a field of a document


def answer(work: Work) -> Generator[Event, None, Findings]:
    """Fill the table document by document; what was done before a stop is kept."""
    query, done = work.query, 0
    work.titles = stages.titles(((library.name, one.path) for library, one in query.documents), query.libraries)
    with suppress(Cancelled):
        for library, document in query.documents:
            work.kept = dict(Reviews(library).of(document).filled)
            try:
                parts = [(part, _rows((library, document), part, work)) for part in _parts((library, document), work)]
            finally:
                _keep((library, document), work)
            done += 1
            made = [_row((library, document), row, part, work) for part, rows in parts for row in rows]
            work.rows += made
            work.filled += {id(one): one for _, rows in parts for row in rows for one in row.values()}.values()
            for row in made or [_named((library, document), work)]:
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
    pieces = labelled.pieces(library.name, document, context.pages_of(library, document, work.query.only))
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
    named = labelled.stated(schema.fields, passages)  # of figures, by the table that has most of them all
    stated = {item.id: one for item, one in named.items()}
    missing = tuple(item for item in schema.fields if item not in named)
    whole = work.each != "section"
    found = _found(missing, pair, passages, work) if whole else _filled("fields", missing, pair, passages, work)
    for row in found:
        stated |= row
    lines = labelled.by_table(schema.lines, passages) if schema.lines else []
    if empty := [one.title for one in schema.lines if lines and not any(one.id in line for line in lines)]:
        words = f"{', '.join(empty)}: no column with such values is called so, and the model was not asked"
        work.remarks.append(NotRead(library.name, document.path, words))
    lines = lines or _filled("lines", schema.lines, pair, passages, work)
    if lines:
        return [{**stated, **line} for line in lines]
    return [stated] if stated or work.each == "document" else []


def _found(items: Sequence[Item], pair: Pair, passages: Sequence[Passage], work: Work) -> list[Row]:
    """Return what the engine finds of items that the document does not name, now or in an earlier run."""
    if not passages:
        return []
    keys = {item: _key(item, pair, passages, work) for item in items}
    missing = [item for item, key in keys.items() if key not in work.kept]
    for item, found in work.engine.find_all(missing, pair, only=work.query.only, stop=work.query.stop, named={}):
        work.usage += found.usage
        remarks = found.injections
        if found.doubt and item.type != "yes/no":
            remarks = (*remarks, NotRead(pair[0].name, pair[1].path, f"{item.title}: {found.doubt}"))
        at, value = found.citation, found.value
        if at is not None and value is None and item.type == "yes/no":
            value = Value("yes/no", " ".join(at.quote.split()), "true" if found.positive else "false")
        rows: tuple[Row, ...] = ()
        if found.state == "found" and at is not None and value is not None:
            rows = ({item.id: Stated(value, at, bool(found.model))},)
        _answered(keys[item], Given(found.model, rows, remarks, bool(found.model) and not found.whole), pair, work)
    if work.query.stop():
        raise Cancelled("stopped")
    if parts := [item.title for item, key in keys.items() if _kept(key, work).part]:
        words = f"only passages of it were read for {', '.join(parts)}"
        work.remarks.append(NotRead(pair[0].name, pair[1].path, words))
    return [row for key in keys.values() for row in _given(key, pair, work)]


def _filled(shape: Shape, items: tuple[Item, ...], pair: Pair, passages: Sequence[Passage], work: Work) -> list[Row]:
    """Return the rows that a model gives for fields at once, now or in an earlier run."""
    if not items or not passages:
        return []
    key = _key((shape, items), pair, passages, work)
    if key not in work.kept:
        labels = ", ".join(one.title for one in items)
        what = work.schema.name if shape == "lines" else labels
        own = passages if work.each == "section" else None
        filled = work.engine.fill(shape, what, items, pair, only=work.query.only, stop=work.query.stop, given=own)
        if filled is None:
            raise Cancelled("stopped")
        work.usage += filled.usage
        strange = ", ".join(filled.unstated)
        remarks = {
            f"{strange}: the model gave words that are not in the text, or another field's": strange,
            "the model could not write it all, so lines or values are missing": filled.cut,
            f"only passages of it were read for {labels}": not filled.whole,
        }
        notes = [NotRead(pair[0].name, pair[1].path, words) for words, so in remarks.items() if so]
        _answered(key, Given(filled.model, filled.rows, (*filled.injections, *notes)), pair, work)
    return _given(key, pair, work)


# --- kept ---------------------------------------------------------------------------------------------------


def _key(asked: object, pair: Pair, passages: Sequence[Passage], work: Work) -> str:
    """Return a name for everything that decides what is found, beside the document."""
    first, last = passages[0], passages[-1]
    part = (work.each, first.position, first.start, last.position, last.end)
    return key_of(_VERSION, asked, part, work.asks, work.query.strict, pair[0].identity.sha256)


def _kept(key: str, work: Work) -> Given:
    kept = work.kept[key]
    given: Given = kept if isinstance(kept, Given) else protocol.from_plain(kept, Given)
    return given


def _given(key: str, pair: Pair, work: Work) -> list[Row]:
    """Return what is kept under a key, with the name that the document has now."""
    one = _kept(key, work)
    work.model = one.model or work.model
    # It may have been renamed, or restored into another library, since it was read.
    library, path = pair[0].name, pair[1].path
    work.remarks += [replace(remark, library=library, document=path) for remark in one.remarks]
    # In strict mode what only the model judged is left out.
    judged = filling.JUDGED if work.query.strict else ()
    return [
        {
            name: replace(found, citation=replace(found.citation, library=library, document=path))
            for name, found in row.items()
            if not (found.by_model and found.value.type in judged)
        }
        for row in one.rows
    ]


def _answered(key: str, given: Given, pair: Pair, work: Work) -> None:
    """Take what was found, and write it with what came before once some seconds have passed."""
    work.kept[key] = work.answered[key] = given
    if time.monotonic() - work.written >= _KEEP_SECONDS:
        _keep(pair, work)


def _keep(pair: Pair, work: Work) -> None:
    """Keep what was answered about a document since the last time."""
    if work.answered:
        Reviews(pair[0]).fill(pair[1], work.answered)
        work.answered, work.written = {}, time.monotonic()


def _row(pair: Pair, stated: Row, passages: Sequence[Passage], work: Work) -> dict[str, Any]:
    """Return a row: the values for machines, each currency in a column of its own, and the sources by field."""
    row = _named(pair, work)
    if work.each == "section":
        row["section"] = next((" › ".join(one.heading) or one.place for one in passages), "")
    for one in work.schema.all:
        found = stated.get(one.id)
        row[one.id] = _cell(found)
        if one.type == "money":
            row[f"{one.id} currency"] = found.value.unit or None if found else None
    return row | {"sources": {name: _source(found) for name, found in stated.items()}}


def _named(pair: Pair, work: Work) -> dict[str, Any]:
    """Return what names a document in its rows."""
    library, path = pair[0].name, pair[1].path
    title = work.titles.get((library, path))
    return {"library": library, "document": path} | ({"document_title": title} if title else {})


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
