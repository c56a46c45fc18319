"""Deadlines as a calendar of all-day events (RFC 5545), or as a table."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

from localrag import policy
from localrag.items import table_export
from localrag.items.deadlines import Deadline
from localrag.security import storage
from localrag.security.encryption.keyring import Recipients, decrypted_name
from localrag.sessions.export.contents import line
from localrag.types import source


def check(path: Path) -> bool:
    """Refuse a file that no deadlines can be written to, before documents are read; returns if it is a calendar."""
    is_calendar = decrypted_name(path).suffix.lower() == ".ics"
    if is_calendar:
        policy.check_export("a calendar")
    else:
        table_export.check(path, "a table of deadlines", (".ics", *table_export.SUFFIXES))
    storage.check_target(path)
    return is_calendar


def save(
    found: Sequence[Deadline], path: Path, record_of: Callable[[str], Path], recipients: Recipients | None
) -> Path:
    """Write deadlines, replacing the file, once recorded; returns the path, which may have gained a suffix."""
    report = calendar(found) if check(path) else None
    return table_export.save([one.to_row() for one in found], path, "Deadlines", record_of, recipients, report)


def calendar(found: Sequence[Deadline]) -> bytes:
    """Return deadlines that have a day as a calendar; the same deadline has the same UID in each."""
    from icalendar import Calendar, Event

    made, now = Calendar(), datetime.now(UTC)
    made.add("prodid", "-//localrag//dates//EN")
    made.add("version", "2.0")
    for one in found:
        at, event = one.citation, Event()
        named = "\n".join((at.library, at.document, " ".join(at.quote.split()), one.when, one.date))
        event.add("uid", f"{hashlib.blake2b(named.encode('utf-8', 'replace'), digest_size=16).hexdigest()}@localrag")
        event.add("dtstamp", now)
        event.add("dtstart", date.fromisoformat(one.date))  # a date without an end is the whole day
        event.add("summary", line(f"{'Amended: ' if one.amended else ''}{one.who or at.document}: {one.what}"))
        said = [f"{one.kind}, {one.when}", f"“{at.quote}”", source(at.document, at.place)]
        said += [f"Counted from: “{one.start.quote}” {one.start.place}"] if one.start else []
        said += [f"Amended by: “{new.quote}” {source(new.document, new.place)}"] if (new := one.amended) else []
        event.add("description", "\n".join(map(line, said)))
        event.add("transp", "TRANSPARENT")
        made.add_component(event)
    return bytes(made.to_ical())
