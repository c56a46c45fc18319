"""Ruled lines of a PDF page, however they are drawn: as strokes, as rectangles' edges, as very thin filled boxes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from localrag.ingest.readers import pdf_native as native

_THIN = 3.0  # points; a filled box this thin is a line
_SHORTEST = 4.0
_MOST_STROKES = 400  # of one path; more are a drawing
_MOST_RULES = 1500
_SAME = 1.5  # lines this near to one another are one
_JOINT = 1.0  # pieces of one line; the rules under two headers stand 2 points apart


class Rule(NamedTuple):
    """A line: where it stands (its x or y), and from where to where it goes."""

    at: float
    start: float
    end: float


class Rules(NamedTuple):
    flat: tuple[Rule, ...] = ()
    upright: tuple[Rule, ...] = ()


def find_rules(paths: Iterable[native.Item]) -> Rules:
    """The rules among the paths of a page; none where there are so many that they are a drawing."""
    flat: list[Rule] = []
    upright: list[Rule] = []
    for item in paths:
        box = native.bounds(item)
        if box is None:
            continue
        if box.height <= _THIN or box.width <= _THIN:
            _add(flat, upright, box.left, box.top, box.right, box.bottom)
        elif native.paint_of(item.handle)[1] and native.segment_count(item.handle) <= _MOST_STROKES:
            for stroke in native.strokes(item, _MOST_STROKES):
                _add(flat, upright, *stroke)
        if len(flat) + len(upright) > _MOST_RULES:
            return Rules()
    return Rules(tuple(_merged(flat)), tuple(_merged(upright)))


def _add(flat: list[Rule], upright: list[Rule], x0: float, y0: float, x1: float, y1: float) -> None:
    width, height = abs(x1 - x0), abs(y1 - y0)
    if height <= _THIN and width >= _SHORTEST:
        flat.append(Rule((y0 + y1) / 2, min(x0, x1), max(x0, x1)))
    elif width <= _THIN and height >= _SHORTEST:
        upright.append(Rule((x0 + x1) / 2, min(y0, y1), max(y0, y1)))


def _merged(rules: Sequence[Rule]) -> list[Rule]:
    """Pieces of one line, and lines drawn twice, as one."""
    merged: list[Rule] = []
    for level in _levels(rules):
        at = sum(rule.at for rule in level) / len(level)
        for rule in sorted(level, key=lambda rule: rule.start):
            if merged and merged[-1].at == at and rule.start <= merged[-1].end + _JOINT:
                merged[-1] = Rule(at, merged[-1].start, max(merged[-1].end, rule.end))
            else:
                merged.append(Rule(at, rule.start, rule.end))
    return merged


def _levels(rules: Sequence[Rule]) -> list[list[Rule]]:
    levels: list[list[Rule]] = []
    for rule in sorted(rules):
        if levels and rule.at - levels[-1][0].at <= _SAME:
            levels[-1].append(rule)
        else:
            levels.append([rule])
    return levels
