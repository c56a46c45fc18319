"""What this model does on this machine: how fast it reads and writes, and how much text it can use.

Speeds come from `localrag calibrate` and are updated with every answer. The effective length is how many tokens of text
a model can be trusted to find things in; until it is measured, a careful default by its size is used. Routing reads
both. The file holds only figures, never text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from localrag.errors import StorageError
from localrag.security import storage

_SMOOTHING = 0.3
# Small models miss facts in long text well before their window ends: measured with 0.5 and 1.5 billion parameters
# (docs/decisions/0022-effective-length.md), by the size in a model's id; larger ones are not measured yet.
_DEFAULT_EFFECTIVE = 6000
_SMALL, _SMALL_EFFECTIVE = 1.0, 1000  # billions of parameters, tokens
_SIZE = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)([bm])(?![a-z0-9])", re.I)
# How much more a token costs for each token before it, as a share of the first one's cost: measured with models of 0.5
# and 1.5 billion parameters (docs/decisions/0022-effective-length.md).
_READ_SLOWING = 1.5e-4
_WRITE_SLOWING = 5e-4

# The share of "yes" from which an answer is given, measured with real questions (docs/decisions/0006 and 0034). A
# calibration asks fewer and easier questions, so it does not override these.
_ANSWER_FROM = {"qwen2.5-coder-1.5b-instruct": 0.7, "qwen2.5-coder-0.5b-instruct": 0.38}


@dataclass(frozen=True, slots=True)
class Calibration:
    """What is known of a model on this machine; speeds are None until measured.

    Attention makes every token pay for those before it: reading n tokens takes a·n + b·n² seconds, writing one after n
    tokens c + d·n. Speeds are 1/a and 1/c (tokens per second at the start), slowings b/a and d/c.

    `answer_from` is the likelihood of "yes, the text holds the answer" from which the model answers, `apart` whether it
    does as well with passages that were read by themselves as with those read together. `calibrated` is
    whether `effective_tokens` was measured, `at_least` whether it is only the longest text tried; `weights` (SHA-256),
    `build` (of llama.cpp) and `measured` (a date) say of what and when.
    """

    read_speed: float | None = None
    write_speed: float | None = None
    effective_tokens: int = _DEFAULT_EFFECTIVE
    answer_from: float = 0.5
    read_slowing: float = _READ_SLOWING
    write_slowing: float = _WRITE_SLOWING
    apart: bool = True
    calibrated: bool = False
    at_least: bool = False
    weights: str = ""
    build: str = ""
    measured: str = ""

    def seconds_to_read(self, tokens: int, after: int = 0) -> float | None:
        """Return the seconds to read tokens after `after` others."""
        if not self.read_speed:
            return None
        return _weight(reading_sample(after, tokens), self.read_slowing) / self.read_speed

    def seconds_to_write(self, tokens: int, after: int = 0) -> float | None:
        """Return the seconds to write tokens after a prompt of `after`."""
        if not self.write_speed:
            return None
        return _weight(writing_sample(after, tokens), self.write_slowing) / self.write_speed


def load(file: Path, model: str, weights: str | None = None) -> Calibration:
    """Return what is known of a model, or the defaults; also if the file is damaged.

    If other `weights` were measured under the same name, only their speeds count.
    """
    default = Calibration(**_defaults(model))
    known = replace(default, **_seen(_read(file), model))
    if model in _ANSWER_FROM:
        known = replace(known, answer_from=default.answer_from)
    if weights and known.weights and known.weights != weights:
        speeds = ("read_speed", "write_speed", "read_slowing", "write_slowing")
        known = replace(default, **{name: getattr(known, name) for name in speeds})
    return known


def record(
    file: Path, model: str, *, read: tuple[int, float], written: tuple[int, float], after: int = 0
) -> Calibration:
    """Update the speeds with (tokens, seconds) of reading and writing one answer; ignore tiny samples.

    `after` is the number of prompt tokens that were reused. One answer cannot measure the slowing; `localrag calibrate`
    does.
    """
    known = load(file, model)
    if read[0] >= 128 and read[1] > 0:
        seen = _weight(reading_sample(after, read[0]), known.read_slowing) / read[1]
        known = replace(known, read_speed=_smooth(known.read_speed, seen))
    if written[0] >= 8 and written[1] > 0:
        seen = _weight(writing_sample(after + read[0], written[0]), known.write_slowing) / written[1]
        known = replace(known, write_speed=_smooth(known.write_speed, seen))
    with suppress(StorageError):  # a full disk must not prevent the answer
        speeds = {"read_speed": known.read_speed, "write_speed": known.write_speed}
        _put(file, model, speeds, _seen(_read(file), model))
    return known


def save(file: Path, model: str, measured: Calibration) -> None:
    """Save what `localrag calibrate` measured. Raises StorageError if it cannot be written."""
    kept = asdict(measured)
    if measured.answer_from == load(file, model, measured.weights).answer_from or not measured.weights:
        del kept["answer_from"]  # do not save a default: a later version may know better
    if not measured.calibrated:
        for name in ("effective_tokens", "calibrated", "at_least"):
            del kept[name]
    entry = _seen(_read(file), model)
    others = measured.weights and entry.get("weights", measured.weights) != measured.weights
    _put(file, model, kept, {} if others else entry)


def fit(samples: Iterable[tuple[float, float, float]]) -> tuple[float, float] | None:
    """Fit seconds = a·x + b·y over (x, y, seconds) by least squares; return (1/a, b/a), or None without data.

    Reading n tokens after m: x = n, y = (m + n)² - m². Writing n after m: x = n, y = n·m + n²/2. If the samples show no
    slowing (b < 0, by noise), b is 0.
    """
    xx = xy = yy = xs = ys = 0.0
    for x, y, seconds in samples:
        xx, xy, yy = xx + x * x, xy + x * y, yy + y * y
        xs, ys = xs + x * seconds, ys + y * seconds
    if xx == 0 or xs <= 0:
        return None
    det = xx * yy - xy * xy
    a, b = ((yy * xs - xy * ys) / det, (xx * ys - xy * xs) / det) if det > 1e-9 * xx * yy else (0.0, 0.0)
    if a <= 0 or b < 0:
        a, b = xs / xx, 0.0
    return round(1 / a, 2), round(b / a, 9)


def reading_sample(after: int, tokens: int, seconds: float = 0.0) -> tuple[float, float, float]:
    return float(tokens), float((after + tokens) ** 2 - after**2), seconds


def writing_sample(after: int, tokens: int, seconds: float = 0.0) -> tuple[float, float, float]:
    return float(tokens), tokens * after + tokens**2 / 2, seconds


def _weight(sample: tuple[float, float, float], slowing: float) -> float:
    return sample[0] + slowing * sample[1]


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


def _defaults(model: str) -> dict[str, Any]:
    # An adapter ("id+adapter") changes the threshold; that of its base is the nearest figure.
    base = model.split("+")[0]
    values: dict[str, Any] = {"answer_from": _ANSWER_FROM[base]} if base in _ANSWER_FROM else {}
    if size := _SIZE.search(base):
        billions = float(size[1]) / (1000 if size[2].lower() == "m" else 1)
        values["effective_tokens"] = _SMALL_EFFECTIVE if billions < _SMALL else _DEFAULT_EFFECTIVE
    return values


def _smooth(old: float | None, new: float) -> float:
    return round(new if old is None else (1 - _SMOOTHING) * old + _SMOOTHING * new, 2)
