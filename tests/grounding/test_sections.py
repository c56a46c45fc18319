"""Long documents cut into sections: nothing is lost, nothing is too long, headings begin sections."""

import random

from localrag.grounding.context import cut
from localrag.types import Heading, Page


def count(text):
    return len(text.split())


def page(text, number=None, *heads):
    headings = tuple(Heading(text.index(title), level, title) for title, level in heads)
    return Page(text, number, None, headings)


def texts(sections, pages):
    by = dict(pages)
    return "".join(by[span.position].text[span.start : span.end] for section in sections for span in section.spans)


def test_headings_of_the_highest_rank_begin_sections():
    text = "One\n" + "word " * 60 + "\nTwo\n" + "word " * 60 + "\n2.1\n" + "word " * 10
    made = cut([(0, page(text, None, ("One", 1), ("Two", 1), ("2.1", 2)))], 100, count)
    assert [section.name for section in made] == ["One", "Two"]
    assert "2.1" in made[1].text


def test_short_sections_are_joined_and_named_by_the_first():
    text = "One\nword\nTwo\nword\nThree\nword"
    (made,) = cut([(0, page(text, None, ("One", 1), ("Two", 1), ("Three", 1)))], 100, count)
    assert made.name == "One" and "Three" in made.text


def test_a_section_over_pages_says_where_it_begins_and_ends():
    pages = [(n, page("word " * 30, n + 1)) for n in range(4)]
    made = cut(pages, 70, count)
    assert [section.place for section in made] == ["p. 1 to p. 2", "p. 3 to p. 4"]
    assert all(section.tokens <= 70 for section in made)


def test_a_long_page_is_cut_between_paragraphs():
    paragraphs = "\n\n".join(f"Paragraph {n}. " + "word " * 20 for n in range(8))
    made = cut([(0, page(paragraphs, 1))], 50, count)
    assert len(made) > 3 and all(section.text.startswith("Paragraph") for section in made)


def test_text_without_a_space_ends_too():
    made = cut([(0, page("x" * 1000))], 100, len)
    assert "".join(section.text for section in made) == "x" * 1000


def test_every_word_is_in_one_section_and_the_same_cut_is_made_again():
    chance = random.Random(5)
    for _ in range(60):
        pages = ["".join(chance.choices("ab \n.", k=chance.randint(0, 400))) for _ in range(chance.randint(1, 4))]
        numbered, most = [(n, Page(text, n + 1)) for n, text in enumerate(pages)], chance.randint(3, 60)
        made = cut(numbered, most, count)
        assert texts(made, numbered) == "".join(text for text in pages if text.strip())
        assert all(section.tokens <= most for section in made)
        assert cut(numbered, most, count) == made
