"""What a person sees on the screen, and waiting for it without a clock."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from rich.segment import Segment
from textual.app import App
from textual.pilot import Pilot
from waiting import PATIENCE

SIZES = [(80, 24), (160, 48)]


def segments(app: App) -> list[list[Segment]]:
    return [list(strip) for strip in app.screen._compositor.render_strips()]


def lines(app: App) -> list[str]:
    return ["".join(segment.text for segment in line).rstrip() for line in segments(app)]


def shown(app: App) -> str:
    """The words on the screen, panel after panel, with line breaks and frames taken out."""
    rows = [re.split("[│▌▊▎]", line) for line in lines(app)]
    panels = [" ".join(row[at] for row in rows if at < len(row)) for at in range(max(map(len, rows), default=0))]
    return " ".join(re.sub("[╭╮╰╯─▁▔]+", " ", " ".join(panels)).split())


def marked(app: App) -> str:
    """The words drawn in reverse video (the cursor's cell aside)."""
    texts = [
        segment.text.strip()
        for line in segments(app)
        for segment in line
        if segment.style and segment.style.reverse and len(segment.text) > 1
    ]
    return " ".join(" ".join(texts).split())


async def until(pilot: Pilot, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Let the app run until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it never came; the screen shows:\n" + "\n".join(lines(pilot.app)))
        await pilot.pause(0.03)  # each look draws the whole screen


async def see(pilot: Pilot, words: str) -> None:
    await until(pilot, lambda: words in shown(pilot.app))


async def ask(pilot: Pilot, question: str = "How long?") -> None:
    """Wait for the conversation, type a question and press Enter."""
    from localrag.tui.widgets.asking import QuestionInput

    await until(pilot, lambda: bool(pilot.app.screen.query(QuestionInput)))
    pilot.app.screen.query_one(QuestionInput).value = question
    await pilot.press("enter")


async def idle(pilot: Pilot) -> None:
    """Wait until every question is answered or stopped."""
    await pilot.app.lanes["model"].result(lambda: None)
    await pilot.pause()


async def open_chat(pilot: Pilot) -> None:
    """Wait until the model is loaded and the libraries are looked up."""
    await until(pilot, lambda: pilot.app.model.state == "ready" and bool(getattr(pilot.app.screen, "libraries", ())))
