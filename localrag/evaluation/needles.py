"""Invented facts hidden in real text, and questions about them (pure).

Every fact has a near miss: the same statement about a name with another ending, with another value. Both are asked
about, once in the words of the text and once in others, and some pairs together. An answer is right if it has the value
and not that of the near miss; no model judges.

A shorter text is the beginning of the longest, so the prompt cache reads each part once. The method is the needle in a
haystack (Kamradt 2023) with RULER's several needles and hard distractors (Hsieh et al. 2024), and questions that share
only the name with the needle, after NoLiMa (Modarressi et al. 2025). Limit: the facts are English.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from localrag.errors import NotFoundError
from localrag.quantities import load_words
from localrag.store.library import Library
from localrag.store.sentences import sentences

Way = Literal["words", "other words", "two facts"]
WAYS: tuple[Way, ...] = ("words", "other words", "two facts")
_MAX_SENTENCE = 600  # characters; longer ones are tables or lists
_MIN_REPEATED = 20  # characters; shorter sentences may occur twice ("Yes.", "5.")


_DATA = load_words("localrag.evaluation", "calibration.toml")
_FORMS: list[dict[str, str]] = _DATA["form"]
_STEMS, _ENDINGS, _FIRST, _LAST = (_DATA["names"][name].split() for name in ("stems", "endings", "first", "last"))


@dataclass(frozen=True, slots=True)
class Needle:
    """A fact in the text: its half-open offsets, and the number of tokens before it."""

    number: int
    name: str
    value: str
    start: int
    end: int
    tokens: int


@dataclass(frozen=True, slots=True)
class NeedleQuestion:
    """A question about a text of `length` tokens; `near` is the value of the near miss, or "" if it asks for both.

    `depth` is the part of the text with the fact, from 0; None if it asks for two.
    """

    id: str
    way: Way
    length: int
    depth: int | None
    question: str
    values: tuple[str, ...]
    near: str


@dataclass(frozen=True, slots=True)
class Haystack:
    """One text with its needles; 2n and 2n + 1 are each other's near miss.

    `cuts` has the characters and tokens at which the text of each length ends.
    """

    text: str
    needles: tuple[Needle, ...]
    forms: tuple[int, ...]
    cuts: dict[int, tuple[int, int]]
    bins: int
    each: int

    def beginning(self, length: int) -> str:
        return self.text[: self.cuts[length][0]]

    def questions(self, length: int, together: int) -> list[NeedleQuestion]:
        """Ask about `each` facts of every part in both ways, and about `together` pairs, the most distant first."""
        end, tokens = self.cuts[length]
        inside = [needle for needle in self.needles if needle.end <= end]
        asked = []
        for depth in range(self.bins):
            here = [needle for needle in inside if min(needle.tokens * self.bins // tokens, self.bins - 1) == depth]
            # Spread them evenly: a longer text has more in its first part than are asked for.
            step = max(1.0, len(here) / self.each)
            chosen = [here[int(i * step)] for i in range(min(self.each, len(here)))]
            asked += [self._one(needle, way, length, depth) for needle in chosen for way in WAYS[:2]]
        there = {needle.number for needle in inside}
        pairs = [(a, b) for a, b in zip(self.needles[::2], self.needles[1::2], strict=True)
                 if {a.number, b.number} <= there]  # fmt: skip
        pairs.sort(key=lambda pair: -abs(pair[0].tokens - pair[1].tokens))
        asked += [self._two(a, b, length) for a, b in pairs[:together]]
        random.Random(length).shuffle(asked)  # so that those before an interruption are a fair sample
        return asked

    def _one(self, needle: Needle, way: Way, length: int, depth: int) -> NeedleQuestion:
        form = _FORMS[self.forms[needle.number // 2]]
        question = form["words" if way == "words" else "others"].format(needle.name)
        near = self.needles[needle.number ^ 1].value
        return NeedleQuestion(f"{length}/{needle.number}/{way}", way, length, depth, question, (needle.value,), near)

    def _two(self, a: Needle, b: Needle, length: int) -> NeedleQuestion:
        question = _FORMS[self.forms[a.number // 2]]["two"].format(a.name, b.name)
        name = f"{length}/{a.number}/two facts"
        return NeedleQuestion(name, "two facts", length, None, question, (a.value, b.value), "")


def haystack(
    filler: Sequence[str], lengths: Sequence[int], count: Callable[[str], int], *, bins: int = 5, each: int = 2,
    seed: int = 0,
) -> Haystack:  # fmt: skip
    """Hide needles so that at every length (ascending) each of `bins` parts holds at least `each` of them."""
    rng = random.Random(seed)
    places = _places(lengths, bins, each)
    numbers = _paired(places, lengths)
    forms = tuple(rng.sample(range(len(_FORMS)), len(_FORMS))[i % len(_FORMS)] for i in range(len(places) // 2))
    facts = _facts(forms, "".join(filler).casefold(), rng)
    text: list[str] = []
    needles: list[Needle] = []
    cuts: dict[int, tuple[int, int]] = {}
    characters = tokens = 0
    waiting, ends = list(zip(places, numbers, strict=True)), list(lengths)
    for sentence in filler:
        size = count(sentence)
        while waiting and waiting[0][0] < tokens + size:
            _, number = waiting.pop(0)
            name, value, statement = facts[number]
            needles.append(Needle(number, name, value, characters, characters + len(statement), tokens))
            last = text[-1] if text else ""
            statement += last[len(last.rstrip()) :] or " "  # keep the layout
            text.append(statement)
            characters, tokens = characters + len(statement), tokens + count(statement)
        while ends and tokens + size > ends[0]:
            cuts[ends.pop(0)] = (characters, tokens)
        if not ends:
            break
        text.append(sentence)
        characters, tokens = characters + len(sentence), tokens + size
    if ends:
        raise ValueError(f"the filler has {tokens} tokens, of {lengths[-1]}")
    needles.sort(key=lambda needle: needle.number)
    return Haystack("".join(text), tuple(needles), forms, cuts, bins, each)


def _places(lengths: Sequence[int], bins: int, each: int) -> list[int]:
    """Return the positions of needles in tokens; those of a shorter text count in the longer ones."""
    places: list[int] = []
    before = 0
    for length in lengths:
        new: list[int] = []
        for part in range(bins):
            low, high = length * part / bins, length * (part + 1) / bins
            lacking = each - sum(low <= place < high for place in places)
            low = max(low, before)
            new += [int(low + (high - low) * (i + 0.5) / lacking) for i in range(lacking)]
        if len(new) % 2:  # every needle needs its near miss
            new.append(int(length - (length - before) * 0.3))
        places += new
        before = length
    return sorted(places)


def _paired(places: Sequence[int], lengths: Sequence[int]) -> list[int]:
    """Number the positions so that near misses (2n, 2n + 1) are apart, in the shortest text that holds either."""
    numbers: list[int] = []
    before = 0
    for length in lengths:
        half = sum(before <= place < length for place in places) // 2
        first = len(numbers)
        numbers += [first + 2 * i for i in range(half)] + [first + 2 * i + 1 for i in range(half)]
        before = length
    return numbers


def _facts(forms: Sequence[int], filler: str, rng: random.Random) -> list[tuple[str, str, str]]:
    """Return name, value and sentence of each needle; no name occurs in the filler."""
    stems = [stem for stem in _STEMS if stem.casefold() not in filler] or list(_STEMS)
    rng.shuffle(stems)
    people = [f"{first} {last}" for first, last in zip(_FIRST, rng.sample(_LAST, len(_LAST)), strict=True)]
    rng.shuffle(people)
    facts = []
    taken: set[str] = set()
    for i, form in enumerate(forms):
        stem, again = stems[i % len(stems)], i // len(stems)
        endings = random.Random(stem).sample(_ENDINGS, len(_ENDINGS))  # a stem used again takes the next two
        start = 2 * again % len(endings)
        for ending in endings[start : start + 2]:
            name = stem + ending
            value = people.pop() if _FORMS[form]["value"] == "person" and people else ""
            while not value or value in taken:
                value = _value(_FORMS[form]["value"], rng)
            taken.add(value)
            facts.append((name, value, _FORMS[form]["statement"].format(name, value)))
    return facts


def _value(kind: str, rng: random.Random) -> str:
    if kind == "code":
        return "".join(rng.sample("BCDFGHKLMNPRTVX", 2)) + f"-{rng.randrange(1000, 9999)}"
    if kind == "amount":
        return f"{rng.randrange(11_003, 98_997):,}"
    if kind == "person":
        return f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"
    return str(rng.randrange(113, 989))


@dataclass(frozen=True, slots=True)
class Filler:
    """Sentences in order, each with the white space after it; `digest` identifies the text."""

    sentences: tuple[str, ...]
    tokens: int
    source: str
    digest: str


def gather(texts: Iterable[str], tokens: int, count: Callable[[str], int], source: str) -> Filler:
    """Return sentences of this many tokens, or as many as there are, none of them twice.

    A text that repeats itself is easier than a real one.
    """
    taken: list[str] = []
    seen: set[str] = set()
    have = 0
    for text in texts:
        for sentence in _pieces(text):
            words = " ".join(sentence.split()).casefold()
            if have >= tokens or (len(words) >= _MIN_REPEATED and words in seen):
                continue
            seen.add(words)
            taken.append(sentence)
            have += count(sentence)
        if have >= tokens:
            break
    if not taken:
        raise NotFoundError(f"there is no text in {source}", "Name a library with more text: --library NAME")
    digest = hashlib.sha256("".join(taken).encode("utf-8", "replace")).hexdigest()[:16]
    return Filler(tuple(taken), have, source, digest)


def _pieces(text: str) -> Iterator[str]:
    starts = [start for start, _ in sentences(text)]
    for start, after in pairwise([*starts, len(text)]):
        piece = text[start:after]
        if len(piece) <= _MAX_SENTENCE:
            yield piece if piece[-1:].isspace() else piece + "\n\n"


def of_library(library: Library) -> Iterator[str]:
    """Return the text of each document of a library, in order of their paths."""
    return ("\n\n".join(page.text for page in library.pages(document.id)) for document in library.documents())


def judge(answer: str, asked: NeedleQuestion) -> Literal["right", "near miss", "wrong"]:
    """Return whether an answer has every value, however written, and not that of the near miss."""
    given = _normal(answer)

    def holds(value: str) -> bool:
        return re.search(rf"\b{re.escape(_normal(value))}\b", given) is not None

    if asked.near and holds(asked.near):
        return "near miss"
    return "right" if all(map(holds, asked.values)) else "wrong"


def _normal(text: str) -> str:
    """Drop case, and separators in numbers and codes: "41,730", "KD-4817"."""
    text = re.sub(r"(?<=\d)[,.'’\u00a0\u202f ](?=\d{3}\b)", "", text.casefold())
    text = re.sub(r"\b([a-z]{2})[-‐-―\s]?(\d{4})\b", r"\1\2", text)
    return " ".join(text.split())
