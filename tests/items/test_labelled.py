"""Values that a text names, and those that only stand near a name."""

import pytest

from localrag.items.item import Item
from localrag.items.labelled import stated
from localrag.types import Passage


def taken(text, name, type, field=False):
    item = Item("one", f"What is the {name}?", name, type, field=field)
    found = stated([item], [Passage("library", "a.txt", None, None, (), text, 0, len(text), 0.0)])
    return found[item].value.form if item in found else None


@pytest.mark.parametrize(
    ("text", "name", "type"),
    [
        ("The Buyer pays within 10 days after the end of the Notice Period.", "Notice Period", "duration"),
        ("Beginning twelve (12) months prior to the expiration of the Initial Term.", "Initial Term", "duration"),
        ("The Tenant pays EUR 5,000 as a deposit on account of the Purchase Price.", "Purchase Price", "money"),
        ("A late charge of 5% applies; the Interest Rate follows the bank.", "Interest Rate", "percent"),
        ("Assignment: No", "Assignment", "yes/no"),
        ("Payment term: 30 days", "term", "duration"),
        ("Thank you for your letter dated 3 May 2019.", "date", "date"),
        ("This policy covers the order dated 2 February 2020.", "date", "date"),
        ("This Agreement is dated 3 March 2020.", "effective date of termination", "date"),
        ("This Agreement is made on 3 March 2020.", "execution", "text"),
    ],
)
def test_a_value_near_a_name_is_not_its_value(text, name, type):
    assert taken(text, name, type) is None


def test_a_value_that_a_name_defines_is():
    assert taken("Either party gives sixty (60) days (the “Notice Period”).", "Notice Period", "duration") == "P60D"
    assert taken("The Initial Term shall be two years from the date hereof.", "Initial Term", "duration") == "P2Y"
    assert taken("USD 50 (hereinafter called the “Deposit”) is due.", "Deposit", "money") == "50"
    assert taken("THIS LEASE (the “Lease”) is made as of 3 March 2020.", "effective date", "date") == "2020-03-03"
    amended = "This Agreement amends the Lease dated 3 March 2019 and is made on 4 April 2020."
    assert taken(amended, "date", "date") == "2020-04-04"


def test_a_field_takes_yes_no_and_a_label_of_one_more_word():
    assert taken("Assignment: No", "assignment", "yes/no", field=True) == "false"
    assert taken("Payment term: 30 days", "term", "duration", field=True) == "P30D"
