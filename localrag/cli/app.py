"""The `localrag` command: the table of commands, shell completion, and how errors end a command.

Each command is imported when it is called, so that `--help` and `--version` are instant. Answers go to stdout,
everything else to stderr. Exit codes are those of `errors.py`; 0 is success, 130 a stop by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import textwrap
import traceback
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from localrag import __version__, policy
from localrag.cli import keys, old_names, options
from localrag.cli.output import echo, one_line, report
from localrag.errors import LocalragError, PolicyUnreadable, SettingsError
from localrag.security import audit, offline
from localrag.security.encryption import unlocked
from localrag.security.offline import remote, viewer_process
from localrag.settings import load_settings

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# name -> (module in localrag.cli, one-line help). The help is here so that listing the commands imports none.
COMMANDS = {
    "ask": ("ask", "Answer a question from a library, with page and quote."),
    "audit": ("audit", "Show who did what, and verify the audit log."),
    "backup": ("libraries", "Write a library to one file."),
    "calibrate": ("evaluate", "Measure when a model should answer."),
    "chat": ("chat", "Open the terminal app over a folder or library."),
    "compare": ("compare", "Say what changed between two versions of a document."),
    "completion": ("options", "Print the shell completion script."),
    "config": ("config", "Show and change settings."),
    "dates": ("dates", "List deadlines and obligations, or write them to a calendar."),
    "doctor": ("doctor", "Check this installation, and say how to fix what is wrong."),
    "eval": ("evaluate", "Measure retrieval and answers on questions with known answers."),
    "export": ("libraries", "Write a read-only library for a share or a stick."),
    "extract": ("extract", "Fill a table from documents by a schema."),
    "facts": ("overview", "Show the facts of a document, and correct them."),
    "forget": ("libraries", "Delete a library or documents for good."),
    "ingest": ("ingest", "Read a folder into a library, or update the library."),
    "instruct": ("libraries", "Set how answers from a library are worded."),
    "libraries": ("libraries", "List the libraries."),
    "mcp": ("serve", "Serve libraries to a program that speaks MCP."),
    "models": ("models", "Install, verify, choose and import models."),
    "overview": ("overview", "Show the first page of a library: documents, days, amounts, people."),
    "proofread": ("proofread", "Find errors of drafting in a document, without a model."),
    "prove": ("prove", "Test on this machine what localrag promises."),
    "redline": ("redline", "Write a playbook's wording into a Word file as tracked changes."),
    "restore": ("libraries", "Restore a library from a backup or a folder."),
    "review": ("review", "Check documents against a playbook, clause by clause."),
    "search": ("ask", "Find passages, without a model that answers."),
    "serve": ("serve", "Let programs and browsers of this machine ask, over HTTP."),
    "sessions": ("sessions", "List, search, rename, branch, export and delete conversations."),
    "show": ("libraries", "Print a page as it is stored."),
    "status": ("libraries", "Show what a library holds."),
    "store": ("store", "Prepare a PostgreSQL database, and say who may read its libraries."),
    "vault": ("vault", "Encrypt libraries, and choose who can open them."),
    "verify": ("libraries", "Check every file of a read-only library."),
    "warm": ("ingest", "Read documents into the prompt cache, so that answers start at once."),
}

# These open no library and need no key.
WITHOUT_LIBRARIES = {"completion", "doctor", "models"}
# Their arguments contain words of questions and documents, which every user could read in a list of processes.
WORDY = set(
    "ask compare dates extract facts forget overview proofread prove redline review search sessions show".split()
)


@cache
def _examples() -> dict[str, str]:
    text = Path(__file__).with_name("examples.txt").read_text(encoding="utf-8")
    return dict(part.strip().split("]\n", 1) for part in text.split("\n[")[1:])


def _add_examples(command: click.Command, name: str) -> None:
    """Add the examples of examples.txt to the help of a command, or of each in a group."""
    if isinstance(command, click.Group):
        for word, one in command.commands.items():
            _add_examples(one, f"{name} {word}")
    elif name in _examples():
        command.epilog = f"\b\nExamples:\n{textwrap.indent(_examples()[name], '  ')}"


class Commands(click.Group):
    """A group that imports the module of a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"localrag.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        _add_examples(command, cmd_name)
        return command if cmd_name in WITHOUT_LIBRARIES else keys.with_key_file(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        args, note = old_names.renewed(args)
        if note and not ctx.resilient_parsing:
            echo(f"! {one_line(note)}", fg="yellow", err=True)
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete command names without importing the commands."""
        from click.shell_completion import CompletionItem

        names = [CompletionItem(name, help=COMMANDS[name][1]) for name in COMMANDS if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            if near := difflib.get_close_matches(args[0], COMMANDS, 1):
                raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx) from error
            raise


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: localrag models install && localrag ingest ./contracts && localrag chat contracts",
)
@click.version_option(__version__, "--version", message="localrag %(version)s")
@click.option("--debug", is_flag=True, help="Print the traceback of an error.")
@click.pass_context
def localrag(ctx: click.Context, debug: bool) -> None:
    """Ask questions about private documents, offline.

    Nothing leaves this machine, except to the stores and model servers that a policy allows.

    Without a command, opens the terminal app.
    """
    if ctx.invoked_subcommand is None and (chat := localrag.get_command(ctx, "chat")):
        ctx.invoke(chat)


def _share(folder: Path, event: str, details: Mapping[str, Any]) -> None:
    """Add an entry of the audit log to that of the store where a library is shared."""
    from localrag.store import names

    names.share_audit(folder, event, details)


def main() -> None:
    """Confine the process, run the command, and exit with its code."""
    sys.excepthook = lambda *error: echo("".join(traceback.format_exception(*error)), err=True, nl=False)
    hide_arguments(sys.argv[1:])
    if not sys.argv[1:] and all(one.isatty() for one in (sys.stdin, sys.stdout, sys.stderr)):
        _first_start()
    if code := _confine(sys.argv[1:]):
        sys.exit(code)
    unlocked.set_key_source(keys.library_key)
    policy.on_refusal(_refused)
    audit.share(_share)
    if "_LOCALRAG_COMPLETE" in os.environ:
        options.register_completion()
    else:
        _warn()
    debug = "--debug" in sys.argv
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)  # of service managers
    try:
        # `python -m localrag` needs the name for the same help and completion.
        code = localrag.main(prog_name="localrag", standalone_mode=False)
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.ClickException as error:
        error.show(usage := io.StringIO())  # it names arguments as they were given
        echo(usage.getvalue(), err=True, nl=False)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        echo("Stopped.", err=True)
        code = _stopped
    except LocalragError as error:
        if debug:
            raise
        code = report(error)
    except BrokenPipeError:
        # The reader of our output (`| head`) is gone; print nothing, not even at shutdown.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    sys.exit(code if isinstance(code, int) else 0)


def _first_start() -> None:
    """Set localrag up with a person who starts it on a terminal with nothing set up, or after one that was stopped."""
    from localrag.store import names

    offline.confine_python()
    try:
        settings = load_settings()
        if names.library_names(settings.indexes_dir) and not settings.first_start_file.exists():
            return
        from localrag.cli import first_start

        first_start.run(settings)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except (KeyboardInterrupt, click.Abort):
        echo("\nStopped. Start again with: localrag", err=True)
        sys.exit(_stopped)
    except LocalragError as error:
        sys.exit(report(error))


def _warn() -> None:
    """Name the variables and the settings of the current folder's file that are ignored."""
    given = any(name.startswith("LOCALRAG_") for name in os.environ) or os.path.lexists("localrag.toml")
    if not given:
        return
    from localrag import settings

    warnings = settings.unknown_variables()
    with suppress(LocalragError):  # a file that cannot be read is reported by the command
        if (found := settings.project_file()) and found.warning:
            warnings.append(found.warning)
    for warning in warnings:
        echo(f"! {one_line(warning)}", fg="yellow", err=True)


def hide_arguments(arguments: list[str]) -> None:
    """Erase the words of a question from the list of processes. Linux only; they are visible until then."""
    command = next((at for at, word in enumerate(arguments) if not word.startswith("-")), None)
    if sys.platform != "linux" or command is None or arguments[command] not in WORDY:
        return
    import ctypes

    with suppress(OSError, ValueError, IndexError):
        fields = Path("/proc/self/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, proc_pid_stat(5)
        words = b"".join(os.fsencode(word) + b"\0" for word in arguments[command + 1 :])
        if start < end and Path("/proc/self/cmdline").read_bytes().endswith(words):
            ctypes.memset(end - len(words), 0, len(words))


def _confine(arguments: list[str]) -> int:
    """Block the network for good; returns an exit code.

    `models install` is exempt because it downloads, `prove offline` because it plays the outside of a process that
    confines itself, `serve` confines itself once it has its socket, and `ingest --cluster` has sockets while it works.
    This reads the arguments before click does, so that nothing else runs unconfined; an install that it does not
    recognise is confined, and fails.
    """
    offline.confine_python()
    words = [word for word in arguments if not word.startswith("-")]
    try:
        offline.close_sockets()
        if words[:2] in (["models", "install"], ["prove", "offline"]) or words[:1] == ["serve"]:
            return 0
        if words[:1] in ([], ["chat"]):
            viewer_process.start(_show)
        if words[:1] == ["ask"]:
            from localrag.worker import resident

            resident.connect()
        if not {"--help", "--version"} & set(arguments) and "_LOCALRAG_COMPLETE" not in os.environ:
            with suppress(SettingsError, PolicyUnreadable):  # the command reports them
                remote.start_broker(remote.wanted(load_settings()), arguments)
        if words[:1] == ["ingest"] and any(word.partition("=")[0] == "--cluster" for word in arguments):
            return 0
        offline.confine()
    except LocalragError as error:
        return report(error)
    return 0


def _refused(refusal: policy.Refusal) -> None:
    from localrag.security import audit

    audit.record_refusal(load_settings().audit_file, refusal)


def _show(file: Path, page: int | None) -> bool:
    """Open a file for the terminal app, from the unconfined process."""
    from localrag.tui import viewing

    return viewing.show(file, page)


_stopped = 128 + signal.SIGINT  # the exit code


def _stop(signum: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, so that what is half done is cleared away, or exit at once during an import.

    While they load, some extension modules abort at an exception, others turn it into an ImportError, and the importer
    itself can lose it.
    """
    global _stopped
    _stopped = 128 + signum
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            echo("Stopped.", err=True)
            os._exit(128 + signum)
        frame = frame.f_back
    raise KeyboardInterrupt
