"""From a question and its passages to a calculated answer, with its working, each figure cited.

    "What was the percentage change in net sales from 2018 to 2019?"
    -> "The percentage change is −5.3 %, from Net sales: 5,875.0 (2018) and 5,563.7 (2019) [1]."
       (5,563.7 − 5,875.0) / 5,875.0 = −5.3 %, from p. 60

There is an answer only where the question asks for a calculation and every figure of it stands in the text at its
place, under labels that say what the question says. Otherwise the question is answered as any other is: a text that
states the result itself ("net sales fell by 5.3 %") is better read than calculated again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from localrag.answer import context
from localrag.answer.question import Prompted, Question
from localrag.answer.table_qa import asking, cells, dating, picking, working
from localrag.answer.table_qa.asking import Kind, Wanted
from localrag.answer.table_qa.cells import Cell, plain
from localrag.answer.table_qa.dating import Counted
from localrag.answer.table_qa.working import Result
from localrag.answer.verify import links
from localrag.store import text_analysis
from localrag.store.sentences import sentences
from localrag.types import Answer, Citation, Figure, Passage, Working

_LONGEST_QUOTE = 320
_LONGEST_NAME = 90
_MOST = 24  # passages looked at
_SAID = {
    "english": ("The {0} is {1}, from {2}", "and"),
    "german": ("{0}: {1}, aus {2}", "und"),
    "french": ("{0} : {1}, d’après {2}", "et"),
    "spanish": ("{0}: {1}, según {2}", "y"),
}
_NAMES: dict[str, dict[Kind, str]] = {
    "german": {
        "change": "Veränderung", "percentage change": "Prozentuale Veränderung", "decrease": "Abnahme",
        "percentage decrease": "Prozentuale Abnahme", "difference": "Differenz", "sum": "Summe",
        "average": "Durchschnitt", "share": "Anteil", "ratio": "Verhältnis",
    },
    "french": {
        "change": "Variation", "percentage change": "Variation en pourcentage", "decrease": "Baisse",
        "percentage decrease": "Baisse en pourcentage", "difference": "Différence", "sum": "Somme",
        "average": "Moyenne", "share": "Part", "ratio": "Rapport",
    },
    "spanish": {
        "change": "Variación", "percentage change": "Variación porcentual", "decrease": "Disminución",
        "percentage decrease": "Disminución porcentual", "difference": "Diferencia", "sum": "Suma",
        "average": "Promedio", "share": "Parte", "ratio": "Razón",
    },
}  # fmt: skip
_STATES = re.compile(
    r"increas|decreas|declin|grew|grow|rose|fell|drop|chang|reduc|higher|lower|percent|%|average|ratio|gestiegen|gesunken|"
    r"erhöh|veränder|prozent|augment|diminu|baiss|hauss|aument|dismin",
    re.I,
)


def answered(asked: Question, prompted: Prompted, *, short: bool = False) -> Answer | None:
    """The calculated answer, by code alone; None where none is asked for, or its figures are not plainly there.

    Args:
        asked: the question.
        prompted: with the passages whose figures may be taken.
        short: answer with the result alone; how it came about is told by the working.
    """
    prompted = _wider(asked, prompted)
    passages = prompted.passages
    spoken = text_analysis.language(" ".join(passage.text[:4000] for passage in passages))
    if (span := dating.counted(asked.text, passages, spoken)) is not None:
        return _counted(asked, prompted, span, short)
    wanted = asking.wanted(asked.text)
    found = cells.find(passages) if wanted is not None else []
    if wanted is None or not found:
        return None
    picked = picking.Picker(found, [_about(passage) for passage in passages], spoken).pick(wanted)
    if picked is None or not _there(picked.cells, passages) or _stated(wanted, picked.cells, passages, spoken):
        return None
    result = working.work_out(wanted.kind, picked.cells)
    return None if result is None else _answer(asked, prompted, wanted, picked.cells, result, short)


def _wider(asked: Question, prompted: Prompted) -> Prompted:
    """With the passages that were found and did not fit the prompt, too: code reads them at once."""
    if asked.plan.kind != "retrieve":
        return prompted
    more = [hit for hit in asked.hits[:_MOST] if hit not in prompted.passages]
    return replace(prompted, passages=[*prompted.passages, *more])


def _about(passage: Passage) -> str:
    return " ".join([re.sub(r"[_\-.]", " ", PurePosixPath(passage.document).stem), *passage.heading])


def _there(picked: Sequence[Cell], passages: Sequence[Passage]) -> bool:
    """Whether each figure stands in its passage, as it is taken."""
    return all(passages[cell.passage].text[cell.start : cell.end] == cell.text != "" for cell in picked)


def _stated(wanted: Wanted, picked: Sequence[Cell], passages: Sequence[Passage], spoken: str) -> bool:
    """Whether a sentence says what is asked of just the thing, named in the question, that the labels do not know."""
    if wanted.kind in ("sum", "average"):
        return False
    labels = " ".join(f"{cell.row} {cell.column} {cell.section}" for cell in picked)
    named = _terms(asking.words(wanted), spoken)
    names = " ".join(re.findall(r"(?<=\s)[A-ZÄÖÜ][\w&’'-]*", asking.words(wanted)))
    missing = (_terms(names, spoken) & named) - _terms(labels, spoken)
    if not missing:
        return False
    for passage in passages:
        for start, end in sentences(passage.text):
            text = passage.text[start:end]
            if "|" in text or not _STATES.search(text) or not re.search(r"\d", text):
                continue
            said = _terms(text, spoken)
            if missing <= said and 2 * len(named & said) > len(named):
                return True
    return False


def _terms(text: str, spoken: str) -> set[str]:
    common = text_analysis.COMMON.get(spoken, text_analysis.COMMON["english"])
    return {token.term for token in text_analysis.tokens(text, spoken) if token.word not in common}


# --- the answer ---------------------------------------------------------------------------------------------


def _answer(
    asked: Question, prompted: Prompted, wanted: Wanted, picked: Sequence[Cell], result: Result, short: bool
) -> Answer:  # fmt: skip
    figures = [(cell.text, _cited(prompted.passages[cell.passage], cell.line, cell.stop, cell.end)) for cell in picked]
    said = result.shown if short else _sentence(asked.text, wanted, picked, result)
    return _told(asked, prompted, said, (result.expression, result.shown, float(result.value)), figures, wanted.kind)


def _counted(asked: Question, prompted: Prompted, span: Counted, short: bool) -> Answer:
    figures = [
        (place.text, _cited(prompted.passages[place.passage], place.first, place.stop, place.end))
        for place in span.places
    ]
    said = span.result if short else span.told.rstrip(".")
    return _told(asked, prompted, said, (span.expression, span.result, float(span.days)), figures, "dates")


def _told(
    asked: Question, prompted: Prompted, said: str, done: tuple[str, str, float],
    figures: Sequence[tuple[str, Citation]], kind: str,
) -> Answer:  # fmt: skip
    """The answer: a sentence with the markers of its figures, and the working."""
    citations: list[Citation] = []
    markers = [_marker(citation, citations) for _, citation in figures]
    cited = context.placed(citations, prompted.passages, asked.libraries)
    shown = tuple(Figure(text, cited[mark - 1].place, mark) for (text, _), mark in zip(figures, markers, strict=True))
    marks = "".join(f"[{mark}]" for mark in sorted(set(markers)))
    asked.plan = replace(asked.plan, signals={**asked.plan.signals, "calculated": kind})
    passages = context.cited_only(prompted.passages, cited)
    return asked.answer(
        f"{said} {marks}.", True, model=None, citations=cited, passages=tuple(passages), context=prompted.context,
        workings=(Working(*done, shown),),
    )  # fmt: skip


def _sentence(question: str, wanted: Wanted, picked: Sequence[Cell], result: Result) -> str:
    spoken = text_analysis.language(question)
    form, joint = _SAID.get(spoken, _SAID["english"])
    name = _NAMES.get(spoken, {}).get(wanted.kind, wanted.name)
    if len({(cell.row, cell.table) for cell in picked}) == 1 and len(
        {cell.years for cell in picked if len(cell.years) == 1}
    ) == len(picked):
        told = [f"{cell.text} ({next(iter(cell.years))})" for cell in picked]
        return form.format(name, result.shown, f"{_named(plain(picked[0].row))}: {_listed(told, joint)}")
    told = [f"{_named(cell.name)}: {cell.text}" for cell in picked]
    return form.format(name, result.shown, _listed(told, joint, "; "))


def _named(label: str) -> str:
    """A label in the answer: shortened, without what would be taken for a citation's number or a Markdown link."""
    text = re.sub(r"\s?\[\d+\]", "", links.written_out(label))
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME].rsplit(' ', 1)[0]} …"


def _listed(parts: Sequence[str], joint: str, between: str = ", ") -> str:
    if len(parts) == 1:
        return parts[0]
    return f"{between.join(parts[:-1])}{';' if between == '; ' else ''} {joint} {parts[-1]}"


def _cited(passage: Passage, start: int, stop: int, figure_end: int) -> Citation:
    """The row or sentence of a figure as a citation; of a long one the part up to the figure."""
    first, end = start, stop
    if end - start > _LONGEST_QUOTE:
        end = min(end, max(figure_end, start + _LONGEST_QUOTE))
        end = max(figure_end, passage.text.rfind(" ", start, end))
        start = max(start, end - _LONGEST_QUOTE)
        while start > first and not passage.text[start - 1].isspace():
            start += 1
    return Citation(
        passage.library, passage.document, passage.page, passage.label, passage.place, passage.text[start:end],
        passage.start + start, passage.start + end, 0, unit=passage.unit,
    )  # fmt: skip


def _marker(citation: Citation, citations: list[Citation]) -> int:
    """The number of a citation, adding it where it is new."""
    for known in citations:
        if replace(known, marker=0) == citation:
            return known.marker
    citations.append(replace(citation, marker=len(citations) + 1))
    return len(citations)
