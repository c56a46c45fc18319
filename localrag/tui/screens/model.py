"""No model yet: which there are for this machine, what each takes, and installing one after a yes.

The screen reaches no network. Installing is done by another process (`tui/install.py`), which is told to after the
person said yes; without one, the screen says what to type. Stopping leaves nothing half installed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input, OptionList, Static

from localrag.errors import LocalragError
from localrag.tui.core import Core
from localrag.tui.inert import clean, clean_line, error_content
from localrag.tui.install import EMBEDDER, LINE_SPEED, Ended, Fetched, Installer, Said, Told, size, spoken
from localrag.tui.jobs import deliver
from localrag.tui.widgets.progress import ProgressLine
from localrag.worker.engine import ModelOffer

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

# Lines that are shown of an installation that failed: what went wrong, and what to do about it.
LAST_WORDS = 3
Step = Literal["choosing", "asking", "file", "working", "failed"]
HINTS: dict[Step, str] = {
    "choosing": "↑ ↓ choose · Enter installs, after a yes · i takes one from a file\n"
    "r looks again · Esc goes on without · Ctrl+Q quits",
    "asking": "y fetches it · n goes back",
    "file": "Enter takes it in · Esc goes back",
    "working": "Esc stops; nothing half installed is left",
    "failed": "Enter goes back to the list · Esc goes on without",
}


class NoModelScreen(Screen[bool]):
    """No model installed. True to look for it again, False to go on without."""

    app: LocalragApp

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "Fetch the model"),
        Binding("n", "no", "Do not fetch it"),
        Binding("i", "import", "Take a model from a file"),
        Binding("r", "again", "Look again"),
        Binding("enter", "back", "Back to the list"),
        Binding("escape", "escape", "Stop, go back, or go on without a model"),
    ]

    class Over(Message):
        def __init__(self, code: int, words: str) -> None:
            super().__init__()
            self.code = code
            self.words = words

    class Offered(Message):
        def __init__(self, offers: Sequence[ModelOffer], error: LocalragError | None = None) -> None:
            super().__init__()
            self.offers = offers
            self.error = error

    def __init__(self, core: Core, installer: Installer | None, clock: Callable[[], float]) -> None:
        super().__init__()
        self._core = core
        self._error: LocalragError | None = None
        self._offers: Sequence[ModelOffer] | None = None
        self._installer = installer
        self._step: Step = "choosing"
        self._stop = threading.Event()
        self._latest: Told | None = None
        self._clock = clock
        self._shown: Told | None = None  # what was said last, and since when
        self._since = 0.0
        self._list = OptionList(id="offers")
        self._field = Input(placeholder="~/Downloads/model.gguf", id="model-file")
        self._field.cursor_blink = False
        self._about = Static(id="offer")
        self._bar = ProgressLine(clock)
        self._said = Static(id="install-said")
        self._hint = Static(classes="quiet")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(Content.styled("A model is needed to answer", "bold"), classes="dialog-title")
            yield self._list
            yield self._field
            yield self._about
            yield self._bar
            yield self._said
            yield self._hint

    def on_mount(self) -> None:
        # The process that installs tells of itself many times a second.
        self.set_interval(0.2, self._draw)
        self._go("choosing")
        self.app.lanes["pages"].submit(
            lambda: deliver(self, self.Offered(self._core.engine.model_choices())),
            lambda error: deliver(self, self.Offered((), error)),
        )

    def on_no_model_screen_offered(self, message: Offered) -> None:
        self._offers, self._error = message.offers, message.error
        self._list.add_options(Content(_line(offer)) for offer in message.offers)
        if message.offers:
            self._list.highlighted = next((at for at, one in enumerate(message.offers) if one.suggested), 0)
        if self._step == "choosing":
            self._explain()

    def stop_installing(self) -> bool:
        """Stop what is running; False if nothing is."""
        if self._step != "working" or self._stop.is_set():
            return False
        self._stop.set()
        self._said.update(Content("Stopping …"))
        return True

    # --- choosing -------------------------------------------------------------------------------------------

    def _go(self, step: Step) -> None:
        self._step = step
        self._list.display = step == "choosing"
        self._field.display = step == "file"
        if step == "choosing":
            self._list.focus()
            self._explain()
        elif step == "file":
            self._about.update(
                "A .gguf file, or one written by `localrag models export` on another machine. It is copied; no "
                "network is used."
            )
            self._field.focus()
        else:
            self.set_focus(None)
        self._hint.update(HINTS[step])

    @property
    def _offer(self) -> ModelOffer | None:
        at = self._list.highlighted
        return None if at is None or not self._offers or at >= len(self._offers) else self._offers[at]

    def on_option_list_option_highlighted(self) -> None:
        if self._step == "choosing":
            self._explain()

    def _explain(self) -> None:
        offer = self._offer
        if offer is None:
            none = "No model that is known fits this machine. A smaller one may be imported: press i."
            words = "Looking which models fit this machine …" if self._offers is None else none
            self._about.update(error_content(self._error) if self._error is not None else words)
            return
        self._about.update(
            Content(
                f"{clean_line(offer.title)}, licence {clean_line(offer.licence)}. {clean_line(offer.note)}\n"
                f"Needs {size(offer.memory)} of memory. Fetching {size(offer.bytes)} from {' or '.join(offer.sources)} "
                f"takes about {spoken(offer.bytes / LINE_SPEED)} at 100 Mbit/s. An answer begins after about "
                f"{spoken(offer.seconds)} here (an estimate)."
            )
        )

    def on_option_list_option_selected(self) -> None:
        offer = self._offer
        if offer is None or self._step != "choosing":
            return
        command = f"localrag models install {offer.id}"
        if self._installer is None:
            self._about.update(
                Content(
                    "From here it cannot be fetched. In another terminal, the only command that uses the network:\n\n"
                    f"  {command}\n\nThen press r."
                )
            )
            return
        self._go("asking")
        self._about.update(
            Content(
                f"Fetch {clean_line(offer.id)} ({size(offer.bytes)}), and the small model that finds passages "
                "(91 MB) if it is not there?\n\n"
                f"This runs `{command}` in a process of its own, the only one that may use the network. It sees no "
                "document and no question. What comes must have the known SHA-256. (y/n)"
            )
        )

    def action_yes(self) -> None:
        offer, installer = self._offer, self._installer
        if self._step == "asking" and offer is not None and installer is not None:
            ids = (EMBEDDER, offer.id)
            self._work(f"Fetching {offer.id} …", lambda stop: installer.install(ids, stop))

    def action_no(self) -> None:
        if self._step == "asking":
            self._go("choosing")

    def action_import(self) -> None:
        if self._step == "choosing":
            self._go("file")

    def on_input_submitted(self, message: Input.Submitted) -> None:
        path = Path(message.value.strip()).expanduser()
        if not message.value.strip() or self._step != "file":
            return
        if not path.exists():
            self._said.update(Content(f"! {clean_line(message.value)} is not there; check the spelling."))
        elif self._installer is None:
            self._said.update(Content(f"In another terminal: localrag models import '{clean_line(str(path))}'"))
        else:
            installer = self._installer
            self._work(f"Taking in {clean_line(path.name)} …", lambda stop: installer.take_in(path, stop))

    def action_again(self) -> None:
        if self._step == "choosing":
            self.dismiss(True)

    def action_back(self) -> None:
        if self._step == "failed":
            self._said.update("")
            self._go("choosing")

    def action_escape(self) -> None:
        if self._step == "working":
            self.stop_installing()
        elif self._step in ("asking", "file"):
            self._said.update("")
            self._go("choosing")
        else:
            self.dismiss(False)

    # --- installing -----------------------------------------------------------------------------------------

    def _work(self, words: str, run: Callable[[Callable[[], bool]], Iterator[Told]]) -> None:
        self._stop, self._latest = threading.Event(), None
        self._go("working")
        self._about.update(Content(words))
        self._said.update("")
        stop = self._stop

        def job() -> None:
            said: list[str] = []
            code = 1
            for told in run(stop.is_set):
                if isinstance(told, Said):
                    said = [*said, told.text][-LAST_WORDS:]
                if isinstance(told, Ended):
                    code = told.code
                self._latest = told
            deliver(self, self.Over(code, "\n".join(said)))

        self.app.lanes["reading"].submit(job, lambda error: deliver(self, self.Over(error.exit_code, error.message)))

    def _draw(self) -> None:
        told = self._latest
        if self._step != "working" or self._stop.is_set():
            return
        if isinstance(told, Fetched):
            self._bar.advance(f"Fetching {clean_line(told.what)}", told.done // 10**6, told.total // 10**6, "MB")
        elif isinstance(told, Said):
            self._bar.finish()
            if told is not self._shown:
                self._shown, self._since = told, self._clock()
            # Some steps say nothing for a minute; that it goes on is seen by the seconds.
            waited = int(self._clock() - self._since)
            self._said.update(Content(clean_line(told.text) + (f" ({waited} s)" if waited >= 3 else "")))

    def on_no_model_screen_over(self, message: Over) -> None:
        self._bar.finish()
        if message.code == 0:
            self.dismiss(True)
            return
        words = "Stopped. Nothing half installed is left." if self._stop.is_set() else clean(message.words)
        self._go("failed")
        self._about.update("" if self._stop.is_set() else "It did not work. The last words of the installation:")
        self._said.update(Content(words or "It ended without a word. In a terminal: localrag models install"))


def _line(offer: ModelOffer) -> str:
    note = "  (installed)" if offer.installed else "  ← suggested" if offer.suggested else ""
    return f"{offer.id:<30} {size(offer.bytes):>7}  {offer.licence}{note}"
