"""What a question is taken to say: its words, names and phrases, and whether it means a document as a whole."""

import pytest
from hostile import LONG, texts

from localrag.question.lookup import read, without

ENGLISH = ["english"]


def words(question, *languages):
    return {term for group in read(question, languages or ENGLISH).groups for term in group}


def names(question):
    return {term for group in read(question, ENGLISH).names for term in group}


# --- words --------------------------------------------------------------------------------------------------


def test_words_that_say_nothing_are_left_out():
    assert words("What is the notice period of the lease?") == {"notic", "period", "leas"}
    assert words("Wie lang ist die Frist?", "german", "english") == {"lang", "frist"}
    assert words("Qu’est-ce que l’avocat dit ?", "french") >= {"avocat", "dit"}
    assert "est" not in words("Qu’est-ce que l’avocat dit ?", "french")


def test_a_question_of_nothing_else_keeps_them():
    assert words("What is it?") == {"what", "is", "it"}
    assert words("") == words("?!") == set()


def test_each_language_of_the_library_has_its_stem_in_which_two_forms_are_one():
    assert read("lease leases LEASE", ENGLISH).groups == (("leas",),)
    (group,) = read("running", ["german", "english"]).groups
    assert len(group) == 2
    assert words("running", "german") == {"running"} and words("running") == {"run"}
    assert read("lease", []).groups == (("leas",),)


def test_a_long_question_has_not_more_words_than_a_search_takes():
    query = read(" ".join(f"word{n}" for n in range(1000)), ENGLISH)
    assert len(query.groups) == 48 and query.names <= set(query.groups)


# --- names --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("What was the margin of Apple?", {"appl"}),
        ("It is so. Apple? Then Banana!", {"banana"}),
        ("the 10-K of Acme's FY2018", {"10", "k", "10k", "acm", "fy2018", "fy", "2018"}),
    ],
)
def test_numbers_and_capitals_inside_a_sentence_are_names(question, found):
    assert names(question) == found


def test_german_nouns_are_no_names_but_what_holds_a_number_is():
    query = read("Wie lang ist die Frist in der Halle 4 und im Vertrag von dem Mieter?", ["german"])
    assert query.names == frozenset({("4",)})


# --- phrases ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "phrases"),
    [
        ('What of "Force Majeure" here?', (("force", "majeure"),)),
        ("«l’avocat» and „Höhere Gewalt“", (("l'avocat",), ("hohere", "gewalt"))),
        ('a pipe of 5" and nothing', ()),
        ('"" "?!" “” «»', ()),
        ("“open “Force Majeure”", (("force", "majeure"),)),
    ],
)
def test_what_stands_in_quotes_is_a_phrase(question, phrases):
    assert read(question, ENGLISH).phrases == phrases


# --- what is asked about ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "whole"),
    [
        ("Who are the parties?", True),
        ("What is the effective date of the lease?", True),
        ("Wer sind die Vertragsparteien?", True),
        ("Quel est le titre ?", True),
        ("¿Cuál es la fecha?", True),
        ("What is the rent?", False),
        ("Who pays for the update?", False),
        ("Which of the parties has to give notice to the other and within how many working days of it?", False),
    ],
)
def test_only_a_short_question_for_a_name_is_about_a_whole_document(question, whole):
    assert read(question, ["english", "german", "french", "spanish"]).about_whole is whole


@pytest.mark.parametrize(
    ("question", "latest"),
    [("the latest lease?", True), ("Was sagt der neueste Vertrag?", True), ("the greatest lease", False)],
)
def test_the_newest_is_wanted_where_it_is_asked_for(question, latest):
    assert read(question, ["english", "german"]).latest is latest


# --- without some of its words ------------------------------------------------------------------------------


def test_a_question_without_a_name_lacks_it_in_its_words_and_its_text():
    query = read("What was the gross margin of Apple's FY2018?", ENGLISH)
    left = without(query, {("appl",), ("fy2018",), ("fy",), ("2018",)}, ENGLISH)
    assert left.groups == (("gross",), ("margin",)) and left.text == "What was the gross margin of"
    assert without(query, set(), ENGLISH).groups == query.groups


# --- any question -------------------------------------------------------------------------------------------


def test_any_question_is_understood():
    for seed, question in enumerate(texts(2, 400)):
        languages = [[], ENGLISH, ["french", "german"], ["russian"]][seed % 4]
        query = read(question, languages)
        assert query == read(question, languages)
        assert query.names <= set(query.groups) and all(group and all(group) for group in query.groups)
        assert all(phrase and all(phrase) for phrase in query.phrases)
        left = without(query, query.names, languages)
        assert not query.names & set(left.groups) and len(left.text) <= len(question)


@pytest.mark.parametrize("name", LONG)
def test_no_question_takes_more_than_its_length(name):
    read(LONG[name], ["english", "german"])


def test_a_question_of_very_many_words_takes_no_more_than_its_length():
    assert len(read("a Word, " * 40_000, ENGLISH).groups) == 1
    assert len(read("Aa " + "(" * 200_000 + "Word", ENGLISH).groups) == 2


# --- what is asked, and how it is to be answered --------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("Assume that you are an analyst. What is the rent? Round to one decimal.", "What is the rent?"),
        ("What is the yearly rent, by referring to the income statement?", "What is the yearly rent?"),
        ("What is the yearly rent? If it is not stated, say so. Answer in USD millions.", "What is the yearly rent?"),
        ("According to the Orlo lease, what is the rent?", "According to the Orlo lease, what is the rent?"),
        ("The supplier was late. What does he owe?", "The supplier was late. What does he owe?"),
        ("Round to one decimal.", "Round to one decimal."),
    ],
)
def test_how_to_answer_is_no_content(question, asked):
    assert read(question, ENGLISH).text == asked


@pytest.mark.parametrize(
    ("question", "figures"),
    [
        ("What is the DPO? DPO is defined as: 365 * average debts / sales.", ("debts", "sales")),
        ("What is the gross margin? Gross margin = gross profit / revenue.", ("gross profit", "revenue")),
        ("What is the quick ratio?", ("cash and cash equivalents", "accounts receivable", "total current liabilities")),
        ("What is the rent?", ()),
    ],
)
def test_the_figures_of_a_formula_are_known(question, figures):
    assert read(question, ENGLISH).figures == figures


@pytest.mark.parametrize(
    ("question", "phrases"),
    [
        ("What is a 'Service Credit'?", {("service", "credit")}),
        ("What is ‘BRIGHT OAK’ worth?", {("bright", "oak")}),
        ("Does 'Seller's Agent' sign?", {("seller", "agent")}),
        ("What of the parties' rights and the licensors' duties?", set()),
        ("It's the tenant's, isn't it?", set()),
    ],
)
def test_single_quotes_make_phrases_and_apostrophes_none(question, phrases):
    assert set(read(question, ENGLISH).phrases) == phrases
