"""Linux: a kernel filter that refuses sockets to the whole process, its threads and its children, for good.

It refuses sockets but Unix streams; `connect` and `sendto` with an address, since Unix sockets lead to programs with a
network; io_uring and `bpf`; taking over other processes; typing into the terminal; calls of another architecture
(32 bit, x32), whose numbers mean something else. Limits: open sockets keep working, so `sockets` finds them first; a
program outside can hand over an open socket; root can load modules. Only x86-64 and 64-bit ARM are known.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

_NO_NEW_PRIVS = 38
_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_X32 = 0x40000000
_UNIX, _STREAM, _SEQPACKET, _TYPE = 1, 1, 5, 0xF
_RELIABLE = 4  # a kind that Unix sockets do not have
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C

_IO_URING = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427}
Instruction = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Machine:
    """The numbers of system calls on a kind of processor, from the kernel's headers."""

    arch: int
    seccomp: int
    socket: int
    socketpair: int
    connect: int
    sendto: int
    ioctl: int
    refused: tuple[int, ...]


MACHINES = {
    "x86_64": Machine(
        0xC000003E, seccomp=317, socket=41, socketpair=53, connect=42, sendto=44, ioctl=16,
        refused=(42, 101, 311, 321, 438, *_IO_URING.values()),
    ),
    "aarch64": Machine(
        0xC00000B7, seccomp=277, socket=198, socketpair=199, connect=203, sendto=206, ioctl=29,
        refused=(203, 117, 271, 280, 438, *_IO_URING.values()),
    ),
}  # fmt: skip


def program(machine: Machine) -> list[Instruction]:
    """The filter in classic BPF: (code, jump if true, jump if false, value)."""
    refuse = (_RETURN, 0, 0, _ERRNO | errno.EACCES)
    allow = (_RETURN, 0, 0, _ALLOW)
    rules: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, machine.arch),
        refuse,
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _X32),
        refuse,
    ]
    for number in machine.refused:
        rules += [(_EQUAL, 0, 1, number), refuse]
    opening = [
        (_LOAD, 0, 0, _argument(0)),
        (_EQUAL, 0, 4, _UNIX),
        (_LOAD, 0, 0, _argument(1)),
        (_AND, 0, 0, _TYPE),
        (_EQUAL, 2, 0, _STREAM),
        (_EQUAL, 1, 0, _SEQPACKET),
        refuse,
        allow,
    ]
    addressed = [
        (_LOAD, 0, 0, _argument(4)),
        (_EQUAL, 0, 2, 0),
        (_LOAD, 0, 0, _argument(4) + 4),
        (_EQUAL, 1, 0, 0),
        refuse,
        allow,
    ]
    typing = [(_LOAD, 0, 0, _argument(1)), (_EQUAL, 1, 0, _TIOCSTI), (_EQUAL, 0, 1, _TIOCLINUX), refuse, allow]
    for number, body in (
        (machine.socket, opening),
        (machine.socketpair, opening),
        (machine.sendto, addressed),
        (machine.ioctl, typing),
    ):
        rules += [(_EQUAL, 0, len(body), number), *body]
    return [*rules, allow]


def _argument(position: int) -> int:
    """The offset of an argument's lower half; the kernel reads no more of an `int`."""
    return _ARGUMENTS + 8 * position


def machine() -> Machine | None:
    """This process's machine, or None if its numbers are not known."""
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return None
    return MACHINES.get({"arm64": "aarch64", "amd64": "x86_64"}.get(name := os.uname().machine.lower(), name))


def install() -> bool:
    """Put the filter on this process, all its threads and all it will start, for good.

    Returns False if this system has no such filters. Raises OSError if the kernel refuses this one.
    """
    known = machine()
    if known is None:
        return False

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("rules", ctypes.c_void_p))

    rules = program(known)
    packed = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *rule) for rule in rules))
    given = Filter(len(rules), ctypes.cast(packed, ctypes.c_void_p))
    if not no_new_privileges():
        return False
    done = call(known.seccomp, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(given))
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
    tries = ((known.socket, _UNIX, _RELIABLE, 0), (known.connect, -1, 0, 0))
    return all(call(*each) == -1 and ctypes.get_errno() == errno.EACCES for each in tries)


def no_new_privileges() -> bool:
    """Give up gaining rights by starting programs, which the kernel requires before a filter."""
    one, none = ctypes.c_ulong(1), ctypes.c_ulong(0)
    return bool(_libc().prctl(_NO_NEW_PRIVS, one, none, none, none) == 0)


def call(number: int, *arguments: object) -> int:
    """Make a system call by number; -1 for an error, which `ctypes.get_errno` gives."""
    wide = (ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)
    return int(_libc().syscall(ctypes.c_long(number), *wide))


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


def sockets() -> dict[int, int]:
    """Open sockets of this process that are not Unix sockets: descriptor and family."""
    import socket

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
            if copy.family != socket.AF_UNIX:
                found[int(descriptor.name)] = int(copy.family)
    return found
