"""The tables that `localrag eval routes` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from localrag.cli.eval_tables import difference_rows, table

_MOST_KINDS = 8
_HEADS = {
    "cold": ("score", "tokens", "seconds"),
    "warm": ("score", "seconds", "first_token", "tokens"),
}
_SAID = {
    "cold": "Cold: nothing was kept before a question. Tokens are those it has to read; seconds are measured where a "
    "document was read, predicted elsewhere.",
    "warm": "Warm: the documents had been read and were kept. Seconds are measured.",
}


def print_routes(report: Mapping[str, Any]) -> None:
    failed = f", {report['unfinished_or_failed']} unfinished or failed" if report["unfinished_or_failed"] else ""
    click.echo(f"{report['questions']} questions about {report['documents']} documents{failed}")
    click.echo("Means, with 95 % intervals over documents in brackets\n")
    for part in ("fits", "too_long"):
        if (found := report[part]) is not None:
            _print_part(part, found, report)
    for name, chosen in report.get("auto_took", {}).items():
        plans = ", ".join(f"{plan} {count}" for plan, count in chosen["plans"].items())
        click.echo(f"auto {name}: {plans}; {chosen['escalations']} escalated")
    kept = report["kept"]
    if kept["asked_cold_and_kept"]:
        click.echo(
            f"the same answer with the document just read and kept: {kept['same_answer']} of "
            f"{kept['asked_cold_and_kept']}"
        )


def _print_part(name: str, part: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    what = f"{part['questions']} questions about {part['documents']} documents"
    if name == "too_long":
        reasons = "; ".join(f"{count}: {why}" for why, count in list(part["why"].items())[:3])
        click.echo(f"{what} cannot be read whole ({reasons})\n")
    elif "read" in report["plans"]:
        click.echo(f"{what} can be read whole\n")
    for one, heads in _HEADS.items():
        click.echo(_SAID[one])
        rows = [[plan, *(_cell(head, line.get(head)) for head in heads)] for plan, line in part[one].items()]
        table(["", *(_head(head) for head in heads)], rows)
        click.echo()
    if "goals" in part:
        _print_goals(part["goals"])
        for one in _HEADS:
            _print_regret(one, part["regret"][one])


def _print_goals(goals: Mapping[str, Mapping[str, Any]]) -> None:
    rows = []
    for name, found in goals.items():
        ratio = " to " in name
        goal = f"{'at most' if ratio else 'at least'} {found['goal']:.2f}"
        rows.append([name, _interval(found, 3), goal, "met" if found["met"] else "missed"])
    table(["goal", "", "", ""], rows)
    click.echo()


def _print_regret(name: str, regret: Mapping[str, Any]) -> None:
    cost = next(key for key in regret if key in ("tokens", "seconds"))
    score, costs = regret["score"], regret[cost]
    if score is None:
        return
    places = 0 if cost == "tokens" else 1
    click.echo(f"Regret {name}: score {_interval(score, 3)}, {cost} {_interval(costs, places)}")
    rows = [
        [
            kind,
            str(own["questions"]),
            f"{own['score']:+.3f}",
            f"{own['cost']:+,.{places}f}",
            f"{own['of_the_mean']:+.3f}",
        ]
        for by in ("by_choice", "by_answerable", "by_kind")
        if by != "by_kind" or len(regret[by]) > 1
        for kind, own in list(regret[by].items())[:_MOST_KINDS]
    ]
    table(["auto took / kind of question", "n", "score", cost, "of the mean score"], rows)
    click.echo()


def print_comparison(report: Mapping[str, Any]) -> None:
    click.echo(f"auto on {report['questions']} questions by both; difference is b - a with its 95 % interval\n")
    for side in ("a", "b"):
        click.echo(f"{side}: {report['compare'][side]}")
    click.echo()
    table(["", "", "n", "a", "b", "difference", "p", "b higher/lower/same"], difference_rows(report))


def _head(name: str) -> str:
    return {"first_token": "first word, s", "seconds": "seconds", "tokens": "tokens read"}.get(name, name)


def _cell(name: str, found: Mapping[str, float] | None) -> str:
    if found is None:
        return "not known"
    return _interval(found, {"score": 3, "tokens": 0}.get(name, 1))


def _interval(found: Mapping[str, float], places: int) -> str:
    low, high = f"{found['low']:,.{places}f}", f"{found['high']:,.{places}f}"
    return f"{found['mean']:,.{places}f} [{low}, {high}]"
