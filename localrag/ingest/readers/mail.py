"""Read mails (EML, and MSG of Outlook): headers and body as one page, attachments and forwarded mails as members.

A wrong encoding, boundary or header costs only itself. Plain text is preferred to HTML unless it only says that there
is HTML. Signatures are not verified, encrypted mails refused. Pictures in the body, logos and signatures are left out.
"""

from __future__ import annotations

import re
import struct
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email._policybase import Compat32
from email.message import Message
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.parser import BytesParser, HeaderParser
from email.utils import collapse_rfc2231_value, format_datetime, getaddresses
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from localrag.errors import ReadError
from localrag.ingest.readers.source import (
    Budget,
    Member,
    Names,
    Options,
    OverBudget,
    Source,
    another_kind,
    attached,
    content_type,
    reads,
    safe,
)
from localrag.ingest.readers.text import decode_named, header_text, iso_date, unpack_word
from localrag.text import clean
from localrag.types import Heading, Page, Reading, Remark

if TYPE_CHECKING:
    import olefile

_MAX_HEADER = 1_000  # characters of an address header; `getaddresses` is slow on long ones
_MAX_DEPTH = 50  # of multiparts inside multiparts; real mails need six
_STUB = 300  # characters; a shorter plain part may only point at the HTML
_LOGO = 10_000  # bytes; smaller pictures are logos, lines and faces
_ALSO_TEXT = ("message/delivery-status", "message/disposition-notification", "text/rfc822-headers")


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail from any kind of file; `bodies` are pairs of plain text and HTML that say the same."""

    headers: dict[str, str]  # in the order in which they are shown, decoded; may be empty
    author: str  # "Jane Doe", or the address
    date: str  # ISO 8601
    bodies: tuple[tuple[str, str], ...]
    lost: int  # characters that could not be decoded

    def written_headers(self) -> dict[str, str]:
        return {name: " ".join(value.split()) for name, value in self.headers.items() if value.strip()}

    def reading(self) -> Reading:
        text = clean("\n".join(f"{name}: {value}" for name, value in self.written_headers().items()))
        headings: list[Heading] = []
        remarks: list[Remark] = []
        for plain, html in self.bodies:
            body, body_headings, body_remarks = _body(plain, html)
            if body:
                text = f"{text}\n\n" if text else ""
                headings += (replace(item, start=item.start + len(text)) for item in body_headings)
                remarks += body_remarks
                text += body
        if self.lost:
            count = f"{self.lost} characters" if self.lost > 1 else "One character"
            remarks.append(Remark(None, f"{count} could not be decoded and were replaced by \ufffd."))
        day = self.date[:10]
        label = f"{day} from {self.author}" if day and self.author else day or self.author
        page = Page(text, None, label or None, tuple(headings), unit="mail")
        return Reading((page,), self.headers["Subject"], remarks=tuple(remarks), author=self.author, date=self.date)


def _body(plain: str, html: str) -> tuple[str, tuple[Heading, ...], tuple[Remark, ...]]:
    text = re.sub(r"\n(?:[ \t]*\n){3,}", "\n\n", clean(plain)).strip("\n").rstrip()
    if html and len(text) < _STUB:
        from localrag.ingest.readers import web

        shown, headings, remarks = web.text_of(html)
        if shown.strip() and (not text.strip() or len(shown) > 4 * len(text)):
            return shown, headings, remarks
    return text, (), ()


def is_decoration(name: str, content_type: str, size: int, *, shown: bool) -> bool:
    """Return whether an attachment is a picture in the body (`shown`), a logo, or a signature for programs."""
    if content_type.startswith("image/"):
        return shown or size < _LOGO
    kind = content_type.removeprefix("application/").removeprefix("x-")
    return kind in ("pkcs7-signature", "pgp-signature", "pgp-keys", "applefile") or name.lower().endswith(".p7s")


def encrypted() -> ReadError:
    return ReadError("is encrypted", "Save a decrypted copy with the mail program that has the key.")


def read(source: Source, options: Options) -> Reading:
    if source.suffix == ".msg":
        with _opened(source) as item:
            return letter_of(item).reading()
    mail = _open(source)
    names = ("From", "To", "Cc", "Bcc", "Date", "Subject", "Sender")
    headers = {name: ", ".join(filter(None, map(header_text, mail.headers.get_all(name, [])))) for name in names}
    sender = headers.pop("Sender")
    headers["From"] = headers["From"] or sender
    author = author_of(mail.headers.get("From", "") or mail.headers.get("Sender", ""))
    return Letter(headers, author, iso_date(headers["Date"]), tuple(mail.bodies), mail.lost).reading()


def members(source: Source, options: Options, budget: Budget) -> Iterator[Member]:
    if source.suffix == ".msg":
        with _opened(source) as item:
            yield from attachments_of(item, budget)
        return
    # Attachments are smaller than the mail they are in, so the budget need not count them.
    names = Names()
    for name, data in chain.from_iterable(map(_files, _open(source).files)):
        name = names.unique(name)
        yield Member(name, refused=data) if isinstance(data, ReadError) else Member(name, Source(name, data=data))


# --- the structure of a mail ------------------------------------------------------------------------------------


class _Lenient(Compat32):
    """Headers as text whatever their bytes, written back unchanged; newer policies raise on broken headers."""

    mangle_from_ = False
    max_line_length = 0

    def header_fetch_parse(self, name: str, value: str) -> str:
        return value if value.isascii() else decode_named(value.encode("utf-8", "surrogateescape"), "")[0]


@dataclass(slots=True)
class _Mail:
    headers: Message
    bodies: list[tuple[str, str]] = field(default_factory=list)
    files: list[Message] = field(default_factory=list)
    lost: int = 0


def _open(source: Source) -> _Mail:
    if other := another_kind(source, "a mail", "an HTML", "an XML"):
        raise other
    try:
        with source.open() as stream:
            mail = _Mail(BytesParser(policy=_Lenient()).parse(stream))
        _sort(mail.headers, mail, 0)
    except RecursionError as error:
        raise ReadError("is nested too deeply to be a real mail", "Do not trust this file.") from error
    html = "".join(html for _, html in mail.bodies).lower()
    files, mail.files = mail.files, []
    for part in files:
        kind, identity = part.get_content_type(), part.get("Content-ID", "").strip(" <>").lower()
        size = len(_data(part)) if kind.startswith("image/") else 0
        shown = bool(identity) and f"cid:{identity}" in html
        if not is_decoration(_filename(part), kind, size, shown=shown):
            mail.files.append(part)
    return mail


def _sort(part: Message, mail: _Mail, depth: int) -> None:
    """Add a part, and the parts in it, to the bodies or the files of a mail."""
    kind = part.get_content_type()
    if depth > _MAX_DEPTH:
        return
    if kind == "multipart/encrypted":
        raise encrypted()
    if kind == "multipart/alternative":  # its parts say the same
        before, mail.bodies = mail.bodies, []
        for child in _children(part):
            if child.get_content_type() != "text/x-amp-html":
                _sort(child, mail, depth + 1)
        plain, html = zip(*mail.bodies, strict=True) if mail.bodies else ((), ())
        mail.bodies = [*before, ("\n\n".join(filter(None, plain)), "\n".join(filter(None, html)))]
    elif kind.startswith("multipart/") and part.is_multipart():
        for child in _children(part):
            _sort(child, mail, depth + 1)
    elif kind.endswith("pkcs7-mime") and not _is_signed_file(part):
        _sort(BytesParser(policy=_Lenient()).parsebytes(signed_content(_data(part))), mail, depth + 1)
    elif kind not in _ALSO_TEXT and (  # a multipart without parts is text
        not kind.startswith(("text/", "multipart/"))
        or part.get_content_disposition() == "attachment"
        or _filename(part)
        or kind == "text/calendar"
    ):
        mail.files.append(part)
    else:
        text = _text(part, mail)
        mail.bodies.append(("", text) if kind == "text/html" else (text, ""))


def _children(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [child for child in payload if isinstance(child, Message)] if isinstance(payload, list) else []


def _data(part: Message) -> bytes:
    encoding = part.get("Content-Transfer-Encoding", "")
    tidy = encoding.split(";")[0].strip().lower()
    if encoding and encoding != tidy:
        part.replace_header("Content-Transfer-Encoding", tidy)
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def _text(part: Message, mail: _Mail) -> str:
    if part.get_content_type() in _ALSO_TEXT and part.is_multipart():
        data, charset = b"\n".join(child.as_bytes() for child in _children(part)), ""
    else:
        data, charset = _data(part), _parameter(part, "charset")
    text, lost = decode_named(data, charset)
    mail.lost += lost
    if "-----BEGIN PGP MESSAGE-----" in text[:1000]:
        raise encrypted()
    if _parameter(part, "format").lower() == "flowed" and part.get_content_type() == "text/plain":
        # Lines that end in a space go on in the next (RFC 3676).
        gap = "" if _parameter(part, "delsp").lower() == "yes" else " "
        text = re.sub(r"(?m)(?<!^--) \r?\n ?(?![>\r\n]|-- )", gap, text)
    return text


def _parameter(part: Message, name: str, header: str = "content-type") -> str:
    value = part.get_param(name, "", header)
    return collapse_rfc2231_value(value) if isinstance(value, (tuple, str)) else ""


def _filename(part: Message) -> str:
    return header_text(_parameter(part, "filename", "content-disposition") or _parameter(part, "name")).strip()


# --- attachments ------------------------------------------------------------------------------------------------


def _files(part: Message) -> Iterator[tuple[str, bytes | ReadError]]:
    """Yield the attachment that a part is, or the files packed into it."""
    kind, name = part.get_content_type(), _filename(part)
    if kind == "message/rfc822":
        yield _forwarded(part, name)
        return
    data = _data(part)
    name = attached(name, kind)
    if kind == "application/ms-tnef" or name.lower() == "winmail.dat":
        yield from tnef_files(data)
    elif _is_signed_file(part):
        try:
            yield name[:-4], signed_content(data)
        except ReadError as error:
            yield name, error
    else:
        yield name, data


def _forwarded(part: Message, name: str) -> tuple[str, bytes]:
    inner = next(iter(_children(part)), Message())
    name = attached(name or subject_name(header_text(inner.get("Subject", ""))), "message/rfc822")
    if not inner.keys() and "base64" in part.get("Content-Transfer-Encoding", "").lower():
        return name, unpack_word("b", str(inner.get_payload()))  # against the rules, but some servers do it
    try:
        return name, inner.as_bytes()
    except (UnicodeError, LookupError, ValueError, AttributeError, TypeError):
        return name, str(inner).encode("utf-8", "replace")


def _is_signed_file(part: Message) -> bool:
    """Return whether a part is a file signed by itself, such as an Italian invoice, not a signed mail."""
    name = _filename(part).lower()
    return name.endswith(".p7m") and name not in ("smime.p7m", ".p7m")


def subject_name(subject: str) -> str:
    """Return the name of a mail that is not a file of its own."""
    return f"{safe(subject)[:100].strip() or 'mail'}.eml"


# --- headers ----------------------------------------------------------------------------------------------------


def author_of(raw: str) -> str:
    """Return the name of the first person, or the address."""
    raw = " ".join(raw[:_MAX_HEADER].split())
    with suppress(RecursionError):  # comments inside comments
        for name, address in getaddresses([raw]):
            address = "" if address.startswith("@") else address
            if author := header_text(name).strip(" \"'") or header_text(address):
                return author
    found = re.search(r"(?<![^\s<>,;])[^\s<>,;]+@[^\s<>,;]+", raw)
    return found[0] if found else header_text(raw)


# --- signatures (CMS SignedData, *.p7m) -------------------------------------------------------------------------


def signed_content(data: bytes) -> bytes:
    """Return the bytes inside a signature, which is not verified."""
    from asn1crypto import cms

    if data[:1] != b"\x30":
        data = unpack_word("b", b"".join(line for line in data.split() if not line.startswith(b"-")).decode("latin-1"))
    try:
        info = cms.ContentInfo.load(data)
        kind = info["content_type"].native
        content = info["content"]["encap_content_info"]["content"].native if kind == "signed_data" else None
    except (ValueError, TypeError, KeyError, RecursionError):
        kind, content = "", None
    if isinstance(content, bytes):
        return content
    if kind in ("enveloped_data", "authenticated_enveloped_data", "encrypted_data"):
        raise encrypted()
    raise ReadError("is signed in a form that is not understood", "Save a copy without the signature.")


# --- winmail.dat ------------------------------------------------------------------------------------------------

_TNEF_HINT = "Save its attachments with Outlook."
_TNEF_BEGIN, _TNEF_TITLE, _TNEF_DATA, _TNEF_CODEPAGE = 0x9002, 0x8010, 0x800F, 0x9007


def tnef_files(data: bytes) -> Iterator[tuple[str, bytes | ReadError]]:
    """Yield the attachments inside a winmail.dat, which Outlook sends to strangers instead of ordinary ones."""
    if not data.startswith(b"\x78\x9f\x3e\x22"):
        yield "winmail.dat", ReadError("is damaged, or not a winmail.dat package", _TNEF_HINT)
        return
    at, codepage = 6, "cp1252"
    files: list[dict[int, bytes]] = []
    while at + 9 <= len(data):
        name, size = struct.unpack_from("<xHxxI", data, at)
        value = data[at + 9 : at + 9 + size]
        at += 9 + size + 2
        if at > len(data):
            yield "winmail.dat", ReadError("is cut off: a part of it is missing", _TNEF_HINT)
            break
        if name == _TNEF_CODEPAGE and size >= 4:
            codepage = f"cp{struct.unpack_from('<I', value)[0]}"
        elif name == _TNEF_BEGIN:
            files.append({})
        elif files:
            files[-1][name] = value
    for file in files:
        if (content := file.get(_TNEF_DATA)) is not None:
            title = decode_named(file.get(_TNEF_TITLE, b"").rstrip(b"\0"), codepage)[0]
            yield attached(title, "application/octet-stream"), content


# --- mails that Outlook saved (MSG) -------------------------------------------------------------------------------
# A damaged property costs only itself. The body is plain text, else HTML, else RTF. An attached mail becomes an EML
# without attachments; its own follow, named as if they were inside it.

# Property tags of MAPI.
_SUBJECT, _BODY, _RTF, _HTML, _HEADERS, _CLASS = 0x0037, 0x1000, 0x1009, 0x1013, 0x007D, 0x001A
_SENDER, _SENDER_SMTP, _SENDER_ADDRESS, _ON_BEHALF, _BEHALF_ADDRESS = 0x0C1A, 0x5D01, 0x0C1F, 0x0042, 0x0065
_TO, _CC, _BCC = 0x0E04, 0x0E03, 0x0E02
_SUBMITTED, _DELIVERED = 0x0039, 0x0E06
_CODEPAGE, _INTERNET_CODEPAGE = 0x3FFD, 0x3FDE
_RECIPIENT_TYPE, _NAME, _ADDRESS, _SMTP = 0x0C15, 0x3001, 0x3003, 0x39FE
_DATA, _LONG_FILENAME, _FILENAME, _MIME, _CONTENT_ID, _HIDDEN = 0x3701, 0x3707, 0x3704, 0x370E, 0x3712, 0x7FFE
_TEXT, _TEXT8, _BINARY, _OBJECT = 0x001F, 0x001E, 0x0102, 0x000D  # types of properties
_INTEGER, _BOOLEAN, _TIME = 0x0003, 0x000B, 0x0040
_START = 0x820D
# What is shown of entries in calendars and lists of tasks, and of contacts. From 0x8000 on each file has its own tags.
_MEETING = {"Start": _START, "End": 0x820E, "Where": 0x8208, "Repeats": 0x8232, "Attendees": 0x8238}
_TASK = {"Begin": 0x8104, "Due": 0x8105}
_PHONES = {"Phone": 0x3A08, "Home phone": 0x3A09, "Mobile": 0x3A1C}
_CONTACT = {"Company": 0x3A16, "Job title": 0x3A17, **_PHONES, "E-mail": 0x8083, "Address": 0x801B}
_FACTS = {"ipm.appointment": _MEETING, "ipm.schedule": _MEETING, "ipm.task": _TASK, "ipm.contact": _CONTACT}
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_MAX_MAILS = 10
_BLOCK_TAG = re.compile(rb"\{\\\*\\htmltag\d*\s*</?(?:li|p|div|br|tr|h\d|table|ul|ol)\b[^{}]*\}", re.I)  # HTML in RTF
_OUTLOOK_HINT = "Open it in Outlook and save it again."
_OUTLOOK_DAMAGED = (OSError, ValueError, IndexError, KeyError, struct.error, OverflowError, TypeError, AttributeError)
_Path = tuple[str, ...]
_Tree = defaultdict[_Path, dict[str, str]]  # the names in each folder, by their capitals


@contextmanager
def _opened(source: Source) -> Iterator[_Item]:
    import olefile

    with source.open() as stream:
        try:
            ole = olefile.OleFileIO(stream)
            entries = ole.listdir(streams=True, storages=True)
        except (*_OUTLOOK_DAMAGED, RecursionError) as error:
            other = another_kind(source, "an Outlook mail", "an old")
            raise (other or ReadError("is damaged, or not an Outlook mail", _OUTLOOK_HINT)) from error
        tree: _Tree = defaultdict(dict)
        for *path, name in entries:
            tree[tuple(path)][name.upper()] = name
        if not any(name.startswith(("__SUBSTG1.0_", "__PROPERTIES")) for name in tree[()]):
            raise ReadError("is an old Office file, but not an Outlook mail", "Give the file its real suffix.")
        yield _Item(ole, tree, ())


class OutlookItem(ABC):
    """A mail, a recipient or an attachment, as properties by tag and type."""

    codepage = ""
    lost = 0  # characters that could not be decoded
    named: Mapping[int, int] = {}  # tags of properties that are named by numbers from 0x8000 on

    @abstractmethod
    def binary(self, tag: int, kind: int = _BINARY) -> bytes | None:
        """Return the bytes of a property; None if it is missing or damaged."""

    @abstractmethod
    def recipients(self) -> Iterable[OutlookItem]: ...

    @abstractmethod
    def attachments(self) -> Iterable[OutlookItem]: ...

    @abstractmethod
    def mail(self) -> OutlookItem | None:
        """Return the mail that this attachment is; None for a file. Raises ReadError if it cannot be read."""

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

    def subject(self) -> str:
        text = self.text(_SUBJECT)
        return text[2:] if text.startswith("\1") else text  # in stores, after the length of "Re: "

    def integer(self, tag: int) -> int:
        return int.from_bytes((self.binary(tag, _INTEGER) or b"")[:4], "little", signed=True)

    def date(self, *tags: int) -> datetime | None:
        for tag in tags:
            ticks = int.from_bytes((self.binary(tag, _TIME) or b"")[:8], "little", signed=True)
            if 0 < ticks < 1 << 61:
                return (_EPOCH + timedelta(microseconds=ticks // 10)).replace(microsecond=0)
        return None

    def codec(self) -> str:
        number = self.integer(_CODEPAGE) or self.integer(_INTERNET_CODEPAGE)
        return _codec(number) if number else ""


def named_tags(entries: bytes) -> dict[int, int]:
    """Return a file's tags of properties by the number that names them, as files map them."""
    found: dict[int, int] = {}
    for number, is_text, at in struct.iter_unpack("<IHH", entries[: len(entries) // 8 * 8]):
        if number >= 0x8000 and not is_text & 1:
            found.setdefault(number, 0x8000 + at)
    return found


class _Item(OutlookItem):
    """A folder of properties inside the file."""

    def __init__(self, ole: olefile.OleFileIO, tree: _Tree, path: _Path, parent: _Item | None = None) -> None:
        self._ole, self._tree, self._path = ole, tree, path
        self._streams = tree[path]
        self.named = parent.named if parent else {}
        self._fixed: dict[tuple[int, int], bytes] = {}  # properties of fixed size by tag and type
        data = self._stream("__PROPERTIES_VERSION1.0") or b""
        header = 32 if not path else 24 if path[-1].upper().startswith("__SUBSTG") else 8  # by the kind of item
        for at in range(header, len(data) - 15, 16):
            kind, tag = struct.unpack_from("<HH", data, at)
            self._fixed[tag, kind] = data[at + 8 : at + 16]
        self.codepage = self.codec() or (parent.codepage if parent else "")
        for names in self._children("__nameid_version1.0"):
            self.named = named_tags(names.binary(0x0003) or b"")

    def recipients(self) -> list[_Item]:
        return self._children("__recip_version1.0_#")

    def attachments(self) -> list[_Item]:
        return self._children("__attach_version1.0_#")

    def mail(self) -> _Item | None:
        mails = self._children(f"__substg1.0_{_DATA:04X}{_OBJECT:04X}")
        return next((mail for mail in mails if mail._fixed), None)

    def binary(self, tag: int, kind: int = _BINARY) -> bytes | None:
        tag = self.named.get(tag, tag)
        return self._fixed.get((tag, kind)) or self._stream(f"__SUBSTG1.0_{tag:04X}{kind:04X}")

    def _children(self, prefix: str) -> list[_Item]:
        names = sorted(name for upper, name in self._streams.items() if upper.startswith(prefix.upper()))
        return [_Item(self._ole, self._tree, (*self._path, name), self) for name in names]

    def _stream(self, name: str) -> bytes | None:
        try:
            return bytes(self._ole.openstream([*self._path, self._streams[name]]).read())
        except _OUTLOOK_DAMAGED:
            return None


def _codec(number: int) -> str:
    names = {65001: "utf-8", 20127: "ascii", 1200: "utf-16-le", 28591: "iso-8859-1", 50220: "iso-2022-jp"}
    return names.get(number, f"iso-8859-{number - 28590}" if 28591 < number <= 28605 else f"cp{number}")


# --- the mail ---------------------------------------------------------------------------------------------------


def letter_of(item: OutlookItem) -> Letter:
    """Return a mail of Outlook, or another item as one; raise ReadError if it is encrypted."""
    for one in item.attachments():
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
    kind = item.text(_CLASS).lower()
    starts = item.date(_START) if kind.startswith("ipm.appointment") else None
    sent = starts or item.date(_SUBMITTED, _DELIVERED)
    written = "" if starts else header_text(str(headers.get("Date", "")))
    listed: defaultdict[int, list[str]] = defaultdict(list)
    for one in item.recipients():
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
    if kind == "ipm.note.smime" and not plain.strip() and not html:
        raise encrypted()  # or signed in a way that hides the text as well
    date = iso_date(written) or (sent.isoformat() if sent else "")
    written = written or (format_datetime(sent) if sent else "")
    shown = {"From": sender, "To": to, "Cc": cc, "Bcc": bcc, "Date": written, "Subject": item.subject()}
    facts = "\n".join(_facts(item, kind))
    return Letter(shown, author, date, (*[(facts, "")] * bool(facts), (plain, html)), item.lost)


def _facts(item: OutlookItem, kind: str) -> Iterator[str]:
    for label, tag in _FACTS.get(".".join(kind.split(".")[:2]), {}).items():
        moment = item.date(tag)
        if text := f"{moment:%Y-%m-%d %H:%M} UTC" if moment else item.text(tag):
            yield f"{label}: {text}"


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


def attachments_of(item: OutlookItem, budget: Budget, prefix: str = "", depth: int = 0) -> Iterator[Member]:
    """Yield the attachments of a mail of Outlook, and those of attached mails, under names that begin with `prefix`."""
    names = Names()
    html = (item.binary(_HTML) or b"").decode("latin-1") or item.text(_HTML)
    for one in item.attachments():
        name = f"{prefix}attachment.eml"
        try:
            mail = one.mail()
            name = subject_name(mail.subject()) if mail is not None else _attachment_name(one, html)
            if not name:
                continue
            name = prefix + names.unique(name)
            if mail is not None and depth < _MAX_MAILS:
                yield Member(name, Source(name, data=eml_of(mail)))
                yield from attachments_of(mail, budget, f"{name}/", depth + 1)
            elif not reads(Path(name)):
                yield Member(name)
            elif (data := one.binary(_DATA)) is None:
                yield Member(name, refused=ReadError("is only a link to a file elsewhere", "Ingest that file itself."))
            else:
                budget.take(len(data))  # streams may share bytes
                yield Member(name, Source(name, data=data))
        except OverBudget:
            raise
        except ReadError as error:
            yield Member(name, refused=error)
        except _OUTLOOK_DAMAGED:
            yield Member(name, refused=ReadError("is damaged in the mail", _OUTLOOK_HINT))


def _attachment_name(one: OutlookItem, html: str) -> str:
    """Return the name of an attached file; "" if it is a decoration."""
    kind = one.text(_MIME).lower()
    name = attached(one.text(_LONG_FILENAME, _FILENAME, _NAME), kind)
    identity = one.text(_CONTENT_ID).strip("<> ")
    kind = kind or content_type(name)
    shown = any((one.binary(_HIDDEN, _BOOLEAN) or b"")[:1]) or bool(identity and f"cid:{identity}" in html)
    size = len(one.binary(_DATA) or b"") if kind.startswith("image/") and not shown else 0
    return "" if is_decoration(name, kind, size, shown=shown) else name


def eml_of(item: OutlookItem) -> bytes:
    """Return a mail of Outlook as an EML without its attachments; always the same bytes for the same mail."""
    letter = letter_of(item)
    message = MIMEMultipart("mixed", "=_mail")
    for name, value in letter.written_headers().items():
        message[name] = value
    for number, (plain, html) in enumerate(letter.bodies):
        both = MIMEMultipart("alternative", f"=_{number}")
        for kind, text in (("plain", plain), ("html", html)):
            if text:
                both.attach(MIMEText(text, kind, "utf-8"))
        message.attach(both)
    return message.as_bytes()
