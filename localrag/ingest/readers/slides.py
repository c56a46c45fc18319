"""Presentations (PPTX, PPTM, POTX, POTM, PPSX, PPSM): one page for each slide, in the order of the show.

A slide's text comes title first, then from top to bottom and left to right; shapes that are grouped stay together.
Tables are Markdown rows, charts the tables of their numbers, SmartArt a list; the speaker's notes follow behind a line
"Notes:". Comments, footers, dates and slide numbers are left out, and so is what stands on layouts and masters, which
is the same on every slide. Hidden slides are read and remarked on; hidden shapes are kept out. Pictures are not looked
at, macros not run, embedded files and links not followed.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from xml.etree.ElementTree import Element

from localrag.errors import ReadError
from localrag.ingest.readers.blocks import format_number, markdown_rows
from localrag.ingest.readers.cleaning import clean
from localrag.ingest.readers.drawing import chart, diagram, formula
from localrag.ingest.readers.package import DAMAGED, RELATION, Package, damaged, decrypted
from localrag.ingest.readers.source import Options, Source
from localrag.types import Heading, Page, Reading, Remark, SkippedPage

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_C = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_D = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_CX = "{http://schemas.microsoft.com/office/drawing/2014/chartex}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_MAX_DEPTH = 30  # of nested groups
_ROW = 190_000  # shapes whose tops differ by less (about half a centimetre) stand in one row
_FRAMES = {"dt", "ftr", "sldNum", "hdr"}
_TITLES = {"title", "ctrTitle"}
_FIELDS = re.compile(r"slidenum|datetime")  # what is printed on every slide
_MATH = "{http://schemas.microsoft.com/office/drawing/2010/main}m"
_NUMBERS = {"alphaLc": "lowerLetter", "alphaUc": "upperLetter", "romanLc": "lowerRoman", "romanUc": "upperRoman"}


def read(source: Source, options: Options) -> Reading:
    source = decrypted(source, options.passwords) or source
    try:
        with source.open() as stream, zipfile.ZipFile(stream) as archive:
            return _read(Package(archive, options))
    except DAMAGED as error:
        raise damaged(source, error, "a PowerPoint presentation") from error


def _read(package: Package) -> Reading:
    if package.main.tag != f"{_P}presentation":
        raise ReadError("is an Office file, but not a presentation", "Give the file the suffix of its real type.")
    pages: list[Page] = []
    skipped: list[SkippedPage] = []
    remarks: list[Remark] = []
    layouts: dict[str, _Layout] = {}
    relations = package.relations(package.main_name)
    for number, entry in enumerate(package.main.iterfind(f"{_P}sldIdLst/{_P}sldId"), 1):
        relation = relations.get(entry.get(f"{RELATION}id", ""))
        root = package.part(relation.target) if relation is not None else None
        if relation is None or root is None:
            pages.append(Page("", number, unit="slide"))
            skipped.append(SkippedPage(number, "is missing or damaged"))
            continue
        layout = package.target("slideLayout", relation.target)
        if layout not in layouts:
            layouts[layout] = _Layout(package, layout)
        slide = _Slide(package, relation.target, root, layouts[layout])
        pages.append(slide.page(number))
        if not pages[-1].text:
            skipped.append(SkippedPage(number, slide.why_empty()))
        if root.get("show") in ("0", "false"):
            remarks.append(Remark(number, "is hidden"))
        if slide.hidden:
            remarks.append(Remark(number, f"hidden shapes were kept out: {slide.hidden}"))
    if not pages:
        raise ReadError("has no slides", "A template may have layouts only: there is nothing to read in it.")
    title = package.title() or next((page.headings[0].title for page in pages if page.headings), "")
    return Reading(tuple(pages), title, tuple(skipped), tuple(remarks), package.author(), package.date())


class _Slide:
    """The blocks of one slide, in reading order."""

    def __init__(self, package: Package, name: str, root: Element, layout: _Layout) -> None:
        self._package = package
        self._name = name
        self._layout = layout
        self._pictures = 0
        self._title = ""
        self.hidden = 0
        tree = root.find(f"{_P}cSld/{_P}spTree")
        self._blocks = list(self._shapes(tree, 0)) if tree is not None else []

    def page(self, number: int) -> Page:
        blocks = [self._title, *map(_tidy, self._blocks)]
        notes = _tidy(self._spoken())
        blocks.append(f"Notes:\n{notes}" if notes else "")
        headings = (Heading(0, 1, self._title[:200]),) if self._title else ()
        return Page("\n\n".join(filter(None, blocks)), number, headings=headings, unit="slide")

    def why_empty(self) -> str:
        if not self._pictures:
            return "no text"
        return "no text; a picture" if self._pictures == 1 else f"no text; {self._pictures} pictures"

    def _shapes(self, tree: Element, depth: int) -> Iterator[str]:
        """The text of a tree's shapes; a group's shapes are put in order among themselves."""
        placed = [(self._layout.place(shape), shape) for shape in _unwrapped(tree)] if depth <= _MAX_DEPTH else []
        for shape in in_order(placed):
            if _is_hidden(shape):
                self.hidden += 1
            elif shape.tag == f"{_P}grpSp":
                yield from self._shapes(shape, depth + 1)
            elif shape.tag == f"{_P}graphicFrame":
                yield self._frame(shape)
            elif shape.tag == f"{_P}pic":
                self._pictures += 1
            else:
                yield self._words(shape)

    def _words(self, shape: Element) -> str:
        kind, _ = _placeholder(shape)
        body = shape.find(f"{_P}txBody")
        if body is None or kind in _FRAMES:
            return ""
        if kind in _TITLES and not self._title and (title := " ".join(clean(_flat(shape)).split())):
            self._title = title
            return ""
        return "\n".join(_paragraphs(body, self._layout.styles(shape)))

    def _frame(self, frame: Element) -> str:
        """A table, a chart or SmartArt; of an embedded file there is a picture only."""
        data = frame.find(f"{_A}graphic/{_A}graphicData")
        for item in data if data is not None else ():
            if item.tag == f"{_A}tbl":
                rows = [[_flat(cell) for cell in row.iterfind(f"{_A}tc")] for row in item.iterfind(f"{_A}tr")]
                return "\n".join(markdown_rows([row for row in rows if any(row)]))
            if item.tag in (f"{_C}chart", f"{_CX}chart"):
                return self._drawn(item.get(f"{RELATION}id", ""), chart)
            if item.tag == f"{_D}relIds":
                return self._drawn(item.get(f"{RELATION}dm", ""), diagram)
        self._pictures += data is not None and any(True for _ in data.iter(f"{_P}pic"))
        return ""

    def _drawn(self, identity: str, text: Callable[[Element], str]) -> str:
        relation = self._package.relations(self._name).get(identity)
        root = self._package.part(relation.target) if relation is not None else None
        return text(root) if root is not None else ""

    def _spoken(self) -> str:
        """What the speaker is to say."""
        root = self._package.related("notesSlide", self._name)
        shapes = root.iter(f"{_P}sp") if root is not None else ()
        bodies = (shape.find(f"{_P}txBody") for shape in shapes if _placeholder(shape)[0] == "body")
        return "\n".join(line for body in bodies if body is not None for line in _paragraphs(body, ()))


class _Layout:
    """What a slide has from its layout and master: where placeholders stand, and their bullets."""

    def __init__(self, package: Package, name: str) -> None:
        master = package.related("slideMaster", name) if name else None
        self._levels = [_placeholders(package.part(name) if name else None), _placeholders(master)]
        self._body = master.find(f"{_P}txStyles/{_P}bodyStyle") if master is not None else None

    def place(self, shape: Element) -> tuple[int, int]:
        """Top and left; a shape whose place is not known comes last."""
        for holder in (shape, *self._parents(shape)):
            for offset in holder.iterfind(f"*/{_A}xfrm/{_A}off"):
                return _int(offset.get("y")), _int(offset.get("x"))
            for offset in holder.iterfind(f"{_P}xfrm/{_A}off"):
                return _int(offset.get("y")), _int(offset.get("x"))
        return 1 << 40, 0

    def styles(self, shape: Element) -> Sequence[Element]:
        """The list styles a shape inherits, the nearest first."""
        kind, index = _placeholder(shape)
        if not kind and not index:
            return ()
        found = [parent.find(f"{_P}txBody/{_A}lstStyle") for parent in self._parents(shape)]
        if kind in ("", "body", "obj"):
            found.append(self._body)
        return [style for style in found if style is not None]

    def _parents(self, shape: Element) -> Iterator[Element]:
        kind, index = _placeholder(shape)
        if not kind and not index:
            return
        for held in self._levels:
            parent = held.get(("", index)) if index else None
            parent = parent if parent is not None else held.get((_FAMILY.get(kind, kind), ""))
            if parent is not None:
                yield parent
                kind, index = _placeholder(parent)[0] or kind, ""


# A master has one placeholder of each family.
_FAMILY = {"ctrTitle": "title", "subTitle": "body", "obj": "body", "": "body"}


def _placeholders(root: Element | None) -> dict[tuple[str, str], Element]:
    """A layout's or master's placeholders by number and, the first of each, by family."""
    found: dict[tuple[str, str], Element] = {}
    for shape in root.iter(f"{_P}sp") if root is not None else ():
        kind, index = _placeholder(shape)
        if kind or index:
            found.setdefault(("", index), shape)
            found.setdefault((_FAMILY.get(kind, kind), ""), shape)
    return found


def _placeholder(shape: Element) -> tuple[str, str]:
    """A placeholder's kind and number; both empty for a shape that is none."""
    mark = shape.find(f"*/{_P}nvPr/{_P}ph")
    return ("", "") if mark is None else (mark.get("type", ""), mark.get("idx", "0"))


def _is_hidden(shape: Element) -> bool:
    properties = shape.find(f"*/{_P}cNvPr")
    return properties is not None and properties.get("hidden") in ("1", "true")


def _unwrapped(tree: Element) -> Iterator[Element]:
    for child in tree:
        if child.tag == f"{_MC}AlternateContent":
            yield from child[0] if len(child) else ()  # the fallback says the same again
        elif child.tag in _SHAPES:
            yield child


_SHAPES = frozenset(f"{_P}{name}" for name in ("sp", "grpSp", "graphicFrame", "pic"))


def in_order(placed: list[tuple[tuple[int, int], Element]]) -> list[Element]:
    """Row by row from the top, each row from the left."""
    rows: list[list[tuple[int, Element]]] = []
    start = 0
    for (top, left), shape in sorted(placed, key=lambda item: item[0][0]):
        if not rows or top - start > _ROW:
            rows.append([])
            start = top
        rows[-1].append((left, shape))
    return [shape for row in rows for _, shape in sorted(row, key=lambda item: item[0])]


# --- paragraphs


def _paragraphs(body: Element, inherited: Sequence[Element]) -> Iterator[str]:
    """The paragraphs with what stands before them: "- ", a number, or nothing."""
    own = body.find(f"{_A}lstStyle")
    styles = [*([own] if own is not None else []), *inherited]
    counts: dict[int, int] = {}
    for paragraph in body.iterfind(f"{_A}p"):
        text = _inline(paragraph).strip()
        if not text:
            continue
        properties = paragraph.find(f"{_A}pPr")
        level = min(_int(properties.get("lvl") if properties is not None else None), 8)
        mark = _mark(properties, [style.find(f"{_A}lvl{level + 1}pPr") for style in styles])
        for deeper in [depth for depth in counts if depth > level]:
            del counts[deeper]
        if mark is None or mark.tag == f"{_A}buNone":
            counts.pop(level, None)
            yield text
        elif mark.tag == f"{_A}buAutoNum":
            counts[level] = counts.get(level, _int(mark.get("startAt"), 1) - 1) + 1
            yield f"{'  ' * level}{_numbered(counts[level], mark.get('type', ''))} {text}"
        else:
            counts.pop(level, None)
            yield f"{'  ' * level}- {text}"


def _mark(properties: Element | None, inherited: Sequence[Element | None]) -> Element | None:
    """The nearest word on bullets."""
    for holder in (properties, *inherited):
        for child in holder if holder is not None else ():
            if child.tag in _MARKS:
                return child
    return None


_MARKS = frozenset(f"{_A}{name}" for name in ("buNone", "buChar", "buAutoNum", "buBlip"))


def _numbered(count: int, form: str) -> str:
    kind = next((kind for start, kind in _NUMBERS.items() if form.startswith(start)), "decimal")
    number = format_number(count, kind)
    if form.endswith("ParenBoth"):
        return f"({number})"
    return number + (")" if form.endswith("ParenR") else "" if form.endswith("Plain") else ".")


def _inline(element: Element, depth: int = 0) -> str:
    pieces: list[str] = []
    for child in element:
        if child.tag == f"{_A}r" or (child.tag == f"{_A}fld" and not _FIELDS.match(child.get("type", ""))):
            pieces.append(child.findtext(f"{_A}t") or "")
        elif child.tag == f"{_A}br":
            pieces.append("\n")
        elif child.tag.startswith(_M):
            pieces.append(formula(child))
        elif child.tag in (f"{_MC}AlternateContent", f"{_MC}Choice", _MATH) and len(child) and depth < 5:
            pieces.append(_inline(child if child.tag != f"{_MC}AlternateContent" else child[0], depth + 1))
    return "".join(pieces)


def _flat(holder: Element) -> str:
    """The paragraphs of a cell or title on one line."""
    return " ".join(filter(None, (" ".join(_inline(item).split()) for item in holder.iterfind(f"*/{_A}p"))))


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in clean(text).split("\n")).strip("\n")


def _int(value: str | None, default: int = 0) -> int:
    try:
        return int(value or default)
    except ValueError:
        return default
