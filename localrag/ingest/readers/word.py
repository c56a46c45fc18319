"""Read Word documents (DOCX, DOCM, DOTX, DOTM) as flowing text: one page without a number.

Tracked deletions and text that cannot be seen (hidden, white on nothing, of a point or less) are kept out and reported;
white text on a picture counts as hidden. Headers and footers are left out. Macros are not run, links not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from xml.etree.ElementTree import Element

from localrag.errors import ReadError
from localrag.ingest.readers.blocks import Blocks, HiddenText, comment_text, format_number, markdown_rows, symbol
from localrag.ingest.readers.headings import find_headings
from localrag.ingest.readers.package import DRAWINGS, Package, embedded_files, formula, opened, whole
from localrag.ingest.readers.source import RIGHT_SUFFIX, Options, Source
from localrag.text import clean_title
from localrag.types import Heading, Page, Reading, Remark

members = embedded_files

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_MAX_DEPTH = 40  # of nested boxes and controls; real documents need five
# Elements around blocks and runs that change nothing about them. w:del and w:moveFrom are not among them.
_WRAPPERS = frozenset(
    f"{_W}{name}"
    for name in "sdt sdtContent ins moveTo customXml smartTag hyperlink fldSimple dir bdo ruby rubyBase".split()
)
_TABLE = frozenset((f"{_W}tbl", f"{_W}tr", f"{_W}tc"))
_BREAKS = {f"{_W}tab": "\t", f"{_W}ptab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
_NOT_PRINTED = ("del", "moveFrom", "vanish")  # marks of an empty paragraph that does not count


def read(source: Source, options: Options) -> Reading:
    with opened(source, options, "a Word document") as package:
        document = _Document(package)
        text, headings = document.text()
    headings = headings or find_headings(text)
    title, author, date = package.properties()
    title = title or document.title or (headings[0].title if headings else "")
    return Reading((Page(text, headings=headings),), title, (), document.remarks(), author, date)


@dataclass(slots=True)
class _Line:
    """The text of a paragraph and what follows it."""

    text: str = ""
    notes: list[str] = field(default_factory=list)  # footnotes and comments
    boxes: list[Element] = field(default_factory=list)
    drawings: list[Element] = field(default_factory=list)


class _Document:
    """The blocks of a document, collected in order."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._styles = _Styles(package.related("styles"))
        self._numbering = _Numbering(package.related("numbering"), self._styles)
        self._hidden = HiddenText()
        self._blocks = Blocks()
        self._waiting: list[_Line] = []  # paragraphs in cells, whose notes follow the table
        self._note_count = 0
        self._unread_parts = 0
        background = package.main.find(f"{_W}background")
        self._page_coloured = background is not None and background.get(f"{_W}color", "auto").upper() not in _NO_FILL
        self._notes: dict[tuple[str, str], str] = {}
        for kind in ("footnote", "endnote", "comment"):
            for note in _all(package.related(f"{kind}s"), kind):
                text = self._flat(note, False, in_body=False)
                if kind == "comment":
                    text = comment_text(text, note.get(f"{_W}author", ""), note.get(f"{_W}date", ""))
                self._notes[kind, note.get(f"{_W}id", "")] = text
        self.title = ""

    def text(self) -> tuple[str, tuple[Heading, ...]]:
        body = self._package.main.find(f"{_W}body")
        if body is None:
            raise ReadError("is an Office file, but not a Word document", RIGHT_SUFFIX)
        self._container(body, 0)
        return self._blocks.text()

    def remarks(self) -> tuple[Remark, ...]:
        count = self._unread_parts
        unread = (Remark(None, f"parts in other formats (altChunk) were not read: {count}"),) if count else ()
        return (*self._hidden.remarks(), *unread)

    # --- blocks

    def _container(self, element: Element, depth: int) -> None:
        for child in element if depth <= _MAX_DEPTH else ():
            if child.tag == f"{_W}p":
                self._paragraph(child, depth)
            elif child.tag == f"{_W}tbl":
                self._table(child)
            elif child.tag in _WRAPPERS:
                self._container(child, depth + 1)
            elif child.tag == f"{_MC}AlternateContent" and len(child):
                self._container(child[0], depth + 1)  # the fallback says the same
            elif child.tag == f"{_W}altChunk":
                self._unread_parts += 1

    def _paragraph(self, paragraph: Element, depth: int) -> None:
        line = self._line(paragraph, shaded=depth > 0)
        style = _style_of(paragraph)
        level = self._styles.level(paragraph, style)
        number = self._number(paragraph, line.text)
        text = f"{number} {line.text.strip()}" if number and line.text.strip() else line.text
        if self._styles.is_title(style) and not self.title:
            self.title = clean_title(line.text)
        self._blocks.add(text, level, bool(number) and level is None)
        self._add_following(line)
        for box in line.boxes:
            self._container(box, depth + 1)

    def _add_following(self, line: _Line) -> None:
        for note in line.notes:
            self._blocks.add(note)
        for drawing in line.drawings:
            self._blocks.add(self._package.drawing(self._package.main_name, drawing))

    def _number(self, paragraph: Element, text: str) -> str:
        """Return what Word prints before a paragraph; an empty one counts too, unless it is not printed."""
        gone = (paragraph.find(f"{_W}pPr/{_W}rPr/{_W}{name}") is not None for name in _NOT_PRINTED)
        return "" if not text.strip() and any(gone) else self._numbering.next(paragraph, _style_of(paragraph))

    def _table(self, table: Element) -> None:
        shaded = self._styles.shades(table)
        rows: list[list[str]] = []
        for element in _children(table, "tr"):
            if element.find(f"{_W}trPr/{_W}del") is None:
                cells = [""] * _span(element, "trPr", "gridBefore", 0)
                for cell in _children(element, "tc"):  # one that spans columns is followed by empty ones
                    cells.append(self._flat(cell, shaded or self._styles.shades(cell)))
                    cells += [""] * (_span(cell, "tcPr", "gridSpan", 1) - 1)
                rows += [cells] if any(cell.strip() for cell in cells) else []
        if max((len(row) for row in rows), default=0) > 1:
            self._blocks.add("\n".join(markdown_rows(rows)))
        else:  # a frame around text
            for row in rows:
                self._blocks.add(row[0])
        waiting, self._waiting = self._waiting, []
        for line in waiting:
            self._add_following(line)

    def _flat(self, holder: Element, shaded: bool, depth: int = 0, *, in_body: bool = True) -> str:
        """Return the paragraphs of a cell, note or comment on one line, with boxes and tables in it."""
        texts: list[str] = []
        for child in holder if depth <= _MAX_DEPTH else ():
            if child.tag == f"{_W}p":
                line = self._line(child, shaded)
                words = " ".join(line.text.split())
                if in_body:
                    self._waiting.append(line)
                    number = self._number(child, words)
                    words = f"{number} {words}" if number and words else words or number.removeprefix("-")
                texts.append(words)
                texts += [self._flat(box, True, depth + 1, in_body=in_body) for box in line.boxes]
            elif child.tag in _WRAPPERS or child.tag in _TABLE:
                inside = shaded or (child.tag in _TABLE and self._styles.shades(child))
                texts.append(self._flat(child, inside, depth + 1, in_body=in_body))
        return " ".join(filter(None, texts))

    # --- inside a paragraph

    def _line(self, paragraph: Element, shaded: bool) -> _Line:
        style = _style_of(paragraph)
        shaded = shaded or self._page_coloured or self._styles.shades(paragraph) or self._styles.is_shaded(style)
        line = _Line()
        line.text = "".join(self._inline(paragraph, line, style, shaded, 0))
        return line

    def _inline(self, element: Element, line: _Line, style: str, shaded: bool, depth: int) -> Iterator[str]:
        before = ""
        for child in element if depth <= _MAX_DEPTH else ():
            tag = child.tag
            if tag == f"{_W}t":
                yield child.text or ""
            elif tag in _BREAKS:
                yield _BREAKS[tag]
            elif tag == f"{_W}r":
                if kind := self._styles.hides(child, style, shaded):
                    self._hidden.add(kind, "".join(text.text or "" for text in child.iter(f"{_W}t")))
                else:
                    yield from self._inline(child, line, style, shaded, depth + 1)
            elif tag in _WRAPPERS:
                yield from self._inline(child, line, style, shaded, depth + 1)
            elif tag == f"{_W}del":
                author = child.get(f"{_W}author") or "an unknown author"
                text = "".join(text.text or "" for text in child.iter(f"{_W}delText"))
                self._hidden.add(f"text deleted by {author} (tracked change)", text)
            elif tag == f"{_W}sym":
                code = child.get(f"{_W}char", "")
                yield symbol(int(code, 16), child.get(f"{_W}font", "")) if re.match(r"[0-9A-Fa-f]{1,4}$", code) else ""
            elif tag.startswith(_MATH):
                yield " " * before.startswith(_MATH) + formula(child)
            elif tag in (f"{_W}footnoteReference", f"{_W}endnoteReference", f"{_W}commentReference"):
                yield self._reference(tag.removeprefix(_W).removesuffix("Reference"), child.get(f"{_W}id", ""), line)
            elif tag == f"{_MC}AlternateContent" and len(child):
                yield from self._inline(child[0], line, style, shaded, depth + 1)
            elif tag in (f"{_W}drawing", f"{_W}pict", f"{_W}object"):
                line.boxes.extend(_outermost_boxes(child))
                line.drawings.extend(item for item in child.iter() if item.tag in DRAWINGS)
            before = tag

    def _reference(self, kind: str, identity: str, line: _Line) -> str:
        note = self._notes.get((kind, identity), "")
        if kind == "comment":
            line.notes.append(note)
            return ""
        self._note_count += 1
        if note:
            line.notes.append(f"[{self._note_count}] {note}")
        return f" [{self._note_count}]"


def _all(root: Element | None, name: str) -> Iterator[Element]:
    return root.iter(f"{_W}{name}") if root is not None else iter(())


def _outermost_boxes(element: Element) -> Iterator[Element]:
    for child in element:
        if child.tag == f"{_W}txbxContent":
            yield child
        elif child.tag != f"{_MC}Fallback":
            yield from _outermost_boxes(child)


def _children(element: Element, name: str) -> Iterator[Element]:
    """Yield rows or cells, also those inside content controls and insertions."""
    for child in element:
        if child.tag == f"{_W}{name}":
            yield child
        elif child.tag in _WRAPPERS:
            yield from _children(child, name)


def _span(element: Element, properties: str, name: str, default: int) -> int:
    value = _value(element.find(f"{_W}{properties}/{_W}{name}"))
    return min(int(value), 100) if value.isdecimal() else default


def _style_of(paragraph: Element) -> str:
    return _value(paragraph.find(f"{_W}pPr/{_W}pStyle"))


def _value(element: Element | None) -> str:
    return "" if element is None else str(element.get(f"{_W}val") or "")


def _child_value(element: Element, name: str) -> str:
    return _value(element.find(f"{_W}{name}"))


# --- styles -----------------------------------------------------------------------------------------------------

_NO_FILL = {"", "AUTO", "FFFFFF"}


class _Styles:
    """What styles say, with what they inherit: heading levels, titles, numbers, and what hides text."""

    def __init__(self, root: Element | None) -> None:
        self._styles = {style.get(f"{_W}styleId", ""): style for style in _all(root, "style")}
        self.line = cache(self._line)
        self.is_shaded = cache(self._is_shaded)

    def _line(self, name: str) -> list[Element]:
        """Return a style and those that it is based on."""
        found: list[Element] = []
        while name in self._styles and self._styles[name] not in found:
            found.append(self._styles[name])
            name = _child_value(found[-1], "basedOn")
        return found

    def level(self, paragraph: Element, style: str) -> int | None:
        for one in (paragraph, *self.line(style)):
            if match := re.match(r"heading (\d)$", _child_value(one, "name").lower()):
                return int(match[1])
            outline = _value(one.find(f"{_W}pPr/{_W}outlineLvl"))
            if outline.isdigit():
                return int(outline) + 1 if int(outline) < 9 else None
        match = re.match(r"heading (\d)$", style.lower())
        return int(match[1]) if match else 1 if self.is_title(style) else None

    def is_title(self, style: str) -> bool:
        named = self._styles.get(style)
        return (style if named is None else _child_value(named, "name")).lower() == "title"

    def numbering(self, style: str) -> Element | None:
        return next((found for one in self.line(style) if (found := one.find(f"{_W}pPr/{_W}numPr")) is not None), None)

    def shades(self, element: Element) -> bool:
        """Return whether a paragraph, cell or table has a coloured background, by itself or by its style."""
        if any(_is_shading(shading) for shading in element.iterfind(f"*/{_W}shd")):
            return True
        return element.tag == f"{_W}tbl" and self.is_shaded(_value(element.find(f"{_W}tblPr/{_W}tblStyle")))

    def _is_shaded(self, style: str) -> bool:
        return any(_is_shading(item) for one in self.line(style) for item in one.iter(f"{_W}shd"))

    def hides(self, run: Element, paragraph_style: str, shaded: bool) -> str:
        """Return how a run is hidden, or ""; the nearest property decides."""
        own = run.find(f"{_W}rPr")
        character = _value(own.find(f"{_W}rStyle")) if own is not None else ""
        inherited = (one.find(f"{_W}rPr") for style in (character, paragraph_style) for one in self.line(style))
        sources = [item for item in (own, *inherited) if item is not None]

        def nearest(name: str) -> Element | None:
            return next((found for item in sources if (found := item.find(f"{_W}{name}")) is not None), None)

        vanish, size = nearest("vanish"), _value(nearest("sz"))
        if vanish is not None and _value(vanish) not in ("0", "false", "off"):
            return "hidden text"
        if size.isdecimal() and int(size) <= 2:  # half points
            return "text of a point or less"
        if _value(nearest("color")).upper() == "FFFFFF" and not shaded and not self.is_shaded(character):
            shading = nearest("shd")
            if _value(nearest("highlight")) in ("", "none") and (shading is None or not _is_shading(shading)):
                return "white text"
        return ""


def _is_shading(shading: Element) -> bool:
    return shading.get(f"{_W}fill", "").upper() not in _NO_FILL or _value(shading) not in ("", "clear", "nil")


# --- numbers of paragraphs --------------------------------------------------------------------------------------


class _Level:
    def __init__(self, element: Element, depth: int) -> None:
        self.start = whole(_child_value(element, "start"))
        self.restart = whole(_child_value(element, "lvlRestart"), depth)  # levels above this one restart it
        self.kind = _child_value(element, "numFmt") or "decimal"
        self.text = _child_value(element, "lvlText")
        self.legal = element.find(f"{_W}isLgl") is not None


class _Numbering:
    """Counts paragraphs like Word, because its numbers are not in the text, but people cite by them.

    Follows w:num and w:abstractNum, list styles, restarts and overrides; bullets become "-".
    """

    def __init__(self, root: Element | None, styles: _Styles) -> None:
        self._styles = styles
        self._levels: dict[str, dict[int, _Level]] = {}  # by abstract list
        self._abstract: dict[str, str] = {}  # by list
        self._overrides: dict[str, dict[int, _Level]] = {}
        self._restarts: dict[str, dict[int, int]] = {}
        self._depth_by_style: dict[str, int] = {}
        self._counts: dict[str, dict[int, int]] = {}
        self._seen: set[str] = set()
        links: dict[str, str] = {}  # abstract lists that only name a list style
        linked: dict[str, str] = {}  # list styles and their abstract lists
        for element in root if root is not None else ():
            if element.tag == f"{_W}abstractNum":
                identity = element.get(f"{_W}abstractNumId", "")
                self._levels[identity] = self._read_levels(element)
                links[identity] = _child_value(element, "numStyleLink")
                linked[_child_value(element, "styleLink")] = identity
            elif element.tag == f"{_W}num":
                number = element.get(f"{_W}numId", "")
                identity = _child_value(element, "abstractNumId")
                self._abstract[number] = linked.get(links.get(identity) or "-", identity)
                self._overrides[number] = self._read_levels(element)
                starts = {
                    whole(override.get(f"{_W}ilvl")): _child_value(override, "startOverride")
                    for override in element.iter(f"{_W}lvlOverride")
                }
                self._restarts[number] = {depth: int(start) for depth, start in starts.items() if start.isdigit()}

    def next(self, paragraph: Element, style: str) -> str:
        """Count a paragraph and return its printed number ("3.2", "(a)", "-"), or "". Call it in document order."""
        settings = [
            item for item in (paragraph.find(f"{_W}pPr/{_W}numPr"), self._styles.numbering(style)) if item is not None
        ]
        number, written_depth = (
            next(filter(None, (_child_value(item, name) for item in settings)), "") for name in ("numId", "ilvl")
        )
        levels = self._levels.get(self._abstract.get(number, ""), {}) | self._overrides.get(number, {})
        depth = whole(written_depth, self._depth_by_style.get(style, 0))
        if depth not in levels:
            return ""
        counts = self._counts.setdefault(self._abstract[number], {})
        if number not in self._seen:  # a list that shares its counts with another may restart them
            self._seen.add(number)
            counts.update({level: start - 1 for level, start in self._restarts[number].items()})
        counts[depth] = counts.get(depth, levels[depth].start - 1) + 1
        for other in levels:
            if other < depth:  # a level that was skipped counts as begun
                counts.setdefault(other, levels[other].start)
            elif other > depth and depth < levels[other].restart:
                counts.pop(other, None)
        form = levels[depth]
        if form.kind == "bullet":
            return "-"

        def printed(match: re.Match[str]) -> str:
            level = levels.get(int(match[1]) - 1, form)
            kind = "decimal" if form.legal else level.kind
            count = counts.get(int(match[1]) - 1, level.start)
            return "" if level.kind in ("bullet", "none") else format_number(count, kind)

        return re.sub(r"%([1-9])", printed, form.text).strip()

    def _read_levels(self, holder: Element) -> dict[int, _Level]:
        levels: dict[int, _Level] = {}
        for element in holder.iter(f"{_W}lvl"):
            depth = whole(element.get(f"{_W}ilvl"))
            levels[depth] = _Level(element, depth)
            if style := _child_value(element, "pStyle"):
                self._depth_by_style[style] = depth
        return levels
