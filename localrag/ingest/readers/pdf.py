"""Read PDFs: page text, labels and the outline by PDFium, the rest by pypdf (docs/decisions/0003).

Tables become Markdown rows, interleaved columns are put in order (`pdf_layout`). Text that is not shown is left out and
reported (`pdf_native`). Running lines are kept once (`text`). Pages that are pictures are recognised (`images`). A
page without text stays, empty, and is reported.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from localrag.errors import ReadError
from localrag.ingest.readers import numbered_lines, pdf_words
from localrag.ingest.readers import pdf_native as native
from localrag.ingest.readers.blocks import HiddenText
from localrag.ingest.readers.headings import Strong, document_headings
from localrag.ingest.readers.pdf_layout import page_text
from localrag.ingest.readers.source import Budget, Member, Names, Options, Source, another_kind, locked, safe
from localrag.text import clean, clean_title, drop_running_lines, one_line, structure_number
from localrag.types import Heading, Page, Reading, Remark, SkippedPage, Word

if TYPE_CHECKING:
    from pypdf import PdfReader

_IN_MEMORY = 100_000_000  # bytes; larger files are read piece by piece
_SCAN = "no text; probably a scan"
_BLANK = "no text; blank"
_UNRECOGNISED = "no text; nothing was recognised in the picture"
_DAMAGED = "damaged; it could not be loaded"
# Fewer are a page number or a stamp beside a picture.
_MIN_LETTERS = 8
_MAX_PAGES = 20_000
_WRONG_PASSWORD, _UNSUPPORTED_SECURITY = 4, 5
_REPRINT = "Open it in a viewer and print it to a new PDF."
_DOTS_PER_POINT = 300 / 72
_MAX_PIXELS = 25_000_000


@dataclass(frozen=True, slots=True)
class _Read:
    """One page: its text, or the reason why there is none; `words` if it was recognised; lines in strong letters."""

    text: str
    reason: str = ""
    words: tuple[Word, ...] = ()
    remarks: tuple[Remark, ...] = ()
    strong: Strong = field(default_factory=dict)


def read(source: Source, options: Options) -> Reading:
    with contextlib.closing(open_document(source, options.passwords)) as document:
        if len(document) > _MAX_PAGES:
            what = f"has {len(document):,} pages, more than the {_MAX_PAGES:,} that are read"
            raise ReadError(what, "Split it into smaller files.")
        found = list(_pages(document, options))
        if not found:
            raise ReadError("is damaged: it has no pages", _REPRINT)
        # Recognised pages keep their running headers and footers, since their words have offsets.
        texts = [page.text if not page.words else "" for page in found]
        lines = numbered_lines.numbered(texts) or [(text, ()) for text in drop_running_lines(texts)]
        found = [one if one.words else replace(one, text=text) for one, (text, _) in zip(found, lines, strict=True)]
        extras = _extras(source, options.passwords, lambda index, quads: _marked_text(document, index, quads))
        found = [_with_notes(page, extras.notes.get(index, ())) for index, page in enumerate(found)]
        if not any(page.text for page in found):
            raise _without_text([page.reason for page in found], options)
        heads = _headings(document, found)
        pages = [
            Page(page.text, number, _label(document, number - 1), head, anchors=anchors, words=page.words)
            for number, (page, head, (_, anchors)) in enumerate(zip(found, heads, lines, strict=True), 1)
        ]
        dates = iso_date(_fact(document, "CreationDate")), extras.date, iso_date(_fact(document, "ModDate"))
        return Reading(
            tuple(pages),
            clean_title(_fact(document, "Title")) or clean_title(extras.title),
            tuple(SkippedPage(number, page.reason) for number, page in enumerate(found, 1) if page.reason),
            tuple(remark for page in found for remark in page.remarks) + tuple(extras.remarks),
            _author(_fact(document, "Author")) or _author(extras.author),
            next(filter(None, dates), ""),
        )


def _with_notes(page: _Read, notes: Sequence[Note]) -> _Read:
    """Add comments and form fields to the end of a page, except comments that the page shows anyway."""
    shown = " ".join(page.text.split())
    new = [note.line for note in notes if not note.drawn or note.drawn not in shown]
    if not new:
        return page
    text = "\n\n".join(filter(None, (page.text, "\n".join(new))))
    return replace(page, text=text, reason="" if page.reason == _BLANK else page.reason)


def _marked_text(document: Any, index: int, quads: Quads) -> str:
    with contextlib.closing(document[index]) as page, contextlib.closing(page.get_textpage()) as textpage:
        return " ".join(textpage.get_text_bounded(*quad) for quad in quads)


def _without_text(reasons: Sequence[str], options: Options) -> ReadError:
    for reason in reasons:
        if reason not in (_SCAN, _BLANK, _DAMAGED, _UNRECOGNISED):
            return ReadError(f"has no text on any page: {reason}", "See `localrag doctor` for the engines.")
    if _UNRECOGNISED in reasons:
        hint = "Open it to see whether it shows text. If it does, scan it again at 300 dpi, or set ocr_languages."
        return ReadError("is a scan in which no text could be recognised", hint)
    if _SCAN in reasons:
        hint = "Text recognition is off; repeat with --ocr auto."
        return ReadError("has no text on any page; it is probably a scan", hint)
    if _BLANK in reasons:
        return ReadError("has no text: its pages are blank", "Open it to see whether it is the right file.")
    return ReadError("is damaged: no page could be loaded", _REPRINT)


def open_document(source: Source, passwords: Sequence[str]) -> Any:
    """Open a document, with one of the passwords if it is encrypted; raise ReadError where that fails."""
    import pypdfium2

    code = None
    for password in (None, *passwords):
        try:
            return pypdfium2.PdfDocument(
                source.read() if source.size < _IN_MEMORY else source.open(), password=password
            )
        except pypdfium2.PdfiumError as error:
            code = error.err_code
            if code != _WRONG_PASSWORD:
                break
    if code == _WRONG_PASSWORD:
        raise locked(passwords)
    if code == _UNSUPPORTED_SECURITY:
        raise ReadError("is encrypted in a way that is not supported", "Save a copy without protection.")
    raise another_kind(source, "a PDF", "a PDF") or ReadError("is damaged, or not a PDF", _REPRINT)


def _pages(document: Any, options: Options) -> Iterator[_Read]:
    """Yield each page; close every native handle, and lose only the page that is damaged."""
    import pypdfium2

    filled = has_form(document)
    characters = 0
    for index in range(len(document)):
        try:
            if filled:
                with contextlib.closing(document[index]) as page:
                    page.flatten()  # filled fields become text of the page; only in memory
            with contextlib.closing(document[index]) as page:
                found = _page(page, index + 1, options)
        except pypdfium2.PdfiumError:
            found = _Read("", _DAMAGED)
        characters += len(found.text)
        if characters > options.characters:
            what = f"has more than the {options.characters:,} characters that may be read"
            raise ReadError(what, "Split it into smaller files.")
        yield found


def _page(page: Any, number: int, options: Options) -> _Read:
    import pypdfium2

    try:
        text, remarks, kinds, strong = _layer(page, number)
    except (pypdfium2.PdfiumError, MemoryError):
        raise
    except Exception as error:  # odd boxes break the layout, not the text
        with contextlib.closing(page.get_textpage()) as textpage:
            text, kinds, strong = pdf_words.tidy(native.text(textpage)), {native.TEXT}, {}
        what = f"its layout is not understood ({type(error).__name__}): tables and hidden text were not detected"
        remarks = (Remark(number, what),)
    letters = sum(map(str.isalnum, text))
    pictured = native.IMAGE in kinds
    bare = letters < _MIN_LETTERS and (pictured or (not letters and bool(kinds - {native.TEXT})))
    if kinds and (options.ocr == "force" or (options.ocr == "auto" and bare)):
        found = _recognised(page, options)
        if found.text or not letters:
            return replace(found, remarks=remarks)
    if letters >= _MIN_LETTERS or (letters and not pictured):
        return _Read(text, remarks=remarks, strong=strong)
    # Letters turned into outlines are drawings too.
    return _Read("", _SCAN if kinds - {native.TEXT} else _BLANK, remarks=remarks)


def _layer(page: Any, number: int) -> tuple[str, tuple[Remark, ...], set[int], Strong]:
    """Return the text that the page shows, remarks on what it does not show, the kinds of its objects, strong lines."""
    hidden = HiddenText()
    with contextlib.ExitStack() as stack:
        textpage = stack.enter_context(contextlib.closing(page.get_textpage()))
        found = native.hide(page, textpage, hidden)
        if found.removed:
            textpage = stack.enter_context(contextlib.closing(page.get_textpage()))
        raw = native.text(textpage)
        visual = pdf_words.is_visual(raw)
        raw = pdf_words.with_ligatures(raw, textpage, visual)
        text = pdf_words.tidy(page_text(page, textpage, raw, found.paths, found.ruled))
        strong = pdf_words.strong_lines(textpage, raw)
    return pdf_words.plain(text, visual), hidden.remarks(number), found.kinds, strong


def _recognised(page: Any, options: Options) -> _Read:
    """Recognise the text of a page drawn as a picture."""
    from localrag.ingest.readers import images

    width, height = page.get_size()
    if width < 1 or height < 1:
        return _Read("", _BLANK)
    scale = min(_DOTS_PER_POINT, (_MAX_PIXELS / (width * height)) ** 0.5)
    try:
        found = images.recognise(page.render(scale=scale).to_pil(), options.languages)
    except ReadError as error:
        return _Read("", f"no text; {error.message}")
    return _Read(found.text, "" if found.text else _UNRECOGNISED, found.words)


def has_form(document: Any) -> bool:
    with contextlib.suppress(Exception):  # a broken form costs its fields, not the file
        if document.get_formtype():
            document.init_forms()
            return True
    return False


def _fact(document: Any, name: str) -> str:
    with contextlib.suppress(Exception):  # a broken entry costs the fact, not the file
        return str(document.get_metadata_value(name))
    return ""


def _author(name: str) -> str:
    return "" if name.strip().lower() in ("anonymous", "unknown", "user", "admin", "administrator", "author") else name


def _label(document: Any, index: int) -> str | None:
    with contextlib.suppress(Exception):
        return clean(document.get_page_label(index)).strip() or None
    return None


_MAX_OUTLINE = 5000


def _headings(document: Any, pages: Sequence[_Read]) -> list[tuple[Heading, ...]]:
    """Return headings from the outline if it covers the document, else from the text."""
    outline = _outline(document, [page.text for page in pages])
    found = document_headings([(page.text, page.strong) for page in pages])
    return _joined(outline, found) if sum(map(len, outline)) >= max(3, len(pages) // 8) else found


def _joined(outline: Sequence[Sequence[Heading]], found: Sequence[Sequence[Heading]]) -> list[tuple[Heading, ...]]:
    """Return the outline's headings, and on pages without any those of the text, below or beside the last entry."""
    joined: list[tuple[Heading, ...]] = []
    stack: list[Heading] = []
    for entries, own in zip(outline, found, strict=True):
        for entry in entries:
            stack = [*(item for item in stack if item.level < entry.level), entry]
        headings = entries or ([replace(heading, level=_level(heading, stack)) for heading in own] if stack else ())
        joined.append(tuple(headings))
    return joined


def _level(heading: Heading, stack: Sequence[Heading]) -> int:
    """Return the level of a heading below an outline's open entries, or beside one of its kind, such as an item."""
    number = structure_number(heading.title)
    kin = (item.level for item in stack if number and (structure_number(item.title) or ("",))[0] == number[0])
    is_beside = heading.level <= 3 and (number or heading.level == 3)
    return next(kin, stack[-1].level + (0 if is_beside else 1 + (heading.level > 4)))


def _outline(document: Any, texts: Sequence[str]) -> list[list[Heading]]:
    """Return the headings of the outline by page, as the page writes them, without cut-off text and names of files."""
    pages: list[list[Heading]] = [[] for _ in texts]
    with contextlib.suppress(Exception):
        for bookmark in islice(document.get_toc(max_depth=8), _MAX_OUTLINE):
            title = one_line(bookmark.get_title())
            target = bookmark.get_dest()
            index = target.get_index() if target is not None else None
            if not clean_title(title) or index is None or not 0 <= index < len(texts):
                continue
            after = pages[index][-1].start + 1 if pages[index] else 0
            if place := _place(texts[index], title, after):
                pages[index].append(Heading(place[0], bookmark.level + 1, place[1]))
    return [sorted(page, key=lambda item: item.start) for page in pages]


_NUMBER = r"(?-i:(?:\d[\d.]*[A-Z]?|[A-Z]{1,7})[.):]?[ \t]+)?"
_MAX_OUTLINE_TITLE = 40  # longer ones may be text that a program cut off
_RUNS_ON = re.compile(r"[ \t]+[a-z(]")


def _place(text: str, title: str, after: int) -> tuple[int, str] | None:
    """Return where a title of the outline is in its page (0 if it is not there), and its words; None if it is text.

    A line of its own after the heading before comes first: running text may contain the title too. Letters may be
    apart ("INSTRUMEN TS").
    """
    words = r"\s+".join(map(re.escape, title.split()))
    for pattern in (rf"^[ \t]*{_NUMBER}{words}[ \t.:]*$", rf"^[ \t]*{_NUMBER}{words}(?!\w)", rf"(?<!\w){words}(?!\w)"):
        compiled = re.compile(pattern, re.I | re.M)
        if match := compiled.search(text, after) or compiled.search(text):
            is_text = len(title) > _MAX_OUTLINE_TITLE and _RUNS_ON.match(text, match.end())
            return None if is_text else (match.start(), title)
    apart = r"\s*".join(map(re.escape, title.replace(" ", "")))
    letters = re.compile(rf"(?<!\w){apart}", re.I)
    if match := letters.search(text, after) or letters.search(text):
        shown = min(" ".join(match[0].split()), title, key=lambda name: name.count(" "))
        return None if text[match.end() : match.end() + 1].isalnum() else (match.start(), shown)
    return 0, title


# --- comments, form fields, signatures, metadata and attached files, by pypdf ------------------------------------

# Comments and form fields become lines in brackets at the end of their page: "[Comment by J. Doe, 2024-03-02, on “the
# rent”: Too high?]". Signatures are reported, not verified. A file that pypdf cannot parse loses these extras, never
# its text, and a remark reports it.

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
class _Extras:
    """`notes` belong to pages by their 0-based index; metadata is empty where there is none."""

    notes: dict[int, list[Note]] = field(default_factory=dict)
    remarks: list[Remark] = field(default_factory=list)
    title: str = ""
    author: str = ""
    date: str = ""


def _extras(source: Source, passwords: Sequence[str], marked_text: MarkedText) -> _Extras:
    """Return what pypdf finds; `marked_text` looks up the words under a highlight."""
    extras = _Extras()
    try:
        with source.open() as stream:
            reader = parsed(stream, passwords)
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


def members(source: Source, options: Options, budget: Budget) -> Iterator[Member]:
    """Yield the files that are attached to the document or pinned to its pages."""
    names = Names()
    with source.open() as stream:
        try:
            reader = parsed(stream, options.passwords)
            pinned = [item["/FS"] for _, item in _annotations(reader) if item.get("/Subtype") == "/FileAttachment"]
            specs: list[Any] = [attachment.pdf_object for attachment in reader.attachment_list]
            specs = [spec.get_object() for spec in (*specs, *pinned)]
        except MemoryError:
            raise
        except Exception:  # `_extras` has reported it
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


def parsed(stream: BinaryIO, passwords: Sequence[str]) -> PdfReader:
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


def _read_fields(reader: PdfReader, pages: dict[int, int], extras: _Extras) -> None:
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
