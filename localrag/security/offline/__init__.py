"""The one room that decides what may reach the network, and which files a process may touch.

Nothing reaches the network but `models install`, when the person typed it. Layers, each with its own limits:

- `hook`: the libraries' own switches, and an audit hook for what Python does; everywhere;
- `seccomp`: a filter in the kernel that refuses sockets to native code and child processes, too; Linux;
- `landlock`: limits in the kernel on files, TCP, and other processes; Linux, where the kernel has it.

`outside` is the one process that stays out of it, to show files in the person's viewer.

`confine` turns all on, for good. macOS and Windows have the first alone: their sandboxes are not open to a program
that confines itself (`sandbox-exec` is deprecated), so there native code is held by the switches only.
`layers` tells what holds in this process, `docs/security.md` what is promised.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from localrag.errors import OfflineRefused
from localrag.security.offline import hook, landlock, seccomp
from localrag.security.offline.hook import SWITCHES, network_for_install, set_switches
from localrag.security.offline.landlock import Files

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
]  # fmt: skip

LayerName = Literal["switches", "hook", "seccomp", "landlock", "files"]
# What Landlock was last asked to hold by this process; what it inherits cannot be asked of the kernel.
_reach_held = False
_shut = False
_files: Files | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as it is in this process: whether it holds, what it covers, what passes it, and else why not.

    `possible` is False where this system has no such thing.
    """

    name: LayerName
    holds: bool
    covers: str
    passes: str
    reason: str = ""
    possible: bool = True


def confine_python() -> None:
    """Turn on what an install of a model can be let through: the switches and the audit hook."""
    set_switches()
    hook.install()


def confine(files: Files | None = None, *, without: Collection[LayerName] = ()) -> None:
    """Turn on every layer that this system has, for this process and all that it starts. It cannot be taken back.

    Call it first thing: before threads start (Landlock holds for one) and before sockets are open. Calling it again
    adds limits on files, and else changes nothing.

    Args:
        files: what may be read and written from now on; without, files are not limited.
        without: layers left out, which only the tests of the proofs do.

    Raises:
        OfflineRefused: sockets are open that would go on working, or files cannot be limited since threads run. From
            then on also at every attempt of Python code to reach the network; native code gets "permission denied".
    """
    global _reach_held, _files, _shut
    _shut = True
    if "switches" not in without:
        set_switches()
    if "hook" not in without:
        hook.install()
    if "seccomp" not in without and not seccomp.holds():
        if open_ones := seccomp.sockets():
            raise OfflineRefused(
                f"network sockets are open already: descriptors {', '.join(map(str, sorted(open_ones)))}",
                "Close them before localrag.security.offline.confine(), or call it first thing.",
            )
        seccomp.install()
    wanted = files if "files" not in without else None
    reach = "landlock" not in without and not _reach_held and bool(landlock.abi()) and landlock.threads() == 1
    if (wanted is not None or reach) and landlock.restrict(wanted, reach):
        _reach_held = _reach_held or reach
        _files = wanted or _files


def confined() -> bool:
    """True once this process has called `confine`."""
    return _shut


def hook_installed() -> bool:
    """True once the audit hook holds in this process."""
    return hook.installed()


def close_sockets() -> None:
    """Close network sockets that whoever started this process left open to it.

    Raises:
        OfflineRefused: its input or output is one.
    """
    for descriptor in seccomp.sockets():
        if descriptor <= 2:
            raise OfflineRefused(
                "the input or output of localrag is a network socket",
                "Start it from a terminal, or through a pipe: ... | localrag ... | ...",
            )
        os.close(descriptor)


def layers() -> tuple[Layer, ...]:
    """What holds in this process; of the filter, by trying it."""
    off = [name for name, value in SWITCHES.items() if os.environ.get(name) != value]
    known, abi, unasked = seccomp.machine() is not None, landlock.abi(), "not asked for in this process"
    scopes = ["TCP"] * (abi >= 4) + ["abstract Unix sockets and signals to programs outside"] * (abi >= 6)
    # What this system cannot do, and why; empty where it can.
    foreign = "" if known else "localrag can ask for it on Linux for x86-64 and 64-bit ARM only"
    absent = foreign or ("" if abi else "this kernel has no Landlock, or was started without it")
    old = absent or ("" if scopes else f"the Landlock of this kernel (ABI {abi}) is too old for it")
    return (
        Layer(
            "switches", not off, "libraries that look things up, or report on their users, are told not to",
            "libraries that have no switch or do not heed it", f"not set: {', '.join(off)}" if off else "",
        ),
        Layer(
            "hook", hook.installed(), "connections, sends and name look-ups of Python code, but to loopback",
            "native code and started programs", "" if hook.installed() else unasked,
        ),
        Layer(
            "seccomp", holds := seccomp.holds(),
            "no sockets but Unix ones, no connect, no io_uring, no way into other processes; native code and started "
            "programs too",
            "what a program outside does that is asked through a file or pipe, and root",
            "" if holds else foreign or ("this kernel has no such filter" if _shut else unasked), possible=not foreign,
        ),
        Layer(
            "landlock", bool(_reach_held and scopes), f"no {', '.join(scopes) or 'TCP'}; beside seccomp",
            "UDP, netlink and others", "" if _reach_held and scopes else old or unasked, possible=not old,
        ),
        Layer(
            "files", _files is not None, f"files that are not allowed by name (Landlock ABI {abi})",
            "looking at names and sizes, and files that were open before",
            "" if _files is not None else absent or f"{unasked}: commands limit themselves, knowing their library",
            possible=not absent,
        ),
    )  # fmt: skip
