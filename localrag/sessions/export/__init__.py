"""Export a conversation as Markdown, HTML, DOCX, JSON, or a binder (PDF)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from localrag import policy
from localrag.errors import UsageError
from localrag.security import audit, storage
from localrag.security.encryption.keyring import Recipients, decrypted_name
from localrag.sessions.export.contents import Contents, contents, html, markdown, sources
from localrag.sessions.session_store import Session, to_json

if TYPE_CHECKING:
    from localrag.sessions.export.binder import Bind

Form = Literal["md", "html", "docx", "json", "pdf"]
FORMS: tuple[Form, ...] = get_args(Form)
NAMES: dict[Form, str] = {"md": "Markdown", "html": "HTML", "docx": "Word (DOCX)", "json": "JSON", "pdf": "PDF binder"}
_MAX_NAME = 60


def written(session: Session, form: Form, bind: Bind | None = None) -> bytes:
    """The conversation in a format; as JSON it is as stored, with the cited documents; `bind` makes binders."""
    if form == "pdf":
        from localrag.sessions.export import binder

        if bind is None:
            raise ValueError("a binder needs what opens pages")
        return bind(binder.of_session(session))
    if form == "json":
        cited = sources(one for turn in session.turns if turn.answer for one in turn.answer.citations)
        listed = [{"document": one.document, "library": one.library, "places": list(one.places)} for one in cited]
        text = json.dumps(to_json(session) | {"sources": listed}, ensure_ascii=False, indent=2)
        # A file name that is not UTF-8 holds lone surrogates, which are valid JSON only when escaped.
        return text.encode("utf-8", "backslashreplace") + b"\n"
    return rendered(contents(session), form)


def rendered(made: Contents, form: str) -> bytes:
    """The contents of an export as Markdown, HTML or DOCX."""
    if form == "docx":
        from localrag.sessions.export.word import docx

        return docx(made)
    return (html if form == "html" else markdown)(made).encode()


def form_of(path: Path) -> Form:
    """The format of a file name's suffix, or a UsageError."""
    ending = decrypted_name(path).suffix.lower()[1:]
    suffix = {"markdown": "md", "htm": "html"}.get(ending, ending)
    for form in FORMS:
        if suffix == form:
            return form
    endings = ", ".join(f".{form}" for form in FORMS)
    raise UsageError(f"the format of {path.name!r} is unknown", f"Use one of these suffixes: {endings}.")


def file_name(session: Session, form: Form) -> str:
    """A file name valid on every system: the title, and the day the conversation began."""
    words = re.sub(r"[^\w]+", "-", session.title).strip("-_").lower()[:_MAX_NAME].rstrip("-_")
    day = re.match(r"\d{4}-\d{2}-\d{2}", session.created)
    return f"{'-'.join(filter(None, [words or 'conversation', day[0] if day else '']))}.{form}"


def write(
    session: Session,
    path: Path,
    form: Form,
    record: Path | None,
    *,
    replace: bool = False,
    recipients: Recipients | None = None,
    bind: Bind | None = None,
) -> Path:
    """Write the conversation to a file and record it; returns the path, which has a suffix of its own if encrypted.

    Without recipients it is not encrypted, and only its owner may read it.
    """
    path = path if recipients is None else recipients.path(path)
    storage.check_target(path)
    if path.exists() and not replace:
        raise UsageError(f"the file {str(path)!r} exists already", "Give another name, or move this one away.")
    storage.write_bytes(path, exported(session, form, record, str(path), recipients, bind))
    return path


def exported(
    session: Session,
    form: Form,
    record: Path | None,
    place: str,
    recipients: Recipients | None = None,
    bind: Bind | None = None,
) -> bytes:
    """The conversation in a format, encrypted for its recipients if any, recorded as exported to `place`."""
    policy.check_export("a conversation")
    made = written(session, form, bind)
    if recipients is not None:
        made = recipients.encrypt(made)
    # Recorded first: an export that cannot be recorded is not written.
    if record is not None:
        library = session.libraries[0] if len(session.libraries) == 1 else None
        sealed = {"encrypted_for": list(recipients.names)} if recipients else {}
        audit.record(
            record,
            "export",
            library,
            conversation=session.id,
            turns=len(session.turns),
            form=form,
            path=place,
            **sealed,
        )
    return made
