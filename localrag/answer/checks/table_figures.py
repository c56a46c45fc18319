"""Hold the figures that a model took from tables against what the table of figures knows of them.

A figure of another period than the question names, or of none that is known, is flagged, and one whose labels lack most
of what the question says of labels; one in thousands or millions is given its scale, which stands in the head alone.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from localrag.figures import periods, reading, table
from localrag.figures.finding import frame_terms, terms
from localrag.figures.formulas import Figure
from localrag.figures.periods import Period
from localrag.figures.table import Entry
from localrag.grounding.citations import claims
from localrag.grounding.stages import Findings, Pair
from localrag.quantities import QUANTITY, SCALES, parse_quantity
from localrag.types import Citation, Flag

_SCALE = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(SCALES, key=len, reverse=True)))})s?\b", re.I)


def check(findings: Findings, question: str, documents: Sequence[Pair]) -> Findings:
    """Return findings with the scale of their figures of tables, and a flag on those of another period.

    A quarter is only held against the length of a column: which months it has is known to its report alone.
    """
    cited: dict[Entry, frozenset[str]] = dict(_cited(findings, documents))
    if not cited:
        return findings
    asked = periods.asked(question).periods
    named = terms(question) - frame_terms()
    flags, text = [], findings.answer
    for start, end in reversed(claims(text)):
        sentence = text[start:end]
        for match in reversed(list(QUANTITY.finditer(sentence))):
            value = parse_quantity(match, money=True).value
            own = [one for one in cited if abs(value) in (abs(one.cell.value), abs(one.value))]
            if not own:
                continue
            if asked and not any(_is_of(period, one.period) for period in asked for one in own):
                flags.append(Flag("amount", match[0].strip(), _reason(own)))
            elif not any(_is_called(named & cited[one], one) for one in own):
                flags.append(Flag("amount", match[0].strip(), f"its row is “{own[0].row}”"))
            scales = {one.cell.scale for one in own if one.cell.unit != "%"}
            if len(scales) == 1 and (scale := scales.pop()) and not _SCALE.search(sentence):
                text = f"{text[: start + match.end()].rstrip()} {scale}{text[start + match.end() :]}"
    return replace(findings, answer=text, flags=(*findings.flags, *reversed(flags)))


def _cited(findings: Findings, documents: Sequence[Pair]) -> Iterator[tuple[Entry, frozenset[str]]]:
    """Yield the figures of tables in the rows that findings cite, and the terms of all labels of their document."""
    rows: dict[tuple[str, str], list[Citation]] = defaultdict(list)
    for at in findings.citations:
        if "|" in at.quote:
            rows[at.library, at.document].append(at)
    for library, document in documents if rows else ():
        own = rows[library.name, document.path]
        every = list(table.stored(library.figures(document.id))) if own else []
        labels = frozenset().union(*(_labels(one) for one in every)) - terms(document.path)
        for one in every:
            if any(one.position + 1 == at.page and at.start <= one.cell.start < at.end for at in own):
                yield one, labels


def _labels(one: Entry) -> frozenset[str]:
    return terms(f"{one.row} {one.column} {one.cell.section}")


def _is_called(named: frozenset[str], one: Entry) -> bool:
    """Return whether the labels of a figure have half at least of the terms that a question says of labels."""
    own = _labels(one) | terms(one.title) | reading.names(Figure(one.row))
    return 2 * len(named & own) >= len(named)


def _is_of(asked: Period, column: Period | None) -> bool:
    """Return whether a column may be of a period that is asked for."""
    if column is None:
        return False
    if asked.quarter:
        return asked.months is None or column.months in (None, 0, asked.months)
    return asked._replace(months=None if column.months == 0 else asked.months).covers(column)


def _reason(own: Sequence[Entry]) -> str:
    known = dict.fromkeys(str(one.period) for one in own if one.period)
    return f"its table has it for {' and '.join(known)}" if known else "its table does not tell its period"
