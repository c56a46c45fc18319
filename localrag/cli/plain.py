"""`localrag chat --plain`: the conversation in lines, for screen readers, simple terminals and pipes.

Nothing is drawn over or coloured. Answers go to stdout, everything else to stderr. If the input is no terminal, each
line of it is a question or a command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from localrag.cli.ask import print_answer, progress_line
from localrag.cli.options import shown
from localrag.cli.output import Pace, counted, interruptible
from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.events import Answered, Notice, Planned
from localrag.types import MODES, Answer, Filter, Mode, Turn

if TYPE_CHECKING:
    from localrag.sessions import Session, SessionStore
    from localrag.worker.engine import Engine

HELP = """\
  :source N      the words around source N of the last answer
  :mode MODE     how answers are found: auto, retrieve, read, survey, exact
  :export FILE   write the conversation to a file (.md, .html, .docx, .json)
  :new           start a new conversation
  :quit          leave
Anything else is a question. Ctrl-C stops an answer."""
AROUND = 500  # characters shown before and after a quote


class PlainChat:
    """A conversation with libraries, line by line."""

    def __init__(
        self, engine: Engine, store: SessionStore, libraries: tuple[str, ...], only: Filter, mode: Mode,
        session: Session | None = None,
    ) -> None:  # fmt: skip
        self.engine, self.store = engine, store
        self.libraries, self.only, self.mode = libraries, only, mode
        self._session = session
        self._history: list[Turn] = list(session.history) if session else []
        answers = [turn.answer for turn in session.turns if turn.answer] if session else []
        self._last: Answer | None = answers[-1] if answers else None

    def run(self) -> int:
        """Answer lines until the end of the input; return the exit code of the last error."""
        say("Loading the model …")
        model = self.engine.load()
        documents = sum(len(self.engine.shelf(name).documents) for name in self.libraries)
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
                say(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""))
                code = error.exit_code
        return code

    def _ask(self, question: str) -> None:
        if not sys.stdin.isatty():
            click.echo(f"> {shown(question)}")
        answer, pace = None, Pace()
        with interruptible("Stopping …") as stop:
            for event in self.engine.ask(
                question, libraries=self.libraries, documents=self.only, mode=self.mode,
                history=tuple(self._history), stop=lambda: stop.asked,
            ):  # fmt: skip
                if isinstance(event, Answered):
                    answer = event.answer
                elif isinstance(event, Notice):
                    say(f"Note: {event.text}")
                elif (line := progress_line(event, pace)) and (isinstance(event, Planned) or pace.due()):
                    say(line)
        if answer is None:
            return
        click.echo()
        print_answer(answer)
        click.echo()
        self._last = answer
        if answer.answer.strip():
            self._history.append(Turn(answer.question, answer.answer, answer.sources))
        session = self._session or self.store.new(self.libraries)
        self._session = self.store.append(replace(session, only=self.only, mode=self.mode), answer)

    def _command(self, name: str, rest: str = "") -> bool:
        """Carry out a command; False to leave."""
        if name == ":help":
            click.echo(HELP)
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
            self._history, self._session, self._last = [], None, None
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
        click.echo(f"Source {citation.marker}: {shown(citation.document)}, {shown(citation.place)}")
        for title, part in (
            ("Before", text[max(0, citation.start - AROUND) : citation.start]),
            ("Quote", text[citation.start : citation.end]),
            ("After", text[citation.end : citation.end + AROUND]),
        ):
            if part.strip():
                click.echo(f"{title}: {' '.join(shown(part).split())}")

    def _export(self, file: str) -> None:
        from localrag.sessions import export as exports

        if self._session is None or not file:
            raise UsageError("there is nothing to export", "Ask a question first, then: :export FILE")
        path = Path(file).expanduser()
        record = self.store.record_of(*self._session.libraries)
        exports.write(self._session, path, exports.form_of(path), record)
        say(f"Wrote {counted(len(self._session.turns), 'question')} to {path}.")


def library_names(engine: Engine, named: tuple[str, ...], folder: Path | None) -> tuple[str, ...]:
    """Return the libraries to ask.

    Raises:
        UsageError: there are several, and none is named.
        NotFoundError: there is none, or the folder has not been read.
    """
    if folder is not None:
        raise NotFoundError(f"{str(folder)!r} has not been read yet", f"Read it first: localrag ingest {str(folder)!r}")
    known = engine.libraries()
    if not known:
        raise NotFoundError("there is no library yet", "Make one first: localrag ingest FOLDER")
    if not named and len(known) > 1:
        raise UsageError(f"there are {len(known)} libraries: {', '.join(known)}", "Name one: --library NAME")
    return named or known


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
                click.echo(err=True)
            return


def say(text: str) -> None:
    click.echo(shown(text), err=True)


def is_simple_terminal(term: str) -> bool:
    return term in ("", "dumb", "unknown")
