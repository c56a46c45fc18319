"""No library yet, or another folder: what localrag does, and which folder to read. Paths complete themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.suggester import Suggester
from textual.widgets import Input, Static

from localrag.tui.inert import clean_line

NAMED = 6


def folders_for(typed: str) -> Iterator[str]:
    """Folders whose path goes on from what was typed, written the way it was begun; hidden ones only if meant."""
    above, _, begun = typed.rpartition("/")
    folder = Path(f"{above}/" if above or typed.startswith("/") else ".").expanduser()
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if _is_folder(entry))
    except OSError:
        return
    for name in names:
        if name.startswith(begun) and (begun.startswith(".") or not name.startswith(".")) and name.isprintable():
            yield f"{typed[: len(typed) - len(begun)]}{name}/"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


class FolderSuggester(Suggester):
    """Completes the path of a folder."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        return next(folders_for(value), None) if value else None


class WelcomeScreen(Screen[Path]):
    """Where no library is yet: asks for a folder. The result is the folder."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete the path", priority=True),
        Binding("escape", "app.quit", "Quit"),
    ]

    def __init__(self, first: bool) -> None:
        super().__init__()
        self._first = first
        self._field = Input(placeholder="~/Documents/contracts", id="folder", suggester=FolderSuggester())
        self._field.cursor_blink = False
        self._said = Static(id="folder-problem")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            title = "Welcome to localrag" if self._first else "Read a folder"
            yield Static(Content.styled(title, "bold"), classes="dialog-title")
            yield Static(
                "localrag answers questions about your documents and shows the page and the words that each "
                "answer rests on. It reads a folder once into a library. Nothing leaves this machine.\n\n"
                + ("There is no library yet. " if self._first else "")
                + "Which folder holds the documents?"
            )
            yield self._field
            yield self._said
            yield Static(
                "Tab completes · Enter goes on (you are asked before anything is read) · Esc quits\n"
                "The same from the command line: localrag ingest FOLDER",
                classes="quiet",
            )

    def on_mount(self) -> None:
        self._field.focus()

    def on_input_changed(self, message: Input.Changed) -> None:
        """Name the folders that the path may go on with."""
        found = list(islice(folders_for(message.value), NAMED + 1)) if message.value else []
        names = [clean_line(path.rstrip("/").rpartition("/")[2]) for path in found[:NAMED]]
        self._said.update(Content(f"Folders: {', '.join(names)}{' …' if len(found) > NAMED else ''}" if names else ""))

    def action_complete(self) -> None:
        """Go on as far as all folders that fit agree; with one, into it."""
        found = list(folders_for(self._field.value)) if self._field.value else []
        if found:
            first, last = min(found), max(found)
            agreed = next((at for at, letter in enumerate(first) if not last.startswith(letter, at)), len(first))
            self._field.value = first[:agreed]
            self._field.cursor_position = len(self._field.value)

    def on_input_submitted(self, message: Input.Submitted) -> None:
        typed = message.value.strip()
        if not typed:
            return
        folder = Path(typed).expanduser()
        if folder.is_dir():
            self.dismiss(folder)
            return
        problem = "is a file; give the folder it lies in" if folder.is_file() else "is not there; check the spelling"
        self._said.update(Content(f"! {clean_line(typed)} {problem}."))
