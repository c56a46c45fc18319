"""Which contents an ingest brought into a library and took out of it, kept apart from the record of it.

The line of an ingest stays short however much was read: it says how many contents the library holds now and how many
came and went, with a digest of each list. Here lie the lists, one file for each line, so that they can be erased as
words can, and the chain stays whole. `kept` says whether they are those that the record knows, which it can also where
documents were forgotten since: of these the hash of the hash is left (`forget`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from localrag.errors import SealBroken
from localrag.security import storage
from localrag.security.audit.chain import Entry

FOLDER = "audit-lists"
_FORGOTTEN = "~"


@dataclass(frozen=True, slots=True)
class Lists:
    """SHA-256 of the contents that came and went, in order, and how many of them were forgotten since.

    `true` says that they are those of the record.
    """

    came: tuple[str, ...]
    went: tuple[str, ...]
    forgotten: int = 0
    true: bool = True


def digest(hashes: Iterable[str]) -> str:
    """SHA-256 over hashes in order, a line each: what `sort | sha256sum` makes of them."""
    return _sha256("".join(f"{one}\n" for one in sorted(hashes)))


def digest_of_list(hashes: Iterable[str]) -> str:
    """The digest by which a line knows its list: over the hash of each hash, so that one of them can be forgotten."""
    return digest(one.removeprefix(_FORGOTTEN) if one.startswith(_FORGOTTEN) else _sha256(one) for one in hashes)


def keep(file: Path, number: int, came: Collection[str], went: Collection[str]) -> None:
    """Keep the lists of line `number` of the record `file`.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    storage.write_json(_path(file, number), {"came": sorted(came), "went": sorted(went)})


def kept(file: Path, entry: Entry) -> Lists | None:
    """The lists of a line, or None where none are kept, or they were erased."""
    try:
        lists = _read(_path(file, entry.number))
    except (OSError, ValueError, KeyError, TypeError, SealBroken):
        return None
    true = all(entry.details.get(f"{name}_digest") == digest_of_list(given) for name, given in lists.items())
    came, went = (tuple(one for one in lists[name] if one[:1] != _FORGOTTEN) for name in ("came", "went"))
    return Lists(came, went, sum(map(len, lists.values())) - len(came) - len(went), true)


def forget(file: Path, hashes: Collection[str]) -> None:
    """Take the hashes of documents that were forgotten out of all lists of the record `file`.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    gone = {one: f"{_FORGOTTEN}{_sha256(one)}" for one in hashes}
    for path in (file.parent / FOLDER).glob("*.json"):
        try:
            lists = _read(path)
        except (OSError, ValueError, KeyError, TypeError, SealBroken):
            continue  # `kept` gives nothing of it either
        left = {name: [gone.get(one, one) for one in given] for name, given in lists.items()}
        if left != lists:
            storage.write_json(path, left)


def erase(file: Path, number: int) -> bool:
    """Erase the lists of a line; False where there are none."""
    path = _path(file, number)
    there = path.is_file()
    storage.remove(path)
    return there


def _read(path: Path) -> dict[str, list[str]]:
    found = json.loads(storage.read_bytes(path))
    return {name: [str(one) for one in found[name]] for name in ("came", "went")}


def _path(file: Path, number: int) -> Path:
    return file.parent / FOLDER / f"{number}.json"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
