"""Show texts and names of others without letting them command the terminal (its title, links, clipboard, colours).

Also numbers in words, which the command line and the app share.
"""

from __future__ import annotations

import json
import re

# C0 and C1 but tab and line feed, line separators, writing direction, lone surrogates, noncharacters, invisible tags.
UNSAFE = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb\ufffe\uffff"
    "\U000e0000-\U000e007f]"
)
_MARKS = str.maketrans("", "", "\u061c\u200e\u200f")  # in honest Arabic and Hebrew; they turn no words around


def escaped(text: str) -> str:
    """Return a text with what a terminal would obey as escapes, such as \\u001b; JSON keeps its meaning."""
    return UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1], text)


def visible(text: str) -> str:
    """Return a text of several lines as `escaped` does, without the marks of honest writing from right to left."""
    return escaped(text.replace("\r\n", "\n").translate(_MARKS)) if UNSAFE.search(text) else text


def one_line(text: str) -> str:
    """Return a name as `escaped` does, with its line breaks, so that it cannot pose as other output."""
    return escaped(text).replace("\n", "\\n").replace("\t", "\\t")


def size(count: int) -> str:
    """Return a number of bytes as people read it, such as "1.1 GB"."""
    value = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def duration(seconds: float) -> str:
    """Return a number of seconds as people read it, such as "5 min"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, such as "1 document" or "3 documents"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
