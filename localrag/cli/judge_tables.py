"""The tables of `localrag eval judge` and `localrag eval arena`, and the page of either."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from localrag.cli.eval_tables import table
from localrag.cli.options import shown


def print_grades(report: Mapping[str, Any]) -> None:
    from localrag.evaluation import verdicts

    _print(report, verdicts.grades(report))


def print_arena(report: Mapping[str, Any]) -> None:
    from localrag.evaluation import verdicts

    _print(report, verdicts.pairs(report), verdicts.strengths(report))


def _print(report: Mapping[str, Any], *tables: Any) -> None:
    from localrag.evaluation import verdicts

    click.echo(shown(verdicts.head(report)))
    for one in tables:
        click.echo()
        table(one.heads, one.rows)
    click.echo()
    for note in verdicts.notes(report):
        click.echo(shown(note))


def write_page(report: Mapping[str, Any], path: Path | None) -> None:
    """Write the report as Markdown or HTML, by the name's end, where a file is wanted and something was judged."""
    if path is None or not report["questions"]:
        return
    from localrag.evaluation import pages, verdicts
    from localrag.security import storage

    blocks = verdicts.page(report)
    text = pages.markdown(blocks) if path.suffix.lower() == ".md" else pages.html("Judged answers", blocks)
    storage.write_bytes(path, text.encode("utf-8", "replace"))
    click.echo(f"Written: {shown(str(path))}", err=True)
