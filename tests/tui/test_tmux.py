"""The terminal app as a person meets it: a real terminal, real weights, a folder that was never read.

The smallest model writes poor answers, so nothing is expected of its words, only of what does not depend on them: quotes
are in the documents, and the conversation is there again.
"""

import os
import re
import sys
from pathlib import Path

import pytest
from terminal import Terminal, require_tmux

pytestmark = pytest.mark.model

LEASE = """# Lease of the mill house

The landlord is Petra Vantongeren. The tenant is Odo Brannick.

## Notice

Either party may end this lease with ninety days' written notice to the other party.
"""
MINUTES = """Minutes of the garden committee, 4 May 2023.

The committee chose Wilma Oort as its treasurer. The pond is cleaned every spring by volunteers.
"""
WORD = "landlord"
COUNT = f'How many times does "{WORD}" occur?'
QUESTION = "How many days of written notice end the lease?"


@pytest.fixture
def papers(tmp_path):
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "lease.md").write_text(LEASE, encoding="utf-8")
    (folder / "minutes.txt").write_text(MINUTES, encoding="utf-8")
    return folder


@pytest.fixture
def environ(home):
    """What the app is run with: the test's own folders, the smallest model, and no answer held back as too unsure."""
    given = {name: os.environ[name] for name in ("LOCALRAG_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    given |= {"PYTHONPATH": str(Path(__file__).parents[1])}
    # One thread, because threads that wait for one another are slow where the cores are busy with other tests.
    given |= {"LOCALRAG_GENERATOR": "smollm2-135m-instruct", "LOCALRAG_THREADS": "1"}
    return given | {"LOCALRAG_MIN_CONFIDENCE": "0", "LOCALRAG_ANSWER_TOKENS": "40"}


def test_a_folder_is_read_asked_looked_into_and_gone_on_with(papers, environ, tmp_path):
    require_tmux()
    chat = [sys.executable, "-m", "localrag", "chat", "./papers"]
    with Terminal(tmp_path) as terminal:
        terminal.run(chat, environ)
        terminal.see("y yes")
        terminal.press("y")
        terminal.see("2 documents")

        # The model answers something, in its way; whatever is shown as a quote stands in its document.
        terminal.type(QUESTION)
        terminal.press("Enter")
        terminal.see("tokens read")
        for document, quote in citations(terminal):
            assert quote in flat(papers / document)

        # Code counts, so there is a citation for sure.
        terminal.type(COUNT)
        terminal.press("Enter")
        terminal.see("no model used")
        document, quote = next(one for one in citations(terminal) if WORD in one[1].lower())
        assert quote in flat(papers / document)

        terminal.press("Tab")
        terminal.see(f"{document}, Lease of the mill house")
        terminal.see("The landlord is Petra Vantongeren. The tenant is Odo Brannick.")
        terminal.press("C-q")
        assert terminal.ended() == 0

        terminal.run(chat, environ)
        terminal.see("Ask about papers")
        terminal.press("F7")
        terminal.see("Enter opens")
        terminal.see(QUESTION)
        terminal.press("Enter")
        terminal.see("no model used")
        again = terminal.words()
        assert COUNT in again and quote in again
        terminal.press("C-q")
        assert terminal.ended() == 0


def citations(terminal):
    """The documents and words of the citations on the screen."""
    return re.findall(r"\[\d+\] ([^\s:,]+)(?:, [^:“]*)?: “([^”]+)”", terminal.words())


def flat(file):
    return " ".join(file.read_text(encoding="utf-8").split())
