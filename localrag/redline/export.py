"""Write a comparison as Markdown, HTML, JSON, or a Word document with tracked changes.

In the Word document, accepting all changes gives the new text and rejecting all the old one, each clause a paragraph.
Nothing in a file is live: texts of documents are escaped.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrag import policy
from localrag.errors import UsageError
from localrag.redline.changes import LEVELS, Comparison, Paragraph, Run
from localrag.security import audit, storage
from localrag.security.encryption.age import Recipients, decrypted_name
from localrag.sessions.export.contents import line
from localrag.sessions.export.text_formats import page
from localrag.settings import Settings

if TYPE_CHECKING:
    from docx.text.paragraph import Paragraph as WordParagraph

SUFFIXES = (".docx", ".html", ".md", ".json")
TITLES = {"substance": "Substance", "wording": "Wording", "form": "Form"}
_AUTHOR = "localrag"


def check(path: Path) -> None:
    """Refuse a file that no comparison can be written to, before one is made."""
    policy.check_export("a comparison")
    if decrypted_name(path).suffix.lower() not in SUFFIXES:
        hint = f"Give it one of these endings: {', '.join(SUFFIXES)}."
        raise UsageError(f"no comparison can be written as {path.name!r}", hint)
    storage.check_folder(path)


def save(compared: Comparison, path: Path, settings: Settings, recipients: Recipients | None = None) -> Path:
    """Write a comparison to a file, replacing it, and record the export; returns the path, which may gain a suffix."""
    check(path)
    data = written(compared, decrypted_name(path).suffix.lower())
    encrypted = {}
    if recipients is not None:
        path, data = recipients.path(path), recipients.encrypt(data)
        encrypted = {"encrypted_for": list(recipients.names)}
    # Recorded first: what cannot be recorded is not written.
    library = compared.old.library or compared.new.library
    record = settings.library_audit_file(library) if library else settings.audit_file
    names = {"old": compared.old.name, "new": compared.new.name}
    audit.record(record, "export", library or None, **names, written=str(path.absolute()), **encrypted)
    storage.write_bytes(path, data)
    return path


def written(compared: Comparison, suffix: str) -> bytes:
    """Return a comparison in the format of a suffix."""
    if suffix == ".docx":
        return docx(compared)
    if suffix == ".json":
        text = json.dumps(compared.to_dict(), ensure_ascii=False, indent=2) + "\n"
        return text.encode("utf-8", "backslashreplace")
    return (html(compared) if suffix == ".html" else markdown(compared)).encode("utf-8", "replace")


def _title(compared: Comparison) -> str:
    return line(f"{Path(compared.old.name).name} → {Path(compared.new.name).name}")


def markdown(compared: Comparison) -> str:
    """Return the changes as Markdown, ~~deleted~~ and **added**, in which nothing of a document is live."""
    parts = [f"# {_inert(_title(compared))}", _inert(compared.summary)]
    marks = {"=": "{}", "-": "~~{}~~", "+": "**{}**"}
    for level in LEVELS:
        found = [one for one in compared.changes if one.level == level]
        parts += [f"## {TITLES[level]}"] if found else []
        for one in found:
            runs = " ".join(marks[run.sign].format(_inert(line(run.text))) for run in one.runs)
            parts.append(f"- {_inert(line(one.title))}  \n  {runs}")
    return "\n\n".join(parts) + "\n"


def _inert(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|~#&])", r"\\\1", text)


def html(compared: Comparison) -> str:
    """Return the changes and the whole redline as one HTML file that prints well."""
    body = [f'<p class="about">{escape(compared.summary)}</p>']
    for level in LEVELS:
        found = [one for one in compared.changes if one.level == level]
        body += [f"<h2>{TITLES[level]}</h2>"] if found else []
        body += [f"<h3>{escape(line(one.title))}</h3><p>{_html(one.runs, ' ')}</p>" for one in found]
    body.append("<h2>The whole text</h2>")
    body += [f"<p>{_html(one)}</p>" for one in compared.paragraphs]
    style = resources.files("localrag.redline").joinpath("redline.css").read_text(encoding="utf-8")
    return page(_title(compared), style, body)


def _html(runs: Sequence[Run], between: str = "") -> str:
    tags = {"=": "{}", "-": "<del>{}</del>", "+": "<ins>{}</ins>"}
    return between.join(tags[run.sign].format(escape(run.text)) for run in runs)


def docx(compared: Comparison) -> bytes:
    """Return the new text as a Word document with the changes tracked (`w:ins`, `w:del`, ECMA-376 17.13.5)."""
    import docx as library

    document = library.Document()
    about = document.core_properties
    about.author, about.title, about.comments, about.last_modified_by = _AUTHOR, _title(compared)[:255], "", _AUTHOR
    now = datetime.now(UTC).replace(microsecond=0)
    about.created = about.modified = now.replace(tzinfo=None)
    marks = _Marks(now.isoformat().replace("+00:00", "Z"))
    for one in compared.paragraphs:
        marks.add(document.add_paragraph(), one)
    made = io.BytesIO()
    document.save(made)
    return made.getvalue()


class _Marks:
    """Adds tracked runs to paragraphs; each mark has a number of its own."""

    def __init__(self, date: str) -> None:
        self._date, self._count = date, 0

    def _mark(self, name: str) -> Any:
        from docx.oxml import OxmlElement
        from docx.oxml.ns import qn

        self._count += 1
        mark = OxmlElement(name)
        for key, value in (("w:id", str(self._count)), ("w:author", _AUTHOR), ("w:date", self._date)):
            mark.set(qn(key), value)
        return mark

    def add(self, paragraph: WordParagraph, one: Paragraph) -> None:
        from docx.oxml import OxmlElement

        signs = {run.sign for run in one}
        if signs in ({"-"}, {"+"}):  # the end of the paragraph comes or goes too
            properties = OxmlElement("w:rPr")
            properties.append(self._mark("w:del" if signs == {"-"} else "w:ins"))
            paragraph._p.get_or_add_pPr().append(properties)
        for run in one:
            made = paragraph.add_run(run.text)._r
            if run.sign == "=":
                continue
            mark = self._mark("w:del" if run.sign == "-" else "w:ins")
            made.addprevious(mark)
            mark.append(made)
            for text in made.xpath("w:t") if run.sign == "-" else ():
                text.tag = text.tag.replace("}t", "}delText")
