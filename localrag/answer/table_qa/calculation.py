"""Answer a question with a calculation over figures of its passages, each figure cited.

    "The percentage change is −5.3 %, from Net sales: 5,875.0 (2018) and 5,563.7 (2019) [1]."

Only if every figure is under labels that say what the question says. A result stated in the text is left to the model.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, DecimalException, localcontext
from pathlib import PurePosixPath

from localrag import quantities
from localrag.answer import cells, context
from localrag.answer.cells import Cell, plain
from localrag.answer.stages import Prompt, Query, Route
from localrag.answer.table_qa.questions import Kind, Request, parse_question
from localrag.answer.verify import links
from localrag.answer.verify.citations import cite_span, clip, terms
from localrag.quantities import CURRENCY_SIGNS, SCALES, format_number, load_words, phrases
from localrag.store import text_analysis
from localrag.store.sentences import sentences
from localrag.types import Answer, Citation, Figure, Passage, Working

_MAX_NAME = 90
_MAX_PASSAGES = 24
_MAX_FIGURES = 200  # of one calculation
_WORDS = load_words("localrag.answer", "words.toml")["calculation"]
(_STATES_A_RESULT,) = phrases("localrag.answer", "calculation", "states_a_result")


def answer(query: Query, route: Route, prompt: Prompt, *, short: bool = False) -> Answer | None:
    """Return the calculated answer, or None if the question asks for none or its figures are in doubt.

    If `short`, the answer is the result alone; its working explains it.
    """
    if route.plan.kind == "retrieve":
        # Code reads passages at once, also those that did not fit the prompt.
        more = [hit for hit in route.hits[:_MAX_PASSAGES] if hit not in prompt.passages]
        prompt = replace(prompt, passages=[*prompt.passages, *more])
    passages = prompt.passages
    language = text_analysis.language(" ".join(passage.text[:4000] for passage in passages))
    if (dates := end_of_term(query.text, passages, language)) is not None:
        figures = [(at.text, _cite(passages[at.passage], (at.first, at.stop), at)) for at in dates.mentions]
        text = dates.result if short else dates.sentence
        working = Working(dates.expression, dates.result, float(dates.days))
        return _answer(query, route, prompt, text, working, figures, "dates")
    request = parse_question(query.text)
    found = cells.find(passages) if request is not None else []
    if request is None or not found:
        return None
    from localrag.answer.table_qa.cell_selection import Selector

    about = [" ".join([re.sub(r"[_\-.]", " ", PurePosixPath(one.document).stem), *one.heading]) for one in passages]
    selected = Selector(found, about, language).select(request)
    if selected is None or any(passages[cell.passage].text[cell.start : cell.end] != cell.text for cell in selected):
        return None
    result = work_out(request.kind, selected)
    if result is None or _is_stated(request, selected, passages, language):
        return None
    figures = [(cell.text, _cite(passages[cell.passage], (cell.line, cell.stop), cell)) for cell in selected]
    text = result.shown if short else _sentence(query.text, request, selected, result)
    working = Working(result.expression, result.shown, float(result.value))
    return _answer(query, route, prompt, text, working, figures, request.kind)


def _is_stated(request: Request, selected: Sequence[Cell], passages: Sequence[Passage], language: str) -> bool:
    """Whether a sentence states the result for a name in the question that the labels lack."""
    labels = " ".join(f"{cell.row} {cell.column} {cell.section}" for cell in selected)
    named = terms(request.words, language)
    names = " ".join(re.findall(r"(?<=\s)[A-ZÄÖÜ][\w&’'-]*", request.words))
    missing = (terms(names, language) & named) - terms(labels, language)
    if request.kind in ("sum", "average") or not missing:
        return False
    for text in (passage.text[start:end] for passage in passages for start, end in sentences(passage.text)):
        if "|" not in text and _STATES_A_RESULT.search(text) and re.search(r"\d", text):
            own = terms(text, language)
            if missing <= own and 2 * len(named & own) > len(named):
                return True
    return False


_MINUS = "−"


@dataclass(frozen=True, slots=True)
class Result:
    """An expression over figures, its value as shown and as a number."""

    expression: str
    shown: str
    value: Decimal


def work_out(kind: Kind, selected: Sequence[Cell]) -> Result | None:
    """Calculate with figures: the earlier before the later, the part before the whole.

    A change is later less earlier, a decrease the reverse; a percentage change is relative to the earlier (to its size,
    if it was negative and the sign changed); a difference is greater less lesser. The expression shown is the one that
    is computed. None if the figures do not go together: other units, division by zero.
    """
    units = {cell.unit for cell in selected if cell.unit}
    scales = {cell.scale for cell in selected}
    if len(selected) > _MAX_FIGURES or len(units) > 1 or (len(scales) > 1 and kind not in ("share", "ratio")):
        return None
    values = [cell.value for cell in selected]
    if len(scales) > 1:
        values = [cell.value.scaleb(SCALES.get(cell.scale, 0)) for cell in selected]
    expression = _expression(kind, values)
    if expression is None or not any(values):  # dashes alone: not reported, rather than nothing
        return None
    try:
        value = evaluate(expression)
    except DecimalException:
        return None
    if kind in ("percentage change", "percentage decrease", "share"):
        return Result(expression, f"{_number(_round(value * 100, 2))} %", value * 100)
    if kind == "ratio":
        return Result(expression, _number(_round(value, 2)), value)
    exponents = (cell.value.as_tuple().exponent for cell in selected)
    places = max([0, *(-exponent for exponent in exponents if isinstance(exponent, int))])
    value = _round(value, places + 2 if kind == "average" else places)
    unit, scale = next(iter(units), ""), selected[0].scale
    if unit == "%":
        points = "percentage point" if kind in ("change", "decrease", "difference") else "%"
        plural = "s" if points != "%" and abs(value) != 1 else ""
        return Result(expression, f"{_number(value)} {points}{plural}", value)
    sign = CURRENCY_SIGNS.get(unit, f"{unit} " if unit else "")
    minus = _MINUS if value < 0 else ""
    return Result(expression, f"{minus}{sign}{format_number(abs(value))}{f' {scale}' if scale else ''}", value)


def _expression(kind: Kind, values: Sequence[Decimal]) -> str | None:
    shown = [_operand(value) for value in values]
    first, last = values[0], values[-1]
    if kind == "sum":
        return " + ".join(shown)
    if kind == "average":
        return f"({' + '.join(shown)}) / {len(shown)}"
    if kind == "share" and last:
        part = " + ".join(shown[:-1])
        return f"{f'({part})' if len(shown) > 2 else part} / {shown[-1]}"
    if len(values) != 2:
        return None
    one, two = shown
    if kind == "difference":
        return f"{one} − {two}" if first >= last else f"{two} − {one}"
    if kind in ("change", "decrease"):
        return f"{two} − {one}" if kind == "change" else f"{one} − {two}"
    if kind == "percentage decrease":
        return f"({one} − {two}) / {one}" if first else None
    if kind == "percentage change":
        return f"({two} − {one}) / {_operand(abs(first)) if first < 0 < last else one}" if first else None
    return f"{one} / {two}" if last else None


_OPERATORS: Mapping[type[ast.operator], Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Div: operator.truediv,
}


def evaluate(expression: str) -> Decimal:
    """Return the value of an expression of `work_out`, as it is shown. Raises DecimalException on division by zero.

    Python's own parser reads it; its numbers are decimals of 28 digits, and nothing is executed.
    """
    numbers: list[Decimal] = []

    def named(match: re.Match[str]) -> str:
        numbers.append(Decimal(match[0]))
        return f"q{len(numbers) - 1}"

    def value(node: ast.expr) -> Decimal:
        match node:
            case ast.Name(id=name):
                return numbers[int(name[1:])]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -value(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)](value(left), value(right))
        raise AssertionError(f"{expression!r} is made of numbers and signs")

    source = re.sub(r"[\d.]+", named, expression.replace(",", "").replace(_MINUS, "-"))
    with localcontext(prec=28):
        return value(ast.parse(source, mode="eval").body)


def _operand(value: Decimal) -> str:
    return f"({_MINUS}{abs(value):,f})" if value < 0 else f"{abs(value):,f}"


def _round(value: Decimal, places: int) -> Decimal:
    """Round to so many decimals, or to two figures if it is smaller than those show."""
    if value and abs(value) < Decimal(1).scaleb(1 - places):
        places = max(places, 1 - value.adjusted())
    return round(value, places)


def _number(value: Decimal) -> str:
    return f"{_MINUS if value < 0 else ''}{format_number(abs(value))}"


def _answer(
    query: Query, route: Route, prompt: Prompt, text: str, working: Working, figures: Sequence[tuple[str, Citation]],
    kind: str,
) -> Answer:  # fmt: skip
    """Return a sentence with the markers of its figures, and the working."""
    distinct = list(dict.fromkeys(citation for _, citation in figures))
    markers = [distinct.index(citation) + 1 for _, citation in figures]
    citations = [replace(citation, marker=n) for n, citation in enumerate(distinct, 1)]
    cited = context.placed(citations, prompt.passages, query.libraries)
    shown = tuple(Figure(text, cited[mark - 1].place, mark) for (text, _), mark in zip(figures, markers, strict=True))
    marks = "".join(f"[{mark}]" for mark in sorted(set(markers)))
    return Answer(
        query.text, f"{text} {marks}.", True, route.plan.with_signals(calculated=kind),
        citations=cited, context=prompt.context, looked_at=prompt.looked_at,
        passages=tuple(context.cited_only(prompt.passages, cited)), workings=(replace(working, figures=shown),),
    )  # fmt: skip


def _sentence(question: str, request: Request, selected: Sequence[Cell], result: Result) -> str:
    language = text_analysis.language(question)
    words = _WORDS.get(language, _WORDS["english"])
    joint, name = words["and"], words.get(request.kind, request.name)
    years = {cell.years for cell in selected if len(cell.years) == 1}
    if len({(cell.row, cell.table) for cell in selected}) == 1 and len(years) == len(selected):
        *values, last = (f"{cell.text} ({next(iter(cell.years))})" for cell in selected)
        lead, between, joint = f"{_shorten(plain(selected[0].row))}: ", ", ", f" {joint} "
    else:
        *values, last = (f"{_shorten(cell.name)}: {cell.text}" for cell in selected)
        lead, between, joint = "", "; ", f"; {joint} "
    figures = joint.join([between.join(values), last] if values else [last])
    return str(words["sentence"]).format(name, result.shown, lead + figures)


def _shorten(label: str) -> str:
    """Return a label without what reads as a citation's number or a Markdown link, cut to a length."""
    text = re.sub(r"\s?\[\d+\]", "", links.without_markup(label))
    return text if len(text) <= _MAX_NAME else f"{text[:_MAX_NAME].rsplit(' ', 1)[0]} …"


def _cite(passage: Passage, span: tuple[int, int], figure: Cell | Mention) -> Citation:
    """Cite the row or sentence of a figure, or a part of it."""
    return cite_span(passage, *clip(passage.text, span, (figure.start, figure.end)))


# --- ends of terms ------------------------------------------------------------------------------------------

_ENOUGH = 0.6  # the share of the words for a thing that the sentence of its term must have
_PATTERNS = {
    name: tuple(quantities.lazy_re(line, re.I) for line in lines)
    for name, lines in quantities.load_patterns("localrag.answer.table_qa", "dates.txt").items()
}
_TERMS = _PATTERNS["terms"]
_END, _STATED_END, _STARTS = (_PATTERNS[name][0] for name in ("end", "stated_end", "starts"))


@dataclass(frozen=True, slots=True)
class Mention:
    """A date in a passage with one reading: half-open offsets, and those of its sentence (`first`, `stop`)."""

    passage: int
    start: int
    end: int
    first: int
    stop: int
    text: str
    day: date


@dataclass(frozen=True, slots=True)
class DateResult:
    """The dates used, the expression, the result in short, in days, and as a sentence without its full stop."""

    mentions: tuple[Mention, ...]
    expression: str
    result: str
    days: int
    sentence: str


def end_of_term(question: str, passages: Sequence[Passage], language: str) -> DateResult | None:
    """Return the end of what a question names, or None if it asks for none or its end is in doubt or in no calendar.

    A term is added to its start only if one sentence gives both and no sentence states the end.
    """
    match = _END.match(" ".join(question.split()).rstrip("?.! "))
    if match is None:
        return None
    common = text_analysis.COMMON.get(language, text_analysis.COMMON["english"]) | {"date", "day"}

    def terms(text: str) -> frozenset[str]:
        tokens = text_analysis.tokens(text, language)
        return frozenset(token.term for token in tokens if token.word not in common and token.word.isalpha())

    wanted = terms(match["what"])
    found: list[tuple[Mention, int, str]] = []
    for mention in _mentions(passages):
        passage = passages[mention.passage]
        before, sentence = passage.text[mention.first : mention.start], passage.text[mention.first : mention.stop]
        term = next((match for pattern in _TERMS if (match := pattern.search(sentence))), None)
        if term is None:
            if _STATED_END.search(sentence) and wanted & terms(sentence):
                return None  # the end itself seems to be stated
            continue
        about = terms(f"{sentence} {re.sub(r'[_.-]', ' ', passage.document)}")
        if not wanted or len(wanted & about) < _ENOUGH * len(wanted):
            continue
        if _STARTS.search(before) and (count := _count(term)):
            found.append((mention, count, term["unit"].lower()))
        elif _STATED_END.search(before):
            return None
    if len({(mention.day, count, unit) for mention, count, unit in found}) != 1:
        return None
    mention, count, unit = found[0]
    try:
        last = quantities.shift_date(mention.day, count, unit)
    except OverflowError:
        return None
    length, start = quantities.plural(count, unit), quantities.format_date(mention.day)
    return DateResult(
        (mention,), f"{start} + {length}", quantities.format_date(last), (last - mention.day).days,
        f"{length} after {start} is {quantities.format_date(last)}",
    )  # fmt: skip


def _mentions(passages: Sequence[Passage]) -> Iterator[Mention]:
    for at, passage in enumerate(passages):
        spans = sentences(passage.text)
        for found in quantities.find_dates(passage.text):
            if found.certain is not None:
                first, stop = next(((a, b) for a, b in spans if a <= found.start < b), (found.start, found.end))
                span = found.start, found.end, first, max(stop, found.end)
                yield Mention(at, *span, found.text, found.certain)


def _count(term: re.Match[str]) -> int:
    groups = term.groupdict()
    if digits := groups.get("digits") or groups["plain"]:
        return int(digits)
    found = next(quantities.find_number_words(term["word"]), None)
    return found.value if found is not None and found.end - found.start == len(term["word"]) else 0
