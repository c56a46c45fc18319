from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from localrag.evaluation import pages, plots
from localrag.evaluation.pages import Block, Case, Heading, Plot, Table, Words

EVIL = "<script>alert(1)</script> ![x](http://evil.example/a.png) | **b** <img src=x onerror=y> & [a](javascript:b)"
BLOCKS: list[Block] = [
    Heading(EVIL), Words(EVIL), Table([EVIL, "b"], [[EVIL, "two\nlines"]]), Case(EVIL, [(EVIL, EVIL)]),
    Plot(plots.lines([(EVIL, [(0.5, 0.5)])], across=EVIL, up=EVIL), Table(["a"], [["b"]])),
]  # fmt: skip


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed() -> Tags:
    tags = Tags()
    tags.feed(pages.html(EVIL, BLOCKS))
    return tags


def test_words_of_documents_are_no_markup_of_the_page() -> None:
    tags = parsed()
    assert tags.open == []
    assert not {tag for tag, _ in tags.seen} & {"script", "img", "a", "iframe", "link", "object"}
    assert not [name for _, given in tags.seen for name in given if name.startswith("on") or name in ("src", "href")]


def test_the_page_refers_to_nothing_outside_itself() -> None:
    policy = next(given for tag, given in parsed().seen if given.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"
    assert not re.search(r"url\(|@import", pages.html("a", BLOCKS))


def test_markdown_keeps_a_row_on_its_line_and_makes_no_link_or_picture() -> None:
    page = pages.markdown(BLOCKS)
    row = next(line for line in page.splitlines() if "two lines" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 3
    assert not re.search(r"(?<!\\)[<\[!]", page) and "http:" not in page


def test_markdown_has_the_figures_of_a_plot() -> None:
    assert "| a |\n|---|\n| b |" in pages.markdown(BLOCKS) and "<svg" not in pages.markdown(BLOCKS)


# --- plots --------------------------------------------------------------------------------------------------


def test_a_curve_runs_through_its_points() -> None:
    drawn = plots.lines([("a", [(0.0, 0.0), (1.0, 1.0)]), ("empty", [])], across="x", up="y")
    assert 'points="52.0,256.0 536.0,12.0"' in drawn
    assert drawn.count("<polyline") == drawn.count("<circle") == 1 and ">empty</text>" in drawn


@pytest.mark.parametrize(
    ("values", "counts"), [([], [0, 0]), ([0.0, 0.49, 0.5, 1.0], [2, 2]), ([-1.0, 7.0], [1, 1])]
)  # fmt: skip
def test_every_value_has_its_bin(values: list[float], counts: list[int]) -> None:
    assert plots.bins(values, (0, 0.5, 1)) == counts


def test_bars_are_as_high_as_their_counts_on_an_axis_of_whole_numbers() -> None:
    drawn = plots.histogram([("a", [0.1] * 10 + [0.9] * 5)], (0, 0.5, 1), across="x")
    heights = [float(found) for found in re.findall(r'<rect x="[^"]+" y="[^"]+" width="[^"]+" height="([^"]+)"', drawn)]
    assert heights[:2] == [244.0, 122.0] and "a (15)" in drawn
    assert re.findall(r'text-anchor="end">([^<]+)<', drawn) == ["0", "2", "4", "6", "8", "10"]
    assert "nan" not in plots.histogram([("a", [])], (0, 0.5, 1), across="x")
