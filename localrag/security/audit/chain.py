"""The record of what was asked, read and deleted: one JSON line each, chained by HMAC-SHA256, only ever added to.

Each line holds its number, the time in UTC, the user, the event, the library, details, the mark of the line before it
and its own mark: the HMAC of the line's canonical JSON without that mark, under a key that lies beside the record
(`audit.key`); in an encrypted folder both are encrypted. `verify` therefore finds and locates lines that were changed,
taken out, moved or put in. Questions and answers are recorded as HMACs; whoever wants the words keeps them apart
(`words.py`), so that they can be erased and the chain stays whole.

A crash or a full disk can cut the last line short. Nothing is taken back: the next record ends the fragment's
line and carries the fragment's hash (`torn`), which makes it part of the chain, so the file is valid again.

Limits: whoever may write the file and holds the key can rewrite the whole chain, or cut records off its end, and leave
it valid; that is found only against an anchor kept elsewhere (`anchor`). The user is who the system says runs the
process.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from localrag.errors import LocalragError, NotFoundError, SealBroken, UsageError
from localrag.security import storage

AuditEvent = Literal["ingest", "ask", "show", "export", "forget", "restore", "model", "vault", "refused"]

_START = "0" * 64
_BLOCK = 1 << 16
_FIELDS = {"number", "time", "user", "event", "library", "details", "previous", "mark"}
# Their words are the person's; the record only has to prove which they were.
_MARKED = ("question", "answer")


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
    """Something wrong with the record, and the 1-based line where it shows.

    `changed`: the line is not what was written. `gap`: lines before it are missing. `moved`: it stands
    elsewhere than it was written. `torn`: the last line was cut short, as by a crash; the next one mends it. `cut`:
    the record does not reach as far as an anchor says it did. `rewritten`: it is another one than an anchor saw.
    """

    line: int
    kind: Literal["changed", "gap", "moved", "torn", "cut", "rewritten"]
    message: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where a record stood at a time: kept elsewhere, it shows later that nothing up to there was changed or cut."""

    number: int
    mark: str
    time: str


def record(file: Path, event: AuditEvent, library: str | None, **details: Any) -> int:
    """Add one line to the record, on the disk before this returns its number.

    Args:
        file: the record; made where it is missing.
        event: what was done.
        library: the library it was done to, if one.
        details: small values that say more; `question` and `answer` are recorded as their HMAC.

    Raises:
        StorageError: the disk is full or the record cannot be written.
        VaultLocked: it lies in an encrypted folder whose key is not here.
    """
    with storage.lock(file.with_suffix(".lock"), "the audit record"), storage.storage_errors(file):
        key = _key(file, make=True)
        last, torn, unended = _tail(file)
        entry: dict[str, Any] = {
            "number": last["number"] + 1 if last else 1,
            "time": datetime.now(UTC).isoformat(timespec="microseconds"),
            "user": _user(),
            "event": event,
            "library": library,
            "details": _small(details, key),
            "previous": last["mark"] if last else _START,
        }
        if torn:
            entry["torn"] = hashlib.sha256(torn).hexdigest()
        entry["mark"] = _mark(entry, key)
        storage.append_line(file, _canonical(entry), on_new_line=unended)
    return int(entry["number"])


def marked(file: Path, words: str) -> str:
    """The HMAC by which the record knows these words."""
    return _marked(words, _key(file, make=False))


def entries(file: Path) -> Iterator[Entry]:
    """The lines of the record that can be read, in order; what is wrong with it is for `verify`."""
    for _, _, entry in _lines(file):
        if entry is not None:
            yield Entry(
                entry["number"], str(entry["time"]), str(entry["user"]), str(entry["event"]), entry["library"],
                entry["details"], entry["mark"],
            )  # fmt: skip


def anchor(file: Path) -> Anchor:
    """Where the record stands now.

    Raises:
        NotFoundError: there is no record yet.
    """
    last = _tail(file)[0] if file.is_file() else None
    if last is None:
        raise _no_record(file)
    return Anchor(last["number"], last["mark"], last["time"])


# --- verifying ----------------------------------------------------------------------------------------------


def verify(file: Path, anchors: tuple[Anchor, ...] = ()) -> list[Problem]:
    """What is wrong with the record, in the order of its lines; empty where the chain is whole.

    Args:
        anchors: where it stood before, as somebody kept it elsewhere.

    Raises:
        NotFoundError: there is no record at `file`.
        UsageError: its key is gone, so that nothing can be said.
    """
    if not file.is_file():
        raise _no_record(file)
    key = _key(file, make=False)
    written_at = {entry["mark"]: number for number, _, entry in _lines(file) if entry}
    problems: list[Problem] = []
    last: dict[str, Any] | None = None
    last_line = 0
    fragments: list[tuple[int, bytes]] = []
    for number, raw, entry in _lines(file):
        if entry is None:
            fragments.append((number, raw))
            continue
        problems += _check_fragments(number, fragments, entry.get("torn"))
        if raw != _canonical(entry).encode() or not _is_marked(entry, key):
            problems.append(Problem(number, "changed", f"line {number} is not what was written: its mark differs"))
        problems += _check_place(number, entry, last, last_line, written_at)
        last, last_line, fragments = entry, number, []
    problems += _check_end(file, fragments)
    problems += _check_anchors(file, anchors)
    # A line can be caught twice, by its own mark and by the next record; once is enough.
    return sorted({(item.line, item.kind): item for item in reversed(problems)}.values(), key=lambda item: item.line)


def _check_place(
    number: int,
    entry: dict[str, Any],
    last: dict[str, Any] | None,
    last_line: int,
    written_at: Mapping[str, int],
) -> list[Problem]:
    """Whether the line follows the one before it; `written_at` tells at which line each mark stands."""
    expected, follows = (last["mark"], last["number"]) if last else (_START, 0)
    if entry["previous"] == expected and entry["number"] == follows + 1:
        return []
    elsewhere = written_at.get(entry["previous"])
    if elsewhere is not None or entry["number"] <= follows:
        where = f"which stands at line {elsewhere}" if elsewhere else "which is not here"
        return [Problem(number, "moved", f"line {number} was written after another line, {where}")]
    if entry["number"] == follows + 1:
        line = last_line or number
        return [Problem(line, "changed", f"line {line} was rewritten: the record after it holds another mark")]
    missing = entry["number"] - follows - 1
    return [Problem(number, "gap", f"{missing} line(s) are missing before line {number}")]


def _check_fragments(number: int, fragments: list[tuple[int, bytes]], torn: str | None) -> list[Problem]:
    """Fragments are in order where the record after them carries their hash."""
    joined = b"\n".join(raw for _, raw in fragments)
    if (hashlib.sha256(joined).hexdigest() if fragments else None) == torn:
        return []
    if not fragments:
        return [Problem(number, "gap", f"the torn line before line {number} is missing")]
    return [Problem(line, "changed", f"line {line} is not a record") for line, _ in fragments]


def _check_end(file: Path, fragments: list[tuple[int, bytes]]) -> list[Problem]:
    """A fragment at the end is a crash, unless its line was ended as only a whole record's is."""
    with file.open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - 1))
        ended = stream.read(1) == b"\n"
    found = []
    for number, _ in fragments:
        if number == fragments[-1][0] and not ended:
            found.append(Problem(number, "torn", f"line {number} was cut short, as by a crash"))
        else:
            found.append(Problem(number, "changed", f"line {number} is not a record"))
    return found


def _check_anchors(file: Path, anchors: tuple[Anchor, ...]) -> list[Problem]:
    at = {entry["number"]: (line, entry["mark"]) for line, _, entry in _lines(file) if entry}
    end = max((line for line, _ in at.values()), default=0)
    found = []
    for one in anchors:
        line, mark = at.get(one.number, (end + 1, ""))
        if not mark:
            found.append(Problem(line, "cut", f"record {one.number}, which was there on {one.time}, is missing"))
        elif not hmac.compare_digest(mark, one.mark):
            found.append(Problem(line, "rewritten", f"record {one.number} is not the one of {one.time}"))
    return found


# --- lines --------------------------------------------------------------------------------------------------


def _lines(file: Path) -> Iterator[tuple[int, bytes, dict[str, Any] | None]]:
    with file.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            line = _opened(file, raw.rstrip(b"\n"))
            yield number, line, _parse(line)


def _tail(file: Path) -> tuple[dict[str, Any] | None, bytes, bool]:
    """The last whole record, what was torn after it, and whether the file's last line lacks its end.

    A window at the file's end is doubled until it holds a whole record, so a long record costs one read.
    """
    if not file.exists():
        return None, b"", False
    size, window = file.stat().st_size, _BLOCK
    with file.open("rb") as stream:
        while True:
            start = max(0, size - window)
            stream.seek(start)
            lines = [_opened(file, line) for line in stream.read().split(b"\n")]
            unended = lines[-1] != b""
            if not unended:
                lines.pop()
            # The window may begin within a line, whose rest is no record either.
            for index in range(len(lines) - 1, -1, -1):
                entry = _parse(lines[index])
                if entry is not None:
                    return entry, b"\n".join(lines[index + 1 :]), unended
            if start == 0:
                return None, b"\n".join(lines), unended
            window *= 2


def _opened(file: Path, raw: bytes) -> bytes:
    """A line as it was written; one that a crash cut short, or somebody put in, as it stands there."""
    try:
        return storage.opened_line(file, raw)
    except SealBroken:
        return raw


def _parse(raw: bytes) -> dict[str, Any] | None:
    """The record on a line, or None: no piece of a record is one, for its closing brace comes last."""
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not entry.keys() >= _FIELDS or not isinstance(entry["details"], dict):
        return None
    sound = isinstance(entry["number"], int) and all(isinstance(entry[key], str) for key in ("previous", "mark"))
    return entry if sound else None


def _small(details: Mapping[str, Any], key: bytes) -> dict[str, Any]:
    small = dict(details)
    for name in _MARKED:
        if isinstance(small.get(name), str):
            small[f"{name}_hmac"] = _marked(small.pop(name), key)
    return small


def _marked(words: str, key: bytes) -> str:
    # A plain hash of a short question could be found by trying likely ones.
    return hmac.new(key, b"words\0" + words.encode("utf-8", "surrogatepass"), "sha256").hexdigest()


def _canonical(entry: Mapping[str, Any]) -> str:
    # ASCII, because a file name that is not UTF-8 travels as surrogates, which cannot be encoded.
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)


def _mark(entry: Mapping[str, Any], key: bytes) -> str:
    content = {name: value for name, value in entry.items() if name != "mark"}
    return hmac.new(key, b"entry\0" + _canonical(content).encode(), "sha256").hexdigest()


def _is_marked(entry: Mapping[str, Any], key: bytes) -> bool:
    return hmac.compare_digest(str(entry["mark"]).encode(), _mark(entry, key).encode())


def _key(file: Path, *, make: bool) -> bytes:
    """The key of the record's marks; `make` it where there is neither key nor record.

    Raises:
        UsageError: there is a record, and its key is gone.
    """
    path = file.with_suffix(".key")
    if path.is_file():
        return storage.read_bytes(path)
    if not make or (file.is_file() and file.stat().st_size):
        raise UsageError(
            f"the key of the audit record is gone: {str(path)!r}",
            f"Restore it from a backup. To begin a new record, move {str(file)!r} away.",
        )
    key = os.urandom(32)
    storage.write_bytes(path, key)
    return key


def _no_record(file: Path) -> LocalragError:
    return NotFoundError(f"there is no audit record at {str(file)!r}", "It begins with the first ingest or question.")


def _user() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except ImportError:  # Windows
        import getpass

        return getpass.getuser()
    except KeyError:  # a container may run as a user that has no name
        return f"uid {os.getuid()}"
