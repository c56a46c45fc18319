"""An engine in a worker that plays a part, for the tests of what stands between it and the screen."""

from pathlib import Path

import pytest

from localrag.settings import Settings
from localrag.worker import client as process
from localrag.worker.client import RemoteEngine

HERE = Path(__file__).parents[1]


@pytest.fixture
def engine(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "WORKER", "worker.scripted_worker")
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    remote = RemoteEngine(Settings(home=tmp_path))
    yield remote
    remote.close()
