"""Every setting with its value, where that comes from and what it does; changed for now, or for good.

Typing searches, the arrow keys move, Enter opens one (edit.py). What holds and what may be written is decided by
`preferences.py` and the code that reads the settings file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from localrag.errors import LocalragError
from localrag.settings import SettingInfo
from localrag.tui.inert import clean_line
from localrag.tui.jobs import deliver
from localrag.tui.screens.edit import Change, EditScreen

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

HINT = "Type to search · ↑ ↓ and Enter change one · Esc closes"


class SettingsScreen(Screen[None]):
    """The list of settings."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Setting above"),
        Binding("down", "move(1)", "Setting below"),
        Binding("pageup", "page(-1)", "A page up"),
        Binding("pagedown", "page(1)", "A page down"),
        Binding("enter", "change", "Change this setting"),
        Binding("escape", "close", "Clear the search, or close"),
    ]

    class Models(Message):
        """Ids of the models that are installed."""

        def __init__(self, ids: tuple[str, ...]) -> None:
            super().__init__()
            self.ids = ids

    def __init__(self) -> None:
        super().__init__()
        self._models: tuple[str, ...] = ()
        self._search = Input(placeholder="Search: answer, memory, colours …", id="settings-search")
        self._search.cursor_blink = False
        self._list = OptionList(id="settings-list")
        self._list.can_focus = False  # the search line keeps the keyboard
        self._about = Static(id="settings-about")
        self._said = Static(id="settings-said")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog full"):
            where = f"  saved in {clean_line(self.app.preferences.file_shown)}"
            yield Static(Content.assemble(("Settings", "bold"), where), id="settings-title")
            yield self._search
            yield self._list
            yield self._about
            yield self._said
            yield Static(HINT, classes="quiet")

    def on_mount(self) -> None:
        self._search.focus()
        self._fill()
        self.app.lanes["pages"].submit(
            lambda: deliver(self, self.Models(self.app.core.engine.models())),
            lambda error: None,  # then the id is typed
        )

    def on_settings_screen_models(self, message: Models) -> None:
        self._models = message.ids

    @property
    def chosen(self) -> SettingInfo | None:
        """The setting that the cursor is on."""
        option = self._list.highlighted_option
        return next(
            (knob for knob in self.app.preferences.knobs if option is not None and knob.name == option.id), None
        )

    def on_input_changed(self) -> None:
        self._fill()

    def on_input_submitted(self) -> None:
        self.action_change()

    def on_option_list_option_highlighted(self) -> None:
        self._explain()

    def on_option_list_option_selected(self) -> None:
        self.action_change()

    def action_move(self, step: int) -> None:
        self._list.action_cursor_up() if step < 0 else self._list.action_cursor_down()

    def action_page(self, step: int) -> None:
        self._list.action_page_up() if step < 0 else self._list.action_page_down()  # type: ignore[no-untyped-call]

    def action_close(self) -> None:
        if self._search.value:
            self._search.value = ""
        else:
            self.dismiss()

    def action_change(self) -> None:
        if (knob := self.chosen) is not None:
            offers = self._models if knob.name == "generator" else ()
            self.app.push_screen(EditScreen(self.app.preferences, knob, offers), self._changed)

    def _changed(self, change: Change | None) -> None:
        if change is None:
            return
        try:
            said = self.app.preferences.change(change.knob, change.deed, change.text)
        except LocalragError as error:
            self._said.update(Content(f"! {clean_line(error.message)}. {clean_line(error.hint)}"))
            return
        self.app.settings_changed(change.knob.name)
        self._said.update(Content(clean_line(said)))
        self._fill(change.knob.name)

    def _fill(self, chosen: str = "") -> None:
        """List the settings that have every word of the search, in their groups."""
        words = self._search.value.lower().split()
        held, origins = self.app.preferences, self.app.preferences.origins()
        chosen = chosen or (self.chosen.name if self.chosen else "")
        self._list.clear_options()
        group = ""
        for knob in held.knobs:
            if not all(word in f"{knob.name} {knob.group} {knob.about}".lower() for word in words):
                continue
            if knob.group != group:
                group = knob.group
                self._list.add_option(Option(Content.styled(group, "bold"), disabled=True))
            value = clean_line(held.text(knob)) or "not set"
            by_policy = held.fixed(knob).startswith("the policy")
            origin = "fixed by policy" if by_policy else _short(origins.get(knob.name, ""), str(held.file))
            self._list.add_option(Option(Content(f"  {knob.name:<17} {_cut(value, 24):<24} {origin}"), id=knob.name))
        found = [at for at, option in enumerate(self._list.options) if option.id is not None]
        if found:
            wanted = [at for at in found if self._list.options[at].id == chosen]
            self._list.highlighted = (wanted or found)[0]
        self._explain()

    def _explain(self) -> None:
        knob = self.chosen
        if knob is None:
            self._about.update(Content("No setting has these words."))
            return
        preferences = self.app.preferences
        origin = preferences.origins().get(knob.name)
        default = clean_line(", ".join(knob.default) if isinstance(knob.default, tuple) else str(knob.default or ""))
        lines = [
            knob.about,
            f"May be {knob.bounds}. Default: {default or ('0' if knob.default == 0 else 'not set')}.",
            f"Set by {self._words(origin)}." if origin else "It has its default.",
        ]
        if why := preferences.why_fixed(knob):
            lines[-1] += f" {why}"
        self._about.update(Content("\n".join(lines)))

    def _words(self, origin: str) -> str:
        return "your settings file" if origin == str(self.app.preferences.file) else clean_line(origin)


def _short(origin: str, own: str) -> str:
    """Where a value comes from, in a word or two, for the list."""
    if not origin:
        return ""
    return "your file" if origin == own else origin if origin.startswith("LOCALRAG_") else _cut(clean_line(origin), 26)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
