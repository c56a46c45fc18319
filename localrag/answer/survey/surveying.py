"""A survey from a question to its answer: material of each document, a leaf for each, joined and told.

First code alone looks at all documents: whether the names that the question requires stand in them at all, and how well
the best passage of each fits the question beside those of the others. The documents are then asked in that order, the
likeliest first, so that a survey that is stopped has asked those that matter; the table is in the order of the library.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from localrag.answer import context, intent, prompts
from localrag.answer.question import Question
from localrag.answer.survey import asking, joining, leaf, sections, summarising
from localrag.answer.survey.asking import Leaf, Material
from localrag.answer.survey.leaf import LeafQuestion
from localrag.answer.survey.sections import Section
from localrag.answer.survey.tools import Pair, Tools
from localrag.answer.verify.locate import locate
from localrag.events import Answered, Event, Surveyed
from localrag.types import Answer, NotRead, Passage, Usage

# Passages judged apart for a question of yes and no; looked through for those that hold a required name; and those of
# each field of a table.
_JUDGED, _LOOKED_THROUGH, _OF_A_FIELD = 2, 20, 2
# Tokens of passages, and of a document that is as cheap read whole.
_MOST_TOKENS = 600
_CHARACTERS_PER_TOKEN = 4
# Longer chapters are asked in parts.
_MOST_OF_A_PART = 4000
_MOST_NAMED = 50


@dataclass(frozen=True, slots=True)
class _Place:
    """What one leaf is asked of: a document, or a chapter or page of one where the question is about these."""

    pair: Pair
    section: Section | None = None

    @property
    def name(self) -> str:
        return "" if self.section is None else self.section.name or self.section.place


def survey_all(asked: Question, tools: Tools) -> Iterator[Event]:
    """Put the question to each document, or to each chapter of them; the last event is `Answered`."""
    question = leaf.leaf_question(asked.looked_for or asked.text)
    if question.kind == "summary" or intent.of(asked.text).kind == "summary":
        yield from summarising.summarise(asked, tools)
        return
    began = time.monotonic()
    places = _places(question, asked, tools)
    materials = _materials(question, places, asked, tools)
    asked.retrieve_seconds += time.monotonic() - began
    # Those that code has decided come first of all, since they cost nothing.
    order = sorted(range(len(materials)), key=lambda n: (bool(materials[n].passages), -materials[n].standing, n))
    leaves: dict[int, Leaf] = {}
    known = tools.known
    for n in order:
        library, document = places[n].pair
        told = asking.ask(
            question, library.name, document, materials[n], tools.model, answer_from=known.answer_from, stop=asked.stop
        )
        if told is None:
            break
        asked.first_token = asked.first_token or asked.elapsed()
        leaves[n] = replace(told, part=places[n].name)
        asked.not_read += context.orders_in(materials[n].passages)
        yield Surveyed(len(leaves), len(order), leaves[n].to_row())
    left = [place for n, place in enumerate(places) if n not in leaves]
    yield Answered(_answer(question, asked, [leaves[n] for n in sorted(leaves)], left, tools.model.model))


def _places(question: LeafQuestion, asked: Question, tools: Tools) -> list[_Place]:
    parts = sections.PARTS.get(question.noun, "")
    if not parts:
        return [_Place(pair) for pair in asked.documents]
    return [
        _Place(pair, section)
        for pair in asked.documents
        for section in sections.cut(
            context.pages_of(*pair, asked.only), _MOST_OF_A_PART, tools.model.count, apart=parts
        )
    ]


def _answer(
    question: LeafQuestion, asked: Question, leaves: Sequence[Leaf], left: Sequence[_Place], model: str
) -> Answer:
    considered = len(leaves) + len(left)
    joined = joining.join(question, leaves, considered)
    asked.not_read += _not_read(leaves, left)
    whole = sum(leaf.read == "whole" for leaf in leaves)
    asked.looked_at = (
        f"{len(leaves)} of {considered} asked: {whole} read whole, {len(leaves) - whole} in their best passages."
    )
    return asked.answer(
        joined.text, joined.found, model=model,
        citations=joined.citations,
        citations_dropped=sum(leaf.dropped for leaf in leaves),
        table=tuple(leaf.to_row() for leaf in joined.leaves),
        tokens=sum((leaf.usage for leaf in leaves), Usage()),
        stopped=bool(left),
    )  # fmt: skip


def _not_read(leaves: Sequence[Leaf], left: Sequence[_Place]) -> list[NotRead]:
    """One line for each document that was not asked, and one for all that was read in part."""
    lines = [
        NotRead(
            place.pair[0].name, place.pair[1].path, f"not asked, the survey was stopped: {place.name or 'all of it'}"
        )
        for place in left
    ]
    if len(lines) > _MOST_NAMED:
        more = NotRead(lines[0].library, "", f"and {len(lines) - _MOST_NAMED} more that were not asked")
        lines = [*lines[:_MOST_NAMED], more]
    part = [leaf for leaf in leaves if leaf.read == "passages"]
    if part:
        of = "1 document was" if len(part) == 1 else f"{len(part)} of {len(leaves)} documents were"
        lines.append(NotRead(part[0].library, "", f"{of} not read whole, only the passages that fit best"))
    return lines


# --- what is put before the model ---------------------------------------------------------------------------


def _materials(question: LeafQuestion, places: Sequence[_Place], asked: Question, tools: Tools) -> list[Material]:
    """The material of each place, and how each compares with the others."""
    found = [_material(question, place, asked, tools) for place in places]
    scores = [max(_evidence(passage) for passage in made.passages) for made in found if made.passages]
    standings = iter(asking.standings(scores))
    return [
        replace(made, standing=next(standings), loose=_loose(question, made.passages)) if made.passages else made
        for made in found
    ]


def _loose(question: LeafQuestion, passages: Sequence[Passage]) -> bool:
    return bool(question.required) and not any(
        asking.together(question.required, question.topic, passage.text) for passage in passages
    )


def _evidence(passage: Passage) -> float:
    """How well a passage fits the question by words and by meaning, whatever its document is called."""
    signals = passage.signals
    return (signals["dense"] + signals["lexical"]) / 2 if "dense" in signals else 0.0


def _material(question: LeafQuestion, place: _Place, asked: Question, tools: Tools) -> Material:
    whole = _pages(place, asked)
    needed = [*((name,) for name in question.required), *question.either]
    if not all(any(locate(name, page.text) for page in whole for name in names) for names in needed):
        return Material((), "whole")
    passages = tuple(_passages(question, place, asked, tools))
    text = "\n\n".join(page.text for page in whole)
    most = min(_MOST_TOKENS, tools.budget)
    if len(text) <= most * _CHARACTERS_PER_TOKEN * 2 and tools.model.count(text) <= most:
        # A short text is read again as quickly as its state is loaded, so none is kept of it.
        best = max((_evidence(passage) for passage in passages), default=0.0)
        return Material(tuple(_with_evidence(page, best) for page in whole), "whole")
    if place.section is None and tools.warm([place.pair]):
        library, document = place.pair
        pages = [page for _, page in context.pages_of(library, document, asked.only)]
        best = max((_evidence(passage) for passage in passages), default=0.0)
        whole = [_with_evidence(page, best) for page in whole]
        return Material(tuple(whole), "whole", context.whole_text(pages), states=tools.states([place.pair], ""))
    return Material(passages)


def _pages(place: _Place, asked: Question) -> list[Passage]:
    """The text of a place, page by page."""
    library, document = place.pair
    pages = context.page_passages(library.name, document, context.pages_of(library, document, asked.only))
    if place.section is None:
        return pages
    by_position = {page.position: page for page in pages}
    return [
        replace(page, text=page.text[span.start : span.end], start=span.start, end=span.end)
        for span in place.section.spans
        if (page := by_position.get(span.position)) is not None
    ]


def _with_evidence(passage: Passage, evidence: float) -> Passage:
    return replace(passage, signals={"dense": evidence, "lexical": evidence})


def _passages(question: LeafQuestion, place: _Place, asked: Question, tools: Tools) -> list[Passage]:
    library, document = place.pair
    section = place.section

    def find(words: str, k: int) -> list[Passage]:
        wanted = k if section is None else _LOOKED_THROUGH
        hits = tools.found([library], words, wanted, asked.only, document_ids=[document.id], join=False)
        return [hit for hit in hits if section is None or section.holds(hit.position, hit.start, hit.end)][:k]

    if question.kind == "fields":
        by_field = [find(column, _OF_A_FIELD) for column in question.columns]
        hits = [hit for rank in range(_OF_A_FIELD) for own in by_field for hit in own[rank : rank + 1]]
        return _fitting(list({(hit.position, hit.start): hit for hit in hits}.values()), tools)
    if question.required:
        hits = find(question.topic, _LOOKED_THROUGH)
        holding = [hit for hit in hits if all(locate(name, hit.text) for name in question.required)]
        close = [hit for hit in holding if asking.together(question.required, question.topic, hit.text)]
        return (close or holding or hits)[:_JUDGED]
    if question.kind == "existence":
        return find(question.topic, _JUDGED)
    return _fitting(find(question.topic, tools.settings.passages), tools)


def _fitting(hits: Sequence[Passage], tools: Tools) -> list[Passage]:
    """The best of them that fit the budget, in the order of the document."""
    taken = prompts.fit(hits, (), min(_MOST_TOKENS, tools.budget), tools.model.count).taken
    return sorted(taken, key=lambda passage: (passage.position, passage.start))
