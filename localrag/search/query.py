"""Read a question before anything is looked up (pure): its terms, phrases, and what it asks about.

Rules, not a model: they cost nothing and can be read. Limits: the rules for `about_whole` and `latest` know English,
German, French and Spanish.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from localrag.store.text_analysis import COMMON, FALLBACK, folded, language, tokens, written

_MAX_TERMS = 48
_DIGIT = re.compile(r"\d")
_QUOTED = re.compile(r'"([^"]+)"|“([^“”]+)”|„([^„“”]+)[“”]|«([^«»]+)»')

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


@dataclass(frozen=True, slots=True)
class Query:
    """A question as a search takes it."""

    text: str
    groups: tuple[tuple[str, ...], ...]  # its content words, each as the terms that stand for it
    names: frozenset[tuple[str, ...]] = frozenset()  # those of them that look like names
    phrases: tuple[tuple[str, ...], ...] = ()  # words that must follow each other, as they are written
    about_whole: bool = False  # it asks for the name, the date, the parties of a document
    latest: bool = False  # it asks for the newest of several documents


def understand(question: str, languages: Sequence[str]) -> Query:
    """Read a question for a search in documents of these languages."""
    groups = _groups(question, languages)
    quoted = [part for match in _QUOTED.finditer(question) for part in match.groups() if part]
    phrases = [phrase for part in quoted if (phrase := tuple(written(part)))]
    if len(groups) <= _MAX_CLAUSE_WORDS:  # in a short question, "12.3" and "4.1(b)" count as phrases in quotes
        phrases += [(folded(match[0]),) for match in _CLAUSE.finditer(question)]
    return Query(
        question,
        groups,
        _names(question, groups, languages),
        tuple(phrases),
        about_whole=len(groups) <= _MAX_WHOLE_WORDS and bool(_WHOLE.search(question)),
        latest=bool(_LATEST.search(question)),
    )


def without(query: Query, groups: Set[tuple[str, ...]], languages: Sequence[str]) -> Query:
    """Return the question without some of its words, also in its text."""
    terms = {term for group in groups for term in group}

    def left(word: str) -> bool:
        by_language = {tuple(token.term for token in tokens(word, name)) for name in languages or [FALLBACK]}
        return not any(own and terms.issuperset(own) for own in by_language)

    text = " ".join(word for word in query.text.split() if left(word))
    return replace(query, text=text, groups=tuple(group for group in query.groups if group not in groups))


def _names(question: str, groups: Sequence[tuple[str, ...]], languages: Sequence[str]) -> frozenset[tuple[str, ...]]:
    """Return the words with a digit, and those with a capital that does not begin a sentence."""
    capitals = language(question) != "german"
    terms: set[str] = set()
    for match in re.finditer(r"\w[\w.'’-]*", question):
        word, before = match[0], question[max(0, match.start() - 16) : match.start()].rstrip("\"'“„«( ")
        begins = not before or before[-1] in ".?!:"
        if _DIGIT.search(word) or (capitals and (word[:2].isupper() or (word[0].isupper() and not begins))):
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
