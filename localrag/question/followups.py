"""Tell whether a question leans on the conversation, and join it to the questions before it (pure).

Limits: the rules are English; else only very short questions lean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from localrag.quantities import load_words, phrases
from localrag.store.text_analysis import COMMON
from localrag.types import Turn

_STOP_WORDS = COMMON["english"]
_MAX_TURNS_BACK = 3
_MAX_OWN_WORDS = 6  # of 450 questions that stand alone, 71 lean by the rules without this limit and 2 with it

WORD = re.compile(r"\w+(?:['’]\w+)?")
_ASKING = tuple(load_words("localrag.question", "words.toml")["followups"]["asking"].split())
_ASKS = re.compile(rf"\b(?:{'|'.join(_ASKING)})\b", re.I)
_CONTINUES, _ABOUT, _BACK, _PERSONAL, _CLAUSE, _DUMMY = phrases(
    "localrag.question", "followups", "continues", "about", "back", "personal", "clause", "dummy"
)
_OWNING = frozenset({"its", "their", "his", "her"})
_NOUN_PHRASE = re.compile(r"\b(?:the|an?|each|every|any|our|my|your|this)\s+\w{3,}|(?<=\w )[A-Z]\w+")


def leans(question: str, history: Sequence[Turn]) -> bool:
    """Return whether a question can only be understood with those before it, or is so short that it may be."""
    return bool(history) and (_is_short(question) or points_back(question))


def points_back(question: str) -> bool:
    """Return whether a question has words for something before it, or goes on where that ended.

    One of many words brings enough of its own to be looked up, whatever it points at.
    """
    words = [word.lower() for word in WORD.findall(question)]
    english = len(words) <= 3 or len(_STOP_WORDS.intersection(words)) >= 2
    if not english or len(content_words(question, _STOP_WORDS)) > _MAX_OWN_WORDS:
        return False
    return bool(_ABOUT.match(question) or _BACK.search(question)) or _half(question) or _refers(question)


def _is_short(question: str) -> bool:
    """Return whether a question has fewer than two content words, or two without a name, a number or quotes."""
    content = content_words(question, _STOP_WORDS)
    return len(content) < 2 or (len(content) == 2 and not re.search(r"[\"“]|\d|(?<=[\w,] )[A-Z]\w", question))


def repeats(question: str, history: Sequence[Turn]) -> bool:
    """Return whether a question asks the same of another thing: "And the Tess contract?"."""
    return bool(history) and bool(_ABOUT.match(question) or _half(question))


def _half(question: str) -> bool:
    """Return whether no word of it asks: "For employees in band H?", "And in the lease of Hall 3?"."""
    rest = _CONTINUES.sub("", question.strip())
    if _ASKS.search(rest):
        return False
    return rest != question.strip() or (question.rstrip().endswith("?") and len(rest.split()) <= 12)


def _refers(question: str) -> bool:
    """Return whether a pronoun stands for something that the question does not name itself."""
    plain = _DUMMY.sub(" ", question)
    for match in _PERSONAL.finditer(plain):
        before = plain[: match.start()]
        if match[0].lower() in _OWNING:
            if _NOUN_PHRASE.search(before):
                continue  # "How does the Trust protect its laptops?"
        elif (parted := [part.end() for part in _CLAUSE.finditer(before)]) and _NOUN_PHRASE.search(
            before[: parted[-1]]
        ):
            continue  # "How long does Quillfen keep boxes before it destroys them?"
        return True
    return False


def joined(question: str, history: Sequence[Turn]) -> str:
    """Return the question behind those it follows, back to one that stands alone."""
    first = len(history) - 1
    while first > 0 and len(history) - first < _MAX_TURNS_BACK and leans(history[first].question, history[:first]):
        first -= 1
    return " ".join([*(turn.question for turn in history[first:]), question])


def content_words(text: str, light: Iterable[str]) -> list[str]:
    """Return the words of a text in lower case, without these."""
    return [word.lower() for word in WORD.findall(text) if word.lower() not in light]
