"""Read which calculation a question asks for, of what, and for which years.

    "What percentage of total revenue came from services in 2019?"    -> share of "services" in "total revenue", 2019

English, and the plainest forms of German, French and Spanish. What is in doubt is left to the model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from localrag.quantities import YEAR, lazy_re, load_patterns, years

Kind = Literal[
    "change", "percentage change", "decrease", "percentage decrease", "difference", "sum", "average", "share", "ratio"
]
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


_PATTERNS = load_patterns("localrag.question", "calculation.txt")
_RATIO, _SHARES = (tuple(lazy_re(line, re.I) for line in _PATTERNS[name]) for name in ("ratio", "shares"))
_FORMS = {name: lazy_re(lines[0], re.I) for name, lines in _PATTERNS.items()}


def parse(question: str) -> Request | None:
    """Return the calculation that a question asks for, or None if it asks for none or for several."""
    text = " ".join(question.split()).rstrip("?.! ")
    if len(text) > _MAX_QUESTION or _FORMS["for_the_model"].search(text):
        return None
    named = tuple(sorted(years(text)))
    for read in (_ratio, _rate, _share, _total, _change, _difference):
        if (found := read(text, named)) is not None:
            return found
    return None


def _ratio(text: str, named: tuple[int, ...]) -> Request | None:
    if len(named) == 2 and (match := _FORMS["ratio_of_years"].search(text)):
        order = [*years(match["a"]), *years(match["b"])]
        if len(order) == 2 and not _bare(match["b"]):
            return Request("ratio", (_bare(match["a"]),), "", tuple(order), "ratio")
    for pattern in _RATIO:
        if (match := pattern.search(text)) and len(named) < 2:
            first, second = _bare(match["a"]), _bare(match["b"])
            if first and second:
                return Request("ratio", (first, second), "", named, "ratio")
    return None


def _rate(text: str, named: tuple[int, ...]) -> Request | None:
    match = _FORMS["rate"].search(text) or _FORMS["by_percent"].search(text)
    if match is None:
        match, aside = (
            _FORMS["change"].search(text) or _FORMS["difference"].search(text),
            _FORMS["as_percent"].search(text),
        )
        if match is None or aside is None:
            return None
        text = text[: aside.start()] + text[aside.end() :]
    rest = text[: match.start()] + " " + (match["rest"] if "rest" in match.groupdict() else "") + text[match.end() :]
    rest = _FORMS["movement"].sub(" ", rest) if "rest" in match.groupdict() else rest
    if len(named) < 2 and (pair := _pair(rest)):
        return Request("percentage change", pair[0], pair[1], named, "percentage difference")
    kind: Kind = "percentage decrease" if _FORMS["fall"].search(text) else "percentage change"
    return Request(kind, (_bare(rest),), "", _ends(named), kind)


def _share(text: str, named: tuple[int, ...]) -> Request | None:
    if not _FORMS["any_share"].search(text):
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
        part, whole = _bare(match["b"]), _bare(match["a"])
        if part and whole:
            parts = re.split(r",? and ", part)
            several = (*parts, whole) if len(parts) == 2 else (part, whole)
            return Request("share", several, "", named, "share", part)
    return None


def _total(text: str, named: tuple[int, ...]) -> Request | None:
    """Read a sum or an average of one thing over years, or of several things."""
    kind: Kind = "average"
    match = _FORMS["average"].search(text)
    compares = _FORMS["change"].search(text) or _FORMS["difference"].search(text)
    if match is None or _FORMS["weighted"].search(text) or compares:
        kind, match = "sum", _FORMS["surely_sum"].search(text)
    if match is None:
        match = _FORMS["sum"].search(text)
        together = (len(named) > 1 and _FORMS["over_years"].search(text)) or _FORMS["of_things"].search(text)
        if match is None or compares or not together or _SHARES[0].search(text):
            return None
    if span := _FORMS["period"].search(text):
        if "and" not in span[0] and len(named) < 3:
            named = _all_years(int(span[1]), int(span[2]))
        elif re.search(r"\bbetween\b|\bperiod\b", text):
            named = _all_years(named[0], named[-1])
    rest = _FORMS["of_a_total"].sub(" ", text[: match.start()] + " " + text[match.end() :])
    if len(named) > 1 or not (things := _things(rest)):
        return Request(kind, (_bare(rest),), "", named, kind)
    before = re.search(r"\b(?:for|between)\b (?:the )?.+ and .+$", rest, re.I)
    return Request(kind, things, _bare(rest[: before.start()]) if before else "", named, kind, _bare(rest))


def _all_years(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1)) if 0 < last - first <= 10 else (first, last)


def _change(text: str, named: tuple[int, ...]) -> Request | None:
    match = _FORMS["how_much"].search(text)
    if match is not None:
        rest = f"{match['subject']} {text[match.end() :]}"
    else:
        # "The change in fair value" may be a line's name; between two years it is not, nor first in the question.
        lead = _FORMS["lead"].match(text)
        first = (lead.end() if lead else 0) + 1
        match = next((one for one in _FORMS["change"].finditer(text) if len(named) > 1 or one.start() <= first), None)
        if match is None:
            return None
        rest = text[: match.start()] + " " + text[match.end() :]
    if re.search(r"\baverage\b.*\bbetween\b.*-", rest, re.I):
        return None  # a change of averages: two calculations
    if len(named) < 2 and (pair := _pair(rest)):
        return Request("change", pair[0], pair[1], named, "change")
    kind: Kind = "decrease" if _FORMS["fall"].search(text) else "change"
    return Request(kind, (_bare(rest),), "", _ends(named), kind)


def _difference(text: str, named: tuple[int, ...]) -> Request | None:
    if match := _FORMS["more"].match(text):
        return Request("difference", (_bare(match["a"]), _bare(match["b"])), "", named, "difference")
    if (match := _FORMS["difference"].search(text)) is None:
        return None
    rest = text[: match.start()] + " " + text[match.end() :]
    if len(named) > 1:
        # A difference has no sign unless it is called net.
        kind: Kind = "change" if match[0].lower().startswith("net") else "difference"
        return Request(kind, (_bare(rest),), "", _ends(named), "difference")
    pair = _pair(rest)
    return None if pair is None else Request("difference", pair[0], pair[1], named, "difference")


def _ends(named: tuple[int, ...]) -> tuple[int, ...]:
    return named if len(named) < 3 else (named[0], named[-1])


def _pair(text: str) -> tuple[tuple[str, str], str] | None:
    """Return two things that are compared, and the words for both."""
    match = _FORMS["pair"].search(text) or _FORMS["compared"].search(text)
    if match is None or not _bare(match["a"]) or not _bare(match["b"]):
        return None
    return (_bare(match["a"]), _bare(match["b"])), _bare(text[: match.start()])


def _things(text: str) -> tuple[str, ...]:
    """Return the things of a list ("net bookings and in-game net bookings")."""
    match = re.search(r"\b(?:of|for|between)\b (?:the )?(?P<list>.+)$", text, re.I)
    listed = match["list"] if match else _bare(text)
    inner = re.search(r"\b(?:for|between|of) (?P<list>[^,]+(?:, [^,]+)*,? and .+)$", listed)
    parts = [
        re.sub(r"^(?:both|all) ", "", _bare(part)) for part in _FORMS["list"].split(inner["list"] if inner else listed)
    ]
    return tuple(parts) if len(parts) > 1 and all(parts) else ()


def _bare(text: str) -> str:
    """Return the words that name a thing: without the question's opening, years, and small words around it."""
    text, before = YEAR.sub(" ", _FORMS["lead"].sub(" ", text)), ""
    while text != before:
        before = text
        text = _FORMS["behind_a_name"].sub("", _FORMS["before_a_name"].sub("", text.strip())).strip()
    return " ".join(text.split()).strip(" ,;:")
