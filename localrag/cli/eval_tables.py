"""The tables that `localrag eval` prints."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import click

from localrag.cli.options import shown

# What a comparison shows; --json has every measure.
_COMPARED = ("recall@1", "recall@5", "recall@10", "ndcg@10", "mrr", "mrr@10")


def print_retrieval(report: Mapping[str, Any]) -> None:
    click.echo(f"{_questions(report)}, 95 % intervals in brackets\n")
    levels = report["levels"]
    names = list(next(iter(levels.values())))
    table(
        ["", *levels],
        [
            ["questions", *(str(figures[names[0]]["n"]) for figures in levels.values())],
            *([name, *(interval(figures[name]) for figures in levels.values())] for name in names),
        ],
    )
    if len(report["categories"]) > 1:
        depth = next((name for name in ("recall@5", "recall@3") if name in names), names[0])
        click.echo(f"\n{depth} by category\n")
        table(
            ["", "n", *levels],
            [
                [name, str(own["questions"]), *(mean(own["levels"].get(level, {}).get(depth)) for level in levels)]
                for name, own in report["categories"].items()
            ],
        )
    click.echo(f"\na search: {_search_time(report)}")


def _questions(report: Mapping[str, Any]) -> str:
    left = report["left_out"]["unanswerable"]
    notes = [
        f"{left} that the documents do not answer left out" if left else "",
        f"{report['drafts']} drafts" if report["drafts"] else "",
    ]
    said = "; ".join(note for note in notes if note)
    return f"{report['questions']} questions" + (f" ({said})" if said else "")


def _search_time(report: Mapping[str, Any]) -> str:
    return f"{seconds(report['seconds']['p50'])} (median), {seconds(report['seconds']['p95'])} (p95)"


def print_comparison(report: Mapping[str, Any]) -> None:
    click.echo(f"{_questions(report)} by both; difference is b - a with its 95 % interval\n")
    for side in ("a", "b"):
        click.echo(f"{side}: {report['compare'][side]}   a search: {_search_time(report[side])}")
    click.echo()
    rows = [row for row in difference_rows(report) if row[1] in _COMPARED]
    table(["", "", "n", "a", "b", "difference", "p", "b better/worse/same"], rows)


def difference_rows(report: Mapping[str, Any]) -> list[list[str]]:
    """A line for each figure that two settings were compared by: its level, its name, then the figures."""
    return [
        [
            level, name, str(one["n"]), f"{one['a']:,.3f}", f"{one['b']:,.3f}",
            f"{one['difference']:+,.3f} [{one['low']:+,.3f}, {one['high']:+,.3f}]",
            "< 0.001" if one["p"] < 0.001 else f"{one['p']:.3f}", f"{one['wins']}/{one['losses']}/{one['ties']}",
        ]
        for level, figures in report["differences"].items()
        for name, one in figures.items()
    ]  # fmt: skip


def print_drafted(report: Mapping[str, Any]) -> None:
    dropped = sum(report["dropped"].values())
    head = "Drafted" if report["complete"] else "Stopped. Drafted so far:"
    click.echo(
        f"{head} {report['drafted']} questions, {dropped} dropped; {report['out']!r} holds {report['questions']}."
    )
    for reason, count in report["dropped"].items():
        click.echo(f"  dropped {count}: {reason}")
    if report["complete"] and report["questions"] < report["wanted"]:
        click.echo("  There are no more passages to ask about.")
    click.echo(
        'Next: correct each or delete its line, take "draft": true away, then '
        f"localrag eval retrieval {shlex.quote(report['out'])} --library {shlex.quote(report['library'])}"
    )


def print_kept(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        click.echo("No library is kept for evaluation.")
        return
    table(
        ["", "documents", "MB", "read from"],
        [
            [row["name"], str(row["documents"]), f"{row['bytes'] / 1e6:.1f}", ", ".join(map(str, row["roots"]))]
            for row in rows
        ],
    )


def print_surveys(report: Mapping[str, Any]) -> None:
    for number, one in enumerate(report["surveys"]):
        click.echo(("\n" if number else "") + shown(one["question"]))
        holds = f", where the label matches {one['holds']}" if one["holds"] else ""
        click.echo(shown(f"Labels: {one['category']}{holds}\n"))
        if "error" in one:
            click.echo(shown(f"failed: {one['error']}"))
        else:
            _print_survey(one)


def _print_survey(one: Mapping[str, Any]) -> None:
    without = f" ({one['without_label']} more without a label)" if one["without_label"] else ""
    always = "" if one["f1_always_yes"] is None else f"saying yes to all has {one['f1_always_yes']:.3f}"
    rows = [["documents", f"{one['documents']}{without}", ""]]
    rows += [[name.replace("_", " "), str(one[name]), ""] for name in ("right_yes", "wrong_yes", "missed")]
    rows += [
        [name, interval(one[name]) if one[name] else "-", always if name == "f1" else ""]
        for name in ("precision", "recall", "f1")
    ]
    table(["", "", ""], rows)
    cost, quotes = one["a_document"], one["quotes"]
    click.echo(
        f"\na document: {cost['seconds']:.1f} s, {cost['tokens_read']:.0f} tokens read, {cost['tokens_written']:.0f} "
        f"written\nquotes: {quotes['verbatim']} of {quotes['shown']} stand in the document as shown, "
        f"{quotes['dropped']} left out as not found"
    )
    for row in one["wrong"]:
        click.echo(shown(f"  {'missed' if row['label'] else 'wrong yes'}: {row['document']}"))


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    lines = [list(heads), *([shown(cell).replace("\n", " ") for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def interval(figure: Mapping[str, float]) -> str:
    return f"{figure['mean']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def mean(figure: Mapping[str, float] | None) -> str:
    return "" if figure is None else f"{figure['mean']:.3f}"


def seconds(value: float | None) -> str:
    if value is None:
        return "no time"
    return f"{1000 * value:.0f} ms" if value < 1 else f"{value:.1f} s"
