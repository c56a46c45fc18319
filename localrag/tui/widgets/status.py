"""The bottom line: what shuts the network out, whether all is encrypted, library, model, how full the window is.

In a narrow terminal what matters less is said shorter, then left out (`fitted`); nothing is told by colour. The meter's
letters are what fills the window: r rules, d documents, h history, q question, and a dot for what is free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

from localrag.security import offline
from localrag.tui.inert import clean_line

if TYPE_CHECKING:
    from localrag.tui.talk import Held

BETWEEN = " │ "
CELLS = 12
_SHORTEST_NAME, _LONGEST_NAME, _LONGEST_TITLE = 14, 22, 28
Forms = Sequence[str]


@dataclass(frozen=True, slots=True)
class Standing:
    """What the line tells. `documents` is None while they are counted; `context` is that of the last answer.

    While the model is not `ready`, its state comes before all but the network: nothing is answered until it is.

    `warm` documents are kept ready for the model, which reads at most `most` tokens at once.
    """

    model: str
    libraries: tuple[str, ...]
    documents: int | None = None
    warm: int = 0
    most: int = 0
    encrypted: bool = False
    narrowed: str = ""
    mode: str = "auto"
    title: str = ""
    context: Mapping[str, int] = field(default_factory=dict)
    ready: bool = True

    def with_held(self, held: Held) -> Standing:
        """The same with what the libraries were found to hold."""
        return replace(
            self, documents=held.documents, warm=held.warm, most=held.most, encrypted=held.encrypted
        )  # fmt: skip


def network() -> Forms:
    """What shuts the network out, the longest words first."""
    if not offline.hook_installed():
        return ("network not shut out",)
    held = {layer.name for layer in offline.layers() if layer.holds}
    return ("offline, held by the kernel", "offline") if "seccomp" in held else ("offline",)


def parts_of(standing: Standing, network: Forms) -> list[tuple[int, Forms]]:
    """What is told, from left to right: how soon it is left out (0 last of all), and its words, the longest first."""
    names = clean_line(", ".join(standing.libraries))
    model = clean_line(standing.model)
    counted = standing.documents is not None
    parts: list[tuple[int, Forms]] = [
        (0, network),
        (3, ("encrypted" if standing.encrypted else "not encrypted",)),
        (5 if standing.ready else 1, (model, _cut(model, _LONGEST_NAME), _cut(model, _SHORTEST_NAME))),
        (1, (names, _cut(names, _LONGEST_NAME))),
        (4, (_count(standing.documents, "document") if counted else "counting …",)),
    ]
    if narrowed := clean_line(standing.narrowed):
        parts.append((2, (f"only those that {narrowed}", "narrowed")))
    parts.append((8 if standing.mode == "auto" else 2, (f"way: {standing.mode}",)))
    parts.append((6, meter(standing.context, standing.most)))
    if counted and standing.documents:
        ready = f"{standing.warm:,} of them kept ready"
        parts.append((7, (ready, f"{standing.warm:,} ready")) if standing.warm else (8, (ready,)))
    if title := clean_line(standing.title):
        parts.append((9, (f"“{title}”", f"“{_cut(title, _LONGEST_TITLE)}”")))
    return [(rank, forms) for rank, forms in parts if forms]


def meter(context: Mapping[str, int], most: int) -> Forms:
    """How full the model's window was with the last answer; before one, how much can be read at once."""
    whole = sum(context.values())
    if not whole:
        return (f"context empty, {most:,} tokens can be read at once", "context empty") if most else ()
    full = f"{_percent(whole - context.get('free', 0), whole)} full"
    bar = f"context {_bar(context, whole)}"
    words = ", ".join(f"{name} {_percent(tokens, whole)}" for name, tokens in context.items())
    return f"{bar} {words}", f"{bar} {full}", f"context {full}", full


def _bar(context: Mapping[str, int], whole: int) -> str:
    used = [(name, tokens) for name, tokens in context.items() if name != "free" and tokens]
    # What is there at all has a letter.
    letters = "".join(name[0] * max(1, round(CELLS * tokens / whole)) for name, tokens in used)
    return letters[:CELLS].ljust(CELLS, "·")


def fitted(parts: Sequence[tuple[int, Forms]], width: int) -> str:
    """The parts in one line of so many columns: first as many as possible in few words, then in more."""
    order = sorted(range(len(parts)), key=lambda at: parts[at][0])
    chosen: dict[int, str] = {}

    def line(chosen: Mapping[int, str]) -> str:
        return BETWEEN.join(chosen[at] for at in sorted(chosen))

    for at in order:
        trial = {**chosen, at: parts[at][1][-1]}
        if not chosen or len(line(trial)) <= width:
            chosen = trial
    for at in order:
        if at in chosen:
            # The longest words that still fit.
            longer = ({**chosen, at: form} for form in parts[at][1])
            chosen = next((trial for trial in longer if len(line(trial)) <= width), chosen)
    return line(chosen)


def _percent(part: int, whole: int) -> str:
    return f"{round(100 * part / whole)} %"


def _count(number: int | None, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


class StatusLine(Widget):
    """One line of what stands how."""

    def __init__(self) -> None:
        super().__init__(id="status")
        self._network = network()
        self._standing: Standing | None = None

    def show(self, standing: Standing) -> None:
        self._standing = standing
        self.refresh()

    def render(self) -> Content:
        if self._standing is None:
            return Content()
        return Content(fitted(parts_of(self._standing, self._network), self.content_size.width))
