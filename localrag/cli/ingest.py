"""`localrag ingest` and `localrag warm`: read a folder into a library, and documents into the prompt cache."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag import policy
from localrag.cli import keys, options
from localrag.cli.output import (
    bar,
    confirm,
    counted,
    duration,
    echo,
    interruptible,
    print_json,
    remarks,
    say,
    say_links,
    size,
)
from localrag.errors import LocalragError, UsageError
from localrag.ingest import report as in_words
from localrag.ingest import scan
from localrag.models import catalog
from localrag.security import offline, sandbox
from localrag.security.offline import kernel
from localrag.settings import Settings, load_settings
from localrag.store.names import check_kept_in, check_name, exists, library_of, name_for

if TYPE_CHECKING:
    from localrag.answer.warming import Estimate
    from localrag.events import IngestReport, Piece, Warmed

_MAX_LISTED = 40
_STOPPING = "Stopping after this step; what was read is kept. Press Ctrl-C again to stop at once."
_STAGES = {
    "scan": "looking at the files",
    "read": "reading",
    "embed": "embedding",
    "store": "storing",
    "facts": "reading the facts of",
    "index": "writing the index",
}


def _languages(ctx: click.Context, param: click.Parameter, codes: str | None) -> list[str] | None:
    found = [code.strip().lower() for code in (codes or "").replace("+", ",").split(",") if code.strip()]
    if codes is not None and not (found and all(code.isalpha() and len(code) in (2, 3) for code in found)):
        raise UsageError(f"{codes!r} is not a list of languages", "Give two-letter codes: --ocr-languages en,de")
    return found or None


@click.command("ingest")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--name",
    metavar="NAME",
    type=options.LIBRARY,
    shell_complete=options.complete_library,
    help="The library; else the folder's name.",
)
@click.option("--store", metavar="URL", help="Keep a new library in a PostgreSQL database: postgresql:///firm.")
@click.option(
    "--root",
    "moved_from",
    metavar="OLD_PATH",
    help="The folder moved: what was read from OLD_PATH now belongs to PATH.",
)
@click.option("--prune", is_flag=True, help="Remove documents whose files are gone, however many they are.")
@click.option(
    "--follow-links", is_flag=True, help="Read files that are links, wherever they lead. Not for received folders."
)
@click.option("--include-forgotten", is_flag=True, help="Read documents again that `localrag forget` deleted.")
@click.option("--watch", is_flag=True, help="Keep running, and follow every change of the folder until Ctrl-C.")
@options.password_file_option
@click.option(
    "--ocr",
    type=click.Choice(("auto", "force", "off")),
    help="Recognise text in pictures: on pages without text, all, or none. Kept for later runs.",
)
@click.option(
    "--ocr-languages",
    metavar="CODES",
    callback=_languages,
    help="Languages to recognise, such as en,de. Kept for later runs.",
)
@click.option(
    "--embedder",
    metavar="ID",
    help="The embedder of a new library, or of --re-embed: an installed one; "
    "`multilingual` is the one for other languages than English.",
)
@click.option("--re-embed", is_flag=True, help="Make all vectors again with the default embedder, from stored text.")
@click.option("--warm", is_flag=True, help="Then read the documents into the prompt cache, as `localrag warm` does.")
@click.option("--encrypt", is_flag=True, help="Encrypt the library first; see `localrag vault encrypt`.")
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="Read and embed on the machines of a Ray cluster (host:port); `auto` starts one on this machine.",
)
@click.option("--yes", "accepted", is_flag=True, help="Do not ask before the whole disk or a home folder is read.")
@click.option(
    "--no-wait",
    "wait",
    flag_value=False,
    default=True,
    help="Fail instead of waiting while another process writes to the library.",
)
@options.json_option
def ingest_command(
    path: Path,
    name: str | None,
    store: str | None,
    watch: bool,
    embedder: str | None,
    re_embed: bool,
    warm: bool,
    encrypt: bool,
    cluster: str | None,
    accepted: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Read the documents in PATH into a library, or update the library from PATH.

    Reads only what is new or changed, recognises moved files, and removes documents whose files are gone, unless that
    is more than a fifth of them (see --prune). Reads PDF, Word, PowerPoint, Excel, OpenDocument, RTF, web pages,
    e-books, mail with attachments (EML, MSG, MBOX, PST), calendars, transcripts, archives, pictures and scans (with
    text recognition), data (CSV, JSON, XML, YAML), Markdown and plain text. A file `.localragignore` lists what to
    skip, in the form of `.gitignore`. Ctrl-C stops after the current step; the next run continues.
    """
    settings = load_settings().with_options(embedder=embedder, store=store)
    if not accepted:
        _ask_if_broad(path, settings)
    _prepare_network(cluster, settings)
    chosen = _confine(settings, path, name, watch)  # before numpy is imported, which starts threads
    from localrag import api

    library = api.open_library(chosen, settings=settings, create=True)
    if store is not None and chosen in api.library_names(settings):
        check_kept_in(library.folder, store)
    if embedder and not re_embed and chosen in api.library_names(settings):
        kept = library.status()["embedder"]["model"]
        if kept != catalog.named(embedder):
            hint = "Add --re-embed to make its vectors again with the other one."
            raise UsageError(f"the library {chosen!r} keeps its embedder {kept!r}", hint)
    if encrypt and settings.store is not None and not exists(library.folder):
        raise UsageError("a library in a store is not encrypted by localrag", "Leave out --encrypt, or --store.")
    if encrypt:
        from localrag.cli.vault import encrypt_first

        encrypt_first(library.folder, library.name)
    # --json together with --watch prints one report for each pass.
    show: Callable[[IngestReport], None] = (lambda report: print_json(report.to_dict())) if as_json else _print

    def once(stop: Callable[[], bool]) -> IngestReport:
        with bar(quiet=as_json) as update:
            return library.ingest(
                path,
                **how,
                cluster=cluster,
                stop=stop,
                on_wait=say,
                progress=lambda now: (
                    update(now.done, now.total, f"{_STAGES[now.stage]} {now.document}") if now.total else None
                ),
            )

    with interruptible(_STOPPING) as stop:
        if re_embed:
            with bar(quiet=as_json) as update:
                count = library.re_embed(progress=lambda done, total: update(done, total, "embedding"), stop=stop)
            echo(f"Made {counted(count, 'vector')} again.", err=True)
        if sys.stderr.isatty() and not as_json:
            say(f"Looking through {path} …")
        report = once(stop)
        if not (as_json and warm and report.complete):
            show(report)
        if warm and report.complete:
            warmed = _warm(library.name, (), settings, stop, quiet=as_json)
            if as_json:
                print_json({**report.to_dict(), "warm": warmed})
        if watch and report.complete:
            _watch(path, report, once, stop, show)
            return
    if not report.complete:
        sys.exit(130)
    came = report.read or report.unchanged or report.removed or report.copies or report.moved or report.forgotten
    if not came and not as_json:
        if report.failed:
            raise UsageError(f"no document in {str(path)!r} could be read", "See the reasons above.")
        raise UsageError(f"there is nothing to read in {str(path)!r}", "The types that are read: localrag ingest -h")


def _ask_if_broad(path: Path, settings: Settings) -> None:
    """Ask before a folder is read that holds far more than documents, unless it was read before."""
    broad = scan.broad(path)
    if not broad or library_of(path, settings):
        return
    if not sys.stdin.isatty():
        hint = "Name a folder of documents in it, or add --yes to read all of it."
        raise UsageError(f"{str(path)!r} is {broad}", hint)
    confirm(f"{path} is {broad}: reading it may take hours and much of the disk. Read all of it?", abort=True)


def _prepare_network(cluster: str | None, settings: Settings) -> None:
    """Give this process no more of the network than its work needs."""
    if cluster is None:
        # An ingest whose arguments only look like those of one on a cluster. (Tests have no hook.)
        if offline.hook_installed() and not offline.confined():
            offline.confine()
        return
    if cluster != "auto":
        policy.check_cluster(cluster)
        say(f"This command and the cluster {cluster!r} send text of documents to each other over the network.")
    elif settings.embedder_server is not None:
        hint = "Leave out --cluster: the server does the work."
        raise UsageError("the workers of --cluster auto have no network, and so do not reach embedder_server", hint)
    elif not kernel.enter():
        say(
            "Ray's processes listen on 127.0.0.1. This system gives them no network of their own, so the kernel does "
            "not keep them off the network."
        )


def _confine(settings: Settings, path: Path, name: str | None, watch: bool) -> str:
    """Confine this process to the library that a folder is read into; returns the library's name."""
    options.keep_to_retention(settings)
    chosen = check_name(name) if name else name_for(path, settings)
    scan.root_of(path)  # raises where there is none, before anything is made for it
    say_links([path])
    if slow := scan.slow_share(scan.root_of(path)[0]):
        say(f"{path} is on a network share ({slow}): reading it takes longer than from a disk of this machine.")
    sandbox.make_library_folder(settings, chosen)
    if watch and offline.confined() and sandbox.leads_to_walls(path, settings):
        say(f"{path} contains libraries: files added beside them are read at the next start.")
    sandbox.restrict(settings, [chosen])
    return chosen


def _watch(
    path: Path,
    report: IngestReport,
    once: Callable[[Callable[[], bool]], IngestReport],
    stop: Callable[[], bool],
    show: Callable[[IngestReport], None],
) -> None:
    """Update the library at every change; a change that fails is tried again with the next one."""
    from localrag.ingest.scan import changes, root_of

    root = root_of(path)
    blind = "  The system reports no changes here ({}); localrag looks at the folder every minute."
    say(f"Watching {str(path)!r}; press Ctrl-C to end.")
    last_error = ""
    for _ in changes(path if path.is_dir() else path.parent, stop, lambda reason: say(blind.format(reason))):
        before = report
        if path.exists() and root_of(path) != root:
            raise UsageError(f"{str(path)!r} leads to another folder now", "Start again if that is meant.")
        try:
            report = once(stop)
        except LocalragError as error:
            if (words := f"  {error.message}. {error.hint}") != last_error:
                say(words)
            last_error = words
            continue
        last_error = ""
        done = report.read or report.removed or report.moved or report.copies
        if done or (report.failed, report.kept) != (before.failed, before.kept):
            show(report)


def _print(report: IngestReport) -> None:
    say(in_words.summary(report))
    remarks([f"  {line}" for line in in_words.remarks(report)], _MAX_LISTED, f"localrag status {report.library}")
    if report.read or report.unchanged:
        name = shlex.quote(report.library)
        say(f'Next: localrag ask "…" --library {name}   or   localrag chat {name}')


def _duration(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", text.strip().lower())
    if found is None or not float(found[1]):
        raise click.BadParameter(f"{text!r} is not a time; for example 8h, 45m, 90s")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]]


@click.command("warm")
@options.library_argument()
@options.document_option
@click.option("--for", "seconds", callback=_duration, metavar="TIME", help="Stop after this time: 8h, 45m, 90s.")
@click.option("--estimate", "only_estimate", is_flag=True, help="Only print what it would take.")
@options.json_option
def warm_command(
    name: str, documents: tuple[str, ...], seconds: float | None, only_estimate: bool, as_json: bool
) -> None:
    """Read the documents of the library NAME into the prompt cache on the disk.

    A question about a cached document gets its first word within seconds, however long the document is. First the
    passages of every document are read, which serve any look-up, unless the model has to read passages together
    (localrag doctor says so); then whole documents, one longer than the model can use section by section. Questions
    asked meanwhile go first. Ctrl-C stops; the same command continues. Nothing that is cached already is deleted.
    """
    if hasattr(os, "nice"):
        os.nice(10)
    settings = load_settings()
    options.keep_to_retention(settings)
    sandbox.restrict(settings, [check_name(name)], reads=keys.key_files())
    with interruptible() as stop:
        result = _warm(name, documents, settings, stop, seconds=seconds, only_estimate=only_estimate, quiet=as_json)
    if as_json:
        print_json(result)
    if stop.asked:
        sys.exit(130)


def _warm(
    name: str,
    documents: Sequence[str],
    settings: Settings,
    stop: Callable[[], bool],
    *,
    seconds: float | None = None,
    only_estimate: bool = False,
    quiet: bool,
) -> dict[str, Any]:
    """Warm a library, with progress on stderr unless `quiet`."""
    from localrag.answer import warming

    with bar(quiet=quiet) as update:

        def show(event: Warmed) -> None:
            now = "waiting for a question" if event.state == "waiting" else event.piece.name
            update(event.done, event.piece.tokens, f"tokens, {event.number}/{event.total}: {now}")

        result = warming.warm_library(
            name,
            documents,
            settings,
            stop=stop,
            seconds=seconds,
            only_estimate=only_estimate,
            on_plan=lambda estimate, pieces: None if quiet or stop() else _print_estimate(estimate, pieces),
            progress=show,
        )
    if not (quiet or only_estimate):
        kept, total, left, no_room = result["kept"], result["estimate"]["pieces"], result["left"], result["no_room"]
        say(f"Cached {len(kept)} of {total} in {duration(result['seconds'])}.")
        if left:
            say(f"  {left} left: the same command continues, also in the midst of a document.")
        if no_room:
            say(f"  no room for {len(no_room)} more: raise cache_bytes, or use --document.")
    return result


def _print_estimate(estimate: Estimate, pieces: Sequence[Piece]) -> None:
    documents = len({piece.document.id for piece in pieces})
    parts = f" in {len(pieces)} parts" if len(pieces) != documents else ""
    seconds = estimate.seconds
    took = "time unknown before the first answer" if seconds is None else f"about {duration(seconds)}"
    echo(
        f"{counted(documents, 'document')}{parts}: {estimate.kept} cached, {estimate.pieces} to read "
        f"({estimate.tokens:,} tokens, {took}, {size(estimate.bytes)} on the disk; the limit of a library is "
        f"{size(estimate.bound)}).",
        err=True,
    )
    if not any(piece.apart for piece in pieces):
        echo("  The model reads passages together: look-ups are no faster. `localrag doctor` says why.", err=True)
    remarks([f"  not read: {piece.name}: {piece.why_not}" for piece in pieces if piece.why_not], 10, "--json")
