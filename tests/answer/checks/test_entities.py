"""A sentence is marked where what it cites is said of another plan, company, row or year, and only there."""

from __future__ import annotations

import pytest
from asking import ask

from localrag.answer.assistant import Assistant
from localrag.answer.checks import entities
from localrag.grounding import citations, context, prompts
from localrag.grounding.annotations import mark
from localrag.types import Filter, Passage

STANDARD = """Northwind Standard

The out-of-pocket maximum is $6,350 per person. It covers basic dental care with a co-payment of $20."""
PLUS = """Northwind Health Plus

The out-of-pocket maximum is $4,000 per person. Northwind Health Plus covers emergency care abroad."""
LEASE = """Lease between Orlo Ltd (the "Landlord") and Tess Brunel (the "Tenant").

The Tenant shall pay a deposit of EUR 4,900 to the Landlord. The Landlord shall insure the building.
The Tenant may keep one dog. The deposit shall be repaid within 30 days."""
REPORT = """Figures of the year

|  | 2022 | 2021 |
| --- | --- | --- |
| Total revenue | 198,270 | 168,088 |
| Cost of sales | 62,650 | 52,232 |

Orders rose to 512 in 2022, compared with 431 in 2021. Staff numbered 77."""
QUARTER = """| | Three Months Ended June 30, 2023 | Six Months Ended June 30, 2023 |
| --- | --- | --- |
| Sales | 340 | 655 |"""
QUILLFEN = "Price list of Quillfen\n\nQuillfen charges EUR 2.95 for each box. Delivery takes two days."
TESSAR = "Price list of Tessar\n\nTessar charges EUR 3.40 for each box. Delivery takes four days."
YEARS = """Figures of the group

|  | 2023 | 2022 |
| --- | --- | --- |
| Revenue (EUR million) | 4.2 | 3.9 |
| Personnel costs | 1,900 | 1,750 |

The rent rises to EUR 1,260 in 2023. The card costs EUR 15 in 2023."""
TAXES = "Results\n\n|  | 2022 | 2021 | 2020 |\n|---|---|---|---|\n| Result before taxes | 4,120 | 3,210 | 2,900 |"
SHARES = """Shares

|  | 2022 | 2021 |
| --- | --- | --- |
| Basic average shares outstanding | 38,374 | 37,167 |
| Diluted average shares outstanding | 39,883 | 38,010 |

Costs

|  | 2022 | 2021 |
| --- | --- | --- |
| Research and development | 6,797 | 5,717 |

Sums

|  | 2022 | 2021 |
| --- | --- | --- |
| Total operating expenses | 12,809 | 11,129 |"""
ORLO = "Lease of the flat with Orlo\n\nThe rent of the flat is EUR 1,400. The deposit is EUR 1,900."
CALDER = "Lease of the office in Potsdam with Calder\n\nThe rent of the office is EUR 1,200. The deposit is EUR 2,600."
SMALL = {"Orlo lease.md": ORLO, "Calder lease.md": CALDER}
WALLS = "Orlo called about the walls."
PAPERS = {
    "standard.txt": STANDARD,
    "health_plus.txt": PLUS,
    "lease.txt": LEASE,
    "report.txt": REPORT,
    "quarter.txt": QUARTER,
    "quillfen.txt": QUILLFEN,
    "tessar.txt": TESSAR,
}
AGREEMENTS = {
    "nda.txt": "This agreement is governed by the laws of Delaware. The term is three years.",
    "supply.txt": "This agreement is governed by the laws of England. The term is five years.",
    "house rules.txt": "The Tenant sweeps the stairs on Monday.",
}
KINDS = {
    "halls.md": "The rent of Hall 4 is EUR 900. The rent of Hall 5 is EUR 1,200.",
    "plans.md": "Plan Standard covers dental care up to $500. Plan Plus covers dental care up to $900.",
    "columns.md": "| | Hall 4 | Hall 5 |\n|---|---|---|\n| Rent | 900 | 1,200 |",
    "cover.md": "Recovery\n\nNorthwind's Health Plus Cover recovers EUR 7. Northwind Basic Cover recovers no money.",
}

# A library, the documents whose text was read ("": all), and for each question an answer; "!" if it is marked.
CASES: list[tuple[dict[str, str], str, list[tuple[str, str]]]] = [
    (
        PAPERS,
        "standard.txt",
        [
            (
                "What is the maximum of Northwind Standard?",
                "The out-of-pocket maximum of Northwind Standard is $6,350.",
            ),
            ("What is the out-of-pocket maximum of Northwind Standard?", "$6,350."),
            ("What is the maximum of each plan?", "!Northwind Health Plus has an out-of-pocket maximum of $6,350."),
            ("What is the out-of-pocket maximum of Northwind Health Plus?", "!$6,350."),
        ],
    ),
    (PAPERS, "health_plus.txt", [("What is covered?", "!Northwind Standard covers emergency care abroad.")]),
    (PAPERS, "lease.txt", [("What must Tess Brunel pay?", "Tess Brunel must pay a deposit of EUR 4,900.")]),
    (
        PAPERS,
        "report.txt",
        [
            ("What was total revenue in 2021?", "Total revenue in 2021 was 168,088."),
            ("What was total revenue in 2021?", "168,088."),
            ("What was total revenue in 2021?", "!198,270."),
            ("How did total revenue develop?", "Total revenue was 198,270 in 2022 and 168,088 in 2021."),
            ("How did total revenue develop?", "!Total revenue was 198,270 in 2021."),
            ("How did total revenue develop?", "!Total revenue was 168,088 in 2022 and 198,270 in 2021."),
            ("How many orders were there in 2021?", "There were 431 orders."),
            ("How many orders were there in 2021?", "!There were 512 orders."),
            ("How many staff were there in 2021?", "Staff numbered 77."),
            ("What was the cost of sales in 2022?", "!198,270."),
            ("What are the figures of the year?", "Total revenue was 198,270 and cost of sales 62,650."),
            ("What are the figures of the year?", "!Total revenue was 62,650 and cost of sales 198,270."),
            ("What are the figures of the year?", "Cost of sales was 62,650 in 2022 and 52,232 in 2021."),
            ("What are the figures of the year?", "!Cost of sales was 198,270 in 2022 and 168,088 in 2021."),
            ("What are the figures of the year?", "With cost of sales of 62,650, total revenue was 198,270."),
        ],
    ),
    (
        PAPERS,
        "quarter.txt",
        [
            ("What were sales for the three months ended June 30?", "Sales were 340."),
            ("What were sales for the six months ended June 30?", "!Sales were 340."),
        ],
    ),
    (
        PAPERS,
        "quillfen.txt",
        [
            ("What does Quillfen charge?", "Quillfen charges EUR 2.95 for each box."),
            ("What does Quillfen charge?", "EUR 2.95."),
            ("What does Tessar charge?", "!EUR 2.95."),
            ("What is charged?", "EUR 2.95 for each box."),
            ("What is charged?", "!Tessar charges EUR 2.95 for each box."),
        ],
    ),
    (PAPERS, "tessar.txt", [("How much is a box?", "Unlike Quillfen, Tessar charges EUR 3.40 for each box.")]),
    (
        {"annual report 2023.md": YEARS},
        "",
        [
            ("What was revenue before 2023?", "Revenue was EUR 3.9 million."),
            ("What was the prior year's revenue in the annual report 2023?", "Revenue was EUR 3.9 million."),
            ("Which personnel costs are in the annual report 2023?", "Personnel costs of 1,900 and 1,750."),
            ("Did personnel costs rise in 2023?", "Yes, personnel costs rose from 1,750 to 1,900."),
            ("How much higher was revenue in 2023?", "Revenue was 4.2 million, and 3.9 million."),
            ("What does the card cost since 2022?", "The card costs EUR 15."),
            ("What is the rent in 2024?", "The rent is EUR 1,260."),
            ("What was revenue?", "Compared with 2022, revenue of EUR 4.2 million is more."),
            ("What was revenue in 2023?", "!Revenue was EUR 3.9 million."),
        ],
    ),
    (
        {"results.md": TAXES},
        "",
        [
            ("What was the result before taxes in 2022?", "!The result before taxes was 3,210."),
            ("What was the result before taxes in 2022?", "The result before taxes was 4,120."),
            ("Did the result before taxes rise in 2022?", "!Yes, the result before taxes rose to 3,210."),
            ("How did it do?", "!Compared with 2021, the result before taxes was 2,900 in 2022."),
            ("What was the result before taxes before the end of 2022?", "The result before taxes was 3,210."),
        ],
    ),
    (
        {"shares.md": SHARES},
        "",
        [
            ("What were diluted average shares outstanding in 2022?", "!38,374."),
            ("What were diluted average shares outstanding in 2022?", "39,883."),
            ("What were total operating expenses in 2022?", "!6,797."),
            ("What were the average shares in 2022?", "38,374."),
            ("What was research in 2022?", "6,797."),
        ],
    ),
    (
        KINDS,
        "halls.md",
        [
            ("What is the rent of Hall 5?", "!EUR 900."),
            ("What is the rent?", "!The rent of Hall 5 is EUR 900."),
            ("What is the rent of Hall 4?", "EUR 900."),
        ],
    ),
    (
        KINDS,
        "plans.md",
        [
            ("What does Plan Plus cover?", "!Dental care up to $500."),
            ("What does Plan Plus cover?", "Dental care up to $900."),
        ],
    ),
    (KINDS, "columns.md", [("What is the rent of Hall 5?", "!900."), ("What is the rent of Hall 5?", "1,200.")]),
    (KINDS, "cover.md", [("What does the Northwind Health Plus Benefits Booklet recover?", "It recovers EUR 7.")]),
    (
        AGREEMENTS,
        "",
        [
            ("Which law governs the supply agreement?", "!The laws of Delaware."),
            ("Which law governs?", "!The supply agreement is governed by the laws of Delaware."),
            ("Which law governs the supply agreement?", "The laws of England."),
            ("What is the term of the supply agreement?", "!Three years."),
            ("Who pays for the supply of gas?", "The term is three years."),
            ("What do the rules say of Monday?", "The Tenant sweeps the stairs on Monday."),
        ],
    ),
    (
        {f"{n}.txt": f"The Receiving Party shall keep {n} copies." for n in (2, 3, 4, 5)}
        | {"6.txt": "Bidder shall keep six copies of all plans."},
        "6.txt",
        [("How many copies of all plans are for the Receiving Party?", "Six copies of all plans.")],
    ),
    *[
        (
            SMALL | more,
            "Orlo lease.md",
            [("For the Potsdam office: what is the deposit of the Orlo lease?", "The deposit is EUR 1,900.")],
        )
        for more in ({}, {"memo.md": WALLS}, {f"{n}.md": WALLS for n in range(10)})
    ],
    *[
        (SMALL | more, "Calder lease.md", [("What is the rent of the Orlo lease?", "!EUR 1,200.")])
        for more in ({}, {"memo.md": WALLS}, {"Orlo amendment 1.md": WALLS, "Orlo amendment 2.md": WALLS})
    ],
]


def checked(library, name, question, answer):
    documents = library.documents()
    read = [one for one in documents if name in ("", one.path)]
    passages = [
        passage for one in read for unit in context.whole((library, one), Filter()) for passage in unit.passages
    ]
    cited = citations.cite(answer, question, passages)
    assert cited.citations
    return entities.check(cited, question, passages, [(library, one) for one in documents])


@pytest.mark.parametrize(
    ("texts", "name", "answers"), CASES, ids=[f"{name}-{n}" for n, (_, name, _) in enumerate(CASES)]
)
def test_what_is_said_of_another_one_is_marked_and_only_that(shelf, texts, name, answers):
    library = shelf("papers", texts)
    for question, answer in answers:
        found = checked(library, name, question, answer.removeprefix("!"))
        assert [flag.kind for flag in found.flags] == ["entity"] * answer.startswith("!"), (question, answer)


def test_a_passage_that_says_it_of_the_right_one_speaks_for_the_sentence(shelf):
    library = shelf("papers", PAPERS)
    passages = [
        Passage("papers", name, None, None, (), text, 0, len(text), 1.0, document_id=library.document(name).id)
        for name, text in (("quillfen.txt", QUILLFEN), ("tessar.txt", TESSAR.replace("four", "two")))
    ]
    cited = citations.cite("Delivery takes two days.", "How long does delivery take?", passages[:1])
    pairs = [(library, one) for one in library.documents()]
    found = entities.check(cited, "How long does delivery by Tessar take?", passages, pairs)
    assert found.flags == () and [one.document for one in found.citations] == ["quillfen.txt", "tessar.txt"]
    assert found.answer == "Delivery takes two days [1][2]."


def test_an_answer_is_withheld_where_all_of_it_is_of_another_one_than_asked_for(shelf):
    library = shelf("papers", AGREEMENTS)
    pairs = [(library, one) for one in library.documents()]
    answer = "The supply agreement is governed by the laws of Delaware."
    for question, withheld in (("Which law governs?", False), ("Which law governs the supply agreement?", True)):
        assert entities.withholds(checked(library, "", question, answer), question, (), pairs) == withheld


# --- in an answer


@pytest.fixture
def assistant(shelf, models, settings):
    shelf("papers", PAPERS)
    return Assistant(settings)


def test_one_sentence_of_another_one_is_marked_and_shown(assistant, models):
    models.generator.script = [("", "Total revenue was 198,270 in 2022. The cost of sales was 198,270 in 2022.")]
    answer = ask(assistant, "What is said of total revenue in 2022?", "papers", documents=["report.txt"])[1]
    assert answer.found and [flag.kind for flag in answer.flags] == ["entity"]
    marked = mark(answer.answer, answer.unsupported, answer.flags)
    assert "The cost of sales was 198,270 in 2022⚠" in marked and marked.count("⚠") == 1


def test_what_is_withheld_is_listed_with_its_flag(assistant, models):
    models.generator.script = [("", "Total revenue was 198,270 in 2021.")]
    answer = ask(assistant, "What was total revenue in 2021?", "papers", documents=["report.txt"], mode="retrieve")[1]
    assert not answer.found and answer.answer == prompts.NOT_FOUND and answer.citations == ()
    (flag,) = answer.flags
    assert flag.kind == "entity" and answer.unsupported == (flag.text,)
