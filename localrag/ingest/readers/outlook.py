"""Read mails that Outlook saved (MSG): headers and body as one page, attachments and attached mails as members.

A damaged property costs only itself. The body is plain text, else HTML, else RTF. An attached mail becomes an EML with
its own attachments.
"""

from __future__ import annotations

import re
import struct
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.parser import HeaderParser
from email.utils import format_datetime
from typing import TYPE_CHECKING

from localrag.errors import ReadError
from localrag.ingest.readers.mail import Letter, author_of, encrypted, is_decoration, subject_name
from localrag.ingest.readers.source import Budget, Member, Names, Options, Source, another_kind, attached, content_type
from localrag.ingest.readers.text import decode_named, header_text, iso_date
from localrag.types import Reading

if TYPE_CHECKING:
    import olefile

# Property tags of MAPI.
_SUBJECT, _BODY, _RTF, _HTML, _HEADERS, _CLASS = 0x0037, 0x1000, 0x1009, 0x1013, 0x007D, 0x001A
_SENDER, _SENDER_SMTP, _SENDER_ADDRESS, _ON_BEHALF, _BEHALF_ADDRESS = 0x0C1A, 0x5D01, 0x0C1F, 0x0042, 0x0065
_TO, _CC, _BCC = 0x0E04, 0x0E03, 0x0E02
_SUBMITTED, _DELIVERED = 0x0039, 0x0E06
_CODEPAGE, _INTERNET_CODEPAGE = 0x3FFD, 0x3FDE
_RECIPIENT_TYPE, _NAME, _ADDRESS, _SMTP = 0x0C15, 0x3001, 0x3003, 0x39FE
_DATA, _LONG_FILENAME, _FILENAME, _MIME, _CONTENT_ID, _HIDDEN = 0x3701, 0x3707, 0x3704, 0x370E, 0x3712, 0x7FFE
_TEXT, _TEXT8, _BINARY, _OBJECT = 0x001F, 0x001E, 0x0102, 0x000D  # types of properties
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_MAX_DEPTH = 10
_BLOCK_TAG = re.compile(rb"\{\\\*\\htmltag\d*\s*</?(?:li|p|div|br|tr|h\d|table|ul|ol)\b[^{}]*\}", re.I)  # HTML in RTF
_HINT = "Open it in Outlook and save it again."
_DAMAGED = (OSError, ValueError, IndexError, KeyError, struct.error, OverflowError, TypeError, AttributeError)
_Path = tuple[str, ...]
_Tree = defaultdict[_Path, dict[str, str]]  # the names in each folder, by their capitals


def read(source: Source, options: Options) -> Reading:
    with _opened(source) as item:
        return _letter(item).reading()


def members(source: Source, options: Options, budget: Budget) -> Iterator[Member]:
    names = Names()
    with _opened(source) as item:
        for name, content in _attachments(item):
            name = names.unique(name)
            try:
                data = _as_eml(content, budget, 0).as_bytes() if isinstance(content, _Item) else content
            except _DAMAGED:
                yield Member(name, refused=ReadError("is damaged in the mail", _HINT))
                continue
            if data is None:
                yield Member(name, refused=ReadError("is only a link to a file elsewhere", "Ingest that file itself."))
            else:
                budget.take(len(data))  # streams may share bytes
                yield Member(name, Source(name, data=data))


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
        self.fixed: dict[tuple[int, int], bytes] = {}  # properties of fixed size by tag and type
        data = self._stream("__PROPERTIES_VERSION1.0") or b""
        header = 32 if not path else 24 if path[-1].upper().startswith("__SUBSTG") else 8  # by the kind of item
        for at in range(header, len(data) - 15, 16):
            kind, tag = struct.unpack_from("<HH", data, at)
            self.fixed[tag, kind] = data[at + 8 : at + 16]
        number = self.integer(_CODEPAGE) or self.integer(_INTERNET_CODEPAGE)
        self.codepage = _codec(number) if number else codepage
        self.lost = 0  # characters that could not be decoded

    def children(self, prefix: str) -> list[_Item]:
        names = sorted(name for upper, name in self._streams.items() if upper.startswith(prefix.upper()))
        return [_Item(self.ole, self._tree, (*self.path, name), self.codepage) for name in names]

    def text(self, *tags: int) -> str:
        """Return the first of these properties that is not empty."""
        for tag in tags:
            if (wide := self.binary(tag, _TEXT)) is not None:
                words = wide.decode("utf-16-le", "replace")
            else:
                words, lost = decode_named(self.binary(tag, _TEXT8) or b"", self.codepage)
                self.lost += lost
            if words := words.rstrip("\0"):
                return words
        return ""

    def binary(self, tag: int, kind: int = _BINARY) -> bytes | None:
        return self._stream(f"__SUBSTG1.0_{tag:04X}{kind:04X}")

    def _stream(self, name: str) -> bytes | None:
        try:
            return bytes(self.ole.openstream([*self.path, self._streams[name]]).read())
        except _DAMAGED:
            return None

    def integer(self, tag: int) -> int:
        return int(struct.unpack_from("<i", self.fixed.get((tag, 3), b"\0" * 4))[0])

    def date(self, *tags: int) -> datetime | None:
        for tag in tags:
            ticks = int(struct.unpack_from("<q", self.fixed.get((tag, 0x40), b"\0" * 8))[0])
            if 0 < ticks < 1 << 61:
                return (_EPOCH + timedelta(microseconds=ticks // 10)).replace(microsecond=0)
        return None


def _codec(number: int) -> str:
    names = {65001: "utf-8", 20127: "ascii", 1200: "utf-16-le", 28591: "iso-8859-1", 50220: "iso-2022-jp"}
    return names.get(number, f"iso-8859-{number - 28590}" if 28591 < number <= 28605 else f"cp{number}")


# --- the mail ---------------------------------------------------------------------------------------------------


def _letter(item: _Item) -> Letter:
    for one in item.children("__attach_version1.0_#"):
        name, kind = one.text(_LONG_FILENAME, _FILENAME).lower(), one.text(_MIME).lower()
        if kind == "application/pgp-encrypted" or name == "message.rpmsg":
            raise encrypted()
    headers = HeaderParser().parsestr(item.text(_HEADERS))
    sender, author = header_text(str(headers.get("From", ""))), author_of(str(headers.get("From", "")))
    if not sender:
        name = item.text(_SENDER, _ON_BEHALF)
        addresses = map(item.text, (_SENDER_SMTP, _SENDER_ADDRESS, _BEHALF_ADDRESS))
        address = next((found for found in addresses if "@" in found), "")
        sender, author = _person(name, address), name or address
    sent = item.date(_SUBMITTED, _DELIVERED)
    written = header_text(str(headers.get("Date", "")))
    listed: defaultdict[int, list[str]] = defaultdict(list)
    for one in item.children("__recip_version1.0_#"):
        address = one.text(_SMTP, _ADDRESS)
        if person := _person(one.text(_NAME), address if "@" in address else ""):
            listed[one.integer(_RECIPIENT_TYPE) & 3].append(person)
    # Without recipients, or for one kind of them, as Outlook shows them.
    to, cc, bcc = (", ".join(listed[n]) or item.text(tag) for n, tag in enumerate((_TO, _CC, _BCC), 1))
    plain, html = item.text(_BODY), item.text(_HTML)
    if not html and (data := item.binary(_HTML)):
        html, lost = decode_named(data, _codec(item.integer(_INTERNET_CODEPAGE) or 65001))
        item.lost += lost
    if not plain.strip() and not html:
        plain = _rtf_body(item.binary(_RTF) or b"")
    if item.text(_CLASS).lower() == "ipm.note.smime" and not plain.strip() and not html:
        raise encrypted()  # or signed in a way that hides the text as well
    date = iso_date(written) or (sent.isoformat() if sent else "")
    written = written or (format_datetime(sent) if sent else "")
    shown = {"From": sender, "To": to, "Cc": cc, "Bcc": bcc, "Date": written, "Subject": item.text(_SUBJECT)}
    return Letter(shown, author, date, ((plain, html),), item.lost)


def _rtf_body(data: bytes) -> str:
    from compressed_rtf import decompress

    from localrag.ingest.readers.legacy import read_rtf

    try:
        rich = _BLOCK_TAG.sub(rb"\\line ", decompress(data))
        return read_rtf(Source("body.rtf", data=rich)).pages[0].text
    except Exception:  # compressed_rtf raises plain Exceptions on damaged or no data
        return ""


def _person(name: str, address: str) -> str:
    name = name.strip(" '\"")
    return f"{name} <{address}>" if address and name and name.lower() != address.lower() else address or name


# --- attachments ------------------------------------------------------------------------------------------------


def _attachments(item: _Item) -> Iterator[tuple[str, _Item | bytes | None]]:
    """Yield names and contents of attachments, a mail or bytes; None for a file that is elsewhere."""
    html = (item.binary(_HTML) or b"").decode("latin-1") or item.text(_HTML)
    for one in item.children("__attach_version1.0_#"):
        mails = one.children(f"__substg1.0_{_DATA:04X}{_OBJECT:04X}")
        if mail := next((mail for mail in mails if mail.fixed), None):
            yield subject_name(mail.text(_SUBJECT)), mail
            continue
        kind = one.text(_MIME).lower()
        name, data = attached(one.text(_LONG_FILENAME, _FILENAME, _NAME), kind), one.binary(_DATA)
        identity = one.text(_CONTENT_ID).strip("<> ")
        is_hidden = one.fixed.get((_HIDDEN, 0x0B), b"\0")[0] != 0
        shown = is_hidden or bool(identity and f"cid:{identity}" in html)
        if not is_decoration(name, kind or content_type(name), len(data or b""), shown=shown):
            yield name, data


def _as_eml(item: _Item, budget: Budget, depth: int) -> EmailMessage:
    letter, message = _letter(item), EmailMessage()
    for name, value in letter.written_headers().items():
        message[name] = value
    (plain, html), *_ = letter.bodies
    message.set_content(plain)
    if html:
        message.add_alternative(html, subtype="html")
    for name, content in _attachments(item) if depth < _MAX_DEPTH else ():
        if isinstance(content, _Item):
            message.add_attachment(_as_eml(content, budget, depth + 1), filename=name)
        elif content is not None:
            budget.take(len(content))
            message.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return message
