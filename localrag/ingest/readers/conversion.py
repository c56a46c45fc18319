"""Convert old Word and PowerPoint files with LibreOffice, where it is installed, and leave nothing behind.

LibreOffice gets a fresh profile: no macros, no Java, no updated links (`programs` runs it). On Linux the kernel keeps
it off the network; elsewhere only its settings do.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from localrag.errors import ReadError
from localrag.ingest.readers import programs

SECONDS = 90
_FILTERS = {"docx": "docx:MS Word 2007 XML", "pptx": "pptx:Impress MS PowerPoint 2007 XML"}
_FOLDER_URL = "file:///{folder}" if sys.platform == "win32" else "file://{folder}"
_SETTINGS = '<?xml version="1.0" encoding="UTF-8"?>\n<oor:items xmlns:oor="http://openoffice.org/2001/registry">%s</oor:items>\n'
_SETTINGS_OFF = (
    ("Common/Security/Scripting", "MacroSecurityLevel", "3"),
    ("Common/Security/Scripting", "DisableMacrosExecution", "true"),
    ("Common/Security/Scripting", "DisableActiveContent", "true"),
    ("Common/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
    ("Common/Misc", "UseSystemFileDialog", "false"),
    ("Writer/Content/Update", "Link", "0"),
    ("Jobs/Jobs/org.openoffice.Office.Jobs:Job['UpdateCheck']/Arguments", "AutoCheckEnabled", "false"),
    ("Java/VirtualMachine", "Enable", "false"),
)


def program() -> str | None:
    """Return the path of LibreOffice, from PATH or its usual folders; None if it is not installed."""
    if sys.platform == "win32":  # PATH starts with the current folder there, which may hold documents
        folders = [os.environ[name] for name in ("PROGRAMFILES", "PROGRAMFILES(X86)") if name in os.environ]
        places = [Path(folder, "LibreOffice", "program", "soffice.exe") for folder in folders]
    else:
        found = [Path(path) for name in ("soffice", "libreoffice") if (path := shutil.which(name))]
        places = [path for path in found if path.is_absolute()]
        places.append(Path("/Applications/LibreOffice.app/Contents/MacOS/soffice"))
    return next((str(path) for path in places if path.is_file()), None)


def convert(data: bytes, suffix: str, to: str, most: int, seconds: float = SECONDS) -> bytes | None:
    """Return a document as "docx" or "pptx" of `most` bytes at most; None if LibreOffice is not installed.

    Raises ReadError where it could not be converted.
    """
    office = program()
    if office is None:
        return None
    off = "".join(
        f'<item oor:path="/org.openoffice.Office.{path}"><prop oor:name="{name}" oor:op="fuse">'
        f"<value>{value}</value></prop></item>"
        for path, name, value in _SETTINGS_OFF
    )
    command = (
        office, f"-env:UserInstallation={_FOLDER_URL}/profile",
        "--headless", "--norestore", "--nologo", "--nodefault", "--nolockcheck",
        "--convert-to", _FILTERS[to], "--outdir", "{folder}/out", "{folder}/document" + suffix,
    )  # fmt: skip
    order = programs.Order(
        command, len(data), seconds, most, document=f"document{suffix}", result=f"out/document.{to}",
        settings={"profile/user/registrymodifications.xcu": _SETTINGS % off},
    )  # fmt: skip
    status, result = programs.run(order, data)
    if status == "done":
        return result
    if status == "late":
        raise ReadError(f"took LibreOffice longer than {seconds:g} s", "Save it in the newer format yourself.")
    if status == "large":
        raise ReadError(f"becomes larger than {most:,} bytes when converted", "Split it into smaller files.")
    raise ReadError("could not be opened by LibreOffice", "It may be damaged. Save it in the newer format.")
