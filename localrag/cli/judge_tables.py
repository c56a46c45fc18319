"""The tables of `localrag eval judge` and `localrag eval arena`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from localrag.cli.eval_tables import table
from localrag.cli.options import shown


def print_grades(report: Mapping[str, Any]) -> None:
    click.echo(shown(f"Judged by {report['judge']}: {report['questions']} answers, 95 % intervals in brackets\n"))
    kappa = _kappa(report["agreement"])
    table(
        ["", "answers", "score", "kappa", "right", "partly", "wrong", "declined"],
        [
            [
                run["setting"], str(run["answers"]), _interval(run["score"]), kappa,
                *(str(count) for count in run["grades"].values()),
            ]
            for run in report["runs"]
        ],
    )  # fmt: skip
    click.echo()
    for name, words in (("sample", "the sample that comes with localrag"), ("labels", "your labels")):
        if report[name] is not None:
            click.echo(f"against {words}: {_agreed(report[name])}")
    _tell_decides(report)


def print_arena(report: Mapping[str, Any]) -> None:
    same = f", {report['same']} of them the same words" if report["same"] else ""
    click.echo(
        shown(f"Judged by {report['judge']}: {report['votes']} pairs{same}, of {report['questions']} questions; "
              "95 % intervals in brackets\n")
    )  # fmt: skip
    table(
        ["", "", "first better", "same", "second better"],
        [
            [one["first"], one["second"], str(one["wins"]), str(one["ties"]), str(one["losses"])]
            for one in report["pairs"]
        ],
    )
    click.echo()
    plain, controlled = report["plain"], report["length_controlled"]
    words = {side["side"]: side["words"] for side in report["sides"]}
    level = {one["side"]: one for one in controlled["strengths"]}
    table(
        ["", "words", "strength", "preferred to another", "strength, length controlled"],
        [
            [
                one["side"], f"{words[one['side']]:.0f}", _strength(one), f"{one['beats']:.0%}",
                _strength(level[one["side"]]),
            ]
            for one in plain["strengths"]
        ],
    )  # fmt: skip
    effect = controlled["length"]
    click.echo(
        f"\nlength: a usual difference is worth {effect['effect']:+.2f} [{effect['low']:+.2f}, {effect['high']:+.2f}] "
        "to the longer answer (log odds, as the strengths are)"
    )
    if report["turned"]:
        click.echo(f"{report['turned_share']:.0%} of the verdicts turned with the order, and count as ties")
    for name, whose in (("sample", "the sample that comes with localrag"), ("person", "your votes in the same file")):
        if report.get(name) is not None:
            click.echo(f"against {whose}: {_agreed(report[name])}")
    if report["agreement"] is not None or report["judge"] != "person":
        _tell_decides(report)


def _tell_decides(report: Mapping[str, Any]) -> None:
    if report["agreement"] is None:
        click.echo("How far the judge agrees with people was not measured: this decides nothing.")
    elif not report["decides"]:
        kappa, who = report["agreement"]["kappa"], report["judge"]
        click.echo(
            shown(f"Decides nothing: kappa is {kappa:.2f}, below 0.6. {who} is no judge to go by; read for yourself.")
        )


def _kappa(agreement: Mapping[str, Any] | None) -> str:
    if agreement is None:
        return "not measured"
    return f"{agreement['kappa']:.2f} [{agreement['low']:.2f}, {agreement['high']:.2f}]"


def _agreed(agreement: Mapping[str, Any]) -> str:
    return (
        f"kappa {_kappa(agreement)}, weighted {agreement['weighted']:.2f}, {agreement['agreed']:.0%} the same, "
        f"of {agreement['n']}"
    )


def _interval(figure: Mapping[str, float] | None) -> str:
    return "-" if figure is None else f"{figure['mean']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _strength(one: Mapping[str, float]) -> str:
    return f"{one['strength']:+.2f} [{one['low']:+.2f}, {one['high']:+.2f}]"
