"""Read RTF; and through LibreOffice, where it is installed, old Office files and those of other programs.

The content decides what a file is: RTF, HTML, a newer Office file or plain text named .doc is read as what it is.
In RTF deleted revisions, pictures, embedded files, headers and footers are left out, hidden text is reported.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from localrag.errors import ReadError
from localrag.ingest.readers import pdf, sheets, slides, web, word
from localrag.ingest.readers import text as plain_text
from localrag.ingest.readers.blocks import Blocks, HiddenText, markdown_rows, symbol
from localrag.ingest.readers.headings import find_headings
from localrag.ingest.readers.package import OLE, SAVE_AGAIN, decrypted, iso_date
from localrag.ingest.readers.programs import convert
from localrag.ingest.readers.source import RIGHT_SUFFIX, Options, Source, another_kind, looks_like
from localrag.text import clean_title
from localrag.types import Page, Reading, Remark

# Word for DOS, Windows 1 and 2, Write, WordPerfect: no container, but LibreOffice reads them.
_OLDER = (b"\xdb\xa5", b"\x9b\xa5", b"\x31\xbe", b"\x32\xbe", b"\xffWPC", b"\xcb\n\x01")
_ZIP = b"PK\x03\x04"
_Format = Literal["docx", "pptx", "xlsx", "pdf"]
# Files of other programs by suffix: what they are, the format to convert them to, and how they begin.
_OTHERS: Mapping[str, tuple[str, _Format, tuple[bytes, ...]]] = {
    ".key": ("a Keynote presentation", "pptx", (_ZIP,)),
    ".numbers": ("a Numbers spreadsheet", "xlsx", (_ZIP,)),
    ".pages": ("a Pages document", "docx", (_ZIP,)),
    ".pub": ("a Publisher document", "pdf", (OLE,)),
    ".vsd": ("a Visio drawing", "pdf", (OLE,)),
    ".vsdx": ("a Visio drawing", "pdf", (_ZIP,)),
    ".wpd": ("a WordPerfect document", "docx", (b"\xffWPC",)),
    ".wps": ("a Works document", "docx", (OLE, b"\x01\xfe", b"\x06\xfe")),
}
_WORD_XML = re.compile(rb'<\?mso-application\s+progid="Word|<w:wordDocument|/2006/xmlPackage"')
_HTML = re.compile(rb"\s*<(?:!doctype\s+html|html|head|body|meta|!--)", re.I)
_MHTML = re.compile(rb"(?:[\w-]+:[^\n]*\n(?:[ \t][^\n]*\n)*)*?mime-version:", re.I)


def read(source: Source, options: Options) -> Reading:
    if source.suffix == ".rtf":
        return read_rtf(source)
    with source.open() as stream:
        head = stream.read(4096)
    if source.suffix in _OTHERS:
        what, to, begins = _OTHERS[source.suffix]
        if not head.startswith(begins):
            raise another_kind(source, what) or ReadError(f"is damaged, or not {what}", SAVE_AGAIN)
        return _convert(source, options, to)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(OLE):
        source = decrypted(source, options.passwords) or source
        return _convert(source, options, _format(source))
    if head.startswith(_ZIP):
        return word.read(source, options) if _is_word(source) else slides.read(source, options)
    if start.startswith(b"{\\rtf"):
        return read_rtf(source)
    if head.startswith(_OLDER) or _WORD_XML.search(head):
        return _convert(source, options, "docx")
    if _HTML.match(start) or _MHTML.match(start):
        suffix = "mht" if _MHTML.match(start) else "html"
        return web.read(replace(source, name=f"{source.stem}.{suffix}"), options)
    if other := another_kind(source, _kind(source)):
        raise other
    try:
        return plain_text.read(source, options)
    except ReadError as error:
        raise ReadError(f"is damaged, or not {_kind(source)}", SAVE_AGAIN) from error


def _convert(source: Source, options: Options, to: _Format) -> Reading:
    with source.open() as stream:
        is_xml = stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
    suffix = ".xml" if source.suffix == ".doc" and is_xml else source.suffix
    before = (datetime.now(UTC) - timedelta(seconds=5)).isoformat(timespec="seconds")
    data = convert(source.read(), suffix, to, options.unpacked)
    if data is None:
        old = "an old Word document" if to == "docx" else "an old PowerPoint presentation"
        kind = _OTHERS.get(source.suffix, (old,))[0]
        raise ReadError(f"is {kind} ({source.suffix})", f"Install LibreOffice to read it, or save it as .{to}.")
    converted = Source(f"{source.stem}.{to}", data=data)
    readers = {"docx": word, "pptx": slides, "xlsx": sheets, "pdf": pdf}
    reading: Reading = readers[to].read(converted, options)
    # For a file without a date LibreOffice writes that of the conversion.
    return replace(reading, date="") if reading.date >= before[: len(reading.date)] else reading


def _format(source: Source) -> _Format:
    """Return the format to convert a container to, by the streams in it."""
    import olefile

    try:
        with source.open() as stream, olefile.OleFileIO(stream) as container:
            names = {entry[0].lower() for entry in container.listdir()}
    except Exception as error:  # olefile raises many kinds of errors on damaged containers
        raise ReadError(f"is damaged, or not {_kind(source)}", SAVE_AGAIN) from error
    if "worddocument" in names:
        return "docx"
    if "powerpoint document" in names:
        return "pptx"
    if "encryptedpackage" in names:
        raise ReadError("is encrypted, and damaged", SAVE_AGAIN)
    other = " but an Excel workbook" if names & {"workbook", "book"} else ""
    raise ReadError(f"is not {_kind(source)}{other}", RIGHT_SUFFIX)


def _is_word(source: Source) -> bool:
    return source.suffix in (".doc", ".dot")


def _kind(source: Source) -> str:
    return "a Word document" if _is_word(source) else "a PowerPoint presentation"


# --- RTF --------------------------------------------------------------------------------------------------------

# Control characters take the place of words that striprtf drops.
_CELL, _ROW, _TABLE, _PARAGRAPH, _HEADING, _NOTE = "\x01", "\x02", "\x03", "\x04", "\x05", "\x06"
_WORDS = tuple(
    (re.compile(rf"(?<!\\)\\(?:{word})"), mark)
    for word, mark in (
        (r"(?:par|sect|page|column)(?![a-z])[ ]?|[\r\n]+", _PARAGRAPH),
        (r"cell(?![a-z])[ ]?", _CELL),
        (r"row(?![a-z])[ ]?", _ROW),
        (r"trowd(?![a-z])[ ]?", _TABLE),
        (r"nestcell(?![a-z])[ ]?", " "),
        (r"pntext(?![a-z])", r"\\listtext"),
        ("-", ""),
        ("_", "-"),
        (r"(?:object|result)(?![a-z])", ""),
    )
)
_RTF_HIDDEN = re.compile(r"\\(v|deleted)1?(?![a-z0-9])[ ]?((?:[^{}\\]|\\(?!v0|deleted0|plain|pard)[^{}])*)")
_RTF_STYLE = re.compile(r"\{\\s(\d{1,9})([^{};]{0,1000}?)[ ]([^{};\\]{1,100});\}")
_OUTLINE = re.compile(r"(?<!\\)\\(s|outlinelevel)(\d+)[ ]?")
_FONTS = re.compile(r"\{\\fonttbl(?:[^{}]|\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})*\}")
_ASIDES = re.compile(r"\{(?:\\\*)?\\(footnote|shp|do|annotation)(?![a-z])")
_BOX_TEXT = re.compile(r"\{\\(?:shptxt|dptxbxtext)(?![a-z])")
_COMMENT_AUTHOR = re.compile(r"\{\\\*\\atnauthor ([^{}]*)\}")
_PAR = re.compile(r"\\par(?![a-z])|[\r\n]+")
_BRACE = re.compile(r"\\.|[{}]", re.S)
_PRIVATE = re.compile("[\uf020-\uf0ff]")  # characters of the Symbol font
_BULLET = re.compile(r"^[·•§o\uf0b7\uf0a7-]\t\s*")
_NUMBER = re.compile(r"^(\(?\w{1,6}(?:\.\w{1,3})*[.)]?)\t\s*(?=\S)")


def read_rtf(source: Source) -> Reading:
    data = source.read().lstrip(b"\xef\xbb\xbf \t\r\n\0")
    if not data.startswith(b"{\\rtf"):
        kind = looks_like(source)
        raise ReadError(f"is not an RTF text{f' but {kind}' if kind else ''}", RIGHT_SUFFIX)
    data = re.sub(rb"[\x80-\xff]", lambda match: b"\\'%02x" % match[0][0], data)
    try:
        return _Rtf(data.decode("latin-1")).reading()
    except (ValueError, TypeError, LookupError, OverflowError) as error:  # from striprtf
        raise ReadError(f"is damaged ({error})"[:200], SAVE_AGAIN) from error


class _Rtf:
    def __init__(self, rtf: str) -> None:
        self._rtf = rtf
        default_font = re.search(r"\\deff(\d+)", rtf)
        self._font = f"\\f{default_font[1]} " if default_font else ""
        start = re.match(r"\{\\rtf\d*(?:\\[a-z]+-?\d*){0,30}", rtf)
        fonts = _FONTS.search(rtf)
        head = start[0] if start else "{"
        self._head = f"{head} {fonts[0] if fonts else ''}{self._font}"
        self._body = fonts.end() if fonts else len(head)
        self._levels: dict[str, int] = {}
        for number, properties, name in _RTF_STYLE.findall(rtf):
            heading = re.match(r"heading (\d)|(title)$", name.lower())
            outline = re.search(r"\\outlinelevel([0-8])", properties)
            if heading or outline:
                self._levels[number] = int(heading[1] or 1) if heading else int(outline[1]) + 1 if outline else 1
        self._blocks = Blocks()
        self._hidden = HiddenText()
        self._rows: list[list[str]] = []

    def reading(self) -> Reading:
        title = self._property("title")
        text = self._text(self._head + self._inline_asides(self._rtf[self._body :]))
        for piece in re.split(f"(?<={_ROW})", text):
            before, _, row = piece.partition(_TABLE) if _TABLE in piece or _ROW not in piece else ("", "", piece)
            if before.strip(f"{_PARAGRAPH} \n"):
                self._end_table()
                for paragraph in before.split(_PARAGRAPH):
                    self._paragraph(paragraph)
            cells = [" ".join(re.sub(r"[\x02-\x06]\d?", " ", cell).split()) for cell in row.split(_CELL)[:-1]]
            if any(cells):
                self._rows.append(cells)
        self._end_table()
        content, headings = self._blocks.text()
        headings = headings or find_headings(content)
        remarks = self._hidden.remarks()
        if _group_end(self._rtf, 0) < 0:
            remarks += (Remark(None, "ends in the middle of a group: it may have been cut off"),)
        title = title or (headings[0].title if headings else "")
        return Reading((Page(content, headings=headings),), title, (), remarks, self._property("author"), self._date())

    def _property(self, name: str) -> str:
        match = re.search(rf"\{{\\{name}(?![a-z]) ?([^{{}}]*)\}}", self._rtf)
        text = self._text(f"{self._head}{{{match[1]}}}}}") if match else ""
        return clean_title(text) if name == "title" else text

    def _date(self) -> str:
        """Return when the text was last changed, or made."""
        for name in ("revtim", "creatim"):
            if match := re.search(rf"\\{name}\\yr(\d{{4}})\\mo(\d{{1,2}})\\dy(\d{{1,2}})", self._rtf):
                return iso_date(f"{match[1]}-{match[2]:0>2}-{match[3]:0>2}")
        return ""

    def _text(self, rtf: str) -> str:
        from striprtf import striprtf

        rtf_to_text: Callable[..., str] = striprtf.rtf_to_text
        rtf = _OUTLINE.sub(self._mark_heading, _RTF_HIDDEN.sub(self._hide, rtf))
        rtf = re.sub(r"(?<!\\)\\plain(?![a-z])[ ]?", lambda _: self._font or "\\plain ", rtf)
        for pattern, mark in _WORDS:
            rtf = pattern.sub(mark, rtf)
        text = _PRIVATE.sub(lambda match: symbol(ord(match[0]), "symbol"), rtf_to_text(rtf, errors="replace"))
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")  # joins halves of characters

    def _hide(self, match: re.Match[str]) -> str:
        if match[1] == "v":
            self._hidden.add("hidden text", self._text(f"{self._head}{{ {match[2]}}}}}"))
        return ""

    def _mark_heading(self, match: re.Match[str]) -> str:
        level = self._levels.get(match[2]) if match[1] == "s" else int(match[2]) + 1
        return f"{_HEADING}{level}" if level and level < 10 else ""

    def _inline_asides(self, rtf: str) -> str:
        """Put notes and comments in brackets where they are referred to, and text boxes in paragraphs."""
        pieces: list[str] = []
        at = 0
        while match := _ASIDES.search(rtf, at):
            end = _group_end(rtf, match.start())
            end = len(rtf) if end < 0 else end
            group = rtf[match.end() : end].removesuffix("}")
            pieces.append(rtf[at : match.start()])
            if match[1] in ("shp", "do"):
                for box in _BOX_TEXT.finditer(group):
                    pieces.append(f"\\par {{{group[box.end() : _group_end(group, box.start())]}\\par ")
            else:
                author = _COMMENT_AUTHOR.search(rtf, at, match.start())
                by = f" by {author[1]}" if author else ""
                kind = f"Comment{by}: " if match[1] == "annotation" else ""
                pieces.append(f"{{ [{kind}{_NOTE}{_PAR.sub(' ', group)}]}}")
            at = end
        return "".join((*pieces, rtf[at:]))

    def _end_table(self) -> None:
        if max(map(len, self._rows), default=0) > 1:
            self._blocks.add("\n".join(markdown_rows(self._rows)))
        else:  # a frame around text
            for row in self._rows:
                self._blocks.add(row[0])
        self._rows = []

    def _paragraph(self, text: str) -> None:
        levels = re.findall(f"{_HEADING}(\\d)", text)
        words = re.sub(f"{_HEADING}\\d|{_NOTE}\\s*", "", text).strip()
        item = _BULLET.match(words) or _NUMBER.match(words)
        words = _NUMBER.sub(r"\1 ", _BULLET.sub("- ", words))
        self._blocks.add(words, int(levels[-1]) if levels else None, item is not None and not levels)


def _group_end(rtf: str, start: int) -> int:
    """Return where the group that begins at `start` ends; -1 if it was cut off."""
    depth = 0
    for brace in _BRACE.finditer(rtf, start):
        depth += (brace[0] == "{") - (brace[0] == "}")
        if not depth and brace[0] == "}":
            return brace.end()
    return -1
