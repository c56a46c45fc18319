"""The table of a survey: its columns, its order by what cells are worth, its filter, and the source of each row."""

import pytest

from localrag.answer.survey_table import Results, has_table, matching, ordered, title, without_rows
from localrag.types import Answer, Citation, NotRead, Plan


def row(document, answer="", **more):
    found = bool(answer)
    given = {"library": "c", "document": document, "found": found, "answer": answer, "place": "p. 1" if found else ""}
    return {**given, "quote": answer and f"it is {answer}", "read": "whole", "likelihood": 0.9, "why_not": "", **more}


def results(*rows):
    made = Results("How long?")
    for one in rows:
        made.add(one)
    return made


def by(column, *rows, descending=False):
    return [line.cells["document"] for line in ordered(results(*rows).lines, column, descending=descending)]


def survey(*rows, **more):
    return Answer("How long?", "2 of 3 …\n- a: 3", True, Plan("survey", "all"), table=rows, **more)


def test_columns_are_those_that_a_person_reads():
    made = results(row("a.pdf", "3 days"), row("b.pdf", why_not="not in it"))
    assert made.columns == ("document", "answer", "quote", "place", "why_not")
    assert [title(name) for name in made.columns] == ["document", "answer", "quote", "page", "why not"]


def test_fields_stand_in_the_place_of_the_answer_that_repeats_them():
    made = results(row("a.pdf"), row("b.pdf", "rent: 5", rent="5", term_of_notice=""))
    assert made.columns == ("document", "rent", "term_of_notice", "quote", "place", "why_not")


def test_the_library_is_a_column_where_there_are_several():
    assert results(row("a", "1"), row("b", "1", library="d")).columns[0] == "library"


def test_each_field_of_an_extraction_has_its_source_whatever_it_is_called():
    at = {"quote": "Start: 2024", "place": "p. 2", "page": 2, "start": 3, "end": 14}
    given = {"library": "c", "document": "a.pdf", "answer": "x", "found": False, "start": "2024"}
    made = results({**given, "sources": {"start": at}}, {"library": "c", "document": "b.pdf"})
    assert made.columns == ("document", "answer", "found", "start") and made.lines[0].cells["found"] == "no"
    cited = made.lines[0].sources["start"]
    assert made.lines[0].source == cited and (cited.quote, cited.page, cited.start) == ("Start: 2024", 2, 3)


def test_the_rows_of_a_count_are_a_table_too():
    made = results({"library": "c", "document": "a", "count": 12, "places": ["p. 1", "p. 9"]})
    assert made.columns == ("document", "count", "places") and made.lines[0].cells["places"] == "p. 1, p. 9"


@pytest.mark.parametrize(
    ("small", "middle", "large"),
    [
        ("2", "10", "1,000"),
        ("30 days", "six months", "2 years"),
        ("1 March 2019", "2020-02-01", "May 5, 2021"),
        ("EUR 900", "EUR 48,000", "EUR 1 million"),
        ("5 %", "10.5 %", "100%"),
    ],
)
def test_a_column_is_sorted_by_what_its_cells_are_worth(small, middle, large):
    rows = [row("m", middle), row("l", large), row("s", small)]
    assert by("answer", *rows) == ["s", "m", "l"]
    assert by("answer", *rows, descending=True) == ["l", "m", "s"]


def test_digits_in_names_and_places_count_as_numbers():
    rows = [row("a10.pdf", "x", place="p. 12"), row("a2.pdf", "x", place="p. 3"), row("A1.pdf", "x", place="p. 100")]
    assert by("document", *rows) == ["A1.pdf", "a2.pdf", "a10.pdf"]
    assert by("place", *rows) == ["a2.pdf", "a10.pdf", "A1.pdf"]


def test_what_is_empty_stands_last_whichever_way_it_is_sorted():
    rows = [row("none"), row("b", "2", place="p. 2"), row("a", "1", place="p. 1")]
    assert by("place", *rows) == ["a", "b", "none"] and by("place", *rows, descending=True) == ["b", "a", "none"]


def test_what_cannot_be_compared_stands_behind_what_can():
    rows = [row("words", "on demand"), row("b", "60 days"), row("a", "30 days"), row("money", "EUR 5")]
    assert by("answer", *rows)[:2] == ["a", "b"]


def test_dates_of_files_are_sorted_as_dates():
    rows = [{"document": "b", "date": "2024-11-02T10:00:00+01:00"}, {"document": "a", "date": "2024-02-01"}]
    assert by("date", *rows) == ["a", "b"]


def test_the_filter_wants_each_word_in_any_cell():
    lines = results(row("Lease.pdf", "30 days"), row("msa.pdf", "30 days"), row("lease2.pdf", "a year")).lines
    assert [line.cells["document"] for line in matching(lines, "LEASE days")] == ["Lease.pdf"]
    assert matching(lines, "  ") == list(lines)


def test_a_row_knows_where_its_quote_stands():
    (line,) = results(row("a.pdf", "3", page=12, start=5, end=12, place="p. 12")).lines
    assert line.source == Citation("c", "a.pdf", 12, None, "p. 12", "it is 3", 5, 12, 0)
    assert results(row("a.pdf")).lines[0].source is None


def test_the_citation_of_the_answer_is_taken_where_it_has_one():
    cited = Citation("c", "a.pdf", 1, "i", "p. 1", "it is 3", 5, 12, 7)
    made = results(row("a.pdf", "3", page=1, start=5, end=12))
    made.settle(survey(row("a.pdf", "3", page=1, start=5, end=12), citations=(cited,)))
    assert made.lines[0].source == cited and made.complete


def test_the_row_of_a_count_leads_to_the_first_place_in_its_document():
    cited = Citation("c", "a.pdf", 3, None, "p. 3", "word", 0, 4, 1)
    made = results()
    made.settle(survey({"library": "c", "document": "a.pdf", "count": 2}, citations=(cited,)))
    assert made.lines[0].source == cited


def test_documents_that_were_not_asked_have_a_row_that_says_so():
    made = results()
    left = (NotRead("c", "b.pdf", "not asked, the survey was stopped: all of it"), NotRead("c", "a.pdf", "no text", 3))
    made.settle(survey(row("a.pdf", "3"), not_read=left))
    assert [line.cells["document"] for line in made.lines] == ["a.pdf", "b.pdf"]
    assert made.lines[1].cells["why_not"].startswith("not asked")


def test_summaries_are_no_table_and_its_lines_are_not_told_twice():
    assert has_table(survey(row("a", "3"))) and not has_table(survey(row("a", "x" * 300)))
    assert without_rows("Two do.\n- a: 3\nNothing in b.") == "Two do.\nNothing in b."


@pytest.mark.parametrize(
    ("answer", "more", "shown"),
    [
        ("yes", {"likelihood": 0.61}, "yes (61 %)"),
        ("30 days", {"likelihood": 0.61}, "30 days"),
        ("no", {"found": False, "likelihood": 0.2}, "no"),  # the document denies it, as its quote shows
        ("", {"likelihood": 0.47, "why_not": "only 47% likely that it says so"}, "nothing found (47 %)"),
        ("", {"likelihood": 0.47, "why_not": "unsure: the quote denies it"}, "unclear (47 %)"),
        ("", {"likelihood": None, "why_not": "not in it"}, "nothing found"),
    ],
)
def test_an_answer_says_how_likely_its_document_says_so(answer, more, shown):
    assert results(row("a.pdf", answer, **more)).lines[0].cells["answer"] == shown
