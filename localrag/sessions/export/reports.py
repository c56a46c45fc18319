"""Reviews in words and as files (the formats of conversations, binders, or tables), and deadlines as calendars."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from localrag import policy
from localrag.events import ReviewEnded
from localrag.quantities import plural
from localrag.security import storage
from localrag.security.encryption.keyring import Recipients, decrypted_name
from localrag.sessions import table_export
from localrag.sessions.export import rendered
from localrag.sessions.export.binder import Bind, Binder, Quoted
from localrag.sessions.export.contents import Contents, ExportedTurn, Quote, by_document, clean, line, sources, table
from localrag.sessions.links import Originals, links
from localrag.types import Checked, source

if TYPE_CHECKING:
    from localrag.items.deadlines import Deadline
    from localrag.items.playbook import PlaybookItem

HEADS = ("State", "Clause", "Importance", "Value", "Differs", "Place", "Likely there", "Reviewer")
SIGNS: Mapping[str, str] = {"deviates": "≠", "absent": "✗", "unsure": "?", "found": "✓"}
MARKS: Mapping[str, str] = {"accepted": " A", "rejected": " R"}
SUFFIXES = tuple(dict.fromkeys((".docx", ".pdf", ".html", ".md", *table_export.SUFFIXES)))


def check(path: Path) -> None:
    """Refuse a file that no report can be written to, before a long review is made for it."""
    table_export.check(path, "a review", SUFFIXES)


def save(
    findings: Sequence[Checked],
    title: str,
    ended: ReviewEnded,
    path: Path,
    record_of: Callable[[str], Path | None],
    recipients: Recipients | None = None,
    originals: Originals | None = None,
    bind: Bind | None = None,
) -> Path:
    """Write a report or a table of the findings, with links to the `originals`; see `table_export.save`.

    `bind` makes binders.
    """
    check(path)
    form, report = decrypted_name(path).suffix.lower()[1:], None
    if form == "pdf" and bind is not None:
        report = bind(binder_of(findings, title, ended))
    if form in ("docx", "xlsx"):
        from localrag.sessions.export import review_word
    if form == "docx":
        report = review_word.docx(findings, title, ended, links(path, originals))
    elif form in ("html", "md"):
        report = rendered(contents(findings, title, ended), form)
    elif form == "xlsx":
        findings = sorted(findings, key=review_word.group_of)
    rows = [one.to_row() for one in findings]
    return table_export.save(rows, path, title, record_of, recipients, report, originals)


def contents(findings: Sequence[Checked], title: str, ended: ReviewEnded) -> Contents:
    """The report: for each document a table of its items, then the quotes, then what was not read."""
    documents = by_document(findings)
    libraries = ", ".join(dict.fromkeys(library for library, _ in documents))
    bad = sum(one.as_expected is False for one in findings)
    about = [
        f"Libraries: {libraries or 'none'}. {plural(len(documents), 'document')}, "
        f"{plural(len(findings), 'finding')}, {bad} not as expected. "
        "Every quote was checked against its document; likelihoods are measured, not certain."
    ]
    about += ["The review was stopped before its end."] if ended.stopped else []
    about += [f"{own[0].document_name}: {own[0].remark}." for own in documents.values() if own[0].remark]
    about += [f"Not read: {source(one.document, '')}: {one.reason}" for one in ended.not_read]
    turns = tuple(_document(document, own) for (_, document), own in documents.items())
    cited = sources(one.citation for one in findings if one.citation)
    return Contents(line(title), tuple(map(line, about)), turns, tuple(cited))


def binder_of(findings: Sequence[Checked], title: str, ended: ReviewEnded) -> Binder:
    """Return the quotes of a review, each with its finding."""
    quotes = []
    for one in findings:
        if at := one.citation:
            named = at.title or (one.document_title if at.document == one.document else "")
            quotes.append(Quoted(replace(at, title=named), summary(one)))
    return Binder(f"Review: {title}", (f"Playbook: {title}", *contents(findings, title, ended).about), tuple(quotes))


def cells(one: Checked) -> list[str]:
    """Return a finding under `HEADS`."""
    said = one.decision
    return [
        one.state,
        one.title,
        one.importance,
        one.value,
        one.problem,
        _place(one),
        "" if one.confidence is None else f"{one.confidence:.0%}",
        ": ".join(filter(None, (said.verdict, said.comment))) if said else "",
    ]


def _place(one: Checked) -> str:
    """Return the place of the quote, with its document where another one has replaced the words."""
    at = one.citation
    return "" if at is None else at.place if at.document == one.document else source(at.document, at.place)


def _document(document: str, own: Sequence[Checked]) -> ExportedTurn:
    quotes = [
        Quote(line(f"{one.title}: {source(document, one.citation.place)}"), clean(one.citation.quote))
        for one in own
        if one.citation
    ]
    proposals = [f"{one.title}, to propose: {one.fallback}" for one in own if one.fallback]
    notes = [f"{one.title}: {one.note}" for one in own if one.note]
    read = dict.fromkeys(f"{one.title}: read {one.read}" for one in own if one.state in ("absent", "unsure"))
    shown = table(HEADS, map(cells, own))
    return ExportedTurn(
        line(own[0].document_name), shown, tuple(map(line, (*proposals, *notes))), tuple(quotes), tuple(map(line, read))
    )


def summary(one: Checked) -> str:
    """Return a finding on one line: "≠ Payment (high): 60 days: 60 days is more than 45 days"."""
    said = one.decision
    marked = (said.verdict if said.verdict != "open" else "", said.comment) if said else ()
    told = ": ".join(filter(None, (one.value, one.problem))) or one.state
    return " · ".join(filter(None, (f"{SIGNS[one.state]} {one.title} ({one.importance}): {told}", *marked)))


def details(one: Checked, item: PlaybookItem) -> dict[str, str]:
    """Return all that is known of a finding, by name."""
    likely = "" if one.confidence is None else f"; {one.confidence:.0%} likely to be there"
    said, terms = one.decision, []
    for name, term in (msgspec.to_builtins(item.position) or {}).items():
        shown = ("no", "yes")[term] if isinstance(term, bool) else term if isinstance(term, str) else ", ".join(term)
        terms.append(f"{name.replace('_', ' ')}: {shown}")
    return {
        "Value": one.value,
        "Position": "; ".join(terms),
        "Differs": one.problem,
        "Asked": item.question,
        "Note": item.note,
        "Fallback": item.fallback,
        "Before": one.before,
        "Document": one.remark,
        "Read": one.read + likely,
        "Reviewer": f"{said.verdict} by {said.by}, {said.at[:10]}: {said.comment}".rstrip(" :") if said else "",
    }


# --- deadlines: a calendar of all-day events (RFC 5545), or a table -----------------------------------------------


def check_deadlines(path: Path) -> bool:
    """Refuse a file that no deadlines can be written to, before documents are read; returns if it is a calendar."""
    is_calendar = decrypted_name(path).suffix.lower() == ".ics"
    if is_calendar:
        policy.check_export("a calendar")
    else:
        table_export.check(path, "a table of deadlines", (".ics", *table_export.SUFFIXES))
    storage.check_target(path)
    return is_calendar


def save_deadlines(
    found: Sequence[Deadline],
    path: Path,
    record_of: Callable[[str], Path],
    recipients: Recipients | None,
    originals: Originals | None = None,
) -> Path:
    """Write deadlines, replacing the file, once recorded; returns the path, which may have gained a suffix."""
    report = calendar(found) if check_deadlines(path) else None
    rows = [one.to_row() for one in found]
    return table_export.save(rows, path, "Deadlines", record_of, recipients, report, originals)


_REMINDER = timedelta(days=-7)  # before a day, in a calendar


def calendar(found: Sequence[Deadline]) -> bytes:
    """Return deadlines that have a day as a calendar; the same deadline has the same UID in each."""
    from icalendar import Alarm, Calendar, Event

    made, now = Calendar(), datetime.now(UTC)
    made.add("prodid", "-//localrag//dates//EN")
    made.add("version", "2.0")
    for one in found:
        at, event = one.citation, Event()
        named = "\n".join((at.library, at.document, " ".join(at.quote.split()), one.when, one.date))
        event.add("uid", f"{hashlib.blake2b(named.encode('utf-8', 'replace'), digest_size=16).hexdigest()}@localrag")
        event.add("dtstamp", now)
        event.add("dtstart", date.fromisoformat(one.date))  # a date without an end is the whole day
        due = ": ".join(filter(None, (one.who, one.what)))
        event.add("summary", line(f"{'Amended: ' if one.amended else ''}{due} ({one.title or at.document})"))
        said = [f"{one.kind}, {one.when}", f"“{at.quote}”", source(at.document, at.place)]
        said += [f"Counted from: “{one.start.quote}” {one.start.place}"] if one.start else []
        said += [f"Amended by: “{new.quote}” {source(new.document, new.place)}"] if (new := one.amended) else []
        event.add("description", "\n".join(map(line, said)))
        event.add("transp", "TRANSPARENT")
        alarm = Alarm()
        alarm.add("action", "DISPLAY")
        alarm.add("description", line(due))
        alarm.add("trigger", _REMINDER)
        event.add_component(alarm)
        made.add_component(event)
    return bytes(made.to_ical())
