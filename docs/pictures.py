"""Draw the pictures of the terminal app in docs/pictures/: a real run with the demo model over examples/.

    make pictures

Takes minutes, since the model reads and answers. Works in a temporary folder, with the installed models.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from textual.pilot import Pilot

from localrag.cli.chat import real_core
from localrag.security import offline
from localrag.settings import load_settings
from localrag.tui.app import LocalragApp

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs/pictures"
MODEL = "qwen2.5-coder-1.5b-instruct"
QUESTION = "How much notice must the Trust give to end the agreement?"
SURVEY = "/survey Which contracts have a notice period, and how long is it?"
PATIENCE = 900.0  # seconds for one step
# A font that would be fetched from the network, and comments with addresses.
_OUTSIDE = re.compile(r"@font-face\s*\{[^}]*\}\s*|<!--.*?-->\s*", re.S)


def text_of(app: LocalragApp) -> str:
    """Return what the screen shows."""
    svg = app.export_screenshot()
    return " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg)).replace("&#160;", " ")


async def see(pilot: Pilot[None], words: str) -> None:
    """Wait until the screen shows `words`."""
    until = time.monotonic() + PATIENCE
    while words not in text_of(pilot.app):  # type: ignore[arg-type]
        if time.monotonic() > until:
            sys.exit(f"{words!r} never appeared:\n{text_of(pilot.app)}")  # type: ignore[arg-type]
        await pilot.pause(0.5)


async def ask(pilot: Pilot[None], question: str) -> None:
    await pilot.press(*("space" if letter == " " else letter for letter in question), "enter")


async def answer(pilot: Pilot[None]) -> None:
    await ask(pilot, QUESTION)
    await see(pilot, "tokens read")
    await pilot.press("tab", "tab")


async def library(pilot: Pilot[None]) -> None:
    await pilot.press("f6")
    for key in ("down", "enter", "down", "down", "space"):
        await pilot.pause(0.5)
        await pilot.press(key)
    await see(pilot, "Only 1 of")


async def survey(pilot: Pilot[None]) -> None:
    await ask(pilot, SURVEY)
    await see(pilot, "tokens read")
    await pilot.press("ctrl+t")
    await pilot.pause(1.0)
    await pilot.press("enter")
    await pilot.pause(1.0)


Step = Callable[[Pilot[None]], Awaitable[None]]
ALL: dict[str, tuple[tuple[int, int], Step, tuple[str, ...]]] = {
    "answer": ((120, 32), answer, ()),
    "library": ((110, 32), library, ()),
    "survey": ((140, 32), survey, ("contracts/*",)),
}


async def draw(name: str) -> str:
    """Run the app to the state of a picture, and return it as SVG."""
    size, step, documents = ALL[name]
    from localrag.types import Filter

    settings = load_settings().with_options(generator=MODEL)
    core = real_core(settings)
    app = LocalragApp(core, libraries=["examples"], only=Filter(documents=documents))
    try:
        async with app.run_test(size=size) as pilot:
            await see(pilot, "documents")
            await step(pilot)
            await pilot.pause(1.0)
            return _OUTSIDE.sub("", app.export_screenshot(title="localrag")) + "\n"
    finally:
        core.engine.close()


def main() -> None:
    models = load_settings().models_dir
    offline.confine()
    with tempfile.TemporaryDirectory() as home:
        os.environ["LOCALRAG_HOME"] = home
        (Path(home) / "models").symlink_to(models, target_is_directory=True)
        command = [sys.executable, "-m", "localrag", "ingest", str(ROOT / "examples"), "--name", "examples"]
        subprocess.run(command, check=True)
        for name in sys.argv[1:] or ALL:
            drawn = asyncio.run(draw(name))
            (PICTURES / f"{name}.svg").write_text(drawn, encoding="utf-8")
            print(f"docs/pictures/{name}.svg")


if __name__ == "__main__":
    main()
