from __future__ import annotations

import json

import pytest
from fake_core import FakeWorld, Gate
from textual.widgets import Input

from localrag.diff.changes import Version
from localrag.tui.screens.chat import ChatScreen
from localrag.tui.screens.versions import VersionsScreen
from localrag.types import Page
from tui.screen_text import NARROW, SIZES, ask, chatting, fill, lines, on, open_chat, press, rows, see, shown, until

CLAUSES = (
    "1. Payment. The Client shall pay $5,000 within thirty (30) days of the receipt of each invoice.",
    "2. Term. This Agreement begins on January 1, 2021 and shall continue for two years from that day.",
    "3. Notices. All notices must be in writing and sent to the address of the other party as set out above.",
    "4. Liability. The Company shall not be liable for indirect damages of any kind suffered by the Client.",
    "5. Law. This Agreement is governed by the law of the state of Delaware and by no other law of any state.",
)
COMMENT = "\n\n[Comment by J. Doe, 2024-03-02: Too early?]"


def document(*clauses, header=""):
    pages = [clauses[at : at + 2] for at in range(0, len(clauses), 2)]
    return tuple(Page(header + "\n\n".join(page), number) for number, page in enumerate(pages, 1))


OLD = document(*CLAUSES)
NEW = document(
    CLAUSES[2].replace("3.", "1."),
    CLAUSES[0].replace("1.", "2.").replace("$5,000", "$6,000"),
    CLAUSES[1].replace("2. ", "3. ").replace("Term", "Duration"),
    CLAUSES[3].replace("shall not", "may not"),
)
OTHER = document("The garden is open on Sundays.")
THREE = "/compare base.pdf theirs.pdf ours.pdf"


def world(comparing=None, **drafts):
    known = {"msa-v1.pdf": OLD, "msa v2.pdf": NEW, "same.pdf": OLD, "empty.pdf": ()}
    return FakeWorld(drafts=known | drafts, comparing=comparing)


def three():
    sides: dict[str, tuple[tuple[str, str], ...]] = {
        "base.pdf": ((CLAUSES[1], CLAUSES[1] + COMMENT),),
        "theirs.pdf": (("two years", "three years"), ("indirect damages", "damages"), ("5,000", "6,000")),
        "ours.pdf": (("two years", "five years"), ("Delaware", "Ohio"), ("5,000", "6,000")),
    }
    made = FakeWorld(drafts={"empty.pdf": (), "other.pdf": OTHER})
    for name, changes in sides.items():
        text = "\n\n".join(CLAUSES)
        for old, new in changes:
            text = text.replace(old, new)
        made.drafts[name] = (Page(text),)
    made.drafts |= {"same.pdf": made.drafts["base.pdf"], "again.pdf": made.drafts["base.pdf"]}
    return made


async def compared(pilot, command='/compare msa-v1.pdf "msa v2.pdf"'):
    await open_chat(pilot)
    await ask(pilot, command)
    await until(pilot, lambda: isinstance(pilot.app.screen, VersionsScreen) and pilot.app.screen._results.complete)
    await pilot.pause()


async def back(pilot):
    await pilot.press("escape")
    await on(pilot, ChatScreen)


@pytest.mark.parametrize("size", SIZES)
async def test_changes_are_listed_by_class_and_shown_in_one_text_or_two(size):
    async with chatting(world(), size) as pilot:
        await compared(pilot)
        classes = [row[0] for row in rows(pilot)]
        assert classes == sorted(classes, key=["substance", "wording", "form"].index) and classes[0] == "substance"
        assert any("moved" in row[1] for row in rows(pilot))
        await see(pilot, "[-5,000-]{+6,000+}", "msa-v1.pdf → msa v2.pdf")
        await pilot.press("s")
        await until(pilot, lambda: any("[-5,000-]" in line and "{+6,000+}" in line for line in lines(pilot.app)))
        row = next(line for line in lines(pilot.app) if "[-5,000-]" in line and "│" in line)
        assert row.index("[-5,000-]") < row.index("│") < row.index("{+6,000+}")
        await press(pilot, "s", sees="[-5,000-]{+6,000+}")


async def test_keys_go_from_change_to_change_and_show_one_class_or_words_alone():
    async with chatting(world(), NARROW) as pilot:
        await compared(pilot)
        screen, total = pilot.app.screen, len(rows(pilot))
        moved = next(n for n, row in enumerate(rows(pilot)) if "moved" in row[1])
        await press(pilot, "f1", sees="Next change")
        await press(pilot, "escape", *"n" * moved, sees="▶ 1. Notices, p. 1 (was 3. Notices, p. 2): moved")
        await press(pilot, "enter", sees="▶ moved from here: 1. Notices, p. 1 (was 3. Notices, p. 2): moved")
        await pilot.press("p")
        assert screen._change == moved - 1 and not screen._was
        await pilot.press("tab", "n")
        assert screen._change == moved
        await pilot.press("3")
        assert {row[0] for row in rows(pilot)} == {"form"}
        await see(pilot, f"of {total} changes")
        await pilot.press("escape", "tab")
        assert len(rows(pilot)) == total
        await press(pilot, "slash", *"6,000", "enter", then=lambda: len(rows(pilot)) == 1)
        await press(pilot, "escape", then=lambda: len(rows(pilot)) == total)
        await back(pilot)


async def test_comments_stand_above_their_clause_and_unrelated_documents_are_doubted():
    said = CLAUSES[0] + COMMENT + "\n\n" + CLAUSES[1]
    made = world(**{"said.docx": (Page(said),), "said.pdf": (Page(said, 1),), "other.pdf": OTHER})
    async with chatting(made) as pilot:
        comment = "Comment by J. Doe, 2024-03-02 (old)"
        for named, words in (
            ("said.docx", f"» {comment}: Too early? "),
            ("said.pdf", f"! Comments without a clause: p. 1, {comment}"),
            ("other.pdf", "are they versions of one document?"),
        ):
            await compared(pilot, f'/compare {named} "msa v2.pdf"')
            await see(pilot, words)
            await back(pilot)


async def test_escape_cancels_and_a_missing_file_leaves_the_conversation():
    gate = Gate()
    async with chatting(made := world(gate)) as pilot:
        await ask(pilot, "/compare msa-v1.pdf same.pdf", sees="Comparing")
        await until(pilot, gate.reached.is_set)
        await back(pilot)
        await pilot.app.threads["pages"].result(lambda: None)
        assert "error" not in shown(pilot.app).lower() and not gate.opened.is_set()
        made.comparing = None
        await ask(pilot, "/compare msa-v1.pdf nosuch.docx", sees="no document matches 'nosuch.docx'")
        await on(pilot, ChatScreen)


async def test_documents_that_say_the_same_nothing_or_something_else_are_shown():
    made = three()
    made.drafts |= world().drafts
    async with chatting(made) as pilot:
        for named, words in (
            ("msa-v1.pdf same.pdf", "No differences."),
            ("empty.pdf msa-v1.pdf", "added"),
            ("msa-v1.pdf empty.pdf", "deleted"),
            ("base.pdf again.pdf again.pdf", "No differences."),
            ("base.pdf empty.pdf other.pdf", "are they versions of one document?"),
        ):
            await compared(pilot, f"/compare {named}")
            await see(pilot, words)
            await pilot.press(*"ctsnp", "enter", "pagedown")
            pilot.app.clear_notifications()  # they lie over the words
            await back(pilot)


async def test_one_name_offers_the_other_versions_and_the_older_comes_first():
    async with chatting(made := world()) as pilot:
        for named, words in (
            ("a b c d", "two documents are compared"),
            ("same", "no other version of 'same.pdf' is known"),
            ("msa", "2 versions, the latest last: msa-v1.pdf (2024-03-01), msa v2.pdf"),
        ):
            await ask(pilot, f"/compare {named}", sees=words)
        assert pilot.app.screen.query_one(Input).value == "msa-v1.pdf"
        await press(pilot, "enter", then=lambda: made.compared == [("msa-v1.pdf", "msa v2.pdf")])


async def test_a_long_text_is_drawn_in_parts_and_a_long_clause_at_its_change():
    clauses = [f"{n}. Clause {n}. The words of clause {n} say that party {n} shall act." for n in range(1, 401)]
    long = "The parties agree to what was said before. " * 80
    new = [*clauses[:299], clauses[299].replace("shall", "may"), *clauses[300:]]
    texts = {"a.txt": "\n\n".join(clauses), "b.txt": "\n\n".join(new)}
    texts |= {"c.txt": f"1. Long. {long}", "d.txt": f"1. Long. {long[:-20]} in 60 days."}
    async with chatting(world(**{name: (Page(text),) for name, text in texts.items()}), NARROW) as pilot:
        await compared(pilot, "/compare a.txt b.txt")
        await see(pilot, "party 300 [-shall-] {+may+} act")
        await press(pilot, "tab", "end", "pagedown", sees="party 345 shall act")
        await press(pilot, "home", "pageup", sees="party 323 shall act")
        await back(pilot)
        await compared(pilot, "/compare c.txt d.txt")
        await see(pilot, "in 60 days+}.")


async def test_of_three_documents_a_conflict_comes_first_with_both_sides_and_a_key_changes_whose_text_is_shown(here):
    begins = "changed: . This Agreement begins on January 1, 2021 and shall continue for [-two-]"
    async with chatting(three()) as pilot:
        await compared(pilot, THREE)
        who = {row[2][:1]: row[1] for row in rows(pilot)}
        assert who == {"1": "same", "2": "conflict", "4": "theirs", "5": "ours"} and rows(pilot)[0][1] == "conflict"
        await see(pilot, "base.pdf → theirs.pdf | ours.pdf", "c conflicts: 1")
        await see(pilot, "▶ 2. Term: duration · conflict » Comment by J. Doe, 2024-03-02 (base): Too early?")
        await see(pilot, "continue for [-two-] {+three+} years", f"▷ ours, {begins} {{+five+}} years")
        await press(pilot, "t", sees=(f"▷ theirs, {begins} {{+three+}} years", "{+five+} years from that day. ▷"))
        await press(pilot, "s", then=lambda: any("[-two-]" in line and "{+five+}" in line for line in lines(pilot.app)))
        await press(pilot, "e", sees="ours-redline.docx")
        await fill(pilot, "out.json", sees="Wrote 4 changes")
    states = [one["state"] for one in json.loads((here / "out.json").read_text())["clauses"]]
    assert sorted(states) == ["conflict", "ours", "same", "theirs"]


async def test_keys_go_to_the_conflicts_and_to_the_text_of_who_changed_a_clause():
    async with chatting(three()) as pilot:
        await compared(pilot, THREE)
        screen = pilot.app.screen
        alone = next(n for n, row in enumerate(rows(pilot)) if row[1] == "ours")
        await press(pilot, *"n" * alone, sees="▶ 5. Law: name · ours alone")
        assert screen._side == "ours"
        await press(pilot, "t", sees="No other document changed this clause.")
        assert screen._side == "ours"
        for _ in range(2):
            await pilot.press("c")
            assert screen._change == 0
        await press(pilot, "slash", *"Ohio", "enter", then=lambda: [row[1] for row in rows(pilot)] == ["ours"])
        await press(pilot, "c", sees="There is no conflict.")


def version(pages):
    return Version("a", pages, library="contracts")
