"""Questions about dates that need no document (pure): how long from one to another, which date is so long after one,
which weekday one is.

Days are counted from the first date to the second, so that the first does not count and the last does; what they are
with both counted is said beside it. A month later is the same day of the next month, or its last day where it has no
such day. Business days are Monday to Friday: public holidays differ from place to place and are not known. A date that
can be read in two ways is answered both ways, unless both come to the same.
"""

from __future__ import annotations

import re
from calendar import isleap, monthrange
from collections.abc import Callable
from datetime import MAXYEAR, MINYEAR, date, timedelta
from functools import partial

from localrag import quantities
from localrag.quantities import DateMention as Written
from localrag.quantities import format_date as said
from localrag.quantities import plural as counted

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_UNITS = {
    "day": "day", "calendar day": "day", "tag": "day", "tage": "day", "tagen": "day",
    "business day": "business day", "working day": "business day", "weekday": "business day",
    "work day": "business day",
    "arbeitstage": "business day", "arbeitstag": "business day", "arbeitstagen": "business day",
    "werktage": "", "werktag": "",  # German law counts Saturdays among them, or not
    "week": "week", "woche": "week", "wochen": "week",
    "month": "month", "calendar month": "month", "monat": "month", "monate": "month", "monaten": "month",
    "year": "year", "jahr": "year", "jahre": "year", "jahren": "year",
}  # fmt: skip
_UNIT = (
    r"(?P<unit>(?:calendar |business |working |work )?(?:days?|weeks?|months?|years?)|weekdays|arbeitstagen?|"
    r"arbeitstage?|tagen?|tage?|wochen?|monaten?|monate?|jahren?|jahre?)"
)
_D = r"(?:the )?(?P<{0}>[^?]+?)"
_ONE, _TWO = _D.format("one"), _D.format("two")
_ASIDE = r"(?P<aside>,? \(?(?:inclusive(?:ly)?|exclusive(?:ly)?|both (?:days|dates|ends) (?:included|counted))\)?)?"
_END = r"\s*[?.!]*$"
_BETWEEN = (
    rf"(?:between {_ONE} and {_TWO}|from {_ONE.replace('one', 'from')} (?:to|until|till|through) "
    rf"{_TWO.replace('two', 'to')})"
)

_HOW_LONG = re.compile(
    rf"^(?:(?:exactly )?how many {_UNIT} (?:are |is |were |lie |passed |elapsed |pass |did pass |have passed "
    rf")?(?:there |in )?"
    rf"|(?:what is |what's |calculate |compute |count |give me )?(?:the )?number of "
    rf"{_UNIT.replace('<unit>', '<unit2>')} "
    rf"|(?:count |calculate )?(?:the )?{_UNIT.replace('<unit>', '<unit3>')} "
    rf"|(?:how long is it|how much time (?:is there|passed|lies)|"
    rf"(?:what is |what's )?(?:the )?(?:time|span|period|difference|duration|time span)"
    rf"(?: in (?P<unit4>days|weeks|months|years))?) )"
    rf"{_BETWEEN}{_ASIDE}{_END}",
    re.I,
)
_ASKED = (
    r"^(how many (?:(?:business|working|calendar) )?\w+)"
    r"(?: (?:are there|are left|is it|left|remain|have passed|passed))?"
)
_UNTIL = re.compile(rf"{_ASKED} (?:until|till) (.+?)[?.! ]*$", re.I)
_SINCE = re.compile(rf"{_ASKED} since (.+?)[?.! ]*$", re.I)
_HOW_LONG_GERMAN = re.compile(
    rf"^wie ?viele {_UNIT} (?:liegen|sind|sind es|vergehen|vergingen|lagen) (?:zwischen (?:dem )?(?P<one>.+?) "
    rf"und (?:dem )?(?P<two>.+?)"
    rf"|(?:es )?(?:vom|von) (?P<from>.+?) bis (?:zum )?(?P<to>.+?)){_END}",
    re.I,
)
_COUNT = r"(?P<count>\d{1,5}|an?|one|two|three|four|five|six|seven|eight|nine|ten|twelve)"
_NUMBERS = {
    word: n for n, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())
}
_ASKING = (
    r"(?:(?:(?:what|which) (?:calendar )?(?:date|day)(?: of the (?:week|month))? (?:is|was|falls|will be|would "
    r"be|comes)(?: it)?|what is|what's|when is|when was|calculate|"
    r"compute|find)(?: the date)? )?(?:the (?:date|day) )?(?:that is |falling )?"
)
_SHIFTED = (
    re.compile(
        (
            rf"^{_ASKING}(?:exactly )?{_COUNT} {_UNIT} (?P<way>after|before|from|following|prior to|past|later than|"
            rf"earlier than|ahead of) {_ONE}{_END}"
        ),
        re.I,
    ),
    re.compile(rf"^{_ASKING}(?:add )?{_ONE} (?P<way>plus|minus|\+|-|−) {_COUNT} {_UNIT}{_END}", re.I),
    re.compile(rf"^(?P<way>add|subtract) {_COUNT} {_UNIT} (?:to|from) {_ONE}{_END}", re.I),
    re.compile(
        (
            rf"^(?:welches datum|welcher tag|was) (?:ist|war|liegt) {_COUNT} {_UNIT} (?P<way>nach|vor) (?:dem "
            rf")?{_ONE}{_END}"
        ),
        re.I,
    ),
)
_BACK = frozenset({"before", "prior to", "minus", "-", "−", "subtract", "vor", "earlier than", "ahead of"})
_WHICH_WEEKDAY = (
    re.compile(
        rf"^(?:(?:on )?(?:which|what) (?:weekday|day(?: of the week)?) (?:is|was|will|did|does|fell|falls|will "
        rf"be)(?: it)?(?: on)? {_ONE}(?: be| fall| fall on)?(?: on)?"
        rf"|(?:the )?weekday of {_ONE.replace('one', 'from')}){_END}",
        re.I,
    ),
    re.compile(
        (
            rf"^(?:welcher (?:wochentag|tag) (?:ist|war)|(?:auf|an) (?:welchen|welchem) wochentag (?:fällt|fiel|war|"
            rf"ist)) (?:der )?{_ONE}{_END}"
        ),
        re.I,
    ),
    re.compile(
        (
            rf"^(?:is|was|will) {_ONE} (?:be )?(?:on )?an? (?P<guess>monday|tuesday|wednesday|thursday|friday|"
            rf"saturday|sunday|weekend|weekday|business day|working day){_END}"
        ),
        re.I,
    ),
)
_WEEK = re.compile(
    rf"^(?:(?:what|which) (?:calendar |iso )?week(?: number| of the year)? (?:is|was|does|did)(?: it on)? "
    rf"{_ONE}(?: in| fall in(?:to)?| belong to)?"
    rf"|(?:in )?welche[rn]? kalenderwoche (?:ist|war|liegt|fällt|lag) (?:der )?{_ONE.replace('one', 'from')}){_END}",
    re.I,
)


def answer(question: str, today: date | None = None) -> str | None:
    """The answer to a question about dates alone, with how it was counted; None where it is not one.

    Args:
        question: one line.
        today: what "today" means; without, a question that says it is not taken.
    """
    for way in (_how_long, _shifted, _weekday, _week, _length):
        if (told := way(question, today)) is not None:
            return told
    return None


def _how_long(question: str, today: date | None) -> str | None:
    question = _SINCE.sub(r"\1 from \2 to today", _UNTIL.sub(r"\1 from today to \2", question))
    match = _HOW_LONG.match(question) or _HOW_LONG_GERMAN.match(question)
    if match is None:
        return None
    groups = match.groupdict()
    unit = _unit(groups.get("unit") or groups.get("unit2") or groups.get("unit3") or groups.get("unit4") or "")
    one, two = groups["one"] or groups["from"], groups["two"] or groups["to"]
    months = (quantities.parse_month(one), quantities.parse_month(two))
    if unit in ("month", "year") and all(months):
        return _months_between(months[0], months[1], unit)
    first, second = _date(one, today), _date(two, today)
    if unit is None or first is None or second is None:
        return None
    both = "inclusive" in (groups.get("aside") or "") or "both" in (groups.get("aside") or "")
    return _each_reading((first, second), lambda pair: _between(pair[0], pair[1], unit, both))


def _unit(written: str) -> str | None:
    """The unit in one word; "" where the question names none, None where it is not clear."""
    if not written:
        return ""
    name = written.lower()
    found = _UNITS.get(name, _UNITS.get(name.removesuffix("s")))
    return found or None


def _between(first: date, second: date, unit: str, both: bool) -> str:
    if second < first:
        first, second = second, first
    days = (second - first).days
    told = f"From {said(first)} to {said(second)}: "
    if unit == "business day":
        count = _business_days(first, second)
        inside = _business_days(first - timedelta(days=1), second)
        told += f"{counted(count, unit)}" + (f", {inside:,} with both dates counted" if inside != count else "")
        return (
            f"{told}. Monday to Friday; public holidays are not taken off. The first date is not counted, the last is."
        )
    told_days = f"{counted(days, 'day')} (the first date is not counted, the last is; with both counted {days + 1:,})"
    if both:
        told_days = f"{counted(days + 1, 'day')} with both dates counted ({days:,} without the first)"
    parts = _in_parts(first, second)
    if unit == "week":
        weeks, rest = divmod(days, 7)
        pieces = [counted(weeks, "week"), *([counted(rest, "day")] if rest or not weeks else [])]
        return f"{told}{_joined(pieces)}, which is {told_days}."
    if unit in ("month", "year"):
        months, rest = _whole_months(first, second)
        years, left = divmod(months, 12)
        pieces = (
            [counted(months, "month")]
            if unit == "month"
            else [counted(years, "year"), *([counted(left, "month")] if left else [])]
        )
        if rest:
            pieces.append(counted(rest, "day"))
        return f"{told}{_joined(pieces)}, which is {told_days}.{_rule(first, second)}"
    return f"{told}{told_days}" + (f"; that is {parts}." if parts else ".")


def _in_parts(first: date, second: date) -> str:
    months, rest = _whole_months(first, second)
    if not months:
        return ""
    pieces = [counted(n, name) for n, name in ((months // 12, "year"), (months % 12, "month"), (rest, "day")) if n]
    return _joined(pieces)


def _months_between(first: tuple[int, int] | None, second: tuple[int, int] | None, unit: str) -> str | None:
    if first is None or second is None:
        return None
    months = abs((second[0] - first[0]) * 12 + second[1] - first[1])
    names = [said(date(*pair, 1)).partition(" ")[2] for pair in sorted((first, second))]
    told = f"From {names[0]} to {names[1]}: {counted(months, 'month')} ({months + 1:,} with both months counted)"
    return told + (
        f", or {_joined([counted(months // 12, 'year'), counted(months % 12, 'month')])}." if months >= 12 else "."
    )


def _whole_months(first: date, second: date) -> tuple[int, int]:
    """Whole months from the first date on, and the days that are left."""
    months = (second.year - first.year) * 12 + second.month - first.month
    if _later(first, months) > second:
        months -= 1
    return months, (second - _later(first, months)).days


def _later(day: date, months: int) -> date:
    """The same day so many months later, or the last of its month.

    Raises:
        OverflowError: the calendar ends before.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not MINYEAR <= year <= MAXYEAR:
        raise OverflowError(f"the year {year}")
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def _rule(first: date, second: date) -> str:
    """What is said where a month has no such day."""
    return " A month that has no such day is counted to its last day." if first.day > 28 else ""


def _business_days(first: date, second: date) -> int:
    """Mondays to Fridays after the first date, up to the second."""
    weeks, rest = divmod((second - first).days, 7)
    return weeks * 5 + sum((first + timedelta(days=n)).weekday() < 5 for n in range(1, rest + 1))


# --- a date so long after another ---------------------------------------------------------------------------


def _shifted(question: str, today: date | None) -> str | None:
    for pattern in _SHIFTED:
        if (match := pattern.match(question)) is None:
            continue
        day, unit, count = _date(match["one"], today), _unit(match["unit"]), match["count"].lower()
        if day is None or not unit:
            continue
        number = 1 if count in ("a", "an") else _NUMBERS.get(count) or int(count)
        back = match["way"].lower() in _BACK
        try:
            return _each_reading((day,), partial(_moved, count=-number if back else number, unit=unit))
        except OverflowError:
            return None
    return None


def _moved(days: tuple[date, ...], count: int, unit: str) -> str:
    (day,), note = days, ""
    if unit in ("month", "year"):
        target = _later(day, count * (12 if unit == "year" else 1))
        if target.day != day.day:
            note = (
                f" {said(target).partition(' ')[2]} has no {day.day}th, so its last day is taken."
                if day.day != 31
                else (f" {said(target).partition(' ')[2]} has no 31st, so its last day is taken.")
            )
    elif unit == "business day":
        target = _business(day, count)
        note = " Monday to Friday; public holidays are not taken off."
    else:
        target = day + timedelta(days=count * (7 if unit == "week" else 1))
    if unit != "business day" and abs(count) and unit in ("day", "week"):
        note = f" {said(day)} itself is not counted."
    way = "after" if count >= 0 else "before"
    return f"{counted(abs(count), unit)} {way} {_named(day)} is {_named(target)}.{note}"


def _business(day: date, count: int) -> date:
    step = 1 if count > 0 else -1
    weeks, left = divmod(abs(count), 5)
    if day.weekday() >= 5 and abs(count):  # from a weekend on, the count begins at the next business day
        day -= timedelta(days=step * ((day.weekday() - 4) if step > 0 else 7 - day.weekday()))
    day += timedelta(days=step * 7 * weeks)
    while left:
        day += timedelta(days=step)
        left -= day.weekday() < 5
    return day


# --- weekdays and weeks -------------------------------------------------------------------------------------


def _weekday(question: str, today: date | None) -> str | None:
    for pattern in _WHICH_WEEKDAY:
        if (match := pattern.match(question)) is None:
            continue
        groups = match.groupdict()
        day = _date(groups["one"] or groups.get("from") or "", today)
        if day is None:
            continue
        guess = (groups.get("guess") or "").capitalize()
        return _each_reading((day,), partial(_told_weekday, guess=guess))
    return None


def _told_weekday(days: tuple[date, ...], guess: str) -> str:
    (day,) = days
    told = f"{said(day)} is a {_WEEKDAYS[day.weekday()]}."
    if not guess:
        return told
    right = {"Weekend": day.weekday() >= 5}.get(guess, day.weekday() < 5)
    if guess in _WEEKDAYS:
        right = _WEEKDAYS[day.weekday()] == guess
    return f"{'Yes' if right else 'No'}: {told}"


def _week(question: str, today: date | None) -> str | None:
    match = _WEEK.match(question)
    day = _date(match["one"] or match["from"], today) if match else None
    if day is None:
        return None
    return _each_reading((day,), lambda days: _told_week(days[0]))


def _told_week(day: date) -> str:
    year, week, _ = day.isocalendar()
    return f"{_named(day)} is in week {week} of {year} (ISO 8601: weeks begin on Monday, week 1 holds 4 January)."


_LEAP = re.compile(rf"^(?:is|was|will) (?P<year>\d{{4}}) (?:be )?a leap[- ]year{_END}", re.I)
_IN_MONTH = re.compile(
    rf"^how many days (?:does|did|are (?:there )?in|were (?:there )?in) (?P<month>.+?)(?: have)?{_END}", re.I
)


def _length(question: str, today: date | None) -> str | None:
    """Leap years, and the days of a month."""
    if match := _LEAP.match(question):
        days = 366 if isleap(int(match["year"])) else 365
        return f"{'Yes' if days == 366 else 'No'}: {match['year']} has {days} days."
    if (match := _IN_MONTH.match(question)) and (named := quantities.parse_month(match["month"])):
        return f"{said(date(*named, 1)).partition(' ')[2]} has {monthrange(*named)[1]} days."
    return None


# --- what is said -------------------------------------------------------------------------------------------


def _date(text: str, today: date | None) -> Written | None:
    text = text.strip().strip(",")
    for name in _WEEKDAYS:  # "Monday, 3 March 2024"
        text = re.sub(rf"^(?:on )?{name},? ", "", text, flags=re.I)
    if text.lower() in ("today", "now", "heute"):
        return Written(0, len(text), text, (("", today),)) if today else None
    return quantities.parse_date(text)


def _each_reading(written: tuple[Written, ...], told: Callable[[tuple[date, ...]], str]) -> str:
    """The answer for each way in which the dates can be read, all of them in the same order."""
    orders = [name for name in ("day/month", "month/day") if all(_as(one, name) for one in written)]
    answers: dict[str, str] = {}
    for name in orders:
        days = tuple(day for one in written if (day := _as(one, name)))
        answers.setdefault(told(days), name)
    if len(answers) == 1:
        ((only, order),) = answers.items()
        slashed = [one.text for one in written if one.readings[0][0]]
        return only + (
            f" {_listed(slashed)} {'is' if len(slashed) == 1 else 'are'} read as {order}."
            if slashed and len(orders) < 2
            else ""
        )
    slashed = [one.text for one in written if len(one.readings) > 1]
    lines = [f"- {order}: {only}" for only, order in answers.items()]
    return "\n".join([f"{_listed(slashed)} can be read in two ways:", *lines])


def _as(written: Written, order: str) -> date | None:
    return next((day for name, day in written.readings if name in ("", order)), None) or (
        written.certain if written.readings[0][0] in ("", order) else None
    )


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _listed(texts: list[str]) -> str:
    return " and ".join(f"“{text}”" for text in dict.fromkeys(texts))


def _named(day: date) -> str:
    return f"{_WEEKDAYS[day.weekday()]}, {said(day)}"
