"""Write a read-only library to a folder, and verify one (`store.exported`; `names.resolve` opens it)."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from localrag import __version__, policy
from localrag.errors import UsageError
from localrag.lifecycle.backup import BLOCK, check_stop
from localrag.security import audit, storage
from localrag.security.encryption import keyring as keyrings
from localrag.security.encryption import unlocked
from localrag.security.encryption.keyring import Key, Recipients
from localrag.settings import Settings
from localrag.store import exported, names
from localrag.store.exported import MANIFEST, Manifest, Progress, Stop
from localrag.store.library import Library, open_library


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported: files and bytes, the SHA-256 of the manifest, and the documents that were not included."""

    library: str
    folder: str
    encrypted: bool
    files: int
    bytes: int
    sha256: str
    left_out: tuple[str, ...]


def write(
    settings: Settings,
    name: str,
    out: Path,
    recipients: Recipients | None = None,
    *,
    clear: bool = False,
    documents: bool = False,
    stop: Stop = lambda: False,
    progress: Progress = lambda done, total, words: None,
) -> Exported:
    """Write a read-only library to a new folder, as the library is now; others may write to it meanwhile.

    `recipients` may open it; `documents` includes the files. Leaves nothing where it raises: UsageError if the folder
    exists, or nobody is named who may open that of an encrypted library; PolicyRefused; StorageError; Cancelled.
    """
    if os.path.lexists(out):
        raise UsageError(f"{str(out)!r} exists already", "Give another name, or move it away.")
    storage.check_target(out)
    policy.check_export("a read-only library")
    folder = settings.library_dir(names.check_name(name))
    names.check_in_folder(folder, "its server shares it")
    if unlocked.encrypted_folder(folder) is not None and recipients is None and not clear:
        hint = "Give --encrypt for a passphrase, --encrypt-for for a public key, or --clear."
        raise UsageError(f"{name!r} is encrypted, and nobody is named who may open its export", hint)
    if documents and recipients is not None:
        raise UsageError("documents are opened by other programs, so they cannot be encrypted", "Leave one out.")
    for left in out.absolute().parent.glob(f".{out.name}.*.partial"):  # of an export that was killed
        storage.remove(left)
    staging = out.absolute().with_name(f".{out.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        if recipients is not None:
            key = Key.new()
            storage.write_bytes(staging / keyrings.FILE, keyrings.to_json(recipients.keyring(key), key), plain=True)
            unlocked.add_key(staging, key)
        with closing(open_library(settings, name)) as library, library.snapshot():
            library.copy_to(staging, stop, progress)
            left_out = tuple(_copy_documents(settings, library, staging, stop, progress)) if documents else ()
        files = _hashed(staging, stop, progress)
        about = {"library": name, "made": datetime.now(UTC).isoformat(timespec="seconds"), "version": __version__}
        manifest = json.dumps({**about, "schema": names.SCHEMA, "files": files}, indent=1)
        storage.write_bytes(staging / MANIFEST, manifest.encode(), plain=True)
        sha256 = exported.read(staging).sha256
        record = settings.library_audit_file(name)
        audit.record(record, "export", name, what="read-only", written=str(out.absolute()), sha256=sha256)
        storage.let_others_read(staging)
        storage.move(staging, out.absolute())
    finally:
        unlocked.forget(staging)
        storage.remove(staging)
    size = sum(each for each, _ in files.values())
    return Exported(name, str(out), recipients is not None, len(files), size, sha256, left_out)


def _copy_documents(
    settings: Settings, library: Library, staging: Path, stop: Stop, progress: Progress
) -> Iterator[str]:
    """Copy the files of documents; yields those that are gone or have changed since they were read."""
    from localrag.ingest.readers.source import open_file

    for number, root in enumerate(library.roots(), 1):
        files = library.files(root)
        named = {document.file or document.path: document for document in library.documents(root=root)}
        for done, (path, document) in enumerate(named.items()):
            check_stop(stop)
            progress(done, len(named), path)
            target = staging / exported.DOCUMENTS / str(number) / path
            file = names.original(settings, library.name, document)
            try:
                if file is None:
                    raise FileNotFoundError
                with os.fdopen(open_file(file, links=False), "rb") as old, storage.create(target, durable=False) as new:
                    while block := old.read(BLOCK):
                        check_stop(stop)
                        new.write(block)
            except OSError:
                yield path
                continue
            if _sha256(target, stop) != files[path].sha256:
                storage.remove(target)
                yield path


def _hashed(staging: Path, stop: Stop, progress: Progress) -> dict[str, tuple[int, str]]:
    """The size and SHA-256 of all files."""
    found = {}
    paths = sorted(path for path in staging.rglob("*") if path.is_file())
    for done, path in enumerate(paths):
        progress(done, len(paths), "hashing")
        inside = path.relative_to(staging).as_posix()
        found[inside] = path.stat().st_size, _sha256(path, stop)
    return found


def _sha256(path: Path, stop: Stop) -> str:
    digest = hashlib.sha256()
    with storage.storage_errors(path), path.open("rb") as stream:
        while block := stream.read(BLOCK):
            check_stop(stop)
            digest.update(block)
    return digest.hexdigest()


def verify(folder: Path, *, stop: Stop, progress: Progress) -> Manifest:
    """Compare every file of an export with its hash; raises as `names.resolve`."""
    manifest = exported.read(folder)
    exported.check(manifest, manifest.files, stop, progress)
    return manifest
