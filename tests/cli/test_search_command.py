from functools import partial

import command_line
import pytest
from click.shell_completion import ShellComplete
from command_line import refused, run_json

from localrag.cli.app import localrag
from localrag.errors import NotFoundError, UsageError

run = partial(command_line.run, "search")


@pytest.fixture
def papers(shelf, models):
    return shelf("papers", {"leases/hall.txt": "The lease ends in May.", "dogs.pdf": ["Dogs.", "The kennel is open."]})


def test_json_has_the_shape_of_the_manual(papers, models):
    value = run_json("search", "kennel", "-k", "2")
    assert set(value) == {"searched_for", "passages"} and len(value["passages"]) == 2
    first = value["passages"][0]
    assert set(first) >= {"document", "page", "label", "heading", "text", "start", "end", "score"}
    assert (first["document"], first["page"], first["text"]) == ("dogs.pdf", 2, "The kennel is open.")
    assert (first["start"], first["end"], first["heading"]) == (0, 19, [])
    text = papers.page_text(papers.document("dogs.pdf").id, 1)
    assert text[first["start"] : first["end"]] == first["text"]
    assert models.loaded == ["embedder"]


def test_searches_that_cannot_work_are_refused(papers, shelf):
    for words in (" ", '   "" ', "?", "“”"):
        assert "no words" in refused(UsageError, "search", words).message
    refused(NotFoundError, "search", "words", "-l", "none")
    assert "leases/hall.txt" in refused(NotFoundError, "search", "words", "-d", "leases/hull.txt").hint
    assert run("words", "-k", "0").exit_code == 2
    shelf("others", {})
    error = refused(UsageError, "search", "words")
    assert "others, papers" in error.message and "--library" in error.hint


def test_control_characters_of_a_document_do_not_reach_the_terminal(shelf, models):
    shelf("evil", {"a\x1b[2J.txt": "Words \x1b]0;title\x07 and \x9b31m red \u202e backwards \x00 end."})
    output = run("words").output
    assert "Words" in output and not set("\x1b\x07\x9b\u202e\x00") & set(output)


def test_a_corrected_word_is_reported(papers):
    result = run("kenel", "-k", "1")
    assert result.stderr == "Searched for: kennel\n" and result.stdout.startswith("1. dogs.pdf, p. 2")
    value = run_json("search", "kenel", "-k", "1")
    assert value["searched_for"] == "kennel" and value["passages"][0]["document"] == "dogs.pdf"
    assert run_json("search", '"kenel"')["searched_for"] == '"kenel"'
    assert run('"kennel zebra"').stderr != "" == run("kennel zebra").stderr  # no passage has the phrase


DOCUMENTS = {
    "leases/hall.pdf": [f"The lease of Hall 3: clause {n} on rent." for n in range(1, 10)],
    "leases/yard.docx": "The lease of the yard: its rent is low.",
    "notes.txt": "Notes on the rent of all leases.",
}


@pytest.fixture
def leases(shelf, models):
    models.generator.script = [("", "The rent is low.")]
    return shelf("papers", DOCUMENTS)


def found(*args):
    passages = run_json("search", "rent", "-k", "20", *args)["passages"]
    return {(passage["document"], passage["page"]) for passage in passages}


def test_search_and_ask_look_only_where_the_options_say(leases):
    yard, notes = ("leases/yard.docx", None), ("notes.txt", None)
    hall = {("leases/hall.pdf", page) for page in range(1, 10)}
    assert found() == {yard, notes, *hall}
    assert found("--folder", "leases") == {yard, *hall}
    assert found("--type", "docx", "--type", "text") == {yard, notes}
    assert found("-d", "*.pdf", "--pages", "3-5") == {page for page in hall if 3 <= (page[1] or 0) <= 5}
    assert found("--pages", "9") == {("leases/hall.pdf", 9)}
    assert found("--pages", "8-") == {("leases/hall.pdf", 8), ("leases/hall.pdf", 9)}
    signals = run_json("ask", "What is the rent?", "--folder", "leases", "--type", "word")["plan"]["signals"]
    assert (signals["documents"], signals["only"]) == (1, "in the folder 'leases', of the type word")


def test_documents_that_a_page_range_leaves_out_are_reported(leases):
    assert "2 documents without pages" in command_line.run("search", "rent", "--pages", "3-5").stderr
    assert command_line.run("search", "rent", "--folder", "leases").stderr == ""
    result = command_line.run("ask", "What is the rent?", "--pages", "3-5")
    assert "Not read: 2 documents without pages" in result.stderr and "Only pages 3-5 are looked at." in result.stderr


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (["--type", "pdff"], UsageError, "Types: book"),
        (["--since", "last week"], UsageError, "2023-06"),
        (["--pages", "7-3"], UsageError, "3-7"),
        (["--since", "2023"], NotFoundError, "None of them has a known date."),
        (["--folder", "leases", "--type", "mail"], NotFoundError, "2 documents in the folder 'leases', but none of"),
        (["--pages", "20-30"], NotFoundError, "The longest has 9 pages."),
    ],
    ids=str,
)
@pytest.mark.parametrize("command", ["search", "ask"])
def test_what_lets_nothing_through_is_refused_with_what_to_do(leases, command, given, error, message):
    assert message in refused(error, command, "rent", *given).hint


def completed(*words):
    *before, incomplete = words
    return [item.value for item in ShellComplete(localrag, {}, "localrag", "X").get_completions(before, incomplete)]


@pytest.mark.parametrize("command", ["search", "ask", "chat"])
def test_the_shell_completes_types_and_documents(leases, shelf, command):
    assert completed(command, "--type", "doc") == ["doc", "docm", "docx"]
    assert "mail" in completed(command, "--type", "") and "pdf" in completed(command, "--type", "")
    assert completed(command, "--document", "leases/") == ["leases/hall.pdf", "leases/yard.docx"]
    shelf("others", {"x.txt": "Words."})
    assert completed(command, "--document", "") == []  # two libraries, and none was named
    assert completed(command, "--library", "others", "--document", "") == ["x.txt"]
    for words in (["dates", "others"], ["dates", "-l", "others"], ["forget", "others"], ["chat", "others"]):
        assert completed(*words, "--document", "") == ["x.txt"], words
    (leases.folder / "library.db").write_bytes(b"x" * 4096)
    assert completed(command, "--library", "papers", "--document", "") == []
