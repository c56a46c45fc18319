"""The words and ruled lines of a PDF page: their boxes, the lines that words make, and the pieces of a line.

A word keeps its place in the page's raw text, so text that is not moved into a table or column stays as it was. Ruled
lines are strokes, edges of rectangles, or very thin filled boxes.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from localrag.ingest.readers import pdf_native as native
from localrag.text import clean

# U+FFFE is PDFium's hyphen at a line's end; the next line follows without a break.
_WORD = re.compile("[^\\s\ufffe]+\ufffe?|\ufffe")
# A gap in a line, in heights of a letter, that parts pieces; spaces of prose are at most 0.6.
_GAP = 0.75
_FIGURE_GAP = 0.35
_FIGURE = re.compile(r"^[($€£¥+\-–—]*(?=[.,]*\d)[\d.,]+[%)]*$|^[—–$€£-]+$")


class Word(NamedTuple):
    start: int
    end: int
    text: str
    left: float
    top: float
    right: float
    bottom: float


class Piece(NamedTuple):
    """Adjacent words of one line."""

    words: tuple[Word, ...]
    text: str
    left: float
    right: float


class Line(NamedTuple):
    words: tuple[Word, ...]
    top: float
    bottom: float

    @property
    def left(self) -> float:
        return self.words[0].left

    @property
    def right(self) -> float:
        return max(word.right for word in self.words)

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


def find_words(textpage: Any, raw: str, matrix: native.Matrix) -> list[Word]:
    """Return the words of a page whose text is `raw`; `matrix` maps to the upright page."""
    spans = [match.span() for match in _WORD.finditer(raw)]
    # The box of a hyphen at a line's end may be empty.
    inked = [(start, end - (raw[end - 1] == "\ufffe" and end - start > 1)) for start, end in spans]
    ends = native.end_boxes(textpage, inked)
    found = []
    at = 0
    for start, end in spans:
        left, high, right_of_first, low, left_of_last, other_high, right, other_low = ends[at : at + 8]
        at += 8
        if matrix.b:  # set sideways: its letters run along the file's y
            left, right = min(left, left_of_last), max(right_of_first, right)
            low, high = min(low, other_low), max(high, other_high)
        elif right < left:
            left, right = left_of_last, right_of_first
        if other_high - other_low > high - low:  # a word may begin with a small superscript
            low, high = other_low, other_high
        if high > low and -native.FAR < left <= right < native.FAR and -native.FAR < low < high < native.FAR:
            found.append(Word(start, end, raw[start:end], *matrix.box(left, low, right, high)))
    return found


def find_lines(words: Iterable[Word]) -> list[Line]:
    """Group words of one height to lines, from the top down, each from left to right."""
    lines: list[tuple[float, float, list[Word]]] = []
    for word in sorted(words, key=lambda word: word.top + word.bottom):
        middle = (word.top + word.bottom) / 2
        if lines:
            top, bottom, members = lines[-1]
            if abs(middle - (top + bottom) / 2) < 0.42 * min(bottom - top, word.bottom - word.top) or (
                top < middle < bottom and word.bottom - word.top < 0.75 * (bottom - top)
            ):
                members.append(word)
                continue
        lines.append((word.top, word.bottom, [word]))
    return [Line(tuple(sorted(members, key=lambda word: word.left)), top, bottom) for top, bottom, members in lines]


def pieces(line: Line, least: float = _GAP) -> list[Piece]:
    """Split a line at gaps wider than a space: `least` letters' heights."""
    found: list[list[Word]] = []
    for word in line.words:
        if found:
            before = found[-1][-1]
            gap, height = word.left - before.right, min(line.height, word.bottom - word.top)
            figures = gap > _FIGURE_GAP * height and bool(_FIGURE.match(before.text)) and bool(_FIGURE.match(word.text))
            if gap <= least * height and not figures:
                found[-1].append(word)
                continue
        found.append([word])
    return [piece(words) for words in found]


_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff]")


def piece(words: Sequence[Word]) -> Piece:
    text = " ".join(word.text for word in words)
    if _RIGHT_TO_LEFT.search(text) and 2 * sum(a > b for a, b in pairwise(words)) > len(words) - 1:
        text = " ".join(word.text for word in sorted(words))  # stored right to left
    return Piece(tuple(words), text, min(word.left for word in words), max(word.right for word in words))


_WIDE = re.compile("[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\u3000-\u30ff]")


def joined(left: str, right: str) -> str:
    """Join two lines of a cell, with a space unless the script is written without."""
    if not left or not right:
        return left or right
    if left.endswith("\ufffe") or (_WIDE.match(left[-1]) and _WIDE.match(right[0])):
        return left + right
    return f"{left} {right}"


_THIN = 3.0  # points; a thinner filled box is a line
_MIN_LENGTH = 4.0
_MAX_STROKES = 400  # of one path; more are a drawing
_MAX_RULES = 1500
_SAME = 1.5  # nearer lines are one
_JOINT = 1.0  # gap in one line; the rules under two headers are 2 points apart


class Rule(NamedTuple):
    """A line: its x or y, and where it starts and ends."""

    at: float
    start: float
    end: float


class Rules(NamedTuple):
    flat: tuple[Rule, ...] = ()
    upright: tuple[Rule, ...] = ()


def find_rules(paths: Iterable[native.Item]) -> Rules:
    """Return the rules among the paths of a page; none where there are so many that they are a drawing."""
    flat: list[Rule] = []
    upright: list[Rule] = []
    for item in paths:
        box = native.bounds(item)
        if box is None:
            continue
        if box.height <= _THIN or box.width <= _THIN:
            _add(flat, upright, box.left, box.top, box.right, box.bottom)
        elif native.paint_of(item.handle)[1] and native.segment_count(item.handle) <= _MAX_STROKES:
            for stroke in native.strokes(item):
                _add(flat, upright, *stroke)
        if len(flat) + len(upright) > _MAX_RULES:
            return Rules()
    return Rules(tuple(_merged(flat)), tuple(_merged(upright)))


def _add(flat: list[Rule], upright: list[Rule], x0: float, y0: float, x1: float, y1: float) -> None:
    width, height = abs(x1 - x0), abs(y1 - y0)
    if height <= _THIN and width >= _MIN_LENGTH:
        flat.append(Rule((y0 + y1) / 2, min(x0, x1), max(x0, x1)))
    elif width <= _THIN and height >= _MIN_LENGTH:
        upright.append(Rule((x0 + x1) / 2, min(y0, y1), max(y0, y1)))


def _merged(rules: Sequence[Rule]) -> list[Rule]:
    """Join the pieces of a line, and lines drawn twice."""
    levels: list[list[Rule]] = []
    for rule in sorted(rules):
        if levels and rule.at - levels[-1][0].at <= _SAME:
            levels[-1].append(rule)
        else:
            levels.append([rule])
    merged: list[Rule] = []
    for level in levels:
        at = sum(rule.at for rule in level) / len(level)
        for rule in sorted(level, key=lambda rule: rule.start):
            if merged and merged[-1].at == at and rule.start <= merged[-1].end + _JOINT:
                merged[-1] = Rule(at, merged[-1].start, max(merged[-1].end, rule.end))
            else:
                merged.append(Rule(at, rule.start, rule.end))
    return merged


# --- text -----------------------------------------------------------------------------------------------------

# PDFium writes U+FFFE (U+0002 in older builds) for a hyphen at a line's end, and joins the lines.
_HYPHEN = re.compile(r"(\w{0,99})[\ufffe\x02][ \r\n]{0,99}(\w{0,99})")
_LINE_END_SPACES = re.compile(r"(?<![ \t])[ \t]+(?=\n|$)")
_MANY_BLANKS = re.compile(r"\n{4,}")


def tidy(raw: str) -> str:
    """Return a page's text clean, with cut words joined and without trailing spaces and blank lines."""
    text = raw
    if "\ufffe" in raw or "\x02" in raw:  # rare, and the search for words around them is slow
        text = _HYPHEN.sub(lambda match: join_hyphen(match[1], match[2], raw), raw)
    return _MANY_BLANKS.sub("\n\n\n", _LINE_END_SPACES.sub("", clean(text))).strip("\n")


_LINE = re.compile(r"[^\s](?:[^\r\n]*[^\s])?")
_MAX_STRONG = 120  # letters; longer lines are text
_SMALL, _LARGE = 0.9, 1.2


def strong_lines(textpage: Any, raw: str) -> dict[str, tuple[float, bool]]:
    """Return the lines in bold or large letters: their height relative to most of the page, and if they are bold."""
    spans = [match.span() for match in _LINE.finditer(raw)]
    boxes = native.end_boxes(textpage, spans)
    heights = [boxes[at + 1] - boxes[at + 3] for at in range(0, len(boxes), 4)]
    bolds = native.bold(textpage, [start for start, _ in spans])
    sizes: Counter[tuple[float, bool]] = Counter()
    for (start, end), height, bold in zip(spans, heights[::2], bolds, strict=True):
        sizes[round(height, 1), bold] += end - start
    usual, usually_bold = max(sizes, key=sizes.__getitem__, default=(0.0, False))
    strong = {}
    for (start, end), first, last, bold in zip(spans, heights[::2], heights[1::2], bolds, strict=True):
        size = min(first, last)
        if end - start <= _MAX_STRONG and usual and ((bold and not usually_bold) or size >= _LARGE * usual):
            bold = bold and native.bold(textpage, [end - 1])[0]
            if size >= (_SMALL if bold and not usually_bold else _LARGE) * usual:
                strong[" ".join(clean(raw[start:end]).split())] = size / usual, bold
    return strong


_KEEP_HYPHEN = frozenset(
    "all anti best co cross full half high inter long low mid multi non on post pre re self semi short third "
    "two well year zero".split()
)


def join_hyphen(left: str, right: str, page: str) -> str:
    """Return a word cut at a line's end, with its hyphen if it is Non-Interested, or has one elsewhere on the page."""
    whole = f"{left}-{right}"
    if not left or not right or not right[0].islower() or not left[-1].isalpha() or left.lower() in _KEEP_HYPHEN:
        return whole
    return whole if whole.lower() in page.lower() else left + right


_RIGHT = "\u0590-\u05ff\u0600-\u065f\u066a-\u06ef\u06fa-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
_ANY = re.compile(f"[{_RIGHT}]")
_LAM_ALEF = re.compile("[\u0627\u0623\u0625\u0622\u0671]\u0644|\u0644[\u0627\u0623\u0625\u0622\u0671]")
_SEMITIC = re.compile("[\u0590-\u08ff]{2,}")
_FORMS = re.compile("[\ufb1d-\ufdff\ufe70-\ufefc]+")
_FINAL = "\u0629\u0649\u05da\u05dd\u05df\u05e3\u05e5"  # teh marbuta, alef maksura; the five Hebrew finals
_RUN = re.compile(f"[{_RIGHT}](?:[^A-Za-z\\n|]*[{_RIGHT}])?")
_LEFT = "A-Za-z0-9\u0660-\u0669\u06f0-\u06f9"
_FROM_LEFT = re.compile(f"[{_LEFT}%](?:[{_LEFT}.,:/%@_+-]{{0,200}}[{_LEFT}])?")  # turned round
_CELL = re.compile(f"(?<![^|\\n])[^|\\n]*[{_RIGHT}][^|\\n]*")
_MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")


def is_visual(text: str) -> bool:
    """Whether the letters are in visual order, from the left; letters that only end words, and the article, tell."""
    score = 0
    for word in _SEMITIC.findall(text):
        score += (word[0] in _FINAL) - (word[-1] in _FINAL)
        score += word.endswith("\u0644\u0627") - word.startswith("\u0627\u0644")
    return score > 0


def with_ligatures(raw: str, textpage: Any, visual: bool) -> str:
    """Return the text, of the same length, with the letters of lam-alef ligatures, which PDFium swaps, in order."""
    found = [match.start() for match in _LAM_ALEF.finditer(raw)]
    boxes = native.end_boxes(textpage, [(start, start + 2) for start in found])
    letters = list(raw)
    for index, start in enumerate(found):
        at = 8 * index
        if boxes[at : at + 4] == boxes[at + 4 : at + 8] and (letters[start] == "\u0644") == visual:
            letters[start], letters[start + 1] = letters[start + 1], letters[start]
    return "".join(letters)


def plain(text: str, visual: bool) -> str:
    """Return the text in reading order, with presentation forms as plain letters."""
    if visual:
        text = _CELL.sub(lambda match: _turned(match[0]), text)
    return _FORMS.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)


def _turned(line: str) -> str:
    """Return a line, or a cell, of visual order in reading order."""
    if len(_ANY.findall(line)) < sum(character.isascii() and character.isalpha() for character in line):
        return _RUN.sub(lambda match: _reversed(match[0]), line)
    return _reversed(line)


def _reversed(text: str) -> str:
    """Reverse a text, except what is read from the left inside it: figures, and words in other scripts."""
    return _FROM_LEFT.sub(lambda match: match[0][::-1], text[::-1].translate(_MIRRORED))
