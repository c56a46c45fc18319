import pytest
from hostile import LONG, texts

from localrag.question.lookup import read
from localrag.search.ranking import row_fit, row_labels

TABLE = """| | 2023 | 2022 |
| --- | --- | --- |
| Net sales | 1,200 | 1,100 |
| Gross margin | 36% | 34% |
| Gross margin of the segment in Europe before other items | 4 | 3 |
| Total |  |  |
| 2021 | 5 | 6 |
No row, though it holds | bars and 5 |"""


def fit(question, text=TABLE, spoken="english"):
    return row_fit(text, read(question, [spoken]).groups, spoken)


def test_the_label_is_the_first_cell_of_a_row_with_figures():
    assert list(row_labels(TABLE)) == [
        "Net sales",
        "Gross margin",
        "Gross margin of the segment in Europe before other items",
    ]


def test_a_label_that_says_all_that_is_asked_and_no_more_fits_wholly():
    assert fit("What was the gross margin?") == 1.0
    assert fit("What were the net sales?") == 1.0


def test_a_label_that_says_more_or_less_fits_less():
    assert 0 < fit("What was the gross margin of the year for shareholders?") < 1
    only_long = "| Gross margin of the segment in Europe before other items | 4 |"
    assert fit("What was the gross margin?", only_long) == 0
    assert fit("What was the gross margin of Europe?", only_long) < 0.8


def test_nothing_fits_where_nothing_is_asked_or_no_row_is_there():
    assert row_fit(TABLE, (), "english") == 0
    assert fit("gross margin", "The gross margin was 36%.") == fit("gross margin", "") == 0
    assert fit("gross margin", "| Gross margin | high |") == 0


def test_common_words_of_a_label_do_not_count_in_its_own_language():
    german = "| Der Umsatz für die und aus der Sparte | 5 |"
    assert fit("Umsatz Sparte", german, "german") == 1.0


def test_any_text_and_any_question_fit_between_nothing_and_wholly():
    for text, question in zip(texts(8, 400), texts(9, 400), strict=True):
        row = f"| {text} | 5 |"
        groups = read(question, ["english", "german"]).groups
        for spoken in ("english", "german", ""):
            assert 0 <= row_fit(row, groups, spoken) <= 1
    for text in texts(10, 200):
        assert 0 <= row_fit(f"| {text} | 5 |", read(text, ["english"]).groups, "english") <= 1


@pytest.mark.parametrize("name", LONG)
def test_no_row_takes_more_than_its_length(name):
    row_fit(f"| {LONG[name]} | 3 |", (("leas",),), "english")
    row_fit("| a 1 |\n" * 20_000, (("leas",),), "english")
