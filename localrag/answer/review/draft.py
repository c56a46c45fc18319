"""Draft a playbook from a model contract, by code: each clause with a heading becomes an item.

What a clause holds decides its type: a single duration, amount, share or date is the expected value, and of any other
clause it is only asked whether it is there. Limits: headings that a reader recognises, and English questions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from localrag.answer import values
from localrag.answer.review import positions
from localrag.answer.review.playbook import Item, ItemType, Playbook, Position
from localrag.errors import ReadError
from localrag.ingest.readers.isolate import ReaderPool
from localrag.ingest.readers.source import Options
from localrag.settings import Settings
from localrag.store.sentences import sentences
from localrag.types import Page, Part

_ASKS: dict[ItemType, str] = {
    "duration": "How long is the period in the clause “{}”?",
    "money": "Which amount does the clause “{}” name?",
    "percent": "Which percentage does the clause “{}” name?",
    "date": "Which date does the clause “{}” name?",
    "yes/no": "Does this contract have a clause on {}?",
}
_NUMBER = re.compile(r"^(?:(?:section|article|clause|schedule)\s+)?[\dIVXivx]{0,4}(?:\.\d+)*[.)]?\s+", re.I)
_MIN_CLAUSE, _MAX_LIKE, _MAX_FALLBACK = 60, 300, 4000


def from_file(path: Path, settings: Settings) -> Playbook:
    """Read a contract and draft a playbook; raise ReadError if it cannot be read, or has no clauses with headings."""
    pages: list[Page] = []
    title = ""
    options = Options(languages=settings.ocr_languages, depth=settings.archive_depth)
    with ReaderPool(workers=1, seconds=settings.read_seconds, options=options) as pool:
        for _, item in pool.read_all([path]):
            if isinstance(item, Part) and not item.name:
                pages, title = list(item.reading.pages), item.reading.title
    return from_pages(pages, title or path.stem)


def from_pages(pages: Sequence[Page], title: str) -> Playbook:
    """Draft a playbook from the pages of a contract."""
    items: dict[str, Item] = {}
    for heading, text in clauses(pages):
        item = _item(heading, text)
        if item.id and item.id not in items:
            items[item.id] = item
    if not items:
        raise ReadError("no clause with a heading was found", "Write the playbook by hand: `localrag review show nda`.")
    return Playbook(f"Positions of {title}", tuple(items.values()))


def clauses(pages: Sequence[Page]) -> Iterator[tuple[str, str]]:
    """Yield the clauses of a document, each with its heading and its text, over the ends of pages."""
    heading, text = "", ""
    for page in pages:
        at = 0
        for one in page.headings:
            yield from _clause(heading, text + page.text[at : one.start])
            heading, text = one.title, ""
            at = page.text.find(one.title, one.start)  # behind its number, or the marks of Markdown
            at = one.start if at < 0 else at + len(one.title)
        text += page.text[at:] + "\n"
    yield from _clause(heading, text)


def _clause(heading: str, text: str) -> Iterator[tuple[str, str]]:
    name, words = _NUMBER.sub("", heading).strip(" .:"), " ".join(text.split()).lstrip(" .:")
    if name and len(words) >= _MIN_CLAUSE:
        yield name, words


def _item(heading: str, text: str) -> Item:
    name = heading.capitalize() if heading.isupper() else heading
    kinds: tuple[ItemType, ...] = ("duration", "money", "percent", "date")
    kind: ItemType = next((one for one in kinds if positions.stated(one, text) == 1), "yes/no")
    found = next((value for start, end in sentences(text) if (value := values.read(kind, text[start:end]))), None)
    expect: Position = True
    if found is None or found.measured is None:
        kind = "yes/no"
    else:
        expect = positions.shown(found)
    first = next((text[start:end] for start, end in sentences(text) if end - start >= _MIN_CLAUSE), text)
    return Item(
        "-".join(re.findall(r"[a-z0-9]+", name.lower()))[:60].strip("-"), _ASKS[kind].format(name), kind, name,
        like=(first[:_MAX_LIKE],), expect=expect, fallback=text[:_MAX_FALLBACK],
    )  # fmt: skip
