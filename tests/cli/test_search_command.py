"""`localrag search`: passages on stdout; nothing that answers is loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from localrag.cli.app import localrag
from localrag.errors import NotFoundError, UsageError
from localrag.store.library import Library

Shelf = Callable[..., Library]


def run(*args: str) -> Result:
    result = CliRunner().invoke(localrag, ["search", *args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def papers(shelf: Shelf, models: Any) -> Library:
    return shelf("papers", {"leases/hall.txt": "The lease ends in May.", "dogs.pdf": ["Dogs.", "The kennel is open."]})


def test_words_need_no_quotes(papers: Library, models: Any) -> None:
    assert run("the", "kennel", "-k", "2").stdout == run("the kennel", "-k", "2").stdout != ""


@pytest.mark.parametrize("words", ['   "" ', "?", "“”"])
def test_a_search_for_nothing_is_refused(papers: Library, models: Any, words: str) -> None:
    with pytest.raises(UsageError, match="no words"):
        run(words)


def test_a_phrase_that_no_passage_contains_is_reported(papers: Library, models: Any) -> None:
    assert run('"kennel zebra"').stderr != "" == run("kennel zebra").stderr


def test_json_has_the_shape_of_the_manual(papers: Library, models: Any) -> None:
    value = json.loads(run("kennel", "--json", "-k", "2").stdout)
    assert set(value) == {"searched_for", "passages"} and len(value["passages"]) == 2
    first = value["passages"][0]
    assert set(first) >= {"document", "page", "label", "heading", "text", "start", "end", "score"}
    assert (first["document"], first["page"], first["text"]) == ("dogs.pdf", 2, "The kennel is open.")
    assert (first["start"], first["end"], first["heading"]) == (0, 19, [])
    text = papers.page_text(papers.document("dogs.pdf").id, 1)
    assert text[first["start"] : first["end"]] == first["text"]
    assert models.loaded == ["embedder"]


def test_text_names_place_and_words(papers: Library) -> None:
    result = run("kennel", "-k", "1")
    assert result.stdout.splitlines()[0].startswith("1. dogs.pdf, p. 2") and "The kennel is open." in result.stdout
    assert result.stderr == ""


def test_search_keeps_to_the_named_documents_and_libraries(papers: Library, shelf: Shelf) -> None:
    shelf("others", {"x.txt": "A kennel too."})
    found = json.loads(run("kennel", "-l", "papers", "-d", "leases/*", "--json").stdout)["passages"]
    assert {passage["document"] for passage in found} == {"leases/hall.txt"}
    found = json.loads(run("kennel", "-l", "papers", "-l", "others", "-l", "papers", "--json").stdout)["passages"]
    assert {passage["library"] for passage in found} == {"papers", "others"} and len(found) == 4


def test_searches_that_cannot_work_are_refused(papers: Library, shelf: Shelf) -> None:
    with pytest.raises(UsageError):
        run(" ")
    with pytest.raises(NotFoundError):
        run("words", "-l", "none")
    with pytest.raises(NotFoundError) as raised:
        run("words", "-d", "leases/hull.txt")
    assert "leases/hall.txt" in raised.value.hint
    assert run("words", "-k", "0").exit_code == 2
    shelf("others", {})
    with pytest.raises(UsageError) as raised:
        run("words")
    assert "others, papers" in raised.value.message and "--library" in raised.value.hint


def test_without_a_library_it_says_how_to_make_one(models: Any) -> None:
    with pytest.raises(NotFoundError) as raised:
        run("words")
    assert "localrag ingest" in raised.value.hint


def test_control_characters_of_a_document_do_not_reach_the_terminal(shelf: Shelf, models: Any) -> None:
    shelf("evil", {"a\x1b[2J.txt": "Words \x1b]0;title\x07 and \x9b31m red \u202e backwards \x00 end."})
    output = run("words").output
    assert "Words" in output and not set("\x1b\x07\x9b\u202e\x00") & set(output)


def test_hostile_words_are_only_words(papers: Library) -> None:
    for words in ('AND OR NEAR( " * ^', "'; DROP TABLE chunks", "a\udcff", "-1"):
        assert run("--json", "--", words).exit_code == 0


def test_a_corrected_word_is_reported(papers: Library) -> None:
    result = run("kenel", "-k", "1")
    assert result.stderr == "Searched for: kennel\n" and result.stdout.startswith("1. dogs.pdf, p. 2")
    value = json.loads(run("kenel", "-k", "1", "--json").stdout)
    assert value["searched_for"] == "kennel" and value["passages"][0]["document"] == "dogs.pdf"
    assert json.loads(run('"kenel"', "--json").stdout)["searched_for"] == '"kenel"'
