"""What an answer says that the text it cites does not bear: numbers, amounts, dates, names, links and commands (pure).

A fact is borne by the words cited, by the heading, the table header and the name of the document that they stand under,
by a calculation shown with the answer, and by the question, unless that can be answered by yes or no: to say yes to
"Is the fee 5,000?" is to say that it is. A number that stands elsewhere in what the model read, in a sentence about
the same, brings that sentence as one more citation; else it is flagged, and where it stands is said. A name may stand
anywhere in what was read of the documents cited: who "the Tenant" is, is told once.

Same answer, same passages: same flags, in the order of the answer. How facts are compared: `facts.py`, `links.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from localrag.answer.verify import citations, facts, links
from localrag.answer.verify.citations import Cited, terms
from localrag.answer.verify.facts import Evidence, Fact
from localrag.store.sentences import sentences
from localrag.types import Flag, Passage, Working, source

_MOST_FLAGS = 20
NOWHERE = "not in the text that was read"
# Characters of the passages that are searched for a fact that is not in what is cited.
_MOST_SEARCHED = 400_000
# Least share of the other words of a claim that a sentence must have to be cited for its number.
_ABOUT_THE_SAME = 0.4
_YES_OR_NO = re.compile(
    r"^\W*(?:(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|may|must|should|shall|am)(?:n[’']t)?|"
    r"ist|sind|war|waren|hat|haben|kann|können|darf|dürfen|muss|müssen|wird|werden|wurde|wurden|gilt|gibt|soll|"
    r"est-ce|es|está|son|fue|hay|tiene)\s",
    re.I,
)
_PLACE = re.compile(r"(?:\b(?:pp?|s|pages?|seiten?|página|passages?|documents?|slides?|sheets?)\.?|第)\s*$", re.I)


def check(
    cited: Cited, question: str, passages: Sequence[Passage], workings: Sequence[Working] = (), *, foreign: bool = False
) -> tuple[Cited, tuple[Flag, ...]]:
    """The answer, with citations added for what stands elsewhere and its foreign links made harmless, and its flags.

    Args:
        cited: the answer with its citations; Markdown links are written out already (`links.written_out`).
        question: as it was asked.
        passages: what the model was shown.
        workings: the calculations that are shown with it.
        foreign: the answer is in another language than the passages, where names may be written otherwise.
    """
    read = _Reading(cited, question, passages, workings, foreign)
    flags: dict[tuple[str, str], Flag] = {}
    cited, found = _facts(cited, read)
    cited, links_found = _links(cited, read)
    for flag in (*found, *links_found):
        flags.setdefault((flag.kind, flag.text), flag)
    return cited, tuple(flags.values())[:_MOST_FLAGS]


class _Reading:
    """What bears the facts of one answer."""

    def __init__(
        self, cited: Cited, question: str, passages: Sequence[Passage], workings: Sequence[Working], foreign: bool
    ) -> None:
        self.passages, self.question, self.foreign = passages, question, foreign
        self._sentences: dict[int, list[tuple[int, int]]] = {}
        self.spoken = citations.language(f"{question} {cited.text}", passages)
        # "48.000" may be either number where not all is English.
        self.counted = "german" if foreign else self.spoken
        self.cited = self._cited_passages(cited)
        self.documents = {(passage.library, passage.document) for passage in self.cited}
        self.quotes = [citation.quote for citation in cited.citations]
        frame = [
            part
            for passage in self.cited
            for part in (*passage.heading, passage.header, passage.document, passage.label or "", passage.place)
        ]
        worked = [part for working in workings for part in (working.shown, *(one.text for one in working.figures))]
        asked = "" if _YES_OR_NO.match(question) else question
        self.numbers = Evidence(*self.quotes, *frame, *worked, asked)
        self.names = Evidence(*self.quotes, *frame, question)
        self.places = {passage.page for passage in passages} | set(range(1, len(passages) + 1))

    def _cited_passages(self, cited: Cited) -> list[Passage]:
        return [
            passage
            for passage in self.passages
            if any(
                (passage.library, passage.document, passage.page) == (one.library, one.document, one.page)
                and passage.start <= one.start < passage.end
                for one in cited.citations
            )
        ]

    def sentences(self, passage: Passage) -> list[tuple[int, int]]:
        key = id(passage)
        if key not in self._sentences:
            self._sentences[key] = sentences(passage.text)
        return self._sentences[key]

    def of_documents(self) -> Evidence:
        """All that was read of the documents cited; of everything read where nothing is cited."""
        own = [one for one in self.passages if (one.library, one.document) in self.documents or not self.documents]
        return Evidence(self.names.text, *(part for one in own for part in (*one.heading, one.document, one.text)))


# --- numbers, dates, names ----------------------------------------------------------------------------------


def _facts(cited: Cited, read: _Reading) -> tuple[Cited, list[Flag]]:
    text = citations.without_markers(cited.text)
    skipped = [(found.start, found.end) for found in links.links(text)]
    unborne = [fact for fact in facts.numbers(text, read.counted)
               if not read.numbers.bears(fact, read.spoken) and not _names_a_place(fact, text, read)]  # fmt: skip
    unborne += _strange_names(text, read)
    flags: list[tuple[int, Flag]] = []
    added: list[tuple[int, Passage, int, int]] = []
    # An answer that says the same strange thing a hundred times is looked into once.
    first = {(fact.kind, fact.text.strip()): fact for fact in sorted(unborne, key=lambda fact: -fact.start)}
    for fact in sorted(first.values(), key=lambda fact: fact.start)[:_MOST_FLAGS]:
        if any(start < fact.end and fact.start < end for start, end in skipped):
            continue
        place = _elsewhere(fact, text, read)
        if place is not None and fact.kind != "name" and place[3]:
            added.append((fact.start, *place[:3]))
            continue
        where = _said_where(place[0], read) if place else ""
        flags.append((fact.start, Flag(fact.kind, fact.text.strip(), where or _nowhere(read))))
    for at, passage, start, end in sorted(added, key=lambda one: -one[0]):
        cited = citations.add(cited, at, passage, start, end)
    return cited, [flag for _, flag in sorted(flags, key=lambda one: one[0])]


def _nowhere(read: _Reading) -> str:
    return "not in what is cited" if read.quotes else NOWHERE


def _said_where(passage: Passage, read: _Reading) -> str:
    where = passage.place or "another place"
    if (passage.library, passage.document) not in read.documents or not passage.place:
        where = source(passage.document, passage.place)
    return f"stands in {where}, not in what is cited"


def _names_a_place(fact: Fact, text: str, read: _Reading) -> bool:
    """Whether a number is that of a page or passage that was read: "on page 7"."""
    named = _PLACE.search(text[max(0, fact.start - 14) : fact.start])
    return bool(named and fact.amount and any(value in read.places for value in fact.amount.digits))


def _strange_names(text: str, read: _Reading) -> Iterator[Fact]:
    """Names that stand neither in what is cited nor anywhere else in what was read of the documents cited."""
    sources = " ".join(read.quotes)
    if read.foreign or (sources and citations.language(sources, read.passages) != read.spoken):
        return  # names are written otherwise in another language
    strange = [fact for fact in facts.names(text, read.spoken) if not read.names.bears(fact, read.spoken)]
    if strange:
        everything = read.of_documents()
        lower = everything.text.lower()
        for fact in strange:
            # A look at the beginnings of its words spares most names a close reading of everything.
            absent = any(len(word) >= 5 and not word.isupper() and word[:5].lower() not in lower for word in fact.words)
            if absent or not everything.bears(fact, read.spoken):
                yield fact


def _elsewhere(fact: Fact, text: str, read: _Reading) -> tuple[Passage, int, int, bool] | None:
    """The passage and the span in it that has a fact, and whether it is about what the sentence with the fact is."""
    claim = next((text[start:end] for start, end in sentences(text) if start <= fact.start < end), text)
    wanted = {term for term in terms(claim, read.spoken) if not term[0].isdigit()}
    best: tuple[float, Passage, int, int] | None = None
    left = _MOST_SEARCHED
    for passage in read.passages:
        left -= len(passage.text)
        if left < 0:
            break
        if not _may_hold(fact, passage.text):
            continue
        for start, end in read.sentences(passage):
            span = passage.text[start:end]
            if not _may_hold(fact, span) or not Evidence(span, spoken=read.spoken).bears(fact, read.spoken):
                continue
            shared = len(wanted & terms(span, read.spoken)) / max(1, len(wanted))
            if best is None or shared > best[0]:
                best = (shared, passage, start, end)
    if best is None:
        return None
    fits = best[0] >= _ABOUT_THE_SAME and best[3] - best[2] <= citations.LONGEST_QUOTE
    return best[1], best[2], best[3], fits


def _may_hold(fact: Fact, text: str) -> bool:
    """A quick look whether a text may have a fact, before it is read closely."""
    if fact.kind == "name":
        return fact.words[-1].lower() in text.lower()
    if fact.kind == "date":
        year = re.search(r"\d{4}", fact.text)
        return (year[0][2:] if year else re.sub(r"\D", "", fact.text)[:2].lstrip("0")) in text
    groups = re.findall(r"\d+", fact.text)
    if not groups:
        values = fact.amount.digits if fact.amount else ()
        return fact.text.split()[0].lower() in text.lower() or any(str(value) in text for value in values)
    # "5,000,000" may be "5 million": of round numbers only the first group is sure to be there.
    sure = groups[0] if set(groups[-1]) == {"0"} else groups[-1]
    return re.search(rf"(?<!\d){sure}(?!\d)", text) is not None


# --- links and commands -------------------------------------------------------------------------------------


def _links(cited: Cited, read: _Reading) -> tuple[Cited, list[Flag]]:
    """Links that no source has are made harmless, in the answer and in the sentences listed as unsupported."""
    sources = "\n".join((*read.quotes, read.question))
    foreign = [found for found in links.links(cited.text) if not links.stands_in(found.text, sources)]
    plain = citations.without_markers(cited.text)
    orders = [found for found in links.commands(plain) if not links.stands_in(found.text, sources)]
    flags = [Flag("link", links.harmless(found.text), _nowhere(read)) for found in foreign]
    flags += [Flag("command", " ".join(_inert(found.text, sources).split())[:120], _nowhere(read)) for found in orders]
    if not foreign:
        return cited, flags
    unsupported = tuple(_inert(sentence, sources) for sentence in cited.unsupported)
    return replace(cited, text=_inert(cited.text, sources), unsupported=unsupported), flags


def _inert(text: str, sources: str) -> str:
    parts, last = [], 0
    for found in links.links(text):
        if not links.stands_in(found.text, sources):
            parts += [text[last : found.start], links.harmless(found.text)]
            last = found.end
    return "".join([*parts, text[last:]])
