"""What the tests share: a data folder of their own, fakes in place of models, libraries made without a reader."""

from __future__ import annotations

import gc
import itertools
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import lent_readers
import pg_cluster
import pytest
import stores
from fakes import HashingEmbedder, HashingSentences, ScriptedGenerator

from localrag import embeddings, policy
from localrag.answer.assistant import Assistant
from localrag.ingest import chunking, sync
from localrag.llm import loading
from localrag.search import retrieval
from localrag.security.encryption import keyring, unlocked
from localrag.settings import load_settings
from localrag.store.writer import Editor, minhash, passage_digest
from localrag.types import Page, Part, Reading

# Where `make test` put the models; read before any test gets a folder of its own.
MODELS = load_settings().models_dir
LONGEST = {"test_doc_commands.py", "test_cluster.py"}  # minutes each


def pytest_make_parametrize_id(config, val, argname):
    """Files made while tests are collected hold the time, and each process must give a test the same name."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_finish():
    """What collecting made lives to the end: the garbage collector need not look at it after each test."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items):
    """Long files come first, as one process runs a whole file: those named, then real weights, then slow ones."""
    real = {item.path for item in items if item.get_closest_marker("model")}
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path.name not in LONGEST, item.path not in real, item.path not in slow))


@pytest.fixture(scope="session", autouse=True)
def alone(tmp_path_factory):
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
def home(alone, request):
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
def short(home, monkeypatch):
    """The data folder again, with a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="lr") as folder:
        if (home / "models").exists():
            Path(folder, "models").symlink_to(MODELS, target_is_directory=True)
        monkeypatch.setenv("LOCALRAG_HOME", folder)
        yield Path(folder)


@pytest.fixture(scope="session")
def pg():
    """A PostgreSQL with pgvector for this process of tests; each test makes a database of its own in it."""
    with pg_cluster.running() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def installed():
    return MODELS


@pytest.fixture
def settings(home):
    return load_settings()


@dataclass
class FakeModels:
    """The fakes that stand for installed models, and which of them were loaded."""

    embedder: HashingEmbedder = field(default_factory=HashingEmbedder)
    generator: ScriptedGenerator = field(default_factory=ScriptedGenerator)
    loaded: list[str] = field(default_factory=list)


@pytest.fixture
def models(monkeypatch):
    """The assistant, the API and the commands get these instead of weights."""
    fakes = FakeModels()

    def embedder(settings, identity=None):
        fakes.loaded.append("embedder")
        return fakes.embedder

    def generator(settings):
        fakes.loaded.append("generator")
        return fakes.generator

    monkeypatch.setattr(embeddings, "load_embedder", embedder)
    monkeypatch.setattr(retrieval, "SentenceEncoder", HashingSentences)
    monkeypatch.setattr(loading, "load_generator", generator)
    monkeypatch.setattr(loading, "generator_identity", lambda settings: "scripted")
    return fakes


@pytest.fixture
def folder(tmp_path):
    """Makes a folder of files: `folder({"a.txt": "text"})`."""

    def make(files, name="papers"):
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        for path, content in files.items():
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return make


@pytest.fixture
def put():
    """Stores a document as ingest would: `put(library, "a.txt", "text")`, or a list of texts for pages."""

    def store(library, path, text, *, root="/root", title="", sha256="", skipped=(), date=""):
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
def shelf(settings, put):
    """Makes a library of texts: `shelf("contracts", {"a.txt": "text", "b.pdf": ["page 1", "page 2"]})`."""
    made = []

    def make(name, documents):
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
def library(request, home):
    """An empty library for the hashing embedder; tests marked `both_stores` get one in each store."""
    yield from stores.empty(request, home)


@pytest.fixture
def assistant(settings, models):
    made = Assistant(settings)
    yield made
    made.close()
