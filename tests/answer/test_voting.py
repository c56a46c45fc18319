"""Two answers agree by what they say; a vote ends when it is decided."""

from __future__ import annotations

import pytest

from localrag.answer.voting import agree, decided, grouped, too_long

RENT, END, WHO = "What is the yearly rent of Hall 3?", "When does the lease of Hall 3 end?", "Who signed the lease?"

SAME = [
    (RENT, "The yearly rent is EUR 48,000 [1].", "It is €48.000,00, payable in advance."),
    (RENT, "48000", "The yearly rent of Hall 3 is 48,000 euros."),
    (END, "The lease ends on 31 May 2030.", "May 31, 2030"),
    (END, "It ends in May 2030.", "The lease of Hall 3 ends on 31 May 2030 [2]."),
    (END, "After thirty days.", "After 30 days."),
    (WHO, "The lease was signed by Jane Doe.", "Jane Doe signed it."),
    (WHO, "jane doe", "The JANE DOE."),
    (WHO, "The documents do not say.", "The passages do not mention who signed."),
    (WHO, "", "The documents do not say."),
]
OTHER = [
    (RENT, "The yearly rent is EUR 48,000.", "The yearly rent is EUR 84,000."),
    (RENT, "The yearly rent of Hall 3 is 48,000.", "The documents do not say."),
    (END, "It ends on 31 May 2030.", "It ends on 30 May 2030."),
    (END, "It ends in 2030.", "It ends in 2031."),
    (WHO, "Jane Doe signed the lease.", "Peter Roe signed the lease."),
    ("Is smoking allowed?", "Yes, smoking is allowed.", "No, smoking is not allowed."),
    ("May the tenant sublet?", "The tenant may sublet.", "The tenant may not sublet."),
]


@pytest.mark.parametrize(("question", "one", "other"), SAME)
def test_the_same_in_other_words_agrees(question: str, one: str, other: str) -> None:
    assert agree(one, other, question) and agree(other, one, question)


@pytest.mark.parametrize(("question", "one", "other"), OTHER)
def test_another_value_name_or_sign_does_not(question: str, one: str, other: str) -> None:
    assert not agree(one, other, question) and not agree(other, one, question)


def test_long_answers_are_not_compared() -> None:
    assert too_long("word " * 61) and not too_long("word " * 60)


@pytest.mark.parametrize(
    ("answers", "left", "over"),
    [
        (["48,000"], 2, False), (["48,000", "EUR 48,000"], 1, True), (["48,000", "84,000"], 1, False),
        (["1", "1", "1"], 2, True), (["1", "1", "2", "2"], 1, False), (["1", "2", "9"], 0, True),
    ],
)  # fmt: skip
def test_a_vote_is_decided_once_the_rest_cannot_change_it(answers: list[str], left: int, over: bool) -> None:
    assert decided(grouped(answers, RENT), left) is over


def test_the_largest_group_wins_and_of_a_tie_the_earliest() -> None:
    assert grouped(["1", "2", "2"], RENT) == [[1, 2], [0]]
    assert grouped(["1", "2", "9"], RENT)[0] == [0]
    answers = ["It is 84,000.", "48,000", "EUR 48,000", "48.000 €", "The documents do not say."]
    assert grouped(answers, RENT) == [[1, 2, 3], [0], [4]]
