"""Measuring runs real tiny models in a process of its own."""

import subprocess

import pytest
import tiny_llamas

from localrag.llm import measuring
from localrag.models import speed
from localrag.models.records import InstalledModel


def installed(path):
    return InstalledModel("tiny", "generator", path, "f" * 64, "Apache-2.0", "import", path.stat().st_size)


@pytest.mark.parametrize("kind, anew", [(tiny_llamas.full, ""), (tiny_llamas.delta, "recurrent layers")])
def test_a_model_is_measured_kept_and_not_of_other_threads(settings, tmp_path, kind, anew):
    model = installed(kind(tmp_path / "tiny.gguf"))
    found = measuring.measure(model, settings)
    assert found is not None and 0 < found.read < found.write and found.anew == anew
    assert speed.measured(model, settings) == found
    took = speed.look_up(model, settings)
    assert took.known.startswith("measured here") and bool(took.loss) == bool(anew)
    assert speed.measured(model, settings.with_options(threads=7)) is None


def test_what_does_not_run_is_not_measured(settings, tmp_path, monkeypatch):
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF")
    assert measuring.measure(installed(tmp_path / "tiny.gguf"), settings) is None
    assert not settings.speed_file.exists()

    def slow(*args, **options):
        raise subprocess.TimeoutExpired("python", 1)

    monkeypatch.setattr(subprocess, "run", slow)
    assert measuring.measure(installed(tmp_path / "tiny.gguf"), settings) is None


def test_beside_other_work_the_processor_is_asked_for_the_time(monkeypatch):
    def timed(clock, own, threads):
        clocks, owns = iter((10.0, 10.0 + clock)), iter((5.0, 5.0 + own))
        monkeypatch.setattr(measuring.time, "perf_counter", lambda: next(clocks))
        monkeypatch.setattr(measuring.time, "process_time", lambda: next(owns))
        return measuring._timed(lambda: None, threads)

    assert timed(2.0, 3.8, 2) == (2.0, False)
    assert timed(8.0, 4.0, 2) == (2.0, True)
    assert timed(2.0, 0.1, 0) == (2.0, False), "on a graphics card the processor waits"
