"""Read which calculation a question asks for, of what, and for which years.

    "What percentage of total revenue came from services in 2019?"    -> share of "services" in "total revenue", 2019

English, and the plainest forms of German, French and Spanish. What is in doubt is left to the model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from localrag.answer.table_qa.cells import YEAR, years

Kind = Literal[
    "change", "percentage change", "decrease", "percentage decrease", "difference", "sum", "average", "share", "ratio"
]  # fmt: skip
_MAX_QUESTION = 400


@dataclass(frozen=True, slots=True)
class Request:
    """A calculation that a question asks for.

    `subjects` are the things whose figures it needs, in the question's words: one for figures of several years, part
    (or parts) and whole for a share, else the things put together. `common` belongs to all of them, `whole` a
    list as one text, since one thing may be called "cash and securities". `years` ascend, but in a ratio or share.
    """

    kind: Kind
    subjects: tuple[str, ...]
    common: str = ""
    years: tuple[int, ...] = ()
    name: str = ""
    whole: str = ""

    @property
    def words(self) -> str:
        """The question's words for what is calculated, each after a space."""
        return " " + " ".join([*self.subjects, self.common])


# Why, who, which of them, how often.
_FOR_THE_MODEL = re.compile(
    r"^\W*(?:why|how (?:did|do|does|has|have|is|are|was|were|can|will|might|would)\b(?! much)|explain|describe|"
    r"discuss|who|warum|pourquoi)|^\W*(?:\w+ ){0,6}(?:reasons?|drivers?|caused?|factors?|impacts?|significant|key|main|"
    r"major|notable)\b|\bhow many (?:years|quarters|months|times|of)\b|\bif any\b|\brespectively\b|"
    r"\b(?:which|what) (?:years?|quarters?|months?|segments?|regions?|company|companies|items?|types?)\b",
    re.I,
)


def parse_question(question: str) -> Request | None:
    """Return the calculation that a question asks for, or None if it asks for none or for several."""
    text = " ".join(question.split()).rstrip("?.! ")
    if len(text) > _MAX_QUESTION or _FOR_THE_MODEL.search(text):
        return None
    named = tuple(sorted(years(text)))
    for read in (_ratio, _rate, _share, _total, _change, _difference):
        if (found := read(text, named)) is not None:
            return found
    return None


_PERCENT = r"(?:percent(?:age)?s?|per cent|%|relative|proportional)"
_MOVE = r"(?:change|increase|decrease|growth|decline|drop|rise|fall|reduction|gain|movement)"
_MOVES = rf"{_MOVE}(?: ?/ ?\(?{_MOVE}\)?)?"
_MOVED = r"(?:change|increase|decrease|grow|decline|drop|rise|fall|shrink|go (?:up|down)|gain)"
# A decrease, and not "the increase / (decrease)".
_FALL = re.compile(
    r"^(?!.*\b(?:increase|rise|growth|grow|change)\b).*\b(?:decrease|decline|drop|fall|reduction|shrink|abnahme|rückgang|"
    r"baisse|diminution|disminución)\b",
    re.I,
)
_RATIO_OF_YEARS = re.compile(r"\bratio of (?P<a>.+) (?:to|over) (?P<b>.+)$", re.I)
_RATIO = (
    re.compile(r"\bratio of (?P<a>.+?) (?:to|over|and) (?P<b>.+)$", re.I),
    re.compile(r"(?P<a>.+?) (?:expressed )?as a ratio of (?P<b>.+)$", re.I),
    re.compile(r"\bverhältnis (?:von|der|des) (?P<a>.+?) zu[rm]? (?P<b>.+)$", re.I),
)


def _ratio(text: str, named: tuple[int, ...]) -> Request | None:
    if len(named) == 2 and (match := _RATIO_OF_YEARS.search(text)):
        order = [*years(match["a"]), *years(match["b"])]
        if len(order) == 2 and not _bare(match["b"]):
            return Request("ratio", (_bare(match["a"]),), "", tuple(order), "ratio")
    for pattern in _RATIO:
        if (match := pattern.search(text)) and len(named) < 2:
            first, second = _bare(match["a"]), _bare(match["b"])
            if first and second:
                return Request("ratio", (first, second), "", named, "ratio")
    return None


_RATE = re.compile(
    rf"\b(?:{_PERCENT} (?:annual |yearly |year[- ](?:on|over)[- ]year )?(?:{_MOVES}|difference)"
    rf"|(?:year[- ](?:on|over)[- ]year )(?:{_PERCENT} )?{_MOVES}|(?:growth|change) rate"
    rf"|{_MOVES} (?:in|as|by) (?:an? )?{_PERCENT}(?! of (?:total|net|all)))\b"
    r"|\b(?:prozentuale[nrs]? (?:veränderung|änderung|zunahme|abnahme|steigerung|wachstum))\b"
    r"|\b(?:variation|évolution|hausse|baisse) en (?:pourcentage|%)|\bcambio porcentual\b|\bvariación porcentual\b",
    re.I,
)
_BY_PERCENT = re.compile(rf"\bby (?:what|how many|which) {_PERCENT}\b(?P<rest>.*\b{_MOVED})", re.I)
_AS_PERCENT = re.compile(r",? (?:(?:expressed )?as an? |in )(?:percentage|percent|%)(?: (?:terms|value))?(?! of)", re.I)
_CHANGE = re.compile(
    rf"\b(?:(?:net|total|absolute|nominal|annual|yearly|overall) )?{_MOVES}(?!\w)|\b(?:veränderung|änderung|zunahme|"
    r"abnahme|anstieg|rückgang)\b|\b(?:hausse|baisse|variation|augmentation|diminution)\b|\b(?:cambio|aumento|"
    r"disminución|variación)\b",
    re.I,
)
_DIFFERENCE = re.compile(
    r"\b(?:(?:net|total|absolute|nominal) )?difference\b|\bunterschied\b|\bdifferenz\b|\bdifférence\b|\bdiferencia\b",
    re.I,
)


def _rate(text: str, named: tuple[int, ...]) -> Request | None:
    match = _RATE.search(text) or _BY_PERCENT.search(text)
    if match is None:
        match, aside = _CHANGE.search(text) or _DIFFERENCE.search(text), _AS_PERCENT.search(text)
        if match is None or aside is None:
            return None
        text = text[: aside.start()] + text[aside.end() :]
    rest = text[: match.start()] + " " + (match["rest"] if "rest" in match.groupdict() else "") + text[match.end() :]
    rest = re.sub(rf"\b{_MOVED}(?:d|ed)?\b", " ", rest) if "rest" in match.groupdict() else rest
    if len(named) < 2 and (pair := _pair(rest)):
        return Request("percentage change", pair[0], pair[1], named, "percentage difference")
    kind: Kind = "percentage decrease" if _FALL.search(text) else "percentage change"
    return Request(kind, (_bare(rest),), "", _ends(named), kind)


_A_SHARE = r"(?:percentages?|percent|per cent|proportion|share|fraction|portion|anteil|pourcentage|part|porcentaje)"
_ANY_SHARE = re.compile(rf"\b{_A_SHARE}\b|%", re.I)
_SHARE = rf"{_A_SHARE}(?:,? (?:expressed )?(?:in|as an?) (?:percentage|percent|%),?)?"
_MADE = (
    r"(?:made up (?:of|by)|comprised of|composed of|generated (?:from|by)|derived from|attribut(?:able|ed) to|"
    r"accounted for (?:by|using)?|represented by|contributed by|due to|from|related to|constituted by)"
)
_WHOLE = r"(?=total|overall|gross|net|all)"
# `b` is the part, `a` the whole.
_SHARES = tuple(
    re.compile(pattern, re.I)
    for pattern in (
        r"(?P<b>.+?)\W+(?:expressed )?as a (?:percentage|percent|%|share|proportion) of (?P<a>.+)$",
        rf"\b(?:what|which|how much|how many) {_SHARE} of (?P<a>.+?) (?:is|are|was|were|has been|came|comes|come) "
        rf"(?:{_MADE} )?(?P<b>.+)$",
        rf"\b(?:what|which|how much|how many) {_SHARE} of (?P<a>.+?) (?:do|does|did) (?P<b>.+?) "
        r"(?:account for|make up|represent|contribute|constitute|form|comprise)(?P<rest>.*)$",
        rf"\b{_SHARE}(?: of| constitution| (?:of )?contribution| composition)*(?: of)? (?P<b>.+?) "
        rf"(?:in (?:the )?{_WHOLE}|out of|among(?:st)?|over|relative to|to (?:the )?(?=total)|of (?:the )?{_WHOLE}|"
        r"as part of|within) ?(?:the )?(?P<a>.+)$",
        r"\b(?:anteil|pourcentage) (?:von|der|des|du|de la|de) (?P<b>.+?) (?:an|am|dans|sur) (?P<a>.+)$",
        rf"\b{_SHARE}(?: constitution| contribution| composition)? of (?P<b>.+?) (?:of|in|to) (?:the )?(?P<a>.+)$",
    )
)
_JOINS_A_SHARE = re.compile(rf"^(?:{_MADE}|constitution of|contribution of)\s+", re.I)


def _share(text: str, named: tuple[int, ...]) -> Request | None:
    if not _ANY_SHARE.search(text):
        return None
    if len(named) > 1:
        # "2019 sales as a percentage of 2018 sales": one thing in two years
        match = _SHARES[0].search(text) if len(named) == 2 else None
        if match is None or _bare(match["b"]).lower() != _bare(match["a"]).lower():
            return None
        return Request("share", (_bare(match["b"]),), "", (*years(match["b"]), *years(match["a"])), "share")
    for pattern in _SHARES:
        if (match := pattern.search(text)) is None:
            continue
        part, whole = (_JOINS_A_SHARE.sub("", _bare(match[name])).strip() for name in "ba")
        if part and whole:
            parts = re.split(r",? and ", part)
            several = (*parts, whole) if len(parts) == 2 else (part, whole)
            return Request("share", several, "", named, "share", part)
    return None


_AVERAGE = re.compile(
    r"\b(?:average|durchschnitt(?:liche[nrs]?)?|moyenne|promedio)\b|\bmean (?:of|value)\b|(?<=\bthe )mean\b(?! of)|"
    r"\bmedia de\b",
    re.I,
)
_WEIGHTED = re.compile(r"\b(?:weighted|moving|daily|remaining)[- ]average|average (?:of )?(?:the )?remaining\b", re.I)
_SUM = re.compile(
    r"\b(?:sum|total sum|total|combined total|combined|aggregate|summe|gesamtsumme|somme|suma)\b(?: amount| value)?",
    re.I,
)
_SURELY_SUM = re.compile(r"\b(?:sum of|combined|together|summe (?:von|der|aus)|somme d|suma de)\b", re.I)
# "Total revenue" is a figure of its own, unless years or things are put together.
_OVER_YEARS = re.compile(r"\b(?:both|between|from|over|through|across|combined)\b", re.I)
_OF_THINGS = re.compile(r"\btotal (?:amount |value )?of\b.+\band\b", re.I)
_OF_A_TOTAL = re.compile(
    r"^\W*(?:what|how)\b(?: (?:is|was|were|are|much))*\W+(?:the )?\s*(?:total|amount|value|number)? ?of\b", re.I
)
_PERIOD = re.compile(r"((?:19|20)\d\d)\s?(?:-|–|to|through|bis|and)\s?((?:19|20)\d\d)")


def _total(text: str, named: tuple[int, ...]) -> Request | None:
    """Read a sum or an average of one thing over years, or of several things."""
    kind: Kind = "average"
    match = _AVERAGE.search(text)
    compares = _CHANGE.search(text) or _DIFFERENCE.search(text)
    if match is None or _WEIGHTED.search(text) or compares:
        kind, match = "sum", _SURELY_SUM.search(text)
    if match is None:
        match = _SUM.search(text)
        together = (len(named) > 1 and _OVER_YEARS.search(text)) or _OF_THINGS.search(text)
        if match is None or compares or not together or _SHARES[0].search(text):
            return None
    if span := _PERIOD.search(text):
        if "and" not in span[0] and len(named) < 3:
            named = _all_years(int(span[1]), int(span[2]))
        elif re.search(r"\bbetween\b|\bperiod\b", text):
            named = _all_years(named[0], named[-1])
    rest = _OF_A_TOTAL.sub(" ", text[: match.start()] + " " + text[match.end() :])
    if len(named) > 1 or not (things := _things(rest)):
        return Request(kind, (_bare(rest),), "", named, kind)
    before = re.search(r"\b(?:for|between)\b (?:the )?.+ and .+$", rest, re.I)
    return Request(kind, things, _bare(rest[: before.start()]) if before else "", named, kind, _bare(rest))


def _all_years(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1)) if 0 < last - first <= 10 else (first, last)


_HOW_MUCH = re.compile(
    rf"\b(?:by )?how much (?:more |less )?(?:did|has|have|had|was|were)\b(?P<subject>.+?)\b{_MOVED}(?:e?d|n)?\b"
    r"(?: by)?",
    re.I,
)


def _change(text: str, named: tuple[int, ...]) -> Request | None:
    match = _HOW_MUCH.search(text)
    if match is not None:
        rest = f"{match['subject']} {text[match.end() :]}"
    else:
        # "The change in fair value" may be a line's name; between two years it is not, nor first in the question.
        lead = _LEAD.match(text)
        first = (lead.end() if lead else 0) + 1
        match = next((one for one in _CHANGE.finditer(text) if len(named) > 1 or one.start() <= first), None)
        if match is None:
            return None
        rest = text[: match.start()] + " " + text[match.end() :]
    if re.search(r"\baverage\b.*\bbetween\b.*-", rest, re.I):
        return None  # a change of averages: two calculations
    if len(named) < 2 and (pair := _pair(rest)):
        return Request("change", pair[0], pair[1], named, "change")
    kind: Kind = "decrease" if _FALL.search(text) else "change"
    return Request(kind, (_bare(rest),), "", _ends(named), kind)


_MORE = re.compile(
    r"^\W*how much (?:more|less|higher|lower|larger|smaller|greater) (?:is|was|were|are|did) "
    r"(?P<a>.+?) than (?P<b>.+)$",
    re.I,
)


def _difference(text: str, named: tuple[int, ...]) -> Request | None:
    if match := _MORE.match(text):
        return Request("difference", (_bare(match["a"]), _bare(match["b"])), "", named, "difference")
    if (match := _DIFFERENCE.search(text)) is None:
        return None
    rest = text[: match.start()] + " " + text[match.end() :]
    if len(named) > 1:
        # A difference has no sign unless it is called net.
        kind: Kind = "change" if match[0].lower().startswith("net") else "difference"
        return Request(kind, (_bare(rest),), "", _ends(named), "difference")
    pair = _pair(rest)
    return None if pair is None else Request("difference", pair[0], pair[1], named, "difference")


_YEAR_MARK = "\x00"  # replaces a year while the words around it are removed
_LEAD = re.compile(
    r"^\W*(?:(?:and|so|please|then),? )?(?:what(?:'s|’s| is| was| are| were| would be| will be)?|"
    r"how (?:much|many|large|big) (?:is|was|are|were)|"
    r"calculate|compute|determine|find|give me|tell me|wie (?:hoch|groß) (?:ist|war|sind|waren)|was (?:ist|war)|"
    r"quel(?:le)?s? (?:est|était|sont)|cuál (?:es|fue))\b\s*(?:the|die|der|das|la|le|el)?\s*",
    re.I,
)
# The words that lead to a year, at the end of what is before it.
_TO_A_YEAR = re.compile(
    r"\b(?:for|in|at|as (?:at|of)|between|from|to|of|during|over|both|(?:as )?compared (?:to|with)|versus|vs\.?|since|"
    r"and|through|years?|von|bis|zwischen|und|im|jahr|fiscal|financial|the|(?:over )?(?:the )?\d+[- ]years? period|"
    r"ended|ending|by)\b(?=\W*$)",
    re.I,
)
_AND = r"(?:and|to|und|et|y|as compared to|versus)"
_BETWEEN = r"(?:between|zwischen|entre|from(?!.*\bbetween\b))"
_PAIR = re.compile(rf"\b{_BETWEEN}\b (?:the )?(?P<a>(?:(?!\bbetween\b).)+?),? \b{_AND}\b (?:the )?(?P<b>.+)$", re.I)
_COMPARED = re.compile(
    r"\b(?:of|in|for)\b (?:the )?(?P<a>.+?),? (?:as compared to|compared to|compared with|versus)\b "
    r"(?:the )?(?P<b>.+)$",
    re.I,
)
_LIST = re.compile(r",\s+(?:and\s+)?|\s+and\s+|\s+und\s+|\s+et\s+|\s+y\s+|\s+plus\s+")
_BEFORE_A_NAME = re.compile(
    r"^\W*(?:in|of|for|the|a|an|from|between|to|both|is|was|were|are|did|by|der|die|das|des|von|de|la|le|du|del|"
    r"years?)\b",
    re.I,
)
_BEHIND_A_NAME = re.compile(
    r"\b(?:in|of|for|the|from|between|to|and|is|was|were|are|by|both|years?|compared|fiscal)\W*$", re.I
)


def _ends(named: tuple[int, ...]) -> tuple[int, ...]:
    return named if len(named) < 3 else (named[0], named[-1])


def _pair(text: str) -> tuple[tuple[str, str], str] | None:
    """Return two things that are compared, and the words for both."""
    match = _PAIR.search(text) or _COMPARED.search(text)
    if match is None or not _bare(match["a"]) or not _bare(match["b"]):
        return None
    return (_bare(match["a"]), _bare(match["b"])), _bare(text[: match.start()])


def _things(text: str) -> tuple[str, ...]:
    """Return the things of a list ("net bookings and in-game net bookings")."""
    match = re.search(r"\b(?:of|for|between)\b (?:the )?(?P<list>.+)$", text, re.I)
    listed = match["list"] if match else _bare(text)
    inner = re.search(r"\b(?:for|between|of) (?P<list>[^,]+(?:, [^,]+)*,? and .+)$", listed)
    parts = [re.sub(r"^(?:both|all) ", "", _bare(part)) for part in _LIST.split(inner["list"] if inner else listed)]
    return tuple(parts) if len(parts) > 1 and all(parts) else ()


def _bare(text: str) -> str:
    """Return the words that name a thing: without the question's opening, years, and what leads to them."""
    text = YEAR.sub(_YEAR_MARK, _LEAD.sub(" ", text.replace(_YEAR_MARK, " ")))
    before = ""
    while text != before:
        before = text
        text = re.sub(rf"{_YEAR_MARK}[\s,]*(?:-|–|and|to|und|bis)?[\s,]*{_YEAR_MARK}", _YEAR_MARK, text)
        *parts, last = text.split(_YEAR_MARK)
        text = _YEAR_MARK.join([*(_TO_A_YEAR.sub("", part).rstrip() for part in parts), last])
    text, before = text.replace(_YEAR_MARK, " "), ""
    while text != before:
        before = text
        text = _BEHIND_A_NAME.sub("", _BEFORE_A_NAME.sub("", text.strip())).strip()
    return " ".join(text.split()).strip(" ,;:")
