"""One setting: its explanation and the control that fits it; what is typed is checked as it is typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static

from localrag.errors import PolicyRefused
from localrag.settings import SettingInfo, as_text
from localrag.tui.inert import clean_line
from localrag.tui.preferences import AT_START, Deed, Preferences


@dataclass(frozen=True, slots=True)
class Change:
    """What a person wants of a setting."""

    knob: SettingInfo
    deed: Deed
    text: str = ""


class EditScreen(ModalScreen[Change | None]):
    """The result is the change, or None to leave the setting as it is."""

    # None has priority: it would overtake the keys pressed before it, which wait in the control.
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "done('here')", "Take it for this conversation"),
        Binding("ctrl+s", "done('save')", "Take it and save it in your settings file"),
        Binding("ctrl+r", "done('reset')", "Back to the default"),
        Binding("escape", "dismiss", "Leave it as it is"),
    ]

    def __init__(self, preferences: Preferences, knob: SettingInfo, offers: Sequence[str] = ()) -> None:
        super().__init__()
        # Among what is there a person chooses, besides leaving it not set; what the setting has now is offered too.
        now = preferences.text(knob)
        there = tuple(dict.fromkeys(("", *offers, now))) if offers and knob.optional else ()
        self._choices = knob.choices or there
        self._preferences = preferences
        self._knob = knob
        self._field: Input | None = None
        self._list: OptionList | None = None
        if self._choices:
            self._list = OptionList(*(self._choice(choice, now) for choice in self._choices))
        else:
            self._field = Input(
                now, placeholder="not set" if knob.optional else "", id="setting", select_on_focus=False
            )
            self._field.cursor_blink = False
        self._verdict = Static(id="setting-verdict")

    def compose(self) -> ComposeResult:
        knob, fixed, why = self._knob, self._preferences.fixed(self._knob), self._preferences.why_fixed(self._knob)
        with Vertical(classes="dialog"):
            yield Static(Content.styled(knob.name, "bold"), classes="dialog-title")
            yield Static(Content(f"{knob.about}\nMay be {knob.bounds}."))
            if fixed:
                yield Static(Content(f"\n! It is set by {clean_line(fixed)}. {why}"))
                yield Static("Esc closes", classes="quiet")
                return
            yield self._list if self._list is not None else self._field or Static()
            yield self._verdict
            here = "" if knob.name in AT_START else "Enter: for this conversation · "
            yield Static(f"{here}Ctrl+S: for good · Ctrl+R: the default · Esc: as it was", classes="quiet")

    def on_mount(self) -> None:
        if self._list is not None and self._list.is_attached:
            self._list.highlighted = self._choices.index(self._preferences.text(self._knob))
            self._list.focus()
        elif self._field is not None and self._field.is_attached:
            self._field.focus()

    def on_input_changed(self) -> None:
        self._judge()

    def on_option_list_option_selected(self) -> None:
        self.action_done("here")

    def on_input_submitted(self) -> None:
        self.action_done("here")

    def action_done(self, deed: Deed) -> None:
        if self._preferences.fixed(self._knob):
            self.dismiss()
            return
        if deed == "here" and self._knob.name in AT_START:
            self._verdict.update(Content("! It holds from the next start on: save it with Ctrl+S."))
            return
        if deed == "reset" or self._judge():
            self.dismiss(Change(self._knob, deed, self._text))

    @property
    def _text(self) -> str:
        if self._list is not None:
            at = self._list.highlighted
            return self._choices[at] if at is not None else ""
        return self._field.value if self._field is not None else ""

    def _judge(self) -> bool:
        """Say whether what is typed would be taken."""
        problem = self._preferences.problem(self._knob, self._text)
        if problem is None:
            self._verdict.update(Content("" if self._list is not None else "It can be taken."))
            return True
        # Where it was given is plain here.
        wrong = clean_line(problem.message).replace(" in option", "")
        bounds = "" if isinstance(problem, PolicyRefused) else f" It may be {self._knob.bounds}."
        self._verdict.update(Content(f"! {wrong}.{bounds}"))
        return False

    def _choice(self, choice: str, now: str) -> Content:
        marks = [
            *(["now"] if choice == now else []),
            *(["default"] if choice == as_text(self._knob.default) else []),
        ]
        words = clean_line(choice) or "not set"
        return Content(f"{words}  ({', '.join(marks)})" if marks else words)
