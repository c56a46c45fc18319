"""`make budget` counts what the package holds, and fails where something is over its number."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = {
    "localrag/__init__.py": "",
    "localrag/types.py": "class Answer:\n    text: str\n    sure: float\n\n\nclass Page:\n    text: str\n",
    "localrag/cli/__init__.py": "",
    "localrag/cli/ask.py": "import localrag.ways as ways\n\n\ndef ask():\n    from localrag.search import deep\n    return ways, deep\n",
    "localrag/ways.py": (
        "from typing import TYPE_CHECKING\nfrom localrag.types import Answer\nif TYPE_CHECKING:\n    from localrag import unused\n\n\n"
        "def made(answer, found: Answer, page, texts):\n"
        "    replace(page, text=''), text.replace('a', 'b'), Answered(answer)\n"
        "    return [\n        Answer(''),\n        replace(answer, text=''),\n        replace(found, text=''),\n        replace(texts[0], sure=1.0),\n"
        "        Answered(replace(other, text='')),\n    ]\n"
    ),
    "localrag/unused.py": "",
    "localrag/search/__init__.py": "",
    "localrag/search/deep.py": "",
    "localrag/search/words.txt": "one\ntwo\n",
    "tests/test_it.py": "\n",
}
BUDGET = """[tool.localrag.budget]
python = 28
words = 2
files = 8
tests = 1
answers = 5
reached = { "localrag.cli.ask" = 7 }
[tool.localrag.budget.rooms]
top = [22, 0]
cli = [6, 0]
search = [0, 2]
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, text in (FILES | {"pyproject.toml": BUDGET}).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def budget(checkout: Path, *options: str) -> tuple[int, str]:
    command = [sys.executable, str(ROOT / "release/budget.py"), "--root", str(checkout), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_package_within_its_budget_passes_and_its_numbers_are_printed(checkout: Path) -> None:
    code, shown = budget(checkout)
    assert code == 0, shown
    assert budget(checkout, "--today") == (
        0,
        BUDGET.replace("[tool.localrag.budget.rooms]", "\n[tool.localrag.budget.rooms]"),
    )
    assert "localrag.search.deep" in budget(checkout, "--reached", "localrag.cli.ask")[1]
    assert "localrag/ways.py:10" in budget(checkout, "--answers")[1]


def test_what_is_over_its_number_is_named(checkout: Path) -> None:
    (checkout / "localrag/search/deep.py").write_text("x = 1  # fmt: " + "skip\n")
    (checkout / "localrag/fresh").mkdir()
    (checkout / "localrag/fresh/__init__.py").write_text("from localrag import unused\n")
    code, shown = budget(checkout)
    over = shown.split("over budget:\n")[1].splitlines()[:-1]
    assert code == 1 and over[:2] == ["fresh, Python", "search, Python"]
    assert over[2:] == ["Python in all rooms", "Python files", "localrag/search/deep.py:1 keeps the formatter away"]
