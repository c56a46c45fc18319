"""What the model is told in a survey: text first, what is asked last, and a grammar for each shape."""

from __future__ import annotations

import pytest

from localrag.answer import summary
from localrag.items import leaf as prompts
from localrag.items.leaf_question import LeafQuestion, leaf_question
from localrag.items.values import Field, grammar
from localrag.types import Passage

PASSAGE = Passage("papers", "a.txt", 1, None, (), "It renews each year.", 0, 20, 1.0, header="| Term |")


def test_the_question_stands_only_at_the_end() -> None:
    leaf = leaf_question("Which leases renew?")
    told = prompts.passage_prompt(leaf.noun, [PASSAGE])
    assert told[-1].whole.endswith("| Term |\nIt renews each year.") and not told[-1].tail
    for tail in (prompts.says_so(leaf, "this passage"), prompts.write_tail(leaf, "this passage")):
        asked = prompts.with_tail(told, tail)
        assert asked[-1].blocks == told[-1].blocks and "Does this lease renew?" in asked[-1].tail
        assert asked[-1].whole.endswith(tail)


def test_yes_and_no_is_asked_of_what_is_so_and_the_rest_of_what_is_said() -> None:
    assert "only if this passage says so" in prompts.says_so(leaf_question("Which leases renew?"), "this passage")
    assert "state the answer" in prompts.says_so(leaf_question("What is the rent of each lease?"), "the text")


def test_a_columns_key_can_stand_in_a_grammar() -> None:
    assert prompts.key('Name (of "party")') == "name of party"
    question = LeafQuestion("fields", "", "", fields=(Field('Name "x"', "number"), Field("paid", "yes/no")))
    assert prompts.fields_grammar(question).startswith(
        f'root   ::= "{{" "\\"name x\\": " {grammar("number")} ", " "\\"paid\\": " {grammar("yes/no")} ", " '
        '"\\"paid words\\": " string "}"'
    )


@pytest.mark.parametrize("form", ["summary", "joined"])
def test_a_summary_keeps_to_what_was_asked_for(form: str) -> None:
    if form == "summary":
        told = summary.summary_prompt("this document", "a.txt", "Text.", "two sentences", "Summarise the risks")
        assert told[0].stable[0].endswith("Document: a.txt\n\nText.\n\n")
    else:
        told = summary.joined_prompt("a.txt", [("p. 1", "One."), ("p. 2", "Two.")], "two sentences", "Summarise")
        assert "p. 1: One.\n\np. 2: Two." in told[-1].text
    assert "two sentences" in told[-1].text and "Summarise" in told[-1].text
