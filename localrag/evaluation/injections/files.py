"""Blocks of text to the bytes of a file: text, Markdown, HTML, CSV, mail, DOCX, PDF (pure).

Just as much of each format as a short office document needs, with the ways in which text is hidden in it.
"""

from __future__ import annotations

import csv
import html
import io
import textwrap
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Literal

Kind = Literal["title", "heading", "text", "rows"]
HIDINGS = ("display", "white", "tiny", "comment", "vanish", "tags")


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a document; rows have a line each, cells parted by "|". `hidden` is one of HIDINGS, or empty."""

    kind: Kind
    text: str
    hidden: str = ""

    @property
    def rows(self) -> list[list[str]]:
        return [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in self.text.splitlines()]


def encoded(form: str, blocks: Sequence[Block], title: str) -> bytes:
    """The file of a document.

    Args:
        form: txt, md, html, csv, eml, docx or pdf.
        blocks: what it says, in order.
        title: its title among its properties; of a mail, the subject.
    """
    return _FORMS[form](blocks, title)


def _text(blocks: Sequence[Block], title: str) -> bytes:
    return "\n\n".join(_tagged(block.text) if block.hidden else block.text for block in blocks).encode() + b"\n"


def _tagged(text: str) -> str:
    """A text in invisible characters: the tags of Unicode that mirror ASCII."""
    return "".join(chr(0xE0000 + ord(letter)) for letter in text if letter.isascii() and letter.isprintable())


def _markdown(blocks: Sequence[Block], title: str) -> bytes:
    marks = {"title": "# ", "heading": "## "}
    return "\n\n".join(marks.get(block.kind, "") + block.text for block in blocks).encode() + b"\n"


def _csv(blocks: Sequence[Block], title: str) -> bytes:
    stream = io.StringIO()
    csv.writer(stream).writerows(row for block in blocks if block.kind == "rows" for row in block.rows)
    return stream.getvalue().encode()


def _mail(blocks: Sequence[Block], title: str) -> bytes:
    mail = EmailMessage()
    mail["From"] = "office@sender.example"
    mail["To"] = "desk@receiver.example"
    mail["Date"] = "Tue, 29 Apr 2025 09:14:00 +0000"
    mail["Message-ID"] = "<1@sender.example>"
    mail["Subject"] = " ".join(title.split())
    mail.set_content("\n\n".join(block.text for block in blocks if block.kind != "title") + "\n")
    return mail.as_bytes()


_HTML_HIDDEN = {
    "display": '<div style="display:none">{}</div>',
    "white": '<p style="color:#ffffff;background-color:#fff">{}</p>',
    "tiny": '<p style="font-size:0">{}</p>',
    "comment": "<!-- {} -->",
}


def _html(blocks: Sequence[Block], title: str) -> bytes:
    forms = {"title": "<h1>{}</h1>", "heading": "<h2>{}</h2>", "text": "<p>{}</p>"}
    parts = []
    for block in blocks:
        if block.kind == "rows":
            cells = ("".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in block.rows)
            parts.append(f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>")
        else:
            words = html.escape(block.text).replace("\n", "<br>")
            parts.append((_HTML_HIDDEN[block.hidden] if block.hidden else forms[block.kind]).format(words))
    head = f'<!doctype html><html><head><meta charset="utf-8"><title>{html.escape(title)}</title></head>'
    return f"{head}<body>{''.join(parts)}</body></html>\n".encode()


# --- DOCX ---------------------------------------------------------------------------------------------------

_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_DOCX = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" '
    'ContentType="application/xml"/><Default Extension="rels" '
    'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" '
    f'Type="{_OFFICE}/officeDocument" Target="word/document.xml"/><Relationship Id="r2" '
    f'Type="{_PACKAGE}/relationships/metadata/core-properties" Target="docProps/core.xml"/></Relationships>',
}
_RUN = {"vanish": "<w:rPr><w:vanish/></w:rPr>", "white": '<w:rPr><w:color w:val="FFFFFF"/></w:rPr>'}
_STYLE = {"title": "Title", "heading": "Heading1"}


def _docx(blocks: Sequence[Block], title: str) -> bytes:
    body = "".join(_paragraph(block) for block in blocks)
    core = (
        f'<cp:coreProperties xmlns:cp="{_PACKAGE}/metadata/core-properties" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{html.escape(title)}</dc:title></cp:coreProperties>'
    )
    parts = {
        **_DOCX, "docProps/core.xml": core,
        "word/document.xml": f'<w:document xmlns:w="{_W}"><w:body>{body}</w:body></w:document>',
    }  # fmt: skip
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as package:
        for name, text in parts.items():
            # A fixed date, so that the same document is the same file.
            package.writestr(zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0)), f'<?xml version="1.0"?>{text}')
    return stream.getvalue()


def _paragraph(block: Block) -> str:
    look = f'<w:pPr><w:pStyle w:val="{_STYLE[block.kind]}"/></w:pPr>' if block.kind in _STYLE else ""
    lines = "<w:br/>".join(
        f'<w:t xml:space="preserve">{html.escape(line)}</w:t>' for line in block.text.splitlines()
    )  # fmt: skip
    return f"<w:p>{look}<w:r>{_RUN.get(block.hidden, '')}{lines}</w:r></w:p>"


# --- PDF ----------------------------------------------------------------------------------------------------

_WIDTH, _LEADING = 92, 13


def _pdf(blocks: Sequence[Block], title: str) -> bytes:
    drawn = ["BT", "/F 10 Tf", "50 800 Td", f"{_LEADING} TL"]
    for block in blocks:
        look = {"white": ("1 g", "0 g"), "tiny": ("/F 0.4 Tf", "/F 10 Tf")}.get(block.hidden)
        lines = [line for part in block.text.splitlines() for line in textwrap.wrap(part, _WIDTH) or [""]]
        drawn += [
            *(look[:1] if look else ()), *(f"({_escaped(line)}) Tj T*" for line in lines), *(look[1:] if look else ()),
            "T*",
        ]  # fmt: skip
    stream = "\n".join([*drawn, "ET"]).encode("cp1252", "replace")
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>",
        b"<</Length %d>>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
        b"<</Title(%s)>>" % _escaped(title).encode("cp1252", "replace"),
    ]
    data, places = b"%PDF-1.4\n", []
    for number, item in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, item)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size, start = len(objects) + 1, len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
    return data + b"trailer\n<</Size %d/Root 1 0 R/Info 6 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (size, start)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


_FORMS: dict[str, Callable[[Sequence[Block], str], bytes]] = {
    "txt": _text, "md": _markdown, "html": _html, "csv": _csv, "eml": _mail, "docx": _docx, "pdf": _pdf,
}  # fmt: skip
