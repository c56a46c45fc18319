"""Find names in a text, and who does what in it: the subjects of verbs, and the names of defined terms.

Names are words with capitals; subjects are names, or words after "the", before an English verb.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from localrag import quantities
from localrag.answer.verify import fact_checks
from localrag.quantities import lazy_re
from localrag.store import text_analysis

Words = frozenset[str]

_LISTS = quantities.load_words("localrag.answer", "words.toml")["subjects"]
_FORMS, _HELPERS, _MODALS = (frozenset(_LISTS[name].split()) for name in ("forms", "helpers", "modals"))
COMMON = frozenset().union(*text_analysis.COMMON.values())
_NO_NAME = fact_checks.FRAME | quantities.MONTHS.keys() | quantities.CURRENCIES.keys()
_CAP = r"[a-z]?[A-ZÀ-Þ][\w&’'/-]{0,40}(?:\.[a-z]{2,4}\b)?"
_NAME = lazy_re(rf"(?<![\w.]){_CAP}(?:[ \n](?:(?:of|&|for|de|von)[ \n])?(?:{_CAP}|\d{{1,3}}(?![\w%]|[.,]\d))){{0,6}}")
INSIDE, CAPITAL = lazy_re(rf"(?<=[\w,;:)] ){_CAP}"), lazy_re(rf"\b(?:[A-ZÀ-Þ]{{3,40}}\b|{_CAP}(?=,?\s[A-ZÀ-Þ]))")
_BEGINS = re.compile(r"(?:^|[.!?:•\n\]])[\s\"“'‘(*-]{0,5}$")
_WORD = re.compile(r"[^\W_]+")
PLAIN = re.compile(r"(?<![\w@./’'-])[a-zß-ÿ]{2,40}(?![\w@/]|\.\w)")
_FORM = r"(?i:Inc|Ltd|Corp|Co|LLC|Limited)\b\.?"
_LONG = rf"{_CAP}(?:,?\s{_FORM}|\s(?:(?:of|&)\s)?{_CAP}){{0,6}}"
_WHO = rf"(?:(?:[Tt]he|[Ee]ach)\s)?(?P<who>{_LONG}|(?<=[Tt]he\s)[a-z]{{3,20}})"
_REST = r"(?P<rest>[a-z][a-z’'-]{0,20}(?:\s[a-z][a-z’'-]{0,20}){0,5})"
_SUBJECT = lazy_re(rf"(?<![\w’'-]){_WHO}\s{_REST}")
_ASKED = lazy_re(rf"\b(?i:must|shall|do|does|did|may|can|will|should|is|are|has|have)\s{_WHO}\s{_REST}")
_WHO_DOES, _ALONE = lazy_re(rf"\b[Ww]ho\s{_REST}"), lazy_re(rf"^\W{{0,3}}{_WHO}\W{{0,5}}$")
_DEFINITION, _QUOTED = re.compile(r"\([^()]{0,60}[\"“][^()]{2,100}\)"), re.compile(r"[\"“]([^\"“”]{2,40})[\"”]")
_LEAD = 40  # characters before the subject of a claim: "Under clause 9.3, the Client"


@dataclass(frozen=True, slots=True)
class Name:
    """A name in a text: its words in order, folded, without forms such as "Inc", and where it is."""

    text: str
    start: int
    order: tuple[str, ...]

    @property
    def words(self) -> Words:
        return frozenset(self.order)

    def is_in(self, text: str) -> bool:
        """Whether a text has the words of the name beside each other."""
        beside = r"\W{1,3}".join(map(re.escape, self.order))
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
        words = listed(said)
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


@dataclass(frozen=True, slots=True)
class Act:
    """A subject and the stem of its verb; `duty`: with a word such as "shall"; `plain`: without a capital."""

    who: Words
    text: str
    verb: str
    duty: bool
    plain: bool
    start: int


def acts(text: str, pattern: re.Pattern[str] = _SUBJECT) -> Iterator[Act]:
    """Yield the subjects of a text with their verbs, in order."""
    for match in pattern.finditer(" ".join(text.split())):
        rest, said = match["rest"].split(), match["who"]
        duty = pattern is _ASKED or rest[0] in _MODALS
        ours = [word for word in rest if word not in _HELPERS | COMMON and not word.endswith("ly")]
        who = frozenset(listed(said) or _WORD.findall(said.lower())) - COMMON
        if who and (duty or rest[:1] == ours[:1]) and not said.endswith(("'s", "’s", "s’")):
            stem = text_analysis.stem((ours or rest[-1:])[0], "english")
            yield Act(who, said, stem, duty, said[0].islower(), match.start())


def same(one: Words, other: Words) -> bool:
    """Return whether one name may be short for the other."""
    return one <= other or other <= one


def named_subject(claim: str, question: str) -> str:
    """Return a name that answers who does something as a sentence: "Who must pay?" "The Tenant."; else nothing."""
    alone, asked = _ALONE.search(" ".join(claim.split())), _WHO_DOES.search(question)
    return f"{alone['who']} {asked['rest']}" if alone and asked else ""


def subject(claim: str, question: str) -> Act | None:
    """Return who does what by a claim, or by its question: "Who must pay?" "The Tenant.", "Must it pay?" "Yes."."""
    said = [act for act in acts(claim) if act.duty or not act.start]
    if said and said[0].start < _LEAD:
        return said[0]
    if answer := named_subject(claim, question):
        return next(acts(answer), None)
    return next(iter((*acts(question, _ASKED), *(act for act in acts(question) if act.duty), *said)), None)


@dataclass(frozen=True, slots=True)
class Roles:
    """Who has duties in a document, each with whether it is written without a capital, and names of defined terms."""

    bound: frozenset[tuple[Words, bool]]
    aliases: tuple[tuple[Words, Words], ...]

    def term(self, who: Words) -> Words:
        """Return the defined term of a name, or the name."""
        return next((term for name, term in self.aliases if same(who, name)), who)

    def binds(self, who: Words, plain: bool) -> bool:
        return any(who <= one for one, written in self.bound if written == plain)


def roles(text: str) -> Roles:
    """Return the roles in a document's text."""
    bound = frozenset((act.who, act.plain) for act in acts(text) if act.duty)
    who = {one for one, _ in bound}
    aliases, last = [], 0
    for match in _DEFINITION.finditer(text):
        named = [frozenset(listed(one) or _WORD.findall(one.lower())) - COMMON for one in _QUOTED.findall(match[0])]
        before = text[max(last, match.start() - 300) : match.start()] if who.intersection(named) else ""
        parties = [name.words for name in names(before) if name.words not in who]
        aliases += [(party, term) for term in named if term in who for party in parties]
        last = match.end()
    return Roles(bound, tuple(aliases))
