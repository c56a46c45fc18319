"""`localrag chat`: open the terminal app over a folder, a library, or whatever there is.

Documents and models live in a worker process, so that this one loads nothing heavy and paints at once.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from localrag.cli.options import filter_options, keep_to_retention, library_option, thought_options
from localrag.cli.sessions import complete_conversation
from localrag.errors import NotFoundError, SettingsError, UsageError
from localrag.settings import as_text
from localrag.store.names import DATABASE
from localrag.types import MODES, Filter, Mode

if TYPE_CHECKING:
    from localrag.settings import Settings
    from localrag.tui.chat_state import Resumed
    from localrag.tui.lanes import Core

PATIENCE = 5.0  # seconds to wait for the threads after the app has closed


@click.command("chat", epilog="""\b
Examples:
  localrag chat ./contracts
  localrag chat contracts --document 'leases/*'
  localrag chat letters --type mail --since 2023
  localrag chat --resume
  localrag chat --resume 'Notice period'
  localrag chat contracts --plain
  localrag chat contracts --plain < questions.txt > answers.txt""")  # fmt: skip
@click.argument("target", metavar="[FOLDER|LIBRARY]", required=False)
@library_option
@filter_options
@click.option("--mode", type=click.Choice(MODES), default="auto", show_default=True, help="How to find answers.")
@click.option("--model", metavar="ID", help="The model that answers.")
@click.option(
    "--plain",
    is_flag=True,
    help="Chat in lines instead of a screen: for screen readers, simple terminals and pipes. :help lists commands.",
)
@click.option("--resume", is_flag=False, flag_value="last", metavar="[CONVERSATION]",
              shell_complete=complete_conversation,
              help="Continue the last conversation, or one by its id or title (localrag sessions list).")  # fmt: skip
@thought_options
def chat_command(
    target: str | None, libraries: Sequence[str], only: Filter, mode: Mode, model: str | None, plain: bool,
    resume: str | None, thought: dict[str, Any],
) -> None:  # fmt: skip
    """Open the terminal app over a folder or library.

    A folder that is no library yet is read first, after a yes. Without an argument: the only library, or a list to
    choose from. F1 lists the keys.
    """
    from localrag.cli import plain as plain_chat
    from localrag.settings import load_settings

    if resume is not None and (target or libraries or only or mode != "auto"):
        raise UsageError(
            "--resume restores the libraries, filters and mode of the conversation",
            "Leave out the library, --mode and the options that narrow it; change them in the app.",
        )
    plain = plain or (sys.stdout.isatty() and plain_chat.is_simple_terminal(os.environ.get("TERM", "dumb")))
    if not plain and not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "the terminal app needs a terminal for its input and output",
            'In a script or pipe, use: localrag ask "question" --library NAME, or localrag chat --plain',
        )
    given = {name: value for name, value in {"generator": model, **thought}.items() if value is not None}
    settings = load_settings().with_options(**given)
    keep_to_retention(settings)
    resumed = None
    if resume is not None:
        settings, resumed = _resumed(settings, resume, list(given))
        named, folder = list(resumed.scope.libraries), None
    else:
        named, folder = resolve(settings, target, libraries)
    _unlock(settings, named)
    if plain:
        sys.exit(_chat_in_lines(settings, tuple(named), folder, only, mode, resumed))
    gc.disable()  # until the first frame: everything made for it stays, so a collection frees nothing
    try:
        _run_app(settings, named, folder, only, mode, list(given), resumed)
    finally:
        gc.enable()


def _run_app(
    settings: Settings, named: list[str], folder: Path | None, only: Filter, mode: Mode, given: Sequence[str],
    resumed: Resumed | None,
) -> None:  # fmt: skip
    from localrag.cli import installer
    from localrag.tui.app import LocalragApp
    from localrag.tui.preferences import Preferences, look_of

    app = LocalragApp(
        real_core(settings), libraries=named, folder=folder, only=only, mode=mode,
        preferences=Preferences(settings, options=given), look=look_of(os.environ), installer=installer.ready(),
        resumed=resumed,
    )  # fmt: skip
    app.run()
    code = app.return_code or 0
    app.core.engine.close()  # in the middle of whatever it does: everything worth keeping is on the disk
    if not app.shut_down(PATIENCE):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if code:
        sys.exit(code)


def _chat_in_lines(
    settings: Settings, named: tuple[str, ...], folder: Path | None, only: Filter, mode: Mode, resumed: Resumed | None
) -> int:
    from localrag.cli import plain

    click.get_current_context().color = False
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    if resumed is not None:
        only, mode = resumed.scope.only, resumed.scope.mode
        for note in resumed.notes:
            plain.say(note)
    core = real_core(settings)
    try:
        chosen = plain.library_names(core.engine, named, folder)
        core.engine.use(chosen)
        session = resumed.session if resumed else None
        return plain.PlainChat(core.engine, core.store, chosen, only, mode, session).run()
    finally:
        core.engine.close()


def _resumed(settings: Settings, named: str, given: Sequence[str]) -> tuple[Settings, Resumed]:
    """Load a conversation and restore its settings, except those in `given`."""
    from localrag.models.store import ModelStore
    from localrag.sessions import store_of
    from localrag.store import names
    from localrag.tui.chat_state import ANSWER_SETTINGS, resume

    store = store_of(settings)
    session = store.load(store.find(named))
    models = [model.id for model in ModelStore(settings).installed("generator")]
    found = resume(session, names.library_names(settings.indexes_dir), models)
    found = replace(found, keep=found.keep | set(given))
    for name in ANSWER_SETTINGS & session.settings.keys() - found.keep:
        with suppress(SettingsError):  # the app reports what could not be restored
            settings = settings.with_options(**{name: as_text(session.settings[name])})
    return settings, found


def _unlock(settings: Settings, libraries: Sequence[str]) -> None:
    """Get the keys of encrypted libraries while the terminal can be used to ask; the worker receives them."""
    from localrag.security.encryption import unlocked

    for name in libraries:
        unlocked.keys_for(settings.library_dir(name) / DATABASE)


def resolve(settings: Settings, target: str | None, libraries: Sequence[str]) -> tuple[list[str], Path | None]:
    """Return the libraries to ask, or the folder to read; neither if the person chooses.

    Raises:
        UsageError: the target is a file.
        NotFoundError: there is no such library or folder.
    """
    from localrag.store import names

    known = names.library_names(settings.indexes_dir)
    for name in libraries:
        if name not in known:
            raise NotFoundError(f"there is no library {name!r}", _known(known))
    if target is None:
        return list(libraries), None
    path = Path(target).expanduser()
    # A bare word is the name of a library first; ./word is a folder.
    if target in known:
        return [target, *(name for name in libraries if name != target)], None
    if path.is_dir():
        found = names.library_of(path, settings)
        return ([found, *(name for name in libraries if name != found)], None) if found else ([], path)
    if path.exists():
        raise UsageError(f"{target!r} is a file", f"Give its folder: localrag chat {str(path.parent)!r}")
    raise NotFoundError(f"there is no folder or library {target!r}", _known(known))


def _known(names: Sequence[str]) -> str:
    return f"Libraries: {', '.join(names)}." if names else "There is no library yet. To make one: localrag chat FOLDER"


def real_core(settings: Settings) -> Core:
    """Return the real engine and store of conversations."""
    from localrag.sessions import store_of
    from localrag.tui.lanes import Core
    from localrag.worker.client import remote_engine

    return Core(remote_engine(settings), store_of(settings))
