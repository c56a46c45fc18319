"""A conversation written to a file: in which format, under which name, and never over another without being told to."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal, get_args

from localrag import policy
from localrag.errors import StorageError, UsageError
from localrag.security import audit, storage
from localrag.security.encryption.age import Recipients, decrypted_name
from localrag.sessions import Session, files
from localrag.sessions.export.contents import contents, sources

Form = Literal["md", "html", "docx", "json"]
FORMS: tuple[Form, ...] = get_args(Form)
NAMES: dict[Form, str] = {"md": "Markdown", "html": "HTML", "docx": "Word (DOCX)", "json": "JSON"}
_LONGEST_NAME = 60


def written(session: Session, form: Form) -> bytes:
    """The conversation in a format."""
    if form == "json":
        return _json(session)
    told = contents(session)
    if form == "docx":
        from localrag.sessions.export.docx import docx

        return docx(told)
    if form == "html":
        from localrag.sessions.export.html import html

        return html(told).encode()
    from localrag.sessions.export.markdown import markdown

    return markdown(told).encode()


def _json(session: Session) -> bytes:
    """All there is of it, as it is kept, and the documents cited."""
    cited = sources(turn.answer for turn in session.turns if turn.answer)
    value = files.to_json(session) | {
        "sources": [{"document": one.document, "library": one.library, "places": list(one.places)} for one in cited]
    }
    # A file name that is not UTF-8 holds halves of characters; escaped, they are JSON that every program reads.
    return json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8", "backslashreplace") + b"\n"


def form_of(path: Path) -> Form:
    """The format that a file's name asks for.

    Raises:
        UsageError: its suffix is none of those known.
    """
    ending = decrypted_name(path).suffix.lower()[1:]
    suffix = {"markdown": "md", "htm": "html"}.get(ending, ending)
    for form in FORMS:
        if suffix == form:
            return form
    endings = ", ".join(f".{form}" for form in FORMS)
    raise UsageError(f"no conversation can be written as {path.name!r}", f"Give it one of these endings: {endings}.")


def file_name(session: Session, form: Form) -> str:
    """A name for the export: the title, and the day it was begun; safe on every system."""
    words = re.sub(r"[^\w]+", "-", session.title).strip("-_").lower()[:_LONGEST_NAME].rstrip("-_")
    day = re.match(r"\d{4}-\d{2}-\d{2}", session.created)
    return f"{'-'.join(filter(None, [words or 'conversation', day[0] if day else '']))}.{form}"


def write(
    session: Session, path: Path, form: Form, record: Path | None, *, replace: bool = False,
    recipients: Recipients | None = None,
) -> Path:  # fmt: skip
    """Write the conversation to a file that only its owner may read, or only its recipients, and say so in the audit
    record; returns the file, whose name says that it is sealed.

    Raises:
        UsageError: the file is there and `replace` is not given, or it is a folder.
        StorageError: it cannot be written.
        PolicyRefused: the policy allows no exports.
    """
    path = path if recipients is None else recipients.path(path)
    if path.is_dir():
        raise UsageError(f"{str(path)!r} is a folder", "Give the name of a file in it.")
    if path.exists() and not replace:
        raise UsageError(f"there is a file {str(path)!r} already", "Give another name, or say that it may be replaced.")
    if not path.parent.is_dir():
        raise StorageError(f"there is no folder {str(path.parent)!r}", "Make it first, or give another path.")
    storage.write_bytes(path, exported(session, form, record, str(path), recipients))
    return path


def exported(
    session: Session, form: Form, record: Path | None, place: str, recipients: Recipients | None = None
) -> bytes:
    """The conversation in a format, to be taken to a place outside, sealed where it has recipients; that it was is
    recorded.

    Raises:
        PolicyRefused: the policy allows no exports.
        StorageError: it cannot be recorded.
    """
    policy.check_export("a conversation")
    made = written(session, form)
    if recipients is not None:
        made = recipients.encrypt(made)
    # Recorded first: what cannot be recorded is not written.
    if record is not None:
        library = session.libraries[0] if len(session.libraries) == 1 else None
        sealed = {"encrypted_for": list(recipients.names)} if recipients else {}
        audit.record(
            record, "export", library,
            conversation=session.id, turns=len(session.turns), form=form, path=place, **sealed,
        )  # fmt: skip
    return made
