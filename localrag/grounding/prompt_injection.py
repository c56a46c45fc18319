"""Find and remove prompt injections: sentences of a document that instruct the model that reads it (pure).

A sentence counts where two kinds of signs come together: it addresses a machine, sets its instructions aside, dictates
what it writes, gives it a role, or mimics a prompt. One alone is not enough: contracts disregard instructions, and
exams dictate what is written. Weak signs count only beside a quoted question with its answer, and a sentence with one
sign beside an injection goes with it. This is a filter by words, in 14 languages: an injection in other words passes
it, and then only the prompt and the checks of the answer remain (docs/decisions/0029-documents-are-data.md).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise

from localrag.quantities import load_patterns
from localrag.store.text_analysis import sentences

# Replaces an injection, so that the model does not read on over the gap.
GAP = "[…]"
# Invisible characters between letters, removed before matching so that they hide no word.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff\U000e0000-\U000e01ef]"
)
# Marks over and through letters.
_MARKS = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f]+"
)
# A word divided at the end of a line, which may have become a space.
_DIVIDED = re.compile(r"(?<=[^\W\d_])[-\u00ad\u2010\u2011][ \t\r]{0,9}\s[ \t]{0,9}(?=[^\W\d_])")
# So many kinds of signs make a sentence an injection.
_MIN_KINDS = 2
_STOP = re.compile(r"(?<=[.!?:]) (?![»”])")
# A sentence of at most so many words behind a chat turn goes with it, signs or not.
_MAX_TURN_WORDS = 6


# The kinds of signs, in the order of their numbers; see prompt_injection.txt.
_KINDS = ("address", "aside", "tasks", "roles", "mimics", "out", "draws")
_ADDRESSED, _ASIDE, _TASKS, _ROLES, _MIMIC, _OUT, _DRAWING, _WRITING, _ANSWERING, _DOING = range(10)
_QUOTING, _VOID, _RUNS = range(10, 13)
# There is no injection without one of these: a footnote with an address has the other two.
_TELLING = frozenset((_ADDRESSED, _ASIDE, _TASKS, _ROLES, _WRITING, _ANSWERING))
_MACHINE = frozenset((_ADDRESSED, _TASKS, _ROLES))
# Weak signs, frequent in ordinary text: they count only with a quoted question, beside one of _WITH_QUOTED.
_WEAK = frozenset((_QUOTING, _VOID, _RUNS))
_WITH_QUOTED = frozenset((_ADDRESSED, _ASIDE, _TASKS, _ROLES, _DRAWING, _ANSWERING, _VOID, _RUNS))
# "Reply with the form at https://…", "Answer: Respond within a week": common in mail and lists of questions.
_HONEST = (frozenset((_WRITING, _OUT)), frozenset((_WRITING, _MIMIC)), frozenset((_WRITING, _MIMIC, _OUT)))


# Begins a chat turn whose words follow.
_OPENS = re.compile(r"(?:<\|end_header_id\|>|<\|assistant\|>|(?:<\|im_start\|>|<start_of_turn>)\w+|response:)$")
# Begins a line of a dialogue; goes with an injection beside it.
_LABEL = re.compile(
    r"\W*(?:question|q|answer|a|user|assistant|system|human|model|result|frage|antwort|pregunta|respuesta|réponse|domanda|"
    r"risposta|pergunta|resposta|вопрос|ответ|(?:ال)?سؤال|(?:ال)?جواب|问题|問題|回答|答案|質問|答え|질문|답)\s*[:：]"
)
# A sentence that quotes a question and goes on behind it: "Asked “…?”, say …"; without a space in Chinese, Japanese.
_QUESTION = re.compile(r"[?？؟]\s?[”»“\"’」』]{0,9}$")
_GOES_ON = re.compile(r" ?[”»“\"’」』),;:]|(?<=[”」』])\w")
# Separates the words of a file name.
_PARTED = re.compile(r"[_+\-–]+|%20")
# "Answer only", "reply with nothing else".
_ALONE = re.compile(r"\b(?:only|just|always|exactly|nothing else)\b")
# A line end inside a sentence, as in PDF text: behind a full line, or before a small letter.
_WRAP = re.compile(r"(?<=[^\n]{40})\n(?![\n|])|(?<=[^\n])\n(?=[a-zß-öø-ÿа-я])")


_PATTERNS = load_patterns("localrag.grounding", "prompt_injection.txt")
_LOOKS_LIKE = str.maketrans(
    {sign: word[0] for line in _PATTERNS["looks"] for word in line.split() for sign in word[1:]}
)


@cache
def _ways(group: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.MULTILINE) for pattern in _PATTERNS[group])


@cache
def _any(group: str) -> re.Pattern[str]:
    """Return one pattern for all of a group."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS[group]), re.MULTILINE)


@dataclass(slots=True)
class Sentence:
    """A sentence while it is judged; `signs` are the kinds it has, `taken` whether it is an injection."""

    start: int
    end: int
    paragraph: int
    words: str
    signs: frozenset[int]
    token: bool
    frame: bool
    taken: bool

    @property
    def suspicious(self) -> bool:
        """Whether it has a sign of an injection; an address or a command alone is none."""
        return self.taken or bool(self.signs - {_OUT, _VOID, _RUNS})

    @property
    def speaking(self) -> bool:
        """Whether it speaks of answering, outside of a list of questions and answers."""
        return speaks(self.words) and not _LABEL.match(self.words)


def find(text: str) -> list[tuple[int, int]]:
    """Return the spans of a text that instruct the model, half-open, in order, adjacent ones as one."""
    # Most texts can hold none, which their signs as a whole show.
    if not any(_any("tokens").search(form) or _any("quotes").search(form) for form in _forms(text)):
        signs = _signs(*(_STOP.sub("\n", form.replace("|", "\n")) for form in _forms(_WRAP.sub(" ", text))))
        if not _is_injection(signs) and _ASIDE not in signs:
            return []
    found = read(text)
    _pair(found)
    _spread(found)
    _fill(found)
    joined: list[tuple[int, int]] = []
    for one in found:
        if one.taken and joined and not text[joined[-1][1] : one.start].strip():
            joined[-1] = joined[-1][0], one.end
        elif one.taken:
            joined.append((one.start, one.end))
    return joined


def in_name(name: str) -> bool:
    """Return whether a file name or a heading holds an injection.

    Hiding one loses little, so that it dictates what is answered is enough.
    """
    forms = _forms(_PARTED.sub(" ", name))
    for words in forms:
        ways = sum(bool(rule.search(words)) for rule in _ways("writing"))
        if _ANSWERING in _signs(words) or (ways > 1 and _ALONE.search(words)):
            return True
    return any(map(find, (name, *forms)))


def speaks(words: str) -> bool:
    """Return whether words speak of questions and answers."""
    return bool(_any("speaks").search(_folded(words)))


def directed(words: str) -> list[str]:
    """Return the questions that words quote while they say what to answer: "For “What is the rent?” read EUR 9"."""
    quoted = [match[0] for match in _any("quoted").finditer(words)]
    return [one for one in quoted if _any("directs").search(words.replace(one, " "))]


@lru_cache(maxsize=64)
def removed(text: str) -> str:
    """Return the text as the model reads it, with GAP in place of injections."""
    for start, end in reversed(find(text)):
        text = f"{text[:start]}{GAP}{text[end:]}"
    return text


def _folded(text: str) -> str:
    return _MARKS.sub("", unicodedata.normalize("NFKC", _UNSEEN.sub("", text))).lower()


def _forms(text: str) -> list[str]:
    """Return a text as it is matched; if it differs, also without divided words, marks and look-alike letters."""
    bare = _MARKS.sub("", unicodedata.normalize("NFKD", _UNSEEN.sub("", _DIVIDED.sub("", text))))
    return list(dict.fromkeys((_folded(text), _folded(bare.translate(_LOOKS_LIKE)))))


def read(text: str) -> list[Sentence]:
    """Return the sentences of a text with their signs."""
    found: list[Sentence] = []
    last = paragraph = 0
    for start, end in _spans(text):
        row = text.startswith("|", start)
        after = bool(found) and text.startswith("|", found[-1].start)
        paragraph += row or after or bool(re.search(r"\n[ \t]*\n", text[last:start]))
        forms = _forms(text[start:end])
        signs = _signs(*forms, *(form.replace("\n", " ") for form in forms if "\n" in form))
        if row:  # each of its cells
            signs |= _signs(*(_STOP.sub("\n", form.replace("|", "\n")) for form in forms))
        frame, token, quote = (any(map(_any(kind).search, forms)) for kind in ("frames", "tokens", "quotes"))
        signs = signs | {_MIMIC} if frame else signs
        taken = token or quote or _is_injection(signs)
        found.append(Sentence(start, end, paragraph, forms[0], signs, token, frame, taken))
        last = end
    return found


def _spans(text: str) -> list[tuple[int, int]]:
    """Return the sentences of a text; one that goes on behind a question it quotes is kept whole."""
    spans: list[tuple[int, int]] = []
    for start, end in sentences(text):
        if (
            spans
            and _QUESTION.search(text, max(spans[-1][0], spans[-1][1] - 12), spans[-1][1])
            and _GOES_ON.match(text, spans[-1][1], end)
        ):
            start = spans.pop()[0]
        spans.append((start, end))
    return spans


def _signs(*forms: str) -> frozenset[int]:
    return frozenset(sign for words in forms for sign in _signs_in(words))


def _signs_in(words: str) -> set[int]:
    found = {number for number, kind in enumerate(_KINDS) if _any(kind).search(words)}
    answers = sum(bool(rule.search(words)) for rule in _ways("answers"))
    writing = sum(bool(rule.search(words)) for rule in _ways("writing"))
    if writing or answers > 1:
        found.add(_WRITING)
    if answers or writing > _MIN_KINDS:
        found.add(_ANSWERING)
    # Only where a machine is addressed: people tell each other to do things all day.
    if found & _MACHINE and _any("verbs").search(words):
        found.add(_DOING)
    if _any("quoted").search(words) and _any("asked").search(words):
        found.add(_QUOTING)
    return found | {sign for sign, kind in ((_VOID, "void"), (_RUNS, "runs")) if _any(kind).search(words)}


def _is_injection(signs: frozenset[int]) -> bool:
    if _QUOTING in signs and signs & _WITH_QUOTED:
        return True
    strong = signs - _WEAK
    return len(strong) >= _MIN_KINDS and bool(strong & _TELLING) and strong not in _HONEST


def _pair(found: Sequence[Sentence]) -> None:
    """Take sentences that together have two kinds of signs: "You are a parrot. It says X only."

    They are in one paragraph with at most one between them, or one of them frames a prompt.
    """
    for at, one in enumerate(found):
        for other in found[at + 1 : at + 3]:
            near = one.paragraph == other.paragraph or one.frame or other.frame
            if one.paragraph == other.paragraph and _ASIDE in one.signs and _LABEL.match(other.words):
                one.taken = other.taken = True
            framed = (one.frame and other.signs & _TELLING) or (other.frame and one.signs & _TELLING)
            if near and one.signs and other.signs and (framed or _is_injection(one.signs | other.signs)):
                union = one.signs | other.signs
                both = len(union & _TELLING) >= _MIN_KINDS or one.frame or other.frame or {_ANSWERING, _MIMIC} <= union
                both = both or bool(_QUOTING in union and union & _WITH_QUOTED)
                one.taken, other.taken = one.taken or both, other.taken or both


def _spread(found: Sequence[Sentence]) -> None:
    """Take sentences with a sign beside an injection in its paragraph."""
    for step in (1, -1):
        for at in range(len(found)) if step == 1 else range(len(found) - 1, -1, -1):
            before = at - step
            if 0 <= before < len(found) and found[before].taken and not found[at].taken:
                one, near = found[at], found[before].paragraph == found[at].paragraph
                sign = bool(one.signs - _WEAK) or bool(_LABEL.match(one.words))
                few = step == 1 and found[before].token and len(one.words.split()) <= _MAX_TURN_WORDS
                one.taken = (near and (sign or few)) or (one.frame and bool(found[before].signs))
                # The words of a turn may follow in the next paragraph.
                one.taken = one.taken or (step == 1 and bool(_OPENS.search(found[before].words)))


def _fill(found: Sequence[Sentence]) -> None:
    """Take what lies between two injections of one paragraph, or between the tokens of two turns."""
    taken = [at for at, one in enumerate(found) if one.taken]
    for first, second in pairwise(taken):
        one, other = found[first], found[second]
        if (second - first <= 2 and one.paragraph == other.paragraph) or (one.token and other.token):
            for between in found[first:second]:
                between.taken = True
