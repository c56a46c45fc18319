"""Leave sentences out of passages, so that a model reads less.

A sentence counts by how near it comes to the question (`SentenceEncoder`) and by the score of its passage; the idea of
pruning within passages is that of Provence (Chirkova et al. 2025). docs/decisions/0077-pruning.md has what is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from localrag.embeddings.sentence_encoder import Text
from localrag.grounding.prompts import Count, Fitted, size
from localrag.grounding.stages import Query
from localrag.store.text_analysis import sentences
from localrag.types import Passage

SHARE = 0.6  # of the budget for passages
_HEADING = 60  # characters
_ENDS = (".", ";", ",")


def pruned(query: Query, hits: Sequence[Passage], fitted: Fitted, budget: int, count: Count) -> Fitted:
    """Return what fits with sentences of all hits instead of a few whole; as it is if that is short, or not known."""
    left = int(SHARE * budget)
    texts = [Text.of(hit, sentences(hit.text)) for hit in hits]
    if fitted.tokens <= left or not (nearness := query.nearness(texts)):
        return fitted
    kept = prune(hits, texts, nearness, left, count)
    taken = tuple(hit for hit, text in zip(hits, kept, strict=True) if text)
    shown = tuple(replace(hit, text=text) for hit, text in zip(hits, kept, strict=True) if text)
    return replace(fitted, taken=taken, shown=shown, tokens=sum(size(one, count) for one in shown), pruned=True)


def prune(
    passages: Sequence[Passage], texts: Sequence[Text], nearness: Sequence[Sequence[float]], budget: int, count: Count
) -> list[str]:
    """Return the text that is kept of each passage, best first, within a budget in tokens; empty where none is.

    The first stays whole. Of the others the best sentences are kept, a heading with the sentence below it, and once
    what stands in two passages.
    """
    kept: list[set[int]] = [set() for _ in passages]
    kept[0], used = set(range(len(texts[0].spans))), size(passages[0], count)
    places = {_place(passages[0], start) for start, _ in texts[0].spans}
    order = [
        (near + passage.score, number, sentence)
        for number, (passage, row) in enumerate(zip(passages, nearness, strict=True))
        for sentence, near in enumerate(row)
        if number
    ]
    for _, number, sentence in sorted(order, key=lambda one: -one[0]):
        passage, text = passages[number], texts[number]
        wanted = {one for one in _with_heading(text, sentence) if _place(passage, text.spans[one][0]) not in places}
        more = sum(count(text.text[slice(*text.spans[one])]) + 1 for one in wanted)
        more += 0 if kept[number] else size(replace(passage, text=""), count)
        if wanted and used + more <= budget:
            kept[number] |= wanted
            places |= {_place(passage, text.spans[one][0]) for one in wanted}
            used += more
    return [_joined(text, sorted(own)) for text, own in zip(texts, kept, strict=True)]


def _place(passage: Passage, start: int) -> tuple[str, int, int, int]:
    return passage.library, passage.document_id, passage.position, passage.start + start


def _with_heading(text: Text, sentence: int) -> set[int]:
    """Return a sentence with the line before it if that is a heading or leads to it."""
    before = text.text[slice(*text.spans[sentence - 1])] if sentence else "."
    short = len(before) < _HEADING and not before.endswith(_ENDS)
    return {sentence, sentence - 1} if short or before.endswith(":") else {sentence}


def _joined(text: Text, kept: Sequence[int]) -> str:
    """Return sentences of a text, as they stand where they follow each other."""
    found = ""
    for before, number in zip([None, *kept], kept, strict=False):
        start, end = text.spans[number]
        if before is not None:
            found += text.text[text.spans[before][1] : start] if number == before + 1 else "\n"
        found += text.text[start:end]
    return found
