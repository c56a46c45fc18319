"""`localrag proofread`: errors of drafting in a document, found by code."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localrag.cli import keys, options
from localrag.cli.keys import recipient_options
from localrag.cli.output import counted, echo, one_line, print_json, say_links, say_live
from localrag.errors import NotFoundError, UsageError
from localrag.settings import load_settings
from localrag.store.names import library_names

if TYPE_CHECKING:
    from localrag.redline.proofreading import Fault
    from localrag.security.encryption.keyring import Recipients


@click.command("proofread")
@click.argument("named", metavar="FILE", shell_complete=options.complete_document)
@options.libraries_option("The library of the document; a file on the disk needs none.", multiple=False)
@click.option(
    "-o",
    "--out",
    type=options.FILE,
    metavar="FILE",
    help="Write to FILE, replacing it: .docx (a copy of the Word file with comments), .xlsx, .csv, .md or .json.",
)
@options.password_file_option
@recipient_options
@options.json_option
def proofread_command(
    named: str,
    library: str | None,
    out: Path | None,
    passwords: list[str],
    recipients: Recipients | None,
    as_json: bool,
) -> None:
    """Find errors of drafting in FILE: a file of any type that is read, or a document of a library.

    References to clauses and schedules that are not there, terms that are used and not defined, defined and not used,
    or defined twice, numbers in words against figures, totals, days that cannot be, names of parties in two ways,
    numbering, blanks and notes, what is to be done by a time and nobody is named to do it, a missing place for
    signatures. No model is loaded. English documents.
    """
    settings = load_settings()
    if out is not None and out.resolve() == Path(named).resolve():
        raise UsageError(f"{str(out)!r} is the file that is read", "Give another name to --out.")
    on_disk = Path(named).is_file()
    say_links([named] if on_disk else [])
    if not on_disk and library is None and len(library_names(settings.indexes_dir)) != 1:
        raise NotFoundError(f"there is no file {named!r}", "Name a file, or with --library a library that has it.")
    names = options.chosen_libraries([library] if library else [], settings) if library or not on_disk else []
    options.keep_to_retention(settings)
    keys.confine(settings, names, out, recipients, around=on_disk)
    from localrag.redline import marking, proofreading, versions

    if out is not None:
        marking.check(out, named)
    (version,) = versions.read([named], names, settings, passwords)
    found = proofreading.proofread(version)
    versions.record_proofread(settings, version, len(found))
    if as_json:
        notes = list(version.notes)
        print_json({"document": version.name, "findings": [one.to_dict() for one in found], "not_read": notes})
    else:
        _print(version.name, found)
    for note in version.notes:
        echo(f"Not read: {one_line(note)}", dim=True, err=True)
    if out is not None:
        path, left, live = marking.save(version, found, out, settings, recipients)
        echo(f"Wrote {path}", err=True)
        if left:
            echo(f"At the beginning, since their words were not found again: {counted(left, 'comment')}.", err=True)
        say_live(live)


def _print(name: str, found: list[Fault]) -> None:
    from localrag.redline.proofreading import HEADINGS

    echo(f"{one_line(name)}: {counted(len(found), 'finding')}", bold=True)
    by_kind: dict[str, list[Fault]] = defaultdict(list)
    for one in found:
        by_kind[one.kind].append(one)
    for kind, heading in HEADINGS.items():
        if by_kind[kind]:
            echo(f"\n{heading}", bold=True)
        for one in by_kind[kind]:
            where = ", ".join(part for part in (one.place, one.clause) if part)
            echo(f"  {one_line(where) or 'here'}: ", nl=False)
            echo(f"“{one_line(one.quote)}” ", nl=False, fg="cyan")
            echo(one_line(one.said))
