"""What code reads as facts of a document, in which role, and what it leaves unclear."""

from __future__ import annotations

import numpy as np
import pytest

from localrag.errors import NotFoundError, UsageError
from localrag.items import document_kind, facts, value_roles
from localrag.types import Document, Fact, Page

SUPPLY = """SUPPLY AGREEMENT

This Supply Agreement (the "Agreement") is made on 3 May 2021 by and between Larkspur Foods Ltd., a company with offices
at 4 Mill Lane, Orrin (the "Buyer"), and Quillfeather Paper GmbH, of 9 Dock Road, Tess ("Supplier").

WHEREAS, Supplier makes paper; NOW, THEREFORE, the parties agree as follows.

1. Term. This Agreement shall commence on 1 June 2021 and shall continue for an initial term of three (3) years. It shall
automatically renew for successive terms of one year each unless either party gives the other written notice of its
intention not to renew at least ninety (90) days prior to the end of the then current term.
2. Payment. Buyer shall pay each invoice within thirty (30) days after receipt of the invoice.
3. Termination. Either party may terminate this Agreement at any time without cause upon sixty (60) days written notice.
4. Law. This Agreement shall be governed by and construed in accordance with the laws of the State of Delaware. The parties
submit to the exclusive jurisdiction of the courts located in Dover, Delaware.
5. Buyer shall inspect. Supplier shall deliver.

IN WITNESS WHEREOF

LARKSPUR FOODS LTD.
By: /s/ Ann Lee
"""


def document(path="a.txt", title="", language="english"):
    return Document(1, "/root", path, title, "", 0, 1, 0, False, language=language)


def read(*texts, path="a.txt", title=""):
    pages = [Page(text, number if len(texts) > 1 else None) for number, text in enumerate(texts, 1)]
    found = facts.find(document(path, title), pages)
    for one in found:
        page = next(page for page in pages if page.number == one.page or not one.quote)
        assert not one.quote or page.text[one.start : one.end] == one.quote
    return found


def clear(found):
    by_role: dict[str, list[str]] = {}
    for one in found:
        if one.clear:
            by_role.setdefault(one.role, []).append(one.value)
    return by_role


def test_a_contract_gives_each_fact_in_its_role():
    found = clear(read(SUPPLY))
    assert found["kind"] == ["contract"]
    assert found["title"] == ["Supply agreement, Larkspur Foods and Quillfeather Paper, 2021"]
    assert found["party"] == ["Larkspur Foods Ltd.", "Quillfeather Paper GmbH"]
    assert found["signed"] == ["2021-05-03"] and found["start"] == ["2021-06-01"]
    assert found["term"] == ["P3Y"] and found["renewal"] == ["P1Y"]
    assert found["non-renewal notice"] == ["P90D"] and found["termination notice"] == ["P60D"]
    assert found["payment"] == ["P30D"] and found["law"] == ["Delaware"] and found["courts"] == ["Dover, Delaware"]
    assert found["signatory"] == ["Ann Lee"]


def test_a_party_has_the_terms_that_the_text_gives_it():
    parties = [one for one in read(SUPPLY) if one.role == "party"]
    assert [one.terms for one in parties] == [("Buyer",), ("Supplier",)]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("between Ann Lee (hereinafter referred to as “Seller”) and Bo Ltd. (“Buyer”)", ["Ann Lee", "Bo Ltd."]),
        (
            "by and among (a) Kay, Inc. (“Kay”); (b) Sterling Co. (“SW”); and (c) Dip Group (“Dip”)",
            ["Kay, Inc.", "Sterling Co.", "Dip Group"],
        ),
        ("between Fonterra (USA) Inc., (“Supplier”) and eMart Corp. (“Buyer”)", ["Fonterra (USA) Inc.", "eMart Corp."]),
        ("between Ann Lee, director of Acme Ltd (“Client”), and Webb PLC (“Company”)", ["Acme Ltd", "Webb PLC"]),
        (
            "between Alpha Ltd (“Alpha”, each a “Party”) and Beta LLC (“Beta”) (together the “Parties”)",
            ["Alpha Ltd", "Beta LLC"],
        ),
    ],
)
def test_parties_are_told_from_what_stands_around_them(text, names):
    acts = " Seller shall sell. Buyer shall buy. Kay shall act. SW shall act. Dip shall act. Client shall pay. Company shall"
    found = read(
        f"AGREEMENT\n\nThis Agreement is made {text}, who agree as follows: Supplier shall. Alpha shall. Beta shall.{acts}"
    )
    assert clear(found)["party"] == names


def test_days_of_business_are_no_days_of_the_calendar():
    text = SUPPLY.replace("days", "business days")
    assert "business days" in text and "payment" not in clear(read(text))
    end = Fact("end", "2026-01-01", "1 January 2026")
    for wrong in ("April 2026", "2026", "31 February 2026"):
        with pytest.raises(UsageError):
            facts.decided(end, "confirmed", wrong, "ann", "now")
    with pytest.raises(UsageError):
        facts.decided(Fact("payment", "P30D", "30 days"), "confirmed", "30 business days", "ann", "now")


def test_what_two_contracts_in_one_document_say_otherwise_is_unclear():
    other = SUPPLY.replace("2021", "2019")
    for old, new in (
        ("England", "Ohio"),
        ("Ohio", "Utah"),
        ("Germany", "Ohio"),
        ("Texas", "Ohio"),
        ("Delaware", "Ohio"),
    ):
        other = other.replace(old, new) if old in SUPPLY else other
    assert "law" in clear(read(SUPPLY)) and "law" not in clear(read(f"{SUPPLY}\n\n{other}"))


def test_a_day_in_a_footer_or_of_another_document_has_no_role():
    footer = "Source: ACME CORP, 8-K, 3/26/2019"
    page = "LEASE AGREEMENT\nThis Lease amends the agreement dated 1 May 2015 between the parties. It goes on.\n"
    found = clear(read(f"{page}\n{footer}", f"More of it.\n{footer}", f"The end.\n{footer}"))
    assert "signed" not in found and "effective" not in found


def test_an_effective_date_of_termination_is_no_effective_date():
    text = "SERVICE AGREEMENT\n“Effective Date of Termination” means 5 May 2020. The Supplier shall act."
    assert "effective" not in clear(read(text))


def test_what_ends_is_told_from_what_begins():
    text = "SERVICE AGREEMENT\nThis Agreement is effective until 30 June 2027 and began on 1 July 2025."
    found = clear(read(text))
    assert found.get("end") == ["2027-06-30"] and "effective" not in found


def test_a_term_in_a_table_gives_its_length_and_first_day():
    table = "LEASE\n\n| Item | Terms |\n| --- | --- |\n| Rent | EUR 900 |\n| Term | Ten years from and including 1 April 2021 |\n"
    found = clear(read(table))
    assert found["term"] == ["P10Y"] and found["start"] == ["2021-04-01"]


def test_two_laws_in_one_sentence_are_unclear():
    text = "AGREEMENT\nThis Agreement is governed by the laws of the State of Ohio and the laws of the State of Texas."
    laws = [one for one in read(text) if one.role == "law"]
    assert laws and not laws[0].clear and laws[0].why


def test_a_blank_is_no_day():
    found = clear(read("AGREEMENT\nThis Agreement is made as of [___], 2020 by and between Alpha Ltd and Beta Ltd."))
    assert "signed" not in found and "effective" not in found


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("x.pdf", "MINUTES OF THE BOARD\nPresent: all", "minutes"),
        ("x.pdf", "Amendment No. 2 to the Master Services Agreement\nIt is made today.", "amendment"),
        (
            "x.pdf",
            "UNITED STATES SECURITIES AND EXCHANGE COMMISSION\nFORM 10-K\nCommission File Number 1-2\n",
            "filing",
        ),
        ("x.pdf", "Information Security Policy\nVersion 3", "policy"),
        ("x.csv", "a,b\n1,2", "spreadsheet"),
        ("notes.txt", "Bought milk and bread.", "document"),
    ],
)
def test_the_kind_is_that_of_the_heading(path, text, kind):
    assert document_kind.kind(document(path), [Page(text)])[0] == kind


def test_a_filing_gives_company_form_and_period():
    text = (
        "SECURITIES AND EXCHANGE COMMISSION\nFORM 10-K\nFor the fiscal year ended December 31, 2019\n"
        "Acme Widgets, Inc.\n(Exact name of registrant as specified in its charter)"
    )
    found = clear(read(text))
    assert found["company"] == ["Acme Widgets, Inc"] and found["period"] == ["2019-12-31"]
    assert found["title"] == ["Acme Widgets, Form 10-K, 2019-12-31"]


def test_a_mail_gives_sender_recipient_date_and_subject():
    page = Page("From: Ann Lee <ann@x.test>\nTo: Bo Berg; Cy <cy@x.test>\n\nTo: Not Me\nPlease see it.", unit="mail")
    mail = Document(1, "/", "m.eml", "Draft lease", "", 0, 1, 0, False, author="Ann Lee", date="2024-03-02T10:00")
    found = clear(facts.find(mail, [page]))
    assert found["sender"] == ["Ann Lee"] and found["date"] == ["2024-03-02"] and found["subject"] == ["Draft lease"]
    assert found["recipient"] == ["Bo Berg", "Cy"] and found["title"] == ["Draft lease"]


def test_a_mail_without_a_subject_has_none():
    page = Page("From: Ann Lee\nTo: Undisclosed recipients:;\n\nHello", unit="mail")
    mail = Document(1, "/", "in/0001 mail.eml", "0001 mail", "", 0, 1, 0, False, author="Ann Lee")
    assert {one.role for one in facts.find(mail, [page])} == {"kind", "title", "sender"}


def test_a_report_before_the_cover_does_not_hide_a_filing():
    cover = "UNITED STATES\nSECURITIES AND EXCHANGE COMMISSION\nFORM 10-K\nFor fiscal year ended March 31, 2012\n"
    firm = "Commission File Number 001-9585\nACME WIDGETS CORPORATION\nDelaware\n"
    found = clear(read(*["Letter to shareholders"] * 8, cover + firm))
    assert (found["kind"], found["company"]) == (["filing"], ["ACME WIDGETS CORPORATION"])
    assert (found["form"], found["period"]) == (["Form 10-K"], ["2012-03-31"])


def test_running_lines_and_labels_of_a_study_give_version_number_and_owner():
    head = "Version: v1.0 Date: September 13, 2023\n"
    first = "CLINICAL STUDY PROTOCOL\nProtocol Number: AFL19006\nSponsor: Lutronic, Inc.\nIt needs version 7.1 of R.\n"
    found = clear(read(head + first, *[head + f"Page of text {n}.\n" for n in range(4)]))
    assert found["version"] == ["v1.0"] and found["number"] == ["AFL19006"] and found["owner"] == ["Lutronic, Inc."]
    assert clear(read("EMPLOYEE HANDBOOK\n\nLast Updated: 2023-03-05\n"))["updated"] == ["2023-03-05"]


@pytest.mark.parametrize(
    "text",
    [
        "Such obligations will survive the expiration of this Agreement for a period of five (5) years.",
        "During the term of employment and for one (1) year thereafter the Executive will not solicit anyone.",
        "Each Seller agrees that for a period ending two years after the Closing Date it shall not compete.",
    ],
)
def test_a_period_of_something_else_is_no_term(text):
    assert "term" not in clear(read(f"SUPPLY AGREEMENT\n\n{text}\n"))


def test_a_notice_in_a_list_is_read_with_its_own_part():
    text = (
        "This Agreement shall terminate (a) at the option of any party, upon 90 days' advance written notice to the other "
        "parties; or (b) in the event of a breach that is not cured within ten days after a written notice of breach."
    )
    told = [one for one in read(f"SUPPLY AGREEMENT\n\n12. Termination.\n{text}\n") if one.role == "termination notice"]
    assert [one.value for one in told] == ["P90D"]


def test_the_day_of_an_opening_is_known_whatever_is_before_it():
    text = "THIS AGREEMENT is entered into between the parties on 1 April, 2020 between Acme Ltd and Bolt GmbH.\n"
    assert clear(read(f"SUPPLY AGREEMENT\n\n{text}"))["signed"] == ["2020-04-01"]
    effective = "This Agreement shall become effective on the date first above written.\n"
    assert clear(read(f"SUPPLY AGREEMENT\n\n{text}\n2. Effectiveness.\n{effective}"))["effective"] == ["2020-04-01"]
    assert clear(read(f"SUPPLY AGREEMENT\n\nEffective Date: July 1, 2019\n\n{text}"))["effective"] == ["2019-07-01"]


def test_what_a_document_is_to_another_is_read_from_its_opening():
    def relation(text):
        return [one.value for one in read(text) if one.role == "relation"]

    msa = "the Master Services Agreement dated 5 May 2020 between Acme Ltd and Bolt GmbH"
    assert relation(f"ORDER FORM NO. 1\n\nThis Order Form is issued under {msa}.\n") == ["is under"]
    assert relation("SCHEDULE 2 TO THE MASTER SERVICES AGREEMENT\n\nService levels.\n") == ["is under"]
    assert relation(f"SERVICES AGREEMENT\n\nThis Agreement amends and restates {msa}.\n") == ["restates"]
    assert relation(f"LETTER\n\nSide letter to {msa}.\n") == ["amends"]
    assert (
        relation("SERVICES AGREEMENT\n\nThis Agreement is made on 5 May 2020 between Acme Ltd and Bolt GmbH.\n") == []
    )


def test_a_policy_gives_version_owner_and_day():
    text = "Travel Policy\n\nVersion: 3.2\nOwner: People Team\nEffective date: 1 March 2024\nPolicy number: HR-7\n"
    found = clear(read(text))
    assert found["version"] == ["3.2"] and found["owner"] == ["People Team"] and found["in force"] == ["2024-03-01"]
    assert found["number"] == ["HR-7"]


@pytest.mark.parametrize("text", ["", " \n ", "x" * 50_000, "(" * 20_000, "“" * 20_000, "a " * 30_000, "\x00\u202e"])
def test_a_text_without_facts_gives_kind_and_title_alone(text):
    assert {one.role for one in read(text)} == {"kind", "title"}


def test_a_fact_is_named_by_id_role_or_value():
    found = read(SUPPLY)
    law = facts.named(found, "law")
    assert facts.named(found, law.id) == law
    assert facts.named(found, "party=quillfeather").value == "Quillfeather Paper GmbH"
    with pytest.raises(NotFoundError):
        facts.named(found, "party")


def test_a_fact_that_is_not_there_is_answered_with_the_nearest_ones():
    found = read(SUPPLY)
    for name, near in (("lawe", "law"), ("party=Nobody", "party"), (f"{facts.named(found, 'law').id[:5]}x", "law")):
        with pytest.raises(NotFoundError) as error:
            facts.named(found, name)
        told = [one for one in found if f"{one.id} (" in error.value.hint]
        assert len(found) > len(told) == 5 and near in {one.role for one in told}


def test_a_correction_keeps_what_code_read_and_its_id():
    one = next(one for one in read(SUPPLY) if one.role == "start")
    new = facts.decided(one, "confirmed", "1 July 2021", "ann", "2026-01-01T00:00:00+00:00")
    assert (new.value, new.was, new.by, new.state, new.id) == ("2021-07-01", "2021-06-01", "ann", "confirmed", one.id)
    assert facts.decided(one, "confirmed", "", "ann", "now").was == ""
    with pytest.raises(UsageError):
        facts.decided(one, "confirmed", "soon", "ann", "now")


def test_facts_have_ids_of_their_own():
    ids = [one.id for one in read(SUPPLY)]
    assert len(set(ids)) == len(ids)
    assert Fact("law", "Ohio", "Ohio").id != Fact("courts", "Ohio", "Ohio").id


@pytest.mark.parametrize(
    ("opening", "day"),
    [
        (
            "This Lease Agreement for the period from 1 January 2021 to 31 December 2022 is made on 5 May 2020",
            "2020-05-05",
        ),
        (
            "This Supply Agreement, which ends 31 December 2025, was made and entered into as of 1 March 2020",
            "2020-03-01",
        ),
        ("This Supply Agreement (tender of 3 February 2019) is made and entered into as of 1 March 2020", "2020-03-01"),
        (
            "This Consulting Agreement, replacing all talks since 2 June 2018, is entered into as of 5 July 2019",
            "2019-07-05",
        ),
    ],
)
def test_of_several_days_in_an_opening_that_with_its_words_counts(opening, day):
    text = f"AGREEMENT\n\n{opening} between Acme Ltd (the “Seller”) and Bolt GmbH (the “Buyer”).\n"
    assert clear(read(text)).get("signed") == [day]


@pytest.mark.parametrize(
    "line",
    [
        "Version: 12/05/2020",
        "Revision 5 May 2021",
        "version 1.2 of the protocol, and nothing older.",
        "Version 1 is withdrawn.",
        "The list of partners was last updated on 3 March 2019.",
        "Effective until 31 December 2025",
        "Effective date of withdrawal: 31 December 2025",
        "Effective date: see below. Next review 1 May 2027",
        "effective 1 January 2021, by law.",
        "Start date: 1 May 2020",
    ],
)
def test_a_label_in_running_prose_states_nothing(line):
    found = read(f"TRAVEL POLICY\n\nTrips are paid.\n{line}\n")
    assert not {one.role for one in found if one.clear} & {"version", "in force", "updated"}


@pytest.mark.parametrize(
    "text",
    [
        "LEASE AGREEMENT\n\nThe parties have a Services Agreement dated 1 May 2020, which stays. The premises are shown in the "
        "Schedule, subject to the terms of this Lease.\n",
        "SUPPLY AGREEMENT\n\nIt replaces the Services Agreement dated 1 May 2020. There is no side letter.\n",
        "SUPPLY AGREEMENT\n\nThe certificate of incorporation was amended and restated in its entirety.\n",
    ],
)
def test_a_contract_that_mentions_another_is_nothing_to_it(text):
    assert not [one for one in read(text) if one.role == "relation"]


@pytest.mark.parametrize(
    ("heading", "title"),
    [
        ("EXPENSE POLICY", "Expense policy"),
        ("EXCLUSIVE LICENCE AGREEMENT", "Exclusive licence agreement"),
        ("EXHIBIT 10.16 AFFILIATE AGREEMENT", "Affiliate agreement"),
        ("EX-10.2 SUPPLY AGREEMENT", "Supply agreement"),
    ],
)
def test_only_the_number_of_an_exhibit_is_left_out_of_a_title(heading, title):
    assert clear(read(f"{heading}\n\nText.\n"))["title"] == [title]


def test_a_page_that_links_to_a_policy_is_none():
    found = clear(read("Welcome to our shop. Before you order please see our Privacy Policy.\n"))
    assert found["kind"] == ["document"]
    assert clear(read("Acme respects you; this Privacy Policy says how.\n"))["title"] == ["Privacy Policy"]


def test_a_contract_that_speaks_of_filings_is_a_contract():
    text = (
        "STOCK PURCHASE AGREEMENT\n\nThis Agreement is made on 3 May 2024 between Acme Ltd (the “Seller”) and Bolt GmbH (the "
        "“Buyer”). The Annual Report on Form 10-K filed with the Securities and Exchange Commission, and each registration "
        "statement under the Act, are true. Seller shall sell. Buyer shall buy.\n"
    )
    assert clear(read(text))["kind"] == ["contract"]


@pytest.mark.parametrize(
    "text",
    [
        "governed by the laws of the State of New York without regard to conflict of laws rules, except that Section 5 shall "
        "be governed by the laws of the State of Delaware.",
        "governed by the laws of England and, without prejudice to that, the laws of Scotland as to the premises.",
    ],
)
def test_a_second_law_makes_the_first_unclear(text):
    assert "law" not in clear(read(f"SUPPLY AGREEMENT\n\n9. Governing Law. This Agreement shall be {text}\n"))


def test_a_company_is_not_the_label_beside_it():
    cover = (
        "UNITED STATES\nSECURITIES AND EXCHANGE COMMISSION\nFORM 10-K\nFor the fiscal year ended December 31, 2019\n"
    )
    found = clear(
        read(f"{cover}Commission File Number  Exact name of registrant as specified in its charter\n1-2 Acme Inc.\n")
    )
    assert "company" not in found or "Commission" not in found["company"][0]


def test_a_header_lists_all_its_recipients():
    many = ", ".join(f"Person {n} <p{n}@x.test>" for n in range(60))
    mail = Document(1, "/", "m.eml", "Hello", "", 0, 1, 0, False, author="Ann")
    found = clear(facts.find(mail, [Page(f"From: Ann\nTo: {many}\nCc: Lee, Bob; Kay, Cy\n\nHi", unit="mail")]))
    assert len(found["recipient"]) == 62 and found["recipient"][-2:] == ["Lee, Bob", "Kay, Cy"]


@pytest.mark.parametrize(
    "text",
    [
        "The Promoter shall choose the venue for each event in Springfield.",
        "Licensee shall not challenge the jurisdiction or venue of the NFLP in any place.",
    ],
)
def test_a_venue_of_events_is_no_court(text):
    assert "courts" not in clear(read(f"SPONSORSHIP AGREEMENT\n\n7. Events. {text}\n"))


def test_a_label_or_the_rules_of_arbitration_are_no_party():
    text = (
        "SERVICES AGREEMENT\n\nThis Agreement is made on 3 May 2024 between Client Name: Acme Ltd (the “Client”) and Bolt GmbH "
        "(“Bolt”) under the Commercial Arbitration Rules (“AAA”). Client shall pay. Bolt shall act. AAA shall rule.\n"
    )
    assert clear(read(text))["party"] == ["Acme Ltd", "Bolt GmbH"]


def test_the_length_of_a_renewed_term_is_no_notice():
    text = "The Agreement may be renewed, by notice to the other party before its end, for one (1) year terms.\n"
    assert "non-renewal notice" not in clear(read(f"SUPPLY AGREEMENT\n\n2. Renewal. {text}"))


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("The laws of the State of New York (excluding its conflicts rules) govern this Agreement.", "New York"),
        (
            "This Agreement shall be governed by the laws of the Federal Republic of Germany.",
            "Federal Republic of Germany",
        ),
        ("This Agreement is governed by the laws of the United States and the State of Florida.", "Florida"),
        ("THIS AGREEMENT IS GOVERNED BY THE LAWS, OTHER THAN CHOICE OF LAW RULES, OF THE STATE OF GEORGIA.", "GEORGIA"),
        ("The execution and construction of this Agreement shall be governed by PRC Laws.", "PRC"),
    ],
)
def test_the_law_is_the_place_that_its_sentence_names(text, law):
    assert clear(read(f"SUPPLY AGREEMENT\n12. Governing Law. {text}"))["law"] == [law]


def test_a_mention_of_another_law_in_a_document_of_several_contracts_is_none_that_governs():
    first = "This Agreement is made as of 1 May 2020 by and between Acme Corp. (“Acme”) and Beta Inc. (“Beta”)."
    law = "This Agreement shall be governed by and construed in accordance with the laws of the State of Ohio."
    other = "Acme is duly formed as a corporation under the laws of Japan, which govern its business."
    found = read("\n".join(["SUPPLY AGREEMENT", first, law, other, "This Agreement is made as of 2 May 2020."]))
    assert clear(found)["law"] == ["Ohio"]


def test_the_words_around_a_value_give_it_a_role_that_no_rule_knows():
    opening = "This Manufacturing Agreement (“Agreement”), effective as of September 4, 2014 (“Effective Date”), is by"
    found = clear(read(f"MANUFACTURING AGREEMENT\n{opening} and between Sonos, Inc. and Inventec Corporation."))
    assert found["signed"] == ["2014-09-04"]


@pytest.mark.parametrize(("lines", "clear_end"), [(1, True), (110, False)])
def test_the_classifier_of_roles_doubts_what_rules_tell_of_a_long_contract(monkeypatch, lines, clear_end):
    monkeypatch.setattr(value_roles, "shares", lambda mentions: np.zeros((len(mentions), len(value_roles.ROLES))))
    filler = "The Supplier shall keep the goods in a dry place and tell the Buyer of any damage to them. " * lines
    found = read(f"SUPPLY AGREEMENT\nThis Agreement is effective until 30 June 2027.\n{filler}")
    assert [one.clear for one in found if one.role == "end"] == [clear_end]


def test_a_notice_for_cause_ends_no_contract_at_will():
    text = "7.1. This Agreement shall be for the term of one year and renews automatically under the same terms.\n"
    text += "7.2. This Agreement may be terminated by either party with cause upon thirty (30) days written notice."
    assert "termination notice" not in clear(read(f"MARKETING AFFILIATE AGREEMENT\n7. Term and Termination.\n{text}"))


FIRST, SECOND = (
    f"This Services Agreement is made as of {month} 1, 2020 by and between Acme Inc. (“Acme”) and Beta Inc. (“Beta”).\n"
    for month in ("May", "June")
)


def test_the_classifier_tells_the_renewal_of_a_document_that_may_have_several_contracts():
    term = (
        "2. Term. This Agreement shall have an initial term of two (2) years. This Agreement shall automatically renew "
    )
    term += (
        "for successive three (3) year terms unless either party gives written notice of non-renewal at least ninety "
    )
    term += (
        "(90) days before the end of the term.\n3. The services of Annex A renew for successive terms of one (1) year "
    )
    term += "each.\nThe Agreement shall be renewed for additional terms of one (1) year.\n"
    assert clear(read(f"SERVICES AGREEMENT\n{FIRST}\n{term}\n{SECOND}"))["renewal"] == ["P3Y"]


def test_a_notice_before_something_else_is_cancelled_is_unclear_in_a_long_contract():
    filler = "The Supplier shall deliver the goods in good order and shall keep records of each delivery. " * 110
    text = (
        "8. Insurance. Beta will not cancel or change any policy without at least thirty (30) days' written notice to "
    )
    text += "Acme at any time."
    found = read(f"SERVICES AGREEMENT\n{FIRST}\n{filler}\n\n{text}\n\n{filler}")
    assert [one.clear for one in found if one.role == "termination notice"] == [False]


@pytest.mark.parametrize(
    ("text", "value"), [("an additional four (4) -year period", "P4Y"), ("a 30- days notice", "P30D")]
)
def test_a_span_of_time_may_have_a_hyphen_before_its_unit(text, value):
    assert [form for *_, form in facts.spans_of(text)] == [value]
