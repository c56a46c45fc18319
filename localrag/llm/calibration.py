"""What this model does on this machine: how fast it reads, and when it answers.

The speed is updated with every answer; `localrag calibrate` measures the rest. Routing reads both. The file holds only
figures, never text.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from localrag.errors import StorageError
from localrag.security import storage
from localrag.settings import Settings

_SMOOTHING = 0.3
# A model below a billion parameters misses facts in longer text, well before its window ends: measured with 0.5 and 1.5
# billion (docs/decisions/0022-effective-length.md), by the size in a model's id.
_SMALL, _SMALL_TOKENS = 1.0, 1000  # billions of parameters, tokens
_SIZE = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", re.I)
# How much more a token costs for each token before it, as a share of the first one's cost: measured with models of 0.5
# and 1.5 billion parameters (docs/decisions/0022-effective-length.md).
_READ_SLOWING = 1.5e-4

# The share of "yes" from which an answer is given, measured with real questions (docs/decisions/0006 and 0034). A
# calibration asks fewer and easier questions, so it does not override these.
_ANSWER_FROM = {"qwen2.5-coder-1.5b-instruct": 0.7, "qwen2.5-coder-0.5b-instruct": 0.38}


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is known of a model on this machine; `read_speed` is None until it has read something.

    Attention makes every token pay for those before it: reading n tokens takes a·n + b·n² seconds. The speed is 1/a, in
    tokens per second at the start.

    `answer_from` is the likelihood of "yes, the text holds the answer" from which the model answers, `apart` whether it
    does as well with passages that were read by themselves as with those read together. `weights` (SHA-256) and
    `measured` (a date) say of what and when this was measured.
    """

    read_speed: float | None = None
    answer_from: float = 0.5
    apart: bool = True
    weights: str = ""
    measured: str = ""

    def seconds_to_read(self, tokens: int, after: int = 0) -> float | None:
        """Return the seconds to read tokens after `after` others."""
        if not self.read_speed:
            return None
        return _reading(after, tokens) / self.read_speed


def load(file: Path, model: str, weights: str | None = None) -> Calibration:
    """Return what is known of a model, or the defaults; also if the file is damaged.

    If other `weights` were measured under the same name, only their speed counts.
    """
    base = model.split("+")[
        0
    ]  # an adapter ("id+adapter") changes the threshold; that of its base is the nearest figure
    default = Calibration(answer_from=_ANSWER_FROM[base]) if base in _ANSWER_FROM else Calibration()
    known = replace(default, **_seen(_read(file), model))
    if model in _ANSWER_FROM:
        known = replace(known, answer_from=default.answer_from)
    if weights and known.weights and known.weights != weights:
        known = replace(default, read_speed=known.read_speed)
    return known


def record(file: Path, model: str, *, tokens: int, seconds: float, after: int = 0) -> Calibration:
    """Update the speed with the reading of one prompt, behind `after` tokens that were reused; ignore a short one."""
    known = load(file, model)
    if tokens < 128 or seconds <= 0:
        return known
    old, new = known.read_speed, _reading(after, tokens) / seconds
    known = replace(known, read_speed=round(new if old is None else (1 - _SMOOTHING) * old + _SMOOTHING * new, 2))
    with suppress(StorageError):  # a full disk must not prevent the answer
        _put(file, model, {"read_speed": known.read_speed}, _seen(_read(file), model))
    return known


def save(file: Path, model: str, measured: Calibration) -> None:
    """Save what `localrag calibrate` measured. Raises StorageError if it cannot be written."""
    kept = asdict(measured)
    if measured.answer_from == load(file, model, measured.weights).answer_from or not measured.weights:
        del kept["answer_from"]  # do not save a default: a later version may know better
    entry = _seen(_read(file), model)
    others = measured.weights and entry.get("weights", measured.weights) != measured.weights
    _put(file, model, kept, {} if others else entry)


def read_limit(settings: Settings, model: str) -> int:
    """Return how many tokens of documents a model is given at once: those of the settings, fewer for a small model."""
    size = _SIZE.search(model.split("+")[0])
    small = size is not None and float(size[1]) / (1000 if size[2].lower() == "m" else 1) < _SMALL
    return min(settings.read_tokens, _SMALL_TOKENS) if small else settings.read_tokens


def _reading(after: int, tokens: int) -> float:
    """Return what reading tokens after others costs, in tokens at the start of a text."""
    return tokens + _READ_SLOWING * ((after + tokens) ** 2 - after**2)


def _read(file: Path) -> dict[str, Any]:
    try:
        everything = json.loads(storage.read_bytes(file))
    except (OSError, ValueError, RecursionError):
        return {}
    return everything if isinstance(everything, dict) else {}


def _put(file: Path, model: str, values: dict[str, Any], before: dict[str, Any]) -> None:
    """Save the known figures of a model over those `before`."""
    given = {name: value for name, value in values.items() if value not in (None, "")}
    storage.write_json(file, {**_read(file), model: {**before, **given}})


def _seen(everything: dict[str, Any], model: str) -> dict[str, Any]:
    """Return the figures of a model in the file that have the right type."""
    entry = everything.get(model)
    types = {"str": str, "bool": bool, "int": int}
    kinds = {item.name: types.get(str(item.type), (int, float)) for item in fields(Calibration)}
    given = entry.items() if isinstance(entry, dict) else ()
    return {name: value for name, value in given if isinstance(value, kinds.get(name, ()))}
