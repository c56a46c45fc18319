"""What conversations say of documents that are forgotten, taken out of them (pure).

An answer is taken whole where anything of it came from such a document: what a model made of a text cannot be told
apart from the rest. So are the answers after it, which were written with it in view. Questions stay; they are the
person's words, and may be deleted with their conversation.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from localrag.sessions.values import SavedTurn, Session
from localrag.types import Answer, Plan

GONE = "[This answer was deleted with a document that it was made from.]"
Place = tuple[str, str]  # library and path of a document


def redacted(session: Session, gone: Collection[Place]) -> Session:
    """The conversation without the answers that came from these documents; itself where there is none."""
    places = set(gone)
    first = next(
        (
            at
            for at, turn in enumerate(session.turns)
            if turn.answer and _places(turn.answer, session.libraries) & places
        ),
        None,
    )
    if first is None:
        return session
    return replace(session, turns=(*session.turns[:first], *map(_without, session.turns[first:])))


def speaks_of(session: Session, gone: Collection[Place]) -> bool:
    """Whether an answer of the conversation came from one of these documents."""
    return redacted(session, gone) is not session


def _without(turn: SavedTurn) -> SavedTurn:
    if turn.answer is None:
        return replace(turn, said="")
    # The reason of a plan, and its signals, may name the document.
    plan = Plan(turn.answer.plan.kind, "")
    return replace(turn, said="", answer=Answer(turn.question, GONE, False, plan, stopped=turn.answer.stopped))


def _places(answer: Answer, libraries: Sequence[str]) -> set[Place]:
    """The documents that anything of an answer came from, or that it names."""
    # One that was read whole need not be cited; its library is not told.
    pointed = answer.plan.signals.get("pointed")
    names = pointed if isinstance(pointed, list | tuple) else ()
    places = {(library, str(name)) for library in libraries for name in names}
    places |= {(one.library, one.document) for one in answer.citations}
    places |= {(one.library, one.document) for one in answer.passages}
    places |= {(one.library, one.document) for one in answer.not_read}
    return places | {(str(row.get("library", "")), str(row.get("document", ""))) for row in answer.table}
