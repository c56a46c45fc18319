import pytest

from localrag.diff.substance import contradiction


@pytest.mark.parametrize(
    ("one", "other", "first", "second"),
    [
        ("The notice period is thirty (30) days.", "The notice period is 60 days.", "thirty (30) days", "60 days"),
        ("Interest is 5 percent a year.", "Interest is 8 % a year.", "5 percent", "8 %"),
        ("The deposit amounts to EUR 12,000.", "The deposit amounts to 12.500 €.", "EUR 12,000", "12.500 €"),
        ("The lease ends on 31 May 2030.", "The lease ends on 2031-05-31.", "31 May 2030", "2031-05-31"),
        ("The licence runs until 2027.", "The licence runs until 2029.", "2027", "2029"),
        ("Die Frist beträgt drei Monate.", "Die Frist beträgt sechs Monate.", "drei Monate", "sechs Monate"),
        ("| SL3 | Retrieval | 4 hours | 99.0% |", "| SL3 | Retrieval | 2 hours | 99.0% |", "4 hours", "2 hours"),
        ("It may be assigned.", "It may not be assigned.", "It may be assigned.", "It may not be assigned."),
    ],
)
def test_another_figure_or_a_not_is_a_contradiction(one, other, first, second):
    for a, b, words in ((one, other, (first, second)), (other, one, (second, first))):
        found = contradiction(a, b)
        assert found is not None and (a[slice(*found[0])], b[slice(*found[1])]) == words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The notice period is 30 days.", "The notice period is thirty (30) days."),
        (
            "Net sales for the quarter ended 1 July 2023 were $81.8 billion.",
            "Net sales for the quarter ended 25 June 2022 were $83.0 billion.",
        ),
        ("See Section 9.3 for the limit of liability.", "See Section 9.4 for the limit of liability."),
        ("| Total | 94,836 | 81,797 | 293,787 |", "| Total | 94,846 | 82,959 | 304,182 |"),
        ("The limit is 30 kg for each parcel.", "The limit is 30 percent for each parcel."),
    ],
)
def test_the_same_and_another_period_or_subject_are_none(one, other):
    assert contradiction(one, other) is None and contradiction(other, one) is None
