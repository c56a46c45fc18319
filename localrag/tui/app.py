"""The terminal app: it opens the first screen, loads the model behind it, and owns the threads.

Everything that thinks is an argument (`Core`), so that tests can drive the app with fakes. An error of the engine never
ends it; it is shown where it belongs, with what to do next.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar, Literal

from textual import work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.screen import ModalScreen, Screen

from localrag.errors import LocalragError, ModelMissing, SettingsError
from localrag.settings import MODEL_SETTINGS, as_text, project_file
from localrag.tui.chat_state import Resumed, Scope, Trouble
from localrag.tui.commands import COMMANDS
from localrag.tui.preferences import Look, Preferences, themes
from localrag.tui.screens.chat import ChatScreen
from localrag.tui.text import LastLook, clean_line, error_line
from localrag.tui.threads import THREADS, Core, JobThread, deliver
from localrag.tui.widgets.library import Works
from localrag.types import EVERYTHING, Filter, Mode

_TERMINAL_SECONDS = 2.0  # between two looks whether it is still there
QUIT_WINDOW = 3.0  # seconds between two Ctrl-C that quit
KEY_WORDS = {
    "escape": "Esc",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "slash": "/",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
}
# Keys that are of no use in the command palette.
NOT_IN_PALETTE = {"command_palette", "escape", "next_panel", "page", "dismiss", "back", "close"}


@dataclass(frozen=True, slots=True)
class ModelState:
    """Whether the model is loaded; `error` is why it failed."""

    state: Literal["loading", "ready", "failed"]
    id: str = ""
    error: LocalragError | None = None

    @property
    def words(self) -> str:
        return {"loading": "loading model …", "ready": f"{self.id} ready", "failed": "no model"}[self.state]


class LocalragApp(App[None]):
    """The app over libraries or a folder, which is read after a yes; if neither is given, the person chooses."""

    TITLE = "localrag"
    CSS_PATH = "app.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Keys and commands", priority=True),
        Binding("f8", "settings", "Settings", priority=True),
        Binding("ctrl+p", "command_palette", "Command palette: everything by name", priority=True),
        Binding("ctrl+c", "interrupt", "Stop the answer; twice: quit", priority=True),
        Binding("ctrl+q", "quit", "Quit", priority=True),
        Binding("ctrl+z", "suspend_process", "Back to the shell; `fg` returns", priority=True),
    ]

    model: reactive[ModelState] = reactive(ModelState("loading"), init=False)

    @dataclass
    class Loaded(Message):
        """The model was loaded, or failed to."""

        state: ModelState

    def __init__(
        self,
        core: Core,
        *,
        libraries: Sequence[str] = (),
        folder: Path | None = None,
        only: Filter = EVERYTHING,
        mode: Mode = "auto",
        clock: Callable[[], float] = time.monotonic,
        preferences: Preferences | None = None,
        look: Look | None = None,  # what the terminal can show
        without_model: bool = False,  # none is installed
        resumed: Resumed | None = None,
    ) -> None:
        self._look = look or Look()
        # With colours of its own forced, Textual takes NO_COLOR to mean none at all instead of shades of grey.
        super().__init__(ansi_color=True if self._look.no_color else None)
        self._filters.append(LastLook())
        for theme in themes():
            self.register_theme(theme)
        self.core = core
        self.preferences = preferences or Preferences()
        self._apply_look()
        self.threads = {name: JobThread(name) for name in THREADS}
        self.works = Works(core, self.threads)
        self._without_model = without_model
        self._missing = False  # whether a model could not be loaded because none is installed
        self._scope = resumed.scope if resumed else Scope(tuple(libraries), only, mode)
        self._used: tuple[str, ...] = ()
        self._folder = folder
        self._resumed = resumed
        self.clock = clock
        self._last_interrupt = float("-inf")

    def on_mount(self) -> None:
        # Ctrl-Z suspends this process only, and at once; the engine may be in another.
        self.app_suspend_signal.subscribe(self, lambda _: self.core.engine.pause(True), immediate=True)
        self.app_resume_signal.subscribe(self, lambda _: self.core.engine.pause(False))
        self.open_first_screen()
        self.call_after_refresh(self._after_first_frame)
        if sys.__stdin__ is not None and sys.__stdin__.isatty():
            Thread(target=_end_with_terminal, daemon=True).start()

    def _after_first_frame(self) -> None:
        gc.enable()  # disabled by the command until here
        with suppress(SettingsError):  # a file that cannot be read was reported by the command
            if (found := project_file()) and found.warning:
                self.notify(clean_line(found.warning), severity="warning", timeout=20)
        self.threads["pages"].submit(import_for_answers)

    @work
    async def open_first_screen(self) -> None:
        """Lead to a library, then open the conversation."""
        # Without an embedder, which comes with the first model, no folder can be read.
        if self._without_model and not await self._offer_model():
            self.model = ModelState("failed", error=ModelMissing("no model is installed", "localrag models install"))
        scope = self._scope
        if not scope.libraries:
            name = await (self._read_folder(self._folder) if self._folder else self._choose_library())
            if name is None:
                self.exit()
                return
            scope = Scope((name,), scope.only, scope.mode)
        self._use(scope.libraries)
        await self.push_screen(ChatScreen(self.core, scope, self._resumed))
        self._offer_missing_model()

    async def _choose_library(self) -> str | None:
        from localrag.tui.screens.dialogs import ChooseScreen, welcome

        names = self.core.engine.libraries()
        if len(names) == 1:
            return names[0]
        while True:
            if names and (chosen := await self.push_screen_wait(ChooseScreen(names))):
                return chosen
            typed = await self.push_screen_wait(welcome(first=not names))
            if typed is None:
                return None
            if read := await self._read_folder(Path(typed).expanduser()):
                return read

    async def _read_folder(self, folder: Path) -> str | None:
        from localrag.tui.screens.dialogs import IngestScreen

        return await self.push_screen_wait(IngestScreen(self.core, folder))

    def open_chat(self, scope: Scope, resumed: Resumed | None = None) -> None:
        """Replace the conversation on the screen by another."""
        if isinstance(self.screen, ChatScreen):
            self.screen.stop_work()
            self._use(scope.libraries)
            # Not awaited: the screen that is replaced may be the caller.
            self.switch_screen(ChatScreen(self.core, scope, resumed))

    def action_use_library(self, name: str) -> None:
        """Ask another library, in a new conversation."""
        screen = self.screen
        if not isinstance(screen, ChatScreen):
            return
        libraries = self.core.engine.libraries()  # another process may have made it meanwhile
        if name in libraries:
            self.open_chat(Scope((name,), mode=screen.scope.mode))
        else:
            names = clean_line(", ".join(libraries))
            self.notify(f"There is no library {clean_line(name)!r}. Libraries: {names}.")

    def _use(self, libraries: tuple[str, ...]) -> None:
        """Ask these libraries from now on; the model is loaded in a process that can reach no others."""
        if libraries == self._used:
            return
        self._used = libraries
        self.core.engine.use(libraries)
        if self.model.state != "failed":
            self.model = ModelState("loading")
            self.call_after_refresh(self.load_model)

    def load_model(self) -> None:
        self.model = ModelState("loading")
        self.threads["model"].submit(
            lambda: deliver(self, self.Loaded(ModelState("ready", self.core.engine.load()))),
            lambda error: deliver(self, self.Loaded(ModelState("failed", error=error))),
        )

    def on_localrag_app_loaded(self, message: Loaded) -> None:
        self.model = message.state
        self._missing = isinstance(message.state.error, ModelMissing)
        self._offer_missing_model()

    async def _offer_model(self) -> bool:
        from localrag.tui.screens.dialogs import NoModelScreen

        return await self.push_screen_wait(NoModelScreen())

    @work
    async def _offer_missing_model(self) -> None:
        """Offer a model once the conversation is open, not while someone is typing a path."""
        if self._missing and isinstance(self.screen, ChatScreen):
            self._missing = False
            if await self._offer_model():
                self.load_model()

    def _apply_look(self) -> None:
        self.show_theme()
        self.animation_level = "full" if self._look.animated(self.preferences.settings.animations) else "none"

    def show_theme(self, name: str = "") -> None:
        """Show a theme before it is chosen, or again the one that is set."""
        self.theme = self._look.theme(name or self.preferences.settings.theme)

    def apply_setting(self, name: str) -> None:
        if name in ("theme", "animations"):
            self._apply_look()
            return
        value = as_text(getattr(self.preferences.settings, name))
        self.threads["model"].submit(
            lambda: self.core.engine.configure(**{name: value}), lambda error: deliver(self, Trouble(error))
        )
        if name in MODEL_SETTINGS:
            self.load_model()

    def action_use_model(self, id: str) -> None:
        self._set("generator", id)

    def action_think(self, when: str) -> None:
        self._set("think", when)

    def _set(self, name: str, text: str) -> None:
        """Change a setting for this conversation."""
        try:
            done = self.preferences.change(self.preferences.knob(name), "conversation", text)
        except LocalragError as error:
            self.post_message(Trouble(error))
            return
        self.apply_setting(name)
        self.notify(done)

    def notify(self, message: str, **how: Any) -> None:
        """Show a notice; its text is never markup."""
        super().notify(message, **{**how, "markup": False})

    @contextmanager
    def errors_shown(self, title: str = "") -> Iterator[None]:
        """Show what goes wrong as a notice, and go on."""
        try:
            yield
        except LocalragError as error:
            self.notify(error_line(error), title=title, severity="error", timeout=10)

    def on_trouble(self, message: Trouble) -> None:
        self.notify(error_line(message.error), severity="error")

    def action_help(self) -> None:
        from localrag.tui.screens.dialogs import HelpScreen

        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss()
            return
        here = type(self.screen)
        groups = [("On this screen", here), *getattr(here, "HELP_GROUPS", []), ("Everywhere", type(self))]
        self.push_screen(HelpScreen(groups, with_commands=isinstance(self.screen, ChatScreen)))

    def action_settings(self) -> None:
        from localrag.tui.screens.settings import SettingsScreen

        if isinstance(self.screen, SettingsScreen):
            self.screen.dismiss()
        elif not isinstance(self.screen, ModalScreen):
            self.push_screen(SettingsScreen())

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """List keys and commands, not Textual's own: one writes the words of documents into a screenshot."""
        from localrag.tui.screens.dialogs import own_bindings

        actions = set()
        for owner in (screen, self):
            for binding in own_bindings(type(owner)):
                if binding.action.split("(")[0] not in NOT_IN_PALETTE:
                    actions.add(binding.action)
                    keys = ", ".join(self.get_key_display(one) for one in Binding.make_bindings([binding]))
                    yield SystemCommand(binding.description, keys, partial(owner.run_action, binding.action))
        if isinstance(screen, ChatScreen):
            for command in COMMANDS:
                if command.action.removeprefix("app.") not in actions:
                    half = f"/{command.name} "
                    run = partial(screen.type_in, half) if command.takes else partial(screen.run_action, command.action)
                    yield SystemCommand(command.does, half + command.takes.replace("[", "\\["), run)

    def get_key_display(self, binding: Binding) -> str:
        """Name keys in words, which every font has and a screen reader can say."""
        key = f"shift+{binding.key}" if len(binding.key) == 1 and binding.key.isupper() else binding.key
        return "+".join(KEY_WORDS.get(part, part.title()) for part in key.split("+"))

    def action_interrupt(self) -> None:
        """Ctrl-C: stop what runs, else copy the selection, else quit at the second time."""
        if any(_stop(screen) for screen in self.screen_stack):
            return
        if selected := self.screen.get_selected_text():
            self.copy_to_clipboard(selected)
            self.screen.clear_selection()
            return
        now = self.clock()
        if now - self._last_interrupt < QUIT_WINDOW:
            self.exit()
            return
        self._last_interrupt = now
        self.notify("Press Ctrl-C again to quit.", timeout=QUIT_WINDOW)

    async def action_quit(self) -> None:
        for screen in self.screen_stack:
            _stop(screen)
        self.exit()

    def shut_down(self, seconds: float) -> bool:
        """End the threads after the screen is gone; False if one is still inside native code."""
        self.works.stop()
        self.threads["model"].submit(self.core.engine.close)
        closed = [thread.close(seconds) for thread in self.threads.values()]
        return all(closed)


def _stop(screen: object) -> bool:
    """Stop the work of a screen; False if there is none."""
    stop = getattr(screen, "stop_work", None)
    return stop is not None and bool(stop())


def _end_with_terminal() -> None:
    """End where the terminal is gone and no signal says so: Textual would read it, or wait to write to it, for ever."""
    while sys.__stdin__ is not None and sys.__stdin__.isatty():
        time.sleep(_TERMINAL_SECONDS)
    os._exit(129)  # as the signal would


def import_for_answers() -> None:
    """Import what the first answer needs and the first frame does not."""
    import localrag.items.values
    import localrag.tui.screens.table
    import localrag.tui.widgets.turn  # noqa: F401
