"""From an answer to quotes that stand in the documents, character for character (pure).

Two ways lead to a quote. Words that the model put in quotation marks are looked for in the passages; what is not
there loses its marks and is counted as dropped. And each sentence of the answer gets the sentence of a passage that
supports it best, or the two that do together, picked by code, so that it is verbatim by construction; passages that
the model named come first. A sentence that nothing supports well enough is marked as unsupported, and where that is
all of them the likeliest place is cited all the same. Support is the share of a sentence's content words, weighted by
rarity, that the quote contains; numbers count double. It shows where to look; it is no proof.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from localrag.sentences import sentences
from localrag.types import Citation, Passage

SUPPORT = 0.5
# Where no sentence of an answer has that much, the likeliest place is cited from here on.
WEAK = 0.2
LONGEST_QUOTE = 320
_FEWEST_QUOTED_WORDS = 3
# How much the question's own words weigh beside those of the claim, when two places support it equally.
_ASKED = 0.3
# What a claim repeats of the question says less about where it comes from than what it adds.
_ECHO = 0.4
# A passage that the model named is preferred unless another supports the claim clearly better.
_NAMED = 0.25


@dataclass(frozen=True, slots=True)
class Cited:
    """An answer with its citations: the markers in the text are the citations' own numbers."""

    text: str
    citations: tuple[Citation, ...]
    dropped: int
    unsupported: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Span:
    """A span of a passage that could be quoted; offsets into the passage's text."""

    passage: int
    start: int
    end: int
    terms: frozenset[str]


@dataclass(slots=True)
class _Work:
    """What is gathered while an answer is gone through."""

    passages: Sequence[Passage]
    spans: list[_Span]
    weights: Mapping[str, float]
    rarest: float
    asked: frozenset[str]
    least: float
    citations: list[Citation] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    dropped: int = 0


def cite(answer: str, question: str, passages: Sequence[Passage]) -> Cited:
    """Tie an answer to its passages.

    Args:
        answer: as the model wrote it, with markers like [2] that number `passages` from 1.
        question: its words help to tell two places apart that support an answer equally.
        passages: what the model was shown, in the order of their numbers.
    """
    answer = _ASIDE.sub(lambda match: " " + match["marks"].replace(" and", ""), answer)
    spans = _spans(passages)
    weights = _rarity(spans)
    work = _Work(passages, spans, weights, max(weights.values(), default=1.0), terms(question), SUPPORT)
    text = _cite_all(answer, work)
    if work.unsupported and not work.citations:
        # Better a place to look at than none; the sentences stay marked.
        weak = replace(work, least=WEAK, unsupported=[], dropped=0)
        text = _cite_all(answer, weak)
    return Cited(text, tuple(work.citations), work.dropped, tuple(work.unsupported))


def _cite_all(answer: str, work: _Work) -> str:
    text, end = "", 0
    for start, stop in _claims(answer):
        text += answer[end:start] + _cite_claim(answer[start:stop], work)
        end = stop
    return (text + answer[end:]).strip()


def _cite_claim(claim: str, work: _Work) -> str:
    """One sentence of the answer with its markers put right."""
    claim, named = _take_markers(claim, len(work.passages))
    claim, quoted, dropped = _check_quotes(claim, work.passages)
    work.dropped += dropped
    content = terms(claim)
    found = quoted or [_quote(span, content, work) for span in _supporting(content, named, work)]
    if not found and content - work.asked:
        work.unsupported.append(claim.strip())
        work.dropped += len(named)
    numbers = sorted({_number(citation, work.citations) for citation in found})
    return _with_marks(claim, "".join(f"[{number}]" for number in numbers))


# --- markers ------------------------------------------------------------------------------------------------

# "This is supported by passage [2]." says nothing of its own; its marker belongs to the sentence before it.
_ASIDE = re.compile(
    r"(?:^|(?<=[.!?\]])\s+)(?:this|that|it|the (?:answer|information))(?: (?:information|statement|answer))? "
    r"(?:is|was|can be) (?:supported|stated|found|mentioned|confirmed|provided|given) (?:by|in|from) "
    r"(?:the )?(?:passages?|documents?|(?=\[))(?: (?:above|provided|given))?"
    r"(?P<marks>(?:(?:,| and)?\s*\[\d[\d, ]*\])*)\s*(?:\.(?=\s|$)|$)",
    re.I,
)
_MARKER = re.compile(r"\s*[\[【](?:passages? ?)?(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)[\]】]")


def _claims(answer: str) -> list[tuple[int, int]]:
    """Sentences of the answer; a marker that stands behind a full stop belongs to the sentence before it."""
    spans: list[tuple[int, int]] = []
    for start, end in sentences(answer):
        if spans and not _MARKER.sub("", answer[start:end]).strip(" .;,"):
            spans[-1] = (spans[-1][0], end)
        elif spans and (lead := re.match(rf"(?:{_MARKER.pattern})+\s*", answer[start:end])):
            spans[-1] = (spans[-1][0], start + lead.end())
            spans.append((start + lead.end(), end))
        else:
            spans.append((start, end))
    return [span for span in spans if span[0] < span[1]]


def _take_markers(claim: str, passages: int) -> tuple[str, list[int]]:
    """The claim without markers, and the 0-based passages they name; numbers of no passage are passed over."""
    named = [int(number) - 1 for match in _MARKER.finditer(claim) for number in re.findall(r"\d+", match[1])]
    return _MARKER.sub("", claim), [number for number in dict.fromkeys(named) if 0 <= number < passages]


def _with_marks(claim: str, marks: str) -> str:
    if not marks:
        return claim
    body = claim.rstrip()
    stop = body[-1:] if body[-1:] in ".!?" else ""
    return f"{body.removesuffix(stop)} {marks}{stop}{claim[len(body) :]}"


def _number(citation: Citation, citations: list[Citation]) -> int:
    """The citation's number, adding it where it is new."""
    for known in citations:
        same = (known.library, known.document, known.page, known.start, known.end)
        if same == (citation.library, citation.document, citation.page, citation.start, citation.end):
            return known.marker
    marker = len(citations) + 1
    citations.append(replace(citation, marker=marker))
    return marker


# --- quotes that the model wrote ----------------------------------------------------------------------------

_QUOTED = re.compile(r"[\"“„«]([^\"“”„«»]{8,600})[\"”“»]")


def _check_quotes(claim: str, passages: Sequence[Passage]) -> tuple[str, list[Citation], int]:
    """Look up quoted words; what is found keeps its marks, with the document's own words, the rest loses them."""
    found: list[Citation] = []
    dropped = 0

    def put_right(match: re.Match[str]) -> str:
        nonlocal dropped
        words = match[1].strip()
        if len(words.split()) < _FEWEST_QUOTED_WORDS:
            return match[0]
        for passage in passages:
            place = locate(words.rstrip(".,;"), passage.text)
            if place is not None:
                citation = _citation(passage, *place)
                found.append(citation)
                return f"“{' '.join(citation.quote.split())}”"
        dropped += 1
        return match[1]

    return _QUOTED.sub(put_right, claim), found, dropped


def locate(words: str, text: str) -> tuple[int, int] | None:
    """Where words stand in a text, whatever its white space, and kinds of quotes and dashes."""
    words = words.strip()
    parts = [_flexible(part) for part in words.split()]
    if not parts:
        return None
    # Not from the middle of a word or number: “3 percent” does not stand in “13 percent”.
    before, after = (r"(?<![\w.,])" if words[0].isdigit() else r"(?<!\w)"), r"(?!\w)"
    pattern = (before if words[0].isalnum() else "") + r"\s+".join(parts) + (after if words[-1].isalnum() else "")
    match = re.search(pattern, text, re.IGNORECASE)
    return (match.start(), match.end()) if match else None


def _flexible(word: str) -> str:
    classes = {
        "'": "['’‘`]",
        "’": "['’‘`]",
        '"': '["“”„]',
        "“": '["“”„]',
        "”": '["“”„]',
        "-": "[-‐‑–—]",
        "–": "[-‐‑–—]",
    }
    return "".join(classes.get(letter, re.escape(letter)) for letter in word)


# --- the sentence that supports a claim ---------------------------------------------------------------------

_TERM = re.compile(r"\d[\d,.]*\d|\d|[^\W\d_]+(?:['’][^\W\d_]+)?")
_EMPTY = frozenset(
    """a an and any are as at be been being but by can could did do does document documents each for from had has have
    he her his if in into is it its may no not of on or passage passages shall she so such than that the their them
    there these they this those to under was we were what when where which who will with would you your""".split()
)


def terms(text: str) -> frozenset[str]:
    """Content words, folded to a rough stem, and numbers without separators."""
    found = (_folded(word) for word in _TERM.findall(text))
    return frozenset(word for word in found if word and word not in _EMPTY)


def _folded(word: str) -> str:
    if word[0].isdigit():
        return word.replace(",", "").rstrip(".")
    word = word.casefold().replace("’", "'").removesuffix("'s")
    for ending in ("ingly", "ations", "ation", "ments", "ment", "ing", "ies", "ied", "ed", "es", "ly", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word.removesuffix(ending)
    return word.removesuffix("e") if len(word) > 4 else word


def _spans(passages: Sequence[Passage]) -> list[_Span]:
    return [
        _Span(number, start, end, terms(passage.text[start:end]))
        for number, passage in enumerate(passages)
        for start, end in sentences(passage.text)
    ]


def _rarity(spans: Sequence[_Span]) -> dict[str, float]:
    """Inverse document frequency over the sentences shown; a number weighs double."""
    frequency = Counter(term for span in spans for term in span.terms)
    return {
        term: math.log(1 + len(spans) / count) * (2 if term[0].isdigit() else 1) for term, count in frequency.items()
    }


def _supporting(content: frozenset[str], named: Sequence[int], work: _Work) -> list[_Span]:
    """The span that supports the claim, or the two that do together; empty where none does well enough."""
    first = _best(content, content, named, work)
    if first is None:
        return []
    covered = _share(content & first.terms, content, work)
    if covered >= work.least:
        return [first]
    second = _best(content - first.terms, content, named, work)
    if second is None or covered + _share(content & second.terms - first.terms, content, work) < work.least:
        return []
    return [first, second]


def _best(wanted: frozenset[str], content: frozenset[str], named: Sequence[int], work: _Work) -> _Span | None:
    """The span with most of the wanted words of a claim, if it has a fair part of them."""
    best: tuple[float, _Span] | None = None
    for span in work.spans:
        support = _share(wanted & span.terms, content, work)
        if support < min(work.least, WEAK):
            continue
        score = support + _ASKED * _share(work.asked & span.terms, work.asked, work)
        score += _NAMED if span.passage in named else 0
        if best is None or score > best[0] + 1e-9:
            best = (score, span)
    return best[1] if best else None


def _share(words: frozenset[str], whole: frozenset[str], work: _Work) -> float:
    """How much of the weight of `whole` these words carry, 0 to 1."""
    total = _weight(whole, work)
    return _weight(words, work) / total if total else 0.0


def _weight(words: frozenset[str], work: _Work) -> float:
    # New words of the claim that no passage has must count against every span, as the rarest there are. What it merely
    # repeats of the question counts less, and not at all where no passage has it.
    echoed = sum(work.weights.get(word, 0.0) for word in words & work.asked)
    new = sum(work.weights.get(word, work.rarest * (2 if word[0].isdigit() else 1)) for word in words - work.asked)
    return _ECHO * echoed + new


def _quote(span: _Span, content: frozenset[str], work: _Work) -> Citation:
    """The span as a citation; a long one is cut to the part that bears the claim."""
    passage = work.passages[span.passage]
    start, end = span.start, span.end
    if end - start > LONGEST_QUOTE:
        start, end = _window(passage.text, start, end, content | work.asked, work.weights)
    return _citation(passage, start, end)


def _window(text: str, start: int, end: int, wanted: frozenset[str], weights: Mapping[str, float]) -> tuple[int, int]:
    """The stretch of at most LONGEST_QUOTE characters, from word to word, with the most of the wanted words."""
    words = [(start + m.start(), start + m.end()) for m in re.finditer(r"\S+", text[start:end])]
    values = [sum(weights.get(term, 0) for term in terms(text[a:b]) & wanted) for a, b in words]
    best, first, total = (-1.0, start, end), 0, 0.0
    for last, (_, stop) in enumerate(words):
        total += values[last]
        while stop - words[first][0] > LONGEST_QUOTE:
            total -= values[first]
            first += 1
            if first > last:
                break
        if first <= last and total > best[0] + 1e-9:
            best = (total, words[first][0], stop)
    return best[1], best[2]


def _citation(passage: Passage, start: int, end: int) -> Citation:
    return Citation(
        library=passage.library, document=passage.document, page=passage.page, label=passage.label, place=passage.place,
        quote=passage.text[start:end], start=passage.start + start, end=passage.start + end, marker=0,
        unit=passage.unit,
    )  # fmt: skip
