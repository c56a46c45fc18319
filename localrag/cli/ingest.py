"""`localrag ingest`: a folder into a library."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from localrag.cli.options import complete_library, json_option, print_json, shown
from localrag.errors import UsageError
from localrag.settings import load_settings

if TYPE_CHECKING:
    from localrag.types import IngestProgress, IngestReport

_MOST_LISTED = 20


@click.command(
    "ingest",
    epilog="""\b
Examples:
  localrag ingest ./contracts
  localrag ingest ./contracts --name matters-2026
  localrag ingest /new/place/contracts --name contracts --root /old/place/contracts
  localrag ingest ./contracts --json | jq .failed""",
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", shell_complete=complete_library, help="The library; else the folder's name.")
@click.option("--root", metavar="OLD_PATH", help="PATH was known as OLD_PATH before; keep what was read of it.")
@click.option("--prune", is_flag=True, help="Remove all documents of a folder that is now empty.")
@click.option("--re-embed", is_flag=True, help="Make all vectors anew with the default embedder, from the stored text.")
@click.option("--no-wait", is_flag=True, help="Fail, instead of waiting, while another process writes to the library.")
@json_option
def ingest_command(
    path: Path, name: str | None, root: str | None, prune: bool, re_embed: bool, no_wait: bool, as_json: bool
) -> None:
    """Read the documents in PATH into a library, or bring the library level with PATH.

    Only what is new or changed is read; documents whose files are gone are removed. Reads PDF, Word (DOCX), Markdown
    and plain text. Ctrl-C stops after the document at hand; the next run goes on.
    """
    from localrag import api

    settings = load_settings()
    library = api.open_library(name or api.name_for(path, settings), settings=settings, create=True)
    with (
        _stopping() as stop,
        _bar(quiet=as_json or not sys.stderr.isatty()) as (report_progress, report_counts),
    ):
        if re_embed:
            count = library.re_embed(progress=report_counts, stop=stop)
            click.echo(f"Made {count} vectors anew.", err=True)
        report = library.ingest(
            path, prune=prune, moved_from=root, wait=not no_wait, progress=report_progress, stop=stop,
            on_wait=lambda message: click.echo(message, err=True),
        )  # fmt: skip
    if as_json:
        print_json(report.to_dict())
    else:
        _print(report)
    if not report.complete:
        sys.exit(130)
    if not (report.read or report.unchanged or report.removed) and not as_json:
        raise _nothing_read(path, report)


def _nothing_read(path: Path, report: IngestReport) -> UsageError:
    if report.failed:
        return UsageError(f"none of the documents in {str(path)!r} could be read", "The reasons stand above.")
    return UsageError(
        f"there is nothing to read in {str(path)!r}",
        "localrag reads PDF, Word (.docx), Markdown and plain text files.",
    )


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C asks for a clean stop, the second ends at once (which loses nothing either)."""
    asked = False

    def handle(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        click.echo("\nStopping after this step; what was read is kept. Ctrl-C again to stop at once.", err=True)

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _bar(
    quiet: bool,
) -> Iterator[tuple[Callable[[IngestProgress], None] | None, Callable[[int, int], None]]]:
    """A progress bar on stderr, as two functions to call."""
    if quiet:
        yield None, lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    columns = (
        TextColumn("{task.completed}/{task.total}"),
        BarColumn(24),
        TimeRemainingColumn(),
        TextColumn("{task.fields[now]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, now="looking at the files")

        def update(event: IngestProgress) -> None:
            now = Text(f"{_STAGES[event.stage]} {shown(event.document)}"[:100])
            progress.update(task, completed=event.done, total=event.total or None, now=now)

        yield update, lambda done, total: progress.update(task, completed=done, total=total, now="embedding")


_STAGES = {
    "scan": "looking at the files",
    "read": "read",
    "embed": "embedding",
    "store": "stored",
    "index": "writing the index",
}


def _say(text: str) -> None:
    click.echo(shown(text), err=True)


def _print(report: IngestReport) -> None:
    head = "Read" if report.complete else "Stopped. Read so far:"
    _say(
        f"{head} {len(report.read)} document(s) into {report.library!r} ({report.chunks} passages), "
        f"{report.unchanged} unchanged, {len(report.removed)} removed, {len(report.failed)} failed, "
        f"in {report.seconds:.1f} s."
    )
    for failure in report.failed[:_MOST_LISTED]:
        _say(f"  failed: {failure.document}: {failure.reason}")
    for document, page in report.skipped_pages[:_MOST_LISTED]:
        _say(f"  no text: {document} p. {page.number}: {page.reason}")
    hidden = max(0, len(report.failed) - _MOST_LISTED) + max(0, len(report.skipped_pages) - _MOST_LISTED)
    if hidden:
        _say(f"  and {hidden} more: localrag status {report.library}")
    if report.ignored:
        _say("  not read (other types): " + ", ".join(f"{n} {suffix}" for suffix, n in report.ignored.items()))
    if report.read or report.unchanged:
        _say(f'Next: localrag ask "…" --library {report.library}   or   localrag chat {report.library}')
