"""The audit record: one JSON line for each question, search, page shown, export and deletion, chained by HMAC-SHA256.

A line's `mark` is the HMAC of its canonical JSON, which holds the mark of the line before it, under a key beside the
record (`audit.key`). Lines hold HMACs of questions and answers; the words, and the content hashes of an ingest, lie
in files of their own that can be erased while the chain stays whole. After a crash cut a line short, the next one
carries the fragment's hash (`torn`). Limits: anybody who can write the file and read the key can rewrite the chain or
cut off its end, which only a copy kept elsewhere shows.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from localrag import policy
from localrag.errors import IntegrityError, LocalragError, NotFoundError, UsageError
from localrag.policy import Refusal
from localrag.security import storage
from localrag.security.encryption import unlocked

AuditEvent = Literal[
    "ingest",
    "ask",
    "search",
    "review",
    "dates",
    "overview",
    "fact",
    "show",
    "call",
    "compare",
    "proofread",
    "export",
    "forget",
    "restore",
    "model",
    "vault",
    "refused",
]

WORDS_FOLDER = "audit-words"
LISTS_FOLDER = "audit-lists"
_START = "0" * 64
_BLOCK = 1 << 16
_FIELDS = {"number", "time", "user", "event", "library", "details", "previous", "mark"}
_share: Callable[[Path, str, Mapping[str, Any]], None] | None = None
_FORGOTTEN = "~"  # before the hash of a content hash that was forgotten


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the record."""

    number: int
    time: str
    user: str
    event: str
    library: str | None
    details: Mapping[str, Any]
    mark: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault in the record, and the 1-based line that shows it."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Words:
    """A question and its answer. `intact`: they match the HMACs in the record."""

    question: str
    answer: str
    intact: bool = True


@dataclass(frozen=True, slots=True)
class Lists:
    """Sorted SHA-256 of contents that came and went, how many were forgotten since, and if the rest is `intact`."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    forgotten: int = 0
    intact: bool = True


def locked(file: Path) -> AbstractContextManager[None]:
    """Hold the lock of the record; its key is asked for before."""
    unlocked.keys_for(file)
    return storage.lock(file.with_suffix(".lock"), "the audit record")


def record(file: Path, event: AuditEvent, library: str | None, **details: Any) -> int:
    """Append one line to the record, made where it is missing, and return its number once it is on the disk.

    Of the details `question` and `answer` it holds the HMAC. Raises StorageError, or KeyRequired if it is encrypted.
    """
    with locked(file), storage.storage_errors(file):
        key = _key(file, make=True)
        for name in ("question", "answer"):
            if isinstance(details.get(name), str):
                details[f"{name}_hmac"] = words_hmac(details.pop(name), key)
        last, torn, unended = _tail(file)
        entry: dict[str, Any] = {
            "number": last["number"] + 1 if last else 1,
            "time": datetime.now(UTC).isoformat(timespec="microseconds"),
            "user": user(),
            "event": event,
            "library": library,
            "details": details,
            "previous": last["mark"] if last else _START,
        }
        if torn:
            entry["torn"] = hashlib.sha256(torn).hexdigest()
        entry["mark"] = _mark(entry, key)
        storage.append_line(file, _canonical(entry), on_new_line=unended)
    if _share is not None:
        _share(file.parent, event, {**details, "user": entry["user"]})
    return int(entry["number"])


def share(record: Callable[[Path, str, Mapping[str, Any]], None]) -> None:
    """Set what also takes each entry, with the folder of its record: the log of a store that machines share."""
    global _share
    _share = record


def record_refusal(file: Path, refusal: Refusal) -> None:
    """Record what a policy refused. Where that fails, the refusal holds all the same."""
    with suppress(LocalragError, OSError):
        record(file, "refused", refusal.library, policy=str(refusal.file), rule=refusal.rule, what=refusal.what)


def record_refusals(file: Path) -> None:
    """Record in `file` whatever a policy refuses in this process from now on."""
    policy.on_refusal(lambda refusal: record_refusal(file, refusal))


def entries(file: Path) -> Iterator[Entry]:
    """The readable lines of the record, in order. `verify` reports the others."""
    for _, _, entry in _lines(file):
        if entry is not None:
            yield Entry(**{name: entry[name] for name in Entry.__dataclass_fields__})


def unreadable(file: Path) -> int:
    """Count the lines that are no record, but for those that a crash cut short and the next record vouches for."""
    lost = torn = 0
    for _, _, entry in _lines(file) if file.is_file() else ():
        if entry is None:
            torn += 1
        else:
            lost, torn = lost + torn * (entry.get("torn") is None), 0
    return lost + torn


def end_of(file: Path) -> dict[str, Any] | None:
    """Number, mark and time of the last line, for the record of what deletes this one; None if there is none."""
    last = _tail(file)[0]
    return None if last is None else {name: last[name] for name in ("number", "mark", "time")}


def verify(file: Path) -> list[Problem]:
    """Return each line that differs from what was written, is no record, or does not follow the line before it.

    A last line that a crash cut short is no problem, as a chain does not show where its end was cut off.
    Raises NotFoundError if there is no record; UsageError if its key is missing, so that nothing can be checked.
    """
    if not file.is_file():
        raise NotFoundError(
            f"there is no audit record at {str(file)!r}", "It begins with the first ingest or question."
        )
    key = _key(file, make=False)
    problems: list[Problem] = []
    number, mark = 0, _START  # of the record before
    torn: dict[int, bytes] = {}  # lines since then that are no record, with their numbers
    for line, raw, entry in _lines(file):
        if entry is None:
            torn[line] = raw
            continue
        fragment = hashlib.sha256(b"\n".join(torn.values())).hexdigest() if torn else None
        if fragment != entry.get("torn"):
            problems += map(_no_whole_record, torn)
        if raw != _canonical(entry).encode() or entry["mark"] != _mark(entry, key):
            problems.append(Problem(line, f"line {line} was changed"))
        elif (entry["number"], entry["previous"], entry.get("torn")) != (number + 1, mark, fragment):
            problems.append(Problem(line, f"before line {line}, lines were changed, moved, removed or put in"))
        number, mark, torn = entry["number"], entry["mark"], {}
    if torn and _tail(file)[2]:
        torn.popitem()  # a crash cut it short; the next record mends that
    return [*problems, *map(_no_whole_record, torn)]


def _no_whole_record(line: int) -> Problem:
    return Problem(line, f"line {line} is not a whole record")


def _lines(file: Path) -> Iterator[tuple[int, bytes, dict[str, Any] | None]]:
    with file.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            line = _decrypted(file, raw.rstrip(b"\n"))
            yield number, line, _parse(line)


def _tail(file: Path) -> tuple[dict[str, Any] | None, bytes, bool]:
    """The last whole record, the torn bytes after it, and whether the file lacks its last line break."""
    if not file.exists():
        return None, b"", False
    size, window = file.stat().st_size, _BLOCK  # doubled until it holds a whole record
    with file.open("rb") as stream:
        while True:
            start = max(0, size - window)
            stream.seek(start)
            lines = [_decrypted(file, line) for line in stream.read().split(b"\n")]
            unended = lines[-1] != b""
            if not unended:
                lines.pop()
            # The window may begin within a line; the rest of a line is no record either.
            for index in range(len(lines) - 1, -1, -1):
                entry = _parse(lines[index])
                if entry is not None:
                    return entry, b"\n".join(lines[index + 1 :]), unended
            if start == 0:
                return None, b"\n".join(lines), unended
            window *= 2


def _decrypted(file: Path, raw: bytes) -> bytes:
    """A line as it was written. A torn or inserted line stays as it is."""
    try:
        return storage.decrypt_line(file, raw)
    except IntegrityError:
        return raw


def _parse(raw: bytes) -> dict[str, Any] | None:
    """The record on a line, or None. No part of a record parses, because its closing brace comes last."""
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not entry.keys() >= _FIELDS or not isinstance(entry["details"], dict):
        return None
    texts = all(isinstance(entry[key], str) for key in ("time", "user", "event", "previous", "mark"))
    return entry if texts and isinstance(entry["number"], int) else None


def words_hmac(words: str, key: bytes) -> str:
    """The HMAC of words in the record; a plain hash of a short question could be found by trying likely ones."""
    return hmac.new(key, b"words\0" + words.encode("utf-8", "surrogatepass"), "sha256").hexdigest()


def _canonical(entry: Mapping[str, Any]) -> str:
    # ASCII, because a file name that is not UTF-8 holds surrogates, which cannot be encoded.
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)


def _mark(entry: Mapping[str, Any], key: bytes) -> str:
    content = {name: value for name, value in entry.items() if name != "mark"}
    return hmac.new(key, b"entry\0" + _canonical(content).encode(), "sha256").hexdigest()


def _key(file: Path, *, make: bool) -> bytes:
    """The key of the record; `make` makes one before the first line. Raises UsageError if it is missing."""
    path = file.with_suffix(".key")
    if path.is_file():
        return storage.read_bytes(path)
    if not make or (file.is_file() and file.stat().st_size):
        raise UsageError(
            f"the key of the audit record is missing: {str(path)!r}",
            f"Restore it from a backup. To begin a new record, move {str(file)!r} away.",
        )
    key = os.urandom(32)
    storage.write_bytes(path, key)
    return key


def user() -> str:
    """The name of the user of this machine."""
    if sys.platform == "win32":
        import getpass

        return getpass.getuser()
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a user without a name
        return f"uid {os.getuid()}"


def keep_words(file: Path, number: int, question: str, answer: str) -> None:
    """Keep the words of a line of the record."""
    storage.write_json(_beside(file, WORDS_FOLDER, number), {"question": question, "answer": answer})


def words_of(file: Path, entry: Entry) -> Words | None:
    """The words of a line; None if none were kept or they were erased."""
    try:
        found = json.loads(storage.read_bytes(_beside(file, WORDS_FOLDER, entry.number)))
        question, answer = str(found["question"]), str(found["answer"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError, IntegrityError):
        return None
    recorded = [entry.details.get("question_hmac"), entry.details.get("answer_hmac")]
    try:
        key = _key(file, make=False)
    except UsageError:
        return Words(question, answer, False)
    return Words(question, answer, recorded == [words_hmac(question, key), words_hmac(answer, key)])


def expire_words(file: Path, before: datetime) -> int:
    """Erase the words kept before a time; return of how many lines. Needs no key."""
    words = (file.parent / WORDS_FOLDER).glob("*.json")
    expired = [path for path in words if path.stat().st_mtime < before.timestamp()]
    for path in expired:
        storage.remove(path)
    return len(expired)


def keep_lists(file: Path, number: int, added: Collection[str], removed: Collection[str]) -> None:
    """Keep the content hashes of a line; the line itself holds only their number and digest, so it stays short."""
    storage.write_json(_beside(file, LISTS_FOLDER, number), {"came": sorted(added), "went": sorted(removed)})


def lists_of(file: Path, entry: Entry) -> Lists | None:
    """The lists of a line; None if none were kept or they were erased."""
    lists = _read_lists(_beside(file, LISTS_FOLDER, entry.number))
    if lists is None:
        return None
    intact = all(entry.details.get(f"{name}_digest") == list_digest(given) for name, given in lists.items())
    added, removed = (tuple(one for one in lists[name] if one[:1] != _FORGOTTEN) for name in ("came", "went"))
    return Lists(added, removed, sum(map(len, lists.values())) - len(added) - len(removed), intact)


def forget(file: Path, hashes: Collection[str]) -> None:
    """Erase the words of questions that these contents answered; in lists, put the hash of a hash, which fits too."""
    with locked(file):
        for entry in entries(file) if file.is_file() else ():
            shown = entry.details.get("shown")  # a record from elsewhere may hold anything
            cites = isinstance(shown, list) and any(str(place).rpartition("#")[0] in hashes for place in shown)
            if cites or (not shown and entry.details.get("found")):  # an answer without citations may be made of them
                erase(file, entry.number)
    replaced = {one: f"{_FORGOTTEN}{_sha256(one)}" for one in hashes}
    for path in (file.parent / LISTS_FOLDER).glob("*.json"):
        lists = _read_lists(path) or {}
        left = {name: [replaced.get(one, one) for one in given] for name, given in lists.items()}
        if left != lists:
            storage.write_json(path, left)


def erase(file: Path, number: int) -> bool:
    """Erase the words and lists of a line; False if there are none."""
    paths = [_beside(file, folder, number) for folder in (WORDS_FOLDER, LISTS_FOLDER)]
    found = [path for path in paths if path.is_file()]
    for path in found:
        storage.remove(path)
    return bool(found)


def digest(hashes: Iterable[str]) -> str:
    """SHA-256 over sorted hashes, one a line, as `sort | sha256sum` computes it."""
    return _sha256("".join(f"{one}\n" for one in sorted(hashes)))


def list_digest(hashes: Iterable[str]) -> str:
    """The digest of a list in its line: over the hash of each hash, so that one of them can be forgotten."""
    return digest(one.removeprefix(_FORGOTTEN) if one.startswith(_FORGOTTEN) else _sha256(one) for one in hashes)


def _read_lists(path: Path) -> dict[str, list[str]] | None:
    try:
        found = json.loads(storage.read_bytes(path))
        return {name: [str(one) for one in found[name]] for name in ("came", "went")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError, IntegrityError):
        return None


def _beside(file: Path, folder: str, number: int) -> Path:
    return file.parent / folder / f"{number}.json"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
