"""What the styles of an OpenDocument say: hidden text and slides, titles, and how lists and headings are numbered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from localrag.ingest.readers.blocks import format_number

_NS = "urn:oasis:names:tc:opendocument:xmlns:"
_TEXT, _STYLE, _SHOW = (f"{{{_NS}{name}:1.0}}" for name in ("text", "style", "presentation"))


@dataclass(frozen=True, slots=True)
class Level:
    """How one level of a list is numbered; `kind` is empty where nothing is printed."""

    kind: str
    prefix: str = ""
    suffix: str = ""
    start: int = 1
    shown: int = 1


@dataclass(slots=True)
class Styles:
    """What styles say: hidden text and slides, titles, numbers."""

    roots: list[Element | None]
    lists: dict[str, dict[int, Level]] = field(default_factory=dict)
    outline: dict[int, Level] = field(default_factory=dict)
    _parents: dict[str, str] = field(default_factory=dict)
    _unseen: set[str] = field(default_factory=set)
    _slides: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for root in self.roots:
            for style in root.iter() if root is not None else ():
                name = style.get(f"{_STYLE}name", "")
                if style.tag == f"{_STYLE}style":
                    self._learn(style, name)
                elif style.tag == f"{_TEXT}list-style":
                    self.lists[name] = dict(map(_level, style))
                elif style.tag == f"{_TEXT}outline-style":
                    self.outline = dict(map(_level, style))

    def _learn(self, style: Element, name: str) -> None:
        self._parents[name] = style.get(f"{_STYLE}parent-style-name", "")
        for properties in style:
            if properties.get(f"{_TEXT}display") == "none" and properties.tag == f"{_STYLE}text-properties":
                self._unseen.add(name)
            if properties.get(f"{_SHOW}visibility") == "hidden":
                self._slides.add(name)

    def hides_text(self, name: str) -> bool:
        return any(style in self._unseen for style in self._line(name))

    def hides_slide(self, name: str) -> bool:
        return name in self._slides

    def is_title(self, name: str) -> bool:
        return "Title" in self._line(name)

    def _line(self, name: str) -> Iterator[str]:
        seen: set[str] = set()
        while name and name not in seen:
            seen.add(name)
            yield name
            name = self._parents.get(name, "")


_FORMATS = {"1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}


def _level(element: Element) -> tuple[int, Level]:
    depth = to_int(element.get(f"{_TEXT}level"), 1)
    if "bullet" in element.tag or "image" in element.tag:
        return depth, Level("bullet" if element.get(f"{_TEXT}bullet-char", "-").strip(" \u200b") else "")
    form = element.get(f"{_STYLE}num-format", "")
    prefix, suffix = element.get(f"{_STYLE}num-prefix", ""), element.get(f"{_STYLE}num-suffix", "")
    start, shown = to_int(element.get(f"{_TEXT}start-value"), 1), to_int(element.get(f"{_TEXT}display-levels"), 1)
    return depth, Level(_FORMATS.get(form, "decimal") if form else "", prefix, suffix, start, shown)


def count(counts: dict[int, int], level: int, form: Level | None, levels: dict[int, Level], start: str | None) -> str:
    """Count one more at `level`; what is printed before it."""
    for deeper in [depth for depth in counts if depth > level]:
        del counts[deeper]
    first = form.start if form is not None else 1
    counts[level] = to_int(start, 1) if start else counts.get(level, first - 1) + 1
    if form is None or not form.kind:
        return ""
    if form.kind == "bullet":
        return "-"
    above = range(max(1, level - form.shown + 1), level + 1)
    forms = [(depth, levels.get(depth)) for depth in above]
    parts = [
        format_number(counts.get(depth, other.start), other.kind)
        for depth, other in forms
        if other is not None and other.kind not in ("", "bullet")
    ]
    return f"{form.prefix}{'.'.join(parts)}{form.suffix}".strip()


def to_int(value: str | None, default: int) -> int:
    return int(value) if value and value.isdecimal() and len(value) < 10 else default
