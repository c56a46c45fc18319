"""The main screens of the app, driven there with fakes, for snapshots.

Nothing in them depends on the machine or the day: no clock, no path of the home folder, no version.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fake_core import NOTICE, PLAN, FakeAssistant, FakeLibrary, FakeWorld, Gate, answered, passage, shelved_document
from textual.pilot import Pilot

from localrag.errors import ModelMissing
from localrag.events import Delta, Failure, Found, Planned, PromptRead
from localrag.sessions.session import SavedTurn, Session
from localrag.settings import Settings
from localrag.tui.preferences import Preferences
from localrag.types import Remark, SkippedPage
from localrag.worker.engine import Shelved
from tui import surveys
from tui.screen_text import NARROW, WIDE, ask, marked, open_chat, see, shown, until

QUESTION = "How long is the notice?"
Drive = Callable[[Pilot], Awaitable[None]]


class FixedPreferences(Preferences):
    """The defaults, whatever the machine has."""

    def __init__(self) -> None:
        super().__init__(replace(Settings(), home=Path("~/localrag")), environ={})

    @property
    def file(self) -> Path:
        return Path("~/.config/localrag/localrag.toml")

    def origin(self, setting: Any) -> str:
        return ""


def shelved() -> FakeWorld:
    """A library with documents in every state."""
    documents = (
        Shelved(shelved_document("contracts/msa.pdf", pages=60), 12_400, 0),
        Shelved(shelved_document("leases/hall[1].pdf"), 900, 950, 1.0),
        Shelved(shelved_document("leases/yard.pdf", skipped=(SkippedPage(3, "a picture without text"),)), 800, 0),
        Shelved(shelved_document("notes.txt", paged=False, remarks=(Remark(None, "hidden text left out"),)), 40, 0),
    )
    failed = (Failure("leases/locked.pdf", "is encrypted", "leases/locked.pdf", "/docs"),)
    return FakeWorld(libraries={"contracts": FakeLibrary("contracts", shelved=documents, failed=failed)})


def talked() -> FakeWorld:
    """A world with three conversations."""
    world = FakeWorld()
    for day, question in enumerate((QUESTION, "When is rent due?", "Who signs for the trust?"), 1):
        id = f"202403{day:02}T090000000000-00000{day}"
        turn = SavedTurn(question, f"2024-03-{day:02}T09:00:00+00:00", replace(answered().answer, question=question))
        world.store.kept[id] = Session(id, question, ("contracts",), f"2024-03-{day:02}T09:00:00+00:00", turns=(turn,))
    return world


def pressing(*keys: str, sees: str, question: str = "", answered: str = "1,204 tokens read") -> Drive:
    """Ask a question if one is given, press keys, and wait for words."""

    async def drive(pilot: Pilot) -> None:
        await open_chat(pilot)
        if question:
            await ask(pilot, question)
            await see(pilot, answered)
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await until(pilot, lambda: sees in marked(pilot.app) or sees in shown(pilot.app))

    return drive


async def no_model(pilot: Pilot) -> None:
    await see(pilot, "localrag models install")


def without_model() -> FakeWorld:
    return FakeWorld(FakeAssistant(missing=ModelMissing("no generator is installed", "localrag models install")))


def writing() -> FakeWorld:
    script = [
        Planned(PLAN),
        Found((passage("a"),)),
        PromptRead(1204, 1204),
        Delta("Either party may end it **with"),
        Gate(),
    ]
    return FakeWorld(FakeAssistant(script))


STREAMING = pressing(sees="Either party", question=QUESTION, answered="Either party may end it")
SOURCE = pressing("tab", sees=NOTICE, question=QUESTION)
SURVEYED = pressing("ctrl+t", "2", "enter", sees=NOTICE, question=surveys.QUESTION)
LIBRARY = pressing("f6", "home", "down", "right", "down", "space", sees="Only 1 of 4 documents")
SNAPSHOTS: dict[str, tuple[Callable[[], FakeWorld], Drive, tuple[int, int]]] = {
    "empty": (FakeWorld, pressing(sees="Ask about"), NARROW),
    "streaming": (writing, STREAMING, NARROW),
    "answer-narrow": (FakeWorld, SOURCE, NARROW),
    "answer-wide": (FakeWorld, SOURCE, WIDE),
    "survey-table": (lambda: FakeWorld(FakeAssistant(surveys.SCRIPT)), SURVEYED, WIDE),
    "library-narrow": (shelved, LIBRARY, NARROW),
    "library-wide": (shelved, LIBRARY, WIDE),
    "sessions": (talked, pressing("f7", sees="Who signs for the trust?"), NARROW),
    "settings": (FakeWorld, pressing("f8", sees="source_view"), NARROW),
    "no-model": (without_model, no_model, NARROW),
}
