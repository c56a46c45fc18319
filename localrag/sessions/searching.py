"""Where words were said in conversations: titles, questions, answers and quotes, with a few words around (pure).

A turn fits where each word stands in it somewhere, as a part of a word too, whatever the case and accents; a title of
itself. Of each turn the first place is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from localrag.sessions.values import Listed, SavedTurn, Session, listed
from localrag.store.text_analysis import folded

_AROUND = 50
Where = Literal["title", "question", "answer", "quote"]


@dataclass(frozen=True, slots=True)
class Hit:
    """A place where the words were said; `turn` counts from 1 and is 0 for the title."""

    session: Listed
    turn: int
    where: Where
    snippet: str


class Searched:
    """Conversations made ready to be searched many times, as while someone types."""

    def __init__(self, sessions: Iterable[Session]) -> None:
        self._places = [(listed(one), list(_texts(one))) for one in sessions]

    def find(self, words: str) -> list[Hit]:
        """Every turn and title that has all the words, in the order of the conversations; all titles for no words."""
        wanted = [folded(word) for word in words.split()]
        hits = []
        for session, groups in self._places:
            for turn, texts in groups:
                together = " ".join(even for _, _, even in texts)
                if all(word in together for word in wanted) and (found := _first(session, turn, texts, wanted)):
                    hits.append(found)
        return hits


_Text = tuple[Where, str, str]


def _texts(session: Session) -> Iterable[tuple[int, list[_Text]]]:
    yield 0, [_text("title", session.title)]
    for number, saved in enumerate(session.turns, 1):
        yield number, list(_said(saved))


def _said(saved: SavedTurn) -> Iterable[_Text]:
    yield _text("question", saved.question)
    if saved.answer is not None:
        yield _text("answer", saved.answer.answer)
        for citation in saved.answer.citations:
            yield _text("quote", f"{citation.quote} ({citation.document})")


def _text(where: Where, text: str) -> _Text:
    flat = " ".join(text.split())
    return where, flat, folded(flat)


def _first(session: Listed, turn: int, texts: list[_Text], wanted: list[str]) -> Hit | None:
    """The place with most of the words; of several, the first."""
    if not wanted:
        return Hit(session, turn, "title", session.title) if turn == 0 else None
    where, flat, even = max(texts, key=lambda text: sum(word in text[2] for word in wanted))
    at = min((even.find(word) for word in wanted if word in even), default=0)
    return Hit(session, turn, where, _snippet(flat, at))


def _snippet(text: str, at: int) -> str:
    """Some words of a text around a place. Folding can move places by a letter or two, which words round it hide."""
    start, end = max(0, at - _AROUND), min(len(text), at + 2 * _AROUND)
    piece = text[start:end]
    if start:
        piece = "…" + re.sub(r"^\S*\s", "", piece)
    if end < len(text):
        piece = re.sub(r"\s\S*$", "", piece) + "…"
    return piece
