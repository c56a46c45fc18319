"""Mails (EML): headers and body as one page, attachments and forwarded mails as members.

MIME is read as leniently as mail programs do: a wrong encoding, boundary or header costs what cannot be told, never
the mail. Signed mails are read (the signature is not verified), encrypted ones refused. Pictures that belong to the
body, logos and signatures are no members. Limits: a mail is parsed in memory; what a mail only points to (external
bodies, cloud links) is not fetched.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email._policybase import Compat32
from email.message import Message
from email.parser import BytesParser
from email.utils import collapse_rfc2231_value, getaddresses, parsedate_to_datetime

from localrag.errors import ReadError
from localrag.ingest.readers import flowed, letter, signed, tnef
from localrag.ingest.readers.letter import Letter
from localrag.ingest.readers.naming import Names, attached, safe
from localrag.ingest.readers.source import Budget, Member, Options, Source, another_kind
from localrag.types import Reading

_LONGEST = 1_000  # characters of a header with one name; `getaddresses` takes long for long ones
_MAX_DEPTH = 50  # of multiparts inside multiparts; real mails need six
_WORD = re.compile(r"=\?([\w.:+-]+)(?:\*[\w-]+)?\?([bqBQ])\?([^?]*)\?=")
_CID = re.compile(r"cid:([^\"'\s>)]+)", re.I)
_ALSO_TEXT = ("message/delivery-status", "message/disposition-notification", "text/rfc822-headers")


def read(source: Source, options: Options) -> Reading:
    mail = _open(source)
    return letter.reading(_letter(mail))


def members(source: Source, options: Options, budget: Budget) -> Iterator[Member]:
    # A mail is larger than all that is in it: there is nothing to count before it is unpacked.
    names = Names()
    for part in _open(source).files:
        for name, data in _files(part):
            name = names.unique(name)
            if isinstance(data, ReadError):
                yield Member(name, refused=data)
            else:
                yield Member(name, Source(name, data=data))


# --- the structure of a mail ---------------------------------------------------------------------------------


class _Lenient(Compat32):
    """Headers as text whatever their bytes, and written again as they were.

    The newer policies parse headers into objects, and raise where a header is broken.
    """

    mangle_from_ = False
    max_line_length = 0

    def header_fetch_parse(self, name: str, value: str) -> str:
        if value.isascii():
            return value
        data = value.encode("utf-8", "surrogateescape")
        return letter.decode(data, "")[0]


_POLICY = _Lenient()


@dataclass(slots=True)
class _Mail:
    """A mail taken apart: pairs of plain text and HTML that say the same, and the parts that are files."""

    headers: Message
    bodies: list[tuple[str, str]] = field(default_factory=list)
    files: list[Message] = field(default_factory=list)
    lost: int = 0


def _open(source: Source) -> _Mail:
    if other := another_kind(source, "a mail", "an HTML", "an XML"):
        raise other
    try:
        with source.open() as stream:
            mail = _Mail(BytesParser(policy=_POLICY).parse(stream))
        _sort(mail.headers, mail, 0)
    except RecursionError as error:
        raise ReadError("is nested too deeply to be a real mail", "Do not trust this file.") from error
    mail.files = [part for part in mail.files if not _is_shown(part, mail)]
    return mail


def _sort(part: Message, mail: _Mail, depth: int) -> None:
    """Put a part, and the parts in it, where they belong."""
    kind = part.get_content_type()
    if depth > _MAX_DEPTH:
        return
    if kind == "multipart/encrypted":
        raise signed.encrypted()
    if kind == "multipart/alternative":
        _alternative(part, mail, depth)
    elif kind.startswith("multipart/") and part.is_multipart():
        for child in _children(part):
            _sort(child, mail, depth + 1)
    elif kind.endswith("pkcs7-mime") and not _is_signed_file(part):
        content = signed.content(_data(part))
        _sort(BytesParser(policy=_POLICY).parsebytes(content), mail, depth + 1)
    elif _is_file(part, kind):
        mail.files.append(part)
    else:
        text = _text(part, mail)
        mail.bodies.append(("", text) if kind == "text/html" else (text, ""))


def _alternative(part: Message, mail: _Mail, depth: int) -> None:
    """Parts that say the same make one pair, whatever lies around or between them."""
    inside = _Mail(part)
    for child in _children(part):
        if child.get_content_type() != "text/x-amp-html":
            _sort(child, inside, depth + 1)
    plain, html = zip(*inside.bodies, strict=True) if inside.bodies else ((), ())
    mail.bodies.append(("\n\n".join(filter(None, plain)), "\n".join(filter(None, html))))
    mail.files += inside.files
    mail.lost += inside.lost


def _children(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [child for child in payload if isinstance(child, Message)] if isinstance(payload, list) else []


def _is_file(part: Message, kind: str) -> bool:
    if kind in _ALSO_TEXT:
        return False
    if not kind.startswith("text/") and not kind.startswith("multipart/"):  # a multipart here has no parts: it is text
        return True
    return part.get_content_disposition() == "attachment" or bool(_filename(part)) or kind in ("text/calendar",)


def _is_shown(part: Message, mail: _Mail) -> bool:
    kind = part.get_content_type()
    identity = part.get("Content-ID", "").strip(" <>")
    shown = bool(identity) and any(
        identity in _CID.findall(html) or f"cid:{identity}" in html for _, html in mail.bodies
    )
    size = len(_data(part)) if kind.startswith("image/") else 0
    return letter.is_decoration(_filename(part), kind, size, shown=shown)


# --- bytes and text of a part --------------------------------------------------------------------------------


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
    text, lost = letter.decode(data, charset)
    mail.lost += lost
    if "-----BEGIN PGP MESSAGE-----" in text[:1000]:
        raise signed.encrypted()
    if _parameter(part, "format").lower() == "flowed" and part.get_content_type() == "text/plain":
        return flowed.joined(text, delsp=_parameter(part, "delsp").lower() == "yes")
    return text


def _parameter(part: Message, name: str, header: str = "content-type") -> str:
    value = part.get_param(name, "", header)
    return collapse_rfc2231_value(value) if isinstance(value, (tuple, str)) else ""


def _filename(part: Message) -> str:
    name = _parameter(part, "filename", "content-disposition") or _parameter(part, "name")
    return words(name).strip()


# --- attachments ---------------------------------------------------------------------------------------------


def _files(part: Message) -> Iterator[tuple[str, bytes | ReadError]]:
    """The attachments that a part is: one, or what was packed into it."""
    kind, name = part.get_content_type(), _filename(part)
    if kind == "message/rfc822":
        yield _forwarded(part, name)
        return
    data = _data(part)
    name = attached(name, kind)
    if kind == "application/ms-tnef" or name.lower() == "winmail.dat":
        yield from tnef.files(data)
    elif _is_signed_file(part):
        try:
            yield name[:-4], signed.content(data)
        except ReadError as error:
            yield name, error
    else:
        yield name, data


def _forwarded(part: Message, name: str) -> tuple[str, bytes]:
    inner = next(iter(_children(part)), None)
    if inner is None:
        return attached(name, "message/rfc822"), _data(part)
    if not inner.keys() and "base64" in part.get("Content-Transfer-Encoding", "").lower():
        data = _unpacked(str(inner.get_payload()))  # against the rules, but some servers do it
    else:
        try:
            data = inner.as_bytes()
        except (UnicodeError, LookupError, ValueError, AttributeError, TypeError):
            data = str(inner).encode("utf-8", "replace")
    return attached(name or subject_name(words(inner.get("Subject", ""))), "message/rfc822"), data


def _unpacked(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except (ValueError, binascii.Error):
        return text.encode("utf-8", "replace")


def _is_signed_file(part: Message) -> bool:
    """A file signed by itself, such as an Italian invoice; not a mail signed as a whole."""
    name = _filename(part).lower()
    return name.endswith(".p7m") and name not in ("smime.p7m", ".p7m")


def subject_name(subject: str) -> str:
    """The name that a mail without a file of its own goes by."""
    return f"{safe(subject)[:100].strip() or 'mail'}.eml"


# --- headers -------------------------------------------------------------------------------------------------


def _letter(mail: _Mail) -> Letter:
    headers = mail.headers
    sender = _header(headers, "From") or _header(headers, "Sender")
    sent = _header(headers, "Date")
    return Letter(
        sender, author_of(headers.get("From", "") or headers.get("Sender", "")), _header(headers, "To"),
        _header(headers, "Cc"), _header(headers, "Bcc"), sent, iso_date(sent), _header(headers, "Subject"),
        tuple(mail.bodies), mail.lost,
    )  # fmt: skip


def _header(message: Message, name: str) -> str:
    return ", ".join(filter(None, map(words, message.get_all(name, []))))


def words(raw: str) -> str:
    """A header on one line, with its encoded words decoded, also where a character is cut in two between them."""
    text = re.sub(r"(\?=)\s+(?==\?)", r"\1", " ".join(raw.split()))
    pieces: list[str] = []
    data, charset, end = b"", "", 0
    for match in _WORD.finditer(text):
        if match.start() > end or match[1].lower() != charset:
            pieces.append(letter.decode(data, charset)[0])
            data = b""
        pieces.append(text[end : match.start()])
        charset, end = match[1].lower(), match.end()
        data += _word(match[2].lower(), match[3])
    pieces += (letter.decode(data, charset)[0], text[end:])
    return " ".join("".join(pieces).split())


def _word(form: str, text: str) -> bytes:
    try:
        if form == "q":
            return binascii.a2b_qp(text.encode("utf-8", "replace"), header=True)
        return base64.b64decode(text.encode("ascii", "ignore") + b"==")
    except (ValueError, binascii.Error):
        return text.encode("utf-8", "replace")


def author_of(raw: str) -> str:
    """The name of the first person, or the address."""
    raw = " ".join(raw[:_LONGEST].split())
    try:
        people = getaddresses([raw])
    except RecursionError:  # it follows comments in comments
        people = []
    for name, address in people:
        if said := words(name).strip(" \"'") or (words(address) if not address.startswith("@") else ""):
            return said
    found = re.search(r"[^\s<>,;]+@[^\s<>,;]+", raw)
    return found[0] if found else words(raw)


def iso_date(sent: str) -> str:
    try:
        return parsedate_to_datetime(sent).isoformat()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
