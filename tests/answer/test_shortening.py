"""Short answers without the words of the question."""

from __future__ import annotations

import pytest

from localrag.answer.answering import shortened


@pytest.mark.parametrize(
    ("question", "answer", "short"),
    [
        ("When was the treaty signed?", "The treaty was signed in 1648. [1]", "1648 [1]"),
        ("How are integers expressed?", "Integers are expressed in binary notation [2].", "binary notation [2]"),
        ("Which problem has both impacts?", "Macroeconomic problems have both impacts.", "Macroeconomic"),
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
