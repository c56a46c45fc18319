"""Write a comparison as Markdown, HTML, JSON, or a Word document with tracked changes and comments.

In the Word document, rejecting all changes gives the old text, and accepting them the new one but for what is reported.
Three documents are a table of clauses: theirs beside ours. Texts of documents are escaped, so that nothing that is
written is live. A copy of a Word file keeps what was live in it (fields, parts elsewhere), which `save` returns.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localrag import policy
from localrag.diff.changes import LEVELS, Comparison, Entry, Paragraph, Run
from localrag.diff.clauses import Comment
from localrag.errors import UsageError
from localrag.redline import copies
from localrag.redline.three_way import ThreeWay
from localrag.redline.tracked import author, moment
from localrag.security import storage
from localrag.security.encryption.keyring import Recipients, decrypted_name
from localrag.sessions import table_export
from localrag.sessions.export.contents import clean, line, page
from localrag.sessions.links import unlinked
from localrag.settings import Settings

if TYPE_CHECKING:
    from docx.document import Document

Compared = Comparison | ThreeWay
SUFFIXES = (".docx", ".html", ".md", ".json")
_AUTHOR = "localrag"
_MARKS = {"-": "w:del", "+": "w:ins"}
_MARKDOWN = {"=": "{}", "-": "~~{}~~", "+": "**{}**"}


def check(path: Path) -> None:
    """Refuse a file that no comparison can be written to, before one is made."""
    policy.check_export("a comparison")
    if decrypted_name(path).suffix.lower() not in SUFFIXES:
        hint = f"Give it one of these endings: {', '.join(SUFFIXES)}."
        raise UsageError(f"no comparison can be written as {path.name!r}", hint)
    storage.check_target(path)


def save(
    compared: Compared,
    path: Path,
    settings: Settings,
    recipients: Recipients | None = None,
    by: str = "",
    date: str = "",
) -> tuple[Path, list[str], list[str]]:
    """Write a comparison to a file, replacing it, and record the export; returns the path, which may gain a suffix.

    Of two Word files, it is a copy of the older one; the titles of changes that could not be marked in it are returned
    too, and what is live in it, as in the older one. Changes are `by` somebody, by default the user, at a `date`.
    """
    check(path)
    suffix = decrypted_name(path).suffix.lower()
    copied = copies.copied(compared, by, date) if suffix == ".docx" and isinstance(compared, Comparison) else None
    data, left, live = copied or (written(compared, suffix, by, date), [], [])
    libraries = {one.library for one in compared.sides.values()}
    saved = table_export.save(
        [{"library": name} for name in sorted(libraries - {""}) or [""]],
        path,
        title(compared),
        lambda name: settings.library_audit_file(name) if name else settings.audit_file,
        recipients,
        data,
    )
    return saved, left, live


def written(compared: Compared, suffix: str, by: str = "", date: str = "") -> bytes:
    """Return a comparison in the format of a suffix."""
    if suffix == ".docx":
        return docx(compared, by or author(), date or moment())
    if suffix == ".json":
        text = json.dumps(compared.to_dict(), ensure_ascii=False, indent=2) + "\n"
    else:
        text = (html if suffix == ".html" else markdown)(compared)
    return text.encode("utf-8", "backslashreplace")


def title(compared: Compared) -> str:
    """Return the names of what is compared: "msa-v1.docx → msa-v2.docx"."""
    first, *others = (line(Path(one.name).name) for one in compared.sides.values())
    return f"{first} → {' | '.join(others)}"


def by_level(compared: Compared) -> Iterator[tuple[str, list[Entry]]]:
    """Yield what changed under its headings, and the comments on what did not."""
    for level in LEVELS:
        if found := [one for one in compared.entries if one.level == level]:
            yield level.capitalize(), found
    left = [(", ".join(filter(None, (one.clause, one.place))) or "somewhere", one) for one in compared.comments]
    if left:
        yield "Comments on what did not change", [Entry("form", where, (), (one,)) for where, one in left]


def _marked(runs: Sequence[Run]) -> str:
    """Return runs in the marks of their signs."""
    return "".join(" " * one.space + _MARKDOWN[one.sign].format(_inert(one.text)) for one in runs).strip()


def markdown(compared: Compared) -> str:
    """Return the changes as Markdown, ~~deleted~~ and **added**, in which nothing of a document is live."""
    parts = [f"# {_inert(title(compared))}", _inert(compared.summary)]
    for heading, entries in by_level(compared):
        parts.append(f"## {heading}")
        for one in entries:
            sides = [side + _marked(runs) for side, runs in one.sides]
            comments = (f"> {_inert(str(said))}" for said in one.comments)
            parts.append("  \n  ".join([f"- {_inert(one.title)}", *sides, *comments]))
    return "\n\n".join(parts) + "\n"


def _inert(text: str) -> str:
    return unlinked(re.sub(r"([\\`*_\[\]<>|~#&])", r"\\\1", line(text)))


def html(compared: Compared) -> str:
    """Return the changes and the whole redline as one HTML file that prints well."""
    values = {"compared": compared, "by_level": by_level(compared), "line": line}
    return page("redline/redline.html", "redline/redline.css", title(compared), **values)


def docx(compared: Compared, by: str, date: str) -> bytes:
    """Return a Word document: the new text with tracked changes (`w:ins`, `w:del`, ECMA-376 17.13.5), or a table."""
    from localrag.sessions.export import word

    document = word.new(title(compared))
    if isinstance(compared, Comparison):
        numbers = count(1)
        for one, comments in zip(compared.paragraphs, compared.beside, strict=True):
            _tracked(document, one, comments, lambda name: _change_mark(name, next(numbers), by, date))
    else:
        _table(document, compared)
    return word.saved(document)


def _change_mark(name: str, number: int, by: str, date: str) -> Any:
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    return OxmlElement(name, {qn("w:id"): str(number), qn("w:author"): line(by)[:255], qn("w:date"): date})


def _tracked(document: Document, one: Paragraph, comments: Sequence[Comment], mark: Callable[[str], Any]) -> None:
    """Add a paragraph with its tracked runs and its comments."""
    from docx.oxml import OxmlElement

    paragraph = document.add_paragraph()
    if {run.sign for run in one} in ({"-"}, {"+"}):  # the end of the paragraph comes or goes too
        properties = OxmlElement("w:rPr")
        properties.append(mark(_MARKS[one[0].sign]))
        paragraph._p.get_or_add_pPr().append(properties)
    runs = [paragraph.add_run(clean(run.text)) for run in one]
    for said in comments if runs else ():
        document.add_comment(runs, line(str(said)), line(said.author) or _AUTHOR)
    for run, made in zip(one, (each._r for each in runs), strict=True):
        if run.sign != "=":
            around = mark(_MARKS[run.sign])
            made.addprevious(around)
            around.append(made)
        for text in made.xpath("w:t") if run.sign == "-" else ():
            text.tag = text.tag.replace("}t", "}delText")


def _table(document: Document, compared: ThreeWay) -> None:
    """Add what changed as a table: the clause, theirs, ours; deleted words struck out, added ones underlined."""
    document.add_heading(title(compared), 1)
    document.add_paragraph(clean(compared.summary))
    for heading, entries in by_level(compared):
        document.add_heading(heading, 2)
        table = document.add_table(1, 3, "Table Grid")
        for cell, name in zip(table.rows[0].cells, ("Clause", "Theirs", "Ours"), strict=True):
            cell.text = name
        for one in entries:
            cells = table.add_row().cells
            cells[0].text = "\n".join(map(line, [one.title, *map(str, one.comments)]))
            for side, runs in one.sides:
                cell = cells[1 + side.startswith("ours")]
                paragraph = cell.add_paragraph() if cell.text else cell.paragraphs[0]
                paragraph.add_run(clean(side.partition(", ")[2]))
                for number, run in enumerate(runs):
                    paragraph.add_run(" " * (run.space and number > 0))
                    font = paragraph.add_run(clean(run.text)).font
                    font.strike, font.underline = run.sign == "-", run.sign == "+"
