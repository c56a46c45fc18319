"""A finding in words: what is claimed has its quote, and without a claim the quote is only what comes nearest."""

import pytest

from localrag.answer.single import worded
from localrag.grounding import prompts
from localrag.items.item import Finding
from localrag.types import Citation, Plan

QUOTE = "Rent is payable within thirty (30) days."
AT = Citation("law", "a.txt", 1, None, "p. 1", QUOTE, 0, len(QUOTE), 0)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Finding("found", "yes", citation=AT), f"Yes: “{QUOTE}” [1]"),
        (Finding("found", "no", citation=AT), f"No: “{QUOTE}” [1]"),
        (Finding("unsure", citation=AT), prompts.NOT_FOUND),
        (Finding("absent"), prompts.NOT_FOUND),
        (Finding("unsure", withheld=True), prompts.WITHHELD),
    ],
)
def test_only_what_the_quote_bears_out_is_claimed(found, text):
    made = worded(found, Plan("retrieve", ""), "fake")
    assert (made.answer, made.found) == (text, found.state == "found")
    assert [one.marker for one in (*made.citations, *made.nearest)] == [int(made.found)] * (found.citation is not None)
