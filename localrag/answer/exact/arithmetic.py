"""Sums that a question spells out (pure): expressions, percent, tax, growth, shares, means, units; in decimal.

    "What is 15 % of 2,400 euros?", "19 % VAT on 350 EUR", "increase from 5,363 to 6,844 in percent", "1,200 / 12"

Reckoned with 28 digits. Nothing is executed: an expression is read by a small grammar of numbers, + - * / % ^ and
brackets. Every answer shows how it was worked out, with the numbers as they were understood. A question whose numbers
may be years ("the change from 2018 to 2019") asks about what stands in documents, and is not taken; nor is one with a
word that is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, DecimalException, localcontext

from localrag.quantities import QUANTITY as FIGURE
from localrag.quantities import Quantity as Figure
from localrag.quantities import convert as converted
from localrag.quantities import format_number as written
from localrag.quantities import may_be_year as is_year
from localrag.quantities import parse_quantity
from localrag.quantities import round_quantity as rounded
from localrag.quantities import unit_of as unit_named

Language = str

_DEEPEST = 60
_LONGEST, _LONGEST_EXPRESSION = 600, 4000
_MOST_DIGITS = 400
_WORDS = (
    (r"\bmultiplied by\b|\btimes\b|\bmal\b|(?<=[\d)\s])x(?=[\d(\s])", "*"),
    (r"\bdivided by\b|\bgeteilt durch\b|\bdurch\b|\bover\b", "/"),
    (r"\bplus\b", "+"),
    (r"\bminus\b|\bless\b", "-"),
    (r"\bto the power of\b", "^"),
    (r"\bsquared\b", "^2"),
)
_GERMAN = re.compile(r"\b(?:was|wie|wieviel|ist|sind|von|prozent|auf|durch|mal|und|mwst|steigerung|erhöhung)\b", re.I)
_ASKING = re.compile(
    r"^(?:(?:please )?(?:what(?:'s| is| are| does| do| would be)|how much (?:is|are|does|would be)|calculate|"
    r"compute|work out|evaluate|solve|"
    r"tell me|find|give me|was (?:ist|sind|ergibt|macht)|wie ?viel (?:ist|sind|ergibt|macht)|berechne|"
    r"berechnen sie)\s*:?\s+)?(?:the (?:result|value|answer) of )?",
    re.I,
)
_END = re.compile(r"\s*(?:=|equals?|equal to|make|come to|in total)?\s*[?.!]*$", re.I)
_N = r"(?P<{0}>[^a-z]*?\d[^a-z]*?(?: ?[a-z]+){{0,2}}?)"
_A, _B = _N.format("a"), _N.format("b")
_P = r"(?P<p>\d[\d.,]*) ?(?:%|percent|per cent|prozent)"
_TAX = (
    r"(?P<tax>vat|value[- ]added tax|sales tax|tax|gst|mwst\.?|mehrwertsteuer|umsatzsteuer|ust\.?|interest|"
    r"commission|surcharge|fee|tip|markup|mark-up|discount|rebate|rabatt|skonto|deposit)"
)

_PERCENT_OF = re.compile(rf"^{_P} (?:of|von) {_B}$", re.I)
_PARTS = {"half": 2, "third": 3, "quarter": 4, "fifth": 5, "tenth": 10}
_PART_OF = re.compile(
    rf"^(?:(?P<n>a|one|two|three|four) )?(?P<part>{'|'.join(_PARTS)})s? (?:of )?(?:an? )?{_B}$"
    rf"|^(?P<above>\d{{1,3}})/(?P<below>\d{{1,3}}) of {_B.replace('<b>', '<b2>')}$",
    re.I,
)
_TAX_ON = (
    re.compile(rf"^(?:the )?{_P} {_TAX} (?:on|of|for|to|auf|von) {_B}$", re.I),
    re.compile(rf"^(?:the )?{_TAX} (?:at|of) {_P} (?:on|for) {_B}$", re.I),
    re.compile(
        (
            rf"^(?:add )?{_B} (?P<way>with|plus|and|including|incl\.?|\+|zzgl\.?|zuzüglich|less|minus|-|−) (?:an? "
            rf")?{_P} {_TAX}$"
        ),
        re.I,
    ),
    re.compile(rf"^(?P<way>add) {_P}(?: {_TAX})? (?:to|zu) {_B}$", re.I),
    re.compile(rf"^{_P} (?P<way>off|discount on) {_B}$", re.I),
)
_RAISED = (
    re.compile(
        (
            rf"^{_B} (?P<way>plus|\+|increased by|raised by|up|minus|-|−|less|reduced by|decreased by|lowered by|"
            rf"down|discounted by|cut by) {_P}$"
        ),
        re.I,
    ),
    re.compile(rf"^(?P<way>increase|raise|reduce|decrease|lower|cut) {_B} by {_P}$", re.I),
)
_DOWN = frozenset("minus - − less down off reduce decrease lower cut".split())
_GROWTH = (
    re.compile(
        rf"^(?:the )?(?:(?:percent(?:age)?|per cent|relative|%)[- ](?:change|increase|decrease|difference|"
        rf"growth|rise|drop|decline|reduction)|"
        rf"(?:change|increase|decrease|difference|growth|rise|drop|decline|reduction)(?: in (?:percent|per cent|"
        rf"%))?) (?:from {_A} to|between {_A.replace('<a>', '<a2>')} and) {_B}"
        r"(?P<inpercent>,? (?:in|as(?: an?)?) (?:percent(?:age)?|per cent|%))?$",
        re.I,
    ),
    re.compile(
        (
            rf"^(?:(?:by )?how many percent is )?(?:the )?(?:steigerung|erhöhung|veränderung|zuwachs|rückgang) von "
            rf"{_A} auf {_B}(?P<inpercent> in (?:prozent|%))?$"
        ),
        re.I,
    ),
)
_SHARE = (
    re.compile(
        (
            rf"^(?:what |how many |which )?(?:percent(?:age)?|per cent|%)(?: share)? (?:is|are) {_A} (?:of|out of|"
            rf"from) {_B}$"
        ),
        re.I,
    ),
    re.compile(rf"^(?:what |which )(?:percent(?:age)?|per cent) of {_B} (?:is|are) {_A}$", re.I),
    re.compile(rf"^{_A} (?:is|are) (?:what|which|how many) (?:percent(?:age)?|per cent|%) of {_B}$", re.I),
    re.compile(rf"^{_A} (?:as|in) (?:an? )?(?:percent(?:age)?|per cent|%) of {_B}$", re.I),
    re.compile(rf"^wie ?viel (?:prozent|%) (?:sind|ist) {_A} von {_B}$", re.I),
)
_SEVERAL = re.compile(
    (
        r"^(?:the )?(?P<what>sum|total|average|mean|median|product|difference|durchschnitt|summe|mittelwert) (?:of|"
        r"between|from|von|aus) (?P<list>.+)$"
    ),
    re.I,
)
_RATE = re.compile(
    (
        rf"^{_A} (?:per|a|each|every|/) (?P<each>day|week|month|quarter|year) (?:for|over|x|\*|times) "
        rf"(?P<count>\d+) (?P<many>day|week|month|quarter|year)s?$"
    ),
    re.I,
)
_CONVERT = (
    re.compile(r"^(?:convert )?(?P<a>\d.*?) (?:in|into|to|as) (?P<unit>[a-zäöü².\d ]+)$", re.I),
    re.compile(r"^how many (?P<unit>[a-z²\d ]+?) (?:are|is) (?:there )?(?:in )?(?P<a>\d.*|an? [a-z]+)$", re.I),
)
_ROOT = re.compile(r"^(?:the )?(?:square root|sqrt)(?: of |\s*\()(?P<a>[\d.,]+)\)?$", re.I)


def answer(question: str) -> str | None:
    """The result of the sum that a question (one line) spells out, with its working; None where it spells out none."""
    if len(question) > _LONGEST or not re.search(r"\d|\ban? \w+$", question):
        return None
    language: Language = "german" if len(_GERMAN.findall(question)) >= 2 else "english"
    asked = _END.sub("", question).strip()
    bare = _ASKING.sub("", asked).strip()
    try:
        with localcontext() as context:
            context.prec = 28
            for text in dict.fromkeys((bare, asked)):
                for way in (_tax, _percent_of, _part_of, _raised, _growth, _share, _several, _rate, _root, _conversion):
                    if (told := way(text, language)) is not None:
                        return told
            return _expression(bare, language)
    except (DecimalException, OverflowError, ValueError):
        return None


def _one(text: str, language: Language, *, year: bool = False) -> Figure | None:
    """The figure that a text is and nothing else; none that may be a year, unless it is said that years may be."""
    match = FIGURE.fullmatch(text.strip())
    return None if match is None or (is_year(match) and not year) else figure(match, language)


def _share_of(match: re.Match[str], language: Language) -> Decimal:
    found = FIGURE.fullmatch(match["p"])
    if found is None:
        raise ValueError(match["p"])
    return figure(found, language).value


def _percent_of(text: str, language: Language) -> str | None:
    if (match := _PERCENT_OF.match(text)) is None or (whole := _one(match["b"], language, year=True)) is None:
        return None
    share = _share_of(match, language)
    return f"{written(share)} % of {whole} {_equal(Figure(whole.value * share / 100, whole.unit))}"


def _part_of(text: str, language: Language) -> str | None:
    if (match := _PART_OF.match(text)) is None or not (whole := _one(match["b"] or match["b2"], language, year=True)):
        return None
    above = int(match["above"] or {"two": 2, "three": 3, "four": 4}.get((match["n"] or "").lower(), 1))
    below = int(match["below"] or _PARTS[match["part"].lower()])
    return f"{above}/{below} of {whole} {_equal(Figure(whole.value * above / below, whole.unit))}" if below else None


def _tax(text: str, language: Language) -> str | None:
    for pattern in _TAX_ON:
        match = pattern.match(text)
        if match is None or (base := _one(match["b"], language, year=True)) is None:
            continue
        groups = match.groupdict()
        name, way = (
            groups.get("tax") or ("discount" if groups.get("way", "").startswith(("off", "disc")) else ""),
            groups.get("way") or "",
        )
        if way.lower() in ("including", "incl", "incl.", "with"):
            return None  # is the tax in it, or on top?
        share = _share_of(match, language)
        part = Figure(base.value * share / 100, base.unit)
        off = way.lower() in _DOWN or name.lower() in ("discount", "rebate", "rabatt", "skonto")
        rest = Figure(base.value + (-part.value if off else part.value), base.unit)
        first = f"{written(share)} %{f' {name}' if name else ''} on {base} {_equal(part)}"
        if name.lower() in ("interest", "commission", "fee", "tip", "deposit") and not way:
            return first
        return f"{first}; {base} {'−' if off else '+'} {part} {_equal(rest)}"
    return None


def _raised(text: str, language: Language) -> str | None:
    for pattern in _RAISED:
        match = pattern.match(text)
        if match is None or (base := _one(match["b"], language, year=True)) is None:
            continue
        way, share = match["way"].lower(), _share_of(match, language)
        off = way.partition(" ")[0] in _DOWN or way.split()[0] in ("reduced", "decreased", "lowered", "discounted")
        part = Figure(base.value * share / 100, base.unit)
        rest = Figure(base.value + (-part.value if off else part.value), base.unit)
        sign = "−" if off else "+"
        return f"{base} {sign} {written(share)} % = {base} {sign} {part} {_equal(rest)}"
    return None


def _growth(text: str, language: Language) -> str | None:
    for pattern in _GROWTH:
        if (match := pattern.match(text)) is None:
            continue
        groups = match.groupdict()
        first, second = _one(groups["a"] or groups.get("a2") or "", language), _one(match["b"], language)
        if first is None or second is None or (first.unit and second.unit and first.unit != second.unit):
            return None
        unit = first.unit or second.unit
        first, second = Figure(first.value, unit), Figure(second.value, unit)
        change = second.value - first.value
        sign = "+" if change > 0 else "−" if change < 0 else ""
        told = f"{first} → {second}: {sign}{Figure(abs(change), unit)}"
        if unit == "%":  # from 4 % to 5 % is one percentage point, and a quarter more
            told = told.removesuffix(" %") + " percentage points"
        return told + (f", {percent(change / abs(first.value) * 100)}" if first.value else "")
    return None


def _share(text: str, language: Language) -> str | None:
    for pattern in _SHARE:
        if (match := pattern.match(text)) is None:
            continue
        part, whole = _one(match["a"], language), _one(match["b"], language)
        if part is None or whole is None or (part.unit and whole.unit and part.unit != whole.unit) or not whole.value:
            return None
        return f"{part} of {whole} = {percent(part.value / whole.value * 100).lstrip('+')}"
    return None


def _several(text: str, language: Language) -> str | None:
    if (match := _SEVERAL.match(text)) is None:
        return None
    parts = re.split(r"\s*(?:;|, (?:and )?|\band\b|\bund\b|&)\s*", match["list"].strip())
    found = [FIGURE.fullmatch(part.strip()) for part in parts]
    matches = [one for one in found if one is not None]
    if len(matches) != len(found) or len(found) < 2 or all(map(is_year, matches)):
        return None
    figures = [figure(one, language) for one in matches]
    if len(units := {one.unit for one in figures if one.unit}) > 1 or (units and any(not one.unit for one in figures)):
        return None
    return _taken_together(match["what"].lower(), figures)


def _taken_together(what: str, figures: Sequence[Figure]) -> str | None:
    values, unit = [one.value for one in figures], figures[0].unit
    total = sum(values, Decimal())
    if what in ("sum", "total", "summe"):
        return f"{' + '.join(map(str, figures))} {_equal(Figure(total, unit))}"
    if what == "difference":
        if len(values) != 2:
            return None
        high, low = sorted(values, reverse=True)
        return f"{Figure(high, unit)} − {Figure(low, unit)} {_equal(Figure(high - low, unit))}"
    if what == "product":
        product = Decimal(1)
        for value in values:
            product *= value
        return None if unit else f"{' × '.join(map(str, figures))} {_equal(Figure(product))}"
    if what == "median":
        ordered, half = sorted(values), len(values) // 2
        middle = ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2
        return (
            f"The median of {', '.join(str(Figure(value, unit)) for value in ordered)} {_equal(Figure(middle, unit))}"
        )
    mean = Figure(total / len(values), unit)
    return f"({' + '.join(map(str, figures))}) / {len(values)} {_equal(mean)}"


def _rate(text: str, language: Language) -> str | None:
    match = _RATE.match(text)
    if match is None or match["each"].lower() != match["many"].lower() or (rate := _one(match["a"], language)) is None:
        return None
    total = Figure(rate.value * int(match["count"]), rate.unit)
    return f"{rate} a {match['each'].lower()} × {match['count']} {_equal(total)}"


def _root(text: str, language: Language) -> str | None:
    if (match := _ROOT.match(text)) is None or (given := _one(match["a"], language, year=True)) is None:
        return None
    return f"√{written(given.value)} {_equal(Figure(given.value.sqrt()))}"


def _conversion(text: str, language: Language) -> str | None:
    for pattern in _CONVERT:
        if (match := pattern.match(text)) is None or (unit := unit_named(match["unit"])) is None:
            continue
        given = _one(re.sub(r"^an? ", "1 ", match["a"], flags=re.I), language, year=True)
        if given is not None and given.unit != unit and (same := converted(given, unit)) is not None:
            return f"{given} {_equal(same)}"
    return None


def _equal(value: Figure) -> str:
    """A result with its sign: "≈" where it was rounded, to cents or to decimals that anyone reads."""
    shown = rounded(value)
    return f"{'=' if shown.value == value.value else '≈'} {shown}"


# --- expressions --------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    rf"\s*(?:(?P<op>\*\*|[-+*/^()])|(?P<mod>%|mod\b)(?=\s*[\d(])|(?P<figure>{FIGURE.pattern}))", re.I | re.X
)


def _expression(text: str, language: Language) -> str | None:
    plain = text
    for pattern, sign in _WORDS:
        plain = re.sub(pattern, sign, plain, flags=re.I)
    plain = plain.translate(str.maketrans("×÷−–·", "*/--*"))
    # Numbers with a hyphen and nothing between are a range, a clause or a code; with slashes alone they may be a date.
    if not re.search(r"[\d)%a-z€$£]\s*(?:[+*^]|\s-\s|/|%(?=\s*[\d(]))\s*[-+(]*\s*[€$£]?\(*\d", plain, re.I):
        return None
    if re.fullmatch(r"\d{1,4}(?:/\d{1,4}){1,2}", plain) and not re.search(r"[×÷]|\s/\s", text) and text == plain:
        return None  # 24/7, 2018/19, 3/4/2024
    value, shown = _Reader(plain, language).read()
    return f"{shown} {_equal(value)}"


def calculate(expression: str) -> Decimal:
    """The value of an arithmetic expression without units, 28 digits.

    Raises:
        ValueError: it is no arithmetic expression, divides by zero, or grows beyond all measure.
    """
    try:
        with localcontext() as context:
            context.prec = 28
            value, _ = _Reader(expression.translate(str.maketrans("×÷−", "*/-")), "english").read()
    except (DecimalException, OverflowError) as error:
        raise ValueError(f"cannot calculate {expression[:80]!r}") from error
    return value.value


def figure(match: re.Match[str], language: Language = "english") -> Figure:
    return parse_quantity(match, language == "german")


def percent(value: Decimal) -> str:
    """A share in percent, two decimals at most, with its sign: "+27.62 %"."""
    rounded = round(value, 2) if abs(value) >= 1 or not value else round(value, 1 - value.adjusted())
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{written(abs(rounded))} %"


class _Reader:
    """A small grammar: sums of products of powers of figures and brackets; powers are taken from the right."""

    def __init__(self, text: str, language: Language) -> None:
        if len(text) > _LONGEST_EXPRESSION:
            raise ValueError("the expression is too long")
        self._left = self._tokens(text.strip(), language)
        self._at, self._depth = 0, 0

    def _tokens(self, text: str, language: Language) -> list[str | Figure]:
        found: list[str | Figure] = []
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or (match["digits"] and len(match["digits"]) > _MOST_DIGITS):
                raise ValueError(f"not an expression: {text[at:][:40]!r}")
            if match["figure"]:
                found.append(figure(match, language))
            else:
                found.append("%" if match["mod"] else match["op"].replace("**", "^"))
            at = match.end()
        return found

    def read(self) -> tuple[Figure, str]:
        value = self._sum()
        if self._at != len(self._left):
            raise ValueError(f"unexpected {self._left[self._at]}")
        if not value.value.is_finite():
            raise ValueError("beyond all measure")
        signs = {"*": "×", "-": "−"}
        shown = " ".join(str(signs.get(one, one)) if isinstance(one, str) else str(one) for one in self._left)
        return value, re.sub(r"\( | (?=\))|(?<=^)− | ?(\^) ?", lambda m: m[0].strip(), shown)

    def _next(self, *wanted: str) -> str | None:
        one = self._left[self._at] if self._at < len(self._left) else None
        if isinstance(one, str) and one in wanted:
            self._at += 1
            return one
        return None

    def _sum(self) -> Figure:
        value = self._product()
        while (sign := self._next("+", "-")) is not None:
            value = _added(value, self._product(), sign)
        return value

    def _product(self) -> Figure:
        value = self._signed()
        while (sign := self._next("*", "/", "%")) is not None:
            value = _multiplied(value, self._signed(), sign)
        return value

    def _signed(self) -> Figure:
        negative = False
        while (sign := self._next("+", "-")) is not None:
            negative ^= sign == "-"
        value = self._power()
        return Figure(-value.value, value.unit) if negative else value

    def _power(self) -> Figure:
        base = self._atom()
        if self._next("^") is None:
            return base
        self._deeper()
        exponent = self._signed()
        self._depth -= 1
        if base.unit or exponent.unit or abs(exponent.value) > 1000:
            raise ValueError("no such power")
        return Figure(base.value**exponent.value)

    def _atom(self) -> Figure:
        if self._next("("):
            self._deeper()
            value = self._sum()
            self._depth -= 1
            if self._next(")") is None:
                raise ValueError("a bracket is not closed")
            return value
        one = self._left[self._at] if self._at < len(self._left) else None
        if not isinstance(one, Figure):
            raise ValueError("a number is missing")
        self._at += 1
        return one

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("brackets are too deep")


def _added(one: Figure, two: Figure, sign: str) -> Figure:
    if two.unit == "%" and one.unit != "%":  # 350 EUR + 19 %
        two = Figure(one.value * two.value / 100, one.unit)
    elif one.unit != two.unit:
        same = converted(two, one.unit)
        if same is None:
            raise ValueError(f"{one} and {two} cannot be added")
        two = same
    return Figure(one.value + (two.value if sign == "+" else -two.value), one.unit)


def _multiplied(one: Figure, two: Figure, sign: str) -> Figure:
    if "%" in (one.unit, two.unit) and sign != "%":
        one, two = (Figure(item.value / 100) if item.unit == "%" else item for item in (one, two))
    if sign == "*":
        if one.unit and two.unit:
            raise ValueError("no such product")
        return Figure(one.value * two.value, one.unit or two.unit)
    if two.unit and one.unit != two.unit:
        raise ValueError("no such quotient")
    if not two.value:
        raise ValueError("a division by zero")
    unit = "" if two.unit else one.unit
    return Figure(one.value % two.value if sign == "%" else one.value / two.value, unit)
