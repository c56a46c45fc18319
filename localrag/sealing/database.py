"""The database engine: SQLCipher, which is SQLite with encryption, under the name and the types of Python's own module.

One engine for encrypted libraries and those in clear, so that both behave alike: without a key it is SQLite, as fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it has no types of its own, and the same interface
    import sqlite3 as sqlite3
else:
    from sqlcipher3 import dbapi2 as sqlite3

__all__ = ["sqlite3"]
