"""Read mails (EML): headers and body as one page, attachments and forwarded mails as members.

A wrong encoding, boundary or header costs only itself. Plain text is preferred to HTML unless it only says that there
is HTML. Signatures are not verified, encrypted mails refused. Pictures in the body, logos and signatures are left out.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email._policybase import Compat32
from email.message import Message
from email.parser import BytesParser
from email.utils import collapse_rfc2231_value, getaddresses
from itertools import chain

from localrag.errors import ReadError
from localrag.ingest.readers.source import Budget, Member, Names, Options, Source, another_kind, attached, safe
from localrag.ingest.readers.text import decode_named, header_text, iso_date, unpack_word
from localrag.text import clean
from localrag.types import Heading, Page, Reading, Remark

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
    mail = _open(source)
    names = ("From", "To", "Cc", "Bcc", "Date", "Subject", "Sender")
    headers = {name: ", ".join(filter(None, map(header_text, mail.headers.get_all(name, [])))) for name in names}
    sender = headers.pop("Sender")
    headers["From"] = headers["From"] or sender
    author = author_of(mail.headers.get("From", "") or mail.headers.get("Sender", ""))
    return Letter(headers, author, iso_date(headers["Date"]), tuple(mail.bodies), mail.lost).reading()


def members(source: Source, options: Options, budget: Budget) -> Iterator[Member]:
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
