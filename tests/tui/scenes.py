"""The main screens of the app, driven there with fakes, for snapshots.

Nothing in them depends on the machine or the day: no clock, no path of the home folder, no version.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from fake_core import NOTICE, FakeAssistant, FakeLibrary, FakeWorld, answered, shelved_document
from textual.pilot import Pilot

from localrag.events import Failure
from localrag.sessions.session_store import SavedTurn, Session
from localrag.settings import Settings
from localrag.tui.preferences import Preferences
from localrag.types import Remark, SkippedPage
from localrag.worker.engine import Entry
from tui import surveys
from tui.screen_text import NARROW, WIDE, ask, marked, open_chat, press

QUESTION = "How long is the notice?"
Drive = Callable[[Pilot], Awaitable[None]]


class FixedPreferences(Preferences):
    def __init__(self):
        super().__init__(replace(Settings(), home=Path("~/localrag")), environ={})

    @property
    def file(self):
        return Path("~/.config/localrag/localrag.toml")

    def origin(self, setting):
        return ""


def shelved():
    documents = (
        Entry(shelved_document("contracts/msa.pdf", pages=60), 12_400, 0),
        Entry(shelved_document("leases/hall[1].pdf"), 900, 950, 1.0),
        Entry(shelved_document("leases/yard.pdf", skipped=(SkippedPage(3, "a picture without text"),)), 800, 0),
        Entry(shelved_document("notes.txt", paged=False, remarks=(Remark(None, "hidden text left out"),)), 40, 0),
    )
    failed = (Failure("leases/locked.pdf", "is encrypted", "leases/locked.pdf", "/docs"),)
    return FakeWorld(libraries={"contracts": FakeLibrary("contracts", shelved=documents, failed=failed)})


def talked():
    world = FakeWorld()
    for day, question in enumerate((QUESTION, "When is rent due?", "Who signs for the trust?"), 1):
        id = f"202403{day:02}T090000000000-00000{day}"
        turn = SavedTurn(question, f"2024-03-{day:02}T09:00:00+00:00", replace(answered().answer, question=question))
        world.store.kept[id] = Session(id, question, ("contracts",), f"2024-03-{day:02}T09:00:00+00:00", turns=(turn,))
    return world


def pressing(*keys, sees):
    async def drive(pilot):
        await open_chat(pilot)
        await press(pilot, *keys, sees=sees)

    return drive


async def quoted(pilot):
    await open_chat(pilot)
    await ask(pilot, QUESTION, sees="1,204 tokens read")
    await press(pilot, "tab", then=lambda: NOTICE in marked(pilot.app))


async def surveyed(pilot):
    await open_chat(pilot)
    await ask(pilot, surveys.QUESTION, sees="1,204 tokens read")
    await press(pilot, "ctrl+t", sees="document 1")
    await press(pilot, "2", "enter", then=lambda: NOTICE in marked(pilot.app))


LIBRARY = pressing("f6", "home", "down", "right", "down", "space", sees="Only 1 of 4 documents")
SNAPSHOTS: dict[str, tuple[Callable[[], FakeWorld], Drive, tuple[int, int]]] = {
    "answer-narrow": (FakeWorld, quoted, NARROW),
    "answer-wide": (FakeWorld, quoted, WIDE),
    "survey-table": (lambda: FakeWorld(FakeAssistant(surveys.SCRIPT)), surveyed, WIDE),
    "library-narrow": (shelved, LIBRARY, NARROW),
    "sessions": (talked, pressing("f7", sees="Who signs for the trust?"), NARROW),
    "settings": (FakeWorld, pressing("f8", sees="source_view"), NARROW),
}
