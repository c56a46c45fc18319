"""The settings that hold in this conversation: where each comes from, and changing it, for now or for good.

What the administrator's policy fixes stays as it is, and so does what a variable sets, since it would win again at the
next start. Saving writes the person's own file
(`audit_events`) and holds at once too; the places of files change only with the next start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from localrag import policy
from localrag import settings as all_settings
from localrag.errors import LocalragError, PolicyRefused, SettingsError
from localrag.lifecycle import audit_events
from localrag.settings import SettingInfo, Settings, as_text

HERE = "this conversation"
AT_START = frozenset({"home", "key_file"})
Deed = Literal["here", "save", "reset"]


class Preferences:
    """The settings as they hold now.

    Args:
        options: names of settings that the command line gave.
        environ: the variables; else those of the process.
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

    @property
    def file_shown(self) -> str:
        """The file as a person would write it."""
        home, file = str(Path.home()), str(self.file)
        return "~" + file.removeprefix(home) if file.startswith(home + "/") else file

    def text(self, knob: SettingInfo) -> str:
        """The value as it is typed."""
        return as_text(getattr(self.settings, knob.name))

    def origins(self) -> dict[str, str]:
        """Where each setting comes from that does not have its default."""
        return {**all_settings.origins(self._environ), **self._given}

    def fixed(self, knob: SettingInfo) -> str:
        """The policy or the variable that sets it, so that it cannot be changed here; else empty."""
        if file := policy.fixes(knob.name):
            return f"the policy {file}"
        origin = self.origins().get(knob.name, "")
        return origin if origin.startswith("LOCALRAG_") else ""

    def problem(self, knob: SettingInfo, text: str) -> LocalragError | None:
        """What is wrong with a value as it is typed, by the code that reads the file and by the policy."""
        try:
            with policy.unreported():
                self._valued(knob, text)
        except (SettingsError, PolicyRefused) as error:
            return error
        return None

    def change(self, knob: SettingInfo, deed: Deed, text: str = "") -> str:
        """Do it; returns what was done, in words.

        Raises:
            SettingsError: the value is wrong, or the setting is not to be changed this way.
            PolicyRefused: the policy says another value.
            StorageError: the file cannot be written.
        """
        if by := self.fixed(knob):
            raise SettingsError(f"{knob.name} is set by {by}", _remedy(by))
        if deed == "reset":
            return self._reset(knob)
        changed = self._valued(knob, text)
        if deed == "save":
            if knob.optional and not text.strip():
                audit_events.unset_setting(knob.name, self._environ)
            else:
                audit_events.save_setting(knob.name, text, self._environ)
        elif knob.name in AT_START:
            raise SettingsError(f"{knob.name} holds from the next start on", "Save it, then start again.")
        if knob.name not in AT_START:
            self.settings = changed
        self._note(knob, deed)
        return self._done(knob, deed)

    def why_fixed(self, knob: SettingInfo) -> str:
        """Why it cannot be changed here, and what can be done; empty where it can."""
        by = self.fixed(knob)
        return f"It cannot be changed here. {_remedy(by)}" if by else ""

    def _valued(self, knob: SettingInfo, text: str) -> Settings:
        return self.settings.with_options(**{knob.name: text.strip()})

    def _note(self, knob: SettingInfo, deed: Deed) -> None:
        if deed == "here":
            self._given[knob.name] = HERE
        else:
            self._given.pop(knob.name, None)

    def _reset(self, knob: SettingInfo) -> str:
        taken = audit_events.unset_setting(knob.name, self._environ)
        self._given.pop(knob.name, None)
        # Another file may set it still.
        held = all_settings.load_settings(self._environ)
        if knob.name not in AT_START:
            self.settings = self.settings.with_options(**{knob.name: as_text(getattr(held, knob.name))})
        origin = self.origins().get(knob.name)
        now = f"as {origin} says" if origin else "the default"
        return f"{knob.name} is {now} again{', and no longer in your settings file' if taken else ''}."

    def _done(self, knob: SettingInfo, deed: Deed) -> str:
        said = f"{knob.name} is {self.text(knob) or 'not set'}"
        if deed == "here":
            return f"{said} in this conversation."
        if knob.name in AT_START:
            return f"{knob.name} is saved in your settings file, and holds from the next start on."
        origin = self.origins().get(knob.name)
        if origin not in (None, str(self.file)):
            return f"{said}, and saved in your settings file; but {origin} sets it too, and wins at the next start."
        return f"{said}, and saved in your settings file."


def _remedy(by: str) -> str:
    if by.startswith("LOCALRAG_"):
        return "Unset that variable (or change it) and start again."
    return "Ask whoever looks after this machine."
