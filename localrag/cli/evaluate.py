"""`localrag eval` (the group, `judge`, `arena` and `forget`), and `localrag calibrate`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from localrag.cli import eval_dataset, output
from localrag.cli.eval_dataset import finish, interval
from localrag.cli.options import FILE, json_option
from localrag.cli.output import Stop, echo, interruptible, print_json, table
from localrag.errors import LocalragError, UsageError
from localrag.settings import load_settings

if TYPE_CHECKING:
    from localrag.evaluation.arena import Match
    from localrag.evaluation.runs import Run


@click.group("eval")
def eval_command() -> None:
    """Measure retrieval and answers on questions with known answers.

    DATASET is a file with one question per line: question, answer, doc (a path), evidence, page and id;
    docs/evaluation.md describes it. Its documents are ingested into a library kept for evaluation; or name your own
    with --library (localrag ingest FOLDER --name NAME).
    """


eval_command.add_command(eval_dataset.retrieval_command)
eval_command.add_command(eval_dataset.answers_command)


@eval_command.command("judge")
@click.argument("answers", metavar="RUN.jsonl", type=click.Path(path_type=Path))
@eval_dataset.seed_option
@json_option
def judge_command(answers: Path, seed: int, as_json: bool) -> None:
    """Grade answers against the known ones: right, partly, wrong, declined.

    RUN.jsonl was written by `localrag eval answers --out`; each run in it is graded separately, by code, which misses
    right answers in quite other words.
    """
    from localrag.evaluation import arena
    from localrag.evaluation import judge as judging

    runs = []
    for side in arena.read(answers):
        graded = [(given, judging.grade(given)) for given in side.answers.values()]
        runs.append({"setting": side.name, "run": side.run, **judging.summarize(graded, seed)})
    report = {"answers": str(answers), "seed": seed, "questions": sum(run["answers"] for run in runs), "runs": runs}
    finish(report, as_json, _print_grades, stopped=False)


def _print_grades(report: Mapping[str, Any]) -> None:
    echo(f"{report['questions']} answers, 95 % intervals in brackets\n")
    scores = [interval(run["score"]) if run["score"] else "-" for run in report["runs"]]
    table(["", "answers", "score", "right", "partly", "wrong", "declined"], [
        [run["setting"], str(run["answers"]), score, *map(str, run["grades"].values())]
        for run, score in zip(report["runs"], scores, strict=True)
    ])  # fmt: skip


@eval_command.command("arena")
@click.argument("runs", metavar="RUN.jsonl...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--limit", type=click.IntRange(1), metavar="N", help="A sample of N questions.")
@eval_dataset.seed_option
@click.option("--out", type=FILE, metavar="FILE.jsonl", required=True, help="Keep votes; they are not asked for again.")
@json_option
def arena_command(runs: tuple[Path, ...], limit: int | None, seed: int, out: Path, as_json: bool) -> None:
    """Which way of answering is better? You judge, blind, on the same questions.

    Each RUN.jsonl was written by `localrag eval answers --out`. You see two answers to a question in random order,
    never who wrote them. Prints wins, and the share of wins with its 95 % interval.
    """
    from localrag.evaluation import arena
    from localrag.evaluation.runs import Run

    sides = arena.with_distinct_names([side for path in runs for side in arena.read(path)])
    bouts = arena.matches(sides, seed, limit)
    with interruptible() as stop:
        judged = list(_by_person(bouts, Run(out, {"measure": "arena", "judge": "person"}), stop))
    report = {"seed": seed, "chosen": len({bout.question for bout in bouts}), **arena.summarize(judged, seed)}
    finish(report, as_json, _print_arena, stop.asked)


def _by_person(bouts: Sequence[Match], votes: Run, stop: Stop) -> Iterator[tuple[Match, str]]:
    """Show pairs at the terminal and yield the votes; votes cast before are not asked for again."""
    echo(f"{len(bouts)} pairs at most. 1 the first is better, 2 the second, = neither, s skip, q stop.", err=True)
    for bout in bouts:
        row = votes.done(bout.step)
        if row is None:
            if not (verdict := _vote(bout)):
                stop.asked = True
                return
            row = votes.add(bout.step, {"verdict": verdict})
        if row["verdict"] != "skipped":
            yield bout, str(row["verdict"])


def _vote(bout: Match) -> str:
    from localrag.evaluation.metrics import MARKER

    known = bout.first.known or "the documents do not say"
    echo(f"\n{bout.first.question}\n  known: {known}\n", err=True)
    for number, given in enumerate((bout.first, bout.second), 1):
        text = " ".join(MARKER.sub("", given.answer).split())  # markers would show who wrote it
        echo(f"  {number}  {text or '(nothing)'}", err=True)
    while True:
        echo("\n1, 2, =, s, q? ", err=True, nl=False)
        try:
            key = click.getchar().lower()
        except (EOFError, KeyboardInterrupt):
            key = "q"
        echo(key if key.isprintable() else "", err=True)
        if key in ("q", "\x03", "\x04", ""):
            return ""
        if key in "12=s":
            return {"1": "first", "2": "second", "=": "tie", "s": "skipped"}[key]


def _print_arena(report: Mapping[str, Any]) -> None:
    echo(f"{report['votes']} pairs of {report['questions']} questions, 95 % intervals in brackets\n")
    table(["", "", "first better", "same", "second better", "share of the first"], [
        [one["first"], one["second"], *(str(one[name]) for name in ("wins", "ties", "losses")), interval(one["share"])]
        for one in report["pairs"]
    ])  # fmt: skip


@eval_command.command("forget")
@click.argument("names", metavar="[NAME...]", nargs=-1)
@json_option
def forget_command(names: tuple[str, ...], as_json: bool) -> None:
    """Delete libraries kept for evaluation; without NAME, list them. The documents themselves stay."""
    from localrag.evaluation import datasets

    settings = load_settings()
    for name in names:
        datasets.forget(name, settings)
        echo(f"Deleted {name!r}.", err=True)
    if names:
        return
    rows = datasets.listed(settings)
    if as_json:
        print_json({"libraries": rows})
    elif rows:
        table(["", "documents", "MB", "read from"], [
            [row["name"], str(row["documents"]), f"{row['bytes'] / 1e6:.1f}", ", ".join(map(str, row["roots"]))]
            for row in rows
        ])  # fmt: skip
    else:
        echo("No library is kept for evaluation.", err=True)


def complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from localrag.models.store import ModelStore

    try:
        installed = ModelStore(load_settings()).installed("generator")
    except LocalragError:
        return []  # a broken settings file must not break the shell
    return [CompletionItem(model.id) for model in installed if model.id.startswith(incomplete)]


@click.command("calibrate")
@click.argument("model", required=False, metavar="[MODEL]", shell_complete=complete_model)
@json_option
def calibrate_command(model: str | None, as_json: bool) -> None:
    """Measure when MODEL should answer.

    Asks whether short invented texts answer questions; they answer half of them. How readily the model says yes
    decides from which likelihood it answers, and whether passages can be read by themselves. Without MODEL, the one in
    use is measured. Takes a minute or two.
    """
    from localrag.evaluation import calibration_run
    from localrag.llm import calibration, loading, priority
    from localrag.models.store import ModelStore

    settings = load_settings().with_options(generator=model)
    if settings.generator_server:
        hint = "To calibrate an installed one: localrag config unset generator_server"
        raise UsageError("the model of a server is not calibrated", hint)
    chosen = ModelStore(settings).default("generator")
    with (
        output.interruptible() as stop,
        priority.asking(settings.questions_dir),
        closing(loading.load_generator(settings, apart=True)) as running,
        output.bar() as progress,
    ):
        shares = calibration_run.measure(
            running, lambda: stop.asked, lambda done, total: progress(done, total, "whether a text holds the answer")
        )
    if shares is None:
        echo("Stopped; nothing was saved.", err=True)
        sys.exit(130)
    file, weights = settings.calibration_file, chosen.sha256 + (chosen.adapter_sha256 or "")
    measured: dict[str, Any] = calibration_run.figures(shares)
    measured |= {"weights": weights, "measured": date.today().isoformat()}
    calibration.save(file, running.model, replace(calibration.load(file, running.model, weights), **measured))
    known = calibration.load(file, running.model, weights)
    if as_json:
        print_json({"model": running.model, "answer_from": known.answer_from, "apart": known.apart})
        return
    echo(f"{running.model} answers from a likelihood of {known.answer_from} that the text holds the answer.")
    if not known.apart:
        echo("Passages are read together each time: read by themselves, it tells less well what they hold.")
    echo("Saved.")
