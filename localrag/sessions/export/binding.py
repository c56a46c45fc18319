"""Copies of pages and highlights put into a laid-out PDF, by pypdf, which parses nothing but what localrag laid out.

A copy arrives as objects, of which only keys that draw are taken (`source_files.drawn`): no action, script, form, file
or link of a source is in a binder, whatever the process that read the source sent.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pypdf import PdfReader, PdfWriter, generic
from pypdf.annotations import Highlight
from pypdf.generic import ArrayObject, DictionaryObject, FloatObject, IndirectObject, NameObject

from localrag.ingest.source_files import PageCopy, drawn

_COLOUR = "ffe95a"
_TINT = " ".join(f"{int(_COLOUR[at : at + 2], 16) / 255:.3f}" for at in (0, 2, 4))
Rectangle = tuple[float, float, float, float]  # left, bottom, right, top in points


@dataclass(frozen=True, slots=True)
class Mark:
    """The lines of a quote on a page (from 0) of the binder, and the note of its highlight."""

    page: int
    lines: tuple[Rectangle, ...]
    note: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A copy on a page of the binder, and where its lower left corner is."""

    page: int
    copy: PageCopy
    left: float
    bottom: float


def bind(pages: bytes, placed: Sequence[Placed], marks: Sequence[Mark]) -> bytes:
    """Return the pages with copies of originals below what is laid out on them, and with highlights."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pages)))
    binder = _Binder(writer)
    for one in placed:
        binder.place(one)
    for mark in marks:
        writer.add_annotation(mark.page, _highlight(writer, mark))
    binder.add_layers()
    made = io.BytesIO()
    writer.write(made)
    return made.getvalue()


class _Binder:
    """Adds copies; streams that pages share, such as fonts, are in the file once."""

    def __init__(self, writer: PdfWriter) -> None:
        self._writer = writer
        self._shared: dict[tuple[str, bytes | None], IndirectObject] = {}
        self._layers: list[IndirectObject] = []
        self._hidden: list[IndirectObject] = []

    def place(self, one: Placed) -> None:
        page, form = self._writer.pages[one.page], self._add(one.copy)
        resources: Any = page["/Resources"]
        resources[NameObject("/XObject")] = DictionaryObject({NameObject("/Source"): form})
        draw = generic.DecodedStreamObject()
        draw.set_data(f"q 1 0 0 1 {one.left:.3f} {one.bottom:.3f} cm /Source Do Q\n".encode())
        own = page.raw_get("/Contents")
        page[NameObject("/Contents")] = ArrayObject([self._writer._add_object(draw), own])

    def _add(self, copy: PageCopy) -> IndirectObject:
        """Add the objects of a copy, and return the form that draws it."""
        references: list[IndirectObject] = []
        fresh = []
        for value, data in copy.objects:
            key = (repr(value), data) if data is not None and "#" not in repr(value) else None
            if key is None or (reference := self._shared.get(key)) is None:
                reference = self._writer._add_object(generic.NullObject())
                fresh.append((reference, value, data))
            if key is not None:
                self._shared[key] = reference
            references.append(reference)
        for reference, value, data in fresh:
            made = _object(value, references)
            self._writer._replace_object(reference, made if data is None else _stream(made, data))
            if isinstance(made, DictionaryObject) and made.get("/Type") == "/OCG":
                self._layers.append(reference)
        self._hidden += [references[number] for number in copy.hidden]
        return references[0]

    def add_layers(self) -> None:
        """Hide the layers that the sources hide."""
        if self._layers:
            shown = DictionaryObject({NameObject("/OFF"): ArrayObject(self._hidden)})
            layers = {NameObject("/OCGs"): ArrayObject(self._layers), NameObject("/D"): shown}
            self._writer.root_object[NameObject("/OCProperties")] = DictionaryObject(layers)


def _object(value: Any, references: Sequence[IndirectObject], inside: str = "") -> Any:
    """Return a value of a `PdfObject` for pypdf, which escapes names; strings are written in hexadecimal digits."""
    match value:
        case dict():
            kinds = [(key, kind) for key in value if (kind := drawn(inside, key)) is not None]
            return DictionaryObject({NameObject(key): _object(value[key], references, kind) for key, kind in kinds})
        case list():
            return ArrayObject([_object(one, references) for one in value])
        case str():
            if value.startswith("#"):
                return references[int(value[1:])]
            return generic.ByteStringObject(bytes.fromhex(value[1:])) if value.startswith("(") else NameObject(value)
        case bool():
            return generic.BooleanObject(value)
        case int():
            return generic.NumberObject(value)
        case float():
            return FloatObject(value)
    return generic.NullObject()


def _stream(made: Any, data: bytes) -> generic.StreamObject:
    stream = generic.EncodedStreamObject() if "/Filter" in made else generic.DecodedStreamObject()
    stream.update(made)
    stream._data = data
    return stream


def _highlight(writer: PdfWriter, mark: Mark) -> Highlight:
    """Return a highlight with an appearance of its own, since not every viewer makes one."""
    lefts, bottoms, rights, tops = zip(*mark.lines, strict=True)
    around = (min(lefts), min(bottoms), max(rights), max(tops))
    corners = [at for x0, y0, x1, y1 in mark.lines for at in (x0, y1, x1, y1, x0, y0, x1, y0)]
    quads = ArrayObject(map(FloatObject, corners))
    made = Highlight(rect=around, quad_points=quads, highlight_color=_COLOUR, printing=True)
    multiply = {"/ExtGState": {"/Multiply": {"/Type": "/ExtGState", "/BM": "/Multiply"}}}
    group = {"/S": "/Transparency"}
    form = {"/Type": "/XObject", "/Subtype": "/Form", "/BBox": list(around), "/Resources": multiply, "/Group": group}
    boxes = "".join(f"{x0:.2f} {y0:.2f} {x1 - x0:.2f} {y1 - y0:.2f} re f\n" for x0, y0, x1, y1 in mark.lines)
    drawing = _stream(_object(form, ()), f"/Multiply gs {_TINT} rg\n{boxes}".encode())
    made[NameObject("/AP")] = DictionaryObject({NameObject("/N"): writer._add_object(drawing)})
    made[NameObject("/Contents")] = generic.TextStringObject(mark.note)
    return made
