"""PDF: the text of each page, its label, the outline as headings, passwords; all by PDFium.

PDFium reads an outline and page labels in milliseconds where pypdf takes up to a second for the same file, and
it decrypts by itself (docs/decisions/0003). A page without text is kept, empty, and reported. Text is in the order
in which the file draws it. Not done: OCR, tables, columns, text that is drawn invisibly.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from localrag.errors import ReadError
from localrag.readers.cleaning import clean, clean_title
from localrag.readers.headings import drop_running, find_headings
from localrag.readers.source import Options, Source, looks_like
from localrag.types import Heading, Page, Reading, SkippedPage

_SCAN = "no text; probably a scan"
_BLANK = "no text; blank"
_DAMAGED = "damaged; it could not be loaded"
# A page number or a stamp beside a picture is no text of the page.
_LEAST_LETTERS = 8
_MOST_OUTLINE = 5000
_WRONG_PASSWORD, _UNSUPPORTED_SECURITY = 4, 5
_REPRINT = "Open it in a viewer and print it to a new PDF."


def read(source: Source, options: Options) -> Reading:
    with contextlib.closing(_open(source, options.passwords)) as document:
        texts = list(_texts(document))
        if not texts:
            raise ReadError("is damaged: it has no pages", _REPRINT)
        if not any(text for text, _ in texts):
            raise _without_text([reason for _, reason in texts])
        headings = _headings(document, [text for text, _ in texts])
        pages = [
            Page(text, index + 1, _label(document, index), headings[index]) for index, (text, _) in enumerate(texts)
        ]
        skipped = [SkippedPage(number, reason) for number, (_, reason) in enumerate(texts, 1) if reason]
        return Reading(tuple(pages), _title(document), tuple(skipped))


def _without_text(reasons: Sequence[str]) -> ReadError:
    if _SCAN in reasons:
        return ReadError(
            "has no text on any page; it is probably a scan",
            "It needs text recognition (OCR), which localrag does not do yet: have it recognised by a scanner program.",
        )
    if _BLANK in reasons:
        return ReadError("has no text: its pages are blank", "Open it to see whether it is the right file.")
    return ReadError("is damaged: no page could be loaded", _REPRINT)


def _open(source: Source, passwords: Sequence[str]) -> Any:
    import pypdfium2

    code = None
    for password in (None, *passwords):
        try:
            return pypdfium2.PdfDocument(source.native(), password=password)
        except pypdfium2.PdfiumError as error:
            code = error.err_code
            if code != _WRONG_PASSWORD:
                break
    if code == _WRONG_PASSWORD:
        tried = "and none of the passwords given opens it" if passwords else "and no password was given"
        raise ReadError(f"is encrypted, {tried}", "Save a copy without a password, or give its password.")
    if code == _UNSUPPORTED_SECURITY:
        raise ReadError("is encrypted in a way that is not supported", "Save a copy without protection.")
    kind = looks_like(source)
    if kind and not kind.startswith("a PDF"):
        raise ReadError(f"is not a PDF but {kind}", "Give the file the suffix of its real type.")
    raise ReadError("is damaged, or not a PDF", "Open it in a viewer and print it to a new PDF.")


def _texts(document: Any) -> Iterator[tuple[str, str]]:
    """The text of each page, or why there is none; every native handle is given back."""
    import pypdfium2

    filled = _has_form(document)
    for index in range(len(document)):
        try:
            if filled:
                with contextlib.closing(document[index]) as page:
                    page.flatten()  # what was filled in becomes text of the page; only in memory
            with contextlib.closing(document[index]) as page:
                with contextlib.closing(page.get_textpage()) as textpage:
                    text = _tidy(textpage.get_text_range())
                letters = sum(1 for _ in islice(filter(str.isalnum, text), _LEAST_LETTERS))
                kinds = set() if letters >= _LEAST_LETTERS else {item.type for item in page.get_objects(max_depth=2)}
            if letters and pypdfium2.raw.FPDF_PAGEOBJ_IMAGE not in kinds:
                yield text, ""
            else:
                # Letters turned into outlines are drawings as well.
                yield "", _SCAN if kinds - {pypdfium2.raw.FPDF_PAGEOBJ_TEXT} else _BLANK
        except pypdfium2.PdfiumError:
            yield "", _DAMAGED


def _has_form(document: Any) -> bool:
    with contextlib.suppress(Exception):  # a broken form costs its fields, not the file
        if document.get_formtype():
            document.init_forms()
            return True
    return False


# --- text ----------------------------------------------------------------------------------------------------

# PDFium writes U+FFFE (U+0002 in older builds) for a hyphen at the end of a line, and joins the lines.
_HYPHEN = re.compile(r"(\w*)[\ufffe\x02][ \r\n]*(\w*)")
_KEEP_HYPHEN = frozenset(
    "all anti best co cross ex full half high inter long low mid multi non on post pre re self semi short sub third "
    "two well year zero".split()
)
_LINE_END_SPACES = re.compile(r"[ \t]+(?=\n|$)")
_MANY_BLANKS = re.compile(r"\n{4,}")


def _tidy(raw: str) -> str:
    text = raw
    if "\ufffe" in raw or "\x02" in raw:  # rare, and the search for words around them is slow
        text = _HYPHEN.sub(lambda match: _joined(match[1], match[2], raw), raw)
    return _MANY_BLANKS.sub("\n\n\n", _LINE_END_SPACES.sub("", clean(text))).strip("\n")


def _joined(left: str, right: str, page: str) -> str:
    """The halves of a word cut at a line's end: "con", "tract" joined, "Non", "Interested" with their hyphen."""
    if not left or not right:
        return f"{left}-{right}"
    if f"{left}-{right}".lower() in page.lower():
        return f"{left}-{right}"
    if not right[0].islower() or not left[-1].isalpha() or left.lower() in _KEEP_HYPHEN:
        return f"{left}-{right}"
    return left + right


# --- title, labels, outline --------------------------------------------------------------------------------------


def _title(document: Any) -> str:
    with contextlib.suppress(Exception):  # a broken entry costs the title, not the file
        return clean_title(document.get_metadata_value("Title"))
    return ""


def _label(document: Any, index: int) -> str | None:
    with contextlib.suppress(Exception):
        return clean(document.get_page_label(index)).strip() or None
    return None


def _headings(document: Any, texts: Sequence[str]) -> list[tuple[Heading, ...]]:
    """From the outline where it covers the document, else from the text."""
    outline = _outline(document, texts)
    if sum(map(len, outline)) >= max(3, len(texts) // 8):
        return outline
    return drop_running([(text, find_headings(text)) for text in texts])


def _outline(document: Any, texts: Sequence[str]) -> list[tuple[Heading, ...]]:
    pages: list[list[Heading]] = [[] for _ in texts]
    with contextlib.suppress(Exception):
        for count, bookmark in enumerate(document.get_toc(max_depth=8)):
            if count >= _MOST_OUTLINE:
                break
            title = " ".join(clean(bookmark.get_title()).split())[:200]
            target = bookmark.get_dest()
            index = target.get_index() if target is not None else None
            if title and index is not None and 0 <= index < len(texts):
                start = _place(texts[index], title, pages[index][-1].start + 1 if pages[index] else 0)
                pages[index].append(Heading(start, bookmark.level + 1, title))
    return [tuple(sorted(page, key=lambda item: item.start)) for page in pages]


_NUMBER = r"(?-i:(?:\d[\d.]*[A-Z]?|[A-Z]{1,7})[.):]?[ \t]+)?"


def _place(text: str, title: str, after: int) -> int:
    """Where an outline's title stands in its page; 0 where it is not found.

    On a line of its own first, behind the heading before it: running text may name the title as well.
    """
    words = r"\s+".join(map(re.escape, title.split()))
    for pattern in (rf"^[ \t]*{_NUMBER}{words}[ \t.:]*$", rf"^[ \t]*{_NUMBER}{words}(?!\w)", rf"(?<!\w){words}(?!\w)"):
        compiled = re.compile(pattern, re.I | re.M)
        if match := compiled.search(text, after) or compiled.search(text):
            return match.start()
    return 0
