"""Memory and processor of this machine, read without a library. Unknown values are None."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path


def cores() -> int:
    """Return the number of processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def physical_cores() -> int:
    """Return the number of physical cores this process may use, within its CPU quota.

    Threads that share a core, or wait for the quota, slow each other down.
    """
    count = cores()
    if hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
        siblings = [_read(f"/sys/devices/system/cpu/cpu{n}/topology/thread_siblings_list") for n in sorted(allowed)]
        count = len({own or str(n) for n, own in enumerate(siblings)})
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit() and int(period):
        count = min(count, max(1, int(quota) // int(period)))
    return count


def total_memory() -> int | None:
    """Return the bytes of memory of the machine, or of the container if that is less."""
    if sys.platform == "win32":
        return _windows_memory()[0]
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None
    limit = _cgroup_limit()
    return min(total, limit) if limit else total


def available_memory() -> int | None:
    """Return the bytes available without swapping; None if the system does not say."""
    if sys.platform == "win32":
        return _windows_memory()[1]
    if found := re.search(r"MemAvailable: +(\d+) kB", _read("/proc/meminfo")):
        available, limit = int(found[1]) * 1024, _cgroup_limit()
        return min(available, limit) if limit else available
    return total_memory()


def has_bfloat16() -> bool:
    """Return whether the processor multiplies bfloat16 itself; otherwise it is slower than float32."""
    flags = _read("/proc/cpuinfo")
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _read(file: str) -> str:
    try:
        return Path(file).read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _cgroup_limit() -> int | None:
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = _read(name)
        if text.isdigit() and int(text) < 1 << 60:
            return int(text)
    return None


def _windows_memory() -> tuple[int | None, int | None]:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong)
            for name in ("total", "available", "page", "page_free", "virtual", "virtual_free", "extended")
        ]

    status = Status(length=ctypes.sizeof(Status))
    windll = getattr(ctypes, "windll", None)
    if windll is None or not windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None, None
    return int(status.total), int(status.available)
