import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from localrag.errors import NotFoundError, UsageError
from localrag.evaluation import judge
from localrag.evaluation.judge import GRADES, Given, Side


def sample():
    """Answers with labels made by hand (docs/decisions/0031-judge-and-arena.md)."""
    rows = map(json.loads, Path(__file__).with_name("judged.jsonl").read_text(encoding="utf-8").splitlines())
    names = ("id", "question", "known", "answer", "evidence", "answerable")
    return [
        (Given(**{name: row[name] for name in names}, found=row["label"] != "declined"), row["label"]) for row in rows
    ]


def test_a_run_is_summed_up_by_score_and_grades():
    right = Given("1", "What is the rent?", "EUR 2,450", "It is EUR 2,450 [1].")
    found = judge.summarize([right, replace(right, answer="EUR 90")])
    assert found["score"]["mean"] == 0.5 and found["grades"] == {"right": 1, "partly": 0, "wrong": 1, "declined": 0}
    assert judge.summarize([replace(right, answerable=False, found=False)])["score"]["mean"] == 1.0
    assert judge.summarize([])["score"] is None


MONEY = Given("1", "What is the monthly rent?", "EUR 2,450", "", "The monthly rent is EUR 2,450, due on the first day.")
TERM = Given("2", "When does the lease end?", "31 March 2027", "", "The lease ends on 31 March 2027.")
WHO = Given("3", "Who was chosen as treasurer?", "Ada Quill", "", "The board chose Ada Quill as its treasurer.")
SEASON = Given("7", "What is the season?", "From November to March", "", "The season is from November to March.")
BY = Given("8", "By when is the seed delivered?", "By 15 April at the latest", "", "By 15 April at the latest.")
CROSS = Given("4", "How is the fee divided?", "70 % to Orlo, 30 % to Tess", "", "70 % to Orlo and 30 % to Tess.")


DEADLINE = Given("5", "By when must notice be given?", "Within 30 days", "", "Notice is given within 30 days.")
MORE = Given("6", "Which used more water, Lowfield or Highmoor?", "Lowfield", "")
NONE = Given("9", "How many parking spaces are there?", "", "", answerable=False)


@pytest.mark.parametrize(
    ("given", "answer", "grade"),
    [
        (MONEY, "It is 2.450 € a month [1].", "right"),
        (MONEY, "EUR 2,540", "wrong"),
        (MONEY, "EUR 2,450 and EUR 90 for heating", "partly"),
        (TERM, "On 2027-03-31.", "right"),
        (WHO, "It chose Ada Quill.", "right"),
        (WHO, "Ada Quill was not chosen.", "wrong"),
        (CROSS, "70 % to Orlo", "partly"),
        (SEASON, "From November until the end of March.", "right"),
        (BY, "After 15 April.", "wrong"),
        (DEADLINE, "No later than 30 days.", "partly"),
        (MORE, "Lowfield used more than Highmoor.", "right"),
        (NONE, "Twelve.", "wrong"),
        (replace(NONE, found=False), "The documents do not say.", "declined"),
        (MONEY, "EUR 2,450, by Section 4.1 of the lease between Orlo and Tess of 3 May 2020.", "right"),
    ],
)
def test_facts_decide_the_grade(given, answer, grade):
    assert judge.grade(replace(given, answer=answer)) == grade


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2 years", "24 months", True),
        ("1,200", "1,200 tonnes", True),
        ("10/2/17", "2 October 2017", True),
        ("-8 °C", "8 °C", False),
        ("ninety (90) days", "90 days", True),
        ("6,4 %", "6.4 per cent", True),
    ],
)
def test_quantities_are_the_same_however_written(one, other, same):
    [first], [second] = judge.facts(one), judge.facts(other)
    assert judge.same(first, second) is same


def test_grades_agree_with_people_on_the_sample():
    """Cohen's kappa (1960): the share of agreement beyond chance."""
    pairs = [(label, judge.grade(given)) for given, label in sample()]
    labels, grades = (Counter(side) for side in zip(*pairs, strict=True))
    agreed = sum(label == grade for label, grade in pairs) / len(pairs)
    chance = sum(labels[grade] * grades[grade] for grade in GRADES) / len(pairs) ** 2
    assert (agreed - chance) / (1 - chance) > 0.7


RIGHT, WRONG = "It is EUR 2,450.", "It is EUR 90."


def side(name, *answers, start=0):
    return Side(
        name,
        {str(n): Given(str(n), f"What is rent {n}?", "EUR 2,450", answer) for n, answer in enumerate(answers, start)},
    )


def test_the_better_side_wins_in_either_order_and_a_tie_is_half_a_win():
    bouts = judge.matches([side("good", *[RIGHT] * 12), side("bad", *[WRONG] * 12)], 0)
    assert {bout.swapped for bout in bouts} == {True, False}
    report = judge.sum_up([(bout, "first" if bout.first.answer == RIGHT else "second") for bout in bouts])
    share = {"mean": 1.0, "low": 1.0, "high": 1.0, "n": 12}
    assert report["pairs"] == [{"first": "good", "second": "bad", "wins": 12, "ties": 0, "losses": 0, "share": share}]
    assert report["votes"] == report["questions"] == 12
    [pair] = judge.sum_up([(bout, "tie") for bout in bouts])["pairs"]
    assert pair["ties"] == 12 and pair["share"]["mean"] == 0.5
    assert judge.sum_up([]) == {"questions": 0, "votes": 0, "pairs": []}


def test_three_sides_meet_on_the_questions_they_share():
    sides = [side("a", RIGHT, RIGHT), side("b", WRONG, WRONG), side("c", WRONG, start=1)]
    bouts = judge.matches(sides, 0)
    assert sorted(bout.sides for bout in bouts) == [("a", "b"), ("a", "b"), ("a", "c"), ("b", "c")]
    assert len({bout.question for bout in judge.matches(sides, 0, limit=1)}) == 1
    two = {bout.question: bout.swapped for bout in judge.matches(sides[:2], 0)}
    assert {bout.question: bout.swapped for bout in bouts if bout.sides == ("a", "b")} == two


def test_sides_that_cannot_meet_are_refused():
    for sides in ([side("a", RIGHT), side("b", WRONG, start=5)], [side("a", RIGHT)]):
        with pytest.raises(UsageError):
            judge.matches(sides, 0)
    assert [one.sides for one in judge.matches([side("a", RIGHT), side("a", RIGHT)], 0)] == [("a", "a (2)")]


def written(path, *runs):
    with path.open("w", encoding="utf-8") as stream:
        for number, (settings, answers) in enumerate(runs):
            stream.write(json.dumps({"run": f"r{number}", "settings": {"measure": "answers", **settings}}) + "\n")
            for i, answer in enumerate(answers):
                row = {"id": str(i), "question": "Rent?", "known": "EUR 2,450", "answer": answer, "found": True}
                stream.write(json.dumps({"run": f"r{number}", **row}) + "\n")
    return path


def test_each_run_of_a_file_is_a_side_named_by_what_differs(tmp_path):
    path = written(
        tmp_path / "a.jsonl", ({"mode": "auto", "model": "x"}, [RIGHT]), ({"mode": "read", "model": "x"}, [WRONG])
    )
    assert [(one.name, one.run) for one in judge.read(path)] == [("a: mode=auto", "r0"), ("a: mode=read", "r1")]
    assert [one.name for one in judge.read(written(tmp_path / "b.jsonl", ({}, [RIGHT])))] == ["b"]


def test_a_file_without_answers_is_refused(tmp_path):
    with pytest.raises(NotFoundError):
        judge.read(tmp_path / "none.jsonl")
    (tmp_path / "other.jsonl").write_text('{"question": "?"}\n')
    with pytest.raises(UsageError):
        judge.read(tmp_path / "other.jsonl")
