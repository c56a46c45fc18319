import pytest
from hostile import LONG, texts

from localrag.search.retrieval import spelled

LAW = {
    "lease.txt": "The termination of the agreement needs three months of notice, in writing, to the counterparty.",
    "german.txt": "Die Kündigung des Vertrages ist dem Mieter nach der Frist von drei Monaten mitzuteilen und zu senden.",
}


@pytest.fixture
def law(shelf):
    return shelf("law", LAW)


@pytest.mark.parametrize(
    ("question", "right"),
    [
        ("When is the terminaton?", "When is the termination?"),
        ("the temrination", "the termination"),
        ("Agreemnt and noticce", "Agreement and notice"),
        ("the tremnation", "the termination"),
        ("COUNTERPRATY", "Counterparty"),
        ("non-agreemant", "non-agreement"),
        ("Kündigng", "Kundigung"),
    ],
)
def test_a_slip_is_put_right(law, question, right):
    assert spelled([law], question) == right


@pytest.mark.parametrize(
    "question",
    [
        "the notices of terminating agreements",  # stems of what is there
        "Kündigungen, kundigung",
        "notic",  # a stem itself
        "Is there a clause which would matter about those?",  # "there" is not "three"
        "bloxx mumbleword",  # nothing is near
        "12345 2018 terminaton2018 2018terminaton my_terminaton x1terminaton",
        "teh mnth",
        '"terminaton of agreemnt" and “noticce” and «agreemnt» and „agreemnt“',
        "sermination",  # the first letter is taken to be right
        "",
        "?!",
    ],
)
def test_what_may_be_meant_as_it_stands_is_left_alone(law, question):
    assert spelled([law], question) == question


def test_a_short_word_may_differ_by_one_letter_and_a_long_one_by_two(law):
    assert spelled([law], "notxce nxtxce") == "notice nxtxce"
    assert spelled([law], "txrminatixn txrmxnatixn") == "termination txrmxnatixn"


def test_of_several_the_nearest_is_taken_then_the_commonest(shelf):
    library = shelf("words", {"a.txt": "rental. rentals", "b.txt": "metals metal", "c.txt": "metal", "d.txt": "medal"})
    assert spelled([library], "metql") == "metal"
    assert spelled([library], "meral") == "metal"
    assert spelled([library], "medql") == "medal"


def test_a_word_that_one_of_the_libraries_holds_is_no_slip(shelf, law):
    zoo = shelf("zoo", {"a.txt": "The germination of seeds in Notick, by the river."})
    assert spelled([law, zoo], "terminaton in Notick") == "termination in Notick"
    assert spelled([zoo, law], "terminaton in Notick") == "termination in Notick"
    assert spelled([law], "in Notick") == "in Notice"
    assert spelled([zoo, law], "Notick agreemnt germinaton") == "Notick agreement germination"
    assert spelled([], "terminaton") == "terminaton"


def test_any_question_can_be_looked_over(law):
    for question in texts(3, 150):
        once = spelled([law], question)
        assert spelled([law], once) == once


@pytest.mark.parametrize("name", LONG)
def test_no_question_takes_more_than_its_length(law, name):
    spelled([law], LONG[name])


def test_very_many_slips_are_not_each_compared_with_every_word(law):
    letters = "abcdefghij"
    question = " ".join(
        f"t{a}{b}{c}{d}{e}" for a in letters for b in letters for c in letters for d in letters for e in "xyz"
    )
    assert spelled([law], question) == question


def test_signs_that_decompose_into_spaces_are_left_alone(law):
    for code in range(0x80, 0x30000):
        if chr(code).isalpha() and not ("a" + chr(code)).casefold().isalpha():
            assert spelled([law], chr(code) * 6) == chr(code) * 6
    assert spelled([law], "ͺͺͺͺͺͺ ﷺﷺﷺﷺﷺ") == "ͺͺͺͺͺͺ ﷺﷺﷺﷺﷺ"
