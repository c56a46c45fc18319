"""`localrag prove`: proofs of what localrag promises, run on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localrag.cli.options import complete_library, json_option, print_json, shown

if TYPE_CHECKING:
    from localrag.proofs import Report, Run, Tried

_GOT = {"through": "GOT THROUGH", "open": "OPEN", "refused": "refused", "absent": "not here"}


@click.group("prove", no_args_is_help=True)
def prove_command() -> None:
    """Prove what localrag promises, on this machine."""


@prove_command.command(
    "offline",
    epilog="""\b
Examples:
  localrag prove offline
  localrag prove offline --report proof.json
  localrag prove offline --verify proof.json""",
)
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Write the signed report to FILE.")
@click.option(
    "--verify", "file", type=click.Path(path_type=Path), metavar="FILE",
    help="Run nothing; check the signature of a report.",
)  # fmt: skip
@click.option("--model", metavar="ID", help="The model that answers meanwhile.")
@json_option
def offline_command(report: Path | None, file: Path | None, model: str | None, as_json: bool) -> None:
    """Try every known way out of a confined localrag, while it reads documents and answers.

    Connections, name look-ups, files elsewhere and other processes are tried from Python, native code and started
    programs, in a process that is confined as `localrag ask` is; in one that is not, to see that they would work; and,
    where the system allows it, in a network namespace without interfaces. All targets are on this machine.

    The report is signed by a key of this machine's own: the signature shows that it was not changed since, not that
    the machine is honest.

    Ends with exit code 1 where something got through, or was not refused by the layer that is there to do it; with
    --verify, where the signature is not good.
    """
    from localrag.settings import load_settings

    settings = load_settings().with_options(generator=model)
    if file is not None:
        _verify(file, settings.proofs_dir, as_json)
        return
    from localrag.proofs import prove_offline, signed
    from localrag.security import storage

    found = prove_offline(settings, said=lambda line: click.echo(f"{line} ...", err=True))
    told = signed(found, settings.proofs_dir)
    if report is not None:
        storage.write_json(report, told)
    if as_json:
        print_json(told)
    else:
        _print(found)
        click.echo(f"key {told['signature']['fingerprint']}")
    if report is not None:
        click.echo(f"The signed report is in {report}. Check it: localrag prove offline --verify {report}", err=True)
    if not found.proven:
        raise click.exceptions.Exit(1)


def _print(report: Report) -> None:
    click.echo(f"localrag {report.version}, {report.made}, {report.system}\n")
    for run in report.runs:
        _print_run(run)
    if report.left_out:
        click.echo(f"Left out: {report.left_out}\n")
    if report.proven:
        click.secho("Proven: everything that was tried was refused, by the layer that is there to do it.", fg="green")
    else:
        click.secho("NOT PROVEN: see the lines marked with !", fg="red", bold=True)


def _print_run(run: Run) -> None:
    click.secho(f"{run.name[0].upper()}{run.name[1:]}", bold=True)
    for layer in run.layers:
        click.echo(f"  layer {layer.name:9} {'holds' if layer.holds else f'does not hold: {layer.reason}'}")
    width = max(len(one.name) for one in run.tried)
    for one in run.tried:
        _print_tried(one, width)
    click.echo(f"  heard outside: {run.heard}")
    click.echo(f"  meanwhile: {run.documents} documents read, {run.passages} passages; {run.model} answered")
    click.echo(f"    {shown(run.answer)} ({run.citations} verified quote(s))\n")


def _print_tried(one: Tried, width: int) -> None:
    outcome = one.before if one.before.result != "refused" or one.after.result == "refused" else one.after
    by = f" by {outcome.by}" if outcome.by not in ("", "any") else ""
    free = {"through": "works unconfined", "absent": "", "open": "not tried unconfined"}.get(
        one.unconfined.result, f"unconfined: {one.unconfined.said}"
    )
    mark = " " if one.held else "!"
    click.echo(
        f"{mark} {one.way:9} {one.name:{width}}  {_GOT[outcome.result]}{by} ({outcome.said})"
        + (f"; {free}" if free else "")
    )


def _verify(file: Path, folder: Path, as_json: bool) -> None:
    from dataclasses import asdict

    from localrag.proofs import verify

    found = verify(file, folder)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
    else:
        whose = "this machine's key" if found.ours else "another key than this machine's"
        good = f"good, by {whose}" if found.good else "NOT GOOD: the report was changed after it was signed"
        click.echo(f"signature  {good}")
        click.echo(f"key        {found.fingerprint}")
        click.echo(f"made       {shown(found.made)}")
        click.echo(f"says       {'proven' if found.proven else 'not proven'}")
    if not found.good:
        raise click.exceptions.Exit(1)


@prove_command.command(
    "forgotten",
    epilog="""\b
Examples:
  localrag prove forgotten contracts ./old/lease.pdf
  localrag prove forgotten contracts --word "Harbour House"
  localrag prove forgotten contracts ./old/lease.pdf --report gone.json""",
)
@click.argument("name", shell_complete=complete_library)
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--word", default="", metavar="TEXT", help="Look for these words instead, as they stood in it.")
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Write the signed report to FILE.")
@json_option
def forgotten_command(name: str, file: Path | None, word: str, report: Path | None, as_json: bool) -> None:
    """Search all that localrag keeps for a document forgotten from the library NAME: its original FILE, or TEXT of it.

    Every byte below the data folder is searched, free pages and logs of databases among them, for passages that no
    document left in the library holds. Exit code 1 where something is left, or could not be looked at.
    """
    from localrag.errors import UsageError
    from localrag.proofs import signed
    from localrag.proofs.forgotten import prove_forgotten
    from localrag.security import storage
    from localrag.settings import load_settings

    if (file is None) == (not word.strip()):
        raise UsageError("what shall be looked for?", "Give the original file, or words of it with --word.")
    settings = load_settings()
    found = prove_forgotten(settings, name, file=file, word=word.strip())
    told = signed(found, settings.proofs_dir)
    if report is not None:
        storage.write_json(report, told)
    if as_json:
        print_json(told)
    else:
        for trace in found.traces:
            click.echo(f"LEFT  {shown(trace.file)}: {shown(trace.found)}")
        for one in found.searched:
            if one.how == "locked":
                click.echo(f"not looked at, its key is not here: {shown(one.file)}")
        size = sum(one.bytes for one in found.searched) / 1e6
        click.echo(
            f"{found.passages} passage(s) looked for in {len(found.searched)} files ({size:.1f} MB): "
            + ("nothing is left." if found.proven else "NOT PROVEN."), err=True,
        )  # fmt: skip
    if not found.proven:
        raise click.exceptions.Exit(1)
