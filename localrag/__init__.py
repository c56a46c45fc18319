"""Ask questions of private documents on the machine that holds them.

The public names. Importing this package loads nothing heavy: each name is fetched when first used.

    import localrag
    localrag.offline.confine()
    library = localrag.open_library("contracts")
    for event in localrag.ask("When does the lease end?", libraries=["contracts"]):
        ...
"""

from __future__ import annotations

# What type checkers know by its name: importing it from `typing` takes longer than all else that is done here.
TYPE_CHECKING = False

__version__ = "0.2.0"

__all__ = ["Answer", "Citation", "LocalragError", "Passage", "ask", "extract", "offline", "open_library"]

if TYPE_CHECKING:
    from typing import Any

    from localrag.api import extract, open_library
    from localrag.asking import ask
    from localrag.errors import LocalragError
    from localrag.security import offline
    from localrag.types import Answer, Citation, Passage

_HOMES = {
    "Answer": "localrag.types",
    "Citation": "localrag.types",
    "LocalragError": "localrag.errors",
    "Passage": "localrag.types",
    "ask": "localrag.asking",
    "extract": "localrag.api",
    "open_library": "localrag.api",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name == "offline":
        return importlib.import_module("localrag.security.offline")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'localrag' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
