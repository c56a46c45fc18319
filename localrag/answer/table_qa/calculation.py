"""Answer a question with a calculation over figures of its passages, each figure cited.

    "The percentage change is −5.3 %, from Net sales: 5,875.0 (2018) and 5,563.7 (2019) [1]."

Only if every figure is under labels that say what the question says. A result stated in the text is left to the model.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, DecimalException, localcontext
from pathlib import PurePosixPath

from localrag.grounding import cells, citations, context
from localrag.grounding.cells import Cell, plain
from localrag.grounding.citations import cite_span, clip, terms
from localrag.grounding.stages import Findings, Prompt, Query, Route
from localrag.quantities import CURRENCY_SIGNS, SCALES, format_number, load_words, phrases
from localrag.question.calculation import Kind, Request
from localrag.store import text_analysis
from localrag.store.text_analysis import sentences
from localrag.types import Citation, Figure, Passage, Working

_MAX_NAME = 90
_MAX_PASSAGES = 24
_MAX_FIGURES = 200  # of one calculation
_WORDS = load_words("localrag.answer", "words.toml")["calculation"]
(_STATES_A_RESULT,) = phrases("localrag.answer", "calculation", "states_a_result")


def answer(query: Query, route: Route, prompt: Prompt, *, short: bool = False) -> Findings | None:
    """Return the calculated answer, or None if the question asks for none or its figures are in doubt.

    If `short`, the answer is the result alone; its working explains it.
    """
    if route.plan.kind == "retrieve":
        # Code reads passages at once, also those that did not fit the prompt.
        more = [hit for hit in route.hits[:_MAX_PASSAGES] if hit not in prompt.passages]
        prompt = replace(prompt, passages=[*prompt.passages, *more])
    passages, request = prompt.passages, query.question.calculation
    found = cells.find(passages) if request is not None else []
    if request is None or not found:
        return None
    language = text_analysis.language(" ".join(passage.text[:4000] for passage in passages))
    from localrag.answer.table_qa.cell_selection import Selector

    about = [" ".join([re.sub(r"[_\-.]", " ", PurePosixPath(one.document).stem), *one.heading]) for one in passages]
    selected = Selector(found, about, language).select(request)
    result = work_out(request.kind, selected) if selected is not None else None
    if selected is None or result is None or _is_stated(request, selected, passages, language):
        return None
    figures = [(cell.text, _cite(passages[cell.passage], cell)) for cell in selected]
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
        return Result(expression, f"{number(rounded(value * 100, 2))} %", value * 100)
    if kind == "ratio":
        return Result(expression, number(rounded(value, 2)), value)
    exponents = (cell.value.as_tuple().exponent for cell in selected)
    places = max([0, *(-exponent for exponent in exponents if isinstance(exponent, int))])
    value = rounded(value, places + 2 if kind == "average" else places)
    unit, scale = next(iter(units), ""), selected[0].scale
    if unit == "%":
        points = "percentage point" if kind in ("change", "decrease", "difference") else "%"
        plural = "s" if points != "%" and abs(value) != 1 else ""
        return Result(expression, f"{number(value)} {points}{plural}", value)
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


def rounded(value: Decimal, places: int) -> Decimal:
    """Round to so many decimals, or to two figures if it is smaller than those show."""
    if value and abs(value) < Decimal(1).scaleb(1 - places):
        places = max(places, 1 - value.adjusted())
    return round(value, places)


def number(value: Decimal) -> str:
    """Return a number with separators, and a minus sign where it is negative."""
    return f"{_MINUS if value < 0 else ''}{format_number(abs(value))}"


def _answer(
    query: Query,
    route: Route,
    prompt: Prompt,
    text: str,
    working: Working,
    figures: Sequence[tuple[str, Citation]],
    kind: str,
) -> Findings:
    """Return a sentence with the markers of its figures, and the working."""
    distinct = list(dict.fromkeys(citation for _, citation in figures))
    markers = [distinct.index(citation) + 1 for _, citation in figures]
    citations = [replace(citation, marker=n) for n, citation in enumerate(distinct, 1)]
    cited = context.placed(citations, prompt.passages, query.libraries)
    shown = tuple(Figure(text, cited[mark - 1].place, mark) for (text, _), mark in zip(figures, markers, strict=True))
    marks = "".join(f"[{mark}]" for mark in sorted(set(markers)))
    return Findings(
        f"{text} {marks}.",
        True,
        route.plan.with_signals(calculated=kind),
        citations=cited,
        context=prompt.context,
        looked_at=prompt.looked_at,
        passages=tuple(context.cited_only(prompt.passages, cited)),
        workings=(replace(working, figures=shown),),
    )


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
    text = re.sub(r"\s?\[\d+\]", "", citations.without_markup(label))
    return text if len(text) <= _MAX_NAME else f"{text[:_MAX_NAME].rsplit(' ', 1)[0]} …"


def _cite(passage: Passage, figure: Cell) -> Citation:
    """Cite the row of a figure, or a part of it."""
    return cite_span(passage, *clip(passage.text, (figure.line, figure.stop), (figure.start, figure.end)))
