"""One question put to each of many documents; the answers are joined by code.

Each leaf sees only passages of its own document, answers in a fixed JSON shape, and its quote is looked up in the
document. Counting and sorting happen here, never in the model. Every document considered has a row, with "nothing
found" where so. Leaves see passages, not whole documents, and the row says so by its place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from localrag import prompt
from localrag.citations import locate
from localrag.generation import Completed, Generator
from localrag.types import Citation, Document, Passage, Usage

_LEAF_TOKENS = 160


@dataclass(frozen=True, slots=True)
class Leaf:
    """What one document said. `dropped` is True where the model gave a quote that is not in the document."""

    library: str
    document: Document
    found: bool
    answer: str
    citation: Citation | None
    dropped: bool
    usage: Usage

    def to_row(self) -> dict[str, Any]:
        return {
            "library": self.library,
            "document": self.document.path,
            "found": self.found,
            "answer": self.answer,
            "place": self.citation.place if self.citation else "",
            "quote": self.citation.quote if self.citation else "",
        }


def leaves(
    question: str,
    documents: Sequence[tuple[str, Document]],
    generator: Generator,
    find: Callable[[str, Document], list[Passage]],
    *,
    stop: Callable[[], bool],
) -> Iterator[Leaf]:
    """Ask each document in turn; ends early where `stop` says so.

    Args:
        question: the leaf question, the same for all.
        documents: (library, document) pairs.
        generator: the model.
        find: the passages of one document that fit the question, already within the budget.
    """
    for library, document in documents:
        passages = find(library, document)
        if not passages:
            yield Leaf(library, document, False, "", None, False, Usage())
            continue
        done = _ask(question, document, passages, generator, stop)
        if done.ended == "stopped":
            return
        yield _leaf(library, document, passages, done)


def _ask(
    question: str,
    document: Document,
    passages: Sequence[Passage],
    generator: Generator,
    stop: Callable[[], bool],
) -> Completed:
    messages = prompt.leaf_prompt(question, document.path, passages)
    done = Completed("", Usage(), "stopped")
    for event in generator.generate(messages, max_tokens=_LEAF_TOKENS, grammar=prompt.LEAF_GRAMMAR, stop=stop):
        if isinstance(event, Completed):
            done = event
    return done


def _leaf(library: str, document: Document, passages: Sequence[Passage], done: Completed) -> Leaf:
    try:
        reply = json.loads(done.text)
        found, answer, quote = bool(reply["found"]), str(reply["answer"]).strip(), str(reply["quote"]).strip()
    except (ValueError, KeyError, TypeError):
        # Cut off by the token limit: what there is of it is no answer.
        return Leaf(library, document, False, "", None, False, done.usage)
    citation = _verified(quote, passages) if found and quote else None
    return Leaf(
        library,
        document,
        found,
        answer if found else "",
        citation,
        bool(found and quote and not citation),
        done.usage,
    )


def _verified(quote: str, passages: Sequence[Passage]) -> Citation | None:
    for passage in passages:
        place = locate(quote.strip(" ."), passage.text)
        if place is not None:
            start, end = place
            return Citation(
                passage.library, passage.document, passage.page, passage.label, passage.place,
                passage.text[start:end], passage.start + start, passage.start + end, 0, unit=passage.unit,
            )  # fmt: skip
    return None


def join(found: Sequence[Leaf], asked: int) -> tuple[str, tuple[Citation, ...]]:
    """The answer as text, counted and listed by code, and its citations."""
    yes = [leaf for leaf in found if leaf.found]
    citations: list[Citation] = []
    lines = [f"{len(yes)} of {len(found)} documents answer this." + _short_of(len(found), asked)]
    for leaf in yes:
        mark = ""
        if leaf.citation is not None:
            citations.append(replace(leaf.citation, marker=len(citations) + 1))
            mark = f" [{len(citations)}]"
        lines.append(f"- {leaf.document.path}: {leaf.answer}{mark}")
    nothing = [leaf.document.path for leaf in found if not leaf.found]
    if nothing:
        lines.append(f"Nothing found in: {', '.join(nothing)}.")
    return "\n".join(lines), tuple(citations)


def _short_of(done: int, asked: int) -> str:
    return f" {asked - done} were not asked." if done < asked else ""
