"""Read electronic books (EPUB 2 and 3): each part with text is a chapter, in reading order.

A chapter's label is its title in the table of contents, else its first heading. Nothing is extracted to the disk, names
in the package are only looked up. Pictures, sound and fonts are not opened. Books protected by DRM are refused.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from localrag.errors import ReadError
from localrag.ingest.readers.cleaning import clean, clean_title
from localrag.ingest.readers.package import DAMAGED, parse_xml
from localrag.ingest.readers.source import Budget, Options, Source, another_kind
from localrag.ingest.readers.text import decode_html
from localrag.ingest.readers.web import text_of
from localrag.types import Page, Reading, Remark, SkippedPage

_OPF = "{http://www.idpf.org/2007/opf}"
_DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"
_ENCRYPTION_METHOD = "{http://www.w3.org/2001/04/xmlenc#}EncryptionMethod"
_FONT_METHODS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_TEXTS = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document")
_MAX_CHAPTERS = 20_000


def read(source: Source, options: Options) -> Reading:
    try:
        with source.open() as stream, zipfile.ZipFile(stream) as archive:
            return _Book(archive, Budget(options)).reading()
    except DAMAGED as error:
        if other := another_kind(source, "an EPUB book", "a ZIP"):
            raise other from error
        raise ReadError(f"is damaged, or not an EPUB book ({_short(error)})", "Get the book again.") from error


def _short(error: Exception) -> str:
    return clean(" ".join(str(error).split())[:100])


class _Book:
    def __init__(self, archive: zipfile.ZipFile, budget: Budget) -> None:
        self._archive = archive
        self._budget = budget
        self._names = {name.lower(): name for name in archive.namelist()}
        if "meta-inf/encryption.xml" in self._names:
            methods = parse_xml(self._bytes("META-INF/encryption.xml")).iter(_ENCRYPTION_METHOD)
            if any(method.get("Algorithm") not in _FONT_METHODS for method in methods):
                raise ReadError("is protected by DRM", "Ask whoever sold it for a copy without protection.")
        container = parse_xml(self._bytes("META-INF/container.xml"))
        root = next((item.get("full-path", "") for item in container.iter() if item.tag.endswith("}rootfile")), "")
        if not root:
            raise ValueError("it names no package document")
        self._folder = posixpath.dirname(root)
        self._package = parse_xml(self._bytes(root))
        self._items = {item.get("id", ""): item for item in self._package.iter(f"{_OPF}item")}

    def reading(self) -> Reading:
        labels = dict(reversed(list(self._labels())))  # the first for each part
        pages: list[Page] = []
        skipped: list[SkippedPage] = []
        remarks: list[Remark] = []
        for name in self._chapters():
            number, label = len(pages) + 1, labels.get(name.lower())
            try:
                text, headings, found = text_of(decode_html(self._bytes(name))[0])
            except DAMAGED as error:
                pages.append(Page("", number, label, unit="chapter"))
                skipped.append(SkippedPage(number, f"this chapter is damaged or missing ({_short(error)})"))
                continue
            remarks += (replace(remark, number=number) for remark in found)
            if text:
                label = label or (headings[0].title if headings else None)
                pages.append(Page(text, number, label, headings, unit="chapter"))
        dates = sorted(
            self._metadata("date"), key=lambda item: item.get(f"{_OPF}event", "publication") != "publication"
        )
        date = re.match(r"\d{4}(?:-\d\d(?:-\d\d)?)?", _words(dates[0])) if dates else None
        return Reading(
            tuple(pages),
            clean_title(next(map(_words, self._metadata("title")), "")),
            tuple(skipped),
            tuple(remarks),
            clean_title("; ".join(dict.fromkeys(map(_words, self._metadata("creator"))))),
            date[0] if date else "",
        )

    def _metadata(self, name: str) -> list[Element]:
        return [item for item in self._package.iter(f"{_DUBLIN_CORE}{name}") if _words(item)]

    def _chapters(self) -> list[str]:
        """Return the names of the texts in reading order, each once, without the table of contents."""
        found: dict[str, None] = {}
        for reference in self._package.iter(f"{_OPF}itemref"):
            item = self._items.get(reference.get("idref", ""))
            if item is None or "nav" in (item.get("properties") or "").split():
                continue
            if item.get("media-type", _TEXTS[0]).lower() in _TEXTS:
                found.setdefault(self._path(self._folder, item.get("href", "")))
        return list(found)[:_MAX_CHAPTERS]

    def _labels(self) -> Iterator[tuple[str, str]]:
        """Yield parts of the book and their titles in the tables of contents of EPUB 3 and EPUB 2."""
        for item in self._items.values():
            is_nav = "nav" in (item.get("properties") or "").split()
            if not is_nav and item.get("media-type") != "application/x-dtbncx+xml":
                continue
            name = self._path(self._folder, item.get("href", ""))
            try:
                # XML does not know the entities of XHTML; a title can do without them.
                root = parse_xml(re.sub(rb"&(?!(?:amp|lt|gt|quot|apos|#\w+);)[a-zA-Z]\w*;", b" ", self._bytes(name)))
            except (*DAMAGED, ReadError):
                continue  # chapters are named by their headings
            for title, target in _links(root) if is_nav else _points(root):
                yield self._path(posixpath.dirname(name), target).lower(), title[:200]

    def _path(self, folder: str, target: str) -> str:
        return posixpath.normpath(posixpath.join(folder, unquote(target.partition("#")[0]))).lstrip("/")

    def _bytes(self, name: str) -> bytes:
        if name.lower() not in self._names:
            raise KeyError(f"{name} is missing")
        with self._archive.open(self._names[name.lower()]) as stream:
            return self._budget.unpack(stream)  # type: ignore[arg-type]


def _points(root: Element) -> Iterator[tuple[str, str]]:
    ncx = "{http://www.daisy.org/z3986/2005/ncx/}"
    for point in root.iter(f"{ncx}navPoint"):
        label, content = point.find(f"{ncx}navLabel"), point.find(f"{ncx}content")
        if label is not None and content is not None and (title := _words(label)):
            yield title, content.get("src", "")


def _links(root: Element) -> Iterator[tuple[str, str]]:
    xhtml = "{http://www.w3.org/1999/xhtml}"
    for nav in root.iter(f"{xhtml}nav"):
        if nav.get("{http://www.idpf.org/2007/ops}type", "toc") == "toc":
            yield from ((title, link.get("href", "")) for link in nav.iter(f"{xhtml}a") if (title := _words(link)))


def _words(element: Element) -> str:
    return " ".join(clean("".join(element.itertext())).split())
