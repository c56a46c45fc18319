"""Electronic books (EPUB 2 and 3): each part of the spine that has text is a chapter, in the order of reading.

A chapter's label is its title in the table of contents, else its first heading. Nothing is extracted to the disk:
names in the package are only looked up. Pictures, sound and fonts are not opened, notes stay where the book has them.
Books protected by DRM are refused; fonts that are only obfuscated do not matter.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from localrag.errors import ReadError
from localrag.ingest.readers import package as safe_xml
from localrag.ingest.readers.cleaning import clean, clean_title
from localrag.ingest.readers.source import Budget, Options, Source, another_kind
from localrag.ingest.readers.text import decode_html
from localrag.ingest.readers.web import text_of
from localrag.types import Page, Reading, Remark, SkippedPage

_OPF = "{http://www.idpf.org/2007/opf}"
_DUBLIN = "{http://purl.org/dc/elements/1.1/}"
_NCX = "{http://www.daisy.org/z3986/2005/ncx/}"
_XHTML = "{http://www.w3.org/1999/xhtml}"
_ENCRYPTED = "{http://www.w3.org/2001/04/xmlenc#}"
_FONTS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_TEXTS = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document")
_DAMAGED = (
    *safe_xml.PARSE_ERRORS, zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError, RuntimeError,
)  # fmt: skip
_MOST_CHAPTERS = 20_000


def read(source: Source, options: Options) -> Reading:
    try:
        with source.open() as stream, zipfile.ZipFile(stream) as archive:
            return _Book(archive, Budget(options)).reading()
    except ReadError:
        raise
    except _DAMAGED as error:
        if other := another_kind(source, "an EPUB book", "a ZIP"):
            raise other from error
        reason = clean(" ".join(str(error).split())[:100])
        raise ReadError(
            f"is damaged, or not an EPUB book ({reason})", "Get the book anew from where it came."
        ) from error


class _Book:
    """An open package; one of `_DAMAGED` is raised where it is no sound one."""

    def __init__(self, archive: zipfile.ZipFile, budget: Budget) -> None:
        self._archive = archive
        self._budget = budget
        self._names = {name.lower(): name for name in archive.namelist()}
        self._refuse_protected()
        container = safe_xml.parse_xml(self._bytes("META-INF/container.xml"))
        roots = [item.get("full-path", "") for item in container.iter() if item.tag.endswith("}rootfile")]
        if not roots:
            raise ValueError("it names no package document")
        self._base = posixpath.dirname(roots[0])
        self._package = safe_xml.parse_xml(self._bytes(roots[0]))
        self._items = {item.get("id", ""): item for item in self._package.iter(f"{_OPF}item")}

    def reading(self) -> Reading:
        labels = self._labels()
        pages: list[Page] = []
        skipped: list[SkippedPage] = []
        remarks: list[Remark] = []
        for name in self._spine():
            number = len(pages) + 1
            try:
                html, _ = decode_html(self._bytes(name))
                text, headings, said = text_of(html)
            except _DAMAGED as error:
                reason = clean(" ".join(str(error).split())[:100])
                pages.append(Page("", number, labels.get(name.lower()), unit="chapter"))
                skipped.append(SkippedPage(number, f"this part of the book is damaged or missing ({reason})"))
                continue
            remarks += (replace(remark, number=number) for remark in said)
            if text:
                label = labels.get(name.lower()) or (headings[0].title if headings else None)
                pages.append(Page(text, number, label, headings, unit="chapter"))
        creators = [words for item in self._package.iter(f"{_DUBLIN}creator") if (words := _words(item))]
        dates = [item for item in self._package.iter(f"{_DUBLIN}date") if (item.text or "").strip()]
        dates.sort(key=lambda item: item.get(f"{_OPF}event", "publication") != "publication")
        title = next((words for item in self._package.iter(f"{_DUBLIN}title") if (words := _words(item))), "")
        return Reading(
            tuple(pages),
            clean_title(title),
            tuple(skipped),
            tuple(remarks),
            clean_title("; ".join(dict.fromkeys(creators))),
            _iso(dates[0].text or "") if dates else "",
        )

    def _refuse_protected(self) -> None:
        """What is encrypted tells by which algorithm; fonts are the one thing that may be."""
        if "meta-inf/encryption.xml" not in self._names:
            return
        root = safe_xml.parse_xml(self._bytes("META-INF/encryption.xml"))
        methods = [
            method.get("Algorithm", "") if (method := data.find(f"{_ENCRYPTED}EncryptionMethod")) is not None else ""
            for data in root.iter(f"{_ENCRYPTED}EncryptedData")
        ]
        if any(method not in _FONTS for method in methods):
            raise ReadError("is protected by DRM", "Ask whoever sold it for a copy without protection.")

    def _spine(self) -> Iterator[str]:
        """The names of the texts in reading order, each once, without the table of contents."""
        seen: set[str] = set()
        for reference in self._package.iter(f"{_OPF}itemref"):
            item = self._items.get(reference.get("idref", ""))
            if item is None or "nav" in (item.get("properties") or "").split():
                continue
            name = self._path(self._base, item.get("href", ""))
            if item.get("media-type", _TEXTS[0]).lower() in _TEXTS and name not in seen and len(seen) < _MOST_CHAPTERS:
                seen.add(name)
                yield name

    def _labels(self) -> dict[str, str]:
        """Titles in the table of contents by the part of the book they lead to; the first for each part."""
        found: dict[str, str] = {}
        for item in self._items.values():
            is_nav = "nav" in (item.get("properties") or "").split()
            if not is_nav and item.get("media-type") != "application/x-dtbncx+xml":
                continue
            name = self._path(self._base, item.get("href", ""))
            try:
                root = safe_xml.parse_xml(_without_names(self._bytes(name)))
            except (*_DAMAGED, ReadError):
                continue  # chapters then go by their headings
            for title, target in _links(root) if is_nav else _points(root):
                found.setdefault(self._path(posixpath.dirname(name), target).lower(), title[:200])
        return found

    def _path(self, base: str, target: str) -> str:
        return posixpath.normpath(posixpath.join(base, unquote(target.partition("#")[0]))).lstrip("/")

    def _bytes(self, name: str) -> bytes:
        real = self._names.get(name.lower())
        if real is None:
            raise KeyError(f"{name} is missing")
        with self._archive.open(real) as stream:
            return self._budget.unpack(stream)  # type: ignore[arg-type]


def _points(root: Element) -> Iterator[tuple[str, str]]:
    """The table of contents of EPUB 2."""
    for point in root.iter(f"{_NCX}navPoint"):
        label, content = point.find(f"{_NCX}navLabel"), point.find(f"{_NCX}content")
        if label is not None and content is not None and (title := _words(label)):
            yield title, content.get("src", "")


def _links(root: Element) -> Iterator[tuple[str, str]]:
    """The table of contents of EPUB 3; landmarks and lists of pages are not titles."""
    for nav in root.iter(f"{_XHTML}nav"):
        if nav.get("{http://www.idpf.org/2007/ops}type", "toc") == "toc":
            for link in nav.iter(f"{_XHTML}a"):
                if title := _words(link):
                    yield title, link.get("href", "")


_ENTITY = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);)[a-zA-Z]\w*;")


def _without_names(data: bytes) -> bytes:
    """XHTML's named characters are not XML's; a title can do without them."""
    return _ENTITY.sub(b" ", data)


def _words(element: Element) -> str:
    return " ".join(clean("".join(element.itertext())).split())


def _iso(value: str) -> str:
    match = re.match(r"\d{4}(?:-\d\d(?:-\d\d)?)?", value.strip())
    return match[0] if match else ""
