"""Write what a proofreader found: as comments in a copy of a Word file, or as a table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from localrag import policy
from localrag.diff.changes import Version
from localrag.errors import ReadError, UsageError
from localrag.redline.proofreading import Fault
from localrag.redline.tracked import Edit, WordFile
from localrag.security import storage
from localrag.security.encryption.keyring import Recipients, decrypted_name
from localrag.sessions import table_export
from localrag.sessions.export.contents import line
from localrag.settings import Settings

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
) -> tuple[Path, int, list[str]]:
    """Write findings and record the export.

    Returns the path, how many comments have no place in the text, and what is live in the copy of a Word file.
    """
    rows = [{"library": version.library, **one.to_row()} for one in found] or [{"library": version.library}]
    data, left, live = None, 0, list[str]()
    if decrypted_name(path).suffix.lower() == _WORD:
        own = Path(version.name).read_bytes()
        if hashlib.sha256(own).hexdigest() != version.sha256:
            raise ReadError(f"{version.name} has changed since it was read", "Run the same command again.")
        data, left, live = commented(own, found)
    saved = table_export.save(
        rows,
        path,
        f"Proofreading of {Path(version.name).name}",
        lambda name: settings.library_audit_file(name) if name else settings.audit_file,
        recipients,
        data,
    )
    return saved, left, live


def commented(data: bytes, found: Sequence[Fault]) -> tuple[bytes, int, list[str]]:
    """Return a Word file with a comment on the words of each finding, how many are at its beginning, and what is live.

    Nothing else of it changes.
    """
    file = WordFile(data, "document.docx", _AUTHOR)
    texts = [one.text for one in file.paragraphs]
    flat = ["".join(text.split()) for text in texts]
    edits, at, left = [], 0, 0
    for fault in found:
        quote, comment = "".join(fault.quote.split()), line(f"{fault.said[:1].upper()}{fault.said[1:]}.")
        holding = [n for n, text in enumerate(flat) if quote and quote in text]
        here = next((n for n in holding if n >= at), next(iter(holding), None))
        if here is None:
            left += 1
            first = next((n for n, text in enumerate(flat) if text), 0)
            edits.append(Edit(first, 0, len(texts[first]), comment=comment))
        else:
            at, places = here, [n for n, sign in enumerate(texts[here]) if not sign.isspace()]
            start = flat[here].find(quote)
            edits.append(Edit(here, places[start], places[start + len(quote) - 1] + 1, comment=comment))
    file.apply(edits)
    return file.saved(), left, file.live
