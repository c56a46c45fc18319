"""Read calendars (ICS) and transcripts (VTT, SRT): text whose locations are times.

Each entry of a calendar is a block under its summary; repetitions are described, not expanded. Captions of a transcript
are joined to one line for each turn of a speaker, and each caption keeps its time.
"""

from __future__ import annotations

import calendar
import datetime
import html
import re
from collections.abc import Iterable, Iterator
from typing import Any

from localrag.errors import ReadError
from localrag.ingest.readers.source import Options, Source, another_kind
from localrag.ingest.readers.text import decode_guessing
from localrag.text import clean
from localrag.types import Anchor, Heading, Page, Reading


def read(source: Source, options: Options) -> Reading:
    if other := another_kind(source, "text"):
        raise other
    text = decode_guessing(source.read())[0]
    return _read_calendar(text) if source.suffix == ".ics" else _read_transcript(text)


# --- calendars --------------------------------------------------------------------------------------------------

_ENTRIES = {"VEVENT": "Event", "VTODO": "Task", "VJOURNAL": "Note"}
_DAYS = {name[:2].upper(): name for name in calendar.day_name}
_DAY = re.compile(r"^\+?(-?\d+)?(MO|TU|WE|TH|FR|SA|SU)$")
_RULE_PARTS = {
    "FREQ": "{}",
    "INTERVAL": "every {}",
    "BYDAY": "on {}",
    "BYMONTHDAY": "on day {}",
    "BYMONTH": "in month {}",
    "COUNT": "{} times",
    "UNTIL": "until {}",
}


def _read_calendar(raw: str) -> Reading:
    from icalendar import Calendar

    if "BEGIN:VCALENDAR" not in raw.upper():
        raise ReadError("is damaged, or not a calendar", "Export it again from its calendar program.")
    try:
        calendars = Calendar.from_ical(raw.lstrip("\ufeff"), multiple=True)
    except (ValueError, IndexError, KeyError) as error:
        raise ReadError(f"is a damaged calendar ({error})"[:300], "Export it again from its program.") from error
    entries = [entry for one in calendars for entry in one.walk() if entry.name in _ENTRIES]
    if not entries:
        raise ReadError("is a calendar without entries", "Export it again if it should have some.")
    pieces: list[str] = []
    headings: list[Heading] = []
    anchors: list[Anchor] = []
    size = 0
    for entry in entries:
        title = " ".join(clean(_text(entry, "SUMMARY")).split()) or _ENTRIES[str(entry.name)]
        pieces.append(clean("\n".join([title, *_lines(entry)])).rstrip())
        headings.append(Heading(size, 1, title[:200]))
        if start := _moment(entry.get("DTSTART") or entry.get("DUE")).split(" (")[0]:
            anchors.append(Anchor(size, start))
        size += len(pieces[-1]) + 2
    page = Page("\n\n".join(pieces), headings=tuple(headings), anchors=tuple(anchors))
    title = _text(calendars[0], "X-WR-CALNAME") or _text(calendars[0], "NAME")
    if len(entries) > 1:
        return Reading((page,), title)
    organizer = next(iter(_all(entries[0], "ORGANIZER")), None)
    author = str(organizer.params.get("CN", "")) or _person(organizer) if organizer else ""
    date = re.match(r"\d{4}-\d\d-\d\d(?: \d\d:\d\d)?", _moment(entries[0].get("DTSTART")))
    return Reading((page,), title or headings[0].title, author=author, date=date[0].replace(" ", "T") if date else "")


def _lines(entry: Any) -> Iterator[str]:
    facts = (
        ("When", _when(entry)),
        ("Due", _moment(entry.get("DUE"))),
        ("Repeats", _repeats(entry)),
        ("Instead of", _moment(entry.get("RECURRENCE-ID"))),
        ("Where", ", ".join(_text(entry, "LOCATION").split("\n"))),
        ("Organizer", ", ".join(map(_person, _all(entry, "ORGANIZER")))),
        ("Attendees", ", ".join(map(_person, _all(entry, "ATTENDEE")))),
        ("Status", _text(entry, "STATUS").lower().replace("-", " ").removeprefix("confirmed")),
        ("Completed", _moment(entry.get("COMPLETED"))),
        ("Categories", ", ".join(", ".join(map(str, getattr(x, "cats", [x]))) for x in _all(entry, "CATEGORIES"))),
        ("Comment", _text(entry, "COMMENT")),
        ("Link", _text(entry, "URL")),
    )
    yield from (f"{name}: {text}" for name, text in facts if text)
    if description := _text(entry, "DESCRIPTION"):
        yield from ("", description)


def _all(entry: Any, name: str) -> list[Any]:
    found = entry.get(name)
    return found if isinstance(found, list) else [] if found is None else [found]


def _text(entry: Any, name: str) -> str:
    return "\n".join(str(item) for item in _all(entry, name)).strip()


def _person(person: Any) -> str:
    address, name = re.sub(r"^mailto:", "", str(person), flags=re.I), str(person.params.get("CN", "")).strip()
    shown = f"{name} <{address}>" if name and name.lower() != address.lower() else address
    answer = str(person.params.get("PARTSTAT", "")).lower()
    return f"{shown} ({answer})" if answer in ("declined", "tentative", "accepted") else shown


def _moment(item: Any) -> str:
    """Return a moment as "2024-03-02 10:00 (Europe/Berlin)", with the time zone as it was written."""
    if isinstance(item, str):  # icalendar did not understand it
        return str(item)
    moment = getattr(item, "dt", None)
    if not isinstance(moment, datetime.datetime):
        return str(moment) if isinstance(moment, datetime.date) else ""
    time = f"{moment:%Y-%m-%d %H:%M:%S}".removesuffix(":00")
    zone = item.params.get("TZID") or ("UTC" if moment.utcoffset() == datetime.timedelta() else "")
    return f"{time} ({zone})" if zone else time


def _when(entry: Any) -> str:
    start, end = _moment(entry.get("DTSTART")), _moment(entry.get("DTEND"))
    if not start or not end or end == start:
        duration = entry.get("DURATION")
        length = getattr(duration, "dt", None) if not isinstance(duration, str) else None
        return f"{start}, for {length} hours".replace(":00 hours", " hours") if start and length else start
    if len(start) == len(end) == 10:  # whole days end on the day after the last
        last = str(entry["DTEND"].dt - datetime.timedelta(days=1))
        return start if last <= start else f"{start} to {last}"
    (begin, _, zone), (until, _, other) = start.partition(" ("), end.partition(" (")
    if zone != other:
        return f"{start} to {end}"
    until = until[11:] if until[:10] == begin[:10] else until
    return f"{begin} to {until}" + (f" ({zone}" if zone else "")


def _repeats(entry: Any) -> str:
    rules = [_rule(rule) for rule in _all(entry, "RRULE")]
    for name, word in (("RDATE", "also on"), ("EXDATE", "except on")):
        dates = [_moment(date) for item in _all(entry, name) if not isinstance(item, str) for date in item.dts]
        rules += [f"{word} {', '.join(dates)}"] if dates else []
    return "; ".join(rules)


def _rule(rule: Any) -> str:
    """Return a recurrence as "weekly, on Monday, Friday, until 2024-12-31"; rare parts stay as written."""
    if isinstance(rule, str):
        return str(rule)
    words: list[str] = []
    for name, values in rule.items():
        texts = (_DAY.sub(lambda day: f"{day[1] or ''}. {_DAYS[day[2]]}".lstrip(". "), str(value)) for value in values)
        listed = ", ".join(texts)
        listed = {"UNTIL": listed[:10], "FREQ": listed.lower()}.get(name, listed)
        words.append(_RULE_PARTS.get(name, f"{name}={{}}").format(listed))
    return ", ".join(words)


# --- transcripts ------------------------------------------------------------------------------------------------

_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_CUE_LINE = re.compile(rf"^\s*{_TIME}\s*-+>\s*{_TIME}")
# Bounded, so that a caption full of opening brackets takes no time.
_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,100})?[ \t]{1,9}([^<>]{1,200})>")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|<\d[\d:.]{0,20}>|\{\\[^{}]{0,200}\}")
_SPEAKER = re.compile(r"^([^\W\d_][\w.'’ -]{0,40}(?: \([^)]{1,30}\))?): +(?=\S)")
_DASH = re.compile(r"[-–—]\s*\w")  # marks another speaker
_PAUSE = 5.0  # seconds of silence that end a line without a speaker
_FLASH = 0.05  # seconds; rolling captions repeat a line this long, or above the next one
_LINE = 500  # characters after which a line ends with its sentence


def _read_transcript(raw: str) -> Reading:
    text = raw.replace("\r\n", "\n").replace("\r", "\n").lstrip("\ufeff")
    title = re.match(r"WEBVTT[ \t]++-?[ \t]*+(\S.*)", text)
    return transcript(_captions(text), title[1] if title else "")


def transcript(captions: Iterable[tuple[float, float, str, str]], title: str) -> Reading:
    """Return captions (start, end, speaker, words) as one text whose anchors are their times."""
    pieces: list[str] = []
    anchors: list[Anchor] = []
    size = length = 0
    last_end, last_speaker = 0.0, ""
    for start, end, speaker, words in captions:
        sentence_ended = bool(pieces) and pieces[-1].endswith((".", "?", "!", "…", "。", '"', "”"))
        paused = not speaker and start - last_end > _PAUSE
        is_long = length > (_LINE if sentence_ended else 4 * _LINE)
        begins = not pieces or speaker != last_speaker or _DASH.match(words) or paused or is_long
        gap = "" if not pieces else "\n" if begins else " "
        words = f"{speaker}: {words}" if begins and speaker else words
        size += len(gap)
        if not anchors or anchors[-1].name != clock(start):
            anchors.append(Anchor(size, clock(start)))
        pieces += (gap, words)
        size += len(words)
        length = len(words) if begins else length + len(words) + 1
        last_end, last_speaker = end, speaker
    if not pieces:
        raise ReadError("is damaged, or not a transcript with times", "Export it again from its program.")
    return Reading((Page("".join(pieces), anchors=tuple(anchors)),), title)


def clock(seconds: float) -> str:
    minutes = int(seconds) // 60
    return f"{minutes // 60:02}:{minutes % 60:02}:{int(seconds) % 60:02}"


def _captions(text: str) -> Iterator[tuple[float, float, str, str]]:
    """Yield start, end, speaker and words of captions, without notes, styles, numbers and names of captions."""
    lines = text.split("\n")
    found = [(index, match) for index, line in enumerate(lines) if (match := _CUE_LINE.match(line))]
    following = [*(index for index, _ in found[1:]), len(lines)]
    shown = ""
    for (index, match), after in zip(found, following, strict=False):
        start, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        body = lines[index + 1 : after]
        if text.startswith("WEBVTT") and "" in body:
            body = body[: body.index("")]
        body = [line for line in body if _plain(line)]
        if not text.startswith("WEBVTT") and after < len(lines) and body and body[-1].strip().isdigit():
            body.pop()  # the number of the next caption
        rolling = body and _plain(body[0]) == shown and (len(body) > 1 or end - start < _FLASH)
        shown = _plain(body[-1]) if body else shown
        speaker, words = "", ""
        for line in body[1:] if rolling else body:
            plain = _plain(line)
            voice, named = _VOICE.search(line), _SPEAKER.match(plain)
            if words and (voice or named or _DASH.match(plain)):
                yield start, end, speaker, words
                speaker, words = "", ""
            if voice:
                speaker = " ".join(clean(html.unescape(voice[1])).split())
            elif named:
                speaker, plain = named[1], plain[named.end() :]
            words = f"{words} {plain}".strip()
        if words:
            yield start, end, speaker, words


def _plain(line: str) -> str:
    return " ".join(clean(html.unescape(_TAG.sub("", line))).split())


def _seconds(groups: tuple[str | None, ...]) -> float:
    hours, minutes, seconds, fraction = groups
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + float(f"0.{fraction or 0}")
