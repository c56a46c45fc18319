import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import localrag
from localrag.cli import doctor

PACKAGE = Path(localrag.__file__).parent
ISOLATED = ("-I", "-P")
# Through a shell, or without -P.
FORBIDDEN = re.compile(
    r"os\.(system|popen|spawn\w+)|asyncio\.create_subprocess_shell"
    r"|(multiprocessing|futures|concurrent\.futures)\.(Process|Pool|ProcessPoolExecutor|get_context)"
)


def starts(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.List | ast.Tuple):
            for word, after in zip(node.elts, [*node.elts, None][1:], strict=True):
                named = (
                    isinstance(node, ast.List)
                    and word is node.elts[0]
                    and ast.unparse(word) in ("'python'", "'python3'", "'py'")
                )
                if named or ast.unparse(word) == "sys.executable":
                    yield word.lineno, isinstance(after, ast.Constant) and after.value in ISOLATED
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if FORBIDDEN.fullmatch(name) or any(word.arg in ("shell", "executable") for word in node.keywords):
                yield node.lineno, False
            if name not in ("Path", "os.execve") and "sys.executable" in map(ast.unparse, node.args):
                yield node.lineno, False
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                if FORBIDDEN.fullmatch(f"{node.module}.{name.name}"):
                    yield node.lineno, False


@pytest.mark.slow
def test_every_interpreter_is_isolated():
    found = {
        f"{file.relative_to(PACKAGE)}:{line}": isolated
        for file in PACKAGE.rglob("*.py")
        for line, isolated in starts(ast.parse(file.read_text(encoding="utf-8")))
    }
    assert len(found) > 5 and [place for place, isolated in found.items() if not isolated] == []


def test_doctor_imports_nothing_from_the_current_folder(tmp_path, settings, monkeypatch):
    (tmp_path / "received").mkdir()
    for name in ("json", "llama_cpp", "localrag", "pathlib", "sitecustomize", "usercustomize"):
        (tmp_path / "received" / f"{name}.py").write_text(f"open({str(tmp_path / 'pwned')!r}, 'w').close()")
    monkeypatch.chdir(tmp_path / "received")
    monkeypatch.setattr("localrag.llm.loading.generator_arguments", lambda settings: {})
    list(doctor._llama(settings))
    assert not (tmp_path / "pwned").exists()


@pytest.mark.skipif(os.name != "posix", reason="localrag starts itself again on POSIX systems")
@pytest.mark.proves("policy")
def test_no_module_of_the_environment_loosens_a_policy(tmp_path):
    code = "from localrag import policy\npolicy.check_export = lambda what: None\n"
    (tmp_path / "sitecustomize.py").write_text(code)
    environ = {
        **os.environ,
        "LOCALRAG_POLICY": str(tmp_path / "policy.toml"),
        "PYTHONPATH": os.pathsep.join((str(tmp_path), str(PACKAGE.parent))),
    }
    command = [sys.executable, "-m", "localrag", "audit", "export", "--out", "out.csv"]
    for policy, code in (("allow_exports = false", 9), ("", 0)):
        (tmp_path / "policy.toml").write_text(policy)
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == code and (tmp_path / "out.csv").exists() == (code == 0), done.stderr
