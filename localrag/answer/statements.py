"""Decide by code whether clauses say yes or no to a statement: "May the tenant sublet?", "The tenant shall not sublet".

The clause that fits best is found by words, weighted by rarity and compared by meaning, and by the embedder. Then the
signs that deny ("shall not", "no ... may", "without", "unless") are compared word by word: a clause contradicts if it
denies the statement's verb, or if the statement says "only" and the clause does not. Limits: English; one clause
decides, so an exception in another sentence is not seen; who does it to whom is not compared.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from localrag.answer import checking, context, prompt_injection, prompts
from localrag.answer.stages import Prompt, Query, Route
from localrag.answer.verify import entities
from localrag.answer.verify.citations import Cited, cite_span
from localrag.quantities import lazy_re, load_patterns, load_words
from localrag.store.sentences import sentences
from localrag.types import Answer, Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from localrag.embeddings import Embedder, Vectors

_TABLE = load_words("localrag.answer", "words.toml")["statements"]
_EMPTY, _LIGHT = frozenset(_TABLE["empty"].split()), frozenset(_TABLE["light"].split())
_FIT: Mapping[str, tuple[float, float, float, float]] = _TABLE["fit"]
_PATTERNS = load_patterns("localrag.answer", "statements.txt")
_FRAME, _ASKED, _OTHER, _MODAL, _PASSIVE, _IDLE, _SIGNS, _SUBJECT, _ONLY, _PERMITS = (
    lazy_re("|".join(_PATTERNS[name]), re.I)
    for name in ("frame", "asked", "other", "modal", "passive", "idle", "signs", "subject", "only", "permits")
)
_CLAUSE, _ITEM = (lazy_re(_PATTERNS[name][0]) for name in ("clause", "item"))
_WORD = re.compile(r"[a-z]{3,24}(?:-[a-z]{1,24}){0,3}")
_NAME = re.compile(r"(?<!^)(?<!\. )\b[A-Z][a-z]+(?:\s+[A-Z][a-z]+)*\b")  # a defined term, as "Disclosing Party"

# Clauses that are compared at most; longer sentences are parted; characters of a list's first words before its items.
_MAX_CLAUSES, _LONG, _LEAD = 160, 300, 150
# What the words weigh beside the embedder, and defined terms, which are everywhere or called otherwise.
_COVERS, _NAMED = 0.6, 0.3
# A word has a counterpart from this; nearly as good ones count; the denied share and covered share of a contradiction.
_MATCH, _NEARLY, _DENIED, _COVERED = 0.3, 0.1, 0.4, 0.5
# Answered from; what one word without counterpart may weigh, and how near the fit of a rival is.
_MENTIONED, _SURE, _MISSED, _RIVAL = 0.5, 0.6, 0.3, 0.1


@dataclass(frozen=True, slots=True)
class Statement:
    """What a question asks to be confirmed; `asked` as a question, else word by word."""

    text: str
    asked: bool
    words: Mapping[str, int]  # those that say what it is about, with their first places
    names: frozenset[str]  # of these, the words of defined terms
    verb: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a clause says to a statement; `likelihood`: that the statement is mentioned at all.

    It is `clear` if the clause has all that the statement is about, and no other that fits nearly as well disagrees or
    is in another document.
    """

    yes: bool
    likelihood: float
    clear: bool
    passage: Passage
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Clause:
    passage: Passage
    start: int
    end: int
    text: str  # with the first words of its list or sentence
    words: Sequence[tuple[str, int]]


def statement(question: str) -> Statement | None:
    """Return the statement that a question asks to be confirmed; None where it asks for something else."""
    text = " ".join(question.split())
    if frame := _FRAME.match(text):
        return _read(text[frame.end() :], asked=False)
    if not text.endswith("?") or _OTHER.search(text) or not _ASKED.match(text):
        return None
    return _read(text.partition(" ")[2].rstrip(" ?"), asked=True)


def _read(text: str, *, asked: bool) -> Statement | None:
    places: dict[str, int] = {}
    for word, at in _words(text):
        places.setdefault(word, at)
    names = {word for name in _NAME.findall(text) for word in name.lower().split()}
    if text[:1].isupper():
        names.add(text.split()[0].lower())
    passive, modal = _PASSIVE.search(text), None if asked else _MODAL.search(text)
    own = [word for word, at in places.items() if word not in _LIGHT and (not modal or at >= modal.end())]
    verbs = [word for word in own if word not in names and (asked or not word.endswith("ly"))]
    if passive and passive[1].lower() in own:
        verb: str | None = passive[1].lower()
    else:
        # Of a question, the first word is the subject.
        begins = asked and len(verbs) > 1 and own[0] not in names
        verb = verbs[begins] if verbs else None
    return Statement(text, asked, places, frozenset(names), verb) if places else None


def _words(text: str) -> list[tuple[str, int]]:
    return [(found[0], found.start()) for found in _WORD.finditer(text.lower()) if found[0] not in _EMPTY]


class Reader:
    """Compares statements with clauses by an embedder, and remembers the vectors of words. Use it from one thread."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors: dict[str, Vectors] = {}

    def answer(self, asked: Statement, query: Query, route: Route, prompt: Prompt, *, short: bool) -> Answer | None:
        """Return yes or no with the clause that says so, None where it is in doubt.

        A statement that is put word by word, and not as a question, is also answered by not being mentioned.
        """
        # Code reads passages at once, also those that did not fit the prompt.
        whole = route.plan.kind == "read"
        passages = prompt.passages if whole or not route.hits else route.hits
        found = self.verdict(asked, passages)
        if found is None or (asked.asked and not (found.clear and found.likelihood >= _SURE)):
            return None
        plan = route.plan.with_signals(statement=round(found.likelihood, 3))
        given = Answer(
            query.text, prompts.NOT_FOUND, False, plan, passages=tuple(prompt.passages), context=prompt.context,
            looked_at=prompt.looked_at, confidence=found.likelihood,
        )  # fmt: skip
        if found.likelihood < _MENTIONED:
            return checking.with_nearest(given, query, prompt.passages)
        citation = replace(cite_span(found.passage, found.start, found.end), marker=1)
        if prompt_injection.find(citation.quote):
            return None
        quote = " ".join(citation.quote.split())
        text = _TABLE["yes" if found.yes else "no"].format(quote=quote)
        if asked.asked and entities.check(
            Cited(f"{text} [1]", (citation,), 0, ()), query.text, passages, query.documents
        ):
            return None
        cited = context.placed((citation,), prompt.passages, query.libraries)
        shown = context.cited_only(prompt.passages, cited)
        shown = shown if whole else [*prompt.passages, *([] if shown else [found.passage])]
        return replace(
            given, answer=f"{text.split(':')[0] if short else text} [1]", found=True, citations=cited,
            passages=tuple(shown),
        )  # fmt: skip

    def verdict(self, asked: Statement, passages: Sequence[Passage]) -> Verdict | None:
        """Return what the clause that fits best says; None without clauses, or where the embedder was not measured."""
        import numpy as np

        measured = _FIT.get(self._embedder.identity.model)
        clauses = [clause for passage in passages for clause in _clauses(passage)]
        # Stable, so that of equals the first found come first.
        clauses.sort(key=lambda clause: -sum(word in asked.words for word in {word for word, _ in clause.words}))
        clauses = clauses[:_MAX_CLAUSES]
        if measured is None or not clauses:
            return None
        even, slope, low, high = measured
        known = sorted({word for clause in clauses for word, _ in clause.words})
        at = {word: n for n, word in enumerate(known)}
        own, named = list(asked.words), np.array([word in asked.names for word in asked.words])
        alike = np.clip((self._of(own) @ self._of(known).T - low) / (high - low), 0, 1)
        rows = [alike[:, [at[word] for word, _ in clause.words]] for clause in clauses]
        matched = np.array([row.max(axis=1) for row in rows])
        rare = np.maximum(np.log((len(clauses) + 1) / (matched.sum(axis=0) + 0.5)), 0.05)
        weights = rare * np.where(named, _NAMED, 1.0)
        covers = matched @ weights / weights.sum()
        near = self._embedder.embed_documents([clause.text for clause in clauses])
        fits = near @ self._embedder.embed_question(asked.text) + _COVERS * covers
        order = np.argsort(-fits)
        rivals = [n for n in order if fits[n] >= fits[order[0]] - _RIVAL]
        no = [_contradicts(asked, clauses[n], rows[n], weights, float(covers[n])) for n in rivals]
        documents = {(clauses[n].passage.library, clauses[n].passage.document) for n in rivals}
        missed = float((weights * ((matched[order[0]] < _MATCH) & ~named)).max() / weights.sum())
        clause, likelihood = clauses[order[0]], 1 / (1 + math.exp(-slope * (float(fits[order[0]]) - even)))
        clear = len(set(no)) == len(documents) == 1 and missed <= _MISSED
        return Verdict(not no[0], likelihood, clear, clause.passage, clause.start, clause.end)

    def _of(self, words: Sequence[str]) -> Vectors:
        import numpy as np

        if new := [word for word in dict.fromkeys(words) if word not in self._vectors]:
            self._vectors.update(zip(new, self._embedder.embed_documents(new), strict=True))
        return np.array([self._vectors[word] for word in words])


def _clauses(passage: Passage) -> list[_Clause]:
    """Return the sentences of a passage, long ones in parts; items with the first words of their list."""
    found, lead, before = [], "", ""
    for first, last in sentences(passage.text):
        sentence = passage.text[first:last]
        item = bool(_ITEM.match(sentence))
        if not item or (before.endswith((":", "–", "—")) and not _ITEM.match(before)):
            lead = before if item else ""
        before = sentence
        cuts = [0, *(cut.end() for cut in _CLAUSE.finditer(sentence)), len(sentence)] if len(sentence) > _LONG else []
        spans = list(pairwise(cuts)) or [(0, len(sentence))]
        for start, end in spans:
            part = sentence[start:end].rstrip()
            begin = sentence[: spans[0][1]][: _LEAD + 50] if start else ""
            text = " ".join(f"{lead[-_LEAD:]} {begin} {part}".split())
            words = _words(text)
            if len(part.split()) > 3 and words:
                found.append(_Clause(passage, first + start, first + start + len(part), text, words))
    return found


def _contradicts(
    asked: Statement, clause: _Clause, alike: NDArray[np.float32], weights: NDArray[np.float64], covers: float
) -> bool:
    """Return whether a clause says no; `alike` has a row for each word of the statement, a column for each of its."""
    ours, theirs = _signs(asked.text), _signs(_IDLE.sub(lambda found: "_" * len(found[0]), clause.text))
    denied = total = 0.0
    without, verb = False, asked.verb is None
    for row, weight, (word, place) in zip(alike, weights, asked.words.items(), strict=True):
        if word in asked.names or row.max() < _MATCH:
            continue
        signs = {_sign(theirs, clause.words[n][1])[0] for n in (row >= max(_MATCH, row.max() - _NEARLY)).nonzero()[0]}
        sign, turned = _sign(ours, place)
        total += weight * row.max()
        if sign not in signs:
            denied += weight * row.max()
            without, verb = without or turned, verb or word == asked.verb
    much = denied > _DENIED * total
    turns, only = any(kind == "turn" for _, _, kind in theirs), bool(_ONLY.search(clause.text))
    if _ONLY.search(asked.text):
        return much or not only
    if not asked.asked and any(sign < 0 for _, sign, _ in ours[:1]):
        # A prohibition is only contradicted by a permission.
        free = bool(_PERMITS.search(clause.text)) and not only and all(sign > 0 for _, sign, _ in theirs)
        return verb and much and free and not any(kind == "turn" for _, _, kind in ours)
    return without or (verb and much and covers > _COVERED and not (turns and "some " in asked.text))


def _signs(text: str) -> list[tuple[int, int, str]]:
    """Return from where on the words of a text are denied (-1) or not (1), and by what kind of sign."""
    found = [sign for sign in _SIGNS.finditer(text) if sign.lastgroup]
    signs: list[tuple[int, int, str]] = []
    now = base = 1
    subject = turned = False
    for n, sign in enumerate(found):
        kind = sign.lastgroup or ""
        if kind == "deny":
            now, base, turned, subject = -1, -1, False, subject or bool(_SUBJECT.match(sign[0]))
        elif kind == "back":
            if not turned:
                continue
            now, turned = base, False
        elif kind == "turn":
            main = next((one.lastgroup for one in found[n + 1 :] if one.lastgroup != "turn"), None)
            before = text[: sign.start()].rstrip()
            # "Without consent, the tenant may not": what is meant follows.
            begins = len(before) < 12 or before.endswith((".", ";", ":"))
            now, turned = ((1 if main == "deny" else -1) if begins else -now), True
        elif subject and sign[0] != ";":
            subject = False  # "No party may": the modal belongs to it
            continue
        else:
            now, base, turned, subject = 1, 1, False, False
        signs.append((sign.start(), now, kind))
    return signs


def _sign(signs: Sequence[tuple[int, int, str]], place: int) -> tuple[int, bool]:
    """Return whether the word at a place is denied, and whether it is so by an exception."""
    before = [(sign, kind) for start, sign, kind in signs if start <= place]
    if before:
        return before[-1][0], before[-1][1] == "turn"
    # The subject goes with its verb.
    return (signs[0][1], False) if signs and signs[0][2] != "turn" else (1, False)
