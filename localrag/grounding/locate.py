"""Find quoted words in a text, even if they were typed carelessly, and never something else.

`locate` is exact but for what print and typing change. `quoted` also takes an ellipsis, and at last words that differ
in typing mistakes, inflection or little words; another number, negation, condition or name refuses the quote. The fuzzy
score is rapidfuzz's ratio (0 to 100); docs/decisions/0027-checks.md measures the threshold.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

from localrag.quantities import NUMBER_WORDS, lazy_re, load_words

MIN_RATIO = 80.0  # of words that are not there exactly
_MIN_LETTERS, _MAX_WORDS = 20, 200
# Characters between the parts around an ellipsis, and of the whole, up to which they are shown as one.
_MAX_GAP, _MAX_WHOLE = 160, 320

_LETTER = r"[^\W\d_]"
# Chinese and Japanese signs and their punctuation; Korean writes spaces.
_CJK = "\u3001-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef"
_SPECIAL = lazy_re(
    rf"""(?P<nothing> \xad(?:\s*\n\s*)? | [\u200b-\u200f\u2060\ufeff]
        | (?<={_LETTER})[-‐‑] (?: [ \t]*\n\s*(?=[^\W\d_A-ZÄÖÜ]) | (?={_LETTER}) )  # a word parted, or of two parts
        | (?<=[{_CJK}])\s+ | \s+(?=[{_CJK}])
        | (?<![\w)])\*+ | \*+(?![\w(]) )
      | (?P<bar> \s*(?:\|\s*)+ )
      | (?P<dash> \s*[-‐‑‒–—―−]+\s* )
      | (?P<space> [^\S\ ]\s* | \ \s+ )
      | (?P<double> ["“”„‟«»″〝〞「」『』＂] )
      | (?P<single> ['’‘‚‛‹›`´′] )
      | (?P<other> … | ß | İ | [\ufb00-\ufb06] | [\uff01-\uff5e] | \w[\u0300-\u036f]+ )
    """,
    re.X,
)
_PLAIN = {"bar": " ", "dash": "-", "space": " ", "double": '"', "single": "'", "nothing": ""}


@dataclass(frozen=True, slots=True)
class Folded:
    """A text in its form for comparison, and the way back to its offsets.

    Each run says where it begins in the folded text, its half-open span in the original, and whether it is the same
    sign for sign; runs ascend.
    """

    text: str
    runs: tuple[tuple[int, int, int, bool], ...]
    starts: tuple[int, ...]

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Return the original span of a non-empty folded span."""
        return self._at(start)[0], self._at(end - 1)[1]

    def _at(self, position: int) -> tuple[int, int]:
        begin, start, end, same = self.runs[bisect_right(self.starts, position) - 1]
        return (start + position - begin, start + position - begin + 1) if same else (start, end)


def fold(text: str) -> Folded:
    """Return a text with everything evened out that a quote may write differently."""
    parts: list[str] = []
    runs: list[tuple[int, int, int, bool]] = []
    length = last = 0

    def add(part: str, start: int, end: int, same: bool) -> None:
        nonlocal length
        if part:
            parts.append(part)
            runs.append((length, start, end, same))
            length += len(part)

    for match in _SPECIAL.finditer(text):
        add(text[last : match.start()].lower(), last, match.start(), True)
        kind = match.lastgroup or ""
        plain = unicodedata.normalize("NFKC", match[0]).casefold() if kind == "other" else _PLAIN[kind]
        add(plain, *match.span(), False)
        last = match.end()
    add(text[last:].lower(), last, len(text), True)
    return Folded("".join(parts), tuple(runs), tuple(run[0] for run in runs))


def locate(words: str, text: str) -> tuple[int, int] | None:
    """Return the span of words in a text, exact but for what typing changes, or None."""
    return within(words, fold(text))


def last(words: str, text: str) -> tuple[int, int] | None:
    """Return the span of words where a text has them last, as `locate` does where it has them first."""
    needle, folded = _needle(words), fold(text)
    at = folded.text.rfind(needle) if needle else -1
    while at >= 0 and not _is_whole(folded.text, at, at + len(needle)):
        at = folded.text.rfind(needle, 0, at + len(needle) - 1)
    return folded.original(at, at + len(needle)) if at >= 0 else None


def within(words: str, text: Folded) -> tuple[int, int] | None:
    """Do the same in a folded text; the span is one of the original."""
    return _find(_needle(words), text)


def _needle(words: str) -> str:
    needle = fold(words.strip()).text.strip()
    return needle if re.search(r"\w", needle) else ""


def _find(needle: str, text: Folded, begin: int = 0) -> tuple[int, int] | None:
    """Return the original span of a folded needle as whole words, from an offset in the folded text on."""
    if not needle:
        return None
    at = text.text.find(needle, begin)
    while at >= 0:
        end = at + len(needle)
        if _is_whole(text.text, at, end):
            return text.original(at, end)
        at = text.text.find(needle, at + 1)
    return None


_WORDY = lazy_re(rf"[^\W{_CJK}]")


def _is_whole(text: str, start: int, end: int) -> bool:
    """Whether a span does not cut a word or number: “3 percent” is not in “13 percent”."""
    before, after = text[start - 1 : start], text[end : end + 1]
    first, last = text[start], text[end - 1]
    if (_WORDY.match(first) and _WORDY.match(before)) or (_WORDY.match(last) and _WORDY.match(after)):
        return False
    if first.isdigit() and (before.isdigit() or before in tuple(".,")):
        return False
    return not (last.isdigit() and (after.isdigit() or (after in tuple(".,") and text[end + 1 : end + 2].isdigit())))


_ELLIPSIS = re.compile(r"\s{0,9}(?:[\[(]\s{0,9}(?:\.{3}|…)\s*[\])]|\.{3,6}|(?:\. ){2}\.|…)\s*")


@dataclass(frozen=True, slots=True)
class Place:
    """A span of one of several texts, half-open."""

    text: int
    start: int
    end: int


def quoted(words: str, texts: Sequence[Folded]) -> tuple[Place, ...]:
    """Return the words of the texts that a quote means: several if it joins parts far apart, or none."""
    words = words.strip().rstrip(".,;")
    for number, text in enumerate(texts):
        if (place := _find(_needle(words), text)) is not None:
            return (Place(number, *place),)
    parts = [part for one in _ELLIPSIS.split(words) if (part := _needle(one.strip(" ,;")))]
    long_enough = all(len(re.findall(rf"[^\W{_CJK}]+|[{_CJK}]", part)) >= 2 for part in parts)
    if parts and long_enough and _ELLIPSIS.search(words):
        for number, text in enumerate(texts):
            places, begin = [], 0
            for part in parts:
                if (place := _find(part, text, begin)) is not None:
                    places.append(place)
                    begin = text.text.find(part, begin) + len(part)
            if len(places) == len(parts):
                # What was left out is shown if the parts are close together.
                close = all(after[0] - before[1] <= _MAX_GAP for before, after in pairwise(places))
                if close and places[-1][1] - places[0][0] <= _MAX_WHOLE:
                    return (Place(number, places[0][0], places[-1][1]),)
                return tuple(Place(number, *place) for place in places)
        return ()
    near_ones = [(near, n) for n, text in enumerate(texts) if (near := nearest(words, text)) is not None]
    if not near_ones:
        return ()
    (_, start, end), number = max(near_ones, key=lambda one: one[0][0])
    return (Place(number, start, end),)


_TOKEN = lazy_re(rf"\d(?:[\d.,:/]*\d)?|[^\W\d{_CJK}][^\W{_CJK}]*(?:'[^\W\d_]+)?|[{_CJK}]|%|[€$£¥₹]")
_WORDS = load_words("localrag.grounding", "words.toml")["locate"]
# A quote with one more of these, one less or another one is not this quote.
_DECISIVE = frozenset(_WORDS["decisive"].split()) | frozenset(_WORDS["decisive_signs"])
_ARTICLES = frozenset(_WORDS["articles"].split())
_ENDINGS = frozenset(["", *_WORDS["endings"].split()])
_MIN_MISTYPED = 7  # letters
_MISREAD = str.maketrans({"1": "l", "i": "l", "|": "l", "0": "o", "5": "s", "8": "b"})


@dataclass(frozen=True, slots=True)
class _Word:
    folded: str
    start: int
    end: int
    named: bool


def nearest(words: str, text: Folded) -> tuple[float, int, int] | None:
    """Return the ratio and span of words that are nearly those given, if no decisive word differs."""
    from rapidfuzz import fuzz

    given = fold(words)
    needle = given.text.strip()
    if sum(map(str.isalpha, needle)) < (_MIN_LETTERS // 2 if re.search(f"[{_CJK}]", needle) else _MIN_LETTERS):
        return None
    found = fuzz.partial_ratio_alignment(needle, text.text, score_cutoff=MIN_RATIO - 10)
    if found is None or found.src_end - found.src_start < len(needle):
        return None  # the text is shorter than the quote
    slack = len(needle) // 4 + 16
    quote = _words(given, 0, len(given.text), words)
    there = _words(text, max(0, found.dest_start - slack), min(len(text.text), found.dest_end + slack))
    if not quote or len(quote) > _MAX_WORDS or (span := _aligned(quote, there)) is None:
        return None
    ratio = fuzz.ratio(needle, text.text[span[0] : span[1]])
    return (ratio, *text.original(*span)) if ratio >= MIN_RATIO and _is_whole(text.text, *span) else None


def _words(folded: Folded, start: int, end: int, original: str = "") -> list[_Word]:
    """Return the words between two offsets of a folded text; `named` marks one written like a name in the original."""
    found: list[_Word] = []
    for match in _TOKEN.finditer(folded.text, start, end):
        named = bool(original and found) and original[folded.original(*match.span())[0]].isupper()
        found.append(_Word(match[0], *match.span(), named))
    return found


def _aligned(quote: Sequence[_Word], there: Sequence[_Word]) -> tuple[int, int] | None:
    """Return the folded span of the quote's words in a text, or None if a decisive word differs.

    The longest common subsequence of words, similar ones being the same, in the fewest words of the text that have it.
    """
    from rapidfuzz.distance import Indel, LCSseq

    words = [word.folded for word in there]
    same = [
        next((one for one in words if one == word.folded), None)
        or next((one for one in words if _alike(word.folded, one)), word.folded)
        for word in quote
    ]
    first, last, most = 0, len(words), LCSseq.similarity(same, words)
    while most and LCSseq.similarity(same, words[first + 1 : last]) == most:
        first += 1
    while most and LCSseq.similarity(same, words[first : last - 1]) == most:
        last -= 1
    added: list[_Word] = []
    left_out: list[_Word] = []
    begins = True
    for step in Indel.opcodes(same, words[first:last]):
        if step.tag == "equal":
            if not _harmless(added, left_out, at_the_edge=begins):
                return None
            added, left_out, begins = [], [], False
        else:
            added += quote[step.src_start : step.src_end]
            left_out += there[first + step.dest_start : first + step.dest_end]
    return (there[first].start, there[last - 1].end) if most and _harmless(added, [], at_the_edge=True) else None


def _harmless(added: Sequence[_Word], left_out: Sequence[_Word], *, at_the_edge: bool) -> bool:
    """Whether words that only the quote has, and words that only the text has there, change nothing.

    An added word may be a slip if the text has nothing in its place; at the edges of the quote it has.
    """
    if any(_is_decisive(word) for word in (*added, *left_out)):
        return False
    strange = [word for word in added if word.folded not in _ARTICLES]
    return not strange or (not at_the_edge and not left_out)


def _is_decisive(word: _Word) -> bool:
    known = word.folded in _DECISIVE or word.folded in NUMBER_WORDS or word.folded in "%€$£¥₹"
    return word.named or known or any(map(str.isdigit, word.folded))


def _alike(one: str, two: str) -> bool:
    """Whether two words differ only in inflection, a typing mistake inside, or a sign misread by OCR."""
    if one in _DECISIVE or two in _DECISIVE or one in NUMBER_WORDS or two in NUMBER_WORDS:
        return False
    if min(len(one), len(two)) < 3 or (one[0].isdigit() and two[0].isdigit()):
        return False
    read = [word.replace("rn", "m").replace("vv", "w").translate(_MISREAD) for word in (one, two)]
    if len(one) >= 4 and one.isalpha() and read[0] == read[1]:
        return True
    if not (one.isalpha() and two.isalpha()):
        return False
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False)))
    if any(one[at:] in _ENDINGS and two[at:] in _ENDINGS for at in range(4, same + 1)):
        return True  # inflected
    # A letter is missing, added or swapped inside a long word, but for its first and last two. A replaced letter makes
    # too many other words: "content" and "consent".
    if min(len(one), len(two)) < _MIN_MISTYPED or one[:2] != two[:2] or one[-2:] != two[-2:]:
        return False
    rest, other = one[same:], two[same:]
    return rest[1:] == other or rest == other[1:] or (rest[:2] == other[1::-1] and rest[2:] == other[2:])


# --- comments -----------------------------------------------------------------------------------------------

# As readers keep them: below their paragraph in Word, below their page in a PDF, there with the words that they mark.
COMMENT = lazy_re(
    r"^\[(?P<head>(?P<kind>Comment|Reply|Highlight|Underlined|Struck out|Insertion|Stamp)(?: by (?P<by>[^\n]{1,99}?))?"
    r"(?:, (?P<date>\d{4}(?:-\d\d){0,2}))?(?:, on “(?P<on>[^”\n]*)”)?): (?P<said>[^\n]*)\](?=[ \t]*$)",
    re.M,
)
_ABOVE = 4000  # characters above a comment in which the words are that it marks


def comments(text: str, paged: bool) -> Iterator[tuple[re.Match[str], tuple[int, int] | None]]:
    """Yield comments with the words that each marks, else the paragraph above it; None where a page has neither.

    Of several places, the first counts on a page, whose comments are at its end, and elsewhere the nearest above.
    """
    found = list(COMMENT.finditer(text))
    bare = COMMENT.sub(lambda one: "\n" * len(one[0]), text)  # a comment is about none of the comments
    page = fold(bare) if paged and found else None
    for one in found:
        words, end, begin = one["on"], one.start(), max(0, one.start() - _ABOVE)
        if words and page:
            yield one, within(words, page)
        elif words:
            span = last(words, bare[begin:end])
            yield one, (begin + span[0], begin + span[1]) if span else None
        else:
            end = 0 if paged else len(bare[:end].rstrip())
            yield one, (bare.rfind("\n", 0, end) + 1, end) if end else None
