"""Read data: JSON and JSON Lines as indented "key: value" lines and tables, XML as prose or like JSON.

XML with paragraphs (DocBook, JATS, TEI, XHTML) is prose, its titles are headings. Elsewhere keys that open a group, and
records, are headings, two levels deep. Numbers stay as written.
"""

from __future__ import annotations

import html as entities
import json
import re
from contextlib import suppress
from dataclasses import replace
from html.entities import html5
from itertools import groupby
from xml.etree.ElementTree import Element

from localrag.errors import ReadError
from localrag.ingest.readers.blocks import markdown_rows
from localrag.ingest.readers.package import PARSE_ERRORS, parse_xml
from localrag.ingest.readers.source import TABLES, Options, Source, another_kind
from localrag.ingest.readers.text import decode_guessing, decode_html, guess_remark
from localrag.ingest.readers.web import text_of
from localrag.text import clean, clean_title
from localrag.types import Heading, Page, Reading

_MAX_DEPTH = 200
# Keys that name a record, best first.
_NAMES = ("title", "name", "subject", "label", "id", "key", "number", "code")


class Pairs(tuple[tuple[str, "Value"], ...]):
    """An object with its keys in order, also repeated ones."""


Value = str | Pairs | list["Value"]


def read(source: Source, options: Options) -> Reading:
    if source.suffix == ".xml":
        return _read_xml(source)
    text, encoding = decode_guessing(source.read())
    reading = _reading(_json_lines(text) if source.suffix in (".jsonl", ".ndjson") else _json(text, source))
    return replace(reading, remarks=(*guess_remark(encoding), *reading.remarks))


def _reading(value: Value) -> Reading:
    writer = _Writer()
    writer.value(value, 0)
    title = ""
    if isinstance(value, Pairs):
        title = next((item for key, item in value if key.lower() == "title" and isinstance(item, str)), "")
    return Reading((Page("".join(writer.pieces).rstrip("\n"), headings=tuple(writer.headings)),), clean_title(title))


# --- JSON -----------------------------------------------------------------------------------------------------


def _json(text: str, source: Source) -> Value:
    try:
        return _parsed(text)
    except json.JSONDecodeError as error:
        if error.msg.startswith("Extra data") and "\n" in text:
            with suppress(ReadError):
                return _json_lines(text)
        if other := another_kind(source, "JSON"):
            raise other from error
        raise _not_json(error.lineno, error) from error


def _json_lines(text: str) -> Value:
    records: list[Value] = []
    for number, line in enumerate(text.split("\n"), 1):
        try:
            records += [_parsed(line)] if line.strip() else []
        except json.JSONDecodeError as error:
            raise _not_json(number, error) from error
    return records


def _not_json(line: int, error: json.JSONDecodeError) -> ReadError:
    return ReadError(f"is not valid JSON: line {line}, column {error.colno}: {error.msg}", "Repair it there.")


def _parsed(text: str) -> Value:
    try:
        return _with_literals(
            json.loads(text, object_pairs_hook=Pairs, parse_float=str, parse_int=str, parse_constant=str, strict=False)
        )
    except RecursionError as error:
        raise ReadError("is nested too deep to be read", "Export it as a flatter file.") from error


def _with_literals(value: object, depth: int = 0) -> Value:
    """Return the value with true, false and null as they are written."""
    if depth > _MAX_DEPTH:
        raise RecursionError
    if isinstance(value, Pairs):
        return Pairs((key, _with_literals(item, depth + 1)) for key, item in value)
    if isinstance(value, list):
        return [_with_literals(item, depth + 1) for item in value]
    if isinstance(value, str):
        return value
    return "null" if value is None else str(value).lower()


class _Writer:
    """Writes indented lines, with headings for groups, keys after a group, and records of the two highest levels."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.headings: list[Heading] = []
        self._size = 0
        self._open_records = 0  # inside a record nothing is a heading

    def _line(self, text: str) -> None:
        text = clean(text) + "\n"
        self.pieces.append(text)
        self._size += len(text)

    def _blank(self) -> None:
        if self.pieces and self.pieces[-1] != "\n":
            self._line("")

    def _heading(self, depth: int, title: str) -> bool:
        if depth > 1 or self._open_records:
            return False
        self._blank()
        self.headings.append(Heading(self._size + 2 * depth, depth + 1, title))
        return True

    def value(self, value: Value, depth: int, key: str | None = None, mark: str = "") -> None:
        """Write a value under its key; `mark` is the dash of a list item."""
        name = "  " * (depth - bool(mark)) + mark + ("" if key is None else f"{key}:")
        if short := _one_line(value):
            self._line(f"{name}{' ' if name.endswith(':') else ''}{short}")
            return
        if name.strip() and (key is not None or not isinstance(value, Pairs)):
            self._line(name.rstrip())
        below = depth + (key is not None)
        if isinstance(value, str):
            for line in value.strip("\r\n").splitlines():
                self._line("  " * (depth + 1) + line if line.strip() else "")
        elif isinstance(value, Pairs):
            after_group = False
            for name, item in value:
                if after_group or not (isinstance(item, str) or _one_line(item)):
                    after_group = self._heading(below, _short(name)) or after_group
                self.value(item, below, name)
        else:
            self._list(value, below)

    def _list(self, values: list[Value], depth: int) -> None:
        if rows := _table(values):
            self._blank()
            for row in markdown_rows(rows):
                self._line(row)
            self._blank()
            return
        for number, item in enumerate(values, 1):
            if not isinstance(item, Pairs) or not item:
                self.value(item, depth + 1, None, "- ")
                continue
            named = {key.lower(): each for key, each in reversed(item) if isinstance(each, str) and each.strip()}
            name = next((f" ({_short(named[key])})" for key in _NAMES if key in named), "")
            self._heading(depth, f"record {number}{name}")
            self._open_records += 1
            for index, (key, each) in enumerate(item):
                self.value(each, depth + 1, key, "" if index else "- ")
            self._open_records -= 1


def _one_line(value: Value) -> str:
    """Return a text, a number, or a short list of them on one line; "" if the value needs more."""
    if not value:
        return "{}" if isinstance(value, Pairs) else "[]" if isinstance(value, list) else '""'
    if isinstance(value, str):
        return "" if "\n" in value else value
    words = [item for item in value if isinstance(item, str) and item and not re.search(r"[,\n]", item)]
    line = ", ".join(words)
    return line if len(words) == len(value) and len(line) <= 200 else ""


def _table(values: list[Value]) -> list[list[str]]:
    """Return rows with a header if the values are flat records with mostly the same keys, else []."""
    rows = [dict(value) for value in values if isinstance(value, Pairs) and len(dict(value)) == len(value)]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [item for row in rows for item in row.values()]
    if len(rows) < max(2, len(values)) or not 2 <= len(columns) <= 50 or len(cells) < 0.7 * len(columns) * len(rows):
        return []
    if not all(isinstance(item, str) and len(item) <= 200 and "\n" not in item for item in cells):
        return []
    return [columns, *([str(row.get(column, "")) for column in columns] for row in rows)]


def _short(words: str) -> str:
    words = " ".join(clean(words).split())
    return words if len(words) <= 80 else words[:80].rsplit(" ", 1)[0]


# --- XML ------------------------------------------------------------------------------------------------------


def _read_xml(source: Source) -> Reading:
    data = source.read()
    encoding = ""
    try:
        root = parse_xml(data)
    except PARSE_ERRORS as error:
        # The parser knows few encodings, and some files do not name theirs.
        # HTML has names for characters; other entities stay as written, and no list of them is fetched.
        text, encoding = decode_html(data)
        text = _NAMED.sub(lambda name: html5.get(name[1], f"&amp;{name[1]}"), text)
        try:
            root = parse_xml(_DECLARATION.sub("", text).encode())
        except PARSE_ERRORS:
            if other := another_kind(source, "XML", "an XML file"):
                raise other from error
            raise ReadError(f"is not valid XML: {error}", "Repair it there, or get a new copy.") from error
    names = [_local_name(item) for item in root.iter()]
    paragraphs = sum(_TAGS.get(name) == "p" for name in names)
    if names[0] == "html":
        reading = _prose(decode_html(data)[0], root)
    elif paragraphs >= (1 if names[0] == "TEI" or _tag(root) == "section" else 3):
        reading = _prose(_as_html(root, "div"), root)
    else:
        reading = _reading(Pairs([(_key(names[0]), _element(root, 0))]))
    return replace(reading, remarks=(*guess_remark(encoding), *reading.remarks))


_DECLARATION = re.compile(r"^\ufeff?\s*(?:<\?xml[^>]*\?>)?\s*")
_NAMED = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)([A-Za-z]\w*;)")


def _key(name: str) -> str:
    """Return an element's name as words: invoiceNumber and invoice_number are "invoice number"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]+", " ", name).strip() or name


_MARKUP = re.compile(r"</?(?:p|div|br|span|ul|ol|li|a|b|i|em|strong|table|h[1-6])\b[^<>]*>", re.I)


def _element(element: Element, depth: int) -> Value:
    """Return an element as a value: mixed content as text, attributes and elements by their names."""
    children = [child for child in element if isinstance(child.tag, str)]
    mixed = children and any(text and text.strip() for text in (element.text, *(child.tail for child in element)))
    attributes = Pairs((_key(name), text) for name, text in element.attrib.items() if "}" not in name and text.strip())
    if not children or mixed or depth >= _MAX_DEPTH:
        text = "".join(element.itertext())
        if _MARKUP.search(text):
            text = text_of(text)[0]  # a page inside, as in news feeds
        else:
            text = "\n".join(" ".join(line.split()) for line in text.strip().splitlines() if line.strip())
        if not attributes:
            return text
        if not text:
            return attributes
        if "\n" not in text and len(text) <= 200:
            return f"{text} ({', '.join(f'{name}: {value}' for name, value in attributes)})"
        return Pairs([*attributes, ("text", text)])
    found: list[tuple[str, Value]] = list(attributes)
    for name, run in groupby(children, key=lambda child: _key(_local_name(child))):
        values = [value for child in run if (value := _element(child, depth + 1))]
        if len(values) == len(children) > 1 and not attributes:
            return values  # a list of like things
        if values:
            found.append((name, values[0] if len(values) == 1 else values))
    return Pairs(found)


# --- prose in XML ----------------------------------------------------------------------------------------------

_XML = TABLES["xml"]
_TAGS = {name: tag for tag, names in _XML["tags"].items() for name in names}
_TITLES = frozenset(_XML["titles"])
_LEFT_OUT = frozenset(_XML["left_out"])


def _local_name(element: Element) -> str:
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def _tag(element: Element) -> str:
    tag = _TAGS.get(_local_name(element), "")
    return tag if tag != "section" or len(element) else ""  # patents have sections of one letter


def _prose(html: str, root: Element) -> Reading:
    text, headings, remarks = text_of(html)
    title = next(("".join(item.itertext()) for item in root.iter() if _local_name(item) in _TITLES), "")
    return Reading((Page(text, headings=headings),), clean_title(title), (), remarks)


def _as_html(item: Element, above: str, level: int = 0, inline: bool = False, depth: int = 0) -> str:
    """Return prose in the tags of HTML; `above` is the tag of the parent, `level` the number of sections around it."""
    name = _local_name(item)
    tail = entities.escape(item.tail or "", quote=False) or " "
    if not name or name in _LEFT_OUT:
        return tail
    known = _tag(item)
    has_blocks = any(_tag(child) not in ("", "sub", "sup") for child in item.iter() if child is not item)
    is_text = known not in ("section", "div") and not has_blocks
    if name in _TITLES and above in ("section", "div") and not inline:
        tag = f"h{min(max(level, 1), 6)}"
    else:
        tag = known or ("" if inline else "p" if is_text else "div")
    children = item if depth < _MAX_DEPTH else ()
    text = (item.text or "") if depth < _MAX_DEPTH else "".join(item.itertext())
    within = inline or is_text or tag.startswith(("p", "h"))
    level += known == "section"
    spans = "".join(f' {key}="{item.get(key)}"' for key in ("colspan", "rowspan") if item.get(key, "x").isdigit())
    inside = "".join(_as_html(child, known, level, within, depth + 1) for child in children)
    words = entities.escape(text, quote=False) + inside
    return (f"<{tag}{spans}>{words}</{tag}>" if tag else words) + tail
