"""What the model is told in a summary."""

from __future__ import annotations

import pytest

from localrag.answer import summary


@pytest.mark.parametrize("form", ["summary", "joined"])
def test_a_summary_keeps_to_what_was_asked_for(form: str) -> None:
    if form == "summary":
        told = summary.summary_prompt("this document", "a.txt", "Text.", "two sentences", "Summarise the risks")
        assert told[0].stable[0].endswith("Document: a.txt\n\nText.\n\n")
    else:
        told = summary.joined_prompt("a.txt", [("p. 1", "One."), ("p. 2", "Two.")], "two sentences", "Summarise")
        assert "p. 1: One.\n\np. 2: Two." in told[-1].text
    assert "two sentences" in told[-1].text and "Summarise" in told[-1].text
