"""The bottom line: what stands how, in as many words as fit."""

from __future__ import annotations

import pytest

from localrag.events import Planned
from localrag.sessions import SessionStore
from localrag.tui.widgets.status import Standing, fitted, meter, parts_of
from tui.fakes import PLAN, FakeAssistant, FakeWorld, answered
from tui.screen_text import ask, lines, see

CONTEXT = {"rules": 80, "documents": 2400, "history": 300, "question": 20, "free": 1200}
FULL = Standing(
    "qwen2.5-coder-1.5b-instruct ready", ("contracts", "policies"), 1200, 3, 8000, False, "match leases/*", "survey",
    "How long is the notice of the lease?", CONTEXT,
)  # fmt: skip
OFFLINE = ("offline, held by the kernel", "offline")


def line(width: int, standing: Standing = FULL) -> str:
    return fitted(parts_of(standing, OFFLINE), width)


@pytest.mark.parametrize("width", range(20, 400, 7))
def test_line_fits_and_never_loses_what_matters_most(width):
    shown = line(width)
    assert len(shown) <= width and shown.startswith("offline")
    if width >= 40:
        assert "contracts, policies" in shown
    if width >= 78:
        assert "not encrypted" in shown and ("narrowed" in shown or "only those" in shown) and "way: survey" in shown
    if width >= 130:
        assert "1,200 documents" in shown and "qwen2.5-coder" in shown


def test_wide_line_says_all_in_full_words():
    shown = line(400)
    for words in ("offline, held by the kernel", "qwen2.5-coder-1.5b-instruct ready", "only those that match leases/*",
                  "3 of them kept ready", "“How long is the notice of the lease?”", "rules 2 %, documents 60 %"):  # fmt: skip
        assert words in shown


def test_ordinary_line_at_80_columns():
    standing = Standing("fake-1b ready", ("contracts",), 14, 0, 8000)
    assert line(78, standing) == ("offline │ not encrypted │ fake-1b ready │ contracts │ 14 documents │ way: auto")


@pytest.mark.parametrize("words", ["model loading …", "no model"])
def test_a_model_that_is_not_ready_is_said_before_what_can_wait(words):
    standing = Standing(words, ("contracts of the whole house",), 1200, 3, 8000, ready=False)
    assert words in fitted(parts_of(standing, ("network not shut out",)), 60)


def test_meter_has_its_place_at_80_columns_beside_a_model_of_a_long_name():
    standing = Standing("smollm2-135m-instruct ready", ("examples",), 14, 0, 8000, context=CONTEXT)
    assert line(78, standing) == "offline │ not encrypted │ smollm2-135m-… │ examples │ 14 documents │ 70 % full"


def test_meter_has_a_letter_for_each_part_that_is_there():
    whole, short, shorter, shortest = meter(CONTEXT, 8000)
    assert "context rdddddddhq··" in whole and "free 30 %" in whole
    assert short == "context rdddddddhq·· 70 % full" and (shorter, shortest) == ("context 70 % full", "70 % full")
    assert meter({}, 8000)[0] == "context empty, 8,000 tokens can be read at once"
    assert meter({}, 0) == ()


def test_meter_never_grows_beyond_its_cells():
    bar = meter({"rules": 1, "documents": 997, "history": 1, "question": 1, "free": 0}, 0)[1]
    assert len(bar.split()[1]) == 12


async def test_line_follows_answer_way_and_title(tmp_path):
    script = [Planned(PLAN), answered("Thirty.", context=CONTEXT)]
    app = FakeWorld(FakeAssistant(script), store=SessionStore(tmp_path)).app()
    async with app.run_test(size=(240, 24)) as pilot:
        await see(pilot, "context empty, 10,000 tokens can be read at once")
        assert "way: auto" in lines(app)[-1] and "not encrypted" in lines(app)[-1]
        await ask(pilot, "How long?")
        await see(pilot, "rules 2 %, documents 60 %, history 8 %")
        await pilot.press(*"/survey", "escape", "enter")
        await see(pilot, "way: survey")
        await see(pilot, "“How long?”")
        await pilot.press("ctrl+l")
        await see(pilot, "context empty")
        assert "“How long?”" not in lines(app)[-1]


async def test_library_that_is_encrypted_is_said_to_be():
    world = FakeWorld()
    app = world.app()
    shelf = app.core.engine.shelf

    def encrypted(library):
        from dataclasses import replace

        return replace(shelf(library), encrypted=True)

    app.core.engine.shelf = encrypted
    async with app.run_test(size=(160, 48)) as pilot:
        await see(pilot, "2 documents")
        assert " encrypted " in lines(app)[-1] and "not encrypted" not in lines(app)[-1]
