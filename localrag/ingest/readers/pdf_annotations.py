"""What a PDF holds beside its page text, by pypdf: comments, form fields, signatures, XMP metadata, attached files.

Comments and form fields become lines in brackets at the end of their page: "[Comment by J. Doe, 2024-03-02, on “the
rent”: Too high?]". Signatures are reported, not verified. A file that pypdf cannot parse loses these extras, never its
text, and a remark reports it.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from localrag.errors import ReadError
from localrag.ingest.readers.source import Budget, Member, Names, Source, safe
from localrag.text import clean
from localrag.types import Remark

if TYPE_CHECKING:
    from pypdf import PdfReader

_COMMENTS = dict.fromkeys("/Text /FreeText /Ink /Line /Square /Circle /Polygon /PolyLine".split(), "Comment") | {
    **dict.fromkeys(("/Underline", "/Squiggly"), "Underlined"),
    "/Highlight": "Highlight",
    "/StrikeOut": "Struck out",
    "/Caret": "Insertion",
    "/Stamp": "Stamp",
}
_MAX_ANNOTATIONS = 20_000
_MAX_FIELDS = 5_000
_MAX_LENGTH = 4_000  # characters of one comment or field
_INDEX = re.compile(r"\[\d+\]$")
# The date that reportlab gives documents that are to be the same each time.
_UNSET = re.compile("D:20000101000000")
_DATE = re.compile(r"(?:D:)?\s*(\d{4})(\d\d)?(\d\d)?")

Quads = list[tuple[float, float, float, float]]  # left, bottom, right, top of each marked line, in PDF coordinates
MarkedText = Callable[[int, Quads], str]  # the text of a page (0-based) inside boxes


class Note(NamedTuple):
    """A line to add to a page; not if the page shows `drawn` (text that a viewer draws on the page)."""

    line: str
    drawn: str = ""


@dataclass
class Extras:
    """`notes` belong to pages by their 0-based index; metadata is empty where there is none."""

    notes: dict[int, list[Note]] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)
    title: str = ""
    author: str = ""
    date: str = ""


def read_extras(source: Source, passwords: Sequence[str], marked_text: MarkedText) -> Extras:
    """Return what pypdf finds; `marked_text` looks up the words under a highlight."""
    extras = Extras()
    try:
        with source.open() as stream:
            reader = _open(stream, passwords)
            references = ((page.indirect_reference, index) for index, page in enumerate(reader.pages))
            pages = {int(reference.idnum): index for reference, index in references if reference is not None}
            for index, annotation in _annotations(reader):
                if note := _comment(annotation, index, marked_text):
                    extras.notes.setdefault(index, []).append(note)
            _read_fields(reader, pages, extras)
            if (xmp := reader.xmp_metadata) is not None:
                titles, created = xmp.dc_title or {}, None
                with contextlib.suppress(ValueError):  # LibreOffice writes the year 0 for an unknown date
                    created = xmp.xmp_create_date
                extras.title = clean(titles.get("x-default") or next(iter(titles.values()), ""))
                extras.author = ", ".join(clean(name) for name in xmp.dc_creator or [])
                extras.date = f"{created:%Y-%m-%d}" if created is not None and 1900 <= created.year <= 2100 else ""
    except MemoryError:
        raise
    except Exception as error:  # pypdf raises anything over broken files
        what = f"its comments, form fields and attached files cannot be read ({type(error).__name__})"
        extras.remarks.append(Remark(None, what))
    return extras


def attached_files(source: Source, passwords: Sequence[str], budget: Budget) -> Iterator[Member]:
    """Yield the files that are attached to the document or pinned to its pages."""
    names = Names()
    with source.open() as stream:
        try:
            reader = _open(stream, passwords)
            pinned = [item["/FS"] for _, item in _annotations(reader) if item.get("/Subtype") == "/FileAttachment"]
            specs: list[Any] = [attachment.pdf_object for attachment in reader.attachment_list]
            specs = [spec.get_object() for spec in (*specs, *pinned)]
        except MemoryError:
            raise
        except Exception:  # `read_extras` has reported it
            return
        for number, spec in enumerate(specs, 1):
            name = f"attachment {number}"
            try:
                name = safe(_text(spec.get("/UF") or spec.get("/F")).replace("\\", "/").rsplit("/", 1)[-1]) or name
                name = names.unique(name)
                contents = spec["/EF"].get_object()
                data = bytes((contents.get("/UF") or contents["/F"]).get_object().get_data())
            except Exception as error:
                what = f"is damaged in the PDF, or too large ({type(error).__name__})"
                yield Member(name, refused=ReadError(what, "Save it from a PDF viewer."))
                continue
            budget.take(len(data))
            yield Member(name, Source(name, data=data))


def _open(stream: BinaryIO, passwords: Sequence[str]) -> PdfReader:
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    reader = PdfReader(stream, strict=False)
    if reader.is_encrypted and not any(reader.decrypt(password) for password in ("", *passwords)):
        raise ValueError("encrypted")
    return reader


def _annotations(reader: PdfReader) -> Iterator[tuple[int, Any]]:
    found = ((index, item) for index, page in enumerate(reader.pages) for item in page.get("/Annots") or ())
    for index, reference in islice(found, _MAX_ANNOTATIONS):
        if hasattr(annotation := reference.get_object(), "get"):
            yield index, annotation


def _comment(annotation: Any, index: int, marked_text: MarkedText) -> Note | None:
    kind = _COMMENTS.get(str(annotation.get("/Subtype")))
    if kind is None:
        return None
    text = _text(annotation.get("/Contents"))
    points = [float(value) for value in annotation.get("/QuadPoints") or ()][:800]
    lines = [points[start : start + 8] for start in range(0, len(points) - 7, 8)]
    quads = [(min(quad[0::2]), min(quad[1::2]), max(quad[0::2]), max(quad[1::2])) for quad in lines]
    marked = " ".join(clean(marked_text(index, quads)).split())[:_MAX_LENGTH] if quads else ""
    if not text and not marked:
        return None
    if annotation.get("/IRT"):
        kind = "Reply"
    elif text and kind != "Insertion":
        kind = "Comment"
    author, date = _text(annotation.get("/T")), iso_date(str(annotation.get("/M") or ""))
    head = f"{kind} by {author}" if author else kind
    head += f", {date}" if date else ""
    if text and marked and " ".join(text.split()) != marked:
        return Note(f"[{head}, on “{marked}”: {text}]")
    return Note(f"[{head}: {text or f'“{marked}”'}]", text if annotation["/Subtype"] == "/FreeText" else "")


def _text(value: Any) -> str:
    if value is None:
        return ""
    value = value.get_object() if hasattr(value, "get_object") else value
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return " ".join(clean(str(value)).split())[:_MAX_LENGTH] if isinstance(value, str | int | float) else ""


def _read_fields(reader: PdfReader, pages: dict[int, int], extras: Extras) -> None:
    for name, item in islice((reader.get_fields() or {}).items(), _MAX_FIELDS):
        kind, value = item.get("/FT"), item.get("/V")
        if kind == "/Sig":
            if value is not None:
                extras.remarks.append(Remark(None, _signature(value.get_object())))
            continue
        shown = _field_value(kind, value, item.get("/_States_", ()))
        if not shown:
            continue
        label = _text(item.get("/TU")) or _INDEX.sub("", name.rsplit(".", 1)[-1])
        reference = item.indirect_reference
        index = _page_of(reference.get_object() if reference is not None else None, pages)
        extras.notes.setdefault(index, []).append(Note(f"[Form field {clean(label)}: {shown}]"))


def _field_value(kind: Any, value: Any, states: Sequence[Any]) -> str:
    if isinstance(value, list):
        return ", ".join(filter(None, map(_text, value)))
    if kind != "/Btn":
        return _text(value)
    if value is None:
        return ""
    off = str(value) == "/Off"
    if len([state for state in states if state != "/Off"]) > 1:  # radio buttons
        return "" if off else str(value).lstrip("/")
    return "no" if off else "yes"


def _page_of(item: Any, pages: dict[int, int]) -> int:
    """Return the page of a field's first widget; the first page where unknown."""
    for widget in [item, *(kid.get_object() for kid in (item or {}).get("/Kids", ())[:1])]:
        reference = widget.raw_get("/P") if widget is not None and "/P" in widget else None
        if reference is not None and hasattr(reference, "idnum"):
            return pages.get(int(reference.idnum), 0)
    return 0


def _signature(value: Any) -> str:
    name, date = _text(value.get("/Name")), iso_date(str(value.get("/M") or ""))
    signed = f"signed by {name}" if name else "signed"
    reason = f", reason: {reason}" if (reason := _text(value.get("/Reason"))) else ""
    return f"is digitally {signed}{f' on {date}' if date else ''}{reason}; the signature was not verified"


def iso_date(text: str) -> str:
    """Return the day of a PDF date ("D:20240302101500+01'00'") in ISO 8601, or its year; empty where it is none."""
    match = _DATE.match(text.strip())
    if match is None or not "1900" <= match[1] <= "2100" or _UNSET.match(text.strip()):
        return ""
    with contextlib.suppress(ValueError):
        return datetime.date(int(match[1]), int(match[2] or 0), int(match[3] or 0)).isoformat()
    return match[1]
