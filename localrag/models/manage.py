"""Change the models on this machine: install, import, verify, remove, choose.

A model is fetched or copied into a staging folder, hashed byte by byte, and takes its name by one rename, so an
interrupted install leaves nothing behind. Files that run code (pickles, Python) are never copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from localrag import policy
from localrag.errors import ModelDamaged, ModelError, ModelMissing, NotFoundError, SettingsError, UsageError
from localrag.models import catalog, gguf, onnx_export, records
from localrag.models.install import Installation, take_in
from localrag.models.records import CHOICE, InstalledModel, Manifest, ModelStore, Progress, a
from localrag.security import audit, storage


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of `verify`; `problem` is empty if every file has its hash."""

    id: str
    files: int
    bytes: int
    problem: str = ""


class ModelManager(ModelStore):
    """The models below `settings.models_dir`, to be changed; processes that do so take turns."""

    def install(
        self,
        id: str | None,
        *,
        sha256: str | None = None,
        confirm: Callable[[str], bool],
        progress: Callable[[Progress], None],
        say: Callable[[str], None],
    ) -> InstalledModel:
        """Fetch a model of the catalog; without an id, the default embedder and the best available generator.

        Fetches nothing for a model that is installed, but makes the ONNX form of an embedder if it has none. `sha256`
        is only needed if the catalog has none; `confirm` is asked before an unknown hash is trusted, and before a large
        automatic download; `say` receives a line for each attempt.
        """
        if unknown := set(self._settings.sources) - {"wheel", "hub"}:
            raise SettingsError(f"unknown source {min(unknown)!r} in the setting `sources`", "Known: wheel, hub.")
        own = id is not None and catalog.find(id) is None and id in self._models.ids()
        card = None if id is None or own else catalog.card(id)
        if card is None and sha256 is not None:
            raise UsageError("--sha256 needs the id of one model", "localrag models install ID --sha256 HASH")
        with self._models.lock(say), self._recorded("install"):
            run = Installation(self._models, self._settings.sources, confirm, progress, say)
            if own and id is not None:
                return run.again(id)
            return run.best() if card is None else run.one(card, sha256)

    def has_known_hash(self, id: str) -> bool:
        """Return whether a download can be checked against a known hash, or none is needed."""
        return catalog.named(id) in self._models.ids() or catalog.card(id).sha256 is not None

    def import_path(
        self,
        path: Path,
        *,
        id: str | None = None,
        sha256: str | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> InstalledModel:
        """Copy in a .gguf file or a sentence-transformers folder, hashing every byte.

        Without `id` it takes the catalog's for a known hash, or one made from the file's name. `sha256` is that of the
        weights.
        """
        path = path.expanduser()
        if not path.exists():
            raise NotFoundError(f"no file or folder {str(path)!r}", "Check the path.")
        given = None if sha256 is None else records.checked_hash(sha256)
        if id is not None:
            records.check_id(id)
        with self._models.lock(say), self._recorded("import"), self._models.staging() as staging:
            folder = storage.make_dir(staging / "model")
            record = take_in(path, folder, id, say)
            expected = records.expected_of(record.id)
            if given is not None:
                expected[record.weights] = given
            records.compare(record, expected, "If it is another model, give it its own name with --id.")
            record = onnx_export.added(record, folder, storage.make_dir(staging / "onnx"), say)
            return self._models.put(folder, record)

    def verify(self, id: str | None = None) -> list[Verdict]:
        """Hash every file of one model, or of all."""
        if id is not None and not self._models.folder(id).is_dir():
            self._models.record(id)
        verdicts = []
        for one in [id] if id is not None else self._models.ids():
            try:
                folder, record = self._models.record(one)
                for name in record.recorded:
                    self._models.check(folder, record, name)
                verdicts.append(Verdict(one, len(record.recorded), record.bytes))
            except (ModelDamaged, ModelMissing) as error:
                verdicts.append(Verdict(one, 0, 0, error.message))
        return verdicts

    def remove(self, id: str) -> None:
        """Delete a model."""
        folder = self._models.folder(id)
        if not folder.is_dir():
            self._models.record(id)
        with self._models.lock(), self._recorded():
            storage.remove(folder)
            choices = self._models.read_json(CHOICE)
            left = {kind: name for kind, name in choices.items() if name != id}
            if left != choices:
                storage.write_json(self._settings.models_dir / CHOICE, left)

    def use(self, id: str, adapter: Path | None = None) -> InstalledModel:
        """Make a model the default of its kind, with a LoRA adapter if one is given."""
        id = catalog.named(id)
        # Not `get`: a disallowed adapter must be removable.
        policy.check_model(id, self._models.verified(id).sha256)
        with self._models.lock():
            folder, record = self._models.record(id)
            if record.kind == "reranker":
                raise UsageError(f"{id!r} is a reranker", f"Name it in the setting: localrag config set reranker {id}")
            taken = None if adapter is None else _take_adapter(record, folder, adapter.expanduser())
            records.write_record(folder, replace(record, adapter=taken).stamped(folder))
            if record.adapter is not None and (taken is None or taken.file != record.adapter.file):
                storage.remove(folder / record.adapter.file)
            choices = self._models.read_json(CHOICE)
            storage.write_json(self._settings.models_dir / CHOICE, {**choices, record.kind: id})
        used = self.get(id)
        self._record("use", used)
        return used

    # --- what is recorded -----------------------------------------------------------------------------------

    @contextmanager
    def _recorded(self, deed: str = "") -> Iterator[None]:
        """Record which models were added and removed, also after an error, when one of two may have been added."""
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
            self._settings.audit_file,
            "model",
            None,
            deed=deed,
            model=model.id,
            kind=model.kind,
            sha256=model.sha256,
            source=model.source,
            **adapter,
        )


def _take_adapter(record: Manifest, folder: Path, adapter: Path) -> records.Adapter:
    if record.kind != "generator":
        raise UsageError(f"{record.id!r} is {a(record.kind)}; adapters are for generators", "Leave out --adapter.")
    if not adapter.is_file():
        raise NotFoundError(f"no file {str(adapter)!r}", "Check the path of the adapter.")
    metadata = gguf.read_metadata(adapter)
    if metadata["type"] != "adapter":
        hint = "Adapters are made with llama.cpp's `convert_lora_to_gguf.py`."
        raise ModelError(f"{adapter.name!r} is {a(str(metadata['type']))}, not a LoRA adapter", hint)
    wanted = record.metadata.get("architecture")
    if metadata.get("architecture") != wanted:
        raise ModelError(
            f"{adapter.name!r} was made for {metadata.get('architecture')}, {record.id!r} is {wanted}",
            "Choose the model that the adapter was trained on.",
        )
    sha256 = records.sha256_of(adapter)
    policy.check_model(adapter.name, sha256)
    # Name it by its content, so that a new adapter never overwrites one in use.
    name = f"adapter/{sha256[:16]}.gguf"
    with adapter.open("rb") as stream, storage.create(folder / name) as out:
        entry = records.copy_hashed(records.blocks_of(stream), out)
    return records.Adapter(entry.sha256, entry.size, file=name)
