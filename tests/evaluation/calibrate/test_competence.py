"""Small tasks whose answers code can check: what passes, what does not, and what is said of a model."""

from __future__ import annotations

from collections import Counter

import pytest

from localrag.evaluation.calibrate import competence
from localrag.evaluation.calibrate.competence import Result, Task

TASKS = competence.tasks()


def _task(beginning: str) -> Task:
    return next(task for task in TASKS if task.question.startswith(beginning))


@pytest.mark.parametrize(
    ("question", "answer", "right"),
    [
        ("Who repairs the roof", "B", True),
        ("Who repairs the roof", "B) the landlord", True),
        ("Who repairs the roof", "Answer: B", True),
        ("Who repairs the roof", "The landlord.", True),
        ("Who repairs the roof", "A", False),
        ("Who repairs the roof", "The tenant and the landlord", False),
        ("Who repairs the roof", "Both of them", False),
        ("Copy from the document, word for word, the sentence that says what the repair cost",
         "The repair cost 7,850 dollars and was done by Hallmark Pumps Ltd.", True),
        ("Copy from the document, word for word, the sentence that says what the repair cost",
         "“The repair cost 7,850 dollars and was done by Hallmark Pumps Ltd”", True),
        ("Copy from the document, word for word, the sentence that says what the repair cost",
         "The repair costs were 7,850 dollars.", False),
        ("Copy from the document, word for word, the sentence that says what the repair cost",
         "The waterworks expects no claims for damages.", False),
        ("On which date", "2027-03-01", True),
        ("On which date", "The lease begins on 2027-03-01", False),
        ("On which date", "1 March 2027", False),
        ("Name the engineer", "BIRK, Jonas", True),
        ("Name the engineer", "Jonas Birk", False),
        ("Name the three", "Priya Nandakumar; Tomas Lindqvist; Ruth Abara", True),
        ("Name the three", "Priya Nandakumar, Tomas Lindqvist, Ruth Abara", False),
    ],
)  # fmt: skip
def test_an_answer_passes_or_fails_by_code(question: str, answer: str, right: bool) -> None:
    assert _task(question).right(answer) is right


def test_every_quote_asked_for_stands_in_its_text_and_every_skill_is_tried() -> None:
    for task in TASKS:
        if task.skill == "quoting":
            sentences = task.document[1].replace("; ", ". ").split(". ")
            assert any(task.right(sentence) for sentence in sentences), task.question
    counts = Counter(task.skill for task in TASKS)
    assert set(counts) == set(competence.SKILLS) and min(counts.values()) >= 6
    assert len({task.id for task in TASKS}) == len(TASKS)


def _results(**right: int) -> list[Result]:
    """The first so many tasks of each skill right, the others wrong."""
    seen: Counter[str] = Counter()
    results = []
    for task in TASKS:
        passed = seen[task.skill] < right.get(task.skill, 99)
        seen[task.skill] += 1
        if task.skill == "presence":
            results.append(competence.presence(task, 0.9 if task.holds == passed else 0.1, 0.5))
        else:
            results.append(Result(task.id, task.skill, passed))
    return results


def test_a_model_that_can_is_good_enough() -> None:
    grade, said = competence.verdict(_results(), 0.95)
    assert grade == "good" and "Good enough" in said


def test_a_weakness_is_named_and_asks_for_care() -> None:
    grade, said = competence.verdict(_results(quoting=2), 0.95)
    assert grade == "care" and "quote" in said and "form" not in said


def test_a_model_that_cannot_read_is_not_good_enough() -> None:
    assert competence.verdict(_results(choice=3), 0.95)[0] == "poor"
    grade, said = competence.verdict(_results(), 0.4)
    assert grade == "poor" and "40%" in said and "larger model" in said


def test_the_threshold_lies_below_halfway_between_the_texts_that_hold_the_answer_and_those_that_do_not() -> None:
    asked = [task for task in TASKS if task.skill == "presence"]
    sure = {task.id: 0.9 if task.holds else 0.5 for task in asked}
    # Halfway in log odds between 0.9 and 0.5 lies 0.75; 0.7 below that, 0.6.
    assert competence.answer_from(sure) == 0.6
    assert competence.answer_from({id: 1 - share for id, share in sure.items()}) == pytest.approx(0.14, abs=0.01)
    assert competence.answer_from(dict(list(sure.items())[1:])) is None
    one_sure = {**sure, asked[0].id: 1.0}
    assert competence.answer_from(one_sure) == pytest.approx(0.6, abs=0.05)


def test_telling_presence_from_absence_does_not_hang_on_the_threshold() -> None:
    absent = [task for task in TASKS if task.skill == "presence" and not task.holds]
    held = [task for task in TASKS if task.skill == "presence" and task.holds]
    high = [competence.presence(task, 0.9, 0.5) for task in held] + [
        competence.presence(task, 0.8, 0.5) for task in absent
    ]
    assert competence.told_apart(high) == 1
    assert not all(result.right for result in high)
    same = [competence.presence(task, 0.8, 0.5) for task in held + absent]
    assert competence.told_apart(same) == 0.5
    assert competence.told_apart([]) is None
