"""Questions for figures, answered by code from the tables of reports."""

import io
import json
import re
import zipfile
from dataclasses import replace

import pytest

from localrag.events import Answered
from localrag.items import facts
from localrag.sessions import table_export

ORLO = """ORLO FOODS, INC. AND SUBSIDIARIES
Consolidated Statements of Operations
For the Years Ended December 31, 2021 and 2020

| (In thousands, except per share data) | 2021 | 2020 |
| --- | --- | --- |
| Net sales: |  |  |
| Goods | $900 | $800 |
| Services | 340 | 200 |
| Total net sales | 1,240 | 1,000 |
| Cost of sales: |  |  |
| Goods | 500 | 480 |
| Services | 120 | 100 |
| Total cost of sales | 620 | 580 |
| Gross profit | 620 | 420 |
| Research and development | 40 | 50 |
| Operating income | 310 | (20) |
| Earnings per share: |  |  |
| Diluted | $0.31 | $(0.02) |
| Weighted average shares used in per share computation: |  |  |
| Diluted | 1,000 | 990 |

Consolidated Balance Sheets

| (In thousands) | December 31, 2021 | December 31, 2020 |
| --- | --- | --- |
| Current assets: |  |  |
| Accounts receivable, less allowances of $5 and $4 | $124 | $90 |
| Inventories | 70 | 50 |
| Total current assets | 300 | 200 |
| Property and equipment, net | 900 | 800 |
| Current liabilities: |  |  |
| Accounts payable | 62 | 40 |
| Total current liabilities | 150 | 100 |

Inventories consist of:

| | December 31, 2021 | December 31, 2020 |
| --- | --- | --- |
| Finished goods | $45 | $30 |

The tax of the years ended December 31 was as follows (in thousands):

| | 2021 | 2020 |
| --- | --- | --- |
| Income before taxes | $300 | $(20) |
| Provision (benefit) for taxes | 75 | (5) |

Consolidated Statements of Cash Flows

| (In thousands) | 2021 | 2020 |
| --- | --- | --- |
| Net cash provided by operating activities | $200 | $90 |
| Purchases of property and equipment | (80) | (60) |
| Dividends paid | (12) | (10) |
"""
TESS = ORLO.replace("ORLO FOODS", "TESS MILLS").replace(
    "Research and development | 40", "Research and development | 75"
)


@pytest.fixture
def reports(shelf):
    library = shelf("mill", {"orlo-foods_2021.md": ORLO, "tess-mills_2021.md": TESS})
    facts.refresh(library)
    return library


@pytest.fixture
def ask(assistant, models, reports):
    def asked(question):
        *_, last = assistant.ask(question, libraries=["mill"])
        assert isinstance(last, Answered)
        return last.answer

    return asked


@pytest.mark.parametrize(
    "question, shown, expression",
    [
        ("What was Orlo's gross margin in 2021?", "50 %", "620 / 1,240"),
        ("orlo current ratio fy2021", "2", "300 / 150"),
        ("By what percentage did Orlo's net sales grow in 2021?", "24 %", "(1,240 − 1,000) / 1,000"),
        ("What was the inventory turnover of Orlo in 2021?", "10.33", "620 / ((50 + 70) / 2)"),
        (
            "How many days payable did Orlo have in 2021 (accounts payable / cost of sales x 365)?",
            "36.5",
            "62 / 620 × 365",
        ),
        ("What was Orlo's free cash flow in 2021?", "$120 thousand", "200 − 80"),
        ("What was the gross margin of Orlo's Services in 2021?", "64.71 %", "(340 − 120) / 340"),
        ("What share of Orlo's net sales came from services in 2021?", "27.42 %", "340 / 1,240"),
        ("What was Orlo's working capital at December 31, 2021?", "$150 thousand", "300 − 150"),
        ("orlo dso 2021", "36.5", "124 / 1,240 × 365"),
        ("What was Orlo's operating margin in 2020?", "−2 %", "(−20) / 1,000"),
        ("What was Orlo's effective tax rate in 2020?", "25 %", "(−5) / (−20)"),
        ("What was the average of Orlo's inventories for 2020 and 2021?", "$60 thousand", "(50 + 70) / 2"),
        ("orlo net sales cagr 2020 to 2021", "24 %", "(1,240 / 1,000) ^ (1 / 1) − 1"),
    ],
)
def test_a_ratio_is_worked_out_with_a_citation_for_each_figure(ask, reports, question, shown, expression):
    answer = ask(question)
    (working,) = answer.workings
    assert (working.expression, working.result) == (expression, shown)
    assert answer.found and answer.plan.kind == "exact" and answer.model is None
    assert {one.document for one in answer.citations} == {"orlo-foods_2021.md"}
    text = reports.page_text(reports.document("orlo-foods_2021.md").id, 0)
    assert all(text[one.start : one.end] == one.quote for one in answer.citations)


@pytest.mark.parametrize(
    "question, amount",
    [
        ("How much did Orlo spend on capex in 2021?", "$80 thousand"),
        ("What did Orlo put into property and equipment in 2020?", "$60 thousand"),
        ("What were Orlo's inventories at December 31, 2020?", "$50 thousand"),
        ("How large an inventory did Orlo have at the start of 2021?", "$50 thousand"),
        ("What was Orlo's diluted earnings per share in 2020?", "−$0.02"),
        ("tess r&d 2021", "$75 thousand"),
        ("How much did Orlo pay in dividends in 2021?", "$12 thousand"),
        ("How much revenue did Orlo make with services in 2020?", "$200 thousand"),
    ],
)
def test_a_figure_is_given_with_currency_and_scale(ask, question, amount):
    answer = ask(question)
    assert f"{amount} [1]" in answer.answer and answer.plan.kind == "exact" and not answer.workings


@pytest.mark.parametrize(
    "question",
    [
        "What was Orlo's gross margin in 2015?",  # no such year
        "What was the gross margin in 2021?",  # of whom?
        "What was Orlo's goodwill at December 31, 2021?",  # no such line
        "How many employees did Orlo have at December 31, 2021?",
        "What was the gross margin of Orlo's Bakery in 2021?",  # no such part
        "How many services did Orlo sell in 2021?",  # a number, not an amount
        "What was Orlo's gross margin in the third quarter of 2021?",
        "What was the revenue of Orlo from yogurt in 2021?",  # a part that has no label
        "orlo net sales in france 2021",
        "What was Orlo's adjusted operating income in 2021?",
        "What was Orlo's gross margin in the first half of 2021?",
        "orlo gross profit 2021 vs 2020?",  # two figures, not one
        "What were Orlo's net sales since 2020?",
        "What was Orlo's property and equipment in 2021?",  # a day is asked about, or what was spent
        "By what percentage did Orlo's operating income grow in 2021?",  # over a loss
        "How much did Orlo pay in research in 2021?",  # an expense is not what was paid
    ],
)
def test_what_no_figure_surely_answers_is_left_to_others(ask, question):
    assert ask(question).plan.kind != "exact"


def test_free_wording_is_read_by_the_model_which_writes_no_number(ask, models):
    models.generator.script = [("Of each hundred", "research and development / net sales")]
    answer = ask("Of each hundred dollars that Orlo sold in 2021, how many percent went into research?")
    assert [one.expression for one in answer.workings] == ["40 / 1,240"] and answer.model is not None


@pytest.mark.parametrize(
    "question, formula, said",
    [
        (
            "Did Orlo's inventories rise or fall in 2021, and by how much?",
            "inventories > inventories before",
            "It rose by $20 thousand (40 %), from Inventories",
        ),
        (
            "Were Orlo's research costs lower in 2021 than in 2020?",
            "research and development < research and development before",
            "Yes. It fell by $10 thousand",
        ),
        (
            "Was Orlo's gross profit less in 2021 than in 2020?",
            "gross profit < gross profit before",
            "No. It rose by $200 thousand",
        ),
        # Of a change the question's own words tell which way is meant.
        (
            "Was Orlo's gross profit less in 2021 than in 2020?",
            "gross profit > gross profit before",
            "No. It rose by $200 thousand",
        ),
        (
            "Did Orlo's gross profit deteriorate in 2021?",
            "gross profit > gross profit before",
            "It rose by $200 thousand",
        ),
        (
            "Which was greater at Orlo in 2021, goods sales or services sales?",
            "goods sales > services sales",
            "Goods sales is greater by $560 thousand",
        ),
        (
            "Did Orlo have net sales of more than $1 million in 2021?",
            "net sales > 1 million",
            "Yes. It is Total net sales",
        ),
        (
            "Were services more than half of Orlo's net sales in 2021?",
            "services sales / net sales > 50 / 100",
            "No. It is 27.42 %, from",
        ),
        (
            "By how many points was Orlo's margin of services above that of goods in 2021?",
            "services sales / net sales - goods sales / net sales",
            "The result is −45.16 percentage points",
        ),
    ],
)
def test_a_comparison_is_read_by_the_model_and_made_by_code(ask, models, question, formula, said):
    models.generator.script = [("", formula)]
    answer = ask(question)
    assert answer.plan.kind == "exact" and answer.answer.startswith(said)


@pytest.mark.parametrize(
    "question, formula",
    [
        # A ratio that has a name, upside down.
        (
            "How many days did Orlo take to pay in 2021, with cost of sales and 365 days?",
            "cost of sales / accounts payable * 365",
        ),
        # Two things are asked.
        ("Did Orlo earn more in 2021 than in 2020 although its sales fell?", "operating income > net sales"),
        ("Was Orlo's operating income higher in 2021 despite lower sales?", "operating income > net sales"),
        ("Did the profit that Orlo had in 2021 exceed 40%?", "operating income"),
        # A multiple of one side, and a figure against itself.
        ("Did Orlo's gross profit more than double in 2021?", "gross profit > gross profit before"),
        ("Was Orlo's cost of sales less than a third of net sales in 2021?", "cost of sales < net sales / 100"),
        ("Was Orlo's gross profit high in 2021?", "gross profit > gross profit"),
        ("Did Orlo's net sales fall by more than $1 million in 2021?", "net sales > 1 million"),
        # Of a loss less is more, and an expense is added to what is without it.
        ("Did Orlo's operating income rise in 2021?", "operating income > operating income before"),
        (
            "What was Orlo's gross profit excluding research and development in 2021?",
            "gross profit - research and development",
        ),
    ],
)
def test_a_formula_that_does_not_fit_is_not_used(ask, models, question, formula):
    models.generator.script = [("", formula)]
    assert ask(question).plan.kind != "exact"


def test_a_company_is_found_by_a_part_that_only_its_figures_have(ask, reports, shelf):
    shelf("mill", {"zeno-bank_2021.md": ORLO.replace("ORLO FOODS", "ZENO BANK").replace("Services", "Kiosks")})
    facts.refresh(reports)
    answer = ask("What share of net sales came from the Kiosks in 2021?")
    assert [one.expression for one in answer.workings] == ["340 / 1,240"]
    assert {one.document for one in answer.citations} == {"zeno-bank_2021.md"}
    assert ask("What share of net sales came from the Goods in 2021?").plan.kind != "exact"  # of whom?


def test_a_list_is_summed(ask):
    answer = ask(
        "In 2021, what were Orlo's accounts payable, inventories and dividends paid together, divided by net sales?"
    )
    assert [one.expression for one in answer.workings] == ["(62 + 70 + 12) / 1,240"]


def test_the_figures_of_a_calculation_are_written_with_a_live_formula(ask, tmp_path):
    answer = ask("What was the gross margin of Orlo's Services in 2021?")
    rows = table_export.workings(answer)
    assert [row["value"] for row in rows[:-1]] == [340.0, 120.0]
    with zipfile.ZipFile(io.BytesIO(table_export.written(rows, tmp_path / "a.xlsx"))) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert re.search(r"<f>\(B2 - B3\) / B2</f><v>0\.647", sheet)
    assert json.loads(table_export.written(rows, tmp_path / "a.json"))[-1]["value"] == "64.71 %"


def test_figures_that_were_withheld_are_not_written(ask):
    answer = ask("What was Orlo's gross margin in 2021?")
    assert table_export.workings(replace(answer, citations=())) == []


def test_figures_are_read_once_and_go_with_their_document(reports):
    (orlo, tess) = reports.documents()
    assert len(reports.figures(orlo.id)) == len(reports.figures(tess.id)) > 30
    reports.remove([orlo])
    assert not reports.figures(orlo.id) and reports.figures(tess.id)


def test_figures_of_two_companies_are_compared(ask, models):
    models.generator.script = [
        (
            "Which company spent more",
            "How much did Orlo spend on research and development in 2021?\n"
            "How much did Tess spend on research and development in 2021?",
        )
    ]
    answer = ask("Which company spent more on research and development in 2021, Orlo or Tess?")
    assert (
        answer.answer.startswith("Tess has the greater research and development, by $35 thousand.")
        and "$40 thousand" in answer.answer
        and "$75 thousand" in answer.answer
    )
    assert [one.document for one in answer.citations] == ["orlo-foods_2021.md", "tess-mills_2021.md"]
    assert ["".join(one.quote[a - one.start : b - one.start] for a, b in one.figures) for one in answer.citations] == [
        "40",
        "75",
    ]


@pytest.mark.parametrize(
    "question, first",
    [
        ("Which company spent more on research and development in 2021, Orlo or Tess?", "Tess has the greater"),
        ("Who had the higher gross margin percentage in 2021, Orlo Foods or Tess Mills?", "The figures are equal"),
        ("R&D expense 2021 Orlo vs Tess", "Tess has the greater"),
        ("Which company spent less on research and development in 2021, Orlo or Tess?", "Orlo has the lower"),
        ("Which had more inventories, Orlo at December 31, 2021 or Tess at December 31, 2020?", "Orlo has the greater"),
        ("Who spent more on R&D in 2021, Orlo or Tess, and how much did each spend?", "Tess has the greater"),
    ],
)
def test_a_figure_of_two_companies_is_compared_without_a_model(ask, question, first):
    answer = ask(question)
    assert answer.plan.kind == "exact" and answer.model is None and answer.answer.startswith(first)
    assert {one.document for one in answer.citations} == {"orlo-foods_2021.md", "tess-mills_2021.md"}


@pytest.mark.parametrize(
    "question",
    [
        "Which grew more in net sales in 2021, Orlo or Tess?",
        "Which company improved its operating margin more in 2021, Orlo or Tess?",
        "Which had the greater operating loss in 2020, Orlo or Tess?",
        "What is the ratio of Orlo's net sales to those of Tess in 2021?",
        "Did Orlo have twice the research and development expense of Tess in 2021?",
        "What was the combined research and development expense of Orlo and Tess in 2021?",
        "Which spent more on R&D relative to net sales in 2021, Orlo or Tess?",
    ],
)
def test_more_than_one_figure_of_each_company_is_left_to_the_text(ask, models, question):
    assert ask(question).plan.reason != "Code found the figure of each side in tables."


def test_a_company_without_the_figure_leaves_the_comparison_to_the_text(ask, models):
    assert ask("Which had more goodwill in 2021, Orlo or Tess?").plan.signals.get("read") != "figures"


def test_a_comparison_with_the_year_before_says_how_far_it_moved(ask):
    answer = ask("Did Orlo's inventories go up or down in 2021 compared with the year before?")
    assert answer.answer.startswith("It rose by $20 thousand (40 %)")


RIVER = """
Summarized financial information of River Motors, in which we hold shares, is as follows (in thousands):

| | 2021 | 2019 |
| --- | --- | --- |
| Net sales | 55 | 33 |
| Gross profit | (31) | (12) |
"""


def test_earnings_per_share_are_no_number_of_shares(ask):
    answer = ask("How much did Orlo earn per diluted share in 2021?")
    assert answer.plan.signals.get("read") != "figures" or "$0.31" in answer.answer


def test_a_note_on_another_company_has_no_figure_of_this_one(assistant, models, shelf):
    titled = ORLO.replace(
        "Consolidated Statements of Operations\nFor the Years Ended December 31, 2021 and 2020\n",
        "Statements of Operations\n",
    )
    facts.refresh(shelf("note", {"orlo-foods_2021.md": titled + RIVER}))
    *_, last = assistant.ask("What were Orlo's net sales in 2020?", libraries=["note"])
    assert "$1,000 thousand" in last.answer.answer
    for question in ("What were Orlo's net sales in 2019?", "Orlo gross profit 2019"):
        *_, last = assistant.ask(question, libraries=["note"])
        assert last.answer.plan.signals.get("read") != "figures"


@pytest.mark.parametrize(
    "question",
    [
        "How much did Orlo earn per basic share in 2021?",
        "What did Orlo make for each diluted share in 2021?",
        "What was Orlo's net gross profit in 2021?",
        "What was the average of Orlo's net sales in 2021?",
        "Did Orlo's goods and services both grow in 2021?",
    ],
)
def test_a_figure_of_another_kind_is_left_to_the_text(ask, question):
    assert ask(question).plan.signals.get("read") != "figures"


def test_a_single_figure_written_by_the_model_is_no_growth_and_no_average(ask, models):
    models.generator.script = [("mean", "net sales")]
    assert ask("How was the mean of Orlo's net sales, please, in 2021?").plan.signals.get("read") != "figures"


def test_a_part_of_a_line_is_not_the_line(assistant, models, shelf):
    parts = ORLO.replace(
        "| Research and development | 40 | 50 |", "| Selling | 25 | 20 |\n| General and administrative | 15 | 30 |"
    )
    facts.refresh(shelf("parts", {"orlo-foods_2021.md": parts}))
    *_, last = assistant.ask("Orlo SG&A 2021", libraries=["parts"])
    assert last.answer.plan.signals.get("read") != "figures"


def test_what_a_company_defines_itself_is_taken_from_its_row(assistant, models, shelf):
    own = (
        ORLO
        + "\nNon-GAAP measures (in thousands)\n\n| | 2021 | 2020 |\n| --- | --- | --- |\n| Free cash flow | 130 | 95 |\n"
    )
    facts.refresh(shelf("own", {"orlo-foods_2021.md": own}))
    *_, last = assistant.ask("What was Orlo's free cash flow in 2021?", libraries=["own"])
    assert "130 thousand" in last.answer.answer


def test_income_in_brackets_among_expenses_is_income(assistant, models, shelf):
    other = ORLO.replace(
        "| Operating income |",
        "| Nonoperating (income) expenses: | | |\n| Interest income | (30) | (20) |\n| Operating income |",
    )
    facts.refresh(shelf("other", {"orlo-foods_2021.md": other}))
    *_, last = assistant.ask("What was Orlo's interest income in 2021?", libraries=["other"])
    assert "$30 thousand" in last.answer.answer


HELD = """

Balance Sheet (in thousands)

| | December 31, 2021 | December 31, 2020 |
| --- | --- | --- |
| Current assets: | | |
| Vendor non-trade receivables | 310 | 290 |
| Equity investments | 45 | 41 |
| Total assets | 990 | 940 |
| Total shareholders' equity | 700 | 610 |

Statement of Cash Flows (in thousands)

| | 2021 | 2020 |
| --- | --- | --- |
| Proceeds from maturities of marketable securities | 88 | 77 |
| Vendor non-trade receivables | (20) | 12 |
| Net cash from operating activities | 400 | 300 |
"""


@pytest.mark.parametrize(
    ("question", "figure"),
    [
        ("What were Orlo's vendor non-trade receivables at December 31, 2021?", "310"),
        ("What were Orlo's equity investments as of December 31, 2021?", "45"),
        ("What was Orlo's total shareholders' equity as of December 31, 2021?", "700"),
        ("What were Orlo's proceeds from maturities of marketable securities in 2021?", "88"),
    ],
)
def test_a_row_is_found_by_its_whole_label(assistant, models, shelf, question, figure):
    facts.refresh(shelf("held", {"orlo-foods_2021.md": ORLO + HELD}))
    *_, last = assistant.ask(question, libraries=["held"])
    assert last.answer.plan.signals.get("read") == "figures" and f" {figure} thousand" in last.answer.answer


@pytest.mark.parametrize(
    "question",
    [
        "What were Orlo's vendor non-trade receivables for the year 2021?",  # a change, in the statement of cash flows
        "How much did Orlo spend on equity investments in 2021?",
        "What share of Orlo's equity investments was sold in 2021?",
    ],
)
def test_a_label_with_other_words_beside_it_is_not_its_row(assistant, models, shelf, question):
    facts.refresh(shelf("held", {"orlo-foods_2021.md": ORLO + HELD}))
    *_, last = assistant.ask(question, libraries=["held"])
    assert last.answer.plan.signals.get("read") != "figures"


@pytest.mark.parametrize(
    "question",
    [
        "What was Orlo's property and equipment at cost as of December 31, 2021?",
        "What was Orlo's operating income from vans in 2021?",
    ],
)
def test_a_row_of_a_part_in_a_note_is_not_the_whole(assistant, models, shelf, question):
    note = """
Supplemental balance sheet information related to leases (in thousands)

| | December 31, 2021 |
| --- | --- |
| Property and equipment at cost | 18 |

Segment information (in thousands)

| | 2021 |
| --- | --- |
| Operating income from vans | 310 |
"""
    facts.refresh(shelf("part", {"orlo-foods_2021.md": ORLO + note}))
    *_, last = assistant.ask(question, libraries=["part"])
    assert last.answer.plan.signals.get("read") != "figures"


def test_a_row_of_another_company_in_a_note_is_not_ours(assistant, models, shelf):
    note = (
        "\nSummarised figures of Rivo (in thousands)\n\n| | 2021 |\n| --- | --- |\n| Gross profit on vans | (3,123) |\n"
    )
    facts.refresh(shelf("note", {"orlo-foods_2021.md": ORLO + note}))
    *_, last = assistant.ask("What was Orlo's gross profit on vans in 2021?", libraries=["note"])
    assert last.answer.plan.signals.get("read") != "figures"


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("orlo foods sales growth 2021 %", "rose by 24 %"),
        ("How fast did Orlo's net sales grow in 2021?", "rose by 24 %"),
        ("How many percent did Orlo's net sales rise in 2021?", "rose by 24 %"),
    ],
)
def test_growth_of_a_line_is_its_change_in_percent(ask, question, told):
    assert told in ask(question).answer


def test_a_part_is_found_and_named_beside_its_line(ask):
    assert "Net sales, Services, 2021: $340 thousand" in ask("What were Orlo's net sales of services in 2021?").answer


TRAPS = """

Consolidated Balance Sheet (in thousands)

| | December 31, 2021 | December 31, 2020 |
| --- | --- | --- |
| Cash and cash equivalents | $140 | $120 |
| Equity investments | 45 | 41 |
| Land and buildings, net of accumulated depreciation of $7 and $6 | 810 | 790 |
| Total assets | 990 | 940 |

Consolidated Statement of Cash Flows (in thousands)

| | 2021 | 2020 |
| --- | --- | --- |
| Net income | $210 | $110 |
| Changes in operating assets and liabilities: | | |
| Accrued expenses and other | (31) | 12 |
| Net cash provided by operating activities | 200 | 90 |

Statements of Shareholders' Equity (in thousands)

| | 2021 | 2020 |
| --- | --- | --- |
| Stock-based compensation | 27 | 21 |
| Total shareholders' equity | 700 | 610 |

Supplemental balance sheet information related to leases (in thousands)

| | December 31, 2021 | December 31, 2020 |
| --- | --- | --- |
| Land and buildings, net | 18 | 16 |
| Property and equipment, net | 18 | 16 |

Accrued and other current liabilities (in thousands)

| | December 31, 2021 | December 31, 2020 |
| --- | --- | --- |
| Taxes | $24 | $22 |
| Operating leases | 8 | 7 |
| Other | 5 | 6 |
| Total accrued and other current liabilities | 37 | 35 |

Operating lease liabilities (in thousands)

| | December 31, 2021 | December 31, 2020 |
| --- | --- | --- |
| Long-term operating leases | $41 | $43 |

Earnings per share (in thousands, except per share amounts)

| | Year Ended December 31, 2021 | Year Ended December 31, 2020 |
| --- | --- | --- |
| Net income | $210 | $110 |
| Weighted average outstanding shares | 900 | 880 |
| Dilutive effect of awards | 23 | 41 |
| Shares for diluted earnings | 923 | 921 |

Reconciliation (in thousands)

| | Year Ended December 31, 2021 | Year Ended December 31, 2020 |
| --- | --- | --- |
| Adjusted profit of the year | $231 | $126 |
| Restructuring of plants | 11 | 12 |
| Amounts for each holder | $0.25 | $0.14 |
| Relocation of plants | 0.19 | 0.13 |
| Yogurt sales as a % of net sales | 17 | 18 |
"""

_FULL = ORLO.replace("equipment, net |", "equipment, net of accumulated depreciation of $70 and $60 |")


@pytest.mark.parametrize(
    ("question", "told"),
    [
        ("What was Orlo's PP&E at December 31, 2021?", "900"),
        ("What was Orlo's property and equipment, net at December 31, 2021?", "900"),
        ("What were Orlo's land and buildings at December 31, 2021?", "810"),
        ("What were Orlo's operating leases at December 31, 2021?", ""),  # 8 are the current part
        ("What was Orlo's other in 2021?", ""),
        ("Other for Orlo at December 31, 2021", ""),
        ("What was Orlo's dilutive effect of awards in 2021?", ": 23 thousand"),
        ("What were Orlo's net sales, not services, in 2021?", ""),
        ("What were Orlo's net sales per day in 2021?", ""),
        ("Orlo net sales per customer 2021", ""),
        ("What were Orlo's net sales without services in 2021?", ""),
        ("What were Orlo's accrued expenses and other in 2021?", ""),  # a change
        ("What were Orlo's total cash and investments at December 31, 2021?", ""),
        ("What was Orlo's stock-based compensation in 2021?", ""),  # the cash flows have none
        ("What was Orlo's restructuring of plants in 2021?", "$11 thousand"),
        ("What was Orlo's relocation of plants in 2021?", ""),  # of a share
        ("What were Orlo's yogurt sales in 2021?", ""),  # a share of net sales
    ],
)
def test_a_figure_is_the_whole_and_of_the_kind_that_is_asked_for(assistant, models, shelf, question, told):
    facts.refresh(shelf("traps", {"orlo-foods_2021.md": _FULL + TRAPS}))
    *_, last = assistant.ask(question, libraries=["traps"])
    answer = last.answer
    if told:
        assert answer.plan.signals.get("read") == "figures" and told in answer.answer
    else:
        assert answer.plan.signals.get("read") != "figures"
