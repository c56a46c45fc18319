"""What the command palette lists: keys of this screen and everywhere, commands, libraries, conversations.

Made from the bindings and from the table of commands, so that nothing is missing and nothing is listed that is not
there. Libraries and conversations are looked up when the palette opens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from localrag.errors import LocalragError
from localrag.tui import commands
from localrag.tui.inert import clean_line

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp
    from localrag.tui.screens.chat import ChatScreen

CONVERSATIONS = 50
# Moving the keyboard about is of no use from a list, and the palette is open already.
_LEFT_OUT = ("command_palette", "escape", "next_panel", "page", "dismiss")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line: what it is called, the key or command that does the same, and what choosing it does."""

    name: str
    same: str
    run: Callable[[], object]


class Everything(Provider):
    """The one provider of the palette."""

    _entries: tuple[Entry, ...] = ()

    async def startup(self) -> None:
        keys, named = dict(self._keys()), list(self._commands())
        # What has both a key and a command is one line.
        both = {action: keys[action].same for action, _ in named if action in keys}
        for action in both:
            del keys[action]
        said = (replace(one, same=f"{both[action]}, {one.same}") if action in both else one for action, one in named)
        self._entries = (*keys.values(), *said, *await self._looked_up())

    async def discover(self) -> Hits:
        for entry in self._entries:
            yield DiscoveryHit(Content(entry.name), entry.run, entry.name, help=entry.same)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for entry in self._entries:
            if (score := max(matcher.match(entry.name), matcher.match(entry.same))) > 0:
                yield Hit(score, matcher.highlight(entry.name), entry.run, entry.name, help=entry.same)

    def _keys(self) -> Iterator[tuple[str, Entry]]:
        for owner, prefix in ((self.screen, ""), (self.app, "app.")):
            # Those of its own class, not the ones that Textual adds.
            for binding in type(owner).__dict__.get("BINDINGS", ()):
                if isinstance(binding, Binding) and binding.action.split("(")[0] not in _LEFT_OUT:
                    keys = ", ".join(self.app.get_key_display(one) for one in Binding.make_bindings([binding]))
                    entry = Entry(binding.description, keys, partial(owner.run_action, binding.action))
                    yield prefix + binding.action, entry

    def _commands(self) -> Iterator[tuple[str, Entry]]:
        if not hasattr(self.screen, "type_in"):
            return
        chat = cast("ChatScreen", self.screen)
        for command in commands.there(chat):
            half, action = f"/{command.name} ", command.action
            run = partial(chat.type_in, half) if command.takes else partial(chat.run_action, action)
            yield action or half, Entry(command.does, f"{half}{command.takes}".rstrip(), run)

    async def _looked_up(self) -> list[Entry]:
        app = cast("LocalragApp", self.app)
        if not hasattr(self.screen, "type_in"):
            return []
        try:
            libraries = await app.lanes["pages"].result(app.core.engine.libraries)
            listed = await app.lanes["pages"].result(app.core.store.list)
        except LocalragError:
            return []  # told where they are opened
        found = []
        for name in libraries:
            shown = clean_line(name)
            found.append(Entry(f"Ask the library {shown}", f"/library {shown}", partial(app.action_use_library, name)))
        for one in listed[:CONVERSATIONS]:
            if not one.problem:
                when = f"{one.created[:10]}, {clean_line(', '.join(one.libraries))}"
                found.append(Entry(f"Go on with: {clean_line(one.title)}", when, partial(app.action_resume, one.id)))
        return found
