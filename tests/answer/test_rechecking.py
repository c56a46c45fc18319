"""What an answer fails is found by code, and the better of two is the one that fails less."""

from __future__ import annotations

from typing import Any

from localrag.answer import prompts
from localrag.answer.prompts import Complaint
from localrag.answer.rechecking import better, circles, complaints, told
from localrag.llm.generation import Completed
from localrag.types import Answer, Flag, Message, Plan, Usage


def done(text: str = "It ends in May.", ended: Any = "end") -> Completed:
    return Completed(text, Usage(), ended)


def answer(text: str = "It ends in May.", found: bool = True, **more: Any) -> Answer:
    return Answer("When?", text, found, Plan("retrieve", ""), **more)


def test_each_check_that_fails_is_a_complaint_the_worst_first() -> None:
    flagged = answer(flags=(Flag("amount", "5,000", "not there"),), citations_dropped=1, unsupported=("It is so.",))
    assert complaints(flagged, done(ended="length")) == (
        Complaint("cut"), Complaint("amount", "5,000"), Complaint("quote"), Complaint("unsupported", "It is so."),
    )  # fmt: skip
    assert len(told(complaints(flagged, done(ended="length")))) == 3
    assert complaints(answer(), done()) == ()


def test_empty_is_a_complaint_and_not_found_is_none() -> None:
    assert complaints(answer(found=False), done(" [1]. ".replace("1", ""))) == (Complaint("empty"),)
    assert complaints(answer(found=False), done("The documents do not say.")) == ()
    assert complaints(answer(found=False), done("", "stopped")) == ()


def test_an_answer_in_another_language_is_not_blamed_for_its_words() -> None:
    flags = (Flag("language", "German", "the text is English"), Flag("date", "Mai 2031", "not there"))
    foreign = answer("Sie endet im Mai 2031.", flags=flags, unsupported=("Sie endet.",))
    assert complaints(foreign, done()) == (Complaint("date", "Mai 2031"),)


def test_going_in_circles_is_seen() -> None:
    assert circles("the rent is due on the first day and " * 4)
    assert not circles("The rent is due on the first day. The deposit is due on the second day. The fee is due later.")
    assert complaints(answer(), done("so it goes on and on forever " * 9, "length")) == (Complaint("circles"),)


def test_the_second_is_better_only_where_it_fails_less() -> None:
    clean, doubtful = (answer(), done()), (answer(unsupported=("It ends.",)), done())
    wrong = (answer(flags=(Flag("date", "May", "not there"),)), done())
    assert better(doubtful, clean) and better(wrong, doubtful) and better(wrong, clean)
    assert not better(clean, clean) and not better(doubtful, wrong)
    assert not better(wrong, (answer(found=False), done("The documents do not say.")))
    assert better((answer(found=False), done("")), doubtful)
    assert not better(wrong, (answer(), done("It", "stopped")))


def test_every_complaint_has_words_and_braces_in_an_answer_stay_words() -> None:
    asked = [Message("user", "When?")]
    for kind in (
        "empty",
        "cut",
        "circles",
        "quote",
        "unsupported",
        "number",
        "amount",
        "date",
        "name",
        "link",
        "command",
    ):
        said = prompts.said([Complaint(kind, "{what} 5")], asked)
        assert said and ("{what} 5" in said or kind in ("empty", "cut", "circles", "quote"))
