"""Convert old Word and PowerPoint files with LibreOffice, where it is installed, and leave nothing behind.

The document goes through a pipe to a supervisor (this module as a program), which gives LibreOffice a private folder
(in memory where possible) and a fresh profile: no macros, no Java, no updated links. It kills LibreOffice and deletes
the folder at the end, when time is up, or when its parent is gone. On Linux, LibreOffice inherits the reader process's
filter, which takes the network away; elsewhere only its settings keep it offline. If the supervisor is killed, its
folder stays.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from localrag import protocol
from localrag.errors import LocalragError, ReadError
from localrag.security import storage

SECONDS = 90
_FILTERS = {"docx": "docx:MS Word 2007 XML", "pptx": "pptx:Impress MS PowerPoint 2007 XML"}
_FAILED, _LATE, _LARGE = 3, 4, 5
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
    order = {"program": office, "suffix": suffix, "to": to, "most": most, "seconds": seconds, "size": len(data)}
    with protocol.start("localrag.ingest.readers.conversion") as supervisor:
        assert supervisor.stdin is not None and supervisor.stdout is not None
        with contextlib.suppress(OSError):  # it has ended, and its exit code says why
            supervisor.stdin.write(json.dumps(order).encode() + b"\n" + data)
            supervisor.stdin.flush()
        result = supervisor.stdout.read()
        code = supervisor.wait()  # its stdin stays open until here, so it notices if this process is killed
    if code == 0 and result:
        return result
    if code == _LATE:
        raise ReadError(f"took LibreOffice longer than {seconds:g} s", "Save it in the newer format yourself.")
    if code == _LARGE:
        raise ReadError(f"becomes larger than {most:,} bytes when converted", "Split it into smaller files.")
    raise ReadError("could not be opened by LibreOffice", "It may be damaged. Save it in the newer format.")


def _main() -> int:
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    order: dict[str, Any] = json.loads(requests.readline())
    data = requests.read(order["size"])
    if len(data) < order["size"]:
        return _FAILED
    aborted = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: aborted.set())

    def wait_for_parent() -> None:
        os.read(requests.fileno(), 1)  # returns when the parent is gone: its end of the pipe closes
        aborted.set()

    threading.Thread(target=wait_for_parent, daemon=True).start()
    memory = Path("/dev/shm")
    root = memory if memory.is_dir() and os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    folder = root / f"localrag-{os.getppid()}-{uuid.uuid4().hex}"
    result = folder / "out" / f"document.{order['to']}"
    end = time.monotonic() + order["seconds"]
    office = None
    try:
        office = _start(order, data, folder, result)
        while office.poll() is None and not aborted.wait(0.05):
            if time.monotonic() > end:
                return _LATE
        if aborted.is_set() or not result.is_file():
            return _FAILED
        if result.stat().st_size > order["most"]:
            return _LARGE
        replies.write(result.read_bytes())
        replies.flush()
        return 0
    finally:
        if office is not None:
            _kill(office)
        for _ in range(20):  # a late write may create a folder again
            with contextlib.suppress(OSError, LocalragError):
                storage.remove(folder)
            if not folder.exists():
                break


def _start(order: dict[str, Any], data: bytes, folder: Path, result: Path) -> subprocess.Popen[bytes]:
    """Start LibreOffice on a document, with a fresh profile in the same folder."""
    document = folder / f"document{order['suffix']}"
    settings = "".join(
        f'<item oor:path="/org.openoffice.Office.{path}"><prop oor:name="{name}" oor:op="fuse">'
        f"<value>{value}</value></prop></item>"
        for path, name, value in _SETTINGS_OFF
    )
    storage.write_bytes(document, data)
    storage.make_dir(result.parent)
    storage.write_bytes(folder / "profile/user/registrymodifications.xcu", (_SETTINGS % settings).encode())
    # No proxies, display and session bus; the home is the folder.
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "WINDIR") if name in os.environ}
    names = ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "XDG_RUNTIME_DIR")
    return subprocess.Popen(
        [
            order["program"], f"-env:UserInstallation={(folder / 'profile').as_uri()}",
            "--headless", "--norestore", "--nologo", "--nodefault", "--nolockcheck",
            "--convert-to", _FILTERS[order["to"]], "--outdir", str(result.parent), str(document),
        ],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=kept | dict.fromkeys(names, str(folder)) | {"LC_ALL": "C.UTF-8", "TZ": "UTC", "SAL_USE_VCLPLUGIN": "svp"},
        start_new_session=True, creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )  # fmt: skip


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and everything it started."""
    if sys.platform == "win32":
        taskkill = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
        subprocess.run(taskkill, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


if __name__ == "__main__":
    code = _FAILED
    with contextlib.suppress(OSError, LocalragError):  # the disk is full, or the parent is gone
        code = _main()
    os._exit(code)  # a thread still waits for the pipe
