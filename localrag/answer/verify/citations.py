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

from localrag.answer.verify.locate import Folded, fold, quoted, within
from localrag.store import text_analysis
from localrag.store.sentences import sentences
from localrag.types import Citation, Passage

SUPPORT = 0.5
# Where no sentence of an answer has that much, the likeliest place is cited from here on.
WEAK = 0.2
MAX_QUOTE = 320
# Fewer words, or Chinese or Japanese signs, than these are a term and not a statement.
_FEWEST_QUOTED_WORDS, _FEWEST_QUOTED_SIGNS = 3, 5
# How much the question's own words weigh beside those of the claim, when two places support it equally.
_ASKED = 0.3
# What a claim repeats of the question says less about where it comes from than what it adds.
_ECHO = 0.4
# Fewest words, and characters of each passage, that tell a language.
_FEWEST_TELLING, _SAMPLE = 6, 400
_CJK_SIGN = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
# Where a long sentence may be cut: between words, and between a few Chinese or Japanese signs.
_WORD_OR_SIGNS = re.compile(f"{_CJK_SIGN.pattern}{{1,4}}|(?:(?!{_CJK_SIGN.pattern})\\S){{1,300}}")
# How much the score of a passage, beside that of the best, weighs for a claim that only repeats the question, and the
# least that a second place must have of the first one's fit to be shown beside it.
_FIT, _HARDLY_LESS = 0.3, 0.5
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
    spoken: str
    weights: Mapping[str, float]
    rarest: float
    asked: frozenset[str]
    least: float
    citations: list[Citation] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    dropped: int = 0
    # The words of long sentences, as places to cut them, with their terms.
    cut: dict[tuple[int, int, str], list[tuple[int, int, frozenset[str]]]] = field(default_factory=dict)


def cite(answer: str, question: str, passages: Sequence[Passage]) -> Cited:
    """Tie an answer to its passages.

    Args:
        answer: as the model wrote it, with markers like [2] that number `passages` from 1.
        question: its words help to tell two places apart that support an answer equally.
        passages: what the model was shown, in the order of their numbers.
    """
    answer = _ASIDE.sub(lambda match: " " + match["marks"].replace(" and", ""), answer)
    answer, quotes, dropped = _check_quotes(answer, question, passages)
    spoken = language(f"{question} {answer}", passages)
    spans = _spans(passages, spoken)
    weights = _rarity(spans)
    rarest = max(weights.values(), default=1.0)
    work = _Work(passages, spans, spoken, weights, rarest, terms(question, spoken), SUPPORT, dropped=dropped)
    text = _cite_all(answer, quotes, work)
    if work.unsupported and not work.citations:
        # Better a place to look at than none; the sentences stay marked.
        weak = replace(work, least=WEAK, unsupported=[], dropped=0)
        text = _cite_all(answer, quotes, weak)
    return Cited(text, tuple(work.citations), work.dropped, tuple(work.unsupported))


def language(said: str, passages: Sequence[Passage]) -> str:
    """The language of the stems: of what was asked and answered, and where that does not show, of the passages."""
    own = text_analysis.language(said) if len(said.split()) >= _FEWEST_TELLING else text_analysis.FALLBACK
    if own != text_analysis.FALLBACK:
        return own
    return text_analysis.language(" ".join(passage.text[:_SAMPLE] for passage in passages))


def add(cited: Cited, at: int, passage: Passage, start: int, end: int) -> Cited:
    """The answer with one more citation, of a span of a passage, behind the sentence that holds the offset `at`."""
    citations = list(cited.citations)
    number = _number(_citation(passage, start, end), citations)
    for first, last in claims(cited.text):
        claim = cited.text[first:last]
        if first <= at < last and f"[{number}]" not in claim:
            marks = "".join(f"[{n}]" for n in sorted({*map(int, re.findall(r"\[(\d{1,3})\]", claim)), number}))
            text = cited.text[:first] + _with_marks(_MARKER.sub("", claim), marks) + cited.text[last:]
            return replace(cited, text=text, citations=tuple(citations))
    return cited


def without_markers(text: str) -> str:
    """A text whose markers are blanks, so that offsets stay true."""
    return _MARKER.sub(lambda match: " " * len(match[0]), text)


def _cite_all(answer: str, quotes: Sequence[_Quote], work: _Work) -> str:
    text, end = "", 0
    for start, stop in claims(answer, quotes):
        inside = [citation for quote in quotes if start <= quote.start < stop for citation in quote.citations]
        text += answer[end:start] + _cite_claim(answer[start:stop], inside, work)
        end = stop
    return (text + answer[end:]).strip()


def _cite_claim(claim: str, quoted_in_it: Sequence[Citation], work: _Work) -> str:
    """One sentence of the answer with its markers put right."""
    claim, named = _take_markers(claim, len(work.passages))
    content = terms(claim, work.spoken)
    new = content - work.asked
    supporting = _supporting(content, named, work) if new else _fitting(work)
    found = list(quoted_in_it) or [_quote(span, content, work) for span in supporting]
    if not found and new:
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


def claims(answer: str, quotes: Sequence[_Quote] = ()) -> list[tuple[int, int]]:
    """Sentences of the answer; a marker that stands behind a full stop belongs to the sentence before it, and a quote
    of several sentences is not taken apart."""
    spans: list[tuple[int, int]] = []
    for start, end in sentences(answer):
        inside = any(quote.start < start < quote.end for quote in quotes)
        only_marks = not _MARKER.sub("", answer[start:end]).strip(" .;,")
        if spans and (inside or only_marks):
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

_MARKS = '"“”„‟«»「」『』'
_QUOTED = re.compile(
    rf"[\"“”„‟«»「『](?P<words>(?:[^{_MARKS}\n]|\n(?!\s*\n)){{1,2000}})[\"”“»«」』]"
    r"|(?<!\w)[‘'‚](?P<single>(?:[^'‘’\n]|(?<=\w)['’](?=\w)|(?<=s)['’](?=\ \w)){12,600})['’](?!\w)"
)
# A line that begins with ">" is shown as a quote by whoever draws Markdown.
_BLOCK = re.compile(r"^[ \t]{0,3}>[ \t]?(?P<line>.*)$", re.M)


@dataclass(frozen=True, slots=True)
class _Quote:
    """Words that are shown as a quote: where in the answer, and the places they come from."""

    start: int
    end: int
    citations: tuple[Citation, ...]


def _check_quotes(answer: str, question: str, passages: Sequence[Passage]) -> tuple[str, list[_Quote], int]:
    """Look up quoted words; what is found keeps its marks, with the document's own words, the rest loses them."""
    answer = _BLOCK.sub(lambda match: _of_block(match["line"]), answer)
    if not _QUOTED.search(answer):
        return answer, [], 0
    texts = [fold(passage.text) for passage in passages]
    text, end, dropped = "", 0, 0
    quotes: list[_Quote] = []
    for match in _QUOTED.finditer(answer):
        text += answer[end : match.start()]
        end = match.end()
        inner = match["words"] or match["single"]
        words, marks = _MARKER.sub("", inner), "".join(mark[0] for mark in _MARKER.finditer(inner))
        if match["words"] and _is_short(words) and _named_so(words, [*texts, fold(question)]):
            text += match[0]  # a term, not a statement: it stands there, and needs no place of its own
            continue
        places = quoted(words, texts)
        if not places:
            text += inner
            dropped += 1
            continue
        citations = tuple(_citation(passages[place.text], place.start, place.end) for place in places)
        shown = " … ".join(f"“{' '.join(citation.quote.split())}”" for citation in citations)
        quotes.append(_Quote(len(text), len(text) + len(shown), () if _is_short(words) else citations))
        text += shown + _stop(words) + marks
    return text + answer[end:], quotes, dropped


def _of_block(line: str) -> str:
    inner = line.strip()
    return inner if not inner or re.search(f"[{_MARKS}]", inner) else f'"{inner}"'


def _is_short(words: str) -> bool:
    return len(words.split()) < _FEWEST_QUOTED_WORDS and len(_CJK_SIGN.findall(words)) < _FEWEST_QUOTED_SIGNS


def _named_so(words: str, texts: Sequence[Folded]) -> bool:
    return any(within(words.strip(" .,;:"), text) for text in texts)


def _stop(words: str) -> str:
    """What ended a quoted sentence: the quote ends before it, and the sentence of the answer needs it."""
    found = re.search(r"[.,;]\s*$", words)
    return found[0].strip() if found else ""


# --- the sentence that supports a claim ---------------------------------------------------------------------

# Words of the prompt's frame, beside the commonest of each language, that say nothing of where a claim comes from, and
# Chinese and Japanese signs that do not either.
_EMPTY = frozenset("document documents passage passages shall such under yes ja nein oui non sí sim não sì".split())
_EMPTY_SIGNS = frozenset("的了是在和與与及或之其为為以于於有被把等也就都而对對从從到这這那该該个個一のはがをにでとも")


def terms(text: str, spoken: str = text_analysis.FALLBACK) -> frozenset[str]:
    """Content words as stems of a language, numbers without separators, pairs of Chinese or Japanese signs."""
    common = text_analysis.COMMON[spoken] | _EMPTY
    found = {token.term for token in text_analysis.tokens(text, spoken) if token.word not in common}
    # Pairs change where signs between them are left out; the signs themselves stay.
    return frozenset(found.union(_CJK_SIGN.findall(text)) - _EMPTY_SIGNS)


def _spans(passages: Sequence[Passage], spoken: str) -> list[_Span]:
    return [
        _Span(number, start, end, terms(passage.text[start:end], spoken))
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


def _fitting(work: _Work) -> list[_Span]:
    """The one or two spans that fit the question best, for an answer that has no words of its own: "Yes, it may."

    Two, since the best of them alone misses the place too often (docs/decisions/0034-sufficiency.md).
    """
    top = max((passage.score for passage in work.passages), default=0.0) or 1.0
    scored = [
        (_share(work.asked & span.terms, work.asked, work) + _FIT * work.passages[span.passage].score / top, at)
        for at, span in enumerate(work.spans)
        if _share(work.asked & span.terms, work.asked, work) >= WEAK
    ]
    best = sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:2]
    return [work.spans[at] for score, at in best if score >= _HARDLY_LESS * best[0][0]]


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
    echoed = math.fsum(work.weights.get(word, 0.0) for word in words & work.asked)
    added = words - work.asked
    new = math.fsum(work.weights.get(word, work.rarest * (2 if word[0].isdigit() else 1)) for word in added)
    return _ECHO * echoed + new


def _quote(span: _Span, content: frozenset[str], work: _Work) -> Citation:
    """The span as a citation; a long one is cut to the part that bears the claim."""
    passage = work.passages[span.passage]
    start, end = span.start, span.end
    if end - start > MAX_QUOTE:
        start, end = _window(passage.text, start, end, content | work.asked, work)
    return _citation(passage, start, end)


def _window(text: str, start: int, end: int, wanted: frozenset[str], work: _Work) -> tuple[int, int]:
    """The stretch of at most MAX_QUOTE characters, from word to word, with the most of the wanted words."""
    if (start, end, text) not in work.cut:
        found = [(start + m.start(), start + m.end()) for m in _WORD_OR_SIGNS.finditer(text[start:end])]
        work.cut[start, end, text] = [(a, b, terms(text[a:b], work.spoken)) for a, b in found]
    parts = work.cut[start, end, text]
    words = [(a, b) for a, b, _ in parts]
    values = [math.fsum(work.weights.get(term, 0) for term in own & wanted) for _, _, own in parts]
    best, first, total = (-1.0, start, end), 0, 0.0
    for last, (_, stop) in enumerate(words):
        total += values[last]
        while first <= last and stop - words[first][0] > MAX_QUOTE:
            total -= values[first]
            first += 1
        if first <= last and total > best[0] + 1e-9:
            best = (total, words[first][0], stop)
    return best[1], best[2]


def _citation(passage: Passage, start: int, end: int) -> Citation:
    return Citation(
        library=passage.library, document=passage.document, page=passage.page, label=passage.label, place=passage.place,
        quote=passage.text[start:end], start=passage.start + start, end=passage.start + end, marker=0,
        unit=passage.unit,
    )  # fmt: skip
