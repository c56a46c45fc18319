"""Text that a document holds but does not show: kept out of what is read, and reported.

It is how drafts leave the house unseen, and how instructions for a model are slipped into a letter. A person must be
told that it is there; the text itself is shown in part only.
"""

from __future__ import annotations

import re

from localrag.ingest.readers.cleaning import clean
from localrag.types import Remark

_SHOWN = 80
# Tags behind a black flag make the flag of a country.
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007f]{2,7}")


class Hidden:
    """Collects what was kept out, by the way it was hidden ("hidden text", "white text")."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}

    def add(self, kind: str, text: str) -> None:
        if text.strip():
            self._texts.setdefault(kind, []).append(text)

    def remarks(self, number: int | None = None) -> tuple[Remark, ...]:
        """One remark for each way of hiding; `number` is the page's."""
        found = []
        for kind, texts in self._texts.items():
            text = " ".join(clean("".join(texts)).split())
            shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
            found.append(Remark(number, f"{kind} was kept out ({len(text)} characters): “{shown}”"))
        return tuple(found)


def of_tags(text: str) -> tuple[Remark, ...]:
    """A remark where a text carries another in letters that nobody sees (the tags of Unicode), which are not stored."""
    hidden = Hidden()
    unseen = (letter for letter in _FLAG.sub("", text) if "\U000e0020" <= letter <= "\U000e007e")
    hidden.add("text in invisible letters", "".join(chr(ord(letter) - 0xE0000) for letter in unseen))
    return hidden.remarks()
