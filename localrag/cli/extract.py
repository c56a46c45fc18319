"""`localrag extract`: fill a table from documents by a schema, each value with its quote and place."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localrag.cli import keys, options
from localrag.cli.ask import draw, follow, save_table
from localrag.cli.keys import recipient_options
from localrag.cli.output import echo, interruptible, print_json, remarks, say, table
from localrag.errors import UsageError
from localrag.settings import load_settings
from localrag.types import Filter

if TYPE_CHECKING:
    from localrag.items.extraction import Each
    from localrag.security.encryption.keyring import Recipients
    from localrag.types import Answer

_MAX_REMARKS = 20


@click.command("extract")
@click.argument("schema")
@options.filter_options
@click.option(
    "--each",
    type=click.Choice(("document", "section", "row")),
    default="document",
    show_default=True,
    help="What makes a row: a document, a section of it, or a line of a table or list in it.",
)
@options.model_option
@options.out_option("Also write the rows to FILE (.xlsx, .csv, .db, .parquet, .json, .md), replacing it.")
@recipient_options
@options.json_option
def extract_command(
    schema: str,
    libraries: tuple[str, ...],
    only: Filter,
    each: Each,
    generator: str | None,
    file: Path | None,
    recipients: Recipients | None,
    as_json: bool,
) -> None:
    """Fill a table with the fields of SCHEMA from documents.

    SCHEMA is a file with a JSON Schema, or a list of fields with types: "vendor, invoice_date date, total money, paid
    yes/no". Types are text (where none is given), date, duration, money, percent, number, party, yes/no, and choices as
    in "status open|paid". An array of objects in a JSON Schema makes a row of each line, such as those of an invoice.

    Code takes what labels and tables name; the model is asked for the rest. Each value has a quote, and is empty where
    the text says nothing. What the model answers is kept with the library, so that it is asked only about what changed.
    Ctrl-C stops; the same command goes on from there.
    """
    from localrag.items import schema as schemas
    from localrag.sessions import table_export

    given = options.words_of(schema)
    schema = schemas.load(given)
    schemas.parse(schema)
    if file is not None:
        named = os.path.expanduser(given)  # noqa: PTH111 - fields may begin with "~", or be too long for a name
        if file.exists() and os.path.isfile(named) and file.samefile(named):  # noqa: PTH113
            raise UsageError(f"{str(file)!r} is the schema", "Give --out another file.")
        table_export.check(file)
    settings = load_settings().with_options(generator=generator)
    names = options.chosen_libraries(libraries, settings)
    options.keep_to_retention(settings)
    keys.confine(settings, names, file, recipients)
    from localrag.api import extract

    narrowed = {name: value for name, value in asdict(only).items() if name != "these"}  # "these" is the app's
    asking = extract(schema, libraries=names, each=each, settings=settings, **narrowed)
    with interruptible(then=asking.stop) as stop:
        answer = draw(asking, False) if sys.stderr.isatty() and not as_json else follow(asking, silent=as_json)
    if as_json:
        print_json(answer.to_dict())
    else:
        _print(answer)
    if file is not None:
        save_table(answer, file, settings, recipients)
    if answer.stopped and stop.asked:
        sys.exit(130)


def _print(answer: Answer) -> None:
    """Print the rows on stdout; on stderr what was found how, and what was left out."""
    from localrag.answer.survey_table import Results
    from localrag.grounding import annotations

    results = Results(answer.question)
    results.settle(answer, unread=False)
    if columns := results.columns:
        table(columns, [[line.cells.get(name, "") for name in columns] for line in results.lines])
    echo(f"\n{answer.answer}", err=True)
    remarks(annotations.unread(answer), _MAX_REMARKS, "--json")
    if answer.stopped:
        say("Stopped. What was found is kept; the same command goes on.")
