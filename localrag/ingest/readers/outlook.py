"""Mails that Outlook saved (MSG): headers and body as one page, attachments and attached mails as members.

Read with olefile alone, property by property, as far as each is there: a damaged one costs itself only. The body is
plain text, else HTML, else RTF. Contacts, appointments and notes are read as far as they have a subject and a body. A
mail attached to a mail becomes an EML with its own attachments. Limits: protected mails (IRM) are refused; the text of
links to files outside is not fetched.
"""

from __future__ import annotations

import re
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.parser import HeaderParser
from email.utils import format_datetime
from io import BytesIO
from typing import TYPE_CHECKING

from localrag.errors import ReadError
from localrag.ingest.readers import compressed_rtf, letter, mail, signed
from localrag.ingest.readers.letter import Letter
from localrag.ingest.readers.naming import Names, attached, content_type, safe
from localrag.ingest.readers.source import Budget, Member, Options, Source, another_kind
from localrag.types import Reading

if TYPE_CHECKING:
    import olefile

_SUBJECT, _BODY, _RTF, _HTML, _HEADERS, _CLASS = 0x0037, 0x1000, 0x1009, 0x1013, 0x007D, 0x001A
_SENDER, _SENDER_SMTP, _SENDER_ADDRESS, _ON_BEHALF, _ON_BEHALF_ADDRESS = 0x0C1A, 0x5D01, 0x0C1F, 0x0042, 0x0065
_TO, _CC, _BCC = 0x0E04, 0x0E03, 0x0E02
_SUBMITTED, _DELIVERED, _CREATED = 0x0039, 0x0E06, 0x3007
_CODEPAGE, _INTERNET_CODEPAGE = 0x3FFD, 0x3FDE
_RECIPIENT_TYPE, _NAME, _ADDRESS, _SMTP = 0x0C15, 0x3001, 0x3003, 0x39FE
_DATA, _LONG_FILENAME, _FILENAME, _MIME, _CONTENT_ID, _HIDDEN = 0x3701, 0x3707, 0x3704, 0x370E, 0x3712, 0x7FFE
_TEXT, _TEXT8, _BINARY, _OBJECT = 0x001F, 0x001E, 0x0102, 0x000D
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_MAX_DEPTH = 10
_BLOCK_TAG = re.compile(rb"\{\\\*\\htmltag\d*\s*</?(?:li|p|div|br|tr|h\d|table|ul|ol)\b[^{}]*\}", re.I)  # HTML in RTF
_Path = tuple[str, ...]
_Tree = defaultdict[_Path, dict[str, str]]  # what lies in each folder: its name in capitals, and as written
_HINT = "Open it in Outlook and save it anew."


def read(source: Source, options: Options) -> Reading:
    with _opened(source) as item:
        return letter.reading(_letter(item))


def members(source: Source, options: Options, budget: Budget) -> Iterator[Member]:
    names = Names()
    with _opened(source) as item:
        for attachment in _attachments(item):
            name = names.unique(attachment.name)
            try:
                data = attachment.data(budget)
            except _DAMAGED:
                yield Member(name, refused=ReadError("is damaged in the mail", _HINT))
                continue
            if data is None:
                yield Member(name, refused=ReadError("is only a link to a file elsewhere", "Ingest that file itself."))
            else:
                yield Member(name, Source(name, data=data))


_DAMAGED = (OSError, ValueError, IndexError, KeyError, struct.error, OverflowError, TypeError, AttributeError)


@contextmanager
def _opened(source: Source) -> Iterator[_Item]:
    import olefile

    with source.open() as stream:
        try:
            ole = olefile.OleFileIO(stream)
            entries = ole.listdir(streams=True, storages=True)
        except (*_DAMAGED, RecursionError) as error:
            other = another_kind(source, "an Outlook mail", "an old")
            raise (other or ReadError("is damaged, or not an Outlook mail", _HINT)) from error
        tree: _Tree = defaultdict(dict)
        for *path, name in entries:
            tree[tuple(path)][name.upper()] = name
        if not any(name.startswith(("__SUBSTG1.0_", "__PROPERTIES")) for name in tree[()]):
            raise ReadError("is an old Office file, but not an Outlook mail", "Give the file its real suffix.")
        yield _Item(ole, tree, ())


class _Item:
    """A mail, a recipient or an attachment: a folder of properties inside the file."""

    def __init__(self, ole: olefile.OleFileIO, tree: _Tree, path: _Path, codepage: str = "") -> None:
        self.ole = ole
        self.path = path
        self._tree = tree
        self._streams = tree[path]
        self.fixed = self._fixed()
        number = self.integer(_CODEPAGE) or self.integer(_INTERNET_CODEPAGE)
        self.codepage = _codec(number) if number else codepage
        self.lost = 0

    def children(self, prefix: str) -> list[_Item]:
        names = sorted(name for upper, name in self._streams.items() if upper.startswith(prefix.upper()))
        return [self._child(name) for name in names]

    def _child(self, name: str) -> _Item:
        return _Item(self.ole, self._tree, (*self.path, name), self.codepage)

    def text(self, *tags: int) -> str:
        """The first of these properties that says something."""
        for tag in tags:
            wide, narrow = self.binary(tag, _TEXT), self.binary(tag, _TEXT8)
            if wide is not None:
                said = wide.decode("utf-16-le", "replace")
            elif narrow is not None:
                said, lost = letter.decode(narrow, self.codepage)
                self.lost += lost
            else:
                continue
            if said := said.rstrip("\0"):
                return said
        return ""

    def binary(self, tag: int, kind: int = _BINARY) -> bytes | None:
        name = self._streams.get(f"__SUBSTG1.0_{tag:04X}{kind:04X}")
        if name is None:
            return None
        try:
            return bytes(self.ole.openstream([*self.path, name]).read())
        except _DAMAGED:
            return None

    def size(self, tag: int) -> int:
        name = self._streams.get(f"__SUBSTG1.0_{tag:04X}{_BINARY:04X}")
        return int(self.ole.get_size([*self.path, name])) if name else 0

    def inside(self) -> _Item | None:
        """The mail that is attached here."""
        name = self._streams.get(f"__SUBSTG1.0_{_DATA:04X}{_OBJECT:04X}")
        item = self._child(name) if name else None
        return item if item is not None and item.fixed else None

    def integer(self, tag: int) -> int:
        return int(struct.unpack_from("<i", self.fixed.get((tag, 3), b"\0" * 4))[0])

    def flag(self, tag: int) -> bool:
        return bool(self.fixed.get((tag, 0x0B), b"\0")[0])

    def date(self, *tags: int) -> datetime | None:
        for tag in tags:
            ticks = int(struct.unpack_from("<q", self.fixed.get((tag, 0x40), b"\0" * 8))[0])
            if ticks > 0:
                try:
                    return (_EPOCH + timedelta(microseconds=ticks // 10)).replace(microsecond=0)
                except OverflowError:
                    continue
        return None

    def _fixed(self) -> Mapping[tuple[int, int], bytes]:
        """The properties of fixed size, by tag and kind; behind a header whose size depends on what this is."""
        name = self._streams.get("__PROPERTIES_VERSION1.0")
        try:
            data = self.ole.openstream([*self.path, name]).read() if name else b""
        except _DAMAGED:
            data = b""
        last = self.path[-1] if self.path else ""
        start = 32 if not last else 24 if last.upper().startswith("__SUBSTG") else 8
        found: dict[tuple[int, int], bytes] = {}
        for at in range(start, len(data) - 15, 16):
            kind, tag = struct.unpack_from("<HH", data, at)
            found[tag, kind] = data[at + 8 : at + 16]
        return found


def _codec(number: int) -> str:
    return {65001: "utf-8", 20127: "ascii", 1200: "utf-16-le", 28591: "iso-8859-1", 50220: "iso-2022-jp"}.get(
        number, f"iso-8859-{number - 28590}" if 28591 < number <= 28605 else f"cp{number}"
    )


# --- the mail ------------------------------------------------------------------------------------------------


def _letter(item: _Item) -> Letter:
    for one in _attachments(item):
        if one.kind == "application/pgp-encrypted" or one.name.lower() == "message.rpmsg":
            raise signed.encrypted()
    headers = HeaderParser().parsestr(item.text(_HEADERS))
    sender = mail.words(str(headers.get("From", "")))
    author = mail.author_of(str(headers.get("From", ""))) if sender else ""
    if not sender:
        name = item.text(_SENDER, _ON_BEHALF)
        address = next(filter(lambda one: "@" in one, map(item.text, (_SENDER_SMTP, _SENDER_ADDRESS))), "")
        address = address or item.text(_ON_BEHALF_ADDRESS) * ("@" in item.text(_ON_BEHALF_ADDRESS))
        sender, author = _person(name, address), name or address
    sent = item.date(_SUBMITTED, _DELIVERED)
    written = mail.words(str(headers.get("Date", "")))
    date = mail.iso_date(written) or (sent.isoformat() if sent else "")
    to, cc, bcc = _recipients(item)
    html = item.binary(_HTML)
    plain, rich = item.text(_BODY), item.text(_HTML)
    if html and not rich:
        rich, lost = letter.decode(html, _codec(item.integer(_INTERNET_CODEPAGE) or 65001))
        item.lost += lost
    if not plain.strip() and not rich:
        plain = _from_rtf(item.binary(_RTF))
    if item.text(_CLASS).lower() == "ipm.note.smime" and not plain.strip() and not rich:
        raise signed.encrypted()  # or signed in a way that hides the text as well
    return Letter(
        sender, author, to, cc, bcc, written or (format_datetime(sent) if sent else ""), date,
        item.text(_SUBJECT), ((plain, rich),), item.lost,
    )  # fmt: skip


def _from_rtf(data: bytes | None) -> str:
    if not data:
        return ""
    from localrag.ingest.readers import rtf

    try:
        rich = _BLOCK_TAG.sub(rb"\\line ", compressed_rtf.unpacked(data))
        return rtf.read(Source("body.rtf", data=rich), Options()).pages[0].text
    except (ReadError, ValueError, struct.error):
        return ""


def _recipients(item: _Item) -> tuple[str, str, str]:
    """To, Cc and Bcc with addresses where the file has them, else as Outlook shows them."""
    listed: dict[int, list[str]] = {1: [], 2: [], 3: []}
    for one in item.children("__recip_version1.0_#"):
        address = one.text(_SMTP) or one.text(_ADDRESS)
        said = _person(one.text(_NAME), address if "@" in address else "")
        if said:
            listed.setdefault(one.integer(_RECIPIENT_TYPE) & 3, []).append(said)
    shown = (item.text(_TO), item.text(_CC), item.text(_BCC))
    to, cc, bcc = (", ".join(listed[kind]) or text for kind, text in zip((1, 2, 3), shown, strict=True))
    return to, cc, bcc


def _person(name: str, address: str) -> str:
    name = name.strip(" '\"")
    return f"{name} <{address}>" if address and name and name.lower() != address.lower() else address or name


# --- attachments ---------------------------------------------------------------------------------------------


class _Attachment:
    def __init__(self, item: _Item) -> None:
        self._item = item
        self.mail = item.inside()
        self.kind = item.text(_MIME).lower()
        if self.mail is not None:
            self.name = attached(safe(self.mail.text(_SUBJECT))[:100].strip() or "mail", "message/rfc822")
        else:
            self.name = attached(item.text(_LONG_FILENAME, _FILENAME, _NAME), self.kind)

    @property
    def size(self) -> int:
        return self._item.size(_DATA)

    def is_decoration(self, html: str) -> bool:
        identity = self._item.text(_CONTENT_ID).strip("<> ")
        kind = self.kind or content_type(self.name)
        shown = self._item.flag(_HIDDEN) or bool(identity and f"cid:{identity}" in html)
        return self.mail is None and letter.is_decoration(self.name, kind, self.size, shown=shown)

    def data(self, budget: Budget) -> bytes | None:
        """What is attached; streams may share their bytes, so it is counted. None: it is elsewhere."""
        if self.mail is not None:
            return _as_eml(self.mail, budget, 0).as_bytes()
        data = self._item.binary(_DATA)
        return None if data is None else budget.unpack(BytesIO(data))


def _attachments(item: _Item) -> list[_Attachment]:
    html = (item.binary(_HTML) or b"").decode("latin-1") or item.text(_HTML)
    found = map(_Attachment, item.children("__attach_version1.0_#"))
    return [one for one in found if not one.is_decoration(html)]


def _as_eml(item: _Item, budget: Budget, depth: int) -> EmailMessage:
    """An attached mail with all that is in it, as a file of its own."""
    said, message = _letter(item), EmailMessage()
    for name, value in (
        ("From", said.sender), ("To", said.to), ("Cc", said.cc), ("Bcc", said.bcc),
        ("Date", said.sent), ("Subject", said.subject),
    ):  # fmt: skip
        if value:
            message[f"{name}"] = " ".join(value.split())
    (plain, html), *_ = said.bodies
    message.set_content(plain)
    if html:
        message.add_alternative(html, subtype="html")
    for one in _attachments(item) if depth < _MAX_DEPTH else ():
        if one.mail is not None:
            message.add_attachment(_as_eml(one.mail, budget, depth + 1), filename=one.name)
        elif (data := one.data(budget)) is not None:
            message.add_attachment(data, maintype="application", subtype="octet-stream", filename=one.name)
    return message
