"""Open Office files: ZIP packages and the parts in them, passwords, embedded files, and XML from strangers.

A part is unpacked only when asked for, so a broken chart does not cost the text. Sizes are bounded. XML that declares
entities is refused: a few lines of them can ask for all memory ("billion laughs") or for another file.
"""

from __future__ import annotations

import importlib
import io
import posixpath
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from localrag.errors import ReadError
from localrag.ingest.readers.blocks import markdown_rows
from localrag.ingest.readers.source import (
    Budget,
    Member,
    Names,
    Options,
    OverBudget,
    Source,
    another_kind,
    attached,
    locked,
)
from localrag.text import clean, clean_title

PARSE_ERRORS = (ElementTree.ParseError, ValueError, LookupError)  # raised when XML is damaged
# Raised when a package or a part in it is damaged.
DAMAGED = (*PARSE_ERRORS, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
SAVE_AGAIN = "Open it in its own program and save it again."
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"  # of attributes such as r:id
_MAX_PART = 400_000_000  # bytes
_RELATIONSHIP = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"
_DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"
_TERMS = "{http://purl.org/dc/terms/}"
_STRICT = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/(\w+)")  # the names of "Strict Open XML"
# Entities for pictures and other unparsed data, as patents declare them; text cannot refer to these.
_UNPARSED_ENTITY = re.compile(
    rb"""<!ENTITY \s+ [\w.:-]+ \s+ (?:SYSTEM | PUBLIC \s+ (?:"[^"<>]*"|'[^'<>]*')) \s+ (?:"[^"<>]*"|'[^'<>]*')
    \s+ NDATA \s+ [\w.:-]+ \s* >""",
    re.X,
)


def parse_xml(data: bytes) -> Element:
    """Return the root of a document; raise a ReadError if it declares entities, else one of PARSE_ERRORS."""
    # Without its zero bytes UTF-16 reads as the same letters.
    plain = data.replace(b"\0", b"") if b"\0" in data else _UNPARSED_ENTITY.sub(b"", data)
    if b"<!ENTITY" in plain:
        raise ReadError("declares XML entities, which can hide a bomb", "Do not trust this file.")
    return ElementTree.fromstring(data)


class Relation(NamedTuple):
    """A reference from one part to another; `kind` is the last word of its type ("slide", "styles")."""

    kind: str
    target: str


class Package:
    """An open package of Office Open XML. Raises one of `DAMAGED` when it is not sound."""

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
        """Return the root of a part; None if it is missing or damaged."""
        try:
            return self._xml(name)
        except DAMAGED:
            return None

    def related(self, kind: str, part: str | None = None) -> Element | None:
        """Return the first part of a kind ("styles") that `part` (the main one by default) refers to."""
        name = self.target(kind, self.main_name if part is None else part)
        return self.part(name) if name else None

    def target(self, kind: str, part: str) -> str:
        """Return the name of the first part of a kind that `part` refers to, or ""."""
        return next((item.target for item in self.relations(part).values() if item.kind == kind), "")

    def drawing(self, part: str, element: Element) -> str:
        """Return the text of one of `DRAWINGS` in `part`."""
        attribute, read = DRAWINGS[element.tag]
        relation = self.relations(part).get(element.get(f"{RELATION}{attribute}", ""))
        root = self.part(relation.target) if relation else None
        return read(root) if root is not None else ""

    def relations(self, part: str) -> dict[str, Relation]:
        """Return what `part` refers to inside the package, by the relation's identifier."""
        if part not in self._relations:
            folder, name = posixpath.split(part)
            found = self._relations[part] = {}
            try:
                listing = self._xml(posixpath.join(folder, "_rels", f"{name}.rels"))
            except DAMAGED:
                if not part:
                    raise
                return found
            for element in listing.iter(_RELATIONSHIP):
                if element.get("TargetMode") != "External":
                    target = posixpath.normpath(posixpath.join("/", folder, unquote(element.get("Target", ""))))
                    kind = element.get("Type", "").rsplit("/", 1)[-1]
                    found.setdefault(element.get("Id", ""), Relation(kind, target.lstrip("/")))
        return self._relations[part]

    def properties(self) -> tuple[str, str, str]:
        """Return title, author, and when the document was last changed."""
        core = self._core if self._core is not None else Element("none")
        title, author, changed, made = (
            core.findtext(name) or ""
            for name in (f"{_DUBLIN_CORE}title", f"{_DUBLIN_CORE}creator", f"{_TERMS}modified", f"{_TERMS}created")
        )
        return clean_title(title), author, iso_date(changed or made)

    def _xml(self, part: str) -> Element:
        info = self._archive.getinfo(self._names[part.lower()])
        if info.file_size > _MAX_PART:
            raise ReadError(f"is too large: {part!r} in it has {info.file_size:,} bytes", "Split the document.")
        self._left -= info.file_size  # zipfile reads no more
        if self._left < 0:
            raise ReadError(f"unpacks to more than {self._limit:,} bytes", "Raise read_unpacked_mb to read it.")
        data = self._archive.read(info)
        if _STRICT.search(data, 0, 8192):
            data = _STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/\2", data)
        return parse_xml(data)


def check_size(archive: zipfile.ZipFile, options: Options) -> None:
    """Raise ReadError where a document unpacks to too much; zipfile reads no more than the sizes it names."""
    if sum(info.file_size for info in archive.infolist()) > options.unpacked:
        raise ReadError(f"unpacks to more than {options.unpacked:,} bytes", "Raise read_unpacked_mb to read it.")


@contextmanager
def opened(source: Source, options: Options, kind: str) -> Iterator[Package]:
    """Open a document, with one of the passwords if it is encrypted; `kind` is what its suffix says."""
    source = decrypted(source, options.passwords) or source
    try:
        with source.open() as stream, zipfile.ZipFile(stream) as archive:
            yield Package(archive, options)
    except DAMAGED as error:
        raise damaged(source, error, kind) from error


def iso_date(text: str) -> str:
    """Return a date or a time (to the second) from a document's properties in ISO 8601; "" if it is neither."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return ""
    # 1601 and 1970 are the zeros of clocks; the last is the date of the template of python-docx.
    if moment.year < 1980 or text.startswith("2013-12-23T23:15:00"):
        return ""
    return moment.date().isoformat() if len(text.strip()) <= 10 else moment.isoformat(timespec="seconds")


def whole(value: str | None, default: int = 0) -> int:
    """Return an attribute as a whole number; `default` if it is none."""
    return int(value) if value and re.fullmatch(r"-?\d{1,18}", value) else default


def damaged(source: Source, error: BaseException, kind: str, *expected: str) -> ReadError:
    """Return why a file could not be read; `kind` is what its suffix says ("a Word document")."""
    other = another_kind(source, kind, "a ZIP", *expected)
    return other or ReadError(f"is damaged, or not {kind} ({shortened(error)})", SAVE_AGAIN)


def shortened(error: BaseException) -> str:
    return clean(" ".join(str(error).split())[:100])


# --- passwords --------------------------------------------------------------------------------------------------

_EXCEL_DEFAULT = "VelvetSweatshop"  # Excel tries it without asking


def decrypted(source: Source, passwords: Sequence[str] = ()) -> Source | None:
    """Return the document inside an encrypted Office file, decrypted in memory; None if it is not encrypted."""
    with source.open() as stream:
        if stream.read(8) != OLE:
            return None
        import msoffcrypto
        from msoffcrypto.exceptions import DecryptionError, InvalidKeyError

        stream.seek(0)
        try:
            office: Any = msoffcrypto.OfficeFile(stream)
            if not office.is_encrypted():
                return None
        except DecryptionError as error:
            raise _unsupported(error) from error
        except Exception:  # on damaged files it raises whatever struct, assert and olefile raise; its reader refuses it
            return None
        for name in ("doc97", "ppt97", "xls97"):  # these would unpack through a file on the disk
            module = importlib.import_module(f"msoffcrypto.format.{name}")
            module.tempfile = SimpleNamespace(TemporaryFile=io.BytesIO)  # type: ignore[attr-defined]
        for password in dict.fromkeys((_EXCEL_DEFAULT, *passwords)):
            plain = io.BytesIO()
            try:
                office.load_key(password=password, **({"verify_password": True} if office.format == "ooxml" else {}))
                office.decrypt(plain)
                return Source(source.name, data=plain.getvalue())
            except InvalidKeyError:
                continue
            except DecryptionError as error:
                raise _unsupported(error) from error
            except Exception as error:
                raise ReadError("is encrypted, and damaged", SAVE_AGAIN) from error
    raise locked(passwords)


def _unsupported(error: Exception) -> ReadError:
    return ReadError(f"is encrypted in a way that is not known ({error})", "Save a copy without a password.")


# --- embedded files ---------------------------------------------------------------------------------------------

# What an OLE object is, by a stream in it.
_OLE_STREAMS = (
    ("Package", ""),
    ("CONTENTS", ".pdf"),
    ("WordDocument", ".doc"),
    ("Workbook", ".xls"),
    ("PowerPoint Document", ".ppt"),
)
_FOLDERS = {"word": ".docx", "xl": ".xlsx", "ppt": ".pptx"}


def embedded_files(source: Source, options: Options, budget: Budget) -> Iterator[Member]:
    """Yield the files embedded in an Office document, but not the workbooks of charts."""
    try:
        source = decrypted(source, options.passwords) or source
        with source.open() as stream, zipfile.ZipFile(stream) as archive:
            names = Names()
            for part in _embedded_parts(archive, Package(archive, options)):
                name = posixpath.basename(part)
                try:
                    with archive.open(part) as part_stream:
                        data = budget.unpack(part_stream)  # type: ignore[arg-type]
                    content = _ole_content(data) if data.startswith(OLE) else (name, data)
                except OverBudget:
                    raise
                except Exception:  # olefile raises many kinds of errors on damaged containers
                    yield Member(names.unique(name), refused=ReadError("is damaged in the document", SAVE_AGAIN))
                    continue
                if content is not None:
                    name = names.unique(attached(content[0], ""))
                    yield Member(name, Source(name, data=content[1]))
    except OverBudget:
        raise
    except (*DAMAGED, ReadError):
        return  # reported when the document itself was read


def _embedded_parts(archive: zipfile.ZipFile, package: Package) -> list[str]:
    """Return the names of embedded parts in the order of the document's relations, each once."""
    names = {name.lower(): name for name in archive.namelist()}
    found: dict[str, None] = {}
    for listing in sorted(name for name in names.values() if name.endswith(".rels") and "/charts/" not in name):
        part = posixpath.join(posixpath.dirname(posixpath.dirname(listing)), posixpath.basename(listing)[:-5])
        for relation in package.relations(part).values() if part else ():
            if relation.kind in ("oleObject", "package") and relation.target.lower() in names:
                found.setdefault(names[relation.target.lower()])
    return list(found)


def _ole_content(data: bytes) -> tuple[str, bytes] | None:
    """Return the name and the bytes of the file inside an OLE object; None for drawings, formulas and the like."""
    import olefile

    with olefile.OleFileIO(io.BytesIO(data)) as container:
        if container.exists("\x01Ole10Native"):
            return _packaged_file(container.openstream("\x01Ole10Native").read())
        stream, suffix = next((item for item in _OLE_STREAMS if container.exists(item[0])), ("", ""))
        if not stream:
            return None
        content = data if suffix in (".doc", ".xls", ".ppt") else container.openstream(stream).read()
        if suffix == ".pdf" and not content.startswith(b"%PDF"):
            return None
    if not suffix:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            folders = {name.partition("/")[0] for name in archive.namelist()}
        suffix = next((suffix for folder, suffix in _FOLDERS.items() if folder in folders), ".zip")
    return f"embedded{suffix}", content


def _packaged_file(data: bytes) -> tuple[str, bytes]:
    """Return the file that Windows wrapped in an Ole10Native stream: size, flags, label, path, temporary path, data."""
    label, _, rest = data[6:].partition(b"\0")
    _, _, rest = rest.partition(b"\0")
    (path_size,) = struct.unpack_from("<I", rest, 4)
    at = 8 + path_size
    (size,) = struct.unpack_from("<I", rest, at)
    return label.decode("cp1252", "replace"), rest[at + 4 : at + 4 + size]


# --- drawings -------------------------------------------------------------------------------------------------

_OPEN = "http://schemas.openxmlformats.org"
_A = f"{{{_OPEN}/drawingml/2006/main}}"
_C = f"{{{_OPEN}/drawingml/2006/chart}}"
_D = f"{{{_OPEN}/drawingml/2006/diagram}}"
_M = f"{{{_OPEN}/officeDocument/2006/math}}"
_MAX_POINTS = 20_000
_MAX_DEPTH = 40


def chart(root: Element) -> str:
    """Return a chart: its title, then a table with a row for each category and a column for each series."""
    series = list(_classic(root))
    lines = [_chart_title(root)]
    shared = {tuple(categories) for _, categories, _ in series if categories}
    if len(shared) <= 1:  # all series over the same categories: one table
        lines += _table([name for name, _, _ in series], next(iter(shared), ()), [values for _, _, values in series])
    else:
        for name, categories, values in series:
            lines += ["", *_table([name], categories, [values])]
    return "\n".join(lines).strip()


def _table(names: Sequence[str], categories: Sequence[str], columns: Sequence[dict[int, str]]) -> list[str]:
    count = min(max([len(categories), *(max(values, default=-1) + 1 for values in columns)]), _MAX_POINTS)
    rows = [
        [categories[index] if index < len(categories) else "", *(values.get(index, "") for values in columns)]
        for index in range(count)
    ]
    return markdown_rows([["", *names], *rows]) if rows else [" ".join(filter(None, names))]


def _chart_title(root: Element) -> str:
    """Return the title, followed by those of the axes, which often name the unit."""
    own = root.find(f"{_C}chart/{_C}title")
    axes = [axis.find(f"{_C}title") for axis in root.iterfind(f"{_C}chart/{_C}plotArea/*")]
    named = [text for title in axes if title is not None and (text := _drawn(title))]
    title = _drawn(own) if own is not None else ""
    return f"{title} ({'; '.join(named)})" if title and named else title or "; ".join(named)


def _drawn(element: Element) -> str:
    texts = [piece.text or "" for piece in element.iter(f"{_A}t")]
    return " ".join("".join(texts or (piece.text or "" for piece in element.iter(f"{_C}v"))).split())


def _classic(root: Element) -> Iterator[tuple[str, list[str], dict[int, str]]]:
    for one in root.iter(f"{_C}ser"):
        parts = {child.tag.removeprefix(_C): child for child in one}
        categories = _points(parts.get("cat", parts.get("xVal")))
        listed = [categories.get(index, "") for index in range(min(max(categories, default=-1) + 1, _MAX_POINTS))]
        yield _drawn(parts["tx"]) if "tx" in parts else "", listed, _points(parts.get("val", parts.get("yVal")))


def _points(holder: Element | None) -> dict[int, str]:
    """Return the cached values by index; join categories of several levels, the outermost first."""
    if holder is None:
        return {}
    form = next((element.text or "" for element in holder.iter(f"{_C}formatCode")), "")
    found: dict[int, str] = {}
    for depth, level in enumerate(list(holder.iter(f"{_C}lvl")) or [holder]):
        values = {
            int(index): _shown(point.findtext(f"{_C}v") or "", point.get("formatCode") or form)
            for point in level.iter(f"{_C}pt")
            if (index := point.get("idx", "")).isdigit()
        }
        outer = ""
        for place in sorted(found if depth else values):
            outer = values.get(place, outer)
            found[place] = f"{outer} {found[place]}" if depth else outer
    return found


def _shown(value: str, form: str) -> str:
    """Return a cached value as its number format shows it, if the format changes its meaning."""
    try:
        number = float(value)
    except ValueError:
        return value
    plain = re.sub(r'"[^"]*"|\\.|\[[^\]]{0,200}\]', "", form.lower())
    if "%" in plain:
        return f"{number * 100:.10g}%"
    if ("y" in plain or ("d" in plain and "m" in plain)) and 1 <= number < 2_958_466:
        moment = datetime(1899, 12, 30) + timedelta(days=number)
        return moment.strftime("%Y-%m-%d %H:%M") if number % 1 and "h" in plain else moment.strftime("%Y-%m-%d")
    return value if value.lstrip("-").isdigit() else f"{number:.10g}"


def diagram(root: Element) -> str:
    """Return the texts of a SmartArt drawing as a list."""
    texts = (" ".join(filter(None, map(_drawn, point.iter(f"{_A}p")))) for point in root.iter(f"{_D}pt"))
    return "\n".join(f"- {text}" for text in texts if text)


_INVISIBLE = dict.fromkeys(range(0x2061, 0x2065))  # operators such as "apply" and "times", never printed


def formula(element: Element, depth: int = 0) -> str:
    """Return an m:oMath as it would be typed."""
    if depth > _MAX_DEPTH or not element.tag.startswith(_M):
        return ""
    if element.tag == f"{_M}t":
        return (element.text or "").translate(_INVISIBLE)
    name = element.tag.removeprefix(_M)
    part = {child.tag.removeprefix(_M): formula(child, depth + 1) for child in element}
    if name == "f":
        return f"{_grouped(part.get('num', ''))}/{_grouped(part.get('den', ''))}"
    if name in ("sSup", "sSub", "sSubSup", "nary"):
        sign = next((child.get(f"{_M}val", "") for child in element.iter(f"{_M}chr")), "∫") if name == "nary" else ""
        below = f"_{_grouped(part['sub'])}" if part.get("sub") else ""
        above = f"^{_grouped(part['sup'])}" if part.get("sup") else ""
        return f"{sign}{below}{above} {part.get('e', '')}" if sign else f"{part.get('e', '')}{below}{above}"
    if name == "rad":
        return f"√{_grouped(part.get('e', ''))}"
    if name == "d":
        marks = {child.tag: child.get(f"{_M}val", "") for child in element.iterfind(f"{_M}dPr/*")}
        inside = [formula(child, depth + 1) for child in element.iterfind(f"{_M}e")]
        return f"{marks.get(f'{_M}begChr', '(')}{', '.join(inside)}{marks.get(f'{_M}endChr', ')')}"
    between = " " if name == "oMathPara" else ""  # separate formulas, not parts of one
    return between.join(filter(None, (formula(child, depth + 1) for child in element)))


def _grouped(text: str) -> str:
    return text if len(text) <= 1 or text.isalnum() else f"({text})"


# Drawings with text, the attribute that names their part, and what reads it.
DRAWINGS = {
    "{http://schemas.openxmlformats.org/drawingml/2006/chart}chart": ("id", chart),
    "{http://schemas.openxmlformats.org/drawingml/2006/diagram}relIds": ("dm", diagram),
}
