"""Numbers written in words, and where they stand in a text (pure): "twelve" is 12, "two hundred and fifty" is 250.

English to the billions; German to 99, with hundert, tausend, Million and Milliarde; the small numbers and tens of
French, Spanish, Italian, Portuguese and Dutch. Ordinals are English and German. What may be an article ("a", "ein",
"un", "une") is no number here; "one" is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth twentieth"
).split()
_GERMAN_ONES = (
    "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn "
    "achtzehn neunzehn"
).split()
_GERMAN_TENS = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()
_GERMAN_ORDINALS = "erste zweite dritte vierte fünfte sechste siebte achte neunte zehnte elfte zwölfte".split()
# From 2 on, then the tens from 20 on; words that mean something else in another language ("tres", "dix") are rare.
_OTHERS = (
    "deux trois quatre cinq - sept huit neuf dix onze douze treize quatorze quinze seize - - - : vingt trente quarante "
    "cinquante soixante",
    "dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete dieciocho "
    "diecinueve : veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa",
    "due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici diciassette "
    "diciotto diciannove : venti trenta quaranta cinquanta sessanta settanta ottanta novanta",
    "dois três quatro - - sete oito nove dez - doze treze - - dezesseis dezessete dezoito dezenove : vinte trinta "
    "quarenta cinquenta - - oitenta -",
    "twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien zeventien achttien "
    "negentien : twintig dertig veertig vijftig zestig zeventig tachtig negentig",
)
_HUNDREDS = {"hundred": 100, "hundert": 100, "cent": 100, "cien": 100, "ciento": 100, "cento": 100, "honderd": 100}
_SCALES = {
    "thousand": 10**3, "tausend": 10**3, "mille": 10**3, "mil": 10**3, "million": 10**6, "millions": 10**6,
    "millionen": 10**6, "billion": 10**9, "billions": 10**9, "milliarde": 10**9, "milliarden": 10**9,
}  # fmt: skip


def _cardinals() -> dict[str, int]:
    words = {word: n for n, word in enumerate(ONES)} | {word: 10 * n for n, word in enumerate(TENS, 2)}
    words |= {word: n for n, word in enumerate(_ORDINALS, 1)}
    words |= {word: n for n, word in enumerate(_GERMAN_ONES)} | {word: 10 * n for n, word in enumerate(_GERMAN_TENS, 2)}
    for tens, word in enumerate(_GERMAN_TENS, 2):
        words |= {f"{'ein' if n == 1 else _GERMAN_ONES[n]}und{word}": 10 * tens + n for n in range(1, 10)}
    for n, word in enumerate(_GERMAN_ORDINALS, 1):
        words |= {f"{word}{ending}": n for ending in ("", "n", "r", "s")}
    for listed in _OTHERS:
        small, large = (part.split() for part in listed.split(":"))
        words |= {word: n for n, word in enumerate(small, 2) if word != "-" and word not in words}
        words |= {word: 10 * n for n, word in enumerate(large, 2) if word != "-" and word not in words}
    # Oftener no numbers than numbers: "second" is a moment, "once", "due" and "sei" are words of other languages.
    return {word: n for word, n in words.items() if word not in ("second", "once", "due", "sei", "venti", "tre", "elf")}


CARDINALS: Mapping[str, int] = _cardinals() | {"elf": 11}
WORDS = frozenset(CARDINALS) | frozenset(_HUNDREDS) | frozenset(_SCALES)
_ONE = re.compile(r"[^\W\d_]+")


class Numeral(NamedTuple):
    """A number in words where it stands; half-open offsets."""

    start: int
    end: int
    value: int


def find(text: str) -> Iterator[Numeral]:
    """The numbers that are written in words, in the order of the text; a scale alone ("millions of") is none."""
    run: list[tuple[int, int, str]] = []
    for match in _ONE.finditer(text):
        word = match[0].lower()
        apart = bool(run) and text[run[-1][1] : match.start()] not in (" ", "-")
        if run and (apart or (word not in WORDS and word != "and")):
            yield from _numbers(run)
            run = []
        if word in WORDS or (word == "and" and run):
            run.append((match.start(), match.end(), word))
    yield from _numbers(run)


def _numbers(words: list[tuple[int, int, str]]) -> Iterator[Numeral]:
    """The numbers that a run of words comes to; "and" is the last of one at most by chance."""
    at = 0
    while at < len(words):
        taken, value = _read(words, at)
        if value is not None:
            yield Numeral(words[at][0], words[taken - 1][1], value)
        at = max(taken, at + 1)


def _read(words: list[tuple[int, int, str]], at: int) -> tuple[int, int | None]:
    """How far one number reaches from a word on, and what it is."""
    total, current, last, begun = 0, 0, 10**12, False
    while at < len(words):
        word = words[at][2]
        if word == "and":
            if not begun or last not in (100, 1000):
                break
        elif word in _HUNDREDS:
            if begun and (not 0 < current < 100):
                break
            current, last, begun = max(1, current) * 100, 100, True
        elif word in _SCALES:
            if not begun:
                return at + 1, None
            total, current, last = total + max(1, current) * _SCALES[word], 0, 1000
        else:
            value = CARDINALS[word]
            # "twenty five" is one number, "three five" and "ten thirty" are two.
            room = last >= 100 if value >= 10 else last >= 20
            if begun and not room:
                break
            current, last, begun = current + value, value if value >= 20 else 1, True
        at += 1
    if at and words[at - 1][2] == "and":
        at -= 1
    return at, (total + current) if begun else None
