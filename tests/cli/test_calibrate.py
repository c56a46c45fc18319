"""`localrag calibrate`: what is measured is saved and shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import run, run_json
from fakes import ScriptedGenerator

from localrag.cli.doctor import _calibration
from localrag.llm import calibration, loading
from localrag.models.records import InstalledModel
from localrag.models.store import ModelStore
from localrag.settings import Settings


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ScriptedGenerator:
    model = ScriptedGenerator()
    installed = InstalledModel("scripted", "generator", tmp_path, "abc", "MIT", "a test", 1)
    monkeypatch.setattr(loading, "load_generator", lambda settings, **options: model)
    monkeypatch.setattr(ModelStore, "default", lambda self, kind: installed)
    monkeypatch.setattr(ModelStore, "preferred", lambda self, kind: installed)
    return model


def test_what_is_measured_is_kept_and_shown(running: ScriptedGenerator, settings: Settings) -> None:
    value = run_json("calibrate")
    known = calibration.load(settings.calibration_file, "scripted", "abc")
    assert value["answer_from"] == known.answer_from != calibration.Calibration().answer_from
    assert (value["apart"], known.weights) == (known.apart, "abc") and known.measured
    assert str(known.answer_from) in run("calibrate").stdout


def test_a_stopped_calibration_saves_nothing(
    running: ScriptedGenerator, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScriptedGenerator, "weigh", lambda *args, **options: iter(()))
    assert run("calibrate").exit_code == 130 and not settings.calibration_file.exists()


def test_doctor_reports_whether_the_model_was_measured(running: ScriptedGenerator, settings: Settings) -> None:
    ((state, message, _),) = _calibration(settings)
    assert state == "info" and "localrag calibrate scripted" in message
    entry = calibration.Calibration(50.0, weights="abc", measured="2027-01-02")
    calibration.save(settings.calibration_file, "scripted", entry)
    ((state, message, _),) = _calibration(settings)
    assert state == "ok" and "2027-01-02" in message
    calibration.save(settings.calibration_file, "scripted", calibration.replace(entry, weights="def"))
    ((state, _, _),) = _calibration(settings)
    assert state == "warning"
