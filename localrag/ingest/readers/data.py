"""Data as a person would search it: JSON, JSON Lines, XML and YAML.

JSON is stored as indented "key: value" lines in the order of the file, numbers as written, keys that come twice
twice; a list of flat records is a table. YAML is such text already and stored as it is, comments too: its aliases are
never expanded. XML that holds prose (DocBook, JATS, TEI, XHTML) is read as prose with its titles as headings, other
XML like JSON, with the names of its elements as keys. Keys that open a group, and records, are headings, two levels
deep. Not JSON: ReadError with the place. YAML that is not sound is read as plain text, with a remark.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.entities import html5
from itertools import groupby
from xml.etree.ElementTree import Element

from localrag.errors import ReadError
from localrag.ingest.readers import package as safe_xml
from localrag.ingest.readers.blocks import markdown_rows
from localrag.ingest.readers.cleaning import clean, clean_title
from localrag.ingest.readers.source import Options, Source, another_kind
from localrag.ingest.readers.text import decode_guessing, decode_html, guess_remark
from localrag.ingest.readers.web import text_of
from localrag.ingest.readers.xml_prose import as_html, is_prose, local_name, prose
from localrag.types import Heading, Page, Reading, Remark

_DEEPEST = 200
# What a record is called by, where it has it.
_NAMES = ("title", "name", "subject", "label", "id", "key", "number", "code")


class Pairs(tuple[tuple[str, "Value"], ...]):
    """An object with its keys in order, also those that come twice."""


Value = str | Pairs | list["Value"]


def read(source: Source, options: Options) -> Reading:
    if source.suffix in (".xml", ".nxml"):
        return _read_xml(source)
    text, guessed = decode_guessing(source.read())
    if source.suffix in (".yaml", ".yml"):
        reading = _read_yaml(text)
    else:
        value = _json_lines(text) if source.suffix in (".jsonl", ".ndjson") else _json(text, source)
        reading = _reading(value)
    return replace(reading, remarks=(*guess_remark(guessed), *reading.remarks))


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
        if error.msg.startswith("Extra data") and text.count("\n") > 0:
            try:
                return _json_lines(text)
            except ReadError:
                pass
        if other := another_kind(source, "JSON"):
            raise other from error
        raise _not_json(error.lineno, error) from error


def _json_lines(text: str) -> Value:
    records: list[Value] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                records.append(_parsed(line))
            except json.JSONDecodeError as error:
                raise _not_json(number, error) from error
    return records


def _not_json(line: int, error: json.JSONDecodeError) -> ReadError:
    return ReadError(
        f"is not sound JSON: line {line}, column {error.colno}: {error.msg}", "Mend it there, or get it anew."
    )


def _too_deep() -> ReadError:
    return ReadError("is nested too deep to be read", "Have the program that wrote it write a flatter file.")


def _parsed(text: str) -> Value:
    try:
        parsed = json.loads(
            text, object_pairs_hook=Pairs, parse_float=str, parse_int=str, parse_constant=str, strict=False
        )
    except RecursionError as error:
        raise _too_deep() from error
    return _worded(parsed, 0)


def _worded(value: object, depth: int) -> Value:
    """The same with true, false and null as they are written."""
    if depth > _DEEPEST:
        raise _too_deep()
    if isinstance(value, Pairs):
        return Pairs((key, _worded(item, depth + 1)) for key, item in value)
    if isinstance(value, list):
        return [_worded(item, depth + 1) for item in value]
    if isinstance(value, str):
        return value
    return "null" if value is None else str(value).lower()


class _Writer:
    """Values as indented lines, with headings for groups and records of the two highest levels.

    Behind a group, what stands beside it has headings too: it would else seem to belong to the group.
    """

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.headings: list[Heading] = []
        self._size = 0
        self._records = 0  # how many records are open: inside them nothing is a heading

    def _line(self, text: str) -> None:
        text = clean(text) + "\n"
        self.pieces.append(text)
        self._size += len(text)

    def _blank(self) -> None:
        if self.pieces and self.pieces[-1] != "\n":
            self._line("")

    def _head(self, depth: int, title: str) -> bool:
        if depth > 1 or self._records:
            return False
        self._blank()
        self.headings.append(Heading(self._size + 2 * depth, depth + 1, title))
        return True

    def value(self, value: Value, depth: int, key: str | None = None, mark: str = "") -> None:
        """Write a value under its key; `mark` is the dash of the list item that begins here."""
        name = "  " * (depth - bool(mark)) + mark + ("" if key is None else f"{key}:")
        if isinstance(value, str) and "\n" in value:
            self._text(value, name, depth)
        elif short := _one_line(value):
            self._line(f"{name}{' ' if name.endswith(':') else ''}{short}")
        elif isinstance(value, Pairs):
            if key is not None:
                self._line(name)
            self._pairs(value, depth + (key is not None))
        else:
            if name.strip():
                self._line(name.rstrip())
            self._list(list(value), depth + (key is not None))

    def _text(self, text: str, name: str, depth: int) -> None:
        if name.strip():
            self._line(name.rstrip())
        for line in text.strip("\r\n").splitlines():
            self._line("  " * (depth + 1) + line if line.strip() else "")

    def _pairs(self, pairs: Pairs, depth: int) -> None:
        behind = False
        for key, item in pairs:
            if behind or not (isinstance(item, str) or _one_line(item)):
                behind = self._head(depth, _short(key)) or behind
            self.value(item, depth, key)

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
            self._head(depth, _called(item, number))
            self._records += 1
            for index, (key, each) in enumerate(item):
                self.value(each, depth + 1, key, "" if index else "- ")
            self._records -= 1


def _one_line(value: Value) -> str:
    """Words or a number, or a list of a few of them, on one line; empty where it is not that."""
    if not value:
        return "{}" if isinstance(value, Pairs) else "[]" if isinstance(value, list) else '""'
    if isinstance(value, str):
        return "" if "\n" in value else value
    words = [item for item in value if isinstance(item, str) and item and not re.search(r"[,\n]", item)]
    line = ", ".join(words)
    return line if len(words) == len(value) and len(line) <= 200 else ""


def _table(values: list[Value]) -> list[list[str]]:
    """Rows with a header, where these are flat records with (nearly) the same keys."""
    records = [value for value in values if isinstance(value, Pairs)]
    if len(records) < 2 or len(records) < len(values):
        return []
    columns = list(dict.fromkeys(key for record in records for key, _ in record))
    cells = sum(map(len, records))
    if not 2 <= len(columns) <= 50 or cells < 0.7 * len(columns) * len(records):
        return []
    rows = [columns]
    for record in records:
        row = {key: item for key, item in record if isinstance(item, str) and _fits(item)}
        if len(row) < len(record):
            return []
        rows.append([row.get(column, "") for column in columns])
    return rows


def _fits(text: str) -> bool:
    return len(text) <= 200 and "\n" not in text


def _called(record: Pairs, number: int) -> str:
    """What a record is shown as: its number, and its name where it has one."""
    named = {key.lower(): item for key, item in reversed(record) if isinstance(item, str) and item.strip()}
    name = next((named[key] for key in _NAMES if key in named), "")
    return f"record {number} ({_short(name)})" if name else f"record {number}"


def _short(words: str) -> str:
    words = " ".join(clean(words).split())
    return words if len(words) <= 80 else words[:80].rsplit(" ", 1)[0]


# --- YAML -----------------------------------------------------------------------------------------------------


def _read_yaml(text: str) -> Reading:
    import yaml

    text = clean(text)
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    headings: list[Heading] = []
    remarks: tuple[Remark, ...] = ()
    open_groups: list[bool] = []  # whether each collection that is open is a mapping
    key: list[Heading | None] = [None]  # of each, the key whose value comes next
    behind: list[bool] = [False]  # of each, whether a group in it was a heading: so is then what stands beside it
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                if len(open_groups) <= 2 and all(open_groups) and (heading := key[-1]) is not None:
                    headings.append(heading)
                    behind[-1] = True
                key[-1] = None
                open_groups.append(isinstance(event, yaml.MappingStartEvent))
                key.append(None)
                behind.append(False)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                open_groups.pop()
                key.pop()
                behind.pop()
            elif isinstance(event, yaml.ScalarEvent) and open_groups and open_groups[-1] and key[-1] is None:
                at = starts[event.start_mark.line] + event.start_mark.column
                key[-1] = Heading(at, len(open_groups), _short(event.value))
            elif isinstance(event, (yaml.ScalarEvent, yaml.AliasEvent)):
                if behind[-1] and (heading := key[-1]) is not None:
                    headings.append(heading)
                key[-1] = None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        remarks = (Remark(None, f"It is not sound YAML{where} and was read as plain text."),)
    title = re.search(r"""^title:[ \t]*["']?([^"'\n|>]+)""", text, re.M)
    return Reading((Page(text, headings=tuple(headings)),), clean_title(title[1]) if title else "", (), remarks)


# --- XML ------------------------------------------------------------------------------------------------------


def _read_xml(source: Source) -> Reading:
    data = source.read()
    guessed = ""
    try:
        root = safe_xml.parse_xml(data)
    except safe_xml.PARSE_ERRORS as error:
        # The parser knows few encodings, and some files do not name theirs.
        text, guessed = decode_html(data)
        try:
            known = _NAMED.sub(_character, text)
            if _ELSEWHERE.search(known):
                known = _NAMED.sub(lambda name: name[0] if name[1] in _OWN else f"&amp;{name[1]}", known)
            root = safe_xml.parse_xml(_DECLARATION.sub("", known).encode())
        except safe_xml.PARSE_ERRORS:
            if re.search(r"<html[\s>]", text[:2000], re.I):
                return prose(text, None)
            if other := another_kind(source, "XML", "an XML file"):
                raise other from error
            raise ReadError(f"is not sound XML: {error}", "Mend it there, or get it anew.") from error
    if local_name(root) == "html":
        reading = prose(decode_html(data)[0], root)
    elif is_prose(root):
        reading = prose(as_html(root), root)
    else:
        reading = _reading(Pairs([(_key(local_name(root)), _element(root, 0))]))
    return replace(reading, remarks=(*guess_remark(guessed), *reading.remarks))


_DECLARATION = re.compile(r"^\ufeff?\s*(?:<\?xml[^>]*\?>)?\s*")
_NAMED = re.compile(r"&([A-Za-z]\w*;)")
_OWN = ("amp;", "lt;", "gt;", "quot;", "apos;")
# A list of names that lies in another file is not fetched; what it names is left as it is written.
_ELSEWHERE = re.compile(r"<!DOCTYPE\s+[\w.:-]+\s+(?:SYSTEM|PUBLIC)\b")


def _character(name: re.Match[str]) -> str:
    """A character that HTML has a name for and XML has not."""
    return name[0] if name[1] in _OWN else html5.get(name[1], name[0])


def _key(name: str) -> str:
    """An element's name as words: invoiceNumber, invoice_number and invoice-number are "invoice number"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|[_-]+", " ", name).strip() or name


_MARKUP = re.compile(r"</?(?:p|div|br|span|ul|ol|li|a|b|i|em|strong|table|h[1-6])\b[^<>]*>", re.I)


def _element(element: Element, depth: int) -> Value:
    """An element as a value: what runs in its text as words, its attributes and elements by their names."""
    children = [child for child in element if isinstance(child.tag, str)]
    mixed = children and any(text and text.strip() for text in (element.text, *(child.tail for child in element)))
    attributes = Pairs((_key(name), text) for name, text in element.attrib.items() if "}" not in name and text.strip())
    if not children or mixed or depth >= _DEEPEST:
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
    for name, run in groupby(children, key=lambda child: _key(local_name(child))):
        values = [value for child in run if (value := _element(child, depth + 1))]
        if len(values) == len(children) > 1 and not attributes:
            return values  # a list of like things
        if values:
            found.append((name, values[0] if len(values) == 1 else values))
    return Pairs(found)
