"""Which words of a page are marked, for every kind of document; in milliseconds, since nothing is drawn."""

from __future__ import annotations

from itertools import pairwise

import pytest
from textual.content import Content

from localrag.tui.widgets import page_text
from localrag.tui.widgets.page_text import OTHER, QUOTE, WINDOW, Found
from localrag.types import Citation, Page, Unit


def cited(text: str, quote: str, unit: Unit = "page", page: int | None = 1) -> Citation:
    start = text.index(quote)
    return Citation("l", "d", page, None, "", quote, start, start + len(quote), 1, unit=unit)


def marked(content: Content, style: str = QUOTE) -> list[str]:
    return [content.plain[span.start : span.end] for span in content.spans if span.style == style]


@pytest.mark.parametrize(
    ("text", "quote", "unit", "number"),
    [
        ("| Item | Price |\n| --- | --- |\n| Bolt | 12.5 |\n| Nut | 3 |", "| Bolt | 12.5 |", "sheet", 2),
        ("From: Jane\nSubject: Notice\n\nWe end it on 1 May.", "end it on 1 May", "mail", None),
        ("Our plan\n- grow\n- hire ten people", "hire ten people", "slide", 4),
        ("本契約は、三十日前の通知により終了する。次の条項", "三十日前の通知により", "page", 1),
        ("تنتهي هذه الاتفاقية بإشعار مدته ثلاثون يوما.", "بإشعار مدته ثلاثون يوما", "page", 1),
        ("ההסכם יסתיים בהודעה של שלושים יום מראש.", "שלושים יום", "page", 1),
        ("Cafe\u0301 \U0001f469\u200d\u2695\ufe0f costs 5 € today", "costs 5 €", "page", 1),
        ("a\tb\r\nthe  quote\x0cover\u2028lines end", "the  quote\x0cover\u2028lines", "page", 1),
        ("no pages at all, only words", "only words", "page", None),
    ],
)
def test_exactly_the_quoted_words_are_marked(text, quote, unit, number):
    page = Page(text, number, unit=unit)
    found = page_text.find(cited(text, quote, unit, number), page)
    assert found is not None and not found.moved
    drawn = page_text.draw(text, *page_text.around(text, found), found)
    assert len(drawn.content.plain) == len(text)
    (mark,) = marked(drawn.content)
    assert mark.split() == quote.split() and drawn.at == found.start


def test_words_in_right_to_left_script_lose_their_overrides_but_not_their_place():
    text = "\u202eabc \u2067שלושים יום\u2069 end"
    found = page_text.find(cited(text, "שלושים יום"), Page(text, 1))
    (mark,) = marked(page_text.draw(text, 0, len(text), found).content)
    assert mark == "שלושים יום"


def test_of_a_very_long_page_the_part_around_the_quote_is_drawn_and_the_rest_can_be_reached():
    text = "a" * 50_000 + "\nTHE QUOTE\n" + "b" * 50_000
    page = Page(text, 1)
    found = page_text.find(cited(text, "THE QUOTE"), page)
    drawn = page_text.draw(text, *page_text.around(text, found), found)
    assert marked(drawn.content) == ["THE QUOTE"]
    assert drawn.content.plain[drawn.at :].startswith("THE QUOTE")
    assert len(drawn.content) < 3 * WINDOW
    seen = [(drawn.start, drawn.end)]
    for step in (1, -1):
        here = drawn
        while (part := page_text.beside(text, here, step)) is not None:
            here = page_text.draw(text, *part, found)
            assert marked(here.content) == []
            seen.append((here.start, here.end))
    seen.sort()
    assert seen[0][0] == 0 and seen[-1][1] == len(text)
    assert all(before[1] == after[0] for before, after in pairwise(seen))


def test_quote_that_crosses_the_end_of_a_part_is_marked_in_both():
    text = "x" * 100
    quote = Found(40, 60)
    assert marked(page_text.draw(text, 0, 50, quote).content) == ["x" * 10]
    assert marked(page_text.draw(text, 50, 100, quote).content) == ["x" * 10]


def test_other_quotes_are_marked_more_quietly_and_the_quote_wins_where_they_meet():
    text = "one two three four"
    drawn = page_text.draw(text, 0, len(text), Found(4, 7), [Found(0, 13), Found(14, 18), Found(4, 7)])
    assert marked(drawn.content) == ["two"] and marked(drawn.content, OTHER) == ["one two three", "four"]
    styles = [span.style for span in drawn.content.spans if span.start <= 5 < span.end]
    assert styles[-1] == QUOTE


def test_words_are_looked_for_on_their_own_page_only():
    assert page_text.find(cited("the words", "words", page=2), Page("the words", 1)) is None


def test_words_that_moved_are_found_and_told_and_those_that_are_gone_are_not():
    citation = cited("the words", "words")
    assert page_text.find(citation, Page("now the words", 1)) == Found(8, 13, moved=True)
    assert page_text.find(citation, Page("nothing", 1)) is None
