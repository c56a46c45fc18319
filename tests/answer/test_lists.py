"""Lists: which a quote is from, and how an answer with a part of one gets the whole."""

import pytest

from localrag.answer import lists

GROUNDS = (
    "Stage 1: 1. Search for competitors. 2. Design of a logo.\n\nStage 2: 3. Emotional design (assistants). 4. Adaptive "
    "design for phones. 5. Tests of the interface.\n\nThe Franchisor may end this Agreement upon thirty days’ notice if "
    "any of the following happens: (a) the Franchisee fails to pay; (b) the Franchisee abandons the centres without "
    "consent; (c) the Franchisee does not use its best efforts. Each party bears its own costs under (a) and (b) above.\n"
    "D. Benefits\n    1. Two season tickets with an option\n       on two more\n    2. A colour advertisement. It ends in "
    "July.\n    3. A trip to the camp\n"
)


@pytest.mark.parametrize(
    ("quoted", "items"),
    [
        ("Emotional design", ["3. Emotional design", "4. Adaptive design", "5. Tests of the interface."]),
        ("the Franchisee fails to pay", ["(a) the", "(b) the Franchisee abandons", "(c) the Franchisee does not"]),
        ("if any of the following happens:", ["(a) the", "(b) the Franchisee abandons", "(c) the Franchisee does not"]),
        ("Two season tickets", ["1. Two season", "2. A colour advertisement. It ends", "3. A trip to the camp"]),
        ("Each party bears its own costs", []),
    ],
)
def test_the_list_that_a_quote_is_from_is_found_whole(quoted, items):
    at = GROUNDS.index(quoted)
    spans = lists.around(GROUNDS, at, at + len(quoted))
    shown = [" ".join(GROUNDS[slice(*span)].split()) for span in spans][1:]
    assert len(shown) == len(items) and all(one.startswith(item) for one, item in zip(shown, items, strict=True))


@pytest.mark.parametrize("items", ["1. All.\n2. It.\n", "\n".join(f"{n}. Clause {n} of many." for n in range(1, 60))])
def test_what_is_too_short_or_too_long_is_no_list(items):
    text = f"The clauses are:\n{items}"
    assert lists.around(text, 0, len(text)) == []


@pytest.mark.parametrize(
    ("text", "quoted", "count"),
    [
        ("Duties:\n- plan all\n- run all\nSkills:\n- lead teams\n- speak well\n", "plan all", 2),
        (
            "The Landlord gives:\n(a) the hall;\n(b) heat of two.\nThe rent ends.\nThe Tenant shall:\n(c) pay it\n",
            "heat",
            2,
        ),
        ("Signs:\n• fever now\n• a cough\n\nAsk your doctor.\n\n• a rash\n", "fever", 2),
        ("The rent under clause (a) is ten. The rent under clause (b) is twenty.", "ten", 0),
        ("A. Smith and B. Jones, Jr. or C. Brown signed it.", "Jones", 0),
    ],
)
def test_what_is_another_list_or_none_stays_out(text, quoted, count):
    at = text.index(quoted)
    assert max(0, len(lists.around(text, at, at + len(quoted))) - 1) == count


@pytest.mark.parametrize("unit", ["(a) x ", "x; (a) ", "\n- a", "     ", "a. "])
def test_marks_without_end_are_looked_at_near_the_quote_only(unit):
    assert lists.around(unit * 20_000, 10, 20) == []
