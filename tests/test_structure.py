"""The shape of the house: who may import, write and print, what stays light, what is public."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from write_scan import writes

import localrag

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "localrag").rglob("*.py"))
HEAVY = {"torch", "llama_cpp", "faiss", "textual", "sentence_transformers", "transformers", "numpy", "rich"}
FACES = {"click", "textual", "rich"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def is_face(path: Path) -> bool:
    return path.relative_to(ROOT / "localrag").parts[0] in ("cli", "tui", "__main__.py")


def imported(path: Path) -> Iterator[str]:
    """The full name of every module and name that a file imports, wherever in the file."""
    package = ".".join(path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            module = ".".join([*parts, *([node.module] if node.module else [])])
            yield from (f"{module}.{name.name}" for name in node.names)


# --- imports ------------------------------------------------------------------------------------------------


def test_imports_go_one_way() -> None:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept" in done.stdout


@pytest.mark.parametrize("path", [path for path in MODULES if not is_face(path)], ids=name_of)
def test_the_core_imports_no_face(path: Path) -> None:
    assert {name.split(".")[0] for name in imported(path)} & FACES == set()


def test_no_room_but_the_readers_knows_a_reader() -> None:
    """The others know `base` (which files can be read), `isolate` (who reads them) and `source` (by which options)."""
    inside = {path.stem for path in (ROOT / "localrag/ingest/readers").glob("*.py")} - {
        "__init__",
        "base",
        "cleaning",
        "isolate",
        "source",
    }
    assert "pdf" in inside
    for path in MODULES:
        if path.parent.name != "readers":
            reached = {name.split(".")[2] for name in imported(path) if name.startswith("localrag.ingest.readers.")}
            named = re.findall(r"localrag\.readers\.(\w+)", path.read_text(encoding="utf-8"))
            assert (reached | set(named)) & inside == set(), name_of(path)


HEAVY_CHECK = """
import sys
sys.argv = ["localrag", {option!r}]
{statement}
print("HEAVY", sorted({heavy!r} & set(sys.modules)))
"""
RUN = "from localrag.cli import main\ntry: main()\nexcept SystemExit as stop: assert stop.code == 0, stop.code"


@pytest.mark.parametrize(
    ("statement", "option"), [("import localrag", ""), (RUN, "--help"), (RUN, "--version"), (RUN, "-h")]
)
def test_help_and_version_and_import_load_nothing_heavy(statement: str, option: str) -> None:
    code = HEAVY_CHECK.format(statement=statement, option=option, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"


# --- writes and prints --------------------------------------------------------------------------------------

# (file, call) -> why it may stand outside the vault.
ALLOWED_WRITES = {
    ("localrag/ingest/scan.py", "os.open"): "opens for reading, without waiting for who writes to a pipe",
    ("localrag/store/import_library.py", "os.open"): "opens for reading, and no link or pipe",
    ("localrag/store/import_library.py", "sqlite3.connect"): "the tables as they shall be, in memory",
    (
        "localrag/security/offline/landlock.py",
        "os.open",
    ): "names a file to the kernel (O_PATH), without opening what is in it",
    ("localrag/cli/installer.py", "os.write"): "an order through a pipe",
    ("localrag/security/offline/viewer_process.py", "os.write"): "writes to a pipe",
    (
        "localrag/security/storage.py",
        "sqlite3.connect",
    ): "a database in memory, to tell the engine what it shall not say",
    ("localrag/ingest/readers/marks.py", ".ZipFile()"): "packs a workbook into memory",
    ("localrag/sessions/export/docx.py", ".save()"): "writes a document into memory",
    ("localrag/evaluation/injections/files.py", ".ZipFile()"): "packs a document into memory",
    (
        "localrag/models/sources.py",
        ".hf_hub_download()",
    ): "the hub's library fills the folder that the vault made; "
    "the vault moves the file from there once its hash is right",
}


def test_every_persistent_write_goes_through_the_vault() -> None:
    found = {
        (name_of(path), what): line
        for path in MODULES
        if path.name != "vault.py"
        for line, what in writes(path.read_text(encoding="utf-8"))
    }
    outside = [f"{file}:{line} {what}" for (file, what), line in found.items() if (file, what) not in ALLOWED_WRITES]
    assert outside == [], "write through localrag.security.storage, or add an exception with its reason"
    assert ALLOWED_WRITES.keys() - found.keys() == set(), "these exceptions are no longer needed"


SAMPLES = [
    "open('f', 'w')",
    "open('f', mode='ab')",
    "open('f', 'r+')",
    "open('f', mode)",
    "path.open('wb')",
    "path.open(mode='x')",
    "import io\nio.open('f', 'w')",
    "import gzip\ngzip.open('f', 'wb')",
    "import zipfile\nzipfile.ZipFile('f', 'w')",
    "import tarfile\ntarfile.open('f', 'w:gz')",
    *(f"path.{name}()" for name in ("write_text", "write_bytes", "touch", "mkdir", "rmdir", "unlink", "chmod")),
    "path.rename(other)",
    "path.replace(other)",
    "path.symlink_to(other)",
    *(f"import os\nos.{name}('f')" for name in ("open", "remove", "unlink", "makedirs", "mkdir", "rmdir")),
    "import os\nos.rename('a', 'b')",
    "import os\nos.replace('a', 'b')",
    "import os as system\nsystem.replace('a', 'b')",
    "from os import replace\nreplace('a', 'b')",
    "import shutil\nshutil.rmtree('f')",
    "from shutil import copyfile",
    "import tempfile\ntempfile.mkdtemp()",
    "from tempfile import TemporaryDirectory",
    "import sqlite3\nsqlite3.connect('f')",
    "import faiss\nfaiss.write_index(index, 'f')",
    "import numpy as np\nnp.save('f', array)",
    "import numpy as np\nnp.savez('f', array)",
    "import numpy as np\nnp.memmap('f')",
    "array.tofile('f')",
    "import json\njson.dump(value, stream)",
    "import pickle\npickle.dump(value, stream)",
    "image.save('f')",
    "import torch\ntorch.save(value, 'f')",
    "model.save_pretrained('f')",
    "huggingface_hub.hf_hub_download('r', 'f')",
    "path.open(mode)",
    "llama_cpp.llama_state_seq_save_file(context, 'f')",
    "archive.extractall('f')",
    "import logging\nlogging.FileHandler('f')",
]
HARMLESS = [
    "open('f')",
    "open('f', 'rb')",
    "open('f', encoding='utf-8')",
    "path.open('rb')",
    "path.open()",
    "pdf.open('wax.pdf')",
    "text.replace('a', 'b')",
    "replace(settings, passages=3)",
    "moment.replace(tzinfo=None)",
    "from localrag.security import storage as vault\nvault.write_bytes(path, b'')",
    "from localrag.security import storage as vault\nvault.connect(path, write=True)",
    "import json\njson.dumps(value)",
    "import os\nos.environ.get('a')",
    "import os\nos.path.join('a', 'b')",
    "import shutil\nshutil.which('a')",
    "import zipfile\nzipfile.ZipFile('f')",
    "import os\nos.open(os.devnull, os.O_WRONLY)",
    "library.touch(document, size, time)",
    "Library.open(folder, name, write=True)",
    "self.save(turn)",
]


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_scan_finds_every_kind_of_write(sample: str) -> None:
    assert list(writes(sample)) != []


@pytest.mark.parametrize("sample", HARMLESS)
def test_the_scan_passes_what_only_reads(sample: str) -> None:
    assert list(writes(sample)) == []


def prints(source: str) -> Iterator[int]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "pprint", "sys.stdout.write"):
            yield node.lineno
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("sys.stderr.write", "warnings.warn"):
            yield node.lineno


@pytest.mark.parametrize("path", [path for path in MODULES if not is_face(path)], ids=name_of)
def test_only_the_faces_print(path: Path) -> None:
    assert list(prints(path.read_text(encoding="utf-8"))) == []


def test_the_scan_for_prints_finds_one() -> None:
    assert list(prints("import sys\nprint(1)\nsys.stdout.write('x')\nsys.stderr.write('x')")) == [2, 3, 4]


# --- names and sizes ----------------------------------------------------------------------------------------


def test_the_public_names_are_these() -> None:
    expected = ["Answer", "Citation", "LocalragError", "Passage", "ask", "offline", "open_library"]
    assert localrag.__all__ == expected
    assert [name for name in dir(localrag) if not name.startswith("__")] == expected
    for name in expected:
        assert getattr(localrag, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        _ = localrag.nonsense


def test_no_file_is_longer_than_a_head_holds() -> None:
    folders = ("localrag", "tests", "docs", "benchmarks")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".tcss")]
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: length for name, length in lengths.items() if length > 500} == {}


def tracked() -> list[Path]:
    """Every file that is or would be in the repository."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def test_no_file_names_a_registry_or_a_private_path() -> None:
    # Put together from pieces, so that this file does not hold them itself.
    hosts = ["pypi" + ".org", "pythonhosted" + ".org", "pypi" + ".python", "anaconda" + ".org"]
    paths = ["/work" + "/", "/tmp" + "/lr", "/opt" + "/wheels", "/root" + "/", "/home" + "/"]
    pattern = re.compile("|".join(map(re.escape, hosts)) + r"|(?<![\w.~-])(?:" + "|".join(map(re.escape, paths)) + ")")
    for inside in ("see https://pypi" + ".org/x", '"/work' + '/shared"', "cd /root" + "/x"):
        assert pattern.search(inside)
    assert len(tracked()) > 20
    for path in tracked():
        text = path.read_bytes().decode("utf-8", "replace")
        hit = pattern.search(text)
        assert hit is None, f"{name_of(path)} names {hit[0] if hit else ''}"
