"""Read the facts of a document by code: who, when, how long, under which law, how much; each with quote and place.

    every document   kind, title
    contracts        party (with its terms), signed, effective, start, end, term, renewal, non-renewal notice,
                     termination notice, payment, law, courts, fee, cap, deposit, minimum, signatory, notice address,
                     relation (amends, restates, is under another document)
    filings          company, form, period
    mails            sender, recipient, date, subject (items/other_facts.py)
    policies,        number, version, in force, updated, owner
    reports, studies

A value counts only if words beside it give it its role; where several fit, or the sentence is not known as such a
clause, the fact is unclear. Which sentences of a contract are looked at is told by the clause classifier
(search/clauses.py). Limits: English.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple, cast

from localrag.errors import NotFoundError, UsageError
from localrag.figures import reports, table
from localrag.grounding.locate import locate
from localrag.items import document_kind, labelled, other_facts, parties, value_roles, values
from localrag.items.deadlines import SPAN
from localrag.items.item import Item
from localrag.items.parties import P
from localrag.quantities import QUANTITY, TIME_UNITS, DateMention, find_dates, parse_quantity
from localrag.search import clauses
from localrag.store.locations import place_at
from localrag.store.text_analysis import FALLBACK, sentences
from localrag.text import clean, running_lines, without_lines
from localrag.types import Document, Fact, FactState, Page

if TYPE_CHECKING:
    from localrag.store.writer import Editor

VERSION = "8"  # of how facts and figures are read: another one reads them all again
_FIRST = 2000  # characters in which a document says what it is to another one
_OPENING = 8000  # characters in which a document says when it was made
_LIKE_CONTRACTS = ("contract", "amendment", "letter", "order", "form", "document")
_DAYS = ("signed", "effective", "start", "end")
_PERIODS = ("term", "renewal", "non-renewal notice", "termination notice", "payment")
_BATCH = 32  # documents whose facts are committed together
_MAX_UNTITLED = 150_000  # characters of a contract whose heading does not say that it is one
_LABELLED_PAGES = 12
_MAX_NEAR = 5  # facts that are named where none, or several, fit a name
# How likely a sentence must be such a clause: for a value that is unclear, and for a clear one. Of 90 sentences with a
# fitting span in 40 contracts all 40 wrong ones lay below the second, and 4 of 50 right ones.
_MAYBE, _LIKELY = 0.25, 0.4
# Why rules doubt a value, where another reader may decide.
_OTHER, _SEVERAL, _NAMED, _DIFFER, _DAYS_TOO = (
    "the sentence may be about something else",
    "the sentence has several",
    "its opening names a day, too",
    "the document may have several contracts, which differ",
    "other days have this role too",
)
_DOUBTS = (_OTHER, _SEVERAL, _NAMED, _DIFFER, _DAYS_TOO)
# How likely the classifier of roles must find a value: one that rules doubt, one that they leave out, and one that they
# tell; by role where others hold. No notice of termination that rules leave out is right; most of those that they tell
# are wrong below 0.15. It doubts no day of signing, which may stand beside signatures; experts take it for the day in
# effect, too.
_AGREED, _ALONE, _UNLIKE = 0.4, 0.7, 0.005
_OWN_ALONE = {"non-renewal notice": 0.6, "termination notice": 1.0}
_OWN_UNLIKE = {"signed": 0.0, "effective": 0.0, "termination notice": 0.15}
# How likely a sentence must be a clause where its words do not say what it is: an opening with one date, a law.
_CERTAIN = 0.9
_LABEL = 6  # characters that may stand before a label: "2. Effective Date: ..."
_MAX_QUOTE, _MAX_SENTENCE, _BEFORE, _AFTER, _ABOVE = 400, 3000, 200, 90, 400
# The clause whose sentences may state a day of a role.
_CLAUSE_OF = {
    "signed": "agreement-date",
    "effective": "effective-date",
    "start": "expiration-date",
    "end": "expiration-date",
}
_DEFINED = re.compile(
    r"^[\s,.]{0,9}\(?\s{0,9}(?:(?:the|hereinafter|collectively|referred|to|as)[,\s]+)*"
    r"[“\"']+\s*(?:the\s+)?(?P<term>[A-Z][\w\s]{0,40}?)\s*[”\"'](?P<bare>)",
    re.S,
)
# “Start Date” means (1 March 2025)
_MEANS = re.compile(
    r"(?:[“\"'](?P<term>[A-Z][\w\s]{0,40}?)[”\"']\W{0,4}(?:shall\s+)?(?:means?|is|be)"
    r"|\b(?P<bare>(?:[A-Z][\w-]+\s+){1,3}Date)\s+(?:shall\s+mean|means))\b\W{0,3}(?:the\s+)?$"
)
_SIGNATURE = re.compile(r"/s/|\bBy:|\bIN WITNESS\b|\bsignature", re.I)
_DATED = re.compile(r"\bdated?\b", re.I)
_MAX_SPREAD = 62  # days between signatures of one document
_LISTED = re.compile(r"\((?:[a-z]|[ivx]{1,4}|\d)\)\s{1,9}")
_WORD = re.compile(r"[^\W\d_]+")
_NOTICE = re.compile(r"\bnoti(?:ce|f)", re.I)
_AFTERWARDS = re.compile(r"\W{0,3}(?:following|after|from)\b", re.I)
_ANNUAL = re.compile(r"\b(?:annual|yearly|one-year|year-to-year)\b", re.I)
_SAME = re.compile(r"\bsame (?:duration|length|period|term)\b|\blike (?:terms?|periods?)\b", re.I)
_CUT = re.compile(
    r"\s{1,9}(?:The|This|Any|Each|Both|If|In|All|Without|Venue|Except|However|Notwithstanding|Exclusive|Section|WITHOUT|EXCEPT|EXCLUSIVE|AND|IN)\b.*$",
    re.S,
)
_WITHOUT = re.compile(r"\bwithout (?:regard|reference|giving effect|application)\b(?![^.;]{0,300}\bexcept\b)", re.I)
_FULL_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_ISO = re.compile(r"P\d+[YMWD]")
_MONEY = re.compile(r"[$€£¥]|\b(?:USD|EUR|GBP|CHF|JPY|CAD|AUD|dollars?|euros?|pounds?)\b")
_NO_PERSON = re.compile(
    r"[\s,]{1,9}(?:Name|By|BY|Title|Its|ITS|Signature|Page|Source|Date|Dated|If|All|Company|Printed)\b.*$", re.S
)


class _Sentence(NamedTuple):
    position: int
    start: int
    text: str
    before: int  # characters before it in the document


class _Found(NamedTuple):
    sentence: _Sentence
    probability: float
    clause: bool  # whether the document has the clause by this sentence


Find = Callable[[str, int], list[_Found]]


def refresh(
    library: Editor,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int, str], None] = lambda done, total, path: None,
) -> int:
    """Read the facts and figures of documents that have none of this version; returns how many were read.

    What people decided of a document stays as long as it has the quote.
    """
    documents = {one.id: one for one in library.documents()}
    left = [id for id in library.without_facts(VERSION) if id in documents]  # others may write to a store meanwhile
    for first in range(0, len(left), _BATCH):
        with library.transaction(counted=False):
            for done, id in enumerate(left[first : first + _BATCH], first):
                if stop():
                    return done
                document, pages = documents[id], library.pages(id)
                progress(done, len(left), document.path)
                read = find(document, pages)
                library.save_facts(document, VERSION, read, _kept(library.decisions(document), read, pages))
                own = {one.role: one.value for one in read if one.clear}
                period = reports.about(own.get("form", ""), own.get("period", ""))
                library.save_figures(document, table.rows(table.read(pages, period)))
    return len(left)


def find(document: Document, pages: Sequence[Page]) -> list[Fact]:
    """Return the facts of a document, its kind and title first."""
    kind, heading, line = document_kind.kind(document, pages)
    read = {"mail": other_facts.of_mail}
    if english := document.language in (FALLBACK, ""):
        read |= {**dict.fromkeys(_LIKE_CONTRACTS, _of_contract), "filing": other_facts.of_filing}
        read |= dict.fromkeys(("policy", "report", "study"), other_facts.of_paper)
    long = kind == "document" and sum(len(page.text) for page in pages) > _MAX_UNTITLED
    facts = read[kind](document, pages) if kind in read and not long else []
    if kind == "document":  # without a heading that tells: a contract if it has parties, else only its days count
        if sum(one.role == "party" and one.clear and bool(one.terms) for one in facts) > 1:
            kind = "contract"
        else:
            facts = [one for one in facts if one.role in _DAYS and one.clear]
            paper = other_facts.of_paper(document, pages) if english else []
            facts = [*paper, *(one for one in facts if one.role != "signed" or not paper)]
    if english and kind in (*_LIKE_CONTRACTS, "policy") and kind != "amendment":
        facts += _relation(pages)
    title = document_kind.title(document, kind, heading, facts)
    found = [other_facts.known(pages, "kind", kind, line), other_facts.known(pages, "title", title, line), *facts]
    return list({one.id: one for one in reversed(found)}.values())[::-1]


def named(facts: Sequence[Fact], name: str) -> Fact:
    """Return the fact that is called by its id, its role, or "role=value"; NotFoundError where none or several are."""
    role, _, value = name.partition("=")
    found = [one for one in facts if one.id == name] or [
        one
        for one in facts
        if one.role == role.strip() and value.strip().casefold() in f"{one.value}\n{one.words}".casefold()
    ]
    if len(found) == 1:
        return found[0]
    several = "several facts are" if found else "no fact is"
    near = found or sorted(facts, key=lambda one: -max(_likeness(role, one.id), _likeness(role, one.role)))
    told = ", ".join(f"{one.id} ({one.role}: {one.value})" for one in near[:_MAX_NEAR]) or "none"
    told += "; all: localrag facts show" if len(near) > _MAX_NEAR else ""
    raise NotFoundError(f"{several} called {name!r}", f"Name one by its id: {told}")


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other).ratio()


def added(role: str, value: str, pages: Sequence[Page]) -> Fact:
    """Return a fact that code did not read, with the sentence that has its words, if one has.

    Raises NotFoundError for a role that is none of ROLES.
    """
    if role not in ROLES:
        raise NotFoundError(f"no fact is called {role!r}", f"Name a role: {', '.join(ROLES)}.")
    value = " ".join(clean(value).split())
    telling = type_of(role) != "text" or " " in value  # a word or a number stands anywhere
    for page in pages if telling else ():
        if at := locate(value, page.text):
            start, end = next((span for span in sentences(page.text) if span[0] <= at[0] < span[1]), at)
            end = max(at[1], start + len(page.text[start : min(end, start + _MAX_QUOTE)].rstrip()))
            place = place_at(page, start, end)
            return Fact(role, _form(role, value), value, page.text[start:end], place, page.number, start, end)
    return Fact(role, _form(role, value), value)


def decided(one: Fact, state: FactState, value: str, by: str, at: str) -> Fact:
    """Return a fact as a person decided it; with another `value` it is corrected.

    Raises UsageError for a value that is none of its role.
    """
    given, value = value, " ".join(clean(value).split())
    form = _form(one.role, value) if given else one.value
    was = one.was or (one.value if form != one.value else "")
    return replace(one, state=state, value=form, words=value or one.words, was=was, why="", by=by, at=at)


def type_of(role: str) -> values.Type:
    """Return the type of the values of a role."""
    return _TYPES.get(role, "text")


def _form(role: str, words: str) -> str:
    """Return the value of what a person wrote for a role: "1 May 2027" is "2027-05-01", "3 years" "P3Y"."""
    if role == "kind" and words not in document_kind.KINDS:
        raise UsageError(f"{words!r} is no kind of document", f"Write one of: {', '.join(document_kind.KINDS)}.")
    if role == "relation" and words not in RELATIONS:
        raise UsageError(f"{words!r} is no relation", f"Write one of: {', '.join(RELATIONS)}.")
    type = type_of(role)
    if type == "duration" and _ISO.fullmatch(words):
        return words
    found = values.read(type, words)
    whole = type != "date" or (found is not None and _FULL_DAY.fullmatch(found.form))
    if found is None or not whole or (type == "duration" and P["business"].search(words)):
        hint = {
            "date": "Write a day: 2027-05-01.",
            "duration": "Write a span of time: 3 years.",
            "money": "Write an amount: EUR 1,000.",
        }
        raise UsageError(f"{words!r} is no {type}", hint.get(type, "Write the right value."))
    return f"{found.form} {found.unit}".strip() if type == "money" else found.form


def _kept(decided: Sequence[Fact], read: Sequence[Fact], pages: Sequence[Page]) -> list[Fact]:
    """Return the decided facts whose quote is still there, at its place and in its words in these pages."""
    found = []
    known = {one.id: one for one in read}
    for one in decided:
        if (now := known.get(one.id)) is not None:
            place = {name: getattr(now, name) for name in ("quote", "place", "page", "start", "end")}
            found.append(replace(one, **place))
        elif not one.quote:  # code may know by now where it stands
            same = (each for each in read if each.role == one.role and each.value in (one.was or one.value, one.value))
            quoted = {name: getattr(now, name) for now in same for name in ("quote", "place", "page", "start", "end")}
            found.append(replace(one, **quoted))
        elif at := next(((page, span) for page in pages if (span := locate(one.quote, page.text))), None):
            page, (start, end) = at
            place = {"quote": page.text[start:end], "place": place_at(page, start, end)}
            found.append(replace(one, **place, page=page.number, start=start, end=end))
    return found


def _relation(pages: Sequence[Page]) -> Iterator[Fact]:
    """Yield what a document says in its opening to be to another one: that it amends or restates it, or is under it."""
    page = pages[0] if pages else Page("")
    text = page.text[:_FIRST]
    for value in RELATIONS:
        if match := P[value.replace(" ", "_")].search(text):
            start, end = match.span()
            yield Fact("relation", value, value, match[0], place_at(page, start, end), page.number, start, end)
            return


# --- contracts ----------------------------------------------------------------------------------------------


def _of_contract(document: Document, pages: Sequence[Page]) -> list[Fact]:
    texts = [
        without_lines(page.text, lines)
        for page, lines in zip(pages, running_lines([page.text for page in pages]), strict=True)
    ]
    sentences = list(_sentences(texts))
    if not sentences:
        return []
    read = _classified(sentences)
    found = read.find
    named = list(_parties(texts))
    by_label = list(_labelled(document, pages, _LABELS))
    opened = sum(bool(P["opening"].search(one.text) and P["own"].search(one.text)) for one in sentences)
    parts = (
        *named,
        *_reread((*_dates(found, sentences), *_spans(found, sentences, opened > 1)), read),
        *_places(found, opened > 1),
        *_courts(sentences),
        *_amounts(found, sentences),
        *_people(texts, named),
    )
    known = {one.role for one in by_label}
    by_label += [start for one in by_label if one.role == "term" and "start" not in known and (start := _start_in(one))]
    known = {one.role for one in by_label}
    return [*(_placed(pages, part) for part in parts if part.role not in known), *by_label]


def _reread(told: Iterable[_Value], read: _Classified) -> Iterator[_Value]:
    """Yield days and spans as rules tell them, those that they leave out or doubt as the classifier of roles does.

    It doubts what rules tell where it is nearly sure that the words around it tell of something else. Short contracts
    are left to the rules: it was trained on none.
    """
    every = _by_role(read)
    long = read.sentences[-1].before > _OPENING
    best = {role: max(own, key=lambda one: one[0]) for role, own in every.items() if role != "effective"}
    for one in told:
        share, other = best.pop(one.role, (0.0, one))
        if one.why in _DOUBTS and (share >= _ALONE or (share >= _AGREED and other.value == one.value)):
            yield other
        else:
            own = max((share for share, other in every.get(one.role, ()) if other.value == one.value), default=1.0)
            unlike = long and own < _OWN_UNLIKE.get(one.role, _UNLIKE)
            yield one._replace(why=one.why or (_OTHER if unlike else ""))
    yield from (one for role, (share, one) in best.items() if share >= _OWN_ALONE.get(role, _ALONE))


def _by_role(read: _Classified) -> dict[str, list[tuple[float, _Value]]]:
    """Return the days and spans of a contract by role, with how likely each has it by the classifier of roles.

    A notice of a breach, or for cause, is none of those that end a contract at will.
    """
    found = [(kind, *one) for kind in (value_roles.DAYS, value_roles.SPANS) for one in _mentions(read, kind)]
    shares = value_roles.shares([mention for _, mention, *_ in found]).tolist()
    every = dict[str, list[tuple[float, _Value]]]()
    for (kind, mention, value, sentence), own in zip(found, shares, strict=True):
        breach = P["breach"].search(sentence.text, max(0, mention.start - _BEFORE), mention.end + _BEFORE)
        for role in kind if breach is None else (one for one in kind if not one.endswith("notice")):
            one = _value(role, value, sentence, mention.start, mention.end)
            every.setdefault(role, []).append((own[value_roles.ROLES.index(role)], one))
    return every


def _mentions(read: _Classified, kind: Sequence[str]) -> Iterator[tuple[value_roles.Mention, str, _Sentence]]:
    """Yield the days, or the spans of time, of a contract with their values and sentences."""
    likely = read.likely(value_roles.CLAUSES)
    length = read.sentences[-1].before + len(read.sentences[-1].text)
    previous = ""
    for one, shares in zip(read.sentences, likely, strict=True):
        days = ((day.start, day.end, day.certain.isoformat()) for day in find_dates(one.text) if day.certain)
        own = [] if len(one.text) > _MAX_SENTENCE else list(days if kind == value_roles.DAYS else spans_of(one.text))
        for start, end, value in own:
            place = one.before, length, len(own)
            yield value_roles.Mention(one.text, start, end, previous, *place, shares), value, one
        previous = one.text


def _start_in(term: Fact) -> Fact | None:
    """Return the day from which a term runs, where its own line has it: "Ten years from 1 April 2021"."""
    days = [day for day in find_dates(term.quote) if P["start"].search(term.quote[: day.start])]
    if len(days) != 1 or days[0].certain is None:
        return None
    return replace(term, role="start", value=days[0].certain.isoformat(), words=days[0].text)


def _labelled(document: Document, pages: Sequence[Page], items: Sequence[Item]) -> Iterator[Fact]:
    """Yield what labels and tables state beyond doubt: "Term: ten years"."""
    pieces = labelled.pieces("", document, list(enumerate(pages[:_LABELLED_PAGES])))
    for item, one in labelled.stated(items, pieces).items():
        at = one.citation
        value = f"{one.value.form} {one.value.unit}".strip() if one.value.type == "money" else one.value.form
        yield Fact(item.id, value, one.value.words, at.quote, at.place, at.page, at.start, at.end)


def _sentences(texts: Sequence[str]) -> Iterator[_Sentence]:
    before = 0
    for position, text in enumerate(texts):
        for start, end in clauses.split(text):
            if any(map(str.isalnum, text[start:end])):
                yield _Sentence(position, start, text[start:end], before + start)
        before += len(text)


class _Classified(NamedTuple):
    """The sentences of a contract, and how likely each is such a clause, of shape (sentences, clauses)."""

    sentences: Sequence[_Sentence]
    model: clauses.Model
    shares: clauses.Scores

    def find(self, clause: str, k: int) -> list[_Found]:
        """Return the k sentences that are most like a clause, best first."""
        column = self.model.clauses.index(clause)
        own, least = self.shares[:, column], self.model.threshold[column]
        best = (-own).argsort(kind="stable")[:k].tolist()
        return [_Found(self.sentences[at], float(own[at]), bool(own[at] >= least)) for at in best]

    def likely(self, names: Sequence[str]) -> list[list[float]]:
        """Return how likely each sentence is each of some clauses."""
        return cast("list[list[float]]", self.shares[:, [self.model.clauses.index(name) for name in names]].tolist())


def _classified(sentences: Sequence[_Sentence]) -> _Classified:
    import numpy as np

    model = clauses.load()
    odds = np.clip(model.slope * model.scores([one.text for one in sentences]) + model.offset, -30, 30)
    return _Classified(sentences, model, 1 / (1 + np.exp(-odds)))


class _Value(NamedTuple):
    """A fact before it has its place: a span of a sentence or page."""

    role: str
    value: str
    words: str
    position: int
    start: int
    end: int
    why: str = ""
    terms: tuple[str, ...] = ()
    quote: tuple[int, int] | None = None


def _placed(pages: Sequence[Page], one: _Value) -> Fact:
    page = pages[one.position]
    start, end = one.quote or (one.start, one.end)
    end = max(one.end, min(end, start + _MAX_QUOTE))
    return Fact(
        one.role,
        one.value,
        " ".join(one.words.split()),
        page.text[start:end],
        place_at(page, start, end),
        page.number,
        start,
        end,
        "unclear" if one.why else "sure",
        one.terms,
        one.why,
    )


def _value(role: str, value: str, sentence: _Sentence, start: int, end: int, why: str = "") -> _Value:
    """Return a value in a sentence, which is its quote; of a long one the part around the value."""
    first = max(0, start - _MAX_QUOTE // 2) if len(sentence.text) > _MAX_QUOTE else 0
    last = min(len(sentence.text.rstrip()), first + _MAX_QUOTE)
    at = sentence.start
    words = sentence.text[start:end]
    # "30 business days" are not thirty days.
    why = why or ("it is counted in days of business" if role in _PERIODS and P["business"].search(words) else "")
    quote = at + first, at + max(last, end)
    return _Value(role, value, words, sentence.position, at + start, at + end, why, quote=quote)


# --- parties ------------------------------------------------------------------------------------------------


def _parties(texts: Sequence[str]) -> Iterator[_Value]:
    starts, at = [], 0
    for text in texts:
        starts.append(at)
        at += len(text) + 1
    for one in parties.find("\n".join(texts)):
        position = max(n for n, start in enumerate(starts) if start <= one.start)
        begin = one.start - starts[position]
        end = min(begin + len(one.name) + 20, len(texts[position]))
        why = "" if one.sure else "its term does not act in the text"
        last = min(one.end - starts[position], len(texts[position]))
        yield _Value("party", one.name, one.name, position, begin, min(end, last), why, one.terms, (begin, last))


# --- days ---------------------------------------------------------------------------------------------------


class _Day(NamedTuple):
    score: float
    day: date
    value: _Value


def _dates(found: Find, sentences: Sequence[_Sentence]) -> Iterator[_Value]:
    known = {role: {id(one.sentence): one for one in found(clause, 12)} for role, clause in _CLAUSE_OF.items()}
    days: dict[str, list[_Day]] = {role: [] for role in _CLAUSE_OF}
    for sentence in sentences:
        if len(sentence.text) <= _MAX_SENTENCE:
            mentions = list(find_dates(sentence.text))
            for mention in mentions:
                for role in _CLAUSE_OF if mention.certain else ():
                    clause = known[role].get(id(sentence))
                    if (one := _day(role, sentence, mention, clause, len(mentions) == 1)) is not None:
                        days[role].append(one)
    best = {role: _best(own) for role, own in days.items() if own}
    if "signed" not in best and (signed := _signature_day(sentences)) is not None:
        best["signed"] = signed
    for role in ("effective", "start"):
        if role not in best and (derived := _derived(role, found, best)) is not None:
            best[role] = derived
    yield from best.values()


def _day(role: str, sentence: _Sentence, mention: DateMention, clause: _Found | None, only: bool) -> _Day | None:
    """Return a day in a sentence, if words beside it give it a role; `only`: the sentence has no other.

    In its opening a document that the classifier takes to say when it was made names that day, in whatever words.
    """
    text, day = sentence.text, mention.certain
    before = text[max(0, mention.start - _BEFORE) : mention.start]
    defined = _DEFINED.match(text[mention.end : mention.end + _AFTER]) or _MEANS.search(before)
    name = " ".join((defined["term"] or defined["bare"]).split()) if defined else ""
    by_name = role != "signed" and bool(P[f"{role}_name"].search(name))
    known = clause is not None and clause.clause
    about = bool(P["own" if role in ("signed", "effective") else "whole"].search(text[: mention.start]))
    label = P["effective_label"].search(before)
    worded = bool(P[role].search(before)) and not (label and role == "signed")
    first = role == "signed" and known and sentence.before <= _OPENING
    opening = first and (worded or (only and not P["effective"].search(before)))
    by_words = by_name or worded or (opening and about and clause is not None and clause.probability > _CERTAIN)
    if day is None or P["other"].search(before) or not by_words:
        return None
    if role == "signed" and not opening and ((sentence.before > _OPENING and not known) or not about):
        return None
    if label and label.start() <= _LABEL and sentence.before < _FIRST and role == "effective":
        by_name = about = True
    if not (by_name or (about and (role == "effective" or clause)) or (known and role != "effective")):
        return None
    means = by_name and defined is not None and defined.re is _MEANS
    sure = means or (about and (by_name or known or role in ("signed", "effective"))) or opening
    why = "" if sure else _OTHER
    score = 3.0 * by_name + about + worded + (clause.probability + known if clause else 0) - sentence.before / 1e6
    return _Day(score, day, _value(role, day.isoformat(), sentence, mention.start, mention.end, why))


def _best(days: Sequence[_Day]) -> _Value:
    best = max(days, key=lambda one: one.score)
    # The day of signing stands first; where another has a role, too, it has none beyond doubt.
    near = [one for one in days if one.score >= best.score - 0.3]
    others = {one.day for one in near} - {best.day} if best.value.role != "signed" else set()
    return best.value._replace(why=best.value.why or (_DAYS_TOO if others else ""))


def _signature_day(sentences: Sequence[_Sentence]) -> _Value | None:
    """Return the last day beside the signatures of a document that says nowhere else when it was made."""
    days = []
    signed = False
    for at, sentence in enumerate(sentences):
        signed = signed or bool(_SIGNATURE.search(sentence.text))
        if not signed:
            continue
        near = " ".join(one.text for one in sentences[max(0, at - 2) : at + 3])
        for mention in find_dates(sentence.text):
            beside = sentence.text[max(0, mention.start - 60) : mention.end + 60]
            if (
                mention.certain
                and not P["other"].search(sentence.text[: mention.start])
                and (_DATED.search(beside) or _SIGNATURE.search(near))
            ):
                days.append((mention.certain, sentence, mention))
    if not days:
        return None
    last, sentence, mention = max(days, key=lambda one: one[0])
    spread = (last - min(day for day, *_ in days)).days
    named = any(
        P["opening"].search(one.text) and P["own"].search(one.text) for one in sentences if one.before < _OPENING
    )
    why = "the days beside the signatures are far apart" if spread > _MAX_SPREAD else ""
    why = why or (_NAMED if named else "")
    return _value("signed", last.isoformat(), sentence, mention.start, mention.end, why)


def _derived(role: str, found: Find, best: Mapping[str, _Value]) -> _Value | None:
    """Return the day on which a document takes effect or its term begins, where that is a day which it defines."""
    for one in found(_CLAUSE_OF[role], 3):
        text, begins = one.sentence.text, P["begins"].search(one.sentence.text)
        if not begins or not one.clause:
            continue
        other = "effective" if "effective" in begins["day"].lower() else "signed"
        near = text[max(0, begins.start() - _ABOVE // 10) : begins.end() + _AFTER]
        if other != role and other in best and (role == "start" or P["in_force"].search(near)):
            return _value(role, best[other].value, one.sentence, *begins.span("day"), best[other].why)
    return None


# --- spans of time ------------------------------------------------------------------------------------------


def _spans(found: Find, sentences: Sequence[_Sentence], several_contracts: bool) -> Iterator[_Value]:
    term = ""
    for role, known, fits in (
        ("term", ("expiration-date",), _is_term),
        ("renewal", ("renewal-term", "expiration-date"), _is_renewal),
        ("non-renewal notice", ("notice-to-terminate-renewal", "renewal-term"), _is_non_renewal),
        ("termination notice", ("termination-for-convenience",), _is_termination),
    ):
        told: list[_Value] = []
        for one in (one for clause in known for one in found(clause, 4)):
            text = one.sentence.text
            about = role.endswith("notice") or P["whole"].search(text)
            fitting = [span for span in spans_of(text) if about and fits(text, *span[:2])]
            if role == "renewal" and about and not fitting and term and (same := _SAME.search(text)):
                fitting = [(*same.span(), term)]
            if fitting and one.probability >= _MAYBE:
                start, end, value = fitting[0]
                term = value if role == "term" and not told else term
                several = len({form for *_, form in fitting}) > 1 and role not in ("renewal", "term")
                why = _SEVERAL if several else ""
                sure = one.probability >= _LIKELY or (role in ("term", "renewal") and P["subject"].match(text))
                why = why or ("" if sure else _OTHER)
                told.append(_value(role, value, one.sentence, start, end, why))
        yield from _first(told, several_contracts)
    yield from _payment(sentences)


def _first(told: Sequence[_Value], several_contracts: bool) -> Sequence[_Value]:
    """Return the first clear value that sentences tell of a role, unclear where those of several contracts differ."""
    told = sorted(told, key=lambda one: bool(one.why))
    differ = several_contracts and len({one.value for one in told}) > 1
    return [one._replace(why=one.why or (_DIFFER if differ else "")) for one in told[:1]]


def _payment(sentences: Sequence[_Sentence]) -> Iterator[_Value]:
    found = [
        (sentence, start, end, value)
        for sentence in sentences
        if P["invoiced"].search(sentence.text)
        for start, end, value in spans_of(sentence.text)
        if P["billed"].search(sentence.text[end : end + _AFTER])
        and P["paid"].search(sentence.text[max(0, start - _BEFORE) : start])
        and not P["disputed"].search(sentence.text[max(0, start - _AFTER) : end])
    ]
    if found:
        several = len({value for *_, value in found}) > 1
        sentence, start, end, value = found[0]
        yield _value("payment", value, sentence, start, end, "other places say another time" if several else "")


def spans_of(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield the spans of time in a text: half-open offsets, and the value in ISO 8601."""
    timed = not TIME_UNITS.keys().isdisjoint(_WORD.findall(text.lower()))  # most sentences are not, and SPAN is slow
    for match in SPAN.finditer(text) if timed else ():
        start = match.start() - (len("half ") if text[: match.start()].endswith("half ") else 0)
        if (value := values.read("duration", text[start : match.end()])) is not None:
            yield start, match.end(), value.form
    for match in _ANNUAL.finditer(text):
        yield match.start(), match.end(), "P1Y"


def _is_notice(text: str, start: int, end: int) -> bool:
    return bool(
        P["notified"].search(text[end : end + _AFTER]) or P["notifying"].search(text[max(0, start - 60) : start])
    )


def _is_long(words: str) -> bool:
    """Return whether a span of time can be that of a contract: it is not counted in days."""
    return re.search(r"\bdays?\b", words, re.I) is None


def _is_term(text: str, start: int, end: int) -> bool:
    before = text[max(0, start - _BEFORE) : start]
    return (
        _is_long(text[start:end])
        and bool(P["lasting"].search(before))
        and not P["renewing"].search(before)
        and not P["outlasting"].search(before)
        and not _is_notice(text, start, end)
    )


def _is_renewal(text: str, start: int, end: int) -> bool:
    before = text[max(0, start - _BEFORE) : start]
    return _is_long(text[start:end]) and bool(P["renewing"].search(before)) and not _is_notice(text, start, end)


def _is_non_renewal(text: str, start: int, end: int) -> bool:
    near = text[max(0, start - _BEFORE) : end + _BEFORE]
    if P["breach"].search(near) or P["without_cause"].search(near) or _AFTERWARDS.match(text, end):
        return False
    if P["a_term"].match(text, end):  # "renewed for one (1) year terms by notice"
        return False
    return bool(_is_notice(text, start, end) and P["lapse"].search(text) and _NOTICE.search(text))


def _is_termination(text: str, start: int, end: int) -> bool:
    first, last = _part(text, start, end)
    near = text[max(first, start - _BEFORE) : min(last, end + _BEFORE)]
    free = P["without_cause"].search(text[first:last]) or not P["conditional"].search(text[first:start])
    listed = _LISTED.match(text) is not None  # what stands above the list says that it is about termination
    ends = (listed or P["terminating"].search(text)) and not P["renewing"].search(near) and not P["breach"].search(near)
    return bool(_is_notice(text, start, end) and _NOTICE.search(near) and free and ends)


def _part(text: str, start: int, end: int) -> tuple[int, int]:
    """Return the part of a sentence around a span: from "(a)" to "(b)"."""
    marks = [mark.span() for mark in _LISTED.finditer(text)]
    first = max((last for _, last in marks if last <= start), default=0)
    return first, min((begin for begin, _ in marks if begin >= end), default=len(text))


# --- law and courts -----------------------------------------------------------------------------------------


def _places(found: Find, several_contracts: bool) -> Iterator[_Value]:
    read = [(one, law) for one in found("governing-law", 3) if one.clause and (law := _law(one.sentence)) is not None]
    certain = [law for one, law in read if one.probability > _CERTAIN]
    yield from _first(certain or [law for _, law in read], several_contracts)


def _law(sentence: _Sentence) -> _Value | None:
    """Return the law that a sentence says to govern."""
    text = sentence.text
    if not P["governs"].search(text):
        return None
    named = [(match, "law" if match["law"] else "own") for match in P["law"].finditer(text)]
    # Behind "without regard to" stands what does not govern.
    named = [one for one in named if not _WITHOUT.search(text, named[0][0].start(), one[0].start())]
    places = [(_CUT.sub("", match[name]).strip(" .,"), match.start(name)) for match, name in named]
    places = [one for one in places if one[0]]
    # Of the laws of the United States and of Florida the second tell more.
    places = [one for one in places if not one[0].startswith(("United States", "Canada"))] or places
    if not places:
        return None
    words, start = places[0]
    several = {P["prefix"].sub("", " ".join(words.split())).casefold() for words, _ in places}
    value = P["prefix"].sub("", " ".join(words.split()))
    why = "the sentence names several" if len(several) > 1 else ""
    why = why or ("it may be that of a state" if value.startswith("United States") else "")
    return _value("law", value, sentence, start, start + len(words), why)


def _courts(sentences: Sequence[_Sentence]) -> Iterator[_Value]:
    for sentence in sentences:
        if (match := P["courts"].search(sentence.text)) and P["settled"].search(sentence.text):
            if not P["on_disputes"].search(sentence.text):
                continue  # a venue of events
            words = _CUT.sub("", match["place"]).strip(" .,")
            start = match.start("place")
            other = P["another_seat"].search(sentence.text)
            seated = P["seated"].search(sentence.text[match.start() : start])
            other = other or re.fullmatch(r"(?!USA|UK|UAE)[A-Z]{2,6}", words)  # the term of a party
            known = not other and ("," in words or " of " in words or seated)
            why = "" if known else "it may not be the seat"
            yield _value("courts", " ".join(words.split()), sentence, start, start + len(words), why)
            return


# --- amounts and people -------------------------------------------------------------------------------------


def _amounts(found: Find, sentences: Sequence[_Sentence]) -> Iterator[_Value]:
    """Yield the first amount of each role whose word stands beside it."""
    known = {
        role: {id(one.sentence) for one in found(clause, 3) if one.clause}
        for role, clause in (("cap", "cap-on-liability"), ("minimum", "minimum-commitment"))
    }
    done: set[str] = set()
    for sentence in (one for one in sentences if _MONEY.search(one.text)):
        amounts = [(match, parse_quantity(match)) for match in QUANTITY.finditer(sentence.text)]
        amounts = [(match, quantity) for match, quantity in amounts if quantity.is_money and quantity.value > 0]
        for match, quantity in amounts:
            before = sentence.text[max(0, match.start() - _AFTER) : match.start()]
            after = sentence.text[match.end() : match.end() + _AFTER]
            for role in ("cap", "deposit", "minimum", "fee"):
                if role in done or not (P[role].search(before) or P[f"{role}_after"].match(after)):
                    continue
                if role in known and id(sentence) not in known[role]:
                    continue
                done.add(role)
                why = "the sentence has several amounts" if len(amounts) > 1 else ""
                value = f"{_plain(quantity.value)} {quantity.unit}".strip()
                yield _value(role, value, sentence, match.start(), match.end(), why)
                break


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _people(texts: Sequence[str], named: Sequence[_Value]) -> Iterator[_Value]:
    """Yield who signed, with the party whose name stands above, and to whom notices go."""
    done: set[str] = set()
    for position, text in enumerate(texts):
        for role, name in (("signatory", "signed_by"), ("notice address", "attention")):
            for match in P[name].finditer(text):
                words = " ".join(_person(match["name"]).split()).strip(" ,")
                if words.casefold() in done or not 1 < len(words.split()) < 6:
                    continue
                done.add(words.casefold())
                above = text[max(0, match.start() - _ABOVE) : match.start()].casefold()
                own = [one.value for one in named if _last(above, one) >= 0]
                terms = tuple(own) if len(own) == 1 else ()
                why = "" if terms or role == "signatory" else "it is not said whose it is"
                start = match.start("name")
                end = start + len(_person(match["name"]))
                yield _Value(role, words, match["name"], position, start, end, why, terms, match.span())


def _person(name: str) -> str:
    """Return a name without what follows it: a label, or the name once more."""
    name = _NO_PERSON.sub("", name)
    again = re.search(rf"\s{re.escape(name.split()[0])}\b", name, re.I)
    return name[: again.start()] if again else name


def _last(above: str, party: _Value) -> int:
    """Return where a party was named last, by its name or a term; -1 if nowhere."""
    names = (document_kind.short_name(party.value), *party.terms)
    return max(above.rfind(name.casefold()) for name in names)


_TYPES: Mapping[str, values.Type] = {
    **dict.fromkeys((*_DAYS, "date", "in force", "updated", "period"), "date"),
    **dict.fromkeys(_PERIODS, "duration"),
    **dict.fromkeys(("fee", "cap", "deposit", "minimum"), "money"),
}
RELATIONS = ("restates", "amends", "is under")
ROLES = (
    *("kind", "title", "party", *_DAYS, *_PERIODS, "law", "courts", "fee", "cap", "deposit", "minimum", "signatory"),
    *("notice address", "company", "form", "period", "sender", "recipient", "date", "subject", "number", "version"),
    *("in force", "updated", "owner", "relation"),
)
_LABELLED: tuple[tuple[str, str, values.Type, tuple[str, ...]], ...] = (
    ("term", "term", "duration", ("initial term", "contract term", "duration", "contract period")),
    ("start", "start date", "date", ("commencement date", "contract start", "term commencement date")),
    (
        "end",
        "end date",
        "date",
        (*("expiry date", "expiration date", "termination date"), "contract end", "end of term"),
    ),
    ("payment", "payment terms", "duration", ("payment term", "terms of payment")),
    ("law", "governing law", "text", ("applicable law",)),
    ("deposit", "deposit", "money", ("security deposit",)),
)
_LABELS = tuple(Item(role, "", label, type, headings=others, field=True) for role, label, type, others in _LABELLED)
