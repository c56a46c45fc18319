"""Facts compare by value, in any spelling."""

import pytest

from localrag.grounding.fact_checks import Evidence, find_names, find_numbers


def unsupported(answer, evidence, language="english"):
    there = Evidence(evidence)
    found = [*find_numbers(answer, language), *find_names(answer, language)]
    return [fact.text for fact in found if not there.supports(fact, language)]


SAME = [
    ("1,234.50", "1234.5"),
    ("1.234,50 Euro", "EUR 1,234.50"),
    ("$5 million", "USD 5,000,000"),
    ("12 days", "twelve days"),
    ("30 days", "thirty (30) calendar days"),
    ("30 days", "a 30-day period"),
    ("12 months", "one year, that is 1 year"),
    ("3 May 2024", "2024-05-03"),
    ("05/03/2024", "3 May 2024"),
    ("2024", "3 May 2024"),
    ("on 1 January 1998", "this 1st day of January, 1998"),
    ("May 2024", "from 17 May 2024"),
    ("16.4 %", "16.4 per cent"),
    ("the 3rd clause", "clause 3"),
    ("about 5.4 million", "5,363,000"),
    ("§ 12.3", "under 12.3 below"),
    ("363 in 2018", "2019 5 363 2018"),
    ("9:30", "09:30"),
    ("$5,363 million", "| Sales | 5,363 |"),
    ("250,000 dollars", "two hundred and fifty thousand dollars"),
    ("FY2018", "in 2018"),
    ("30日内", "三十(30) 日"),
    ("１２ 个月", "12个月"),
    ("dreißig Tage", "30 Tage"),
]
OTHER = [
    ("1,234.50", "1,234.60"),
    ("5 million", "5 billion"),
    ("30 days", "30 months"),
    ("30 days", "thirty (30) months"),
    ("3 May 2024", "2024-05-04"),
    ("3 May 2024", "3 May 2023"),
    ("May 2024", "17 June 2024"),
    ("5.4 million", "5,363,000"),
    ("about 5.4 million", "5,463,000"),
    ("48", "48,000"),
    ("363", "5,363"),
    ("clause A4", "clause A5"),
    ("the fee is 7,431", ""),
    ("15. Mai", "14. Mai 2020"),
]


@pytest.mark.parametrize(("answer", "evidence"), SAME)
def test_the_same_in_another_spelling_is_supported(answer, evidence):
    assert unsupported(answer, evidence) == []


@pytest.mark.parametrize(("answer", "evidence"), OTHER)
def test_something_else_is_not(answer, evidence):
    assert unsupported(answer, evidence)


def test_what_numbers_a_list_or_counts_in_words_is_no_fact():
    assert unsupported("There are two parties:\n1. the tenant\n2) the landlord\n- 3. the guarantor", "nothing") == []


@pytest.mark.parametrize(
    ("answer", "evidence", "strange"),
    [
        ("It was signed by Jane Miller.", "signed: J. Miller, Jane", []),
        ("It was signed by John Smith.", "signed: Jane Miller", ["John Smith"]),
        ("The seat is in Berlin.", "registered in Hamburg", ["Berlin"]),
        ("The Tenant pays.", "the tenant pays", []),
        ("Both signed an NDA in March.", "a non-disclosure agreement of 3/2020", []),
        ("It moved to the United States.", "in the U.S. since then", []),
        ("It is under European law.", "the law of Europe", []),
        ("Acme Corp's rent is due.", "Rent is due to Acme Corp.", []),
        ("However, Elephants graze.", "elephants", []),
        ("Yes", "no", []),
    ],
)
def test_names_without_a_source_are_found(answer, evidence, strange):
    assert unsupported(answer, evidence) == strange


def test_german_nouns_are_no_names():
    assert unsupported("Der Mieter zahlt die Kaution an die Verwaltung.", "nichts davon", "german") == []
    assert unsupported("Gezahlt wird an die Firma Anna Schmidt.", "an Anna Weber", "german") != []


@pytest.mark.parametrize(
    "text",
    ["1" * 5000, "1." * 3000, "1,000" * 2000, "A" * 9000, "Aa " * 4000, "12 " * 4000, "May " * 3000],
    ids=range(7),
)
def test_odd_texts_are_read_to_the_end(text):
    unsupported(text, text[:2000])
