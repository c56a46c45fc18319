"""`localrag chat --plain`: the conversation in lines, for screen readers, simple terminals and pipes.

Nothing is drawn over, moved or coloured: every line is said once, in words. Answers go to stdout, all else to stderr.
Where the input is no terminal, each line of it is a question (or a command), and nothing is asked back.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from localrag.cli.app import report
from localrag.cli.ask import print_answer
from localrag.cli.options import shown
from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.events import (
    Answered,
    Delta,
    Event,
    Notice,
    Planned,
    PromptRead,
    Reasoning,
    Replaced,
    Surveyed,
    VoteProgress,
)
from localrag.types import MODES, Answer, Citation, Filter, Mode, Turn

if TYPE_CHECKING:
    from localrag.sessions import Session, SessionStore
    from localrag.worker.engine import Engine

COMMANDS = {
    ":source": "N      the words around source N of the last answer",
    ":sources": "       the sources of the last answer",
    ":mode": "WAY      how questions are looked up: auto, retrieve, read, survey, exact; alone, says which holds",
    ":export": "FILE   write the conversation to a file (.md, .html, .docx, .json); alone, to one named after it",
    ":new": "           begin a new conversation",
    ":help": "          this list",
    ":quit": "          leave; so does the end of the input",
}
# How often something is said while one waits: often enough to know that it goes on, seldom enough to be listened to.
EVERY = 10.0
AROUND = 500


class Voice:
    """Says how far an answer is: what is new at once, what goes on every `EVERY` seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told = clock()
        self._reading_since: tuple[float, int] | None = None
        self._words = self._thought = 0

    def hear(self, event: Event) -> None:
        if isinstance(event, Planned):
            say(f"Looked up by {event.plan.kind}: {event.plan.reason.rstrip('.')}.")
            if event.looked_for:
                say(f"Looked for: {event.looked_for}")
        elif isinstance(event, Notice):
            say(f"Note: {event.text}")
        elif isinstance(event, Replaced):
            self._words = 0
            say(f"The answer is written again: {event.why}")
        elif isinstance(event, Delta):
            self._words += len(event.text.split())
            self._now_and_then(lambda: f"Writing, about {self._words} words so far.")
        elif isinstance(event, Reasoning):
            self._thought += len(event.text.split())
            self._now_and_then(lambda: f"Thinking, about {self._thought} words so far.")
        elif isinstance(event, PromptRead) and event.total:
            self._read(event.done, event.total, "Reading")
        elif isinstance(event, Surveyed):
            self._read(event.done, event.total, "Asking each document")
        elif isinstance(event, VoteProgress):
            self._now_and_then(lambda: f"Try {event.done} of {event.total} is done.")

    def _read(self, done: int, total: int, doing: str) -> None:
        now = self._clock()
        if self._reading_since is None or done < self._reading_since[1]:
            self._reading_since = now, done
        began, first = self._reading_since
        left = (now - began) / (done - first) * (total - done) if done > first else 0.0
        ahead = f", about {_spoken(left)} left" if left else ""
        self._now_and_then(lambda: f"{doing}: {100 * done // total} percent{ahead}.")

    def _now_and_then(self, words: Callable[[], str]) -> None:
        if self._clock() - self._told >= EVERY:
            self._told = self._clock()
            say(words())


class PlainChat:
    """A conversation with a library, line by line.

    Args:
        ask_back: whether there is a person at the input who can be asked something.
    """

    def __init__(
        self, engine: Engine, store: SessionStore, libraries: tuple[str, ...], only: Filter, mode: Mode, *,
        ask_back: bool,
    ) -> None:  # fmt: skip
        self.engine, self.store = engine, store
        self.libraries, self.only, self.mode = libraries, only, mode
        self.ask_back = ask_back
        self.code = 0
        self._history: list[Turn] = []
        self._session: Session | None = None
        self._last: Answer | None = None

    def resume(self, session: Session) -> None:
        """Go on with a conversation that was saved."""
        self._session, self._history = session, list(session.history)
        answers = [turn.answer for turn in session.turns if turn.answer]
        self._last = answers[-1] if answers else None
        say(f"Going on with “{shown(session.title)}”, {_questions(len(session.turns))} so far.")
        for turn in session.turns[-1:]:
            say(f"Last question: {shown(turn.question)}" + ("" if turn.answer else " (it was not answered)"))

    def run(self) -> int:
        """Ask what is typed until the end of the input; the exit code is that of the last error."""
        say("Loading the model …")
        model = self.engine.load()
        held = sum(len(self.engine.shelf(name).documents) for name in self.libraries)
        say(f"{model} is ready. Library {', '.join(self.libraries)}: {held:,} document{'' if held == 1 else 's'}.")
        if self.ask_back:
            say("Type a question and press Enter. Ctrl-C stops an answer. :help lists the commands.")
        for line in lines(self.ask_back):
            if not line:
                continue
            try:
                if line.startswith(":"):
                    if not self._command(*line.split(maxsplit=1)):
                        break
                else:
                    self._ask(line)
            except LocalragError as error:
                self.code = report(error)
        return self.code

    # --- a question -----------------------------------------------------------------------------------------

    def _ask(self, question: str) -> None:
        if not self.ask_back:
            click.echo(f"> {shown(question)}")
        answer, voice = None, Voice()
        with interruptible() as stop:
            for event in self.engine.ask(
                question, libraries=self.libraries, documents=self.only, mode=self.mode,
                history=tuple(self._history), stop=stop,
            ):  # fmt: skip
                if isinstance(event, Answered):
                    answer = event.answer
                elif not stop():
                    voice.hear(event)
        if answer is None:
            return
        click.echo()
        print_answer(answer)
        click.echo()
        if answer.citations:
            say(f"{_sources(len(answer.citations))}; :source 1 shows the words around the first.")
        self._last = answer
        self._remember(answer)

    def _remember(self, answer: Answer) -> None:
        if answer.answer.strip():
            self._history.append(Turn(answer.question, answer.answer, answer.sources))
        session = self._session or self.store.new(self.libraries)
        model = {"generator": answer.model} if answer.model else {}
        self._session = self.store.append(
            replace(session, only=self.only, mode=self.mode, settings={**session.settings, **model}), answer
        )

    # --- commands -------------------------------------------------------------------------------------------

    def _command(self, name: str, rest: str = "") -> bool:
        """Do what a line beginning with a colon says; False to leave."""
        rest = rest.strip()
        if name == ":quit":
            return False
        if name == ":help":
            self._help()
        elif name == ":source":
            self._show_source(rest)
        elif name == ":sources":
            self._list_sources()
        elif name == ":mode":
            self._set_mode(rest)
        elif name == ":export":
            self._export(rest)
        elif name == ":new":
            self._history, self._session, self._last = [], None, None
            say("A new conversation. The one before is saved.")
        else:
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, 1)
            raise UsageError(
                f"there is no command {name!r}",
                f"Did you mean {near[0]}?" if near else ":help lists them. A question begins with no colon.",
            )
        return True

    def _help(self) -> None:
        for name, about in COMMANDS.items():
            click.echo(f"  {name} {about}")
        click.echo("Anything else is a question. Ctrl-C stops an answer, and keeps what was said of it.")

    def _list_sources(self) -> None:
        for citation in self._citations():
            click.echo(f"Source {citation.marker}: {shown(_where(citation))}")

    def _show_source(self, number: str) -> None:
        found = [item for item in self._citations() if str(item.marker) == (number or "1")]
        if not found:
            raise UsageError(f"there is no source {number!r}", ":sources lists those of the last answer.")
        citation = found[0]
        page = self.engine.page(citation.library, citation.document, citation.page).page
        before, after = page.text[: citation.start], page.text[citation.end :]
        click.echo(f"Source {citation.marker}: {shown(_where(citation))}")
        for title, text in (
            ("Before it stands", _tail(before)),
            ("Quoted", page.text[citation.start : citation.end]),
            ("After it stands", _head(after)),
        ):
            if text.strip():
                click.echo(f"{title}: {' '.join(shown(text).split())}")

    def _citations(self) -> tuple[Citation, ...]:
        if self._last is None or not self._last.citations:
            raise NotFoundError("there is no source yet", "Ask a question first.")
        return self._last.citations

    def _set_mode(self, wanted: str) -> None:
        if wanted and wanted not in MODES:
            raise UsageError(f"there is no way {wanted!r}", f"One of: {', '.join(MODES)}.")
        self.mode = next((mode for mode in MODES if mode == wanted), self.mode)
        say(f"Questions are looked up by {self.mode}.")

    def _export(self, file: str) -> None:
        from localrag.sessions import export

        if self._session is None:
            raise UsageError("there is nothing to export yet", "Ask a question first.")
        path = Path(file).expanduser() if file else Path(f"localrag-{self._session.id}.md")
        if path.is_dir():
            path = path / f"localrag-{self._session.id}.md"
        if path.exists():
            raise UsageError(f"{str(path)!r} is there already", "Give another name: :export FILE")
        record = self.store.record_of(*self._session.libraries)
        export.write(self._session, path, export.form_of(path), record)
        say(f"Wrote {len(self._session.turns)} questions and answers to {path}.")


# --- what to open -------------------------------------------------------------------------------------------


def _questions(number: int) -> str:
    return f"{number} question{'' if number == 1 else 's'}"


def chosen(engine: Engine, named: tuple[str, ...], folder: Path | None, ask_back: bool) -> tuple[str, ...]:
    """The libraries to ask, found out by asking where it is not clear.

    Raises:
        UsageError, NotFoundError: it is not clear, and there is nobody to ask, or the person said no.
    """
    if folder is not None:
        return (_read(engine, folder, ask_back),)
    there = engine.libraries()
    if named or len(there) == 1:
        return named or there
    if not ask_back:
        if there:
            raise UsageError(f"there are {len(there)} libraries: {', '.join(there)}", "Name one: --library NAME")
        raise NotFoundError("there is no library yet", "Make one first: localrag ingest FOLDER")
    if not there:
        say("There is no library yet. localrag reads a folder of documents once; nothing leaves this machine.")
        return (_read(engine, _folder(), ask_back),)
    for number, name in enumerate(there, 1):
        click.echo(f"{number}: {shown(name)}")
    while True:
        word = typed("Which library? Its number or name: ")
        if word.isdecimal() and 1 <= int(word) <= len(there):
            return (there[int(word) - 1],)
        if word in there:
            return (word,)
        if not word:
            raise UsageError("no library was named", f"Libraries: {', '.join(there)}.")
        say(f"There is no library {word!r}.")


def _folder() -> Path:
    """The folder that a person names, asked for until it is there.

    Raises:
        UsageError: none is named.
    """
    while word := typed("Which folder holds the documents? "):
        if (folder := Path(word).expanduser()).is_dir():
            return folder
        say(f"There is no folder {word!r}; check the spelling.")
    raise UsageError("no folder was named", "Start again with: localrag chat --plain FOLDER")


def _read(engine: Engine, folder: Path, ask_back: bool) -> str:
    from localrag.events import IngestProgress, IngestReport

    found = engine.look_at(folder)
    if found.known:
        return found.library
    if not ask_back:
        raise NotFoundError(f"{str(folder)!r} was not read yet", f"Read it first: localrag ingest {str(folder)!r}")
    if not found.files:
        raise UsageError(f"there is no file in {str(folder)!r} that localrag can read", "Name another folder.")
    if typed(f"Read {found.files:,} files into a library named {found.library}? (y/n) ").lower() not in ("y", "yes"):
        raise UsageError("nothing was read", "localrag ingest FOLDER reads a folder without asking.")
    report_: IngestReport | None = None
    told = time.monotonic()
    with interruptible() as stop:
        for event in engine.ingest(found.library, folder, stop=stop):
            if isinstance(event, IngestReport):
                report_ = event
            elif isinstance(event, IngestProgress) and event.total and time.monotonic() - told >= EVERY:
                told = time.monotonic()
                say(f"Reading: {event.done} of {event.total} files.")
    if report_ is None or not (report_.read or report_.unchanged):
        raise UsageError("nothing was read", f"What is wrong: localrag ingest {str(folder)!r}")
    say(f"Read {len(report_.read):,} documents{'' if report_.complete else ', then stopped'}.")
    for failure in report_.failed:
        say(f"Not read: {failure.document}: {failure.reason}")
    return found.library


# --- lines in and out ---------------------------------------------------------------------------------------


def lines(prompt: bool) -> Iterator[str]:
    """What is typed, a line each, until the end of the input; Ctrl-C twice ends it too."""
    # A terminal that only shows line after line would be shown a window of a long line instead of the line.
    if prompt and not simple_terminal(os.environ.get("TERM", "dumb")):
        with suppress(ImportError):
            import readline  # noqa: F401  (the arrow keys work while typing)
    warned = False
    while True:
        try:
            yield typed("Question: " if prompt else "")
            warned = False
        except EOFError:
            if prompt:
                click.echo(err=True)
            return
        except KeyboardInterrupt:
            click.echo(err=True)
            if warned:
                return
            warned = True
            say("Ctrl-C once more leaves, and so does :quit.")


def typed(prompt: str) -> str:
    """A line that a person types after a prompt, without the blanks around it."""
    return input(prompt).strip()


def say(text: str) -> None:
    click.echo(shown(text), err=True)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """The first Ctrl-C asks for a stop, the second is raised."""
    stopped = False

    def handle(signum: int, frame: FrameType | None) -> None:
        nonlocal stopped
        if stopped:
            raise KeyboardInterrupt
        stopped = True
        say("Stopping …")

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: stopped
    finally:
        signal.signal(signal.SIGINT, before)


def simple_terminal(term: str) -> bool:
    """Whether a terminal of this name (TERM) can only show line after line."""
    return term in ("", "dumb", "unknown")


def can_ask() -> bool:
    """Whether there is a person at the input, who sees what is asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _where(citation: Citation) -> str:
    return ", ".join(part for part in (citation.document, citation.place) if part)


def _sources(count: int) -> str:
    return "1 source" if count == 1 else f"{count} sources"


def _tail(text: str) -> str:
    """The end of a text, from the beginning of a word."""
    return text if len(text) <= AROUND else "… " + text[-AROUND:].partition(" ")[2]


def _head(text: str) -> str:
    return text if len(text) <= AROUND else text[:AROUND].rpartition(" ")[0] + " …"


def _spoken(seconds: float) -> str:
    if seconds >= 90:
        return f"{round(seconds / 60)} minutes"
    return "a second" if seconds < 1.5 else f"{round(seconds)} seconds"
