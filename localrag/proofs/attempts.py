"""What a proof tries: every way out that we know of, from Python, native code, started programs and by files.

Each attempt says which layer is there to refuse it. An attempt that returns got through; one that ends with an error
says by which layer it was refused. Nothing is aimed beyond this machine: targets are a listener of the proof's own, and
names that cannot exist. What would leave the machine where nothing keeps it (a look-up of a name) is not tried there:
it is "open", which is no better than got through.

Limits: these are the ways that are known here. A proof shows that they are closed, not that there is no other.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from localrag.errors import OfflineRefused, StorageError
from localrag.security import offline, storage
from localrag.security.offline import LayerName, landlock, seccomp

Way = Literal["python", "native", "program", "names", "files", "processes"]
Refuser = LayerName | Literal["any", ""]
_NOWHERE = ("192.0.2.1", 443)  # TEST-NET-1, which is routed nowhere
_NO_NAME = "localrag-proof.invalid"


@dataclass(frozen=True, slots=True)
class Target:
    """What the attempts aim at, all of it held by the process that proves."""

    port: int
    unix: str
    process: int
    outside: Path
    inside: Path


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way out; `layer` is who has to refuse it, "any" where several may be first and cannot be told apart."""

    name: str
    way: Way
    layer: Refuser
    run: Callable[[Target], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: it got through, it was refused by a layer ("any": it failed, and by whom cannot be told), it
    cannot be tried on this system, or it was not tried since nothing would have kept it from leaving.
    """

    result: Literal["through", "refused", "absent", "open"]
    by: Refuser
    said: str


class _Absent(Exception):
    """It cannot be tried on this system."""


class _Open(Exception):
    """It was not tried, for it would leave this machine."""


class _Failed(Exception):
    """It failed, and nothing tells by whom it was refused."""


def attempt(one: Attempt, target: Target) -> Outcome:
    try:
        one.run(target)
    except _Absent as error:
        return Outcome("absent", "", str(error))
    except _Open:
        return Outcome("open", "", "not tried: nothing would keep it")
    except _Failed as error:
        return Outcome("refused", "any", str(error))
    except OfflineRefused as error:
        return Outcome("refused", "hook", error.message)
    except OSError as error:
        named = errno.errorcode.get(error.errno or 0, type(error).__name__)
        return Outcome("refused", _who(one, error), named)
    except Exception as error:  # what a library makes of being told to stay offline
        by: Refuser = "switches" if "Offline" in type(error).__name__ else "any"
        return Outcome("refused", by, type(error).__name__)
    return Outcome("through", "", "it worked")


def _who(one: Attempt, error: OSError) -> Refuser:
    if "Offline" in type(error).__name__:
        return "switches"
    if one.layer == "landlock":
        return "landlock" if error.errno == errno.EPERM else "any"
    if one.layer == "files":
        return "files" if error.errno in (errno.EACCES, errno.EXDEV) else "any"
    if error.errno != errno.EACCES:
        return "any"
    return "seccomp" if seccomp.holds() else "landlock"  # which refuses TCP in the same words


# --- Python -------------------------------------------------------------------------------------------------


def _disguised() -> socket.socket:
    """A Unix socket that says it is one of the network: it passes the filter, so that the hook stands alone."""
    one, _ = socket.socketpair()
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=one.detach())


def _python_connect(target: Target) -> None:
    with _disguised() as mine:
        mine.connect(_NOWHERE)


def _python_bind(target: Target) -> None:
    with _disguised() as mine:
        mine.bind(("0.0.0.0", 0))


def _python_socket(target: Target) -> None:
    with socket.create_connection(("127.0.0.1", target.port), timeout=5):
        pass


def _python_unix(target: Target) -> None:
    with socket.socket(socket.AF_UNIX) as mine:
        mine.connect(target.unix)


def _python_http(target: Target) -> None:
    import urllib.request

    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://127.0.0.1:{target.port}/", timeout=5)


def _hub(target: Target) -> None:
    import huggingface_hub

    huggingface_hub.HfApi(endpoint=f"http://127.0.0.1:{target.port}").model_info("proof/proof", timeout=5)


# --- native code --------------------------------------------------------------------------------------------


def _native(function: str, *arguments: object) -> int:
    """A function of the C library; its error as an OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(getattr(libc, function)(*arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _opens(family: int, kind: int) -> Callable[[Target], None]:
    def run(target: Target) -> None:
        os.close(_native("socket", family, kind, 0))

    return run


def _address(port: int) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(struct.pack("=HH4s8x", 2, socket.htons(port), bytes((127, 0, 0, 1))), 16)


def _native_tcp(target: Target) -> None:
    descriptor = _native("socket", 2, 1, 0)
    try:
        _native("connect", descriptor, _address(target.port), 16)
    finally:
        os.close(descriptor)


def _native_udp(target: Target) -> None:
    descriptor = _native("socket", 2, 2, 0)
    try:
        _native("sendto", descriptor, b"x", 1, 0, _address(target.port), 16)
    finally:
        os.close(descriptor)


def _native_unix(target: Target) -> None:
    descriptor = _native("socket", 1, 1, 0)
    try:
        path = os.fsencode(target.unix) + b"\0"
        _native("connect", descriptor, struct.pack("=H", 1) + path, 2 + len(path))
    finally:
        os.close(descriptor)


def _machine() -> seccomp.Machine:
    if (machine := seccomp.machine()) is None:
        raise _Absent("its number is known on Linux for x86-64 and 64-bit ARM only")
    return machine


def _raw(target: Target) -> None:
    os.close(_native("syscall", _machine().socket, 2, 1, 0))


def _x32(target: Target) -> None:
    if os.uname().machine != "x86_64":
        raise _Absent("x32 is a door of x86-64")
    _machine()
    os.close(_native("syscall", 0x40000000 | 41, 2, 1, 0))


def _io_uring(target: Target) -> None:
    _machine()
    os.close(_native("syscall", 425, 1, ctypes.create_string_buffer(120)))


def _terminal(target: Target) -> None:
    _machine()
    pair = os.openpty()
    try:
        _native("ioctl", pair[1], 0x5412, b"x")
    finally:
        os.close(pair[0])
        os.close(pair[1])


def _pidfd(target: Target) -> None:
    machine = _machine()
    assert 438 in machine.refused
    held = os.pidfd_open(target.process) if sys.platform == "linux" else -1
    try:
        os.close(_native("syscall", 438, held, 0, 0))
    finally:
        os.close(held)


def _ptrace(target: Target) -> None:
    _machine()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(0x4206, target.process, None, None) < 0:  # seize: it does not stop
        raise OSError(ctypes.get_errno(), "ptrace")
    libc.ptrace(17, target.process, None, None)


def _signal(target: Target) -> None:
    if landlock.abi() < 6:
        raise _Absent(f"Landlock keeps signals inside from ABI 6 on; this kernel has {landlock.abi()}")
    os.kill(target.process, 0)


# --- names --------------------------------------------------------------------------------------------------


def _python_name(target: Target) -> None:
    if not offline.hook_installed():
        raise _Open
    socket.getaddrinfo(_NO_NAME, 443)


def _native_name(target: Target) -> None:
    if not seccomp.holds():
        raise _Open
    found = ctypes.c_void_p()
    code = ctypes.CDLL(None).getaddrinfo(_NO_NAME.encode(), b"443", None, ctypes.byref(found))
    if code:
        raise _Failed(f"getaddrinfo gave {code}")


# --- programs -----------------------------------------------------------------------------------------------

_SAYS = """
import errno, socket, sys
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5)
except OSError as error:
    print(errno.errorcode.get(error.errno, "?"))
else:
    print("through")
"""


def _started_python(target: Target) -> None:
    code = [sys.executable, "-I", "-S", "-c", _SAYS, str(target.port)]
    said = subprocess.run(code, capture_output=True, text=True, timeout=30, check=False).stdout.strip()
    if said != "through":
        raise OSError(getattr(errno, said, 0), said)


def _run(program: str, *arguments: str) -> None:
    path = shutil.which(program)
    if path is None:
        raise _Absent(f"{program} is not installed")
    done = subprocess.run(
        [path, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=30,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}, check=False,
    )  # fmt: skip
    if done.returncode:
        if "Permission denied" in done.stderr:
            raise PermissionError(errno.EACCES, "Permission denied")
        raise _Failed(f"{program} ended with {done.returncode}")


def _curl(target: Target) -> None:
    _run("curl", "-sS", "--noproxy", "*", "--max-time", "5", f"http://127.0.0.1:{target.port}/")


def _bash(target: Target) -> None:
    _run("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{target.port}")


def _getent(target: Target) -> None:
    if not seccomp.holds():
        raise _Open
    _run("getent", "ahosts", _NO_NAME)


# A library that the proof does not work on, below its home.
OTHER_LIBRARY = Path("indexes/another/library.db")


# --- files --------------------------------------------------------------------------------------------------


@contextmanager
def _bare_errors() -> Iterator[None]:
    """The vault's errors are worded for people; here the system's own are wanted."""
    try:
        yield
    except StorageError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from None
        raise


def _reads(target: Target) -> None:
    (target.outside / "secret").read_bytes()


def _writes(target: Target) -> None:
    with _bare_errors():
        storage.append_line(target.outside / "left", "x")


def _native_writes(target: Target) -> None:
    path = os.fsencode(target.outside / "left")
    os.close(_native("open", path, os.O_CREAT | os.O_WRONLY, 0o600))


def _moves(target: Target) -> None:
    ours = target.inside / "general" / "moved"  # writable, whichever library is asked
    storage.write_bytes(ours, b"x")
    with _bare_errors():
        storage.move(ours, target.outside / "moved")


def _reads_a_library(target: Target) -> None:
    (target.inside / OTHER_LIBRARY).read_bytes()


def _writes_to_a_library(target: Target) -> None:
    os.close(_native("open", os.fsencode(target.inside / OTHER_LIBRARY), os.O_WRONLY))


def _shell_writes(target: Target) -> None:
    _run("sh", "-c", f"echo x > '{target.outside}/left'")


def _home(target: Target) -> None:
    path = Path.home() / f".localrag-proof-{os.getpid()}"
    descriptor = _native("open", os.fsencode(path), os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600)
    os.close(descriptor)
    storage.remove(path)


ATTEMPTS = (
    Attempt("the hub's library asks for a model", "python", "switches", _hub),
    Attempt("a connection to an address of the network", "python", "hook", _python_connect),
    Attempt("listening to the network", "python", "hook", _python_bind),
    Attempt("a connection within this machine", "python", "seccomp", _python_socket),
    Attempt("a page by urllib", "python", "any", _python_http),
    Attempt("another program's Unix socket", "python", "seccomp", _python_unix),
    Attempt("TCP", "native", "seccomp", _native_tcp),
    Attempt("UDP, as a question to a name server is sent", "native", "seccomp", _native_udp),
    Attempt("a TCP socket of IPv6", "native", "seccomp", _opens(10, 1)),
    Attempt("a raw socket", "native", "seccomp", _opens(2, 3)),
    Attempt("a netlink socket", "native", "seccomp", _opens(16, 3)),
    Attempt("a packet socket", "native", "seccomp", _opens(17, 3)),
    Attempt("a socket to the host of a virtual machine", "native", "seccomp", _opens(40, 1)),
    Attempt("another program's Unix socket", "native", "seccomp", _native_unix),
    Attempt("a socket by the number of the system call", "native", "seccomp", _raw),
    Attempt("a socket by the x32 door", "native", "seccomp", _x32),
    Attempt("io_uring", "native", "seccomp", _io_uring),
    Attempt("typing into a terminal", "processes", "seccomp", _terminal),
    Attempt("taking an open file of another process", "processes", "seccomp", _pidfd),
    Attempt("taking over another process", "processes", "seccomp", _ptrace),
    Attempt("a signal to another process", "processes", "landlock", _signal),
    Attempt("a name, by Python", "names", "hook", _python_name),
    Attempt("a name, by the C library", "names", "any", _native_name),
    Attempt("a name, by getent", "names", "any", _getent),
    Attempt("a Python that knows nothing of localrag", "program", "seccomp", _started_python),
    Attempt("curl", "program", "any", _curl),
    Attempt("bash", "program", "seccomp", _bash),
    Attempt("reading a file elsewhere", "files", "files", _reads),
    Attempt("writing a file elsewhere", "files", "files", _writes),
    Attempt("writing a file elsewhere, by native code", "files", "files", _native_writes),
    Attempt("writing a file elsewhere, by a shell", "files", "files", _shell_writes),
    Attempt("moving a file of ours elsewhere", "files", "files", _moves),
    Attempt("reading another library", "files", "files", _reads_a_library),
    Attempt("writing to another library, by native code", "files", "files", _writes_to_a_library),
    Attempt("a new file in the home folder", "files", "files", _home),
)
