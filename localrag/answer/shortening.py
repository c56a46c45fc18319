"""Shorten an answer that repeats the question (pure).

Small models that are asked for few words still write "The treaty was signed in 1648."
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from localrag.quantities import load_words
from localrag.store import text_analysis

_WORD = re.compile(r"[^\W_]+(?:['’.,:/-][^\W_]+)*")
_END = re.compile(r"\.?((?:\s{0,3}\[\d{1,3}\]){0,20})[.\s]{0,9}$")  # what is left is no sentence, so its full stop goes
_SEVERAL = re.compile(r"[.!?;:]\s+\S|[\n\[]")  # sentences, lines, or citations in the middle
_KINDS = load_words("localrag.answer", "words.toml")["shortening"]
_TURNING = frozenset(_KINDS["turning"].split())
_OF, _WHO = (frozenset(_KINDS[name].split()) for name in ("of", "who"))
_MAX_SHORTENED = 40  # words; a longer answer was never meant to be short


def shortened(answer: str, question: str) -> str:
    """Return the answer without what it repeats of the question before and behind what is new.

    Citation markers are kept. A part is cut off only if it restates the question, and only between phrases. An answer
    stays as it is where nothing in it is new, it is more than one sentence, or it says yes, no or not.
    """
    end = _END.search(answer)
    assert end is not None  # it also matches nothing
    body = answer[: end.start()]
    language = text_analysis.language(f"{question} {body}")
    words, asked = _words(body, language), _words(question, language)
    turning = any(one.word in _TURNING or one.word.endswith(("n't", "n’t")) for one in words)
    known = frozenset(term for one in asked for term in one.terms)
    new = [at for at, one in enumerate(words) if one.terms and not one.terms <= known]
    if not (new and 3 <= len(words) <= _MAX_SHORTENED) or _SEVERAL.search(body) or turning:
        return answer
    first, stop = _first(question, words, asked, new[0]), _stop(body, words, asked, new[-1] + 1)
    if (first, stop) == (0, len(words)):
        return answer
    start = words[first - 1].end if first else 0
    kept = body[start : words[stop].start if stop < len(words) else len(body)].strip(" ,;:")
    uneven = any(kept.count(one) != kept.count(other) for one, other in ("()", "[]", "“”")) or kept.count('"') % 2
    return answer if uneven or words[first].kind == "joining" else kept + end[1]


@dataclass(frozen=True, slots=True)
class _Word:
    """A word of a text: its place, its folded form, its kind ("verb", "" ...), and its terms, if it has content."""

    start: int
    end: int
    word: str
    kind: str
    terms: frozenset[str]
    named: bool  # begins with a capital or a figure
    acts: str  # the ending that many verbs have in English


def _words(text: str, language: str) -> list[_Word]:
    kinds = {word: kind for kind, words in _KINDS.get(language, {}).items() for word in words.split()}
    found = []
    for match in _WORD.finditer(text):
        word = text_analysis.folded(match[0])
        kind = kinds.get(word, "")
        tokens = () if kind or word in text_analysis.COMMON[language] else text_analysis.tokens(match[0], language)
        terms = frozenset(token.term for token in tokens)
        acts = next((one for one in ("ed", "s") if language == "english" and word.endswith(one)), "")
        found.append(_Word(match.start(), match.end(), word, kind, terms, not match[0][0].islower(), acts))
    return found


def _first(question: str, words: Sequence[_Word], asked: Sequence[_Word], first: int) -> int:
    """Return where an answer begins, behind words that restate the question: "The treaty was signed in | 1648"."""
    while (
        first > 1 and words[first].named and words[first - 1].named and words[first].start == words[first - 1].end + 1
    ):
        first -= 1  # "Tess Orlo" is kept whole
    while first > 0 and not words[first - 1].terms and words[first - 1].kind in ("", "asking", "measure"):
        first -= 1  # "over 5,100", "their disciples"
    for at in range(max(1, first - 3), first - 1):
        if words[at].kind == "linking" and all(one.terms for one in words[at + 1 : first]):
            first = at + 1  # "a combustion chamber", though the question has "combustion"
            break
    before = words[:first]
    ask = next((at for at, one in enumerate(asked) if one.kind == "asking"), len(asked))
    verb = next((at for at in range(ask, len(asked)) if asked[at].kind in ("verb", "doing")), ask)
    # "When was it signed?", or "It was signed in what year?"
    late = ask > 1 and verb == ask and (ask == len(asked) or "," not in question[asked[ask - 1].end : asked[ask].start])
    rest = list(asked[:ask] if late else asked[verb:])
    if ask + 1 == verb < len(asked):
        # "What is the name of it?" asks for a name, which the answer need not say.
        named = next((at for at, one in enumerate(rest) if one.word in _OF), 0)
        rest = rest[:1] + rest[named:] if all(one.kind != "linking" for one in rest[2:named]) else rest
    if before and before[-1].word in _OF and not late:  # "governed by the | law of Delaware"
        first = max((at for at in range(first - 1) if not words[at].terms), default=-1) + 1
    elif before and before[-1].kind == "linking" and _goes_on(words[first:]):  # "in whole by charging", "at least"
        first = max((at for at in range(first) if words[at].kind != "linking"), default=-1) + 1
    before = words[:first]
    wanted = {term for one in rest for term in one.terms}
    says = not any(one.kind == "verb" for one in rest) or any(one.kind == "verb" for one in before)
    others = {one.word for at, one in enumerate(asked) if at != ask}
    joined = any(one.kind in ("joining", "asking") and one.word not in others for one in before)
    torn = not before or before[-1].kind == "joining" or before[-1].word.endswith(("'s", "’s"))
    restates = wanted and says and not joined and wanted <= {term for one in before for term in one.terms}
    return first if restates and not torn else 0


def _goes_on(words: Sequence[_Word]) -> bool:
    """Return whether words are no phrase without the small words before them."""
    follows = words[1] if len(words) > 1 else words[0]
    return words[0].kind == "measure" or (follows.kind == "linking" and follows.word not in _OF and not words[0].named)


def _stop(body: str, words: Sequence[_Word], asked: Sequence[_Word], stop: int) -> int:
    """Return where an answer ends, before words that restate the question: "Route 99 | connects Fresno with it"."""
    ask = next((at for at, one in enumerate(asked[:2]) if one.kind == "asking"), len(asked))
    verb = next((at for at in range(ask, len(asked)) if asked[at].kind in ("verb", "doing")), len(asked))
    if verb == len(asked):  # "which road connects", "how many people attended"
        near = [at for at in range(ask + 2, min(ask + 4, verb)) if asked[at - 1].terms]
        sure = [at for at in near if asked[at].acts == "ed"]
        more = [at for at in near if asked[at].acts == "s" and asked[ask].word != "how"]
        verb = next(iter((*sure, *more)), verb)
    if ask + 1 < len(asked) and asked[ask].word in _WHO:
        verb = ask + 1
    if verb == len(asked):
        return len(words)
    rest = [one.terms for one in asked[verb:] if one.terms]
    for at in range(max(stop, 1), len(words)):
        comma = "," in body[words[at - 1].end : words[at].start]
        same = words[at].terms == asked[verb].terms != frozenset()
        says = words[at].kind == "verb" if asked[verb].kind == "verb" else same
        own = [one.terms for one in words[at:] if one.terms]
        if (says or comma) and words[at - 1].kind not in ("linking", "joining") and rest[not says :] and own == rest:
            return at
    return len(words)
