"""Short answers without the words of the question."""

from __future__ import annotations

import pytest

from localrag.answer.shortening import shortened


@pytest.mark.parametrize(
    ("question", "answer", "short"),
    [
        ("When was the treaty signed?", "The treaty was signed in 1648. [1]", "1648 [1]"),
        ("How are integers expressed?", "Integers are expressed in binary notation [2].", "binary notation [2]"),
        ("Which problem has both impacts?", "Macroeconomic problems have both impacts.", "Macroeconomic problems"),
        (
            "How is it funded?",
            "It is funded in whole by charging students fees [1].",
            "in whole by charging students fees [1]",
        ),
        ("How are schools funded?", "Schools are funded in whole by charging fees.", "in whole by charging fees"),
        ("How are schools funded?", "Schools are funded as a whole by charging fees.", "as a whole by charging fees"),
        ("How long is the notice period?", "The notice period is at least 180 days.", "at least 180 days"),
        ("How many names were signed?", "The names signed were over 5,100.", "over 5,100"),
        ("Which plan is dear?", "The plan of Northwind is dear.", "The plan of Northwind"),
        (
            "What is another name for the space in which combustible gas is burned?",
            "The space in which combustible gas is burned is called a combustion chamber.",
            "combustion chamber",
        ),
        ("Who was asked to draw it?", "Gottfried Semper was asked to draw it [1].", "Gottfried Semper [1]"),
        ("In what year did the paper compile data?", "In 2014, the paper compiled the data.", "In 2014"),
        ("What is the name of the tenant?", "The tenant is Orlo (a company).", "Orlo (a company)"),
        ("The project must adhere to what?", "The project must adhere to zoning rules.", "zoning rules"),
        ("Wann wurde Ada zum Khan gewählt?", "Im Jahre 1186 wurde Ada zum Khan gewählt.", "Im Jahre 1186"),
        (
            "¿Cuándo fue elegido Temujin khan?",
            "En 1186, Temujin fue elegido khan.",
            "En 1186, Temujin fue elegido khan.",
        ),
        (
            "Which road connects Fresno with the valley?",
            "Route 99 connects Fresno with the valley [1].",
            "Route 99 [1]",
        ),
        ("Wann endet der Vertrag?", "Der Vertrag endet am 3. Mai 2027.", "Der Vertrag endet am 3. Mai 2027."),
        ("Wer leitet die Klinik?", "Die Klinik leitet Frau Doktor Anders.", "Frau Doktor Anders"),
    ],
)
def test_what_repeats_the_question_is_cut(question: str, answer: str, short: str) -> None:
    assert shortened(answer, question) == short


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Who developed the indicator?", "Charles Richard [1]"),
        # Cut, each would begin or end in the middle of a phrase.
        ("When was Sky launched?", "When Sky was launched in 1998 the new service used another satellite."),
        ("How common was it in the past?", "In past times, corporal punishment was one of the most common forms."),
        ("What helped the Lama to be reborn?", "A Lama who has through phowa decided to be reborn is called a Tulku."),
        ("How efficient is the engine?", "The efficiency of Energiprojekt's steam engine reaches some 27 %."),
        ("What acts on a charge?", "Electricity allows for a unified electromagnetic force that acts on a charge."),
        ("How many dispense drugs on their own?", "7 percent of practices reportedly dispense drugs on their own."),
        ("How many couples were there?", "There were 1,388 same-sex couples."),
        ("How large is the petition?", "A petition of over 5,100 names led to a question in Parliament."),
        ("What grew with inequality?", "Studies on inequality and growth have found evidence of a curve."),
        ("Which law governs it?", "It is governed by the law of Delaware."),
        ("Who protects human rights?", "European Convention on Human Rights"),
        ("What is the Yosemite Freeway called?", "Yosemite Freeway/Eisenhower Freeway"),
        ("Who is Smith's wife?", "Anna Smith, the elder [1]."),
        ("How large is it in square miles?", "About 250 square miles."),
        ("Is the rent due in May?", "No, the rent is due in June [1]."),
        ("Who signs the lease?", "The tenant does not sign the lease, the guarantor does."),
        ("Which is larger, the hall or the annex?", "The hall is larger."),
        ("What does it cost?", "It costs 5 euros. The annex costs 7 euros."),
        ("What does it cost?", ""),
        ("", "Five euros a month."),
        ("谁签署了合同?", "合同由张先生签署。"),
    ],
)
def test_what_would_lose_its_sense_stays_as_it_is(question: str, answer: str) -> None:
    assert shortened(answer, question) == answer


def test_a_name_is_not_cut_in_two() -> None:
    assert shortened("The president was President Lincoln.", "Who was president?") == "President Lincoln"
