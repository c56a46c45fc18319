"""OpenDocument: texts (ODT, OTT) as flowing text, presentations (ODP, OTP) with a page for each slide.

Texts: headings and lists with the numbers that are printed, tables as Markdown rows, text boxes, charts and footnotes
behind the paragraph that holds them. Presentations: title first, then top to bottom and left to right, the speaker's
notes behind a line "Notes:". Tracked deletions, comments, headers and footers are left out, hidden text and sections
kept out and reported (white or tiny text is not told apart here). Scripts are not looked at, links and embedded files
not followed.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from localrag.errors import ReadError
from localrag.ingest.readers.blocks import Blocks, HiddenText, markdown_rows
from localrag.ingest.readers.cleaning import clean, clean_title
from localrag.ingest.readers.headings import find_headings
from localrag.ingest.readers.odf_styles import Styles, count, to_int
from localrag.ingest.readers.package import DAMAGED, damaged, iso_date, parse_xml
from localrag.ingest.readers.slides import in_reading_order
from localrag.ingest.readers.source import Budget, Options, Source
from localrag.types import Heading, Page, Reading, Remark, SkippedPage

_NS = "urn:oasis:names:tc:opendocument:xmlns:"
_OFFICE, _TEXT, _TABLE, _DRAW, _STYLE, _META, _CHART, _SHOW = (
    f"{{{_NS}{name}:1.0}}" for name in ("office", "text", "table", "drawing", "style", "meta", "chart", "presentation")
)
_SVG = f"{{{_NS}svg-compatible:1.0}}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_MATH = "{http://www.w3.org/1998/Math/MathML}"
_MAX_DEPTH = 40
_MOST_REPEATED = 1_000_000  # characters of a table that are there by repetition: few bytes can ask for billions
_WIDEST = 1_000  # cells of a row
_SPACES = re.compile(r"[ \t\r\n]+")
_FRAMES = {"footer", "header", "date-time", "page-number"}


def read(source: Source, options: Options) -> Reading:
    try:
        with source.open() as stream, zipfile.ZipFile(stream) as archive:
            return _read(_Archive(archive, options))
    except DAMAGED as error:
        raise damaged(source, error, "an OpenDocument text or presentation") from error


def _read(archive: _Archive) -> Reading:
    if archive.encrypted():
        raise ReadError("is encrypted", "Save a copy without a password.")
    content = archive.xml("content.xml")
    if content is None:
        raise ValueError("it has no content")
    walker = _Walker(archive, content)
    meta = archive.xml("meta.xml")
    author = _property(meta, f"{_META}initial-creator") or _property(meta, f"{_DC}creator")
    date = iso_date(_property(meta, f"{_DC}date") or _property(meta, f"{_META}creation-date"))
    title = clean_title(_property(meta, f"{_DC}title"))
    body = content.find(f"{_OFFICE}body")
    for part in body if body is not None else ():
        if part.tag == f"{_OFFICE}text":
            text, headings = walker.flowing(part)
            headings = headings or find_headings(text)
            title = title or walker.title or (headings[0].title if headings else "")
            return Reading((Page(text, headings=headings),), title, (), walker.hidden.remarks(), author, date)
        if part.tag == f"{_OFFICE}presentation":
            pages, skipped, remarks = walker.slides(part)
            title = title or next((page.headings[0].title for page in pages if page.headings), "")
            return Reading(pages, title, skipped, remarks, author, date)
    raise ReadError(
        "is an OpenDocument file, but no text or presentation", "Give the file the suffix of its real type."
    )


class _Archive:
    """The parts of a document; what is unpacked is bounded all together."""

    def __init__(self, archive: zipfile.ZipFile, options: Options) -> None:
        self._archive = archive
        self._names = set(archive.namelist())
        self._budget = Budget(options)

    def encrypted(self) -> bool:
        """LibreOffice encrypts each part, or (newer) the whole package as one."""
        manifest = self._bytes("META-INF/manifest.xml") or b""
        return b"encryption-data" in manifest or "encrypted-package" in self._names

    def xml(self, name: str) -> Element | None:
        """A part's root; None where there is no such part, or a damaged one beside the content."""
        try:
            data = self._bytes(name)
            return parse_xml(data) if data is not None else None
        except DAMAGED:
            if name == "content.xml":
                raise
            return None

    def _bytes(self, name: str) -> bytes | None:
        if name not in self._names:
            return None
        with self._archive.open(name) as stream:
            return self._budget.unpack(stream)  # type: ignore[arg-type]


def _property(meta: Element | None, name: str) -> str:
    found = next(meta.iter(name), None) if meta is not None else None
    return " ".join(clean(found.text or "").split())[:200] if found is not None else ""


class _Walker:
    """Walks one document's content and collects its blocks."""

    def __init__(self, archive: _Archive, content: Element) -> None:
        self._archive = archive
        self._styles = Styles([content, archive.xml("styles.xml")])
        self._outline: dict[int, int] = {}
        self._lists: dict[str, dict[int, int]] = {}
        self._flow = Blocks()
        self._noted = 0
        self._inside = 0  # of cells
        self._pictures = 0
        self.hidden = HiddenText()
        self.title = ""

    def flowing(self, body: Element) -> tuple[str, tuple[Heading, ...]]:
        self._blocks(body, 0)
        return self._flow.text()

    def slides(self, body: Element) -> tuple[tuple[Page, ...], tuple[SkippedPage, ...], tuple[Remark, ...]]:
        pages: list[Page] = []
        skipped: list[SkippedPage] = []
        remarks: list[Remark] = []
        for number, slide in enumerate(body.iterfind(f"{_DRAW}page"), 1):
            self._pictures = 0
            self.hidden = HiddenText()
            pages.append(self._slide(slide, number))
            if not pages[-1].text:
                skipped.append(SkippedPage(number, "no text; a picture" if self._pictures else "no text"))
            if self._styles.hides_slide(slide.get(f"{_DRAW}style-name", "")):
                remarks.append(Remark(number, "is hidden"))
            remarks += self.hidden.remarks(number)
        if not pages:
            raise ReadError("has no slides", "A template may have layouts only: there is nothing to read in it.")
        return tuple(pages), tuple(skipped), tuple(remarks)

    def _slide(self, slide: Element, number: int) -> Page:
        shapes = in_reading_order([(_place(shape), shape) for shape in slide])
        title, blocks = "", []
        notes = slide.find(f"{_SHOW}notes")
        spoken = [frame for frame in (notes if notes is not None else ()) if frame.get(f"{_SHOW}class") == "notes"]
        for shape in shapes:
            kind = shape.get(f"{_SHOW}class", "")
            if shape is notes or kind in _FRAMES:
                continue
            lines = self._apart(shape, 1)
            if kind == "title" and not title and lines:
                title = " ".join(" ".join(lines).split())
            elif lines:
                blocks.append("\n".join(lines))
        said = "\n".join(line for frame in spoken for line in self._apart(frame, 1))
        pieces = [title, *blocks, f"Notes:\n{said}" if said else ""]
        headings = (Heading(0, 1, title[:200]),) if title else ()
        return Page("\n\n".join(filter(None, pieces)), number, headings=headings, unit="slide")

    # --- blocks

    def _apart(self, element: Element, depth: int) -> list[str]:
        """The blocks of an element by themselves: a cell, a note, a shape of a slide."""
        flow, self._flow = self._flow, Blocks()
        try:
            self._block(element, depth) if element.tag in _SHAPES else self._blocks(element, depth)
            return self._flow.lines()
        finally:
            self._flow = flow

    def _flat(self, element: Element, depth: int) -> str:
        self._inside += 1
        try:
            return " ".join(" ".join(self._apart(element, depth)).split())
        finally:
            self._inside -= 1

    def _blocks(self, element: Element, depth: int) -> None:
        for child in element if depth <= _MAX_DEPTH else ():
            self._block(child, depth)

    def _block(self, child: Element, depth: int) -> None:
        tag = child.tag
        if tag == f"{_TEXT}p":
            self._paragraph(child, depth)
        elif tag == f"{_TEXT}h":
            self._heading(child, depth)
        elif tag == f"{_TEXT}list":
            self._list(child, depth, "", 1, {})
        elif tag == f"{_TABLE}table":
            self._table(child, depth)
        elif tag == f"{_TEXT}section" and child.get(f"{_TEXT}display") == "none":
            self.hidden.add("a hidden section", "".join(child.itertext()))
        elif tag == f"{_DRAW}image":
            self._pictures += 1
        elif tag == f"{_DRAW}object":
            self._object(child)
        elif tag in _SHAPES or tag in _CONTAINERS:
            self._blocks(child, depth + 1)

    def _paragraph(self, element: Element, depth: int, number: str = "", level: int | None = None) -> None:
        inline = _Inline(self._styles, self.hidden, self._noted)
        inline.walk(element, 0)
        self._noted += len(inline.notes)
        text = inline.text.strip()
        style = element.get(f"{_TEXT}style-name", "")
        if text and self._styles.is_title(style):
            self.title = self.title or clean_title(text)
            level = 1 if level is None else level
        self._flow.add(f"{number} {text}" if number and text else text, level, bool(number) and level is None)
        for mark, note in inline.notes:
            self._flow.add(f"[{mark}] {self._flat(note, depth + 1)}")
        for shape in inline.shapes:
            self._block(shape, depth + 1)

    def _heading(self, element: Element, depth: int, number: str = "") -> None:
        level = max(1, min(to_int(element.get(f"{_TEXT}outline-level"), 1), 10))
        own = element.get(f"{_TEXT}is-list-header") != "true" and "".join(element.itertext()).strip()
        if not number and own:
            form = self._styles.outline.get(level)
            start = element.get(f"{_TEXT}start-value") if element.get(f"{_TEXT}restart-numbering") == "true" else None
            number = count(self._outline, level, form, self._styles.outline, start)
        self._paragraph(element, depth, number, level)

    def _list(self, element: Element, depth: int, style: str, level: int, counts: dict[int, int]) -> None:
        own = element.get(f"{_TEXT}style-name", "")
        style = own or style
        if level == 1:
            again = element.get(f"{_TEXT}continue-numbering") == "true" or f"{_TEXT}continue-list" in element.attrib
            counts = self._lists.get(style, {}) if again else {}
            self._lists[style] = counts
        levels = self._styles.lists.get(style, {})
        for item in element if depth <= _MAX_DEPTH else ():
            number = ""
            if item.tag == f"{_TEXT}list-item" and any(child.tag != f"{_TEXT}list" for child in item):
                number = count(counts, level, levels.get(level), levels, item.get(f"{_TEXT}start-value"))
            for child in item:
                if child.tag == f"{_TEXT}list":
                    self._list(child, depth + 1, style, level + 1, counts)
                elif child.tag == f"{_TEXT}p":
                    self._paragraph(child, depth, number)
                    number = ""  # it stands before the first paragraph of the item only
                elif child.tag == f"{_TEXT}h":
                    self._heading(child, depth, number)
                    number = ""
                else:
                    self._block(child, depth + 1)

    def _object(self, element: Element) -> None:
        """A chart as the table of its numbers, a formula as it was typed; other embedded files are left."""
        folder = posixpath.normpath(element.get(_HREF, ""))
        root = self._archive.xml(f"{folder}/content.xml")
        if root is None:
            return
        self._flow.add(" ".join(text for note in root.iter(f"{_MATH}annotation") if (text := note.text)))
        for drawn in root.iterfind(f"{_OFFICE}body/{_OFFICE}chart/{_CHART}chart"):
            titles = ("".join(title.itertext()).strip() for title in drawn.iterfind(f"{_CHART}title"))
            table = drawn.find(f"{_TABLE}table")
            rows = self._rows(table, 0) if table is not None else []
            self._flow.add("\n".join([*titles, *markdown_rows(rows)]))

    def _table(self, table: Element, depth: int) -> None:
        rows = [row for row in self._rows(table, depth) if any(row)]
        if max(map(len, rows), default=0) > 1 and not self._inside:
            self._flow.add("\n".join(markdown_rows(rows)))
        else:  # a frame around text, no table; or one inside a cell
            for row in rows:
                self._flow.add(" ".join(filter(None, row)))

    def _rows(self, table: Element, depth: int) -> list[list[str]]:
        rows: list[list[str]] = []
        left = _MOST_REPEATED
        for element in _table_rows(table, 0):
            cells: list[str] = []
            for cell in element:
                if cell.tag in (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
                    text = self._flat(cell, depth + 1).removeprefix("- ") if cell.tag.endswith("}table-cell") else ""
                    times = to_int(cell.get(f"{_TABLE}number-columns-repeated"), 1)
                    times = max(1, min(times, _WIDEST - len(cells), left // (len(text) + 1)))
                    cells += [text] * times
                    left -= (times - 1) * (len(text) + 1)
            while cells and not cells[-1]:
                cells.pop()
            size = sum(len(text) + 1 for text in cells)
            times = max(1, min(to_int(element.get(f"{_TABLE}number-rows-repeated"), 1), left // size)) if cells else 1
            rows += [cells] * times
            left -= (times - 1) * size
        return rows


def _table_rows(table: Element, depth: int) -> Iterator[Element]:
    for child in table if depth < 5 else ():
        if child.tag == f"{_TABLE}table-row":
            yield child
        elif child.tag in _ROW_GROUPS:
            yield from _table_rows(child, depth + 1)


_ROW_GROUPS = frozenset(f"{_TABLE}table-{name}" for name in ("header-rows", "row-group", "rows"))
_SHAPES = frozenset(
    f"{_DRAW}{name}"
    for name in "frame text-box g a custom-shape rect ellipse circle line connector polygon polyline path caption "
    "regular-polygon measure".split()
)
_CONTAINERS = frozenset(
    f"{_TEXT}{name}"
    for name in "section index-body index-title table-of-content illustration-index table-index object-index "
    "user-index alphabetical-index bibliography numbered-paragraph list-item list-header".split()
)
_LEFT_OUT = frozenset(
    [f"{_OFFICE}annotation", f"{_TEXT}ruby-text", f"{_TEXT}tracked-changes", f"{_TEXT}note-citation", f"{_TEXT}script"]
)


class _Inline:
    """The text of a paragraph, with the notes and shapes that hang on it."""

    def __init__(self, styles: Styles, hidden: HiddenText, noted: int) -> None:
        self._styles = styles
        self._hidden = hidden
        self._noted = noted
        self._pieces: list[str] = []
        self.notes: list[tuple[int, Element]] = []
        self.shapes: list[Element] = []

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def walk(self, element: Element, depth: int) -> None:
        if depth > _MAX_DEPTH:
            return
        if self._styles.hides_text(element.get(f"{_TEXT}style-name", "")) or element.get(f"{_TEXT}is-hidden") == "true":
            self._hidden.add("hidden text", "".join(element.itertext()))
            return
        self._say(element.text)
        for child in element:
            self._child(child, depth)
            self._say(child.tail)

    def _child(self, child: Element, depth: int) -> None:
        tag = child.tag
        if tag == f"{_TEXT}s":
            self._pieces.append(" " * min(to_int(child.get(f"{_TEXT}c"), 1), 1000))
        elif tag == f"{_TEXT}tab":
            self._pieces.append("\t")
        elif tag == f"{_TEXT}line-break":
            self._pieces.append("\n")
        elif tag == f"{_TEXT}note":
            body = child.find(f"{_TEXT}note-body")
            if body is not None:
                self.notes.append((self._noted + len(self.notes) + 1, body))
                self._pieces.append(f" [{self.notes[-1][0]}]")
        elif tag in _SHAPES:
            self.shapes.append(child)
        elif tag not in _LEFT_OUT:
            self.walk(child, depth + 1)

    def _say(self, text: str | None) -> None:
        if text:
            self._pieces.append(_SPACES.sub(" ", text))


# --- places on a slide

_LENGTH = re.compile(r"(-?[\d.]+)(cm|mm|in|pt|px)")
_EMU = {"cm": 360_000, "mm": 36_000, "in": 914_400, "pt": 12_700, "px": 9_525}
_MOVED = re.compile(r"translate\s*\(\s*(\S+?)[\s,]+(\S+?)\s*\)")


def _place(shape: Element) -> tuple[int, int]:
    """Top and left; of a group, those of what stands highest in it."""
    if shape.tag == f"{_DRAW}g":
        return min((_place(child) for child in shape if child.tag != shape.tag), default=(1 << 40, 0))
    if moved := _MOVED.search(shape.get(f"{_DRAW}transform", "")):
        return _length(moved[2]), _length(moved[1])
    top = shape.get(f"{_SVG}y", shape.get(f"{_SVG}y1", ""))
    return (_length(top), _length(shape.get(f"{_SVG}x", shape.get(f"{_SVG}x1", "")))) if top else (1 << 40, 0)


def _length(text: str) -> int:
    match = _LENGTH.match(text)
    return int(float(match[1]) * _EMU[match[2]]) if match and match[1].count(".") < 2 and match[1] != "." else 0


def properties(meta: Element | None) -> tuple[str, str, str]:
    """Return title, author and date."""
    author = _property(meta, f"{_META}initial-creator") or _property(meta, f"{_DC}creator")
    date = iso_date(_property(meta, f"{_DC}date") or _property(meta, f"{_META}creation-date"))
    return clean_title(_property(meta, f"{_DC}title")), author, date
