"""The settings of this conversation, where each comes from, and how to change them; and the themes.

What the administrator's policy or a LOCALRAG_* variable sets cannot be changed here. Saving writes the user's settings
file and takes effect at once; folders and key files change with the next start.

Three themes have measured contrast (WCAG 2: 4.5 to 1 for text, 7 to 1 in `contrast`; a test checks it). Three more use
only the terminal's own 16 colours, for terminals that have no more and for NO_COLOR. Limit: `auto` follows COLORFGBG,
which many terminals do not set; those count as dark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from textual.theme import Theme

from localrag import policy
from localrag import settings as all_settings
from localrag.errors import SettingsError
from localrag.lifecycle import audit_events
from localrag.settings import SettingInfo, Settings, as_text

AT_START = frozenset({"home", "key_file"})
Scope = Literal["conversation", "file", "default"]


class Preferences:
    """The settings as they are now.

    Args:
        options: names of the settings given on the command line.
        environ: the environment variables; by default those of the process.
    """

    def __init__(
        self, settings: Settings | None = None, *, options: Sequence[str] = (),
        environ: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.settings = settings or Settings()
        self.knobs = all_settings.setting_infos()
        self._environ = environ
        self._given = dict.fromkeys(options, "an option on the command line")

    @property
    def file(self) -> Path:
        return all_settings.user_file(self._environ)

    def knob(self, name: str) -> SettingInfo:
        return next(knob for knob in self.knobs if knob.name == name)

    def text(self, knob: SettingInfo) -> str:
        """The value as it is typed."""
        return as_text(getattr(self.settings, knob.name))

    def origin(self, knob: SettingInfo) -> str:
        """What sets the value; empty for a default."""
        origin = {**all_settings.origins(self._environ), **self._given}.get(knob.name, "")
        return "your settings file" if origin == str(self.file) else origin

    def fixed(self, knob: SettingInfo) -> str:
        """The policy or variable that sets the value for good; empty if it can be changed here."""
        if file := policy.fixes(knob.name):
            return f"the policy {file}"
        origin = self.origin(knob)
        return origin if origin.startswith("LOCALRAG_") else ""

    def why_fixed(self, knob: SettingInfo) -> str:
        """Why a setting cannot be changed here and what to do; empty if it can."""
        if not (by := self.fixed(knob)):
            return ""
        remedy = "Change that variable" if by.startswith("LOCALRAG_") else "Ask your administrator to change it"
        return f"It is set by {by}. {remedy}, then start again."

    def check(self, knob: SettingInfo, scope: Scope, text: str) -> Settings:
        """Return the settings with a value as it is typed.

        Raises:
            SettingsError: the value is wrong, or the setting cannot be changed here.
            PolicyRefused: the policy requires another value.
        """
        if why := self.why_fixed(knob):
            raise SettingsError(f"{knob.name} cannot be changed here", why)
        if scope == "conversation" and knob.name in AT_START:
            raise SettingsError(f"{knob.name} takes effect with the next start", "Save it, then start again.")
        return self._changed(knob, text)

    def change(self, knob: SettingInfo, scope: Scope, text: str = "") -> str:
        """Change a setting for this conversation, in the user's file, or back to its default; return what was done.

        Raises:
            SettingsError, PolicyRefused: see `check`.
            StorageError: the file cannot be written.
        """
        changed = self.check(knob, scope, text if scope != "default" else self.text(knob))
        if scope == "default":
            return self._reset(knob)
        if scope == "conversation":
            self.settings = changed
            self._given[knob.name] = "this conversation"
            return f"{knob.name} is now {self.text(knob) or 'not set'} in this conversation."
        if knob.optional and not text.strip():
            audit_events.unset_setting(knob.name, self._environ)
        else:
            audit_events.save_setting(knob.name, text, self._environ)
        self._given.pop(knob.name, None)
        if knob.name in AT_START:
            return f"Saved {knob.name}. It takes effect with the next start."
        self.settings = changed
        saved = f"Saved {knob.name} = {self.text(knob) or 'not set'}."
        origin = self.origin(knob)
        return saved if origin in ("", "your settings file") else f"{saved} At the next start, {origin} overrides it."

    def _changed(self, knob: SettingInfo, text: str) -> Settings:
        return self.settings.with_options(**{knob.name: text.strip()})

    def _reset(self, knob: SettingInfo) -> str:
        audit_events.unset_setting(knob.name, self._environ)
        self._given.pop(knob.name, None)
        now = as_text(getattr(all_settings.load_settings(self._environ), knob.name))  # another file may set it
        if knob.name not in AT_START:
            self.settings = self._changed(knob, now)
        origin = self.origin(knob)
        return f"{knob.name} is {now or 'not set'} again{f', from {origin}' if origin else ', its default'}."


# --- themes -------------------------------------------------------------------------------------------------

_CURSOR = {"block-cursor-text-style": "bold", "block-cursor-blurred-text-style": "underline"}

DARK = Theme(
    "localrag-dark", primary="#7fb4ff", secondary="#9ccfa0", accent="#ffc66d", warning="#ffc66d", error="#ff9b9b",
    success="#8fd694", foreground="#e8e8e8", background="#14171c", surface="#1f242c", panel="#2a313c",
    variables={
        **_CURSOR, "text-muted": "#b4bcc8", "text-disabled": "#9aa3b0", "primary-muted": "#1d3a63",
        "block-cursor-foreground": "#0b1220", "block-cursor-background": "#7fb4ff",
        "block-cursor-blurred-foreground": "#e8e8e8", "block-cursor-blurred-background": "#2a313c",
        "input-selection-background": "#2f5d9e", "input-cursor-background": "#e8e8e8",
        "input-cursor-foreground": "#14171c", "border-blurred": "#5b6675",
    },
)  # fmt: skip
LIGHT = Theme(
    "localrag-light", primary="#0b4f9e", secondary="#2c5f2d", accent="#7a4200", warning="#7a4200", error="#a00619",
    success="#1e6b2e", foreground="#1b1b1b", background="#fbfbf8", surface="#eeeeea", panel="#e2e2dc", dark=False,
    variables={
        **_CURSOR, "text-muted": "#474747", "text-disabled": "#5a5a5a", "primary-muted": "#cfe0f5",
        "block-cursor-foreground": "#ffffff", "block-cursor-background": "#0b4f9e",
        "block-cursor-blurred-foreground": "#1b1b1b", "block-cursor-blurred-background": "#d8d8d2",
        "input-selection-background": "#b8d4f5", "input-cursor-background": "#1b1b1b",
        "input-cursor-foreground": "#fbfbf8", "border-blurred": "#8a8a84",
    },
)  # fmt: skip
CONTRAST = Theme(
    "localrag-contrast", primary="#ffff00", secondary="#00ffff", accent="#ffff00", warning="#ffff00", error="#ffb3b3",
    success="#80ff80", foreground="#ffffff", background="#000000", surface="#000000", panel="#1a1a1a",
    variables={
        **_CURSOR, "text-muted": "#ffffff", "text-disabled": "#d0d0d0", "primary-muted": "#00366b",
        "block-cursor-foreground": "#000000", "block-cursor-background": "#ffff00",
        "block-cursor-blurred-foreground": "#ffffff", "block-cursor-blurred-background": "#00366b",
        "input-selection-background": "#00569e", "input-cursor-background": "#ffffff",
        "input-cursor-foreground": "#000000", "border-blurred": "#ffffff",
    },
)  # fmt: skip

# Dim text is often invisible with 16 colours, so nothing is dimmed. The cursor is bold and underlined as well, because
# NO_COLOR takes its colour away.
_PLAIN = {
    "text-muted": "ansi_default", "text-disabled": "ansi_default", "primary-muted": "transparent",
    "block-cursor-text-style": "bold underline", "block-cursor-blurred-text-style": "underline",
    "block-cursor-blurred-foreground": "ansi_default", "block-cursor-blurred-background": "ansi_default",
    "scrollbar-background": "ansi_default", "scrollbar-background-hover": "ansi_default",
    "scrollbar-background-active": "ansi_default", "ansi-background": "ansi_default",
    "ansi-foreground": "ansi_default",
}  # fmt: skip


def _theme_of_16(name: str, border: str, warning: str, cursor: tuple[str, str], dark: bool = True) -> Theme:
    return Theme(
        name, ansi=True, dark=dark, primary=border, secondary=border, accent=border, warning=warning, error="ansi_red",
        success="ansi_green", foreground="ansi_default", background="ansi_default", surface="ansi_default",
        panel="ansi_default", boost="ansi_default",
        variables={
            **_PLAIN, "border": border, "border-blurred": "ansi_default", "scrollbar": border,
            "scrollbar-hover": border, "scrollbar-active": border, "block-cursor-foreground": cursor[0],
            "block-cursor-background": cursor[1],
        },
    )  # fmt: skip


DARK_16 = _theme_of_16("localrag-dark-16", "ansi_cyan", "ansi_yellow", ("ansi_black", "ansi_cyan"))
LIGHT_16 = _theme_of_16(
    "localrag-light-16", "ansi_blue", "ansi_magenta", ("ansi_bright_white", "ansi_blue"), dark=False
)
CONTRAST_16 = _theme_of_16("localrag-contrast-16", "ansi_default", "ansi_default", ("ansi_black", "ansi_bright_white"))
THEMES = (DARK, LIGHT, CONTRAST, DARK_16, LIGHT_16, CONTRAST_16)


@dataclass(frozen=True, slots=True)
class Look:
    """What a terminal can show: 16 colours at most, a light background, no colour, over SSH."""

    few_colors: bool = False
    light: bool = False
    no_color: bool = False
    remote: bool = False

    def theme(self, wanted: str) -> str:
        """The name of the theme for the setting `theme`."""
        shade = ("light" if self.light else "dark") if wanted == "auto" else wanted
        return f"localrag-{shade}-16" if self.few_colors or self.no_color else f"localrag-{shade}"

    def animated(self, wanted: str) -> bool:
        """Whether to animate, for the setting `animations`; not over SSH, where every frame is sent."""
        return wanted == "on" or (wanted == "auto" and not self.remote)


def look_of(environ: Mapping[str, str]) -> Look:
    """Find out what a terminal can show from its environment variables."""
    term = environ.get("TERM", "")
    many = environ.get("COLORTERM", "").lower() in ("truecolor", "24bit") or term.endswith(
        ("256color", "-direct", "kitty")
    )
    background = environ.get("COLORFGBG", "").rpartition(";")[2]
    return Look(
        few_colors=not many,
        light=background.isdecimal() and int(background) in (7, *range(9, 16)),
        no_color=bool(environ.get("NO_COLOR")),
        remote=any(name in environ for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT")),
    )
