"""What commands print: lines, tables, progress bars, JSON. Rich is imported where it is used.

On a terminal output is drawn; piped, it is plain text that `grep` and `cut` can take. Only this module prints, and only
through `security.terminal`.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.errors import LocalragError
from localrag.security.terminal import counted as counted
from localrag.security.terminal import duration as duration
from localrag.security.terminal import escaped, visible
from localrag.security.terminal import one_line as one_line
from localrag.security.terminal import size as size

if TYPE_CHECKING:
    from rich.console import Console

_REPORT_EVERY = 30.0  # seconds between two lines of progress where no terminal can draw one


def echo(text: str = "", *, head: str = "", err: bool = False, nl: bool = True, **style: Any) -> None:
    """Print a text, with the style of `click.style` (only its `head`, if there is one)."""
    drawn = click.style(visible(head or text), **style) if style else visible(head or text)
    click.echo(drawn + visible(text) if head else drawn, err=err, nl=nl)


def echo_file(data: bytes) -> None:
    """Print a file: as it is where a program takes it, as a text on a terminal."""
    click.echo(visible(data.decode("utf-8", "replace")) if sys.stdout.isatty() else data, nl=False)


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print JSON; what the terminal cannot encode or would obey is escaped, which alters no value."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    click.echo(escaped(json.dumps(value, ensure_ascii=not utf8, indent=indent)))


def confirm(question: str, *, default: bool = False, abort: bool = False) -> bool:
    return click.confirm(visible(question), default=default, abort=abort, err=True)


def report(error: LocalragError) -> int:
    """Print an error and its hint to stderr, and return its exit code."""
    echo(one_line(error.message), head="error: ", fg="red", bold=True, err=True)
    if error.hint:
        echo(one_line(error.hint), head="hint: ", fg="cyan", bold=True, err=True)
    return error.exit_code


def console(*, stderr: bool = False) -> Console:
    """Return a Rich console that takes no text for markup or for commands of the terminal."""
    from rich.console import Console
    from rich.segment import Segment

    class SafeConsole(Console):
        def render(self, *args: Any, **options: Any) -> Iterator[Segment]:
            for text, style, control in super().render(*args, **options):
                yield Segment(text if control else visible(text), style, control)

    return SafeConsole(stderr=stderr, markup=False, highlight=False, emoji=False)


class Stop:
    """Whether the user pressed Ctrl-C; called, it says so to work that polls."""

    asked = False

    def __call__(self) -> bool:
        return self.asked


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
            echo(f"\n{message}", err=True)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def bar(total: int | None = None, *, quiet: bool = False) -> Iterator[Callable[[int, int | None, str], None]]:
    """Draw a progress bar on stderr; yields a function that takes what is done, the total and a description.

    Where no terminal can draw it, a line is printed now and then.
    """
    if quiet or not sys.stderr.isatty():
        pace = Pace()
        yield (
            lambda done, total, words: None if quiet or not pace.due() else say(f"{words}{pace.left(done, total or 0)}")
        )
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=total, visible=total is not None)

        def update(done: int, total: int | None, words: str) -> None:
            progress.update(task, completed=done, total=total, description=one_line(words)[:80], visible=True)

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
    rows = [[one_line(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.table import Table

        drawn = Table(show_edge=False, pad_edge=False, box=None, header_style="bold", padding=(0, 2, 0, 0))
        for head in heads:
            drawn.add_column(head, overflow="fold", justify="right" if head in right else "left")
        for row in rows:
            drawn.add_row(*row)
        console().print(drawn)
        return
    widths = [max(len(line[n]) for line in (heads, *rows)) for n in range(len(heads))]
    for line in (heads, *rows):
        echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def say(text: str) -> None:
    """Print a line on stderr."""
    echo(one_line(text), err=True)


def say_links(named: Iterable[str | Path]) -> None:
    """Say what is read for paths that were typed and are links: somebody who sent the folder may have made them."""
    for path in map(Path, named):
        if any(each.is_symlink() for each in (path, *(() if path.is_absolute() else path.parents))):
            say(f"{path} is a link or behind one: {path.resolve()} is read.")


def say_live(found: Sequence[str]) -> None:
    """Say what is live in the copy of a Word file."""
    if found:
        say("Live in the copy, as in the file (Word may fetch or start it, and tell its sender):")
    remarks([f"  {one}" for one in found], 10, "Alt+F9 in Word shows fields")


def remarks(lines: Sequence[str], limit: int, more: str) -> None:
    """Print lines on stderr, at most `limit`; `more` says where to read the others."""
    for line in lines[:limit]:
        say(line)
    if len(lines) > limit:
        echo(f"  and {len(lines) - limit} more: {more}", err=True)
