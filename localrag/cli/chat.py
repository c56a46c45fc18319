"""`localrag chat`: open the terminal app over a folder or library, or chat in lines (`--plain`).

Documents and models live in a worker process, so that this one loads nothing heavy and paints at once.
In lines nothing is drawn over or coloured: answers go to stdout, everything else to stderr.
"""

from __future__ import annotations

import gc
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localrag.cli import keys
from localrag.cli.ask import print_answer, progress_line
from localrag.cli.options import (
    LIBRARY,
    chosen_libraries,
    complete_library,
    keep_to_retention,
    mode_option,
    model_option,
    narrowing_options,
    think_option,
)
from localrag.cli.output import Pace, counted, echo, interruptible, one_line, say
from localrag.cli.sessions import complete_conversation
from localrag.errors import LocalragError, NotFoundError, SettingsError, UsageError
from localrag.events import Answered, Notice, Planned
from localrag.security.encryption import unlocked
from localrag.settings import Think, as_text
from localrag.store.names import database_of
from localrag.types import MODES, Answer, Filter, Mode

if TYPE_CHECKING:
    from localrag.sessions import Session, SessionStore
    from localrag.settings import Settings
    from localrag.tui.chat_state import Resumed
    from localrag.tui.threads import Core
    from localrag.worker.engine import Engine

HELP = """\
  :source N      the words around source N of the last answer
  :mode MODE     how answers are found: auto, retrieve, read, survey, exact
  :export FILE   write the conversation to a file (.md, .html, .docx, .json, .pdf)
  :new           start a new conversation
  :quit          leave
Anything else is a question. Ctrl-C stops an answer."""
AROUND = 500  # characters shown before and after a quote
PATIENCE = 5.0  # seconds to wait for the threads after the app has closed


@click.command("chat")
@click.argument("targets", metavar="[FOLDER|LIBRARY]...", nargs=-1, shell_complete=complete_library, type=LIBRARY)
@narrowing_options
@mode_option
@model_option
@click.option(
    "--plain",
    is_flag=True,
    help="Chat in lines instead of a screen: for screen readers, simple terminals and pipes. :help lists commands.",
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value="last",
    metavar="[CONVERSATION]",
    shell_complete=complete_conversation,
    help="Continue the last conversation, or one by its id or title (localrag sessions list).",
)
@think_option
def chat_command(
    targets: Sequence[str],
    only: Filter,
    mode: Mode,
    generator: str | None,
    plain: bool,
    resume: str | None,
    think: Think | None,
) -> None:
    """Open the terminal app over a folder or library; other libraries may follow.

    A folder that is no library yet is read first, after a yes. Without an argument: the only library, or a list to
    choose from. F1 lists the keys.
    """
    from localrag.settings import load_settings

    targets = sorted(targets, key=lambda one: not _is_folder(one))  # a folder may stand behind libraries
    if resume is not None and (targets or only or mode != "auto"):
        hint = "Leave out the library, --mode and the options that narrow it; change them in the app."
        raise UsageError("--resume restores the libraries, filters and mode of the conversation", hint)
    plain = plain or (sys.stdout.isatty() and is_simple_terminal(os.environ.get("TERM", "dumb")))
    if not plain and not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        hint = 'In a script or pipe, use: localrag ask "question" --library NAME, or localrag chat --plain'
        raise UsageError("the terminal app needs a terminal for its input and output", hint)
    given = {name: value for name, value in {"generator": generator, "think": think}.items() if value is not None}
    settings = load_settings().with_options(**given)
    keep_to_retention(settings)
    resumed = None
    if resume is not None:
        settings, resumed = _resumed(settings, resume, list(given))
        named, folder = list(resumed.scope.libraries), None
    else:
        named, folder = resolve(settings, next(iter(targets), None), targets[1:])
    for name in named:  # now, while the terminal can be used to ask; the worker receives the keys
        unlocked.keys_for(database_of(settings.library_dir(name)))
    if plain:
        sys.exit(_chat_in_lines(settings, tuple(named), folder, only, mode, resumed))
    gc.disable()  # until the first frame: everything made for it stays, so a collection frees nothing
    try:
        _run_app(settings, named, folder, only, mode, list(given), resumed)
    finally:
        gc.enable()


def _run_app(
    settings: Settings,
    named: list[str],
    folder: Path | None,
    only: Filter,
    mode: Mode,
    given: Sequence[str],
    resumed: Resumed | None,
) -> None:
    from localrag.tui.app import LocalragApp
    from localrag.tui.preferences import Preferences, look_of

    app = LocalragApp(
        real_core(settings),
        libraries=named,
        folder=folder,
        only=only,
        mode=mode,
        preferences=Preferences(settings, options=given),
        look=look_of(os.environ),
        resumed=resumed,
        without_model=_without_model(settings),
    )
    # Nobody can type a passphrase behind the screen: what is encrypted meanwhile stays locked.
    unlocked.set_key_source(lambda folder, keyring, ask: keys.library_key(folder, keyring, False))
    app.run()
    code = app.return_code or 0
    app.core.engine.close()  # in the middle of whatever it does: everything worth keeping is on the disk
    if not app.shut_down(PATIENCE):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if code:
        sys.exit(code)


def _without_model(settings: Settings) -> bool:
    """Return whether no model that answers is installed; importing `localrag.models` would delay the first frame."""
    if settings.generator_server:
        return False
    try:
        records = list(settings.models_dir.glob("*/model.json"))
        return not any(json.loads(record.read_bytes()).get("kind") == "generator" for record in records)
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def _chat_in_lines(
    settings: Settings, named: tuple[str, ...], folder: Path | None, only: Filter, mode: Mode, resumed: Resumed | None
) -> int:
    click.get_current_context().color = False
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    if resumed is not None:
        only, mode = resumed.scope.only, resumed.scope.mode
        for note in resumed.notes:
            say(note)
    if folder is not None:
        raise NotFoundError(f"{str(folder)!r} has not been read yet", f"Read it first: localrag ingest {str(folder)!r}")
    chosen = tuple(chosen_libraries(named, settings, "Name one (or more): localrag chat --plain NAME"))
    core = real_core(settings)
    with closing(core.engine):
        core.engine.use(chosen)
        session = resumed.session if resumed else None
        return PlainChat(core.engine, core.store, chosen, only, mode, session).run()


def _resumed(settings: Settings, named: str, given: Sequence[str]) -> tuple[Settings, Resumed]:
    """Load a conversation and restore its settings, except those in `given`."""
    from localrag.llm import loading
    from localrag.sessions import store_of
    from localrag.sessions.session_store import ANSWER_SETTINGS
    from localrag.store import names
    from localrag.tui.chat_state import resume

    store = store_of(settings)
    session = store.load(store.find(named))
    found = resume(session, names.library_names(settings.indexes_dir), loading.generators(settings))
    found = replace(found, keep=found.keep | set(given))
    for name in ANSWER_SETTINGS & session.settings.keys() - found.keep:
        with suppress(SettingsError):  # the app reports what could not be restored
            settings = settings.with_options(**{name: as_text(session.settings[name])})
    return settings, found


def _is_folder(target: str) -> bool:
    with suppress(OSError, ValueError):  # such as a name that is too long
        return Path(target).is_dir()
    return False


def resolve(settings: Settings, target: str | None, libraries: Sequence[str]) -> tuple[list[str], Path | None]:
    """Return the libraries to ask, or the folder to read; neither if the person chooses."""
    from localrag.store import names

    known = names.library_names(settings.indexes_dir)
    there = f"Libraries: {', '.join(known)}." if known else "There is no library yet. To make one: localrag chat FOLDER"
    for name in libraries:
        if name not in known:
            raise NotFoundError(f"there is no library {name!r}", there)
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
    raise NotFoundError(f"there is no folder or library {target!r}", there)


def real_core(settings: Settings) -> Core:
    """Return the real engine and store of conversations."""
    from localrag.sessions import store_of
    from localrag.tui.threads import Core
    from localrag.worker.client import remote_engine

    return Core(remote_engine(settings), store_of(settings))


class PlainChat:
    """A conversation with libraries, line by line."""

    def __init__(
        self,
        engine: Engine,
        store: SessionStore,
        libraries: tuple[str, ...],
        only: Filter,
        mode: Mode,
        session: Session | None = None,
    ) -> None:
        self.engine, self.store = engine, store
        self.libraries, self.only, self.mode = libraries, only, mode
        self._session = session
        answers = [turn.answer for turn in session.turns if turn.answer] if session else []
        self._last: Answer | None = answers[-1] if answers else None

    def run(self) -> int:
        """Answer lines until the end of the input; return the exit code of the last error."""
        say("Loading the model …")
        model = self.engine.load()
        documents = sum(len(self.engine.contents(name).documents) for name in self.libraries)
        say(f"{model} is ready. Library {', '.join(self.libraries)}: {counted(documents, 'document')}.")
        if self._session is not None:
            say(f"Continuing “{self._session.title}”, {counted(len(self._session.turns), 'question')} so far.")
        code = 0
        for line in lines():
            try:
                if line.startswith(":"):
                    if not self._command(*line.split(maxsplit=1)):
                        break
                elif line:
                    self._ask(line)
            except LocalragError as error:
                say(f"error: {error.message}")
                say(f"hint: {error.hint}")
                code = error.exit_code
        return code

    def _ask(self, question: str) -> None:
        if not sys.stdin.isatty():
            echo(f"> {one_line(question)}")
        # As it is now: a document of it may have been forgotten.
        session = self.store.load(self._session.id) if self._session else self.store.new(self.libraries)
        answer, pace, plan = None, Pace(), ""
        with interruptible("Stopping …") as stop:
            for event in self.engine.ask(
                question,
                libraries=self.libraries,
                documents=self.only,
                mode=self.mode,
                history=session.history,
                stop=stop,
            ):
                if isinstance(event, Answered):
                    answer = event.answer
                elif isinstance(event, Notice):
                    say(f"Note: {event.text}")
                elif isinstance(event, Planned):
                    if (line := progress_line(event, pace)) != plan:  # it comes again where only its costs changed
                        say(line)
                    plan = line
                elif (line := progress_line(event, pace)) and pace.due():
                    say(line)
        if answer is None:
            return
        echo()
        print_answer(answer)
        echo()
        self._last = answer
        self._session = self.store.append(replace(session, only=self.only, mode=self.mode), answer)

    def _command(self, name: str, rest: str = "") -> bool:
        """Carry out a command; False to leave."""
        if name == ":help":
            echo(HELP)
        elif name == ":source":
            self._show_source(rest or "1")
        elif name == ":mode":
            if rest and rest not in MODES:
                raise UsageError(f"there is no mode {rest!r}", f"Modes: {', '.join(MODES)}.")
            self.mode = next((mode for mode in MODES if mode == rest), self.mode)
            say(f"Mode: {self.mode}.")
        elif name == ":export":
            self._export(rest)
        elif name == ":new":
            self._session, self._last = None, None
            say("A new conversation. The one before is saved.")
        elif name != ":quit":
            raise UsageError(f"there is no command {name!r}", ":help lists the commands.")
        return name != ":quit"

    def _show_source(self, number: str) -> None:
        cited = self._last.citations if self._last is not None else ()
        citation = next((item for item in cited if str(item.marker) == number), None)
        if citation is None:
            raise NotFoundError(f"there is no source {number!r}", "Sources are numbered below the last answer.")
        text = self.engine.page(citation.library, citation.document, citation.page).page.text
        where = ", ".join(part for part in (citation.name, citation.place) if part)
        echo(f"Source {citation.marker}: {one_line(where)}")
        for title, part in (
            ("Before", text[max(0, citation.start - AROUND) : citation.start]),
            ("Quote", text[citation.start : citation.end]),
            ("After", text[citation.end : citation.end + AROUND]),
        ):
            if part.strip():
                echo(f"{title}: {' '.join(part.split())}")

    def _export(self, file: str) -> None:
        from localrag.sessions import export as exports
        from localrag.sessions.export import binder

        if self._session is None or not file:
            raise UsageError("there is nothing to export", "Ask a question first, then: :export FILE")
        path = Path(file).expanduser()
        record = self.store.record_of(*self._session.libraries)
        bind = partial(binder.pdf, engine=self.engine)
        exports.write(self._session, path, exports.form_of(path), record, bind=bind)
        say(f"Wrote {counted(len(self._session.turns), 'question')} to {path}.")


def lines() -> Iterator[str]:
    """Read lines until the end of the input, or Ctrl-C."""
    prompt = "Question: " if sys.stdin.isatty() else ""
    # Line editing shows a part of a long line, which suits only terminals that can draw.
    if prompt and not is_simple_terminal(os.environ.get("TERM", "dumb")):
        with suppress(ImportError):
            import readline  # noqa: F401
    while True:
        try:
            yield input(prompt).strip()
        except (EOFError, KeyboardInterrupt):
            if prompt:
                echo(err=True)
            return


def is_simple_terminal(term: str) -> bool:
    return term in ("", "dumb", "unknown")
