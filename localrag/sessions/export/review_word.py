"""A review as a Word document to hand on: a cover, what is not as expected with its quotes, and the rest in tables.

Its only links are those to pages of the originals, and its only fields are the numbers of pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING, Any

from localrag.events import ReviewEnded
from localrag.quantities import plural
from localrag.sessions.export.contents import clean, line
from localrag.sessions.export.word import lay_out, new, saved
from localrag.sessions.links import Link
from localrag.types import Checked, Citation, source

if TYPE_CHECKING:
    from docx.document import Document
    from docx.table import _Cell
    from docx.text.paragraph import Paragraph

# The groups of findings in their order; the last two are tables.
DEVIATES, MISSING, UNCLEAR, EXPECTED, OPEN = range(5)
_GROUPS = ("Deviates", "Missing", "Unclear", "As expected", "No position")
_FONT, _BLUE = "Arial", "0563C1"
_MAX_NOT_READ = 40


def group_of(one: Checked) -> int:
    """Return the group of a finding."""
    if one.state == "unsure":
        return UNCLEAR
    if one.as_expected is None:
        return OPEN
    return EXPECTED if one.as_expected else MISSING if one.state == "absent" else DEVIATES


def docx(findings: Sequence[Checked], playbook: str, ended: ReviewEnded, link: Link) -> bytes:
    """Return the report of a review."""
    made = _Report(new(f"Review: {line(playbook)}"), link)
    made.cover(findings, line(playbook), ended)
    made.findings([one for one in findings if group_of(one) < EXPECTED])
    for group in (EXPECTED, OPEN):
        made.table(_GROUPS[group], [one for one in findings if group_of(one) == group])
    return saved(made.document)


def by_document(findings: Iterable[Checked]) -> dict[tuple[str, str], list[Checked]]:
    """Return the findings by library and document."""
    found: dict[tuple[str, str], list[Checked]] = {}
    for one in findings:
        found.setdefault((one.library, one.document), []).append(one)
    return found


class _Report:
    """Writes the parts of a report into a document."""

    def __init__(self, document: Document, link: Link) -> None:
        self.document, self._link = document, link
        self._set_page()
        self._set_styles()

    def _set_page(self) -> None:
        from docx.enum.section import WD_ORIENT
        from docx.enum.text import WD_ALIGN_PARAGRAPH
        from docx.shared import Cm

        page = self.document.sections[0]
        page.orientation, page.page_width, page.page_height = WD_ORIENT.LANDSCAPE, Cm(29.7), Cm(21)
        page.left_margin = page.right_margin = page.top_margin = page.bottom_margin = Cm(2)
        foot = page.footer.paragraphs[0]
        foot.alignment = WD_ALIGN_PARAGRAPH.RIGHT
        for text, field in (("Page ", "PAGE"), (" of ", "NUMPAGES")):
            foot.add_run(text)
            _add_field(foot, field)

    def _set_styles(self) -> None:
        from docx.oxml.ns import qn
        from docx.shared import Pt, RGBColor

        for name, size in (("Normal", 10), ("Title", 24), ("Heading 1", 16), ("Heading 2", 13), ("Heading 3", 11)):
            style: Any = self.document.styles[name]
            style.font.name, style.font.size = _FONT, Pt(size)
            fonts = style.element.rPr.rFonts
            for theme in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
                fonts.attrib.pop(qn(f"w:{theme}"), None)
            style.paragraph_format.space_after = Pt(4)
            if name != "Normal":
                style.font.color.rgb = RGBColor(0x1F, 0x2A, 0x44)
        quoted: Any = self.document.styles["Quote"]
        quoted.font.color.rgb, quoted.paragraph_format.left_indent = RGBColor(0x33, 0x33, 0x33), Pt(18)

    def cover(self, findings: Sequence[Checked], playbook: str, ended: ReviewEnded) -> None:
        """Add the title, what was reviewed by what, the counts, and what was not read."""
        self.document.add_heading(f"Review: {playbook}", 0)
        own = list(by_document(findings).values())
        models = sorted({one.model for one in findings if one.model})
        today = date.today()
        for label, text in (
            ("Document", line(own[0][0].document_name) if len(own) == 1 else ""),
            ("Library", ", ".join(dict.fromkeys(line(one.library) for one in findings))),
            ("Playbook", playbook),
            ("Date", f"{today.day} {today:%B %Y}"),
            ("Model", ", ".join(map(line, models)) or "none; code alone decided"),
            ("Result", _result(findings, len(own))),
            ("Not finished", "the review was stopped before its end" if ended.stopped else ""),
        ):
            self._labelled(label, text)
        left = [line(f"{source(one.document, '')}: {one.reason}") for one in ended.not_read]
        self._labelled("Not read", plural(len(left), "remark") if left else "nothing; every document was read")
        more = [f"and {len(left) - _MAX_NOT_READ} more"] if len(left) > _MAX_NOT_READ else []
        for text in [*left[:_MAX_NOT_READ], *more]:
            self.document.add_paragraph(text, style="List Bullet")
        self.document.add_paragraph(
            "Every quote was compared with its document, character for character. How likely a clause is there is "
            "measured, not certain."
        ).runs[0].italic = True
        if own[1:]:
            heads = ("Document", *_GROUPS)
            rows = [[(line(one[0].document_name), ""), *_counts(one)] for one in own]
            self._add_table(heads, rows)

    def findings(self, findings: Sequence[Checked]) -> None:
        """Add a block for each finding that is not as expected, by document and group."""
        self._heading("Findings", 1).paragraph_format.page_break_before = True
        if not findings:
            self.document.add_paragraph("Nothing deviates, is missing or is unclear.")
        for own in by_document(findings).values():
            self._heading(line(own[0].document_name), 2)
            path = own[0].document if own[0].document_title else ""
            for label, text in (("File", path), ("Note", own[0].remark)):
                self._labelled(label, line(text), keep=True)
            for group, ones in groupby(sorted(own, key=group_of), group_of):
                blocks = list(ones)
                self._heading(f"{_GROUPS[group]} ({len(blocks)})", 3)
                for one in blocks:
                    self._block(one)

    def _block(self, one: Checked) -> None:
        """Add a finding: what differs, value, quote, place, what to propose, and what the reviewer decides."""
        from docx.shared import Pt

        head = self.document.add_paragraph()
        head.paragraph_format.keep_with_next = True
        head.paragraph_format.space_before = Pt(8)
        head.add_run(line(one.title)).bold = True
        head.add_run(f"  ({line(one.importance)} importance)")
        likely = "" if one.confidence is None else f"; {100 * one.confidence:.0f} % likely to be there"
        for label, text in (("Differs", one.problem), ("Value", one.value if one.state != "absent" else "")):
            self._labelled(label, line(text), keep=True)
        if one.citation is not None:
            quoted = self.document.add_paragraph(f"“{' '.join(clean(one.citation.quote).split())}” ", style="Quote")
            quoted.paragraph_format.keep_with_next = True
            _add_text(quoted, *self._place(one, one.citation))
        read = f"{one.read}{likely}" if one.state in ("absent", "unsure") else ""
        for label, text in (("Read", read), ("To propose", one.fallback), ("Note", one.note), ("Before", one.before)):
            self._labelled(label, line(text), keep=True)
        self._labelled("Decision", _decision(one))

    def table(self, title: str, findings: Sequence[Checked]) -> None:
        """Add a table of findings that need no more than a row."""
        if not findings:
            return
        self._heading(f"{title} ({len(findings)})", 1)
        for text in dict.fromkeys(filter(None, map(_remark, findings))):
            self.document.add_paragraph().add_run(text).italic = True
        several, decided = len(by_document(findings)) > 1, any(one.decision for one in findings)
        heads = [*(["Document"] if several else []), "Clause", "Value", "Page", *(["Decision"] if decided else [])]
        rows = []
        for one in findings:
            at = one.citation
            value = one.value if one.state == "found" else "not there"
            cells = [(line(one.document_name), "")] if several else []
            cells += [(line(one.title), ""), (line("; ".join(filter(None, (value, one.problem)))), "")]
            cells += [self._place(one, at) if at else ("", "")]
            rows.append([*cells, *([(_decision(one), "")] if decided else [])])
        self._add_table(heads, rows)

    def _heading(self, text: str, level: int) -> Paragraph:
        heading: Paragraph = self.document.add_heading(text, level)
        return heading

    def _labelled(self, label: str, text: str, keep: bool = False) -> None:
        if text:
            paragraph = self.document.add_paragraph()
            paragraph.paragraph_format.keep_with_next = keep
            paragraph.add_run(f"{label}: ").bold = True
            paragraph.add_run(text)

    def _place(self, one: Checked, at: Citation) -> tuple[str, str]:
        """Return the place of a quote and its address; with the document where that is another one."""
        where = at.place if at.document == one.document else source(at.document, at.place)
        return line(where), self._link(at.library, at.document, at.page if at.unit == "page" else None)

    def _add_table(self, heads: Sequence[str], rows: Sequence[Sequence[tuple[str, str]]]) -> None:
        """Add a table of texts with their addresses, which may be empty."""
        table = self.document.add_table(len(rows) + 1, len(heads), style="Table Grid")
        for cell, head in zip(table.rows[0].cells, heads, strict=True):
            cell.paragraphs[0].add_run(head).bold = True
            _shade(cell)
        for row, cells in zip(table.rows[1:], rows, strict=False):
            for cell, (text, address) in zip(row.cells, cells, strict=True):
                _add_text(cell.paragraphs[0], text, address)
        lay_out(self.document, table, [[head, *(row[at][0] for row in rows)] for at, head in enumerate(heads)])


def _counts(own: Sequence[Checked]) -> list[tuple[str, str]]:
    groups = [group_of(one) for one in own]
    return [(str(groups.count(group) or ""), "") for group in range(len(_GROUPS))]


def _result(findings: Sequence[Checked], documents: int) -> str:
    """Return the counts as a sentence."""
    groups = [group_of(one) for one in findings]
    words = ("deviating", "missing", "unclear", "as expected", "without a position")
    parts = ", ".join(f"{groups.count(group)} {word}" for group, word in enumerate(words))
    return f"{plural(len(findings), 'clause')} looked for in {plural(documents, 'document')}: {parts}."


def _remark(one: Checked) -> str:
    return line(f"{one.document_name}: {one.remark}.") if one.remark else ""


def _decision(one: Checked) -> str:
    said = one.decision
    if said is None:
        return "open"
    by = f" by {said.by}" if said.by and said.verdict != "open" else ""
    on = f", {said.at[:10]}" if said.at else ""
    return line(f"{said.verdict}{by}{on}{f': {said.comment}' if said.comment else ''}")


def _add_text(paragraph: Paragraph, text: str, address: str) -> None:
    """Add a text, as a link if it has an address."""
    from docx.opc.constants import RELATIONSHIP_TYPE
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn
    from docx.shared import RGBColor

    run = paragraph.add_run(text)
    run.italic = False if address else None
    if not address:
        return
    run.font.underline, run.font.color.rgb = True, RGBColor.from_string(_BLUE)
    target, _, anchor = address.partition("#")
    number = paragraph.part.relate_to(target, RELATIONSHIP_TYPE.HYPERLINK, is_external=True)
    link = OxmlElement("w:hyperlink", {qn("r:id"): number} | ({qn("w:anchor"): anchor} if anchor else {}))
    link.append(run._r)
    paragraph._p.append(link)


def _add_field(paragraph: Paragraph, name: str) -> None:
    """Add a number that Word counts, such as PAGE."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    field = OxmlElement("w:fldSimple", {qn("w:instr"): name})
    field.append(paragraph.add_run("1")._r)
    paragraph._p.append(field)


def _shade(cell: _Cell) -> None:
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    shade = OxmlElement("w:shd", {qn("w:val"): "clear", qn("w:color"): "auto", qn("w:fill"): "E8ECF1"})
    cell._tc.get_or_add_tcPr().append(shade)
