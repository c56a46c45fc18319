"""Conversations, kept as one JSON file each: saved turn by turn, listed, resumed, renamed, deleted, exported.

A turn is on the disk, whole, once `append` returns. Two processes that add to one conversation keep both
turns. A damaged file is listed with what is wrong with it and never stops the others from being read.

Limits: deleting removes the file; what a disk or a backup keeps of it is beyond this module. The exported
Markdown is inert (no link, image or HTML of an answer or a document survives), but viewers may turn a bare
address into a link.
"""

from __future__ import annotations

import json
import re
import secrets
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localrag import marking, vault
from localrag.errors import NotFoundError, ReadError
from localrag.findings import Flag
from localrag.types import Answer, Turn, source

SCHEMA = 1
_ID = re.compile(r"\d{8}T\d{12}-[0-9a-f]{6}")
_TITLE_WIDTH = 60


@dataclass(frozen=True, slots=True)
class SavedTurn:
    """One question with its whole answer (as `Answer.to_dict` gives it), and when it was answered, in UTC."""

    turn: Turn
    answer: Mapping[str, Any]
    time: str


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation; `id` sorts by the time it was begun, `created` is that time in UTC."""

    id: str
    title: str
    libraries: tuple[str, ...]
    created: str
    turns: tuple[SavedTurn, ...] = ()

    @property
    def history(self) -> tuple[Turn, ...]:
        return tuple(saved.turn for saved in self.turns)


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of the list; where `problem` is not empty, the file cannot be opened and the rest is unknown."""

    id: str
    title: str = ""
    libraries: tuple[str, ...] = ()
    created: str = ""
    turns: int = 0
    problem: str = ""


class SessionStore:
    """The conversations in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def new(self, libraries: tuple[str, ...], title: str = "") -> Session:
        """Begin a conversation. It reaches the disk with its first turn, so that none are kept empty."""
        now = datetime.now(UTC)
        name = f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(3)}"
        return Session(name, title, tuple(libraries), now.isoformat(timespec="seconds"))

    def append(self, session: Session, answer: Answer) -> Session:
        """Add a turn and save; returns the conversation as saved, turns of other processes included.

        Raises:
            NotFoundError: the conversation was deleted since it was loaded.
            StorageError: the disk is full or cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        saved = SavedTurn(Turn(answer.question, answer.answer, answer.sources), answer.to_dict(), now)
        with vault.lock(self.folder / "sessions.lock", "the conversations"):
            current = self.load(session.id) if session.turns or self._path(session.id).exists() else session
            title = current.title or textwrap.shorten(answer.question, _TITLE_WIDTH, placeholder="…")
            grown = replace(current, title=title, turns=(*current.turns, saved))
            self._save(grown)
        return grown

    def load(self, session_id: str) -> Session:
        """Read one conversation.

        Raises:
            NotFoundError: there is none of that id.
            ReadError: its file is damaged.
        """
        path = self._path(session_id)
        if not path.is_file():
            raise NotFoundError(f"there is no conversation {session_id!r}", "It may have been deleted.")
        try:
            session = _from_json(json.loads(vault.read_bytes(path)))
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise ReadError(
                f"the conversation {session_id!r} cannot be read: {error}",
                f"Its file is {str(path)!r}; restore it from a copy, or delete the conversation.",
            ) from None
        if session.id != session_id:
            raise ReadError(
                f"the conversation {session_id!r} says that it is {session.id!r}",
                f"Rename the file {str(path)!r}.",
            )
        return session

    def list(self) -> list[Listed]:
        """Every conversation, newest first; damaged ones with their problem."""
        paths = self.folder.glob("*.json") if self.folder.is_dir() else ()
        return [self._listed(path.stem) for path in sorted(paths, reverse=True)]

    def _listed(self, session_id: str) -> Listed:
        try:
            found = self.load(session_id)
        except (ReadError, NotFoundError) as error:
            return Listed(session_id, problem=error.message)
        return Listed(found.id, found.title, found.libraries, found.created, len(found.turns))

    def rename(self, session_id: str, title: str) -> Session:
        with vault.lock(self.folder / "sessions.lock", "the conversations"):
            renamed = replace(self.load(session_id), title=" ".join(title.split()))
            self._save(renamed)
        return renamed

    def delete(self, session_id: str) -> None:
        """Delete a conversation, damaged or not.

        Raises:
            NotFoundError: there is none of that id.
        """
        path = self._path(session_id)
        with vault.lock(self.folder / "sessions.lock", "the conversations"):
            if not path.is_file():
                raise NotFoundError(f"there is no conversation {session_id!r}", "It may have been deleted.")
            vault.remove(path)

    def _save(self, session: Session) -> None:
        vault.write_json(self._path(session.id), _to_json(session))

    def _path(self, session_id: str) -> Path:
        # An id comes from outside; as part of a path it must not lead out of the folder.
        if not _ID.fullmatch(session_id):
            raise NotFoundError(f"{session_id!r} is not the id of a conversation", "Take an id from the list.")
        return self.folder / f"{session_id}.json"


def _to_json(session: Session) -> dict[str, Any]:
    turns = [
        {"question": saved.turn.question, "time": saved.time, "answer": dict(saved.answer)} for saved in session.turns
    ]
    return {
        "schema": SCHEMA,
        "id": session.id,
        "title": session.title,
        "libraries": list(session.libraries),
        "created": session.created,
        "turns": turns,
    }


def _from_json(value: Any) -> Session:
    if _dict(value)["schema"] != SCHEMA:
        raise ValueError(f"its schema is {value['schema']!r}, this version reads {SCHEMA}")
    libraries = tuple(_text(name) for name in _list(value["libraries"]))
    turns = tuple(_turn(_dict(item)) for item in _list(value["turns"]))
    return Session(_text(value["id"]), _text(value["title"]), libraries, _text(value["created"]), turns)


def _turn(item: dict[str, Any]) -> SavedTurn:
    answer = _dict(item["answer"])
    sources = []
    for citation in _list(answer["citations"]):
        for name in ("library", "document", "place", "quote"):
            _text(_dict(citation)[name])
        sources.append(source(citation["document"], citation["place"]))
    # Answers that were saved before they were checked this far have neither.
    for sentence in _list(answer.get("unsupported", [])):
        _text(sentence)
    for flag in _list(answer.get("flags", [])):
        for name in ("kind", "text", "reason"):
            _text(_dict(flag)[name])
    for working in _list(answer.get("workings", [])):
        _text(_dict(working)["shown"])
    for left in _list(answer["not_read"]):
        for name in ("document", "reason"):
            _text(_dict(left)[name])
    for name in ("kind", "reason"):
        _text(_dict(answer["plan"])[name])
    turn = Turn(_text(item["question"]), _text(answer["answer"]), tuple(dict.fromkeys(sources)))
    return SavedTurn(turn, answer, _text(item["time"]))


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


# --- export -------------------------------------------------------------------------------------------------


def export_markdown(session: Session) -> str:
    """The conversation as Markdown: each answer with its quotes, their places, and what was not read."""
    libraries = ", ".join(_inert(name) for name in session.libraries) or "none"
    parts = [
        f"# {_line(session.title or 'Conversation')}",
        f"Begun {session.created}. Libraries: {libraries}.",
    ]
    for saved in session.turns:
        parts += _turn_markdown(saved)
    return "\n\n".join(parts) + "\n"


def _turn_markdown(saved: SavedTurn) -> list[str]:
    answer, plan = saved.answer, saved.answer["plan"]
    unsupported, flags = _checks(answer)
    parts = [
        f"## {_line(saved.turn.question)}",
        _inert(marking.marked(saved.turn.answer.strip(), unsupported, flags)),
        *map(_line, marking.told(unsupported, flags)),
    ]
    parts += [_line(working["shown"]) for working in answer.get("workings", ())]
    if answer["citations"]:
        parts.append("**Sources**")
    for count, citation in enumerate(answer["citations"], 1):
        marker = citation.get("marker") or count
        place = f", {citation['place']}" if citation["place"] else ""
        parts.append(_inert(f"[{marker}] {citation['document']}{place} (library {citation['library']})"))
        parts.append(_fenced(citation["quote"]))
    if dropped := answer.get("citations_dropped"):
        parts.append(f"{dropped} quote(s) were left out: their words are not in the documents.")
    for left in answer["not_read"]:
        parts.append(_line(f"Not read: {left['document']}: {left['reason']}"))
    parts.append(f"*{_line(plan['kind'] + ': ' + plan['reason'])}* ({saved.time})")
    return parts


def _checks(answer: Mapping[str, Any]) -> tuple[list[str], list[Flag]]:
    """What was found in an answer when it was given; nothing in those that were saved before it was looked for."""
    flags = [Flag(flag["kind"], flag["text"], flag["reason"]) for flag in answer.get("flags", ())]
    return list(answer.get("unsupported", ())), flags


def _line(text: str) -> str:
    return _inert(" ".join(text.split()))


def _inert(text: str) -> str:
    # A viewer would load an image, and with it tell its address what stands in the answer.
    return re.sub(r"([<\[\]])", r"\\\1", text)


def _fenced(quote: str) -> str:
    """A quote in a code block, where every character stands for itself."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", quote)), default=0))
    return f"{fence}text\n{quote}\n{fence}"
