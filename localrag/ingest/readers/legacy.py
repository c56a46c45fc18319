"""Old Word and PowerPoint files (DOC, DOT, PPT, PPS, POT): converted by LibreOffice, where there is one, and read.

What such a file is, its content says, not its name: an old Office file of the other kind is read as what it is, and so
is RTF, HTML, a newer Office file or plain text that was only named .doc, as offices have them by the hundred. Without
LibreOffice an old file is refused, with a word on what to do. `conversion` says how LibreOffice is kept in.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from localrag.errors import ReadError
from localrag.ingest.readers import office, opendocument, rtf, slides, text, web
from localrag.ingest.readers.conversion import CannotConvert, convert
from localrag.ingest.readers.package import decrypted
from localrag.ingest.readers.source import Options, Source, another_kind
from localrag.types import Reading

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# What is in other files of the same container, by a stream that only they have; names are the same in small letters.
_OTHERS = {
    "workbook": "an Excel workbook", "book": "an Excel workbook", "__properties_version1.0": "an Outlook message",
    "visiodocument": "a Visio drawing", "quill": "a Publisher file",
}  # fmt: skip
# Word for DOS and Windows 1 and 2, Write, WordPerfect: no container, but LibreOffice knows them.
_OLDER = (b"\xdb\xa5", b"\x9b\xa5", b"\x31\xbe", b"\x32\xbe", b"\xffWPC", b"\xcb\n\x01")
_WORD_XML = re.compile(rb'<\?mso-application\s+progid="Word|<w:wordDocument|/2006/xmlPackage"')
_WEB = re.compile(rb"\s*<(?:!doctype\s+html|html|head|body|meta|!--)", re.I)
_ARCHIVE = re.compile(rb"(?:[\w-]+:[^\n]*\n(?:[ \t][^\n]*\n)*)*?mime-version:", re.I)


def read(source: Source, options: Options) -> Reading:
    with source.open() as stream:
        head = stream.read(4096)
    if head.startswith(_OLE):
        if (opened := decrypted(source, options.passwords)) is None:
            return _converted(source, options, _kind(source))
        try:
            return _converted(opened, options, _kind(opened))
        except CannotConvert as error:  # slides are not always decrypted as LibreOffice wants them
            raise ReadError(
                "is encrypted, and LibreOffice cannot open what its password gives", "Save a copy without a password."
            ) from error
    if head.startswith(b"PK\x03\x04"):
        return _newer(source, options)
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"{\\rtf"):
        return rtf.read(source, options)
    if head.startswith(_OLDER) or _WORD_XML.search(head):
        return _converted(source, options, "docx")
    if _WEB.match(start) or _ARCHIVE.match(start):
        saved = _ARCHIVE.match(start) is not None
        return web.read(replace(source, name=f"{source.stem}.{'mht' if saved else 'html'}"), options)
    if other := another_kind(source, _called(source)):
        raise other
    try:
        return text.read(source, options)
    except ReadError as error:
        raise ReadError(
            f"is damaged, or not {_called(source)}", "Open it in its own program and save it anew."
        ) from error


def _converted(source: Source, options: Options, to: Literal["docx", "pptx"]) -> Reading:
    suffix = ".xml" if source.suffix == ".doc" and not _is_binary(source) else source.suffix
    before = (datetime.now(UTC) - timedelta(seconds=5)).isoformat(timespec="seconds")
    data = convert(source.read(), suffix, to, options.unpacked)
    if data is None:
        what = "an old Word document" if to == "docx" else "an old PowerPoint presentation"
        raise ReadError(
            f"is {what} ({source.suffix})",
            f"Install LibreOffice, which localrag then uses to read it, or save it as .{to}.",
        )
    converted = Source(f"{source.stem}.{to}", data=data)
    reading = office.read(converted, options) if to == "docx" else slides.read(converted, options)
    # Where the old file has no date, LibreOffice writes that of the conversion.
    return replace(reading, date="") if reading.date >= before else reading


def _is_binary(source: Source) -> bool:
    with source.open() as stream:
        return not stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def _kind(source: Source) -> Literal["docx", "pptx"]:
    """What is in the container."""
    import olefile

    try:
        with source.open() as stream, olefile.OleFileIO(stream) as container:
            names = {entry[0].lower() for entry in container.listdir()}
    except Exception as error:  # a damaged one breaks olefile in many ways
        raise ReadError(
            f"is damaged, or not {_called(source)}", "Open it in its own program and save it anew."
        ) from error
    if "worddocument" in names:
        return "docx"
    if "powerpoint document" in names:
        return "pptx"
    if "encryptedpackage" in names:
        raise ReadError("is encrypted, and damaged", "Open it in its own program and save it anew.")
    for name, what in _OTHERS.items():
        if name in names:
            raise ReadError(f"is not {_called(source)} but {what}", "Give the file the suffix of its real type.")
    raise ReadError(f"is not {_called(source)}", "Open it to see what it is, and give it the suffix of its real type.")


def _newer(source: Source, options: Options) -> Reading:
    """A newer file under an old name."""
    try:
        with source.open() as stream, zipfile.ZipFile(stream) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, EOFError) as error:
        raise ReadError(
            "is damaged: an Office file that was cut off", "Copy it again from where it came from."
        ) from error
    if any(name.startswith("word/") for name in names):
        return office.read(source, options)
    if any(name.startswith("ppt/") for name in names):
        return slides.read(source, options)
    if "content.xml" in names:
        return opendocument.read(source, options)
    raise ReadError(f"is not {_called(source)} but a ZIP archive", "Give the file the suffix of its real type.")


def _called(source: Source) -> str:
    return "a Word document" if source.suffix in (".doc", ".dot") else "a PowerPoint presentation"
