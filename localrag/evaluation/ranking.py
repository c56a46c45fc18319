"""The figures of rankings, one a question: recall@k, nDCG@10, MRR. Computed by trec_eval, whose figures others publish.

A ranking is given by the gains of what was found, in order: 0 for what is of no use, else a grade. trec_eval is a
compiled package that has no build for every platform (docs/decisions/0014-evaluation-metrics.md); where it is missing
the formulas below stand in for it, and a test holds the two equal.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DEPTHS = (1, 3, 5, 10, 20)
NDCG = 10

# measure -> question -> figure
Figures = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Ranked:
    """What was found for a question: the gain of each thing, best first; `judged` has the gains of all there are."""

    gains: tuple[int, ...]
    judged: tuple[int, ...]

    @classmethod
    def at(cls, rank: int | None) -> Ranked:
        """The ranking of one thing wanted, found at this rank (from 1) or not at all."""
        return cls((0,) * (rank - 1) + (1,) if rank else (), (1,))


def figures(rankings: Mapping[str, Ranked], depths: Sequence[int] = DEPTHS, mrr: int | None = None) -> Figures:
    """The figures of each question by measure, in the order in which they are shown.

    Args:
        rankings: by question.
        depths: for recall.
        mrr: count a first hit only down to this rank; None counts it wherever it is.
    """
    try:
        import pytrec_eval  # noqa: F401
    except ImportError:
        return plain(rankings, depths, mrr)
    return _by_trec_eval(rankings, depths, mrr)


def _names(depths: Sequence[int], mrr: int | None) -> list[str]:
    return [*(f"recall@{depth}" for depth in depths), f"ndcg@{NDCG}", "mrr" if mrr is None else f"mrr@{mrr}"]


def _by_trec_eval(rankings: Mapping[str, Ranked], depths: Sequence[int], mrr: int | None) -> Figures:
    import pytrec_eval

    names = _names(depths, mrr)
    wanted = {question: _qrels(ranked) for question, ranked in rankings.items()}
    found = {question: _run(ranked, None) for question, ranked in rankings.items()}
    cut = {question: _run(ranked, mrr) for question, ranked in rankings.items()}
    recall = pytrec_eval.RelevanceEvaluator(wanted, {"recall." + ",".join(map(str, depths)), f"ndcg_cut.{NDCG}"})
    first = pytrec_eval.RelevanceEvaluator(wanted, {"recip_rank"})
    rows, firsts = recall.evaluate(found), first.evaluate(cut)
    keys = [*(f"recall_{depth}" for depth in depths), f"ndcg_cut_{NDCG}"]
    table = {name: {q: float(rows[q][key]) for q in rankings} for name, key in zip(names, keys, strict=False)}
    return {**table, names[-1]: {q: float(firsts[q]["recip_rank"]) for q in rankings}}


def _qrels(ranked: Ranked) -> dict[str, int]:
    """Names for what was found, by its rank, and for what was not."""
    missed = Counter(gain for gain in ranked.judged if gain > 0) - Counter(gain for gain in ranked.gains if gain > 0)
    named = {f"found-{i}": gain for i, gain in enumerate(ranked.gains)}
    return {**named, **{f"missed-{i}": gain for i, gain in enumerate(missed.elements())}}


def _run(ranked: Ranked, cut: int | None) -> dict[str, float]:
    # Whole numbers, all different: trec_eval breaks ties by name, and its scores are single precision.
    return {f"found-{i}": float(-i) for i in range(len(ranked.gains[:cut]))}


def plain(rankings: Mapping[str, Ranked], depths: Sequence[int] = DEPTHS, mrr: int | None = None) -> Figures:
    """The same by formula; gains are used as they are (Järvelin and Kekäläinen 2002), as trec_eval does."""
    names = _names(depths, mrr)
    table: Figures = {name: {} for name in names}
    for question, ranked in rankings.items():
        useful = sum(gain > 0 for gain in ranked.judged)
        for depth in depths:
            hits = sum(gain > 0 for gain in ranked.gains[:depth])
            table[f"recall@{depth}"][question] = hits / useful if useful else 0.0
        best = _dcg(sorted(ranked.judged, reverse=True))
        table[names[-2]][question] = _dcg(ranked.gains) / best if best else 0.0
        rank = next((i for i, gain in enumerate(ranked.gains[:mrr], 1) if gain > 0), None)
        table[names[-1]][question] = 1 / rank if rank else 0.0
    return table


def _dcg(gains: Sequence[int]) -> float:
    return sum(max(gain, 0) / math.log2(rank + 1) for rank, gain in enumerate(gains[:NDCG], 1))
