"""Read a text for a search (pure): its terms, phrases, and what it asks about.

Rules, not a model: they cost nothing and can be read. Limits: the rules for `about_whole` and `latest` know English,
German, French and Spanish; those that tell instructions from content, English and some German.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace

from localrag.quantities import lazy_re, load_patterns
from localrag.store.text_analysis import COMMON, FALLBACK, folded, language, tokens, written
from localrag.text import structure_numbers

_MAX_TERMS = 48
# A longer question is pasted text: only its words and quotations are read.
_MAX_CHARACTERS = 2000
_DIGIT = re.compile(r"\d")
# An apostrophe opens a quotation only before a word, and closes it only behind one: "the parties' rights" is none.
QUOTED = (
    r'"([^"]+)"|“([^“”]+)”|„([^„“”]+)[“”]|«([^«»]+)»'
    r"|(?<!\w)['‘](?!\d\ds)((?:[^\s'‘’.?!;]|(?<=\w)['’](?=\w)|(?<=\S)[ .](?=\S)){2,60}?)['’](?!\w)"
)
_QUOTED = re.compile(QUOTED)

# A short question for one of these is answered at the beginning of a document: its cover, letterhead or parties.
_WHOLE = re.compile(
    r"""\b(?: names? | title[ds]? | date[ds]? | part(?:y|ies) | sign(?:ed|ator(?:y|ies)) | author[s]? | wrote | written
      | effective | subject | sender | issued | published
      | titel | datum | parteien | vertragsparteien | unterzeichnet | verfasser | autor(?:en)? | absender
      | titre | parties | signé | auteurs? | expéditeur
      | título | fecha | partes | firm(?:ó|ado|aron) | autor(?:es)? | remitente )\b""",
    re.I | re.X,
)
_MAX_WHOLE_WORDS, _MAX_CLAUSE_WORDS = 5, 4
_CLAUSE = re.compile(
    r"(?<![\w.,])\d+(?:\.\d+)+(?:\([a-z0-9]{1,4}\))*(?![\w,])|(?<![\w.,])\d+(?:\([a-z0-9]{1,4}\))+", re.I
)

_LATEST = re.compile(
    r"""\b(?: latest | most\ recent | newest | neuest\w* | aktuellst\w* | jüngst\w* | letzte[nrs]? | plus\ récent\w*
      | dernier | dernière | más\ reciente | últim[oa] )\b""",
    re.I | re.X,
)

_PATTERNS = load_patterns("localrag.question", "lookup.txt")
_INSTRUCTION, _LEAD, _TAIL, _FORMULA, _OPERATOR, _DEFINITION = (
    lazy_re("|".join(f"(?:{pattern})" for pattern in _PATTERNS[name]), re.I)
    for name in ("instruction", "lead", "tail", "formula", "operator", "definition")
)
# Names of the same thing, and what it is computed from.
_PARTS, _RATIOS = (
    [tuple(part.split("; ") for part in line.split(" = ")) for line in _PATTERNS[name]] for name in ("parts", "ratios")
)
_STATEMENTS = 3  # the first of the parts, where the figures of a formula are
_SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z\"“„«‘'])")
_ASKED = re.compile(
    r"[,:]\s+(?=(?:what|how|which|who|whose|when|where|why|is|are|was|were|does|do|did|has|have|can|could)\b)", re.I
)
# What names something is content: "According to the Orlo lease, ...".
_NAMING = re.compile(r"(?<=\s)[A-Z]\w+|\d\d")
_MIN_ASKED_WORDS, _MIN_LETTERS, _MAX_FIGURES = 3, 3, 4


@dataclass(frozen=True, slots=True)
class Lookup:
    """A question, or another text, as a search takes it."""

    text: str  # without how it is to be answered
    groups: tuple[tuple[str, ...], ...]  # its content words, each as the terms that stand for it
    names: frozenset[tuple[str, ...]] = frozenset()  # those of them that look like names
    phrases: tuple[tuple[str, ...], ...] = ()  # words that must follow each other, as they are written
    defined: tuple[str, ...] = ()  # the term whose definition is asked for, as it is written
    about_whole: bool = False  # it asks for the name, the date, the parties of a document
    latest: bool = False  # it asks for the newest of several documents
    figures: tuple[str, ...] = ()  # what a formula in it consists of, each to be looked up by itself
    parts: tuple[str, ...] = ()  # how parts of documents that it points to may be called
    numbers: frozenset[tuple[str, str]] = frozenset()  # of such parts: ("item", "7")


def read(question: str, languages: Sequence[str]) -> Lookup:
    """Read a question for a search in documents of these languages."""
    start = question[:_MAX_CHARACTERS]
    text, rest, figures = _content(question) if start == question else (question, (), ())
    parts = list(_lines_of(_PARTS, start)) or list(_PARTS[:_STATEMENTS] if figures else ())
    groups = _groups(text, languages)
    quoted = [part for match in _QUOTED.finditer(question) for part in match.groups() if part]
    phrases = [phrase for part in quoted if (phrase := tuple(written(part)))]
    if len(groups) <= _MAX_CLAUSE_WORDS:  # in a short question, "12.3" and "4.1(b)" count as phrases in quotes
        phrases += [(folded(match[0]),) for match in _CLAUSE.finditer(question)]
    meaning = _DEFINITION.search(text, 0, _MAX_CHARACTERS)
    defined = tuple(written(next(filter(None, meaning.groups()), ""))) if meaning else ()
    return Lookup(
        text,
        groups,
        _names(text, groups, languages),
        tuple(phrases),
        defined,
        about_whole=len(groups) <= _MAX_WHOLE_WORDS and bool(_WHOLE.search(question)),
        latest=bool(_LATEST.search(question)),
        figures=figures,
        parts=(*rest, *(name for line in parts for name in line[0])),
        numbers=frozenset(structure_numbers(start)),
    )


def _content(question: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return what a question asks, what it says of how to answer, and the figures of the formula that it needs."""
    kept: list[str] = []
    rest: list[str] = []
    figures: list[str] = []
    for sentence in _SENTENCE.split(" ".join(question.split())):
        asked = _ASKED.search(sentence)
        if asked and _LEAD.search(sentence, 0, asked.start()) and not _NAMING.search(sentence, 0, asked.start()):
            rest.append(sentence[: asked.start()])
            sentence = sentence[asked.end() :]
        asks = sentence.endswith("?")
        if not asks and (formula := _FORMULA.search(sentence)):
            parts = (" ".join(part.split()) for part in _OPERATOR.split(sentence[formula.end() :]))
            figures += [part for part in parts if sum(map(str.isalpha, part)) >= _MIN_LETTERS]
        elif not asks and _INSTRUCTION.match(sentence):
            rest.append(sentence)
        else:
            if (tail := _TAIL.search(sentence)) and not _NAMING.search(tail[0]):
                rest.append(tail[0])
                sentence = f"{sentence[: tail.start()]}?"
            kept.append(sentence)
    text = " ".join(kept) if rest or figures else question
    if len(text.split()) < _MIN_ASKED_WORDS:
        return question, (), ()
    figures = figures or next((line[1] for line in _lines_of(_RATIOS, text)), [])
    return text, tuple(rest), tuple(dict.fromkeys(figures))[:_MAX_FIGURES]


def _lines_of(lines: Sequence[tuple[list[str], ...]], question: str) -> Iterator[tuple[list[str], ...]]:
    """Yield the lines of which the question says a name, in the singular or the plural."""
    asked = _singular(question)
    yield from (line for line in lines if any(_singular(name) in asked for name in line[0]))


def _singular(text: str) -> str:
    return f" {' '.join(word.removesuffix('s') for word in written(text))} "


def without(lookup: Lookup, groups: Set[tuple[str, ...]], languages: Sequence[str]) -> Lookup:
    """Return the question without some of its words, also in its text."""
    terms = {term for group in groups for term in group}

    def left(word: str) -> bool:
        by_language = {tuple(token.term for token in tokens(word, name)) for name in languages or [FALLBACK]}
        return not any(own and terms.issuperset(own) for own in by_language)

    text = " ".join(word for word in lookup.text.split() if left(word))
    return replace(lookup, text=text, groups=tuple(group for group in lookup.groups if group not in groups))


def _names(question: str, groups: Sequence[tuple[str, ...]], languages: Sequence[str]) -> frozenset[tuple[str, ...]]:
    """Return the words with a digit, and those with a capital that does not begin a sentence."""
    capitals = language(question) != "german"
    terms: set[str] = set()
    for match in re.finditer(r"\w[\w.'’-]*", question):
        word, before = match[0], question[max(0, match.start() - 16) : match.start()].rstrip("\"'“„«‘( ")
        begins = not before or before[-1] in ".?!:"
        inside = any(map(str.isupper, word[1:]))  # "IBM", "iPass"
        if _DIGIT.search(word) or (capitals and (inside or (word[0].isupper() and not begins))):
            terms |= {token.term for name in languages or [FALLBACK] for token in tokens(word, name)}
    return frozenset(group for group in groups if set(group) <= terms)


def _groups(question: str, languages: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    # The stop words of the question's language, or of all the library's where that is not one of them.
    own = language(question)
    chosen = [own] if own in languages else languages or [FALLBACK]
    common = {folded(word) for name in chosen for word in COMMON[name]}
    terms: dict[str, dict[str, None]] = {}
    for name in languages or [FALLBACK]:
        for token in tokens(question, name):
            terms.setdefault(token.word, {})[token.term] = None
    # "qu'est": a common word may be attached to another.
    content = {word: forms for word, forms in terms.items() if word.rpartition("'")[2] not in common} or terms
    # Two forms of one word are one word.
    return tuple(dict.fromkeys(tuple(forms) for forms in content.values()))[:_MAX_TERMS]
