"""Read presentations (PPTX, PPTM, POTX, POTM, PPSX, PPSM): one page for each slide, in the order of the show.

Footers, dates, slide numbers and the text of layouts are left out, as they are on every slide. Hidden slides are read
and reported, hidden shapes are kept out. Pictures are not looked at, macros not run, links not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from localrag.errors import ReadError
from localrag.ingest.readers.blocks import comment_text, format_number, markdown_rows
from localrag.ingest.readers.package import DRAWINGS, RELATION, Package, embedded_files, formula, opened, whole
from localrag.ingest.readers.source import RIGHT_SUFFIX, Options, Source
from localrag.text import clean
from localrag.types import Heading, Page, Reading, Remark, SkippedPage

members = embedded_files

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_A14_MATH = "{http://schemas.microsoft.com/office/drawing/2010/main}m"
_MAX_DEPTH = 30  # of nested groups
_ROW_HEIGHT = 190_000  # shapes whose tops differ by less (half a centimetre) are in one row
_FRAMES = {"dt", "ftr", "sldNum", "hdr"}
_TITLES = {"title", "ctrTitle"}
_LISTS = {"", "body", "obj"}  # placeholders whose paragraphs have bullets unless they say otherwise
_SHAPES = frozenset(f"{_P}{name}" for name in ("sp", "grpSp", "graphicFrame", "pic"))
_BULLETS = frozenset(f"{_A}{name}" for name in ("buNone", "buChar", "buAutoNum", "buBlip"))
_NUMBERS = {"alphaLc": "lowerLetter", "alphaUc": "upperLetter", "romanLc": "lowerRoman", "romanUc": "upperRoman"}


def read(source: Source, options: Options) -> Reading:
    with opened(source, options, "a PowerPoint presentation") as package:
        return _read(package)


def _read(package: Package) -> Reading:
    if package.main.tag != f"{_P}presentation":
        raise ReadError("is an Office file, but not a presentation", RIGHT_SUFFIX)
    pages: list[Page] = []
    skipped: list[SkippedPage] = []
    remarks: list[Remark] = []
    relations = package.relations(package.main_name)
    for number, entry in enumerate(package.main.iterfind(f"{_P}sldIdLst/{_P}sldId"), 1):
        relation = relations.get(entry.get(f"{RELATION}id", ""))
        root = package.part(relation.target) if relation is not None else None
        if relation is None or root is None:
            pages.append(Page("", number, unit="slide"))
            skipped.append(SkippedPage(number, "is missing or damaged"))
            continue
        slide = _Slide(package, relation.target, root)
        pages.append(slide.page(number))
        if not pages[-1].text:
            skipped.append(SkippedPage(number, "no text; a picture" if slide.pictures else "no text"))
        if root.get("show") in ("0", "false"):
            remarks.append(Remark(number, "is hidden"))
        if slide.hidden:
            remarks.append(Remark(number, f"hidden shapes were kept out: {slide.hidden}"))
    if not pages:
        raise ReadError("has no slides", "A template may have only layouts, which have no text.")
    title, author, date = package.properties()
    title = title or next((page.headings[0].title for page in pages if page.headings), "")
    return Reading(tuple(pages), title, tuple(skipped), tuple(remarks), author, date)


class _Slide:
    def __init__(self, package: Package, name: str, root: Element) -> None:
        self._package = package
        self._name = name
        self._title = ""
        self.pictures = 0
        self.hidden = 0
        self._blocks = [block for tree in root.iterfind(f"{_P}cSld/{_P}spTree") for block in self._shapes(tree, 0)]

    def page(self, number: int) -> Page:
        root = self._package.related("notesSlide", self._name)
        shapes = root.iter(f"{_P}sp") if root is not None else ()
        bodies = (shape.find(f"{_P}txBody") for shape in shapes if _placeholder(shape) == "body")
        notes = _tidy("\n".join(line for body in bodies if body is not None for line in _paragraphs(body, "")))
        blocks = [self._title, *map(_tidy, self._blocks), f"Notes:\n{notes}" if notes else "", *self._comments()]
        headings = (Heading(0, 1, self._title[:200]),) if self._title else ()
        return Page("\n\n".join(filter(None, blocks)), number, headings=headings, unit="slide")

    def _shapes(self, tree: Element, depth: int) -> Iterator[str]:
        """Yield the text of the shapes in reading order; the shapes of a group are ordered among themselves."""
        placed = [(_place(shape), shape) for shape in _unwrapped(tree)] if depth <= _MAX_DEPTH else []
        for shape in _in_reading_order(placed):
            properties = shape.find(f"*/{_P}cNvPr")
            if properties is not None and properties.get("hidden") in ("1", "true"):
                self.hidden += 1
            elif shape.tag == f"{_P}grpSp":
                yield from self._shapes(shape, depth + 1)
            elif shape.tag == f"{_P}graphicFrame":
                yield self._frame(shape)
            elif shape.tag == f"{_P}pic":
                self.pictures += 1
            elif (body := shape.find(f"{_P}txBody")) is not None and (kind := _placeholder(shape)) not in _FRAMES:
                title = " ".join(clean(_flat(shape)).split()) if kind in _TITLES and not self._title else ""
                self._title = self._title or title
                yield "" if title else "\n".join(_paragraphs(body, "-" if kind in _LISTS else ""))

    def _frame(self, frame: Element) -> str:
        """Return a table, a chart or SmartArt; an embedded file shows only its picture."""
        data = frame.find(f"{_A}graphic/{_A}graphicData")
        for item in data if data is not None else ():
            if item.tag == f"{_A}tbl":
                rows = [[_flat(cell) for cell in row.iterfind(f"{_A}tc")] for row in item.iterfind(f"{_A}tr")]
                return "\n".join(markdown_rows([row for row in rows if any(row)]))
            if item.tag in DRAWINGS:
                return self._package.drawing(self._name, item)
        self.pictures += data is not None and any(True for _ in data.iter(f"{_P}pic"))
        return ""

    def _comments(self) -> Iterator[str]:
        """Yield comments, also those of newer versions, which have another namespace."""
        root = self._package.related("comments", self._name)
        authors = {
            author.get("id"): author.get("name", "")
            for kind in ("commentAuthors", "authors")
            for author in self._package.related(kind) or []
        }
        for comment in root.iter() if root is not None else ():
            if not comment.tag.endswith("}cm"):
                continue
            words = comment.findtext(f"{_P}text") or _flat(comment)
            date = comment.get("dt") or comment.get("created") or ""
            yield comment_text(words, authors.get(comment.get("authorId"), ""), date)


def _placeholder(shape: Element) -> str | None:
    """Return a placeholder's kind, "" for one of any kind; None for another shape."""
    mark = shape.find(f"*/{_P}nvPr/{_P}ph")
    return None if mark is None else mark.get("type", "")


def _place(shape: Element) -> tuple[int, int]:
    """Return top and left; a placeholder that is where its layout puts it comes first."""
    for path in (f"*/{_A}xfrm/{_A}off", f"{_P}xfrm/{_A}off"):
        if (offset := shape.find(path)) is not None:
            return whole(offset.get("y")), whole(offset.get("x"))
    return -1 << 40, 0


def _unwrapped(tree: Element) -> Iterator[Element]:
    for child in tree:
        if child.tag == f"{_MC}AlternateContent":
            yield from child[0] if len(child) else ()  # the fallback says the same
        elif child.tag in _SHAPES:
            yield child


def _in_reading_order(placed: list[tuple[tuple[int, int], Element]]) -> list[Element]:
    """Order shapes by rows from the top, each row from the left."""
    rows: list[list[tuple[int, Element]]] = []
    start = 0
    for (top, left), shape in sorted(placed, key=lambda item: item[0][0]):
        if not rows or top - start > _ROW_HEIGHT:
            rows.append([])
            start = top
        rows[-1].append((left, shape))
    return [shape for row in rows for _, shape in sorted(row, key=lambda item: item[0])]


# --- paragraphs -------------------------------------------------------------------------------------------------


def _paragraphs(body: Element, mark: str) -> Iterator[str]:
    """Yield the paragraphs with their bullet or number; `mark` is the bullet of those that name none."""
    style = body.find(f"{_A}lstStyle")
    counts: dict[int, int] = {}
    for paragraph in body.iterfind(f"{_A}p"):
        text = _inline(paragraph).strip()
        if not text:
            continue
        properties = paragraph.find(f"{_A}pPr")
        level = min(whole(properties.get("lvl") if properties is not None else None), 8)
        holders = (properties, style.find(f"{_A}lvl{level + 1}pPr") if style is not None else None)
        bullets = (item for holder in holders if holder is not None for item in holder if item.tag in _BULLETS)
        bullet = next(bullets, None)
        counts = {depth: count for depth, count in counts.items() if depth <= level}
        if bullet is not None and bullet.tag == f"{_A}buAutoNum":
            counts[level] = counts.get(level, whole(bullet.get("startAt"), 1) - 1) + 1
            sign = _numbered(counts[level], bullet.get("type", ""))
        else:
            counts.pop(level, None)
            sign = mark if bullet is None else "" if bullet.tag == f"{_A}buNone" else "-"
        yield f"{'  ' * level}{sign} {text}" if sign else text


def _numbered(count: int, form: str) -> str:
    kind = next((kind for start, kind in _NUMBERS.items() if form.startswith(start)), "decimal")
    number = format_number(count, kind)
    if form.endswith("ParenBoth"):
        return f"({number})"
    return number + (")" if form.endswith("ParenR") else "" if form.endswith("Plain") else ".")


def _inline(element: Element, depth: int = 0) -> str:
    pieces: list[str] = []
    for child in element:
        is_frame = re.match("slidenum|datetime", child.get("type", ""))  # printed on every slide
        if child.tag == f"{_A}r" or (child.tag == f"{_A}fld" and not is_frame):
            pieces.append(child.findtext(f"{_A}t") or "")
        elif child.tag == f"{_A}br":
            pieces.append("\n")
        elif child.tag.startswith(_MATH):
            pieces.append(formula(child))
        elif child.tag in (f"{_MC}AlternateContent", f"{_MC}Choice", _A14_MATH) and len(child) and depth < 5:
            pieces.append(_inline(child if child.tag != f"{_MC}AlternateContent" else child[0], depth + 1))
    return "".join(pieces)


def _flat(holder: Element) -> str:
    """Return the paragraphs of a cell or title on one line."""
    return " ".join(filter(None, (" ".join(_inline(item).split()) for item in holder.iterfind(f"*/{_A}p"))))


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in clean(text).split("\n")).strip("\n")
