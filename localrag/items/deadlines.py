"""Find deadlines and obligations in documents: who has to do what until when, by code.

A sentence counts that holds a date or a span of time, and says that something is due, ends, is renewed, paid or
notified. A span is counted from the date it names, if the document states that: a date, “the Effective Date”, “the date
of this Agreement”, “the end of the term”. The last day of a term is the one before its anniversary.

Limits: English, with the most used German and French words; business days are not counted; a sentence across two pages
is read as two; a date with two readings, or without a year, is given in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache, partial
from typing import Any, Literal, NamedTuple, cast

from localrag import quantities
from localrag.grounding import fact_checks
from localrag.items import labelled, values
from localrag.items.item import Item
from localrag.items.labelled import SIGNING
from localrag.quantities import (
    NUMBER_WORDS,
    TIME_UNITS,
    DateMention,
    find_dates,
    format_date,
    lazy_re,
    load_patterns,
)
from localrag.store.locations import place_at
from localrag.store.text_analysis import sentences
from localrag.text import running_lines, without_lines
from localrag.types import Citation, Document, Fact, Looked, Page, Passage

Kind = Literal["payment", "notice", "renewal", "end", "duty", "right", "condition", "item"]

_P = {
    name: lazy_re("|".join(lines), 0 if name == "by" else re.I)
    for name, lines in load_patterns("localrag.items", "deadlines.txt").items()
}
_KINDS: tuple[Kind, ...] = ("payment", "notice", "renewal", "end")
_WORDS, _UNITS = ("|".join(sorted(words, key=len, reverse=True)) for words in (NUMBER_WORDS, TIME_UNITS))
SPAN = lazy_re(
    rf"\b(?P<count>\d{{1,4}}|(?:{_WORDS})(?:[\s-]+(?:and\s+)?(?:{_WORDS})){{0,4}}|(?P<one>an?|eine?[mnrs]?|une?))"
    rf"(?:\s?\(\s?\w{{1,20}}\s?\))?[\s-]+(?P<days>(?:(?:calendar|business|working|banking|trading|consecutive|full|"
    rf"clear)[\s-]+)*)(?P<unit>{_UNITS})\b",
    re.I,
)
_ITEM = re.compile(r"^\W{0,2}(?:\(?[a-z]{1,4}\)|\(?\d{1,2}\)|[-•*–·])\s")
# A defined date; the “Effective Date of Termination” is another one than the “Effective Date”.
_TERM = re.compile(r"\b(?:[A-Z][\w-]{1,30} ){1,3}Date\b(?! of (?:the )?[A-Z])")
# The roles of the day that a document calls so, by the first word; any other name is that of its signing.
_ROLES = {"effective": ("effective",), "commencement": ("start", "effective")}
_ENDING = "end of the term"  # where a renewal begins
_MAX_SENTENCE, _MAX_WORDS, _NEAR = 1500, 110, 100  # characters


@dataclass(frozen=True, slots=True)
class Deadline:
    """Something that is due, by a sentence of a document.

    `date` is ISO 8601, as exact as the text ("2026-04"), or "" where only words say when. `start` has the date that it
    was counted from, if it was; `who` is "" where the sentence does not say it. `item` is the item of a playbook that a
    review found there (alone, if the kind is "item"), `amended` the words by which a later document changes it; `title`
    is the short title of the document.
    """

    kind: Kind
    who: str
    what: str
    when: str
    date: str
    citation: Citation
    start: Citation | None = None
    item: str = ""
    amended: Citation | None = None
    title: str = ""

    def to_row(self) -> dict[str, Any]:
        """Return the deadline as the row of a table."""
        at, start, new = self.citation, self.start, self.amended
        return {
            "date": self.date,
            "when": self.when,
            "who": self.who,
            "what": self.what,
            "kind": self.kind,
            "library": at.library,
            "document": at.document,
            "title": self.title,
            "place": at.place,
            "quote": at.quote,
            "computed": start is not None,
            "counted_from": start.quote if start else "",
            "counted_from_place": start.place if start else "",
            "item": self.item,
            "amended_by": new.document if new else "",
            "amended_by_place": new.place if new else "",
            "amended_by_quote": new.quote if new else "",
            "page": at.page,
            "start": at.start,
            "end": at.end,
        }


class _Sentence(NamedTuple):
    text: str  # with single spaces
    citation: Citation
    lead: str  # the beginning of the list that it is an item of
    dates: Sequence[DateMention]


class _Time(NamedTuple):
    """A time in a sentence: half-open offsets, words, the date if known, and what a span of time is counted from."""

    start: int
    end: int
    words: str
    date: str = ""
    length: int = 0
    unit: str = ""
    origin: str = ""
    term: bool = False


Found = list[tuple[Deadline, _Time]]
_Start = tuple[date, Citation] | None  # a date and the sentence that states it


def find(
    library: str,
    document: Document,
    pages: Sequence[Page],
    reviewed: Sequence[Looked] = (),
    facts: Sequence[Fact] = (),
) -> list[Deadline]:
    """Return the deadlines in the pages of a document, and what a review found of its items of date and duration.

    `facts` has the days of the document itself, from which spans of time are counted where they are clear.
    """
    running = running_lines([page.text for page in pages])
    pages = [replace(page, text=without_lines(page.text, own)) for page, own in zip(pages, running, strict=True)]
    read = [one for page in pages for one in _sentences(library, document.path, page)]
    found: Found = []
    before = ""  # who the last sentence was about
    for sentence in read:
        found += _in_sentence(sentence, before)
        who = _who(sentence.text, len(sentence.text)) or _who(sentence.text, len(sentence.text), anybody=True)
        before = before if _P["pronoun"].match(who) else who
    for looked in reviewed:
        found = _with_item(found, looked, (library, document.path))
    pieces = labelled.pieces(library, document, list(enumerate(pages)))
    stated_as = cache(partial(_stated, passages=pieces, pages=pages, facts=facts))
    found = [(_counted(one, time, _start(read, one.citation, time.origin, stated_as)), time) for one, time in found]
    ends = {
        one.date: one.citation
        for one, time in found
        if one.kind == "end" and len(one.date) == 10
        if time.term and _P["whole"].search(" ".join(one.citation.quote.split()))
    }
    if len(ends) == 1:
        last, cited = next(iter(ends.items()))
        for at, (one, time) in enumerate(found):
            if _P["ending"].search(time.origin):  # a renewal begins on the day after it
                day = date.fromisoformat(last) + timedelta(days=time.term and time.origin not in time.words)
                found[at] = _counted(one, time, (day, cited)), time
    stated = {(one.citation, one.date) for one, _ in found if one.date and not one.start}
    days = [(one.citation, time.end) for one, time in found if one.date and not one.start]
    return [
        one
        for one, time in found
        if not one.start
        or ((one.citation, one.date) not in stated and not any(_explains(one, time, *day) for day in days))
    ]


def _explains(one: Deadline, time: _Time, where: Citation, end: int) -> bool:
    """Return whether a counted span only explains the day before it: "by 25 November, which is 42 days after …"."""
    between = " ".join(one.citation.quote.split())[end : time.start]
    return one.citation == where and _P["explains"].fullmatch(between) is not None


def with_amendments(found: Sequence[Deadline], amended: Iterable[tuple[Citation, Citation]]) -> list[Deadline]:
    """Return deadlines, those that amendments replace with the words that do; given the words of both."""
    pairs, found = list(amended), list(found)
    for at, one in enumerate(found):
        found[at] = replace(one, amended=next((new for old, new in pairs if _overlap(old, one.citation)), None))
    return found


def _overlap(one: Citation, other: Citation) -> bool:
    return one.page == other.page and one.start < other.end and other.start < one.end


def _with_item(found: Found, looked: Looked, where: tuple[str, str]) -> Found:
    """Name the item of a review at the deadlines of its quote; where there are none, it is one."""
    text = " ".join(looked.citation.quote.split()) if looked.citation else ""
    value = values.read(looked.type or "date", looked.answer or text)
    if looked.citation is None or value is None:
        return found
    at = replace(looked.citation, library=where[0], document=where[1])  # it may have been renamed meanwhile
    same = [_overlap(one.citation, at) for one, _ in found]
    if any(same):
        return [
            (replace(one, item=one.item or looked.item), time) if own else (one, time)
            for own, (one, time) in zip(same, found, strict=True)
        ]
    if looked.type == "date":
        time = _Time(0, 0, value.form, value.form)
    else:
        span = SPAN.search(looked.answer or text)
        time = next(_spans(text), _Time(0, 0, span[0] if span else value.form))
    name = re.sub(r"[-_.]+", " ", looked.item)
    return [*found, (Deadline("item", _who(text, len(text)), name, time.words, time.date, at, item=looked.item), time)]


def _sentences(library: str, document: str, page: Page) -> Iterator[_Sentence]:
    lead = ""
    for start, end in sentences(page.text):
        where = place_at(page, start, end)
        quote = page.text[start:end]
        text = " ".join(quote[:_MAX_SENTENCE].split())
        item = bool(_ITEM.match(text))
        lead = lead if item else text if text.endswith((":", "—")) else ""
        cited = Citation(library, document, page.number, page.label, where, quote, start, end, 1, unit=page.unit)
        yield _Sentence(text, cited, lead if item else "", tuple(find_dates(text)))


def _in_sentence(sentence: _Sentence, before: str) -> Iterator[tuple[Deadline, _Time]]:
    text, taken = sentence.text, list[_Time]()
    whole = f"{sentence.lead} {text}"
    firm, soft, right = (bool(_P[name].search(whole)) for name in ("duty", "soft", "right"))
    for time in (*_spans(text), *_days(text, sentence.dates, firm)):
        ends: Kind = "end" if time.term and time.origin and time.origin not in time.words else "duty"
        kind = _kind(text, time) or (
            ends if firm or soft or time.term else "right" if right and not time.date else None
        )
        if kind is None or any(one.start < time.end and time.start < one.end for one in taken):
            continue
        if _P["past"].search(whole):
            return
        if _tells(text, sentence.lead, time):
            continue
        if right and not (firm or soft) and kind not in ("notice", "renewal"):
            kind = "right"
        verb = max((one.end() for one in _P["verb"].finditer(text, 0, time.start)), default=0)
        clause, named = _P["condition"].search(text, verb, time.start), _who(text, time.start)
        taken.append(time)
        if clause and (kind not in ("notice", "renewal") or not named):
            kind = kind if kind in ("notice", "renewal") else "condition"
            named = _who(text[clause.start() : time.start], 0, anybody=True)
        who = named or _who(sentence.lead, len(sentence.lead))
        if _P["pronoun"].match(who):
            who = _who(text[: text.find(who)], time.start, anybody=True) or before
        yield Deadline(kind, who, _what(text, time), time.words, time.date, sentence.citation), time


def _tells(text: str, lead: str, time: _Time) -> bool:
    """Whether a time belongs to a statement of the past, or of what need not be done.

    The verb nearest before it decides. Participles (“signed”) may be part of any statement, so they count only where
    nothing in the clause is in the present, and so does the past where a span of time may be that of a condition.
    """
    past = any(one.lastgroup == "was" for one in _P["tense"].finditer(text))
    if past and not _P["verb"].search(f"{lead} {text}"):
        return True
    clause, stop = text.rfind(";", 0, time.start) + 1, text.find(";", time.end)
    before = [one.lastgroup for one in _P["tense"].finditer(text, clause, time.start)]
    after = [one.lastgroup for one in _P["tense"].finditer(text, time.end, stop if stop > 0 else len(text))]
    nearest = next((name for name in reversed(before) if name != "ed"), "")
    if nearest in ("no", "now") or ("now" in after and not (nearest and time.date)):
        return nearest == "no"
    return bool(before or (time.date and "|" not in text and after)) and not _P["verb"].search(lead)


def _kind(text: str, time: _Time) -> Kind | None:
    """Return what the words nearest to a time are about, among those of its clause."""
    if time.date and _P["starts"].search(text, 0, time.start):
        return None
    if "from and including" in time.words.lower():
        return "end"
    if time.origin == _ENDING:
        return "renewal"
    if _P["notice"].search(time.words) and not time.origin:
        return "notice"
    verbs = [one.start() for one in _P["verb"].finditer(text, 0, time.start)]
    first = max(text.rfind(", ", 0, verbs[-1]) + 1 if verbs else 0, time.start - _NEAR)
    near = [
        (max(one.start() - time.end, time.start - one.end()), at)
        for at, kind in enumerate(_KINDS)
        for one in _P[kind].finditer(text, first, time.end + _NEAR)
        if one.end() <= time.start or time.end <= one.start()
    ]
    return _KINDS[min(near)[1]] if near else None


def _days(text: str, full: Sequence[DateMention], duty: bool) -> Iterator[_Time]:
    """Yield the dates that are deadlines: full ones, months of a year, days without a year."""

    def due(at: int) -> bool:
        before = text[max(0, at - 120) : at]
        starts = _P["starts"].search(before) and not _P["verb"].search(text)
        weak = _P["on"].search(before) and (duty or _P["end"].search(text)) and not starts
        return bool(_P["due"].search(before) or weak) and not _P["told"].search(before)

    listed = -1
    for one in full:
        if due(one.start) or (listed >= 0 and _P["listed"].fullmatch(text[listed : one.start])):
            listed = one.end
            day = one.certain
            words = format_date(day) if day else one.text
            yield _Time(one.start, one.end, words, str(day or ""), term=bool(_P["end"].search(text)))
    for start, end, year, month in quantities.find_months(text):
        if due(start) or (duty and text[:start].endswith(" in ")):
            yield _Time(start, end, text[start:end], f"{year}-{month:02}")
    for start, end, *_ in quantities.find_days(text):
        if due(start) and not any(one.start <= start < one.end for one in full):
            yearly = _P["yearly"].match(text, end)
            yield _Time(start, end, text[start : yearly.end() if yearly else end].rstrip("."))


def _spans(text: str) -> Iterator[_Time]:
    """Yield the spans of time that limit something, or for which it lasts, with what they are counted from."""
    for match in SPAN.finditer(text):
        before, after = text[max(0, match.start() - 80) : match.start()], text[match.end() :]
        limit, floor, back = (_P[name].search(before) for name in ("limit", "floor", "back"))
        anchor, notice = _P["anchor"].match(after), _P["notices"].match(after)
        lasts = bool(not limit and _P["lasting"].search(before) and _P["lasts"].search(text))
        if _P["none"].match(after) or _P["ordinals"].match(match[0]) or (back and not (limit or floor)):
            continue
        if (match["one"] and not notice and not (anchor and limit)) or not (limit or lasts or anchor or notice):
            continue
        if anchor and anchor["way"] in ("of", "from") and not (limit or floor or lasts or _P["end"].search(text)):
            continue
        begins, end, origin, way = match.start(), match.end(), "", ""
        if limit and not (anchor or notice):
            begins -= len(before) - limit.start()
        elif notice or (anchor and anchor["aside"]):
            end += cast("re.Match[str]", notice or anchor).end()
        elif anchor:
            way, cut = anchor["way"], _P["stop"].search(anchor["to"])
            origin = anchor["to"][: cut.start() if cut else None][:_MAX_WORDS].strip()
            end += anchor.start("to") + len(origin)
        elif lasts:
            renewed = max(
                (one.end() for one in _P["renewal"].finditer(text, max(0, match.start() - _NEAR), match.start())),
                default=0,
            )
            renewed = 0 if _P["notice"].search(text, renewed, match.start()) else renewed
            origin = _beginning(text[renewed : match.start()]) or (_ENDING if renewed else "")
        number = re.search(r"\d+", values.in_digits(match["count"]))
        count = int(number[0]) if number else 1
        if notice or _P["uncounted"].search(f"{match['count']} {match['days']}"):
            count = 0
        count *= -1 if _P["earlier"].fullmatch(way) else 1
        words = text[begins:end].strip(' ."”').removesuffix(" and")
        term = lasts or way.startswith("from and")
        yield _Time(match.start(), end, words, "", count, TIME_UNITS[match["unit"].lower()], origin, term)


def _beginning(text: str) -> str:
    """Return the date in a text on which a term begins, as the text names it."""
    dates = [(one.start, one.text) for one in find_dates(text)]
    dates += [(one.start(), one[0]) for one in _TERM.finditer(text)]
    return next((words for at, words in sorted(dates) if _P["begins"].search(text[:at])), "")


def _who(text: str, at: int, anybody: bool = False) -> str:
    """Return who has the duty: the subject nearest before an offset, else the first one after it, else an agent.

    `anybody`: the subject of any verb counts, as in a condition.
    """
    subject = list(_P["who"].finditer(text))
    found = [(one.start(), one["who"]) for one in subject]
    for start, who in fact_checks.acts(text):
        rest = text[text.find(who, start) + len(who) :]
        if any(one.start() <= start < one.end() for one in subject) or who.lower() in quantities.MONTHS:
            continue
        if not who.islower() and (anybody or _P["acts"].match(rest)):
            found.append((start, who))
    found += [(one.start(), one["who"]) for one in _P["condition"].finditer(text) if anybody and one["who"]]
    found = sorted((start, who) for start, who in found if not _P["thing"].search(who))
    before, agent = [who for start, who in found if start < at], _P["by"].search(text)
    after = agent["who"] if agent and agent["who"].split()[0].lower() not in quantities.MONTHS else ""
    chosen = before[-1] if before else found[0][1] if found else after
    return re.sub(r"^(?:the|an?)\s", "", " ".join(chosen.split()), flags=re.I)


def _what(text: str, time: _Time) -> str:
    """Return the words of the act: from its verb up to the time, or up to the end where the time comes first."""
    verbs = [one.end() for one in _P["verb"].finditer(text)]
    first = max((at for at in verbs if at < time.start), default=0)
    later = min((at for at in verbs if at > time.end), default=time.end)
    for said in (text[first : time.start], text[later:], text):
        said = re.sub(r"^[\W\d]+|[\s,;:(.]+$", "", _P["trailing"].sub("", said))
        if len(re.findall(r"[^\W\d_]{2,}", said)) > 1:
            break
    if re.match(r"\W*not\b", text[first : time.start]) and not said.startswith("not"):
        said = f"not {said}"  # "shall not, for two years, employ"
    return said if len(said) <= _MAX_WORDS else f"{said[:_MAX_WORDS].rsplit(' ', 1)[0]}…"


# --- counting -----------------------------------------------------------------------------------------------


def _start(read: Sequence[_Sentence], cited: Citation, origin: str, stated: Callable[[str], _Start]) -> _Start:
    """Return the date that a span of time counts from, with the sentence that states it, if the document has one.

    `stated` returns the date that has a name.
    """
    own = next(find_dates(origin), None)
    if own is not None and own.start < 25:
        return (own.certain, cited) if own.certain else None
    if _P["that"].match(origin):
        at = next((at for at, one in enumerate(read) if _overlap(one.citation, cited)), -1)
        return _only([(day.certain, one) for one in read[max(0, at - 1) : at + 1] for day in one.dates])
    name = re.sub(r"^the\s", "", origin, flags=re.I)
    term = _TERM.match(name)
    return stated(term[0] if term else name) if term or SIGNING.match(name) else None


def _stated(name: str, passages: Sequence[Passage], pages: Sequence[Page], facts: Sequence[Fact]) -> _Start:
    """Return the day that a document states by a name: that of the document itself by its facts, another by a term."""
    if SIGNING.match(name):
        roles = _ROLES.get(name.split()[0].lower(), ("signed",))
        named = (one for role in roles for one in facts if one.role == role and one.clear and len(one.value) == 10)
        own = next((one for one in named if one.state == "confirmed" or _P["dates"].search(one.quote)), None)
        return (date.fromisoformat(own.value), _cited(own, passages[0])) if own and passages else None
    item = Item("date", "", name, "date")
    found = labelled.stated([item], passages).get(item)
    day = next(find_dates(found.value.words), None) if found else None
    if found is None or day is None or day.certain is None:
        return None
    at = found.citation
    page = next(page for page in pages if page.number == at.page)
    return day.certain, replace(at, place=place_at(page, at.start, at.end), marker=1)


def _cited(one: Fact, within: Passage) -> Citation:
    where = (within.library, within.document, one.page, None, one.place, one.quote, one.start, one.end)
    return Citation(*where, 1, unit=within.unit)


def _only(days: Sequence[tuple[date | None, _Sentence]]) -> _Start:
    day = days[0][0] if len({day for day, _ in days}) == 1 else None
    return (day, days[0][1].citation) if day else None


def _counted(one: Deadline, time: _Time, start: _Start) -> Deadline:
    """Return a deadline with the date that its span of time leads to; as it is, where there is none."""
    if start is None or one.date or not time.length or time.unit in ("hour", "minute", "second"):
        return one
    count, unit = (3 * time.length, "month") if time.unit == "quarter" else (time.length, time.unit)
    try:
        day = quantities.shift_date(start[0], count, unit)
    except OverflowError:
        return one
    if "from and including" in time.words.lower() or (time.term and time.origin not in time.words):
        day -= timedelta(days=1)  # the term begins on that day
    return replace(one, date=day.isoformat(), start=start[1])
