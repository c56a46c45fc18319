"""Opening files: which viewer, at which page, and what is never opened. Nothing is started but by its own test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from localrag.errors import SettingsError
from localrag.tui import viewing
from localrag.tui.viewing import NoViewer, command

SCREEN = {"DISPLAY": ":0"}
PDF = Path("/docs/a b;c.pdf")


def opening(file=PDF, page=12, *, there=("xdg-open", "evince", "okular", "open", "firefox"), **how):
    given = {
        "environment": SCREEN,
        "platform": "linux",
        "which": lambda name: f"/bin/{name}" if name in there else None,
    }
    return command(file, page, **(given | how))


@pytest.mark.parametrize(
    ("default", "expected"),
    [
        ("evince", ("/bin/evince", "--page-index=12", str(PDF))),
        ("okular", ("/bin/okular", "--page", "12", str(PDF))),
        ("firefox", ("/bin/firefox", "file:///docs/a%20b%3Bc.pdf#page=12")),
        ("", ("/bin/evince", "--page-index=12", str(PDF))),
    ],
)
def test_viewer_of_the_system_is_asked_for_the_page(default, expected):
    found = opening(default=lambda: default)
    assert found.arguments == expected and found.at_page


def test_viewer_that_takes_no_page_is_opened_without_and_that_is_known():
    assert opening(default=lambda: "unknown-viewer") == viewing.Command(("/bin/xdg-open", str(PDF)), False)
    assert opening(platform="darwin").arguments == ("/bin/open", str(PDF))
    assert not opening(Path("/docs/a.docx"), None).at_page


def test_own_viewer_gets_file_and_page_as_single_arguments():
    found = opening(setting="myviewer --at={page} {file} --quiet", environment={})
    assert found.arguments == ("myviewer", "--at=12", str(PDF), "--quiet") and found.at_page
    strange = Path("/docs/{page}.pdf")
    assert opening(strange, 3, setting="v {file}").arguments == ("v", str(strange))


@pytest.mark.parametrize("setting", ["evince", "evince 'un{file}", "{file}"])
def test_setting_that_makes_no_sense_is_refused_with_an_example(setting):
    with pytest.raises(SettingsError) as caught:
        opening(setting=setting)
    assert "evince -i {page} {file}" in caught.value.hint


@pytest.mark.parametrize("platform", ["linux", "win32", "darwin"])
@pytest.mark.parametrize("name", ["run.bat", "a.py", "b.JS", "c.desktop", "d.ps1", "e.sh"])
def test_what_a_system_would_run_is_not_opened(platform, name):
    with pytest.raises(NoViewer) as caught:
        opening(Path("/docs") / name, None, platform=platform)
    assert f"/docs/{name}" in caught.value.hint


@pytest.mark.parametrize(
    ("environment", "said"),
    [({}, "no graphical screen"), ({"SSH_CONNECTION": "1 2 3 4"}, "connected from another machine")],
)
def test_without_a_screen_the_path_is_told(environment, said):
    with pytest.raises(NoViewer) as caught:
        opening(environment=environment)
    assert said in caught.value.message and f"{PDF}, page 12" in caught.value.hint


def test_ssh_with_a_display_of_its_own_opens():
    assert opening(environment={"SSH_CONNECTION": "1 2 3 4", "DISPLAY": "localhost:10"}).at_page


def test_without_any_opener_the_setting_is_named():
    with pytest.raises(NoViewer) as caught:
        opening(there=())
    assert "viewer =" in caught.value.hint


def test_a_viewer_that_fails_is_reported_and_one_that_runs_left_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(viewing, "START_SECONDS", 20.0)
    with pytest.raises(NoViewer, match="exit code 3"):
        viewing.start(viewing.Command((sys.executable, "-c", "raise SystemExit(3)"), False))
    with pytest.raises(NoViewer, match="cannot be started"):
        viewing.start(viewing.Command((str(tmp_path / "nothing"), "x"), False))
    viewing.start(viewing.Command((sys.executable, "-c", "pass"), False))
    monkeypatch.setattr(viewing, "START_SECONDS", 0.01)
    viewing.start(viewing.Command((sys.executable, "-c", "import time; time.sleep(1)"), False))


def test_viewer_learns_no_passphrase(monkeypatch, tmp_path):
    monkeypatch.setenv("LOCALRAG_SECRET", "hush")
    monkeypatch.setattr(viewing, "START_SECONDS", 20.0)
    told = tmp_path / "told"
    code = f"import os, pathlib; pathlib.Path({str(told)!r}).write_text(os.environ.get('LOCALRAG_SECRET', 'nothing'))"
    viewing.start(viewing.Command((sys.executable, "-c", code), False))
    assert told.read_text() == "nothing"
