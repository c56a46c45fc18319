"""The folder that holds the models: staging, hash checks, quarantine, remembered hashes.

    models/<id>/model.json   the record: every file with SHA-256, size and stamp
    models/<id>/...          the files
    models/quarantine/       files with a wrong hash; never used, never deleted by localrag
    models/pins.json         hashes of models that had none in the catalog, as first seen; outlives the models
    models/choice.json       what `models use` chose

Promise: a model takes its name by one rename, after all its files were hashed. Limits: on a disk that loses
power, the rename is as durable as the file system makes it.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localrag import policy
from localrag.errors import ModelDamaged, ModelError, ModelMissing, StorageError, UsageError
from localrag.models import catalog, intake
from localrag.models import manifest as records
from localrag.models.catalog import ModelCard
from localrag.models.manifest import Entry, InstalledModel, Manifest
from localrag.security import storage

_STAGING = ".staging-"


class Shelf:
    """The models below one folder. Methods that change something expect the caller to hold `lock`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # --- what is here ---------------------------------------------------------------------------------------

    def ids(self) -> list[str]:
        """The folders of models, readable or not, by name."""
        if not self.root.is_dir():
            return []
        return sorted(path.name for path in self.root.iterdir() if path.is_dir() and intake.is_id(path.name))

    def folder(self, id: str) -> Path:
        """The folder of a model, which may not be there.

        Raises:
            ModelMissing: no model can have this id (it might lead out of the folder).
        """
        if not intake.is_id(id):
            raise ModelMissing(f"no model named {id!r} is installed", "See `localrag models list`.")
        return self.root / id

    def record(self, id: str) -> tuple[Path, Manifest]:
        """The folder and record of an installed model.

        Raises:
            ModelMissing: it is not here; the hint is the command to type.
            ModelDamaged: its record is lost or cannot be understood.
        """
        folder = self.folder(id)
        try:
            return folder, records.read(folder)
        except FileNotFoundError:
            if folder.is_dir():
                raise ModelDamaged(f"model {id!r} has lost its record", records.reinstall(id)) from None
        if catalog.find(id) is not None:
            hint = f"Type: localrag models install {id}"
        else:
            hint = f"Installed: {', '.join(self.ids()) or 'none'}. `localrag models list --all` shows more."
        raise ModelMissing(f"model {id!r} is not installed", hint)

    # --- hashes ---------------------------------------------------------------------------------------------

    def verified(self, id: str) -> InstalledModel:
        """A model whose every file has its hash; only files whose stamp changed are hashed again."""
        folder, record = self.record(id)
        expected = self.expected_of(id)
        changed = [
            name for name, entry in record.recorded.items() if _suspect(folder / name, entry, expected.get(name))
        ]
        for name in changed:
            self.check(folder, record, name)
        if changed:
            # A folder that may not be written costs a hashing at every start, nothing else.
            with contextlib.suppress(StorageError):
                records.write(folder, record.stamped(folder))
        return record.model(folder)

    def check(self, folder: Path, record: Manifest, name: str) -> None:
        """Hash one file again, whatever its stamp says.

        Raises:
            ModelDamaged: it cannot be read, or its hash is wrong; then it was moved into quarantine.
        """
        wanted = record.recorded[name].sha256
        try:
            seen = records.sha256_of(folder / name)
        except OSError as error:
            raise ModelDamaged(
                f"{name} of model {record.id!r} cannot be read: {error.strerror}",
                records.reinstall(record.id),
            ) from None
        if seen != wanted or seen != self.expected_of(record.id).get(name, seen):
            aside = self.quarantine(folder / name, record.id)
            raise ModelDamaged(
                f"{name} of model {record.id!r} has SHA-256 {seen}, not the one it was verified with; "
                f"it was moved to {str(aside)!r}",
                records.reinstall(record.id),
            )

    def compare(self, record: Manifest, expected: Mapping[str, str], *, downloaded: Path | None = None) -> None:
        """Refuse a model whose hashes are not the expected ones, or that the policy does not allow.

        Args:
            expected: SHA-256 by file name; files that it does not name pass.
            downloaded: the staging folder of a download, from which wrong files are set aside for a look.

        Raises:
            ModelDamaged: a hash is wrong, or an expected file did not come.
            PolicyRefused: the policy does not allow its weights.
        """
        policy.check_model(record.id, record.files[record.weights].sha256)
        for name, entry in record.files.items():
            wanted = expected.get(name, entry.sha256)
            if wanted == entry.sha256:
                continue
            what = f"{name} of {record.id!r} has SHA-256 {entry.sha256}, expected {wanted}"
            if downloaded is None:
                raise ModelDamaged(what, "If it is meant to be another model, give it its own name with --id.")
            aside = self.quarantine(downloaded / name, record.id)
            raise ModelDamaged(
                f"{what}; set aside in {str(aside)!r}",
                "Do not use that file. Its source has changed: report it.",
            )
        missing = [name for name in expected if name not in record.files]
        if missing:
            raise ModelDamaged(f"{record.id!r} came without {missing[0]}", "Try another source.")

    def expected_of(self, id: str) -> dict[str, str]:
        """The hashes that the files of an id must have by the catalog and by what was first seen."""
        known = catalog.find(id)
        return self.pins(id) if known is None else self.expected(known)

    def expected(self, card: ModelCard, sha256: str | None = None) -> dict[str, str]:
        """The hashes that a model's files must have, by name: first seen, the catalog's, the one given.

        Raises:
            UsageError: the one given is not a SHA-256, or another than the known one.
        """
        expected = {**self.pins(card.id), **{f"model/{name}": digest for name, digest in card.pins}}
        weights = weights_of(card)
        if card.sha256 is not None:
            expected[weights] = card.sha256
        if sha256 is not None:
            given = checked_hash(sha256)
            if expected.get(weights, given) != given:
                raise UsageError(
                    f"--sha256 is not the hash pinned for {card.id!r} ({expected[weights]})",
                    "Leave out --sha256, or import your own file under another --id.",
                )
            expected[weights] = given
        return expected

    def pins(self, id: str) -> dict[str, str]:
        """The hashes with which a model was first seen on this machine."""
        return dict(self.read_json("pins.json").get(id, {}))

    def pin(self, record: Manifest) -> None:
        """Hold to a model's hashes from now on."""
        pins = self.read_json("pins.json")
        pins[record.id] = {name: entry.sha256 for name, entry in record.files.items()}
        storage.write_json(self.root / "pins.json", pins)

    # --- moving ---------------------------------------------------------------------------------------------

    @contextmanager
    def lock(self, say: Callable[[str], None] | None = None) -> Iterator[None]:
        """Wait until no other process changes the models; `say` is told that it waits."""
        with storage.lock(self.root / "models.lock", "the models folder", on_wait=say):
            yield

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A folder on the same disk, gone at the end; as the caller holds the lock, others are leftovers."""
        for leftover in self.root.glob(f"{_STAGING}*"):
            storage.remove(leftover)
        staging = storage.make_dir(self.root / f"{_STAGING}{uuid.uuid4().hex}")
        try:
            yield staging
        finally:
            storage.remove(staging)

    def shelve(self, staged: Path, record: Manifest) -> InstalledModel:
        """Give a hashed staging folder the model's name, in one rename."""
        records.write(staged, record.stamped(staged))
        home = self.root / record.id
        if home.exists():
            old = self.root / f"{_STAGING}{uuid.uuid4().hex}"
            storage.move(home, old)
            storage.move(staged, home)
            storage.remove(old)
        else:
            storage.move(staged, home)
        return record.model(home)

    def quarantine(self, path: Path, id: str) -> Path:
        """Move a file where nothing loads it from; returns where."""
        aside = self.root / "quarantine" / f"{id}-{uuid.uuid4().hex[:8]}-{path.name}"
        storage.move(path, aside)
        return aside

    def read_json(self, name: str) -> dict[str, Any]:
        """One of the small files beside the models; empty where there is none."""
        try:
            value = json.loads((self.root / name).read_bytes())
            if not isinstance(value, dict):
                raise ValueError("not an object")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            path = str(self.root / name)
            raise ModelError(f"cannot read {path!r}: {error}", "Correct the file or move it away.") from None
        return value


def weights_of(card: ModelCard) -> str:
    """The name of the weights, below the model's folder, of a model that is installed from the catalog."""
    return "model/model.safetensors" if card.kind == "embedder" else f"{card.id}.gguf"


def checked_hash(sha256: str) -> str:
    """A SHA-256 in small letters, or UsageError."""
    digest = sha256.strip().lower()
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise UsageError(f"{sha256!r} is not a SHA-256", "It has 64 hexadecimal digits.")
    return digest


def _suspect(path: Path, entry: Entry, expected: str | None) -> bool:
    if expected not in (None, entry.sha256):
        return True
    try:
        return records.stamp(path) != entry.stamp
    except OSError:
        return True
