"""What the app's tests share."""

import pytest


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder in which the app runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
