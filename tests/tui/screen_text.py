"""What a person sees on the screen, and waiting for it without a clock."""

import re
import time
from contextlib import asynccontextmanager

from textual.pilot import Pilot
from textual.widgets import DataTable, Input
from waiting import PATIENCE

SIZES = NARROW, WIDE = [(80, 24), (160, 48)]
Pilot._wait_for_screen.__defaults__ = (PATIENCE,)  # not the 30 seconds in which a busy machine does not always react


def segments(app):
    return [list(strip) for strip in app.screen._compositor.render_strips()]


def lines(app):
    return ["".join(segment.text for segment in line).rstrip() for line in segments(app)]


def shown(app):
    """The words on the screen, panel after panel, with line breaks and frames taken out."""
    rows = [re.split("[│▌▊▎]", line) for line in lines(app)]
    panels = [" ".join(row[at] for row in rows if at < len(row)) for at in range(max(map(len, rows), default=0))]
    return " ".join(re.sub("[╭╮╰╯─▁▔]+", " ", " ".join(panels)).split())


def marked(app):
    """The words drawn in reverse video (the cursor's cell aside)."""
    texts = [
        segment.text.strip()
        for line in segments(app)
        for segment in line
        if segment.style and segment.style.reverse and len(segment.text) > 1
    ]
    return " ".join(" ".join(texts).split())


def rows(pilot):
    table = pilot.app.screen.query_one(DataTable)
    return [[str(cell) for cell in table.get_row_at(row)] for row in range(table.row_count)]


def columns(pilot):
    return [str(one.label) for one in pilot.app.screen.query_one(DataTable).ordered_columns]


async def until(pilot, condition, seconds=PATIENCE):
    """Let the app run until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it never came; the screen shows:\n" + "\n".join(lines(pilot.app)))
        await pilot.pause(0.03)  # each look draws the whole screen


async def see(pilot, *words):
    """Wait until these words are on the screen, one after the other."""
    for one in words:
        await until(pilot, lambda one=one: one in shown(pilot.app))


async def unsee(pilot, words):
    """Wait until these words are no longer on the screen."""
    await until(pilot, lambda: words not in shown(pilot.app))


async def press(pilot, *keys, sees=(), then=None):
    """Press keys, and wait for what they do: words on the screen, or something that holds."""
    await pilot.press(*keys)
    await see(pilot, *([sees] if isinstance(sees, str) else sees))
    if then is not None:
        await until(pilot, then)


async def on(pilot, screen):
    await until(pilot, lambda: isinstance(pilot.app.screen, screen))


async def ask(pilot, question="How long?", sees=()):
    """Wait for the conversation, type a question and press Enter."""
    from localrag.tui.widgets.asking import QuestionInput

    await until(pilot, lambda: bool(pilot.app.screen.query(QuestionInput)))
    pilot.app.screen.query_one(QuestionInput).value = question
    await press(pilot, "enter", sees=sees)


async def fill(pilot, text, sees=()):
    """Put text into the dialog's field and press Enter."""
    pilot.app.screen.query_one(Input).value = text
    await press(pilot, "enter", sees=sees)


async def idle(pilot):
    """Wait until every question is answered or stopped."""
    await pilot.app.threads["model"].result(lambda: None)
    await pilot.pause()


async def answer(pilot, question):
    """Ask, and wait until it is answered."""
    await ask(pilot, question)
    await idle(pilot)


async def open_chat(pilot):
    """Wait until the model is loaded and the libraries are looked up."""
    await until(pilot, lambda: pilot.app.model.state == "ready" and bool(getattr(pilot.app.screen, "libraries", ())))


@asynccontextmanager
async def chatting(world, size=(120, 40), **options):
    """The app over a world, once its conversation is open."""
    async with world.app(**options).run_test(size=size, notifications=True) as pilot:
        await open_chat(pilot)
        yield pilot
