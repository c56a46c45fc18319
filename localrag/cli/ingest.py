"""`localrag ingest`: a folder into a library."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from localrag.cli.options import complete_library, json_option, keep_to_retention, print_json, shown
from localrag.errors import LocalragError, UsageError
from localrag.ingest import scan
from localrag.security import offline, sandbox
from localrag.settings import Settings, load_settings
from localrag.store.names import check_name, name_for

if TYPE_CHECKING:
    from localrag.events import IngestProgress, IngestReport
    from localrag.types import Ocr

_MOST_LISTED = 40


@click.command(
    "ingest",
    epilog="""\b
Examples:
  localrag ingest ./contracts
  localrag ingest ./contracts --name matters-2026
  localrag ingest ./scans --ocr-languages de,en
  localrag ingest ./mail --watch
  localrag ingest ./contracts --warm
  localrag ingest ./safe --password-file passwords.txt
  localrag ingest ./contracts --encrypt
  localrag ingest /new/place/contracts --name contracts --root /old/place/contracts
  localrag ingest ./contracts --json | jq .failed""",
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", shell_complete=complete_library, help="The library; else the folder's name.")
@click.option("--root", metavar="OLD_PATH", help="PATH was known as OLD_PATH before; keep what was read of it.")
@click.option("--prune", is_flag=True, help="Remove what is gone, also where that is everything or a large part.")
@click.option("--include-forgotten", is_flag=True, help="Let back in what was forgotten (localrag forget).")
@click.option("--watch", is_flag=True, help="Stay, and follow every change of the folder until Ctrl-C.")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Passwords for encrypted files, one a line; each is tried.",
)
@click.option(
    "--ocr",
    type=click.Choice(("auto", "force", "off")),
    help="Recognise text in pictures: of pages without text (auto), of all, of none. Kept for later runs.",
)
@click.option(
    "--ocr-languages", metavar="CODES", help="Languages that recognition expects: en,de. Kept for later runs."
)
@click.option("--re-embed", is_flag=True, help="Make all vectors anew with the default embedder, from the stored text.")
@click.option("--warm", is_flag=True, help="Then read the documents ahead of time, as `localrag warm` does.")
@click.option("--encrypt", is_flag=True, help="Encrypt the library on the disk first; see `localrag vault encrypt`.")
@click.option("--no-wait", is_flag=True, help="Fail, instead of waiting, while another process writes to the library.")
@json_option
def ingest_command(
    path: Path,
    name: str | None,
    root: str | None,
    prune: bool,
    include_forgotten: bool,
    watch: bool,
    password_file: Path | None,
    ocr: Ocr | None,
    ocr_languages: str | None,
    re_embed: bool,
    warm: bool,
    encrypt: bool,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Read the documents in PATH into a library, or bring the library level with PATH.

    Only what is new or changed is read; moved files are recognised; documents whose files are gone are removed, unless
    more than a fifth of them is gone at once (see --prune). Reads PDF, Word, PowerPoint, Excel, OpenDocument, RTF, web
    pages, e-books, mail with its attachments (EML, MSG, MBOX), calendars, transcripts, archives, pictures and scans (by
    text recognition), data (CSV, JSON, XML, YAML), Markdown and plain text. A file `.localragignore` names what to pass
    over, as `.gitignore` does. Ctrl-C stops after the step at hand; the next run goes on.
    """
    settings = load_settings()
    chosen = _held(settings, path, name, watch)  # before numpy is imported, which starts threads
    from localrag import api

    library = api.open_library(chosen, settings=settings, create=True)
    if encrypt:
        from localrag.cli.vault import encrypt_first

        encrypt_first(library.folder, library.name)
    passwords = _passwords(password_file)
    languages = None if ocr_languages is None else _languages(ocr_languages)

    def once(stop: Callable[[], bool]) -> IngestReport:
        with _bar(quiet=as_json or not sys.stderr.isatty()) as (report_progress, _):
            return library.ingest(
                path, prune=prune, include_forgotten=include_forgotten, moved_from=root, passwords=passwords, ocr=ocr,
                ocr_languages=languages,
                wait=not no_wait, progress=report_progress, stop=stop,
                on_wait=lambda message: click.echo(message, err=True),
            )  # fmt: skip

    with _stopping() as stop:
        if re_embed:
            with _bar(quiet=as_json or not sys.stderr.isatty()) as (_, report_counts):
                count = library.re_embed(progress=report_counts, stop=stop)
            click.echo(f"Made {count} vectors anew.", err=True)
        report = once(stop)
        told = {}
        if not as_json:
            _tell(report, as_json)
        if warm and report.complete:
            from localrag.cli.warm import warm_library

            drawn = not as_json and sys.stderr.isatty()
            told = {"warm": warm_library(library.name, (), settings, stop, drawn=drawn, silent=as_json)}
        if as_json:
            print_json({**report.to_dict(), **told})
        if watch and report.complete:
            _watch(path, report, once, stop, as_json)
            return
    if not report.complete:
        sys.exit(130)
    came = report.read or report.unchanged or report.removed or report.copies or report.moved or report.forgotten
    if not came and not as_json:
        raise _nothing_read(path, report)


def _held(settings: Settings, path: Path, name: str | None, watch: bool) -> str:
    """Limit this process to the library that a folder is read into, and say which."""
    keep_to_retention(settings)
    chosen = check_name(name) if name else name_for(path, settings)
    scan.root_of(path)  # raises where there is none, before anything is made for it
    sandbox.make_room(settings, chosen)
    if watch and offline.shut() and sandbox.leads_to_walls(path, settings):
        click.echo(
            f"Libraries lie below {shown(str(path))}: what is put right beside them is read at the next start.",
            err=True,
        )
    sandbox.hold(settings, [chosen])
    return chosen


def _watch(
    path: Path,
    report: IngestReport,
    once: Callable[[Callable[[], bool]], IngestReport],
    stop: Callable[[], bool],
    as_json: bool,
) -> None:
    """Bring the library level at every change; a change that cannot be taken in now is taken in with the next."""
    from localrag.ingest.watch import changes

    def blind(reason: str) -> None:
        _say(f"  The system does not tell of changes here ({reason}); the folder is looked at every minute.")

    _say(f"Watching {str(path)!r}; Ctrl-C ends it.")
    said = ""
    for _ in changes(path if path.is_dir() else path.parent, stop, blind):
        before = report
        try:
            report = once(stop)
        except LocalragError as error:
            if (words := f"  {error.message}. {error.hint}") != said:
                _say(words)
            said = words
            continue
        said = ""
        done = report.read or report.removed or report.moved or report.copies
        if done or (report.failed, report.kept) != (before.failed, before.kept):
            _tell(report, as_json)


def _tell(report: IngestReport, as_json: bool) -> None:
    if as_json:
        print_json(report.to_dict())
    else:
        _print(report)


def _passwords(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        return [line for line in file.read_text(encoding="utf-8-sig").splitlines() if line]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read the password file {str(file)!r}: {error}", "One password a line, UTF-8."
        ) from None


def _languages(codes: str) -> list[str]:
    found = [code.strip().lower() for code in codes.replace("+", ",").split(",") if code.strip()]
    if not found or not all(code.isalpha() and len(code) in (2, 3) for code in found):
        raise UsageError(f"{codes!r} is no list of languages", "Give codes of two letters: --ocr-languages en,de")
    return found


def _nothing_read(path: Path, report: IngestReport) -> UsageError:
    if report.failed:
        return UsageError(f"none of the documents in {str(path)!r} could be read", "The reasons stand above.")
    return UsageError(f"there is nothing to read in {str(path)!r}", "The types that are read: localrag ingest --help")


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
    also = [
        f"{len(report.moved)} moved" if report.moved else "",
        f"{len(report.copies)} copies of others" if report.copies else "",
        f"{len(report.removed)} removed" if report.removed else "",
        f"{report.recognised} pages recognised in pictures" if report.recognised else "",
        f"{len(report.failed)} failed" if report.failed else "",
        f"{report.forgotten} passed over as forgotten (--include-forgotten)" if report.forgotten else "",
    ]
    _say(
        f"{head} {len(report.read)} document(s) into {report.library!r} ({report.chunks} passages), "
        + ", ".join(part for part in (f"{report.unchanged} unchanged", *also) if part)
        + f", in {report.seconds:.1f} s."
    )
    if report.kept:
        _say(
            f"  {len(report.kept)} files are gone, more than a fifth of them, so nothing was removed. Is a share not "
            "mounted? If they are meant to go, repeat with --prune."
        )
    lines = [
        *(f"  failed: {failure.document}: {failure.reason}" for failure in report.failed),
        *(f"  no text: {document} p. {page.number}: {page.reason}" for document, page in report.skipped_pages),
        *(f"  note: {_where(document, remark.number)}: {remark.text}" for document, remark in report.remarks),
        *(f"  nearly the same: {document} and {other}" for document, other in report.near),
    ]
    for line in lines[:_MOST_LISTED]:
        _say(line)
    if len(lines) > _MOST_LISTED:
        _say(f"  and {len(lines) - _MOST_LISTED} more: localrag status {report.library}")
    if report.ignored:
        _say("  not read (other types): " + ", ".join(f"{n} {suffix}" for suffix, n in report.ignored.items()))
    if report.read or report.unchanged:
        name = shlex.quote(report.library)
        _say(f'Next: localrag ask "…" --library {name}   or   localrag chat {name}')


def _where(document: str, page: int | None) -> str:
    return document if page is None else f"{document} p. {page}"
