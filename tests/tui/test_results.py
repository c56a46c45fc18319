"""The table of a survey on the screen: filled, sorted, filtered, exported, with the source of each row."""

from __future__ import annotations

import csv
import json
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input

from localrag.answer.survey.survey_table import Line
from localrag.events import Answered
from localrag.tui.screens.results import ResultsScreen, file_name
from localrag.tui.widgets.results import ResultsTable, _widths
from tui import surveys
from tui.fakes import FakeAssistant, FakeWorld, Gate
from tui.screen_text import ask, marked, see, shown, until

SIZE = (120, 40)


def world(*script: Any) -> FakeWorld:
    return FakeWorld(FakeAssistant(script or surveys.SCRIPT))


def documents(pilot: Pilot) -> list[str]:
    return [line.cells["document"] for line in pilot.app.screen.query_one(ResultsTable).lines]


async def table(pilot: Pilot) -> None:
    """Ask, and open the table of the answer."""
    await ask(pilot, surveys.QUESTION)
    await see(pilot, "1,204 tokens read")
    await pilot.press("ctrl+t")
    await until(pilot, lambda: isinstance(pilot.app.screen, ResultsScreen))
    await see(pilot, "4 rows")


async def test_an_answer_shows_its_first_rows_and_not_the_same_lines_twice():
    async with world().app().run_test(size=SIZE, notifications=True) as pilot:
        await ask(pilot, surveys.QUESTION)
        await see(pilot, "4 rows. Ctrl+T: all of them")
        seen = shown(pilot.app)
        assert "6 months" in seen and "why not" in seen and "- a: 30 days" not in seen


async def test_rows_come_while_documents_are_asked_under_the_answer_and_on_their_own_screen():
    gate = Gate()
    app = world(*surveys.asked(2), gate, surveys.asked(3)[-1], surveys.settled()).app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await ask(pilot, surveys.QUESTION)
        await see(pilot, "2 rows so far")
        await pilot.press("ctrl+t")
        await see(pilot, "2 rows · more are coming")
        gate.opened.set()
        await until(pilot, lambda: len(documents(pilot)) == 4)
        assert "more are coming" not in shown(app)


async def test_a_row_that_comes_into_a_sorted_table_comes_to_its_place():
    gate = Gate()
    app = world(*surveys.asked(2), gate, surveys.asked(3)[-1], Gate()).app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await ask(pilot, surveys.QUESTION)
        await see(pilot, "2 rows so far")
        await pilot.press("ctrl+t")
        await see(pilot, "2 rows · more")
        await pilot.press("2")
        gate.opened.set()
        await until(pilot, lambda: len(documents(pilot)) == 3)
        assert documents(pilot)[0] == "contracts/licence.docx"


async def test_without_a_table_the_key_says_so():
    async with FakeWorld().app().run_test(size=SIZE, notifications=True) as pilot:
        await ask(pilot)
        await see(pilot, "1,204 tokens read")
        await pilot.press("ctrl+t")
        await see(pilot, "No answer here has a table")


async def test_a_number_sorts_by_its_column_then_the_other_way_then_not():
    async with world().app().run_test(size=SIZE, notifications=True) as pilot:
        await table(pilot)
        came = documents(pilot)
        await pilot.press("2")
        assert documents(pilot)[:3] == ["contracts/licence.docx", "contracts/msa.pdf", "contracts/lease.pdf"]
        await see(pilot, "sorted by answer, lowest first")
        await pilot.press("2")
        assert documents(pilot)[0] == "contracts/lease.pdf"
        await pilot.press("2")
        assert documents(pilot) == came


async def test_a_click_on_a_title_sorts_too():
    async with world().app().run_test(size=SIZE, notifications=True) as pilot:
        await table(pilot)
        await pilot.click(ResultsTable, offset=(3, 0))
        await see(pilot, "sorted by document")
        assert documents(pilot)[0] == "contracts/lease.pdf"


async def test_the_cursor_stays_on_its_row_when_the_order_changes():
    async with world().app().run_test(size=SIZE, notifications=True) as pilot:
        await table(pilot)
        await pilot.press("down")
        await pilot.press("2")
        line = pilot.app.screen.query_one(ResultsTable).line
        assert line is not None and line.cells["document"] == "contracts/lease.pdf"


async def test_the_filter_keeps_rows_that_have_the_words_and_esc_ends_it():
    async with world().app().run_test(size=SIZE, notifications=True) as pilot:
        await table(pilot)
        await pilot.press("slash", *"contracts", "space", *"days", "enter")
        await see(pilot, "1 of 4 rows")
        assert documents(pilot) == ["contracts/msa.pdf"]
        await pilot.press("2")  # not typed into the filter any more
        await see(pilot, "sorted by answer")
        await pilot.press("escape")
        await see(pilot, "4 rows ·")
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, ResultsScreen)


async def test_enter_shows_the_quote_of_a_row_in_its_page_and_the_next_one_follows_the_cursor():
    async with world().app().run_test(size=SIZE, notifications=True) as pilot:
        await table(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "written notice" in marked(pilot.app))
        await see(pilot, "contracts/msa.pdf, p. 12")
        await pilot.press("down")
        await see(pilot, "contracts/lease.pdf, p. 3")
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, ResultsScreen)


async def test_the_quote_of_a_row_is_copied_and_its_page_turned_as_in_the_conversation():
    async with world().app().run_test(size=SIZE, notifications=True) as pilot:
        await table(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "written notice" in marked(pilot.app))
        await pilot.press("y")
        await until(pilot, lambda: "— contracts/msa.pdf, p. 12, library contracts" in pilot.app.clipboard)
        await pilot.press("right_square_bracket")
        await see(pilot, "The page after.")


async def test_a_row_without_a_quote_says_why():
    async with world().app().run_test(size=SIZE, notifications=True) as pilot:
        await table(pilot)
        await pilot.press("end", "enter")
        await see(pilot, "This row has no quote: too unlikely (8%)")


async def test_documents_not_asked_stand_in_the_table_with_the_reason():
    app = world(*surveys.asked(), surveys.settled(not_read=(surveys.LEFT,), stopped=True)).app()
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await ask(pilot, surveys.QUESTION)
        await see(pilot, "1,204 tokens read")
        await pilot.press("ctrl+t")
        await see(pilot, "5 rows")
        assert documents(pilot)[-1] == "contracts/old.pdf"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def save_as(pilot: Pilot, name: str) -> None:
    await pilot.press("ctrl+e")
    await see(pilot, "Export the table")
    pilot.app.screen.query_one(Input).value = name
    await pilot.press("enter")


def test_where_there_is_little_room_document_and_answer_have_most_of_it():
    cells = {"document": "contracts/master-services-agreement.pdf", "answer": "Tarrowmere Care Trust",
             "quote": "Signed for Tarrowmere Care Trust by Ilse Varrandt", "page": "p. 21 (printed 18)",
             "why_not": "the model found it too unlikely"}  # fmt: skip
    columns = list(cells)
    widths = dict(zip(columns, _widths([Line({}, cells, None)], columns, 78), strict=True))
    assert sum(widths.values()) + 2 * len(columns) < 78
    assert widths["document"] >= 20 and widths["answer"] >= 20 and widths["page"] == widths["why_not"] == 9


async def test_the_rows_shown_are_exported_in_their_order_and_on_record(here):
    made = world()
    made.store.record = here / "audit.jsonl"
    async with made.app().run_test(size=SIZE, notifications=True) as pilot:
        await table(pilot)
        await pilot.press("2", "slash", *"contracts/", "enter")
        await save_as(pilot, "notice.csv")
        await see(pilot, "Wrote 3 rows")
    rows = list(csv.DictReader((here / "notice.csv").read_text(encoding="utf-8-sig").splitlines()))
    assert [row["answer"] for row in rows] == ["2 weeks", "thirty (30) days", "6 months"]
    assert rows[1]["source"] == "contracts/msa.pdf, p. 12"
    (entry,) = [json.loads(line) for line in (here / "audit.jsonl").read_text().splitlines()]
    assert (entry["event"], entry["library"], entry["details"]["rows"]) == ("export", "contracts", 3)


async def test_an_excel_file_is_proposed_by_the_name_of_the_question(here):
    async with world().app().run_test(size=SIZE, notifications=True) as pilot:
        await table(pilot)
        await pilot.press("e")
        await see(pilot, "4 rows, in the order shown")
        await pilot.press("enter")
        await see(pilot, "Wrote 4 rows")
    assert (here / "how-much-notice-ends-each-contract.xlsx").read_bytes()[:2] == b"PK"


async def test_a_file_that_is_there_is_replaced_only_by_a_second_enter(here):
    (here / "t.csv").write_text("mine")
    async with world().app().run_test(size=SIZE, notifications=True) as pilot:
        await table(pilot)
        await save_as(pilot, "t.csv")
        await see(pilot, "Enter once more replaces it")
        assert (here / "t.csv").read_text() == "mine"
        await pilot.press("escape")
        await save_as(pilot, "t.csv")
        await see(pilot, "Enter once more replaces it")
        await pilot.press("enter")
        await see(pilot, "Wrote 4 rows")
    assert "6 months" in (here / "t.csv").read_text()


@pytest.mark.parametrize(
    ("name", "said"), [("t.docx", "Give it one of these endings"), ("nowhere/t.csv", "there is no folder nowhere")]
)
async def test_a_name_that_cannot_be_is_refused_in_place(here, name, said):
    async with world().app().run_test(size=SIZE, notifications=True) as pilot:
        await table(pilot)
        await save_as(pilot, name)
        await see(pilot, said)


async def test_an_export_that_fails_is_told_with_what_to_do(here, monkeypatch):
    from localrag.errors import StorageError
    from localrag.security import storage

    def full(path, data):
        raise StorageError("the disk is full", "Free some space.")

    monkeypatch.setattr(storage, "write_bytes", full)
    async with world().app().run_test(size=SIZE, notifications=True) as pilot:
        await table(pilot)
        await save_as(pilot, "t.csv")
        await see(pilot, "the disk is full. Free some space.")


async def test_five_thousand_rows_are_held_and_few_citations_drawn():
    from localrag.tui.widgets.citation import CitationLine
    from tui.fakes import citation

    answer = surveys.many(5000)
    cited = tuple(citation(marker=n) for n in range(1, 101))
    from dataclasses import replace

    async with world(Answered(replace(answer, citations=cited))).app().run_test(size=SIZE, notifications=True) as pilot:
        await ask(pilot)
        await see(pilot, "80 more quotes: Ctrl+T")
        assert len(pilot.app.screen.query(CitationLine)) == 20
        await pilot.press("ctrl+t")
        await see(pilot, "5,000 rows")
        await pilot.press("2", "2")
        assert documents(pilot)[0] == "d4999.pdf"
        assert pilot.app.screen.query_one(DataTable).row_count == 5000


async def test_markup_and_escape_sequences_of_documents_stay_what_they_are():
    evil = surveys.row("[red]a[/].pdf", "\x1b[31m[bold]x", "q", "p. 1")
    async with (
        world(Answered(surveys.settled().answer.__class__("", "1.", True, surveys.SURVEY, table=(evil,))))
        .app()
        .run_test(size=SIZE, notifications=True) as pilot
    ):
        await ask(pilot)
        await see(pilot, "[red]a[/].pdf")
        await pilot.press("ctrl+t")
        await see(pilot, "[bold]x")


@pytest.mark.parametrize(
    ("question", "name"),
    [("Which leases allow dogs?", "which-leases-allow-dogs.xlsx"), ("???", "table.xlsx"), ("../../etc", "etc.xlsx")],
)
def test_a_file_is_named_by_its_question(question, name):
    assert file_name(question) == name
