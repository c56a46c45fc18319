"""Flag what an answer says of one plan, party, company or year where the text that it cites says it of another.

A span is about what its sentence names, its row and column, its headings and its document, the nearest first. Only a
competitor is a reason to doubt: another year over the column, another row or name of the same kind, another subject of
the same verb, a document other than those that have the name. Where nothing is named, or another passage says the same
of the right one, nothing is flagged. Where another passage is nearer to a sentence than what it cites, or has its
figure, that one counts. Limits: names are known by their capitals, subjects by an English verb behind them; of pronouns
only "you", "we" and "I" are resolved, where the text defines them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import TypeVar

from localrag import quantities
from localrag.grounding import cells, citations, fact_checks, subjects
from localrag.grounding.cells import Cell
from localrag.grounding.citations import claims, terms, without_markers
from localrag.grounding.fact_checks import Amount, Fact
from localrag.grounding.stages import Findings, Pair
from localrag.grounding.subjects import Act, Name, Roles, Words, listed, same
from localrag.quantities import lazy_re
from localrag.store.sentences import sentences
from localrag.types import Citation, Flag, Passage, source

Key = tuple[str, int]  # library and document
Mark = TypeVar("Mark")

# Characters of a document read for its subjects, and of its first page for names; characters of all passages searched
# for another source; documents whose first page is read.
_MAX_OWN, _OPENING, _MAX_SEARCHED, _MAX_DOCUMENTS = 30_000, 1500, 60_000, 40
_MIN_SHARED, _NEARLY = 0.5, 0.8  # of a claim's words that another source must have, and of those that the cited has
_MIN_MENTIONS = 0.05  # of the mentions that a name has where it has most, from which a document may be about it
_MAX_SHARE = 0.34  # of the documents: what more of them are about tells none from another,
_MANY = 10  # documents, unless there are fewer and one has it in its name
_OFTEN = 5000  # characters for each mention of a name that a document is full of
_MAX_LEAD = 40  # characters before the name that a claim is about
_MAX_ABOVE = 12  # lines over a row of figures that may hold its years
# What documents are called: "the supply agreement".
_DOCUMENTS = quantities.load_words("localrag.items", "words.toml")["leaf_question"]["documents"].split()
_NOUNS = frozenset((*_DOCUMENTS, *(f"{noun}s" for noun in _DOCUMENTS)))
_DATING = subjects.COMMON | quantities.MONTHS.keys() | {"year", "quarter", "fiscal", *map(str, range(1, 32))}
_MONTHS = re.compile(r"\b(\w{1,12})[ -]months? ended\b", re.I)
_WORD = re.compile(r"\w+")
_OURS = re.compile(r"\b(?:I|[Mm]e|[Mm]y|[Ww]e|us|[Oo]ur)\b")
_CAMEL = re.compile(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])")
_FIGURE = lazy_re(r"(?<![\d.,])(?:\d{1,3}(?:[,.’']\d{3}){1,6}(?:[.,]\d{1,6})?|\d{1,20}(?:[.,]\d{1,6})?)(?!\d)")
_FISCAL, _EACH, _RELATIVE_YEAR, _CHANGE, _BASELINE, _REFERENCE_YEAR, _OPEN_ENDED = quantities.phrases(
    "localrag.answer",
    "entities",
    "fiscal",
    "each",
    "relative_year",
    "change",
    "baseline",
    "reference_year",
    "open_ended",
)


def check(cited: Findings, question: str, passages: Sequence[Passage], documents: Sequence[Pair]) -> Findings:
    """Return the answer, with the source added that says it of the right one, and flags where there is none.

    Args:
        cited: the answer with its citations, which come from `passages`.
        question: what it names counts for a sentence that names nothing.
        documents: those that were asked, with their libraries: their names and texts tell whose they are.
    """
    work = _Check(question, passages, documents)
    flags, better = [], list[tuple[int, _Span]]()
    for start, end in claims(cited.answer):
        claim = cited.answer[start:end]
        spans = [span for one in cited.citations if f"[{one.marker}]" in claim for span in work.spans(one)]
        found = work.mismatch(without_markers(claim), spans)
        if isinstance(found, _Span):
            better.append((start, found))
        elif found is not None:
            about, passage = found
            where = source(passage.document, passage.place)
            flags.append(Flag("entity", _sentence(claim), f"it is said of “{about}” in {where}"))
    for start, span in reversed(better):
        if span.end - span.start <= citations.MAX_QUOTE:
            cited = citations.add(cited, start, passages[span.passage], span.start, span.end)
    return replace(cited, flags=(*cited.flags, *flags))


def withholds(cited: Findings, question: str, passages: Sequence[Passage], documents: Sequence[Pair]) -> bool:
    """Return whether nothing is left: the question names something, and every sentence with a fact is flagged."""
    texts = [_sentence(cited.answer[start:end]) for start, end in claims(cited.answer)]
    stating = [text for text in texts if any(fact_checks.find_numbers(text, "english"))] or texts
    wrong = {flag.text for flag in cited.flags if flag.kind == "entity"}
    if not wrong or not wrong.issuperset(stating):
        return False
    return bool(cells.years(question) or _Check(question, passages, documents)._said(question))


def _sentence(claim: str) -> str:
    return " ".join(without_markers(claim).split()).rstrip(" .!?。")


@dataclass(frozen=True, slots=True)
class _Span:
    """A sentence or a row of a passage."""

    passage: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Claim:
    """A sentence of the answer: its facts but years, where its figures are, the names that it says of another, and
    the spans that it cites or that are nearer to it."""

    text: str
    facts: tuple[Fact, ...]
    places: tuple[int, ...]
    values: tuple[Name, ...]
    spans: tuple[_Span, ...]


def _owners(marks: Sequence[tuple[int, Mark]], places: Sequence[int], at: int) -> list[Mark]:
    """Return whose a figure is: of as many names as figures, in turn or in two lists, that in its place; else all."""
    kinds = "".join(kind for _, kind in sorted([(p, "m") for p, _ in marks] + [(p, "f") for p in places]))
    n = len(marks)
    if at in places and n == len(places) > 1 and kinds in ("mf" * n, "fm" * n, "m" * n + "f" * n, "f" * n + "m" * n):
        return [marks[places.index(at)][1]]
    return [mark for _, mark in marks]


# --- the check ----------------------------------------------------------------------------------------------

# Whether a span has a fact of the right one: the name of another one if not, "" if so, None if it cannot be told.
_Judge = partial[str | None]


class _Check:
    """What is known of the question, the passages and their documents while one answer is checked."""

    def __init__(self, question: str, passages: Sequence[Passage], documents: Sequence[Pair]) -> None:
        self.question, self.passages = question, passages
        self.language = citations.language(question, passages)
        self.pairs = {(library.name, document.id): (library, document) for library, document in documents}
        self.sentences = cache(lambda at: sentences(passages[at].text))
        self.cells = cache(lambda at: cells.find([passages[at]]))
        self.labels = cache(lambda row: terms(cells.plain(row), self.language))
        self.names = cache(lambda text: tuple(subjects.names(text, self.known)))
        self.numbers = cache(lambda text: tuple(fact_checks.find_numbers(text, self.language)))
        self.terms = cache(lambda span: terms(self._text(span), self.language))
        self.headings = cache(lambda at: terms("\n".join((*passages[at].heading, passages[at].header)), self.language))
        self.acts, self.others = cache(lambda text: tuple(subjects.acts(text))), cache(self._others)
        self.titled = cache(self._titled)
        self.roles, self.mentions, self.called = cache(self._roles_of), cache(self._mentions), cache(self._called)

    def spans(self, citation: Citation) -> Iterator[_Span]:
        """Yield the sentences and rows that a citation is from."""
        for at, one in enumerate(self.passages):
            here = (one.library, one.document, one.page) == (citation.library, citation.document, citation.page)
            if here and one.start <= citation.start < one.end:
                first, last = citation.start - one.start, citation.end - one.start
                yield from (_Span(at, a, b) for a, b in self.sentences(at) if a < last and first < b)
                return

    def mismatch(self, text: str, cited: Sequence[_Span]) -> tuple[str, Passage] | _Span | None:
        """Return what a claim's source is about, if it is another one, or a span that says it of the right one."""
        claim, better = self._claim(text, cited), None
        for judge in self._judges(claim):
            for fact in claim.facts or (None,):
                found = self._verdicts(judge, claim, fact)
                if not found or not all(found.values()):
                    continue
                right = next((one for one in self.others(claim, fact) if judge(one, fact) == ""), None)
                if right is None:
                    at, about = next(iter(found.items()))
                    return str(about), self.passages[at.passage]
                better = better or right
        return better

    def _claim(self, text: str, cited: Sequence[_Span]) -> _Claim:
        facts = tuple(fact for fact in fact_checks.find_numbers(text, self.language) if not _is_year(fact))
        places = tuple(sorted(fact.start for fact in facts if fact.kind != "date"))
        values = () if facts else self._values(text, cited)
        spans = tuple(span for span in cited if self._holds(span, values)) or tuple(cited)
        claim = _Claim(text, facts, places, values, spans)
        if not facts:
            spans += self._nearer(claim)
        if spans and subjects.named_subject(text, self.question):  # a name alone does not find the sentence about it
            spans += self.others(_Claim(self.question, (), (), (), ()), None)
        return replace(claim, spans=spans)

    def _verdicts(self, judge: _Judge, claim: _Claim, fact: Fact | None) -> dict[_Span, str | None]:
        """Judge a claim's spans that have a fact, and others where these are rows that do not tell."""
        found = {one: judge(one, fact) for one in claim.spans if fact is None or self._places(one, fact)}
        if fact is None or judge.func == self._subject:
            found = {one: other for one, other in found.items() if other is not None}
        if fact and all(other is None and self._text(one).startswith("|") for one, other in found.items()):
            found = {one: other for one in self.others(claim, fact) if (other := judge(one, fact)) is not None}
        return found

    def _values(self, claim: str, cited: Sequence[_Span]) -> tuple[Name, ...]:
        """Return the names that a claim says of another: "is governed by the laws of Connecticut"."""
        act, found = subjects.subject(claim, self.question), list(self.names(claim))
        leads = found and found[0].start < _MAX_LEAD and subjects.PLAIN.search(claim, found[0].end)
        found = found[1:] if leads else found
        found = [one for one in found if not (act and one.words <= act.who) and not one.is_in(self.question)]
        return tuple(one for one in found if not cited or any(one.is_in(self._text(span)) for span in cited))

    def _holds(self, span: _Span, values: Sequence[Name]) -> bool:
        return all(one.is_in(self._text(span)) for one in values)

    def _share_of(self, claim: _Claim, framed: bool = False) -> Callable[[_Span], float]:
        """Return how to find the share of a claim's words, without numbers and names that it alone has, in a span."""
        said = " ".join(map(self._text, claim.spans))
        alone = (one.text for one in self.names(claim.text) if not one.is_in(said))
        wanted = terms(claim.text, self.language) - terms(" ".join(alone), self.language)
        wanted = frozenset(term for term in wanted if not term[0].isdigit())

        def share(span: _Span) -> float:
            own = self.terms(span) | self.headings(span.passage) if framed else self.terms(span)
            return len(wanted & own) / max(1, len(wanted))

        return share

    def _nearer(self, claim: _Claim) -> tuple[_Span, ...]:
        """Return the spans that have more of a claim's words, without its names, than what it cites."""
        unnamed = replace(claim, spans=())
        share, found = self._share_of(unnamed), self.others(unnamed, None)
        least = max([_MIN_SHARED if claim.values else _NEARLY, *map(share, claim.spans)])
        best = max(map(share, found), default=0.0)
        near = best > least or (best == least and not claim.spans)
        return tuple(span for span in found if near and share(span) == best)

    def _others(self, claim: _Claim, fact: Fact | None) -> tuple[_Span, ...]:
        """Return the spans of all passages that have a fact, or nearly as many words of a claim as what it cites."""
        share = self._share_of(claim, framed=fact is not None)
        least = max(_MIN_SHARED, 0.0 if fact else _NEARLY * max(map(share, claim.spans), default=0.0))
        return tuple(
            span
            for span in self.every
            if share(span) >= least and (fact is None or self._places(span, fact)) and self._holds(span, claim.values)
        )

    @cached_property
    def every(self) -> tuple[_Span, ...]:
        found, left = list[_Span](), _MAX_SEARCHED
        for at, passage in enumerate(self.passages):
            left -= len(passage.text)
            found += (_Span(at, start, end) for start, end in (self.sentences(at) if left > 0 else ()))
        return tuple(found)

    def _text(self, span: _Span) -> str:
        return self.passages[span.passage].text[span.start : span.end]

    def _key(self, span: _Span) -> Key:
        return self.passages[span.passage].library, self.passages[span.passage].document_id

    def _places(self, span: _Span, fact: Fact | None) -> list[int]:
        """Return where in a span a fact is."""
        text = self._text(span)
        if fact is None:
            return []
        if fact.kind == "date":
            dates = (one for one in self.numbers(text) if one.kind == "date")
            return [one.start for one in dates if one.days & fact.days or (one.month and one.month == fact.month)]
        if fact.amount is None:
            return []
        own = [
            match.start()
            for match in _FIGURE.finditer(text)
            if fact.amount.is_supported_by(Amount(frozenset([quantities.parse_number(match[0])]), 0, "", match[0]))
        ]
        words = quantities.find_number_words(text)
        return own or [word.start for word in words if word.value in fact.amount.values]

    def _cell(self, span: _Span, places: Sequence[int]) -> Cell | None:
        """Return the cell of a table that is at one of some places in a span."""
        where = [span.start + at for at in places] if self._text(span).startswith("|") else []
        return next((one for one in self.cells(span.passage) if any(one.start <= at < one.end for at in where)), None)

    def _judges(self, claim: _Claim) -> Iterator[_Judge]:
        text, places = claim.text, claim.places
        if years := self._years_meant(text, single=len(places) == 1):
            yield partial(self._year, years, places, bool(_FISCAL.search(f"{text} {self.question}")))
        if called := self._distinctive_names(claim):
            yield partial(self._document, called, places, bool(_EACH.search(text)))
        if named := self.names(text) or self._said(self.question):
            yield partial(self._rival, [(name.start, name) for name in named], places)
        if act := subjects.subject(text, self.question):
            yield partial(self._subject, act)
        if months := _months(text) or _months(self.question):
            yield partial(self._duration, months)
        yield partial(self._row, text, places)

    # --- years

    def _years_meant(self, claim: str, single: bool) -> list[tuple[int, int]]:
        """Return the years that a claim's figures are of, else those asked for; none where others may be meant."""
        if own := _years_in(claim):
            return own if len(own) > len(_REFERENCE_YEAR.findall(claim)) else []
        asked, changing = _years_in(self.question), bool(_CHANGE.search(f"{self.question} {claim}"))
        # "It rose to 1,900." has the figure of the year asked for, "it rose from 1,750 to 1,900" another one, too.
        if len(asked) <= len(_REFERENCE_YEAR.findall(self.question)) or _RELATIVE_YEAR.search(
            f"{self.question} {claim}"
        ):
            return []
        if changing and (not single or _BASELINE.search(claim)):
            return []
        titles = [self.called(key) for key in self.pairs]
        words = listed(self.question)
        named = {
            word
            for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False)
            if any(word in title and {before, after} & title - _DATING for title in titles)
        }  # "in the annual report 2023"
        return [(-1, year) for _, year in asked if str(year) not in named]

    def _year(
        self, years: Sequence[tuple[int, int]], places: Sequence[int], fiscal: bool, span: _Span, fact: Fact | None
    ) -> str | None:
        if fact is not None and fact.kind == "date":
            return None
        wanted, text = set(_owners(years, places, fact.start if fact else -1)), self._text(span)
        if years[0][0] < 0 and _OPEN_ENDED.search(text) and max(cells.years(text), default=9999) < min(wanted):
            return None  # "The rent rises to 1,260 in 2023."
        found = [self._years_at(span, at, fiscal) for at in (self._places(span, fact) if fact else (-1,))]
        if any(own & wanted for own in found):
            return ""
        return str(max(found[0])) if found and all(found) else None

    def _years_at(self, span: _Span, at: int, fiscal: bool) -> set[int]:
        """Return the years that a figure of a span is of, as far as its row, its column or its sentence says so."""
        text = self._text(span)
        if text.startswith("|"):
            cell = self._cell(span, [at])
            dated = (
                cell and fiscal and any(word.strip(".,").lower() in quantities.MONTHS for word in cell.column.split())
            )
            return {*cell.years, *(year - 1 for year in cell.years if dated)} if cell else set()
        if flat := self._year_above(span, at):
            return {flat}
        facts = [one for one in self.numbers(text) if not _is_year(one)]
        places = sorted(one.start for one in facts if one.kind != "date")
        own = next((one.start for one in facts if one.start <= at < one.end), -1)
        return set(_owners(_years_in(text), places, own))

    def _year_above(self, span: _Span, at: int) -> int | None:
        """Return the year of a figure in a row without marks, from a line above with as many years as figures."""
        text, at = self.passages[span.passage].text, span.start + max(at, 0)
        begin = text.rfind("\n", 0, at) + 1
        line = text[begin:].partition("\n")[0]
        figures = [match.start() for match in _FIGURE.finditer(line)]
        words = line[figures[0] :].split() if len(figures) > 1 else ["-"]
        if at - begin not in figures or any(not re.search(r"\d|^[–—$€£%()-]+$", word) for word in words):
            return None
        for above in reversed(text[:begin].split("\n")[-_MAX_ABOVE - 1 :]):
            if len(years := _years_in(above)) > 1:
                return years[figures.index(at - begin)][1] if len(years) == len(figures) else None
        return None

    # --- names

    @cached_property
    def capitals(self) -> Words:
        """Words with a capital inside a sentence or on the first page of a document."""
        keys = [*dict.fromkeys((one.library, one.document_id) for one in self.passages), *self.pairs][:_MAX_DOCUMENTS]
        pairs = [self.pairs[key] for key in dict.fromkeys(keys) if key in self.pairs]
        texts = [self.question, *(one.text[:_MAX_OWN] for one in self.passages)]
        found = [word for text in texts for word in subjects.INSIDE.findall(text)]
        for library, document in pairs:
            found += subjects.CAPITAL.findall(library.page_text(document.id, 0)[:_OPENING])
        return frozenset(listed(" ".join(found))) - subjects.COMMON

    @cached_property
    def known(self) -> Words:
        """Words with capitals, and those of paths and titles."""
        return self.capitals.union(*(self.called(key) for key in self.pairs)) - subjects.COMMON

    @cached_property
    def plain(self) -> Words:
        """Words that the passages have without a capital: "party", but not "northwind"."""
        return frozenset(word for one in self.passages for word in subjects.PLAIN.findall(one.text[:_MAX_OWN]))

    def _said(self, text: str, values: Sequence[Name] = ()) -> tuple[Name, ...]:
        """Return the names in a claim or question but some values, else those of documents in small letters."""
        return tuple(name for name in self.names(text) if name not in values) or self.titled(text)

    def _titled(self, text: str) -> tuple[Name, ...]:
        """Return the names of documents that a text has in small letters: "the supply agreement"."""
        words, found = [(match.start(), match[0]) for match in _WORD.finditer(text)], dict[Name, bool]()
        for title in {self.called(key) - subjects.COMMON for key in self.pairs}:
            is_title = [word in title for _, word in words]
            for at, end in _runs(is_title):
                own = [word for _, word in words[at:end]]
                name = [*own, *(word for _, word in words[end : end + 1] if word in _NOUNS)]
                proper = name[-1] in _NOUNS or not self.capitals.isdisjoint(set(own) - self.plain)
                if proper:
                    found[Name(" ".join(name), words[at][0], tuple(name))] = _NOUNS.issuperset(own)
        # "The nda" counts where nothing else is named.
        return tuple(name for name, bare in found.items() if not bare or all(found.values()))

    def _called(self, key: Key) -> Words:
        """Return the words of a document's path and title."""
        document = self.pairs[key][1]
        named = f"{document.path.rsplit('.', 1)[0]} {document.title}"
        return frozenset(listed(f"{named} {_CAMEL.sub(' ', named)}"))

    def _mentions(self, name: Name) -> Counter[Key]:
        """Count the chunks of each document that have a name."""
        found = Counter[Key]()
        for library in {id(library): library for library, _ in self.pairs.values()}.values():
            spans = library.spans_of_passages(library.text.with_phrase(name.order))
            found.update((library.name, one.document_id) for one in spans)
        return found

    def _names(self, key: Key, name: Name) -> bool:
        """Whether a document's path or title has a name, though "agreement" may be missing there."""
        return key in self.pairs and (name.words - _NOUNS or name.words) <= self.called(key)

    def _is_about(self, key: Key, name: Name) -> bool:
        if self._names(key, name):
            return True
        mentions = self.mentions(name)
        return mentions[key] > 0 and mentions[key] >= _MIN_MENTIONS * max(mentions.values())

    def _documents_about(self, name: Name) -> int:
        """Count the documents that are about a proper name; 0 for other words."""
        proper = name in self.titled(self.question) or not name.words <= self.plain
        if not proper and (len(name.words) == 1 or not any(self._names(key, name) for key in self.pairs)):
            return 0
        return sum(self._is_about(key, name) for key in self.pairs)

    def _is_distinctive(self, name: Name) -> bool:
        """Whether it is a proper name and a few of the documents are about it."""
        every = len(self.pairs)
        known = every < _MANY and any(self._names(key, name) for key in self.pairs)
        return 0 < self._documents_about(name) <= (every - 1 if known else max(1, every * _MAX_SHARE))

    def _fits(self, span: _Span, name: Name) -> bool:
        """Whether a span's passage or the name of its document has a name."""
        passage, key = self.passages[span.passage], self._key(span)
        return self._names(key, name) or name.is_in("\n".join((passage.text, *passage.heading, passage.header)))

    def _distinctive_names(self, claim: _Claim) -> list[tuple[int, Name]]:
        """Return the names in a claim, else in its question, that only other documents may be about."""
        spans, texts = claim.spans, (claim.text, self.question)
        own, asked = (self._said(text, claim.values) for text in texts)
        odd = (name for name in (*own, *asked) if not all(self._fits(span, name) for span in spans))
        if not any(map(self._is_distinctive, odd)):
            return []
        held = any(
            0 < self._documents_about(n) < len(self.pairs) and all(self._fits(span, n) for span in spans) for n in asked
        )
        own, asked = (tuple(filter(self._is_distinctive, names)) for names in (own, asked))
        # "Northwind Health" does not say which of its plans was asked about.
        own = tuple(one for one in own if not any(one.words < other.words for other in (*own, *asked)))
        own = tuple(one for one in own if any(self._is_subject(span, one) for span in spans))
        if own and own[0].start < _MAX_LEAD and not claim.places:
            own = own[:1]
        return [(one.start, one) for one in own or (() if held else asked)]

    def _is_subject(self, span: _Span, name: Name) -> bool:
        """Whether a name is that of another document, or one that its own document is called or is full of."""
        key = self._key(span)
        if key not in self.pairs or not self._fits(span, name) or self._names(key, name):
            return True
        return self.mentions(name)[key] * _OFTEN >= self.pairs[key][1].characters

    def _document(
        self, called: Sequence[tuple[int, Name]], places: Sequence[int], each: bool, span: _Span, fact: Fact | None
    ) -> str | None:
        key = self._key(span)
        if key not in self.pairs:
            return None
        wanted = _owners(called, places, fact.start if fact else -1)
        fits = [self._fits(span, name) or self._is_about(key, name) for name in wanted]
        stem = self.passages[span.passage].document.rsplit("/", 1)[-1].rsplit(".", 1)[0].replace("_", " ")
        return "" if (all if each else any)(fits) else stem

    def _rival(
        self, named: Sequence[tuple[int, Name]], places: Sequence[int], span: _Span, fact: Fact | None
    ) -> str | None:
        """Compare names with those of the same kind in a sentence, its headings and the columns of its table."""
        wanted = _owners(named, places, fact.start if fact else -1)
        if cell := self._cell(span, self._places(span, fact)):
            labels = frozenset(listed(f"{cell.row} {cell.column} {cell.section} {cell.caption}"))
            if any(name.words <= labels for name in wanted):
                return ""
            others = {one.column for one in self.cells(span.passage) if one.table == cell.table} - {cell.column}
            if cell.column and any(name.words <= frozenset(listed(one)) for one in others for name in wanted):
                return cell.column
        rivals = self._rivals(wanted, self._key(span))
        wanted = [name for name in wanted if any(name.order[0] == one.order[0] for one in rivals)]
        for level in (self._text(span), *reversed(self.passages[span.passage].heading)) if rivals else ():
            if any(name.is_in(level) for name in wanted):
                return ""
            if hit := next((one for one in rivals if one.is_in(level)), None):
                return hit.text
        return None

    def _rivals(self, wanted: Sequence[Name], key: Key) -> list[Name]:
        """Return the names that begin with the same word as one of these and go on otherwise: "Hall 4", "Hall 5"."""
        called = self.called(key) if key in self.pairs else frozenset()
        found = [
            other
            for name in wanted
            for other in self.all_names.values()
            if len(name.order) > 1 and name.order[0] == other.order[0] and not same(name.words, other.words)
            if name.order[1] != other.order[1] or name.order[:-1] == other.order[:-1]
        ]
        general = {one.words for one in found if any(one.words < other for other in self.all_names)}
        return [one for one in found if one.words not in general and not one.words <= called]

    @cached_property
    def all_names(self) -> dict[Words, Name]:
        texts = [self.question, *(one.text[:_MAX_OWN] for one in self.passages)]
        texts += [title for one in self.passages for title in (*one.heading, one.header)]
        return {name.words: name for text in texts for name in self.names(text) if len(name.order) > 1}

    def _duration(self, wanted: Words, span: _Span, fact: Fact | None) -> str | None:
        """Compare "nine months" with the label of a figure's column."""
        cell = self._cell(span, self._places(span, fact))
        own = _months(cell.column) if cell else frozenset[str]()
        return ("" if own & wanted else cell.column) if cell and own else None

    def _row(self, claim: str, places: Sequence[int], span: _Span, fact: Fact | None) -> str | None:
        """Compare the label of a figure's row with the one that a claim says it of, else with all that is asked for."""
        if fact is None or (cell := self._cell(span, self._places(span, fact))) is None:
            return None
        own, key = self.labels(cell.row), self._key(span)
        rows = self._rows_in(claim, span.passage, cell)
        named = _owners(rows, places, fact.start)
        total = self.labels(cells.UNNAMED)
        if any(self.labels(label) | total == own | total for label in named):
            return ""
        if len(named) == 1 and (len(places) == len(rows) or own.isdisjoint(terms(claim, self.language))):
            return cell.row
        wanted = terms(f"{self.question} {claim}", self.language)
        if own <= wanted:
            return ""
        for passage in range(len(self.passages)):
            for one in self.cells(passage) if self._key(_Span(passage, 0, 0)) == key else ():
                label = self.labels(one.row)
                here = passage == span.passage and one.table == cell.table
                if len(own & wanted) < len(label) and label <= wanted and (here or len(label) > 1):
                    return cell.row
        return "" if 2 * len(own & wanted) > len(own) else None

    def _rows_in(self, claim: str, passage: int, cell: Cell) -> list[tuple[int, str]]:
        """Return where a claim has the labels of a table's rows, without those inside a longer one."""
        found = dict[int, str]()
        rows = {cells.plain(one.row) for one in self.cells(passage) if one.table == cell.table and self.labels(one.row)}
        for row in sorted(rows, key=len):
            words = r"\W+".join(map(re.escape, re.findall(r"\w+", row)))
            for match in re.finditer(rf"(?<!\w){words}(?!\w)", claim, re.I):
                found = {at: one for at, one in found.items() if not match.start() <= at < match.end()}
                found[match.start()] = row
        return sorted(found.items())

    # --- subjects

    def _roles_of(self, key: Key) -> Roles:
        own = [one.text for one in self.passages if (one.library, one.document_id) == key]
        if key in self.pairs:
            library, document = self.pairs[key]
            for position in range(document.pages):
                if sum(map(len, own)) >= _MAX_OWN:
                    break
                own.append(library.page_text(document.id, position))
        return subjects.roles(" ".join(" ".join(own)[:_MAX_OWN].split()))

    def _subject(self, act: Act, span: _Span, fact: Fact | None) -> str | None:
        others = [one for one in self.acts(self._text(span)) if one.verb == act.verb]
        if not others:
            return None
        roles = self.roles(self._key(span))
        mine = {*act.each, *roles.terms(act)}
        theirs = {who for one in others for who in (*one.each, *roles.terms(one))}
        if any(who <= subjects.EVERYONE or any(same(who, one) for one in mine) for who in theirs):
            return ""
        if not act.who.isdisjoint(subjects.SPEAKERS) and _OURS.search(self.question):
            return None  # "Must I pay?" "You must pay.": who asks is not known
        other, text, who = others[0], self._text(span), roles.term(act.who)
        alike = len(who & other.who) > 1 and len(who) != len(other.who)  # "Northwind Health Plus", its "... Booklet"
        is_name = not (alike or other.duty or other.plain or act.plain) and who <= self.known
        is_object = (
            act.duty and who <= frozenset(listed(text)) and not any(same(who, one.who) for one in self.acts(text))
        )
        return other.text if is_name or is_object or roles.binds(who, other.plain) else None


def _runs(marks: Sequence[bool]) -> Iterator[tuple[int, int]]:
    """Yield where runs of true marks begin and end."""
    edges = [at for at in range(len(marks) + 1) if (at < len(marks) and marks[at]) != (at > 0 and marks[at - 1])]
    yield from zip(edges[::2], edges[1::2], strict=True)


def _is_year(fact: Fact) -> bool:
    return fact.kind == "number" and bool(re.fullmatch(r"(?:19|20)\d\d", fact.text.strip()))


def _years_in(text: str) -> list[tuple[int, int]]:
    return [(match.start(), min(cells.years(match[0]))) for match in cells.YEAR.finditer(text)]


def _months(text: str) -> Words:
    return frozenset(word.lower() for word in _MONTHS.findall(text))
