"""Build the example documents in examples/ from the sources in this folder.

For maintainers only: the built files are committed, so nobody needs to run this to use the project.
It needs reportlab and python-docx:  python docs/examples-source/build.py

A source named X.pdf.md or X.docx.md becomes X.pdf or X.docx; any other .md or .txt file is copied.
Sources of built files begin with "key: value" lines and use a small part of Markdown: headings,
paragraphs, "- " lists and pipe tables. "layout: book" adds a cover, a contents list and page labels.
"""

from __future__ import annotations

import datetime
import io
import re
import shutil
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import docx
from reportlab import platypus
from reportlab.lib import colors
from reportlab.lib.enums import TA_CENTER, TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import Paragraph, TableStyle
from reportlab.platypus.tableofcontents import TableOfContents

SOURCE = Path(__file__).resolve().parent
TARGET = SOURCE.parents[1] / "examples"
FIXED_DATE = datetime.datetime(2026, 1, 5, 9, 0, 0)
WIDTH = A4[0] - 64 * mm


def style(name: str, size: float, font: str = "Times-Roman", **options: Any) -> ParagraphStyle:
    return ParagraphStyle(name, fontName=font, fontSize=size, **({"leading": size * 1.45} | options))


BODY = style("body", 11.5, spaceAfter=8)
BULLET = style("bullet", 11.5, leftIndent=16, bulletIndent=4, spaceAfter=4)
CELL = style("cell", 9.5, leading=12)
CELL_RIGHT = style("cell-right", 9.5, leading=12, alignment=TA_RIGHT)
HEAD = style("head", 9.5, "Times-Bold", leading=12)
HEAD_RIGHT = style("head-right", 9.5, "Times-Bold", leading=12, alignment=TA_RIGHT)
HEADINGS = {
    1: style("h1", 19, "Helvetica-Bold", spaceAfter=14, leading=24),
    2: style("h2", 13, "Helvetica-Bold", spaceBefore=8, spaceAfter=6, leading=17),
}
TITLE = style("title", 17, "Helvetica-Bold", spaceAfter=4, leading=22)
COVER = style("cover", 28, "Helvetica-Bold", alignment=TA_CENTER, leading=36, spaceAfter=20)
COVER_LINE = style("cover-line", 14, "Helvetica", alignment=TA_CENTER, spaceAfter=12)
REFERENCE = style("reference", 10.5, "Times-Italic", spaceAfter=14)
TOC_STYLES = [
    style("toc1", 10.5, "Helvetica-Bold", spaceBefore=4, leading=13),
    style("toc2", 10, leftIndent=14, leading=12),
]


@dataclass
class Block:
    kind: str  # "heading", "text", "bullet" or "table"
    text: str = ""
    level: int = 0
    rows: list[list[str]] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)  # which columns align to the right


def parse(source: str) -> tuple[dict[str, str], list[Block]]:
    """Split a source into its leading "key: value" lines and its blocks."""
    head, _, rest = source.partition("\n\n")
    meta = dict(re.findall(r"^(\w+): (.+)$", head, re.MULTILINE))
    blocks: list[Block] = []
    for line in rest.splitlines():
        if heading := re.match(r"(#+) (.+)", line):
            blocks.append(Block("heading", heading[2], len(heading[1])))
        elif line.startswith("- "):
            blocks.append(Block("bullet", line[2:]))
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if not blocks or blocks[-1].kind != "table":
                blocks.append(Block("table", rows=[cells]))
            elif all(re.fullmatch(r":?-+:?", cell) for cell in cells):
                blocks[-1].right = [cell.endswith(":") for cell in cells]
            else:
                blocks[-1].rows.append(cells)
        elif line:
            blocks.append(Block("text", line))
        else:
            blocks.append(Block("blank"))  # ends a table
    return meta, [block for block in blocks if block.kind != "blank"]


def pdf_table(block: Block) -> platypus.Table:
    columns = list(zip(*block.rows, strict=True))
    needed = [max(stringWidth(w, HEAD.fontName, 9.5) for c in col for w in c.split()) + 14 for col in columns]
    weights = [min(max(map(len, col)), 34) for col in columns]
    spare = WIDTH - sum(needed)
    widths = [n + spare * w / sum(weights) for n, w in zip(needed, weights, strict=True)]
    rows = []
    for number, row in enumerate(block.rows):
        left, right = (HEAD, HEAD_RIGHT) if number == 0 else (CELL, CELL_RIGHT)
        rows.append([Paragraph(escape(c), right if block.right[i] else left) for i, c in enumerate(row)])
    table = platypus.Table(rows, widths, repeatRows=1, spaceBefore=4, spaceAfter=12)
    table.setStyle(
        TableStyle(
            [
                ("GRID", (0, 0), (-1, -1), 0.5, colors.grey),
                ("BACKGROUND", (0, 0), (-1, 0), colors.Color(0.9, 0.92, 0.95)),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 3),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 4),
            ]
        )
    )
    return table


class StartBody(platypus.ActionFlowable):
    """Marks the first page after the front matter, where the page labels start again at 1."""

    def apply(self, doc: PdfDoc) -> None:
        doc.front_pages = doc.page - 1
        doc.canv.addPageLabel(doc.front_pages, style="ARABIC", start=1)


class PdfDoc(platypus.BaseDocTemplate):
    def __init__(self, path: Path, meta: dict[str, str]) -> None:
        super().__init__(str(path), pagesize=A4, invariant=1, title=meta["title"], author=meta["author"])
        self.book = meta["layout"] == "book"
        self.front_pages = 0
        frame = platypus.Frame(32 * mm, 30 * mm, WIDTH, A4[1] - 60 * mm, 0, 0, 0, 0)
        self.addPageTemplates(platypus.PageTemplate(frames=[frame], onPage=self.draw_edges))

    def label(self, page: int) -> str:
        if not self.book:
            return str(page)
        if page <= self.front_pages:
            return ("i", "ii", "iii", "iv", "v", "vi")[page - 1]
        return str(page - self.front_pages)

    def draw_edges(self, canvas: Any, doc: Any) -> None:
        if self.book and doc.page == 1:
            canvas.addPageLabel(0, style="ROMAN_LOWER", start=1)
            return
        canvas.setFont("Helvetica", 8.5)
        canvas.drawString(32 * mm, A4[1] - 18 * mm, self.title)
        canvas.drawCentredString(A4[0] / 2, 16 * mm, f"Page {self.label(doc.page)}")

    def afterFlowable(self, flowable: platypus.Flowable) -> None:
        name = flowable.style.name if isinstance(flowable, Paragraph) else ""
        if not self.book or name not in ("h1", "h2"):
            return
        level, text = int(name[1]) - 1, flowable.getPlainText()
        key = f"s{self.seq.nextf('heading')}"
        self.canv.bookmarkPage(key)
        self.canv.addOutlineEntry(text, key, level, closed=True)
        self.notify("TOCEntry", (level, escape(text), self.page, key))


def build_pdf(source: Path, path: Path) -> None:
    meta, blocks = parse(source.read_text(encoding="utf-8"))
    doc = PdfDoc(path, meta)
    story: list[Any] = []
    if doc.book:
        tight = TableStyle([("TOPPADDING", (0, 0), (-1, -1), 0), ("BOTTOMPADDING", (0, 0), (-1, -1), 0)])
        toc = TableOfContents(tableStyle=tight, levelStyles=TOC_STYLES, dotsMinLevel=-1, formatter=doc.label)
        story += [platypus.Spacer(1, 70 * mm), Paragraph(escape(meta["title"]), COVER)]
        story += [Paragraph(escape(meta[key]), COVER_LINE) for key in ("subtitle", "reference")]
        story += [platypus.PageBreak(), Paragraph("Contents", TITLE), toc]
    else:
        story += [Paragraph(escape(meta["title"]), TITLE), Paragraph(escape(meta["reference"]), REFERENCE)]
    chapters = 0
    for number, block in enumerate(blocks):
        if block.kind == "heading":
            if block.level == 1:
                story.append(platypus.PageBreak())
                story += [StartBody()] if chapters == 0 else []
                chapters += 1
            heading = Paragraph(escape(block.text), HEADINGS[block.level])
            heading.keepWithNext = 1
            story.append(heading)
        elif block.kind == "table":
            story.append(pdf_table(block))  # stays with the heading or paragraph before it
        elif block.kind == "bullet":
            story.append(Paragraph(escape(block.text), BULLET, bulletText="\u2022"))
        else:
            paragraph = Paragraph(escape(block.text), BODY)
            paragraph.keepWithNext = number + 1 < len(blocks) and blocks[number + 1].kind == "table"
            story.append(paragraph)
    doc.multiBuild(story)


def build_docx(source: Path, path: Path) -> None:
    meta, blocks = parse(source.read_text(encoding="utf-8"))
    document = docx.Document()
    document.add_heading(meta["title"], 0)
    document.add_paragraph(meta["reference"], style="Subtitle")
    for block in blocks:
        if block.kind == "heading":
            document.add_heading(block.text, block.level - 1)
        elif block.kind == "table":
            table = document.add_table(0, len(block.rows[0]), style="Light Grid Accent 1")
            for row in block.rows:
                for cell, text in zip(table.add_row().cells, row, strict=True):
                    cell.text = text
            document.add_paragraph()
        else:
            document.add_paragraph(block.text, style="List Bullet" if block.kind == "bullet" else None)
    properties = document.core_properties
    properties.title, properties.author, properties.comments = meta["title"], meta["author"], ""
    properties.created = properties.modified = FIXED_DATE
    buffer = io.BytesIO()
    document.save(buffer)
    with zipfile.ZipFile(buffer) as packed, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as fixed:
        for name in packed.namelist():  # the same parts, with a fixed time stamp
            info = zipfile.ZipInfo(name, FIXED_DATE.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED
            fixed.writestr(info, packed.read(name))


def main() -> None:
    for source in sorted(p for p in SOURCE.rglob("*") if p.suffix in (".md", ".txt") and p.parent != SOURCE):
        path = TARGET / source.relative_to(SOURCE)
        path.parent.mkdir(parents=True, exist_ok=True)
        if source.name.endswith(".pdf.md"):
            build_pdf(source, path.with_suffix(""))
        elif source.name.endswith(".docx.md"):
            build_docx(source, path.with_suffix(""))
        else:
            shutil.copyfile(source, path)


if __name__ == "__main__":
    main()
