"""Read OpenDocument texts (ODT, OTT, FODT) as flowing text, and presentations (ODP, OTP, FODP) slide by slide.

Tracked deletions, hidden text and hidden sections are kept out and reported; white or tiny text is not recognised here.
Headers, footers, scripts, links and embedded files are left out.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple
from xml.etree.ElementTree import Element

from localrag.errors import ReadError
from localrag.ingest.readers.blocks import Blocks, HiddenText, comment_text, format_number, markdown_rows
from localrag.ingest.readers.headings import find_headings
from localrag.ingest.readers.package import DAMAGED, check_size, damaged, iso_date, parse_xml, whole
from localrag.ingest.readers.source import RIGHT_SUFFIX, Options, Source
from localrag.text import clean_title
from localrag.types import Heading, Page, Reading, Remark, SkippedPage

_NS = "urn:oasis:names:tc:opendocument:xmlns:"
_OFFICE, _TEXT, _TABLE, _DRAW, _STYLE, _META, _CHART, _SHOW = (
    f"{{{_NS}{name}:1.0}}" for name in ("office", "text", "table", "drawing", "style", "meta", "chart", "presentation")
)
_DC = "{http://purl.org/dc/elements/1.1/}"
_HREF = "{http://www.w3.org/1999/xlink}href"
_MATH = "{http://www.w3.org/1998/Math/MathML}"
_MAX_DEPTH = 40
_FRAMES = {"footer", "header", "date-time", "page-number"}
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
_LEFT_OUT = frozenset((f"{_TEXT}ruby-text", f"{_TEXT}tracked-changes", f"{_TEXT}note-citation", f"{_TEXT}script"))


def read(source: Source, options: Options) -> Reading:
    try:
        if source.suffix in (".fodt", ".fodp"):
            flat = parse_xml(source.read())
            return _read(flat, flat, flat, None)
        with source.open() as stream, zipfile.ZipFile(stream) as archive:
            check_size(archive, options)
            refuse_encrypted(archive)
            content = parse_xml(archive.read("content.xml"))
            return _read(content, part(archive, "styles.xml"), part(archive, "meta.xml"), archive)
    except DAMAGED as error:
        raise damaged(source, error, "an OpenDocument text or presentation") from error


def _read(content: Element, styles: Element | None, meta: Element | None, archive: zipfile.ZipFile | None) -> Reading:
    document = _Document(content, styles, archive)
    title, author, date = properties(meta)
    body = content.find(f"{_OFFICE}body")
    for content in body if body is not None else ():
        if content.tag == f"{_OFFICE}text":
            text, headings = document.text(content)
            headings = headings or find_headings(text)
            title = title or document.title or (headings[0].title if headings else "")
            return Reading((Page(text, headings=headings),), title, (), document.hidden.remarks(), author, date)
        if content.tag == f"{_OFFICE}presentation":
            pages, skipped, remarks = document.slides(content)
            title = title or next((page.headings[0].title for page in pages if page.headings), "")
            return Reading(pages, title, skipped, remarks, author, date)
    raise ReadError("is an OpenDocument file, but no text or presentation", RIGHT_SUFFIX)


def properties(meta: Element | None) -> tuple[str, str, str]:
    """Return title, author and date."""

    def text(*names: str) -> str:
        found = (meta.find(f".//{name}") for name in names) if meta is not None else ()
        return next(filter(None, ((item.text or "").strip() for item in found if item is not None)), "")

    date = iso_date(text(f"{_DC}date", f"{_META}creation-date"))
    return clean_title(text(f"{_DC}title")), text(f"{_META}initial-creator", f"{_DC}creator"), date


def refuse_encrypted(archive: zipfile.ZipFile) -> None:
    """Raise ReadError for an encrypted document: LibreOffice encrypts each part, or the package as a whole."""
    names, manifest = archive.namelist(), "META-INF/manifest.xml"
    if "encrypted-package" in names or (manifest in names and b"encryption-data" in archive.read(manifest)):
        raise ReadError("is encrypted", "Save a copy without a password.")


def part(archive: zipfile.ZipFile, name: str) -> Element | None:
    """Return a part's root; None if it is missing or damaged."""
    with suppress(*DAMAGED):
        return parse_xml(archive.read(name))
    return None


class _Document:
    """Walks the content and collects its blocks."""

    def __init__(self, content: Element, styles: Element | None, archive: zipfile.ZipFile | None) -> None:
        self._archive = archive
        self._styles = _Styles([content, *([styles] if styles is not None and styles is not content else [])])
        self._outline: dict[int, int] = {}
        self._lists: dict[str, dict[int, int]] = {}
        self._blocks = Blocks()
        self._note_count = 0
        self._cell_depth = 0
        self._pictures = 0
        self.hidden = HiddenText()
        self.title = ""

    def text(self, body: Element) -> tuple[str, tuple[Heading, ...]]:
        for region in body.iterfind(f"{_TEXT}tracked-changes/{_TEXT}changed-region/{_TEXT}deletion"):
            author = region.findtext(f"{_OFFICE}change-info/{_DC}creator") or "an unknown author"
            words = " ".join("".join(item.itertext()) for item in region if item.tag != f"{_OFFICE}change-info")
            self.hidden.add(f"text deleted by {author} (tracked change)", words)
        self._walk(body, 0)
        return self._blocks.text()

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
            if slide.get(f"{_DRAW}style-name", "") in self._styles.hidden_slides:
                remarks.append(Remark(number, "is hidden"))
            remarks += self.hidden.remarks(number)
        if not pages:
            raise ReadError("has no slides", "A template may have only layouts, which have no text.")
        return tuple(pages), tuple(skipped), tuple(remarks)

    def _slide(self, slide: Element, number: int) -> Page:
        notes_page = slide.find(f"{_SHOW}notes")
        title, blocks, notes = "", [], ""
        for shape in slide:
            kind = shape.get(f"{_SHOW}class", "")
            if shape.tag == f"{_OFFICE}annotation":
                blocks.append(self._comment(shape))
            elif shape is not notes_page and kind not in _FRAMES and (lines := self._separately(shape, 1)):
                if kind == "title" and not title:
                    title = " ".join(" ".join(lines).split())
                else:
                    blocks.append("\n".join(lines))
        for frame in notes_page if notes_page is not None else ():
            if frame.get(f"{_SHOW}class") == "notes":
                notes = "\n".join(filter(None, (notes, *self._separately(frame, 1))))
        headings = (Heading(0, 1, title[:200]),) if title else ()
        text = "\n\n".join(filter(None, (title, *blocks, f"Notes:\n{notes}" if notes else "")))
        return Page(text, number, headings=headings, unit="slide")

    # --- blocks

    def _separately(self, element: Element, depth: int) -> list[str]:
        """Return the blocks of a cell, a note or a shape without adding them to the text."""
        outer, self._blocks = self._blocks, Blocks()
        self._block(element, depth) if element.tag in _SHAPES else self._walk(element, depth)
        inner, self._blocks = self._blocks, outer
        return inner.lines()

    def _flat(self, element: Element, depth: int) -> str:
        self._cell_depth += 1
        text = " ".join(" ".join(self._separately(element, depth)).split())
        self._cell_depth -= 1
        return text

    def _walk(self, element: Element, depth: int) -> None:
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
            rows = [row for row in self._rows(child, depth) if any(row)]
            if max(map(len, rows), default=0) > 1 and not self._cell_depth:
                self._blocks.add("\n".join(markdown_rows(rows)))
            else:  # a frame around text, or a table inside a cell
                for row in rows:
                    self._blocks.add(" ".join(filter(None, row)))
        elif tag == f"{_TEXT}section" and child.get(f"{_TEXT}display") == "none":
            self.hidden.add("a hidden section", "".join(child.itertext()))
        elif tag == f"{_DRAW}image":
            self._pictures += 1
        elif tag == f"{_DRAW}object":
            self._object(child)
        elif tag in _SHAPES or tag in _CONTAINERS:
            self._walk(child, depth + 1)

    def _paragraph(self, element: Element, depth: int, number: str = "", level: int | None = None) -> None:
        following: list[Element] = []  # notes, comments and shapes
        first_note = self._note_count + 1
        text = "".join(self._inline(element, following, 0)).strip()
        if text and "Title" in self._styles.line(element.get(f"{_TEXT}style-name", "")):
            self.title = self.title or clean_title(text)
            level = 1 if level is None else level
        self._blocks.add(f"{number} {text}" if number and text else text, level, bool(number) and level is None)
        for item in following:
            if item.tag == f"{_TEXT}note-body":
                self._blocks.add(f"[{first_note}] {self._flat(item, depth + 1)}")
                first_note += 1
            elif item.tag == f"{_OFFICE}annotation":
                self._blocks.add(self._comment(item))
            else:
                self._block(item, depth + 1)

    def _comment(self, annotation: Element) -> str:
        author, date = (annotation.findtext(f"{_DC}{name}") or "" for name in ("creator", "date"))
        return comment_text(self._flat(annotation, 1), author, date)

    def _inline(self, element: Element, following: list[Element], depth: int) -> Iterator[str]:
        if depth > _MAX_DEPTH:
            return
        styles = self._styles.line(element.get(f"{_TEXT}style-name", ""))
        if not self._styles.hidden.isdisjoint(styles) or element.get(f"{_TEXT}is-hidden") == "true":
            self.hidden.add("hidden text", "".join(element.itertext()))
            return
        yield _one_space(element.text)
        for child in element:
            tag = child.tag
            if tag == f"{_TEXT}s":
                yield " " * min(whole(child.get(f"{_TEXT}c"), 1), 1000)
            elif tag in (f"{_TEXT}tab", f"{_TEXT}line-break"):
                yield "\t" if tag.endswith("tab") else "\n"
            elif tag == f"{_TEXT}note":
                if (body := child.find(f"{_TEXT}note-body")) is not None:
                    following.append(body)
                    self._note_count += 1
                    yield f" [{self._note_count}]"
            elif tag in _SHAPES or tag == f"{_OFFICE}annotation":
                following.append(child)
            elif tag not in _LEFT_OUT:
                yield from self._inline(child, following, depth + 1)
            yield _one_space(child.tail)

    def _heading(self, element: Element, depth: int, number: str = "") -> None:
        level = max(1, min(whole(element.get(f"{_TEXT}outline-level"), 1), 10))
        is_numbered = element.get(f"{_TEXT}is-list-header") != "true" and "".join(element.itertext()).strip()
        if not number and is_numbered:
            restarts = element.get(f"{_TEXT}restart-numbering") == "true"
            start = element.get(f"{_TEXT}start-value") if restarts else None
            number = _count(self._outline, level, self._styles.outline, start)
        self._paragraph(element, depth, number, level)

    def _list(self, element: Element, depth: int, style: str, level: int, counts: dict[int, int]) -> None:
        style = element.get(f"{_TEXT}style-name", "") or style
        if level == 1:
            is_continued = element.get(f"{_TEXT}continue-numbering") == "true" or element.get(f"{_TEXT}continue-list")
            counts = self._lists[style] = self._lists.get(style, {}) if is_continued else {}
        for item in element if depth <= _MAX_DEPTH else ():
            number = ""
            if item.tag == f"{_TEXT}list-item" and any(child.tag != f"{_TEXT}list" for child in item):
                number = _count(counts, level, self._styles.lists.get(style, {}), item.get(f"{_TEXT}start-value"))
            for child in item:
                if child.tag == f"{_TEXT}list":
                    self._list(child, depth + 1, style, level + 1, counts)
                elif child.tag in (f"{_TEXT}p", f"{_TEXT}h"):
                    add = self._paragraph if child.tag == f"{_TEXT}p" else self._heading
                    add(child, depth, number)
                    number = ""  # only the first paragraph of an item has it
                else:
                    self._block(child, depth + 1)

    def _object(self, element: Element) -> None:
        """Add a chart as the table of its numbers, a formula as it was typed; other objects are left out."""
        folder = posixpath.normpath(element.get(_HREF, ""))
        inside = part(self._archive, f"{folder}/content.xml") if self._archive else None
        root = next(iter(element), None) if self._archive is None else inside
        if root is None:
            return
        self._blocks.add(" ".join(text for note in root.iter(f"{_MATH}annotation") if (text := note.text)))
        for chart in root.iterfind(f"{_OFFICE}body/{_OFFICE}chart/{_CHART}chart"):
            titles = ("".join(title.itertext()).strip() for title in chart.iterfind(f"{_CHART}title"))
            table = chart.find(f"{_TABLE}table")
            rows = self._rows(table, 0) if table is not None else []
            self._blocks.add("\n".join([*titles, *markdown_rows(rows)]))

    def _rows(self, table: Element, depth: int) -> list[list[str]]:
        return [
            [
                self._flat(cell, depth + 1).removeprefix("- ") if cell.tag == f"{_TABLE}table-cell" else ""
                for cell in row
            ]
            for row in _table_rows(table)
        ]


def _table_rows(table: Element) -> Iterator[Element]:
    for child in table:
        if child.tag == f"{_TABLE}table-row":
            yield child
        elif child.tag in _ROW_GROUPS:
            yield from _table_rows(child)


def _one_space(text: str | None) -> str:
    return re.sub(r"[ \t\r\n]+", " ", text or "")


# --- styles and numbers -----------------------------------------------------------------------------------------

_FORMATS = {"1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}


class _Level(NamedTuple):
    """How one level of a list is numbered; `kind` is "" if nothing is printed."""

    kind: str
    prefix: str = ""
    suffix: str = ""
    start: int = 1
    shown: int = 1


class _Styles:
    """What styles say: hidden text and slides, titles, numbers."""

    def __init__(self, roots: list[Element]) -> None:
        self.lists: dict[str, dict[int, _Level]] = {}
        self.outline: dict[int, _Level] = {}
        self._parents: dict[str, str] = {}
        self.hidden: set[str] = set()
        self.hidden_slides: set[str] = set()
        for style in (element for root in roots for element in root.iter()):
            name = style.get(f"{_STYLE}name", "")
            if style.tag == f"{_STYLE}style":
                self._parents[name] = style.get(f"{_STYLE}parent-style-name", "")
                for item in style:
                    if item.tag == f"{_STYLE}text-properties" and item.get(f"{_TEXT}display") == "none":
                        self.hidden.add(name)
                    if item.get(f"{_SHOW}visibility") == "hidden":
                        self.hidden_slides.add(name)
            elif style.tag == f"{_TEXT}list-style":
                self.lists[name] = dict(map(_level, style))
            elif style.tag == f"{_TEXT}outline-style":
                self.outline = dict(map(_level, style))

    def line(self, name: str) -> list[str]:
        """Return a style and those it inherits from."""
        found: list[str] = []
        while name and name not in found:
            found.append(name)
            name = self._parents.get(name, "")
        return found


def _level(element: Element) -> tuple[int, _Level]:
    depth = whole(element.get(f"{_TEXT}level"), 1)
    if "bullet" in element.tag or "image" in element.tag:
        return depth, _Level("bullet" if element.get(f"{_TEXT}bullet-char", "-").strip(" \u200b") else "")
    form = element.get(f"{_STYLE}num-format", "")
    prefix, suffix = element.get(f"{_STYLE}num-prefix", ""), element.get(f"{_STYLE}num-suffix", "")
    start, shown = whole(element.get(f"{_TEXT}start-value"), 1), whole(element.get(f"{_TEXT}display-levels"), 1)
    return depth, _Level(_FORMATS.get(form, "decimal") if form else "", prefix, suffix, start, shown)


def _count(counts: dict[int, int], level: int, levels: dict[int, _Level], start: str | None) -> str:
    """Count one more at `level`, and return what is printed before it."""
    for deeper in [depth for depth in counts if depth > level]:
        del counts[deeper]
    form = levels.get(level)
    counts[level] = whole(start, 1) if start else counts.get(level, (form.start if form else 1) - 1) + 1
    if form is None or not form.kind:
        return ""
    if form.kind == "bullet":
        return "-"
    numbers = [
        format_number(counts.get(depth, other.start), other.kind)
        for depth in range(max(1, level - form.shown + 1), level + 1)
        if (other := levels.get(depth)) and other.kind not in ("", "bullet")
    ]
    return f"{form.prefix}{'.'.join(numbers)}{form.suffix}".strip()
