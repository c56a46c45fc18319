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
from tui.screen_text import ask, marked, open_chat, see, until

QUESTION = "How long is the notice?"
Drive = Callable[[Pilot, FakeWorld], Awaitable[None]]


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
        Shelved(shelved_document("leases/hall.pdf"), 900, 950, 1.0),
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


async def empty(pilot: Pilot, world: FakeWorld) -> None:
    await open_chat(pilot)


async def streaming(pilot: Pilot, world: FakeWorld) -> None:
    await open_chat(pilot)
    await ask(pilot, QUESTION)
    await see(pilot, "Either party may end it")


async def answered_with_source(pilot: Pilot, world: FakeWorld) -> None:
    await open_chat(pilot)
    await ask(pilot, QUESTION)
    await see(pilot, "1,204 tokens read")
    await pilot.press("tab")
    await until(pilot, lambda: NOTICE in marked(pilot.app))


async def survey_table(pilot: Pilot, world: FakeWorld) -> None:
    await open_chat(pilot)
    await ask(pilot, surveys.QUESTION)
    await see(pilot, "1,204 tokens read")
    await pilot.press("ctrl+t")
    await see(pilot, "document 1")
    await pilot.press("2", "enter")
    await until(pilot, lambda: NOTICE in marked(pilot.app))


async def library(pilot: Pilot, world: FakeWorld) -> None:
    await open_chat(pilot)
    await pilot.press("f6")
    await see(pilot, "1 not read")
    await pilot.press("home", "down", "right", "down", "space")
    await see(pilot, "Only 1 of 4 documents")


async def sessions(pilot: Pilot, world: FakeWorld) -> None:
    await open_chat(pilot)
    await pilot.press("f7")
    await see(pilot, "Who signs for the trust?")


async def settings(pilot: Pilot, world: FakeWorld) -> None:
    await open_chat(pilot)
    await pilot.press("f8")
    await see(pilot, "source_view")


async def no_model(pilot: Pilot, world: FakeWorld) -> None:
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


NARROW, WIDE = (80, 24), (160, 48)
SNAPSHOTS: dict[str, tuple[Callable[[], FakeWorld], Drive, tuple[int, int]]] = {
    "empty": (FakeWorld, empty, NARROW),
    "streaming": (writing, streaming, NARROW),
    "answer-narrow": (FakeWorld, answered_with_source, NARROW),
    "answer-wide": (FakeWorld, answered_with_source, WIDE),
    "survey-table": (lambda: FakeWorld(FakeAssistant(surveys.SCRIPT)), survey_table, WIDE),
    "library-narrow": (shelved, library, NARROW),
    "library-wide": (shelved, library, WIDE),
    "sessions": (talked, sessions, NARROW),
    "settings": (FakeWorld, settings, NARROW),
    "no-model": (without_model, no_model, NARROW),
}
