"""Web pages (HTML, XHTML) and pages saved in one file (MHTML) as flowing text: one page without a number.

What a person sees is kept in its order: headings, paragraphs, lists with their marks, tables as Markdown rows, code
as it stands. Menus, scripts and the controls of forms are left out, links are words only, nothing is fetched or run.
Invisible text (hidden, without size, in the colour of its ground, beside the screen) is kept out and reported, since
that is how instructions are hidden from people. Limits: of style sheets only rules for one class, name or tag are
honoured; struck text is kept between ~~; beyond 1,000 levels of nesting tags are dropped and their words kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from localrag.errors import ReadError
from localrag.ingest.readers.blocks import markdown_rows
from localrag.ingest.readers.cleaning import clean, clean_title
from localrag.ingest.readers.headings import find_headings
from localrag.ingest.readers.html_look import Look, Sheet, gone, sheet_of
from localrag.ingest.readers.html_tables import is_simple, laid_out, rows_of
from localrag.ingest.readers.numbering import format_number
from localrag.ingest.readers.source import Options, Source
from localrag.ingest.readers.text import decode_html, guess_remark
from localrag.types import Heading, Page, Reading, Remark

_OUT = frozenset(
    "head script style template nav svg:title desc defs metadata annotation annotation-xml rt rp iframe canvas audio "
    "video noembed input select textarea button datalist option progress meter -comment !doctype".split()
)
_FALLBACK = frozenset(("noscript", "noframes"))
# Line ends that a browser would put around them; what is not named here runs on in its line.
_BLOCKS = dict.fromkeys(
    "address center dd div dt fieldset figcaption legend li summary td th tr option caption dialog text hgroup "
    "optgroup frameset body html thead tbody tfoot".split(),
    1,
) | dict.fromkeys(
    "article aside blockquote details dl figure footer form h1 h2 h3 h4 h5 h6 header hr main menu ol p pre section "
    "table ul listing xmp plaintext search".split(),
    2,
)
_AROUND = {"q": ("“", "”"), "s": ("~~", "~~"), "strike": ("~~", "~~"), "del": ("~~", "~~")}
_STYLES = {"a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman", "lower-alpha": "lowerLetter",
           "upper-alpha": "upperLetter", "lower-latin": "lowerLetter", "upper-latin": "upperLetter",
           "lower-roman": "lowerRoman", "upper-roman": "upperRoman"}  # fmt: skip
_LONGEST_CELL = 1500  # of a table without headers; longer ones are columns of a layout


def read(source: Source, options: Options) -> Reading:
    if source.suffix in (".mht", ".mhtml"):
        return _saved_page(source)
    html, encoding = decode_html(source.read())
    return _reading(html, encoding)


def text_of(html: str) -> tuple[str, tuple[Heading, ...], tuple[Remark, ...]]:
    """The visible text of a page or a mail, its headings, and a remark where invisible text was kept out."""
    return _text(_parsed(html))


def _reading(html: str, encoding: str = "", title: str = "", date: str = "") -> Reading:
    parsed = _parsed(html)
    tree = parsed.root
    text, headings, remarks = _text(parsed)
    named = tree.css_first("head title, title")
    first = next((item.title for item in headings if item.level == 1), "")
    meta = {
        (item.attributes.get("name") or item.attributes.get("property") or "").lower(): item.attributes.get("content")
        for item in reversed(tree.css("meta[content]"))
    }
    author = next((meta[name] for name in _AUTHORS if meta.get(name)), "") or ""
    dates = (match[0] for name in _DATES if (match := _ISO.match((meta.get(name) or "").strip())))
    return Reading(
        (Page(text, headings=headings or find_headings(text)),),
        clean_title(named.text() if named is not None else "") or clean_title(title) or first,
        remarks=(*guess_remark(encoding), *remarks),
        author=clean_title(author) if "://" not in author else "",
        date=next(dates, date),
    )


_AUTHORS = "author dc.creator dcterms.creator citation_author article:author".split()
_DATES = (
    "date dc.date dcterms.date dcterms.issued dcterms.created article:published_time citation_date dcterms.modified "
    "article:modified_time last-modified"
).split()
_ISO = re.compile(r"\d{4}-\d\d(?:-\d\d(?:T\d\d:\d\d(?::\d\d)?(?:Z|[+-]\d\d:?\d\d)?)?)?|\d{4}$")


# --- MHTML ----------------------------------------------------------------------------------------------------


def _saved_page(source: Source) -> Reading:
    """The page itself out of its pictures and style sheets; its frames only where it has no text of its own."""
    message = message_from_bytes(source.read())
    parts = [part for part in message.walk() if not part.is_multipart()]
    pages = [part for part in parts if part.get_content_type() in ("text/html", "application/xhtml+xml")]
    start = message.get_param("start")
    pages.sort(key=lambda part: part.get("Content-ID") != start if start else False)
    if not pages or not message.keys():
        raise ReadError("holds no web page", "Save the page again, or as HTML.")
    title, date = _header(message, "Subject"), ""
    with suppress(ValueError):
        date = parsedate_to_datetime(str(message["Date"])).isoformat()
    for page in pages:
        data = page.get_payload(decode=True)
        charset = page.get_content_charset("")
        reading = _reading(*decode_html(data if isinstance(data, bytes) else b"", charset), title, date)
        if reading.pages[0].text.strip():
            return reading
    raise ReadError("has no text", "Open it to see whether it holds only pictures.")


def _header(message: Message, name: str) -> str:
    value = str(message.get(name, ""))
    try:
        return str(make_header(decode_header(value)))
    except (ValueError, LookupError):
        return value


# --- the tree -------------------------------------------------------------------------------------------------

_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)[^<>]*>?")
_CLOSED = re.compile(r"<([a-zA-Z][\w-]*)((?:\s[^<>]*)?)/>")
# Tags that are never closed or need not be: they do not nest however many there are.
_FLAT = frozenset(
    "area base br col embed hr img input link meta param source track wbr p li dd dt tr td th tbody thead tfoot option "
    "body html head colgroup".split()
)
_FORMATTING = frozenset("a b big code em font i nobr s small strike strong tt u".split())
_MOST_NESTED, _MOST_FORMATTING = 1000, 30


class _Tree(NamedTuple):
    root: Any
    remarks: tuple[Remark, ...]


def _parsed(html: str) -> _Tree:
    from selectolax.lexbor import LexborHTMLParser

    html = clean(html)
    head = html[:2048]
    if head.lstrip().startswith("<?xml") or "http://www.w3.org/1999/xhtml" in head:
        # XML may close any tag at once; HTML would take all that follows <title/> or <a id="x"/> into it.
        html = _CLOSED.sub(lambda tag: tag[0] if tag[1].lower() in _FLAT else f"<{tag[1]}{tag[2]}></{tag[1]}>", html)
    html, dropped = _bounded(html) if html.count("<") > _MOST_FORMATTING else (html, 0)
    said = f"{dropped:,} tags nest too deep and were dropped; invisible text is not told apart in them"
    return _Tree(LexborHTMLParser(html), (Remark(None, said),) if dropped else ())


def _bounded(html: str) -> tuple[str, int]:
    """Without the tags that nest too deep, and how many: the parser's time grows with the square of the depth.

    Formatting that is left open would be opened anew in every paragraph; from some depth on it is a span.
    """
    nested = formatting = spans = dropped = 0

    def kept(tag: re.Match[str]) -> str:
        nonlocal nested, formatting, spans, dropped
        name = tag[2].lower()
        if name in _FLAT:
            return tag[0]
        mark = tag[0]
        if name in _FORMATTING and tag[1]:
            if not spans:
                formatting -= formatting > 0
                return mark
            spans -= 1
            mark = "</span>"
        elif name in _FORMATTING:
            if formatting < _MOST_FORMATTING:
                formatting += 1
                return mark
            mark = f"<span{tag[0][1 + len(name) :]}"
            spans += nested < _MOST_NESTED
        if tag[1]:
            nested -= nested > 0
        elif nested >= _MOST_NESTED:
            dropped += 1
            return ""
        else:
            nested += 1
        return mark

    html = _TAG.sub(kept, html)
    return html, dropped


def _text(parsed: _Tree) -> tuple[str, tuple[Heading, ...], tuple[Remark, ...]]:
    tree = parsed.root
    css = "\n".join(style.text() for style in tree.css("style"))
    sheet = sheet_of(css)
    plain = tree.css_first("link[rel~=stylesheet]") is None and "background" not in css.lower()
    within = tree.css_first("main, article") is not None
    walk = _Walk(sheet, Look(None, (255, 255, 255) if plain else None), within)
    for thorough in (False, True):  # a page that is nothing but menus, or says all without scripts
        walk = _Walk(sheet, walk.look, within and not thorough, thorough)
        walk.through(tree.root)
        if walk.flow.size:
            break
    return "".join(walk.flow.pieces), tuple(walk.flow.headings), (*parsed.remarks, *walk.remarks())


class _Walk:
    """One pass through a tree, without recursion; what is seen goes into `flow`."""

    def __init__(self, sheet: Sheet, look: Look, within: bool, thorough: bool = False) -> None:
        self.flow = _Flow()
        self.look = look
        self.hidden: list[str] = []
        self.sheet = sheet
        self._within = within
        self._thorough = thorough
        self._lists: list[tuple[str, int]] = []
        self._inside = 0  # main or article, whose headers and footers belong to the text

    def through(self, root: Any) -> None:
        stack: list[Any] = [root]
        while stack:
            item = stack.pop()
            if callable(item):
                item()
            elif item.tag == "-text":
                self._words(item.text_content or "")
            elif (leave := self._enter(item)) is not None:
                stack.append(leave)
                stack.extend(reversed(list(item.iter(include_text=True))))

    def remarks(self) -> tuple[Remark, ...]:
        words = " ".join(" ".join(self.hidden).split())
        if not any(character.isalnum() for character in words):
            return ()
        start = words if len(words) <= 80 else words[:80] + "…"
        return (Remark(None, f"{len(words):,} characters of invisible text were kept out: “{start}”"),)

    def _words(self, text: str) -> None:
        if self.look.unseen():
            self.hidden.append(clean(text))
        else:
            self.flow.add(clean(text))

    def _enter(self, node: Any) -> Callable[[], None] | None:
        """What to do behind the children, or None where they are left out."""
        tag = node.tag
        if tag in _OUT and not (self._thorough and tag == "nav"):
            return None
        attributes = node.attributes
        style = self.sheet.of(tag, attributes)
        if (tag in _FALLBACK or attributes.get("role") == "navigation") and not self._thorough:
            return None
        if tag in ("header", "footer") and self._within and not self._inside:
            return None
        if "hidden" in attributes or gone(style):
            self.hidden.extend(_all_words(node))
            return None
        if tag == "table" and self._table(node, attributes):
            return None
        before = self.look
        self.look = before.under(tag, attributes, style)
        leave = self._open(tag, node, attributes, style)

        def close() -> None:
            leave()
            self.look = before

        return close

    def _open(
        self, tag: str, node: Any, attributes: Mapping[str, str | None], style: dict[str, str]
    ) -> Callable[[], None]:
        flow = self.flow
        if tag in _AROUND:
            flow.put(_AROUND[tag][0])
            return lambda: flow.put(_AROUND[tag][1])
        if tag == "br":
            flow.put("\n")
        elif tag == "sup":
            flow.raised = True
        elif tag == "img":
            words = " ".join(clean(attributes.get("alt") or "").split())
            if len(words.split()) >= 3 and not self.look.unseen():
                flow.put(f"[image: {words}]")
        gap = _BLOCKS.get(tag)
        if gap is None:
            return _nothing
        if tag in ("ul", "ol", "menu") and self._lists:
            gap = 1
        flow.end(gap)
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            flow.opened = None
            return lambda: flow.end_heading(int(tag[1]))
        if tag in ("pre", "listing", "xmp", "plaintext"):
            flow.raw += 1
        elif tag in ("main", "article"):
            self._inside += 1
        elif tag in ("ul", "ol", "menu"):
            kind = style.get("list-style-type") or style.get("list-style") or attributes.get("type") or ""
            first = int(number) if (number := (attributes.get("start") or "").strip()).lstrip("-").isdecimal() else 1
            self._lists.append((("-" if tag != "ol" else kind) if "none" not in kind else "none", first))
        elif tag == "li":
            self._item(attributes)
        return lambda: self._close(tag, gap)

    def _item(self, attributes: Mapping[str, str | None]) -> None:
        kind, number = self._lists.pop() if self._lists else ("-", 1)
        if (value := (attributes.get("value") or "").strip()).isdecimal():
            number = int(value)
        self._lists.append((kind, number + 1))
        mark = "" if kind == "none" else "- " if kind == "-" else f"{format_number(number, _STYLES.get(kind, ''))}. "
        self.flow.mark = "  " * min(len(self._lists) - 1, 6) + mark

    def _close(self, tag: str, gap: int) -> None:
        self.flow.end(gap)
        if tag in ("pre", "listing", "xmp", "plaintext"):
            self.flow.raw -= 1
        elif tag in ("main", "article"):
            self._inside -= 1
        elif tag in ("ul", "ol", "menu") and self._lists:
            self._lists.pop()
        elif tag == "li":
            self.flow.mark = ""

    # --- tables

    def _table(self, table: Any, attributes: Mapping[str, str | None]) -> bool:
        """Write a table of data; False where it is there for the layout, or holds blocks."""
        rows = [] if attributes.get("role") in ("presentation", "none") else rows_of(table)
        cells = [cell for row in rows for cell in row]
        headed = any(cell.tag == "th" for cell in cells)
        if len(rows) < (1 if headed else 2) or not all(is_simple(cell, headed) for cell in cells):
            return False
        inner = _Walk(self.sheet, self.look.under("table", attributes, self.sheet.of("table", attributes)), False)
        grid, heads = laid_out(rows, inner.cell)
        used = [column for column in range(max(map(len, grid), default=0)) if any(row[column] for row in grid)]
        grid = [[row[column] for column in used] for row in grid]
        longest = max((len(text) for row in grid for text in row), default=0)
        if len(used) < 2 or (not headed and longest > _LONGEST_CELL):
            return False
        self.hidden.extend(inner.hidden)
        captions = [inner.cell(child) for child in table.iter() if child.tag == "caption"]
        while heads > 1 and len(set(grid[0])) == 1:  # a title that spans all columns
            captions.append(grid.pop(0)[0])
            heads -= 1
        header = [" ".join(dict.fromkeys(filter(None, column))) for column in zip(*grid[:heads], strict=True)]
        for caption in filter(None, captions):
            self.flow.end(2)
            self.flow.put(caption)
        self.flow.end(2)
        self.flow.emit("\n".join(markdown_rows([header or [""] * len(used), *grid[heads:]])))
        self.flow.end(2)
        return True

    def cell(self, node: Any) -> str:
        """The words of one cell on one line."""
        self.flow = _Flow()
        self.through(node)
        self.flow.end(0)
        return " ".join("".join(self.flow.pieces).split())


# --- the text -------------------------------------------------------------------------------------------------

_WHITE = re.compile(r"\s+")


class _Flow:
    """Text as it is written: lines with the gaps between them, the heading and list item that are open."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.size = 0
        self.headings: list[Heading] = []
        self.mark = ""  # of the list item that begins with the next line
        self.opened: tuple[int, int] | None = None  # where the words of the open heading began
        self.raw = 0
        self.raised = False
        self._line: list[str] = []
        self._gap = 0

    def add(self, text: str) -> None:
        if not self.raw:
            text = _WHITE.sub(" ", text)
        if self.raised and text:
            self.raised = False
            if text[0].isdecimal() and self._line and self._line[-1][-1:].isdecimal():
                self._line.append("^")  # 10 to the 6th is not 106, and a note's number not a part of the year
        self.put(text)

    def put(self, text: str) -> None:
        if text:
            self._line.append(text)

    def end(self, gap: int) -> None:
        """End the line; at least `gap` line ends will be between it and the next."""
        if self._line:
            line = "".join(self._line)
            self._line.clear()
            self.raised = False
            text = line.strip("\n") if self.raw else re.sub(r" *\n *", "\n", re.sub(" {2,}", " ", line)).strip()
            if text.strip():
                self.emit(re.sub(r"\n{3,}", "\n\n", text))
            elif "\n" in line:
                gap = 2
        self._gap = max(self._gap, gap)

    def emit(self, text: str) -> None:
        mark, self.mark = self.mark, ""
        before = ("\n" * self._gap if self.pieces else "") + mark
        self.pieces += (before, text)
        if self.opened is None:
            self.opened = (self.size + len(before), len(self.pieces) - 1)
        self.size += len(before) + len(text)
        self._gap = 0

    def end_heading(self, level: int) -> None:
        self.end(2)
        if self.opened is not None:
            start, piece = self.opened
            self.headings.append(
                Heading(start, level, " ".join("".join(self.pieces[piece:]).split()).strip("\u200b")[:200])
            )


def _nothing() -> None:
    pass


def _all_words(node: Any) -> Iterator[str]:
    stack = [node]
    while stack:
        item = stack.pop()
        if item.tag == "-text":
            yield clean(item.text_content or "")
        elif item.tag not in _OUT:
            stack.extend(reversed(list(item.iter(include_text=True))))
