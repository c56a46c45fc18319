"""Read which formula a question asks for: one that it states, a ratio by its name, a calculation, or one figure.

What is left is read by the model, in the words and signs of formulas.py; it writes no number that the question lacks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache, cached_property

from localrag.figures import formulas, periods, table
from localrag.figures.finding import DISTINGUISHING, frame_terms, terms
from localrag.figures.formulas import Figure, Node, Operation, figures, flat
from localrag.figures.periods import Period
from localrag.figures.reports import Report
from localrag.figures.table import Entry
from localrag.quantities import YEAR, years
from localrag.question import calculation, lookup
from localrag.question.calculation import Request
from localrag.question.kinds import Kind, Value

_BOUND = re.compile(
    r"\bhal[fv]|\b(?:doubl|tripl|twice|thrice|third|quarter|fifth|tenth|times\b|tenfold)|\d\s?(?:%|per ?cent)", re.I
)
_MOVES = re.compile(r"\b(?:f[ae]ll|drop|declin|decreas|r[io]se|grow|grew|increas|chang|mov|up\b|down\b)", re.I)
_VERSUS = re.compile(r"\b(?:vs|versus|compared)\b", re.I)
_WITHOUT = re.compile(r"\b(?:exclud|exclusive|without|except|ex\b)", re.I)
_LEAST_AMOUNT = 1000  # what a figure is compared with has a scale
_DAYS = re.compile(r"\b(36[0-6]|9[0-2])[\s-]{0,3}d(?:ays?)?\b")
_PERCENT = re.compile(
    r"%|\bper ?cent|\bshare\b|\bproportion\b|\bportion\b|\bfraction\b|\bmargin\b|\brate\b|\bgrow", re.I
)
_RATIO = re.compile(r"\bratio\b|\btimes\b|\bmultiple\b|\bfor (?:each|every)\b", re.I)
_COMPOUND = re.compile(r"\bcagr\b|\bcompound(?:ed)? (?:annual|yearly)\b", re.I)
_CHANGES = re.compile(r"\b(?:chang|differ|increas|decreas)", re.I)
_PER_UNIT = re.compile(r"\bper\b", re.I)
_PER_SHARE = re.compile(r"\bper (?:\w+ )?share\b|\bshares\b", re.I)
NAME = re.compile(r"(?<=[\w,’'] )[A-Z][\w&-]+")
_SPENDS = re.compile(r"\b(?:spen[dt]|invest|purchas|bought|buy|put|la(?:y|id)|pa(?:y|id))", re.I)
# What makes a calculation of a question, whatever kind its words seem to be of.
_WORKED_OUT = re.compile(
    r"%|\bper ?cent|\b(?:share|proportion|portion|fraction|margin|rate|ratio|times|multiple|average|mean|sum)\b"
    r"|\b(?:grow|chang|increas|decreas|declin|differ|rise|rose|fall|fell|drop|exceed|more|less|higher|lower|than|minus)",
    re.I,
)
_PART = re.compile(r"\b(?:share|proportion|portion|fraction|margin|ratio|average|mean|points?)\b", re.I)
_FALL = re.compile(r"\b(?:shr[iua]nk|f[ae]ll|drop|declin|decreas|low|reduc|less|smaller|fewer|below|down\b)", re.I)
_RISE = re.compile(r"\b(?:r[io]se|grow|grew|increas|more\b|high|great|larger|bigger|exceed|above|up\b|gain)|>", re.I)


@dataclass(frozen=True, slots=True)
class Reading:
    """A formula that a question may ask for.

    Attributes:
        name: what it is called ("gross margin"), if it has a name.
        unit: "%" where the result is a share, "points" where it is the difference of two.
        also: terms that the labels of each figure must have besides its name ("Services").
        stated: whether the question has its words, so that the rest of the question need not be among the labels.
        compares: "greater" or "less", where the question compares the two sides of its difference.
        labelled: whether its figure is called by the whole label of a row, and the question has no other label.
    """

    node: Node
    name: str = ""
    unit: str = ""
    also: frozenset[str] = frozenset()
    stated: bool = False
    compares: str = ""
    labelled: bool = False

    @property
    def bounded(self) -> bool:
        """Whether it compares with an amount of the question."""
        return self.compares != "" and isinstance(self.node, Operation) and not figures(self.node.right)

    @property
    def single(self) -> bool:
        """Whether it is one figure, and no calculation."""
        return isinstance(self.node, Figure)


@dataclass(frozen=True)
class Asked:
    """A question for a figure of one report, without the names of its company and with the years of its periods.

    `content` leaves out how it is to be answered; `value` is the kind of value that it asks for.
    """

    text: str
    content: str
    kind: Kind
    value: Value
    report: Report

    @classmethod
    def of(cls, asked: periods.Asked, kind: Kind, value: Value, report: Report) -> Asked:
        text = formulas.whole(asked.text)
        content = table.without_statements(lookup.read(text, ("english",)).text)
        return cls(_nameless(text, report), _nameless(content, report), kind, value, report)

    @property
    def said(self) -> frozenset[str]:
        """The terms of labels that the question says whole."""
        return self.report.finder.said(_split(self.content)) - self.frame

    @property
    def terms(self) -> frozenset[str]:
        """The terms that labels of the document have, too."""
        return (terms(_split(self.content)) - self.frame) & self.report.finder.vocabulary

    @cached_property
    def unknown(self) -> frozenset[str]:
        """The terms that neither labels nor lines have: they may name a part, a condition or another thing."""
        return (
            terms(_split(self.content))
            - self.report.finder.vocabulary
            - self.frame
            - _known_names()
            - terms(formulas.question_words("spent", "earned"))
        )

    @cached_property
    def lines(self) -> dict[str, formulas.Line]:
        """The lines of statements that it names, by their names in it, the longest of those that overlap."""
        words, found = f" {flat(self.content)} ", {}
        for name in sorted(formulas.lines(), key=len, reverse=True):
            for form in (name, f"{name}s"):
                if f" {form} " in words:
                    words = words.replace(f" {form} ", " | ")
                    found[name] = formulas.lines()[name]
        return found

    @property
    def unknown_names(self) -> frozenset[str]:
        """Those of the unknown terms that have a capital inside the question."""
        return self.unknown & terms(" ".join(NAME.findall(self.content)))

    @cached_property
    def frame(self) -> frozenset[str]:
        """The terms that name no figure; a share of the whole is none, a share of stock is."""
        frame = frame_terms() | terms(" ".join(self.report.names))
        return frame if _PER_SHARE.search(self.content) else frame | terms("share per")


@cache
def _known_names() -> frozenset[str]:
    return terms(" ".join((*formulas.lines(), *formulas.ratios())))


def _nameless(text: str, report: Report) -> str:
    pattern = "|".join(map(re.escape, sorted(report.names, key=len, reverse=True)))
    found = re.sub(rf"\b(?:{pattern})(?:[’']s?)?(?=\W|$)", " ", text, flags=re.I) if pattern else text
    return " ".join(found.split())


def _split(text: str) -> str:
    """Return a text without hyphens, whose words are terms by themselves: "share-based"."""
    return text.replace("-", " ")


def over_time(own: Reading) -> Reading:
    """Return a formula of one period as the comparison with the period before; one of two periods as it is."""
    if own.compares or any(one.before or one.began or one.period for one in figures(own.node)):
        return own
    unit = "points" if own.unit == "%" else ""
    return replace(own, node=Operation("-", own.node, formulas.before(own.node)), unit=unit, compares="greater")


def names_all(own: Reading, asked: Asked) -> bool:
    """Return whether a formula has all the lines of statements that the question names."""
    called = figures(own.node)
    return all(
        any(_line(one) == line or terms(name) <= terms(f"{one.name} {own.name}") | own.also for one in called)
        for name, line in asked.lines.items()
    )


# --- by code ------------------------------------------------------------------------------------------------


def readings(asked: Asked) -> Iterator[Reading]:
    """Yield the formulas that a question may ask for, the one that it states itself first."""
    words = f" {flat(asked.content)} "
    ratios = formulas.ratios()
    named = [name for name in sorted(ratios, key=len, reverse=True) if f" {name} " in words]
    stated = [node for node in formulas.in_words(asked.text) if all(_known(one, asked) for one in figures(node))]
    for node in stated:
        also = _also(node, asked) - terms(" ".join(named))
        if formulas.dimension(node):
            yield Reading(node, "", _unit(node, asked), also, stated=True)
    if stated:
        return
    label = asked.report.finder.label(asked.content)
    if labelled := label and _by_label(label, asked):
        yield labelled
    if label not in (*formulas.lines(), *ratios) and any(name in label for name in asked.lines):
        return  # "equity investments" are no equity
    if _COMPOUND.search(asked.content):
        yield from _compound(asked)
        return
    # "Gross margin" is an amount, too.
    if named and (asked.kind == "calculation" or asked.value != "money" or named[0] not in formulas.lines()):
        amount = not ratios[named[0]].unit and asked.report.finder.has(named[0])
        if amount:  # the company has its own definition
            yield Reading(Figure(named[0]), named[0], also=_also(Figure(named[0]), asked) - terms(named[0]))
            return
        for formula in ratios[named[0]].formulas:
            ratio, made = ratios[named[0]], formulas.parse(formula.replace("days", _days(asked)))
            if made is not None:
                yield Reading(made, ratio.name, ratio.unit, _also(made, asked) - terms(named[0]))
    elif (request := calculation.parse(asked.content)) is not None:
        for reading in _of_request(request, asked.content):
            if _fits(reading.node, asked):
                yield replace(reading, also=_also(reading.node, asked))
    elif growth := _growth(asked, words):
        yield growth
    else:
        yield from _single(asked, words)


def _growth(asked: Asked, words: str) -> Reading | None:
    """Return the change in percent of the one line that a question names, if it says that it moves by a share."""
    if len(asked.lines) != 1 or not (asked.value == "share" or _PERCENT.search(words)):
        return None
    (name,) = asked.lines
    rest = words.replace(f" {name} ", " | ")
    if not _MOVES.search(rest) or _PART.search(rest):
        return None
    now, then = Figure(name), Figure(name, True)
    falls = direction(asked.content) == "less"
    node = Operation("/", Operation("-", then, now) if falls else Operation("-", now, then), then)
    return Reading(node, "percentage decrease" if falls else "percentage change", "%", _also(now, asked) - terms(name))


def _by_label(label: str, asked: Asked) -> Reading | None:
    """Return the figure of the rows with a label that a question says whole, if it says nothing else of labels."""
    return Reading(Figure(label), labelled=True) if len(label.split()) > 1 else None


def _compound(asked: Asked) -> Iterator[Reading]:
    """Yield the growth a year of a line between two years: (now / then) ^ (1 / years) - 1."""
    between = sorted(years(asked.content))
    if len(between) == 2 and len(asked.lines) == 1:
        then, now = (Figure(next(iter(asked.lines)), False, Period(year)) for year in between)
        root = Operation("/", Decimal(1), Decimal(between[1] - between[0]))
        node = Operation("-", Operation("^", Operation("/", now, then), root), Decimal(1))
        yield Reading(node, "compound annual growth rate", "%", _also(node, asked))


def _also(node: Node, asked: Asked) -> frozenset[str]:
    """Return the terms of labels that a question says besides the figures of a formula, such as a part ("Products")."""
    own = frozenset().union(*(terms(figure.name) for figure in figures(node)))
    parts = frozenset(term for term in names(node) - own if asked.report.finder.has(term) and term not in _lone())
    return asked.said - (names(node) - parts)


@cache
def _lone() -> frozenset[str]:
    """The terms that alone are the name of a line, such as "revenue"."""
    found = (terms(name) for name in formulas.lines())
    return frozenset(term for one in found if len(one) == 1 for term in one)


def _known(figure: Figure, asked: Asked) -> bool:
    """Return whether the document or the lines of statements have a word of a figure's name."""
    return bool(terms(figure.name) & asked.report.finder.vocabulary) or flat(figure.name) in formulas.lines()


def _days(asked: Asked) -> str:
    """Return the days that a question counts a period as, else those of a year; "?" where neither is known."""
    said = _DAYS.search(asked.text)
    return said[1] if said else "365" if asked.report.usual == 12 else "?"


def _unit(node: Node, asked: Asked) -> str:
    if not isinstance(node, Operation) or _RATIO.search(asked.content):
        return ""
    if node.sign == "-" and all(isinstance(part, Operation) and part.sign == "/" for part in (node.left, node.right)):
        return "points"
    return "%" if node.sign == "/" and _PERCENT.search(asked.content) else ""


def _single(asked: Asked, words: str) -> Iterator[Reading]:
    """Yield the one figure that a question names, by the name of a line or by the words that labels have."""
    if asked.lines:
        name, line = next(iter(asked.lines.items()))
        figure = Figure(line.of_period if line.of_period and _SPENDS.search(words) else name)
        yield Reading(figure, name, also=_also(figure, asked) - terms(name))
        return
    if asked.value == "yes or no":
        return
    kept = [word for word in YEAR.sub(" ", asked.content).split() if terms(word) & asked.terms]
    name = " ".join(kept)
    if kept and (asked.kind != "calculation" or asked.report.finder.has(name)):
        yield Reading(Figure(name))


def _of_request(request: Request, content: str) -> Iterator[Reading]:
    """Yield the formulas of a calculation that a question asks for; none of a change of averages."""
    if len(request.subjects) == 1:
        now, then = Figure(request.subjects[0]), Figure(request.subjects[0], True)
        every = [Figure(request.subjects[0], False, Period(year)) for year in request.years]
        if request.kind in ("average", "sum") and not _CHANGES.search(content):
            total: Node = every[0] if every else now
            for one in every[1:]:
                total = Operation("+", total, one)
            if len(every) > 1:
                divided = Operation("/", total, Decimal(len(every)))
                yield Reading(divided if request.kind == "average" else total, request.name)
            return
        if len(request.years) == 2:
            now, then = (Figure(request.subjects[0], False, Period(year)) for year in reversed(request.years))
        nodes = {
            "percentage change": Operation("/", Operation("-", now, then), then),
            "percentage decrease": Operation("/", Operation("-", then, now), then),
            "change": Operation("-", now, then),
            "decrease": Operation("-", then, now),
        }
        if request.kind in nodes:
            yield Reading(nodes[request.kind], request.name, "%" if request.kind.startswith("percentage") else "")
    elif len(request.subjects) == 2:
        first, second = (f"{subject} {request.common}".strip() for subject in request.subjects)
        sign = {"share": "/", "ratio": "/", "difference": "-", "sum": "+"}.get(request.kind)
        unit = "%" if request.kind == "share" else ""
        if sign:
            yield Reading(Operation(sign, Figure(first), Figure(second)), request.name, unit)
        if request.kind == "share":  # "what share of sales came from services": their sales
            yield Reading(Operation("/", Figure(f"{first} {second}"), Figure(second)), request.name, unit)


def names(node: Node) -> frozenset[str]:
    """Return the terms of the names of a formula's figures, and of the lines that they are."""
    lines = formulas.lines()
    found: set[str] = set()
    for figure in figures(node):
        found |= terms(figure.name)
        own = f" {flat(figure.name)} "
        called = [lines[name] for name in lines if f" {name} " in own]
        found.update(*(terms(" ".join(line.names)) - DISTINGUISHING for line in called))
        if any(line.statement == "cash" for line in called):  # of cash "paid" says nothing more
            found |= terms("pay paid")
    return frozenset(found)


# --- by the model -------------------------------------------------------------------------------------------


def grammar(text: str, *, compares: bool) -> str:
    """Return the shape of a formula (GBNF): names, signs, and no number that the text lacks.

    If it `compares`, it has two sides.
    """
    amounts = (" ".join(match.groups()) for match in formulas.AMOUNT.finditer(text))
    half = ("50",) if re.search(r"\bhalf\b", text) else ()
    numbers = dict.fromkeys((*amounts, *re.findall(r"(?<![\d.,])\d{1,3}(?![\d.,]\d|\d)", text), *half, "100"))
    number = " | ".join(f'"{one}"' for one in numbers)
    return "\n".join(
        (
            f"root ::= sum {'sign sum' if compares else '(sign sum)?'}",
            'sign ::= " > " | " < "',
            'sum ::= product ((" + " | " - ") product)*',
            'product ::= atom ((" / " | " * ") atom)*',
            'atom ::= "(" sum ")" | name | number',
            'name ::= word (" " word){0,9}',
            "word ::= [A-Za-z] [A-Za-z'&-]{0,24}",
            f"number ::= {number}",
        )
    )


def asked_of_model(asked: Asked) -> str:
    """Return the question as the model reads it: without years, which it must not use."""
    return " ".join(
        re.sub(r"(?:\b(?:in|for|at|of|during)\s)?(?:\bfiscal\s)?\b(?:19|20)\d\d\b", " ", asked.content).split()
    )


def written(text: str, asked: Asked, *, compares: bool) -> Iterator[Reading]:
    """Yield the formula that the model wrote, if it gives the kind of value that is asked for.

    If it `compares`, it has two sides. Of a share, the part may be called by the whole, too: "services / net sales" are
    the sales of services.
    """
    if ">" in text or "<" in text:
        yield from _compared(text, asked)
    if compares or ">" in text or "<" in text:
        return
    node = formulas.parse(text.removesuffix(" * 100"), marked=True)
    if " / 100" in text:  # what a small model adds to shares
        return
    if isinstance(node, Figure):
        yield Reading(node._replace(before=False), "", "", _also(node, asked))
    if not isinstance(node, Operation):
        return
    change = _as_change(node, asked)
    if _WITHOUT.search(asked.content) and "-" in text:  # what is without an expense may have it added
        return
    if not formulas.dimension(node) or not (_fits(node, asked) or _quotient(node)) or _quotient(node, inverse=True):
        return
    made = Reading(change or node, "change" if change else "", _unit(node, asked), _also(node, asked))
    if node.sign == "-" and _VERSUS.search(asked.content):
        made = replace(made, compares="greater")
    yield made
    if node.sign == "/" and isinstance(node.left, Figure) and isinstance(node.right, Figure):
        part = Figure(f"{node.left.name} {node.right.name}")
        yield replace(made, node=Operation("/", part, node.right))


def _compared(text: str, asked: Asked) -> Iterator[Reading]:
    """Yield the comparison that the model wrote, as the difference of its sides."""
    sides = re.split(r" ([<>]) ", text)
    if len(sides) != 3:
        return
    node = formulas.parse(f"({sides[0]}) - ({sides[2]})", marked=True)
    if not isinstance(node, Operation) or not figures(node.left) or set(figures(node.left)) == set(figures(node.right)):
        return
    bounded = not figures(node.right)
    shares = re.fullmatch(r"[^<>]+ [<>] \d+ / 100", text) is not None
    # A multiple or a share of one side, or how far it moved, is more than which of two is greater.
    if ("100" in text and not shares) or (_MOVES if bounded else _BOUND).search(asked.content):
        return
    if formulas.dimension(node.right) == "number":  # an amount, or a share of a hundred
        amount = isinstance(node.right, Decimal) and node.right >= _LEAST_AMOUNT
        if formulas.dimension(node.left) != ("amount" if amount else "ratio"):
            return
    elif not formulas.dimension(node):
        return
    than = "greater" if sides[1] == ">" else "less"
    yield Reading(node, "", _unit(node, asked), _also(node, asked), compares=than)


def one_name(node: Node) -> bool:
    """Return whether all figures of a formula have one name."""
    return len({figure.name for figure in figures(node)}) == 1


def shared_terms(node: Node) -> frozenset[str]:
    """Return the terms that the names of all figures of a formula have."""
    return frozenset.intersection(*(terms(figure.name) for figure in figures(node)))


def _quotient(node: Operation, inverse: bool = False) -> bool:
    """Return whether a formula is a ratio that has a name, or the inverse of one."""
    part = node.left if node.sign == "*" and isinstance(node.left, Operation) else node
    lines = (_line(part.left), _line(part.right))
    return part.sign == "/" and (lines[::-1] if inverse else lines) in _quotients()


@cache
def _quotients() -> frozenset[tuple[object, object]]:
    """The lines whose quotient is a ratio with a name."""
    found = set()
    for ratio in formulas.ratios().values():
        for node in filter(None, map(formulas.parse, (formula.replace("days", "365") for formula in ratio.formulas))):
            part = node.left if isinstance(node, Operation) and isinstance(node.right, Decimal) else node
            if isinstance(part, Operation) and part.sign == "/":
                found.add((_line(part.left), _line(part.right)))
    return frozenset(found)


def _line(node: Node) -> object:
    """Return the line of statements that a part of a formula is, or is an average of; else the part itself."""
    own = figures(node)
    return formulas.lines().get(flat(own[0].name), node) if own and one_name(node) else node


def _fits(node: Node, asked: Asked) -> bool:
    """Return whether a formula gives the kind of value that is asked for: a share by a division, money by none."""
    if not isinstance(node, Operation):
        return False
    average = isinstance(node.right, Decimal)
    divides = (node.sign in "/*" and not average) or _unit(node, asked) == "points"
    if asked.value == "duration":
        return _multiplies(node)
    per_unit = any(pattern.search(asked.content) for pattern in (_RATIO, _PER_UNIT))  # "dollars of rent per store"
    return {"share": divides or average, "money": not divides or per_unit}.get(asked.value, True)


def _multiplies(node: Operation) -> bool:
    """Return whether a formula counts a share in the days that it names: "a / b * 365"."""
    part = node.left
    if node.sign != "*" or not isinstance(node.right, Decimal) or not isinstance(part, Operation):
        return False
    return part.sign == "/" and not set(figures(part.left)) & set(figures(part.right))


def _as_change(node: Operation, asked: Asked) -> Operation | None:
    """Return a change relative to the period before, with the sign that the question gives it."""
    own = figures(node)
    if len(own) != 2 or not one_name(node) or own[0].before == own[1].before or node.sign != "/":
        return None
    now, then = sorted(own, key=lambda one: one.before)
    change = Operation("-", then, now) if direction(asked.content) == "less" else Operation("-", now, then)
    return Operation("/", change, then)


def direction(text: str) -> str:
    """Return what a question asks for: "greater", "less", or nothing where it says neither or both."""
    falls, rises = (pattern.search(text) is not None for pattern in (_FALL, _RISE))
    return "" if falls == rises else "less" if falls else "greater"


def moves(text: str) -> bool:
    """Return whether words say that something rises, falls or changes."""
    return _MOVES.search(text) is not None


def works_out(text: str) -> bool:
    """Return whether words ask for a calculation."""
    return _WORKED_OUT.search(text) is not None


def flows(name: str) -> bool:
    """Return whether a name is of a line that sums up a period, such as sales, and of no balance."""
    own = f" {flat(name)} "
    found = [line for known, line in formulas.lines().items() if f" {known} " in own]
    return bool(found) and all(line.statement in ("income", "cash") for line in found)


def passed_over(own: Reading, asked: Asked, labels: str) -> list[str]:
    """Return the words of a question that neither the name nor the labels of its figure have, nor say nothing of it."""
    named = " ".join((own.name, labels, *(figure.name for figure in figures(own.node))))
    known = set(formulas.question_words("plain").split()) | set(flat(named).split())
    for line in map(_line, figures(own.node)):
        if isinstance(line, formulas.Line):
            known |= set(formulas.question_words("spent" if line.outflow else "earned").split())
    words = flat(YEAR.sub(" ", asked.content)).split()
    explained = terms(named) | own.also
    return [word for word in words if word not in known and not (terms(word) and terms(word) <= explained)]


def called_by(name: str, one: Entry) -> bool:
    """Return whether a figure is no total of all parts, where one part is asked for."""
    row = flat(one.row).split()
    part = terms(name) - terms(f"{one.row} {one.column}") - _known_names()
    return not (row[:1] == ["total"] and part and part <= terms(one.cell.section))


def earlier(node: Node) -> bool:
    """Return whether all figures of a formula are of the period before."""
    return all(one.before for one in figures(node))
