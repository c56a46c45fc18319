"""`localrag compare`: what changed between two versions of a document, substance first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.cli import keys, options
from localrag.cli.keys import recipient_options
from localrag.cli.output import echo, one_line, print_json, say_links, say_live
from localrag.errors import NotFoundError, UsageError
from localrag.settings import load_settings
from localrag.store.names import library_names

if TYPE_CHECKING:
    from localrag.redline.export import Compared
    from localrag.security.encryption.keyring import Recipients

_MAX_SHOWN = 1200  # characters of a change
_MAX_FORM = 30  # changes of form
_STYLES: dict[str, dict[str, Any]] = {
    "=": {},
    "-": {"fg": "red", "strikethrough": True},
    "+": {"fg": "green", "bold": True, "underline": True},
}
_PLAIN = {"=": "{}", "-": "[-{}-]", "+": "{{+{}+}}"}


@click.command("compare")
@click.argument("named", nargs=-1, metavar="OLD NEW | BASE THEIRS OURS", shell_complete=options.complete_document)
@options.libraries_option("The library of the documents; files on the disk need none.", multiple=False)
@click.option("--latest", metavar="DOCUMENT", help="Compare the latest two versions of this document of the library.")
@options.out_option(
    "Write the redline to FILE, replacing it: .docx (tracked changes, in a copy of OLD where both are Word files; of "
    "three, a table), .html, .md, .json.",
    "out",
)
@options.author_option
@options.date_option
@options.password_file_option
@recipient_options
@options.json_option
def compare_command(
    named: tuple[str, ...],
    library: str | None,
    latest: str | None,
    out: Path | None,
    author: str,
    date: str,
    passwords: list[str],
    recipients: Recipients | None,
    as_json: bool,
) -> None:
    """Say what changed from OLD to NEW: two files of any type that is read, or two documents of a library.

    Clauses are matched by their words, numbers and headings, so that one that moved or was renumbered is no deletion.
    First comes what changes the substance (amounts, dates, durations, parties, who shall or may do what, defined
    terms), then wording, then form. Line ends, page ends and running headers are no changes. Comments are shown with
    their clause. Of three documents, each clause of BASE is shown with what they and what we made of it. No model is
    loaded.
    """
    if len(named) not in ((0,) if latest else (2, 3)):
        hint = "localrag compare OLD NEW, compare BASE THEIRS OURS, or compare --latest DOCUMENT"
        raise UsageError("two documents are needed, or three", hint)
    if out is not None and any(out.resolve() == Path(one).resolve() for one in named):
        raise UsageError(f"{str(out)!r} is one of those that are compared", "Give another name to --out.")
    settings = load_settings()
    missing = [one for one in named if not Path(one).is_file()]
    if missing and library is None and (len(missing) < len(named) or not library_names(settings.indexes_dir)):
        raise NotFoundError(f"there is no file {missing[0]!r}", "Name a file, or with --library a library that has it.")
    say_links(named)
    sought = library or latest or missing
    names = options.chosen_libraries([library] if library else [], settings) if sought else []
    options.keep_to_retention(settings)
    keys.confine(settings, names, out, recipients, around=len(missing) < len(named))
    from localrag.diff.changes import compare
    from localrag.redline import export, versions
    from localrag.redline.three_way import compare_three

    if out is not None:
        export.check(out)
    if latest:
        found = [document.path for document, _ in versions.drafts(settings, names[0], latest)]
        echo(f"{len(found)} versions, the latest last: {one_line(', '.join(found))}", err=True)
        named = (found[-2], found[-1])
    read = versions.read(named, names, settings, passwords)
    compared = compare_three(*read) if len(read) == 3 else compare(*read)
    versions.record(settings, compared)
    if as_json:
        print_json(compared.to_dict())
    else:
        _print(compared)
    if out is not None:
        path, left, live = export.save(compared, out, settings, recipients, author, date)
        echo(f"Wrote {path}", err=True)
        for one in left:
            echo(f"Not marked: {one_line(one)}", err=True)
        say_live(live)


def _print(compared: Compared) -> None:
    """Print the summary and the changes: [-deleted-] and {+added+}, in colours on a terminal."""
    from localrag.redline import export

    echo(one_line(export.title(compared)), bold=True)
    echo(compared.summary)
    for heading, entries in export.by_level(compared):
        echo(f"\n{heading}", bold=True)
        most = _MAX_FORM if heading == "Form" else len(entries)
        for one in entries[:most]:
            echo(one_line(one.title), fg="cyan")
            for side, runs in one.sides:
                echo(f"  {side}", nl=False)
                for number, run in enumerate(runs):
                    text = run.text[:_MAX_SHOWN] + "…" * (len(run.text) > _MAX_SHOWN)
                    echo(" " * (run.space and number > 0), nl=False)
                    echo(_PLAIN[run.sign].format(text), nl=False, **_STYLES[run.sign])
                echo()
            for said in one.comments:
                echo(f"  {one_line(str(said))}", fg="yellow")
        if len(entries) > most:
            echo(f"and {len(entries) - most} more of form: --json, or --out FILE")
    for version in compared.sides.values():
        for note in version.notes:
            echo(f"Not compared: {one_line(version.name)}, {one_line(note)}", dim=True, err=True)
