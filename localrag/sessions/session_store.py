"""The folder of conversations, one JSON file each.

A question is on the disk when `ask` returns, its answer when `append` does. Two processes that add to one conversation
keep both turns. A question being typed (`keep_draft`) and the beginning of an answer under way (`keep_partial`) have
files of their own; they survive a killed process, but maybe not a power cut.
"""

from __future__ import annotations

import json
import re
import secrets
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from localrag import protocol
from localrag.errors import LibraryError, LocalragError, NotFoundError, ReadError, UsageError
from localrag.security import audit, storage
from localrag.security.encryption import unlocked
from localrag.settings import Settings
from localrag.store import names
from localrag.store.text_analysis import folded
from localrag.types import EVERYTHING, Answer, Filter, Mode, Plan, Turn

# --- a conversation: its turns, how its questions are asked, its JSON, and its removal of forgotten documents ----

SCHEMA = 1
GONE = "[This answer was deleted with a document that it was made from.]"
# Settings that shape an answer and are saved with a conversation; the others belong to the machine or the person.
ANSWER_SETTINGS = frozenset(
    "generator passages prompt_tokens read_tokens answer_tokens answer_form context_tokens temperature seed "
    "min_confidence strict think think_tokens".split()
)
# What a setting can be after a round trip through JSON.
Value = str | int | float | bool
Place = tuple[str, str]  # library and path of a document


@dataclass(frozen=True, slots=True)
class SavedTurn:
    """One question, when it was asked (UTC), and its whole answer, None if there is none."""

    question: str
    time: str
    answer: Answer | None = None
    partial: str = ""  # the unchecked beginning of an answer whose process ended


@dataclass(frozen=True, slots=True)
class Origin:
    """The conversation that this one was branched from: its id, its title then, and how many turns were taken."""

    id: str
    title: str
    turns: int


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation; `id` sorts by the time it began, `created` is that time in UTC.

    `libraries`, `only`, `mode` and `settings` (the model's id as "generator" among them) say how its last question was
    asked, so that it can be resumed. `draft` is a question that was typed and not asked.
    """

    id: str
    title: str
    libraries: tuple[str, ...]
    created: str
    turns: tuple[SavedTurn, ...] = ()
    only: Filter = EVERYTHING
    mode: Mode = "auto"
    settings: Mapping[str, Value] = field(default_factory=dict)
    origin: Origin | None = None
    draft: str = ""

    @property
    def history(self) -> tuple[Turn, ...]:
        """The answered turns, which the next question is asked with."""
        answers = (saved.answer for saved in self.turns)
        return tuple(Turn(one.question, one.answer, one.sources) for one in answers if one and one.answer.strip())


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of the list; `changed` is the time of the last turn. If `problem` is set, the file cannot be read."""

    id: str
    title: str = ""
    libraries: tuple[str, ...] = ()
    created: str = ""
    turns: int = 0
    changed: str = ""
    problem: str = ""


def listed(session: Session) -> Listed:
    last = session.turns[-1].time if session.turns else session.created
    return Listed(session.id, session.title, session.libraries, session.created, len(session.turns), last)


def answer_settings(settings: Settings, model: str) -> dict[str, Value]:
    """Return the settings that are saved with a conversation, by name."""
    values = {name: getattr(settings, name, None) for name in ANSWER_SETTINGS}
    if model:
        values["generator"] = model
    # A conversation can be resumed more strictly than it was left, not less.
    return {
        name: value for name, value in values.items() if isinstance(value, str | int | float) and value is not False
    }


# --- JSON ----------------------------------------------------------------------------------------------------


def to_json(session: Session) -> dict[str, Any]:
    values = asdict(replace(session, turns=()))
    del values["draft"]  # it is in a file of its own
    turns = [
        {"question": one.question, "time": one.time, "answer": one.answer.to_dict() if one.answer else None}
        for one in session.turns
    ]
    return {"schema": SCHEMA, **values, "turns": turns}


def from_json(data: bytes) -> Session:
    """Read back a conversation, or raise ValueError; missing fields take their defaults, unknown ones are ignored."""
    value = protocol.decode(data, dict[str, Any])
    if value.get("schema") != SCHEMA:
        raise ValueError(f"its schema is {value.get('schema')!r:.40}, this version reads {SCHEMA}")
    for turn in value.get("turns", ()):  # answers of versions before the field
        if isinstance(turn, dict) and isinstance(answer := turn.get("answer"), dict) and not answer.get("found"):
            answer.setdefault("certainty", "absent")
    session: Session = protocol.from_plain(value, Session)
    return session


# --- forgetting ----------------------------------------------------------------------------------------------


def redacted(session: Session, gone: Collection[Place]) -> Session:
    """The conversation without the answers made from these documents, and the same object if there are none.

    An answer is removed whole, since its parts cannot be traced to documents. So are all answers after it, which were
    written with it in view. Questions stay.
    """
    marked = set(gone)
    touched = [bool(turn.answer and places(turn.answer, session.libraries) & marked) for turn in session.turns]
    if not any(touched):
        return session
    first = touched.index(True)
    turns = (*session.turns[:first], *map(without_answer, session.turns[first:]))
    return replace(session, turns=turns)


def without_answer(turn: SavedTurn) -> SavedTurn:
    """The turn with a note instead of its answer."""
    answer = turn.answer
    if answer is not None:  # without the plan's reason and signals, which may name the document
        answer = Answer(turn.question, GONE, False, Plan(answer.plan.kind, ""), stopped=answer.stopped)
    return replace(turn, partial="", answer=answer)


def places(answer: Answer, libraries: Sequence[str]) -> set[Place]:
    """The documents that anything of an answer came from, or that it names."""
    # A document that was read whole need not be cited, and its library is not recorded.
    pointed = answer.plan.signals.get("pointed")
    names = pointed if isinstance(pointed, list | tuple) else ()
    found = {(library, str(name)) for library in libraries for name in names}
    for parts in (answer.citations, answer.nearest, answer.passages, answer.not_read):
        found |= {(one.library, one.document) for one in parts}
    return found | {(str(row.get("library", "")), str(row.get("document", ""))) for row in answer.table}


LAST = "last"
FOLDER = "sessions"  # in a library's folder
_ID = re.compile(r"\d{8}T\d{12}-[0-9a-f]{6}")
_TITLE_WIDTH = 60
_CLOSED = "closed"  # in a file for the beginning of an answer: none may be kept


class SessionStore:
    """All conversations: in the folder of their library, so that they are encrypted, moved and deleted with it.

    Those of several libraries are with one of them, an encrypted one first; those of none in `folder`. `record` is the
    audit record of deletions and exports, `libraries` the folder of all libraries.
    """

    def __init__(self, folder: Path, record: Path | None = None, libraries: Path | None = None) -> None:
        self.folder = folder
        self.record = record
        self._libraries = libraries
        self._lock = folder / "sessions.lock"

    def lock_file(self) -> Path:
        """Make the file that is locked for each change, for a process that may write no other in this folder."""
        if not self._lock.exists():
            storage.write_bytes(self._lock, b"", plain=True)
        return self._lock

    # --- one conversation -----------------------------------------------------------------------------------

    def new(
        self,
        libraries: tuple[str, ...],
        title: str = "",
        *,
        only: Filter = EVERYTHING,
        mode: Mode = "auto",
        settings: Mapping[str, Value] | None = None,
    ) -> Session:
        """Begin a conversation; it is saved with its first question."""
        now = datetime.now(UTC)
        name = f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(3)}"
        created = now.isoformat(timespec="seconds")
        return Session(name, title, tuple(libraries), created, (), only, mode, dict(settings or {}))

    def ask(self, session: Session, question: str) -> Session:
        """Save a question that is about to be asked, or raise NotFoundError if the conversation was deleted."""
        with self._locked(session):
            current = self._current(session)
            storage.remove(self._partial(session.id))
            turns = current.turns
            # Asked again after a crash: the same question, not another one.
            if turns and turns[-1].answer is None and turns[-1].question == question:
                turns = turns[:-1]
            return self._save_turns(current, session, (*turns, SavedTurn(question, _now())))

    def append(self, session: Session, answer: Answer) -> Session:
        """Save an answer, or a note if a document of it was forgotten; returns the whole conversation."""
        with self._locked(session):
            current = self._current(session)
            turns = list(current.turns)
            saved = SavedTurn(answer.question, _now(), answer)
            if self._is_forgotten(answer, session, current):
                saved = without_answer(saved)
            # In place of the newest unanswered turn with this question.
            open_turns = [at for at, one in enumerate(turns) if one.answer is None and one.question == answer.question]
            if open_turns:
                turns[open_turns[-1]] = saved
            else:
                turns.append(saved)
            grown = self._save_turns(current, session, tuple(turns))
            storage.remove(self._partial(session.id))
        return grown

    def keep_partial(self, session_id: str, question: str, text: str) -> None:
        """Keep the beginning of an answer, in case the process ends; not if a document was forgotten meanwhile."""
        with self._locked():
            if self._path(session_id).exists() and _CLOSED not in self._kept(self._partial(session_id)):
                self._keep(self._partial(session_id), {"question": question, "said": text})

    def keep_draft(self, session_id: str, draft: str) -> None:
        """Keep a question that is being typed; an empty one removes it."""
        if draft.strip() and self._path(session_id).exists():
            self._keep(self._draft(session_id), {"draft": draft})
        else:
            storage.remove(self._draft(session_id))

    # --- all conversations ----------------------------------------------------------------------------------

    def load(self, session_id: str) -> Session:
        """Read one conversation, with what was under way; raises NotFoundError, or ReadError if it is damaged."""
        session = self._load(session_id)
        turns = session.turns
        kept = self._kept(self._partial(session_id))
        if turns and turns[-1].answer is None and kept.get("question") == turns[-1].question:
            turns = (*turns[:-1], replace(turns[-1], partial=kept.get("said", "")))
        return replace(session, turns=turns, draft=self._kept(self._draft(session_id)).get("draft", ""))

    def list(self) -> list[Listed]:
        """Every conversation, the last used first; damaged ones at the end with their problem."""
        found = [
            Listed(session_id, problem=one.message) if isinstance(one, LocalragError) else listed(one)
            for session_id, one in self._read_all()
        ]
        return sorted(found, key=lambda one: (one.changed, one.id), reverse=True)

    def all(self) -> tuple[Session, ...]:
        """Every conversation that can be read, the last used first."""
        sessions = [one for _, one in self._read_all() if isinstance(one, Session)]
        return tuple(sorted(sessions, key=lambda one: (listed(one).changed, one.id), reverse=True))

    def record_of(self, *libraries: str) -> Path | None:
        """The audit record of exports from these libraries, in the folder of their conversations."""
        first = self._first(libraries)
        return self.record if first is None else first / "audit.jsonl"

    def find(self, named: str) -> str:
        """The id of the conversation with this id or title, or the beginning of one, or the last one for "last"."""
        there = self.list()
        if named == LAST:
            used = [one for one in there if not one.problem]
            if not used:
                raise NotFoundError(*self._not_readable("there is no conversation yet", "Begin one: localrag chat"))
            return used[0].id
        wanted = named.strip().casefold()
        titled = [(one, one.title.casefold()) for one in there if wanted]
        exact = [one for one, title in titled if wanted in (one.id.casefold(), title)]
        begun = [one for one, title in titled if one.id.casefold().startswith(wanted) or title.startswith(wanted)]
        for found in (exact, begun):
            if len(found) == 1:
                return found[0].id
            if found:
                few = ", ".join(f"{one.id} ({one.title})" for one in found[:3])
                raise UsageError(f"{len(found)} conversations match {named!r}: {few}", "Give more of the id or title.")
        none = f"there is no conversation {named!r}"
        raise NotFoundError(*self._not_readable(none, "`localrag sessions list` lists them."))

    def _not_readable(self, message: str, hint: str) -> tuple[str, str]:
        """An error and its hint, with the libraries whose conversations need a key to be read."""
        locked = set()
        with unlocked.allow_prompt(False):
            for path in self._all():
                try:
                    unlocked.keys_for(path)
                except LibraryError:
                    locked.add(path.parent.parent.name)
        if not locked:
            return message, hint
        hint = f"Encrypted: {', '.join(sorted(locked))}; add --key-file FILE."
        return f"{message} among those that can be read", hint

    def retitle(self, session_id: str, title: str) -> Session:
        """Give a conversation another title."""
        words = " ".join(title.split())
        if not words:
            raise UsageError("the title is empty", "Give at least one word.")
        with self._locked(self._load(session_id)):
            renamed = replace(self._load(session_id), title=words)
            self._save(renamed)
        return renamed

    def branch(self, session_id: str, turns: int | None = None, title: str = "") -> Session:
        """Save a new conversation with the first `turns` turns of another (all if None)."""
        with self._locked(self._load(session_id)):
            old = self._load(session_id)
            wanted = len(old.turns) if turns is None else turns
            if not 1 <= wanted <= len(old.turns):
                raise UsageError(f"it has {len(old.turns)} turn(s), not {wanted}", "Give a smaller number.")
            made = self.new(old.libraries, title, only=old.only, mode=old.mode, settings=old.settings)
            origin = Origin(old.id, old.title, wanted)
            made = replace(made, title=title or f"{old.title} (branch)", turns=old.turns[:wanted], origin=origin)
            self._save(made)
        return made

    def delete(self, session_id: str) -> None:
        """Delete a conversation for good, damaged or not."""
        with self._locked():
            if not self._path(session_id).is_file():
                raise NotFoundError(f"there is no conversation {session_id!r}", "It may have been deleted.")
            self._remove(session_id)
        if self.record is not None:
            audit.record(self.record, "forget", None, conversation=session_id)

    def older(self, before: datetime) -> tuple[str, ...]:
        """Ids of the conversations with no question since a moment.

        For one that cannot be read (damaged, or its key is not here) the time of its file counts.
        """
        with unlocked.allow_prompt(False):
            return tuple(path.stem for path in self._all() if _ID.fullmatch(path.stem) and self._used(path) < before)

    def expire(self, before: datetime) -> int:
        """Delete the conversations with no question since a moment; returns how many. The caller records it."""
        with self._locked():
            gone = self.older(before)
            for session_id in gone:
                self._remove(session_id)
        return len(gone)

    def _used(self, path: Path) -> datetime:
        """When a conversation got its last question."""
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        try:
            used = datetime.fromisoformat(listed(self._load(path.stem)).changed)
        except (ReadError, NotFoundError, LibraryError, ValueError):
            return written
        return used if used.tzinfo is not None else written

    def forget(self, gone: Collection[Place], *, remove: bool = False) -> int:
        """Remove answers made from documents (library and path); returns how many conversations were changed.

        With `remove`, those conversations are deleted whole. Conversations whose key is not here stay as they are.
        """
        changed = 0
        with self._locked():
            for session in self.all():
                if any(library in session.libraries for library, _ in gone):
                    storage.remove(self._partial(session.id))
                    if session.turns and session.turns[-1].answer is None:  # an answer under way may quote them
                        self._keep(self._partial(session.id), {_CLOSED: "yes"})
                without = redacted(session, gone)
                changed += without is not session
                if without is not session and remove:
                    self._remove(session.id)
                elif without is not session:
                    self._save(without, self._path(session.id).parent)  # another home may need another key
        return changed

    # --- files ----------------------------------------------------------------------------------------------

    @contextmanager
    def _locked(self, session: Session | None = None) -> Iterator[None]:
        """Hold the lock of all conversations; keys for this one are asked for before, since a person may be away."""
        for folder in self._homes(session.libraries if session is not None else ()):
            unlocked.keys_for(folder)
        with storage.lock(self._lock, "the conversations"), unlocked.allow_prompt(False):
            yield

    def _homes(self, libraries: Collection[str]) -> tuple[Path, ...]:
        there = self._libraries
        # A name in a file may be any path.
        return tuple(there / name for name in libraries if names.NAME.fullmatch(name)) if there is not None else ()

    def _is_forgotten(self, answer: Answer, asked: Session, now: Session) -> bool:
        """Whether a document or library of an answer was forgotten, or an answer that it was asked with."""
        before, after = ([one.answer.answer for one in each.turns if one.answer] for each in (asked, now))
        found, homes = places(answer, asked.libraries), self._homes(asked.libraries)
        used = {home: [document for library, document in found if library == home.name] for home in homes}
        lost = any(documents and not names.holds(home, documents) for home, documents in used.items())
        return lost or after.count(GONE) > before.count(GONE)

    def _current(self, session: Session) -> Session:
        """The conversation as it is on the disk, or as given if it was never saved."""
        return self._load(session.id) if session.turns or self._path(session.id).exists() else session

    def _save_turns(self, current: Session, asked: Session, turns: tuple[SavedTurn, ...]) -> Session:
        """Save with these turns, and with the libraries, filter, mode and settings of `asked`."""
        title = current.title or textwrap.shorten(turns[-1].question, _TITLE_WIDTH, placeholder="…")
        grown = replace(
            current,
            title=title,
            turns=turns,
            libraries=asked.libraries,
            only=asked.only,
            mode=asked.mode,
            settings=asked.settings,
        )
        self._save(grown)
        return grown

    def _load(self, session_id: str) -> Session:
        path = self._path(session_id)
        if not path.is_file():
            raise NotFoundError(f"there is no conversation {session_id!r}", "It may have been deleted.")
        try:
            session = from_json(storage.read_bytes(path))
        except (OSError, ValueError) as error:
            hint = f"Restore its file {str(path)!r} from a copy, or delete the conversation."
            raise ReadError(f"the conversation {session_id!r} cannot be read: {error}", hint) from None
        if session.id != session_id:
            hint = f"Rename the file {str(path)!r}."
            raise ReadError(f"the file of the conversation {session_id!r} holds the conversation {session.id!r}", hint)
        return session

    def _save(self, session: Session, home: Path | None = None) -> None:
        first = self._first(session.libraries)
        home = home or (self.folder if first is None else first / FOLDER)
        before, now = self._path(session.id), home / f"{session.id}.json"
        # On one line: with indents Python writes it instead of C, 20 times slower, at every question.
        storage.write_bytes(now, json.dumps(to_json(session)).encode())
        if before != now and before.exists():  # another library was chosen since, maybe an encrypted one
            for path in (before, before.with_suffix(".said"), before.with_suffix(".draft")):
                storage.remove(path)

    def _first(self, libraries: Collection[str]) -> Path | None:
        """The library's folder for what belongs to several libraries: an encrypted one first."""
        folders = self._homes(libraries)
        encrypted = [path for path in folders if unlocked.encrypted_folder(path)]  # or was: then saving fails
        return next(iter((*encrypted, *filter(Path.is_dir, folders))), None)

    def _folders(self) -> tuple[Path, ...]:
        there = self._libraries.glob("*/") if self._libraries is not None else ()
        return self.folder, *(path for each in there if (path := each / FOLDER).is_dir())

    def _all(self) -> tuple[Path, ...]:
        return tuple(path for folder in self._folders() if folder.is_dir() for path in folder.glob("*.json"))

    def _read_all(self) -> Iterator[tuple[str, Session | LocalragError]]:
        """Every conversation by its id, or why it cannot be read; asks for no key."""
        with unlocked.allow_prompt(False):
            for path in self._all():
                try:
                    yield path.stem, self._load(path.stem)
                except (ReadError, NotFoundError, LibraryError) as error:
                    yield path.stem, error

    def _remove(self, session_id: str) -> None:
        for path in (self._partial(session_id), self._draft(session_id), self._path(session_id)):
            storage.remove(path)

    def _path(self, session_id: str) -> Path:
        # An id comes from outside and must not lead out of the folder.
        if not _ID.fullmatch(session_id):
            raise NotFoundError(
                f"{session_id!r} is not the id of a conversation", "`localrag sessions list` lists them."
            )
        name = f"{session_id}.json"
        return next((path for folder in self._folders() if (path := folder / name).exists()), self.folder / name)

    def _partial(self, session_id: str) -> Path:
        return self._path(session_id).with_suffix(".said")

    def _draft(self, session_id: str) -> Path:
        return self._path(session_id).with_suffix(".draft")

    @staticmethod
    def _keep(path: Path, words: Mapping[str, str]) -> None:
        with storage.create(path, durable=False) as stream:
            stream.write(json.dumps(words).encode())

    @staticmethod
    def _kept(path: Path) -> dict[str, str]:
        try:
            found = json.loads(storage.read_bytes(path))
            return {key: value for key, value in found.items() if isinstance(value, str)}
        except (OSError, ValueError, RecursionError, AttributeError, LocalragError):
            return {}  # none, or damaged; it is kept on a best-effort basis


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def store_of(settings: Settings) -> SessionStore:
    """The conversations of a user."""
    return SessionStore(settings.sessions_dir, settings.audit_file, settings.indexes_dir)


# --- finding words -------------------------------------------------------------------------------------------
# A turn matches if each word is somewhere in its question, answer and quotes, also as part of a word, regardless of
# case and accents; a title matches on its own. The first place of each turn is shown.

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
