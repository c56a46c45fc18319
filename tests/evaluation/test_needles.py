"""Facts hidden in text: where they stand, what is asked about them, and which answers are right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest

from localrag.errors import NotFoundError
from localrag.evaluation import needles
from localrag.evaluation.needles import Haystack, NeedleQuestion

LENGTHS = (1000, 2000, 4000, 8000)


def _words(text: str) -> int:
    return len(text.split())


def _filler(tokens: int) -> list[str]:
    return [f"Sentence {n} speaks of the {n % 97}th matter at hand. " for n in range(tokens // 8)]


@pytest.fixture(scope="module")
def hay() -> Haystack:
    return needles.haystack(_filler(9000), LENGTHS, _words)


def test_every_part_of_every_length_is_asked_about_in_both_ways(hay: Haystack) -> None:
    for length in LENGTHS:
        counts = Counter((one.way, one.depth) for one in hay.questions(length, 4))
        assert counts == {
            **{(way, depth): 2 for way in ("words", "other words") for depth in range(5)},
            ("two facts", None): 4,
        }


@pytest.mark.parametrize("bins", [1, 3, 10])
@pytest.mark.parametrize("lengths", [(1000,), (700, 1500), (1000, 1100, 1200), (2000, 16000)])
def test_other_lengths_and_depths_are_filled_too(lengths: tuple[int, ...], bins: int) -> None:
    hay = needles.haystack(_filler(lengths[-1] + 1000), lengths, _words, bins=bins)
    for length in lengths:
        asked = {one.depth for one in hay.questions(length, 0)}
        assert len(asked) >= bins - 1  # a short part may be shorter than a sentence


def test_a_shorter_text_is_the_beginning_of_the_longer_and_as_long_as_said(hay: Haystack) -> None:
    for shorter, longer in pairwise(LENGTHS):
        assert hay.beginning(longer).startswith(hay.beginning(shorter))
    for length in LENGTHS:
        assert length - 40 <= _words(hay.beginning(length)) <= length + 40


def test_what_is_asked_is_in_the_text_with_its_near_miss(hay: Haystack) -> None:
    for length in LENGTHS:
        text = hay.beginning(length)
        for one in hay.questions(length, 4):
            assert all(value in text for value in one.values)
            assert one.near in text


def test_needles_stand_where_they_say(hay: Haystack) -> None:
    for needle in hay.needles:
        said = hay.text[needle.start : needle.end]
        assert needle.name in said and needle.value in said and said.endswith(".")


def test_other_words_share_the_name_with_the_fact_and_hardly_more(hay: Haystack) -> None:
    common = set("the of is a to for in at by and with are was what which who how to whom that it".split())
    for one in hay.questions(8000, 0):
        if one.way == "other words":
            needle = next(needle for needle in hay.needles if needle.value in one.values)
            said = set(hay.text[needle.start : needle.end].rstrip(".").casefold().split()) - common
            shared = said & set(one.question.rstrip("?").casefold().split())
            assert needle.name.casefold() in shared and len(shared) <= 3, (said, one.question)


def test_a_name_that_the_filler_has_is_not_taken() -> None:
    hay = needles.haystack([*_filler(900), "Keldwick and Thornholm and Selv. ", *_filler(900)], (1500,), _words)
    assert not any(needle.name.startswith(("Keld", "Thorn", "Selv")) for needle in hay.needles)


def test_the_same_seed_gives_the_same_text_and_another_seed_other_facts() -> None:
    one, same, other = (needles.haystack(_filler(2000), (1000,), _words, seed=seed) for seed in (1, 1, 2))
    assert one == same and one.text != other.text


def test_too_little_filler_is_refused() -> None:
    with pytest.raises(ValueError, match="of 2000"):
        needles.haystack(_filler(1000), (1000, 2000), _words)


def test_a_hundred_facts_have_values_of_their_own() -> None:
    hay = needles.haystack(_filler(70_000), tuple(1000 << n for n in range(7)), _words, bins=10, each=4)
    values = [needle.value for needle in hay.needles]
    names = [needle.name for needle in hay.needles]
    assert len(values) > 100 and len(set(values)) == len(values)
    assert len(set(zip(names, (hay.forms[needle.number // 2] for needle in hay.needles), strict=True))) == len(names)


def _asked(*values: str, near: str = "") -> NeedleQuestion:
    return NeedleQuestion("1000/0/words", "words", 1000, 0, "?", values, near)


@pytest.mark.parametrize(
    ("answer", "asked", "judged"),
    [
        ("The code is KD-4817.", _asked("KD-4817", near="KD-2954"), "right"),
        ("kd4817", _asked("KD-4817", near="KD-2954"), "right"),
        ("It is KD 4817", _asked("KD-4817", near="KD-2954"), "right"),
        ("KD-48171", _asked("KD-4817", near="KD-2954"), "wrong"),
        ("The rent is €41730.", _asked("41,730", near="35,211"), "right"),
        ("41.730 euros", _asked("41,730", near="35,211"), "right"),
        ("141,730 euros", _asked("41,730", near="35,211"), "wrong"),
        ("35,211 euros a year", _asked("41,730", near="35,211"), "near miss"),
        ("41,730 or 35,211 euros", _asked("41,730", near="35,211"), "near miss"),
        ("It is signed by Mirelle  Okstad.", _asked("Mirelle Okstad", near="Noor Varga"), "right"),
        ("Mirelle", _asked("Mirelle Okstad", near="Noor Varga"), "wrong"),
        ("The documents do not say.", _asked("619", near="412"), "wrong"),
        ("619 days for one and 412 for the other", _asked("619", "412"), "right"),
        ("619 days for both", _asked("619", "412"), "wrong"),
        ("", _asked("619", near="412"), "wrong"),
    ],
)
def test_an_answer_is_right_by_its_value_alone(answer: str, asked: NeedleQuestion, judged: str) -> None:
    assert needles.judge(answer, asked) == judged


# --- text ---

_FACTS = "The mill was built in 1820. It burned down in 1903. Nobody was hurt in the fire. "


def test_sentences_come_in_order_and_running_heads_once() -> None:
    head = "ANNUAL REPORT OF THE MILL TRUST\n\n"
    got = needles.gather([head + _FACTS, head + "The trust met twice. "], 1000, _words, "a test")
    text = "".join(got.sentences)
    assert text.count("ANNUAL REPORT") == 1
    assert text.index("1820") < text.index("1903") < text.index("met twice")
    assert got.tokens == _words(text)


def test_no_more_is_taken_than_is_needed() -> None:
    def endless():  # type: ignore[no-untyped-def]
        number = 0
        while True:
            number += 1
            yield f"Page {number} tells about the year {number + 1000} and its floods. "

    assert 100 <= needles.gather(endless(), 100, _words, "a test").tokens < 120


def test_another_text_gives_another_digest_and_the_same_one_the_same() -> None:
    one, same, other = (needles.gather([text], 100, _words, "a test").digest for text in (_FACTS, _FACTS, _FACTS[28:]))
    assert one == same != other


def test_no_text_is_an_error() -> None:
    with pytest.raises(NotFoundError):
        needles.gather(["", "  \n"], 100, _words, "the cellar")


def test_a_library_gives_its_documents_in_order(shelf: Callable[..., object]) -> None:
    library = shelf("contracts", {"b.txt": "Second.", "a.txt": ["First page.", "Second page."]})
    assert list(needles.of_library(library)) == ["First page.\n\nSecond page.", "Second."]  # type: ignore[arg-type]
