"""Run a survey: the material of each document, a leaf question for each, the answers joined. No model counts.

First code alone looks at all documents, for the names that the question requires and for their best passages. The
likeliest are asked first, for where the survey is stopped; the table is in the order of the library.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

from localrag.answer import checking, context, intent, prompts
from localrag.answer.stages import Pair, Query
from localrag.answer.survey import leaf, summary
from localrag.answer.survey.leaf import Leaf, Material
from localrag.answer.survey.leaf_question import LeafQuestion, leaf_question
from localrag.answer.values import Measured, measure
from localrag.answer.verify.annotations import laid_out
from localrag.answer.verify.locate import locate
from localrag.events import Event, Surveyed
from localrag.llm import Generator as Model
from localrag.llm import PromptCache
from localrag.quantities import plural
from localrag.search.ranking import as_passage
from localrag.search.retrieval import Searcher
from localrag.settings import Settings
from localrag.types import Answer, Citation, NotRead, Passage, Plan, Seconds, Usage

# Passages judged separately for a yes/no question; searched for a required name; and of each field of a table.
_JUDGED, _SEARCHED, _PER_FIELD = 2, 20, 2
# Tokens of passages, and of a document that costs no more when read whole.
_MAX_TOKENS = 600
_CHARACTERS_PER_TOKEN = 4
# Log odds of a clause below which the model is not asked. So low are 74 % of those absent, 3 % of those present.
_ABSENT = -2.5
# Lines about documents that were not asked, and names of documents in a line.
_MAX_NOT_READ, _MAX_NAMED = 50, 12


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


def answer(query: Query, plan: Plan, tools: Tools) -> Generator[Event, None, Answer]:
    """Put the question to each document."""
    question = leaf_question(query.search_text or query.text)
    if question.kind == "summary" or intent.of(query.text).kind == "summary":
        return (yield from summary.answer(query, plan, tools))
    began = time.monotonic()
    materials = _materials(question, query, tools)
    seconds = Seconds(retrieve=time.monotonic() - began)
    # Those that code has decided come first, since they cost nothing.
    order = sorted(range(len(materials)), key=lambda n: (bool(materials[n].passages), -materials[n].standing, n))
    leaves: dict[int, Leaf] = {}
    injections: list[NotRead] = []
    for n in order:
        made = put(question, query.documents[n], materials[n], tools, query.stop)
        if made is None:
            break
        leaves[n] = made
        injections += context.injections_in(materials[n].passages)
        yield Surveyed(len(leaves), len(order), leaves[n].to_row())
    left = [pair for n, pair in enumerate(query.documents) if n not in leaves]
    asked = [leaves[n] for n in sorted(leaves)]
    return replace(
        _answer(question, query, plan, asked, left),
        model=tools.model.model,
        seconds=seconds,
        not_read=(*injections, *_not_read(asked, left)),
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


def _answer(question: LeafQuestion, query: Query, plan: Plan, leaves: Sequence[Leaf], left: Sequence[Pair]) -> Answer:
    considered = len(leaves) + len(left)
    joined = join(question, leaves, considered)
    whole = sum(leaf.read == "whole" for leaf in leaves)
    withheld = [leaf for leaf in leaves if leaf.withheld]
    return Answer(
        query.text,
        joined.text,
        joined.found,
        plan,
        citations=joined.citations,
        # Strict mode has withheld the rows of such quotes, so that the others may be shown.
        citations_dropped=0 if query.strict else sum(leaf.dropped for leaf in leaves),
        table=tuple(leaf.to_row() for leaf in joined.leaves),
        tokens=sum((leaf.usage for leaf in leaves), Usage()),
        stopped=bool(left),
        withheld=f"what {_names(withheld)} may say, because no text supports it throughout" if withheld else "",
        looked_for=query.search_text,
        looked_at=f"{len(leaves)} of {considered} asked: {whole} read whole, {len(leaves) - whole} in their best "
        "passages.",
    )


def _strictly(made: Leaf, question: LeafQuestion, passages: Sequence[Passage]) -> Leaf:
    """Return what a document answers as strict mode lets it pass."""
    if made.citation is not None and not made.dropped and checking.sound(made.answer, question.text, passages):
        return made
    return replace(made, found=False, answer="", citation=None, fields=dict.fromkeys(made.fields, ""), withheld=True)


def _not_read(leaves: Sequence[Leaf], left: Sequence[Pair]) -> list[NotRead]:
    """Return one line for each document that was not asked, and one for all that were read in part."""
    lines = [NotRead(library.name, document.path, "not asked, the survey was stopped") for library, document in left]
    if len(lines) > _MAX_NOT_READ:
        more = NotRead(lines[0].library, "", f"and {len(lines) - _MAX_NOT_READ} more that were not asked")
        lines = [*lines[:_MAX_NOT_READ], more]
    part = [leaf for leaf in leaves if leaf.read == "passages"]
    if part:
        of = "1 document was" if len(part) == 1 else f"{len(part)} of {len(leaves)} documents were"
        lines.append(NotRead(part[0].library, "", f"{of} not read whole, only the passages that fit best"))
    return lines


def _materials(question: LeafQuestion, query: Query, tools: Tools) -> list[Material]:
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


@dataclass(frozen=True, slots=True)
class Joined:
    """The answer in words, its citations, and the leaves in the order of the table."""

    text: str
    found: bool
    citations: tuple[Citation, ...]
    leaves: tuple[Leaf, ...]


def join(question: LeafQuestion, leaves: Sequence[Leaf], considered: int) -> Joined:
    """Count, compare and sort what the leaves answer; `considered` counts those left by a stop, too."""
    if question.test is not None or question.order:
        return _measured(question, leaves, considered)
    yes = [leaf for leaf in leaves if leaf.found]
    no = [leaf for leaf in leaves if not (leaf.found or leaf.withheld or leaf.unsure)]
    unsure = [leaf for leaf in leaves if leaf.unsure]
    citations = _numbered(yes)
    if not leaves and considered:
        return Joined(_progress(leaves, considered).strip(), False, (), ())
    lines = [_progress(leaves, considered) + _head(question, len(no if question.negated else yes), len(leaves))]
    if question.negated:
        lines += [f"- {leaf.document.path}" for leaf in no]
        lines += [f"It was found in: {_names(yes)}."] if yes else []
    else:
        lines += [_line(leaf, citations) for leaf in yes]
        lines += [f"Nothing found in: {_names(no)}."] if no else []
    lines += [f"Unsure, since no words support the answer: {_names(unsure)}."] if unsure else []
    found = bool(no if question.negated else yes)
    return Joined(laid_out(lines), found, tuple(citations.values()), tuple(leaves))


def _head(question: LeafQuestion, count: int, asked: int) -> str:
    of = f"{count} of {plural(asked, question.noun)}"
    if question.negated:
        return f"{of}: nothing was found that answers “{question.text}” with yes."
    if question.kind == "existence":
        return f"{of} answer “{question.text}” with yes."
    if question.kind == "fields":
        return f"{of} say something of {', '.join(question.columns)}."
    return f"{of} answer “{question.text}”."


def _progress(leaves: Sequence[Leaf], considered: int) -> str:
    """Say how many documents were asked, where it was stopped."""
    return f"{len(leaves)} of {plural(considered, 'document')} were asked. " if len(leaves) < considered else ""


def _line(leaf: Leaf, citations: dict[int, Citation]) -> str:
    mark = f" [{citations[id(leaf)].marker}]" if id(leaf) in citations else ""
    return f"- {leaf.document.path}: {leaf.answer}{mark}"


def _numbered(leaves: Sequence[Leaf]) -> dict[int, Citation]:
    """Number the leaves' citations in this order."""
    cited = [leaf for leaf in leaves if leaf.citation is not None]
    return {id(leaf): replace(leaf.citation, marker=n) for n, leaf in enumerate(cited, 1) if leaf.citation is not None}


def _names(leaves: Sequence[Leaf]) -> str:
    shown = ", ".join(leaf.document.path for leaf in leaves[:_MAX_NAMED])
    more = len(leaves) - _MAX_NAMED
    return f"{shown} and {more} more (all: --table FILE)" if more > 0 else shown


def _measured(question: LeafQuestion, leaves: Sequence[Leaf], considered: int) -> Joined:
    """Join values that are compared: sorted, or tested against a limit."""
    values: dict[int, Measured] = {}
    for one in leaves:
        # The quantity of the answer, else of the words that it quotes.
        value = measure(one.answer) or (measure(one.citation.quote) if one.citation else None)
        if one.found and value is not None:
            values[id(one)] = value
    test = question.test
    commonest = Counter(value.kind for value in values.values()).most_common(1)
    kind = test.limit.kind if test else commonest[0][0] if commonest else None
    comparable = [leaf for leaf in leaves if id(leaf) in values and values[id(leaf)].kind == kind]
    by_value: Callable[[Leaf], float] = lambda leaf: values[id(leaf)].value  # noqa: E731
    ordered = sorted(comparable, key=by_value, reverse=question.order != "least")
    passing = [leaf for leaf in ordered if test is None or test.passes(values[id(leaf)])]
    citations = _numbered(passing)
    failing = [leaf for leaf in ordered if leaf not in passing]
    other = [leaf for leaf in leaves if leaf.found and leaf not in comparable]
    nothing = [leaf for leaf in leaves if not leaf.found and not leaf.withheld]
    of = plural(len(leaves), question.noun)
    if test is not None:
        head = f"{len(passing)} of {of}: {test.words}, asked as “{question.text}”"
    else:
        first = f"{ordered[0].document.path} comes first" if ordered else "None could be compared"
        head = f"{first}: {len(ordered)} of {of} could be compared, asked as “{question.text}”"
    lines = [_progress(leaves, considered) + head, *(_line(leaf, citations) for leaf in passing)]
    for label, group in (("Not within the limit", failing), ("Answered, but not comparable", other)):
        if group:
            lines.append(f"{label}: " + "; ".join(f"{leaf.document.path} ({leaf.answer})" for leaf in group))
    lines += [f"Nothing found in: {_names(nothing)}."] if nothing else []
    table = (
        [*passing, *failing, *other, *nothing, *(leaf for leaf in leaves if leaf.withheld)]
        if question.order
        else list(leaves)
    )
    return Joined(laid_out(lines), bool(passing), tuple(citations.values()), tuple(table))
