"""A survey from a question to its answer: material of each document, a leaf for each, joined and told.

First code alone looks at all documents: whether the names that the question requires stand in them at all, and how well
the best passage of each fits the question beside those of the others. The documents are then asked in that order, the
likeliest first, so that a survey that is stopped has asked those that matter; the table is in the order of the library.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from localrag import intent, joining, leaf, material, prompt, summarising, survey
from localrag.citations import locate
from localrag.leaf import LeafQuestion
from localrag.question import Question
from localrag.survey import Leaf, Material
from localrag.survey_tools import Pair, Tools
from localrag.types import Answer, Answered, Event, NotRead, Passage, Surveyed, Usage

# Passages judged apart for a question of yes and no; looked through for those that hold a required name; and those of
# each field of a table.
_JUDGED, _LOOKED_THROUGH, _OF_A_FIELD = 3, 20, 2
# Tokens of passages, and of a document that is as cheap read whole.
_MOST_TOKENS = 600
_CHARACTERS_PER_TOKEN = 4
_MOST_NAMED = 50


def survey_all(asked: Question, tools: Tools) -> Iterator[Event]:
    """Put the question to each document; the last event is `Answered`."""
    question = leaf.leaf_question(asked.looked_for or asked.text)
    if question.kind == "summary" or intent.of(asked.text).kind == "summary":
        yield from summarising.summarise(asked, tools)
        return
    began = time.monotonic()
    materials = _materials(question, asked, tools)
    asked.retrieve_seconds += time.monotonic() - began
    order = sorted(range(len(materials)), key=lambda n: (-materials[n].standing, n))
    leaves: dict[int, Leaf] = {}
    known = tools.known
    for n in order:
        library, document = asked.documents[n]
        told = survey.ask(
            question, library.name, document, materials[n], tools.model, answer_from=known.answer_from, stop=asked.stop
        )
        if told is None:
            break
        asked.first_token = asked.first_token or asked.elapsed()
        leaves[n] = told
        yield Surveyed(len(leaves), len(order), told.to_row())
    yield Answered(_answer(question, asked, [leaves[n] for n in sorted(leaves)], tools.model.model))


def _answer(question: LeafQuestion, asked: Question, leaves: Sequence[Leaf], model: str) -> Answer:
    joined = joining.join(question, leaves, len(asked.documents))
    there = {(leaf.library, leaf.document.id) for leaf in leaves}
    left = [(library, document) for library, document in asked.documents if (library.name, document.id) not in there]
    asked.not_read += _not_read(leaves, left)
    whole = sum(leaf.read == "whole" for leaf in leaves)
    asked.looked_at = (
        f"{len(leaves)} of {len(asked.documents)} documents were asked, {whole} of them read whole, "
        f"{len(leaves) - whole} in passages"
    )
    return asked.answer(
        joined.text, joined.found, model=model,
        citations=joined.citations,
        citations_dropped=sum(leaf.dropped for leaf in leaves),
        table=tuple(leaf.to_row() for leaf in joined.leaves),
        tokens=sum((leaf.usage for leaf in leaves), Usage()),
        stopped=bool(left),
    )  # fmt: skip


def _not_read(leaves: Sequence[Leaf], left: Sequence[Pair]) -> list[NotRead]:
    """One line for what was read in part, and one for each document that was not asked."""
    lines = [NotRead(library.name, document.path, "not asked: the survey was stopped") for library, document in left]
    if len(lines) > _MOST_NAMED:
        more = NotRead(lines[0].library, "", f"and {len(lines) - _MOST_NAMED} more that were not asked")
        lines = [*lines[:_MOST_NAMED], more]
    part = [leaf for leaf in leaves if leaf.read == "passages"]
    if part:
        of = "the document was" if len(leaves) == 1 else f"{len(part)} of {len(leaves)} documents were"
        lines.append(NotRead(part[0].library, "", f"{of} not read whole, only the passages that fit best"))
    return lines


# --- what is put before the model ---------------------------------------------------------------------------


def _materials(question: LeafQuestion, asked: Question, tools: Tools) -> list[Material]:
    """The material of each document, in the order of the question's documents."""
    found = [_material(question, pair, asked, tools) for pair in asked.documents]
    scores = [max((_evidence(passage) for passage in made.passages), default=0.0) for made in found]
    return [replace(made, standing=standing) for made, standing in zip(found, survey.standings(scores), strict=True)]


def _evidence(passage: Passage) -> float:
    """How well a passage fits the question by words and by meaning, whatever its document is called."""
    signals = passage.signals
    return (signals["dense"] + signals["lexical"]) / 2 if "dense" in signals else 0.0


def _material(question: LeafQuestion, pair: Pair, asked: Question, tools: Tools) -> Material:
    library, document = pair
    if question.required and not _all_stand(question.required, pair, asked):
        return Material((), "whole")
    most = min(_MOST_TOKENS, tools.budget)
    short = material.characters(document, asked.only) <= most * _CHARACTERS_PER_TOKEN
    warm = 0 if short else tools.warm([pair])
    passages = _passages(question, pair, asked, tools)
    if not short and not warm:
        return Material(tuple(passages))
    pages = material.pages_of(library, document, asked.only)
    text = material.whole_text([page for _, page in pages])
    if short and tools.model.count(text) > most:
        return Material(tuple(passages))
    whole = material.page_passages(library.name, document, pages)
    best = max((_evidence(passage) for passage in passages), default=0.0)
    whole = [_with_evidence(passage, best) for passage in whole]
    if warm:
        return Material(tuple(whole), "whole", text, states=tools.states([pair]))
    # A short document is read again as quickly as its state is loaded, so none is kept of it.
    return Material(tuple(whole), "whole")


def _with_evidence(passage: Passage, evidence: float) -> Passage:
    return replace(passage, signals={"dense": evidence, "lexical": evidence})


def _all_stand(names: Sequence[str], pair: Pair, asked: Question) -> bool:
    pages = [page.text for _, page in material.pages_of(*pair, asked.only)]
    return all(any(locate(name, text) for text in pages) for name in names)


def _passages(question: LeafQuestion, pair: Pair, asked: Question, tools: Tools) -> list[Passage]:
    library, document = pair

    def find(words: str, k: int) -> list[Passage]:
        return tools.found([library], words, k, asked.only, document_ids=[document.id], join=False)

    if question.kind == "fields":
        by_field = [find(column, _OF_A_FIELD) for column in question.columns]
        hits = [hit for rank in range(_OF_A_FIELD) for own in by_field for hit in own[rank : rank + 1]]
        return _fitting(list({(hit.position, hit.start): hit for hit in hits}.values()), tools)
    if question.required:
        hits = find(question.topic, _LOOKED_THROUGH)
        holding = [hit for hit in hits if all(locate(name, hit.text) for name in question.required)]
        return (holding or hits)[:_JUDGED]
    if question.kind == "existence":
        return find(question.topic, _JUDGED)
    return _fitting(find(question.topic, tools.settings.passages), tools)


def _fitting(hits: Sequence[Passage], tools: Tools) -> list[Passage]:
    """The best of them that fit the budget, in the order of the document."""
    taken = prompt.fit(hits, (), min(_MOST_TOKENS, tools.budget), tools.model.count).taken
    return sorted(taken, key=lambda passage: (passage.position, passage.start))
