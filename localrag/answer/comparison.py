"""Answer a question that compares documents or years: ask each side by itself, put the answers side by side.

A small model that sees the passages of two plans gives one the figure of the other. So each side has its own search, in
its own documents, and its own answer with its quotes; code computes the difference.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from localrag import quantities
from localrag.answer import decomposition, survey_table
from localrag.events import Event, Surveyed
from localrag.grounding import cells, prompts
from localrag.grounding.cells import Cell
from localrag.grounding.stages import Findings, Query, Route
from localrag.items import values
from localrag.quantities import (
    CURRENCY_SIGNS,
    QUANTITY,
    SCALES,
    Quantity,
    lazy_re,
    load_words,
    parse_quantity,
)
from localrag.question.comparison import YEAR, Side, keys_of
from localrag.question.question import Question
from localrag.types import Citation, Figure, Passage, Working

_WORDS = load_words("localrag.answer", "words.toml")
# The years that a quote names ("2022/23", "FY23"), and the words before a date that is that of a document.
_YEARS = lazy_re(r"(?<!\d)(?:\bFY ?['’]?((?:20)?\d\d)|((?:19|20)\d\d))(?:[/–-](?:20)?(\d\d))?(?!\d)", re.I)
_DATED = lazy_re(r"(?:\bdated|\beffective|(?<!\bas )\bof|\bfrom|\bsince) $", re.I)
_QUOTED = re.compile("“[^”]*”")
_MARKER = re.compile(r"\s*\[\d{1,3}\]")


# --- asking each side ---------------------------------------------------------------------------------------


def answer(query: Query, route: Route, answer_part: decomposition.AnswerPart) -> Generator[Event, None, Findings]:
    """Ask each side in turn, and put what was found into a row each."""
    answers: list[Findings] = []
    for number, side in enumerate(route.sides, 1):
        if query.stop():
            break
        lead = "\n" * bool(answers) + f"- {side.name}: "
        found = yield from decomposition.led(answer_part(_side_query(query, side), Route(route.plan)), lead)
        # Stopped before a word is not the same as nothing found.
        if found.found or not query.stop():
            answers.append(_of_its_year(side, found))
            yield Surveyed(number, len(route.sides), _row(side, answers[-1]))
    return _joined(route, decomposition.renumbered(answers))


def _side_query(query: Query, side: Side) -> Query:
    """Return the question to one side, in its documents, without what was said of others before."""
    only = replace(query.only, these=tuple(keys_of(side.documents))) if side.documents else query.only
    question = Question(side.question, documents=query.documents, search_text=side.question)
    return replace(query, question=question, only=only, mode="retrieve")


def _of_its_year(side: Side, findings: Findings) -> Findings:
    """Return findings about a year as none where its quotes name other years alone; they then only come near."""
    text = rest = " ".join(citation.quote for citation in findings.citations)
    for day in reversed(list(quantities.find_dates(text))):
        if _DATED.search(text[max(0, day.start - 20) : day.start]):  # "the lease of 1 March 2021"
            rest = rest[: day.start] + rest[day.end :]
    if side.documents or not _years(rest) or side.name in _years(text):
        return findings
    near = tuple(replace(citation, marker=0) for citation in findings.citations)
    return replace(findings, answer=prompts.NOT_FOUND, found=False, citations=(), nearest=near)


def _years(text: str) -> set[str]:
    """Return the years that a text names; "2022/23" names two, "FY23" is 2023."""
    found = set[int]()
    for fiscal, year, following in _YEARS.findall(text):
        first = int(year or f"20{fiscal[-2:]}")
        found |= {first, first + 1} if following and int(following) == (first + 1) % 100 else {first}
    return {str(year) for year in found}


def _joined(route: Route, answers: Sequence[Findings]) -> Findings:
    """Return the answers in a line and a row each, under what they differ by, or what they were asked."""
    sides = list(zip(route.sides, answers, strict=False))
    working, head = difference([(side.name, side.question, one) for side, one in sides]) or (None, "")
    if len(answers) < len(route.sides):
        head = f"{len(answers)} of {len(route.sides)} sides were asked."
    elif not head:
        head = f"Each was asked by itself: “{route.sides[0].question}”"
    rows = [_row(side, one) for side, one in sides]
    long = any(len(row["answer"]) > survey_table.MAX_CELL for row in rows)  # then the lines are shown, and no table
    lines = [
        f"- {side.name}: {(one.answer if long else _flat(one)) if one.found else _nothing(one)}" for side, one in sides
    ]
    whole = decomposition.joined(route.plan, answers, len(route.sides), "\n".join([head, *lines]))
    return replace(
        whole,
        table=tuple(rows),
        workings=(*whole.workings, *([working] if working else [])),
        looked_at=" ".join(f"{side.name}: {one.looked_at}" for side, one in sides if one.looked_at),
    )


def _row(side: Side, answer: Findings) -> dict[str, Any]:
    """Return a row with the columns of a survey, and the side's name."""
    at = answer.citations[0] if answer.found and answer.citations else None
    claims = answer.found and answer.sure
    why_not = "the words that support it were not found" if claims else _nothing(answer)
    library, document = (side.documents[0][0].name, side.documents[0][1].path) if len(side.documents) == 1 else ("", "")
    return {
        "side": side.name,
        "library": at.library if at else library,
        "document": at.document if at else document,
        "found": claims,
        "answer": _MARKER.sub("", _flat(answer)) if claims else "",
        "place": at.place if at else "",
        "quote": at.quote if at else "",
        "read": "passages",
        "likelihood": None if answer.confidence is None else round(answer.confidence, 3),
        "why_not": "" if at and claims else why_not,
        **{name: getattr(at, name, None) for name in ("page", "start", "end")},
    }


def _flat(answer: Findings) -> str:
    return " ".join(answer.answer.split())


def _nothing(answer: Findings) -> str:
    return "withheld in strict mode" if answer.withheld else "not clear" if answer.found else "nothing found"


# --- the difference of two answers -------------------------------------------------------------------------

_COUNTED = re.compile(r"\b(?:how many|number of)\b", re.I)
_RATES = quantities.by_word(_WORDS["rates"])
_RATE = re.compile(
    rf"\s{{0,9}}\(?(?:(?:\bper\s|(?<!and)/\s?)(?!the\b|cent\b)((?:(?:square|cubic)\s)?[^\W\d]\w{{0,40}})"
    rf"|\b(?:1|an?|each|every)\s({'|'.join(values.DAYS)})\b|\b({'|'.join(map(re.escape, _RATES))})(?!\w))",
    re.I,
)
_SENTENCE = re.compile(r"[.;!?]\s|[\n|]")
_LARGE = ((9, " billion"), (6, " million"))


def difference(sides: Sequence[tuple[str, str, Findings]]) -> tuple[Working, str] | None:
    """Return how far the figures of two sides (name, question, answer) are apart, and that in words.

    None unless each gives one figure that its citations have, both in units that convert and for the same.
    """
    found = [figure for name, question, one in sides if (figure := _figure(name, question, one)) is not None]
    if len(sides) != 2 or len(found) != 2:
        return None
    (one, rate, first), (two, other, second) = found
    same = quantities.convert(two, one.unit)
    if same is None or rate != other:
        return None
    value = one.value - same.value
    result = _shown(Quantity(abs(value), "percentage points" if one.unit == "%" else one.unit))
    words = f"{sides[0 if value > 0 else 1][0]} has the greater figure, by {result}."
    shown = [_shown(one), _shown(two)] if value >= 0 else [_shown(two), _shown(one)]
    working = Working(" − ".join(shown), result, float(abs(value)), (first, second))
    return working, words if value else "Both figures are the same."


def _figure(name: str, question: str, answer: Findings) -> tuple[Quantity, frozenset[str], Figure] | None:
    """Return the one figure of an answer and what it is for ("month", "loss"), as a citation has it.

    That of a side that is a year must be in a text or cell of that year.
    """
    asked, stated = _quantities(question), _quantities(_MARKER.sub("", _QUOTED.sub("", answer.answer)))
    figures = [one for one in stated if one not in asked]
    figures = [one for one in figures if one.unit] or (figures if _COUNTED.search(question) else [])
    if not (answer.found and answer.sure) or len(figures) != 1:
        return None
    (figure,) = figures
    for at in answer.citations:
        table = [cell for cell in cells.find(answer.passages) if _holds(at, answer.passages[cell.passage], cell)]
        there = _quantities(at.quote)
        alone = "|" not in at.quote or [one.unit for one in there].count(figure.unit) == 1
        if not table and figure in there and alone and (not YEAR.fullmatch(name) or name in at.quote):
            return figure, there[figure] | stated[figure], Figure(_shown(figure), at.place, at.marker)
        for cell in table:
            whole = Quantity(cell.value.scaleb(SCALES.get(cell.scale, 0)), cell.unit)
            of_year = not YEAR.fullmatch(name) or int(name) in cell.years
            if of_year and figure.unit == whole.unit and figure.value in (cell.value, whole.value):
                return whole, stated[figure] | _rates(cell.name), Figure(cell.text, at.place, at.marker)
    return None


def _holds(at: Citation, passage: Passage, cell: Cell) -> bool:
    same = (at.library, at.document, at.page) == (passage.library, passage.document, passage.page)
    return same and at.start <= passage.start + cell.start < at.end


def _quantities(text: str) -> dict[Quantity, frozenset[str]]:
    """Return the quantities of a text, each with what its sentence says it is for: of "EUR 500 a month" the "month"."""
    text, end, found = values.in_digits(text), 0, dict[Quantity, frozenset[str]]()
    matches: list[re.Match[str]] = []
    for match in QUANTITY.finditer(text):
        if match.start() >= end:
            rate = _RATE.match(text, match.end())
            end = rate.end() if rate else match.end()
            matches.append(match)
    last = 0
    for match, following in zip(matches, [*(one.start() for one in matches[1:]), len(text)], strict=False):
        quantity, rate = parse_quantity(match), _RATE.match(text, match.end())
        before, after = _SENTENCE.split(text[last : match.start()])[-1], _SENTENCE.split(text[match.end() : following])
        found[quantity] = _rates(before) | _rates(after[0])
        last = (rate.end() if rate else match.end()) if quantity.unit else last
    return found


def _rates(text: str) -> frozenset[str]:
    words = (next(filter(None, found.groups())).lower() for found in _RATE.finditer(text))
    return frozenset(_RATES.get(word, word) for word in words)


def _shown(quantity: Quantity) -> str:
    """Format a quantity as people write it: "$2.5 million", "30 days"."""
    if not quantity.is_money:
        return str(quantity)
    power, scale = next(((n, word) for n, word in _LARGE if abs(quantity.value) >= 10**n), (0, ""))
    sign = CURRENCY_SIGNS.get(quantity.unit, f"{quantity.unit} ")
    return f"{sign}{quantities.format_number(quantity.value.scaleb(-power))}{scale}"
