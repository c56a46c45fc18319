"""The record of what was asked, read and deleted: one JSON line each, chained by SHA-256, only ever added to.

Each line holds its number, the time in UTC, the user, the event, the library, details, the hash of the line
before it and its own hash, taken over the line's canonical JSON without that hash. `verify` therefore finds
and locates lines that were changed, taken out or moved. Questions and answers are recorded as hashes
(`question=...`); whoever wants the words in the record passes them as `text=...`.

A crash or a full disk can cut the last line short. Nothing is taken back: the next record ends the fragment's
line and carries the fragment's hash (`torn`), which makes it part of the chain, so the file is valid again.

Limits: whoever may write the file can rewrite the whole chain, or cut records off its end, and leave it
valid; that is found only against a hash kept elsewhere. The user is who the system says runs the process. A
short question can be guessed from its hash.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from localrag import vault
from localrag.errors import NotFoundError

AuditEvent = Literal["ingest", "ask", "show", "export", "forget", "model"]

_START = "0" * 64
_BLOCK = 1 << 16
_FIELDS = {"number", "time", "user", "event", "library", "details", "previous", "hash"}
# Their words are the person's; the record only has to prove which they were.
_HASHED = ("question", "answer")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with the record, and the 1-based line where it shows.

    `changed`: the line is not what was written. `gap`: lines before it are missing. `moved`: it stands
    elsewhere than it was written. `torn`: the last line was cut short, as by a crash; the next one mends it.
    """

    line: int
    kind: Literal["changed", "gap", "moved", "torn"]
    message: str


def record(file: Path, event: AuditEvent, library: str | None, **details: Any) -> None:
    """Add one line to the record, on the disk before this returns.

    Args:
        file: the record; made where it is missing.
        event: what was done.
        library: the library it was done to, if one.
        details: small values that say more; `question` and `answer` are recorded as their SHA-256.

    Raises:
        StorageError: the disk is full or the record cannot be written.
    """
    with vault.lock(file.with_suffix(".lock"), "the audit record"), vault.storage_errors(file):
        last, torn, unended = _tail(file)
        entry: dict[str, Any] = {
            "number": last["number"] + 1 if last else 1,
            "time": datetime.now(UTC).isoformat(timespec="microseconds"),
            "user": _user(),
            "event": event,
            "library": library,
            "details": _small(details),
            "previous": last["hash"] if last else _START,
        }
        if torn:
            entry["torn"] = hashlib.sha256(torn).hexdigest()
        entry["hash"] = _hash(entry)
        vault.append_line(file, ("\n" if unended else "") + _canonical(entry))


def verify(file: Path) -> list[Problem]:
    """What is wrong with the record, in the order of its lines; empty where the chain is whole.

    Raises:
        NotFoundError: there is no record at `file`.
    """
    if not file.is_file():
        raise NotFoundError(f"there is no audit record at {str(file)!r}", "Give the path of an audit.jsonl file.")
    written_at = {entry["hash"]: number for number, _, entry in _lines(file) if entry}
    problems: list[Problem] = []
    last: dict[str, Any] | None = None
    last_line = 0
    fragments: list[tuple[int, bytes]] = []
    for number, raw, entry in _lines(file):
        if entry is None:
            fragments.append((number, raw))
            continue
        problems += _check_fragments(number, fragments, entry.get("torn"))
        if raw.decode("utf-8", "replace") != _canonical(entry) or entry["hash"] != _hash(entry):
            problems.append(Problem(number, "changed", f"line {number} is not what was written: its hash differs"))
        problems += _check_place(number, entry, last, last_line, written_at)
        last, last_line, fragments = entry, number, []
    problems += _check_end(file, fragments)
    # A line can be caught twice, by its own hash and by the next record; once is enough.
    return sorted({(item.line, item.kind): item for item in reversed(problems)}.values(), key=lambda item: item.line)


def _check_place(
    number: int,
    entry: dict[str, Any],
    last: dict[str, Any] | None,
    last_line: int,
    written_at: Mapping[str, int],
) -> list[Problem]:
    """Whether the line follows the one before it; `written_at` tells at which line each hash stands."""
    expected, follows = (last["hash"], last["number"]) if last else (_START, 0)
    if entry["previous"] == expected and entry["number"] == follows + 1:
        return []
    elsewhere = written_at.get(entry["previous"])
    if elsewhere is not None or entry["number"] <= follows:
        where = f"which stands at line {elsewhere}" if elsewhere else "which is not here"
        return [Problem(number, "moved", f"line {number} was written after another line, {where}")]
    if entry["number"] == follows + 1:
        line = last_line or number
        return [Problem(line, "changed", f"line {line} was rewritten: the record after it holds another hash")]
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


def _lines(file: Path) -> Iterator[tuple[int, bytes, dict[str, Any] | None]]:
    with file.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            yield number, raw.rstrip(b"\n"), _parse(raw)


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
            lines = stream.read().split(b"\n")
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


def _parse(raw: bytes) -> dict[str, Any] | None:
    """The record on a line, or None: no piece of a record is one, for its closing brace comes last."""
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not entry.keys() >= _FIELDS:
        return None
    sound = isinstance(entry["number"], int) and all(isinstance(entry[key], str) for key in ("previous", "hash"))
    return entry if sound else None


def _small(details: Mapping[str, Any]) -> dict[str, Any]:
    small = dict(details)
    for name in _HASHED:
        if isinstance(small.get(name), str):
            words = small.pop(name).encode("utf-8", "surrogatepass")
            small[f"{name}_sha256"] = hashlib.sha256(words).hexdigest()
    return small


def _canonical(entry: Mapping[str, Any]) -> str:
    # ASCII, because a file name that is not UTF-8 travels as surrogates, which cannot be encoded.
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)


def _hash(entry: Mapping[str, Any]) -> str:
    content = {key: value for key, value in entry.items() if key != "hash"}
    return hashlib.sha256(_canonical(content).encode()).hexdigest()


def _user() -> str:
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name
    except ImportError:  # Windows
        import getpass

        return getpass.getuser()
    except KeyError:  # a container may run as a user that has no name
        return f"uid {os.getuid()}"
