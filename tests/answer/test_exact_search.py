"""Words, identifiers and documents are found by code with all their places."""

from __future__ import annotations

import pytest

from localrag.answer import exact_search as search
from localrag.items import facts
from localrag.question.exact import DocumentList, TermSearch, parse
from localrag.search import filters
from localrag.store.library import Library
from localrag.types import EVERYTHING, Filter

LEASE = "Lease of Orlo House. Notice is given in writing.\nThe tenant’s non-compete ends on 3 March 2024. Rent: EUR 1,250.50."
HANDBOOK = [
    "Notice of leave: three days’ notice. See 12.3.",
    "Nothing here.",
    "INV-2024-0117 and INV 2024 0117; pay DE44 5001 0517 5407 3249 31",
]
MAIL = "From jane.doe@example.com: notices, denotice, don't. Jane.Doe@example.com. EUR 20 on 2023-01-09."


@pytest.fixture
def library(shelf, put):
    made = shelf("papers", {"leases/Orlo lease.txt": LEASE, "people/handbook.pdf": HANDBOOK})
    put(made, "mails/hello.eml", MAIL, date="2024-05-01T09:00:00")
    put(made, "mails/old.eml", "Nothing of note.", date="2023-02-01")
    return made


def pairs(*libraries, only=EVERYTHING):
    return filters.chosen(list(libraries), only).documents


def ask(question, *libraries, only=EVERYTHING):
    task = parse(question)
    assert task is not None
    done = search.run(task, pairs(*libraries, only=only), only)
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


def test_a_word_is_counted_with_its_pages(library):
    done = ask('How many times does "notice" occur?', library)
    assert "3 times in 2 of 4 documents" in done.text and done.found and len(done.citations) == 3 and not done.stopped
    assert [dict(row) for row in done.rows] == [
        {"library": "papers", "document": "leases/Orlo lease.txt", "count": 1, "places": ""},
        {"library": "papers", "document": "people/handbook.pdf", "count": 2, "places": "p. 1 (2)"},
    ]


def test_a_document_that_the_question_names_is_searched_alone(library):
    done = ask('How many times does "notice" occur in the Orlo lease?', library)
    assert [row["document"] for row in done.rows] == ["leases/Orlo lease.txt"]
    assert ask('Find "notice" in handbook.pdf', library).rows[0]["places"] == "p. 1 (2)"
    assert not ask('Find "unicorn" in the lease', library).found


def test_a_question_that_names_no_document_here_is_not_for_code(library):
    def applicable(question):
        task = parse(question)
        assert task is not None
        return search.applicable(task, pairs(library))

    assert not applicable('Find "x" in the Tess contract')
    assert applicable('Find "x" in the Orlo lease') and applicable("list the documents")
    assert not ask('Find "x" in the Tess contract', library).found


def test_which_documents_hold_a_word_and_which_do_not(library):
    assert "2 of 4 documents, 3 times" in ask("Which documents mention 'notice'?", library).text
    done = ask('Which documents do not mention "notice"?', library)
    assert [row["document"] for row in done.rows] == ["mails/hello.eml", "mails/old.eml"] and not done.citations
    assert not ask('Which documents mention "unicorn"?', library).found


def test_documents_are_called_by_their_titles_and_rows_keep_the_paths(shelf):
    long, short = f"leases/2024/{'scanned and signed ' * 3}.txt", "notes.txt"
    made = shelf("papers", {long: "LEASE OF ORLO HOUSE\n\nNotice is given.", short: "Notice: it rains."})
    facts.refresh(made)
    (title,) = made.titles([long, short]).values()
    for question, shown in (
        ("Which documents mention 'notice'?", f"- {title}: 1\n- notes.txt: 1"),
        ("Which documents do not mention 'unicorn'?", f"- {title}\n- notes.txt"),
        ("Find 'house' in the Orlo lease", f"occurs 1 time in {title}."),
        ("Find 'unicorn' in the scanned and signed lease", f"does not occur in {title}."),
        ("list the documents", f"- {title} (no date"),
    ):
        done = ask(question, made)
        assert shown in done.text and "scanned" not in done.text
        assert all(row.get("document_title") == (title if row["document"] == long else None) for row in done.rows)


def test_an_identifier_is_found_in_other_groupings(library):
    done = ask('Find "INV-2024-0117"', library)
    assert done.rows[0]["count"] == 2 and "“INV 2024 0117”" in done.text
    assert ask('find "DE44500105175407324931"', library).rows[0]["places"] == "p. 3"
    assert not ask('find "INV-2024-0118"', library).found


def test_only_the_pages_asked_for_are_searched(library):
    done = ask('How many times does "notice" occur?', library, only=Filter(pages=(2, 3)))
    assert not done.found and "only on the pages asked for" in done.text


def test_documents_are_listed_sorted_and_counted(library):
    def order(question):
        return [row["document"].rpartition("/")[2] for row in ask(question, library).rows]

    assert order("list the documents") == ["Orlo lease.txt", "hello.eml", "old.eml", "handbook.pdf"]
    assert order("list the documents by date") == ["hello.eml", "old.eml", "Orlo lease.txt", "handbook.pdf"]
    assert order("list the documents, oldest first") == ["old.eml", "hello.eml", "Orlo lease.txt", "handbook.pdf"]
    assert order("what is the newest document?") == ["hello.eml"]
    assert order("list the documents from 2023") == ["old.eml"] and order("list the PDFs") == ["handbook.pdf"]
    assert "2 documents have no known date" in ask("What is the newest document?", library).text
    assert not ask("list the documents from 2019", library).found
    assert ask("How many documents are there?", library).text == "There are 4 documents."


def test_the_reading_of_a_plain_noun_is_reported(library):
    assert "“leases”" in ask("How many leases are there?", library).text.splitlines()[1]


def test_documents_of_the_same_day_are_reported(library, put):
    put(library, "mails/same day.eml", "Something else.", date="2024-05-01T17:00:00")
    assert "1 more document" in ask("What is the newest document?", library).text


def test_it_ends_when_it_is_stopped(library):
    calls = iter([False, False, True])
    done = search.run(TermSearch("notice"), pairs(library), EVERYTHING, lambda: next(calls, True))
    assert done.stopped and "stopped" in done.text
    assert search.run(TermSearch("notice", "without"), pairs(library), EVERYTHING, lambda: True).stopped


def test_equal_paths_of_two_libraries_are_kept_apart(library, shelf):
    other = shelf("more", {"leases/Orlo lease.txt": "notice notice"})
    done = ask('How many times does "notice" occur?', library, other)
    assert [(row["library"], row["count"]) for row in done.rows] == [("papers", 1), ("papers", 2), ("more", 2)]


ODD = (
    "Don't O’Brien l'avocat café cafe\u0301 ﬁrst STRASSE Straße 1,234.50 12.5 10-K FY2018 ChangeOfControl non-compete U.S. and/or "
    "foo_notice C++ § 4.2(b) x naïve «Préavis» 合同 notice中文 re-\nentry İstanbul ſo Kelvin $5 a.b e-mail@x.org 3rd the the"
)
ODD_TERMS = (
    "don|don't|O'Brien|Brien|avocat|cafe|café|first|ﬁrst|strasse|straße|234|1,234|12|12.5|10-K|"
    "FY2018|2018|control|compete|non-compete|U.S.|and/or|notice|C++|§|4.2(b)|x|naive|naïve|préavis|"
    "合同|entry|istanbul|so|kelvin|$5|a.b|mail|3rd|the|the the|unicorn|Straße 1,234.50|foo_notice"
).split("|")


def test_the_full_text_leads_to_the_same_places_as_reading_all(shelf, monkeypatch):
    filler = {f"{n}.txt": f"Something else entirely, number {n}." for n in range(8)}
    odd = {"odd.txt": ODD, "pages.pdf": ["nothing", ODD.replace(" ", "\n"), "The notice, the end."]}
    made = shelf("odd", {**odd, **filler})
    quick = {term: search.run(TermSearch(term), pairs(made), EVERYTHING) for term in ODD_TERMS}
    monkeypatch.setattr(search, "pages_with", lambda library, runs: None)
    assert quick == {term: search.run(TermSearch(term), pairs(made), EVERYTHING) for term in ODD_TERMS}


def test_only_pages_that_can_hold_a_word_are_read(shelf, monkeypatch):
    made = shelf("many", {f"{n}.txt": f"The word{n} stands here alone." for n in range(20)})
    read: list[int] = []
    own = Library.page_text

    def counted(self, document, position):
        read.append(document)
        return own(self, document, position)

    monkeypatch.setattr(Library, "page_text", counted)
    assert search.run(TermSearch("word7"), pairs(made), EVERYTHING).found and len(read) == 1


def test_a_name_is_looked_up_in_paths_and_titles_before_first_lines(shelf, put):
    texts = {"b.txt": "Deed of Tess, a lease", "c.txt": "In English.", "d/ADAMSGOLFINC_2005-AGREEMENT.txt": "-"}
    made = shelf("names", {"a/Orlo lease.pdf": ["Lease"], **texts})
    put(made, "d.txt", "text", title="Employee Handbook")

    def called(name):
        return [document.path for _, document in search.named(pairs(made), name)]

    assert called("Orlo lease") == ["a/Orlo lease.pdf"] and called("orlo lease.pdf") == ["a/Orlo lease.pdf"]
    assert (
        called("Adams Golf agreement") == ["d/ADAMSGOLFINC_2005-AGREEMENT.txt"] and called("Tess Golf agreement") == []
    )
    assert called("handbook") == ["d.txt"] and called("Tess lease") == ["b.txt"] and called("English") == []


def test_what_follows_a_list_is_no_part_of_it(shelf):
    made = shelf("long", {"a.txt": "notice " * 15, "b.txt": "notice " * 15})
    done = ask('How many times does "notice" occur?', made)
    assert done.text.endswith("- b.txt: 15\n\n20 places of 30 are cited.")


def test_a_long_answer_is_cut_and_its_table_is_whole(shelf):
    made = shelf("long", {f"{n:03}.txt": "notice " * 2 + str(n) for n in range(60)})
    done = ask('How many times does "notice" occur?', made)
    assert len(done.rows) == 60 and len(done.text.split("\n\n")[0].splitlines()) == 51 and len(done.citations) == 20
    assert len(search.run(DocumentList("list"), pairs(made), EVERYTHING).rows) == 60


# --- where terms and identifiers are ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "term", "places"),
    [
        (
            "Notice, notices, NOTICE and denotice. 中文 notice's 👩🏽‍⚖️notice",
            "notice",
            ["Notice", "NOTICE", "notice", "notice"],
        ),
        ("Force\nmajeure and force  majeure, force-majeure", "force majeure", ["Force\nmajeure", "force  majeure"]),
        ("It’s so. It's so.", "it's", ["It’s", "It's"]),
        ("C++ and (C++), $5.00*", "C++", ["C++", "C++"]),
        ("a.b a-b axb", "a.b", ["a.b"]),
        ("non‑compete, non–compete, noncompete", "non-compete", ["non‑compete", "non–compete"]),
        ('the “Term” and the "Term" and the Term', 'the "Term"', ["the “Term”", 'the "Term"']),
        ("foo_notice notice_bar notice", "notice", ["notice"]),
        ("don't do it; I don", "don", ["don", "don"]),
        ("ha ha ha", "ha ha", ["ha ha"]),
        ("STRASSE Straße strasse", "straße", ["Straße"]),
        ("İstanbul and notice", "notice", ["notice"]),
        ("§ 4 and §4", "§", ["§", "§"]),
        ("anything", " ", []),
        ("anything", "", []),
        ("", "word", []),
    ],
)
def test_a_term_is_found_as_whole_words(text, term, places):
    assert [text[start:end] for start, end in search.find_term(text, term)] == places


@pytest.mark.parametrize(
    ("text", "identifier", "places"),
    [
        ("DE44 5001 0517 5407 3249 31", "DE44500105175407324931", ["DE44 5001 0517 5407 3249 31"]),
        (
            "DE44500105175407324931x DE4450-0105-1754-0732-4931",
            "de44 5001 0517 5407 3249 31",
            ["DE4450-0105-1754-0732-4931"],
        ),
        (
            "INV-2024-0117, INV 2024 0117, inv2024/0117, INV-2024-01178",
            "INV-2024-0117",
            ["INV-2024-0117", "INV 2024 0117", "inv2024/0117"],
        ),
        ("+49 30\n123456-78", "+49 30 12345678", ["+49 30\n123456-78"]),
        ("clause 4.1, 4.1.2, 14.1 and 4.1(b)", "4.1", ["4.1", "4.1"]),
        ("12 O 345/23 and 12O345/23", "12 O 345/23", ["12 O 345/23", "12O345/23"]),
        ("see page 12 345", "12345", []),  # too short to be grouped at will
        ("Jane.Doe@Example.com", "jane.doe@example.com", ["Jane.Doe@Example.com"]),
        ("anything", " - ", []),
    ],
)
def test_an_identifier_is_found_however_it_is_grouped(text, identifier, places):
    assert [text[start:end] for start, end in search.find_identifier(text, identifier)] == places


def test_the_full_text_is_asked_for_runs_of_letters():
    assert search.letter_runs("Force majeure") == ("majeure", "force") and search.letter_runs("Straße") == ("strasse",)
    assert search.letter_runs("§ 4") == search.letter_runs("C++") == search.letter_runs("合同") == ()


def test_a_cut_list_names_the_option_that_gives_all():
    assert "--out" in search.more([{}] * 100)[0] and search.more([{}]) == []
