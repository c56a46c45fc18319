"""`localrag calibrate`: how much text a model can use here, how fast it is, and whether it is good enough."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from localrag.cli import output
from localrag.cli.options import complete_library, json_option, print_json
from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.settings import Settings, load_settings

if TYPE_CHECKING:
    from localrag.evaluation.calibrate.calibrating import Kept, Scope, Step
    from localrag.evaluation.calibrate.filler import Filler
    from localrag.llm.generation import Generator
    from localrag.models.store import InstalledModel

_MINUTES = 10
_FULL_ROUNDS = 3
_LENGTHS = (1000, 2000, 4000, 8000)
_SHORTEST = 500


def complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from localrag.models.store import ModelStore

    try:
        installed = ModelStore(load_settings()).installed("generator")
    except LocalragError:
        return []  # a broken settings file must not break the shell
    return [CompletionItem(model.id) for model in installed if model.id.startswith(incomplete)]


def _lengths(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    """Numbers of tokens divided by commas: 1000,2k,4k."""
    if value is None:
        return None
    found = [re.fullmatch(r"(\d{1,6})(k?)", part.strip().lower()) for part in value.split(",")]
    lengths = [int(one[1]) * (1000 if one[2] else 1) for one in found if one is not None]
    if len(lengths) < len(found):
        raise click.BadParameter(f"{value!r} are no lengths; write them as 1k,2k,4k or 1000,2000,4000")
    if min(lengths) < _SHORTEST:
        raise click.BadParameter(f"the shortest length is {_SHORTEST} tokens")
    return tuple(sorted(set(lengths)))


@click.command(
    "calibrate",
    epilog="""\b
Examples:
  localrag calibrate
  localrag calibrate qwen2.5-coder-0.5b-instruct --minutes 5
  localrag calibrate --library contracts --lengths 1k,2k,4k,8k,16k
  localrag calibrate --filler ./contracts --full
  localrag calibrate --json | jq .effective""",
)
@click.argument("model", required=False, metavar="[MODEL]", shell_complete=complete_model)
@click.option("--filler", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR",
              help="Hide the facts in the text of these documents; else of a library, else of ./examples.")  # fmt: skip
@click.option("-l", "--library", metavar="NAME", shell_complete=complete_library,
              help="Hide the facts in the text of this library; the only one there is, if left out.")  # fmt: skip
@click.option(
    "--lengths", callback=_lengths, metavar="LIST", help="Lengths of text in tokens; 1k,2k,4k,8k, if left out."
)
@click.option("--depths", type=click.IntRange(1, 10), default=5, show_default=True, metavar="N",
              help="Into how many parts a text is divided, to see where facts are missed.")  # fmt: skip
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), metavar="M",
              help=f"About how long it may take: {_MINUTES}, if left out; the rest is done next time.")  # fmt: skip
@click.option("--full", is_flag=True,
              help=f"All lengths up to the window, in {_FULL_ROUNDS} texts, however long it takes.")  # fmt: skip
@click.option("--again", is_flag=True, help="Forget what is kept of this model's earlier calibrations, and begin anew.")
@json_option
def calibrate_command(
    model: str | None, filler: Path | None, library: str | None, lengths: tuple[int, ...] | None, depths: int,
    minutes: float | None, full: bool, again: bool, as_json: bool,
) -> None:  # fmt: skip
    """Measure how much text MODEL can use on this machine, how fast it is, and whether it is good enough.

    Made-up facts are hidden in real text at several lengths and depths, each beside one that is nearly the same, and
    asked for in the words of the text and in others. The effective length, the longest text in which it still finds
    them, and the speeds decide from then on when a document is read whole. Without MODEL, the one in use is measured.

    Ctrl-C stops it; the same command goes on where it stopped. No text is kept, and none leaves this machine.
    """
    from localrag.llm import loading, priority
    from localrag.models.store import ModelStore

    if filler is not None and library is not None:
        raise UsageError("--filler and --library name two texts", "Give one of them.")
    settings = load_settings().with_options(generator=model)
    chosen = ModelStore(settings).default("generator")
    with (
        output.interruptible() as stop,
        priority.asking(settings.questions_dir),
        closing(loading.load_generator(settings)) as running,
    ):
        text, scope = _text(running, filler, library, settings, lengths, depths, full, lambda: stop.asked)
        report, complete = _measure(
            running, chosen, text, scope, settings, _deadline(minutes, full), again, lambda: stop.asked
        )
    whole = {"model": running.model, "filler": {"source": text.source, "tokens": text.tokens}, "complete": complete,
             "scope": asdict(scope), **report}  # fmt: skip
    if as_json:
        print_json(whole)
    else:
        from localrag.cli.calibrate_tables import show

        show(whole)
    if stop.asked:
        sys.exit(130)


def _deadline(minutes: float | None, full: bool) -> float:
    limit = minutes if minutes is not None else float("inf") if full else _MINUTES
    return time.monotonic() + 60 * limit


# --- the text to hide facts in ------------------------------------------------------------------------------


def _text(
    model: Generator, folder: Path | None, library: str | None, settings: Settings, lengths: tuple[int, ...] | None,
    depths: int, full: bool, stop: Callable[[], bool],
) -> tuple[Filler, Scope]:  # fmt: skip
    """The filler, and what can be asked: lengths that the window and the text hold."""
    from localrag.evaluation.calibrate import filler
    from localrag.evaluation.calibrate.calibrating import ROOM, Scope

    room = model.window - ROOM
    wanted = lengths or _LENGTHS
    if full and lengths is None:
        wanted = tuple(1000 << n for n in range(11) if 1000 << n <= room)
    fitting = tuple(length for length in wanted if length <= room)
    if not fitting:
        raise UsageError(
            f"the window of {model.model!r} has {model.window:,} tokens, too few for {wanted[0]:,} and a question",
            "Give shorter --lengths, or set context_tokens higher.",
        )
    texts, source = _documents(folder, library, settings, stop)
    rounds = _FULL_ROUNDS if full else 1
    text = filler.gather(texts, rounds * fitting[-1], model.count, source)
    there = tuple(length for length in fitting if length <= text.tokens)
    if not there:
        raise NotFoundError(
            f"{source} has {text.tokens:,} tokens of text, fewer than {fitting[0]:,}",
            "Name more documents with --filler DIR, or give shorter --lengths.",
        )
    if len(there) < len(wanted):
        why = "of text there" if len(there) < len(fitting) else "in the window"
        click.echo(f"Up to {there[-1]:,} tokens: there are no more {why}.", err=True)
    return text, Scope(lengths=there, bins=depths, rounds=rounds)


def _documents(
    folder: Path | None, library: str | None, settings: Settings, stop: Callable[[], bool]
) -> tuple[Iterator[str], str]:
    """The texts, and what they are called: the folder or library named, else the only library, else the examples."""
    from localrag import api
    from localrag.evaluation.calibrate import filler
    from localrag.store.library import open_library

    if folder is None:
        # One of several is not for a command to choose: its text would be read though nobody named it.
        names = [library] if library is not None else api.library_names(settings)
        if len(names) == 1:
            return filler.of_library(open_library(settings, names[0])), f"the library {names[0]!r}"
        folder = _examples()
    return filler.of_folder(folder, settings, stop), f"the folder {str(folder)!r}"


def _examples() -> Path:
    """The examples: in the current folder, or in the clone that localrag runs from."""
    for base in (Path.cwd(), Path(__file__).parents[2]):
        if (base / "examples" / "contracts").is_dir():
            return base / "examples"
    raise NotFoundError(
        "there is no text to hide facts in: no library and no ./examples", "Name a folder of documents: --filler DIR"
    )


# --- measuring ----------------------------------------------------------------------------------------------


def _measure(
    running: Generator, chosen: InstalledModel, text: Filler, scope: Scope, settings: Settings, deadline: float,
    again: bool, stopped: Callable[[], bool],
) -> tuple[dict[str, Any], bool]:  # fmt: skip
    """Do what is not kept yet, save what routing reads, and tell all of it, with whether all is done."""
    from importlib.metadata import version

    from localrag.evaluation.calibrate import calibrating, outcome
    from localrag.llm import calibration
    from localrag.security import storage

    file = settings.calibration_file
    weights, build = chosen.sha256 + (chosen.adapter_sha256 or ""), version("llama-cpp-python")
    path = settings.calibrating_dir / f"{running.model}.jsonl"
    what = f"the calibration of {running.model!r}"
    with storage.lock(path.with_suffix(".lock"), what, on_wait=lambda said: click.echo(said, err=True)):
        if again:
            storage.remove(path)
        parts = calibrating.kept(path, weights, build, text, scope)
        complete = True
        known = calibration.load(file, running.model, weights)
        for steps in _parts(running, text, scope, settings, parts, deadline, stopped):
            complete = _follow(steps) and complete
            found = outcome.measured(parts, scope, known, weights, build)
            calibration.save(file, running.model, found)
    in_force = calibration.load(file, running.model, weights)
    return outcome.report(parts, scope, in_force, _now(settings)), complete


def _parts(
    running: Generator, text: Filler, scope: Scope, settings: Settings, parts: dict[str, Kept], deadline: float,
    stopped: Callable[[], bool],
) -> Iterator[Iterator[Step]]:  # fmt: skip
    """The parts of a calibration, the quickest first; each ends where it is stopped or the time is over."""
    from localrag.evaluation.calibrate import calibrating
    from localrag.llm import loading

    def over() -> bool:
        return stopped() or time.monotonic() >= deadline

    def run_as(way: calibrating.Way) -> Generator:
        return loading.load_generator(
            settings.with_options(kv_type=way.kv_type, flash_attention=way.flash_attention, context_tokens=2048)
        )

    calibrating.warm_up(running, over)
    yield calibrating.skills(running, parts["skills"], over)
    yield calibrating.find_needles(
        running, text, scope, parts["needles"], over, lambda: deadline - time.monotonic()
    )  # fmt: skip
    running.close()
    yield calibrating.compare_ways(run_as, text, parts["speed"], over)


def _follow(steps: Iterator[Step]) -> bool:
    """Go through one part, on a terminal with a bar; True where it was done to its end."""
    last = None
    with output.bar() as update:
        for last in steps:
            update(last.done, last.total, f"{_PARTS[last.part]}: {last.about}")
    return last is not None and last.done == last.total


_PARTS = {"skills": "small tasks", "needles": "hidden facts", "speed": "ways of running"}


def _now(settings: Settings) -> Any:
    """The way of running that the settings name; flash attention is on where llama.cpp may choose."""
    from localrag.evaluation.calibrate.calibrating import Way

    flash = getattr(settings, "flash_attention", "auto")
    return Way(getattr(settings, "kv_type", "f16"), "off" if flash == "off" else "on")
