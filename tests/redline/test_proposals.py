"""A review becomes tracked changes: which words give way, where a missing clause goes, and what is only a comment."""

import hashlib
import io
import json
from dataclasses import replace

import pytest
from docx import Document
from msgspec import structs
from word_changes import accepted, body, form_of, rejected, text_of

from localrag.errors import UsageError
from localrag.ingest.readers.base import read_parts
from localrag.ingest.readers.source import Source
from localrag.items import playbook
from localrag.redline import proposals
from localrag.redline.tracked import WordFile
from localrag.types import Checked, Citation, Decision

BOOK = playbook.parse(
    b"""
title: Services
items:
  - {id: scope, question: "What is done?", expect: yes, type: yes/no}
  - id: payment
    question: When is it paid?
    type: duration
    expect: {at_most: 45 days}
    importance: high
    note: Ask Anna.
    fallback: The Customer shall pay each valid invoice within 30 days after receipt.
  - {id: audit, question: "May we audit?", type: yes/no, expect: yes, fallback: The Customer may audit the records once a year.}
  - {id: insurance, title: Insurance, question: "Insured?", type: yes/no, expect: yes, headings: [Insurance], fallback: The Supplier shall be insured.}
  - {id: law, question: "Which law?", expect: England}
""",
    "book.yaml",
)
CLAUSES = [
    "Services agreement",
    "1. Scope",
    "1.1 The Supplier shall carry out the services that the order names.",
    "2. Payment",
    "2.1 Fees are in euro. The Customer shall pay each invoice within 90 days after receipt. Late payment bears interest.",
    "3. Insurance",
    "3.1 Each party bears its own risks in the performance of this Agreement.",
    "4. Law",
    "4.1 This Agreement is governed by the laws of Kansas and by no others.",
    "IN WITNESS WHEREOF the parties have signed.",
    "Signed: ______",
]


def file_of(paragraphs, style=None):
    document = Document()
    for text in paragraphs:
        document.add_paragraph(text, style(text) if style else None)
    stream = io.BytesIO()
    document.save(stream)
    return stream.getvalue()


def page_of(data):
    return next(read_parts(Source("theirs.docx", data=data))).reading.pages[0]


def finding(page, item, quote="", state="deviates", **more):
    at = page.text.find(quote)
    assert at >= 0, "the quote is in the file"
    cited = Citation("", "theirs.docx", None, None, "clause", quote, at, at + len(quote), 1) if quote else None
    expected = {"deviates": False, "absent": False, "unsure": None}.get(state, True)
    own = BOOK.item(item)
    values = ("", "theirs.docx", item, own.name, own.question, own.importance, state, "", expected, "too long", cited)
    fallback = own.fallback if expected is False else ""
    return replace(Checked(*values, 0.9, "all", "", fallback=fallback), **more)


def marked(data, *findings, internal=False, embed=None):
    file = WordFile(data, "theirs.docx", "Ada Quill", "2026-12-02T00:00:00Z")
    made = proposals.mark(file, findings, BOOK, page_of(data), internal, embed)
    out = file.saved()
    assert form_of(rejected(out)) == form_of(body(data)), "to reject it all gives the file back"
    comments = [one.text for one in Document(io.BytesIO(out)).comments]
    return text_of(accepted(out)), {one.finding.item: one.action for one in made}, comments


def test_the_sentence_that_deviates_gives_way_and_those_beside_it_stay():
    data = file_of(CLAUSES)
    text, done, comments = marked(data, finding(page_of(data), "payment", "within 90 days"), internal=True)
    assert done == {"payment": "changed"}
    wanted = "2.1 Fees are in euro. The Customer shall pay each valid invoice within 30 days after receipt. Late payment bears interest."
    assert text == [wanted if one.startswith("2.1") else one for one in CLAUSES]
    (comment,) = comments
    assert all(words in comment for words in ("too long", "at most: 45 days", "Services, item payment", "Ask Anna."))
    *_, (outward,) = marked(data, finding(page_of(data), "payment", "within 90 days"))
    assert outward == "Payment: other wording is proposed.", "the other side learns nothing of the position"


def test_a_typed_number_and_heading_stay_where_everything_else_is_replaced():
    data = file_of(["9.2 Time for payment. The Customer pays whenever the Supplier likes.", "9.3 Other."])
    text, *_ = marked(data, finding(page_of(data), "payment", "The Customer pays whenever"))
    assert text[0] == "9.2 Time for payment. The Customer shall pay each valid invoice within 30 days after receipt."


def test_an_item_of_a_list_keeps_its_end():
    data = file_of(["The Customer shall:", "(a) pay each invoice within 90 days after receipt; and", "(b) be kind."])
    text, *_ = marked(data, finding(page_of(data), "payment", "within 90 days"))
    assert text[1] == "(a) The Customer shall pay each valid invoice within 30 days after receipt; and"


def test_of_two_places_with_the_same_words_the_quoted_one_is_changed():
    data = file_of(["1. Fees.", "The term is 90 days.", "2. Payment.", "The term is 90 days."])
    page = page_of(data)
    at = page.text.rindex("90 days")
    one = finding(page, "payment", "90 days")
    text, *_ = marked(data, replace(one, citation=replace(one.citation, start=at, end=at + 7)))
    assert text[1] == "The term is 90 days." and text[3] == BOOK.item("payment").fallback


def test_a_missing_clause_stands_behind_the_one_before_it_in_the_playbook():
    data = file_of(CLAUSES)
    page = page_of(data)
    found = finding(page, "payment", "within 90 days", state="found")
    text, done, comments = marked(data, found, finding(page, "audit", state="absent"))
    assert done == {"audit": "inserted"} and "audit" in comments[0].casefold()
    assert text[5:7] == ["2A. Audit", "2A.1 The Customer may audit the records once a year."]


def test_a_missing_clause_goes_under_a_heading_that_it_could_have():
    data = file_of(CLAUSES)
    text, *_ = marked(data, finding(page_of(data), "insurance", state="absent"))
    assert text[6:8] == [CLAUSES[6], "3.2 The Supplier shall be insured."]


def test_a_missing_clause_stands_behind_the_one_that_is_nearest_by_its_vector():
    words = ("audit", "records", "invoice", "risks", "Kansas")
    clauses = [one.replace("that the order names", "and keep records for an audit") for one in CLAUSES]
    data = file_of(clauses)
    found = finding(page_of(data), "payment", "within 90 days", state="found")
    missing = finding(page_of(data), "audit", state="absent")
    text, *_ = marked(data, found, missing, embed=lambda texts: [[one.count(word) for word in words] for one in texts])
    assert text[3:5] == ["1A. Audit", "1A.1 The Customer may audit the records once a year."]


def test_without_a_place_it_stands_before_the_signatures_with_the_next_number():
    data = file_of(CLAUSES)
    text, *_ = marked(data, finding(page_of(data), "audit", state="absent"))
    assert text[9:12] == ["5. Audit", "5.1 The Customer may audit the records once a year.", CLAUSES[9]]


def test_headings_and_numbers_of_word_are_those_of_the_neighbours():
    def style(text):
        return "Heading 2" if len(text) < 20 and text[0] != "S" else "List Number"

    plain = [one.partition(" ")[2] if one[0].isdigit() else one for one in CLAUSES]
    data = file_of(plain, style)
    page = page_of(data)
    found = finding(page, "payment", "within 90 days", state="found")
    file = WordFile(data, "theirs.docx", "Ada Quill", "2026-12-02T00:00:00Z")
    proposals.mark(file, [found, finding(page, "audit", state="absent")], BOOK, page)
    added = [one for one in Document(io.BytesIO(file.saved())).paragraphs if not one.text][:2]
    assert [one.style.name for one in added] == ["Heading 2", "List Number"]


def test_unsure_ones_and_those_without_fallback_are_comments_and_accepted_ones_stay():
    data = file_of(CLAUSES)
    page = page_of(data)
    accepted_one = finding(page, "payment", "within 90 days", decision=Decision("accepted", "", "bob", "2026-01-01"))
    unsure = finding(page, "scope", "carry out the services", state="unsure", problem="")
    *_, (only,) = marked(data, accepted_one, unsure, finding(page, "law", "laws of Kansas"))
    assert only.startswith("Law")
    text, done, comments = marked(data, accepted_one, unsure, finding(page, "law", "laws of Kansas"), internal=True)
    assert text == CLAUSES and done == {"scope": "commented", "payment": "left", "law": "commented"}
    assert len(comments) == 2
    _, done, comments = marked(data, finding(page, "scope", state="unsure", citation=None), internal=True)
    assert done == {"scope": "left"} and not comments, "there is nothing to put it on"


def test_a_clause_with_few_words_of_the_fallback_gets_a_comment_with_it():
    data = file_of(CLAUSES)
    text, done, (comment,) = marked(data, finding(page_of(data), "audit", "Fees are in euro."))
    assert text == CLAUSES and done == {"audit": "commented"} and "may audit the records" in comment


@pytest.mark.parametrize(("heading", "done"), [("Representations", "commented"), ("Insurance", "changed")])
def test_a_clause_that_may_be_another_is_only_struck_under_a_heading_of_the_item(heading, done):
    words = "The Supplier represents that it shall be insured where a law requires it."
    data = file_of(["Agreement", "1. Scope", "1.1 It works.", f"2. {heading}", f"2.1 {words}", "3. Law", "3.1 Iowa."])
    one = finding(page_of(data), "insurance", words)
    assert marked(data, one)[1] == {"insurance": "changed"}, "the same words where it is sure"
    text, actions, comments = marked(data, replace(one, confidence=0.6))
    assert actions == {"insurance": done} and (f"2.1 {words}" in text) is (done == "commented")
    assert any(BOOK.item("insurance").fallback in one for one in comments) is (done == "commented")


def test_where_word_counts_the_clauses_a_new_one_comes_last():
    heads = ("Scope", "Payment", "Law")
    paragraphs = [part for head in heads for part in (head, f"The {head.lower()} is as the order says, and no other.")]
    paragraphs[-1] += " Section 3 stays."
    data = file_of(
        [*paragraphs, "Signed for the Supplier: ______"], lambda text: "List Number" if text in heads else None
    )
    page = page_of(data)
    found = finding(page, "payment", "The payment is as the order says", state="found")
    text, done, _ = marked(data, found, finding(page, "audit", state="absent"))
    assert done == {"audit": "inserted"}
    assert text.index(paragraphs[-1]) < text.index("The Customer may audit the records once a year.")
    assert text[-1].startswith("Signed for")


def test_two_findings_on_one_sentence_do_not_write_over_each_other():
    data = file_of(CLAUSES)
    page = page_of(data)
    both = [finding(page, name, "within 90 days") for name in ("payment", "audit")]
    text, done, comments = marked(data, *both)
    assert sorted(done.values()) == ["changed", "commented"] and len(comments) == 2
    assert sum("within 30 days" in one or "may audit" in one for one in text) == 1


def test_the_reviewers_comment_is_written_and_nothing_hostile():
    said = Decision("rejected", "Not \u202e this <w:t>", "bob", "2026-01-01")
    data = file_of(CLAUSES)
    _, _, (comment,) = marked(data, finding(page_of(data), "payment", "within 90 days", decision=said), internal=True)
    assert "Reviewer: Not \ufffd this <w:t>" in comment


def test_what_cannot_be_written_is_refused_before_the_review(tmp_path):
    theirs = tmp_path / "theirs.docx"
    theirs.write_bytes(file_of(CLAUSES))
    for path, original, words in (
        (tmp_path / "out.pdf", theirs, "no Word file"),
        (theirs, theirs, "the file that is read"),
        (tmp_path / "out.docx", tmp_path / "theirs.docm", "could be marked"),
    ):
        with pytest.raises(UsageError, match=words):
            proposals.check(path, str(original))


def test_a_copy_is_saved_and_recorded(tmp_path):
    theirs, log = tmp_path / "theirs.docx", tmp_path / "audit.jsonl"
    theirs.write_bytes(data := file_of(CLAUSES))
    page = page_of(data)
    found = [finding(page, "payment", "within 90 days")]
    about = (theirs, found, BOOK, page, tmp_path / "out.docx", hashlib.sha256(data).hexdigest())
    written, (made,), _ = proposals.save(*about, "", lambda name: log)
    assert theirs.read_bytes() == data and written.stat().st_size > 1000
    assert made.to_dict()["action"] == "changed"
    assert [json.loads(one)["event"] for one in log.read_text().splitlines()] == ["review", "export"]


def test_a_new_clause_stands_before_the_exhibits_and_takes_no_number_of_another():
    clauses = [
        *CLAUSES[:7],
        "9. Law",
        "9.1 This Agreement is governed by the laws of Kansas.",
        "Exhibit A",
        "Prices",
        "4. Euro",
    ]
    data = file_of(clauses)
    text, *_ = marked(data, finding(page_of(data), "audit", state="absent"))
    assert text[9:12] == ["10. Audit", "10.1 The Customer may audit the records once a year.", "Exhibit A"]


@pytest.mark.parametrize(
    ("old", "quote"),
    [
        ("30 days' written notice terminates this Agreement.", "terminates this"),
        ("5 Business Days are the time for payment.", "the time for"),
        ("Mr. Smith shall pay on demand.", "pay on demand"),
        ("Acme Inc. Affiliates shall pay on demand.", "pay on demand"),
    ],
)
def test_counts_and_names_at_the_beginning_are_no_numbers_and_headings(old, quote):
    data = file_of([old, "Another paragraph."])
    text, *_ = marked(data, finding(page_of(data), "payment", quote))
    assert text[0] == BOOK.item("payment").fallback


def test_numbers_before_a_tab_and_behind_a_word_stay():
    for number in ("9\t", "9) ", "Section 9 ", "9.2 "):
        data = file_of([f"{number}The Customer pays whenever the Supplier likes.", "Another paragraph."])
        text, *_ = marked(data, finding(page_of(data), "payment", "pays whenever"))
        assert text[0] == number + BOOK.item("payment").fallback


def test_words_about_signing_inside_a_clause_are_no_signatures():
    clause = "5. Amendments. This Agreement is amended only in writing and executed by both parties."
    data = file_of([*CLAUSES[:9], clause, *CLAUSES[9:]])
    text, *_ = marked(data, finding(page_of(data), "audit", state="absent"))
    assert text[9] == clause and text[10].startswith("6. ")


def test_a_long_line_of_white_space_is_no_text():
    data = file_of([*CLAUSES[:6], " \t" * 50, *CLAUSES[6:]])
    text, *_ = marked(data, finding(page_of(data), "insurance", state="absent"))
    assert "3.2 The Supplier shall be insured." in text


def test_each_paragraph_under_a_heading_counts_up_and_stands_before_a_clause_behind_it():
    data = file_of(CLAUSES)
    page = page_of(data)
    two = finding(page, "insurance", state="absent", fallback="First of all.\nSecond of all.")
    before = finding(page, "insurance", "bears its own risks", state="found")
    text, *_ = marked(data, two)
    assert text[7:9] == ["3.2 First of all.", "3.3 Second of all."]
    items = tuple(structs.replace(one, headings=("Insurance",)) if one.id == "law" else one for one in BOOK.items)
    file = WordFile(data, "theirs.docx", "Ada", "2026-12-02T00:00:00Z")
    moved = (items[3], items[2], *items[:2], items[4])
    law = finding(page, "law", state="absent", fallback="England.")
    proposals.mark(
        file, [before, finding(page, "audit", state="absent"), law], structs.replace(BOOK, items=moved), page
    )
    text = text_of(accepted(file.saved()))
    assert text[7:10] == ["3.2 England.", "3A. Audit", "3A.1 The Customer may audit the records once a year."]


def test_a_quote_over_two_items_of_a_list_leaves_no_bare_letter():
    items = ["(a) pay each invoice within 90 days after receipt, and", "(b) pay late fees of any kind."]
    data = file_of(["The Customer shall:", *items, "Another paragraph."])
    page = page_of(data)
    one = finding(page, "payment", items[0][4:])
    end = page.text.index("any kind.") + 9
    text, *_ = marked(data, replace(one, citation=replace(one.citation, end=end)))
    assert len(text) == 3 and not any(line.startswith("(b)") for line in text)
