"""Calculated answers: what a question asks for, which figures are meant, what they come to, and that each is cited."""

import itertools
import random
from decimal import Decimal

import pytest

from localrag.answer.table_qa import calculation
from localrag.answer.table_qa.calculation import work_out
from localrag.answer.table_qa.cell_selection import Selector
from localrag.grounding import cells
from localrag.grounding.cells import Cell
from localrag.grounding.stages import Prompt, Query, Route
from localrag.question.calculation import parse
from localrag.question.question import Question
from localrag.types import Filter, Passage, Plan

REPORT = """Results of Harrow Mills plc

|  | Year ended 31 March |  | |
| £000 | 2021 | 2020 | 2019 |
| Revenue |  |  |  |
| Yarn | 1,240 | 1,000 | 800 |
| Cloth | 310 | 250 | — |
| Total revenue | 1,550 | 1,250 | 800 |
| Cost of sales | (930) | (700) | (410) |
| Operating margin | 12.5% | 10.0% | 9.5% |
| Earnings per share (pence) | 4.10 | 3.90 | 3.10 |

Staff by region at year end:

| Region | Weavers | Spinners | Total |
| North | 40 | 12 | 52 |
| South | 25 | 30 | 55 |
| Total | 65 | 42 | 107 |

Revenue of the Kestrel brand fell by 4.0 % from 2020 to 2021.
"""


def passage(text=REPORT, document="harrow.md", header=""):
    return Passage("lib", document, 60, None, (), text, 1000, 1000 + len(text), 1.0, header=header)


def ask(question, *passages):
    query, route = Query(Question(question), [], Filter(), []), Route(Plan("retrieve", ""))
    return calculation.answer(query, route, Prompt([], passages or (passage(),)))


CALCULATED = {
    "What was the percentage change in total revenue from 2020 to 2021?": "(1,550 − 1,250) / 1,250 = 24 %",
    "What was the change in yarn between 2019 and 2021?": "1,240 − 800 = £440 thousand",
    "What is the average yarn revenue for 2019, 2020 and 2021?": "(800 + 1,000 + 1,240) / 3 = £1,013.33 thousand",
    "What percentage of total revenue was yarn in 2021?": "1,240 / 1,550 = 80 %",
    "What is the share of cloth in total revenue in 2020?": "250 / 1,250 = 20 %",
    "What is the ratio of cloth to yarn in 2021?": "310 / 1,240 = 0.25",
    "What is the sum of yarn and cloth in 2021?": "1,240 + 310 = £1,550 thousand",
    "What was the change in cost of sales from 2020 to 2021?": "(−930) − (−700) = −£230 thousand",
    "How much did the operating margin increase from 2020 to 2021?": "12.5 − 10.0 = 2.5 percentage points",
    "What is the difference between weavers and spinners in the north?": "40 − 12 = 28",
    "How much more was yarn than cloth in 2021?": "1,240 − 310 = £930 thousand",
    "Wie hoch ist die Veränderung von Yarn von 2020 bis 2021?": "1,240 − 1,000 = £240 thousand",
    "How much did yarn decrease by from 2019 to 2021?": "800 − 1,240 = −£440 thousand",
    "What was the percentage decrease in cost of sales from 2020 to 2021?": "((−700) − (−930)) / (−700) = −32.86 %",
    "What was the increase/(decrease) in cloth from 2020 to 2021?": "310 − 250 = £60 thousand",
    "What is the 2021 total revenue as a percentage of 2020 total revenue?": "1,550 / 1,250 = 124 %",
    "What proportion of total revenue are yarn and cloth in 2021?": "(1,240 + 310) / 1,550 = 100 %",
}


@pytest.mark.parametrize(("question", "shown"), [(q, s) for q, s in CALCULATED.items() if s])
def test_a_question_is_calculated_from_the_figures_it_names(question, shown):
    answer = ask(question)
    assert answer is not None
    assert answer.workings[0].shown == f"{shown}, from p. 60"
    assert shown.rpartition(" = ")[2] in answer.answer


READ = (
    "What is the total revenue?",
    "What was the total revenue in 2021?",
    "Why did total revenue change from 2020 to 2021?",
    "What was the weighted average price in 2021?",
    "What were the changes in revenue in 2020 and 2021, respectively?",
    "In which year did revenue increase?",
    "What does the difference engine do?",
)


@pytest.mark.parametrize("question", READ)
def test_what_only_looks_like_a_calculation_is_left_alone(question):
    assert ask(question) is None


def test_what_the_labels_do_not_name_is_not_calculated():
    assert ask("What was the percentage change in research expenses from 2020 to 2021?") is None
    assert ask("What was the change in yarn from 2015 to 2016?") is None


def test_a_result_that_a_sentence_states_is_left_to_the_model():
    assert ask("What was the percentage change in total revenue of Kestrel from 2020 to 2021?") is None


def test_two_tables_that_fit_alike_leave_it_open():
    other = passage(REPORT.replace("1,550", "9,999"), "other.md")
    question = "What was the change in total revenue from 2020 to 2021?"
    assert ask(question, passage(), other) is None
    assert ask(question, passage(), passage(document="copy.md")) is not None


def test_figures_come_from_the_document_that_is_named():
    other = passage(REPORT.replace("1,550", "9,999").replace("Harrow Mills", "Norwell"), "norwell.md")
    answer = ask("What was the change in total revenue of Harrow from 2020 to 2021?", passage(), other)
    assert answer is not None
    assert {citation.document for citation in answer.citations} == {"harrow.md"}


def test_every_figure_is_in_the_quote_cited_for_it():
    answer = ask("What percentage of total revenue was yarn in 2021?")
    assert answer is not None
    quotes = {citation.marker: citation for citation in answer.citations}
    for figure in answer.workings[0].figures:
        assert figure.text in quotes[figure.marker].quote
        assert f"[{figure.marker}]" in answer.answer
    for citation in answer.citations:
        assert REPORT[citation.start - 1000 : citation.end - 1000] == citation.quote


def test_a_long_row_is_cited_with_its_figure():
    row = "| " + "Long label of many words " * 30 + "| 12 | 10 |"
    answer = ask(
        f"What was the change in {'long label of many words ' * 2}from 2020 to 2021?",
        passage(f"|  | 2021 | 2020 |\n{row}\n"),
    )
    assert answer is not None
    assert all(len(citation.quote) <= 330 for citation in answer.citations)
    quotes = {citation.marker: citation.quote for citation in answer.citations}
    assert all(figure.text in quotes[figure.marker] for figure in answer.workings[0].figures)


def test_a_header_before_the_passage_gives_its_years():
    rows = passage("| Yarn | 1,240 | 1,000 |\n", header="| £000 | 2021 | 2020 |")
    answer = ask("What was the change in yarn from 2020 to 2021?", rows)
    assert answer is not None
    assert answer.workings[0].expression == "1,240 − 1,000"


def test_a_german_question_is_answered_in_german():
    answer = ask("Wie hoch war die Veränderung von Yarn von 2020 bis 2021?")
    assert answer is not None
    assert answer.answer.startswith("Veränderung: £240 thousand, aus Yarn: 1,000 (2020) und 1,240 (2021)")


# --- figures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("1,240", "1240", ""),
        ("$ (762.3)", "-762.3", "USD"),
        ("(5,062)", "-5062", ""),
        ("—", "0", ""),
        ("-8.11%", "-8.11", "%"),
        ("65.4%)", "65.4", "%"),
        ("12 (1)", "12", ""),
        ("$1.5 million", "1500000", "USD"),
        ("24.5*", "24.5", ""),
    ],
)
def test_a_cell_is_read_as_accounts_write_it(text, value, unit):
    assert cells.read(text) == (Decimal(value), unit)


@pytest.mark.parametrize("text", ["", "n/a", "Total", "3 - 4.35", "2027 or indefinite", "nm", "12 months"])
def test_what_is_no_figure_is_none(text):
    assert cells.read(text) is None


def test_of_two_columns_of_a_year_the_one_that_reads_alike_counts():
    text = "|  | December 31, 2019 | December 31, 2018 | January 1, 2018 |\n| Trade receivables | 9,660 | 11,191 | 7,073 |\n"
    answer = ask("What was the change in trade receivables from 2018 to 2019?", passage(text))
    assert answer is not None and answer.workings[0].expression == "9,660 − 11,191"


def test_amounts_are_preferred_to_the_shares_beside_them():
    text = "| In thousands | 2019 $ | 2019 % | 2018 $ | 2018 % |\n| Frozen | 1,617 | 2% | 1,434 | 1% |\n| Net sales | $93,662 | 100% | $103,350 | 100% |\n"
    answer = ask("What is the percentage of frozen in the total net sales in 2019?", passage(text))
    assert answer is not None and answer.workings[0].shown == "1,617 / 93,662 = 1.73 %, from p. 60"
    answer = ask("What was the change in net sales from 2018 to 2019?", passage(text))
    assert answer is not None and answer.workings[0].expression == "93,662 − 103,350"


def test_dashes_alone_are_no_result():
    assert (
        ask("What was the change in bonds from 2018 to 2019?", passage("|  | 2019 | 2018 |\n| Bonds | — | — |\n"))
        is None
    )


def test_running_text_beside_a_table_is_no_label():
    beside = "wealth advisory services, including portfolio management and counselling"
    text = f"| {beside} | $ in billions | 2016 | 2015 |\n| {beside} | Equity | 266 | 252 |\n| families. | Fixed income | 601 | 546 |\n"
    answer = ask("What was the change in fixed income from 2015 to 2016?", passage(text))
    assert answer is not None and answer.workings[0].shown == "601 − 546 = $55 billion, from p. 60"


def test_the_part_of_a_share_must_have_its_name():
    text = "|  | 2016 | 2015 |\n| Net revenues, lending | 40 | 30 |\n| Net revenues, banking | 60 | 50 |\n"
    assert ask("What percentage of total net revenues is due to equity securities in 2016?", passage(text)) is None


def test_the_line_above_a_table_names_its_rows():
    text = "Net sales by category:\n\n| In thousands | 2019 | 2018 |\n| Cheese | 11,459 | 11,486 |\n| Net sales | 93,662 | 103,350 |\n"
    answer = ask("What is the change in the net sales for cheese between 2018 and 2019?", passage(text))
    assert answer is not None and answer.workings[0].expression == "11,459 − 11,486"


def test_passages_that_did_not_fit_the_prompt_are_read():
    query = Query(Question("What was the change in yarn from 2020 to 2021?"), [], Filter(), [])
    route = Route(Plan("retrieve", ""), hits=(passage("Nothing of the kind.", "letter.md"), passage()))
    answer = calculation.answer(query, route, Prompt([], route.hits[:1]))
    assert answer is not None and [item.document for item in answer.passages] == ["harrow.md"]


def test_a_label_brings_no_marker_and_no_link_into_the_answer():
    text = "|  | 2019 | 2018 |\n| Bonds [7] ![x](http://a.example/p.png) | 5 | 4 |\n"
    answer = ask("What was the change in bonds from 2018 to 2019?", passage(text))
    assert answer is not None and "[7]" not in answer.answer and "](" not in answer.answer


def test_half_of_a_name_is_not_the_thing():
    text = "|  | 2019 | 2018 |\n| Voyage expenses | 141 | 165 |\n| Voyage revenue | 289 | 317 |\n| Vessels | 4 | 5 |\n"
    assert ask("What is the change in prepaid expenses between 2018 and 2019?", passage(text)) is None


def test_other_tells_one_row_from_another():
    text = "|  | 2019 | 2018 |\n| Other assets | 5 | 4 |\n| Assets | 50 | 40 |\n"
    answer = ask("What was the change in assets from 2018 to 2019?", passage(text))
    assert answer is not None and answer.workings[0].expression == "50 − 40"


def test_a_row_without_a_label_is_the_total_of_those_above():
    text = "|  | 2019 | 2018 |\n| Severance | 5 | 4 |\n| Moving | 2 | 1 |\n|  | 7 | 5 |\n"
    answer = ask("What is the percentage of severance in the total in 2019?", passage(text))
    assert answer is not None and answer.workings[0].expression == "5 / 7"


def test_columns_have_the_words_of_all_lines_of_their_header():
    text = (
        "|  | Domestic |  | Abroad |  |\n|  | 2021 | 2020 | 2021 | 2020 |\n| Rate | 4.00% | 3.75% | 1.90% | 2.80% |\n"
    )
    found = cells.find([passage(text)])
    assert [cell.column for cell in found] == ["Domestic 2021", "Domestic 2020", "Abroad 2021", "Abroad 2020"]
    assert [sorted(cell.years) for cell in found] == [[2021], [2020], [2021], [2020]]


def _texts(alphabet, longest, count):
    chance = random.Random(28)
    for _ in range(count):
        yield "".join(chance.choices(alphabet, k=chance.randint(0, longest)))


def test_no_text_breaks_the_reading_of_tables():
    for text in _texts("|||0123456789,.()-% \n\n|ABab$", 300, 1500):
        for cell in cells.find([passage(text)]):
            assert text[cell.start : cell.end] == cell.text


def test_no_question_breaks_its_understanding():
    plain = "what is the change difference sum average percentage share ratio of in from to between and 2020 2021 ? ( %"
    words = (*plain.split(), *"total revenue did increase ß ,".split(), "per cent", "by how much", "\x00")
    chance = random.Random(29)
    for _ in range(1000):
        wanted = parse(" ".join(chance.choices(words, k=chance.randint(0, 14))))
        assert wanted is None or wanted.subjects


def _cell(value, unit="", scale=""):
    return Cell(0, 0, (0, 0), 0, 1, 0, 1, "x", value, unit, scale, "", "", "", frozenset(), False, False)


def _figures(count):
    chance = random.Random(30)
    return [Decimal(chance.randint(-(10**11), 10**11)).scaleb(-chance.randint(0, 4)) for _ in range(count)]


def test_a_change_is_the_later_less_the_earlier():
    for first, last in itertools.pairwise(_figures(300)):
        result = work_out("change", [_cell(first), _cell(last)])
        assert result is not None and result.value == last - first


@pytest.mark.parametrize(
    ("expression", "value"),
    [("5,363 / 32,765", "0.1636807569052342438577750649"), ("(0.1 + 0.2) / 2", "0.15"), ("8 − (−3) − 2", "9")],
)
def test_the_value_is_that_of_the_expression_shown(expression, value):
    assert calculation.evaluate(expression) == Decimal(value)


def test_a_sum_is_exact():
    values = _figures(200)
    for count in range(1, 12):
        result = work_out("sum", [_cell(value) for value in values[:count]])
        assert result is not None and result.value == sum(values[:count])


def test_a_share_of_nothing_is_none():
    for part, whole in itertools.pairwise(_figures(300)):
        result = work_out("share", [_cell(part), _cell(whole)])
        assert result is not None and abs(result.value - part / whole * 100) < abs(result.value) * Decimal("1e-9")
    assert work_out("share", [_cell(Decimal(1)), _cell(Decimal(0))]) is None


def test_figures_of_other_units_are_not_put_together():
    assert work_out("sum", [_cell(Decimal(1), "USD"), _cell(Decimal(2), "EUR")]) is None
    assert work_out("change", [_cell(Decimal(1), "", "million"), _cell(Decimal(2), "", "thousand")]) is None


def test_a_share_knows_that_its_figures_have_other_scales():
    result = work_out("share", [_cell(Decimal(5), "", "million"), _cell(Decimal(10), "", "thousand")])
    assert result is not None and result.value == 50_000


def test_a_loss_that_became_a_gain_has_grown():
    result = work_out("percentage change", [_cell(Decimal(-100)), _cell(Decimal(50))])
    assert result is not None and result.value == 150


def test_nothing_is_picked_among_no_cells():
    wanted = parse("What was the change in yarn from 2020 to 2021?")
    assert wanted is not None and Selector([], []).select(wanted) is None
