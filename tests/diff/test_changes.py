import random
import time

import pytest

from localrag.diff.changes import Version, compare
from localrag.ingest.readers.base import read_parts
from localrag.ingest.readers.source import Source
from localrag.types import Page, Part

OLD = """SERVICES AGREEMENT

This Agreement is made between Acme Widgets Inc. (the "Company") and Beta Foods Ltd. (the "Client") on March 3, 2020.

1. Payment. The Client shall pay $5,000 within thirty (30) days of the receipt of each invoice. The Company may charge interest at 5% a year.

2. Term. This Agreement begins on January 1, 2021 and shall continue for two years.

3. Confidentiality. The Client shall not disclose Confidential Information to any third party. See Section 4 below.

4. Liability. The Company shall not be liable for indirect damages of any kind suffered by the Client.

5. Notices. All notices must be in writing and sent to the address of the other party as set out above.
"""


def version(text, name="msa.txt"):
    part = next(read_parts(Source(name, data=text.encode())))
    assert isinstance(part, Part)
    return Version(name, part.reading.pages)


def changed(old, new):
    return compare(version(old), version(new))


def swapped(*pairs, text=OLD):
    new = text
    for old, replacement in pairs:
        assert old in new
        new = new.replace(old, replacement, 1)
    return list(changed(text, new).changes)


@pytest.mark.parametrize(
    ("old", "new", "kinds"),
    [
        ("$5,000", "$6,000", ("amount",)),
        ("$5,000", "€5,000", ("amount",)),
        ("January 1, 2021", "1 January 2021", ("form",)),
        ("January 1, 2021", "1 February 2021", ("date",)),
        ("two years", "2 years", ("form",)),
        ("thirty (30) days", "sixty (60) days", ("duration",)),
        ("two years", "two months", ("duration",)),
        ("Company may charge", "Company shall charge", ("modal",)),
        ("shall not disclose", "shall disclose", ("negation",)),
        ("The Company may", "The Client may", ("party",)),
        ("See Section 4", "See Section 5", ("reference",)),
        ("indirect damages", "indirect losses", ("binding",)),
        ("in writing and sent to the address", "on paper, posted straight to the desk", ("binding",)),
        ("shall continue for", "shall continue, plus the rest of the year, for", ("binding",)),
        ("the address of the other", "address of other", ("wording",)),
        ("Acme Widgets Inc. (", "Acme Widgets Inc. of Ireland (", ("name",)),
        ("receipt of each invoice", "receipt of each Invoice", ("form",)),
        ("$5,000 within", "$5000 within", ("form",)),
        ("thirty (30) days", "30 days", ("form",)),
        ("5% a year", "five percent (5%) a year", ("form",)),
    ],
)
def test_a_change_has_its_kind(old, new, kinds):
    (one,) = swapped((old, new))
    assert one.kinds == kinds and one.deed in ("changed", "added", "deleted")
    assert one.level == {"wording": "wording", "form": "form"}.get(kinds[0], "substance")


@pytest.mark.parametrize(
    ("old", "new", "level"),
    [
        ("The visitors liked the garden and its paths.", "The visitors enjoyed the garden and its paths.", "wording"),
        (
            "The fee is the lesser of both, and shall stand.",
            "The fee is the greater of both, and shall stand.",
            "substance",
        ),
        ("The price minus rebates shall be due.", "The price plus rebates shall be due.", "substance"),
        (
            "Provider shall pay, whereas Buyer shall go quickly.",
            "Provider shall pay, whereas Buyer shall go slowly.",
            "substance",
        ),
        ('Smith (the "EPA") was lovely and warm today.', 'Smith (the "EPA") was dreadful and warm today.', "wording"),
        ("WHEREAS the parties shall work well together;", "WHEREAS the parties shall work fine together;", "wording"),
    ],
)
def test_what_changes_in_a_sentence_that_binds_is_of_substance(old, new, level):
    (one,) = changed(old, new).changes
    assert one.level == level


def test_a_change_has_the_number_and_title_of_its_own_clause():
    text = "1. Fees. The Client pays each month.\n\n2. Term and Notice. It ends in May.\n\nIt may be renewed once.\n\n(a) in June;\n"
    names = [
        one.new.clause for one in swapped(("each month", "each week"), ("renewed once", "renewed twice"), text=text)
    ]
    assert sorted(names) == ["1. Fees", "2. Term and Notice"]
    assert (
        changed("7. Term & Notice. It ends in May.", "7. Term & Notice. It ends in June.").changes[0].new.clause
        == "7. Term & Notice"
    )
    (item,) = swapped(("in June", "in July"), text=text)
    assert item.new.clause == "2. Term and Notice › (a)"


@pytest.mark.parametrize(
    ("old", "new", "kinds"),
    [
        ("EUR 15.00", "EUR 1500", ("amount",)),
        ("EUR 5,000", "EUR 5000", ("form",)),
        ("EUR -500", "EUR 500", ("amount",)),
        ("1.5 %", "15 %", ("percent",)),
        ("1-5 euros", "15 euros", ("amount",)),
        ("thirty (30) days", "thirty-(30)-days", ("form",)),
        ("as in clause 1.12", "as in clause 11.2", ("reference",)),
        ("as in Clause 4 (A)", "as in clause 4 (a)", ("form",)),
    ],
)
def test_a_point_or_a_minus_is_part_of_a_figure(old, new, kinds):
    """A bug: only letters and digits were compared, so that 15.00 and 1500 differed in form."""
    sentence = "The rent is {} and due at once."
    (one,) = changed(sentence.format(old), sentence.format(new)).changes
    assert one.kinds == kinds


def test_a_moved_and_renumbered_clause_is_no_deletion_and_a_change_inside_is_told():
    clauses = OLD.split("\n\n")
    moved = [clauses[6].strip().replace("5.", "2."), clauses[3].replace("2.", "3.")]
    new = "\n\n".join([*clauses[:3], *moved, *clauses[4:6]])
    found = changed(OLD, new + "\n").changes
    assert {one.deed for one in found} == {"moved", "renumbered"}
    (moved,) = (one for one in found if one.deed == "moved")
    assert moved.old.text == moved.new.text and moved.new.text.startswith("Notices. All notices")
    assert {(one.old.text, one.new.text) for one in found if one.deed == "renumbered"} == {("2.", "3.")}
    assert (moved.old.clause, moved.new.clause) == ("5. Notices", "2. Notices")
    inside = clauses[5].replace("The Company shall not", "The Client shall not")
    new = "\n\n".join([*clauses[:2], inside, *clauses[2:5], clauses[6]])
    found = [one for one in changed(OLD, new).changes if one.deed != "renumbered"]
    assert [(one.deed, one.kinds) for one in found] == [("changed", ("party",)), ("moved", ())]


def test_a_new_clause_renumbers_what_follows_and_the_references_to_it():
    new = OLD
    for old, renumbered in (("5. Not", "6. Not"), ("4. Li", "5. Li"), ("Section 4", "Section 5")):
        new = new.replace(old, renumbered)
    new = new.replace("3. Conf", "3. Audit. The Company may inspect the books of the Client.\n\n4. Conf")
    found = changed(OLD, new).changes
    assert [(one.deed, one.new.text) for one in found if one.level != "form"] == [
        ("added", "Audit. The Company may inspect the books of the Client.")
    ]
    assert sorted(one.old.text for one in found if one.deed == "renumbered") == ["3.", "4.", "5."]
    assert all(one.level == "form" for one in found if one.runs[0].text.endswith("See Section"))


def test_the_last_sentence_keeps_its_stop_where_it_moves():
    clauses = OLD.strip().split("\n\n")
    new = [*clauses[:2], clauses[6], *clauses[3:5], clauses[5].replace(".", " of the Company."), clauses[2]]
    for old, now in ((clauses, new), (new, clauses)):
        found = changed("\n\n".join(old), "\n\n".join(now)).changes
        assert not any(run.text == "." for one in found for run in one.runs if run.sign != "="), found


def laid_out(text, length):
    words = text.split()
    lines = [" ".join(words[at : at + 7]) for at in range(0, len(words), 7)]
    pages = [lines[at : at + length] for at in range(0, len(lines), length)]
    return "\f".join("\n".join(["Draft of Acme", *page, str(number)]) for number, page in enumerate(pages, 1))


def test_lines_pages_and_running_headers_change_nothing():
    text = "\n\n".join(OLD.replace("Acme", f"Acme {word}") for word in ("North", "South", "East", "West"))
    for length in (3, 8):
        assert [one for one in changed(text, laid_out(text, length)).changes if one.level != "form"] == []


def test_paragraphs_behind_a_running_header_are_compared():
    """A bug: with an empty line behind the header, the first line of each page was left out."""
    old = [f"The page {word} begins here.\nIts rent is due." for word in ("north", "south", "east", "west")]
    for gap in ("\n\n", "\n \n"):
        new = "\f".join(gap.join(["Draft of Acme", page, str(n)]) for n, page in enumerate(old, 1))
        assert changed("\n\n".join(old), new).changes == ()


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("The rent is\n2.500 EUR a month.", "The rent is\n9.500 EUR a month.", "amount"),
        ("Interest rate:\n\n1.5 Percent on late sums.", "Interest rate:\n\n9.5 Percent on late sums.", "percent"),
        ("It is paid.\n\n2.1 Days of Grace. None.", "It is paid.\n\n3.1 Days of Grace. None.", "form"),
        ("Notice.\n\n30 days before the end.", "Notice.\n\n60 days before the end.", "duration"),
        ("The sum in euros is\n[30]\neach.", "The sum in euros is\n[90]\neach.", "number"),
        ("See the table in\nPage 3\nfor prices.", "See the table in\nPage 9\nfor prices.", "reference"),
        ("The rent is\n\n- 1200 -\n\neach.", "The rent is\n\n- 9200 -\n\neach.", "number"),
    ],
)
def test_a_figure_alone_or_at_the_start_of_a_line_is_compared(old, new, kind):
    """A bug: it was taken for the number of a clause or of a page."""
    (one,) = changed(old, new).changes
    assert one.kinds == (kind,)


def test_numbers_of_pages_are_left_out():
    pages = ["The rent of the flat is due", "in advance on the first day", "of each month in the year."]
    for number, end in (("Page {}", "\n\f"), ("- {} -", "\n\n"), ("{} of 5", "\n\f"), ("[{}]", "\n\n")):
        new = end.join(f"{page}\n{number.format(at)}" for at, page in enumerate(pages, 3))
        assert changed(" ".join(pages), new).changes == (), number


def test_what_is_left_out_and_differs_is_said():
    """A bug: a comment or a footer that only one version has gave "No differences." """
    said = "[Comment by A. Lawyer: The Supplier is not liable for anything.]"
    assert "1 comment only in the new version" in changed(OLD, f"{OLD}\n{said}\n").summary
    pages = (
        "The rent of the flat is due",
        "in advance on the first day",
        "of each month in the year.",
        "Notice: a month.",
    )
    footers = ("Draft of Acme", "All liability is excluded")
    footed = ["\f".join(f"{page}\n{footer}" for page in pages) for footer in footers]
    assert "footers differ" in changed(*footed).summary and changed(footed[0], footed[0]).unseen == ""


def test_places_are_pages_and_offsets_of_both_versions():
    old, new = ("First page of it.\fThe rent is EUR 100 a month.", "First pages of it.\fThe rent is EUR 120 a month.")
    compared = changed(old, new)
    amount = next(one for one in compared.changes if one.kinds == ("amount",))
    for side, pages, words in ((amount.old, compared.old.pages, "100"), (amount.new, compared.new.pages, "120")):
        ((at, start, end),) = side.spans
        assert (pages[at].number, pages[at].text[start:end], side.place) == (2, words, "p. 2")


def test_words_that_one_version_adds_have_their_place_in_the_other():
    compared = changed(OLD, OLD.replace("5,000", "6,000").replace("each invoice", "each net invoice"))
    (one,) = compared.changes
    text = compared.old.pages[0].text
    (_, start, end), (_, added, behind) = one.old.spans
    assert text[start:end] == one.old.text == "5,000" and added == behind and text[added:].startswith("invoice")


def test_the_redline_holds_both_versions():
    new = OLD.replace("$5,000", "$6,000").replace("4. Liability", "4. Limits").replace("shall not dis", "shall dis")
    runs = [run for one in changed(OLD, new).paragraphs for run in (*one, None)]
    for sign, text in (("-", OLD), ("+", new)):
        kept = "".join(" " if run is None else run.text for run in runs if run is None or run.sign in ("=", sign))
        assert kept.split() == text.split()


def test_an_empty_side_is_compared():
    for texts in (("", "words of it"), ("words of it", ""), ("", "")):
        old, new = (Version("x", (Page(text),)) for text in texts)
        assert len(compare(old, new).changes) == int(texts[0] != texts[1])


def test_two_hundred_pages_take_seconds():
    chance = random.Random(3)
    words = [f"{a}{number}" for number in range(200) for a in "be da fo gu ki lo mi nu pa ro".split()]
    clauses = [f"{n % 90 + 1}. The {' '.join(chance.choices(words, k=40))}." for n in range(2500)]
    new = [one for n, one in enumerate(clauses) if n % 50]
    new[2000:2010], new[100:110] = new[100:110], new[2000:2010]
    old, later = (
        Version("x", tuple(Page("\n\n".join(part[n : n + 12]), n) for n in range(0, len(part), 12)))
        for part in (clauses, new)
    )
    began = time.process_time()
    found = compare(old, later)
    assert time.process_time() - began < 20
    assert sum(one.deed == "moved" for one in found.changes) == 20


def test_a_moved_and_edited_clause_is_no_deletion_though_another_takes_its_place():
    """A bug: the clause in its place was told as the same clause with all its words changed."""
    old = (
        "# Services\n\n## 3. Secrecy\n3.1 Each party shall keep the other's information secret.\n\n"
        "## 4. Law\n4.1 This Agreement is governed by the laws of England.\n"
    )
    new = (
        "# Services\n\n## 3. Law\n3.1 This Agreement is governed by the laws of Ireland.\n\n"
        "## 4. Secrecy\n4.1 Each party shall keep the other's information secret.\n"
        "4.2 The duties of this clause survive for five years.\n"
    )
    found = compare(version(old, "a.md"), version(new, "b.md")).changes
    substance = {(one.deed, one.old.text, one.new.text) for one in found if one.level == "substance"}
    assert substance == {
        ("changed", "England", "Ireland"),
        ("added", "", "The duties of this clause survive for five years."),
    }
    assert {one.deed for one in found if one.level != "substance"} == {"moved", "renumbered"}


def test_one_legal_word_for_another_is_substance():
    text = "1. The Supplier grants a non-exclusive licence, uses best endeavours and is paid before delivery, by card or wire.\n"
    for old, new in (("a non-", "an "), ("best", "reasonable"), ("before", "after"), ("card or", "card and")):
        (one,) = swapped((old, new), text=text)
        assert one.kinds == ("qualifier",) and one.level == "substance", old


def test_a_heading_moves_with_what_is_under_it():
    """A bug: the heading was told as one move, and its clause as another."""
    parts = ["# Lease", "## Rent\nThe rent is EUR 100 a month, due on the first day."]
    parts += [
        "## Pets\nThe tenant may keep a dog.",
        "## Repairs\nThe landlord repairs the roof and walls of the house.",
    ]
    old, new = ("\n\n".join(parts[at] for at in order) + "\n" for order in ((0, 1, 2, 3), (0, 3, 1, 2)))
    (moved,) = compare(version(old, "a.md"), version(new, "b.md")).changes
    assert moved.deed == "moved" and moved.new.text.startswith("Repairs The landlord")


def test_the_same_and_unrelated_texts_are_told():
    same = changed(OLD, OLD)
    assert same.changes == () and same.counts == {} and same.summary == "No differences."
    other = "The moon is a ball of rock. It has craters, plains and mountains, which Galileo drew in the year 1609."
    assert changed(OLD, other).alike < 0.2 and "in both" in changed(OLD, other).summary
    assert "in both" not in changed(OLD, OLD.replace("two years", "three years")).summary


def test_a_moved_clause_leaves_a_short_one_in_its_place():
    """A bug: the words that were left had a stop in common with the clause, which was told as changed and added."""
    clauses = OLD.strip().split("\n\n")
    moved = clauses[4].replace("3.", "6.").replace("shall not disclose", "may disclose")
    new = "\n\n".join([*clauses[:4], "3. The parties agree.", *clauses[5:], moved]) + "\n"
    found = changed(OLD, new).changes
    assert [(one.deed, one.new.text) for one in found if one.deed != "changed"] == [
        ("added", "The parties agree."),
        ("moved", moved.removeprefix("6. ")),
    ]
    assert [(one.old.text, one.new.text) for one in found if one.deed == "changed"] == [("shall not", "may")]


def test_words_that_came_or_went_change_a_clause_and_a_sentence_is_added():
    """Bugs: a struck word was "deleted", and only whole clauses were "added"."""
    for old, new in (("in writing ", ""), ("5% a year.", "5% a year"), ("2. Term.", "2. Term and end.")):
        for one in (*changed(OLD, OLD.replace(old, new)).changes, *changed(OLD.replace(old, new), OLD).changes):
            assert one.deed == "changed" and one.title.startswith(OLD[: OLD.index(old) + 1].rpartition("\n")[2][:2])
    new = OLD.replace("5% a year.", "5% a year. The Supplier shall insure the goods at its own cost.")
    assert [one.deed for one in changed(OLD, new).changes] == ["added"]
    assert [one.deed for one in changed(new, OLD).changes] == ["deleted"]


def test_the_number_of_an_item_in_a_sentence_is_form():
    text = "The Client shall pay (i) the fee; (ii) the tax; and (iii) the costs, as Section 4(a) says."
    (one,) = swapped(("(iii)", "(iv)"), text=text)
    assert one.kinds == ("form",)
    (one,) = swapped(("4(a)", "4(b)"), text=text)
    assert one.kinds == ("reference",)


DEAL = """This Agreement is made between Larkspur Trading Ltd.{} and Quillfeather Foods GmbH{}.

1. Delivery. Seller shall insure the goods in transit. Seller shall bear the cost of it. Buyer shall pay. Buyer may refuse late goods.

2. Works. Services means the works in Schedule 1. Buyer shall check the services at once.
"""


@pytest.mark.parametrize("called", [" (the “{}”)", ", as {},", " (the {})", " hereinafter referred to as {}"])
@pytest.mark.parametrize(
    ("old", "new", "kinds"),
    [
        ("Seller shall insure", "Buyer shall insure", ("party",)),
        ("check the services", "check the Services", ("term",)),
        ("in transit", "in Transit", ("form",)),
    ],
)
def test_a_party_is_who_acts_and_a_term_what_the_text_defines(called, old, new, kinds):
    text = DEAL.format(called.format("Seller"), called.format("Buyer"))
    (one,) = swapped((old, new), text=text)
    assert one.kinds == kinds
