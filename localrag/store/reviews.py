"""The results of reviews and extractions: what was found in each version of a document, and what was decided.

One file for each version, in the library's folder, so that they are encrypted, backed up and deleted with it. Its name
is made of the content hash under a key of the library, so that it does not show which document a library holds. A
result is on the disk when `keep` returns. Nothing is kept of a document that was forgotten meanwhile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localrag import protocol
from localrag.errors import IntegrityError
from localrag.security import storage
from localrag.store import names
from localrag.store.library import Library
from localrag.types import Decision, Document, Looked

FOLDER = "reviews"
_RUNS, _LOCK = "runs.json", "reviews.lock"
_MAX_ASKED = 200  # results of a document, each of about 1 KB


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one version of a document: results by key, and decisions by playbook and item.

    As plain JSON, `filled` has what an extraction was answered, and `asked` what the model was last asked by others.
    """

    sha256: str
    path: str
    looked: Mapping[str, Looked] = field(default_factory=dict)
    decisions: Mapping[str, Mapping[str, Decision]] = field(default_factory=dict)
    filled: Mapping[str, Any] = field(default_factory=dict)
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dated(self) -> list[Looked]:
        """What was found last of each item of type date or duration, and is not rejected in its playbook."""
        last = {
            (one.playbook, one.item): one for one in sorted(self.looked.values(), key=lambda one: one.at) if one.type
        }
        decided = {(name, item): one.verdict for name, own in self.decisions.items() for item, one in own.items()}
        return [one for key, one in last.items() if one.found and decided.get(key) != "rejected"]


@dataclass(frozen=True, slots=True)
class Run:
    """The last review with a playbook; `finished` is empty where it was stopped (times: ISO 8601, UTC)."""

    started: str
    finished: str = ""


class Reviews:
    """The kept reviews of one library."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._folder = library.folder / FOLDER
        self._key = library.uid.encode()
        self._last: dict[str, list[Kept]] | None = None  # by path, read once

    def of(self, document: Document) -> Kept:
        """Return what is kept of a document as it is now."""
        return _read(self._path(document.sha256), Kept) or Kept(document.sha256, document.path)

    def earlier(self, document: Document) -> Kept | None:
        """Return what is kept of another version under the same path, the last one; None where nothing is."""
        if self._last is None:
            self._last = {}
            for path in _files(self._folder):
                if (one := _read(path, Kept)) is not None:
                    self._last.setdefault(one.path, []).append(one)
        own = self._last.get(document.path, ())
        others = [one for one in own if one.sha256 != document.sha256 and one.looked]
        return max(others, key=lambda one: max(looked.at for looked in one.looked.values()), default=None)

    def keep(self, document: Document, looked: Mapping[str, Looked]) -> None:
        """Keep results of a document, by key."""
        self._change(document, lambda kept: replace(kept, looked={**kept.looked, **looked}))

    def fill(self, document: Document, answered: Mapping[str, Any]) -> None:
        """Keep what an extraction was answered of a document, by key. Its whole file is written anew."""
        plain = protocol.to_plain(answered)
        self._change(document, lambda kept: replace(kept, filled={**kept.filled, **plain}))

    def keep_asked(self, document: Document, key: str, found: object) -> None:
        """Keep what the model said to an item; of many such results those asked last."""
        more = {key: protocol.to_plain(found)}
        self._change(
            document, lambda kept: replace(kept, asked=dict([*kept.asked.items(), *more.items()][-_MAX_ASKED:]))
        )

    def decide(self, document: Document, playbook: str, item: str, decision: Decision) -> None:
        """Keep what the reviewer decided of an item of a playbook."""

        def decided(kept: Kept) -> Kept:
            own = {**kept.decisions.get(playbook, {}), item: decision}
            return replace(kept, decisions={**kept.decisions, playbook: own})

        self._change(document, decided)

    def carry(self, document: Document, earlier: Kept) -> None:
        """Keep the decisions on an earlier version as comments on this one, which is to be decided anew."""
        known = self.of(document).decisions
        for playbook, own in earlier.decisions.items():
            for item in own.keys() - known.get(playbook, {}).keys():
                decision = own[item]
                comment = f"{decision.verdict} on the version before" if decision.verdict != "open" else ""
                words = ": ".join(filter(None, (comment, decision.comment)))
                self.decide(document, playbook, item, replace(decision, verdict="open", comment=words))

    def drop_earlier(self, document: Document) -> None:
        """Delete what is kept of other versions of a document, once it was reviewed."""
        held = self._library.content_hashes()
        drop(self._library.folder, lambda kept: kept.path == document.path and kept.sha256 not in held)

    def begin(self, playbook: str) -> Run:
        """Begin a review with a playbook, or resume one that was stopped."""
        run = self.runs().get(playbook)
        if run is None or run.finished:
            run = Run(now())
            self._save_run(playbook, run)
        return run

    def finish(self, playbook: str, run: Run) -> None:
        """Mark a review as complete."""
        self._save_run(playbook, replace(run, finished=now()))

    def runs(self) -> dict[str, Run]:
        """Return the last review with each playbook, by its title."""
        return _read(self._folder / _RUNS, dict[str, Run]) or {}

    def _save_run(self, playbook: str, run: Run) -> None:
        if names.holds(self._library.folder):
            with storage.lock(self._folder / _LOCK, "the reviews"):
                storage.write_json(self._folder / _RUNS, protocol.to_plain({**self.runs(), playbook: run}))

    def _change(self, document: Document, changed: Callable[[Kept], Kept]) -> None:
        with storage.lock(self._folder / _LOCK, "the reviews"):
            kept = replace(self.of(document), path=document.path)
            if names.holds(self._library.folder, [document.path]):  # `drop` waits for the lock, and finds the file
                data = json.dumps(protocol.to_plain(changed(kept))).encode()
                storage.write_bytes(self._path(document.sha256), data)

    def _path(self, sha256: str) -> Path:
        return self._folder / f"{hashlib.blake2b(sha256.encode(), digest_size=8, key=self._key).hexdigest()}.json"


def key_of(*made: object) -> str:
    """Return a name for everything that decides a result, beside the document."""
    return hashlib.blake2b(repr(made).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def drop(folder: Path, gone: Callable[[Kept], bool]) -> None:
    """Delete what is kept of some documents of the library in a folder, and what is damaged."""
    if not (folder / FOLDER).is_dir():
        return
    with storage.lock(folder / FOLDER / _LOCK, "the reviews"):
        storage.sweep(folder / FOLDER)
        for path in _files(folder / FOLDER):
            try:
                kept = _read(path, Kept)
                unwanted = kept is not None and gone(kept)
            except IntegrityError:  # it may be of one of these documents, and helps nobody
                unwanted = True
            if unwanted:
                storage.remove(path)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.json") if path.name != _RUNS)


def _read(path: Path, kind: Any) -> Any:
    try:
        return protocol.decode(storage.read_bytes(path), kind) if path.is_file() else None
    except FileNotFoundError:
        return None  # deleted meanwhile
    except protocol.Malformed as error:
        hint = f"Restore it from a backup, or delete it: its document is then reviewed again. {error}"
        raise IntegrityError(f"a kept review is damaged: {str(path)!r}", hint) from None
