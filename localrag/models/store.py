"""The models on this machine: install, verify, choose, carry, remove.

Promise: nothing is used before its hash is verified. A model is fetched or copied into a staging folder,
hashed there byte by byte, and takes its name by one rename, so an install that is stopped leaves nothing
(what kill -9 left is swept at the next install). `get` compares each file's stamp (size, times, inode) and
hashes again when one differs; a file with a wrong hash goes into `quarantine/` and is never used. Limits:
manifest.py says what a stamp cannot see; `verify` always hashes everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from localrag import policy
from localrag.errors import (
    ModelDamaged,
    ModelError,
    ModelMissing,
    NotFoundError,
    SettingsError,
    UsageError,
)
from localrag.models import archive, catalog, gguf, intake, onnx_export
from localrag.models import manifest as records
from localrag.models.catalog import DEFAULT_EMBEDDER, Kind
from localrag.models.install import Installation
from localrag.models.manifest import Entry, InstalledModel, Manifest
from localrag.models.shelf import Shelf, checked_hash
from localrag.models.sources import Progress
from localrag.security import audit, storage
from localrag.settings import Settings

__all__ = ["InstalledModel", "ModelStore", "Progress", "Verdict"]

_CHOICE = "choice.json"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found: `problem` is empty where every file of the model has its hash."""

    id: str
    files: int
    bytes: int
    problem: str = ""


class ModelStore:
    """The models below `settings.models_dir`; processes that change them take turns."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._shelf = Shelf(settings.models_dir)

    def installed(self, kind: Kind | None = None) -> list[InstalledModel]:
        """Every model with a readable record, by id; nothing is hashed, so use `get` before loading one."""
        found = []
        for id in self._shelf.ids():
            try:
                folder, record = self._shelf.record(id)
            except (ModelMissing, ModelDamaged):
                continue
            if kind is None or record.kind == kind:
                found.append(record.model(folder))
        return found

    def get(self, id: str) -> InstalledModel:
        """A model, verified for use.

        Raises:
            ModelMissing: it is not installed.
            ModelDamaged: a file is missing, or its hash is wrong (it has been moved into quarantine).
            PolicyRefused: the policy does not allow it, or its adapter.
        """
        found = self._shelf.verified(id)
        policy.check_model(found.id, *found.hashes)
        return found

    def default(self, kind: Kind) -> InstalledModel:
        """The model to use: the setting, else the choice of `models use`, else the best that memory holds.

        Raises:
            ModelMissing: there is none; the hint is the command to type.
            PolicyRefused: the policy does not allow the one that was named, or any that is here.
        """
        named = self._settings.generator if kind == "generator" else self._settings.embedder
        if named is not None:
            found = self.get(named)
            if found.kind != kind:
                raise SettingsError(f"{kind} = {named!r} names {_a(found.kind)}", f"Name {_a(kind)}.")
            return found
        preferred = self.preferred(kind)
        if preferred is None:
            for model in self.installed(kind):
                policy.check_model(model.id, *model.hashes)
            wanted = f" {DEFAULT_EMBEDDER}" if kind == "embedder" else ""
            raise ModelMissing(f"no {kind} is installed", f"Type: localrag models install{wanted}")
        return self.get(preferred.id)

    def preferred(self, kind: Kind) -> InstalledModel | None:
        """The model that `default` would take, unverified; None where there is none that the policy allows."""
        named = self._settings.generator if kind == "generator" else self._settings.embedder
        here = {model.id: model for model in self.installed(kind) if policy.allows_model(*model.hashes)}
        if named is not None:
            return here.get(named)
        chosen = self.choice(kind)
        if chosen in here:
            return here[chosen]
        usable = [model for model in here.values() if _rank(model.id) > 0]
        fitting = [model for model in usable if catalog.fits(memory_needed(model))]
        if fitting:
            return max(fitting, key=lambda model: (_rank(model.id), model.bytes))
        return min(usable, key=memory_needed, default=None)

    def choice(self, kind: Kind) -> str:
        """The id that `models use` chose, or an empty word."""
        return str(self._shelf.read_json(_CHOICE).get(kind, ""))

    def install(
        self,
        id: str | None,
        *,
        sha256: str | None = None,
        confirm: Callable[[str], bool],
        progress: Callable[[Progress], None],
        say: Callable[[str], None],
    ) -> InstalledModel:
        """Fetch a model of the catalog; without an id, the default embedder and the best generator to be had.

        Of a model that is here already nothing is fetched; an embedder gets its fast form, if it has none.

        Args:
            sha256: the hash that the weights must have; only needed where the catalog has none.
            confirm: asked before an unknown hash is trusted, and before a large automatic download.
            progress: told the bytes that have come.
            say: told each attempt, in a line.

        Raises:
            ModelMissing: no source gives it.
            ModelDamaged: what came has a wrong hash.
            StorageError: the disk is full or cannot be written.
            PolicyRefused: the policy does not allow it.
        """
        own = id is not None and catalog.find(id) is None and id in self._shelf.ids()
        card = None if id is None or own else catalog.card(id)
        if card is None and sha256 is not None:
            raise UsageError("--sha256 needs the id of one model", "localrag models install ID --sha256 HASH")
        with self._shelf.lock(say), self._recorded("install"):
            run = Installation(self._shelf, self._settings.sources, confirm, progress, say)
            if own and id is not None:
                return run.again(id)
            return run.best() if card is None else run.one(card, sha256)

    def has_known_hash(self, id: str) -> bool:
        """True if a download of this model can be checked against a hash known beforehand, or none is needed."""
        if catalog.find(id) is None and id in self._shelf.ids():
            return True
        known = catalog.card(id)
        return known.sha256 is not None or bool(self._shelf.pins(id))

    def import_path(
        self,
        path: Path,
        *,
        id: str | None = None,
        sha256: str | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> InstalledModel:
        """Copy in a .gguf file, a sentence-transformers folder or an exported file, hashing every byte.

        Args:
            id: the name to give it; else the one in the exported file, the catalog's where the hash is known
                there, or one made from the file's name.
            sha256: the hash that the weights must have.

        Raises:
            NotFoundError: no such path.
            ModelError: it is none of the three.
            ModelDamaged: a hash is wrong.
            PolicyRefused: the policy does not allow it.
        """
        path = path.expanduser()
        if not path.exists():
            raise NotFoundError(f"no file or folder {str(path)!r}", "Check the path.")
        given = None if sha256 is None else checked_hash(sha256)
        if id is not None:
            intake.check_id(id)
        with self._shelf.lock(say), self._recorded("import"), self._shelf.staging() as staging:
            folder = storage.make_dir(staging / "model")
            record = intake.take_in(path, folder, id, say)
            expected = self._shelf.expected_of(record.id)
            if given is not None:
                expected[record.weights] = given
            self._shelf.compare(record, expected)
            record = onnx_export.added(record, folder, storage.make_dir(staging / "onnx"), say)
            return self._shelf.shelve(folder, record)

    def export(self, id: str, target: Path, *, overwrite: bool = False) -> Path:
        """Write a model as one file for `import` on another machine; its adapter and fast form stay behind.

        Args:
            target: the file, or a folder to put `ID.localrag-model` into.

        Raises:
            UsageError: the file is there already and `overwrite` is False.
        """
        target = target.expanduser()
        if target.is_dir():
            target = target / f"{id}.localrag-model"
        self.get(id)
        if target.exists() and not overwrite:
            raise UsageError(f"{str(target)!r} exists already", "Choose another name, or add --force.")
        folder, record = self._shelf.record(id)
        archive.pack(folder, record, target)
        return target

    def verify(self, id: str | None = None) -> list[Verdict]:
        """Hash every file of one model, or of all; files with a wrong hash are moved into quarantine.

        Raises:
            ModelMissing: `id` is not installed.
        """
        if id is not None and not self._shelf.folder(id).is_dir():
            self._shelf.record(id)
        return [self._verdict(name) for name in ([id] if id is not None else self._shelf.ids())]

    def _verdict(self, id: str) -> Verdict:
        try:
            folder, record = self._shelf.record(id)
            for name in record.recorded:
                self._shelf.check(folder, record, name)
        except (ModelDamaged, ModelMissing) as error:
            return Verdict(id, 0, 0, error.message)
        return Verdict(id, len(record.recorded), record.bytes)

    def remove(self, id: str) -> None:
        """Delete a model. The hash that it was first seen with is kept, and held to at its next install."""
        folder = self._shelf.folder(id)
        if not folder.is_dir():
            self._shelf.record(id)
        with self._shelf.lock(), self._recorded():
            storage.remove(folder)
            choices = self._shelf.read_json(_CHOICE)
            left = {kind: name for kind, name in choices.items() if name != id}
            if left != choices:
                storage.write_json(self._settings.models_dir / _CHOICE, left)

    def use(self, id: str, adapter: Path | None = None) -> InstalledModel:
        """Make a model the default of its kind, with a LoRA adapter or, where none is given, without.

        Raises:
            ModelMissing, ModelDamaged: as `get`.
            ModelError: the adapter is not one for this model.
            PolicyRefused: the policy does not allow the model, or the adapter.
        """
        # Not `get`: an adapter that is not allowed must come off.
        policy.check_model(id, self._shelf.verified(id).sha256)
        with self._shelf.lock():
            folder, record = self._shelf.record(id)
            name, entry = None, None
            if adapter is not None:
                name, entry = _take_adapter(record, folder, adapter.expanduser())
            records.write(folder, replace(record, adapter=name, adapter_entry=entry).stamped(folder))
            if record.adapter is not None and record.adapter != name:
                storage.remove(folder / record.adapter)
            choices = self._shelf.read_json(_CHOICE)
            storage.write_json(self._settings.models_dir / _CHOICE, {**choices, record.kind: id})
        used = self.get(id)
        self._record("use", used)
        return used

    # --- what is recorded -----------------------------------------------------------------------------------

    @contextmanager
    def _recorded(self, deed: str = "") -> Iterator[None]:
        """Record which models came, by what deed, or went; also where it failed, since one of two may have come."""
        before = {(model.id, *model.hashes): model for model in self.installed()}
        try:
            yield
        finally:
            after = {(model.id, *model.hashes): model for model in self.installed()}
            for key in before.keys() - after.keys():
                self._record("remove", before[key])
            for key in after.keys() - before.keys():
                self._record(deed, after[key])

    def _record(self, deed: str, model: InstalledModel) -> None:
        adapter = {} if model.adapter_sha256 is None else {"adapter_sha256": model.adapter_sha256}
        audit.record(
            self._settings.audit_file, "model", None,
            deed=deed, model=model.id, kind=model.kind, sha256=model.sha256, source=model.source, **adapter,
        )  # fmt: skip


def memory_needed(model: InstalledModel) -> int:
    """Bytes that a model needs with a working context; guessed from its size where the catalog is silent."""
    known = catalog.find(model.id)
    return model.bytes * 5 // 4 + 500_000_000 if known is None else known.memory


def _take_adapter(record: Manifest, folder: Path, adapter: Path) -> tuple[str, Entry]:
    if record.kind != "generator":
        raise UsageError(f"{record.id!r} is {_a(record.kind)}; adapters are for generators", "Leave out --adapter.")
    if not adapter.is_file():
        raise NotFoundError(f"no file {str(adapter)!r}", "Check the path of the adapter.")
    said = gguf.read_metadata(adapter)
    if said["type"] != "adapter":
        raise ModelError(
            f"{adapter.name!r} is {_a(str(said['type']))}, not a LoRA adapter",
            "Adapters are made with llama.cpp's `convert_lora_to_gguf.py`.",
        )
    wanted = record.metadata.get("architecture")
    if said.get("architecture") != wanted:
        raise ModelError(
            f"{adapter.name!r} was made for {said.get('architecture')}, {record.id!r} is {wanted}",
            "Choose the model that the adapter was trained on.",
        )
    sha256 = records.sha256_of(adapter)
    policy.check_model(adapter.name, sha256)
    # Named by its content, so that a new adapter never overwrites one that is in use.
    name = f"adapter/{sha256[:16]}.gguf"
    with adapter.open("rb") as stream, storage.create(folder / name) as out:
        return name, records.copy_hashed(records.blocks_of(stream), out)


def _a(kind: str) -> str:
    return f"an {kind}" if kind[:1] in "aeiou" else f"a {kind}"


def _rank(id: str) -> int:
    known = catalog.find(id)
    return 1 if known is None else known.rank
