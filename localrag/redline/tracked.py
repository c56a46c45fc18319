"""Write tracked changes and comments into a copy of a Word file (ECMA-376 17.13.5), and change nothing else.

Words that stay keep their runs; a run is split only where a change or a comment begins or ends, and both parts keep its
properties. Fields, links, content controls, earlier changes, notes and pictures are never cut: an edit that would have
to change such words becomes a comment. Parts other than the text, its comments and the two lists that name parts are
copied byte by byte. Limits: text boxes, headers and notes are not edited; the last paragraph of a cell or of the file
is emptied, not deleted.
"""

from __future__ import annotations

import copy
import hashlib
import io
import os
import posixpath
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import count, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from lxml import etree

from localrag.diff.substance import hunks, pairs
from localrag.errors import ReadError
from localrag.ingest.readers.package import DAMAGED, check_size, damaged, decrypted, opened
from localrag.ingest.readers.source import Options, Source
from localrag.security import audit
from localrag.sessions.export.contents import clean, line

Element = Any  # of lxml, which has no type information

_NAMESPACE = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_W = f"{{{_NAMESPACE}}}"
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_COMMENTS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/comments"
_COMMENTS_TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.comments+xml"
_TYPES = "[Content_Types].xml"
_BREAKS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
_BESIDE = frozenset(f"{_W}{name}" for name in ("rPr", "softHyphen", "lastRenderedPageBreak"))  # go with their words
_AROUND = frozenset(
    f"{_W}{name}" for name in "ins moveTo hyperlink fldSimple smartTag customXml sdt sdtContent dir bdo".split()
)
_APART = frozenset(f"{_W}{name}" for name in ("txbxContent", "del", "moveFrom"))
_MARKS = [f"{_W}{name}" for name in "ins del moveFrom moveTo rPrChange".split()]  # of earlier changes
_OWN = [f"{_W}{name}" for name in "sectPr pPrChange pageBreakBefore framePr".split()]  # of this paragraph alone
_WORD = re.compile(r"\w+(?:[.,'’‐-]\w+)*|[^\w\s]")
_SHARED = 1 / 3  # of the words of the shorter text; where less is the same, all are replaced
# Relationships to parts in the file that Word starts or takes in, and fields that fetch or start something.
_EMBEDDED = frozenset("oleObject control aFChunk webextensiontaskpanes extensibility".split())
_FETCHING = frozenset("INCLUDETEXT INCLUDEPICTURE INCLUDE IMPORT LINK DDE DDEAUTO DATABASE RD".split())
_MAX_SHOWN = 200  # characters of what is live
_HELD = "a field, a link or an earlier change holds these words"
_TAKEN = "another proposal changes these words"


@dataclass(frozen=True, slots=True)
class Edit:
    """What is proposed for a span of a paragraph: other words, paragraphs behind it, a comment.

    `text` None leaves the words; `gone` deletes the end of the paragraph with them. Each paragraph of `after` has the
    number of the one whose style it takes.
    """

    paragraph: int
    start: int = 0
    end: int = 0
    text: str | None = None
    after: tuple[tuple[str, int], ...] = ()
    comment: str = ""
    gone: bool = False
    author: str = ""  # of the comment, if it is another one


class Character(NamedTuple):
    """A visible character: what holds it, where, the children of the paragraph around it, and if it may be changed."""

    char: str
    holder: Element
    at: int
    first: Element
    last: Element
    free: bool


def author() -> str:
    """Return the name that changes are marked with unless another is given: the user's full name, or else the login."""
    full = ""
    if sys.platform != "win32":
        import pwd

        with suppress(KeyError):
            full = pwd.getpwuid(os.getuid()).pw_gecos.partition(",")[0].strip()
    return full or audit.user()


def moment() -> str:
    """Return the time as changes are dated."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def contents(file: Path) -> bytes:
    """Read a file. Raises ReadError."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise ReadError(f"cannot read {str(file)!r}: {error.strerror}", "Check the path and its rights.") from error


def edited(file: Path, sha256: str, by: str, date: str, passwords: Sequence[str] = ()) -> WordFile:
    """Open a Word file to edit it, `by` somebody (else the user) at a `date` (else now); the copy has no password.

    Raises ReadError, also where it is another one than was reviewed, which had this `sha256`.
    """
    data = contents(file)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ReadError(f"{file} has changed since it was reviewed", "Run the same command again.")
    source = Source(file.name, data=data)
    try:
        return WordFile((decrypted(source, passwords) or source).data or b"", file.name, by, date)
    except ReadError as error:
        raise ReadError(f"{file} {error.message}", error.hint) from error


def changes(old: str, new: str) -> list[tuple[int, int, str]]:
    """Return what of a text is replaced by what to give another one, word by word; white space alone is no change."""
    ours, theirs = ([(one.start(), one.end()) for one in _WORD.finditer(text)] for text in (old, new))
    keys, others = [old[a:b] for a, b in ours], [new[a:b] for a, b in theirs]
    words, more = ([key for key in each if key[0].isalnum()] for each in (keys, others))
    same = sum(1 for _ in pairs(words, more))
    if same < _SHARED * min(len(words), len(more)) or not same:
        return [] if keys == others else [(0, len(old.rstrip()), new)]
    cut = []
    for a, b, c, d in hunks(keys, others):
        start, begin = (spans[at - 1][1] if at else 0 for spans, at in ((ours, a), (theirs, c)))
        end, last = (
            spans[at][0] if at < len(spans) else len(text) for spans, at, text in ((ours, b, old), (theirs, d, new))
        )
        cut.append(_trimmed(old, start, end, new[begin:last]))
    return cut


def _trimmed(old: str, start: int, end: int, new: str) -> tuple[int, int, str]:
    """Leave white space and signs that a change begins and ends with on both sides."""
    while start < end and new and old[start] == new[0] and not new[0].isalnum():
        start, new = start + 1, new[1:]
    while start < end and new and old[end - 1] == new[-1] and not new[-1].isalnum():
        end, new = end - 1, new[:-1]
    return start, end, new


@dataclass
class Paragraph:
    """A paragraph of the text or of a table. `breaks` are offsets at which a note, picture or formula stands."""

    element: Element
    depth: int  # of fields that began in paragraphs before it
    chars: list[Character] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    begin: Element = None  # what was inserted at the beginning last

    @property
    def text(self) -> str:
        return "".join(sign.char for sign in self.chars)

    @cached_property
    def style(self) -> tuple[str, str]:
        """The style and the level in a list, by which paragraphs are alike."""
        found = (self.element.find(f"{_W}pPr/{path}") for path in (f"{_W}pStyle", f"{_W}numPr/{_W}ilvl"))
        style, level = ("" if one is None else str(one.get(f"{_W}val")) for one in found)
        return style, level

    @property
    def table(self) -> Element | None:
        """The outermost table that holds it."""
        return next(iter([*self.element.iterancestors(f"{_W}tbl")][-1:]), None)

    @property
    def row(self) -> Element | None:
        """The row of the innermost table that holds it."""
        return next(self.element.iterancestors(f"{_W}tr"), None)

    def refresh(self) -> int:
        """Read the characters, again once runs were cut; returns how deep in fields the paragraph ends."""
        self.chars, self.breaks, self.begin = [], [], None
        children = [one for one in self.element if one.tag != f"{_W}pPr"]
        depth, begun = self.depth, (children[0], 0) if self.depth and children else None
        for child in children:
            first = len(self.chars)
            depth = self._read(child, child, depth)
            begun = (child, first) if depth and begun is None else begun
            if begun is not None and (depth == 0 or child.getnext() is None):  # all of a field is one
                self.chars[begun[1] :] = [one._replace(first=begun[0], last=child) for one in self.chars[begun[1] :]]
                begun = None
        return depth

    def _read(self, element: Element, top: Element, depth: int) -> int:
        """Add the characters of a run, or of what is around runs; returns how deep in fields it ends."""
        is_run = element.tag == f"{_W}r"
        is_hidden = is_run and _is_hidden(element)
        if element.tag.startswith(_MATH):
            self.breaks.append(len(self.chars))
        for child in element if is_run or element.tag in _AROUND else ():
            free = element is top and depth == 0
            if child.tag == f"{_W}fldChar":
                depth = max(0, depth + {"begin": 1, "end": -1}.get(child.get(f"{_W}fldCharType"), 0))
            elif is_hidden:
                continue
            elif child.tag == f"{_W}t":
                self.chars += [Character(char, child, at, top, top, free) for at, char in enumerate(child.text or "")]
            elif child.tag in _BREAKS:
                free = free and child.get(f"{_W}type") in (None, "textWrapping")
                self.chars.append(Character(_BREAKS[child.tag], child, 0, top, top, free))
            elif not is_run:
                depth = self._read(child, top, depth)
            elif child.tag not in _BESIDE:
                self.breaks.append(len(self.chars))
        return depth

    def may_change(self, start: int, end: int) -> bool:
        """Whether words may be deleted here, and others inserted at the end."""
        left, right = self.chars[end - 1 : end] if end else [], self.chars[end : end + 1]
        inside = bool(left and right) and left[0].last is right[0].last and not right[0].free
        begun = end == 0 and self.depth and not (right and right[0].free)  # a field of a paragraph before
        return all(one.free for one in self.chars[start:end]) and not inside and not begun

    # --- cut and mark: from the right to the left, as what is behind a mark is not read again ---------------------

    def cut(self, at: int) -> None:
        """Make a run begin at an offset."""
        if 0 < at < len(self.chars) and self.chars[at].free and self.chars[at - 1].first is self.chars[at].first:
            one = self.chars[at]
            other, rest = _split(one.first, one.holder, one.at)
            for n in range(at, len(self.chars)):
                sign = self.chars[n]
                if sign.first is not one.first:
                    break
                holder, place = (rest, sign.at - one.at) if sign.holder is one.holder else (sign.holder, sign.at)
                self.chars[n] = Character(sign.char, holder, place, other, other, sign.free)

    def insert(self, at: int, made: Element) -> None:
        """Put an element before the character at an offset."""
        self.cut(at)
        if at:
            self.chars[at - 1].last.addnext(made)
            return
        place = self.begin
        if place is None and self.chars:
            place = self.chars[0].first
            place = place if place.getparent() is self.element else place.getparent()  # of what is deleted
        self.element.append(made) if place is None else place.addprevious(made)
        self.begin = made

    def properties(self, start: int, end: int) -> Element | None:
        """Return a copy of the properties of the run that words inserted at a span take."""
        near = [
            *self.chars[start:end],
            *self.chars[max(0, start - 1) : start],
            *self.chars[end : end + 1],
        ]
        runs = Counter(one.first for one in near if one.free)
        return _properties(runs.most_common(1)[0][0]) if runs else None

    def runs(self, start: int, end: int) -> list[Element]:
        """Return the runs of a span, cut so that they hold nothing else than its words."""
        self.cut(end)
        self.cut(start)
        cut = [part for run in dict.fromkeys(one.first for one in self.chars[start:end]) for part in _isolate(run)]
        return [run for run in cut if any(one.tag == f"{_W}t" or one.tag in _BREAKS for one in run)]


def _is_hidden(run: Element) -> bool:
    one = run.find(f"{_W}rPr/{_W}vanish")
    return one is not None and one.get(f"{_W}val") not in ("0", "false", "off")


def _split(run: Element, holder: Element, at: int) -> tuple[Element, Element]:
    """Move what a run holds from an offset in one of its children on to a new run; returns it and its first child."""
    other = etree.Element(run.tag, run.attrib)
    other.extend(copy.deepcopy(run.findall(f"{_W}rPr")))
    behind, rest = [*holder.itersiblings()], holder
    if at:
        rest = copy.copy(holder)
        holder.text, rest.text = holder.text[:at], holder.text[at:]
        for part in (holder, rest):
            part.set(_SPACE, "preserve")
    other.extend([rest, *behind])
    run.addnext(other)
    return other, rest


def _isolate(run: Element) -> list[Element]:
    """Cut a run so that notes, pictures and the like have runs of their own; returns what it is cut into."""
    parts, rest = [run], [one for one in run if one.tag != f"{_W}rPr"]
    for before, one in pairwise(rest):
        if any(each.tag != f"{_W}t" and each.tag not in _BREAKS and each.tag not in _BESIDE for each in (before, one)):
            parts.append(_split(parts[-1], one, 0)[0])
    return parts


def _properties(run: Element) -> Element | None:
    found = copy.deepcopy(run.find(f"{_W}rPr"))
    for tag in _MARKS if found is not None else ():
        for one in found.findall(tag):
            found.remove(one)
    return found


def _run(text: str, properties: Element | None) -> Element:
    """Return a run with a text, whose tabs and line ends are elements."""
    run = etree.Element(f"{_W}r")
    if properties is not None:
        run.append(properties)
    for part in re.split(r"([\t\n])", clean(text)):
        if part in ("\t", "\n"):
            etree.SubElement(run, f"{_W}tab" if part == "\t" else f"{_W}br")
        elif part:
            made = etree.SubElement(run, f"{_W}t")
            made.text = part
            made.set(_SPACE, "preserve")
    return run


class WordFile:
    """A Word file that is edited in memory. Raises ReadError where it is none, is damaged, encrypted or has macros."""

    def __init__(self, data: bytes, name: str, by: str = "", date: str = "") -> None:
        options, source = Options(), Source(name, data=data)
        with opened(source, options, "a Word document") as package:
            main, comments = package.main_name, package.target("comments", package.main_name)
        try:
            self._archive = zipfile.ZipFile(io.BytesIO(data))
            check_size(self._archive, options)
            self._names = {one.lower(): one for one in self._archive.namelist()}
            if len(self._names) < len(self._archive.namelist()) or self._archive.testzip():
                raise ValueError("two parts have one name, or one cannot be unpacked")
            if any(posixpath.isabs(name) or ".." in re.split(r"[/\\]", name) for name in self._names):
                raise ValueError("a part would lie outside the file")
            self._main = self._names[main.lower()]
            self._types, self._root = self._part(_TYPES), self._part(self._main)
            folder, name = posixpath.split(self._main)
            self._listing = posixpath.join(folder, "_rels", f"{name}.rels")
            self._relations = self._part(self._listing, _new("relationships", "Relationships"))
            self._comments = self._names.get(comments.lower(), "")
            self._notes = self._part(self._comments, etree.Element(f"{_W}comments", nsmap={"w": _NAMESPACE}))
        except DAMAGED as error:
            raise damaged(source, error, "a Word document") from error
        kinds = [str(one.get("ContentType")).lower() for one in self._types]
        if any("macroenabled" in kind or "vbaproject" in kind for kind in (*kinds, *self._names)):
            raise ReadError("has macros", "Save it in Word as .docx, which leaves them out.")
        if self._root.find(f"{_W}body") is None:
            raise ReadError("is no Word document, or one in the strict form", "Save it in Word as .docx.")
        self._author, self._date = line(by or author())[:255] or "Author", date or moment()
        used = {int(one) for part in self._xml() for one in re.findall(rb"[:\s]id=[\"'](\d{1,9})[\"']", part)}
        self._numbers = (number for number in count(1) if number not in used)
        self._is_commented = False
        self.paragraphs = [*self._read()]
        if not self.paragraphs:
            raise ReadError("has no paragraph", "Write something into it, or name another file.")

    def _part(self, name: str, missing: Element = None) -> Element:
        """Return the root of a part. Raises one of DAMAGED."""
        if missing is not None and name.lower() not in self._names:
            return missing
        try:
            parser = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True)
            return etree.fromstring(self._archive.read(self._names[name.lower()]), parser)
        except etree.XMLSyntaxError as error:
            raise ValueError(str(error)) from error

    def _xml(self) -> Iterator[bytes]:
        """Yield the parts that may have numbers of changes and comments."""
        for name in self._archive.namelist():
            if name.endswith(".xml") and posixpath.dirname(name) == posixpath.dirname(self._main):
                yield self._archive.read(name)

    @cached_property
    def live(self) -> list[str]:
        """What Word may fetch or start when it opens the file or updates its fields; links to click are left out."""
        found: dict[str, None] = {}
        for name in self._names.values():
            try:
                found |= dict.fromkeys(_live(self._part(name)))
            except DAMAGED:
                found |= {f"unreadable {name}": None} if name.lower().endswith((".xml", ".rels")) else {}
        return [line(one[:_MAX_SHOWN]) for one in found]

    def running(self) -> list[bytes]:
        """Return the words of each header and footer."""
        found = (name for name in self._names.values() if re.search(r"/(?:header|footer)\d*\.xml$", name))
        return sorted(b"".join(re.findall(rb"<w:t(?:\s[^<>]*)?>([^<]*)<", self._archive.read(name))) for name in found)

    def _read(self) -> Iterator[Paragraph]:
        """Yield the paragraphs of the text and of tables, but not those of boxes and of rows that were deleted."""
        depth = 0
        for one in self._root.find(f"{_W}body").iter(f"{_W}p"):
            above = [*one.iterancestors()]
            rows = [each.find(f"{_W}trPr/{_W}del") for each in above if each.tag == f"{_W}tr"]
            if not any(each.tag in _APART for each in above) and not any(row is not None for row in rows):
                made = Paragraph(one, depth)
                depth = made.refresh()
                yield made

    def comments(self) -> Iterator[tuple[int, str, str]]:
        """Yield the comments: the number of the paragraph that they are on, the author and the text."""
        known = {one.get(f"{_W}id"): one for one in self._notes}
        for number, own in enumerate(self.paragraphs):
            for one in own.element.iter(f"{_W}commentReference"):
                if (found := known.get(one.get(f"{_W}id"))) is not None:
                    texts = ("".join(text.text or "" for text in each.iter(f"{_W}t")) for each in found.iter(f"{_W}p"))
                    yield number, str(found.get(f"{_W}author", "")), "\n".join(texts)

    # --- edits ------------------------------------------------------------------------------------------------

    def apply(self, edits: Sequence[Edit]) -> list[str]:
        """Make edits; returns why each is a comment now, since it would cut a field, a link or another edit, or ""."""
        left = [""] * len(edits)
        changed: dict[int, int] = {}  # the first offset of each paragraph that is changed so far
        order = sorted(((one.paragraph, one.start, one.end, n) for n, one in enumerate(edits)), reverse=True)
        for *_, number in order:
            one = edits[number]
            own = self.paragraphs[max(0, one.paragraph)]
            most = changed.get(one.paragraph, len(own.chars))
            found = [] if one.text is None else changes(own.text[one.start : one.end], one.text)
            spans = [(one.start + a, one.start + b, text) for a, b, text in found]
            taken = one.text is not None and one.end > most
            if taken or not all(own.may_change(a, b) for a, b, _ in spans):
                left[number] = _TAKEN if taken else _HELD
                proposed = f"Left, since {left[number]}." + f" Proposed: “{one.text}”" * bool(one.text)
                one, spans = replace(one, gone=False, comment=" ".join(filter(None, (one.comment, proposed)))), []
            before = own if one.paragraph >= 0 else None
            made = [self._add_paragraph(before, text, self.paragraphs[like]) for text, like in reversed(one.after)]
            if one.comment and made:
                added = Paragraph(made[0], 0)
                added.refresh()
                self._comment(added, 0, len(added.chars), one)
            elif one.comment:
                self._comment(own, min(one.start, most), min(one.end, most), one)
            for a, b, text in reversed(spans):
                self._replace(own, a, b, text)
                changed[one.paragraph] = a
            if one.gone:
                self._delete_end(own)
        return left

    def _change(self, name: str) -> Element:
        attributes = {"id": str(next(self._numbers)), "author": self._author, "date": self._date}
        return etree.Element(f"{_W}{name}", {f"{_W}{key}": value for key, value in attributes.items()})

    def _replace(self, own: Paragraph, start: int, end: int, text: str) -> None:
        """Delete a span, and insert a text behind it."""
        if text:
            mark, properties = self._change("ins"), own.properties(start, end)
            mark.append(_run(text, properties))
            own.insert(end, mark)
        mark = None
        for run in own.runs(start, end) if start < end else ():
            if mark is None or run.getprevious() is not mark:
                mark = self._change("del")
                run.addprevious(mark)
            mark.append(run)
            for one in run.findall(f"{_W}t"):
                one.tag = f"{_W}delText"

    def _delete_end(self, own: Paragraph) -> None:
        """Delete the end of a paragraph that is empty now, unless it is the last, ends a section or keeps a picture."""
        own.refresh()
        following = own.element.getnext()
        kept = own.chars or own.breaks or own.element.find(f"{_W}pPr/{_W}sectPr") is not None
        if not kept and following is not None and following.tag == f"{_W}p":
            self._mark_end(own.element, "del")

    def _mark_end(self, paragraph: Element, name: str) -> None:
        """Mark the end of a paragraph as inserted or deleted."""
        properties = paragraph.find(f"{_W}pPr")
        if properties is None:
            properties = etree.Element(f"{_W}pPr")
            paragraph.insert(0, properties)
        own = properties.find(f"{_W}rPr")
        if own is None:
            own = etree.Element(f"{_W}rPr")
            behind = (one for one in properties if one.tag in (f"{_W}sectPr", f"{_W}pPrChange"))
            place = next(behind, None)
            properties.append(own) if place is None else place.addprevious(own)
        if own.find(f"{_W}{name}") is None:
            own.insert(len(own.findall(f"{_W}ins")), self._change(name))

    def _add_paragraph(self, own: Paragraph | None, text: str, like: Paragraph) -> Element:
        """Insert a paragraph behind one, or behind its table where the model stands in none; None: before all."""
        before: Element = None
        if own is not None:
            before = own.element if own.table is None or like.table is own.table else own.table
        following = None if before is None else before.getnext()
        is_last = own is not None and before is own.element and (following is None or following.tag == f"{_W}sectPr")
        made = etree.Element(f"{_W}p")
        made.extend(copy.deepcopy((own if own and is_last else like).element.findall(f"{_W}pPr")))
        for one in [each for each in made.iter(*_MARKS, *_OWN) if each.getparent().tag in (f"{_W}pPr", f"{_W}rPr")]:
            one.getparent().remove(one)
        mark = self._change("ins")
        mark.append(_run(text, like.properties(0, len(like.chars))))
        made.append(mark)
        self._root.find(f"{_W}body").insert(0, made) if before is None else before.addnext(made)
        # The last end is never inserted: rejected, it would leave an empty paragraph.
        self._mark_end(before if is_last else made, "ins")
        return made

    def _comment(self, own: Paragraph, start: int, end: int, edit: Edit) -> None:
        """Put a comment on a span."""
        own.cut(end)
        own.cut(start)
        number = str(next(self._numbers))
        begin, stop = (etree.Element(f"{_W}commentRange{name}", {f"{_W}id": number}) for name in ("Start", "End"))
        if start < end:
            own.chars[start].first.addprevious(begin)
            own.chars[end - 1].last.addnext(stop)
        else:
            own.insert(start, begin)
            begin.addnext(stop)
        reference = etree.Element(f"{_W}r")
        etree.SubElement(reference, f"{_W}commentReference", {f"{_W}id": number})
        stop.addnext(reference)
        self._notes.append(self._note(number, line(edit.author)[:255] or self._author, edit.comment))
        self._is_commented = True

    def _note(self, number: str, author: str, text: str) -> Element:
        """Return a comment as it stands in its part."""
        initials = "".join(word[0] for word in author.split())[:9]
        values = {"id": number, "author": author, "date": self._date, "initials": initials}
        made = etree.Element(f"{_W}comment", {f"{_W}{key}": value for key, value in values.items()})
        paragraph = etree.SubElement(made, f"{_W}p")
        etree.SubElement(etree.SubElement(paragraph, f"{_W}r"), f"{_W}annotationRef")
        paragraph.append(_run(text, None))
        return made

    # --- written ----------------------------------------------------------------------------------------------

    def saved(self) -> bytes:
        """Return the file; parts that did not change have the same bytes, in the same order."""
        new = {self._main: self._root, **(self._comment_parts() if self._is_commented else {})}
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            for info in self._archive.infolist():
                root = new.pop(info.filename, None)
                archive.writestr(copy.copy(info), self._archive.read(info) if root is None else _bytes(root))
            for name, root in new.items():
                info = zipfile.ZipInfo(name)
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, _bytes(root))
        return made.getvalue()

    def _comment_parts(self) -> dict[str, Element]:
        """Return the part of the comments by its name; with the lists that name it, where it is new."""
        if self._comments:
            return {self._comments: self._notes}
        folder = posixpath.dirname(self._main)
        names = (f"comments{number or ''}.xml" for number in count())
        name = next(one for one in names if posixpath.join(folder, one).lower() not in self._names)
        used = {one.get("Id") for one in self._relations}
        number = next(f"rId{number}" for number in count(1) if f"rId{number}" not in used)
        self._relations.append(_new("relationships", "Relationship", Id=number, Type=_COMMENTS, Target=name))
        place, listing = posixpath.join(folder, name), self._names.get(self._listing.lower(), self._listing)
        self._types.append(_new("content-types", "Override", PartName=f"/{place}", ContentType=_COMMENTS_TYPE))
        return {place: self._notes, listing: self._relations, self._names[_TYPES.lower()]: self._types}


def _live(part: Element) -> Iterator[str]:
    """Yield what of a part is live: the kind of a relationship and its target, or the instruction of a field."""
    for one in part.iter("{*}Relationship"):
        kind, is_outside = posixpath.basename(one.get("Type", "")), one.get("TargetMode", "").lower() == "external"
        if (is_outside and kind != "hyperlink") or kind in _EMBEDDED:
            yield f"{kind} {one.get('Target')}"
    found = [value for one in part.iter("{*}fldSimple") for name, value in one.items() if name.endswith("}instr")]
    begun: list[list[str]] = [[]]  # fields stand in fields, and runs cut an instruction
    for one in part.iter("{*}fldChar", "{*}instrText", "{*}delInstrText"):
        if not one.tag.endswith("}fldChar"):
            begun[-1].append(one.text or "")
        elif "begin" in one.values():
            begun.append([])
        elif "end" in one.values() and len(begun) > 1:
            found.append("".join(begun.pop()))
    for words in (*found, *map("".join, begun)):
        if words.split(None, 1)[:1] and words.split(None, 1)[0].upper() in _FETCHING:
            yield words.strip()


def _new(kind: str, tag: str, **values: str) -> Element:
    """Return an element of a list of parts."""
    space = f"{_PACKAGE}/{kind}"
    return etree.Element(f"{{{space}}}{tag}", values, nsmap={None: space})


def _bytes(root: Element) -> bytes:
    found: bytes = etree.tostring(root.getroottree(), xml_declaration=True, encoding="UTF-8", standalone=True)
    return found
