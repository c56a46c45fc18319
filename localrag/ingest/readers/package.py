"""The ZIP packages of Office documents: the main part, and the parts it refers to.

Only the parts that are asked for are unpacked, so a missing picture or a broken chart does not cost the text, and a
huge embedded file costs nothing. What is unpacked is bounded, part by part and all together. The Strict form of the
format is read as the ordinary one. Parts that declare entities are refused: Office never writes any, and they are how
a small file asks for all memory. Relations that lead out of the package are not followed.
"""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from dataclasses import dataclass
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from localrag.errors import ReadError
from localrag.ingest.readers.cleaning import clean, clean_title
from localrag.ingest.readers.safe_xml import parse
from localrag.ingest.readers.source import Options, Source, another_kind, encrypted_office

# What opening a damaged package or unpacking a damaged part raises.
DAMAGED = (
    zipfile.BadZipFile, zlib.error, LookupError, ValueError, EOFError, NotImplementedError, RuntimeError,
    ElementTree.ParseError,
)  # fmt: skip
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"  # of attributes such as r:id
_LARGEST_PART = 400_000_000
_RELATIONS = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
_DUBLIN = "{http://purl.org/dc/elements/1.1/}"
_TERMS = "{http://purl.org/dc/terms/}"
_STRICT = b"http://purl.oclc.org/ooxml/"
_ORDINARY = tuple(
    (_STRICT + strict, b"http://schemas.openxmlformats.org/" + ordinary)
    for strict, ordinary in (
        (b"officeDocument/relationships", b"officeDocument/2006/relationships"),
        (b"officeDocument/math", b"officeDocument/2006/math"),
        (b"wordprocessingml/main", b"wordprocessingml/2006/main"),
        (b"presentationml/main", b"presentationml/2006/main"),
        (b"drawingml/main", b"drawingml/2006/main"),
        (b"drawingml/chart", b"drawingml/2006/chart"),
        (b"drawingml/diagram", b"drawingml/2006/diagram"),
    )
)


@dataclass(frozen=True, slots=True)
class Relation:
    """What a part refers to: the last word of the relation's type ("slide", "styles"), and the part's name."""

    kind: str
    target: str


class Package:
    """An open archive; one of `DAMAGED` is raised where it is no sound package."""

    def __init__(self, archive: zipfile.ZipFile, options: Options) -> None:
        self._archive = archive
        self._limit = self._left = options.unpacked
        self._names = {name.lower(): name for name in archive.namelist()}
        self._relations: dict[str, dict[str, Relation]] = {}
        top = {relation.kind: relation.target for relation in reversed(self.relations("").values())}
        if "officeDocument" not in top:
            raise ValueError("it names no document")
        self.main_name = top["officeDocument"]
        self.main = self._xml(self.main_name)
        self._core = self.part(top.get("core-properties", ""))

    def part(self, name: str) -> Element | None:
        """The root of a part; None if it is missing or damaged."""
        try:
            return self._xml(name)
        except DAMAGED:
            return None

    def related(self, kind: str, part: str | None = None) -> Element | None:
        """The first part that `part` (the main one) refers to as `kind` ("styles", "footnotes"); None if missing."""
        name = self.target(kind, self.main_name if part is None else part)
        return self.part(name) if name else None

    def target(self, kind: str, part: str) -> str:
        """The name of the first part that `part` refers to as `kind`, or nothing."""
        return next((item.target for item in self.relations(part).values() if item.kind == kind), "")

    def relations(self, part: str) -> dict[str, Relation]:
        """What `part` refers to inside the package, by the relation's identifier; empty if that cannot be told."""
        if part not in self._relations:
            try:
                self._relations[part] = self._read_relations(part)
            except DAMAGED:
                if not part:
                    raise
                self._relations[part] = {}
        return self._relations[part]

    def title(self) -> str:
        """The title in the document's properties, if it says something."""
        return clean_title(self._property(f"{_DUBLIN}title"))

    def author(self) -> str:
        return " ".join(clean(self._property(f"{_DUBLIN}creator")).split())[:200]

    def date(self) -> str:
        """When the document was last changed, as far as its properties say."""
        return iso_date(self._property(f"{_TERMS}modified") or self._property(f"{_TERMS}created"))

    def _property(self, name: str) -> str:
        return (self._core.findtext(name) or "") if self._core is not None else ""

    def _read_relations(self, part: str) -> dict[str, Relation]:
        folder, name = posixpath.split(part)
        listing = posixpath.join(folder, "_rels", f"{name}.rels")
        found: dict[str, Relation] = {}
        if part and listing.lower() not in self._names:
            return found
        for element in self._xml(listing).iter(_RELATIONS):
            if element.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, unquote(element.get("Target", ""))))
                kind = element.get("Type", "").rsplit("/", 1)[-1]
                found.setdefault(element.get("Id", ""), Relation(kind, target.lstrip("/")))
        return found

    def _xml(self, part: str) -> Element:
        info = self._archive.getinfo(self._names[part.lower()])
        if info.file_size > _LARGEST_PART:
            raise ReadError(f"is too large: {part!r} in it has {info.file_size:,} bytes", "Split the document.")
        with self._archive.open(info) as stream:
            data = stream.read(min(_LARGEST_PART, self._left) + 1)
        self._left -= len(data)
        if self._left < 0:
            raise ReadError(f"unpacks to more than {self._limit:,} bytes", "If it is meant to, raise read_unpacked_mb.")
        if _STRICT in data[:8192]:
            for strict, ordinary in _ORDINARY:
                data = data.replace(strict, ordinary)
        return parse(data)


def iso_date(text: str) -> str:
    """A date and time as documents' properties hold it, if it is one; a time is kept to the second."""
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return ""
    if moment.year < 1980:  # 1601 and 1970 are clocks' zeros
        return ""
    return moment.date().isoformat() if len(text.strip()) <= 10 else moment.isoformat(timespec="seconds")


def refusal(source: Source, error: Exception, what: str) -> ReadError:
    """Why a package could not be read; `what` is what it should have been ("a Word document")."""
    if encrypted_office(source):
        return ReadError("is encrypted", "Save a copy without a password.")
    if other := another_kind(source, what, "a ZIP"):
        return other
    reason = clean(" ".join(str(error).split())[:100])
    return ReadError(f"is damaged, or not {what} ({reason})", "Open it in its own program and save it anew.")
