"""Linux: kernel limits on the files a process, and everything it starts, can read and write; they cannot be removed.

Newer kernels also refuse TCP (6.7), and abstract Unix sockets and signals to processes outside (6.12). Limits: looking
(`stat`), changing modes and open files are not governed; before 6.2 any file can be truncated. It holds for the calling
thread and what that starts, so it is refused where other threads run. Kernels before 5.13 have none.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from localrag.errors import OfflineRefused
from localrag.security.offline import seccomp

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same numbers on every machine
_VERSION, _BENEATH, _PORT = 1, 1, 2
_EXECUTE, _WRITE, _READ, _LIST, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_, _MAKE_DIR, _MAKE_FILE, _MAKE_SOCKET, _MAKE_PIPE, _, _MAKE_LINK = (1 << bit for bit in range(6, 13))
_ALWAYS = (1 << 13) - 1  # what every kernel with Landlock refuses
_REFER, _TRUNCATE, _DEVICE = 1 << 13, 1 << 14, 1 << 15
_OF_FILES = _EXECUTE | _WRITE | _READ | _TRUNCATE | _DEVICE
_READING = _READ | _LIST
_RUNNING = _READING | _EXECUTE
_WRITING = (
    _READING
    | _WRITE
    | _TRUNCATE
    | _REFER
    | _REMOVE_DIR
    | _REMOVE_FILE
    | _MAKE_DIR
    | _MAKE_FILE
    | _MAKE_SOCKET
    | _MAKE_PIPE
    | _MAKE_LINK
    | _DEVICE
)
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
    if seccomp.machine() is None:
        return 0
    return max(0, seccomp.call(_CREATE, None, 0, _VERSION))


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
            "Call localrag.security.offline.confine() first, before anything starts a thread.",
        )
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    attributes = struct.pack("=QQQ", handled, network, scopes)[:size]
    ruleset = _checked(seccomp.call(_CREATE, ctypes.create_string_buffer(attributes, size), size, 0))
    try:
        if files is None and handled:
            _allow(ruleset, (Path("/"),), _REFER)
        if files is not None:
            for paths, rights in (
                (files.programs, _RUNNING),
                (files.reads, _READING),
                (files.writes, _WRITING),
                (files.lists, _LIST),
                (files.sockets, _MAKE_SOCKET),
            ):
                _allow(ruleset, paths, rights & handled)
        for port in ports if network else ():
            rule = ctypes.create_string_buffer(struct.pack("=QQ", _CONNECT, port), 16)
            _checked(seccomp.call(_ADD, ruleset, _PORT, rule, 0))
        seccomp.no_new_privileges()
        _checked(seccomp.call(_RESTRICT, ruleset, 0))
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
            _checked(seccomp.call(_ADD, ruleset, _BENEATH, rule, 0))
        finally:
            os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"the kernel refused limits on files: {os.strerror(number)}")
    return result
