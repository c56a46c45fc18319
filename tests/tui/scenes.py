"""The screens of the app in each state, driven there with the fakes: for snapshots, and for the pictures in docs/.

Nothing in them depends on the machine or the day: no clock, no path of the home folder, no version.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from localrag.errors import ModelError, ModelMissing
from localrag.events import Delta, Failure, Found, Notice, Planned, PromptRead
from localrag.sessions.session import SavedTurn, Session
from localrag.settings import Settings
from localrag.tui.preferences import Preferences
from localrag.tui.widgets.source import SourceText
from localrag.types import Filter, Flag, NotRead, Remark, SkippedPage
from localrag.worker.engine import Shelved
from tui import surveys
from tui.fakes import (
    CITATIONS,
    NOTICE,
    PLAN,
    FakeAssistant,
    FakeLibrary,
    FakeWorld,
    Gate,
    answered,
    passage,
    shelved_document,
)
from tui.screen_text import ask, marked, see, until

QUESTION = "How long is the notice?"
Before = Callable[[Pilot, FakeWorld], Awaitable[None]]


@dataclass(frozen=True)
class Scene:
    """A world, the options of the app over it, and the way to the state."""

    world: Callable[[], FakeWorld]
    before: Before
    options: Mapping[str, Any] = field(default_factory=dict)


SCENES: dict[str, Scene] = {}


def scene(world: Callable[[], FakeWorld] = FakeWorld, **options: Any) -> Callable[[Before], Before]:
    """Keep a way to a state under the name of its function."""

    def keep(before: Before) -> Before:
        SCENES[before.__name__] = Scene(world, before, options)
        return before

    return keep


def scripted(*script: Any) -> Callable[[], FakeWorld]:
    return lambda: FakeWorld(FakeAssistant([step() if step is Gate else step for step in script]))


async def ready(pilot: Pilot) -> None:
    await see(pilot, "2 documents")
    await see(pilot, "fake-1b ready")


# --- the conversation ---------------------------------------------------------------------------------------


@scene()
async def empty(pilot: Pilot, world: FakeWorld) -> None:
    await ready(pilot)


@scene(
    lambda: FakeWorld(libraries={"contracts": FakeLibrary("contracts", instructions="Answer in one sentence.")}),
    only=Filter(documents=("leases/*",), since="2023"),
)
async def empty_narrowed(pilot: Pilot, world: FakeWorld) -> None:
    await ready(pilot)


@scene(lambda: FakeWorld(FakeAssistant(loading=Gate())))
async def loading(pilot: Pilot, world: FakeWorld) -> None:
    await see(pilot, "2 documents")
    await ask(pilot, QUESTION)
    await see(pilot, "The model is still loading")


@scene(
    scripted(Planned(PLAN), Found((passage("a"), passage("b"))), PromptRead(0, 1204), Gate, PromptRead(602, 1204), Gate)
)
async def reading(pilot: Pilot, world: FakeWorld) -> None:
    await ready(pilot)
    await ask(pilot, QUESTION)
    await see(pilot, "0 of 1,204")
    world.now = 6.0
    gates(world)[0].opened.set()
    await see(pilot, "about 6 s left")


@scene(
    scripted(
        Planned(PLAN),
        Found((passage("a"),)),
        PromptRead(1204, 1204),
        Delta("Either party may end it **with thirty"),
        Gate,
    )
)
async def streaming(pilot: Pilot, world: FakeWorld) -> None:
    await ready(pilot)
    await ask(pilot, QUESTION)
    await see(pilot, "Either party may end it")


@scene()
async def answered_with_source(pilot: Pilot, world: FakeWorld) -> None:
    await ready(pilot)
    await ask(pilot, QUESTION)
    await see(pilot, "1,204 tokens read")
    await pilot.press("tab")
    await until(pilot, lambda: NOTICE in marked(pilot.app))


@scene()
async def answered_reading_the_source(pilot: Pilot, world: FakeWorld) -> None:
    await answered_with_source(pilot, world)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.focused, SourceText))


MARKED = answered(
    "Thirty days [1]. The fee is EUR 58,000. Notice goes by letter.",
    unsupported=("Notice goes by letter.",), citations_dropped=1, citations=CITATIONS[:1], confidence=0.57,
    flags=(Flag("number", "EUR 58,000", "not in what is cited"),),
    not_read=(NotRead("contracts", "scans/old.pdf", "no text on the page", 3),),
)  # fmt: skip


@scene(scripted(Planned(PLAN), Notice("2 documents are left out: they are encrypted."), MARKED))
async def marks_and_flags(pilot: Pilot, world: FakeWorld) -> None:
    await ready(pilot)
    await ask(pilot, QUESTION)
    await see(pilot, "scans/old.pdf")


@scene(scripted(Planned(PLAN), answered("The documents do not say.", found=False, citations=())))
async def nothing_found(pilot: Pilot, world: FakeWorld) -> None:
    await ready(pilot)
    await ask(pilot, "Who painted the ceiling?")
    await see(pilot, "1,204 tokens read")


@scene(scripted(Planned(PLAN), Delta("As far as I got"), Gate))
async def stopped(pilot: Pilot, world: FakeWorld) -> None:
    await ready(pilot)
    await ask(pilot, QUESTION)
    await see(pilot, "As far as I got")
    await pilot.press("escape")
    await see(pilot, "This answer is not complete")


@scene(
    scripted(
        Planned(PLAN), ModelError("the model does not fit the memory", "Choose a smaller one: localrag models list.")
    )
)
async def error(pilot: Pilot, world: FakeWorld) -> None:
    await ready(pilot)
    await ask(pilot, QUESTION)
    await see(pilot, "What to do")


@scene()
async def commands_behind_a_slash(pilot: Pilot, world: FakeWorld) -> None:
    await ready(pilot)
    await pilot.press("slash", "s")
    await see(pilot, "/survey")


# --- surveys ------------------------------------------------------------------------------------------------


@scene(scripted(*surveys.asked(3), Gate))
async def survey_filling(pilot: Pilot, world: FakeWorld) -> None:
    await ready(pilot)
    await ask(pilot, surveys.QUESTION)
    await see(pilot, "3 rows so far")


@scene(scripted(*surveys.SCRIPT))
async def survey(pilot: Pilot, world: FakeWorld) -> None:
    await ready(pilot)
    await ask(pilot, surveys.QUESTION)
    await see(pilot, "1,204 tokens read")
    await see(pilot, "4 rows. Ctrl+T")


@scene(scripted(*surveys.SCRIPT))
async def survey_table(pilot: Pilot, world: FakeWorld) -> None:
    await survey(pilot, world)
    await pilot.press("ctrl+t")
    await see(pilot, "document 1")
    await pilot.press("2")
    await see(pilot, "lowest first")
    await pilot.press("enter")
    await until(pilot, lambda: NOTICE in marked(pilot.app))


# --- the other screens --------------------------------------------------------------------------------------


def shelved() -> FakeWorld:
    """A library with documents in every state."""
    scanned = (SkippedPage(3, "a picture without text"),)
    there = FakeLibrary(
        "contracts",
        shelved=(
            Shelved(shelved_document("contracts/msa.pdf", pages=60), 12_400, 0),
            Shelved(shelved_document("leases/hall.pdf"), 900, 950),
            Shelved(shelved_document("leases/yard.pdf", skipped=scanned), 800, 0),
            Shelved(
                shelved_document("notes.txt", paged=False, remarks=(Remark(None, "invisible text left out"),)), 40, 0
            ),
        ),
        failed=(Failure("leases/locked.pdf", "is encrypted", "leases/locked.pdf", "/docs"),),
    )
    return FakeWorld(libraries={"contracts": there})


@scene(shelved)
async def library_pane(pilot: Pilot, world: FakeWorld) -> None:
    await see(pilot, "fake-1b ready")
    await pilot.press("f6")
    await see(pilot, "1 not read")
    await pilot.press("home", "down", "right", "down", "space")
    await see(pilot, "Only 1 of 4 documents")


def talked() -> FakeWorld:
    """A world with three conversations of certain days."""
    world = FakeWorld()
    for day, question in enumerate((QUESTION, "When is rent due?", "Who signs for the trust?"), 1):
        id = f"202403{day:02}T090000000000-00000{day}"
        turn = SavedTurn(question, f"2024-03-{day:02}T09:00:00+00:00", replace(answered().answer, question=question))
        world.store.kept[id] = Session(id, question, ("contracts",), f"2024-03-{day:02}T09:00:00+00:00", turns=(turn,))
    return world


@scene(talked)
async def sessions(pilot: Pilot, world: FakeWorld) -> None:
    await ready(pilot)
    await pilot.press("f7")
    await see(pilot, "Who signs for the trust?")


class Usual(Preferences):
    """The defaults, and the usual place of the file."""

    def __init__(self, **options: Any) -> None:
        super().__init__(replace(Settings(), home=Path("~/localrag"), **options), environ={})

    @property
    def file_shown(self) -> str:
        return "~/.config/localrag/localrag.toml"

    def origins(self) -> dict[str, str]:
        return {}


@scene(preferences=Usual())
async def settings(pilot: Pilot, world: FakeWorld) -> None:
    await ready(pilot)
    await pilot.press("f8")
    await see(pilot, "How the app looks")


@scene(preferences=Usual())
async def settings_change(pilot: Pilot, world: FakeWorld) -> None:
    await settings(pilot, world)
    await pilot.press(*"answer_tokens", "enter")
    await see(pilot, "Ctrl+S")


@scene(preferences=Usual(theme="light"))
async def light(pilot: Pilot, world: FakeWorld) -> None:
    await answered_with_source(pilot, world)


@scene(preferences=Usual(theme="contrast"))
async def high_contrast(pilot: Pilot, world: FakeWorld) -> None:
    await answered_with_source(pilot, world)


@scene()
async def help(pilot: Pilot, world: FakeWorld) -> None:
    await ready(pilot)
    await pilot.press("f1")
    await see(pilot, "Keys")


@scene()
async def palette(pilot: Pilot, world: FakeWorld) -> None:
    await ready(pilot)
    await pilot.press("ctrl+p")
    await see(pilot, "Show or hide the source")


# --- before the conversation --------------------------------------------------------------------------------


@scene(lambda: FakeWorld(libraries={}))
async def first_run(pilot: Pilot, world: FakeWorld) -> None:
    await see(pilot, "There is no library yet")


@scene(lambda: FakeWorld(libraries={"contracts": FakeLibrary("contracts"), "letters": FakeLibrary("letters", held=31)}))
async def choosing_a_library(pilot: Pilot, world: FakeWorld) -> None:
    await see(pilot, "31 documents")


@scene(folder=Path("/srv/leases"))
async def folder_before_it_is_read(pilot: Pilot, world: FakeWorld) -> None:
    await see(pilot, "(y/n)")


@scene(lambda: FakeWorld(fresh=FakeLibrary("leases", gate=Gate())), folder=Path("/srv/leases"))
async def folder_being_read(pilot: Pilot, world: FakeWorld) -> None:
    await see(pilot, "(y/n)")
    await pilot.press("y")
    await see(pilot, "reading: b.md")


@scene(
    lambda: FakeWorld(FakeAssistant(missing=ModelMissing("no generator is installed", "Type: localrag models install")))
)
async def no_model(pilot: Pilot, world: FakeWorld) -> None:
    await see(pilot, "small-1b")


def gates(world: FakeWorld) -> list[Gate]:
    """The gates of the script that is played."""
    return [step for step in world.assistant.scripts[0] if isinstance(step, Gate)]
