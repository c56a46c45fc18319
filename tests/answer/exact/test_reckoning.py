"""What code finds in documents: every place is there, the quick way and the slow way find the same, and what was done is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from localrag.answer.exact import parsing, reckoning, shelving
from localrag.answer.exact.shelving import Pairs, Reckoned
from localrag.answer.exact.tasks import Listing, Task, Term
from localrag.search import filters
from localrag.store.library import Library
from localrag.store.writer import Editor
from localrag.types import EVERYTHING, Filter

Shelf = Callable[..., Editor]
Put = Callable[..., None]

LEASE = "Lease of Orlo House. Notice is given in writing.\nThe tenant’s non-compete ends on 3 March 2024. Rent: EUR 1,250.50."
HANDBOOK = [
    "Notice of leave: three days’ notice. See 12.3.",
    "Nothing here.",
    "INV-2024-0117 and INV 2024 0117; pay DE44 5001 0517 5407 3249 31",
]
MAIL = "From jane.doe@example.com: notices, denotice, don't. Jane.Doe@example.com. EUR 20 on 2023-01-09."


@pytest.fixture
def library(shelf: Shelf, put: Put) -> Editor:
    made = shelf("papers", {"leases/Orlo lease.txt": LEASE, "people/handbook.pdf": HANDBOOK})
    put(made, "mails/hello.eml", MAIL, date="2024-05-01T09:00:00")
    put(made, "mails/old.eml", "Nothing of note.", date="2023-02-01")
    return made


def pairs(*libraries: Library, only: Filter = EVERYTHING) -> Pairs:
    return filters.chosen(list(libraries), only).documents


def ask(question: str, *libraries: Library, only: Filter = EVERYTHING) -> Reckoned:
    task = parsing.parse(question)
    assert task is not None
    done = reckoning.answer(task, pairs(*libraries, only=only), only)
    for citation in done.citations:
        page = next(
            p
            for lib in libraries
            for d in lib.documents([citation.document])
            for p in lib.pages(d.id)
            if lib.name == citation.library and p.number == citation.page
        )
        assert page.text[citation.start : citation.end] == citation.quote
    return done


def test_a_word_is_counted_with_its_pages(library: Editor) -> None:
    done = ask('How many times does "notice" occur?', library)
    assert done.text.splitlines() == [
        "“notice” occurs 3 times in 2 of 4 documents.",
        "- leases/Orlo lease.txt: 1",
        "- people/handbook.pdf: 2 (p. 1 (2))",
    ]
    assert [dict(row) for row in done.rows] == [
        {"library": "papers", "document": "leases/Orlo lease.txt", "count": 1, "places": ""},
        {"library": "papers", "document": "people/handbook.pdf", "count": 2, "places": "p. 1 (2)"},
    ]
    assert done.found and len(done.citations) == 3 and not done.stopped


def test_a_document_that_the_question_names_is_looked_in_alone(library: Editor) -> None:
    assert (
        ask('How many times does "notice" occur in the Orlo lease?', library).text
        == "“notice” occurs 1 time in leases/Orlo lease.txt."
    )
    assert (
        ask('Find "notice" in handbook.pdf', library).text
        == "“notice” occurs 2 times in people/handbook.pdf (p. 1 (2))."
    )
    assert ask('Find "unicorn" in the lease', library).text.startswith(
        "“unicorn” stands nowhere in leases/Orlo lease.txt."
    )


def test_a_question_that_names_no_document_here_is_not_for_code(library: Editor) -> None:
    def settled(question: str) -> Task | None:
        task = parsing.parse(question)
        assert task is not None
        return reckoning.settled(task, pairs(library))

    assert (
        settled("How many words does the Tess contract have?") is None
        and settled('Find "x" in the Tess contract') is None
    )
    assert settled("How many words does the Orlo lease have?") and settled("list the documents") and settled("1 + 1")
    task = parsing.parse("How many words does the Tess contract have?")
    assert task is not None
    done = reckoning.answer(task, pairs(library), EVERYTHING)
    assert not done.found and done.text.startswith("No document is called “Tess contract”.")


def test_which_documents_hold_a_word_and_which_do_not(library: Editor) -> None:
    done = ask("Which documents mention 'notice'?", library)
    assert done.text.startswith("“notice” stands in 2 of 4 documents, 3 times in all.")
    done = ask('Which documents do not mention "notice"?', library)
    assert [row["document"] for row in done.rows] == ["mails/hello.eml", "mails/old.eml"] and not done.citations
    assert not ask('Which documents mention "unicorn"?', library).found


def test_an_identifier_is_found_in_other_groupings_and_they_are_told(library: Editor) -> None:
    done = ask("Find invoice number INV-2024-0117", library)
    assert (
        done.text.splitlines()[0]
        == "Invoice number “INV-2024-0117” stands 2 times in 1 of 4 documents. It is also written “INV 2024 0117”."
    )
    assert ask("find DE44500105175407324931", library).rows[0]["places"] == "p. 3"
    assert (
        ask("find INV-2024-0118", library).text
        == "“INV-2024-0118” stands nowhere in 4 documents, however it is grouped."
    )


def test_all_of_a_kind_are_listed_once_each_with_their_places(library: Editor) -> None:
    done = ask("list all e-mail addresses", library)
    assert done.text.splitlines()[:2] == [
        "1 different e-mail address in 4 documents, at 2 places.",
        "- jane.doe@example.com (2 times: mails/hello.eml)",
    ]
    dates = ask("list all dates", library)
    assert [(row["value"], row["written"]) for row in dates.rows] == [
        ("2023-01-09", "2023-01-09"),
        ("2024-03-03", "3 March 2024"),
    ]
    assert [row["value"] for row in ask("list all amounts", library).rows] == ["20 EUR", "1,250.50 EUR"]
    assert ask("list all IBANs", library).rows[0]["places"] == "people/handbook.pdf p. 3"
    assert (
        ask("list all phone numbers in the lease", library).text
        == "There are no telephone numbers in leases/Orlo lease.txt."
    )


def test_only_the_pages_asked_for_are_looked_at(library: Editor) -> None:
    only = Filter(pages=(2, 3))
    done = ask('How many times does "notice" occur?', library, only=only)
    assert not done.found and "(only on the pages asked for)" in done.text
    assert ask("How many pages are there in total?", library, only=only).text == "people/handbook.pdf has 2 pages."


def test_words_characters_and_pages_are_counted(library: Editor) -> None:
    assert ask("How many pages does the handbook have?", library).text == "people/handbook.pdf has 3 pages."
    assert ask("How many words does the Orlo lease have?", library).text.startswith(
        "leases/Orlo lease.txt has 20 words."
    )
    assert ask("How many characters are in hello.eml?", library).rows[0]["characters"] == len(MAIL)
    assert (
        ask("How many pages does the Orlo lease have?", library).text
        == "leases/Orlo lease.txt is of a kind that has no pages."
    )
    total = ask("How many pages are there in total?", library).text.splitlines()
    assert total[0] == "4 documents have 3 pages in all. 3 documents of a kind without pages count for none."


def test_documents_are_listed_sorted_and_counted(library: Editor) -> None:
    def order(question: str) -> list[str]:
        return [row["document"].rpartition("/")[2] for row in ask(question, library).rows]

    assert order("list the documents") == ["Orlo lease.txt", "hello.eml", "old.eml", "handbook.pdf"]
    assert order("list the documents by date") == ["hello.eml", "old.eml", "Orlo lease.txt", "handbook.pdf"]
    assert order("list the documents, oldest first") == ["old.eml", "hello.eml", "Orlo lease.txt", "handbook.pdf"]
    assert order("what is the newest document?") == ["hello.eml"] and order("shortest document") == ["old.eml"]
    assert order("documents from 2023") == ["old.eml"] and order("list the PDFs") == ["handbook.pdf"]
    told = ask("What is the newest document?", library).text
    assert told.startswith("The newest of 4 documents:\nOf 2 documents no date is known; they are not compared.")
    assert ask("documents from 2019", library).text.startswith("Documents that are dated 2019: none of 4.")


def test_what_a_plain_noun_counts_is_said(library: Editor) -> None:
    assert ask("How many documents are there?", library).text == "There are 4 documents."
    assert ask("How many leases are there?", library).text.splitlines() == [
        "There are 4 documents.",
        "“leases” is read as all documents, since code cannot tell what each of them is. 1 of them has the word in path or title.",
    ]


def test_documents_of_one_day_are_told_beside_the_newest(library: Editor, put: Put) -> None:
    put(library, "mails/same day.eml", "Something else.", date="2024-05-01T17:00:00")
    assert "1 more document is of the same date." in ask("What is the newest document?", library).text


def test_it_ends_when_it_is_stopped(library: Editor) -> None:
    calls = iter([False, False, True])
    done = reckoning.answer(Term("notice"), pairs(library), EVERYTHING, lambda: next(calls, True))
    assert done.stopped and "stopped" in done.text
    assert reckoning.answer(Term("notice", "without"), pairs(library), EVERYTHING, lambda: True).stopped


def test_equal_paths_of_two_libraries_are_kept_apart(library: Editor, shelf: Shelf) -> None:
    other = shelf("more", {"leases/Orlo lease.txt": "notice notice"})
    done = ask('How many times does "notice" occur?', library, other)
    assert [(row["library"], row["count"]) for row in done.rows] == [("papers", 1), ("papers", 2), ("more", 2)]


ODD = (
    "Don't O’Brien l'avocat café cafe\u0301 ﬁrst STRASSE Straße 1,234.50 12.5 10-K FY2018 ChangeOfControl non-compete U.S. and/or "
    "foo_notice C++ § 4.2(b) x naïve «Préavis» 合同 notice中文 re-\nentry İstanbul ſo Kelvin $5 a.b e-mail@x.org 3rd the the"
)


@pytest.mark.parametrize(
    "term",
    [
        "don", "don't", "O'Brien", "Brien", "avocat", "cafe", "café", "first", "ﬁrst", "strasse", "straße", "234", "1,234", "12", "12.5", "10-K",
        "FY2018", "2018", "control", "compete", "non-compete", "U.S.", "and/or", "notice", "C++", "§", "4.2(b)", "x", "naive", "naïve", "préavis",
        "合同", "entry", "istanbul", "so", "kelvin", "$5", "a.b", "mail", "3rd", "the", "the the", "unicorn", "Straße 1,234.50", "foo_notice",
    ],
)  # fmt: skip
def test_the_full_text_leads_to_the_same_places_as_reading_all(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    filler = {f"{n}.txt": f"Something else entirely, number {n}." for n in range(8)}
    made = shelf(
        "odd", {"odd.txt": ODD, "pages.pdf": ["nothing", ODD.replace(" ", "\n"), "The notice, the end."], **filler}
    )
    quick = reckoning.answer(Term(term), pairs(made), EVERYTHING)
    monkeypatch.setattr(reckoning, "pages_with", lambda library, runs: None)
    assert quick == reckoning.answer(Term(term), pairs(made), EVERYTHING)


def test_only_pages_that_can_hold_a_word_are_read(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    made = shelf("many", {f"{n}.txt": f"The word{n} stands here alone." for n in range(20)})
    read: list[int] = []
    own = Library.page_text

    def counted(self: Library, document: int, position: int) -> str:
        read.append(document)
        return own(self, document, position)

    monkeypatch.setattr(Library, "page_text", counted)
    assert reckoning.answer(Term("word7"), pairs(made), EVERYTHING).found and len(read) == 1


def test_a_name_is_looked_up_in_paths_and_titles_before_first_lines(shelf: Shelf, put: Put) -> None:
    texts = {"b.txt": "Deed of Tess, a lease", "c.txt": "In English.", "d/ADAMSGOLFINC_2005-AGREEMENT.txt": "-"}
    made = shelf("names", {"a/Orlo lease.pdf": ["Lease"], **texts})
    put(made, "d.txt", "text", title="Employee Handbook")

    def called(name: str) -> list[str]:
        return [document.path for _, document in shelving.called(pairs(made), name)]

    assert called("Orlo lease") == ["a/Orlo lease.pdf"] and called("orlo lease.pdf") == ["a/Orlo lease.pdf"]
    assert (
        called("Adams Golf agreement") == ["d/ADAMSGOLFINC_2005-AGREEMENT.txt"] and called("Tess Golf agreement") == []
    )
    assert called("handbook") == ["d.txt"] and called("Tess lease") == ["b.txt"] and called("English") == []


def test_a_long_answer_is_cut_and_its_table_is_whole(shelf: Shelf) -> None:
    made = shelf("long", {f"{n:03}.txt": "notice " * 2 + str(n) for n in range(60)})
    done = ask('How many times does "notice" occur?', made)
    lines = done.text.splitlines()
    assert len(done.rows) == 60 and lines[-2:] == ["and 10 more, which the table has.", "20 places of 120 are cited."]
    assert len(reckoning.answer(Listing("list documents"), pairs(made), EVERYTHING).rows) == 60


def test_nothing_in_a_row_is_more_than_plain_values(library: Editor) -> None:
    questions = [
        "list all dates",
        'find "notice"',
        "list the documents",
        "How many words are there in total?",
        "find INV-2024-0117",
    ]
    rows: list[Any] = [value for question in questions for row in ask(question, library).rows for value in row.values()]
    assert rows and all(value is None or isinstance(value, str | int) for value in rows)
