"""Find the list that a place of a text is in, whole, and give it as an answer, counted.

A small model names one or two of six items; the text has them all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from string import ascii_lowercase

from localrag.grounding import context, prompt_injection
from localrag.grounding.citations import cite_span, without_markup
from localrag.grounding.stages import Query
from localrag.quantities import plural
from localrag.store.text_analysis import sentences
from localrag.types import Citation, Page, Passage

_END = re.compile(r"[;,](?: (?:and|or|and/or))?$|\.$")
# What stands before an item: a bullet or label at the beginning of a line, or a label in a sentence: "(a)", "3.".
_LABEL = re.compile(
    r"(?:(?P<line>^[ \t]*)|(?<=[:;,.)] )|(?<=\band )|(?<=\bor )|(?<=\s)(?=\((?:[ai1])\)))"
    r"(?:(?P<bullet>[-*+•●○◦▪■□►➢✓–—·‣⁃])|(?P<open>\()?(?P<label>[a-z]{1,4}|\d{1,2})(?(open)\)|[.)]))\s+",
    re.I | re.M,
)
# Between two items of a list is no paragraph of its own and no line that introduces something else.
_APART = re.compile(r"\n[ \t]*\n[ \t]*\S|\n[^\n]*:[ \t]*\n")
_ROMAN = "i ii iii iv v vi vii viii ix x xi xii xiii xiv xv xvi xvii xviii xix xx"
_COUNTED = (_ROMAN.split(), ascii_lowercase, [str(number) for number in range(1, 100)])
Span = tuple[int, int]
Mark = re.Match[str]
# Items and characters of a list, and words and characters of an item.
_MIN_ITEMS, _MAX_ITEMS, _MAX_LIST, _MIN_WORDS, _MAX_ITEM = 2, 25, 4000, 2, 800


def find(query: Query, passages: Sequence[Passage]) -> dict[Citation, list[str]]:
    """Return the lists that passages are in or introduce, in order, each as a quote with its items."""
    pairs = {(library.name, document.path): (library, document) for library, document in query.documents}
    pages: dict[tuple[str, str, int], Page | None] = {}
    found: dict[Citation, list[str]] = {}
    for passage in passages:
        library, document = pairs[passage.library, passage.document]
        key, done = (passage.library, passage.document, passage.position), 0
        if key not in pages:
            page = library.page(document.id, passage.position)
            pages[key] = page if page is not None and prompt_injection.removed(page.text) == page.text else None
        if (page := pages[key]) is None or query.stop():
            continue
        (whole,) = context.page_passages(library.name, document, [(passage.position, page)])
        for start, end in sentences(passage.text):
            spans = around(page.text, passage.start + start, passage.start + end) if passage.start + end > done else []
            if spans:
                done = spans[-1][1]
                items = [" ".join(_LABEL.sub("", page.text[slice(*span)], count=1).split()) for span in spans[1:]]
                found.setdefault(cite_span(whole, spans[0][0], done), items)
    return found


def shown(items: Sequence[str]) -> str:
    """Return a list as an answer gives it, counted."""
    lines = "\n".join(f"- {_END.sub('', without_markup(one))}" for one in items)
    return f"The text lists {plural(len(items), 'item')} [1]:\n{lines}"


def around(text: str, start: int, end: int) -> list[Span]:
    """Return the list that a span of a text is in or introduces: the span of its lead, and of each item with its mark.

    Items have labels that count up, in one paragraph or at the beginnings of lines, or the same bullet there.
    """
    first = max(0, start - _MAX_LIST)
    text, start, end = text[first : end + _MAX_LIST], start - first, end - first
    runs: list[list[Mark]] = []
    for mark in filter(_counts, _LABEL.finditer(text)):
        run = next((own for own in reversed(runs[-_MAX_ITEMS:]) if _next(text, own[-1], mark)), None)
        if run is not None:
            run.append(mark)
        else:
            runs.append([mark])
    spans = sentences(text)
    for run in runs:
        begins = [mark.start() for mark in run]
        last = next((stop for begin, stop in spans if begin <= run[-1].end() < stop), len(text))
        lead = max((begin for begin, _ in spans if begin < begins[0]), default=begins[0])
        items = [(begin, begin + len(text[begin:stop].rstrip())) for begin, stop in pairwise([*begins, last])]
        shown = [text[mark.end() : stop] for mark, (_, stop) in zip(run, items, strict=True)]
        introduced = _follows(None, run[0]) or text[lead : begins[0]].rstrip().endswith(":")
        small = _MIN_ITEMS <= len(run) <= _MAX_ITEMS and last - lead <= _MAX_LIST
        worded = all(len(one.split()) >= _MIN_WORDS and len(one) <= _MAX_ITEM for one in shown)
        if introduced and small and worded and begins[0] - 2 <= end and start < last:
            return [(first + a, first + b) for a, b in ((lead, begins[0]), *items)]
    return []


def _counts(mark: Mark) -> bool:
    """Whether a mark may be that of an item: in a sentence it is a figure, or in parentheses."""
    label, line = mark["label"], mark["line"] is not None
    return line if label is None else bool(_numbers(label)) and bool(line or mark["open"] or label.isdigit())


def _next(text: str, last: Mark, mark: Mark) -> bool:
    """Whether a mark is the next item's after another: it counts on, and both begin lines or share a paragraph."""
    lines = [one["line"] is not None for one in (last, mark)]
    if lines[0] != lines[1] or mark.start() - last.end() > _MAX_ITEM or not _follows(last, mark):
        return False
    between = text[last.end() : mark.start()]
    return not _APART.search(between) if lines[0] else "\n\n" not in between


def _follows(last: Mark | None, mark: Mark) -> bool:
    """Whether a mark begins a list (`last` is None), or is the next one of it."""
    if last is not None and _style(last) != _style(mark):
        return False
    before = [0] if last is None else _numbers(last["label"] or "")
    return bool(mark["bullet"]) or any(number - 1 in before for number in _numbers(mark["label"]))


def _style(mark: Mark) -> str:
    return mark["bullet"] or re.sub("[a-z]+", "a", re.sub(r"\d+", "1", mark[0].strip().lower()))


def _numbers(label: str) -> list[int]:
    return [n for counted in _COUNTED for n, own in enumerate(counted, 1) if own == label.lower()]
