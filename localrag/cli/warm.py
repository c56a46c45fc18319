"""`localrag warm`: documents read ahead of time, so that questions on them begin to be answered at once."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from localrag.cli import eval_setup, unlocking
from localrag.cli.options import (
    complete_document,
    complete_library,
    json_option,
    keep_to_retention,
    print_json,
    shown,
)
from localrag.security import sandbox
from localrag.settings import Settings, load_settings
from localrag.store.names import check_name

if TYPE_CHECKING:
    from localrag.answer.warming import Estimate
    from localrag.events import Piece, Warmed

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NICE = 10
_MOST_LISTED = 10


def _duration(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", text.strip().lower())
    if found is None or not float(found[1]):
        raise click.BadParameter(f"{text!r} is no time; for example 8h, 45m, 90s")
    return float(found[1]) * _UNITS[found[2]]


@click.command(
    "warm",
    epilog="""\b
Examples:
  localrag warm contracts
  localrag warm contracts --document 'leases/*.pdf'
  localrag warm contracts --for 8h
  localrag warm contracts --estimate
  localrag warm contracts --json | jq .kept""",
)
@click.argument("name", metavar="NAME", shell_complete=complete_library)
@click.option("-d", "--document", "documents", multiple=True, metavar="GLOB", shell_complete=complete_document,
              help="Only documents whose path fits; may be repeated.")  # fmt: skip
@click.option("--for", "seconds", callback=_duration, metavar="TIME", help="Stop after this time: 8h, 45m, 90s.")
@click.option("--estimate", "only_estimate", is_flag=True, help="Only tell what it would take.")
@json_option
def warm_command(
    name: str, documents: tuple[str, ...], seconds: float | None, only_estimate: bool, as_json: bool
) -> None:
    """Read the documents of library NAME ahead of time, and keep what the model made of them on the disk.

    A question on a document that is kept begins to be answered within seconds, however long the document is. A document
    that is longer than the model can use is read section by section. Questions asked meanwhile come first. Ctrl-C stops
    it; the same command goes on where it stopped. Nothing that is kept already is deleted for it.
    """
    _lower_priority()
    settings = load_settings()
    keep_to_retention(settings)
    sandbox.hold(settings, [check_name(name)], reads=unlocking.key_files())
    with eval_setup.interruptible() as stop:
        until = time.monotonic() + seconds if seconds is not None else float("inf")
        told = warm_library(
            name, documents, settings, lambda: stop.asked or time.monotonic() > until, only_estimate=only_estimate,
            drawn=not as_json and sys.stderr.isatty(), silent=as_json,
        )  # fmt: skip
    if as_json:
        print_json(told)
    if stop.asked:
        sys.exit(130)


def warm_library(
    name: str, documents: Sequence[str], settings: Settings, stop: Callable[[], bool], *, only_estimate: bool = False,
    drawn: bool, silent: bool,
) -> dict[str, Any]:  # fmt: skip
    """Warm a library and tell of it on stderr; returns what was done, for JSON."""
    from localrag.answer import warming
    from localrag.llm import loading
    from localrag.store.library import open_library

    library = open_library(settings, name)
    with closing(library), closing(loading.load_generator(settings)) as model:
        chosen = library.documents(documents or None)
        found = warming.pieces(library, chosen, model, settings, stop)
        estimate = warming.estimate(library, found, model, settings)
        if not silent:
            _tell_estimate(estimate, found)
        kept: list[str] = []
        no_room: list[str] = []
        began = time.monotonic()
        if not only_estimate:
            with _drawn(drawn) as draw:
                for event in warming.warm(library, found, model, settings, stop=stop):
                    draw(event)
                    if event.state in ("kept", "no room"):
                        (kept if event.state == "kept" else no_room).append(event.piece.name)
        told = {
            "library": name, "model": model.model, "estimate": asdict(estimate), "kept": kept, "no_room": no_room,
            "kept_before": [piece.name for piece in found if piece.kept],
            "not_read": [{"name": piece.name, "reason": piece.why_not} for piece in found if piece.why_not],
            "seconds": round(time.monotonic() - began, 1),
        }  # fmt: skip
    if not silent and not only_estimate:
        _tell_end(told, estimate)
    return told


def _lower_priority() -> None:
    if hasattr(os, "nice"):
        os.nice(_NICE)


def _tell_estimate(estimate: Estimate, found: Sequence[Piece]) -> None:
    from localrag.cli.output import size

    documents = len({piece.document.id for piece in found})
    parts = f" in {len(found)} parts" if len(found) != documents else ""
    seconds = estimate.seconds
    time_ = "a time not known before the first answer" if seconds is None else f"about {_time(seconds)}"
    click.echo(
        f"{documents} document(s){parts}: {estimate.kept} kept already, {estimate.pieces} to read. "
        f"{estimate.tokens:,} tokens, {time_}, "
        f"{size(estimate.bytes)} on the disk (at most {size(estimate.bound)} are kept of a library).",
        err=True,
    )
    for piece in [piece for piece in found if piece.why_not][:_MOST_LISTED]:
        click.echo(f"  not read: {shown(piece.name)}: {piece.why_not}", err=True)


def _tell_end(told: dict[str, Any], estimate: Estimate) -> None:
    click.echo(f"Kept {len(told['kept'])} of {estimate.pieces}, in {_time(told['seconds'])}.", err=True)
    if told["no_room"]:
        more = len(told["no_room"])
        click.echo(f"  no room for {more} more: set cache_bytes higher, or name fewer with --document.", err=True)


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


@contextmanager
def _drawn(drawn: bool) -> Iterator[Callable[[Warmed], None]]:
    """A progress line on stderr."""
    if not drawn:
        yield lambda event: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.text import Text

    columns = (TextColumn("{task.fields[place]}"), BarColumn(24), TextColumn("{task.fields[now]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, place="", now="")

        def draw(event: Warmed) -> None:
            now = "waiting for a question" if event.state == "waiting" else shown(event.piece.name)
            progress.update(
                task, completed=event.done, total=event.piece.tokens, place=f"{event.number}/{event.total}",
                now=Text(now[:80]),
            )  # fmt: skip

        yield draw
