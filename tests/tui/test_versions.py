"""Versions on the screen: the list of changes, the text with them inline and side by side, keys, and its export."""

from __future__ import annotations

import json

import pytest
from fake_core import FakeWorld, Gate
from textual.pilot import Pilot
from textual.widgets import DataTable, Input

from localrag.diff.changes import Version, compare
from localrag.tui.screens.chat import ChatScreen
from localrag.tui.screens.versions import VersionsScreen
from localrag.types import Page
from tui.screen_text import SIZES, ask, lines, open_chat, see, shown, until

SIZE = (120, 40)
CLAUSES = (
    "1. Payment. The Client shall pay $5,000 within thirty (30) days of the receipt of each invoice.",
    "2. Term. This Agreement begins on January 1, 2021 and shall continue for two years from that day.",
    "3. Notices. All notices must be in writing and sent to the address of the other party as set out above.",
    "4. Liability. The Company shall not be liable for indirect damages of any kind suffered by the Client.",
    "5. Law. This Agreement is governed by the law of the state of Delaware and by no other law of any state.",
)


def document(*clauses: str, header: str = "") -> tuple[Page, ...]:
    """A document with two clauses a page."""
    pages = [clauses[at : at + 2] for at in range(0, len(clauses), 2)]
    return tuple(Page(header + "\n\n".join(page), number) for number, page in enumerate(pages, 1))


OLD = document(*CLAUSES)
NEW = document(
    CLAUSES[2].replace("3.", "1."),
    CLAUSES[0].replace("1.", "2.").replace("$5,000", "$6,000"),
    CLAUSES[1].replace("2. ", "3. ").replace("Term", "Duration"),
    CLAUSES[3].replace("shall not", "may not"),
)


def world(**more) -> FakeWorld:
    drafts = {"msa-v1.pdf": OLD, "msa v2.pdf": NEW, "same.pdf": OLD, "empty.pdf": ()}
    return FakeWorld(drafts=drafts, **more)


def rows(pilot: Pilot) -> list[list[str]]:
    table = pilot.app.screen.query_one(DataTable)
    return [[str(cell) for cell in table.get_row_at(row)] for row in range(table.row_count)]


async def compared(pilot: Pilot, command: str = '/compare msa-v1.pdf "msa v2.pdf"') -> None:
    await open_chat(pilot)
    await ask(pilot, command)
    await until(pilot, lambda: isinstance(pilot.app.screen, VersionsScreen) and pilot.app.screen._results.complete)
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
async def test_changes_are_listed_by_class_and_shown_in_the_text(size):
    async with world().app().run_test(size=size, notifications=True) as pilot:
        await compared(pilot)
        classes = [row[0] for row in rows(pilot)]
        assert classes == sorted(classes, key=["substance", "wording", "form"].index) and classes[0] == "substance"
        assert any("moved" in row[1] for row in rows(pilot))
        await see(pilot, "[-5,000-]{+6,000+}")
        await see(pilot, "msa-v1.pdf → msa v2.pdf")


async def test_keys_go_from_change_to_change_and_to_where_a_clause_was():
    async with world().app().run_test(size=(80, 24)) as pilot:
        await compared(pilot)
        screen = pilot.app.screen
        moved = next(n for n, row in enumerate(rows(pilot)) if "moved" in row[1])
        await pilot.press(*"n" * moved)
        await see(pilot, "▶ 1, p. 1 (was 3, p. 2): moved")
        await pilot.press("enter")
        await see(pilot, "▶ moved from here: 1, p. 1 (was 3, p. 2): moved")
        await pilot.press("p")
        assert screen._change == moved - 1 and not screen._was
        await pilot.press("tab", "n")
        assert screen._change == moved


async def test_one_class_or_words_alone_are_shown_and_escape_takes_it_back():
    async with world().app().run_test(size=SIZE) as pilot:
        await compared(pilot)
        total = len(rows(pilot))
        await pilot.press("3")
        assert {row[0] for row in rows(pilot)} == {"form"}
        await see(pilot, f"of {total} changes")
        await pilot.press("escape")
        assert len(rows(pilot)) == total
        await pilot.press("slash", *"6,000", "enter")
        await until(pilot, lambda: len(rows(pilot)) == 1)
        await pilot.press("escape")
        await until(pilot, lambda: len(rows(pilot)) == total)
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, ChatScreen)


@pytest.mark.parametrize("size", SIZES)
async def test_the_old_text_stands_beside_the_new(size):
    async with world().app().run_test(size=size) as pilot:
        await compared(pilot)
        await pilot.press("s")
        await until(pilot, lambda: any("[-5,000-]" in line and "{+6,000+}" in line for line in lines(pilot.app)))
        row = next(line for line in lines(pilot.app) if "[-5,000-]" in line and "│" in line)
        assert row.index("[-5,000-]") < row.index("│") < row.index("{+6,000+}")
        await pilot.press("s")
        await see(pilot, "[-5,000-]{+6,000+}")


async def test_comments_stand_above_their_clause_and_unrelated_documents_are_doubted():
    made = world()
    said = f"{CLAUSES[0]}\n\n[Comment by J. Doe, 2024-03-02: Too early?]\n\n{CLAUSES[1]}"
    made.drafts |= {"said.docx": (Page(said),), "said.pdf": (Page(said, 1),)}
    made.drafts |= {"other.pdf": document("The garden is open on Sundays.")}
    async with made.app().run_test(size=SIZE) as pilot:
        await compared(pilot, '/compare said.docx "msa v2.pdf"')
        await see(pilot, "» Comment by J. Doe, 2024-03-02 (old): Too early? ")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChatScreen))
        await compared(pilot, '/compare said.pdf "msa v2.pdf"')
        await see(pilot, "! Comments without a clause: p. 1, Comment by J. Doe, 2024-03-02 (old): Too early?")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChatScreen))
        await compared(pilot, "/compare msa-v1.pdf other.pdf")
        await see(pilot, "are they versions of one document?")


async def test_the_help_opens_and_the_keyboard_stays_in_the_list():
    async with world().app().run_test(size=SIZE) as pilot:
        await compared(pilot)
        await pilot.press("f1")
        await see(pilot, "Next change")
        await pilot.press("escape", "n")
        await until(pilot, lambda: isinstance(pilot.app.screen, VersionsScreen) and pilot.app.screen._change == 1)


async def test_a_missing_file_is_named_and_the_conversation_stays():
    async with world().app().run_test(size=SIZE, notifications=True) as pilot:
        await open_chat(pilot)
        await ask(pilot, "/compare msa-v1.pdf nosuch.docx")
        await see(pilot, "nosuch.docx")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChatScreen))
        await see(pilot, "no document matches 'nosuch.docx'")


async def test_escape_cancels_and_a_comparison_that_is_left_shows_nothing():
    gate = Gate()
    made = world(comparing=gate)
    async with made.app().run_test(size=SIZE, notifications=True) as pilot:
        await open_chat(pilot)
        await ask(pilot, "/compare msa-v1.pdf same.pdf")
        await see(pilot, "Comparing")
        await until(pilot, gate.reached.is_set)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChatScreen))
        await pilot.app.lanes["pages"].result(lambda: None)
        assert "error" not in shown(pilot.app).lower() and not gate.opened.is_set()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("/compare msa-v1.pdf same.pdf", "No differences."),
        ("/compare empty.pdf empty.pdf", "No differences."),
        ("/compare empty.pdf msa-v1.pdf", "added"),
        ("/compare msa-v1.pdf empty.pdf", "deleted"),
    ],
)
async def test_what_cannot_be_compared_or_does_not_differ_is_said(command, said):
    async with world().app().run_test(size=SIZE) as pilot:
        await compared(pilot, command)
        await see(pilot, said)
        await pilot.press("s", "n", "p", "enter", "pagedown", "e", "escape", "escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChatScreen))


async def test_one_name_offers_the_other_versions_and_the_older_comes_first():
    made = world()
    async with made.app().run_test(size=SIZE, notifications=True) as pilot:
        await open_chat(pilot)
        await ask(pilot, "/compare a b c d")
        await see(pilot, "two documents are compared")
        await ask(pilot, "/compare same")
        await see(pilot, "no other version of 'same.pdf' is known")
        await ask(pilot, '/compare "msa v2.pdf"')
        await see(pilot, "no other version")
        await ask(pilot, "/compare msa")
        await see(pilot, "2 versions, the latest last: msa-v1.pdf (2024-03-01), msa v2.pdf")
        assert pilot.app.screen.query_one(Input).value == "msa-v1.pdf"
        await pilot.press("enter")
        await until(pilot, lambda: made.compared == [("msa-v1.pdf", "msa v2.pdf")])


async def test_the_redline_is_exported_as_the_command_does_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with world().app().run_test(size=SIZE, notifications=True) as pilot:
        await compared(pilot)
        await pilot.press("e")
        await see(pilot, "msa v2-redline.docx")
        for name, said in (("x.xlsx", "no comparison can be written"), ("out.json", "Wrote")):
            pilot.app.screen.query_one(Input).value = name
            await pilot.press("enter")
            await see(pilot, said)
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["changes"] == json.loads(json.dumps(compare(version(OLD), version(NEW)).to_dict()))["changes"]


async def test_a_long_text_is_drawn_in_parts_and_a_long_clause_at_its_change():
    clauses = [f"{n}. Clause {n}. The words of clause {n} say that party {n} shall act." for n in range(1, 401)]
    long = "The parties agree to what was said before. " * 80
    new = [*clauses[:299], clauses[299].replace("shall", "may"), *clauses[300:]]
    made = world()
    made.drafts |= {"a.txt": (Page("\n\n".join(clauses)),), "b.txt": (Page("\n\n".join(new)),)}
    made.drafts |= {"c.txt": (Page(f"1. Long. {long}"),), "d.txt": (Page(f"1. Long. {long[:-20]} in 60 days."),)}
    async with made.app().run_test(size=(80, 24)) as pilot:
        await compared(pilot, "/compare a.txt b.txt")
        await see(pilot, "party 300 [-shall-] {+may+} act")
        await pilot.press("tab", "end", "pagedown")
        await see(pilot, "party 345 shall act")
        await pilot.press("home", "pageup")
        await see(pilot, "party 323 shall act")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChatScreen))
        await compared(pilot, "/compare c.txt d.txt")
        await see(pilot, "in 60 days+}.")


THREE = "/compare base.pdf theirs.pdf ours.pdf"


def three() -> FakeWorld:
    said = "\n\n[Comment by J. Doe, 2024-03-02: Too early?]"
    sides: dict[str, tuple[tuple[str, str], ...]] = {
        "base.pdf": ((CLAUSES[1], CLAUSES[1] + said),),
        "theirs.pdf": (("two years", "three years"), ("indirect damages", "damages"), ("5,000", "6,000")),
        "ours.pdf": (("two years", "five years"), ("Delaware", "Ohio"), ("5,000", "6,000")),
    }
    made = FakeWorld(drafts={})
    for name, changes in sides.items():
        text = "\n\n".join(CLAUSES)
        for old, new in changes:
            text = text.replace(old, new)
        made.drafts[name] = (Page(text),)
    return made


@pytest.mark.parametrize("size", SIZES)
async def test_three_documents_are_listed_with_who_changed_each_clause_conflicts_first(size):
    async with three().app().run_test(size=size) as pilot:
        await compared(pilot, THREE)
        who = {row[2][:1]: row[1] for row in rows(pilot)}
        assert who == {"1": "same", "2": "conflict", "4": "theirs", "5": "ours"} and rows(pilot)[0][1] == "conflict"
        await see(pilot, "base.pdf → theirs.pdf | ours.pdf")
        await see(pilot, "c conflicts: 1")
        assert "F1" in lines(pilot.app)[-1]


async def test_a_conflict_is_shown_with_both_sides_and_a_key_changes_whose_text_is_shown():
    async with three().app().run_test(size=SIZE, notifications=True) as pilot:
        await compared(pilot, THREE)
        await see(pilot, "▶ 2: duration · conflict » Comment by J. Doe, 2024-03-02 (base): Too early?")
        await see(pilot, "continue for [-two-] {+three+} years")
        await see(
            pilot,
            "▷ ours, changed: . This Agreement begins on January 1, 2021 and shall continue for [-two-] {+five+} years",
        )
        await pilot.press("t")
        await see(
            pilot,
            "▷ theirs, changed: . This Agreement begins on January 1, 2021 and shall continue for [-two-] {+three+} years",
        )
        await see(pilot, "{+five+} years from that day. ▷")
        await pilot.press("s")
        await until(pilot, lambda: any("[-two-]" in line and "{+five+}" in line for line in lines(pilot.app)))


async def test_keys_go_to_the_conflicts_and_to_the_text_of_who_changed_a_clause():
    async with three().app().run_test(size=SIZE, notifications=True) as pilot:
        await compared(pilot, THREE)
        screen = pilot.app.screen
        alone = next(n for n, row in enumerate(rows(pilot)) if row[1] == "ours")
        await pilot.press(*"n" * alone)
        await see(pilot, "▶ 5: name · ours alone")
        assert screen._side == "ours"
        await pilot.press("t")
        await see(pilot, "No other document changed this clause.")
        assert screen._side == "ours"
        await pilot.press("c")
        assert screen._change == 0
        await pilot.press("c")
        assert screen._change == 0
        await pilot.press("slash", *"Ohio", "enter")
        await until(pilot, lambda: [row[1] for row in rows(pilot)] == ["ours"])
        await pilot.press("c")
        await see(pilot, "There is no conflict.")


async def test_three_documents_are_exported_as_the_command_does_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    async with three().app().run_test(size=SIZE, notifications=True) as pilot:
        await compared(pilot, THREE)
        await pilot.press("e")
        await see(pilot, "ours-redline.docx")
        pilot.app.screen.query_one(Input).value = "out.json"
        await pilot.press("enter")
        await see(pilot, "Wrote 4 changes")
    states = [one["state"] for one in json.loads((tmp_path / "out.json").read_text())["clauses"]]
    assert sorted(states) == ["conflict", "ours", "same", "theirs"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("/compare base.pdf same.pdf again.pdf", "No differences."),
        ("/compare empty.pdf base.pdf theirs.pdf", "added"),
        ("/compare base.pdf empty.pdf other.pdf", "are they versions of one document?"),
    ],
)
async def test_three_documents_that_say_the_same_nothing_or_something_else_are_shown(command, said):
    made = three()
    made.drafts |= {"same.pdf": made.drafts["base.pdf"], "again.pdf": made.drafts["base.pdf"], "empty.pdf": ()}
    made.drafts |= {"other.pdf": document("The garden is open on Sundays.")}
    async with made.app().run_test(size=SIZE) as pilot:
        await compared(pilot, command)
        await see(pilot, said)
        await pilot.press("c", "t", "s", "n", "p", "enter", "pagedown", "escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ChatScreen))


def version(pages: tuple[Page, ...]) -> Version:
    return Version("a", pages, library="contracts")


@pytest.mark.parametrize("header", ["", "Draft of 4 March 2024\n\n"])
def test_each_change_is_found_in_its_clause(header):
    new = tuple(Page(header + page.text, page.number) for page in NEW)
    found = compare(version(OLD), version(new))
    for one, (_, at) in zip(found.changes, found.places, strict=True):
        words = "".join(run.text for run in found.paragraphs[at] if run.sign != "-")
        if one.deed == "changed":
            assert one.new.text.split(" … ")[0] in words
