"""The shape of the package: who imports, writes and prints what, and what its public names are."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import localrag

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "localrag").rglob("*.py"))
HEAVY = {"torch", "llama_cpp", "faiss", "textual", "sentence_transformers", "transformers", "numpy", "rich"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


CORE = [path for path in MODULES if not name_of(path).startswith(("localrag/cli/", "localrag/tui/", "localrag/__main"))]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


# --- imports ------------------------------------------------------------------------------------------------


def test_rooms_import_one_way_and_without_cycles() -> None:
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "2 kept" in done.stdout, done.stdout + done.stderr


def test_the_core_imports_no_terminal_library() -> None:
    for path in CORE:
        for node in ast.walk(tree(path)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [name.name for name in node.names] if isinstance(node, ast.Import) else []
            assert {name.split(".")[0] for name in names} & {"click", "textual", "rich"} == set(), name_of(path)


RUN = "from localrag.cli import main\ntry: main()\nexcept SystemExit as stop: assert stop.code == 0, stop.code"


@pytest.mark.parametrize(
    ("statement", "option"), [("import localrag", ""), (RUN, "--help"), (RUN, "--version"), (RUN, "-h")]
)
def test_help_version_and_import_load_nothing_heavy(statement: str, option: str) -> None:
    code = f"import sys\nsys.argv = ['localrag', {option!r}]\n{statement}\nprint('HEAVY', sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "HEAVY []", done.stdout[-500:] + done.stderr


def test_importing_what_answers_compiles_no_large_pattern() -> None:
    code = (
        "import re, sys\nreal, sizes = re.compile, []\n"
        "re.compile = lambda pattern, flags=0: sizes.append(len(pattern)) or real(pattern, flags)\n"
        "import localrag.api, localrag.answer.checking, localrag.answer.exact.search\n"
        "import localrag.answer.table_qa.calculation, localrag.answer.checks.conflicts\n"
        "print(max(sizes), {'localrag.models.sources', 'localrag.sessions'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    largest, loaded = done.stdout.split(maxsplit=1)
    assert int(largest) < 1000 and loaded.strip() == "set()"


# --- writes and prints --------------------------------------------------------------------------------------

WRITING_FUNCTIONS = re.compile(
    r"os\.(open|write|rename|renames|replace|remove|unlink|link|symlink|makedirs|mkdir|rmdir|truncate|chmod|mkfifo)"
    r"|shutil\.(copy\w*|move|rmtree|unpack_archive|make_archive)|tempfile\.(?!gettempdir)\w+|sqlite3\.connect"
    r"|(json|pickle|marshal)\.dump|(np|numpy)\.(save\w*|memmap)|torch\.save|faiss\.write_\w+|logging\.FileHandler"
    r"|.*\.(write_text|write_bytes|touch|mkdir|rmdir|unlink|symlink_to|hardlink_to|rename|chmod|tofile|extractall"
    r"|save_pretrained|snapshot_download|hf_hub_download|llama_state_seq_save_file)"
)
# (file, call) -> why it does not go through localrag.security.storage
ALLOWED_WRITES = {
    ("localrag/ingest/scan.py", "os.open"): "opens for reading, without waiting for a pipe's writer",
    ("localrag/ingest/readers/source.py", "os.open"): "opens a document for reading",
    ("localrag/security/offline/landlock.py", "os.open"): "names a file to the kernel (O_PATH)",
    ("localrag/ingest/cluster.py", "tempfile.mkdtemp"): "makes the folder of Ray's sockets, with a short path",
    ("localrag/security/offline/private_network.py", "open"): "maps this process's user in /proc",
    ("localrag/security/offline/remote.py", "os.open"): "names a socket to the kernel (O_PATH)",
    ("localrag/ingest/readers/sheets.py", "zipfile.ZipFile"): "packs a workbook into memory",
    ("localrag/items/table_export.py", "sqlite3.connect"): "makes a database in memory",
    ("localrag/proofs/attempts.py", "os.open"): "opens a device to see that it is refused",
    ("localrag/proofs/attempts.py", "(at.inside / OTHER_LIBRARY).chmod"): "is refused",
    ("localrag/proofs/attempts.py", "os.write"): "writes to a socket, and is refused",
    ("localrag/models/sources.py", "huggingface_hub.hf_hub_download"): "fills a folder that storage made; storage "
    "moves the file once its hash matches",
}


def writes(path: Path) -> Iterator[str]:
    """Calls that may write to the disk, by name; storage's own functions are meant to be called."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            called = ast.unparse(node.func)
            modes = [
                value.value
                for value in (*node.args, *(word.value for word in node.keywords))
                if isinstance(value, ast.Constant) and isinstance(value.value, str)
            ]
            opens = called.rpartition(".")[2] in ("open", "ZipFile", "TarFile", "GzipFile")
            if (
                not called.startswith(("storage.", "vault.", "self."))
                and "os.devnull" not in ast.unparse(node)
                and (
                    WRITING_FUNCTIONS.fullmatch(called)
                    or (opens and any(re.fullmatch(r"[rbt]*[wax+][rbtwax+:gz]*", mode) for mode in modes))
                )
            ):
                yield called


def test_every_write_goes_through_storage() -> None:
    found = {(name_of(path), call) for path in MODULES if path.name != "storage.py" for call in writes(path)}
    assert found - ALLOWED_WRITES.keys() == set()
    assert ALLOWED_WRITES.keys() - found == set(), "no longer needed"


@pytest.mark.parametrize("line", ["open('f', 'w')", "path.open('ab')", "os.replace(a, b)", "path.write_text('x')"])
def test_the_scan_for_writes_finds_one(tmp_path: Path, line: str) -> None:
    (tmp_path / "sample.py").write_text(f"{line}\nopen('f')\nstorage.write_bytes(path, b'')\ntext.replace('a', 'b')\n")
    assert len(list(writes(tmp_path / "sample.py"))) == 1


def test_only_cli_and_app_print() -> None:
    for path in CORE:
        calls = {ast.unparse(node.func) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)}
        printing = {"print", "pprint", "sys.stdout.write", "sys.stderr.write", "warnings.warn"}
        assert calls & printing == set(), name_of(path)


# --- names --------------------------------------------------------------------------------------------------


def test_the_public_names_are_these() -> None:
    expected = ["Answer", "Citation", "LocalragError", "Passage", "ask", "extract", "offline", "open_library"]
    assert localrag.__all__ == expected
    assert [name for name in dir(localrag) if not name.startswith("__")] == expected
    for name in expected:
        assert getattr(localrag, name) is not None
    with pytest.raises(AttributeError):
        _ = localrag.nonsense


def test_no_file_names_a_registry_or_a_private_path() -> None:
    # In pieces, so that this file does not hold them itself.
    hosts = ["pypi" + ".org", "pythonhosted" + ".org", "pypi" + ".python", "anaconda" + ".org"]
    paths = ["/work" + "/", "/tmp" + "/lr", "/opt" + "/wheels", "/root" + "/", "/home" + "/"]
    pattern = re.compile("|".join(map(re.escape, hosts)) + r"|(?<![\w.~-])(?:" + "|".join(map(re.escape, paths)) + ")")
    assert pattern.search('"/work' + '/shared"')
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    files = [ROOT / name for name in listed.split("\0") if name]
    assert len(files) > 20
    for path in files:
        if path.is_file() and not path.is_symlink():
            hit = pattern.search(path.read_bytes().decode("utf-8", "replace"))
            assert hit is None, f"{name_of(path)} names {hit[0] if hit else ''}"
