"""`localrag calibrate`: how much text a model can use here, how fast it is, and when it should answer."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from localrag.cli import output
from localrag.cli.options import complete_library, json_option
from localrag.cli.output import echo, one_line, print_json
from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.settings import Settings, load_settings

if TYPE_CHECKING:
    from localrag.evaluation.calibration_run import Scope
    from localrag.evaluation.needles import Filler
    from localrag.llm import Generator
    from localrag.models.store import InstalledModel

_MINUTES = 10
_LENGTHS = (1000, 2000, 4000, 8000)
_MIN_LENGTH = 500


def complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from localrag.models.store import ModelStore

    try:
        installed = ModelStore(load_settings()).installed("generator")
    except LocalragError:
        return []  # a broken settings file must not break the shell
    return [CompletionItem(model.id) for model in installed if model.id.startswith(incomplete)]


def _lengths(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Parse numbers of tokens separated by commas: 1000,2k,4k."""
    if value is None:
        return None
    found = [re.fullmatch(r"(\d{1,6})(k?)", part.strip().lower()) for part in value.split(",")]
    lengths = [int(one[1]) * (1000 if one[2] else 1) for one in found if one is not None]
    if len(lengths) < len(found):
        raise click.BadParameter(f"{value!r} is not a list of lengths such as 1k,2k,4k or 1000,2000,4000")
    if min(lengths) < _MIN_LENGTH:
        raise click.BadParameter(f"the shortest length is {_MIN_LENGTH} tokens")
    return tuple(sorted(set(lengths)))


@click.command("calibrate")
@click.argument("model", required=False, metavar="[MODEL]", shell_complete=complete_model)
@click.option("-l", "--library", metavar="NAME", shell_complete=complete_library,
              help="Hide the facts in the text of this library; by default the only one.")  # fmt: skip
@click.option("--lengths", callback=_lengths, metavar="LIST", help="Lengths of text in tokens; default 1k,2k,4k,8k.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), metavar="M", default=_MINUTES,
              show_default=True, help="About how long it may take; the same command does the rest.")  # fmt: skip
@click.option("--again", is_flag=True, help="Discard this model's earlier results and measure again.")
@json_option
def calibrate_command(
    model: str | None, library: str | None, lengths: tuple[int, ...] | None, minutes: float,
    again: bool, as_json: bool,
) -> None:  # fmt: skip
    """Measure how much text MODEL can use on this machine, how fast it is, and when it should answer.

    Hides invented facts in real text at several lengths and depths, each beside a similar one, and asks for them. The
    effective length, the longest text in which the model still finds them, and the speeds then decide when a document
    is read whole; the answer threshold decides when an answer is given. Without MODEL, the one in use is measured.

    Ctrl-C stops it, and the same command continues. No text is kept, and none leaves this machine.
    """
    from localrag.llm import loading, priority
    from localrag.models.store import ModelStore

    settings = load_settings().with_options(generator=model)
    chosen = ModelStore(settings).default("generator")
    deadline = time.monotonic() + 60 * minutes
    with (
        output.interruptible() as stop,
        priority.asking(settings.questions_dir),
        closing(loading.load_generator(settings, apart=True)) as running,
    ):
        text, scope = _text(running, library, settings, lengths)
        report, complete = _measure(running, chosen, text, scope, settings, deadline, again, lambda: stop.asked)
    whole = {"model": running.model, "text": {"source": text.source, "tokens": text.tokens}, "complete": complete,
             "scope": asdict(scope), **report}  # fmt: skip
    if as_json:
        print_json(whole)
    else:
        _show(whole)
    if stop.asked:
        sys.exit(130)


def _text(
    model: Generator, library: str | None, settings: Settings, lengths: tuple[int, ...] | None
) -> tuple[Filler, Scope]:
    """Return the text to hide facts in, and the lengths that the window and the text hold."""
    from localrag import api
    from localrag.evaluation import needles
    from localrag.evaluation.calibration_run import ROOM, Scope
    from localrag.store.library import open_library

    # Never choose one of several libraries: its text would be read although nobody named it.
    names = [library] if library is not None else api.library_names(settings)
    if len(names) != 1:
        raise NotFoundError("there is no text to hide facts in", "Name a library: --library NAME")
    wanted = lengths or _LENGTHS
    fitting = tuple(length for length in wanted if length <= model.window - ROOM)
    if not fitting:
        problem = f"the window of {model.model!r} has {model.window:,} tokens, too few for {wanted[0]:,} and a question"
        raise UsageError(problem, "Give shorter --lengths, or set context_tokens higher.")
    source = f"the library {names[0]!r}"
    text = needles.gather(needles.of_library(open_library(settings, names[0])), fitting[-1], model.count, source)
    there = tuple(length for length in fitting if length <= text.tokens)
    if not there:
        problem = f"{source} has {text.tokens:,} tokens of text, fewer than {fitting[0]:,}"
        raise NotFoundError(problem, "Name a library with more text, or give shorter --lengths.")
    if len(there) < len(wanted):
        limit = "the text" if len(there) < len(fitting) else "the window"
        echo(f"Up to {there[-1]:,} tokens: {limit} holds no more.", err=True)
    return text, Scope(lengths=there)


def _measure(
    running: Generator, chosen: InstalledModel, text: Filler, scope: Scope, settings: Settings, deadline: float,
    again: bool, stopped: Callable[[], bool],
) -> tuple[dict[str, Any], bool]:  # fmt: skip
    """Measure what is missing and save it; return the report, and whether all is done."""
    from importlib.metadata import version

    from localrag.evaluation import calibration_run
    from localrag.llm import calibration
    from localrag.security import storage

    def over() -> bool:
        return stopped() or time.monotonic() >= deadline

    file = settings.calibration_file
    weights, build = chosen.sha256 + (chosen.adapter_sha256 or ""), version("llama-cpp-python")
    path = settings.calibrating_dir / f"{running.model}.jsonl"
    what = f"the calibration of {running.model!r}"
    with storage.lock(path.with_suffix(".lock"), what, on_wait=output.say):
        if again:
            storage.remove(path)
        threshold, passages, found = calibration_run.results_of(path, weights, build, text, scope)
        known = calibration.load(file, running.model, weights)
        calibration_run.warm_up(running, over)
        complete = True
        for steps in (
            calibration_run.ask_threshold(running, threshold, over),
            calibration_run.ask_passages(running, passages, over),
            calibration_run.find_needles(running, text, scope, found, over, lambda: deadline - time.monotonic()),
        ):
            last = None
            with output.bar() as progress:
                for last in steps:
                    progress(last.done, last.total, last.about)
            complete = complete and last is not None and last.done == last.total
            measured = calibration_run.measured(threshold, passages, found, scope, known, weights, build)
            calibration.save(file, running.model, measured)
    return calibration_run.report(found, scope, calibration.load(file, running.model, weights)), complete


def _show(report: Mapping[str, Any]) -> None:
    echo(one_line(f"{report['model']}, facts hidden in {report['text']['source']}"))
    if report["lengths"]:
        parts = len(report["lengths"][0]["depths"])
        depths = [f"{100 * part // parts}-{100 * (part + 1) // parts} %" for part in range(parts)]
        echo("\nFacts found, by length of the text, depth in it, and kind of question\n")
        output.table(["tokens", *depths, *report["lengths"][0]["questions"], "all", "90 %"], [
            [
                f"{row['length']:,}", *map(_count, row["depths"]), *map(_count, row["questions"].values()),
                f"{row['right'] / row['asked']:.2f}", f"{row['low']:.2f}-{row['high']:.2f}",
            ]
            for row in report["lengths"]
        ])  # fmt: skip
        if report["wrong"]:
            echo(f"\n{report['near_misses']} of {report['wrong']} wrong answers gave the near miss.")
        found = report["effective"]
        if found is None:
            echo("Too few questions to say how much text the model can use.")
        elif not found["enough"]:
            echo("Even in the shortest text it misses too much to be trusted with more.")
        else:
            echo(f"Effective length: {'at least ' if found['at_least'] else ''}{found['tokens']:,} tokens.")
    if report["speed"]:
        echo("\nSpeed on this machine\n")
        output.table(["tokens", "read in", "written per second"], [
            [f"{row['length']:,}", f"{row['seconds_to_read']:.0f} s", f"{row['written_per_second']:.0f}"]
            for row in report["speed"]["lengths"]
        ])  # fmt: skip
    echo(f"\nAnswers from a likelihood of {report['answer_from']} that the text holds the answer.")
    if report["complete"] and not report["apart"]:
        echo("Passages are read together each time: read by themselves, it tells less well what they hold.")
    echo("\nSaved." if report["complete"] else "\nNot complete: the same command continues.")


def _count(one: Mapping[str, int]) -> str:
    return f"{one['right']}/{one['asked']}" if one["asked"] else ""
