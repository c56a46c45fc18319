"""What a reader must check is marked, and a line says why."""

from dataclasses import replace

import pytest

from localrag.grounding import prompts
from localrag.grounding.annotations import advice, limits, mark, remarks, shown, unmarked, warnings
from localrag.types import Answer, Flag, Plan

AMOUNT = Flag("amount", "EUR 58,000", "not in what is cited")
NAME = Flag("name", "John Smith", "not in what is cited")
LINK = Flag("link", "hxxps://evil[.]example", "not in what is cited")
ELSEWHERE = Flag("number", "5", "stands in dogs.txt, p. 7, not in what is cited")
LANGUAGE = Flag("language", "German", "the documents are in English")


def test_words_and_sentences_are_marked():
    text = "The rent is EUR 58,000 a year [1]. Elephants graze. John Smith pays [2]."
    assert mark(text, ["Elephants graze."], [AMOUNT, NAME]) == (
        "The rent is EUR 58,000⚠ a year [1]. Elephants graze. ⚠ John Smith⚠ pays [2]."
    )


def test_a_sentence_is_found_again_with_its_markers():
    assert mark("Elephants graze [1][2]. Yes [1].", ["Elephants graze."], []) == "Elephants graze [1][2]. ⚠ Yes [1]."


def test_part_of_a_word_or_number_is_not_marked():
    text = "Of 15, 5.5 and 5,000 there are 5 left."
    assert mark(text, [], [ELSEWHERE]) == "Of 15, 5.5 and 5,000 there are 5⚠ left."


def test_the_number_of_a_marker_is_not_marked():
    text = "Item 5 is open [5]. See [2, 5]."
    assert mark(text, [], [ELSEWHERE]) == "Item 5⚠ is open [5]. See [2, 5]."


def test_marks_are_taken_away_again():
    text = "The rent is EUR 58,000 [1]. Elephants graze. John Smith pays [2]."
    assert unmarked(mark(text, ["Elephants graze."], [AMOUNT, NAME])) == text


@pytest.mark.parametrize(
    "flag", [LANGUAGE, Flag("command", "not there", "x"), Flag("name", " ", "x"), Flag("name", ".*", "x")]
)
def test_what_is_not_in_the_answer_is_not_marked(flag):
    assert mark("It is German law.", ["Something else."], [flag]) == "It is German law."


def test_lines_tell_what_the_marks_mean():
    assert warnings(["Elephants graze."], [AMOUNT, LANGUAGE, NAME, LINK, ELSEWHERE]) == [
        "⚠ EUR 58,000, John Smith, the link hxxps://evil[.]example: not in what is cited.",
        "⚠ 5: stands in dogs.txt, p. 7, not in what is cited.",
        "⚠ The answer is in German; the documents are in English.",
        "⚠ No source for: “Elephants graze.”",
    ]
    assert warnings([], []) == []


def test_what_an_answer_repeats_is_listed_once():
    flags = [Flag("entity", "Elephants graze", "it is said of “Zebra” in dogs.txt")] * 3
    assert warnings(["Elephants graze.", "Dogs bark.", "Elephants graze."], flags) == [
        "⚠ Elephants graze: it is said of “Zebra” in dogs.txt.",
        "⚠ No source for 2 sentences.",
    ]


def test_an_unclear_answer_says_how_to_ask_unless_it_was_stopped():
    unclear = Answer("Rent?", f"{prompts.UNCLEAR}\n\n“5” [1]", True, Plan("retrieve", "", {}, ()), certainty="unclear")
    assert len(advice(unclear)) == 1 and advice(unclear)[0] in remarks(unclear)
    assert not advice(replace(unclear, stopped=True)) and not advice(replace(unclear, answer="EUR 5."))


def test_that_it_was_stopped_is_said_once():
    for text, found, said in (("Stopped before anything was answered.", False, 0), ("The rent is EUR 5.", True, 1)):
        lines = limits(Answer("What is the rent?", text, found, Plan("retrieve", "", {}, ()), stopped=True))
        assert len(lines) == said and all(line.startswith("This answer is not complete") for line in lines)


def test_an_answer_without_findings_is_shown_as_it_is():
    assert mark("The rent is EUR 48,000 [1].", [], []) == "The rent is EUR 48,000 [1]."


def test_an_unclear_answer_leads_to_the_quotes_below_it():
    text = f"{prompts.UNCLEAR}\n\n“The rent is EUR 5.” [1]"
    answer = Answer("What is the rent?", text, True, Plan("retrieve", ""), certainty="unclear")
    assert shown(answer) == prompts.UNCLEAR and shown(replace(answer, certainty="sure")) == text
