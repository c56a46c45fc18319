"""Summaries from the bottom up: sections, then documents, then the folder, by a fixed program (map and reduce).

A document that the model can use whole is summarised whole. A longer one is cut into sections, each is summarised, and
their summaries are joined, in as many rounds as it takes for them to fit. What each level says is tied by code to the
words of the document that it rests on, and a level above cites only what the level below has cited.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from localrag.answer import context
from localrag.answer.context import Unit
from localrag.answer.question import Question
from localrag.answer.survey import leaf, prompts, sections
from localrag.answer.survey.sections import Apart
from localrag.answer.survey.tools import Pair, Tools
from localrag.answer.verify.citations import cite
from localrag.events import Answered, Delta, Event, Notice, Surveyed
from localrag.llm.calibration import Calibration
from localrag.llm.generation import Completed, StateStore
from localrag.llm.generation import Generator as Model
from localrag.settings import Settings
from localrag.types import Answer, Citation, Message, NotRead, Passage, Usage

_PART, _WHOLE, _FOLDER = "two or three sentences", "about five sentences", "about six sentences"
_PART_TOKENS, _WHOLE_TOKENS = 140, 280
# What a prompt needs beside the text: rules, question, template.
_FRAME = 256
_MOST_NAMED = 50
_MARK = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Summary:
    """What was said of a unit, a document or a folder, with markers [1], [2] ... that number its citations."""

    name: str
    text: str
    citations: tuple[Citation, ...]


@dataclass(slots=True)
class _Work:
    """What a summary under way has cost, and whether it was stopped."""

    asked: Question
    model: Model
    usage: Usage = field(default_factory=Usage)
    stopped: bool = False


def summarise(asked: Question, tools: Tools) -> Iterator[Event]:
    """Summarise the documents of a question, or every section of them; the last event is `Answered`."""
    question = leaf.leaf_question(asked.looked_for or asked.text)
    most = room(tools)
    parts = sections.PARTS.get(question.noun, "")
    units = [unit for pair in asked.documents for unit in units_of(pair, asked, tools.model, most, parts)]
    several = len({unit.pair[1].id for unit in units}) > 1
    work = _Work(asked, tools.model)
    made: list[tuple[Unit, Summary]] = []
    for unit in units:
        keep = not several or tools.warm([unit.pair]) > 0
        # States of many documents would push out those of the few that are asked again.
        if len(units) > 1:
            yield Delta(f"{unit.name}: ")
        summary = yield from _summary_of(
            unit, work, tools.states([unit.pair], unit.name if unit.section else "") if keep else None
        )
        if summary is None:
            break
        made.append((unit, summary))
        yield Delta("\n\n")
        yield Surveyed(len(made), len(units), _row(unit, summary))
    documents = list(made) if parts else (yield from _documents(made, units, most, work))
    whole = None
    if not question.each and len(documents) > 1 and not work.stopped:
        yield Notice(f"Joining the summaries of {len(documents)} {'sections' if parts else 'documents'}.")
        whole = yield from _joined("all of them", [summary for _, summary in documents], _FOLDER, most, work)
    yield Answered(_answer(asked, work, units, made, documents, whole))


def room(tools: Tools) -> int:
    """Tokens of text that the model can summarise at once: what it can use, and what its window and settings leave."""
    return room_for(tools.model, tools.settings, tools.known)


def room_for(model: Model, settings: Settings, known: Calibration) -> int:
    """The same, for who reads ahead."""
    fits = model.window - _WHOLE_TOKENS - _FRAME
    return max(128, min(settings.read_tokens, known.effective_tokens, fits))


def units_of(pair: Pair, asked: Question, model: Model, most: int, parts: Apart = "") -> list[Unit]:
    """A document as one unit where it fits, else its sections; where `parts` are wanted, these in any case."""
    library, document = pair
    pages = context.pages_of(library, document, asked.only)
    text = context.whole_text([page for _, page in pages])
    if not text.strip():
        return []
    passages = {passage.position: passage for passage in context.page_passages(library.name, document, pages)}
    if model.count(text) <= most and not parts:
        return [Unit(pair, document.path, "", text, tuple(passages.values()))]
    # Two that just do not fit together are worse than three that are of one size.
    size = most if parts else max(128, most // 2)
    cut = sections.cut(pages, size, model.count, apart=parts)
    return [
        Unit(pair, f"{document.path}, {section.name or section.place or f'part {n} of {len(cut)}'}", section.place,
             section.text, tuple(_part(passages[span.position], span) for span in section.spans), section=True)
        for n, section in enumerate(cut, 1)
    ]  # fmt: skip


def _part(page: Passage, span: sections.Span) -> Passage:
    return replace(page, text=page.text[span.start : span.end], start=span.start, end=span.end)


# --- the levels ---------------------------------------------------------------------------------------------


def _summary_of(unit: Unit, work: _Work, states: StateStore | None) -> Generator[Event, None, Summary | None]:
    size, tokens = (_PART, _PART_TOKENS) if unit.section else (_WHOLE, _WHOLE_TOKENS)
    this = "this section" if unit.section else "this document"
    messages = prompts.summary_prompt(this, unit.name, unit.text, size, work.asked.text)
    text = yield from _write(messages, tokens, work, states)
    if text is None:
        return None
    cited = cite(text, "", unit.passages)
    return Summary(unit.name, cited.text, cited.citations)


def _documents(
    made: Sequence[tuple[Unit, Summary]], units: Sequence[Unit], most: int, work: _Work
) -> Generator[Event, None, list[tuple[Unit, Summary]]]:
    """Summaries of sections joined to those of their documents; a document that was not finished is left out."""
    done: list[tuple[Unit, Summary]] = []
    for pair_id in dict.fromkeys(unit.pair[1].id for unit in units):
        own = [(unit, summary) for unit, summary in made if unit.pair[1].id == pair_id]
        if not own or len(own) < sum(unit.pair[1].id == pair_id for unit in units):
            continue
        unit, summary = own[0]
        if len(own) > 1:
            name = unit.pair[1].path
            yield Notice(f"Joining the summaries of {len(own)} sections of {name}.")
            joined = yield from _joined(name, [summary for _, summary in own], _WHOLE, most, work)
            if joined is None:
                break
            summary = joined
        done.append((unit, summary))
    return done


def _joined(
    what: str, parts: Sequence[Summary], size: str, most: int, work: _Work
) -> Generator[Event, None, Summary | None]:
    """One summary of several: in groups that fit, and again of what these give, until one is left."""
    parts = list(parts)
    while len(parts) > 1:
        groups = _groups(parts, most, work.model)
        last = len(groups) == 1
        next_parts = []
        for group in groups:
            if len(group) == 1 and not last:
                next_parts.append(group[0])
                continue
            given = [(part.name, _MARK.sub("", part.text)) for part in group]
            messages = prompts.joined_prompt(what, given, size if last else _PART, work.asked.text)
            text = yield from _write(messages, _WHOLE_TOKENS, work, None)
            if text is None:
                return None
            cited = cite(text, "", [_as_passage(citation) for part in group for citation in part.citations])
            name = what if last else f"{group[0].name} and what follows"
            next_parts.append(Summary(name, cited.text, cited.citations))
        parts = next_parts
    return parts[0]


def _groups(parts: Sequence[Summary], most: int, model: Model) -> list[list[Summary]]:
    groups: list[list[Summary]] = []
    size = 0
    for part in parts:
        tokens = model.count(f"{part.name}: {part.text}\n\n")
        # At least two in a group, or nothing would ever get shorter.
        if groups and (size + tokens <= most or len(groups[-1]) < 2):
            groups[-1].append(part)
            size += tokens
        else:
            groups.append([part])
            size = tokens
    return groups


def _as_passage(citation: Citation) -> Passage:
    return Passage(
        citation.library, citation.document, citation.page, citation.label, (), citation.quote, citation.start,
        citation.end, 1.0, unit=citation.unit,
    )  # fmt: skip


def _write(
    messages: Sequence[Message], most: int, work: _Work, states: StateStore | None
) -> Generator[Event, None, str | None]:
    """The model's words, shown as they come; None where it was stopped."""
    done = Completed("", Usage(), "stopped")
    for event in work.model.generate(messages, max_tokens=most, stop=work.asked.stop, states=states):
        if isinstance(event, Completed):
            done = event
        else:
            if isinstance(event, Delta):
                work.asked.first_token = work.asked.first_token or work.asked.elapsed()
            yield event
    work.usage += done.usage
    if done.ended == "stopped":
        work.stopped = True
        return None
    return done.text.strip()


# --- told ---------------------------------------------------------------------------------------------------


def _row(unit: Unit, summary: Summary) -> dict[str, Any]:
    first = summary.citations[0] if summary.citations else None
    return {
        "library": unit.pair[0].name,
        "document": unit.pair[1].path,
        "found": True,
        "answer": _MARK.sub("", summary.text).strip(),
        "place": unit.place or (first.place if first else ""),
        "quote": first.quote if first else "",
        "read": "whole",
        "likelihood": None,
        "why_not": "",
        "page": first.page if first else None,
        "start": first.start if first else None,
        "end": first.end if first else None,
    }


def _answer(
    asked: Question, work: _Work, units: Sequence[Unit], made: Sequence[tuple[Unit, Summary]],
    documents: Sequence[tuple[Unit, Summary]], whole: Summary | None,
) -> Answer:  # fmt: skip
    shown = list(documents) or list(made)
    parts: list[tuple[str, Summary]] = []
    if whole is not None:
        parts.append(("", whole))
    single = len(shown) == 1 and whole is None and len(made) == len(units)
    parts += [("" if single else unit.pair[1].path if documents and not unit.section else unit.name, summary)
              for unit, summary in shown]  # fmt: skip
    text, citations = numbered(parts)
    if left := units[len(made) :]:
        text = f"{len(made)} of {len(units)} parts were read before it was stopped.\n\n{text}".strip()
        asked.not_read += [
            NotRead(
                unit.pair[0].name, unit.pair[1].path, f"not read, the summary was stopped: {unit.place or 'all of it'}"
            )
            for unit in left[:_MOST_NAMED]
        ]
    read = len({unit.pair[1].id for unit, _ in made})
    asked.looked_at = f"All of the text of {read} of {len(asked.documents)} documents, part by part."
    return asked.answer(
        text, bool(made), model=work.model.model, citations=citations,
        table=tuple(_row(unit, summary) for unit, summary in made), tokens=work.usage,
        stopped=work.stopped,
    )  # fmt: skip


def numbered(parts: Sequence[tuple[str, Summary]]) -> tuple[str, tuple[Citation, ...]]:
    """Summaries one below the other under their names, and their citations with numbers that run through."""
    blocks, citations = [], list[Citation]()
    for name, summary in parts:
        first = len(citations)
        text = _MARK.sub(lambda found, first=first: f"[{int(found[1]) + first}]", summary.text)  # type: ignore[misc]
        citations += [replace(citation, marker=first + n) for n, citation in enumerate(summary.citations, 1)]
        blocks.append(f"{name}: {text}" if name else text)
    return "\n\n".join(blocks), tuple(citations)
