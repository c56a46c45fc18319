import sys
from pathlib import Path

import pytest

from localrag.errors import SettingsError
from localrag.tui import viewing
from localrag.tui.viewing import Command, NoViewer, command

SCREEN = {"DISPLAY": ":0"}
FORWARDED = {"SSH_CONNECTION": "1 2 3 4", "DISPLAY": "localhost:10"}
PDF = Path("/docs/a b;c.pdf")
STRANGE = Path("/docs/{page}.pdf")
INDEX = ("/bin/evince", "--page-index=12", str(PDF))


def opening(file=PDF, page=12, *, there=("xdg-open", "evince", "okular", "open", "firefox"), **how):
    given = {"environment": SCREEN, "platform": "linux"}
    given["which"] = lambda name: f"/bin/{name}" if name in there else None
    return command(file, page, **(given | how))


@pytest.mark.parametrize(
    ("given", "arguments", "at_page"),
    [
        ({"default": lambda: "evince"}, INDEX, True),
        ({"default": lambda: "okular"}, ("/bin/okular", "--page", "12", str(PDF)), True),
        ({"default": lambda: "firefox"}, ("/bin/firefox", "file:///docs/a%20b%3Bc.pdf#page=12"), True),
        ({}, INDEX, True),
        ({"environment": FORWARDED}, INDEX, True),
        ({"default": lambda: "unknown-viewer"}, ("/bin/xdg-open", str(PDF)), False),
        ({"platform": "darwin"}, ("/bin/open", str(PDF)), False),
        ({"file": Path("/docs/a.docx"), "page": None}, ("/bin/xdg-open", "/docs/a.docx"), False),
        ({"setting": "v --at={page} {file} -q", "environment": {}}, ("v", "--at=12", str(PDF), "-q"), True),
        ({"file": STRANGE, "page": 3, "setting": "v {file}"}, ("v", str(STRANGE)), False),
    ],
)
def test_a_viewer_is_asked_for_the_page_if_it_takes_one(given, arguments, at_page):
    assert opening(**given) == Command(arguments, at_page)


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
    ("given", "why", "hint"),
    [
        ({"environment": {}}, "no graphical screen", f"{PDF}, page 12"),
        ({"environment": {"SSH_CONNECTION": "1 2 3 4"}}, "connected from another machine", f"{PDF}, page 12"),
        ({"there": ()}, "no program to open files", "viewer ="),
    ],
)
def test_what_cannot_be_shown_is_refused_with_the_way_out(given, why, hint):
    with pytest.raises(NoViewer) as caught:
        opening(**given)
    assert why in caught.value.message and hint in caught.value.hint


def test_a_viewer_that_fails_is_reported_and_one_that_runs_left_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(viewing, "START_SECONDS", 20.0)
    with pytest.raises(NoViewer, match="exit code 3"):
        viewing.start(Command((sys.executable, "-c", "raise SystemExit(3)"), False))
    with pytest.raises(NoViewer, match="cannot be started"):
        viewing.start(Command((str(tmp_path / "nothing"), "x"), False))
    monkeypatch.setattr(viewing, "START_SECONDS", 0.01)
    viewing.start(Command((sys.executable, "-c", "import time; time.sleep(1)"), False))


def test_viewer_learns_no_passphrase(monkeypatch, tmp_path):
    monkeypatch.setenv("LOCALRAG_SECRET", "hush")
    monkeypatch.setattr(viewing, "START_SECONDS", 20.0)
    file = tmp_path / "seen"
    code = f"import os, pathlib; pathlib.Path({str(file)!r}).write_text(os.environ.get('LOCALRAG_SECRET', 'nothing'))"
    viewing.start(Command((sys.executable, "-c", code), False))
    assert file.read_text() == "nothing"


def test_a_recording_is_opened_with_the_player_of_the_system_not_the_viewer_of_pages(monkeypatch, tmp_path):
    asked = {}
    monkeypatch.setattr(
        viewing, "command", lambda file, page, **how: asked.update({file.name: how["setting"]}) or Command((), False)
    )
    monkeypatch.setattr(viewing, "start", lambda command: None)
    monkeypatch.setenv("LOCALRAG_VIEWER", "evince -i {page} {file}")
    for name in ("talk.mp3", "a.pdf"):
        viewing.show(tmp_path / name, None)
    assert asked == {"talk.mp3": None, "a.pdf": "evince -i {page} {file}"}
