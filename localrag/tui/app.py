"""The terminal app: chooses what to open, loads the model behind the first screen, and owns the threads.

It takes everything that thinks as an argument (`Core`), so that it can be driven with scripted parts. No
error of the core ends it: each is shown where it belongs, with what to do next.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from textual import work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.screen import ModalScreen

from localrag.errors import LocalragError, ModelMissing
from localrag.settings import MODEL_SETTINGS, as_text
from localrag.tui import commands
from localrag.tui.core import Core
from localrag.tui.inert import clean_line
from localrag.tui.install import Installer
from localrag.tui.jobs import Lane, deliver
from localrag.tui.palette import Everything
from localrag.tui.preferences import Preferences
from localrag.tui.resuming import Resumed, ready
from localrag.tui.screens.chat import ChatScreen
from localrag.tui.screens.dialogs import ChooseScreen
from localrag.tui.screens.help import HelpScreen
from localrag.tui.screens.ingest import IngestScreen
from localrag.tui.screens.model import NoModelScreen
from localrag.tui.screens.settings import SettingsScreen
from localrag.tui.screens.welcome import WelcomeScreen
from localrag.tui.talk import Scope
from localrag.tui.themes import ORDINARY, THEMES, Look
from localrag.tui.widgets.turn import get_ready
from localrag.tui.working import Works
from localrag.types import EVERYTHING, Filter, Mode

QUIT_WINDOW = 3.0
INSTALL = "Type: localrag models install"
KEY_WORDS = {
    "escape": "Esc", "pageup": "PgUp", "pagedown": "PgDn", "slash": "/", "left_square_bracket": "[",
    "right_square_bracket": "]",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelState:
    """Where the model stands; `error` is why it failed."""

    state: Literal["loading", "ready", "failed"]
    id: str = ""
    error: LocalragError | None = None

    @property
    def words(self) -> str:
        return {"loading": "model loading …", "ready": f"{self.id} ready", "failed": "no model"}[self.state]


class LocalragApp(App[None]):
    """The app over one library, several, a folder, or whatever there is.

    Args:
        libraries: libraries to ask, by name; empty lets the person choose.
        folder: a folder to ask; read into a library first, after a yes, where it is none yet.
        only: what the questions are narrowed to.
        clock: seconds, for estimates of the time left.
        preferences: the settings that hold, and what may be changed of them.
        look: what the terminal can show.
        installer: what may install models; without, the person is told what to type.
        resumed: a conversation to go on with; what it is asked of comes with it.
    """

    TITLE = "localrag"
    CSS_PATH = "app.tcss"
    # Textual's own commands would write screenshots, with the words of documents in them, to the disk.
    COMMANDS: ClassVar[set[Any]] = {Everything}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "This list of keys", priority=True),
        Binding("f8", "settings", "Settings", priority=True),
        Binding("ctrl+p", "command_palette", "Everything that can be done, by name", priority=True),
        Binding("ctrl+c", "interrupt", "Stop the answer; twice: quit", priority=True),
        Binding("ctrl+q", "quit", "Quit", priority=True),
        Binding("ctrl+z", "suspend_process", "Back to the shell; `fg` returns", priority=True),
    ]

    model: reactive[ModelState] = reactive(ModelState("loading"), init=False)

    class Loaded(Message):
        def __init__(self, state: ModelState) -> None:
            super().__init__()
            self.state = state

    class Ready(Message):
        """A conversation to go on with."""

        def __init__(self, resumed: Resumed) -> None:
            super().__init__()
            self.resumed = resumed

    class Refused(Message):
        """The engine would not take a setting."""

        def __init__(self, error: LocalragError) -> None:
            super().__init__()
            self.error = error

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
        look: Look = ORDINARY,
        installer: Installer | None = None,
        resumed: Resumed | None = None,
    ) -> None:
        # With its own colours forced, Textual takes NO_COLOR to mean none at all, and not shades of grey.
        super().__init__(ansi_color=True if look.no_color else None)
        for theme in THEMES:
            self.register_theme(theme)
        self._look = look
        self._installer = installer
        self._missing = False
        self.preferences = preferences or Preferences()
        self._wear()
        self.core = core
        self.lanes = {name: Lane(name) for name in ("model", "pages", "reading")}
        self.works = Works(core, self.lanes)
        self._libraries = tuple(libraries)
        self._used: tuple[str, ...] = ()
        self._resumed = resumed
        self._folder = folder
        self._only = only
        self._mode: Mode = mode
        self._clock = clock
        self._last_interrupt = float("-inf")

    def on_mount(self) -> None:
        # Ctrl-Z halts this process only, and at once; the engine may be in another.
        self.app_suspend_signal.subscribe(self, lambda _: self.core.engine.pause(True), immediate=True)
        self.app_resume_signal.subscribe(self, lambda _: self.core.engine.pause(False))
        self.open_first_screen()
        # Nothing of this is needed for the first screen, and all of it wants the processor.
        self.call_after_refresh(self._start_up)

    def _start_up(self) -> None:
        gc.enable()  # the command disables it until here
        self.lanes["pages"].submit(get_ready, lambda error: None)

    @property
    def _wants_model(self) -> bool:
        """Whether no model was installed when the app was started, so that one is to be chosen first."""
        return self._installer is not None and self._installer.wanted

    # --- what to open ---------------------------------------------------------------------------------------

    @work
    async def open_first_screen(self) -> None:
        """Lead to a library, however many steps that takes, then open the conversation."""
        # Without the small model that comes along, no folder can be read either.
        if self._wants_model and not await self.push_screen_wait(
            NoModelScreen(self.core, self._installer, self._clock)
        ):
            self.model = ModelState("failed", error=ModelMissing("no model is installed", INSTALL))
        resumed, libraries = self._resumed, self._libraries
        if not libraries and resumed is None:
            name = await (self._read_folder(self._folder) if self._folder else self._choose_library())
            if name is None:
                self.exit()
                return
            libraries = (name,)
        scope = resumed.scope if resumed else Scope(libraries, self._only, self._mode)
        self._use(scope.libraries)
        await self.push_screen(ChatScreen(self.core, scope, self._clock, resumed))
        self._offer_models()

    async def _choose_library(self) -> str | None:
        names = self.core.engine.libraries()
        if len(names) == 1:
            return names[0]
        while True:
            if names and (chosen := await self.push_screen_wait(ChooseScreen(self.core, names))):
                return chosen
            folder = await self.push_screen_wait(WelcomeScreen(first=not names))
            if read := await self._read_folder(folder):
                return read

    async def _read_folder(self, folder: Path) -> str | None:
        return await self.push_screen_wait(IngestScreen(self.core, folder, self._clock))

    def _use(self, libraries: tuple[str, ...]) -> None:
        """Ask these libraries from now on; the model is loaded where they, and no others, can be reached (`limits`)."""
        if libraries == self._used:
            return
        self._used = libraries
        self.core.engine.use(libraries)
        if self.model.state != "failed":
            self.model = ModelState("loading")
            self.call_after_refresh(self.load_model)

    # --- the model ------------------------------------------------------------------------------------------

    def load_model(self) -> None:
        self.model = ModelState("loading")
        self.lanes["model"].submit(
            lambda: deliver(self, self.Loaded(ModelState("ready", self.core.engine.load()))),
            lambda error: deliver(self, self.Loaded(ModelState("failed", error=error))),
        )

    def on_localrag_app_loaded(self, message: Loaded) -> None:
        self.model = message.state
        self._missing = isinstance(message.state.error, ModelMissing)
        self._offer_models()

    def _offer_models(self) -> None:
        """Lead to a model, but never in front of somebody who is typing a path: the screens before come first."""
        if self._missing and isinstance(self.screen, ChatScreen):
            self._missing = False
            self.push_screen(NoModelScreen(self.core, self._installer, self._clock), self._no_model_answered)

    def _no_model_answered(self, again: bool | None) -> None:
        if again:
            self.load_model()

    # --- settings -------------------------------------------------------------------------------------------

    def _wear(self) -> None:
        """Take the colours and the movement that the settings ask for."""
        held = self.preferences.settings
        self.theme = self._look.theme(held.theme)
        self.animation_level = "full" if self._look.moves(held.animations) else "none"

    def settings_changed(self, name: str) -> None:
        """A setting has another value: show it, or tell the engine."""
        if name in ("theme", "animations"):
            self._wear()
            return
        value = as_text(getattr(self.preferences.settings, name))
        self.lanes["model"].submit(
            lambda: self.core.engine.configure(**{name: value}),
            lambda error: deliver(self, self.Refused(error)),
        )
        if name in MODEL_SETTINGS:
            self.load_model()

    def action_use_model(self, id: str) -> None:
        """Answer with another model, once what is asked is answered."""
        self._set("generator", id)

    def action_think(self, when: str) -> None:
        self._set("think", when)

    def _set(self, name: str, text: str) -> None:
        """Change a setting for this conversation, and say so."""
        knob = next(knob for knob in self.preferences.knobs if knob.name == name)
        try:
            said = self.preferences.change(knob, "here", text)
        except LocalragError as error:
            self.notify(f"{error.message}. {error.hint}", severity="error", markup=False)
            return
        self.settings_changed(name)
        self.notify(said, markup=False)

    def on_localrag_app_refused(self, message: Refused) -> None:
        self.notify(f"{message.error.message}. {message.error.hint}", severity="error", markup=False)

    def action_use_library(self, name: str) -> None:
        """Go on with another library, in a conversation of its own."""
        screen = self.screen
        if not isinstance(screen, ChatScreen):
            return
        if name not in screen.known.libraries:
            there = ", ".join(clean_line(one) for one in screen.known.libraries)
            self.notify(f"There is no library {clean_line(name)!r}. Libraries: {there}.", markup=False)
        else:
            screen.stop_answer()
            self._use((name,))
            # Not waited for: the screen that goes may be the one that asked.
            self.switch_screen(ChatScreen(self.core, Scope((name,), mode=screen.scope.mode), self._clock))

    def action_resume(self, id: str) -> None:
        """Go on with an earlier conversation."""
        self.make_ready(lambda: ready(self.core, self.core.store.load(id)))

    def make_ready(self, find: Callable[[], Resumed]) -> None:
        """Go on with a conversation that is still to be looked up."""
        self.lanes["pages"].submit(
            lambda: deliver(self, self.Ready(find())), lambda error: deliver(self, self.Refused(error))
        )

    def on_localrag_app_ready(self, message: Ready) -> None:
        self.go_on(message.resumed)

    def go_on(self, resumed: Resumed) -> None:
        """Go on with another conversation in place of the one on the screen."""
        if isinstance(self.screen, ChatScreen):
            self.screen.stop_answer()
            self._use(resumed.scope.libraries)
            # Not waited for: the screen that goes may be the one that asked.
            self.switch_screen(ChatScreen(self.core, resumed.scope, self._clock, resumed))

    # --- keys that hold everywhere --------------------------------------------------------------------------

    def action_help(self) -> None:
        if isinstance(self.screen, HelpScreen):
            self.screen.dismiss()
            return
        here = type(self.screen)
        groups = [("On this screen", here), *getattr(here, "HELP_GROUPS", []), ("Everywhere", type(self))]
        said = commands.there(self.screen) if isinstance(self.screen, ChatScreen) else []
        self.push_screen(HelpScreen(groups, said))

    def action_settings(self) -> None:
        if isinstance(self.screen, SettingsScreen):
            self.screen.dismiss()
        elif not isinstance(self.screen, ModalScreen):
            self.push_screen(SettingsScreen())

    def get_key_display(self, binding: Binding) -> str:
        """Keys in words, which every font has and a screen reader can say."""
        key = f"shift+{binding.key}" if len(binding.key) == 1 and binding.key.isupper() else binding.key
        return "+".join(KEY_WORDS.get(part, part.title()) for part in key.split("+"))

    def action_interrupt(self) -> None:
        """Ctrl-C: stop what runs, else copy what is selected, else quit at the second time."""
        if any(self._stop(screen) for screen in self.screen_stack):
            return
        if selected := self.screen.get_selected_text():
            self.copy_to_clipboard(selected)
            self.screen.clear_selection()
            return
        now = self._clock()
        if now - self._last_interrupt < QUIT_WINDOW:
            self.exit()
            return
        self._last_interrupt = now
        self.notify("Press Ctrl-C again to quit.", timeout=QUIT_WINDOW, markup=False)

    async def action_quit(self) -> None:
        for screen in self.screen_stack:
            self._stop(screen)
        self.exit()

    def shut_down(self, seconds: float) -> bool:
        """After the screen is gone: end the threads. False if one is still inside native code."""
        self.works.stop()
        self.lanes["model"].submit(self.core.engine.close, lambda error: None)
        closed = [lane.close(seconds) for lane in self.lanes.values()]
        return all(closed)

    @staticmethod
    def _stop(screen: object) -> bool:
        if isinstance(screen, ChatScreen):
            return screen.stop_answer()
        if isinstance(screen, NoModelScreen):
            return screen.stop_installing()
        return screen.stop_reading() if isinstance(screen, IngestScreen) else False
