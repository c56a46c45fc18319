"""`localrag calibrate`: when a model should answer, and how it reads passages."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from datetime import date
from typing import Any

import click
from click.shell_completion import CompletionItem

from localrag.cli import output
from localrag.cli.options import json_option
from localrag.cli.output import echo, print_json
from localrag.errors import LocalragError
from localrag.settings import load_settings


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
    from importlib.metadata import version

    from localrag.evaluation import calibration_run
    from localrag.llm import calibration, loading, priority
    from localrag.models.store import ModelStore

    settings = load_settings().with_options(generator=model)
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
    measured |= {"weights": weights, "build": version("llama-cpp-python"), "measured": date.today().isoformat()}
    calibration.save(file, running.model, replace(calibration.load(file, running.model, weights), **measured))
    known = calibration.load(file, running.model, weights)
    if as_json:
        print_json({"model": running.model, "answer_from": known.answer_from, "apart": known.apart})
        return
    echo(f"{running.model} answers from a likelihood of {known.answer_from} that the text holds the answer.")
    if not known.apart:
        echo("Passages are read together each time: read by themselves, it tells less well what they hold.")
    echo("Saved.")
