"""Every setting with its value, where it comes from and what it does; and a dialog to change it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from localrag.errors import LocalragError, PolicyRefused
from localrag.settings import SettingInfo, as_text
from localrag.tui.preferences import AT_START, Preferences, Scope
from localrag.tui.screens.dialogs import field
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
        self._search = field(placeholder="Search: answer, memory, colours …", classes="search")
        self._list = OptionList(id="settings-list")
        self._list.can_focus = False  # the search line keeps the keyboard
        self._about = Static(id="settings-about")
        self._message = Static(classes="message")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog full"):
            where = f"  saved in {clean_line(str(self.app.preferences.file))}"
            yield Static(Content.assemble(("Settings", "bold"), where), id="settings-title")
            yield self._search
            yield self._list
            yield self._about
            yield self._message
            yield Static("Type to search · ↑ ↓ and Enter change one · Esc closes", classes="quiet")

    def on_mount(self) -> None:
        self._search.focus()
        self._fill()
        self._find_models()

    @work
    async def _find_models(self) -> None:
        try:
            self._models = await self.app.lanes["pages"].result(self.app.core.engine.models)
        except LocalragError:
            self._models = ()  # then the id is typed

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
        change = await self.app.push_screen_wait(EditScreen(self.app.preferences, knob, offers))
        if change is None:
            return
        try:
            done = self.app.preferences.change(knob, *change)
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
            value = shorten(clean_line(preferences.text(knob)) or "not set", 24)
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
        default = clean_line(as_text(knob.default)) or "not set"
        origin = clean_line(preferences.origin(knob))
        source = preferences.why_fixed(knob) or (f"Set by {origin}." if origin else "Not changed.")
        self._about.update(Content(f"{knob.about}\nAllowed: {knob.bounds}. Default: {default}.\n{clean_line(source)}"))


class EditScreen(ModalScreen[tuple[Scope, str] | None]):
    """Change one setting; the result is for how long and to which value, or None.

    A value is checked as it is typed. No binding has priority: it would overtake keys still waiting in the input.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "done('conversation')", "Use it in this conversation"),
        Binding("ctrl+s", "done('file')", "Use it and save it in your settings file"),
        Binding("ctrl+r", "done('default')", "Back to the default"),
        Binding("escape", "dismiss", "Leave it as it is"),
    ]

    def __init__(self, preferences: Preferences, knob: SettingInfo, offers: Sequence[str] = ()) -> None:
        super().__init__()
        now = preferences.text(knob)
        self._choices = knob.choices or (tuple(dict.fromkeys(("", *offers, now))) if offers else ())
        self._preferences = preferences
        self._knob = knob
        self._control: Input | OptionList
        if self._choices:
            self._control = OptionList(*(Content(self._choice(choice, now)) for choice in self._choices))
            self._control.highlighted = self._choices.index(now)
        else:
            self._control = field(now, placeholder="not set" if knob.optional else "")
        self._verdict = Static()

    def compose(self) -> ComposeResult:
        knob, why = self._knob, self._preferences.why_fixed(self._knob)
        with Vertical(classes="dialog"):
            yield Static(Content.styled(knob.name, "bold"), classes="dialog-title")
            yield Static(Content(f"{knob.about}\nAllowed: {knob.bounds}."))
            if why:
                yield Static(Content(f"\n! {clean_line(why)}"))
                yield Static("Esc closes", classes="quiet")
                return
            yield self._control
            yield self._verdict
            here = "" if knob.name in AT_START else "Enter: in this conversation · "
            yield Static(f"{here}Ctrl+S: save · Ctrl+R: the default · Esc: no change", classes="quiet")

    def on_mount(self) -> None:
        if self._control.is_attached:
            self._control.focus()

    def on_input_changed(self) -> None:
        self._check()

    def on_input_submitted(self) -> None:
        self.action_done("conversation")

    def on_option_list_option_selected(self) -> None:
        self.action_done("conversation")

    def action_done(self, scope: Scope) -> None:
        if self._preferences.fixed(self._knob):
            self.dismiss()
        elif scope == "conversation" and self._knob.name in AT_START:
            self._verdict.update("! It takes effect with the next start. Save it with Ctrl+S.")
        elif scope == "default" or self._check():
            self.dismiss((scope, self._text))

    @property
    def _text(self) -> str:
        if isinstance(self._control, Input):
            return self._control.value
        at = self._control.highlighted
        return self._choices[at] if at is not None else ""

    def _check(self) -> bool:
        """Show whether the value can be used."""
        problem = self._preferences.problem(self._knob, self._text)
        if problem is None:
            self._verdict.update("OK" if isinstance(self._control, Input) else "")
            return True
        wrong = clean_line(problem.message).replace(" in option", "")
        allowed = "" if isinstance(problem, PolicyRefused) else f" Allowed: {self._knob.bounds}."
        self._verdict.update(Content(f"! {wrong}.{allowed}"))
        return False

    def _choice(self, choice: str, now: str) -> str:
        marks = ["now"] * (choice == now) + ["default"] * (choice == as_text(self._knob.default))
        return (clean_line(choice) or "not set") + (f"  ({', '.join(marks)})" if marks else "")
