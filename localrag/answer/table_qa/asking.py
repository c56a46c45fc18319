"""What a question asks to have calculated (pure): the kind of calculation, of what, and for which years.

    "What was the percentage change in net sales from 2018 to 2019?"  -> percentage change of "net sales", 2018 and 2019
    "What percentage of total revenue came from services in 2019?"    -> share of "services" in "total revenue", 2019

Rules over words of English, and the plainest forms of German, French and Spanish. A question that only looks like one
("What is the total revenue?", "Why did costs change?", "What is the weighted average price?") is for a reader, and so
is one of more than one calculation. Whether the figures are there is `picking`'s part.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from localrag.answer.table_qa import phrases
from localrag.answer.table_qa.cells import YEAR, years

Kind = Literal[
    "change", "percentage change", "decrease", "percentage decrease", "difference", "sum", "average", "share", "ratio"
]  # fmt: skip
_LONGEST = 400
_YEAR = "\x00"  # stands for a year while its surroundings are cleared


@dataclass(frozen=True, slots=True)
class Wanted:
    """A calculation that is asked for.

    `subjects` are the things whose figures are needed, as the question words them: one for figures of several years,
    part (or parts) and whole for a share, else the things put together; `common` is what is said of all of them.
    `years` ascend (those of a ratio or share stand as they are said); `name` is the calculation in words. Of a list of
    things, `whole` is the list as one text, since one thing may be called "cash and securities".
    """

    kind: Kind
    subjects: tuple[str, ...]
    common: str = ""
    years: tuple[int, ...] = ()
    name: str = ""
    whole: str = ""


def wanted(question: str) -> Wanted | None:
    """The calculation that a question asks for; None where it asks for none, or for several."""
    text = " ".join(question.split()).rstrip("?.! ")
    if len(text) > _LONGEST or phrases.FOR_A_READER.search(text):
        return None
    told = _years(text)
    for way in (_ratio, _rate, _share, _mean, _summed, _moved, _apart):
        if (found := way(text, told)) is not None:
            return found
    return None


def words(wanted: Wanted) -> str:
    """All that a question says of what is calculated, each name behind a space."""
    return " " + " ".join([*wanted.subjects, wanted.common])


def _years(text: str) -> tuple[int, ...]:
    return tuple(sorted(years(text)))


def _between(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1)) if 0 < last - first <= 10 else (first, last)


def _ratio(text: str, told: tuple[int, ...]) -> Wanted | None:
    if len(told) == 2 and (match := phrases.RATIO_OF_YEARS.search(text)):
        said = [*years(match["a"]), *years(match["b"])]
        if len(said) == 2 and not _bare(match["b"]):
            return Wanted("ratio", (_bare(match["a"]),), "", tuple(said), "ratio")
    for pattern in phrases.RATIO:
        if (match := pattern.search(text)) and len(told) < 2:
            first, second = _bare(match["a"]), _bare(match["b"])
            if first and second:
                return Wanted("ratio", (first, second), "", told, "ratio")
    return None


def _rate(text: str, told: tuple[int, ...]) -> Wanted | None:
    match = phrases.RATE.search(text) or phrases.BY_PERCENT.search(text)
    if match is None:
        plain = phrases.CHANGE.search(text) or phrases.DIFFERENCE.search(text)
        if plain is None or not (aside := phrases.AS_PERCENT.search(text)):
            return None
        text = text[: aside.start()] + text[aside.end() :]
        match = plain
    rest = text[: match.start()] + " " + (match["rest"] if "rest" in match.groupdict() else "") + text[match.end() :]
    rest = re.sub(rf"\b{phrases.MOVED}(?:d|ed)?\b", " ", rest) if "rest" in match.groupdict() else rest
    if len(told) < 2 and (pair := _pair(rest)) and not _only_times(rest):
        return Wanted("percentage change", pair[0], pair[1], told, "percentage difference")
    kind: Kind = "percentage decrease" if phrases.FALL.search(text) else "percentage change"
    return Wanted(kind, (_bare(rest),), "", _ends(told), kind)


def _share(text: str, told: tuple[int, ...]) -> Wanted | None:
    if not phrases.SHARE.search(text):
        return None
    if len(told) > 1:
        # "2019 sales as a percentage of 2018 sales": one thing in two years
        match = phrases.SHARES[0].search(text) if len(told) == 2 else None
        if match is None or _bare(match["b"]).lower() != _bare(match["a"]).lower():
            return None
        return Wanted("share", (_bare(match["b"]),), "", (*years(match["b"]), *years(match["a"])), "share")
    for pattern in phrases.SHARES:
        if (match := pattern.search(text)) is None:
            continue
        part, whole = _shed(_bare(match["b"])), _shed(_bare(match["a"]))
        if part and whole:
            parts = re.split(r",? and ", part)
            several = (*parts, whole) if len(parts) == 2 else (part, whole)
            return Wanted("share", several, "", told, "share", part)
    return None


def _mean(text: str, told: tuple[int, ...]) -> Wanted | None:
    match = phrases.AVERAGE.search(text)
    if match is None or phrases.WEIGHTED.search(text) or _moves(text):
        return None
    return _many("average", text, match, told)


def _summed(text: str, told: tuple[int, ...]) -> Wanted | None:
    match = phrases.SUM_SURE.search(text)
    if match is None:
        match = phrases.SUM.search(text)
        if match is None or _moves(text) or phrases.SHARES[0].search(text):
            return None
        several = len(told) > 1 and phrases.SUM_SEVERAL.search(text)
        if not several and not phrases.SUM_OF_THINGS.search(text):
            return None
    return _many("sum", text, match, told)


def _moves(text: str) -> bool:
    return bool(phrases.CHANGE.search(text) or phrases.DIFFERENCE.search(text))


def _many(kind: Literal["sum", "average"], text: str, match: re.Match[str], told: tuple[int, ...]) -> Wanted:
    """What is taken together: one thing over years, or several things."""
    if span := phrases.PERIOD.search(text):
        if "and" not in span[0] and len(told) < 3:
            told = _between(int(span[1]), int(span[2]))
        elif re.search(r"\bbetween\b|\bperiod\b", text):
            told = _between(told[0], told[-1])
    rest = phrases.OF_A_TOTAL.sub(" ", text[: match.start()] + " " + text[match.end() :])
    things = _things(rest) if len(told) < 2 else ()
    if things:
        return Wanted(kind, things, _shared(rest), told, kind, _bare(rest))
    return Wanted(kind, (_bare(rest),), "", told, kind)


def _moved(text: str, told: tuple[int, ...]) -> Wanted | None:
    match = phrases.HOW_MUCH.search(text)
    if match is not None:
        rest = f"{match['subject']} {text[match.end() :]}"
    else:
        # "The change in fair value" may be the name of a line; between two years it is not, nor first in the question.
        lead = phrases.LEAD.match(text)
        first = (lead.end() if lead else 0) + 1
        found = [one for one in phrases.CHANGE.finditer(text) if len(told) > 1 or one.start() <= first]
        if not found:
            return None
        match = found[0]
        rest = text[: match.start()] + " " + text[match.end() :]
    if re.search(r"\baverage\b.*\bbetween\b.*-", rest, re.I):
        return None  # a change of averages: two calculations
    if len(told) < 2 and (pair := _pair(rest)) and not _only_times(rest):
        return Wanted("change", pair[0], pair[1], told, "change")
    kind: Kind = "decrease" if phrases.FALL.search(text) else "change"
    return Wanted(kind, (_bare(rest),), "", _ends(told), kind)


def _apart(text: str, told: tuple[int, ...]) -> Wanted | None:
    if match := phrases.MORE.match(text):
        return Wanted("difference", (_bare(match["a"]), _bare(match["b"])), "", told, "difference")
    if (match := phrases.DIFFERENCE.search(text)) is None:
        return None
    rest = text[: match.start()] + " " + text[match.end() :]
    if len(told) > 1:
        # A difference has no sign unless it is called net.
        kind: Kind = "change" if match[0].lower().startswith("net") else "difference"
        return Wanted(kind, (_bare(rest),), "", _ends(told), "difference")
    pair = _pair(rest)
    return None if pair is None else Wanted("difference", pair[0], pair[1], told, "difference")


# --- words --------------------------------------------------------------------------------------------------


def _ends(told: tuple[int, ...]) -> tuple[int, ...]:
    return told if len(told) < 3 else (told[0], told[-1])


def _pair(text: str) -> tuple[tuple[str, str], str] | None:
    """Two things put against each other, and what is said of both."""
    match = phrases.PAIR.search(text) or phrases.OF_PAIR.search(text)
    if match is None:
        return None
    first, second = match["a"], match["b"]
    before = _bare(text[: match.start()])
    if not _bare(first) or not _bare(second):
        return None
    return (_bare(first), _bare(second)), before


def _only_times(text: str) -> bool:
    match = phrases.PAIR.search(text) or phrases.OF_PAIR.search(text)
    return match is None or not (_bare(match["a"]) and _bare(match["b"]))


def _things(text: str) -> tuple[str, ...]:
    """The things of a list ("net bookings and in-game net bookings"), if it is one."""
    match = re.search(r"\b(?:of|for|between)\b (?:the )?(?P<list>.+)$", text, re.I)
    listed = match["list"] if match else _bare(text)
    inner = re.search(r"\b(?:for|between|of) (?P<list>[^,]+(?:, [^,]+)*,? and .+)$", listed)
    listed = inner["list"] if inner else listed
    parts = [_bare(part) for part in phrases.LISTED.split(listed)]
    parts = [re.sub(r"^(?:both|all) ", "", part) for part in parts]
    return tuple(parts) if len(parts) > 1 and all(parts) else ()


def _shared(text: str) -> str:
    match = re.search(r"\b(?:for|between)\b (?:the )?(?P<list>.+ and .+)$", text, re.I)
    return _bare(text[: match.start()]) if match else ""


def _shed(text: str) -> str:
    """Part and whole without the words that only join them."""
    return re.sub(rf"^(?:{phrases.MADE}|constitution of|contribution of)\s+", "", text, flags=re.I).strip()


def _bare(text: str) -> str:
    """The words that name a thing: without the opening of a question, years, and what leads to them."""
    text = YEAR.sub(_YEAR, phrases.LEAD.sub(" ", text.replace(_YEAR, " ")))
    before = ""
    while text != before:
        before = text
        text = re.sub(rf"{_YEAR}[\s,]*(?:-|–|and|to|und|bis)?[\s,]*{_YEAR}", _YEAR, text)
        *parts, last = text.split(_YEAR)
        text = _YEAR.join([*(phrases.TO_A_YEAR.sub("", part).rstrip() for part in parts), last])
    text, before = text.replace(_YEAR, " "), ""
    while text != before:
        before = text
        text = phrases.BEHIND_A_NAME.sub("", phrases.BEFORE_A_NAME.sub("", text.strip())).strip()
    return " ".join(text.split()).strip(" ,;:")
