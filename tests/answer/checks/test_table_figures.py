"""Figures that a model takes from tables: their scale is said, another period's is flagged."""

import pytest

from localrag.answer.checks import table_figures
from localrag.grounding.stages import Findings
from localrag.items import facts
from localrag.types import Citation, Plan

SALES = """Sales of Orlo, in thousands

| | 2021 | 2020 |
| --- | --- | --- |
| Bread | $600 | $500 |
| Share of bread | 60% | 64% |
| Cakes | $200 | $150 |
"""


@pytest.fixture
def check(shelf):
    library = shelf("mill", {"orlo.md": SALES})
    facts.refresh(library)
    (document,) = library.documents()
    (page,) = library.pages(document.id)

    def checked(answer, quote, question):
        start = page.text.index(quote)
        cited = Citation("mill", "orlo.md", 1, None, "p. 1", quote, start, start + len(quote), 1, unit=page.unit)
        found = Findings(f"{answer} [1].", True, Plan("retrieve", "", {}), citations=(cited,))
        return table_figures.check(found, question, [(library, document)])

    return checked


BREAD = "| Bread | $600 | $500 |"


def test_a_figure_gets_the_scale_of_its_table(check):
    found = check("Bread brought $600", BREAD, "How much did bread bring in 2021?")
    assert found.answer == "Bread brought $600 thousand [1]." and not found.flags


@pytest.mark.parametrize(
    "answer, quote",
    [("Bread brought $600 thousand", BREAD), ("Bread was 60%", "| Share of bread | 60% | 64% |")],
)
def test_a_figure_that_needs_no_scale_stays(check, answer, quote):
    assert check(answer, quote, "What was it in 2021?").answer == f"{answer} [1]."


def test_a_figure_of_another_year_is_flagged(check):
    found = check("Bread brought $500 thousand in 2021", BREAD, "How much did bread bring in 2021?")
    (flag,) = found.flags
    assert flag.kind == "amount" and "500" in flag.text and "2020" in flag.reason


def test_a_question_without_a_period_flags_nothing(check):
    assert not check("Bread brought $500 thousand", BREAD, "How much did bread bring?").flags


def test_a_figure_of_a_column_without_a_period_is_flagged_where_one_is_asked_for(check, shelf):
    library = shelf("staff", {"staff.md": "| | Hall | Yard |\n| --- | --- | --- |\n| Staff | 52 | 79 |\n"})
    facts.refresh(library)
    (document,) = library.documents()
    (page,) = library.pages(document.id)
    start = page.text.index("| Staff")
    cited = Citation("staff", "staff.md", 1, None, "p. 1", "| Staff | 52 | 79 |", start, start + 19, 1, unit=page.unit)
    found = Findings("The staff were 79 [1].", True, Plan("retrieve", "", {}), citations=(cited,))
    (flag,) = table_figures.check(found, "How many staff were there in 2016?", [(library, document)]).flags
    assert flag.text == "79"


def test_a_figure_of_another_row_than_the_question_names_is_flagged(check):
    share = "| Share of bread | 60% | 64% |"
    (flag,) = check(
        "Cakes brought $200 thousand", "| Cakes | $200 | $150 |", "What was the share of bread in 2021?"
    ).flags
    assert flag.text == "$200 thousand" and "Cakes" in flag.reason
    assert not check("It was 60%", share, "What was the share of bread in 2021?").flags


def test_words_that_are_no_labels_count_for_nothing(check):
    assert not check("It was $600", BREAD, "How much did all the loaves in Orlo's shops bring in 2021?").flags
