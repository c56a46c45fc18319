"""What the screens may call: the app's one door to the rest of localrag.

`cli/chat.py` fills it with the real things and the tests with scripted ones, so that no screen knows where
they come from. Every call of the engine may be slow and belongs into a `Lane` (jobs.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localrag.service.engine import Engine
    from localrag.sessions import SessionStore


@dataclass(frozen=True, slots=True)
class Core:
    """What holds documents and models, the store of conversations, and the record of what is exported."""

    engine: Engine
    store: SessionStore
    audit_file: Path | None = None
