"""What the tests share: a data folder of their own, fakes in place of models, libraries made without a reader."""

from __future__ import annotations

import gc
import itertools
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import lent_readers
import pg_cluster
import pytest
import stores
from fakes import HashingEmbedder, ScriptedGenerator

from localrag import embeddings, policy
from localrag.answer.assistant import Assistant
from localrag.embeddings import EmbedderIdentity
from localrag.ingest import chunking, sync
from localrag.llm import loading
from localrag.security.encryption import keyring, unlocked
from localrag.settings import Settings, load_settings
from localrag.store.writer import Editor, minhash, passage_digest
from localrag.types import Page, Part, Reading, SkippedPage

# Where `make test` put the models; read before any test gets a folder of its own.
MODELS = load_settings().models_dir
Texts = str | Sequence[str]
LONGEST = {"test_doc_commands.py", "test_cluster.py"}  # minutes each


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Files made while tests are collected hold the time, and each process must give a test the same name."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_finish() -> None:
    """What collecting made lives to the end: the garbage collector need not look at it after each test."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files come first, as one process runs a whole file: those named, then real weights, then slow ones."""
    real = {item.path for item in items if item.get_closest_marker("model")}
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path.name not in LONGEST, item.path not in real, item.path not in slow))


@pytest.fixture(scope="session", autouse=True)
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for the data of each test, and what no test changes: no user's settings, no priority, few readers."""
    base = tmp_path_factory.mktemp("homes")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("LOCALRAG_")]:
            patch.delenv(name)
        for name, folder in ("LOCALRAG_HOME", "home"), ("XDG_CONFIG_HOME", "config"), ("XDG_DATA_HOME", "data"):
            patch.setenv(name, str(base / folder))
        patch.setenv("LOCALRAG_KEEP_MODEL_MINUTES", "0")  # no process outlives its test
        patch.setattr(policy, "SYSTEM", base / "etc" / "policy.toml")
        # Commands that run in the process of the tests leave it its priority, which nothing could raise again.
        patch.setattr(os, "nice", lambda increment: 0, raising=False)
        patch.setattr(sync, "ReaderPool", lent_readers.LentReaders)
        patch.setattr(unlocked, "no_dumps", lambda: None)  # the process of the tests may be looked at
        patch.setattr(keyring, "_ARGON2", {"memory_kib": 64, "passes": 1, "lanes": 1})
        yield base
    lent_readers.close()


_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def home(alone: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A data folder for this test alone: no test sees the user's settings, libraries and ./indexes, or another's keys.

    It is beside the files of a test that has a folder. Only tests marked `model` find it made, with the installed
    models. It comes before `monkeypatch`, and what the test and its code leave in the environment ends with it.
    """
    if "tmp_path" in request.fixturenames:
        base, number = request.getfixturevalue("tmp_path"), ""
    else:
        base, number = alone, str(next(_numbers))
    home, system, before = base / f"home{number}", policy.SYSTEM, os.environ.copy()
    policy.SYSTEM = base / f"etc{number}" / "policy.toml"
    os.environ["LOCALRAG_HOME"] = str(home)
    os.environ["XDG_CONFIG_HOME"] = str(base / f"config{number}")
    os.environ["XDG_DATA_HOME"] = str(base / f"data{number}")
    if request.node.get_closest_marker("model"):
        home.mkdir()
        (home / "models").symlink_to(MODELS, target_is_directory=True)
    yield home
    unlocked.forget()
    unlocked.set_key_source(None)
    policy.SYSTEM = system
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def short(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The data folder again, with a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="lr") as folder:
        if (home / "models").exists():
            Path(folder, "models").symlink_to(MODELS, target_is_directory=True)
        monkeypatch.setenv("LOCALRAG_HOME", folder)
        yield Path(folder)


@pytest.fixture(scope="session")
def pg() -> Iterator[pg_cluster.Cluster]:
    """A PostgreSQL with pgvector for this process of tests; each test makes a database of its own in it."""
    with pg_cluster.running() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def installed() -> Path:
    """The folder of the models that `make test` installed."""
    return MODELS


@pytest.fixture
def settings(home: Path) -> Settings:
    return load_settings()


@dataclass
class FakeModels:
    """The fakes that stand for installed models, and which of them were loaded."""

    embedder: HashingEmbedder = field(default_factory=HashingEmbedder)
    generator: ScriptedGenerator = field(default_factory=ScriptedGenerator)
    loaded: list[str] = field(default_factory=list)


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> FakeModels:
    """The assistant, the API and the commands get these instead of weights."""
    fakes = FakeModels()

    def embedder(settings: Settings, identity: EmbedderIdentity | None = None) -> HashingEmbedder:
        fakes.loaded.append("embedder")
        return fakes.embedder

    def generator(settings: Settings) -> ScriptedGenerator:
        fakes.loaded.append("generator")
        return fakes.generator

    monkeypatch.setattr(embeddings, "load_embedder", embedder)
    monkeypatch.setattr(loading, "load_generator", generator)
    monkeypatch.setattr(loading, "generator_identity", lambda settings: "scripted")
    return fakes


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of files: `folder({"a.txt": "text"})`."""

    def make(files: Mapping[str, str | bytes], name: str = "papers") -> Path:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        for path, content in files.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return make


@pytest.fixture
def put() -> Callable[..., None]:
    """Stores a document as ingest would: `put(library, "a.txt", "text")`, or a list of texts for pages."""

    def store(
        library: Editor,
        path: str,
        text: Texts,
        *,
        root: str = "/root",
        title: str = "",
        sha256: str = "",
        skipped: tuple[SkippedPage, ...] = (),
        date: str = "",
    ) -> None:
        pages = (Page(text),) if isinstance(text, str) else tuple(Page(part, n, None) for n, part in enumerate(text, 1))
        embedder = HashingEmbedder(library.identity.dimension)
        chunks = chunking.split(pages, count=embedder.count, title=title, limit=254)
        texts = [chunking.embedded_text(title, chunk) for chunk in chunks]
        keys = [passage_digest(title, chunk) for chunk in chunks]
        vectors = dict(zip(keys, embedder.embed_documents(texts), strict=True)) if texts else {}
        part = Part("", sha256 or f"hash of {path}", len(text), Reading(pages, title, skipped, date=date))
        with library.transaction():
            library.begin(root, path)
            library.put(root, path, part, chunks, vectors, minhash(" ".join(page.text for page in pages)))
            library.finish(root, path, len(text), 1, part.sha256, "read by a test")

    return store


@pytest.fixture
def shelf(settings: Settings, put: Callable[..., None]) -> Iterator[Callable[..., Editor]]:
    """Makes a library of texts: `shelf("contracts", {"a.txt": "text", "b.pdf": ["page 1", "page 2"]})`."""
    made: list[Editor] = []

    def make(name: str, documents: Mapping[str, Texts]) -> Editor:
        library = Editor.create(settings.library_dir(name), name, HashingEmbedder().identity)
        for path, text in documents.items():
            put(library, path, text)
        library.save_index()
        made.append(library)
        return library

    yield make
    for library in made:
        library.close()


@pytest.fixture
def library(request: pytest.FixtureRequest, home: Path) -> Iterator[Editor]:
    """An empty library for the hashing embedder; tests marked `both_stores` get one in each store."""
    yield from stores.empty(request, home)


@pytest.fixture
def assistant(settings: Settings, models: FakeModels) -> Iterator[Assistant]:
    """Answers with the fakes."""
    made = Assistant(settings)
    yield made
    made.close()
