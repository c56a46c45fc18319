"""The settings of this conversation, where each comes from, and how to change them; and the themes.

What the administrator's policy or a LOCALRAG_* variable sets cannot be changed here. Saving writes the user's settings
file and takes effect at once; folders and key files change with the next start.

Limit: the theme `auto` follows COLORFGBG; terminals that do not set it count as dark.
"""

from __future__ import annotations

import tomllib
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

# What is in use where nothing is set.
UNSET = {
    "viewer": "the system's own",
    "generator": "the choice of `models use`",
    "embedder": "the choice of `models use`",
    "store": "a folder each",
}
AT_START = frozenset({"home", "key_file"})
Scope = Literal["conversation", "file", "default"]


class Preferences:
    """The settings as they are now; `options` are the names of those given on the command line."""

    def __init__(
        self, settings: Settings | None = None, *, options: Sequence[str] = (), environ: Mapping[str, str] | None = None
    ) -> None:
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

    def in_use(self, knob: SettingInfo) -> str:
        """The value that is set, else what is used instead."""
        home = {"home": str(self.settings.models_dir.parent)}
        return self.text(knob) or {**UNSET, **home}.get(knob.name, "none")

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
        """Return the settings with a value as it is typed."""
        if why := self.why_fixed(knob):
            raise SettingsError(f"{knob.name} cannot be changed here", why)
        if scope == "conversation" and knob.name in AT_START:
            raise SettingsError(f"{knob.name} takes effect with the next start", "Save it, then start again.")
        return self.settings.with_options(**{knob.name: text.strip()})

    def change(self, knob: SettingInfo, scope: Scope, text: str = "") -> str:
        """Change a setting for this conversation, in the user's file, or back to its default; return what was done."""
        changed = self.check(knob, scope, text if scope != "default" else self.text(knob))
        if scope == "default":
            return self._reset(knob)
        if scope == "conversation":
            self.settings = changed
            self._given[knob.name] = "this conversation"
            return f"{knob.name} is now {self.in_use(knob)} in this conversation."
        if knob.optional and not text.strip():
            audit_events.unset_setting(knob.name, self._environ)
        else:
            audit_events.save_setting(knob.name, text, self._environ)
        self._given.pop(knob.name, None)
        if knob.name in AT_START:
            return f"Saved {knob.name}. It takes effect with the next start."
        self.settings = changed
        saved = f"Saved {knob.name} = {self.in_use(knob)}."
        origin = self.origin(knob)
        return saved if origin in ("", "your settings file") else f"{saved} At the next start, {origin} overrides it."

    def _reset(self, knob: SettingInfo) -> str:
        audit_events.unset_setting(knob.name, self._environ)
        self._given.pop(knob.name, None)
        now = as_text(getattr(all_settings.load_settings(self._environ), knob.name))  # another file may set it
        if knob.name not in AT_START:
            self.settings = self.settings.with_options(**{knob.name: now.strip()})
        origin = self.origin(knob)
        return f"{knob.name} is {now or self.in_use(knob)} again{f', from {origin}' if origin else ', its default'}."


def themes() -> list[Theme]:
    """Load the themes; the names of those for 16 colours end in "-16"."""
    text = Path(__file__).with_name("themes.toml").read_text(encoding="utf-8")
    return [Theme(f"localrag-{name}", **colours) for name, colours in tomllib.loads(text).items()]


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
