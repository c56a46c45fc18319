"""The folder of the models: their records, hashes and staging.

    models/<id>/model.json   the record: every file with SHA-256, size and stamp
    models/<id>/...          the files
    models/choice.json       what `models use` chose

A file is verified when its SHA-256 was computed on this machine and equals the recorded one. Its stamp (size, times,
inode) then lets later starts skip the hashing. Somebody who can write to the folder as this user can forge file, stamp
and record; only the catalog's own SHA-256 and `models verify` stand against that.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, BinaryIO, Literal

import msgspec
from msgspec.structs import replace

from localrag import policy, protocol
from localrag.errors import ModelDamaged, ModelError, ModelMissing, SettingsError, StorageError, UsageError
from localrag.models import catalog
from localrag.models.catalog import DEFAULT_EMBEDDER, DEFAULT_TRANSCRIBER, Kind, ModelCard
from localrag.security import storage
from localrag.settings import Settings

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
FILE_NAME = "model.json"
# The ONNX form of an embedder: made here from its weights (onnx_export.py), never exported.
ONNX = "onnx/model.onnx"
_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of an install in bytes; `total` is an estimate."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class InstalledModel:
    id: str
    kind: Kind
    path: Path  # the .gguf file, or the sentence-transformers folder
    sha256: str  # of the weights
    licence: str
    source: str
    bytes: int  # of all its files, without the adapter
    metadata: Mapping[str, Any] = field(default_factory=dict)  # see `gguf.read_metadata`; empty for folders
    adapter: Path | None = None  # the LoRA file chosen by `models use`
    adapter_sha256: str | None = None
    onnx: Path | None = None  # the ONNX form of an embedder

    @property
    def is_gguf(self) -> bool:
        """Whether llama.cpp runs it, from one file."""
        return self.path.suffix == ".gguf"

    @property
    def prefixes(self) -> tuple[str, str]:
        """What an embedder of the catalog puts before a question and before a passage."""
        known = catalog.find(self.id)
        return ("", "") if known is None else (known.query_prefix, known.passage_prefix)

    @property
    def hashes(self) -> tuple[str, ...]:
        """The SHA-256 of its weights, and of its adapter if it has one."""
        return (self.sha256,) if self.adapter_sha256 is None else (self.sha256, self.adapter_sha256)


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A recorded file: SHA-256, size in bytes, and its stamp when the hash was computed."""

    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    size: Annotated[int, msgspec.Meta(ge=0)]
    stamp: tuple[int, ...] = ()


class Adapter(Entry, frozen=True, omit_defaults=True, kw_only=True):
    """A LoRA adapter beside a model."""

    file: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The record of a model's files; names are relative to its folder, with forward slashes."""

    format: Literal[1] = 1
    id: str
    kind: Kind
    title: str
    licence: str
    source: str
    main: str  # the .gguf file, or the folder that sentence-transformers loads
    weights: str  # the file whose SHA-256 names the model
    files: dict[str, Entry]
    metadata: dict[str, Any] = {}
    adapter: Adapter | None = None

    @property
    def recorded(self) -> dict[str, Entry]:
        """Every file, including the adapter."""
        return self.files if self.adapter is None else {**self.files, self.adapter.file: self.adapter}

    @property
    def bytes(self) -> int:
        return sum(entry.size for entry in self.files.values())

    def model(self, folder: Path) -> InstalledModel:
        return InstalledModel(
            id=self.id,
            kind=self.kind,
            path=folder / self.main,
            sha256=self.files[self.weights].sha256,
            licence=self.licence,
            source=self.source,
            bytes=self.bytes,
            metadata=self.metadata,
            adapter=None if self.adapter is None else folder / self.adapter.file,
            adapter_sha256=None if self.adapter is None else self.adapter.sha256,
            onnx=folder / ONNX if ONNX in self.files else None,
        )

    def stamped(self, folder: Path) -> Manifest:
        """Return the record with the files' present stamps; call only after hashing them."""
        files = {name: replace(entry, stamp=stamp(folder / name)) for name, entry in self.files.items()}
        adapter = self.adapter and replace(self.adapter, stamp=stamp(folder / self.adapter.file))
        return replace(self, files=files, adapter=adapter)


def parse_record(data: bytes, name: str) -> Manifest:
    """Parse a record from JSON; every file name must stay below the model's folder."""
    try:
        record: Manifest = protocol.convert(msgspec.json.decode(data), Manifest)
        if unsafe := [file for file in (record.main, *record.recorded) if not is_safe(file)]:
            raise ValueError(f"file name {unsafe[0]!r}")
        if record.weights not in record.files:
            raise ValueError("weights")
        if not PurePosixPath(record.weights).is_relative_to(record.main):  # what is hashed must be what is loaded
            raise ValueError("main")
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ModelDamaged(f"the record of model {name!r} is malformed ({error})", reinstall(name)) from None
    return record


def write_record(folder: Path, manifest: Manifest) -> None:
    storage.write_json(folder / FILE_NAME, msgspec.to_builtins(manifest))


def is_safe(name: str) -> bool:
    """Return whether a file name stays below its folder on every system."""
    parts = name.split("/")
    return (
        len(parts) <= 8
        and name != FILE_NAME
        and not any(
            part in ("", ".", "..") or len(part) > 200 or not part.isprintable() or set(part) & set('\\:*?"<>|')
            for part in parts
        )
    )


def stamp(path: Path) -> tuple[int, ...]:
    """Return size, times and inode, which change when a file is written, replaced or restored."""
    status = path.stat()
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


def sha256_of(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def copy_hashed(blocks: Iterable[bytes], target: BinaryIO) -> Entry:
    """Write blocks to `target`; return their size and SHA-256."""
    digest, size = hashlib.sha256(), 0
    for block in blocks:
        digest.update(block)
        target.write(block)
        size += len(block)
    return Entry(digest.hexdigest(), size)


def blocks_of(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the stream's bytes in blocks of a mebibyte."""
    return iter(lambda: stream.read(_BLOCK), b"")


def prompts_of(prefixes: tuple[str, str]) -> dict[str, str] | None:
    """Return the prefixes of questions and passages as sentence-transformers names them; None keeps the folder's."""
    return {"query": prefixes[0], "document": prefixes[1]} if any(prefixes) else None


def reinstall(id: str) -> str:
    """Return the hint for a damaged model."""
    if catalog.find(id) is None:
        return f"Import it again from its source, with --id {id}."
    return f"Run `localrag models install {id}` again, or import it again from its source."


# --- the folder ---------------------------------------------------------------------------------------------

_STAGING = ".staging-"
_hashed: set[tuple[Path, tuple[int, ...]]] = set()  # files that this process has hashed, with their stamps


class ModelFolder:
    """The models below one folder. The caller of a method that changes something must hold `lock`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def ids(self) -> list[str]:
        """Return the names of the models' folders, readable or not."""
        if not self.root.is_dir():
            return []
        return sorted(path.name for path in self.root.iterdir() if path.is_dir() and is_id(path.name))

    def folder(self, id: str) -> Path:
        """Return the folder of a model, which may not exist. Raises ModelMissing if no model can have this id."""
        if not is_id(id):
            raise ModelMissing(f"no model named {id!r} is installed", "See `localrag models list`.")
        return self.root / id

    def record(self, id: str) -> tuple[Path, Manifest]:
        """Return the folder and record of an installed model, or raise ModelMissing or ModelDamaged."""
        folder = self.folder(id)
        try:
            return folder, parse_record((folder / FILE_NAME).read_bytes(), id)
        except (FileNotFoundError, NotADirectoryError):
            if folder.is_dir():
                raise ModelDamaged(f"model {id!r} has lost its record", reinstall(id)) from None
        except OSError as error:
            raise ModelDamaged(f"the record of model {id!r} cannot be read: {error}", reinstall(id)) from None
        if catalog.find(id) is not None:
            hint = f"Type: localrag models install {id}"
        else:
            hint = f"Installed: {', '.join(self.ids()) or 'none'}. `localrag models list --all` shows more."
        raise ModelMissing(f"model {id!r} is not installed", hint)

    # --- hashes ---------------------------------------------------------------------------------------------

    def verified(self, id: str) -> InstalledModel:
        """Return a model whose files all have their hashes; only files with a changed stamp are hashed.

        While a policy lists hashes, each process hashes each file once, since users can write the stamps.
        """
        folder, record = self.record(id)
        expected = expected_of(id)
        for name, entry in record.recorded.items():
            if _suspect(folder / name, entry, expected.get(name)):
                self.check(folder, record, name)
        if (stamped := record.stamped(folder)) != record:
            # A read-only folder only costs hashing at every start.
            with contextlib.suppress(StorageError):
                write_record(folder, stamped)
        return record.model(folder)

    def check(self, folder: Path, record: Manifest, name: str) -> None:
        """Hash one file, regardless of its stamp. Raises ModelDamaged for a wrong hash."""
        wanted = expected_of(record.id).get(name, record.recorded[name].sha256)
        try:
            before, seen = stamp(folder / name), sha256_of(folder / name)
        except OSError as error:
            what = f"{name} of model {record.id!r} cannot be read: {error.strerror}"
            raise ModelDamaged(what, reinstall(record.id)) from None
        if seen != wanted or seen != record.recorded[name].sha256:
            what = f"{name} of model {record.id!r} has SHA-256 {seen}, not the verified one"
            raise ModelDamaged(what, reinstall(record.id))
        _hashed.add((folder / name, before))

    # --- moving ---------------------------------------------------------------------------------------------

    def lock(self, say: Callable[[str], None] | None = None) -> contextlib.AbstractContextManager[None]:
        """Wait until no other process changes the models; `say` receives a line if it waits."""
        return storage.lock(self.root / "models.lock", "the models folder", on_wait=say)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Yield a temporary folder on the same disk; older ones are leftovers, since the caller holds the lock."""
        for leftover in self.root.glob(f"{_STAGING}*"):
            storage.remove(leftover)
        staging = storage.make_dir(self.root / f"{_STAGING}{uuid.uuid4().hex}")
        try:
            yield staging
        finally:
            storage.remove(staging)

    def put(self, staged: Path, record: Manifest) -> InstalledModel:
        """Give a hashed staging folder the model's name, in one rename."""
        write_record(staged, record.stamped(staged))
        home = self.root / record.id
        old = self.root / f"{_STAGING}{uuid.uuid4().hex}"
        if home.exists():
            storage.move(home, old)
        storage.move(staged, home)
        storage.remove(old)
        return record.model(home)

    def read_json(self, name: str) -> dict[str, Any]:
        """Read one of the small files beside the models; empty if there is none."""
        try:
            value = json.loads((self.root / name).read_bytes())
            if not isinstance(value, dict):
                raise ValueError("not an object")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            path = str(self.root / name)
            raise ModelError(f"cannot read {path!r}: {error}", "Correct the file or move it away.") from None
        return value


def weights_of(card: ModelCard) -> str:
    """Return the file name of the weights of a model from the catalog."""
    if card.kind == "transcriber":
        return "model/model.bin"  # CTranslate2's own format, which holds no code
    return "model/model.safetensors" if card.is_folder else f"{card.id}.gguf"


def expected_of(id: str, sha256: str | None = None) -> dict[str, str]:
    """Return the hashes that a model's files must have: the catalog's, and that of the weights if it is given."""
    card = catalog.find(id)
    if card is None:
        return {}
    expected = {f"model/{name}": digest for name, digest in card.pins}
    if card.sha256 is not None:
        expected[weights_of(card)] = card.sha256
    if sha256 is not None:
        given = checked_hash(sha256)
        if expected.setdefault(weights_of(card), given) != given:
            hint = "Leave out --sha256, or import your own file under another --id."
            raise UsageError(f"--sha256 is not the hash pinned for {card.id!r} ({card.sha256})", hint)
    return expected


def compare(record: Manifest, expected: Mapping[str, str], hint: str) -> None:
    """Refuse a model with a wrong hash (`expected`, by file name), or that the policy does not allow."""
    policy.check_model(record.id, record.files[record.weights].sha256)
    for name, wanted in expected.items():
        if name not in record.files:
            raise ModelDamaged(f"{record.id!r} came without {name}", "Try another source.")
        if (seen := record.files[name].sha256) != wanted:
            raise ModelDamaged(f"{name} of {record.id!r} has SHA-256 {seen}, expected {wanted}", hint)


def checked_hash(sha256: str) -> str:
    """Return a SHA-256 in lower case, or raise UsageError."""
    digest = sha256.strip().lower()
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise UsageError(f"{sha256!r} is not a SHA-256", "It has 64 hexadecimal digits.")
    return digest


def _suspect(path: Path, entry: Entry, expected: str | None) -> bool:
    if expected not in (None, entry.sha256):
        return True
    try:
        unseen = not policy.allows_model(None) and (path, entry.stamp) not in _hashed
        return unseen or stamp(path) != entry.stamp
    except OSError:
        return True


def is_id(name: str) -> bool:
    """Return whether a model may have this id, which is also its folder's name."""
    return bool(_ID.fullmatch(name)) and name != "quarantine"  # a folder of earlier versions


# --- the models on this machine: which are there, and which one is used ------------------------------------------
# Nothing is used before its hash is verified: `get` compares each file's stamp, and hashes again if it differs. A hash
# says nothing about who made a file: the catalog may know it. `manage` changes what is there.

CHOICE = "choice.json"


class ModelStore:
    """The models below `settings.models_dir`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._models = ModelFolder(settings.models_dir)

    def installed(self, kind: Kind | None = None) -> list[InstalledModel]:
        """Return every model with a readable record, by id, unverified: use `get` before loading one."""
        found = []
        for id in self._models.ids():
            try:
                folder, record = self._models.record(id)
            except (ModelMissing, ModelDamaged):
                continue
            if kind is None or record.kind == kind:
                found.append(record.model(folder))
        return found

    def get(self, id: str) -> InstalledModel:
        """Return a verified model, or raise ModelMissing, ModelDamaged or PolicyRefused."""
        found = self._models.verified(catalog.named(id))
        policy.check_model(found.id, *found.hashes)
        return found

    def default(self, kind: Kind) -> InstalledModel:
        """Return the model to use: the setting, else the choice of `models use`, else the best that fits the memory."""
        named = self._named(kind)
        if named is not None:
            found = self.get(named)
            if found.kind != kind:
                raise SettingsError(f"{kind} = {named!r} names {a(found.kind)}", f"Name {a(kind)}.")
            return found
        preferred = self.preferred(kind)
        if preferred is None:
            for model in self.installed(kind):
                policy.check_model(model.id, *model.hashes)
            wanted = {"embedder": f" {DEFAULT_EMBEDDER}", "transcriber": f" {DEFAULT_TRANSCRIBER}"}.get(kind, "")
            raise ModelMissing(f"no {kind} is installed", f"Type: localrag models install{wanted}")
        return self.get(preferred.id)

    def preferred(self, kind: Kind) -> InstalledModel | None:
        """Return the model that `default` would take, unverified; None if a server is set, or none is allowed."""
        if {"generator": self._settings.generator_server, "embedder": self._settings.embedder_server}.get(kind):
            return None  # a server's is used
        named = self._named(kind)
        here = {model.id: model for model in self.installed(kind) if policy.allows_model(*model.hashes)}
        if named is not None:
            return here.get(catalog.named(named))
        chosen = self.choice(kind)
        if chosen in here:
            return here[chosen]
        usable = [model for model in here.values() if _rank(model.id) > 0]
        fitting = [model for model in usable if catalog.fits(memory_needed(model))]
        if fitting:
            return max(fitting, key=lambda model: (_rank(model.id), model.bytes))
        return min(usable, key=memory_needed, default=None)

    def _named(self, kind: Kind) -> str | None:
        return {"generator": self._settings.generator, "embedder": self._settings.embedder}.get(kind)

    def choice(self, kind: Kind) -> str:
        """Return the id that `models use` chose, or ""."""
        return str(self._models.read_json(CHOICE).get(kind, ""))


def memory_needed(model: InstalledModel) -> int:
    """Return the bytes that a model needs with a working context; estimated from its size if not in the catalog."""
    known = catalog.find(model.id)
    return model.bytes * 5 // 4 + 500_000_000 if known is None else known.memory


def a(kind: str) -> str:
    """Return a kind with its article."""
    return f"an {kind}" if kind[:1] in "aeiou" else f"a {kind}"


def _rank(id: str) -> int:
    known = catalog.find(id)
    return 1 if known is None else known.rank
