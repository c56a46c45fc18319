"""What this model really does on this machine: speeds seen, and how much text it can use.

Speeds are smoothed over the answers given here. The effective length is how many tokens of text a model can be trusted
to find things in; until it is measured, a careful default by the model's size stands in. Routing reads both.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from localrag import vault

_SMOOTHING = 0.3
# Small models lose single facts in long text well before their window ends.
_DEFAULT_EFFECTIVE = 6000


@dataclass(frozen=True, slots=True)
class Calibration:
    """Tokens a second while reading and while writing (None until seen), and the effective length in tokens."""

    read_speed: float | None = None
    write_speed: float | None = None
    effective_tokens: int = _DEFAULT_EFFECTIVE

    def seconds_to_read(self, tokens: int) -> float | None:
        return None if not self.read_speed else tokens / self.read_speed


def load(file: Path, model: str) -> Calibration:
    """What is known of a model; the defaults where nothing is, or the file is damaged."""
    try:
        return Calibration(**json.loads(vault.read_bytes(file))[model])
    except (OSError, ValueError, KeyError, TypeError):
        return Calibration()


def record(file: Path, model: str, *, read: tuple[int, float], written: tuple[int, float]) -> Calibration:
    """Smooth in what one answer showed: (tokens, seconds) of reading and of writing. Tiny samples are passed over."""
    known = load(file, model)
    if read[0] >= 128 and read[1] > 0:
        known = replace(known, read_speed=_smooth(known.read_speed, read[0] / read[1]))
    if written[0] >= 8 and written[1] > 0:
        known = replace(known, write_speed=_smooth(known.write_speed, written[0] / written[1]))
    try:
        everything = json.loads(vault.read_bytes(file))
    except (OSError, ValueError):
        everything = {}
    vault.write_json(file, {**everything, model: asdict(known)})
    return known


def _smooth(old: float | None, new: float) -> float:
    return round(new if old is None else (1 - _SMOOTHING) * old + _SMOOTHING * new, 2)
