"""`localrag calibrate`: what it measures is kept and shown, told by more than colour, and gone on with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from forgetful import Forgetful

from localrag.cli.calibrate import calibrate_command
from localrag.cli.doctor import Finding, _calibration
from localrag.errors import NotFoundError, UsageError
from localrag.llm import calibration, loading
from localrag.models.manifest import InstalledModel
from localrag.models.store import ModelStore
from localrag.settings import Settings


def run(*args: object, env: dict[str, str] | None = None) -> Result:
    result = CliRunner().invoke(calibrate_command, [str(arg) for arg in args], env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def _story(words: int, start: int = 0) -> str:
    return " ".join(
        f"On day {n} the {n % 89}th barge passed the lock at noon." for n in range(start, start + words // 11)
    )


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Forgetful]:
    """Every model that was loaded, each of which reaches 2,400 words far."""
    loaded: list[Forgetful] = []

    def load(settings: Settings) -> Forgetful:
        loaded.append(Forgetful(reach=2400))
        return loaded[-1]

    installed = InstalledModel("scripted", "generator", tmp_path, "abc", "MIT", "a test", 1)
    monkeypatch.setattr(loading, "load_generator", load)
    monkeypatch.setattr(ModelStore, "default", lambda self, kind: installed)
    monkeypatch.setattr(ModelStore, "preferred", lambda self, kind: installed)
    return loaded


@pytest.fixture
def papers(folder: Callable[..., Path]) -> Path:
    return folder({"a.txt": _story(3000), "b.txt": _story(4000, 1000)})


def test_what_is_measured_is_kept_for_routing_and_shown(
    running: list[Forgetful], papers: Path, settings: Settings
) -> None:
    value = json.loads(run("--filler", papers, "--lengths", "1k,2k,4000", "--json").stdout)
    assert (value["complete"], value["effective"]["tokens"], value["effective"]["at_least"]) == (True, 2000, False)
    assert [row["length"] for row in value["lengths"]] == [1000, 2000, 4000]
    assert [row["asked"] for row in value["lengths"]] == [24, 24, 24]
    assert [one["asked"] for one in value["lengths"][0]["depths"]] == [4] * 5
    assert value["verdict"]["grade"] == "poor" and len(value["ways"]) == 3
    known = calibration.load(settings.calibration_file, "scripted")
    assert (known.effective_tokens, known.calibrated, known.weights) == (2000, True, "abc")
    assert value["answer_from"] == known.answer_from != calibration.Calibration().answer_from


def test_the_map_tells_by_numbers_and_shades_and_colour_only_where_it_is_wanted(
    running: list[Forgetful], papers: Path
) -> None:
    colours = {"FORCE_COLOR": "1", "COLUMNS": "200", "TERM": "xterm-256color"}
    args = ("--filler", papers, "--lengths", "1k,4k")
    coloured = run(*args, env=colours).stdout
    plain = run(*args, env={**colours, "NO_COLOR": "1"}).stdout
    assert "\x1b[30;42m" in coloured and "42m" not in plain
    row = next(line for line in plain.splitlines() if line.startswith("4,000"))
    assert "4/4 █" in row and "0/4 ░" in row
    assert "Effective length: 1,000 tokens." in plain and "Not good enough" in plain


def test_a_second_call_asks_nothing_again_and_again_asks_all(running: list[Forgetful], papers: Path) -> None:
    args = ("--filler", papers, "--lengths", "1k", "--json")
    first = json.loads(run(*args).stdout)
    asked = len(running[0].prompts)
    assert json.loads(run(*args).stdout) == first
    assert len(running[-1].prompts) == 1  # to warm up
    run(*args, "--again")
    assert len(running[-4].prompts) == asked


def test_when_the_time_is_over_it_is_said_and_gone_on_with(running: list[Forgetful], papers: Path) -> None:
    args = ("--filler", papers, "--lengths", "1k")
    assert "Type the same command again" in run(*args, "--minutes", "0.000001").stdout
    assert "from now on this decides" in run(*args).stdout


def test_the_only_library_is_the_text_where_nothing_is_named(
    running: list[Forgetful], shelf: Callable[..., Any]
) -> None:
    shelf("large", {"b.txt": _story(2000)})
    value = json.loads(run("--lengths", "1k", "--json").stdout)
    assert value["filler"]["source"] == "the library 'large'"


def test_of_several_libraries_none_is_read_that_was_not_named(
    running: list[Forgetful], shelf: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, folder: Callable[..., Path]
) -> None:
    shelf("north", {"a.txt": _story(2000)})
    shelf("south", {"b.txt": _story(3000)})
    monkeypatch.chdir(folder({"examples/contracts/a.txt": _story(2000)}))
    assert "examples" in json.loads(run("--lengths", "1k", "--json").stdout)["filler"]["source"]
    named = json.loads(run("--lengths", "1k", "--json", "--library", "north").stdout)
    assert named["filler"]["source"] == "the library 'north'"


def test_without_a_library_the_examples_are_the_text(
    running: list[Forgetful], monkeypatch: pytest.MonkeyPatch, folder: Callable[..., Path]
) -> None:
    root = folder({"examples/contracts/a.txt": _story(2000)})
    monkeypatch.chdir(root)
    assert "examples" in json.loads(run("--lengths", "1k", "--json").stdout)["filler"]["source"]


def test_lengths_beyond_the_text_are_left_out_and_it_is_said(running: list[Forgetful], papers: Path) -> None:
    shown = run("--filler", papers, "--lengths", "1k,32k", "--json")
    assert "Up to 1,000 tokens: there are no more of text there." in shown.stderr
    assert json.loads(shown.stdout)["scope"]["lengths"] == [1000]


@pytest.mark.parametrize("lengths", ["", "many", "1k,x", "100", "1k;2k"])
def test_lengths_that_are_none_are_refused(lengths: str, papers: Path) -> None:
    assert run("--filler", papers, "--lengths", lengths).exit_code == 2


def test_too_little_text_and_two_texts_are_errors_with_a_hint(
    running: list[Forgetful], folder: Callable[..., Path]
) -> None:
    short = folder({"a.txt": "A short note."}, "short")
    with pytest.raises(NotFoundError, match="fewer than 1,000"):
        run("--filler", short)
    with pytest.raises(UsageError):
        run("--filler", short, "--library", "x")


def test_doctor_says_in_a_line_whether_the_model_was_measured(running: list[Forgetful], settings: Settings) -> None:
    def said() -> Finding:
        (finding,) = _calibration(settings)
        return finding

    assert said().state == "ok" and "localrag calibrate scripted" in said().message
    entry = calibration.Calibration(
        50.0, 10.0, 2000, calibrated=True, weights="abc", build="0.3", measured="2027-01-02"
    )
    calibration.save(settings.calibration_file, "scripted", entry)
    assert said().message == "scripted can use 2,000 tokens of text, measured 2027-01-02 with llama-cpp-python 0.3"
    calibration.save(settings.calibration_file, "scripted", calibration.replace(entry, weights="def"))
    assert said().state == "warning"


def test_the_map_is_whole_in_eighty_columns(running: list[Forgetful], papers: Path) -> None:
    shown = run("--filler", papers, "--lengths", "1k,4k", env={"COLUMNS": "80"}).stdout
    row = next(line for line in shown.splitlines() if line.startswith("4,000"))
    assert re.search(r"(  \d/4 \S){5}( +\d+/\d+){3} \d\.\d\d \d\.\d\d-\d\.\d\d$", row.rstrip()), row
    assert "…" not in shown
