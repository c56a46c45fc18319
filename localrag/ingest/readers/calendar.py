"""The text of a calendar (iCalendar, RFC 5545, and the older vCalendar): its events, tasks and notes, one by one."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from localrag.errors import ReadError
from localrag.ingest.readers.cleaning import clean
from localrag.types import Anchor, Heading, Page, Reading

_ENTRIES = {"VEVENT": "Event", "VTODO": "Task", "VJOURNAL": "Note"}
_LINE = re.compile(r'([\w-]+)((?:;[\w-]+(?:=(?:"[^"]*"|[^";:,]*)(?:,(?:"[^"]*"|[^";:,]*))*)?)*):(.*)', re.S)
_PARAMETER = re.compile(r';([\w-]+)(?:=("[^"]*"(?:,"[^"]*")*|[^";:]*))?')
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)?(Z?))?$")
_LENGTH = re.compile(r"([+-]?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$")
_DAYS = {
    "MO": "Monday", "TU": "Tuesday", "WE": "Wednesday", "TH": "Thursday", "FR": "Friday", "SA": "Saturday",
    "SU": "Sunday",
}  # fmt: skip
_MONTHS = (
    "January February March April May June July August September October November December"
).split()  # fmt: skip
_ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", -1: "last", -2: "second to last"}


@dataclass(frozen=True, slots=True)
class _Property:
    name: str
    parameters: dict[str, str]
    value: str  # as written

    @property
    def text(self) -> str:
        return re.sub(r"\\(.)", lambda match: "\n" if match[1] in "nN" else match[1], self.value, flags=re.S).strip()


@dataclass(slots=True)
class _Entry:
    kind: str
    properties: list[_Property] = field(default_factory=list)

    def all(self, name: str) -> Iterator[_Property]:
        return (item for item in self.properties if item.name == name)

    def first(self, name: str) -> _Property | None:
        return next(self.all(name), None)

    def text(self, name: str) -> str:
        found = self.first(name)
        return found.text if found else ""


def reading(raw: str) -> Reading:
    calendar, entries = _parse(raw)
    if not entries:
        if "BEGIN:VCALENDAR" not in raw.upper():
            raise ReadError("is damaged, or not a calendar", "Export it again from its calendar program.")
        raise ReadError("is a calendar without entries", "Export it again if it should have some.")
    pieces: list[str] = []
    headings: list[Heading] = []
    anchors: list[Anchor] = []
    size = 0
    for entry in entries:
        title = " ".join(clean(entry.text("SUMMARY")).split()) or _ENTRIES[entry.kind]
        block = clean("\n".join([title, *_lines(entry)])).rstrip()
        headings.append(Heading(size, 1, title[:200]))
        if start := _start(entry):
            anchors.append(Anchor(size, start))
        pieces.append(block)
        size += len(block) + 2
    page = Page("\n\n".join(pieces), headings=tuple(headings), anchors=tuple(anchors))
    only = entries[0] if len(entries) == 1 else None
    title = calendar.text("X-WR-CALNAME") or calendar.text("NAME") or (only.text("SUMMARY") if only else "")
    organizer = only.first("ORGANIZER") if only else None
    author = _person(organizer, short=True) if organizer else ""
    return Reading((page,), title, author=author, date=_iso(_start(only)) if only else "")


# --- the form ------------------------------------------------------------------------------------------------


def _parse(raw: str) -> tuple[_Entry, list[_Entry]]:
    """The properties of the calendar itself, and its entries without what lies inside them (alarms)."""
    calendar = _Entry("VCALENDAR")
    entries: list[_Entry] = []
    open_: list[str] = []
    for item in _properties(raw):
        kind = item.value.strip().upper()
        if item.name == "BEGIN":
            open_.append(kind)
            if kind in _ENTRIES:
                entries.append(_Entry(kind))
        elif item.name == "END":
            if kind in open_:
                while open_.pop() != kind:
                    pass
        elif open_ and open_[-1] in _ENTRIES:
            entries[-1].properties.append(item)
        elif open_ and open_[-1] == "VCALENDAR":
            calendar.properties.append(item)
    return calendar, entries


def _properties(raw: str) -> Iterator[_Property]:
    lines = re.sub(r"\n[ \t]", "", raw.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    index = 0
    while index < len(lines):
        line = lines[index]
        index += 1
        match = _LINE.match(line)
        if match is None:
            continue
        parameters = {name.upper(): value.strip('"') for name, value in _PARAMETER.findall(match[2])}
        value = match[3]
        if "QUOTED-PRINTABLE" in match[2].upper():
            while value.endswith("=") and index < len(lines):
                value = value[:-1] + lines[index].strip()
                index += 1
            value = binascii.a2b_qp(value.encode("utf-8", "replace")).decode("utf-8", "replace")
        yield _Property(match[1].upper(), parameters, value)


# --- an entry in words ---------------------------------------------------------------------------------------


def _lines(entry: _Entry) -> Iterator[str]:
    yield from (f"{name}: {text}" for name, text in _facts(entry) if text)
    if description := entry.text("DESCRIPTION") or _from_html(entry):
        yield ""
        yield description


def _facts(entry: _Entry) -> Iterator[tuple[str, str]]:
    yield "When", _when(entry)
    yield "Due", _moment(entry.first("DUE"))
    yield "Repeats", _repeats(entry)
    yield "Instead of", _moment(entry.first("RECURRENCE-ID"))
    yield "Where", ", ".join(entry.text("LOCATION").split("\n"))
    for name, label in (("ORGANIZER", "Organizer"), ("ATTENDEE", "Attendees")):
        yield label, ", ".join(filter(None, map(_person, entry.all(name))))
    status = entry.text("STATUS").lower()
    yield "Status", "" if status == "confirmed" else status.replace("-", " ")
    yield "Completed", _moment(entry.first("COMPLETED"))
    yield "Categories", ", ".join(filter(None, (item.text for item in entry.all("CATEGORIES"))))
    yield "Comment", entry.text("COMMENT")
    yield "Attached", ", ".join(item.value for item in entry.all("ATTACH") if item.value.startswith("http"))
    yield "Link", entry.text("URL")


def _from_html(entry: _Entry) -> str:
    html = entry.text("X-ALT-DESC")
    if not html:
        return ""
    from localrag.ingest.readers import web

    return web.text_of(html)[0]


def _person(item: _Property, short: bool = False) -> str:
    address = re.sub(r"^mailto:", "", item.text, flags=re.I)
    name = item.parameters.get("CN", "").strip()
    if short:
        return name or address
    said = f"{name} <{address}>" if name and name.lower() != address.lower() else address
    answer = {"DECLINED": "declined", "TENTATIVE": "tentative", "ACCEPTED": "accepted"}.get(
        item.parameters.get("PARTSTAT", "").upper()
    )
    return f"{said} ({answer})" if answer else said


def _start(entry: _Entry) -> str:
    """When it begins, or is due; without the time zone."""
    return (_moment(entry.first("DTSTART")) or _moment(entry.first("DUE"))).split(" (")[0]


def _iso(moment: str) -> str:
    try:
        datetime.fromisoformat(moment)
    except ValueError:
        return ""
    return moment.replace(" ", "T")


def _when(entry: _Entry) -> str:
    start, end = entry.first("DTSTART"), entry.first("DTEND")
    began, ended = _moment(start), _moment(end)
    if not began or not ended or ended == began:
        return began + (f", for {_length(entry.text('DURATION'))}" if began and entry.first("DURATION") else "")
    if start is not None and len(began) == 10 and len(ended) == 10:  # the end of whole days is the day after
        try:
            ended = str(date.fromisoformat(ended) - timedelta(days=1))
        except (ValueError, OverflowError):
            return began
        return began if ended <= began else f"{began} to {ended}"
    (clock, _, zone), (until, _, other) = began.partition(" ("), ended.partition(" (")
    if zone != other:
        return f"{began} to {ended}"
    until = until[11:] if until[:10] == clock[:10] else until
    return f"{clock} to {until}" + (f" ({zone}" if zone else "")


def _moment(item: _Property | None) -> str:
    """As in "2024-03-02 10:00 (Europe/Berlin)", with the time zone as it was written."""
    match = _DATE.match(item.value.strip()) if item else None
    if item is None or match is None:
        return item.text if item else ""
    year, month, day, hour, minute, second, utc = match.groups()
    if hour is None:
        return f"{year}-{month}-{day}"
    clock = f"{hour}:{minute}" + (f":{second}" if second not in (None, "00") else "")
    zone = "UTC" if utc else item.parameters.get("TZID", "")
    return f"{year}-{month}-{day} {clock}" + (f" ({zone})" if zone else "")


def _length(value: str) -> str:
    match = _LENGTH.match(value)
    if match is None:
        return value
    named = zip(match.groups()[1:], ("week", "day", "hour", "minute", "second"), strict=True)
    return " ".join(_plural(int(count), name) for count, name in named if count and int(count)) or "no time"


def _plural(count: int, name: str) -> str:
    return f"{count} {name}" if count == 1 else f"{count} {name}s"


# --- recurrence ----------------------------------------------------------------------------------------------


def _repeats(entry: _Entry) -> str:
    said = [_rule(item.value) for item in entry.all("RRULE")]
    also = [_moment(one) for item in entry.all("RDATE") for one in _apart(item)]
    except_ = [_moment(one) for item in entry.all("EXDATE") for one in _apart(item)]
    if also:
        said.append("also on " + ", ".join(also))
    if except_:
        said.append("except on " + ", ".join(except_))
    return "; ".join(filter(None, said))


def _apart(item: _Property) -> Iterator[_Property]:
    return (_Property(item.name, item.parameters, value) for value in item.value.split(",") if value)


def _rule(value: str) -> str:
    """As in "every 2 weeks on Monday and Friday, until 2024-12-31"; a rule that is not understood stays as written."""
    parts = dict(part.upper().split("=", 1) for part in value.strip().split(";") if "=" in part)
    units = {
        "YEARLY": "year", "MONTHLY": "month", "WEEKLY": "week", "DAILY": "day", "HOURLY": "hour", "MINUTELY": "minute",
        "SECONDLY": "second",
    }  # fmt: skip
    if parts.get("FREQ") not in units:
        return value
    interval = parts.get("INTERVAL", "1")
    unit = units[parts["FREQ"]]
    said = f"every {unit}" if interval == "1" else f"every {interval} {unit}s"
    place = [_ORDINALS.get(int(n), f"{n}th") for n in parts.get("BYSETPOS", "").split(",") if n.lstrip("-+").isdigit()]
    if "BYDAY" in parts:
        days = [_day(day) for day in parts["BYDAY"].split(",")]
        said += " on " + (f"the {_list(place)} of " if place else "") + _list(days)
    if "BYMONTHDAY" in parts:
        days = ["the last day" if day == "-1" else f"day {day}" for day in parts["BYMONTHDAY"].split(",")]
        said += " on " + _list(days) + (" of the month" if unit != "year" else "")
    if "BYMONTH" in parts:
        months = [int(month) for month in parts["BYMONTH"].split(",") if month.isdigit()]
        said += " in " + _list([_MONTHS[month - 1] for month in months if 1 <= month <= 12])
    if "COUNT" in parts:
        said += f", {parts['COUNT']} times"
    if "UNTIL" in parts:
        said += f", until {_moment(_Property('UNTIL', {}, parts['UNTIL']))}"
    return said


def _day(code: str) -> str:
    match = re.match(r"([+-]?\d+)?(MO|TU|WE|TH|FR|SA|SU)$", code.strip())
    if match is None:
        return code
    name = _DAYS[match[2]]
    return f"the {_ORDINALS.get(int(match[1]), match[1] + 'th')} {name}" if match[1] else name


def _list(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1] if words else ""]))
