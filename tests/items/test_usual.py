"""What is usual among contracts: counts, ranges, wordings and comparisons of findings."""

import pytest

from localrag.errors import ReadError
from localrag.items import usual
from localrag.items.playbook import Expect, Playbook, PlaybookItem
from localrag.types import Checked, Citation

PAY = PlaybookItem("pay", "When is an invoice payable?", "duration", like=("payable within thirty days",))
LAW = PlaybookItem("law", "Which law governs?")
PETS = PlaybookItem("pets", "Does it allow pets?", "yes/no")
BOOK = Playbook("Test", (PETS, PAY, LAW))


def finding(document, item, value="", state="found", quote="", start=0):
    at = Citation("lib", document, 1, None, "p. 1", quote or f"It says {value}.", start, start + 9, 1)
    given = (value, None, "", at if state == "found" else None, 0.9, "", "")
    return Checked("lib", document, item.id, item.name, item.question, "medium", state, *given)


def days(*values):
    return [finding(f"{n}.txt", PAY, f"{value} days") for n, value in enumerate(values)]


def embed(texts):
    return [[float("middle" in text), 1.0] for text in texts]


def drafted(findings, item="pay"):
    return usual.draft(BOOK, findings, "lib", embed).item(item)


def test_the_range_is_that_of_the_middle_four_of_five():
    item = drafted(days(1, 30, 30, 30, 30, 45, 45, 60, 60, 900))
    assert item.expect == Expect(at_least="30 days", at_most="60 days")
    assert "30 days in 4" in item.note and "from 1 day to 900 days" in item.note.replace("1 days", "1 day")


def test_few_values_and_clauses_that_many_lack_get_no_limit():
    assert drafted(days(30, 30, 30, 60)).expect is True
    lacking = [finding(f"no{n}.txt", PAY, state="absent") for n in range(5)]
    assert not drafted([*days(30, 30, 30, 30, 60), *lacking]).position


def test_what_is_unsure_counts_neither_as_clause_nor_as_value():
    unsure = [finding(f"un{n}.txt", PAY, "90 days", "unsure") for n in range(5)]
    item = drafted([*days(30, 30, 30, 30, 60), *unsure])
    assert item.note.startswith("In 5 of 10 contracts (5 unsure).") and "90" not in item.note


def test_a_law_that_most_have_is_expected_and_the_middle_wording_proposed():
    long = "This agreement and all that follows from it is governed by the {}law of Kansas."
    quotes = [long.format(""), *[long.format(f"middle {n} ") for n in range(4)]]
    item = drafted([finding(f"{n}.txt", LAW, "Kansas", quote=quote) for n, quote in enumerate(quotes)], "law")
    assert item.position == Expect(one_of=("Kansas",)) and "middle" in item.fallback
    assert "The proposed text is from" in item.note and len(item.like) == 3


def test_clauses_come_in_the_order_of_the_contracts_and_rare_ones_not_at_all():
    found = [one for n in range(6) for one in (finding(f"{n}", LAW, "Iowa", start=50), finding(f"{n}", PAY, "5 days"))]
    absent = [finding(f"{n}", PETS, state="absent") for n in range(1, 6)]
    book = usual.draft(BOOK, [*found, *absent, finding("0", PETS, "yes")], "lib", embed)
    assert [one.id for one in book.items] == ["pay", "law"]
    with pytest.raises(ReadError):
        usual.draft(BOOK, absent, "lib", embed)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("90 days", "longer than all 5; 5 of 5 in lib have it"),
        ("1 month", "longer than 4, shorter than 1 of 5; 5 of 5 in lib have it"),
        ("30 days", "shorter than 1, as in 4 of 5; 5 of 5 in lib have it"),
    ],
)
def test_a_value_is_compared_with_those_of_other_contracts(value, words):
    one = finding("new.txt", PAY, value)
    (compared,) = usual.against(BOOK, [one], days(30, 30, 30, 30, 60), "lib").values()
    assert compared.words == words
