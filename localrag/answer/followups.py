"""Make a question that leans on the conversation complete, so that it can be looked up.

Rules decide whether it leans; it is joined to the questions before it. For a survey the model rewrites it, and code
checks that nothing was lost or made up. Limits: the rules are English; else only very short questions lean.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from localrag.events import Delta
from localrag.grounding import prompts
from localrag.llm import Completed, Generator
from localrag.quantities import load_words, phrases
from localrag.store.text_analysis import COMMON
from localrag.types import Turn, Usage

_STOP_WORDS = COMMON["english"]
# Tokens of a rewritten question, and of one that is rewritten: longer ones bring their own words.
_MAX_REWRITTEN, _MAX_QUESTION = 48, 60
_MAX_TURNS_BACK = 3

_WORD = re.compile(r"\w+(?:['’]\w+)?")
_WORDS = load_words("localrag.answer", "words.toml")["followups"]
_ASKING = "|".join(_WORDS["asking"].split())
_CONTINUES, _ABOUT, _BACK, _PERSONAL, _CLAUSE, _DUMMY = phrases(
    "localrag.answer", "followups", "continues", "about", "back", "personal", "clause", "dummy"
)
_OWNING = frozenset({"its", "their", "his", "her"})
_NOUN_PHRASE = re.compile(r"\b(?:the|an?|each|every|any|our|my|your|this)\s+\w{3,}|(?<=\w )[A-Z]\w+")
_LIGHT = _STOP_WORDS | set(_WORDS["light"].split())


def leans(question: str, history: Sequence[Turn]) -> bool:
    """Return whether a question can only be understood with those before it."""
    if not history:
        return False
    content = _content(question, _STOP_WORDS)
    # A name, a number or words in quotes make a short question complete.
    if len(content) < 2 or (len(content) == 2 and not re.search(r"[\"“]|\d|(?<=[\w,] )[A-Z]\w", question)):
        return True
    words = [word.lower() for word in _WORD.findall(question)]
    if len(words) > 3 and len(_STOP_WORDS.intersection(words)) < 2:
        return False  # not English
    return bool(_ABOUT.match(question) or _BACK.search(question)) or _half(question) or _refers(question)


def repeats(question: str, history: Sequence[Turn]) -> bool:
    """Return whether a question asks the same of another thing: "And the Tess contract?"."""
    return bool(history) and bool(_ABOUT.match(question) or _half(question))


def _half(question: str) -> bool:
    """Return whether no word of it asks: "For employees in band H?", "And in the lease of Hall 3?"."""
    rest = _CONTINUES.sub("", question.strip())
    if re.search(rf"\b(?:{_ASKING})\b", rest, re.I):
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


def rewritten(
    question: str, history: Sequence[Turn], model: Generator, *, stop: Callable[[], bool]
) -> tuple[str, Usage]:
    """Return the question as the model completes it, or "" where it lost or made up something; and what that cost."""
    messages = prompts.followup_prompt(question, history, model.count)
    size = model.overhead(len(messages)) + sum(model.count(message.text) for message in messages)
    if model.count(question) > _MAX_QUESTION or size > model.window // 2:
        return "", Usage()
    written, done = list[str](), Completed("", Usage(), "stopped")
    halt = lambda: stop() or "\n" in "".join(written).strip()  # noqa: E731
    for event in model.generate(messages, max_tokens=_MAX_REWRITTEN, stop=halt):
        if isinstance(event, Delta):
            written.append(event.text)
        elif isinstance(event, Completed):
            done = event
    lines = done.text.strip().splitlines()
    whole = done.ended == "end" or len(lines) > 1
    text = lines[0].strip() if lines and whole else ""
    return (text if keeps_meaning(text, question, history) else ""), done.usage


def keeps_meaning(text: str, question: str, history: Sequence[Turn]) -> bool:
    """Return whether a rewritten question has every content word of the original, and no new name or number."""
    if not text or (question.rstrip().endswith("?") and not text.endswith("?")):
        return False
    before = " ".join([question, *(f"{turn.question} {turn.answer}" for turn in history)])
    known = {word.lower() for word in _WORD.findall(before)}
    known |= {re.sub(r"['’]s?$", "", word) for word in known} | {f"{word}'s" for word in known}
    words = {word.lower() for word in _WORD.findall(text)}
    kept = all(any(_alike(word, other) for other in words) for word in _content(question, _LIGHT))
    # What would be made up if it were new: numbers, and names (except a first word).
    names = [one[0] for one in _WORD.finditer(text) if one[0][0].isdigit() or (one[0][0].isupper() and one.start() > 0)]
    return kept and all(word.lower() in known for word in names)


def _content(text: str, light: Iterable[str]) -> list[str]:
    return [word.lower() for word in _WORD.findall(text) if word.lower() not in light]


def _alike(one: str, other: str) -> bool:
    """Return whether two words differ only in their ending: record and records, confidential and confidentiality."""
    size = max(4, min(len(one), len(other)) - 2)
    return one == other or (one[:size] == other[:size] and min(len(one), len(other)) >= size)
