"""Which documents a question mentions, and what it asks beside."""

import pytest
from hostile import texts

from localrag.question import naming
from localrag.question.lookup import read
from localrag.question.naming import Mentions

# Long enough for names to count; none of its words is asked for.
REST = "Filling sentences follow on every line of this text and they say very little. " * 130


def asked(library, question, *documents):
    only = [library.document(path).id for path in documents] if documents else None
    return naming.find(library, only, read(question, library.overview().languages))


def paths(library, ids):
    return sorted(document.path for document in library.documents() if document.id in ids)


@pytest.fixture
def filings(shelf, put):
    library = shelf("filings", {})
    for company in ("Apple", "Boeing", "Costco"):
        for year in (2018, 2019, 2020):
            text = f"Annual report of the company.\n\n{REST} The gross margin is told here by Zeppelin."
            put(library, f"{company}_{year}.pdf", text, title="", date=f"{year}-12-31")
    return library


def test_a_name_in_the_path_points_to_its_documents(filings):
    said = asked(filings, "What was the gross margin of Apple in 2019?")
    assert paths(filings, said.meant) == ["Apple_2019.pdf"]
    assert paths(filings, said.best(1)) == ["Apple_2019.pdf"]
    of_either = "Apple_2018.pdf Apple_2019.pdf Apple_2020.pdf Boeing_2019.pdf Costco_2019.pdf"
    assert paths(filings, said.best(5)) == of_either.split()


def test_several_named_alike_are_all_meant(filings):
    said = asked(filings, "How did the gross margin of Apple and of Boeing change?")
    assert [path[0] for path in paths(filings, said.meant)] == ["A"] * 3 + ["B"] * 3


@pytest.mark.parametrize("where", ["title", "beginning", "end"])
def test_a_document_is_called_by_its_title_and_first_lines_only(shelf, put, where):
    library = shelf("papers", {"other1.txt": REST, "other2.txt": REST + "More."})
    begin, end = ("Zeppelin Ltd\n\n" if where == "beginning" else ""), (" Zeppelin." if where == "end" else "")
    put(library, "that.txt", begin + REST + end, title="Lease of the Zeppelin" if where == "title" else "")
    said = asked(library, "What does the Zeppelin pay for rent and heating?")
    assert paths(library, said.meant) == ([] if where == "end" else ["that.txt"])


@pytest.mark.parametrize(
    "name, elsewhere, meant",
    [("Équi-Data", 0, True), ("O’Équi", 0, True), ("équi-data", 0, False), ("Équi-Data", 4, False)],
)
def test_what_a_library_writes_as_a_name_is_one_however_it_is_typed(shelf, put, name, elsewhere, meant):
    library = shelf("papers", {f"other{n}.txt": f"{REST}{n} {elsewhere * f'{name}. '}" for n in range(3)})
    for path in ("this.txt", "that.txt"):
        put(library, path, f"About {name}, {path}.\n\n{REST}", title="")
    said = asked(library, f"{name.lower()} late fee per month", "that.txt", "other1.txt")
    assert paths(library, said.meant) == (["that.txt"] if meant else [])
    assert (said.content and said.content.text) == ("late fee per month" if meant else None)


def test_a_word_that_nearly_all_are_called_by_tells_nothing(shelf):
    library = shelf("papers", {f"Acme {n}.txt": REST + str(n) for n in range(8)} | {"else.txt": REST})
    assert asked(library, "What does the contract of Acme say of heating?").meant == frozenset()


def test_the_names_of_what_is_meant_are_left_out_of_the_rest(filings):
    said = asked(filings, "What was the gross margin of Apple in 2019?")
    assert said.content is not None and said.content.groups == (("gross",), ("margin",))
    assert "Apple" not in said.content.text and "2019" not in said.content.text


def test_a_question_of_little_but_names_is_not_read_without_them(filings):
    assert asked(filings, "What about the Apple report of 2019?").content is None
    assert asked(filings, "What was the gross margin of the company?").content is None


def test_names_count_for_nothing_where_documents_are_as_short_as_passages(shelf):
    library = shelf("notes", {f"{name}.txt": f"A note on {name}." for name in ("Apple", "Boeing", "Costco")})
    said = asked(library, "What was the gross margin of Apple?")
    assert said.meant == frozenset() and said.content is None


def test_of_one_document_nothing_is_told(filings, shelf):
    nothing = Mentions()
    for said in (asked(filings, "Apple in 2019, latest", "Apple_2019.pdf"), asked(shelf("none", {}), "Apple")):
        assert (said.meant, said.newest, said.content, said.best(9)) == (nothing.meant, nothing.newest, None, [])
        assert said.share(1) == 0


def test_only_documents_that_are_searched_are_named(filings):
    said = asked(
        filings, "the latest gross margin of Apple in 2019", "Boeing_2018.pdf", "Apple_2018.pdf", "Boeing_2019.pdf"
    )
    allowed = {"Boeing_2018.pdf", "Apple_2018.pdf", "Boeing_2019.pdf"}
    assert {*paths(filings, said.meant), *paths(filings, said.newest), *paths(filings, said.best(99))} <= allowed


def test_the_latest_is_that_of_those_named(filings):
    assert paths(filings, asked(filings, "What does the latest Apple filing say?").newest) == ["Apple_2020.pdf"]
    assert paths(filings, asked(filings, "What do the latest filings say?").newest) == [
        "Apple_2020.pdf",
        "Boeing_2020.pdf",
        "Costco_2020.pdf",
    ]
    assert asked(filings, "What does the Apple filing say?").newest == frozenset()


def test_a_document_without_a_date_is_never_the_latest(filings, put, shelf):
    put(filings, "Apple_undated.pdf", REST)
    assert paths(filings, asked(filings, "the latest Apple filing").newest) == ["Apple_2020.pdf"]
    undated = shelf("undated", {"a.txt": REST, "b.txt": REST + "."})
    assert asked(undated, "the latest filing").newest == frozenset()


def test_any_question_names_each_document_by_a_share(filings):
    for question in (*texts(12, 100), "Apple 2018 Boeing 2019 Costco 2020 latest", "Apple " * 500):
        said = asked(filings, question)
        assert all(0 <= said.share(document.id) <= 1.0001 for document in filings.documents())
        assert said.meant <= {document.id for document in filings.documents()}
        assert said.content is None or len(said.content.groups) >= 2
