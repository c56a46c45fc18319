"""Summarise from the bottom up, by a fixed program: sections, then documents, then the folder (map and reduce).

One document is summed up in points, one for each of its parts. Of several, one that is too long is cut into sections,
and their summaries are joined, in as many rounds as it takes. A level cites only what the level below has cited.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from localrag.answer import checking
from localrag.events import Delta, Event, Notice, Surveyed
from localrag.grounding import context, fact_checks, prompts, repetition
from localrag.grounding.citations import cite
from localrag.grounding.context import Unit
from localrag.grounding.stages import Findings, Query
from localrag.items.item import Finding, State
from localrag.llm import Completed, PromptCache
from localrag.llm import Generator as Model
from localrag.quantities import plural
from localrag.types import Citation, Flag, Message, NotRead, Passage, Plan, Usage

if TYPE_CHECKING:
    from localrag.grounding.workspace import Workspace

_PART, _WHOLE, _FOLDER = "two or three sentences", "about five sentences", "about six sentences"
_POINT = "one sentence of at most 35 words"
_PART_TOKENS, _POINT_TOKENS = 140, 90
# Points of a document, at most; the fewest parts that it is cut into, and the least tokens of one.
_MAX_POINTS, _PARTS, _MIN_PART = 8, (5, 4, 3), 200
_MAX_NAMED = 50
_MARK = re.compile(r"\[(\d+)\]")

_WORDS = prompts.WORDS["summary"]


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of a unit, a document or a folder, with markers [1], [2] ... that number its citations."""

    name: str
    text: str
    citations: tuple[Citation, ...]
    unsupported: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()


@dataclass(slots=True)
class _Work:
    """A summary in progress: what it has cost, and whether it was stopped."""

    query: Query
    model: Model
    limit: int
    usage: Usage = field(default_factory=Usage)
    stopped: bool = False


def answer(query: Query, plan: Plan, workspace: Workspace) -> Generator[Event, None, Findings]:
    """Summarise the documents of a query, each by itself and then all together."""
    question = query.question.each
    model = workspace.model()
    limit = context.room(model, workspace.settings)
    points = len(query.documents) == 1
    if points:
        units = _parts(query, model, limit)
    else:
        units = [unit for pair in query.documents for unit in context.units_of(pair, query.only, model, limit)]
    if not units:
        return Findings(prompts.NOT_FOUND, False, plan, model=model.model)
    several = len({unit.pair[1].id for unit in units}) > 1
    work = _Work(query, model, limit)
    made: list[tuple[Unit, Summary]] = []
    for unit in units:
        # The cache of many documents would push out that of the few that are asked about again.
        keep = not several or workspace.cached_tokens([unit.pair]) > 0
        cache = workspace.cache([unit.pair], unit.name if unit.section else "") if keep else None
        lead = "" if len(units) == 1 else "- " if points else f"{unit.name}: "
        summary = yield from _summary_of(unit, work, cache, lead, points=points)
        if summary is None:
            break
        made.append((unit, summary))
        yield Delta("\n" if points else "\n\n")
        yield Surveyed(len(made), len(units), _row(unit, summary))
    if points:
        return _answer(work, plan, units, made, (yield from _points(made, units, work)), None)
    documents = yield from _documents(made, units, work)
    whole = None
    if not question.each and len(documents) > 1 and not work.stopped:
        yield Notice(f"Joining the summaries of {len(documents)} documents.")
        whole = yield from _joined("all of them", [summary for _, summary in documents], _FOLDER, work)
    return _answer(work, plan, units, made, documents, whole)


def summary_prompt(this: str, name: str, text: str, size: str, question: str) -> list[Message]:
    """Return the prompt that summarises a document or a section, laid out as `read` lays out a document."""
    return prompts.documents_prompt(_WORDS["summarise"].format(this=this, size=size, question=question), [(name, text)])


def joined_prompt(what: str, parts: Sequence[tuple[str, str]], size: str, question: str) -> list[Message]:
    """Return the prompt that joins several (name, summary) of the sections of a document, or of a folder."""
    blocks = "\n\n".join(f"{name}: {text}" for name, text in parts)
    request = _WORDS["summarise"].format(this=what, size=size, question=question)
    return [
        Message("system", _WORDS["join"]),
        Message("user", f"Summaries of the parts of {what}:\n\n{blocks}\n\n{request}"),
    ]


def _parts(query: Query, model: Model, limit: int) -> list[Unit]:
    """Return a document in parts, one for each point of its summary: at most eight, unless it is too long for that."""
    (pair,) = query.documents
    tokens = sum(model.count(unit.text) for unit in context.whole(pair, query.only))
    units: list[Unit] = []
    for parts in _PARTS:
        units = context.units_of(pair, query.only, model, min(limit, max(2 * tokens // parts, 2 * _MIN_PART)))
        if len(units) <= _MAX_POINTS:
            break
    return units


def _reach(first: str, last: str) -> str:
    """Return the place from the beginning of one to the end of another: "p. 3 to p. 9"."""
    if first == last:
        return first
    start, end = first.split(" to "), last.split(" to ")
    return f"{start[0] if len(start) == 2 else first} to {end[1] if len(end) == 2 else last}"


def _points(
    made: Sequence[tuple[Unit, Summary]], units: Sequence[Unit], work: _Work
) -> Generator[Event, None, list[tuple[Unit, Summary]]]:
    """Return the points of a document in order as one summary, each with its pages; many are joined to eight."""
    path = made[0][0].pair[1].path if made else ""
    parts = [replace(summary, name=unit.place or unit.name.removeprefix(f"{path}, ")) for unit, summary in made]
    parts = [part for part in parts if part.text not in ("", prompts.WITHHELD)]
    if len(made) == len(units) and len(parts) > _MAX_POINTS:
        yield Notice(f"Joining {len(parts)} points to {_MAX_POINTS}.")
        ends = [len(parts) * n // _MAX_POINTS for n in range(_MAX_POINTS + 1)]
        joined = []
        for first, last in pairwise(ends):
            whole = yield from _joined(parts[first].name, parts[first:last], _POINT, work)
            if whole is None:
                break
            joined.append(replace(whole, name=_reach(parts[first].name, parts[last - 1].name)))
        parts = [part for part in joined if part.text not in ("", prompts.WITHHELD)]
    if not parts:
        return []
    # A sentence that no text supports word for word has at least its pages.
    placed = [f"{one.text} ({one.name})" if one.name and not one.citations else one.text for one in parts]
    text, citations = numbered([("", replace(one, text=words)) for one, words in zip(parts, placed, strict=True)])
    lines = [f"- {block}" for block in text.split("\n\n")]
    unsupported = tuple(sentence for part in parts for sentence in part.unsupported)
    flags = tuple(flag for part in parts for flag in part.flags)
    points = "\n".join(lines) if len(lines) > 1 else text
    return [(made[0][0], Summary(path, points, citations, unsupported, flags))]


def _summary_of(
    unit: Unit, work: _Work, cache: PromptCache | None, lead: str, *, points: bool = False
) -> Generator[Event, None, Summary | None]:
    size, tokens = (_PART, _PART_TOKENS) if unit.section else (_WHOLE, context.SUMMARY_TOKENS)
    if points and unit.section:
        size, tokens = _POINT, _POINT_TOKENS
    this = "this section" if unit.section else "this document"
    messages = summary_prompt(this, unit.name, unit.text, size, _asked(work))
    messages = prompts.worded(messages, work.query.instructions, question=work.query.text)
    text = yield from _write(messages, tokens, work, cache, lead)
    if text is None:
        return None
    return _checked(unit.name, text, unit.passages, work)


def _checked(name: str, text: str, passages: Sequence[Passage], work: _Work) -> Summary:
    if work.query.strict and not fact_checks.sound(text, "", passages):
        return Summary(name, prompts.WITHHELD, ())
    if len(work.query.documents) > 1:
        cited = cite(text, "", passages)
        return Summary(name, cited.answer, cited.citations)
    checks = (checking.language, checking.quotes, checking.facts, checking.places)
    found = checking.check(Findings(text, passages=tuple(passages)), work.query, passages, checks)
    if not found.found:
        return Summary(name, prompts.WITHHELD, ())
    return Summary(name, found.answer, found.citations, found.unsupported, found.flags)


def _asked(work: _Work) -> str:
    """Return the question, complete where it leans on those before it."""
    return work.query.search_text if work.query.question.leans else work.query.text


def _documents(
    made: Sequence[tuple[Unit, Summary]], units: Sequence[Unit], work: _Work
) -> Generator[Event, None, list[tuple[Unit, Summary]]]:
    """Join summaries of sections to those of their documents; an unfinished document is left out."""
    done: list[tuple[Unit, Summary]] = []
    for document in dict.fromkeys(unit.pair[1].id for unit in units):
        own = [(unit, summary) for unit, summary in made if unit.pair[1].id == document]
        if not own or len(own) < sum(unit.pair[1].id == document for unit in units):
            continue
        unit, summary = own[0]
        if len(own) > 1:
            name = unit.pair[1].path
            yield Notice(f"Joining the summaries of {len(own)} sections of {name}.")
            joined = yield from _joined(name, [summary for _, summary in own], _WHOLE, work)
            if joined is None:
                break
            summary = joined
        done.append((unit, summary))
    return done


def _joined(what: str, parts: Sequence[Summary], size: str, work: _Work) -> Generator[Event, None, Summary | None]:
    """Join several summaries in groups that fit, and the results again, until one is left."""
    parts = [part for part in parts if part.text != prompts.WITHHELD] or list(parts[:1])
    while len(parts) > 1:
        groups = _groups(parts, work)
        last = len(groups) == 1
        next_parts = []
        for group in groups:
            if len(group) == 1 and not last:
                next_parts.append(group[0])
                continue
            given = [(part.name, _MARK.sub("", part.text)) for part in group]
            messages = joined_prompt(what, given, size if last else _PART, _asked(work))
            text = yield from _write(messages, context.SUMMARY_TOKENS, work, None)
            if text is None:
                return None
            passages = [_as_passage(citation) for part in group for citation in part.citations]
            name = what if last else f"{group[0].name} and what follows"
            next_parts.append(_checked(name, text, passages, work))
        parts = next_parts
    return parts[0]


def _groups(parts: Sequence[Summary], work: _Work) -> list[list[Summary]]:
    groups: list[list[Summary]] = []
    size = 0
    for part in parts:
        tokens = work.model.count(f"{part.name}: {part.text}\n\n")
        # At least two in a group, or nothing would ever get shorter.
        if groups and (size + tokens <= work.limit or len(groups[-1]) < 2):
            groups[-1].append(part)
            size += tokens
        else:
            groups.append([part])
            size = tokens
    return groups


def _as_passage(citation: Citation) -> Passage:
    return Passage(
        citation.library,
        citation.document,
        citation.page,
        citation.label,
        (),
        citation.quote,
        citation.start,
        citation.end,
        1.0,
        unit=citation.unit,
    )


def _write(
    messages: Sequence[Message], limit: int, work: _Work, cache: PromptCache | None, lead: str = ""
) -> Generator[Event, None, str | None]:
    """Pass on the model's words behind `lead`; return None where it was stopped."""
    done = Completed("", Usage(), "stopped")
    for event in repetition.written(work.model, messages, max_tokens=limit, stop=work.query.stop, cache=cache):
        if isinstance(event, Completed):
            done = event
            continue
        if isinstance(event, Delta) and lead:
            yield Delta(lead)
            lead = ""
        yield event
    work.usage += done.usage
    if done.ended == "stopped":
        work.stopped = True
        return None
    return done.text.strip()


def _row(unit: Unit, summary: Summary) -> dict[str, Any]:
    first = next(iter(summary.citations), None)
    withheld = summary.text == prompts.WITHHELD
    text = "" if withheld else _MARK.sub("", summary.text).strip()
    state: State = "unsure" if withheld else "found"
    row = Finding(state, answer=text, citation=first, whole=True, withheld=withheld).to_row(unit.pair)
    return {**row, "place": unit.place or row["place"], "why_not": row["why_not"] if withheld else ""}


def _answer(
    work: _Work,
    plan: Plan,
    units: Sequence[Unit],
    made: Sequence[tuple[Unit, Summary]],
    documents: Sequence[tuple[Unit, Summary]],
    whole: Summary | None,
) -> Findings:
    query = work.query
    shown = list(documents) or list(made)
    single = len(shown) == 1 and whole is None and (len(made) == len(units) or len(query.documents) == 1)
    parts = [("", whole)] if whole is not None else []
    parts += [
        ("" if single else unit.pair[1].path if documents and not unit.section else unit.name, summary)
        for unit, summary in shown
    ]
    text, citations = numbered(parts)
    left = units[len(made) :]
    if left:
        text = f"{len(made)} of {len(units)} parts were read before it was stopped.\n\n{text}".strip()
    read = len({unit.pair[1].id for unit, _ in made})
    withheld = [unit.name for unit, summary in made if summary.text == prompts.WITHHELD]
    what = "The pages asked about" if query.only.pages is not None else "All of the text"
    what = f"{len(made)} of {len(units)} parts of the text" if left else what
    return Findings(
        text,
        len(withheld) < len(made),
        plan,
        model=work.model.model,
        citations=citations,
        table=tuple(_row(unit, summary) for unit, summary in made),
        tokens=work.usage,
        stopped=work.stopped,
        not_read=tuple(
            NotRead(
                unit.pair[0].name, unit.pair[1].path, f"not read, the summary was stopped: {unit.place or 'all of it'}"
            )
            for unit in left[:_MAX_NAMED]
        ),
        withheld=f"{plural(len(withheld), 'summary')}, because no text supports it throughout" if withheld else "",
        looked_for=query.search_text,
        looked_at=f"{what} of {read} of {plural(len(query.documents), 'document')}, part by part.",
        unsupported=tuple(sentence for _, summary in shown for sentence in summary.unsupported),
        flags=tuple(flag for _, summary in shown for flag in summary.flags),
        sure=not any(flag.kind == "language" for _, summary in shown for flag in summary.flags),
    )


def numbered(parts: Sequence[tuple[str, Summary]]) -> tuple[str, tuple[Citation, ...]]:
    """Return summaries one below the other under their names, and their citations numbered throughout."""
    blocks, citations = [], list[Citation]()
    for name, summary in parts:
        first = len(citations)
        text = _MARK.sub(lambda found, first=first: f"[{int(found[1]) + first}]", summary.text)  # type: ignore[misc]
        citations += [replace(citation, marker=first + n) for n, citation in enumerate(summary.citations, 1)]
        blocks.append(f"{name}: {text}" if name else text)
    return "\n\n".join(blocks), tuple(citations)
