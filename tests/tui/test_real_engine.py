"""Each screen over the real engine and a small library, with fakes in place of weights alone."""

import pytest

from localrag.sessions import store_of
from localrag.tui.app import LocalragApp
from localrag.tui.screens.chat import ChatScreen
from localrag.tui.screens.proofread import ProofreadScreen
from localrag.tui.screens.review import ReviewScreen
from localrag.tui.screens.table import ResultsScreen
from localrag.tui.screens.versions import VersionsScreen
from localrag.tui.threads import Core
from localrag.worker.engine import Engine
from tui.screen_text import WIDE, ask, fill, marked, on, open_chat, press, rows, see, until

NOTICE = "Either party may end this lease with ninety days' written notice."
LEASE = f"Lease of the mill house.\n\n1. Notice. {NOTICE}\n\n2. Rent. The rent is 900 euros a month."
PLAYBOOK = """
title: Leases
items:
  - {id: notice, question: "Which notice ends the lease?"}
"""
QUESTION = "With what notice can the lease be ended?"


@pytest.fixture
def open_app(settings, models):
    models.generator.otherwise = f'It takes ninety days "{NOTICE[:-1]}" [1].'

    def make(**options):
        return LocalragApp(Core(Engine(settings), store_of(settings)), **options)

    return make


async def test_a_folder_is_read_asked_and_the_conversation_found_again(open_app, folder):
    papers = folder({"lease.md": LEASE, "minutes.txt": "The pond is cleaned every spring."})
    async with open_app(folder=papers).run_test(size=WIDE) as pilot:
        await see(pilot, "Read 2 files into a library named papers?")
        await pilot.press("y")
        await open_chat(pilot)
        await ask(pilot, QUESTION, sees=("It takes ninety days", "lease.md"))
        await press(pilot, "f4", then=lambda: "ninety days" in marked(pilot.app))
        await press(pilot, "f6", sees=("2 documents", "minutes.txt"))
        await press(pilot, "f6", "f7", sees=f"1 turn {QUESTION}")
        await pilot.press("enter")
        await on(pilot, ChatScreen)
        await see(pilot, f"❯ {QUESTION}")
        await press(pilot, "f8", sees="source_view")


async def test_documents_are_surveyed_reviewed_and_compared(open_app, shelf, here):
    shelf("leases", {"old.txt": LEASE, "new.txt": LEASE.replace("900", "950")})
    (here / "p.yaml").write_text(PLAYBOOK)
    async with open_app().run_test(size=WIDE, notifications=True) as pilot:
        await open_chat(pilot)
        await ask(pilot, f"/survey {QUESTION}", sees="Ctrl+T: all of them")
        await pilot.press("ctrl+t")
        await on(pilot, ResultsScreen)
        await until(pilot, lambda: len(rows(pilot)) == 2)
        await pilot.press("escape")
        await ask(pilot, "/review p.yaml")
        await on(pilot, ReviewScreen)
        await until(pilot, lambda: pilot.app.screen._results.complete and len(rows(pilot)) == 2)
        await pilot.press("escape")
        await ask(pilot, "/compare old.txt new.txt")
        await on(pilot, VersionsScreen)
        await see(pilot, "[-900-] {+950+}")
        await pilot.press("e")
        await fill(pilot, "out.docx")
        await until(pilot, (here / "out.docx").exists)


async def test_a_document_is_proofread_and_a_finding_leads_to_its_words(open_app, shelf):
    draft = (
        "1. The “Tenant” shall pay within thirty (45) days. The Tenant may leave.\n\n2. See Section 9.\n\nSigned: _____"
    )
    german = (
        "Der Mieter zahlt die Miete an den Vermieter, und die Kaution ist in der Höhe von drei Mieten zu leisten. " * 5
    )
    shelf("leases", {"in/draft [1].txt": draft, "mietvertrag.txt": german})
    async with open_app().run_test(size=WIDE, notifications=True) as pilot:
        await open_chat(pilot)
        await see(pilot, "2 documents")
        await ask(pilot, '/proofread "draft [1].txt"')
        await on(pilot, ProofreadScreen)
        await until(pilot, lambda: len(rows(pilot)) == 2)
        await see(pilot, "the words say 30 and the figures 45", "there is no clause 9")
        await press(pilot, "enter", then=lambda: "thirty (45)" in marked(pilot.app))
        await press(pilot, "escape", "escape")
        await on(pilot, ChatScreen)
        await press(pilot, "f6", "P")
        await on(pilot, ProofreadScreen)
        await press(pilot, "escape", "right", "down", "enter", then=lambda: pilot.app.screen._source.display)
        await press(pilot, "alt+r")
        await on(pilot, ProofreadScreen)
        await press(pilot, "escape", "f6", "space", "down", "space", "P", sees="2 documents chosen, and one")
        await press(pilot, "c", "escape")
        await ask(pilot, "/proofread mietvertrag.txt")
        await on(pilot, ProofreadScreen)
        await see(pilot, "is in German. Only English is proofread.")
        await press(pilot, "escape")
        await ask(pilot, "/proofread none.txt")
        await see(pilot, "! no document")
