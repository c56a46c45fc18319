"""A conversation as a Word document with Word's own styles for headings, lists, quotes and tables.

It has no links, fields or macros, and nothing in a file of this module names the user or the machine.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from localrag.sessions.export.contents import Contents, ExportedTurn, markdown_parser
from localrag.sessions.table_export import widths

if TYPE_CHECKING:
    from docx.document import Document
    from docx.table import Table
    from docx.text.paragraph import Paragraph
    from markdown_it.token import Token

_MAX_LIST_DEPTH = 3  # of Word's list styles
_SIZE = 9  # points, of the letters of a table
_LETTER = 0.7  # width of a bold letter of a wide font, of its size


def docx(exported: Contents) -> bytes:
    """The conversation: each answer with its quotes and limits, and all sources at the end."""
    document = new(exported.title)
    document.add_heading(exported.title, 0)
    for text in exported.about:
        document.add_paragraph(text, style="Subtitle")
    for turn in exported.turns:
        _turn(document, turn)
    if exported.sources:
        document.add_heading("Sources", 1)
        for number, one in enumerate(exported.sources, 1):
            document.add_paragraph(f"{number}. {one}")
    return saved(document)


def new(title: str) -> Document:
    """Return an empty document with a title among its properties."""
    import docx as library

    document = library.Document()
    about = document.core_properties
    about.author, about.title, about.comments, about.last_modified_by = "localrag", title[:255], "", "localrag"
    about.created = about.modified = datetime.now(UTC).replace(tzinfo=None)
    return document


def saved(document: Document) -> bytes:
    written = io.BytesIO()
    document.save(written)
    return written.getvalue()


def lay_out(document: Document, table: Table, shown: Sequence[Sequence[str]]) -> None:
    """Set the widths of a table by the texts of its columns; its head is on each page, and no row breaks."""
    from docx.oxml import OxmlElement
    from docx.shared import Emu, Pt

    table.autofit = False
    page = document.sections[-1]
    room = (page.page_width or 0) - (page.left_margin or 0) - (page.right_margin or 0)
    shares = widths(shown, int(room / (Pt(_SIZE) * _LETTER)))
    wide = [Emu(room * share // sum(shares)) for share in shares]
    for column, width in zip(table.columns, wide, strict=True):
        column.width = width  # for LibreOffice; Word takes that of each cell
    for number, row in enumerate(table.rows):
        for cell, width in zip(row.cells, wide, strict=True):
            cell.width, own = width, cell.paragraphs[0]
            own.paragraph_format.space_before = own.paragraph_format.space_after = Pt(2)
            for run in (*own.runs, *(run for link in own.hyperlinks for run in link.runs)):
                run.font.size = Pt(_SIZE)
        for name in ("w:cantSplit",) if number else ("w:cantSplit", "w:tblHeader"):
            row._tr.get_or_add_trPr().append(OxmlElement(name))


def _turn(document: Document, turn: ExportedTurn) -> None:
    from docx.enum.section import WD_ORIENT

    page = document.sections[-1]
    if turn.wide != (page.orientation == WD_ORIENT.LANDSCAPE):
        turned = document.add_section()
        turned.orientation = WD_ORIENT.LANDSCAPE if turn.wide else WD_ORIENT.PORTRAIT
        turned.page_width, turned.page_height = page.page_height, page.page_width
    document.add_heading(turn.question, 1)
    _Answer(document).add(turn.answer)
    for text in turn.notes:
        document.add_paragraph().add_run(text).bold = True
    for one in turn.quotes:
        where = document.add_paragraph()
        where.add_run(one.where).bold = True
        where.paragraph_format.keep_with_next = True
        document.add_paragraph(one.quote, style="Quote")
    for text in turn.limits:
        document.add_paragraph().add_run(text).bold = True
    document.add_paragraph().add_run(turn.how).italic = True


class _Answer:
    """Writes the Markdown of one answer into a document, token by token."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._lists: list[list[Any]] = []  # the style and the next number of each open list
        self._quotes = 0
        self._number = ""

    def add(self, text: str) -> None:
        tokens = markdown_parser().parse(text)
        at = 0
        while at < len(tokens):
            token = tokens[at]
            if token.type == "table_open":
                end = next(there for there in range(at, len(tokens)) if tokens[there].type == "table_close")
                self._table(tokens[at:end])
                at = end
            else:
                self._block(token, tokens[at - 1] if at else None)
            at += 1

    def _block(self, token: Token, before: Token | None) -> None:
        match token.type:
            case "bullet_list_open":
                self._lists.append(["List Bullet", 0])
            case "ordered_list_open":
                self._lists.append(["List", int(token.attrs.get("start", 1))])
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
            case "list_item_open" if self._lists[-1][1]:
                # As text, since Word would number all lists of a document in one sequence.
                self._number = f"{self._lists[-1][1]}. "
                self._lists[-1][1] += 1
            case "blockquote_open" | "blockquote_close":
                self._quotes += 1 if token.type == "blockquote_open" else -1
            case "inline":
                style = "Quote" if self._quotes else None
                if self._lists:
                    depth = min(len(self._lists), _MAX_LIST_DEPTH)
                    style = f"{self._lists[-1][0]} {depth}" if depth > 1 else str(self._lists[-1][0])
                paragraph = self._document.add_paragraph(self._number, style=style)
                self._number = ""
                # Bold, not a heading, which could pass for a question.
                _runs(paragraph, token, bold=before is not None and before.type == "heading_open")
            case "fence" | "code_block":
                _code(self._document.add_paragraph().add_run(token.content.rstrip("\n")))
            case _:
                pass

    def _table(self, tokens: list[Token]) -> None:
        rows: list[list[Token]] = []
        for token in tokens:
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "inline":
                rows[-1].append(token)
        table = self._document.add_table(len(rows), max(map(len, rows)), style="Table Grid")
        for number, (row, cells) in enumerate(zip(table.rows, rows, strict=True)):
            for cell, token in zip(row.cells, cells, strict=False):
                _runs(cell.paragraphs[0], token, bold=number == 0)
        shown = [[cell.text for cell in row.cells] for row in table.rows]
        lay_out(self._document, table, list(zip(*shown, strict=True)))


def _runs(paragraph: Paragraph, token: Token, bold: bool = False) -> None:
    """Add the words of a paragraph with their formatting."""
    strong, slanted, struck = int(bold), 0, 0
    for piece in token.children or ():
        match piece.type:
            case "strong_open" | "strong_close":
                strong += 1 if piece.nesting > 0 else -1
            case "em_open" | "em_close":
                slanted += 1 if piece.nesting > 0 else -1
            case "s_open" | "s_close":
                struck += 1 if piece.nesting > 0 else -1
            case "softbreak":
                paragraph.add_run(" ")
            case "hardbreak":
                paragraph.add_run("\n")
            case _:
                run = paragraph.add_run(piece.content)
                run.bold, run.italic = bool(strong) or None, bool(slanted) or None
                run.font.strike = bool(struck) or None
                if piece.type == "code_inline":
                    _code(run)


def _code(run: Any) -> None:
    run.font.name = "Courier New"
