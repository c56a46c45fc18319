import pytest
from fake_core import NOTICE, FakeWorld

from localrag.errors import StorageError
from localrag.sessions import store_of
from localrag.tui.app import LocalragApp
from localrag.tui.screens.chat import ChatScreen
from localrag.tui.screens.overview import FactsScreen, OverviewScreen
from localrag.tui.threads import Core
from localrag.tui.widgets.asking import QuestionInput
from localrag.types import Filter
from localrag.worker.engine import Engine
from tui.overviews import HOSTILE, QUESTION, TITLE, OverviewWorld
from tui.screen_text import (
    SIZES,
    WIDE,
    ask,
    chatting,
    columns,
    fill,
    lines,
    marked,
    on,
    open_chat,
    press,
    rows,
    see,
    shown,
    until,
)

LEASE = (
    "LEASE AGREEMENT\n\nThis lease agreement is made on 1 March 2024 between Mill House Ltd and Anna Weaver.\n\n"
    "1. Governing Law. This agreement shall be governed by the laws of the State of Ohio.\n\n"
    "2. Term. The term of this agreement ends on 31 December 2091."
)


async def opened(pilot):
    await press(pilot, "ctrl+g")
    await on(pilot, OverviewScreen)
    await until(pilot, lambda: pilot.app.screen._results.complete)


async def facts(pilot):
    await opened(pilot)
    await pilot.press("enter")
    await on(pilot, FactsScreen)
    await until(pilot, lambda: len(rows(pilot)) == 3)


def cells(pilot, name):
    at = columns(pilot).index(name)
    return [row[at] for row in rows(pilot)]


@pytest.mark.parametrize("size", SIZES)
async def test_the_first_page_has_documents_what_comes_next_and_what_was_not_read(size):
    async with chatting(OverviewWorld(), size) as pilot:
        await ask(pilot, "/overview")
        await on(pilot, OverviewScreen)
        await see(
            pilot, "2 documents: contract 2, 2019 to 2021", "1 not read: old.pdf: is encrypted", "1 document without"
        )
        await see(pilot, f"2027-01-31 ends: {TITLE}", "(1 year from 2026-03-01)")
        assert columns(pilot) == ["title", "dated", "notice", "law", "kind"]  # none that no document fills
        assert rows(pilot)[0][1:] == ["2021-03-01", "30 days", "Ohio?", "contract"]
        await pilot.press("escape")
        await on(pilot, ChatScreen)


async def test_words_of_documents_are_data_on_every_screen():
    async with chatting(OverviewWorld(), WIDE) as pilot:
        await see(pilot, "Who are the parties to “[b]Lease\\u001b[2J”?", "2027-02-28 ends: [b]Lease")
        await opened(pilot)
        assert cells(pilot, "title")[1] == "[bold]Lease[/bold]\\u001b[2J"
        await press(pilot, "slash", *"[red]", "enter", then=lambda: len(rows(pilot)) == 1)
        await press(pilot, "enter", sees=("[bold]Lease[/bold]\\u001b[2J", HOSTILE, "60 pages · no facts"))
        for key in "cxu":  # there is nothing to decide
            await pilot.press(key)
        await pilot.press("e", "enter")
        assert isinstance(pilot.app.screen, FactsScreen) and "\x1b" not in "\n".join(lines(pilot.app))


async def test_facts_are_confirmed_corrected_rejected_and_reset():
    made = OverviewWorld()
    async with chatting(made, WIDE) as pilot:
        await facts(pilot)
        await see(pilot, f"termination notice: 30 days {NOTICE}")
        assert cells(pilot, "state") == ["sure", "? unclear", "sure"]
        await press(pilot, "c", then=lambda: cells(pilot, "state")[0] == "✓ confirmed")
        await press(pilot, "down", "e", sees="The right law")
        await fill(pilot, "Utah", sees="read as Ohio · confirmed by anna")
        assert (cells(pilot, "value")[1], cells(pilot, "state")[1]) == ("Utah", "✓ corrected")
        await press(pilot, "x", then=lambda: cells(pilot, "state")[1] == "✗ rejected")
        await press(pilot, "u", then=lambda: cells(pilot, "state")[1] == "? unclear")
        assert cells(pilot, "value")[1] == "Ohio"
        await press(pilot, "x", then=lambda: cells(pilot, "state")[1] == "✗ rejected")
        looked = made.looked
        await pilot.press("escape")
        await on(pilot, OverviewScreen)
        await until(pilot, lambda: made.looked > looked)
    law = [("confirmed", "Utah"), ("rejected", ""), ("sure", ""), ("rejected", "")]
    assert made.decisions == [("termination notice", "confirmed", ""), *(("law", *one) for one in law)]


async def test_a_decision_that_is_refused_changes_nothing():
    made = OverviewWorld()
    async with chatting(made) as pilot:
        await facts(pilot)
        made.refused = StorageError("another process writes", "Wait for it.")
        await press(pilot, "x", sees="another process writes. Wait for it.")
        assert cells(pilot, "state")[0] == "sure" and not pilot.app.screen.changed


@pytest.mark.parametrize("size", SIZES)
async def test_enter_opens_the_page_of_the_quote(size):
    async with chatting(OverviewWorld(), size) as pilot:
        await facts(pilot)
        await press(pilot, "enter", then=lambda: NOTICE in marked(pilot.app))
        await press(pilot, "down", sees="citation 2 of 2")
        await press(pilot, "down", then=lambda: not pilot.app.screen._source.display)
        await press(pilot, "enter", sees="It has no quote")
        await press(pilot, "up", "enter", sees="citation 2 of 2")
        await press(pilot, "escape", then=lambda: not pilot.app.screen._source.display)
        assert isinstance(pilot.app.screen, FactsScreen)


async def test_an_empty_conversation_offers_questions_and_tab_reaches_them():
    made = OverviewWorld()
    async with chatting(made) as pilot:
        await see(pilot, "2 documents: contract 2", f"2027-01-31 ends: {TITLE}", QUESTION)
        await pilot.press("tab", "enter")
        field = pilot.app.screen.query_one(QuestionInput)
        await until(pilot, lambda: field.value == QUESTION and field.has_focus)
        assert not made.assistant.asked  # it can be changed first
        await press(pilot, "enter", sees="Thirty days")
        assert made.assistant.asked[0]["question"] == QUESTION and "contract 2" not in shown(pilot.app)


async def test_a_narrowed_conversation_offers_no_questions_on_other_documents():
    made = OverviewWorld()
    async with chatting(made, only=Filter(documents=("leases/*",))) as pilot:
        await pilot.app.threads["pages"].result(lambda: None)
        await pilot.pause()
        assert not made.looked and QUESTION not in shown(pilot.app)


async def test_an_empty_library_has_an_empty_first_page():
    async with chatting(OverviewWorld(empty=True)) as pilot:
        await see(pilot, "Type a question below")
        await opened(pilot)
        await see(pilot, "0 documents", "No day that comes next is known.")
        assert rows(pilot) == []
        await pilot.press("enter")
        assert isinstance(pilot.app.screen, OverviewScreen)


async def test_an_engine_that_cannot_look_says_why_and_the_greeting_does_without():
    async with chatting(OverviewWorld(refused=StorageError("the disk is broken", "Mend it."))) as pilot:
        await see(pilot, "Type a question below")
        await opened(pilot)
        await see(pilot, "! the disk is broken. Mend it.")


async def test_the_command_and_the_keys_are_listed():
    async with chatting(FakeWorld(), WIDE) as pilot:
        await press(pilot, "f1", sees="Ctrl+G")
        await press(pilot, "escape", "/", "o", "v", sees="/overview First page")


async def test_the_real_engine_reads_facts_and_keeps_decisions(settings, models, shelf):
    shelf("leases", {"lease [1].txt": LEASE, "pond.txt": "The pond is cleaned every spring."}).close()
    async with LocalragApp(Core(Engine(settings), store_of(settings))).run_test(size=WIDE, notifications=True) as pilot:
        await open_chat(pilot)
        await see(pilot, "2 documents")
        await opened(pilot)
        await press(pilot, "slash", *"ohio", "enter", then=lambda: len(rows(pilot)) == 1)
        await press(pilot, "enter")
        await on(pilot, FactsScreen)
        at = cells(pilot, "role").index("law")
        await press(pilot, *["down"] * at, "enter", then=lambda: "laws of the State of Ohio" in marked(pilot.app))
        await press(pilot, "e", sees="The right law")
        await fill(pilot, "Utah")
        await until(pilot, lambda: (cells(pilot, "value")[at], cells(pilot, "state")[at]) == ("Utah", "✓ corrected"))
        await press(pilot, "u", then=lambda: (cells(pilot, "value")[at], cells(pilot, "state")[at]) == ("Ohio", "sure"))
        await press(pilot, "x", then=lambda: cells(pilot, "state")[at] == "✗ rejected")
        await press(pilot, *["up"] * at, "e", sees="The right kind")
        await fill(pilot, "novel", sees="Write one of: amendment")
        await press(pilot, "down", "e", sees="The right title")
        await fill(pilot, "Lease of the mill", sees="read as Lease agreement, 2024")
        assert lines(pilot.app)[0].strip() == "Lease of the mill"
        assert (cells(pilot, "role")[:2], cells(pilot, "state")[:2]) == (["kind", "title"], ["sure", "✓ corrected"])
    facts = Engine(settings).overview("leases")["documents"][0]["facts"]
    assert facts and "law" not in {one["role"] for one in facts}
