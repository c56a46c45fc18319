"""Finds the calls by which a module could write to the disk; `test_structure.py` leaves them to vault.py.

It reads names, not types: a write through a name it does not know passes it. What it knows is listed below,
and each kind has a sample in the test.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

# Functions of modules, by the module's real name.
MODULE_WRITES = {
    "os": {"open", "write", "rename", "renames", "replace", "remove", "unlink", "link", "symlink"}
    | {"makedirs", "mkdir", "rmdir", "removedirs", "truncate", "chmod", "mkfifo"},
    "shutil": {"copy", "copy2", "copyfile", "copyfileobj", "copytree", "move", "rmtree", "unpack_archive"}
    | {"make_archive"},
    "tempfile": {"TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "TemporaryDirectory"}
    | {"mkstemp", "mkdtemp", "mktemp"},
    "sqlite3": {"connect"},
    "json": {"dump"},
    "pickle": {"dump"},
    "marshal": {"dump"},
    "joblib": {"dump"},
    "numpy": {"save", "savez", "savez_compressed", "savetxt", "memmap"},
    "torch": {"save"},
    "faiss": {"write_index", "write_index_binary"},
    "logging": {"FileHandler", "basicConfig"},
    "shelve": {"open"},
    "dbm": {"open"},
}
# Methods whose name alone says that they write.
METHODS = (
    {"write_text", "write_bytes", "touch", "mkdir", "rmdir", "unlink", "symlink_to", "hardlink_to", "rename"}
    | {"chmod", "tofile", "extractall", "savefig"}
    | {"save_pretrained", "snapshot_download", "hf_hub_download"}
)
# Methods that write only when called like this; `text.replace(a, b)` and `replace(value, x=1)` are not meant.
ONE_ARGUMENT = {"replace", "save"}
OPENERS = {"open", "ZipFile", "TarFile", "GzipFile"}
MODE = re.compile(r"[rbtwax+:gz2]{1,5}")


def writes(source: str) -> Iterator[tuple[int, str]]:
    """Line and name of each call in `source` that could write to the disk."""
    tree = ast.parse(source)
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {(name.asname or name.name.split(".")[0]): name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module in MODULE_WRITES:
            taken = MODULE_WRITES[node.module] & {name.name for name in node.names}
            yield from ((node.lineno, f"{node.module}.{name}") for name in sorted(taken))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (what := _writes(node, modules)):
            yield node.lineno, what


def _writes(call: ast.Call, modules: dict[str, str]) -> str | None:
    function = call.func
    if isinstance(function, ast.Name):
        name, base = function.id, ""
    elif isinstance(function, ast.Attribute):
        name, base = function.attr, ast.unparse(function.value)
    else:
        return None
    module = modules.get(base, base)
    if module == "vault" or (call.args and ast.unparse(call.args[0]) == "os.devnull"):
        return None
    if name in MODULE_WRITES.get(module, ()):
        return f"{module}.{name}"
    if name in OPENERS and _may_write(call, is_function=not base or module in ("io", "gzip", "tarfile", "zipfile")):
        return f"{base and '.'}{name}()"
    # llama.cpp saves its states by functions of this ending; a method of our own may be called `touch`.
    known = name in METHODS and not (name == "touch" and len(call.args) > 1)
    if name.endswith("_save_file") or (base and known):
        return f".{name}()"
    if base not in ("", "self") and name in ONE_ARGUMENT and len(call.args) == 1 and not call.keywords:
        return f".{name}()"
    return None


def _may_write(call: ast.Call, *, is_function: bool) -> bool:
    """Whether a call of an opener has a mode that writes, or one that cannot be read here."""
    named = [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    place = 1 if is_function else 0
    for mode in named or call.args[place : place + 1]:
        if not isinstance(mode, ast.Constant):
            return is_function or bool(named) or ast.unparse(mode) == "mode"
        text = mode.value
        return isinstance(text, str) and bool(MODE.fullmatch(text)) and bool(set(text) & set("wax+"))
    return False
