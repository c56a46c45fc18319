"""A sentence is marked where what it cites is said of another plan, party, company or year, and only there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asking import Shelf, ask

from localrag.answer.assistant import Assistant
from localrag.answer.checks import entities
from localrag.grounding import citations, context, prompts
from localrag.grounding.annotations import mark
from localrag.settings import Settings
from localrag.store.library import Library
from localrag.types import Filter, Flag, Passage

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
TEXTS = {
    "standard.txt": STANDARD,
    "health_plus.txt": PLUS,
    "lease.txt": LEASE,
    "report.txt": REPORT,
    "quarter.txt": QUARTER,
    "quillfen.txt": QUILLFEN,
    "tessar.txt": TESSAR,
}
Check = Callable[..., tuple[Flag, ...]]


@pytest.fixture
def library(shelf: Shelf) -> Library:
    return shelf("papers", TEXTS)


@pytest.fixture
def check(library: Library) -> Check:
    def checked(question: str, answer: str, *names: str) -> tuple[Flag, ...]:
        documents = library.documents()
        passages: list[Passage] = []
        for name in names:
            (unit,) = context.whole((library, library.document(name)), Filter())
            passages += unit.passages
        cited = citations.cite(answer, question, passages)
        assert cited.citations
        return entities.check(cited, question, passages, [(library, one) for one in documents]).flags

    return checked


RIGHT = [
    (
        "What is the maximum of Northwind Standard?",
        "The out-of-pocket maximum of Northwind Standard is $6,350.",
        "standard.txt",
    ),
    ("What is the out-of-pocket maximum of Northwind Standard?", "$6,350.", "standard.txt"),
    ("What must the Tenant pay?", "The Tenant must pay a deposit of EUR 4,900.", "lease.txt"),
    ("What must the tenant pay to the landlord?", "A deposit of EUR 4,900.", "lease.txt"),
    ("What must Tess Brunel pay?", "Tess Brunel must pay a deposit of EUR 4,900.", "lease.txt"),
    ("Who must insure the building?", "The Landlord.", "lease.txt"),
    ("How much is a box?", "Unlike Quillfen, Tessar charges EUR 3.40 for each box.", "tessar.txt"),
    ("How much is a box?", "Compared with Northwind Standard, Tessar charges EUR 3.40 for each box.", "tessar.txt"),
    ("When is the deposit repaid to the Tenant?", "The deposit shall be repaid within 30 days.", "lease.txt"),
    ("What was total revenue in 2021?", "Total revenue in 2021 was 168,088.", "report.txt"),
    ("What was total revenue in 2021?", "168,088.", "report.txt"),
    ("How did total revenue develop?", "Total revenue was 198,270 in 2022 and 168,088 in 2021.", "report.txt"),
    ("How many orders were there in 2021?", "There were 431 orders.", "report.txt"),
    ("How many staff were there in 2021?", "Staff numbered 77.", "report.txt"),
    ("What were sales for the three months ended June 30?", "Sales were 340.", "quarter.txt"),
    ("What does Quillfen charge?", "EUR 2.95.", "quillfen.txt"),
    ("What does Quillfen charge?", "Quillfen charges EUR 2.95 for each box.", "quillfen.txt"),
    ("What is charged?", "EUR 2.95 for each box.", "quillfen.txt"),
]
SWAPPED = [
    (
        "What is the maximum of each plan?",
        "Northwind Health Plus has an out-of-pocket maximum of $6,350.",
        "standard.txt",
    ),
    ("What is the out-of-pocket maximum of Northwind Health Plus?", "$6,350.", "standard.txt"),
    ("What is covered?", "Northwind Standard covers emergency care abroad.", "health_plus.txt"),
    ("What was total revenue in 2021?", "198,270.", "report.txt"),
    ("How did total revenue develop?", "Total revenue was 198,270 in 2021.", "report.txt"),
    ("How did total revenue develop?", "Total revenue was 168,088 in 2022 and 198,270 in 2021.", "report.txt"),
    ("How many orders were there in 2021?", "There were 512 orders.", "report.txt"),
    ("What was the cost of sales in 2022?", "198,270.", "report.txt"),
    ("What were sales for the six months ended June 30?", "Sales were 340.", "quarter.txt"),
    ("What does Tessar charge?", "EUR 2.95.", "quillfen.txt"),
    ("What is charged?", "Tessar charges EUR 2.95 for each box.", "quillfen.txt"),
]


@pytest.mark.parametrize(("question", "answer", "name"), RIGHT)
def test_what_is_said_of_the_right_one_is_not_marked(check: Check, question: str, answer: str, name: str) -> None:
    assert check(question, answer, name) == ()


@pytest.mark.parametrize(("question", "answer", "name"), SWAPPED)
def test_what_is_said_of_another_one_is_marked(check: Check, question: str, answer: str, name: str) -> None:
    (flag,) = check(question, answer, name)
    assert flag.kind == "entity" and name in flag.reason


def test_a_passage_that_says_it_of_the_right_one_speaks_for_the_sentence(library: Library, check: Check) -> None:
    answer = "Delivery takes two days."
    assert check("How long does delivery by Tessar take?", answer, "quillfen.txt", "tessar.txt")
    other = TESSAR.replace("four", "two")
    passages = [
        Passage("papers", name, None, None, (), text, 0, len(text), 1.0, document_id=library.document(name).id)
        for name, text in (("quillfen.txt", QUILLFEN), ("tessar.txt", other))
    ]
    cited = citations.cite(answer, "How long does delivery take?", passages[:1])
    pairs = [(library, one) for one in library.documents()]
    reviewed = entities.check(cited, "How long does delivery by Tessar take?", passages, pairs)
    assert reviewed.flags == () and [one.document for one in reviewed.citations] == ["quillfen.txt", "tessar.txt"]
    assert reviewed.answer == "Delivery takes two days [1][2]."


def test_a_name_that_many_documents_have_tells_none_from_another(shelf: Shelf) -> None:
    library = shelf(
        "ndas",
        {f"{n}.txt": f"The Receiving Party shall keep {n} copies." for n in (2, 3, 4, 5)}
        | {"6.txt": "Bidder shall keep six copies of all plans."},
    )
    passage = Passage(
        "ndas",
        "6.txt",
        None,
        None,
        (),
        text := "Bidder shall keep six copies of all plans.",
        0,
        len(text),
        1.0,
        document_id=library.document("6.txt").id,
    )
    question = "How many copies of all plans are for the Receiving Party?"
    cited = citations.cite("Six copies of all plans.", question, [passage])
    assert entities.check(cited, question, [passage], [(library, one) for one in library.documents()]).flags == ()


YEARS = """Figures of the group

|  | 2023 | 2022 |
| --- | --- | --- |
| Revenue (EUR million) | 4.2 | 3.9 |
| Personnel costs | 1,900 | 1,750 |

The rent rises to EUR 1,260 in 2023. The card costs EUR 15 in 2023."""


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What was revenue before 2023?", "Revenue was EUR 3.9 million."),
        ("What was the prior year's revenue in the annual report 2023?", "Revenue was EUR 3.9 million."),
        ("What does the annual report 2023 give as personnel costs of the year before?", "Personnel costs of 1,750."),
        ("Which personnel costs are in the annual report 2023?", "Personnel costs of 1,900 and 1,750."),
        ("Did personnel costs rise in 2023?", "Yes, personnel costs rose from 1,750 to 1,900."),
        ("How much higher was revenue in 2023?", "Revenue was 4.2 million, and 3.9 million."),
        ("What does the card cost since 2022?", "The card costs EUR 15."),
        ("What is the rent in 2024?", "The rent is EUR 1,260."),
        ("What was revenue?", "Compared with 2022, revenue of EUR 4.2 million is more."),
    ],
)
def test_a_year_that_is_only_compared_with_is_not_the_year_of_a_figure(
    shelf: Shelf, question: str, answer: str
) -> None:
    assert _flags(shelf("small", {"annual report 2023.md": YEARS}), "annual report 2023.md", question, answer) == ()
    name = "annual report for the year to 31 December 2023.md"
    for asked in ("What was revenue in 2023?", "What was revenue in the year to December 31, 2023?"):
        assert _flags(shelf(f"at{len(asked)}", {name: YEARS}), name, asked, "Revenue was EUR 3.9 million.")


ORLO = "Lease of the flat with Orlo\n\nThe rent of the flat is EUR 1,400. The deposit is EUR 1,900."
CALDER = "Lease of the office in Potsdam with Calder\n\nThe rent of the office is EUR 1,200. The deposit is EUR 2,600."
BERLIN = "Berlin\n\nCalder has a flat in Berlin."
SMALL = {"Orlo lease.md": ORLO, "Calder lease.md": CALDER}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"Orlo amendment 1.md": "Orlo agrees to paint the walls."},
        {"memo.md": "Orlo called about the walls."},
        {"berlin.md": BERLIN},
        {f"{n}.md": "Orlo called about the walls." for n in range(10)},
    ],
)
def test_an_incidental_name_of_another_document_is_no_reason(shelf: Shelf, more: dict[str, str]) -> None:
    library = shelf("small", SMALL | more)
    for question, answer in (
        ("For the Potsdam office: what is the deposit of the Orlo lease?", "The deposit is EUR 1,900."),
        ("What is the rent of the flat in Berlin under the Orlo lease?", "EUR 1,400."),
    ):
        assert _flags(library, "Orlo lease.md", question, answer) == ()


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"Orlo amendment 1.md": "Orlo agrees to paint the walls."},
        {"memo.md": "Orlo called about the walls."},
        {"Orlo amendment 1.md": "Orlo paints the walls.", "Orlo amendment 2.md": "Orlo paints the doors."},
    ],
)
def test_few_documents_are_told_apart_though_most_have_the_name(shelf: Shelf, more: dict[str, str]) -> None:
    assert _flags(shelf("small", SMALL | more), "Calder lease.md", "What is the rent of the Orlo lease?", "EUR 1,200.")


def _flags(library: Library, name: str, question: str, answer: str) -> tuple[Flag, ...]:
    (unit,) = context.whole((library, library.document(name)), Filter())
    cited = citations.cite(answer, question, unit.passages)
    assert cited.citations
    return entities.check(cited, question, unit.passages, [(library, one) for one in library.documents()]).flags


def test_a_longer_form_of_a_name_is_no_other_one(shelf: Shelf) -> None:
    text = (
        "Recovery\n\nNorthwind's Health Plus Cover recovers money from others. Northwind Basic Cover recovers no money."
    )
    library = shelf("forms", {"cover.txt": text})
    question = "What does the Northwind Health Plus Benefits Booklet recover?"
    assert _flags(library, "cover.txt", question, "It recovers money from others.") == ()


HALLS = "The rent of Hall 4 is EUR 900. The rent of Hall 5 is EUR 1,200."
PLANS = "Plan Standard covers dental care up to $500. Plan Plus covers dental care up to $900."
COLUMNS = "| | Hall 4 | Hall 5 |\n|---|---|---|\n| Rent | 900 | 1,200 |"


@pytest.mark.parametrize(
    ("text", "question", "answer", "marked"),
    [
        (HALLS, "What is the rent of Hall 5?", "EUR 900.", True),
        (HALLS, "What is the rent?", "The rent of Hall 5 is EUR 900.", True),
        (HALLS, "What is the rent of Hall 4?", "EUR 900.", False),
        (PLANS, "What does Plan Plus cover?", "Dental care up to $500.", True),
        (PLANS, "What does Plan Plus cover?", "Dental care up to $900.", False),
        (COLUMNS, "What is the rent of Hall 5?", "900.", True),
        (COLUMNS, "What is the rent of Hall 5?", "1,200.", False),
    ],
)
def test_names_of_one_kind_in_one_document_are_told_apart(
    shelf: Shelf, text: str, question: str, answer: str, marked: bool
) -> None:
    library = shelf("kinds", {"kinds.md": text, "dogs.md": "Dogs are kept on a lead."})
    assert bool(_flags(library, "kinds.md", question, answer)) == marked


AGREEMENTS = {
    "nda.txt": "This agreement is governed by the laws of Delaware. The term is three years.",
    "supply.txt": "This agreement is governed by the laws of England. The term is five years.",
    "house rules.txt": "The Tenant sweeps the stairs on Monday.",
}


@pytest.mark.parametrize(
    ("question", "answer", "marked"),
    [
        ("Which law governs the supply agreement?", "The laws of Delaware.", True),
        ("which law governs the supply contract", "Delaware.", True),
        ("Which law governs?", "The supply agreement is governed by the laws of Delaware.", True),
        ("Which law governs the supply agreement?", "The laws of England.", False),
        ("Which law governs the nda?", "Delaware.", False),
        ("What is the term of the supply agreement?", "Three years.", True),
        ("Who pays for the supply of gas?", "The term is three years.", False),
        ("What do the rules say of Monday?", "The Tenant sweeps the stairs on Monday.", False),
    ],
)
def test_a_document_may_be_named_in_small_letters(shelf: Shelf, question: str, answer: str, marked: bool) -> None:
    library = shelf("agreements", AGREEMENTS)
    passages = [
        one for name in AGREEMENTS for one in context.whole((library, library.document(name)), Filter())[0].passages
    ]
    pairs = [(library, one) for one in library.documents()]
    cited = citations.cite(answer, question, passages)
    found = entities.check(cited, question, passages, pairs)
    assert bool(found.flags) == marked
    assert entities.withholds(found, question, passages, pairs) == (marked and "law governs?" not in question)


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


@pytest.mark.parametrize(
    ("question", "answer", "marked"),
    [
        ("What were diluted average shares outstanding in 2022?", "38,374.", True),
        ("What were diluted average shares outstanding in 2022?", "39,883.", False),
        ("What were total operating expenses in 2022?", "6,797.", True),
        ("What were the average shares in 2022?", "38,374.", False),
        ("What was research in 2022?", "6,797.", False),
    ],
)
def test_a_row_that_fits_better_is_a_reason(shelf: Shelf, question: str, answer: str, marked: bool) -> None:
    assert bool(_flags(shelf("rows", {"shares.md": SHARES}), "shares.md", question, answer)) == marked


@pytest.mark.parametrize(
    ("answer", "marked"),
    [
        ("Total revenue was 198,270 and cost of sales 62,650.", False),
        ("Total revenue was 62,650 and cost of sales 198,270.", True),
        ("Cost of sales was 198,270.", True),
        ("Cost of sales was 62,650 in 2022 and 52,232 in 2021.", False),
        ("Cost of sales was 198,270 in 2022 and 168,088 in 2021.", True),
        ("With cost of sales of 62,650, total revenue was 198,270.", False),
    ],
)
def test_a_figure_is_of_the_row_that_its_sentence_says(check: Check, answer: str, marked: bool) -> None:
    for question in ("How do total revenue and cost of sales compare?", "What are the figures of the year?"):
        assert bool(check(question, answer, "report.txt")) == marked


@pytest.mark.parametrize(
    ("question", "answer", "marked"),
    [
        ("What was the result before taxes in 2022?", "The result before taxes was 3,210.", True),
        ("What was the result before taxes in 2022?", "The result before taxes was 4,120.", False),
        ("Did the result before taxes rise in 2022?", "Yes, the result before taxes rose to 3,210.", True),
        ("Did the result before taxes rise in 2022?", "Yes, the result before taxes rose from 3,210 to 4,120.", False),
        ("How did the result before taxes do?", "Compared with 2021, the result before taxes was 2,900 in 2022.", True),
        (
            "How did the result before taxes do?",
            "Compared with 2021, the result before taxes was 4,120 in 2022.",
            False,
        ),
        ("What was the result before taxes before the end of 2022?", "The result before taxes was 3,210.", False),
        ("Wie hoch war das result before taxes vor dem Jahr 2022?", "The result before taxes was 3,210.", False),
    ],
)
def test_a_change_does_not_hide_the_year_that_is_asked_for(
    shelf: Shelf, question: str, answer: str, marked: bool
) -> None:
    text = "Results\n\n|  | 2022 | 2021 | 2020 |\n|---|---|---|---|\n| Result before taxes | 4,120 | 3,210 | 2,900 |"
    assert bool(_flags(shelf("taxes", {"results.md": text}), "results.md", question, answer)) == marked


def test_a_title_of_common_words_is_no_name(shelf: Shelf) -> None:
    texts = {f"{n}.md": "Some notice of other conditions." for n in range(9)}
    texts["notice.md"] = "Your Notice of Pre-Existing Conditions is in the appendix."
    texts["plan.md"] = "The notice shows pre-existing conditions that may apply to your cover."
    answer = "The notice shows conditions that may apply to your cover."
    library = shelf("notices", texts)
    passages = [
        one
        for name in ("plan.md", "notice.md")
        for one in context.whole((library, library.document(name)), Filter())[0].passages
    ]
    question = "What does the Notice of Pre-Existing Conditions mean?"
    cited = citations.cite(answer, question, passages)
    assert [one.document for one in cited.citations] == ["plan.md"]
    assert entities.check(cited, question, passages, [(library, one) for one in library.documents()]).flags == ()


# --- in an answer


@pytest.fixture
def assistant(library: Library, models: Any, settings: Settings) -> Assistant:
    return Assistant(settings)


def test_one_sentence_of_another_one_is_marked_and_shown(assistant: Assistant, models: Any) -> None:
    models.generator.script = [("", "Total revenue was 198,270 in 2022. The cost of sales was 198,270 in 2022.")]
    answer = ask(assistant, "What is said of total revenue in 2022?", "papers", documents=["report.txt"])[1]
    assert answer.found and [flag.kind for flag in answer.flags] == ["entity"]
    marked = mark(answer.answer, answer.unsupported, answer.flags)
    assert "The cost of sales was 198,270 in 2022⚠" in marked and marked.count("⚠") == 1


def test_what_is_withheld_is_listed_with_its_flag(assistant: Assistant, models: Any) -> None:
    models.generator.script = [("", "Total revenue was 198,270 in 2021.")]
    answer = ask(assistant, "What was total revenue in 2021?", "papers", documents=["report.txt"])[1]
    assert not answer.found and answer.answer == prompts.NOT_FOUND and answer.citations == ()
    (flag,) = answer.flags
    assert flag.kind == "entity" and answer.unsupported == (flag.text,)
