import io
import json

import pytest
from docx import Document

from localrag.diff.changes import Version
from localrag.redline import export
from localrag.redline.three_way import compare_three
from localrag.types import Page
from tests.diff.test_changes import OLD, version

THEIRS = (("$5,000", "$6,000"), ("two years", "three years"), ("(30) days", "(45) days"), ("any third", "a third"))
OURS = (("$5,000", "$4,000"), ("two years", "three years"), ("5% a year", "4% a year"), ("in writing", "by post"))
ADDED = "\n6. Audit. The Company may inspect the books of the Client.\n"


def changed(*pairs):
    text = OLD
    for old, new in pairs:
        text = text.replace(old, new)
    return text


@pytest.fixture(name="three")
def make_three():
    sides = (("base.txt", OLD), ("theirs.txt", changed(*THEIRS) + ADDED), ("ours.txt", changed(*OURS)))
    return compare_three(*(version(text, name) for name, text in sides))


def test_each_clause_has_who_changed_it(three):
    found = {(one.title.split(".")[0], one.state) for one in three.entries}
    assert found == {("1", "conflict"), ("2", "same"), ("3", "theirs"), ("5", "ours"), ("6", "theirs")}
    assert three.entries[0].state == "conflict" and three.entries[-1].level == "substance"


FEE, RATE, NET, DUE = ("$5,000", "$6,000"), ("5% a", "4% a"), ("each inv", "each net inv"), ("each inv", "each due inv")


@pytest.mark.parametrize(
    ("theirs", "ours", "state"),
    [
        ([FEE], [RATE], "both"),
        ([FEE], [("$5,000 within", "$5,000 not later than")], "conflict"),
        ([FEE], [FEE], "same"),
        ([FEE], [FEE, RATE], "both"),
        ([FEE, NET], [RATE, DUE], "conflict"),
        ([FEE, NET], [RATE, NET], "both"),
    ],
)
def test_a_conflict_is_in_the_same_words(theirs, ours, state):
    """A bug: words that both added in one place were none, and the same edit beside another one was a conflict."""
    (one,) = compare_three(version(OLD), version(changed(*theirs)), version(changed(*ours))).entries
    assert one.state == state


def test_a_clause_that_one_side_only_renumbered_is_the_others():
    added = "2. Audit. The Company may inspect the books of the Client.\n\n3. Term."
    later = OLD.replace("5. Not", "6. Not").replace("4. Li", "5. Li").replace("3. Conf", "4. Conf")
    texts = (OLD, later.replace("2. Term.", added), changed(("Client.\n", "Client at all.\n")))
    found = [one for one in compare_three(*map(version, texts)).entries if one.level != "form"]
    assert {(one.title.split(".")[0], one.state) for one in found} == {("2", "theirs"), ("4", "ours")}


CLAUSES = OLD.split("\n\n")  # the title, the parties, and five clauses


def test_a_clause_moved_to_two_places_or_deleted_is_a_conflict():
    """A bug: two places were the same change, and a clause one side deleted and the other moved was none."""
    for theirs, ours, state in (
        ([3, 4, 2, 5, 6], [3, 4, 5, 6, 2], "conflict"),
        ([3, 4, 5, 6, 2], [3, 4, 5, 6, 2], "same"),
        ([3, 4, 5, 6], [3, 4, 5, 6, 2], "conflict"),
        ([3, 4, 5, 6, 2], [2, 3, 4, 5, 6], "theirs"),
    ):
        texts = ["\n\n".join([*CLAUSES[:2], *(CLAUSES[at].strip() for at in order)]) for order in (theirs, ours)]
        found = compare_three(version(OLD), *map(version, texts)).entries
        assert state in [one.state for one in found if one.title.startswith("1. Payment")]


def test_changes_of_clauses_that_overlap_are_one_row():
    """A bug: a change of two clauses and one of the second were two rows, "theirs alone" and "ours alone"."""
    one, two = "The Seller warrants the goods for two years from delivery.", "The Buyer reports defects within 10 days."
    merged, base = f"{one} {two}".replace("two years", "one year").replace("10", "20"), f"5. Warranty. {one}\n\n{two}\n"
    found = compare_three(*map(version, (base, f"5. Warranty. {merged}\n", base.replace("10", "90")))).entries
    assert [entry.state for entry in found] == ["conflict"]


def test_an_empty_document_is_compared():
    for texts in (("", "words of it", "words of it"), ("words of it", "", "other"), ("", "", "")):
        assert compare_three(*(Version("x", (Page(text),)) for text in texts)).summary


def test_every_format_has_both_sides(three):
    for suffix in (".md", ".html", ".json"):
        text = export.written(three, suffix).decode()
        assert "6,000" in text and "4,000" in text and "conflict" in text
    value = json.loads(export.written(three, ".json"))
    assert [value[side]["document"] for side in ("base", "theirs", "ours")] == ["base.txt", "theirs.txt", "ours.txt"]
    first = value["clauses"][0]
    assert (first["state"], first["changes"][0]["old"]["text"]) == ("conflict", "5,000 … 30")
    assert [one["side"] for one in first["changes"]] == ["theirs", "ours"]
    tables = Document(io.BytesIO(export.written(three, ".docx"))).tables
    row = next(row for table in tables for row in table.rows if "conflict" in row.cells[0].text)
    assert "6,000" in row.cells[1].text and "4,000" in row.cells[2].text
    struck = [run.text.strip() for one in row.cells[1].paragraphs for run in one.runs if run.font.strike]
    assert struck == ["5,000", "30"] and row.cells[1].text.startswith("changed: Payment. The")


BASE = """\
1. Services
The Supplier shall provide the services of Schedule A.

2. Customer Service
The Supplier is not obligated to answer calls outside business hours.

3. Insurance
The Supplier shall maintain liability insurance with a reputable insurer.

4. Governing Law
This agreement is governed by the laws of the Netherlands.
"""
LIABILITY = "2. Limitation of Liability\nNeither party is liable for more than the fees paid.\n\n"
INSURANCE = BASE[BASE.index("3. Insurance") : BASE.index("4. Gov")]
LATER = BASE.replace("4. G", "5. G").replace("3. I", "4. I").replace("2. C", "3. C")


def test_each_clause_is_named_by_who_changed_it():
    """Bugs: an added clause had another one's name, a struck word was a deletion, and theirs was "ours alone"."""
    theirs = LATER.replace("3. C", f"{LIABILITY}3. C")
    three = compare_three(*map(version, (BASE, theirs, BASE.replace(INSURANCE, "").replace("is not", "is"))))
    found = {
        (one["clause"].rpartition(", p.")[0], one["state"], one["level"], each["side"], each["deed"])
        for one in three.to_dict()["clauses"]
        for each in one["changes"]
    }
    assert found == {
        ("2. Limitation of Liability", "theirs", "substance", "theirs", "added"),
        ("2. Customer Service", "ours", "substance", "ours", "changed"),
        ("3. Insurance", "ours", "substance", "ours", "deleted"),
        ("2. Customer Service", "theirs", "form", "theirs", "renumbered"),
        ("3. Insurance", "theirs", "form", "theirs", "renumbered"),
        ("4. Governing Law", "theirs", "form", "theirs", "renumbered"),
    }
    assert three.ours.counts["deleted"] == 1


def test_two_numbers_for_one_clause_are_no_conflict():
    ours = BASE.replace(INSURANCE, "").replace("4. G", "3. G")
    three = compare_three(*map(version, (BASE, LATER.replace("3. C", f"{LIABILITY}3. C"), ours)))
    assert [one.state for one in three.entries if one.title.startswith("4. Governing Law")] == ["both"]


@pytest.mark.parametrize("texts", [("1. Fees", "1. Fees and taxes"), ("1. Fees and taxes", "1. Fees")])
def test_words_at_the_end_of_a_clause_are_of_this_clause(texts):
    """A bug: words added behind the last one of a clause were shown with the next clause."""
    base, theirs = (f"{text}\n\n2. Term of the lease\n" for text in texts)
    found = compare_three(*map(version, (base, theirs, base.replace("lease", "contract")))).entries
    assert {(one.title[0], one.state) for one in found} == {("1", "theirs"), ("2", "ours")}
