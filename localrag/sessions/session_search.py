"""Find words in conversations: titles, questions, answers and quotes, each hit with a few words around it.

A turn matches if each word is somewhere in it, also as part of a word, regardless of case and accents; a title matches
on its own. The first place of each turn is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from localrag.sessions.session_store import Listed, Session, listed
from localrag.store.text_analysis import folded

_CONTEXT = 50  # characters before a hit
Where = Literal["title", "question", "answer", "quote"]


@dataclass(frozen=True, slots=True)
class Hit:
    """A place with the words; `turn` counts from 1 and is 0 for the title."""

    session: Listed
    turn: int
    where: Where
    snippet: str


class Searched:
    """Conversations prepared to be searched many times, as while someone types."""

    def __init__(self, sessions: Iterable[Session]) -> None:
        self._texts = [(listed(one), list(_texts(one))) for one in sessions]

    def find(self, words: str) -> list[Hit]:
        """Every turn and title with all the words, in the order of the conversations; all titles without words."""
        wanted = [folded(word) for word in words.split()]
        hits = []
        for session, groups in self._texts:
            for turn, texts in groups:
                together = " ".join(plain for _, _, plain in texts)
                if all(word in together for word in wanted) and (found := _first(session, turn, texts, wanted)):
                    hits.append(found)
        return hits


_Text = tuple[Where, str, str]  # the text on one line, and the same folded


def _texts(session: Session) -> Iterable[tuple[int, list[_Text]]]:
    yield 0, [_text("title", session.title)]
    for number, saved in enumerate(session.turns, 1):
        texts = [_text("question", saved.question)]
        if saved.answer is not None:
            texts.append(_text("answer", saved.answer.answer))
            quoted = (*saved.answer.citations, *saved.answer.nearest)
            texts += [_text("quote", f"{one.quote} ({one.document})") for one in quoted]
        yield number, texts


def _text(where: Where, text: str) -> _Text:
    flat = " ".join(text.split())
    return where, flat, folded(flat)


def _first(session: Listed, turn: int, texts: list[_Text], wanted: list[str]) -> Hit | None:
    """The text with most of the words, and the first of several."""
    if not wanted:
        return Hit(session, turn, "title", session.title) if turn == 0 else None
    where, flat, plain = max(texts, key=lambda text: sum(word in text[2] for word in wanted))
    at = min((plain.find(word) for word in wanted if word in plain), default=0)
    # Some words around the offset, which folding may have moved by a letter or two.
    start, end = max(0, at - _CONTEXT), min(len(flat), at + 2 * _CONTEXT)
    snippet = flat[start:end]
    if start:
        snippet = "…" + re.sub(r"^\S*\s", "", snippet)
    if end < len(flat):
        snippet = re.sub(r"\s\S*$", "", snippet) + "…"
    return Hit(session, turn, where, snippet)
