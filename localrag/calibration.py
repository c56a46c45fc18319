"""What this model really does on this machine: speeds seen, and how much text it can use.

Speeds are smoothed over the answers given here. The effective length is how many tokens of text a model can be trusted
to find things in; until it is measured, a careful default by the model's size stands in. Routing reads both.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from localrag import vault
from localrag.errors import StorageError

_SMOOTHING = 0.3
# Small models lose single facts in long text well before their window ends.
_DEFAULT_EFFECTIVE = 6000


# From which share of "yes" on an answer is given, where it was measured (docs/decisions/0006-answer-or-decline.md).
_ANSWER_FROM = {"qwen2.5-coder-1.5b-instruct": 0.7}


@dataclass(frozen=True, slots=True)
class Calibration:
    """Tokens a second while reading and while writing (None until seen), and the effective length in tokens.

    `answer_from` is how sure the model must be that the text holds the answer, in its own likelihood of "yes" against
    "no". Models are sure to different degrees, so it is a figure of the model, not of the question.
    """

    read_speed: float | None = None
    write_speed: float | None = None
    effective_tokens: int = _DEFAULT_EFFECTIVE
    answer_from: float = 0.5

    def seconds_to_read(self, tokens: int) -> float | None:
        return None if not self.read_speed else tokens / self.read_speed


def load(file: Path, model: str) -> Calibration:
    """What is known of a model; the defaults where nothing is, or the file is damaged."""
    return Calibration(**{**_defaults(model), **_seen(_read(file), model)})


def record(file: Path, model: str, *, read: tuple[int, float], written: tuple[int, float]) -> Calibration:
    """Smooth in what one answer showed: (tokens, seconds) of reading and of writing. Tiny samples are passed over."""
    known = load(file, model)
    if read[0] >= 128 and read[1] > 0:
        known = replace(known, read_speed=_smooth(known.read_speed, read[0] / read[1]))
    if written[0] >= 8 and written[1] > 0:
        known = replace(known, write_speed=_smooth(known.write_speed, written[0] / written[1]))
    everything = _read(file)
    speeds = {name: value for name, value in asdict(known).items() if name.endswith("_speed")}
    with suppress(StorageError):  # a full disk must not cost the answer
        vault.write_json(file, {**everything, model: {**_seen(everything, model), **speeds}})
    return known


def _read(file: Path) -> dict[str, Any]:
    try:
        everything = json.loads(vault.read_bytes(file))
    except (OSError, ValueError):
        return {}
    return everything if isinstance(everything, dict) else {}


def _seen(everything: dict[str, Any], model: str) -> dict[str, float]:
    """What the file says of a model, as far as it is known and a number."""
    entry = everything.get(model)
    names = {item.name for item in fields(Calibration)}
    given = entry.items() if isinstance(entry, dict) else ()
    return {name: value for name, value in given if name in names and isinstance(value, int | float)}


def _defaults(model: str) -> dict[str, Any]:
    # An adapter ("id+adapter") changes what a model is sure of; its base is the nearest figure there is.
    base = model.split("+")[0]
    return {"answer_from": _ANSWER_FROM[base]} if base in _ANSWER_FROM else {}


def _smooth(old: float | None, new: float) -> float:
    return round(new if old is None else (1 - _SMOOTHING) * old + _SMOOTHING * new, 2)
