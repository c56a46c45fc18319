"""Tie an answer to quotes from the documents, character for character.

Quotes of the model that are not in the passages lose their marks. Each sentence gets the one or two sentences of the
passages that support it best; one that nothing supports is reported. Support is the share of a sentence's content
words, weighted by rarity, that the quote has; numbers count double. It shows where to look, and is no proof.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from operator import attrgetter

from localrag.embeddings.sentence_encoder import Text
from localrag.grounding.locate import fold, quoted, within
from localrag.grounding.stages import Findings
from localrag.quantities import lazy_re, load_patterns, load_words, phrases
from localrag.store import text_analysis
from localrag.store.text_analysis import sentences
from localrag.types import Citation, Passage

# --- find links and commands in an answer, and write links so that no program opens them -------------------------
# A link is an address with a scheme, a host name, an e-mail address, the target of a Markdown link or image, an HTML
# tag. Limits: host names are known by the most used endings, commands by their program.

_WORDS = load_words("localrag.grounding", "words.toml")["links"]
_ENDINGS, _PROGRAMS = ("|".join(_WORDS[name].split()) for name in ("endings", "programs"))
_SHELLS = frozenset(_WORDS["shells"].split())
_HOST = rf"(?:[^\W_](?:[\w-]{{0,61}}[^\W_])?\.){{1,8}}(?:{_ENDINGS})(?![\w-])(?:\.(?!\w)|\b)"
_REST = r"[^\s<>\"“”|\\)\]】]{0,600}"
_LINK = lazy_re(
    rf"""(?P<scheme>(?<![A-Za-z0-9])(?:https?|ftps?|sftp|file|ssh|smb|wss?|ldaps?|data|javascript|vbscript|mailto|tel|sms
            |blob|about|chrome|ms-[a-z]{{2,20}}|intent|market):(?=[^\s]){_REST})
      | (?P<mail>(?<![\w.+-])[\w](?:[\w.+-]{{0,63}})@(?:[\w-]{{1,63}}\.){{1,8}}[A-Za-z]{{2,24}}(?![\w-]))
      | (?P<unc>\\\\[\w.-]{{2,60}}\\[\w$.-]{{1,60}})
      | (?P<host>(?<![\w@.-])(?://)?(?:www\.[\w-]{{1,63}}\.[\w.-]{{2,80}}|{_HOST})(?:[:/?\#]{_REST})?)""",
    re.X | re.I,
)
_TRAILING = ".,;:!?'’*_`"
_MARKDOWN = re.compile(r"(?P<image>!?)\[(?P<label>[^\]\n]{0,300})\]\(\s*<?(?P<target>[^)\s>]{1,600})>?[^)\n]{0,200}\)")
_REFERENCE = re.compile(r"^[ \t]{0,3}\[(?P<label>[^\]\n]{1,100})\]:[ \t]*", re.M)
_TAG = re.compile(
    r"<(?P<tag>/?(?:a|img|script|iframe|link|meta|svg|object|embed|form|input|button|style|video|audio|source|base|body|"
    r"html|area|map|picture|frame|details|math|image)(?![\w-])[^<>\n]{0,600})>?",
    re.I,
)
_COMMANDS = load_patterns("localrag.grounding", "commands.txt", programs=_PROGRAMS)["command"]
_COMMAND = lazy_re(rf"(?<![\w./-])(?:{'|'.join(_COMMANDS)})")
_PROMPTED = re.compile(
    r"^[ \t]*(?:\$(?![ \t]*[\d(])|PS [A-Z]:\\[^>\n]{0,80}>|[A-Z]:\\[^>\n]{0,80}>)[ \t]+\S[^\n`]{0,300}", re.M
)
_FENCE = re.compile(r"^[ \t]{0,3}(?:```+|~~~+)[ \t]*(?P<tongue>[\w+#-]{0,20})[^\n]{0,100}$", re.M)


@dataclass(frozen=True, slots=True)
class Found:
    """A link or a command in a text; half-open offsets."""

    start: int
    end: int
    text: str


def links(text: str) -> Iterator[Found]:
    """Yield everything in a text that a program may open, but targets of Markdown links (see `without_markup`)."""
    for match in _LINK.finditer(text):
        shown = match[0].rstrip(_TRAILING)
        ending = shown.rpartition(".")[2]
        run_on = match.lastgroup == "host" and ending.isalpha() and ending != ending.lower() and not ending.isupper()
        if len(shown) > 3 and not run_on:  # "the lease.It ends"
            yield Found(match.start(), match.start() + len(shown), shown)


def commands(text: str) -> Iterator[Found]:
    """Yield what a shell or an interpreter would run: lines, and blocks marked as code of such a kind."""
    fences = list(_FENCE.finditer(text))
    blocks = [
        (opening.end(), text[opening.end() : closing.start()].strip())
        for opening, closing in zip(fences[::2], fences[1::2], strict=False)
        if opening["tongue"].lower() in _SHELLS
    ]
    lines = (match for pattern in (_PROMPTED, _COMMAND) for match in pattern.finditer(text))
    shown_lines = ((match.start(), match[0].strip().rstrip(".,; \t")) for match in lines)
    taken: list[Found] = []
    for at, shown in chain(blocks, shown_lines):
        start = text.index(shown, at)
        end = start + len(shown)
        if shown and not any(one.start < end and start < one.end for one in taken):
            taken.append(Found(start, end, shown))
            yield taken[-1]


def is_in(found: str, text: str) -> bool:
    """Whether a link or command is in a text as a whole, in any case, with any line ends and scheme."""
    found, text = (re.sub(r"[\u00ad\u200b-\u200f\u2060\ufeff]", "", one.casefold()) for one in (found, text))
    wanted = re.sub(r"^(?:https?:)?//|^mailto:", "", found).removeprefix("www.").rstrip("/")
    # "bank.example" is not in "notmybank.example", nor in "bank.example.evil.test".
    whole = re.compile(rf"(?<![\w@-]){re.escape(wanted)}(?![\w@-]|[.?=&%#][\w%])")
    # A link may be broken at a line end.
    return bool(wanted) and any(map(whole.search, (text, re.sub(r"(?<=[/.?&=_-])\n\s*", "", text))))


def without_markup(text: str) -> str:
    """Return Markdown links, images and references and HTML tags as plain text, with their targets."""

    def spelled(match: re.Match[str]) -> str:
        label, target = match["label"].strip(), match["target"]
        if match["image"]:
            return f"(image “{label}”: {target})" if label else f"(image: {target})"
        if not re.search(r"[./:#?@]", target) or label.isdigit():
            return match[0]  # "paragraph [3](a)"
        return target if label in ("", target) else f"{label} ({target})"

    text = _REFERENCE.sub(r"\g<label>: ", _MARKDOWN.sub(spelled, text))
    return _TAG.sub(r"‹\g<tag>›", text)


def defang(link: str) -> str:
    """Write a link as no program opens it: "hxxps://host[.]example/path", "name[at]host[.]example"."""
    if link.startswith("\\\\"):
        return "[\\\\]" + link[2:]
    parts = re.fullmatch(r"([a-z][a-z\d+.-]*:)?(/*)([^/?#\\]*)(.*)", link, re.I | re.S)
    assert parts is not None
    scheme, lead, host, rest = parts.groups("")
    scheme = "hxxp" + scheme[4:] if scheme.lower().startswith("http") else scheme.replace(":", "[:]")
    return scheme + lead + re.sub(r"(?<!\[)\.(?!\])", "[.]", host).replace("@", "[at]") + rest


MIN_SUPPORT = 0.5
MIN_WEAK_SUPPORT = 0.2  # for the likeliest place of an answer without support
MAX_QUOTE = 320
# Fewer words, or Chinese or Japanese signs, are a term and not a statement.
_MIN_QUOTED_WORDS, _MIN_QUOTED_SIGNS = 3, 5
_QUESTION = 0.3  # weight of the question's words beside the claim's, if two places support it equally
_ECHO = 0.4  # weight of a claim's words that repeat the question
# Words of a text, and characters of each passage, that are enough to detect a language.
_MIN_LANGUAGE_WORDS, _SAMPLE = 6, 400
_CJK_SIGN = lazy_re("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
# A long sentence may be cut between words, and between a few Chinese or Japanese signs.
_WORD_OR_SIGNS = lazy_re(f"{_CJK_SIGN.pattern}{{1,4}}|(?:(?!{_CJK_SIGN.pattern})\\S){{1,300}}")
# For a claim that only repeats the question: weight of a passage's score relative to the best, and the share of the
# best place's fit that a second place must have to be cited too.
_SCORE, _MIN_SECOND = 0.3, 0.5
_MIN_RUNNING, _PAGE_NUMBER = 3, re.compile(r"^\d{1,4}\b|\b\d{1,4}$")
_MIN_NEAREST = 4  # content words of a sentence that comes nearest; a heading has fewer
_MAX_COMPARED = 400  # sentences compared by meaning, those with most of the question's words
_NAMED = 0.25  # added for a passage that the model named
_ROUNDING = 1e-9  # shares that are equal but for rounding are equal


# Tells how near the sentences of texts come to the question by meaning; nothing where that is not known.
Similar = Callable[[Sequence[Text]], Sequence[Sequence[float]]]


def unknown(texts: Sequence[Text]) -> Sequence[Sequence[float]]:
    """Return that nothing is known of how near sentences come to a question."""
    return ()


@dataclass(frozen=True, slots=True)
class _Span:
    """A span of a passage that can be quoted; offsets into its text."""

    passage: int
    start: int
    end: int
    terms: frozenset[str]


@dataclass(slots=True)
class _Work:
    """What citing one answer needs and collects."""

    passages: Sequence[Passage]
    spans: list[_Span]
    language: str
    weights: Mapping[str, float]
    rarest: float
    question: frozenset[str]
    min_support: float
    similar: Similar = unknown
    citations: list[Citation] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)
    dropped: int = 0
    running: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # how often a line stands in its document
    # The words of long sentences with their terms: where to cut.
    cuts: dict[_Span, list[tuple[int, int, frozenset[str]]]] = field(default_factory=dict)


def cite(answer: str, question: str, passages: Sequence[Passage], similar: Similar = unknown) -> Findings:
    """Tie an answer to its passages.

    Args:
        answer: as the model wrote it, with markers like [2] that number `passages` from 1.
        question: its words decide between two places that support an answer equally.
        passages: what the model was shown, in order.
        similar: tells how near sentences come to the question by meaning, for an answer that only repeats it.
    """
    answer = _ASIDE.sub(lambda match: " " + match["marks"].replace(" and", ""), answer)
    answer, quotes, dropped = _check_quotes(answer, question, passages)
    work = _work(question, passages, language(f"{question} {answer}", passages), similar, dropped)
    text = _cite_all(answer, quotes, work)
    if work.unsupported and not work.citations:
        # Better a place to look at than none; the sentences stay unsupported.
        weak = replace(work, min_support=MIN_WEAK_SUPPORT, unsupported=[], dropped=0)
        text = _cite_all(answer, quotes, weak)
    return Findings(
        text,
        citations=tuple(work.citations),
        citations_dropped=work.dropped,
        unsupported=tuple(work.unsupported),
    )


def nearest(
    question: str, passages: Sequence[Passage], similar: Similar = unknown, count: int = 2
) -> tuple[Citation, ...]:
    """Return the sentences that come nearest to a question, the best first; they are not its answer.

    By meaning where `similar` tells it, else the one or two that have most of its words.
    """
    work = _work(question, passages, language(question, passages), similar)
    spans = _fitting(work, count)
    return tuple(cite_span(passages[span.passage], *_window(span, work.question, work)) for span in spans)


def relevant_sentences(question: str, passages: Sequence[Passage], count: int) -> list[Passage]:
    """Return passages in their order with only those of their sentences that have most of a question's rare words."""
    work = _work(question, passages, language(question, passages))
    best = sorted(work.spans, key=lambda span: -_share(work.question & span.terms, work.question, work))[:count]
    found = []
    for number, passage in enumerate(passages):
        own = sorted(_window(span, work.question, work) for span in best if span.passage == number)
        if own:
            found.append(replace(passage, text="\n".join(passage.text[start:end] for start, end in own)))
    return found


def _work(
    question: str, passages: Sequence[Passage], stems: str, similar: Similar = unknown, dropped: int = 0
) -> _Work:
    spans = [
        _Span(number, start, end, terms(passage.text[start:end], stems))
        for number, passage in enumerate(passages)
        for start, end in sentences(passage.text)
    ]
    # Inverse document frequencies over the sentences; a number weighs double.
    counts = Counter(term for span in spans for term in span.terms)
    weights = {term: math.log(1 + len(spans) / n) * (2 if term[0].isdigit() else 1) for term, n in counts.items()}
    rarest = max(weights.values(), default=1.0)
    asked = terms(question, stems)
    return _Work(passages, spans, stems, weights, rarest, asked, MIN_SUPPORT, similar, dropped=dropped)


def language(text: str, passages: Sequence[Passage]) -> str:
    """Return the language to stem in: that of question and answer, or of the passages if it cannot be detected."""
    own = text_analysis.language(text) if len(text.split()) >= _MIN_LANGUAGE_WORDS else text_analysis.FALLBACK
    if own != text_analysis.FALLBACK:
        return own
    return text_analysis.language(" ".join(passage.text[:_SAMPLE] for passage in passages))


def add(cited: Findings, at: int, passage: Passage, start: int, end: int) -> Findings:
    """Return the answer with one more citation, after the sentence at the offset `at`."""
    citations = list(cited.citations)
    number = _number(cite_span(passage, start, end), citations)
    for first, last in claims(cited.answer):
        claim = cited.answer[first:last]
        if first <= at < last and f"[{number}]" not in claim:
            numbers = {*map(int, re.findall(r"\[(\d{1,3})\]", claim)), number}
            text = cited.answer[:first] + _with_marks(_MARKER.sub("", claim), numbers) + cited.answer[last:]
            return replace(cited, answer=text, citations=tuple(citations))
    return cited


def without_markers(text: str) -> str:
    """Replace markers by spaces, so that offsets stay."""
    return _MARKER.sub(lambda match: " " * len(match[0]), text)


def _cite_all(answer: str, quotes: Sequence[_Quote], work: _Work) -> str:
    text, end = "", 0
    for start, stop in claims(answer, quotes):
        inside = [citation for quote in quotes if start <= quote.start < stop for citation in quote.citations]
        text += answer[end:start] + _cite_claim(answer[start:stop], inside, work)
        end = stop
    return (text + answer[end:]).strip()


def _cite_claim(claim: str, quotes: Sequence[Citation], work: _Work) -> str:
    """Return one sentence of the answer with its own markers."""
    numbers = (int(number) - 1 for match in _MARKER.finditer(claim) for number in re.findall(r"\d+", match[1]))
    named = {number for number in numbers if 0 <= number < len(work.passages)}
    claim = _MARKER.sub("", claim)
    content = terms(claim, work.language)
    new = content - work.question
    found = list(quotes)
    if not found:
        spans = _supporting(content, named, work) if new else _fitting(work)
        found = [cite_span(work.passages[span.passage], *_window(span, content, work)) for span in spans]
    if not found and content:
        work.unsupported.append(claim.strip())
        work.dropped += len(named)
    return _with_marks(claim, {_number(citation, work.citations) for citation in found})


(_ASIDE,) = phrases("localrag.grounding", "citations", "aside")
_MARKER = re.compile(r"(?<!\s)\s*[\[【](?:passages? ?)?(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)[\]】]")


def claims(answer: str, quotes: Sequence[_Quote] = ()) -> list[tuple[int, int]]:
    """Return the sentences of an answer: a marker after a full stop belongs to the sentence before, and a quote of
    several sentences stays whole."""
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


def _with_marks(claim: str, numbers: Iterable[int]) -> str:
    if not (marks := "".join(f"[{number}]" for number in sorted(numbers))):
        return claim
    body = claim.rstrip()
    stop = body[-1:] if body[-1:] in ".!?" else ""
    return f"{body.removesuffix(stop)} {marks}{stop}{claim[len(body) :]}"


def _number(citation: Citation, citations: list[Citation]) -> int:
    """Return the number of a citation, adding it if it is new."""
    key = attrgetter("library", "document", "page", "start", "end")
    for known in citations:
        if key(known) == key(citation):
            return known.marker
    citations.append(replace(citation, marker=len(citations) + 1))
    return len(citations)


_MARKS = '"“”„‟«»「」『』'
_QUOTED = re.compile(
    rf"[\"“”„‟«»「『](?P<words>(?:[^{_MARKS}\n]|\n(?![^\S\n]{{0,99}}\n)){{1,2000}})[\"”“»«」』]"
    r"|(?<!\w)[‘'‚](?P<single>(?:[^'‘’\n]|(?<=\w)['’](?=\w)|(?<=s)['’](?=\ \w)){12,600})['’](?!\w)"
)
# Markdown shows a line that begins with ">" as a quote.
_BLOCK = re.compile(r"^[ \t]{0,3}>[ \t]?(?P<line>.*)$", re.M)


@dataclass(frozen=True, slots=True)
class _Quote:
    """A quote in the answer: its span there, and the places that it comes from."""

    start: int
    end: int
    citations: tuple[Citation, ...]


def _check_quotes(answer: str, question: str, passages: Sequence[Passage]) -> tuple[str, list[_Quote], int]:
    """Look up quoted words: those found become the document's own words, the others lose their marks."""
    for match in reversed(list(_BLOCK.finditer(answer))):
        line = match["line"].strip()
        marked = line if not line or re.search(f"[{_MARKS}]", line) else f'"{line}"'
        answer = answer[: match.start()] + marked + answer[match.end() :]
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
        short = len(words.split()) < _MIN_QUOTED_WORDS and len(_CJK_SIGN.findall(words)) < _MIN_QUOTED_SIGNS
        if match["words"] and short and any(within(words.strip(" .,;:"), one) for one in (*texts, fold(question))):
            text += match[0]  # a term, not a statement: it needs no place
            continue
        places = quoted(words, texts)
        if not places:
            text += inner
            dropped += 1
            continue
        citations = tuple(cite_span(passages[place.text], place.start, place.end) for place in places)
        shown = " … ".join(f"“{' '.join(citation.quote.split())}”" for citation in citations)
        quotes.append(_Quote(len(text), len(text) + len(shown), () if short else citations))
        # The quote ends before the stop of its sentence, which the answer's sentence needs.
        stop = re.search(r"[.,;]\s*$", words)
        text += shown + (stop[0].strip() if stop else "") + marks
    return text + answer[end:], quotes, dropped


# Beside the commonest words of each language: words and Chinese and Japanese signs that say nothing about the source.
_EMPTY = frozenset("document documents passage passages shall such under yes ja nein oui non sí sim não sì".split())
_EMPTY_SIGNS = frozenset("的了是在和與与及或之其为為以于於有被把等也就都而对對从從到这這那该該个個一のはがをにでとも")


def terms(text: str, language: str = text_analysis.FALLBACK) -> frozenset[str]:
    """Return content words as stems, numbers without separators, pairs of Chinese or Japanese signs."""
    common = text_analysis.COMMON[language] | _EMPTY
    found = {token.term for token in text_analysis.tokens(text, language) if token.word not in common}
    # Pairs change if a sign between them is left out; single signs do not.
    return frozenset(found.union(_CJK_SIGN.findall(text)) - _EMPTY_SIGNS)


def _supporting(content: frozenset[str], named: Collection[int], work: _Work) -> list[_Span]:
    """Return the span that supports a claim, or the two that do together; none if the support is too small."""
    first = _best(content, content, named, work)
    second = None
    if first is not None and _share(content & first.terms, content, work) < work.min_support - _ROUNDING:
        second = _best(content - first.terms, content, named, work)
    spans = [span for span in (first, second) if span is not None]
    covered = content.intersection(chain.from_iterable(span.terms for span in spans))
    return spans if _share(covered, content, work) >= work.min_support - _ROUNDING else []


def _fitting(work: _Work, count: int = 2) -> list[_Span]:
    """Return the spans that fit the question best, for an answer without words of its own: "Yes, it may."

    None where no span shares words with it. By words the best alone misses the place too often, so there are two
    (docs/decisions/0034-sufficiency.md); by meaning `count` (docs/decisions/0062-certainty.md).
    """
    shares = {span: _share(work.question & span.terms, work.question, work) for span in work.spans}
    statements = _statements(work)
    top = max((passage.score for passage in work.passages), default=0.0) or 1.0
    scored = [
        (shares[span] + _SCORE * work.passages[span.passage].score / top, span)
        for span in statements
        if shares[span] >= MIN_WEAK_SUPPORT
    ]
    best = sorted(scored, key=lambda pair: -pair[0])[:2]
    compared = sorted(work.spans, key=lambda span: -shares[span])[:_MAX_COMPARED] if best else []
    if fits := _by_meaning(compared, work):
        return sorted((span for span in statements if span in fits), key=lambda span: -fits[span])[:count]
    return [span for score, span in best if score >= _MIN_SECOND * best[0][0]]


def _statements(work: _Work) -> list[_Span]:
    """Return the spans that say something, each place once: no headings, no headers and footers."""
    places: dict[tuple[object, ...], _Span] = {}  # passages may overlap
    for span in work.spans:
        passage = work.passages[span.passage]
        if len(span.terms) >= _MIN_NEAREST and not _running(span, work):
            places.setdefault((passage.library, passage.document, passage.page, passage.start + span.start), span)
    return list(places.values())


def _by_meaning(spans: Sequence[_Span], work: _Work) -> dict[_Span, float]:
    """Return how near spans come to the question by meaning, read among each other; nothing where that is not known."""
    by_passage: dict[int, list[_Span]] = {}
    for span in sorted(spans, key=lambda one: (one.passage, one.start)):
        by_passage.setdefault(span.passage, []).append(span)
    texts = [Text.of(work.passages[n], ((one.start, one.end) for one in own)) for n, own in by_passage.items()]
    rows = work.similar(texts)
    return dict(zip(chain.from_iterable(by_passage.values()), chain.from_iterable(rows), strict=bool(rows)))


def _running(span: _Span, work: _Work) -> bool:
    """Return whether a span stands at several places but for a number at its ends, as headers and footers do."""
    if not work.running:
        seen: dict[tuple[str, str, str], set[tuple[int | None, int]]] = {}
        for one in work.spans:
            passage = work.passages[one.passage]
            place = passage.page, passage.start + one.start
            seen.setdefault(_line(one, work), set()).add(place)
        work.running = Counter({line: len(places) for line, places in seen.items()})
    return work.running[_line(span, work)] >= _MIN_RUNNING


def _line(span: _Span, work: _Work) -> tuple[str, str, str]:
    passage = work.passages[span.passage]
    text = _PAGE_NUMBER.sub("", " ".join(passage.text[span.start : span.end].split()))
    return passage.library, passage.document, text


def _best(wanted: frozenset[str], content: frozenset[str], named: Collection[int], work: _Work) -> _Span | None:
    """Return the span with most of the wanted words of a claim, if it has enough of them."""
    best: tuple[float, _Span] | None = None
    for span in work.spans:
        support = _share(wanted & span.terms, content, work)
        if support < min(work.min_support, MIN_WEAK_SUPPORT):
            continue
        score = support + _QUESTION * _share(work.question & span.terms, work.question, work)
        score += _NAMED if span.passage in named else 0
        if best is None or score > best[0] + _ROUNDING:
            best = (score, span)
    return best[1] if best else None


def _share(words: frozenset[str], whole: frozenset[str], work: _Work) -> float:
    """Return the share of the weight of `whole` that these words have."""
    total = _weight(whole, work)
    return _weight(words, work) / total if total else 0.0


def _weight(words: frozenset[str], work: _Work) -> float:
    # A new word that no passage has counts against every span, as much as the rarest. A word of the question counts
    # less, and nothing if no passage has it.
    echoed = math.fsum(work.weights.get(word, 0.0) for word in words & work.question)
    added = words - work.question
    new = math.fsum(work.weights.get(word, work.rarest * (2 if word[0].isdigit() else 1)) for word in added)
    return _ECHO * echoed + new


def _window(span: _Span, content: frozenset[str], work: _Work) -> tuple[int, int]:
    """Return a span, or the part of at most MAX_QUOTE characters, from word to word, that supports the claim best."""
    if span.end - span.start <= MAX_QUOTE:
        return span.start, span.end
    text = work.passages[span.passage].text
    if span not in work.cuts:
        words = _WORD_OR_SIGNS.finditer(text, span.start, span.end)
        work.cuts[span] = [(m.start(), m.end(), terms(m[0], work.language)) for m in words]
    parts = work.cuts[span]
    wanted = content | work.question
    values = [math.fsum(work.weights.get(term, 0) for term in own & wanted) for _, _, own in parts]
    best, first, total = (-1.0, span.start, span.end), 0, 0.0
    for last, (_, stop, _) in enumerate(parts):
        total += values[last]
        while first <= last and stop - parts[first][0] > MAX_QUOTE:
            total -= values[first]
            first += 1
        if first <= last and total > best[0] + _ROUNDING:
            best = (total, parts[first][0], stop)
    return best[1:]


def clip(text: str, span: tuple[int, int], words: tuple[int, int]) -> tuple[int, int]:
    """Return a span of a text, or the part of at most MAX_QUOTE characters that has some words, from word to word."""
    (first, last), (start, end) = span, words
    if last - first > MAX_QUOTE:
        begin = first if end - first <= MAX_QUOTE else max(first, min(start, end - MAX_QUOTE // 2) - MAX_QUOTE // 2)
        while first < begin < start and not text[begin - 1].isspace():
            begin += 1
        stop = min(last, begin + MAX_QUOTE)
        while end < stop < last and not text[stop].isspace():
            stop -= 1
        first, last = begin, stop
    return first, last


def cite_span(passage: Passage, start: int, end: int) -> Citation:
    """Return the citation of a span of a passage, without a number."""
    return Citation(
        library=passage.library,
        document=passage.document,
        page=passage.page,
        label=passage.label,
        place=passage.place,
        quote=passage.text[start:end],
        start=passage.start + start,
        end=passage.start + end,
        marker=0,
        unit=passage.unit,
    )
