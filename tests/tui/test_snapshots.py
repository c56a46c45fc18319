"""The main states as pictures. After a wanted change: `pytest tests/tui/test_snapshots.py --snapshot-update`,
and look."""

from __future__ import annotations

import pytest

from localrag.errors import ModelMissing
from localrag.events import Delta, Found, Planned, PromptRead
from tui.fakes import PLAN, FakeAssistant, FakeWorld, Gate, passage
from tui.screen_text import SIZES, ask, marked, see, until

pytestmark = pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x48"])


@pytest.fixture
def picture(snap_compare, size, monkeypatch):
    monkeypatch.setattr("localrag.offline.confined", lambda: True)

    def compare(world, run_before):
        return snap_compare(world.app(), terminal_size=size, run_before=run_before)

    return compare


def test_empty_conversation(picture):
    async def before(pilot):
        await see(pilot, "2 documents")
        await see(pilot, "fake-1b ready")

    assert picture(FakeWorld(), before)


def test_reading_the_prompt(picture):
    gate = Gate()
    script = [Planned(PLAN), Found((passage("a"), passage("b"))), PromptRead(0, 1204), gate, PromptRead(602, 1204)]
    world = FakeWorld(FakeAssistant([*script, Gate()]))

    async def before(pilot):
        await see(pilot, "2 documents")
        await ask(pilot, "How long is the notice?")
        await see(pilot, "0 of 1,204")
        world.now = 6.0
        gate.opened.set()
        await see(pilot, "about 6 s left")

    assert picture(world, before)


def test_answer_with_its_source(picture):
    async def before(pilot):
        await see(pilot, "2 documents")
        await ask(pilot, "How long is the notice?")
        await see(pilot, "1,204 tokens read")
        await pilot.press("tab")
        await until(pilot, lambda: bool(marked(pilot.app)))

    assert picture(FakeWorld(), before)


def test_stopped_answer(picture):
    async def before(pilot):
        await see(pilot, "2 documents")
        await ask(pilot, "How long is the notice?")
        await see(pilot, "As far as I got")
        await pilot.press("escape")
        await see(pilot, "This answer is not complete")

    assert picture(FakeWorld(FakeAssistant([Planned(PLAN), Delta("As far as I got"), Gate()])), before)


def test_first_run_without_a_library(picture):
    async def before(pilot):
        await see(pilot, "There is no library yet")

    assert picture(FakeWorld(libraries={}), before)


def test_no_model(picture):
    missing = ModelMissing("no generator is installed", "Type: localrag models install")

    async def before(pilot):
        await see(pilot, "small-1b")

    assert picture(FakeWorld(FakeAssistant(missing=missing)), before)


def test_help(picture):
    async def before(pilot):
        await see(pilot, "2 documents")
        await see(pilot, "fake-1b ready")
        await pilot.press("f1")
        await see(pilot, "Keys")

    assert picture(FakeWorld(), before)
