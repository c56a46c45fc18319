"""Options that several commands share, and how these complete and check libraries and documents."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import click
from click.shell_completion import CompletionItem

from localrag.cli.output import confirm, echo, print_json
from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.settings import Settings, Think, load_settings
from localrag.types import MODES, Filter

F = TypeVar("F", bound=Callable[..., Any])


class _File(click.Path):
    """A path that is not empty, as that of a variable without a value is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value).strip():
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


FILE = _File(path_type=Path, dir_okay=False)
EXISTING_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


Complete = Callable[[click.Context, click.Parameter | None, str], list[CompletionItem[Any]]]


def completes(find: Callable[[click.Context], Iterable[str | CompletionItem[Any]]]) -> Complete:
    """Make a completion of a function that finds all there is; what is typed is its beginning, in any case."""

    def complete(ctx: click.Context, param: click.Parameter | None, incomplete: str) -> list[CompletionItem[Any]]:
        try:
            found = [CompletionItem(one) if isinstance(one, str) else one for one in find(ctx)]
        except LocalragError:
            return []  # the command itself reports the error
        return [one for one in found if str(one.value).casefold().startswith(incomplete.casefold())]

    return complete


@completes
def complete_library(ctx: click.Context) -> list[str]:
    from localrag.store.names import library_names

    return library_names(load_settings().indexes_dir)


@completes
def complete_document(ctx: click.Context) -> list[str]:
    """Find paths of documents in the libraries named so far, or in the only one."""
    from localrag import policy
    from localrag.store.library import open_library

    settings = load_settings()
    named = ctx.params.get("libraries") or ([ctx.params["name"]] if ctx.params.get("name") else ())
    paths: set[str] = set()
    for name in chosen_libraries(named, settings):
        with policy.unreported():
            library = open_library(settings, name)
        paths |= {document.path for document in library.documents()}
        library.close()
    return sorted(paths)


@completes
def complete_type(ctx: click.Context) -> Iterable[str]:
    from localrag.search.filters import TYPES

    return TYPES


def bundled(name: str, make: Callable[..., Any], *options: Callable[[F], F]) -> Callable[[F], F]:
    """Add options to a command, which gets what `make` returns of their values as one argument, `name`."""

    def add(command: F) -> F:
        @functools.wraps(command)
        def given(*args: Any, **others: Any) -> Any:
            values = {key: others.pop(key) for key in inspect.signature(make).parameters}
            return command(*args, **{name: make(**values)}, **others)

        for option in reversed(options):
            given = option(given)
        return cast(F, given)

    return add


document_option = click.option(
    "-d",
    "--document",
    "documents",
    multiple=True,
    metavar="GLOB",
    shell_complete=complete_document,
    help="Only documents whose path matches, such as 'leases/*.pdf'; may be repeated.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
library_option = click.option(
    "-l",
    "--library",
    "libraries",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_library,
    help="Search this library; may be repeated. Needed only if there are several.",
)


def _filter(
    documents: Sequence[str],
    folder: str | None,
    types: Sequence[str],
    since: str | None,
    until: str | None,
    sender: str | None,
    pages: str | None,
) -> Filter:
    from localrag.search import filters

    return filters.checked(documents, folder, types, since, until, sender, _page_range(pages))


_narrowing_options = bundled(
    "only",
    _filter,
    document_option,
    click.option(
        "--folder",
        metavar="DIR",
        shell_complete=lambda ctx, param, start: [CompletionItem(start, type="dir")],
        help="Search only below this folder, by its path in the library or on the disk.",
    ),
    click.option(
        "--type",
        "types",
        multiple=True,
        metavar="TYPE",
        shell_complete=complete_type,
        help="Search only documents of this type: pdf, word, sheet, slides, mail, web, text, image ..., or a suffix "
        "such as docx; may be repeated.",
    ),
    click.option(
        "--since", metavar="DATE", help="Search only documents dated then or later: 2023, 2023-06, 2023-06-30."
    ),
    click.option("--until", metavar="DATE", help="Search only documents dated then or earlier."),
    click.option("--from", "sender", metavar="NAME", help="Search only documents written or sent by NAME."),
    click.option(
        "--pages",
        metavar="RANGE",
        help="Search only these pages of each file, from 1: 3-7, 5, or 3- for the third and later.",
    ),
)


def filter_options(command: F) -> F:
    """Add the options that choose what to search: `libraries`, and the others as one Filter, `only`."""
    return library_option(_narrowing_options(command))


model_option = click.option("--model", "generator", metavar="ID", help="Answer with this installed model.")
mode_option = click.option(
    "--mode", type=click.Choice(MODES), default="auto", show_default=True, help="How to find the answer."
)
think_option = click.option(
    "--think",
    type=click.Choice(get_args(Think)),
    help="Have a model with a thinking mode think before it answers; auto: where it has to work something out.",
)


def _page_range(text: str | None) -> tuple[int, int | None] | None:
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d{1,9})\s*(?:([-–])\s*(\d{1,9})?)?\s*", text)
    if found is None:
        raise UsageError(f"{text!r} is not a range of pages", "For example: --pages 3-7, --pages 5, --pages 3-")
    first = int(found[1])
    return first, (int(found[3]) if found[3] else None if found[2] else first)


password_file_option = click.option(
    "--password-file",
    "passwords",
    type=EXISTING_FILE,
    metavar="FILE",
    callback=lambda ctx, param, file: _passwords_in(file),
    help="Passwords to try on encrypted files, one a line.",
)


def _passwords_in(file: Path | None) -> list[str]:
    if file is None:
        return []
    try:
        return [line for line in read_file(file, "password file").decode("utf-8-sig").splitlines() if line]
    except UnicodeDecodeError as error:
        message = f"cannot read the password file {str(file)!r}: {error}"
        raise UsageError(message, "Write one password a line, in UTF-8.") from None


def read_file(path: Path, what: str = "file") -> bytes:
    """Return the contents of a file that the user named."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"there is no {what} {str(path)!r}", "Check the path.") from None
    except OSError as error:
        raise UsageError(f"cannot read the {what} {str(path)!r}: {error.strerror}", "Check the path.") from None


def words_of(given: str) -> str:
    """Return an argument, or for "-" the words on standard input, which no list of processes or history shows.

    Bytes that are not UTF-8 are replaced.
    """
    if given != "-":
        return given.encode("utf-8", "replace").decode()
    if sys.stdin.isatty():
        echo("Type it, then Enter and Ctrl-D:", err=True)
    return " ".join(sys.stdin.buffer.read().decode("utf-8", "replace").split())


def keep_to_retention(settings: Settings) -> None:
    """Delete what `retention_days` makes too old, before this process is confined to some libraries."""
    if settings.retention_days:
        from localrag.lifecycle import retention

        retention.apply(settings)


def chosen_libraries(names: Sequence[str], settings: Settings) -> list[str]:
    """Return the libraries named, or the only one; raise an error if there are none or several."""
    from localrag.store.names import library_names

    if names:
        return list(dict.fromkeys(names))
    there = library_names(settings.indexes_dir)
    if not there:
        raise NotFoundError(f"there is no library in {str(settings.indexes_dir)!r}", "Make one: localrag ingest FOLDER")
    if len(there) > 1:
        raise UsageError(f"there are {len(there)} libraries: {', '.join(there)}", "Name one (or more) with --library.")
    return there


def confirm_deletion(what: str, yes: bool) -> None:
    """Ask before a deletion, unless `yes`; raise UsageError where nobody can answer."""
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"cannot ask whether to delete {what}", "Add --yes.")
        confirm(f"Delete {what} for good?", abort=True)


def print_result(as_json: bool, value: Any, text: str) -> None:
    """Print a result as JSON on stdout, or in words on stderr."""
    print_json(value) if as_json else echo(text, err=True)
