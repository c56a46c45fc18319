"""Calculate what a question spells out, without a document: an expression, or the time between two dates.

Python's own parser reads an expression; its values are decimals of 28 digits. Nothing is executed. A question with any
other word, or whose numbers may be years, is left to the documents.
"""

from __future__ import annotations

import ast
import re
from datetime import date
from decimal import Decimal, DecimalException, localcontext

from localrag import quantities
from localrag.quantities import QUANTITY, Quantity, lazy_re, phrases, time_between

_MAX_QUESTION, _MAX_EXPRESSION = 600, 4000  # characters
_MAX_TOKENS = 400
_MAX_DIGITS = 400
_MAX_EXPONENT = 1000
_ASKING, _GERMAN, _TIME = phrases("localrag.answer", "calculator", "asking", "german", "time")
_RESULT = re.compile(r"\s*+(?:=|equals?)?\s*+[?.!]*$", re.I)
_WORDS = (
    (r"(?<=% )of\b|(?<=percent )of\b|(?<=per cent )of\b|(?<=(?:%|t) )von\b", "*"),
    (r"\bmultiplied by\b|\btimes\b|\bmal\b|(?<=[\d)\s])x(?=[\d(\s])", "*"),
    (r"\bdivided by\b|\bgeteilt durch\b|\bdurch\b|\bover\b", "/"),
    (r"\bplus\b", "+"),
    (r"\bminus\b|\bless\b", "-"),
)
# Numbers with a hyphen and nothing around it are a range, a clause or a code; with slashes alone they may be a date.
_CALCULATES = re.compile(r"[\d)%a-z€$£]\s*(?:[+*^]|\s-\s|/)\s*[-+(]*\s*[€$£]?\(*\d", re.I)
_SLASHES = re.compile(r"\d{1,4}(?:/\d{1,4}){1,2}")
_TOKEN = lazy_re(rf"\s*(?:(?P<operator>\*\*|[-+*/^()])|(?P<quantity>{QUANTITY.pattern}))", re.I | re.X)
_SIGNS = str.maketrans("×÷−–·", "*/--*")


def answer(question: str, today: date | None = None) -> str | None:
    """Return the result that a question of one line asks for with its working, or None if it spells out no calculation.

    Without `today`, a question that says "today" is not answered.
    """
    if len(question) > _MAX_QUESTION:
        return None
    try:
        with localcontext(prec=28):
            return _time(question, today) or _expression(question)
    except (DecimalException, OverflowError, ValueError):
        return None


def calculate(expression: str) -> Decimal:
    """Return the value of an arithmetic expression without units.

    Raises:
        ValueError: it is not an expression, divides by zero, or is too large.
    """
    try:
        with localcontext(prec=28):
            return _evaluate(_tokens(expression.translate(_SIGNS), decimal_comma=False)).value
    except (DecimalException, OverflowError) as error:
        raise ValueError(f"cannot calculate {expression[:80]!r}") from error


def _expression(question: str) -> str | None:
    text = plain = _ASKING.sub("", _RESULT.sub("", question).strip()).strip()
    for words, sign in _WORDS:
        plain = re.sub(words, sign, plain, flags=re.I)
    plain = plain.translate(_SIGNS)
    if not _CALCULATES.search(plain) or (text == plain and _SLASHES.fullmatch(plain)):
        return None  # 24/7, 2018/19, 3/4/2024
    tokens = _tokens(plain, decimal_comma=len(_GERMAN.findall(question)) >= 2)
    if any(isinstance(token, Quantity) and token.unit not in ("", "%") and not token.is_money for token in tokens):
        return None
    value = _evaluate(tokens)
    result = quantities.round_quantity(value)
    return f"{_shown(tokens)} {'=' if result.value == value.value else '≈'} {result}"


def _tokens(text: str, decimal_comma: bool) -> list[str | Quantity]:
    text = text.strip()
    if len(text) > _MAX_EXPRESSION:
        raise ValueError("the expression is too long")
    found: list[str | Quantity] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or len(match["digits"] or "") > _MAX_DIGITS or len(found) > _MAX_TOKENS:
            raise ValueError(f"not an expression: {text[at:][:40]!r}")
        found.append(quantities.parse_quantity(match, decimal_comma) if match["quantity"] else match["operator"])
        at = match.end()
    return found


def _shown(tokens: list[str | Quantity]) -> str:
    signs = {"*": "×", "-": "−", "**": "^"}
    text = " ".join(signs.get(token, token) if isinstance(token, str) else str(token) for token in tokens)
    text = re.sub(r"(?<=%) ×", " of", text)
    return re.sub(r"\( | (?=\))|(?<=^)− | ?(\^) ?", lambda match: match[0].strip(), text)


def _evaluate(tokens: list[str | Quantity]) -> Quantity:
    values = {f"q{at}": token for at, token in enumerate(tokens) if isinstance(token, Quantity)}
    source = "".join(f" q{at} " if isinstance(token, Quantity) else token for at, token in enumerate(tokens))
    try:
        result = _value(ast.parse(source.replace("^", "**").strip(), mode="eval").body, values)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError("not an expression") from error
    if not result.value.is_finite():
        raise ValueError("the result is too large")
    return result


def _value(node: ast.expr, values: dict[str, Quantity]) -> Quantity:
    match node:
        case ast.Name(id=name):
            return values[name]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            one = _value(operand, values)
            return Quantity(-one.value, one.unit) if isinstance(sign, ast.USub) else one
        case ast.BinOp(left=left, op=op, right=right):
            return _combine(_value(left, values), op, _value(right, values))
    raise ValueError("not an expression")


def _combine(one: Quantity, op: ast.operator, two: Quantity) -> Quantity:
    """Apply an operator to two quantities; 350 EUR + 19 % adds 19 % of 350 EUR.

    Raises:
        ValueError: their units do not go together, or the exponent is too large.
    """
    if isinstance(op, ast.Add | ast.Sub):
        if two.unit == "%" and one.unit != "%":
            two = Quantity(one.value * two.value / 100, one.unit)
        elif one.unit != two.unit:
            same = quantities.convert(two, one.unit)
            if same is None:
                raise ValueError(f"{one} and {two} cannot be added")
            two = same
        return Quantity(one.value + (two.value if isinstance(op, ast.Add) else -two.value), one.unit)
    if isinstance(op, ast.Pow):
        if one.unit or two.unit or abs(two.value) > _MAX_EXPONENT:
            raise ValueError("the exponent is too large or has a unit")
        return Quantity(one.value**two.value)
    if "%" in (one.unit, two.unit):
        one, two = (Quantity(item.value / 100) if item.unit == "%" else item for item in (one, two))
    if isinstance(op, ast.Mult) and not (one.unit and two.unit):
        return Quantity(one.value * two.value, one.unit or two.unit)
    if isinstance(op, ast.Div) and (not two.unit or one.unit == two.unit):
        return Quantity(one.value / two.value, "" if two.unit else one.unit)
    raise ValueError(f"{one} and {two} cannot be combined")


def _time(question: str, today: date | None) -> str | None:
    if (match := _TIME.match(question)) is None:
        return None
    readings: list[tuple[tuple[str, date], ...]] = []
    for text in (match["first"] or "today", match["last"]):
        if text.lower() in ("today", "now", "heute"):
            readings.append((("", today),) if today else ())
        else:
            readings.append(written.readings if (written := quantities.parse_date(text)) else ())
    unit = quantities.TIME_UNITS[(match["unit"] or "days").lower()]
    answers: dict[str, str] = {}  # by result, so that equal readings are shown once
    for order in ("day/month", "month/day"):
        days = sorted(day for one in readings for name, day in one if name in ("", order))
        if len(days) == 2:
            first, last = days
            in_days, result = time_between(first, last), time_between(first, last, unit)
            text = f"From {quantities.format_date(first)} to {quantities.format_date(last)}: {result}"
            text += f" ({in_days})" if result != in_days else ""
            answers.setdefault(f"{text}. The first date is not counted, the last is.", order)
    if len(answers) < 2:
        return next(iter(answers), None)
    return "\n".join(["The dates can be read in two ways:", *(f"- {order}: {text}" for text, order in answers.items())])
