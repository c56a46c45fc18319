"""Changes to bytes, to JSON and to databases, drawn from a seeded generator."""

from __future__ import annotations

import json
from typing import Any

NUMBERS = (0, 1, -1, 2, 7, 255, 256, 65_535, 2**31 - 1, 2**31, -(2**31), 2**53, 2**63 - 1, -(2**63), 10**18)
TEXTS = (
    *("", "\x00", "a" * 70_000, "../../etc/passwd", "/etc/passwd", "..", "../..", "/", "\ud800", "\ud83d\ude00"),
    *("[", "[" * 5000, "{}", "[]", "null", "[[1, 2, 3]]", "[[[0, 1, null]], [], []]", "[[], [[0, 5]], []]", "NaN"),
    *("1e999", "9" * 5000, "'; DROP TABLE meta; --", "\u202e\x1b[31m", "2024-13-45"),
)
VALUES: tuple[Any, ...] = (None, True, *NUMBERS, *TEXTS, 0.5, -1e308, 1e308)
_AWKWARD = (
    *(b"[" * 5000, b"9" * 5000, b"0x" + b"f" * 5000, b"\\ud800", b"\xed\xa0\x80", b"..", b"../..", b"/", b"\0", b"-1"),
    *(b"1e999", b'"'),
)
_PAGE = 4096


def of_input(data, random):
    """Bytes with a part of their JSON changed, or with something awkward put in; None for any other change."""
    if (chance := random.random()) < 0.1:
        at = random.randrange(len(data) + 1)
        return data[:at] + random.choice(_AWKWARD) + data[at + random.choice((0, 0, 1, 8)) :]
    if chance > 0.7:
        return None
    lines = data.split(b"\n") if chance < 0.6 else [data]
    at = random.randrange(len(lines))
    start = min((place for place in map(lines[at].find, (b"{", b"[")) if place >= 0), default=0)
    try:
        value = json.loads(lines[at][start:])
    except (ValueError, RecursionError):
        return None
    lines[at] = lines[at][:start] + json.dumps(of_json(value, random), separators=(",", ":")).encode()
    if random.random() < 0.2:
        lines.insert(random.randrange(len(lines)), lines[at])
    return b"\n".join(lines)


def of_bytes(data, random):
    """Bytes turned, overwritten, doubled, moved, taken out, cut off or added."""
    out = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4, 16, 64))):
        if not out:
            break
        at = random.randrange(len(out))
        size = min(random.choice((1, 2, 4, 16, 256)), len(out) - at)
        match random.randrange(7):
            case 0:
                out[at] ^= 1 << random.randrange(8)
            case 1:
                out[at : at + size] = random.randbytes(size)
            case 2:
                out[at : at + size] = random.choice((b"\x00", b"\xff")) * size
            case 3:
                there = random.randrange(len(out))
                out[there : there + size] = out[at : at + size]
            case 4:
                del out[at : at + size]
            case 5:
                out[at:at] = random.choice((b"9" * 20, b"-1", b"null", b"[" * 20, b'"', b"\\", b"\n", b"1e999"))
            case _:
                if random.random() < 0.2:
                    del out[at:]
    return bytes(out)


def of_pages(data, random):
    """A database whose bytes are changed where they lead: its head, the heads of its pages, their cells, whole pages."""
    out = bytearray(data)
    pages = max(1, len(out) // _PAGE)
    for _ in range(random.choice((1, 1, 2, 3, 8, 20))):
        page = random.randrange(pages) * _PAGE
        match random.randrange(7):
            case 0:
                out[random.randrange(100)] = random.randrange(256)
            case 1:
                out[page + (100 if not page else 0) + random.randrange(12)] = random.randrange(256)
            case 2:  # the pointers to cells
                out[page + random.randrange(8, 200)] = random.randrange(256)
            case 3:
                other = random.randrange(pages) * _PAGE
                out[page : page + _PAGE] = out[other : other + _PAGE]
            case 4:  # a number of a page, in the cell of an inner page or of one that flows over
                at = page + random.randrange(_PAGE - 4)
                out[at : at + 4] = random.randrange(pages + 2).to_bytes(4, "big")
            case 5:
                at = page + random.randrange(_PAGE)
                size = min(random.choice((1, 8, 100)), len(out) - at)
                out[at : at + size] = random.randbytes(size)
            case _:
                if random.random() < 0.1:
                    del out[page + random.randrange(_PAGE) :]
                    pages = max(1, len(out) // _PAGE)
                    out += b"\x00" * (pages * _PAGE - len(out))
    return bytes(out)


def of_json(value, random, depth=0):
    """JSON with a part exchanged, taken out, doubled, or of another type."""
    if random.random() < 0.15 * bool(depth) or not isinstance(value, dict | list) or not value or depth > 12:
        return random.choice((*VALUES, value, [value], {"a": value}))
    if isinstance(value, list):
        out = list(value)
        at = random.randrange(len(out))
        match random.randrange(5):
            case 0:
                del out[at]
            case 1:
                out.append(out[at])
            case _:
                out[at] = of_json(out[at], random, depth + 1)
        return out
    named = dict(value)
    key = random.choice(list(named))
    match random.randrange(6):
        case 0:
            del named[key]
        case 1:
            named[random.choice(("", "x", key + "x"))] = named[key]
        case _:
            named[key] = of_json(named[key], random, depth + 1)
    return named
