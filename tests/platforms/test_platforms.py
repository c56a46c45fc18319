"""What can be held of macOS and Windows without such a machine; docs/platforms.md says what cannot."""

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from localrag.errors import UsageError
from localrag.models.catalog import CATALOG
from localrag.store import names

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
# In one process, because each takes seconds to import what it needs.
_THERE = """
import importlib, pkgutil, sys
from pathlib import Path
from click.testing import CliRunner
import localrag
from localrag.cli.app import localrag as command
from localrag.worker import resident

def run(*words):
    done = CliRunner().invoke(command, words)
    assert done.exit_code == 0, (words, done.output, done.exception)
    return done.output

run("ingest", sys.argv[1])
assert "14 March 2031" in run("search", "When does the lease end?")
assert "only Linux" in run("doctor")
run("forget", "papers", "--document", "roof.html", "--yes")
assert "roof" not in run("status", "papers")
found = [each.name for each in pkgutil.walk_packages(localrag.__path__, "localrag.") if each.name != "localrag.__main__"]
for name in found:
    importlib.import_module(name)
assert len(found) > 200 and resident.sys.platform == "linux", found
print(resident.connect.__code__.co_consts)  # the branches are those of the other system
"""


@pytest.fixture(params=["win32", "darwin"])
def there(request, monkeypatch):
    monkeypatch.setenv("AS_PLATFORM", request.param)
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    return str(request.param)


@pytest.mark.model
@pytest.mark.slow
def test_every_module_is_imported_and_a_folder_read_and_searched_there(there, tmp_path):
    papers = tmp_path / "papers"
    papers.mkdir()
    (papers / "lease.txt").write_text("The lease of Harbour House ends on 14 March 2031.", "utf-8")
    (papers / "roof.html").write_text("<p>The tenant keeps the roof in repair.</p>", "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _THERE, str(papers)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert there in done.stdout


@cache
def calls():
    files = [(path, ast.parse(path.read_text("utf-8"))) for path in (ROOT / "localrag").rglob("*.py")]
    return [(path, node) for path, tree in files for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_text_files_name_their_encoding():
    """On Windows the default is that of the country."""
    kinds = {"read_text": 0, "write_text": 1}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, node in calls()
        if isinstance(node.func, ast.Attribute)
        and node.func.attr in kinds
        and len(node.args) <= kinds[node.func.attr]
        and not any(one.arg == "encoding" for one in node.keywords)
    ]
    assert not found


def test_dates_are_formatted_as_every_system_can():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path, node in calls()
        if "strftime" in ast.unparse(node.func)
        and any(isinstance(one, ast.Constant) and re.search(r"%[-#]", str(one.value)) for one in node.args)
    ]
    assert not found


def test_names_of_our_files_can_be_made_on_windows():
    done = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=False, cwd=ROOT)
    if done.returncode:
        pytest.skip("this is not a clone")
    paths = [Path(os.fsdecode(each)) for each in done.stdout.split(b"\0") if each]
    parts = {part for path in paths for part in path.parts}
    assert not [
        part for part in parts if re.search(r'[<>:"|?*\\\x00-\x1f]|[ .]$', part) or names.RESERVED.fullmatch(part)
    ]
    assert not [path for path in paths if len(str(path)) > 160]  # 260 with the folder of the clone
    assert max(Counter(str(path).casefold() for path in paths).values()) == 1


def test_names_of_models_can_be_folders_on_windows():
    ids = [card.id for card in CATALOG]
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9._-]*[a-z0-9]", one) and not names.RESERVED.fullmatch(one) for one in ids)


@pytest.mark.parametrize("name", ["con", "NUL", "Aux.old", "lpt1", "COM¹"])
def test_names_of_devices_are_refused_on_windows(name, monkeypatch):
    assert names.check_name(name) == name
    monkeypatch.setattr(sys, "platform", "win32")
    assert names.check_name("contracts") == "contracts"
    with pytest.raises(UsageError):
        names.check_name(name)
