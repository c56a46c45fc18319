"""What `localrag calibrate` prints: the heat map of lengths and depths, speeds, skills, and the verdict."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from localrag.evaluation.calibrate.competence import SKILLS

# Told by number and by shade as well as by colour, for eyes and terminals that see none.
_SHADES = (
    (0.9, "█", "#", "black on green"),
    (0.7, "▓", "+", "black on yellow"),
    (0.5, "▒", "-", "black on dark_orange"),
    (0.0, "░", ".", "white on red"),
)
# In several lines, so that the map is whole in 80 columns.
_WAYS = {"words": "asked\nin its\nwords", "other words": "in\nother\nwords", "two facts": "two\nfacts\nat once"}


def show(report: Mapping[str, Any]) -> None:
    """Print a report of `outcome.report` to stdout; rich leaves colours out for NO_COLOR and for pipes."""
    console = Console(highlight=False)
    console.print(f"{report['model']}, facts hidden in {report['filler']['source']}\n", markup=False)
    if report["lengths"]:
        console.print(_map(report, _unicode(console)))
        console.print(_told(report), markup=False)
    if report["speed"]:
        console.print(_speeds(report["speed"]))
    if report["ways"]:
        console.print(_ways(report["ways"]))
        console.print(_advice(report), markup=False)
    if report["skills"]:
        console.print(_skills(report))
        console.print(report["verdict"]["said"], markup=False)
        console.print(f'It answers from a likelihood of {report["answer_from"]} on of "yes, the text holds it".\n')
    console.print(_saved(report), markup=False)


def _unicode(console: Console) -> bool:
    return (console.encoding or sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for other in others:
        table.add_column(other, justify="right", no_wrap=True)
    return table


def _map(report: Mapping[str, Any], unicode: bool) -> Table:
    parts = len(report["lengths"][0]["depths"])
    depths = [f"{100 * part // parts}-{100 * (part + 1) // parts}" for part in range(parts)]
    table = _table(
        "Facts found, by length of the text and depth in it (%)", "tokens", *depths, *_WAYS.values(), "all", "90 %"
    )
    table.collapse_padding = True
    for row in report["lengths"]:
        cells = [_cell(one, unicode) for one in row["depths"]]
        kinds = [Text(_count(row["questions"][way])) for way in _WAYS]
        share = f"{row['right'] / row['asked']:.2f}" if row["asked"] else ""
        table.add_row(f"{row['length']:,}", *cells, *kinds, share, f"{row['low']:.2f}-{row['high']:.2f}")
    return table


def _cell(one: Mapping[str, int], unicode: bool) -> Text:
    if not one["asked"]:
        return Text("")
    share = one["right"] / one["asked"]
    _, shade, plain, style = next(row for row in _SHADES if share >= row[0])
    return Text(f" {_count(one)} {shade if unicode else plain}", style=style)


def _count(one: Mapping[str, int]) -> str:
    return f"{one['right']}/{one['asked']}" if one["asked"] else ""


def _told(report: Mapping[str, Any]) -> str:
    found = report["effective"]
    lines = []
    if report["wrong"]:
        lines.append(f"Of {report['wrong']} wrong answers {report['near_misses']} gave what is said of the near miss.")
    if found is None:
        lines.append("Too little was asked to say how much text the model can use.")
    elif not found["enough"]:
        lines.append("Even in the shortest text too much is missed to trust the model with more.")
    else:
        least = "at least " if found["at_least"] else ""
        more = " No longer text was tried." if found["at_least"] else ""
        lines.append(f"Effective length: {least}{found['tokens']:,} tokens.{more}")
    return "\n".join([*lines, ""])


def _speeds(speed: Mapping[str, Any]) -> Table:
    table = _table("Speed on this machine", "tokens", "read in", "a second", "then written a second")
    for row in speed["lengths"]:
        seconds = row["seconds_to_read"]
        each = f"{row['length'] / seconds:.0f}" if seconds else ""
        table.add_row(f"{row['length']:,}", f"{seconds:.0f} s", each, f"{row['written_per_second']:.0f}")
    return table


def _ways(ways: list[Mapping[str, Any]]) -> Table:
    table = _table("\nWays of running it", "keys and values", "flash attention", "read a second", "written a second")
    for row in ways:
        table.add_row(row["kv_type"], row["flash_attention"], f"{row['read']:.0f}", f"{row['write']:.1f}")
    return table


def _advice(report: Mapping[str, Any]) -> str:
    better = report["faster"]
    if better is None:
        return "None is clearly faster than the settings in force.\n"
    return (
        f'Faster here: set kv_type = "{better["kv_type"]}" and flash_attention = "{better["flash_attention"]}" in '
        "localrag.toml.\n"
    )


def _skills(report: Mapping[str, Any]) -> Table:
    table = _table("Skills", "the model", "right", "by chance")
    for skill, one in report["skills"].items():
        table.add_row(SKILLS[skill], _count(one), f"{one['chance'] * one['asked']:.0f}")
    return table


def _saved(report: Mapping[str, Any]) -> str:
    if report["complete"]:
        return "Kept: from now on this decides when a document is read whole, and when an answer is given."
    return "Not all was measured. Type the same command again: it goes on where it stopped."
