"""Flag what an answer says of one company, period, plan or document where the text that it cites says it of another.

A figure is of what its row and column, its sentence, its headings and its document name, the nearest first. Only a
competitor is a reason to doubt: another year, row or column, a name that goes on otherwise ("Hall 4", "Hall 5"), a
document other than the few that have the name. Where nothing is named, or another passage says it of the right one,
nothing is flagged; that passage is cited too. Limits: names are known by their capitals, and who of two parties in one
sentence does something is not checked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import PurePosixPath
from typing import TypeVar

from localrag import quantities
from localrag.grounding import cells, citations, fact_checks
from localrag.grounding.cells import Cell
from localrag.grounding.citations import claims, terms, without_markers
from localrag.grounding.fact_checks import Amount, Fact, Name, listed
from localrag.grounding.stages import Findings, Pair
from localrag.store.text_analysis import sentences
from localrag.types import Citation, Flag, Passage, source

Mark = TypeVar("Mark")
Key = tuple[str, int]  # library and document

# Characters of a passage read for names, and of all passages searched for another source.
_MAX_OWN, _MAX_SEARCHED = 30_000, 60_000
_MIN_SHARED, _NEARLY = 0.5, 0.8  # of a claim's words that another source of its figure, or of words alone, must have
_MIN_MENTIONS = 0.05  # of the mentions that a name has where it has most, from which a document may be about it
_MAX_SHARE = 0.34  # of the documents: a name that more of them are about tells none from another,
_MANY = 10  # documents, unless there are fewer and one has it in its name
# What documents are called: "the supply agreement".
_DOCUMENTS = quantities.load_words("localrag.question", "words.toml")["documents"].split()
_NOUNS = frozenset((*_DOCUMENTS, *(f"{noun}s" for noun in _DOCUMENTS)))
_CAMEL = re.compile(r"(?<=[a-zß-ÿ])(?=[A-ZÀ-Þ])")
_FIGURE = quantities.lazy_re(
    r"(?<![\d.,])(?:\d{1,3}(?:[,.’']\d{3}){1,6}(?:[.,]\d{1,6})?|\d{1,20}(?:[.,]\d{1,6})?)(?!\d)"
)
_REPORT_OF = re.compile(rf"\b(?:{'|'.join(sorted(_NOUNS))})\s(?:(?:of|for|from)\s)?(?:19|20)\d\d\b", re.I)
_FISCAL, _OTHER_YEAR, _REFERENCE_YEAR, _OPEN_ENDED = quantities.phrases(
    "localrag.answer", "entities", "fiscal", "other_year", "reference_year", "open_ended"
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
    return bool(quantities.years(question) or _Check(question, passages, documents).named(question))


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
    """A sentence of the answer with its facts but years, and where its figures are."""

    text: str
    facts: tuple[Fact, ...]
    places: tuple[int, ...]

    def owners(self, marks: Sequence[tuple[int, Mark]], fact: Fact | None) -> list[Mark]:
        """Return whose a figure is."""
        return _owners(marks, self.places, fact.start if fact else -1)


def _owners(marks: Sequence[tuple[int, Mark]], places: Sequence[int], at: int) -> list[Mark]:
    """Return whose a figure is: of as many names as figures, in turn or in two lists, that in its place; else all."""
    kinds = "".join(kind for _, kind in sorted([(p, "m") for p, _ in marks] + [(p, "f") for p in places]))
    n = len(marks)
    if at in places and n == len(places) > 1 and kinds in ("mf" * n, "fm" * n, "m" * n + "f" * n, "f" * n + "m" * n):
        return [marks[places.index(at)][1]]
    return [mark for _, mark in marks]


class _Check:
    """What is known of the question, the passages and their documents while one answer is checked.

    A judge says whether a span has a fact of the right one: the name of another one if not, "" if so, None if it cannot
    be told.
    """

    def __init__(self, question: str, passages: Sequence[Passage], documents: Sequence[Pair]) -> None:
        self.question, self.passages = question, passages
        self.language = citations.language(question, passages)
        self.pairs = {(library.name, document.id): (library, document) for library, document in documents}
        self.cells = cache(lambda at: cells.find([passages[at]]))
        self.terms = cache(lambda text: terms(cells.plain(text), self.language))
        self.names = cache(lambda text: tuple(fact_checks.names(text, self.known)))
        self.called, self.about = cache(self._called), cache(self._about)

    def spans(self, citation: Citation) -> Iterator[_Span]:
        """Yield the sentences and rows that a citation is from."""
        for at, one in enumerate(self.passages):
            if one.holds(citation):
                first, last = citation.start - one.start, citation.end - one.start
                yield from (_Span(at, a, b) for a, b in sentences(one.text) if a < last and first < b)
                return

    def mismatch(self, text: str, spans: Sequence[_Span]) -> tuple[str, Passage] | _Span | None:
        """Return what a claim's source is about, if it is another one, or a span that says it of the right one."""
        facts = tuple(fact for fact in fact_checks.find_numbers(text, self.language) if not _is_year(fact))
        claim = _Claim(text, facts, tuple(sorted(fact.start for fact in facts if fact.kind != "date")))
        better = None
        for judge in (self._year, self._document, self._rival, self._column, self._row):
            for fact in facts or (None,):
                own = [span for span in spans if fact is None or self._places(span, fact)]
                found = {span: judge(claim, fact, span) for span in own}
                if not found or not all(found.values()):
                    continue
                right = next((one for one in self._others(claim, fact) if judge(claim, fact, one) == ""), None)
                if right is None:
                    at, about = next(iter(found.items()))
                    return str(about), self.passages[at.passage]
                better = better or right
        return better

    def _others(self, claim: _Claim, fact: Fact | None) -> Iterator[_Span]:
        """Yield the spans of all passages that have a fact and half of the words of its claim."""
        wanted = frozenset(term for term in terms(claim.text, self.language) if not term[0].isdigit())
        least = (_MIN_SHARED if fact else _NEARLY) * len(wanted)
        left = _MAX_SEARCHED
        for at, passage in enumerate(self.passages):
            left -= len(passage.text)
            frame = terms("\n".join((*passage.heading, passage.header)), self.language)
            for start, end in sentences(passage.text) if left > 0 else ():
                span = _Span(at, start, end)
                shared = wanted & (frame | terms(self._text(span), self.language))
                if len(shared) >= least and (fact is None or self._places(span, fact)):
                    yield span

    def _text(self, span: _Span) -> str:
        return self.passages[span.passage].text[span.start : span.end]

    def _key(self, span: _Span) -> Key:
        return self.passages[span.passage].library, self.passages[span.passage].document_id

    def _places(self, span: _Span, fact: Fact) -> list[int]:
        """Return where in a span a fact is."""
        text = self._text(span)
        if fact.kind == "date":
            dates = (one for one in fact_checks.find_numbers(text, self.language) if one.kind == "date")
            return [one.start for one in dates if one.days & fact.days or (one.month and one.month == fact.month)]
        if fact.amount is None:
            return []
        figures = ((match.start(), match[0]) for match in _FIGURE.finditer(text))
        own = [
            at
            for at, figure in figures
            if fact.amount.is_supported_by(Amount(frozenset([quantities.parse_number(figure)]), 0, "", figure))
        ]
        return own or [n.start for n in quantities.find_number_words(text) if n.value in fact.amount.values]

    def _cell(self, span: _Span, fact: Fact | None) -> Cell | None:
        """Return the cell of a table in which a span has a fact."""
        if fact is None or not self._text(span).startswith("|"):
            return None
        where = [span.start + at for at in self._places(span, fact)]
        return next((one for one in self.cells(span.passage) if any(one.start <= at < one.end for at in where)), None)

    def _table(self, span: _Span, cell: Cell) -> list[Cell]:
        return [one for one in self.cells(span.passage) if one.table == cell.table]

    # --- years

    def _year(self, claim: _Claim, fact: Fact | None, span: _Span) -> str | None:
        wanted = set(claim.owners(_years_in(claim.text), fact)) or self._years_asked(claim.text)
        if fact is None or fact.kind == "date" or not wanted:
            return None
        text, own = self._text(span), set[int]()
        if text.startswith("|"):
            cell = self._cell(span, fact)
            months = cell and any(word.strip(".,").lower() in quantities.MONTHS for word in cell.column.split())
            if cell is None or (months and _FISCAL.search(f"{claim.text} {self.question}")):
                return None  # a fiscal year may end in the next one
            own = set(cell.years)
        else:
            if (
                not _years_in(claim.text)
                and _OPEN_ENDED.search(text)
                and max(quantities.years(text), default=9999) < min(wanted)
            ):
                return None  # "The rent rises to 1,260 in 2023."
            facts = [one for one in fact_checks.find_numbers(text, self.language) if not _is_year(one)]
            places = sorted(one.start for one in facts if one.kind != "date")
            for at in self._places(span, fact):
                here = next((one.start for one in facts if one.start <= at < one.end), -1)
                own |= set(_owners(_years_in(text), places, here))
        return ("" if own & wanted else str(max(own))) if own else None

    def _years_asked(self, claim: str) -> set[int]:
        """Return the years that a question is about; none where another one may be meant."""
        if _OTHER_YEAR.search(f"{self.question} {claim}"):
            return set()
        return {year for _, year in _years_in(_REPORT_OF.sub("", self.question))}

    # --- names

    @cached_property
    def known(self) -> frozenset[str]:
        """Words with a capital inside a sentence, and those of paths and titles."""
        texts = [self.question, *(one.text[:_MAX_OWN] for one in self.passages)]
        inside = frozenset(listed(" ".join(word for text in texts for word in fact_checks.INSIDE.findall(text))))
        return inside.union(*(self.called(key) for key in self.pairs)) - fact_checks.COMMON

    @cached_property
    def plain(self) -> frozenset[str]:
        """Words that the passages have without a capital: "party", but not "northwind"."""
        return frozenset(word for one in self.passages for word in fact_checks.PLAIN.findall(one.text[:_MAX_OWN]))

    def named(self, text: str) -> tuple[Name, ...]:
        """Return the names in a text, and those of documents in small letters: "the supply agreement"."""
        titles = frozenset().union(*(self.called(key) for key in self.pairs)) - fact_checks.COMMON - _NOUNS
        words = [(match.start(), match[0].lower()) for match in re.finditer(r"\w+", text)]
        pairs = zip(words, [*words[1:], (len(text), "")], strict=False)  # a text without words has none
        titled = [
            Name(f"{word} {noun}", at, (word, noun))
            for (at, word), (_, noun) in pairs
            if word in titles and noun in _NOUNS
        ]
        return (*self.names(text), *titled)

    def _called(self, key: Key) -> frozenset[str]:
        """Return the words of a document's path and title."""
        document = self.pairs[key][1]
        named = f"{document.path.rsplit('.', 1)[0]} {document.title}"
        return frozenset(listed(f"{named} {_CAMEL.sub(' ', named)}"))

    def _about(self, name: Name) -> frozenset[Key]:
        """Return the documents that have a name in their own, though "agreement" may be missing there, or often in
        their text."""
        mentions = Counter[Key]()
        for library in {id(library): library for library, _ in self.pairs.values()}.values():
            spans = library.spans_of_passages(library.text.with_phrase(name.order))
            mentions.update((library.name, one.document_id) for one in spans)
        least = max(1, _MIN_MENTIONS * max(mentions.values(), default=0))
        own = name.words - _NOUNS or name.words
        return frozenset(key for key in self.pairs if own <= self.called(key) or mentions[key] >= least)

    def _is_distinctive(self, name: Name) -> bool:
        """Whether it is a proper name, or one of a document, and a few of the documents are about it."""
        in_names = any((name.words - _NOUNS or name.words) <= self.called(key) for key in self.pairs)
        if name.words <= self.plain and not (in_names and len(name.words) > 1):
            return False
        every = len(self.pairs)
        most = every - 1 if every < _MANY and in_names else max(1, every * _MAX_SHARE)
        return 0 < len(self.about(name)) <= min(most, every - 1)

    def _fits(self, span: _Span, name: Name) -> bool:
        """Whether a span's document is about a name, or its passage has it."""
        passage = self.passages[span.passage]
        return self._key(span) in self.about(name) or name.is_in(
            "\n".join((passage.text, *passage.heading, passage.header))
        )

    def _document(self, claim: _Claim, fact: Fact | None, span: _Span) -> str | None:
        if self._key(span) not in self.pairs:
            return None
        own, asked = (tuple(filter(self._is_distinctive, self.named(text))) for text in (claim.text, self.question))
        # "Northwind Health" does not say which of its plans was asked about, and what is said of something is no name.
        own = tuple(one for one in own if not any(one.words < other.words for other in (*own, *asked)))
        own = tuple(one for one in own if fact or not one.is_in(self._text(span)))
        wanted = claim.owners([(one.start, one) for one in own or asked], fact)
        if not wanted:
            return None
        # A source that has one of the names asked for may be the right one.
        named = (
            wanted if own else [one for one in self.named(self.question) if 0 < len(self.about(one)) < len(self.pairs)]
        )
        fits = [self._fits(span, name) for name in named]
        if any(fits):
            return ""
        return PurePosixPath(self.passages[span.passage].document).stem.replace("_", " ")

    def _rival(self, claim: _Claim, fact: Fact | None, span: _Span) -> str | None:
        """Compare names with those of the same kind in a sentence and its headings."""
        named = self.names(claim.text) or self.names(self.question)
        wanted = claim.owners([(name.start, name) for name in named if len(name.order) > 1], fact)
        rivals = [
            other
            for name in wanted
            for other in self.all_names
            if name.order[0] == other.order[0] and not (name.words <= other.words or other.words <= name.words)
            if name.order[1] != other.order[1] or name.order[:-1] == other.order[:-1]
        ]
        for level in (self._text(span), *reversed(self.passages[span.passage].heading)) if rivals else ():
            if any(name.is_in(level) for name in wanted):
                return ""
            if hit := next((one for one in rivals if one.is_in(level)), None):
                return hit.text
        return None

    @cached_property
    def all_names(self) -> list[Name]:
        """The names of several words in the passages."""
        texts = [text for one in self.passages for text in (one.text[:_MAX_OWN], *one.heading, one.header)]
        return [name for text in texts for name in self.names(text) if len(name.order) > 1]

    # --- rows and columns

    def _column(self, claim: _Claim, fact: Fact | None, span: _Span) -> str | None:
        """Compare what tells a figure's column from the others of its table: "six months", "Hall 5"."""
        if (cell := self._cell(span, fact)) is None or not cell.column:
            return None
        labels = {one.column: self.terms(one.column) for one in self._table(span, cell)}
        common = frozenset.intersection(*labels.values())
        wanted = terms(claim.text, self.language), terms(self.question, self.language)
        own, *others = (
            frozenset(term for term in label - common if not re.fullmatch(r"(?:19|20)\d\d", term))
            for label in (labels.pop(cell.column), *labels.values())
        )
        for asked in wanted:
            if any(other and other <= asked and not other <= own for other in others):
                return "" if own and own <= asked else cell.column
        return None

    def _row(self, claim: _Claim, fact: Fact | None, span: _Span) -> str | None:
        """Compare the label of a figure's row with the one that a claim says it of, else with all that is asked for."""
        if (cell := self._cell(span, fact)) is None:
            return None
        own, total = self.terms(cell.row), self.terms(cells.UNNAMED)
        rows = self._rows_in(claim.text, self._table(span, cell))
        named = claim.owners(rows, fact)
        if any(self.terms(label) | total == own | total for label in named):
            return ""
        stated = terms(claim.text, self.language)
        if len(named) == 1 and (len(claim.places) == len(rows) or own.isdisjoint(stated)):
            return cell.row
        wanted = stated | terms(self.question, self.language)
        if own <= wanted:
            return ""
        for at in range(len(self.passages)):
            for one in self.cells(at) if self._key(_Span(at, 0, 0)) == self._key(span) else ():
                label, here = self.terms(one.row), (at, one.table) == (span.passage, cell.table)
                if len(own & wanted) < len(label) and label <= wanted and (here or len(label) > 1):
                    return cell.row
        return "" if 2 * len(own & wanted) > len(own) else None

    def _rows_in(self, claim: str, table: Sequence[Cell]) -> list[tuple[int, str]]:
        """Return where a claim has the labels of a table's rows, without those inside a longer one."""
        found = dict[int, str]()
        for row in sorted({cells.plain(one.row) for one in table if self.terms(one.row)}, key=len):
            words = r"\W+".join(map(re.escape, re.findall(r"\w+", row)))
            for match in re.finditer(rf"(?<!\w){words}(?!\w)", claim, re.I):
                found = {at: one for at, one in found.items() if not match.start() <= at < match.end()}
                found[match.start()] = row
        return sorted(found.items())


def _is_year(fact: Fact) -> bool:
    return fact.kind == "number" and bool(re.fullmatch(r"(?:19|20)\d\d", fact.text.strip()))


def _years_in(text: str) -> list[tuple[int, int]]:
    """Return the years in a text but those that are only compared with: "since 2019"."""
    left = _REFERENCE_YEAR.sub(lambda match: " " * len(match[0]), text)
    return [(match.start(), min(quantities.years(match[0]))) for match in quantities.YEAR.finditer(left)]
