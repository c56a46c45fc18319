"""A survey: each document is asked, code counts, quotes are looked up."""

from __future__ import annotations

import json
from collections.abc import Sequence

from localrag import survey
from localrag.generation import ScriptedGenerator
from localrag.types import Document, Passage


def document(path: str, number: int = 1) -> Document:
    return Document(number, "/root", path, "", "hash", 1, 1, 1, 1, False)


TEXTS = {"a.txt": "It renews each year for one year.", "b.txt": "It ends in May.", "c.txt": ""}


def find(library: str, doc: Document) -> list[Passage]:
    text = TEXTS[doc.path]
    return [Passage(library, doc.path, 3, None, (), text, 100, 100 + len(text), 1.0, doc.id)] if text else []


def reply(found: bool, answer: str, quote: str) -> str:
    return json.dumps({"found": found, "answer": answer, "quote": quote})


def run(script: Sequence[tuple[str, str]], paths: Sequence[str] = ("a.txt", "b.txt", "c.txt"), stop_at: int = 99):  # type: ignore[no-untyped-def]
    generator = ScriptedGenerator(script=script, otherwise=reply(False, "", ""))
    pairs = [("papers", document(path, n)) for n, path in enumerate(paths)]
    found: list[survey.Leaf] = []
    for leaf in survey.leaves("Does it renew?", pairs, generator, find, stop=lambda: len(found) >= stop_at):
        found.append(leaf)
    return found, generator


def test_each_document_has_a_row_and_sees_only_its_own_text() -> None:
    leaves, generator = run([("renews", reply(True, "each year", "renews each year"))])
    assert [(leaf.document.path, leaf.found) for leaf in leaves] == [
        ("a.txt", True),
        ("b.txt", False),
        ("c.txt", False),
    ]
    assert len(generator.prompts) == 2  # c.txt has nothing to ask about
    for prompt, own, other in zip(generator.prompts, ("a.txt", "b.txt"), ("b.txt", "a.txt"), strict=True):
        told = "".join(message.stable + message.text for message in prompt)
        assert TEXTS[own] in told and TEXTS[other] not in told and "Does it renew?" in told
    assert list(leaves[0].to_row()) == ["library", "document", "found", "answer", "place", "quote"]


def test_a_quote_is_the_documents_own_at_its_place() -> None:
    leaves, _ = run([("renews", reply(True, "each year", "RENEWS  each\nyear."))])
    citation = leaves[0].citation
    assert citation is not None and citation.quote == "renews each year" and citation.page == 3
    assert TEXTS["a.txt"][citation.start - 100 : citation.end - 100] == citation.quote
    assert not leaves[0].dropped


def test_an_invented_quote_is_dropped_and_counted() -> None:
    leaves, _ = run([("renews", reply(True, "each year", "renews every second year"))])
    assert leaves[0].found and leaves[0].citation is None and leaves[0].dropped
    assert leaves[0].to_row()["quote"] == ""


def test_what_is_no_answer_in_the_shape_counts_as_nothing_found() -> None:
    for text in ("not json", '{"found": true', "[]", '{"found": true, "answer": "x"}', '"text"', ""):
        leaves, _ = run([("", text)], ["a.txt"])
        assert [(leaf.found, leaf.citation) for leaf in leaves] == [(False, None)], text


def test_nothing_found_shows_no_answer_whatever_was_written() -> None:
    leaves, _ = run([("", reply(False, "maybe", "renews each year"))], ["a.txt"])
    assert (leaves[0].answer, leaves[0].citation) == ("", None)


def test_stopped_it_ends_with_what_there_is() -> None:
    leaves, _ = run([], stop_at=1)
    assert len(leaves) == 1
    text, _ = survey.join(leaves, 3)
    assert "2 were not asked" in text


def test_code_counts_and_numbers_the_quotes() -> None:
    leaves, _ = run(
        [("renews", reply(True, "each year", "renews each year")), ("May", reply(True, "no, ends", "in May"))]
    )
    text, citations = survey.join(leaves, 3)
    assert text.splitlines()[0].startswith("2 of 3 ")
    assert "a.txt: each year [1]" in text and "b.txt: no, ends [2]" in text and "c.txt" in text.splitlines()[-1]
    assert [citation.marker for citation in citations] == [1, 2]
    assert survey.join([], 0)[1] == ()
