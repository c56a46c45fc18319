"""Flag what an answer says that the text it cites does not support: numbers, amounts, dates, names, links, commands.

Facts compare by value ("12 months" is "1 year"); of two readings one that fits is enough, since a reader who is warned
for nothing stops looking. A number that is elsewhere in what the model read, in a sentence about the same, adds that
sentence as a citation. Limits: names are found by their capitals; which thing a number belongs to is not checked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from functools import cache, cached_property
from itertools import chain
from operator import attrgetter
from typing import Literal

from localrag import quantities
from localrag.grounding import citations
from localrag.grounding.citations import terms
from localrag.grounding.stages import Findings
from localrag.quantities import lazy_re
from localrag.store import text_analysis
from localrag.store.text_analysis import sentences
from localrag.types import Flag, Passage, source

NOWHERE = "not in the text that was read"
_NOT_CITED = "not in what is cited"
_MAX_FLAGS = 20
_MAX_SEARCHED = 400_000  # characters of passages searched for a fact that is not in what is cited
# Share of the other words of a claim that a sentence must have to be cited for its number.
_MIN_SHARED = 0.4
_YES_OR_NO, _YES, _THAN, _BY_DAY, _ABOUT, _PERMITS, _LIMITS, _SPANS, _AT_MOST, _AT_LEAST = quantities.phrases(
    "localrag.grounding",
    "fact_checks",
    "yes_or_no",
    "yes",
    "than",
    "by_day",
    "about",
    "permits",
    "limits",
    "spans",
    "at_most",
    "at_least",
)
_BEFORE_PAGE = re.compile(r"(?:\b(?:pp?|s|pages?|seiten?|página|passages?|documents?|slides?|sheets?)\.?|第)\s*$", re.I)


def check(cited: Findings, question: str, passages: Sequence[Passage]) -> Findings:
    """Return an answer with citations and flags added, and with unsupported links defanged.

    Its Markdown links are written out already (`links.without_markup`). If a flag says that it is in another language
    than the passages, names are not checked, since they may be written differently.
    """
    sources = _Sources(cited, question, passages, cited.flagged("language"))
    cited, fact_flags = _check_facts(cited, sources)
    cited, link_flags = _check_links(cited, sources)
    flags: dict[tuple[str, str], Flag] = {}
    for flag in (*fact_flags, *link_flags):
        flags.setdefault((flag.kind, flag.text), flag)
    return replace(cited, flags=(*cited.flags, *list(flags.values())[:_MAX_FLAGS]))


class _Sources:
    """The texts that support the facts of one answer."""

    def __init__(self, cited: Findings, question: str, passages: Sequence[Passage], other_language: bool) -> None:
        self.passages, self.question, self.other_language = passages, question, other_language
        self.language = citations.language(f"{question} {cited.answer}", passages)
        # "48.000" may be either number if not all is English.
        self.number_language = "german" if other_language else self.language
        page = attrgetter("library", "document", "page")
        starts = {(page(one), one.start) for one in cited.citations}
        own = [one for one in passages if any(page(one) == at and one.start <= n < one.end for at, n in starts)]
        self.documents = {(passage.library, passage.document) for passage in own}
        self.quotes = [citation.quote for citation in cited.citations]
        parts = ((*one.heading, one.header, one.document, one.label or "", one.place) for one in own)
        frame = list(chain.from_iterable(parts))
        self.numbers = Evidence(*self.quotes, *frame, "" if _YES_OR_NO.match(question) else question)
        self.names = Evidence(*self.quotes, *frame, question)
        self.pages = {passage.page for passage in passages} | set(range(1, len(passages) + 1))
        self.missing = _NOT_CITED if self.quotes else NOWHERE
        self.sentences = cache(sentences)
        self.evidence = cache(lambda text: Evidence(text, language=self.language))


# --- numbers, dates, names ----------------------------------------------------------------------------------


def _check_facts(cited: Findings, sources: _Sources) -> tuple[Findings, list[Flag]]:
    text = citations.without_markers(cited.answer)
    skipped = [(found.start, found.end) for found in citations.links(text)]
    unsupported = [
        fact
        for fact in find_numbers(text, sources.number_language)
        if not sources.numbers.supports(fact, sources.language) and not _is_page(fact, text, sources)
    ]
    unsupported += _unsupported_names(text, sources)
    flags: list[Flag] = []
    added: list[tuple[int, Passage, int, int]] = []
    # A fact that an answer repeats is looked up once.
    first = {(fact.kind, fact.text.strip()): fact for fact in sorted(unsupported, key=lambda fact: -fact.start)}
    for fact in sorted(first.values(), key=lambda fact: fact.start)[:_MAX_FLAGS]:
        if _overlaps(fact.start, fact.end, skipped):
            continue
        found = _find_elsewhere(fact, text, sources)
        if found is not None and fact.kind != "name" and found[3]:
            added.append((fact.start, *found[:3]))
            continue
        flags.append(_flag(fact, found and found[0], sources))
    for fact in _affirmed(text, sources):
        found = _find_elsewhere(fact, sources.question, sources)
        flags.append(_flag(fact, found and found[0], sources))
    for at, passage, start, end in sorted(added, key=lambda one: -one[0]):
        cited = citations.add(cited, at, passage, start, end)
    return cited, flags


def _flag(fact: Fact, passage: Passage | None, sources: _Sources) -> Flag:
    """Return the flag of a fact, which a passage has that is not cited, or none."""
    reason = sources.missing
    if passage is not None:
        where = passage.place
        if (passage.library, passage.document) not in sources.documents or not where:
            where = source(passage.document, where)
        reason = f"in {where}, {_NOT_CITED}"
    return Flag(fact.kind, fact.text.strip(), reason)


def _affirmed(text: str, sources: _Sources) -> Iterator[Fact]:
    """Yield the amounts, spans of time, shares and days of a question that "Yes" says are so, without support.

    "More than 30 days?" and "before 1 May?" are not asked to be in the text.
    """
    question = sources.question
    affirms = _YES.match(text) and _YES_OR_NO.match(question)
    for fact in find_numbers(question, sources.number_language) if affirms else ():
        exact, before = fact.kind == "amount" or fact.days or (fact.amount and fact.amount.unit), question[: fact.start]
        compared = _THAN.search(before) or (fact.kind == "date" and _BY_DAY.search(before))
        supported = compared or sources.numbers.supports(fact, sources.language) or _is_included(fact, sources)
        if exact and not supported:
            yield fact


def _is_included(fact: Fact, sources: _Sources) -> bool:
    """Whether the cited text says how far something may go, and what is asked for is no more than that.

    "Up to $10,000" includes $5,000, "lasts three years" the time "after 2 years", unless the limit itself is asked for:
    "Must I pay within 20 days?".
    """
    if fact.amount is None:
        return False
    unit, spans = fact.amount.unit, _SPANS.search(sources.question, 0, fact.start)
    found = [(quote[: one.start], one) for quote in sources.quotes for one in find_numbers(quote, sources.language)]
    limits = [
        (before, same.value)
        for before, one in found
        if one.amount
        for value in one.amount.values
        if (same := quantities.convert(quantities.Quantity(value, one.amount.unit), unit))
    ]
    if spans and not limits:
        return any(one.kind == "date" for _, one in found)  # "within 10 years" is computed
    if not _PERMITS.search(sources.question) or _LIMITS.search(sources.question):
        return False
    least = [limit for before, limit in limits if _AT_LEAST.search(before)]
    most = [limit for before, limit in limits if _AT_MOST.search(before) or (spans and not _AT_LEAST.search(before))]
    return any(
        any(asked <= limit for limit in most) or (spans and any(asked >= limit for limit in least))
        for asked in fact.amount.values
    )


def _is_page(fact: Fact, text: str, sources: _Sources) -> bool:
    """Whether a number is that of a page or passage that was read: "on page 7"."""
    named = _BEFORE_PAGE.search(text[max(0, fact.start - 14) : fact.start])
    return bool(named and fact.amount and any(value in sources.pages for value in fact.amount.digits))


def _unsupported_names(text: str, sources: _Sources) -> Iterator[Fact]:
    """Yield names that are neither in what is cited nor elsewhere in the documents cited."""
    quotes, language = " ".join(sources.quotes), sources.language
    if sources.other_language or (quotes and citations.language(quotes, sources.passages) != language):
        return
    unknown = [fact for fact in find_names(text, language) if not sources.names.supports(fact, language)]
    if not unknown:
        return
    # All that was read of the documents cited, or of all documents if none is cited.
    read = [
        one for one in sources.passages if not sources.documents or (one.library, one.document) in sources.documents
    ]
    parts = chain.from_iterable((*one.heading, one.document, one.text) for one in read)
    everything = Evidence(sources.names.text, *parts)
    lower = everything.text.lower()
    for fact in unknown:
        # A look at the beginnings of its words spares most names a close reading of everything.
        absent = any(len(word) >= 5 and not word.isupper() and word[:5].lower() not in lower for word in fact.words)
        if absent or not everything.supports(fact, language):
            yield fact


def _find_elsewhere(fact: Fact, text: str, sources: _Sources) -> tuple[Passage, int, int, bool] | None:
    """Return the span of a passage that has a fact, and whether it is about the same as the fact's sentence."""
    claim = next((text[start:end] for start, end in sentences(text) if start <= fact.start < end), text)
    wanted = {term for term in terms(claim, sources.language) if not term[0].isdigit()}
    best: tuple[Passage, int, int] | None = None
    most, left = -1.0, _MAX_SEARCHED
    for passage in sources.passages:
        left -= len(passage.text)
        if left < 0:
            break
        if not sources.evidence(passage.text).supports(fact, sources.language):
            continue
        for start, end in sources.sentences(passage.text):
            span = passage.text[start:end]
            if sources.evidence(span).supports(fact, sources.language):
                shared = len(wanted & terms(span, sources.language)) / max(1, len(wanted))
                if shared > most:
                    best, most = (passage, start, end), shared
    if best is None:
        return None
    return *best, most >= _MIN_SHARED and best[2] - best[1] <= citations.MAX_QUOTE


# --- links and commands -------------------------------------------------------------------------------------


def _check_links(cited: Findings, sources: _Sources) -> tuple[Findings, list[Flag]]:
    """Defang the links that no source has, in the answer and in its unsupported sentences."""
    texts = "\n".join((*sources.quotes, sources.question))
    unknown = [found for found in citations.links(cited.answer) if not citations.is_in(found.text, texts)]
    flags = [Flag("link", citations.defang(found.text), sources.missing) for found in unknown]
    for found in citations.commands(citations.without_markers(cited.answer)):
        if not citations.is_in(found.text, texts):
            flags.append(Flag("command", " ".join(_defang(found.text, texts).split())[:120], sources.missing))
    unsupported = tuple(_defang(sentence, texts) for sentence in cited.unsupported) if unknown else cited.unsupported
    return replace(cited, answer=_defang(cited.answer, texts), unsupported=unsupported), flags


def _defang(text: str, sources: str) -> str:
    parts, last = [], 0
    for found in citations.links(text):
        if not citations.is_in(found.text, sources):
            parts += [text[last : found.start], citations.defang(found.text)]
            last = found.end
    return "".join([*parts, text[last:]])


# --- facts: numbers and dates -------------------------------------------------------------------------------

Kind = Literal["number", "amount", "date", "name"]
# Units that are compared; the others ("in", "m", "t") oftener mean something else.
_COMPARED_UNITS = frozenset("day week month quarter year hour minute second % EUR USD GBP CHF JPY".split())
_MAX_DIGITS = 30


@dataclass(frozen=True, slots=True)
class Amount:
    """The values that digits may have, the power of ten of a word after them, what they count, and the digits."""

    digits: frozenset[Decimal]
    scale: int
    unit: str
    written: str = ""

    @property
    def values(self) -> frozenset[Decimal]:
        return frozenset(value.scaleb(self.scale) for value in self.digits)

    def is_supported_by(self, other: Amount) -> bool:
        """Whether a text with the other amount supports this one."""
        if self.unit and other.unit and self.unit != other.unit:
            same = (quantities.convert(quantities.Quantity(value, other.unit), self.unit) for value in other.values)
            return any(one is not None and one.value in self.values for one in same)
        # A table says once that it counts in thousands, so one of the two may have no scale.
        unscaled = 0 in (self.scale, other.scale)
        alike = self.digits & other.digits or (self.written and self.written == other.written)
        return bool(self.values & other.values or (unscaled and alike))

    def rounds(self, other: Amount) -> bool:
        """Whether this amount is the other one, rounded: they differ by half of its last place at most."""
        half = {own: Decimal(5).scaleb(own.adjusted() - len(own.normalize().as_tuple().digits)) for own in self.values}
        return any(abs(exact - own) <= half[own] for own in half for exact in other.values)


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact in a text; half-open offsets. Which fields are set depends on the kind.

    `days` are the readings of a date; `month` (year, month) or `day` (month, day) the parts of an incomplete one.
    `near` marks a number that is said to be rounded, `words` are those of a name.
    """

    kind: Kind
    text: str
    start: int
    end: int
    amount: Amount | None = None
    days: frozenset[date] = frozenset()
    month: tuple[int, int] | None = None
    day: tuple[int, int] | None = None
    near: bool = False
    words: tuple[str, ...] = ()


_LIST_NUMBER = re.compile(r"^[ \t]*(?:[-*•][ \t]*)?\(?\d{1,3}[.)](?=\s)", re.M)
_ORDINAL = re.compile(r"(?:st|nd|rd|th|te[nrs]?|er|e|ème|º|ª|o|a)(?![^\W_])", re.I)
_LATIN = re.compile(r"[A-Za-zÀ-ɏ]")
_UNITS = {
    **quantities.TIME_UNITS,
    "percent": "%",
    "per cent": "%",
    "%": "%",
    "prozent": "%",
    **{word: quantities.CURRENCIES[word] for word in ("dollar", "dollars", "euro", "euros", "pound", "pounds")},
}
_UNIT_AFTER = re.compile(
    r"[ -]?(?:\(\d+\)[ ]?)?(?:(?:calendar|business|working|full|consecutive)[ ])?"
    rf"(?P<unit>{'|'.join(sorted(map(re.escape, _UNITS), key=len, reverse=True))})(?!\w)",
    re.I,
)


def find_numbers(text: str, language: str) -> Iterator[Fact]:
    """Yield the dates and numbers of an answer, without those that number its own list; in no order."""
    taken: list[tuple[int, int]] = []
    dates = [Fact("date", one.text, one.start, one.end, days=one.days) for one in quantities.find_dates(text)]
    dates += [Fact("date", text[a:b], a, b, day=(month, day)) for a, b, month, day in quantities.find_days(text)]
    dates += [Fact("date", text[a:b], a, b, month=(year, month)) for a, b, year, month in quantities.find_months(text)]
    for fact in dates:
        if not _overlaps(fact.start, fact.end, taken):
            taken.append((fact.start, fact.end))
            yield fact
    taken += [match.span() for match in _LIST_NUMBER.finditer(text)]
    for match in quantities.QUANTITY.finditer(text):
        found = _number(match, text, language)
        if found is not None and not _overlaps(found.start, found.end, taken):
            yield found
    for number in quantities.find_number_words(text):
        unit = _UNIT_AFTER.match(text, number.end)
        # "two parties" are counted by the answer; "two years" is a term of the contract.
        if number.value > 1 and (unit or number.value > 12) and not _overlaps(number.start, number.end, taken):
            end = unit.end() if unit else number.end
            yield Fact("number", text[number.start : end], number.start, end, _amount_in_words(number, text))


def _overlaps(start: int, end: int, taken: list[tuple[int, int]]) -> bool:
    return any(start < stop and first < end for first, stop in taken)


def _number(match: re.Match[str], text: str, language: str) -> Fact | None:
    """Return a number of an answer, or a code of letters and digits ("A4", "10b") as a whole."""
    if len(match["digits"]) > _MAX_DIGITS:
        return None
    start, end = match.span()
    amount = _amount(match, language)
    suffix = match.end("digits") == end and _LATIN.match(text, end) and not _ORDINAL.match(text, end)
    if suffix or (start and _LATIN.match(text, start - 1)):
        while start and text[start - 1].isalnum():
            start -= 1
        while end < len(text) and text[end].isalnum():
            end += 1
        return Fact("number", text[start:end], start, end, amount, words=(text[start:end],))
    near = bool(_ABOUT.search(text[max(0, start - 24) : start]))
    kind: Kind = "amount" if match["before"] or match["after"] else "number"
    return Fact(kind, match[0].strip(), start, end, amount, near=near)


def _amount(match: re.Match[str], language: str) -> Amount:
    """Return what QUANTITY matched; "2.400" is one number in English and may be another elsewhere."""
    found, digits = quantities.parse_quantity(match), match["digits"]
    plain = quantities.parse_number(digits, money=bool(match["before"] or match["after"]))
    readings = {plain} if language == "english" else {plain, quantities.parse_number(digits, decimal_comma=True)}
    scale = (found.value / plain).adjusted() if match["scale"] and plain else 0
    unit = found.unit if found.unit in _COMPARED_UNITS else ""
    if not unit:  # "30 calendar days", "a 30-day period", "thirty (30) days"
        after = _UNIT_AFTER.match(match.string, match.end() + (match.string[match.end() :][:1] == ")"))
        unit = _UNITS[after["unit"].lower()] if after else ""
    return Amount(frozenset(readings), scale, unit, digits)


def _amount_in_words(number: quantities.NumberWords, text: str) -> Amount:
    unit = _UNIT_AFTER.match(text, number.end)
    return Amount(frozenset([Decimal(number.value)]), 0, _UNITS[unit["unit"].lower()] if unit else "")


def find_names(text: str, language: str) -> Iterator[Fact]:
    """Yield the names of an answer; a single word that begins a sentence is none, unless it is the whole answer."""
    only = listed(text)
    for name in names(text, only if len(only) == 1 else ()):
        words = tuple(word.rstrip(".") for word in name.text.split() if not re.search(r"\d", word))
        # Every German noun begins with a capital.
        if len(words) > 1 or (words and (len(only) == 1 or language != "german" or words[0][1:2].isupper())):
            yield Fact("name", name.text, name.start, name.end, words=words)


# --- facts: what supports them ------------------------------------------------------------------------------


class Evidence:
    """Texts that may support facts; each kind of fact is read from them when it is first needed."""

    def __init__(self, *texts: str, language: str = "") -> None:
        self.text = "\n".join(text for text in texts if text)
        self._language = language  # detected if empty

    def supports(self, fact: Fact, language: str) -> bool:
        if fact.kind == "name":
            return self._has_name(fact, language)
        if fact.kind == "date":
            return self._has_date(fact)
        if fact.words and fact.words[0].lower() in self._compact:
            return True
        own = fact.amount
        return own is not None and any(
            own.is_supported_by(other) or (fact.near and own.rounds(other)) for other in self._amounts
        )

    def _has_date(self, fact: Fact) -> bool:
        if fact.days:
            parts = ((day.month, day.day) in self._days_of_year and self._has(day.year) for day in fact.days)
            return bool(fact.days & self._days) or any(parts)
        if fact.month:
            named = any(month == fact.month[1] for month, _ in self._days_of_year)
            return fact.month in self._months or (named and self._has(fact.month[0]))
        return fact.day in self._days_of_year

    def _has(self, value: int) -> bool:
        return any(Decimal(value) in other.digits for other in self._amounts)

    @cached_property
    def _amounts(self) -> frozenset[Amount]:
        language = self._language or text_analysis.language(self.text)
        matches = [match for match in quantities.QUANTITY.finditer(self.text) if len(match["digits"]) <= _MAX_DIGITS]
        found = {_amount(match, language) for match in matches}
        # Figures side by side in a table look like one number with spaces between its thousands.
        parts = {part for match in matches if re.search(r"\s", match["digits"]) for part in match["digits"].split()}
        found |= {Amount(frozenset([quantities.parse_number(part)]), 0, "", part) for part in parts}
        words = quantities.find_number_words(self.text)
        return frozenset(found | {_amount_in_words(number, self.text) for number in words})

    @cached_property
    def _days(self) -> frozenset[date]:
        return frozenset(day for written in quantities.find_dates(self.text) for day in written.days)

    @cached_property
    def _days_of_year(self) -> frozenset[tuple[int, int]]:
        incomplete = {(month, day) for _, _, month, day in quantities.find_days(self.text)}
        return frozenset(incomplete | {(day.month, day.day) for day in self._days})

    @cached_property
    def _months(self) -> frozenset[tuple[int, int]]:
        named = {(year, month) for _, _, year, month in quantities.find_months(self.text)}
        return frozenset(named | {(day.year, day.month) for day in self._days})

    @cached_property
    def _compact(self) -> str:
        return re.sub(r"[\s\u00ad-]+", "", self.text.lower())

    @cached_property
    def _words(self) -> frozenset[str]:
        dotted = (re.sub(r"\.", "", match[0]).lower() for match in re.finditer(r"\b(?:[A-Za-z]\.){2,6}", self.text))
        return frozenset([*text_analysis.written(self.text), *dotted])

    @cached_property
    def _initials(self) -> str:
        return "".join(word[0] for word in text_analysis.written(self.text) if word[0].isalpha())

    def _has_name(self, fact: Fact, language: str) -> bool:
        """Whether each word of a name is there in some form."""
        unknown = [word for word in fact.words if not self._has_word(word)]
        if not unknown:
            return True
        compact = re.sub(r"[\s\u00ad.&’'-]+", "", "".join(fact.words).lower())
        initials = "".join(word[0] for word in fact.words).lower()
        if compact in re.sub(r"[.&’']+", "", self._compact) or (len(initials) > 1 and initials in self._words):
            return True
        stems = {token.term for token in text_analysis.tokens(self.text, language)}
        return all(text_analysis.stem(word.lower(), language) in stems for word in unknown)

    def _has_word(self, word: str) -> bool:
        for part in text_analysis.written(word.removesuffix("’s").removesuffix("'s")):
            common = part in FRAME or part in quantities.MONTHS or part in quantities.NUMBER_WORDS
            if common or part in self._words or len(part) == 1:
                continue
            longer = (other for other in self._words if len(other) >= 5)
            if len(part) >= 5 and any(other.startswith(part) or part.startswith(other) for other in longer):
                continue  # "European" and "Europe"
            if not (word.isupper() and 2 <= len(part) <= 6 and part in self._initials):
                return False  # nor the initials of words that are there
        return True


def sound(text: str, question: str, passages: Sequence[Passage]) -> bool:
    """Return whether strict mode lets a text pass: each sentence has a source, and no word of it a flag."""
    found = check(citations.cite(text, question, passages), question, passages)
    return not (found.unsupported or found.citations_dropped or found.flags)


# --- find names in a text, and the subjects of its verbs ---------------------------------------------------------
# Names are words with capitals; subjects are names, words after "the", "you" and "we", before an English verb.

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
        name = re.sub(r"[’']s?$", "", " ".join(parts))
        words = listed(re.sub(r"[’']s\b", "", name))
        plain = {part.lower() for part in parts if not part.isdigit()}
        if not words or max(map(len, words)) < 3 or plain <= _NO_NAME or (words[0] in _NO_NAME and len(parts) == 2):
            continue
        if (
            len(parts) > 1
            or name != parts[0]
            or not _BEGINS.search(text, max(0, start - 20), start)
            or words[0] in known
        ):
            yield Name(name, start, tuple(words))


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
