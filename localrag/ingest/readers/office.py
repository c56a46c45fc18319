"""Word documents (DOCX, DOCM, DOTX, DOTM) as flowing text: one page without a number.

The body is walked in document order: paragraphs, lists with the numbers Word would print, tables as Markdown rows,
text boxes, charts and footnotes behind the paragraph that refers to them. Tracked insertions are in, deletions out;
headers and footers are left out, comments too, with a remark. Text that cannot be seen (hidden, white on nothing, of a
point or less) is kept out and reported. Macros are not looked at, links, linked parts and embedded files not followed.
What is white on a picture, or the colour of its own ground, is not told apart.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from xml.etree.ElementTree import Element

from localrag.errors import ReadError
from localrag.ingest.readers.blocks import Blocks, HiddenText, markdown_rows, symbol
from localrag.ingest.readers.cleaning import clean_title
from localrag.ingest.readers.drawing import chart, diagram, formula
from localrag.ingest.readers.headings import find_headings
from localrag.ingest.readers.numbering import Numbering
from localrag.ingest.readers.package import DAMAGED, RELATION, Package, damaged, decrypted
from localrag.ingest.readers.source import Options, Source
from localrag.types import Heading, Page, Reading, Remark

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_CHARTS = {
    f"{{http://schemas.{space}}}{name}": (attribute, text)
    for space, name, attribute, text in (
        ("openxmlformats.org/drawingml/2006/chart", "chart", "id", chart),
        ("microsoft.com/office/drawing/2014/chartex", "chart", "id", chart),
        ("openxmlformats.org/drawingml/2006/diagram", "relIds", "dm", diagram),
    )
}
_HEX = re.compile(r"[0-9A-Fa-f]{1,4}$")
_HEADING = re.compile(r"heading (\d)$")
_MAX_DEPTH = 40  # of nested boxes and controls; real documents need five


def read(source: Source, options: Options) -> Reading:
    source = decrypted(source, options.passwords) or source
    try:
        with source.open() as stream, zipfile.ZipFile(stream) as archive:
            package = Package(archive, options)
            body = _Body(package)
            text, headings = body.text()
    except DAMAGED as error:
        raise damaged(source, error, "a Word document") from error
    headings = headings or find_headings(text)
    title = package.title() or body.title or (headings[0].title if headings else "")
    page = Page(text, headings=headings)
    return Reading((page,), title, (), body.remarks(), package.author(), package.date())


class _Body:
    """The blocks of one document, collected in order with the headings among them."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._root = package.main
        self._styles = _Styles(package.related("styles"))
        self._look = _Look(self._styles, self._root)
        self._numbering = Numbering(package.related("numbering"), self._styles.numbered())
        self._notes = {kind: self._read_notes(kind) for kind in ("footnote", "endnote")}
        comments = package.related("comments")
        self._comments = sum(
            any(text.text for text in one.iter(f"{_W}t")) for one in (comments if comments is not None else ())
        )
        self._foreign = 0
        self._flow = Blocks()
        self._noted = 0
        self._hung: list[_Inline] = []
        self.title = ""

    def text(self) -> tuple[str, tuple[Heading, ...]]:
        body = self._root.find(f"{_W}body")
        if body is None:
            raise ReadError("is an Office file, but not a Word document", "Give the file the suffix of its real type.")
        self._container(body, 0)
        return self._flow.text()

    def remarks(self) -> tuple[Remark, ...]:
        found = self._look.hidden.remarks()
        if self._foreign:
            found += (Remark(None, f"parts in other formats (altChunk) were not read: {self._foreign}"),)
        if self._comments:
            found += (Remark(None, f"comments were left out: {self._comments}"),)
        return found

    def _read_notes(self, kind: str) -> dict[str, str]:
        root = self._package.related(f"{kind}s")
        notes = root.iter(f"{_W}{kind}") if root is not None else ()
        return {note.get(f"{_W}id", ""): self._flat(note, False, body=False) for note in notes}

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
            elif child.tag == f"{_W}altChunk":
                self._foreign += 1

    def _paragraph(self, paragraph: Element, depth: int) -> None:
        inline = _Inline(self._look.at(paragraph, depth > 0), self._noted)
        inline.walk(paragraph, 0)
        self._noted = inline.noted
        style = self._styles.of(paragraph)
        level = self._styles.level(paragraph, style)
        number = self._number(paragraph, inline.text)
        text = f"{number} {inline.text.strip()}" if number and inline.text.strip() else inline.text
        if self._styles.is_title(style) and not self.title:
            self.title = clean_title(inline.text)
        self._flow.add(text, level, bool(number) and level is None)
        self._add_notes(inline)
        for box in inline.boxes:
            self._container(box, depth + 1)
        for picture in inline.pictures:
            self._flow.add(self._drawn(picture))

    def _number(self, paragraph: Element, text: str) -> str:
        """What Word prints before a paragraph; an empty one counts as well, unless it is gone."""
        if not text.strip() and any(paragraph.find(f"{_W}pPr/{_W}rPr/{_W}{name}") is not None for name in _GONE):
            return ""
        return self._numbering.next(paragraph, self._styles.of(paragraph))

    def _add_notes(self, inline: _Inline) -> None:
        for mark, kind, identity in inline.notes:
            if note := self._notes[kind].get(identity):
                self._flow.add(f"[{mark}] {note}")

    def _drawn(self, picture: Element) -> str:
        """A chart or SmartArt as text."""
        attribute, text = _CHARTS[picture.tag]
        relation = self._package.relations(self._package.main_name).get(picture.get(f"{RELATION}{attribute}", ""))
        root = self._package.part(relation.target) if relation is not None else None
        return text(root) if root is not None else ""

    def _table(self, table: Element, depth: int) -> None:
        ground = self._look.has_ground(table)
        rows = [self._cells(row, ground) for row in _children(table, "tr") if row.find(f"{_W}trPr/{_W}del") is None]
        rows = [row for row in rows if any(cell.strip() for cell in row)]
        width = max((len(row) for row in rows), default=0)
        if width <= 1:  # a frame around text, no table
            for row in rows:
                self._flow.add(row[0])
        else:
            self._flow.add("\n".join(markdown_rows(rows)))
        hung, self._hung = self._hung, []
        for inline in hung:
            self._add_notes(inline)
            for picture in inline.pictures:
                self._flow.add(self._drawn(picture))

    def _cells(self, row: Element, ground: bool) -> list[str]:
        """A row's cells; one that spans columns is followed by empty ones, so that columns keep their places."""
        cells = [""] * _span(row, "trPr", "gridBefore", 0)
        for cell in _children(row, "tc"):
            cells.append(self._flat(cell, ground or self._look.has_ground(cell)))
            cells.extend([""] * (_span(cell, "tcPr", "gridSpan", 1) - 1))
        return cells

    def _flat(self, holder: Element, ground: bool, depth: int = 0, *, body: bool = True) -> str:
        """All paragraphs of a cell or a note on one line, with those of boxes and tables in it.

        In the body they are numbered, and what hangs on them waits until its table is written.
        """
        texts: list[str] = []
        for child in holder if depth <= _MAX_DEPTH else ():
            if child.tag == f"{_W}p":
                inline = _Inline(self._look.at(child, ground), self._noted if body else 0)
                inline.walk(child, 0)
                words = " ".join(inline.text.split())
                if body:
                    self._noted = inline.noted
                    self._hung.append(inline)
                    number = self._number(child, words)
                    words = f"{number} {words}" if number and words else words or number.removeprefix("-")
                texts.append(words)
                texts += [self._flat(box, True, depth + 1, body=body) for box in inline.boxes]
            elif child.tag in _WRAPPERS or child.tag in _TABLE:
                inside = ground or (child.tag in _TABLE and self._look.has_ground(child))
                texts.append(self._flat(child, inside, depth + 1, body=body))
        return " ".join(filter(None, texts))


_GONE = ("del", "moveFrom", "vanish")  # marks of paragraphs that are not printed
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
_TABLE = frozenset(f"{_W}{name}" for name in ("tbl", "tr", "tc"))
_TEXTS = {f"{_W}tab": "\t", f"{_W}ptab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}


class _Inline:
    """The text of a paragraph, with the notes and text boxes that hang on it."""

    def __init__(self, unseen: Callable[[Element], str], noted: int = 0) -> None:
        self._unseen = unseen
        self.pieces: list[str] = []
        self.notes: list[tuple[int, str, str]] = []
        self.boxes: list[Element] = []
        self.pictures: list[Element] = []
        self.noted = noted

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def walk(self, element: Element, depth: int) -> None:
        before = ""
        for child in element if depth <= _MAX_DEPTH else ():
            tag = child.tag
            if tag == f"{_W}t":
                self.pieces.append(child.text or "")
            elif tag in _TEXTS:
                self.pieces.append(_TEXTS[tag])
            elif tag == f"{_W}r":
                if not self._unseen(child):
                    self.walk(child, depth + 1)
            elif tag in _WRAPPERS or tag in (f"{_W}ruby", f"{_W}rubyBase"):
                self.walk(child, depth + 1)
            elif tag == f"{_W}sym":
                code = child.get(f"{_W}char", "")
                self.pieces.append(symbol(int(code, 16), child.get(f"{_W}font", "")) if _HEX.match(code) else "")
            elif tag.startswith(_MATH):
                self.pieces.append(" " * before.startswith(_MATH) + formula(child))
            elif tag in (f"{_W}footnoteReference", f"{_W}endnoteReference"):
                self.noted += 1
                self.pieces.append(f" [{self.noted}]")
                kind = "footnote" if "foot" in tag else "endnote"
                self.notes.append((self.noted, kind, child.get(f"{_W}id", "")))
            elif tag == f"{_MC}AlternateContent" and len(child):
                self.walk(child[0], depth + 1)  # the fallback says the same again
            elif tag in (f"{_W}drawing", f"{_W}pict", f"{_W}object"):
                self.boxes.extend(_outermost(child, f"{_W}txbxContent"))
                self.pictures.extend(item for item in child.iter() if item.tag in _CHARTS)
            before = tag


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


def _span(element: Element, properties: str, name: str, default: int) -> int:
    value = _value(element.find(f"{_W}{properties}/{_W}{name}"))
    return min(int(value), 100) if value.isdecimal() else default


class _Look:
    """Whether text can be seen; collects what cannot."""

    def __init__(self, styles: _Styles, root: Element) -> None:
        self.hidden = HiddenText()
        self._styles = styles
        page = root.find(f"{_W}background")
        self._coloured = page is not None and page.get(f"{_W}color", "auto").upper() not in _NO_COLOUR

    def at(self, paragraph: Element, ground: bool) -> Callable[[Element], str]:
        """A judge of this paragraph's runs; `ground` says that something coloured may be behind them."""
        style = self._styles.of(paragraph)
        ground = ground or self._coloured or self.has_ground(paragraph) or self._styles.shaded(style)

        def unseen(run: Element) -> str:
            properties = run.find(f"{_W}rPr")
            kind = self._kind(properties, style, ground)
            if kind:
                inline = _Inline(lambda _: "")
                inline.walk(run, 0)
                self.hidden.add(kind, inline.text)
            return kind

        return unseen

    def has_ground(self, element: Element) -> bool:
        """Whether a paragraph, cell or table is shaded, by itself or by its style."""
        if any(_is_shading(shading) for shading in element.iterfind(f"*/{_W}shd")):
            return True
        return element.tag == f"{_W}tbl" and self._styles.shaded(_value(element.find(f"{_W}tblPr/{_W}tblStyle")))

    def _kind(self, own: Element | None, style: str, ground: bool) -> str:
        """How a run is hidden, or nothing; what stands nearest to the run decides."""
        character = _value(own.find(f"{_W}rStyle")) if own is not None else ""
        sources = [*([own] if own is not None else []), *self._styles.looks(character), *self._styles.looks(style)]

        def nearest(name: str) -> Element | None:
            return next((found for item in sources if (found := item.find(f"{_W}{name}")) is not None), None)

        vanish, colour, size = nearest("vanish"), _value(nearest("color")), _value(nearest("sz"))
        if vanish is not None and _value(vanish) not in ("0", "false", "off"):
            return "hidden text"
        if size.isdecimal() and int(size) <= _TINY:
            return "text of a point or less"
        if colour.upper() == "FFFFFF" and not ground and not self._styles.shaded(character):
            marker, shading = nearest("highlight"), nearest("shd")
            if (marker is None or _value(marker) == "none") and not (shading is not None and _is_shading(shading)):
                return "white text"
        return ""


_NO_COLOUR = {"", "AUTO", "FFFFFF"}
_TINY = 2  # half points


def _is_shading(shading: Element) -> bool:
    fill, pattern = shading.get(f"{_W}fill", "").upper(), _value(shading)
    return fill not in _NO_COLOUR or pattern not in ("", "clear", "nil")


class _Styles:
    """What paragraph styles say: heading level, title, numbering; each inherits from the one it is based on."""

    def __init__(self, root: Element | None) -> None:
        self._named: dict[str, str] = {}
        self._base: dict[str, str] = {}
        self._outline: dict[str, int] = {}
        self._numbers: dict[str, Element] = {}
        self._looks: dict[str, Element] = {}
        self._lines: dict[str, list[Element]] = {}
        self._shaded: set[str] = set()
        for style in root.iter(f"{_W}style") if root is not None else ():
            identity = style.get(f"{_W}styleId", "")
            self._named[identity] = _value(style.find(f"{_W}name")).lower()
            self._base[identity] = _value(style.find(f"{_W}basedOn"))
            look = style.find(f"{_W}rPr")
            if look is not None:
                self._looks[identity] = look
            if any(_is_shading(shading) for shading in style.iter(f"{_W}shd")):
                self._shaded.add(identity)
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

    def looks(self, style: str) -> list[Element]:
        """The w:rPr of a style and of those it is based on."""
        if style not in self._lines:
            self._lines[style] = [self._looks[name] for name in self._line(style) if name in self._looks]
        return self._lines[style]

    def shaded(self, style: str) -> bool:
        return any(name in self._shaded for name in self._line(style))

    def _line(self, style: str) -> Iterator[str]:
        seen: set[str] = set()
        while style and style not in seen:
            seen.add(style)
            yield style
            style = self._base.get(style, "")


def _value(element: Element | None) -> str:
    return "" if element is None else str(element.get(f"{_W}val") or "")
