"""Run a survey: the material of each document, a leaf question for each, the answers joined. No model counts.

First code alone looks at all documents, for the names that the question requires and for their best passages. The
likeliest are asked first, for where the survey is stopped; the table is in the order of the library.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

from localrag.answer import intent, summary
from localrag.events import Event, Surveyed
from localrag.grounding import context
from localrag.grounding.annotations import laid_out
from localrag.grounding.stages import Findings, Pair, Query
from localrag.items import engine
from localrag.items.leaf import Leaf
from localrag.items.leaf_question import LeafQuestion, leaf_question
from localrag.items.values import Measured, measure
from localrag.quantities import plural
from localrag.types import Citation, NotRead, Plan, Usage

# Passages judged separately for a yes/no question; searched for a required name; and of each field of a table.
_JUDGED, _SEARCHED, _PER_FIELD = 2, 20, 2
# Tokens of passages, and of a document that costs no more when read whole.
_MAX_TOKENS = 600
_CHARACTERS_PER_TOKEN = 4
# Log odds of a clause below which the model is not asked. So low are 74 % of those absent, 3 % of those present.
_ABSENT = -2.5
# Lines about documents that were not asked, and names of documents in a line.
_MAX_NOT_READ, _MAX_NAMED = 50, 12


def answer(query: Query, plan: Plan, tools: engine.Tools) -> Generator[Event, None, Findings]:
    """Put the question to each document."""
    question = leaf_question(query.search_text or query.text)
    if question.kind == "summary" or intent.of(query.text).kind == "summary":
        return (yield from summary.answer(query, plan, tools))
    began = time.monotonic()
    materials = engine.materials(question, query, tools)
    searching = time.monotonic() - began
    # Those that code has decided come first, since they cost nothing.
    order = sorted(range(len(materials)), key=lambda n: (bool(materials[n].passages), -materials[n].standing, n))
    leaves: dict[int, Leaf] = {}
    injections: list[NotRead] = []
    for n in order:
        made = engine.put(question, query.documents[n], materials[n], tools, query.stop)
        if made is None:
            break
        leaves[n] = made
        injections += context.injections_in(materials[n].passages)
        yield Surveyed(len(leaves), len(order), leaves[n].to_row())
    left = [pair for n, pair in enumerate(query.documents) if n not in leaves]
    asked = [leaves[n] for n in sorted(leaves)]
    return replace(
        _answer(question, query, plan, asked, left),
        model=tools.model.model,
        searching=searching,
        not_read=(*injections, *_not_read(asked, left)),
    )


def _answer(question: LeafQuestion, query: Query, plan: Plan, leaves: Sequence[Leaf], left: Sequence[Pair]) -> Findings:
    considered = len(leaves) + len(left)
    joined = join(question, leaves, considered)
    whole = sum(leaf.read == "whole" for leaf in leaves)
    withheld = [leaf for leaf in leaves if leaf.withheld]
    return Findings(
        joined.text,
        joined.found,
        plan,
        citations=joined.citations,
        # Strict mode has withheld the rows of such quotes, so that the others may be shown.
        citations_dropped=0 if query.strict else sum(leaf.dropped for leaf in leaves),
        table=tuple(leaf.to_row() for leaf in joined.leaves),
        tokens=sum((leaf.usage for leaf in leaves), Usage()),
        stopped=bool(left),
        withheld=f"what {_names(withheld)} may say, because no text supports it throughout" if withheld else "",
        looked_for=query.search_text,
        looked_at=f"{len(leaves)} of {considered} asked: {whole} read whole, {len(leaves) - whole} in their best "
        "passages.",
    )


def _not_read(leaves: Sequence[Leaf], left: Sequence[Pair]) -> list[NotRead]:
    """Return one line for each document that was not asked, and one for all that were read in part."""
    lines = [NotRead(library.name, document.path, "not asked, the survey was stopped") for library, document in left]
    if len(lines) > _MAX_NOT_READ:
        more = NotRead(lines[0].library, "", f"and {len(lines) - _MAX_NOT_READ} more that were not asked")
        lines = [*lines[:_MAX_NOT_READ], more]
    part = [leaf for leaf in leaves if leaf.read == "passages"]
    if part:
        of = "1 document was" if len(part) == 1 else f"{len(part)} of {len(leaves)} documents were"
        lines.append(NotRead(part[0].library, "", f"{of} not read whole, only the passages that fit best"))
    return lines


@dataclass(frozen=True, slots=True)
class Joined:
    """The answer in words, its citations, and the leaves in the order of the table."""

    text: str
    found: bool
    citations: tuple[Citation, ...]
    leaves: tuple[Leaf, ...]


def join(question: LeafQuestion, leaves: Sequence[Leaf], considered: int) -> Joined:
    """Count, compare and sort what the leaves answer; `considered` counts those left by a stop, too."""
    if question.test is not None or question.order:
        return _measured(question, leaves, considered)
    yes = [leaf for leaf in leaves if leaf.found]
    no = [leaf for leaf in leaves if not (leaf.found or leaf.withheld or leaf.unsure)]
    unsure = [leaf for leaf in leaves if leaf.unsure]
    citations = _numbered(yes)
    if not leaves and considered:
        return Joined(_progress(leaves, considered).strip(), False, (), ())
    lines = [_progress(leaves, considered) + _head(question, len(no if question.negated else yes), len(leaves))]
    if question.negated:
        lines += [f"- {leaf.document.path}" for leaf in no]
        lines += [f"It was found in: {_names(yes)}."] if yes else []
    else:
        lines += [_line(leaf, citations) for leaf in yes]
        lines += [f"Nothing found in: {_names(no)}."] if no else []
    lines += [f"Unsure, since no words support the answer: {_names(unsure)}."] if unsure else []
    found = bool(no if question.negated else yes)
    return Joined(laid_out(lines), found, tuple(citations.values()), tuple(leaves))


def _head(question: LeafQuestion, count: int, asked: int) -> str:
    of = f"{count} of {plural(asked, question.noun)}"
    if question.negated:
        return f"{of}: nothing was found that answers “{question.text}” with yes."
    if question.kind == "existence":
        return f"{of} answer “{question.text}” with yes."
    if question.kind == "fields":
        return f"{of} say something of {', '.join(question.columns)}."
    return f"{of} answer “{question.text}”."


def _progress(leaves: Sequence[Leaf], considered: int) -> str:
    """Say how many documents were asked, where it was stopped."""
    return f"{len(leaves)} of {plural(considered, 'document')} were asked. " if len(leaves) < considered else ""


def _line(leaf: Leaf, citations: dict[int, Citation]) -> str:
    mark = f" [{citations[id(leaf)].marker}]" if id(leaf) in citations else ""
    return f"- {leaf.document.path}: {leaf.answer}{mark}"


def _numbered(leaves: Sequence[Leaf]) -> dict[int, Citation]:
    """Number the leaves' citations in this order."""
    cited = [leaf for leaf in leaves if leaf.citation is not None]
    return {id(leaf): replace(leaf.citation, marker=n) for n, leaf in enumerate(cited, 1) if leaf.citation is not None}


def _names(leaves: Sequence[Leaf]) -> str:
    shown = ", ".join(leaf.document.path for leaf in leaves[:_MAX_NAMED])
    more = len(leaves) - _MAX_NAMED
    return f"{shown} and {more} more (all: --table FILE)" if more > 0 else shown


def _measured(question: LeafQuestion, leaves: Sequence[Leaf], considered: int) -> Joined:
    """Join values that are compared: sorted, or tested against a limit."""
    values: dict[int, Measured] = {}
    for one in leaves:
        # The quantity of the answer, else of the words that it quotes.
        value = measure(one.answer) or (measure(one.citation.quote) if one.citation else None)
        if one.found and value is not None:
            values[id(one)] = value
    test = question.test
    commonest = Counter(value.kind for value in values.values()).most_common(1)
    kind = test.limit.kind if test else commonest[0][0] if commonest else None
    comparable = [leaf for leaf in leaves if id(leaf) in values and values[id(leaf)].kind == kind]
    by_value: Callable[[Leaf], float] = lambda leaf: values[id(leaf)].value  # noqa: E731
    ordered = sorted(comparable, key=by_value, reverse=question.order != "least")
    passing = [leaf for leaf in ordered if test is None or test.passes(values[id(leaf)])]
    citations = _numbered(passing)
    failing = [leaf for leaf in ordered if leaf not in passing]
    other = [leaf for leaf in leaves if leaf.found and leaf not in comparable]
    nothing = [leaf for leaf in leaves if not leaf.found and not leaf.withheld]
    of = plural(len(leaves), question.noun)
    if test is not None:
        head = f"{len(passing)} of {of}: {test.words}, asked as “{question.text}”"
    else:
        first = f"{ordered[0].document.path} comes first" if ordered else "None could be compared"
        head = f"{first}: {len(ordered)} of {of} could be compared, asked as “{question.text}”"
    lines = [_progress(leaves, considered) + head, *(_line(leaf, citations) for leaf in passing)]
    for label, group in (("Not within the limit", failing), ("Answered, but not comparable", other)):
        if group:
            lines.append(f"{label}: " + "; ".join(f"{leaf.document.path} ({leaf.answer})" for leaf in group))
    lines += [f"Nothing found in: {_names(nothing)}."] if nothing else []
    table = (
        [*passing, *failing, *other, *nothing, *(leaf for leaf in leaves if leaf.withheld)]
        if question.order
        else list(leaves)
    )
    return Joined(laid_out(lines), bool(passing), tuple(citations.values()), tuple(table))
