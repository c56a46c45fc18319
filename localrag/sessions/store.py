"""The folder of conversations, one JSON file each: saved turn by turn, listed, found, renamed, branched, deleted.

A question is on the disk once `ask` returns, its answer once `append` does. Two processes that add to one conversation
keep both turns. A damaged file is listed with what is wrong with it and never stops the others from being read.

What is only under way, a question being typed (`keep_draft`) and the words of an answer that is still coming
(`keep_said`), lies in files of its own beside the conversation's. They outlive a process that is killed; whether they
outlive a power cut is left to the system.

Limits: deleting removes the files; what a disk or a backup keeps of them is beyond this module.
"""

from __future__ import annotations

import json
import re
import secrets
import textwrap
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from localrag.errors import LibraryError, LocalragError, NotFoundError, ReadError, UsageError
from localrag.security import audit, storage
from localrag.security.encryption import unlocked
from localrag.sessions import files, redacting
from localrag.sessions.values import Listed, Origin, SavedTurn, Session, Value, listed
from localrag.settings import Settings
from localrag.types import EVERYTHING, Answer, Filter, Mode

LAST = "last"
FOLDER = "sessions"  # of a library
_ID = re.compile(r"\d{8}T\d{12}-[0-9a-f]{6}")
_TITLE_WIDTH = 60
_BROKEN = (OSError, ValueError, TypeError, KeyError, RecursionError)


class SessionStore:
    """The conversations there are.

    Args:
        folder: where those lie that belong to no library.
        record: the audit record that says which were deleted or exported.
        libraries: the folder of all libraries. Each has its conversations with it, so that they are encrypted, moved
            and deleted as it is; those of several libraries lie with one of them, an encrypted one before others.
        place: the folder of a library by its name, where that is not simply below `libraries`: conversations that came
            with a library that is not ours are not looked at.
    """

    def __init__(
        self, folder: Path, record: Path | None = None, libraries: Path | None = None,
        place: Callable[[str], Path] | None = None,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.record = record
        self._libraries = libraries
        self._place = place or (lambda name: (libraries or folder) / name)

    # --- a conversation as it goes on -----------------------------------------------------------------------

    def new(
        self, libraries: tuple[str, ...], title: str = "", *, only: Filter = EVERYTHING, mode: Mode = "auto",
        settings: Mapping[str, Value] | None = None,
    ) -> Session:  # fmt: skip
        """Begin a conversation. It reaches the disk with its first question, so that none are kept empty."""
        now = datetime.now(UTC)
        name = f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(3)}"
        created = now.isoformat(timespec="seconds")
        return Session(name, title, tuple(libraries), created, (), only, mode, dict(settings or {}))

    def ask(self, session: Session, question: str) -> Session:
        """Save a question that is about to be asked; it stays without an answer until `append` brings one.

        Raises:
            NotFoundError: the conversation was deleted since it was loaded.
            StorageError: the disk is full or cannot be written.
        """
        with self._locked():
            current = self._current(session)
            turns = current.turns
            # Asked again after a crash: it is the same question, not another one.
            if turns and turns[-1].answer is None and turns[-1].question == question:
                turns = turns[:-1]
            return self._grown(current, session, (*turns, SavedTurn(question, _now())))

    def append(self, session: Session, answer: Answer) -> Session:
        """Save an answer, in the place of its question where that was saved before (`ask`).

        Returns the conversation as saved, turns of other processes included.

        Raises:
            NotFoundError, StorageError: as `ask`.
        """
        with self._locked():
            current = self._current(session)
            turns = list(current.turns)
            saved = SavedTurn(answer.question, _now(), answer)
            at = _unanswered(turns, answer.question)
            if at is None:
                turns.append(saved)
            else:
                turns[at] = saved
            grown = self._grown(current, session, tuple(turns))
        storage.remove(self._said(session.id))
        return grown

    def withdraw(self, session: Session, question: str) -> Session | None:
        """Take back a question that was never asked; None where nothing is left of the conversation then."""
        with self._locked():
            current = self._current(session)
            turns = list(current.turns)
            at = _unanswered(turns, question)
            if at is not None:
                del turns[at]
            if not turns:
                self._remove(session.id)
                return None
            return self._grown(current, session, tuple(turns))

    def keep_said(self, session_id: str, question: str, said: str) -> None:
        """Keep how far an answer has got, in case nobody is left to save it."""
        self._keep(self._said(session_id), {"question": question, "said": said})

    def keep_draft(self, session_id: str, draft: str) -> None:
        """Keep a question that is being typed into a conversation that has begun; an empty one is forgotten."""
        path = self._draft(session_id)
        if draft.strip() and self._path(session_id).exists():
            self._keep(path, {"draft": draft})
        else:
            storage.remove(path)

    # --- the conversations there are ------------------------------------------------------------------------

    def load(self, session_id: str) -> Session:
        """Read one conversation, with what was under way when it was left.

        Raises:
            NotFoundError: there is none of that id.
            ReadError: its file is damaged.
        """
        session = self._load(session_id)
        turns = session.turns
        said = self._kept(self._said(session_id))
        if turns and turns[-1].answer is None and said.get("question") == turns[-1].question:
            turns = (*turns[:-1], replace(turns[-1], said=said.get("said", "")))
        return replace(session, turns=turns, draft=self._kept(self._draft(session_id)).get("draft", ""))

    def list(self) -> list[Listed]:
        """Every conversation, the last used first; damaged ones at the end with their problem."""
        found = []
        with unlocked.allow_prompt(False):  # to list conversations is no reason to ask for the key of each library
            for path in self._all():
                try:
                    found.append(listed(self._load(path.stem)))
                except (ReadError, NotFoundError, LibraryError) as error:
                    found.append(Listed(path.stem, problem=error.message))
        return sorted(found, key=lambda one: (one.changed, one.id), reverse=True)

    def record_of(self, *libraries: str) -> Path | None:
        """The audit record that says what left these libraries: it lies with one, as their conversations do, since the
        name of an export can tell what it holds."""
        first = self._first(libraries)
        return self.record if first is None else first / "audit.jsonl"

    def all(self) -> tuple[Session, ...]:
        """Every conversation that can be read, the last used first."""
        sessions = []
        with unlocked.allow_prompt(False):
            for path in self._all():
                try:
                    sessions.append(self._load(path.stem))
                except (ReadError, NotFoundError, LibraryError):
                    continue  # `list` says so
        return tuple(sorted(sessions, key=lambda one: (listed(one).changed, one.id), reverse=True))

    def find(self, named: str) -> str:
        """The id of the conversation that a person names: by id or its beginning, by title, or "last".

        Raises:
            NotFoundError: nothing fits.
            UsageError: several fit.
        """
        there = self.list()
        if named == LAST:
            used = [one for one in there if not one.problem]
            if not used:
                raise NotFoundError(*self._none_to_read("there is no conversation yet", "Begin one: localrag chat"))
            return used[0].id
        wanted = named.strip().casefold()
        titled = [(one, one.title.casefold()) for one in there if wanted]
        for found in (
            [one for one, title in titled if wanted in (one.id.casefold(), title)],
            [one for one, title in titled if one.id.casefold().startswith(wanted) or title.startswith(wanted)],
        ):
            if len(found) == 1:
                return found[0].id
            if found:
                few = ", ".join(f"{one.id} ({one.title})" for one in found[:3])
                raise UsageError(f"{len(found)} conversations fit {named!r}: {few}", "Give more of the id or title.")
        none = f"there is no conversation {named!r}"
        raise NotFoundError(*self._none_to_read(none, "`localrag sessions list` names them."))

    def _none_to_read(self, message: str, hint: str) -> tuple[str, str]:
        """An error and its hint, which say where conversations could not be read for want of a key."""
        closed = set()
        with unlocked.allow_prompt(False):
            for path in self._all():
                try:
                    unlocked.keys_for(path)
                except LibraryError:
                    closed.add(path.parent.parent.name)
        if not closed:
            return message, hint
        return f"{message}, of those that can be read", f"Encrypted: {', '.join(sorted(closed))}; add --key-file FILE."

    def retitle(self, session_id: str, title: str) -> Session:
        """Give a conversation another title.

        Raises:
            UsageError: the title is empty.
            NotFoundError, ReadError: as `load`.
        """
        words = " ".join(title.split())
        if not words:
            raise UsageError("a conversation needs a title", "Give it some words.")
        with self._locked():
            renamed = replace(self._load(session_id), title=words)
            self._save(renamed)
        return renamed

    def branch(self, session_id: str, turns: int | None = None, title: str = "") -> Session:
        """Begin another conversation with the first `turns` turns of one (all, if None), and save it.

        Raises:
            UsageError: it has not that many turns.
            NotFoundError, ReadError: as `load`.
        """
        old = self._load(session_id)
        wanted = len(old.turns) if turns is None else turns
        if not 1 <= wanted <= len(old.turns):
            raise UsageError(f"the conversation has {len(old.turns)} turn(s), not {wanted}", "Give one that it has.")
        made = self.new(old.libraries, title, only=old.only, mode=old.mode, settings=old.settings)
        origin = Origin(old.id, old.title, wanted)
        made = replace(made, title=title or f"{old.title} (branch)", turns=old.turns[:wanted], origin=origin)
        with self._locked():
            self._save(made)
        return made

    def delete(self, session_id: str) -> None:
        """Delete a conversation, damaged or not, for good.

        Raises:
            NotFoundError: there is none of that id.
        """
        with self._locked():
            if not self._path(session_id).is_file():
                raise NotFoundError(f"there is no conversation {session_id!r}", "It may have been deleted.")
            self._remove(session_id)
        if self.record is not None:
            audit.record(self.record, "forget", None, conversation=session_id)

    def older(self, before: datetime) -> tuple[str, ...]:
        """Ids of the conversations in which nothing was asked since a moment.

        Of one that cannot be read (it is damaged, or its key is not here) it counts when its file was last written.
        """
        with unlocked.allow_prompt(False):
            return tuple(path.stem for path in self._all() if _ID.fullmatch(path.stem) and self._used(path) < before)

    def expire(self, before: datetime) -> int:
        """Delete for good the conversations in which nothing was asked since a moment; returns how many.

        The caller records it.
        """
        with self._locked():
            gone = self.older(before)
            for session_id in gone:
                self._remove(session_id)
        return len(gone)

    def _used(self, path: Path) -> datetime:
        """When a conversation was last asked in."""
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        try:
            used = datetime.fromisoformat(listed(self._load(path.stem)).changed)
        except (ReadError, NotFoundError, LibraryError, ValueError):
            return written
        return used if used.tzinfo is not None else written

    def forget(self, gone: Collection[redacting.Place], *, remove: bool = False) -> int:
        """Take out what conversations say of documents (library and path); returns how many conversations were changed.

        With `remove` such conversations are deleted whole. Those of libraries whose key is not here are left alone:
        what they quote of another library's documents stays in them.
        """
        changed = 0
        with self._locked():
            for session in self.all():
                without = redacting.redacted(session, gone)
                if without is session:
                    continue
                changed += 1
                if remove:
                    self._remove(session.id)
                else:
                    self._save(without)
                    storage.remove(self._said(session.id))
        return changed

    # --- files ----------------------------------------------------------------------------------------------

    def _locked(self) -> AbstractContextManager[None]:
        return storage.lock(self.folder / "sessions.lock", "the conversations")

    def _current(self, session: Session) -> Session:
        """The conversation as it is on the disk now, or as given where it never reached it."""
        return self._load(session.id) if session.turns or self._path(session.id).exists() else session

    def _grown(self, current: Session, asked: Session, turns: tuple[SavedTurn, ...]) -> Session:
        """Save with these turns, and with what `asked` says of how its questions are asked."""
        title = current.title or textwrap.shorten(turns[-1].question, _TITLE_WIDTH, placeholder="…")
        grown = replace(
            current, title=title, turns=turns, libraries=asked.libraries, only=asked.only, mode=asked.mode,
            settings=asked.settings,
        )  # fmt: skip
        self._save(grown)
        return grown

    def _load(self, session_id: str) -> Session:
        path = self._path(session_id)
        if not path.is_file():
            raise NotFoundError(f"there is no conversation {session_id!r}", "It may have been deleted.")
        try:
            session = files.from_json(json.loads(storage.read_bytes(path)))
        except _BROKEN as error:
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

    def _save(self, session: Session) -> None:
        before, now = self._path(session.id), self._home(session) / f"{session.id}.json"
        # On one line: with indents it is written by Python instead of C, 20 times slower, at every question.
        storage.write_bytes(now, json.dumps(files.to_json(session)).encode())
        if before != now and before.exists():  # it is asked of another library since, which may be an encrypted one
            for path in (before, before.with_suffix(".said"), before.with_suffix(".draft")):
                storage.remove(path)

    def _home(self, session: Session) -> Path:
        """The folder that a conversation belongs to."""
        first = self._first(session.libraries)
        return self.folder if first is None else first / FOLDER

    def _first(self, libraries: Collection[str]) -> Path | None:
        """The folder of the library that things of several lie with: an encrypted one before others."""
        if self._libraries is None:
            return None
        there = [path for name in libraries if (path := self._place(name)).is_dir()]
        encrypted = [path for path in there if unlocked.encrypted_folder(path)]
        return next(iter((*encrypted, *there)), None)

    def _folders(self) -> tuple[Path, ...]:
        there = self._libraries.glob("*/") if self._libraries is not None else ()
        return self.folder, *(path for each in there if (path := self._place(each.name) / FOLDER).is_dir())

    def _all(self) -> tuple[Path, ...]:
        return tuple(path for folder in self._folders() if folder.is_dir() for path in folder.glob("*.json"))

    def _remove(self, session_id: str) -> None:
        for path in (self._said(session_id), self._draft(session_id), self._path(session_id)):
            storage.remove(path)

    def _path(self, session_id: str) -> Path:
        # An id comes from outside; as part of a path it must not lead out of the folder.
        if not _ID.fullmatch(session_id):
            raise NotFoundError(f"{session_id!r} is not the id of a conversation", "Take an id from the list.")
        name = f"{session_id}.json"
        return next((path for folder in self._folders() if (path := folder / name).exists()), self.folder / name)

    def _said(self, session_id: str) -> Path:
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
        except (*_BROKEN, AttributeError, LocalragError):
            return {}  # none, or damaged: it was never promised


def _unanswered(turns: list[SavedTurn], question: str) -> int | None:
    """The newest turn with this question that has no answer yet."""
    places = [at for at, one in enumerate(turns) if one.answer is None and one.question == question]
    return places[-1] if places else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def store_of(settings: Settings) -> SessionStore:
    """The conversations where the settings say."""
    return SessionStore(settings.sessions_dir, settings.audit_file, settings.indexes_dir, settings.library_dir)
