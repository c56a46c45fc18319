import time

from localrag.ingest.readers import markdown
from localrag.ingest.readers.source import Options, Source

SOURCE = """\
---
author: somebody
---

# The *Lease* of [the Mill](http://example.com) #

Intro.

Terms
-----

## 2. Rent ##

```
# not a heading
```

~~~~
```
## nor this
~~~~

- an item
---

| a | b |
|---|---|

Parties
===
#no heading
    # code
#### Deep
"""


def read(tmp_path, source):
    path = tmp_path / "a.md"
    path.write_text(source, encoding="utf-8")
    return markdown.read(Source.of(path), Options())


def test_headings_are_found_where_they_stand_and_nowhere_else(tmp_path):
    reading = read(tmp_path, SOURCE)
    (page,) = reading.pages
    assert [(item.level, item.title) for item in page.headings] == [
        (1, "The Lease of the Mill"), (2, "Terms"), (2, "2. Rent"), (1, "Parties"), (4, "Deep"),
    ]  # fmt: skip
    starts = [page.text[item.start :].split("\n")[0] for item in page.headings]
    assert starts == ["# The *Lease* of [the Mill](http://example.com) #", "Terms", "## 2. Rent ##", "Parties",
                      "#### Deep"]  # fmt: skip


def test_the_text_is_the_source_and_the_title_its_first_heading(tmp_path):
    reading = read(tmp_path, SOURCE)
    assert reading.pages[0].text == SOURCE and reading.pages[0].number is None
    assert reading.title == "The Lease of the Mill"


def test_names_with_underscores_keep_them(tmp_path):
    assert read(tmp_path, "# The read_seconds setting\n").title == "The read_seconds setting"


def test_hashes_close_a_heading_only_behind_a_space(tmp_path):
    (page,) = read(tmp_path, "# On C#\n## ##\n### a # b ##  \n#\n").pages
    assert [(item.level, item.title) for item in page.headings] == [(1, "On C#"), (3, "a # b")]


def test_a_heading_made_to_be_slow_is_read_in_time(tmp_path):
    started = time.perf_counter()
    read(tmp_path, "# x" + " " * 200_000 + "y")
    assert time.perf_counter() - started < 2
