"""Where documents conflict an answer shows both sides, each with a quote of its own, the later first."""

from __future__ import annotations

import pytest
from asking import answered
from click.testing import CliRunner

from localrag.answer.checks import conflicts
from localrag.cli.app import localrag

SERVICES = """Services Agreement for Archive Storage

Signed 3 February 2025 between Varr Clinics and Quill Records Ltd, reference VC-2025-014.

8. Storage
8.1 The Supplier shall keep every box in a locked store.
8.2 The temperature shall stay below 22 degrees.
9. Charges and payment
9.1 The Supplier shall invoice the Client at the end of each month.
9.2 Tax is payable in addition.
9.3 The Client shall pay each valid invoice within forty-five (45) days after it receives the invoice.
B4. Emergency retrieval
The Supplier shall deliver a file ordered as an emergency within four (4) hours of the call.
B5. Other retrieval
The Supplier shall deliver any other file within two days of the order."""
AMENDMENT = """Amendment No. 1

Signed 8 September 2025 between Varr Clinics and Quill Records Ltd. It amends the Services Agreement for Archive Storage
between them dated 3 February 2025.

1. This Amendment takes effect on 1 October 2025.
2. Clause 9.3 of the Agreement is deleted and replaced with the following:
"9.3 The Client shall pay each valid invoice within thirty (30) days after it receives the invoice."
3. In paragraph B4, the words "four (4) hours" are replaced with "two (2) hours".
4. Except as changed by this Amendment, clause 8.2 and clause 9.1 are unchanged."""
SECOND = """Amendment No. 2

Signed 1 May 2026 between Varr Clinics and Quill Records Ltd. It amends the Services Agreement for Archive Storage
dated 3 February 2025.

1. Clause 9.3 of the Agreement is deleted and replaced with the following:
"9.3 The Client shall pay each valid invoice within fourteen (14) days after it receives the invoice."
"""
OTHER = (
    SERVICES.replace("Varr Clinics", "Moor Schools")
    .replace("VC-2025-014", "MS-2024-002")
    .replace("3 February 2025", "5 June 2024")
)
POLICY = "Travel policy\n\n{date}\n\nHotels are paid up to EUR {hotel} a night. Taxis are paid where no train runs."


def says(answer):
    return [[(side.says, side.document) for side in conflict.sides] for conflict in answer.conflicts]


def verified(answer, library):
    for citation in answer.citations:
        text = library.page_text(library.document(citation.document).id, 0)
        assert text[citation.start : citation.end] == citation.quote
    markers = [citation.marker for citation in answer.citations]
    assert markers == list(range(1, len(markers) + 1))
    for conflict in answer.conflicts:
        for side in conflict.sides:
            own = answer.citations[side.marker - 1]
            assert own.document == side.document and side.says in " ".join(own.quote.split())


@pytest.fixture
def contracts(shelf, models):
    models.generator.script = [
        ("pay", "The Client shall pay within forty-five (45) days after it receives the invoice."),
        ("emergency", "A file ordered as an emergency is delivered within four (4) hours of the call."),
        ("temperature", "The temperature shall stay below 22 degrees."),
        ("other file", "Any other file is delivered within two days of the order."),
    ]
    return shelf("contracts", {"amendment-1.txt": AMENDMENT, "services.txt": SERVICES})


@pytest.mark.parametrize("mode", ["retrieve", "read"])
@pytest.mark.proves("both-shown")
def test_an_amendment_is_shown_before_what_it_changes(contracts, settings, mode):
    answer = answered(settings, "When must the Client pay?", "contracts", mode=mode, documents=["*"])
    assert says(answer) == [[("thirty (30) days", "amendment-1.txt"), ("forty-five (45) days", "services.txt")]]
    assert [side.date for side in answer.conflicts[0].sides] == ["2025-09-08", "2025-02-03"]
    verified(answer, contracts)


def test_words_that_an_amendment_exchanges_are_found_where_they_stand(contracts, settings):
    answer = answered(settings, "How soon is an emergency file delivered?", "contracts")
    assert says(answer) == [[("two (2) hours", "amendment-1.txt"), ("four (4) hours", "services.txt")]]
    verified(answer, contracts)


def test_an_answer_from_the_amendment_shows_what_stood_before(contracts, settings, models):
    models.generator.script = [("", "The Client shall pay within thirty (30) days after it receives the invoice.")]
    answer = answered(settings, "When must the Client pay?", "contracts")
    assert says(answer) == [[("thirty (30) days", "amendment-1.txt"), ("forty-five (45) days", "services.txt")]]
    assert "A later document" not in answer.answer


def test_what_an_amendment_leaves_alone_is_no_conflict(contracts, settings):
    for question in ("Which temperature is allowed?", "How soon is any other file delivered?"):
        answer = answered(settings, question, "contracts")
        assert answer.found and answer.conflicts == ()


def test_of_two_amendments_the_second_comes_first(contracts, settings, put):
    put(contracts, "amendment-2.txt", SECOND)
    answer = answered(settings, "When must the Client pay?", "contracts")
    assert [days for days, _ in says(answer)[0]] == ["fourteen (14) days", "thirty (30) days", "forty-five (45) days"]
    verified(answer, contracts)


def test_an_amendment_changes_only_the_contract_that_it_names(contracts, settings, put, models):
    put(contracts, "schools.txt", OTHER)
    answer = answered(settings, "When must the Client pay?", "contracts", documents=["schools.txt", "amendment-1.txt"])
    assert answer.found and answer.conflicts == ()
    answer = answered(settings, "When must the Client pay?", "contracts", documents=["services.txt", "amendment-1.txt"])
    assert len(answer.conflicts) == 1


def test_what_a_filter_leaves_out_is_not_looked_at(contracts, settings):
    assert answered(settings, "When must the Client pay?", "contracts", documents=["services.txt"]).conflicts == ()


def test_an_answer_that_was_not_found_has_no_conflict(contracts, settings, models):
    models.generator.weights = [("", "no")]
    assert answered(settings, "When must the Client pay?", "contracts").conflicts == ()


# --- versions -------------------------------------------------------------------------------------------------


@pytest.mark.proves("both-shown")
def test_of_two_versions_the_later_comes_first(shelf, settings, models):
    library = shelf(
        "policies",
        {
            "travel-policy-v1.txt": POLICY.format(date="Issued 1 March 2023", hotel="120"),
            "travel-policy-v2.txt": POLICY.format(date="Issued 1 April 2025", hotel="150"),
        },
    )
    models.generator.script = [("", "Hotels are paid up to EUR 120 a night.")]
    answer = answered(settings, "What is paid for a hotel?", "policies")
    assert says(answer) == [[("EUR 150", "travel-policy-v2.txt"), ("EUR 120", "travel-policy-v1.txt")]]
    verified(answer, library)
    models.generator.script = [("", "Taxis are paid where no train runs.")]
    assert answered(settings, "Which taxis are paid?", "policies").conflicts == ()


def test_versions_without_dates_are_ordered_by_their_names(shelf, settings, models):
    names = {"old/travel policy.txt": "90", "travel policy v2.txt": "120", "travel policy v3 draft.txt": "140"}
    library = shelf("policies", {name: POLICY.format(date="", hotel=hotel) for name, hotel in names.items()})
    models.generator.script = [("", "Hotels are paid up to EUR 90 a night.")]
    answer = answered(settings, "What is paid for a hotel?", "policies")
    assert [[said for said, _ in sides] for sides in says(answer)] == [["EUR 140", "EUR 120", "EUR 90"]]
    verified(answer, library)


def test_where_the_order_is_not_known_none_is_called_the_later(shelf, settings, models):
    names = {"travel policy.txt": "90", "travel policy copy.txt": "120"}
    shelf("policies", {name: POLICY.format(date="", hotel=hotel) for name, hotel in names.items()})
    models.generator.script = [("", "Hotels are paid up to EUR 90 a night.")]
    answer = answered(settings, "What is paid for a hotel?", "policies")
    (conflict,) = answer.conflicts
    assert not conflict.ordered and "later" not in conflict.shown and "later" not in answer.answer


def test_where_both_versions_are_cited_the_conflict_is_told_once(shelf, settings, models):
    library = shelf(
        "policies",
        {
            "travel-policy-v1.txt": POLICY.format(date="Issued 1 March 2023", hotel="120"),
            "travel-policy-v2.txt": POLICY.format(date="Issued 1 April 2025", hotel="150"),
        },
    )
    models.generator.script = [("", "Hotels are paid up to EUR 120 a night. Hotels are paid up to EUR 150 a night.")]
    answer = answered(settings, "What is paid for a hotel?", "policies")
    assert len(answer.citations) == 2 and len(answer.conflicts) == 1
    verified(answer, library)


def test_versions_are_compared_once_for_all_that_is_cited(shelf, settings, models, monkeypatch):
    compared: list[str] = []
    real = conflicts.compare
    monkeypatch.setattr(conflicts, "compare", lambda old, new: compared.append(old.name) or real(old, new))
    policy = "Travel policy\n\nHotels are paid up to EUR {0} a night.\n\nMeals are paid up to EUR {0} a day."
    shelf("policies", {"travel-policy-v1.txt": policy.format("90"), "travel-policy-v2.txt": policy.format("120")})
    models.generator.script = [("", "Hotels are paid up to EUR 90 a night. Meals are paid up to EUR 90 a day.")]
    answer = answered(settings, "What is paid for hotels and meals?", "policies")
    assert len(answer.conflicts) == 2 and compared == ["travel-policy-v1.txt"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("standard-plan.txt", "plus-plan.txt"),
        ("unit-4/lease.txt", "unit-5/lease.txt"),
        ("report-2024.txt", "report-2025.txt"),
        ("minutes-2025-03-20.txt", "minutes-2025-06-19.txt"),
        ("Old Street lease.txt", "New Street lease.txt"),
    ],
)
def test_documents_of_other_things_or_periods_do_not_conflict(shelf, settings, models, one, other):
    shelf("mixed", {one: POLICY.format(date="", hotel="120"), other: POLICY.format(date="", hotel="150")})
    models.generator.script = [("", "Hotels are paid up to EUR 120 a night.")]
    answer = answered(settings, "What is paid for a hotel?", "mixed")
    assert answer.found and answer.conflicts == ()


# --- shown ----------------------------------------------------------------------------------------------------


def test_it_stands_right_below_the_answer(contracts):
    result = CliRunner().invoke(localrag, ["ask", "When must the Client pay?", "-l", "contracts"])
    lines = [line for line in result.stdout.splitlines() if line]
    assert lines[0] == (
        "The Client shall pay within forty-five (45) days after it receives the invoice [1]. "
        "A later document says otherwise: “thirty (30) days” [2]."
    )
    assert lines[1].startswith("The documents differ, the later first. ") and lines[2].startswith("[1] ")
    assert "“thirty (30) days” (2025-09-08, amendment-1.txt) [2]; “forty-five (45) days” (2025-02-03" in lines[1]
