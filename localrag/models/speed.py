"""How long a look-up takes with each model on this machine.

A model that was measured here (`llm/measuring.py`) counts as it is. The others are estimated from the measured one that
is nearest in work, or else from the processor's cores (docs/decisions/0078-reading-speed.md).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

import msgspec

from localrag import policy, protocol
from localrag.errors import UsageError
from localrag.models import catalog
from localrag.models.catalog import ModelCard
from localrag.models.records import InstalledModel
from localrag.security import storage
from localrag.security.terminal import duration
from localrag.settings import Settings

# Tokens of a look-up: read at the first, read again though passages are kept, of the rules before passages, written,
# and thought by a model that always thinks. Counted with `examples/` (1,160, 210, 60 and 24), those read times what one
# costs more in a batch of a passage or a question than in a large one.
_FIRST, _AGAIN, _RULES, _WRITTEN, _THOUGHT = 1330, 300, 70, 25, 300
# Seconds of the reference (1.1 GB of weights, 4 bits) on two cores for a token read, shared by the cores, and written.
_REFERENCE, _READ, _WRITE, _CORES = 1_117_320_768, 0.0065, 0.037, 2
_PATIENCE = 45.0  # seconds; a model that takes longer comes after those that do not
_Model = ModelCard | InstalledModel


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of one token of a model with these weights (SHA-256), run in this way; `busy`: beside other work."""

    model: str
    weights: str
    bytes: int
    read: float
    write: float
    threads: int
    gpu_layers: int
    version: str
    anew: str = ""
    busy: bool = False


@dataclass(frozen=True, slots=True)
class LookUp:
    """Seconds of a look-up with a loaded model: the first one, and one among passages that were read before.

    `known` says how. `anew` is why passages are read anew each time, or ""; `kept` is `again` if they were not.
    """

    first: float
    again: float
    kept: float
    known: str
    anew: str = ""

    def __str__(self) -> str:
        again = "" if self.anew else f", {duration(self.again)} among passages that it has read"
        return f"about {duration(self.first)} for a look-up{again} ({self.known})"

    @property
    def loss(self) -> str:
        """What it means that passages are read anew, in words; "" if they are not."""
        if not self.anew:
            return ""
        again, kept = duration(self.again), duration(self.kept)
        return f"cannot use again what it read of a passage ({self.anew}): {again} for each look-up, not {kept}"


def look_up(model: _Model, settings: Settings) -> LookUp:
    """Return how long a look-up takes with a model on this machine."""
    card, own = catalog.find(model.id), measured(model, settings)
    read, write, known = _tokens(model, own, settings)
    anew = own.anew if own else card.anew if card else _sliding(model)
    written = (_WRITTEN + _THOUGHT * (card is not None and card.thinks)) * write
    first, kept = _FIRST * read + written, _AGAIN * read + written
    return LookUp(first, first - _RULES * read if anew else kept, kept, known, anew)


def _tokens(model: _Model, own: Measured | None, settings: Settings) -> tuple[float, float, str]:
    """Return the seconds of a token that is read and of one that is written, and how they are known."""
    if own is not None:
        return own.read, own.write, f"measured here{' beside other work' if own.busy else ''}"
    reads, writes = _work(model.id, model.bytes)
    near = min(_all(settings), key=lambda one: abs(math.log(reads / _work(one.model, one.bytes)[0])), default=None)
    if near is not None:
        by = _work(near.model, near.bytes)
        return near.read * reads / by[0], near.write * writes / by[1], f"estimated from {near.model}, measured here"
    cores = settings.threads or catalog.physical_cores()
    read, write = _READ * reads / _REFERENCE * _CORES / cores, _WRITE * writes / _REFERENCE
    return read, write, f"estimated from {cores} core{'s' * (cores != 1)}"


def _work(id: str, size: int) -> tuple[float, float]:
    """Return the work of a token read and of one written: the bytes of the weights that take part in it."""
    card = catalog.find(id)
    share, (read, write) = (card.active, card.cost) if card else (1.0, (1.0, 1.0))
    return size * share * read, size * share * write


def _sliding(model: _Model) -> str:
    return "sliding window" if isinstance(model, InstalledModel) and model.metadata.get("sliding_window") else ""


# --- what is kept of measurements ------------------------------------------------------------------------------


def measured(model: _Model, settings: Settings) -> Measured | None:
    """Return what was measured of a model with these weights and as the settings run it."""
    return next((one for one in _all(settings) if one.weights == model.sha256), None)


def save(one: Measured, settings: Settings) -> None:
    others = [other for other in _all(settings) if other.weights != one.weights]
    storage.write_json(settings.speed_file, {"measured": [asdict(each) for each in (*others, one)]})


def how(settings: Settings) -> dict[str, Any]:
    """Return what decides, beside the weights, how fast a model runs."""
    build = next((found.version for found in metadata.distributions(name="llama-cpp-python")), "")
    threads = settings.threads or catalog.physical_cores()
    return {"threads": threads, "gpu_layers": settings.gpu_layers, "version": build}


def _all(settings: Settings) -> list[Measured]:
    """Return every measurement that is as the settings run a model; none if the file is damaged."""
    try:
        kept = json.loads(storage.read_bytes(settings.speed_file))["measured"]
        found = protocol.convert(kept, list[Measured])
    except (OSError, ValueError, TypeError, KeyError, RecursionError, msgspec.MsgspecError):
        return []
    now = how(settings)
    sound = (one for one in found if one.bytes > 0 and 0 < one.read < 3600 and 0 < one.write < 3600)
    return [one for one in sound if all(getattr(one, name) == value for name, value in now.items())]


# --- which model for this machine ------------------------------------------------------------------------------


def recommended(settings: Settings) -> list[ModelCard]:
    """Return the generators that this machine can take without a question, best first and slow ones last.

    Their hash is known, their terms need no yes, the policy allows them, and they suit the memory.
    """
    found = [
        card
        for card in catalog.CATALOG
        if card.kind == "generator" and card.rank and card.sha256 and not card.terms and catalog.suits(card)
    ]
    allowed = [card for card in found if policy.allows_model(card.sha256)]
    return sorted(allowed, key=lambda card: (look_up(card, settings).first > _PATIENCE, -card.rank))


def within(seconds: float, cards: Sequence[ModelCard], settings: Settings) -> list[ModelCard]:
    """Return the cards whose first look-up takes at most so many seconds, best first. Raises UsageError for none."""
    took = {card.id: look_up(card, settings) for card in cards}
    if found := [card for card in cards if took[card.id].first <= seconds]:
        return sorted(found, key=lambda card: -card.rank)
    quickest = min(took, key=lambda id: took[id].first, default="")
    hint = f"The quickest is {quickest}: {took[quickest]}." if quickest else "See `localrag models list --all`."
    raise UsageError(f"no model that this machine can take looks something up within {seconds:g} s", hint)


def better(id: str, settings: Settings) -> ModelCard | None:
    """Return the best model for this machine if the one given is weak and this one is not."""
    known, best = catalog.find(id), next(iter(recommended(settings)), None)
    return best if known is not None and known.is_weak and best is not None and not best.is_weak else None
