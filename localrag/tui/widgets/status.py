"""Lines that say how things are: the status line at the bottom, and the progress of something that takes time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.widget import AwaitMount, Widget
from textual.widgets import Static

from localrag.security import offline
from localrag.security.offline import remote
from localrag.security.terminal import counted, duration
from localrag.tui.text import clean_line, shorten

if TYPE_CHECKING:
    from localrag.tui.app import LocalragApp

BAR_WIDTH = 20
MAX_NAME, MAX_MODEL, MAX_TITLE = 22, 14, 28
SEPARATOR = " │ "


class Column(Vertical):
    """A column of widgets. Once the app is closing it takes no more, where Textual raises MountError."""

    def mount(
        self, *widgets: Widget, before: int | str | Widget | None = None, after: int | str | Widget | None = None
    ) -> AwaitMount:
        return super().mount(*widgets, before=before, after=after) if self.is_attached else AwaitMount(self, ())


class ProgressLine(Static):
    """Shows "Reading ████████░░░░░░░░░░░░ 40% · 400 of 1,000 tokens · about 6 s left", at an even pace."""

    app: LocalragApp

    def __init__(self) -> None:
        super().__init__(classes="progress")
        self._began: tuple[float, int] | None = None
        self.display = False

    def say(self, text: str) -> None:
        """Show words where there is nothing to count yet."""
        self._began = None
        self.display = True
        self.update(Content(text))

    def advance(self, verb: str, done: int, total: int, unit: str) -> None:
        now = self.app.clock()
        if self._began is None or done < self._began[1]:
            self._began = (now, done)
        seconds, steps = now - self._began[0], done - self._began[1]
        share = min(1.0, done / total) if total else 1.0
        bar = "█" * round(share * BAR_WIDTH) + "░" * (BAR_WIDTH - round(share * BAR_WIDTH))
        words = f"{verb} {bar} {int(share * 100)}% · {done:,} of {total:,} {unit}"
        if steps > 0 and seconds >= 0.2 and done < total:
            words += f" · about {duration(seconds / steps * (total - done))} left"
        self.display = True
        self.update(Content(words))

    def finish(self) -> None:
        self._began = None
        self.display = False


@dataclass(frozen=True, slots=True)
class Status:
    """What the status line shows."""

    model: str
    ready: bool
    libraries: tuple[str, ...]
    documents: int | None = None  # while they are counted
    warm: float = 0.0  # share of the text in the prompt cache
    max_tokens: int = 0  # that the model reads at once
    encrypted: bool = False
    filter: str = ""
    mode: str = "auto"
    title: str = ""
    context: Mapping[str, int] = field(default_factory=dict)  # of the last answer


def network_state() -> tuple[str, str]:
    """What keeps the app off the network, in long and short."""
    if not offline.hook_installed():
        return "network not blocked", "network not blocked"
    layers = {layer.name for layer in offline.layers() if layer.holds}
    reached = [clean_line(str(address)) for address in remote.reachable()]
    long = f"reaches only {', '.join(reached)}" if reached else "offline"
    short = f"reaches {counted(len(reached), 'server')}" if reached else "offline"
    return f"{long}, held by the kernel" if "seccomp" in layers else long, short


Part = tuple[int, str, str]


def parts_of(status: Status, network: tuple[str, str]) -> list[Part]:
    """The parts from left to right: priority (0 is dropped last), long form, short form."""
    names, model = clean_line(", ".join(status.libraries)), clean_line(status.model)
    parts: list[Part] = [
        (0, *network),
        (3, *2 * ("encrypted" if status.encrypted else "not encrypted",)),
        (5 if status.ready else 1, model, shorten(model, MAX_MODEL)),
        (1, names, shorten(names, MAX_NAME)),
        (4, *2 * ("counting …" if status.documents is None else counted(status.documents, "document"),)),
    ]
    if status.filter:
        parts.append((2, f"only those {clean_line(status.filter)}", "filtered"))
    if status.mode != "auto":
        parts.append((2, *2 * (f"plan: {status.mode}",)))
    if whole := sum(status.context.values()):
        full = f"{round(100 * (whole - status.context.get('free', 0)) / whole)}% full"
        parts.append((6, f"context {full}", full))
    elif status.max_tokens:
        parts.append((6, f"reads {status.max_tokens:,} tokens at once", f"{status.max_tokens:,} tokens"))
    if status.warm:
        parts.append((7, *2 * (f"{status.warm:.0%} warm",)))
    if status.title:
        parts.append((9, f"“{clean_line(status.title)}”", f"“{shorten(clean_line(status.title), MAX_TITLE)}”"))
    return parts


def fit(parts: Sequence[Part], width: int) -> str:
    """Put as many parts as possible on one line in their short form, then lengthen those that still fit."""
    chosen: dict[int, str] = {}
    for form in (2, 1):
        for at in sorted(range(len(parts)), key=lambda at: parts[at][0]):
            trial = {**chosen, at: str(parts[at][form])}
            if not chosen or ((form == 2 or at in chosen) and len(_line(trial)) <= width):
                chosen = trial
    return _line(chosen)


def _line(chosen: Mapping[int, str]) -> str:
    return SEPARATOR.join(chosen[at] for at in sorted(chosen))


class StatusLine(Widget):
    """The bottom line; a narrow terminal shows less of it."""

    def __init__(self) -> None:
        super().__init__(id="status")
        self._network = network_state()
        self._status: Status | None = None

    def show(self, status: Status) -> None:
        self._status = status
        self.refresh()

    def render(self) -> Content:
        if self._status is None:
            return Content()
        return Content(fit(parts_of(self._status, self._network), self.content_size.width))
