import pytest

from localrag.diff import amendments

CONTRACT = """Distribution Agreement

Contents
2. Term 3
7. Payment 9

2. Term
2.1 This Agreement runs for three years from its date.
2.2 It is renewed for one year at a time, unless either party objects by sixty (60) days' notice.
7. Payment
7.1 The Distributor shall pay each invoice within
30 days of its receipt, by bank transfer.
7.2 Interest of 6 percent is due on late payment.
Section 9. Territory
(a) The Territory is Calder and Vance.
(b) Sales elsewhere are forbidden.
§ 12 Kündigung
Die Kündigungsfrist beträgt drei Monate zum Monatsende.
B2. Service levels
SL1 Answer to a call 4 hours 99 %
SL2 Visit on site 2 days 98 %"""


def changed(amendment):
    """Each change as what it puts there and what stood there before."""
    found = []
    for change in amendments.changes([amendment]):
        told = amendment[change.replacement.start : change.replacement.end]
        old = amendments.find_changed(change, told, [CONTRACT])
        if old is not None:
            found.append((" ".join(told.split()), " ".join(CONTRACT[old.start : old.end].split())))
    return found


TERM = "2.1 This Agreement runs for three years from its date."
RENEWAL = "2.2 It is renewed for one year at a time, unless either party objects by sixty (60) days' notice."
PAYMENT = "7.1 The Distributor shall pay each invoice within 30 days of its receipt, by bank transfer."


INTEREST = "7.2 Interest of 6 percent is due on late payment."
NOTICE = "Die Kündigungsfrist beträgt drei Monate zum Monatsende."
CHANGES = {
    "1. Clause 2.1 of the Agreement is deleted and replaced with the following:\n“2.1 This Agreement runs for five years.”": TERM,
    'Section 2.1 of the Agreement is hereby amended to read as follows: "This Agreement runs for five years."': TERM,
    'In Section 2.2, the words "sixty (60) days" are replaced with "ninety (90) days".': RENEWAL,
    'Section 2.2 is hereby amended by deleting "sixty (60) days" and inserting "ninety (90) days" in lieu thereof.': RENEWAL,
    'Section 2.2 of the Agreement shall be amended by substituting "ninety (90) days" for "sixty (60) days".': RENEWAL,
    'The reference in clause 7.1 to "30 days" is changed to "45 days".': PAYMENT,
    "Clause 7.2 is deleted.": INTEREST,
    "§ 12 wird wie folgt geändert:\nDie Kündigungsfrist beträgt sechs Monate zum Monatsende.": NOTICE,
    "In § 12 werden die Wörter „drei Monate“ durch „sechs Monate“ ersetzt.": NOTICE,
    "In the table in paragraph B2, the row for SL1 is replaced with the\nfollowing row.\nSL1 Answer to a call 2 hours 99 %": "SL1 Answer to a call 4 hours 99 %",
}


@pytest.mark.parametrize(("amendment", "old"), CHANGES.items())
def test_a_change_and_what_stood_there_before(amendment, old):
    ((told, before),) = changed(amendment)
    assert before == old
    last = amendment.rpartition("\n")[2]
    assert told == last or "\n" not in amendment, "what follows the instruction is the new text"


@pytest.mark.parametrize(
    "amendment",
    [
        "This Amendment is made under clause 2.1 of the Agreement.",
        "Except as changed by this Amendment, clause 7.1 remains in full force.",
        "The period in clause 2.2 remains sixty days.",
        'In clause 7.1, the words "60 days" are replaced with "90 days".',  # they do not stand there
        'In clause 7.1, the words "20 days" are replaced with "30 days".',  # they were put in already
        'In clause 3.4, the words "30 days" are replaced with "45 days".',  # there is no such clause
        "In paragraph B2, the row for SL9 is replaced with the following row.\nSL9 Report 3 days 97 %",
    ],
)
def test_what_changes_nothing_that_is_there_is_passed_over(amendment):
    assert changed(amendment) == []
