"""`localrag prove`: test on this machine what localrag promises."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.cli.options import EXISTING_FILE, complete_library, json_option, model_option, out_option
from localrag.cli.output import counted, echo, one_line, print_json, say, size
from localrag.errors import UsageError
from localrag.proofs import signed, verify
from localrag.security import storage
from localrag.settings import load_settings

if TYPE_CHECKING:
    from localrag.proofs.forgotten import Forgotten
    from localrag.proofs.offline import Report
    from localrag.settings import Settings

_report_option = out_option("Write the signed report to FILE.", "report")
_GOT = {"through": "GOT THROUGH", "open": "OPEN", "refused": "refused", "absent": "not here"}


@click.group("prove", no_args_is_help=True)
def prove_command() -> None:
    """Test on this machine what localrag promises."""


@prove_command.command("offline")
@_report_option
@click.option(
    "--verify", "file", type=click.Path(path_type=Path), metavar="FILE", help="Only check the signature of a report."
)
@click.option(
    "--evidence",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Record a journey (ingest, ask, mcp, serve) under strace and a packet capture instead, for an auditor. Linux.",
)
@model_option
@json_option
def offline_command(
    report: Path | None, file: Path | None, evidence: Path | None, generator: str | None, as_json: bool
) -> None:
    """Try every known way out of a confined localrag while it reads documents and answers.

    Tries connections, name look-ups, other files and other processes from Python, native code and started programs:
    in a process confined as `localrag ask` is, and in an unconfined one, to see that they would work. All targets are
    on this machine. The process has a socket that listens, as `localrag serve` has: the one open door, for those on
    this machine who have its token. It may also reach one socket of the proof by the way that leads to shared stores
    and model servers; the report names those that your libraries and models need.

    A key of this machine signs the report. The signature shows that the report was not changed, not that the machine
    is honest. Exit code 1 means that something got through, or was refused by another layer than the one in charge;
    with --verify, that the signature is wrong.
    """
    settings = load_settings().with_options(generator=generator)
    if file is not None:
        _verify(file, settings.proofs_dir, as_json)
        return
    if evidence is not None:
        _record(settings, evidence, as_json)
        return
    from localrag.proofs.offline import prove_offline

    found = prove_offline(settings, progress=lambda line: echo(f"{line} ...", err=True))
    document = _signed(found, settings, report, as_json)
    if not as_json:
        _print(found)
        echo(f"key {document['signature']['fingerprint']}")
    if report is not None:
        echo(f"The signed report is in {report}. Check it: localrag prove offline --verify {report}", err=True)
    if not found.proven:
        raise click.exceptions.Exit(1)


def _record(settings: Settings, folder: Path, as_json: bool) -> None:
    from localrag.proofs import evidence

    document = evidence.record(settings, folder, progress=lambda line: echo(f"{line} ...", err=True))
    if as_json:
        print_json(document)
    else:
        echo(f"{'Proven' if document['proven'] else 'NOT PROVEN'}: read {folder / 'evidence.md'}. {document['reason']}")
        echo(f"key {document['signature']['fingerprint']}")
    if not document["proven"]:
        raise click.exceptions.Exit(1)


def _signed(found: Report | Forgotten, settings: Settings, report: Path | None, as_json: bool) -> dict[str, Any]:
    """Sign a report, write it to a file and print its JSON, as asked for."""
    document = signed(found.to_dict(), settings.proofs_dir)
    if report is not None:
        storage.write_json(report, document)
    if as_json:
        print_json(document)
    return document


def _print(report: Report) -> None:
    echo(f"localrag {report.version}, {report.made}, {report.system}\n")
    for layer in report.layers:
        echo(f"layer {layer.name:9} {'holds' if layer.holds else f'does not hold: {layer.reason}'}")
    width = max(len(one.name) for one in report.trials)
    for one in report.trials:
        outcome = one.before if one.before.result != "refused" or one.after.result == "refused" else one.after
        by = f" by {outcome.by}" if outcome.by not in ("", "any") else ""
        free = {"through": "; works unconfined", "absent": "", "open": "; not tried unconfined"}.get(
            one.unconfined.result, f"; unconfined: {one.unconfined.detail}"
        )
        mark = " " if one.held else "!"
        echo(f"{mark} {one.way:9} {one.name:{width}}  {_GOT[outcome.result]}{by} ({outcome.detail}){free}")
    echo(f"reached, by way of the broker: {_GOT[report.reached.result].lower()} ({report.reached.detail})")
    echo(f"may be reached here: {one_line(', '.join(report.may_reach)) or 'nothing'}")
    echo(f"heard outside: {report.heard}")
    echo(f"meanwhile: {report.documents} documents read, {report.passages} passages; {report.model} answered")
    echo(f"  {report.answer} ({counted(report.citations, 'verified quote')})\n")
    if report.proven:
        echo("Proven: every attempt was refused, by the layer in charge.", fg="green")
    else:
        echo("NOT PROVEN: see the lines marked with !", fg="red", bold=True)


def _verify(file: Path, folder: Path, as_json: bool) -> None:
    found = verify(file, folder)
    if as_json:
        print_json(asdict(found))
    else:
        whose = "this machine's key" if found.ours else "another key than this machine's"
        good = f"valid, by {whose}" if found.good else "INVALID: the report was changed after it was signed"
        echo(f"signature  {good}")
        echo(f"key        {found.fingerprint}")
        echo(f"made       {one_line(found.made)}")
        echo(f"says       {'proven' if found.proven else 'not proven'}")
    if not found.good:
        raise click.exceptions.Exit(1)


@prove_command.command("forgotten")
@click.argument("name", shell_complete=complete_library)
@click.argument("file", required=False, type=EXISTING_FILE)
@click.option("--word", default="", metavar="TEXT", help="Search for these words instead, as the document had them.")
@_report_option
@json_option
def forgotten_command(name: str, file: Path | None, word: str, report: Path | None, as_json: bool) -> None:
    """Search all that localrag keeps for a document forgotten from the library NAME: its original FILE, or TEXT of it.

    Searches every byte below the data folder, free pages and journals of databases included, for passages that no other
    document of the library contains. Exit code 1 means that something is left or could not be searched.
    """
    from localrag.proofs.forgotten import prove_forgotten

    if (file is None) == (not word.strip()):
        raise UsageError("there is nothing to search for", "Give the original file, or words of it with --word.")
    settings = load_settings()
    found = prove_forgotten(settings, name, file=file, word=word.strip())
    _signed(found, settings, report, as_json)
    if not as_json:
        _print_forgotten(found)
    if not found.proven:
        raise click.exceptions.Exit(1)


def _print_forgotten(found: Forgotten) -> None:
    name = found.library
    if found.documents:
        chosen = " ".join(f"-d {shlex.quote(path)}" for path in found.documents)
        first = f"Still in the library {name!r}. Forget it first: localrag forget {shlex.quote(name)} {chosen}"
        echo(one_line(first))
    traces: dict[str, list[str]] = {}
    for trace in found.traces:
        traces.setdefault(trace.file, []).append(trace.found)
    for path, words in traces.items():
        more = f" and {len(words) - 1:,} more" if len(words) > 1 else ""
        echo(one_line(f"LEFT  {path}: {words[0]}{more}"))
    for one in found.searched:
        if one.how == "locked":
            echo(one_line(f"not searched, its key is missing: {one.file}"))
    result = "nothing is left." if found.proven else "NOT PROVEN."
    total = size(sum(one.bytes for one in found.searched))
    searched, passages = counted(len(found.searched), "file"), counted(found.passages, "passage")
    say(f"Searched {searched} ({total}) for {passages}: {result}")
    if not found.proven:
        state = "nothing is left" if found.library_clean else "something is left or could not be searched"
        say(f"In the library {name!r} itself, {state}.")
