"""Quotes with references: what is known is named, nothing is guessed."""

from dataclasses import replace

from localrag.answer.checks.references import format_quote, in_quotes, reference
from localrag.types import Citation, Document

CITED = Citation("deals", "contracts/msa.pdf", 9, "6", "p. 9 (printed 6)", "thirty\n(30)  days", 4, 20, 1)
PLAIN = Document(1, "/d", "contracts/msa.pdf", "msa", "", 1, 20, 1, True, "contracts/msa.pdf")
KNOWN = replace(PLAIN, title="Master Services Agreement", author="Jane Doe", date="2023-04-01T10:00:00")


def test_reference_names_author_title_date_file_page_and_library():
    assert format_quote(CITED, KNOWN) == (
        "“thirty (30) days” — Jane Doe, Master Services Agreement, 2023-04-01 (contracts/msa.pdf), "
        "p. 9 (printed 6), library deals"
    )


def test_title_made_of_the_file_name_is_none():
    assert reference(CITED, PLAIN) == "contracts/msa.pdf, p. 9 (printed 6), library deals"
    assert reference(CITED, replace(PLAIN, date="2023")) == reference(CITED, PLAIN)
    assert reference(CITED) == reference(CITED, PLAIN)


def test_mail_names_its_sender_once():
    mail = replace(CITED, document="in/7.eml", unit="mail", place="mail of 2024-03-02 from Jane Doe")
    about = replace(KNOWN, path="in/7.eml", title="Notice of termination")
    assert reference(mail, about) == (
        "Notice of termination (in/7.eml), mail of 2024-03-02 from Jane Doe, library deals"
    )


def test_words_alone_and_markdown():
    assert format_quote(CITED, KNOWN, "words") == "thirty (30) days"
    starred = replace(CITED, quote="*must* pay_now")
    assert format_quote(starred, None, "markdown") == (
        "> \\*must\\* pay\\_now\n>\n> — contracts/msa.pdf, p. 9 (printed 6), library deals\n"
    )


def test_words_that_stand_in_quotation_marks_get_no_second_pair():
    assert in_quotes("the rent") == "“the rent”"
    assert in_quotes("“the rent”") == "“the rent”" and in_quotes('"the rent"') == '"the rent"'
    assert in_quotes('the "rent"') == '“the "rent"”' and in_quotes("") == "“”"
