"""Arabic and Hebrew in the order in which they are read.

PDFium turns most of it by itself, but not text that is set letter by letter from the left, and it turns the two
letters of a ligature (lam-alef) the wrong way round. Which order a page is in is told by letters that only end words,
and by the article that only begins them. Presentation forms become plain letters.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from localrag.ingest.readers import pdf_native as native

_RIGHT = "\u0590-\u05ff\u0600-\u065f\u066a-\u06ef\u06fa-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
_ANY = re.compile(f"[{_RIGHT}]")
_LAM_ALEF = re.compile("[\u0627\u0623\u0625\u0622\u0671]\u0644|\u0644[\u0627\u0623\u0625\u0622\u0671]")
_WORD = re.compile("[\u0590-\u08ff]{2,}")
_FORMS = re.compile("[\ufb1d-\ufdff\ufe70-\ufefc]+")
_FINAL = "\u0629\u0649\u05da\u05dd\u05df\u05e3\u05e5"  # teh marbuta, alef maksura; the five Hebrew finals
_RUN = re.compile(f"[{_RIGHT}](?:[^A-Za-z\\n|]*[{_RIGHT}])?")
_LEFT = "A-Za-z0-9\u0660-\u0669\u06f0-\u06f9"
_FROM_LEFT = re.compile(f"[{_LEFT}](?:[{_LEFT}.,:/%@_+-]*[{_LEFT}%])?")
_MIRRORED = str.maketrans("()[]{}<>«»", ")(][}{><»«")


def has_right_to_left(text: str) -> bool:
    return bool(_ANY.search(text))


def is_visual(text: str) -> bool:
    """Whether the letters stand in the order in which they are seen from the left."""
    score = 0
    for word in _WORD.findall(text):
        score += (word[0] in _FINAL) - (word[-1] in _FINAL)
        score += word.endswith("\u0644\u0627") - word.startswith("\u0627\u0644")
    return score > 0


def with_ligatures(raw: str, textpage: Any, visual: bool) -> str:
    """The page's raw text, as long as before, with each lam-alef that is one sign in its order."""
    found = [match.start() for match in _LAM_ALEF.finditer(raw)]
    boxes = native.end_boxes(textpage, [(start, start + 2) for start in found])
    letters = list(raw)
    for index, start in enumerate(found):
        at = 8 * index
        if boxes[at : at + 4] == boxes[at + 4 : at + 8] and (letters[start] == "\u0644") == visual:
            letters[start], letters[start + 1] = letters[start + 1], letters[start]
    return "".join(letters)


def plain(text: str, visual: bool) -> str:
    """The text in reading order and plain letters."""
    if visual:
        text = "\n".join(_turned(line) if _ANY.search(line) else line for line in text.split("\n"))
    return _FORMS.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)


def _turned(line: str) -> str:
    """A line that is seen from the left, as it is read; the cells of a table each for itself."""
    if line.startswith("| "):
        return re.sub(r"(?<=\| )[^|]+(?= \|)", lambda match: _turned(match[0]), line)
    if not _ANY.search(line):
        return line
    right = len(_ANY.findall(line))
    if right < sum(character.isascii() and character.isalpha() for character in line):
        return _RUN.sub(lambda match: _reversed(match[0]), line)
    return _reversed(line)


def _reversed(text: str) -> str:
    """Back to front, but for what is read from the left within it: figures, and words in other letters."""
    parts: list[str] = []
    at = 0
    for match in _FROM_LEFT.finditer(text):
        parts += [text[at : match.start()][::-1].translate(_MIRRORED), match[0]]
        at = match.end()
    parts.append(text[at:][::-1].translate(_MIRRORED))
    return "".join(reversed(parts))
