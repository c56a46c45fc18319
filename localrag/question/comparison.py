"""Read what a question compares: its sides, documents or years, and what each of them is asked.

The question is taken apart by its words and by the names of the library's documents, in English only; in doubt it stays
whole (docs/decisions/0051-right-or-silent.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from localrag.quantities import lazy_re, load_patterns
from localrag.question import naming
from localrag.question.followups import ASKING, CONTINUES
from localrag.question.kinds import SINGULAR, bare
from localrag.question.naming import Pairs
from localrag.store.library import Library
from localrag.store.text_analysis import COMMON, folded, language
from localrag.types import Document

_MAX_QUESTION, _MAX_NAMES, _MAX_SIDES = 300, 8, 4
_NOUNS = "|".join(sorted(map(re.escape, SINGULAR), key=len, reverse=True))
_PATTERNS = load_patterns("localrag.question", "comparison.txt", noun=rf"(?:{_NOUNS})\b")
_COMPARES, _COMPUTED, _SIDE = (lazy_re(_PATTERNS[name][0], re.I) for name in ("compares", "computed", "side"))
_CALLED = lazy_re(rf"<<(\d)>> (?:{_NOUNS})\b", re.I)
_FRAMES = tuple(lazy_re(line, re.I) for name in ("replaced", "framed") for line in _PATTERNS[name])
_COMMON = COMMON["english"].union(ASKING)
_WORD = re.compile(r"\w+(?:[&./-]\w+)*")
_PLACE = re.compile(r"<<(\d)>>")
YEAR = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")
_DETERMINER = re.compile(r"^(?:(?:the|our|my|your|its|their|an?)\s+)+", re.I)
_POSSESSIVE = re.compile(r"['’]s?(?!\w)")
_PREPOSITION = re.compile(r"(?:^| )(?:of|in|for|on|under|at|during|since|as|by|with|from|to)\b", re.I)
_SINGULAR = {"do": "does", "are": "is", "were": "was", "have": "has"}


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: its name, what it is asked, and its documents; without any (a year) all are asked."""

    name: str
    question: str
    documents: tuple[tuple[Library, Document], ...] = ()


def sides(question: str, documents: Pairs) -> tuple[Side, ...]:
    """Return the sides that a question compares, each with its own question; empty where it may name no two.

    "Compare the rents of the Calder lease and the Orlo lease" asks "What are the rents of the Calder lease?".
    """
    text = bare(CONTINUES.sub("", " ".join(question.split()).rstrip(" .?!")))
    if len(text) > _MAX_QUESTION or "<<" in text or not _COMPARES.search(text) or language(text) == "german":
        return ()
    found, names = None, list[str]()
    for single in (False, True):  # "notice" may be a document, but first it is a word
        marked, names = _marked(text, documents, single)
        if found := next((found for frame in _FRAMES if (found := frame.search(marked))), None):
            break
    if found is None:
        return ()
    inner = _PLACE.findall(found.groupdict().get("what") or "")
    phrases = [_POSSESSIVE.sub("", side[0]) for side in _SIDE.finditer(found["sides"])]
    made: dict[str, Side] = {}
    for phrase in phrases:
        place = _PLACE.findall(phrase)[0]
        if place not in inner:
            name = _filled(_DETERMINER.sub("", phrase), names)
            asked = _asked(found, phrase, "in" if YEAR.fullmatch(name) else "of")
            made[place] = Side(name, _filled(asked, names))
    if not 2 <= len(made) <= _MAX_SIDES or not all(side.question for side in made.values()):
        return ()
    if all(YEAR.fullmatch(side.name) for side in made.values()):
        return () if any(_COMPUTED.search(side.question) for side in made.values()) else tuple(made.values())
    others = [name for place, name in enumerate(names) if str(place) not in made]
    marked, names = _marked(text, documents, True)
    others += [names[int(place)] for place in _CALLED.findall(marked)]  # "supply" in "the supply agreement"
    return _placed(list(made.values()), others, documents)


def _marked(text: str, documents: Pairs, single: bool) -> tuple[str, list[str]]:
    """Return the question with <<0>>, <<1>> in place of years and names of documents, and these.

    A `single` word without a capital counts only where that is asked for.
    """
    runs: list[tuple[int, int]] = []
    for word in _WORD.finditer(text):
        if _is_name(word, documents):
            start = word.start()
            if runs and re.fullmatch(r" (?:of |& )?", text[runs[-1][1] : start]):
                start = runs.pop()[0]
            runs.append((start, word.end()))
    runs = [
        (start, end)
        for start, end in runs
        if (single or not text[start:end].islower() or " " in text[start:end])
        and (YEAR.fullmatch(text[start:end]) or naming.by_mention(text[start:end], documents))
    ][:_MAX_NAMES]
    names = [text[start:end] for start, end in runs]
    for place, (start, end) in reversed(list(enumerate(runs))):
        text = f"{text[:start]}<<{place}>>{text[end:]}"
    return text, names


def _is_name(word: re.Match[str], documents: Pairs) -> bool:
    """Return whether a word is written like a name, or is in the paths of a few documents."""
    if folded(word[0]) in _COMMON and not (word[0].isupper() and len(word[0]) > 1):
        return False
    if word[0] != word[0].lower() or word[0][0].isdigit():
        return True
    found = naming.by_mention(word[0], documents)
    paths = [re.findall(r"[^\W_]+", folded(document.path)) for _, document in found[: _MAX_SIDES + 1]]
    return 0 < len(found) <= _MAX_SIDES and all(folded(word[0]) in words for words in paths)


def _asked(found: re.Match[str], side: str, of: str) -> str:
    """Return the question to one side, as marked; empty where it would ask for nothing."""
    given = found.groupdict()
    if topic := given.get("topic"):
        asked = f"what does {side} say about {topic}"
    elif "what" in given:
        bare = _DETERMINER.sub("", " ".join((given["what"] or "").split()))
        what = f"the {bare}" if bare[:1].islower() else bare
        past = (given.get("aux") or "").lower() in ("did", "was", "were", "had")
        several = re.search(r"[^siu]s$", _PREPOSITION.split(what)[0])
        be = ("were" if past else "are") if several else ("was" if past else "is")
        asked = f"what {be} {what} {of} {side}" if what else ""
    elif "rest" in given:
        first, _, more = given["question"].partition(" ")
        asked = f"{_SINGULAR.get(first.lower(), first)} {more}{side}{given['rest']}"
    else:
        asked = f"{given['question']} {of} {side}"
    asked = asked.strip(" ,:;–—-")
    content = [word for word in _WORD.findall(_PLACE.sub(" ", asked)) if folded(word) not in _COMMON]
    return f"{asked[:1].upper()}{asked[1:]}?" if content else ""


def _filled(text: str, names: Sequence[str]) -> str:
    return _PLACE.sub(lambda place: names[int(place[1])], text)


def _placed(made: Sequence[Side], others: Sequence[str], documents: Pairs) -> tuple[Side, ...]:
    """Return the sides with their documents; empty unless each has some that no other has, and none else is named."""
    wider = [set(keys_of(naming.by_mention(name, documents))) for name in others]
    found: list[Side] = []
    for side in made:
        own = naming.by_mention(side.name, documents)
        for keys in wider:  # "Apple" in "Apple's sales in Q3 2022 and Q3 2023"
            own = tuple(pair for pair, key in zip(own, keys_of(own), strict=True) if key in keys) or own
        found.append(replace(side, documents=own))
    every = [key for side in found for key in keys_of(side.documents)]
    if any(
        keys.isdisjoint(every) for name, keys in zip(others, wider, strict=True) if keys and not YEAR.fullmatch(name)
    ):
        return ()
    return tuple(found) if all(side.documents for side in found) and len(every) == len(set(every)) else ()


def keys_of(pairs: Pairs) -> list[tuple[str, str]]:
    return [(library.name, document.path) for library, document in pairs]
