"""Run LibreOffice, Tesseract and FFmpeg for a reader process, which may start no program itself.

The reader starts a helper process before it is confined. The helper takes one order at a time, builds the command line
itself, and gives the program a private folder and, on Linux, a sandbox of its own: no network, and no files but the
system's and that folder. When the order is done, time is up or the reader is gone, it kills everything that the program
started and deletes the folder; the next helper deletes what a killed one left. LibreOffice gets a fresh profile: no
macros, no Java, no updated links.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, BinaryIO, Literal

import msgspec

from localrag import protocol
from localrag.errors import LocalragError, ReadError

Name = Literal["LibreOffice", "Tesseract", "FFmpeg"]
Status = Literal["done", "failed", "late", "large"]
_COMMANDS: dict[Name, tuple[str, ...]] = {
    "LibreOffice": ("soffice", "libreoffice"),
    "Tesseract": ("tesseract",),
    "FFmpeg": ("ffmpeg",),
}
_WINDOWS = {
    "LibreOffice": "LibreOffice/program/soffice.exe",
    "Tesseract": "Tesseract-OCR/tesseract.exe",
    "FFmpeg": "ffmpeg/bin/ffmpeg.exe",
}
# What FFmpeg reads, by suffix. The type is never guessed: playlists and scripts name other files.
DEMUXERS: Mapping[str, str] = {
    ".aac": "aac",
    ".amr": "amr",
    ".wma": "asf",
    **dict.fromkeys((".m4a", ".mp4", ".mov", ".3gp"), "mov"),
    **dict.fromkeys((".webm", ".mkv"), "matroska"),
}
_TO_FLAC = "-map 0:a:0 -ac 1 -ar 16000 -f flac"  # one channel of 16,000 samples a second, as speech is read
# The filters of LibreOffice: those that write, with the part that has them; and by suffix those that read, for files
# that it would take for text otherwise.
_FILTERS = {
    "docx": ("Writer", "MS Word 2007 XML"),
    "pptx": ("Impress", "Impress MS PowerPoint 2007 XML"),
    "xlsx": ("Calc", "Calc MS Excel 2007 XML"),
    "pdf": ("Draw", "draw_pdf_Export"),
}
_IMPORTS = {
    ".key": "Apple Keynote",
    ".numbers": "Apple Numbers",
    ".pages": "Apple Pages",
    ".pub": "Publisher Document",
    ".vsd": "Visio Document",
    ".vsdx": "Visio Document",
    ".wpd": "WordPerfect",
    ".wps": "MS_Works",
}
_SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">{items}</oor:items>
"""
_ITEM = (
    """<item oor:path="/org.openoffice.Office.{}"><prop oor:name="{}" oor:op="fuse"><value>{}</value></prop></item>"""
)
_OFF = (
    ("Common/Security/Scripting", "MacroSecurityLevel", "3"),
    ("Common/Security/Scripting", "DisableMacrosExecution", "true"),
    ("Common/Security/Scripting", "DisableActiveContent", "true"),
    ("Common/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
    ("Common/Misc", "UseSystemFileDialog", "false"),
    ("Writer/Content/Update", "Link", "0"),
    ("Jobs/Jobs/org.openoffice.Office.Jobs:Job['UpdateCheck']/Arguments", "AutoCheckEnabled", "false"),
    ("Java/VirtualMachine", "Enable", "false"),
)
_AGAIN = 81  # LibreOffice's exit code after it has made its profile
_HOMES = ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "XDG_RUNTIME_DIR")
_KEPT = ("PATH", "SYSTEMROOT", "WINDIR", "TESSDATA_PREFIX")  # no proxies, display and session bus
_MAX_BYTES, _MAX_DATA = 2 << 30, 4 << 30
_helper: subprocess.Popen[bytes] | None = None
_FOLDER = re.compile(r"localrag-(\d{1,9})-[0-9a-f]{32}")  # a reader's process id
_has_ended = False
_calling = threading.Lock()


class Order(protocol.Message):
    """A program to run on the `size` bytes that follow.

    LibreOffice's arguments: the suffix, and the wanted type; FFmpeg's: the suffix.
    """

    program: Name
    arguments: tuple[Annotated[str, msgspec.Meta(pattern=r"^[\w.+-]{1,300}$")], ...]
    size: Annotated[int, msgspec.Meta(ge=0, le=_MAX_BYTES)]
    seconds: Annotated[float, msgspec.Meta(gt=0, le=600)]
    most: Annotated[int, msgspec.Meta(ge=0, le=_MAX_BYTES)]


class _Result(protocol.Message):
    status: Status
    size: int


def installed() -> dict[Name, str | None]:
    """Return the paths of the programs, None where one is missing. The current folder is left out."""
    found: dict[Name, str | None] = {}
    for name, commands in _COMMANDS.items():
        if sys.platform == "win32":
            roots = (os.environ.get("PROGRAMFILES"), os.environ.get("PROGRAMFILES(X86)"))
            places = [Path(root, _WINDOWS[name]) for root in roots if root]
        else:
            places = [Path(path) for command in commands if (path := shutil.which(command))]
            places += [Path("/Applications/LibreOffice.app/Contents/MacOS/soffice")] * (name == "LibreOffice")
        found[name] = next((str(path) for path in places if path.is_absolute() and path.is_file()), None)
    return found


def missing_parts() -> list[str]:
    """Return the parts that an installed LibreOffice lacks, such as "Impress"; distributions package them apart."""
    program = installed()["LibreOffice"]
    real = Path(program).resolve() if program else Path()
    places = (real.parents[1] / "share/registry", real.parents[1] / "Resources/registry") if program else ()
    if (registry := next(filter(Path.is_dir, places), None)) is None:
        return []
    return [part for part, _ in _FILTERS.values() if not (registry / f"{part.lower()}.xcd").is_file()]


def start() -> None:
    """Start the helper process if a program is installed. A reader does so before it is confined."""
    global _helper
    if _helper is None and any((found := installed()).values()):
        _helper = protocol.start(__name__, json.dumps(found), environment={"PGPASSWORD": ""})


def ended() -> bool:
    """Return True if the helper process has ended, so that this reader cannot run programs any more."""
    return _has_ended


def run(name: Name, arguments: Sequence[str], data: bytes, seconds: float, most: int = 1 << 30) -> tuple[Status, bytes]:
    """Run a program on some input. Raises ReadError if the helper process has ended."""
    global _has_ended
    with _calling:
        start()
        assert _helper is not None and _helper.stdin is not None and _helper.stdout is not None
        with contextlib.suppress(OSError):
            protocol.send(_helper.stdin, Order(name, tuple(arguments), len(data), seconds, most))
            _helper.stdin.write(data)
            _helper.stdin.flush()
            reply: _Result | None = protocol.receive(_helper.stdout, _Result)
            if reply is not None:
                return reply.status, _helper.stdout.read(reply.size)
    _has_ended = True
    raise ReadError(f"was not read: the process that runs {name} has ended", "Read it again.")


def convert(data: bytes, suffix: str, to: str, most: int, seconds: float = 90) -> bytes | None:
    """Return a document as "docx", "pptx", "xlsx" or "pdf" of `most` bytes at most; None without LibreOffice.

    Raises ReadError if it cannot be converted.
    """
    if installed()["LibreOffice"] is None:
        return None
    status, result = run("LibreOffice", (suffix, to), data, seconds, most)
    if status == "done":
        return result
    if status == "late":
        raise ReadError(f"took LibreOffice longer than {seconds:g} s", "Save it in the newer format yourself.")
    if status == "large":
        raise ReadError(f"becomes larger than {most:,} bytes when converted", "Split it into smaller files.")
    if (part := _FILTERS[to][0]) in missing_parts():
        hint = f"Install it, for example the package libreoffice-{part.lower()}-nogui, and ingest again."
        raise ReadError(f"needs LibreOffice's {part}, which is not installed", hint)
    hint = "It may be damaged, or need a password. Save it in a newer format."
    raise ReadError("could not be opened by LibreOffice", hint)


# --- the helper process -------------------------------------------------------------------------------------


def main() -> None:
    from localrag.security import offline, sandbox

    requests, replies = protocol.own_pipes()
    paths: dict[Name, str] = {name: path for name, path in json.loads(sys.argv[1]).items() if path is not None}
    offline.confine()
    sandbox.restrict_helper(paths.values())
    _give_up()
    sweep()
    while (order := protocol.receive(requests, Order)) is not None:
        data = requests.read(order.size)
        try:
            status, result = _carry_out(order, data, paths, requests)
        except (OSError, KeyError, ValueError, LocalragError):  # the disk is full, or the program cannot be started
            status, result = "failed", b""
        protocol.send(replies, _Result(status, len(result)))
        replies.write(result)
        replies.flush()


def _give_up() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o077)
    if sys.platform == "linux":
        import resource

        from localrag.security.offline import kernel

        kernel.prctl(kernel.CHILD_SUBREAPER, 1)
        os.nice(5)
        for kind, most in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_FSIZE, _MAX_BYTES),
            (resource.RLIMIT_DATA, _MAX_DATA),
        ):
            hard = resource.getrlimit(kind)[1]
            most = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (most, most))


def sweep() -> None:
    """Delete the folders of processes that were killed; on Linux."""
    from localrag.security import storage

    for folder in Path(tempfile.gettempdir()).glob("localrag-*-*"):
        own = _FOLDER.fullmatch(folder.name)
        if own and sys.platform == "linux" and not Path("/proc", own[1]).exists():
            with contextlib.suppress(OSError, LocalragError):  # it is another user's
                storage.remove(folder)


def _carry_out(order: Order, data: bytes, paths: Mapping[Name, str], requests: BinaryIO) -> tuple[Status, bytes]:
    from localrag.security import storage

    folder = Path(tempfile.gettempdir()) / f"localrag-{os.getppid()}-{uuid.uuid4().hex}"
    end = time.monotonic() + order.seconds
    process = None
    try:
        command, made = _prepared(order, data, folder, Path(paths[order.program]).resolve())
        for _ in range(2):
            with (folder / "input").open("rb") as given, storage.create(folder / "output", durable=False) as output:
                process = _started(command, folder, given, output, paths.values())
                while process.poll() is None:
                    if time.monotonic() > end:
                        return "late", b""
                    if _gone(requests):
                        return "failed", b""
            if process.returncode != _AGAIN:
                break
        if not made.is_file():
            return "failed", b""
        return ("large", b"") if made.stat().st_size > order.most else ("done", made.read_bytes())
    finally:
        if process is not None:
            _kill(process)
        for _ in range(20):  # a late write may create a folder again
            with contextlib.suppress(OSError, LocalragError):
                storage.remove(folder)
            if not folder.exists():
                break


def _prepared(order: Order, data: bytes, folder: Path, program: Path) -> tuple[list[str], Path]:
    """Write the input; return the command line, and the file that will hold the result."""
    from localrag.security import storage

    if order.program == "Tesseract":
        storage.write_bytes(folder / "input", data)
        return [str(program), *order.arguments], folder / "output"
    if order.program == "FFmpeg":
        storage.write_bytes(folder / "input", data)
        given = ["-f", DEMUXERS[order.arguments[0]], "-protocol_whitelist", "file", "-i", str(folder / "input")]
        quiet = ["-nostdin", "-loglevel", "quiet", "-threads", "1"]
        return [str(program), *quiet, *given, *_TO_FLAC.split(), str(folder / "sound.flac")], folder / "sound.flac"
    suffix, to = order.arguments
    binary = program.with_name("soffice.bin")  # soffice is a script that starts it, and others
    items = "".join(_ITEM.format(*each) for each in _OFF)
    storage.write_bytes(folder / "input", b"")
    storage.write_bytes(folder / f"document{suffix}", data)
    storage.write_bytes(folder / "profile/user/registrymodifications.xcu", _SETTINGS.format(items=items).encode())
    storage.make_dir(folder / "out")
    command = [
        str(binary if binary.is_file() else program),
        f"-env:UserInstallation={(folder / 'profile').as_uri()}",
        "-env:OSL_SOCKET_PATH=.",
        "--headless",
        "--norestore",
        "--nologo",
        "--nodefault",
        "--nolockcheck",
        *([f"--infilter={_IMPORTS[suffix]}"] if suffix in _IMPORTS else []),
        "--convert-to",
        f"{to}:{_FILTERS[to][1]}",
        "--outdir",
        str(folder / "out"),
        str(folder / f"document{suffix}"),
    ]
    return command, folder / f"out/document.{to}"


def _started(
    command: list[str], folder: Path, given: BinaryIO, output: BinaryIO, paths: Iterable[str]
) -> subprocess.Popen[bytes]:
    from localrag.security import sandbox

    return subprocess.Popen(
        command,
        cwd=folder,
        stdin=given,
        stdout=output,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _KEPT if name in os.environ}
        | dict.fromkeys(_HOMES, str(folder))
        | {"LC_ALL": "C.UTF-8", "TZ": "UTC", "SAL_USE_VCLPLUGIN": "svp", "OMP_THREAD_LIMIT": "1"},
        preexec_fn=sandbox.program_restrictions(paths, folder) if sys.platform == "linux" else None,
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def _gone(requests: BinaryIO) -> bool:
    """Wait a moment; return True if the reader is gone, or sends what it should not."""
    if sys.platform == "win32":  # nothing there tells
        time.sleep(0.02)
        return False
    return bool(select.select([requests], [], [], 0.02)[0])


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a program and everything that it started."""
    if sys.platform == "win32":
        taskkill = ["taskkill", "/T", "/F", "/PID", str(process.pid)]
        subprocess.run(taskkill, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    if sys.platform != "linux":
        return
    for _ in range(1000):  # what it left behind has become this process's child
        left = [pid for each in Path("/proc/self/task").glob("*/children") for pid in each.read_text("ascii").split()]
        if not left:
            return
        for pid in map(int, left):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


if __name__ == "__main__":
    with contextlib.suppress(OSError, protocol.Malformed):  # the reader is gone, or was taken over
        main()
    os._exit(0)
