"""`localrag calibrate`: results are saved and shown, and a later run continues."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from forgetful import Forgetful

from localrag.cli.calibrate import calibrate_command
from localrag.cli.doctor import _calibration
from localrag.errors import NotFoundError
from localrag.llm import calibration, loading
from localrag.models.shelf import InstalledModel
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

    def load(settings: Settings, **options: object) -> Forgetful:
        loaded.append(Forgetful(reach=2400))
        return loaded[-1]

    installed = InstalledModel("scripted", "generator", tmp_path, "abc", "MIT", "a test", 1)
    monkeypatch.setattr(loading, "load_generator", load)
    monkeypatch.setattr(ModelStore, "default", lambda self, kind: installed)
    monkeypatch.setattr(ModelStore, "preferred", lambda self, kind: installed)
    return loaded


@pytest.fixture
def papers(shelf: Callable[..., Any]) -> None:
    """The only library."""
    shelf("large", {"a.txt": _story(3000), "b.txt": _story(4000, 1000)})


def test_what_is_measured_is_kept_for_routing_and_shown(
    running: list[Forgetful], papers: None, settings: Settings
) -> None:
    value = json.loads(run("--lengths", "1k,2k,4000", "--json").stdout)
    assert (value["complete"], value["effective"]["tokens"], value["effective"]["at_least"]) == (True, 2000, False)
    assert [row["length"] for row in value["lengths"]] == [1000, 2000, 4000]
    assert [row["asked"] for row in value["lengths"]] == [24, 24, 24]
    assert [one["asked"] for one in value["lengths"][0]["depths"]] == [4] * 5
    assert value["effective"]["enough"]
    known = calibration.load(settings.calibration_file, "scripted")
    assert (known.effective_tokens, known.calibrated, known.weights) == (2000, True, "abc")
    assert value["answer_from"] == known.answer_from != calibration.Calibration().answer_from


def test_facts_found_are_shown_by_length_and_depth(running: list[Forgetful], papers: None) -> None:
    shown = run("--lengths", "1k,4k").stdout
    row = next(line.split() for line in shown.splitlines() if line.startswith("4,000"))
    assert row[1] == "4/4" and row[5] == "0/4" and "1,000 tokens" in shown


def test_a_second_call_asks_nothing_again_and_again_asks_all(running: list[Forgetful], papers: None) -> None:
    args = ("--lengths", "1k", "--json")
    first = json.loads(run(*args).stdout)
    asked = len(running[0].prompts)
    assert json.loads(run(*args).stdout) == first
    assert len(running[-1].prompts) == 1  # to warm up
    run(*args, "--again")
    assert len(running[-1].prompts) == asked


def test_a_run_that_ran_out_of_time_continues(running: list[Forgetful], papers: None) -> None:
    args = ("--lengths", "1k")
    assert not json.loads(run(*args, "--json", "--minutes", "0.000001").stdout)["complete"]
    assert json.loads(run(*args, "--json").stdout)["complete"]


def test_none_of_several_libraries_is_read_unless_named(running: list[Forgetful], shelf: Callable[..., Any]) -> None:
    with pytest.raises(NotFoundError):
        run("--lengths", "1k")
    shelf("north", {"a.txt": _story(2000)})
    assert "north" in json.loads(run("--lengths", "1k", "--json").stdout)["text"]["source"]
    shelf("south", {"b.txt": _story(3000)})
    with pytest.raises(NotFoundError):
        run("--lengths", "1k")
    assert "south" in json.loads(run("--lengths", "1k", "--json", "--library", "south").stdout)["text"]["source"]


def test_lengths_beyond_the_text_are_left_out_and_reported(running: list[Forgetful], papers: None) -> None:
    shown = run("--lengths", "1k,32k", "--json")
    assert "Up to 1,000 tokens" in shown.stderr
    assert json.loads(shown.stdout)["scope"]["lengths"] == [1000]


@pytest.mark.parametrize("lengths", ["", "many", "1k,x", "100", "1k;2k"])
def test_lengths_that_are_none_are_refused(lengths: str, papers: None) -> None:
    assert run("--lengths", lengths).exit_code == 2


def test_too_little_text_is_an_error(running: list[Forgetful], shelf: Callable[..., Any]) -> None:
    shelf("short", {"a.txt": "A short note."})
    with pytest.raises(NotFoundError):
        run()


def test_doctor_reports_whether_the_model_was_measured(running: list[Forgetful], settings: Settings) -> None:
    ((state, message, _),) = _calibration(settings)
    assert state == "info" and "localrag calibrate scripted" in message
    entry = calibration.Calibration(
        50.0, 10.0, 2000, calibrated=True, weights="abc", build="0.3", measured="2027-01-02"
    )
    calibration.save(settings.calibration_file, "scripted", entry)
    ((state, message, _),) = _calibration(settings)
    assert state == "ok" and "2,000 tokens" in message and "2027-01-02" in message
    calibration.save(settings.calibration_file, "scripted", calibration.replace(entry, weights="def"))
    ((state, _, _),) = _calibration(settings)
    assert state == "warning"
