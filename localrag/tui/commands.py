"""Slash commands and @mentions: their table, parsing, and completion while typing (pure).

The help screen, the command palette and docs/keys.md list the commands from this table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from localrag.search.filters import PUNCTUATION, mention
from localrag.types import Mode

Choices = Literal["", "models", "libraries", "formats", "thinking", "playbooks", "documents"]

MAX_OFFERS = 8
_COMMAND = re.compile(r"/([a-z]*)(?:\s+(.*))?\Z", re.DOTALL)
_HALF_COMMAND = re.compile(r"/([a-z]*)\Z")
_HALF_CHOICE = re.compile(r'/([a-z]+) +((?:"[^"]+" +|[^\s"]+ +)*)(?:"([^"\n]*)|([^\s"]*))\Z')
_NAMES = re.compile(r'"([^"]+)"|(\S+)')
_HALF_MENTION = re.compile(r'(?:(?<=\s)|\A)@(?:"([^"\n]*)|([^\s"@]*))\Z')


@dataclass(frozen=True, slots=True)
class Command:
    """`/name takes`: it runs an `action` of the screen or app, or sets the `mode` of questions from then on."""

    name: str
    takes: str  # its argument, in brackets if optional
    does: str
    action: str = ""
    mode: Mode | None = None
    choices: Choices = ""

    @property
    def optional(self) -> bool:
        """Whether it works without an argument."""
        return not self.takes or self.takes.startswith("[")

    def call(self, argument: str) -> str:
        """The action with its argument, as `run_action` takes it."""
        return f"{self.action}({argument!r})" if self.takes else self.action


def _mode(name: Mode, does: str) -> Command:
    return Command(name, "[QUESTION]", f"{does} (alone: from now on)", mode=name)


COMMANDS = (
    _mode("read", "Read whole documents"),
    _mode("retrieve", "Look up passages"),
    _mode("survey", "Ask each document by itself"),
    _mode("exact", "Count, find and list with code"),
    _mode("auto", "Let localrag choose"),
    Command("extract", "SCHEMA", "Fill a table: vendor, total money, invoice date", mode="extract"),
    Command("review", "PLAYBOOK", "Check the documents against a playbook", "review", choices="playbooks"),
    Command("compare", "OLD [NEW] [OURS]", "Compare versions: documents or files", "compare", choices="documents"),
    Command("proofread", "DOCUMENT", "Errors of drafting in a document", "proofread", choices="documents"),
    Command("overview", "", "First page: what there is, what comes next, facts of each document", "overview"),
    Command("again", "", "Answer the last question again, with another plan", "again"),
    Command("model", "ID", "Answer with another model", "app.use_model", choices="models"),
    Command("think", "on|off|auto", "Let the model reason before it answers", "app.think", choices="thinking"),
    Command("library", "NAME", "Ask another library", "app.use_library", choices="libraries"),
    Command("export", "[FORMAT]", "Export this conversation", "export", choices="formats"),
    Command("new", "", "New conversation", "new_chat"),
    Command("sessions", "", "Earlier conversations", "sessions"),
    Command("settings", "", "Settings", "app.settings"),
    Command("help", "", "Keys and commands", "app.help"),
    Command("quit", "", "Quit", "app.quit"),
)
BY_NAME = {command.name: command for command in COMMANDS}


def parse(text: str) -> tuple[str, Command | None, str] | None:
    """Split "/name argument" into name, command, if there is one, and argument; None for a question ("/etc/hosts")."""
    found = _COMMAND.match(text)
    if found is None:
        return None
    return found[1], BY_NAME.get(found[1]), (found[2] or "").strip()


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to choose from."""

    documents: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    playbooks: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()  # of the documents: library and path
    formats: tuple[str, ...] = ("markdown", "html", "docx", "json", "pdf")
    thinking: tuple[str, ...] = ("off", "on", "auto")


@dataclass(frozen=True, slots=True)
class Offer:
    """A completion: what is shown, and the text that replaces all from `start` to the cursor."""

    shown: str
    about: str
    start: int
    text: str
    complete: bool = False  # nothing is missing after it, so that Enter may submit


def offers(before: str, known: Known) -> list[Offer]:
    """Complete the text before the cursor, the best match first."""
    if half := _HALF_COMMAND.match(before):
        fitting = [one for one in COMMANDS if one.name.startswith(half[1])]
        space = [" " * bool(one.takes) for one in fitting]
        return [
            Offer(f"/{one.name}{gap}{one.takes}", one.does, 0, f"/{one.name}{gap}", not one.takes)
            for one, gap in zip(fitting, space, strict=True)
        ]
    if half := _HALF_CHOICE.match(before):
        command, earlier, typed = BY_NAME.get(half[1]), names_in(half[2]), half[3] or half[4] or ""
        if command is None or len(earlier) >= len(command.takes.split()):
            return []
        if command.choices != "documents":
            choices = getattr(known, command.choices, ())
            return [Offer(name, "", half.end(2), name, True) for name in nearest(typed, choices)]
        if typed in known.documents or (earlier and not typed):
            return []  # so that Enter submits
        offered = nearest(typed, [name for name in known.documents if name not in earlier])
        return [Offer(name, "", half.end(2), f"{mention(name)[1:]} ", bool(earlier)) for name in offered]
    if half := _HALF_MENTION.search(before):
        typed = half[1] or half[2] or ""
        if half[2] and typed.rstrip(PUNCTUATION) in known.documents:
            return []  # nothing to complete, and Enter submits
        return [Offer(name, "", half.start(), f"{mention(name)} ") for name in nearest(typed, known.documents)]
    return []


def nearest(typed: str, names: Sequence[str]) -> list[str]:
    """Names that contain what was typed: file names that begin with it first, then paths, then the rest."""
    low = typed.casefold()

    def rank(name: str) -> int:
        path = name.casefold()
        return 0 if path.rsplit("/", 1)[-1].startswith(low) else 1 if path.startswith(low) else 2

    found = (name for name in names if low in name.casefold())
    return sorted(found, key=lambda name: (rank(name), name))[:MAX_OFFERS] if low else list(names[:MAX_OFFERS])


def names_in(argument: str) -> list[str]:
    """Names of documents or files, in quotes if they have spaces."""
    return [quoted or plain for quoted, plain in _NAMES.findall(argument)]
