"""What of a web page can be seen: colours, sizes and places, from style attributes and a page's own style sheet.

Limits: of style sheets only rules for one class, name or tag are honoured.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple


class Sheet(NamedTuple):
    """The rules of a page's own style sheet that are for one class, name or tag, by their selector."""

    rules: dict[str, dict[str, str]]

    def of(self, tag: str, attributes: Mapping[str, str | None]) -> dict[str, str]:
        """What holds for an element itself; what it inherits is in `Look`."""
        own = attributes.get("style")
        if not self.rules:
            return _declared(own) if own else {}
        found = dict(self.rules.get(tag, ()))
        for name in (attributes.get("class") or "").split()[:50]:
            found |= self.rules.get(f".{name}", {})
            found |= self.rules.get(f"{tag}.{name}", {})
        if identity := attributes.get("id"):
            found |= self.rules.get(f"#{identity}", {})
        return found | _declared(own) if own else found


def sheet_of(css: str) -> Sheet:
    rules: dict[str, dict[str, str]] = {}
    css = re.sub(r"/\*.*?(?:\*/|$)|<!--|-->", "", css[:2_000_000], flags=re.S)
    depth = start = opened = 0
    for brace in re.finditer("[{}]", css):  # rules inside @media and the like hold only sometimes
        if brace[0] == "{":
            depth += 1
            opened = brace.start() if depth == 1 else opened
        elif depth:
            depth -= 1
            if depth == 0:
                selectors = css[start:opened].rpartition(";")[2]
                body = css[opened + 1 : brace.start()]
                start = brace.end()
                for selector in selectors.split(",") if "{" not in body else ():
                    if _SELECTOR.fullmatch(selector := selector.strip()) and (style := _declared(body)):
                        rules[selector] = rules.get(selector, {}) | style
    return Sheet(rules)


_SELECTOR = re.compile(r"[a-z][a-z0-9]*|(?:[a-z][a-z0-9]*)?\.[\w-]+|#[\w-]+")
_TELLING = frozenset(
    "display visibility opacity font-size color background background-color position left top right bottom text-indent "
    "overflow height max-height width max-width clip clip-path mso-hide list-style list-style-type font".split()
)


def _declared(style: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for declaration in style.lower().split(";"):
        name, colon, value = declaration.partition(":")
        if colon and (name := name.strip()) in _TELLING:
            found[name] = value.replace("!important", "").strip()
    return found


def gone(style: Mapping[str, str]) -> bool:
    """Whether an element is not shown, with all that is in it."""
    if not style:
        return False
    clipped = style.get("overflow") == "hidden" and any(
        _size(style.get(name)) == 0 for name in ("height", "max-height", "width", "max-width")
    )
    placed = style.get("position") in ("absolute", "fixed")
    away = any(_size(style.get(name), 0) <= -500 for name in ("left", "top", "right", "bottom")) and placed
    return (
        style.get("display") == "none"
        or style.get("mso-hide") == "all"
        or _size(style.get("opacity")) == 0
        or clipped
        or away
        or _size(style.get("text-indent"), 0) <= -500
        or (placed and style.get("clip", "").replace(" ", "").startswith(("rect(0,0,0", "rect(0000", "rect(1px,1px")))
    )


def _size(value: str | None, default: float = 1) -> float:
    match = re.match(r"-?(?:\d+\.?\d*|\.\d+)", value or "")
    return float(match[0]) if match and len(match[0]) < 20 else default


Colour = tuple[int, int, int]


class Look(NamedTuple):
    """What an element hands down to those in it: colours (None: not known), and whether its text can be seen."""

    colour: Colour | None = None
    ground: Colour | None = None
    tiny: bool = False
    away: bool = False

    def unseen(self) -> bool:
        if self.tiny or self.away:
            return True
        if self.colour is None or self.ground is None:
            return False
        return sum(abs(one - other) for one, other in zip(self.colour, self.ground, strict=True)) <= 24

    def under(self, tag: str, attributes: Mapping[str, str | None], style: Mapping[str, str]) -> Look:
        colour, ground, tiny, away = self
        if tag == "a" and "href" in attributes:
            colour = None  # links have their own
        if tag in ("body", "font") and (named := attributes.get("text" if tag == "body" else "color")):
            colour = _colour(named)
        if named := attributes.get("bgcolor"):
            ground = _colour(named)
        if attributes.get("background"):
            ground = None
        if style:
            colour = _colour(style["color"]) if "color" in style and style["color"] != "inherit" else colour
            for name in ("background", "background-color"):
                if style.get(name, "none") not in ("none", "transparent", "inherit", "initial", "0", "unset"):
                    ground = _colour(style[name])
            size = style.get("font-size") or next(iter(_FONT_SIZE.findall(style.get("font", "")[:200])), "")
            if size:
                tiny = _size(size) == 0 or (size.endswith(("px", "pt")) and _size(size) <= 1)
            away = style["visibility"] in ("hidden", "collapse") if "visibility" in style else away
        return Look(colour, ground, tiny, away)


_FONT_SIZE = re.compile(r"(?:^|\s)(\d*\.?\d+(?:px|pt|em|rem|%)?)(?=[\s/])")
_COLOUR = re.compile(r"#([0-9a-f]{6}|[0-9a-f]{3})\b|rgba?\(\s*(\d+)[\s,]+(\d+)[\s,]+(\d+)\s*\)|\b([a-z]+)\b")
_NAMED = {"white": (255, 255, 255), "black": (0, 0, 0), "red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255),
          "yellow": (255, 255, 0), "gray": (128, 128, 128), "grey": (128, 128, 128), "silver": (192, 192, 192),
          "navy": (0, 0, 128), "whitesmoke": (245, 245, 245), "snow": (255, 250, 250)}  # fmt: skip


def _colour(value: str) -> Colour | None:
    """The colour in a declaration; None where it is a picture, lets something through, or is not known."""
    value = value.lower()
    if "url(" in value or "gradient" in value:
        return None
    for hexadecimal, red, green, blue, name in _COLOUR.findall(value):
        if hexadecimal:
            digits = hexadecimal if len(hexadecimal) == 6 else "".join(digit * 2 for digit in hexadecimal)
            return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
        if red:
            return min(int(red[:4]), 255), min(int(green[:4]), 255), min(int(blue[:4]), 255)
        if name in _NAMED:
            return _NAMED[name]
    return None
