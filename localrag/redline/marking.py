"""Write what a proofreader found: as comments in a copy of a Word file, or as a table."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from localrag import policy
from localrag.diff.changes import Version
from localrag.errors import UsageError
from localrag.redline.proofreading import Fault
from localrag.security import storage
from localrag.security.encryption.keyring import Recipients, decrypted_name
from localrag.sessions import table_export
from localrag.sessions.export.contents import line
from localrag.settings import Settings

if TYPE_CHECKING:
    from docx.document import Document
    from docx.text.paragraph import Paragraph
    from docx.text.run import Run

_WORD, _AUTHOR = ".docx", "localrag"
_TABLES = (".xlsx", ".csv", ".md", ".json")


def check(path: Path, named: str) -> None:
    """Refuse a file that the findings on a document cannot be written to, before it is read."""
    policy.check_export("the findings of a proofreading")
    suffix = decrypted_name(path).suffix.lower()
    if suffix not in (_WORD, *_TABLES):
        hint = f"Give it one of these endings: {', '.join((_WORD, *_TABLES))}."
        raise UsageError(f"no findings can be written as {path.name!r}", hint)
    if suffix == _WORD and (Path(named).suffix.lower() != _WORD or not Path(named).is_file()):
        raise UsageError(
            f"{named!r} is no Word file on this disk that could have comments", "Write a table: --out findings.xlsx"
        )
    storage.check_target(path)


def save(
    version: Version, found: Sequence[Fault], path: Path, settings: Settings, recipients: Recipients | None = None
) -> tuple[Path, int]:
    """Write findings, record the export, and return the path and how many comments have no place in the text."""
    rows = [{"library": version.library, **one.to_row()} for one in found] or [{"library": version.library}]
    data, left = None, 0
    if decrypted_name(path).suffix.lower() == _WORD:
        data, left = commented(Path(version.name).read_bytes(), found)
    saved = table_export.save(
        rows,
        path,
        f"Proofreading of {Path(version.name).name}",
        lambda name: settings.library_audit_file(name) if name else settings.audit_file,
        recipients,
        data,
    )
    return saved, left


def commented(data: bytes, found: Sequence[Fault]) -> tuple[bytes, int]:
    """Return a Word file with a comment for each finding, and how many of them are at its beginning.

    Nothing else of it changes. A comment is on the runs that hold the words of the finding.
    """
    from docx import Document as open_word

    document = open_word(io.BytesIO(data))
    paragraphs = [(one, "".join(run.text for run in one.runs)) for one in _paragraphs(document)]
    flat = [" ".join(text.split()) for _, text in paragraphs]
    at, left = 0, 0
    for fault in found:
        holding = [n for n, text in enumerate(flat) if fault.quote in text]
        here = next((n for n in holding if n >= at), next(iter(holding), None))
        if here is None:
            left += 1
            runs = next((one.runs for one, text in paragraphs if text.strip()), [])[:1]
        else:
            at = here
            runs = _holding(paragraphs[here][0].runs, fault.quote)
        if runs:
            document.add_comment(runs, line(f"{fault.said[:1].upper()}{fault.said[1:]}."), _AUTHOR, "")
    made = io.BytesIO()
    document.save(made)
    return made.getvalue(), left


def _paragraphs(document: Document) -> Iterator[Paragraph]:
    """Yield the paragraphs of the body and of its tables, in their order."""
    from docx.table import Table

    for block in document.iter_inner_content():
        if isinstance(block, Table):
            for cell in dict.fromkeys(cell for row in block.rows for cell in row.cells):
                yield from cell.paragraphs
        else:
            yield block


def _holding(runs: Sequence[Run], quote: str) -> list[Run]:
    """Return the runs from the first to the last that has words of a quote."""
    text, ends = "", []
    for run in runs:
        text += run.text
        ends.append(len(text))
    places = [at for at, sign in enumerate(text) if not sign.isspace()]
    start = "".join(text.split()).find("".join(quote.split()))
    if start < 0:
        return list(runs)
    first, last = places[start], places[start + len("".join(quote.split())) - 1]
    return [run for run, begin, end in zip(runs, [0, *ends], ends, strict=False) if begin <= last and end > first]
