import csv
import json
from dataclasses import replace

import pytest
from fake_core import NOTICE, PAGE_12, FakeAssistant, FakeWorld, Gate, answered, citation
from textual.widgets import DataTable

from localrag.errors import StorageError
from localrag.events import Answered, Surveyed
from localrag.security import storage
from localrag.tui.screens.table import ResultsScreen, file_name
from localrag.tui.widgets.turn import CitationLine
from tui import surveys
from tui.screen_text import ask, chatting, fill, marked, on, press, see, shown, until


def world(*script):
    return FakeWorld(FakeAssistant(script or surveys.SCRIPT))


def documents(pilot):
    return [line.cells["document"] for line in pilot.app.screen._lines]


async def table(pilot):
    """Ask, and open the table of the answer."""
    await ask(pilot, surveys.QUESTION, sees="1,204 tokens read")
    await pilot.press("ctrl+t")
    await on(pilot, ResultsScreen)
    await see(pilot, "4 rows")


async def test_a_table_of_fields_shows_the_source_of_the_cell():
    start = PAGE_12.find(NOTICE)
    at = {"quote": NOTICE, "place": "p. 12", "page": 12, "start": start, "end": start + len(NOTICE)}
    row = {"library": "contracts", "document": "contracts/msa.pdf", "notice": "P30D", "fee": None}
    row["sources"] = {"notice": at}
    final = answered("1 row", plan=surveys.SURVEY, table=(row,), citations=(citation(),))
    made = world(Surveyed(1, 1, row), final)
    async with chatting(made) as pilot:
        await ask(pilot, "/extract notice duration, fee monney", sees="'fee money'")
        assert not made.assistant.asked
        await ask(pilot, "/extract notice duration, fee money @1.pdf", sees="1 row.")
        asked = made.assistant.asked[-1]
        assert (asked["mode"], asked["question"]) == ("extract", "notice duration, fee money")
        assert asked["documents"].these == (("contracts", "1.pdf"),)
        await press(pilot, "ctrl+t", sees="P30D")
        await press(pilot, "enter", sees=NOTICE[:20])
        await press(pilot, "tab", "escape", "right", "enter", sees="This field has no quote")


async def test_rows_appear_in_the_answer_and_the_table_while_documents_are_read():
    gate = Gate()
    made = world(*surveys.asked(2), gate, surveys.asked(3)[-1], surveys.settled(not_read=(surveys.LEFT,)))
    async with chatting(made) as pilot:
        await press(pilot, "ctrl+t", sees="No answer has a table")
        await ask(pilot, surveys.QUESTION, sees="2 rows so far")
        await press(pilot, "ctrl+t", sees="2 rows · more are coming")
        await pilot.press("2")
        gate.opened.set()
        await until(pilot, lambda: len(documents(pilot)) == 5)
        assert "more are coming" not in shown(pilot.app) and documents(pilot)[0] == "contracts/licence.docx"
        await press(pilot, "escape", sees="5 rows. Ctrl+T: all of them")
        assert "6 months" in shown(pilot.app) and "- a: 30 days" not in shown(pilot.app)


async def test_rows_are_sorted_and_filtered_and_the_source_follows_the_cursor():
    async with chatting(world()) as pilot:
        await table(pilot)
        came = documents(pilot)
        await pilot.press("down", "2")
        assert documents(pilot)[:3] == ["contracts/licence.docx", "contracts/msa.pdf", "contracts/lease.pdf"]
        assert pilot.app.screen._line.cells["document"] == "contracts/lease.pdf"
        await see(pilot, "sorted by answer, ascending")
        await pilot.press("2")
        assert documents(pilot)[0] == "contracts/lease.pdf"
        await pilot.press("2")
        assert documents(pilot) == came
        await press(pilot, "home", "up", "enter", then=lambda: "written notice" in marked(pilot.app))
        await press(pilot, "alt+y", then=lambda: "— contracts/msa.pdf, p. 12, library contracts" in pilot.app.clipboard)
        await press(pilot, "right_square_bracket", sees="The page after.")
        await press(pilot, "down", sees="contracts/lease.pdf, p. 3")
        await press(pilot, "ctrl+end", "enter", sees="This row has no quote: only 8% likely that it says so")
        await pilot.press("escape")
        await pilot.click(DataTable, offset=(3, 0))
        await see(pilot, "sorted by document")
        await press(pilot, "slash", *"contracts", "space", *"days", "enter", sees="1 of 4 rows")
        assert documents(pilot) == ["contracts/msa.pdf"]
        await press(pilot, "escape", sees="4 rows ·")
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, ResultsScreen)


async def test_the_rows_shown_are_exported_in_their_order_and_recorded(here, monkeypatch):
    made = world()
    made.store.record = here / "audit.jsonl"
    (here / "notice.csv").write_text("mine")
    async with chatting(made) as pilot:
        await table(pilot)
        await press(pilot, "2", "slash", *"contracts/", "enter", sees="3 of 4 rows")
        await press(pilot, "ctrl+e", sees="Export the table")
        for name, words in (("t.docx", "a table cannot be written"), ("nowhere/t.csv", "there is no folder")):
            await fill(pilot, name, sees=words)
        await fill(pilot, "notice.csv", sees="Enter again replaces it")
        assert (here / "notice.csv").read_text() == "mine"
        await press(pilot, "enter", sees="Wrote 3 rows")
        await press(pilot, "e", sees="how-much-notice-ends-each-contract.xlsx")
        await press(pilot, "enter", then=(here / "how-much-notice-ends-each-contract.xlsx").exists)

        def full(*given, **how):
            raise StorageError("the disk is full", "Free some space.")

        monkeypatch.setattr(storage, "write_bytes", full)
        await press(pilot, "e", sees="Export the table")
        await fill(pilot, "t.csv")
        full_disk = "the disk is full. Free some space."
        await until(pilot, lambda: any(full_disk in one.message for one in pilot.app._notifications))
    rows = list(csv.DictReader((here / "notice.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert [row["answer"] for row in rows] == ["2 weeks", "thirty (30) days", "6 months"]
    first, *_ = [json.loads(line) for line in (here / "audit.jsonl").read_text().splitlines()]
    assert (first["event"], first["library"], first["details"]["rows"]) == ("export", "contracts", 3)


async def test_many_rows_are_shown_and_few_citations_drawn():
    cited = tuple(citation(marker=n) for n in range(1, 101))
    async with chatting(world(Answered(replace(surveys.many(500), citations=cited)))) as pilot:
        await ask(pilot)
        await until(pilot, lambda: len(pilot.app.screen.query(CitationLine)) == 20)
        await press(pilot, "ctrl+down", sees="80 more quotes: Ctrl+T")
        await press(pilot, "ctrl+t", sees="500 rows")
        await pilot.press("2", "2")
        assert documents(pilot)[0] == "d499.pdf"


@pytest.mark.parametrize(
    ("question", "name"),
    [("Which leases allow dogs?", "which-leases-allow-dogs.xlsx"), ("???", "table.xlsx"), ("../../etc", "etc.xlsx")],
)
def test_a_file_is_named_after_its_question(question, name):
    assert file_name(question) == name
