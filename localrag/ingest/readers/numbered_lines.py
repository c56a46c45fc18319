"""Transcripts and pleadings whose lines are numbered on each page, cited as lawyers do: "23:4-11".

Structure tells them: on most pages the lines count from 1 to the same number. The numbers are left out of the text, so
that a quote may run over lines, and name the places of their lines, behind the number that the page bears.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from localrag.text import running_lines
from localrag.types import Anchor

_LINE = re.compile(r"[ \t]{0,20}(?:\d{1,2}:\d\d(?::\d\d)?[ \t]+)?(\d{1,2})(?:[ \t]+(.*))?")  # maybe behind a time
_NUMBER = re.compile(r"(?<![\w.,/:$-])0{0,5}([1-9]\d{0,4})(?![\w,/:%]|[.-]\d)")
_LEAST, _MOST = 15, 60  # lines of a page
_MIN_PAGES = 2
_MIN_SHARE = 0.6  # of the pages, and of the lines with letters


class _Printed(NamedTuple):
    """A printed page: the index of its text, and which lines of it are its lines 1, 2, 3."""

    text: int
    lines: list[int]


def numbered(texts: Sequence[str]) -> list[tuple[str, tuple[Anchor, ...]]] | None:
    """Return texts without the numbers of their lines, and the lines' places; None where lines are not numbered.

    A text may hold many printed pages, as a plain transcript does. Running headers and footers stay in the first text
    that has some.
    """
    split = [text.split("\n") for text in texts]
    printed = [page for index, lines in enumerate(split) for page in _printed(index, lines)]
    count = max(Counter(len(page.lines) for page in printed).values(), default=0)
    with_letters = sum(any(map(str.isalpha, line)) for lines in split for line in lines)
    own = sum(any(map(str.isalpha, split[page.text][at])) for page in printed for at in page.lines)
    if count < max(_MIN_PAGES, _MIN_SHARE * len(printed)) or own < _MIN_SHARE * with_letters:
        return None
    places: list[dict[int, str]] = [{} for _ in texts]
    dropped = running_lines(texts)
    if first := next((lines for lines in dropped if lines), None):
        first.clear()
    for page, name in zip(printed, _names(split, printed), strict=True):
        places[page.text] |= {at: f"{name}:{number}" if name else "" for number, at in enumerate(page.lines, 1)}
        alone = re.compile(rf"\s*(?:page\s+)?0*{name or '-'}\s*", re.I)
        dropped[page.text] |= {at for at, line in enumerate(split[page.text]) if alone.fullmatch(line)}
    return [_without(*each) for each in zip(split, places, dropped, strict=True)]


def is_numbered(text: str) -> bool:
    """Whether a text has lines that count from 1."""
    return bool(_printed(0, text.split("\n")))


def _printed(index: int, lines: Sequence[str]) -> list[_Printed]:
    """Return the stretches of lines that count from 1; lines that are blank do not count."""
    found: list[_Printed] = []
    run: list[int] = []
    for at, line in enumerate([*lines, "-"]):
        number = int(match[1]) if (match := _LINE.fullmatch(line)) else 0
        if number == len(run) + 1 <= _MOST:
            run.append(at)
        elif line.strip():
            if len(run) >= _LEAST:
                found.append(_Printed(index, run))
            run = [at] if number == 1 else []
    return found


def _names(split: Sequence[Sequence[str]], printed: Sequence[_Printed]) -> list[str]:
    """Return the number that each printed page bears above or below its lines, "" where it is not known.

    It counts the pages: a number that most pages lack the like of is a part of something else.
    """
    steps: Counter[tuple[bool, int]] = Counter()
    borne: list[dict[tuple[bool, int], int]] = []
    for order, page in enumerate(printed):
        before, after = printed[order - 1 : order], printed[order + 1 : order + 2]
        lines = split[page.text]
        start = before[0].lines[-1] + 1 if before and before[0].text == page.text else 0
        end = after[0].lines[0] if after and after[0].text == page.text else len(lines)
        sides = {True: lines[start : page.lines[0]], False: lines[page.lines[-1] + 1 : end]}
        numbers = [(side, int(one)) for side, some in sides.items() for line in some for one in _NUMBER.findall(line)]
        borne.append({(side, number - order): number for side, number in numbers})
        steps.update(borne[-1])
    if not steps or (best := steps.most_common(1)[0])[1] < _MIN_PAGES:  # pages of a file have a number anyway
        return [str(page.text + 1) if len(split) > 1 else "" for page in printed]
    least = max(_MIN_PAGES, 0.2 * len(printed))  # some exhibits between may shift the numbers
    known = [step for step, count in steps.most_common() if step[0] == best[0][0] and count >= least]
    return [next((str(one[step]) for step in known if step in one), "") for one in borne]


def _without(lines: Sequence[str], places: dict[int, str], dropped: set[int]) -> tuple[str, tuple[Anchor, ...]]:
    """Return a text without the numbers of lines, and an anchor for each numbered line."""
    text, anchors = "", list[Anchor]()
    for at, line in enumerate(lines):
        if at in places:
            match = _LINE.fullmatch(line)
            assert match is not None, "only numbered lines have places"
            anchors.append(Anchor(len(text), places[at]))
            text += f"{(match[2] or '').rstrip()}\n"
        elif at not in dropped:
            text += f"{line}\n"
    return text.removesuffix("\n"), tuple(anchors)
