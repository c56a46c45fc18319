"""The layers that keep localrag off the network and out of other files. Only `models install` may use the network.

`hook` has the libraries' switches and an audit hook for Python code; on Linux, `seccomp` refuses sockets to native code
and child processes too, and `landlock` limits files, TCP and other processes. macOS and Windows offer no documented way
for a program to confine itself, so there only the switches hold native code.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from localrag.errors import OfflineRefused
from localrag.security.offline import hook, landlock, seccomp
from localrag.security.offline.hook import SWITCHES, network_for_install, set_switches
from localrag.security.offline.hook import installed as hook_installed
from localrag.security.offline.landlock import Files

if TYPE_CHECKING:
    import socket

__all__ = [
    "SWITCHES",
    "Files",
    "Layer",
    "LayerName",
    "close_sockets",
    "confine",
    "confine_python",
    "confined",
    "hook_installed",
    "layers",
    "network_for_install",
    "set_switches",
]

LayerName = Literal["switches", "hook", "seccomp", "landlock", "files"]
# What this process asked of Landlock; the kernel does not tell what was inherited.
_reach_restricted = False
_files: Files | None = None
_confined = False


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer in this process: whether it holds, what it refuses and what it cannot; `reason` why it does not hold.

    `possible` is False if this system has no such layer.
    """

    name: LayerName
    holds: bool
    covers: str
    passes: str
    reason: str = ""
    possible: bool = True


def confine_python() -> None:
    """Turn on the layers that also work during an install of a model: switches and hook."""
    set_switches()
    hook.install()


def confine(
    files: Files | None = None,
    *,
    without: Collection[LayerName] = (),
    kind: seccomp.Filter = "metadata",
    listener: socket.socket | None = None,
) -> None:
    """Turn on every layer that this system has, for this process and all it starts. It cannot be undone.

    Call it first: before threads start (Landlock restricts one) and before sockets are open. A second call can only add
    limits on `files`, and with them the filter of system calls for this `kind` of process. `without` leaves out layers,
    for tests of the proofs. `listener` is a socket that stays: it is bound to this machine and accepts connections.

    Raises OfflineRefused if sockets are open that would keep working, or files cannot be limited because threads run.
    """
    global _reach_restricted, _files, _confined
    _confined = True
    if "switches" not in without:
        set_switches()
    if "hook" not in without:
        hook.install()
    if "seccomp" not in without and not seccomp.holds():
        kept = set() if listener is None else {listener.fileno()}
        if open_ones := seccomp.sockets().keys() - kept:
            raise OfflineRefused(
                f"network sockets are already open: descriptors {', '.join(map(str, sorted(open_ones)))}",
                "Close them before localrag.security.offline.confine(), or call it first.",
            )
        seccomp.install()
    wanted = files if "files" not in without else None
    reach = "landlock" not in without and not _reach_restricted and bool(landlock.abi()) and landlock.threads() == 1
    if (wanted is not None or reach) and landlock.restrict(wanted, reach):
        _reach_restricted = _reach_restricted or reach
        _files = wanted or _files
    if wanted is not None and "seccomp" not in without:
        seccomp.install(kind)


def confined() -> bool:
    """True once this process has called `confine`."""
    return _confined


def close_sockets() -> None:
    """Close inherited sockets but input and output. Raises OfflineRefused if these are network sockets."""
    for descriptor in seccomp.sockets(unix=True):
        if descriptor > 2:
            os.close(descriptor)
        elif descriptor in seccomp.sockets():
            raise OfflineRefused(
                "the input or output of localrag is a network socket",
                "Start it from a terminal, or through a pipe: ... | localrag ... | ...",
            )


def layers() -> tuple[Layer, ...]:
    """The layers in this process. Whether the filter holds is found by trying it."""
    off = [name for name, value in SWITCHES.items() if os.environ.get(name) != value]
    known, abi, unasked = seccomp.machine() is not None, landlock.abi(), "not turned on in this process"
    scopes = ["TCP"] * (abi >= 4) + ["abstract Unix sockets and signals to programs outside"] * (abi >= 6)
    # Why this system cannot; empty where it can.
    unknown = "" if known else "only Linux on x86-64 and 64-bit ARM has it"
    absent = unknown or ("" if abi else "this kernel has no Landlock, or was started without it")
    old = absent or ("" if scopes else f"the Landlock of this kernel (ABI {abi}) is too old")
    return (
        Layer(
            "switches",
            not off,
            "libraries that look things up or report on their users are told not to",
            "libraries without a switch, or that ignore it",
            f"not set: {', '.join(off)}" if off else "",
        ),
        Layer(
            "hook",
            hook.installed(),
            "connections, sends and name look-ups of Python code, except to loopback",
            "native code and started programs",
            "" if hook.installed() else unasked,
        ),
        Layer(
            "seccomp",
            holds := seccomp.holds(),
            "sockets except Unix ones, connect, io_uring, ways into other processes; for native code and started "
            "programs too",
            "an outside program that is asked through a file or pipe, and root",
            "" if holds else unknown or ("this kernel has no such filter" if _confined else unasked),
            possible=not unknown,
        ),
        Layer(
            "landlock",
            bool(_reach_restricted and scopes),
            f"{', '.join(scopes) or 'TCP'}; in addition to seccomp",
            "UDP, netlink and others",
            "" if _reach_restricted and scopes else old or unasked,
            possible=not old,
        ),
        Layer(
            "files",
            _files is not None,
            f"files that are not allowed by name (Landlock ABI {abi})",
            "names and sizes, and files that were already open",
            "" if _files is not None else absent or f"{unasked}: commands turn it on once they know their library",
            possible=not absent,
        ),
    )
