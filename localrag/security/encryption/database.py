"""The database engine: SQLCipher, which is SQLite with encryption, under the name and the types of Python's own module.

One engine for encrypted libraries and those in clear, so that both behave alike: without a key it is SQLite, as fast.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it has no types of its own, and the same interface
    import sqlite3 as sqlite3
else:
    from sqlcipher3 import dbapi2 as sqlite3

    # A wrong key is an error, which is raised; it is no reason to write into the terminal.
    with closing(sqlite3.connect(":memory:")) as _engine:
        _engine.execute("PRAGMA cipher_log_level = NONE")

__all__ = ["sqlite3"]
