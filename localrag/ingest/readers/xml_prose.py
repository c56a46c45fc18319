"""XML that holds prose (DocBook, JATS, TEI, XHTML), turned into the tags of HTML and read as a web page is.

Limits: elements are known by their names alone, whatever their namespace; front matter is flattened to lines.
"""

from __future__ import annotations

import html as entities
import re
from xml.etree.ElementTree import Element

from localrag.ingest.readers.cleaning import clean_title
from localrag.ingest.readers.web import text_of
from localrag.types import Page, Reading

_PARAGRAPHS = frozenset("p para simpara ab".split())
_SECTIONS = frozenset("sec section chapter article part appendix app abstract preface topic sect1 sect2 sect3 sect4 "
                      "div div1 div2 div3 ref-list bibliography book".split())  # fmt: skip
_ALWAYS_TITLES = frozenset(("heading", "invention-title"))
_TITLES = _ALWAYS_TITLES | {"title", "head", "article-title"}
_TITLED = _SECTIONS | set("title-group info bookinfo articleinfo chapterinfo concept task reference".split())
_TAGS = {
    **dict.fromkeys(_PARAGRAPHS, "p"), **dict.fromkeys(_SECTIONS, "section"),
    "list": "ul", "itemizedlist": "ul", "orderedlist": "ol", "list-item": "li", "listitem": "li", "item": "li",
    "ul": "ul", "ol": "ol", "li": "li", "variablelist": "dl", "def-list": "dl", "term": "dt",
    "disp-quote": "blockquote",
    "blockquote": "blockquote", "code": "pre", "programlisting": "pre", "preformat": "pre", "l": "div", "lg": "p",
    "table": "table", "thead": "thead", "tbody": "tbody", "tfoot": "tfoot", "tr": "tr", "th": "th", "td": "td",
    "row": "tr", "entry": "td", "sup": "sup", "superscript": "sup", "sub": "sub", "title-group": "div",
}  # fmt: skip
_INLINE = frozenset(("", "sup", "sub"))
_LEFT_OUT = frozenset(
    "tex-math journal-meta article-id object-id custom-meta-group self-uri annotation contrib-id institution-id "
    "pub-date".split()
)


def local_name(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def is_prose(root: Element) -> bool:
    """Whether there are paragraphs in it: one below a name that sections of texts have, else three."""
    names = [local_name(item) for item in root.iter()]
    return sum(name in _PARAGRAPHS for name in names) >= (1 if names[0] in _SECTIONS or names[0] == "TEI" else 3)


def prose(html: str, root: Element | None) -> Reading:
    text, headings, remarks = text_of(html)
    title = ""
    if root is not None:
        named = next((item for item in root.iter() if local_name(item) in _TITLES), None)
        title = " ".join("".join(named.itertext()).split()) if named is not None else ""
    names = [item for item in (root.iter() if root is not None else ()) if item.get("contrib-type") == "author"]
    authors = [" ".join((item.findtext(f".//{part}") or "").strip() for part in _NAME_PARTS) for item in names[:50]]
    year = next((item for item in (root.iter("pub-date") if root is not None else ())), None)
    parts = [(year.findtext(part) or "").zfill(2) for part in ("year", "month", "day")] if year is not None else []
    date = re.match(r"\d{4}(-\d\d(-\d\d)?)?", "-".join(parts).replace("-00", ""))
    author = clean_title("; ".join(filter(str.strip, authors)))
    return Reading((Page(text, headings=headings),), clean_title(title), (), remarks, author, date[0] if date else "")


_NAME_PARTS = ("given-names", "surname")


def as_html(root: Element) -> str:
    """Prose in the tags of HTML: what is known by its name, the rest as paragraphs or groups of them."""
    parents = {child: parent for parent in root.iter() for child in parent}

    def tag_of(element: Element) -> str:
        name = local_name(element)
        return "" if name in _SECTIONS and not len(element) else _TAGS.get(name, "")

    titles = _TITLES - {"title"} if local_name(root) in ("TEI", "TEI.2") else _TITLES

    def is_title(element: Element) -> bool:
        name = local_name(element)
        return name in titles and (name in _ALWAYS_TITLES or local_name(parents.get(element, root)) in _TITLED)

    blocks: set[Element] = set()  # elements with paragraphs and the like inside
    for element in root.iter():
        if tag_of(element) not in _INLINE or is_title(element):
            above = parents.get(element)
            while above is not None and above not in blocks:
                blocks.add(above)
                above = parents.get(above)
    written: list[str] = []
    level = 0
    stack: list[tuple[Element | str, bool]] = [(root, False)]
    while stack:
        item, inline = stack.pop()
        if isinstance(item, str):
            level -= item == "</section>"
            written.append(item)
            continue
        name = local_name(item)
        tail = entities.escape(item.tail or "", quote=False) or " "
        if not name or name in _LEFT_OUT:
            written.append(tail)
            continue
        tag = tag_of(item)
        if not inline and is_title(item):
            tag = f"h{min(max(level, 1), 6)}"
        elif not tag and not inline:
            tag = "div" if item in blocks else "p"
        level += tag == "section"
        spans = "".join(f' {key}="{item.get(key)}"' for key in ("colspan", "rowspan") if item.get(key, "x").isdigit())
        written.append(f"<{tag}{spans}>" if tag else "")
        written.append(entities.escape(item.text or "", quote=False))
        stack.append((tail, inline))
        if tag:
            stack.append((f"</{tag}>", inline))
        within = inline or tag in ("p", "pre") or tag.startswith("h") or (item not in blocks and bool(tag))
        stack.extend((child, within) for child in reversed(item))
    return "".join(written)
