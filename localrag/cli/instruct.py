"""`localrag instruct`: how answers from a library shall be worded."""

from __future__ import annotations

from pathlib import Path

import click

from localrag.cli.options import complete_library, json_option, print_json, shown
from localrag.errors import StorageError, UsageError
from localrag.settings import load_settings


@click.command(
    "instruct",
    epilog="""\b
Examples:
  localrag instruct contracts "Answer in German; cite clause numbers."
  localrag instruct contracts --file wording.txt
  localrag instruct contracts                 (prints what holds)
  localrag instruct contracts --clear""",
)
@click.argument("name", shell_complete=complete_library)
@click.argument("text", required=False)
@click.option(
    "--file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Take the words from this file."
)
@click.option("--clear", is_flag=True, help="Take back what was said.")
@json_option
def instruct_command(name: str, text: str | None, file: Path | None, clear: bool, as_json: bool) -> None:
    """Say how answers from the library NAME shall be worded: in TEXT, of at most 600 characters; without, print it.

    For the language of answers, their form, the words of a field. It holds for every later question, and survives an
    ingest. It shapes the words alone: what is found, what is weighed and how an answer is checked stay as they are.
    """
    from localrag import api

    if sum((text is not None, file is not None, clear)) > 1:
        raise UsageError("several instructions were given at once", "Give one of: TEXT, --file, --clear.")
    library = api.open_library(name, settings=load_settings())
    before = library.instructions
    if file is not None:
        text = _read(file)
    if clear or text is not None:
        # Words that are nothing but white space are an error, an empty text would take back what holds.
        now = library.instruct("" if clear else text or " ")
    else:
        now = before
    if as_json:
        print_json({"library": name, "instructions": now, "before": before})
    elif now:
        click.echo(shown(now))
    else:
        click.echo(f"Answers from {name!r} are worded as the model words them.", err=True)


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{str(file)!r} is not text in UTF-8: {error}", "Save it as plain text.") from error
    except OSError as error:
        raise StorageError(f"{str(file)!r} cannot be read: {error.strerror}", "Check the path.") from error
