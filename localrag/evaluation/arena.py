"""Two or more ways of answering on the same questions, blind: whose answers are better, and is it only their length?

Each pair of answers is shown in an order that a seed draws, without who wrote them; who judges says which is better, or
neither. A judge that is a model is asked in both orders, and a verdict that turns with the order is a tie. The votes
are kept a line each, so that judging goes on where it stopped, and are fitted by `strengths.py`. The same words are a
tie without a vote. A question that a side failed on, or was not asked, is left out for its pairs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

from localrag.errors import UsageError
from localrag.evaluation import metrics, rubric, strengths
from localrag.evaluation.agreement import DECIDES, Agreement, Given
from localrag.evaluation.judge import SIDES, Judge, prefer_once
from localrag.evaluation.runs import Row, Run, past
from localrag.evaluation.strengths import Vote

_FORM = "It is written by: localrag eval answers DATASET --out FILE.jsonl"
_NEEDED = frozenset(("question", "known", "answer", "found"))
# What a run's settings say of the moment, which tells no two sides apart for a reader.
_UNTOLD = frozenset(("measure", "library", "contents", "generation", "version", "embedder"))


@dataclass(frozen=True, slots=True)
class Side:
    """One way of answering, with its answers by the id of the question; `run` names its lines in a file."""

    name: str
    answers: Mapping[str, Given]
    run: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """Two answers to one question, in the order in which they are shown; `swapped`: the second side's stands first."""

    question: str
    first: Given
    second: Given
    sides: tuple[str, str]
    swapped: bool

    @property
    def id(self) -> str:
        return f"{self.question} | {self.sides[0]} | {self.sides[1]}"

    def score(self, verdict: str) -> float:
        """What a verdict on the shown order is worth to the first of the sides."""
        return 1 - SIDES[verdict] if self.swapped else SIDES[verdict]


# --- answers that are there ---------------------------------------------------------------------------------


def given_of(row: Row) -> Given:
    """A result of `eval answers` as a judge is told of it."""
    return Given(
        str(row["id"]), str(row["question"]), str(row["known"]), str(row["answer"]), str(row.get("evidence") or ""),
        bool(row.get("answerable", True)), bool(row["found"]),
    )  # fmt: skip


def side_of(name: str, rows: Sequence[Row], run: str = "") -> Side:
    """Results of one run as a side; failed questions are left out."""
    return Side(name, {str(row["id"]): given_of(row) for row in rows if "error" not in row}, run)


def read(path: Path) -> list[Side]:
    """The runs of `eval answers` that a file holds, each a side; a line cut off by a crash is passed over.

    Raises:
        NotFoundError: there is no such file.
        UsageError: it holds no answers.
    """
    found = {run.id: run for run in past(path) if run.settings.get("measure") == "answers"}
    rows = {id: [row for row in run.rows if row.keys() >= _NEEDED] for id, run in found.items()}
    if not any(rows.values()):
        raise UsageError(f"{str(path)!r} holds no answers", _FORM)
    names = _names(path, {id: run.settings for id, run in found.items() if rows[id]})
    return [side_of(names[id], own, id) for id, own in rows.items() if own]


def _names(path: Path, made: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The file's name for its only run; of several, what tells them apart too."""
    if len(made) == 1:
        return dict.fromkeys(made, path.stem)
    keys = sorted({key for settings in made.values() for key in settings} - _UNTOLD)
    telling = [key for key in keys if len({str(settings.get(key)) for settings in made.values()}) > 1]
    names = {}
    for run, settings in made.items():
        said = ", ".join(f"{key}={str(settings[key])[:24]}" for key in telling if settings.get(key) is not None)
        names[run] = f"{path.stem}: {said or run}".replace("\n", " ")
    return names if len(set(names.values())) == len(names) else {run: f"{names[run]} ({run})" for run in names}


def told_apart(sides: Sequence[Side]) -> list[Side]:
    """The sides with names unlike each other.

    Raises:
        UsageError: there are fewer than two.
    """
    if len(sides) < 2:
        raise UsageError(
            f"there is {len(sides)} side, and an arena needs two",
            "Give two settings and a dataset, or files of answers: localrag eval arena a.jsonl b.jsonl",
        )
    seen: dict[str, int] = {}
    named = []
    for side in sides:
        seen[side.name] = seen.get(side.name, 0) + 1
        number = seen[side.name]
        named.append(side if number == 1 else replace(side, name=f"{side.name} ({number})"))
    return named


# --- matches and votes --------------------------------------------------------------------------------------


def matches(sides: Sequence[Side], seed: int, limit: int | None = None) -> list[Match]:
    """Every pair of sides on every question that both answered, question by question in an order that the seed draws.

    Args:
        sides: at least two.
        seed: of the order of the questions and of the two answers of each match.
        limit: how many questions; None takes all.

    Raises:
        UsageError: no question was answered by two of them.
    """
    questions = list(dict.fromkeys(name for side in sides for name in side.answers))
    shared = [name for name in questions if sum(name in side.answers for side in sides) > 1]
    if not shared:
        raise UsageError("no two of these sides have answered the same question", "Ask them the same dataset.")
    random.Random(seed).shuffle(shared)
    found = []
    for name in shared[:limit]:
        for one, two in combinations([side for side in sides if name in side.answers], 2):
            # Drawn for each match by itself, so that a further side changes no order that was there.
            swapped = random.Random(f"{seed} {name} {one.name} {two.name}").random() < 0.5
            first, second = (two, one) if swapped else (one, two)
            found.append(Match(name, first.answers[name], second.answers[name], (one.name, two.name), swapped))
    return found


def run(
    bouts: Sequence[Match], judge: Judge, results: Run, *, stop: Callable[[], bool] = lambda: False
) -> Iterator[tuple[Match, Row]]:
    """Judge each match; what `results` holds already is not judged again, and nothing that `stop` cut short is kept."""
    for bout in bouts:
        if metrics.normalized(_shown(bout.first)) == metrics.normalized(_shown(bout.second)):
            yield bout, {"verdict": "tie", "turned": False, "same": True}
            continue
        row = prefer_once(bout.id, bout.first, bout.second, judge, results, stop=stop)
        if row is None:
            return
        if row["verdict"] in SIDES:  # a person may pass one over
            yield bout, row


def _shown(given: Given) -> str:
    return rubric.MARKER.sub("", given.answer) if given.found else ""


def vote(bout: Match, row: Row) -> Vote:
    lengths = tuple(len(metrics.words(_shown(given))) for given in (bout.first, bout.second))
    one, two = lengths[::-1] if bout.swapped else lengths
    return Vote(bout.question, *bout.sides, bout.score(row["verdict"]), (one, two))


# --- what came of it ----------------------------------------------------------------------------------------


def summarize(
    judged: Sequence[tuple[Match, Row]], sides: Sequence[Side], agreed: Agreement | None, seed: int = 0
) -> dict[str, Any]:
    """Counts, strengths with and without length, and whether who judged may decide; as plain values.

    Args:
        judged: what `run` yielded.
        sides: all that took part.
        agreed: how far the judge agrees with labels; None where a person judged.
        seed: of the bootstrap.
    """
    votes = [vote(bout, row) for bout, row in judged]
    asked = [row for _, row in judged if not row.get("same")]
    turned = sum(bool(row["turned"]) for row in asked)
    return {
        "questions": len({one.question for one in votes}),
        "votes": len(votes),
        "same": len(votes) - len(asked),
        "turned": turned,
        "turned_share": round(turned / len(asked), 4) if asked else 0.0,
        "sides": [{"side": side.name, "answers": len(side.answers), "words": _words(side)} for side in sides],
        "pairs": strengths.counts(votes),
        "plain": strengths.fit(votes, seed).to_dict() if votes else None,
        "length_controlled": strengths.fit(votes, seed, length=True).to_dict() if votes else None,
        "agreement": None if agreed is None else agreed.to_dict(),
        "decides": agreed is None or agreed.decides,
        "decides_from": DECIDES,
    }


def _words(side: Side) -> float:
    counts = [len(metrics.words(_shown(given))) for given in side.answers.values() if given.found]
    return round(sum(counts) / len(counts), 1) if counts else 0.0
