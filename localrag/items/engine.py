"""What a model needs to look at one document for a question, and the question put to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from localrag.grounding import context, fact_checks, prompts
from localrag.grounding.locate import locate
from localrag.grounding.stages import Pair, Query
from localrag.grounding.workspace import Workspace
from localrag.items import leaf
from localrag.items.clause_questions import ClauseQuestions
from localrag.items.leaf import Leaf, Material
from localrag.items.leaf_question import LeafQuestion
from localrag.llm import Generator as Model
from localrag.llm import PromptCache, calibration
from localrag.search.ranking import as_passage
from localrag.search.retrieval import Searcher
from localrag.settings import Settings
from localrag.types import Passage

# Passages judged separately for a yes/no question; searched for a required name; and of each field of a table.
_JUDGED, _SEARCHED, _PER_FIELD = 2, 20, 2
# Tokens of passages, and of a document that costs no more when read whole.
_MAX_TOKENS = 600
_CHARACTERS_PER_TOKEN = 4
# Log odds of a clause below which the model is not asked. So low are 74 % of those absent, 3 % of those present.
_ABSENT = -2.5


@dataclass(frozen=True, slots=True)
class Tools:
    """What a survey needs of the assistant."""

    model: Model
    searcher: Searcher
    clause_odds: Callable[[str, Pair], float | None]  # log odds that a document has the clause that a question is for
    cache: Callable[[Sequence[Pair], str], PromptCache | None]  # of documents, or of a named part of one
    cached_tokens: Callable[[Sequence[Pair]], int]
    settings: Settings
    budget: int  # maximum tokens of passages beside the question
    answer_from: float  # the likelihood from which the model answers

    @classmethod
    def of(cls, workspace: Workspace, budget: int, clauses: ClauseQuestions | None = None) -> Tools:
        """Return the tools of a workspace; loads its model."""
        model = workspace.model()
        known = calibration.load(workspace.settings.calibration_file, model.model)
        return cls(
            model,
            workspace.searcher,
            (clauses or ClauseQuestions(workspace.searcher)).odds,
            workspace.cache,
            workspace.cached_tokens,
            workspace.settings,
            budget,
            known.answer_from,
        )


def put(
    question: LeafQuestion,
    pair: Pair,
    material: Material,
    tools: Tools,
    stop: leaf.Stop,
    *,
    prior: float = 0.0,
    write: bool = True,
) -> Leaf | None:
    """Put a question to one document, for surveys and reviews; None where it was stopped.

    `prior` are log odds, known by code, that it holds the value that is asked for; `write` is that of `leaf.ask`.
    """
    library, document = pair
    share = tools.answer_from / (tools.answer_from + (1 - tools.answer_from) * math.exp(prior))
    made = leaf.ask(question, library.name, document, material, tools.model, answer_from=share, write=write, stop=stop)
    if made is not None and made.citation is not None:
        (citation,) = context.placed([made.citation], material.passages, [library])
        made = replace(made, citation=citation)
    if made is not None and made.found and write and tools.settings.strict:
        return _strictly(made, question, material.passages)
    return made


def _strictly(made: Leaf, question: LeafQuestion, passages: Sequence[Passage]) -> Leaf:
    """Return what a document answers as strict mode lets it pass."""
    if made.citation is not None and not made.dropped and fact_checks.sound(made.answer, question.text, passages):
        return made
    return replace(made, found=False, answer="", citation=None, fields=dict.fromkeys(made.fields, ""), withheld=True)


def materials(question: LeafQuestion, query: Query, tools: Tools) -> list[Material]:
    """Return the material of each document, and how each compares with the others."""
    odds = [_clause_odds(question, pair, query, tools) for pair in query.documents]
    found = [
        Material((), "whole") if one is not None and one < _ABSENT else material(question, pair, query, tools)
        for one, pair in zip(odds, query.documents, strict=True)
    ]
    scores = [max(_evidence(passage) for passage in made.passages) for made in found if made.passages]
    standings = iter(leaf.standings(scores))
    for n, made in enumerate(found):
        if made.passages:
            names, texts = question.required, [passage.text for passage in made.passages]
            loose = bool(names) and not any(leaf.together(names, question.topic, text) for text in texts)
            relative, known = next(standings), odds[n]
            found[n] = replace(made, standing=relative if known is None else known, loose=loose)
    return found


def _clause_odds(question: LeafQuestion, pair: Pair, query: Query, tools: Tools) -> float | None:
    """Return the log odds that a document has the clause asked for; None where code does not know them."""
    plain = question.kind == "existence" and not question.required and not question.either
    return tools.clause_odds(question.text, pair) if plain and query.only.pages is None else None


def _evidence(passage: Passage) -> float:
    """Return how well a passage fits the question by words and by meaning, whatever its document is called."""
    signals = passage.signals
    return (signals["dense"] + signals["lexical"]) / 2 if "dense" in signals else 0.0


def material(question: LeafQuestion, pair: Pair, query: Query, tools: Tools) -> Material:
    library, document = pair
    numbered = context.pages_of(library, document, query.only)
    whole = context.page_passages(library.name, document, numbered)
    needed = [*((name,) for name in question.required), *question.either]
    if not all(any(locate(name, page.text) for page in whole for name in names) for names in needed):
        return Material((), "whole")
    passages = tuple(_passages(question, pair, query, tools))
    text = "\n\n".join(page.text for page in whole)
    limit = _limit(question, tools)
    short = len(text) <= limit * _CHARACTERS_PER_TOKEN * 2 and tools.model.count(text) <= limit
    cache = tools.cache([pair], "")
    cached = not short and tools.cached_tokens([pair]) > 0
    if not short and not cached:
        return Material(passages, cache=cache)
    best = max((_evidence(passage) for passage in passages), default=0.0)
    pages = tuple(replace(page, signals={"dense": best, "lexical": best}) for page in whole)
    if short:
        return Material(pages, "whole", cache=cache)
    laid_out = context.whole_text([page for _, page in numbered])
    return Material(pages, "whole", laid_out, cache=cache)


def _limit(question: LeafQuestion, tools: Tools) -> int:
    """Return the tokens of text to read: more for all the fields of a schema, which are asked for at once."""
    return tools.budget if question.fields else min(_MAX_TOKENS, tools.budget)


def _passages(question: LeafQuestion, pair: Pair, query: Query, tools: Tools) -> list[Passage]:
    library, document = pair

    def find(words: str, k: int) -> list[Passage]:
        return tools.searcher.find([library], words, k, query.only, document_ids=[document.id], join=False)

    if question.kind in ("fields", "lines"):
        by_field = [find(column, _PER_FIELD) for column in question.columns]
        hits = [hit for rank in range(_PER_FIELD) for own in by_field for hit in own[rank : rank + 1]]
        if question.kind == "fields" and question.fields and query.only.pages is None:
            # Who, when and what about is said at the beginning, in words that are everywhere after it.
            hits = [*(as_passage(library, row) for row in library.chunks_of(document.id)[:1]), *hits]
        return fitting(list({(hit.position, hit.start): hit for hit in hits}.values()), tools, question)
    if question.required:
        hits = find(question.topic, _SEARCHED)
        holding = [hit for hit in hits if all(locate(name, hit.text) for name in question.required)]
        close = [hit for hit in holding if leaf.together(question.required, question.topic, hit.text)]
        return (close or holding or hits)[:_JUDGED]
    if question.kind == "existence":
        return find(question.topic, _JUDGED)
    return fitting(find(question.topic, tools.settings.passages), tools, question)


def fitting(hits: Sequence[Passage], tools: Tools, question: LeafQuestion) -> list[Passage]:
    """Return the best of them that fit the budget, in the order of the document."""
    taken = prompts.fit(hits, (), _limit(question, tools), tools.model.count).taken
    return sorted(taken, key=lambda passage: (passage.position, passage.start))
