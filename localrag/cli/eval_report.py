"""`localrag eval report` and `localrag eval read`: runs side by side as a page, and their answers read by a person."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.cli.eval_tables import table
from localrag.cli.options import json_option, print_json, shown

if TYPE_CHECKING:
    from localrag.evaluation.reading import Label, Labels, Reading
    from localrag.evaluation.report import Side
    from localrag.evaluation.runs import Past

_KEYS: dict[str, Label] = {"r": "right", "p": "partly", "w": "wrong"}
_FORMS = (".md", ".html", ".htm")
_FILE = click.Path(path_type=Path, dir_okay=False)
_runs_argument = click.argument("runs", metavar="RUN.jsonl...", nargs=-1, required=True, type=_FILE)


def check_form(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """Refuse a page of another form before minutes of answers, not after."""
    if value is not None and value.suffix.lower() not in _FORMS:
        raise click.BadParameter(f"{str(value)!r} ends in none of {', '.join(_FORMS)}")
    return value


@click.command(
    "report",
    epilog="""\b
Examples:
  localrag eval report plain.jsonl answers.jsonl --out report.html
  localrag eval report runs/*.jsonl --labels labels.jsonl --out report.md""",
)
@_runs_argument
@click.option("--out", type=_FILE, required=True, callback=check_form, metavar="FILE",
              help="Where to write the page: Markdown (.md) or HTML (.html).")  # fmt: skip
@click.option("--labels", "labels_file", type=_FILE, metavar="FILE.jsonl",
              help="What a person said of the answers (localrag eval read).")  # fmt: skip
@click.option("--risk", "wanted", type=click.FloatRange(0, 1), default=0.2, show_default=True, metavar="SHARE",
              help="Fit a threshold for this share of wrong answers on the other sets.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S",
              help="Seed of the intervals and of the tests.")  # fmt: skip
def report_command(runs: tuple[Path, ...], out: Path, labels_file: Path | None, wanted: float, seed: int) -> None:
    """Set runs of `eval answers` side by side on a page.

    Figures with their intervals, each run beside the plain baseline of its model with the significance of the
    difference, choices, the curve of risk against coverage, histograms, and the answers that were worst, with their
    quotes. The HTML is one file without scripts, and refers to nothing outside itself.
    """
    write_report(_past(runs), out, labels_file, wanted=wanted, seed=seed)


def write_report(
    runs: Sequence[Past], out: Path, labels_file: Path | None = None, *, wanted: float | None = None, seed: int = 0
) -> None:
    """Write the page over these runs, and say where it is."""
    from localrag.evaluation import pages, report
    from localrag.evaluation.reading import Labels
    from localrag.security import storage

    labels = Labels(labels_file) if labels_file is not None else None
    found = _sides(runs, seed)
    blocks = report.page(found, labels, wanted=report.RISK if wanted is None else wanted, seed=seed)
    text = pages.markdown(blocks) if out.suffix.lower() == ".md" else pages.html("Answers", blocks)
    storage.write_bytes(out, text.encode("utf-8", "replace"))
    click.echo(f"{len(found)} runs: {shown(str(out))}", err=True)


def _past(paths: Sequence[Path]) -> list[Past]:
    from localrag.evaluation import runs

    return [run for path in paths for run in runs.past(path)]


def _sides(runs: Sequence[Past], seed: int) -> list[Side]:
    from localrag.errors import UsageError
    from localrag.evaluation import report

    found = report.sides(runs, seed)
    if not found:
        raise UsageError(
            "these files hold no answers with the figures of this version",
            "Type the command that made them again: what was answered is scored anew, and not asked again.",
        )
    return found


# --- read by a person ---------------------------------------------------------------------------------------


@click.command(
    "read",
    epilog="""\b
Examples:
  localrag eval read plain.jsonl answers.jsonl --labels labels.jsonl
  localrag eval read runs.jsonl --labels labels.jsonl --limit 20
  localrag eval read runs.jsonl --labels labels.jsonl --tally""",
)
@_runs_argument
@click.option("--labels", "labels_file", type=_FILE, required=True, metavar="FILE.jsonl",
              help="Where to keep what you say; what it holds is not shown again.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), metavar="N",
              help="The answers to N questions that all runs have.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="S",
              help="Seed of the order and of the choice.")  # fmt: skip
@click.option("--tally", is_flag=True, help="Show nothing to read, only how many answers of each run are right.")
@json_option
def read_command(
    runs: tuple[Path, ...], labels_file: Path, limit: int | None, seed: int, tally: bool, as_json: bool
) -> None:
    """Read answers without knowing what gave them, and say whether they are right.

    Shows a question, the known answer and an answer, of all runs in random order, without quotes or numbers of
    citations. Type r (right), p (partly), w (wrong), s (skip it) or q (stop). Each is kept as soon as it is typed; the
    same command goes on. How many are right for which run is told when all is read, or with --tally.
    """
    from localrag.evaluation import reading
    from localrag.evaluation.reading import Labels

    found = _sides(_past(runs), seed)
    labels = Labels(labels_file)
    past = [side.past for side in found]
    left = [] if tally else reading.readings(past, labels, limit=limit, seed=seed)
    if left and not _read(left, labels):
        click.echo("Kept. The same command goes on; --tally tells how many are right so far.", err=True)
        return
    _print_tally(found, labels, as_json)


def _read(left: Sequence[Reading], labels: Labels) -> bool:
    """Show one answer after the other; False where the person stopped."""
    for number, one in enumerate(left, 1):
        click.echo(f"\n--- {number} of {len(left)} ---\nQuestion:  {shown(one.question)}", err=True)
        if one.evidence:
            click.echo(f"Evidence:  {shown(_short(one.evidence))}", err=True)
        click.echo(f"Known:     {shown(one.known)}\n\nAnswer:    {shown(one.answer)}\n", err=True)
        key = _key()
        if key == "q":
            return False
        if key in _KEYS:
            labels.add(one, _KEYS[key])
    return True


def _key() -> str:
    click.echo("right (r), partly (p), wrong (w), skip (s), stop (q)? ", nl=False, err=True)
    while True:
        # Piped in, keys may come a line each; the end of them stops.
        key = click.getchar().lower() if sys.stdin.isatty() else (sys.stdin.read(1) or "q").lower()
        if key in (*_KEYS, "s", "q"):
            click.echo(key, err=True)
            return key
        if key in ("\x03", "\x04"):
            return "q"


def _short(text: str, most: int = 700) -> str:
    words = " ".join(text.split())
    return words if len(words) <= most else f"{words[:most].rstrip()} …"


def _print_tally(found: Sequence[Side], labels: Labels, as_json: bool) -> None:
    from localrag.evaluation import reading

    rows: list[dict[str, Any]] = [
        {"set": side.set, "run": side.past.id, "name": side.name, **reading.tally(side.rows, labels),
         "code": None if (code := reading.code_agrees(side.rows, labels)) is None else code.to_dict()}
        for side in found
    ]  # fmt: skip
    if as_json:
        print_json({"runs": rows})
        return
    table(
        ["set", "run", "right", "partly", "wrong", "unread", "agreement of code (kappa)"],
        [
            [
                row["set"], row["name"], *(str(row[name]) for name in ("right", "partly", "wrong", "unread")),
                "" if row["code"] is None else f"{row['code']['agreed']:.2f} ({row['code']['kappa']:.2f})",
            ]
            for row in rows
        ],
    )  # fmt: skip
