"""Read old Word and PowerPoint files (DOC, DOT, PPT, PPS, POT) through LibreOffice, where it is installed.

The content decides what a file is, not its name: RTF, HTML, a newer Office file or plain text named .doc is read as
what it is. Without LibreOffice an old file is refused, with what to do.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from localrag.errors import ReadError
from localrag.ingest.readers import opendocument, rtf, slides, text, web, word
from localrag.ingest.readers.conversion import CannotConvert, convert
from localrag.ingest.readers.package import OLE, SAVE_AGAIN, decrypted
from localrag.ingest.readers.source import Options, Source, another_kind
from localrag.types import Reading

# Other files in the same container, by a stream that only they have.
_OTHER_STREAMS = {
    "workbook": "an Excel workbook", "book": "an Excel workbook", "__properties_version1.0": "an Outlook message",
    "visiodocument": "a Visio drawing", "quill": "a Publisher file",
}  # fmt: skip
# Word for DOS, Windows 1 and 2, Write, WordPerfect: no container, but LibreOffice reads them.
_OLDER = (b"\xdb\xa5", b"\x9b\xa5", b"\x31\xbe", b"\x32\xbe", b"\xffWPC", b"\xcb\n\x01")
_WORD_XML = re.compile(rb'<\?mso-application\s+progid="Word|<w:wordDocument|/2006/xmlPackage"')
_HTML = re.compile(rb"\s*<(?:!doctype\s+html|html|head|body|meta|!--)", re.I)
_MHTML = re.compile(rb"(?:[\w-]+:[^\n]*\n(?:[ \t][^\n]*\n)*)*?mime-version:", re.I)
_RIGHT_SUFFIX = "Give the file the suffix of its real type."


def read(source: Source, options: Options) -> Reading:
    with source.open() as stream:
        head = stream.read(4096)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(OLE):
        return _read_ole(source, options)
    if head.startswith(b"PK\x03\x04"):
        return _read_newer(source, options)
    if start.startswith(b"{\\rtf"):
        return rtf.read(source, options)
    if head.startswith(_OLDER) or _WORD_XML.search(head):
        return _convert(source, options, "docx")
    if _HTML.match(start) or _MHTML.match(start):
        suffix = "mht" if _MHTML.match(start) else "html"
        return web.read(replace(source, name=f"{source.stem}.{suffix}"), options)
    if other := another_kind(source, _kind(source)):
        raise other
    try:
        return text.read(source, options)
    except ReadError as error:
        raise ReadError(f"is damaged, or not {_kind(source)}", SAVE_AGAIN) from error


def _read_ole(source: Source, options: Options) -> Reading:
    if (opened := decrypted(source, options.passwords)) is None:
        return _convert(source, options, _format(source))
    try:
        return _convert(opened, options, _format(opened))
    except CannotConvert as error:  # LibreOffice does not open every decrypted presentation
        raise ReadError(
            "is encrypted, and LibreOffice cannot open what its password gives", "Save a copy without a password."
        ) from error


def _convert(source: Source, options: Options, to: Literal["docx", "pptx"]) -> Reading:
    with source.open() as stream:
        is_xml = stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
    suffix = ".xml" if source.suffix == ".doc" and is_xml else source.suffix
    before = (datetime.now(UTC) - timedelta(seconds=5)).isoformat(timespec="seconds")
    data = convert(source.read(), suffix, to, options.unpacked)
    if data is None:
        kind = "an old Word document" if to == "docx" else "an old PowerPoint presentation"
        raise ReadError(f"is {kind} ({source.suffix})", f"Install LibreOffice to read it, or save it as .{to}.")
    converted = Source(f"{source.stem}.{to}", data=data)
    reading = word.read(converted, options) if to == "docx" else slides.read(converted, options)
    # For a file without a date LibreOffice writes that of the conversion.
    return replace(reading, date="") if reading.date >= before else reading


def _format(source: Source) -> Literal["docx", "pptx"]:
    """Return the format to convert a container to, by the streams in it."""
    import olefile

    try:
        with source.open() as stream, olefile.OleFileIO(stream) as container:
            names = {entry[0].lower() for entry in container.listdir()}
    except Exception as error:  # olefile raises many kinds of errors on damaged containers
        raise ReadError(f"is damaged, or not {_kind(source)}", SAVE_AGAIN) from error
    if "worddocument" in names:
        return "docx"
    if "powerpoint document" in names:
        return "pptx"
    if "encryptedpackage" in names:
        raise ReadError("is encrypted, and damaged", SAVE_AGAIN)
    for name, kind in _OTHER_STREAMS.items():
        if name in names:
            raise ReadError(f"is not {_kind(source)} but {kind}", _RIGHT_SUFFIX)
    raise ReadError(f"is not {_kind(source)}", _RIGHT_SUFFIX)


def _read_newer(source: Source, options: Options) -> Reading:
    """Read a newer file that has an old suffix."""
    try:
        with source.open() as stream, zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise ReadError(
            "is damaged: an Office file that was cut off", "Copy it again from where it came from."
        ) from error
    if any(name.startswith("word/") for name in names):
        return word.read(source, options)
    if any(name.startswith("ppt/") for name in names):
        return slides.read(source, options)
    if "content.xml" in names:
        return opendocument.read(source, options)
    raise ReadError(f"is not {_kind(source)} but a ZIP archive", _RIGHT_SUFFIX)


def _kind(source: Source) -> str:
    return "a Word document" if source.suffix in (".doc", ".dot") else "a PowerPoint presentation"
