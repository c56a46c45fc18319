"""What is promised of a library holds in each store."""

import pytest
from stores import STORES, empty


@pytest.fixture(params=STORES)
def library(request, home):
    yield from empty(request, home)
