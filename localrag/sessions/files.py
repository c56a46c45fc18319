"""A conversation to JSON and back (pure). Files that were written before a field was there are read without it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from localrag.sessions.restoring import restored
from localrag.sessions.values import Origin, SavedTurn, Session, Value
from localrag.types import MODES, Answer, Filter, Mode

SCHEMA = 1


def to_json(session: Session) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "id": session.id,
        "title": session.title,
        "libraries": list(session.libraries),
        "created": session.created,
        "only": asdict(session.only),
        "mode": session.mode,
        "settings": dict(session.settings),
        "origin": asdict(session.origin) if session.origin else None,
        "turns": [
            {"question": one.question, "time": one.time, "answer": one.answer.to_dict() if one.answer else None}
            for one in session.turns
        ],
    }


def from_json(value: Any) -> Session:
    """The conversation that `to_json` made this of.

    Raises:
        TypeError, ValueError, KeyError: it is none.
    """
    given = _dict(value)
    if given["schema"] != SCHEMA:
        raise ValueError(f"its schema is {given['schema']!r}, this version reads {SCHEMA}")
    origin = given.get("origin")
    return Session(
        id=_text(given["id"]),
        title=_text(given["title"]),
        libraries=tuple(_text(name) for name in _list(given["libraries"])),
        created=_text(given["created"]),
        turns=tuple(_turn(_dict(item)) for item in _list(given["turns"])),
        only=restored(Filter, given.get("only", {})),
        mode=_mode(given.get("mode", "auto")),
        settings={name: _setting(item) for name, item in _dict(given.get("settings", {})).items()},
        origin=None if origin is None else restored(Origin, origin),
    )


def _turn(item: dict[str, Any]) -> SavedTurn:
    answer = item["answer"]
    return SavedTurn(
        _text(item["question"]), _text(item["time"]),
        None if answer is None else restored(Answer, answer),
    )  # fmt: skip


def _mode(value: Any) -> Mode:
    for mode in MODES:
        if value == mode:
            return mode
    raise ValueError(f"{value!r:.40} is not a way of looking things up")


def _setting(value: Any) -> Value:
    if not isinstance(value, str | int | float):
        raise TypeError(f"expected the value of a setting, found {type(value).__name__}")
    return value


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, found {type(value).__name__}")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {type(value).__name__}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {type(value).__name__}")
    return value
