"""The ZIP packages of Office documents: the main part, and the parts it refers to.

Only the parts that are asked for are unpacked, so a missing picture or a broken chart does not cost the text, and a
huge embedded file costs nothing. The Strict form of the format is read as the ordinary one. Parts that declare
entities are refused: Office never writes any, and they are how a small file asks for all memory.
"""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from localrag.errors import ReadError
from localrag.readers.cleaning import clean_title
from localrag.readers.safe_xml import parse

# What opening a damaged package or unpacking a damaged part raises.
DAMAGED = (
    zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, IndexError, NotImplementedError, RuntimeError,
    ElementTree.ParseError,
)  # fmt: skip
_LARGEST_PART = 400_000_000
_RELATIONS = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
_STRICT = b"http://purl.oclc.org/ooxml/"
_ORDINARY = (
    (_STRICT + b"officeDocument/relationships", b"http://schemas.openxmlformats.org/officeDocument/2006/relationships"),
    (_STRICT + b"wordprocessingml/main", b"http://schemas.openxmlformats.org/wordprocessingml/2006/main"),
)  # fmt: skip


class Package:
    """An open archive; one of `DAMAGED` is raised where it is no sound package."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._names = {name.lower(): name for name in archive.namelist()}
        top = self._targets("")
        if "officeDocument" not in top:
            raise ValueError("it names no document")
        self._main = top["officeDocument"]
        self._core = top.get("core-properties", "")
        self._targets_of_main = self._targets(self._main)
        self.main = self._xml(self._main)

    def related(self, kind: str) -> Element | None:
        """The part that the main one refers to as `kind` ("styles", "footnotes"); None if missing or damaged."""
        try:
            return self._xml(self._targets_of_main[kind])
        except DAMAGED:
            return None

    def title(self) -> str:
        """The title in the document's properties, if it says something."""
        try:
            return clean_title(self._xml(self._core).findtext("{http://purl.org/dc/elements/1.1/}title") or "")
        except DAMAGED:
            return ""

    def _targets(self, part: str) -> dict[str, str]:
        """The parts that `part` refers to, by the last word of the relation's type."""
        folder, name = posixpath.split(part)
        listing = posixpath.join(folder, "_rels", f"{name}.rels")
        found: dict[str, str] = {}
        if part and listing.lower() not in self._names:
            return found
        for relation in self._xml(listing).iter(_RELATIONS):
            if relation.get("TargetMode") != "External":
                target = posixpath.join("/", folder, unquote(relation.get("Target", "")))
                found.setdefault(relation.get("Type", "").rsplit("/", 1)[-1], posixpath.normpath(target).lstrip("/"))
        return found

    def _xml(self, part: str) -> Element:
        info = self._archive.getinfo(self._names[part.lower()])
        if info.file_size > _LARGEST_PART:
            raise ReadError(f"is too large: {part!r} in it has {info.file_size:,} bytes", "Split the document.")
        with self._archive.open(info) as stream:
            data = stream.read(_LARGEST_PART)
        if _STRICT in data[:8192]:
            for strict, ordinary in _ORDINARY:
                data = data.replace(strict, ordinary)
        return parse(data)
