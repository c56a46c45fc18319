"""A review as a file: Word, HTML and Markdown by the writers of conversations, tables by those of surveys."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from localrag import policy
from localrag.answer.survey import table_export
from localrag.events import ReviewEnded
from localrag.quantities import plural
from localrag.security import storage
from localrag.security.encryption.age import Recipients, decrypted_name
from localrag.sessions.export.contents import Contents, ExportedTurn, Quote, clean, line
from localrag.sessions.export.contents import Source as Cited
from localrag.types import Finding, source

_TEXTS = (".docx", ".html", ".md")
SUFFIXES = tuple(dict.fromkeys((*_TEXTS, *table_export.SUFFIXES)))


def check(path: Path) -> None:
    """Refuse a file that no report can be written to, before a long review is made for it."""
    policy.check_export("a review")
    if decrypted_name(path).suffix.lower() not in _TEXTS:
        table_export.check(path)
    storage.check_folder(path)


def save(
    findings: Sequence[Finding], title: str, ended: ReviewEnded, path: Path, record_of: Callable[[str], Path | None],
    recipients: Recipients | None = None,
) -> Path:  # fmt: skip
    """Write a report or a table of the findings; see `table_export.save`."""
    check(path)
    suffix = decrypted_name(path).suffix.lower()
    report = _text(contents(findings, title, ended), suffix) if suffix in _TEXTS else None
    return table_export.save([one.to_row() for one in findings], path, title, record_of, recipients, report)


def _text(report: Contents, suffix: str) -> bytes:
    if suffix == ".docx":
        from localrag.sessions.export.word import docx

        return docx(report)
    from localrag.sessions.export.text_formats import html, markdown

    return (html if suffix == ".html" else markdown)(report).encode()


def contents(findings: Sequence[Finding], title: str, ended: ReviewEnded) -> Contents:
    """The report: for each document a table of its items, then the quotes, then what was not read."""
    by_document: dict[tuple[str, str], list[Finding]] = {}
    for one in findings:
        by_document.setdefault((one.library, one.document), []).append(one)
    libraries = ", ".join(dict.fromkeys(library for library, _ in by_document))
    bad = sum(one.as_expected is False for one in findings)
    about = [
        f"Libraries: {libraries or 'none'}. {plural(len(by_document), 'document')}, "
        f"{plural(len(findings), 'finding')}, {bad} not as expected. "
        "Every quote was checked against its document; likelihoods are measured, not certain."
    ]
    about += ["The review was stopped before its end."] if ended.stopped else []
    about += [f"Not read: {source(one.document, '')}: {one.reason}" for one in ended.not_read]
    turns = tuple(_document(document, own) for (_, document), own in by_document.items())
    return Contents(line(title), tuple(map(line, about)), turns, tuple(_sources(by_document)))


def _sources(by_document: dict[tuple[str, str], list[Finding]]) -> list[Cited]:
    found = []
    for (library, document), own in by_document.items():
        places = dict.fromkeys(line(one.citation.place) for one in own if one.citation and one.citation.place)
        found.append(Cited(line(document), line(library), tuple(places)))
    return found


def _document(document: str, own: Sequence[Finding]) -> ExportedTurn:
    heads = ["State", "Clause", "Importance", "Value", "Differs", "Place", "Likelihood", "Reviewer"]
    rows = [heads, ["---"] * len(heads), *map(_row, own)]
    quotes = [
        Quote(line(f"{one.title}: {source(document, one.citation.place)}"), clean(one.citation.quote))
        for one in own if one.citation
    ]  # fmt: skip
    proposals = [f"{one.title}, to propose: {one.fallback}" for one in own if one.fallback]
    notes = [f"{one.title}: {one.note}" for one in own if one.note]
    read = dict.fromkeys(f"{one.title}: read {one.read}" for one in own if one.state in ("absent", "unsure"))
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return ExportedTurn(
        line(document), table, tuple(map(line, (*proposals, *notes))), tuple(quotes), tuple(map(line, read))
    )


def _row(one: Finding) -> list[str]:
    said = one.decision
    cells = [
        one.state, one.title, one.importance, one.value, one.problem, one.citation.place if one.citation else "",
        "" if one.confidence is None else f"{one.confidence:.0%}",
        ": ".join(filter(None, (said.verdict, said.comment))) if said else "",
    ]  # fmt: skip
    return [re.sub(r"([\\|`*_])", r"\\\1", line(cell)) for cell in cells]
