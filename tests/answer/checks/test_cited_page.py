"""The page of a citation: its tables in columns."""

import pytest

from localrag.answer.checks.cited_page import in_columns

TABLE = "Sales\n| (thousands) | 2021 | 2020 |\n| --- | --- | --- |\n| Net sales | $1,240 | $1,000 |\n| Goods |  | (80) |\nend"


def test_a_table_stands_in_columns_with_figures_to_the_right():
    shown, _ = in_columns(TABLE, 60)
    assert shown.split("\n") == [
        "Sales",
        "(thousands)    2021    2020",
        "───────────────────────────",
        "Net sales    $1,240  $1,000",
        "Goods                  (80)",
        "end",
    ]


def test_each_word_is_found_again_where_it_stands_then():
    shown, places = in_columns(TABLE, 60)
    assert len(places) == len(TABLE) + 1 and list(places) == sorted(places) and places[-1] == len(shown)
    for word in ("Sales", "2020", "$1,240", "(80)", "end"):
        at = TABLE.index(word)
        assert shown[places[at] : places[at + len(word)]].strip() == word
    row = "| Net sales | $1,240 | $1,000 |"
    at = TABLE.index(row)
    assert shown[places[at] : places[at + len(row)]] == "Net sales    $1,240  $1,000"


@pytest.mark.parametrize(
    "text", ["", "|", "| |", "||", "|a", "| a | b", "\n\n", "| --- |", "| a |\n| b | c | d |", "no table"]
)
def test_any_text_keeps_its_words_and_order(text):
    shown, places = in_columns(text, 60)
    assert len(places) == len(text) + 1 and list(places) == sorted(places) and places[-1] <= len(shown)
    assert [word for word in text.replace("|", " ").split() if word != "---"] == shown.replace("─", "").split()


def test_words_divided_by_other_spaces_than_a_plain_one_are_not_broken():
    table = "| 品目 | 説明 |\n|---|---|\n| A | " + "あ\u3000い" * 30 + " |"
    assert in_columns(table, 40, wrap=True)[0] == table


def test_a_wide_table_stays_as_it_was_read():
    assert in_columns(TABLE, 20) == (TABLE, list(range(len(TABLE) + 1)))
