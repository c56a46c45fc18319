"""Word documents (DOCX, DOCM, DOTX, DOTM) as flowing text: one page without a number.

The body is walked in document order: paragraphs, lists with the numbers Word would print, tables as Markdown rows,
text boxes and footnotes behind the paragraph that refers to them. Tracked insertions are in, deletions out; headers,
footers and comments are left out. Macros are not looked at, links not followed. Hidden text is not told apart.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from localrag.errors import ReadError
from localrag.readers.cleaning import clean, clean_title
from localrag.readers.headings import find_headings
from localrag.readers.numbering import Numbering
from localrag.readers.package import DAMAGED as _DAMAGED
from localrag.readers.package import Package
from localrag.readers.source import Options, Source, encrypted_office, looks_like
from localrag.readers.tables import markdown_rows
from localrag.types import Heading, Page, Reading

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_HEADING = re.compile(r"heading (\d)$")
_MAX_DEPTH = 40  # of nested boxes and controls; real documents need five
_BROKEN = "Open it in its own program and save it anew."


def read(source: Source, options: Options) -> Reading:
    try:
        with source.open() as stream, zipfile.ZipFile(stream) as archive:
            package = Package(archive)
            flow = _Flow(package)
            title = package.title() or flow.title
    except _DAMAGED as error:
        raise _refusal(source, error) from error
    text, headings = flow.text()
    headings = headings or find_headings(text)
    return Reading((Page(text, headings=headings),), title or (headings[0].title if headings else ""))


def _refusal(source: Source, error: Exception) -> ReadError:
    kind = looks_like(source)
    if encrypted_office(source):
        return ReadError("is encrypted", "Save a copy without a password.")
    if kind and not kind.startswith("a ZIP"):
        return ReadError(f"is not a Word document but {kind}", "Give the file the suffix of its real type.")
    reason = clean(" ".join(str(error).split())[:100])
    return ReadError(f"is damaged, or not a Word document ({reason})", _BROKEN)


class _Flow:
    """The blocks of one document, collected in order with the headings among them."""

    def __init__(self, package: Package) -> None:
        self._root = package.main
        self._styles = _Styles(package.related("styles"))
        self._numbering = Numbering(package.related("numbering"), self._styles.numbered())
        self._notes = {kind: _notes(package.related(f"{kind}s"), kind) for kind in ("footnote", "endnote")}
        self._blocks: list[tuple[str, int | None, bool]] = []
        self._noted = 0
        self.title = ""

    def text(self) -> tuple[str, tuple[Heading, ...]]:
        body = self._root.find(f"{_W}body")
        if body is None:
            raise ReadError("is an Office file, but not a Word document", "Give the file the suffix of its real type.")
        self._container(body, 0)
        pieces: list[str] = []
        headings: list[Heading] = []
        size, tight = 0, False
        for text, level, item in self._blocks:
            if pieces:
                gap = "\n" if tight and item else "\n\n"
                pieces.append(gap)
                size += len(gap)
            if level is not None:
                headings.append(Heading(size, level, " ".join(text.split())[:200]))
            pieces.append(text)
            size += len(text)
            tight = item
        return "".join(pieces), tuple(headings)

    def _add(self, text: str, level: int | None = None, item: bool = False) -> None:
        text = clean(text).strip()
        if text:
            self._blocks.append((text, level, item))

    # --- blocks

    def _container(self, element: Element, depth: int) -> None:
        if depth > _MAX_DEPTH:
            return
        for child in element:
            if child.tag == f"{_W}p":
                self._paragraph(child, depth)
            elif child.tag == f"{_W}tbl":
                self._table(child, depth)
            elif child.tag in _WRAPPERS:
                self._container(child, depth + 1)
            elif child.tag == f"{_MC}AlternateContent" and len(child):
                self._container(child[0], depth + 1)

    def _paragraph(self, paragraph: Element, depth: int) -> None:
        inline = _Inline(self._noted)
        inline.walk(paragraph, 0)
        self._noted = inline.noted
        style = self._styles.of(paragraph)
        level = self._styles.level(paragraph, style)
        number = self._numbering.next(paragraph, style) if inline.text.strip() else ""
        text = f"{number} {inline.text.strip()}" if number else inline.text
        if self._styles.is_title(style) and not self.title:
            self.title = clean_title(inline.text)
        self._add(text, level, bool(number) and level is None)
        for mark, kind, identity in inline.notes:
            if note := self._notes[kind].get(identity):
                self._add(f"[{mark}] {note}")
        for box in inline.boxes:
            self._container(box, depth + 1)

    def _table(self, table: Element, depth: int) -> None:
        rows = [_cells(row) for row in _children(table, "tr") if row.find(f"{_W}trPr/{_W}del") is None]
        rows = [row for row in rows if any(cell.strip() for cell in row)]
        width = max((len(row) for row in rows), default=0)
        if width <= 1:  # a frame around text, no table
            for row in rows:
                self._add(row[0])
            return
        self._add("\n".join(markdown_rows(rows)))


# Around blocks and runs; what is in them counts as if they were not there. w:del and w:moveFrom are not among them.
_WRAPPERS = frozenset(
    f"{_W}{name}"
    for name in (
        "sdt",
        "sdtContent",
        "ins",
        "moveTo",
        "customXml",
        "smartTag",
        "hyperlink",
        "fldSimple",
        "dir",
        "bdo",
    )
)
_TEXTS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}


class _Inline:
    """The text of a paragraph, with the notes and text boxes that hang on it."""

    def __init__(self, noted: int = 0) -> None:
        self.pieces: list[str] = []
        self.notes: list[tuple[int, str, str]] = []
        self.boxes: list[Element] = []
        self.noted = noted

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def walk(self, element: Element, depth: int) -> None:
        for child in element if depth <= _MAX_DEPTH else ():
            tag = child.tag
            if tag == f"{_W}t":
                self.pieces.append(child.text or "")
            elif tag in _TEXTS:
                self.pieces.append(_TEXTS[tag])
            elif tag == f"{_W}r" or tag in _WRAPPERS:
                self.walk(child, depth + 1)
            elif tag in (f"{_W}footnoteReference", f"{_W}endnoteReference"):
                self.noted += 1
                self.pieces.append(f" [{self.noted}]")
                kind = "footnote" if "foot" in tag else "endnote"
                self.notes.append((self.noted, kind, child.get(f"{_W}id", "")))
            elif tag == f"{_MC}AlternateContent" and len(child):
                self.walk(child[0], depth + 1)  # the fallback says the same again
            elif tag in (f"{_W}drawing", f"{_W}pict", f"{_W}object"):
                self.boxes.extend(_outermost(child, f"{_W}txbxContent"))


def _outermost(element: Element, tag: str) -> Iterator[Element]:
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag != f"{_MC}Fallback":
            yield from _outermost(child, tag)


def _children(element: Element, name: str) -> Iterator[Element]:
    """Rows or cells, also those inside content controls and insertions."""
    for child in element:
        if child.tag == f"{_W}{name}":
            yield child
        elif child.tag in _WRAPPERS:
            yield from _children(child, name)


def _cells(row: Element) -> list[str]:
    """A row's cells; one that spans columns is followed by empty ones, so that columns keep their places."""
    cells: list[str] = []
    for cell in _children(row, "tc"):
        cells.append(" ".join(filter(None, map(_flat, cell.iter(f"{_W}p")))))
        span = cell.find(f"{_W}tcPr/{_W}gridSpan")
        value = span.get(f"{_W}val", "1") if span is not None else "1"
        cells.extend([""] * (min(int(value), 100) - 1 if value.isdigit() else 0))
    return cells


def _flat(paragraph: Element) -> str:
    inline = _Inline()
    inline.walk(paragraph, 0)
    return " ".join(inline.text.split())


def _notes(root: Element | None, kind: str) -> dict[str, str]:
    if root is None:
        return {}
    return {
        note.get(f"{_W}id", ""): " ".join(filter(None, map(_flat, note.iter(f"{_W}p"))))
        for note in root.iter(f"{_W}{kind}")
    }


class _Styles:
    """What paragraph styles say: heading level, title, numbering; each inherits from the one it is based on."""

    def __init__(self, root: Element | None) -> None:
        self._named: dict[str, str] = {}
        self._base: dict[str, str] = {}
        self._outline: dict[str, int] = {}
        self._numbers: dict[str, Element] = {}
        self._default = ""
        for style in root.iter(f"{_W}style") if root is not None else ():
            identity = style.get(f"{_W}styleId", "")
            self._named[identity] = _value(style.find(f"{_W}name")).lower()
            self._base[identity] = _value(style.find(f"{_W}basedOn"))
            outline = _value(style.find(f"{_W}pPr/{_W}outlineLvl"))
            if outline.isdigit():
                self._outline[identity] = int(outline)
            number = style.find(f"{_W}pPr/{_W}numPr")
            if number is not None:
                self._numbers[identity] = number

    def of(self, paragraph: Element) -> str:
        return _value(paragraph.find(f"{_W}pPr/{_W}pStyle"))

    def level(self, paragraph: Element, style: str) -> int | None:
        own = _value(paragraph.find(f"{_W}pPr/{_W}outlineLvl"))
        if own.isdigit():
            return int(own) + 1 if int(own) < 9 else None
        for name in self._line(style):
            if match := _HEADING.match(self._named.get(name, name.lower())):
                return int(match[1])
            if name in self._outline:
                return self._outline[name] + 1 if self._outline[name] < 9 else None
        return 1 if self.is_title(style) else None

    def is_title(self, style: str) -> bool:
        return self._named.get(style, style.lower()) == "title"

    def numbered(self) -> dict[str, Element]:
        """Each style's own or inherited w:numPr."""
        return {
            style: next(self._numbers[name] for name in self._line(style) if name in self._numbers)
            for style in self._named
            if any(name in self._numbers for name in self._line(style))
        }

    def _line(self, style: str) -> Iterator[str]:
        seen: set[str] = set()
        while style and style not in seen:
            seen.add(style)
            yield style
            style = self._base.get(style, "")


def _value(element: Element | None) -> str:
    return "" if element is None else str(element.get(f"{_W}val") or "")
