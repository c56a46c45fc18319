"""Linux: what the kernel refuses a process: system calls (seccomp), a network, files (Landlock).

Filters of system calls hold for the whole process, its threads and its children, for good. Every confined process is
refused sockets but Unix streams; `connect`, `sendto` with an address and TCP Fast Open, which makes a connection of a
socket that listened, since Unix sockets and this machine's ports lead to programs with a network; the kernel's keyring,
which looks names up; io_uring, namespaces, mounts, shared memory and other processes; typing into the terminal; calls
of another architecture (32 bit, x32), whose numbers mean something else. Where files are limited, rights and owners
cannot be changed. Readers and the broker may only make the calls of a list (`syscalls.toml`). Limits: open sockets keep
working, so `sockets` finds them first; a program outside can hand over an open socket; root can load modules. Only
x86-64 and 64-bit ARM are known.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
import sys
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from localrag.errors import OfflineRefused

_NO_NEW_PRIVS = 38
_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000
_UNIX, _STREAM, _SEQPACKET, _TYPE = 1, 1, 5, 0xF
_FAMILIES = (_UNIX, 2, 10, 16)  # those of the broker: IPv4, IPv6, and netlink, by which libc sorts addresses
_RELIABLE = 4  # a kind that Unix sockets do not have
_TCGETS, _TIOCSTI, _TIOCLINUX, _FIONREAD, _FIONBIO, _FIOCLEX = 0x5401, 0x5412, 0x541C, 0x541B, 0x5421, 0x5451
_FLAGS = (0x40086602, 0x40046602, 0x401C5820)  # ioctl: attributes such as immutable
_DESCRIPTOR_FLAGS = (0, 1, 2, 3, 4, 1030)  # fcntl: copies and flags of descriptors
_WRITABLE = 2  # access
_FAST_OPEN = 0x20000000  # flag of sendmsg: connect and send; Landlock does not see it
_THREAD, _NAMESPACES = 0x00010000, 0x7E020000  # flags of clone

Instruction = tuple[int, int, int, int]
# "confined": every confined process. "metadata": where files are limited. "program": LibreOffice in addition, which
# makes its socket in its own folder if no other seems writable. "reader": processes that read documents.
# "broker": the process that connects to the addresses that may be reached.
Filter = Literal["confined", "metadata", "program", "reader", "broker"]
PARENT_DEATH_SIGNAL, DUMPABLE, CHILD_SUBREAPER = 1, 4, 36  # of prctl
_REFUSE: Instruction = (_RETURN, 0, 0, _ERRNO | errno.EACCES)
_UNKNOWN: Instruction = (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)  # as an older kernel answers: libc takes another way
_PERMIT: Instruction = (_RETURN, 0, 0, _ALLOW)


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of processor: the kernel's name for it, and its column in `syscalls.toml`."""

    arch: int
    column: int

    def number(self, name: str) -> int:
        """The number of a system call; -1 if this machine has none."""
        return next(calls[name][self.column] for calls in _calls().values() if name in calls)

    def numbers(self, table: str) -> list[int]:
        return [number for each in _calls()[table].values() if (number := each[self.column]) >= 0]


MACHINES = {"x86_64": Machine(0xC000003E, 0), "aarch64": Machine(0xC00000B7, 1)}


@cache
def _calls() -> dict[str, dict[str, list[int]]]:
    return tomllib.loads(Path(__file__).with_name("syscalls.toml").read_text("utf-8"))


def program(machine: Machine, kind: Filter = "confined") -> list[Instruction]:
    """A filter in classic BPF: (code, jump if true, jump if false, value)."""
    rules: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, machine.arch),
        _REFUSE,
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        _REFUSE,
    ]
    listed = kind in ("reader", "broker")  # only what is on a list is permitted
    for table in ("reader", "broker") if kind == "broker" else (kind,) if kind in _calls() else ():
        for number in machine.numbers(table):
            rules += [(_EQUAL, 0, 1, number), _PERMIT if listed else _REFUSE]
    for name, body in _checked(kind).items():
        if (number := machine.number(name)) >= 0:
            rules += [(_EQUAL, 0, len(body), number), *body]
    return [*rules, _UNKNOWN if listed else _PERMIT]


def _checked(kind: Filter) -> dict[str, list[Instruction]]:
    """The calls that a filter decides by their arguments."""
    if kind == "metadata":  # times of open files only, for the order of use
        return {"utimensat": [*_is_zero(1), _REFUSE, _PERMIT], "ioctl": _one_of(1, _FLAGS, _REFUSE, _PERMIT)}
    if kind == "program":
        return {"access": _one_of(1, [_WRITABLE], _REFUSE, _PERMIT)} | {
            name: _one_of(2, [_WRITABLE], _REFUSE, _PERMIT) for name in ("faccessat", "faccessat2")
        }
    if kind in ("reader", "broker"):
        opening = {"socket": _one_of(0, _FAMILIES, _PERMIT, _REFUSE)} if kind == "broker" else {}
        return opening | {
            "clone": [(_LOAD, 0, 0, _argument(0)), (_AND, 0, 0, _THREAD), (_EQUAL, 1, 0, _THREAD), _REFUSE, _PERMIT],
            "ioctl": _one_of(1, (_TCGETS, _FIONREAD, _FIONBIO, _FIOCLEX), _PERMIT, _REFUSE),
            # No signals to the owner of a descriptor, no leases.
            "fcntl": _one_of(1, _DESCRIPTOR_FLAGS, _PERMIT, _REFUSE),
            "prlimit64": [*_is_zero(0), _REFUSE, _PERMIT],
            "tgkill": [(_LOAD, 0, 0, _argument(0)), (_EQUAL, 1, 0, os.getpid()), _REFUSE, _PERMIT],  # abort()
        }
    unix = [
        (_LOAD, 0, 0, _argument(0)),
        (_EQUAL, 0, 4, _UNIX),
        (_LOAD, 0, 0, _argument(1)),
        (_AND, 0, 0, _TYPE),
        (_EQUAL, 2, 0, _STREAM),
        (_EQUAL, 1, 0, _SEQPACKET),
        _REFUSE,
        _PERMIT,
    ]
    return {
        "socket": unix,
        "socketpair": unix,
        "sendto": [*_is_zero(4), _REFUSE, _PERMIT],
        "sendmsg": _without(2, _FAST_OPEN),
        "sendmmsg": _without(3, _FAST_OPEN),
        "ioctl": _one_of(1, (_TIOCSTI, _TIOCLINUX), _REFUSE, _PERMIT),
        "clone": _without(0, _NAMESPACES),
        "clone3": [_UNKNOWN],  # its flags are in memory, which a filter cannot read
        "prlimit64": [*_is_zero(0), _REFUSE, _PERMIT],  # its own limits only
    }


def _without(position: int, flags: int) -> list[Instruction]:
    """Permit a call whose argument has none of these flags."""
    return [(_LOAD, 0, 0, _argument(position)), (_AND, 0, 0, flags), (_EQUAL, 1, 0, 0), _REFUSE, _PERMIT]


def _one_of(position: int, values: Sequence[int], result: Instruction, otherwise: Instruction) -> list[Instruction]:
    """Return one result if the lower half of an argument is among the values, else the other."""
    tries = [(_EQUAL, len(values) - index, 0, value) for index, value in enumerate(values)]
    return [(_LOAD, 0, 0, _argument(position)), *tries, otherwise, result]


def _is_zero(position: int) -> list[Instruction]:
    """Go to the second next instruction if an argument (64 bits) is zero, else to the next."""
    low = _argument(position)
    return [(_LOAD, 0, 0, low), (_EQUAL, 0, 2, 0), (_LOAD, 0, 0, low + 4), (_EQUAL, 1, 0, 0)]


def _argument(position: int) -> int:
    """The offset of an argument's lower half; the kernel reads no more of an `int`."""
    return _ARGUMENTS + 8 * position


def machine() -> Machine | None:
    """This process's machine, or None if its numbers are not known."""
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return None
    return MACHINES.get({"arm64": "aarch64", "amd64": "x86_64"}.get(name := os.uname().machine.lower(), name))


def install(kind: Filter = "confined") -> bool:
    """Put a filter on this process, all its threads and all it will start, for good, in addition to those it has.

    Returns False if this system has no such filters. Raises OSError if the kernel refuses this one.
    """
    known = machine()
    if known is None:
        return False

    class Rules(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("rules", ctypes.c_void_p))

    rules = program(known, kind)
    packed = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *rule) for rule in rules))
    given = Rules(len(rules), ctypes.cast(packed, ctypes.c_void_p))
    if not no_new_privileges():
        return False
    done = call(known.number("seccomp"), _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(given))
    if done == -1 and ctypes.get_errno() in (errno.ENOSYS, errno.EINVAL):
        return False
    if done != 0:  # a positive number is a thread that could not be included
        raise OSError(ctypes.get_errno() or errno.ESRCH, "the kernel refused the filter of system calls")
    return True


def holds() -> bool:
    """True if the filter is on this process: calls that fail anyway fail with another error under it."""
    known = machine()
    if known is None:
        return False
    tries = (("socket", _UNIX, _RELIABLE, 0), ("connect", -1, 0, 0))
    refusals = (errno.EACCES, errno.ENOSYS)  # the second in readers
    return all(call(known.number(name), *rest) == -1 and ctypes.get_errno() in refusals for name, *rest in tries)


def no_new_privileges() -> bool:
    """Give up gaining rights by starting programs, which the kernel requires before a filter."""
    return prctl(_NO_NEW_PRIVS, 1)


def prctl(option: int, value: int) -> bool:
    """Set a property of this process; True if the kernel took it."""
    none = ctypes.c_ulong(0)
    return bool(_libc().prctl(option, ctypes.c_ulong(value), none, none, none) == 0)


def call(number: int, *arguments: object) -> int:
    """Make a system call by number; -1 for an error, which `ctypes.get_errno` gives."""
    wide = (ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
    return int(_libc().syscall(ctypes.c_long(number), *wide))


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def sockets(*, unix: bool = False) -> dict[int, int]:
    """Open sockets of this process, Unix sockets only with `unix`: descriptor and family."""
    found: dict[int, int] = {}
    if sys.platform != "linux":
        return found
    for descriptor in list(Path("/proc/self/fd").iterdir()):
        try:
            if not str(descriptor.readlink()).startswith("socket:"):
                continue
            copy = socket.socket(fileno=os.dup(int(descriptor.name)))
        except OSError:  # the descriptor that listed the folder
            continue
        with copy:
            if unix or copy.family != socket.AF_UNIX:
                found[int(descriptor.name)] = int(copy.family)
    return found


# --- a network of this process's own that has only loopback, for work that needs sockets between processes -------
# Everything that the process starts is in it, native code too; no program outside can connect to it, whoever runs it.
# Unix sockets at a path still reach programs outside. It needs the right to make namespaces, which some systems refuse.

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000  # flags of unshare
_SET_FLAGS, _UP, _RUNNING = 0x8914, 0x1, 0x40  # of an interface, netdevice(7)


def enter() -> bool:
    """Move this process, which has one thread, to a network of its own; False where the system does not let it."""
    if sys.platform != "linux":
        return False
    # A process of its own tries it first: half of it could not be undone.
    child = os.fork()
    if not child:
        code = 1
        try:
            _enter()
            code = 0
        finally:
            os._exit(code)
    possible = os.waitpid(child, 0)[1] == 0
    if possible:
        _enter()
    return possible


def _enter() -> None:
    if sys.platform == "win32":
        return
    import fcntl

    user, group = os.geteuid(), os.getegid()
    try:
        _unshare(_NEW_NETWORK)
    except PermissionError:  # not root: as root of a namespace in which it stays the same user
        _unshare(_NEW_USER | _NEW_NETWORK)
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123
                file.write(text)
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", _UP | _RUNNING))


def _unshare(flags: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


# --- Landlock: limits on the files that a process, and everything it starts, can read and write ------------------
# They cannot be removed.
# Newer kernels also refuse TCP (6.7), and abstract Unix sockets and signals to processes outside (6.12). Limits:
# looking (`stat`), changing modes and open files are not governed; before 6.2 any file can be truncated. It holds for
# the calling thread and what that starts, so it is refused where other threads run. Kernels before 5.13 have none.

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every machine
_VERSION, _BENEATH, _PORT = 1, 1, 2
_EXECUTE, _WRITE, _READ, _LIST = (1 << bit for bit in range(4))
_MAKE_SOCKET, _MAKE_DEVICES = 1 << 9, 1 << 6 | 1 << 11
_ALWAYS = (1 << 13) - 1  # what every kernel with Landlock refuses: these, and to make or remove anything else
_REFER, _TRUNCATE, _DEVICE = 1 << 13, 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE | _DEVICE
_READING = _READ | _LIST
_LANDLOCK_RUNNING = _READING | _EXECUTE
_WRITING = (_ALWAYS | _REFER | _TRUNCATE | _DEVICE) & ~(_EXECUTE | _MAKE_DEVICES)
_TCP, _CONNECT = 0b11, 0b10  # bind and connect
_SCOPES = 0b11  # abstract Unix sockets, signals


@dataclass(frozen=True, slots=True)
class Files:
    """Files, or folders with all below, that may be run and read, read, written, listed, and where sockets are made.

    Missing paths are ignored; links are followed once, when the limits are set.
    """

    programs: tuple[Path, ...] = ()
    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    lists: tuple[Path, ...] = ()
    sockets: tuple[Path, ...] = ()


def abi() -> int:
    """The version of Landlock in this kernel; 0 for none."""
    if machine() is None:
        return 0
    return max(0, call(_CREATE, None, 0, _VERSION))


def restrict(files: Files | None, reach: bool = True, ports: Iterable[int] = ()) -> bool:
    """Refuse for good every file but `files`, if given, and with `reach` TCP (but to `ports`) and other processes.

    Returns False if this kernel has no Landlock. Raises OfflineRefused if other threads run, which would not be
    restricted; OSError if the kernel refuses.
    """
    version = abi()
    # Even rules that do not mention it refuse to move anything from one folder to another.
    handled = _REFER if version >= 2 else 0
    if files is not None:
        handled |= _ALWAYS | (_TRUNCATE if version >= 3 else 0) | (_DEVICE if version >= 5 else 0)
    network, scopes = (_TCP if reach and version >= 4 else 0), (_SCOPES if reach and version >= 6 else 0)
    if not version or not (files is not None or network or scopes):
        return False
    if threads() > 1:
        raise OfflineRefused(
            f"files cannot be limited while {threads()} threads run",
            "Call localrag.offline.confine() first, before anything starts a thread.",
        )
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    attributes = struct.pack("=QQQ", handled, network, scopes)[:size]
    ruleset = _landlock_checked(call(_CREATE, ctypes.create_string_buffer(attributes, size), size, 0))
    try:
        if files is None and handled:
            _allow(ruleset, (Path("/"),), _REFER)
        if files is not None:
            for paths, rights in (
                (files.programs, _LANDLOCK_RUNNING),
                (files.reads, _READING),
                (files.writes, _WRITING),
                (files.lists, _LIST),
                (files.sockets, _MAKE_SOCKET),
            ):
                _allow(ruleset, paths, rights & handled)
        for port in ports if network else ():
            rule = ctypes.create_string_buffer(struct.pack("=QQ", _CONNECT, port), 16)
            _landlock_checked(call(_ADD, ruleset, _PORT, rule, 0))
        no_new_privileges()
        _landlock_checked(call(_RESTRICT, ruleset, 0))
    finally:
        os.close(ruleset)
    return True


def threads() -> int:
    """The number of threads of this process, those of native code included."""
    return Path("/proc/self/task").stat().st_nlink - 2  # by the folder's links: it may no longer be listed


def _allow(ruleset: int, paths: Iterable[Path], rights: int) -> None:
    for path in paths:
        try:
            descriptor = os.open(path, getattr(os, "O_PATH", 0) | getattr(os, "O_CLOEXEC", 0))
        except OSError:
            continue  # a path that is missing or hidden needs no right
        try:
            here = rights if path.is_dir() else rights & _OF_FILES
            rule = ctypes.create_string_buffer(struct.pack("=Qi", here, descriptor), 12)
            _landlock_checked(call(_ADD, ruleset, _BENEATH, rule, 0))
        finally:
            os.close(descriptor)


def _landlock_checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"the kernel refused limits on files: {os.strerror(number)}")
    return result
