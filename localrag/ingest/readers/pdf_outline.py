"""Headings of a PDF: its outline, placed in the text, or where that does not cover the document, the text's own."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Any

from localrag.ingest.readers.cleaning import clean
from localrag.ingest.readers.headings import drop_running, find_headings
from localrag.types import Heading

_MOST_OUTLINE = 5000


def headings(document: Any, texts: Sequence[str]) -> list[tuple[Heading, ...]]:
    """From the outline where it covers the document, else from the text."""
    outline = _outline(document, texts)
    if sum(map(len, outline)) >= max(3, len(texts) // 8):
        return outline
    return drop_running([(text, find_headings(text)) for text in texts])


def _outline(document: Any, texts: Sequence[str]) -> list[tuple[Heading, ...]]:
    pages: list[list[Heading]] = [[] for _ in texts]
    with contextlib.suppress(Exception):
        for count, bookmark in enumerate(document.get_toc(max_depth=8)):
            if count >= _MOST_OUTLINE:
                break
            title = " ".join(clean(bookmark.get_title()).split())[:200]
            target = bookmark.get_dest()
            index = target.get_index() if target is not None else None
            if title and index is not None and 0 <= index < len(texts):
                start = _place(texts[index], title, pages[index][-1].start + 1 if pages[index] else 0)
                pages[index].append(Heading(start, bookmark.level + 1, title))
    return [tuple(sorted(page, key=lambda item: item.start)) for page in pages]


_NUMBER = r"(?-i:(?:\d[\d.]*[A-Z]?|[A-Z]{1,7})[.):]?[ \t]+)?"


def _place(text: str, title: str, after: int) -> int:
    """Where an outline's title stands in its page; 0 where it is not found.

    On a line of its own first, behind the heading before it: running text may name the title as well.
    """
    words = r"\s+".join(map(re.escape, title.split()))
    for pattern in (rf"^[ \t]*{_NUMBER}{words}[ \t.:]*$", rf"^[ \t]*{_NUMBER}{words}(?!\w)", rf"(?<!\w){words}(?!\w)"):
        compiled = re.compile(pattern, re.I | re.M)
        if match := compiled.search(text, after) or compiled.search(text):
            return match.start()
    return 0
