import pytest

from localrag.evaluation import metrics


def test_exact_match_passes_over_case_punctuation_and_articles():
    assert metrics.exact_match("The  Head of Unit.", "head of a unit")
    assert not metrics.exact_match("The heads of unit", "head of unit")


@pytest.mark.parametrize(
    ("answer", "known", "value"),
    [
        ("Ada Quill was chosen", "Ada Quill", 2 * 2 / 6),
        ("", "Ada Quill", 0.0),
        ("rent rent rent", "rent", 2 * 1 / 4),
        ("东京大学", "东京", 2 * 2 / 6),
    ],
)
def test_f1_counts_the_words_in_common(answer, known, value):
    assert metrics.f1(answer, known) == pytest.approx(value)


def test_the_first_choice_named_is_the_one_made():
    choices = ["Yes", "No (contradicted)", "Not mentioned"]
    assert metrics.chosen("No, although yes is possible", choices) == "No (contradicted)"
    assert metrics.chosen("It is not mentioned.", choices) == "Not mentioned"
    assert metrics.chosen("Nothing of note, yesterday", choices) is None


def test_evidence_is_covered_by_spans_together_whatever_the_white_space():
    evidence = "Taxis need the consent of the head of unit"
    assert metrics.covered(evidence, ["taxis need\nthe consent of", "x of the head  of unit x"]) == 1.0
    assert metrics.covered(evidence, []) == 0.0 and metrics.covered(" [...] ", ["words"]) is None
    assert metrics.covered("the consent of the head", ["head of the consent, the"]) == 0.0  # words that stand apart
    assert metrics.covered("Ada Quill [...] one two three four", ["by Ada Quill"]) == pytest.approx(2 / 6)
    assert metrics.covered("Ada Quill [...] one two three four", ["Quill, Ada; two three four"]) == pytest.approx(3 / 6)


@pytest.mark.parametrize(
    ("text", "value", "scale", "percent", "currency"),
    [
        ("1.234.567,8", 1234567.8, 1, False, None),
        ("$82,959 million", 82959, 1e6, False, "USD"),
        ("€2.5bn", 2.5, 1e9, False, "EUR"),
        ("EUR 2,450", 2450, 1, False, "EUR"),
        ("-3.5%", -3.5, 1, True, None),
        ("(1,234)", -1234, 1, False, None),
        ("(1,234 pieces", 1234, 1, False, None),
        ("90-day", 90, 1, False, None),
    ],
)
def test_a_number_is_read_as_it_is_written(text, value, scale, percent, currency):
    (found,) = metrics.numbers(f"It is {text}, says the text.")
    assert (found.value, found.scale, found.percent, found.currency) == (value, scale, percent, currency)


@pytest.mark.parametrize(
    ("answer", "known", "same"),
    [
        ("It was 82,959.", "$82,959 million", True),
        ("about $83.0 billion", "$82,959 million", True),
        ("0.164", "16.4%", True),
        ("16", "16.4%", False),
        ("€5", "$5", False),
        ("-5.2", "5.2", False),
        ("30", "no number", None),
        ("It decreased by 6.7 percent.", "-6.7 percent", True),
        ("It increased by 6.7 percent.", "-6.7 percent", False),
        ("It decreased from 5 to 3.", "3", True),
    ],
)
def test_numbers_match_as_far_as_they_are_written(answer, known, same):
    assert metrics.numeric_match(answer, known) is same


def test_the_interval_is_the_same_for_the_same_seed_and_holds_the_mean():
    values = [1.0] * 30 + [0.0] * 70
    found = metrics.estimate(values, seed=3)
    assert found == metrics.estimate(values, seed=3)
    assert found["mean"] == 0.3 and found["low"] < found["mean"] < found["high"]
    # The normal approximation, 1.96 standard errors, is near at this size.
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * (0.3 * 0.7 / 100) ** 0.5, abs=0.02)


def test_an_interval_is_wider_if_the_items_of_a_cluster_agree():
    values = [1.0] * 10 + [0.0] * 10
    together = metrics.clustered(values, ["a"] * 10 + ["b"] * 10)
    apart = metrics.clustered(values, [str(i) for i in range(20)])
    assert together == {"mean": 0.5, "low": 0.0, "high": 1.0, "n": 20}
    assert 0.0 < apart["low"] < 0.5 == apart["mean"] < apart["high"] < 1.0
    found = metrics.clustered([1.0, 100.0], ["a", "b"], [10.0, 100.0])
    assert found["mean"] == pytest.approx(101 / 110, abs=1e-4), "of sums, not the mean of ratios"
    assert metrics.clustered([], []) is None and metrics.clustered([1.0], ["a"], [0.0]) is None


@pytest.mark.parametrize(
    ("answer", "known", "same"),
    [
        ("It rose by 73.", "73 thousand", False),
        ("6.67", "6.67 percent", False),
        ("It fell by 8.11 %.", "-8.11 percent", True),
        ("€5", "$5", False),
    ],
)
def test_a_number_with_its_unit_is_more_than_the_number(answer, known, same):
    assert metrics.unit_match(answer, known) is same


@pytest.mark.parametrize(("rank", "ndcg", "mrr"), [(1, 1.0, 1.0), (4, 0.4307, 0.25), (None, 0.0, 0.0)])
def test_one_thing_wanted_is_found_at_its_rank(rank, ndcg, mrr):
    found = metrics.ranking(rank, (1, 5))
    wanted = {"recall@1": float(rank == 1), "recall@5": float(rank is not None), "ndcg@10": ndcg, "mrr": mrr}
    assert found == pytest.approx(wanted, abs=1e-4)
