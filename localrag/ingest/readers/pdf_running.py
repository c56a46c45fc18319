"""Running headers and footers: lines that stand at the top or bottom of page after page, said once.

A line is running where it comes back on enough pages, word for word or with numbers that count the pages. The first one
is kept; a page never loses all its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_EDGE = 4  # lines from the top and the bottom that are looked at
_LEAST_PAGES = 3
_LEAST_SHARE = 0.12
_NUMBER = re.compile(r"\d+|\b[ivxlc]+\b")
_MOST_NUMBERS = 3


def drop_running_lines(texts: Sequence[str]) -> list[str]:
    """The texts of all pages without their running lines."""
    pages = [text.split("\n") for text in texts]
    running = _running(pages)
    if not running:
        return list(texts)
    said: set[tuple[bool, str]] = set()
    return ["\n".join(_without(lines, running, said)) for lines in pages]


Key = tuple[bool, str]  # at the top or not, and the line with its numbers made alike


def _running(pages: Sequence[Sequence[str]]) -> set[Key]:
    places: dict[Key, list[tuple[int, str]]] = {}
    for index, lines in enumerate(pages):
        for top in (True, False):
            for key, line in {_key(lines[place], top): lines[place] for place in _edge(lines, top)}.items():
                places.setdefault(key, []).append((index, line))
    least = max(_LEAST_PAGES, _LEAST_SHARE * sum(any(line.strip() for line in lines) for lines in pages))
    return {
        key for key, found in places.items()
        if len(found) >= least and not key[1].startswith("|") and _counts(found)
    }  # fmt: skip


def _edge(lines: Sequence[str], top: bool) -> Iterator[int]:
    """Places of the outermost lines that are not blank, from the edge inward."""
    places = range(len(lines)) if top else range(len(lines) - 1, -1, -1)
    count = 0
    for place in places:
        if lines[place].strip():
            yield place
            count += 1
            if count == _EDGE:
                return


def _key(line: str, top: bool) -> Key:
    return top, _NUMBER.sub("#", " ".join(line.split()))


def _counts(found: Sequence[tuple[int, str]]) -> bool:
    """Whether lines that are alike but for their numbers are the same line, or count the pages."""
    first = found[0][1].strip()
    same = sum(line.strip() == first for _, line in found)
    if same == len(found):
        return any(character.isalpha() for character in first) and len(first) > 2
    numbers = [[int(n) for n in re.findall(r"\d+", line) if len(n) < 6] for _, line in found]
    count = min(map(len, numbers))
    if count == 0 or count > _MOST_NUMBERS:
        return same > 0.8 * len(found)
    for place in range(count):
        steps = [row[place] - index for (index, _), row in zip(found, numbers, strict=True)]
        if steps.count(max(set(steps), key=steps.count)) > 0.7 * len(steps):
            return True
    return False


def _without(lines: list[str], running: set[Key], said: set[Key]) -> list[str]:
    drop: set[int] = set()
    for top in (True, False):
        for place in _edge(lines, top):
            key = _key(lines[place], top)
            if key not in running:
                break
            if key in said:
                drop.add(place)
            said.add(key)
    kept = [line for place, line in enumerate(lines) if place not in drop]
    return "\n".join(kept).strip("\n").split("\n") if any(line.strip() for line in kept) else lines
