from __future__ import annotations

import itertools

import pytest

from localrag.errors import SettingsError, UsageError
from localrag.evaluation.comparing import compare, difference, variant
from localrag.settings import Settings

NOW = Settings()


def test_a_side_is_read_as_settings_and_options_of_the_evaluation() -> None:
    found = variant("passages=4, k=5,within-document=yes", NOW, 20, False)
    assert (found.settings.passages, found.k, found.within_document) == (4, 5, True)
    assert found.changed == ("passages", "k", "within_document")


def test_a_value_may_hold_commas() -> None:
    found = variant("ocr_languages=de,en,passages=3", NOW, 20, False)
    assert found.settings.ocr_languages == ("de", "en") and found.settings.passages == 3


@pytest.mark.parametrize("text", ["as-it-is", "", "  "])
def test_one_side_may_be_as_it_is(text: str) -> None:
    found = variant(text, NOW, 20, True)
    assert (found.name, found.settings, found.k, found.within_document) == ("as-it-is", NOW, 20, True)


@pytest.mark.parametrize("text", ["quickly", "k=many", "k=0", "within_document=perhaps"])
def test_a_side_of_another_form_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        variant(text, NOW, 20, False)
    assert "--compare" in caught.value.hint


def test_an_unknown_setting_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="pasages") as caught:
        variant("pasages=4", NOW, 20, False)
    assert "passages" in caught.value.hint


def test_a_difference_has_its_sign_its_interval_and_its_wins() -> None:
    found = difference([0, 0, 1, 1, 0.5], [1, 1, 1, 0, 0.5])
    assert found.second - found.first == pytest.approx(0.2)
    assert (found.wins, found.losses, found.ties) == (2, 1, 2)
    assert found.low <= 0.2 <= found.high


def test_the_p_value_is_that_of_all_swaps() -> None:
    first, second = [0.1, 0.4, 0.3, 0.9, 0.2, 0.5, 0.6, 0.3], [0.4, 0.6, 0.2, 1.0, 0.6, 0.7, 0.5, 0.9]
    apart = [b - a for a, b in zip(first, second, strict=True)]
    every = [sum(s * d for s, d in zip(signs, apart, strict=True)) for signs in itertools.product((1, -1), repeat=8)]
    exact = sum(abs(one) >= abs(sum(apart)) - 1e-9 for one in every) / len(every)
    assert difference(first, second).p == pytest.approx(exact, abs=0.01)
    assert difference(second, first).p == difference(first, second).p


def test_equal_figures_have_a_p_value_of_one_and_the_same_seed_gives_the_same() -> None:
    assert difference([0.5] * 9, [0.5] * 9).p == 1.0
    first, second = [0.0] * 60, [0.0, 1.0, 0.0] * 20
    assert difference(first, second, 3) == difference(first, second, 3)
    assert 0 < difference(first, second).p < 0.001


def test_chance_alone_is_rarely_significant() -> None:
    import numpy as np

    chance = np.random.default_rng(0)
    found = [difference(chance.random(40).tolist(), chance.random(40).tolist()).p for _ in range(100)]
    assert sum(p < 0.05 for p in found) <= 12


def test_only_questions_that_both_sides_have_are_compared() -> None:
    first = {"page": {"mrr": {"a": 1.0, "b": 0.5}, "recall@5": {"a": 1.0}}, "document": {"mrr": {"a": 1.0}}}
    found = compare(first, {"page": {"mrr": {"b": 1.0, "c": 0.0}}})
    assert set(found) == {"page"} and set(found["page"]) == {"mrr"}
    assert found["page"]["mrr"]["n"] == 1 and found["page"]["mrr"]["difference"] == 0.5


def test_rounding_is_no_difference() -> None:
    assert difference([0.1 + 0.2], [0.3]).ties == 1
