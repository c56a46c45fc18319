"""`localrag compare`: what changed between two versions of a document, substance first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.cli import keys, options
from localrag.cli.ingest import passwords_in
from localrag.cli.keys import recipient_options
from localrag.cli.output import echo, one_line, print_json
from localrag.errors import NotFoundError, UsageError
from localrag.settings import Settings, load_settings
from localrag.store.names import library_names

if TYPE_CHECKING:
    from localrag.redline.changes import Comparison, Version
    from localrag.security.encryption.age import Recipients
    from localrag.types import Document

_MAX_SHOWN = 1200  # characters of a change
_MAX_FORM = 30  # changes of form
_STYLES: dict[str, dict[str, Any]] = {
    "=": {}, "-": {"fg": "red", "strikethrough": True}, "+": {"fg": "green", "bold": True, "underline": True},
}  # fmt: skip
_PLAIN = {"=": "{}", "-": "[-{}-]", "+": "{{+{}+}}"}


@click.command("compare")
@click.argument("old", required=False, shell_complete=options.complete_document)
@click.argument("new", required=False, shell_complete=options.complete_document)
@click.option("-l", "--library", metavar="NAME", shell_complete=options.complete_library,
              help="The library of the documents; files on the disk need none.")  # fmt: skip
@click.option("--latest", metavar="DOCUMENT", help="Compare the latest two versions of this document of the library.")
@click.option("-o", "--out", type=options.FILE, metavar="FILE",
              help="Write the redline to FILE, replacing it: .docx (tracked changes), .html, .md, .json.")  # fmt: skip
@click.option("--password-file", type=options.EXISTING_FILE, metavar="FILE",
              help="Passwords to try on encrypted files, one a line.")  # fmt: skip
@recipient_options
@options.json_option
def compare_command(
    old: str | None, new: str | None, library: str | None, latest: str | None, out: Path | None,
    password_file: Path | None, recipients: Recipients | None, as_json: bool,
) -> None:  # fmt: skip
    """Say what changed from OLD to NEW: two files of any type that is read, or two documents of a library.

    Clauses are matched by their words, numbers and headings, so that one that moved or was renumbered is no deletion.
    First comes what changes the substance (amounts, dates, durations, parties, who shall or may do what, defined
    terms), then wording, then form. Line ends, page ends and running headers are no changes. No model is loaded.
    """
    named = [one for one in (old, new) if one is not None]
    if len(named) != (0 if latest else 2):
        raise UsageError("two documents are needed", "localrag compare OLD NEW, or localrag compare --latest DOCUMENT")
    if out is not None and any(out.resolve() == Path(one).resolve() for one in named):
        raise UsageError(f"{str(out)!r} is one of the two that are compared", "Give another name to --out.")
    settings = load_settings()
    missing = [one for one in named if not Path(one).is_file()]
    if missing and library is None and not library_names(settings.indexes_dir):
        hint = "Give the path of a file, or read its folder into a library: localrag ingest FOLDER"
        raise NotFoundError(f"there is no file or document {missing[0]!r}", hint)
    names = []
    if library or latest or missing:
        names = options.chosen_libraries([library] if library else [], settings)
    options.keep_to_retention(settings)
    keys.confine(settings, names, out, recipients, around=len(missing) < len(named))
    from localrag.redline import export, versions
    from localrag.redline.changes import compare

    if out is not None:
        export.check(out)
    listed = versions.drafts(settings, names[0], latest) if latest else []
    if latest:
        named = _latest(listed, latest, quiet=as_json)
    compared = compare(*_read(named, names, settings, passwords_in(password_file)))
    versions.record(settings, compared.old, compared.new, len(compared.changes))
    if as_json:
        found = [{"document": document.path, "date": day or None} for document, day in listed]
        print_json(compared.to_dict() | ({"versions": found} if latest else {}))
    else:
        _print(compared)
    if out is not None:
        echo(f"Wrote {export.save(compared, out, settings, recipients)}", err=True)


def _latest(listed: Sequence[tuple[Document, str]], given: str, quiet: bool) -> list[str]:
    """Print the versions of a document, and return the paths of the latest two."""
    paths = [document.path for document, _ in listed]
    if len(paths) < 2:
        raise NotFoundError(f"there is one version of {paths[0]!r}", "Name another document: localrag compare OLD NEW")
    if not quiet:
        echo(f"{len(paths)} versions of {one_line(given)}, the latest last:", err=True)
        for document, day in listed:
            echo(f"  {one_line(document.path)}{f'  ({day})' if day else ''}", err=True)
    return paths[-2:]


def _read(named: Sequence[str], names: Sequence[str], settings: Settings, passwords: Sequence[str]) -> list[Version]:
    """Read two documents: from the library if it has them, else from the disk."""
    from localrag.redline import versions
    from localrag.store.library import open_library

    found: dict[str, Version] = {}
    for name in names:
        with closing(open_library(settings, name)) as library, library.snapshot():
            for given in named:
                try:
                    document = library.document(os.fsencode(given).decode("utf-8", "backslashreplace"))
                except NotFoundError:
                    if not Path(given).is_file():
                        raise
                else:
                    found[given] = versions.from_library(library, document)
    paths = {given: Path(given).resolve() for given in named if given not in found}
    if len({one.name for one in found.values()} | set(paths.values())) < 2:
        raise UsageError(f"{named[0]!r} is compared with itself", "Give two versions: localrag compare OLD NEW")
    if paths:
        read = versions.from_files([Path(given) for given in paths], settings, passwords)
        found |= {given: read[Path(given)] for given in paths}
    return [found[given] for given in named]


def _print(compared: Comparison) -> None:
    """Print the summary and the changes: [-deleted-] and {+added+}, in colours on a terminal."""
    from localrag.redline.changes import LEVELS
    from localrag.redline.export import TITLES

    echo(one_line(f"{compared.old.name} → {compared.new.name}"), bold=True)
    echo(compared.summary)
    for level in LEVELS:
        found = [one for one in compared.changes if one.level == level]
        if found:
            echo(f"\n{TITLES[level]}", bold=True)
        for one in found[: _MAX_FORM if level == "form" else None]:
            echo(one_line(one.title), fg="cyan")
            echo(" ", nl=False)
            for run in one.runs:
                echo(" ", nl=False)
                text = run.text[:_MAX_SHOWN] + "…" * (len(run.text) > _MAX_SHOWN)
                echo(_PLAIN[run.sign].format(text), nl=False, **_STYLES[run.sign])
            echo()
        if level == "form" and len(found) > _MAX_FORM:
            echo(f"and {len(found) - _MAX_FORM} more of form: --json, or --out FILE")
    for version in (compared.old, compared.new):
        for note in version.notes:
            echo(f"Not compared: {one_line(version.name)}, {one_line(note)}", dim=True, err=True)
