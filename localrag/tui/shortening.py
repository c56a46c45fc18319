"""Names cut to the room there is, so that what tells them apart stays: the end of a file's name, and the place."""

from __future__ import annotations

from rich.cells import cell_len

_MARK = "…"


def middle(text: str, room: int) -> str:
    """The text in `room` cells at most, its middle left out where it is longer; two thirds of what stays is its end."""
    if cell_len(text) <= room:
        return text
    if room < 2:
        return _MARK[:room]
    end = (room - 1) * 2 // 3
    tail = text[-end:] if end else ""
    while cell_len(tail) > end:
        tail = tail[1:]
    head = text
    while head and cell_len(head) > room - 1 - cell_len(tail):
        head = head[: -max(1, (cell_len(head) - room) // 2)]
    return head + _MARK + tail


def source(document: str, place: str, room: int) -> str:
    """A document and a place in it, in `room` cells where that can be: the place is kept, then the end of the name."""
    where = f", {place}" if place else ""
    least = min(cell_len(document), 12)
    if cell_len(where) > room - least:
        where = f", {middle(place, max(8, room - least - 2))}"
    return middle(document, max(least, room - cell_len(where))) + where
