"""A review as a Word document to hand on: a cover, what is not as expected with its quotes, and the rest in tables.

Its only links are those to pages of the originals, and its only fields are the numbers of pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import groupby
from typing import Any

from docx.document import Document
from docx.enum.section import WD_ORIENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Pt, RGBColor
from docx.text.paragraph import Paragraph

from localrag.events import ReviewEnded
from localrag.quantities import plural
from localrag.sessions.export.contents import by_document, clean, line
from localrag.sessions.export.word import lay_out, new, saved
from localrag.sessions.links import Link
from localrag.types import Checked, Citation, source

# The groups of findings in their order, and their words in a sentence; the last two are tables.
_DEVIATES, _MISSING, _UNCLEAR, _EXPECTED, _OPEN = range(5)
_GROUPS = ("Deviates", "Missing", "Unclear", "As expected", "No position")
_COUNTED = ("deviating", "missing", "unclear", "as expected", "without a position")
_FONT, _BLUE, _DARK, _HEAD = "Arial", RGBColor(0x05, 0x63, 0xC1), RGBColor(0x1F, 0x2A, 0x44), "E8ECF1"
_SIZES = {"Normal": 10, "Title": 24, "Heading 1": 16, "Heading 2": 13, "Heading 3": 11}
_MAX_NOT_READ = 40


def group_of(one: Checked) -> int:
    if one.state == "unsure":
        return _UNCLEAR
    if one.as_expected is None:
        return _OPEN
    return _EXPECTED if one.as_expected else _MISSING if one.state == "absent" else _DEVIATES


def docx(findings: Sequence[Checked], playbook: str, ended: ReviewEnded, link: Link) -> bytes:
    report = _Report(new(f"Review: {line(playbook)}"), link)
    report.add_cover(findings, line(playbook), ended)
    report.add_findings([one for one in findings if group_of(one) < _EXPECTED])
    for group in (_EXPECTED, _OPEN):
        report.add_group(_GROUPS[group], [one for one in findings if group_of(one) == group])
    return saved(report.document)


class _Report:
    """Writes the parts of a report into a document."""

    def __init__(self, document: Document, link: Link) -> None:
        self.document, self._link = document, link
        page = document.sections[0]
        page.orientation, page.page_width, page.page_height = WD_ORIENT.LANDSCAPE, Cm(29.7), Cm(21)
        page.left_margin = page.right_margin = page.top_margin = page.bottom_margin = Cm(2)
        foot = page.footer.paragraphs[0]
        foot.alignment = WD_ALIGN_PARAGRAPH.RIGHT
        for text, field in (("Page ", "PAGE"), (" of ", "NUMPAGES")):
            foot.add_run(text)
            _wrap(foot, foot.add_run("1"), "w:fldSimple", {"w:instr": field})
        for name, size in _SIZES.items():
            self._set_style(name, size)
        document.styles["Quote"].paragraph_format.left_indent = Pt(18)

    def _set_style(self, name: str, size: int) -> None:
        style: Any = self.document.styles[name]
        style.font.name, style.font.size, style.paragraph_format.space_after = _FONT, Pt(size), Pt(4)
        fonts = style.element.rPr.rFonts
        for theme in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):  # which go before a font's name
            fonts.attrib.pop(qn(f"w:{theme}"), None)
        if name != "Normal":
            style.font.color.rgb = _DARK

    def add_cover(self, findings: Sequence[Checked], playbook: str, ended: ReviewEnded) -> None:
        """Add the title, what was reviewed by what, the counts, and what was not read."""
        self.document.add_heading(f"Review: {playbook}", 0)
        own, today = list(by_document(findings).values()), date.today()
        counts = ", ".join(f"{count} {word}" for count, word in zip(_counts(findings), _COUNTED, strict=True))
        left = [line(f"{source(one.document, '')}: {one.reason}") for one in ended.not_read]
        for label, text in (
            ("Document", own[0][0].document_name if len(own) == 1 else ""),
            ("Library", ", ".join(dict.fromkeys(one.library for one in findings))),
            ("Playbook", playbook),
            ("Date", f"{today.day} {today:%B %Y}"),
            ("Model", ", ".join(sorted({one.model for one in findings if one.model})) or "none; code alone decided"),
            ("Result", f"{plural(len(findings), 'clause')} looked for in {plural(len(own), 'document')}: {counts}."),
            ("Not finished", "the review was stopped before its end" if ended.stopped else ""),
            ("Not read", plural(len(left), "remark") if left else "nothing; every document was read"),
        ):
            self._add_labelled(label, text)
        more = [f"and {len(left) - _MAX_NOT_READ} more"] if len(left) > _MAX_NOT_READ else []
        for text in [*left[:_MAX_NOT_READ], *more]:
            self.document.add_paragraph(text, style="List Bullet")
        self.document.add_paragraph(
            "Every quote was compared with its document, character for character. How likely a clause is there is "
            "measured, not certain."
        )
        if own[1:]:
            counted = ((one[0].document_name, *(str(count or "") for count in _counts(one))) for one in own)
            self._add_table(("Document", *_GROUPS), [[(text, "") for text in row] for row in counted])

    def add_findings(self, findings: Sequence[Checked]) -> None:
        """Add a block for each finding that is not as expected, by document and group."""
        self.document.add_heading("Findings", 1).paragraph_format.page_break_before = True
        if not findings:
            self.document.add_paragraph("Nothing deviates, is missing or is unclear.")
        for own in by_document(findings).values():
            self.document.add_heading(line(own[0].document_name), 2)
            self._add_labelled("File", own[0].document if own[0].document_title else "", keep=True)
            self._add_labelled("Note", own[0].remark, keep=True)
            for group, ones in groupby(sorted(own, key=group_of), group_of):
                blocks = list(ones)
                self.document.add_heading(f"{_GROUPS[group]} ({len(blocks)})", 3)
                for one in blocks:
                    self._add_block(one)

    def _add_block(self, one: Checked) -> None:
        """Add a finding: what differs, value, quote, place, what to propose, and what the reviewer decides."""
        head = self.document.add_paragraph()
        head.paragraph_format.keep_with_next, head.paragraph_format.space_before = True, Pt(8)
        head.add_run(line(one.title)).bold = True
        head.add_run(f"  ({line(one.importance)} importance)")
        self._add_labelled("Differs", one.problem, keep=True)
        self._add_labelled("Value", one.value if one.state != "absent" else "", keep=True)
        if one.citation is not None:
            quoted = self.document.add_paragraph(f"“{' '.join(clean(one.citation.quote).split())}” ", style="Quote")
            quoted.paragraph_format.keep_with_next = True
            _add_text(quoted, *self._place(one, one.citation))
        likely = "" if one.confidence is None else f"; {100 * one.confidence:.0f} % likely to be there"
        read = f"{one.read}{likely}" if one.state in ("absent", "unsure") else ""
        for label, text in (("Read", read), ("To propose", one.fallback), ("Note", one.note), ("Before", one.before)):
            self._add_labelled(label, text, keep=True)
        self._add_labelled("Decision", _decision(one))

    def add_group(self, title: str, findings: Sequence[Checked]) -> None:
        """Add a table of findings that need no more than a row."""
        if not findings:
            return
        self.document.add_heading(f"{title} ({len(findings)})", 1)
        for own in by_document(findings).values():
            self._add_labelled(own[0].document_name, own[0].remark, keep=True)
        rows = []
        for one in findings:
            value = "; ".join(filter(None, (one.value if one.state == "found" else "not there", one.problem)))
            place = self._place(one, one.citation) if one.citation else ("", "")
            decided = _decision(one) if one.decision else ""
            rows.append([(one.document_name, ""), (one.title, ""), (value, ""), place, (decided, "")])
        heads = ("Document", "Clause", "Value", "Page", "Decision")
        used = [at for at, head in enumerate(heads) if head != "Decision" or any(row[at][0] for row in rows)]
        self._add_table([heads[at] for at in used], [[row[at] for at in used] for row in rows])

    def _add_labelled(self, label: str, text: str, keep: bool = False) -> None:
        if text:
            paragraph = self.document.add_paragraph()
            paragraph.paragraph_format.keep_with_next = keep
            paragraph.add_run(f"{line(label)}: ").bold = True
            paragraph.add_run(line(text))

    def _place(self, one: Checked, at: Citation) -> tuple[str, str]:
        """Return the place of a quote and its address; with the document where that is another one."""
        where = at.place if at.document == one.document else source(at.document, at.place)
        return where, self._link(at.library, at.document, at.page if at.unit == "page" else None)

    def _add_table(self, heads: Sequence[str], rows: Sequence[Sequence[tuple[str, str]]]) -> None:
        """Add a table of texts with their addresses, which may be empty."""
        table = self.document.add_table(len(rows) + 1, len(heads), style="Table Grid")
        for cell, head in zip(table.rows[0].cells, heads, strict=True):
            cell.paragraphs[0].add_run(head).bold = True
            shade = OxmlElement("w:shd", {qn("w:val"): "clear", qn("w:fill"): _HEAD})
            cell._tc.get_or_add_tcPr().append(shade)
        for row, cells in zip(list(table.rows)[1:], rows, strict=True):
            for cell, (text, address) in zip(row.cells, cells, strict=True):
                _add_text(cell.paragraphs[0], text, address)
        lay_out(self.document, table, [[head, *(row[at][0] for row in rows)] for at, head in enumerate(heads)])


def _counts(findings: Sequence[Checked]) -> list[int]:
    groups = [group_of(one) for one in findings]
    return [groups.count(group) for group in range(len(_GROUPS))]


def _decision(one: Checked) -> str:
    own = one.decision
    if own is None:
        return "open"
    by = f" by {own.by}" if own.by and own.verdict != "open" else ""
    return f"{own.verdict}{by}, {own.at[:10]}{own.comment and f': {own.comment}'}"


def _add_text(paragraph: Paragraph, text: str, address: str) -> None:
    """Add a text, as a link if it has an address."""
    run = paragraph.add_run(line(text))
    if address:
        run.italic, run.font.underline, run.font.color.rgb = False, True, _BLUE
        target, _, anchor = address.partition("#")
        number = paragraph.part.relate_to(target, RELATIONSHIP_TYPE.HYPERLINK, is_external=True)
        _wrap(paragraph, run, "w:hyperlink", {"r:id": number} | ({"w:anchor": anchor} if anchor else {}))


def _wrap(paragraph: Paragraph, run: Any, name: str, values: dict[str, str]) -> None:
    """Put the last run of a paragraph into an element, such as a link or a field."""
    element = OxmlElement(name, {qn(key): value for key, value in values.items()})
    element.append(run._r)
    paragraph._p.append(element)
