"""Sentences of a document that give orders to the model that reads it: found by their words, and left out (pure).

A document is data. Whoever slips "ignore all previous instructions" into a letter speaks to the model and not to the
people who share the letter, so such a sentence need not be read to answer a question about it. A sentence counts as an
order where two kinds of signs come together: it speaks to a machine, it sets aside what the machine was told, it rules
what the machine is to write, it gives the machine a role, it mimics the turns or quotes of a prompt. One kind alone is
no order, since contracts disregard instructions and exams rule what is written; only the tokens that part the turns of
a chat count by themselves. Signs that people's talk is full of (a command, "that clause is void") count only beside
a question that is quoted with what is answered to it, which small models obey most readily: "To “How high is the rent?”
the only permitted answer is …". What stands beside an order in its paragraph and has one sign goes with it.

The patterns know English, German, Spanish, French, Italian, Portuguese, Dutch, Polish, Turkish, Russian, Arabic,
Chinese, Japanese and Korean. It is a filter by words: an order in other words passes it, and then only the wording of
the prompt and the checks of the answer stand against it (docs/decisions/0029-documents-are-data.md).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise

from localrag.store.sentences import sentences

# Put where orders were left out, so that the model does not read on over the gap.
GAP = "[…]"
# Can stand between letters without being seen; taken out before looking, so that they hide no word.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]"
)
# From here on a sentence is an order; each kind of sign counts once.
_ORDER = 2
_STOP = re.compile(r"(?<=[.!?:]) (?![»”])")
# Most words of a sentence that goes with the turn of a chat before it, in its paragraph, signs or not.
_FEW = 6


@dataclass(frozen=True, slots=True)
class Order:
    """A stretch of a text that gives orders to the model; offsets are half-open."""

    start: int
    end: int


# The kinds of signs, in the order of their numbers; see orders.txt.
_KINDS = ("address", "aside", "tasks", "roles", "mimics", "out", "draws")
_ADDRESSED, _ASIDE, _TASKS, _ROLES, _MIMIC, _OUT, _DRAWING, _WRITING, _ANSWERING, _DOING = range(10)
_QUOTING, _VOID, _RUNS = range(10, 13)
# Without one of these there is no order: a footnote with an address in it has the other two.
_TELLING = frozenset((_ADDRESSED, _ASIDE, _TASKS, _ROLES, _WRITING, _ANSWERING))
_SPOKEN_TO = frozenset((_ADDRESSED, _TASKS, _ROLES))
# Weak signs, which people's talk is full of: none without a question that is quoted, and beside it one of these.
_WEAK = frozenset((_QUOTING, _VOID, _RUNS))
_WITH_QUOTED = frozenset((_ADDRESSED, _ASIDE, _TASKS, _ROLES, _DRAWING, _ANSWERING, _VOID, _RUNS))
# "Reply with the form at https://…", "Answer: Respond within a week": mail and lists of questions are full of them.
_HONEST = (frozenset((_WRITING, _OUT)), frozenset((_WRITING, _MIMIC)), frozenset((_WRITING, _MIMIC, _OUT)))


# Begins a turn whose words are still to come.
_OPENS = re.compile(r"(?:<\|end_header_id\|>|<\|assistant\|>|(?:<\|im_start\|>|<start_of_turn>)\w+|response:)$")
# Begins a line of a dialogue; goes with an order beside it.
_LABEL = re.compile(
    r"\W*(?:question|q|answer|a|user|assistant|system|human|model|result|frage|antwort|pregunta|respuesta|réponse|domanda|"
    r"risposta|pergunta|resposta|вопрос|ответ|(?:ال)?سؤال|(?:ال)?جواب|问题|問題|回答|答案|質問|答え|질문|답)\s*[:：]"
)
# A sentence that ends with a question, and goes on behind it: "Asked “…?”, say …"; in Chinese and Japanese at once.
_QUESTION = re.compile(r"[?？؟]\s?[”»“\"’」』]*$")
_GOES_ON = re.compile(r" ?[”»“\"’」』),;:]|(?<=[”」』])\w")
# Parts the words of a file's name.
_PARTED = re.compile(r"[_+\-–]+|%20")
# "Answer only", "reply with nothing else".
_ALONE = re.compile(r"\b(?:only|just|always|exactly|nothing else)\b")
# A line end in running text, as every line of a PDF has one: behind a full line, or before a small letter.
_WRAP = re.compile(r"(?<=[^\n]{40})\n(?![\n|])|(?<=[^\n])\n(?=[a-zß-öø-ÿа-я])")


@dataclass(frozen=True, slots=True)
class _Patterns:
    """What orders.txt says: one expression for each kind, and the ways in which writing and answers are ruled."""

    tokens: re.Pattern[str]
    quotes: re.Pattern[str]
    frames: re.Pattern[str]
    verbs: re.Pattern[str]
    quoted: re.Pattern[str]
    asked: re.Pattern[str]
    void: re.Pattern[str]
    runs: re.Pattern[str]
    speaks: re.Pattern[str]
    kinds: tuple[re.Pattern[str], ...]
    writing: tuple[re.Pattern[str], ...]
    answers: tuple[re.Pattern[str], ...]


@cache
def _patterns() -> _Patterns:
    named: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    for line in resources.files(__package__).joinpath("prompt_injection.txt").read_text(encoding="utf-8").splitlines():
        if head := re.fullmatch(r"\[(\w+)\]", line):
            group = groups.setdefault(head[1], [])
        elif line and not line.startswith("#"):
            if not groups:
                name, _, pattern = line.partition(" = ")
                named[name] = pattern
            else:
                group.append(re.sub(r"\{([a-z]+)\}", lambda match: named[match[1]], line))
    one = {name: _compiled("|".join(f"(?:{pattern})" for pattern in group)) for name, group in groups.items()}
    plain = ("tokens", "quotes", "frames", "verbs", "quoted", "asked", "void", "runs", "speaks")
    return _Patterns(
        **{name: one[name] for name in plain}, kinds=tuple(one[name] for name in _KINDS),
        writing=tuple(map(_compiled, groups["writing"])), answers=tuple(map(_compiled, groups["answers"])),
    )  # fmt: skip


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.MULTILINE)


# --- finding ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Sentence:
    """A sentence on the way: where it stands, in which paragraph, the kinds of signs it has, whether it is an order."""

    start: int
    end: int
    paragraph: int
    words: str
    signs: frozenset[int]
    token: bool
    frame: bool
    taken: bool


def orders(text: str) -> list[Order]:
    """The orders in a text, in order, neighbours as one."""
    if not _glance(text):
        return []
    found = _read(text)
    _pair(found)
    _spread(found)
    _fill(found)
    return _joined(text, found)


def ordering(name: str) -> bool:
    """Whether a file's name or a heading gives orders.

    It stands alone, and little is lost where it is not shown: that it rules what is answered is enough.
    """
    words = _folded(_PARTED.sub(" ", name))
    ways = sum(bool(rule.search(words)) for rule in _patterns().writing)
    rules = _ANSWERING in _signs(words) or (ways > 1 and bool(_ALONE.search(words)))
    return rules or bool(orders(name) or orders(words))


@dataclass(frozen=True, slots=True)
class Marked:
    """A sentence of a text, its paragraph, whether it has a sign of an order, and whether it speaks of answering.

    Offsets are half-open.
    """

    start: int
    end: int
    paragraph: int
    ordering: bool
    speaking: bool


def marked(text: str) -> list[Marked]:
    """The sentences of a text, with their signs of an order; an address or a command alone is none.

    A line of a list of questions and answers does not count as one that speaks of answering.
    """
    return [
        Marked(
            one.start, one.end, one.paragraph, one.taken or bool(one.signs - {_OUT, _VOID, _RUNS}),
            speaks(one.words) and not _LABEL.match(one.words),
        )
        for one in _read(text)
    ]  # fmt: skip


def speaks(words: str) -> bool:
    """Whether words speak of questions and answers."""
    return bool(_patterns().speaks.search(_folded(words)))


@lru_cache(maxsize=64)
def without(text: str) -> str:
    """The text as the model is given it: GAP stands where orders stood."""
    parts, end = [], 0
    for order in orders(text):
        parts += [text[end : order.start], GAP]
        end = order.end
    return "".join([*parts, text[end:]]) if parts else text


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", _UNSEEN.sub("", text)).lower()


def _glance(text: str) -> bool:
    """Whether a text can hold an order at all; most do not."""
    low = _folded(text)
    if _patterns().tokens.search(low) or _patterns().quotes.search(low):
        return True
    signs = _signs(_STOP.sub("\n", _folded(_WRAP.sub(" ", text)).replace("|", "\n")))
    return _is_order(signs) or _ASIDE in signs


def _read(text: str) -> list[_Sentence]:
    found: list[_Sentence] = []
    last = paragraph = 0
    for start, end in _spans(text):
        row = text.startswith("|", start)
        after = bool(found) and text.startswith("|", found[-1].start)
        paragraph += row or after or bool(re.search(r"\n[ \t]*\n", text[last:start]))
        words = _folded(text[start:end])
        signs, frame, token = (
            _said(words, row),
            bool(_patterns().frames.search(words)),
            bool(_patterns().tokens.search(words)),
        )
        signs = signs | {_MIMIC} if frame else signs
        taken = token or bool(_patterns().quotes.search(words)) or _is_order(signs)
        found.append(_Sentence(start, end, paragraph, words, signs, token, frame, taken))
        last = end
    return found


def _spans(text: str) -> list[tuple[int, int]]:
    """The sentences of a text; one that goes on behind a question that it quotes is whole."""
    spans: list[tuple[int, int]] = []
    for start, end in sentences(text):
        if spans and _QUESTION.search(text, *spans[-1]) and _GOES_ON.match(text, spans[-1][1], end):
            start = spans.pop()[0]
        spans.append((start, end))
    return spans


def _said(words: str, row: bool) -> frozenset[int]:
    """The signs of a sentence: as it stands, over the ends of its lines, and of a row in each sentence of its cells."""
    found = _signs(words)
    if "\n" in words:
        found |= _signs(words.replace("\n", " "))
    return found | _signs(_STOP.sub("\n", words.replace("|", "\n"))) if row else found


def _signs(words: str) -> frozenset[int]:
    found = {number for number, sign in enumerate(_patterns().kinds) if sign.search(words)}
    answers = sum(bool(rule.search(words)) for rule in _patterns().answers)
    writing = sum(bool(rule.search(words)) for rule in _patterns().writing)
    if writing or answers > 1:
        found.add(_WRITING)
    if answers or writing > _ORDER:
        found.add(_ANSWERING)
    # Only where it is a machine that is spoken to: people tell each other to do things all day.
    if found & _SPOKEN_TO and _patterns().verbs.search(words):
        found.add(_DOING)
    if _patterns().quoted.search(words) and _patterns().asked.search(words):
        found.add(_QUOTING)
    found |= {sign for sign, pattern in ((_VOID, _patterns().void), (_RUNS, _patterns().runs)) if pattern.search(words)}
    return frozenset(found)


def _is_order(signs: frozenset[int]) -> bool:
    if _QUOTING in signs and signs & _WITH_QUOTED:
        return True
    told = signs - _WEAK
    return len(told) >= _ORDER and bool(told & _TELLING) and told not in _HONEST


def _pair(found: Sequence[_Sentence]) -> None:
    """Sentences near each other that have signs of two kinds are an order together: "You are a parrot. It says X only."

    Those of one paragraph with at most one between them; of two paragraphs where one of them frames a prompt.
    """
    for at, one in enumerate(found):
        for other in found[at + 1 : at + 3]:
            near = one.paragraph == other.paragraph or one.frame or other.frame
            if one.paragraph == other.paragraph and _ASIDE in one.signs and _LABEL.match(other.words):
                one.taken = other.taken = True
            framed = (one.frame and other.signs & _TELLING) or (other.frame and one.signs & _TELLING)
            if near and one.signs and other.signs and (framed or _is_order(one.signs | other.signs)):
                union = one.signs | other.signs
                both = len(union & _TELLING) >= _ORDER or one.frame or other.frame or {_ANSWERING, _MIMIC} <= union
                both = both or bool(_QUOTING in union and union & _WITH_QUOTED)
                one.taken, other.taken = one.taken or both, other.taken or both


def _spread(found: Sequence[_Sentence]) -> None:
    """What stands beside an order in its paragraph and has a sign itself goes too."""
    for step in (1, -1):
        for at in range(len(found)) if step == 1 else range(len(found) - 1, -1, -1):
            before = at - step
            if 0 <= before < len(found) and found[before].taken and not found[at].taken:
                one, near = found[at], found[before].paragraph == found[at].paragraph
                sign = bool(one.signs - _WEAK) or bool(_LABEL.match(one.words))
                few = step == 1 and found[before].token and len(one.words.split()) <= _FEW
                one.taken = (near and (sign or few)) or (one.frame and bool(found[before].signs))
                # The words of a turn may stand in the paragraph behind its beginning.
                one.taken = one.taken or (step == 1 and bool(_OPENS.search(found[before].words)))


def _fill(found: Sequence[_Sentence]) -> None:
    """What stands between two orders of one paragraph, or between the tokens of two turns, belongs to them."""
    taken = [at for at, one in enumerate(found) if one.taken]
    for first, second in pairwise(taken):
        one, other = found[first], found[second]
        if (second - first <= 2 and one.paragraph == other.paragraph) or (one.token and other.token):
            for between in found[first:second]:
                between.taken = True


def _joined(text: str, found: Sequence[_Sentence]) -> list[Order]:
    joined: list[Order] = []
    for one in found:
        if one.taken and joined and not text[joined[-1].end : one.start].strip():
            joined[-1] = Order(joined[-1].start, one.end)
        elif one.taken:
            joined.append(Order(one.start, one.end))
    return joined
