"""Formulas in words and in signs."""

import time
from decimal import Decimal, DivisionByZero

import pytest

from localrag.figures import formulas
from localrag.figures.formulas import Figure, Operation


def shape(node):
    """Write a formula with every bracket."""
    if isinstance(node, Operation):
        return f"({shape(node.left)} {node.sign} {shape(node.right)})"
    if not isinstance(node, Figure):
        return str(node)
    return f"{node.name}{' before' if node.before else ' at first' if node.began else ''}"


@pytest.mark.parametrize(
    "text, found",
    [
        ("gross profit / revenue", "(gross profit / revenue)"),
        ("a - b / c", "(a - (b / c))"),
        (
            "services sales less services costs, over services sales",
            "((services sales - services costs) / services sales)",
        ),
        ("cash flow less purchases net of proceeds", "(cash flow - (purchases - proceeds))"),
        ("payables divided by cost of sales, multiplied by 365 days", "((payables / cost of sales) * 365)"),
        ("(sales) - (60 billion)", "(sales - 6.0E+10)"),
        ("(cash + receivables) / current liabilities", "((cash + receivables) / current liabilities)"),
        ("cost of sales / average inventories", "(cost of sales / ((inventories at first + inventories) / 2))"),
        ("cost of goods (depreciation included) over stock", "(cost of goods / stock)"),
    ],
)
def test_a_formula_is_read(text, found):
    assert shape(formulas.parse(text)) == found


@pytest.mark.parametrize("text", ["", "a /", "(a / b", "a / b)", "12 / 7", "/ / /", "a " * 40, "(" * 5000])
def test_what_is_no_formula_is_none(text):
    assert not isinstance(formulas.parse(text), Operation)


def test_a_question_states_its_formula_behind_what_it_defines():
    text = "What is the DPO, where DPO is defined as accounts payable divided by cost of sales, multiplied by 365?"
    assert shape(next(formulas.in_words(text))) == "((accounts payable / cost of sales) * 365)"
    text = "Ratio is defined as: (cash + receivables) / current liabilities."
    assert shape(next(formulas.in_words(text))) == "((cash + receivables) / current liabilities)"
    assert not list(formulas.in_words("What was the year-over-year growth of sales?"))
    assert not list(formulas.in_words("the weighted average of shares"))
    one = next(formulas.in_words("Divide rent, wages and fuel by sales in percent."))
    assert shape(one) == "(rent, wages and fuel / sales)"
    assert "(((rent + wages) + fuel) / sales)" in map(shape, formulas.in_words("Divide rent, wages and fuel by sales."))
    assert not list(formulas.in_words("(interest paid - interest earned) / profit of the (good) year less"))


def test_abbreviations_are_whole_words():
    assert formulas.whole("ads rev, AR & op inc") == "advertising revenue, accounts receivable & operating inc"
    assert formulas.whole("R&D of Adobe") == "R&D of Adobe"


@pytest.mark.parametrize("piece", ["is ", "x is ", ": ", "of the ", "divided by ", "(", "average "])
def test_long_texts_are_read_in_time(piece):
    began = time.process_time()
    list(formulas.in_words(piece * 3000))
    list(formulas.in_words(piece * 100))
    formulas.parse(piece * 100)
    assert time.process_time() - began < 5


def test_only_the_model_marks_the_period_before():
    (figure,) = formulas.figures(formulas.parse("sales before", marked=True))
    assert figure == Figure("sales", before=True)
    assert formulas.parse("sales before") == Figure("sales before")


def test_a_formula_is_worked_out_and_shown_in_numbers():
    node = formulas.parse("(sales - sales before) / sales before", marked=True)
    assert formulas.numbered(node) == "({0} - {1}) / {1}"
    now, then = formulas.figures(node)
    values = {now: Decimal(1204), then: Decimal(1100)}
    assert formulas.evaluate(node, values) == Decimal(104) / Decimal(1100)
    assert formulas.shown(node, values) == "(1,204 − 1,100) / 1,100"
    assert formulas.shown(node, {now: Decimal(-5), then: Decimal(2)}) == "((−5) − 2) / 2"
    with pytest.raises(DivisionByZero):
        formulas.evaluate(node, {now: Decimal(1), then: Decimal(0)})


def test_every_ratio_of_the_file_is_made_of_lines():
    for ratio in formulas.ratios().values():
        for formula in ratio.formulas:
            node = formulas.parse(formula.replace("days", "365"))
            assert isinstance(node, Operation)
            assert all(one.name in formulas.lines() for one in formulas.figures(node)), formula
