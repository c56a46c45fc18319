"""The options that narrow `search`, `ask` and `chat`: what they select, report and complete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from click.shell_completion import ShellComplete
from command_line import refused, run, run_json

from localrag.cli.app import localrag
from localrag.errors import LocalragError, NotFoundError, UsageError
from localrag.store.library import Library

Shelf = Callable[..., Library]
DOCUMENTS = {
    "leases/hall.pdf": [f"The lease of Hall 3: clause {n} on rent." for n in range(1, 10)],
    "leases/yard.docx": "The lease of the yard: its rent is low.",
    "notes.txt": "Notes on the rent of all leases.",
}


@pytest.fixture
def papers(shelf: Shelf, models: Any) -> Library:
    models.generator.script = [("", "The rent is low.")]
    return shelf("papers", DOCUMENTS)


def found(*args: str) -> set[tuple[str, int | None]]:
    passages = run_json("search", "rent", "-k", "20", *args)["passages"]
    return {(passage["document"], passage["page"]) for passage in passages}


def test_search_looks_only_where_the_options_say(papers: Library) -> None:
    yard, notes = ("leases/yard.docx", None), ("notes.txt", None)
    hall = {("leases/hall.pdf", page) for page in range(1, 10)}
    assert found() == {yard, notes, *hall}
    assert found("--folder", "leases") == {yard, *hall}
    assert found("--type", "docx", "--type", "text") == {yard, notes}
    assert found("-d", "*.pdf", "--pages", "3-5") == {page for page in hall if 3 <= (page[1] or 0) <= 5}
    assert found("--pages", "9") == {("leases/hall.pdf", 9)}
    assert found("--pages", "8-") == {("leases/hall.pdf", 8), ("leases/hall.pdf", 9)}


def test_documents_that_a_page_range_leaves_out_are_reported(papers: Library) -> None:
    assert "2 documents without pages" in run("search", "rent", "--pages", "3-5").stderr
    assert run("search", "rent", "--folder", "leases").stderr == ""
    result = run("ask", "What is the rent?", "--pages", "3-5")
    assert "Not read: 2 documents without pages" in result.stderr and "Only pages 3-5 are looked at." in result.stderr


def test_ask_is_narrowed_by_the_same_options(papers: Library) -> None:
    value = run_json("ask", "What is the rent?", "--folder", "leases", "--type", "word")
    assert value["plan"]["signals"]["documents"] == 1
    assert value["plan"]["signals"]["only"] == "in the folder 'leases', of the type word"


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (["--type", "pdff"], UsageError, "Types: book"),
        (["--since", "last week"], UsageError, "2023-06"),
        (["--pages", "x"], UsageError, "--pages 3-7"),
        (["--pages", "7-3"], UsageError, "3-7"),
        (["--since", "2023"], NotFoundError, "None of them has a known date."),
        (["--from", "jane"], NotFoundError, "None of them has a known author or sender."),
        (["--folder", "leases", "--type", "mail"], NotFoundError, "2 documents in the folder 'leases', but none of"),
        (["--pages", "20-30"], NotFoundError, "The longest has 9 pages."),
    ],
    ids=str,
)
@pytest.mark.parametrize("command", ["search", "ask"])
def test_what_lets_nothing_through_is_refused_with_what_to_do(
    papers: Library, command: str, given: list[str], error: type[LocalragError], message: str
) -> None:
    assert message in refused(error, command, "rent", *given).hint


def completed(*words: str) -> list[str]:
    *before, incomplete = words
    return [item.value for item in ShellComplete(localrag, {}, "localrag", "X").get_completions(before, incomplete)]


@pytest.mark.parametrize("command", ["search", "ask", "chat"])
def test_the_shell_completes_types_and_documents(papers: Library, shelf: Shelf, command: str) -> None:
    assert completed(command, "--type", "doc") == ["doc", "docm", "docx"]
    assert "mail" in completed(command, "--type", "") and "pdf" in completed(command, "--type", "")
    assert completed(command, "--document", "leases/") == ["leases/hall.pdf", "leases/yard.docx"]
    shelf("others", {"x.txt": "Words."})
    assert completed(command, "--document", "") == []  # two libraries, and none was named
    assert completed(command, "--library", "others", "--document", "") == ["x.txt"]
    (papers.folder / "library.db").write_bytes(b"x" * 4096)
    assert completed(command, "--library", "papers", "--document", "") == []
