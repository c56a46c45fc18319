"""Read the facts of mails, filings, policies and studies by code: what their head, cover or running lines state."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from email.utils import getaddresses
from pathlib import PurePosixPath

from localrag.items import document_kind
from localrag.items.parties import P
from localrag.quantities import find_dates
from localrag.store.locations import place_at
from localrag.text import running_lines
from localrag.types import Document, Fact, Page

_FIRST_PAGES = 3
_HEADERS = ("From", "To", "Cc", "Bcc", "Date", "Subject")
_MAX_LINE = 160  # characters of a line that states something
_QUOTED = re.compile(r'"[^"]*"')
_DATED = {"in force": "paper_force", "updated": "paper_updated"}
_LABELLED = {"number": "paper_number", "version": "paper_version", "owner": "paper_owner"}


def known(pages: Sequence[Page], role: str, value: str, line: str = "", terms: tuple[str, ...] = ()) -> Fact:
    """Return a fact by a line of the first pages, or one that the file itself tells."""
    for page in pages[:_FIRST_PAGES] if line else ():
        if (start := page.text.find(line)) >= 0:
            end = start + len(line)
            return Fact(role, value, value, line, place_at(page, start, end), page.number, start, end, terms=terms)
    return Fact(role, value, value, terms=terms)


def of_mail(document: Document, pages: Sequence[Page]) -> list[Fact]:
    """Return who sent a mail to whom, when, and its subject, by the lines of its head."""
    head = pages[0].text.split("\n\n", 1)[0] if pages else ""
    lines = {name: line for line in head.split("\n") if (name := line.partition(":")[0]) in _HEADERS}
    facts = [known(pages, "sender", document.author, lines.get("From", ""))] if document.author else []
    for header in ("To", "Cc", "Bcc"):
        line = lines.get(header, "")
        facts += [known(pages, "recipient", name, line) for name in _people(line.partition(":")[2])]
    facts += [known(pages, "date", document.date[:10], lines.get("Date", ""))] if document.date else []
    line = lines.get("Subject", "")
    # Without a subject a mail has the name of its file for a title.
    own = document.title if document.title != PurePosixPath(document.path).stem else ""
    subject = " ".join(line.split()[1:]) or own
    return facts + ([known(pages, "subject", subject, line)] if subject else [])


def _people(written: str) -> Iterator[str]:
    """Yield the names, else the addresses, that a header lists: "Ann Lee <ann@x.test>; Bo"."""
    mark = ";" if ";" in _QUOTED.sub("", written) else ","
    for part in re.findall(rf'(?:"[^"]*"|[^"{mark}])+', written):
        pairs = getaddresses([part]) if "@" in part else [(part.strip(), "")]
        for name in (person or address for person, address in pairs):
            if any(map(str.isalnum, name)) and "undisclosed" not in part.casefold():
                yield name


def of_filing(document: Document, pages: Sequence[Page]) -> list[Fact]:
    """Return the company, the form and the period of a filing, by its cover."""
    page = document_kind.cover(pages)
    cover = [] if page is None else [page]
    text = page.text if page else ""
    found = []
    for role in ("company", "form", "period"):
        match = P[f"filing_{role}"].search(text)
        match = match or (P["filing_firm"].search(text) if role == "company" else None)
        if match is not None:
            value = " ".join(match[role].split()).strip(" ,.")
            day = next(find_dates(value), None) if role == "period" else None
            value = day.certain.isoformat() if day and day.certain else value
            value = f"Form {value.split()[-1].upper()}" if role == "form" else value
            found.append(known(cover, role, value, match[role]))
    return found


def of_paper(document: Document, pages: Sequence[Page]) -> list[Fact]:
    """Return the number, version, owner and days of a policy, a report or a study, by labels.

    They stand at the beginning of a line of the first pages or the last one, or in a running line. Where places state
    several values of a role, the first is unclear.
    """
    found: dict[str, list[Fact]] = {}
    for page, start, line, running in _lines(pages):
        for one in _in_line(page, start, line, running):
            found.setdefault(one.role, []).append(one)
    return [_only(own) for own in found.values()]


def _lines(pages: Sequence[Page]) -> Iterator[tuple[Page, int, str, bool]]:
    """Yield the lines of the first pages and the last one with their place, and whether each is a running line."""
    running = running_lines([page.text for page in pages])
    for number, page in enumerate(pages):
        if number < _FIRST_PAGES or number == len(pages) - 1:
            start = 0
            for at, line in enumerate(page.text.split("\n")):
                if line.strip() and len(line) <= _MAX_LINE:
                    yield page, start, line, at in running[number]
                start += len(line) + 1


def _in_line(page: Page, start: int, line: str, running: bool) -> Iterator[Fact]:
    for role, name in _LABELLED.items():
        match = P[name].search(line)
        if match and (running or not line[: match.start()].strip(" #*|•-")):
            yield _fact(page, role, match["value"].strip(), start, line)
    for role, name in _DATED.items():
        for day in find_dates(line):
            label = P[name].search(line[: day.start])
            own = label and (running or P["paper_own"].search(line[: label.start()]))
            whole = label and (label["colon"] or not line[day.end :].strip(" .)|"))
            if own and whole and day.certain:
                yield _fact(page, role, day.certain.isoformat(), start, line)
                break


def _fact(page: Page, role: str, value: str, start: int, line: str) -> Fact:
    end = start + len(line.rstrip())
    start += len(line) - len(line.lstrip())
    quote = page.text[start:end]
    return Fact(role, value, value, quote, place_at(page, start, end), page.number, start, end)


def _only(found: Sequence[Fact]) -> Fact:
    several = len({one.value.casefold() for one in found}) > 1
    return replace(found[0], state="unclear", why="other places state another one") if several else found[0]
