"""`localrag chat`: open the terminal app over a folder, a library, or whatever there is.

Finds out what is meant and puts the real core behind the app: documents and models in a worker process, so that this
one loads nothing heavy and paints at once.
"""

from __future__ import annotations

import gc
import os
import signal
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
    from localrag.tui.app import LocalragApp
    from localrag.tui.core import Core
    from localrag.tui.resuming import Resumed

# Longest wait for the threads of the core after the app has closed, in seconds.
PATIENCE = 5.0


@click.command(
    "chat",
    epilog="""\b
Examples:
  localrag chat ./contracts
  localrag chat contracts --document 'leases/*'
  localrag chat letters --type mail --since 2023
  localrag chat --resume
  localrag chat --resume 'Notice period'
  localrag chat contracts --plain
  localrag chat contracts --plain < questions.txt > answers.txt""",
)
@click.argument("target", metavar="[FOLDER|LIBRARY]", required=False)
@library_option
@filter_options
@click.option("--mode", type=click.Choice(MODES), default="auto", show_default=True, help="How to look things up.")
@click.option("--model", metavar="ID", help="The model that answers.")
@click.option(
    "--plain",
    is_flag=True,
    help="Talk in lines instead of a screen: for screen readers, simple terminals and pipes. :help lists its commands.",
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value="last",
    metavar="[CONVERSATION]",
    shell_complete=complete_conversation,
    help="Go on with a conversation, named by its id or title (localrag sessions list), or with the one used last.",
)
@thought_options
def chat_command(
    target: str | None, libraries: Sequence[str], only: Filter, mode: Mode, model: str | None, plain: bool,
    resume: str | None, thought: dict[str, Any],
) -> None:  # fmt: skip
    """Open the terminal app over a folder or library.

    A folder that is not a library yet is read into one first, after a yes. Without an argument: the only
    library, or a list to choose from. F1 lists the keys.
    """
    from localrag.cli.plain import simple_terminal

    if resume is not None and (target or libraries or only or mode != "auto"):
        raise UsageError(
            "--resume brings along what the conversation is asked of and how",
            "Leave out the library, --mode and the options that narrow it; they can be changed in the app.",
        )
    if plain or (sys.stdout.isatty() and simple_terminal(os.environ.get("TERM", "dumb"))):
        _talk_in_lines(target, tuple(libraries), only, mode, model, resume, thought)
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "the terminal app needs a terminal for its input and output",
            'In a script or pipe, use: localrag ask "question" --library NAME, or localrag chat --plain',
        )
    settings = _settings(model, thought)
    given = [name for name, value in {"generator": model, **thought}.items() if value is not None]
    resumed = None
    if resume is not None:
        settings, resumed = _resumed(settings, resume, given)
        named, folder = list(resumed.scope.libraries), None
    else:
        named, folder = resolve(settings, target, libraries)
    _unlock(settings, named)
    gc.disable()  # until the first frame: all that is made for it stays, so looking through it frees nothing
    try:
        _run(_app(settings, named, folder, only, mode, given, resumed))
    finally:
        gc.enable()


def _app(
    settings: Settings, named: list[str], folder: Path | None, only: Filter, mode: Mode, given: Sequence[str],
    resumed: Resumed | None,
) -> LocalragApp:  # fmt: skip
    from localrag.cli import installer
    from localrag.tui.app import LocalragApp
    from localrag.tui.preferences import Preferences
    from localrag.tui.themes import look_of

    return LocalragApp(
        real_core(settings), libraries=named, folder=folder, only=only, mode=mode,
        preferences=Preferences(settings, options=given), look=look_of(os.environ), installer=installer.ready(),
        resumed=resumed,
    )  # fmt: skip


def _talk_in_lines(
    target: str | None, libraries: tuple[str, ...], only: Filter, mode: Mode, model: str | None, resume: str | None,
    thought: dict[str, Any],
) -> None:  # fmt: skip
    from localrag.cli import first_model, installer, plain

    click.get_current_context().color = False
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="replace")
    settings = _settings(model, thought)
    session = None
    if resume is not None:
        given = [name for name, value in {"generator": model, **thought}.items() if value is not None]
        settings, resumed = _resumed(settings, resume, given)
        session, only, mode = resumed.session, resumed.scope.only, resumed.scope.mode
        named, folder = list(resumed.scope.libraries), None
        for note in resumed.notes:
            plain.say(note)
    else:
        named, folder = resolve(settings, target, libraries)
    _unlock(settings, named)
    core, ask_back = real_core(settings), plain.can_ask()
    _halt_together(core)
    try:
        if ask_back and (ready := installer.ready()) is not None and ready.wanted:
            # Without the small model that comes along, no folder can be read either.
            first_model.choose(core.engine, ready)
        chosen = plain.chosen(core.engine, tuple(named), folder, ask_back)
        core.engine.use(chosen)
        talk = plain.PlainChat(core.engine, core.store, chosen, only, mode, ask_back=ask_back)
        if session is not None:
            talk.resume(session)
        code = talk.run()
    finally:
        core.engine.close()
    sys.exit(code)


def _settings(model: str | None, thought: dict[str, Any]) -> Settings:
    """The settings that hold here; what has gone too old by them is gone before anything is shown."""
    from localrag.settings import load_settings

    settings = load_settings().with_options(generator=model, **thought)
    keep_to_retention(settings)
    return settings


def _resumed(settings: Settings, named: str, given: Sequence[str]) -> tuple[Settings, Resumed]:
    """A conversation to go on with, and the settings that it was left with; those that were `given` stay."""
    from localrag.models.store import ModelStore
    from localrag.sessions import store_of
    from localrag.store import names
    from localrag.tui.resuming import SHAPING, ready_with

    store = store_of(settings)
    session = store.load(store.find(named))
    models = [model.id for model in ModelStore(settings).installed("generator")]
    found = ready_with(names.library_names(settings.indexes_dir), models, session)
    found = replace(found, stay=found.stay | set(given))
    for name in set(SHAPING) & session.settings.keys() - found.stay:
        with suppress(SettingsError):  # the app says which could not be set back
            settings = settings.with_options(**{name: as_text(session.settings[name])})
    return settings, found


def _unlock(settings: Settings, libraries: Sequence[str]) -> None:
    """Come by the keys of encrypted libraries while the terminal is there to ask at; the worker is given them."""
    from localrag.security.encryption import unlocked

    for name in libraries:
        unlocked.keys_for(settings.library_dir(name) / DATABASE)


def _halt_together(core: Core) -> None:
    """Have Ctrl-Z halt the worker, too: it does not belong to the terminal's processes."""

    def halt(number: int, frame: object) -> None:
        core.engine.pause(True)
        os.kill(os.getpid(), signal.SIGSTOP)
        core.engine.pause(False)

    if sys.platform != "win32":
        signal.signal(signal.SIGTSTP, halt)


def resolve(settings: Settings, target: str | None, libraries: Sequence[str]) -> tuple[list[str], Path | None]:
    """The libraries to ask, or the folder to read into one; neither where the person is to choose.

    Raises:
        UsageError: the target is a file.
        NotFoundError: a library or folder that is not there.
    """
    from localrag.store import names

    known = names.library_names(settings.indexes_dir)
    for name in libraries:
        if name not in known:
            raise NotFoundError(f"there is no library {name!r}", _known(known))
    if target is None:
        return list(libraries), None
    path = Path(target).expanduser()
    # A bare word is a library's name before it is a folder's: ./word says the folder.
    if target in known:
        return [target, *(name for name in libraries if name != target)], None
    if path.is_dir():
        found = names.library_of(path, settings)
        return ([found, *(name for name in libraries if name != found)], None) if found else ([], path)
    if path.exists():
        raise UsageError(f"{target!r} is a file", f"Give the folder it lies in: localrag chat {str(path.parent)!r}")
    raise NotFoundError(f"there is no folder or library {target!r}", _known(known))


def _known(names: Sequence[str]) -> str:
    return f"Libraries: {', '.join(names)}." if names else "There is no library yet: localrag chat FOLDER makes one."


def real_core(settings: Settings) -> Core:
    """The app's door to the real assistant, libraries and conversations."""
    from localrag.sessions import store_of
    from localrag.tui.core import Core
    from localrag.worker.client import remote_engine

    return Core(remote_engine(settings), store_of(settings))


def _run(app: LocalragApp) -> None:
    app.run()
    code = app.return_code or 0
    app.core.engine.close()  # in the middle of whatever it does: everything worth keeping is on the disk by now
    if not app.shut_down(PATIENCE):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if code:
        sys.exit(code)
