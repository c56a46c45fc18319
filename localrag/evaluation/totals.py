"""What the answers of a run come to: shares with their intervals, over all questions and by category.

Questions about one document stand or fall together, so intervals draw whole documents anew (`metrics.clustered`). How
many of the quotes shown stand in the document says something only beside how many questions were answered and how much
of the evidence was quoted: who quotes nothing misquotes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from localrag.evaluation import metrics, risk
from localrag.evaluation.ranking import Figures
from localrag.evaluation.risk import present
from localrag.evaluation.runs import Row

# Figures that an answer has only where the question gives it something to be compared with.
FIGURES = (
    "right", "exact", "f1", "numeric", "unit", "choice", "cited", "cited_document", "cited_page", "evidence",
    "evidence_given", "evidence_shown",
)  # fmt: skip

_COMPARED = ("right", "f1", "numeric", "unit", "choice", "evidence_given", "evidence")


def summarize(rows: Sequence[Row], seed: int = 0) -> dict[str, Any]:
    """The figures over all rows and by category, as plain values; failed questions are counted apart."""
    done = [row for row in rows if "error" not in row]
    return {
        "questions": len(done),
        "failed": len(rows) - len(done),
        **_figures(done, seed),
        "choices": choices(done, seed),
        "quotes": {
            "shown": sum(row["quotes"] for row in done),
            "verbatim": sum(row["verbatim"] for row in done),
            "dropped": sum(row["dropped"] for row in done),
            "unsupported_sentences": sum(row["unsupported"] for row in done),
        },
        "flags": dict(Counter(flag["kind"] for row in done for flag in row.get("flags", ()))),
        "workings": sum(bool(row.get("workings")) for row in done),
        "risk": risk.summarize(done),
        "categories": {
            name: {"questions": len(own), **_figures(own, seed)}
            for name in sorted({row["category"] for row in done})
            if name and (own := [row for row in done if row["category"] == name])
        },
        "seconds": _seconds(done),
    }


def cluster(row: Row) -> str:
    """The documents that a question is about; each question about a whole library stands for itself."""
    return "\n".join(row.get("documents", ())) or str(row["id"])


def share(
    rows: Sequence[Row], of: Callable[[Row], float], over: Callable[[Row], float] = lambda row: 1.0, seed: int = 0
) -> dict[str, float | int] | None:
    """The ratio of two sums over rows with its interval; None where there is nothing to divide by."""
    found = metrics.clustered(
        [float(of(row)) for row in rows], [cluster(row) for row in rows], [float(over(row)) for row in rows], seed
    )
    return None if found is None else found.to_dict()


def _figures(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    counts = metrics.abstention((row["found"], present(row)) for row in rows)
    figures = {name: found for name in FIGURES if (found := _mean(rows, name, seed))}
    touched = [row for row in rows if "evidence" in row["figures"]]
    if found := share(touched, lambda row: row["figures"]["evidence"] > 0, seed=seed):
        figures["evidence_touched"] = found
    return {"abstention": counts.to_dict(), "rates": _rates(rows, seed), "figures": figures}


def _mean(rows: Sequence[Row], name: str, seed: int) -> dict[str, float | int] | None:
    return share([row for row in rows if name in row["figures"]], lambda row: row["figures"][name], seed=seed)


def _rates(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """Shares of questions, of quotes and of sentences; those that nothing can be said of are left out."""
    there, absent = [row for row in rows if present(row)], [row for row in rows if not present(row)]
    known = [row for row in there if "evidence_given" in row["figures"]]
    declined = [row for row in rows if not row["found"]]
    answered = [row for row in rows if row["found"]]
    given: Callable[[Row], float] = lambda row: row["figures"]["evidence_given"]  # noqa: E731
    rates = {
        "answered_present": share(there, lambda row: row["found"], seed=seed),
        "answered_with_evidence": share(known, lambda row: row["found"] and given(row) > 0, seed=seed),
        "answered_from_evidence": share(
            [row for row in known if "evidence_shown" in row["figures"]],
            lambda row: row["found"] and row["figures"]["evidence_shown"] > 0,
            seed=seed,
        ),
        "declined_absent": share(absent, lambda row: not row["found"], seed=seed),
        "declined_rightly": share(declined, lambda row: not present(row), seed=seed) if absent else None,
        "wrong_when_answered": share(answered, lambda row: 1 - row["figures"]["right"], seed=seed),
        "citation_precision": share(
            known, lambda row: row["figures"]["quotes_touching"], lambda row: row["quotes"], seed
        ),
        "citation_recall": share(known, lambda row: row["figures"]["evidence"], seed=seed),
        "quotes_verbatim": share(answered, lambda row: row["verbatim"], lambda row: row["quotes"], seed),
        "unsupported_sentences": share(
            answered, lambda row: row["unsupported"], lambda row: max(row.get("sentences", 0), row["unsupported"]), seed
        ),
        "flagged_answers": share(
            [row for row in answered if "flags" in row], lambda row: bool(row["flags"]), seed=seed
        ),
    }
    return {name: found for name, found in rates.items() if found is not None}


def choices(rows: Sequence[Row], seed: int = 0) -> dict[str, Any] | None:
    """Questions with a label: which choice was made for which, and how the commonest one alone would do.

    `table` is by the right choice, then by the one made; "none" is an answer that makes no choice.
    """
    labelled = [row for row in rows if row.get("label")]
    if not labelled:
        return None
    known = Counter(row["known"] for row in labelled)
    common, count = known.most_common(1)[0]
    made: dict[str, Counter[str]] = {name: Counter() for name in sorted(known)}
    for row in labelled:
        made[row["known"]][row.get("chose") or "none"] += 1
    correct = {name: counts[name] for name, counts in made.items()}
    given = Counter(name for counts in made.values() for name in counts.elements())
    f1 = [2 * correct[name] / (known[name] + given[name]) for name in known]
    return {
        "table": {name: dict(counts) for name, counts in made.items()},
        "accuracy": share(labelled, lambda row: row["figures"]["choice"], seed=seed),
        "majority": {"choice": common, "accuracy": round(count / len(labelled), 4)},
        "above_majority": share(labelled, lambda row: row["figures"]["choice"] - (row["known"] == common), seed=seed),
        "macro_f1": round(sum(f1) / len(f1), 4),
    }


def per_question(rows: Sequence[Row]) -> dict[str, Figures]:
    """What each question came to, for `comparing.compare`."""
    done = [row for row in rows if "error" not in row]
    found: Figures = {
        name: {row["id"]: float(row["figures"][name]) for row in done if name in row["figures"]} for name in _COMPARED
    }
    found["answered_present"] = {row["id"]: float(row["found"]) for row in done if present(row)}
    found["declined_absent"] = {row["id"]: float(not row["found"]) for row in done if not present(row)}
    found["seconds"] = {row["id"]: float(row["seconds"]) for row in done}
    return {"answers": {name: figures for name, figures in found.items() if figures}}


def _seconds(rows: Sequence[Row]) -> dict[str, float | None]:
    seconds = [row["seconds"] for row in rows]
    first = [row["first_token"] for row in rows if row["first_token"] is not None]
    return {
        "p50": metrics.percentile(seconds, 50),
        "p95": metrics.percentile(seconds, 95),
        "first_token_p50": metrics.percentile(first, 50),
    }
