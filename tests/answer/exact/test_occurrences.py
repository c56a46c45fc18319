"""Where a word stands: whole words, in any case, with any quotes and dashes, across line breaks."""

from __future__ import annotations

import re

import pytest

from localrag.answer.exact import occurrences as module
from localrag.answer.exact.occurrences import occurrences, parts


def found(text: str, term: str) -> list[str]:
    return [text[place.start : place.end] for place in occurrences(text, term)]


@pytest.mark.parametrize(
    ("text", "term", "places"),
    [
        ("Notice, notices, NOTICE and denotice. 中文 notice's 👩🏽‍⚖️notice", "notice", ["Notice", "NOTICE", "notice", "notice"]),
        ("Force\nmajeure and force  majeure, force-majeure", "force majeure", ["Force\nmajeure", "force  majeure"]),
        ("It’s so. It's so.", "it's", ["It’s", "It's"]),
        ("C++ and (C++), $5.00*", "C++", ["C++", "C++"]),
        ("a.b a-b axb", "a.b", ["a.b"]),
        ("non‑compete, non–compete, noncompete", "non-compete", ["non‑compete", "non–compete"]),
        ("the “Term” and the \"Term\" and the Term", 'the "Term"', ["the “Term”", 'the "Term"']),
        ("foo_notice notice_bar notice", "notice", ["notice"]),
        ("don't do it; I don", "don", ["don", "don"]),
        ("ha ha ha", "ha ha", ["ha ha"]),
        ("STRASSE Straße strasse", "straße", ["Straße"]),
        ("İstanbul and notice", "notice", ["notice"]),
        ("§ 4 and §4", "§", ["§", "§"]),
        ("anything", " ", []), ("anything", "", []), ("", "word", []),
    ],
)  # fmt: skip
def test_places(text: str, term: str, places: list[str]) -> None:
    assert found(text, term) == places


@pytest.mark.parametrize("term", ["notice", "a", "e", "10-K", "x notice", "no", "“no", "s", "k"])
def test_the_quick_way_finds_what_a_pattern_finds(term: str) -> None:
    text = "Notice no NOTICE x  notice, 10-k 10‑K a e “no” a_e nono x\nnotice Kelvin K s ss S" * 3
    pattern = module._pattern(term)
    assert pattern is not None
    expected = [match.span() for match in re.finditer(pattern, text)]
    assert [(place.start, place.end) for place in occurrences(text, term)] == expected and (expected or term == "“no")
    odd = text + " ſ ı İ"
    assert [(p.start, p.end) for p in occurrences(odd, term)] == [match.span() for match in re.finditer(pattern, odd)]


def test_what_the_full_text_is_asked_for() -> None:
    assert (
        parts("Force majeure") == ("majeure", "force")
        and parts("naïve") == ("naive",)
        and parts("Straße") == ("strasse",)
    )
    assert parts("§ 4") == () and parts("C++") == () and parts("合同") == () and parts("10-K of it") == ()
