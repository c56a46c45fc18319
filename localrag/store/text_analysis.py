"""Split text into the words and terms of the full text.

A *word* is the text folded: lower case, compatibility forms, no diacritics. A *term* is what is searched: the word's
stem in the language of its document (Snowball), a number without thousands separators, or a pair of Chinese, Japanese
or Korean characters. Words keep the order of the text, so that phrases can be found; after them come other spellings of
compounds: "non-compete" is also found as "noncompete", "ChangeOfControl" by its parts, "FY2018" as "2018", "10-K" as
"10K", and "12.3(b)" as itself.

Limits: a language is detected by its most common words, among those of words.toml, or by its script. By default English
stems are used, which do little harm to other languages; a document in several languages gets the stems of its main one.
Thousands separated by spaces are several numbers, and a single Chinese, Japanese or Korean character is found only on
its own.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from localrag.quantities import lazy_re, load_words


class Token(NamedTuple):
    word: str
    term: str


WORDS = load_words("localrag.store", "words.toml")
COMMON: dict[str, frozenset[str]] = {name: frozenset(words.split()) for name, words in WORDS["common"].items()}
LANGUAGES = tuple(COMMON)
FALLBACK = "english"
_SAMPLE = 20_000  # characters that are enough to detect a language
_MIN_SHARE = 0.12
# Japanese before Chinese, whose signs it has too.
_SCRIPTS = {
    "japanese": ("\u3040-\u30ff", 0.1),
    "chinese": ("\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff", 0.3),
    "korean": ("\uac00-\ud7af\u1100-\u11ff", 0.3),
    "arabic": ("\u0620-\u06ff", 0.5),
    "hebrew": ("\u05d0-\u05ea", 0.5),
    "hindi": ("\u0904-\u0939", 0.5),
    "greek": ("\u0370-\u03ff\u1f00-\u1fff", 0.5),
    "thai": ("\u0e01-\u0e30", 0.5),
}

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af"
# Combining marks, such as the vowel signs of Hebrew, Arabic, Thai and the scripts of India, occur inside words.
_MARKS = "".join(chr(code) for code in range(0x300, 0xE50) if unicodedata.category(chr(code)).startswith("M"))
_REST = f"[^\\W_{_CJK}]*+(?:[{_MARKS}]++[^\\W_{_CJK}]*+)*+"
# Possessive quantifiers, here and below, keep every text out of quadratic time.
_TOKEN = lazy_re(
    rf"""(?P<cjk>[{_CJK}]+)
      | (?P<number>\d{{1,3}}(?:[,'’]\d{{3}}){{1,8}}(?!\d|[,'’]\d)(?:\.\d+)? | \d+(?:[.]\d+)*)
      | (?P<word>[^\W\d_{_CJK}]{_REST}(?:['’][^\W\d_]{_REST})*)""",
    re.VERBOSE,
)
_SEPARATORS = re.compile("[,'’]")
_POSSESSIVE = re.compile("'s?$")
_ELIDING = ("french", "italian")
# French and Italian join short words to the next: "l'avocat", "dell'anno".
_ELIDED = re.compile(
    "(?:[cdjlmnstv]|qu|jusqu|lorsqu|puisqu|quoiqu|un|gl|(?:da|a|de|ne|su)gl|(?:da|a|de|ne|su|co|que)ll|quest)'(?=.)"
)
_HYPHENATED = re.compile(r"\b[^\W_]+(?:[-\u2010\u2011][^\W_]+)+\b")
_CAMEL = re.compile(r"\b(?=[^\W\d_]*?[a-z][A-Z])[^\W_]++\b")
_CAMEL_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_MIXED = re.compile(r"\b(?:[^\W\d_]++\d|\d++[^\W\d_])[^\W_]*+\b")
_MAX_WORD = 600  # characters, of up to 4 bytes; longer "words" are encoded data
_MIXED_PART = re.compile(r"\d+|[^\W\d_]+")
_CLAUSE = re.compile(r"\b(?<!\d\.)\d++(?:\.\d++)*+(?:\s?\([a-z0-9]{1,4}\))+", re.I)


def folded(text: str) -> str:
    """Lower case, compatibility forms, without diacritics; "ß" becomes "ss"."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    if decomposed.isascii():
        return decomposed
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if not unicodedata.combining(c)))


def language(text: str) -> str:
    """The main language of a text by the share of common words, else by its script; FALLBACK if neither is known."""
    words = re.findall(r"[^\W\d_]+", text[:_SAMPLE].lower())
    if not words:
        return FALLBACK
    shares = {name: sum(word in common for word in words) / len(words) for name, common in COMMON.items()}
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] >= _MIN_SHARE else by_script(text) or FALLBACK


def foreign(text: str) -> str:
    """The language of a question that is plainly not in English, as two words of it say that no other has; else empty.

    A few words tell little: "amzn op margin q3" has two of Italian, and one of Spanish may be French.
    """
    words = {word for word in re.findall(r"[^\W\d_]+", text[:_SAMPLE].lower()) if len(word) > 1}
    counts = {name: len(words & common - COMMON[FALLBACK]) for name, common in COMMON.items()}
    best, second = sorted(counts, key=lambda name: -counts[name])[:2]
    known = counts[best] > max(1, counts[second], len(words & COMMON[FALLBACK]))
    return best if known else by_script(text)


def by_script(text: str) -> str:
    """The main language that is written in the script of a text; empty where that is Latin or Cyrillic."""
    sample = text[:_SAMPLE]
    letters = sum(map(str.isalpha, sample))
    for name, (signs, least) in _SCRIPTS.items():
        if letters and len(re.findall(f"[{signs}]", sample)) >= least * letters:
            return name
    return ""


def tokens(text: str, language: str) -> list[Token]:
    """The words of a text with their terms, in order, followed by its compounds; no stems without a language."""
    text = unicodedata.normalize("NFKC", text)
    return [_limited(token) for token in (*_plain(text, language), *_compounds(text, language))]


def written(text: str) -> list[str]:
    """The words of a text in order, without compounds."""
    return [_limited(token).word for token in _plain(unicodedata.normalize("NFKC", text), "")]


def _limited(token: Token) -> Token:
    """A token whose word and term fit into an index: PostgreSQL's take 2,700 bytes."""
    if len(token.word) <= _MAX_WORD and len(token.term) <= _MAX_WORD:
        return token
    return Token(token.word[:_MAX_WORD], token.term[:_MAX_WORD])


def _plain(text: str, language: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        found = match[0]
        if match.lastgroup == "cjk":
            # Pairs find words of any length in a script without spaces; a single character is its own term.
            for pair in [found[i : i + 2] for i in range(len(found) - 1)] or [found]:
                yield Token(pair, pair)
        elif match.lastgroup == "number":
            number = _SEPARATORS.sub("", found)
            yield Token(number, number)
        else:
            yield _token(found, language)


@lru_cache(maxsize=200_000)
def _token(found: str, language: str) -> Token:
    found = _POSSESSIVE.sub("", found.replace("’", "'").lower())
    elided = _ELIDED.match(found) if language in _ELIDING else None
    return Token(folded(found), stem(found[elided.end() :] if elided else found, language))


def _compounds(text: str, language: str) -> Iterator[Token]:
    for match in _HYPHENATED.finditer(text):
        yield _token(re.sub(r"[-\u2010\u2011]", "", match[0]), language)
    for match in _CAMEL.finditer(text):
        for part in _CAMEL_PART.findall(match[0]):
            yield _token(part, language)
    for match in _MIXED.finditer(text):
        if match[0][0].isdigit():  # "10K" was read as "10" and "K"
            yield Token(folded(match[0]), folded(match[0]))
        else:
            for part in _MIXED_PART.findall(match[0]):
                yield _token(part, language)
    for match in _CLAUSE.finditer(text):
        clause = folded(re.sub(r"\s", "", match[0]))
        yield Token(clause, clause)


def stem(word: str, language: str) -> str:
    """The folded stem of a lower-case word (Snowball: Porter 2001); the word itself where none is for its language."""
    if not language:
        return folded(word)
    if not hasattr(_stemmers, language):
        import Stemmer

        known = language in Stemmer.algorithms()
        setattr(_stemmers, language, Stemmer.Stemmer(language).stemWord if known else str)
    return folded(getattr(_stemmers, language)(word))


_stemmers = threading.local()  # a stemmer is not thread-safe


# --- split text into sentences, as half-open spans ---------------------------------------------------------------
# A span is a sentence, a list item, a table row or a separate line. Spans ascend, do not overlap, do not begin or end
# with white space, and cover every other character. Made for English and those with similar punctuation, and for the
# stops of Chinese, Japanese, Hindi, Arabic and Urdu; an unknown abbreviation may end a sentence early. Line ends inside
# running text do not end a sentence, those between rows and items do.

_ABBREVIATIONS, _WORDS = WORDS["abbreviations"], WORDS["sentences"]
_LEADING, _SHORT = frozenset(_ABBREVIATIONS["leading"].split()), frozenset(_ABBREVIATIONS["short"].split())
_OPENERS, _MONTHS = frozenset(_WORDS["openers"].split()), frozenset(_WORDS["months"].split())
_STOP = re.compile(
    r"""
    [。！？｡।॥]+[」』）”"']*                                # no space needed after it
    | (?<![.!?…؟۔]) [.!?…؟۔]+ ["'”’)\]»]* (?=\s)
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
_ENDS = (".", "!", "?", ":", ";", "。", "！", "？", "।", "؟", "۔", ".”", '."', ".)", "；", "：")


def sentences(text: str) -> list[tuple[int, int]]:
    """The spans of `text`, in order."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _STOP.finditer(text):
        if match[0] == "\n":
            ends = _breaks(text, match.start())
        else:
            ends = text[match.start()] in "。！？｡।॥" or _ends_sentence(text, start, match)
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
    if match[0].startswith(("!", "?", "؟", "۔")):
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
    if len(last) == 1 and last.isalpha() and last != "I":
        return word in _OPENERS  # an initial, or "z. B.", "т. е."
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
