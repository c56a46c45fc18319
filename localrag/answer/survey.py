"""Run a survey: one item put to each document by the engine (`items/engine.py`), the findings joined.

Code alone looks at all documents first, so that the likeliest are asked first, for where the survey is stopped; in the
table what was found comes first, else it is in the order of the library.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from localrag.answer import from_facts, summary
from localrag.events import Event, Surveyed
from localrag.grounding import stages
from localrag.grounding.annotations import laid_out
from localrag.grounding.stages import Findings, Pair, Query
from localrag.items.engine import Engine
from localrag.items.filling import key
from localrag.items.item import Finding, Item
from localrag.items.values import Measured, comparison, measure
from localrag.quantities import plural
from localrag.question.each import DocumentQuestion
from localrag.types import Citation, NotRead, Plan, Usage

# Lines about documents that were not asked, and names of documents in a line.
_MAX_NOT_READ, _MAX_NAMED = 50, 12


@dataclass(frozen=True, slots=True)
class Asked:
    """What one document says; `columns` are the fields of a table, `title` is that of `Library.titles`."""

    pair: Pair
    finding: Finding
    columns: Mapping[str, str] = field(default_factory=dict)
    title: str = ""

    @property
    def name(self) -> str:
        """What the document is called: its title, else its path."""
        return self.title or self.pair[1].path

    @property
    def answer(self) -> str:
        return self.finding.answer or self.finding.way

    def to_row(self) -> dict[str, Any]:
        return self.finding.to_row(self.pair, self.columns) | ({"document_title": self.title} if self.title else {})


def answer(query: Query, plan: Plan, engine: Engine) -> Generator[Event, None, Findings]:
    """Put the question to each document."""
    question = query.question.each
    if "summary" in (question.kind, query.question.kind):
        return (yield from summary.answer(query, plan, engine.workspace))
    began = time.monotonic()
    known = from_facts.findings(query, engine.workspace.searcher.sentences)
    titles = stages.titles(((library.name, one.path) for library, one in query.documents), query.libraries)
    found: dict[int, Asked] = {
        n: Asked(pair, known[pair[0].name, pair[1].id], title=titles.get((pair[0].name, pair[1].path), ""))
        for n, pair in enumerate(query.documents)
        if (pair[0].name, pair[1].id) in known
    }
    order = [n for n in range(len(query.documents)) if n not in found]
    if not question.columns:
        odds = {n: engine.odds(item_of(question), query.documents[n], query.only) for n in order}
        order.sort(key=lambda n: -odds[n])
    searching = time.monotonic() - began
    for n in order:
        one = _ask(question, pair := query.documents[n], query, engine)
        if one is None:
            break
        found[n] = one = replace(one, title=titles.get((pair[0].name, pair[1].path), ""))
        yield Surveyed(len(found), len(query.documents), one.to_row())
    left = [pair for n, pair in enumerate(query.documents) if n not in found]
    asked = [found[n] for n in sorted(found)]
    injections = [line for one in asked for line in one.finding.injections]
    return replace(
        _answer(question, query, plan, asked, left),
        model=next((one.finding.model for one in asked if one.finding.model), None),
        searching=searching,
        not_read=(*injections, *_not_read(asked, left)),
    )


def item_of(question: DocumentQuestion) -> Item:
    """Return the item that a question about each document asks for."""
    return Item("asked", question.text, type="yes/no" if question.kind == "existence" else "text")


def _ask(question: DocumentQuestion, pair: Pair, query: Query, engine: Engine) -> Asked | None:
    """Put the question to one document; None where it was stopped."""
    if not question.columns:
        finding = engine.find(item_of(question), pair, only=query.only, stop=query.stop)
        return None if finding is None else Asked(pair, finding)
    items = [
        Item(key(name), f"What is the {name} of this {question.noun}?", name, "text", field=True)
        for name in question.columns
    ]
    made = dict(engine.find_all(items, pair, only=query.only, stop=query.stop))
    if len(made) < len(items):
        return None
    findings = [made[item] for item in items]
    found = [one for one in findings if one.positive]
    columns = {item.id: made[item].answer if made[item].positive else "" for item in items}
    withheld = any(one.withheld for one in findings)
    finding = Finding(
        "found" if found else "unsure" if withheld else "absent",
        answer="; ".join(f"{item.title}: {columns[item.id]}" for item in items if columns[item.id]),
        citation=next((one.citation for one in found), None),
        whole=all(one.whole for one in findings),
        model=next((one.model for one in findings if one.model), ""),
        usage=sum((one.usage for one in findings), Usage()),
        dropped=any(one.dropped for one in findings),
        withheld=withheld and not found,
        injections=tuple(dict.fromkeys(line for one in findings for line in one.injections)),
    )
    return Asked(pair, finding, columns)


def _answer(
    question: DocumentQuestion, query: Query, plan: Plan, asked: Sequence[Asked], left: Sequence[Pair]
) -> Findings:
    considered = len(asked) + len(left)
    joined = join(question, asked, considered)
    by_code = sum(not one.finding.model for one in asked)
    whole = sum(one.finding.whole and bool(one.finding.model) for one in asked)
    read = {"compared by code": by_code, "read whole": whole, "in their best passages": len(asked) - by_code - whole}
    withheld = [one for one in asked if one.finding.withheld]
    return Findings(
        joined.text,
        joined.found,
        plan,
        citations=joined.citations,
        # Strict mode has withheld the rows of such quotes, so that the others may be shown.
        citations_dropped=0 if query.strict else sum(one.finding.dropped for one in asked),
        table=tuple(one.to_row() for one in joined.rows),
        tokens=sum((one.finding.usage for one in asked), Usage()),
        stopped=bool(left),
        withheld=f"what {_names(withheld)} may say, because no text supports it throughout" if withheld else "",
        looked_for=query.search_text,
        looked_at=f"{len(asked)} of {considered} asked: "
        + ", ".join(f"{count} {how}" for how, count in read.items() if count or not asked)
        + ".",
    )


def _not_read(asked: Sequence[Asked], left: Sequence[Pair]) -> list[NotRead]:
    """Return one line for each document that was not asked, and one for all that were read in part."""
    lines = [NotRead(library.name, document.path, "not asked, the survey was stopped") for library, document in left]
    if len(lines) > _MAX_NOT_READ:
        more = NotRead(lines[0].library, "", f"and {len(lines) - _MAX_NOT_READ} more that were not asked")
        lines = [*lines[:_MAX_NOT_READ], more]
    part = [one for one in asked if not one.finding.whole]
    if part:
        of = "1 document was" if len(part) == 1 else f"{len(part)} of {len(asked)} documents were"
        lines.append(NotRead(part[0].pair[0].name, "", f"{of} not read whole, only the passages that fit best"))
    return lines


@dataclass(frozen=True, slots=True)
class Joined:
    """The answer in words, its citations, and what was asked in the order of the table."""

    text: str
    found: bool
    citations: tuple[Citation, ...]
    rows: tuple[Asked, ...]


def join(question: DocumentQuestion, asked: Sequence[Asked], considered: int) -> Joined:
    """Count, compare and sort what documents say; `considered` counts those left by a stop, too."""
    if question.limit or question.order:
        return _measured(question, asked, considered)
    yes = [one for one in asked if one.finding.positive]
    no = [one for one in asked if one.finding.way == "no"]
    unsure = [one for one in asked if one.finding.state == "unsure" and not one.finding.withheld]
    nothing = [one for one in asked if one.finding.state == "absent"]
    rows = sorted(asked, key=lambda one: _rank(one, question.negated))
    citations = _numbered([*yes, *no])
    if not asked and considered:
        return Joined(_progress(asked, considered).strip(), False, (), ())
    wanted = [*no, *nothing] if question.negated else yes
    lines = [_progress(asked, considered) + _head(question, len(wanted), len(asked))]
    if question.negated:
        lines += [_line(one, citations) for one in asked if one in no]
        lines += [f"- {one.name}" for one in nothing]
        lines += [f"It was found in: {_names(yes)}."] if yes else []
    else:
        lines += [_line(one, citations) for one in [*yes, *no]]
        lines += [f"Nothing found in: {_names(nothing)}."] if nothing else []
    lines += [f"Unsure, since no words support the answer: {_names(unsure)}."] if unsure else []
    return Joined(laid_out(lines), bool(wanted), tuple(citations.values()), tuple(rows))


def _rank(one: Asked, negated: bool) -> int:
    """Rank what a document says: yes or a value, no, what is unsure, nothing; where "no" is asked for, that first."""
    state = "yes" if one.finding.positive else one.finding.state
    order = ("found", "absent", "unsure", "yes") if negated else ("yes", "found", "unsure", "absent")
    return order.index(state)


def _head(question: DocumentQuestion, count: int, asked: int) -> str:
    of = f"{count} of {plural(asked, question.noun)}"
    if question.negated:
        return f"{of}: nothing was found that answers “{question.text}” with yes."
    if question.kind == "existence":
        return f"{of} answer “{question.text}” with yes."
    if question.kind == "fields":
        return f"{of} say something of {', '.join(question.columns)}."
    return f"{of} answer “{question.text}”."


def _progress(asked: Sequence[Asked], considered: int) -> str:
    """Say how many documents were asked, where it was stopped."""
    return f"{len(asked)} of {plural(considered, 'document')} were asked. " if len(asked) < considered else ""


def _line(one: Asked, citations: Mapping[int, Citation]) -> str:
    mark = f" [{citations[id(one)].marker}]" if id(one) in citations else ""
    return f"- {one.name}: {one.answer}{mark}"


def _numbered(asked: Sequence[Asked]) -> dict[int, Citation]:
    """Number the citations in this order, by the id of what was asked."""
    cited = [(id(one), one.finding.citation) for one in asked]
    found = [(one, citation) for one, citation in cited if citation is not None]
    return {one: replace(citation, marker=n) for n, (one, citation) in enumerate(found, 1)}


def _names(asked: Sequence[Asked]) -> str:
    shown = "; ".join(one.name for one in asked[:_MAX_NAMED])
    more = len(asked) - _MAX_NAMED
    return f"{shown} and {more} more (all: --out FILE)" if more > 0 else shown


def _measured(question: DocumentQuestion, asked: Sequence[Asked], considered: int) -> Joined:
    """Join values that are compared: sorted, or tested against a limit."""
    values: dict[int, Measured] = {}
    for one in asked:
        # The quantity of the answer, else of the words that it quotes.
        at = one.finding.citation
        value = measure(one.answer) or (measure(at.quote) if at else None)
        if one.finding.positive and value is not None:
            values[id(one)] = value
    limited = comparison(question.limit)
    test = limited[1] if limited else None
    commonest = Counter(value.kind for value in values.values()).most_common(1)
    kind = test.limit.kind if test else commonest[0][0] if commonest else None
    comparable = [one for one in asked if id(one) in values and values[id(one)].kind == kind]
    ordered = sorted(comparable, key=lambda one: values[id(one)].value, reverse=question.order != "least")
    passing = [one for one in ordered if test is None or test.passes(values[id(one)])]
    citations = _numbered(passing)
    failing = [one for one in ordered if one not in passing]
    other = [one for one in asked if one.finding.positive and one not in comparable]
    withheld = [one for one in asked if one.finding.withheld]
    nothing = [one for one in asked if not one.finding.positive and one not in withheld]
    of = plural(len(asked), question.noun)
    if test is not None:
        head = f"{len(passing)} of {of}: {test.words}, asked as “{question.text}”"
    else:
        first = f"{ordered[0].name} comes first" if ordered else "None could be compared"
        head = f"{first}: {len(ordered)} of {of} could be compared, asked as “{question.text}”"
    lines = [_progress(asked, considered) + head, *(_line(one, citations) for one in passing)]
    for label, group in (("Not within the limit", failing), ("Answered, but not comparable", other)):
        if group:
            lines.append(f"{label}: " + "; ".join(f"{one.name} ({one.answer})" for one in group))
    lines += [f"Nothing found in: {_names(nothing)}."] if nothing else []
    table = [*passing, *failing, *other, *nothing, *withheld] if question.order else asked
    return Joined(laid_out(lines), bool(passing), tuple(citations.values()), tuple(table))
