"""Every known way out of a confined process: from Python, native code, started programs, and by files.

An attempt that returns got through; one that raises was refused. What would leave the machine if nothing refused it
(a name look-up) is then not tried, and counts as "open". Run as a module, this is the process under test: it confines
itself as `localrag ask` does, with a socket that listens as that of `localrag serve`, makes every attempt, reads
documents and answers, and makes every attempt again; or it confines itself as a reader of documents does, and makes the
attempts of a reader.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from localrag import policy
from localrag.errors import LocalragError, OfflineRefused, StorageError
from localrag.security import offline, sandbox, storage
from localrag.security.offline import LayerName, broker, kernel, remote
from localrag.security.offline.remote import Address
from localrag.settings import Settings, load_settings

Way = Literal["python", "native", "program", "names", "files", "processes", "broker", "reader"]
Refuser = LayerName | Literal["any", ""]
OTHER_LIBRARY = Path("indexes/another/library.db")  # below the home, and not the library of the proof
_LIBRARY = "proof"
_QUESTION = "When does the lease of Harbour House end?"
_TEST_NET = ("192.0.2.1", 443)  # TEST-NET-1, which is routed nowhere
_NO_NAME = "localrag-proof.invalid"
_NOT_TRIED = "not tried: nothing would stop it"  # and it would leave this machine
_NR_IO_URING_SETUP, _NR_PIDFD_GETFD, _X32 = 425, 438, 0x40000000
_PROCESS_KEYRING, _NEW_USER = -2, 0x10000000
_TIOCSTI, _PTRACE_SEIZE, _PTRACE_DETACH = 0x5412, 0x4206, 17


@dataclass(frozen=True, slots=True)
class Target:
    """What the attempts aim at, held by the process that proves."""

    port: int
    unix: str
    allowed: str  # the URL of a store, whose Unix socket it may reach
    process: int
    outside: Path
    inside: Path
    inherited: int  # a Unix socket
    listener: socket.socket | None = None  # what `localrag serve` keeps open


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way out. `layer` has to refuse it; "any" where several may."""

    name: str
    way: Way
    layer: Refuser
    run: Callable[[Target], object]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of an attempt. `by`: the layer that refused it, "any" if that is unknown.

    `absent`: this system has no such way. `open`: not tried, because nothing would have stopped it.
    """

    result: Literal["through", "refused", "absent", "open"]
    by: Refuser
    detail: str


class _Ended(Exception):
    """An attempt that ended in some other way than by getting through or by an error."""

    def __init__(self, result: Literal["refused", "absent", "open"], detail: str) -> None:
        self.outcome = Outcome(result, "any" if result == "refused" else "", detail)


def attempt(one: Attempt, target: Target) -> Outcome:
    """Make an attempt."""
    try:
        one.run(target)
    except _Ended as error:
        return error.outcome
    except OfflineRefused as error:
        return Outcome("refused", "hook", error.message)
    except (OSError, StorageError) as raised:
        cause = raised.__cause__ if isinstance(raised, StorageError) else raised
        assert isinstance(cause, OSError)
        if one.layer == "files" and cause.errno == errno.EROFS:  # before any layer is asked
            return Outcome("absent", "", "its file system is read-only")
        return Outcome("refused", _refuser(one, cause), errno.errorcode.get(cause.errno or 0, type(cause).__name__))
    except Exception as error:  # a library's own error when it is told to stay offline
        by: Refuser = "switches" if "Offline" in type(error).__name__ else "any"
        return Outcome("refused", by, type(error).__name__)
    return Outcome("through", "", "it worked")


def _refuser(one: Attempt, error: OSError) -> Refuser:
    if "Offline" in type(error).__name__:
        return "switches"
    if one.layer == "landlock":
        return "landlock" if error.errno == errno.EPERM else "any"
    if one.layer == "files":
        return "files" if error.errno in (errno.EACCES, errno.EXDEV) else "any"
    if one.way == "reader" and error.errno == errno.ENOSYS:  # a call that readers do not make
        return "seccomp"
    if error.errno != errno.EACCES:
        return "any"
    return "seccomp" if kernel.holds() else "landlock"  # Landlock refuses TCP with the same error


# --- Python -------------------------------------------------------------------------------------------------


def _disguised() -> socket.socket:
    """A Unix socket that claims to be an IP socket: it passes the seccomp filter, so that only the hook can refuse."""
    one, _ = socket.socketpair()
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=one.detach())


def _python_unix(target: Target) -> None:
    if sys.platform == "win32":
        raise _Ended("absent", "Python on Windows has no Unix sockets")
    with socket.socket(socket.AF_UNIX) as mine:
        mine.connect(target.unix)


def _from_listener(target: Target) -> None:
    if target.listener is None or sys.platform != "linux":
        raise _Ended("absent", "only Linux sends with a socket that listened")
    with target.listener.dup() as mine:
        with suppress(OSError):  # the second time it listens no more
            mine.shutdown(socket.SHUT_RDWR)
        mine.sendmsg([b"x"], [], socket.MSG_FASTOPEN, ("127.0.0.1", target.port))


def _hub(target: Target) -> None:
    import huggingface_hub

    huggingface_hub.HfApi(endpoint=f"http://127.0.0.1:{target.port}").model_info("proof/proof", timeout=5)


# --- native code --------------------------------------------------------------------------------------------


def _native(function: str, *arguments: object) -> int:
    """Call a function of the C library; raise its error as an OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(getattr(libc, function)(*arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _sends(
    family: int, kind: int, call: str, given: Callable[[Target], tuple[object, ...]]
) -> Callable[[Target], None]:
    """Open a socket and make a call with it."""

    def run(target: Target) -> None:
        descriptor = _native("socket", family, kind, 0)
        try:
            _native(call, descriptor, *given(target))
        finally:
            os.close(descriptor)

    return run


def _opens(family: int, kind: int) -> Callable[[Target], None]:
    return lambda target: os.close(_native("socket", family, kind, 0))


def _loopback(target: Target) -> ctypes.Array[ctypes.c_char]:
    return ctypes.create_string_buffer(struct.pack("=HH4s8x", 2, socket.htons(target.port), bytes((127, 0, 0, 1))), 16)


def _unix_address(target: Target) -> tuple[bytes, int]:
    address = struct.pack("=H", 1) + os.fsencode(target.unix) + b"\0"
    return address, len(address)


def _machine() -> kernel.Machine:
    if (machine := kernel.machine()) is None:
        raise _Ended("absent", "its number is known on Linux for x86-64 and 64-bit ARM only")
    return machine


def _by_number(number: int) -> None:
    os.close(_native("syscall", number, 2, 1, 0))


def _x32(target: Target) -> None:
    if (machine := _machine()) != kernel.MACHINES["x86_64"]:
        raise _Ended("absent", "only x86-64 has x32 calls")
    _by_number(_X32 | machine.number("socket"))


def _io_uring(target: Target) -> None:
    _machine()
    os.close(_native("syscall", _NR_IO_URING_SETUP, 1, ctypes.create_string_buffer(120)))


def _terminal(target: Target) -> None:
    _machine()
    if sys.platform != "linux":
        raise _Ended("absent", "only Linux has it")
    pair = os.openpty()
    try:
        _native("ioctl", pair[1], _TIOCSTI, b"x")
    finally:
        os.close(pair[0])
        os.close(pair[1])


def _pidfd(target: Target) -> None:
    _machine()
    if sys.platform != "linux":
        raise _Ended("absent", "only Linux has it")
    held = os.pidfd_open(target.process)
    try:
        os.close(_native("syscall", _NR_PIDFD_GETFD, held, 0, 0))
    finally:
        os.close(held)


def _ptrace(target: Target) -> None:
    _machine()
    _native("ptrace", _PTRACE_SEIZE, target.process, None, None)  # does not stop the process
    _native("ptrace", _PTRACE_DETACH, target.process, None, None)


def _call(name: str, *arguments: object) -> int:
    return _native("syscall", _machine().number(name), *arguments)


def _keyring(target: Target) -> None:
    _call("add_key", b"user", b"localrag-proof", b"x", 1, _PROCESS_KEYRING)  # by which the kernel also looks names up


def _namespace(target: Target) -> None:
    machine = _machine()
    if sys.platform != "linux":
        raise _Ended("absent", "only Linux has it")
    pid = os.fork()
    if not pid:
        os._exit(0 if kernel.call(machine.number("unshare"), _NEW_USER) == 0 else ctypes.get_errno())
    if code := os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise OSError(code, os.strerror(code))


def _shared_memory(target: Target) -> None:
    _call("shmctl", _call("shmget", 0, 4096, 0o600), 0, None)  # a private one, deleted at once


def _signal(target: Target) -> None:
    if kernel.abi() < 6:
        raise _Ended("absent", f"Landlock refuses signals from ABI 6 on; this kernel has {kernel.abi()}")
    os.kill(target.process, 0)


# --- names and programs -------------------------------------------------------------------------------------


def _python_name(target: Target) -> None:
    if not offline.hook_installed():
        raise _Ended("open", _NOT_TRIED)
    socket.getaddrinfo(_NO_NAME, 443)


def _native_name(target: Target) -> None:
    if not kernel.holds():
        raise _Ended("open", _NOT_TRIED)
    found = ctypes.c_void_p()
    code = ctypes.CDLL(None).getaddrinfo(_NO_NAME.encode(), b"443", None, ctypes.byref(found))
    if code:
        raise _Ended("refused", f"getaddrinfo returned {code}")


_CONNECT = """
import errno, socket, sys
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5)
except OSError as error:
    print(errno.errorcode.get(error.errno, "?"))
else:
    print("through")
"""


def _started_python(target: Target) -> None:
    code = [sys.executable, "-I", "-S", "-c", _CONNECT, str(target.port)]
    printed = subprocess.run(code, capture_output=True, text=True, timeout=30, check=False).stdout.strip()
    if printed != "through":
        raise OSError(getattr(errno, printed, 0), printed)


def _run(program: str, *arguments: str) -> None:
    path = shutil.which(program)
    if path is None:
        raise _Ended("absent", f"{program} is not installed")
    done = subprocess.run(
        [path, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=30,
        env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
        check=False,
    )
    if done.returncode:
        if "Permission denied" in done.stderr:
            raise PermissionError(errno.EACCES, "Permission denied")
        raise _Ended("refused", f"{program} exited with {done.returncode}")


def _getent(target: Target) -> None:
    if not kernel.holds():
        raise _Ended("open", _NOT_TRIED)
    _run("getent", "ahosts", _NO_NAME)


# --- the broker ---------------------------------------------------------------------------------------------


def _asks(given: Callable[[Target], broker.Key]) -> Callable[[Target], None]:
    """Ask the broker to connect, past localrag's own checks; where there is none, connect."""

    def run(target: Target) -> None:
        path, host, port = given(target)
        if not (channel := remote.channel()):
            if offline.confined():
                raise _Ended("absent", "this system needs no broker")
            remote.connect_directly(Address(path, host, port), 5).close()
            return
        try:
            with socket.socket(fileno=os.dup(channel[0])) as copy:
                broker.connect(copy, (path, host, port), 5).close()
        except OfflineRefused:
            raise _Ended("refused", "the broker knows no such address") from None

    return run


def reach(target: Target) -> Outcome:
    """Connect to the one address that the process under test may reach, and hear from it."""
    if sys.platform == "win32":
        return Outcome("absent", "", "Python on Windows has no Unix sockets")
    one = Attempt("", "broker", "any", lambda at: _listens(remote.connect(remote.address_of(at.allowed))))
    return attempt(one, target)


def _listens(connection: socket.socket) -> None:
    with connection:
        if not connection.recv(1):
            raise ConnectionResetError


# --- files --------------------------------------------------------------------------------------------------


def _creates(path: Path, flags: int = 0) -> None:
    os.close(_native("open", os.fsencode(path), os.O_CREAT | os.O_WRONLY | flags, 0o600))


def _moves(target: Target) -> None:
    ours = target.inside / "general" / "moved"  # writable, whichever library is asked
    storage.write_bytes(ours, b"x")
    storage.move(ours, target.outside / "moved")


def _home(target: Target) -> None:
    path = Path.home() / f".localrag-proof-{os.getpid()}"
    _creates(path, os.O_EXCL)
    storage.remove(path)


ATTEMPTS = (
    Attempt("the hub's library asks for a model", "python", "switches", _hub),
    Attempt("a connection to an address of the network", "python", "hook", lambda at: _disguised().connect(_TEST_NET)),
    Attempt("listening to the network", "python", "hook", lambda at: _disguised().bind(("0.0.0.0", 0))),
    Attempt(
        "a connection within this machine",
        "python",
        "seccomp",
        lambda at: socket.create_connection(("127.0.0.1", at.port), timeout=5).close(),
    ),
    Attempt("a connection by the socket that `serve` keeps", "python", "seccomp", _from_listener),
    Attempt("another program's Unix socket", "python", "seccomp", _python_unix),
    Attempt("a Unix socket that was open before", "python", "any", lambda at: os.write(at.inherited, b"x")),
    Attempt("TCP", "native", "seccomp", _sends(2, 1, "connect", lambda at: (_loopback(at), 16))),
    Attempt(
        "UDP, as a question to a name server is sent",
        "native",
        "seccomp",
        _sends(2, 2, "sendto", lambda at: (b"x", 1, 0, _loopback(at), 16)),
    ),
    Attempt("a TCP socket of IPv6", "native", "seccomp", _opens(10, 1)),
    Attempt("a raw socket", "native", "seccomp", _opens(2, 3)),
    Attempt("a netlink socket", "native", "seccomp", _opens(16, 3)),
    Attempt("a packet socket", "native", "seccomp", _opens(17, 3)),
    Attempt("a socket to the host of a virtual machine", "native", "seccomp", _opens(40, 1)),
    Attempt("another program's Unix socket", "native", "seccomp", _sends(1, 1, "connect", _unix_address)),
    Attempt(
        "a socket by the number of the system call",
        "native",
        "seccomp",
        lambda at: _by_number(_machine().number("socket")),
    ),
    Attempt("a socket by an x32 call", "native", "seccomp", _x32),
    Attempt("io_uring", "native", "seccomp", _io_uring),
    Attempt("typing into a terminal", "processes", "seccomp", _terminal),
    Attempt("taking an open file of another process", "processes", "seccomp", _pidfd),
    Attempt("taking over another process", "processes", "seccomp", _ptrace),
    Attempt("the kernel's keyring", "native", "seccomp", _keyring),
    Attempt("a namespace of its own", "processes", "seccomp", _namespace),
    Attempt("memory shared with other processes", "processes", "seccomp", _shared_memory),
    Attempt("a program in memory", "program", "seccomp", lambda at: os.close(_call("memfd_create", b"proof", 0))),
    Attempt("a signal to another process", "processes", "landlock", _signal),
    Attempt("a Unix socket that was not named", "broker", "any", _asks(lambda at: (at.unix, "", 0))),
    Attempt("TCP within this machine", "broker", "any", _asks(lambda at: ("", "127.0.0.1", at.port))),
    Attempt("a name, by Python", "names", "hook", _python_name),
    Attempt("a name, by the C library", "names", "any", _native_name),
    Attempt("a name, by getent", "names", "any", _getent),
    Attempt("a Python without localrag", "program", "seccomp", _started_python),
    Attempt("curl", "program", "any", lambda at: _run("curl", "-m", "5", "--noproxy", "*", f"127.0.0.1:{at.port}")),
    Attempt("bash", "program", "seccomp", lambda at: _run("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{at.port}")),
    Attempt("reading a file elsewhere", "files", "files", lambda at: (at.outside / "secret").open("rb").close()),
    Attempt("writing a file elsewhere", "files", "files", lambda at: storage.append_line(at.outside / "left", "x")),
    Attempt("writing a file elsewhere, by native code", "files", "files", lambda at: _creates(at.outside / "left")),
    Attempt(
        "writing a file elsewhere, by a shell",
        "files",
        "files",
        lambda at: _run("sh", "-c", f"echo x > '{at.outside}/left'"),
    ),
    Attempt("moving an own file elsewhere", "files", "files", _moves),
    Attempt("reading another library", "files", "files", lambda at: (at.inside / OTHER_LIBRARY).open("rb").close()),
    Attempt(
        "writing to another library, by native code", "files", "files", lambda at: _creates(at.inside / OTHER_LIBRARY)
    ),
    Attempt("a new file in the home folder", "files", "files", _home),
    Attempt("another library made world-readable", "files", "any", lambda at: (at.inside / OTHER_LIBRARY).chmod(0o644)),
)


def _forks(target: Target) -> None:
    if sys.platform == "win32":
        raise _Ended("absent", "Windows has no fork")
    if not (pid := os.fork()):
        os._exit(0)
    os.waitpid(pid, 0)


def _opens_path(path: str | Path, flags: int = os.O_RDONLY) -> None:
    os.close(os.open(path, flags))


_TERMINAL = os.O_RDWR | getattr(os, "O_NOCTTY", 0)

# What a reader of documents may not do either, although `ask` may.
READER_ATTEMPTS = (
    Attempt("opening a document by its path", "reader", "files", lambda at: _opens_path(at.outside / "secret")),
    Attempt("reading the home folder", "reader", "files", lambda at: _opens_path(Path.home())),
    Attempt("reading the system's settings", "reader", "files", lambda at: _opens_path("/etc/passwd")),
    Attempt("opening a terminal", "reader", "files", lambda at: _opens_path("/dev/ptmx", _TERMINAL)),
    Attempt("writing a temporary file", "reader", "files", lambda at: _creates(at.outside.parent / "tmp" / "x")),
    Attempt("starting a process", "reader", "seccomp", _forks),
    Attempt("a Unix socket", "reader", "seccomp", _opens(1, 1)),
)


# --- the process under test ---------------------------------------------------------------------------------


def main() -> None:
    """Read an order (JSON) from standard input and write the outcomes (JSON) to standard output."""
    order = json.load(sys.stdin)
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # discards what libraries print
    target = Target(
        order["port"],
        order["unix"],
        order["allowed"],
        order["process"],
        outside=Path(order["outside"]),
        inside=Path(order["home"]),
        inherited=order["inherited"],
    )
    settings = load_settings().with_options(home=target.inside, generator=order["generator"])
    if order["reader"]:
        offline.confine()
        sandbox.restrict_reader()
        replies.write(json.dumps({"before": [asdict(attempt(one, target)) for one in READER_ATTEMPTS]}))
        replies.close()
        os._exit(0)
    if not order["control"]:
        offline.close_sockets()
        _keep_closed(target.inherited)
    listener = socket.create_server(("127.0.0.1", 0))
    target = replace(target, listener=listener)
    if not order["control"]:
        remote.start_broker(remote.wanted(settings), [target.allowed])
        offline.confine(without=order["without"], listener=listener)
        if "files" not in order["without"]:
            sandbox.make_library_folder(settings, _LIBRARY)
            sandbox.restrict(settings, [_LIBRARY], reads=[Path(order["documents"])], without=order["without"])
    before = [asdict(attempt(one, target)) for one in ATTEMPTS]
    result: dict[str, Any] = {"before": before, "after": before, "layers": [asdict(each) for each in offline.layers()]}
    result["reached"] = asdict(reach(target))
    if order["control"]:
        result["reader"] = [asdict(attempt(one, target)) for one in READER_ATTEMPTS]
    if order["work"]:
        result["work"] = _work(settings, Path(order["documents"]))
        result["after"] = [asdict(attempt(one, target)) for one in ATTEMPTS]
    replies.write(json.dumps(result))
    replies.close()
    os._exit(0)  # models are slow to unload


def _keep_closed(descriptor: int) -> None:
    """Give the number of a closed file to one that nothing can be written to, before another socket gets it."""
    if sys.platform == "win32":  # where no sockets are inherited
        return
    try:
        os.fstat(descriptor)
    except OSError:
        nowhere = os.open(os.devnull, os.O_RDONLY)
        if nowhere != descriptor:
            os.dup2(nowhere, descriptor)
            os.close(nowhere)


def _work(settings: Settings, documents: Path) -> dict[str, Any]:
    """Read the documents into a library and answer a question, with the person's models."""
    from localrag import api, asking
    from localrag.lifecycle import encrypt
    from localrag.security.encryption.keyring import RecoveryKey

    try:
        library = api.open_library(_LIBRARY, settings=settings, create=True)
        if any(one.require_encryption for one in policy.active()):  # with a key that nobody keeps
            storage.make_dir(library.folder)
            secret = RecoveryKey.new()
            list(
                encrypt.encrypt(
                    library.folder, lambda ring, key: ring.with_credential(key, "proof", secret), lambda: False
                )
            )
        with closing(library):
            report = library.ingest(documents)
        asked = asking.ask(_QUESTION, libraries=[_LIBRARY], settings=settings)
        for _ in asked:
            pass
        answer = asked.answer
    except LocalragError as error:
        return {"error": error.message, "hint": error.hint}
    return {
        "documents": len(report.read),
        "passages": report.chunks,
        "answer": answer.answer,
        "citations": len(answer.citations),
        "model": answer.model,
    }


if __name__ == "__main__":
    main()
