"""Read the formula that a question asks for: operations over figures, called by their names.

    "gross profit / revenue"                                          a ratio of lines.toml
    "accounts payable divided by cost of sales, multiplied by 365"    in words, read from left to right
    "365 * average accounts payable / (COGS + change in inventory)"   in signs, which have their precedence

Figures are looked up by name (finding.py); nothing is executed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache, lru_cache
from importlib import resources
from operator import add, mul, sub, truediv
from typing import Any, NamedTuple

from localrag.figures import periods
from localrag.figures.periods import Period
from localrag.quantities import SCALES, lazy_re

Sign = str
_OPERATORS: Mapping[Sign, tuple[str, Callable[[Decimal, Decimal], Decimal]]] = {
    "+": ("+", add),
    "-": ("−", sub),
    "*": ("×", mul),
    "/": ("/", truediv),
    "^": ("^", pow),
}
_STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 3}
_SIGNS = lazy_re(
    r"(?P<divided>\bdivided by\b|(?<!-)\bover\b(?!-)|÷|/|\brelative to\b"
    r"|\bas an? (?:percentage|share|proportion|multiple|percent|%) of\b)"
    r"|(?P<times>\bmultiplied by\b|\btimes\b|\*|×|\bx(?=\s?\d))"
    r"|(?P<netted>\bnet of\b)"
    r"|(?P<less>\bless\b|\bminus\b|\breduced by\b|\bafter deducting\b|(?<=[\s)])[−–-](?=[\s(]))"
    r"|(?P<more>\bplus\b|\+)|(?P<open>\()|(?P<close>\))",
    re.I,
)
_BY_NAME = {"divided": "/", "times": "*", "netted": "-", "less": "-", "more": "+"}
_SYMBOLS = "+-*/−–÷×"
_AVERAGE = lazy_re(
    r"(?<!weighted[\s-])\b(?:average|avg\.?|mean)\b(?: of)?(?: (?:the|its))?"
    r"(?: (?:opening|beginning|start) and (?:closing|ending|end)\b)?",
    re.I,
)
_CHANGE = lazy_re(r"^(?:the )?change in\b", re.I)
# What is said of a figure besides its name.
_S = r"\s{1,9}"
_ASIDE = lazy_re(
    rf"\b(?:at|for|in|of|during|over|between|from){_S}(?:the{_S})?"
    r"(?:start|end|beginning|close|years?|quarter|period|half|same|both)\b.*$"
    rf"|\b(?:year|quarter|period)[\s-]ends?\b|\s(?:line|row)\b(?:{_S}of\b.*)?$"
    rf"|^(?:the|its|their|an?|of|then|all|if|going by){_S}"
    rf"|\b(?:the{_S})?(?:year|quarter|period)[’']s\b|\bqtr\b|\bbetween\b(?:\s{{0,9}}and\b)?$"
    rf"|\bFY\b|\bas the measure\b.*$|[’']s?$|^[’']s\s{{1,9}}|,?\s(?:in{_S})?(?:percent|per cent|%)$",
    re.I,
)
# Where a formula begins, behind what it defines.
_DEFINES = lazy_re(
    r"\b(?:is|are) (?:defined|calculated|computed|measured|taken|understood) (?:as|by)\b:?|\bdefined as\b:?"
    r"|\bmeaning\b|\bthat is\b,?|\b(?:tak|us)(?:e|ing)\b|=|\b(?:is|are|was|were)\b|:",
    re.I,
)
_DIVIDE = lazy_re(r"\bdivid(?:e|ing)\s(?P<of>[^?;]{3,160}?)\sby\b", re.I)
# What stands in brackets behind a word: "cost of goods sold (depreciation included)".
_BRACKETS = re.compile(r"(?<=[\w’'])\s{0,3}\((?P<inside>[^()]{0,200})\)")
# "A, B, and C" by its commas, "A, B and C" by the last "and", too.
_LISTS = (re.compile(r",\s?(?:and\s)?"), re.compile(r",\s?(?:and\s)?|\sand\s(?!.*\sand\s)"))
_JOINTLY = re.compile(r"\b(?:together|combined|jointly|the sum of)\b", re.I)
# What stands in brackets, and is no part of a formula around them.
_BY_ITSELF = re.compile(r"(?<![+*/×÷−-] )(?<![+*/×÷−-])\(([^()]+)\)(?!\s?[+*/×÷−-])")
AMOUNT = re.compile(r"(?P<number>\d[\d,]{0,12}(?:\.\d{1,3})?)\s?(?P<scale>thousand|million|billion|bn)\b", re.I)
_NUMBER = re.compile(r"(?:a year of )?(\d{1,3})(?:\s?(?:days?|d))?(?:[\s,].*)?")
_MAX_TOKENS, _MAX_WORDS, _MAX_YEARS = 24, 10, 9
_MAX_TEXT, _MAX_STARTS, _MAX_OPERAND = 1000, 8, 160


class Figure(NamedTuple):
    """A figure of a formula by its name; of the period asked about, the one `before`, its own, or as it `began`."""

    name: str
    before: bool = False
    period: Period | None = None
    began: bool = False


class Operation(NamedTuple):
    """Two parts of a formula and the sign between them."""

    sign: Sign
    left: Node
    right: Node


Node = Figure | Decimal | Operation


def figures(node: Node) -> tuple[Figure, ...]:
    """Return the figures of a formula, each once, in order."""
    if isinstance(node, Operation):
        return tuple(dict.fromkeys((*figures(node.left), *figures(node.right))))
    return (node,) if isinstance(node, Figure) else ()


def dimension(node: Node) -> str:
    """Return whether a formula gives an "amount", a "ratio" of amounts or a bare "number"; "" for what has no sense."""
    if not isinstance(node, Operation):
        return "amount" if isinstance(node, Figure) else "number"
    left, right = dimension(node.left), dimension(node.right)
    if node.sign in "+-":
        return left if left == right else ""
    if node.sign == "^":
        return "number" if left in ("ratio", "number") and right == "number" else ""
    if left == right == "amount":
        return "ratio" if node.sign == "/" else ""
    if "number" not in (left, right) or (node.sign == "/" and (right != "number" or not left)):
        return ""
    return left if right == "number" else right


def before(node: Node) -> Node:
    """Return a formula with all its figures of the period before."""
    if isinstance(node, Operation):
        return Operation(node.sign, before(node.left), before(node.right))
    return node._replace(before=True) if isinstance(node, Figure) else node


def evaluate(node: Node, values: Mapping[Figure, Decimal]) -> Decimal:
    """Return the value of a formula; raises DecimalException on division by zero."""
    if isinstance(node, Operation):
        return _OPERATORS[node.sign][1](evaluate(node.left, values), evaluate(node.right, values))
    return values[node] if isinstance(node, Figure) else node


def shown(node: Node, values: Mapping[Figure, Decimal], strength: int = 0) -> str:
    """Return a formula in numbers: "(1,204 − 1,100) / 1,100"."""
    if isinstance(node, Operation):
        own = _STRENGTH[node.sign]
        text = (
            f"{shown(node.left, values, own)} {_OPERATORS[node.sign][0]} "
            f"{shown(node.right, values, own + (node.sign in '-/'))}"
        )
        return f"({text})" if own < strength else text
    value = values[node] if isinstance(node, Figure) else node
    return f"(−{abs(value):,f})" if value < 0 else f"{value:,f}"


def numbered(node: Node) -> str:
    """Return a formula with the numbers of its figures in braces, as spreadsheets write signs: "({0} - {1}) / {1}"."""
    order = {figure: f"{{{at}}}" for at, figure in enumerate(figures(node))}

    def part(node: Node, strength: int) -> str:
        if not isinstance(node, Operation):
            return order[node] if isinstance(node, Figure) else str(node)
        own = _STRENGTH[node.sign]
        text = f"{part(node.left, own)} {node.sign} {part(node.right, own + (node.sign in '-/'))}"
        return f"({text})" if own < strength else text

    return part(node, 0)


# --- words and signs ----------------------------------------------------------------------------------------


def in_words(text: str) -> Iterator[Node]:
    """Yield the formulas that a text may state, the longest first.

    "inventory turnover is the total cost of goods sold over the average of inventories": what stands behind "is".
    """
    found: list[Operation] = []
    if len(text) > _MAX_TEXT:
        return
    text = _DIVIDE.sub(r"taking \g<of> divided by", text)
    for part in re.split(r"(?<=[\w)])[.?;](?:\s|$)", text):
        starts = sorted({0, *(match.end() for match in _DEFINES.finditer(part))}, reverse=True)[:_MAX_STARTS]
        for clause in (*(part[start:] for start in starts), *_BY_ITSELF.findall(part)):
            one = parse(clause)
            if isinstance(one, Figure) and _JOINTLY.search(clause):
                sums = (_summed(one, parts) for parts in _LISTS)
                found += [made for made in sums if isinstance(made, Operation)]
            if isinstance(one, Operation) and (_SIGNS.search(clause) or all(own.period for own in figures(one))):
                found.append(one)
    for one in sorted(found, key=lambda one: (-_size(one), sum(len(figure.name) for figure in figures(one)))):
        yield from dict.fromkeys((one, *(_summed(one, parts) for parts in _LISTS)))


def _summed(node: Node, parts: re.Pattern[str]) -> Node:
    """Return a formula with each list of names as their sum: "cash, securities and receivables over ..."."""
    if isinstance(node, Operation):
        return Operation(node.sign, _summed(node.left, parts), _summed(node.right, parts))
    if not isinstance(node, Figure) or not parts.search(node.name):
        return node
    names = [name for part in parts.split(node.name) if (name := _JOINTLY.sub(" ", part).strip()) not in ("", "net")]
    total: Node = node._replace(name=names[0]) if names else node
    for name in names[1:]:
        total = Operation("+", total, node._replace(name=name))
    return total


def _size(node: Node) -> int:
    return 1 + _size(node.left) + _size(node.right) if isinstance(node, Operation) else 0


@lru_cache(1000)
def parse(text: str, marked: bool = False) -> Node | None:
    """Return the formula that a whole text is; None where it is none.

    If `marked`, "sales before" are the sales of the period before.
    """
    tokens = _tokens(text, marked) if len(text) <= _MAX_TEXT else []
    if not tokens or len(tokens) > _MAX_TOKENS:
        return None
    signs = [token for token in tokens if isinstance(token, str) and token[0] not in "()"]
    found = _Parser(tokens, words=not all(sign[-1] in _SYMBOLS for sign in signs)).whole()
    return found if found is None or figures(found) else None


def _tokens(text: str, marked: bool) -> list[str | Node]:
    """Return the parts of a formula: brackets, signs ("/" and the word for it) and figures; empty for no formula."""
    text = _BRACKETS.sub(lambda aside: aside[0] if _SIGNS.search(aside["inside"]) else " ", text)
    found: list[str | Node] = []
    last = 0
    for match in [*_SIGNS.finditer(text), None]:
        piece = text[last : match.start()] if match else text[last:]
        if piece.strip(" ,"):
            operand = _operand(piece, marked)
            if operand is None:
                return []
            found.append(operand)
        if match is not None:
            name = match.lastgroup or ""
            found.append({"open": "(", "close": ")"}.get(name) or f"{_BY_NAME[name]} {name} {match[0]}")
            last = match.end()
    return found


def _operand(piece: str, marked: bool) -> Node | None:
    """Return the figure that words name, or the number that they are."""
    words = piece.strip(" ,")
    if len(words) > _MAX_OPERAND:
        return None
    if amount := AMOUNT.fullmatch(words):
        return Decimal(amount["number"].replace(",", "")).scaleb(SCALES[amount["scale"].lower()])
    if number := _NUMBER.fullmatch(words):
        return Decimal(number[1])
    own = periods.asked(words)
    words = own.rest
    if average := _AVERAGE.search(words):
        words = _AVERAGE.sub(" ", words, count=1)
    if change := _CHANGE.match(words.strip()):
        words = words.strip()[change.end() :]
    before = ""
    while before != words:
        before = words
        words = _ASIDE.sub(" ", words.strip(" ,:")).strip(" ,:")
    name = " ".join(words.split())
    if not any(map(str.isalpha, name)) or len(name.split()) > _MAX_WORDS:
        return None
    if marked and name.endswith(" before"):
        return Figure(name.removesuffix(" before"), True)
    now = Figure(name, False, own.periods[-1] if own.periods else None)
    then = Figure(name, len(own.periods) < 2, own.periods[0] if own.periods else None)
    if average:
        return _average(now, then)
    return Operation("-", now, then) if change else now


def _average(now: Figure, then: Figure) -> Operation:
    """Return the average of a figure of two periods; of all years from one to another."""
    every = [then._replace(before=False, began=then.before), now]
    if now.period is not None and then.period is not None and 1 < now.period.year - then.period.year <= _MAX_YEARS:
        every = [Figure(now.name, False, Period(at)) for at in range(then.period.year, now.period.year + 1)]
    total: Node = every[0]
    for one in every[1:]:
        total = Operation("+", total, one)
    return Operation("/", total, Decimal(len(every)))


class _Parser:
    """Reads tokens from left to right: of signs "*" and "/" bind first; in words "plus" and "less" do."""

    def __init__(self, tokens: Sequence[str | Node], words: bool) -> None:
        self._tokens, self._words, self._at = tokens, words, 0

    def whole(self) -> Node | None:
        found = self._sum()
        return found if self._at == len(self._tokens) else None

    def _next(self) -> str | Node | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _sign(self, signs: str) -> str:
        token = self._next()
        return token if isinstance(token, str) and token[0] in signs else ""

    def _sum(self) -> Node | None:
        first, then = ("+-", "*/") if self._words else ("*/", "+-")
        return self._chain(then, lambda: self._chain(first, self._atom))

    def _chain(self, signs: str, part: Callable[[], Node | None]) -> Node | None:
        found = part()
        while found is not None and (sign := self._sign(signs)):
            self._at += 1
            right = part()
            if right is None:
                return None
            found = Operation(sign[0], found, right)
        return found

    def _atom(self) -> Node | None:
        token = self._next()
        self._at += 1
        if token == "(":
            found = self._sum()
            if self._next() != ")":
                return None
            self._at += 1
        elif isinstance(token, str) or token is None:
            return None
        else:
            found = token
        while found is not None and "netted" in self._sign("-"):
            self._at += 1
            right = self._atom()
            if right is None:
                return None
            found = Operation("-", found, right)
        return found


# --- the file of lines and ratios ---------------------------------------------------------------------------


class Line(NamedTuple):
    """A line of the statements: the statement it stands in, its names, and whether it is money that goes out.

    `labels` are what rows call it below a section that has its name, such as "Diluted".
    """

    statement: str
    names: tuple[str, ...]
    outflow: bool = False
    of_period: str = ""  # the line of what is spent on it
    labels: tuple[str, ...] = ()


class Ratio(NamedTuple):
    """A ratio: its name, the formulas that give it, best first, and "%" where it is a share."""

    name: str
    formulas: tuple[str, ...]
    unit: str = ""


@cache
def lines() -> Mapping[str, Line]:
    """Return the lines of statements by each of their names."""
    rows = _data()["lines"]
    known = (dict(row) for row in rows.values())
    made = (
        Line(row.pop("statement"), tuple(row.pop("names")), labels=tuple(row.pop("labels", ())), **row) for row in known
    )
    return {name: line for line in made for name in line.names}


@cache
def ratios() -> Mapping[str, Ratio]:
    """Return the ratios by each of their names."""
    rows = _data()["ratios"]
    made = ((row["names"], tuple(row["formulas"]), row.get("unit", "")) for row in rows.values())
    return {flat(name): Ratio(names[0], formulas, unit) for names, formulas, unit in made for name in names}


@cache
def _data() -> Mapping[str, Mapping[str, dict[str, Any]]]:
    text = resources.files("localrag.figures").joinpath("lines.toml").read_text("utf-8")
    data: Mapping[str, Mapping[str, dict[str, Any]]] = tomllib.loads(text)
    return data


@cache
def question_words(*kinds: str) -> str:
    """Return the words of questions for figures besides names, of these kinds in lines.toml."""
    return " ".join(word for kind in kinds for word in _data()["words"][kind])


@cache
def _short() -> re.Pattern[str]:
    return re.compile(rf"(?<![\w&])(?:{'|'.join(_data()['words']['short'])})(?![\w&])", re.I)


def whole(text: str) -> str:
    """Return a text with the words that abbreviations stand for: "ads rev" is "advertising revenue"."""
    return _short().sub(lambda match: _data()["words"]["short"][match[0].lower()], text)


def flat(text: str) -> str:
    """Return the words of a text in small letters: "R&D, net" is "r d net"."""
    return " ".join(re.sub(r"[^\w\s]", " ", re.sub(r"\bnon-", "non", text.lower())).split())
