"""The word lists and mappings of the readers, from `tables.toml`."""

import tomllib
from importlib import resources
from typing import Any

_TEXT = resources.files("localrag.ingest.readers").joinpath("tables.toml").read_text(encoding="utf-8")
TABLES: dict[str, dict[str, Any]] = tomllib.loads(_TEXT)
