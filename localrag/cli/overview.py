"""`localrag overview`: the first page of a library; `localrag facts`: the facts of a document, and decisions."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localrag.cli import keys, options
from localrag.cli.binding import binding
from localrag.cli.keys import recipient_options
from localrag.cli.output import bar, counted, echo, interruptible, one_line, print_json, remarks, say, table
from localrag.errors import LibraryLocked, StorageError, UsageError
from localrag.settings import Settings, load_settings
from localrag.types import FactState

if TYPE_CHECKING:
    from localrag.answer.overview import Overview
    from localrag.api import Library
    from localrag.security.encryption.keyring import Recipients

_COLUMNS = "title,kind,parties,dated,in force,ends,notice,law,other"
_MAX_ROWS, _MAX_NOT_READ = 100, 8
_SHORT = 64  # characters that dates, spans and laws take in a line; the rest is for two columns of text
_MIN_CELL = 48  # of a longer text a cell shows at least so many characters, in several lines if need be


@click.command("overview")
@click.argument("name", required=False, type=options.LIBRARY, shell_complete=options.complete_library)
@options.out_option(
    "Write FILE, replacing it: .docx (a report), .pdf (a binder of all quoted pages), .xlsx (all tables), .json, .csv, "
    ".md (the documents)."
)
@recipient_options
@options.json_option
def overview_command(name: str | None, file: Path | None, recipients: Recipients | None, as_json: bool) -> None:
    """Show the first page of the library NAME, which is needed only if there are several.

    It lists what is there, each document with its parties, days, periods and law, what ends or is due next, amounts,
    people, amendments, and some questions that the documents answer. Code reads these facts at each ingest, no model;
    those that are missing are read now. An unclear value has a question mark: `localrag facts` shows why, and keeps
    your decision. Ctrl-C stops; the same command goes on from there.
    """
    from localrag.sessions.export import overview as export
    from localrag.sessions.links import originals

    if file is not None:
        export.check(file)
    settings = load_settings()
    with closing(_opened(name, settings, file, recipients)) as library:
        with interruptible("Stopping after this document…") as stop, bar(quiet=as_json) as update:
            try:
                library.read_facts(
                    stop=stop, progress=lambda done, total, path: update(done, total, f"facts of {path}")
                )
            except (LibraryLocked, StorageError) as error:
                say(f"Missing facts are not read now: {error.message}.")
        made = library.overview()
    if as_json:
        print_json(made.to_dict() | {"stopped": stop.asked})
    else:
        _print(made)
    if stop.asked:
        sys.exit(130)
    if file is not None:
        with binding(settings) as bind:
            written = export.save(made, file, settings.library_audit_file, recipients, originals(settings), bind)
        echo(f"Wrote the overview of {counted(len(made.documents), 'document')} to {one_line(str(written))}.", err=True)


def _opened(
    name: str | None, settings: Settings, file: Path | None = None, recipients: Recipients | None = None
) -> Library:
    """Confine this process to a library, the only one if none is named, and open it."""
    hint = "Name one: localrag overview NAME, or localrag facts show FILE --library NAME"
    (chosen,) = options.chosen_libraries([name] if name else [], settings, hint)
    options.keep_to_retention(settings)
    keys.confine(settings, [chosen], file, recipients)
    from localrag import api

    return api.open_library(chosen, settings=settings)


def _print(made: Overview) -> None:
    from localrag.sessions.export import overview as export

    echo(f"{one_line(', '.join(made.libraries))}: {counted(len(made.documents), 'document')}", bold=True)
    for what, text in export.summary(made).items():
        echo(one_line(text), head=f"  {what:<13} ", dim=True)
    remarks([f"  not read      {one.document}: {one.reason}" for one in made.failed], _MAX_NOT_READ, "--json")
    for title, heads, rows in export.page(made, _COLUMNS):
        echo(f"\n{title}", bold=True)
        _table(heads, rows[:_MAX_ROWS]) if heads[1:] else echo("\n".join(f"  {one_line(row[0])}" for row in rows))
        if len(rows) > _MAX_ROWS:
            echo(f"  and {len(rows) - _MAX_ROWS:,} more: --json, or --out FILE")
        if title == "Documents" and any("?" in cell for row in rows for cell in row[1:]):
            echo(f"{export.UNCLEAR} Why: localrag facts show FILE", dim=True)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table with cells that fit the terminal, or lines of 160 characters where there is none."""
    width = max(_MIN_CELL, (shutil.get_terminal_size((160, 24)).columns - _SHORT) // 2)
    table(heads, [[_cut(" ".join(cell.split()), width) for cell in row] for row in rows])


def _cut(text: str, width: int) -> str:
    """Shorten a text in the middle: a title may end with what tells it apart."""
    first = width * 2 // 3
    return text if len(text) <= width else f"{text[:first].rstrip()}…{text[first + 1 - width :].lstrip()}"


@click.group("facts", no_args_is_help=True)
def facts_command() -> None:
    """Show the facts of a document, and confirm, correct or reject them."""


_LIBRARY = options.libraries_option("The library of the document. Needed only if there are several.", multiple=False)


@facts_command.command("show")
@click.argument("document", shell_complete=options.complete_document)
@_LIBRARY
@options.json_option
def show_command(document: str, library: str | None, as_json: bool) -> None:
    """List the facts of a DOCUMENT with state, place and quote; those that you rejected come last."""
    with closing(_opened(library, load_settings())) as opened:
        found, (path,) = opened.facts(document), (one.path for one in opened.documents([document]))
    if as_json:
        print_json({"library": opened.name, "document": path, "facts": [one.to_dict() for one in found]})
        return
    from localrag.answer.overview import shown_value

    echo(one_line(path), bold=True)
    rows = []
    for one in found:
        state = ": ".join(filter(None, (one.state, one.why or (one.was and f"was {one.was}"))))
        rows.append([one.id, one.role, shown_value(one), state, ", ".join(one.terms), one.place, one.quote])
    _table(("id", "role", "value", "state", "terms", "place", "quote"), rows)
    if not found:
        say("It has no facts. `localrag overview` reads those that are missing.")


@facts_command.command("mark")
@click.argument("document", shell_complete=options.complete_document)
@click.argument("fact")
@_LIBRARY
@click.option("--confirm", "state", flag_value="confirmed", help="The fact is right.")
@click.option("--reject", "state", flag_value="rejected", help="It is wrong, or of no use: leave it out.")
@click.option("--value", metavar="VALUE", help="Correct its value, and confirm it; - reads it from standard input.")
@click.option("--reset", "state", flag_value="sure", help="Take back what was decided.")
@options.json_option
def mark_command(
    document: str, fact: str, library: str | None, state: FactState | None, value: str | None, as_json: bool
) -> None:
    """Keep your decision on a FACT of a DOCUMENT: an id, a role such as end, or "role=value".

    With --value, a role that the document has no fact of adds one. It survives an ingest as long as the document has
    the quote of the fact.
    """
    if (state is None) == (value is None):
        raise UsageError("one decision is needed", "Add one of --confirm, --reject, --value VALUE and --reset.")
    words = options.words_of(value) if value is not None else ""
    if value is not None and not words.strip():
        raise UsageError("the value is empty", "Write one: --value 2027-05-01; or leave the fact out: --reject.")
    with closing(_opened(library, load_settings())) as opened:
        one = opened.decide(document, fact, state or "confirmed", words)
        (path,) = (each.path for each in opened.documents([document]))
    kept = {"library": opened.name, "document": path, "fact": one.to_dict()}
    options.print_result(as_json, kept, f"Kept: {one.role} {one.value!r} of {one_line(path)} is {one.state}.")
