import pytest

from localrag.errors import UsageError
from localrag.search.filters import mention, mentioned
from localrag.tui import commands
from localrag.tui.app import LocalragApp
from localrag.tui.commands import Known
from localrag.tui.screens.chat import ChatScreen

DOCUMENTS = ("contracts/msa.pdf", "contracts/lease 2024.pdf", "notes/meeting.md", "Zürich/Mietvertrag.docx", "end..")
NAMES = [("firm", name) for name in DOCUMENTS]
KNOWN = Known(DOCUMENTS, ("small-1b", "big-7b"), ("contracts", "letters"))


def texts(before):
    return [offer.text for offer in commands.offers(before, KNOWN)]


@pytest.mark.parametrize(
    ("before", "offered"),
    [
        ("/re", ["/read ", "/retrieve ", "/review "]),
        ("/ne", ["/new"]),
        ("/etc/hosts", []),
        (" /re", []),
        ("/model bi", ["big-7b"]),
        ("/think a", ["auto"]),
        ("/export docx h", []),
        ('/compare "contracts/lease 2', ['"contracts/lease 2024.pdf" ']),
        ("/compare contracts/msa.pdf", []),
        ("/compare contracts/msa.pdf ", []),
        ('/compare "contracts/lease 2024.pdf" b.pdf msa', ["contracts/msa.pdf "]),
        ("/compare a b c d", []),
        ("/read con", []),
        ("What says @me", ["@notes/meeting.md "]),
        ("write to jane@cont", []),
        ('@"contracts/lease 2', ['@"contracts/lease 2024.pdf" ']),
        ("What says @contracts/msa.pdf?", []),
    ],
)
def test_half_typed_commands_and_names_are_completed(before, offered):
    assert texts(before) == offered


def test_a_slash_offers_every_command_and_an_at_every_document():
    assert len(texts("/")) == len(commands.COMMANDS)
    assert texts("@") == [f"{mention(name)} " for name in DOCUMENTS]
    for name in DOCUMENTS:
        assert mentioned(f"What says {mention(name)} of it?", NAMES)[1] == (("firm", name),)
        assert commands.names_in(f"{mention(name)[1:]} other.pdf") == [name, "other.pdf"]


def test_documents_are_mentioned_once_in_each_library_and_other_words_are_left_alone():
    question = "Compare @contracts/msa.pdf, @notes/meeting.md and @contracts/msa.pdf."
    assert mentioned(question, NAMES) == (
        "Compare contracts/msa.pdf, notes/meeting.md and contracts/msa.pdf.",
        (("firm", "contracts/msa.pdf"), ("firm", "notes/meeting.md")),
    )
    for text in ("he said @... @", "write to jane@contracts/msa.pdf"):
        assert mentioned(text, NAMES) == (text, ())
    both = [("firm", "a.pdf"), ("old", "a.pdf")]
    assert mentioned("Rent in @old/a.pdf?", both) == ("Rent in a.pdf?", (("old", "a.pdf"),))
    assert mentioned("Rent in @a.pdf?", both)[1] == tuple(both)


@pytest.mark.parametrize("text", ['Rent in @"no such.pdf"?', "@firm/nosuch.pdf", "@msa"])
def test_a_mention_that_fits_nothing_is_said(text):
    with pytest.raises(UsageError, match="no document here is named"):
        mentioned(text, NAMES)
    assert mentioned(text, ()) == (text, ())  # what there is is not known yet


def test_a_command_is_told_from_a_question():
    assert commands.parse("What is /read?") is None and commands.parse("/etc/hosts says what?") is None
    assert commands.parse("/read What is\nit?") == ("read", commands.BY_NAME["read"], "What is\nit?")
    assert commands.parse("/raed it") == ("raed", None, "it")


def test_every_command_has_its_action_and_passes_any_argument():
    from textual.actions import parse

    for command in commands.COMMANDS:
        owner = LocalragApp if command.action.startswith("app.") else ChatScreen
        assert command.mode or hasattr(owner, f"action_{command.action.removeprefix('app.')}")
    assert parse(commands.BY_NAME["library"].call("a 'b' \"c\", d")) == ("app", "use_library", ("a 'b' \"c\", d",))
