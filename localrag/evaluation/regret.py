"""What the routes cost and gave, and what auto lost against the best plan for each question.

The best plan of a question is the one with the higher score, of equal ones the cheaper: in tokens where nothing was
kept, in seconds where everything was. Regret in score is the best plan's score less auto's, regret in cost auto's cost
less the best plan's. Both can be below 0, where auto escalated to something better than either plan, or saved at the
price of the score. Intervals are drawn over documents, since questions about one document stand or fall together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localrag.evaluation import metrics
from localrag.evaluation.datasets import Question
from localrag.evaluation.ranking import Figures
from localrag.evaluation.runs import Row

# The goal of auto: at most this share of always-read's tokens, with nothing kept (Self-Route, Li et al. 2024).
MOST_TOKENS = 0.61
# Less than this of always-retrieve's seconds is faster; the same plan twice differs by less than a hundredth.
FASTER = 0.99
_FIXED = ("retrieve", "read")
_COST = {"cold": "tokens", "warm": "seconds"}
# What each table shows of a result: the figure's name, and the field that it is.
_SHOWN = {
    "cold": {"score": "score", "tokens": "tokens", "seconds": "cold_seconds"},
    "warm": {"score": "score", "seconds": "seconds", "first_token": "first_token", "tokens": "evaluated"},
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and its results, by way."""

    question: Question
    rows: Mapping[str, Row]

    def row(self, table: str, plan: str) -> Row | None:
        """The result of a plan; None where it could not answer, or was not asked."""
        row = self.rows.get(f"auto {table}" if plan == "auto" else plan)
        return None if row is None or "score" not in row else row

    @property
    def cluster(self) -> str:
        return ", ".join(self.question.documents) or "(library)"


def gathered(results: Iterable[tuple[Question, Row]]) -> list[Asked]:
    """The results of `routes.run`, question by question."""
    found: dict[str, tuple[Question, dict[str, Row]]] = {}
    for question, row in results:
        found.setdefault(question.id, (question, {}))[1][row["way"]] = row
    return [Asked(question, rows) for question, rows in found.values()]


def summarize(asked: Sequence[Asked], plans: Sequence[str], seed: int = 0) -> dict[str, Any]:
    """The two tables, the regret and the goals, as plain values.

    Where some questions could not be read, the tables are of those that could, and those of the others stand apart:
    what is compared are answers to the same questions.
    """
    answered = [one for one in asked if all(_settled(one, plan) for plan in plans)]
    fits = [one for one in answered if "read" not in plans or one.row("warm", "read") is not None]
    rest = [one for one in answered if one not in fits]
    unread = Counter(row["unavailable"] for one in rest if (row := one.rows.get("read")) and "unavailable" in row)
    report: dict[str, Any] = {
        "questions": len(answered),
        "documents": len({one.cluster for one in answered}),
        "unfinished_or_failed": len(asked) - len(answered),
        "fits": _part(fits, plans, seed) if fits else None,
        "too_long": {**_part(rest, [plan for plan in plans if plan != "read"], seed), "why": dict(unread.most_common())}
        if rest
        else None,
        "kept": _kept(answered),
    }  # fmt: skip
    if "auto" in plans:
        report["auto_took"] = {table: _chosen(answered, table) for table in _COST}
    return report


def _settled(one: Asked, plan: str) -> bool:
    """True where a plan has answered, or it is known that it cannot; an error of the others counts as failed."""
    ways = [f"auto {table}" for table in _COST] if plan == "auto" else [plan]
    rows = [one.rows.get(way) for way in ways]
    return all(row is not None and "error" not in row for row in rows)


def _part(asked: Sequence[Asked], plans: Sequence[str], seed: int) -> dict[str, Any]:
    part: dict[str, Any] = {
        "questions": len(asked),
        "documents": len({one.cluster for one in asked}),
        **{table: {plan: _line(asked, table, plan, seed) for plan in plans} for table in _COST},
    }
    if "auto" in plans and len(plans) > 1:
        part["regret"] = {
            table: _regret(asked, table, [plan for plan in plans if plan != "auto"], seed) for table in _COST
        }
        part["goals"] = _goals(asked, plans, seed)
    return part


def _line(asked: Sequence[Asked], table: str, plan: str, seed: int) -> dict[str, Any]:
    """A line of a table: each figure's mean with its interval, and the median of costs."""
    line: dict[str, Any] = {}
    for name, field in _SHOWN[table].items():
        pairs = [
            (float(row[field]), one.cluster) for one in asked
            if (row := one.row(table, plan)) is not None and row.get(field) is not None
        ]  # fmt: skip
        values, clusters = [value for value, _ in pairs], [cluster for _, cluster in pairs]
        if (found := metrics.clustered(values, clusters, seed=seed)) is not None:
            line[name] = found.to_dict()
            if name != "score":
                line[name]["p50"] = round(metrics.percentile(values, 50) or 0.0, 3)
    return line


# --- regret -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Loss:
    asked: Asked
    best: str
    taken: str
    score: float
    cost: float


def _regret(asked: Sequence[Asked], table: str, plans: Sequence[str], seed: int) -> dict[str, Any]:
    losses = _losses(asked, table, plans)
    return {
        "score": _mean(losses, lambda loss: loss.score, seed),
        _COST[table]: _mean(losses, lambda loss: loss.cost, seed),
        "best": dict(Counter(loss.best for loss in losses)),
        "by_choice": _split(losses, lambda loss: f"{loss.taken}, best {loss.best}"),
        "by_kind": _split(losses, lambda loss: loss.asked.question.category or "(no kind)"),
        "by_answerable": _split(losses, _answerable),
    }


def _losses(asked: Sequence[Asked], table: str, plans: Sequence[str]) -> list[_Loss]:
    losses = []
    for one in asked:
        there = {plan: row for plan in plans if (row := one.row(table, plan)) is not None}
        auto = one.row(table, "auto")
        if auto is None or not there:
            continue
        cost = _SHOWN[table][_COST[table]]
        best = min(there, key=lambda plan: (-there[plan]["score"], there[plan][cost]))
        taken = "+".join(auto["plans"])
        losses.append(
            _Loss(one, best, taken, there[best]["score"] - auto["score"], float(auto[cost] - there[best][cost]))
        )
    return losses


def _answerable(loss: _Loss) -> str:
    return "has an answer" if loss.asked.question.answerable else "has none"


def _mean(losses: Sequence[_Loss], of: Callable[[_Loss], float], seed: int) -> dict[str, Any] | None:
    found = metrics.clustered([of(loss) for loss in losses], [loss.asked.cluster for loss in losses], seed=seed)
    return None if found is None else found.to_dict()


def _split(losses: Sequence[_Loss], key: Callable[[_Loss], str]) -> dict[str, dict[str, Any]]:
    """Where the regret comes from: of each kind how many, its means, and its share of the whole mean in score."""
    kinds: dict[str, list[_Loss]] = {}
    for loss in losses:
        kinds.setdefault(key(loss), []).append(loss)
    split = {
        kind: {
            "questions": len(own),
            "score": round(sum(loss.score for loss in own) / len(own), 4),
            "cost": round(sum(loss.cost for loss in own) / len(own), 3),
            "of_the_mean": round(sum(loss.score for loss in own) / len(losses), 4),
        }
        for kind, own in kinds.items()
    }
    return dict(sorted(split.items(), key=lambda item: -item[1]["of_the_mean"]))


# --- goals --------------------------------------------------------------------------------------------------


def _goals(asked: Sequence[Asked], plans: Sequence[str], seed: int) -> dict[str, Any]:
    """Each goal beside what was found; `met` goes by the figure itself, and the interval says how sure that is."""
    goals: dict[str, Any] = {}
    for table in _COST:
        for plan in _FIXED:
            if plan in plans and (found := _apart(asked, table, plan, seed)) is not None:
                goals[f"{table}: score of auto less that of {plan}"] = {**found, "goal": 0.0, "met": found["mean"] >= 0}
    if "read" in plans and (found := _ratio(asked, "cold", "read", "tokens", seed)) is not None:
        met = found["mean"] <= MOST_TOKENS
        goals["cold: tokens of auto to those of read"] = {**found, "goal": MOST_TOKENS, "met": met}
    if "retrieve" in plans and (found := _ratio(asked, "warm", "retrieve", "seconds", seed)) is not None:
        goals["warm: seconds of auto to those of retrieve"] = {**found, "goal": FASTER, "met": found["mean"] <= FASTER}
    return goals


def _pairs(asked: Sequence[Asked], table: str, plan: str, field: str) -> list[tuple[float, float, str]]:
    return [
        (float(auto[field]), float(other[field]), one.cluster)
        for one in asked
        if (auto := one.row(table, "auto")) is not None and (other := one.row(table, plan)) is not None
    ]


def _apart(asked: Sequence[Asked], table: str, plan: str, seed: int) -> dict[str, Any] | None:
    pairs = _pairs(asked, table, plan, "score")
    found = metrics.clustered([auto - other for auto, other, _ in pairs], [name for *_, name in pairs], seed=seed)
    return None if found is None else found.to_dict()


def _ratio(asked: Sequence[Asked], table: str, plan: str, field: str, seed: int) -> dict[str, Any] | None:
    pairs = _pairs(asked, table, plan, field)
    found = metrics.clustered(
        [auto for auto, _, _ in pairs], [name for *_, name in pairs], [other for _, other, _ in pairs], seed
    )
    return None if found is None else found.to_dict()


# --- what auto did ------------------------------------------------------------------------------------------


def _chosen(asked: Sequence[Asked], table: str) -> dict[str, Any]:
    """How many questions each plan was chosen for; "retrieve+read" is a plan that escalated."""
    rows = [row for one in asked if (row := one.row(table, "auto")) is not None]
    return {
        "plans": dict(Counter("+".join(row["plans"]) for row in rows).most_common()),
        "escalations": sum(len(row["plans"]) > 1 for row in rows),
    }


def _kept(asked: Sequence[Asked]) -> dict[str, int]:
    """Questions that read their document and were asked again with it kept, and how many got the same answer."""
    twice = [row for one in asked if (row := one.rows.get("read")) is not None and "same_when_kept" in row]
    return {"asked_cold_and_kept": len(twice), "same_answer": sum(row["same_when_kept"] for row in twice)}


def per_question(asked: Sequence[Asked]) -> dict[str, Figures]:
    """What auto gave and cost for each question, for `comparing.compare`."""
    return {
        table: {
            name: {one.question.id: float(row[field]) for one in asked if (row := one.row(table, "auto")) is not None}
            for name, field in (("score", "score"), (_COST[table], _SHOWN[table][_COST[table]]))
        }
        for table in _COST
    }
