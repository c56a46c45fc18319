"""Every setting with its value, where it comes from and what it does; and a dialog to change it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from localrag import policy
from localrag.errors import LocalragError
from localrag.models.records import ModelStore
from localrag.settings import SettingInfo, as_text
from localrag.tui.preferences import UNSET, Preferences, Scope
from localrag.tui.screens.dialogs import InputScreen, field
from localrag.tui.text import clean_line, error_line, shorten

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp


class SettingsScreen(Screen[None]):
    """The list of settings; typing searches it."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Previous setting"),
        Binding("down", "move(1)", "Next setting"),
        Binding("enter", "change", "Change this setting"),
        Binding("escape", "close", "Clear the search, or close"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._models: Sequence[str] = ()
        self._in_use: dict[str, str] = {}  # models that are used though none is set
        self._search = field(placeholder="Search: answer, memory, colours …", classes="search")
        self._list = OptionList(id="settings-list")
        self._list.can_focus = False  # the search line keeps the keyboard
        self._about = Static(id="settings-about")
        self._message = Static(classes="message")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog full"):
            where = f"  saved in {clean_line(str(self.app.preferences.file))}"
            yield Static(Content.assemble(("Settings", "bold"), where), id="settings-title")
            yield from (self._search, self._list, self._about, self._message)
            yield Static("Type to search · ↑ ↓ and Enter change one · Esc closes", classes="quiet")

    def on_mount(self) -> None:
        self._search.focus()
        self._fill()
        self._find_models()

    @work
    async def _find_models(self) -> None:
        app = self.app
        self._in_use["generator"] = app.model.id
        with suppress(LocalragError):  # then the id is typed
            self._models = await app.threads["pages"].result(app.core.engine.models)
            store = ModelStore(app.preferences.settings)
            embedder = await app.threads["pages"].result(lambda: store.preferred("embedder"))
            self._in_use["embedder"] = embedder.id if embedder is not None else ""
        self._fill()

    def _used(self, knob: SettingInfo) -> str:
        """The value in use."""
        preferences = self.app.preferences
        return clean_line(preferences.text(knob) or self._in_use.get(knob.name, "") or preferences.in_use(knob))

    @property
    def chosen(self) -> SettingInfo | None:
        """The setting under the cursor."""
        option = self._list.highlighted_option
        return self.app.preferences.knob(option.id) if option is not None and option.id else None

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

    def action_close(self) -> None:
        if self._search.value:
            self._search.value = ""
        else:
            self.dismiss()

    @work
    async def action_change(self) -> None:
        if (knob := self.chosen) is None:
            return
        offers = self._models if knob.name == "generator" else ()
        dialog = EditScreen(self.app.preferences, knob, offers)
        value = await self.app.push_screen_wait(dialog)
        if value is None:
            return
        try:
            done = self.app.preferences.change(knob, dialog.scope, value)
        except LocalragError as error:
            self._message.update(Content(f"! {error_line(error)}"))
            return
        self.app.apply_setting(knob.name)
        self._message.update(Content(clean_line(done)))
        self._fill()

    def _fill(self) -> None:
        """List the settings that contain every word of the search, in their groups."""
        words = self._search.value.lower().split()
        preferences, before = self.app.preferences, self.chosen
        options: list[Option] = []
        group = ""
        for knob in preferences.knobs:
            if not all(word in f"{knob.name} {knob.group} {knob.about}".lower() for word in words):
                continue
            if knob.group != group:
                group = knob.group
                options.append(Option(Content.styled(group, "bold"), disabled=True))
            value = shorten(self._used(knob), 24)
            origin = shorten(clean_line(preferences.origin(knob)), 26)
            if preferences.fixed(knob).startswith("the policy"):
                origin = "fixed by policy"
            options.append(Option(Content(f"  {knob.name:<17} {value:<24} {origin}"), id=knob.name))
        self._list.set_options(options)
        found = [at for at, option in enumerate(options) if option.id is not None]
        same = [at for at in found if before is not None and options[at].id == before.name]
        self._list.highlighted = next(iter(same or found), None)
        self._explain()

    def _explain(self) -> None:
        knob, preferences = self.chosen, self.app.preferences
        if knob is None:
            self._about.update("Nothing found.")
            return
        default = clean_line(as_text(knob.default)) or UNSET.get(knob.name, "none")
        origin = clean_line(preferences.origin(knob))
        source = preferences.why_fixed(knob) or (f"Set by {origin}." if origin else "Not changed.")
        self._about.update(Content(f"{knob.about}\nAllowed: {knob.bounds}. Default: {default}.\n{clean_line(source)}"))


class EditScreen(InputScreen):
    """Change one setting; `scope` says for how long."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "done_for('file')", "Use it and save it in your settings file"),
        Binding("ctrl+r", "done_for('default')", "Back to the default"),
    ]
    HINT = "Enter: in this conversation · Ctrl+S: save · Ctrl+R: the default · Esc: no change"

    def __init__(self, preferences: Preferences, knob: SettingInfo, offers: Sequence[str] = ()) -> None:
        about = f"{knob.about}\nAllowed: {knob.bounds}.\n{preferences.why_fixed(knob)}"
        choices = knob.choices or (("", *offers) if offers else ())
        super().__init__(
            knob.name, about, preferences.text(knob), choices=choices, optional=knob.optional, check=self._usable
        )
        self.scope: Scope = "conversation"
        self._preferences = preferences
        self._knob = knob

    def on_input_changed(self) -> None:
        if self._knob.name == "theme" and self._field.value in self._knob.choices:
            self.app.show_theme(self._field.value)

    def on_unmount(self) -> None:
        self.app.show_theme()

    def action_done_for(self, scope: Scope) -> None:
        self.scope = scope
        super().action_done()

    def action_done(self) -> None:
        self.action_done_for("conversation")

    def _usable(self, value: str) -> None:
        if self.scope != "default":
            with policy.unreported():  # typing is no attempt
                self._preferences.check(self._knob, self.scope, value)
