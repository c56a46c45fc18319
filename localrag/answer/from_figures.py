"""Answer a question for figures by code: which formula it asks for, over which figures of which document.

    "What was Lifeway's gross margin in 2019?"    22,149 / 93,662 = 23.65 %, with a citation for each figure

It answers only where one company and a period are named, each figure is surely the one that a name calls
(figures/finding.py), and all that the question says of labels is said by theirs; else nothing is claimed, and the
question is read for as any other. Code reads the formula; free wording is read by the model, which writes no number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, DecimalException, localcontext

from localrag.answer.table_qa.calculation import number, rounded
from localrag.figures import formulas, periods, reading
from localrag.figures.finding import DISTINGUISHING, Match, terms
from localrag.figures.formulas import Figure, Node, Operation
from localrag.figures.periods import Period
from localrag.figures.reading import Asked, Reading
from localrag.figures.reports import Report, Reports
from localrag.figures.table import Entry
from localrag.grounding.cells import plain
from localrag.grounding.citations import clip, without_markup
from localrag.grounding.stages import Findings, Query
from localrag.quantities import CURRENCIES, CURRENCY_SIGNS, SCALES, YEAR, format_number
from localrag.question.question import Question
from localrag.store.locations import place_at
from localrag.types import Citation, Plan, Working
from localrag.types import Figure as Shown

_REASON = "Code found {what} in the tables of {document}."
_MINUS = "−"
_JOINTLY = re.compile(r"\b(?:both|either|neither|each|(?<!at )all)\b", re.I)  # of several figures, each on its own
_EITHER = re.compile(r"\bor\b", re.I)  # a choice, to which yes or no is no answer
_MAX_LABEL = 120
_SEASON, _YEAR = 3, 12  # months
_KINDS = frozenset(("look-up", "calculation", "compare", "existence"))
_MONEY = frozenset(CURRENCIES.values())


@dataclass(frozen=True, slots=True)
class Found:
    """A figure of a formula: the entry that its name calls, and the report that has it."""

    match: Match
    report: Report

    @property
    def entry(self) -> Entry:
        return self.match.entry


@dataclass(frozen=True)
class Result:
    """A formula worked out over figures; `values` are those shown, of one scale where they can be."""

    reading: Reading
    found: Mapping[Figure, Found]
    value: Decimal
    values: Mapping[Figure, Decimal]
    expression: str


def answer(
    query: Query, reports: Reports, write: Callable[[str, str], str] | None, *, short: bool = False
) -> Findings | None:
    """Return the answer that figures give; None where they do not, or none is asked for.

    `write` has the model write a formula for a question in the shape of a grammar. If `short`, the answer is the
    figure or the result alone.
    """
    if query.question.kind not in _KINDS or query.question.parts or query.mode != "auto" or query.only.pages:
        return None
    result = solve(query, reports, write)
    return None if result is None else _findings(result, query.question, short)


def solve(
    query: Query, reports: Reports, write: Callable[[str, str], str] | None, *, side: bool = False
) -> Result | None:
    """Return the result of the formula that a question asks for; None where it, or a figure, is in doubt.

    Of one `side` of a comparison it is a figure, whatever the words of the comparison ask for.
    """
    question = Question(query.question.alone)  # by its own words, without those that it is looked up by
    asked = periods.asked(question.text)
    found = reports.called(question.text, query.documents) if asked.periods else []
    found.sort(key=lambda one: not _is_own(asked.periods[-1], one))
    whether = question.asks_whether or (question.kind == "existence" and reading.direction(question.text) != "")
    if whether and _JOINTLY.search(question.text):
        return None
    kind = "look-up" if side else "existence" if whether else question.kind
    whether = whether and not side
    each = [Asked.of(asked, kind, "money" if side else question.value, one) for one in found]
    each = [one for one in each if not one.unknown_names]
    for one in each if not whether else ():
        for own in reading.readings(one):
            if own.single and asked.earlier and (kind == "compare" or reading.moves(question.text)):
                own = reading.over_time(own)
            alone = own.single and len(_distinct(asked.periods, one.report)) != 2
            said = own.stated or alone or one.unknown <= reading.names(own.node)
            if said and not (alone and kind == "compare") and (result := _worked(own, one, found, asked.periods)):
                return result
    if write is None or not each:
        return None
    text = reading.asked_of_model(each[0])
    wrote = write(text, reading.grammar(text, compares=whether))
    for one in each:
        for own in reading.written(wrote, one, compares=whether):
            if _compares_well(own, kind, len(asked.periods)) and (result := _worked(own, one, found, asked.periods)):
                return result
    return None


def _compares_well(own: Reading, kind: str, named: int) -> bool:
    """Return whether the sides of a comparison belong together.

    Of two periods one figure is compared, with an amount that of one period; where it is asked whether, two figures of
    one kind: not earnings with sales in "did it earn more although sales fell?".
    """
    if not own.compares:
        return kind != "compare" or not own.single
    if own.bounded:
        return named == 1
    return reading.one_name(own.node) or (named == 1 and (kind != "existence" or bool(reading.shared_terms(own.node))))


def _is_own(asked: Period, report: Report) -> bool:
    """Return whether a report is about a period: of several that have its figures, its own is read first."""
    at = report.dated(asked)
    return bool(report.period and at and at._replace(months=None).covers(report.period._replace(months=None)))


def _worked(own: Reading, asked: Asked, reports: Sequence[Report], named: Sequence[Period]) -> Result | None:
    """Return the result of a formula if all its figures are found and go together, of all periods that are named."""
    if not own.stated and not reading.names_all(own, asked):
        return None
    named = _distinct(named, asked.report)
    if len(named) == 2:
        own = reading.over_time(own)
    found = _found_in(own, asked.report, reports, named)
    values = {figure: one.match.value for figure, one in found.items()}
    if not found or not _together(own, found, asked) or not _rises(own, values):
        return None
    years = {one.entry.period.year for one in found.values() if one.entry.period}
    several = len(named) > 2 and not all(figure.period for figure in found)
    if several or not {at.year for one in named if (at := asked.report.dated(one))} <= years:
        return None
    shown = values
    if len({one.entry.cell.scale for one in found.values()}) == 1 and not own.bounded:
        scale = SCALES.get(next(iter(found.values())).entry.cell.scale, 0)
        shown = {figure: value.scaleb(-scale) for figure, value in values.items()}
    try:
        with localcontext(prec=28):
            value = formulas.evaluate(own.node, values)
    except DecimalException:
        return None
    told = own.stated or own.labelled
    if asked.value == "share" and abs(value) > 1 and not told and _may_be_share(own, asked):
        return None  # a part and its whole, exchanged
    return Result(own, found, value, shown, formulas.shown(own.node, shown))


def _may_be_share(own: Reading, asked: Asked) -> bool:
    """Return whether what seems to ask for a share can have asked for one by this formula."""
    if own.single:
        return reading.works_out(asked.content)
    return formulas.dimension(own.node) == "ratio" and not _is_change(own.node) and not own.compares


def _found_in(own: Reading, report: Report, reports: Sequence[Report], named: Sequence[Period]) -> dict[Figure, Found]:
    """Return the figures of a formula, one at least of a report, the others of any; empty where one is not there."""
    found: dict[Figure, Found] = {}
    for figure in formulas.figures(own.node):
        for one in (report, *(other for other in reports if other is not report)):
            at = one.dated(_period(figure, named))
            at = at.start if at and figure.began else at
            if own.labelled and at:
                match = one.finder.labelled(figure.name, at, one.usual)
            else:
                match = one.finder.find(figure.name, at, own.also, one.usual, exact=own.single) if at else None
            if match is not None and figure.began and reading.flows(figure.name):
                return {}  # it has no start
            if match is not None:
                found[figure] = Found(match, one)
                break
        else:
            return {}
    return found if any(one.report is report for one in found.values()) else {}


def _distinct(named: Sequence[Period], report: Report) -> Sequence[Period]:
    """Return periods without days on which another of them ends."""
    ends = [(at.year, at.month) for at in (report.dated(one) or one for one in named)]
    return [
        one
        for one, end in zip(named, ends, strict=True)
        if one.months != 0 or not any(end == other and long.months for other, long in zip(ends, named, strict=True))
    ]


def _period(figure: Figure, named: Sequence[Period]) -> Period:
    """Return the period of a figure in a question that names some."""
    if figure.period is not None:
        return next((one for one in named if one.year == figure.period.year), figure.period)
    last = next((one for one in reversed(named) if one.months), named[-1])
    return last if not figure.before else named[0] if len(named) == 2 else last.before


def _together(own: Reading, figures: Mapping[Figure, Found], asked: Asked) -> bool:
    """Return whether figures are those that are asked for: other ones, of a kind, with all that is said of labels."""
    found = [one.entry.cell for one in figures.values()]
    units = {cell.unit for cell in found}
    if own.single and not any(map(str.isdigit, found[0].text)):
        return False  # a dash may stand for what is not reported
    if not all(reading.called_by(figure.name, one.entry) for figure, one in figures.items()):
        return False
    places = {(one.report.pair[1].id, one.entry.position, one.entry.cell.start) for one in figures.values()}
    amounts = (one.entry.cell for one in figures.values() if one.entry.measure == "money")
    unscaled = any(not cell.scale and cell.unit in _MONEY for cell in amounts)
    if len(places) < len(figures) or (asked.report.finder.scaled and unscaled) or ("%" in units and len(units) > 1):
        return False
    labels = " ".join(_labels(one.match) for one in figures.values())
    if own.single and reading.passed_over(own, asked, labels):
        return False
    rows = frozenset().union(*(terms(one.entry.row) for one in figures.values()))
    if not asked.terms & terms(" ".join(DISTINGUISHING)) <= rows:
        return False
    return own.stated or asked.terms - reading.names(own.node) - terms(own.name) <= terms(labels)


def _rises(own: Reading, values: Mapping[Figure, Decimal]) -> bool:
    """Return whether changes can be told: no share of what is not positive, no fall of a loss."""
    if own.compares:  # of losses, less is more
        return own.bounded or all(value >= 0 for value in values.values())
    return _tells_change(own.node, values)


def _tells_change(node: Node, values: Mapping[Figure, Decimal]) -> bool:
    if not isinstance(node, Operation):
        return True
    if _is_change(node):
        return formulas.evaluate(node.right, values) > 0
    same = node.sign == "-" and len({figure.name for figure in formulas.figures(node)}) == 1
    return not same or all(values[figure] >= 0 for figure in formulas.figures(node))


def _is_change(node: Node) -> bool:
    """Return whether a formula is a change relative to a figure: a difference over something."""
    if not isinstance(node, Operation) or node.sign != "/":
        return False
    return isinstance(node.left, Operation) and node.left.sign == "-"


def _labels(match: Match) -> str:
    one = match.entry
    return f"{one.row} {one.column} {one.cell.section} {one.title}"


# --- in words -----------------------------------------------------------------------------------------------


def compared(
    sides: Sequence[tuple[str, Result]], *, lower: bool = False, dated: bool = True
) -> tuple[str, tuple[Citation, ...]]:
    """Return the figures of sides, a line each, and which is greater, or `lower`; with their citations.

    Raises ValueError where they are of several kinds, calculated in several ways, below zero, or of periods that differ
    and that the question has not `dated` for each.
    """
    units = {one.entry.cell.unit for _, result in sides for one in result.found.values()}
    ways = {(result.reading.name, result.reading.unit, result.reading.single) for _, result in sides}
    if len(units) > 1 or not (len(ways) == 1 or all(result.reading.single for _, result in sides)):
        raise ValueError("no figures of one kind")
    marked = numbered(one for _, result in sides for one in result.found.values())
    lines = []
    for name, result in sides:
        also = result.reading.also
        told = [f"{_told(figure, one, also)} [{marked[cited(one)].marker}]" for figure, one in result.found.items()]
        lines.append(f"- {name}: {'' if result.reading.single else f'{_result(result)}, from '}{' and '.join(told)}")
    values = [result.value for _, result in sides]
    if min(values) < 0:
        raise ValueError("a greater loss is a lesser figure")
    ends = [12 * at.year + at.month for _, result in sides for one in result.found.values() if (at := one.entry.period)]
    if not dated and max(ends, default=0) - min(ends, default=0) >= _SEASON:
        raise ValueError("the figures are of periods that differ")
    name, best = (min if lower else max)(sides, key=lambda side: side[1].value)
    node = best.reading.node
    what = best.reading.name or (node.name if isinstance(node, Figure) else "result")
    first = f"{name} has the {'lower' if lower else 'greater'} {what}"
    if values.count(best.value) > 1:
        first = "The figures are equal"
    elif len(values) == 2:
        unit = "points" if best.reading.unit or units == {"%"} else ""
        reading_of = replace(best.reading, unit=unit)
        first += f", by {_result(replace(best, reading=reading_of, value=abs(values[0] - values[1])))}"
    return "\n".join([f"{first}.", "", *lines]), tuple(marked.values())


def _findings(result: Result, question: Question, short: bool) -> Findings:
    citations = {figure: cited(one) for figure, one in result.found.items()}
    marked = numbered(result.found.values())
    library, document = next(iter(result.found.values())).report.pair
    title = library.titles([document.path]).get(document.path, document.path)
    if result.reading.single:
        ((figure, one),) = result.found.items()
        text = _amount(one.match) if short else _told(figure, one, result.reading.also)
        return findings_of(f"{text} [1].", "the figure", title, tuple(marked.values()))
    own = result.reading
    shown = tuple(
        Shown(
            one.entry.cell.text,
            citations[figure].place,
            marked[citations[figure]].marker,
            f"{_label(one.match, figure.name, own.also)}, {when(one)}",
            float(result.values[figure]),
        )
        for figure, one in result.found.items()
    )
    value = _result(result)
    exact = float(formulas.evaluate(own.node, result.values))
    working = Working(result.expression, value, exact, shown, formulas.numbered(own.node))
    told = {figure: _told(figure, one, own.also) for figure, one in result.found.items()}
    listed = {
        figure: f"{_named(figure, words, told.values(), own.compares)} [{marked[citations[figure]].marker}]"
        for figure, words in told.items()
    }
    *most, last = listed.values()
    text = f"The {own.name or 'result'} is {value}"
    if moved := _moved(result):
        text = f"It {moved} by {value.lstrip(_MINUS)}"
    text += f", from {'; '.join(most)} and {last}."
    if own.compares:
        text = _comparison(result, listed, question)
    elif short:
        text = f"{value} {''.join(f'[{one.marker}]' for one in marked.values())}."
    return findings_of(text, "each figure", title, tuple(marked.values()), (working,))


def _named(figure: Figure, words: str, every: Iterable[str], side: str) -> str:
    """Return a figure in words that name it: where another has the same label or, of a `side`, its own lacks a word."""
    label = words.rpartition(":")[0]
    alike = sum(other.rpartition(":")[0] == label for other in every) > 1
    return f"{figure.name}: {words}" if alike or (side and not terms(figure.name) <= terms(label)) else words


def _moved(result: Result) -> str:
    """Return "rose" or "fell" for a change of one figure between two periods; else nothing."""
    node, found = result.reading.node, result.found
    difference = isinstance(node, Operation) and (node.sign == "-" or _is_change(node))
    if not difference or len(found) != 2 or not reading.one_name(node):
        return ""
    ends = {figure: (at.year, at.month) for figure, one in found.items() if (at := one.entry.period)}
    if len(set(ends.values())) != 2:
        return ""
    then, now = sorted(found, key=lambda figure: ends[figure])
    before, after = found[then].match.value, found[now].match.value
    return "" if before == after else "rose" if after > before else "fell"


def _comparison(result: Result, listed: Mapping[Figure, str], question: Question) -> str:
    """Return which side of a comparison is greater, and by how much; yes or no where that is asked."""
    node = result.reading.node
    assert isinstance(node, Operation)
    own = {figure: one.match.value for figure, one in result.found.items()}
    left, right = (formulas.evaluate(side, own) for side in (node.left, node.right))
    difference = _result(result).lstrip(_MINUS)
    if result.reading.bounded:
        share = f"It is {number(rounded(left * 100, 2))} %, from " if result.reading.unit else ""
        text = share or ("It is " if len(own) == 1 else "It comes from ")
    elif left == right:
        text = "The figures are equal: "
    elif (reading.earlier(node.left), reading.earlier(node.right)) in ((True, False), (False, True)):
        earlier, later = (left, right) if reading.earlier(node.left) else (right, left)
        text = f"It {'rose' if later > earlier else 'fell'} by {difference}"
        if formulas.dimension(node) == "ratio":
            scale, unit = (100, " %") if result.reading.unit else (1, "")
            first, last = (f"{number(rounded(one * scale, 2))}{unit}" for one in (earlier, later))
            text = f"{text}, from {first} to {last}"
        elif earlier > 0 and later > 0 and not _in_percent(result):
            text += f" ({number(rounded(abs(left - right) / earlier * 100, 2))} %)"
        text += ", from "
    else:
        high = formulas.figures(node.left if left > right else node.right)[0].name
        text = f"{high[:1].upper()}{high[1:]} is greater by {difference}, from "
    *most, final = listed.values()
    said = f"{text}{'; '.join(most)}{' and ' if most else ''}{final}."
    whether = (question.asks_whether or question.kind == "existence") and not _EITHER.search(question.text)
    direction = reading.direction(question.text)
    # Of a change the question's words alone tell which way is meant; else the model's sign must agree.
    if not whether or not direction or (not reading.earlier(node.right) and direction != result.reading.compares):
        return said
    return f"{'Yes' if left != right and (left > right) == (direction == 'greater') else 'No'}. {said}"


def findings_of(
    text: str, what: str, title: str, citations: tuple[Citation, ...], workings: tuple[Working, ...] = ()
) -> Findings:
    plan = Plan("exact", _REASON.format(what=what, document=title), {"read": "figures"})
    return Findings(text, True, plan, citations=citations, workings=workings)


def _told(figure: Figure, one: Found, also: frozenset[str]) -> str:
    """Return a figure in words: its label, its period and its amount."""
    return f"{_label(one.match, figure.name, also)}, {when(one)}: {_amount(one.match)}"


def cited(one: Found) -> Citation:
    """Cite the row of a figure, or the part of it around the figure."""
    library, document = one.report.pair
    page = library.pages(document.id)[one.entry.position]
    cell = one.entry.cell
    start, end = clip(page.text, (cell.line, cell.stop), (cell.start, cell.end))
    place = place_at(page, start, end)
    quote = page.text[start:end]
    return Citation(library.name, document.path, page.number, page.label, place, quote, start, end, 0, unit=page.unit)


def numbered(found: Iterable[Found]) -> dict[Citation, Citation]:
    """Return the citation of each row with its number, and with the places of the figures that are taken from it."""
    cells: dict[Citation, dict[tuple[int, int], None]] = {}
    for one in found:
        cells.setdefault(cited(one), {})[one.entry.cell.start, one.entry.cell.end] = None
    return {own: replace(own, marker=at, figures=tuple(spans)) for at, (own, spans) in enumerate(cells.items(), 1)}


def _label(match: Match, name: str, also: frozenset[str]) -> str:
    """Return what a figure is called: its row, its column, and the section above it where it has what the row lacks."""
    one = match.entry
    named = not terms(one.row).isdisjoint(reading.names(Figure(name)))
    named = named and not also & terms(one.cell.section) - terms(one.row)
    section = "" if named or YEAR.search(one.cell.section) else one.cell.section.rstrip(": ")
    parts = (section, plain(one.row), one.column)
    text = without_markup(", ".join(dict.fromkeys(part for part in parts if part)))
    return text if len(text) <= _MAX_LABEL else f"{text[:_MAX_LABEL].rsplit(' ', 1)[0]} …"


def when(one: Found) -> str:
    """Return the period of a figure in the words of its column, if these tell it wholly, else in ours.

    Of a fiscal quarter that is none of the calendar its number is said, too.
    """
    entry, at = one.entry, one.entry.period
    words = next((words for words in (entry.cell.column, entry.cell.section, entry.cell.row) if _tells(words, one)), "")
    fiscal = one.report.fiscal(at) if at else ""
    return f"{' '.join(words.split()) or at}{f' ({fiscal})' if fiscal else ''}"


def _tells(words: str, one: Found) -> bool:
    at = one.entry.period
    if not at or one.entry.column or len(words) >= _MAX_LABEL or not periods.of_column(words, (), None):
        return False
    return len(YEAR.findall(words)) == 1 and (at.months in (None, 0, _YEAR) or periods.length(words) is not None)


def _amount(match: Match) -> str:
    """Return a figure with its currency and scale: "$1,178 thousand"."""
    cell = match.entry.cell
    return _money(match.value.scaleb(-SCALES.get(cell.scale, 0)), cell.unit, cell.scale)


def amount(one: Found) -> str:
    """Return a figure with its currency and scale."""
    return _amount(one.match)


def _money(value: Decimal, unit: str, scale: str) -> str:
    if unit == "%":
        return f"{number(value)} %"
    sign = CURRENCY_SIGNS.get(unit, f"{unit} " if unit else "")
    return f"{_MINUS if value < 0 else ''}{sign}{format_number(abs(value))}{f' {scale}' if scale else ''}"


def _in_percent(result: Result) -> bool:
    return all(one.entry.cell.unit == "%" for one in result.found.values())


def _result(result: Result) -> str:
    """Return a result as it is shown: a share in percent, an amount with the currency and scale of the first figure."""
    if result.reading.unit:
        unit = "%" if result.reading.unit == "%" else "percentage points"
        return f"{number(rounded(result.value * 100, 2))} {unit}"
    if _in_percent(result) and isinstance(result.reading.node, Operation) and result.reading.node.sign == "-":
        return f"{number(result.value)} percentage points"
    if not _is_amount(result.reading.node):
        return number(rounded(result.value, 2))
    cells = [one.entry.cell for one in result.found.values()]
    value = result.value.scaleb(-SCALES.get(cells[0].scale, 0))
    places = max(-int(cell.value.as_tuple().exponent) for cell in cells)
    return _money(rounded(value, max(places, 0)), cells[0].unit, cells[0].scale)


def _is_amount(node: Node) -> bool:
    """Return whether a formula gives what its figures are, such as money, and no ratio of them."""
    if isinstance(node, Operation):
        parts = (node.left, node.right)
        return (
            _is_amount(node.left)
            if node.sign in "+-"
            else any(isinstance(part, Decimal) for part in parts)
            and all(isinstance(part, Decimal) or _is_amount(part) for part in parts)
        )
    return isinstance(node, Figure)
