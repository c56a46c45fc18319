import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import localrag

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "localrag").rglob("*.py"))
HEAVY = set("torch llama_cpp faiss textual sentence_transformers transformers numpy rich huggingface_hub tqdm".split())


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_import_help_version_and_a_list_load_nothing_heavy():
    code = f"""
import sys
import localrag
from localrag.__main__ import main
for words in ("--help", "-h", "--version", "models list"):
    sys.argv = ["localrag", *words.split()]
    try:
        main()
    except SystemExit as stop:
        assert stop.code == 0, stop.code
print(sorted({HEAVY} & set(sys.modules)))
"""
    assert python(code) == "[]"


def test_what_commands_import_before_files_are_limited_starts_no_thread():
    # numpy's threads would keep what a limit comes too late for; `review` and `dates` need these before.
    code = f"""
import sys
import localrag.items.playbook, localrag.items.schema, localrag.sessions.export.reports, localrag.sessions.table_export
print(sorted({HEAVY} & set(sys.modules)))
"""
    assert python(code) == "[]"


def test_importing_what_answers_compiles_no_large_pattern():
    code = """
import re, sys
real, sizes = re.compile, []
re.compile = lambda pattern, flags=0: sizes.append(len(pattern)) or real(pattern, flags)
import localrag.api, localrag.answer.checking, localrag.answer.exact_search
import localrag.answer.table_qa.calculation, localrag.answer.checks.conflicts
print(max(sizes), {"localrag.models.sources", "localrag.sessions"} & set(sys.modules))
"""
    largest, loaded = python(code).split(maxsplit=1)
    assert int(largest) < 1000 and loaded == "set()"


def test_only_cli_and_app_know_the_terminal():
    """Of `print`, ruff says so."""
    knows = re.compile(r"^\s*(from|import) (click|rich|textual)\b|\b(sys\.std(out|err)\.write|warnings\.warn)\(", re.M)
    faces = ("localrag/cli/", "localrag/tui/", "localrag/__main")
    core = [path for path in MODULES if not name_of(path).startswith(faces)]
    assert [name_of(path) for path in core if knows.search(path.read_text(encoding="utf-8"))] == []


WRITING_FUNCTIONS = re.compile(
    r"os\.(open|write|rename|renames|replace|remove|unlink|link|symlink|makedirs|mkdir|rmdir|truncate|chmod|mkfifo)"
    r"|shutil\.(copy\w*|move|rmtree|unpack_archive|make_archive)|tempfile\.(?!gettempdir)\w+|sqlite3\.connect"
    r"|(json|pickle|marshal)\.dump|(np|numpy)\.(save\w*|memmap)|torch\.save|faiss\.write_\w+|logging\.FileHandler"
    r"|.*\.(write_text|write_bytes|touch|mkdir|rmdir|unlink|symlink_to|hardlink_to|rename|chmod|tofile|extractall"
    r"|save_pretrained|snapshot_download|hf_hub_download|llama_state_seq_save_file)"
)
OPENING = ("open", "ZipFile", "TarFile", "GzipFile")
# Only files with such a word are parsed.
SUSPECT = re.compile(rf"({WRITING_FUNCTIONS.pattern.replace('.*', '')}|{'|'.join(OPENING)})\(")
MODE = re.compile(r"[rbt]*[wax+][rbtwax+:gz]*")
# (file, call) -> why it does not go through localrag.security.storage
ALLOWED_WRITES = {
    ("localrag/store/exported.py", "sqlite3.connect"): "in memory",
    ("localrag/store/data_sheets.py", "sqlite3.connect"): "in memory",
    ("localrag/ingest/scan.py", "os.open"): "opens for reading, without waiting for a pipe's writer",
    ("localrag/ingest/readers/source.py", "os.open"): "opens a document for reading",
    ("localrag/settings.py", "os.open"): "opens for reading, and follows no link",
    ("localrag/security/offline/kernel.py", "os.open"): "names a file to the kernel (O_PATH)",
    ("localrag/ingest/cluster.py", "tempfile.mkdtemp"): "makes the folder of Ray's sockets, with a short path",
    ("localrag/security/offline/kernel.py", "open"): "maps this process's user in /proc",
    ("localrag/security/offline/remote.py", "os.open"): "names a socket to the kernel (O_PATH)",
    (
        "localrag/proofs/evidence.py",
        "Path(f'/proc/sys/net/ipv6/conf/{name}/disable_ipv6').write_text",
    ): "sets an interface of its own namespace in /proc",
    ("localrag/ingest/readers/sheets.py", "zipfile.ZipFile"): "packs a workbook into memory",
    ("localrag/redline/tracked.py", "zipfile.ZipFile"): "packs a Word file into memory",
    ("localrag/sessions/table_export.py", "sqlite3.connect"): "makes a database in memory",
    ("localrag/proofs/attempts.py", "os.open"): "opens a device to see that it is refused",
    ("localrag/proofs/attempts.py", "(at.inside / OTHER_LIBRARY).chmod"): "is refused",
    ("localrag/proofs/attempts.py", "os.write"): "writes to a socket, and is refused",
    ("localrag/models/sources.py", "huggingface_hub.hf_hub_download"): "fills a folder that storage made; storage "
    "moves the file once its hash matches",
}


def writes(path):
    """Calls that may write to the disk, by name; storage's own functions are meant to be called."""
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)) if SUSPECT.search(text) else ():
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
        given = [*node.args, *(word.value for word in node.keywords)]
        modes = [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        called = ast.unparse(node.func)
        if called.startswith(("storage.", "vault.", "self.")) or any(ast.unparse(one) == "os.devnull" for one in given):
            continue
        opens = name in OPENING
        if WRITING_FUNCTIONS.fullmatch(called) or (opens and any(MODE.fullmatch(mode) for mode in modes)):
            yield called


def test_every_write_goes_through_storage():
    found = {(name_of(path), call) for path in MODULES if path.name != "storage.py" for call in writes(path)}
    assert found - ALLOWED_WRITES.keys() == set()
    assert ALLOWED_WRITES.keys() - found == set(), "no longer needed"


def test_the_scan_for_writes_finds_each(tmp_path):
    lines = ["open('f', 'w')", "path.open('ab')", "os.replace(a, b)", "path.write_text('x')"]
    harmless = ["open('f')", "storage.write_bytes(path, b'')", "text.replace('a', 'b')"]
    (tmp_path / "sample.py").write_text("\n".join([*lines, *harmless]))
    assert len(list(writes(tmp_path / "sample.py"))) == len(lines)


def test_the_public_names_are_these():
    expected = ["Answer", "Citation", "LocalragError", "Passage", "ask", "extract", "offline", "open_library"]
    assert localrag.__all__ == expected
    assert [name for name in dir(localrag) if not name.startswith("__")] == expected
    assert all(getattr(localrag, name) for name in expected)
    with pytest.raises(AttributeError):
        _ = localrag.nonsense


def test_what_the_package_says_to_call_is_there():
    called = {
        name
        for path in (ROOT / "localrag").rglob("*.py")
        for name in re.findall(r"localrag(?:\.[a-z_]+)+(?=\(\))", path.read_text("utf-8"))
    }
    assert "localrag.offline.confine" in called
    for name in called:  # one import makes what another needs
        code = f"import localrag\nassert callable({name})"
        subprocess.run([sys.executable, "-P", "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_no_file_names_a_registry_or_a_private_path():
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
