"""Find names in a text, and who does what in it: the subjects of verbs, and the names of defined terms.

Names are words with capitals; subjects are names, words after "the", "you", "we" and "I", before an English verb.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterator, Sequence
from dataclasses import dataclass

from localrag import quantities
from localrag.quantities import lazy_re
from localrag.store import text_analysis

Words = frozenset[str]

_LISTS = quantities.load_words("localrag.grounding", "words.toml")["subjects"]
FRAME, _FORMS, _HELPERS, _MODALS, EVERYONE, SPEAKERS = (
    frozenset(_LISTS[name].split()) for name in ("frame", "forms", "helpers", "modals", "everyone", "speakers")
)
COMMON = frozenset().union(*text_analysis.COMMON.values())
_NO_NAME = FRAME | quantities.MONTHS.keys() | quantities.CURRENCIES.keys()
_CAP = r"[a-z]?[A-ZÀ-Þ][\w&’'/-]{0,40}(?:\.[a-z]{2,4}\b)?"
_NAME = lazy_re(rf"(?<![\w.]){_CAP}(?:[ \n](?:(?:of|&|for|de|von)[ \n])?(?:{_CAP}|\d{{1,3}}(?![\w%]|[.,]\d))){{0,6}}")
INSIDE, CAPITAL = lazy_re(rf"(?<=[\w,;:)] ){_CAP}"), lazy_re(rf"\b(?:[A-ZÀ-Þ]{{3,40}}\b|{_CAP}(?=,?\s[A-ZÀ-Þ]))")
_BEGINS = re.compile(r"(?:^|[.!?:•\n\]])[\s\"“'‘(*-]{0,5}$")
_WORD = re.compile(r"[^\W_]+")
# Also each part of "pre-existing".
PLAIN = re.compile(r"(?:(?<![\w@./’'-])|(?<=[a-zß-ÿ]{2}-))[a-zß-ÿ]{2,40}(?![\w@/]|\.\w)")
_FORM = rf"(?i:{'|'.join(sorted(_FORMS - {'the', 'company'}, reverse=True))})\b(?:\.(?=,|\s[a-z(&]))?"
_LONG = rf"{_CAP}(?:,?\s{_FORM}|\s(?:(?:of|&|(?:and|or)(?:\sthe)?)\s)?{_CAP}){{0,6}}"
_JOINS, _DUTY = r"(?:of|to|for|in|by|with|from|and|or|that|which)\b", r"(?:shall|must|will|may|agrees)\b"
_SMALL = rf"(?:(?!{_JOINS})[a-z]{{2,20}}\s){{1,2}}[a-z]{{3,20}}(?=\s{_DUTY})"
_WHO = rf"(?:(?:[Tt]he|[Ee]ach)\s)?(?P<who>{_LONG}|(?<=[Tt]he\s)(?:{_SMALL}|[a-z]{{3,20}})|you|we)"
_REST = r"(?P<rest>[a-z][a-z’'-]{0,20}(?:\s[a-z][a-z’'-]{0,20}){0,5})"
_SUBJECT = lazy_re(rf"(?<![\w’'-]){_WHO}\s{_REST}")
_ASKED = lazy_re(rf"\b(?i:must|shall|do|does|did|may|can|will|should|is|are|has|have)\s{_WHO}\s{_REST}")
_WHO_DOES, _ALONE = lazy_re(rf"\b[Ww]ho\s{_REST}"), lazy_re(rf"^\W{{0,3}}{_WHO}\W{{0,5}}$")
_TERM, _QUOTE = rf"{_CAP}(?:\s{_CAP}){{0,3}}", '["“”]'
_QUOTED = lazy_re(rf"{_QUOTE}([^\"“”]{{1,40}}?),?{_QUOTE}")
_CALLED = rf"\b(?:hereinafter|hereafter|herein)\s(?:[a-z]+\s){{0,5}}?{_QUOTE}?(?P<called>{_TERM}){_QUOTE}?"
_DEFINITION = lazy_re(rf"\([^()]{{0,60}}{_QUOTE}[^()]{{2,100}}\)|{_CALLED}|\((?:the\s)?(?P<bare>{_TERM}|you|we)\)")
_MEANS = lazy_re(
    rf"(?P<terms>(?:{_QUOTE}[^\"“”]{{1,40}}{_QUOTE}[,\s]{{1,2}}(?:(?:and|or)\s)?){{1,4}}|\b(?:[Yy]ou|[Ww]e)\s)"
    r"(?:shall\s)?(?:means?|refers?\sto)\s"
)
# "the policyholder", and "you (the customer)" or "us, the owner".
_NOUN = rf"\b(?:[Tt]he|[Aa]n?)\s(?P<noun>(?!{_JOINS})[a-z]{{3,20}}(?:\s(?!{_JOINS}|means?\b)[a-z]{{3,20}})?)"
_AFTER, _BEFORE = re.compile(rf"^{_NOUN}"), re.compile(rf"{_NOUN}[\s,]{{1,2}}$")
_BESIDE_NOUN = lazy_re(rf"\b(?P<speaker>[Yy]ou|[Ww]e|us)(?:,\s|\s\(){_NOUN}(?=[,.;)])")
_COMPANY = lazy_re(rf"[\w.],?\s{_FORM}")
_BESIDE = re.compile(r"\b(?:with|between|by)\s$")
_FOLLOWS = re.compile(r"\b(?:nachfolgend|nachstehend|im folgenden|hereinafter|hereafter)\b", re.I)
_CAPITALS = re.compile(r"\b(?:SHALL|MUST|WILL|MAY|NOT)\b")
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


@dataclass(frozen=True, slots=True)
class Act:
    """A subject and the stem of its verb; `duty`: with a word such as "shall"; `plain`: without a capital.

    "The Landlord and the Tenant" are `each` a subject, beside both.
    """

    who: Words
    text: str
    verb: str
    duty: bool
    plain: bool
    start: int

    @property
    def each(self) -> tuple[Words, ...]:
        return self.who, *filter(None, map(_who, re.split(r"\s(?:and|or)\s", self.text)))


def _who(text: str) -> Words:
    text = re.sub(r"[’']s\b", "", text)
    words = frozenset(listed(text) or _WORD.findall(text.lower()))
    return words - COMMON or words & SPEAKERS


def acts(text: str, pattern: re.Pattern[str] = _SUBJECT) -> Iterator[Act]:
    """Yield the subjects of a text with their verbs, in order."""
    text = _CAPITALS.sub(lambda word: word[0].lower(), " ".join(text.split()))
    for match in pattern.finditer(text):
        if _BESIDE.search(text, max(0, match.start() - 8), match.start()):
            continue  # "The contract with Delta Retail is governed"
        rest, said = match["rest"].split(), match["who"]
        duty = pattern is _ASKED or rest[0] in _MODALS
        ours = [word for word in rest if word not in _HELPERS | COMMON and not word.endswith("ly")]
        who = _who(said)
        if who and (duty or rest[:1] == ours[:1]) and not said.endswith(("'s", "’s", "s’")):
            stem = text_analysis.stem((ours or rest[-1:])[0], "english")
            yield Act(who, said, stem, duty, said[0].islower() and who.isdisjoint(SPEAKERS), match.start())


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
        parties = {one for one, _ in self.bound}
        fits = [one for one in self.aliases if same(who, one[0])]
        if not fits or any(who == term for _, term in self.aliases):
            return who
        return max(fits, key=lambda one: (one[1] in parties, len(one[0] & who) / len(one[0] | who)))[1]

    def terms(self, act: Act) -> set[Words]:
        """Return the defined terms of a subject, of each where there are two."""
        return set(map(self.term, act.each))

    def binds(self, who: Words, plain: bool) -> bool:
        """Whether it has duties or, with a capital, is the defined term of a name."""
        return any(who <= one for one, written in self.bound if written == plain) or (
            not plain and any(who == term for _, term in self.aliases)
        )


def roles(text: str) -> Roles:
    """Return the roles in a document's text."""
    bound = frozenset((act.who, act.plain) for act in acts(text) if act.duty)
    who = {one for one, _ in bound}
    aliases, last = list[tuple[Words, Words]](), 0
    for match in _DEFINITION.finditer(text):
        quoted = _QUOTED.findall(match[0]) or [match["called"] or match["bare"] or ""]
        named = [one for one in map(_who, quoted) if one and (one in who or not match["bare"])]
        if named:
            before = re.split(r"\b(?:between|among)\b", text[max(last, match.start() - 300) : match.start()])[-1]
            if who.intersection(named) or _COMPANY.search(before) or _FOLLOWS.search(match[0]):
                aliases += _aliases(before, _BEFORE, named, who)
            last = match.end()
    for match in _MEANS.finditer(text):
        named = [one for one in map(_who, _QUOTED.findall(match["terms"]) or [match["terms"]]) if one]
        if who.intersection(named):
            aliases += _aliases(re.split('[.;"“]', text[match.end() : match.end() + 80])[0], _AFTER, named, who)
    for match in _BESIDE_NOUN.finditer(text):
        aliases.append((_who(match["noun"]), frozenset([match["speaker"].lower().replace("us", "we")])))
    return Roles(bound, tuple(aliases))


def _aliases(
    text: str, noun: re.Pattern[str], named: Sequence[Words], bound: Container[Words]
) -> list[tuple[Words, Words]]:
    """Return the names beside a definition with its first term, and its other terms, which mean the same.

    "You" may also be defined by a noun in small letters.
    """
    parties = [one.words for one in names(text) if one.words not in bound or _COMPANY.search(f"{one.text} ")]
    if not parties and named[0] <= SPEAKERS and (found := noun.search(text)):
        parties = [_who(found["noun"])]
    return [(one, named[0]) for one in (*parties, *named[1:]) if one != named[0]]
