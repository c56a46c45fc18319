"""A sentence cut down to what it answers, for people who want answers in as few words as possible (pure).

Small models that are told so still write the question out: "The treaty was signed in 1648." to "When was the treaty
signed?". What is new in such a sentence is the answer.
"""

from __future__ import annotations

import re

from localrag.store import text_analysis

_WORD = re.compile(r"[^\W_]+(?:['’.,:/-][^\W_]+)*")
_END = re.compile(r"\.?((?:\s*\[\d+\])*)[.\s]*$")  # what is left is no sentence, so its full stop goes
_SEVERAL = re.compile(r"[.!?;:]\s+\S|[\n\[]")  # sentences, lines, or places cited in the middle
# Where one of these stands, the words around it decide what is said.
_TURNING = frozenset(
    """no not never none neither nor nothing nobody without unless except only yes cannot unknown nein nicht kein keine
    keinen ja nie weder ohne non pas ne jamais oui sans aucun aucune nunca sin ningun ninguna si ni mai senza nao sem
    sim niet geen nee""".split()
)
_LONGEST = 40  # words; what is longer was never meant to be short


def shortened(answer: str, question: str) -> str:
    """The answer without what it repeats of the question before and behind what is new, its citation marks kept.

    As it is where nothing is new in it, where it is more than one sentence, and where it says yes, no or not.
    """
    end = _END.search(answer)
    assert end is not None  # it matches nothing, too
    body = answer[: end.start()]
    words = list(_WORD.finditer(body))
    if not 3 <= len(words) <= _LONGEST or _SEVERAL.search(body):
        return answer
    folded = [text_analysis.folded(word[0]) for word in words]
    if any(word in _TURNING or word.endswith(("n't", "n’t")) for word in folded):
        return answer
    spoken = text_analysis.language(f"{question} {body}")
    common = text_analysis.COMMON[spoken]
    asked = {token.term for token in text_analysis.tokens(question, spoken)} - common
    plain = [word in common for word in folded]
    repeated = [
        not plain[at] and all(token.term in asked for token in text_analysis.tokens(word[0], spoken))
        for at, word in enumerate(words)
    ]
    new = [at for at in range(len(words)) if not plain[at] and not repeated[at]]
    if not new:
        return answer
    first, last = new[0], new[-1]
    while first > 1 and _one_name(body, words[first - 1], words[first]):
        first -= 1
    # A part of the sentence is cut, with a word that joins it to the rest; the first half of a name has none.
    if not (any(repeated[:first]) and any(plain[:first])):
        first = 0
    if not (any(repeated[last + 1 :]) and any(plain[last + 1 :]) and _may_end(body, words, last, plain)):
        last = len(words) - 1
    if (first, last) == (0, len(words) - 1):
        return answer
    return body[words[first].start() : words[last].end()] + end[1]


def _may_end(body: str, words: list[re.Match[str]], last: int, plain: list[bool]) -> bool:
    """Whether a part of the sentence is over: "99 | connects Fresno with …", but not "Convention | on Human Rights"."""
    after = words[last + 1]
    return "," in body[words[last].end() : after.start()] or (after[0].islower() and not plain[last + 1])


def _one_name(body: str, before: re.Match[str], word: re.Match[str]) -> bool:
    apart = body[before.end() : word.start()]
    return apart == " " and before[0][0].isupper() and word[0][0].isupper()
