"""A page of a PDF as objects that draw it, and where the words of quotes are; runs in a reader process.

PDFium draws annotations and form fields into the page first, so that a copy looks like the page and none of them is
live. Only keys that draw something are followed: no action, script, file, link or private data of a program.
"""

from __future__ import annotations

import contextlib
import io
import zlib
from collections.abc import Sequence
from typing import Any

from localrag.errors import ReadError
from localrag.ingest.readers import pdf
from localrag.ingest.readers import pdf_native as native
from localrag.ingest.readers.page_picture import Box, boxes_of
from localrag.ingest.readers.source import Options, Source
from localrag.ingest.source_files import PageCopy, PageRequest, PdfObject, drawn

_MAX_COPY, _MAX_OBJECTS = 20_000_000, 20_000  # bytes of a page's streams


def copy_page(source: Source, wanted: PageRequest, options: Options) -> PageCopy:
    """Copy a page that has not changed since it was read, or raise ReadError."""
    import pypdfium2

    with contextlib.closing(pdf.open_document(source, options.passwords)) as document:
        if not 1 <= wanted.page <= len(document):
            raise ReadError(f"has no page {wanted.page}", "Ingest again.")
        try:
            pdf.has_form(document)  # which gives fields their looks
            with contextlib.closing(document[wanted.page - 1]) as page:
                raw = pypdfium2.raw
                if raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY) == raw.FLATTEN_FAIL:
                    raise ReadError("has annotations that cannot be drawn", "Open it in a viewer.")
            with contextlib.closing(pypdfium2.PdfDocument.new()) as alone:
                alone.import_pages(document, [wanted.page - 1])  # which gives the page what it inherits
                alone.save(made := io.BytesIO())
                with contextlib.closing(alone[0]) as page:
                    size, crop, boxes = page.get_size(), page.get_bbox(), boxes_of(page, wanted)
                    seen = native.view(page, page.get_rotation() // 90)
        except pypdfium2.PdfiumError as error:
            raise ReadError("is damaged: the page could not be copied", "Open it in a viewer.") from error
    if not (size[0] >= 1 and size[1] >= 1):
        raise ReadError("is damaged: its page has no size", "Open it in a viewer.")
    upright = [seen.a, -seen.b, seen.c, -seen.d, seen.e, size[1] - seen.f]
    objects, layers = _objects(made, crop, upright)
    hidden = _hidden_layers(source, options.passwords) if layers else set()
    off = tuple(number for number, name in layers.items() if name in hidden)
    return PageCopy(size[0], size[1], tuple(objects), tuple(map(_on_page, boxes)), off)


def _on_page(boxes: Sequence[Box]) -> tuple[Box, ...]:
    inside = ((max(0.0, a), max(0.0, b), min(1.0, c), min(1.0, d)) for a, b, c, d in boxes)
    return tuple(box for box in inside if box[0] < box[2] and box[1] < box[3])


def _objects(
    made: io.BytesIO, crop: Sequence[float], upright: Sequence[float]
) -> tuple[list[PdfObject], dict[int, bytes]]:
    """Return the page as a form that draws it upright, with all that it needs, and the names of its layers."""
    from pypdf import PdfReader

    page = PdfReader(made).pages[0]
    contents = page.get_contents()
    commands = contents.get_data() if contents is not None else b""
    graph = _Graph()
    form = {"/Type": "/XObject", "/Subtype": "/Form", "/BBox": list(crop), "/Matrix": list(upright)}
    form |= {key: graph.plain(page[key], drawn("", key) or "") for key in ("/Resources", "/Group") if key in page}
    graph.objects[0] = ({**form, "/Filter": "/FlateDecode"}, zlib.compress(commands))
    return graph.finished(), graph.layers


class _Graph:
    """Follows a page's resources; each stream and each object that is referred to gets a number."""

    def __init__(self) -> None:
        self.objects: dict[int, PdfObject] = {}
        self.layers: dict[int, bytes] = {}
        self._numbers: dict[tuple[int, int], int] = {}
        self._waiting: list[tuple[int, Any]] = []

    def plain(self, value: Any, inside: str = "") -> Any:
        """Return a value in the form of `PdfObject`; `inside` says what kind of dictionary it is (`drawn`)."""
        from pypdf import generic

        if isinstance(value, generic.IndirectObject):
            if not inside:
                return self._reference(value)
            value = value.get_object()
        match value:
            case generic.StreamObject() if inside:
                return None
            case generic.DictionaryObject():
                kinds = {str(key): drawn(inside, key) for key in value}
                return {key: self.plain(value.raw_get(key), kind) for key, kind in kinds.items() if kind is not None}
            case generic.ArrayObject():
                return [self.plain(one) for one in value]
            case generic.TextStringObject() | generic.ByteStringObject():
                return f"({bytes(value.original_bytes).hex()}"
            case generic.NameObject():
                return str(value)
            case generic.BooleanObject():
                return bool(value.value)
        return int(value) if isinstance(value, int) else float(value) if isinstance(value, float) else None

    def _reference(self, value: Any) -> str:
        known = (value.idnum, value.generation)
        if known not in self._numbers:
            self._numbers[known] = len(self._numbers) + 1
            self._waiting.append((self._numbers[known], value))
        return f"#{self._numbers[known]}"

    def finished(self) -> list[PdfObject]:
        """Return all objects in the order of their numbers, the form first."""
        from pypdf import generic

        size = len(self.objects[0][1] or b"")
        while self._waiting:
            number, reference = self._waiting.pop()
            value = reference.get_object()
            data = value._data if isinstance(value, generic.StreamObject) else None
            if isinstance(value, generic.DictionaryObject) and value.get("/Type") == "/OCG":
                self.layers[number] = getattr(value.get("/Name"), "original_bytes", b"")
            self.objects[number] = (self.plain(value), data)
            size += len(data or b"")
            if size > _MAX_COPY or len(self._numbers) > _MAX_OBJECTS:
                raise ReadError("has too large a page to be copied", "Its text is shown instead.")
        return [self.objects[number] for number in range(len(self.objects))]


def _hidden_layers(source: Source, passwords: Sequence[str]) -> set[bytes]:
    """Return the names of the layers that a viewer does not show at first."""
    with source.open() as stream, contextlib.suppress(Exception):  # pypdf raises anything over broken files
        layers: Any = pdf.parsed(stream, passwords).root_object["/OCProperties"]
        shown, off = layers["/D"].get("/ON", []), layers["/D"].get("/OFF", [])
        if layers["/D"].get("/BaseState") == "/OFF":
            off = [one for one in layers["/OCGs"] if one not in shown]
        return {one.get_object()["/Name"].original_bytes for one in off}
    return set()
