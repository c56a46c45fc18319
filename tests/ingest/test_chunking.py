import itertools
import random
import re
import time

import pytest

from localrag.ingest.chunking import embedded_text, split
from localrag.ingest.readers.headings import find_headings
from localrag.store.text_analysis import sentences
from localrag.types import Heading, Page

WORD = re.compile(r"\w+|[^\w\s]")
CLAUSE = (
    "The Tenant shall pay the rent on the first day of each month without demand. If it is late, interest of 3.5 "
    "percent is owed, unless Acme Inc. agrees otherwise in writing. "
)


def count(text):
    return len(WORD.findall(text))


def with_markers(text):
    return count(text) + 2  # as tokenizers that count [CLS] and [SEP] do


def contract(sections=12, sentences=9):
    text = "LEASE OF THE MILL\n\n"
    for number in range(1, sections + 1):
        text += f"{number}. SECTION ABOUT {'ABCDEFGHIJKLMNOP'[number % 16] * 4}\n\n"
        text += "\n\n".join(CLAUSE * (number % sentences // 2 + 2) for _ in range(number % 3 + 1)) + "\n\n"
    return Page(text, headings=find_headings(text))


def table(rows, *, dashes=True, header="| Item | 2023 | 2022 |"):
    body = [f"| Row {n} of the thing | {n * 17} | {n * 23} |" for n in range(rows)]
    return "\n".join([header, *(["| --- | --- | --- |"] if dashes else []), *body])


def filing():
    lines = [f"Line item {n} of the statement $ {n * 37:,} $ {n * 41:,} ({n})" for n in range(70)]
    return [Page("Item 1. Financial Statements\n" + "\n".join(lines), 1), Page("", 2), Page("\n".join(lines[:9]), 3)]


def garbled(seed):
    chance = random.Random(seed)
    pages = []
    for number in range(1, 6):
        words = ["word", "Inc.", "end.", "\n", "\n\n", "(a) ", "| x |", "9,123", "中文。", "x" * 90, "A Title", *"é…😀"]
        text = " ".join(chance.choice(words) for _ in range(chance.randrange(700)))
        starts = sorted(chance.sample(range(len(text)), min(len(text), 6)))
        headings = tuple(
            Heading(s, chance.randint(1, 5), text[s : s + chance.randint(1, 60)].strip() or "x") for s in starts
        )
        pages.append(Page(text, number, headings=headings))
    return pages


DOCUMENTS = {
    "contract": [contract()],
    "paged": [Page(CLAUSE * n, n) for n in (1, 3, 9, 30)],
    "table": [Page(f"Fees are listed here:\n\n{table(120)}")],
    "filing": filing(),
    "one line": [Page("word " * 3000)],
    "no spaces": [Page("x" * 5000 + "中文" * 800)],
    "chinese": [Page("租金应当在每月一日支付，不得拖延；如有延迟，应付利息。" * 60)],
    **{f"random {seed}": garbled(seed) for seed in range(5)},
}
TITLES = ["", "Lease of the Mill", "A title that goes on " * 12, "关于磨坊租赁的协议" * 20]


def per_letter(text):
    return sum((len(word) + 3) // 4 for word in WORD.findall(text))


@pytest.fixture(params=DOCUMENTS)
def pages(request):
    return DOCUMENTS[request.param]


@pytest.mark.parametrize(
    ("counter", "title"),
    [(count, TITLES[1]), (with_markers, TITLES[2]), (per_letter, TITLES[3]), (per_letter, TITLES[0])],
)
def test_every_chunk_is_a_span_of_its_page_and_fits_and_only_white_space_is_outside(pages, counter, title):
    chunks = split(pages, count=counter, title=title, limit=256)
    for chunk in chunks:
        assert chunk.text == pages[chunk.position].text[chunk.start : chunk.end]
        assert chunk.text == chunk.text.strip() != ""
        assert counter(embedded_text(title, chunk)) <= 256
    places = [(chunk.position, chunk.start, chunk.end) for chunk in chunks]
    assert places == sorted(places) and len(set(places)) == len(places)
    assert [end for *_, end in places] == [end for *_, end in sorted(places, key=lambda p: (p[0], p[2]))]
    for position, page in enumerate(pages):
        end = 0
        for chunk in chunks:
            if chunk.position == position:
                assert not page.text[end : chunk.start].strip()
                end = max(end, chunk.end)
        assert not page.text[end:].strip()


@pytest.mark.parametrize("name", ["contract", "paged", "table", "filing", "chinese"])
def test_sentences_items_and_rows_are_never_cut(name):
    for chunk in split(DOCUMENTS[name], count=count, title="Lease"):
        spans = sentences(DOCUMENTS[name][chunk.position].text)
        assert chunk.start in {start for start, _ in spans} and chunk.end in {end for _, end in spans}


def test_a_sentence_above_the_limit_is_cut_and_a_limit_without_room_refused():
    long = "; ".join(["the tenant pays what is owed to the landlord"] * 60)
    chunks = split([Page(long)], count=count)
    assert len(chunks) > 2 and all(chunk.text.endswith(";") for chunk in chunks[:-1])
    assert all(chunk.text.split()[-1] == "word" for chunk in split(DOCUMENTS["one line"], count=count))
    with pytest.raises(ValueError, match="leaves no room"):
        split([Page("x")], count=count, limit=50)


def test_a_section_long_enough_has_chunks_of_its_own_under_its_headings():
    page = contract()
    for chunk in split([page], count=count):
        begun = [item for item in page.headings if chunk.start < item.start < chunk.end]
        if begun:
            before = page.text[chunk.start : begun[0].start]
            assert count(before) < 60, "a long section shares its chunk with the next"
        assert len(chunk.heading) == 1
    named = {chunk.heading[0] for chunk in split([page], count=count)}
    assert named >= {item.title for item in page.headings if "SECTION" in item.title}
    titles = {item.title for item in contract().headings}
    assert not [c for c in split([contract()], count=count) if c.text.rsplit("\n", 1)[-1] in titles]


def test_small_sections_share_a_chunk_named_after_what_holds_for_all():
    text = "1. FEES\n1.1 Rent\nTen.\n1.2 Heat\nSix.\n"
    headings = (Heading(0, 1, "1. FEES"), Heading(8, 2, "1.1 Rent"), Heading(22, 2, "1.2 Heat"))
    (chunk,) = split([Page(text, headings=headings)], count=count)
    assert chunk.heading == ("1. FEES",)


def test_neighbours_overlap_only_where_a_paragraph_was_cut():
    apart = split([Page("\n\n".join(CLAUSE.strip() for _ in range(40)))], count=count)
    assert all(before.end <= after.start for before, after in itertools.pairwise(apart))
    together = split([Page(CLAUSE * 40)], count=count)
    for before, after in itertools.pairwise(together):
        shared = before.end - after.start
        assert shared > 0 and 1 <= len(sentences(before.text[-shared:])) <= 2
    short = split([Page("He pays it all. " * 400)], count=count)
    assert {len(sentences(a.text[b.start - a.end :])) for a, b in itertools.pairwise(short)} == {2}


def test_the_prefix_keeps_the_innermost_heading_short_and_says_nothing_twice():
    path = tuple(f"{n}. A heading of some length about many things" for n in range(9))
    page = Page(CLAUSE * 9, headings=tuple(Heading(0, level + 1, name) for level, name in enumerate(path)))
    for chunk in split([page], count=count, title="Title " * 90):
        before = embedded_text("Title " * 90, chunk).removesuffix(chunk.text)
        assert chunk.heading == path and path[-1] in before and count(before) <= 48
    page = Page(f"1. RENT\n{CLAUSE}", headings=(Heading(0, 1, "1. RENT"),))
    (chunk,) = split([page], count=count, title="Lease")
    assert embedded_text("Lease", chunk) == "Lease\n" + chunk.text
    later = Page(CLAUSE)
    _, second = split([page, later], count=count, title="Lease")
    assert embedded_text("Lease", second) == "Lease\n1. RENT\n" + second.text


def test_time_grows_with_the_text_and_not_faster():
    def seconds(times):
        page = Page(CLAUSE * times)
        began = time.process_time()
        split([page], count=lambda text: len(text.split()))
        return time.process_time() - began

    seconds(50)
    assert min(seconds(1600) for _ in range(3)) < 24 * min(seconds(200) for _ in range(3))


def test_rows_in_a_later_chunk_carry_the_header_that_stays_with_the_first_row():
    text = f"Some words before it.\n\n{table(60)}\n\nSome words after it."
    chunks = split([Page(text)], count=count, limit=160)
    assert len(chunks) > 3
    for chunk in chunks[1:]:
        assert chunk.header is not None and text[slice(*chunk.header)] == chunk.header_text == "| Item | 2023 | 2022 |"
        assert chunk.text.startswith("| Row") and "| Item" not in chunk.text
        assert f"{chunk.header_text}\n{chunk.text}" in embedded_text("Title", chunk)
        assert count(embedded_text("", chunk)) <= 160
    assert chunks[0].header is None and chunks[0].header_text == ""
    filler = "A sentence of some words that fills the chunk before the table begins. " * 9
    for more in range(12):
        text = f"{filler}{'word ' * more}end.\n\n{table(5)}"
        for chunk in split([Page(text)], count=count, limit=128, target=100):
            assert not chunk.text.endswith(("| Item | 2023 | 2022 |", "| --- | --- | --- |"))


def test_lines_without_a_row_name_are_the_header_without_dashes():
    header = "|  | Year ended |  |\n|  | 2019 | 2018 |"
    chunks = split([Page(table(60, dashes=False, header=header))], count=count, limit=160)
    assert len(chunks) > 2 and all(chunk.header_text == header for chunk in chunks[1:])
    plain = split([Page(table(60, dashes=False))], count=count, limit=160)
    assert all(chunk.header is None for chunk in plain)


def headers(text, headings=(), **options):
    found = set()
    for chunk in split([Page(text, headings=headings)], count=count, limit=160, **options):
        if chunk.header is not None:
            assert text[slice(*chunk.header)] == chunk.header_text
            assert count(embedded_text("", chunk)) <= 160
            found.add(chunk.header_text)
    return found


@pytest.mark.parametrize(
    ("before", "caption"),
    [
        ("Intro.\n\n   Cash flows  \n\n\n", "Cash flows  \n\n\n"),
        ("Cash flows\n", "Cash flows\n"),
        ("Intro.\nIt was as\nfollows (in millions):\n\n", "It was as\nfollows (in millions):\n\n"),
        ("The one\ntwo\nthree\nfour:\n", "two\nthree\nfour:\n"),
        ("表一：现金流量\n", "表一：现金流量\n"),
        *((before, "") for before in ("It ends here. \n\n", "到此为止。\n", "a | b\n", f"{'word ' * 80}\n", "...\n")),
    ],
)
def test_only_a_line_or_sentence_of_words_above_a_table_belongs_to_its_header(before, caption):
    assert headers(before + table(60)) == {f"{caption}| Item | 2023 | 2022 |"}


def test_a_heading_is_no_caption_since_it_is_said_already():
    text = f"Intro.\n\nCash flows\n{table(60)}"
    heading = Heading(text.index("Cash"), 1, "Cash flows")
    assert headers(text, (heading,)) == {"| Item | 2023 | 2022 |"}
    chunks = split([Page(text, headings=(heading,))], count=count, limit=160)
    assert all(chunk.heading == ("Cash flows",) for chunk in chunks[1:])
    elsewhere = (Heading(0, 1, "Intro."), Heading(len(text) - 5, 1, "x"))
    assert headers(text, elsewhere) == {"Cash flows\n| Item | 2023 | 2022 |"}
