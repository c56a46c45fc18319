"""What a calibration showed: from kept results to figures, plain values and what routing reads (pure)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Any

from localrag.evaluation.calibrate import competence
from localrag.evaluation.calibrate.calibrating import WAYS, Kept, Scope, Way, readings
from localrag.evaluation.calibrate.effective import Effective, Tally, effective, interval
from localrag.evaluation.calibrate.needles import WAYS as QUESTIONS
from localrag.llm import calibration
from localrag.llm.calibration import Calibration

_GAIN = 1.1  # a way of running that is not a tenth faster is not worth a setting


def tally(results: Kept, length: int, *, depth: int | None = None, way: str | None = None) -> Tally:
    """How many of the questions at a length (in one part of the text, or of one kind) were answered right."""
    rows = [
        row for row in results.rows.values()
        if row["length"] == length and (depth is None or row["depth"] == depth) and (way is None or row["way"] == way)
    ]  # fmt: skip
    return Tally(length, sum(row["said"] == "right" for row in rows), len(rows))


def figure(results: Kept, scope: Scope) -> Effective | None:
    """The effective length from what was measured so far; None where that is too little."""
    return effective([tally(results, length) for length in scope.lengths])


def measured(parts: dict[str, Kept], scope: Scope, known: Calibration, weights: str, build: str) -> Calibration:
    """What routing and answering read, from what was measured; what was not, as it was known before."""
    values: dict[str, Any] = asdict(known)
    results = parts["needles"]
    about = {"weights": weights, "build": build, "measured": date.today().isoformat()}
    threshold = competence.answer_from(_shares(parts["skills"]))
    if threshold is not None:
        values |= {"answer_from": threshold, **about}
    for name, speed in (("read", calibration.fit(readings(results))), ("write", calibration.fit(_writings(results)))):
        if speed is not None:
            values[f"{name}_speed"], values[f"{name}_slowing"] = speed
    found = figure(results, scope)
    if found is not None:
        values |= {
            "effective_tokens": found.tokens, "at_least": found.at_least, "calibrated": True, **about,
        }  # fmt: skip
    return Calibration(**values)


def _writings(results: Kept) -> list[tuple[float, float, float]]:
    rows = [row["write"] for row in results.rows.values()]
    return [calibration.writing_sample(after, tokens, seconds) for after, tokens, seconds in rows if tokens >= 4]


def advice(results: Kept, now: Way) -> Way | None:
    """A way of running that reads clearly faster than the present one; None where none does."""
    rows = {way: results.rows[way.name]["read"] for way in WAYS if way.name in results.rows}
    if now not in rows:
        return None
    best = max(rows, key=lambda way: rows[way])
    return best if rows[best] >= _GAIN * rows[now] else None


def report(parts: dict[str, Kept], scope: Scope, known: Calibration, now: Way) -> dict[str, Any]:
    """Everything as plain values: what `--json` prints and the tables show."""
    hits = parts["needles"]
    found = figure(hits, scope)
    said = [row["said"] for row in hits.rows.values()]
    better = advice(parts["speed"], now)
    return {
        "lengths": [_length(hits, scope, length) for length in scope.lengths if tally(hits, length).asked],
        "near_misses": said.count("near miss"),
        "wrong": len(said) - said.count("right"),
        "effective": None if found is None else asdict(found),
        "speed": _speed(known, scope),
        "ways": [
            {**asdict(way), **{name: parts["speed"].rows[way.name][name] for name in ("read", "write")}}
            for way in WAYS
            if way.name in parts["speed"].rows
        ],
        "faster": None if better is None else asdict(better),
        "answer_from": known.answer_from,
        **_skills(parts["skills"], hits, scope, known.answer_from),
    }


def _length(hits: Kept, scope: Scope, length: int) -> dict[str, Any]:
    whole = tally(hits, length)
    low, high = interval(whole.right, whole.asked)
    return {
        **_counts(whole), "length": length, "low": round(low, 3), "high": round(high, 3),
        "depths": [_counts(tally(hits, length, depth=depth)) for depth in range(scope.bins)],
        "questions": {way: _counts(tally(hits, length, way=way)) for way in QUESTIONS},
    }  # fmt: skip


def _counts(one: Tally) -> dict[str, Any]:
    return {"right": one.right, "asked": one.asked}


def _speed(known: Calibration, scope: Scope) -> dict[str, Any] | None:
    if not known.read_speed or not known.write_speed:
        return None
    return {
        "read_speed": known.read_speed, "read_slowing": known.read_slowing,
        "write_speed": known.write_speed, "write_slowing": known.write_slowing,
        "lengths": [
            {
                "length": length, "seconds_to_read": round(known.seconds_to_read(length) or 0.0, 1),
                "written_per_second": round(1 / (known.seconds_to_write(1, length) or 1.0), 1),
            }
            for length in scope.lengths
        ],
    }  # fmt: skip


def _shares(skills: Kept) -> dict[str, float]:
    """The likelihood of "yes" to each task of presence that was asked."""
    return {id: row["share"] for id, row in skills.rows.items() if row["skill"] == "presence"}


def _skills(skills: Kept, hits: Kept, scope: Scope, answer_from: float) -> dict[str, Any]:
    shares = _shares(skills)
    results = [
        competence.presence(task, shares[task.id], answer_from) if task.skill == "presence"
        else competence.Result(task.id, task.skill, skills.rows[task.id]["right"])
        for task in competence.tasks()
        if task.id in skills.rows
    ]  # fmt: skip
    if len(results) < len(competence.tasks()):
        return {"skills": None, "told_apart": None, "verdict": None}
    shortest = tally(hits, scope.lengths[0])
    grade, words = competence.verdict(results, shortest.share if shortest.asked else None)
    apart = competence.told_apart(results)
    return {
        "skills": {
            skill: {"right": right, "asked": asked, "chance": competence.CHANCE[skill]}
            for skill, (right, asked) in competence.shares(results).items()
        },
        "told_apart": None if apart is None else round(apart, 3),
        "verdict": {"grade": grade, "said": words},
    }  # fmt: skip
