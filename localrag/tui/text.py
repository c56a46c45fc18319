"""Text for the screen: made harmless and cut to fit.

Everything is drawn as `Content`, which is never parsed as markup, with escape sequences, control characters and
direction overrides shown as escapes; `LastLook` sees every line again. Limit: look-alike letters stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment
from textual.content import Content
from textual.filter import LineFilter

from localrag.security.terminal import UNSAFE, visible

if TYPE_CHECKING:
    from textual.color import Color

    from localrag.errors import LocalragError

_MARK = "…"
MAX_QUESTION, MAX_QUESTION_LINES = 1200, 12  # shown above an answer


def clean(text: str) -> str:
    """Show what a terminal would obey as escapes; keep line breaks."""
    return visible(text).replace("\t", " ")


def clean_line(text: str) -> str:
    return " ".join(clean(text).split())


def clean_in_place(text: str) -> str:
    """Replace unsafe characters one for one, so that offsets into the text stay valid."""
    return UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\t", " ").replace("\r", " "))


class LastLook(LineFilter):
    """Replaces unsafe characters in every line that is drawn, whatever drew it."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(text if control else clean_in_place(text), style, control) for text, style, control in segments]


def error_content(error: LocalragError) -> Content:
    """An error and what to do about it."""
    parts: list[Content | tuple[str, str]] = [("Error: ", "bold"), Content(clean(error.message))]
    if error.hint:
        parts += [("\nWhat to do: ", "bold"), Content(clean(error.hint))]
    return Content.assemble(*parts)


def error_line(error: LocalragError) -> str:
    return clean_line(f"{error.message}. {error.hint}")


def shorten(text: str, room: int) -> str:
    """Cut the middle of a text so that it fits into `room` cells; two thirds of what is kept is its end."""
    if cell_len(text) <= room:
        return text
    if room < 2:
        return _MARK[:room]
    tail = _end(text, (room - 1) * 2 // 3)
    return _start(text, room - 1 - cell_len(tail)) + _MARK + tail


def shorten_all(names: Sequence[str], room: int) -> dict[str, str]:
    """Shorten each name so that those that differ still differ, where the room allows."""
    short = {name: shorten(name, room) for name in names}
    alike: dict[str, list[str]] = {}
    for name, cut in short.items():
        alike.setdefault(cut, []).append(name)
    for group in alike.values():
        if len(group) > 1:
            short.update(_apart(group, room))
    return short


def _apart(names: Sequence[str], room: int) -> dict[str, str]:
    """Shorten names around the part in which they differ."""
    prefix = _common(names)
    suffix = min(min(map(len, names)) - prefix, _common([name[::-1] for name in names]))
    short = {}
    for name in names:
        start, end = prefix, len(name) - suffix
        while start > 0 and name[start - 1].isalnum() and end - start < room // 3:  # "2021", not "1" of it
            start -= 1
        middle = _start(name[start:end], max(1, room - 6))
        left = room - cell_len(middle) - 2
        tail = _end(name[end:], left * 2 // 3)
        head = _start(name[:start], left - cell_len(tail))
        short[name] = f"{head}{_MARK}{middle}{_MARK}{tail}"
    return short


def _common(names: Sequence[str]) -> int:
    """How many characters all names begin with."""
    first, last = min(names), max(names)
    return next((at for at, letter in enumerate(first) if letter != last[at : at + 1]), len(first))


def _start(text: str, room: int) -> str:
    while text and cell_len(text) > max(0, room):
        text = text[: -max(1, (cell_len(text) - room) // 2)]
    return text


def _end(text: str, room: int) -> str:
    return _start(text[::-1], room)[::-1]


def shorten_source(document: str, place: str, room: int, others: Sequence[str] = ()) -> str:
    """Cut a document's name so that it fits into `room` cells with the place behind it, and differs from the others."""
    where = f", {place}" if place else ""
    least = min(cell_len(document), 12)
    if cell_len(where) > room - least:
        where = f", {shorten(place, max(8, room - least - 2))}"
    names = dict.fromkeys((document, *others))
    return shorten_all(tuple(names), max(least, room - cell_len(where)))[document] + where


def question_line(question: str) -> str:
    """A question as it is shown above its answer: the beginning of a long one."""
    text = clean(question)
    cut = "\n".join(text.split("\n")[:MAX_QUESTION_LINES])[:MAX_QUESTION]
    return f"❯ {text}" if cut == text else f"❯ {cut.rstrip()} … ({len(text):,} characters)"


def list_some(names: Sequence[str]) -> str:
    """The first three names, and how many more there are."""
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return clean_line(", ".join(names[:3])) + more
