"""Find names in a text, and the subjects of its verbs.

Names are words with capitals; subjects are names, words after "the", "you" and "we", before an English verb.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from localrag import quantities
from localrag.quantities import lazy_re
from localrag.store import text_analysis

_LISTS = quantities.load_words("localrag.grounding", "words.toml")["subjects"]
FRAME, _FORMS, _HELPERS, _MODALS = (frozenset(_LISTS[name].split()) for name in ("frame", "forms", "helpers", "modals"))
COMMON = frozenset().union(*text_analysis.COMMON.values())
_NO_NAME = FRAME | quantities.MONTHS.keys() | quantities.CURRENCIES.keys()
_CAP = r"[a-z]?[A-ZÀ-Þ][\w&’'/-]{0,40}(?:\.[a-z]{2,4}\b)?"
_NAME = lazy_re(rf"(?<![\w.]){_CAP}(?:[ \n](?:(?:of|&|for|de|von)[ \n])?(?:{_CAP}|\d{{1,3}}(?![\w%]|[.,]\d))){{0,6}}")
INSIDE = lazy_re(rf"(?<=[\w,;:)] ){_CAP}")
_BEGINS = re.compile(r"(?:^|[.!?:•\n\]])[\s\"“'‘(*-]{0,5}$")
_WORD = re.compile(r"[^\W_]+")
# Also each part of "pre-existing".
PLAIN = re.compile(r"(?:(?<![\w@./’'-])|(?<=[a-zß-ÿ]{2}-))[a-zß-ÿ]{2,40}(?![\w@/]|\.\w)")
_FORM = rf"(?i:{'|'.join(sorted(_FORMS - {'the', 'company'}, reverse=True))})\b(?:\.(?=,|\s[a-z(&]))?"
_LONG = rf"{_CAP}(?:,?\s{_FORM}|\s(?:(?:of|&|(?:and|or)(?:\sthe)?)\s)?{_CAP}){{0,6}}"
_JOINS, _DUTY = r"(?:of|to|for|in|by|with|from|and|or|that|which)\b", r"(?:shall|must|will|may|agrees)\b"
_SMALL = rf"(?:(?!{_JOINS})[a-z]{{2,20}}\s){{1,2}}[a-z]{{3,20}}(?=\s{_DUTY})"
_SUBJECT = lazy_re(
    rf"(?<![\w’'-])(?:(?:[Tt]he|[Ee]ach)\s)?(?P<who>{_LONG}|(?<=[Tt]he\s)(?:{_SMALL}|[a-z]{{3,20}})|you|we)"
    r"\s(?P<rest>[a-z][a-z’'-]{0,20}(?:\s[a-z][a-z’'-]{0,20}){0,5})"
)
_BESIDE = re.compile(r"\b(?:with|between|by)\s$")
_CAPITALS = re.compile(r"\b(?:SHALL|MUST|WILL|MAY|NOT)\b")


@dataclass(frozen=True, slots=True)
class Name:
    """A name in a text: its words in order, folded, without forms such as "Inc", and where it is."""

    text: str
    start: int
    order: tuple[str, ...]

    @property
    def words(self) -> frozenset[str]:
        return frozenset(self.order)

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def is_in(self, text: str) -> bool:
        """Whether a text has the words of the name beside each other."""
        beside = r"(?:[’']s)?\W{1,3}".join(map(re.escape, self.order))
        return bool(re.search(rf"(?<!\w){beside}(?!\w)", text, re.I))


def listed(text: str) -> list[str]:
    """Return the words of a text, in lower case, without forms of companies."""
    return [word for word in _WORD.findall(text.lower()) if word not in _FORMS]


def names(text: str, known: Collection[str] = ()) -> Iterator[Name]:
    """Yield names; a single word that begins a sentence is one if it is `known` to have a capital elsewhere."""
    for match in _NAME.finditer(text):
        parts, start = match[0].split(), match.start()
        while parts and (len(parts[0]) < 2 or re.sub(r"[’']s?$", "", parts[0]).lower() in COMMON):
            start += len(parts.pop(0)) + 1
        said = re.sub(r"[’']s?$", "", " ".join(parts))
        words = listed(re.sub(r"[’']s\b", "", said))
        plain = {part.lower() for part in parts if not part.isdigit()}
        if not words or max(map(len, words)) < 3 or plain <= _NO_NAME or (words[0] in _NO_NAME and len(parts) == 2):
            continue
        if (
            len(parts) > 1
            or said != parts[0]
            or not _BEGINS.search(text, max(0, start - 20), start)
            or words[0] in known
        ):
            yield Name(said, start, tuple(words))


def acts(text: str) -> Iterator[tuple[int, str]]:
    """Yield where the subjects of a text with their verbs are, and who they are, in order.

    Offsets are those of the text with single spaces.
    """
    text = _CAPITALS.sub(lambda word: word[0].lower(), " ".join(text.split()))
    for match in _SUBJECT.finditer(text):
        rest, who = match["rest"].split(), match["who"]
        if _BESIDE.search(text, max(0, match.start() - 8), match.start()) or who.endswith(("'s", "’s", "s’")):
            continue  # "The contract with Delta Retail is governed"
        verbs = [word for word in rest if word not in _HELPERS | COMMON and not word.endswith("ly")]
        if rest[0] in _MODALS or rest[:1] == verbs[:1]:
            yield match.start(), who
