"""What the screens may call: the app's one door to the rest of localrag.

`cli/chat.py` fills it with the real things and the tests with scripted ones, so that no screen knows where
they come from. Every call of the engine may be slow and belongs into a `Lane` (jobs.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localrag.sessions import SessionStore
    from localrag.worker.engine import Engine


@dataclass(frozen=True, slots=True)
class Core:
    """What holds documents and models, and the store of conversations."""

    engine: Engine
    store: SessionStore
