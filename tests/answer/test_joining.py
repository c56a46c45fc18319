"""What documents say, joined: code counts, turns round, compares and sorts; every document considered is named."""

from __future__ import annotations

from typing import Any

from localrag.answer.survey import Asked, join
from localrag.items.item import Finding
from localrag.question.each import document_question
from localrag.types import Citation, Document


def said(path, state="found", answer="yes", quote=""):
    citation = Citation("papers", path, 3, None, "p. 3", quote, 0, len(quote), 0) if quote else None
    pair: Any = (None, Document(1, "/root", path, "", "", 1, 1, 1, 1, False))
    return Asked(pair, Finding(state, answer=answer if state == "found" else "", citation=citation))


def test_those_that_say_yes_are_counted_and_their_quotes_numbered():
    asked = [said("a.txt", quote="renews"), said("b.txt", "absent"), said("c.txt", quote="is renewed")]
    joined = join(document_question("How many leases renew?"), asked, 3)
    assert joined.text.splitlines() == [
        "2 of 3 leases answer “Does this lease renew?” with yes.",
        "- a.txt: yes [1]",
        "- c.txt: yes [2]",
        "",
        "Nothing found in: b.txt.",
    ]
    assert [citation.marker for citation in joined.citations] == [1, 2] and joined.found
    assert [one.name for one in joined.rows] == ["a.txt", "c.txt", "b.txt"]


def test_an_answer_that_no_words_support_counts_neither_way():
    unsure = said("b.txt", "unsure")
    for question, others in (("Who is the tenant?", "a.txt"), ("Which leases do not allow pets?", "c.txt")):
        joined = join(document_question(question), [said("a.txt", quote="pets"), unsure, said("c.txt", "absent")], 3)
        assert joined.text.startswith("1 of 3") and f"- {others}" in joined.text and "- b.txt" not in joined.text
        assert "Unsure, since no words support the answer: b.txt." in joined.text and "in: b.txt" not in joined.text


def test_a_negated_question_lists_the_documents_without_it():
    asked = [said("a.txt", quote="pets are welcome"), said("b.txt", "absent")]
    joined = join(document_question("Which leases do not allow pets?"), asked, 2)
    assert joined.text.startswith("1 of 2 leases: nothing was found") and joined.found
    assert "- b.txt" in joined.text and "It was found in: a.txt." in joined.text
    assert [one.name for one in joined.rows] == ["b.txt", "a.txt"]


def test_stopped_it_says_how_many_were_not_asked():
    joined = join(document_question("Which leases renew?"), [said("a.txt")], 40)
    assert joined.text.startswith("1 of 40 documents were asked. 1 of 1 lease answer")


def test_the_greatest_comes_first_whatever_unit_it_is_written_in():
    asked = [
        said("a.txt", answer="90 days"),
        said("b.txt", answer="six months"),
        said("c.txt", answer="1 week"),
        said("d.txt", answer="reasonable notice"),
        said("e.txt", "absent"),
    ]
    joined = join(document_question("Which contract has the longest notice period?"), asked, 5)
    assert joined.text.startswith("b.txt comes first: 3 of 5 contracts could be compared")
    assert [row.name for row in joined.rows] == ["b.txt", "a.txt", "c.txt", "d.txt", "e.txt"]
    assert "not comparable: d.txt (reasonable notice)" in joined.text
    joined = join(document_question("Which contract has the shortest notice period?"), asked, 5)
    assert joined.text.startswith("c.txt comes first")


def test_a_value_is_read_from_the_quote_where_the_answer_has_none():
    asked = [said("a.txt", answer="see quote", quote="ninety (90) days"), said("b.txt", answer="10 days")]
    joined = join(document_question("Which contract has the longest notice period?"), asked, 2)
    assert joined.text.startswith("a.txt comes first: 2 of 2")


def test_amounts_in_different_currencies_are_not_compared():
    asked = [said("a.txt", answer="EUR 100"), said("b.txt", answer="EUR 90"), said("c.txt", answer="$95")]
    joined = join(document_question("Which contract has the highest fee?"), asked, 3)
    assert joined.text.startswith("a.txt comes first: 2 of 3") and "not comparable: c.txt ($95)" in joined.text


def test_only_those_within_the_limit_count():
    asked = [said("a.txt", answer="90 days", quote="90 days"), said("b.txt", answer="30 days"), said("c.txt", "absent")]
    joined = join(document_question("Which contracts have a notice period of more than 60 days?"), asked, 3)
    assert joined.text.startswith("1 of 3 contracts: more than 60 days, asked as")
    assert "- a.txt: 90 days [1]" in joined.text and "Not within the limit: b.txt (30 days)" in joined.text
    assert len(joined.citations) == 1


def test_none_asked_is_an_answer_too():
    joined = join(document_question("Which leases renew?"), [], 0)
    assert not joined.found and joined.citations == ()


def test_stopped_before_the_first_answer_nothing_is_said_of_the_documents():
    joined = join(document_question("Which contracts renew?"), [], 5)
    assert joined.text == "0 of 5 documents were asked." and not joined.found
