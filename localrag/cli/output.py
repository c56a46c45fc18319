"""What commands print: tables, progress bars, sizes and times. Rich is imported where it is used.

On a terminal output is drawn; piped, it is plain text that `grep` and `cut` can take.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import click

from localrag.cli.options import shown

_REPORT_EVERY = 30.0  # seconds between two lines of progress where no terminal can draw one


class Stop:
    """Whether the user pressed Ctrl-C."""

    asked = False


@contextmanager
def interruptible(message: str = "", then: Callable[[], object] = lambda: None) -> Iterator[Stop]:
    """Turn the first Ctrl-C into a flag, print `message` and call `then`; raise KeyboardInterrupt at the second.

    A KeyboardInterrupt inside native code would end a generator and lose what it has made.
    """
    stop = Stop()

    def handle(signum: int, frame: object) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True
        then()
        if message:
            click.echo(f"\n{message}", err=True)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def bar(total: int | None = None, *, quiet: bool = False) -> Iterator[Callable[[int, int | None, str], None]]:
    """Draw a progress bar on stderr; yields a function that takes what is done, the total and a description."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, words: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}", markup=False),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total)

        def update(done: int, total: int | None, words: str) -> None:
            progress.update(task, completed=done, total=total, description=shown(words).replace("\n", " ")[:80])

        yield update


class Pace:
    """How long a task still takes if it goes on at the same speed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = self._reported = clock()

    def left(self, done: int, total: int) -> str:
        """Return ", about 2 min left", or "" before the first step and after the last."""
        if not done or done >= total:
            return ""
        return f", about {duration((self._clock() - self._began) / done * (total - done))} left"

    def due(self) -> bool:
        """Return whether it is time for another line of progress."""
        if self._clock() - self._reported < _REPORT_EVERY:
            return False
        self._reported = self._clock()
        return True


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = ()) -> None:
    """Print rows: drawn on a terminal, in aligned columns elsewhere. Columns in `right` are aligned to the right."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        drawn = Table(show_edge=False, pad_edge=False, box=None, header_style="bold", padding=(0, 2, 0, 0))
        for head in heads:
            drawn.add_column(Text(head), overflow="fold", justify="right" if head in right else "left")
        for row in rows:
            drawn.add_row(*(Text(shown(cell)) for cell in row))
        Console().print(drawn)
        return
    widths = [max(len(line[n]) for line in (heads, *rows)) for n in range(len(heads))]
    for line in (heads, *rows):
        click.echo("  ".join(shown(cell).ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def say(text: str) -> None:
    """Print a line on stderr."""
    click.echo(shown(text), err=True)


def remarks(lines: Sequence[str], limit: int, more: str) -> None:
    """Print lines on stderr, at most `limit`; `more` says where to read the others."""
    for line in lines[:limit]:
        say(line)
    if len(lines) > limit:
        click.echo(f"  and {len(lines) - limit} more: {more}", err=True)


def size(count: int) -> str:
    """Return a number of bytes as people read it, such as "1.1 GB"."""
    value = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def duration(seconds: float) -> str:
    """Return a number of seconds as people read it, such as "5 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, such as "1 document" or "3 documents"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
