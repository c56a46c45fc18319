"""Read web pages (HTML, XHTML, MHTML) as one page without a number, and books of them (EPUB) chapter by chapter.

Menus, scripts and form controls are left out, links keep their words, nothing is fetched or run. Invisible text is
kept out and reported, because instructions for models are hidden that way. Books protected by DRM are refused.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from email import message_from_bytes
from typing import Any, NamedTuple
from urllib.parse import unquote

from localrag.errors import ReadError
from localrag.ingest.readers.blocks import HiddenText, format_number, markdown_rows
from localrag.ingest.readers.headings import find_headings
from localrag.ingest.readers.package import DAMAGED, damaged, parse_xml, shortened
from localrag.ingest.readers.source import TABLES, Budget, Options, Source
from localrag.ingest.readers.text import decode_html, guess_remark, header_text, iso_date
from localrag.text import clean, clean_title
from localrag.types import Heading, Page, Reading, Remark, SkippedPage

_HTML = TABLES["html"]
_LEFT_OUT = frozenset(_HTML["left_out"])
# Line ends that a browser puts around a tag; other tags do not break the line.
_GAPS = dict.fromkeys(_HTML["lines"], 1) | dict.fromkeys(_HTML["paragraphs"], 2)
_QUOTES = {"q": ("“", "”"), "s": ("~~", "~~"), "strike": ("~~", "~~"), "del": ("~~", "~~")}
_LISTS = ("ul", "ol", "menu")
_PREFORMATTED = ("pre", "listing", "xmp", "plaintext")
_ISO = re.compile(r"\d{4}-\d\d(?:-\d\d(?:T\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:?\d\d)?)?)?|\d{4}$")
_SELF_CLOSED = re.compile(r"<(a|b|i|em|p|div|span|title|td|th|li|script|style|h[1-6])((?:\s[^<>]*)?)/>", re.I)


def read(source: Source, options: Options) -> Reading:
    if source.suffix == ".epub":
        return _read_epub(source, options)
    if source.suffix in (".mht", ".mhtml"):
        return _read_mhtml(source)
    return _read_page(*decode_html(source.read()))


def text_of(html: str) -> tuple[str, tuple[Heading, ...], tuple[Remark, ...]]:
    """Return the visible text of a page or mail, its headings, and a remark if invisible text was kept out."""
    return _text(_parse(html))


def _read_page(html: str, encoding: str = "", title: str = "", date: str = "") -> Reading:
    tree = _parse(html)
    text, headings, remarks = _text(tree)
    named = tree.css_first("head title, title")
    first = next((item.title for item in headings if item.level == 1), "")
    meta = {
        (item.attributes.get("name") or item.attributes.get("property") or "").lower(): item.attributes.get("content")
        for item in reversed(tree.css("meta[content]"))
    }
    author = next((meta[name] for name in _HTML["authors"] if meta.get(name)), "") or ""
    dates = (match[0] for name in _HTML["dates"] if (match := _ISO.match((meta.get(name) or "").strip())))
    return Reading(
        (Page(text, headings=headings or find_headings(text)),),
        clean_title(named.text() if named is not None else "") or clean_title(title) or first,
        remarks=(*guess_remark(encoding), *remarks),
        author=clean_title(author) if "://" not in author else "",
        date=next(dates, date),
    )


def _read_mhtml(source: Source) -> Reading:
    message = message_from_bytes(source.read())
    parts = [part for part in message.walk() if part.get_content_type() in ("text/html", "application/xhtml+xml")]
    if not parts or not message.keys():
        raise ReadError("holds no web page", "Save the page again, or as HTML.")
    start = message.get_param("start")  # other pages are frames
    page = next((part for part in parts if start and part.get("Content-ID") == start), parts[0])
    data = page.get_payload(decode=True)
    html, encoding = decode_html(data if isinstance(data, bytes) else b"", page.get_content_charset(""))
    title = header_text(str(message.get("Subject", "")))
    return _read_page(html, encoding, title, iso_date(str(message.get("Date", ""))))


def _parse(html: str) -> Any:
    from selectolax.lexbor import LexborHTMLParser

    html = clean(html)
    if html[:2048].lstrip().startswith("<?xml") or "http://www.w3.org/1999/xhtml" in html[:2048]:
        # XML closes any tag at once; HTML would take all that follows <a id="x"/> into it.
        html = _SELF_CLOSED.sub(r"<\1\2></\1>", html)
    return LexborHTMLParser(html)


def _text(tree: Any) -> tuple[str, tuple[Heading, ...], tuple[Remark, ...]]:
    css = "\n".join(style.text() for style in tree.css("style"))
    rules = _rules(css)
    plain = tree.css_first("link[rel~=stylesheet]") is None and "background" not in css.lower()
    look = _Look(background=(255, 255, 255) if plain else None)
    has_main = tree.css_first("main, article") is not None
    walker = _Walker(rules, look, has_main)
    walker.walk(tree.root)
    hidden = HiddenText()
    if any(character.isalnum() for words in walker.hidden for character in words):
        hidden.add("invisible text", " ".join(walker.hidden))
    return "".join(walker.writer.pieces), tuple(walker.writer.headings), hidden.remarks()


class _Walker:
    """One pass through a tree, without recursion, that writes what can be seen."""

    def __init__(self, rules: _Rules, look: _Look, only_main: bool) -> None:
        self.writer = _Writer()
        self.hidden: list[str] = []
        self._rules = rules
        self._look = look
        self._only_main = only_main  # the page's headers and footers are left out, those of <main> are not
        self._lists: list[tuple[str, int]] = []
        self._main_depth = 0

    def walk(self, root: Any) -> None:
        stack: list[Any] = [root]
        while stack:
            item = stack.pop()
            if callable(item):
                item()
            elif item.tag == "-text":
                words = clean(item.text_content or "")
                self.hidden.append(words) if self._look.invisible() else self.writer.add(words)
            elif (leave := self._enter(item)) is not None:
                stack.append(leave)
                stack.extend(reversed(list(item.iter(include_text=True))))

    def _enter(self, node: Any) -> Callable[[], None] | None:
        """Open a node; return what closes it after its children, or None if these are left out."""
        tag, attributes = node.tag, node.attributes
        outside_main = self._only_main and not self._main_depth
        if tag in _LEFT_OUT or attributes.get("role") == "navigation" or (tag in ("header", "footer") and outside_main):
            return None
        style = _style(self._rules, tag, attributes)
        if "hidden" in attributes or _not_shown(style):
            texts = (item for item in node.traverse(include_text=True) if item.tag == "-text")
            self.hidden += [clean(item.text_content or "") for item in texts if item.parent.tag not in _LEFT_OUT]
            return None
        if tag == "table" and self._table(node, attributes, style):
            return None
        before = self._look, self._main_depth, self.writer.preformatted, len(self._lists)
        self._look = self._look.under(tag, attributes, style)
        close = self._open(tag, attributes, style)

        def leave() -> None:
            close()
            self._look, self._main_depth, self.writer.preformatted, lists = before
            del self._lists[lists:]

        return leave

    def _open(self, tag: str, attributes: Mapping[str, str | None], style: Mapping[str, str]) -> Callable[[], None]:
        writer = self.writer
        if tag in _QUOTES:
            writer.put(_QUOTES[tag][0])
            return lambda: writer.put(_QUOTES[tag][1])
        if tag == "br":
            writer.put("\n")
        elif tag == "sup":
            writer.raised = True
        elif tag == "img":
            words = " ".join(clean(attributes.get("alt") or "").split())
            if len(words.split()) >= 3 and not self._look.invisible():
                writer.put(f"[image: {words}]")
        if (gap := _GAPS.get(tag)) is None:
            return lambda: None
        gap = 1 if tag in _LISTS and self._lists else gap
        writer.end(gap)
        if re.fullmatch("h[1-6]", tag):
            writer.opened = None
            return lambda: writer.end_heading(int(tag[1]))
        if tag in _PREFORMATTED:
            writer.preformatted += 1
        elif tag in ("main", "article"):
            self._main_depth += 1
        elif tag in _LISTS:
            kind = style.get("list-style-type") or style.get("list-style") or attributes.get("type") or ""
            start = (attributes.get("start") or "").strip()
            first = int(start) if start.lstrip("-").isdecimal() else 1
            self._lists.append((("-" if tag != "ol" else kind) if "none" not in kind else "none", first))
        elif tag == "li":
            kind, number = self._lists.pop() if self._lists else ("-", 1)
            if (value := (attributes.get("value") or "").strip()).isdecimal():
                number = int(value)
            self._lists.append((kind, number + 1))
            numbered = f"{format_number(number, _HTML['numbers'].get(kind, ''))}. "
            writer.mark = "  " * min(len(self._lists) - 1, 6) + {"none": "", "-": "- "}.get(kind, numbered)

        def close() -> None:
            writer.end(gap)
            writer.mark = "" if tag == "li" else writer.mark

        return close

    def _table(self, table: Any, attributes: Mapping[str, str | None], style: Mapping[str, str]) -> bool:
        """Write a table of data; return False for a table that only lays out the page."""
        rows = [] if attributes.get("role") in ("presentation", "none") else _rows(table)
        cells = [cell for row in rows for cell in row]
        headed = any(cell.tag == "th" for cell in cells)
        if len(rows) < (1 if headed else 2) or not all(_holds_words(cell, headed) for cell in cells):
            return False
        inner = _Walker(self._rules, self._look.under("table", attributes, style), False)
        grid, heads = _grid(rows, inner.cell)
        columns = [column for column in zip(*grid, strict=True) if any(column)]
        grid = [list(row) for row in zip(*columns, strict=True)]
        longest = max((len(text) for row in grid for text in row), default=0)
        if len(columns) < 2 or (not headed and longest > _MAX_CELL):
            return False
        self.hidden.extend(inner.hidden)
        captions = [inner.cell(child) for child in table.iter() if child.tag == "caption"]
        header = [" ".join(dict.fromkeys(filter(None, column))) for column in zip(*grid[:heads], strict=True)]
        lines = markdown_rows([header or [""] * len(columns), *grid[heads:]])
        for block in (*filter(None, captions), "\n".join(lines)):
            self.writer.end(2)
            self.writer.emit(block)
        self.writer.end(2)
        return True

    def cell(self, node: Any) -> str:
        """Return the words of a cell on one line."""
        self.writer = _Writer()
        self.walk(node)
        self.writer.end(0)
        return " ".join("".join(self.writer.pieces).split())


class _Writer:
    """The text: lines, the gaps between them, and the heading and list item that are open."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.size = 0
        self.headings: list[Heading] = []
        self.mark = ""  # of the list item that begins with the next line
        self.opened: tuple[int, int] | None = None  # offset and piece where the open heading began
        self.preformatted = 0
        self.raised = False
        self._line: list[str] = []
        self.put = self._line.append
        self._gap = 0

    def add(self, text: str) -> None:
        text = text if self.preformatted else re.sub(r"\s+", " ", text)
        if self.raised and text[:1].isdecimal() and self._line and self._line[-1][-1:].isdecimal():
            self.put("^")  # keeps 10 to the 6th from becoming 106
        if text:
            self.raised = False
            self.put(text)

    def end(self, gap: int) -> None:
        """End the line, with at least `gap` line ends before the next one."""
        if self._line:
            line = "".join(self._line)
            self._line.clear()
            self.raised = False
            is_code = self.preformatted
            text = line.strip("\n") if is_code else re.sub(" ?\n ?", "\n", re.sub(" {2,}", " ", line)).strip()
            if text.strip():
                self.emit(re.sub(r"\n{3,}", "\n\n", text))
            elif "\n" in line:
                gap = 2
        self._gap = max(self._gap, gap)

    def emit(self, text: str) -> None:
        before = ("\n" * self._gap if self.pieces else "") + self.mark
        self.mark = ""
        self.pieces += (before, text)
        if self.opened is None:
            self.opened = (self.size + len(before), len(self.pieces) - 1)
        self.size += len(before) + len(text)
        self._gap = 0

    def end_heading(self, level: int) -> None:
        self.end(2)
        if self.opened is not None:
            start, piece = self.opened
            title = " ".join("".join(self.pieces[piece:]).split()).strip("\u200b")
            self.headings.append(Heading(start, level, title[:200]))


# --- tables -----------------------------------------------------------------------------------------------------

_MAX_CELLS = 500_000
_MAX_CELL = 1_500  # characters; in a table without headers longer cells are columns of a layout
_RARE_IN_CELLS = ", ".join(_HTML["layout"])


def _rows(table: Any) -> list[list[Any]]:
    """Return the cells of a table's own rows, without those of tables inside it."""
    groups = [child for child in table.iter() if child.tag in ("thead", "tbody", "tfoot", "tr")]
    rows = [row for group in groups for row in ([group] if group.tag == "tr" else group.iter()) if row.tag == "tr"]
    return [cells for row in rows if (cells := [cell for cell in row.iter() if cell.tag in ("td", "th")])]


def _holds_words(cell: Any, headed: bool) -> bool:
    """Return whether a cell holds words, not a piece of a page."""
    if cell.css_first("table, form, main, article") is not None:
        return False
    return headed or (cell.css_first(_RARE_IN_CELLS) is None and len(cell.css("p, div")) <= 4)


def _grid(rows: list[list[Any]], words: Callable[[Any], str]) -> tuple[list[list[str]], int]:
    """Return each row's words, and how many rows are the header, whose cells repeat their words over their spans."""
    grid: list[list[str]] = []
    heads, at_top = 0, True
    from_above: dict[int, tuple[int, str]] = {}  # column -> rows that a cell still takes, and its words
    for cells in rows:
        row: list[str] = []

        def fill(row: list[str] = row) -> None:
            while len(row) in from_above:
                left, text = from_above.pop(len(row))
                if left > 1:
                    from_above[len(row)] = (left - 1, text)
                row.append(text)

        in_head = cells[0].parent.parent.tag == "thead"
        is_head = in_head or all(cell.tag == "th" for cell in cells)
        for cell in cells:
            fill()
            text, attributes = words(cell), cell.attributes
            repeated = text if (is_head or cell.tag == "th") and len(text) < 200 else ""
            below = min(_span(attributes.get("rowspan")), len(rows)) - 1
            for index in range(min(_span(attributes.get("colspan")), 100)):
                if below:
                    from_above[len(row)] = (below, repeated)
                row.append(repeated if index else text)
        fill()
        if len(row) * len(rows) > _MAX_CELLS:
            return [], 0
        if any(row):
            # A row whose cells all reach down into the next ones only labels them.
            is_label = not in_head and all(_span(cell.attributes.get("rowspan")) > 1 for cell in cells)
            at_top = at_top and is_head and heads < 4 and not (heads and is_label)
            heads += at_top
            grid.append(row)
    width = max(map(len, grid), default=0)
    if not heads and not any(cell.tag == "th" for row in rows for cell in row):
        heads = 1
    return [[*row, *[""] * (width - len(row))] for row in grid], heads


def _span(value: str | None) -> int:
    return int(value) if value and value.isdecimal() and 0 < len(value) < 6 and int(value) else 1


# --- what can be seen -------------------------------------------------------------------------------------------

_Rules = dict[str, dict[str, str]]  # declarations by selector, for one class, name or tag
_Colour = tuple[int, int, int]
_SELECTOR = re.compile(r"[a-z][a-z0-9]*|(?:[a-z][a-z0-9]*)?\.[\w-]+|#[\w-]+")
_PROPERTIES = frozenset(_HTML["properties"])
_FONT_SIZE = re.compile(r"(?:^|\s)(\d{0,9}\.?\d{1,9}(?:px|pt|em|rem|%)?)(?=[\s/])")
_COLOUR_WORD = re.compile(r"#[0-9a-f]{3,8}\b|rgba?\(\s*\d{1,3}[\s,]+\d{1,3}[\s,]+\d{1,3}|\b[a-z]+\b")


def _rules(css: str) -> _Rules:
    css = re.sub(r"/\*.*?(?:\*/|$)|<!--|-->", "", css[:2_000_000], flags=re.S)
    css = re.sub(r"@[^{};@]*\{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", css)  # @media and the like apply only sometimes
    rules: _Rules = {}
    for selectors, body in re.findall(r"(?<![^{};])([^{};]*)\{([^{}]*)\}", css):
        style = _declarations(body)
        for selector in map(str.strip, selectors.split(",")) if style else ():
            if _SELECTOR.fullmatch(selector):
                rules[selector] = rules.get(selector, {}) | style
    return rules


def _declarations(style: str) -> dict[str, str]:
    pairs = (declaration.partition(":") for declaration in style.lower().split(";"))
    return {
        name.strip(): value.replace("!important", "").strip() for name, _, value in pairs if name.strip() in _PROPERTIES
    }


def _style(rules: _Rules, tag: str, attributes: Mapping[str, str | None]) -> dict[str, str]:
    """Return the declarations for an element itself; `_Look` has what it inherits."""
    classes = (attributes.get("class") or "").split()[:50] if rules else ()
    names = [tag, *(name for one in classes for name in (f".{one}", f"{tag}.{one}")), f"#{attributes.get('id')}"]
    found = {key: value for name in names for key, value in rules.get(name, {}).items()}
    return found | _declarations(attributes.get("style") or "")


def _not_shown(style: Mapping[str, str]) -> bool:
    """Return whether an element is not shown, with all that is in it."""
    sizes = (_number(style.get(name)) for name in ("height", "max-height", "width", "max-width"))
    placed = style.get("position") in ("absolute", "fixed")
    sides = (_number(style.get(name), 0) for name in ("left", "top", "right", "bottom"))
    clip = style.get("clip", "").replace(" ", "")
    return (
        style.get("display") == "none"
        or style.get("mso-hide") == "all"
        or _number(style.get("opacity")) == 0
        or (style.get("overflow") == "hidden" and 0 in sizes)
        or (placed and (min(sides) <= -500 or clip.startswith(("rect(0,0,0", "rect(0000", "rect(1px,1px"))))
        or _number(style.get("text-indent"), 0) <= -500
    )


def _number(value: str | None, default: float = 1) -> float:
    match = re.match(r"-?(?:\d{1,18}\.?\d{0,9}|\.\d{1,9})", value or "")
    return float(match[0]) if match else default


class _Look(NamedTuple):
    """What text inherits: its colour and background (None if unknown), and whether it is tiny or invisible."""

    colour: _Colour | None = None
    background: _Colour | None = None
    tiny: bool = False
    off: bool = False

    def invisible(self) -> bool:
        if self.tiny or self.off:
            return True
        if self.colour is None or self.background is None:
            return False
        return sum(abs(one - other) for one, other in zip(self.colour, self.background, strict=True)) <= 24

    def under(self, tag: str, attributes: Mapping[str, str | None], style: Mapping[str, str]) -> _Look:
        colour, background, tiny, off = self
        if tag == "a" and "href" in attributes:
            colour = None  # links have their own
        if tag in ("body", "font") and (name := attributes.get("text" if tag == "body" else "color")):
            colour = _colour(name)
        if name := attributes.get("bgcolor"):
            background = _colour(name)
        if attributes.get("background"):
            background = None
        if style:
            colour = _colour(style["color"]) if style.get("color", "inherit") != "inherit" else colour
            for property_ in ("background", "background-color"):
                if style.get(property_, "none") not in ("none", "transparent", "inherit", "initial", "0", "unset"):
                    background = _colour(style[property_])
            if size := style.get("font-size") or next(iter(_FONT_SIZE.findall(style.get("font", "")[:200])), ""):
                tiny = _number(size) == 0 or (size.endswith(("px", "pt")) and _number(size) <= 1)
            off = style["visibility"] in ("hidden", "collapse") if "visibility" in style else off
        return _Look(colour, background, tiny, off)


def _colour(value: str) -> _Colour | None:
    """Return the colour in a declaration; None for a picture, a gradient or an unknown name."""
    from PIL import ImageColor

    value = value.lower()[:1000]
    for word in _COLOUR_WORD.findall(value) if "url(" not in value and "gradient" not in value else ():
        numbers = re.findall(r"\d+", word) if word.startswith("rgb") else []
        with suppress(ValueError):
            red, green, blue = ImageColor.getrgb(f"rgb({','.join(numbers)})" if numbers else word)[:3]
            return min(red, 255), min(green, 255), min(blue, 255)
    return None


# --- books ------------------------------------------------------------------------------------------------------

_OPF = "{http://www.idpf.org/2007/opf}"
_DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"
_ENCRYPTION_METHOD = "{http://www.w3.org/2001/04/xmlenc#}EncryptionMethod"
_FONT_METHODS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")


def _read_epub(source: Source, options: Options) -> Reading:
    budget = Budget(options)
    try:
        with source.open() as stream, zipfile.ZipFile(stream) as archive:
            names = {name.lower(): name for name in archive.namelist()}

            def unpack(name: str) -> bytes:
                if name.lower() not in names:
                    raise KeyError(f"{name} is missing")
                with archive.open(names[name.lower()]) as part:
                    return budget.unpack(part)  # type: ignore[arg-type]

            return _read_book(unpack, protected="meta-inf/encryption.xml" in names)
    except DAMAGED as error:
        raise damaged(source, error, "an EPUB book") from error


def _read_book(unpack: Callable[[str], bytes], protected: bool) -> Reading:
    if protected:
        methods = parse_xml(unpack("META-INF/encryption.xml")).iter(_ENCRYPTION_METHOD)
        if any(method.get("Algorithm") not in _FONT_METHODS for method in methods):
            raise ReadError("is protected by DRM", "Ask its seller for a copy without protection.")
    container = parse_xml(unpack("META-INF/container.xml"))
    root = next((item.get("full-path", "") for item in container.iter() if item.tag.endswith("}rootfile")), "")
    package = parse_xml(unpack(root))
    items = {item.get("id", ""): item for item in package.iter(f"{_OPF}item")}
    chapters: dict[str, None] = {}  # in reading order, each once
    for reference in package.iter(f"{_OPF}itemref"):
        item = items.get(reference.get("idref", ""), reference)
        if "nav" not in item.get("properties", "").split() and "image/" not in item.get("media-type", ""):
            path = posixpath.join(posixpath.dirname(root), unquote(item.get("href", "").partition("#")[0]))
            chapters.setdefault(posixpath.normpath(path).lstrip("/"))
    pages: list[Page] = []
    skipped: list[SkippedPage] = []
    remarks: list[Remark] = []
    for name in chapters:
        number = len(pages) + 1
        try:
            text, headings, found = text_of(decode_html(unpack(name))[0])
        except DAMAGED as error:
            pages.append(Page("", number, unit="chapter"))
            skipped.append(SkippedPage(number, f"this chapter is damaged or missing ({shortened(error)})"))
            continue
        remarks += (replace(remark, number=number) for remark in found)
        if text:
            pages.append(Page(text, number, headings[0].title if headings else None, headings, unit="chapter"))
    titles, creators, dates = (
        ["".join(item.itertext()).strip() for item in package.iter(f"{_DUBLIN_CORE}{name}")]
        for name in ("title", "creator", "date")
    )
    date = re.match(r"\d{4}(?:-\d\d(?:-\d\d)?)?", min(filter(None, dates), default=""))  # others are of changes
    author = clean_title("; ".join(dict.fromkeys(filter(None, creators))))
    title = clean_title(next(filter(None, titles), ""))
    return Reading(tuple(pages), title, tuple(skipped), tuple(remarks), author, date[0] if date else "")
