"""Answer a question for a fact of a document from what was read at ingest, without a search and without a model.

It answers only where the question asks for one fact with words that such questions have, names one document (or, of
each document, asks for a day, a span of time, a law or a party), and the fact is clear and its quote still stands at
its place; else nothing is claimed, and the question is read for as any other.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from math import log

from localrag.answer import overview
from localrag.answer.checks import conflicts
from localrag.answer.overview import DocumentFacts, shown_value
from localrag.diff.amendments import Related
from localrag.embeddings.sentence_encoder import SentenceEncoder
from localrag.grounding.stages import Findings, Pair, Query
from localrag.items import fact_questions, values
from localrag.items.document_kind import short_name
from localrag.items.item import Finding, Way
from localrag.items.values import Type
from localrag.quantities import format_date
from localrag.question.kinds import SINGULAR
from localrag.question.question import Question
from localrag.store.library import Library
from localrag.store.text_analysis import FALLBACK
from localrag.types import Citation, Fact, Plan

_REASON = "The facts of {of} say it, which were read when it was ingested; no model was asked."
_KINDS = ("look-up", "list", "existence")
_DAYS = {
    "signed": "It was signed on {value}.",
    "effective": "It takes effect on {value}.",
    "start": "It begins on {value}.",
    "end": "It ends on {value}.",
    "date": "It was sent on {value}.",
    "period": "It covers the period that ended on {value}.",
    "in force": "It is in force from {value}.",
    "updated": "It was last updated on {value}.",
}
_SENTENCES = {
    **_DAYS,
    "term": "Its term is {value}.",
    "renewal": "It is renewed for {value} at a time.",
    "non-renewal notice": "Notice that it is not renewed must be given {value} before.",
    "termination notice": "The notice period is {value}.",
    "payment": "Payment is due within {value}.",
    "law": "It is governed by the law of {value}.",
    "courts": "The place is {value}.",
    "signatory": "{value} signed.",
    "party": "It is between {value}.",
    "sender": "{value} sent it.",
    "company": "It is a filing of {value}.",
    "version": "It is version {value}.",
    "owner": "The document names {value}.",
}
# What is asked of a contract in one role stands in a policy in another.
_ALSO = {"effective": "in force", "in force": "effective"}
# Kinds of documents that questions for a role are asked of, where these are no contracts.
_KINDS_OF = {"sender": ("mail",), "date": ("mail",), "company": ("filing",), "period": ("filing",)}
_NO_PAPERS = (*overview.CONTRACTS, "mail", "filing")
# Who "owns" a policy need not be who approved it: the label must have the word of the question.
_OWNING = ("own", "respons", "sponsor", "approv", "investigat")
_TO = re.compile(r"\b(?:to|for|with)\b")
_FISCAL = re.compile(r"\bfiscal year\b", re.I)
_SPANS = ("term", "renewal", "payment", "termination notice", "non-renewal notice")
_CHANGING = ("end", "start", *_SPANS)
_TYPES: dict[str, Type] = {**dict.fromkeys(_DAYS, "date"), **dict.fromkeys(_SPANS, "duration")}
_OF_EACH = (*_DAYS, *_SPANS, "law", "party")
_NAME = re.compile(r"\b[A-Z][\w’'-]{3,}")
_IN_A_YEAR = re.compile(r"\D*\b(?:in|during)\s+((?:19|20)\d\d)\W*")
# A day that something else is asked about is no answer. Notices and payments are due before or after something.
_TURNED = re.compile(r"\b(?:not|never|except|before|after|since)\b|n[’']t\b", re.I)
_DUE = ("payment", "termination notice", "non-renewal notice")
_MANY = 50  # documents whose facts are read together
# How much the words tell that call the document asked about, at least, and how much those of the next one at most.
_MIN_TOLD, _MARGIN = 0.6, 0.75
Known = tuple[Pair, DocumentFacts]


def answer(query: Query, encoder: SentenceEncoder) -> Findings | None:
    """Return the answer that clear facts of one document give; None where they do not, or none is asked for."""
    question = query.question
    text = question.complete
    # A name in quotation marks makes a question look like a calculation.
    quotes = question.kind == "calculation" and fact_questions.QUOTED.search(text) is not None
    asks = (question.kind in _KINDS or quotes) and not question.parts and not question.asks_whether
    if not asks or query.mode != "auto" or query.only.pages or not _is_english(query):
        return None
    if not (role := fact_questions.tell(text, encoder)) or (role not in _DUE and _TURNED.search(text)):
        return None
    asked = list(_with_facts(query))
    chosen = asked if len(query.documents) == 1 else _quoted(text, asked) or _named(text, role, asked)
    if len(chosen) != 1 or not fact_questions.others(text, role) <= _called(chosen[0][1]):
        return None
    own = chosen[0][1]
    signs = set(re.findall(r"\d+|\b[A-Z]{2}\b", text)) - set(re.findall(r"\d+|\b[A-Z]{2}\b", f"{own.title} {own.path}"))
    parties = own.of("party")
    terms = {word for one in parties for term in one.terms for word in fact_questions.words(term)}
    terms.difference_update(fact_questions.words(" ".join((own.title, *(one.value for one in parties)))))
    if signs or (role in _DUE and not terms.isdisjoint(fact_questions.words(text))):
        return None  # another document, or the notice of one party
    return _of_one(query, role, *chosen[0])


def findings(query: Query, encoder: SentenceEncoder) -> dict[tuple[str, int], Finding]:
    """Return whether clear facts pass what each document is asked ("Which end in 2026?"), by library and document."""
    role = fact_questions.tell(query.text, encoder) if _is_english(query) and not query.only.pages else ""
    passes = _condition(query.question, role) if role in _OF_EACH else None
    asked = list(_with_facts(query)) if passes else []
    laws = {law.value.casefold() for _, own in asked for law in own.of("law")}
    amended = {key for library in query.libraries for key in _amended(library, asked)}
    found = {}
    for pair, own in asked:
        known = [one for one in own.of(role) if one.clear]
        if role == "end" and (last := overview.end_of(own)):
            known = [last[0]]
        ways = {one: passes(one, laws) for one in known} if passes and (own.library, pair[1].id) not in amended else {}
        told = next((one for one, way in ways.items() if way == "yes"), next(iter(ways), None))
        if told is not None and (way := ways[told]) is not None and (at := fact_questions.cited(*pair, [told])):
            read = "the facts of the document"
            found[own.library, pair[1].id] = Finding("found", way, "", None, at, 1.0, read, whole=True)
    return found


def _amended(library: Library, asked: Sequence[Known]) -> set[tuple[str, int]]:
    """Return which documents have amendments, by library and document: their facts may be out of date."""
    changing = ("amends", "restates")
    amendments = [pair[1] for pair, own in asked if pair[0] is library and own.relation in changing]
    if not amendments:
        return set()
    with library.snapshot():
        related = Related(library, library.documents())
        return {(library.name, base.id) for one in amendments if (base := related.base(one)) is not None}


def _is_english(query: Query) -> bool:
    return all((library.overview().languages or (FALLBACK,))[0] == FALLBACK for library in query.libraries)


def _with_facts(query: Query) -> Iterator[Known]:
    """Yield the documents that the question is asked of, with their facts."""
    for library in query.libraries:
        own = [document for store, document in query.documents if store is library]
        facts = library.facts(None if len(own) > _MANY else [document.id for document in own])
        for document in own:
            if document.id in facts:
                yield (library, document), overview.document_facts(library, document, facts[document.id])


def _quoted(question: str, asked: Sequence[Known]) -> list[Known]:
    """Return the documents whose title or path a question has in quotation marks."""
    names = {one[0][1:-1] for one in fact_questions.QUOTED.finditer(question)}
    return [(pair, own) for pair, own in asked if own.title in names or own.path in names]


def _named(question: str, role: str, asked: Sequence[Known]) -> list[Known]:
    """Return the document that a question calls by words of its title, parties, their terms or path; else nothing.

    It is called by more, and rarer, such words than any other but an amendment.
    """
    words = set(fact_questions.words(question))
    called = [
        (_called(own) - SINGULAR.keys() | _titled(own), (pair, own)) for pair, own in asked if _may_have(own.kind, role)
    ]
    # An amendment is called by the name of what it amends, too.
    base = [own for own, known in called if known[1].kind != "amendment"] or [own for own, _ in called]
    times = Counter(word for own in base for word in own & words)
    weights = {word: log((1 + len(base)) / max(1, times[word])) for word in words}
    scores = [(sum(weights[word] for word in own & words), known) for own, known in called]
    most = max((score for score, _ in scores), default=0.0)
    if not most or most < _MIN_TOLD:
        return []
    best = [known for score, known in scores if score > _MARGIN * most]
    amended = [known for known in best if known[1].kind != "amendment"]
    return best if len(best) == 1 else amended if len(amended) == 1 else []


def _may_have(kind: str, role: str) -> bool:
    """Return whether a question for a role may be about a document of this kind."""
    if role not in overview.OF_OTHERS:
        return kind in overview.CONTRACTS
    return kind in _KINDS_OF[role] if role in _KINDS_OF else kind not in _NO_PAPERS


def _called(own: DocumentFacts) -> set[str]:
    parties = own.of("party", "company", "sender", "owner")
    text = [own.title, own.path, *(one.value for one in parties), *(term for one in parties for term in one.terms)]
    return set(fact_questions.words(re.sub(r"[_\d]+", " ", " ".join(text)))) | SINGULAR.keys()


def _titled(own: DocumentFacts) -> set[str]:
    return set(fact_questions.words(f"{own.title} {own.path.rsplit('/', 1)[-1]}"))


def _of_one(query: Query, role: str, pair: Pair, own: DocumentFacts) -> Findings | None:
    asked = query.question.complete
    role = role if own.of(role) or not own.of(_ALSO.get(role, "")) else _ALSO[role]
    clear = fact_questions.answering(own.facts, asked, role)
    clear = _signing_for(asked, own, clear) if role == "signatory" else clear
    if not _fits(role, asked, own, clear):
        return None
    parties = sum(one.role == "party" for one in own.facts)
    form = "It is {value}." if role == "party" and len(clear) < parties else _SENTENCES[role]
    said = form.format(value=_joined([_shown(one) for one in clear])) if clear else ""
    if not clear and role == "end" and (last := overview.end_of(own)) is not None:
        clear = [*own.of("term")[:1], *own.of("start")[:1]]
        said = f"It ends on {format_date(date.fromisoformat(last[0].value))}: {last[1]}."
    groups = [[one] for one in {one.quote: one for one in clear}.values()] if role == "end" else [clear]
    cited = [at for group in groups if (at := fact_questions.cited(*pair, group)) is not None]
    if not said or not cited:
        return None
    new, amended = _in_force(pair, cited)
    if amended and new is None and role in _CHANGING:
        return None  # what amends it may say otherwise in words that code does not follow
    if new is not None:
        type = _TYPES.get(role)
        value = values.read(type, new.quote) if type and values.distinct(type, new.quote) == 1 else None
        if value is None or clear[0].role != role:
            return None
        now = _shown(Fact(role, value.form, value.words))
        said = f"{_SENTENCES[role].format(value=now)} Before “{new.document}” it was {_shown(clear[0])}."
        cited = [new, *cited]
    cited = [replace(at, marker=number) for number, at in enumerate(cited, 1)]
    plan = Plan("exact", _REASON.format(of=f"“{own.title}”"), {"fact": role, "documents": len(query.documents)})
    text = f"{said} {''.join(f'[{one.marker}]' for one in cited)}"
    return Findings(text, True, plan, citations=tuple(cited), looked_at=f"the facts of {own.title}")


def _fits(role: str, asked: str, own: DocumentFacts, clear: Sequence[Fact]) -> bool:
    """Return whether a question asks for just what facts of mails, filings and papers say."""
    if role == "owner":
        words = [word for word in _OWNING if re.search(rf"\b{word}", asked, re.I)]
        return all(any(re.search(rf"\b{word}", one.quote, re.I) for word in words) for one in clear)
    if role == "period" and _FISCAL.search(asked):
        return any(one.value == "Form 10-K" for one in own.of("form"))
    # "The mail to Karl": code does not tell whom a name calls.
    return role not in ("sender", "date") or not _TO.search(fact_questions.QUOTED.sub("", asked))


def _in_force(pair: Pair, cited: Sequence[Citation]) -> tuple[Citation | None, bool]:
    """Return the words of a later document that replace those of a quote, and whether any amends the document."""
    library, document = pair
    with library.snapshot():
        related = Related(library, library.documents())
        found = list(conflicts.amended(library, document, related))
        over = (
            new
            for at in cited
            for old, new in found
            if old.page == at.page and old.start < at.end and at.start < old.end
        )
        return next(over, None), bool(found or related.amending(document))


def _joined(shown: Sequence[str]) -> str:
    return ", ".join(shown[:-1]) + " and " + shown[-1] if len(shown) > 1 else shown[0]


def _shown(one: Fact) -> str:
    if overview.is_day(one.value):
        return format_date(date.fromisoformat(one.value))
    if one.role == "party":
        return one.value + (f" (“{one.terms[0]}”)" if one.terms else "")
    return shown_value(one)


def _signing_for(question: str, own: DocumentFacts, clear: Sequence[Fact]) -> list[Fact]:
    """Return the signatories of the party that a question names; all where it names none."""
    named = [
        party.value
        for party in own.of("party")
        if any(re.search(rf"\b{re.escape(name)}\b", question, re.I) for name in (short_name(party.value), *party.terms))
    ]
    if len(named) != 1:
        return list(clear) if not named else []
    return [one for one in clear if named[0] in one.terms]


def _condition(question: Question, role: str) -> Callable[[Fact, set[str]], Way | None] | None:
    """Return what tells whether a fact passes; None where the question sets a condition that is not understood.

    It takes a fact and the laws of all documents, and returns None where it cannot tell.
    """
    text = question.text
    names = _NAME.findall(text[1:]) if role in ("law", "party") else []
    words = {word for name in names for word in fact_questions.words(name)}
    if question.each.negated or question.each.kind != "existence":
        return None
    at, limit = values.comparison(text) or (len(text), None)
    if fact_questions.others(text[:at], role) - SINGULAR.keys() - words:
        return None
    if limit is not None:
        if limit.limit.measure != _TYPES.get(role):
            return None
        return lambda one, laws: _way(limit.passes(found) if (found := values.measure(shown_value(one))) else None)
    if role in _DAYS and (year := _IN_A_YEAR.fullmatch(text)):
        return lambda one, laws: _way(one.value[:4] == year[1])
    if role in _SPANS and (span := values.read("duration", text)):
        return lambda one, laws: _way(one.value == span.form)
    if role == "law" and names:
        return lambda one, laws: _same_law(" ".join(names).casefold(), one.value.casefold(), laws)
    if role == "party" and names:  # a party that was not found is no proof
        return lambda one, laws: (
            "yes" if all(re.search(rf"\b{re.escape(name)}\b", one.value) for name in names) else None
        )
    return None


def _way(passed: bool | None) -> Way | None:
    return None if passed is None else "yes" if passed else "no"


def _same_law(asked: str, law: str, laws: set[str]) -> Way | None:
    """Return whether a law is the one asked for, which must be written as a law of a document is."""
    if asked not in laws:
        return None
    return "yes" if law == asked else "no" if set(law.split()).isdisjoint(asked.split()) else None
