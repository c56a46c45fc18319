"""The docs are fresh: generated pages, documented commands and settings, links that lead to files."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
from scripts import script

ROOT = Path(__file__).parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def build() -> ModuleType:
    return script("docs/build.py")


def test_the_generated_pages_are_fresh() -> None:
    # In a process of its own: click keeps the help option of a command that another test has called by itself.
    checked = subprocess.run(
        [sys.executable, str(ROOT / "docs/build.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, f"run `make docs`: {checked.stdout}{checked.stderr}"


def test_the_check_names_a_stale_page_and_fails(
    build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "DOCS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["build.py", "--check"])
    for name in build.PAGES.keys() - {"commands.md"}:
        (tmp_path / name).write_text(build.PAGES[name](), encoding="utf-8")
    with pytest.raises(SystemExit, match=r"stale: docs/commands\.md"):
        build.main()
    monkeypatch.setattr(sys, "argv", ["build.py"])
    build.main()
    assert build.stale() == []


def test_pictures_refer_to_nothing_outside_themselves() -> None:
    drawn = [file.read_text(encoding="utf-8") for file in (ROOT / "docs/pictures").glob("*.svg")]
    assert drawn
    for svg in drawn:
        assert set(re.findall(r"(?:https?:)?//[^\s\"')]+", svg)) <= {"http://www.w3.org/2000/svg"}
        assert "<script" not in svg and "url(" not in svg.replace("url(#", "")


def test_every_screen_has_its_keys_documented(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    page = build.keys_page()
    assert "| Ctrl+T | Table of the last survey" in page and "| Y | Copy" in page
    monkeypatch.delitem(build.SCREENS, "ResultsScreen")
    with pytest.raises(AssertionError, match="ResultsScreen"):
        build.keys_page()


def test_the_architecture_names_every_room_and_their_order() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rooms = {path.name for path in (ROOT / "localrag").glob("*.py")} - {"__init__.py", "__main__.py"}
    rooms |= {f"{path.parent.name}/" for path in (ROOT / "localrag").glob("*/*.py")}
    column = re.findall(r"^\| (`[^|]*) \|", page.split("## Rooms")[1].split("## Order")[0], re.MULTILINE)
    assert rooms == {name for cell in column for name in re.findall(r"`([^`]+)`", cell)}

    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    assert re.findall(r"^    ([a-z_ |]+)$", page.split("## Order")[1], re.MULTILINE) == layers[::-1]


def test_relative_links_lead_to_files() -> None:
    missing = []
    for page in PAGES:
        text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        targets = [target for target in LINK.findall(text) if not re.match(r"[a-z]+:|#", target)]
        missing += [f"{page}: {one}" for one in targets if not (page.parent / one.split("#")[0]).exists()]
    assert missing == []


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split())
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert phony == set(re.findall(r"^ +make ([a-z-]+)", shown, re.MULTILINE))
