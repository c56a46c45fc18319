"""What is promised of a library holds in each store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stores import STORES, empty

from localrag.store.writer import Editor


@pytest.fixture(params=STORES)
def library(request: pytest.FixtureRequest, home: Path) -> Iterator[Editor]:
    yield from empty(request, home)
