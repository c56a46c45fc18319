"""Options that several commands share, and how they name and complete libraries and documents."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.settings import Settings, load_settings

F = TypeVar("F", bound=Callable[..., Any])


def complete_library(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from localrag.schema import DATABASE

    try:
        folder = load_settings().indexes_dir
    except LocalragError:
        return []  # a broken settings file must not break the shell
    names = sorted(path.parent.name for path in folder.glob(f"*/{DATABASE}"))
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def library_option(command: F) -> F:
    return click.option(
        "-l", "--library", "libraries", multiple=True, metavar="NAME", shell_complete=complete_library,
        help="Look in this library; may be given several times. The only one there is, if left out.",
    )(command)  # fmt: skip


def document_option(command: F) -> F:
    return click.option(
        "-d", "--document", "documents", multiple=True, metavar="GLOB",
        help="Look only in documents whose path matches, such as 'leases/*.pdf'; may be given several times.",
    )(command)  # fmt: skip


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")(command)


def chosen_libraries(names: Sequence[str], settings: Settings) -> list[str]:
    """The libraries named, or the only one there is.

    Raises:
        NotFoundError, UsageError: there is none, or it is not clear which is meant.
    """
    from localrag.api import library_names

    if names:
        return list(dict.fromkeys(names))
    there = library_names(settings)
    if not there:
        raise NotFoundError(
            f"there is no library yet in {str(settings.indexes_dir)!r}", "Make one: localrag ingest FOLDER"
        )
    if len(there) > 1:
        raise UsageError(f"there are {len(there)} libraries: {', '.join(there)}", "Name one (or more) with --library.")
    return there


def print_json(value: Any) -> None:
    # A terminal that cannot show a character must not lose the output.
    text = json.dumps(value, ensure_ascii=(sys.stdout.encoding or "").lower().replace("-", "") != "utf8", indent=2)
    click.echo(text)


def shown(text: str) -> str:
    """Text of documents and models as a terminal may show it: without control characters and escape sequences."""
    return "".join(letter if letter in "\n\t" or letter.isprintable() else " " for letter in text)
