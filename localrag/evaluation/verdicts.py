"""What judges found, as tables, sentences and a page; made from the reports of `judge` and `arena` (plain values).

The terminal and the page show the same tables, and the same sentence on whether the judge may decide.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from localrag.evaluation import plots
from localrag.evaluation.pages import Block, Heading, Plot, Table, Words

Report = Mapping[str, Any]
_AGAINST = {
    "sample": "the sample that comes with localrag", "labels": "your labels", "person": "your votes in the same file",
}  # fmt: skip


def grades(report: Report) -> Table:
    """A line for each run: its score, how far the judge is to be believed, and how often each grade was given."""
    agreed = kappa(report["agreement"])
    return Table(
        ["", "answers", "score", "kappa", "right", "partly", "wrong", "declined"],
        [
            [
                run["setting"], str(run["answers"]), _interval(run["score"]), agreed,
                *(str(count) for count in run["grades"].values()),
            ]
            for run in report["runs"]
        ],
    )  # fmt: skip


def pairs(report: Report) -> Table:
    return Table(
        ["", "", "first better", "same", "second better"],
        [
            [one["first"], one["second"], str(one["wins"]), str(one["ties"]), str(one["losses"])]
            for one in report["pairs"]
        ],
    )


def strengths(report: Report) -> Table:
    """A line for each side, the strongest first."""
    words = {side["side"]: side["words"] for side in report["sides"]}
    level = {one["side"]: one for one in report["length_controlled"]["strengths"]}
    return Table(
        ["", "words", "strength", "preferred to another", "strength, length controlled", "kappa"],
        [
            [
                one["side"], f"{words[one['side']]:.0f}", _strength(one), f"{one['beats']:.0%}",
                _strength(level[one["side"]]), _whose(report),
            ]
            for one in report["plain"]["strengths"]
        ],
    )  # fmt: skip


def _whose(report: Report) -> str:
    return "a person" if report["judge"] == "person" else kappa(report["agreement"])


def notes(report: Report) -> Iterator[str]:
    """What is to be said below the tables: length, order, agreement, and whether this decides anything."""
    if report.get("length_controlled") is not None:
        effect = report["length_controlled"]["length"]
        between = f"{effect['effect']:+.2f} [{effect['low']:+.2f}, {effect['high']:+.2f}]"
        yield f"length: a usual difference is worth {between} to the longer answer (log odds, as the strengths are)"
    if report.get("turned"):
        yield f"{report['turned_share']:.0%} of the verdicts turned with the order, and count as ties"
    for name, whose in _AGAINST.items():
        if (one := report.get(name)) is not None:
            yield (
                f"against {whose}: kappa {kappa(one)}, weighted {one['weighted']:.2f}, {one['agreed']:.0%} the same, "
                f"of {one['n']}"
            )
    if report["judge"] == "person":
        return
    if report["agreement"] is None:
        yield "How far the judge agrees with people was not measured: this decides nothing."
    elif not report["decides"]:
        value, who = report["agreement"]["kappa"], report["judge"]
        yield f"Decides nothing: kappa is {value:.2f}, below 0.6. {who} is no judge to go by; read for yourself."


def head(report: Report) -> str:
    if "runs" in report:
        return f"Judged by {report['judge']}: {report['questions']} answers, 95 % intervals in brackets"
    same = f", {report['same']} of them the same words" if report["same"] else ""
    pairs = f"{report['votes']} pairs{same}, of {report['questions']} questions"
    return f"Judged by {report['judge']}: {pairs}; 95 % intervals in brackets"


def page(report: Report) -> list[Block]:
    """The report as a page (pages.py): its tables, the intervals drawn, and the notes."""
    blocks: list[Block] = [Heading("Arena" if "pairs" in report else "Grades", 1), Words(head(report))]
    if "runs" in report:
        drawn = [
            (run["setting"], run["score"]["mean"], run["score"]["low"], run["score"]["high"])
            for run in report["runs"]
            if run["score"] is not None
        ]
        blocks.append(grades(report))
        across = "score"
    else:
        level = {one["side"]: one for one in report["length_controlled"]["strengths"]}
        drawn = [
            (name, one["strength"], one["low"], one["high"])
            for side in report["plain"]["strengths"]
            for name, one in ((side["side"], side), (f"{side['side']}, length controlled", level[side["side"]]))
        ]
        blocks += [Heading("Pairs"), pairs(report), Heading("Strengths"), strengths(report)]
        across = "strength (log odds)"
    ends = [[name, _strength({"strength": value, "low": low, "high": high})] for name, value, low, high in drawn]
    blocks.append(Plot(plots.intervals(drawn, across=across), Table(["", across], ends)))
    return [*blocks, *(Words(note) for note in notes(report))]


def kappa(agreement: Mapping[str, Any] | None) -> str:
    if agreement is None:
        return "not measured"
    return f"{agreement['kappa']:.2f} [{agreement['low']:.2f}, {agreement['high']:.2f}]"


def _interval(figure: Mapping[str, float] | None) -> str:
    return "-" if figure is None else f"{figure['mean']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _strength(one: Mapping[str, float]) -> str:
    return f"{one['strength']:+.2f} [{one['low']:+.2f}, {one['high']:+.2f}]"
