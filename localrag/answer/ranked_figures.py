"""Rank or list figures of one line by code: of the parts of a company, or of its years and quarters.

    "Which of Amazon's segments had the highest operating income in Q3 2023?"
    "In which years did Goldman's book value per share fall?"

The parts are all rows, sections or columns of one table that says what they are. Where one of them has no figure that
surely is the one asked for, or two tables tell it otherwise, nothing is claimed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache

from localrag.answer import from_figures
from localrag.answer.from_figures import Found
from localrag.figures import formulas, periods, reading
from localrag.figures.finding import Finder, Match, terms
from localrag.figures.formulas import Figure
from localrag.figures.periods import Period
from localrag.figures.reading import NAME, Asked
from localrag.figures.reports import Report, Reports
from localrag.figures.table import Entry
from localrag.grounding.cells import plain
from localrag.grounding.stages import Findings, Query
from localrag.quantities import SCALES, YEAR
from localrag.question.question import Question

_MOST = re.compile(
    r"\b(?:(?<!at )most(?! (?:recent|likely|of)\b)|top(?! line\b)"
    r"|highest|largest|greatest|biggest|fastest|strongest)\b",
    re.I,
)
_LEAST = re.compile(r"\b(?:(?<!at )least|lowest|smallest|slowest|fewest|weakest)\b", re.I)
_LOSSES = re.compile(r"\blos(?:e|t|s|es|ses)\b|\bin the red\b", re.I)
_MOVES = re.compile(r"\b(?:gr[eo]w|growth|ris[ei]|rose|increas|f[ae]ll|declin|decreas|drop|shr[aiu]nk)", re.I)
_BELOW = re.compile(r"\b(?:below|under|less than|lower than|fewer than)\b", re.I)
_COMPARED = re.compile(r"\b(?:smaller|larger|bigger|higher|lower|greater|less|more|faster|slower|better|worse)\b", re.I)
_ABOVE = re.compile(r"\b(?:exceed(?:ed|s)?|above|over|more than|greater than|higher than|beyond)\b", re.I)
_WHICH = re.compile(r"\b(?:which|what|list|name|rank|how many)\b(?P<kind>(?:\W+[\w-]+){1,8})", re.I)
_RANK = re.compile(r"\brank(?:s|ed|ing)?\b", re.I)
_VERB = re.compile(
    r"\b(?:had|ha[sd]|have|did|does|do|is|are|was|were|saw|with|by|that|whose|brought|made|earned|generated|contributed|posted|reported)\b",
    re.I,
)
# What asks for another than the first, or for less or more than one figure of each part.
_OTHERWISE = re.compile(
    r"\b(?:second|third|fourth|fifth|next|last|two|three|four|\d (?=larg|high|low|small|great)|both|every|exactly"
    r"|excluding|except|without|other than|not|never|average|mean|combined|together|cumulative|at least|at most|twice"
    r"|half|share|relative)\b",
    re.I,
)
# Conditions that are not read: looked for in the whole question, since words of periods are taken out of its content.
_CONDITIONS = re.compile(r"\b(?:between|not|never|but|neither|nor|or|improve\w*|outside|inside)\b", re.I)
_TIMES = re.compile(r"\b(?:(?P<year>years?)|quarters?)\b", re.I)
_WHOLE = re.compile(r"^(?:sub)?total|\btotals?\b|\bconsolidated\b|\beliminat|\bunallocated\b", re.I)
# Parts that a question names together; "products" and "services" may be labels, too.
_SEVERAL = re.compile(r"\b(?:segments|divisions|regions|areas|geographies|countries|categories|quarters)\b", re.I)
_TOGETHER = re.compile(r"\b(?:total|all|sum|combined|foreign)\b", re.I)
_REST = re.compile(r"^(?:all )?others?(?: (?:countries|segments|products|regions|categories|revenues?|sales))?$", re.I)
# Amounts in one table, shares of revenue in the words of people.
_MARGIN = re.compile(r"\bmargins?\b", re.I)
# Words for one kind of parts.
_KINDS = tuple(
    map(
        terms,
        ("region area geography geographic", "segment division business", "category line market"),
    )
)
_PERCENT = re.compile(r"%|\bper ?cent|\brelative|\bproportion", re.I)
_AMOUNT = re.compile(r"\b(?:dollars?|amount)\b", re.I)
_MARKS = re.compile(r"\s?[®™]")
_MAX_PARTS = 30
_YEAR, _QUARTER = 12, 3  # months


@dataclass(frozen=True)
class _Part:
    """A part of a company, or a period: its figure, and for a change the one before it."""

    name: str
    now: Found
    then: Found | None = None

    @property
    def value(self) -> Decimal:
        return self.now.match.value

    @property
    def change(self) -> Decimal:
        return self.value - self.then.match.value if self.then else Decimal(0)

    @property
    def growth(self) -> Decimal | None:
        """The change relative to the figure before; None from nothing or a loss."""
        before = self.then.match.value if self.then else Decimal(0)
        return self.change / before if before > 0 else None


@dataclass(frozen=True)
class _Request:
    """What a question ranks: the name of a line, the words for its parts, and which of them it asks for.

    `months` are those of the periods that are parts, or 0. `most` is None where all parts are listed that moved, or are
    beyond a `bound`, as `direction` says.
    """

    measure: str
    kind: frozenset[str]
    names: frozenset[str]
    months: int
    most: bool | None
    moves: bool
    direction: str
    bound: Decimal | None
    by: tuple[str, ...]


def answer(query: Query, reports: Reports) -> Findings | None:
    """Return the figures of all parts or periods, with those that are asked for; None where one is in doubt."""
    question = Question(query.question.alone)
    if (
        _CONDITIONS.search(question.text)
        or question.asks_whether
        or question.parts
        or query.mode != "auto"
        or query.only.pages
    ):
        return None
    asked = periods.asked(question.text)
    found = reports.called(question.text, query.documents)
    for one in found:
        request = _request(Asked.of(asked, question.kind, question.value, one), asked)
        if request is None:
            return None
        ways = _over_time(request, found, asked.periods) if request.months else _over_parts(request, one, asked.periods)
        told = {first: shown for parts in ways for first, shown in _told(request, parts)}
        if len(told) == 1:
            return _findings(*next(iter(told.items())))
    return None


def asks(text: str) -> bool:
    """Return whether a question is for one or some of several parts, so that the figure of the whole answers it not."""
    which = _WHICH.search(text)
    first = which[0].split()[0].lower() if which else ""
    chooses = which is not None and first in ("which", "list", "rank", "how")
    parts = which is not None and chooses and not terms(which["kind"]).isdisjoint(frozenset().union(*_KINDS))
    times = which is not None and first == "which" and _TIMES.search(which["kind"]) is not None
    text = periods.without(text)  # "the first three quarters of 2023"
    several = _SEVERAL.search(text) is not None and not _TOGETHER.search(text)
    every = any(pattern.search(text) for pattern in (_MOST, _LEAST, _RANK))
    return every or several or times or (parts and " or " not in text)


def _request(asked: Asked, asked_of: periods.Asked) -> _Request | None:
    """Return what a question ranks; None where it ranks nothing, or says more than a line and its parts."""
    text = asked.content
    which, limit = _WHICH.search(text), formulas.AMOUNT.search(text)
    most, least, moves = (pattern.search(text) is not None for pattern in (_MOST, _LEAST, _MOVES))
    direction, bound, lines = reading.direction(text), None, list(asked.lines)
    if _LOSSES.search(text):
        bound, direction, lines = Decimal(0), "less", lines or ["operating income"]
    elif limit:
        bound = Decimal(limit["number"].replace(",", "")).scaleb(SCALES[limit["scale"].lower()])
        direction = "less" if _BELOW.search(text) else "greater"
    over = asked_of.earlier or len(asked_of.periods) == 2
    moves = moves or (over and bool(direction) and not (most or least) and bound is None)
    ends = most or least
    if _LOSSES.search(text) and (ends or limit or _COMPARED.search(text)):
        return None  # a greater loss is a lesser figure
    than = _MOVES.search(text) and _COMPARED.search(text)  # "grew more" is another question than "had more"
    if moves and (least or bound is not None or than or _RANK.search(text)):
        return None
    if (
        _OTHERWISE.search(text)
        or (most and least)
        or len(lines) > 1
        or not (ends or bound is not None or (moves and direction))
    ):
        return None
    rest = _without(text, formulas.AMOUNT, _WHICH, _MOST, _LEAST, _LOSSES, _BELOW, _ABOVE)
    if which is None and _VERB.search(text):
        return None
    words = _without(which["kind"] if which else rest, _MOST, _LEAST)
    stops = (match.start() for pattern in (_VERB, _MOVES, _LOSSES) if which and (match := pattern.search(words)))
    words = words[: min(stops, default=None)]
    kind = terms(words) - terms(" ".join(lines)) - (frozenset() if which else _frame())
    called = (terms(rest) - _frame() - kind) | (terms("share per") & terms(rest))
    if any(map(str.isdigit, YEAR.sub(" ", rest))) or _MARGIN.search(text):
        return None
    measure = lines[0] if lines else " ".join(word for word in rest.split() if terms(word) & called)
    if not measure and moves and which:
        measure = "revenue"
    time = _TIMES.search(words)
    if not measure or not (kind or time) or called - terms(measure) - reading.names(Figure(measure)):
        return None
    months = 0 if time is None else _YEAR if time["year"] else _QUARTER
    by = tuple(name for name, pattern in (("amount", _AMOUNT), ("percent", _PERCENT)) if pattern.search(text))
    return _Request(
        measure=measure,
        kind=kind,
        names=terms(" ".join(NAME.findall(words))) if which else kind,
        months=months,
        most=most == (direction != "less" or not moves) if ends else None,
        moves=moves,
        direction=direction,
        bound=bound,
        by=by,
    )


@cache
def _frame() -> frozenset[str]:
    """The terms of questions that name no figure; "segment" may be what is ranked."""
    return terms(formulas.question_words("plain", "frame")) - terms("segment division")


def _without(text: str, *patterns: re.Pattern[str]) -> str:
    """Return a text without what patterns find in it; of `_WHICH` only the word itself."""
    for pattern in patterns:
        text = pattern.sub(lambda match: f" {match.groupdict().get('kind') or ''} ", text)
    return text


# --- the parts ----------------------------------------------------------------------------------------------


def _over_parts(request: _Request, report: Report, named: Sequence[Period]) -> Iterator[list[_Part]]:
    """Yield the parts in each table of a report that says what they are, if all of them have the figure."""
    dated = [at for one in named if (at := report.dated(one))]
    if not dated or len(dated) < len(named) or len(dated) > 1 + request.moves:
        return
    now, then = dated[-1], dated[0] if len(dated) == 2 else dated[0].before
    tables: dict[tuple[int, str], list[Entry]] = defaultdict(list)
    wanted = (now, then) if request.moves else (now,)
    for entry in (one for entries in report.finder.entries.values() for one in entries):
        if entry.period and any(at.covers(entry.period) for at in wanted):
            tables[entry.position, entry.title].append(entry)
    fitting: dict[int, list[list[_Part]]] = defaultdict(list)
    for (_, title), own in sorted(tables.items()):
        own.sort(key=lambda one: one.cell.start)
        around = terms(" ".join((title, *{f"{one.cell.section} {one.column}" for one in own})))
        common = sum(not around.isdisjoint(_alike(one)) for one in request.kind)
        if common == len(request.kind) and not any(around.isdisjoint(_alike(one)) for one in request.names):
            for by in (_row, _section, _column):
                fitting[common] += _parts(request, report, own, by, now, then)
                if not fitting[common]:
                    del fitting[common]
    for parts in fitting[max(fitting)] if fitting else ():
        if all(request.names.isdisjoint(terms(part.name)) for part in parts):  # "which country of its Europe segment"
            yield parts


def _alike(kind: str) -> frozenset[str]:
    """Return the terms that call the same kind of parts."""
    return next((one for one in _KINDS if kind in one), frozenset((kind,)))


def _row(entry: Entry) -> tuple[str, str]:
    return entry.row.rpartition(": ")[2], f"{entry.cell.section}|{entry.column}"


def _section(entry: Entry) -> tuple[str, str]:
    return entry.cell.section, entry.column


def _column(entry: Entry) -> tuple[str, str]:
    return entry.column, entry.cell.section


def _parts(
    request: _Request,
    report: Report,
    entries: Sequence[Entry],
    by: Callable[[Entry], tuple[str, str]],
    now: Period,
    then: Period,
) -> Iterator[list[_Part]]:
    """Yield the parts of a table by one side of its labels, where each of them has the figure."""
    groups: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[by(entry)[1]].append(entry)
    for own in groups.values():
        names = list(dict.fromkeys(by(entry)[0] for entry in own))
        parts = [name for name in names if terms(name) and not _WHOLE.search(name) and not YEAR.search(name)]
        lines = any(report.finder.names_line(name) for name in parts)
        if 1 < len(parts) <= _MAX_PARTS and len(parts) >= len(names) - 2 and not lines:
            finder = Finder(own, report.finder.encoder)
            made = [_part(request, report, finder, name, now, then) for name in parts]
            found = _without_sums([one for one in made if one])
            if all(made) and len(found) > 1:
                yield found


def _part(request: _Request, report: Report, finder: Finder, name: str, now: Period, then: Period) -> _Part | None:
    def find(at: Period) -> Match | None:
        return finder.find(request.measure, at, terms(name), report.usual)

    match, before = find(now), find(then) if request.moves else None
    if match is None or (request.moves and before is None):
        return None
    return _Part(
        _MARKS.sub("", plain(name)).strip(" :"), Found(match, report), Found(before, report) if before else None
    )


def _without_sums(parts: Sequence[_Part]) -> list[_Part]:
    """Return parts without those that are the sum of others before them."""
    kept: list[_Part] = []
    for part in parts:
        sums = [sum((one.value for one in kept[at:]), Decimal(0)) for at in range(len(kept) - 1)]
        if part.value not in sums:
            kept.append(part)
    return kept


# --- the periods --------------------------------------------------------------------------------------------


def _over_time(request: _Request, reports: Sequence[Report], named: Sequence[Period]) -> Iterator[list[_Part]]:
    """Yield the figures of a line in all years or quarters that the tables of a company's reports have."""
    found: dict[Period, Found] = {}
    lengths = (0, None, _YEAR) if request.months == _YEAR else (0, _QUARTER)
    for report in reports:
        every = {entry.period for entries in report.finder.entries.values() for entry in entries if entry.period}
        for at in sorted({one._replace(months=request.months) for one in every if one.months in lengths}):
            match = report.finder.find(request.measure, at, frozenset(), report.usual)
            if match is None or match.entry.period is None:
                continue
            at = match.entry.period
            known = found.get(at)
            if known is not None and known.match.value != match.value:
                return  # restated
            found[at] = known or Found(match, report)
    between = [one.year for one in named]
    chosen = [at for at in sorted(found) if named and min(between) <= at.year <= max(between)]
    years = sorted({at.year for at in chosen})
    # A longer table elsewhere may have more years, so that they have to be named, and all be there.
    if request.months == _YEAR and len(named) > 1 and years == list(range(min(between), max(between) + 1)):
        before = {at.year: at for at in found}
        parts = [_Part(str(at.year), found[at], found.get(before.get(at.year - 1, at))) for at in chosen]
        yield (
            [one for one in parts if one.then is not one.now]
            if request.moves
            else [replace(one, then=None) for one in parts]
        )


# --- in words -----------------------------------------------------------------------------------------------


def _told(request: _Request, parts: Sequence[_Part]) -> Iterator[tuple[str, list[_Part]]]:
    """Yield the first sentence, and the parts in the order in which they are shown."""
    if len(parts) < 2 or len({one.now.entry.cell.unit for one in parts}) > 1:
        return
    if request.most is None:
        chosen = [one for one in parts if _is_chosen(request, one)]
        if any(_REST.search(one.name) for one in chosen):
            return
        listed = ", ".join(one.name for one in chosen) or "none"
        yield f"{len(chosen)} of {len(parts)}: {listed}.", list(parts)
        return
    if not request.moves:
        ranked = {"": sorted(parts, key=lambda one: one.value, reverse=request.most)}
    elif any(one.growth is None for one in parts):
        return
    else:
        ranked = {
            "by amount": sorted(parts, key=lambda one: one.change, reverse=request.most),
            "in percent": sorted(parts, key=lambda one: one.growth or 0, reverse=request.most),
        }
    if len(request.by) == 1:
        ranked = {words: order for words, order in ranked.items() if request.by[0] in words} or ranked
    alike = any(one[0].value == one[1].value and not request.moves for one in ranked.values())
    if alike or any(_REST.search(one[0].name) for one in ranked.values()):
        return
    firsts = {words: order[0].name for words, order in ranked.items()}
    end = ("greatest" if request.most else "least") if not request.moves or request.direction != "less" else "greatest"
    moved = "fall in " if request.direction == "less" else "growth in "
    what = f"{moved if request.moves else ''}{request.measure}"
    shown = next(iter(ranked.values()))
    if len(set(firsts.values())) == 1:
        words = f", {' and '.join(firsts)}" if request.moves else ""
        yield f"{shown[0].name} has the {end} {what} of {len(parts)}{words}.", shown
    else:
        by = ", ".join(f"{name} {words}" for words, name in firsts.items())
        yield f"Of {len(parts)}, the {end} {what} has {by}.", shown


def _is_chosen(request: _Request, part: _Part) -> bool:
    value, bound = (part.change, Decimal(0)) if request.bound is None else (part.value, request.bound)
    return value > bound if request.direction == "greater" else value < bound


def _findings(first: str, parts: Sequence[_Part]) -> Findings:
    """Return a sentence and the figure of each part, a line each, with their citations."""
    marked = from_figures.numbered(one for part in parts for one in (part.then, part.now) if one)
    lines = []
    for part in parts:
        said = {
            from_figures.when(one): f"{from_figures.amount(one)} [{marked[from_figures.cited(one)].marker}]"
            for one in (part.then, part.now)
            if one
        }
        when = from_figures.when(part.now)
        if part.then:
            grown = "" if part.growth is None else f": {part.growth:+.2%}".replace("%", " %").replace("-", "−")
            told = " to ".join(f"{amount} ({period})" for period, amount in said.items())
            lines.append(f"- {part.name}: {told}{grown}")
        else:
            lines.append(f"- {part.name if part.name == when else f'{part.name}, {when}'}: {said[when]}")
    library, document = parts[0].now.report.pair
    title = library.titles([document.path]).get(document.path, document.path)
    text = "\n".join([first, "", *lines])
    return from_figures.findings_of(text, "each figure", title, tuple(marked.values()))
