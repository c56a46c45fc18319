"""The numbers that Word prints before paragraphs: they are not in the text, but people cite by them.

Follows w:num and w:abstractNum, list styles, restarts and overrides. Number formats beyond decimal, letters and Roman
are printed as decimals; bullets become "-".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree.ElementTree import Element

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
          (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))  # fmt: skip


class Numbering:
    """Counts paragraphs as they come; `next` must be called once for each, in document order."""

    def __init__(self, root: Element | None, styles: Mapping[str, Element]) -> None:
        self._styles = styles
        self._abstract: dict[str, dict[int, _Level]] = {}
        self._lists: dict[str, str] = {}
        self._restarts: dict[tuple[str, int], int] = {}
        self._overrides: dict[str, dict[int, _Level]] = {}
        self._by_style: dict[str, int] = {}
        self._counts: dict[str, dict[int, int]] = {}
        self._seen: set[str] = set()
        styles_of: dict[str, str] = {}  # the definitions that only name a list style
        styled: dict[str, str] = {}  # list styles: the definition that each one has
        for element in root if root is not None else ():
            identity = element.get(f"{_W}abstractNumId", "")
            if element.tag == f"{_W}abstractNum":
                self._abstract[identity] = self._levels(element)
                styles_of[identity] = _value(element, "numStyleLink")
                styled[_value(element, "styleLink")] = identity
            elif element.tag == f"{_W}num":
                number = element.get(f"{_W}numId", "")
                self._lists[number] = _value(element, "abstractNumId")
                self._overrides[number] = self._levels(element)
                for override in element.iter(f"{_W}lvlOverride"):
                    start = _value(override, "startOverride")
                    if start.isdigit():
                        self._restarts[number, _int(override.get(f"{_W}ilvl"), 0)] = int(start)
        for number, identity in self._lists.items():
            if style := styles_of.get(identity):
                self._lists[number] = styled.get(style, identity)

    def next(self, paragraph: Element, style: str) -> str:
        """The number of this paragraph as it is printed ("3.2", "(a)", "-"), or nothing."""
        own = paragraph.find(f"{_W}pPr/{_W}numPr")
        inherited = self._styles.get(style)
        number = (_value(own, "numId") if own is not None else "") or (
            _value(inherited, "numId") if inherited is not None else ""
        )
        levels = self._abstract.get(self._lists.get(number, ""), {}) | self._overrides.get(number, {})
        depth = _value(own, "ilvl") if own is not None else ""
        if not depth and inherited is not None:
            depth = _value(inherited, "ilvl")
        level = _int(depth, self._by_style.get(style, 0))
        return self._print(number, level, levels) if level in levels else ""

    def _print(self, number: str, level: int, levels: dict[int, _Level]) -> str:
        counts = self._counts.setdefault(self._lists[number], {})
        if number not in self._seen:  # a list that shares its definition may begin anew
            self._seen.add(number)
            for (owner, depth), start in self._restarts.items():
                if owner == number:
                    counts[depth] = start - 1
        counts[level] = counts.get(level, levels[level].start - 1) + 1
        for other in levels:
            if other < level:  # one that was passed over counts as begun
                counts.setdefault(other, levels[other].start)
            elif other > level and level < levels[other].restart:
                counts.pop(other, None)
        form = levels[level]
        if form.kind == "bullet":
            return "-"

        def printed(match: re.Match[str]) -> str:
            depth = int(match[1]) - 1
            other = levels.get(depth, form)
            if other.kind in ("bullet", "none"):
                return ""
            kind = "decimal" if form.legal else other.kind
            return format_number(counts.get(depth, other.start), kind)

        return re.sub(r"%([1-9])", printed, form.text).strip()

    def _levels(self, abstract: Element) -> dict[int, _Level]:
        levels: dict[int, _Level] = {}
        for element in abstract.iter(f"{_W}lvl"):
            depth = _int(element.get(f"{_W}ilvl"), 0)
            levels[depth] = _Level(element, depth)
            if style := _value(element, "pStyle"):
                self._by_style[style] = depth
        return levels


class _Level:
    def __init__(self, element: Element, depth: int) -> None:
        self.start = _int(_value(element, "start"), 0)
        self.restart = _int(_value(element, "lvlRestart"), depth)  # levels above this one begin it anew
        self.kind = _value(element, "numFmt") or "decimal"
        self.text = _value(element, "lvlText")
        self.legal = element.find(f"{_W}isLgl") is not None


def format_number(count: int, kind: str) -> str:
    """A number as Word's w:numFmt says: "lowerLetter", "upperRoman", "decimal"."""
    if kind in ("lowerLetter", "upperLetter") and count > 0:
        letters = chr(ord("a") + (count - 1) % 26) * min((count - 1) // 26 + 1, 5)
        return letters.upper() if kind == "upperLetter" else letters
    if kind in ("lowerRoman", "upperRoman") and 0 < count < 4000:
        roman = ""
        for value, letters in _ROMAN:
            roman += letters * (count // value)
            count %= value
        return roman.upper() if kind == "upperRoman" else roman
    return f"{count:02d}" if kind == "decimalZero" else str(count)


def _value(element: Element, name: str) -> str:
    child = element.find(f"{_W}{name}")
    return "" if child is None else str(child.get(f"{_W}val") or "")


def _int(value: str | None, default: int) -> int:
    return int(value) if value and value.isdigit() else default
