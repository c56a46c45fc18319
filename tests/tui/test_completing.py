"""What half-typed commands and names may become, and which documents a question names."""

from __future__ import annotations

import pytest

from localrag.tui import commands, completing
from localrag.tui.completing import Known

DOCUMENTS = ("contracts/msa.pdf", "contracts/lease 2024.pdf", "notes/meeting.md", "Zürich/Mietvertrag.docx", "end..")
KNOWN = Known(DOCUMENTS, ("small-1b", "big-7b"), ("contracts", "letters"))


def texts(before: str) -> list[str]:
    return [offer.text for offer in completing.offers(before, KNOWN)]


def test_a_slash_offers_every_command_and_letters_narrow_them():
    assert len(texts("/")) == len(commands.COMMANDS)
    assert texts("/re") == ["/read ", "/retrieve "]
    assert texts("/ne") == ["/new"]


@pytest.mark.parametrize("before", ["", "What is 1/2", "/etc/hosts", " /re", "see /re"])
def test_a_slash_elsewhere_than_at_the_beginning_offers_nothing(before):
    assert texts(before) == []


def test_what_a_command_takes_is_offered_behind_it():
    assert texts("/model ") == ["small-1b", "big-7b"]
    assert texts("/model bi") == ["big-7b"]
    assert texts("/library le") == ["letters"]
    assert texts("/export doc") == ["docx"]
    assert texts("/read con") == []


def test_a_name_is_offered_by_what_it_contains_whatever_its_case():
    assert texts("What says @MIETVER") == ["@Zürich/Mietvertrag.docx "]
    assert texts("@") == [f"{completing.mention(name)} " for name in DOCUMENTS]


def test_names_that_begin_so_come_before_those_that_contain_it_and_those_that_are_like_it():
    assert texts("@me")[0] == "@notes/meeting.md "
    assert texts("@meetnig") == ["@notes/meeting.md "]


def test_an_address_is_no_mention():
    assert texts("write to jane@cont") == []
    assert completing.mentioned("write to jane@contracts/msa.pdf", DOCUMENTS) == (
        "write to jane@contracts/msa.pdf", ()
    )  # fmt: skip


def test_a_name_with_blanks_is_quoted_and_found_again():
    (text,) = texts("@lease")
    assert text == '@"contracts/lease 2024.pdf" '
    question, documents = completing.mentioned(f"Rent in {text.strip()}?", DOCUMENTS)
    assert question == "Rent in “contracts/lease 2024.pdf”?"
    assert documents == ("contracts/lease 2024.pdf",)


def test_a_half_quoted_name_is_completed_too():
    assert texts('@"contracts/lease 2') == ['@"contracts/lease 2024.pdf" ']


def test_nothing_is_offered_for_a_name_that_is_there_whole():
    assert texts("What says @contracts/msa.pdf") == []
    assert texts("What says @contracts/msa.pdf?") == []


def test_several_documents_may_be_mentioned_each_counts_once():
    question = "Compare @contracts/msa.pdf, @notes/meeting.md and @contracts/msa.pdf."
    assert completing.mentioned(question, DOCUMENTS) == (
        "Compare contracts/msa.pdf, notes/meeting.md and contracts/msa.pdf.",
        ("contracts/msa.pdf", "notes/meeting.md"),
    )


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_offered_mention_is_understood(name):
    assert completing.mentioned(f"What says {completing.mention(name)} of it?", DOCUMENTS)[1] == (name,)


def test_what_is_no_document_stays_as_it_was_typed():
    assert completing.mentioned("@nobody said @...", DOCUMENTS) == ("@nobody said @...", ())


def test_a_command_is_told_from_a_question():
    assert commands.typed("What is /read?") is None
    assert commands.typed("/etc/hosts says what?") is None
    read = commands.typed("/read What is\nthe term?")
    assert read is not None and read.command is commands.BY_NAME["read"] and read.argument == "What is\nthe term?"
    unknown = commands.typed("/raed it")
    assert unknown is not None and unknown.command is None


def test_an_argument_reaches_the_action_whatever_quotes_it_holds():
    from textual.actions import parse

    call = commands.BY_NAME["library"].call("a 'b' \"c\", d")
    assert parse(call) == ("app", "use_library", ("a 'b' \"c\", d",))
