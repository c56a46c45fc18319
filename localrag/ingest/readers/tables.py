"""The word lists and mappings of the readers, from `tables.toml`."""

import tomllib
from functools import cache
from importlib import resources
from typing import Any


@cache
def _tables() -> dict[str, dict[str, Any]]:
    text = resources.files("localrag.ingest.readers").joinpath("tables.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def table(name: str) -> dict[str, Any]:
    return _tables()[name]
