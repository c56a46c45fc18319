"""The text of PDF pages: cut words joined, running lines dropped, right-to-left script in reading order."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Any

from localrag.ingest.readers import pdf_native as native
from localrag.text import clean

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
    """Return a word cut at a line's end: "con" + "tract" joined, "Non" + "Interested" with its hyphen.

    A word that has its hyphen elsewhere on the page keeps it.
    """
    whole = f"{left}-{right}"
    if not left or not right or not right[0].islower() or not left[-1].isalpha() or left.lower() in _KEEP_HYPHEN:
        return whole
    return whole if whole.lower() in page.lower() else left + right


_RIGHT = "\u0590-\u05ff\u0600-\u065f\u066a-\u06ef\u06fa-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
_ANY = re.compile(f"[{_RIGHT}]")
_LAM_ALEF = re.compile("[\u0627\u0623\u0625\u0622\u0671]\u0644|\u0644[\u0627\u0623\u0625\u0622\u0671]")
_WORD = re.compile("[\u0590-\u08ff]{2,}")
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
    for word in _WORD.findall(text):
        score += (word[0] in _FINAL) - (word[-1] in _FINAL)
        score += word.endswith("\u0644\u0627") - word.startswith("\u0627\u0644")
    return score > 0


def with_ligatures(raw: str, textpage: Any, visual: bool) -> str:
    """Return the raw text, of the same length, with each lam-alef ligature in its right order.

    PDFium turns the two letters of the ligature the wrong way round.
    """
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
