"""The first page of a library as tables, which make a report (Word), a workbook, JSON or a list; or as a binder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from localrag.quantities import plural
from localrag.security.encryption.keyring import Recipients, decrypted_name
from localrag.sessions import table_export
from localrag.sessions.export import rendered
from localrag.sessions.export.binder import Bind, Binder, Quoted
from localrag.sessions.export.contents import Contents, ExportedTurn, Quote, Source, clean, line, table
from localrag.sessions.links import Originals, links
from localrag.types import Citation, source

if TYPE_CHECKING:
    from localrag.answer.overview import Overview

SUFFIXES = (".docx", ".pdf", ".xlsx", ".json", ".csv", ".md")
UNCLEAR = "A value with “?” is unclear: the text does not say beyond doubt that it is so."
FEW = "title,parties,dated,ends,notice,law,other"  # columns of documents that fit a sheet of paper
_MAX_PEOPLE, _MAX_NOT_READ = 10, 20


def check(path: Path) -> None:
    """Refuse a file that no overview can be written to, before facts are read for it."""
    table_export.check(path, "an overview", SUFFIXES)


def save(
    made: Overview,
    path: Path,
    record_of: Callable[[str], Path | None],
    recipients: Recipients | None = None,
    originals: Originals | None = None,
    bind: Bind | None = None,
) -> Path:
    """Write an overview, replacing the file, once recorded; see `table_export.save`. `bind` makes binders."""
    check(path)
    name, title, found = decrypted_name(path), f"Overview of {', '.join(made.libraries)}", tables(made)
    if name.suffix.lower() == ".docx":
        report = rendered(contents(made, title), "docx")
    elif name.suffix.lower() == ".pdf" and bind is not None:
        report = bind(binder_of(made, title))
    elif name.suffix.lower() == ".xlsx":
        report = table_export.workbook(found, title, links(path, originals))
    elif name.suffix.lower() == ".json":
        report = (json.dumps(made.to_dict(), ensure_ascii=False, indent=2) + "\n").encode("utf-8", "replace")
    else:
        report = table_export.written(found["documents"], name)
    return table_export.save(found["documents"], path, title, record_of, recipients, report)


def binder_of(made: Overview, title: str) -> Binder:
    """Return the quotes of an overview, each with its fact; an unclear value has a question mark."""
    from localrag.answer.overview import shown_value

    quotes = [
        Quoted(
            Citation(
                own.library, own.path, one.page, None, one.place, one.quote, one.start, one.end, 0, title=own.title
            ),
            f"{one.role}: {shown_value(one)}{'' if one.clear else '?'}",
        )
        for own in made.documents
        for one in own.facts
        if one.quote
    ]
    return Binder(title, contents(made, title).about, tuple(quotes))


def tables(made: Overview) -> dict[str, table_export.Rows]:
    """The rows of an overview by the names of its tables."""
    from localrag.answer.overview import COLUMNS

    titles = {(own.library, own.path): own.title for own in made.documents}
    return {
        "documents": [
            {"title": own.title, "kind": own.kind}
            # A column "end" would be taken for an offset, which a sheet leaves out.
            | {"ends" if name == "end" else name: own.cell(name) for name in COLUMNS}
            | {"relation": own.relation, "base": titles.get((own.library, own.base), own.base), "library": own.library}
            | {"document": own.path, "language": own.language, "pages": own.pages}
            for own in made.documents
        ],
        "timeline": [one.to_row() for one in made.timeline],
        "amounts": [
            {"what": one.role, "amount": one.words, "title": own.title, "library": own.library}
            | {"document": own.path, "quote": one.quote, "place": one.place}
            for own, one in made.amounts
        ],
        "people": [
            {"name": name, "count": len(named), "documents": "; ".join(own.title for own in named)}
            for name, named in made.people.items()
        ],
    }


def page(made: Overview, columns: str = FEW) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Yield the tables of the first page that have rows: title, heads, cells; without columns that have no words."""
    found, ahead = tables(made), [one.to_row() for one in made.ahead]
    # That an amendment has no base is worth a line: its text may govern.
    related = [row for row in found["documents"] if row["base"] or row["relation"] in ("amends", "restates")]
    others = [f"“{row['base']}”" if row["base"] else "a document that is not clear" for row in related]
    chains = [
        {"chain": f"“{row['title']}” {row['relation']} {other}"} for row, other in zip(related, others, strict=True)
    ]
    for title, wanted, rows in (
        ("Documents", columns, found["documents"]),
        ("Ahead", "date,what,title,counted", ahead),
        ("Amounts", "what,amount,title,place", found["amounts"]),
        (
            "Who is named most",
            "name,count,documents",
            [one for one in found["people"] if one["count"] > 1][:_MAX_PEOPLE],
        ),
        ("What belongs together", "chain", chains),
        ("Questions to ask", "question", [{"question": one} for one in made.questions]),
    ):
        heads = [name for name in wanted.split(",") if any(row[name] for row in rows)]
        if heads:
            yield title, heads, [[str(row[name]) for name in heads] for row in rows]


def summary(made: Overview) -> dict[str, str]:
    """What is there, by name."""
    counts = {"kinds": made.kinds, "languages": made.languages, "years": made.years}
    lines = {name: ", ".join(f"{one} ({count})" for one, count in found.items()) for name, found in counts.items()}
    lines["without facts"] = plural(made.unread, "document") if made.unread else ""
    return {name: text for name, text in lines.items() if text}


def _not_read(made: Overview) -> Iterator[str]:
    """Yield a line for each reason, with how many files it keeps from being read and the first of these."""
    by_reason: dict[str, list[str]] = {}
    for one in made.failed:
        by_reason.setdefault(one.reason, []).append(one.document)
    groups = sorted(by_reason.items(), key=lambda item: -len(item[1]))[:_MAX_NOT_READ]
    each, named = _MAX_NOT_READ // max(1, len(groups)), 0
    for reason, paths in groups:
        named += len(paths[:each])
        shown = "; ".join(paths[:each]) + (" …" if len(paths) > each else "")
        yield f"Not read, {plural(len(paths), 'file')}: {reason.rstrip('.')}: {shown}"
    if left := len(made.failed) - named:
        yield f"{plural(left, 'more file')} not read: localrag overview {' '.join(made.libraries)} --json lists all."


def contents(made: Overview, title: str) -> Contents:
    """The report: tables, what is ahead with its quotes, and at the end the documents on wide pages."""
    about = [f"{plural(len(made.documents), 'document')}, as of {made.today}. Code reads the facts, no model."]
    about += [f"{name.capitalize()}: {text}." for name, text in summary(made).items()]
    about += [UNCLEAR, *_not_read(made)]
    quotes = tuple(
        Quote(line(f"{one.day} {one.what}: {source(one.document, one.fact.place)}"), clean(one.fact.quote))
        for one in made.ahead
    )
    parts = [
        ExportedTurn(
            name,
            table([head.capitalize() for head in heads], cells),
            quotes=quotes if name == "Ahead" else (),
            wide=name == "Documents",
        )
        for name, heads, cells in page(made)
    ]
    parts.sort(key=lambda one: one.wide)
    paths = (Source(line(own.title), line(own.library), (line(own.path),)) for own in made.documents)
    return Contents(line(title), tuple(map(line, about)), tuple(parts), tuple(paths))
