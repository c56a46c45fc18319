"""Options that several commands share, how they complete and check what is given, and `localrag completion`."""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    PowerShellComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from localrag.cli.output import Pace, confirm, echo, interruptible, one_line, print_json, say
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


class _Library(click.ParamType[str]):
    """A library's name, or the path of a read-only one, which is checked and gets a name here."""

    name = "library"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if ctx is None or ctx.resilient_parsing:
            return value
        from localrag.store.names import resolve

        pace = Pace()  # lines, as a bar is a thread, and this process is not confined yet

        def tell(done: int, total: int | None, words: str) -> None:
            if pace.due():
                say(f"{words}{pace.left(done, total or 0)}")

        with interruptible() as stop:
            return resolve(load_settings(), value, stop, tell)


LIBRARY = _Library()
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
    one = ctx.params.get("name") or ctx.params.get("library")
    named = ctx.params.get("libraries") or ctx.params.get("targets") or ([one] if one else ())
    if {"name", "libraries", "targets"} & {
        each.name for each in ctx.command.params if isinstance(each, click.Argument)
    }:
        named = named or ctx.args  # click leaves arguments there while an option has no value
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
author_option = click.option(
    "--author", default="", metavar="NAME", help="Who makes the tracked changes; else your name on this machine."
)
date_option = click.option(
    "--date",
    type=click.DateTime(["%Y-%m-%d"]),
    callback=lambda ctx, param, day: day.strftime("%Y-%m-%dT00:00:00Z") if day else "",
    metavar="DATE",
    help="The day of the tracked changes, as 2026-12-31; else now.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")


def libraries_option(help: str, **more: Any) -> Callable[[F], F]:
    """Return the option that names libraries; `more` overrides what it is like."""
    given: dict[str, Any] = {
        "multiple": True,
        "metavar": "NAME",
        "shell_complete": complete_library,
        "type": LIBRARY,
        "help": help,
    }
    given |= more
    return click.option("-l", "--library", *(["libraries"] if given["multiple"] else []), **given)


def libraries_argument(**more: Any) -> Callable[[F], F]:
    """Return the argument that names the libraries which are the object of a command."""
    given = {"nargs": -1, "metavar": "[NAME]...", "shell_complete": complete_library, "type": LIBRARY, **more}
    return click.argument("libraries", **given)


def library_argument() -> Callable[[F], F]:
    """Return the argument that names the one library which is the object of a command."""
    return click.argument("name", shell_complete=complete_library, type=LIBRARY)


def out_option(help: str, name: str = "file", **more: Any) -> Callable[[F], F]:
    """Return the option that names the file to write; `more` overrides what it is like."""
    return click.option("-o", "--out", name, **{"type": FILE, "metavar": "FILE", "help": help, **more})


library_option = libraries_option("Search this library; may be repeated. Needed only if there are several.")


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


narrowing_options = bundled(
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
    return library_option(narrowing_options(command))


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


def chosen_libraries(
    names: Sequence[str], settings: Settings, hint: str = "Name one (or more) with --library."
) -> list[str]:
    """Return the libraries named, or the only one; raise an error if there are none or several."""
    from localrag.store.names import library_names

    if names:
        return list(dict.fromkeys(names))
    there = library_names(settings.indexes_dir)
    if not there:
        raise NotFoundError(f"there is no library in {str(settings.indexes_dir)!r}", "Make one: localrag ingest FOLDER")
    if len(there) > 1:
        raise UsageError(f"there are {len(there)} libraries: {', '.join(there)}", hint)
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


# --- the shell's completion ---------------------------------------------------------------------------------
# Names of documents come from others, so that none may run anything on the line it is put on.

_PLAIN = re.compile(r"[\w./,+@%:=-]*")
_NOT_PLAIN = re.compile(r"([^\w./,+@%:=-])")
# As click's own, but it expands no pattern in a value, and says that it takes values with backslashes.
_BASH = """\
%(complete_func)s() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            dir,*) compopt -o dirnames ;;
            file,*) compopt -o default ;;
            plain,*) COMPREPLY+=("${line#*,}") ;;
        esac
    done < <(env COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD="$COMP_CWORD" %(complete_var)s_ESCAPED=1 \
%(complete_var)s=bash_complete "$1")
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Guarded(ShellComplete):
    """Offers only what the shell's line can hold, and no name that would be read as an option."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[Any]]:
        found = super().get_completions(args, incomplete)
        return [
            CompletionItem(item.value, item.type, one_line(item.help) if item.help else None)
            for item in found
            if self.holds(str(item.value)) and (incomplete.startswith("-") or not str(item.value).startswith("-"))
        ]

    def holds(self, value: str) -> bool:
        return value.isprintable()  # zsh and fish quote the rest


class _Bash(_Guarded, BashComplete):
    source_template = _BASH

    def holds(self, value: str) -> bool:
        return value.isprintable() and (self._escaped() or bool(_PLAIN.fullmatch(value)))

    def format_completion(self, item: CompletionItem[Any]) -> str:
        # A backslash before each letter that is not plain holds within open quotes, too.
        value = _NOT_PLAIN.sub(r"\\\1", item.value) if self._escaped() else item.value
        return f"{item.type},{value}"

    def _escaped(self) -> bool:
        """False for the script of an earlier version, which loses backslashes."""
        return f"{self.complete_var}_ESCAPED" in os.environ


class _Zsh(_Guarded, ZshComplete):
    pass


class _Fish(_Guarded, FishComplete):
    source_template = FishComplete.source_template.replace("string split", "string split --max 1")  # names hold commas


class _PowerShell(_Guarded, PowerShellComplete):
    def holds(self, value: str) -> bool:
        return bool(_PLAIN.fullmatch(value))  # its script quotes nothing


def register_completion() -> None:
    """Replace click's own completion."""
    for kind in (_Bash, _Zsh, _Fish, _PowerShell):
        add_completion_class(kind)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the shell completion script for SHELL.

    \b
    bash  localrag completion bash > ~/.local/share/bash-completion/completions/localrag
    zsh   localrag completion zsh > "${fpath[1]}/_localrag"
    fish  localrag completion fish > ~/.config/fish/completions/localrag.fish

    It takes effect in the next shell. The bash script needs bash 4.4 or later, which
    macOS does not include.
    """
    # `source()` would ask the system's bash for its version first.
    script = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}[shell](
        click.Command("localrag"), {}, "localrag", "_LOCALRAG_COMPLETE"
    )
    echo(script.source_template % script.source_vars())
