"""Split text into sentences, as half-open spans.

A span is a sentence, a list item, a table row or a separate line. Spans ascend, do not overlap, do not begin or end
with white space, and cover every other character. Made for English and languages with similar punctuation, and for
Chinese and Japanese stops; an unknown abbreviation may end a sentence early. Line ends inside running text do not end a
sentence, those between rows and items do.
"""

from __future__ import annotations

import re
from functools import lru_cache

from localrag.store import text_analysis

_ABBREVIATIONS, _WORDS = text_analysis.WORDS["abbreviations"], text_analysis.WORDS["sentences"]
_LEADING, _SHORT = frozenset(_ABBREVIATIONS["leading"].split()), frozenset(_ABBREVIATIONS["short"].split())
_OPENERS, _MONTHS = frozenset(_WORDS["openers"].split()), frozenset(_WORDS["months"].split())
_STOP = re.compile(
    r"""
    [。！？｡]+[」』）”"']*                                  # no space needed after it
    | (?<![.!?…]) [.!?…]+ ["'”’)\]»]* (?=\s)
    | \n
    """,
    re.X,
)
_ROW = re.compile(r"\s*\|")
_LAST_WORD = re.compile(r"[^\s(\[\"“'‘/]{1,24}$")
_NEXT_WORD = re.compile(r"\s*[\"“'‘(\[«]*([^\W_]+)")
_ITEM = re.compile(
    r"""
    \s*(?: [-*+•●○◦▪■□►➢✓–—·‣⁃] (?:\s|\d)
      | \( (?:[a-zA-Z]{1,2}|[ivxlIVXL]{1,5}|\d{1,3}) \) \s?
      | (?:[a-zA-Z]|[ivxl]{2,5}|\d{1,3}) [.)] \s
      | \d{1,2}(?:\.\d{1,2}){1,3}\.? \s
      | (?:ARTICLE|Article|SECTION|Section|Item|ITEM|EXHIBIT|SCHEDULE|ANNEX|APPENDIX) \s+ [\dIVXLA-Z]
      | \|
      | \#{1,6}\s | >\s | [`~]{3} )
    """,
    re.X,
)
_NUMBER = re.compile(r"^\(?[$€£¥]?\(?[\d][\d,.]*%?\)?%?$|^[$€£¥%—–-]+$")
_ENDS = (".", "!", "?", ":", ";", "。", "！", "？", ".”", '."', ".)", "；", "：")


def sentences(text: str) -> list[tuple[int, int]]:
    """The spans of `text`, in order."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _STOP.finditer(text):
        if match[0] == "\n":
            ends = _breaks(text, match.start())
        else:
            ends = text[match.start()] in "。！？｡" or _ends_sentence(text, start, match)
        if ends:
            _add(spans, text, start, match.end())
            start = match.end()
    _add(spans, text, start, len(text))
    return spans


def _add(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    piece = text[start:end]
    inner = piece.strip()
    if inner:
        start += len(piece) - len(piece.lstrip())
        spans.append((start, start + len(inner)))


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    """Whether the stop at `match`, followed by white space, ends the sentence that begins at `start`."""
    if _ROW.match(text, start):
        return False
    following = _NEXT_WORD.match(text, match.end())
    word = following[1] if following else ""
    if match[0].startswith(("!", "?")):
        return not word[:1].islower()
    before = _LAST_WORD.search(text, max(start, match.start() - 24), match.start())
    last = before[0] if before else ""
    if not last:
        return match.start() > start
    alone = match.start() - start < 100 and text[start : match.start()].strip() == last
    if alone and (len(last) <= 2 or last.replace(".", "").isdigit()):
        return False  # "12. Termination", "a. The first": the number belongs to the next words
    if last.endswith(".") or match[0].startswith(".."):
        return word[:1].isupper() or not word
    if word in _MONTHS and last.isdigit() and len(last) <= 2:
        return False
    key = last.lower()
    if key in _LEADING:
        return False
    if key in _SHORT:
        return word in _OPENERS
    if len(last) == 1 and last.isupper() and last != "I":
        return word in _OPENERS  # an initial
    return not word[:1].islower()


def _breaks(text: str, end: int) -> bool:
    """Whether the line end at `end` separates, and does not only wrap."""
    begin = text.rfind("\n", 0, end) + 1
    line = text[begin:end].strip()
    following = text.find("\n", end + 1)
    next_line = text[end + 1 : following if following >= 0 else len(text)].strip()
    if not line or not next_line or line[0] in "|#" or _ITEM.match(next_line):
        return True
    if line.endswith(_ENDS) and not next_line[0].islower():
        return True  # even if the paragraph continues, a sentence ends here
    width = _page_width(text, begin // 4000)
    if _is_row(line) or _is_row(next_line):
        return not (next_line[0].islower() and len(line) > 0.7 * width)
    return len(line) < 0.55 * width and not next_line[0].islower() and line[-1] not in ",-–"


@lru_cache(maxsize=1)
def _page_width(text: str, block: int) -> int:
    """The length of the longest line near a block of 4,000 characters."""
    near = text[max(0, block * 4000 - 1000) : block * 4000 + 5000]
    return min(160, max(map(len, near.split("\n"))))


def _is_row(line: str) -> bool:
    """Whether a line consists of figures, as table rows do."""
    words = line.split()
    figures = sum(1 for word in words if _NUMBER.match(word))
    return figures >= 2 and figures * 3 >= len(words) and len(words) <= 40
