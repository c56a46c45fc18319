"""Draft a playbook from a model contract, by code: one item for each clause of its body.

A clause begins at a heading that a reader recognises, or at the next number of the contract ("4. Service charge").
Titles, recitals, definitions, signatures and what is attached become no items. A clause whose first sentence states one
period, amount or percentage, or a limit, expects it; of any other it is asked whether it is there. English headings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from localrag.errors import ReadError
from localrag.items import positions, values
from localrag.items.playbook import Expect, ItemType, Playbook, PlaybookItem
from localrag.items.values import Value
from localrag.quantities import phrases
from localrag.store.text_analysis import sentences
from localrag.text import running_lines
from localrag.types import Page

_ASKS: dict[ItemType, str] = {
    "duration": "What period does the clause on {} set?",
    "money": "What amount does the clause on {} name?",
    "percent": "What percentage does the clause on {} name?",
    "yes/no": "Is there a clause on {}?",
}
_LABEL = re.compile(
    r"(?:(?:section|article|clause)\s{1,4})?(?:\d{1,2}(?:\.\d{1,2}){0,3}|[IVX]{1,5})?[.):]?\s{1,4}", re.I
)
# "4. Service charge" on a line of its own, before "4.1", a full stop or the beginning of a sentence.
_NUMBERED = re.compile(
    r"(?:^|(?<=[.;:”\")] ))[ \t#]{0,9}(?P<number>\d{1,2})\.?[ \t]{1,8}(?P<title>[A-Z][^.:\n]{2,70}?)"
    r"(?=[.:]\s|[ \t]{0,9}\n|[ \t]{1,8}(?:\d{1,2}\.\d|(?:The|This|All|Any|Each|Either|No|If|In)\b))",
    re.M,
)
_ATTACHED, _FORMAL, _AT_LEAST, _AT_MOST = phrases(
    "localrag.items", "review", "attached", "formal", "at_least", "at_most"
)
_MIN_LETTERS, _MAX_LIKE, _MAX_FALLBACK, _MAX_ITEMS, _MAX_WORDS, _MAX_FIGURE = 15, 300, 600, 40, 5, 50
# Numbered titles, how far a number is from the one before, and characters between: more than in a list of contents.
_MIN_CHAIN, _MAX_STEP, _MIN_STEP, _MAX_STARTS = 3, 2, 20, 50


def from_pages(pages: Sequence[Page], title: str) -> Playbook:
    """Draft a playbook from the pages of a contract: of its clauses the longest, in their order.

    Raises ReadError where no clause has a heading.
    """
    found: dict[str, tuple[str, str]] = {}
    for name, text in clauses(pages):
        found.setdefault("-".join(re.findall(r"[a-z0-9]{1,20}", name.lower())[:_MAX_WORDS]), (name, text))
    found.pop("", None)
    if not found:
        raise ReadError("no clause with a heading was found", "Write the playbook by hand: `localrag review show nda`.")
    kept = sorted(found, key=lambda item: len(found[item][1]), reverse=True)[:_MAX_ITEMS]
    return Playbook(f"Positions of {title}", tuple(_item(item, *found[item]) for item in found if item in kept))


def clauses(pages: Sequence[Page]) -> Iterator[tuple[str, str]]:
    """Yield the clauses of a contract, each with its name and its text, over the ends of pages."""
    text = ""
    heads: dict[int, str] = {}
    for page, running in zip(pages, running_lines([page.text for page in pages]), strict=True):
        heads |= {len(text) + one.start: one.title for one in page.headings}
        lines = page.text.split("\n")
        text += "\n".join(" " * len(line) if n in running else line for n, line in enumerate(lines)) + "\n"
    chain = _chain(text)
    heads |= {at: title for at, title in chain.items() if not any(abs(at - other) < len(title) for other in heads)}
    starts = sorted(at for at in heads if at >= min(chain, default=0))
    taken = 0
    for at, end in pairwise([*starts, len(text)]):
        name = _unlabelled(heads[at]).strip(" .:")
        if _ATTACHED.match(heads[at]) and taken >= _MIN_CHAIN:
            return  # from here on come schedules
        first = text.find(name, at)
        words = " ".join(text[at if first < 0 else first + len(name) : end].split()).lstrip(" .:")
        if name and _is_long(words) and not _FORMAL.match(name) and not _ATTACHED.match(heads[at]):
            taken += 1
            yield name.capitalize() if name.isupper() else name, words


def _chain(text: str) -> dict[int, str]:
    """Return the titles that are numbered from 1 on through the text, by their places; the longest such chain."""
    found = list(_NUMBERED.finditer(text))
    best: list[re.Match[str]] = []
    for at in [at for at, one in enumerate(found) if one["number"] == "1"][:_MAX_STARTS]:
        chain: list[re.Match[str]] = []
        for one in found[at:]:
            step = int(one["number"]) - int(chain[-1]["number"]) if chain else 1
            if 1 <= step <= _MAX_STEP and (not chain or one.start() - chain[-1].end() >= _MIN_STEP):
                chain.append(one)
        best = max(best, chain, key=len)
    return {one.start(): one["title"].strip() for one in best} if len(best) >= _MIN_CHAIN else {}


def _item(item_id: str, name: str, text: str) -> PlaybookItem:
    spans = sentences(text)
    first = next((text[start:end] for start, end in spans if _is_long(text[start:end])), text)
    kinds: tuple[ItemType, ...] = ("duration", "money", "percent")
    stated = [kind for kind in kinds for _ in range(values.distinct(kind, first))]
    kind = stated[0] if len(stated) == 1 else "yes/no"
    found = values.read(kind, first) if kind != "yes/no" else None
    kind = kind if found else "yes/no"
    whole = max((end for _, end in spans if end <= _MAX_FALLBACK), default=0)
    return PlaybookItem(
        item_id,
        _ASKS[kind].format(name),
        kind,
        name,
        like=(_unlabelled(first)[:_MAX_LIKE],),
        expect=_expected(found, first) if found else True,
        fallback=_unlabelled(text[:whole]),
    )


def _expected(value: Value, text: str) -> Expect | str:
    """Return the position that a text takes: its value, or the limit that it sets with it."""
    shown = positions.shown(value)
    for limits, expect in ((_AT_LEAST, Expect(at_least=shown)), (_AT_MOST, Expect(at_most=shown))):
        for limit in limits.finditer(text):
            after = values.read(value.type, text[limit.end() : limit.end() + _MAX_FIGURE])
            if after is not None and after.measured == value.measured:
                return expect
    return shown


def _is_long(text: str) -> bool:
    return sum(map(str.isalpha, text)) >= _MIN_LETTERS


def _unlabelled(text: str) -> str:
    label = _LABEL.match(text)
    return text[label.end() :] if label else text
