"""The commands that are typed behind a slash, in one table: the palette, the completion and the help are made from it.

Pure: nothing here is carried out. A command is an action of the screen or the app, or a mode of looking up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from localrag.types import Mode

if TYPE_CHECKING:
    from textual.screen import Screen

Choices = Literal["", "ways", "models", "libraries", "formats", "thinking"]

FORMATS = ("markdown", "html", "docx", "json")
THINKING = ("off", "on", "auto")
_COMMAND = re.compile(r"/([a-z]*)(?:\s+(.*))?\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Command:
    """`/name takes`: what it does.

    Args:
        takes: what is typed behind it, "" for nothing; in brackets where it may be left out.
        action: whose argument is what was typed; empty for a mode.
        choices: of what there is to choose.
    """

    name: str
    takes: str
    does: str
    action: str = ""
    mode: Mode | None = None
    choices: Choices = ""

    @property
    def bare(self) -> bool:
        """Whether it means something by itself."""
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
    _mode("exact", "Code counts, finds, calculates"),
    _mode("auto", "localrag chooses how to look"),
    Command("again", "[PLAN]", "Answer the last question again, by another plan", "again", choices="ways"),
    Command("model", "ID", "Answer with another model", "app.use_model", choices="models"),
    Command("think", "on|off|auto", "Whether the model thinks before it answers", "app.think", choices="thinking"),
    Command("library", "NAME", "Ask another library", "app.use_library", choices="libraries"),
    Command("instructions", "", "Show how answers are worded", "instructions"),
    Command("export", "[FORMAT]", "Write this conversation to a file", "export", choices="formats"),
    Command("branch", "", "Go on in a copy of this conversation", "branch"),
    Command("new", "", "New conversation", "new_talk"),
    Command("sessions", "", "Earlier conversations", "sessions"),
    Command("settings", "", "Settings", "app.settings"),
    Command("help", "", "The keys and commands", "app.help"),
    Command("quit", "", "Quit", "app.quit"),
)
BY_NAME = {command.name: command for command in COMMANDS}


def there(screen: Screen[Any]) -> list[Command]:
    """The commands that this screen can carry out."""
    return [one for one in COMMANDS if one.mode is not None or _can(screen, one.action)]


def _can(screen: Screen[Any], action: str) -> bool:
    owner = screen.app if action.startswith("app.") else screen
    return hasattr(owner, f"action_{action.removeprefix('app.')}")


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed: a command (None where there is none of that name) and what stands behind it."""

    name: str
    command: Command | None
    argument: str


def typed(text: str) -> Typed | None:
    """The command that a text is, or None where it is a question; "/etc/hosts" and " /read" are questions."""
    found = _COMMAND.match(text)
    if found is None:
        return None
    return Typed(found[1], BY_NAME.get(found[1]), (found[2] or "").strip())
